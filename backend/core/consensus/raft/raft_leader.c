/* The leader's part: proposals, replication and commitment [Ongaro14 §3.5, §3.6.2]. */
#include <string.h>

#include "core/base/mutant.h"
#include "core/base/probe.h"
#include "core/consensus/raft/raft_int.h"

/* --- proposals ------------------------------------------------------------------------------- */

void raft_leader_append(struct raft *r, enum raft_entry_type type, struct bytes payload)
{
    CHECK(r->role == RAFT_LEADER);
    raft_append_entry(r, r->term, type, payload);
    r->uncommitted_bytes += payload.len;
    /* The leader acknowledges its own entry like any follower: when it is durable. */
    raft_send(r, RAFT_MSG_APP_RESP, r->cfg.id)->index = r->log.last;
}

enum err raft_leader_admit(const struct raft *r, uint64_t bytes, uint32_t n)
{
    if (r->cfg.max_uncommitted_bytes != 0 && bytes > 0 && r->uncommitted_bytes > 0 &&
        r->uncommitted_bytes + bytes > r->cfg.max_uncommitted_bytes) {
        PROBE(RAFT_UNCOMMITTED_LIMIT);
        return ERR_BUSY;
    }
    uint64_t cost = bytes + (uint64_t)n * RAFT_ENTRY_OVERHEAD_BYTES;
    return raft_cache_takes(r, cost) ? OK : ERR_BUSY;
}

enum err raft_propose(struct raft *r, const struct bytes *payloads, uint32_t n)
{
    CHECK(n > 0);
    if (raft_own_slot(r) < 0 || r->transferee != NODE_NONE || r->stopping) {
        PROBE(RAFT_PROPOSAL_DROPPED);
        return ERR_DROPPED;
    }
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (payloads[i].len > RAFT_MESSAGE_BYTES_MAX / 2) {
            return ERR_TOO_LARGE;
        }
        bytes += payloads[i].len;
    }
    raft_make_room(r, bytes + (uint64_t)n * RAFT_ENTRY_OVERHEAD_BYTES);
    TRY(raft_leader_admit(r, bytes, n));
    for (uint32_t i = 0; i < n; i++) {
        raft_append_entry(r, r->term, RAFT_ENTRY_NORMAL, payloads[i]);
    }
    r->uncommitted_bytes += bytes;
    raft_send(r, RAFT_MSG_APP_RESP, r->cfg.id)->index = r->log.last;
    raft_broadcast_append(r);
    return OK;
}

/* --- sending --------------------------------------------------------------------------------- */

/* Only of what has left memory: that is durable and applied, and never changes. What is behind it
 * may be replaced before the answer is there, by another leader, and this member may lead again. */
static void leader_ask_load(struct raft *r, uint32_t slot)
{
    struct raft_progress *pr = &r->peer[slot].pr;
    CHECK(pr->next < r->log.cached);
    pr->loading = true;
    PROBE(RAFT_PEER_LOAD);
    raft_push_load(
        r, (struct raft_load){.peer = r->membership.member[slot].id,
                              .first = pr->next,
                              .last = u64_min(raft_in_sync_sendable(r, slot), r->log.cached - 1),
                              .max_bytes = r->cfg.max_append_bytes});
}

static struct raft_message *leader_new_append(struct raft *r, uint32_t slot)
{
    struct raft_progress *pr = &r->peer[slot].pr;
    struct raft_message *m = raft_send(r, RAFT_MSG_APP, r->membership.member[slot].id);
    m->index = pr->next - 1;
    m->log_term = raft_log_term(&r->log, pr->next - 1);
    m->commit = r->log.committed;
    return m;
}

/* Sends what comes next to a member: entries, or where `send_if_empty` the commit index alone.
 * Returns whether something was sent, so that a caller can send until the window is full. */
