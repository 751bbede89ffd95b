/*
 * `novacron-sim mutants`: the proof that the simulator bites. Each known bug of core/base/mutant.h
 * is switched on alone, and seeds are run until one fails; one that no seed catches fails the
 * command.
 *
 * First come the scenarios that name the mutant (core/chaos/scenario).
 *
 * A seed that fails is run again without the mutant, and counts only if it passes then: what fails
 * either way is a bug, but another one. The seeds of a mutant come one after another, several
 * mutants at once, so the table does not depend on how many workers there were.
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

enum hunt_state {
    HUNT_NONE,      /* it was not asked for */
    HUNT_PLAYS,     /* scenario `scenario`, if it is one of this mutant's */
    HUNT_MISTRUSTS, /* that failed: does it pass without the mutant? */
    HUNT_GOES_ON,   /* with seed `seed` */
    HUNT_DOUBTS,    /* seed `seed` failed: does it pass without the mutant? */
    HUNT_CAUGHT,    /* by seed `seed` */
    HUNT_SURVIVED,  /* every seed */
};

struct hunt {
    enum hunt_state state;
    bool is_running;
    size_t scenario;    /* the next one to be tried */
    const char *played; /* the scenario that failed, as it should; NULL: none did */
    uint64_t seed;
    uint64_t unsound; /* seeds that failed without the mutant, too */
    char signature[320];
};

struct hunts {
    struct hunt hunt[MUTANTS];
    uint64_t seeds_max;
};

static const struct scenario *hunt_scenario(const struct hunt *hunt)
{
    size_t count;
    const struct scenario *rows = scenario_rows(&count);
    return hunt->scenario < count ? &rows[hunt->scenario] : NULL;
}

/* On to the next scenario that names this mutant; behind the last one, to seeds. */
static void hunt_seek_scenario(struct hunt *hunt, const char *name)
{
    const struct scenario *row = hunt_scenario(hunt);

    while (row != NULL && strcmp(row->mutant, name) != 0) {
        hunt->scenario++;
        row = hunt_scenario(hunt);
    }
    hunt->state = row != NULL ? HUNT_PLAYS : HUNT_GOES_ON;
}

static bool hunts_next(void *ctx, struct sim_job *ret)
{
    struct hunts *hunts = ctx;

    for (int i = MUTANT_NONE + 1; i < MUTANTS; i++) {
        struct hunt *hunt = &hunts->hunt[i];
        bool is_play = hunt->state == HUNT_PLAYS || hunt->state == HUNT_MISTRUSTS;
        bool is_open = is_play || hunt->state == HUNT_GOES_ON || hunt->state == HUNT_DOUBTS;
        if (!is_open || hunt->is_running) {
            continue;
        }
        bool is_control = hunt->state == HUNT_DOUBTS || hunt->state == HUNT_MISTRUSTS;
        hunt->is_running = true;
        ret->mutant = is_control ? MUTANT_NONE : (enum mutant)i;
        ret->scenario = is_play ? hunt_scenario(hunt) : NULL;
        ret->number = (uint64_t)i;
        ret->options.seed = hunt->seed;
        ret->options.profile = sim_mutant_profile((enum mutant)i);
        return true;
    }
    return false;
}

static void hunts_done(void *ctx, const struct sim_job *job, const struct sim_outcome *outcome)
{
    struct hunts *hunts = ctx;
    struct hunt *hunt = &hunts->hunt[job->number];
    bool passed = sim_outcome_is_good(outcome);

    hunt->is_running = false;
    if (hunt->state == HUNT_PLAYS && !passed) {
        hunt->state = HUNT_MISTRUSTS;
        return;
    }
    if (hunt->state == HUNT_PLAYS || hunt->state == HUNT_MISTRUSTS) {
        if (hunt->state == HUNT_MISTRUSTS && passed && hunt->played == NULL) {
            hunt->played = job->scenario->name;
        }
        hunt->scenario++;
        hunt_seek_scenario(hunt, sim_mutant_get((enum mutant)job->number)->name);
        return;
    }
    if (hunt->state == HUNT_GOES_ON && !passed) {
        hunt->state = HUNT_DOUBTS;
        sim_outcome_signature(outcome, hunt->signature, sizeof hunt->signature);
        return;
    }
    if (hunt->state == HUNT_DOUBTS && passed) {
        hunt->state = HUNT_CAUGHT;
    } else {
        hunt->unsound += hunt->state == HUNT_DOUBTS;
        hunt->state = hunt->seed < hunts->seeds_max ? HUNT_GOES_ON : HUNT_SURVIVED;
        hunt->seed += hunt->state == HUNT_GOES_ON;
    }
    if (hunt->state != HUNT_GOES_ON) {
        (void)fprintf(stderr, "%-30s %s\n", sim_mutant_get((enum mutant)job->number)->name,
                      hunt->state == HUNT_CAUGHT ? hunt->signature
                      : hunt->played != NULL     ? "by its scenario alone"
                                                 : "NOT CAUGHT");
    }
}

