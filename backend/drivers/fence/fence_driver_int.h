/*
 * Private to the fence driver.
 *
 *     fence_driver.c    life, the table's operations, configuring
 *     fence_device.c    a device: its queue, and the chain of runs of a request
 *     fence_agent.c     an agent's metadata
 *     fence_run.c       one run of an agent
 *
 * Answers are not given where they become known, but from a timer of the driver's (fence_answer):
 * so no completion runs inside a call of the caller's, and none of ours is on the stack when the
 * caller submits, configures or removes within `done`.
 */
#ifndef NOVACRON_DRIVERS_FENCE_FENCE_DRIVER_INT_H
#define NOVACRON_DRIVERS_FENCE_FENCE_DRIVER_INT_H

#include "drivers/fence/fence_driver.h"
#include "drivers/fence/fence_verdict.h"

/* What is kept of each output of a run that does not read metadata, in bytes. */
#define FENCE_SAYS_BYTES 4096

/* No run takes longer, where a request has all the time in the world. */
#define FENCE_RUN_MAX (120 * NANOS_PER_S)

/* One run of an agent, and the memory for it. */
struct fence_run {
    struct fence_driver *driver;
    struct world_command_request request;
    char path[FENCE_AGENT_MAX_BYTES];
    const char *arguments[2];
    struct buf input;
    uint8_t *output; /* owned, output_bytes */
    size_t output_bytes;
    uint8_t errors[FENCE_SAYS_BYTES];
    bool is_under_way;
    void (*ended)(struct fence_run *run);
    void *owner;
};

/* The program of one or more devices. */
struct fence_agent {
    struct fence_agent *next;
    struct fence_driver *driver;
    char path[FENCE_AGENT_MAX_BYTES];
    uint32_t references; /* of setups, and one while it is read */
    uint64_t reads;      /* how often its metadata was read, with success or without */
    bool is_known;
    struct fence_metadata metadata; /* if it is known */
    char why[FENCE_WHY_MAX_BYTES];  /* why the last reading failed; empty: it did not */
    struct fence_run run;
};

/* A device's configuration. The strings of `params` lie in `bytes`. */
struct fence_setup {
    struct fence_agent *agent;
    struct fence_param *params; /* owned */
    size_t param_count;
    char *bytes; /* owned; wiped */
    size_t byte_count;
};

enum fence_step {
    FENCE_IDLE,
    FENCE_ASKING,    /* STATUS */
    FENCE_BEFORE,    /* STATUS, to see whether the device says on */
    FENCE_SWITCHING, /* OFF or ON */
    FENCE_READING,   /* STATUS, after it */
    FENCE_PAUSING    /* until it is read again */
};

struct fence_device {
    struct fence_device *next;
    struct fence_driver *driver;
    char name[WORLD_NAME_MAX_BYTES];
    struct fence_setup *setup; /* owned */
    enum fence_device_state state;
    bool is_agents_fault; /* BROKEN, because nothing is known of the agent */
    bool is_seen_on;
    bool is_gone;          /* removed; freed when its run has ended */
    bool is_stale;         /* its run is on another configuration, or its request was answered */
    uint64_t reads_before; /* agent->reads when it was configured */
    uint64_t runs;
    char why[FENCE_WHY_MAX_BYTES];
    struct world_power_request *first; /* the one under way is the first */
    struct world_power_request **end;
    struct world_timer deadline; /* the earliest of its requests */
    enum fence_step step;        /* of the first */
    enum err switched;
    nanos pause_span;
    nanos off_read_at; /* when the last switch was read back as off; 0: nothing since was */
    struct world_timer pause;
    struct fence_run run;
};

struct fence_driver {
    const struct world *world;
    const struct world_command_ops *commands;
    void *commands_self;
    struct fence_listener listener;
    struct fence_device *devices; /* removed ones too, while they run */
    struct fence_agent *agents;
    uint32_t device_count; /* without removed ones */
    uint32_t running;
    struct world_power_request *answered;
    struct world_power_request **answered_end;
    struct world_timer answer;
};

/* --- fence_driver.c -------------------------------------------------------------------------- */

/* The answer leaves soon. */
void fence_answer(struct fence_driver *d, struct world_power_request *request, enum err result,
                  enum world_power_state state);
void fence_tell(struct fence_driver *d, const char *device, enum fence_news news, const char *why);
void fence_setup_free(struct fence_setup *setup);

/* --- fence_device.c -------------------------------------------------------------------------- */

struct fence_device *fence_device_new(struct fence_driver *d, const char *name);
void fence_device_free(struct fence_device *dev);
/* Takes the setup. */
void fence_device_configure(struct fence_device *dev, struct fence_setup *setup, bool is_seen_on);
/* Its requests are ERR_NOT_FOUND; it is freed, now or later. */
void fence_device_drop(struct fence_device *dev);
void fence_device_take(struct fence_device *dev, struct world_power_request *request);
/* Its agent was read. */
void fence_device_check(struct fence_device *dev);

/* --- fence_agent.c --------------------------------------------------------------------------- */

/* With a reference. */
struct fence_agent *fence_agent_of(struct fence_driver *d, const char *path);
void fence_agent_release(struct fence_agent *agent);
/* Devices that are CHECKING are told when it is done. */
void fence_agent_read(struct fence_agent *agent);

/* --- fence_run.c ----------------------------------------------------------------------------- */

void fence_run_init(struct fence_run *run, struct fence_driver *d, size_t output_bytes,
                    void (*ended)(struct fence_run *run), void *owner);
void fence_run_deinit(struct fence_run *run);
/* What `run->input` holds goes to the program. */
void fence_run_start(struct fence_run *run, const char *path, nanos deadline);
/* How it ended, and the last line that it wrote among its errors, without secrets. */
void fence_run_describe(const struct fence_run *run, const struct fence_setup *setup, char *why,
                        size_t why_bytes);

#endif
