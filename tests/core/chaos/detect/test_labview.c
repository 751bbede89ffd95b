#include "core/chaos/detect/labview.h"

#include "tests/support/test.h"

static struct labview_cell view_cell(enum labswim_protocol protocol, enum labview_fault fault)
{
    return (struct labview_cell){.protocol = protocol,
                                 .fault = fault,
                                 .hosts = 40,
                                 .faulty = 2,
                                 .quiet = 10 * NANOS_PER_S,
                                 .span = 100 * NANOS_PER_S,
                                 .seed = 1};
}

static void crashes_end_in_one_view(void **state)
{
    (void)state;
    for (int protocol = 0; protocol < LABSWIM_PROTOCOLS; protocol++) {
        struct labview_cell cell = view_cell((enum labswim_protocol)protocol, LABVIEW_CRASH);
        struct labview_result r;
        labview_run(&cell, &r);
        assert_int_equal(r.missed, 0);
        assert_int_equal(r.false_deaths, 0);
        assert_in_range(r.sizes, 2, 3);
        assert_int_equal(r.changes_most, 2);
        assert_true(r.agreed_s > 0.5 && r.agreed_s < 40);
    }
}

/* The laboratory can fail a protocol: one that waits for minutes misses all. */
static void who_is_too_slow_misses_all(void **state)
{
    (void)state;
    struct labview_cell cell = view_cell(LABSWIM_PLAIN, LABVIEW_CRASH);
    struct labview_result r;
    cell.span = NANOS_PER_S;
    labview_run(&cell, &r);
    assert_int_equal(r.missed, 2);
    assert_int_equal(r.sizes, 1);
}

/* SWIM lets a member that hears badly call others dead; ours asks several. */
static void heavy_loss_makes_swim_err_and_ours_not(void **state)
{
    (void)state;
    struct labview_cell cell = view_cell(LABSWIM_PLAIN, LABVIEW_LOSS_OUT);
    struct labview_result r;
    labview_run(&cell, &r);
    assert_true(r.false_deaths > 0);
    cell.protocol = LABSWIM_SHIPPED;
    labview_run(&cell, &r);
    assert_int_equal(r.false_deaths, 0);
}

static void views_repeat_with_their_seed(void **state)
{
    (void)state;
    for (int fault = LABVIEW_CRASH; fault <= LABVIEW_LOSS_IN; fault++) {
        struct labview_cell cell = view_cell(LABSWIM_SHIPPED, (enum labview_fault)fault);
        struct labview_result a;
        struct labview_result b;
        labview_run(&cell, &a);
        labview_run(&cell, &b);
        assert_memory_equal(&a, &b, sizeof a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crashes_end_in_one_view),
        cmocka_unit_test(who_is_too_slow_misses_all),
        cmocka_unit_test(heavy_loss_makes_swim_err_and_ours_not),
        cmocka_unit_test(views_repeat_with_their_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
