/*
 * The bytes of messages, snapshot names and changes, held against docs/formats/raft-message.md.
 *
 * `test_raft_message --corpus DIRECTORY` writes the samples there instead: the seeds of the fuzz
 * target raft_message.
 */
#include "core/consensus/raft/raft_message.h"

#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "tests/core/consensus/message_samples.h"

#define ENTRIES_TRIED_MAX 20
#define PAYLOAD_TRIED_MAX 100

static struct raft_message_space space;

static int free_space(void **state)
{
    (void)state;
    raft_message_space_deinit(&space);
    return 0;
}

/* Spaces in `hex` are for the reader. */
static void assert_hex_equal(struct bytes b, const char *hex)
{
    char text[1024] = "";
    char packed[1024] = "";
    assert_true(2 * b.len < sizeof(text) && strlen(hex) < sizeof(packed));
    for (size_t i = 0; i < b.len; i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", b.data[i]);
    }
    for (size_t n = 0; *hex != '\0'; hex++) {
        if (*hex != ' ') {
            packed[n++] = *hex;
        }
    }
    assert_string_equal(text, packed);
}

static void assert_entries_equal(const struct raft_message *a, const struct raft_message *b)
{
    assert_int_equal(a->entry_count, b->entry_count);
    for (uint32_t i = 0; i < a->entry_count; i++) {
        const struct raft_entry *x = &a->entries[i];
        const struct raft_entry *y = &b->entries[i];
        assert_true(x->index == y->index && x->term == y->term && x->type == y->type);
        assert_int_equal(x->payload.len, y->payload.len);
        if (x->payload.len > 0) {
            assert_memory_equal(x->payload.data, y->payload.data, x->payload.len);
        }
    }
}

static void assert_snapshots_equal(const struct raft_snapshot *a, const struct raft_snapshot *b)
{
    assert_true(a->index == b->index && a->term == b->term);
    assert_true(a->size == b->size && a->digest == b->digest);
    assert_int_equal(a->membership.n, b->membership.n);
    assert_int_equal(a->membership.auto_leave, b->membership.auto_leave);
    assert_true(a->membership.in_sync_since == b->membership.in_sync_since);
    for (uint32_t i = 0; i < a->membership.n; i++) {
        const struct raft_member *x = &a->membership.member[i];
        const struct raft_member *y = &b->membership.member[i];
        assert_true(x->id == y->id && x->roles == y->roles && x->priority == y->priority);
    }
}

static void assert_messages_equal(const struct raft_message *a, const struct raft_message *b)
{
    assert_int_equal(a->type, b->type);
    assert_true(a->from == b->from && a->to == b->to && a->term == b->term);
    assert_true(a->index == b->index && a->log_term == b->log_term && a->commit == b->commit);
    assert_true(a->hint == b->hint && a->context == b->context && a->sent_at == b->sent_at);
    assert_true(a->source == b->source && a->offset == b->offset);
    assert_true(a->reject == b->reject && a->transfer == b->transfer);
    assert_true(a->lost_log == b->lost_log && a->lost_vote == b->lost_vote);
    assert_int_equal(a->chunk.len, b->chunk.len);
    if (a->chunk.len > 0) {
        assert_memory_equal(a->chunk.data, b->chunk.data, a->chunk.len);
    }
    assert_int_equal(a->snapshot != NULL, b->snapshot != NULL);
    if (a->snapshot) {
        assert_snapshots_equal(a->snapshot, b->snapshot);
    }
    assert_entries_equal(a, b);
}

/* Decodes from a block of exactly this size, so that a sanitizer sees a read past the end. */
static enum err decode_exact(struct bytes b, struct raft_message *ret, uint8_t **ret_block)
{
    uint8_t *block = malloc(b.len + (b.len == 0));
    assert_non_null(block);
    memcpy(block, b.data, b.len);
    *ret_block = block;
    return raft_message_decode((struct bytes){block, b.len}, &space, ret);
}

static enum err decode_of(const struct buf *b)
{
    struct raft_message m;
    return raft_message_decode(buf_view(b), &space, &m);
}

/* --- golden bytes ---------------------------------------------------------------------------- */

/* index, term, size, digest; two counts; five members of id step, roles, priority; in_sync_since */
#define SAMPLE_SNAPSHOT_HEX                                                                        \
    "e807 06 f0a204 efcdab8967452301"                                                              \
    "05 01  012364 010a00 011164 a902c432 d3fdffffffffffffff0101ff de07"

