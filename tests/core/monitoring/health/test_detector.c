/* What holds for every kind of detector, whatever its rule. */
#include "core/monitoring/health/detector.h"

#include "core/base/hash.h"
#include "tests/support/test.h"

#include <string.h>

#define MS NANOS_PER_MS

static struct detector detector_of(enum detector_kind kind, nanos interval, nanos now)
{
    struct detector_config config = detector_config_of(kind, interval);
    struct detector d;

    assert_int_equal(detector_config_check(&config), OK);
    detector_init(&d, &config, now);
    return d;
}

/* n heartbeats, one an interval; returns when the last one came. */
static nanos beat_steadily(struct detector *d, uint64_t n, nanos now)
{
    for (uint64_t i = 0; i < n; i++) {
        now += d->config.interval;
        assert_int_equal(detector_heartbeat(d, d->sequence + 1, now), DETECTOR_FRESH);
        detector_check(d);
    }
    return now;
}

static bool is_finite_real(double x)
{
    return x - x < 1 && x - x > -1;
}

/* Level and phi over a growing silence: finite, never falling, and 1 exactly at the deadline. */
static void assert_sound_silence(const struct detector *d, nanos from)
{
    double level = 0;
    double phi = 0;

    for (nanos silence = 0; silence < 4 * 3600 * NANOS_PER_S; silence += 1 + silence / 16) {
        nanos now = from + silence;
        double now_level = detector_level(d, now);
        double now_phi = detector_phi(d, now);

        assert_true(is_finite_real(now_level) && is_finite_real(now_phi));
        assert_true(now_level >= level && now_phi >= phi);
        assert_true((now_level >= 1) == detector_suspects(d, now));
        assert_true((now >= detector_deadline(d)) == detector_suspects(d, now));
        level = now_level;
        phi = now_phi;
    }
    nanos deadline = detector_deadline(d);
    if (deadline > from) {
        assert_false(detector_suspects(d, deadline - 1));
        assert_true(detector_level(d, deadline - 1) < 1);
    }
    assert_true(detector_level(d, NANOS_FOREVER) >= 1);
    assert_true(is_finite_real(detector_level(d, NANOS_FOREVER)));
    assert_true(is_finite_real(detector_phi(d, NANOS_FOREVER)));
}

static void kinds_have_names(void **state)
{
    (void)state;
    for (enum detector_kind kind = 0; kind < DETECTOR_KINDS; kind++) {
        enum detector_kind found = DETECTOR_KINDS;

        assert_int_equal(detector_kind_find(detector_kind_name(kind), &found), OK);
        assert_int_equal(found, kind);
    }
    enum detector_kind untouched = DETECTOR_CHEN;
    assert_int_equal(detector_kind_find("phy", &untouched), ERR_NOT_FOUND);
    assert_int_equal(untouched, DETECTOR_CHEN);
}

static void rejects_configurations_out_of_bounds(void **state)
{
    (void)state;
    const struct detector_config good = detector_config_of(DETECTOR_PHI_NORMAL, 100 * MS);
    struct detector_config c = good;
    c.interval = 0;
    assert_int_equal(detector_config_check(&c), ERR_INVALID);
    c = good;
    c.margin = DETECTOR_SPAN_MAX + 1;
    assert_int_equal(detector_config_check(&c), ERR_INVALID);
    c = good;
    c.threshold = 0;
    assert_int_equal(detector_config_check(&c), ERR_INVALID);
    c.threshold = 0.0 / (c.threshold + 1e-320 - 1e-320 > 0 ? 1 : 1e-308 * 1e-308);
    assert_int_equal(detector_config_check(&c), ERR_INVALID); /* not a number */
    c = good;
    c.window = DETECTOR_WINDOW_MAX + 1;
    assert_int_equal(detector_config_check(&c), ERR_INVALID);
    c = good;
    c.window_short = c.window + 1;
    assert_int_equal(detector_config_check(&c), ERR_INVALID);
    c = good;
    c.deviation_min = 0;
    assert_int_equal(detector_config_check(&c), ERR_INVALID);
    c = good;
    c.kind = DETECTOR_KINDS;
    assert_int_equal(detector_config_check(&c), ERR_INVALID);
}

