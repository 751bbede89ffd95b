/*
 * P12: what the protocol costs at N = 1000, steady and with ten crashes: bytes a second and host,
 * on the wire (headers included), by whole seconds.
 */
#include <string.h>

#include "cli/sim/detect/detect.h"
#include "cli/sim/detect/detect_pool.h"
#include "cli/sim/detect/detect_table.h"
#include "core/chaos/detect/labload.h"

#define HOSTS       1000
#define HOSTS_QUICK 60

struct p12_plan {
    const struct detect_call *call;
    uint32_t seeds;
    uint32_t hosts;
};

/* Runs are ordered by protocol, steady or with crashes, seed. */
static void p12_one(const void *ctx, size_t index, void *result)
{
    const struct p12_plan *plan = ctx;
    size_t cell = index / plan->seeds;

    labload_run(&(struct labload_cell){.protocol = (enum labswim_protocol)(cell / 2),
                                       .hosts = plan->hosts,
                                       .crashes = cell % 2 == 0 ? 0 : (plan->hosts + 99) / 100,
                                       .warmup = 60 * NANOS_PER_S,
                                       .span = 120 * NANOS_PER_S,
                                       .seed = index % plan->seeds + 1,
                                       .latency = plan->call->latency},
                result);
}

/* The mean over the seeds of a field; of the largest, the largest. */
static double p12_mean(const struct labload_rate *rates, size_t stride, uint32_t count,
                       double *ret_p99, double *ret_max)
{
    double mean = 0;
    *ret_p99 = 0;
    *ret_max = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct labload_rate *r =
            (const struct labload_rate *)(const void *)((const char *)rates + i * stride);
        mean += r->mean / count;
        *ret_p99 += r->p99 / count;
        *ret_max = r->max > *ret_max ? r->max : *ret_max;
    }
    return mean;
}

bool detect_run_p12(const struct detect_call *call)
{
    static const char *const columns[] = {
        "protocol",    "load",        "msgs_s",     "out_mean_KBs", "out_p99_KBs",
        "out_max_KBs", "in_mean_KBs", "in_p99_KBs", "in_max_KBs",   NULL};
    struct p12_plan plan = {.call = call,
                            .seeds = detect_seeds(call, 3, 1),
                            .hosts = call->is_quick ? HOSTS_QUICK : HOSTS};
    struct detect_work work = {.runs = (size_t)LABSWIM_PROTOCOLS * 2 * plan.seeds,
                               .result_bytes = sizeof(struct labload_result),
                               .run = p12_one,
                               .ctx = &plan,
                               .jobs = call->jobs};
    struct labload_result *results = detect_pool_run(&work);
    struct detect_table table;
    double mean_worst = 0;
    double max_worst = 0;

    if (results == NULL) {
        return false;
    }
    detect_table_init(&table, "Load by host: KB (1000 bytes) a second, headers included", columns);
    for (size_t cell = 0; cell < (size_t)LABSWIM_PROTOCOLS * 2; cell++) {
        const struct labload_result *r = results + cell * plan.seeds;
        double p99;
        double max;
        double messages = 0;
        for (uint32_t i = 0; i < plan.seeds; i++) {
            messages += r[i].messages_s / plan.seeds;
        }
        detect_table_text(&table, labswim_name((enum labswim_protocol)(cell / 2)));
        detect_table_text(&table, cell % 2 == 0 ? "steady" : "crashes");
        detect_table_number(&table, messages, 2);
        for (int is_in = 0; is_in < 2; is_in++) {
            double mean = p12_mean(is_in ? &r->in : &r->out, sizeof *r, plan.seeds, &p99, &max);
            detect_table_number(&table, mean / 1000, 3);
            detect_table_number(&table, p99 / 1000, 3);
            detect_table_number(&table, max / 1000, 3);
            if (cell / 2 == LABSWIM_SHIPPED) {
                mean_worst = mean > mean_worst ? mean : mean_worst;
                max_worst = max > max_worst ? max : max_worst;
            }
        }
    }
    detect_table_end(&table, call);
    detect_figure("p12_mean_kb_s", mean_worst / 1000, "KB/s");
    detect_figure("p12_max_kb_s", max_worst / 1000, "KB/s");
    detect_pool_free(results, &work);
    return true;
}
