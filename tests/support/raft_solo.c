#include "tests/support/raft_solo.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"

#define SOLO_TURNS_MAX 100000

struct raft_membership solo_voters(uint32_t n)
{
    struct raft_membership ms;
    memset(&ms, 0, sizeof(ms));
    for (node_id id = 1; id <= n; id++) {
        raft_membership_insert(&ms, id, RAFT_VOTER)->priority = RAFT_PRIORITY_DEFAULT;
    }
    return ms;
}

struct raft_status solo_status(const struct solo *s)
{
    return raft_status(s->raft);
}

const struct raft_progress *solo_progress(const struct solo *s, node_id id)
{
    int slot = raft_membership_slot(solo_status(s).membership, id);
    CHECK(slot >= 0);
    return raft_peer_progress(s->raft, (uint32_t)slot);
}

/* --- what left ------------------------------------------------------------------------------- */

static struct solo_message *solo_keep_message(const struct solo *s, const struct raft_message *m)
{
    struct solo_message *kept = mem_alloc_zero(sizeof(*kept));
    buf_init(&kept->bytes);
    raft_message_encode(m, &kept->bytes);
    CHECK(raft_message_decode(buf_view(&kept->bytes), &kept->space, &kept->m) == OK);
    kept->at = s->now;
    return kept;
}

static void solo_free_message(struct solo_message *kept)
{
    raft_message_space_deinit(&kept->space);
    buf_deinit(&kept->bytes);
    mem_free(kept);
}

static void solo_leave(struct solo *s, struct solo_message *kept)
{
    mem_grow((void **)&s->sent, &s->sent_cap, s->sent_count + 1, sizeof(s->sent[0]));
    s->sent[s->sent_count++] = kept;
}

void solo_forget(struct solo *s)
{
    for (size_t i = 0; i < s->sent_count; i++) {
        solo_free_message(s->sent[i]);
    }
    s->sent_count = 0;
}

const struct raft_message *solo_sent(const struct solo *s, enum raft_message_type type, node_id to)
{
    for (size_t i = s->sent_count; i > 0; i--) {
        const struct raft_message *m = &s->sent[i - 1]->m;
        if (m->type == type && (to == NODE_NONE || m->to == to)) {
            return m;
        }
    }
    return NULL;
}

uint32_t solo_count(const struct solo *s, enum raft_message_type type, node_id to)
{
    uint32_t n = 0;
    for (size_t i = 0; i < s->sent_count; i++) {
        const struct raft_message *m = &s->sent[i]->m;
        n += m->type == type && (to == NODE_NONE || m->to == to);
    }
    return n;
}

/* --- the disk -------------------------------------------------------------------------------- */

static void solo_disk_truncate(struct solo *s, raft_index last)
{
    while (s->disk_base + s->disk_len > last && s->disk_len > 0) {
        buf_deinit(&s->disk[--s->disk_len].payload);
    }
}

static void solo_disk_write(struct solo *s, const struct raft_entry *e)
{
    CHECK(e->index > s->disk_base && e->index <= s->disk_base + s->disk_len + 1);
    solo_disk_truncate(s, e->index - 1);
    mem_grow((void **)&s->disk, &s->disk_cap, s->disk_len + 1, sizeof(s->disk[0]));
    struct solo_entry *at = &s->disk[s->disk_len++];
    *at = (struct solo_entry){.term = e->term, .type = e->type};
    buf_init(&at->payload);
    buf_put(&at->payload, e->payload.data, e->payload.len);
}

