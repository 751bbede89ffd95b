/* Exactly one row for each combination, and what each verdict allows. */
#include "core/recovery/recovery_table.h"

#include "tests/support/test.h"

static void exactly_one_row_matches_each_combination(void **state)
{
    (void)state;
    size_t count = 0;
    const struct recovery_row *rows = recovery_rows(&count);
    bool used[64] = {false};
    size_t combinations = 0;

    assert_true(count <= COUNT_OF(used));
    for (int i = 0; i < IDENTITY_KINDS * LOG_KINDS * SNAPSHOT_KINDS * ROLE_KINDS; i++) {
        const struct recovery_findings found = {
            .identity = (enum found_identity)(i % IDENTITY_KINDS),
            .log = (enum found_log)(i / IDENTITY_KINDS % LOG_KINDS),
            .snapshot = (enum found_snapshot)(i / IDENTITY_KINDS / LOG_KINDS % SNAPSHOT_KINDS),
            .role = (enum found_role)(i / IDENTITY_KINDS / LOG_KINDS / SNAPSHOT_KINDS),
        };
        size_t matches = 0;
        for (size_t row = 0; row < count; row++) {
            if (recovery_row_matches(&rows[row], &found)) {
                used[row] = true;
                matches++;
            }
        }
        assert_int_equal(matches, 1);
        assert_non_null(recovery_decide(&found)->why);
        combinations++;
    }
    for (size_t row = 0; row < count; row++) {
        assert_true(used[row]);
    }
    print_message("# %zu combinations, %zu rows\n", combinations, count);
}

static void only_a_log_that_can_be_vouched_for_may_vote(void **state)
{
    (void)state;
    for (int i = 0; i < RECOVERY_VERDICTS; i++) {
        enum recovery_verdict verdict = (enum recovery_verdict)i;
        bool is_good = verdict == RECOVERY_EMPTY || verdict == RECOVERY_CLEAN ||
                       verdict == RECOVERY_TORN_TAIL || verdict == RECOVERY_HEALED;
        bool is_ours = verdict != RECOVERY_FOREIGN && verdict != RECOVERY_UNREADABLE;
        assert_int_equal(recovery_may_vote(verdict), is_good);
        assert_int_equal(recovery_may_run(verdict), is_ours);
    }
}

/* A member's empty disk must not pass for a new node's [scenario amnesiac-voter]. */
static void amnesiac_voter(void **state)
{
    (void)state;
    struct recovery_findings found = {.role = ROLE_MEMBER};
    assert_int_equal(recovery_decide(&found)->verdict, RECOVERY_WIPED);
    found.role = ROLE_NEW;
    assert_int_equal(recovery_decide(&found)->verdict, RECOVERY_EMPTY);
    found.identity = IDENTITY_OURS;
    assert_int_equal(recovery_decide(&found)->verdict, RECOVERY_WIPED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exactly_one_row_matches_each_combination),
        cmocka_unit_test(only_a_log_that_can_be_vouched_for_may_vote),
        cmocka_unit_test(amnesiac_voter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
