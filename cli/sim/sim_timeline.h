/* The timeline of one run, as people and programs read it, on standard output. */
#ifndef NOVACRON_CLI_SIM_TIMELINE_H
#define NOVACRON_CLI_SIM_TIMELINE_H

#include "cli/sim/sim_pool.h"

struct sim_timeline {
    bool is_json; /* one object a line */
};

/* For sim_options.line, with a struct sim_timeline as its context. */
void sim_timeline_line(void *ctx, nanos at, const char *text);

/* The verdict, behind the last line. */
void sim_timeline_outcome(const struct sim_timeline *timeline, const struct sim_outcome *outcome);

/* As it stands between two quotation marks. */
void sim_timeline_json_text(const char *text);

#endif
