/* What has gathered for the driver, and what comes back from its disk. */
#include <string.h>

#include "core/base/mutant.h"
#include "core/base/probe.h"
#include "core/consensus/raft/raft_int.h"

#define RAFT_ARENA_BLOCK_BYTES (64 * 1024)

/* --- memory ---------------------------------------------------------------------------------- */

static void *arena_alloc(struct raft_arena *a, size_t n)
{
    n = (n + 15) / 16 * 16;
    struct raft_arena_block *block = a->blocks;
    if (!block || block->cap - block->used < n) {
        size_t cap = n > RAFT_ARENA_BLOCK_BYTES ? n : RAFT_ARENA_BLOCK_BYTES;
        block = mem_alloc(sizeof(*block) + cap);
        block->next = a->blocks;
        block->used = 0;
        block->cap = cap;
        a->blocks = block;
    }
    void *at = block->bytes + block->used;
    block->used += n;
    return at;
}

/* Frees all but one ordinary block, so that a steady state does not allocate. */
static void arena_reset(struct raft_arena *a)
{
    struct raft_arena_block *keep = NULL;
    while (a->blocks) {
        struct raft_arena_block *block = a->blocks;
        a->blocks = block->next;
        if (!keep && block->cap == RAFT_ARENA_BLOCK_BYTES) {
            keep = block;
        } else {
            mem_free(block);
        }
    }
    if (keep) {
        keep->next = NULL;
        keep->used = 0;
    }
    a->blocks = keep;
}

void *raft_arena_alloc(struct raft *r, size_t n)
{
    return arena_alloc(&raft_out(r)->arena, n);
}

struct bytes raft_arena_copy_bytes(struct raft *r, struct bytes b)
{
    if (b.len == 0) {
        return (struct bytes){NULL, 0};
    }
    uint8_t *copy = raft_arena_alloc(r, b.len);
    memcpy(copy, b.data, b.len);
    return (struct bytes){copy, b.len};
}

const struct raft_snapshot *raft_arena_copy_snapshot(struct raft *r, const struct raft_snapshot *s)
{
    struct raft_snapshot *copy = raft_arena_alloc(r, sizeof(*copy));
    *copy = *s;
    return copy;
}

struct raft_entry *raft_arena_copy_entries(struct raft *r, const struct raft_entry *entries,
                                           uint32_t n)
{
    struct raft_entry *copy = raft_arena_alloc(r, n * sizeof(*copy));
    for (uint32_t i = 0; i < n; i++) {
        copy[i] = entries[i];
        copy[i].payload = raft_arena_copy_bytes(r, entries[i].payload);
    }
    return copy;
}

/* --- the outbox ------------------------------------------------------------------------------ */

struct raft_outbox *raft_out(struct raft *r)
{
    return &r->outbox[r->filling];
}

static void outbox_clear(struct raft_outbox *o)
{
    o->now_count = 0;
    o->durable_count = 0;
    o->repair_count = 0;
    o->read_count = 0;
    o->lost_count = 0;
    o->load_count = 0;
    o->chunk_read_count = 0;
    o->chunk_write_count = 0;
    arena_reset(&o->arena);
}

void raft_outbox_deinit(struct raft_outbox *o)
{
    outbox_clear(o);
    mem_free(o->arena.blocks);
    mem_free(o->now);
    mem_free(o->durable);
    mem_free(o->entries);
    mem_free(o->repairs);
    mem_free(o->reads);
    mem_free(o->lost);
    mem_free(o->loads);
    mem_free(o->chunk_reads);
    mem_free(o->chunk_writes);
    memset(o, 0, sizeof(*o));
}

/* What promises something to others waits until the promise is on the disk [Ongaro14 §3.8]. A
 * request for votes promises that this member asks once in its term, with one log: it would forget
 * that, ask again with a shorter log, and be elected by the answer to the first. */
static bool outbox_waits(enum raft_message_type type, bool is_own)
{
    if ((MUTANT(OWN_VOTE_BEFORE_SYNC) && type == RAFT_MSG_VOTE) ||
        (MUTANT(VOTE_BEFORE_SYNC) && type == RAFT_MSG_VOTE_RESP && !is_own) ||
        (MUTANT(ACK_BEFORE_SYNC) && type == RAFT_MSG_APP_RESP && !is_own)) {
        return false;
    }
    return type == RAFT_MSG_APP_RESP || type == RAFT_MSG_VOTE_RESP ||
           type == RAFT_MSG_PRE_VOTE_RESP || type == RAFT_MSG_VOTE;
}

