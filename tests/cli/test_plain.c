/* Texts from a cluster move no cursor. */
#include "cli/plain.h"

#include "tests/support/test.h"

static void what_is_no_printable_ascii_becomes_a_question_mark(void **state)
{
    (void)state;
    char text[16];

    assert_string_equal(plain_copy("a\x1b[2J\tb\xc2\x9b", text, sizeof text), "a?[2J?b??");
    assert_string_equal(plain_copy("~ !", text, sizeof text), "~ !");
    assert_string_equal(plain_copy("", text, sizeof text), "");
}

static void what_does_not_fit_is_cut(void **state)
{
    (void)state;
    char text[4];

    assert_string_equal(plain_copy("abcdef", text, sizeof text), "abc");
    assert_string_equal(plain_copy("abcdef", text, 1), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_printable_ascii_becomes_a_question_mark),
        cmocka_unit_test(what_does_not_fit_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
