#include "core/chaos/detect/labqos.h"

#include <math.h>

#include "core/base/mem.h"
#include "tests/support/test.h"

#define BEATS 4000

static struct labtrace make(enum labtrace_kind kind, nanos interval, uint64_t seed)
{
    struct labtrace t;
    labtrace_make(&t, &(struct labtrace_options){kind, interval, BEATS, seed, NULL});
    return t;
}

static void traces_are_in_order_and_repeat(void **state)
{
    (void)state;
    for (int kind = 0; kind < LABTRACE_MEASURED; kind++) {
        struct labtrace a = make((enum labtrace_kind)kind, 100 * NANOS_PER_MS, 1);
        struct labtrace b = make((enum labtrace_kind)kind, 100 * NANOS_PER_MS, 1);
        struct labtrace c = make((enum labtrace_kind)kind, 100 * NANOS_PER_MS, 2);
        assert_int_equal(a.arrival_count, b.arrival_count);
        bool differs = a.arrival_count != c.arrival_count;
        for (uint32_t i = 0; i < a.arrival_count; i++) {
            assert_int_equal(a.arrivals[i].at, b.arrivals[i].at);
            assert_int_equal(a.arrivals[i].number, b.arrivals[i].number);
            assert_true(i == 0 || a.arrivals[i].at >= a.arrivals[i - 1].at);
            assert_true(a.arrivals[i].at > a.sent[a.arrivals[i].number]);
            differs = differs || a.arrivals[i].at != c.arrivals[i].at;
        }
        assert_true(differs);
        for (uint32_t i = 1; i < BEATS; i++) {
            assert_true(a.sent[i] >= a.sent[i - 1]);
        }
        labtrace_free(&a);
        labtrace_free(&b);
        labtrace_free(&c);
    }
}

static void traces_lose_what_they_say(void **state)
{
    (void)state;
    struct labtrace loss = make(LABTRACE_LOSS, 100 * NANOS_PER_MS, 1);
    assert_in_range(loss.arrival_count, BEATS * 87 / 100, BEATS * 93 / 100);
    labtrace_free(&loss);
    struct labtrace normal = make(LABTRACE_NORMAL, 100 * NANOS_PER_MS, 1);
    assert_in_range(normal.arrival_count, BEATS - 15, BEATS);
    labtrace_free(&normal);
    struct labtrace bursts = make(LABTRACE_BURSTS, 100 * NANOS_PER_MS, 1);
    assert_in_range(bursts.arrival_count, BEATS / 2, BEATS - 1);
    labtrace_free(&bursts);
}

/* Ten heartbeats a second, each 10 ms under way; those in `lost` never arrive. */
static struct labtrace plain_trace(const uint32_t *lost, size_t lost_count)
{
    struct labtrace t = {.interval = 100 * NANOS_PER_MS, .beats = 1000};
    t.sent = mem_alloc(t.beats * sizeof *t.sent);
    t.arrivals = mem_alloc(t.beats * sizeof *t.arrivals);
    for (uint32_t i = 0; i < t.beats; i++) {
        bool is_lost = false;
        for (size_t k = 0; k < lost_count; k++) {
            is_lost = is_lost || lost[k] == i;
        }
        t.sent[i] = NANOS_PER_S + i * t.interval;
        if (!is_lost) {
            t.arrivals[t.arrival_count++] =
                (struct labtrace_arrival){t.sent[i] + 10 * NANOS_PER_MS, i};
        }
    }
    return t;
}

static struct labqos measure_timeout(const struct labtrace *t, nanos margin)
{
    struct detector_config config = detector_config_of(DETECTOR_TIMEOUT, t->interval);
    struct labqos q;
    config.margin = margin;
    labqos_measure(t, &config, 100, 1, &q);
    return q;
}

/* From the crash, which is anywhere in the interval, to the end of the silence allowed after the
 * last arrival: 10 ms + margin - 50 ms in the mean. */
static void detection_time_is_counted_from_the_crash(void **state)
{
    (void)state;
    struct labtrace t = plain_trace(NULL, 0);
    struct labqos q = measure_timeout(&t, 250 * NANOS_PER_MS);
    assert_true(q.mistakes <= 0);
    assert_true(labqos_accuracy(&q) >= 1);
    assert_true(fabs(q.detection_mean_s - 0.21) < 0.003);
    assert_true(q.detection_max_s <= 0.26 && q.detection_max_s > 0.255);
    assert_true(fabs(q.seconds - 89.9) < 0.2);
    labtrace_free(&t);
}