static bool outbox_termless(enum raft_message_type type)
{
    return type == RAFT_MSG_PROP || type == RAFT_MSG_READ_INDEX || type == RAFT_MSG_SNAP_FETCH ||
           type == RAFT_MSG_SNAP_CHUNK || type == RAFT_MSG_REPAIR;
}

struct raft_message *raft_send(struct raft *r, enum raft_message_type type, node_id to)
{
    struct raft_outbox *o = raft_out(r);
    struct raft_message m = {.type = type, .from = r->cfg.id, .to = to};
    m.term = outbox_termless(type) ? 0 : r->term;
    if (outbox_waits(type, to == r->cfg.id)) {
        RAFT_PUSH(o->durable, o->durable_count, o->durable_cap, m);
        return &o->durable[o->durable_count - 1];
    }
    CHECK(to != r->cfg.id);
    RAFT_PUSH(o->now, o->now_count, o->now_cap, m);
    return &o->now[o->now_count - 1];
}

void raft_push_load(struct raft *r, struct raft_load load)
{
    struct raft_outbox *o = raft_out(r);
    RAFT_PUSH(o->loads, o->load_count, o->load_cap, load);
}

/* Is it an append whose entries still have to be looked up in the log? */
static bool outbox_refers_to_log(const struct raft_message *m)
{
    return m->type == RAFT_MSG_APP && m->entry_count > 0 && !m->entries;
}

void raft_outbox_drop_appends(struct raft *r)
{
    struct raft_outbox *o = raft_out(r);
    size_t kept = 0;
    for (size_t i = 0; i < o->now_count; i++) {
        if (!outbox_refers_to_log(&o->now[i])) {
            o->now[kept++] = o->now[i];
            continue;
        }
        struct raft_peer *p = raft_peer_of(r, o->now[i].to);
        if (p && r->role == RAFT_LEADER && p->pr.state == RAFT_REPLICATE) {
            raft_progress_become_probe(&p->pr); /* it will not arrive: find out where to go on */
        } else if (p) {
            p->pr.append_paused = false;
        }
    }
    o->now_count = kept;
}

/* --- batches on their way to the disk -------------------------------------------------------- */

static struct raft_batch *batch_at(struct raft *r, uint32_t offset)
{
    return &r->batch[(r->batch_start + offset) % RAFT_BATCHES_MAX];
}

void raft_batches_truncated(struct raft *r, raft_index last)
{
    for (uint32_t i = 0; i < r->batch_count; i++) {
        struct raft_batch *b = batch_at(r, i);
        b->covers = MUTANT(LATE_WRITE_COUNTS) ? b->covers : u64_min(b->covers, last);
    }
}

void raft_batch_done(struct raft *r, uint64_t seq)
{
    CHECK(seq <= r->batch_seq);
    while (r->batch_count > 0 && r->batch[r->batch_start].seq <= seq) {
        struct raft_batch b = r->batch[r->batch_start];
        r->batch_start = (r->batch_start + 1) % RAFT_BATCHES_MAX;
        r->batch_count--;
        /* A queue that moves is slow, and no stall, however long the last in it has waited. */
        r->batch[r->batch_start].front_since = r->now;
        r->log.durable = u64_max(r->log.durable, u64_min(b.covers, r->log.handed));
        if (b.install && r->installing) {
            r->installing = false;
            r->snapshot = r->installing_snapshot;
            raft_leave_joint_if_due(r);
        }
        raft_repair_written(r, b.seq);
    }
    raft_tick_health(r);
}

/* --- taking an update ------------------------------------------------------------------------ */

static bool update_hard_state_changed(const struct raft *r)
{
    return r->told_hard_state.term != r->term || r->told_hard_state.vote != r->vote ||
           r->told_hard_state.commit != r->log.committed;
}

static void update_take_soft_state(struct raft *r, struct raft_update *u)
{
    u->role = r->role;
    u->leader = r->leader;
    u->has_soft_state = r->told_role != r->role || r->told_leader != r->leader;
    r->told_role = r->role;
    r->told_leader = r->leader;
    u->alarms = r->alarms;
    r->alarms = 0;
}

