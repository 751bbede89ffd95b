/*
 * Private to the simulated world: simworld.c is events and hosts, simclock.c clocks and timers,
 * simfile.c the files, simevent.c the queues; the network has headers of its own (simnet_int.h).
 *
 * Each host has a queue of what will happen to it and a heap of timers; what happens to nobody, or
 * to kernels, is in the world's own queue. Each of these is a source, 0 being the world, and a
 * tournament finds the source whose first event is due first. So a paused host is a source whose
 * key is late, and nothing of what waits there is moved.
 */
#ifndef NOVACRON_CHAOS_SIMWORLD_INT_H
#define NOVACRON_CHAOS_SIMWORLD_INT_H

#include "core/base/buf.h"
#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/chaos/simevent.h"
#include "core/chaos/simworld.h"

struct simapps;     /* simapp.c */
struct simprograms; /* simprogram.c */
struct simport;     /* simnet_int.h */
struct simlink;
struct simparcel;
struct simconn;
struct simdevice; /* simpower.c */
struct simpower;
struct simguard; /* simguard.c */
struct simvms;   /* simvm_int.h */
struct simvolume;
struct world_stream;

/* simclock.c: how a host's clock runs. `at` on the clock was `since` in virtual time. */
struct simclock {
    nanos since;
    nanos at;
    uint64_t rate; /* clock's nanoseconds in a million of virtual ones */
    nanos slept;   /* of what the clock has counted */
};

/* A timer that is set. Its place is kept in the timer. */
struct simtimer {
    nanos at;
    uint64_t ticket;
    struct world_timer *timer; /* borrowed */
};

struct simtimers {
    struct simtimer *heap; /* owned; by (at, ticket) */
    size_t count;
    size_t cap;
    nanos first_at; /* what `first_due` was worked out for; NANOS_FOREVER: nothing */
    nanos first_due;
};

struct simhost {
    struct simworld *sim;
    uint32_t source;
    uint64_t name_hash;
    char name[WORLD_HOST_MAX_BYTES];
    struct world world;
    struct simdisk *disk; /* owned */
    struct prng prng;
    struct simqueue queue;
    struct simtimers timers;
    struct simclock clock;
    int64_t wall_off; /* of its wall clock, from the right time */

    /* the processor */
    nanos paused_until;
    nanos busy_until;
    nanos per_event;
    bool is_off;
    bool is_asleep;
    nanos fell_asleep;  /* in virtual time */
    nanos asleep_since; /* on its clock */
    nanos awake_at;
    uint64_t sleeps; /* how often it went to sleep, or was woken */

    /* simfile.c */
    nanos lane_free[WORLD_LANES];
    nanos stalled_until[WORLD_LANES];
    nanos extra_operation;
    nanos extra_sync;
    struct simfile_speed speed;
    struct prng latency_prng;

    /* simnet.c */
    struct simport *ports;        /* owned list */
    struct world_stream *streams; /* list of all ends that are not forgotten, newest first */
    struct simlink **links;       /* owned; to each source, NULL: never used */
    size_t link_count;

    struct simpower *power;       /* owned */
    struct simvms *vms;           /* owned */
    struct simapps *apps;         /* owned */
    struct simprograms *programs; /* owned */
    struct simguard *guard;       /* owned */
};

/* When a source's first event happens. */
struct simkey {
    nanos due;
    uint64_t ticket;
};

struct simworld {
    nanos now;
    uint64_t tickets;
    uint64_t events;
    uint64_t hash;
    struct prng prng;
    struct prng net_prng;
    struct simqueue queue;  /* of source 0 */
    struct simhost **hosts; /* owned; the host of source i is at i - 1 */
    size_t host_count;
    size_t host_cap;
    struct simkey *keys; /* owned; one a source, up to source_cap, a power of two */
    uint32_t *winners;   /* owned; the tournament, [1] is the first of all */
    uint32_t source_cap;
    struct simhost *ran;     /* of the last event; NULL: none */
    struct simhost *running; /* whose key is looked at when its event is over; or NULL */
    void (*line)(void *ctx, nanos at, const struct simhost *host, enum simtrace kind,
                 const struct simhost *other, uint64_t number);
    void *line_ctx;
    struct simparcel *parcels; /* simnet.c: free ones */
    struct simconn *conns;     /* simconn.c: free ones */
    struct simdevice *devices; /* simpower.c: owned list */
    struct simvolume *volumes; /* simvolume.c: owned list */
    struct buf violation;      /* simvolume.c: the first, closed by a zero; empty: none */
};

