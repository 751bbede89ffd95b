/*
 * Hosts that crash in an otherwise quiet cluster, and how long it takes to know (DETECTION P4).
 *
 * First detection: some member holds the host dead, by its own timers. Full: every survivor does.
 */
#ifndef NOVACRON_CHAOS_DETECT_LABCRASH_H
#define NOVACRON_CHAOS_DETECT_LABCRASH_H

#include "core/chaos/detect/labswim.h"

struct labcrash_cell {
    enum labswim_protocol protocol;
    uint32_t hosts;
    uint32_t crashes; /* at once */
    nanos quiet;      /* before; up to a second more is drawn, for the phase */
    uint32_t loss;    /* everywhere, from the start; of LABNET_CERTAIN; streams suffer it, too */
    nanos span_max;   /* after; shorter where all is known */
    uint64_t seed;
    const struct lablatency *latency;
    void (*tune)(void *ctx, struct swim_config *config); /* NULL: as the protocol's preset */
};

struct labcrash_result {
    double first_s; /* of the first of them; 0: never */
    double full_s;  /* all survivors hold all of them dead; 0: never */
    uint64_t false_deaths;
    uint64_t messages; /* in the quiet time, of all, a second */
    uint64_t bytes;
};

void labcrash_run(const struct labcrash_cell *cell, struct labcrash_result *ret);

#endif
