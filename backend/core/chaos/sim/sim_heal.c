/*
 * Liveness (I16): faults stop for good, a quorum of hosts is whole, and within the bound, without
 * anybody's help, the cluster elects, repairs, converges and serves.
 *
 * Where the seed says so, only a core comes back: a majority of the voters, none of which is
 * damaged; the others are dead for good. The core is chosen when faults end.
 */
#include <string.h>

#include "core/base/check.h"
#include "core/base/say.h"
#include "core/chaos/sim/sim_int.h"
#include "core/consensus/raft/raft_int.h"
#include "core/node/node_int.h"

#define HEAL_LOOK_EVERY (100 * NANOS_PER_MS)

/* A lead that lasts for so many election timeouts has come to rest: nobody campaigns against it. */
#define REST_TIMEOUTS 3

/* How much later than its time a lease may go when all is well. */
#define LEASE_SLACK (5 * NANOS_PER_S)

/* A request that a member of the core is asked to serve. */
struct heal_probe {
    size_t call;
    bool is_asked;
};

struct heal {
    uint32_t core; /* a bit each */
    nanos bound;
    raft_term term; /* of the lead, since `calm_since` */
    nanos calm_since;
    struct heal_probe put[SIM_HOSTS_MAX];
    struct heal_probe get[SIM_HOSTS_MAX];
};

/* --- who comes back --------------------------------------------------------------------------- */

static uint32_t all_hosts(const struct sim *s)
{
    uint32_t core = 0;

    for (uint32_t i = 0; i < s->cluster.n; i++) {
        core |= s->cluster.member[i].state != MEMBER_BLANK ? 1U << i : 0;
    }
    return core;
}

/* Does its leader hear it? Whom it does not, it may be about to demote, and for that asks those
 * that would be left: they must not be the ones that die now. */
static bool is_heard(const struct raft *leader, uint32_t slot)
{
    const struct raft_progress *pr = &leader->peer[slot].pr;
    return leader->cfg.demote_after == 0 || leader->membership.member[slot].id == leader->cfg.id ||
           (pr->heard != 0 && leader->now - pr->heard < leader->cfg.election_timeout);
}

/* A majority of the voters that are whole; all hosts, where that cannot be told. */
static uint32_t choose_core(struct sim *s)
{
    struct prng p = prng_fork(&s->root, SIM_STREAM_HEAL);
    struct simmember *leader = simcluster_leader(&s->cluster);

    if (!s->settings.core_only || leader == NULL || leader->node->raft->conf_count > 0 ||
        simcluster_is_deposed(&s->cluster, leader)) {
        return all_hosts(s);
    }
    const struct raft_membership *ms = node_status(leader->node).membership;
    uint32_t voters = raft_membership_count(ms, RAFT_VOTER);
    if (raft_membership_is_joint(ms) || raft_membership_has_witness(ms)) {
        return all_hosts(s);
    }
    uint32_t core = 0;
    uint32_t chosen = 0;
    uint32_t first = (uint32_t)prng_below(&p, ms->n);
    for (uint32_t k = 0; k < ms->n && chosen <= voters / 2; k++) {
        uint32_t slot = (first + k) % ms->n;
        const struct raft_member *member = &ms->member[slot];
        const struct simmember *m = &s->cluster.member[member->id - 1];
        bool is_whole = s->inject.damage[m->i].life == 0 && simmember_serves(m) &&
                        !node_status(m->node).impaired && is_heard(leader->node->raft, slot);
        if ((member->roles & RAFT_VOTER) && member->priority > 0 && is_whole) {
            core |= 1U << m->i;
            chosen++;
        }
    }
    if (chosen <= voters / 2) {
        return all_hosts(s);
    }
    for (uint32_t i = 0; i < s->cluster.n; i++) {
        core |= s->cluster.member[i].is_agent ? 1U << i : 0;
    }
    sim_reach(s, REACHED_CORE_ONLY);
    return core;
}

/* --- whether it has converged ----------------------------------------------------------------- */

/* Why not yet: a static string; NULL: it has. */
static const char *why_not_converged(struct sim *s, const struct heal *heal)
{
    struct simmember *leader = simcluster_leader(&s->cluster);

    if (leader == NULL) {
        return "nobody leads";
    }
    struct raft_status lead = node_status(leader->node);
    if (lead.committed != lead.last) {
        return "the leader's log is not committed to its end";
    }
    if (raft_membership_is_joint(lead.membership) && lead.membership->auto_leave) {
        return "the configuration is joint";
    }
    for (uint32_t i = 0; i < lead.membership->n; i++) {
        const struct simmember *m = &s->cluster.member[lead.membership->member[i].id - 1];
        bool is_witness = (lead.membership->member[i].roles & RAFT_WITNESS) != 0;
        if ((heal->core >> m->i & 1) == 0) {
            continue;
        }
        if (!simmember_serves(m)) {
            return "a member does not run";
        }
        struct raft_status status = node_status(m->node);
        if (status.impaired) {
            return "a member is impaired";
        }
        if (status.leader != leader->id) {
            return "a member follows nobody, or somebody else";
        }
        if (!is_witness && node_applied(m->node) != lead.committed) {
            return "a member has not applied everything";
        }
        if (node_lacks_space(m->node)) {
            return "a member lacks space";
        }
    }
    return NULL;
}

