/* `novacron-sim scenario`: the failures that real systems met, one or all of them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/sim/sim_commands.h"
#include "cli/sim/sim_mutants.h"
#include "cli/sim/sim_options.h"
#include "cli/sim/sim_pool.h"
#include "cli/sim/sim_timeline.h"

/* The options, in the order of the table. */
enum {
    OPTION_LIST,
    OPTION_ALL,
    OPTION_SEED,
    OPTION_JOBS,
    OPTION_TRACE,
    OPTION_JSON,
    OPTION_MUTANTS,
    OPTION_MUTANT
};

#define SEED_DEFAULT 1

/* --- the list --------------------------------------------------------------------------------- */

static void list_text(const struct scenario *row)
{
    (void)printf("%s\n    %s\n    bound: %s\n    seen: %s\n", row->name, row->story, row->bound,
                 row->source);
}

static void list_json(const struct scenario *row)
{
    const char *const fields[][2] = {{"scenario", row->name},
                                     {"story", row->story},
                                     {"bound", row->bound},
                                     {"source", row->source},
                                     {"mutant", row->mutant}};

    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        (void)printf("%s\"%s\":\"", i == 0 ? "{" : ",", fields[i][0]);
        sim_timeline_json_text(fields[i][1]);
        (void)printf("\"");
    }
    (void)printf("}\n");
}

static enum cli_exit list_scenarios(const struct cli_call *call)
{
    size_t count;
    const struct scenario *rows = scenario_rows(&count);

    for (size_t i = 0; i < count; i++) {
        if (call->options[OPTION_JSON] != NULL) {
            list_json(&rows[i]);
        } else {
            list_text(&rows[i]);
        }
    }
    return CLI_OK;
}

/* --- all -------------------------------------------------------------------------------------- */

struct scenario_result {
    bool has_ended;
    bool is_left_out;
    bool is_good;
    double simulated_s;
    char why[SIM_TEXT_BYTES + 400];
};

struct scenario_runs {
    const struct scenario *rows;
    size_t count;
    size_t next;
    size_t printed; /* results are printed in the order of the table */
    uint64_t seed;
    bool is_json;
    bool with_mutants; /* each with its own, and it must fail */
    size_t run;
    size_t failed;
    struct scenario_result *results; /* owned */
};

static bool runs_next(void *ctx, struct sim_job *ret)
{
    struct scenario_runs *runs = ctx;

    while (runs->with_mutants && runs->next < runs->count &&
           runs->rows[runs->next].mutant[0] == '\0') {
        runs->results[runs->next++].is_left_out = true;
    }
    if (runs->next == runs->count) {
        return false;
    }
    const char *mutant = runs->rows[runs->next].mutant;
    ret->mutant = runs->with_mutants ? sim_mutant_find(mutant, strlen(mutant)) : MUTANT_NONE;
    ret->runs_twice = !runs->with_mutants;
    runs->run++;
    ret->scenario = &runs->rows[runs->next];
    ret->options.seed = runs->seed;
    ret->number = runs->next++;
    return true;
}

static void print_result(const struct scenario_runs *runs, size_t i)
{
    const struct scenario *row = &runs->rows[i];
    const struct scenario_result *result = &runs->results[i];

    if (runs->is_json) {
        (void)printf("{\"scenario\":\"%s\",\"ok\":%s,\"virtual_s\":%.3f,\"bound\":\"", row->name,
                     result->is_good ? "true" : "false", result->simulated_s);
        sim_timeline_json_text(row->bound);
        (void)printf("\",\"why\":\"");
        sim_timeline_json_text(result->why);
        (void)printf("\"}\n");
        return;
    }
    (void)printf("%-30s %-6s %8.3f s  %s\n", row->name, result->is_good ? "ok" : "FAILED",
                 result->simulated_s, runs->with_mutants ? row->mutant : row->bound);
    if (result->why[0] != '\0') {
        (void)printf("    %s\n", result->why);
    }
}