static void print_mutants_text(const struct hunts *hunts)
{
    (void)printf("%-30s %7s  %-44s %s\n", "mutant", "seeds", "caught by", "the bug");
    for (int i = MUTANT_NONE + 1; i < MUTANTS; i++) {
        const struct hunt *hunt = &hunts->hunt[i];
        const struct sim_mutant *mutant = sim_mutant_get((enum mutant)i);
        if (hunt->state == HUNT_CAUGHT) {
            (void)printf("%-30s %7" PRIu64 "  %-44.44s %s\n", mutant->name, hunt->seed,
                         hunt->signature, mutant->bug);
        } else if (hunt->state == HUNT_SURVIVED) {
            (void)printf("%-30s %7s  %-44s %s\n", mutant->name, "-",
                         hunt->played != NULL ? "its scenario" : "NOT CAUGHT", mutant->bug);
        }
        if (hunt->unsound > 0) {
            (void)printf("%-30s %7" PRIu64 "  did not count: they fail without the mutant, too\n",
                         "", hunt->unsound);
        }
    }
}

static void print_mutants_json(const struct hunts *hunts)
{
    for (int i = MUTANT_NONE + 1; i < MUTANTS; i++) {
        const struct hunt *hunt = &hunts->hunt[i];
        const struct sim_mutant *mutant = sim_mutant_get((enum mutant)i);
        if (hunt->state == HUNT_NONE) {
            continue;
        }
        (void)printf("{\"mutant\":\"%s\",\"profile\":\"%s\",\"caught\":%s", mutant->name,
                     mutant->profile,
                     hunt->state == HUNT_CAUGHT || hunt->played != NULL ? "true" : "false");
        if (hunt->state == HUNT_CAUGHT) {
            (void)printf(",\"seeds\":%" PRIu64 ",\"seed\":%" PRIu64 ",\"by\":\"", hunt->seed,
                         hunt->seed);
            for (const char *c = hunt->signature; *c != '\0'; c++) {
                (void)printf(*c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
            }
            (void)putchar('"');
        }
        if (hunt->played != NULL) {
            (void)printf(",\"scenario\":\"%s\"", hunt->played);
        }
        (void)printf("}\n");
    }
}

static void print_mutants_markdown(const struct hunts *hunts)
{
    (void)printf("| mutant | the bug | seen | profile | seeds | caught by | scenario |\n"
                 "|--------|---------|------|---------|------:|-----------|----------|\n");
    for (int i = MUTANT_NONE + 1; i < MUTANTS; i++) {
        const struct hunt *hunt = &hunts->hunt[i];
        const struct sim_mutant *mutant = sim_mutant_get((enum mutant)i);
        if (hunt->state == HUNT_NONE) {
            continue;
        }
        (void)printf("| `%s` | %s | %s | %s | ", mutant->name, mutant->bug, mutant->seen,
                     mutant->profile);
        if (hunt->state == HUNT_CAUGHT) {
            (void)printf("%" PRIu64 " | %s | ", hunt->seed, hunt->signature);
        } else {
            (void)printf("> %" PRIu64 " | %s | ", hunts->seeds_max,
                         hunt->played != NULL ? "the scenario alone" : "**nothing**");
        }
        const char *quote = hunt->played != NULL ? "`" : "";
        (void)printf("%s%s%s |\n", quote, hunt->played != NULL ? hunt->played : "", quote);
    }
}

static unsigned hunts_survivors(const struct hunts *hunts)
{
    unsigned survivors = 0;

    for (int i = MUTANT_NONE + 1; i < MUTANTS; i++) {
        const struct hunt *hunt = &hunts->hunt[i];
        survivors += hunt->state == HUNT_SURVIVED && hunt->played == NULL;
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
        hunts.hunt[i] = (struct hunt){.seed = 1};
        if (listed[i]) {
            hunt_seek_scenario(&hunts.hunt[i], sim_mutant_get((enum mutant)i)->name);
        }
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
