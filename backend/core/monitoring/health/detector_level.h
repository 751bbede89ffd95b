/*
 * Level: how late on its schedule a peer's heartbeats are at present, apart from the chance of each
 * single one; and which of them are no chance any more.
 *
 * The level is the end of a line through the last thousand: where the sender's clock is fast or
 * slow, heartbeats walk away from the schedule, and a mean of a thousand would stay behind them by
 * five hundred steps.
 *
 * An outlier is farther from the level than LEVEL_OUTLIER times the usual distance, the scatter.
 * One alone says that something happened, and not yet what: a heartbeat that stood in a queue, or a
 * route, a sender's timer, that has changed for good. LEVEL_RUN of them in a row on one side, which
 * agree with each other, are the new level; the line would turn there for a thousand heartbeats,
 * and be wrong about each. So are LEVEL_FAR that lie LEVEL_BOUND intervals away, whether they agree
 * or not.
 */
#ifndef NOVACRON_HEALTH_DETECTOR_LEVEL_H
#define NOVACRON_HEALTH_DETECTOR_LEVEL_H

#include "core/base/types.h"

/* The line and the scatter follow the last thousand heartbeats. */
#define LEVEL_GAIN 0.001

/* A distance from the level counts for this many intervals at most; beyond it, it is far. */
#define LEVEL_BOUND 4.0
#define LEVEL_FAR   4

/* Of an exponential delay, one in 200 is an outlier: rare enough that being careful after each
 * costs nothing, and six in a row are no chance. */
#define LEVEL_OUTLIER 6.0
#define LEVEL_RUN     6

/* Nothing is an outlier before the scatter is known. */
#define LEVEL_KNOWN 30

/* A run agrees where it is narrower than this part of its distance from the old level. */
#define LEVEL_AGREEMENT 0.5

/* Outliers in a row, all on one side of the level. */
struct detector_run {
    uint32_t length;
    bool is_late; /* above the level */
    double low;
    double high;
    double sum;
};

/* All but the counts in nanoseconds. */
struct detector_level {
    double interval;
    double mean;    /* the level at the last heartbeat */
    double trend;   /* how much later each one is than the one before */
    double scatter; /* the usual distance from the level */
    double count;   /* heartbeats behind the mean, up to a thousand */
    double known;   /* behind the scatter */
    uint32_t far;   /* in a row */
    struct detector_run run;
};

void detector_level_init(struct detector_level *l, nanos interval);

/* Where the next heartbeat is expected, if it does not depend on the last one. */
double detector_level_at(const struct detector_level *l);

/* `offset` less the level, as far as it counts: what one outlier does to an estimate is bounded. */
double detector_level_distance(const struct detector_level *l, double offset);

/* What a heartbeat was: LEVEL_EARLY and LEVEL_LATE are outliers; with LEVEL_MOVED the level is
 * another one, and the outliers before it were none. */
enum detector_level_sign { LEVEL_USUAL, LEVEL_EARLY, LEVEL_LATE, LEVEL_MOVED };

/* Takes a heartbeat that was `offset` late on its schedule. */
enum detector_level_sign detector_level_follow(struct detector_level *l, double offset);

#endif
