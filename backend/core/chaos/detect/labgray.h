/*
 * Gray failures (DETECTION P11): hosts answer heartbeats, and requests to one of them suffer.
 *
 * Every host asks every other one at a steady rate, judges the answers (core/monitoring/health/
 * gray.h), and tells what it thinks once a second; where the reports meet, a cause is named
 * (gray_map.h). Beside it runs Envoy's outlier detection on the same requests, with its defaults:
 * five failures in a row, or in ten seconds a rate of success 1.9 deviations below the mean, where
 * five hosts had a hundred requests each. It knows nothing of latencies: what is slow passes.
 *
 * A request that is lost is known to be when its timeout has passed; that is added to the times.
 */
#ifndef NOVACRON_CHAOS_DETECT_LABGRAY_H
#define NOVACRON_CHAOS_DETECT_LABGRAY_H

#include "core/base/types.h"

/* fault, name */
#define LABGRAY_TABLE(X)                                                                           \
    X(LABGRAY_NONE, "none")                                                                        \
    X(LABGRAY_SLOW_DISK, "disk ten times slower")                                                  \
    X(LABGRAY_LOSSY_PATH, "2 % lost to one peer")                                                  \
    X(LABGRAY_STUCK, "I/O stuck")                                                                  \
    X(LABGRAY_HALF_NIC, "half-dead NIC")

enum labgray_fault {
#define LABGRAY_ENUM(fault, name) fault,
    LABGRAY_TABLE(LABGRAY_ENUM)
#undef LABGRAY_ENUM
        LABGRAY_FAULTS
};

const char *labgray_name(enum labgray_fault fault);

#define LABGRAY_HOSTS   10
#define LABGRAY_TIMEOUT NANOS_PER_S

struct labgray_cell {
    enum labgray_fault fault;
    nanos gap;   /* between two requests of one host to another */
    nanos quiet; /* before the fault */
    nanos span;  /* after it */
    uint64_t seed;
    double threshold_factor; /* of the evidence that degrades; 1: as shipped */
};

/* Times are from the fault on; 0: never. */
struct labgray_result {
    double signal_s;  /* the first observer sees a subject degraded that is */
    double verdict_s; /* the cause is named, and rightly */
    double envoy_s;
    uint64_t signals_false; /* signals that turned degraded, and should not have */
    uint64_t verdicts_false;
    uint64_t envoy_false;
};

void labgray_run(const struct labgray_cell *cell, struct labgray_result *ret);

#endif
