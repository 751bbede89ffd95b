#include "core/base/err.h"

#include "tests/support/test.h"

#include <string.h>

static void every_result_has_its_own_name_and_text(void **state)
{
    (void)state;
    for (int a = 0; a < ERR_COUNT; a++) {
        assert_true(strlen(err_name((enum err)a)) > 0);
        assert_true(strlen(err_text((enum err)a)) > 0);
        for (int b = 0; b < a; b++) {
            assert_string_not_equal(err_name((enum err)a), err_name((enum err)b));
            assert_string_not_equal(err_text((enum err)a), err_text((enum err)b));
        }
    }
    assert_string_equal(err_name(OK), "OK");
    assert_string_equal(err_name(ERR_BUSY), "ERR_BUSY");
    assert_string_equal(err_text(ERR_BUSY), "a queue is full; try again later");
}

static void values_outside_the_table_have_a_name_too(void **state)
{
    (void)state;
    assert_string_equal(err_name(ERR_COUNT), "ERR_OUT_OF_TABLE");
    assert_non_null(err_text(ERR_COUNT));
    assert_string_equal(err_name((enum err) - 1), "ERR_OUT_OF_TABLE");
    assert_non_null(err_text((enum err) - 1));
}

static enum err count_if(enum err first, int *steps)
{
    TRY(first);
    ++*steps;
    return OK;
}

static void try_leaves_with_the_first_error(void **state)
{
    (void)state;
    int steps = 0;
    assert_int_equal(count_if(ERR_IO, &steps), ERR_IO);
    assert_int_equal(steps, 0);
    assert_int_equal(count_if(OK, &steps), OK);
    assert_int_equal(steps, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_result_has_its_own_name_and_text),
        cmocka_unit_test(values_outside_the_table_have_a_name_too),
        cmocka_unit_test(try_leaves_with_the_first_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