static void solo_note_batch(struct solo *s, const struct raft_update *u)
{
    if (u->persist_seq == 0) {
        CHECK(u->entry_count == 0 && u->message_durable_count == 0 && !u->install);
        return;
    }
    if (u->install) {
        s->installs++;
        s->installed = *u->install;
        CHECK(u->install->index >= s->applying || u->install_keeps_log);
        s->applying = u64_max(s->applying, u->install->index);
        if (!u->install_keeps_log) {
            solo_disk_truncate(s, 0);
            s->disk_base = u->install->index;
            s->founded = *u->install;
        }
    }
    for (uint32_t i = 0; i < u->entry_count; i++) {
        solo_disk_write(s, &u->entries[i]);
    }
    s->repairs += u->repair_count;
    CHECK(s->batch_count < SOLO_BATCHES_MAX);
    struct solo_batch *b = &s->batch[s->batch_count++];
    *b = (struct solo_batch){.seq = u->persist_seq,
                             .has_hard_state = u->has_hard_state,
                             .hard_state = u->hard_state,
                             .last = s->disk_base + s->disk_len};
    b->messages = mem_realloc_array(NULL, u->message_durable_count + 1, sizeof(b->messages[0]));
    for (uint32_t i = 0; i < u->message_durable_count; i++) {
        b->messages[b->message_count++] = solo_keep_message(s, &u->messages_durable[i]);
    }
}

static enum err solo_feed(struct solo *s, struct raft_event e);

static void solo_complete(struct solo *s, uint32_t n)
{
    CHECK(n > 0 && n <= s->batch_count);
    uint64_t seq = s->batch[n - 1].seq;
    struct solo_batch done[SOLO_BATCHES_MAX];
    memcpy(done, s->batch, n * sizeof(done[0]));
    memmove(s->batch, s->batch + n, (s->batch_count - n) * sizeof(s->batch[0]));
    s->batch_count -= n;
    for (uint32_t i = 0; i < n; i++) {
        if (done[i].has_hard_state) {
            s->durable_hard_state = done[i].hard_state;
        }
        for (uint32_t k = 0; k < done[i].message_count; k++) {
            struct solo_message *kept = done[i].messages[k];
            if (kept->m.to != s->cfg.id) {
                kept->at = s->now;
                solo_leave(s, kept);
                continue;
            }
            enum err ignored =
                solo_feed(s, (struct raft_event){.type = RAFT_EVENT_MESSAGE, .message = &kept->m});
            (void)ignored;
            solo_free_message(kept);
        }
        mem_free(done[i].messages);
    }
    enum err told = solo_feed(s, (struct raft_event){.type = RAFT_EVENT_DURABLE, .seq = seq});
    CHECK(told == OK);
}

/* --- updates --------------------------------------------------------------------------------- */

static void solo_note_committed(struct solo *s, const struct raft_update *u)
{
    s->most_committed = (uint32_t)u64_max(s->most_committed, u->committed_count);
    for (uint32_t i = 0; i < u->committed_count; i++) {
        CHECK(u->committed[i].index == s->applying + 1);
        s->applying++;
        s->applied_bytes += u->committed[i].payload.len;
    }
}

static void solo_note_rest(struct solo *s, const struct raft_update *u)
{
    for (uint32_t i = 0; i < u->read_count; i++) {
        CHECK(s->read_count < SOLO_KEPT_MAX);
        s->reads[s->read_count++] = u->reads[i];
    }
    for (uint32_t i = 0; i < u->read_lost_count; i++) {
        CHECK(s->lost_count < SOLO_KEPT_MAX);
        s->lost[s->lost_count++] = u->reads_lost[i];
    }
    for (uint32_t i = 0; i < u->load_count; i++) {
        CHECK(s->load_count < SOLO_KEPT_MAX);
        s->loads[s->load_count++] = u->loads[i];
    }
    for (uint32_t i = 0; i < u->chunk_read_count; i++) {
        CHECK(s->chunk_read_count < SOLO_KEPT_MAX);
        s->chunk_reads[s->chunk_read_count++] = u->chunk_reads[i];
    }
    for (uint32_t i = 0; i < u->chunk_write_count; i++) {
        CHECK(s->chunk_write_count < SOLO_KEPT_MAX);
        s->chunk_writes[s->chunk_write_count] = u->chunk_writes[i];
        s->chunk_writes[s->chunk_write_count++].data = (struct bytes){NULL, 0};
    }
    s->alarms |= u->alarms;
    s->deadline = u->deadline;
}