/* type, term step, payload */
#define SAMPLE_ENTRIES_HEX(first_step)                                                             \
    "03  00" first_step "07 70757420612031  01 01 00  02 01 07 70757420622032"

/* version, type, flags, from, to; then what the type names */
static const char *const golden_messages[RAFT_MSG_TYPES] = {
    [RAFT_MSG_APP] = "01 00 00 01 02  07 64 05 63" SAMPLE_ENTRIES_HEX("00"),
    [RAFT_MSG_APP_RESP] = "01 01 01 01 02  07 64 04 5a",
    [RAFT_MSG_VOTE] = "01 02 02 01 02  07 64 05",
    [RAFT_MSG_VOTE_RESP] = "01 03 01 01 02  07",
    [RAFT_MSG_PRE_VOTE] = "01 04 02 01 02  07 64 05",
    [RAFT_MSG_PRE_VOTE_RESP] = "01 05 01 01 02  07",
    [RAFT_MSG_HEARTBEAT] = "01 06 00 01 02  07 63 2a 80e497d012",
    [RAFT_MSG_HEARTBEAT_RESP] = "01 07 00 01 02  07 e807 808004 2a 80e497d012",
    [RAFT_MSG_SNAP] = "01 08 00 01 02  07 8407 03" SAMPLE_SNAPSHOT_HEX,
    [RAFT_MSG_PROP] = "01 09 00 01 02  02  00 07 707574206b2076  01 00",
    [RAFT_MSG_READ_INDEX] = "01 0a 00 01 02  07 ffffffffffffffffff01",
    [RAFT_MSG_READ_INDEX_RESP] = "01 0b 00 01 02  07 64 ffffffffffffffffff01",
    [RAFT_MSG_TRANSFER_LEADER] = "01 0c 00 01 02  07 03",
    [RAFT_MSG_TIMEOUT_NOW] = "01 0d 00 01 02  07",
    [RAFT_MSG_SNAP_FETCH] = "01 0e 00 01 02  f022 808004" SAMPLE_SNAPSHOT_HEX,
    [RAFT_MSG_SNAP_CHUNK] =
        "01 0f 01 01 02  808004" SAMPLE_SNAPSHOT_HEX "0d 61207069656365206f66206974",
    [RAFT_MSG_REPAIR] = "01 10 0c 01 02  65 63 67 edfd03",
    [RAFT_MSG_REPAIR_RESP] = "01 11 04 01 02  07 65 edfd03" SAMPLE_ENTRIES_HEX("05"),
};

static void encodes_each_type_as_documented(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    for (int type = 0; type < RAFT_MSG_TYPES; type++) {
        struct raft_message m = message_sample((enum raft_message_type)type);
        buf_clear(&b);
        raft_message_encode(&m, &b);
        assert_hex_equal(buf_view(&b), golden_messages[type]);
        struct raft_message again;
        assert_int_equal(raft_message_decode(buf_view(&b), &space, &again), OK);
        assert_messages_equal(&m, &again);
    }
    buf_deinit(&b);
}

static void encodes_snapshot_name_as_documented(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    raft_snapshot_encode(snapshot_sample(), &b);
    assert_hex_equal(buf_view(&b), "01" SAMPLE_SNAPSHOT_HEX);
    struct raft_snapshot again;
    assert_int_equal(raft_snapshot_decode(buf_view(&b), &again), OK);
    assert_snapshots_equal(snapshot_sample(), &again);
    buf_deinit(&b);
}

static void encodes_change_as_documented(void **state)
{
    (void)state;
    struct raft_conf_change change = conf_change_sample();
    struct buf b;
    buf_init(&b);
    raft_conf_change_encode(&change, &b);
    assert_hex_equal(buf_view(&b), "02 05  00006401 01000002 020007ac02 03016404 04006405"
                                   "0d 31302e302e302e343a37303030");
    struct raft_conf_change again;
    assert_int_equal(raft_conf_change_decode(buf_view(&b), &again), OK);
    assert_int_equal(again.transition, change.transition);
    assert_int_equal(again.n, change.n);
    for (uint32_t i = 0; i < change.n; i++) {
        assert_int_equal(again.single[i].op, change.single[i].op);
        assert_true(again.single[i].node == change.single[i].node);
        assert_int_equal(again.single[i].priority, change.single[i].priority);
        assert_int_equal(again.single[i].auto_promote, change.single[i].auto_promote);
    }
    assert_int_equal(again.context.len, change.context.len);
    assert_memory_equal(again.context.data, change.context.data, change.context.len);
    buf_deinit(&b);
}

