/*
 * Loss everywhere: so many of a hundred packets are lost, in both directions, of streams as well.
 * For five minutes nobody fails, and whoever is called dead is wronged; then one host crashes.
 *
 * Three protocols: the model of Lifeguard, ours as shipped, and ours where datagrams are all there
 * is, which shows what it is worth without streams.
 */
#include <math.h>

#include "cli/sim/detect/detect.h"
#include "cli/sim/detect/detect_pool.h"
#include "cli/sim/detect/detect_table.h"
#include "core/base/check.h"
#include "core/chaos/detect/labcrash.h"

#define LOSS_SEEDS_MAX 1000
#define LOSS_WORST     30 /* of a hundred: the figures are of up to here */

static const uint32_t LOSS_SIZES[] = {5, 16, 128};
static const uint32_t LOSS_PERCENT[] = {0, 10, 20, 30};

enum { LOSS_LIFEGUARD, LOSS_SHIPPED, LOSS_DATAGRAMS, LOSS_PROTOCOLS };

#define LOSS_SIZE_COUNT(call) ((call)->is_quick ? 2 : COUNT_OF(LOSS_SIZES))

struct loss_plan {
    const struct detect_call *call;
    size_t size_count;
    uint32_t seeds;
};

/* A cell is a protocol, a size and a loss. */
static size_t loss_cells(const struct loss_plan *plan)
{
    return LOSS_PROTOCOLS * plan->size_count * COUNT_OF(LOSS_PERCENT);
}

static uint32_t loss_protocol_of(const struct loss_plan *plan, size_t cell)
{
    return (uint32_t)(cell / COUNT_OF(LOSS_PERCENT) / plan->size_count);
}

static uint32_t loss_size_of(const struct loss_plan *plan, size_t cell)
{
    return LOSS_SIZES[cell / COUNT_OF(LOSS_PERCENT) % plan->size_count];
}

static uint32_t loss_percent_of(size_t cell)
{
    return LOSS_PERCENT[cell % COUNT_OF(LOSS_PERCENT)];
}

static void loss_without_streams(void *ctx, struct swim_config *config)
{
    (void)ctx;
    config->stream_fallback = false;
}

static void loss_one(const void *ctx, size_t index, void *result)
{
    const struct loss_plan *plan = ctx;
    size_t cell = index / plan->seeds;
    uint32_t protocol = loss_protocol_of(plan, cell);

    labcrash_run(
        &(struct labcrash_cell){
            .protocol = protocol == LOSS_LIFEGUARD ? LABSWIM_LIFEGUARD : LABSWIM_SHIPPED,
            .hosts = loss_size_of(plan, cell),
            .crashes = 1,
            .quiet = (plan->call->is_quick ? 60 : 300) * NANOS_PER_S,
            .loss = LABNET_CERTAIN / 100 * loss_percent_of(cell),
            .span_max = 100 * NANOS_PER_S,
            .seed = index % plan->seeds + 1,
            .latency = plan->call->latency,
            .tune = protocol == LOSS_DATAGRAMS ? loss_without_streams : NULL,
        },
        result);
}

/* Sorted times to the first detection; returns how many runs had one. */
static size_t loss_times(const struct labcrash_result *runs, uint32_t count, double *ret)
{
    size_t n = 0;

    for (uint32_t i = 0; i < count; i++) {
        if (runs[i].first_s > 0) {
            ret[n++] = runs[i].first_s;
        }
    }
    labstat_sort(ret, n);
    return n;
}

static uint64_t loss_wronged(const struct labcrash_result *runs, uint32_t count)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < count; i++) {
        sum += runs[i].false_deaths;
    }
    return sum;
}

static void loss_row(const struct loss_plan *plan, const struct labcrash_result *runs, size_t cell,
                     struct detect_table *table)
{
    static const char *const names[] = {"lifeguard", "shipped", "datagrams"};
    static double times[LOSS_SEEDS_MAX];
    size_t n = loss_times(runs, plan->seeds, times);
    struct labstat_estimate median = labstat_estimate_quantile(times, n, 0.5);
    double bytes = 0;

    for (uint32_t i = 0; i < plan->seeds; i++) {
        bytes += (double)runs[i].bytes / loss_size_of(plan, cell) / plan->seeds;
    }
    detect_table_text(table, names[loss_protocol_of(plan, cell)]);
    detect_table_number(table, loss_size_of(plan, cell), 0);
    detect_table_number(table, loss_percent_of(cell), 0);
    detect_table_number(table, (double)loss_wronged(runs, plan->seeds), 0);
    detect_table_number(table, (double)n, 0);
    detect_table_estimate(table, &median, 2);
    detect_table_number(table, labstat_quantile(times, n, 0.99), 2);
    detect_table_number(table, bytes, 0);
}

/* Of the shipped protocol in its worst cell, with streams and without. */
static void loss_figures(const struct loss_plan *plan, const struct labcrash_result *results)
{
    static double times[LOSS_SEEDS_MAX];
    double slowest = 0;
    uint64_t missed = 0;
    uint64_t wronged[LOSS_PROTOCOLS] = {0};

    for (size_t cell = 0; cell < loss_cells(plan); cell++) {
        const struct labcrash_result *runs = results + cell * plan->seeds;
        uint32_t protocol = loss_protocol_of(plan, cell);

        wronged[protocol] += loss_wronged(runs, plan->seeds);
        if (protocol != LOSS_LIFEGUARD) {
            size_t n = loss_times(runs, plan->seeds, times);

            missed += plan->seeds - n;
            slowest = loss_percent_of(cell) == LOSS_WORST
                          ? fmax(slowest, labstat_quantile(times, n, 0.99))
                          : slowest;
        }
    }
    detect_figure("loss_false_deaths_lifeguard", (double)wronged[LOSS_LIFEGUARD], "deaths");
    detect_figure("loss_false_deaths", (double)wronged[LOSS_SHIPPED], "deaths");
    detect_figure("loss_false_deaths_datagrams", (double)wronged[LOSS_DATAGRAMS], "deaths");
    detect_figure("loss_missed", (double)missed, "crashes");
    detect_figure("loss_worst_first_p99_s", slowest, "s");
}

bool detect_run_loss(const struct detect_call *call)
{
    static const char *const columns[] = {"protocol",    "N",      "loss_percent",
                                          "wronged",     "firsts", "first_p50_s",
                                          "first_p99_s", "B_s",    NULL};
    struct loss_plan plan = {
        .call = call, .size_count = LOSS_SIZE_COUNT(call), .seeds = detect_seeds(call, 20, 2)};
    struct detect_work work = {.runs = loss_cells(&plan) * plan.seeds,
                               .result_bytes = sizeof(struct labcrash_result),
                               .run = loss_one,
                               .ctx = &plan,
                               .jobs = call->jobs};
    struct labcrash_result *results = NULL;
    struct detect_table table;

    CHECK(plan.seeds <= LOSS_SEEDS_MAX);
    results = detect_pool_run(&work);
    if (results == NULL) {
        return false;
    }
    detect_table_init(&table, "Loss everywhere: events at members that live; one crash", columns);
    for (size_t cell = 0; cell < loss_cells(&plan); cell++) {
        loss_row(&plan, results + cell * plan.seeds, cell, &table);
    }
    detect_table_end(&table, call);
    loss_figures(&plan, results);
    detect_pool_free(results, &work);
    return true;
}
