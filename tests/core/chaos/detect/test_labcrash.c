#include "core/chaos/detect/labcrash.h"

#include "core/chaos/detect/labjoin.h"
#include "core/chaos/detect/labload.h"
#include "tests/support/test.h"

static struct labcrash_cell crash_cell(enum labswim_protocol protocol)
{
    return (struct labcrash_cell){.protocol = protocol,
                                  .hosts = 20,
                                  .crashes = 1,
                                  .quiet = 5 * NANOS_PER_S,
                                  .span_max = 100 * NANOS_PER_S,
                                  .seed = 1};
}

static void a_crash_is_found_by_all(void **state)
{
    (void)state;
    for (int protocol = 0; protocol < LABSWIM_PROTOCOLS; protocol++) {
        struct labcrash_cell cell = crash_cell((enum labswim_protocol)protocol);
        for (uint32_t crashes = 1; crashes <= 3; crashes++) {
            struct labcrash_result r;
            cell.crashes = crashes;
            labcrash_run(&cell, &r);
            assert_true(r.first_s > 0.1);
            assert_true(r.full_s >= r.first_s && r.full_s < 30);
            assert_int_equal(r.false_deaths, 0);
            assert_in_range(r.messages, 20, 20 * 30);
        }
    }
}

/* Both directions lose three in ten, streams included. */
static void under_loss_nobody_is_wronged_and_a_crash_is_found(void **state)
{
    (void)state;
    struct labcrash_cell cell = crash_cell(LABSWIM_SHIPPED);

    cell.loss = 3 * LABNET_CERTAIN / 10;
    cell.quiet = 60 * NANOS_PER_S;
    for (cell.seed = 1; cell.seed <= 5; cell.seed++) {
        struct labcrash_result r;
        labcrash_run(&cell, &r);
        assert_int_equal(r.false_deaths, 0);
        assert_true(r.first_s > 0.1 && r.full_s < 20);
    }
}

/* The laboratory can fail a protocol: who never condemns finds nothing, who probes rarely is slow.
 */
static void tune_lenient(void *ctx, struct swim_config *config)
{
    (void)ctx;
    config->suspicion_alpha = 1000;
}

static void tune_lazy(void *ctx, struct swim_config *config)
{
    (void)ctx;
    config->probe_interval *= 5;
    config->probe_timeout *= 5;
}

static void a_protocol_that_is_too_lenient_or_lazy_scores_badly(void **state)
{
    (void)state;
    struct labcrash_cell cell = crash_cell(LABSWIM_PLAIN);
    struct labcrash_result normal;
    struct labcrash_result r;

    labcrash_run(&cell, &normal);
    cell.tune = tune_lenient;
    labcrash_run(&cell, &r);
    assert_true(r.first_s <= 0 && r.full_s <= 0);
    cell.tune = tune_lazy;
    labcrash_run(&cell, &r);
    assert_true(r.first_s > 2 * normal.first_s);
}

static void crashes_repeat_with_their_seed(void **state)
{
    (void)state;
    struct labcrash_cell cell = crash_cell(LABSWIM_SHIPPED);
    struct labcrash_result a;
    struct labcrash_result b;
    labcrash_run(&cell, &a);
    labcrash_run(&cell, &b);
    assert_memory_equal(&a, &b, sizeof a);
}

static void load_is_counted_on_both_sides(void **state)
{
    (void)state;
    struct labload_cell cell = {.protocol = LABSWIM_PLAIN,
                                .hosts = 20,
                                .warmup = 10 * NANOS_PER_S,
                                .span = 60 * NANOS_PER_S,
                                .seed = 1};
    struct labload_result steady;
    struct labload_result crashed;
    labload_run(&cell, &steady);
    cell.crashes = 3;
    labload_run(&cell, &crashed);
    /* A probe and an answer a second and host, and nothing is lost. */
    assert_true(steady.messages_s > 1.9 && steady.messages_s < 3);
    assert_true(steady.out.mean > steady.messages_s * LABNET_HEADER_BYTES);
    assert_true(steady.out.mean < 1.01 * steady.in.mean && steady.in.mean < 1.01 * steady.out.mean);
    assert_true(steady.out.p99 >= steady.out.mean && steady.out.max >= steady.out.p99);
    assert_true(crashed.in.mean < crashed.out.mean); /* the dead are asked and do not hear */
}

static void joins_end_in_one_view_unless_nothing_arrives(void **state)
{
    (void)state;
    struct labjoin_cell cell = {.protocol = LABSWIM_SHIPPED,
                                .hosts = 6,
                                .every = NANOS_PER_S,
                                .at = 60 * NANOS_PER_S,
                                .seed = 1};
    struct labjoin_result r;
    labjoin_run(&cell, &r);
    assert_int_equal(r.sees_min, 6);
    assert_int_equal(r.whole, 6);
    assert_int_equal(r.deaths, 0);
    cell.loss_in = LABNET_CERTAIN;
    labjoin_run(&cell, &r);
    assert_int_equal(r.sees_min, 1);
    assert_int_equal(r.whole, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crash_is_found_by_all),
        cmocka_unit_test(under_loss_nobody_is_wronged_and_a_crash_is_found),
        cmocka_unit_test(a_protocol_that_is_too_lenient_or_lazy_scores_badly),
        cmocka_unit_test(crashes_repeat_with_their_seed),
        cmocka_unit_test(load_is_counted_on_both_sides),
        cmocka_unit_test(joins_end_in_one_view_unless_nothing_arrives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
