/*
 * Changes of the membership [Ongaro14 ch. 4].
 *
 * A change takes effect when its entry is applied, as in etcd-raft, and not when it is appended, as
 * in the dissertation. One change is under way at a time: `pending_conf_index` is at or after the
 * newest one in the log, and no other is accepted before that index is applied. A leader that has
 * committed nothing in its own term changes nothing (single-server-reconfig).
 */
#include <string.h>

#include "core/base/mem.h"
#include "core/base/mutant.h"
#include "core/base/probe.h"
#include "core/consensus/raft/raft_int.h"

/* --- configuration entries in the log -------------------------------------------------------- */

void raft_note_conf(struct raft *r, raft_index index, enum raft_entry_type type,
                    struct bytes payload)
{
    for (size_t i = 0; i < r->conf_count; i++) {
        if (r->conf[i].index == index) {
            return; /* known since it came; its body was damaged and repaired meanwhile */
        }
    }
    mem_grow((void **)&r->conf, &r->conf_cap, r->conf_count + 1, sizeof(r->conf[0]));
    size_t at = r->conf_count++;
    for (; at > 0 && r->conf[at - 1].index > index; at--) {
        r->conf[at] = r->conf[at - 1]; /* an entry in the middle whose body was repaired */
    }
    struct raft_pending_conf *c = &r->conf[at];
    *c = (struct raft_pending_conf){.index = index, .type = type, .len = payload.len};
    c->payload = mem_alloc(payload.len);
    if (payload.len > 0) {
        memcpy(c->payload, payload.data, payload.len);
    }
    if (type == RAFT_ENTRY_IN_SYNC) {
        raft_note_in_sync(r, index, payload);
    }
}

void raft_forget_conf_from(struct raft *r, raft_index from)
{
    while (r->conf_count > 0 && r->conf[r->conf_count - 1].index >= from) {
        PROBE(RAFT_CONF_TRUNCATED);
        mem_free(r->conf[--r->conf_count].payload);
    }
}

static void conf_apply_one(struct raft *r, const struct raft_pending_conf *c)
{
    struct bytes payload = {c->payload, c->len};
    if (c->type == RAFT_ENTRY_IN_SYNC) {
        raft_apply_in_sync(r, c->index, payload);
        return;
    }
    struct raft_conf_change change;
    struct raft_membership next;
    /* What cannot be applied is skipped, by every member alike. */
    if (raft_conf_change_decode(payload, &change) != OK ||
        raft_membership_apply(&r->membership, &change, &next) != RAFT_CHANGE_OK) {
        r->alarms |= RAFT_ALARM_PROTOCOL;
        return;
    }
    if (raft_membership_has_witness(&next) && next.in_sync_since == 0) {
        next.in_sync_since = c->index; /* with the first witness the rule begins */
    }
    if (raft_membership_is_joint(&next)) {
        PROBE(RAFT_JOINT_ENTERED);
    }
    raft_switch_membership(r, &next);
}

void raft_apply_conf_to(struct raft *r, raft_index index)
{
    while (r->conf_count > 0 && r->conf[0].index <= index) {
        /* Out of the list first: what is still to come is looked at while this one is applied. */
        struct raft_pending_conf c = r->conf[0];
        r->conf_count--;
        memmove(r->conf, r->conf + 1, r->conf_count * sizeof(r->conf[0]));
        r->log.applied = u64_max(r->log.applied, c.index);
        conf_apply_one(r, &c);
        mem_free(c.payload);
    }
}

void raft_conf_restored(struct raft *r, const struct raft_snapshot *s)
{
    size_t covered = 0;
    while (covered < r->conf_count && r->conf[covered].index <= s->index) {
        mem_free(r->conf[covered++].payload);
    }
    r->conf_count -= covered;
    if (covered > 0) {
        memmove(r->conf, r->conf + covered, r->conf_count * sizeof(r->conf[0]));
    }
    raft_in_sync_drop_applied(r, s->index);
    raft_switch_membership(r, &s->membership);
}

