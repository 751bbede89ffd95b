#include "core/chaos/simworld.h"

#include <string.h>

#include "core/base/hash.h"
#include "core/chaos/simmemory.h"
#include "core/chaos/simworld_int.h"

/* Of what a long read brought, so much at either end goes into the run's hash. */
#define HASHED_END_BYTES 1024

/* --- which event is the first ---------------------------------------------------------------- */

static uint32_t source_earlier(const struct simworld *sim, uint32_t a, uint32_t b)
{
    return sim_is_before(sim->keys[b].due, sim->keys[b].ticket, sim->keys[a].due,
                         sim->keys[a].ticket)
               ? b
               : a;
}

/* Plays the matches of one source again. */
static void source_set(struct simworld *sim, uint32_t source, struct simkey key)
{
    sim->keys[source] = key;
    uint32_t winner = source_earlier(sim, source, source ^ 1);
    for (uint32_t match = (sim->source_cap + source) / 2;; match /= 2) {
        sim->winners[match] = winner;
        if (match == 1) {
            return;
        }
        winner = source_earlier(sim, winner, sim->winners[match ^ 1]);
    }
}

static struct simkey queue_key(const struct simqueue *queue)
{
    return queue->count == 0 ? (struct simkey){NANOS_FOREVER, 0}
                             : (struct simkey){queue->events[0].due, queue->events[0].ticket};
}

/* Of timers and events, whichever is first; `is_timer` says which. */
static struct simkey host_first(struct simhost *host, bool *is_timer)
{
    struct simkey first = queue_key(&host->queue);
    nanos due = simtimers_due(host);

    *is_timer = due != NANOS_FOREVER &&
                sim_is_before(due, host->timers.heap[0].ticket, first.due, first.ticket);
    return *is_timer ? (struct simkey){due, host->timers.heap[0].ticket} : first;
}

void simhost_refresh(struct simhost *host)
{
    bool is_timer;
    struct simkey key = {NANOS_FOREVER, 0};

    if (host->sim->running == host) {
        return;
    }
    if (!host->is_asleep) {
        key = host_first(host, &is_timer);
        key.due = u64_max(key.due, u64_max(host->paused_until, host->busy_until));
    }
    source_set(host->sim, host->source, key);
}

/* Room for one more source. */
static void sources_grow(struct simworld *sim)
{
    uint32_t count = (uint32_t)sim->host_count + 1; /* there are */

    if (count < sim->source_cap) {
        return;
    }
    uint32_t cap = sim->source_cap == 0 ? 8 : 2 * sim->source_cap;
    sim->keys = mem_realloc_array(sim->keys, cap, sizeof *sim->keys);
    sim->winners = mem_realloc_array(sim->winners, cap, sizeof *sim->winners);
    for (uint32_t i = sim->source_cap; i < cap; i++) {
        sim->keys[i] = (struct simkey){NANOS_FOREVER, 0};
    }
    sim->source_cap = cap;
    memset(sim->winners, 0, cap * sizeof *sim->winners);
    for (uint32_t i = 0; i < cap; i++) {
        source_set(sim, i, sim->keys[i]);
    }
}

/* --- events ---------------------------------------------------------------------------------- */

void simworld_post(struct simworld *sim, struct simhost *host, enum simevent_kind kind, nanos due,
                   void (*run)(void *), void (*drop)(void *), void *arg)
{
    const struct simevent event = {
        .due = u64_max(due, sim->now),
        .ticket = ++sim->tickets,
        .run = run,
        .drop = drop,
        .arg = arg,
        .kind = kind,
    };
    struct simqueue *queue = host != NULL ? &host->queue : &sim->queue;

    simqueue_push(queue, &event);
    if (queue->events[0].ticket != event.ticket) {
        return; /* something else is the first there, as it was */
    }
    if (host != NULL) {
        simhost_refresh(host);
    } else {
        source_set(sim, 0, queue_key(queue));
    }
}

void simworld_schedule(struct simworld *sim, struct simhost *host, nanos due, void (*run)(void *),
                       void (*drop)(void *), void *arg)
{
    simworld_post(sim, host, host != NULL ? SIMEVENT_PROCESS : SIMEVENT_WORLD, due, run, drop, arg);
}

/* Every event goes through here. */
static void note_event(struct simworld *sim, enum simevent_kind kind, uint32_t source, nanos due)
{
    sim->events++;
    simworld_mix(sim, due);
    simworld_mix(sim, (uint64_t)kind << 32 | source);
    sim->now = u64_max(sim->now, due);
}

