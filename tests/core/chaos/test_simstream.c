/* Streams on links and hosts that fail: TCP's, as far as a process can tell. */
#include "core/chaos/simnet.h"

#include "tests/support/test.h"

#include <string.h>

#include "tests/core/chaos/sim_pair.h"

/* Numbered bytes, so that order and completeness show. */
static void send_numbered(struct sim_peer *p, size_t *next, size_t count)
{
    for (size_t i = 0; i < count; i++, (*next)++) {
        uint8_t byte = (uint8_t)(*next % 251);
        assert_int_equal(sim_peer_send(p, &byte, 1), OK);
    }
}

static void check_numbered(const struct sim_peer *p, size_t count)
{
    assert_int_equal(p->got.len, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(p->got.data[i], i % 251);
    }
}

/* --- loss ------------------------------------------------------------------------------------ */

static void loss_delays_a_stream_and_neither_loses_nor_reorders(void **state)
{
    (void)state;
    struct sim_pair p;
    struct simnet_link link = simnet_link_plain();
    size_t next = 0;

    sim_pair_init(&p, 11);
    link.loss_ppm = 200000;
    sim_pair_link(&p, false, &link);
    for (int i = 0; i < 1000; i++) {
        send_numbered(&p.a, &next, 1 + (size_t)i % 7);
        sim_pair_run(&p, NANOS_PER_MS);
    }
    size_t on_time = p.b.got.len;
    simworld_run(p.sim, NANOS_FOREVER);
    check_numbered(&p.b, next);
    assert_int_equal(p.a.closed, 0);
    assert_true(on_time < next); /* the seed has some under way */
    sim_pair_deinit(&p);
}

static void a_lost_segment_comes_after_the_retransmission_timeout(void **state)
{
    (void)state;
    struct sim_pair p;
    struct simnet_link link = {.latency = NANOS_PER_MS, .loss_ppm = 1000000};

    sim_pair_init(&p, 11);
    sim_pair_link(&p, false, &link);
    nanos sent = simworld_now(p.sim);
    assert_int_equal(sim_peer_send(&p.a, "x", 1), OK);
    sim_pair_run(&p, NANOS_PER_S);
    assert_int_equal(p.b.got.len, 0);
    link.loss_ppm = 0;
    sim_pair_link(&p, false, &link);
    simworld_run(p.sim, NANOS_FOREVER);
    /* Tried after 0.2 and 0.6 s, then after 1.4 s. */
    assert_int_equal(p.b.got_at, sent + 7 * SIMNET_RTO + NANOS_PER_MS);
    nanos again = simworld_now(p.sim);
    assert_int_equal(sim_peer_send(&p.a, "y", 1), OK);
    simworld_run(p.sim, NANOS_FOREVER);
    assert_int_equal(p.b.got_at, again + NANOS_PER_MS);
    sim_pair_deinit(&p);
}

/* --- cuts ------------------------------------------------------------------------------------ */

static void a_cut_that_lasts_times_the_sender_out_and_leaves_the_other_end(void **state)
{
    (void)state;
    struct sim_pair p;

    sim_pair_init(&p, 12);
    simnet_cut(p.a.host, p.b.host, true);
    assert_int_equal(sim_peer_send(&p.a, "x", 1), OK);
    sim_pair_run(&p, SIMNET_USER_TIMEOUT - NANOS_PER_MS);
    assert_int_equal(p.a.closed, 0);
    sim_pair_run(&p, 2 * NANOS_PER_MS);
    assert_int_equal(p.a.closed, 1);
    assert_int_equal(p.a.why, ERR_TIMEOUT);
    simnet_cut(p.a.host, p.b.host, false);
    simworld_run(p.sim, NANOS_FOREVER);
    assert_int_equal(p.b.closed, 0);
    assert_int_equal(p.b.got.len, 0);
    /* The end that was left learns of it when it says something. */
    assert_int_equal(sim_peer_send(&p.b, "y", 1), OK);
    sim_pair_run(&p, NANOS_PER_MS);
    assert_int_equal(p.b.closed, 1);
    assert_int_equal(p.b.why, ERR_CLOSED);
    sim_pair_deinit(&p);
}

