#include "core/consensus/raft/raft_details.h"

#include <string.h>

#include "core/consensus/raft/raft_int.h"

static void details_members(const struct raft *r, struct raft_details *ret)
{
    ret->changes_pending = (uint32_t)r->conf_count;
    ret->change_barred_to = r->pending_conf_index > r->log.applied ? r->pending_conf_index : 0;
    ret->rule_applies = raft_in_sync_rule_applies(r);
    ret->in_sync_pending = r->in_sync_count;
    for (uint32_t i = 0; ret->rule_applies && i < r->membership.n; i++) {
        if (raft_in_sync_has(r, r->membership.member[i].id)) {
            ret->in_sync[ret->in_sync_count++] = r->membership.member[i].id;
        }
    }
}

static void details_fetch(const struct raft *r, struct raft_details *ret)
{
    const struct raft_fetch *f = &r->fetch;
    ret->serving = r->serve.count;
    ret->fetching = f->active;
    if (f->active) {
        ret->fetch_index = f->snapshot.index;
        ret->fetch_source = f->source;
        ret->fetch_size = f->snapshot.size;
        ret->fetch_durable = f->durable;
    }
}

static void details_repair(const struct raft *r, struct raft_details *ret)
{
    const struct raft_repair *q = &r->repair;
    ret->lost_from = q->lost_from;
    ret->lost_vote = q->lost_vote;
    ret->floor_known = q->floor_known && q->floor_term == r->term;
    ret->floor = ret->floor_known ? q->floor : 0;
    ret->range_count = q->range_count;
    for (uint32_t i = 0; i < q->range_count && i < RAFT_DETAILS_RANGES_MAX; i++) {
        ret->range[i].first = q->range[i].first;
        ret->range[i].last = q->range[i].last;
    }
}

void raft_details_read(const struct raft *r, nanos now, struct raft_details *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->leader_heard = r->leader_heard;
    ret->election_after = r->election_timeout_drawn;
    ret->lead_since = r->role == RAFT_LEADER ? r->lead_since : 0;
    ret->leader_suspected = r->leader_suspected;
    ret->lease_holds = raft_lease_holds(r, now);
    ret->reads_waiting = r->reads.count;
    ret->reads_waiting_commit = r->reads.waiting;
    ret->reads_announced = r->reads.announced;
    ret->reads_confirmed = r->reads.confirmed;
    ret->batches = r->batch_count;
    ret->batch_since = r->batch_count > 0 ? r->batch[r->batch_start].front_since : 0;
    ret->disk_stalled = r->health.disk_stalled;
    ret->applying_bytes = r->applying_bytes;
    details_members(r, ret);
    details_fetch(r, ret);
    details_repair(r, ret);
}
