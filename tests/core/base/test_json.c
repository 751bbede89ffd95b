#include "core/base/json.h"

#include <string.h>

#include "tests/support/test.h"

static struct bytes json_text_of(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static bool json_accepts(const char *text)
{
    struct bytes value;
    struct json_fault fault;

    return json_scan(json_text_of(text), &value, &fault) == OK;
}

static struct bytes json_scanned(const char *text)
{
    struct bytes value = {NULL, 0};
    struct json_fault fault;

    assert_int_equal(json_scan(json_text_of(text), &value, &fault), OK);
    return value;
}

static void accepts_every_shape_of_value(void **state)
{
    (void)state;
    static const char *const good[] = {
        "{}",
        "[]",
        "\"\"",
        "0",
        "-0",
        "10",
        "1.5",
        "1e9",
        "-1.25E-3",
        "true",
        "false",
        "null",
        " \t\r\n{ \"a\" : [ 1 , { } , [ ] ] , \"b\" : null } \n",
        "[[[[]]],{\"\":{\"\":[]}}]",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\"",
        "\"\xC3\xA9\xF0\x9F\x98\x80\"",
        "\"\x7F\"",
    };
    static const enum json_shape shapes[] = {
        JSON_IS_OBJECT, JSON_IS_ARRAY,  JSON_IS_STRING, JSON_IS_NUMBER, JSON_IS_NUMBER,
        JSON_IS_NUMBER, JSON_IS_NUMBER, JSON_IS_NUMBER, JSON_IS_NUMBER, JSON_IS_BOOL,
        JSON_IS_BOOL,   JSON_IS_NULL,   JSON_IS_OBJECT, JSON_IS_ARRAY,  JSON_IS_STRING,
        JSON_IS_STRING, JSON_IS_STRING,
    };
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        assert_true(json_accepts(good[i]));
        assert_int_equal(json_shape_of(json_scanned(good[i])), shapes[i]);
    }
}

static void rejects_what_is_not_json(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        " ",
        "{",
        "[",
        "}",
        "]",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\":1,\"b\"}",
        "{a:1}",
        "{\"a\" 1}",
        "[1 2]",
        "[1}",
        "{\"a\":1]",
        "\"",
        "\"\\",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\u0041\"",
        "\"\\ud800x\"",
        "\"\n\"",
        "\"\x80\"",
        "\"\xC0\x80\"",
        "\"\xED\xA0\x80\"",
        "\"\xF4\x90\x80\x80\"",
        "\"\xE0\x80\x80\"",
        "\"\xF0\x80\x80\x80\"",
        "\"\xC3\"",
        "tru",
        "nul",
        "truefalse",
        "01",
        "-",
        "+1",
        ".5",
        "1.",
        "1e",
        "1e+",
        "0x1",
        "--1",
        "{} {}",
        "[] x",
        "1 2",
        "'a'",
        "NaN",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        if (json_accepts(bad[i])) {
            fail_msg("accepted: %s", bad[i]);
        }
    }
}

static void says_what_is_wrong_and_where(void **state)
{
    (void)state;
    struct bytes value;
    struct json_fault fault;
    assert_int_equal(json_scan(json_text_of("{\"a\": [1, 2}"), &value, &fault), ERR_INVALID);
    assert_int_equal(fault.at, 11);
    assert_string_equal(fault.what, "a ',' or ']' was expected");
    assert_int_equal(json_scan(json_text_of("{} x"), &value, &fault), ERR_INVALID);
    assert_int_equal(fault.at, 3);
}

static void nests_as_deep_as_it_says_and_no_deeper(void **state)
{
    (void)state;
    char text[2 * (JSON_NESTING_MAX + 1) + 1] = "";
    memset(text, '[', JSON_NESTING_MAX);
    memset(text + JSON_NESTING_MAX, ']', JSON_NESTING_MAX);
    assert_true(json_accepts(text));
    memset(text, '[', JSON_NESTING_MAX + 1);
    memset(text + JSON_NESTING_MAX + 1, ']', JSON_NESTING_MAX + 1);
    assert_false(json_accepts(text));
}

/* Objects and arrays of one level are told apart by one bit a level. */
static void closes_what_it_opened_at_every_level(void **state)
{
    (void)state;
    assert_true(json_accepts("[{\"a\":[{\"b\":[]}]},[{\"c\":{}}]]"));
    assert_false(json_accepts("[{\"a\":[{\"b\":[}]}]"));
    assert_false(json_accepts("{\"a\":{\"b\":[1,\"c\":2]}}"));
    assert_false(json_accepts("{\"a\":[1],2}"));
}

