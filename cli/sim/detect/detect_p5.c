/*
 * P5, P6, P7: many faults at once in a cluster of a thousand ([Suresh18] figures 8 to 10, table 1).
 * P5: ten crash, or a whole rack, a quarter. P6: ten lose all that comes in, 20 s on, 20 s off. P7:
 * ten lose 80 % of what goes out, or of what comes in.
 */
#include <string.h>

#include "cli/sim/detect/detect.h"
#include "cli/sim/detect/detect_pool.h"
#include "cli/sim/detect/detect_table.h"
#include "core/base/check.h"
#include "core/chaos/detect/labview.h"

#define SEEDS_MAX   100
#define HOSTS       1000
#define HOSTS_QUICK 60

struct views_case {
    const char *name;
    enum labview_fault fault;
    uint32_t faulty_percent;
    nanos span;
};

struct views_plan {
    const struct detect_call *call;
    const struct views_case *cases;
    size_t case_count;
    uint32_t seeds;
    uint32_t hosts;
};

static uint32_t views_faulty(const struct views_plan *plan, const struct views_case *c)
{
    uint32_t faulty = plan->hosts * c->faulty_percent / 100;
    return faulty > 0 ? faulty : 1;
}

/* Runs are ordered by case, protocol, seed. */
static void views_one(const void *ctx, size_t index, void *result)
{
    const struct views_plan *plan = ctx;
    size_t cell = index / plan->seeds;
    const struct views_case *c = &plan->cases[cell / LABSWIM_PROTOCOLS];

    labview_run(
        &(struct labview_cell){.protocol = (enum labswim_protocol)(cell % LABSWIM_PROTOCOLS),
                               .fault = c->fault,
                               .hosts = plan->hosts,
                               .faulty = views_faulty(plan, c),
                               .quiet = 20 * NANOS_PER_S,
                               .span = c->span,
                               .seed = index % plan->seeds + 1,
                               .latency = plan->call->latency},
        result);
}

static void views_row(const struct views_plan *plan, const struct labview_result *runs, size_t cell,
                      struct detect_table *table)
{
    static double values[SEEDS_MAX];
    const struct views_case *c = &plan->cases[cell / LABSWIM_PROTOCOLS];

    detect_table_text(table, c->name);
    detect_table_text(table, labswim_name((enum labswim_protocol)(cell % LABSWIM_PROTOCOLS)));
    detect_table_number(table, views_faulty(plan, c), 0);
    for (size_t which = 0; which < 10; which++) {
        for (uint32_t i = 0; i < plan->seeds; i++) {
            const double fields[] = {runs[i].missed,     (double)runs[i].false_deaths,
                                     runs[i].sizes,      runs[i].changes_most,
                                     runs[i].agreed_s,   runs[i].cuts,
                                     runs[i].cut_faulty, runs[i].cut_healthy,
                                     runs[i].cut_last_s, runs[i].cut_back};
            values[i] = fields[which];
        }
        labstat_sort(values, plan->seeds);
        struct labstat_estimate e = labstat_estimate_quantile(values, plan->seeds, 0.5);
        detect_table_estimate(table, &e, which == 4 || which == 8 ? 2 : 0);
    }
}

/* Ours as shipped, over cases and seeds: faulty members that no cut took, healthy ones that one
 * did, and the most cuts that one run took. */
static void views_figures(const struct views_plan *plan, const struct labview_result *results,
                          const char *prefix)
{
    uint64_t missed = 0;
    uint64_t wrong = 0;
    uint64_t deaths = 0;
    uint32_t cuts = 0;
    double last_s = 0;
    char name[64];

    for (size_t c = 0; c < plan->case_count; c++) {
        const struct labview_result *runs =
            results + (c * LABSWIM_PROTOCOLS + LABSWIM_SHIPPED) * plan->seeds;
        for (uint32_t i = 0; i < plan->seeds; i++) {
            missed += views_faulty(plan, &plan->cases[c]) - runs[i].cut_faulty;
            wrong += runs[i].cut_healthy;
            deaths += runs[i].false_deaths;
            cuts = runs[i].cuts > cuts ? runs[i].cuts : cuts;
            last_s = runs[i].cut_last_s > last_s ? runs[i].cut_last_s : last_s;
        }
    }
    const struct {
        const char *what;
        double value;
        const char *unit;
    } figures[] = {
        {"faulty_not_cut", (double)missed, "members"},
        {"healthy_cut", (double)wrong, "members"},
        {"cuts_most", cuts, "cuts"},
        {"cut_last_s", last_s, "s"},
        {"false_deaths", (double)deaths, "deaths"},
    };
    for (size_t i = 0; i < COUNT_OF(figures); i++) {
        (void)snprintf(name, sizeof name, "%s_%s", prefix, figures[i].what);
        detect_figure(name, figures[i].value, figures[i].unit);
    }
}

static bool views_run(const struct detect_call *call, const struct views_case *cases,
                      size_t case_count, const char *title)
{
    static const char *const columns[] = {"case",     "protocol",   "faulty",       "missed",
                                          "false",    "sizes",      "changes_most", "agreed_s",
                                          "cuts",     "cut_faulty", "cut_healthy",  "cut_last_s",
                                          "cut_back", NULL};
    struct views_plan plan = {.call = call,
                              .cases = cases,
                              .case_count = case_count,
                              .seeds = detect_seeds(call, 5, 1),
                              .hosts = call->is_quick ? HOSTS_QUICK : HOSTS};
    if (plan.seeds > SEEDS_MAX) {
        plan.seeds = SEEDS_MAX;
    }
    struct detect_work work = {.runs = case_count * LABSWIM_PROTOCOLS * plan.seeds,
                               .result_bytes = sizeof(struct labview_result),
                               .run = views_one,
                               .ctx = &plan,
                               .jobs = call->jobs};
    struct labview_result *results = detect_pool_run(&work);
    struct detect_table table;

    if (results == NULL) {
        return false;
    }
    detect_table_init(&table, title, columns);
    for (size_t cell = 0; cell < case_count * LABSWIM_PROTOCOLS; cell++) {
        views_row(&plan, results + cell * plan.seeds, cell, &table);
    }
    detect_table_end(&table, call);
    views_figures(&plan, results, call->experiment);
    detect_pool_free(results, &work);
    return true;
}

bool detect_run_p5(const struct detect_call *call)
{
    static const struct views_case cases[] = {
        {"ten crash", LABVIEW_CRASH, 1, 120 * NANOS_PER_S},
        {"a rack crashes", LABVIEW_CRASH, 25, 180 * NANOS_PER_S},
    };
    return views_run(call, cases, COUNT_OF(cases), "Many crashes at once: the views of survivors");
}

bool detect_run_p6(const struct detect_call *call)
{
    static const struct views_case cases[] = {
        {"nothing comes in", LABVIEW_FLIP_IN, 1, 300 * NANOS_PER_S},
    };
    return views_run(call, cases, COUNT_OF(cases),
                     "One-way loss, 20 s on and 20 s off: the views of healthy members");
}

bool detect_run_p7(const struct detect_call *call)
{
    static const struct views_case cases[] = {
        {"80 % lost out", LABVIEW_LOSS_OUT, 1, 300 * NANOS_PER_S},
        {"80 % lost in", LABVIEW_LOSS_IN, 1, 300 * NANOS_PER_S},
    };
    return views_run(call, cases, COUNT_OF(cases),
                     "Heavy loss at some: the views of healthy members");
}
