#include "core/monitoring/health/host_score.h"

#include "tests/support/test.h"

#include <string.h>

#define S NANOS_PER_S

static struct host_view view_of_all(enum rung_state state)
{
    struct host_view v;

    memset(&v, 0, sizeof v);
    for (enum rung i = 0; i < RUNGS; i++) {
        v.rungs[i].state = state;
    }
    return v;
}

static void well_on_all_rungs_is_a_hundred(void **state)
{
    (void)state;
    struct host_view v = view_of_all(RUNG_WELL);
    struct host_score score = host_score_of(&v);
    assert_int_equal(score.condition, HOST_HEALTHY);
    assert_int_equal(score.points, 100);
    assert_int_equal(score.reason_count, 0);
    /* A host without an application is healthy, too. */
    v.rungs[RUNG_APPLICATION].state = RUNG_UNKNOWN;
    assert_int_equal(host_score_of(&v).condition, HOST_HEALTHY);
    v = view_of_all(RUNG_UNKNOWN);
    assert_int_equal(host_score_of(&v).condition, HOST_UNKNOWN);
}

static void reasons_come_worst_first_with_their_evidence(void **state)
{
    (void)state;
    struct host_view v = view_of_all(RUNG_WELL);
    v.rungs[RUNG_CLOCK] = (struct rung_view){RUNG_DEGRADED, 7 * S, 1, 9};
    v.rungs[RUNG_STORAGE] = (struct rung_view){RUNG_DEGRADED, 5 * S, 6, 8};
    struct host_score score = host_score_of(&v);
    assert_int_equal(score.condition, HOST_DEGRADED);
    assert_int_equal(score.points, 55);
    assert_int_equal(score.reason_count, 2);
    assert_int_equal(score.reasons[0].rung, RUNG_STORAGE);
    assert_true(score.reasons[0].since == 5 * S && score.reasons[0].bad == 6);
    assert_true(score.reasons[0].asked == 8 && score.reasons[0].points == 30);
    assert_int_equal(score.reasons[1].rung, RUNG_CLOCK);
    assert_string_equal(rung_name(score.reasons[0].rung), "storage");
    assert_string_equal(rung_state_name(score.reasons[0].state), "degraded");
    assert_string_equal(host_condition_name(score.condition), "degraded");
}

/* Without a process nobody knows of the application in it; a broken disk is told beside it. */
static void broken_rung_hides_what_it_carries(void **state)
{
    (void)state;
    struct host_view v = view_of_all(RUNG_WELL);
    v.rungs[RUNG_NETWORK].state = RUNG_BROKEN;
    v.rungs[RUNG_DAEMON].state = RUNG_BROKEN;
    v.rungs[RUNG_APPLICATION].state = RUNG_BROKEN;
    struct host_score score = host_score_of(&v);
    assert_int_equal(score.condition, HOST_FAILING);
    assert_int_equal(score.points, 0);
    assert_int_equal(score.reason_count, 1);
    assert_int_equal(score.reasons[0].rung, RUNG_NETWORK);
    v = view_of_all(RUNG_WELL);
    v.rungs[RUNG_STORAGE].state = RUNG_BROKEN;
    v.rungs[RUNG_APPLICATION].state = RUNG_BROKEN;
    score = host_score_of(&v);
    assert_int_equal(score.reason_count, 2);
    assert_int_equal(score.points, 0);
}

/* Worse on any rung is never a better score. */
static void score_is_monotone(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(2000); round++) {
        struct host_view v = view_of_all(RUNG_WELL);
        for (enum rung i = 0; i < RUNGS; i++) {
            v.rungs[i].state = (enum rung_state)prng_range(&prng, RUNG_WELL, RUNG_BROKEN);
        }
        struct host_score before = host_score_of(&v);
        enum rung worse = (enum rung)prng_below(&prng, RUNGS);
        if (v.rungs[worse].state == RUNG_BROKEN) {
            continue;
        }
        v.rungs[worse].state++;
        struct host_score after = host_score_of(&v);
        assert_true(after.condition >= before.condition);
        /* But for what a broken rung hides, which is why it takes away at least as much. */
        assert_true(after.points <= before.points || v.rungs[worse].state == RUNG_BROKEN);
    }
}

/* Scenario 20: more than half of the peers suspected: oneself is, and nobody is to be fenced. */
static void suspecting_most_peers_is_suspecting_oneself(void **state)
{
    (void)state;
    struct brake b;
    brake_init(&b, 10 * S);
    assert_false(brake_turn(&b, 0, 9, 1 * S));
    assert_false(brake_turn(&b, 4, 9, 2 * S)); /* less than half: a rack is down */
    assert_true(brake_turn(&b, 5, 9, 3 * S));
    assert_true(brake_turn(&b, 9, 9, 4 * S));
    assert_true(brake_deadline(&b) == NANOS_FOREVER);
    assert_true(b.pulls == 1);
    /* Half of an even number is not more than half. */
    brake_init(&b, 10 * S);
    assert_false(brake_turn(&b, 2, 4, 1 * S));
    assert_true(brake_turn(&b, 3, 4, 1 * S));
    /* Two hosts: the one peer is all of them, and a quorum has to decide. */
    brake_init(&b, 10 * S);
    assert_true(brake_turn(&b, 1, 1, 1 * S));
    brake_init(&b, 10 * S);
    assert_false(brake_turn(&b, 0, 0, 1 * S));
}

static void brake_is_released_after_a_calm(void **state)
{
    (void)state;
    struct brake b;
    brake_init(&b, 10 * S);
    assert_true(brake_turn(&b, 5, 9, 0));
    assert_true(brake_turn(&b, 1, 9, 20 * S));
    assert_true(brake_deadline(&b) == 30 * S);
    assert_true(brake_turn(&b, 1, 9, 30 * S - 1));
    assert_true(brake_turn(&b, 6, 9, 30 * S)); /* again: the calm begins anew */
    assert_true(brake_turn(&b, 0, 9, 31 * S));
    assert_true(brake_turn(&b, 0, 9, 40 * S));
    assert_false(brake_turn(&b, 0, 9, 41 * S));
    assert_true(b.pulls == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(well_on_all_rungs_is_a_hundred),
        cmocka_unit_test(reasons_come_worst_first_with_their_evidence),
        cmocka_unit_test(broken_rung_hides_what_it_carries),
        cmocka_unit_test(score_is_monotone),
        cmocka_unit_test(suspecting_most_peers_is_suspecting_oneself),
        cmocka_unit_test(brake_is_released_after_a_calm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
