/*
 * Probes: places in the core that simulated runs must reach, or they prove nothing about them.
 * As with mutants (mutant.h), only novacron-sim's copy of the core counts; elsewhere PROBE(x) is
 * nothing. A name says what has just happened where the probe stands.
 */
#ifndef NOVACRON_BASE_PROBE_H
#define NOVACRON_BASE_PROBE_H

#include <stdint.h>

/* enumerator, name, why the default profile does not reach it ("": it must) */
#define PROBE_TABLE(X) X(RAFT_PRE_VOTE_REFUSED, "raft: pre-vote refused", "")

enum probe {
#define PROBE_ENUM(probe, name, excuse) PROBE_##probe,
    PROBE_TABLE(PROBE_ENUM)
#undef PROBE_ENUM
        PROBES
};

#ifdef NOVACRON_SIM
/* How often each was passed; defined by the program. */
extern uint64_t probe_counts[PROBES];
#define PROBE(probe) ((void)probe_counts[PROBE_##probe]++)
#else
#define PROBE(probe) ((void)0)
#endif

#endif
