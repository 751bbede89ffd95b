/*
 * `novacron-sim mutants`: the proof that the simulator bites. Each known bug of core/base/mutant.h
 * is switched on alone, and seeds are run until one fails; one that no seed catches fails the
 * command.
 *
 * Several mutants are hunted at once where there are workers for them. The seed that counts is the
 * lowest that fails, so the table does not depend on how many workers there were.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/sim/sim_commands.h"
#include "cli/sim/sim_mutants.h"
#include "cli/sim/sim_options.h"
#include "cli/sim/sim_pool.h"
#include "cli/sim/sim_switches.h"

/* The options, in the order of the table. */
enum { OPTION_ONLY, OPTION_SEEDS_MAX, OPTION_JOBS, OPTION_JSON, OPTION_MARKDOWN };

/* A mutant that survives so many seeds counts as not caught. */
#define SEEDS_MAX_DEFAULT 500

/* A run that does not end is caught as such; none that is well takes so long. */
#define MUTANT_SECONDS_MAX 60

struct hunt {
    bool is_listed;
    uint64_t next;   /* seed */
    uint64_t caught; /* the lowest seed that failed; 0: none yet */
    uint32_t running;
    char signature[320];
};

struct hunts {
    struct hunt hunt[MUTANTS];
    uint64_t seeds_max;
};

static bool hunt_goes_on(const struct hunts *hunts, const struct hunt *hunt)
{
    return hunt->is_listed && hunt->caught == 0 && hunt->next <= hunts->seeds_max;
}

/* One worker a mutant, as long as there are mutants enough. */
static bool hunts_next(void *ctx, struct sim_job *ret)
{
    struct hunts *hunts = ctx;
    int chosen = 0;

    for (int i = MUTANT_NONE + 1; i < MUTANTS; i++) {
        const struct hunt *hunt = &hunts->hunt[i];
        if (hunt_goes_on(hunts, hunt) &&
            (chosen == 0 || hunt->running < hunts->hunt[chosen].running)) {
            chosen = i;
        }
    }
    if (chosen == 0) {
        return false;
    }
    struct hunt *hunt = &hunts->hunt[chosen];
    ret->mutant = (enum mutant)chosen;
    ret->options.seed = hunt->next++;
    ret->options.profile = sim_mutant_profile(ret->mutant);
    hunt->running++;
    return true;
}

static void hunts_done(void *ctx, const struct sim_job *job, const struct sim_outcome *outcome)
{
    struct hunts *hunts = ctx;
    struct hunt *hunt = &hunts->hunt[job->mutant];
    uint64_t seed = job->options.seed;

    hunt->running--;
    if (!sim_outcome_is_good(outcome) && (hunt->caught == 0 || seed < hunt->caught)) {
        hunt->caught = seed;
        sim_outcome_signature(outcome, hunt->signature, sizeof hunt->signature);
    }
    if (hunt->running > 0 || hunt_goes_on(hunts, hunt)) {
        return;
    }
    (void)fprintf(stderr, "%-28s %s\n", sim_mutant_get(job->mutant)->name,
                  hunt->caught != 0 ? hunt->signature : "NOT CAUGHT");
}

static void print_mutants_text(const struct hunts *hunts)
{
    (void)printf("%-28s %7s  %-44s %s\n", "mutant", "seeds", "caught by", "the bug");
    for (int i = MUTANT_NONE + 1; i < MUTANTS; i++) {
        const struct hunt *hunt = &hunts->hunt[i];
        const struct sim_mutant *mutant = sim_mutant_get((enum mutant)i);
        if (hunt->is_listed && hunt->caught != 0) {
            (void)printf("%-28s %7" PRIu64 "  %-44.44s %s\n", mutant->name, hunt->caught,
                         hunt->signature, mutant->bug);
        } else if (hunt->is_listed) {
            (void)printf("%-28s %7s  %-44s %s\n", mutant->name, "-", "NOT CAUGHT", mutant->bug);
        }
    }
}

