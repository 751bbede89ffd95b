#include "core/chaos/check/lin.h"

#include "tests/support/test.h"

#include <string.h>

#include "core/chaos/check/lin_int.h"
#include "tests/core/chaos/check/history_maker.h"

#define KEY 1

static struct lin_op op_of(enum lin_kind kind, uint64_t value, nanos invoked, nanos returned)
{
    return (struct lin_op){.invoked = invoked,
                           .returned = returned,
                           .key = KEY,
                           .value = value,
                           .kind = (uint8_t)kind,
                           .outcome = LIN_OK};
}

static struct lin_op cas_of(enum lin_kind kind, uint64_t expected, uint64_t value, nanos invoked,
                            nanos returned)
{
    struct lin_op o = op_of(kind, value, invoked, returned);
    o.expected = expected;
    return o;
}

static struct lin_op unknown(struct lin_op o)
{
    o.outcome = LIN_UNKNOWN;
    return o;
}

static struct lin_op at_revision(struct lin_op o, uint64_t revision)
{
    o.revision = revision;
    return o;
}

/* The report's part is gone with the checker. */
static struct lin_report judge_all(const struct lin_op *ops, size_t n,
                                   const struct lin_limits *limits, struct lin_strings *strings,
                                   struct buf *text)
{
    struct lin_limits plain = lin_limits_plain();
    struct lin *lin = lin_open(limits != NULL ? limits : &plain);
    struct lin_report report;
    lin_check(lin, ops, n, strings, NULL, &report, text);
    report.part = NULL;
    lin_close(lin);
    return report;
}

static enum lin_verdict verdict_of(const struct lin_op *ops, size_t n)
{
    return judge_all(ops, n, NULL, NULL, NULL).verdict;
}

#define assert_fits(...)                                                                           \
    do {                                                                                           \
        const struct lin_op ops[] = {__VA_ARGS__};                                                 \
        assert_int_equal(verdict_of(ops, COUNT_OF(ops)), LIN_LINEARIZABLE);                        \
    } while (0)

#define assert_fails(...)                                                                          \
    do {                                                                                           \
        const struct lin_op ops[] = {__VA_ARGS__};                                                 \
        assert_int_equal(verdict_of(ops, COUNT_OF(ops)), LIN_NOT_LINEARIZABLE);                    \
    } while (0)

static void nothing_is_linearizable(void **state)
{
    (void)state;
    assert_int_equal(verdict_of(NULL, 0), LIN_LINEARIZABLE);
}

static void register_begins_absent(void **state)
{
    (void)state;
    assert_fits(op_of(LIN_READ, 0, 1, 2));
    assert_fails(op_of(LIN_READ, 5, 1, 2));
}

static void read_sees_the_last_write(void **state)
{
    (void)state;
    assert_fits(op_of(LIN_WRITE, 5, 1, 2), op_of(LIN_READ, 5, 3, 4));
    assert_fails(op_of(LIN_WRITE, 5, 1, 2), op_of(LIN_READ, 0, 3, 4));
    assert_fails(op_of(LIN_WRITE, 5, 1, 2), op_of(LIN_WRITE, 6, 3, 4), op_of(LIN_READ, 5, 5, 6));
    assert_fits(op_of(LIN_WRITE, 5, 1, 2), op_of(LIN_DELETE, 0, 3, 4), op_of(LIN_READ, 0, 5, 6));
}

static void concurrent_operations_have_any_order(void **state)
{
    (void)state;
    assert_fits(op_of(LIN_WRITE, 5, 1, 9), op_of(LIN_WRITE, 6, 1, 9), op_of(LIN_READ, 6, 2, 3),
                op_of(LIN_READ, 5, 4, 5));
    assert_fails(op_of(LIN_WRITE, 5, 1, 9), op_of(LIN_WRITE, 6, 1, 9), op_of(LIN_READ, 6, 2, 3),
                 op_of(LIN_READ, 5, 4, 5), op_of(LIN_READ, 6, 6, 7));
}

static void operations_that_touch_are_concurrent(void **state)
{
    (void)state;
    assert_fits(op_of(LIN_WRITE, 5, 1, 2), op_of(LIN_READ, 0, 2, 3));
    assert_fails(op_of(LIN_WRITE, 5, 1, 2), op_of(LIN_READ, 0, 3, 3));
}

