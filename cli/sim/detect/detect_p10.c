/*
 * P10: how H and L decide whether hosts that fail together are cut together ([Suresh18] figure 11:
 * 2 % of conflicts at H - L = 5 and two failures, four times fewer at 6). Reports in an order that
 * is drawn, the paper's rule; and beside it ours as shipped, which also waits until nothing new
 * comes.
 *
 * In Rapid each member counts for itself, and any that differs is a conflict; here the leader alone
 * counts, which is one draw a run.
 */
#include <string.h>

#include "cli/sim/detect/detect.h"
#include "cli/sim/detect/detect_pool.h"
#include "cli/sim/detect/detect_table.h"
#include "core/chaos/detect/labcut.h"

static const uint32_t FAULTY[] = {2, 4, 8, 16};
static const uint32_t HIGHS[] = {6, 7, 8, 9};
static const uint32_t LOWS[] = {2, 3, 4}; /* one word is never enough: there is no L of 1 */

#define HOSTS          1000
#define HOSTS_QUICK    100
#define REPORTS_SPREAD NANOS_PER_S

struct p10_plan {
    bool is_quick;
    uint32_t seeds;
};

/* Runs are ordered by rule (the paper's, ours), faulty, high, low, seed. */
static void p10_one(const void *ctx, size_t index, void *result)
{
    const struct p10_plan *plan = ctx;
    size_t at = index;
    struct labcut_cell cell = {.hosts = plan->is_quick ? HOSTS_QUICK : HOSTS,
                               .spread = REPORTS_SPREAD};
    struct cut_config shipped;

    cut_config_default(&shipped);
    cell.seed = at % plan->seeds + 1;
    at /= plan->seeds;
    cell.low = LOWS[at % COUNT_OF(LOWS)];
    at /= COUNT_OF(LOWS);
    cell.high = HIGHS[at % COUNT_OF(HIGHS)];
    at /= COUNT_OF(HIGHS);
    cell.faulty = FAULTY[at % COUNT_OF(FAULTY)];
    at /= COUNT_OF(FAULTY);
    cell.settle = at == 0 ? 0 : shipped.settle;
    labcut_run(&cell, result);
}

bool detect_run_p10(const struct detect_call *call)
{
    static const char *const columns[] = {"rule",      "F",      "H",       "L", "conflict_percent",
                                          "cuts_mean", "last_s", "wronged", NULL};
    const struct p10_plan plan = {.is_quick = call->is_quick, .seeds = detect_seeds(call, 200, 20)};
    size_t cells = 2 * COUNT_OF(FAULTY) * COUNT_OF(HIGHS) * COUNT_OF(LOWS);
    struct detect_work work = {.runs = cells * plan.seeds,
                               .result_bytes = sizeof(struct labcut_result),
                               .run = p10_one,
                               .ctx = &plan,
                               .jobs = call->jobs};
    struct labcut_result *results = detect_pool_run(&work);
    struct detect_table table;
    double paper = 0;
    double ours = 0;
    uint64_t wronged_all = 0;

    if (results == NULL) {
        return false;
    }
    detect_table_init(&table, "First cuts that lacked somebody, 10 observers each", columns);
    for (size_t cell = 0; cell < cells; cell++) {
        const struct labcut_result *r = results + cell * plan.seeds;
        size_t low = cell % COUNT_OF(LOWS);
        size_t high = cell / COUNT_OF(LOWS) % COUNT_OF(HIGHS);
        size_t faulty = cell / COUNT_OF(LOWS) / COUNT_OF(HIGHS) % COUNT_OF(FAULTY);
        bool is_ours = cell >= cells / 2;
        double conflicts = 0;
        double cuts = 0;
        double last = 0;
        uint64_t wronged = 0;
        for (uint32_t i = 0; i < plan.seeds; i++) {
            conflicts += r[i].is_conflict;
            cuts += r[i].cuts;
            last = r[i].last_s > last ? r[i].last_s : last;
            wronged += r[i].wronged;
        }
        conflicts *= 100.0 / plan.seeds;
        wronged_all += wronged;
        detect_table_text(&table, is_ours ? "shipped" : "order");
        detect_table_number(&table, FAULTY[faulty], 0);
        detect_table_number(&table, HIGHS[high], 0);
        detect_table_number(&table, LOWS[low], 0);
        detect_table_number(&table, conflicts, 1);
        detect_table_number(&table, cuts / plan.seeds, 2);
        detect_table_number(&table, last, 2);
        detect_table_number(&table, (double)wronged, 0);
        if (FAULTY[faulty] == 2 && HIGHS[high] - LOWS[low] == 5) {
            double *figure = is_ours ? &ours : &paper;
            *figure = conflicts > *figure ? conflicts : *figure;
        }
    }
    detect_table_end(&table, call);
    detect_figure("p10_conflict_f2_hl5_percent", paper, "%");
    detect_figure("p10_shipped_conflict_f2_hl5_percent", ours, "%");
    detect_figure("p10_wronged", (double)wronged_all, "members");
    detect_pool_free(results, &work);
    return true;
}
