/*
 * novacron-guard: what ends the machines of a host when the host's lease ends.
 *
 * What lives here: the guard's decisions, as a state machine without I/O (guard_core.c); the one
 * message that it understands (guard_wire.h), which its clients share; and the program: its
 * watchdog (guard_watchdog.h), its socket (guard_socket.h), its loop (novacron_guard.c). The client
 * is backend/drivers/guard. docs/guard.md says how it is run; docs/models.md#ownership why it is
 * so.
 *
 *                     HOLD, the lease holds               the lease ends, or RELEASE
 *     EMPTY  -------------------------------->  HOLDING  ----------------------------->  ENDING
 *     disarmed                                  armed, fed                     armed, starved,
 * killing ^  ^       the last machine ended          |                                       | |
 * '---------------------------------------'                                       |
 *       '----------------------------------------------------------------------------------'
 *                                       the last machine ended
 *
 * EMPTY: no machine is held, and the watchdog is not armed: an empty host is never reset. HOLDING:
 * the watchdog is fed while the lease holds. ENDING: every machine that was held when the lease
 * ended is killed, and killed again, until it is gone, and nothing is fed while one of them lives
 * on, also where a new lease has begun meanwhile: what was doomed once dies. If it does not, the
 * watchdog resets the host.
 *
 * THE LATE FEED. The clock is read, and then the watchdog is fed, and a guard that stands still
 * between the two feeds it late: by less than the watchdog's time-out, for else the watchdog has
 * fired. When it goes on it kills at once, but it may stand still again. So what the guard promises
 * from the end of the lease to the reset is twice the time-out (guard_bound).
 *
 * Time is the host's CLOCK_BOOTTIME, which counts suspension; whoever was asleep when the lease
 * ended kills when it wakes. The wall clock is nowhere.
 */
#ifndef NOVACRON_GUARD_GUARD_CORE_H
#define NOVACRON_GUARD_GUARD_CORE_H

#include "core/base/err.h"
#include "core/world/world.h"

/* Machines that one guard holds, at most: each costs two descriptors. */
#define GUARD_MACHINES_MAX 512

/* Between two SIGKILLs to what does not die, and two attempts to arm a watchdog. */
#define GUARD_AGAIN (100 * NANOS_PER_MS)

/* What devices and kernels round time-outs by. */
#define GUARD_WATCHDOG_TOLERANCE NANOS_PER_S

#define GUARD_SLOT_NONE UINT32_MAX

struct guard_config {
    nanos lease_max;  /* longer leases are a mistake of the daemon's: ERR_INVALID */
    nanos feed_every; /* less than half of the watchdog's time-out */
    bool has_watchdog;
};

struct guard_machine {
    bool is_held;
    bool is_doomed;
    uint32_t pid;
    uint64_t epoch;
    char name[WORLD_NAME_MAX_BYTES];
};

/* Zeroed by guard_init. Read by others, changed by the functions below alone. */
struct guard {
    struct guard_config config;
    nanos lease_until; /* 0: none yet */
    nanos fed_at;      /* while it is armed; else when arming was tried last */
    nanos killed_at;   /* while something is doomed; 0: not yet */
    uint32_t count;    /* machines held, doomed ones among them */
    uint32_t doomed;
    bool is_armed;
    bool is_stopping; /* takes no more machines, and ends with the last */
    struct guard_machine machines[GUARD_MACHINES_MAX];
};

/* What is to be done, in this order: `kill` everything that is doomed, then the watchdog, of which
 * at most one is set. Then to wait until `wake`. */
struct guard_todo {
    bool kill;
    bool arm; /* told by guard_armed how it went; arming feeds */
    bool feed;
    bool disarm;
    bool ends;  /* nothing is held, and it was told to stop */
    nanos wake; /* NANOS_FOREVER: until something happens */
};

void guard_init(struct guard *g, const struct guard_config *config);

/* ERR_INVALID: `until` is earlier than what it has, or past, or further ahead than lease_max. */
MUST_USE enum err guard_lease(struct guard *g, nanos now, nanos until);

/* Takes a machine into the slot at `ret`; or tells the slot in which it has it already, by name,
 * epoch and pid, with OK and `*is_new` false. ERR_EXISTS: a machine of that name is held and lives.
 * ERR_REFUSED: there is no lease, or it is over, or the guard is stopping. ERR_BUSY: no slot is
 * free. ERR_INVALID: the name is empty. */
MUST_USE enum err guard_hold(struct guard *g, nanos now, const char *name, uint64_t epoch,
                             uint32_t pid, uint32_t *ret, bool *is_new);

/* The slot of a machine of that name; GUARD_SLOT_NONE: there is none. */
uint32_t guard_find(const struct guard *g, const char *name);

/* The process of a machine has ended. */
void guard_gone(struct guard *g, uint32_t slot);

/* Takes no more machines, and ends when it holds none. */
void guard_stop(struct guard *g);

/* Everything that is held is doomed, whatever the lease. */
void guard_release(struct guard *g);

/* The watchdog was armed, or could not be. */
void guard_armed(struct guard *g, bool is_armed);

/* What is due now. Called after every event and at `wake`; it takes what it returns for done. */
struct guard_todo guard_due(struct guard *g, nanos now);

/* From the end of the lease to the reset of a host whose guard does nothing. */
nanos guard_bound(nanos watchdog_timeout);

/* CHECKs what is said above. */
void guard_check(const struct guard *g);

#endif
