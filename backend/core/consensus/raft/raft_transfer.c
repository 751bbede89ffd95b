/* Leadership transfer [Ongaro14 §3.10], priority, and the graceful stop. */
#include "core/base/mutant.h"
#include "core/base/probe.h"
#include "core/consensus/raft/raft_int.h"

void raft_transfer_abort(struct raft *r)
{
    r->transferee = NODE_NONE;
}

/* Whoever was to lead did not come to it in time. */
void raft_transfer_expire(struct raft *r)
{
    if (r->transferee != NODE_NONE) {
        PROBE(RAFT_TRANSFER_EXPIRED);
    }
    if (!MUTANT(TRANSFER_NEVER_ENDS)) {
        raft_transfer_abort(r);
    }
}

void raft_send_timeout_now(struct raft *r, node_id to)
{
    /* The next leader will not wait for this one's lease to end (lease-vs-timer). */
    r->lease_void = !MUTANT(LEASE_OVER_TRANSFER);
    raft_send(r, RAFT_MSG_TIMEOUT_NOW, to);
    PROBE(RAFT_TIMEOUT_NOW);
}

static bool transfer_may_lead(const struct raft *r, const struct raft_member *m)
{
    return (m->roles & RAFT_VOTER) && raft_member_is_full_voter(m) && raft_in_sync_has(r, m->id);
}

node_id raft_best_successor(const struct raft *r)
{
    int best = -1;
    for (uint32_t i = 0; i < r->membership.n; i++) {
        const struct raft_member *m = &r->membership.member[i];
        const struct raft_progress *pr = &r->peer[i].pr;
        bool able = m->id != r->cfg.id && transfer_may_lead(r, m) && pr->heard != 0 &&
                    r->now - pr->heard < r->cfg.election_timeout && m->priority > 0;
        if (!able) {
            continue;
        }
        const struct raft_member *other = best < 0 ? NULL : &r->membership.member[best];
        if (!other || m->priority > other->priority ||
            (m->priority == other->priority && pr->match > r->peer[best].pr.match)) {
            best = (int)i;
        }
    }
    return best < 0 ? NODE_NONE : r->membership.member[best].id;
}

enum err raft_transfer(struct raft *r, node_id to)
{
    CHECK(r->role == RAFT_LEADER);
    if (to == NODE_NONE) {
        to = raft_best_successor(r);
    }
    int slot = raft_membership_slot(&r->membership, to);
    if (slot < 0) {
        return ERR_NOT_FOUND;
    }
    if (r->membership.member[slot].roles & RAFT_LEARNER) {
        return ERR_REFUSED;
    }
    if (r->transferee == to) {
        return OK;
    }
    raft_transfer_abort(r);
    if (to == r->cfg.id) {
        return OK;
    }
    if (!transfer_may_lead(r, &r->membership.member[slot])) {
        return ERR_REFUSED;
    }
    r->transferee = to;
    r->lease_void = !MUTANT(LEASE_OVER_TRANSFER);
    r->election_start = r->now; /* it has one election timeout */
    if (r->peer[slot].pr.match == r->log.last) {
        raft_send_timeout_now(r, to);
    } else {
        PROBE(RAFT_TRANSFER_WAITS);
        raft_send_append(r, (uint32_t)slot, true);
    }
    return OK;
}

void raft_transfer_acked(struct raft *r, uint32_t slot)
{
    if (r->role == RAFT_LEADER && r->transferee != NODE_NONE &&
        r->membership.member[slot].id == r->transferee && r->peer[slot].pr.match == r->log.last) {
        raft_send_timeout_now(r, r->transferee);
    }
}

/* The highest priority among those that may lead, at least `floor`. */
static uint8_t transfer_highest_priority(const struct raft *r, uint8_t floor)
{
    uint8_t highest = floor;
    for (uint32_t i = 0; i < r->membership.n; i++) {
        const struct raft_member *m = &r->membership.member[i];
        if (raft_member_is_full_voter(m) && m->priority > highest) {
            highest = m->priority;
        }
    }
    return highest;
}

/* A node of lower priority waits longer before it campaigns, by up to one election timeout: where
 * all are alive the highest asks first, and where it is dead nobody waits long. */
nanos raft_priority_delay(const struct raft *r)
{
    const struct raft_member *own = raft_own_member(r);
    if (!own) {
        return 0;
    }
    uint64_t behind = (uint64_t)(transfer_highest_priority(r, own->priority) - own->priority);
    return r->cfg.election_timeout / UINT8_MAX * behind;
}

/* A leader of lower priority yields, once it has led for a while, to a voter that has everything.
 * Once an election timeout. */
void raft_tick_priority(struct raft *r)
{
    const struct raft_member *own = raft_own_member(r);
    if (!own || r->cfg.priority_hold == 0 || r->transferee != NODE_NONE ||
        r->now - r->lead_since < r->cfg.priority_hold || !raft_committed_in_term(r)) {
        return;
    }
    node_id to = raft_best_successor(r);
    int slot = raft_membership_slot(&r->membership, to);
    if (slot < 0 || r->membership.member[slot].priority <= own->priority ||
        r->peer[slot].pr.match < r->log.committed) {
        return;
    }
    r->lead_since = r->now; /* if it fails, not again at once */
    PROBE(RAFT_PRIORITY_YIELDS);
    if (raft_transfer(r, to) != OK) {
        raft_transfer_abort(r);
    }
}
