#include "core/chaos/detect/labblock.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/chaos/detect/labdraw.h"

enum { LABEL_CHOICE = 10, LABEL_SLICES = 11 };

struct labblock {
    const struct labblock_cell *cell;
    struct labswim swim;
    struct labblock_result *result;
    bool is_anomalous[LABNET_HOSTS_MAX];
    bool holds_dead[LABNET_HOSTS_MAX]; /* the first anomalous host */
    uint32_t holders;
    uint32_t watched;
    nanos began;
};

static double labblock_seconds(const struct labblock *b)
{
    return (double)(labnet_now(b->swim.net) - b->began) / (double)NANOS_PER_S;
}

static void labblock_watch(struct labblock *b, uint32_t observer, const struct swim_change *change)
{
    struct labblock_result *r = b->result;

    if (b->began == 0 || labswim_host_of(change->id) != b->watched || b->is_anomalous[observer]) {
        return;
    }
    bool is_dead = change->kind == SWIM_DIED;
    bool is_back = change->kind == SWIM_JOINED || change->kind == SWIM_RESTARTED;
    if (is_dead && !b->holds_dead[observer]) {
        b->holds_dead[observer] = true;
        b->holders++;
        r->first_s = r->first_s > 0 ? r->first_s : labblock_seconds(b);
        if (b->holders == b->cell->hosts - b->cell->anomalous && !(r->full_s > 0)) {
            r->full_s = labblock_seconds(b);
        }
    } else if (is_back && b->holds_dead[observer]) {
        b->holds_dead[observer] = false;
        b->holders--;
    }
}

static void labblock_changed(void *ctx, uint32_t observer, const struct swim_change *change)
{
    struct labblock *b = ctx;

    labblock_watch(b, observer, change);
    if (change->kind != SWIM_DIED) {
        return;
    }
    struct labblock_deaths *deaths = b->is_anomalous[labswim_host_of(change->id)]
                                         ? &b->result->anomalous
                                         : &b->result->false_ones;
    bool is_healthy = !b->is_anomalous[observer];
    deaths->events++;
    deaths->events_healthy += is_healthy;
    if (change->originated) {
        deaths->originations++;
        deaths->originations_healthy += is_healthy;
    }
}

/* The same hosts for the same seed, whatever the protocol. */
static void choose_anomalous(struct labblock *b)
{
    struct prng p = labnet_fork(b->swim.net, LABEL_CHOICE);
    for (uint32_t left = b->cell->anomalous; left > 0;) {
        uint32_t host = (uint32_t)prng_below(&p, b->cell->hosts);
        if (!b->is_anomalous[host]) {
            b->watched = left == b->cell->anomalous ? host : b->watched;
            b->is_anomalous[host] = true;
            left--;
        }
    }
}

static void block_all(struct labblock *b)
{
    const struct labblock_cell *cell = b->cell;
    struct labnet_span span = {b->began, b->began + cell->span, cell->closed, cell->open};

    if (cell->kind == LABBLOCK_ONCE) {
        span = (struct labnet_span){b->began, b->began + cell->closed, 0, 0};
    }
    for (uint32_t i = 0; i < cell->hosts; i++) {
        if (b->is_anomalous[i]) {
            labnet_block(b->swim.net, i, &span);
        }
    }
}

/* A starved process: the scheduler gives it slices of about `open`, and lets it wait for about
 * `closed` in between, each drawn anew (exponential, for nobody knows what the others do). */
static void starve_all(struct labblock *b)
{
    const struct labblock_cell *cell = b->cell;
    struct prng p = labnet_fork(b->swim.net, LABEL_SLICES);
    nanos next[LABNET_HOSTS_MAX] = {0};
    nanos end = b->began + cell->span;

    while (labnet_now(b->swim.net) < end) {
        nanos soonest = end;
        for (uint32_t i = 0; i < cell->hosts; i++) {
            if (!b->is_anomalous[i]) {
                continue;
            }
            if (next[i] <= labnet_now(b->swim.net)) {
                nanos wait = 1 + (nanos)((double)cell->closed * labdraw_exponential(&p));
                nanos slice = 1 + (nanos)((double)cell->open * labdraw_exponential(&p));
                nanos now = labnet_now(b->swim.net);
                labnet_stall(b->swim.net, i,
                             &(struct labnet_span){now, u64_min(now + wait, end), 0, 0});
                next[i] = now + wait + slice;
            }
            soonest = u64_min(soonest, next[i]);
        }
        labswim_run(&b->swim, u64_max(soonest, labnet_now(b->swim.net) + 1));
    }
}

void labblock_run(const struct labblock_cell *cell, struct labblock_result *ret)
{
    CHECK(cell->anomalous < cell->hosts);
    struct labblock *b = mem_alloc_zero(sizeof *b);
    memset(ret, 0, sizeof *ret);
    b->cell = cell;
    b->result = ret;
    labswim_open(&b->swim, &(struct labswim_config){.protocol = cell->protocol,
                                                    .hosts = cell->hosts,
                                                    .seed = cell->seed,
                                                    .latency = cell->latency,
                                                    .tune = cell->tune,
                                                    .changed = labblock_changed,
                                                    .ctx = b});
    choose_anomalous(b);
    labswim_run(&b->swim, labnet_now(b->swim.net) + cell->quiet);
    b->began = labnet_now(b->swim.net);
    if (cell->kind == LABBLOCK_STARVED) {
        starve_all(b);
    } else {
        block_all(b);
        labswim_run(&b->swim, b->began + cell->span);
    }
    labswim_run(&b->swim, labnet_now(b->swim.net) + cell->after);
    for (uint32_t i = 0; i < cell->hosts; i++) {
        const struct labnet_counts *counts = labnet_counts_of(b->swim.net, i);
        ret->messages += counts->sent.messages;
        ret->bytes += counts->sent.bytes;
    }
    labswim_close(&b->swim);
    mem_free(b);
}
