/*
 * Carries out a fault plan: each row when it is due, and its end when its span is over.
 *
 * What a row does to links is composed: every link is plain, and each row that is active adds to
 * it. A fault that destroys what a disk has promised to keep asks the atlas first, which leaves the
 * copies that the stated fault model says must survive; one that is refused is counted as spared.
 */
#ifndef NOVACRON_CHAOS_SIM_INJECT_H
#define NOVACRON_CHAOS_SIM_INJECT_H

#include "core/chaos/sim/simclient.h"
#include "core/chaos/sim/simmachines.h"
#include "core/chaos/simatlas.h"

/* Rows under way at once; further ones find no place, and count as spared. */
#define INJECT_ACTIVE_MAX 64

enum inject_outcome {
    INJECT_DONE,
    INJECT_SPARED,    /* the fault model, or a limit, forbids it now */
    INJECT_NO_TARGET, /* nobody fits */
    INJECT_OUTCOMES
};

struct inject;

/* A row that is under way. */
struct inject_active {
    struct inject *inject;
    struct fault row;
    bool is_used;
    bool is_on;           /* FLICKER: now */
    struct simmember *at; /* whom it struck; NULL: nobody in particular */
    struct simmember *other;
    char machine[WORLD_NAME_MAX_BYTES]; /* whom of its machines */
    uint32_t half;                      /* a bit for each host on the one side */
    uint32_t step;                      /* of a row that goes on in steps */
    nanos ends;
    struct prng prng;
    struct world_timer timer;
};

struct inject {
    struct simcluster *cluster;
    struct simclients *clients;
    struct simoperator *operator; /* of the machines */
    const struct world *world;    /* the operator's own host, whose clock is true */
    const struct fault_plan *plan;
    nanos from; /* what its times count from */
    uint32_t next;
    struct world_timer timer; /* the next row */
    struct inject_active active[INJECT_ACTIVE_MAX];
    struct simatlas atlas;
    struct {
        uint32_t life; /* in which its disk was damaged; 0: it is whole */
        uint64_t passes;
        uint64_t played;  /* tricks that have happened to it */
        uint32_t lost;    /* what its next life may lack: bits of oracle.h */
        bool needs_start; /* no scrub finds it */
        bool is_silent;   /* its node may not know what it lost */
        bool is_lying;
        bool may_halt; /* an operation of its disk was made to fail */
        bool was_full; /* its disk had no room: then it may fail to start, but goes on if it runs */
    } damage[SIM_HOSTS_MAX];
    struct simdisk_spot spot;  /* that the last row damaged; its path is "" where there is none */
    struct node_request order; /* of an operator, to the store: one at a time */
    struct buf order_body;
    bool is_ordering;
    const struct simmember *ordered_at;
    bool is_over;
    uint32_t counts[FAULT_KINDS][INJECT_OUTCOMES];
    /* A row was carried out or not; then, which hosts the run must look at. */
    void (*injected)(void *ctx, const struct fault *row, enum inject_outcome outcome,
                     const struct simmember *struck);
    void (*touched)(void *ctx, uint32_t i);
    void *ctx;
};

void inject_init(struct inject *inject, struct simcluster *cluster, struct simclients *clients,
                 const struct fault_plan *plan);
void inject_deinit(struct inject *inject);

/* Begins to carry out the plan, whose times count from `from`. */
void inject_start(struct inject *inject, nanos from);

/* Carries out one row at once: what scripts of scenarios do. */
void inject_now(struct inject *inject, const struct fault *row);

/* Every fault ends, and no further row is carried out. */
void inject_end(struct inject *inject);

/* Then: each host of `core` (a bit each) that is down is started, the others die for good. */
void inject_heal(struct inject *inject, uint32_t core);

/* Has more been lost than the fault model allows? No strike does that by itself: but the group may
 * leave a replica behind, or out of the in-sync set, while the disk that it relies on then is
 * damaged, and does not know it yet. What follows proves nothing. */
bool inject_is_beyond(const struct inject *inject);

/* Is there a fault, or damage, that lets this node halt? */
bool inject_explains_halt(const struct inject *inject, const struct simmember *m);

/* After an event on host `i`: a process that halted is ended and started again later; a disk that
 * is whole again is told to the atlas. */
void inject_watch(struct inject *inject, uint32_t i);

#endif