static void leaving_joint_configuration_is_the_empty_change(void **state)
{
    (void)state;
    struct raft_conf_change leave = {.transition = RAFT_TRANSITION_AUTO};
    struct buf b;
    buf_init(&b);
    raft_conf_change_encode(&leave, &b);
    assert_int_equal(b.len, 0);
    struct raft_conf_change again;
    assert_int_equal(raft_conf_change_decode(buf_view(&b), &again), OK);
    assert_true(raft_conf_change_leaves(&again));

    /* And nothing else is: a change has one encoding. */
    const uint8_t spelled_out[] = {RAFT_TRANSITION_AUTO, 0, 0};
    struct bytes view = {spelled_out, sizeof(spelled_out)};
    assert_int_equal(raft_conf_change_decode(view, &again), ERR_CORRUPT);
    buf_deinit(&b);
}

static void names_messages_as_the_field_does(void **state)
{
    (void)state;
    assert_string_equal(raft_message_name(RAFT_MSG_APP), "MsgApp");
    assert_string_equal(raft_message_name(RAFT_MSG_REPAIR_RESP), "MsgRepairResp");
    assert_non_null(raft_message_name(RAFT_MSG_TYPES));
}

/* --- properties ------------------------------------------------------------------------------ */

static uint64_t draw_number(struct prng *prng)
{
    return prng_u64(prng) >> prng_below(prng, 64);
}

static struct bytes draw_bytes(struct prng *prng)
{
    static uint8_t pool[2 * PAYLOAD_TRIED_MAX];
    for (size_t i = 0; i < sizeof(pool); i++) {
        pool[i] = (uint8_t)(i * 151);
    }
    size_t n = prng_below(prng, PAYLOAD_TRIED_MAX);
    return (struct bytes){pool + prng_below(prng, PAYLOAD_TRIED_MAX), n};
}

static void draw_entries(struct prng *prng, struct raft_message *m)
{
    static struct raft_entry entries[ENTRIES_TRIED_MAX];
    bool placed = m->type != RAFT_MSG_PROP;
    bool append = m->type == RAFT_MSG_APP;
    if (placed) {
        m->index = prng_range(prng, 1, UINT64_MAX - ENTRIES_TRIED_MAX - 1) >> prng_below(prng, 60);
        m->index += !append && m->index == 0;
        m->log_term = append ? prng_range(prng, 0, m->term) : 0;
    }
    raft_term term = m->log_term;
    m->entry_count = (uint32_t)prng_below(prng, ENTRIES_TRIED_MAX);
    m->entries = entries;
    for (uint32_t i = 0; i < m->entry_count; i++) {
        term = prng_chance(prng, 1, 3) ? prng_range(prng, term, m->term) : term;
        entries[i].index = placed ? m->index + append + i : 0;
        entries[i].term = placed ? term : 0;
        entries[i].type = (enum raft_entry_type)prng_below(prng, RAFT_ENTRY_TYPES);
        entries[i].payload = draw_bytes(prng);
    }
}

static void draw_snapshot(struct prng *prng, struct raft_message *m)
{
    static struct raft_snapshot snapshot;
    memset(&snapshot, 0, sizeof(snapshot));
    snapshot.index = draw_number(prng);
    snapshot.term = draw_number(prng);
    snapshot.size = draw_number(prng);
    snapshot.digest = prng_u64(prng);
    uint64_t n = prng_below(prng, RAFT_MEMBERS_MAX + 1);
    for (uint64_t i = 0; i < n; i++) {
        node_id id = draw_number(prng);
        if (id != NODE_NONE && raft_membership_slot(&snapshot.membership, id) < 0) {
            bool learner = snapshot.membership.n > 0 && prng_chance(prng, 1, 2);
            raft_membership_insert(&snapshot.membership, id, learner ? RAFT_LEARNER : RAFT_VOTER)
                ->priority = (uint8_t)prng_below(prng, 256);
        }
    }
    m->snapshot = &snapshot;
}

