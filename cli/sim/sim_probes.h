/* The probes of core/base/probe.h over many runs: how often each was passed, and which never. */
#ifndef NOVACRON_CLI_SIM_PROBES_H
#define NOVACRON_CLI_SIM_PROBES_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/probe.h"

struct sim_probes {
    uint64_t counts[PROBES];
};

/* Adds those of one run. */
void sim_probes_add(struct sim_probes *sum, const uint64_t counts[PROBES]);

/* One line each, on stdout. */
void sim_probes_print(const struct sim_probes *sum);

/* Prints those that no run passed; returns how many of them have no excuse. */
size_t sim_probes_print_missing(const struct sim_probes *sum);

#endif