void solo_apply(struct solo *s, raft_index index)
{
    enum err e = solo_step(s, (struct raft_event){.type = RAFT_EVENT_APPLIED, .index = index});
    CHECK(e == OK);
}

static void solo_serve_one(struct solo *s, const struct raft_load *load)
{
    struct raft_entry *entries = mem_realloc_array(NULL, s->disk_len + 1, sizeof(*entries));
    uint32_t n = 0;
    uint64_t bytes = 0;
    for (raft_index i = load->first; i <= load->last; i++) {
        if (i <= s->disk_base || i > s->disk_base + s->disk_len) {
            break;
        }
        const struct solo_entry *e = &s->disk[i - s->disk_base - 1];
        bytes += e->payload.len;
        if (n > 0 && bytes > load->max_bytes) {
            break;
        }
        entries[n++] = (struct raft_entry){
            .index = i, .term = e->term, .type = e->type, .payload = buf_view(&e->payload)};
    }
    struct raft_event e = {.type = RAFT_EVENT_LOADED};
    e.loaded.peer = load->peer;
    e.loaded.first = load->first;
    e.loaded.entries = entries;
    e.loaded.n = n;
    e.loaded.repair = load->repair;
    enum err told = solo_feed(s, e);
    CHECK(told == OK);
    if (load->peer == s->cfg.id && load->repair == 0 && !s->hold_apply) {
        /* The entries must live until they are applied. */
        struct raft_update u;
        raft_take_update(s->raft, &u);
        solo_note_batch(s, &u);
        for (uint32_t i = 0; i < u.message_count; i++) {
            solo_leave(s, solo_keep_message(s, &u.messages[i]));
        }
        solo_note_committed(s, &u);
        solo_note_rest(s, &u);
        told = solo_feed(s, (struct raft_event){.type = RAFT_EVENT_APPLIED, .index = s->applying});
        CHECK(told == OK);
    }
    mem_free(entries);
}

static void solo_serve(struct solo *s)
{
    while (s->load_count > 0) {
        struct raft_load load = s->loads[0];
        s->load_count--;
        memmove(s->loads, s->loads + 1, s->load_count * sizeof(s->loads[0]));
        solo_serve_one(s, &load);
    }
}

static void solo_serve_chunks(struct solo *s)
{
    for (uint32_t i = 0; i < s->chunk_read_count; i++) {
        struct raft_event e = {.type = RAFT_EVENT_CHUNK_READ};
        uint8_t *bytes = mem_alloc_zero(s->chunk_reads[i].len);
        e.chunk.peer = s->chunk_reads[i].peer;
        e.chunk.snapshot = s->chunk_reads[i].snapshot;
        e.chunk.offset = s->chunk_reads[i].offset;
        e.chunk.data = (struct bytes){bytes, s->chunk_reads[i].len};
        enum err told = solo_feed(s, e);
        CHECK(told == OK);
        mem_free(bytes);
    }
    s->chunk_read_count = 0;
    for (uint32_t i = 0; i < s->chunk_write_count; i++) {
        struct raft_event e = {.type = RAFT_EVENT_CHUNK_WRITTEN};
        e.chunk.snapshot = s->chunk_writes[i].snapshot;
        e.chunk.offset = s->chunk_writes[i].offset + s->chunk_writes[i].len;
        enum err told = solo_feed(s, e);
        CHECK(told == OK);
    }
    s->chunk_write_count = 0;
}

static void solo_take(struct solo *s)
{
    struct raft_update u;
    raft_take_update(s->raft, &u);
    solo_note_batch(s, &u);
    for (uint32_t i = 0; i < u.message_count; i++) {
        CHECK(u.messages[i].to != s->cfg.id);
        solo_leave(s, solo_keep_message(s, &u.messages[i]));
    }
    solo_note_committed(s, &u);
    solo_note_rest(s, &u);
    bool applies = u.committed_count > 0 && !s->hold_apply;
    if (!s->hold_disk && s->batch_count > 0) {
        solo_complete(s, s->batch_count);
    }
    if (applies) {
        enum err told =
            solo_feed(s, (struct raft_event){.type = RAFT_EVENT_APPLIED, .index = s->applying});
        CHECK(told == OK);
    }
    if (!s->hold_loads) {
        solo_serve(s);
    }
    if (!s->hold_chunks) {
        solo_serve_chunks(s);
    }
}

