/*
 * The incidents of others, replayed in clusters in memory (raft_cluster.h), each under several
 * seeds and with the oracle watching: one test a row of the list of scenarios ("Consensus and
 * storage"), under the row's name. Every wait has a bound, in election timeouts of virtual time.
 * What a single core can show is in test_raft_scenarios.c.
 *
 * The last tests hold the profile for members in one site to its promises.
 */
#include <string.h>

#include "core/base/check.h"
#include "core/consensus/raft/raft_int.h"
#include "tests/support/raft_cluster.h"
#include "tests/support/raft_solo.h"
#include "tests/support/test.h"

#define T (1000 * NANOS_PER_MS) /* the election timeout of every node here */

/* --- a world of several nodes ---------------------------------------------------------------- */

static void world_boot(struct cluster *c, uint64_t seed, uint32_t n)
{
    struct raft_membership ms = solo_voters(n);
    cluster_init(c, seed, n);
    cluster_boot(c, &ms);
}

static node_id world_lead(struct cluster *c)
{
    node_id leader = cluster_elect(c, 10 * T);
    assert_true(leader != NODE_NONE);
    cluster_run(c, 50 * NANOS_PER_MS);
    return leader;
}

static bool world_has(const struct cluster *c, uint64_t value)
{
    for (size_t i = c->truth_len; i > 0; i--) {
        uint64_t found = 0;
        if (c->truth[i - 1].len >= 8) {
            memcpy(&found, c->truth[i - 1].payload, 8);
        }
        if (found == value) {
            return true;
        }
    }
    return false;
}

/* Asks whoever says that it leads, again and again, until a new write is committed. How long that
 * took; NANOS_FOREVER where it took longer than `limit`. */
static nanos world_write(struct cluster *c, nanos limit)
{
    static uint64_t value = 1000;
    value++;
    nanos begun = c->now;
    while (c->now - begun <= limit) {
        for (node_id id = 1; id <= c->n; id++) {
            struct cluster_node *node = cluster_node(c, id);
            if (node->up && !node->frozen && raft_status(node->raft).role == RAFT_LEADER) {
                enum err ignored = cluster_propose(c, id, value);
                (void)ignored;
            }
        }
        cluster_run(c, 10 * NANOS_PER_MS);
        if (world_has(c, value)) {
            return c->now - begun;
        }
    }
    return NANOS_FOREVER;
}

static void world_link(struct cluster *c, node_id a, node_id b, bool works)
{
    cluster_cut(c, a, b, !works);
    cluster_cut(c, b, a, !works);
}

static void world_cut_all_links(struct cluster *c)
{
    for (node_id a = 1; a <= c->n; a++) {
        for (node_id b = 1; b <= c->n; b++) {
            cluster_cut(c, a, b, a != b);
        }
    }
}

static void world_isolate(struct cluster *c, node_id id, bool isolated)
{
    for (node_id other = 1; other <= c->n; other++) {
        if (other != id) {
            world_link(c, id, other, !isolated);
        }
    }
}

/* Somebody but these two. */
static node_id world_other(const struct cluster *c, node_id a, node_id b)
{
    for (node_id id = 1; id <= c->n; id++) {
        if (id != a && id != b) {
            return id;
        }
    }
    return NODE_NONE;
}

static raft_term world_term(const struct cluster *c)
{
    raft_term term = 0;
    for (uint32_t i = 0; i < c->n; i++) {
        if (c->node[i].up) {
            term = u64_max(term, raft_status(c->node[i].raft).term);
        }
    }
    return term;
}

/* A write is committed within `limit`, and then nobody is elected any more while the links stay as
 * they are. */
static void world_settles(struct cluster *c, nanos limit)
{
    assert_true(world_write(c, limit) <= limit);
    cluster_run(c, 2 * T);
    uint64_t elections = c->elections;
    raft_term term = world_term(c);
    cluster_run(c, 20 * T);
    assert_int_equal(c->elections, elections);
    assert_int_equal(world_term(c), term);
    assert_true(world_write(c, T) <= T);
}

