#include "core/chaos/detect/labcrash.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"

enum { LABEL_VICTIMS = 20 };

/* How often a run looks whether all is known. */
#define LOOK_EVERY (20 * NANOS_PER_MS)

struct labcrash {
    const struct labcrash_cell *cell;
    struct labswim swim;
    struct labcrash_result *result;
    bool is_down[LABNET_HOSTS_MAX];
    nanos crashed_at; /* 0: not yet */
    nanos first_at;
    nanos last_at;  /* of the latest change that made a survivor hold one dead */
    uint64_t known; /* pairs of a survivor and a victim that it holds dead */
};

static void labcrash_changed(void *ctx, uint32_t observer, const struct swim_change *change)
{
    struct labcrash *c = ctx;
    bool is_down = c->crashed_at > 0 && c->is_down[labswim_host_of(change->id)];
    nanos now = labnet_now(c->swim.net);

    if (change->kind == SWIM_DIED && !is_down) {
        c->result->false_deaths++;
    } else if (change->kind == SWIM_DIED) {
        c->known++;
        c->first_at = c->first_at > 0 ? c->first_at : now;
        c->last_at = now;
    } else if (is_down && (change->kind == SWIM_JOINED || change->kind == SWIM_RESTARTED)) {
        c->known--;
    }
    (void)observer;
}

static void crash_victims(struct labcrash *c)
{
    struct prng p = labnet_fork(c->swim.net, LABEL_VICTIMS);

    labswim_run(&c->swim, labnet_now(c->swim.net) + prng_below(&p, NANOS_PER_S));
    c->crashed_at = labnet_now(c->swim.net);
    for (uint32_t left = c->cell->crashes; left > 0;) {
        uint32_t host = (uint32_t)prng_below(&p, c->cell->hosts);
        if (!c->is_down[host]) {
            c->is_down[host] = true;
            labswim_crash(&c->swim, host);
            left--;
        }
    }
}

void labcrash_run(const struct labcrash_cell *cell, struct labcrash_result *ret)
{
    CHECK(cell->crashes < cell->hosts);
    struct labcrash *c = mem_alloc_zero(sizeof *c);
    memset(ret, 0, sizeof *ret);
    c->cell = cell;
    c->result = ret;
    labswim_open(&c->swim, &(struct labswim_config){.protocol = cell->protocol,
                                                    .hosts = cell->hosts,
                                                    .seed = cell->seed,
                                                    .latency = cell->latency,
                                                    .tune = cell->tune,
                                                    .changed = labcrash_changed,
                                                    .ctx = c});
    labnet_lose(c->swim.net, cell->loss);
    labswim_run(&c->swim, labnet_now(c->swim.net) + cell->quiet);
    for (uint32_t i = 0; i < cell->hosts && cell->quiet >= NANOS_PER_S; i++) {
        ret->messages += labnet_counts_of(c->swim.net, i)->sent.messages;
        ret->bytes += labnet_counts_of(c->swim.net, i)->sent.bytes;
    }
    if (cell->quiet >= NANOS_PER_S) {
        ret->messages /= cell->quiet / NANOS_PER_S;
        ret->bytes /= cell->quiet / NANOS_PER_S;
    }
    crash_victims(c);
    uint64_t pairs = (uint64_t)(cell->hosts - cell->crashes) * cell->crashes;
    nanos end = c->crashed_at + cell->span_max;
    while (c->known < pairs && labnet_now(c->swim.net) < end) {
        labswim_run(&c->swim, labnet_now(c->swim.net) + LOOK_EVERY);
    }
    if (c->first_at > 0) {
        ret->first_s = (double)(c->first_at - c->crashed_at) / (double)NANOS_PER_S;
    }
    if (c->known == pairs) {
        ret->full_s = (double)(c->last_at - c->crashed_at) / (double)NANOS_PER_S;
    }
    labswim_close(&c->swim);
    mem_free(c);
}
