/*
 * The model of memberlist, in the cells that bench/peers runs memberlist itself in: Debian's
 * package, its LAN defaults, on one machine. bench_peers.py holds the two against each other.
 */
#include <string.h>

#include "cli/sim/detect/detect.h"
#include "cli/sim/detect/detect_pool.h"
#include "cli/sim/detect/detect_table.h"
#include "core/chaos/detect/labblock.h"
#include "core/chaos/detect/labcrash.h"

#define SEEDS_MAX 1000

/* What memberlist's code has otherwise than the paper: the timeout of a probe is not scaled, and a
 * suspicion wants two less confirmations than its multiplier says. */
static void tune_as_memberlist(struct swim_config *config, uint32_t alpha)
{
    config->suspicion_alpha = alpha;
    config->scale_timeout = false;
    if (config->confirmations > 0) {
        config->confirmations = alpha - 2;
    }
}

static void tune_crash(void *ctx, struct swim_config *config)
{
    (void)ctx;
    tune_as_memberlist(config, 4);
}

static void tune_block(void *ctx, struct swim_config *config)
{
    (void)ctx;
    tune_as_memberlist(config, 5);
}

/* The cells, each a run of bench/peers. */
struct peers_cell {
    const char *name;
    uint32_t hosts;
    uint32_t anomalous; /* 0: a crash */
    enum labswim_protocol protocol;
};

static const struct peers_cell CELLS[] = {
    {"crash_32", 32, 0, LABSWIM_LIFEGUARD},    {"crash_128", 128, 0, LABSWIM_LIFEGUARD},
    {"block_8_plain", 64, 8, LABSWIM_PLAIN},   {"block_8", 64, 8, LABSWIM_LIFEGUARD},
    {"block_16_plain", 64, 16, LABSWIM_PLAIN}, {"block_16", 64, 16, LABSWIM_LIFEGUARD},
};

struct peers_plan {
    const struct detect_call *call;
    uint32_t seeds;
};

struct peers_result {
    struct labcrash_result crash;
    struct labblock_result block;
};

static void peers_one(const void *ctx, size_t index, void *result)
{
    const struct peers_plan *plan = ctx;
    const struct peers_cell *cell = &CELLS[index / plan->seeds];
    struct peers_result *r = result;
    uint64_t seed = index % plan->seeds + 1;

    if (cell->anomalous == 0) {
        labcrash_run(&(struct labcrash_cell){.protocol = cell->protocol,
                                             .hosts = cell->hosts,
                                             .crashes = 1,
                                             .quiet = 10 * NANOS_PER_S,
                                             .span_max = 120 * NANOS_PER_S,
                                             .seed = seed,
                                             .tune = tune_crash},
                     &r->crash);
        return;
    }
    labblock_run(&(struct labblock_cell){.kind = LABBLOCK_PERIODS,
                                         .protocol = cell->protocol,
                                         .hosts = cell->hosts,
                                         .anomalous = cell->anomalous,
                                         .closed = 16384 * NANOS_PER_MS,
                                         .open = 64 * NANOS_PER_MS,
                                         .quiet = 15 * NANOS_PER_S,
                                         .span = 120 * NANOS_PER_S,
                                         .seed = seed,
                                         .tune = tune_block},
                 &r->block);
}

/* What a cell is judged by, one column each; NULL ends the list. */
static const char *const CRASH_COLUMNS[] = {"cell", "first_s", "full_s", "false", NULL};
static const char *const BLOCK_COLUMNS[] = {
    "cell", "originations", "originations_healthy", "events", "events_healthy", "msgs_s", "B_s",
    NULL};

/* One value of one run: that of column `which`, counted behind the first. */
static double peers_value(const struct peers_cell *cell, const struct peers_result *r, size_t which)
{
    const struct labblock_deaths *d = &r->block.false_ones;
    double node_seconds = cell->hosts * 135.0;
    const double crash[] = {r->crash.first_s, r->crash.full_s, (double)r->crash.false_deaths};
    const double block[] = {(double)d->originations,
                            (double)d->originations_healthy,
                            (double)d->events,
                            (double)d->events_healthy,
                            (double)r->block.messages / node_seconds,
                            (double)r->block.bytes / node_seconds};
    return cell->anomalous == 0 ? crash[which] : block[which];
}

static struct labstat_estimate peers_estimate(const struct peers_plan *plan,
                                              const struct peers_result *results, size_t cell,
                                              size_t which)
{
    static double values[SEEDS_MAX];
    for (uint32_t i = 0; i < plan->seeds; i++) {
        values[i] = peers_value(&CELLS[cell], &results[cell * plan->seeds + i], which);
    }
    labstat_sort(values, plan->seeds);
    return labstat_estimate_quantile(values, plan->seeds, 0.5);
}

static void peers_table(const struct peers_plan *plan, const struct peers_result *results,
                        bool is_block)
{
    const char *const *columns = is_block ? BLOCK_COLUMNS : CRASH_COLUMNS;
    struct detect_table table;

    detect_table_init(&table,
                      is_block ? "The model of memberlist: blocked members"
                               : "The model of memberlist: one crash",
                      columns);
    for (size_t cell = 0; cell < COUNT_OF(CELLS); cell++) {
        if ((CELLS[cell].anomalous > 0) != is_block) {
            continue;
        }
        detect_table_text(&table, CELLS[cell].name);
        for (size_t which = 0; columns[which + 1] != NULL; which++) {
            struct labstat_estimate e = peers_estimate(plan, results, cell, which);
            detect_table_estimate(&table, &e, 2);
        }
    }
    detect_table_end(&table, plan->call);
}

static void peers_figures(const struct peers_plan *plan, const struct peers_result *results)
{
    for (size_t cell = 0; cell < COUNT_OF(CELLS); cell++) {
        const char *const *columns = CELLS[cell].anomalous > 0 ? BLOCK_COLUMNS : CRASH_COLUMNS;
        for (size_t which = 0; columns[which + 1] != NULL; which++) {
            char name[64];
            (void)snprintf(name, sizeof name, "model_%s_%s", CELLS[cell].name, columns[which + 1]);
            detect_figure(name, peers_estimate(plan, results, cell, which).value, "median");
        }
    }
}

bool detect_run_peers(const struct detect_call *call)
{
    struct peers_plan plan = {.call = call, .seeds = detect_seeds(call, 20, 2)};
    if (plan.seeds > SEEDS_MAX) {
        plan.seeds = SEEDS_MAX;
    }
    struct detect_work work = {.runs = COUNT_OF(CELLS) * plan.seeds,
                               .result_bytes = sizeof(struct peers_result),
                               .run = peers_one,
                               .ctx = &plan,
                               .jobs = call->jobs};
    struct peers_result *results = detect_pool_run(&work);

    if (results == NULL) {
        return false;
    }
    peers_table(&plan, results, false);
    peers_table(&plan, results, true);
    peers_figures(&plan, results);
    detect_pool_free(results, &work);
    return true;
}
