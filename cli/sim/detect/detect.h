/*
 * cli/sim/detect: `novacron-sim detect EXPERIMENT`, the laboratory of failure detection on the
 * command line.
 *
 * What lives here: the table of experiments (cmd_detect.c), one file for each, and what they share:
 * runs in parallel (detect_pool.h), tables (detect_table.h), curves (detect_plot.h). What happens
 * in a run is core/chaos/detect's matter; here runs are planned, summed up and told.
 *
 * An experiment draws everything from (its own parameters, the number of the seed), so the figures
 * are the same each time, however many jobs shared the work.
 */
#ifndef NOVACRON_CLI_SIM_DETECT_H
#define NOVACRON_CLI_SIM_DETECT_H

#include <stdio.h>

#include "core/chaos/detect/lablatency.h"
#include "core/chaos/detect/labstat.h"

/* What the command line asked for. */
struct detect_call {
    const char *experiment;
    bool is_quick;                    /* a subset that takes seconds */
    uint32_t seeds;                   /* for each cell; 0: the experiment's own number */
    uint32_t jobs;                    /* processes */
    const struct lablatency *latency; /* measured; NULL: none was given */
    FILE *csv;                        /* NULL: not wanted */
    FILE *svg;                        /* likewise */
};

struct detect_experiment {
    const char *name;
    const char *summary;
    /* Prints tables and figures. False: a run crashed, which was said. */
    bool (*run)(const struct detect_call *call);
};

bool detect_run_p1(const struct detect_call *call);
bool detect_run_p2(const struct detect_call *call);
bool detect_run_p3(const struct detect_call *call);
bool detect_run_p4(const struct detect_call *call);
bool detect_run_p5(const struct detect_call *call);
bool detect_run_p6(const struct detect_call *call);
bool detect_run_p7(const struct detect_call *call);
bool detect_run_p8(const struct detect_call *call);
bool detect_run_p9(const struct detect_call *call);
bool detect_run_p10(const struct detect_call *call);
bool detect_run_p11(const struct detect_call *call);
bool detect_run_p12(const struct detect_call *call);
bool detect_run_loss(const struct detect_call *call);
bool detect_run_peers(const struct detect_call *call);

/* The seeds of each cell: those that were asked for, else `full`, or `quick` with --quick. */
uint32_t detect_seeds(const struct detect_call *call, uint32_t full, uint32_t quick);

/* A line `name: value unit`, of which programs read the results. */
void detect_figure(const char *name, double value, const char *unit);

#endif
