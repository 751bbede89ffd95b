#include "core/monitoring/health/health_math.h"

#include "tests/support/test.h"

/* Is `value` within `relative` of `expected`? */
static void assert_close(double value, double expected, double relative)
{
    double difference = value > expected ? value - expected : expected - value;
    double size = expected < 0 ? -expected : expected;

    if (!(difference <= size * relative)) {
        fail_msg("%.17g is not %.17g", value, expected);
    }
}

/* From a table of 20 digits. */
static void logarithms_are_right_to_the_last_digits(void **state)
{
    (void)state;
    assert_close(health_ln(2), 0.69314718055994530942, 4e-16);
    assert_close(health_ln(10), 2.30258509299404568402, 4e-16);
    assert_close(health_ln(0.1), -2.30258509299404568402, 4e-16);
    assert_close(health_ln(1.0000001), 9.9999995000000333e-8, 1e-9);
    assert_close(health_ln(1e300), 690.77552789821370521, 4e-16);
    assert_true(health_ln(1) < 1e-300 && health_ln(1) > -1e-300);
}

static void exponentials_undo_logarithms(void **state)
{
    (void)state;
    assert_close(health_exp(1), 2.71828182845904523536, 1e-15);
    assert_close(health_exp(-1), 0.36787944117144232160, 1e-15);
    for (double x = -700; x < 700; x += 0.37) {
        double again = health_ln(health_exp(x));
        double error = again > x ? again - x : x - again;

        assert_true(error < 2e-13);
    }
    assert_true(health_exp(-1e9) < 1e-300 && health_exp(1e9) < 1e308 * 1.7);
}

static void softplus_neither_overflows_nor_vanishes(void **state)
{
    (void)state;
    assert_close(health_softplus(0), HEALTH_LN_2, 1e-15);
    assert_close(health_softplus(1e6), 1e6, 1e-15);
    assert_close(health_softplus(-50), 1.9287498479639178e-22, 1e-13);
    assert_close(health_softplus(40.0000001), 40.0000001, 1e-15);
    assert_close(health_softplus(3), 3.0485873515737420, 1e-14);
}

static void roots_are_right(void **state)
{
    (void)state;
    assert_close(health_sqrt(2), 1.41421356237309504880, 4e-16);
    assert_close(health_sqrt(1e-200), 1e-100, 4e-15);
    assert_close(health_sqrt(1e200), 1e100, 4e-15);
    struct prng prng = test_prng(__func__);
    for (size_t i = 0; i < test_rounds(10000); i++) {
        unsigned __int128 x = (unsigned __int128)(prng_u64(&prng) >> prng_below(&prng, 64)) *
                              (prng_u64(&prng) >> prng_below(&prng, 64));
        unsigned __int128 root = health_isqrt(x);

        assert_true(root * root <= x);
        assert_true(root == UINT64_MAX || (root + 1) * (root + 1) > x);
    }
}

/* Q(y) and the z of DETECTION.md: computed there to four digits. */
static void tail_agrees_with_tables_of_the_normal_distribution(void **state)
{
    (void)state;
    assert_close(health_exp(health_ln_tail(0)), 0.5, 1e-15);
    assert_close(health_exp(health_ln_tail(1)), 0.15865525393145705142, 1e-14);
    assert_close(health_exp(health_ln_tail(3)), 0.00134989803163009452665, 1e-14);
    assert_close(health_exp(health_ln_tail(8)), 6.2209605742717841235e-16, 1e-13);
    assert_close(health_exp(health_ln_tail(-1)), 0.84134474606854294858, 1e-14);
    /* Below -8 the difference from 1 is all that is left, and it is not swallowed. */
    assert_close(health_ln_tail(-8), -6.2209605742717841e-16, 1e-12);
    /* Where Q itself is no double any more. */
    assert_close(health_ln_tail(100), -5005.5242086942050886, 1e-14);
    const struct {
        double phi;
        double z;
    } points[] = {
        {0.5, 0.478}, {1, 1.282},  {2, 2.326},  {3, 3.090},  {5, 4.265},
        {8, 5.612},   {10, 6.361}, {12, 7.035}, {16, 8.222},
    };
    for (size_t i = 0; i < COUNT_OF(points); i++) {
        double z = health_phi_normal_point(points[i].phi);

        assert_true(z > points[i].z - 0.0006 && z < points[i].z + 0.0006);
        assert_close(health_phi_normal(z), points[i].phi, 1e-12);
    }
}

static void phi_is_monotone_across_every_seam(void **state)
{
    (void)state;
    double before = health_phi_normal(-45);
    for (double y = -45 + 1e-4; y < 60; y += 1e-4) {
        double phi = health_phi_normal(y);

        assert_true(phi >= before);
        before = phi;
    }
    const double seams[] = {-2, 0, 2};
    for (size_t i = 0; i < COUNT_OF(seams); i++) {
        before = health_phi_normal(seams[i] - 1e-9);
        for (double y = seams[i] - 1e-9; y < seams[i] + 1e-9; y += 1e-12) {
            assert_true(health_phi_normal(y) >= before);
            before = health_phi_normal(y);
        }
    }
}

static void real_numbers_become_spans_without_overflow(void **state)
{
    (void)state;
    assert_true(health_nanos(-1) == 0);
    assert_true(health_nanos(1.9) == 1);
    assert_true(health_nanos(1e30) == NANOS_FOREVER);
    assert_true(health_nanos(1.8446744073709552e19) == NANOS_FOREVER);
    assert_true(health_nanos(0.0 / 1e-300 * 0) == 0);
    assert_true(health_real(NANOS_PER_S) > 999999999.9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logarithms_are_right_to_the_last_digits),
        cmocka_unit_test(exponentials_undo_logarithms),
        cmocka_unit_test(softplus_neither_overflows_nor_vanishes),
        cmocka_unit_test(roots_are_right),
        cmocka_unit_test(tail_agrees_with_tables_of_the_normal_distribution),
        cmocka_unit_test(phi_is_monotone_across_every_seam),
        cmocka_unit_test(real_numbers_become_spans_without_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
