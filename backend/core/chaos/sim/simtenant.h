/*
 * What a simulated host is for: two applications beside its node, which misbehave when the plan
 * says so, and where hosts watch each other the probes by which the host knows whether they are
 * ready.
 *
 *     I43  no application is told to be ready, or not to be, that was not so at any time since the
 *          opposite was told; and once the faults are over, those that are well are known to be
 */
#ifndef NOVACRON_CHAOS_SIM_SIMTENANT_H
#define NOVACRON_CHAOS_SIM_SIMTENANT_H

#include "core/chaos/simworld.h"

struct health_host;
struct simtenant; /* opaque */

/* What both can be told to do. */
#define SIMTENANT_MODES 6

/* Lives as long as the host. */
struct simtenant *simtenant_new(struct simhost *host);
void simtenant_free(struct simtenant *t);

/* Both do what `mode` says, below SIMTENANT_MODES; and are well again. */
void simtenant_spoil(struct simtenant *t, uint32_t mode);
void simtenant_mend(struct simtenant *t);

/* The host's process begins to ask, and ends; simtenant_gone, once its world forgot it. */
void simtenant_open(struct simtenant *t, struct health_host *health);
void simtenant_stop(struct simtenant *t);
void simtenant_gone(struct simtenant *t);

/* Was anything told that was not so? Is everything that is well known to be, where it is asked? */
bool simtenant_was_false(const struct simtenant *t);
bool simtenant_is_known(const struct simtenant *t);

#endif
