/* Elections [Ongaro14 §3.4, §3.6.1, §9.6]. */
#include "core/base/mutant.h"
#include "core/base/probe.h"
#include "core/consensus/quorum.h"
#include "core/consensus/raft/raft_int.h"

bool raft_is_promotable(const struct raft *r)
{
    const struct raft_member *own = raft_own_member(r);
    bool is_full = own && (raft_member_is_full_voter(own) || MUTANT(WITNESS_LEADS));
    bool is_in_sync =
        raft_in_sync_has(r, r->cfg.id) || MUTANT(WITNESS_LEADS) || MUTANT(LAGGING_REPLICA_LEADS);
    return is_full && !r->installing && is_in_sync && !raft_is_impaired(r) && !raft_is_stalled(r);
}

/* A change of the membership that is committed here but not applied may have removed this node, or
 * the quorum that it would ask (unapplied-conf-campaign). */
bool raft_has_unapplied_conf(const struct raft *r)
{
    return r->conf_count > 0 && r->conf[0].index <= r->log.committed &&
           !MUTANT(UNAPPLIED_CONF_CAMPAIGN);
}

static enum raft_vote election_vote_of(const struct raft *r, node_id id)
{
    int slot = raft_membership_slot(&r->membership, id);
    return slot < 0 ? RAFT_VOTE_NONE : r->peer[slot].vote;
}

static enum quorum_result election_tally(const struct raft *r, const struct raft_membership *ms)
{
    enum quorum_result result[2];
    const uint8_t halves[2] = {RAFT_VOTER, RAFT_VOTER_OUTGOING};
    for (int h = 0; h < 2; h++) {
        unsigned yes = 0;
        unsigned no = 0;
        unsigned n = 0;
        for (uint32_t i = 0; i < ms->n; i++) {
            if (ms->member[i].roles & halves[h]) {
                enum raft_vote vote = election_vote_of(r, ms->member[i].id);
                n++;
                yes += vote == RAFT_VOTE_YES;
                no += vote == RAFT_VOTE_NO;
            }
        }
        result[h] = quorum_tally(yes, no, n);
    }
    return MUTANT(JOINT_ONE_HALF) ? result[0] : quorum_both(result[0], result[1]);
}

/* Are the changes of the members in the log asked, too, though they are not applied (rule 7)? */
static bool election_looks_ahead(const struct raft *r)
{
    return raft_in_sync_rule_applies(r) && r->conf_count > 0;
}

enum quorum_result raft_tally_votes(const struct raft *r)
{
    enum quorum_result result = election_tally(r, &r->membership);
    for (size_t i = 0; election_looks_ahead(r) && i < r->conf_count; i++) {
        if (r->conf[i].type == RAFT_ENTRY_CONF) {
            struct raft_membership to_come;
            raft_membership_to_come(r, i + 1, &to_come);
            result = quorum_both(result, election_tally(r, &to_come));
        }
    }
    return result;
}

/* Does the member's vote count, now or after a change that is in the log? */
static bool election_counts(const struct raft *r, const struct raft_member *m)
{
    bool counts = raft_member_votes(m);
    for (size_t i = 0; !counts && election_looks_ahead(r) && i < r->conf_count; i++) {
        struct raft_membership to_come;
        raft_membership_to_come(r, i + 1, &to_come);
        const struct raft_member *then = raft_membership_lookup(&to_come, m->id);
        counts = then && raft_member_votes(then);
    }
    return counts;
}

static void election_ask(struct raft *r, enum raft_campaign kind)
{
    bool pre = kind == RAFT_CAMPAIGN_PRE;
    raft_term term = pre ? r->term + 1 : r->term;
    for (uint32_t i = 0; i < r->membership.n; i++) {
        if (!election_counts(r, &r->membership.member[i])) {
            continue;
        }
        node_id id = r->membership.member[i].id;
        struct raft_message *m;
        if (id == r->cfg.id) {
            /* Its own vote counts once it is on the disk, like any other. */
            m = raft_send(r, pre ? RAFT_MSG_PRE_VOTE_RESP : RAFT_MSG_VOTE_RESP, id);
        } else {
            m = raft_send(r, pre ? RAFT_MSG_PRE_VOTE : RAFT_MSG_VOTE, id);
            m->index = r->log.last;
            m->log_term = raft_log_last_term(&r->log);
            m->transfer = kind == RAFT_CAMPAIGN_TRANSFER;
        }
        m->term = term;
    }
}

/* With leases: does some leader count on this node to vote for nobody, itself included? It promised
 * so by every answer, also by those of an earlier life, and whatever became of its role since. */
static bool raft_promised_to_wait(const struct raft *r)
{
    nanos since = u64_max(r->booted, r->leader_heard);
    return r->cfg.lease_reads && !MUTANT(LEASE_FORGOTTEN_BY_VOTER) &&
           u64_sub_sat(r->now, since) < r->cfg.election_timeout;
}

