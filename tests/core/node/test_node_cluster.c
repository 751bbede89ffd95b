/*
 * Whole nodes on simulated hosts: the real glue, log bytes, recovery, store and Raft, on virtual
 * time. A key that was acknowledged is there again after every way to die.
 */
#include "core/node/node_int.h"
#include "tests/support/node_cluster.h"
#include "tests/support/test.h"

static void keeps_a_key_on_one_node_through_a_power_cut(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 1, 1);
    cluster3_start(&c);
    cluster3_elect(&c);
    cluster3_put(&c, 0, "answer", value_of(42));
    member_kill(&c, 0, true);
    member_start(&c, 0);
    cluster3_elect(&c);
    assert_true(cluster3_get(&c, 0, "answer", value_of(42)));
    cluster3_deinit(&c);
}

static void keeps_a_key_on_three_nodes_when_the_leader_dies_in_the_middle(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(10); round++) {
        struct cluster3 c;
        cluster3_init(&c, prng_u64(&p), NODES);
        cluster3_start(&c);
        uint32_t leader = cluster3_elect(&c);
        cluster3_put(&c, leader, "answer", value_of(42));
        struct put lost;
        put_begin(&lost, c.member[leader].node, "middle", value_of(1));
        cluster3_run(&c, prng_below(&p, 2 * NANOS_PER_MS));
        member_kill(&c, leader, prng_chance(&p, 1, 2));
        uint32_t next = cluster3_elect(&c);
        assert_int_not_equal(next, leader);
        assert_true(cluster3_get(&c, next, "answer", value_of(42)));
        if (lost.done && lost.result == OK) {
            assert_true(cluster3_get(&c, next, "middle", value_of(1)));
        }
        buf_deinit(&lost.body);
        member_start(&c, leader);
        cluster3_run(&c, 5 * NANOS_PER_S);
        assert_true(cluster3_get(&c, leader, "answer", value_of(42)));
        cluster3_deinit(&c);
    }
}

static void keeps_a_key_when_all_three_lose_power_at_once(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(10); round++) {
        struct cluster3 c;
        cluster3_init(&c, prng_u64(&p), NODES);
        cluster3_start(&c);
        for (uint64_t i = 0; i < 20; i++) {
            char key[KEY_BYTES] = "key-a";
            key[4] = (char)('a' + i);
            cluster3_put(&c, cluster3_elect(&c), key, value_of(i));
        }
        for (uint32_t i = 0; i < NODES; i++) {
            member_kill(&c, i, true);
        }
        cluster3_start(&c);
        uint32_t leader = cluster3_elect(&c);
        for (uint64_t i = 0; i < 20; i++) {
            char key[KEY_BYTES] = "key-a";
            key[4] = (char)('a' + i);
            assert_true(cluster3_get(&c, leader, key, value_of(i)));
        }
        cluster3_deinit(&c);
    }
}

static void answers_puts_and_reads_on_every_member(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 5, NODES);
    cluster3_start(&c);
    cluster3_elect(&c);
    cluster3_run(&c, NANOS_PER_S);
    for (uint32_t i = 0; i < NODES; i++) {
        char key[KEY_BYTES] = "from-0";
        key[5] = (char)('0' + i);
        cluster3_put(&c, i, key, value_of(i));
        for (uint32_t k = 0; k < NODES; k++) {
            assert_true(cluster3_get(&c, k, key, value_of(i)));
        }
    }
    assert_true(store_hash(node_store(c.member[0].node)) != 0);
    cluster3_deinit(&c);
}

/* A member that was away so long that its entries are compacted away catches up by a snapshot,
 * which it fetches in chunks, and then has everything through its own restart. */
static void catches_up_by_snapshot_after_a_long_absence(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 9, NODES);
    c.snapshot_entries = 50;
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    uint32_t away = (uint32_t)(leader + 1) % NODES;
    cluster3_put(&c, leader, "before", value_of(7));
    member_kill(&c, away, false);
    for (uint64_t i = 0; i < 200; i++) {
        char key[KEY_BYTES] = "key-aa";
        key[4] = (char)('a' + i / 20);
        key[5] = (char)('a' + i % 20);
        cluster3_put(&c, cluster3_elect(&c), key, value_of(i));
    }
    cluster3_run(&c, NANOS_PER_S);
    assert_true(node_status(c.member[cluster3_elect(&c)].node).first > 100);
    member_start(&c, away);
    cluster3_run(&c, 10 * NANOS_PER_S);
    assert_false(c.member[away].halted);
    assert_true(node_status(c.member[away].node).snapshot > 100);
    assert_true(cluster3_get(&c, away, "key-aa", value_of(0)));
    assert_true(cluster3_get(&c, away, "before", value_of(7)));
    member_kill(&c, away, true);
    member_start(&c, away);
    cluster3_run(&c, 5 * NANOS_PER_S);
    assert_false(node_status(c.member[away].node).impaired);
    assert_true(cluster3_get(&c, away, "key-jt", value_of(199)));
    uint32_t other = cluster3_elect(&c);
    cluster3_run(&c, NANOS_PER_S);
    assert_true(store_hash(node_store(c.member[away].node)) ==
                store_hash(node_store(c.member[other].node)));
    cluster3_deinit(&c);
}