/* A message like the sample of its type, with other values in the fields that it sets. */
static struct raft_message draw_message(struct prng *prng, enum raft_message_type type)
{
    struct raft_message m = message_sample(type);
    uint64_t *numbers[] = {&m.term,    &m.index,   &m.log_term, &m.commit, &m.hint,
                           &m.context, &m.sent_at, &m.source,   &m.offset};
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        *numbers[i] = *numbers[i] == 0 ? 0 : draw_number(prng);
    }
    bool *flags[] = {&m.reject, &m.transfer, &m.lost_log, &m.lost_vote};
    for (size_t i = 0; i < COUNT_OF(flags); i++) {
        *flags[i] = *flags[i] && prng_chance(prng, 1, 2);
    }
    m.from = 1 + draw_number(prng) / 2;
    m.to = 1 + draw_number(prng) / 2;
    if (m.entry_count > 0) {
        draw_entries(prng, &m);
    }
    if (m.snapshot) {
        draw_snapshot(prng, &m);
    }
    if (m.chunk.len > 0) {
        m.chunk = draw_bytes(prng);
    }
    return m;
}

static void decodes_what_was_encoded(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    struct buf b;
    buf_init(&b);
    for (size_t round = 0; round < test_rounds(500); round++) {
        for (int type = 0; type < RAFT_MSG_TYPES; type++) {
            struct raft_message m = draw_message(&prng, (enum raft_message_type)type);
            struct raft_message again;
            uint8_t *block = NULL;
            buf_clear(&b);
            raft_message_encode(&m, &b);
            assert_int_equal(decode_exact(buf_view(&b), &again, &block), OK);
            assert_messages_equal(&m, &again);
            free(block);
        }
    }
    buf_deinit(&b);
}

static void rejects_every_truncation(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    struct buf b;
    buf_init(&b);
    for (size_t round = 0; round < test_rounds(5); round++) {
        for (int type = 0; type < RAFT_MSG_TYPES; type++) {
            struct raft_message m = draw_message(&prng, (enum raft_message_type)type);
            buf_clear(&b);
            raft_message_encode(&m, &b);
            for (size_t n = 0; n < b.len; n++) {
                struct raft_message again;
                uint8_t *block = NULL;
                assert_int_not_equal(decode_exact((struct bytes){b.data, n}, &again, &block), OK);
                free(block);
            }
        }
    }
    buf_deinit(&b);
}

/* Whatever still decodes after a flip is another message, whose bytes are these. */
static void flipped_bytes_are_rejected_or_mean_another_message(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    struct buf b;
    struct buf again;
    buf_init(&b);
    buf_init(&again);
    for (size_t round = 0; round < test_rounds(2000); round++) {
        for (int type = 0; type < RAFT_MSG_TYPES; type++) {
            struct raft_message m = draw_message(&prng, (enum raft_message_type)type);
            buf_clear(&b);
            raft_message_encode(&m, &b);
            for (uint64_t flips = prng_range(&prng, 1, 3); flips > 0; flips--) {
                b.data[prng_below(&prng, b.len)] ^= (uint8_t)(1 << prng_below(&prng, 8));
            }
            uint8_t *block = NULL;
            if (decode_exact(buf_view(&b), &m, &block) == OK) {
                buf_clear(&again);
                raft_message_encode(&m, &again);
                assert_int_equal(again.len, b.len);
                assert_memory_equal(again.data, b.data, b.len);
            }
            free(block);
        }
    }
    buf_deinit(&b);
    buf_deinit(&again);
}

/* --- what a decoder must refuse -------------------------------------------------------------- */

static void put_head(struct buf *b, enum raft_message_type type, uint8_t flags)
{
    buf_clear(b);
    buf_put_u8(b, 1);
    buf_put_u8(b, (uint8_t)type);
    buf_put_u8(b, flags);
    buf_put_varint(b, 1);
    buf_put_varint(b, 2);
}

/* A MsgApp of term 7 after entry (index, 5), up to where its entries begin. */
static void put_append(struct buf *b, raft_index index)
{
    put_head(b, RAFT_MSG_APP, 0);
    buf_put_varint(b, 7);
    buf_put_varint(b, index);
    buf_put_varint(b, 5);
    buf_put_varint(b, 0);
}

static void put_entry(struct buf *b, uint8_t type, uint64_t term_step)
{
    buf_put_u8(b, type);
    buf_put_varint(b, term_step);
    buf_put_varint(b, 0);
}