/* Whoever was removed hears no leader any more, and asks for votes without end. */
static void joint_2014_liveness(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(5); round++) {
        struct cluster c;
        world_boot(&c, prng_u64(&p), 4);
        node_id leader = world_lead(&c);
        node_id removed = world_other(&c, leader, NODE_NONE);
        /* It does not even learn that it is out. */
        cluster_cut(&c, leader, removed, true);
        assert_int_equal(cluster_change(&c, leader, RAFT_REMOVE, removed), OK);
        cluster_run(&c, 100 * NANOS_PER_MS);
        assert_null(raft_membership_lookup(&cluster_node(&c, leader)->membership, removed));
        cluster_heal(&c);
        raft_term term = world_term(&c);
        cluster_run(&c, 20 * T);
        assert_int_equal(cluster_leader(&c), leader);
        assert_int_equal(world_term(&c), term);
        assert_true(world_write(&c, T) <= T);
        cluster_deinit(&c);
    }
}

static void propose_replacement(struct cluster *c, node_id leader, node_id out, node_id in)
{
    struct raft_conf_change change = {.transition = RAFT_TRANSITION_AUTO, .n = 2};
    change.single[0] = (struct raft_conf_single){.op = RAFT_REMOVE, .node = out};
    change.single[1] = (struct raft_conf_single){
        .op = RAFT_ADD_VOTER, .node = in, .priority = RAFT_PRIORITY_DEFAULT};
    struct raft_event e = {.type = RAFT_EVENT_CHANGE, .change = &change};
    enum err ignored = cluster_step(c, leader, &e);
    (void)ignored;
    cluster_run(c, 0);
}

/* Two changes are asked for at once, and the leader dies at any moment in between: within a bound
 * no node is left in a joint configuration. */
static void concurrent_joint_left_behind(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(20); round++) {
        struct cluster c;
        cluster_init(&c, prng_u64(&p), 5);
        struct raft_membership ms = solo_voters(3);
        cluster_boot(&c, &ms);
        node_id leader = world_lead(&c);
        cluster_boot_blank(&c, 4);
        cluster_boot_blank(&c, 5);
        node_id out = world_other(&c, leader, NODE_NONE);
        if (out > 3) {
            out = world_other(&c, leader, out);
        }
        propose_replacement(&c, leader, out, 4);
        propose_replacement(&c, leader, leader, 5);
        cluster_run(&c, prng_below(&p, 10) * NANOS_PER_MS);
        cluster_crash(&c, leader);
        cluster_run(&c, prng_below(&p, 3) * T);
        cluster_restart(&c, leader);
        assert_true(world_write(&c, 6 * T) <= 6 * T);
        cluster_run(&c, 2 * T);
        const struct cluster_node *leads = cluster_node(&c, world_lead(&c));
        assert_false(raft_membership_is_joint(&leads->membership));
        cluster_deinit(&c);
    }
}

/* Two of three are alive; one of them led, was alone, has a longer log and comes back. */
static void prevote_two_alive_deadlock(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(20); round++) {
        struct cluster c;
        world_boot(&c, prng_u64(&p), 3);
        node_id leader = world_lead(&c);
        node_id dead = world_other(&c, leader, NODE_NONE);
        node_id other = world_other(&c, leader, dead);
        world_isolate(&c, leader, true);
        for (uint64_t i = 0; i < prng_below(&p, 3); i++) {
            assert_int_equal(cluster_propose(&c, leader, i), OK);
        }
        if (prng_chance(&p, 1, 2)) {
            cluster_run(&c, 4 * T); /* the other two go on without it */
        }
        cluster_crash(&c, dead);
        cluster_run(&c, 4 * T);
        if (prng_chance(&p, 1, 2)) {
            cluster_crash(&c, other);
            cluster_restart(&c, other);
        }
        cluster_heal(&c);
        assert_true(world_write(&c, 4 * T) <= 4 * T);
        cluster_deinit(&c);
    }
}

static void all_start_together(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(50); round++) {
        struct cluster c;
        world_boot(&c, prng_u64(&p), 5);
        c.faults.latency_max = 20 * NANOS_PER_MS;
        assert_true(world_write(&c, 4 * T) <= 4 * T);
        cluster_deinit(&c);
    }
}

/* --- links that work for some ---------------------------------------------------------------- */

/* S4 reaches only S2, S5 only S3; every one of them tries to lead when it hears nobody. */
static void full_omission_5(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(10); round++) {
        struct cluster c;
        world_boot(&c, prng_u64(&p), 5);
        world_lead(&c);
        world_cut_all_links(&c);
        world_link(&c, 1, 2, true);
        world_link(&c, 2, 3, true);
        world_link(&c, 1, 3, true);
        world_link(&c, 2, 4, true);
        world_link(&c, 3, 5, true);
        world_settles(&c, 6 * T);
        cluster_deinit(&c);
    }
}

