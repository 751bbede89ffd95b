/*
 * `novacron-sim shrink`: the smallest fault schedule that still fails the same way.
 *
 * Delta debugging [Zeller02] over the rows of the plan: parts of it are left out for as long as the
 * run still fails with the same signature, then single rows, then spans are halved. Each try is a
 * run of its own; the seed, and so everything but the plan, stays.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/sim/sim_commands.h"
#include "cli/sim/sim_options.h"
#include "cli/sim/sim_plan_file.h"
#include "cli/sim/sim_pool.h"

/* Runs that shrinking may take: some minutes. */
#define TRIES_MAX 2000

/* A span that is shorter than this is not halved any more. */
#define SPAN_MIN (10 * NANOS_PER_MS)

struct shrink {
    uint64_t seed;
    enum sim_profile profile;
    char signature[320];
    struct fault_plan best;
    struct fault_plan trial;
    uint64_t tries;
};

static bool fails_alike(struct shrink *s)
{
    struct sim_job job = {.options = {.seed = s->seed, .profile = s->profile, .plan = &s->trial}};
    struct sim_outcome outcome;
    char signature[sizeof s->signature];

    s->tries++;
    if (isatty(STDERR_FILENO)) {
        (void)fprintf(stderr, "\r%" PRIu64 " tries, %" PRIu32 " rows left ", s->tries,
                      s->best.count);
    }
    sim_pool_one(&job, &outcome);
    if (sim_outcome_is_good(&outcome)) {
        return false;
    }
    sim_outcome_signature(&outcome, signature, sizeof signature);
    return strcmp(signature, s->signature) == 0;
}

/* Leaves out rows [from, from + n); keeps that if it still fails. */
static bool try_without(struct shrink *s, uint32_t from, uint32_t n)
{
    s->trial.count = 0;
    for (uint32_t i = 0; i < s->best.count; i++) {
        if (i < from || i >= from + n) {
            s->trial.rows[s->trial.count++] = s->best.rows[i];
        }
    }
    if (s->trial.count == s->best.count || !fails_alike(s)) {
        return false;
    }
    s->best = s->trial;
    return true;
}

static void shrink_rows(struct shrink *s)
{
    for (uint32_t n = (s->best.count + 1) / 2; n >= 1 && s->tries < TRIES_MAX; n /= 2) {
        bool has_shrunk = true;
        while (has_shrunk && s->tries < TRIES_MAX) {
            has_shrunk = false;
            for (uint32_t from = 0; from < s->best.count && s->tries < TRIES_MAX;) {
                if (try_without(s, from, n)) {
                    has_shrunk = n == 1; /* single rows: until none can go */
                } else {
                    from += n;
                }
            }
        }
    }
}

static void shrink_spans(struct shrink *s)
{
    for (uint32_t i = 0; i < s->best.count; i++) {
        while (s->best.rows[i].span >= 2 * SPAN_MIN && s->tries < TRIES_MAX) {
            s->trial = s->best;
            s->trial.rows[i].span /= 2;
            if (!fails_alike(s)) {
                break;
            }
            s->best = s->trial;
        }
    }
}

static enum cli_exit print_shrunk(const struct shrink *s, const char *path)
{
    FILE *out = path != NULL ? fopen(path, "w") : stdout;

    if (out == NULL) {
        (void)fprintf(stderr, "novacron-sim shrink: %s cannot be written\n", path);
        return CLI_UNREADABLE;
    }
    (void)fprintf(
        out, "# seed %" PRIu64 ", profile %s: %s\n# %" PRIu32 " rows, after %" PRIu64 " tries\n",
        s->seed, sim_profile_name(s->profile), s->signature, s->best.count, s->tries);
    sim_plan_file_write(out, &s->best);
    if (path != NULL) {
        bool is_written = fclose(out) == 0;
        if (!is_written) {
            (void)fprintf(stderr, "novacron-sim shrink: %s cannot be written\n", path);
            return CLI_UNREADABLE;
        }
        (void)printf("%" PRIu32 " rows still fail: %s\nnovacron-sim replay --seed %" PRIu64
                     " --profile %s --plan %s\n",
                     s->best.count, s->signature, s->seed, sim_profile_name(s->profile), path);
    }
    return CLI_OK;
}

enum cli_exit cmd_shrink(const struct cli_call *call)
{
    static struct shrink s;
    struct sim_outcome outcome;
    struct sim_job job = {0};

    memset(&s, 0, sizeof s);
    if (call->options[0] == NULL) {
        (void)fprintf(stderr, "novacron-sim shrink: say which seed: --seed N\n");
        return CLI_USAGE;
    }
    if (!sim_option_number("shrink", "--seed", call->options[0], 0, UINT64_MAX, &s.seed) ||
        !sim_option_profile("shrink", call->options[1], &s.profile)) {
        return CLI_USAGE;
    }
    sim_plan(s.seed, s.profile, &s.best);
    job.options = (struct sim_options){.seed = s.seed, .profile = s.profile};
    sim_pool_one(&job, &outcome);
    if (sim_outcome_is_good(&outcome)) {
        (void)fprintf(stderr, "novacron-sim shrink: seed %" PRIu64 " passes\n", s.seed);
        return CLI_DAMAGED;
    }
    sim_outcome_signature(&outcome, s.signature, sizeof s.signature);
    shrink_rows(&s);
    shrink_spans(&s);
    if (isatty(STDERR_FILENO)) {
        (void)fprintf(stderr, "\r\033[K");
    }
    return print_shrunk(&s, call->options[2]);
}