static void step_host(struct simworld *sim, struct simhost *host, nanos due)
{
    bool is_timer;

    (void)host_first(host, &is_timer);
    sim->running = host;
    if (is_timer) {
        note_event(sim, SIMEVENT_TIMER, host->source, due);
        simtimers_fire(host);
    } else {
        struct simevent event = simqueue_pop(&host->queue);
        note_event(sim, event.kind, host->source, due);
        event.run(event.arg);
    }
    sim->running = NULL;
    host->busy_until = host->per_event == 0 ? 0 : sim->now + host->per_event;
    simhost_refresh(host);
}

nanos simworld_next(const struct simworld *sim)
{
    return sim->keys[sim->winners[1]].due;
}

const struct simhost *simworld_ran(const struct simworld *sim)
{
    return sim->ran;
}

bool simworld_step(struct simworld *sim)
{
    uint32_t source = sim->winners[1];
    nanos due = sim->keys[source].due;

    if (due == NANOS_FOREVER) {
        return false;
    }
    sim->ran = source != 0 ? sim->hosts[source - 1] : NULL;
    if (source != 0) {
        step_host(sim, sim->hosts[source - 1], due);
        return true;
    }
    struct simevent event = simqueue_pop(&sim->queue);
    source_set(sim, 0, queue_key(&sim->queue));
    note_event(sim, event.kind, 0, due);
    event.run(event.arg);
    return true;
}

void simworld_run(struct simworld *sim, nanos until)
{
    while (simworld_next(sim) <= until && simworld_step(sim)) {
    }
    if (until != NANOS_FOREVER) {
        sim->now = u64_max(sim->now, until);
    }
}

/* A read of whole segments would cost more than all else, so of a long one the ends count. */
static uint64_t hash_read(const struct world_file_request *request)
{
    if (request->count <= 2 * HASHED_END_BYTES) {
        return hash_bytes(request->offset, request->buffer, request->count);
    }
    uint64_t first = hash_bytes(request->offset, request->buffer, HASHED_END_BYTES);
    return hash_bytes(first ^ request->count, request->buffer + request->count - HASHED_END_BYTES,
                      HASHED_END_BYTES);
}

void simworld_mix_file(struct simworld *sim, const struct world_file_request *request)
{
    bool has_read = request->op == WORLD_READ && request->result == OK;

    simworld_mix(sim, (uint64_t)request->op << 32 | (uint64_t)request->result);
    simworld_mix(sim, has_read ? hash_read(request) : request->length);
}

/* --- the world ------------------------------------------------------------------------------- */

struct simworld *simworld_new(uint64_t seed)
{
    struct simworld *sim = mem_alloc_zero(sizeof *sim);

    prng_init(&sim->prng, seed);
    sim->net_prng = prng_fork(&sim->prng, 1);
    /* Not zero: nothing may take the origin for "never". */
    sim->now = NANOS_PER_S;
    sources_grow(sim);
    return sim;
}