bool raft_send_append(struct raft *r, uint32_t slot, bool send_if_empty)
{
    struct raft_progress *pr = &r->peer[slot].pr;
    if (raft_progress_is_paused(pr)) {
        return false;
    }
    if (pr->next - 1 < r->log.snapshot_index) {
        return raft_offer_snapshot(r, slot);
    }
    /* With a full window an empty append still goes, one a heartbeat: if everything in flight was
     * lost, its refusal is what opens the window again. */
    bool window_open = pr->state != RAFT_REPLICATE || !raft_inflights_full(&pr->inflights);
    uint32_t n = 0;
    uint64_t bytes = 0;
    if (!window_open) {
        PROBE(RAFT_WINDOW_FULL);
    }
    raft_index last = raft_in_sync_sendable(r, slot);
    if (window_open && pr->next <= last) {
        if (!raft_log_has_body(&r->log, pr->next)) {
            leader_ask_load(r, slot);
            return false;
        }
        raft_index to = u64_min(last, pr->next + RAFT_MESSAGE_ENTRIES_MAX - 1);
        n = raft_log_fit(&r->log, pr->next, to, r->cfg.max_append_bytes, &bytes);
    }
    if (n == 0 && !send_if_empty) {
        return false;
    }
    struct raft_message *m = leader_new_append(r, slot);
    m->entry_count = n;
    raft_progress_sent(pr, n, bytes);
    pr->sent_commit = m->commit;
    return true;
}

void raft_await_commit(struct raft *r, node_id id, raft_index index)
{
    int slot = raft_membership_slot(&r->membership, id);
    if (slot >= 0) {
        struct raft_progress *pr = &r->peer[slot].pr;
        pr->awaited_commit = u64_max(pr->awaited_commit, index);
    }
}

void raft_broadcast_append(struct raft *r)
{
    for (uint32_t i = 0; i < r->membership.n; i++) {
        if (r->membership.member[i].id != r->cfg.id) {
            raft_send_append(r, i, true);
        }
    }
}

void raft_broadcast_heartbeat(struct raft *r)
{
    uint64_t round = raft_read_round(r);
    for (uint32_t i = 0; i < r->membership.n; i++) {
        struct raft_progress *pr = &r->peer[i].pr;
        if (r->membership.member[i].id == r->cfg.id) {
            continue;
        }
        struct raft_message *m = raft_send(r, RAFT_MSG_HEARTBEAT, r->membership.member[i].id);
        /* Never beyond what the member is known to share: its log may end in something else. */
        m->commit =
            MUTANT(HEARTBEAT_COMMIT) ? r->log.committed : u64_min(pr->match, r->log.committed);
        m->context = round;
        m->sent_at = r->now;
        pr->sent_commit = m->commit;
    }
    r->reads.announced = u64_max(r->reads.announced, round);
}

/* The entries that a slow member needs came back from the disk. */
void raft_on_loaded(struct raft *r, const struct raft_event *e)
{
    if (e->loaded.repair != 0) {
        raft_repair_loaded(r, e);
        return;
    }
    if (e->loaded.peer == r->cfg.id) {
        r->apply_loading = false;
        bool fits = e->loaded.n > 0 && e->loaded.first == r->log.applying + 1 && !r->installing;
        r->apply_loaded = fits ? e->loaded.entries : NULL;
        r->apply_loaded_count = fits ? e->loaded.n : 0;
        return;
    }
    int slot = raft_membership_slot(&r->membership, e->loaded.peer);
    if (slot < 0 || r->role != RAFT_LEADER || !r->peer[slot].pr.loading) {
        return;
    }
    struct raft_progress *pr = &r->peer[slot].pr;
    pr->loading = false;
    bool stale = e->loaded.first != pr->next || pr->next - 1 < r->log.snapshot_index ||
                 raft_progress_is_paused(pr);
    if (stale || e->loaded.n == 0) {
        /* Compacted meanwhile, or unreadable: the next answer to a heartbeat tries again. */
        pr->append_paused = pr->state == RAFT_PROBE || e->loaded.n == 0;
        return;
    }
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < e->loaded.n; i++) {
        bytes += e->loaded.entries[i].payload.len;
    }
    struct raft_message *m = leader_new_append(r, (uint32_t)slot);
    struct raft_entry *entries = raft_arena_copy_entries(r, e->loaded.entries, e->loaded.n);
    raft_strip_for_witness(r, m->to, entries, e->loaded.n);
    m->entry_count = e->loaded.n;
    m->entries = entries;
    raft_progress_sent(pr, e->loaded.n, bytes);
    pr->sent_commit = m->commit;
}

