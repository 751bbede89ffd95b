/*
 * The bytes of messages and of snapshot names: docs/formats/raft-message.md, byte by byte.
 *
 * One table says which fields each type uses. The encoder writes those and no others, the decoder
 * reads those and leaves the rest zero, so a value has one encoding, and a field that a type does
 * not name cannot come from a peer.
 */
#include "core/consensus/raft/raft_message.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/cursor.h"
#include "core/base/mem.h"

#define RAFT_MESSAGE_VERSION  1
#define RAFT_SNAPSHOT_VERSION 1

/* The least that an entry takes: type, length, and where it has a position, the step in term. */
#define ENTRY_BYTES_MIN 2

/* The numbers that a message may carry, in the order of their bytes. */
#define MESSAGE_NUMBER_TABLE(X)                                                                    \
    X(HAS_TERM, term)                                                                              \
    X(HAS_INDEX, index)                                                                            \
    X(HAS_LOG_TERM, log_term)                                                                      \
    X(HAS_COMMIT, commit)                                                                          \
    X(HAS_HINT, hint)                                                                              \
    X(HAS_CONTEXT, context)                                                                        \
    X(HAS_SENT_AT, sent_at)                                                                        \
    X(HAS_SOURCE, source)                                                                          \
    X(HAS_OFFSET, offset)

#define MESSAGE_FLAG_TABLE(X)                                                                      \
    X(MAY_REJECT, reject)                                                                          \
    X(MAY_TRANSFER, transfer)                                                                      \
    X(MAY_LOSE_LOG, lost_log)                                                                      \
    X(MAY_LOSE_VOTE, lost_vote)

enum message_part {
    HAS_TERM = 1 << 0,
    HAS_INDEX = 1 << 1,
    HAS_LOG_TERM = 1 << 2,
    HAS_COMMIT = 1 << 3,
    HAS_HINT = 1 << 4,
    HAS_CONTEXT = 1 << 5,
    HAS_SENT_AT = 1 << 6,
    HAS_SOURCE = 1 << 7,
    HAS_OFFSET = 1 << 8,
    HAS_SNAPSHOT = 1 << 9,
    HAS_CHUNK = 1 << 10,
    HAS_ENTRIES = 1 << 11,
};

/* The bits of the flags byte. */
enum message_flag {
    MAY_REJECT = 1 << 0,
    MAY_TRANSFER = 1 << 1,
    MAY_LOSE_LOG = 1 << 2,
    MAY_LOSE_VOTE = 1 << 3,
};

struct message_layout {
    unsigned parts; /* enum message_part */
    uint8_t flags;  /* enum message_flag: those that may be set */
};

/* The rows of RAFT_MESSAGE_TABLE, for the machine. */
static const struct message_layout message_layouts[RAFT_MSG_TYPES] = {
    [RAFT_MSG_APP] = {HAS_TERM | HAS_INDEX | HAS_LOG_TERM | HAS_COMMIT | HAS_ENTRIES, 0},
    [RAFT_MSG_APP_RESP] = {HAS_TERM | HAS_INDEX | HAS_LOG_TERM | HAS_HINT, MAY_REJECT},
    [RAFT_MSG_VOTE] = {HAS_TERM | HAS_INDEX | HAS_LOG_TERM, MAY_TRANSFER},
    [RAFT_MSG_VOTE_RESP] = {HAS_TERM, MAY_REJECT},
    [RAFT_MSG_PRE_VOTE] = {HAS_TERM | HAS_INDEX | HAS_LOG_TERM, MAY_TRANSFER},
    [RAFT_MSG_PRE_VOTE_RESP] = {HAS_TERM, MAY_REJECT},
    [RAFT_MSG_HEARTBEAT] = {HAS_TERM | HAS_COMMIT | HAS_CONTEXT | HAS_SENT_AT, 0},
    [RAFT_MSG_HEARTBEAT_RESP] = {HAS_TERM | HAS_INDEX | HAS_HINT | HAS_CONTEXT | HAS_SENT_AT, 0},
    [RAFT_MSG_SNAP] = {HAS_TERM | HAS_HINT | HAS_SOURCE | HAS_SNAPSHOT, 0},
    [RAFT_MSG_PROP] = {HAS_ENTRIES, 0},
    [RAFT_MSG_READ_INDEX] = {HAS_LOG_TERM | HAS_CONTEXT, 0},
    [RAFT_MSG_READ_INDEX_RESP] = {HAS_TERM | HAS_INDEX | HAS_CONTEXT, 0},
    [RAFT_MSG_TRANSFER_LEADER] = {HAS_TERM | HAS_SOURCE, 0},
    [RAFT_MSG_TIMEOUT_NOW] = {HAS_TERM, 0},
    [RAFT_MSG_SNAP_FETCH] = {HAS_HINT | HAS_OFFSET | HAS_SNAPSHOT, 0},
    [RAFT_MSG_SNAP_CHUNK] = {HAS_OFFSET | HAS_SNAPSHOT | HAS_CHUNK, MAY_REJECT},
    [RAFT_MSG_REPAIR] = {HAS_INDEX | HAS_COMMIT | HAS_HINT | HAS_CONTEXT,
                         MAY_LOSE_LOG | MAY_LOSE_VOTE},
    [RAFT_MSG_REPAIR_RESP] = {HAS_TERM | HAS_INDEX | HAS_CONTEXT | HAS_ENTRIES, MAY_LOSE_LOG},
};

