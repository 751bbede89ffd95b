/*
 * A log that lost something. Until it is whole again the node neither votes nor leads, because it
 * cannot vouch for what it may have promised ("Protocol-Aware Recovery" [Alagappan18]); it keeps
 * following, so that it can be repaired. Three kinds of loss, told apart by what is still known:
 *
 *  - Bodies: the terms of all entries are known, some payloads are not. An entry is named by its
 *    index and term (Log Matching), so the same entry from any member will do, leader or not: even
 *    a cluster in which every log is damaged somewhere else heals. The node asks all members, and
 *    writes what it receives in place. It acknowledges nothing at or after the first damaged entry,
 *    and applies nothing of it.
 *  - Log: from some index on nothing is known; what was there may have been acknowledged. The
 * leader is told, forgets what it counted on (its `match` goes back), and names the end of its log
 * at that moment, the floor. Whatever this node ever acknowledged and a quorum committed is in the
 *    log of a later leader, below the floor; and what the leader commits from now on counts only
 * new acknowledgements. So the node can vouch once its log has reached the floor under that same
 *    leader.
 *  - Vote: the node may have voted in terms that it does not know, for candidates that may still be
 *    waiting for its answer. A candidate has its own term on its disk before it asks; so the node
 *    waits until every other voter has told its term, and does not vote in the highest of them. If
 * a voter is gone for good, its removal from the membership ends the wait.
 *
 * Answers carry the nonce of the question, so that one to an earlier loss is not taken for one to
 * this. If no copy of an entry is left, the questions go on without end, the node stays impaired,
 * and says so.
 */
#include <string.h>

#include "core/base/probe.h"
#include "core/consensus/raft/raft_int.h"

bool raft_is_impaired(const struct raft *r)
{
    return r->repair.lost_vote || r->repair.lost_from != 0 || r->repair.range_count > 0;
}

raft_index raft_damaged_from(const struct raft *r)
{
    return r->repair.range_count > 0 ? r->repair.range[0].first : 0;
}

raft_index raft_vouched(const struct raft *r)
{
    return r->repair.range_count > 0 ? r->repair.range[0].first - 1 : UINT64_MAX;
}

/* --- losses ---------------------------------------------------------------------------------- */

static void repair_begin(struct raft *r, bool was_impaired)
{
    r->repair.nonce = prng_u64(&r->prng) | 1;
    r->repair.asked_once = false;
    if (!was_impaired && r->loaded) {
        r->alarms |= RAFT_ALARM_IMPAIRED;
    }
    if (r->role == RAFT_LEADER) {
        node_id successor = raft_best_successor(r);
        if (successor != NODE_NONE) {
            raft_send_timeout_now(r, successor);
        }
    }
    if (r->role != RAFT_FOLLOWER) {
        raft_become_follower(r, r->term, NODE_NONE);
    }
}

static void repair_insert(struct raft_repair *q, struct raft_range x)
{
    uint32_t at = 0;
    while (at < q->range_count && q->range[at].last + 1 < x.first) {
        at++;
    }
    /* Joins every range that it touches. */
    while (at < q->range_count && q->range[at].first <= x.last + 1) {
        x.first = u64_min(x.first, q->range[at].first);
        x.last = u64_max(x.last, q->range[at].last);
        q->range_count--;
        memmove(&q->range[at], &q->range[at + 1], (q->range_count - at) * sizeof(q->range[0]));
    }
    if (q->range_count == RAFT_DAMAGED_MAX) {
        /* Full: what lies between this one and a neighbour is fetched along with them. */
        uint32_t neighbour = at == 0 ? 0 : at - 1;
        q->range[neighbour].first = u64_min(q->range[neighbour].first, x.first);
        q->range[neighbour].last = u64_max(q->range[neighbour].last, x.last);
        return;
    }
    memmove(&q->range[at + 1], &q->range[at], (q->range_count - at) * sizeof(q->range[0]));
    q->range[at] = x;
    q->range_count++;
}