void raft_membership_to_come(const struct raft *r, size_t n, struct raft_membership *ret)
{
    *ret = r->membership;
    for (size_t i = 0; i < n; i++) {
        struct raft_conf_change change;
        struct bytes payload = {r->conf[i].payload, r->conf[i].len};
        if (r->conf[i].type == RAFT_ENTRY_IN_SYNC) {
            raft_in_sync_change(ret, r->conf[i].index, payload);
        } else if (raft_conf_change_decode(payload, &change) == OK) {
            enum raft_change_result ignored = raft_membership_apply(ret, &change, ret);
            (void)ignored; /* what cannot be applied will be skipped */
        }
    }
}

/* --- a new membership ------------------------------------------------------------------------ */

static void conf_move_peers(struct raft *r, const struct raft_membership *next)
{
    struct raft_peer moved[RAFT_MEMBERS_MAX];
    bool kept[RAFT_MEMBERS_MAX] = {false};
    memset(moved, 0, sizeof(moved));
    for (uint32_t i = 0; i < next->n; i++) {
        int old = raft_membership_slot(&r->membership, next->member[i].id);
        if (old >= 0 && !(next->member[i].roles & RAFT_FRESH)) {
            moved[i] = r->peer[old];
            kept[old] = true;
            if ((next->member[i].roles & ~r->membership.member[old].roles) & RAFT_LEARNER) {
                memset(&moved[i].pr.catch_up, 0, sizeof(moved[i].pr.catch_up));
            }
            continue;
        }
        raft_progress_init(&moved[i].pr, u64_max(r->log.last, 1), r->cfg.max_inflight_messages,
                           r->cfg.max_inflight_bytes);
        /* Else the next check of the quorum would come before it had a chance to speak. */
        moved[i].pr.recent_active = true;
    }
    for (uint32_t i = 0; i < r->membership.n; i++) {
        if (!kept[i]) {
            raft_progress_deinit(&r->peer[i].pr);
        }
    }
    memcpy(r->peer, moved, sizeof(moved));
    r->membership = *next;
    for (uint32_t i = 0; i < r->membership.n; i++) {
        r->membership.member[i].roles &= (uint8_t)~RAFT_FRESH;
    }
}

/* This leader was removed or demoted. */
static void conf_leave_office(struct raft *r)
{
    PROBE(RAFT_LEADER_REMOVED);
    if (r->cfg.removal == RAFT_REMOVAL_STAY) {
        return;
    }
    node_id successor = raft_best_successor(r);
    if (r->cfg.removal == RAFT_REMOVAL_HAND_OVER && successor != NODE_NONE) {
        raft_send_timeout_now(r, successor);
    }
    raft_become_follower(r, r->term, NODE_NONE);
}

void raft_switch_membership(struct raft *r, const struct raft_membership *next)
{
    raft_membership_check(next);
    conf_move_peers(r, next);
    if (r->role != RAFT_LEADER) {
        return;
    }
    const struct raft_member *own = raft_own_member(r);
    if (!own || (own->roles & RAFT_LEARNER)) {
        conf_leave_office(r);
        return;
    }
    if (raft_advance_commit(r)) {
        raft_reads_committed(r);
        raft_broadcast_append(r); /* the new quorum is smaller, and more is committed */
    } else {
        for (uint32_t i = 0; i < r->membership.n; i++) {
            if (r->membership.member[i].id != r->cfg.id) {
                raft_send_append(r, i, false); /* do not let newcomers wait for a heartbeat */
            }
        }
    }
    const struct raft_member *target = raft_membership_lookup(&r->membership, r->transferee);
    if (!target || !raft_member_votes(target)) {
        raft_transfer_abort(r);
    }
}

/* --- proposals ------------------------------------------------------------------------------- */

static bool conf_learners_ready(const struct raft *r, const struct raft_conf_change *change)
{
    for (uint32_t i = 0; i < change->n; i++) {
        int slot = raft_membership_slot(&r->membership, change->single[i].node);
        bool promotes = change->single[i].op == RAFT_ADD_VOTER && slot >= 0 &&
                        (r->membership.member[slot].roles & RAFT_LEARNER);
        if (promotes && !r->peer[slot].pr.catch_up.done) {
            return false;
        }
    }
    return true;
}

