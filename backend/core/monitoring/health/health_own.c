/*
 * How this host is: its own rungs, from its probes, its clock and its stalls; and what the others
 * are told of it.
 */
#include "core/base/check.h"
#include "core/monitoring/health/health_host_int.h"

#include <string.h>

/* Storage: how often, how soon again while there is doubt, and how long a write may take. */
#define STORAGE_PERIOD  (2 * NANOS_PER_S)
#define STORAGE_CLOSELY (500 * NANOS_PER_MS)
#define STORAGE_TIMEOUT (2 * NANOS_PER_S)
#define STORAGE_IN_ROW  2

/* No write is slow below this, whatever is usual: a disk that is shared takes as long at times. */
#define STORAGE_SLOW_MIN (100 * NANOS_PER_MS)

/* A host that has paused three times within this is degraded; less than a busy host's scheduler
 * takes at times is no reason. */
#define PAUSES_SPAN (60 * NANOS_PER_S)
#define PAUSE_MIN   (400 * NANOS_PER_MS)

/* A rung must have been better for so long before that is told. */
#define BETTER_SPAN (10 * NANOS_PER_S)

/* From one change that is told to the next. */
#define TELL_INTERVAL NANOS_PER_S

/* --- Storage -------------------------------------------------------------------------------------
 */

static void storage_answered(struct storage_probe *probe, enum err result, nanos took)
{
    struct health_host *h = probe->owner;
    nanos now = world_now(h->world);

    /* What was not done in time is slow; what failed is broken, and has no time. */
    if (result == OK || result == ERR_TIMEOUT) {
        h->storage_took = took;
        gray_answered(&h->storage_signal, took, now);
    }
    health_host_answer(h, HEALTH_PROBE_STORAGE, h->storage_purpose, h->storage_ticket,
                       result == OK ? PROBE_OK : PROBE_FAILURE);
    if (result != OK || h->storage_signal.answers < GRAY_PAST_MIN ||
        h->storage_signal.evidence[GRAY_SLOW].bad > 0) {
        probe_set_hurry(&h->probes, HEALTH_PROBE_STORAGE, h->storage_purpose,
                        now + STORAGE_CLOSELY);
    }
}

static void storage_ask(struct health_prober *prober, const struct probe_order *order)
{
    struct health_host *h = prober->owner;

    h->storage_ticket = order->ticket;
    h->storage_purpose = order->purpose;
    if (storage_probe_ask(&h->storage, order->deadline) != OK) {
        /* The last one still hangs. */
        health_host_answer(h, order->id, order->purpose, order->ticket, PROBE_FAILURE);
    }
}

void health_own_begin(struct health_host *h, const char *storage_path)
{
    struct gray_config gray = gray_config_of(STORAGE_SLOW_MIN);
    struct probe_config probes[PROBE_PURPOSES] = {0};
    nanos now = world_now(h->world);

    gray_init(&h->storage_signal, &gray, now);
    if (storage_path == NULL) {
        return;
    }
    probes[PROBE_READINESS] = (struct probe_config){
        .is_asked = true,
        .period = STORAGE_PERIOD,
        .timeout = STORAGE_TIMEOUT,
        .failures = STORAGE_IN_ROW,
        .successes = 1,
    };
    h->has_storage = true;
    h->storage_prober = (struct health_prober){.ask = storage_ask, .owner = h};
    storage_probe_init(&h->storage, h->world, storage_path, storage_answered, h);
    CHECK(health_host_add_probe(h, HEALTH_PROBE_STORAGE, RUNG_STORAGE, probes,
                                &h->storage_prober) == OK);
}

/* Not in time is broken; in time, but slower than it was, is degraded. */
static struct host_told_rung storage_rung(const struct health_host *h, const struct probe_target *t)
{
    const struct target_probe *p = &t->probes[PROBE_READINESS];
    const struct gray_evidence *slow = &h->storage_signal.evidence[GRAY_SLOW];
    struct host_told_rung r = {.measure = (int64_t)(h->storage_took / NANOS_PER_US)};

    if (p->failed >= p->config.failures) {
        r.state = RUNG_BROKEN;
        r.bad = p->failed;
        r.asked = p->failed;
    } else if (h->storage_signal.is_degraded[GRAY_SLOW]) {
        r.state = RUNG_DEGRADED;
        r.bad = (uint32_t)u64_min(slow->bad, UINT32_MAX);
        r.asked = (uint32_t)u64_min(slow->requests, UINT32_MAX);
    } else if (p->is_well) {
        r.state = RUNG_WELL;
        r.asked = p->succeeded;
    }
    return r;
}

/* --- The other rungs -----------------------------------------------------------------------------
 */

void health_own_paused(struct health_host *h, nanos now)
{
    if (h->pause.lasted < PAUSE_MIN) {
        return;
    }
    uint32_t place = h->pauses++ % HEALTH_PAUSES_KEPT;

    h->paused_at[place] = now;
    h->paused_for[place] = h->pause.lasted;
}

static struct host_told_rung daemon_rung(const struct health_host *h, nanos now)
{
    struct host_told_rung r = {.state = RUNG_WELL};

