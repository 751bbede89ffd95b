/*
 * P4: one host crashes in a quiet cluster, at a random phase; each run is one crash in a cluster of
 * its own. Printed beside the protocols: what theory says of SWIM's first suspicion, and what
 * corosync's defaults come to.
 */
#include <math.h>
#include <string.h>

#include "cli/sim/detect/detect.h"
#include "cli/sim/detect/detect_plot.h"
#include "cli/sim/detect/detect_pool.h"
#include "cli/sim/detect/detect_table.h"
#include "core/base/check.h"
#include "core/chaos/detect/labcrash.h"

#define SEEDS_MAX 10000

static const uint32_t SIZES[] = {3, 5, 16, 32, 64, 128, 1000};
static const uint32_t SIZES_QUICK[] = {3, 16, 32};

/* Up to this many hosts on a LAN, and at that size the goals are set. */
#define SMALL_MAX 16
#define GOAL_SIZE 128

struct p4_plan {
    const struct detect_call *call;
    const uint32_t *sizes;
    size_t size_count;
    uint32_t seeds;
};

static void p4_one(const void *ctx, size_t index, void *result)
{
    const struct p4_plan *plan = ctx;
    size_t cell = index / plan->seeds;

    labcrash_run(
        &(struct labcrash_cell){
            .protocol = (enum labswim_protocol)(cell / plan->size_count),
            .hosts = plan->sizes[cell % plan->size_count],
            .crashes = 1,
            .quiet = 10 * NANOS_PER_S,
            .span_max = 150 * NANOS_PER_S,
            .seed = index % plan->seeds + 1,
            .latency = plan->call->latency,
        },
        result);
}

/* Sorted detection times of the runs of a cell that ended; returns how many. */
static size_t p4_times(const struct labcrash_result *runs, uint32_t count, bool is_full,
                       double *ret)
{
    size_t n = 0;
    for (uint32_t i = 0; i < count; i++) {
        double took = is_full ? runs[i].full_s : runs[i].first_s;
        if (took > 0) {
            ret[n++] = took;
        }
    }
    labstat_sort(ret, n);
    return n;
}

static void p4_row(const struct p4_plan *plan, const struct labcrash_result *runs, size_t cell,
                   struct detect_table *table)
{
    static double times[SEEDS_MAX];
    uint32_t hosts = plan->sizes[cell % plan->size_count];
    uint64_t false_deaths = 0;
    double messages = 0;
    double bytes = 0;

    for (uint32_t i = 0; i < plan->seeds; i++) {
        false_deaths += runs[i].false_deaths;
        messages += (double)runs[i].messages / hosts / plan->seeds;
        bytes += (double)runs[i].bytes / hosts / plan->seeds;
    }
    detect_table_text(table, labswim_name((enum labswim_protocol)(cell / plan->size_count)));
    detect_table_number(table, hosts, 0);
    for (int is_full = 0; is_full < 2; is_full++) {
        size_t n = p4_times(runs, plan->seeds, is_full != 0, times);
        detect_table_number(table, (double)n, 0);
        struct labstat_estimate median = labstat_estimate_quantile(times, n, 0.5);
        detect_table_estimate(table, &median, 2);
        detect_table_number(table, labstat_quantile(times, n, 0.99), 2);
    }
    detect_table_number(table, (double)false_deaths, 0);
    detect_table_number(table, messages, 2);
    detect_table_number(table, bytes, 0);
}

static void p4_theory(const struct p4_plan *plan)
{
    static const char *const columns[] = {"N", "swim_first_suspicion_mean_s", "corosync_worst_s",
                                          NULL};
    struct detect_table table;

    detect_table_init(
        &table, "Theory: SWIM's first suspicion [Das02]; corosync's token and consensus", columns);
    for (size_t i = 0; i < plan->size_count; i++) {
        double n = plan->sizes[i];
        double miss = pow(1 - 1 / (n - 1), n - 1); /* nobody chose it in a period */
        double token = n < 3 ? 3 : 3 + (n - 2) * 0.65;
        detect_table_number(&table, n, 0);
        detect_table_number(&table, 1 / (1 - miss), 2);
        detect_table_number(&table, token * 2.2, 1);
    }
    detect_table_end(&table, plan->call);
}

