#include "core/chaos/detect/labload.h"

#include "core/base/check.h"
#include "core/base/mem.h"

enum { LABEL_LOAD = 30 };

#define CRASHES_AFTER (10 * NANOS_PER_S)

static struct labload_rate rate_of(const struct labnet_rates *rates)
{
    struct labload_rate rate = {0, labnet_rate_quantile(rates, 0.99), (double)rates->max_bytes};
    if (rates->seconds > 0) {
        rate.mean = (double)rates->bytes / (double)rates->seconds;
    }
    return rate;
}

static void crash_some(struct labswim *s, uint32_t crashes)
{
    struct prng p = labnet_fork(s->net, LABEL_LOAD);
    while (crashes > 0) {
        uint32_t host = (uint32_t)prng_below(&p, s->config.hosts);
        if (labnet_is_up(s->net, host)) {
            labswim_crash(s, host);
            crashes--;
        }
    }
}

void labload_run(const struct labload_cell *cell, struct labload_result *ret)
{
    CHECK(cell->crashes < cell->hosts && cell->span > CRASHES_AFTER);
    struct labswim s;
    struct labnet_rates *in = mem_alloc(sizeof *in);
    struct labnet_rates *out = mem_alloc(sizeof *out);

    labswim_open(&s, &(struct labswim_config){.protocol = cell->protocol,
                                              .hosts = cell->hosts,
                                              .seed = cell->seed,
                                              .latency = cell->latency});
    labswim_run(&s, labnet_now(s.net) + cell->warmup);
    labnet_count_anew(s.net);
    uint64_t messages = labnet_messages(s.net);
    nanos start = labnet_now(s.net);
    labswim_run(&s, start + CRASHES_AFTER);
    crash_some(&s, cell->crashes);
    labswim_run(&s, start + cell->span);
    labnet_rates(s.net, in, out);
    ret->in = rate_of(in);
    ret->out = rate_of(out);
    ret->messages_s = (double)(labnet_messages(s.net) - messages) / (double)cell->hosts /
                      ((double)cell->span / (double)NANOS_PER_S);
    labswim_close(&s);
    mem_free(in);
    mem_free(out);
}