static void an_idle_stream_outlives_a_cut(void **state)
{
    (void)state;
    struct sim_pair p;

    sim_pair_init(&p, 12);
    simnet_cut(p.a.host, p.b.host, true);
    sim_pair_run(&p, 1000 * NANOS_PER_S);
    simnet_cut(p.a.host, p.b.host, false);
    assert_int_equal(sim_peer_send(&p.a, "x", 1), OK);
    sim_pair_run(&p, NANOS_PER_MS);
    assert_int_equal(p.b.got.len, 1);
    sim_pair_deinit(&p);
}

static void a_cut_that_heals_begins_the_wait_anew(void **state)
{
    (void)state;
    struct sim_pair p;

    sim_pair_init(&p, 12);
    for (size_t round = 1; round <= 3; round++) {
        simnet_cut(p.a.host, p.b.host, true);
        nanos sent = simworld_now(p.sim);
        assert_int_equal(sim_peer_send(&p.a, "x", 1), OK);
        sim_pair_run(&p, NANOS_PER_S);
        simnet_cut(p.a.host, p.b.host, false);
        sim_pair_run(&p, 14 * NANOS_PER_S);
        assert_int_equal(p.b.got.len, round);
        assert_in_range(p.b.got_at - sent, 7 * SIMNET_RTO, 7 * SIMNET_RTO + NANOS_PER_MS);
    }
    assert_int_equal(p.a.closed, 0);
    sim_pair_deinit(&p);
}

static void without_acknowledgements_the_first_bytes_arrive_and_the_sender_times_out(void **state)
{
    (void)state;
    struct sim_pair p;
    struct simnet_link link = simnet_link_plain();

    sim_pair_init(&p, 13);
    link.is_cut = true;
    sim_pair_link(&p, true, &link);
    assert_int_equal(sim_peer_send(&p.a, "1", 1), OK);
    sim_pair_run(&p, NANOS_PER_MS);
    assert_int_equal(sim_peer_send(&p.a, "2", 1), OK);
    sim_pair_run(&p, SIMNET_USER_TIMEOUT / 2);
    assert_int_equal(p.b.got.len, 1);
    link.is_cut = false;
    sim_pair_link(&p, true, &link);
    sim_pair_run(&p, SIMNET_USER_TIMEOUT / 2);
    assert_int_equal(p.b.got.len, 2);
    link.is_cut = true;
    sim_pair_link(&p, true, &link);
    assert_int_equal(sim_peer_send(&p.a, "3", 1), OK);
    sim_pair_run(&p, SIMNET_USER_TIMEOUT + NANOS_PER_MS);
    assert_int_equal(p.b.got.len, 3);
    assert_int_equal(p.a.closed, 1);
    assert_int_equal(p.a.why, ERR_TIMEOUT);
    sim_pair_deinit(&p);
}

static void a_cut_that_acknowledgements_pass_is_one_way_for_streams(void **state)
{
    (void)state;
    struct sim_pair p;
    struct simnet_link link = simnet_link_plain();

    sim_pair_init(&p, 13);
    link.is_cut = true;
    link.acks_pass = true;
    sim_pair_link(&p, true, &link);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(sim_peer_send(&p.a, "x", 1), OK);
        sim_pair_run(&p, NANOS_PER_S);
    }
    assert_int_equal(p.b.got.len, 100);
    assert_int_equal(sim_peer_send(&p.b, "y", 1), OK);
    sim_pair_run(&p, SIMNET_USER_TIMEOUT + NANOS_PER_MS);
    assert_int_equal(p.a.got.len, 0);
    assert_int_equal(p.b.why, ERR_TIMEOUT);
    sim_pair_connect(&p);
    sim_pair_run(&p, NANOS_PER_MS);
    assert_int_equal(p.a.opened, 2);
    sim_pair_deinit(&p);
}

/* --- clogs, stalls, rates -------------------------------------------------------------------- */

