#include "core/chaos/detect/lablatency.h"

#include <string.h>

#include "tests/support/test.h"

static enum err add(struct lablatency *l, const char *text)
{
    return lablatency_add(l, (struct bytes){(const uint8_t *)text, strlen(text)});
}

static void reads_a_square_in_seconds(void **state)
{
    (void)state;
    struct lablatency l = {0};

    assert_int_equal(add(&l, "0\t0.5\n1.25 0\n"), OK);
    assert_int_equal(add(&l, "\n0 39.2\r\n.001 0."), OK);
    assert_int_equal(l.hosts, 2);
    assert_int_equal(l.slices, 2);
    assert_int_equal(lablatency_rtt(&l, 0, 0, 1), 500 * NANOS_PER_MS);
    assert_int_equal(lablatency_rtt(&l, 0, 1, 0), 1250 * NANOS_PER_MS);
    assert_int_equal(lablatency_rtt(&l, 1, 0, 1), 39200 * NANOS_PER_MS);
    assert_int_equal(lablatency_rtt(&l, 1, 1, 0), 1 * NANOS_PER_MS);
    lablatency_deinit(&l);
}

static void refuses_what_is_no_square(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "\n \n",
        "0 1\n",
        "0 1\n1 0 2\n",
        "0\n1\n",
        "0 x\n1 0\n",
        "0 -1\n1 0\n",
        "0 .\n1 0\n",
        "0 1e3\n1 0\n",
        "0 999999999999999999999\n1 0\n",
        "0 1\n2 3\n4 5\n",
        "nan",
    };
    struct lablatency l = {0};

    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        assert_int_equal(add(&l, texts[i]), ERR_CORRUPT);
    }
    assert_int_equal(l.slices, 0);
    assert_int_equal(add(&l, "0 1\n1 0\n"), OK);
    assert_int_equal(add(&l, "0\n"), ERR_CORRUPT); /* another size */
    assert_int_equal(l.slices, 1);

    static char wide[2 * (LABLATENCY_HOSTS_MAX + 1) + 1];
    for (size_t i = 0; i <= LABLATENCY_HOSTS_MAX; i++) {
        memcpy(wide + 2 * i, "1 ", 2);
    }
    assert_int_equal(add(&l, wide), ERR_CORRUPT);
    lablatency_deinit(&l);
}

static void draws_half_of_what_was_measured(void **state)
{
    (void)state;
    struct prng p = test_prng("latency");
    struct lablatency l = {0};

    assert_int_equal(add(&l, "0 0.2\n0.4 0\n"), OK);
    for (size_t i = 0; i < 1000; i++) {
        nanos there = lablatency_draw(&l, &p, 0, 1);
        nanos back = lablatency_draw(&l, &p, 3, 2); /* where 1 and 0 stand */
        nanos near = lablatency_draw(&l, &p, 0, 2);
        assert_true(there >= 100 * NANOS_PER_MS && there < 106 * NANOS_PER_MS);
        assert_true(back >= 200 * NANOS_PER_MS && back < 206 * NANOS_PER_MS);
        assert_true(near >= 100 * NANOS_PER_US && near < 6 * NANOS_PER_MS);
    }
    lablatency_deinit(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_square_in_seconds),
        cmocka_unit_test(refuses_what_is_no_square),
        cmocka_unit_test(draws_half_of_what_was_measured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