/* The oldest entry that a queued append refers to: its body must stay until it is looked up. */
static raft_index update_oldest_queued(const struct raft_outbox *o)
{
    raft_index oldest = UINT64_MAX;
    for (size_t i = 0; i < o->now_count; i++) {
        if (outbox_refers_to_log(&o->now[i])) {
            oldest = u64_min(oldest, o->now[i].index + 1);
        }
    }
    return oldest;
}

/* The first entry that some other member is not known to have. A follower does not know, and needs
 * none but to lead with: what is behind it then is not much, or on the disk. */
static raft_index update_first_wanted(const struct raft *r)
{
    raft_index wanted = UINT64_MAX;
    for (uint32_t i = 0; r->role == RAFT_LEADER && i < r->membership.n; i++) {
        if (r->membership.member[i].id != r->cfg.id) {
            wanted = u64_min(wanted, r->peer[i].pr.match + 1);
        }
    }
    return wanted;
}

void raft_make_room(struct raft *r, uint64_t cost)
{
    uint64_t max = r->cfg.max_cached_bytes;
    uint64_t stays = u64_min(max / 2, u64_sub_sat(max, cost));
    uint64_t unwanted = u64_min(max / RAFT_UNWANTED_SHARE, stays);
    if (r->log.cached_bytes > unwanted) {
        raft_index keep = update_oldest_queued(raft_out(r));
        raft_log_trim(&r->log, unwanted, u64_min(keep, update_first_wanted(r)));
        raft_log_trim(&r->log, stays, keep);
    }
}

static size_t update_entries_needed(const struct raft *r, const struct raft_outbox *o)
{
    size_t n = (size_t)(r->log.last - r->log.handed);
    for (size_t i = 0; i < o->now_count; i++) {
        n += outbox_refers_to_log(&o->now[i]) ? o->now[i].entry_count : 0;
    }
    return n;
}

static void update_copy_entries(const struct raft *r, raft_index from, size_t n,
                                struct raft_entry *to)
{
    for (size_t i = 0; i < n; i++) {
        to[i] = *raft_log_entry(&r->log, from + i);
    }
}

/* A witness is sent heads: what an entry says to Raft itself stays, the state machine's goes. */
void raft_strip_for_witness(const struct raft *r, node_id to, struct raft_entry *entries, size_t n)
{
    const struct raft_member *member = raft_membership_lookup(&r->membership, to);
    if (!member || !(member->roles & RAFT_WITNESS)) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (entries[i].type == RAFT_ENTRY_NORMAL) {
            entries[i].payload = (struct bytes){NULL, 0};
        }
    }
}

static size_t update_resolve_messages(struct raft *r, struct raft_outbox *o, size_t used)
{
    for (size_t i = 0; i < o->now_count; i++) {
        struct raft_message *m = &o->now[i];
        if (outbox_refers_to_log(m) && raft_membership_slot(&r->membership, m->to) < 0) {
            m->entry_count = 0; /* removed since: nobody knows now whether it may have payloads */
        } else if (outbox_refers_to_log(m)) {
            update_copy_entries(r, m->index + 1, m->entry_count, o->entries + used);
            raft_strip_for_witness(r, m->to, o->entries + used, m->entry_count);
            m->entries = o->entries + used;
            used += m->entry_count;
        }
    }
    return used;
}

static bool update_has_batch(const struct raft *r)
{
    const struct raft_outbox *o = &r->outbox[r->filling];
    return r->log.last > r->log.handed || update_hard_state_changed(r) ||
           (r->installing && !r->install_handed) || o->repair_count > 0 || o->durable_count > 0;
}

static void update_take_batch(struct raft *r, struct raft_outbox *o, size_t used,
                              struct raft_update *u)
{
    struct raft_batch *b = batch_at(r, r->batch_count++);
    *b = (struct raft_batch){.seq = ++r->batch_seq, .covers = r->log.last, .front_since = r->now};
    u->persist_seq = b->seq;
    u->hard_state = (struct raft_hard_state){r->term, r->vote, r->log.committed};
    u->has_hard_state = update_hard_state_changed(r);
    u->entry_count = (uint32_t)(r->log.last - r->log.handed);
    u->must_sync = u->entry_count > 0 || o->repair_count > 0 ||
                   r->told_hard_state.term != r->term || r->told_hard_state.vote != r->vote;
    r->told_hard_state = u->hard_state;
    if (u->entry_count > 0) {
        update_copy_entries(r, r->log.handed + 1, u->entry_count, o->entries + used);
        u->entries = o->entries + used;
    }
    r->log.handed = r->log.last;
    if (r->installing && !r->install_handed) {
        o->install = r->installing_snapshot;
        u->install = &o->install;
        u->install_keeps_log = r->install_keeps_log;
        b->install = true;
        r->install_handed = true;
    }
    u->repairs = o->repairs;
    u->repair_count = (uint32_t)o->repair_count;
    if (u->repair_count > 0 && r->repair.writing > 0 && r->repair.writing_batch == 0) {
        r->repair.writing_batch = b->seq;
    }
    u->messages_durable = o->durable;
    u->message_durable_count = (uint32_t)o->durable_count;
}

