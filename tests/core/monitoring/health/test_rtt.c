#include "core/monitoring/health/rtt.h"

#include "tests/support/test.h"

#define MS NANOS_PER_MS

static struct rtt rtt_with_min(nanos min)
{
    struct rtt_config config = rtt_config_of(min);
    struct rtt r;

    rtt_init(&r, &config);
    return r;
}

/* RFC 6298 (2.1) to (2.3), by hand: R = 100, then 200, then 100 ms. */
static void follows_the_rfc_step_by_step(void **state)
{
    (void)state;
    struct rtt r = rtt_with_min(MS);
    assert_true(rtt_timeout(&r) == NANOS_PER_S);
    rtt_sample(&r, 100 * MS, 1);
    assert_true(rtt_timeout(&r) == 300 * MS); /* 100 + 4 * 50 */
    rtt_sample(&r, 200 * MS, 1);
    /* rttvar = 3/4 * 50 + 1/4 * |100 - 200| = 62.5; srtt = 7/8 * 100 + 1/8 * 200 = 112.5 */
    assert_true(rtt_timeout(&r) == 362500 * NANOS_PER_US);
    rtt_sample(&r, 100 * MS, 1);
    /* rttvar = 46.875 + 3.125 = 50; srtt = 98.4375 + 12.5 = 110.9375 */
    assert_true(rtt_timeout(&r) == 310937500);
}

static void stays_within_its_bounds(void **state)
{
    (void)state;
    struct rtt r = rtt_with_min(20 * MS);
    for (int i = 0; i < 100; i++) {
        rtt_sample(&r, 10 * NANOS_PER_US, 1);
    }
    assert_true(rtt_timeout(&r) == 20 * MS);
    for (int i = 0; i < 100; i++) {
        rtt_sample(&r, NANOS_FOREVER, 1);
        rtt_check(&r);
    }
    assert_true(rtt_timeout(&r) == 60 * NANOS_PER_S);
}

/* A deviation of nothing leaves the granularity of the timers. */
static void waits_for_a_tick_of_the_timer_at_least(void **state)
{
    (void)state;
    struct rtt r = rtt_with_min(1);
    for (int i = 0; i < 200; i++) {
        rtt_sample(&r, 5 * MS, 1);
    }
    nanos timeout = rtt_timeout(&r);
    assert_true(timeout >= 6 * MS && timeout < 6 * MS + 10);
}

/* Karn: what answers a request that was repeated is no sample, and the doubled timeout stays. */
static void answers_to_repeated_requests_are_no_samples(void **state)
{
    (void)state;
    struct rtt r = rtt_with_min(MS);
    rtt_sample(&r, 100 * MS, 1);
    rtt_timed_out(&r);
    rtt_timed_out(&r);
    assert_true(rtt_timeout(&r) == 1200 * MS);
    rtt_sample(&r, MS, 3);
    assert_true(rtt_timeout(&r) == 1200 * MS);
    rtt_sample(&r, 100 * MS, 1);
    assert_true(rtt_timeout(&r) < 300 * MS);
}

static void backoff_ends_at_the_maximum(void **state)
{
    (void)state;
    struct rtt r = rtt_with_min(MS);
    nanos before = 0;
    for (int i = 0; i < 1000; i++) {
        rtt_timed_out(&r);
        rtt_check(&r);
        assert_true(rtt_timeout(&r) >= before);
        before = rtt_timeout(&r);
    }
    assert_true(before == 60 * NANOS_PER_S);
}

/* A peer that has become ten times slower than its timeout is measured after a few time-outs. */
static void slower_peer_is_learned_through_backoff(void **state)
{
    (void)state;
    struct rtt r = rtt_with_min(MS);
    for (int i = 0; i < 50; i++) {
        rtt_sample(&r, 10 * MS, 1);
    }
    int timeouts = 0;
    for (int i = 0; i < 50; i++) {
        if (rtt_timeout(&r) > 200 * MS) {
            rtt_sample(&r, 200 * MS, 1);
        } else {
            rtt_timed_out(&r);
            timeouts++;
        }
    }
    assert_true(timeouts > 0 && timeouts < 15);
    assert_true(rtt_timeout(&r) > 200 * MS && rtt_timeout(&r) < 500 * MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_the_rfc_step_by_step),
        cmocka_unit_test(stays_within_its_bounds),
        cmocka_unit_test(waits_for_a_tick_of_the_timer_at_least),
        cmocka_unit_test(answers_to_repeated_requests_are_no_samples),
        cmocka_unit_test(backoff_ends_at_the_maximum),
        cmocka_unit_test(slower_peer_is_learned_through_backoff),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