/* Scenario 17: 0 and 1 samples. */
static void suspects_who_never_came_after_the_grace(void **state)
{
    (void)state;
    for (enum detector_kind kind = 0; kind < DETECTOR_KINDS; kind++) {
        struct detector d = detector_of(kind, 100 * MS, 5000 * MS);

        detector_check(&d);
        assert_true(detector_deadline(&d) == 6000 * MS);
        assert_sound_silence(&d, 5000 * MS);
    }
}

static void one_heartbeat_is_enough_to_judge(void **state)
{
    (void)state;
    for (enum detector_kind kind = 0; kind < DETECTOR_KINDS; kind++) {
        struct detector d = detector_of(kind, 100 * MS, 0);
        nanos last = beat_steadily(&d, 1, 0);

        assert_true(detector_deadline(&d) > last + 100 * MS || kind == DETECTOR_BERTIER);
        assert_true(detector_deadline(&d) < last + 5000 * MS);
        assert_sound_silence(&d, last);
    }
}

/* Scenario 17: 1000 equal samples; the variance is 0, and not a little less. */
static void thousand_equal_gaps_leave_a_deviation(void **state)
{
    (void)state;
    for (enum detector_kind kind = 0; kind < DETECTOR_KINDS; kind++) {
        struct detector d = detector_of(kind, 100 * MS + 1, 0);
        nanos last = beat_steadily(&d, 3000, 0);

        assert_sound_silence(&d, last);
        assert_true(d.counts.fresh == 3000 && d.counts.missing == 0);
    }
}

/* Scenario 17: a gap of an hour, and a gap of nothing. */
static void gap_of_an_hour_does_not_poison(void **state)
{
    (void)state;
    for (enum detector_kind kind = 0; kind < DETECTOR_KINDS; kind++) {
        struct detector d = detector_of(kind, 100 * MS, 0);
        nanos last = beat_steadily(&d, 1000, 0);
        /* The network was cut: the peer went on counting. */
        last += 3600 * NANOS_PER_S;
        assert_true(detector_suspects(&d, last));
        assert_int_equal(detector_heartbeat(&d, d.sequence + 36000, last), DETECTOR_FRESH);
        assert_true(d.counts.mistakes >= 1 && d.counts.missing == 35999);
        last = beat_steadily(&d, 20, last);
        assert_sound_silence(&d, last);
        assert_true(detector_deadline(&d) < last + 5000 * MS);
        /* All at once. */
        for (int i = 0; i < 50; i++) {
            (void)detector_heartbeat(&d, d.sequence + 1, last);
            detector_check(&d);
        }
        assert_sound_silence(&d, last);
    }
}

/* Scenario 17: the clock runs backwards. */
static void clock_that_runs_backwards_is_harmless(void **state)
{
    (void)state;
    for (enum detector_kind kind = 0; kind < DETECTOR_KINDS; kind++) {
        struct detector d = detector_of(kind, 100 * MS, 10000 * MS);
        nanos last = beat_steadily(&d, 100, 10000 * MS);
        nanos deadline = detector_deadline(&d);

        assert_int_equal(detector_heartbeat(&d, d.sequence + 1, 3), DETECTOR_FRESH);
        detector_check(&d);
        assert_true(d.arrived == last);
        assert_true(detector_level(&d, 0) <= detector_level(&d, last));
        assert_false(detector_suspects(&d, 0) && kind != DETECTOR_BERTIER);
        assert_true(detector_deadline(&d) <= deadline + 200 * MS);
        assert_sound_silence(&d, last);
    }
}

/* Scenario 9, as far as a detector sees it. */
static void duplicates_and_old_ones_teach_nothing(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    for (enum detector_kind kind = 0; kind < DETECTOR_KINDS; kind++) {
        struct detector d = detector_of(kind, 100 * MS, 0);
        nanos now = beat_steadily(&d, 200, 0);

        (void)detector_heartbeat(&d, d.sequence + 3, now + 300 * MS);
        assert_true(d.counts.missing == 2);
        struct detector before = d;
        assert_int_equal(detector_heartbeat(&d, d.sequence - 1, now + 310 * MS), DETECTOR_LATE);
        assert_true(d.counts.missing == 1 && d.counts.late == 1);
        for (size_t i = 0; i < 1000; i++) {
            uint64_t age = prng_below(&prng, 200);
            if (age == 2) { /* the one that is still missing */
                continue;
            }
            assert_int_equal(detector_heartbeat(&d, d.sequence - age, now + 350 * MS),
                             DETECTOR_DUPLICATE);
        }
        detector_check(&d);
        assert_true(detector_deadline(&d) == detector_deadline(&before));
        assert_memory_equal(&d.memory, &before.memory, sizeof d.memory);
        assert_true(detector_phi(&d, now + 700 * MS) >= detector_phi(&before, now + 700 * MS));
        assert_true(detector_phi(&d, now + 700 * MS) <= detector_phi(&before, now + 700 * MS));
    }
}