/* The leader keeps one link, to the only node that still reaches everybody. */
static void omni_quorum_loss(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(20); round++) {
        struct cluster c;
        world_boot(&c, prng_u64(&p), 5);
        node_id leader = world_lead(&c);
        node_id hub = world_other(&c, leader, NODE_NONE);
        world_cut_all_links(&c);
        for (node_id id = 1; id <= 5; id++) {
            if (id != hub) {
                world_link(&c, hub, id, true);
            }
        }
        nanos took = world_write(&c, 8 * T);
        assert_true(took <= 4 * T);
        assert_int_equal(cluster_leader(&c), hub);
        cluster_deinit(&c);
    }
}

/* The only node with a majority lacks entries that a minority has, which refuses its vote. (Where a
 * majority has them, no Raft can elect it: they may be committed. Then a link must heal first.) */
static void constrained_election(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(20); round++) {
        struct cluster c;
        world_boot(&c, prng_u64(&p), 5);
        node_id leader = world_lead(&c);
        node_id longer = world_other(&c, leader, NODE_NONE);
        node_id hub = world_other(&c, leader, longer);
        world_isolate(&c, leader, true);
        world_link(&c, leader, longer, true);
        for (uint64_t i = 0; i < 3; i++) {
            assert_int_equal(cluster_propose(&c, leader, i), OK);
        }
        cluster_run(&c, 20 * NANOS_PER_MS);
        world_cut_all_links(&c);
        for (node_id id = 1; id <= 5; id++) {
            if (id != hub && id != leader) {
                world_link(&c, hub, id, true);
            }
        }
        assert_true(world_write(&c, 8 * T) <= 4 * T);
        assert_int_equal(cluster_leader(&c), hub);
        cluster_deinit(&c);
    }
}

/* Everybody reaches only its neighbours. */
static void chained(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(10); round++) {
        uint32_t n = prng_chance(&p, 1, 2) ? 3 : 5;
        struct cluster c;
        world_boot(&c, prng_u64(&p), n);
        world_lead(&c);
        world_cut_all_links(&c);
        for (node_id id = 1; id < n; id++) {
            world_link(&c, id, id + 1, true);
        }
        world_settles(&c, 6 * T);
        cluster_deinit(&c);
    }
}

/* --- leaders that are half alive ------------------------------------------------------------- */

/* The disk stands and heartbeats flow. */
static void disk_stall_leader(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(10); round++) {
        struct cluster c;
        world_boot(&c, prng_u64(&p), 3);
        node_id leader = world_lead(&c);
        cluster_node(&c, leader)->disk_stuck = true;
        nanos stuck = c.now;
        while (cluster_leader(&c) == leader && c.now - stuck < 10 * T) {
            enum err ignored = cluster_propose(&c, leader, 1);
            (void)ignored;
            cluster_run(&c, 10 * NANOS_PER_MS);
        }
        assert_true(c.now - stuck <= 2 * T);
        assert_true(world_write(&c, T) <= T);
        cluster_run(&c, 10 * T); /* it does not come back while the disk stands */
        assert_true(cluster_leader(&c) != leader);
        cluster_deinit(&c);
    }
}

static void configure_leases(struct raft_config *c)
{
    c->lease_reads = true;
}

/* The voters keep their promise to the leader, but not against its own successor. */
static void lease_blocks_transfer(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(10); round++) {
        struct cluster c;
        cluster_init(&c, prng_u64(&p), 5);
        c.configure = configure_leases;
        struct raft_membership ms = solo_voters(5);
        cluster_boot(&c, &ms);
        node_id leader = world_lead(&c);
        cluster_run(&c, 2 * T);
        node_id to = world_other(&c, leader, NODE_NONE);
        struct raft_event e = {.type = RAFT_EVENT_TRANSFER, .node = to};
        assert_int_equal(cluster_step(&c, leader, &e), OK);
        assert_false(raft_lease_holds(cluster_node(&c, leader)->raft,
                                      cluster_clock(&c, cluster_node(&c, leader))));
        assert_int_equal(cluster_propose(&c, leader, 1), ERR_DROPPED);
        cluster_run(&c, 100 * NANOS_PER_MS);
        assert_int_equal(cluster_leader(&c), to);
        cluster_deinit(&c);
    }
}

