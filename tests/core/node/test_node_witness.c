/* A whole node that is a witness: it votes, keeps no state, and its log is compacted and comes back
 * like any other's. */
#include "core/chaos/simdisk.h"
#include "core/chaos/simnet.h"
#include "core/consensus/raft/raft_int.h"
#include "core/node/node_int.h"
#include "tests/support/node_cluster.h"
#include "tests/support/test.h"

#define WITNESS 2

static void witnessed_start(struct cluster3 *c, uint64_t seed)
{
    cluster3_init(c, seed, NODES);
    c->snapshot_entries = 20;
    for (uint32_t i = 0; i < NODES; i++) {
        c->founders.member[i].roles |= i == WITNESS ? RAFT_WITNESS : RAFT_IN_SYNC;
    }
    cluster3_start(c);
}

static void witnessed_put(struct cluster3 *c, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++) {
        cluster3_put(c, cluster3_elect(c), "key", value_of(i));
    }
}

static void witness_is_whole(struct cluster3 *c)
{
    struct member *m = &c->member[WITNESS];
    assert_false(m->halted);
    assert_int_not_equal(m->verdict, RECOVERY_DAMAGED);
    assert_false(node_status(m->node).impaired);
    assert_int_equal(store_applied_index(m->node->store), 0);
}

static void a_witness_compacts_its_log(void **state)
{
    (void)state;
    struct cluster3 c;
    witnessed_start(&c, 41);
    witnessed_put(&c, 0, 100);
    cluster3_run(&c, NANOS_PER_S);
    assert_true(node_status(c.member[WITNESS].node).first > 50);
    assert_int_equal(c.member[WITNESS].node->raft->snapshot.size, 0);
    for (int i = 0; i < 2; i++) {
        member_kill(&c, WITNESS, true);
        member_start(&c, WITNESS);
        cluster3_run(&c, NANOS_PER_S);
        witness_is_whole(&c);
    }
    cluster3_deinit(&c);
}

/* It was away while the others compacted: it is given a snapshot's name, and has it from then on.
 */
static void a_witness_keeps_the_snapshot_that_it_was_named(void **state)
{
    (void)state;
    struct cluster3 c;
    witnessed_start(&c, 43);
    witnessed_put(&c, 0, 10);
    member_kill(&c, WITNESS, false);
    witnessed_put(&c, 10, 100);
    c.snapshot_entries = 1000000; /* it takes none of its own */
    member_start(&c, WITNESS);
    cluster3_run(&c, 3 * NANOS_PER_S);
    assert_true(node_status(c.member[WITNESS].node).snapshot > 50);
    for (int i = 0; i < 3; i++) {
        member_kill(&c, WITNESS, i != 1);
        member_start(&c, WITNESS);
        cluster3_run(&c, NANOS_PER_S);
        witness_is_whole(&c);
        assert_true(node_status(c.member[WITNESS].node).snapshot > 50);
    }
    member_kill(&c, cluster3_elect(&c), false);
    cluster3_elect(&c); /* with its vote */
    cluster3_deinit(&c);
}

/* Its own snapshot is being made durable while it is given another's name. */
static void a_snapshot_of_its_own_ends_while_another_is_installed(void **state)
{
    (void)state;
    struct cluster3 c;
    witnessed_start(&c, 45);
    witnessed_put(&c, 0, 10);
    struct node *n = c.member[WITNESS].node;
    simhost_stall(c.member[WITNESS].host, WORLD_LANE_BULK, simworld_now(c.sim) + 30 * NANOS_PER_S);
    for (uint64_t i = 10; !n->snap_finishing; i++) {
        witnessed_put(&c, i, i + 1);
    }
    simnet_cut(c.member[WITNESS].host, c.member[0].host, true);
    simnet_cut(c.member[WITNESS].host, c.member[1].host, true);
    witnessed_put(&c, 100, 200);
    simnet_reset(c.member[WITNESS].host, c.member[0].host); /* what waits would bring it there */
    simnet_reset(c.member[WITNESS].host, c.member[1].host);
    simnet_cut(c.member[WITNESS].host, c.member[0].host, false);
    simnet_cut(c.member[WITNESS].host, c.member[1].host, false);
    for (uint64_t i = 200; !n->is_loading; i++) {
        assert_true(i < 300);
        witnessed_put(&c, i, i + 1);
    }
    assert_true(n->snap_finishing);
    cluster3_run(&c, 40 * NANOS_PER_S);
    witness_is_whole(&c);
    assert_true(node_status(n).snapshot > 100);
    cluster3_deinit(&c);
}

/* Before its membership is known to it, a node does not know that it is a witness; a read that it
 * took then is not answered from the state that it does not have. */
static void a_read_of_a_node_that_becomes_a_witness_is_refused(void **state)
{
    (void)state;
    struct cluster3 c;
    witnessed_start(&c, 40);
    witnessed_put(&c, 0, 1);
    cluster3_run(&c, NANOS_PER_S);
    struct member *m = &c.member[WITNESS];
    member_kill(&c, WITNESS, true);
    simdisk_wipe(simhost_disk(m->host));
    m->is_member = true;
    m->lost = ORACLE_LOST_ALL;
    member_start(&c, WITNESS);
    while (!node_is_ready(m->node)) {
        cluster3_run(&c, NANOS_PER_MS / 10);
    }
    assert_int_equal(cluster3_try_get(&c, WITNESS), ERR_REFUSED);
    cluster3_deinit(&c);
}

/* Who was a witness has no state, also when it is no member any more: it answers nothing from it.
 */
static void a_removed_witness_answers_no_reads(void **state)
{
    (void)state;
    struct cluster3 c;
    witnessed_start(&c, 47);
    witnessed_put(&c, 0, 50);
    struct raft_conf_change change = {.n = 1};
    change.single[0] = (struct raft_conf_single){.op = RAFT_REMOVE, .node = WITNESS + 1};
    uint32_t leader = cluster3_elect(&c);
    assert_int_equal(node_change(c.member[leader].node, &change), OK);
    cluster3_run(&c, NANOS_PER_S);
    struct node *n = c.member[WITNESS].node;
    assert_null(raft_membership_lookup(node_status(n).membership, WITNESS + 1));
    for (int life = 0; life < 3; life++) {
        struct node_read read = {0};
        assert_int_equal(node_read(c.member[WITNESS].node, &read), ERR_REFUSED);
        struct node_request request = {.kind = STORE_KIND_PUT};
        assert_int_equal(node_propose(c.member[WITNESS].node, &request), ERR_REFUSED);
        node_take_snapshot(c.member[WITNESS].node);
        cluster3_run(&c, NANOS_PER_S);
        assert_int_equal(c.member[WITNESS].node->raft->snapshot.size, 0);
        member_kill(&c, WITNESS, true);
        member_start(&c, WITNESS);
        cluster3_run(&c, NANOS_PER_S);
    }
    cluster3_deinit(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_witness_compacts_its_log),
        cmocka_unit_test(a_witness_keeps_the_snapshot_that_it_was_named),
        cmocka_unit_test(a_read_of_a_node_that_becomes_a_witness_is_refused),
        cmocka_unit_test(a_removed_witness_answers_no_reads),
        cmocka_unit_test(a_snapshot_of_its_own_ends_while_another_is_installed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
