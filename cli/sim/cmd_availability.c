/*
 * `novacron-sim availability`: what a machine's year looks like. Each kind of failure is played
 * over many seeds, on whole nodes in virtual time, and what it costs is measured; with declared
 * rates of failure that makes the expected availability, and the budget by cause.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/sim/sim_commands.h"
#include "cli/sim/sim_options.h"
#include "core/chaos/scenario/outage.h"

/* The options, in the order of the table. */
enum { OPTION_MODEL, OPTION_SET, OPTION_SEEDS, OPTION_GOAL, OPTION_JSON };

#define SEEDS_DEFAULT 20
#define SEEDS_MAX     10000
#define GOAL_DEFAULT  0.99999

#define MODEL_LINE_BYTES 256

/* --- the model -------------------------------------------------------------------------------- */

static bool model_number(const char *text, size_t length, double *ret)
{
    char copy[64];
    char *end = NULL;

    if (length == 0 || length >= sizeof copy) {
        return false;
    }
    memcpy(copy, text, length);
    copy[length] = '\0';
    *ret = strtod(copy, &end);
    return *end == '\0';
}

/* "name: number" or "name=number". */
static bool model_set(struct outage_rates *rates, const char *text, size_t length)
{
    size_t name = 0;

    while (name < length && text[name] != ':' && text[name] != '=') {
        name++;
    }
    size_t value = name + 1;
    while (value < length && text[value] == ' ') {
        value++;
    }
    double *field = outage_rate_find(rates, text, name);
    if (field == NULL || value >= length || !model_number(text + value, length - value, field)) {
        (void)fprintf(stderr, "novacron-sim availability: '%.*s' is none of these with a number:\n",
                      (int)length, text);
        for (size_t i = 0; outage_rate_name(i) != NULL; i++) {
            (void)fprintf(stderr, "  %-20s %s\n", outage_rate_name(i), outage_rate_text(i));
        }
        return false;
    }
    return true;
}

static bool model_set_all(struct outage_rates *rates, const char *list)
{
    while (*list != '\0') {
        size_t length = strcspn(list, ",");
        if (!model_set(rates, list, length)) {
            return false;
        }
        list += length + (list[length] == ',');
    }
    return true;
}

/* Lines of "name: number"; what follows a # is for people. */
static enum cli_exit model_read(struct outage_rates *rates, const char *path)
{
    char line[MODEL_LINE_BYTES];
    FILE *f = fopen(path, "re");
    bool is_good = true;

    if (f == NULL) {
        (void)fprintf(stderr, "novacron-sim availability: cannot open %s\n", path);
        return CLI_UNREADABLE;
    }
    while (is_good && fgets(line, sizeof line, f) != NULL) {
        size_t length = strcspn(line, "#\r\n");
        while (length > 0 && line[length - 1] == ' ') {
            length--;
        }
        is_good = length == 0 || model_set(rates, line, length);
    }
    bool is_read = ferror(f) == 0;
    (void)fclose(f);
    return is_good && is_read ? CLI_OK : CLI_USAGE;
}

/* --- measuring -------------------------------------------------------------------------------- */

static bool measure_kind(enum outage_kind kind, uint32_t hosts, uint64_t seeds,
                         struct outage_mean *ret)
{
    double sum = 0;

    memset(ret, 0, sizeof *ret);
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        struct sim_result result;
        struct outage outage;
        if (!outage_measure(kind, hosts, seed, &outage, &result)) {
            (void)fprintf(stderr, "novacron-sim availability: %s, seed %" PRIu64 ": %s %s\n",
                          outage_name(kind), seed, result.invariant, result.text);
            return false;
        }
        double span = (double)outage.span / (double)NANOS_PER_S;
        sum += span;
        ret->worst_s = span > ret->worst_s ? span : ret->worst_s;
        ret->restarted += outage.was_restarted ? 1 : 0;
    }
    ret->seeds = seeds;
    ret->mean_s = sum / (double)seeds;
    ret->restarted /= (double)seeds;
    return true;
}

/* --- printing --------------------------------------------------------------------------------- */