enum err raft_campaign(struct raft *r, enum raft_campaign kind)
{
    if (r->role == RAFT_LEADER) {
        return OK;
    }
    if (!raft_is_promotable(r) || raft_has_unapplied_conf(r) || r->stopping ||
        r->term >= RAFT_TERM_MAX) {
        return ERR_REFUSED;
    }
    if (kind != RAFT_CAMPAIGN_TRANSFER && raft_promised_to_wait(r)) {
        return ERR_REFUSED;
    }
    if (kind == RAFT_CAMPAIGN_PRE && MUTANT(DISRUPTIVE_CANDIDATE)) {
        kind = RAFT_CAMPAIGN_REAL;
    }
    if (kind == RAFT_CAMPAIGN_PRE) {
        raft_become_pre_candidate(r);
    } else {
        raft_become_candidate(r);
    }
    election_ask(r, kind);
    return OK;
}

bool raft_vote_is_barred(const struct raft *r, const struct raft_message *m)
{
    if (m->transfer || !r->cfg.check_quorum || MUTANT(DISRUPTIVE_CANDIDATE)) {
        return false;
    }
    bool recent = raft_election_elapsed(r) < r->cfg.election_timeout;
    if (r->leader != NODE_NONE && recent && !r->leader_suspected) {
        return true; /* within the minimum election timeout of hearing from a leader [§4.2.3] */
    }
    return raft_promised_to_wait(r);
}

static bool election_may_grant(const struct raft *r, const struct raft_message *m)
{
    /* What this node cannot vouch for, it must not help to elect over (amnesiac-voter). */
    if (raft_is_impaired(r) && !MUTANT(IMPAIRED_VOTES)) {
        PROBE(RAFT_IMPAIRED_REFUSES_VOTE);
        return false;
    }
    bool free_to_vote = r->vote == m->from || (r->vote == NODE_NONE && r->leader == NODE_NONE) ||
                        (m->type == RAFT_MSG_PRE_VOTE && m->term > r->term);
    return free_to_vote && raft_in_sync_lets_lead(r, m->from, m->index, m->log_term);
}

/* Learners vote, too, when asked: the candidate may know of a promotion that has not reached this
 * node, and be unable to win without it (learner-must-vote). */
void raft_on_vote_request(struct raft *r, const struct raft_message *m)
{
    bool pre = m->type == RAFT_MSG_PRE_VOTE;
    bool grant = election_may_grant(r, m);
    struct raft_message *out =
        raft_send(r, pre ? RAFT_MSG_PRE_VOTE_RESP : RAFT_MSG_VOTE_RESP, m->from);
    /* A grant speaks of the candidate's term, which for a pre-vote is one that nobody has begun;
     * a refusal tells the voter's own. */
    out->term = grant ? m->term : r->term;
    out->reject = !grant;
    if (pre && !grant) {
        PROBE(RAFT_PRE_VOTE_REFUSED);
    }
    if (grant && !pre) {
        r->election_start = r->now;
        r->vote = m->from;
    }
}

void raft_on_vote_response(struct raft *r, const struct raft_message *m)
{
    bool mine =
        (r->role == RAFT_PRE_CANDIDATE && m->type == RAFT_MSG_PRE_VOTE_RESP) ||
        (r->role == RAFT_CANDIDATE && (m->type == RAFT_MSG_VOTE_RESP || MUTANT(PRE_VOTE_COUNTS)));
    struct raft_peer *p = raft_peer_of(r, m->from);
    const struct raft_peer *own = raft_peer_of(r, r->cfg.id);
    if (!mine || !p) {
        return;
    }
    if (r->role == RAFT_PRE_CANDIDATE && !m->reject && m->term != r->term + 1) {
        return; /* an answer to an earlier question */
    }
    if (p->vote == RAFT_VOTE_NONE) {
        p->vote = m->reject ? RAFT_VOTE_NO : RAFT_VOTE_YES;
    }
    switch (raft_tally_votes(r)) {
    case QUORUM_WON:
        /* Others may be enough to win, but not to begin: until its own vote is on its own disk, a
         * crash would make this node forget the term, win it once more, and write other entries
         * under the same indexes and terms. (A candidate asks others from its disk; so it is the
         * pre-candidate who waits here, until the log that it asked with is durable.) */
        if (!own || (own->vote != RAFT_VOTE_YES && !MUTANT(OWN_VOTE_BEFORE_SYNC))) {
            PROBE(RAFT_OWN_VOTE_AWAITED);
            break;
        }
        if (r->role == RAFT_PRE_CANDIDATE) {
            if (raft_campaign(r, RAFT_CAMPAIGN_REAL) != OK) {
                raft_become_follower(r, r->term, NODE_NONE);
            }
        } else if (raft_is_promotable(r)) {
            raft_become_leader(r);
            raft_broadcast_append(r);
        } else {
            raft_become_follower(r, r->term, NODE_NONE);
        }
        break;
    case QUORUM_LOST:
        PROBE(RAFT_VOTE_LOST);
        raft_become_follower(r, r->term, NODE_NONE);
        break;
    case QUORUM_PENDING:
        break;
    }
}

void raft_tick_election(struct raft *r)
{
    const struct raft_member *own = raft_own_member(r);
    if (!own || own->priority == 0 || raft_election_elapsed(r) < r->election_timeout_drawn) {
        return;
    }
    if (!raft_is_promotable(r)) {
        return;
    }
    r->election_start = r->now;
    if (raft_campaign(r, r->cfg.pre_vote ? RAFT_CAMPAIGN_PRE : RAFT_CAMPAIGN_REAL) == OK) {
        /* A pre-candidate keeps its term, and draws anew so that two do not ask in step. */
        raft_draw_election_timeout(r);
    }
}