static void does_not_know_versions_and_types_of_the_future(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    put_head(&b, RAFT_MSG_TYPES, 0);
    assert_int_equal(decode_of(&b), ERR_UNSUPPORTED);
    put_head(&b, RAFT_MSG_TIMEOUT_NOW, 0);
    buf_put_varint(&b, 7);
    assert_int_equal(decode_of(&b), OK);
    b.data[0] = 2;
    assert_int_equal(decode_of(&b), ERR_UNSUPPORTED);
    b.data[0] = 0;
    assert_int_equal(decode_of(&b), ERR_UNSUPPORTED);

    struct raft_snapshot s;
    buf_clear(&b);
    raft_snapshot_encode(snapshot_sample(), &b);
    b.data[0] = 2;
    assert_int_equal(raft_snapshot_decode(buf_view(&b), &s), ERR_UNSUPPORTED);
    buf_deinit(&b);
}

static void rejects_flags_that_the_type_does_not_use(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    for (int bit = 0; bit < 8; bit++) {
        put_head(&b, RAFT_MSG_VOTE_RESP, (uint8_t)(1 << bit));
        buf_put_varint(&b, 7);
        assert_int_equal(decode_of(&b), bit == 0 ? OK : ERR_CORRUPT);
    }
    buf_deinit(&b);
}

static void rejects_messages_from_or_to_nobody(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    for (size_t at = 3; at <= 4; at++) {
        put_head(&b, RAFT_MSG_TIMEOUT_NOW, 0);
        buf_put_varint(&b, 7);
        b.data[at] = 0;
        assert_int_equal(decode_of(&b), ERR_CORRUPT);
    }
    buf_deinit(&b);
}

static void rejects_trailing_bytes(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    for (int type = 0; type < RAFT_MSG_TYPES; type++) {
        struct raft_message m = message_sample((enum raft_message_type)type);
        buf_clear(&b);
        raft_message_encode(&m, &b);
        buf_put_u8(&b, 0);
        assert_int_equal(decode_of(&b), ERR_CORRUPT);
    }
    struct raft_snapshot s;
    buf_clear(&b);
    raft_snapshot_encode(snapshot_sample(), &b);
    buf_put_u8(&b, 0);
    assert_int_equal(raft_snapshot_decode(buf_view(&b), &s), ERR_CORRUPT);
    buf_deinit(&b);
}

static void allocates_nothing_for_entries_that_are_not_there(void **state)
{
    (void)state;
    struct raft_message_space fresh = {0};
    struct raft_message m;
    struct buf b;
    buf_init(&b);
    put_append(&b, 100);
    buf_put_varint(&b, RAFT_MESSAGE_ENTRIES_MAX);
    put_entry(&b, RAFT_ENTRY_NORMAL, 0);
    assert_int_equal(raft_message_decode(buf_view(&b), &fresh, &m), ERR_TRUNCATED);
    assert_int_equal(fresh.entry_cap, 0);
    assert_null(fresh.entries);
    buf_deinit(&b);
}

static void bounds_the_number_of_entries(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    for (uint64_t over = 0; over <= 1; over++) {
        uint64_t n = RAFT_MESSAGE_ENTRIES_MAX + over;
        put_append(&b, 100);
        buf_put_varint(&b, n);
        for (uint64_t i = 0; i < n; i++) {
            put_entry(&b, RAFT_ENTRY_NORMAL, 0);
        }
        assert_int_equal(decode_of(&b), over ? ERR_CORRUPT : OK);
    }
    buf_deinit(&b);
}

static void bounds_the_size_of_a_message(void **state)
{
    (void)state;
    struct raft_message m = message_sample(RAFT_MSG_SNAP_CHUNK);
    struct buf b;
    struct buf big;
    buf_init(&b);
    buf_init(&big);
    m.chunk.len = 0;
    raft_message_encode(&m, &b);
    b.len--; /* the length of the chunk, which takes four bytes below */
    for (size_t over = 0; over <= 1; over++) {
        size_t len = RAFT_MESSAGE_BYTES_MAX - b.len - 4 + over;
        buf_clear(&big);
        buf_put(&big, b.data, b.len);
        buf_put_varint(&big, len);
        memset(buf_extend(&big, len), 0, len);
        assert_int_equal(big.len, RAFT_MESSAGE_BYTES_MAX + over);
        assert_int_equal(decode_of(&big), over ? ERR_CORRUPT : OK);
    }
    buf_deinit(&b);
    buf_deinit(&big);
}

static void rejects_entries_of_unknown_type(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    for (int type = 0; type <= RAFT_ENTRY_TYPES; type++) {
        put_append(&b, 100);
        buf_put_varint(&b, 1);
        put_entry(&b, (uint8_t)type, 0);
        assert_int_equal(decode_of(&b), type < RAFT_ENTRY_TYPES ? OK : ERR_CORRUPT);
    }
    buf_deinit(&b);
}

