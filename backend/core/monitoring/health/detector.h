/*
 * Failure detectors: one watches one peer, and turns its heartbeats, or their absence, into a
 * suspicion [Chen02]. Which rule it follows is a field of its configuration; all see the same
 * events, so that they can be compared on the same traces.
 *
 * A peer numbers its heartbeats, and the numbers tell loss from delay, a duplicate from news, and
 * an old heartbeat from a new one. One that repeats or precedes what was heard teaches nothing and
 * extends nothing: a replay cannot keep a dead peer alive, nor train the detector to expect it.
 *
 * WHAT A CALLER DOES
 *   1. detector_init when it begins to watch, and again when the peer starts anew (another boot or
 *      incarnation: its numbers begin again).
 *   2. detector_heartbeat for each heartbeat, when it arrives.
 *   3. Sets a timer for detector_deadline, which moves with every call of 2 and 4. When it fires
 *      and detector_suspects, the peer is suspected until the next heartbeat. Nothing is polled.
 *   4. detector_excuse when the observer itself was not listening (pause.h).
 *
 * INVARIANTS (detector_check). While nothing arrives, level and phi never fall and are finite, for
 * any silence; detector_suspects(d, t) is t >= detector_deadline(d), and is detector_level >= 1. A
 * time before one that was told already counts as that one, so a clock that runs backwards harms
 * nothing. A detector is a value: it may be copied, holds no pointer, and allocates nothing.
 */
#ifndef NOVACRON_HEALTH_DETECTOR_H
#define NOVACRON_HEALTH_DETECTOR_H

#include "core/base/err.h"
#include "core/base/types.h"
#include "core/monitoring/health/detector_level.h"
#include "core/monitoring/health/detector_patience.h"

/* kind, name for people and configurations. What each reads of its configuration is in
 * docs/detection.md, and beside the fields below. */
#define DETECTOR_TABLE(X)                                                                          \
    X(DETECTOR_TIMEOUT, "timeout") /* a silence of `margin`, whatever happened before */           \
    X(DETECTOR_PHI_NORMAL, "phi")  /* [Hayashibara04] */                                           \
    X(DETECTOR_PHI_EXPONENTIAL, "phi-exponential") /* as in Cassandra */                           \
    X(DETECTOR_AKKA, "akka")             /* phi by Akka's approximation, as Akka keeps it */       \
    X(DETECTOR_CHEN, "chen")             /* NFD-E [Chen02] */                                      \
    X(DETECTOR_BERTIER, "bertier")       /* Chen's estimate, Jacobson's margin [Bertier02] */      \
    X(DETECTOR_TWO_WINDOW, "two-window") /* 2W-FD [Tomsic15] */                                    \
    X(DETECTOR_NOVACRON, "novacron")     /* ours, and the default */

enum detector_kind {
#define DETECTOR_ENUM(kind, name) kind,
    DETECTOR_TABLE(DETECTOR_ENUM)
#undef DETECTOR_ENUM
        DETECTOR_KINDS
};

#define DETECTOR_DEFAULT DETECTOR_NOVACRON

/* Samples that a detector remembers, at most: the window of [Hayashibara04] and of Cassandra. */
#define DETECTOR_WINDOW_MAX 1000

/* Spans of time in a configuration are at most this, an hour. */
#define DETECTOR_SPAN_MAX (3600 * NANOS_PER_S)

/* Bounds of a threshold. The chance of 1 in 10^1000 is beyond any meaning, and not infinite. */
#define DETECTOR_THRESHOLD_MIN 0.001
#define DETECTOR_THRESHOLD_MAX 1000.0

struct detector_config {
    enum detector_kind kind;
    /* Between two heartbeats, as the sender promises it. All kinds. */
    nanos interval;
    /* The silence allowed before the first heartbeat, counted from detector_init. All kinds. */
    nanos grace;
    /* PHI_NORMAL, PHI_EXPONENTIAL, AKKA: suspect at this phi. BERTIER: factor of the deviation (phi
     * in its paper). */
    double threshold;
    /* TIMEOUT: the silence allowed. CHEN, TWO_WINDOW: alpha, on top of the expected arrival.
     * NOVACRON: the same, on average. */
    nanos margin;
    /* PHI_NORMAL, AKKA: added to the mean; PHI_EXPONENTIAL: to the silence allowed. */
    nanos acceptable_pause;
    /* PHI_NORMAL, AKKA: a smaller standard deviation counts as this one. */
    nanos deviation_min;
    /* Samples remembered: all kinds but TIMEOUT and NOVACRON. */
    uint32_t window;
    /* TWO_WINDOW: samples of the short window; at most `window`. */
    uint32_t window_short;
};