static void bytes_in_a_clogged_link_arrive_after_their_sender_has_gone(void **state)
{
    (void)state;
    struct sim_pair p;
    struct simnet_link link = simnet_link_plain();

    sim_pair_init(&p, 14);
    link.is_clogged = true;
    sim_pair_link(&p, false, &link);
    assert_int_equal(sim_peer_send(&p.a, "old", 3), OK);
    sim_pair_run(&p, NANOS_PER_MS);
    assert_int_equal(sim_peer_send(&p.a, "never", 5), OK);
    sim_pair_run(&p, 200 * NANOS_PER_S);
    assert_int_equal(p.a.closed, 1);
    assert_int_equal(p.a.why, ERR_TIMEOUT);
    assert_int_equal(p.b.got.len, 0);
    link.is_clogged = false;
    sim_pair_link(&p, false, &link);
    simworld_run(p.sim, NANOS_FOREVER);
    assert_int_equal(p.b.got.len, 3);
    assert_memory_equal(p.b.got.data, "old", 3);
    assert_int_equal(p.b.closed, 0);
    sim_pair_deinit(&p);
}

static void bytes_in_a_clogged_link_reach_no_later_process(void **state)
{
    (void)state;
    struct sim_pair p;
    struct simnet_link link = simnet_link_plain();

    sim_pair_init(&p, 14);
    link.is_clogged = true;
    sim_pair_link(&p, false, &link);
    assert_int_equal(sim_peer_send(&p.a, "old", 3), OK);
    sim_pair_run(&p, NANOS_PER_S);
    simhost_kill(p.b.host);
    sim_pair_listen(&p);
    link.is_clogged = false;
    sim_pair_link(&p, false, &link);
    sim_pair_run(&p, 100 * NANOS_PER_S);
    assert_int_equal(p.b.got.len, 0);
    assert_int_equal(p.a.closed, 1);
    sim_pair_deinit(&p);
}

static void a_short_clog_keeps_order_and_loses_nothing(void **state)
{
    (void)state;
    struct sim_pair p;
    struct simnet_link link = simnet_link_plain();
    size_t next = 0;

    sim_pair_init(&p, 14);
    for (int round = 0; round < 4; round++) {
        link.is_clogged = round % 2 == 0;
        sim_pair_link(&p, false, &link);
        for (int i = 0; i < 20; i++) {
            send_numbered(&p.a, &next, 10000);
            sim_pair_run(&p, 50 * NANOS_PER_MS);
        }
    }
    simworld_run(p.sim, NANOS_FOREVER);
    check_numbered(&p.b, next);
    assert_int_equal(p.a.closed, 0);
    sim_pair_deinit(&p);
}

static void bytes_that_a_clog_held_are_sent_again_where_it_ends_in_a_cut(void **state)
{
    (void)state;
    struct sim_pair p;
    struct simnet_link link = simnet_link_plain();

    for (int is_long = 0; is_long < 2; is_long++) {
        sim_pair_init(&p, 14);
        link.is_clogged = true;
        sim_pair_link(&p, false, &link);
        assert_int_equal(sim_peer_send(&p.a, "held", 4), OK);
        sim_pair_run(&p, is_long ? 2 * SIMNET_USER_TIMEOUT : NANOS_PER_S);
        link.is_clogged = false;
        link.is_cut = true;
        sim_pair_link(&p, false, &link);
        sim_pair_run(&p, NANOS_PER_S);
        assert_int_equal(p.b.got.len, 0);
        link.is_cut = false;
        sim_pair_link(&p, false, &link);
        sim_pair_run(&p, SIMNET_USER_TIMEOUT);
        /* Nobody is left to send it again, where the sender has timed out. */
        assert_int_equal(p.b.got.len, is_long ? 0 : 4);
        sim_pair_deinit(&p);
    }
}

static void a_stall_holds_the_streams_there_are_and_no_new_one(void **state)
{
    (void)state;
    struct sim_pair p;

    sim_pair_init(&p, 15);
    struct world_stream *old = p.a.stream;
    simnet_stall(p.a.host, p.b.host, simworld_now(p.sim) + 5 * NANOS_PER_S);
    assert_int_equal(sim_peer_send(&p.a, "old", 3), OK);
    assert_int_equal(sim_peer_send(&p.b, "back", 4), OK);
    p.b.stream = NULL; /* so that it accepts another */
    sim_pair_connect(&p);
    assert_int_equal(sim_peer_send(&p.a, "new", 3), OK);
    sim_pair_run(&p, 4 * NANOS_PER_S);
    assert_int_equal(p.b.got.len, 3);
    assert_memory_equal(p.b.got.data, "new", 3);
    assert_int_equal(p.a.got.len, 4);
    simworld_run(p.sim, NANOS_FOREVER);
    assert_int_equal(p.b.got.len, 6);
    assert_memory_equal(p.b.got.data, "newold", 6);
    assert_ptr_not_equal(old, p.a.stream);
    sim_pair_deinit(&p);
}