/* --- disks that forget, members that lag ----------------------------------------------------- */

/* A voter whose disk was emptied comes back, and meets one that lags behind: the two of them are a
 * majority that knows nothing of what was committed, and must not act as one. */
static void amnesiac_voter_meets_one_that_lags(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(10); round++) {
        struct cluster c;
        world_boot(&c, prng_u64(&p), 3);
        node_id leader = world_lead(&c);
        node_id amnesiac = world_other(&c, leader, NODE_NONE);
        node_id behind = world_other(&c, leader, amnesiac);
        world_isolate(&c, behind, true);
        assert_true(world_write(&c, T) <= T);
        raft_index committed = cluster_committed(&c);
        cluster_crash(&c, amnesiac);
        cluster_wipe(&c, amnesiac);
        cluster_restart(&c, amnesiac);
        world_isolate(&c, leader, true);
        world_link(&c, amnesiac, behind, true);
        uint64_t elections = c.elections;
        cluster_run(&c, 10 * T);
        assert_int_equal(c.elections, elections);
        cluster_heal(&c);
        assert_true(world_write(&c, 6 * T) <= 6 * T);
        cluster_run(&c, 4 * T);
        assert_true(cluster_committed(&c) > committed);
        assert_false(raft_status(cluster_node(&c, amnesiac)->raft).impaired);
        cluster_deinit(&c);
    }
}

static void configure_slow_snapshots(struct raft_config *c)
{
    c->snapshot_bytes_per_s = 20000;
}

/* A cluster of three in which `behind` needs a snapshot. */
static node_id world_leave_behind(struct cluster *c, uint64_t seed, node_id *ret_leader)
{
    cluster_init(c, seed, 3);
    c->configure = configure_slow_snapshots;
    c->snapshot_bytes = 60000;
    struct raft_membership ms = solo_voters(3);
    cluster_boot(c, &ms);
    node_id leader = world_lead(c);
    node_id behind = world_other(c, leader, NODE_NONE);
    world_isolate(c, behind, true);
    assert_true(world_write(c, T) <= T);
    cluster_run(c, 100 * NANOS_PER_MS);
    for (node_id id = 1; id <= 3; id++) {
        if (id != behind) {
            cluster_snapshot(c, id, 0);
        }
    }
    world_isolate(c, behind, false);
    *ret_leader = leader;
    return behind;
}

/* The member dies while it fetches, stays away, and comes back: the leader offers again. */
static void crashed_mid_snapshot(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(10); round++) {
        struct cluster c;
        node_id leader;
        node_id behind = world_leave_behind(&c, prng_u64(&p), &leader);
        cluster_run(&c, T + prng_below(&p, T));
        uint64_t partial = cluster_node(&c, behind)->disk.partial_bytes;
        assert_true(partial > 0 && partial < c.snapshot_bytes);
        assert_int_equal(c.snapshots_installed, 0);
        cluster_crash(&c, behind);
        cluster_run(&c, prng_below(&p, 10) * T);
        assert_true(world_write(&c, T) <= T);
        cluster_restart(&c, behind);
        /* What is left takes 60000 / 20000 = 3 s; and two timeouts until the old offer is void. */
        cluster_run(&c, 7 * T);
        assert_true(c.snapshots_installed > 0);
        assert_true(cluster_node(&c, behind)->applied == cluster_committed(&c));
        cluster_deinit(&c);
    }
}

/* The leader writes and compacts faster than the member can fetch. */
static void far_behind_snapshot_loop(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(3); round++) {
        struct cluster c;
        node_id leader;
        node_id behind = world_leave_behind(&c, prng_u64(&p), &leader);
        for (uint64_t i = 0; i < 600; i++) { /* six seconds: twice what the snapshot takes */
            assert_int_equal(cluster_propose(&c, leader, i), OK);
            cluster_run(&c, 10 * NANOS_PER_MS);
            if (i % 10 == 0) {
                for (node_id id = 1; id <= 3; id++) {
                    cluster_snapshot(&c, id, 0);
                }
            }
        }
        assert_true(c.snapshots_installed >= 1 && c.snapshots_installed <= 2);
        assert_true(cluster_committed(&c) - cluster_node(&c, behind)->applied < 20);
        cluster_deinit(&c);
    }
}

