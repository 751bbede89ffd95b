/* `novacron-sim replay`: one seed again, as a timeline that can be read. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/sim/sim_commands.h"
#include "cli/sim/sim_mutants.h"
#include "cli/sim/sim_options.h"
#include "cli/sim/sim_plan_file.h"
#include "cli/sim/sim_pool.h"

struct timeline {
    bool is_json;
};

static void print_json_text(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            (void)printf("\\%c", *text);
        } else if ((unsigned char)*text < 0x20) {
            (void)printf("\\u%04x", (unsigned)*text);
        } else {
            (void)putchar(*text);
        }
    }
}

static void print_line(void *ctx, nanos at, const char *text)
{
    const struct timeline *timeline = ctx;

    if (timeline->is_json) {
        (void)printf("{\"at_ns\":%" PRIu64 ",\"event\":\"", at);
        print_json_text(text);
        (void)printf("\"}\n");
    } else {
        (void)printf("%12.6f  %s\n", (double)at / 1e9, text);
    }
    (void)fflush(stdout); /* a crash must not lose it */
}

static void print_outcome(const struct timeline *timeline, const struct sim_outcome *outcome)
{
    const struct sim_result *result = &outcome->result;
    char signature[320];

    sim_outcome_signature(outcome, signature, sizeof signature);
    if (timeline->is_json) {
        (void)printf("{\"verdict\":\"");
        print_json_text(signature);
        (void)printf("\",\"text\":\"");
        print_json_text(result->text);
        (void)printf("\",\"events\":%" PRIu64 ",\"operations\":%" PRIu64 ",\"entries\":%" PRIu64
                     ",\"hash\":\"%016" PRIx64 "\"}\n",
                     result->events, result->operations, result->committed, result->hash);
        return;
    }
    (void)printf("\n%s\n", signature);
    if (result->text[0] != '\0') {
        (void)printf("%s\n", result->text);
    }
    (void)printf("%.3f s simulated, %" PRIu64 " events, %" PRIu64 " operations, %" PRIu64
                 " entries, hash %016" PRIx64 "\n",
                 (double)(result->at - result->started) / 1e9, result->events, result->operations,
                 result->committed, result->hash);
}

enum cli_exit cmd_replay(const struct cli_call *call)
{
    static struct fault_plan plan;
    struct timeline timeline = {.is_json = call->options[3] != NULL};
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
    job.options.line = print_line;
    job.options.ctx = &timeline;
    job.options.traces_network = call->options[2] != NULL;
    sim_pool_one(&job, &outcome);
    print_outcome(&timeline, &outcome);
    return sim_outcome_is_good(&outcome) ? CLI_OK : CLI_DAMAGED;
}