static void print_mutants_json(const struct hunts *hunts)
{
    for (int i = MUTANT_NONE + 1; i < MUTANTS; i++) {
        const struct hunt *hunt = &hunts->hunt[i];
        const struct sim_mutant *mutant = sim_mutant_get((enum mutant)i);
        if (!hunt->is_listed) {
            continue;
        }
        (void)printf("{\"mutant\":\"%s\",\"profile\":\"%s\",\"caught\":%s", mutant->name,
                     mutant->profile, hunt->caught != 0 ? "true" : "false");
        if (hunt->caught != 0) {
            (void)printf(",\"seeds\":%" PRIu64 ",\"seed\":%" PRIu64 ",\"by\":\"", hunt->caught,
                         hunt->caught);
            for (const char *c = hunt->signature; *c != '\0'; c++) {
                (void)printf(*c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
            }
            (void)putchar('"');
        }
        (void)printf("}\n");
    }
}

static void print_mutants_markdown(const struct hunts *hunts)
{
    (void)printf("| mutant | the bug | seen | profile | caught by | seeds |\n"
                 "|--------|---------|------|---------|-----------|------:|\n");
    for (int i = MUTANT_NONE + 1; i < MUTANTS; i++) {
        const struct hunt *hunt = &hunts->hunt[i];
        const struct sim_mutant *mutant = sim_mutant_get((enum mutant)i);
        if (!hunt->is_listed) {
            continue;
        }
        (void)printf("| `%s` | %s | %s | %s | ", mutant->name, mutant->bug, mutant->seen,
                     mutant->profile);
        if (hunt->caught != 0) {
            (void)printf("%s | %" PRIu64 " |\n", hunt->signature, hunt->caught);
        } else {
            (void)printf("**nothing** | |\n");
        }
    }
}

static unsigned hunts_survivors(const struct hunts *hunts)
{
    unsigned survivors = 0;

    for (int i = MUTANT_NONE + 1; i < MUTANTS; i++) {
        survivors += hunts->hunt[i].is_listed && hunts->hunt[i].caught == 0;
    }
    return survivors;
}

enum cli_exit cmd_mutants(const struct cli_call *call)
{
    static struct hunts hunts; /* large, and one */
    uint64_t jobs = sim_option_cores();
    bool listed[MUTANTS];

    hunts.seeds_max = SEEDS_MAX_DEFAULT;
    if (!sim_mutants_listed("mutants", call->options[OPTION_ONLY], listed) ||
        !sim_option_number("mutants", "--seeds-max", call->options[OPTION_SEEDS_MAX], 1, UINT32_MAX,
                           &hunts.seeds_max) ||
        !sim_option_number("mutants", "--jobs", call->options[OPTION_JOBS], 1, SIM_JOBS_MAX,
                           &jobs)) {
        return CLI_USAGE;
    }
    if (!sim_switches_exist()) {
        (void)fprintf(stderr,
                      "novacron-sim mutants: this program runs the core of production, which "
                      "has no mutants; novacron-sim has them\n");
        return CLI_USAGE;
    }
    for (int i = MUTANT_NONE + 1; i < MUTANTS; i++) {
        hunts.hunt[i] = (struct hunt){.is_listed = listed[i], .next = 1};
    }
    const struct sim_pool_work work = {.next = hunts_next,
                                       .done = hunts_done,
                                       .ctx = &hunts,
                                       .jobs = (uint32_t)jobs,
                                       .seconds_max = MUTANT_SECONDS_MAX};
    sim_pool_run(&work);
    if (call->options[OPTION_JSON] != NULL) {
        print_mutants_json(&hunts);
    } else if (call->options[OPTION_MARKDOWN] != NULL) {
        print_mutants_markdown(&hunts);
    } else {
        print_mutants_text(&hunts);
    }
    return hunts_survivors(&hunts) == 0 ? CLI_OK : CLI_DAMAGED;
}