static void a_limited_rate_is_how_long_bytes_take(void **state)
{
    (void)state;
    struct sim_pair p;
    struct simnet_link link = {.latency = NANOS_PER_MS, .bytes_per_s = 1000000};
    static uint8_t block[3000000];

    sim_pair_init(&p, 16);
    sim_pair_link(&p, false, &link);
    nanos sent = simworld_now(p.sim);
    assert_int_equal(sim_peer_send(&p.a, block, sizeof block), OK);
    /* What shares the link waits for no more than what is under way. */
    sim_pair_run(&p, NANOS_PER_S);
    sim_pair_ping(&p, 1, SIM_DATAGRAM_BYTES);
    nanos pinged = simworld_now(p.sim);
    simworld_run(p.sim, NANOS_FOREVER);
    assert_int_equal(p.b.got.len, sizeof block);
    assert_in_range(p.b.got_at - sent, 3 * NANOS_PER_S, 3 * NANOS_PER_S + 100 * NANOS_PER_MS);
    assert_int_equal(p.b.datagram_count, 1);
    assert_true(p.b.times[0] - pinged <= SIMNET_RATE_WINDOW + 10 * NANOS_PER_MS);
    sim_pair_deinit(&p);
}

static void messages_sent_together_share_a_limited_rate(void **state)
{
    (void)state;
    struct sim_pair p;
    struct simnet_link link = {.latency = NANOS_PER_MS, .bytes_per_s = 1000000};
    static uint8_t block[1000];

    sim_pair_init(&p, 16);
    sim_pair_link(&p, false, &link);
    nanos sent = simworld_now(p.sim);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(sim_peer_send(&p.a, block, sizeof block), OK);
    }
    simworld_run(p.sim, NANOS_FOREVER);
    assert_int_equal(p.b.got.len, 1000 * sizeof block);
    assert_in_range(p.b.got_at - sent, NANOS_PER_S, NANOS_PER_S + 100 * NANOS_PER_MS);
    sim_pair_deinit(&p);
}

static void a_black_hole_lets_small_messages_pass_until_a_large_one_is_in_the_way(void **state)
{
    (void)state;
    struct sim_pair p;
    struct simnet_link link = simnet_link_plain();
    static const uint8_t large[1400];

    sim_pair_init(&p, 17);
    link.large_loss_bytes = 1000;
    sim_pair_link(&p, false, &link);
    for (int i = 0; i < 30; i++) {
        assert_int_equal(sim_peer_send(&p.a, large, 100), OK);
        sim_pair_run(&p, NANOS_PER_S);
    }
    assert_int_equal(p.b.got.len, 3000);
    assert_int_equal(sim_peer_send(&p.a, large, sizeof large), OK);
    assert_int_equal(sim_peer_send(&p.a, large, 100), OK);
    sim_pair_run(&p, SIMNET_USER_TIMEOUT / 2);
    assert_int_equal(p.b.got.len, 3000);
    link.large_loss_bytes = 0;
    sim_pair_link(&p, false, &link);
    sim_pair_run(&p, SIMNET_USER_TIMEOUT / 2);
    assert_int_equal(p.b.got.len, 4500);
    sim_pair_deinit(&p);
}

static void a_reset_closes_both_ends_at_once(void **state)
{
    (void)state;
    struct sim_pair p;

    sim_pair_init(&p, 18);
    assert_int_equal(sim_peer_send(&p.a, "lost", 4), OK);
    simnet_reset(p.a.host, p.b.host);
    nanos at = simworld_now(p.sim);
    while (p.a.closed + p.b.closed < 2) {
        assert_true(simworld_step(p.sim));
        assert_int_equal(simworld_now(p.sim), at);
    }
    assert_int_equal(p.a.why, ERR_CLOSED);
    assert_int_equal(p.b.why, ERR_CLOSED);
    simworld_run(p.sim, NANOS_FOREVER);
    assert_int_equal(p.b.got.len, 0);
    sim_pair_connect(&p);
    sim_pair_run(&p, NANOS_PER_MS);
    assert_int_equal(p.b.accepted, 2);
    sim_pair_deinit(&p);
}

