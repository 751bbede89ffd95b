/* Datagrams are blocked, streams are not: nobody is called dead for it, and those who are dead are.
 */
#include "core/monitoring/health/swim.h"

#include "tests/core/monitoring/health/swim_net.h"
#include "tests/support/test.h"

#include <string.h>

struct streamed {
    uint32_t deaths; /* of hosts that are up */
    uint32_t by_stream;
    uint32_t by_datagram;
};

static struct streamed streamed;

static void note_streamed(struct swim_net *net, uint32_t host, const struct swim_change *change)
{
    (void)host;
    streamed.deaths += change->kind == SWIM_DIED && net->hosts[change->id - 1].is_up ? 1 : 0;
    streamed.by_stream += change->kind == SWIM_BY_STREAM ? 1 : 0;
    streamed.by_datagram += change->kind == SWIM_BY_DATAGRAM ? 1 : 0;
}

static void open_streamed(struct swim_net *net, uint32_t n, uint64_t seed, bool is_whole)
{
    struct swim_config config = {.members_max = 0};

    memset(&streamed, 0, sizeof(streamed));
    swim_config_shipped(&config);
    swim_net_open(net, n, &config, seed, is_whole);
    net->changed = note_streamed;
    if (is_whole) {
        swim_net_run(net, 20 * NANOS_PER_S);
    }
}

static void expect_no_report(const struct swim_net *net)
{
    for (uint32_t i = 0; i < net->n; i++) {
        for (uint32_t k = 0; net->hosts[i].is_up && k < net->hosts[i].swim.n_edges; k++) {
            assert_false(net->hosts[i].swim.edges[k].is_down);
        }
    }
}

static void a_host_without_datagrams_is_reached_by_streams(void **state)
{
    (void)state;
    const uint32_t sizes[] = {2, 3, 5, 16, 48};

    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct swim_net net;

        open_streamed(&net, sizes[i], 11 + i, true);
        net.hosts[1].udp_blocked = true;
        swim_net_run(&net, 120 * NANOS_PER_S);
        assert_int_equal(streamed.deaths, 0);
        assert_true(swim_net_is_settled(&net));
        expect_no_report(&net);
        /* Every edge of it, from both ends, once. */
        assert_int_equal(streamed.by_stream, 2 * net.hosts[1].swim.n_edges);
        assert_int_equal(streamed.by_datagram, 0);
        assert_int_equal(swim_reach(&net.hosts[1].swim, net.hosts[1].swim.edges[0].peer),
                         SWIM_REACH_STREAMS);
        swim_net_close(&net);
    }
}

static void when_datagrams_pass_again_streams_end(void **state)
{
    (void)state;
    struct swim_net net;
    uint64_t then = 0;

    open_streamed(&net, 16, 21, true);
    net.hosts[1].udp_blocked = true;
    swim_net_run(&net, 120 * NANOS_PER_S);
    net.hosts[1].udp_blocked = false;
    swim_net_run(&net, 60 * NANOS_PER_S);
    assert_int_equal(streamed.by_datagram, streamed.by_stream);
    assert_int_equal(swim_reach(&net.hosts[0].swim, 2) == SWIM_REACH_STREAMS, 0);
    then = net.hosts[1].stream_bytes;
    swim_net_run(&net, 60 * NANOS_PER_S);
    assert_int_equal(net.hosts[1].stream_bytes, then);
    expect_no_report(&net);
    assert_int_equal(streamed.deaths, 0);
    swim_net_close(&net);
}

static bool no_datagram_from_0_to_1(struct swim_net *net, uint32_t from, uint32_t to)
{
    (void)net;
    return !(from == 0 && to == 1);
}

static bool no_datagram_between_0_and_1(struct swim_net *net, uint32_t from, uint32_t to)
{
    (void)net;
    return from + to != 1;
}

static bool no_datagram_at_all(struct swim_net *net, uint32_t from, uint32_t to)
{
    (void)net;
    (void)from;
    (void)to;
    return false;
}

static bool (*const blocks[])(struct swim_net *net, uint32_t from, uint32_t to) = {
    no_datagram_from_0_to_1, no_datagram_between_0_and_1, no_datagram_at_all};

static void pairs_and_directions_and_everybody_live_on(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(blocks); i++) {
        for (uint32_t n = 2; n <= 9; n++) {
            struct swim_net net;

            open_streamed(&net, n, 31 + n, true);
            net.datagram_passes = blocks[i];
            swim_net_run(&net, 90 * NANOS_PER_S);
            assert_int_equal(streamed.deaths, 0);
            assert_true(swim_net_is_settled(&net));
            expect_no_report(&net);
            assert_int_equal(streamed.by_stream, i < 2 ? 2 : n * (n - 1));
            swim_net_close(&net);
        }
    }
}

/* What the observers have to tell each other goes by stream, too: without it two of three would
 * never agree. */
static void who_crashes_is_dead_for_all_whatever_is_blocked(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(blocks); i++) {
        for (uint32_t n = 3; n <= 16; n += n == 3 ? 2 : 11) {
            struct swim_net net;

            open_streamed(&net, n, 41 + n, true);
            net.datagram_passes = blocks[i];
            swim_net_run(&net, 60 * NANOS_PER_S);
            swim_net_crash(&net, 2);
            swim_net_run(&net, 10 * NANOS_PER_S);
            assert_int_equal(swim_net_count(&net, 2, SWIM_DEAD), n - 1);
            assert_int_equal(streamed.deaths, 0);
            swim_net_close(&net);
        }
    }
}

