/*
 * Whole clusters under drawn faults, against the oracle of tests/support/raft_cluster.h. Each fault
 * family is wholly off in about half of the seeds. A seed ends with everything healed, and then the
 * cluster must elect, commit, repair and converge within a bound.
 *
 * NOVACRON_SEED=N draws other seeds; NOVACRON_SCALE multiplies how many; TORTURE_SEED=N runs
 * one of those that were printed, TORTURE_TRACE=1 with every step.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/check.h"
#include "core/consensus/raft/raft_int.h"
#include "tests/support/raft_cluster.h"
#include "tests/support/test.h"

#define TORTURE_SEEDS 300

/* What happens in one seed, and how often. Chances are in a thousand, drawn every few ms. */
struct torture {
    struct cluster c;
    struct prng prng;
    uint64_t value;
    uint32_t founders;
    bool witness;
    uint32_t crash;
    uint32_t restart;
    uint32_t partition;
    uint32_t stall;
    uint32_t freeze;
    uint32_t transfer;
    uint32_t change;
    uint32_t snapshot;
    uint32_t damage;
    uint32_t wipe;
    uint32_t campaign;
    bool leases;
    bool small_memory;
};

static uint64_t torture_seed; /* being run, for the report of a failure */

static void torture_report(int signal)
{
    (void)signal;
    char line[64];
    int n = snprintf(line, sizeof(line), "# failed: TORTURE_SEED=%" PRIu64 "\n", torture_seed);
    if (n > 0 && write(2, line, (size_t)n) < 0) {
        _exit(1);
    }
}

static uint32_t torture_family(struct prng *p, uint32_t most)
{
    return prng_chance(p, 1, 2) ? (uint32_t)prng_range(p, 1, most) : 0;
}

static struct torture *configuring;

static void torture_configure(struct raft_config *c)
{
    c->lease_reads = configuring->leases;
    c->clock_drift_ppm = 1000;
    c->snapshot_bytes_per_s = 1000 * 1000;
    c->priority_hold = 3 * NANOS_PER_S;
    if (configuring->small_memory) {
        c->max_append_bytes = 300;
        c->max_inflight_messages = 3;
        c->max_inflight_bytes = 900;
        c->max_uncommitted_bytes = 4000;
        c->max_applying_bytes = 500;
        c->max_cached_bytes = 1 << 16;
        c->max_reads = 4;
    }
}

static void torture_draw(struct torture *t, uint64_t seed)
{
    memset(t, 0, sizeof(*t));
    prng_init(&t->prng, seed * 2 + 1);
    struct prng *p = &t->prng;
    t->founders = (uint32_t)prng_range(p, 1, 5);
    t->witness = t->founders >= 3 && prng_chance(p, 2, 5);
    t->crash = torture_family(p, 10);
    t->restart = (uint32_t)prng_range(p, 10, 100);
    t->partition = torture_family(p, 10);
    t->stall = torture_family(p, 5);
    t->freeze = torture_family(p, 5);
    t->transfer = torture_family(p, 10);
    t->change = torture_family(p, 15);
    t->snapshot = torture_family(p, 30);
    t->damage = torture_family(p, 300);
    t->wipe = torture_family(p, 200);
    t->campaign = torture_family(p, 5);
    t->leases = prng_chance(p, 1, 4);
    t->small_memory = prng_chance(p, 1, 3);
    cluster_init(&t->c, seed, CLUSTER_NODES_MAX);
    struct cluster_faults *f = &t->c.faults;
    f->loss = torture_family(p, 150);
    f->duplicate = torture_family(p, 100);
    f->late = torture_family(p, 30);
    f->latency_max = prng_range(p, 1, 60) * NANOS_PER_MS;
    f->disk_max = prng_range(p, 1, 60) * NANOS_PER_MS;
    f->clock_ppm = torture_family(p, 900);
    configuring = t;
    t->c.configure = torture_configure;
    t->c.trace = getenv("TORTURE_TRACE") != NULL;
}

