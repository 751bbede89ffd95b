/* What a membership protocol costs: bytes and messages of each host, by whole seconds (DETECTION
 * P12; [Suresh18] table 2). */
#ifndef NOVACRON_CHAOS_DETECT_LABLOAD_H
#define NOVACRON_CHAOS_DETECT_LABLOAD_H

#include "core/chaos/detect/labswim.h"

struct labload_cell {
    enum labswim_protocol protocol;
    uint32_t hosts;
    uint32_t crashes; /* all at once, 10 s after counting began */
    nanos warmup;
    nanos span;
    uint64_t seed;
    const struct lablatency *latency;
};

/* Bytes a second on the wire, of hosts that did not crash and of those that did. */
struct labload_rate {
    double mean;
    double p99;
    double max;
};

struct labload_result {
    struct labload_rate out;
    struct labload_rate in;
    double messages_s; /* sent, a host */
};

void labload_run(const struct labload_cell *cell, struct labload_result *ret);

#endif