static void compare_and_set_needs_what_it_expects(void **state)
{
    (void)state;
    assert_fits(op_of(LIN_WRITE, 5, 1, 2), cas_of(LIN_CAS, 5, 6, 3, 4), op_of(LIN_READ, 6, 5, 6));
    assert_fails(op_of(LIN_WRITE, 5, 1, 2), cas_of(LIN_CAS, 4, 6, 3, 4));
    assert_fits(op_of(LIN_WRITE, 5, 1, 2), cas_of(LIN_CAS_MISS, 4, 6, 3, 4),
                op_of(LIN_READ, 5, 5, 6));
    assert_fails(op_of(LIN_WRITE, 5, 1, 2), cas_of(LIN_CAS_MISS, 5, 6, 3, 4));
}

static void two_that_expect_one_value_cannot_both_find_it(void **state)
{
    (void)state;
    assert_fails(op_of(LIN_WRITE, 5, 1, 2), cas_of(LIN_CAS, 5, 6, 3, 9),
                 cas_of(LIN_CAS, 5, 7, 3, 9));
}

static void unknown_outcome_may_take_effect_late_or_never(void **state)
{
    (void)state;
    assert_fits(unknown(op_of(LIN_WRITE, 5, 1, 0)), op_of(LIN_READ, 0, 2, 3),
                op_of(LIN_READ, 5, 9, 10));
    assert_fits(unknown(op_of(LIN_WRITE, 5, 1, 0)), op_of(LIN_READ, 0, 9, 10));
    assert_fails(unknown(op_of(LIN_WRITE, 5, 1, 0)), op_of(LIN_READ, 5, 2, 3),
                 op_of(LIN_READ, 0, 4, 5));
    assert_fails(op_of(LIN_READ, 5, 1, 2), unknown(op_of(LIN_WRITE, 5, 3, 0)));
}

static void chain_of_unknown_outcomes_explains_a_read(void **state)
{
    (void)state;
    assert_fits(unknown(op_of(LIN_WRITE, 5, 1, 0)), unknown(cas_of(LIN_CAS, 5, 6, 2, 0)),
                unknown(cas_of(LIN_CAS, 6, 7, 3, 0)), op_of(LIN_READ, 7, 9, 10));
    assert_fails(unknown(op_of(LIN_WRITE, 5, 1, 0)), unknown(cas_of(LIN_CAS, 4, 6, 2, 0)),
                 unknown(cas_of(LIN_CAS, 6, 7, 3, 0)), op_of(LIN_READ, 7, 9, 10));
}

static void unknown_write_that_nobody_read_explains_a_miss(void **state)
{
    (void)state;
    assert_fits(op_of(LIN_WRITE, 5, 1, 2), unknown(op_of(LIN_WRITE, 6, 3, 0)),
                cas_of(LIN_CAS_MISS, 5, 9, 4, 5));
    assert_fails(op_of(LIN_WRITE, 5, 1, 2), unknown(op_of(LIN_WRITE, 5, 3, 0)),
                 cas_of(LIN_CAS_MISS, 5, 9, 4, 5));
    /* It has then happened. */
    assert_fails(op_of(LIN_WRITE, 5, 1, 2), unknown(op_of(LIN_WRITE, 6, 3, 0)),
                 cas_of(LIN_CAS_MISS, 5, 9, 4, 5), op_of(LIN_READ, 5, 6, 7));
}

static void failed_operations_have_no_effect(void **state)
{
    (void)state;
    struct lin_op failed = op_of(LIN_WRITE, 5, 1, 2);
    failed.outcome = LIN_FAILED;
    assert_fits(failed, op_of(LIN_READ, 0, 3, 4));
    assert_fails(failed, op_of(LIN_READ, 5, 3, 4));
}

static void keys_are_registers_of_their_own(void **state)
{
    (void)state;
    struct lin_op other = op_of(LIN_READ, 0, 3, 4);
    other.key = KEY + 1;
    assert_fits(op_of(LIN_WRITE, 5, 1, 2), other);
    other.value = 5;
    assert_fails(op_of(LIN_WRITE, 5, 1, 2), other);
}

static void revisions_order_concurrent_writes(void **state)
{
    (void)state;
    assert_fits(at_revision(op_of(LIN_WRITE, 5, 1, 9), 2),
                at_revision(op_of(LIN_WRITE, 6, 1, 9), 3),
                at_revision(op_of(LIN_READ, 6, 10, 11), 3));
    assert_fails(at_revision(op_of(LIN_WRITE, 5, 1, 9), 2),
                 at_revision(op_of(LIN_WRITE, 6, 1, 9), 3),
                 at_revision(op_of(LIN_READ, 5, 10, 11), 3));
    assert_fails(at_revision(op_of(LIN_WRITE, 5, 1, 9), 2),
                 at_revision(op_of(LIN_WRITE, 6, 1, 9), 2));
}