static void rejects_entries_above_the_message_term(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    /* Entries follow term 5 in a message of term 7; a step that wraps around would be below. */
    const uint64_t steps[] = {0, 2, 3, UINT64_MAX};
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        put_append(&b, 100);
        buf_put_varint(&b, 2);
        put_entry(&b, RAFT_ENTRY_NORMAL, 0);
        put_entry(&b, RAFT_ENTRY_NORMAL, steps[i]);
        assert_int_equal(decode_of(&b), steps[i] <= 2 ? OK : ERR_CORRUPT);
    }
    put_head(&b, RAFT_MSG_APP, 0);
    buf_put_varint(&b, 7); /* term */
    buf_put_varint(&b, 100);
    buf_put_varint(&b, 8); /* log_term */
    buf_put_varint(&b, 0);
    buf_put_varint(&b, 0);
    assert_int_equal(decode_of(&b), ERR_CORRUPT);
    buf_deinit(&b);
}

static void rejects_indexes_that_overflow(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    for (uint64_t over = 0; over <= 1; over++) {
        put_append(&b, UINT64_MAX - 3 + over);
        buf_put_varint(&b, 2);
        put_entry(&b, RAFT_ENTRY_NORMAL, 0);
        put_entry(&b, RAFT_ENTRY_NORMAL, 0);
        assert_int_equal(decode_of(&b), over ? ERR_CORRUPT : OK);
    }
    buf_deinit(&b);
}

static void rejects_repairs_of_an_entry_before_the_first(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    for (raft_index index = 0; index <= 1; index++) {
        put_head(&b, RAFT_MSG_REPAIR_RESP, 0);
        buf_put_varint(&b, 7);
        buf_put_varint(&b, index);
        buf_put_varint(&b, 0xfeed);
        buf_put_varint(&b, 1);
        put_entry(&b, RAFT_ENTRY_NORMAL, 1);
        assert_int_equal(decode_of(&b), index == 0 ? ERR_CORRUPT : OK);
    }
    buf_deinit(&b);
}

/* A snapshot's name up to its membership of `n` members. */
static void put_snapshot_head(struct buf *b, uint8_t n, uint8_t auto_leave)
{
    buf_clear(b);
    buf_put_u8(b, 1);
    buf_put_varint(b, 1000);
    buf_put_varint(b, 6);
    buf_put_varint(b, 0);
    buf_put_u64(b, 0);
    buf_put_u8(b, n);
    buf_put_u8(b, auto_leave);
}

static void put_member(struct buf *b, uint64_t step, uint8_t roles)
{
    buf_put_varint(b, step);
    buf_put_u8(b, roles);
    buf_put_u8(b, RAFT_PRIORITY_DEFAULT);
}

/* The lineage of a group that was recovered is in every name of a snapshot; of any other there is
 * nothing. */
static void keeps_a_lineage_that_is_not_zero(void **state)
{
    (void)state;
    static const struct {
        uint32_t lineage;
        enum err result;
    } cases[] = {{0x01abcdef, OK}, {0xfe000001, OK}, {0, ERR_CORRUPT}, {0xffffffff, ERR_CORRUPT}};
    struct buf b;
    struct buf again;
    struct raft_snapshot s;
    buf_init(&b);
    buf_init(&again);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        put_snapshot_head(&b, 1, 2);
        put_member(&b, 1, RAFT_VOTER);
        buf_put_u32(&b, cases[i].lineage);
        assert_int_equal(raft_snapshot_decode(buf_view(&b), &s), cases[i].result);
        if (cases[i].result == OK) {
            assert_int_equal(s.membership.lineage, cases[i].lineage);
            buf_clear(&again);
            raft_snapshot_encode(&s, &again);
            assert_int_equal(again.len, b.len);
            assert_memory_equal(again.data, b.data, b.len);
        }
    }
    buf_deinit(&b);
    buf_deinit(&again);
}

static void a_forced_change_names_the_lineage_that_it_begins(void **state)
{
    (void)state;
    struct raft_conf_change change = {.transition = RAFT_TRANSITION_FORCED, .n = 1};
    struct raft_conf_change again;
    struct buf b;
    buf_init(&b);
    change.single[0].node = 1;
    for (uint32_t lineage = 0; lineage < 2; lineage++) {
        change.lineage = lineage << 24;
        buf_clear(&b);
        raft_conf_change_encode(&change, &b);
        assert_int_equal(raft_conf_change_decode(buf_view(&b), &again),
                         lineage == 0 ? ERR_CORRUPT : OK);
    }
    assert_int_equal(again.lineage, 1 << 24);
    buf_deinit(&b);
}

