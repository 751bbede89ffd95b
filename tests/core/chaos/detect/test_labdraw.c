#include "core/chaos/detect/labdraw.h"

#include <math.h>

#include "core/chaos/detect/labstat.h"
#include "tests/support/test.h"

#define DRAWS 20000

static void draws_have_their_moments(void **state)
{
    (void)state;
    struct prng p = test_prng("moments");
    static double values[DRAWS];

    double squares = 0;
    for (size_t i = 0; i < DRAWS; i++) {
        values[i] = labdraw_normal(&p);
        squares += values[i] * values[i];
    }
    assert_true(fabs(labstat_mean(values, DRAWS)) < 0.04);
    assert_true(fabs(squares / DRAWS - 1) < 0.06);
    for (size_t i = 0; i < DRAWS; i++) {
        values[i] = labdraw_exponential(&p);
        assert_true(values[i] >= 0);
    }
    assert_true(fabs(labstat_mean(values, DRAWS) - 1) < 0.05);
    /* P(X > 2) of Pareto 1.5 is 2^-1.5 = 0.354. */
    size_t above = 0;
    for (size_t i = 0; i < DRAWS; i++) {
        double x = labdraw_pareto(&p, 1.5);
        assert_true(x >= 1);
        above += x > 2;
    }
    assert_true(fabs((double)above / DRAWS - 0.3536) < 0.02);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_have_their_moments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
