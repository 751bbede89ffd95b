#include "core/monitoring/health/health_host.h"

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/monitoring/health/health_host_int.h"

#include <string.h>

/* How often everything is judged, and what a turn that finds something due may do so soon again. */
#define HEALTH_JUDGE_INTERVAL NANOS_PER_S
#define HEALTH_TURN_MIN       (5 * NANOS_PER_MS)

/* Twice this late is a stall, and three times this is listened before judging again. */
#define HEALTH_PAUSE_INTERVAL (150 * NANOS_PER_MS)

/* --- Turns ---------------------------------------------------------------------------------------
 */

/* To be called first, whatever has woken us. */
static void host_look_at_clock(struct health_host *h, nanos now)
{
    if (!pause_turn(&h->pause, now, world_awake(h->world), h->armed_at)) {
        return;
    }
    nanos judges_from = pause_judges_from(&h->pause);

    health_own_paused(h, now);
    health_look_woke(&h->look);
    probe_set_excuse_all(&h->probes, judges_from, now);
    health_agent_woke(h->agent, judges_from);
}

static struct health_prober *prober_of(const struct health_host *h, uint64_t id)
{
    for (uint32_t i = 0; i < h->n_probed; i++) {
        if (h->probed[i].id == id) {
            return h->probed[i].prober;
        }
    }
    return NULL;
}

static void host_ask_probes(struct health_host *h, nanos now)
{
    struct probe_order order;

    while (probe_set_next(&h->probes, now, &order)) {
        struct health_prober *prober = prober_of(h, order.id);

        CHECK(prober != NULL);
        prober->ask(prober, &order);
    }
}

static void host_arm(struct health_host *h, nanos now)
{
    nanos due = u64_min(health_look_due(&h->look, now), probe_set_deadline(&h->probes));

    /* A turn within every interval, also where there is nothing to do: a stall is seen by the turn
     * that it makes late, and one that begins and ends between two turns by nobody. Without this an
     * idle daemon would wake 57 times a second instead of 63, and miss most stalls of half a
     * second. */
    due = u64_min(due, now + HEALTH_PAUSE_INTERVAL);

    h->armed_at = u64_max(u64_min(due, h->judge_at), now + HEALTH_TURN_MIN);
    pause_expect(&h->pause, h->armed_at);
    world_timer_set(h->world, &h->timer, h->armed_at);
}

static void host_on_timer(struct world_timer *timer)
{
    struct health_host *h = timer->owner;
    nanos now = world_now(h->world);

    host_look_at_clock(h, now);
    health_look_turn(&h->look, h->agent, now, world_wall(h->world));
    host_ask_probes(h, now);
    if (h->judge_at <= now) {
        h->judge_at = now + HEALTH_JUDGE_INTERVAL;
        if (pause_judges(&h->pause, now)) {
            if (h->events.judging != NULL) {
                h->events.judging(h->events.ctx);
            }
            health_own_judge(h, now);
            health_ladders_judge(h);
        }
    }
    host_arm(h, now);
}

static void host_on_note(void *ctx, node_id from, struct bytes bytes)
{
    struct health_host *h = ctx;
    nanos now = world_now(h->world);

    /* Notes come only once the agent is there, but it may be the first thing that it brings. */
    if (h->agent != NULL) {
        host_look_at_clock(h, now);
        health_look_hear(&h->look, h->agent, from, bytes, now, world_wall(h->world));
    }
}

static void host_on_change(void *ctx, const struct swim_change *change)
{
    struct health_host *h = ctx;

    if (h->events.changed != NULL && h->agent != NULL) {
        h->events.changed(h->events.ctx, change);
    }
}

static void host_on_cut(void *ctx, const struct cut_change *change, uint64_t view)
{
    struct health_host *h = ctx;

    if (h->events.cut != NULL && h->agent != NULL) {
        h->events.cut(h->events.ctx, change, view);
    }
}

static void host_on_leader_died(void *ctx, node_id leader)
{
    struct health_host *h = ctx;

    if (h->events.leader_died != NULL && h->agent != NULL) {
        h->events.leader_died(h->events.ctx, leader);
    }
}

static bool host_on_hears(void *ctx, node_id id, nanos span)
{
    const struct health_host *h = ctx;

    return h->events.hears != NULL && h->events.hears(h->events.ctx, id, span);
}

