/*
 * Simulated programs: what a command of a host's process runs. They fill world_command_ops of
 * core/world/world.h. A program is what its conduct says; it leaves no trace but its outputs.
 */
#ifndef NOVACRON_CHAOS_SIMPROGRAM_H
#define NOVACRON_CHAOS_SIMPROGRAM_H

#include "core/chaos/simworld.h"

/* From the request until a program runs. */
#define SIMPROGRAM_START (2 * NANOS_PER_MS)

/* Under way on one host, at most. */
#define SIMPROGRAM_RUNS_MAX 64

enum simprogram_manner {
    SIMPROGRAM_EXITS,  /* with `status`, after `span` */
    SIMPROGRAM_DIES,   /* of the signal `status`, likewise */
    SIMPROGRAM_ECHOES, /* exits as well, and says what it read */
    SIMPROGRAM_HANGS   /* says what it has to say, and runs until it is killed */
};

struct simprogram_conduct {
    enum simprogram_manner manner;
    int32_t status;
    nanos span;
    const char *output; /* a static string; NULL: nothing */
    const char *errors; /* likewise */
    uint64_t flood;     /* further bytes of output */
};

/* There is a program of this path from now on; or another in its place. */
void simprogram_install(struct simhost *host, const char *path,
                        const struct simprogram_conduct *conduct);

/* How often it was run. The program is there. */
uint64_t simprogram_runs(const struct simhost *host, const char *path);

#endif
