/*
 * When a majority of the voters is gone for good, no rule of Raft lets the survivors go on. An
 * operator may decide to: RAFT_EVENT_RECOVER_QUORUM, on the one survivor whose log is the longest.
 * It makes this node the only voter of the group, in a new term. What the lost majority
 * acknowledged and this node never received is lost, which is why the event carries
 * RAFT_RECOVER_CONSENT, why the update raises RAFT_ALARM_QUORUM_FORCED, and why the other survivors
 * must join anew, as learners with empty disks. Another lineage begins with it, which is in the
 * membership from there on: by it the driver tells members of the history that ended.
 *
 * From there on it is the ordinary way: this node leads alone, and its log says so in an entry of
 * the kind that no proposal may make (RAFT_TRANSITION_FORCED), so that whoever receives the log or
 * a snapshot agrees. If it dies before that entry is durable and applied, nothing has happened: it
 * comes back in the old membership, and the operator asks again.
 */
#include "core/consensus/raft/raft_int.h"

/* Far above any term that a lost leader reached, so that none of its late messages counts. */
#define RAFT_RECOVER_TERM_STEP 1000000

/* The bits of a lineage that are drawn. */
#define RECOVER_LINEAGE_DRAWN 0xffffff

enum err raft_recover_quorum(struct raft *r, uint64_t consent)
{
    const struct raft_member *own = raft_own_member(r);
    uint32_t count = RAFT_LINEAGE_COUNT(r->membership.lineage);
    bool able = own && raft_member_is_full_voter(own) && r->repair.range_count == 0 &&
                !r->installing && r->term <= RAFT_TERM_MAX - RAFT_RECOVER_TERM_STEP &&
                count < RAFT_LINEAGE_COUNT_MAX;
    bool led = r->role == RAFT_LEADER || r->leader != NODE_NONE;
    if (consent != RAFT_RECOVER_CONSENT || !able || led) {
        return ERR_REFUSED;
    }
    struct raft_conf_change change = {.transition = RAFT_TRANSITION_FORCED, .n = 1};
    change.single[0] = (struct raft_conf_single){
        .op = RAFT_ADD_VOTER, .node = r->cfg.id, .priority = own->priority};
    change.lineage = (count + 1) << 24 | (uint32_t)(prng_u64(&r->prng) & RECOVER_LINEAGE_DRAWN);
    struct raft_membership alone;
    enum raft_change_result forced = raft_membership_apply(&r->membership, &change, &alone);
    CHECK(forced == RAFT_CHANGE_OK);
    raft_switch_membership(r, &alone);
    r->repair.lost_vote = false;
    r->repair.lost_from = 0;
    r->in_sync_count = 0;
    raft_become_follower(r, r->term + RAFT_RECOVER_TERM_STEP, NODE_NONE);
    raft_become_candidate(r);
    raft_become_leader(r);

    struct buf payload;
    buf_init(&payload);
    raft_conf_change_encode(&change, &payload);
    r->pending_conf_index = r->log.last + 1;
    raft_leader_append(r, RAFT_ENTRY_CONF, buf_view(&payload));
    buf_deinit(&payload);
    r->alarms |= RAFT_ALARM_QUORUM_FORCED;
    return OK;
}
