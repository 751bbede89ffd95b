/* Text put together without a C library. */
#include "core/base/say.h"
#include "tests/support/test.h"

static void expect_said(struct buf *b, const char *text)
{
    assert_string_equal(say_end(b), text);
    buf_clear(b);
}

static void says_numbers_in_full(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    say_u64(&b, 0);
    say(&b, " ");
    say_u64(&b, UINT64_MAX);
    expect_said(&b, "0 18446744073709551615");
    say_i64(&b, -7);
    say(&b, " ");
    say_i64(&b, INT64_MIN);
    expect_said(&b, "-7 -9223372036854775808");
    say_hex(&b, 0xdeadbeef);
    expect_said(&b, "deadbeef");
    buf_deinit(&b);
}

static void says_seconds_with_six_decimals(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    say_seconds(&b, 12 * NANOS_PER_S + 3450 * NANOS_PER_US + 999);
    expect_said(&b, "12.003450s");
    say_seconds(&b, 0);
    expect_said(&b, "0.000000s");
    say_time(&b, 12 * NANOS_PER_S + 7);
    expect_said(&b, "12.000000007 s");
    buf_deinit(&b);
}

static void fills_up_to_a_column_with_one_space_at_least(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    say(&b, "> ");
    size_t begin = b.len;
    say(&b, "ab");
    say_column(&b, begin, 4);
    say(&b, "c");
    say_column(&b, begin, 4);
    expect_said(&b, "> ab  c ");
    buf_deinit(&b);
}

static void closes_the_text_without_counting_the_zero(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    say(&b, "ab");
    assert_string_equal(say_end(&b), "ab");
    assert_int_equal(b.len, 2);
    say(&b, "c");
    assert_string_equal(say_end(&b), "abc");
    buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_numbers_in_full),
        cmocka_unit_test(fills_up_to_a_column_with_one_space_at_least),
        cmocka_unit_test(says_seconds_with_six_decimals),
        cmocka_unit_test(closes_the_text_without_counting_the_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
