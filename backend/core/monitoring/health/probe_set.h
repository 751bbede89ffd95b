/*
 * Probes: questions that are asked of something again and again, and what the answers mean. The
 * something is a target (a host's daemon, its storage, an application in a machine); each of its
 * probes has a purpose, as in Kubernetes:
 *
 *   start-up   until it has succeeded the others are not asked: who needs minutes to begin is not
 *              killed for it. Where it fails too often, the target is to be restarted.
 *   liveness   where it fails too often, the target is to be restarted.
 *   readiness  whether the target is to be given work now. Failing costs nothing else.
 *
 *       +--> STARTING ------------------> RUNNING
 *       |       |     start-up succeeded     |
 *       |       | start-up failed            | liveness failed
 *       |       v                            v
 *       +---- FAILED <-----------------------+
 *      probe_set_restart, probe_set_excuse
 *
 * A target without a start-up probe is RUNNING at once. In FAILED nothing is asked.
 *
 * This is a scheduler, and carries nothing out: probe_set_next says what to ask now, and whoever
 * asks tells the outcome with probe_set_answer. It gives back control in time by itself: an answer
 * that is not there at the probe's timeout is a failure, and what comes later is of another time.
 * No probe overlaps itself, at most `flights_max` are under way at once, and those of one period
 * are spread by chance, so that a thousand targets are not asked in one instant.
 *
 * WHAT KILLS TOO MUCH, and is not done: restarts have a budget over all targets, each target's grow
 * apart, and where more than half of all targets fail at once they have one cause, which no restart
 * cures: they are held until it has passed. What the asker could not ask (PROBE_NOT_ASKED) counts
 * for nothing. Who paused (pause.h) excuses all targets; a machine that is being rebooted, moved or
 * restored is excused alone.
 */
#ifndef NOVACRON_HEALTH_PROBE_SET_H
#define NOVACRON_HEALTH_PROBE_SET_H

#include "core/base/err.h"
#include "core/base/prng.h"
#include "core/base/types.h"
#include "core/monitoring/health/host_score.h"

/* purpose, name */
#define PROBE_PURPOSE_TABLE(X)                                                                     \
    X(PROBE_STARTUP, "startup")                                                                    \
    X(PROBE_LIVENESS, "liveness")                                                                  \
    X(PROBE_READINESS, "readiness")

enum probe_purpose {
#define PROBE_PURPOSE_ENUM(purpose, name) purpose,
    PROBE_PURPOSE_TABLE(PROBE_PURPOSE_ENUM)
#undef PROBE_PURPOSE_ENUM
        PROBE_PURPOSES
};

/* state, name, purposes that are asked in it, as bits */
#define PROBE_STATE_TABLE(X)                                                                       \
    X(PROBE_STARTING, "starting", 1U << PROBE_STARTUP)                                             \
    X(PROBE_RUNNING, "running", 1U << PROBE_LIVENESS | 1U << PROBE_READINESS)                      \
    X(PROBE_FAILED, "failed", 0)

enum probe_state {
#define PROBE_STATE_ENUM(state, name, asked) state,
    PROBE_STATE_TABLE(PROBE_STATE_ENUM)
#undef PROBE_STATE_ENUM
        PROBE_STATES
};

enum probe_outcome {
    PROBE_OK,
    PROBE_FAILURE, /* it said no, or was not there */
    PROBE_NOT_ASKED
};

/* Targets of one set; probes under way at once; restarts that a budget counts: at most. */
#define PROBE_TARGETS_MAX  1024
#define PROBE_FLIGHTS_MAX  64
#define PROBE_RESTARTS_MAX 32

/* Times of a probe are at most this. */
#define PROBE_SPAN_MAX (24 * 3600 * NANOS_PER_S)

struct probe_config {
    bool is_asked;      /* false: the target has no such probe, and the rest is not looked at */
    nanos delay;        /* before the first time */
    nanos period;       /* > 0 */
    nanos timeout;      /* > 0 */
    uint32_t failures;  /* in a row, after which it fails; at least 1 */
    uint32_t successes; /* in a row, after which it succeeds; at least 1 */
};

struct probe_set_config {
    uint32_t flights_max;    /* 1 .. PROBE_FLIGHTS_MAX */
    uint32_t jitter_percent; /* of a period, by which each time may be later; at most 100 */
    uint32_t restarts_max;   /* of all targets within `restarts_span`; 1 .. PROBE_RESTARTS_MAX */
    nanos restarts_span;
    nanos restart_first; /* after a restart a target is not restarted for so long, */
    nanos restart_max;   /* doubling up to this, */
    nanos stable;        /* until it ran for so long */
};