void raft_repair_note_damage(struct raft *r, raft_index first, raft_index last)
{
    first = u64_max(first, raft_log_first(&r->log));
    last = u64_min(last, r->log.last);
    if (first > last || first == 0) {
        return;
    }
    bool was_impaired = raft_is_impaired(r);
    r->repair.writing = 0;
    repair_insert(&r->repair, (struct raft_range){first, last});
    repair_begin(r, was_impaired);
}

void raft_repair_lost_log(struct raft *r, raft_index from)
{
    CHECK(from > 0);
    bool was_impaired = raft_is_impaired(r);
    r->repair.lost_from = r->repair.lost_from == 0 ? from : u64_min(r->repair.lost_from, from);
    r->repair.floor_known = false;
    repair_begin(r, was_impaired);
}

/* The entries from `from` on conflicted with the leader's: their bodies need no repair. */
void raft_repair_truncated(struct raft *r, raft_index from)
{
    struct raft_repair *q = &r->repair;
    while (q->range_count > 0 && q->range[q->range_count - 1].first >= from) {
        q->range_count--;
        q->writing = q->range_count == 0 ? 0 : q->writing;
    }
    if (q->range_count > 0 && q->range[q->range_count - 1].last >= from) {
        q->range[q->range_count - 1].last = from - 1;
    }
}

/* A snapshot or a compaction replaced the entries up to `index`. */
void raft_repair_restored(struct raft *r, raft_index index)
{
    struct raft_repair *q = &r->repair;
    uint32_t gone = 0;
    while (gone < q->range_count && q->range[gone].last <= index) {
        gone++;
    }
    q->range_count -= gone;
    memmove(q->range, q->range + gone, q->range_count * sizeof(q->range[0]));
    if (gone > 0 || (q->range_count > 0 && q->range[0].first <= index)) {
        q->writing = 0;
    }
    if (q->range_count > 0 && q->range[0].first <= index) {
        q->range[0].first = index + 1;
    }
}

/* --- asking ---------------------------------------------------------------------------------- */

static void repair_ask_one(struct raft *r, node_id to)
{
    struct raft_message *m = raft_send(r, RAFT_MSG_REPAIR, to);
    m->context = r->repair.nonce;
    m->lost_vote = r->repair.lost_vote;
    m->lost_log = r->repair.lost_from != 0;
    m->commit = r->log.last;
    if (r->repair.range_count > 0 && r->repair.writing == 0) {
        m->index = r->repair.range[0].first;
        m->hint = r->repair.range[0].last;
    }
}

static void repair_ask(struct raft *r)
{
    r->repair.asked = r->now;
    r->repair.asked_once = true;
    for (uint32_t i = 0; i < r->membership.n; i++) {
        if (r->membership.member[i].id != r->cfg.id) {
            repair_ask_one(r, r->membership.member[i].id);
        }
    }
    /* With an empty disk nobody is known but the leader, from its heartbeats. */
    if (r->leader != NODE_NONE && raft_membership_slot(&r->membership, r->leader) < 0) {
        repair_ask_one(r, r->leader);
    }
}

static nanos repair_interval(const struct raft *r)
{
    return 2 * r->cfg.heartbeat_interval;
}

void raft_tick_repair(struct raft *r)
{
    bool due = !r->repair.asked_once || r->now - r->repair.asked >= repair_interval(r);
    if (raft_is_impaired(r) && due) {
        repair_ask(r);
    }
}

nanos raft_repair_deadline(const struct raft *r)
{
    if (!raft_is_impaired(r)) {
        return NANOS_FOREVER;
    }
    return r->repair.asked_once ? r->repair.asked + repair_interval(r) : r->now;
}

/* --- answering ------------------------------------------------------------------------------- */

static struct raft_message *repair_answer(struct raft *r, node_id to, uint64_t nonce)
{
    struct raft_message *m = raft_send(r, RAFT_MSG_REPAIR_RESP, to);
    m->context = nonce;
    return m;
}

/* How many entries from `first` on have intact bodies in memory here. */
static uint32_t repair_available(const struct raft *r, raft_index first, raft_index last)
{
    uint64_t bytes;
    last = u64_min(last, u64_min(r->log.last, raft_vouched(r)));
    if (!raft_log_has_body(&r->log, first) || last < first) {
        return 0;
    }
    last = u64_min(last, first + RAFT_MESSAGE_ENTRIES_MAX - 1);
    return raft_log_fit(&r->log, first, last, r->cfg.max_append_bytes, &bytes);
}