/* A number that nothing explains begins the estimates anew; none is beyond the arithmetic. */
static void numbers_out_of_any_order_are_survived(void **state)
{
    (void)state;
    const uint64_t steps[] = {1, 63, 64, 65, 1 << 20, (1 << 20) + 1, UINT64_MAX >> 1};
    for (enum detector_kind kind = 0; kind < DETECTOR_KINDS; kind++) {
        struct detector d = detector_of(kind, DETECTOR_SPAN_MAX, 0);
        nanos now = 0;

        for (size_t i = 0; i < COUNT_OF(steps); i++) {
            now += NANOS_PER_MS;
            (void)detector_heartbeat(&d, d.sequence + steps[i], now);
            detector_check(&d);
            now += UINT64_C(1) << 58;
            (void)detector_heartbeat(&d, d.sequence + 1, now);
            detector_check(&d);
        }
        assert_int_equal(detector_heartbeat(&d, UINT64_MAX, now), DETECTOR_FRESH);
        assert_int_equal(detector_heartbeat(&d, 0, now), DETECTOR_DUPLICATE);
        detector_check(&d);
        assert_sound_silence(&d, now);
        /* A jump of two million numbers is no loss, and no proof of having been early. */
        d = detector_of(kind, MS, 0);
        now = beat_steadily(&d, 100, 0);
        (void)detector_heartbeat(&d, d.sequence + (1 << 21), now + MS);
        assert_true(d.offset == 0 && d.counts.missing == 0);
        assert_true(detector_deadline(&d) <= now + 30 * MS);
    }
}

/* Scenario 5, as a detector sees it: nobody is judged by what happened while nobody listened. */
static void excused_silence_is_not_the_peers(void **state)
{
    (void)state;
    for (enum detector_kind kind = 0; kind < DETECTOR_KINDS; kind++) {
        struct detector d = detector_of(kind, 100 * MS, 0);
        nanos now = beat_steadily(&d, 500, 0);
        struct detector before = d;
        nanos usual = detector_deadline(&d) - now;
        nanos resumed = now + 30000 * MS;

        assert_true(detector_suspects(&d, resumed));
        detector_excuse(&d, resumed + 200 * MS);
        detector_check(&d);
        assert_false(detector_suspects(&d, resumed + 299 * MS));
        assert_sound_silence(&d, resumed);
        /* Dead all the same: suspected as soon as an excused peer may be. */
        assert_true(detector_suspects(&d, resumed + 200 * MS + u64_max(usual, 100 * MS)));
        /* What waited in the queue comes at once, and then the next ones. */
        for (int i = 0; i < 300; i++) {
            (void)detector_heartbeat(&d, d.sequence + 1, resumed + 10 * MS);
        }
        assert_false(detector_suspects(&d, resumed + 299 * MS));
        (void)detector_heartbeat(&d, d.sequence + 1, resumed + 210 * MS);
        if (kind == DETECTOR_NOVACRON) {
            assert_memory_equal(&d.memory.own.patience, &before.memory.own.patience,
                                sizeof d.memory.own.patience);
        } else {
            assert_memory_equal(&d.memory, &before.memory, sizeof d.memory);
        }
        assert_true(d.counts.mistakes <= (kind == DETECTOR_BERTIER ? 500 : 0));
        /* An excuse never shortens what was allowed. */
        nanos deadline = detector_deadline(&d);
        detector_excuse(&d, now);
        assert_true(detector_deadline(&d) == deadline);
    }
}