static void rejects_memberships_that_break_the_rules(void **state)
{
    (void)state;
    static const struct {
        uint64_t steps[2];
        uint8_t roles[2];
        uint8_t auto_leave;
        enum err result;
    } cases[] = {
        {{1, 1}, {RAFT_VOTER, RAFT_VOTER}, 0, OK},
        {{1, 0}, {RAFT_VOTER, RAFT_VOTER}, 0, ERR_CORRUPT},          /* twice the same id */
        {{0, 1}, {RAFT_VOTER, RAFT_VOTER}, 0, ERR_CORRUPT},          /* nobody */
        {{2, UINT64_MAX}, {RAFT_VOTER, RAFT_VOTER}, 0, ERR_CORRUPT}, /* ids that wrap around */
        {{1, 1}, {RAFT_VOTER, RAFT_VOTER | RAFT_LEARNER}, 0, ERR_CORRUPT},
        {{1, 1}, {RAFT_LEARNER, RAFT_LEARNER}, 0, ERR_CORRUPT},
        {{1, 1}, {RAFT_VOTER, RAFT_VOTER | RAFT_IN_SYNC}, 0, ERR_CORRUPT},
        {{1, 1}, {RAFT_VOTER, RAFT_VOTER | RAFT_WITNESS}, 0, ERR_CORRUPT},
        {{1, 1}, {RAFT_VOTER | RAFT_IN_SYNC, RAFT_VOTER | RAFT_WITNESS}, 0, OK},
        {{1, 1}, {RAFT_VOTER, RAFT_VOTER}, 1, ERR_CORRUPT},   /* leaves what is not joint */
        {{1, 1}, {RAFT_VOTER, RAFT_VOTER}, 2, ERR_TRUNCATED}, /* and no lineage */
        {{1, 1}, {RAFT_VOTER, RAFT_VOTER}, 4, ERR_CORRUPT},   /* a flag that nobody knows */
    };
    struct buf b;
    struct raft_snapshot s;
    buf_init(&b);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        put_snapshot_head(&b, 2, cases[i].auto_leave);
        put_member(&b, cases[i].steps[0], cases[i].roles[0]);
        put_member(&b, cases[i].steps[1], cases[i].roles[1]);
        if ((cases[i].roles[0] | cases[i].roles[1]) & RAFT_WITNESS) {
            buf_put_varint(&b, 990);
        }
        assert_int_equal(raft_snapshot_decode(buf_view(&b), &s), cases[i].result);
    }
    put_snapshot_head(&b, RAFT_MEMBERS_MAX + 1, 0);
    for (int i = 0; i <= RAFT_MEMBERS_MAX; i++) {
        put_member(&b, 1, RAFT_VOTER);
    }
    assert_int_equal(raft_snapshot_decode(buf_view(&b), &s), ERR_CORRUPT);
    buf_deinit(&b);
}

static void rejects_changes_out_of_range(void **state)
{
    (void)state;
    struct raft_conf_change sample = conf_change_sample();
    struct raft_conf_change change;
    struct buf b;
    buf_init(&b);
    /* transition, number, operation of the first, its flags */
    const uint8_t too_large[] = {RAFT_TRANSITIONS, RAFT_CONF_CHANGES_MAX + 1, RAFT_CONF_OPS, 2};
    for (size_t at = 0; at < COUNT_OF(too_large); at++) {
        buf_clear(&b);
        raft_conf_change_encode(&sample, &b);
        b.data[at] = too_large[at];
        assert_int_equal(raft_conf_change_decode(buf_view(&b), &change), ERR_CORRUPT);
    }
    buf_clear(&b);
    raft_conf_change_encode(&sample, &b);
    for (size_t n = 1; n < b.len; n++) {
        assert_int_not_equal(raft_conf_change_decode((struct bytes){b.data, n}, &change), OK);
    }
    buf_put_u8(&b, 0);
    assert_int_equal(raft_conf_change_decode(buf_view(&b), &change), ERR_CORRUPT);
    buf_deinit(&b);
}

/* --- what a sender must not do --------------------------------------------------------------- */