static void print_year_text(const struct outage_rates *rates,
                            const struct outage_mean means[OUTAGE_KINDS],
                            const struct outage_sum *sum, double goal)
{
    const double budget = (1 - goal) * MINUTES_A_YEAR;
    struct outage_rates copy = *rates;

    (void)printf("measured in virtual time, %" PRIu64 " seeds each, without the guest's boot\n\n",
                 means[0].seeds);
    (void)printf("  %-16s %8s %8s %9s  %s\n", "failure", "mean", "worst", "restarts", "");
    for (int kind = 0; kind < OUTAGE_KINDS; kind++) {
        (void)printf("  %-16s %6.2f s %6.2f s %8.0f%%  %s\n", outage_name((enum outage_kind)kind),
                     means[kind].mean_s, means[kind].worst_s, 100 * means[kind].restarted,
                     outage_text((enum outage_kind)kind));
    }
    (void)printf("\ndeclared, not measured\n\n");
    for (size_t i = 0; outage_rate_name(i) != NULL; i++) {
        const char *name = outage_rate_name(i);
        (void)printf("  %-20s %10g  %s\n", name, *outage_rate_find(&copy, name, strlen(name)),
                     outage_rate_text(i));
    }
    (void)printf("\none machine, a year\n\n");
    (void)printf("  %-42s %9s %10s %10s %8s\n", "cause", "times", "each", "minutes", "budget");
    for (size_t i = 0; i < sum->n; i++) {
        const struct outage_cause *c = &sum->causes[i];
        (void)printf("  %-42s %9.4f %8.1f s %10.4f %7.1f%%\n", c->name, c->times, c->each_s,
                     c->minutes, budget > 0 ? 100 * c->minutes / budget : 0);
    }
    (void)printf("  %-42s %9s %10s %10.4f %7.1f%%\n", "all", "", "", sum->minutes,
                 budget > 0 ? 100 * sum->minutes / budget : 0);
    (void)printf("\navailability %.7f, goal %.7f (%.2f minutes a year): %s\n", sum->availability,
                 goal, budget, sum->availability >= goal ? "reached" : "NOT REACHED");
    (void)printf("not counted: what is planned, what several hosts have in common, people's "
                 "mistakes, guests' own faults; docs/availability.md\n");
}

static void print_year_json(const struct outage_mean means[OUTAGE_KINDS],
                            const struct outage_sum *sum, double goal)
{
    for (int kind = 0; kind < OUTAGE_KINDS; kind++) {
        (void)printf("{\"failure\":\"%s\",\"mean_s\":%.3f,\"worst_s\":%.3f,\"restarted\":%.3f,"
                     "\"seeds\":%" PRIu64 "}\n",
                     outage_name((enum outage_kind)kind), means[kind].mean_s, means[kind].worst_s,
                     means[kind].restarted, means[kind].seeds);
    }
    for (size_t i = 0; i < sum->n; i++) {
        (void)printf("{\"cause\":\"%s\",\"times\":%.6f,\"each_s\":%.3f,\"minutes\":%.6f}\n",
                     sum->causes[i].name, sum->causes[i].times, sum->causes[i].each_s,
                     sum->causes[i].minutes);
    }
    (void)printf("{\"availability\":%.9f,\"minutes\":%.6f,\"goal\":%.9f,\"reached\":%s}\n",
                 sum->availability, sum->minutes, goal,
                 sum->availability >= goal ? "true" : "false");
}

/* --- the command ------------------------------------------------------------------------------ */

enum cli_exit cmd_availability(const struct cli_call *call)
{
    struct outage_rates rates = outage_rates_default();
    struct outage_mean means[OUTAGE_KINDS];
    struct outage_sum sum;
    const char *goal_text = call->options[OPTION_GOAL];
    double goal = GOAL_DEFAULT;
    uint64_t seeds = SEEDS_DEFAULT;

    if (call->options[OPTION_MODEL] != NULL) {
        enum cli_exit read = model_read(&rates, call->options[OPTION_MODEL]);
        if (read != CLI_OK) {
            return read;
        }
    }
    if (call->options[OPTION_SET] != NULL && !model_set_all(&rates, call->options[OPTION_SET])) {
        return CLI_USAGE;
    }
    const char *why = outage_rates_check(&rates);
    if (why != NULL) {
        (void)fprintf(stderr, "novacron-sim availability: %s\n", why);
        return CLI_USAGE;
    }
    if (!sim_option_number("availability", "--seeds", call->options[OPTION_SEEDS], 1, SEEDS_MAX,
                           &seeds)) {
        return CLI_USAGE;
    }
    if (goal_text != NULL &&
        (!model_number(goal_text, strlen(goal_text), &goal) || !(goal > 0 && goal < 1))) {
        (void)fprintf(stderr, "novacron-sim availability: --goal is between 0 and 1\n");
        return CLI_USAGE;
    }
    for (int kind = 0; kind < OUTAGE_KINDS; kind++) {
        if (!measure_kind((enum outage_kind)kind, (uint32_t)rates.hosts, seeds, &means[kind])) {
            return CLI_DAMAGED;
        }
    }
    outage_year(&rates, means, &sum);
    if (call->options[OPTION_JSON] != NULL) {
        print_year_json(means, &sum, goal);
    } else {
        print_year_text(&rates, means, &sum, goal);
    }
    return sum.availability >= goal ? CLI_OK : CLI_DAMAGED;
}
