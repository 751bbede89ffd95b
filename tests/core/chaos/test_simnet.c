/* The network without faults of its own: order, back pressure, and what the death of a process
 * does. */
#include "core/chaos/simnet.h"

#include "tests/support/test.h"

#include <string.h>

#include "tests/core/chaos/sim_pair.h"

static void a_stream_keeps_order_both_ways(void **state)
{
    (void)state;
    struct sim_pair p;
    uint8_t byte = 0;

    sim_pair_init(&p, 1);
    const struct world *b = simhost_world(p.b.host);
    assert_int_equal(b->net->listen(b->self, SIM_PAIR_PORT, &p.b.listener), ERR_EXISTS);
    for (int i = 0; i < 200; i++, byte++) {
        assert_int_equal(sim_peer_send(&p.a, &byte, 1), OK);
        assert_int_equal(sim_peer_send(&p.b, &byte, 1), OK);
        if (i % 3 == 0) {
            (void)simworld_step(p.sim);
        }
    }
    simworld_run(p.sim, NANOS_FOREVER);
    assert_int_equal(p.a.got.len, 200);
    assert_int_equal(p.b.got.len, 200);
    for (size_t i = 0; i < 200; i++) {
        assert_int_equal(p.a.got.data[i], i);
        assert_int_equal(p.b.got.data[i], i);
    }
    /* What was sent before the end still arrives. */
    assert_int_equal(sim_peer_send(&p.a, &byte, 1), OK);
    sim_peer_close(&p.a);
    simworld_run(p.sim, NANOS_FOREVER);
    assert_int_equal(p.b.got.len, 201);
    assert_int_equal(p.b.closed, 1);
    assert_int_equal(p.b.why, ERR_CLOSED);
    assert_int_equal(p.a.closed, 0);
    sim_pair_deinit(&p);
}

static void what_is_sent_while_something_is_under_way_takes_no_longer(void **state)
{
    (void)state;
    struct sim_pair p;
    struct simnet_link slow = {.latency = NANOS_PER_S};

    sim_pair_init(&p, 1);
    sim_pair_link(&p, false, &slow);
    assert_int_equal(sim_peer_send(&p.a, "1", 1), OK);
    sim_pair_run(&p, NANOS_PER_S / 2);
    assert_int_equal(sim_peer_send(&p.a, "2", 1), OK);
    nanos sent = simworld_now(p.sim);
    simworld_run(p.sim, NANOS_FOREVER);
    assert_int_equal(p.b.receipts, 2);
    assert_int_equal(p.b.got_at, sent + NANOS_PER_S);
    sim_pair_deinit(&p);
}

/* A stream of a host to itself, whose receiver sends while it reads. */
struct echo {
    const struct world *world;
    struct world_stream *stream;
    struct world_stream_sink sink;
    struct world_stream_sink far;
    struct world_listener listener;
    struct buf got;
};

static void echo_opened(struct world_stream_sink *sink)
{
    (void)sink;
}

static void echo_received(struct world_stream_sink *sink, struct bytes bytes)
{
    struct echo *e = sink->owner;
    static uint8_t filler[4096];
    memset(filler, 0xff, sizeof filler);
    for (int i = 0; i < 16 && e->got.len == 0; i++) {
        struct bytes more = {filler, sizeof filler};
        assert_int_equal(e->world->net->stream_send(e->world->self, e->stream, more), OK);
    }
    buf_put(&e->got, bytes.data, bytes.len);
}

static struct world_stream_sink *echo_accepted(struct world_listener *listener,
                                               struct world_stream *stream,
                                               const struct world_endpoint *from)
{
    struct echo *e = listener->owner;
    (void)stream;
    (void)from;
    return &e->far;
}

static void a_receiver_may_send_on_the_stream_that_it_reads(void **state)
{
    (void)state;
    struct simworld *sim = simworld_new(1);
    struct echo e = {.world = simhost_world(simhost_new(sim, "a", 0))};
    const struct world_endpoint self = {"a", SIM_PAIR_PORT};
    uint8_t first[300];

    buf_init(&e.got);
    memset(first, 0x11, sizeof first);
    e.sink = (struct world_stream_sink){.opened = echo_opened, .owner = &e};
    e.far = (struct world_stream_sink){.received = echo_received, .owner = &e};
    e.listener = (struct world_listener){.accepted = echo_accepted, .owner = &e};
    assert_int_equal(e.world->net->listen(e.world->self, SIM_PAIR_PORT, &e.listener), OK);
    e.stream = e.world->net->connect(e.world->self, &self, &e.sink);
    simworld_run(sim, simworld_now(sim) + NANOS_PER_S);
    struct bytes bytes = {first, sizeof first};
    assert_int_equal(e.world->net->stream_send(e.world->self, e.stream, bytes), OK);
    simworld_run(sim, simworld_now(sim) + NANOS_PER_S);
    assert_int_equal(e.got.len, sizeof first + 16 * 4096);
    for (size_t i = 0; i < e.got.len; i++) {
        assert_int_equal(e.got.data[i], i < sizeof first ? 0x11 : 0xff);
    }
    simworld_free(sim);
    buf_deinit(&e.got);
}

