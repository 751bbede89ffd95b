/*
 * ha_fence: switching off one host, as a step function. Events in (the time, answers of devices),
 * commands out; it says when the host is proved off.
 *
 *     DELAY --its time--> OFF --all answered--> READ --all say off--> FLIGHT --(1+rho) D--> DONE
 *                          ^      |               |
 *                          |      v               v      the level has failed
 *                          +-- the next level, or after the last: PAUSE --its time--> level 1
 *
 *   DELAY   up to fence_delay_ms, drawn, plus what the caller adds for its priority.
 *   OFF     OFF to every device of the level at once. A device that reports a failure or does not
 *           answer in time may have switched all the same: it is read, too. One that was not
 *           reached, or is not configured, fails the level.
 *   READ    STATUS by every device of the level; all must say off. Then by the host's other devices
 *           as witnesses, where they are no outlets and have not failed in this round: one that
 *           goes on saying on fails the level, one that says nothing is none. UNKNOWN is never off.
 *           A device that says on, or cannot tell, is asked again for a while
 *           (HA_FENCE_READS_MAX): power takes its time to fall.
 *   FLIGHT  what the host had sent may still land.
 *   PAUSE   fence_retry_ms, doubled each round up to eight times that, with jitter. It never gives
 *           up: the caller ends it, on a confirmation by an operator.
 *
 * Each device has a circuit breaker here: a device that keeps failing is passed over for a while,
 * and its level with it.
 *
 * The caller carries out the commands in the order given, and brings each answer back once, with
 * its ticket; an answer that is late, of an earlier round or unknown changes nothing. It steps with
 * the time when ha_fence_deadline says so. A command that never answers is given up at its deadline
 * plus HA_FENCE_GRACE, as ERR_TIMEOUT: the machine that sends commands may be at fault too.
 *
 * The records of the host and of its devices may be corrected meanwhile. What the ones before had
 * switched off, or could not reach, says nothing of the host: it is begun anew by the new ones, and
 * whoever believes DONE guards that with the records that it was made by.
 *
 * A leader that takes over begins anew: OFF twice is off.
 */
#ifndef NOVACRON_HA_FENCE_H
#define NOVACRON_HA_FENCE_H

#include "core/base/prng.h"
#include "core/ha/ha_view.h"
#include "core/monitoring/health/breaker.h"

/* Devices of one host, over all its levels. Each has at most one command under way, not counting
 * those that were given up. */
#define HA_FENCE_SLOTS (HA_FENCE_LEVELS_MAX * HA_FENCE_DEVICES_MAX)

/* Times that a device is asked again which says that the power is still on, and between two. */
#define HA_FENCE_READS_MAX  10
#define HA_FENCE_READ_PAUSE (200 * NANOS_PER_MS)

/* Beyond a command's own deadline. */
#define HA_FENCE_GRACE NANOS_PER_S

/* A witness is given no longer than this: it may be dead with its host, and its word is not needed.
 */
#define HA_FENCE_WITNESS_TIME (3 * NANOS_PER_S)

#define HA_FENCE_TABLE(X)                                                                          \
    X(HA_FENCE_DELAY, "delay")                                                                     \
    X(HA_FENCE_OFF, "off")                                                                         \
    X(HA_FENCE_READ, "read")                                                                       \
    X(HA_FENCE_FLIGHT, "flight")                                                                   \
    X(HA_FENCE_PAUSE, "pause")                                                                     \
    X(HA_FENCE_DONE, "done")

enum ha_fence_phase {
#define HA_FENCE_ENUM(phase, name) phase,
    HA_FENCE_TABLE(HA_FENCE_ENUM)
#undef HA_FENCE_ENUM
        HA_FENCE_PHASES
};

/* One device of the host, and what it said last. */
struct ha_fence_slot {
    char device[HA_NAME_BYTES];
    nanos timeout;
    uint64_t revision;  /* of its record; 0: there is none */
    uint64_t digest;    /* of what the record says */
    bool is_configured; /* it has a readable record */
    bool is_outlet;
    struct breaker breaker;
    struct breaker_permit permit;

    bool is_asked; /* a command is under way */
    enum world_power_op op;
    uint64_t ticket;
    nanos give_up; /* at this time it counts as ERR_TIMEOUT */
    nanos again;   /* READ: to be asked again then; 0: not */
    uint32_t reads;
    bool has_failed; /* in this round, so that it is no witness */
    bool is_member;  /* of the level that is tried now */
    bool is_witness; /* READ: it is asked as one */
    bool is_settled; /* nothing more is asked of it in this phase */

    bool has_answered; /* ever: */
    enum world_power_op last_op;
    enum err last_result;
    enum world_power_state last_state;
};

struct ha_fence_config {
    nanos delay_max; /* fence_delay_ms */
    nanos delay_add; /* for its priority: the host with the machines of most weight waits least */
    nanos retry;     /* fence_retry_ms */
    nanos flight;    /* D: the longest of the storages of its machines */
    uint32_t drift_ppm;
};

struct ha_fence_command {
    enum world_power_op op;
    const char *device; /* borrowed from the fence */
    nanos deadline;
    uint64_t ticket;
};

struct ha_fence_answer {
    uint64_t ticket;
    enum err result;
    enum world_power_state state; /* of STATUS */
};