/* Writing a large state again and again would be most of what the disk does. */
static void a_large_state_waits_with_its_snapshot_until_as_much_was_logged(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 15, NODES);
    c.snapshot_entries = 1000000;
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    struct node *n = c.member[leader].node;
    for (uint64_t i = 0; i < 100; i++) {
        char key[KEY_BYTES] = "key-aa";
        key[4] = (char)('a' + i / 20);
        key[5] = (char)('a' + i % 20);
        cluster3_put(&c, leader, key, value_of(i));
    }
    node_take_snapshot(n);
    cluster3_run(&c, NANOS_PER_S);
    raft_index first = node_status(n).snapshot;
    assert_true(first > 100 && n->snap_bytes > 0);
    n->cfg.snapshot_entries = 5;
    n->cfg.snapshot_entries_max = 1000000;
    uint64_t puts = 0;
    for (int round = 0; round < 2; round++) { /* each counts anew */
        uint64_t bytes = n->snap_bytes;
        for (puts = 0; node_status(n).snapshot == first && puts < 1000; puts++) {
            cluster3_put(&c, leader, "one", value_of(puts));
            cluster3_run(&c, 20 * NANOS_PER_MS);
        }
        assert_in_range(puts, bytes / 100, 999); /* a put logs less than a hundred bytes */
        first = node_status(n).snapshot;
    }
    n->cfg.snapshot_entries_max = 10;
    for (puts = 0; puts < 15; puts++) {
        cluster3_put(&c, leader, "one", value_of(puts));
    }
    cluster3_run(&c, NANOS_PER_S);
    assert_true(node_status(n).snapshot > first);
    cluster3_deinit(&c);
}

/* One member's state is replaced by another: it must find out, and not answer any more. */
static void halts_a_member_whose_state_differs_from_the_majority(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 11, NODES);
    cluster3_unwatch(&c);
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    cluster3_put(&c, leader, "before", value_of(1));
    cluster3_run(&c, NANOS_PER_S);
    uint32_t wrong = (leader + 1) % NODES;
    struct node *n = c.member[wrong].node;
    store_close(n->store);
    n->store = store_open(n->cfg.feature_level);
    for (uint64_t i = 0; i < 2 * NODE_HASH_EVERY; i++) {
        cluster3_put(&c, leader, "key", value_of(i));
    }
    cluster3_run(&c, NANOS_PER_S);
    for (uint32_t i = 0; i < NODES; i++) {
        assert_int_equal(c.member[i].halted, i == wrong);
    }
    assert_true(cluster3_get(&c, leader, "before", value_of(1)));
    cluster3_deinit(&c);
}

static void gives_the_same_history_for_the_same_seed_on_whole_nodes(void **state)
{
    (void)state;
    uint64_t events[2];
    uint64_t hash[2];
    for (int round = 0; round < 2; round++) {
        struct cluster3 c;
        cluster3_init(&c, 1234, NODES);
        cluster3_start(&c);
        for (uint64_t i = 0; i < 10; i++) {
            cluster3_put(&c, cluster3_elect(&c), "same", value_of(i));
        }
        member_kill(&c, cluster3_elect(&c), true);
        cluster3_put(&c, cluster3_elect(&c), "same", value_of(11));
        events[round] = simworld_events(c.sim);
        hash[round] = store_hash(node_store(c.member[cluster3_elect(&c)].node));
        cluster3_deinit(&c);
    }
    assert_true(events[0] == events[1]);
    assert_true(hash[0] == hash[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_a_key_on_one_node_through_a_power_cut),
        cmocka_unit_test(keeps_a_key_on_three_nodes_when_the_leader_dies_in_the_middle),
        cmocka_unit_test(keeps_a_key_when_all_three_lose_power_at_once),
        cmocka_unit_test(answers_puts_and_reads_on_every_member),
        cmocka_unit_test(catches_up_by_snapshot_after_a_long_absence),
        cmocka_unit_test(a_large_state_waits_with_its_snapshot_until_as_much_was_logged),
        cmocka_unit_test(halts_a_member_whose_state_differs_from_the_majority),
        cmocka_unit_test(gives_the_same_history_for_the_same_seed_on_whole_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