static void torture_boot(struct torture *t)
{
    struct raft_membership ms = {0};
    for (node_id id = 1; id <= t->founders; id++) {
        bool witness = t->witness && id == t->founders;
        struct raft_member *m =
            raft_membership_insert(&ms, id, RAFT_VOTER | (witness ? RAFT_WITNESS : RAFT_IN_SYNC));
        m->priority = (uint8_t)prng_range(&t->prng, 90, 110);
    }
    for (uint32_t i = 0; !t->witness && i < ms.n; i++) {
        ms.member[i].roles &= (uint8_t)~RAFT_IN_SYNC;
    }
    cluster_boot(&t->c, &ms);
}

static node_id torture_any(struct torture *t)
{
    return prng_range(&t->prng, 1, t->c.n);
}

static node_id torture_any_up(struct torture *t)
{
    node_id id = torture_any(t);
    for (uint32_t i = 0; i < t->c.n; i++) {
        if (cluster_node(&t->c, id)->up) {
            return id;
        }
        id = id % t->c.n + 1;
    }
    return NODE_NONE;
}

/* A loss is within what the rules promise to survive only while everybody else is whole. */
static bool torture_may_lose(struct torture *t, node_id id)
{
    node_id leader = cluster_leader(&t->c);
    if (leader == NODE_NONE || leader == id) {
        return false;
    }
    const struct raft *lead = cluster_node(&t->c, leader)->raft;
    const struct raft_member *member = raft_membership_lookup(&lead->membership, id);
    if (lead->conf_count > 0 || (member && (member->roles & RAFT_LEARNER))) {
        return false; /* a change under way, or a promotion, may make this loss one too many */
    }
    unsigned in_sync = 0;
    unsigned voters[2] = {0};
    unsigned whole[2] = {0};
    for (uint32_t i = 0; i < lead->membership.n; i++) {
        const struct raft_member *m = &lead->membership.member[i];
        const struct cluster_node *node = cluster_node(&t->c, m->id);
        bool lost = m->id == id || !node->up || node->frozen || raft_status(node->raft).impaired ||
                    node->raft->installing;
        if (lost && m->id != id && raft_member_votes(m)) {
            return false;
        }
        for (int h = 0; h < 2; h++) {
            bool votes = (m->roles & (h == 0 ? RAFT_VOTER : RAFT_VOTER_OUTGOING)) != 0;
            voters[h] += votes;
            whole[h] += votes && !lost;
        }
        in_sync += !lost && raft_member_is_full_voter(m) && raft_in_sync_has(lead, m->id);
    }
    return in_sync > 0 && quorum_tally(whole[0], 0, voters[0]) == QUORUM_WON &&
           quorum_tally(whole[1], 0, voters[1]) == QUORUM_WON;
}

static void torture_crash(struct torture *t)
{
    node_id id = torture_any_up(t);
    if (id == NODE_NONE) {
        return;
    }
    struct cluster_node *node = cluster_node(&t->c, id);
    bool may_lose = torture_may_lose(t, id) && raft_membership_lookup(&node->membership, id);
    cluster_crash(&t->c, id);
    if (!may_lose) {
        return;
    }
    const struct cluster_disk *d = &node->disk;
    if (prng_chance(&t->prng, t->wipe, 1000)) {
        cluster_wipe(&t->c, id);
    } else if (prng_chance(&t->prng, t->damage, 1000) && d->len > 0) {
        raft_index first = d->snapshot.index + 1 + prng_below(&t->prng, d->len);
        if (prng_chance(&t->prng, 1, 3)) {
            cluster_lose_log(&t->c, id, first);
        } else {
            cluster_damage(&t->c, id, first, first + prng_below(&t->prng, 20));
        }
    }
}

static void torture_restart(struct torture *t)
{
    node_id id = torture_any(t);
    struct cluster_node *node = cluster_node(&t->c, id);
    if (!node->up && node->boots > 0) {
        cluster_restart(&t->c, id);
    }
}

