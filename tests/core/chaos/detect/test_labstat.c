#include "core/chaos/detect/labstat.h"

#include <math.h>

#include "core/chaos/detect/labdraw.h"
#include "tests/support/test.h"

static bool is_about(double a, double b)
{
    return fabs(a - b) < 1e-9;
}

static void quantiles_lie_between_values(void **state)
{
    (void)state;
    double values[] = {5, 1, 4, 2, 3};
    labstat_sort(values, 5);
    assert_true(is_about(labstat_quantile(values, 5, 0), 1));
    assert_true(is_about(labstat_quantile(values, 5, 0.5), 3));
    assert_true(is_about(labstat_quantile(values, 5, 0.625), 3.5));
    assert_true(is_about(labstat_quantile(values, 5, 1), 5));
    assert_true(is_about(labstat_quantile(values, 0, 0.5), 0));
    assert_true(is_about(labstat_mean(values, 5), 3));
}

/* The tables of the sign test: for the median of 10, ranks 2 and 9; of 20, 6 and 15; of 6, all. */
static void ranks_are_those_of_the_binomial_tables(void **state)
{
    (void)state;
    double values[20];
    for (size_t i = 0; i < 20; i++) {
        values[i] = (double)(i + 1);
    }
    struct labstat_estimate ten = labstat_estimate_quantile(values, 10, 0.5);
    assert_true(is_about(ten.lo, 2) && is_about(ten.hi, 9));
    struct labstat_estimate twenty = labstat_estimate_quantile(values, 20, 0.5);
    assert_true(is_about(twenty.lo, 6) && is_about(twenty.hi, 15));
    struct labstat_estimate six = labstat_estimate_quantile(values, 6, 0.5);
    assert_true(is_about(six.lo, 1) && is_about(six.hi, 6));
    assert_true(labstat_is_sure(6, 0.5));
    assert_false(labstat_is_sure(5, 0.5));
    assert_false(labstat_is_sure(100, 0.99));
}

/* How often the interval of `count` values holds the true quantile. */
static double coverage(struct prng *p, size_t count, double q, size_t rounds)
{
    static double values[2000];
    double truth = -log(1 - q); /* of the exponential distribution */
    size_t held = 0;
    for (size_t round = 0; round < rounds; round++) {
        for (size_t i = 0; i < count; i++) {
            values[i] = labdraw_exponential(p);
        }
        labstat_sort(values, count);
        struct labstat_estimate e = labstat_estimate_quantile(values, count, q);
        held += e.lo <= truth && truth <= e.hi;
    }
    return (double)held / (double)rounds;
}

static void intervals_hold_the_truth_as_often_as_they_say(void **state)
{
    (void)state;
    struct prng p = test_prng("coverage");
    assert_true(coverage(&p, 11, 0.5, 1000) > 0.93);
    assert_true(coverage(&p, 100, 0.9, 1000) > 0.93);
    double large = coverage(&p, 2000, 0.5, 400);
    assert_true(large > 0.91 && large < 0.99);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantiles_lie_between_values),
        cmocka_unit_test(ranks_are_those_of_the_binomial_tables),
        cmocka_unit_test(intervals_hold_the_truth_as_often_as_they_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