/* --- connecting ------------------------------------------------------------------------------ */

static void a_call_is_repeated_after_one_three_and_seven_seconds(void **state)
{
    (void)state;
    struct sim_pair p;

    sim_pair_hosts(&p, 19);
    simnet_cut(p.a.host, p.b.host, true);
    nanos called = simworld_now(p.sim);
    sim_pair_connect(&p);
    sim_pair_run(&p, 4 * NANOS_PER_S);
    simnet_cut(p.a.host, p.b.host, false);
    while (p.a.opened == 0) {
        assert_true(simworld_step(p.sim));
    }
    assert_in_range(simworld_now(p.sim), called + 7 * NANOS_PER_S,
                    called + 7 * NANOS_PER_S + NANOS_PER_MS);
    sim_pair_run(&p, NANOS_PER_MS);
    assert_int_equal(p.b.accepted, 1);
    sim_pair_deinit(&p);
}

static void a_call_that_nobody_answers_times_out(void **state)
{
    (void)state;
    struct sim_pair p;

    for (int how = 0; how < 3; how++) {
        struct simnet_link link = simnet_link_plain();
        sim_pair_hosts(&p, 19);
        nanos called = simworld_now(p.sim);
        link.is_cut = how == 1;
        sim_pair_link(&p, true, &link); /* the answer cannot come back */
        link.is_cut = how == 0;
        sim_pair_link(&p, false, &link);
        if (how == 2) {
            simhost_cut_power(p.b.host, 0, 1);
        }
        sim_pair_connect(&p);
        while (p.a.closed == 0) {
            assert_true(simworld_step(p.sim));
        }
        assert_int_equal(simworld_now(p.sim), called + SIMNET_USER_TIMEOUT);
        assert_int_equal(p.a.why, ERR_TIMEOUT);
        assert_int_equal(p.a.opened, 0);
        assert_int_equal(p.b.accepted, 0);
        sim_pair_deinit(&p);
    }
}

static void a_process_that_closes_while_connecting_is_never_told(void **state)
{
    (void)state;
    struct sim_pair p;

    sim_pair_hosts(&p, 19);
    sim_pair_connect(&p);
    sim_peer_close(&p.a);
    simworld_run(p.sim, NANOS_FOREVER);
    assert_int_equal(p.a.opened + p.a.closed, 0);
    sim_pair_deinit(&p);
}

/* --- deaths ---------------------------------------------------------------------------------- */

static void power_loss_leaves_the_other_end_half_open_until_it_times_out(void **state)
{
    (void)state;
    struct sim_pair p;

    sim_pair_init(&p, 20);
    simhost_cut_power(p.b.host, 0, 1);
    sim_pair_run(&p, 1000 * NANOS_PER_S);
    assert_int_equal(p.a.closed, 0);
    assert_int_equal(sim_peer_send(&p.a, "x", 1), OK);
    sim_pair_run(&p, SIMNET_USER_TIMEOUT - NANOS_PER_MS);
    assert_int_equal(p.a.closed, 0);
    sim_pair_run(&p, 2 * NANOS_PER_MS);
    assert_int_equal(p.a.why, ERR_TIMEOUT);
    sim_pair_deinit(&p);
}

static void a_host_that_is_on_again_denies_the_stream(void **state)
{
    (void)state;
    struct sim_pair p;

    sim_pair_init(&p, 20);
    simhost_cut_power(p.b.host, 0, 1);
    assert_false(simhost_is_on(p.b.host));
    assert_int_equal(sim_peer_send(&p.a, "x", 1), OK);
    sim_pair_run(&p, NANOS_PER_S);
    assert_int_equal(p.a.closed, 0);
    simhost_power_on(p.b.host);
    sim_pair_run(&p, NANOS_PER_S);
    assert_int_equal(p.a.closed, 1);
    assert_int_equal(p.a.why, ERR_CLOSED);
    /* Up, and nobody listens yet: that is said at once. */
    sim_pair_connect(&p);
    sim_pair_run(&p, NANOS_PER_MS);
    assert_int_equal(p.a.closed, 2);
    assert_int_equal(p.a.why, ERR_CLOSED);
    sim_pair_deinit(&p);
}