static void torture_partition(struct torture *t)
{
    if (prng_chance(&t->prng, 1, 3)) {
        memset(t->c.cut, 0, sizeof(t->c.cut));
        return;
    }
    node_id a = torture_any(t);
    bool one_way = prng_chance(&t->prng, 1, 3);
    for (node_id b = 1; b <= t->c.n; b++) {
        if (b != a && prng_chance(&t->prng, 2, 3)) {
            cluster_cut(&t->c, a, b, true);
            cluster_cut(&t->c, b, a, !one_way);
        }
    }
}

/* Has a disk lost something that its node has not healed? A change of the members now could take
 * the quorum away that heals it: one loss too many. */
static bool torture_losing(struct torture *t)
{
    for (uint32_t i = 0; i < t->c.n; i++) {
        const struct cluster_node *node = &t->c.node[i];
        bool impaired = node->up && raft_status(node->raft).impaired;
        bool damaged = impaired || node->disk.lost_vote || node->disk.lost_from != 0;
        for (size_t k = 0; k < node->disk.len && !damaged && !node->up; k++) {
            damaged = node->disk.log[k].damaged;
        }
        if (damaged) {
            return true;
        }
    }
    return false;
}

static void torture_change(struct torture *t)
{
    node_id leader = cluster_leader(&t->c);
    if (leader == NODE_NONE || torture_losing(t)) {
        return;
    }
    const struct raft_membership *ms = raft_status(cluster_node(&t->c, leader)->raft).membership;
    node_id id = torture_any(t);
    const struct raft_member *m = raft_membership_lookup(ms, id);
    unsigned voters = raft_membership_count(ms, RAFT_VOTER);
    struct raft_conf_change change = {.transition = RAFT_TRANSITION_AUTO};
    change.n = 1;
    change.single[0] = (struct raft_conf_single){
        .node = id, .priority = RAFT_PRIORITY_DEFAULT, .op = RAFT_ADD_LEARNER};
    change.single[0].auto_promote = prng_chance(&t->prng, 1, 2);
    if (raft_membership_is_joint(ms)) {
        change.n = 0;
    } else if (m && (m->roles & RAFT_LEARNER)) {
        change.single[0].op = RAFT_ADD_VOTER;
    } else if (m && voters > 2) {
        change.single[0].op = RAFT_REMOVE;
        node_id other = torture_any(t);
        if (!raft_membership_lookup(ms, other) && cluster_node(&t->c, other)->boots == 0) {
            change.single[1] = change.single[0];
            change.single[1].op = RAFT_ADD_VOTER;
            change.single[1].node = other;
            change.n = 2;
            cluster_boot_blank(&t->c, other);
        }
    } else if (m) {
        return;
    } else if (cluster_node(&t->c, id)->boots == 0) {
        cluster_boot_blank(&t->c, id);
    } else {
        return; /* removed members do not come back under their old id */
    }
    struct raft_event e = {.type = RAFT_EVENT_CHANGE, .change = &change};
    enum err ignored = cluster_step(&t->c, leader, &e);
    (void)ignored;
    cluster_run(&t->c, 1);
}

static void torture_transfer(struct torture *t)
{
    node_id leader = cluster_leader(&t->c);
    if (leader != NODE_NONE) {
        struct raft_event e = {.type = RAFT_EVENT_TRANSFER, .node = torture_any(t)};
        enum err ignored = cluster_step(&t->c, leader, &e);
        (void)ignored;
    }
}

static void torture_event(struct torture *t, enum raft_event_type type)
{
    node_id id = torture_any_up(t);
    if (id != NODE_NONE) {
        struct raft_event e = {.type = type, .node = torture_any(t)};
        enum err ignored = cluster_step(&t->c, id, &e);
        (void)ignored;
    }
}

static void torture_load(struct torture *t)
{
    for (int i = 0; i < 3; i++) {
        node_id id = prng_chance(&t->prng, 1, 2) ? cluster_leader(&t->c) : torture_any_up(t);
        if (id == NODE_NONE) {
            return;
        }
        enum err ignored = cluster_propose(&t->c, id, t->value++);
        ignored = cluster_read(&t->c, torture_any_up(t));
        (void)ignored;
    }
}

