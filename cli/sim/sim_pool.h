/*
 * Runs of the simulator in processes of their own: a run that aborts, or never ends, costs nothing
 * but its own verdict. Workers are forked, take one run after another, and answer through memory
 * that they share with the parent.
 */
#ifndef NOVACRON_CLI_SIM_POOL_H
#define NOVACRON_CLI_SIM_POOL_H

#include "cli/sim/sim_switches.h"
#include "core/chaos/scenario/scenario.h"

#define SIM_JOBS_MAX 64

/* A run takes well below a second; under sanitizers and on a busy machine, some. */
#define SIM_RUN_SECONDS_MAX 300

/* What is to be run. `options.plan` may point into memory of the parent: it must have been there
 * when the pool was opened, or `forks_each` is set. */
struct sim_job {
    struct sim_options options;
    const struct scenario *scenario; /* this one; NULL: what the seed draws */
    bool runs_twice;                 /* the second hash must be the first */
    enum mutant mutant;              /* that is switched on */
    uint64_t number;                 /* the caller's */
};

enum sim_ending {
    SIM_ENDED,
    SIM_CRASHED,  /* a CHECK did not hold, or the process died of a signal */
    SIM_HUNG,     /* no end within the time that a run may take */
    SIM_UNSTABLE, /* the same seed gave another hash */
};

struct sim_outcome {
    enum sim_ending ending;
    struct sim_result result; /* of SIM_ENDED and SIM_UNSTABLE */
    uint64_t probes[PROBES];  /* how often each was passed */
    char crash[256];          /* what the dying process said */
};

/* Passed, and ended? */
bool sim_outcome_is_good(const struct sim_outcome *outcome);

/* What tells failures of one kind from others: the invariant, or where it crashed. */
void sim_outcome_signature(const struct sim_outcome *outcome, char *out, size_t room);

struct sim_pool_work {
    /* The next run; false: there is none now. It is asked again when another run has ended; where
     * none is under way, that was all. */
    bool (*next)(void *ctx, struct sim_job *ret);
    void (*done)(void *ctx, const struct sim_job *job, const struct sim_outcome *outcome);
    /* Called about ten times a second. True: stop, as soon as what runs has ended. */
    bool (*tick)(void *ctx);
    void *ctx;
    uint32_t jobs;
    bool forks_each;      /* a new process for each run */
    uint32_t seconds_max; /* longer than this a run hangs; 0: SIM_RUN_SECONDS_MAX */
};

/* Does it all. */
void sim_pool_run(const struct sim_pool_work *work);

/* One run, in a process of its own. */
void sim_pool_one(const struct sim_job *job, struct sim_outcome *ret);

/* Called by check_report: what a CHECK says before it aborts, in a worker. False: it is no news,
 * for a mutant is switched on. */
bool sim_pool_report(const char *text);

#endif
