#include "core/base/check.h"

#include "tests/support/test.h"

#include <stdlib.h>

static void check_it(void *arg)
{
    CHECK(*(int *)arg == 1);
}

static void leave_with_code(void *arg)
{
    exit(*(int *)arg);
}

static void failed_check_aborts(void **state)
{
    (void)state;
    int value = 2;
    assert_true(test_aborts(check_it, &value));
}

static void passed_check_goes_on(void **state)
{
    (void)state;
    int value = 1;
    assert_false(test_aborts(check_it, &value));
    check_it(&value);
}

/* Of the test's own instrument: an exit is not an abort, whatever its code. */
static void exit_is_not_an_abort(void **state)
{
    (void)state;
    int code = 134;
    assert_false(test_aborts(leave_with_code, &code));
}

static int evaluations;

static int count_evaluation(void)
{
    return ++evaluations;
}

static void condition_is_evaluated_once_in_every_build(void **state)
{
    (void)state;
    evaluations = 0;
    CHECK(count_evaluation() == 1);
    assert_int_equal(evaluations, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failed_check_aborts),
        cmocka_unit_test(passed_check_goes_on),
        cmocka_unit_test(exit_is_not_an_abort),
        cmocka_unit_test(condition_is_evaluated_once_in_every_build),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
