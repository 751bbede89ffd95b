/* The detectors that know the schedule, against arithmetic done by hand. */
#include "core/monitoring/health/detector.h"

#include "tests/support/test.h"

#define MS NANOS_PER_MS

/* Heartbeat i, i = 1.., leaves at i * 100 ms and arrives `delay` later. */
static void arrives_after(struct detector *d, uint64_t i, nanos delay)
{
    (void)detector_heartbeat(d, i, i * 100 * MS + delay);
    detector_check(d);
}

static struct detector schedule_watcher(enum detector_kind kind, nanos margin, uint32_t window)
{
    struct detector_config config = detector_config_of(kind, 100 * MS);
    struct detector d;

    config.margin = margin;
    config.window = window;
    detector_init(&d, &config, 0);
    return d;
}

static void timeout_counts_from_the_last_heartbeat(void **state)
{
    (void)state;
    struct detector d = schedule_watcher(DETECTOR_TIMEOUT, 350 * MS, 10);
    arrives_after(&d, 1, 5 * MS);
    assert_true(detector_deadline(&d) == 455 * MS);
    arrives_after(&d, 3, 40 * MS);
    assert_true(detector_deadline(&d) == 690 * MS);
}

/* Delays 10, 20, 30: their mean is 20, so number 4 is expected at 420. */
static void chen_expects_the_mean_of_the_window(void **state)
{
    (void)state;
    struct detector d = schedule_watcher(DETECTOR_CHEN, 50 * MS, 3);
    arrives_after(&d, 1, 10 * MS);
    assert_true(detector_deadline(&d) == 260 * MS);
    arrives_after(&d, 2, 20 * MS);
    assert_true(detector_deadline(&d) == 365 * MS);
    arrives_after(&d, 3, 30 * MS);
    assert_true(detector_deadline(&d) == 470 * MS);
    arrives_after(&d, 4, 40 * MS); /* the window now holds 20, 30, 40 */
    assert_true(detector_deadline(&d) == 580 * MS);
}

/* A number that is missing moves nothing: 1, 2 and 5 with one delay, and 6 is due at 610. */
static void chen_does_not_take_loss_for_delay(void **state)
{
    (void)state;
    struct detector d = schedule_watcher(DETECTOR_CHEN, 50 * MS, 100);
    arrives_after(&d, 1, 10 * MS);
    arrives_after(&d, 2, 10 * MS);
    arrives_after(&d, 5, 10 * MS);
    assert_true(detector_deadline(&d) == 660 * MS);
    assert_true(d.counts.missing == 2);
}

/* Trust iff a heartbeat of the running freshness period has come: an older one does not count. */
static void chen_trusts_by_freshness_points(void **state)
{
    (void)state;
    struct detector d = schedule_watcher(DETECTOR_CHEN, 50 * MS, 100);
    for (uint64_t i = 1; i <= 100; i++) {
        arrives_after(&d, i, 10 * MS);
    }
    /* Number 101 comes 120 ms late, after the freshness point of 102 has gone by: trusted no
     * sooner than by 102. */
    nanos due = detector_deadline(&d);
    assert_true(due == 10160 * MS);
    (void)detector_heartbeat(&d, 101, 10100 * MS + 165 * MS);
    assert_true(detector_suspects(&d, 10265 * MS));
    (void)detector_heartbeat(&d, 102, 10266 * MS);
    assert_false(detector_suspects(&d, 10267 * MS));
}

/* error = A - EA - delay, the first of 20 ms: delay 2, deviation 2, and the margin 2 + 4 * 2. */
static void bertier_follows_its_errors(void **state)
{
    (void)state;
    struct detector d = schedule_watcher(DETECTOR_BERTIER, 0, 1000);
    arrives_after(&d, 1, 10 * MS);
    assert_true(detector_deadline(&d) == 210 * MS);
    arrives_after(&d, 2, 30 * MS);
    /* The mean of the delays is 20: EA(3) = 320, and the margin 10. */
    nanos deadline = detector_deadline(&d);
    assert_true(deadline >= 330 * MS - 2 && deadline <= 330 * MS + 2);
    /* error = 350 - 320 - 2 = 28: delay 4.8, deviation 2 + 0.1 * (28 - 2) = 4.6; EA(4) = 430. */
    arrives_after(&d, 3, 50 * MS);
    deadline = detector_deadline(&d);
    assert_true(deadline >= 453200 * NANOS_PER_US - 2 && deadline <= 453200 * NANOS_PER_US + 2);
}

/* The long window remembers 10 ms, the last arrival was 60 ms late: the later of both. */
static void two_windows_take_the_later_expectation(void **state)
{
    (void)state;
    struct detector d = schedule_watcher(DETECTOR_TWO_WINDOW, 50 * MS, 1000);
    for (uint64_t i = 1; i <= 99; i++) {
        arrives_after(&d, i, 10 * MS);
    }
    arrives_after(&d, 100, 60 * MS);
    assert_true(detector_deadline(&d) == (10100 + 60 + 50) * MS);
    arrives_after(&d, 101, 5 * MS); /* mean 10.445 */
    assert_true(detector_deadline(&d) > (10200 + 60) * MS);
    assert_true(detector_deadline(&d) < (10200 + 61) * MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timeout_counts_from_the_last_heartbeat),
        cmocka_unit_test(chen_expects_the_mean_of_the_window),
        cmocka_unit_test(chen_does_not_take_loss_for_delay),
        cmocka_unit_test(chen_trusts_by_freshness_points),
        cmocka_unit_test(bertier_follows_its_errors),
        cmocka_unit_test(two_windows_take_the_later_expectation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
