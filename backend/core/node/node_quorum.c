/*
 * The way out when a majority of the voters is gone for good (raft_recover.c), and what keeps apart
 * the two histories that exist from then on.
 *
 * The members that were thought lost may come back, with logs that contradict the new history, and
 * two of three of them would be a majority by their own account. So each recovery begins another
 * lineage (raft_membership.h), the hello of every stream says the sender's, and is judged:
 *
 *     the hello's lineage        judged by a member of lineage L
 *     L, or none known yet       taken
 *     later than L               taken: L is what ended, and Raft alone cannot do harm with it
 *     earlier, from a member     taken: a newcomer that a snapshot from before brought so far
 *     earlier, from anybody else refused (OLD_LINEAGE)
 *     as late, and another       refused (LINEAGE): two recoveries, each without the other
 *
 * A member that is told OLD_LINEAGE by one of its voters and follows no leader halts: it must not
 * help to elect one of the history that ended. One that has a leader goes on, and says so loudly: a
 * member that was recovered by mistake, beside a quorum that works, must not stop that quorum.
 */
#include "core/node/node_int.h"

uint32_t node_lineage(const struct node *n)
{
    const struct raft_membership *ms = raft_status(n->raft).membership;
    return ms->n == 0 ? NODE_LINEAGE_NONE : ms->lineage;
}

enum node_refusal node_lineage_judge(const struct node *n, const struct node_hello *hello)
{
    uint32_t own = node_lineage(n);
    if (hello->lineage == own || hello->lineage == NODE_LINEAGE_NONE || own == NODE_LINEAGE_NONE ||
        RAFT_LINEAGE_COUNT(hello->lineage) > RAFT_LINEAGE_COUNT(own)) {
        return NODE_REFUSAL_NONE;
    }
    if (RAFT_LINEAGE_COUNT(hello->lineage) == RAFT_LINEAGE_COUNT(own)) {
        return NODE_REFUSAL_LINEAGE;
    }
    bool is_member = raft_membership_lookup(raft_status(n->raft).membership, hello->from) != NULL;
    return is_member ? NODE_REFUSAL_NONE : NODE_REFUSAL_OLD_LINEAGE;
}

/* A snapshot is taken as soon as all of the old history is applied, so that newcomers begin behind
 * its end; none before, as the membership is ahead of what is applied. */
void node_lineage_notice(struct node *n)
{
    uint32_t lineage = node_lineage(n);
    if (lineage != n->lineage) {
        bool is_later = n->lineage != NODE_LINEAGE_NONE && lineage != NODE_LINEAGE_NONE;
        n->lineage = lineage;
        if (is_later) {
            struct raft_status status = raft_status(n->raft);
            n->lineage_due = status.role == RAFT_LEADER ? status.last : n->applied;
            node_links_part(n);
        }
    }
    if (n->lineage_due != 0 && n->applied >= n->lineage_due) {
        n->lineage_due = 0;
        node_take_snapshot(n);
    }
}

void node_lineage_refused(struct node *n, node_id peer, enum node_refusal why)
{
    if (why != NODE_REFUSAL_OLD_LINEAGE || n->state != NODE_RUNNING) {
        return;
    }
    struct raft_status status = raft_status(n->raft);
    const struct raft_member *m = raft_membership_lookup(status.membership, peer);
    if (m && raft_member_votes(m) && status.leader == NODE_NONE) {
        node_halt(n, ERR_REFUSED,
                  "the cluster was recovered from the loss of a quorum without this member, whose "
                  "log is of the history that ended");
    }
}

/* For so long too few must have been heard. */
static nanos quorum_silence(const struct node *n)
{
    return NODE_RECOVER_SILENCE * n->cfg.raft.election_timeout;
}

/* Was it heard of late? Who has no leader asks for votes, and answers who asks, each in at most two
 * election timeouts. */
static bool quorum_has(const struct node *n, const struct raft_member *m)
{
    nanos heard = m->id == n->cfg.id ? NANOS_FOREVER : node_link_heard(n, m->id);
    return heard != 0 && u64_sub_sat(world_now(n->world), heard) < quorum_silence(n);
}

/* Could those that are up elect one of them? */
static bool quorum_is_there(const struct node *n, const struct raft_membership *ms)
{
    bool has_witness = raft_membership_has_witness(ms);
    bool has_candidate = false;
    uint32_t up = 0;
    for (uint32_t i = 0; i < ms->n; i++) {
        const struct raft_member *m = &ms->member[i];
        bool is_up = quorum_has(n, m);
        has_candidate = has_candidate || (is_up && raft_member_is_full_voter(m) &&
                                          (!has_witness || (m->roles & RAFT_IN_SYNC)));
        up |= (uint32_t)is_up << i;
    }
    return has_candidate && raft_membership_is_quorum(ms, up);
}

enum err node_recover_quorum(struct node *n)
{
    if (n->state != NODE_RUNNING) {
        return ERR_CLOSED;
    }
    if (n->is_witness) {
        return ERR_REFUSED;
    }
    if (world_now(n->world) - n->running_since < quorum_silence(n) ||
        quorum_is_there(n, raft_status(n->raft).membership)) {
        return ERR_BUSY;
    }
    struct raft_event e = {.type = RAFT_EVENT_RECOVER_QUORUM,
                           .recover = {.consent = RAFT_RECOVER_CONSENT}};
    enum err result = node_tell(n, e);
    if (result == OK) {
        node_lineage_notice(n);
    }
    world_timer_set(n->world, &n->turn, world_now(n->world));
    return result;
}
