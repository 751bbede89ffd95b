/*
 * One run of the simulator: a cluster of real nodes on a simulated world, a plan of faults,
 * clients, an oracle that looks after every event, and a verdict. A seed decides everything.
 *
 *     settle     the founders start, a leader is elected, clients begin
 *     faults     the plan is carried out; safety is checked after every event
 *     heal       faults stop, a quorum of hosts is whole; within a bound the cluster must elect,
 *                repair, converge and serve: liveness
 *     judge      the histories of the clients, in full
 *
 * A violation ends the run where it is found. So does the moment in which more is lost than the
 * fault model allows, because the group came to rely on a disk that was damaged before
 * (inject_is_beyond): what clients saw until then is judged, liveness is not. Every run ends with a
 * hash over its events.
 */
#ifndef NOVACRON_CHAOS_SIM_SIM_H
#define NOVACRON_CHAOS_SIM_SIM_H

#include "core/chaos/sim/coverage.h"
#include "core/chaos/sim/inject.h"
#include "core/chaos/sim/profile.h"

enum sim_verdict {
    SIM_PASSED,
    SIM_UNSAFE,    /* an invariant was violated */
    SIM_STUCK,     /* the healed cluster made no progress, or did not converge */
    SIM_UNDECIDED, /* a checker reached its bounds */
    SIM_VERDICTS
};

#define SIM_TEXT_BYTES 1024

struct sim_result {
    enum sim_verdict verdict;
    char invariant[8]; /* "I4"; "" where none has a number */
    char text[SIM_TEXT_BYTES];
    nanos at;      /* of the violation, or the end */
    nanos started; /* when time began */
    uint64_t hash; /* over every event */
    uint64_t events;
    uint64_t operations; /* of clients, that returned */
    uint64_t calls;      /* of clients, however they ended */
    nanos fault_time;    /* how long faults went on: what clients worked through */
    uint64_t committed;  /* entries */
    struct coverage coverage;
};

struct sim_options {
    uint64_t seed;
    enum sim_profile profile;
    const struct fault_plan *plan; /* NULL: the seed's own */
    /* Lines of the timeline, without their ends; NULL: none. */
    void (*line)(void *ctx, nanos at, const char *text);
    void *ctx;
    bool traces_network; /* also each packet */
    /* The run in the words of another model (tla_trace.h), a line each; NULL: none. */
    void (*tla_line)(void *ctx, const char *line);
    void *tla_ctx;
};

/* Runs a seed to its end. */
void sim_run(const struct sim_options *options, struct sim_result *ret);

/* The plan that the seed would carry out: what shrinking begins with. */
void sim_plan(uint64_t seed, enum sim_profile profile, struct fault_plan *ret);

const char *sim_verdict_name(enum sim_verdict verdict);

#endif
