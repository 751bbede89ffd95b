/*
 * P1: some members are blocked and opened again and again, in lock-step (the Interval experiment of
 * [Dadgar17 §V.D]). False positives are summed over the grid of how long they are closed and open,
 * as the paper sums them, for each number of members that are anomalous.
 *
 * The three protocols are given the same hosts, blocked at the same times.
 */
#include <math.h>
#include <string.h>

#include "cli/sim/detect/detect.h"
#include "cli/sim/detect/detect_plot.h"
#include "cli/sim/detect/detect_pool.h"
#include "cli/sim/detect/detect_table.h"
#include "core/base/check.h"
#include "core/chaos/detect/labblock.h"

static const uint32_t ANOMALOUS[] = {1, 4, 8, 12, 16, 20, 24, 28, 32};
static const uint32_t CLOSED_MS[] = {128, 512, 2048, 8192, 16384, 32768};
static const uint32_t OPEN_MS[] = {1, 4, 16, 64, 256, 1024, 4096, 16384};

static const uint32_t ANOMALOUS_QUICK[] = {2, 8};
static const uint32_t CLOSED_QUICK_MS[] = {2048, 16384};
static const uint32_t OPEN_QUICK_MS[] = {64};

#define ANOMALOUS_MAX COUNT_OF(ANOMALOUS)
#define SEEDS_MAX     100

struct p1_plan {
    const struct detect_call *call;
    const uint32_t *anomalous;
    const uint32_t *closed_ms;
    const uint32_t *open_ms;
    size_t anomalous_count;
    size_t closed_count;
    size_t open_count;
    uint32_t seeds;
    uint32_t hosts;
    nanos span;
};

/* Runs are ordered by protocol, anomalous, closed, open, seed. */
static void p1_one(const void *ctx, size_t index, void *result)
{
    const struct p1_plan *plan = ctx;
    size_t at = index;
    struct labblock_cell cell = {.kind = LABBLOCK_PERIODS,
                                 .hosts = plan->hosts,
                                 .quiet = 15 * NANOS_PER_S,
                                 .span = plan->span,
                                 .latency = plan->call->latency};

    cell.seed = at % plan->seeds + 1;
    at /= plan->seeds;
    cell.open = plan->open_ms[at % plan->open_count] * NANOS_PER_MS;
    at /= plan->open_count;
    cell.closed = plan->closed_ms[at % plan->closed_count] * NANOS_PER_MS;
    at /= plan->closed_count;
    cell.anomalous = plan->anomalous[at % plan->anomalous_count];
    at /= plan->anomalous_count;
    cell.protocol = (enum labswim_protocol)at;
    labblock_run(&cell, result);
}

/* Sums over closed and open. */
struct p1_sum {
    double originations;
    double originations_healthy;
    double events;
    double events_healthy;
    double messages;
    double bytes;
};

static void p1_add(struct p1_sum *sum, const struct labblock_result *r)
{
    sum->originations += (double)r->false_ones.originations;
    sum->originations_healthy += (double)r->false_ones.originations_healthy;
    sum->events += (double)r->false_ones.events;
    sum->events_healthy += (double)r->false_ones.events_healthy;
    sum->messages += (double)r->messages;
    sum->bytes += (double)r->bytes;
}

static void p1_join(struct p1_sum *sum, const struct p1_sum *other)
{
    sum->originations += other->originations;
    sum->originations_healthy += other->originations_healthy;
    sum->events += other->events;
    sum->events_healthy += other->events_healthy;
    sum->messages += other->messages;
    sum->bytes += other->bytes;
}

/* Of one protocol, number of anomalous members, and seed. */
struct p1_sums {
    struct p1_sum of[LABSWIM_PROTOCOLS][ANOMALOUS_MAX][SEEDS_MAX];
};

static void p1_sum_up(const struct p1_plan *plan, const struct labblock_result *results,
                      struct p1_sums *sums)
{
    const struct labblock_result *at = results;
    memset(sums, 0, sizeof *sums);
    for (int protocol = 0; protocol < LABSWIM_PROTOCOLS; protocol++) {
        for (size_t c = 0; c < plan->anomalous_count; c++) {
            for (size_t cell = 0; cell < plan->closed_count * plan->open_count; cell++) {
                for (uint32_t seed = 0; seed < plan->seeds; seed++) {
                    p1_add(&sums->of[protocol][c][seed], at++);
                }
            }
        }
    }
}

