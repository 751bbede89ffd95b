/* Our detector: what it expects, and where it spends its margin. */
#include "core/monitoring/health/detector.h"

#include "tests/support/test.h"

#define MS       NANOS_PER_MS
#define INTERVAL (100 * MS)

static struct detector own_watcher(nanos margin)
{
    struct detector_config config = detector_config_of(DETECTOR_NOVACRON, INTERVAL);
    struct detector d;

    config.margin = margin;
    detector_init(&d, &config, 0);
    return d;
}

/* Number i leaves at i intervals, and arrives `delay` later. */
static void arrives_with(struct detector *d, uint64_t i, nanos delay)
{
    (void)detector_heartbeat(d, i, i * INTERVAL + delay);
    detector_check(d);
}

static void assert_between(nanos value, nanos low, nanos high)
{
    if (value < low || value > high) {
        fail_msg("%llu is not in [%llu, %llu]", (unsigned long long)value, (unsigned long long)low,
                 (unsigned long long)high);
    }
}

/* Delays of 10 or 30 ms by the toss of a coin: the last one says nothing of the next. */
static void independent_delays_leave_the_mean(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    struct detector d = own_watcher(400 * MS);
    for (uint64_t i = 1; i <= 5000; i++) {
        arrives_with(&d, i, prng_chance(&prng, 1, 2) ? 10 * MS : 30 * MS);
    }
    nanos due = 5001 * INTERVAL + 400 * MS;
    assert_between(detector_deadline(&d), due + 17 * MS, due + 23 * MS);
}

/* A path that changes every 500 heartbeats: the last one says it all. */
static void persistent_delays_are_followed(void **state)
{
    (void)state;
    struct detector d = own_watcher(400 * MS);
    for (uint64_t i = 1; i <= 5010; i++) {
        arrives_with(&d, i, i / 500 % 2 == 0 ? 10 * MS : 60 * MS);
    }
    nanos due = 5011 * INTERVAL + 400 * MS;
    assert_between(detector_deadline(&d), due + 9 * MS, due + 12 * MS);
}

/* A sender's clock that is 500 ppm slow: by half a window's worth the mean is behind, and the
 * scatter of single arrivals is not to be followed for that. */
static void drifting_senders_are_expected_where_they_are(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    struct detector d = own_watcher(400 * MS);
    const nanos drift = INTERVAL / 2000;
    for (uint64_t i = 1; i <= 10000; i++) {
        arrives_with(&d, i, i * drift + (prng_chance(&prng, 1, 2) ? 10 * MS : 30 * MS));
    }
    nanos due = 10001 * (INTERVAL + drift) + 400 * MS;
    assert_between(detector_deadline(&d), due + 16 * MS, due + 24 * MS);
}

/* The mean of the margins that were given, over heartbeats of a lossy network. */
static void margin_is_what_was_configured_on_average(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    const nanos margins[] = {50 * MS, 80 * MS, 150 * MS, 300 * MS};
    for (size_t m = 0; m < COUNT_OF(margins); m++) {
        struct detector d = own_watcher(margins[m]);
        double sum = 0;
        uint64_t count = 0;

        for (uint64_t i = 1; i <= 30000; i++) {
            uint64_t loss = i / 2000 % 2 == 0 ? 1 : 20; /* per cent */
            if (prng_below(&prng, 100) < loss) {
                continue;
            }
            arrives_with(&d, i, 5 * MS + prng_below(&prng, 4 * MS));
            if (i > 10000) {
                sum += detector_patience_margin(&d.memory.own.patience);
                count++;
            }
        }
        double mean = sum / (double)count / (double)margins[m];
        if (!(mean > 0.85 && mean < 1.15)) {
            fail_msg("%g of the margin was spent", mean);
        }
    }
}

/* A bad minute after each good one: mistakes of ours and of two windows, with one margin. */
static void margin_goes_where_heartbeats_are_lost(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    struct detector own = own_watcher(80 * MS);
    struct detector_config config = detector_config_of(DETECTOR_TWO_WINDOW, INTERVAL);
    struct detector two;
    config.margin = 80 * MS;
    detector_init(&two, &config, 0);
    double calm = 0;
    double rough = 0;
    for (uint64_t i = 1; i <= 60000; i++) {
        bool is_rough = i / 600 % 2 == 1;
        if (is_rough && prng_chance(&prng, 1, 10)) {
            continue;
        }
        nanos delay = 5 * MS + prng_below(&prng, is_rough ? 60 * MS : 2 * MS);
        arrives_with(&own, i, delay);
        arrives_with(&two, i, delay);
        if (i % 600 > 100) {
            *(is_rough ? &rough : &calm) += detector_patience_margin(&own.memory.own.patience);
        }
    }
    assert_true(rough > 1.5 * calm);
    assert_true(two.counts.mistakes > 1500);
    assert_true(own.counts.mistakes * 3 < two.counts.mistakes * 2);
}

/* Beyond what was ever needed there is nothing to divide by: all states wait alike. */
static void generous_margin_is_a_constant_one(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    struct detector d = own_watcher(3 * INTERVAL);
    for (uint64_t i = 1; i <= 20000; i++) {
        arrives_with(&d, i, 5 * MS + prng_below(&prng, i / 1000 % 2 == 0 ? 40 * MS : MS));
        double margin = detector_patience_margin(&d.memory.own.patience);
        assert_true(margin > 0.9 * 300e6 && margin < 1.2 * 300e6);
    }
}

/* Whatever the network does, nobody waits for more than four averages on top of what is expected,
 * and what is left over. */