const char *raft_message_name(enum raft_message_type type)
{
    static const char *const names[] = {
#define RAFT_MESSAGE_TEXT(name, text) text,
        RAFT_MESSAGE_TABLE(RAFT_MESSAGE_TEXT)
#undef RAFT_MESSAGE_TEXT
    };
    return (unsigned)type < COUNT_OF(names) ? names[type] : "a message of unknown type";
}

void raft_message_space_deinit(struct raft_message_space *space)
{
    mem_free(space->entries);
    memset(space, 0, sizeof(*space));
}

/* --- memberships and snapshots --------------------------------------------------------------- */

enum { MEMBERSHIP_AUTO_LEAVE = 1 << 0, MEMBERSHIP_LINEAGE = 1 << 1, MEMBERSHIP_FLAGS = 3 };

static void membership_put(const struct raft_membership *ms, struct buf *b)
{
    raft_membership_check(ms);
    buf_put_u8(b, (uint8_t)ms->n);
    buf_put_u8(b, (uint8_t)((ms->auto_leave ? MEMBERSHIP_AUTO_LEAVE : 0) |
                            (ms->lineage != 0 ? MEMBERSHIP_LINEAGE : 0)));
    node_id before = NODE_NONE;
    for (uint32_t i = 0; i < ms->n; i++) {
        const struct raft_member *m = &ms->member[i];
        buf_put_varint(b, m->id - before);
        buf_put_u8(b, m->roles);
        buf_put_u8(b, m->priority);
        before = m->id;
    }
    if (raft_membership_has_witness(ms)) {
        buf_put_varint(b, ms->in_sync_since);
    }
    if (ms->lineage != 0) {
        buf_put_u32(b, ms->lineage);
    }
}

static enum err membership_take(struct cursor *c, struct raft_membership *ret)
{
    struct raft_membership ms;
    memset(&ms, 0, sizeof(ms));
    uint8_t n = cursor_u8(c);
    uint8_t flags = cursor_u8(c);
    if (n > RAFT_MEMBERS_MAX || flags > MEMBERSHIP_FLAGS) {
        return ERR_CORRUPT;
    }
    node_id before = NODE_NONE;
    for (uint32_t i = 0; i < n; i++) {
        /* A sum that wraps around is out of order, which the rules forbid. */
        ms.member[i].id = before + cursor_varint(c);
        ms.member[i].roles = cursor_u8(c);
        ms.member[i].priority = cursor_u8(c);
        before = ms.member[i].id;
    }
    ms.n = n;
    ms.auto_leave = (flags & MEMBERSHIP_AUTO_LEAVE) != 0;
    if (raft_membership_has_witness(&ms)) {
        ms.in_sync_since = cursor_varint(c);
    }
    if (flags & MEMBERSHIP_LINEAGE) {
        ms.lineage = cursor_u32(c);
    }
    if (!cursor_ok(c)) {
        return ERR_TRUNCATED;
    }
    if (!raft_membership_valid(&ms) || ((flags & MEMBERSHIP_LINEAGE) && ms.lineage == 0)) {
        return ERR_CORRUPT;
    }
    *ret = ms;
    return OK;
}

static void snapshot_put(const struct raft_snapshot *s, struct buf *b)
{
    buf_put_varint(b, s->index);
    buf_put_varint(b, s->term);
    buf_put_varint(b, s->size);
    buf_put_u64(b, s->digest);
    membership_put(&s->membership, b);
}

static enum err snapshot_take(struct cursor *c, struct raft_snapshot *ret)
{
    struct raft_snapshot s;
    memset(&s, 0, sizeof(s));
    s.index = cursor_varint(c);
    s.term = cursor_varint(c);
    s.size = cursor_varint(c);
    s.digest = cursor_u64(c);
    TRY(membership_take(c, &s.membership));
    *ret = s;
    return OK;
}