static void a_full_queue_says_so_and_then_that_there_is_room(void **state)
{
    (void)state;
    struct sim_pair p;
    static uint8_t block[1024 * 1024];
    size_t sent = 0;

    sim_pair_init(&p, 1);
    while (sim_peer_send(&p.a, block, sizeof block) == OK) {
        sent += sizeof block;
        assert_true(sent <= WORLD_STREAM_QUEUE_MAX_BYTES);
    }
    assert_int_equal(p.a.writable, 0);
    simworld_run(p.sim, NANOS_FOREVER);
    assert_int_equal(p.a.writable, 1);
    assert_int_equal(p.b.got.len, sent);
    sim_pair_deinit(&p);
}

static void bytes_sent_before_it_is_open_wait_for_that(void **state)
{
    (void)state;
    struct sim_pair p;

    sim_pair_hosts(&p, 1);
    sim_pair_connect(&p);
    assert_int_equal(sim_peer_send(&p.a, "early", 5), OK);
    assert_int_equal(p.a.opened, 0);
    simworld_run(p.sim, NANOS_FOREVER);
    assert_int_equal(p.a.opened, 1);
    assert_int_equal(p.b.got.len, 5);
    sim_pair_deinit(&p);
}

static void a_process_that_refuses_closes_the_stream(void **state)
{
    (void)state;
    struct sim_pair p;

    sim_pair_hosts(&p, 1);
    p.b.refuses = true;
    sim_pair_connect(&p);
    simworld_run(p.sim, NANOS_FOREVER);
    assert_int_equal(p.a.closed, 1);
    assert_int_equal(p.a.why, ERR_CLOSED);
    sim_pair_deinit(&p);
}

static void the_death_of_a_process_closes_its_peers_streams(void **state)
{
    (void)state;
    struct sim_pair p;

    sim_pair_init(&p, 1);
    assert_int_equal(sim_peer_send(&p.a, "x", 1), OK);
    simhost_kill(p.b.host);
    sim_pair_run(&p, 10 * NANOS_PER_MS);
    assert_int_equal(p.a.closed, 1);
    assert_int_equal(p.a.why, ERR_CLOSED);
    assert_int_equal(p.b.closed, 0);
    /* Nobody listens there any more. */
    sim_pair_connect(&p);
    sim_pair_run(&p, 10 * NANOS_PER_MS);
    assert_int_equal(p.a.closed, 2);
    assert_int_equal(p.a.why, ERR_CLOSED);
    sim_pair_deinit(&p);
}

static void a_name_that_nobody_has_is_not_reached(void **state)
{
    (void)state;
    struct sim_pair p;
    const struct world_endpoint nowhere = {"c", SIM_PAIR_PORT};

    sim_pair_hosts(&p, 1);
    const struct world *a = simhost_world(p.a.host);
    (void)a->net->connect(a->self, &nowhere, &p.a.sink);
    assert_int_equal(p.a.closed, 0);
    simworld_run(p.sim, NANOS_FOREVER);
    assert_int_equal(p.a.closed, 1);
    a->net->datagram_send(a->self, SIM_PAIR_PORT, &nowhere, (struct bytes){NULL, 0});
    simworld_run(p.sim, NANOS_FOREVER);
    sim_pair_deinit(&p);
}

static void a_cut_delays_streams_and_drops_datagrams(void **state)
{
    (void)state;
    struct sim_pair p;

    sim_pair_init(&p, 1);
    const struct world *b = simhost_world(p.b.host);
    sim_pair_ping(&p, 1, SIM_DATAGRAM_BYTES);
    simworld_run(p.sim, NANOS_FOREVER);
    assert_int_equal(p.b.datagram_count, 1);
    simnet_cut(p.a.host, p.b.host, true);
    sim_pair_ping(&p, 2, SIM_DATAGRAM_BYTES);
    assert_int_equal(sim_peer_send(&p.a, "late", 4), OK);
    sim_pair_run(&p, SIMNET_USER_TIMEOUT / 2);
    assert_int_equal(p.b.datagram_count, 1);
    assert_int_equal(p.b.got.len, 0);
    simnet_cut(p.a.host, p.b.host, false);
    simworld_run(p.sim, NANOS_FOREVER);
    assert_int_equal(p.b.got.len, 4);
    b->net->datagram_close(b->self, SIM_PAIR_PORT);
    sim_pair_ping(&p, 3, SIM_DATAGRAM_BYTES);
    simworld_run(p.sim, NANOS_FOREVER);
    assert_int_equal(p.b.datagram_count, 1);
    sim_pair_deinit(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_keeps_order_both_ways),
        cmocka_unit_test(what_is_sent_while_something_is_under_way_takes_no_longer),
        cmocka_unit_test(a_receiver_may_send_on_the_stream_that_it_reads),
        cmocka_unit_test(a_full_queue_says_so_and_then_that_there_is_room),
        cmocka_unit_test(bytes_sent_before_it_is_open_wait_for_that),
        cmocka_unit_test(a_process_that_refuses_closes_the_stream),
        cmocka_unit_test(the_death_of_a_process_closes_its_peers_streams),
        cmocka_unit_test(a_name_that_nobody_has_is_not_reached),
        cmocka_unit_test(a_cut_delays_streams_and_drops_datagrams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
