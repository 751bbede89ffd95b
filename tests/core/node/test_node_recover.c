/* The way out when a majority of the voters is gone for good, on whole nodes; and what happens when
 * those that were thought gone come back. */
#include <string.h>

#include "core/chaos/simdisk.h"
#include "core/chaos/simnet.h"
#include "core/node/node_int.h"
#include "tests/support/node_cluster.h"
#include "tests/support/test.h"

#define SILENCE (10 * NANOS_PER_S)

/* A group of `n` in which all but `survivors` were lost after a put; who is left, in this order. */
static void lose_quorum(struct cluster3 *c, uint64_t seed, uint32_t n, uint32_t survivors)
{
    cluster3_init(c, seed, n);
    cluster3_start(c);
    cluster3_put(c, cluster3_elect(c), "answer", value_of(42));
    cluster3_run(c, NANOS_PER_S);
    for (uint32_t i = survivors; i < n; i++) {
        member_kill(c, i, true);
    }
    cluster3_run(c, SILENCE);
    assert_int_equal(cluster3_leader(c), -1);
}

static uint32_t lineage_of(const struct cluster3 *c, uint32_t i)
{
    return node_status(c->member[i].node).membership->lineage;
}

static void one_of_three_goes_on_alone(void **state)
{
    (void)state;
    struct cluster3 c;
    lose_quorum(&c, 51, 3, 1);
    assert_int_equal(node_recover_quorum(c.member[0].node), OK);
    cluster3_run(&c, NANOS_PER_S);
    assert_int_equal(cluster3_elect(&c), 0);
    assert_true(c.member[0].alarms & RAFT_ALARM_QUORUM_FORCED);
    assert_int_equal(RAFT_LINEAGE_COUNT(lineage_of(&c, 0)), 1);
    assert_true(cluster3_get(&c, 0, "answer", value_of(42)));
    cluster3_put(&c, 0, "later", value_of(43));
    uint32_t lineage = lineage_of(&c, 0);
    for (int life = 0; life < 2; life++) {
        member_kill(&c, 0, true);
        member_start(&c, 0);
        assert_int_equal(cluster3_elect(&c), 0);
        assert_int_equal(lineage_of(&c, 0), lineage);
        assert_true(cluster3_get(&c, 0, "later", value_of(43)));
    }
    cluster3_deinit(&c);
}

static void a_group_with_a_quorum_is_not_recovered(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 52, 3);
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(node_recover_quorum(c.member[i].node), ERR_BUSY);
    }
    /* nor while it has lost its leader, and two are left that will elect one */
    member_kill(&c, leader, false);
    for (uint32_t i = 0; i < 3; i++) {
        if (i != leader) {
            assert_int_equal(node_recover_quorum(c.member[i].node), ERR_BUSY);
        }
    }
    (void)cluster3_elect(&c);
    cluster3_deinit(&c);
}

static void nothing_has_happened_before_the_recovery_is_durable(void **state)
{
    (void)state;
    struct cluster3 c;
    lose_quorum(&c, 53, 3, 1);
    assert_int_equal(node_recover_quorum(c.member[0].node), OK);
    member_kill(&c, 0, true);
    member_start(&c, 0);
    cluster3_run(&c, SILENCE);
    assert_int_equal(cluster3_leader(&c), -1);
    assert_int_equal(lineage_of(&c, 0), 0);
    assert_int_equal(node_status(c.member[0].node).membership->n, 3);
    assert_int_equal(node_recover_quorum(c.member[0].node), OK);
    assert_int_equal(cluster3_elect(&c), 0);
    cluster3_deinit(&c);
}

