#include "core/chaos/detect/labjoin.h"

#include "core/base/check.h"

static void labjoin_changed(void *ctx, uint32_t observer, const struct swim_change *change)
{
    struct labjoin_result *r = ctx;
    (void)observer;
    r->deaths += change->kind == SWIM_DIED;
}

void labjoin_run(const struct labjoin_cell *cell, struct labjoin_result *ret)
{
    static const struct labjoin_result nothing;
    const struct labnet_loss loss = {cell->loss_in, {0, NANOS_FOREVER, 0, 0}, 0};
    struct labswim s;

    CHECK(cell->hosts * cell->every <= cell->at);
    *ret = nothing;
    labswim_open(&s, &(struct labswim_config){.protocol = cell->protocol,
                                              .hosts = cell->hosts,
                                              .seed = cell->seed,
                                              .tune = cell->tune,
                                              .changed = labjoin_changed,
                                              .ctx = ret,
                                              .is_apart = true});
    nanos start = labnet_now(s.net);
    for (uint32_t i = 0; i < cell->hosts; i++) {
        labnet_lose_in(s.net, i, &loss);
    }
    for (uint32_t i = 1; i < cell->hosts; i++) {
        labswim_run(&s, start + i * cell->every);
        labswim_join(&s, i, 0);
    }
    labswim_run(&s, start + cell->at);
    ret->sees_min = cell->hosts;
    for (uint32_t i = 0; i < cell->hosts; i++) {
        uint32_t sees = swim_live_count(&s.hosts[i].swim);
        ret->sees_min = sees < ret->sees_min ? sees : ret->sees_min;
        ret->whole += sees == cell->hosts;
    }
    labswim_close(&s);
}
