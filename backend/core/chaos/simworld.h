/*
 * chaos: the simulated world. Virtual time, hosts with disks, clocks and processors that fail, and
 * a network between them, all in one process and one thread, from one seed. Nothing but the
 * simulator and tests includes it.
 *
 * What lives here: the events and the hosts (simworld.h), the disk (simdisk.h), the network
 * (simnet.h), applications and programs for probes (simapp.h, simprogram.h), which together fill
 * the table of core/world/world.h.
 *
 * Time stands still while code runs, and jumps to the next event in simworld_step. Events of equal
 * times happen in the order in which they were caused: no order comes from addresses or hashes, so
 * a seed gives one run. Each host and each direction of the network between two hosts draws from a
 * generator of its own. simworld_hash tells whether two runs were the same.
 *
 * FILES. A request takes effect on the live content when it is submitted and completes after a
 * latency, in the order of its lane; a sync makes durable, when it completes, what was submitted
 * before it. So between submission and completion, and until a sync, power loss may take it.
 *
 * PROCESSES. A host is a kernel with at most one process, the node. What happens to the process
 * (a timer, a completion, something that arrives) happens in the order in which it was due, also
 * when it has to wait: because the process is paused, or because its processor is slow. The kernel
 * goes on meanwhile: it answers, acknowledges and takes in what arrives.
 *
 *     simhost_kill        the process dies; its kernel closes its ports and streams
 *     simhost_cut_power   the kernel too: nobody is told, nothing is answered until the host is on
 *                         again (simhost_power_on, or its next process using the network or a
 * timer) simhost_pause       the process stands still simhost_suspend     the kernel too: what
 * arrives is lost, and the clock shows it afterwards
 *
 * CLOCKS. Each host has one of its own, which starts equal to virtual time (simhost_clock_begin
 * sets another origin). Timers are in the host's time, and fire when the host's clock gets there,
 * however its rate changes on the way.
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

/* The most that a clock may gain or lose: half its rate. */
#define SIMHOST_DRIFT_MAX_PPM 500000

/* What right wall clocks show when virtual time begins: a moment of 2023. */
#define SIMWORLD_EPOCH (UINT64_C(1700000000) * NANOS_PER_S)

struct simworld; /* opaque */
struct simhost;  /* opaque; owned by its world */

struct simworld *simworld_new(uint64_t seed);
void simworld_free(struct simworld *sim);

nanos simworld_now(const struct simworld *sim);

/* The next event happens; false if there is none. */
bool simworld_step(struct simworld *sim);

/* Events happen until there is none, or `until`; time ends there. */
void simworld_run(struct simworld *sim, nanos until);

/* When the next event happens; NANOS_FOREVER: never. */
nanos simworld_next(const struct simworld *sim);

/* The host on which the last event happened; NULL: on none, or there was no event. */
const struct simhost *simworld_ran(const struct simworld *sim);

/* How many events have happened. */
uint64_t simworld_events(const struct simworld *sim);

/* Over every event so far: when, of what kind, on which host, and what arrived or completed. */
uint64_t simworld_hash(const struct simworld *sim);

/* What a timeline shows. name, the text, what the number is. */
#define SIMTRACE_TABLE(X)                                                                          \
    X(SIMTRACE_DATAGRAM, "datagram", "bytes that arrived")                                         \
    X(SIMTRACE_BYTES, "bytes", "bytes that arrived, of a stream")                                  \
    X(SIMTRACE_DROP, "drop", "bytes of a datagram that was lost")                                  \
    X(SIMTRACE_REFUSE, "refuse", "the port that nobody listens on")                                \
    X(SIMTRACE_OPEN, "open", "zero: a stream of ours is open")                                     \
    X(SIMTRACE_ACCEPT, "accept", "the port")                                                       \
    X(SIMTRACE_CLOSE, "close", "the error that our end was told")                                  \
    X(SIMTRACE_BLOCK, "block", "bytes that wait in a stream, whose first try did not pass")        \
    X(SIMTRACE_KILL, "kill", "zero")                                                               \
    X(SIMTRACE_POWER_CUT, "power cut", "zero")                                                     \
    X(SIMTRACE_POWER_ON, "power on", "zero")                                                       \
    X(SIMTRACE_PAUSE, "pause", "until when")                                                       \
    X(SIMTRACE_SUSPEND, "suspend", "until when")                                                   \
    X(SIMTRACE_RESUME, "resume", "how long it slept")                                              \
    X(SIMTRACE_SLOW_CPU, "slow cpu", "nanoseconds an event")                                       \
    X(SIMTRACE_DRIFT, "drift", "parts per million, as a signed number")                            \
    X(SIMTRACE_STEP, "clock step", "nanoseconds forward")                                          \
    X(SIMTRACE_LINK, "link", "1: cut, 2: clogged, 3: both, 0: neither")                            \
    X(SIMTRACE_RESET, "reset", "streams that were reset")                                          \
    X(SIMTRACE_STALL, "stall", "until when")                                                       \
    X(SIMTRACE_FENCE, "fence", "what its device was told: 0 off, 1 on")                            \
    X(SIMTRACE_VM_BEGAN, "vm began", "the epoch")                                                  \
    X(SIMTRACE_VM_ENDED, "vm ended", "the epoch")

