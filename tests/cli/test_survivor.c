/* Reports of survivors: what is read is what was written, and nothing else; which of two is newer.
 */
#include <stdio.h>
#include <string.h>

#include "cli/survivor.h"
#include "tests/support/test.h"

static const char whole[] =
    "novacron-survivor cluster=4d member=a1 verdict=clean whole=1 witness=0 term=7 last=1044 "
    "last_term=6 commit=1040 lineage=0 voters=a1,a2,a3 dir=/var/lib/a b\n";

static void reads_what_a_report_says(void **state)
{
    (void)state;
    struct survivor s;
    assert_int_equal(survivor_parse(whole, &s), OK);
    assert_true(s.cluster == 0x4d && s.id == 0xa1 && s.verdict == RECOVERY_CLEAN);
    assert_true(s.term == 7 && s.last == 1044 && s.last_term == 6 && s.commit == 1040);
    assert_true(s.voter_count == 3 && s.voters[2] == 0xa3);
    assert_true(survivor_may_lead(&s));
    assert_string_equal(s.dir, "/var/lib/a b");
}

static void takes_nothing_else_for_a_report(void **state)
{
    (void)state;
    struct survivor s = {.id = 9};
    size_t end = (size_t)(strstr(whole, " dir=") - whole);
    for (size_t cut = 0; cut <= end; cut++) {
        char line[256];
        (void)snprintf(line, sizeof line, "%.*s", (int)cut, whole);
        assert_int_equal(survivor_parse(line, &s), ERR_INVALID);
    }
    static const char *const pairs[][2] = {
        {"cluster=4d", "cluster=x"},
        {"verdict=clean", "verdict=cleaner"},
        {"whole=1", "whole=2"},
        {"voters=a1,a2", "voters=a1;"},
        {"last=1044", "last="},
        {"novacron", "nova"},
        {"lineage=0", "lineage=100000000"},
    };
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        char line[512];
        const char *at = strstr(whole, pairs[i][0]);
        assert_non_null(at);
        (void)snprintf(line, sizeof line, "%.*s%s%s", (int)(at - whole), whole, pairs[i][1],
                       at + strlen(pairs[i][0]));
        assert_int_equal(survivor_parse(line, &s), ERR_INVALID);
    }
    assert_int_equal(s.id, 9);
}

/* A longer log of an earlier term, or of the history that ended, is not the newer one. */
static void compares_histories_then_terms_then_lengths(void **state)
{
    (void)state;
    const struct survivor ascending[] = {
        {.lineage = 0, .last_term = 5, .last = 900},
        {.lineage = 0, .last_term = 6, .last = 10},
        {.lineage = 0, .last_term = 6, .last = 11},
        {.lineage = 0x01000001, .last_term = 2, .last = 3},
    };
    for (size_t i = 0; i < COUNT_OF(ascending); i++) {
        for (size_t k = 0; k < COUNT_OF(ascending); k++) {
            assert_int_equal(survivor_is_newer(&ascending[i], &ascending[k]), i > k);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_a_report_says),
        cmocka_unit_test(takes_nothing_else_for_a_report),
        cmocka_unit_test(compares_histories_then_terms_then_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
