/*
 * Patience: how long to wait beyond the moment at which a heartbeat is expected, spent where it
 * prevents the most mistakes.
 *
 * The configuration gives an average. A constant margin spends it blindly: in the middle of the
 * night as much as in congestion, and as much at half an interval, where nothing can arrive, as at
 * a whole one, where the next heartbeat does. So this counts, for each of a few states of the
 * network, how much margin heartbeats would have needed (lateness and losses alike), and divides
 * the average among the states, so that the expected number of mistakes is smallest: the lower
 * convex hull of each state's tail, its steepest pieces first. For a distribution without structure
 * the result is the constant margin.
 *
 * Only what was seen DETECTOR_PATIENCE_EVIDENCE times counts as known. What is left of the average
 * beyond that goes to all states alike, so that a generous margin is a constant one, whatever the
 * past was like; no state gets more than DETECTOR_PATIENCE_FACTOR_MAX averages.
 */
#ifndef NOVACRON_HEALTH_DETECTOR_PATIENCE_H
#define NOVACRON_HEALTH_DETECTOR_PATIENCE_H

#include "core/base/types.h"

/* States: the octave of the margin needed lately, from 2^-10 intervals up to 4. */
#define DETECTOR_PATIENCE_STATES 14

/* Buckets of needs, 8 an octave (so that they are exact to 12 %), up to 32 intervals. */
#define DETECTOR_PATIENCE_BUCKETS 112

#define DETECTOR_PATIENCE_EVIDENCE   30
#define DETECTOR_PATIENCE_FACTOR_MAX 4

struct detector_patience {
    uint32_t needs[DETECTOR_PATIENCE_STATES][DETECTOR_PATIENCE_BUCKETS];
    uint32_t seen[DETECTOR_PATIENCE_STATES];
    uint32_t total;
    double interval; /* in nanoseconds, as all that follows */
    double margin;   /* the average to be spent */
    double lately;   /* the need, smoothed over the last dozen heartbeats */
    double margins[DETECTOR_PATIENCE_STATES];
};

void detector_patience_init(struct detector_patience *p, nanos interval, nanos margin);

/* A heartbeat came, and would have needed this margin; 0 where it was early. */
void detector_patience_learn(struct detector_patience *p, double need);

/* The margin for the next heartbeat. */
double detector_patience_margin(const struct detector_patience *p);

#endif
