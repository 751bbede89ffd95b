/*
 * Traces of heartbeats: one sender, one observer, and between them a network of some kind. What
 * detectors are compared on (DETECTION P9): every detector is given the same one.
 */
#ifndef NOVACRON_CHAOS_DETECT_LABTRACE_H
#define NOVACRON_CHAOS_DETECT_LABTRACE_H

#include "core/base/prng.h"
#include "core/chaos/detect/lablatency.h"

#define LABTRACE_BEATS_MAX 2000000

/* kind, name; and what it is. Delays are those of one way. */
#define LABTRACE_TABLE(X)                                                                          \
    X(LABTRACE_LAN, "lan")                 /* 100 us to a few ms, 1 in 10^5 lost */                \
    X(LABTRACE_NORMAL, "normal")           /* 100 ms, deviation 10 ms, 0.1 % lost */               \
    X(LABTRACE_EXPONENTIAL, "exponential") /* 20 ms and exponential 10 ms, 0.4 % lost */           \
    X(LABTRACE_HEAVY, "heavy")             /* 20 ms and Pareto 1.5 of 3 ms, 0.4 % lost */          \
    X(LABTRACE_LOSS, "loss")               /* exponential, 10 % lost */                            \
    X(LABTRACE_BURSTS, "bursts")   /* exponential; bursts of loss, some of a hundred and more */   \
    X(LABTRACE_DIURNAL, "diurnal") /* delay and jitter rise and fall with the day */               \
    X(LABTRACE_STEPS, "steps")     /* the route changes: 20, 60 or 150 ms for a while */           \
    X(LABTRACE_QUEUE, "queue")     /* a queue that fills in rushes and drains slowly */            \
    X(LABTRACE_PAUSES, "pauses")   /* lan; the sender stands still now and then, up to seconds */  \
    X(LABTRACE_DRIFT, "drift")     /* lan; the sender's clock is 500 ppm slow, its timer late */   \
    X(LABTRACE_MEASURED, "measured") /* round-trip times of real hosts, halved, 0.4 % lost */

enum labtrace_kind {
#define LABTRACE_ENUM(kind, name) kind,
    LABTRACE_TABLE(LABTRACE_ENUM)
#undef LABTRACE_ENUM
        LABTRACE_KINDS
};

const char *labtrace_name(enum labtrace_kind kind);

/* A heartbeat that arrived. */
struct labtrace_arrival {
    nanos at;
    uint32_t number; /* into `sent` */
};

struct labtrace {
    nanos interval;
    uint32_t beats;
    nanos *sent;                       /* owned: when each left */
    struct labtrace_arrival *arrivals; /* owned; in order of time */
    uint32_t arrival_count;
};

struct labtrace_options {
    enum labtrace_kind kind;
    nanos interval;
    uint32_t beats; /* up to LABTRACE_BEATS_MAX */
    uint64_t seed;
    const struct lablatency *latency; /* borrowed; LABTRACE_MEASURED needs it */
};

void labtrace_make(struct labtrace *t, const struct labtrace_options *options);
void labtrace_free(struct labtrace *t);

#endif
