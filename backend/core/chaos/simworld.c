#include "core/chaos/simworld.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/chaos/simworld_int.h"

static bool is_before(nanos due_a, uint64_t ticket_a, nanos due_b, uint64_t ticket_b)
{
    return due_a < due_b || (due_a == due_b && ticket_a < ticket_b);
}

static bool event_before(const struct simevent *a, const struct simevent *b)
{
    return is_before(a->due, a->ticket, b->due, b->ticket);
}

static void swap_events(struct simevent *a, struct simevent *b)
{
    struct simevent kept = *a;
    *a = *b;
    *b = kept;
}

void simworld_schedule(struct simworld *sim, struct simhost *host, nanos due, void (*run)(void *),
                       void (*drop)(void *), void *arg)
{
    mem_grow((void **)&sim->queue, &sim->queue_cap, sim->queue_count + 1, sizeof *sim->queue);
    size_t at = sim->queue_count++;
    sim->queue[at] = (struct simevent){
        .due = u64_max(due, sim->now),
        .ticket = ++sim->tickets,
        .host = host,
        .incarnation = host != NULL ? host->incarnation : 0,
        .run = run,
        .drop = drop,
        .arg = arg,
    };
    while (at > 0 && event_before(&sim->queue[at], &sim->queue[(at - 1) / 2])) {
        swap_events(&sim->queue[at], &sim->queue[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
}

static struct simevent pop_event(struct simworld *sim)
{
    struct simevent first = sim->queue[0];
    size_t at = 0;

    sim->queue[0] = sim->queue[--sim->queue_count];
    for (;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < sim->queue_count; child++) {
            if (event_before(&sim->queue[child], &sim->queue[least])) {
                least = child;
            }
        }
        if (least == at) {
            return first;
        }
        swap_events(&sim->queue[at], &sim->queue[least]);
        at = least;
    }
}

static bool is_forgotten(const struct simevent *event)
{
    return event->host != NULL && event->incarnation != event->host->incarnation;
}

static void drop_event(const struct simevent *event)
{
    if (event->drop != NULL) {
        event->drop(event->arg);
    }
}

struct simworld *simworld_new(uint64_t seed)
{
    struct simworld *sim = mem_alloc_zero(sizeof *sim);

    prng_init(&sim->prng, seed);
    sim->net_prng = prng_fork(&sim->prng, 1);
    /* Not zero: nothing may take the origin for "never". */
    sim->now = NANOS_PER_S;
    return sim;
}

void simworld_free(struct simworld *sim)
{
    for (size_t i = 0; i < sim->host_count; i++) {
        simhost_kill(sim->hosts[i]);
    }
    for (size_t i = 0; i < sim->queue_count; i++) {
        drop_event(&sim->queue[i]);
    }
    for (size_t i = 0; i < sim->host_count; i++) {
        simdisk_free(sim->hosts[i]->disk);
        mem_free(sim->hosts[i]);
    }
    simnet_deinit(sim);
    mem_free(sim->queue);
    mem_free(sim->hosts);
    mem_free(sim);
}

nanos simworld_now(const struct simworld *sim)
{
    return sim->now;
}

uint64_t simworld_events(const struct simworld *sim)
{
    return sim->events;
}

/* The host whose timer is the first of all; NULL if none is set. */
static struct simhost *first_timer(const struct simworld *sim)
{
    struct simhost *first = NULL;

    for (size_t i = 0; i < sim->host_count; i++) {
        struct simhost *host = sim->hosts[i];
        if (host->timers != NULL &&
            (first == NULL || is_before(host->timers->at, host->timers->ticket, first->timers->at,
                                        first->timers->ticket))) {
            first = host;
        }
    }
    return first;
}

static void fire_timer(struct simhost *host)
{
    struct world_timer *timer = host->timers;

    host->timers = timer->next;
    timer->is_set = false;
    host->sim->now = u64_max(host->sim->now, timer->at);
    timer->fire(timer);
}

/* When the next thing happens; NANOS_FOREVER: never. */
static nanos next_due(struct simworld *sim)
{
    while (sim->queue_count > 0 && is_forgotten(&sim->queue[0])) {
        struct simevent event = pop_event(sim);
        drop_event(&event);
    }
    const struct simhost *host = first_timer(sim);
    nanos due = sim->queue_count > 0 ? sim->queue[0].due : NANOS_FOREVER;
    return host != NULL ? u64_min(due, host->timers->at) : due;
}

bool simworld_step(struct simworld *sim)
{
    if (next_due(sim) == NANOS_FOREVER) {
        return false;
    }
    sim->events++;
    struct simhost *host = first_timer(sim);
    if (host != NULL &&
        (sim->queue_count == 0 || is_before(host->timers->at, host->timers->ticket,
                                            sim->queue[0].due, sim->queue[0].ticket))) {
        fire_timer(host);
        return true;
    }
    struct simevent event = pop_event(sim);
    sim->now = event.due;
    event.run(event.arg);
    return true;
}

void simworld_run(struct simworld *sim, nanos until)
{
    while (next_due(sim) <= until && simworld_step(sim)) {
    }
    if (until != NANOS_FOREVER) {
        sim->now = u64_max(sim->now, until);
    }
}

struct simhost *simworld_find(const struct simworld *sim, const char *name)
{
    for (size_t i = 0; i < sim->host_count; i++) {
        if (strcmp(sim->hosts[i]->name, name) == 0) {
            return sim->hosts[i];
        }
    }
    return NULL;
}

static nanos sim_now(void *self)
{
    const struct simhost *host = self;
    return host->sim->now;
}

static void sim_timer_cancel(void *self, struct world_timer *timer)
{
    struct simhost *host = self;

    if (!timer->is_set) {
        return;
    }
    struct world_timer **at = &host->timers;
    while (*at != timer) {
        CHECK(*at != NULL);
        at = &(*at)->next;
    }
    *at = timer->next;
    timer->is_set = false;
}

static void sim_timer_set(void *self, struct world_timer *timer, nanos due)
{
    struct simhost *host = self;

    sim_timer_cancel(self, timer);
    timer->at = due;
    timer->ticket = ++host->sim->tickets;
    timer->is_set = true;
    struct world_timer **at = &host->timers;
    while (*at != NULL && (*at)->at <= due) {
        at = &(*at)->next;
    }
    timer->next = *at;
    *at = timer;
}

static void sim_random(void *self, uint8_t *bytes, size_t n)
{
    struct simhost *host = self;
    for (size_t i = 0; i < n; i++) {
        bytes[i] = (uint8_t)prng_u64(&host->prng);
    }
}

static const struct world_time_ops sim_time_ops = {sim_now, sim_timer_set, sim_timer_cancel};
static const struct world_random_ops sim_random_ops = {sim_random};

struct simhost *simhost_new(struct simworld *sim, const char *name, uint64_t disk_capacity)
{
    struct simhost *host = mem_alloc_zero(sizeof *host);

    CHECK(strlen(name) < sizeof host->name && simworld_find(sim, name) == NULL);
    host->sim = sim;
    memcpy(host->name, name, strlen(name) + 1);
    host->incarnation = 1;
    host->disk = simdisk_new(disk_capacity);
    host->prng = prng_fork(&sim->prng, 1000 + sim->host_count);
    simfile_init(host);
    host->world = (struct world){host, &sim_time_ops, &simfile_ops, &simnet_ops, &sim_random_ops};
    mem_grow((void **)&sim->hosts, &sim->host_cap, sim->host_count + 1, sizeof *sim->hosts);
    sim->hosts[sim->host_count++] = host;
    return host;
}

const struct world *simhost_world(const struct simhost *host)
{
    return &host->world;
}

struct simdisk *simhost_disk(struct simhost *host)
{
    return host->disk;
}

void simhost_replace_disk(struct simhost *host, struct simdisk *disk)
{
    struct prng prng = simdisk_prng(host->disk);

    simdisk_seed(disk, &prng);
    simdisk_close_all(disk);
    simdisk_free(host->disk);
    host->disk = disk;
}

void simhost_kill(struct simhost *host)
{
    host->incarnation++;
    while (host->timers != NULL) {
        host->timers->is_set = false;
        host->timers = host->timers->next;
    }
    for (size_t lane = 0; lane < WORLD_LANES; lane++) {
        host->lane_free[lane] = 0;
    }
    simnet_forget(host);
    simdisk_close_all(host->disk);
}

/* What a power cut leaves, drawn from the host's generator. */
struct luck {
    struct prng *prng;
    uint64_t num;
    uint64_t den;
};

static bool survives_by_luck(void *ctx, uint64_t unit)
{
    const struct luck *luck = ctx;
    (void)unit;
    return prng_chance(luck->prng, luck->num, luck->den);
}

void simhost_cut_power(struct simhost *host, uint64_t num, uint64_t den)
{
    struct luck luck = {&host->prng, num, den};

    simhost_kill(host);
    simdisk_cut_power(host->disk, survives_by_luck, &luck);
}
