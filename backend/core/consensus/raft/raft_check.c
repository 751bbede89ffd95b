/* Looking in: status, the invariants that one node can see, and the fingerprint. */
#include "core/base/hash.h"
#include "core/consensus/raft/raft_int.h"

struct raft_status raft_status(const struct raft *r)
{
    return (struct raft_status){
        .id = r->cfg.id,
        .role = r->role,
        .term = r->term,
        .vote = r->vote,
        .leader = r->leader,
        .transferee = r->transferee,
        .first = raft_log_first(&r->log),
        .last = r->log.last,
        .durable = r->log.durable,
        .committed = r->log.committed,
        .applied = r->log.applied,
        .cached_bytes = r->log.cached_bytes,
        .uncommitted_bytes = r->uncommitted_bytes,
        .snapshot = r->snapshot.index,
        .installing = r->installing,
        .impaired = raft_is_impaired(r),
        .stalled = raft_is_stalled(r),
        .exposed = raft_is_exposed(r),
        .membership = &r->membership,
    };
}

const struct raft_progress *raft_peer_progress(const struct raft *r, uint32_t i)
{
    return r->role == RAFT_LEADER && i < r->membership.n ? &r->peer[i].pr : NULL;
}

raft_index raft_compactable(const struct raft *r, raft_index tail)
{
    raft_index to = u64_min(r->snapshot.index, u64_sub_sat(r->log.applied, tail));
    to = u64_min(to, r->log.handed); /* what is applied may still have to be written */
    for (uint32_t i = 0; r->role == RAFT_LEADER && i < r->membership.n; i++) {
        const struct raft_progress *pr = &r->peer[i].pr;
        if (pr->state == RAFT_SNAPSHOT) {
            to = u64_min(to, pr->pending_snapshot);
        }
    }
    return r->installing ? r->log.snapshot_index : u64_max(to, r->log.snapshot_index);
}

static void check_leader(const struct raft *r)
{
    CHECK(r->leader == r->cfg.id);
    CHECK(r->repair.lost_from == 0 && r->repair.range_count == 0);
    for (uint32_t i = 0; i < r->membership.n; i++) {
        const struct raft_progress *pr = &r->peer[i].pr;
        raft_progress_check(pr);
        CHECK(pr->match <= r->log.last);
    }
    CHECK(r->reads.waiting <= r->reads.count);
}

static void check_damage(const struct raft *r)
{
    const struct raft_repair *q = &r->repair;
    CHECK(q->range_count <= RAFT_DAMAGED_MAX);
    for (uint32_t i = 0; i < q->range_count; i++) {
        CHECK(q->range[i].first <= q->range[i].last && q->range[i].last <= r->log.last);
        CHECK(i == 0 || q->range[i - 1].last < q->range[i].first);
    }
    CHECK(q->writing == 0 || q->range_count > 0);
}

void raft_check(const struct raft *r)
{
    raft_log_check(&r->log);
    raft_membership_check(&r->membership);
    check_damage(r);
    CHECK(r->log.last == r->log.snapshot_index || raft_log_last_term(&r->log) <= r->term);
    CHECK(r->term >= r->told_hard_state.term);
    CHECK(r->log.committed >= r->told_hard_state.commit);
    CHECK(r->batch_count <= RAFT_BATCHES_MAX);
    CHECK(r->conf_count == 0 || r->conf[0].index > r->log.applied);
    CHECK(r->conf_count == 0 || r->conf[r->conf_count - 1].index <= r->log.last);
    switch (r->role) {
    case RAFT_LEADER:
        check_leader(r);
        break;
    case RAFT_CANDIDATE:
        CHECK(r->vote == r->cfg.id && r->leader == NODE_NONE);
        break;
    case RAFT_PRE_CANDIDATE:
        CHECK(r->leader == NODE_NONE);
        break;
    case RAFT_FOLLOWER:
        CHECK(r->leader != r->cfg.id && r->transferee == NODE_NONE);
        break;
    case RAFT_ROLES:
        CHECK_UNREACHABLE("a role of its own");
    }
}

static uint64_t fingerprint_log(const struct raft_log *log, uint64_t h)
{
    const uint64_t marks[] = {log->snapshot_index, log->snapshot_term, log->last,
                              log->handed,         log->durable,       log->committed,
                              log->applying,       log->applied,       log->cached};
    for (size_t i = 0; i < COUNT_OF(marks); i++) {
        h = hash_u64(h, marks[i]);
    }
    for (size_t i = 0; i < log->run_count; i++) {
        h = hash_u64(hash_u64(h, log->runs[i].first), log->runs[i].term);
    }
    return h;
}

static uint64_t fingerprint_peers(const struct raft *r, uint64_t h)
{
    for (uint32_t i = 0; i < r->membership.n; i++) {
        const struct raft_member *m = &r->membership.member[i];
        const struct raft_peer *p = &r->peer[i];
        const uint64_t values[] = {m->id,
                                   m->roles,
                                   m->priority,
                                   p->vote,
                                   p->pr.match,
                                   p->pr.next,
                                   p->pr.state,
                                   p->pr.sent_commit,
                                   p->pr.append_paused,
                                   p->pr.loading,
                                   p->pr.recent_active,
                                   p->pr.inflights.count};
        for (size_t k = 0; k < COUNT_OF(values); k++) {
            h = hash_u64(h, values[k]);
        }
    }
    return h;
}

uint64_t raft_fingerprint(const struct raft *r)
{
    const uint64_t values[] = {r->cfg.id,
                               r->now,
                               r->term,
                               r->vote,
                               r->role,
                               r->leader,
                               r->election_start,
                               r->election_timeout_drawn,
                               r->heartbeat_start,
                               r->transferee,
                               r->pending_conf_index,
                               r->matched,
                               r->uncommitted_bytes,
                               r->in_sync_count,
                               r->reads.confirmed,
                               r->reads.count,
                               r->batch_seq,
                               r->batch_count,
                               r->repair.lost_from,
                               r->repair.range_count,
                               r->fetch.durable,
                               r->prng.s[0]};
    uint64_t h = 0;
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        h = hash_u64(h, values[i]);
    }
    return fingerprint_peers(r, fingerprint_log(&r->log, h));
}