static void solo_settle(struct solo *s)
{
    for (int i = 0; raft_has_update(s->raft); i++) {
        CHECK(i < SOLO_TURNS_MAX);
        solo_take(s);
    }
}

static enum err solo_feed(struct solo *s, struct raft_event e)
{
    e.now = s->now;
    enum err result = raft_step(s->raft, &e);
    raft_check(s->raft);
    return result;
}

enum err solo_step(struct solo *s, struct raft_event e)
{
    enum err result = solo_feed(s, e);
    solo_take(s);
    solo_settle(s);
    return result;
}

void solo_sync(struct solo *s, uint32_t n)
{
    solo_complete(s, n);
    solo_take(s);
    solo_settle(s);
}

void solo_serve_loads(struct solo *s)
{
    solo_serve(s);
    solo_take(s);
    solo_settle(s);
}

/* --- life ------------------------------------------------------------------------------------ */

struct raft_saved solo_founding(const struct raft_membership *ms)
{
    struct raft_saved saved;
    memset(&saved, 0, sizeof(saved));
    if (ms->n > 0) {
        saved.snapshot = (struct raft_snapshot){.index = 1, .term = 1, .membership = *ms};
        saved.applied = 1;
        saved.hard_state.term = 1;
    }
    return saved;
}

static void solo_begin(struct solo *s, const struct raft_saved *saved)
{
    s->founded = saved->snapshot;
    s->disk_base = saved->snapshot.index;
    s->durable_hard_state = saved->hard_state;
    s->applying = u64_max(saved->applied, saved->snapshot.index);
    s->raft = raft_new(&s->cfg, saved, s->now);
}

void solo_start_saved(struct solo *s, const struct raft_config *cfg, const struct raft_saved *saved,
                      const raft_term *terms, uint32_t n)
{
    memset(s, 0, sizeof(*s));
    s->cfg = *cfg;
    s->now = 1000 * NANOS_PER_S;
    solo_begin(s, saved);
    for (uint32_t i = 0; i < n; i++) {
        struct raft_entry e = {.index = saved->snapshot.index + 1 + i,
                               .term = terms[i],
                               .payload = {(const uint8_t *)"payload", 7}};
        CHECK(raft_load_entry(s->raft, &e, false) == OK);
        solo_disk_write(s, &e);
    }
    CHECK(raft_load_done(s->raft) == OK);
    (void)solo_event(s, RAFT_EVENT_TICK, 0);
}

void solo_start(struct solo *s, const struct raft_config *cfg, const struct raft_membership *ms)
{
    struct raft_saved saved = solo_founding(ms);
    solo_start_saved(s, cfg, &saved, NULL, 0);
}

static void solo_drop_batches(struct solo *s)
{
    for (uint32_t i = 0; i < s->batch_count; i++) {
        for (uint32_t k = 0; k < s->batch[i].message_count; k++) {
            solo_free_message(s->batch[i].messages[k]);
        }
        mem_free(s->batch[i].messages);
    }
    s->batch_count = 0;
}

void solo_stop(struct solo *s)
{
    solo_drop_batches(s);
    solo_forget(s);
    mem_free(s->sent);
    solo_disk_truncate(s, 0);
    mem_free(s->disk);
    raft_free(s->raft);
    memset(s, 0, sizeof(*s));
}