static void encode_into_nothing(void *message)
{
    struct buf b;
    buf_init(&b);
    raft_message_encode(message, &b);
    buf_deinit(&b);
}

static void sender_may_not_set_what_the_type_does_not_name(void **state)
{
    (void)state;
    struct raft_message m = message_sample(RAFT_MSG_TIMEOUT_NOW);
    assert_false(test_aborts(encode_into_nothing, &m));
    m.commit = 1;
    assert_true(test_aborts(encode_into_nothing, &m));
    m = message_sample(RAFT_MSG_TIMEOUT_NOW);
    m.reject = true;
    assert_true(test_aborts(encode_into_nothing, &m));
    m = message_sample(RAFT_MSG_TIMEOUT_NOW);
    m.snapshot = snapshot_sample();
    assert_true(test_aborts(encode_into_nothing, &m));
    m = message_sample(RAFT_MSG_SNAP);
    m.snapshot = NULL;
    assert_true(test_aborts(encode_into_nothing, &m));
}

static void sender_may_not_leave_gaps_between_entries(void **state)
{
    (void)state;
    struct raft_message m = message_sample(RAFT_MSG_APP);
    assert_false(test_aborts(encode_into_nothing, &m));
    m.index++;
    assert_true(test_aborts(encode_into_nothing, &m));
}

/* --- the corpus ------------------------------------------------------------------------------ */

static void write_seed(const char *directory, const char *name, const struct buf *b)
{
    char path[4096];
    int len = snprintf(path, sizeof(path), "%s/%s", directory, name);
    CHECK(len > 0 && (size_t)len < sizeof(path));
    FILE *file = fopen(path, "wb");
    if (!file) {
        perror(path);
        exit(1);
    }
    CHECK(fwrite(b->data, 1, b->len, file) == b->len);
    CHECK(fclose(file) == 0);
}

static int write_corpus(const char *directory)
{
    struct buf b;
    buf_init(&b);
    for (int type = 0; type < RAFT_MSG_TYPES; type++) {
        struct raft_message m = message_sample((enum raft_message_type)type);
        buf_clear(&b);
        raft_message_encode(&m, &b);
        write_seed(directory, raft_message_name(m.type), &b);
    }
    buf_clear(&b);
    raft_snapshot_encode(snapshot_sample(), &b);
    write_seed(directory, "snapshot", &b);
    struct raft_conf_change change = conf_change_sample();
    buf_clear(&b);
    raft_conf_change_encode(&change, &b);
    write_seed(directory, "conf-change", &b);
    buf_deinit(&b);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--corpus") == 0) {
        return write_corpus(argv[2]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodes_each_type_as_documented),
        cmocka_unit_test(encodes_snapshot_name_as_documented),
        cmocka_unit_test(encodes_change_as_documented),
        cmocka_unit_test(leaving_joint_configuration_is_the_empty_change),
        cmocka_unit_test(names_messages_as_the_field_does),
        cmocka_unit_test(decodes_what_was_encoded),
        cmocka_unit_test(rejects_every_truncation),
        cmocka_unit_test(flipped_bytes_are_rejected_or_mean_another_message),
        cmocka_unit_test(does_not_know_versions_and_types_of_the_future),
        cmocka_unit_test(rejects_flags_that_the_type_does_not_use),
        cmocka_unit_test(rejects_messages_from_or_to_nobody),
        cmocka_unit_test(rejects_trailing_bytes),
        cmocka_unit_test(allocates_nothing_for_entries_that_are_not_there),
        cmocka_unit_test(bounds_the_number_of_entries),
        cmocka_unit_test(bounds_the_size_of_a_message),
        cmocka_unit_test(rejects_entries_of_unknown_type),
        cmocka_unit_test(rejects_entries_above_the_message_term),
        cmocka_unit_test(rejects_indexes_that_overflow),
        cmocka_unit_test(rejects_repairs_of_an_entry_before_the_first),
        cmocka_unit_test(rejects_memberships_that_break_the_rules),
        cmocka_unit_test(keeps_a_lineage_that_is_not_zero),
        cmocka_unit_test(a_forced_change_names_the_lineage_that_it_begins),
        cmocka_unit_test(rejects_changes_out_of_range),
        cmocka_unit_test(sender_may_not_set_what_the_type_does_not_name),
        cmocka_unit_test(sender_may_not_leave_gaps_between_entries),
    };
    return cmocka_run_group_tests(tests, NULL, free_space);
}