static void torture_faults(struct torture *t)
{
    struct prng *p = &t->prng;
    if (prng_chance(p, t->crash, 1000)) {
        torture_crash(t);
    }
    if (prng_chance(p, t->restart, 1000)) {
        torture_restart(t);
    }
    if (prng_chance(p, t->partition, 1000)) {
        torture_partition(t);
    }
    if (prng_chance(p, t->stall, 1000)) {
        struct cluster_node *node = cluster_node(&t->c, torture_any(t));
        node->disk_stuck = !node->disk_stuck;
    }
    if (prng_chance(p, t->freeze, 1000)) {
        struct cluster_node *node = cluster_node(&t->c, torture_any(t));
        node->frozen = !node->frozen;
    }
    if (prng_chance(p, t->transfer, 1000)) {
        torture_transfer(t);
    }
    if (prng_chance(p, t->change, 1000)) {
        torture_change(t);
    }
    if (prng_chance(p, t->snapshot, 1000)) {
        node_id id = torture_any_up(t);
        if (id != NODE_NONE) {
            cluster_snapshot(&t->c, id, 0);
        }
    }
    if (prng_chance(p, t->campaign, 1000)) {
        static const enum raft_event_type kinds[] = {RAFT_EVENT_CAMPAIGN, RAFT_EVENT_FORGET_LEADER,
                                                     RAFT_EVENT_STREAM_RESET, RAFT_EVENT_SUSPENDED,
                                                     RAFT_EVENT_UNREACHABLE};
        torture_event(t, kinds[prng_below(p, COUNT_OF(kinds))]);
    }
}

/* --- the end --------------------------------------------------------------------------------- */

static bool torture_converged(struct torture *t)
{
    node_id leader = cluster_leader(&t->c);
    if (leader == NODE_NONE) {
        return false;
    }
    struct raft_status lead = raft_status(cluster_node(&t->c, leader)->raft);
    if (lead.committed != lead.last || raft_membership_is_joint(lead.membership)) {
        return false;
    }
    for (uint32_t i = 0; i < lead.membership->n; i++) {
        const struct cluster_node *node = cluster_node(&t->c, lead.membership->member[i].id);
        struct raft_status s = raft_status(node->raft);
        if (s.impaired || s.applied != lead.committed || s.leader != leader ||
            node->applied != lead.committed) {
            return false;
        }
    }
    return true;
}

static void torture_describe(struct torture *t)
{
    for (uint32_t i = 0; i < t->c.n; i++) {
        const struct cluster_node *node = &t->c.node[i];
        if (!node->up) {
            continue;
        }
        const struct raft *r = node->raft;
        fprintf(stderr,
                "# %" PRIu64 " %s term %" PRIu64 " lead %" PRIu64 " log %" PRIu64 "-%" PRIu64
                " durable %" PRIu64 " commit %" PRIu64 " applying %" PRIu64 " applied %" PRIu64
                " impaired %d(%d %" PRIu64 " %u) stalled %d installing %d fetch %d in_sync %u",
                node->id, raft_role_name(r->role), r->term, r->leader, raft_log_first(&r->log),
                r->log.last, r->log.durable, r->log.committed, r->log.applying, r->log.applied,
                raft_is_impaired(r), r->repair.lost_vote, r->repair.lost_from,
                r->repair.range_count, raft_is_stalled(r), r->installing, r->fetch.active,
                r->in_sync_count);
        for (uint32_t k = 0; k < r->membership.n; k++) {
            fprintf(stderr, " [%" PRIu64 ":%x m%" PRIu64 " n%" PRIu64 " s%d]",
                    r->membership.member[k].id, r->membership.member[k].roles, r->peer[k].pr.match,
                    r->peer[k].pr.next, (int)r->peer[k].pr.state);
        }
        for (uint32_t k = 0; k < r->in_sync_count; k++) {
            fprintf(stderr, " I@%" PRIu64, r->in_sync[k].index);
            for (uint32_t j = 0; j < r->in_sync[k].n; j++) {
                fprintf(stderr, "%c%" PRIu64, j == 0 ? '=' : ',', r->in_sync[k].ids[j]);
            }
        }
        for (size_t k = 0; k < r->conf_count; k++) {
            fprintf(stderr, " C@%" PRIu64 ":%d", r->conf[k].index, (int)r->conf[k].type);
        }
        fprintf(stderr, "\n");
    }
}