static struct raft_entry *repair_collect(struct raft *r, raft_index first, uint32_t n)
{
    struct raft_entry *entries = raft_arena_alloc(r, n * sizeof(*entries));
    for (uint32_t i = 0; i < n; i++) {
        entries[i] = *raft_log_entry(&r->log, first + i);
    }
    return raft_arena_copy_entries(r, entries, n);
}

static void repair_answer_bodies(struct raft *r, const struct raft_message *m,
                                 struct raft_message *out)
{
    /* A witness has no bodies, and whoever is no member any more may have been one. */
    const struct raft_member *own = raft_own_member(r);
    if (m->index == 0 || m->hint < m->index || !own || (own->roles & RAFT_WITNESS)) {
        return;
    }
    /* Nor must it be given any. If it joined, and this node has not heard, others have. */
    if (raft_membership_slot(&r->membership, m->from) < 0) {
        return;
    }
    uint32_t n = repair_available(r, m->index, m->hint);
    if (n > 0) {
        out->index = m->index;
        out->entry_count = n;
        struct raft_entry *entries = repair_collect(r, m->index, n);
        raft_strip_for_witness(r, m->from, entries, n);
        out->entries = entries;
        return;
    }
    bool on_disk =
        m->index > r->log.snapshot_index && m->index < r->log.cached && m->index <= raft_vouched(r);
    if (on_disk) {
        PROBE(RAFT_REPAIR_FROM_DISK);
        raft_push_load(r, (struct raft_load){.peer = m->from,
                                             .first = m->index,
                                             .last = u64_min(m->hint, r->log.cached - 1),
                                             .max_bytes = r->cfg.max_append_bytes,
                                             .repair = m->context});
    }
}

void raft_on_repair_request(struct raft *r, const struct raft_message *m)
{
    struct raft_peer *p = raft_peer_of(r, m->from);
    struct raft_message *out = repair_answer(r, m->from, m->context);
    bool leads = r->role == RAFT_LEADER && p;
    if (p) {
        p->pr.impaired = r->now;
    }
    if (m->lost_log && leads) {
        out->lost_log = true;
        PROBE(RAFT_PROGRESS_REGRESSED);
        out->index = r->log.last;
        raft_progress_regress(&p->pr, u64_min(r->log.last, m->commit) + 1);
        p->pr.recent_active = true;
    } else {
        repair_answer_bodies(r, m, out);
    }
    bool compacted = m->index != 0 && m->index <= r->log.snapshot_index;
    if (leads && compacted && p->pr.state != RAFT_SNAPSHOT) {
        /* No entry can help any more, but a snapshot can. */
        p->pr.recent_active = true;
        (void)raft_offer_snapshot(r, (uint32_t)raft_membership_slot(&r->membership, m->from));
    } else if (leads && m->lost_log) {
        raft_send_append(r, (uint32_t)raft_membership_slot(&r->membership, m->from), true);
    }
}

void raft_repair_loaded(struct raft *r, const struct raft_event *e)
{
    bool is_member = raft_membership_slot(&r->membership, e->loaded.peer) >= 0;
    if (e->loaded.n == 0 || e->loaded.n > RAFT_MESSAGE_ENTRIES_MAX || !is_member) {
        return; /* it may have been removed meanwhile */
    }
    struct raft_message *out = repair_answer(r, e->loaded.peer, e->loaded.repair);
    out->index = e->loaded.first;
    struct raft_entry *entries = raft_arena_copy_entries(r, e->loaded.entries, e->loaded.n);
    raft_strip_for_witness(r, e->loaded.peer, entries, e->loaded.n);
    out->entry_count = e->loaded.n;
    out->entries = entries;
}

/* --- being answered -------------------------------------------------------------------------- */

