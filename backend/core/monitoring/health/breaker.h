/*
 * Circuit breakers, for whatever can fail slowly: fence devices, QMP, storage, peers, hosts on
 * which machines keep failing. A caller asks before each call, and reports how it ended; the
 * breaker stops calls that would most likely fail, and finds out by few that they succeed again.
 *
 *                    too many fail or are slow
 *          +-------> CLOSED ----------------------> OPEN <---------+
 *          |                                          |            | a probe fails, is slow,
 *  enough  |            the open time is over, and    |            | or is lost
 *  probes  |            somebody asks                 v            |
 *  succeed +------------------------------------- HALF_OPEN -------+
 *
 *          breaker_force leads from anywhere to FORCED_OPEN and FORCED_CLOSED, and breaker_release
 *          from there to CLOSED, with an empty memory.
 *
 *   CLOSED         every call may go; outcomes fill the window. breaker_trip: -> OPEN, where the
 *                  share of failed or of slow calls among the last ones reaches its limit, once
 *                  there are enough of them to speak of shares; or after so many failures in a row,
 *                  however few there are.
 *   OPEN           no call may go until `until`. breaker_acquire: -> HALF_OPEN from then on.
 *   HALF_OPEN      `permits` calls may be under way at once, and no more; so many successes close
 *                  it. A permit that is not reported in time counts as a failure: a probe that was
 *                  lost cannot hold it half open for ever. breaker_report, breaker_turn.
 *   FORCED_OPEN    an operator's: no call may go. FORCED_CLOSED: every call may, whatever happens.
 *
 * The open time grows each time it opens again, up to a cap, is longer by a random part so that
 * many breakers do not ask at once, and begins anew after it was closed for long enough. A report
 * of a call that was begun before the last transition changes nothing: it tells of another time.
 *
 * A group (breaker_group) caps how many of its breakers are open at once: a rule that excludes most
 * of a group is more likely wrong than right. At least one may always open.
 *
 * Time never runs backwards here: what is earlier than what was told counts as that. A clock that
 * jumps ahead makes an open breaker half open, and that lets no more than its permits through.
 */
#ifndef NOVACRON_HEALTH_BREAKER_H
#define NOVACRON_HEALTH_BREAKER_H

#include "core/base/err.h"
#include "core/base/prng.h"
#include "core/base/types.h"

/* state, name for people, may any call go? */
#define BREAKER_TABLE(X)                                                                           \
    X(BREAKER_CLOSED, "closed", true)                                                              \
    X(BREAKER_OPEN, "open", false)                                                                 \
    X(BREAKER_HALF_OPEN, "half-open", false)                                                       \
    X(BREAKER_FORCED_OPEN, "forced-open", false)                                                   \
    X(BREAKER_FORCED_CLOSED, "forced-closed", true)

enum breaker_state {
#define BREAKER_ENUM(state, name, passes) state,
    BREAKER_TABLE(BREAKER_ENUM)
#undef BREAKER_ENUM
        BREAKER_STATES
};

/* Calls that a window by count remembers, at most; slices of a window by time; calls that may be
 * under way while it is half open. */
#define BREAKER_CALLS_MAX   256
#define BREAKER_SLICES      10
#define BREAKER_PERMITS_MAX 16

struct breaker_config {
    /* The window: the last `calls` ones; or, where `span` is not 0, those of the last `span`. */
    uint32_t calls; /* 1 .. BREAKER_CALLS_MAX */
    nanos span;
    uint32_t minimum;         /* calls in the window before shares count; at least 1 */
    uint32_t failure_percent; /* opens at this share of failures; above 100: never */
    uint32_t slow_percent;    /* likewise, of slow calls, failed or not */
    nanos slow_after;         /* a call that took this long is slow; NANOS_FOREVER: none is */
    uint32_t failures_in_row; /* opens after so many, whatever the shares; 0: never */
    nanos open_first;         /* > 0 */
    nanos open_max;           /* >= open_first */
    uint32_t growth_percent;  /* of the open time from one opening to the next; >= 100 */
    uint32_t jitter_percent;  /* of the open time, at most added to it */
    nanos calm;               /* closed for this long: the open time begins anew */
    uint32_t permits;         /* half open: calls at once; 1 .. BREAKER_PERMITS_MAX */
    uint32_t successes;       /* half open: needed to close; at least 1 */
    nanos permit_timeout;     /* half open: a call not reported by then has failed; > 0 */
};

/* Breakers of which only some may be open at once. The caller's; breakers borrow it. */
struct breaker_group {
    uint32_t members;
    uint32_t open;
    uint32_t open_percent; /* at most, and at least one */
};

/* A call that may go; the caller's until it is reported. */
struct breaker_permit {
    nanos started;
    uint64_t epoch; /* of the breaker: how often it had changed its state */
    uint32_t slot;
};

enum breaker_outcome {
    BREAKER_OK,
    BREAKER_FAILED,
    BREAKER_IGNORED /* says nothing of the other side: canceled, or refused by the caller's own */
};

/* What the window holds. */
struct breaker_shares {
    uint32_t calls;
    uint32_t failed;
    uint32_t slow;
};

struct breaker {
    struct breaker_config config;
    struct breaker_group *group; /* borrowed; may be NULL */
    struct prng prng;
    enum breaker_state state;
    uint64_t epoch;
    nanos latest;
    nanos until;       /* OPEN */
    nanos changed;     /* when the state was entered */
    uint32_t openings; /* in a row, without a calm between them */
    uint32_t in_row;   /* failures, in CLOSED */
    struct breaker_shares shares;
    uint8_t outcomes[BREAKER_CALLS_MAX]; /* by count: a ring */
    uint32_t next;
    struct breaker_shares slices[BREAKER_SLICES]; /* by time: a ring */
    uint64_t slice;                               /* the number of the newest */
    nanos permits[BREAKER_PERMITS_MAX];           /* HALF_OPEN: when each times out; 0: free */
    uint32_t succeeded;                           /* HALF_OPEN */
    uint64_t rejected;                            /* calls that might not go */
    uint64_t lost;                                /* permits that timed out */
    uint64_t held;                                /* times that the group kept it closed */
};

/* Fifty of a hundred calls failed or slower than `slow_after`, five in a row; open for 5 s at first
 * and 5 min at most, doubling; two permits, two successes. */
struct breaker_config breaker_config_of(nanos slow_after);

enum err breaker_config_check(const struct breaker_config *config) MUST_USE;

void breaker_init(struct breaker *b, const struct breaker_config *config, uint64_t seed, nanos now);

/* Joins a group, which counts it from now on; once, and while it is CLOSED. */
void breaker_join(struct breaker *b, struct breaker_group *group);

/* May a call go? Then it has to be reported, or times out. */
bool breaker_acquire(struct breaker *b, nanos now, struct breaker_permit *permit);

void breaker_report(struct breaker *b, const struct breaker_permit *permit,
                    enum breaker_outcome outcome, nanos now);

/* When breaker_turn has something to do: permits time out. NANOS_FOREVER: not by itself. */
nanos breaker_deadline(const struct breaker *b);
void breaker_turn(struct breaker *b, nanos now);

/* `state` is one of the two forced ones. */
void breaker_force(struct breaker *b, enum breaker_state state, nanos now);
void breaker_release(struct breaker *b, nanos now);

/* From when on it is worth asking: now, or the end of the open time. NANOS_FOREVER: forced open. */
nanos breaker_retry_at(const struct breaker *b);

const char *breaker_state_name(enum breaker_state state);

void breaker_check(const struct breaker *b);

#endif
