/*
 * Gray failure: a leader whose disk or apply loop stands still answers heartbeats and serves nobody
 * (disk-stall-leader). It gives its leadership up within two election timeouts, and does not
 * campaign again before the disk answers.
 */
#include "core/base/mutant.h"
#include "core/base/probe.h"
#include "core/consensus/raft/raft_int.h"

static bool health_disk_stands(const struct raft *r)
{
    if (r->health.disk_stalled >= r->cfg.stall_timeout) {
        return true;
    }
    return r->batch_count > 0 &&
           r->now - r->batch[r->batch_start].front_since >= r->cfg.stall_timeout;
}

static bool health_apply_stands(const struct raft *r)
{
    return r->health.apply_since != 0 && r->now - r->health.apply_since >= r->cfg.stall_timeout;
}

bool raft_is_stalled(const struct raft *r)
{
    return r->health.stalled;
}

void raft_tick_health(struct raft *r)
{
    if (r->cfg.stall_timeout == 0) {
        return;
    }
    r->health.stalled = !MUTANT(STALL_IGNORED) && (health_disk_stands(r) || health_apply_stands(r));
    bool alone = raft_membership_count(&r->membership, RAFT_VOTER | RAFT_VOTER_OUTGOING) <= 1;
    if (!r->health.stalled || r->role != RAFT_LEADER || alone) {
        return;
    }
    /* Whoever has the most takes over at once; the others need not wait for a time-out. */
    node_id successor = raft_best_successor(r);
    if (successor != NODE_NONE) {
        raft_send_timeout_now(r, successor);
    }
    r->alarms |= RAFT_ALARM_STALLED;
    PROBE(RAFT_STALLED);
    raft_become_follower(r, r->term, NODE_NONE);
}

nanos raft_health_deadline(const struct raft *r)
{
    nanos deadline = NANOS_FOREVER;
    if (r->cfg.stall_timeout == 0 || r->health.stalled) {
        return deadline;
    }
    if (r->batch_count > 0) {
        deadline = r->batch[r->batch_start].front_since + r->cfg.stall_timeout;
    }
    if (r->health.apply_since != 0) {
        deadline = u64_min(deadline, r->health.apply_since + r->cfg.stall_timeout);
    }
    return deadline;
}