/* --- commitment ------------------------------------------------------------------------------ */

bool raft_committed_in_term(const struct raft *r)
{
    return raft_log_term(&r->log, r->log.committed) == r->term;
}

/* Only an entry of the leader's own term is committed by counting; those before it come along
 * [Ongaro14 §3.6.2] (fig8-old-term-commit). Returns whether the commit index moved. */
bool raft_advance_commit(struct raft *r)
{
    raft_index index = raft_commit_candidate(r);
    bool is_own = raft_log_term(&r->log, index) == r->term || MUTANT(OLD_TERM_COMMIT);
    if (index <= r->log.committed || !is_own) {
        return false;
    }
    raft_commit_to(r, index);
    return true;
}

/* Does the member hear of a commit index at once, and not with the next entries? Whoever waits for
 * it does, and all while the membership changes. */
static bool leader_tells_at_once(const struct raft *r, const struct raft_progress *pr)
{
    return r->cfg.commit_delay == 0 || r->conf_count > 0 || pr->awaited_commit > pr->sent_commit;
}

/* The commit index moved. */
static void leader_tell_commit(struct raft *r)
{
    for (uint32_t i = 0; i < r->membership.n; i++) {
        if (r->membership.member[i].id != r->cfg.id) {
            raft_send_append(r, i, leader_tells_at_once(r, &r->peer[i].pr));
        }
    }
    if (r->cfg.commit_delay != 0 && r->commit_due == 0) {
        r->commit_due = r->now + r->cfg.commit_delay;
    }
}

/* Nothing carried it so far. */
static void leader_tick_commit(struct raft *r)
{
    if (r->commit_due == 0 || r->now < r->commit_due) {
        return;
    }
    r->commit_due = 0;
    for (uint32_t i = 0; i < r->membership.n; i++) {
        if (r->membership.member[i].id != r->cfg.id &&
            raft_progress_can_bump_commit(&r->peer[i].pr, r->log.committed)) {
            PROBE(RAFT_COMMIT_ALONE);
            raft_send_append(r, i, true);
        }
    }
}

static void leader_rejected(struct raft *r, uint32_t slot, const struct raft_message *m)
{
    struct raft_progress *pr = &r->peer[slot].pr;
    raft_index hint = m->hint;
    if (m->log_term > 0) {
        PROBE(RAFT_REJECTED_BY_TERM);
        /* The member has m->log_term at hint, and terms never fall: none of our entries of a
         * higher term can be in its log. One probe a term, not one an entry. */
        raft_term ignored;
        hint = raft_log_conflict(&r->log, hint, m->log_term, &ignored);
    }
    if (!raft_progress_rejected(pr, m->index, hint)) {
        PROBE(RAFT_REJECT_STALE);
        return;
    }
    if (pr->state == RAFT_REPLICATE) {
        PROBE(RAFT_REPLICATE_TO_PROBE);
        raft_progress_become_probe(pr);
    }
    raft_send_append(r, slot, true);
}

/* The ack connects the logs, or may. */
static void leader_acked_state(struct raft *r, struct raft_progress *pr, raft_index index)
{
    switch (pr->state) {
    case RAFT_PROBE:
        raft_progress_become_replicate(pr);
        PROBE(RAFT_PROBE_TO_REPLICATE);
        break;
    case RAFT_SNAPSHOT:
        /* It does not matter which snapshot was installed, and from whom: what counts is that the
         * log continues where the member's ends. */
        if (pr->match + 1 >= raft_log_first(&r->log)) {
            raft_progress_become_probe(pr);
            raft_progress_become_replicate(pr);
            PROBE(RAFT_SNAPSHOT_TO_REPLICATE);
        }
        break;
    case RAFT_REPLICATE:
        raft_inflights_free_to(&pr->inflights, index);
        break;
    }
}