/* One probe of a target. */
struct target_probe {
    struct probe_config config;
    nanos due;       /* NANOS_FOREVER: not now */
    nanos times_out; /* 0: not under way */
    uint64_t ticket;
    uint32_t failed;    /* in a row */
    uint32_t succeeded; /* in a row */
    bool is_well;
    bool is_judged; /* is_well is a verdict: so many answers were alike */
    nanos since;    /* of is_well as it is */
    uint64_t asked;
    uint64_t timeouts;
};

struct probe_target {
    uint64_t id; /* the caller's name for it */
    enum rung rung;
    enum probe_state state;
    nanos entered;
    struct target_probe probes[PROBE_PURPOSES];
    nanos restart_from; /* FAILED: not before this */
    uint32_t restarts;  /* in a row, without a stable time between them */
    uint32_t failures;  /* FAILED: in a row, which led there, and of which purpose */
    enum probe_purpose failed_by;
};

struct probe_set {
    struct probe_set_config config;
    struct prng prng;
    nanos latest;
    uint64_t tickets;
    uint32_t flights;
    uint32_t count;
    struct probe_target targets[PROBE_TARGETS_MAX];
    nanos restarts[PROBE_RESTARTS_MAX]; /* when the last ones were, in a ring */
    uint32_t restarts_next;
    uint64_t restarts_total;
    uint64_t held; /* asked for a restart, and one was due but not granted */
};

/* What to ask now. */
struct probe_order {
    uint64_t id;
    enum probe_purpose purpose;
    uint64_t ticket; /* to be handed back with the answer */
    nanos deadline;  /* an answer after it is none */
};

/* Eight at once, a tenth of jitter, five restarts in ten minutes, apart by 10 s to 10 min. */
struct probe_set_config probe_set_config_of(void);

/* Every 10 s, within 1 s, failing after three and succeeding after one: as Kubernetes has it. */
struct probe_config probe_config_of(void);
enum err probe_config_check(const struct probe_config *config) MUST_USE;

void probe_set_init(struct probe_set *set, const struct probe_set_config *config, uint64_t seed,
                    nanos now);

/* Adds a target, with PROBE_PURPOSES configurations. ERR_EXISTS: this id is there; ERR_TOO_LARGE:
 * the set is full; ERR_INVALID: a configuration is. */
enum err probe_set_add(struct probe_set *set, uint64_t id, enum rung rung,
                       const struct probe_config *probes, nanos now) MUST_USE;
void probe_set_remove(struct probe_set *set, uint64_t id);

/* The next thing to ask, if there is one now: to be called until it says no. */
bool probe_set_next(struct probe_set *set, nanos now, struct probe_order *order);

/* An answer. One that came too late, or of a target that was restarted, excused or removed since,
 * changes nothing. */
void probe_set_answer(struct probe_set *set, uint64_t id, enum probe_purpose purpose,
                      uint64_t ticket, enum probe_outcome outcome, nanos now);

/* Asks a probe again at `at`, where it would be asked later: an answer gave cause to look closer.
 */
void probe_set_hurry(struct probe_set *set, uint64_t id, enum probe_purpose purpose, nanos at);

/* When probe_set_next is to be called again, if nothing is answered before. */
nanos probe_set_deadline(const struct probe_set *set);

/* A target that is to be restarted now, within the budget: it is STARTING from here on. */
bool probe_set_restart(struct probe_set *set, nanos now, uint64_t *id);

/* What was asked is forgotten, nothing is asked before `until`, and failures are counted from none.
 * One target, which begins anew (it reboots, moves, or was restored); or all, as they are. */
void probe_set_excuse(struct probe_set *set, uint64_t id, nanos until, nanos now);
void probe_set_excuse_all(struct probe_set *set, nanos until, nanos now);

/* NULL: no such target. */
const struct probe_target *probe_set_find(const struct probe_set *set, uint64_t id);

/* Is it to be given work? RUNNING, and its readiness, if that is asked, is well. */
bool probe_is_ready(const struct probe_target *target);

/* What its probes say of its rung: broken where it FAILED, degraded while it is not ready. */
struct rung_view probe_rung(const struct probe_target *target);

const char *probe_purpose_name(enum probe_purpose purpose);
const char *probe_state_name(enum probe_state state);

void probe_set_check(const struct probe_set *set);

#endif