/* Is a member of the group to come alive and whole, as far as this leader can tell? A newcomer has
 * not been heard, and should have come as a learner; but a witness cannot. */
static bool conf_is_well(const struct raft *r, const struct raft_member *m)
{
    int slot = raft_membership_slot(&r->membership, m->id);
    if (m->id == r->cfg.id || slot < 0) {
        return m->id == r->cfg.id || (m->roles & RAFT_WITNESS);
    }
    const struct raft_progress *pr = &r->peer[slot].pr;
    bool impaired = pr->impaired != 0 && r->now - pr->impaired < 2 * r->cfg.election_timeout;
    return pr->heard != 0 && r->now - pr->heard < r->cfg.election_timeout && !impaired;
}

/* Would those that are well be a quorum, or would the change stop the group? */
static bool conf_keeps_quorum(const struct raft *r, const struct raft_membership *next)
{
    uint32_t well = 0;
    for (uint32_t i = 0; i < next->n; i++) {
        well |= (uint32_t)conf_is_well(r, &next->member[i]) << i;
    }
    return raft_membership_is_quorum(next, well);
}

static enum err conf_validate(const struct raft *r, const struct raft_conf_change *change)
{
    if (change->transition == RAFT_TRANSITION_FORCED) {
        return ERR_REFUSED;
    }
    if (!r->cfg.validate_changes) {
        return OK;
    }
    unsigned voters = raft_membership_count(&r->membership, RAFT_VOTER | RAFT_VOTER_OUTGOING);
    bool pending = r->pending_conf_index > r->log.applied && !MUTANT(TWO_CHANGES_AT_ONCE);
    bool fresh = voters > 1 && !raft_committed_in_term(r) && !MUTANT(CHANGE_BY_FRESH_LEADER);
    if (pending || fresh) {
        return ERR_PENDING;
    }
    bool joint = raft_membership_is_joint(&r->membership);
    if (joint != (change->n == 0)) {
        return ERR_REFUSED; /* first leave the joint configuration; or there is none to leave */
    }
    struct raft_membership next;
    raft_membership_to_come(r, r->conf_count, &next); /* as it will be when it is applied */
    if (raft_membership_apply(&next, change, &next) != RAFT_CHANGE_OK) {
        return ERR_REFUSED;
    }
    if (r->cfg.strict_changes && !conf_keeps_quorum(r, &next)) {
        return ERR_REFUSED;
    }
    return r->cfg.require_caught_up && !conf_learners_ready(r, change) ? ERR_REFUSED : OK;
}

enum err raft_propose_change(struct raft *r, const struct raft_conf_change *change)
{
    if (raft_own_slot(r) < 0 || r->transferee != NODE_NONE || r->stopping) {
        return ERR_DROPPED;
    }
    enum err fits = conf_validate(r, change);
    if (fits != OK) {
        /* As etcd-raft: the proposal's place in the log is taken by an entry that does nothing. */
        PROBE(RAFT_CHANGE_REFUSED);
        if (raft_leader_admit(r, 0, 1) == OK) {
            raft_leader_append(r, RAFT_ENTRY_NORMAL, (struct bytes){NULL, 0});
        }
    } else {
        struct buf payload;
        buf_init(&payload);
        raft_conf_change_encode(change, &payload);
        r->pending_conf_index = r->log.last + 1;
        raft_leader_append(r, RAFT_ENTRY_CONF, buf_view(&payload));
        buf_deinit(&payload);
    }
    raft_broadcast_append(r);
    return fits;
}

/* The second step of a change with automatic leave, by whoever leads when the first is applied. It
 * can be refused only for reasons that pass: it is tried again with each applied entry. */
void raft_leave_joint_if_due(struct raft *r)
{
    bool due = r->role == RAFT_LEADER && r->membership.auto_leave &&
               r->log.applied >= r->pending_conf_index && !MUTANT(JOINT_LEFT_BEHIND);
    struct raft_membership next;
    raft_membership_to_come(r, r->conf_count, &next);
    if (!due || raft_own_slot(r) < 0 || r->transferee != NODE_NONE ||
        raft_membership_leave_joint(&next, &next) != RAFT_CHANGE_OK) {
        return;
    }
    r->pending_conf_index = r->log.last + 1;
    raft_leader_append(r, RAFT_ENTRY_CONF, (struct bytes){NULL, 0});
    PROBE(RAFT_JOINT_LEFT);
    raft_broadcast_append(r);
}