static void who_is_reached_by_streams_alone_and_crashes_is_dead(void **state)
{
    (void)state;
    struct swim_net net;

    open_streamed(&net, 5, 51, true);
    net.hosts[1].udp_blocked = true;
    swim_net_run(&net, 60 * NANOS_PER_S);
    swim_net_crash(&net, 1);
    swim_net_run(&net, 5 * NANOS_PER_S);
    assert_int_equal(swim_net_count(&net, 1, SWIM_DEAD), 4);
    assert_int_equal(streamed.deaths, 0);
    swim_net_close(&net);
}

static void who_joins_without_datagrams_is_known_to_all(void **state)
{
    (void)state;
    struct swim_net net;

    open_streamed(&net, 6, 61, false);
    for (uint32_t i = 1; i < 5; i++) {
        swim_net_join(&net, i, 0);
    }
    swim_net_run(&net, 5 * NANOS_PER_S);
    net.hosts[5].udp_blocked = true;
    for (uint32_t i = 0; i < 3; i++) {
        swim_net_join(&net, 5, 0);
        swim_net_run(&net, NANOS_PER_S);
    }
    swim_net_run(&net, 30 * NANOS_PER_S);
    assert_true(swim_net_is_settled(&net));
    assert_int_equal(streamed.deaths, 0);
    swim_net_close(&net);
}

/* It was cut off for good, and now streams pass: the dead are asked by them, too. */
static void who_was_called_dead_comes_back_by_stream(void **state)
{
    (void)state;
    struct swim_net net;

    open_streamed(&net, 5, 71, true);
    net.hosts[1].udp_blocked = true;
    net.hosts[1].tcp_blocked = true;
    swim_net_run(&net, 30 * NANOS_PER_S);
    assert_int_equal(swim_net_count(&net, 1, SWIM_DEAD), 4);
    net.hosts[1].tcp_blocked = false;
    assert_true(swim_net_run_until(&net, 60 * NANOS_PER_S, swim_net_is_settled));
    swim_net_run(&net, 60 * NANOS_PER_S);
    assert_true(swim_net_is_settled(&net));
    swim_net_close(&net);
}

static uint64_t reporters; /* of host 20 to host 0, a bit each */

static void note_reports(struct swim_net *net, uint32_t host, const struct swim_update *update)
{
    (void)net;
    for (size_t i = 0; host == 0 && i < update->n_reports; i++) {
        if (update->reports[i].subject == 21 && update->reports[i].down) {
            reporters |= UINT64_C(1) << update->reports[i].observer;
        }
    }
}

/* Most of those who report are no neighbours of the leader's, and learn from it how to reach it. */
static void a_leader_without_datagrams_hears_of_all_observers(void **state)
{
    (void)state;
    struct swim_event leads = {.kind = SWIM_EVENT_LEADER, .id = 1};
    struct swim_net net;

    reporters = 0;
    open_streamed(&net, 48, 101, true);
    for (uint32_t i = 0; i < net.n; i++) {
        swim_net_step(&net, i, &leads);
    }
    net.hosts[0].udp_blocked = true;
    net.stepped = note_reports;
    swim_net_run(&net, 120 * NANOS_PER_S);
    for (uint32_t i = 1; i < net.n; i++) {
        assert_int_equal(swim_reach(&net.hosts[i].swim, 1), SWIM_REACH_STREAMS);
    }
    swim_net_crash(&net, 20);
    swim_net_run(&net, 10 * NANOS_PER_S);
    assert_in_range(__builtin_popcountll(reporters), 6, 8);
    assert_int_equal(streamed.deaths, 0);
    net.hosts[0].udp_blocked = false;
    swim_net_run(&net, 120 * NANOS_PER_S);
    assert_int_not_equal(swim_reach(&net.hosts[1].swim, 1), SWIM_REACH_STREAMS);
    assert_false(swim_find(&net.hosts[1].swim, 1)->by_stream);
    swim_net_close(&net);
}

static void loss_is_not_called_a_block(void **state)
{
    (void)state;
    struct swim_net net;

    open_streamed(&net, 32, 81, true);
    for (uint32_t i = 0; i < net.n; i++) {
        net.hosts[i].loss_in = 20;
    }
    swim_net_run(&net, 300 * NANOS_PER_S);
    assert_int_equal(streamed.by_stream, 0);
    swim_net_close(&net);
}

/* Where nothing is blocked and nothing is lost, no stream is opened. */
static void a_calm_cluster_opens_no_stream(void **state)
{
    (void)state;
    struct swim_net net;

    open_streamed(&net, 32, 91, true);
    swim_net_run(&net, 300 * NANOS_PER_S);
    for (uint32_t i = 0; i < net.n; i++) {
        assert_int_equal(net.hosts[i].stream_bytes, 0);
    }
    swim_net_close(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_without_datagrams_is_reached_by_streams),
        cmocka_unit_test(when_datagrams_pass_again_streams_end),
        cmocka_unit_test(pairs_and_directions_and_everybody_live_on),
        cmocka_unit_test(who_crashes_is_dead_for_all_whatever_is_blocked),
        cmocka_unit_test(who_is_reached_by_streams_alone_and_crashes_is_dead),
        cmocka_unit_test(who_joins_without_datagrams_is_known_to_all),
        cmocka_unit_test(who_was_called_dead_comes_back_by_stream),
        cmocka_unit_test(a_leader_without_datagrams_hears_of_all_observers),
        cmocka_unit_test(loss_is_not_called_a_block),
        cmocka_unit_test(a_calm_cluster_opens_no_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
