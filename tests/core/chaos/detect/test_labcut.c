#include "core/chaos/detect/labcut.h"

#include "core/chaos/detect/labgray.h"
#include "tests/support/test.h"

static struct labcut_cell cut_cell(uint32_t faulty, uint32_t high, uint32_t low, nanos settle)
{
    return (struct labcut_cell){.hosts = 100,
                                .faulty = faulty,
                                .high = high,
                                .low = low,
                                .spread = NANOS_PER_S,
                                .settle = settle};
}

/* Conflicts among so many seeds; all faulty hosts must be cut each time, and nobody else. */
static uint32_t conflicts_of(struct labcut_cell cell, uint32_t seeds)
{
    uint32_t conflicts = 0;
    for (cell.seed = 1; cell.seed <= seeds; cell.seed++) {
        struct labcut_result r;
        labcut_run(&cell, &r);
        assert_int_equal(r.wronged, 0);
        assert_true(r.cuts >= 1 && r.last_s > 0);
        assert_true(r.is_conflict == (r.cuts > 1));
        conflicts += r.is_conflict;
    }
    return conflicts;
}

static void the_wider_the_gap_the_fewer_conflicts(void **state)
{
    (void)state;
    uint32_t narrow = conflicts_of(cut_cell(2, 6, 5, 0), 100);
    uint32_t middle = conflicts_of(cut_cell(2, 8, 4, 0), 100);
    uint32_t wide = conflicts_of(cut_cell(2, 9, 3, 0), 100);
    assert_true(narrow > 40); /* H beside L: the laboratory can fail a rule */
    assert_true(middle < narrow / 2);
    assert_true(wide <= middle && wide <= 5);
}

static void who_waits_for_more_has_no_conflict(void **state)
{
    (void)state;
    assert_int_equal(conflicts_of(cut_cell(8, 6, 4, NANOS_PER_S), 30), 0);
}

static struct labgray_cell gray_cell(enum labgray_fault fault)
{
    return (struct labgray_cell){.fault = fault,
                                 .gap = 20 * NANOS_PER_MS,
                                 .quiet = 60 * NANOS_PER_S,
                                 .span = 30 * NANOS_PER_S,
                                 .seed = 1,
                                 .threshold_factor = 1};
}

static void gray_failures_are_seen_and_named(void **state)
{
    (void)state;
    for (int fault = LABGRAY_NONE; fault < LABGRAY_FAULTS; fault++) {
        struct labgray_cell cell = gray_cell((enum labgray_fault)fault);
        struct labgray_result r;
        labgray_run(&cell, &r);
        bool is_fault = fault != LABGRAY_NONE;
        assert_true((r.signal_s > 0) == is_fault);
        assert_true((r.verdict_s > 0) == is_fault);
        assert_true(r.verdict_s < 15);
        assert_int_equal(r.signals_false, 0);
        assert_int_equal(r.verdicts_false, 0);
    }
}

/* The laboratory can fail a rule: one that wants ten times the evidence is slow, or sees nothing.
 */
static void a_rule_that_wants_too_much_scores_badly(void **state)
{
    (void)state;
    for (int fault = LABGRAY_NONE + 1; fault < LABGRAY_FAULTS; fault++) {
        struct labgray_cell cell = gray_cell((enum labgray_fault)fault);
        struct labgray_result shipped;
        struct labgray_result r;
        labgray_run(&cell, &shipped);
        cell.threshold_factor = 10;
        labgray_run(&cell, &r);
        assert_true(r.signal_s > shipped.signal_s || r.signal_s <= 0);
    }
}

static void runs_repeat_with_their_seed(void **state)
{
    (void)state;
    struct labgray_cell gray = gray_cell(LABGRAY_HALF_NIC);
    struct labgray_result a;
    struct labgray_result b;
    labgray_run(&gray, &a);
    labgray_run(&gray, &b);
    assert_memory_equal(&a, &b, sizeof a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_wider_the_gap_the_fewer_conflicts),
        cmocka_unit_test(who_waits_for_more_has_no_conflict),
        cmocka_unit_test(gray_failures_are_seen_and_named),
        cmocka_unit_test(a_rule_that_wants_too_much_scores_badly),
        cmocka_unit_test(runs_repeat_with_their_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