/* Of what waits for the disk the newest word to each says all that those before it said, and is of
 * no earlier term. */
static bool outbox_replaces(const struct raft_message *newer, const struct raft_message *older)
{
    return newer->type == older->type && newer->to == older->to && newer->reject == older->reject;
}

/* While a disk hangs, or is full, answers are not to gather without end: any message may be lost.
 */
static void outbox_condense(struct raft_outbox *o)
{
    size_t kept = 0;

    for (size_t i = 0; i < o->durable_count; i++) {
        size_t at = 0;
        while (at < kept && !outbox_replaces(&o->durable[i], &o->durable[at])) {
            at++;
        }
        o->durable[at] = o->durable[i];
        kept += at == kept;
    }
    o->durable_count = kept;
}

/* With every batch in use, answers wait in the outbox that is filled next. */
static void update_keep_for_later(struct raft *r, struct raft_outbox *from)
{
    struct raft_outbox *to = &r->outbox[1 - r->filling];
    CHECK(to->durable_count == 0 && to->repair_count == 0);
    struct raft_message *items = to->durable;
    size_t cap = to->durable_cap;
    to->durable = from->durable;
    to->durable_count = from->durable_count;
    to->durable_cap = from->durable_cap;
    from->durable = items;
    from->durable_count = 0;
    from->durable_cap = cap;
    CHECK(from->repair_count == 0);
    outbox_condense(to);
}

static raft_index update_appliable(const struct raft *r)
{
    raft_index to = MUTANT(APPLY_UNCOMMITTED) ? r->log.last : r->log.committed;
    if (!r->cfg.apply_before_durable) {
        to = u64_min(to, r->log.durable);
    }
    return u64_min(to, raft_vouched(r));
}

/* Entries that come from the disk again: those behind what is in memory, after a restart. */
static void update_apply_loaded(struct raft *r, raft_index to, struct raft_update *u)
{
    raft_index from = r->log.applying + 1;
    if (r->apply_loaded_count > 0) {
        CHECK(r->apply_loaded[0].index == from);
        u->committed = r->apply_loaded;
        PROBE(RAFT_APPLY_LOADED);
        u->committed_count = (uint32_t)u64_min(r->apply_loaded_count, to - from + 1);
        r->apply_loaded_count = 0;
        return;
    }
    if (!r->apply_loading && r->log.applying == r->log.applied) {
        r->apply_loading = true;
        raft_push_load(r, (struct raft_load){.peer = r->cfg.id,
                                             .first = from,
                                             .last = u64_min(to, r->log.cached - 1),
                                             .max_bytes = r->cfg.max_applying_bytes});
    }
}

static bool update_apply_has_room(const struct raft *r)
{
    if (r->log.applying == r->log.applied) {
        return true;
    }
    if (r->applying_bytes >= r->cfg.max_applying_bytes ||
        !raft_log_has_body(&r->log, r->log.applying + 1)) {
        return false;
    }
    uint64_t cost =
        raft_log_entry(&r->log, r->log.applying + 1)->payload.len + RAFT_ENTRY_OVERHEAD_BYTES;
    return r->applying_bytes + cost <= r->cfg.max_applying_bytes;
}

static bool update_can_apply(const struct raft *r)
{
    bool has = !r->installing && update_appliable(r) > r->log.applying && update_apply_has_room(r);
    bool waits = !raft_log_has_body(&r->log, r->log.applying + 1) && r->apply_loading;
    return has && !waits;
}

