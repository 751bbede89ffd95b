/*
 * P2: some members are blocked once, for so long (the Threshold experiment of [Dadgar17 §V.D]): how
 * long a block must last until it is taken for a death, and how long that takes. A block that ends
 * sooner should be survived; a long one is a death like any other.
 */
#include <string.h>

#include "cli/sim/detect/detect.h"
#include "cli/sim/detect/detect_plot.h"
#include "cli/sim/detect/detect_pool.h"
#include "cli/sim/detect/detect_table.h"
#include "core/chaos/detect/labblock.h"

#define SEEDS_MAX 1000

static const uint32_t ANOMALOUS[] = {1, 8, 32};
static const uint32_t CLOSED_MS[] = {1000, 2000, 4000, 8000, 16000, 32000, 64000};
static const uint32_t ANOMALOUS_QUICK[] = {2};
static const uint32_t CLOSED_QUICK_MS[] = {1000, 32000};

struct p2_plan {
    const struct detect_call *call;
    const uint32_t *anomalous;
    const uint32_t *closed_ms;
    size_t anomalous_count;
    size_t closed_count;
    uint32_t seeds;
    uint32_t hosts;
};

/* Runs are ordered by protocol, anomalous, closed, seed. */
static void p2_one(const void *ctx, size_t index, void *result)
{
    const struct p2_plan *plan = ctx;
    size_t cell = index / plan->seeds;
    nanos closed = plan->closed_ms[cell % plan->closed_count] * NANOS_PER_MS;

    labblock_run(
        &(struct labblock_cell){
            .kind = LABBLOCK_ONCE,
            .protocol = (enum labswim_protocol)(cell / plan->closed_count / plan->anomalous_count),
            .hosts = plan->hosts,
            .anomalous = plan->anomalous[cell / plan->closed_count % plan->anomalous_count],
            .closed = closed,
            .quiet = 15 * NANOS_PER_S,
            .span = closed,
            .after = 30 * NANOS_PER_S,
            .seed = index % plan->seeds + 1,
            .latency = plan->call->latency},
        result);
}

static void p2_row(const struct p2_plan *plan, const struct labblock_result *runs, size_t cell,
                   struct detect_table *table)
{
    static double first[SEEDS_MAX];
    static double full[SEEDS_MAX];
    size_t firsts = 0;
    size_t fulls = 0;
    uint64_t wrong = 0;

    for (uint32_t i = 0; i < plan->seeds; i++) {
        if (runs[i].first_s > 0) {
            first[firsts++] = runs[i].first_s;
        }
        if (runs[i].full_s > 0) {
            full[fulls++] = runs[i].full_s;
        }
        wrong += runs[i].false_ones.originations;
    }
    labstat_sort(first, firsts);
    labstat_sort(full, fulls);
    detect_table_text(table, labswim_name((enum labswim_protocol)(cell / plan->closed_count /
                                                                  plan->anomalous_count)));
    detect_table_number(table, plan->anomalous[cell / plan->closed_count % plan->anomalous_count],
                        0);
    detect_table_number(table, plan->closed_ms[cell % plan->closed_count] / 1000.0, 0);
    detect_table_number(table, 100.0 * (double)firsts / plan->seeds, 0);
    const double *sorted[] = {first, full};
    const size_t counts[] = {firsts, fulls};
    for (size_t k = 0; k < COUNT_OF(sorted); k++) {
        struct labstat_estimate e = labstat_estimate_quantile(sorted[k], counts[k], 0.5);
        detect_table_estimate(table, &e, 2);
        detect_table_number(table, labstat_quantile(sorted[k], counts[k], 0.99), 2);
        detect_table_number(table, labstat_quantile(sorted[k], counts[k], 0.999), 2);
    }
    detect_table_number(table, (double)wrong, 0);
}

bool detect_run_p2(const struct detect_call *call)
{
    static const char *const columns[] = {
        "protocol",     "anomalous",  "closed_s",   "died_percent", "first_p50_s", "first_p99_s",
        "first_p999_s", "full_p50_s", "full_p99_s", "full_p999_s",  "FP",          NULL};
    bool q = call->is_quick;
    struct p2_plan plan = {.call = call,
                           .anomalous = q ? ANOMALOUS_QUICK : ANOMALOUS,
                           .closed_ms = q ? CLOSED_QUICK_MS : CLOSED_MS,
                           .anomalous_count = q ? COUNT_OF(ANOMALOUS_QUICK) : COUNT_OF(ANOMALOUS),
                           .closed_count = q ? COUNT_OF(CLOSED_QUICK_MS) : COUNT_OF(CLOSED_MS),
                           .seeds = detect_seeds(call, 10, 3),
                           .hosts = q ? 32 : 128};
    if (plan.seeds > SEEDS_MAX) {
        plan.seeds = SEEDS_MAX;
    }
    struct detect_work work = {.runs = LABSWIM_PROTOCOLS * plan.anomalous_count *
                                       plan.closed_count * plan.seeds,
                               .result_bytes = sizeof(struct labblock_result),
                               .run = p2_one,
                               .ctx = &plan,
                               .jobs = call->jobs};
    struct labblock_result *results = detect_pool_run(&work);
    struct detect_table table;

    if (results == NULL) {
        return false;
    }
    detect_table_init(
        &table, "Blocked once: is it called dead, and when (of the runs in which it is)", columns);
    size_t longest = plan.closed_count - 1;
    size_t died = 0;
    for (size_t cell = 0; cell < work.runs / plan.seeds; cell++) {
        p2_row(&plan, results + cell * plan.seeds, cell, &table);
        bool is_goal = cell / plan.closed_count / plan.anomalous_count == LABSWIM_SHIPPED &&
                       cell / plan.closed_count % plan.anomalous_count == 0 &&
                       cell % plan.closed_count == longest;
        for (uint32_t i = 0; i < plan.seeds && is_goal; i++) {
            died += results[cell * plan.seeds + i].first_s > 0;
        }
    }
    detect_table_end(&table, call);
    detect_figure("p2_long_block_detected_percent", 100.0 * (double)died / plan.seeds, "%");
    detect_pool_free(results, &work);
    return true;
}
