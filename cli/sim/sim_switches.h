/*
 * The switches of the core that this program was linked with: mutants and probes. novacron-sim has
 * them; novacron-sim-plain runs the production archives, which do not, and there nothing can be
 * switched on and nothing is counted.
 */
#ifndef NOVACRON_CLI_SIM_SWITCHES_H
#define NOVACRON_CLI_SIM_SWITCHES_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/mutant.h"
#include "core/base/probe.h"

bool sim_switches_exist(void);

/* Switches one mutant on, or with MUTANT_NONE all off, and sets the probes to zero. */
void sim_switches_set(enum mutant mutant);

/* How often each probe was passed since then. */
void sim_switches_read(uint64_t counts[PROBES]);

#endif