void solo_restart(struct solo *s, uint64_t seed)
{
    raft_index durable = solo_status(s).durable;
    raft_free(s->raft);
    solo_drop_batches(s);
    solo_disk_truncate(s, durable);
    s->cfg.seed = seed;
    s->load_count = 0;
    s->deadline = 0;
    struct raft_saved saved = {
        .hard_state = s->durable_hard_state, .snapshot = s->founded, .applied = s->founded.index};
    saved.hard_state.commit = u64_min(saved.hard_state.commit, s->disk_base + s->disk_len);
    solo_begin(s, &saved);
    for (size_t i = 0; i < s->disk_len; i++) {
        struct raft_entry e = {.index = s->disk_base + 1 + i,
                               .term = s->disk[i].term,
                               .type = s->disk[i].type,
                               .payload = buf_view(&s->disk[i].payload)};
        CHECK(raft_load_entry(s->raft, &e, false) == OK);
    }
    CHECK(raft_load_done(s->raft) == OK);
    (void)solo_event(s, RAFT_EVENT_TICK, 0);
}

/* --- events ---------------------------------------------------------------------------------- */

enum err solo_event(struct solo *s, enum raft_event_type type, uint64_t argument)
{
    struct raft_event e = {.type = type};
    switch (type) {
    case RAFT_EVENT_TRANSFER:
    case RAFT_EVENT_UNREACHABLE:
    case RAFT_EVENT_STREAM_RESET:
    case RAFT_EVENT_SNAPSHOT_FAILED:
        e.node = argument;
        break;
    case RAFT_EVENT_READ:
        e.read.id = argument;
        break;
    case RAFT_EVENT_DISK:
        e.stalled = argument;
        break;
    case RAFT_EVENT_RECOVER_QUORUM:
        e.recover.consent = argument;
        break;
    case RAFT_EVENT_COMPACT:
    case RAFT_EVENT_APPLIED:
        e.index = argument;
        break;
    case RAFT_EVENT_TICK:
    case RAFT_EVENT_CAMPAIGN:
    case RAFT_EVENT_FORGET_LEADER:
    case RAFT_EVENT_SUSPENDED:
    case RAFT_EVENT_STOP:
        break;
    case RAFT_EVENT_MESSAGE:
    case RAFT_EVENT_PROPOSE:
    case RAFT_EVENT_CHANGE:
    case RAFT_EVENT_DURABLE:
    case RAFT_EVENT_LOADED:
    case RAFT_EVENT_SNAPSHOT_TAKEN:
    case RAFT_EVENT_CHUNK_READ:
    case RAFT_EVENT_CHUNK_WRITTEN:
    case RAFT_EVENT_DAMAGED:
    case RAFT_EVENT_TYPES:
        CHECK_UNREACHABLE("an event with more than a number");
    }
    return solo_step(s, e);
}

enum err solo_receive(struct solo *s, struct raft_message m)
{
    bool termless = m.type == RAFT_MSG_PROP || m.type == RAFT_MSG_READ_INDEX ||
                    m.type == RAFT_MSG_SNAP_FETCH || m.type == RAFT_MSG_SNAP_CHUNK ||
                    m.type == RAFT_MSG_REPAIR;
    m.to = s->cfg.id;
    if (m.term == 0 && !termless) {
        m.term = solo_status(s).term;
    }
    struct solo_message *kept = solo_keep_message(s, &m);
    enum err result =
        solo_step(s, (struct raft_event){.type = RAFT_EVENT_MESSAGE, .message = &kept->m});
    solo_free_message(kept);
    return result;
}

uint32_t solo_relay(struct solo *from, struct solo *to, enum raft_message_type type)
{
    uint32_t n = 0;
    for (size_t i = 0; i < from->sent_count; i++) {
        const struct raft_message *m = &from->sent[i]->m;
        if (m->to == to->cfg.id) {
            n += m->type == type;
            enum err ignored =
                solo_step(to, (struct raft_event){.type = RAFT_EVENT_MESSAGE, .message = m});
            (void)ignored;
        }
    }
    solo_forget(from);
    return n;
}