void simworld_free(struct simworld *sim)
{
    sim->line = NULL;
    for (size_t i = 0; i < sim->host_count; i++) {
        simhost_kill(sim->hosts[i]);
    }
    simqueue_deinit(&sim->queue);
    for (size_t i = 0; i < sim->host_count; i++) {
        simqueue_deinit(&sim->hosts[i]->queue);
    }
    simnet_deinit(sim);
    simpower_deinit(sim);
    simvolume_deinit(sim);
    for (size_t i = 0; i < sim->host_count; i++) {
        simvm_deinit(sim->hosts[i]);
        simapp_deinit(sim->hosts[i]);
        simprogram_deinit(sim->hosts[i]);
        simguard_deinit(sim->hosts[i]);
        simdisk_free(sim->hosts[i]->disk);
        mem_free(sim->hosts[i]->timers.heap);
        mem_free(sim->hosts[i]);
    }
    mem_free(sim->hosts);
    mem_free(sim->keys);
    mem_free(sim->winners);
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

uint64_t simworld_hash(const struct simworld *sim)
{
    return sim->hash;
}

const char *simtrace_text(enum simtrace kind)
{
    static const char *const texts[] = {
#define SIMTRACE_TEXT(name, text, number) text,
        SIMTRACE_TABLE(SIMTRACE_TEXT)
#undef SIMTRACE_TEXT
    };
    CHECK((size_t)kind < COUNT_OF(texts));
    return texts[kind];
}

void simworld_trace(struct simworld *sim,
                    void (*line)(void *ctx, nanos at, const struct simhost *host,
                                 enum simtrace kind, const struct simhost *other, uint64_t number),
                    void *ctx)
{
    sim->line = line;
    sim->line_ctx = ctx;
}

struct simhost *simworld_find(const struct simworld *sim, const char *name)
{
    uint64_t hash = hash_bytes(0, name, strlen(name));

    for (size_t i = 0; i < sim->host_count; i++) {
        if (sim->hosts[i]->name_hash == hash && strcmp(sim->hosts[i]->name, name) == 0) {
            return sim->hosts[i];
        }
    }
    return NULL;
}

/* --- hosts ----------------------------------------------------------------------------------- */

static void sim_random(void *self, uint8_t *bytes, size_t n)
{
    struct simhost *host = self;
    for (size_t i = 0; i < n; i++) {
        bytes[i] = (uint8_t)prng_u64(&host->prng);
    }
}

static const struct world_random_ops sim_random_ops = {sim_random};

struct simhost *simhost_new(struct simworld *sim, const char *name, uint64_t disk_capacity)
{
    struct simhost *host = mem_alloc_zero(sizeof *host);

    CHECK(strlen(name) < sizeof host->name && simworld_find(sim, name) == NULL);
    host->sim = sim;
    memcpy(host->name, name, strlen(name) + 1);
    host->name_hash = hash_bytes(0, name, strlen(name));
    host->disk = simdisk_new(disk_capacity);
    host->prng = prng_fork(&sim->prng, 1000 + sim->host_count);
    simfile_init(host);
    host->world = (struct world){
        .self = host,
        .time = &simclock_ops,
        .file = &simfile_ops,
        .net = &simnet_ops,
        .random = &sim_random_ops,
        .power = &simpower_ops,
        .vm = &simvm_ops,
        .plain = &simplain_ops,
        .command = &simcommand_ops,
        .guard = &simguard_ops,
        .memory = &simmemory_ops,
    };
    simpower_init(host);
    simvm_init(host);
    simapp_init(host);
    simprogram_init(host);
    simguard_init(host);
    simclock_begin(host, sim->now);
    mem_grow((void **)&sim->hosts, &sim->host_cap, sim->host_count + 1, sizeof *sim->hosts);
    sources_grow(sim);
    sim->hosts[sim->host_count++] = host;
    host->source = (uint32_t)sim->host_count;
    return host;
}

const char *simhost_name(const struct simhost *host)
{
    return host->name;
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

static bool is_no_process_event(void *ctx, const struct simevent *event)
{
    (void)ctx;
    return event->kind != SIMEVENT_PROCESS;
}

static void host_forget_process(struct simhost *host, bool has_power)
{
    simqueue_filter(&host->queue, is_no_process_event, NULL);
    simtimers_forget(host);
    for (size_t lane = 0; lane < WORLD_LANES; lane++) {
        host->lane_free[lane] = 0;
    }
    host->paused_until = 0;
    host->busy_until = 0;
    simpower_forget(host);
    simvm_forget(host);
    simapp_forget(host);
    simprogram_forget(host);
    simguard_forget(host);
    simnet_forget(host, has_power);
    simdisk_close_all(host->disk);
    simhost_refresh(host);
}

void simhost_kill(struct simhost *host)
{
    simworld_tell(host->sim, host, SIMTRACE_KILL, NULL, 0);
    host_forget_process(host, true);
}

void simhost_cut_power(struct simhost *host, uint64_t num, uint64_t den)
{
    simworld_tell(host->sim, host, SIMTRACE_POWER_CUT, NULL, 0);
    host->is_off = true;
    simhost_suspend(host, 0);
    host_forget_process(host, false);
    simvm_lose_power(host);
    simguard_lose_power(host);
    simdisk_lose_power(host->disk, num, den);
}

void simhost_power_on(struct simhost *host)
{
    if (host->is_off) {
        host->is_off = false;
        simworld_tell(host->sim, host, SIMTRACE_POWER_ON, NULL, 0);
    }
}

bool simhost_is_on(const struct simhost *host)
{
    return !host->is_off;
}

void simhost_pause(struct simhost *host, nanos until)
{
    host->paused_until = until;
    simworld_tell(host->sim, host, SIMTRACE_PAUSE, NULL, until);
    simhost_refresh(host);
}

bool simhost_is_paused(const struct simhost *host)
{
    nanos now = host->sim->now;
    return host->is_asleep || host->is_off || host->paused_until > now || host->busy_until > now;
}

void simhost_slow_cpu(struct simhost *host, nanos per_event)
{
    host->per_event = per_event;
    if (per_event == 0) {
        host->busy_until = 0;
    }
    simworld_tell(host->sim, host, SIMTRACE_SLOW_CPU, NULL, per_event);
    simhost_refresh(host);
}

void simhost_later(struct simhost *host, nanos span, void (*run)(void *), void (*drop)(void *),
                   void *arg)
{
    simworld_schedule(host->sim, host, host->sim->now + span, run, drop, arg);
}