    for (uint32_t i = 0; i < HEALTH_PAUSES_KEPT && i < h->pauses; i++) {
        if (h->paused_at[i] + PAUSES_SPAN > now) {
            int64_t lasted = (int64_t)(h->paused_for[i] / NANOS_PER_MS);

            r.bad++;
            r.measure = lasted > r.measure ? lasted : r.measure;
        }
    }
    if (r.bad >= HEALTH_PAUSES_KEPT) {
        r.state = RUNG_DEGRADED;
    }
    return r;
}

static struct host_told_rung clock_rung(const struct health_host *h, nanos now)
{
    struct clock_verdict v = clock_probe_judge(&h->look.clock, now);

    return (struct host_told_rung){
        .state = v.state,
        .bad = v.state == RUNG_WELL ? 0 : v.agreeing,
        .asked = v.asked,
        .measure = v.off / (int64_t)NANOS_PER_MS,
    };
}

static struct host_told_rung worse_rung(struct host_told_rung a, struct host_told_rung b)
{
    struct host_told_rung worse = b.state > a.state ? b : a;

    if (a.state != RUNG_UNKNOWN && b.state != RUNG_UNKNOWN) {
        worse.bad = a.bad + b.bad;
        worse.asked = a.asked + b.asked;
    }
    return worse;
}

/* What the probes of a rung say: the worst of them; bad and asked count targets. */
static struct host_told_rung probed_rung(const struct health_host *h, enum rung rung)
{
    struct host_told_rung r = {.state = RUNG_UNKNOWN};

    for (uint32_t i = 0; i < h->probes.count; i++) {
        const struct probe_target *t = &h->probes.targets[i];
        struct rung_view view = probe_rung(t);
        bool is_bad = view.state == RUNG_DEGRADED || view.state == RUNG_BROKEN;

        if (t->rung != rung) {
            continue;
        }
        r = worse_rung(r, t->id == HEALTH_PROBE_STORAGE
                              ? storage_rung(h, t)
                              : (struct host_told_rung){
                                    .state = view.state, .bad = is_bad ? 1 : 0, .asked = 1});
    }
    return r;
}

static struct host_told_rung own_rung(const struct health_host *h, enum rung rung, nanos now)
{
    struct host_told_rung r = worse_rung(h->said[rung], probed_rung(h, rung));

    if (rung == RUNG_DAEMON) {
        r = worse_rung(r, daemon_rung(h, now));
    } else if (rung == RUNG_CLOCK) {
        r = worse_rung(r, clock_rung(h, now));
    }
    return r;
}

/* --- Telling -------------------------------------------------------------------------------------
 */

static uint32_t wall_second(const struct health_host *h)
{
    return (uint32_t)u64_min(world_wall(h->world) / NANOS_PER_S, UINT32_MAX);
}

/* Worse at once, better once it has lasted. Evidence is that of the state's beginning. */
static void take_own_rung(struct health_host *h, enum rung rung, nanos now)
{
    struct health_own_rung *own = &h->own[rung];
    struct host_told_rung r = own_rung(h, rung, now);
    bool is_better = r.state < own->told.state && own->told.state > RUNG_WELL;

    if (r.state == own->told.state) {
        own->better_since = 0;
        return;
    }
    if (is_better && own->better_since == 0) {
        own->better_since = now;
    }
    if (is_better && now < own->better_since + BETTER_SPAN) {
        return;
    }
    own->better_since = 0;
    own->told = r;
    own->told.since = wall_second(h);
}

void health_own_describe(const struct health_host *h, struct host_status *ret)
{
    memset(ret, 0, sizeof *ret);
    memcpy(ret->name, h->name, sizeof ret->name);
    ret->is_told = true;
    for (enum rung i = 0; i < RUNGS; i++) {
        ret->rungs[i] = h->own[i].told;
    }
    ret->n_peers = health_look_tell(&h->look, ret->peers);
}

/* Is there anything that the others do not know? How bad exactly a peer is has been told once. */
static bool status_differs(const struct host_status *a, const struct host_status *b)
{
    bool differs = a->n_peers != b->n_peers;

    for (enum rung i = 0; i < RUNGS; i++) {
        differs |= a->rungs[i].state != b->rungs[i].state;
    }
    for (uint32_t i = 0; i < a->n_peers && !differs; i++) {
        differs = a->peers[i].id != b->peers[i].id || a->peers[i].symptoms != b->peers[i].symptoms;
    }
    return differs;
}

void health_own_judge(struct health_host *h, nanos now)
{
    struct host_status status;
    struct buf meta;

    for (enum rung i = 0; i < RUNGS; i++) {
        if (i != RUNG_NETWORK) {
            take_own_rung(h, i, now);
        }
    }
    health_own_describe(h, &status);
    if (now < h->tell_at || !status_differs(&status, &h->told)) {
        return;
    }
    h->told = status;
    h->tell_at = now + TELL_INTERVAL;
    buf_init(&meta);
    host_status_encode(&meta, &status);
    health_agent_set_meta(h->agent, buf_view(&meta));
    buf_deinit(&meta);
}
