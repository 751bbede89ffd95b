/*
 * The score of a host, with its reasons; and the brake.
 *
 * A host is a ladder of rungs (network, daemon, process, ... ), each of which is told apart: what a
 * machine needs first comes first. The score is 100 where all of them are well; what is wrong on a
 * rung takes away as much as the rung's table says, half of it where it is only slow or seen
 * differently by different observers; and what the first broken rung carries is not counted again:
 * without a network nobody knows of the application. Everything that takes something away is a
 * reason, with its time and its evidence, worst first.
 *
 *   healthy   nothing is wrong
 *   degraded  it serves, and something is wrong: to be looked at, and not to be given more
 *   failing   a rung is broken; what is above it does not work
 *   unknown   nothing was heard of any rung
 *
 * A score decides nothing irreversible. "Lost" is a word of the membership's cut and the HA
 * manager.
 */
#ifndef NOVACRON_HEALTH_HOST_SCORE_H
#define NOVACRON_HEALTH_HOST_SCORE_H

#include "core/base/types.h"

/* rung, name, points that it takes away when it is broken, does everything above it depend on it?
 */
#define RUNG_TABLE(X)                                                                              \
    X(RUNG_NETWORK, "network", 100, true)                                                          \
    X(RUNG_DAEMON, "daemon", 60, true)                                                             \
    X(RUNG_PROCESS, "process", 50, true)                                                           \
    X(RUNG_STORAGE, "storage", 60, false)                                                          \
    X(RUNG_CLOCK, "clock", 30, false)                                                              \
    X(RUNG_APPLICATION, "application", 40, false)

enum rung {
#define RUNG_ENUM(rung, name, points, carries) rung,
    RUNG_TABLE(RUNG_ENUM)
#undef RUNG_ENUM
        RUNGS
};

enum rung_state {
    RUNG_UNKNOWN, /* not asked, or not answered yet */
    RUNG_WELL,
    RUNG_DEGRADED, /* slow, lossy, or well for some and not for others */
    RUNG_BROKEN
};

enum host_condition { HOST_UNKNOWN, HOST_HEALTHY, HOST_DEGRADED, HOST_FAILING };

/* What is known of one rung. */
struct rung_view {
    enum rung_state state;
    nanos since;    /* of the state */
    uint32_t bad;   /* observers, probes or requests that speak against it, */
    uint32_t asked; /* of so many */
};

struct host_view {
    struct rung_view rungs[RUNGS];
};

struct host_reason {
    enum rung rung;
    enum rung_state state;
    uint32_t points; /* that it takes away */
    nanos since;
    uint32_t bad;
    uint32_t asked;
};

struct host_score {
    enum host_condition condition;
    uint32_t points; /* 0 to 100; meaningless where the condition is HOST_UNKNOWN */
    uint32_t reason_count;
    struct host_reason reasons[RUNGS];
};

struct host_score host_score_of(const struct host_view *view);

const char *rung_name(enum rung rung);
const char *rung_state_name(enum rung_state state);
const char *host_condition_name(enum host_condition condition);

/*
 * The brake. Who suspects more than half of its peers is more likely the one that is cut off,
 * overloaded or newly awake: it suspects itself, reports nobody, and asks for nothing irreversible.
 * It is released once it has suspected no more than half of them for `settle` without a break.
 */
struct brake {
    nanos settle;
    nanos good_since;
    bool is_on;
    bool is_settling; /* on, and no more than half were suspected since good_since */
    uint64_t pulls;
};

void brake_init(struct brake *b, nanos settle);

/* To be told whenever the count may have changed; returns whether it is on. */
bool brake_turn(struct brake *b, uint32_t suspected, uint32_t peers, nanos now);

/* When brake_turn would release it, if nothing changes; NANOS_FOREVER: it would not. */
nanos brake_deadline(const struct brake *b);

#endif