enum simtrace {
#define SIMTRACE_ENUM(name, text, number) name,
    SIMTRACE_TABLE(SIMTRACE_ENUM)
#undef SIMTRACE_ENUM
        SIMTRACE_COUNT
};

/* A static string. */
const char *simtrace_text(enum simtrace kind);

/* From here on `line` is called for each of them, `other` being the far host or NULL; it must not
 * change the world. NULL ends it. */
void simworld_trace(struct simworld *sim,
                    void (*line)(void *ctx, nanos at, const struct simhost *host,
                                 enum simtrace kind, const struct simhost *other, uint64_t number),
                    void *ctx);

/* A host that is up, with an empty disk, reached by other hosts under `name`. */
struct simhost *simhost_new(struct simworld *sim, const char *name, uint64_t disk_capacity);

/* Borrowed for as long as the world lives. */
const char *simhost_name(const struct simhost *host);

/* What a node on this host is given. Valid until the host goes down. */
const struct world *simhost_world(const struct simhost *host);

/* The host's disk; the world owns it. */
struct simdisk *simhost_disk(struct simhost *host);

/* Takes another disk (owned from here on), as the tests that clone disks do; the host must be idle.
 */
void simhost_replace_disk(struct simhost *host, struct simdisk *disk);

/* The process dies: whatever was under way is forgotten, and its streams are closed, which their
 * far ends learn as far as the network lets it pass. A pause ends. Then the caller frees the node.
 */
void simhost_kill(struct simhost *host);

/* Something that its process waits for happens after so long: `run`, or, if the process dies first,
 * `drop`. */
void simhost_later(struct simhost *host, nanos span, void (*run)(void *), void (*drop)(void *),
                   void *arg);

/* Power is lost: the process dies, nobody is told of it, and of what is not durable each unit
 * survives in `num` of `den` cases, drawn from the disk's generator. */
void simhost_cut_power(struct simhost *host, uint64_t num, uint64_t den);

/* The kernel runs again; nothing happens if it does. */
void simhost_power_on(struct simhost *host);
bool simhost_is_on(const struct simhost *host);

/* Until then nothing happens to the process; then all that waited. `until` now or earlier: it goes
 * on. */
void simhost_pause(struct simhost *host, nanos until);

/* Does its process stand still now, paused or asleep, or with its processor busy? */
bool simhost_is_paused(const struct simhost *host);

/* Each event of the process takes its processor so long, and the next one waits for it; 0: none. */
void simhost_slow_cpu(struct simhost *host, nanos per_event);

/* From now on the clock runs so many millionths faster than virtual time, at most
 * SIMHOST_DRIFT_MAX_PPM either way. */
void simhost_clock_drift(struct simhost *host, int64_t ppm);

/* The clock jumps, as it does over a suspend: world_awake does not show it. */
void simhost_clock_step(struct simhost *host, nanos forward);

/* The clock reads `at` now; no timer may be set. For a host that was switched on. */
void simhost_clock_begin(struct simhost *host, nanos at);

/* What the host's clock shows. */
nanos simhost_clock(const struct simhost *host);

/* Its wall clock is so far ahead of the right time from now on; below 0: behind. */
void simhost_set_wall(struct simhost *host, int64_t off);

/* Until then the host sleeps. Datagrams that arrive meanwhile are lost, streams are sent again, and
 * on waking the clock has counted the time. `until` now or earlier: it wakes. */
void simhost_suspend(struct simhost *host, nanos until);

#endif
