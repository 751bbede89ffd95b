/*
 * How often a cut comes too early (DETECTION P10; [Suresh18] figure 11): some hosts fail at once,
 * and the reports of all their observers come to the leader in an order that is drawn. It is a
 * conflict where the first cut has not all of them.
 */
#ifndef NOVACRON_CHAOS_DETECT_LABCUT_H
#define NOVACRON_CHAOS_DETECT_LABCUT_H

#include "core/monitoring/health/cut.h"

/* Observers of each host, so that H and L are counts and percents are exact. */
#define LABCUT_OBSERVERS 10

struct labcut_cell {
    uint32_t hosts;
    uint32_t faulty;
    uint32_t high; /* of LABCUT_OBSERVERS */
    uint32_t low;
    nanos spread; /* all reports come within it, each at a time that is drawn */
    nanos settle; /* 0: the paper's rule, in which order alone counts */
    uint64_t seed;
};

struct labcut_result {
    bool is_conflict;
    uint32_t cuts;    /* until all are cut */
    uint32_t wronged; /* hosts that did not fail, and were cut */
    double last_s;
};

void labcut_run(const struct labcut_cell *cell, struct labcut_result *ret);

#endif