struct ha_fence {
    char host[HA_NAME_BYTES];
    struct ha_fence_config config;
    struct prng prng;
    enum ha_fence_phase phase;
    nanos latest;
    nanos until;            /* DELAY, PAUSE, FLIGHT */
    nanos off_since;        /* FLIGHT, DONE: when the last device said off */
    uint32_t round;         /* completed without success */
    uint32_t level;         /* that is tried, or has done it; from 0 */
    uint32_t failed_level;  /* that has failed last; and ... */
    uint32_t levels_failed; /* how often one has, in all rounds */
    uint32_t n_levels;
    uint32_t n_slots;
    bool has_failed;    /* the level: so, once nothing is under way, the next */
    bool has_witnesses; /* READ: all of the level have said off, and witnesses are asked */
    uint64_t next_ticket;
    uint8_t level_slots[HA_FENCE_LEVELS_MAX][HA_FENCE_DEVICES_MAX];
    uint32_t level_n[HA_FENCE_LEVELS_MAX];
    struct ha_fence_slot slots[HA_FENCE_SLOTS];
};

/* Commands of one step. */
struct ha_fence_update {
    uint32_t n;
    struct ha_fence_command commands[HA_FENCE_SLOTS];
};

/* Levels and devices are copied from the view. A host without a record, or without levels, is never
 * proved off: its fence is in PAUSE for ever, and says why. */
void ha_fence_init(struct ha_fence *f, const struct ha_view *view, const char *host,
                   const struct ha_fence_config *config, uint64_t seed, nanos now);

/* The next step: `answer` is NULL where it is only time. Clears and fills `ret`. */
void ha_fence_step(struct ha_fence *f, nanos now, const struct ha_fence_answer *answer,
                   struct ha_fence_update *ret);

/* That step without all that would follow: what was answered, or is given up by now, is taken, and
 * nothing is asked. */
void ha_fence_hear(struct ha_fence *f, nanos now, const struct ha_fence_answer *answer);

/* When ha_fence_step wants the time; NANOS_FOREVER: not by itself. */
nanos ha_fence_deadline(const struct ha_fence *f);

/* No command is under way, and nothing that was asked has proved anything: it may end here. */
bool ha_fence_is_idle(const struct ha_fence *f);

/* Are the host's levels, or the records of their devices, others than it has? A record that was
 * written again as it was is not. */
bool ha_fence_is_outdated(const struct ha_fence *f, const struct ha_view *view);

/* It is outdated: begins anew, with its round and without a further delay. False: not yet, since
 * commands are under way; what they say proves nothing, and nothing more is asked. */
bool ha_fence_renew(struct ha_fence *f, const struct ha_view *view, nanos now);

/* D, or the drift, may be greater than what it was begun with. The longest counts, from when the
 * host was off: FLIGHT is longer then, and DONE may be FLIGHT again. */
void ha_fence_raise_flight(struct ha_fence *f, nanos flight, uint32_t drift_ppm);

static inline bool ha_fence_is_done(const struct ha_fence *f)
{
    return f->phase == HA_FENCE_DONE;
}

/* "level 2 of 2: bmc-a: off: ERR_CLOSED; pause, round 3", for records and people. */
void ha_fence_tell(const struct ha_fence *f, struct buf *text);

/* "level 1 of 2 has failed: bmc-a: status: ERR_TIMEOUT"; a level has failed (levels_failed > 0). */
void ha_fence_tell_failure(const struct ha_fence *f, struct buf *text);

/* The devices that did it, "bmc-a, bmc-b"; it is in FLIGHT or DONE. */
void ha_fence_tell_devices(const struct ha_fence *f, struct buf *text);

const char *ha_fence_phase_name(enum ha_fence_phase phase);
void ha_fence_check(const struct ha_fence *f);

/* --- storms ----------------------------------------------------------------------------------- */

/*
 * A cluster that wants to fence many of its hosts is more likely wrong than right: a switch died,
 * not they. So no more than storm_percent of the hosts, rounded up, may be FENCING, or GONE by a
 * fence, of late: at least one, and otherwise always fewer than half of them.
 *
 * OF WHICH HOSTS: of those that were there when the storm began. They are declared, an agent has
 * registered there, and they are up, or fenced of late, or lost with machines that they may still
 * run. A share of others would be a majority of those that are there: of hosts that never ran; of
 * such as are gone, by whatever proof, and were never taken out of the records; of those that
 * somebody switched off when nothing was on them. Nor are voters the base: some hosts run machines
 * and do not vote, and a voter without an agent is nobody's to fence.
 *
 * Records have no times: whether a fate has been what it is for storm_s is for the leader to say,
 * who has measured it whole (`is_settled`; NULL: none has). So a host whose devices are dead, and
 * which stays FENCING for hours, hinders the fencing of others for storm_s only. Operators'
 * confirmations are no part of a storm.
 */
struct ha_storm {
    uint32_t hosts;  /* that count, as above */
    uint32_t fenced; /* of late */
    uint32_t cap;
    bool may_fence; /* one more */
};

void ha_storm_of(const struct ha_view *view, bool (*is_settled)(void *ctx, const char *host),
                 void *ctx, struct ha_storm *ret);

#endif