static void p4_plot(const struct p4_plan *plan, const struct labcrash_result *results)
{
    static struct plot plot;
    static double times[SEEDS_MAX];
    static const char *const titles[] = {"first detection", "all survivors"};

    plot = (struct plot){.title = "Detection of a crash: median, and up to the 99th percentile",
                         .x_label = "hosts",
                         .y_label = "seconds",
                         .x_is_log = true,
                         .count = 2};
    for (size_t cell = 0; cell < LABSWIM_PROTOCOLS * plan->size_count; cell++) {
        for (int is_full = 0; is_full < 2; is_full++) {
            struct plot_panel *panel = &plot.panels[is_full];
            panel->title = titles[is_full];
            struct plot_series *series = plot_series_of(
                panel, labswim_name((enum labswim_protocol)(cell / plan->size_count)));
            size_t n = p4_times(results + cell * plan->seeds, plan->seeds, is_full != 0, times);
            if (n > 0) {
                plot_add(series, plan->sizes[cell % plan->size_count],
                         labstat_quantile(times, n, 0.5));
                series->points[series->count - 1].hi = labstat_quantile(times, n, 0.99);
            }
        }
    }
    plot_write(&plot, plan->call->svg);
}

static void p4_figures(const struct p4_plan *plan, const struct labcrash_result *results)
{
    static double times[SEEDS_MAX];
    double small_first = 0;
    double small_full = 0;
    uint64_t small_false = 0;
    const char *unit = "s";

    for (size_t i = 0; i < plan->size_count; i++) {
        size_t cell = LABSWIM_SHIPPED * plan->size_count + i;
        const struct labcrash_result *runs = results + cell * plan->seeds;
        size_t n = p4_times(runs, plan->seeds, false, times);
        if (plan->sizes[i] <= SMALL_MAX) {
            small_first = fmax(small_first, labstat_quantile(times, n, 0.99));
            for (uint32_t k = 0; k < plan->seeds; k++) {
                small_false += runs[k].false_deaths;
            }
            n = p4_times(runs, plan->seeds, true, times);
            small_full = fmax(small_full, labstat_quantile(times, n, 0.99));
        } else if (plan->sizes[i] == GOAL_SIZE || plan->call->is_quick) {
            detect_figure("p4_hosts", plan->sizes[i], "hosts");
            detect_figure("p4_missed", (double)(plan->seeds - n), "crashes");
            detect_figure("p4_first_p50_s", labstat_quantile(times, n, 0.5), unit);
            detect_figure("p4_first_p99_s", labstat_quantile(times, n, 0.99), unit);
            n = p4_times(runs, plan->seeds, true, times);
            detect_figure("p4_full_p50_s", labstat_quantile(times, n, 0.5), unit);
            detect_figure("p4_full_p99_s", labstat_quantile(times, n, 0.99), unit);
        }
    }
    detect_figure("p4_small_first_p99_s", small_first, unit);
    detect_figure("p4_small_full_p99_s", small_full, unit);
    detect_figure("p4_small_false_deaths", (double)small_false, "deaths");
}

bool detect_run_p4(const struct detect_call *call)
{
    static const char *const columns[] = {"protocol",    "N",      "firsts",     "first_p50_s",
                                          "first_p99_s", "fulls",  "full_p50_s", "full_p99_s",
                                          "false",       "msgs_s", "B_s",        NULL};
    struct p4_plan plan = {.call = call,
                           .sizes = call->is_quick ? SIZES_QUICK : SIZES,
                           .size_count = call->is_quick ? COUNT_OF(SIZES_QUICK) : COUNT_OF(SIZES),
                           .seeds = detect_seeds(call, 100, 6)};
    struct detect_work work = {.runs = LABSWIM_PROTOCOLS * plan.size_count * plan.seeds,
                               .result_bytes = sizeof(struct labcrash_result),
                               .run = p4_one,
                               .ctx = &plan,
                               .jobs = call->jobs};
    struct labcrash_result *results = detect_pool_run(&work);
    struct detect_table table;

    if (results == NULL) {
        return false;
    }
    detect_table_init(&table, "One crash: detection, and the load before it", columns);
    for (size_t cell = 0; cell < LABSWIM_PROTOCOLS * plan.size_count; cell++) {
        p4_row(&plan, results + cell * plan.seeds, cell, &table);
    }
    detect_table_end(&table, call);
    p4_theory(&plan);
    if (call->svg != NULL) {
        p4_plot(&plan, results);
    }
    p4_figures(&plan, results);
    detect_pool_free(results, &work);
    return true;
}