static struct p1_sum p1_total(const struct p1_plan *plan, const struct p1_sums *sums, int protocol,
                              size_t only_column, uint32_t only_seed)
{
    struct p1_sum total = {0};
    for (size_t c = 0; c < plan->anomalous_count; c++) {
        for (uint32_t seed = 0; seed < plan->seeds; seed++) {
            if ((only_column == SIZE_MAX || c == only_column) &&
                (only_seed == UINT32_MAX || seed == only_seed)) {
                p1_join(&total, &sums->of[protocol][c][seed]);
            }
        }
    }
    return total;
}

static double percent(double part, double whole)
{
    return whole > 0 ? 100 * part / whole : part > 0 ? INFINITY : 0;
}

static void p1_table_of_totals(const struct p1_plan *plan, const struct p1_sums *sums)
{
    static const char *const columns[] = {
        "protocol",           "FP",    "FP_healthy", "events",       "events_healthy", "FP_percent",
        "FP_healthy_percent", "Mmsgs", "GiB",        "msgs_percent", "bytes_percent",  NULL};
    struct detect_table table;
    const struct p1_sum swim = p1_total(plan, sums, LABSWIM_PLAIN, SIZE_MAX, UINT32_MAX);

    detect_table_init(&table, "False positives over the whole grid (Lifeguard's table of totals)",
                      columns);
    for (int protocol = 0; protocol < LABSWIM_PROTOCOLS; protocol++) {
        const struct p1_sum s = p1_total(plan, sums, protocol, SIZE_MAX, UINT32_MAX);
        detect_table_text(&table, labswim_name((enum labswim_protocol)protocol));
        detect_table_number(&table, s.originations, 0);
        detect_table_number(&table, s.originations_healthy, 0);
        detect_table_number(&table, s.events, 0);
        detect_table_number(&table, s.events_healthy, 0);
        detect_table_number(&table, percent(s.originations, swim.originations), 2);
        detect_table_number(&table, percent(s.originations_healthy, swim.originations_healthy), 2);
        detect_table_number(&table, s.messages / 1e6, 2);
        detect_table_number(&table, s.bytes / (1024.0 * 1024 * 1024), 3);
        detect_table_number(&table, percent(s.messages, swim.messages), 2);
        detect_table_number(&table, percent(s.bytes, swim.bytes), 2);
    }
    detect_table_end(&table, plan->call);
}

static void p1_table_of_columns(const struct p1_plan *plan, const struct p1_sums *sums)
{
    static const char *const columns[] = {"anomalous", "protocol",       "FP", "FP_healthy",
                                          "events",    "events_healthy", NULL};
    struct detect_table table;
    static double values[SEEDS_MAX];

    detect_table_init(&table, "By the number of anomalous members: the grid's sum, median of seeds",
                      columns);
    for (size_t c = 0; c < plan->anomalous_count; c++) {
        for (int protocol = 0; protocol < LABSWIM_PROTOCOLS; protocol++) {
            detect_table_number(&table, plan->anomalous[c], 0);
            detect_table_text(&table, labswim_name((enum labswim_protocol)protocol));
            for (size_t which = 0; which < 4; which++) {
                for (uint32_t seed = 0; seed < plan->seeds; seed++) {
                    const struct p1_sum *s = &sums->of[protocol][c][seed];
                    const double fields[] = {s->originations, s->originations_healthy, s->events,
                                             s->events_healthy};
                    values[seed] = fields[which];
                }
                labstat_sort(values, plan->seeds);
                struct labstat_estimate e = labstat_estimate_quantile(values, plan->seeds, 0.5);
                detect_table_estimate(&table, &e, 0);
            }
        }
    }
    detect_table_end(&table, plan->call);
}

static void p1_plot(const struct p1_plan *plan, const struct p1_sums *sums)
{
    static struct plot plot;
    static const char *const titles[] = {"all observers", "healthy observers"};

    plot = (struct plot){
        .title = "False positives of healthy members, summed over the grid (open: none)",
        .x_label = "members that are blocked now and then",
        .y_label = "originations, all seeds",
        .y_is_log = true,
        .count = 2};
    for (int protocol = 0; protocol < LABSWIM_PROTOCOLS; protocol++) {
        for (size_t c = 0; c < plan->anomalous_count; c++) {
            const struct p1_sum s = p1_total(plan, sums, protocol, c, UINT32_MAX);
            for (size_t panel = 0; panel < 2; panel++) {
                plot.panels[panel].title = titles[panel];
                plot_add(plot_series_of(&plot.panels[panel],
                                        labswim_name((enum labswim_protocol)protocol)),
                         plan->anomalous[c], panel == 0 ? s.originations : s.originations_healthy);
            }
        }
    }
    plot_write(&plot, plan->call->svg);
}

