/* `novacron-sim detect`: the experiments of docs/detection.md. */
#include "cli/sim/detect/detect.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/sim/sim_commands.h"
#include "cli/sim/sim_options.h"
#include "cli/sim/sim_pool.h"
#include "core/base/mem.h"

/* The options, in the order of the table. */
enum {
    OPTION_SEEDS,
    OPTION_JOBS,
    OPTION_QUICK,
    OPTION_CSV,
    OPTION_SVG,
    OPTION_LATENCY,
};

#define SEEDS_OF_CELL_MAX 10000

/* A measurement larger than this is none of ours. */
#define LATENCY_FILE_BYTES_MAX (1 << 20)

static const struct detect_experiment EXPERIMENTS[] = {
    {"p1", "members that are blocked again and again: false positives", detect_run_p1},
    {"p2", "members that are blocked once: is it called a death, and when", detect_run_p2},
    {"p3", "members without a processor: false positives", detect_run_p3},
    {"p4", "one crash: time to the first detection, and to all", detect_run_p4},
    {"p5", "ten crashes at once, and a rack: views", detect_run_p5},
    {"p6", "one-way loss that comes and goes: views", detect_run_p6},
    {"p7", "heavy loss at some members: views", detect_run_p7},
    {"p8", "joins under loss: who sees whom", detect_run_p8},
    {"p9", "detectors on traces of heartbeats: mistakes against detection time", detect_run_p9},
    {"p10", "how high and low watermarks decide what is cut together", detect_run_p10},
    {"p11", "gray failures: time to degraded, and mistakes", detect_run_p11},
    {"p12", "load of each host, steady and with crashes", detect_run_p12},
    {"loss", "loss everywhere: who is wronged, and one crash", detect_run_loss},
    {"peers", "the model of memberlist, in the cells that bench/peers runs it in",
     detect_run_peers},
};

uint32_t detect_seeds(const struct detect_call *call, uint32_t full, uint32_t quick)
{
    return call->seeds > 0 ? call->seeds : call->is_quick ? quick : full;
}

void detect_figure(const char *name, double value, const char *unit)
{
    (void)printf("%s: %.6g %s\n", name, value, unit);
}

static int name_order(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* One slice from the file at `path`; a file that is none is left out, and said; one that cannot be
 * read is an error. */
static bool add_slice(struct lablatency *latency, const char *path)
{
    static uint8_t text[LATENCY_FILE_BYTES_MAX];
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        (void)fprintf(stderr, "novacron-sim detect: %s: %s\n", path, strerror(errno));
        return false;
    }
    size_t len = fread(text, 1, sizeof text, f);
    bool is_bad = ferror(f) != 0;
    (void)fclose(f);
    if (is_bad) {
        (void)fprintf(stderr, "novacron-sim detect: %s: it cannot be read\n", path);
        return false;
    }
    if (lablatency_add(latency, (struct bytes){text, len}) != OK) {
        (void)fprintf(stderr, "novacron-sim detect: %s: left out: no square of seconds\n", path);
    }
    return true;
}

/* All measurements of a directory, in the order of their names. */
static bool read_latencies(const char *dir, struct lablatency *latency)
{
    struct dirent **names = NULL;
    char path[4096];
    bool is_good = true;

    int count = scandir(dir, &names, NULL, NULL);
    if (count < 0) {
        (void)fprintf(stderr, "novacron-sim detect: %s: %s\n", dir, strerror(errno));
        return false;
    }
    char **texts = mem_alloc((size_t)count * sizeof *texts + 1);
    for (int i = 0; i < count; i++) {
        texts[i] = names[i]->d_name;
    }
    qsort(texts, (size_t)count, sizeof *texts, name_order);
    for (int i = 0; i < count && is_good; i++) {
        size_t len = strlen(texts[i]);
        if (len > 4 && strcmp(texts[i] + len - 4, ".txt") == 0) {
            (void)snprintf(path, sizeof path, "%s/%s", dir, texts[i]);
            is_good = add_slice(latency, path);
        }
    }
    for (int i = 0; i < count; i++) {
        free(names[i]);
    }
    free(names);
    mem_free(texts);
    if (is_good && latency->slices == 0) {
        (void)fprintf(stderr,
                      "novacron-sim detect: %s: no file NAME.txt in it is a square of round-trip "
                      "times in seconds\n",
                      dir);
        return false;
    }
    return is_good;
}

static bool open_output(const char *path, FILE **ret)
{
    if (path == NULL) {
        return true;
    }
    *ret = fopen(path, "w");
    if (*ret == NULL) {
        (void)fprintf(stderr, "novacron-sim detect: %s: %s\n", path, strerror(errno));
    }
    return *ret != NULL;
}

static bool close_output(const char *path, FILE *f)
{
    if (f != NULL && fclose(f) != 0) {
        (void)fprintf(stderr, "novacron-sim detect: %s: %s\n", path, strerror(errno));
        return false;
    }
    return true;
}

static const struct detect_experiment *find_experiment(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(EXPERIMENTS); i++) {
        if (strcmp(EXPERIMENTS[i].name, name) == 0) {
            return &EXPERIMENTS[i];
        }
    }
    (void)fprintf(stderr, "novacron-sim detect: there is no experiment %s; these are:\n", name);
    for (size_t i = 0; i < COUNT_OF(EXPERIMENTS); i++) {
        (void)fprintf(stderr, "  %-6s %s\n", EXPERIMENTS[i].name, EXPERIMENTS[i].summary);
    }
    return NULL;
}

enum cli_exit cmd_detect(const struct cli_call *call)
{
    const struct detect_experiment *experiment = find_experiment(call->arguments[0]);
    struct lablatency latency = {0};
    uint64_t seeds = 0;
    uint64_t jobs = sim_option_cores();

    if (experiment == NULL ||
        !sim_option_number("detect", "--seeds", call->options[OPTION_SEEDS], 1, SEEDS_OF_CELL_MAX,
                           &seeds) ||
        !sim_option_number("detect", "--jobs", call->options[OPTION_JOBS], 1, SIM_JOBS_MAX,
                           &jobs)) {
        return CLI_USAGE;
    }
    struct detect_call detect = {.experiment = experiment->name,
                                 .is_quick = call->options[OPTION_QUICK] != NULL,
                                 .seeds = (uint32_t)seeds,
                                 .jobs = (uint32_t)jobs};
    bool is_good = true;
    if (call->options[OPTION_LATENCY] != NULL) {
        is_good = read_latencies(call->options[OPTION_LATENCY], &latency);
        detect.latency = &latency;
    }
    is_good = is_good && open_output(call->options[OPTION_CSV], &detect.csv) &&
              open_output(call->options[OPTION_SVG], &detect.svg);
    enum cli_exit status = CLI_UNREADABLE;
    if (is_good) {
        status = experiment->run(&detect) ? CLI_OK : CLI_DAMAGED;
    }
    bool is_written = close_output(call->options[OPTION_CSV], detect.csv);
    is_written = close_output(call->options[OPTION_SVG], detect.svg) && is_written;
    lablatency_deinit(&latency);
    return is_written ? status : CLI_UNREADABLE;
}
