/* What links do to datagrams, one setting at a time, and that it ends with the setting. */
#include "core/chaos/simnet.h"

#include "tests/support/test.h"

#include <string.h>

#include "tests/core/chaos/sim_pair.h"

#define PINGS 2000

/* So many datagrams, a millisecond apart; returns how many arrived. */
static size_t ping_many(struct sim_pair *p, uint32_t count, size_t size)
{
    size_t before = p->b.datagram_count;
    for (uint32_t i = 0; i < count; i++) {
        sim_pair_ping(p, i, size);
        sim_pair_run(p, NANOS_PER_MS);
    }
    simworld_run(p->sim, NANOS_FOREVER);
    return p->b.datagram_count - before;
}

static bool arrived_in_order(const struct sim_peer *p)
{
    for (size_t i = 1; i < p->datagram_count; i++) {
        if (p->numbers[i] < p->numbers[i - 1]) {
            return false;
        }
    }
    return true;
}

static void a_plain_link_delivers_all_within_its_latency(void **state)
{
    (void)state;
    struct sim_pair p;

    sim_pair_hosts(&p, 3);
    nanos began = simworld_now(p.sim);
    nanos least = NANOS_FOREVER;
    nanos most = 0;
    assert_int_equal(ping_many(&p, PINGS, SIM_DATAGRAM_BYTES), PINGS);
    for (size_t i = 0; i < PINGS; i++) {
        nanos took = p.b.times[i] - began - i * NANOS_PER_MS;
        least = u64_min(least, took);
        most = u64_max(most, took);
    }
    assert_in_range(least, SIMNET_LATENCY, SIMNET_LATENCY + SIMNET_JITTER / 10);
    assert_in_range(most, SIMNET_LATENCY + SIMNET_JITTER * 9 / 10, SIMNET_LATENCY + SIMNET_JITTER);
    sim_pair_deinit(&p);
}

static void lost_are_as_many_as_the_link_loses(void **state)
{
    (void)state;
    struct sim_pair p;
    struct simnet_link link = simnet_link_plain();

    sim_pair_hosts(&p, 3);
    link.loss_ppm = 300000;
    sim_pair_link(&p, false, &link);
    assert_in_range(ping_many(&p, PINGS, SIM_DATAGRAM_BYTES), PINGS * 65 / 100, PINGS * 75 / 100);
    link.loss_ppm = 1000000;
    sim_pair_link(&p, false, &link);
    assert_int_equal(ping_many(&p, 10, SIM_DATAGRAM_BYTES), 0);
    link = simnet_link_plain();
    sim_pair_link(&p, false, &link);
    assert_int_equal(ping_many(&p, 10, SIM_DATAGRAM_BYTES), 10);
    sim_pair_deinit(&p);
}

static void doubled_datagrams_arrive_twice(void **state)
{
    (void)state;
    struct sim_pair p;
    struct simnet_link link = simnet_link_plain();

    sim_pair_hosts(&p, 3);
    link.duplicate_ppm = 1000000;
    sim_pair_link(&p, false, &link);
    assert_int_equal(ping_many(&p, 10, SIM_DATAGRAM_BYTES), 20);
    link.duplicate_ppm = 0;
    sim_pair_link(&p, false, &link);
    assert_int_equal(ping_many(&p, 10, SIM_DATAGRAM_BYTES), 10);
    sim_pair_deinit(&p);
}

static void late_datagrams_arrive_minutes_later_and_out_of_order(void **state)
{
    (void)state;
    struct sim_pair p;
    struct simnet_link link = simnet_link_plain();

    sim_pair_hosts(&p, 3);
    link.late_ppm = 100000;
    link.late = 300 * NANOS_PER_S;
    sim_pair_link(&p, false, &link);
    nanos began = simworld_now(p.sim);
    assert_int_equal(ping_many(&p, PINGS, SIM_DATAGRAM_BYTES), PINGS);
    assert_false(arrived_in_order(&p.b));
    size_t late = 0;
    for (size_t i = 0; i < PINGS; i++) {
        late += p.b.times[i] > began + (PINGS + 1) * NANOS_PER_MS;
    }
    assert_in_range(late, PINGS * 7 / 100, PINGS * 13 / 100);
    assert_in_range(p.b.times[PINGS - 1], began + 200 * NANOS_PER_S, began + 303 * NANOS_PER_S);
    sim_pair_deinit(&p);
}