void raft_on_append_response(struct raft *r, uint32_t slot, const struct raft_message *m)
{
    struct raft_progress *pr = &r->peer[slot].pr;
    bool own = m->from == r->cfg.id;
    pr->recent_active = true;
    pr->heard = r->now;
    if (m->reject) {
        leader_rejected(r, slot, m);
        return;
    }
    if (m->index > r->log.last) {
        r->alarms |= RAFT_ALARM_PROTOCOL; /* nobody can agree with what was never sent */
        return;
    }
    if (!raft_progress_acked(pr, m->index) && !(pr->match == m->index && pr->state == RAFT_PROBE)) {
        return;
    }
    leader_acked_state(r, pr, m->index);
    raft_catch_up_acked(r, slot);
    if (raft_advance_commit(r)) {
        raft_reads_committed(r);
        leader_tell_commit(r);
    } else if (r->conf_count > 0 && raft_in_sync_rule_applies(r)) {
        raft_broadcast_append(r); /* a change may have waited for this disk */
    } else if (!own && raft_progress_can_bump_commit(pr, r->log.committed)) {
        raft_send_append(r, slot, leader_tells_at_once(r, pr));
    }
    if (!own) {
        /* Each turn moves `next`, so this ends; a full window or the log's end stops it. */
        while (raft_send_append(r, slot, false)) {
        }
        raft_transfer_acked(r, slot);
    }
}

void raft_on_heartbeat_response(struct raft *r, uint32_t slot, const struct raft_message *m)
{
    struct raft_progress *pr = &r->peer[slot].pr;
    pr->recent_active = true;
    pr->heard = r->now;
    pr->append_paused = pr->append_paused && MUTANT(PROBE_NEVER_RESUMES);
    if (m->sent_at <= r->now) {
        pr->lease_acked = u64_max(pr->lease_acked, m->sent_at);
    }
    if (m->index != 0 && pr->state == RAFT_SNAPSHOT) {
        pr->snapshot_alive = r->now; /* it is fetching */
    }
    if (pr->match < r->log.last || pr->state == RAFT_PROBE) {
        raft_send_append(r, slot, true);
    }
    if (m->context != 0 && m->context <= r->reads.announced) {
        uint64_t round = MUTANT(READ_BY_OLD_ANSWER) ? r->reads.announced : m->context;
        pr->read_acked = u64_max(pr->read_acked, round);
        raft_reads_acked(r);
    }
}

/* --- time ------------------------------------------------------------------------------------ */

bool raft_quorum_is_active(const struct raft *r)
{
    if (MUTANT(NO_CHECK_QUORUM)) {
        return true;
    }
    uint32_t active = 0;
    for (uint32_t i = 0; i < r->membership.n; i++) {
        active |= (uint32_t)r->peer[i].pr.recent_active << i;
    }
    return raft_membership_is_quorum(&r->membership, active);
}

/* Once an election timeout: has a quorum been heard from? If not, somebody else may lead by now,
 * and whoever asks this node should look elsewhere [Ongaro14 §6.2]. */
static void leader_check_quorum(struct raft *r)
{
    if (!raft_quorum_is_active(r)) {
        PROBE(RAFT_CHECK_QUORUM_FAILED);
        raft_become_follower(r, r->term, NODE_NONE);
        return;
    }
    for (uint32_t i = 0; i < r->membership.n; i++) {
        if (r->membership.member[i].id != r->cfg.id) {
            r->peer[i].pr.recent_active = false;
        }
    }
}

void raft_tick_leader(struct raft *r)
{
    if (raft_election_elapsed(r) >= r->cfg.election_timeout) {
        r->election_start = r->now;
        raft_tick_in_sync(r);
        if (r->cfg.check_quorum) {
            leader_check_quorum(r);
        }
        if (r->role == RAFT_LEADER) {
            raft_transfer_expire(r); /* it had one election timeout [Ongaro14 §3.10] */
            raft_tick_priority(r);
        }
    }
    if (r->role != RAFT_LEADER) {
        return;
    }
    raft_tick_offers(r);
    raft_tick_promotions(r);
    leader_tick_commit(r);
    if (r->now - r->heartbeat_start >= r->cfg.heartbeat_interval) {
        r->heartbeat_start = r->now;
        raft_broadcast_heartbeat(r);
    }
}