static void a_denial_that_does_not_come_back_is_none(void **state)
{
    (void)state;
    struct sim_pair p;
    struct simnet_link link = simnet_link_plain();

    sim_pair_init(&p, 20);
    simhost_cut_power(p.b.host, 0, 1);
    sim_pair_run(&p, NANOS_PER_S);
    simhost_power_on(p.b.host);
    sim_pair_run(&p, 1000 * NANOS_PER_S);
    assert_int_equal(p.a.closed, 0); /* it has sent nothing */
    link.is_cut = true;
    sim_pair_link(&p, true, &link);
    assert_int_equal(sim_peer_send(&p.a, "x", 1), OK);
    sim_pair_run(&p, SIMNET_USER_TIMEOUT + NANOS_PER_MS);
    assert_int_equal(p.a.closed, 1);
    assert_int_equal(p.a.why, ERR_TIMEOUT);
    sim_pair_deinit(&p);
}

static void a_host_is_on_once_its_process_uses_it(void **state)
{
    (void)state;
    struct sim_pair p;

    sim_pair_init(&p, 20);
    simhost_cut_power(p.b.host, 0, 1);
    sim_pair_listen(&p);
    assert_true(simhost_is_on(p.b.host));
    sim_pair_deinit(&p);
}

static void a_process_that_dies_behind_a_cut_leaves_a_half_open_end(void **state)
{
    (void)state;
    struct sim_pair p;

    sim_pair_init(&p, 21);
    simnet_cut(p.a.host, p.b.host, true);
    simhost_kill(p.b.host);
    sim_pair_run(&p, 2 * SIMNET_USER_TIMEOUT);
    simnet_cut(p.a.host, p.b.host, false);
    sim_pair_run(&p, 1000 * NANOS_PER_S);
    assert_int_equal(p.a.closed, 0);
    assert_int_equal(sim_peer_send(&p.a, "x", 1), OK);
    sim_pair_run(&p, NANOS_PER_MS);
    assert_int_equal(p.a.closed, 1);
    assert_int_equal(p.a.why, ERR_CLOSED);
    sim_pair_deinit(&p);
}

static void the_end_of_a_stream_passes_a_cut_that_was_short(void **state)
{
    (void)state;
    struct sim_pair p;

    sim_pair_init(&p, 21);
    simnet_cut(p.a.host, p.b.host, true);
    assert_int_equal(sim_peer_send(&p.b, "last", 4), OK);
    simhost_kill(p.b.host);
    sim_pair_run(&p, NANOS_PER_S);
    assert_int_equal(p.a.closed, 0);
    simnet_cut(p.a.host, p.b.host, false);
    sim_pair_run(&p, NANOS_PER_S);
    assert_int_equal(p.a.got.len, 4);
    assert_int_equal(p.a.closed, 1);
    assert_int_equal(p.a.why, ERR_CLOSED);
    sim_pair_deinit(&p);
}

static void what_is_under_way_arrives_after_the_power_is_gone(void **state)
{
    (void)state;
    struct sim_pair p;

    sim_pair_init(&p, 22);
    assert_int_equal(sim_peer_send(&p.a, "x", 1), OK);
    simhost_cut_power(p.a.host, 0, 1);
    sim_pair_run(&p, NANOS_PER_S);
    assert_int_equal(p.b.got.len, 1);
    assert_int_equal(p.b.closed, 0);
    sim_pair_deinit(&p);
}

/* --- all together ---------------------------------------------------------------------------- */