static void read_names_the_revision_of_its_value(void **state)
{
    (void)state;
    struct lin_op right = at_revision(op_of(LIN_READ, 5, 10, 11), 3);
    struct lin_op wrong = right;
    right.mod_revision = 3;
    wrong.mod_revision = 2;
    assert_fits(at_revision(op_of(LIN_WRITE, 5, 1, 2), 2),
                at_revision(op_of(LIN_WRITE, 5, 3, 4), 3), right);
    assert_fails(at_revision(op_of(LIN_WRITE, 5, 1, 2), 2),
                 at_revision(op_of(LIN_WRITE, 5, 3, 4), 3), wrong);
}

static void revisions_contradict_time_across_keys(void **state)
{
    (void)state;
    struct lin_op first = at_revision(op_of(LIN_WRITE, 5, 1, 2), 8);
    struct lin_op later = at_revision(op_of(LIN_WRITE, 6, 3, 4), 7);
    later.key = KEY + 1;
    assert_fails(first, later);
    later.revision = 8;
    assert_fails(first, later);
    later.kind = LIN_READ;
    later.value = 0;
    assert_fits(first, later);
    later.revision = 7;
    assert_fails(first, later);
}

static void revision_is_made_once_whatever_the_key(void **state)
{
    (void)state;
    struct lin_op one = at_revision(op_of(LIN_WRITE, 5, 1, 9), 7);
    struct lin_op other = at_revision(op_of(LIN_WRITE, 6, 2, 9), 7);
    other.key = KEY + 1;
    assert_fails(one, other);
    /* By one transaction, it may be of several. */
    other.invoked = one.invoked;
    assert_fits(one, other);
    other.process = one.process + 1;
    assert_fails(one, other);
}

static void thirty_unknown_writes_do_not_blow_up(void **state)
{
    (void)state;
    struct lin_op ops[64];
    size_t n = 0;
    for (uint64_t i = 0; i < 30; i++) {
        ops[n++] = unknown(op_of(LIN_WRITE, 100 + i, 1, 0));
    }
    ops[n++] = op_of(LIN_WRITE, 5, 1, 2);
    for (uint64_t i = 0; i < 6; i++) {
        ops[n++] = op_of(LIN_READ, 100 + i * 3, 10 + i * 2, 11 + i * 2);
    }
    struct lin_report report = judge_all(ops, n, NULL, NULL, NULL);
    assert_int_equal(report.verdict, LIN_LINEARIZABLE);
    assert_in_range(report.steps, 1, 5000);

    /* A value comes back, which only one of them wrote. */
    ops[n++] = op_of(LIN_READ, 100, 40, 41);
    report = judge_all(ops, n, NULL, NULL, NULL);
    assert_int_equal(report.verdict, LIN_NOT_LINEARIZABLE);
    assert_in_range(report.steps, 1, 50000);
}

static void equal_unknown_writes_do_not_blow_up(void **state)
{
    (void)state;
    struct lin_op ops[64];
    size_t n = 0;
    for (uint64_t i = 0; i < 30; i++) {
        ops[n++] = unknown(op_of(LIN_WRITE, 7 + i % 2, 1 + i, 0));
    }
    for (uint64_t i = 0; i < 20; i++) {
        ops[n++] = op_of(LIN_READ, 7 + i % 2, 100 + i * 2, 101 + i * 2);
    }
    assert_int_equal(verdict_of(ops, n), LIN_LINEARIZABLE);
    for (uint64_t i = 20; i < 33; i++) {
        ops[n++] = op_of(LIN_READ, 7 + i % 2, 100 + i * 2, 101 + i * 2);
    }
    struct lin_report report = judge_all(ops, n, NULL, NULL, NULL);
    assert_int_equal(report.verdict, LIN_NOT_LINEARIZABLE);
    assert_in_range(report.steps, 1, 2000000);
}

/* Writes that all overlap, and reads that no order of them explains. */
static size_t tangle(struct lin_op *ops, size_t writes)
{
    size_t n = 0;
    for (size_t i = 0; i < writes; i++) {
        ops[n++] = op_of(LIN_WRITE, 1 + i % 5, 1, 1000);
        ops[n++] = op_of(LIN_READ, 1 + i * 7 % 5, 10 + i * 3, 900);
    }
    ops[n++] = op_of(LIN_READ, 1, 1001, 1002);
    ops[n++] = op_of(LIN_READ, 2, 1003, 1004);
    return n;
}