void raft_snapshot_encode(const struct raft_snapshot *s, struct buf *b)
{
    buf_put_u8(b, RAFT_SNAPSHOT_VERSION);
    snapshot_put(s, b);
}

enum err raft_snapshot_decode(struct bytes b, struct raft_snapshot *ret)
{
    struct cursor c;
    cursor_init(&c, b);
    uint8_t version = cursor_u8(&c);
    if (cursor_ok(&c) && version != RAFT_SNAPSHOT_VERSION) {
        return ERR_UNSUPPORTED;
    }
    struct raft_snapshot s;
    TRY(snapshot_take(&c, &s));
    if (!cursor_done(&c)) {
        return ERR_CORRUPT;
    }
    *ret = s;
    return OK;
}

/* --- entries --------------------------------------------------------------------------------- */

/* Where the entries of a message stand in the log. Proposals stand nowhere yet. */
struct entry_range {
    bool placed;
    raft_index first;
    raft_term from; /* no entry's term is below this, */
    raft_term to;   /* nor above this */
};

/* False where the range does not lie in any log. */
static bool message_entry_range(const struct raft_message *m, uint64_t count,
                                struct entry_range *ret)
{
    bool append = m->type == RAFT_MSG_APP;
    ret->placed = m->type != RAFT_MSG_PROP;
    ret->first = append ? m->index + 1 : m->index;
    ret->from = append ? m->log_term : 0;
    ret->to = m->term;
    if (!ret->placed) {
        return true;
    }
    if (append && m->log_term > m->term) {
        return false;
    }
    return m->index <= UINT64_MAX - count - 1 && (count == 0 || ret->first > 0);
}

static void entries_put(const struct raft_message *m, struct buf *b)
{
    struct entry_range range;
    CHECK(m->entry_count <= RAFT_MESSAGE_ENTRIES_MAX);
    CHECK(message_entry_range(m, m->entry_count, &range));
    buf_put_varint(b, m->entry_count);
    raft_term before = range.from;
    for (uint32_t i = 0; i < m->entry_count; i++) {
        const struct raft_entry *e = &m->entries[i];
        CHECK(e->type < RAFT_ENTRY_TYPES);
        CHECK(e->index == (range.placed ? range.first + i : 0));
        buf_put_u8(b, (uint8_t)e->type);
        if (range.placed) {
            CHECK(e->term >= before && e->term <= range.to);
            buf_put_varint(b, e->term - before);
            before = e->term;
        } else {
            CHECK(e->term == 0);
        }
        buf_put_bytes(b, e->payload);
    }
}

static enum err entries_take(struct cursor *c, struct raft_message_space *space,
                             struct raft_message *m)
{
    struct entry_range range;
    uint64_t count = cursor_varint(c);
    if (count > RAFT_MESSAGE_ENTRIES_MAX || !message_entry_range(m, count, &range)) {
        return ERR_CORRUPT;
    }
    /* Nothing is allocated for entries that cannot be there. */
    if (count > cursor_left(c) / ENTRY_BYTES_MIN) {
        return ERR_TRUNCATED;
    }
    mem_grow((void **)&space->entries, &space->entry_cap, count, sizeof(space->entries[0]));
    raft_term before = range.from;
    for (uint64_t i = 0; i < count; i++) {
        struct raft_entry *e = &space->entries[i];
        uint8_t type = cursor_u8(c);
        uint64_t step = range.placed ? cursor_varint(c) : 0;
        if (type >= RAFT_ENTRY_TYPES || (range.placed && step > range.to - before)) {
            return ERR_CORRUPT;
        }
        before += step;
        e->index = range.placed ? range.first + i : 0;
        e->term = range.placed ? before : 0;
        e->type = (enum raft_entry_type)type;
        e->payload = cursor_bytes(c, RAFT_MESSAGE_BYTES_MAX);
    }
    m->entry_count = (uint32_t)count;
    m->entries = count > 0 ? space->entries : NULL;
    return OK;
}

/* --- messages -------------------------------------------------------------------------------- */

/* What a type does not name is zero: the sender keeps this promise as the decoder does. */
static void message_check_unused(const struct raft_message *m)
{
    unsigned parts = message_layouts[m->type].parts;
#define CHECK_NUMBER(bit, field) CHECK((parts & bit) || m->field == 0);
    MESSAGE_NUMBER_TABLE(CHECK_NUMBER)
#undef CHECK_NUMBER
    CHECK((m->snapshot != NULL) == ((parts & HAS_SNAPSHOT) != 0));
    CHECK((parts & HAS_CHUNK) || m->chunk.len == 0);
    CHECK((parts & HAS_ENTRIES) || m->entry_count == 0);
}

