/* What operators do: the membership, leadership, snapshots, orderly stops; in any order. */
#include "core/base/check.h"
#include "core/chaos/sim/inject_int.h"
#include "core/chaos/sim/simclient_wire.h"
#include "core/consensus/raft/raft_int.h"
#include "core/node/node_int.h"
#include "core/store/store_limits.h"

static bool is_blank(const struct simmember *m)
{
    return m->state == MEMBER_BLANK && !m->is_agent;
}

/* Is some disk damaged? Then a change could take away the quorum that heals it. */
static bool is_losing(const struct inject *inject)
{
    for (uint32_t i = 0; i < inject->cluster->n; i++) {
        if (inject->damage[i].life != 0) {
            return true;
        }
    }
    return false;
}

/* The pick-th member that has any of these roles; NULL. */
static struct simmember *member_with(struct inject_active *a, const struct raft_membership *ms,
                                     uint8_t roles)
{
    for (uint32_t k = 0; k < ms->n; k++) {
        const struct raft_member *m = &ms->member[(a->row.pick + k) % ms->n];
        if (m->roles & roles) {
            return &a->inject->cluster->member[m->id - 1];
        }
    }
    return NULL;
}

static struct raft_conf_single single_change(enum raft_conf_op op, const struct simmember *m)
{
    return (struct raft_conf_single){.op = op,
                                     .node = m->id,
                                     .priority = m->cluster->settings->priority[m->i],
                                     .auto_promote = true};
}

/* What the row asks for. False: there is nobody for it. */
static bool change_for(struct inject_active *a, const struct raft_membership *ms,
                       struct raft_conf_change *change, struct simmember **newcomer)
{
    struct simcluster *c = a->inject->cluster;
    struct simmember *blank = simcluster_pick(c, a->row.pick, is_blank);
    struct simmember *voter = member_with(a, ms, RAFT_VOTER);
    struct simmember *learner = member_with(a, ms, RAFT_LEARNER);

    change->n = 1;
    switch ((int)a->row.kind) {
    case FAULT_ADD:
        *newcomer = blank;
        change->single[0] = blank ? single_change(RAFT_ADD_LEARNER, blank) : change->single[0];
        change->single[0].auto_promote = a->row.mode == 0;
        return blank != NULL;
    case FAULT_PROMOTE:
        change->single[0] = learner ? single_change(RAFT_ADD_VOTER, learner) : change->single[0];
        return learner != NULL;
    case FAULT_DEMOTE:
        change->single[0] = voter ? single_change(RAFT_ADD_LEARNER, voter) : change->single[0];
        return voter != NULL;
    case FAULT_REMOVE:
        voter = member_with(a, ms, RAFT_VOTER | RAFT_LEARNER);
        change->single[0] = voter ? single_change(RAFT_REMOVE, voter) : change->single[0];
        return voter != NULL;
    case FAULT_REPLACE:
        *newcomer = blank;
        if (voter == NULL || blank == NULL) {
            return false;
        }
        change->n = 2;
        change->single[0] = single_change(RAFT_REMOVE, voter);
        change->single[1] = single_change(RAFT_ADD_VOTER, blank);
        change->transition =
            a->row.mode == 0 ? RAFT_TRANSITION_AUTO : RAFT_TRANSITION_JOINT_EXPLICIT;
        return true;
    case FAULT_LEAVE_JOINT:
        change->n = 0;
        return true;
    default:
        CHECK_UNREACHABLE("no change of the membership");
    }
}

static enum inject_outcome begin_change(struct inject_active *a)
{
    struct inject *inject = a->inject;
    struct simmember *leader = simcluster_leader(inject->cluster);
    struct raft_conf_change change = {.transition = RAFT_TRANSITION_AUTO};
    struct simmember *newcomer = NULL;

    if (leader == NULL) {
        return INJECT_NO_TARGET;
    }
    if (is_losing(inject)) {
        return INJECT_SPARED;
    }
    /* A copy: the membership moves with the next step. */
    const struct raft_membership ms = *node_status(leader->node).membership;
    if (!change_for(a, &ms, &change, &newcomer)) {
        return INJECT_NO_TARGET;
    }
    if (newcomer != NULL) {
        inject_restart(inject, newcomer);
    }
    enum err refused = node_change(leader->node, &change);
    (void)refused; /* what operators ask for out of order is refused, and does no harm */
    inject->touched(inject->ctx, leader->i);
    return INJECT_DONE;
}

static void operator_order_done(struct node_request *request)
{
    struct inject *inject = request->owner;
    inject->is_ordering = false;
}

/* Asks the store for what is in `order_body`. */
static enum inject_outcome propose_order(struct inject *inject, struct simmember *at,
                                         enum store_kind kind)
{
    inject->order = (struct node_request){.kind = kind,
                                          .body = buf_view(&inject->order_body),
                                          .done = operator_order_done,
                                          .owner = inject};
    inject->is_ordering = node_propose(at->node, &inject->order) == OK;
    inject->ordered_at = inject->is_ordering ? at : NULL;
    return inject->is_ordering ? INJECT_DONE : INJECT_NO_TARGET;
}

