/*
 * What a leader owes the group besides safety: that it lets go where it cannot lead (I37), and that
 * it changes the members one step at a time (I15).
 *
 * Time is what Raft itself was told last, so a leader is judged by what it could act upon: one that
 * was frozen is judged when it has run again.
 */
#include "core/chaos/oracle/oracle_int.h"

/* --- letting go ------------------------------------------------------------------------------- */

/* Has a majority been heard within two election timeouts: the one that has just passed its check,
 * and the one before? A member that was never heard may have joined or woken just now. */
static bool duty_quorum_is_heard(const struct raft *r)
{
    nanos patience = 2 * r->cfg.election_timeout + r->cfg.heartbeat_interval;
    bool has[RAFT_MEMBERS_MAX];
    for (uint32_t i = 0; i < r->membership.n; i++) {
        const struct raft_progress *pr = &r->peer[i].pr;
        nanos heard = u64_max(pr->heard, pr->impaired);
        bool own = r->membership.member[i].id == r->cfg.id;
        has[i] = own || heard == 0 || r->now - heard <= patience;
    }
    return oracle_is_quorum(&r->membership, has);
}

static void duty_check_quorum(struct oracle *o, struct oracle_host *h)
{
    const struct raft *r = oracle_raft(h);
    if (!r->cfg.check_quorum || duty_quorum_is_heard(r)) {
        h->alone_since = 0;
        return;
    }
    /* A transfer that begins puts the check off. */
    if (h->alone_since == 0 || r->transferee != NODE_NONE) {
        h->alone_since = r->now;
    }
    if (r->now - h->alone_since > r->cfg.election_timeout + r->cfg.heartbeat_interval) {
        ORACLE_BLAME(o, h, "I37", "node % leads term %, and has heard no majority for too long",
                     h->id, r->term);
    }
}

static void duty_check_disk(struct oracle *o, const struct oracle_host *h)
{
    const struct raft *r = oracle_raft(h);
    bool alone = raft_membership_count(&r->membership, RAFT_VOTER | RAFT_VOTER_OUTGOING) <= 1;
    if (r->cfg.stall_timeout == 0 || r->batch_count == 0 || alone) {
        return;
    }
    nanos waits = r->now - u64_max(r->batch[r->batch_start].front_since, r->lead_since);
    if (waits > r->cfg.stall_timeout + r->cfg.election_timeout) {
        ORACLE_BLAME(o, h, "I37", "node % leads term %, and its disk has stood for % ms", h->id,
                     r->term, waits / NANOS_PER_MS);
    }
}

static void duty_check_transfer(struct oracle *o, struct oracle_host *h)
{
    const struct raft *r = oracle_raft(h);
    if (r->transferee == NODE_NONE || r->transferee != h->transferee) {
        h->transferee = r->transferee;
        h->transfer_since = r->now;
    }
    /* One that was asked for again just as it ended looks as if it went on. */
    if (r->now - u64_max(h->transfer_since, r->lead_since) > 4 * r->cfg.election_timeout) {
        if (r->transferee != NODE_NONE) {
            ORACLE_BLAME(o, h, "I37", "node % leads term %, and hands the lead to % without end",
                         h->id, r->term, r->transferee);
        }
    }
}

void oracle_look_at_duty(struct oracle *o, struct oracle_host *h)
{
    const struct raft *r = oracle_raft(h);
    if (r->role != RAFT_LEADER || h->role != RAFT_LEADER || h->term != r->term) {
        h->duty_due = 0;
        h->alone_since = 0;
        h->transferee = NODE_NONE;
        return;
    }
    if (r->now < h->duty_due || h->is_forced) {
        return;
    }
    h->duty_due = r->now + r->cfg.heartbeat_interval;
    duty_check_quorum(o, h);
    duty_check_disk(o, h);
    duty_check_transfer(o, h);
}

/* --- one change at a time --------------------------------------------------------------------- */

/* A leader proposes a change once the one before is applied, and once it has committed in its own
 * term; to leave a joint configuration, which nobody can do twice, the first will do. */
void oracle_look_at_changes(struct oracle *o, const struct oracle_host *h)
{
    const struct raft *r = oracle_raft(h);
    bool others = raft_membership_count(&r->membership, RAFT_VOTER | RAFT_VOTER_OUTGOING) > 1;
    bool is_fresh = others && raft_log_term(&r->log, r->log.committed) != r->term;
    raft_index before = 0;
    if (r->role != RAFT_LEADER || h->is_forced) {
        return;
    }
    for (size_t i = 0; i < r->conf_count; i++) {
        if (r->conf[i].type != RAFT_ENTRY_CONF) {
            continue;
        }
        bool own = raft_log_term(&r->log, r->conf[i].index) == r->term;
        if (own && before != 0) {
            ORACLE_BLAME(o, h, "I15",
                         "node % leads term %, and changed the members at entry % before it had "
                         "applied the change at entry %",
                         h->id, r->term, r->conf[i].index, before);
        }
        if (own && is_fresh && r->conf[i].len > 0) {
            ORACLE_BLAME(o, h, "I15",
                         "node % leads term %, and changed the members at entry % before it had "
                         "committed in its term",
                         h->id, r->term, r->conf[i].index);
        }
        before = r->conf[i].index;
    }
}

void oracle_look_at_campaign(struct oracle *o, const struct oracle_host *h)
{
    const struct raft *r = oracle_raft(h);
    bool asks = r->role == RAFT_CANDIDATE || r->role == RAFT_PRE_CANDIDATE;
    if (asks && r->conf_count > 0 && r->conf[0].index <= r->log.committed) {
        ORACLE_BLAME(o, h, "I15",
                     "node % asks for votes, and has not applied the change of the members at "
                     "entry %, which is committed",
                     h->id, r->conf[0].index);
    }
}