static void bounds_leave_it_undecided(void **state)
{
    (void)state;
    struct lin_op ops[64];
    size_t n = tangle(ops, 12);
    struct lin_limits limits = lin_limits_plain();
    assert_int_equal(judge_all(ops, n, &limits, NULL, NULL).verdict, LIN_NOT_LINEARIZABLE);

    limits.steps_max = 100;
    struct lin_report report = judge_all(ops, n, &limits, NULL, NULL);
    assert_int_equal(report.verdict, LIN_UNDECIDED);
    assert_int_equal(report.bound, LIN_BOUND_STEPS);
    assert_int_equal(report.key, KEY);

    limits = lin_limits_plain();
    limits.memory_bytes_max = 4096;
    report = judge_all(ops, n, &limits, NULL, NULL);
    assert_int_equal(report.verdict, LIN_UNDECIDED);
    assert_int_equal(report.bound, LIN_BOUND_MEMORY);
}

static void key_that_fails_counts_more_than_one_that_is_undecided(void **state)
{
    (void)state;
    struct lin_op ops[64];
    size_t n = tangle(ops, 12);
    struct lin_limits limits = lin_limits_plain();
    limits.steps_max = 100;
    ops[n] = op_of(LIN_READ, 77, 2000, 2001);
    ops[n++].key = KEY + 1;
    struct lin_report report = judge_all(ops, n, &limits, NULL, NULL);
    assert_int_equal(report.verdict, LIN_NOT_LINEARIZABLE);
    assert_int_equal(report.key, KEY + 1);
}

static void what_is_no_operation_is_refused(void **state)
{
    (void)state;
    struct lin_op wrong[4];
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        wrong[i] = op_of(LIN_WRITE, 5, 5, 6);
    }
    wrong[0].returned = 4;
    wrong[1].kind = LIN_KINDS;
    wrong[2].outcome = LIN_OUTCOMES;
    wrong[3].revision = LIN_REVISION_MAX;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct lin_report report = judge_all(&wrong[i], 1, NULL, NULL, NULL);
        assert_int_equal(report.verdict, LIN_UNDECIDED);
        assert_int_equal(report.bound, LIN_BOUND_MALFORMED);
    }
    /* An append needs strings. */
    struct lin_op append = op_of(LIN_APPEND, 1, 1, 2);
    assert_int_equal(judge_all(&append, 1, NULL, NULL, NULL).bound, LIN_BOUND_MALFORMED);
}

static uint64_t id_of(struct lin_strings *s, const char *text)
{
    return lin_strings_intern(s, (struct bytes){(const uint8_t *)text, strlen(text)});
}

static void appends_make_the_string_that_is_read(void **state)
{
    (void)state;
    struct lin_strings s;
    lin_strings_init(&s);
    struct lin_op ops[] = {
        op_of(LIN_APPEND, id_of(&s, "x"), 1, 5), op_of(LIN_APPEND, id_of(&s, "y"), 2, 4),
        op_of(LIN_READ, id_of(&s, "yx"), 6, 7), op_of(LIN_APPEND, id_of(&s, "z"), 8, 9),
        op_of(LIN_READ, id_of(&s, "yxz"), 10, 11)};
    uint32_t strings = s.count;
    assert_int_equal(judge_all(ops, COUNT_OF(ops), NULL, &s, NULL).verdict, LIN_LINEARIZABLE);
    ops[4].value = id_of(&s, "xyz");
    assert_int_equal(judge_all(ops, COUNT_OF(ops), NULL, &s, NULL).verdict, LIN_NOT_LINEARIZABLE);
    /* What the search made is gone. */
    assert_int_equal(s.count, strings + 1);

    struct lin_op lost = unknown(op_of(LIN_APPEND, id_of(&s, "u"), 3, 0));
    struct lin_op late[] = {ops[0], lost, op_of(LIN_READ, id_of(&s, "x"), 6, 7),
                            op_of(LIN_READ, id_of(&s, "xu"), 8, 9)};
    assert_int_equal(judge_all(late, COUNT_OF(late), NULL, &s, NULL).verdict, LIN_LINEARIZABLE);
    late[3].value = id_of(&s, "xuu");
    assert_int_equal(judge_all(late, COUNT_OF(late), NULL, &s, NULL).verdict, LIN_NOT_LINEARIZABLE);
    lin_strings_deinit(&s);
}