static void walks_members_and_items_in_their_order(void **state)
{
    (void)state;
    struct json_walk w;
    struct bytes key;
    struct bytes value;
    char name[8];
    json_walk_begin(&w, json_scanned(" { \"b\" : [1,{\"x\":[]}] ,\"a\":\"}\" } "));
    assert_true(json_walk_next(&w, &key, &value));
    assert_int_equal(json_read_string(key, name, sizeof name), 1);
    assert_string_equal(name, "b");
    assert_int_equal(value.len, strlen("[1,{\"x\":[]}]"));
    assert_true(json_walk_next(&w, &key, &value));
    (void)json_read_string(value, name, sizeof name);
    assert_string_equal(name, "}");
    assert_false(json_walk_next(&w, &key, &value));
    assert_false(json_walk_next(&w, &key, &value));
    json_walk_begin(&w, json_scanned("[ 1,\n2 ]"));
    uint64_t number = 0;
    for (uint64_t i = 1; i <= 2; i++) {
        assert_true(json_walk_next(&w, &key, &value));
        assert_int_equal(key.len, 0);
        assert_int_equal(json_read_u64(value, &number), OK);
        assert_int_equal(number, i);
    }
    assert_false(json_walk_next(&w, &key, &value));
}

static void reads_strings_and_cuts_them_where_a_character_ends(void **state)
{
    (void)state;
    char s[16];
    struct bytes value = json_scanned("\"a\\u00e9\\ud83d\\ude00\\n\"");
    assert_int_equal(json_read_string(value, s, sizeof s), 8);
    assert_string_equal(s, "a\xC3\xA9\xF0\x9F\x98\x80\n");
    assert_int_equal(json_read_string(value, s, 7), 8);
    assert_string_equal(s, "a\xC3\xA9"); /* four bytes do not fit, and what follows is not kept */
    /* What follows behind a cut is not kept, though it would fit. */
    assert_int_equal(json_read_string(json_scanned("\"a\\ud83d\\ude00bc\""), s, 4), 7);
    assert_string_equal(s, "a");
    assert_int_equal(json_read_string(value, s, 8), 8);
    assert_string_equal(s, "a\xC3\xA9\xF0\x9F\x98\x80");
    assert_int_equal(json_read_string(value, s, 1), 8);
    assert_string_equal(s, "");
}

static void reads_whole_numbers_alone(void **state)
{
    (void)state;
    uint64_t v = 7;
    assert_int_equal(json_read_u64(json_scanned("18446744073709551615"), &v), OK);
    assert_true(v == UINT64_MAX);
    assert_int_equal(json_read_u64(json_scanned("18446744073709551616"), &v), ERR_TOO_LARGE);
    assert_int_equal(json_read_u64(json_scanned("99999999999999999999"), &v), ERR_TOO_LARGE);
    assert_int_equal(json_read_u64(json_scanned("-1"), &v), ERR_INVALID);
    assert_int_equal(json_read_u64(json_scanned("1.0"), &v), ERR_INVALID);
    assert_int_equal(json_read_u64(json_scanned("1e3"), &v), ERR_INVALID);
    assert_true(v == UINT64_MAX);
    assert_int_equal(json_read_u64(json_scanned("0"), &v), OK);
    assert_int_equal(v, 0);
    assert_true(json_read_bool(json_scanned("true")));
    assert_false(json_read_bool(json_scanned("false")));
}

static void a_string_that_is_written_is_read_as_it_was(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    struct buf b;
    buf_init(&b);
    for (size_t round = 0; round < test_rounds(2000); round++) {
        char text[40] = "";
        char again[40];
        size_t n = prng_below(&p, sizeof text - 1);
        for (size_t i = 0; i < n; i++) {
            text[i] = (char)prng_range(&p, 1, 0x7F);
        }
        buf_clear(&b);
        json_put_string(&b, text);
        struct bytes value;
        struct json_fault fault;
        assert_int_equal(json_scan(buf_view(&b), &value, &fault), OK);
        assert_int_equal(value.len, b.len);
        assert_int_equal(json_read_string(value, again, sizeof again), n);
        assert_string_equal(again, text);
    }
    buf_deinit(&b);
}

static void bytes_that_are_no_utf8_are_replaced(void **state)
{
    (void)state;
    struct buf b;
    char s[16];
    buf_init(&b);
    json_put_bytes_string(&b, (struct bytes){(const uint8_t *)"a\xFF\xC3z", 4});
    struct bytes value;
    struct json_fault fault;
    assert_int_equal(json_scan(buf_view(&b), &value, &fault), OK);
    assert_int_equal(json_read_string(value, s, sizeof s), 8);
    assert_string_equal(s, "a\xEF\xBF\xBD\xEF\xBF\xBDz");
    buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_every_shape_of_value),
        cmocka_unit_test(rejects_what_is_not_json),
        cmocka_unit_test(says_what_is_wrong_and_where),
        cmocka_unit_test(nests_as_deep_as_it_says_and_no_deeper),
        cmocka_unit_test(closes_what_it_opened_at_every_level),
        cmocka_unit_test(walks_members_and_items_in_their_order),
        cmocka_unit_test(reads_strings_and_cuts_them_where_a_character_ends),
        cmocka_unit_test(reads_whole_numbers_alone),
        cmocka_unit_test(a_string_that_is_written_is_read_as_it_was),
        cmocka_unit_test(bytes_that_are_no_utf8_are_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
