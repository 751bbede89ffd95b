/* Memory that settles, in the simulated world: where it is, and held to what was promised of it:
 * that nothing writes there any more. */
#ifndef NOVACRON_CHAOS_SIMMEMORY_H
#define NOVACRON_CHAOS_SIMMEMORY_H

#include "core/world/world.h"

extern const struct world_memory_ops simmemory_ops;

#endif
