/*
 * chaos: the simulated world. Virtual time, hosts with disks, and a network between them, all in
 * one process and one thread, from one seed. Nothing but the simulator and tests includes it.
 *
 * What lives here: the event queue and the hosts (simworld.h), the disk (simdisk.h), the network
 * (simnet.h), which together fill the table of core/world/world.h.
 *
 * Time stands still while code runs, and jumps to the next event in simworld_step. Events of equal
 * times happen in the order in which they were caused: no order comes from addresses or hashes, so
 * a seed gives one run. Each host and the network draw from generators of their own.
 *
 * FILES. A request takes effect on the live content when it is submitted and completes after a
 * latency, in the order of its lane; a sync makes durable, when it completes, what was submitted
 * before it. So between submission and completion, and until a sync, power loss may take it.
 */
#ifndef NOVACRON_CHAOS_SIMWORLD_H
#define NOVACRON_CHAOS_SIMWORLD_H

#include "core/base/prng.h"
#include "core/base/types.h"
#include "core/chaos/simdisk.h"
#include "core/chaos/simfile.h"
#include "core/world/world.h"

/* What a disk of our time gives, before faults: the defaults of a host. */
#define SIMDISK_OP_LATENCY   (20 * NANOS_PER_US)
#define SIMDISK_SYNC_LATENCY (200 * NANOS_PER_US)
#define SIMDISK_BYTE_RATE    1000000000ULL /* bytes a second */

/* The network's: one way, and the most that is added at random. */
#define SIMNET_LATENCY (100 * NANOS_PER_US)
#define SIMNET_JITTER  (50 * NANOS_PER_US)

struct simworld; /* opaque */
struct simhost;  /* opaque; owned by its world */

struct simworld *simworld_new(uint64_t seed);
void simworld_free(struct simworld *sim);

nanos simworld_now(const struct simworld *sim);

/* The next event happens; false if there is none. */
bool simworld_step(struct simworld *sim);

/* Events happen until there is none, or `until`; time ends there. */
void simworld_run(struct simworld *sim, nanos until);

/* How many events have happened. */
uint64_t simworld_events(const struct simworld *sim);

/* A host that is up, with an empty disk, reached by other hosts under `name`. */
struct simhost *simhost_new(struct simworld *sim, const char *name, uint64_t disk_capacity);

/* What a node on this host is given. Valid until the host goes down. */
const struct world *simhost_world(const struct simhost *host);

/* The host's disk; the world owns it. */
struct simdisk *simhost_disk(struct simhost *host);

/* Takes another disk (owned from here on), as the tests that clone disks do; the host must be idle.
 */
void simhost_replace_disk(struct simhost *host, struct simdisk *disk);

/* The process dies: whatever was under way is forgotten. Then the caller frees the node. */
void simhost_kill(struct simhost *host);

/* Power is lost: simhost_kill, and of what is not durable each unit survives in `num` of `den`
 * cases, drawn from the host's generator. */
void simhost_cut_power(struct simhost *host, uint64_t num, uint64_t den);

#endif
