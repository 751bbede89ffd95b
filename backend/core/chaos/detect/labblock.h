/*
 * Slow members: some hosts of a cluster are blocked, again and again, once, or stand for want of a
 * processor, and what counts is whom the cluster calls dead meanwhile (DETECTION P1, P2, P3;
 * [Dadgar17 §V]).
 *
 * A false positive is a death of a host that is not anomalous. It is counted as an origination,
 * where a member found it by its own timers, and as an event, at every member that came to hold it.
 * Those at healthy members are counted apart: an anomalous member cannot know that it is the one
 * who is late, a healthy one could.
 */
#ifndef NOVACRON_CHAOS_DETECT_LABBLOCK_H
#define NOVACRON_CHAOS_DETECT_LABBLOCK_H

#include "core/chaos/detect/labswim.h"

enum labblock_kind {
    LABBLOCK_PERIODS, /* closed, open, closed, ... in lock-step (P1) */
    LABBLOCK_ONCE,    /* closed once, for good if `closed` is the whole span (P2) */
    LABBLOCK_STARVED  /* the process is given slices of a processor that others use (P3) */
};

struct labblock_cell {
    enum labblock_kind kind;
    enum labswim_protocol protocol;
    uint32_t hosts;
    uint32_t anomalous;
    nanos closed;
    nanos open;
    nanos quiet; /* before it begins */
    nanos span;  /* of the blocks */
    nanos after; /* they end, and this passes */
    uint64_t seed;
    const struct lablatency *latency;
    void (*tune)(void *ctx, struct swim_config *config); /* NULL: as the protocol's preset */
};

struct labblock_deaths {
    uint64_t originations;
    uint64_t originations_healthy; /* observer */
    uint64_t events;
    uint64_t events_healthy;
};

struct labblock_result {
    struct labblock_deaths false_ones; /* of hosts that are not anomalous */
    struct labblock_deaths anomalous;  /* of those that are */
    uint64_t messages;
    uint64_t bytes; /* payload */
    /* Of the first anomalous host: from the first block to its first death anywhere, and to the
     * time at which all healthy members hold it dead; 0: never. */
    double first_s;
    double full_s;
};

void labblock_run(const struct labblock_cell *cell, struct labblock_result *ret);

#endif
