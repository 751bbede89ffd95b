/* `novacron-sim run`: many seeds, what they reached, and which of them failed. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/sim/sim_commands.h"
#include "cli/sim/sim_options.h"
#include "cli/sim/sim_pool.h"
#include "cli/sim/sim_probes.h"
#include "cli/sim/sim_switches.h"
#include "core/base/buf.h"

/* Failures that are printed in full; more are counted. */
#define FAILURES_MAX 20

/* A run of so many seeds of the default profile must reach everything. */
#define LONG_RUN_SEEDS 2000

/* Without a terminal, a line of progress after so many seconds. */
#define PROGRESS_SECONDS 10

/* Of so many seeds one is run twice, and must give the same hash; --twice: all. */
#define TWICE_EVERY 20

struct failure {
    uint64_t seed;
    char signature[320];
    char text[400];
};

struct campaign {
    uint64_t next;
    uint64_t first;
    uint64_t last;
    enum sim_profile profile;
    bool prints_hashes;
    bool runs_all_twice;
    double seconds_max; /* 0: none */
    uint64_t passed;
    uint64_t failed;
    struct failure failures[FAILURES_MAX];
    struct coverage coverage;
    struct sim_probes probes;
    double simulated_s;
    uint64_t events;
    uint64_t operations;
    uint64_t committed;
    struct timespec since;
    double told;
    bool has_terminal;
};

static double seconds_since(const struct timespec *since)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - since->tv_sec) + (double)(now.tv_nsec - since->tv_nsec) / 1e9;
}

static bool campaign_next(void *ctx, struct sim_job *ret)
{
    struct campaign *c = ctx;

    if (c->next > c->last) {
        return false;
    }
    ret->options = (struct sim_options){.seed = c->next, .profile = c->profile};
    ret->runs_twice = c->runs_all_twice || (c->next - c->first) % TWICE_EVERY == 0;
    ret->number = c->next++;
    return true;
}

static void campaign_done(void *ctx, const struct sim_job *job, const struct sim_outcome *outcome)
{
    struct campaign *c = ctx;
    const struct sim_result *result = &outcome->result;

    if (outcome->ending == SIM_ENDED) {
        coverage_add(&c->coverage, &result->coverage);
        sim_probes_add(&c->probes, outcome->probes);
        c->simulated_s += (double)(result->at - result->started) / 1e9;
        c->events += result->events;
        c->operations += result->operations;
        c->committed += result->committed;
    }
    if (c->prints_hashes) {
        (void)printf("%" PRIu64 " %016" PRIx64 "\n", job->options.seed, result->hash);
    }
    if (sim_outcome_is_good(outcome)) {
        c->passed++;
        return;
    }
    if (c->failed < FAILURES_MAX) {
        struct failure *failure = &c->failures[c->failed];
        failure->seed = job->options.seed;
        sim_outcome_signature(outcome, failure->signature, sizeof failure->signature);
        (void)snprintf(failure->text, sizeof failure->text, "%.399s",
                       outcome->ending == SIM_ENDED ? result->text : "");
    }
    c->failed++;
    (void)fprintf(stderr, "%sseed %" PRIu64 " failed\n", c->has_terminal ? "\r\033[K" : "",
                  job->options.seed);
}

static void print_progress(const struct campaign *c, double seconds)
{
    uint64_t done = c->passed + c->failed;
    uint64_t all = c->last - c->first + 1;

    if (c->has_terminal) {
        char bar[31];
        size_t filled = c->seconds_max > 0 ? (size_t)(30 * seconds / c->seconds_max)
                                           : (size_t)(30 * done / all);
        memset(bar, '.', 30);
        memset(bar, '#', filled < 30 ? filled : 30);
        bar[30] = '\0';
        (void)fprintf(stderr, "\r[%s] %" PRIu64 " seeds, %" PRIu64 " failed, %.0f a minute ", bar,
                      done, c->failed, 60 * (double)done / seconds);
    } else {
        (void)fprintf(stderr, "%" PRIu64 " of %" PRIu64 " seeds, %" PRIu64 " failed, %.0f s\n",
                      done, all, c->failed, seconds);
    }
}

static bool campaign_tick(void *ctx)
{
    struct campaign *c = ctx;
    double seconds = seconds_since(&c->since);

    if (seconds - c->told > (c->has_terminal ? 0.2 : PROGRESS_SECONDS)) {
        c->told = seconds;
        print_progress(c, seconds);
    }
    return c->seconds_max > 0 && seconds >= c->seconds_max;
}