/* Whatever comes, in whatever order: invariants, and a silence that is judged soundly after it. */
static void any_history_leaves_a_sound_detector(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(300); round++) {
        enum detector_kind kind = (enum detector_kind)prng_below(&prng, DETECTOR_KINDS);
        struct detector_config config = detector_config_of(kind, prng_range(&prng, 1, 1000 * MS));
        config.window = (uint32_t)prng_range(&prng, 1, 40);
        config.deviation_min = prng_range(&prng, 1, 10 * MS);
        config.acceptable_pause = prng_below(&prng, 2) * prng_below(&prng, 1000 * MS);
        config.threshold = (double)prng_range(&prng, 1, 20000) / 20;
        struct detector d;
        nanos now = prng_u64(&prng) >> prng_range(&prng, 1, 40);
        detector_init(&d, &config, now);
        for (size_t i = 0; i < 200; i++) {
            uint64_t choice = prng_below(&prng, 20);
            uint64_t step = choice == 0 ? prng_u64(&prng) >> prng_range(&prng, 1, 63) : 1;
            uint64_t sequence =
                choice == 1 ? d.sequence - prng_below(&prng, 100) : u64_add_sat(d.sequence, step);

            now += choice == 2 ? prng_u64(&prng) >> prng_range(&prng, 8, 63)
                               : prng_below(&prng, 2 * config.interval);
            if (choice == 3) {
                detector_excuse(&d, now + prng_below(&prng, 1000 * MS));
            }
            if (choice == 4) {
                now = u64_sub_sat(now, prng_below(&prng, 1000 * MS));
            }
            (void)detector_heartbeat(&d, sequence, now);
            detector_check(&d);
        }
        assert_sound_silence(&d, d.latest);
    }
}

/* One seed, one history, under every compiler and at every level of optimization: the numbers were
 * taken from one build, and hold in all. */
static void deadlines_are_the_same_in_every_build(void **state)
{
    (void)state;
    const uint64_t expected[DETECTOR_KINDS] = {
        UINT64_C(0x39aa9879075629cd), UINT64_C(0xad90e9e08216f13d), UINT64_C(0x227dad2f46de9a68),
        UINT64_C(0x3595a84b6c9e3167), UINT64_C(0x7b0bf886534d0c0),  UINT64_C(0x2ae3966998f18d4f),
        UINT64_C(0x71ef688502b0f231), UINT64_C(0x343aaac5abcad4d5),
    };
    for (enum detector_kind kind = 0; kind < DETECTOR_KINDS; kind++) {
        struct detector d = detector_of(kind, 100 * MS, 0);
        struct prng prng;
        uint64_t hash = 0;
        nanos now = 0;

        d.config.margin = 70 * MS;
        prng_init(&prng, 42);
        for (uint64_t i = 1; i <= 20000; i++) {
            now = u64_max(now, i * 100 * MS + prng_below(&prng, (i / 1000 % 3 + 1) * 40 * MS));
            if (prng_below(&prng, 100) >= i / 3000 % 3 * 5) {
                (void)detector_heartbeat(&d, i, now);
            }
            double phi = detector_phi(&d, now + 150 * MS);
            hash = hash_u64(hash, detector_deadline(&d));
            hash = hash_bytes(hash, &phi, sizeof phi);
        }
        if (hash != expected[kind]) {
            fail_msg("%s: %#llx", detector_kind_name(kind), (unsigned long long)hash);
        }
    }
}

/* A detector is a value: a copy goes on as the original does. */
static void copies_judge_alike(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    for (enum detector_kind kind = 0; kind < DETECTOR_KINDS; kind++) {
        struct detector a = detector_of(kind, 100 * MS, 0);
        nanos now = beat_steadily(&a, 30, 0);
        struct detector b = a;

        for (uint64_t i = 0; i < 1500; i++) {
            now += prng_below(&prng, 200 * MS);
            (void)detector_heartbeat(&a, a.sequence + 1, now);
            (void)detector_heartbeat(&b, b.sequence + 1, now);
            assert_true(detector_deadline(&a) == detector_deadline(&b));
        }
        assert_memory_equal(&a.memory, &b.memory, sizeof a.memory);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_have_names),
        cmocka_unit_test(rejects_configurations_out_of_bounds),
        cmocka_unit_test(suspects_who_never_came_after_the_grace),
        cmocka_unit_test(one_heartbeat_is_enough_to_judge),
        cmocka_unit_test(thousand_equal_gaps_leave_a_deviation),
        cmocka_unit_test(gap_of_an_hour_does_not_poison),
        cmocka_unit_test(clock_that_runs_backwards_is_harmless),
        cmocka_unit_test(duplicates_and_old_ones_teach_nothing),
        cmocka_unit_test(numbers_out_of_any_order_are_survived),
        cmocka_unit_test(excused_silence_is_not_the_peers),
        cmocka_unit_test(any_history_leaves_a_sound_detector),
        cmocka_unit_test(deadlines_are_the_same_in_every_build),
        cmocka_unit_test(copies_judge_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
