#include "cli/sim/sim_switches.h"

#include <string.h>

#ifdef NOVACRON_SIM
enum mutant mutant_active;
uint64_t probe_counts[PROBES];
#endif

bool sim_switches_exist(void)
{
#ifdef NOVACRON_SIM
    return true;
#else
    return false;
#endif
}

void sim_switches_set(enum mutant mutant)
{
#ifdef NOVACRON_SIM
    mutant_active = mutant;
    memset(probe_counts, 0, sizeof probe_counts);
#else
    (void)mutant;
#endif
}

void sim_switches_read(uint64_t counts[PROBES])
{
#ifdef NOVACRON_SIM
    memcpy(counts, probe_counts, sizeof probe_counts);
#else
    memset(counts, 0, PROBES * sizeof counts[0]);
#endif
}