/* Asks, and asks again where that failed or came to nothing; true: it succeeded. */
static bool probe_succeeds(struct sim *s, enum simcall_kind kind, uint32_t at,
                           struct heal_probe *probe)
{
    if (probe->is_asked) {
        const struct simcall *call = &s->clients.calls[probe->call];
        if (call->is_pending) {
            return false;
        }
        if (call->outcome == SIMCALL_OK) {
            return true;
        }
    }
    probe->is_asked = simclients_ask(&s->clients, kind, at, at, &probe->call);
    return false;
}

/* Each member of the core takes a write and a read. */
static const char *why_not_serving(struct sim *s, struct heal *heal)
{
    struct simmember *leader = simcluster_leader(&s->cluster);
    const struct raft_membership *ms = node_status(leader->node).membership;
    const char *why = NULL;

    for (uint32_t i = 0; i < s->cluster.n; i++) {
        const struct raft_member *member = raft_membership_lookup(ms, i + 1);
        if ((heal->core >> i & 1) == 0 || member == NULL || (member->roles & RAFT_WITNESS)) {
            continue;
        }
        if (!probe_succeeds(s, SIMCALL_PUT, i, &heal->put[i])) {
            why = "a member takes no writes";
        } else if (!probe_succeeds(s, SIMCALL_GET, i, &heal->get[i])) {
            why = "a member answers no reads";
        }
    }
    return why;
}

/* Somebody who has no part in the group any more, or who sees only some of it, must not end one
 * lead after another. */
static const char *why_not_calm(struct sim *s, struct heal *heal)
{
    struct simmember *leader = simcluster_leader(&s->cluster);
    raft_term term = node_status(leader->node).term;
    nanos now = simworld_now(s->world);

    if (term != heal->term) {
        heal->term = term;
        heal->calm_since = now;
    }
    nanos rest = REST_TIMEOUTS * s->settings.raft.election_timeout;
    return now - heal->calm_since < rest ? "the lead does not come to rest" : NULL;
}

static void say_members(struct sim *s, struct buf *text)
{
    for (uint32_t i = 0; i < s->cluster.n; i++) {
        const struct simmember *m = &s->cluster.member[i];
        if (m->state == MEMBER_BLANK) {
            continue;
        }
        say(text, "; ");
        say(text, m->name);
        if (!simmember_serves(m)) {
            say(text, m->state == MEMBER_DOWN ? " down"
                      : m->is_agent           ? " agent"
                      : m->is_halted          ? " halted"
                                              : " recovering");
            continue;
        }
        struct raft_status status = node_status(m->node);
        say(text, " ");
        say(text, raft_role_name(status.role));
        say(text, " t");
        say_u64(text, status.term);
        say(text, " log ");
        say_u64(text, status.first);
        say(text, "-");
        say_u64(text, status.last);
        say(text, " commit ");
        say_u64(text, status.committed);
        say(text, " applied ");
        say_u64(text, node_applied(m->node));
        say(text, status.impaired ? " impaired" : "");
        say(text, status.installing ? " installing" : "");
    }
}

static void fail_stuck(struct sim *s, const char *why)
{
    struct buf text;

    buf_init(&text);
    say(&text, why);
    say_members(s, &text);
    sim_fail(s, SIM_STUCK, "I16", say_end(&text));
    buf_deinit(&text);
}

/* Nobody renews any more: within twice the longest time of a lease, and the time that ending them
 * takes, all are gone. */
static void heal_leases(struct sim *s)
{
    struct store_stats stats;

    if (s->settings.lessees > 0) {
        sim_pass(s, simworld_now(s->world) + 2 * SIMLEASE_TTL_MAX + LEASE_SLACK);
    }
    struct simmember *leader = simcluster_leader(&s->cluster);
    if (s->is_over || leader == NULL) {
        return;
    }
    store_stats_read(leader->node->store, &stats);
    if (stats.leases > 0) {
        sim_fail(s, SIM_UNSAFE, "I8", "a lease that nobody renews does not end");
    }
    simwatches_finish(&s->watches, leader->i);
}

void sim_heal(struct sim *s)
{
    struct heal heal = {.bound = simworld_now(s->world) + s->settings.heal_bound};
    const char *why = "time has not passed";

    struct buf *line = sim_line(s);
    if (line != NULL) {
        say(line, "HEAL: faults are over");
        sim_line_end(s);
    }
    inject_end(&s->inject); /* which may still damage a disk: the core is chosen then */
    heal.core = choose_core(s);
    inject_heal(&s->inject, heal.core);
    simclients_stop(&s->clients);
    simlessees_stop(&s->lessees);
    while (!s->is_over && !s->is_beyond && why != NULL) {
        if (simworld_now(s->world) >= heal.bound) {
            fail_stuck(s, why);
            return;
        }
        sim_pass(s, simworld_now(s->world) + HEAL_LOOK_EVERY);
        why = why_not_converged(s, &heal);
        if (why == NULL) {
            why = why_not_serving(s, &heal);
        }
        if (why == NULL && simclients_waiting(&s->clients) > 0) {
            why = "a client still waits";
        }
        if (why == NULL) {
            why = why_not_calm(s, &heal);
        }
    }
    if (!s->is_over && !s->is_beyond) {
        heal_leases(s);
    }
    if (!s->is_over && !s->is_beyond && s->settings.watches_hosts) {
        sim_hosts_settle(s);
    }
    if (!s->is_over) {
        sim_ha_settle(s);
    }
    if (!s->is_over && !s->is_beyond) {
        oracle_converged(s->oracle, simworld_now(s->world));
        const struct oracle_violation *violation = oracle_violation(s->oracle);
        if (violation != NULL) {
            sim_fail(s, SIM_UNSAFE, violation->invariant, violation->text);
        }
    }
}
