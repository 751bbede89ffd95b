/* The level of a peer's heartbeats: what is chance, and what has moved. */
#include "core/monitoring/health/detector_level.h"

#include "tests/support/test.h"

#define MS       1e6
#define INTERVAL (100 * NANOS_PER_MS)

/* Delays of 15 to 25 ms: the level is 20, the scatter 2.5. */
static struct detector_level settled_level(struct prng *prng)
{
    struct detector_level l;
    detector_level_init(&l, INTERVAL);
    for (uint32_t i = 0; i < 3000; i++) {
        (void)detector_level_follow(&l, (15 + (double)prng_below(prng, 10000) / 1000) * MS);
    }
    assert_true(detector_level_at(&l) > 19.5 * MS && detector_level_at(&l) < 20.5 * MS);
    assert_true(l.scatter > 2.3 * MS && l.scatter < 2.7 * MS);
    return l;
}

static void one_outlier_is_told_and_moves_nothing(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    struct detector_level l = settled_level(&prng);
    double before = detector_level_at(&l);
    assert_int_equal(detector_level_follow(&l, 25 * MS), LEVEL_USUAL);
    assert_int_equal(detector_level_follow(&l, 300 * MS), LEVEL_LATE);
    assert_true(detector_level_at(&l) < before + 2 * MS);
    assert_true(l.scatter < 2.8 * MS);
}

static void outliers_are_told_by_their_side(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    struct detector_level l = settled_level(&prng);
    assert_int_equal(detector_level_follow(&l, -60 * MS), LEVEL_EARLY);
}

static void outliers_that_agree_are_the_new_level(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    static const double moves[] = {60 * MS, -60 * MS};
    for (size_t m = 0; m < COUNT_OF(moves); m++) {
        struct detector_level l = settled_level(&prng);
        double before = detector_level_at(&l);
        for (uint32_t i = 1; i <= LEVEL_RUN; i++) {
            double moved = detector_level_at(&l) - before;
            assert_true(moved < 2 * MS && moved > -2 * MS);
            enum detector_level_sign sign = moves[m] > 0 ? LEVEL_LATE : LEVEL_EARLY;
            assert_int_equal(detector_level_follow(&l, (20 + i % 2) * MS + moves[m]),
                             i < LEVEL_RUN ? sign : LEVEL_MOVED);
        }
        double at = detector_level_at(&l) - moves[m];
        assert_true(at > 20 * MS && at < 21 * MS);
        /* What was usual before is usual still: the scatter has not learned the way there. */
        assert_true(l.scatter < 3 * MS);
        assert_int_equal(detector_level_follow(&l, 30 * MS + moves[m]), LEVEL_USUAL);
    }
}

/* A queue that drains: each is late, and none says where the next one will be. */
static void outliers_that_do_not_agree_are_no_level(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    struct detector_level l = settled_level(&prng);
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(detector_level_follow(&l, (380 - 40 * i) * MS), LEVEL_LATE);
    }
    assert_true(detector_level_at(&l) < 30 * MS);
}

static void outliers_on_both_sides_are_no_level(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    struct detector_level l = settled_level(&prng);
    for (uint32_t i = 0; i < 50; i++) {
        (void)detector_level_follow(&l, i % 5 == 4 ? -60 * MS : 100 * MS);
    }
    assert_true(detector_level_at(&l) < 30 * MS);
}

static void whoever_is_intervals_away_need_not_agree(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    struct detector_level l = settled_level(&prng);
    for (uint32_t i = 1; i <= LEVEL_FAR; i++) {
        (void)detector_level_follow(&l, 1000 * MS * i);
    }
    double at = detector_level_at(&l) - 1000 * MS * LEVEL_FAR;
    assert_true(at > -MS && at < MS);
}

/* Ticks of a clock, a hundred times finer than anything that matters. */
static void perfect_schedule_has_no_outliers(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    struct detector_level l;
    detector_level_init(&l, INTERVAL);
    for (uint32_t i = 0; i < 1000; i++) {
        assert_int_equal(detector_level_follow(&l, 5 * MS), LEVEL_USUAL);
    }
    double off = 1e5 + (double)prng_below(&prng, 400000);
    assert_int_equal(detector_level_follow(&l, 5 * MS + off), LEVEL_USUAL);
}

/* A clock that is 500 ppm slow, from the first heartbeat on: the level is where they are as soon as
 * it is known, stays there when the thousand are full, and across a move. */
static void drift_is_followed_from_the_beginning(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    struct detector_level l;
    detector_level_init(&l, INTERVAL);
    for (uint32_t i = 0; i < 6000; i++) {
        double move = i < 4000 ? 0 : 70 * MS;
        double true_level = i * MS / 20 + move + 2 * MS;
        double off = detector_level_at(&l) - true_level;
        if (i > 500 && !(i >= 4000 && i < 4020)) {
            assert_true(off > -MS && off < MS);
        }
        (void)detector_level_follow(&l,
                                    true_level + ((double)prng_below(&prng, 4000) - 2000) * 1e3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_outlier_is_told_and_moves_nothing),
        cmocka_unit_test(outliers_are_told_by_their_side),
        cmocka_unit_test(outliers_that_agree_are_the_new_level),
        cmocka_unit_test(outliers_that_do_not_agree_are_no_level),
        cmocka_unit_test(outliers_on_both_sides_are_no_level),
        cmocka_unit_test(whoever_is_intervals_away_need_not_agree),
        cmocka_unit_test(perfect_schedule_has_no_outliers),
        cmocka_unit_test(drift_is_followed_from_the_beginning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
