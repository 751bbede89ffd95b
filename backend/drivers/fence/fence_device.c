/* A device: its queue of requests, its configuration, and the chain of runs of a request. */
#include <stdio.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "drivers/fence/fence_driver_int.h"

static void device_proceed(struct fence_device *dev);

/* --- the queue -------------------------------------------------------------------------------- */

static void arm_deadline(struct fence_device *dev)
{
    nanos earliest = NANOS_FOREVER;

    for (const struct world_power_request *at = dev->first; at != NULL; at = at->next) {
        earliest = u64_min(earliest, at->deadline);
    }
    if (earliest == NANOS_FOREVER) {
        world_timer_cancel(dev->driver->world, &dev->deadline);
    } else {
        world_timer_set(dev->driver->world, &dev->deadline, earliest);
    }
}

/* Out of the queue and answered; the runs of the first go on to nobody. */
static void queue_answer(struct fence_device *dev, struct world_power_request **at, enum err result,
                         enum world_power_state state)
{
    struct world_power_request *request = *at;

    if (at == &dev->first) {
        dev->step = FENCE_IDLE;
        dev->is_stale = dev->run.is_under_way;
        world_timer_cancel(dev->driver->world, &dev->pause);
    }
    *at = request->next;
    if (dev->end == &request->next) {
        dev->end = at;
    }
    fence_answer(dev->driver, request, result, state);
}

static void answer_first(struct fence_device *dev, enum err result, enum world_power_state state)
{
    static const char *const names[] = {"status", "off", "on"};
    char why[FENCE_WHY_MAX_BYTES + 64];

    if (result != OK) {
        (void)snprintf(why, sizeof why, "%s: %s%s%s", names[dev->first->op], err_text(result),
                       dev->why[0] != '\0' ? ": " : "", dev->why);
        fence_tell(dev->driver, dev->name, FENCE_NEWS_FAILED, why);
    }
    queue_answer(dev, &dev->first, result, state);
    arm_deadline(dev);
}

static void answer_all(struct fence_device *dev, enum err result)
{
    while (dev->first != NULL) {
        answer_first(dev, result, WORLD_POWER_UNKNOWN);
    }
}

static void device_late(struct world_timer *timer)
{
    struct fence_device *dev = timer->owner;
    nanos now = world_now(dev->driver->world);

    for (struct world_power_request **at = &dev->first; *at != NULL;) {
        if ((*at)->deadline > now) {
            at = &(*at)->next;
        } else if (at == &dev->first) {
            answer_first(dev, ERR_TIMEOUT, WORLD_POWER_UNKNOWN);
        } else {
            queue_answer(dev, at, ERR_TIMEOUT, WORLD_POWER_UNKNOWN);
        }
    }
    arm_deadline(dev);
    device_proceed(dev);
}

void fence_device_take(struct fence_device *dev, struct world_power_request *request)
{
    request->next = NULL;
    *dev->end = request;
    dev->end = &request->next;
    arm_deadline(dev);
    if (dev->state == FENCE_BROKEN && dev->is_agents_fault) {
        dev->state = FENCE_CHECKING; /* it may have been mended */
        fence_agent_read(dev->setup->agent);
    }
    device_proceed(dev);
}

/* --- the chain of runs ------------------------------------------------------------------------ */

static void device_run(struct fence_device *dev, enum fence_step step, enum fence_action action,
                       nanos deadline)
{
    struct fence_setup *setup = dev->setup;

    dev->step = step;
    dev->runs++;
    fence_params_write(&setup->agent->metadata, setup->params, setup->param_count, action,
                       &dev->run.input);
    fence_run_start(&dev->run, setup->agent->path, deadline);
}

/* Half of what is left is for reading back. */
static void run_switch(struct fence_device *dev)
{
    const struct world_power_request *request = dev->first;
    nanos now = world_now(dev->driver->world);
    nanos left = u64_sub_sat(request->deadline, now);

    dev->pause_span = FENCE_PAUSE_FIRST;
    dev->off_read_at = 0;
    device_run(dev, FENCE_SWITCHING, request->op == WORLD_POWER_OFF ? FENCE_OFF : FENCE_ON,
               u64_add_sat(now, left / 2));
}

