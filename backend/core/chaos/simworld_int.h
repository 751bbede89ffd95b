/* Private to the simulated world: simworld.c is time and hosts, simfile.c the files, simnet.c the
 * network. */
#ifndef NOVACRON_CHAOS_SIMWORLD_INT_H
#define NOVACRON_CHAOS_SIMWORLD_INT_H

#include "core/base/buf.h"
#include "core/chaos/simworld.h"

/* Something that will happen. `run` frees what `arg` owns; `drop` does so if it never happens. */
struct simevent {
    nanos due;
    uint64_t ticket;
    struct simhost *host; /* whose death cancels it; NULL: nobody's */
    uint64_t incarnation;
    void (*run)(void *arg);
    void (*drop)(void *arg); /* may be NULL */
    void *arg;
};

struct simport; /* simnet.c */
struct simcut;
struct world_stream;

struct simhost {
    struct simworld *sim;
    char name[WORLD_HOST_MAX_BYTES];
    uint64_t incarnation;
    struct world world;
    struct simdisk *disk; /* owned */
    struct prng prng;
    struct world_timer *timers; /* borrowed list, by (at, ticket) */
    nanos lane_free[WORLD_LANES];
    nanos stalled_until[WORLD_LANES];
    nanos extra_operation;
    nanos extra_sync;
    struct simfile_speed speed;
    struct prng latency_prng;
    struct simport *ports;        /* owned list */
    struct world_stream *streams; /* owned list */
};

struct simworld {
    nanos now;
    uint64_t tickets;
    uint64_t events;
    struct prng prng;
    struct prng net_prng;
    struct simevent *queue; /* owned; a heap by (due, ticket) */
    size_t queue_count;
    size_t queue_cap;
    struct simhost **hosts; /* owned */
    size_t host_count;
    size_t host_cap;
    struct simcut *cuts; /* owned by simnet.c */
};

void simworld_schedule(struct simworld *sim, struct simhost *host, nanos due, void (*run)(void *),
                       void (*drop)(void *), void *arg);

struct simhost *simworld_find(const struct simworld *sim, const char *name);

extern const struct world_file_ops simfile_ops;

/* The host has its generator and its disk; gives both of them speed, and draws of their own. */
void simfile_init(struct simhost *host);

extern const struct world_net_ops simnet_ops;

/* The host's process is gone: closes its ports, and tells the peers of its streams. */
void simnet_forget(struct simhost *host);
void simnet_deinit(struct simworld *sim);

#endif
