/*
 * The simulated guard of a host, and its watchdog. They fill world_guard_ops of core/world/world.h.
 *
 * The guard is a process of its host: it outlives the node's process (simhost_kill) with its lease
 * and its machines, and ends with the host's power. A host that comes on again has the guard that
 * was installed, with no lease. It looks at its clock every SIMGUARD_PERIOD and when the lease
 * ends; it may be stalled, and then does nothing while machines run on. A host that is suspended
 * stands still as a whole, and its watchdog with it, but for the clock: so its machines run again
 * before the guard has looked.
 *
 * A hardware watchdog that was armed and is not fed for its timeout resets the host: the power goes
 * and comes back SIMGUARD_RESET_TIME later.
 */
#ifndef NOVACRON_CHAOS_SIMGUARD_H
#define NOVACRON_CHAOS_SIMGUARD_H

#include "core/chaos/simworld.h"

#define SIMGUARD_PERIOD     (100 * NANOS_PER_MS)
#define SIMGUARD_LATENCY    (1 * NANOS_PER_MS)
#define SIMGUARD_RESET_TIME (20 * NANOS_PER_S)

/* The host has a guard from now on: with a hardware watchdog (WORLD_WATCHDOG_READY) of that
 * timeout, a stand-in (_SOFT), which kills nobody but is told of, or none. Without this there is
 * none, and requests end with ERR_CLOSED. */
void simguard_install(struct simhost *host, enum world_watchdog watchdog, nanos timeout);

/* Until then it does nothing, and answers nothing. `until` now or earlier: it goes on. */
void simguard_stall(struct simhost *host, nanos until);

/* It lets go of the machine, as a guard does that was started anew and is not told of it; or holds
 * it again. */
void simguard_set_held(struct simhost *host, const char *name, bool is_held);

/* The end of its lease on the host's clock, 0: none yet; is the watchdog armed; how often it has
 * reset the host. */
nanos simguard_lease(const struct simhost *host);
bool simguard_is_armed(const struct simhost *host);
uint64_t simguard_resets(const struct simhost *host);

#endif
