/*
 * drivers/fence: the power of other machines, through the fence agents of the field.
 *
 * What lives here: the driver that fills world_power_ops of core/world/world.h (fence_driver.c,
 * fence_device.c); what an agent says of itself (fence_metadata.h); the parameters of a device
 * (fence_params.h); what the run of an agent proves (fence_verdict.h). Who may call it: the daemon,
 * which configures devices and plugs the driver into its world.
 *
 * AN AGENT is a program of the fence-agents project, or any other that keeps to its API
 * (FenceAgentAPI): it reads `key=value` lines, does one action, and ends. It is run through
 * world_command_ops, thus in a group of its own which is killed at our deadline, whatever it has
 * started and whatever signals it ignores; and without any of our environment.
 *
 * A REQUEST TO SWITCH is a chain of runs, judged by fence_verdict.h. The first run has half of what
 * is left until the deadline, so that a command whose answer is lost still is read back:
 *
 *              never seen on                                 not as wanted yet: pause
 *     OFF  --------------------> STATUS ----> OFF ----> STATUS <----------'
 *          --------------------------------->   |          |
 *                seen on                        `----------`--> done, failed, or the deadline
 *
 * So OK means that the device was read back as off, by a run of its own after the switch, and that
 * it is known to be able to say on. STATUS is one run; but whoever asks at once after an OFF that
 * was OK, as a fence does, is told what that reading said: it is not FENCE_READING_GOOD old.
 *
 * A DEVICE:
 *                    metadata read, parameters fit
 *     CHECKING -------------------------------------> READY
 *        |  ^                                           |
 *        |  | the next request                          | is configured otherwise
 *        v  | (where the agent could not be read)       v
 *      BROKEN: all requests are ERR_INVALID          CHECKING
 *
 * While a device is CHECKING, requests wait, and their deadlines count. Metadata is kept by agent,
 * and read anew where parameters do not fit what is kept, since agents are upgraded.
 *
 * What a device is told to do while it is configured otherwise, or removed, is not known, so the
 * request that is under way ends with ERR_NOT_FOUND (removed), or starts over on the new
 * configuration, once its present run has ended.
 */
#ifndef NOVACRON_DRIVERS_FENCE_FENCE_DRIVER_H
#define NOVACRON_DRIVERS_FENCE_FENCE_DRIVER_H

#include "core/world/world.h"
#include "drivers/fence/fence_params.h"

/* Devices of one driver, at most. */
#define FENCE_DEVICES_MAX 1024

/* The longest path of an agent, with its final zero. */
#define FENCE_AGENT_MAX_BYTES 128

/* Reading an agent's metadata: an interpreter has to start, on a host that may be busy. */
#define FENCE_METADATA_TIMEOUT (20 * NANOS_PER_S)

/* Between two readings of the power: the first, and how long it gets by doubling. */
#define FENCE_PAUSE_FIRST (50 * NANOS_PER_MS)
#define FENCE_PAUSE_MAX   (500 * NANOS_PER_MS)

/* An agent takes as long to start: a further reading would be no newer in any way that counts. */
#define FENCE_READING_GOOD (100 * NANOS_PER_MS)

struct fence_driver; /* opaque */

/* All of it is copied. */
struct fence_device_config {
    const char *name;  /* of the device, shorter than WORLD_NAME_MAX_BYTES */
    const char *agent; /* a path, or a program's name in /usr/sbin */
    const struct fence_param *params;
    size_t param_count;
    /* Somebody remembers that this device, so configured, has been seen on. */
    bool is_seen_on;
};

enum fence_news {
    FENCE_NEWS_READY,
    FENCE_NEWS_BROKEN,
    FENCE_NEWS_SEEN_ON, /* for the first time: worth remembering with the configuration */
    FENCE_NEWS_FAILED   /* a request did */
};

/* Is told of devices, in words for a log, without secrets. Strings are borrowed for the call, in
 * which the driver must not be called. */
struct fence_listener {
    void (*told)(void *ctx, const char *device, enum fence_news news, const char *why);
    void *ctx;
};

/* Runs agents through `commands`, which should be nobody else's: a fence must not wait behind a
 * probe. The world and `commands` stay in place until the driver is closed. `listener` is copied,
 * and may be NULL. */
struct fence_driver *fence_driver_open(const struct world *w,
                                       const struct world_command_ops *commands,
                                       void *commands_self, const struct fence_listener *listener);

/* After the world was closed, or once nothing runs (fence_driver_is_idle). Requests are forgotten.
 */
void fence_driver_close(struct fence_driver *d);

/* No agent runs. */
bool fence_driver_is_idle(const struct fence_driver *d);

/* With a struct fence_driver as `self`. */
extern const struct world_power_ops fence_power_ops;

/* Configures a device, anew where it exists; nothing happens where it is so already. ERR_INVALID:
 * `why` says which parameters are wrong, as far as that can be told without the agent; what the
 * agent has to say is told to the listener, later. ERR_BUSY: FENCE_DEVICES_MAX. */
MUST_USE enum err fence_driver_set(struct fence_driver *d, const struct fence_device_config *config,
                                   char *why, size_t why_bytes);

/* ERR_NOT_FOUND: there was none. */
MUST_USE enum err fence_driver_remove(struct fence_driver *d, const char *name);

enum fence_device_state { FENCE_CHECKING, FENCE_READY, FENCE_BROKEN };

struct fence_device_report {
    enum fence_device_state state;
    bool is_seen_on;
    uint64_t runs; /* of its agent, but for metadata */
    /* Why it is broken, or the last failure; empty: nothing to say. */
    char why[FENCE_WHY_MAX_BYTES];
};

MUST_USE enum err fence_driver_report(const struct fence_driver *d, const char *name,
                                      struct fence_device_report *ret);

#endif
