#include "core/chaos/detect/labblock.h"

#include <string.h>

#include "tests/support/test.h"

/* Small, and hard: a quarter is blocked for 16 s of each 16.064. */
static struct labblock_cell hard_cell(enum labswim_protocol protocol)
{
    return (struct labblock_cell){.kind = LABBLOCK_PERIODS,
                                  .protocol = protocol,
                                  .hosts = 32,
                                  .anomalous = 8,
                                  .closed = 16 * NANOS_PER_S,
                                  .open = 64 * NANOS_PER_MS,
                                  .quiet = 5 * NANOS_PER_S,
                                  .span = 120 * NANOS_PER_S,
                                  .seed = 1};
}

static void who_is_not_blocked_long_is_not_called_dead(void **state)
{
    (void)state;
    for (int protocol = 0; protocol < LABSWIM_PROTOCOLS; protocol++) {
        struct labblock_cell cell = hard_cell((enum labswim_protocol)protocol);
        struct labblock_result r;
        cell.closed = 50 * NANOS_PER_MS;
        cell.open = 200 * NANOS_PER_MS;
        labblock_run(&cell, &r);
        assert_int_equal(r.false_ones.events, 0);
        assert_int_equal(r.anomalous.events, 0);
        assert_true(r.messages > 32 * 100);
    }
}

static void lifeguard_errs_less_than_swim(void **state)
{
    (void)state;
    struct labblock_cell plain = hard_cell(LABSWIM_PLAIN);
    struct labblock_cell lifeguard = hard_cell(LABSWIM_LIFEGUARD);
    struct labblock_result a;
    struct labblock_result b;

    labblock_run(&plain, &a);
    labblock_run(&lifeguard, &b);
    assert_true(a.false_ones.originations > 20);
    assert_true(a.false_ones.events >= a.false_ones.originations);
    assert_true(b.false_ones.originations * 5 < a.false_ones.originations);
}

/* The laboratory can fail a protocol: one that hardly waits for a refutation is worse. */
static void tune_impatient(void *ctx, struct swim_config *config)
{
    (void)ctx;
    config->suspicion_alpha = 1;
    config->suspicion_beta = 1;
}

static void an_impatient_protocol_scores_badly(void **state)
{
    (void)state;
    struct labblock_cell cell = hard_cell(LABSWIM_LIFEGUARD);
    struct labblock_result patient;
    struct labblock_result impatient;

    labblock_run(&cell, &patient);
    cell.tune = tune_impatient;
    labblock_run(&cell, &impatient);
    assert_true(impatient.false_ones.originations > 2 * patient.false_ones.originations + 10);
}

static void a_block_for_good_is_a_death(void **state)
{
    (void)state;
    for (int protocol = 0; protocol < LABSWIM_PROTOCOLS; protocol++) {
        struct labblock_cell cell = hard_cell((enum labswim_protocol)protocol);
        struct labblock_result r;
        cell.kind = LABBLOCK_ONCE;
        cell.anomalous = 1;
        cell.closed = cell.span;
        labblock_run(&cell, &r);
        assert_true(r.first_s > 0);
        assert_true(r.full_s >= r.first_s && r.full_s < 60);
        assert_int_equal(r.false_ones.events_healthy, 0);
    }
}

static void starved_members_are_those_who_suffer(void **state)
{
    (void)state;
    struct labblock_cell cell = hard_cell(LABSWIM_PLAIN);
    struct labblock_result r;
    cell.kind = LABBLOCK_STARVED;
    cell.closed = 15 * NANOS_PER_S;
    cell.open = 5 * NANOS_PER_MS;
    labblock_run(&cell, &r);
    assert_true(r.anomalous.originations > 0);
}

static void one_seed_gives_one_result(void **state)
{
    (void)state;
    struct labblock_cell cell = hard_cell(LABSWIM_PLAIN);
    struct labblock_result a;
    struct labblock_result b;
    labblock_run(&cell, &a);
    labblock_run(&cell, &b);
    assert_memory_equal(&a, &b, sizeof a);
    cell.seed = 2;
    labblock_run(&cell, &b);
    assert_true(a.messages != b.messages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_not_blocked_long_is_not_called_dead),
        cmocka_unit_test(lifeguard_errs_less_than_swim),
        cmocka_unit_test(an_impatient_protocol_scores_badly),
        cmocka_unit_test(a_block_for_good_is_a_death),
        cmocka_unit_test(starved_members_are_those_who_suffer),
        cmocka_unit_test(one_seed_gives_one_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