/* --- learners -------------------------------------------------------------------------------- */

static void conf_begin_round(struct raft *r, struct raft_catch_up *c)
{
    c->target = r->log.last;
    c->started = r->now;
}

/* A learner acknowledged something: does a round end [Ongaro14 §4.2.1]? */
void raft_catch_up_acked(struct raft *r, uint32_t slot)
{
    struct raft_progress *pr = &r->peer[slot].pr;
    struct raft_catch_up *c = &pr->catch_up;
    if (!(r->membership.member[slot].roles & RAFT_LEARNER)) {
        return;
    }
    if (c->target == 0) {
        conf_begin_round(r, c);
    }
    if (pr->match >= c->target) {
        c->rounds++;
        c->done = r->now - c->started < r->cfg.election_timeout;
        conf_begin_round(r, c);
    }
}

/* A learner that stopped keeping up is not ready any more. */
static void conf_expire_round(struct raft *r, struct raft_progress *pr)
{
    bool behind = pr->match < pr->catch_up.target;
    if (behind && r->now - pr->catch_up.started >= r->cfg.election_timeout) {
        pr->catch_up.done = false;
    }
}

/* A voter that has been silent for very long counts against the quorum and helps nobody. It becomes
 * a learner, and a voter again by itself once it is back and has caught up. Only where that makes
 * the quorum smaller, and three voters are left. */
static void conf_demote_dead(struct raft *r)
{
    struct raft_conf_change change = {.transition = RAFT_TRANSITION_AUTO};
    for (uint32_t i = 0; i < r->membership.n; i++) {
        const struct raft_member *m = &r->membership.member[i];
        nanos heard = u64_max(r->peer[i].pr.heard, r->lead_since);
        bool dead = m->id != r->cfg.id && r->now - heard >= r->cfg.demote_after;
        if (dead && (m->roles & RAFT_VOTER) && !(m->roles & RAFT_WITNESS)) {
            change.single[change.n++] = (struct raft_conf_single){.op = RAFT_ADD_LEARNER,
                                                                  .node = m->id,
                                                                  .priority = m->priority,
                                                                  .auto_promote = true};
        }
    }
    unsigned voters = raft_membership_count(&r->membership, RAFT_VOTER);
    if (change.n > 0 && voters - change.n >= 3 &&
        quorum_size(voters - change.n) < quorum_size(voters) && conf_validate(r, &change) == OK) {
        PROBE(RAFT_SILENT_DEMOTED);
        enum err ignored = raft_propose_change(r, &change);
        (void)ignored; /* tried again */
    }
}

void raft_tick_promotions(struct raft *r)
{
    bool free_to_change = r->pending_conf_index <= r->log.applied && raft_committed_in_term(r) &&
                          !raft_membership_is_joint(&r->membership);
    if (free_to_change && r->cfg.demote_after != 0) {
        conf_demote_dead(r);
    }
    for (uint32_t i = 0; i < r->membership.n; i++) {
        const struct raft_member *m = &r->membership.member[i];
        if (!(m->roles & RAFT_LEARNER)) {
            continue;
        }
        conf_expire_round(r, &r->peer[i].pr);
        const struct raft_progress *pr = &r->peer[i].pr;
        bool alive = pr->heard != 0 && r->now - pr->heard < r->cfg.election_timeout;
        if (!(m->roles & RAFT_AUTO_PROMOTE) || !pr->catch_up.done || !alive || !free_to_change) {
            continue;
        }
        struct raft_conf_change change = {.transition = RAFT_TRANSITION_AUTO, .n = 1};
        change.single[0] =
            (struct raft_conf_single){.op = RAFT_ADD_VOTER, .node = m->id, .priority = m->priority};
        if (conf_validate(r, &change) == OK && raft_propose_change(r, &change) == OK) {
            PROBE(RAFT_AUTO_PROMOTED);
            return;
        }
    }
}
