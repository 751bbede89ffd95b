/* What a node counts: it is what happened. */
#include <string.h>

#include "core/chaos/simnet.h"
#include "core/node/node_int.h"
#include "tests/support/node_cluster.h"
#include "tests/support/test.h"

static void counts_requests_and_reads_with_their_ends(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 51, NODES);
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    uint32_t other = (leader + 1) % NODES;
    struct node_figures before = node_figures(c.member[other].node);
    cluster3_put(&c, other, "a", value_of(1));
    cluster3_put(&c, other, "a", value_of(2));
    assert_int_equal(cluster3_try_get(&c, other), OK);
    struct node_figures f = node_figures(c.member[other].node);
    assert_int_equal(f.requests - before.requests, 2);
    assert_int_equal(f.requests_failed, before.requests_failed);
    assert_int_equal(f.reads - before.reads, 1);
    assert_int_equal(f.requests_waiting, 0);

    /* Alone it gets no outcome. */
    for (uint32_t i = 0; i < NODES; i++) {
        if (i != other) {
            member_kill(&c, i, false);
        }
    }
    struct put p;
    put_begin(&p, c.member[other].node, "a", value_of(3));
    cluster3_run(&c, NANOS_PER_MS);
    assert_int_equal(node_figures(c.member[other].node).requests_waiting, 1);
    put_wait(&c, &p);
    assert_int_not_equal(p.result, OK);
    assert_int_not_equal(cluster3_try_get(&c, other), OK);
    f = node_figures(c.member[other].node);
    assert_int_equal(f.requests_failed - before.requests_failed, 1);
    assert_int_equal(f.reads_failed - before.reads_failed, 1);
    assert_int_equal(f.requests_waiting + f.reads_waiting, 0);
    cluster3_deinit(&c);
}

static void knows_the_streams_of_each_peer(void **state)
{
    (void)state;
    struct node_peer_figures peers[NODE_PEERS_MAX];
    struct cluster3 c;
    cluster3_init(&c, 52, NODES);
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    cluster3_put(&c, leader, "a", value_of(1));
    cluster3_run(&c, NANOS_PER_S);
    assert_int_equal(node_peer_figures(c.member[leader].node, peers), NODES - 1);
    raft_index last = node_status(c.member[leader].node).last;
    for (int i = 0; i < NODES - 1; i++) {
        assert_true(peers[i].id != c.member[leader].node->cfg.id);
        assert_true(peers[i].is_out[0] && peers[i].is_in[0] && peers[i].is_out[1]);
        assert_true(peers[i].bytes_sent > 0 && peers[i].bytes_received > 0);
        assert_true(peers[i].frames_sent > 0);
        assert_non_null(peers[i].progress);
        assert_int_equal(peers[i].progress->match, last);
    }
    uint32_t other = (leader + 1) % NODES;
    assert_int_equal(node_peer_figures(c.member[other].node, peers), NODES - 1);
    assert_null(peers[0].progress);

    /* One that is gone has no streams, and what is said to it is dropped. */
    member_kill(&c, other, false);
    cluster3_run(&c, NANOS_PER_S);
    (void)node_peer_figures(c.member[leader].node, peers);
    uint64_t dropped = 0;
    for (int i = 0; i < NODES - 1; i++) {
        bool is_gone = peers[i].id == c.founders.member[other].id;
        assert_int_equal(peers[i].is_out[0], !is_gone);
        assert_int_equal(peers[i].is_in[0], !is_gone);
        dropped += is_gone ? peers[i].frames_dropped : 0;
    }
    assert_true(dropped > 0);
    assert_true(node_figures(c.member[leader].node).frames_dropped >= dropped);
    cluster3_deinit(&c);
}

static void counts_snapshots_taken_and_installed(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 53, NODES);
    c.snapshot_entries = 50;
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    uint32_t late = (leader + 1) % NODES;
    member_kill(&c, late, false);
    for (uint64_t i = 0; i < 300; i++) {
        cluster3_put(&c, leader, "a", value_of(i));
    }
    struct node_figures f = node_figures(c.member[leader].node);
    assert_true(f.snapshots_taken >= 2);
    assert_int_equal(f.snapshots_installed, 0);
    assert_true(f.snapshot_bytes > 0);
    member_start(&c, late);
    cluster3_run(&c, 10 * NANOS_PER_S);
    assert_int_equal(node_figures(c.member[late].node).snapshots_installed, 1);
    assert_false(node_figures(c.member[late].node).is_installing);
    cluster3_deinit(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_requests_and_reads_with_their_ends),
        cmocka_unit_test(knows_the_streams_of_each_peer),
        cmocka_unit_test(counts_snapshots_taken_and_installed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