/* --- From outside --------------------------------------------------------------------------------
 */

enum err health_host_open(const struct world *world, const struct health_host_config *config,
                          const struct health_host_events *events, struct health_host **ret)
{
    struct health_host *h = mem_alloc_zero(sizeof *h);
    struct health_agent_config agent = config->agent;
    struct health_agent_events hears = {.ctx = h,
                                        .changed = host_on_change,
                                        .cut = host_on_cut,
                                        .note = host_on_note,
                                        .leader_died = host_on_leader_died,
                                        .hears = host_on_hears};
    struct pause_config pause = pause_config_of(HEALTH_PAUSE_INTERVAL);
    struct probe_set_config probes = probe_set_config_of();
    nanos now = world_now(world);
    uint64_t seed = 0;
    struct buf meta;

    h->world = world;
    h->events = *events;
    h->timer = (struct world_timer){.fire = host_on_timer, .owner = h};
    h->armed_at = now;
    h->judge_at = now + HEALTH_JUDGE_INTERVAL;
    memcpy(h->name, config->name, strnlen(config->name, sizeof h->name - 1));
    world->random->fill(world->self, (uint8_t *)&seed, sizeof seed);
    pause_init(&h->pause, &pause, now, world_awake(world));
    health_look_init(&h->look, now);
    probe_set_init(&h->probes, &probes, seed, now);
    health_own_begin(h, config->storage_path);
    buf_init(&meta);
    health_own_describe(h, &h->told);
    host_status_encode(&meta, &h->told);
    agent.meta = buf_view(&meta);
    enum err e = health_agent_open(world, &agent, &hears, &h->agent);
    buf_deinit(&meta);
    if (e != OK) {
        mem_free(h);
        return e;
    }
    host_arm(h, now);
    *ret = h;
    return OK;
}

void health_host_stop(struct health_host *h)
{
    world_timer_cancel(h->world, &h->timer);
    if (h->has_storage) {
        storage_probe_stop(&h->storage);
    }
    health_agent_close(h->agent);
    h->agent = NULL;
}

void health_host_free(struct health_host *h)
{
    CHECK(h->agent == NULL);
    mem_free(h);
}

struct health_agent *health_host_agent(struct health_host *h)
{
    return h->agent;
}

enum err health_host_add_probe(struct health_host *h, uint64_t id, enum rung rung,
                               const struct probe_config *probes, struct health_prober *prober)
{
    nanos now = world_now(h->world);

    TRY(probe_set_add(&h->probes, id, rung, probes, now));
    h->probed[h->n_probed++] = (struct health_probed){id, prober};
    if (h->timer.is_set) {
        host_arm(h, now);
    }
    return OK;
}

void health_host_remove_probe(struct health_host *h, uint64_t id)
{
    probe_set_remove(&h->probes, id);
    for (uint32_t i = 0; i < h->n_probed; i++) {
        if (h->probed[i].id == id) {
            h->probed[i] = h->probed[--h->n_probed];
            return;
        }
    }
}

void health_host_answer(struct health_host *h, uint64_t id, enum probe_purpose purpose,
                        uint64_t ticket, enum probe_outcome outcome)
{
    nanos now = world_now(h->world);

    /* An answer may be the first thing that is seen after a pause, and has not come too late. */
    if (h->agent != NULL) {
        host_look_at_clock(h, now);
    }
    probe_set_answer(&h->probes, id, purpose, ticket, outcome, now);
}

const struct probe_set *health_host_probes(const struct health_host *h)
{
    return &h->probes;
}

void health_host_set_rung(struct health_host *h, enum rung rung, enum rung_state state,
                          uint32_t bad, uint32_t asked)
{
    CHECK(rung < RUNGS && rung != RUNG_NETWORK);
    h->said[rung] = (struct host_told_rung){.state = state, .bad = bad, .asked = asked};
}

const struct pause *health_host_pause(const struct health_host *h)
{
    return &h->pause;
}

const struct health_look *health_host_look(const struct health_host *h)
{
    return &h->look;
}

void health_host_check(const struct health_host *h)
{
    health_look_check(&h->look);
    probe_set_check(&h->probes);
    gray_check(&h->storage_signal);
    CHECK(h->n_probed == h->probes.count);
    CHECK(h->n_verdicts <= HEALTH_VERDICTS_MAX && h->n_troubled <= HEALTH_TROUBLED_MAX);
}