/* Faults stop; everybody comes back. The rest is the cluster's own affair. */
static void torture_liveness(struct torture *t)
{
    cluster_heal(&t->c);
    for (uint32_t i = 0; i < t->c.n; i++) {
        if (!t->c.node[i].up && t->c.node[i].boots > 0) {
            cluster_restart(&t->c, t->c.node[i].id);
        }
    }
    nanos until = t->c.now + 60 * NANOS_PER_S;
    bool proposed = false;
    while (t->c.now < until) {
        cluster_run(&t->c, 500 * NANOS_PER_MS);
        node_id leader = cluster_leader(&t->c);
        if (!proposed && leader != NODE_NONE) {
            proposed = cluster_propose(&t->c, leader, t->value++) == OK;
        }
        if (proposed && torture_converged(t)) {
            return;
        }
    }
    torture_describe(t);
    CHECK_UNREACHABLE("the healed cluster did not converge");
}

struct torture_sum {
    uint64_t events, committed, elections, snapshots, repairs, reads;
};

static uint64_t torture_run(uint64_t seed, struct torture_sum *sum)
{
    struct torture *t = malloc(sizeof(*t));
    assert_non_null(t);
    torture_draw(t, seed);
    torture_boot(t);
    for (int round = 0; round < 3000; round++) {
        torture_faults(t);
        if (prng_chance(&t->prng, 1, 4)) {
            torture_load(t);
        }
        cluster_run(&t->c, prng_range(&t->prng, 1, 10) * NANOS_PER_MS);
    }
    torture_liveness(t);
    sum->events += t->c.events;
    sum->committed += cluster_committed(&t->c);
    sum->elections += t->c.elections;
    sum->snapshots += t->c.snapshots_installed;
    sum->repairs += t->c.repairs;
    sum->reads += t->c.reads;
    uint64_t print = t->c.events;
    for (uint32_t i = 0; i < t->c.n; i++) {
        print = print * 31 + (t->c.node[i].up ? raft_fingerprint(t->c.node[i].raft) : 0);
    }
    cluster_deinit(&t->c);
    free(t);
    return print;
}

static void keeps_every_promise_under_drawn_faults(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    uint64_t first = prng_u64(&p) >> 16;
    struct torture_sum sum = {0};
    const char *only = getenv("TORTURE_SEED");
    size_t seeds = only ? 1 : test_rounds(TORTURE_SEEDS);
    for (size_t i = 0; i < seeds; i++) {
        uint64_t seed = only ? strtoull(only, NULL, 0) : first + i;
        if (isatty(STDERR_FILENO)) {
            fprintf(stderr, "\r# TORTURE_SEED=%" PRIu64 " ", seed);
        }
        torture_seed = seed;
        torture_run(seed, &sum);
    }
    fprintf(stderr,
            "\n# %zu seeds: %" PRIu64 " events, %" PRIu64 " committed, %" PRIu64
            " elections, %" PRIu64 " snapshots, %" PRIu64 " repairs, %" PRIu64 " reads\n",
            seeds, sum.events, sum.committed, sum.elections, sum.snapshots, sum.repairs, sum.reads);
    /* A run in which something never happened proves nothing about it. */
    if (!only) {
        assert_true(sum.committed > seeds && sum.elections > seeds && sum.reads > seeds);
        assert_true(sum.snapshots > 0 && sum.repairs > 0);
    }
}

static void gives_the_same_history_for_the_same_seed(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    struct torture_sum sum = {0};
    for (int i = 0; i < 5; i++) {
        uint64_t seed = prng_u64(&p) >> 16;
        assert_int_equal(torture_run(seed, &sum), torture_run(seed, &sum));
    }
}

int main(void)
{
    signal(SIGABRT, torture_report);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_every_promise_under_drawn_faults),
        cmocka_unit_test(gives_the_same_history_for_the_same_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