/* The kind's own defaults for heartbeats every `interval`. Those of AKKA are Akka's cluster (for
 * one second), those of PHI_EXPONENTIAL Cassandra's. */
struct detector_config detector_config_of(enum detector_kind kind, nanos interval);

/* Is it one that detector_init takes? ERR_INVALID where a field is out of its bounds. */
enum err detector_config_check(const struct detector_config *config) MUST_USE;

/* The name in the table; and the kind of a name, or ERR_NOT_FOUND. */
const char *detector_kind_name(enum detector_kind kind);
enum err detector_kind_find(const char *name, enum detector_kind *kind) MUST_USE;

/* The last samples, in a ring, with their exact sums: neither drifts however long it runs. */
struct detector_window {
    int64_t samples[DETECTOR_WINDOW_MAX];
    uint32_t size; /* samples kept */
    uint32_t count;
    uint32_t next;
    int64_t sum;
    unsigned __int128 squares;
};

/* What the kind NOVACRON remembers (detector_own.c): the schedule, in nanoseconds, and how its
 * patience is divided. */
struct detector_own {
    struct detector_level level;
    double last;       /* how late the last one was */
    double variance;   /* of the distances from the level */
    double covariance; /* of neighbours */
    double count;      /* heartbeats behind these, up to a thousand */
    uint32_t caution;  /* heartbeats for which it is the last arrival that counts */
    double cost;       /* of that, on average over the last thousand */
    struct detector_patience patience;
};

/* What arrived, since detector_init. */
struct detector_counts {
    uint64_t fresh;    /* heartbeats newer than all before them */
    uint64_t late;     /* older than one that had arrived, and not heard before */
    uint64_t missing;  /* numbers that were skipped and have not arrived since */
    uint64_t mistakes; /* fresh ones that found the peer suspected */
};

/* How a heartbeat was taken. */
enum detector_intake { DETECTOR_FRESH, DETECTOR_LATE, DETECTOR_DUPLICATE };

/* Everything is the detector's own; read it through the functions below. */
struct detector {
    struct detector_config config;
    double point; /* the threshold, solved for the rule's own variable */
    nanos started;
    nanos latest;        /* the last time that was told */
    nanos arrived;       /* the last fresh heartbeat; `started` before the first */
    nanos excused_until; /* silence before it is not the peer's */
    nanos deadline;
    uint64_t sequence; /* the highest heard */
    uint64_t seen;     /* bit i: sequence - i was heard */
    int64_t offset;    /* of the last fresh arrival from the schedule of the first */
    double delay;      /* BERTIER: smoothed error, and its deviation, in nanoseconds */
    double variation;
    double mean;      /* of the silences expected, in nanoseconds, and their deviation */
    double deviation; /* phi kinds */
    union {
        struct detector_window window;
        struct detector_own own; /* NOVACRON */
    } memory;
    struct detector_counts counts;
};

/* Watches from `now` on. The configuration is copied, and is one that detector_config_check takes.
 */
void detector_init(struct detector *d, const struct detector_config *config, nanos now);

/* Heartbeat number `sequence` has arrived. */
enum detector_intake detector_heartbeat(struct detector *d, uint64_t sequence, nanos now);

/* Up to `until` the observer did not listen, or does not trust what it heard: silence counts from
 * then on, and what arrives before it is a sign of life, but no sample. Never shortens anything. */
void detector_excuse(struct detector *d, nanos until);

/* When the peer will be suspected if nothing arrives; at or before the present where it is. */
nanos detector_deadline(const struct detector *d);

bool detector_suspects(const struct detector *d, nanos now);

/* The suspicion: 0 when a heartbeat has just come, 1 at the deadline, growing beyond it. For the
 * phi kinds it is phi / threshold; for the others, it is linear in the silence. */
double detector_level(const struct detector *d, nanos now);

/* Phi: -log10 of the chance that a silence lasts longer than this one yet. 0 for kinds that do not
 * estimate a distribution, and before the first heartbeat. */
double detector_phi(const struct detector *d, nanos now);

/* Aborts where an invariant does not hold. */
void detector_check(const struct detector *d);

#endif
