/* `novacron-sim replay`: one seed again, as a timeline that can be read. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/sim/sim_commands.h"
#include "cli/sim/sim_mutants.h"
#include "cli/sim/sim_options.h"
#include "cli/sim/sim_plan_file.h"
#include "cli/sim/sim_pool.h"
#include "cli/sim/sim_timeline.h"

/* The run is another process's, which ends without ceremony: every line is written at once. */
static void tla_line(void *ctx, const char *line)
{
    FILE *file = ctx;
    (void)fprintf(file, "%s\n", line);
    (void)fflush(file);
}

/* The file stays open until the program ends. */
static bool tla_begin(const char *path, struct sim_options *options)
{
    FILE *file = fopen(path, "w");

    if (file == NULL) {
        (void)fprintf(stderr, "novacron-sim replay: --tla-trace %s: %s\n", path, strerror(errno));
        return false;
    }
    options->tla_line = tla_line;
    options->tla_ctx = file;
    return true;
}

enum cli_exit cmd_replay(const struct cli_call *call)
{
    static struct fault_plan plan;
    struct sim_timeline timeline = {.is_json = call->options[3] != NULL};
    struct sim_job job = {0};
    struct sim_outcome outcome;

    if (call->options[0] == NULL) {
        (void)fprintf(stderr, "novacron-sim replay: say which seed: --seed N\n");
        return CLI_USAGE;
    }
    if (!sim_option_number("replay", "--seed", call->options[0], 0, UINT64_MAX,
                           &job.options.seed) ||
        !sim_option_profile("replay", call->options[1], &job.options.profile)) {
        return CLI_USAGE;
    }
    if (call->options[5] != NULL) {
        bool listed[MUTANTS];
        if (!sim_mutants_listed("replay", call->options[5], listed)) {
            return CLI_USAGE;
        }
        job.mutant = sim_mutant_find(call->options[5], strlen(call->options[5]));
    }
    if (call->options[4] != NULL) {
        if (!sim_plan_file_read(call->options[4], &plan)) {
            return CLI_UNREADABLE;
        }
        job.options.plan = &plan;
    }
    if (call->options[6] != NULL && !tla_begin(call->options[6], &job.options)) {
        return CLI_UNREADABLE;
    }
    job.options.line = sim_timeline_line;
    job.options.ctx = &timeline;
    job.options.traces_network = call->options[2] != NULL;
    sim_pool_one(&job, &outcome);
    sim_timeline_outcome(&timeline, &outcome);
    return sim_outcome_is_good(&outcome) ? CLI_OK : CLI_DAMAGED;
}