static void each_silence_that_is_too_long_is_one_mistake(void **state)
{
    (void)state;
    static const uint32_t lost[] = {300, 500, 501, 502};
    struct labtrace t = plain_trace(lost, COUNT_OF(lost));
    struct labqos q = measure_timeout(&t, 250 * NANOS_PER_MS);
    assert_true(fabs(q.mistakes - 1) < 1e-9); /* 300 alone is covered */
    assert_true(fabs(labqos_mistake_length(&q) - 0.15) < 1e-9);
    assert_true(fabs(labqos_mistake_rate(&q) * q.seconds - 1) < 1e-9);
    q = measure_timeout(&t, 150 * NANOS_PER_MS);
    assert_true(fabs(q.mistakes - 2) < 1e-9);
    assert_true(fabs(q.mistake_s - (0.05 + 0.25)) < 1e-9);
    labtrace_free(&t);
}

/* Chen's detector believes in its schedule: where the route becomes a second longer, each heartbeat
 * comes too late to be trusted, and the mistake goes on. */
static void a_heartbeat_that_does_not_restore_trust_is_no_new_mistake(void **state)
{
    (void)state;
    struct labtrace t = plain_trace(NULL, 0);
    struct detector_config config = detector_config_of(DETECTOR_CHEN, t.interval);
    struct labqos q;
    for (uint32_t i = 500; i < t.arrival_count; i++) {
        t.arrivals[i].at += NANOS_PER_S;
    }
    config.margin = 100 * NANOS_PER_MS;
    labqos_measure(&t, &config, 100, 1, &q);
    assert_true(fabs(q.mistakes - 1) < 1e-9);
    assert_true(q.mistake_s > 40);
    labtrace_free(&t);
}

/* The laboratory can fail a detector: one that allows less than an interval is wrong each time. */
static void a_broken_detector_scores_badly(void **state)
{
    (void)state;
    struct labtrace t = plain_trace(NULL, 0);
    struct labqos q = measure_timeout(&t, 60 * NANOS_PER_MS);
    assert_true(fabs(labqos_mistake_rate(&q) - 10) < 0.1);
    assert_true(fabs(labqos_accuracy(&q) - 0.6) < 0.01);
    labtrace_free(&t);
}

static void each_kind_is_tuned_to_the_time_that_is_asked_for(void **state)
{
    (void)state;
    struct labtrace t = make(LABTRACE_EXPONENTIAL, 100 * NANOS_PER_MS, 1);
    for (int kind = 0; kind < DETECTOR_KINDS; kind++) {
        struct labqos q;
        assert_true(labqos_measure_at(&t, (enum detector_kind)kind, 1000, 1, 0.8, &q));
        assert_true(fabs(q.detection_mean_s / 0.8 - 1) < 2 * LABQOS_TUNED);
        assert_false(labqos_measure_at(&t, (enum detector_kind)kind, 1000, 1, 0.001, &q));
    }
    labtrace_free(&t);
}

static void who_waits_longer_errs_less(void **state)
{
    (void)state;
    struct labtrace t = make(LABTRACE_LOSS, 100 * NANOS_PER_MS, 1);
    for (int kind = 0; kind < DETECTOR_KINDS; kind++) {
        struct labqos swift;
        struct labqos slow;
        if (labqos_measure_at(&t, (enum detector_kind)kind, 1000, 1, 0.2, &swift)) {
            assert_true(labqos_measure_at(&t, (enum detector_kind)kind, 1000, 1, 0.5, &slow));
            assert_true(slow.mistakes < swift.mistakes);
        }
    }
    labtrace_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(traces_are_in_order_and_repeat),
        cmocka_unit_test(traces_lose_what_they_say),
        cmocka_unit_test(detection_time_is_counted_from_the_crash),
        cmocka_unit_test(each_silence_that_is_too_long_is_one_mistake),
        cmocka_unit_test(a_heartbeat_that_does_not_restore_trust_is_no_new_mistake),
        cmocka_unit_test(a_broken_detector_scores_badly),
        cmocka_unit_test(each_kind_is_tuned_to_the_time_that_is_asked_for),
        cmocka_unit_test(who_waits_longer_errs_less),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
