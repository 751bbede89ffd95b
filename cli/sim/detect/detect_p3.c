/*
 * P3: a hundred members, of which some share their processor with a hog ([Dadgar17 §V.B]). The
 * paper's hosts had one processor and a load of many threads; here the process of a distressed
 * member is given slices of a few milliseconds and waits in between, for exponential times whose
 * mean is a column: what a fair scheduler leaves to one of a hundred threads is some hundred
 * milliseconds.
 */
#include <string.h>

#include "cli/sim/detect/detect.h"
#include "cli/sim/detect/detect_plot.h"
#include "cli/sim/detect/detect_pool.h"
#include "cli/sim/detect/detect_table.h"
#include "core/chaos/detect/labblock.h"

#define SEEDS_MAX 100
#define SLICE     (5 * NANOS_PER_MS)

static const uint32_t DISTRESSED[] = {1, 2, 4, 8, 16, 32};
static const uint32_t WAITS_MS[] = {400, 5000, 15000};
static const uint32_t DISTRESSED_QUICK[] = {4};
static const uint32_t WAITS_QUICK_MS[] = {15000};

struct p3_plan {
    const struct detect_call *call;
    const uint32_t *distressed;
    const uint32_t *waits_ms;
    size_t distressed_count;
    size_t wait_count;
    uint32_t seeds;
    uint32_t hosts;
    nanos span;
};

/* Runs are ordered by protocol, wait, distressed, seed. */
static void p3_one(const void *ctx, size_t index, void *result)
{
    const struct p3_plan *plan = ctx;
    size_t cell = index / plan->seeds;

    labblock_run(
        &(struct labblock_cell){
            .kind = LABBLOCK_STARVED,
            .protocol = (enum labswim_protocol)(cell / plan->distressed_count / plan->wait_count),
            .hosts = plan->hosts,
            .anomalous = plan->distressed[cell % plan->distressed_count],
            .closed =
                plan->waits_ms[cell / plan->distressed_count % plan->wait_count] * NANOS_PER_MS,
            .open = SLICE,
            .quiet = 15 * NANOS_PER_S,
            .span = plan->span,
            .seed = index % plan->seeds + 1,
            .latency = plan->call->latency},
        result);
}

static void p3_row(const struct p3_plan *plan, const struct labblock_result *runs, size_t cell,
                   struct detect_table *table, double *ret_sums)
{
    static double values[SEEDS_MAX];

    detect_table_text(table, labswim_name((enum labswim_protocol)(cell / plan->distressed_count /
                                                                  plan->wait_count)));
    detect_table_number(table, plan->waits_ms[cell / plan->distressed_count % plan->wait_count], 0);
    detect_table_number(table, plan->distressed[cell % plan->distressed_count], 0);
    for (size_t which = 0; which < 5; which++) {
        for (uint32_t i = 0; i < plan->seeds; i++) {
            const struct labblock_deaths *f = &runs[i].false_ones;
            const double fields[] = {(double)f->originations, (double)f->originations_healthy,
                                     (double)f->events, (double)f->events_healthy,
                                     (double)runs[i].anomalous.originations};
            values[i] = fields[which];
            ret_sums[which] += fields[which];
        }
        labstat_sort(values, plan->seeds);
        struct labstat_estimate e = labstat_estimate_quantile(values, plan->seeds, 0.5);
        detect_table_estimate(table, &e, 0);
    }
}

bool detect_run_p3(const struct detect_call *call)
{
    static const char *const columns[] = {
        "protocol", "wait_ms",        "distressed",      "FP", "FP_healthy",
        "events",   "events_healthy", "distressed_died", NULL};
    bool q = call->is_quick;
    struct p3_plan plan = {
        .call = call,
        .distressed = q ? DISTRESSED_QUICK : DISTRESSED,
        .waits_ms = q ? WAITS_QUICK_MS : WAITS_MS,
        .distressed_count = q ? COUNT_OF(DISTRESSED_QUICK) : COUNT_OF(DISTRESSED),
        .wait_count = q ? COUNT_OF(WAITS_QUICK_MS) : COUNT_OF(WAITS_MS),
        .seeds = detect_seeds(call, 5, 1),
        .hosts = q ? 32 : 100,
        .span = (q ? 60 : 300) * NANOS_PER_S,
    };
    if (plan.seeds > SEEDS_MAX) {
        plan.seeds = SEEDS_MAX;
    }
    struct detect_work work = {.runs = LABSWIM_PROTOCOLS * plan.distressed_count * plan.wait_count *
                                       plan.seeds,
                               .result_bytes = sizeof(struct labblock_result),
                               .run = p3_one,
                               .ctx = &plan,
                               .jobs = call->jobs};
    struct labblock_result *results = detect_pool_run(&work);
    struct detect_table table;
    double sums[LABSWIM_PROTOCOLS][5] = {{0}};

    if (results == NULL) {
        return false;
    }
    detect_table_init(&table, "Starved processors: false positives, median of the seeds", columns);
    for (size_t cell = 0; cell < work.runs / plan.seeds; cell++) {
        p3_row(&plan, results + cell * plan.seeds, cell, &table,
               sums[cell / plan.distressed_count / plan.wait_count]);
    }
    detect_table_end(&table, call);
    detect_figure("p3_swim_fp", sums[LABSWIM_PLAIN][0], "deaths");
    detect_figure("p3_lifeguard_fp", sums[LABSWIM_LIFEGUARD][0], "deaths");
    detect_figure("p3_fp", sums[LABSWIM_SHIPPED][0], "deaths");
    detect_figure("p3_fp_healthy", sums[LABSWIM_SHIPPED][1], "deaths");
    detect_pool_free(results, &work);
    return true;
}
