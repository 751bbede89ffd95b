#include "core/chaos/detect/labview.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"

enum { LABEL_FAULTY = 40 };

/* DETECTION P6 and P7. */
#define FLIP_SPAN  (20 * NANOS_PER_S)
#define HEAVY_LOSS (LABNET_CERTAIN / 100 * 80)

struct labview {
    const struct labview_cell *cell;
    struct labswim swim;
    struct labview_result *result;
    bool is_faulty[LABNET_HOSTS_MAX];
    uint32_t size[LABNET_HOSTS_MAX]; /* of the view of each */
    uint32_t changes[LABNET_HOSTS_MAX];
    bool size_seen[LABNET_HOSTS_MAX + 1];
    nanos began; /* 0: the fault is still to come */
};

static void labview_changed(void *ctx, uint32_t observer, const struct swim_change *change)
{
    struct labview *v = ctx;
    bool is_dead = change->kind == SWIM_DIED || change->kind == SWIM_WENT;
    bool is_back = change->kind == SWIM_JOINED;

    if ((!is_dead && !is_back) || v->is_faulty[observer]) {
        return;
    }
    v->result->false_deaths += is_dead && !v->is_faulty[labswim_host_of(change->id)];
    v->size[observer] = is_dead ? v->size[observer] - 1 : v->size[observer] + 1;
    CHECK(v->size[observer] <= v->cell->hosts);
    v->size_seen[v->size[observer]] = true;
    v->changes[observer]++;
    v->result->agreed_s = (double)(labnet_now(v->swim.net) - v->began) / (double)NANOS_PER_S;
}

static void choose_faulty(struct labview *v)
{
    struct prng p = labnet_fork(v->swim.net, LABEL_FAULTY);
    for (uint32_t left = v->cell->faulty; left > 0;) {
        uint32_t host = (uint32_t)prng_below(&p, v->cell->hosts);
        if (!v->is_faulty[host]) {
            v->is_faulty[host] = true;
            left--;
        }
    }
}

static void strike(struct labview *v, uint32_t host)
{
    const struct labnet_span always = {v->began, NANOS_FOREVER, 0, 0};
    const struct labnet_span flips = {v->began, NANOS_FOREVER, FLIP_SPAN, FLIP_SPAN};

    switch (v->cell->fault) {
    case LABVIEW_CRASH:
        labswim_crash(&v->swim, host);
        break;
    case LABVIEW_FLIP_IN:
        labnet_lose_in(v->swim.net, host, &(struct labnet_loss){LABNET_CERTAIN, flips, 0});
        break;
    case LABVIEW_LOSS_OUT:
        labnet_lose_out(v->swim.net, host, &(struct labnet_loss){HEAVY_LOSS, always, 0});
        break;
    case LABVIEW_LOSS_IN:
        labnet_lose_in(v->swim.net, host, &(struct labnet_loss){HEAVY_LOSS, always, 0});
        break;
    }
}

static void labview_judge(struct labview *v)
{
    const struct labview_cell *cell = v->cell;
    struct labview_result *r = v->result;

    for (uint32_t k = 0; k < cell->hosts; k++) {
        bool is_held_alive = false;
        for (uint32_t i = 0; i < cell->hosts && v->is_faulty[k]; i++) {
            enum swim_state state = labswim_state(&v->swim, i, k);
            is_held_alive = is_held_alive ||
                            (!v->is_faulty[i] && (state == SWIM_ALIVE || state == SWIM_SUSPECT));
        }
        r->missed += is_held_alive;
        if (!v->is_faulty[k] && v->changes[k] > r->changes_most) {
            r->changes_most = v->changes[k];
        }
    }
    for (uint32_t size = 0; size <= cell->hosts; size++) {
        r->sizes += v->size_seen[size];
    }
}

void labview_run(const struct labview_cell *cell, struct labview_result *ret)
{
    CHECK(cell->faulty < cell->hosts);
    struct labview *v = mem_alloc_zero(sizeof *v);
    memset(ret, 0, sizeof *ret);
    v->cell = cell;
    v->result = ret;
    labswim_open(&v->swim, &(struct labswim_config){.protocol = cell->protocol,
                                                    .hosts = cell->hosts,
                                                    .seed = cell->seed,
                                                    .latency = cell->latency});
    choose_faulty(v);
    labswim_run(&v->swim, labnet_now(v->swim.net) + cell->quiet);
    for (uint32_t i = 0; i < cell->hosts; i++) {
        v->size[i] = cell->hosts;
    }
    v->size_seen[cell->hosts] = true;
    v->began = labnet_now(v->swim.net);
    v->swim.config.changed = labview_changed;
    v->swim.config.ctx = v;
    for (uint32_t i = 0; i < cell->hosts; i++) {
        if (v->is_faulty[i]) {
            strike(v, i);
        }
    }
    labswim_run(&v->swim, v->began + cell->span);
    labview_judge(v);
    labswim_close(&v->swim);
    mem_free(v);
}