/* Something will happen: to the host's process, whose death cancels it, or, where `host` is NULL,
 * to nobody. */
void simworld_schedule(struct simworld *sim, struct simhost *host, nanos due, void (*run)(void *),
                       void (*drop)(void *), void *arg);

/* The same, of another kind. Only SIMEVENT_PROCESS is canceled. */
void simworld_post(struct simworld *sim, struct simhost *host, enum simevent_kind kind, nanos due,
                   void (*run)(void *), void (*drop)(void *), void *arg);

/* Something about the host has changed that decides when its next event happens. */
void simhost_refresh(struct simhost *host);

struct simhost *simworld_find(const struct simworld *sim, const char *name);

/* Into the run's hash. Not for bytes: hash those first. */
static inline void simworld_mix(struct simworld *sim, uint64_t number)
{
    uint64_t mixed = (sim->hash ^ number) * UINT64_C(0x9fb21c651e98df25);
    sim->hash = mixed ^ mixed >> 32;
}

/* A completed request: what it was, and what came of it. */
void simworld_mix_file(struct simworld *sim, const struct world_file_request *request);

static inline void simworld_tell(const struct simworld *sim, const struct simhost *host,
                                 enum simtrace kind, const struct simhost *other, uint64_t number)
{
    if (sim->line != NULL) {
        sim->line(sim->line_ctx, sim->now, host, kind, other, number);
    }
}

/* --- simclock.c ------------------------------------------------------------------------------ */

extern const struct world_time_ops simclock_ops;

void simclock_begin(struct simhost *host, nanos at);

/* When the first timer fires, in virtual time; NANOS_FOREVER: none is set. */
nanos simtimers_due(struct simhost *host);

/* Takes the first timer out and calls it. */
void simtimers_fire(struct simhost *host);

/* None is set any more. */
void simtimers_forget(struct simhost *host);

/* --- simfile.c ------------------------------------------------------------------------------- */

extern const struct world_file_ops simfile_ops;

/* The host has its generator and its disk; gives both of them speed, and draws of their own. */
void simfile_init(struct simhost *host);

/* --- simpower.c, simvm.c and simguard.c ------------------------------------------------------ */

extern const struct world_power_ops simpower_ops;
extern const struct world_vm_ops simvm_ops;
extern const struct world_guard_ops simguard_ops;

void simpower_init(struct simhost *host);
void simvm_init(struct simhost *host);
void simguard_init(struct simhost *host);

/* The host's process is gone; its machines are not. */
void simpower_forget(struct simhost *host);
void simvm_forget(struct simhost *host);
void simguard_forget(struct simhost *host);

/* The host's power is: its machines and its guard end, and nobody is told. */
void simvm_lose_power(struct simhost *host);
void simguard_lose_power(struct simhost *host);

/* After all events. */
void simpower_deinit(struct simworld *sim);
void simvm_deinit(struct simhost *host);
void simguard_deinit(struct simhost *host);
void simvolume_deinit(struct simworld *sim);

/* --- simapp.c and simprogram.c --------------------------------------------------------------- */

extern const struct world_plain_ops simplain_ops;
extern const struct world_command_ops simcommand_ops;

void simapp_init(struct simhost *host);
void simprogram_init(struct simhost *host);

/* The host's process is gone: its connections, and the answers to its commands. */
void simapp_forget(struct simhost *host);
void simprogram_forget(struct simhost *host);

void simapp_deinit(struct simhost *host);
void simprogram_deinit(struct simhost *host);

/* --- simnet.c -------------------------------------------------------------------------------- */

extern const struct world_net_ops simnet_ops;

/* The host's process is gone: closes its ports and streams. Without power nobody is told. */
void simnet_forget(struct simhost *host, bool has_power);

/* The host falls asleep: what is on its way in streams will have to be sent again. */
void simnet_sleep(struct simhost *host);

/* The host woke up: datagrams that came while it slept are lost. */
void simnet_wake(struct simhost *host);

/* Frees what the network has, after all events. */
void simnet_deinit(struct simworld *sim);

#endif