/* Two of three are a majority by their own account. They must not act as one. */
static void who_was_thought_lost_halts_when_it_comes_back(void **state)
{
    (void)state;
    struct cluster3 c;
    lose_quorum(&c, 54, 3, 1);
    assert_int_equal(node_recover_quorum(c.member[0].node), OK);
    cluster3_run(&c, NANOS_PER_S);
    cluster3_put(&c, 0, "later", value_of(43));
    member_start(&c, 1);
    member_start(&c, 2);
    cluster3_run(&c, SILENCE);
    for (uint32_t i = 1; i < 3; i++) {
        assert_true(c.member[i].halted);
    }
    assert_string_equal(c.member[0].refused_why, node_refusal_text(NODE_REFUSAL_OLD_LINEAGE));
    assert_int_equal(cluster3_leader(&c), 0);
    cluster3_put(&c, 0, "later", value_of(44));
    /* With empty disks, and let in anew, they are welcome. */
    for (uint32_t i = 1; i < 3; i++) {
        struct raft_conf_change change = {.n = 1};
        change.single[0] = (struct raft_conf_single){.op = RAFT_ADD_LEARNER,
                                                     .node = i + 1,
                                                     .priority = RAFT_PRIORITY_DEFAULT,
                                                     .auto_promote = true};
        member_lose_disk(&c, i);
        assert_int_equal(node_change(c.member[0].node, &change), OK);
        member_start(&c, i);
        cluster3_run(&c, SILENCE);
        assert_false(c.member[i].halted);
        assert_int_equal(lineage_of(&c, i), lineage_of(&c, 0));
        assert_true(cluster3_get(&c, i, "later", value_of(44)));
    }
    assert_int_equal(raft_membership_count(node_status(c.member[0].node).membership, RAFT_VOTER),
                     3);
    member_kill(&c, 0, false);
    assert_true(cluster3_get(&c, cluster3_elect(&c), "later", value_of(44)));
    cluster3_deinit(&c);
}

/* The other survivor runs while this one is recovered: its history has ended under it. */
static void two_of_five_survive_and_one_goes_on(void **state)
{
    (void)state;
    struct cluster3 c;
    lose_quorum(&c, 55, 5, 2);
    assert_int_equal(node_recover_quorum(c.member[1].node), OK);
    cluster3_run(&c, SILENCE);
    assert_int_equal(cluster3_leader(&c), 1);
    assert_true(c.member[0].halted);
    assert_true(cluster3_get(&c, 1, "answer", value_of(42)));
    for (uint32_t i = 2; i < 5; i++) {
        member_start(&c, i);
    }
    cluster3_run(&c, SILENCE);
    for (uint32_t i = 2; i < 5; i++) {
        assert_true(c.member[i].halted);
    }
    cluster3_put(&c, 1, "later", value_of(43));
    cluster3_deinit(&c);
}

/* Two survivors were recovered apart, each without the other: neither follows the other, ever. */
static void two_recoveries_never_become_one(void **state)
{
    (void)state;
    struct cluster3 c;
    lose_quorum(&c, 56, 5, 2);
    cluster3_unwatch(&c);
    simnet_cut(c.member[0].host, c.member[1].host, true);
    cluster3_run(&c, NANOS_PER_S);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(node_recover_quorum(c.member[i].node), OK);
    }
    cluster3_run(&c, NANOS_PER_S);
    simnet_cut(c.member[0].host, c.member[1].host, false);
    cluster3_run(&c, SILENCE);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(node_status(c.member[i].node).role, RAFT_LEADER);
        assert_string_equal(c.member[i].refused_why, node_refusal_told_text(NODE_REFUSAL_LINEAGE));
        cluster3_put(&c, i, "key", value_of(i));
        assert_true(cluster3_get(&c, i, "key", value_of(i)));
    }
    cluster3_deinit(&c);
}

/* An operator took a partition for a loss. The majority that worked all the time goes on. */
static void a_mistaken_recovery_does_not_stop_the_majority(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 57, 3);
    cluster3_start(&c);
    cluster3_put(&c, cluster3_elect(&c), "answer", value_of(42));
    cluster3_unwatch(&c);
    for (uint32_t i = 1; i < 3; i++) {
        simnet_cut(c.member[0].host, c.member[i].host, true);
        simnet_reset(c.member[0].host, c.member[i].host);
    }
    cluster3_run(&c, SILENCE);
    assert_int_equal(node_recover_quorum(c.member[0].node), OK);
    cluster3_run(&c, NANOS_PER_S);
    for (uint32_t i = 1; i < 3; i++) {
        simnet_cut(c.member[0].host, c.member[i].host, false);
    }
    cluster3_run(&c, SILENCE);
    for (uint32_t i = 1; i < 3; i++) {
        assert_false(c.member[i].halted);
        assert_string_equal(c.member[i].refused_why,
                            node_refusal_told_text(NODE_REFUSAL_OLD_LINEAGE));
        cluster3_put(&c, i, "later", value_of(i));
    }
    cluster3_deinit(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_of_three_goes_on_alone),
        cmocka_unit_test(a_group_with_a_quorum_is_not_recovered),
        cmocka_unit_test(nothing_has_happened_before_the_recovery_is_durable),
        cmocka_unit_test(who_was_thought_lost_halts_when_it_comes_back),
        cmocka_unit_test(two_of_five_survive_and_one_goes_on),
        cmocka_unit_test(two_recoveries_never_become_one),
        cmocka_unit_test(a_mistaken_recovery_does_not_stop_the_majority),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