/* A member that was away catches up while the load goes on, as fast as the load and faster. */
static void metastable_lag(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(3); round++) {
        struct cluster c;
        world_boot(&c, prng_u64(&p), 3);
        c.faults.latency_max = 10 * NANOS_PER_MS;
        node_id leader = world_lead(&c);
        node_id behind = world_other(&c, leader, NODE_NONE);
        uint64_t value = 0;
        for (int phase = 0; phase < 2; phase++) {
            world_isolate(&c, behind, phase == 0);
            for (int i = 0; i < 1500; i++) {
                assert_int_equal(cluster_propose(&c, leader, value++), OK);
                cluster_run(&c, 2 * NANOS_PER_MS);
            }
        }
        assert_int_equal(cluster_leader(&c), leader);
        assert_true(cluster_committed(&c) - cluster_node(&c, behind)->applied < 100);
        cluster_deinit(&c);
    }
}

/* --- the profile for one site ---------------------------------------------------------------- */

static void lan_commits_again_within_half_a_second_of_the_leaders_death(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(50); round++) {
        struct cluster c;
        world_boot(&c, prng_u64(&p), prng_chance(&p, 1, 2) ? 3 : 5);
        node_id leader = world_lead(&c);
        assert_true(world_write(&c, T) <= T);
        cluster_crash(&c, leader);
        for (node_id id = 1; id <= c.n; id++) {
            if (id != leader) { /* its process is gone, and with it the connections */
                struct raft_event e = {.type = RAFT_EVENT_STREAM_RESET, .node = leader};
                assert_int_equal(cluster_step(&c, id, &e), OK);
                cluster_node(&c, id)->deadline = 0;
            }
        }
        assert_true(world_write(&c, T) < 500 * NANOS_PER_MS);
        cluster_deinit(&c);
    }
}

static void lan_elects_nobody_while_a_follower_stops_for_800_ms(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(20); round++) {
        struct cluster c;
        world_boot(&c, prng_u64(&p), 3);
        node_id leader = world_lead(&c);
        cluster_run(&c, prng_below(&p, T));
        raft_term term = world_term(&c);
        cluster_node(&c, world_other(&c, leader, NODE_NONE))->frozen = true;
        assert_true(world_write(&c, T) <= T);
        cluster_run(&c, 800 * NANOS_PER_MS);
        cluster_heal(&c);
        cluster_run(&c, 4 * T);
        assert_int_equal(cluster_leader(&c), leader);
        assert_int_equal(world_term(&c), term);
        cluster_deinit(&c);
    }
}

static void lan_replaces_a_stalled_leader_within_two_election_timeouts(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(20); round++) {
        struct cluster c;
        world_boot(&c, prng_u64(&p), 3);
        node_id leader = world_lead(&c);
        cluster_node(&c, leader)->disk_stuck = true;
        enum err accepted = cluster_propose(&c, leader, 1);
        assert_int_equal(accepted, OK);
        nanos begun = c.now;
        while (cluster_leader(&c) == leader && c.now - begun <= 2 * T) {
            cluster_run(&c, 5 * NANOS_PER_MS);
        }
        assert_true(c.now - begun <= 2 * T);
        assert_true(world_write(&c, T) <= T);
        cluster_deinit(&c);
    }
}
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joint_2014_liveness),
        cmocka_unit_test(concurrent_joint_left_behind),
        cmocka_unit_test(prevote_two_alive_deadlock),
        cmocka_unit_test(all_start_together),
        cmocka_unit_test(full_omission_5),
        cmocka_unit_test(omni_quorum_loss),
        cmocka_unit_test(constrained_election),
        cmocka_unit_test(chained),
        cmocka_unit_test(disk_stall_leader),
        cmocka_unit_test(lease_blocks_transfer),
        cmocka_unit_test(amnesiac_voter_meets_one_that_lags),
        cmocka_unit_test(crashed_mid_snapshot),
        cmocka_unit_test(far_behind_snapshot_loop),
        cmocka_unit_test(metastable_lag),
        cmocka_unit_test(lan_commits_again_within_half_a_second_of_the_leaders_death),
        cmocka_unit_test(lan_elects_nobody_while_a_follower_stops_for_800_ms),
        cmocka_unit_test(lan_replaces_a_stalled_leader_within_two_election_timeouts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