static void runs_done(void *ctx, const struct sim_job *job, const struct sim_outcome *outcome)
{
    struct scenario_runs *runs = ctx;
    struct scenario_result *result = &runs->results[job->number];

    result->has_ended = true;
    result->is_good = sim_outcome_is_good(outcome);
    if (outcome->ending == SIM_ENDED) {
        result->simulated_s = (double)(outcome->result.at - outcome->result.started) / 1e9;
    }
    if (!result->is_good || runs->with_mutants) {
        char signature[320];
        sim_outcome_signature(outcome, signature, sizeof signature);
        (void)snprintf(result->why, sizeof result->why, "%s%s%s", signature,
                       outcome->ending == SIM_ENDED ? ": " : "",
                       outcome->ending == SIM_ENDED ? outcome->result.text : "");
    }
    result->is_good = result->is_good != runs->with_mutants;
    runs->failed += !result->is_good;
    for (; runs->printed < runs->count; runs->printed++) {
        if (runs->results[runs->printed].has_ended) {
            print_result(runs, runs->printed);
        } else if (!runs->results[runs->printed].is_left_out) {
            break;
        }
    }
    (void)fflush(stdout);
}

static enum cli_exit run_all(const struct cli_call *call, uint64_t seed, uint64_t jobs)
{
    struct scenario_runs runs = {.seed = seed,
                                 .is_json = call->options[OPTION_JSON] != NULL,
                                 .with_mutants = call->options[OPTION_MUTANTS] != NULL};

    runs.rows = scenario_rows(&runs.count);
    runs.results = calloc(runs.count, sizeof *runs.results);
    if (runs.results == NULL || (runs.with_mutants && !sim_switches_exist())) {
        (void)fprintf(stderr, "novacron-sim scenario: this program has no mutants\n");
        free(runs.results);
        return CLI_UNREADABLE;
    }
    const struct sim_pool_work work = {
        .next = runs_next, .done = runs_done, .ctx = &runs, .jobs = (uint32_t)jobs};
    sim_pool_run(&work);
    if (!runs.is_json) {
        (void)printf("%zu passed, %zu failed\n", runs.run - runs.failed, runs.failed);
    }
    free(runs.results);
    return runs.failed == 0 ? CLI_OK : CLI_DAMAGED;
}

/* --- one -------------------------------------------------------------------------------------- */

static enum cli_exit run_one(const struct cli_call *call, uint64_t seed, enum mutant mutant)
{
    struct sim_timeline timeline = {.is_json = call->options[OPTION_JSON] != NULL};
    struct sim_job job = {.scenario = scenario_find(call->arguments[0])};
    struct sim_outcome outcome;

    if (job.scenario == NULL) {
        (void)fprintf(stderr, "novacron-sim scenario: there is no \"%s\"; --list lists them all\n",
                      call->arguments[0]);
        return CLI_USAGE;
    }
    job.mutant = mutant;
    job.options = (struct sim_options){.seed = seed,
                                       .line = sim_timeline_line,
                                       .ctx = &timeline,
                                       .traces_network = call->options[OPTION_TRACE] != NULL};
    if (!timeline.is_json) {
        list_text(job.scenario);
        (void)putchar('\n');
    }
    sim_pool_one(&job, &outcome);
    sim_timeline_outcome(&timeline, &outcome);
    return sim_outcome_is_good(&outcome) ? CLI_OK : CLI_DAMAGED;
}

enum cli_exit cmd_scenario(const struct cli_call *call)
{
    uint64_t seed = SEED_DEFAULT;
    uint64_t jobs = 1;
    enum mutant mutant = MUTANT_NONE;

    if (!sim_option_number("scenario", "--seed", call->options[OPTION_SEED], 0, UINT64_MAX,
                           &seed) ||
        !sim_option_number("scenario", "--jobs", call->options[OPTION_JOBS], 1, SIM_JOBS_MAX,
                           &jobs)) {
        return CLI_USAGE;
    }
    if (call->options[OPTION_MUTANT] != NULL) {
        bool listed[MUTANTS];
        if (!sim_mutants_listed("scenario", call->options[OPTION_MUTANT], listed)) {
            return CLI_USAGE;
        }
        mutant =
            sim_mutant_find(call->options[OPTION_MUTANT], strlen(call->options[OPTION_MUTANT]));
    }
    if (call->options[OPTION_LIST] != NULL) {
        return list_scenarios(call);
    }
    if (call->options[OPTION_ALL] != NULL) {
        return run_all(call, seed, jobs);
    }
    if (call->arguments[0] == NULL) {
        (void)fprintf(stderr,
                      "novacron-sim scenario: say which, or --all; --list lists them all\n");
        return CLI_USAGE;
    }
    return run_one(call, seed, mutant);
}