static void print_coverage(const struct campaign *c)
{
    (void)printf("%-16s %10s %10s %10s\n", "fault", "done", "spared", "no target");
    for (size_t i = 0; i < FAULT_KINDS; i++) {
        const uint64_t *counts = c->coverage.faults[i];
        (void)printf("%-16s %10" PRIu64 " %10" PRIu64 " %10" PRIu64 "\n",
                     fault_name((enum fault_kind)i), counts[INJECT_DONE], counts[INJECT_SPARED],
                     counts[INJECT_NO_TARGET]);
    }
    (void)printf("\n%-20s %10s  %s\n", "state", "reached", "what was seen");
    for (size_t i = 0; i < REACHED_STATES; i++) {
        (void)printf("%-20s %10" PRIu64 "  %s\n", reached_name((enum reached)i),
                     c->coverage.reached[i], reached_help((enum reached)i));
    }
    if (sim_switches_exist()) {
        sim_probes_print(&c->probes);
    }
}

static void print_failures(const struct campaign *c)
{
    uint64_t shown = c->failed < FAILURES_MAX ? c->failed : FAILURES_MAX;

    for (uint64_t i = 0; i < shown; i++) {
        const struct failure *failure = &c->failures[i];
        (void)printf("\nseed %" PRIu64 ": %s\n", failure->seed, failure->signature);
        if (failure->text[0] != '\0') {
            (void)printf("  %s\n", failure->text);
        }
        (void)printf("  novacron-sim replay --seed %" PRIu64 " --profile %s\n", failure->seed,
                     sim_profile_name(c->profile));
    }
    if (c->failed > shown) {
        (void)printf("\nand %" PRIu64 " more\n", c->failed - shown);
    }
}

/* What nobody reached; in a long run that is a failure of the run. */
static void print_missing(struct campaign *c)
{
    struct buf names;
    bool counts = c->profile == PROFILE_DEFAULT && c->passed + c->failed >= LONG_RUN_SEEDS;

    buf_init(&names);
    size_t missing = coverage_missing(&c->coverage, &names);
    if (missing > 0) {
        (void)printf("\nnever reached: %.*s%s\n", (int)names.len, (const char *)names.data,
                     counts ? " (in a run as long as this, a failure)" : "");
        c->failed += counts ? 1 : 0;
    }
    buf_deinit(&names);
    if (sim_switches_exist() && sim_probes_print_missing(&c->probes) > 0) {
        c->failed += counts ? 1 : 0;
    }
}

static void print_sum(struct campaign *c)
{
    double seconds = seconds_since(&c->since);
    uint64_t seeds = c->passed + c->failed;

    if (!c->prints_hashes) {
        print_coverage(c);
    }
    print_failures(c);
    if (!c->prints_hashes) {
        print_missing(c);
    }
    (void)printf("\n%.0f s simulated in %.0f s, %.0f seeds a minute; %" PRIu64 " events, %" PRIu64
                 " operations, %" PRIu64 " entries\n",
                 c->simulated_s, seconds, 60 * (double)seeds / (seconds > 0 ? seconds : 1),
                 c->events, c->operations, c->committed);
    (void)printf("%" PRIu64 " passed, %" PRIu64 " failed\n", c->passed, c->failed);
}

enum cli_exit cmd_run(const struct cli_call *call)
{
    static struct campaign c; /* large, and one */
    uint64_t jobs = sim_option_cores();

    c = (struct campaign){.first = 1, .last = 100, .has_terminal = isatty(STDERR_FILENO)};
    if (!sim_option_seeds("run", call->options[0], &c.first, &c.last) ||
        !sim_option_number("run", "--jobs", call->options[1], 1, SIM_JOBS_MAX, &jobs) ||
        !sim_option_profile("run", call->options[2], &c.profile) ||
        !sim_option_hours("run", call->options[3], &c.seconds_max)) {
        return CLI_USAGE;
    }
    if (c.seconds_max > 0 && call->options[0] == NULL) {
        c.last = UINT64_MAX - 1; /* as many as there is time for */
    }
    c.runs_all_twice = call->options[4] != NULL;
    c.prints_hashes = call->options[5] != NULL;
    c.next = c.first;
    (void)clock_gettime(CLOCK_MONOTONIC, &c.since);
    const struct sim_pool_work work = {.next = campaign_next,
                                       .done = campaign_done,
                                       .tick = campaign_tick,
                                       .ctx = &c,
                                       .jobs = (uint32_t)jobs};
    sim_pool_run(&work);
    if (c.has_terminal) {
        (void)fprintf(stderr, "\r\033[K");
    }
    print_sum(&c);
    return c.failed == 0 ? CLI_OK : CLI_DAMAGED;
}