static void begin_first(struct fence_device *dev)
{
    const struct world_power_request *request = dev->first;
    uint32_t actions = dev->setup->agent->metadata.actions;

    nanos now = world_now(dev->driver->world);
    nanos left = u64_sub_sat(request->deadline, now);

    dev->why[0] = '\0';
    dev->switched = OK;
    switch (request->op) {
    case WORLD_POWER_STATUS:
        if (dev->off_read_at != 0 && now < dev->off_read_at + FENCE_READING_GOOD) {
            answer_first(dev, OK, WORLD_POWER_IS_OFF);
            break;
        }
        device_run(dev, FENCE_ASKING, FENCE_STATUS, request->deadline);
        break;
    case WORLD_POWER_OFF:
        if (dev->is_seen_on) {
            run_switch(dev);
        } else {
            device_run(dev, FENCE_BEFORE, FENCE_STATUS, u64_add_sat(now, left / 4));
        }
        break;
    case WORLD_POWER_ON:
        if ((actions & FENCE_ACTION_ON) == 0) {
            answer_first(dev, ERR_UNSUPPORTED, WORLD_POWER_UNKNOWN);
        } else {
            run_switch(dev);
        }
        break;
    case WORLD_POWER_OPS:
        CHECK_UNREACHABLE("an operation");
    }
}

/* Begins what can begin. */
static void device_proceed(struct fence_device *dev)
{
    while (dev->first != NULL && dev->step == FENCE_IDLE && !dev->run.is_under_way) {
        if (dev->state == FENCE_BROKEN) {
            answer_all(dev, ERR_INVALID);
        } else if (dev->state == FENCE_CHECKING) {
            return;
        } else if (dev->first->deadline <= world_now(dev->driver->world)) {
            answer_first(dev, ERR_TIMEOUT, WORLD_POWER_UNKNOWN);
        } else {
            begin_first(dev);
        }
    }
}

static struct fence_reading take_reading(struct fence_device *dev)
{
    struct fence_reading reading = fence_reading_of(&dev->run.request, dev->is_seen_on);

    if (reading.state == WORLD_POWER_IS_ON && !dev->is_seen_on) {
        dev->is_seen_on = true;
        fence_tell(dev->driver, dev->name, FENCE_NEWS_SEEN_ON, "");
    }
    if (reading.result != OK) {
        fence_run_describe(&dev->run, dev->setup, dev->why, sizeof dev->why);
    } else if (reading.why != NULL) {
        (void)snprintf(dev->why, sizeof dev->why, "%s", reading.why);
    } else if (dev->switched == OK) {
        (void)snprintf(dev->why, sizeof dev->why, "the device says %s",
                       reading.state == WORLD_POWER_IS_ON ? "on" : "off");
    }
    return reading;
}

static void read_back(struct fence_device *dev)
{
    device_run(dev, FENCE_READING, FENCE_STATUS, dev->first->deadline);
}

static void pause_over(struct world_timer *timer)
{
    read_back(timer->owner);
}

static void after_reading(struct fence_device *dev)
{
    enum world_power_state wanted =
        dev->first->op == WORLD_POWER_OFF ? WORLD_POWER_IS_OFF : WORLD_POWER_IS_ON;
    char before[FENCE_WHY_MAX_BYTES];
    enum err e = OK;

    memcpy(before, dev->why, sizeof before);
    struct fence_reading reading = take_reading(dev);
    switch (fence_after_reading(wanted, dev->switched, &reading, &e)) {
    case FENCE_DONE:
        dev->off_read_at = wanted == WORLD_POWER_IS_OFF ? world_now(dev->driver->world) : 0;
        answer_first(dev, OK, WORLD_POWER_UNKNOWN);
        break;
    case FENCE_AGAIN:
        dev->step = FENCE_PAUSING;
        world_timer_set(dev->driver->world, &dev->pause,
                        u64_add_sat(world_now(dev->driver->world), dev->pause_span));
        dev->pause_span = u64_min(2 * dev->pause_span, FENCE_PAUSE_MAX);
        break;
    case FENCE_FAILED:
        if (!reading.is_unproven) { /* the switch's own words say more */
            memcpy(dev->why, before, sizeof before);
        }
        answer_first(dev, e, WORLD_POWER_UNKNOWN);
        break;
    }
}