static void shake(struct sim_pair *p, struct prng *luck)
{
    struct simhost *hosts[] = {p->a.host, p->b.host};
    struct simhost *from = hosts[prng_below(luck, 2)];
    struct simhost *to = from == hosts[0] ? hosts[1] : hosts[0];
    struct simnet_link link = simnet_link_plain();

    switch (prng_below(luck, 7)) {
    case 0:
        link.is_cut = prng_chance(luck, 1, 2);
        break;
    case 1:
        link.is_clogged = true;
        break;
    case 2:
        link.loss_ppm = 300000;
        break;
    case 3:
        link.bytes_per_s = 50000;
        break;
    case 4:
        simnet_stall(from, to, simworld_now(p->sim) + NANOS_PER_S);
        break;
    case 5:
        simhost_pause(to, simworld_now(p->sim) + prng_below(luck, 3 * NANOS_PER_S));
        return;
    default:
        simhost_suspend(to, simworld_now(p->sim) + prng_below(luck, 3 * NANOS_PER_S));
        return;
    }
    simnet_link_set(from, to, &link);
}

static void whatever_happens_bytes_arrive_in_order_and_nothing_is_made_up(void **state)
{
    (void)state;
    struct prng luck = test_prng(__func__);

    for (size_t round = 0; round < test_rounds(50); round++) {
        struct sim_pair p;
        size_t next = 0;
        sim_pair_init(&p, prng_u64(&luck));
        for (int i = 0; i < 100 && p.a.stream != NULL && p.b.stream != NULL; i++) {
            send_numbered(&p.a, &next, prng_below(&luck, 3000));
            shake(&p, &luck);
            sim_pair_run(&p, prng_below(&luck, NANOS_PER_S / 2));
        }
        struct simnet_link plain = simnet_link_plain();
        sim_pair_link(&p, false, &plain);
        sim_pair_link(&p, true, &plain);
        simworld_run(p.sim, NANOS_FOREVER);
        if (p.a.closed == 0) {
            assert_int_equal(p.b.got.len, next);
        }
        assert_true(p.b.got.len <= next);
        check_numbered(&p.b, p.b.got.len);
        sim_pair_deinit(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loss_delays_a_stream_and_neither_loses_nor_reorders),
        cmocka_unit_test(a_lost_segment_comes_after_the_retransmission_timeout),
        cmocka_unit_test(a_cut_that_lasts_times_the_sender_out_and_leaves_the_other_end),
        cmocka_unit_test(an_idle_stream_outlives_a_cut),
        cmocka_unit_test(a_cut_that_heals_begins_the_wait_anew),
        cmocka_unit_test(without_acknowledgements_the_first_bytes_arrive_and_the_sender_times_out),
        cmocka_unit_test(a_cut_that_acknowledgements_pass_is_one_way_for_streams),
        cmocka_unit_test(bytes_in_a_clogged_link_arrive_after_their_sender_has_gone),
        cmocka_unit_test(bytes_in_a_clogged_link_reach_no_later_process),
        cmocka_unit_test(a_short_clog_keeps_order_and_loses_nothing),
        cmocka_unit_test(bytes_that_a_clog_held_are_sent_again_where_it_ends_in_a_cut),
        cmocka_unit_test(a_stall_holds_the_streams_there_are_and_no_new_one),
        cmocka_unit_test(a_limited_rate_is_how_long_bytes_take),
        cmocka_unit_test(messages_sent_together_share_a_limited_rate),
        cmocka_unit_test(a_black_hole_lets_small_messages_pass_until_a_large_one_is_in_the_way),
        cmocka_unit_test(a_reset_closes_both_ends_at_once),
        cmocka_unit_test(a_call_is_repeated_after_one_three_and_seven_seconds),
        cmocka_unit_test(a_call_that_nobody_answers_times_out),
        cmocka_unit_test(a_process_that_closes_while_connecting_is_never_told),
        cmocka_unit_test(power_loss_leaves_the_other_end_half_open_until_it_times_out),
        cmocka_unit_test(a_host_that_is_on_again_denies_the_stream),
        cmocka_unit_test(a_denial_that_does_not_come_back_is_none),
        cmocka_unit_test(a_host_is_on_once_its_process_uses_it),
        cmocka_unit_test(a_process_that_dies_behind_a_cut_leaves_a_half_open_end),
        cmocka_unit_test(the_end_of_a_stream_passes_a_cut_that_was_short),
        cmocka_unit_test(what_is_under_way_arrives_after_the_power_is_gone),
        cmocka_unit_test(whatever_happens_bytes_arrive_in_order_and_nothing_is_made_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
