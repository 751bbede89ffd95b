/* The mutants by name, as commands list and find them (core/base/mutant.h). */
#ifndef NOVACRON_CLI_SIM_MUTANTS_H
#define NOVACRON_CLI_SIM_MUTANTS_H

#include "core/base/mutant.h"
#include "core/chaos/sim/profile.h"

struct sim_mutant {
    const char *name;
    const char *profile; /* whose seeds find it soonest */
    const char *bug;
    const char *seen; /* where */
};

/* Of any but MUTANT_NONE. */
const struct sim_mutant *sim_mutant_get(enum mutant mutant);

enum sim_profile sim_mutant_profile(enum mutant mutant);

/* The mutant called by the first `length` bytes of `name`; MUTANT_NONE: there is none. */
enum mutant sim_mutant_find(const char *name, size_t length);

/* `names` is a list with commas, as a command line has it; NULL names them all. Reports one that
 * does not exist on stderr. */
bool sim_mutants_listed(const char *command, const char *names, bool ret[MUTANTS]);

#endif