static void after_run(struct fence_device *dev)
{
    struct fence_reading reading;

    switch (dev->step) {
    case FENCE_ASKING:
        reading = take_reading(dev);
        answer_first(dev, reading.result, reading.state);
        break;
    case FENCE_BEFORE:
        (void)take_reading(dev);
        run_switch(dev);
        break;
    case FENCE_SWITCHING:
        dev->switched = fence_result_of(&dev->run.request);
        if (dev->switched != OK) {
            fence_run_describe(&dev->run, dev->setup, dev->why, sizeof dev->why);
        }
        read_back(dev);
        break;
    case FENCE_READING:
        after_reading(dev);
        break;
    case FENCE_IDLE:
    case FENCE_PAUSING:
        CHECK_UNREACHABLE("nothing runs in these steps");
    }
}

static void device_ran(struct fence_run *run)
{
    struct fence_device *dev = run->owner;

    if (dev->is_gone) {
        fence_device_free(dev);
        return;
    }
    if (dev->is_stale) {
        dev->is_stale = false;
        dev->step = FENCE_IDLE;
    } else {
        after_run(dev);
    }
    device_proceed(dev);
}

/* --- life and configuration ------------------------------------------------------------------- */

struct fence_device *fence_device_new(struct fence_driver *d, const char *name)
{
    struct fence_device *dev = mem_alloc_zero(sizeof *dev);

    dev->driver = d;
    memcpy(dev->name, name, strlen(name) + 1);
    dev->end = &dev->first;
    dev->deadline = (struct world_timer){.fire = device_late, .owner = dev};
    dev->pause = (struct world_timer){.fire = pause_over, .owner = dev};
    fence_run_init(&dev->run, d, FENCE_SAYS_BYTES, device_ran, dev);
    dev->next = d->devices;
    d->devices = dev;
    d->device_count++;
    return dev;
}

void fence_device_free(struct fence_device *dev)
{
    struct fence_device **at = &dev->driver->devices;

    while (*at != dev) {
        at = &(*at)->next;
    }
    *at = dev->next;
    world_timer_cancel(dev->driver->world, &dev->deadline);
    world_timer_cancel(dev->driver->world, &dev->pause);
    fence_setup_free(dev->setup);
    fence_run_deinit(&dev->run);
    mem_free(dev);
}

void fence_device_drop(struct fence_device *dev)
{
    (void)snprintf(dev->why, sizeof dev->why, "the device was removed");
    answer_all(dev, ERR_NOT_FOUND);
    dev->driver->device_count--;
    dev->is_gone = true;
    if (!dev->run.is_under_way) {
        fence_device_free(dev);
    }
}

static void check_failed_for(struct fence_device *dev, bool is_agents_fault)
{
    dev->state = FENCE_BROKEN;
    dev->is_agents_fault = is_agents_fault;
    fence_tell(dev->driver, dev->name, FENCE_NEWS_BROKEN, dev->why);
}

void fence_device_check(struct fence_device *dev)
{
    struct fence_setup *setup = dev->setup;
    struct fence_agent *agent = setup->agent;
    bool is_fresh = agent->reads > dev->reads_before;

    if (!agent->is_known && !is_fresh) {
        fence_agent_read(agent);
        return;
    }
    if (!agent->is_known) {
        memcpy(dev->why, agent->why, sizeof dev->why);
        check_failed_for(dev, true);
    } else if (fence_params_fit(&agent->metadata, setup->params, setup->param_count, dev->why,
                                sizeof dev->why) == OK) {
        dev->why[0] = '\0';
        dev->state = FENCE_READY;
        fence_tell(dev->driver, dev->name, FENCE_NEWS_READY, "");
    } else if (is_fresh) {
        check_failed_for(dev, false);
    } else {
        fence_agent_read(agent);
        return;
    }
    device_proceed(dev);
}

void fence_device_configure(struct fence_device *dev, struct fence_setup *setup, bool is_seen_on)
{
    if (dev->setup != NULL) {
        fence_setup_free(dev->setup);
    }
    world_timer_cancel(dev->driver->world, &dev->pause);
    dev->setup = setup;
    dev->step = FENCE_IDLE;
    dev->is_stale = dev->run.is_under_way;
    dev->is_seen_on = is_seen_on;
    dev->off_read_at = 0;
    dev->state = FENCE_CHECKING;
    dev->reads_before = setup->agent->reads;
    dev->why[0] = '\0';
    fence_device_check(dev);
}