void solo_wait(struct solo *s, nanos span)
{
    nanos until = s->now + span;
    for (int i = 0; s->deadline <= until; i++) {
        CHECK(i < SOLO_TURNS_MAX); /* a deadline that stays in the past would spin a driver */
        s->now = u64_max(s->now + 1, s->deadline);
        (void)solo_event(s, RAFT_EVENT_TICK, 0);
    }
    s->now = u64_max(s->now, until);
}

enum err solo_propose(struct solo *s, size_t len)
{
    uint8_t *bytes = mem_alloc(len);
    memset(bytes, (int)(len & 0xff), len);
    struct bytes payload = {bytes, len};
    struct raft_event e = {.type = RAFT_EVENT_PROPOSE};
    e.propose.payloads = &payload;
    e.propose.n = 1;
    enum err result = solo_step(s, e);
    mem_free(bytes);
    return result;
}

enum err solo_read(struct solo *s, uint64_t id)
{
    return solo_event(s, RAFT_EVENT_READ, id);
}

enum err solo_change(struct solo *s, enum raft_conf_op op, node_id node)
{
    struct raft_conf_change change = {.transition = RAFT_TRANSITION_AUTO, .n = 1};
    change.single[0] =
        (struct raft_conf_single){.op = op, .node = node, .priority = RAFT_PRIORITY_DEFAULT};
    return solo_step(s, (struct raft_event){.type = RAFT_EVENT_CHANGE, .change = &change});
}

static void solo_grant(struct solo *s, enum raft_message_type ask, enum raft_message_type answer)
{
    for (size_t i = 0; i < s->sent_count; i++) {
        const struct raft_message *m = &s->sent[i]->m;
        if (m->type == ask && m->term >= solo_status(s).term) {
            (void)solo_receive(
                s, (struct raft_message){.type = answer, .from = m->to, .term = m->term});
        }
    }
}

void solo_elect(struct solo *s)
{
    solo_forget(s);
    if (s->cfg.lease_reads) {
        s->now +=
            s->cfg.election_timeout; /* in which a node that has just started promised to wait */
    }
    enum err e = solo_event(s, RAFT_EVENT_CAMPAIGN, 0);
    CHECK(e == OK);
    solo_grant(s, RAFT_MSG_PRE_VOTE, RAFT_MSG_PRE_VOTE_RESP);
    solo_grant(s, RAFT_MSG_VOTE, RAFT_MSG_VOTE_RESP);
    CHECK(solo_status(s).role == RAFT_LEADER);
    solo_forget(s);
}

void solo_ack(struct solo *s, node_id from, raft_index index)
{
    enum err e = solo_receive(
        s, (struct raft_message){.type = RAFT_MSG_APP_RESP, .from = from, .index = index});
    CHECK(e == OK);
}

void solo_ack_all(struct solo *s)
{
    struct raft_membership ms = *solo_status(s).membership;
    raft_index last = solo_status(s).last;
    for (uint32_t i = 0; i < ms.n; i++) {
        if (ms.member[i].id != s->cfg.id) {
            solo_ack(s, ms.member[i].id, last);
        }
    }
}

void solo_pulse(struct solo *s, node_id from)
{
    const struct raft_message *m = solo_sent(s, RAFT_MSG_HEARTBEAT, from);
    CHECK(m);
    (void)solo_receive(s, (struct raft_message){.type = RAFT_MSG_HEARTBEAT_RESP,
                                                .from = from,
                                                .context = m->context,
                                                .sent_at = m->sent_at});
}

void solo_wait_in_touch(struct solo *s, nanos span)
{
    nanos until = s->now + span;
    while (s->now < until) {
        solo_wait(s, u64_min(s->cfg.heartbeat_interval, until - s->now));
        struct raft_membership ms = *solo_status(s).membership;
        for (uint32_t i = 0; i < ms.n; i++) {
            if (ms.member[i].id != s->cfg.id && solo_sent(s, RAFT_MSG_HEARTBEAT, ms.member[i].id)) {
                solo_pulse(s, ms.member[i].id);
            }
        }
        solo_forget(s);
    }
}