static void patience_is_bounded(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    struct detector d = own_watcher(INTERVAL / 2);
    for (uint64_t i = 1; i <= 60000; i++) {
        if (i / 3000 % 4 == 3 && !prng_chance(&prng, 1, 5)) {
            continue;
        }
        arrives_with(&d, i, prng_below(&prng, 3 * MS));
        double margin = detector_patience_margin(&d.memory.own.patience);
        assert_true(margin >= 0 && margin <= 5.0 * 50e6);
    }
}

/* Scenario 5, seen from the others: stopped for an hour, then it goes on where it was. Its schedule
 * has moved by an hour, and it is not suspected for that any longer. */
static void sender_that_was_stopped_is_followed_at_once(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    struct detector d = own_watcher(2 * INTERVAL);
    for (uint64_t i = 1; i <= 3000; i++) {
        arrives_with(&d, i, prng_below(&prng, 10 * MS));
    }
    assert_true(detector_suspects(&d, 3003 * INTERVAL + 10 * MS));
    for (uint64_t i = 3001; i <= 6000; i++) {
        arrives_with(&d, i, prng_below(&prng, 10 * MS) + 3600 * NANOS_PER_S);
    }
    assert_true(d.counts.mistakes == 1);
    nanos due = 6001 * INTERVAL + 3600 * NANOS_PER_S + 2 * INTERVAL;
    assert_between(detector_deadline(&d), due + 3 * MS, due + 10 * MS);
}

/* After a stall what was stuck arrives in a bunch: one mistake, and not one for each of them. */
static void bunch_after_a_stall_is_one_mistake(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    struct detector d = own_watcher(INTERVAL);
    uint64_t stalls = 0;
    for (uint64_t i = 1; i <= 20000; i++) {
        bool is_stuck = i % 1000 >= 990 && i > 1000;
        nanos freed = (i / 1000 * 1000 + 998) * INTERVAL;
        nanos delay = prng_below(&prng, 10 * MS);

        if (is_stuck && freed > i * INTERVAL) {
            delay = freed - i * INTERVAL + 5 * MS;
        }
        stalls += i % 1000 == 990 && i > 1000;
        arrives_with(&d, i, delay);
    }
    assert_true(d.counts.mistakes >= stalls && d.counts.mistakes <= stalls + 2);
}

/* A sender that stands still for less than the margin goes on from there: its schedule has moved,
 * and the next heartbeat is not expected where it would have been. */
static void sender_that_stood_still_is_not_expected_on_its_old_schedule(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    const nanos pauses[] = {120 * MS, 190 * MS, 240 * MS};
    for (size_t p = 0; p < COUNT_OF(pauses); p++) {
        struct detector d = own_watcher(200 * MS);
        for (uint64_t i = 1; i <= 3000; i++) {
            arrives_with(&d, i, prng_below(&prng, 2 * MS));
        }
        for (uint64_t i = 3001; i <= 3100; i++) {
            arrives_with(&d, i, pauses[p] + prng_below(&prng, 2 * MS));
        }
        assert_int_equal(d.counts.mistakes, pauses[p] > 200 * MS);
    }
}

/* Where heartbeats are lost and the margin is small, one that fills a gap comes when it is due: it
 * is no reason to wait longer for the next, and that time is missing elsewhere. */
static void losses_are_no_reason_for_caution(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    struct detector d = own_watcher(10 * MS);
    for (uint64_t i = 1; i <= 20000; i++) {
        if (prng_chance(&prng, 1, 5)) {
            continue;
        }
        arrives_with(&d, i, prng_below(&prng, 20 * MS));
        if (i > 2000) {
            assert_int_equal(d.memory.own.caution, 0);
        }
    }
}

/* One heartbeat in thirty takes a route that is longer by two intervals, and those after it do not:
 * that is how delays are here, and no reason to wait for the next one. */
static void caution_in_vain_is_given_up(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    struct detector d = own_watcher(400 * MS);
    uint64_t cautious = 0;
    for (uint64_t i = 1; i <= 20000; i++) {
        arrives_with(&d, i, prng_below(&prng, 4 * MS) + (i % 30 == 0 ? 180 * MS : 0));
        cautious += i > 5000 && d.memory.own.caution > 0;
    }
    /* Three after each would be 1500. */
    assert_true(cautious < 500);
}

/* A sender that stands still again and again goes on from there, so that no wait was in vain: after
 * each time the next three are waited for, however often. */
static void caution_that_is_right_is_kept(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    struct detector d = own_watcher(400 * MS);
    const uint64_t every = 400;
    for (uint64_t i = 1; i <= 40000; i++) {
        nanos stood = i / every * 390 * MS + i / (4 * every) * 60 * NANOS_PER_S;
        arrives_with(&d, i, stood + prng_below(&prng, 40 * MS));
        if (i > 4000 && i % every < 3) {
            assert_true(d.memory.own.caution > 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(independent_delays_leave_the_mean),
        cmocka_unit_test(persistent_delays_are_followed),
        cmocka_unit_test(drifting_senders_are_expected_where_they_are),
        cmocka_unit_test(margin_is_what_was_configured_on_average),
        cmocka_unit_test(margin_goes_where_heartbeats_are_lost),
        cmocka_unit_test(generous_margin_is_a_constant_one),
        cmocka_unit_test(patience_is_bounded),
        cmocka_unit_test(sender_that_was_stopped_is_followed_at_once),
        cmocka_unit_test(bunch_after_a_stall_is_one_mistake),
        cmocka_unit_test(sender_that_stood_still_is_not_expected_on_its_old_schedule),
        cmocka_unit_test(losses_are_no_reason_for_caution),
        cmocka_unit_test(caution_in_vain_is_given_up),
        cmocka_unit_test(caution_that_is_right_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