static size_t update_reserve_apply(const struct raft *r, uint64_t *ret_bytes)
{
    *ret_bytes = 0;
    if (!update_can_apply(r) || !raft_log_has_body(&r->log, r->log.applying + 1)) {
        return 0;
    }
    uint64_t room = u64_sub_sat(r->cfg.max_applying_bytes, r->applying_bytes);
    return raft_log_fit(&r->log, r->log.applying + 1, update_appliable(r), room, ret_bytes);
}

static void update_take_committed(struct raft *r, struct raft_outbox *o, size_t used, size_t n,
                                  uint64_t bytes, struct raft_update *u)
{
    if (n > 0) {
        update_copy_entries(r, r->log.applying + 1, n, o->entries + used);
        u->committed = o->entries + used;
        u->committed_count = (uint32_t)n;
        r->applying_bytes += bytes + n * RAFT_ENTRY_OVERHEAD_BYTES;
    } else if (update_can_apply(r)) {
        update_apply_loaded(r, update_appliable(r), u);
    }
    if (u->committed_count > 0) {
        r->log.applying += u->committed_count;
        if (r->health.apply_since == 0) {
            r->health.apply_since = r->now;
        }
    }
}

static nanos update_deadline(const struct raft *r)
{
    nanos deadline = u64_min(raft_health_deadline(r), raft_fetch_deadline(r));
    deadline = u64_min(deadline, raft_repair_deadline(r));
    if (r->role == RAFT_LEADER) {
        deadline = u64_min(deadline, r->heartbeat_start + r->cfg.heartbeat_interval);
        deadline = r->commit_due != 0 ? u64_min(deadline, r->commit_due) : deadline;
        return u64_min(deadline, r->election_start + r->cfg.election_timeout);
    }
    nanos campaign = r->election_start + r->election_timeout_drawn;
    if (campaign <= r->now) {
        campaign = r->now + r->cfg.heartbeat_interval; /* it may not now, but perhaps then */
    }
    return u64_min(deadline, campaign);
}

static void update_expose(const struct raft_outbox *o, struct raft_update *u)
{
    u->messages = o->now;
    u->message_count = (uint32_t)o->now_count;
    u->reads = o->reads;
    u->read_count = (uint32_t)o->read_count;
    u->reads_lost = o->lost;
    u->read_lost_count = (uint32_t)o->lost_count;
    u->loads = o->loads;
    u->load_count = (uint32_t)o->load_count;
    u->chunk_reads = o->chunk_reads;
    u->chunk_read_count = (uint32_t)o->chunk_read_count;
    u->chunk_writes = o->chunk_writes;
    u->chunk_write_count = (uint32_t)o->chunk_write_count;
}

bool raft_has_update(const struct raft *r)
{
    const struct raft_outbox *o = &r->outbox[r->filling];
    bool batch = r->batch_count < RAFT_BATCHES_MAX && update_has_batch(r);
    bool soft = r->told_role != r->role || r->told_leader != r->leader || r->alarms != 0;
    bool reads = r->role == RAFT_LEADER && raft_read_round(r) > r->reads.announced;
    return batch || soft || reads || o->now_count > 0 || o->read_count > 0 || o->lost_count > 0 ||
           o->load_count > 0 || o->chunk_read_count > 0 || o->chunk_write_count > 0 ||
           update_can_apply(r);
}

void raft_take_update(struct raft *r, struct raft_update *ret)
{
    CHECK(r->loaded);
    memset(ret, 0, sizeof(*ret));
    raft_reads_announce(r);
    struct raft_outbox *o = raft_out(r);
    outbox_clear(&r->outbox[1 - r->filling]);
    raft_make_room(r, 0);

    update_take_soft_state(r, ret);
    uint64_t apply_bytes;
    size_t apply = update_reserve_apply(r, &apply_bytes);
    size_t need = update_entries_needed(r, o) + apply;
    mem_grow((void **)&o->entries, &o->entry_cap, need, sizeof(o->entries[0]));
    size_t used = update_resolve_messages(r, o, 0);
    if (update_has_batch(r)) {
        if (r->batch_count < RAFT_BATCHES_MAX) {
            update_take_batch(r, o, used, ret);
            used += ret->entry_count;
        } else {
            update_keep_for_later(r, o);
            PROBE(RAFT_BATCHES_FULL);
        }
    }
    update_take_committed(r, o, used, apply, apply_bytes, ret);
    update_expose(o, ret);
    ret->deadline = update_deadline(r);
    r->deadline = ret->deadline;
    r->filling = 1 - r->filling;
}