static uint8_t message_flags(const struct raft_message *m)
{
    unsigned flags = 0;
#define COLLECT_FLAG(bit, field) flags |= m->field ? (unsigned)bit : 0;
    MESSAGE_FLAG_TABLE(COLLECT_FLAG)
#undef COLLECT_FLAG
    return (uint8_t)flags;
}

void raft_message_encode(const struct raft_message *m, struct buf *b)
{
    CHECK(m->type < RAFT_MSG_TYPES && m->from != NODE_NONE && m->to != NODE_NONE);
    const struct message_layout *layout = &message_layouts[m->type];
    message_check_unused(m);
    uint8_t flags = message_flags(m);
    CHECK((flags & ~layout->flags) == 0);

    size_t begin = b->len;
    buf_put_u8(b, RAFT_MESSAGE_VERSION);
    buf_put_u8(b, (uint8_t)m->type);
    buf_put_u8(b, flags);
    buf_put_varint(b, m->from);
    buf_put_varint(b, m->to);
#define PUT_NUMBER(bit, field)                                                                     \
    if (layout->parts & bit) {                                                                     \
        buf_put_varint(b, m->field);                                                               \
    }
    MESSAGE_NUMBER_TABLE(PUT_NUMBER)
#undef PUT_NUMBER
    if (layout->parts & HAS_SNAPSHOT) {
        snapshot_put(m->snapshot, b);
    }
    if (layout->parts & HAS_CHUNK) {
        buf_put_bytes(b, m->chunk);
    }
    if (layout->parts & HAS_ENTRIES) {
        entries_put(m, b);
    }
    CHECK(b->len - begin <= RAFT_MESSAGE_BYTES_MAX);
}

/* Type, flags, from, to. */
static enum err message_take_head(struct cursor *c, struct raft_message *m)
{
    uint8_t version = cursor_u8(c);
    uint8_t type = cursor_u8(c);
    uint8_t flags = cursor_u8(c);
    if (!cursor_ok(c)) {
        return ERR_TRUNCATED;
    }
    if (version != RAFT_MESSAGE_VERSION || type >= RAFT_MSG_TYPES) {
        return ERR_UNSUPPORTED;
    }
    if ((flags & ~message_layouts[type].flags) != 0) {
        return ERR_CORRUPT;
    }
    m->type = (enum raft_message_type)type;
#define TAKE_FLAG(bit, field) m->field = (flags & bit) != 0;
    MESSAGE_FLAG_TABLE(TAKE_FLAG)
#undef TAKE_FLAG
    m->from = cursor_varint(c);
    m->to = cursor_varint(c);
    if (!cursor_ok(c)) {
        return ERR_TRUNCATED;
    }
    return m->from == NODE_NONE || m->to == NODE_NONE ? ERR_CORRUPT : OK;
}

static enum err message_take_body(struct cursor *c, struct raft_message_space *space,
                                  struct raft_message *m)
{
    unsigned parts = message_layouts[m->type].parts;
#define TAKE_NUMBER(bit, field)                                                                    \
    if (parts & bit) {                                                                             \
        m->field = cursor_varint(c);                                                               \
    }
    MESSAGE_NUMBER_TABLE(TAKE_NUMBER)
#undef TAKE_NUMBER
    if (parts & HAS_SNAPSHOT) {
        TRY(snapshot_take(c, &space->snapshot));
        m->snapshot = &space->snapshot;
    }
    if (parts & HAS_CHUNK) {
        m->chunk = cursor_bytes(c, RAFT_MESSAGE_BYTES_MAX);
    }
    if (parts & HAS_ENTRIES) {
        TRY(entries_take(c, space, m));
    }
    return cursor_ok(c) ? OK : ERR_TRUNCATED;
}

enum err raft_message_decode(struct bytes b, struct raft_message_space *space,
                             struct raft_message *ret)
{
    if (b.len > RAFT_MESSAGE_BYTES_MAX) {
        return ERR_CORRUPT;
    }
    struct cursor c;
    cursor_init(&c, b);
    struct raft_message m;
    memset(&m, 0, sizeof(m));
    TRY(message_take_head(&c, &m));
    TRY(message_take_body(&c, space, &m));
    if (!cursor_done(&c)) {
        return ERR_CORRUPT;
    }
    *ret = m;
    return OK;
}
