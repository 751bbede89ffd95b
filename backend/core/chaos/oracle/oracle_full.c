/* Everything at once: whole logs against the register and the truth, states, and what must still
 * be somewhere (I6). */
#include "core/chaos/oracle/oracle_int.h"

static bool full_runs(const struct oracle_host *h)
{
    return h->node && h->has_begun && h->node->state == NODE_RUNNING;
}

static void full_log(struct oracle *o, const struct oracle_host *h)
{
    const struct raft_log *log = &oracle_raft(h)->log;
    for (raft_index i = log->snapshot_index + 1; i <= log->last; i++) {
        oracle_register(o, h, i);
    }
    for (raft_index i = log->snapshot_index; i <= log->committed; i++) {
        if (i > 0 && !oracle_log_has_truth(o, log, i)) {
            ORACLE_BLAME(o, h, "I5", "node % holds entry % of term % for committed, and it is not",
                         h->id, i, raft_log_term(log, i));
            return;
        }
    }
}

static void full_state(struct oracle *o, const struct oracle_host *h)
{
    const struct store *s = h->node->store;
    const struct oracle_place *place = oracle_place_find(o, h->applied);
    if (oracle_holds_state(h)) {
        if (place && place->has_state && place->state != store_hash(s)) {
            ORACLE_BLAME(o, h, "I32", "node % has another state after entry % than others had",
                         h->id, h->applied);
        }
        store_check(s); /* I34 */
        return;
    }
    struct store_stats stats;
    store_stats_read(s, &stats);
    if (stats.keys > 0 || stats.leases > 0) {
        ORACLE_BLAME(o, h, "I21", "node %, a witness, holds % keys", h->id, stats.keys);
    }
}

/* The membership of whoever has applied most; NULL where somebody knows of more than it has
 * applied, among which may be a change of the members. */
static const struct raft_membership *full_members(const struct oracle *o)
{
    const struct raft *newest = NULL;
    for (uint32_t i = 0; i < o->host_count; i++) {
        const struct oracle_host *h = &o->host[i];
        if (!full_runs(h)) {
            continue;
        }
        const struct raft *r = oracle_raft(h);
        if (r->log.applied < r->log.committed) {
            return NULL;
        }
        if (!newest || newest->log.applied < r->log.applied) {
            newest = r;
        }
    }
    return newest ? &newest->membership : NULL;
}

static bool full_is_whole(const struct oracle_host *h)
{
    return h && full_runs(h) && !raft_is_impaired(oracle_raft(h)) && !oracle_raft(h)->installing;
}

/* What was committed is somewhere among those that are up and whole, if they are enough to go on:
 * a majority of the voters, and under a witness every replica. */
static void full_survival(struct oracle *o)
{
    const struct raft_membership *ms = full_members(o);
    bool has[RAFT_MEMBERS_MAX];
    bool is_enough = ms && ms->n > 0;
    const struct oracle_host *asked = NULL;
    for (uint32_t i = 0; is_enough && i < ms->n; i++) {
        const struct oracle_host *h = oracle_host_of(o, ms->member[i].id);
        has[i] = full_is_whole(h);
        asked = has[i] ? h : asked;
        bool must = raft_membership_has_witness(ms) && raft_member_is_full_voter(&ms->member[i]);
        is_enough = has[i] || !must;
    }
    if (!is_enough || !asked || !oracle_is_quorum(ms, has)) {
        return;
    }
    for (uint32_t i = 0; i < o->host_count; i++) {
        const struct oracle_host *h = &o->host[i];
        if (full_is_whole(h) && !h->is_witness &&
            oracle_log_has_truth(o, &oracle_raft(h)->log, o->committed)) {
            return;
        }
    }
    ORACLE_BLAME(o, asked, "I6", "entry % was committed, and no node that is up and whole holds it",
                 o->committed);
}

void oracle_full(struct oracle *o, nanos now)
{
    for (uint32_t i = 0; i < o->host_count; i++) {
        oracle_step(o, i, now);
    }
    for (uint32_t i = 0; i < o->host_count; i++) {
        const struct oracle_host *h = &o->host[i];
        if (!full_runs(h)) {
            continue;
        }
        node_check(h->node);
        raft_check(oracle_raft(h));
        full_log(o, h);
        full_state(o, h);
    }
    full_survival(o);
}

void oracle_converged(struct oracle *o, nanos now)
{
    oracle_full(o, now);
    const struct raft_membership *ms = full_members(o);
    for (uint32_t i = 0; i < o->host_count; i++) {
        const struct oracle_host *h = &o->host[i];
        bool is_member = ms && h->id != NODE_NONE && raft_membership_lookup(ms, h->id);
        if (!full_runs(h) || !is_member || h->is_witness) {
            continue;
        }
        if (h->node->applied < o->committed || !full_is_whole(h)) {
            ORACLE_BLAME(o, h, "I6", "node % has applied entry % of %, and faults are over", h->id,
                         h->node->applied, o->committed);
        }
    }
}