static void a_late_datagram_reaches_the_process_that_is_there_by_then(void **state)
{
    (void)state;
    struct sim_pair p;
    struct simnet_link link = {.late_ppm = 1000000, .late = 300 * NANOS_PER_S};

    sim_pair_hosts(&p, 3);
    sim_pair_link(&p, false, &link);
    sim_pair_ping(&p, 1, SIM_DATAGRAM_BYTES);
    simhost_kill(p.b.host);
    sim_pair_listen(&p);
    simworld_run(p.sim, NANOS_FOREVER);
    assert_int_equal(p.b.datagram_count, 1);
    sim_pair_deinit(&p);
}

static void a_heavy_tail_delays_a_few(void **state)
{
    (void)state;
    struct sim_pair p;
    struct simnet_link link = {.latency = NANOS_PER_US, .tail_ppm = 20000, .tail = NANOS_PER_S};

    sim_pair_hosts(&p, 3);
    sim_pair_link(&p, false, &link);
    nanos began = simworld_now(p.sim);
    assert_int_equal(ping_many(&p, PINGS, SIM_DATAGRAM_BYTES), PINGS);
    size_t slow = 0;
    for (size_t i = 0; i < PINGS; i++) {
        slow += p.b.times[i] != began + p.b.numbers[i] * NANOS_PER_MS + NANOS_PER_US;
    }
    assert_in_range(slow, PINGS / 100, PINGS * 3 / 100);
    sim_pair_deinit(&p);
}

static void a_cut_one_way_leaves_the_other(void **state)
{
    (void)state;
    struct sim_pair p;
    struct simnet_link link = simnet_link_plain();

    sim_pair_hosts(&p, 3);
    link.is_cut = true;
    sim_pair_link(&p, true, &link);
    assert_int_equal(ping_many(&p, 10, SIM_DATAGRAM_BYTES), 10);
    sim_pair_link(&p, false, &link);
    assert_int_equal(ping_many(&p, 10, SIM_DATAGRAM_BYTES), 0);
    assert_true(simnet_link_get(p.a.host, p.b.host).is_cut);
    simnet_cut(p.a.host, p.b.host, false);
    assert_false(simnet_link_get(p.b.host, p.a.host).is_cut);
    assert_int_equal(ping_many(&p, 10, SIM_DATAGRAM_BYTES), 10);
    sim_pair_deinit(&p);
}

static void a_clogged_link_holds_what_fits_and_flushes_it_in_order(void **state)
{
    (void)state;
    struct sim_pair p;
    struct simnet_link link = simnet_link_plain();

    sim_pair_hosts(&p, 3);
    link.is_clogged = true;
    sim_pair_link(&p, false, &link);
    assert_int_equal(ping_many(&p, SIMNET_CLOG_DATAGRAMS + 5, SIM_DATAGRAM_BYTES), 0);
    link.is_clogged = false;
    sim_pair_link(&p, false, &link);
    nanos opened = simworld_now(p.sim);
    simworld_run(p.sim, NANOS_FOREVER);
    assert_int_equal(p.b.datagram_count, SIMNET_CLOG_DATAGRAMS);
    assert_true(arrived_in_order(&p.b));
    assert_true(p.b.times[0] >= opened + SIMNET_LATENCY);
    assert_int_equal(ping_many(&p, 10, SIM_DATAGRAM_BYTES), 10);
    /* Cut in place of clogged: what is held is lost. */
    link.is_clogged = true;
    sim_pair_link(&p, false, &link);
    assert_int_equal(ping_many(&p, 10, SIM_DATAGRAM_BYTES), 0);
    link.is_clogged = false;
    link.is_cut = true;
    sim_pair_link(&p, false, &link);
    link.is_cut = false;
    sim_pair_link(&p, false, &link);
    assert_int_equal(ping_many(&p, 10, SIM_DATAGRAM_BYTES), 10);
    sim_pair_deinit(&p);
}

