/*
 * Simulated virtual machines, and the shared storage on which their disks are. They fill
 * world_vm_ops of core/world/world.h.
 *
 * A machine is a process of its host: it outlives the node's process (simhost_kill), is found again
 * by LIST, and ends with the host's power. While it runs it writes to its volume, each
 * SIMVM_WRITE_PERIOD, under the epoch with which it was started; a host that is suspended runs no
 * machines, a node that is paused or dead does not hinder them. A write to a volume that its host
 * has lost fails, and stalls it until it is told to go on.
 *
 * A VOLUME is shared by all hosts. The process that has it open holds its lock for writing, as QEMU
 * does, and whoever else wants it is refused; the lock ends with the process. It knows nothing of
 * epochs, as dumb storage does not: that nobody writes under an old one is the whole point of
 * leases and fences, and what is checked here.
 *
 * THE VERDICT. simvm_violation says what was broken first, of
 *   I11  in an epoch a volume is opened by one host only, and the epochs of its openings only grow;
 *   I12  no machine lives, and no write arrives, under an older epoch than the newest that the
 *        volume was opened with. A machine that is paused, frozen or in uninterruptible sleep
 *        lives; one that waits for a guest, or whose guest was moved or has not gone on after
 *        it was, does not: it has no lock.
 */
#ifndef NOVACRON_CHAOS_SIMVM_H
#define NOVACRON_CHAOS_SIMVM_H

#include "core/chaos/simworld.h"

#define SIMVM_WRITE_PERIOD (100 * NANOS_PER_MS)

/* From START to the process and its lock, and from there to the answer. */
#define SIMVM_EXEC_TIME (300 * NANOS_PER_MS)
#define SIMVM_BOOT_TIME (200 * NANOS_PER_MS)

/* An answer of the process, and how long a guest takes to shut down. */
#define SIMVM_LATENCY       (5 * NANOS_PER_MS)
#define SIMVM_MUTE_LOOK     (100 * NANOS_PER_MS) /* between looks of one that reads no command */
#define SIMVM_SHUTDOWN_TIME (3 * NANOS_PER_S)

/* A guest that boots, from its process on, does not notice its power button: a press is lost. */
#define SIMVM_DEAF_TIME (2 * NANOS_PER_S)

/* How long a guest is moved, and stands still at the end. The hosts have to reach each other when
 * it begins and when it ends; the process that has asked for it need not live. */
#define SIMVM_MOVE_PAUSE (20 * NANOS_PER_MS)
#define SIMVM_MOVE_TIME  NANOS_PER_S

/* How often a process that cannot be killed is looked at again. */
#define SIMVM_KILL_RETRY (10 * NANOS_PER_MS)

/* Rows of a volume's record that are kept; older ones are dropped. */
#define SIMVOLUME_ROWS_MAX 64

struct simvolume; /* opaque; owned by the world */

/* --- shared storage --------------------------------------------------------------------------- */

/* Its name is not taken. */
struct simvolume *simvolume_new(struct simworld *sim, const char *name);

/* NULL: there is none of that name. */
struct simvolume *simvolume_find(const struct simworld *sim, const char *name);

/* While cut, the host's machines cannot write, and none can be started there. */
void simvolume_cut(struct simvolume *volume, const struct simhost *host, bool is_cut);
bool simvolume_is_cut(const struct simvolume *volume, const struct simhost *host);

/* The storage forgets who holds the lock; or, while set, grants it to everybody. */
void simvolume_forget_lock(struct simvolume *volume);
void simvolume_grant_all(struct simvolume *volume, bool grants_all);

/* The storage keeps the lock of whoever loses its power for so long, as a server does that waits
 * for its client to come back. At first zero. */
void simvolume_set_linger(struct simvolume *volume, nanos linger);

/* A write arrives so long after it was made, whatever became of who made it. At first zero. */
void simvolume_set_flight(struct simvolume *volume, nanos flight);

/* Consecutive writes of one host under one epoch. */
struct simvolume_row {
    uint64_t epoch;
    const struct simhost *host;
    nanos first;
    nanos last;
    uint64_t writes;
};

/* The rows that are kept, oldest first; false behind the last. */
bool simvolume_row_at(const struct simvolume *volume, size_t at, struct simvolume_row *ret);

/* All writes that ever arrived; the newest epoch it was opened with; the host whose machine holds
 * the lock, or NULL. */
uint64_t simvolume_writes(const struct simvolume *volume);

/* How often a machine of one host wanted the lock while one of another host held it. */
uint64_t simvolume_contentions(const struct simvolume *volume);
uint64_t simvolume_epoch(const struct simvolume *volume);
const struct simhost *simvolume_holder(const struct simvolume *volume);

/* --- machines --------------------------------------------------------------------------------- */

/* The machines that live on the host, in the order in which they were started; false behind the
 * last. The state is the true one. */
bool simvm_at(const struct simhost *host, size_t at, struct world_vm_found *ret);

/* How a machine fails, from now on. Nothing happens if there is none of that name on the host. */
struct simvm_faults {
    bool is_mute;       /* answers nothing: STOP, PAUSE, RESUME and QUERY end at their deadline */
    bool is_frozen;     /* the same, and it does not run; it goes on where it stood afterwards */
    bool ignores_stop;  /* the guest does not care for its power button */
    bool is_unkillable; /* in uninterruptible sleep: as frozen, and not killed before it ends */
    bool has_no_room; /* the next write finds its disk full, and the guest stands still; RESUME lets
                         it go on, up to its next write */
};

void simvm_set_faults(struct simhost *host, const char *name, const struct simvm_faults *faults);

/* The agent within a machine's guest, from now on. Zeroed, as at first: it answers, and its
 * programs end at once, with 0, and say nothing. */
struct simvm_agent {
    bool is_missing; /* the machine was defined without one */
    bool is_mute;
    int32_t status;     /* with which its programs exit */
    nanos span;         /* for which they run; NANOS_FOREVER: they hang */
    const char *output; /* what they say; static, NULL: nothing */
};

void simvm_set_agent(struct simhost *host, const char *name, const struct simvm_agent *agent);

/* Machines that start here from now on have an agent that answers after this. */
void simvm_set_agent_boot(struct simhost *host, nanos boot);

/* Has its process, or its guest, not been well by what was set, at any time in the last `span`?
 * False where there is none of that name. */
bool simvm_was_sick(const struct simhost *host, const char *name, bool is_process, nanos span);

/* Its process dies by itself; its guest shuts it down. */
void simvm_crash(struct simhost *host, const char *name);
void simvm_shut_down(struct simhost *host, const char *name);

/* The next `count` STARTs on the host fail with ERR_IO. */
void simvm_fail_starts(struct simhost *host, uint32_t count);

/* Somebody starts a machine by hand, past the node: at once, if it gets the lock. */
MUST_USE enum err simvm_start_by_hand(struct simhost *host, const struct world_vm_spec *spec);

/* What was broken first, with when and by whom; NULL: nothing. Borrowed from the world. */
const char *simvm_violation(const struct simworld *sim);

#endif