static enum inject_outcome begin_compaction(struct inject_active *a)
{
    struct inject *inject = a->inject;

    if (!simmember_serves(a->at) || inject->is_ordering) {
        return INJECT_NO_TARGET;
    }
    int64_t newest = store_revision(node_store(a->at->node));
    int64_t oldest = store_compact_revision(node_store(a->at->node));
    buf_clear(&inject->order_body);
    simclient_encode_compaction(
        &inject->order_body,
        (int64_t)prng_range(&a->prng, (uint64_t)(oldest > 0 ? oldest : 1), (uint64_t)newest));
    return propose_order(inject, a->at, STORE_KIND_COMPACTION);
}

/* --- upgrades ----------------------------------------------------------------------------------
 */

/* In a rolling one, all that are left follow; in the other mode one node is all. */
enum { UPGRADE_ONE, UPGRADE_ROLLING };

static bool is_old(const struct simmember *m)
{
    return m->is_old_release && m->state == MEMBER_UP;
}

static bool is_upgraded(const struct simcluster *c)
{
    for (uint32_t i = 0; i < c->n; i++) {
        if (c->member[i].is_old_release) {
            return false;
        }
    }
    return true;
}

/* Once no member is of the release before: then none meets what it does not know. */
static void raise_level(struct inject *inject)
{
    struct simmember *leader = simcluster_leader(inject->cluster);

    if (leader == NULL || inject->is_ordering || !is_upgraded(inject->cluster) ||
        store_feature_level(node_store(leader->node)) == STORE_FEATURE_LEVEL_MAX) {
        return;
    }
    buf_clear(&inject->order_body);
    buf_put_u64(&inject->order_body, STORE_FEATURE_LEVEL_MAX);
    (void)propose_order(inject, leader,
                        STORE_KIND_FEATURE_LEVEL); /* the next upgrade tries again */
}

/* The process that was asked to stop is ended, and its successor is of the newer release. */
static void upgrade(struct inject_active *a)
{
    inject_kill(a->inject, a->at, false, 0);
    a->at->is_old_release = false;
    inject_restart(a->inject, a->at);
}

static void step_upgrade(struct inject_active *a)
{
    upgrade(a);
    struct simmember *next = simcluster_pick(a->inject->cluster, a->row.pick, is_old);
    if (a->row.mode == UPGRADE_ONE || next == NULL) {
        inject_wait(a, a->row.span);
        return;
    }
    a->at = next;
    node_stop(next->node);
    a->inject->touched(a->inject->ctx, next->i);
    inject_wait(a, a->row.span / (2 * SIM_HOSTS_MAX));
}

static enum inject_outcome begin_order(struct inject_active *a)
{
    struct inject *inject = a->inject;
    struct simmember *leader = simcluster_leader(inject->cluster);
    enum err refused = OK;

    if (!simmember_serves(a->at)) {
        return INJECT_NO_TARGET;
    }
    switch ((int)a->row.kind) {
    case FAULT_TRANSFER:
        if (leader == NULL) {
            return INJECT_NO_TARGET;
        }
        refused = node_transfer(leader->node, a->at->id);
        inject->touched(inject->ctx, leader->i);
        break;
    case FAULT_CAMPAIGN:
        refused = node_campaign(a->at->node);
        break;
    case FAULT_STOP:
    case FAULT_UPGRADE:
        node_stop(a->at->node);
        inject_wait(a, a->row.span / 2);
        break;
    case FAULT_SNAPSHOT:
        node_take_snapshot(a->at->node);
        break;
    default:
        CHECK_UNREACHABLE("no order of an operator");
    }
    (void)refused;
    inject->touched(inject->ctx, a->at->i);
    return INJECT_DONE;
}

enum inject_outcome inject_begin_member(struct inject_active *a)
{
    if (fault_family_of(a->row.kind) == FAMILY_MEMBER) {
        return begin_change(a);
    }
    return a->row.kind == FAULT_COMPACT ? begin_compaction(a) : begin_order(a);
}

/* Half of its time has passed: the process that was asked to stop is ended. */
void inject_step_member(struct inject_active *a)
{
    if (a->row.kind == FAULT_STOP) {
        inject_kill(a->inject, a->at, false, 0);
        inject_wait(a, a->row.span);
    } else if (a->row.kind == FAULT_UPGRADE) {
        step_upgrade(a);
    }
}

void inject_end_member(struct inject_active *a)
{
    if (a->row.kind == FAULT_STOP) {
        inject_kill(a->inject, a->at, false, 0); /* it may still be stopping */
        inject_restart(a->inject, a->at);
    } else if (a->row.kind == FAULT_UPGRADE) {
        if (a->at->state == MEMBER_UP && a->at->node->is_stopping) {
            upgrade(a);
        }
        raise_level(a->inject);
    }
}