static void a_limited_rate_spaces_datagrams_and_drops_what_would_wait_too_long(void **state)
{
    (void)state;
    struct sim_pair p;
    struct simnet_link link = {.latency = NANOS_PER_MS, .bytes_per_s = 100000};

    sim_pair_hosts(&p, 3);
    sim_pair_link(&p, false, &link);
    nanos began = simworld_now(p.sim);
    for (uint32_t i = 0; i < 100; i++) {
        sim_pair_ping(&p, i, 1000);
    }
    simworld_run(p.sim, NANOS_FOREVER);
    /* 10 ms each, while no more than half a second of them waits. */
    assert_int_equal(p.b.datagram_count, 51);
    for (size_t i = 0; i < 51; i++) {
        assert_int_equal(p.b.times[i], began + (1 + 10 * (i + 1)) * NANOS_PER_MS);
    }
    /* Without a limit nothing waits, nor behind what waited before once there is one again. */
    for (uint32_t i = 0; i < 10; i++) {
        sim_pair_ping(&p, i, 1000);
    }
    link.bytes_per_s = 0;
    sim_pair_link(&p, false, &link);
    nanos sent = simworld_now(p.sim);
    sim_pair_ping(&p, 100, 1000);
    link.bytes_per_s = 1000000;
    sim_pair_link(&p, false, &link);
    sim_pair_ping(&p, 101, 1000);
    simworld_run(p.sim, NANOS_FOREVER);
    assert_int_equal(p.b.numbers[51], 100);
    assert_int_equal(p.b.times[51], sent + NANOS_PER_MS);
    assert_int_equal(p.b.numbers[52], 101);
    assert_int_equal(p.b.times[52], sent + 2 * NANOS_PER_MS);
    sim_pair_deinit(&p);
}

static void a_black_hole_takes_large_datagrams_alone(void **state)
{
    (void)state;
    struct sim_pair p;
    struct simnet_link link = simnet_link_plain();

    sim_pair_hosts(&p, 3);
    link.large_loss_bytes = 500;
    sim_pair_link(&p, false, &link);
    assert_int_equal(ping_many(&p, 10, 501), 0);
    assert_int_equal(ping_many(&p, 10, 500), 10);
    link.large_loss_bytes = 0;
    sim_pair_link(&p, false, &link);
    assert_int_equal(ping_many(&p, 10, 501), 10);
    sim_pair_deinit(&p);
}

/* When the pings of one run arrive at b, as a hash. `noise`: other traffic, and other hosts. */
static uint64_t fate_of_pings(bool noise)
{
    struct sim_pair p;
    struct simnet_link link = {.latency = NANOS_PER_US, .spread = NANOS_PER_MS, .loss_ppm = 100000};
    uint64_t fate = 0;

    sim_pair_hosts(&p, 5);
    sim_pair_link(&p, false, &link);
    const struct world *b = simhost_world(p.b.host);
    struct simhost *c = noise ? simhost_new(p.sim, "c", 0) : NULL;
    for (uint32_t i = 0; i < 100; i++) {
        const struct world_endpoint to[] = {{"a", 1}, {"c", 1}};
        for (size_t k = 0; k < COUNT_OF(to) && noise; k++) {
            b->net->datagram_send(b->self, 1, &to[k], (struct bytes){(const uint8_t *)"x", 1});
        }
        sim_pair_ping(&p, i, SIM_DATAGRAM_BYTES);
        sim_pair_run(&p, 2 * NANOS_PER_MS);
    }
    assert_int_equal(c != NULL, noise);
    for (size_t i = 0; i < p.b.datagram_count; i++) {
        fate = fate * 31 + p.b.times[i] + p.b.numbers[i];
    }
    sim_pair_deinit(&p);
    return fate;
}

static void traffic_on_one_link_does_not_change_the_luck_of_another(void **state)
{
    (void)state;
    assert_int_equal(fate_of_pings(false), fate_of_pings(true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_link_delivers_all_within_its_latency),
        cmocka_unit_test(lost_are_as_many_as_the_link_loses),
        cmocka_unit_test(doubled_datagrams_arrive_twice),
        cmocka_unit_test(late_datagrams_arrive_minutes_later_and_out_of_order),
        cmocka_unit_test(a_late_datagram_reaches_the_process_that_is_there_by_then),
        cmocka_unit_test(a_heavy_tail_delays_a_few),
        cmocka_unit_test(a_cut_one_way_leaves_the_other),
        cmocka_unit_test(a_clogged_link_holds_what_fits_and_flushes_it_in_order),
        cmocka_unit_test(a_limited_rate_spaces_datagrams_and_drops_what_would_wait_too_long),
        cmocka_unit_test(a_black_hole_takes_large_datagrams_alone),
        cmocka_unit_test(traffic_on_one_link_does_not_change_the_luck_of_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
