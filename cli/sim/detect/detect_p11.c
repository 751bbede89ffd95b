/*
 * P11: gray failures, at two rates of requests. How long until an observer calls the right host
 * degraded, how long until the cause is named, and who is called so by mistake in ten quiet minutes
 * and afterwards; Envoy's outlier detection beside it.
 */
#include <string.h>

#include "cli/sim/detect/detect.h"
#include "cli/sim/detect/detect_pool.h"
#include "cli/sim/detect/detect_table.h"
#include "core/chaos/detect/labgray.h"

#define SEEDS_MAX 1000

/* Two per cent of loss take some three hundred requests to tell from one in ten thousand: it is
 * asked for at the higher rate alone. */
static const nanos GAPS[] = {5 * NANOS_PER_MS, 250 * NANOS_PER_MS};

struct p11_plan {
    uint32_t seeds;
    nanos quiet;
    nanos span;
};

/* Runs are ordered by gap, fault, seed. */
static void p11_one(const void *ctx, size_t index, void *result)
{
    const struct p11_plan *plan = ctx;
    size_t cell = index / plan->seeds;

    labgray_run(&(struct labgray_cell){.fault = (enum labgray_fault)(cell % LABGRAY_FAULTS),
                                       .gap = GAPS[cell / LABGRAY_FAULTS],
                                       .quiet = plan->quiet,
                                       .span = plan->span,
                                       .seed = index % plan->seeds + 1,
                                       .threshold_factor = 1},
                result);
}

struct p11_sum {
    double signal_most;
    double verdict_most;
    uint64_t missed;
    uint64_t signals_false;
    uint64_t verdicts_false;
};

static void p11_row(const struct p11_plan *plan, const struct labgray_result *runs, size_t cell,
                    struct detect_table *table, struct p11_sum *sum)
{
    static double values[SEEDS_MAX];
    enum labgray_fault fault = (enum labgray_fault)(cell % LABGRAY_FAULTS);
    /* What cannot be told at this rate is shown, and judged by its mistakes alone. */
    bool is_judged =
        fault != LABGRAY_NONE && (fault != LABGRAY_LOSSY_PATH || cell / LABGRAY_FAULTS == 0);

    detect_table_text(table, labgray_name(fault));
    detect_table_number(table, 1e9 / (double)GAPS[cell / LABGRAY_FAULTS], 0);
    for (size_t which = 0; which < 3; which++) {
        size_t n = 0;
        for (uint32_t i = 0; i < plan->seeds; i++) {
            const double fields[] = {runs[i].signal_s, runs[i].verdict_s, runs[i].envoy_s};
            if (fields[which] > 0) {
                values[n++] = fields[which];
            }
        }
        labstat_sort(values, n);
        struct labstat_estimate e = labstat_estimate_quantile(values, n, 0.5);
        detect_table_number(table, 100.0 * (double)n / plan->seeds, 0);
        detect_table_estimate(table, &e, 2);
        double most = n > 0 ? values[n - 1] : 0;
        detect_table_number(table, most, 2);
        double *field = which == 0 ? &sum->signal_most : &sum->verdict_most;
        if (is_judged && which < 2) {
            *field = most > *field ? most : *field;
            sum->missed += plan->seeds - n;
        }
    }
    uint64_t counts[3] = {0};
    for (uint32_t i = 0; i < plan->seeds; i++) {
        counts[0] += runs[i].signals_false;
        counts[1] += runs[i].verdicts_false;
        counts[2] += runs[i].envoy_false;
    }
    for (size_t k = 0; k < COUNT_OF(counts); k++) {
        detect_table_number(table, (double)counts[k], 0);
    }
    sum->signals_false += counts[0];
    sum->verdicts_false += counts[1];
}

bool detect_run_p11(const struct detect_call *call)
{
    static const char *const columns[] = {
        "fault",         "req_s",         "seen_percent", "signal_p50_s",  "signal_max_s",
        "named_percent", "named_p50_s",   "named_max_s",  "envoy_percent", "envoy_p50_s",
        "envoy_max_s",   "signals_false", "named_false",  "envoy_false",   NULL};
    bool q = call->is_quick;
    struct p11_plan plan = {.seeds = detect_seeds(call, 5, 2),
                            .quiet = (q ? 60 : 600) * NANOS_PER_S,
                            .span = (q ? 30 : 60) * NANOS_PER_S};
    if (plan.seeds > SEEDS_MAX) {
        plan.seeds = SEEDS_MAX;
    }
    struct detect_work work = {.runs = COUNT_OF(GAPS) * LABGRAY_FAULTS * plan.seeds,
                               .result_bytes = sizeof(struct labgray_result),
                               .run = p11_one,
                               .ctx = &plan,
                               .jobs = call->jobs};
    struct labgray_result *results = detect_pool_run(&work);
    struct detect_table table;
    struct p11_sum sum = {0};

    if (results == NULL) {
        return false;
    }
    detect_table_init(&table, "Gray failures among ten hosts", columns);
    for (size_t cell = 0; cell < COUNT_OF(GAPS) * LABGRAY_FAULTS; cell++) {
        p11_row(&plan, results + cell * plan.seeds, cell, &table, &sum);
    }
    detect_table_end(&table, call);
    detect_figure("p11_degraded_max_s", sum.signal_most, "s");
    detect_figure("p11_named_max_s", sum.verdict_most, "s");
    detect_figure("p11_missed", (double)sum.missed, "faults");
    detect_figure("p11_false_degraded", (double)sum.signals_false, "signals");
    detect_figure("p11_false_named", (double)sum.verdicts_false, "verdicts");
    detect_pool_free(results, &work);
    return true;
}