/* Columns in which ours makes more false positives than the model of Lifeguard. */
static size_t p1_columns_worse(const struct p1_plan *plan, const struct p1_sums *sums)
{
    size_t worse = 0;
    for (size_t c = 0; c < plan->anomalous_count; c++) {
        const struct p1_sum ours = p1_total(plan, sums, LABSWIM_SHIPPED, c, UINT32_MAX);
        const struct p1_sum model = p1_total(plan, sums, LABSWIM_LIFEGUARD, c, UINT32_MAX);
        worse += ours.originations > model.originations ||
                 ours.originations_healthy > model.originations_healthy;
    }
    return worse;
}

static void p1_figures(const struct p1_plan *plan, const struct p1_sums *sums)
{
    const struct p1_sum swim = p1_total(plan, sums, LABSWIM_PLAIN, SIZE_MAX, UINT32_MAX);
    const struct p1_sum life = p1_total(plan, sums, LABSWIM_LIFEGUARD, SIZE_MAX, UINT32_MAX);
    const struct p1_sum ours = p1_total(plan, sums, LABSWIM_SHIPPED, SIZE_MAX, UINT32_MAX);

    detect_figure("p1_lifeguard_fp_vs_swim_percent", percent(life.originations, swim.originations),
                  "%");
    detect_figure("p1_lifeguard_fp_healthy_vs_swim_percent",
                  percent(life.originations_healthy, swim.originations_healthy), "%");
    detect_figure("p1_fp_vs_swim_percent", percent(ours.originations, swim.originations), "%");
    detect_figure("p1_fp_healthy_vs_swim_percent",
                  percent(ours.originations_healthy, swim.originations_healthy), "%");
    detect_figure("p1_events_vs_swim_percent", percent(ours.events, swim.events), "%");
    detect_figure("p1_events_healthy_vs_swim_percent",
                  percent(ours.events_healthy, swim.events_healthy), "%");
    detect_figure("p1_columns_worse_than_lifeguard", (double)p1_columns_worse(plan, sums),
                  "columns");
    detect_figure("p1_messages_vs_swim_percent", percent(ours.messages, swim.messages), "%");
    detect_figure("p1_bytes_vs_swim_percent", percent(ours.bytes, swim.bytes), "%");
}

bool detect_run_p1(const struct detect_call *call)
{
    static struct p1_sums sums;
    bool q = call->is_quick;
    struct p1_plan plan = {
        .call = call,
        .anomalous = q ? ANOMALOUS_QUICK : ANOMALOUS,
        .closed_ms = q ? CLOSED_QUICK_MS : CLOSED_MS,
        .open_ms = q ? OPEN_QUICK_MS : OPEN_MS,
        .anomalous_count = q ? COUNT_OF(ANOMALOUS_QUICK) : COUNT_OF(ANOMALOUS),
        .closed_count = q ? COUNT_OF(CLOSED_QUICK_MS) : COUNT_OF(CLOSED_MS),
        .open_count = q ? COUNT_OF(OPEN_QUICK_MS) : COUNT_OF(OPEN_MS),
        .seeds = detect_seeds(call, 10, 1),
        .hosts = q ? 32 : 128,
        .span = (q ? 60 : 120) * NANOS_PER_S,
    };
    if (plan.seeds > SEEDS_MAX) {
        plan.seeds = SEEDS_MAX;
    }
    struct detect_work work = {.runs = LABSWIM_PROTOCOLS * plan.anomalous_count *
                                       plan.closed_count * plan.open_count * plan.seeds,
                               .result_bytes = sizeof(struct labblock_result),
                               .run = p1_one,
                               .ctx = &plan,
                               .jobs = call->jobs};
    struct labblock_result *results = detect_pool_run(&work);

    if (results == NULL) {
        return false;
    }
    p1_sum_up(&plan, results, &sums);
    p1_table_of_totals(&plan, &sums);
    p1_table_of_columns(&plan, &sums);
    if (call->svg != NULL) {
        p1_plot(&plan, &sums);
    }
    p1_figures(&plan, &sums);
    detect_pool_free(results, &work);
    return true;
}
