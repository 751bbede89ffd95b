/*
 * A bench for the fence driver: virtual time, and agents that are functions. Each run of an agent
 * is noted, and ends after a while as the agent says, or hangs until it is killed.
 */
#ifndef NOVACRON_TESTS_DRIVERS_FENCE_FENCE_BENCH_H
#define NOVACRON_TESTS_DRIVERS_FENCE_FENCE_BENCH_H

#include "core/chaos/simworld.h"
#include "drivers/fence/fence_driver.h"

#define BENCH_RUNS_MAX  256
#define BENCH_INPUT_MAX 1024
#define BENCH_REPORTS   64
#define BENCH_DEVICE    "bmc-b"
#define BENCH_AGENT     "/agents/fence_model"
#define BENCH_LATENCY   (100 * NANOS_PER_MS)
#define BENCH_FOR_EVER  NANOS_FOREVER

/* The machine behind the agent, and how the two fail. Zeroed but for is_on: they work. */
struct bench_model {
    bool is_on;
    bool obeys_not;       /* commands succeed and change nothing */
    bool is_unread;       /* "off" is all that is ever said, as of a file that cannot be read */
    bool says_no_words;   /* exit status alone */
    nanos latency;        /* of each run; 0: BENCH_LATENCY */
    nanos switch_lag;     /* from the end of a command to the power */
    nanos switch_latency; /* of commands; BENCH_FOR_EVER: they hang, and do their work */
    nanos status_latency; /* likewise */
    int switch_exit;      /* what commands exit with, having done their work */
    int switch_refuses;   /* likewise, having done nothing */
    int status_exit;      /* what status exits with instead of an answer */
    enum err run_result;  /* of all runs: the program is not to be had */
    enum err metadata_result;
    int metadata_exit;
    const char *errors; /* what it writes there */
};

struct bench_run {
    char path[FENCE_AGENT_MAX_BYTES];
    char input[BENCH_INPUT_MAX];
    nanos begun;
    nanos deadline;
};

struct bench_news {
    enum fence_news news;
    char device[WORLD_NAME_MAX_BYTES];
    char why[FENCE_WHY_MAX_BYTES];
};

struct fence_bench {
    struct simworld *sim;
    const struct world *world;
    struct fence_driver *driver;
    struct bench_model model;
    const char *metadata;
    struct bench_run runs[BENCH_RUNS_MAX];
    size_t run_count;
    size_t at_once; /* runs of the model, now, but for metadata */
    size_t at_once_max;
    struct bench_news news[BENCH_REPORTS];
    size_t news_count;
};

/* With a driver and no device. The model is on. */
void bench_open(struct fence_bench *b);
void bench_end(struct fence_bench *b);

/* BENCH_DEVICE with an address and a password, checked. */
void bench_configure(struct fence_bench *b);

/* Time passes. */
void bench_pass(struct fence_bench *b, nanos span);

struct bench_order {
    struct world_power_request request;
    struct fence_bench *bench;
    bool is_done;
    nanos at;
};

void bench_send(struct bench_order *order, struct fence_bench *b, enum world_power_op op,
                const char *device, nanos patience);

/* Sends it and waits; the answer comes by the deadline. */
struct bench_order bench_ask(struct fence_bench *b, enum world_power_op op, nanos patience);

/* How many runs had this line in their input. */
size_t bench_runs_of(const struct fence_bench *b, const char *line);

size_t bench_news_of(const struct fence_bench *b, enum fence_news news);

/* Metadata that has what fence_ipmilan has. */
extern const char bench_metadata[];

#endif