/* A configuration at a place, which is all but its hash, and two uses. */
static bool is_new(struct lin_cache *c, uint64_t hash, uint64_t place, uint64_t one, uint64_t other)
{
    uint64_t steps = 0;
    uint64_t *pairs = NULL;
    uint64_t *record = lin_cache_draft(c, 2, (one != 0 ? 1U : 0U) + (other != 0 ? 1U : 0U), &pairs);
    record[0] = hash;
    record[1] = place;
    if (one != 0) {
        *pairs++ = (uint64_t)3 << 32 | one;
    }
    if (other != 0) {
        *pairs = (uint64_t)8 << 32 | other;
    }
    return lin_cache_keep(c, &steps);
}

static void configuration_is_known_where_one_has_used_no_more(void **state)
{
    (void)state;
    struct lin_cache c = {0};
    lin_cache_reset(&c);
    assert_true(is_new(&c, 5, 1, 2, 2));
    assert_false(is_new(&c, 5, 1, 2, 2));
    assert_false(is_new(&c, 5, 1, 3, 2));
    assert_false(is_new(&c, 5, 1, 2, 7));
    assert_true(is_new(&c, 5, 1, 1, 3));
    assert_true(is_new(&c, 5, 1, 3, 1));
    assert_true(is_new(&c, 5, 1, 9, 0));
    assert_false(is_new(&c, 5, 1, 9, 1));
    assert_true(is_new(&c, 5, 1, 0, 9));
    assert_true(is_new(&c, 5, 1, 0, 0));
    assert_false(is_new(&c, 5, 1, 1, 0));
    /* Another place, under the same hash and under others, through many growths. */
    assert_true(is_new(&c, 5, 2, 9, 9));
    for (uint64_t i = 0; i < 2000; i++) {
        assert_true(is_new(&c, 100 + i % 700, 100 + i, 1, 1));
    }
    for (uint64_t i = 0; i < 2000; i++) {
        assert_false(is_new(&c, 100 + i % 700, 100 + i, 1, 1 + i % 2));
    }
    lin_cache_deinit(&c);
}

static void smallest_part_is_what_contradicts(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    const struct history_recipe recipe = {.count = 500,
                                          .processes = 5,
                                          .keys = 1,
                                          .unknown_ppm = 100000,
                                          .read_ppm = 500000,
                                          .operation = 1000,
                                          .pause = 1000};
    struct lin_op ops[503];
    make_history(&p, &recipe, ops);
    ops[500] = op_of(LIN_WRITE, 11, 2000000, 2000001);
    ops[501] = op_of(LIN_WRITE, 12, 2000002, 2000003);
    ops[502] = op_of(LIN_READ, 11, 2000004, 2000005);
    struct buf text;
    buf_init(&text);
    struct lin_report report = judge_all(ops, COUNT_OF(ops), NULL, NULL, &text);
    assert_int_equal(report.part_count, 2);
    buf_put_u8(&text, 0);
    assert_string_equal(
        (const char *)text.data,
        "not linearizable: no order explains these operations, whatever was there before them\n"
        "  process 0   write 12                  0.002000002 s to 0.002000003 s        ok\n"
        "  process 0   read -> 11                0.002000004 s to 0.002000005 s        ok\n");
    buf_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_linearizable),
        cmocka_unit_test(register_begins_absent),
        cmocka_unit_test(read_sees_the_last_write),
        cmocka_unit_test(concurrent_operations_have_any_order),
        cmocka_unit_test(operations_that_touch_are_concurrent),
        cmocka_unit_test(compare_and_set_needs_what_it_expects),
        cmocka_unit_test(two_that_expect_one_value_cannot_both_find_it),
        cmocka_unit_test(unknown_outcome_may_take_effect_late_or_never),
        cmocka_unit_test(chain_of_unknown_outcomes_explains_a_read),
        cmocka_unit_test(unknown_write_that_nobody_read_explains_a_miss),
        cmocka_unit_test(failed_operations_have_no_effect),
        cmocka_unit_test(keys_are_registers_of_their_own),
        cmocka_unit_test(revisions_order_concurrent_writes),
        cmocka_unit_test(read_names_the_revision_of_its_value),
        cmocka_unit_test(revisions_contradict_time_across_keys),
        cmocka_unit_test(revision_is_made_once_whatever_the_key),
        cmocka_unit_test(thirty_unknown_writes_do_not_blow_up),
        cmocka_unit_test(equal_unknown_writes_do_not_blow_up),
        cmocka_unit_test(bounds_leave_it_undecided),
        cmocka_unit_test(key_that_fails_counts_more_than_one_that_is_undecided),
        cmocka_unit_test(what_is_no_operation_is_refused),
        cmocka_unit_test(appends_make_the_string_that_is_read),
        cmocka_unit_test(configuration_is_known_where_one_has_used_no_more),
        cmocka_unit_test(smallest_part_is_what_contradicts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