/* Queues the entries that are the damaged ones for the disk, from the first on. */
static enum err repair_take_bodies(struct raft *r, const struct raft_message *m)
{
    struct raft_repair *q = &r->repair;
    if (q->range_count == 0 || q->writing > 0 || r->batch_count == RAFT_BATCHES_MAX) {
        return OK;
    }
    struct raft_outbox *o = raft_out(r);
    q->writing_batch = 0;
    for (uint32_t i = 0; i < m->entry_count; i++) {
        struct raft_entry e = m->entries[i];
        raft_index next = q->range[0].first + q->writing;
        if (e.index != next || next > q->range[0].last) {
            continue;
        }
        if (e.term != raft_log_term(&r->log, e.index)) {
            return OK; /* another entry at this place: not the one that was lost */
        }
        e.payload = raft_arena_copy_bytes(r, e.payload);
        RAFT_PUSH(o->repairs, o->repair_count, o->repair_cap, e);
        if (e.type != RAFT_ENTRY_NORMAL && e.index > r->log.applied) {
            raft_note_conf(r, e.index, e.type, e.payload);
        }
        q->writing++;
    }
    return OK;
}

enum err raft_on_repair_response(struct raft *r, const struct raft_message *m)
{
    struct raft_peer *p = raft_peer_of(r, m->from);
    if (!raft_is_impaired(r) || m->context != r->repair.nonce) {
        return OK;
    }
    for (uint32_t i = 0; i < m->entry_count; i++) {
        if ((unsigned)m->entries[i].type >= RAFT_ENTRY_TYPES) {
            return ERR_PROTOCOL;
        }
    }
    if (p) {
        p->told_term = true;
    }
    if (m->lost_log && m->term == r->term && r->leader == m->from) {
        r->repair.floor_known = true;
        r->repair.floor_term = r->term;
        r->repair.floor = m->index;
    }
    return repair_take_bodies(r, m);
}

/* A batch reached the disk. Repairs in an earlier one, of what was asked for before further damage
 * was found, say nothing about those that are being written now. */
void raft_repair_written(struct raft *r, uint64_t batch)
{
    struct raft_repair *q = &r->repair;
    if (q->range_count == 0 || q->writing == 0 || q->writing_batch != batch) {
        return;
    }
    q->range[0].first += q->writing;
    PROBE(RAFT_REPAIR_BODIES);
    q->writing = 0;
    if (q->range[0].first > q->range[0].last) {
        q->range_count--;
        memmove(q->range, q->range + 1, q->range_count * sizeof(q->range[0]));
    }
    q->asked_once = false; /* for the rest, at once */
    raft_tick_repair(r);
}

static bool repair_all_told(const struct raft *r)
{
    unsigned voters = 0;
    for (uint32_t i = 0; i < r->membership.n; i++) {
        const struct raft_member *m = &r->membership.member[i];
        voters += raft_member_votes(m);
        if (raft_member_votes(m) && m->id != r->cfg.id && !r->peer[i].told_term) {
            return false;
        }
    }
    return voters > 0;
}

/* After each step: is anything whole again? */
void raft_repair_progress(struct raft *r)
{
    struct raft_repair *q = &r->repair;
    if (!q->told && !raft_is_impaired(r)) {
        return;
    }
    q->told = true;
    if (q->lost_vote && repair_all_told(r)) {
        q->lost_vote = false;
        PROBE(RAFT_REPAIR_VOTE);
        if (r->vote == NODE_NONE) {
            r->vote = r->cfg.id; /* in this term it may have voted already: not again */
        }
    }
    /* Not while terms are missing: this leader's may be over, and its end says nothing about what
     * was acknowledged to a later one. */
    if (q->lost_from != 0 && !q->lost_vote && q->floor_known && q->floor_term == r->term &&
        r->matched >= q->floor && r->log.durable >= q->floor) {
        q->lost_from = 0;
        PROBE(RAFT_REPAIR_LOG);
        q->floor_known = false;
    }
    if (!raft_is_impaired(r)) {
        q->told = false;
        r->alarms |= RAFT_ALARM_REPAIRED;
        if (r->role == RAFT_FOLLOWER && r->leader != NODE_NONE) {
            raft_acknowledge(r, r->leader, u64_min(r->matched, r->log.durable));
        }
    }
}
