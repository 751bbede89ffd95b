/*
 * P8: seventeen members join one after another while every receiver loses a tenth of what comes
 * ([Das02] figure 4: with suspicion 12 were stable after 175 s, without it 4, in the basic protocol
 * 2). Probing each two seconds with one helper, as there; ours as shipped beside it.
 */
#include <string.h>

#include "cli/sim/detect/detect.h"
#include "cli/sim/detect/detect_pool.h"
#include "cli/sim/detect/detect_table.h"
#include "core/chaos/detect/labjoin.h"

#define SEEDS_MAX 1000
#define HOSTS     17

static const uint32_t LOSSES_PERCENT[] = {0, 10, 30};

struct p8_plan {
    uint32_t seeds;
};

static void p8_tune(void *ctx, struct swim_config *config)
{
    (void)ctx;
    config->probe_interval = 2 * NANOS_PER_S;
    config->probe_timeout = NANOS_PER_S;
    config->indirect_probes = 1;
}

/* Runs are ordered by protocol, loss, seed. */
static void p8_one(const void *ctx, size_t index, void *result)
{
    const struct p8_plan *plan = ctx;
    size_t cell = index / plan->seeds;
    enum labswim_protocol protocol = (enum labswim_protocol)(cell / COUNT_OF(LOSSES_PERCENT));

    labjoin_run(&(struct labjoin_cell){.protocol = protocol,
                                       .hosts = HOSTS,
                                       .every = 2 * NANOS_PER_S,
                                       .loss_in = LOSSES_PERCENT[cell % COUNT_OF(LOSSES_PERCENT)] *
                                                  (LABNET_CERTAIN / 100),
                                       .at = 175 * NANOS_PER_S,
                                       .seed = index % plan->seeds + 1,
                                       .tune = protocol == LABSWIM_SHIPPED ? NULL : p8_tune},
                result);
}

bool detect_run_p8(const struct detect_call *call)
{
    static const char *const columns[] = {"protocol", "loss_percent", "sees_min",
                                          "see_all",  "false_deaths", NULL};
    static double values[SEEDS_MAX];
    struct p8_plan plan = {.seeds = detect_seeds(call, 20, 3)};
    if (plan.seeds > SEEDS_MAX) {
        plan.seeds = SEEDS_MAX;
    }
    struct detect_work work = {.runs = (size_t)LABSWIM_PROTOCOLS * COUNT_OF(LOSSES_PERCENT) *
                                       plan.seeds,
                               .result_bytes = sizeof(struct labjoin_result),
                               .run = p8_one,
                               .ctx = &plan,
                               .jobs = call->jobs};
    struct labjoin_result *results = detect_pool_run(&work);
    struct detect_table table;
    double stable = 0;

    if (results == NULL) {
        return false;
    }
    detect_table_init(&table, "17 joins under loss: views after 175 s", columns);
    for (size_t cell = 0; cell < work.runs / plan.seeds; cell++) {
        const struct labjoin_result *r = results + cell * plan.seeds;
        uint32_t loss = LOSSES_PERCENT[cell % COUNT_OF(LOSSES_PERCENT)];
        detect_table_text(&table,
                          labswim_name((enum labswim_protocol)(cell / COUNT_OF(LOSSES_PERCENT))));
        detect_table_number(&table, loss, 0);
        for (size_t which = 0; which < 3; which++) {
            for (uint32_t i = 0; i < plan.seeds; i++) {
                const double fields[] = {r[i].sees_min, r[i].whole, (double)r[i].deaths};
                values[i] = fields[which];
            }
            labstat_sort(values, plan.seeds);
            struct labstat_estimate e = labstat_estimate_quantile(values, plan.seeds, 0.5);
            detect_table_estimate(&table, &e, 0);
            if (loss == 10 && which == 1 && cell / COUNT_OF(LOSSES_PERCENT) == LABSWIM_SHIPPED) {
                stable = e.value;
            }
        }
    }
    detect_table_end(&table, call);
    detect_figure("p8_stable_members", stable, "members");
    detect_pool_free(results, &work);
    return true;
}
