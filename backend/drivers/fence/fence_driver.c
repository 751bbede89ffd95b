#include "drivers/fence/fence_driver.h"

#include <stdio.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "drivers/fence/fence_driver_int.h"

/* Where agents are that are named without a path. */
#define AGENTS_FOLDER "/usr/sbin/"

/* --- answers and news ------------------------------------------------------------------------- */

static void answers_leave(struct world_timer *timer)
{
    struct fence_driver *d = timer->owner;
    struct world_power_request *last = NULL;

    for (struct world_power_request *at = d->answered; at != NULL; at = at->next) {
        last = at;
    }
    /* Not what is answered by what `done` does. */
    for (bool is_last = false; !is_last && d->answered != NULL;) {
        struct world_power_request *request = d->answered;
        is_last = request == last;
        d->answered = request->next;
        if (d->answered == NULL) {
            d->answered_end = &d->answered;
        }
        request->done(request);
    }
    if (d->answered != NULL && !timer->is_set) {
        world_timer_set(d->world, timer, world_now(d->world));
    }
}

void fence_answer(struct fence_driver *d, struct world_power_request *request, enum err result,
                  enum world_power_state state)
{
    request->result = result;
    request->state = result == OK ? state : WORLD_POWER_UNKNOWN;
    request->next = NULL;
    *d->answered_end = request;
    d->answered_end = &request->next;
    if (!d->answer.is_set) {
        world_timer_set(d->world, &d->answer, world_now(d->world));
    }
}

void fence_tell(struct fence_driver *d, const char *device, enum fence_news news, const char *why)
{
    if (d->listener.told != NULL) {
        d->listener.told(d->listener.ctx, device, news, why);
    }
}

/* --- life ------------------------------------------------------------------------------------- */

struct fence_driver *fence_driver_open(const struct world *w,
                                       const struct world_command_ops *commands,
                                       void *commands_self, const struct fence_listener *listener)
{
    struct fence_driver *d = mem_alloc_zero(sizeof *d);

    d->world = w;
    d->commands = commands;
    d->commands_self = commands_self;
    d->answered_end = &d->answered;
    d->answer = (struct world_timer){.fire = answers_leave, .owner = d};
    if (listener != NULL) {
        d->listener = *listener;
    }
    return d;
}

void fence_driver_close(struct fence_driver *d)
{
    while (d->devices != NULL) {
        fence_device_free(d->devices);
    }
    while (d->agents != NULL) { /* whose reading was forgotten */
        fence_agent_release(d->agents);
    }
    world_timer_cancel(d->world, &d->answer);
    mem_free(d);
}

bool fence_driver_is_idle(const struct fence_driver *d)
{
    return d->running == 0;
}

/* --- configuring ------------------------------------------------------------------------------ */

static struct fence_device *driver_find(const struct fence_driver *d, const char *name)
{
    struct fence_device *dev = d->devices;

    while (dev != NULL && (dev->is_gone || strcmp(dev->name, name) != 0)) {
        dev = dev->next;
    }
    return dev;
}

static bool path_of_agent(const char *agent, char *ret, size_t room)
{
    bool is_path = agent[0] == '/';
    int n = snprintf(ret, room, "%s%s", is_path ? "" : AGENTS_FOLDER, agent);

    return agent[0] != '\0' && n > 0 && (size_t)n < room && (is_path || strchr(agent, '/') == NULL);
}

void fence_setup_free(struct fence_setup *setup)
{
    fence_agent_release(setup->agent);
    if (setup->byte_count > 0) {
        explicit_bzero(setup->bytes, setup->byte_count);
    }
    mem_free(setup->bytes);
    mem_free(setup->params);
    mem_free(setup);
}

static const char *setup_copy(struct fence_setup *setup, const char *text)
{
    size_t n = strlen(text) + 1;
    char *at = setup->bytes + setup->byte_count;

    memcpy(at, text, n);
    setup->byte_count += n;
    return at;
}

static struct fence_setup *setup_new(struct fence_driver *d, const char *path,
                                     const struct fence_device_config *config)
{
    struct fence_setup *setup = mem_alloc_zero(sizeof *setup);
    size_t bytes = 0;

    for (size_t i = 0; i < config->param_count; i++) {
        bytes += strlen(config->params[i].name) + strlen(config->params[i].value) + 2;
    }
    setup->bytes = mem_alloc(bytes);
    setup->params = mem_realloc_array(NULL, config->param_count + 1, sizeof *setup->params);
    setup->param_count = config->param_count;
    for (size_t i = 0; i < config->param_count; i++) {
        setup->params[i].name = setup_copy(setup, config->params[i].name);
        setup->params[i].value = setup_copy(setup, config->params[i].value);
    }
    setup->agent = fence_agent_of(d, path);
    return setup;
}

static bool setup_has(const struct fence_setup *setup, const struct fence_param *param)
{
    for (size_t i = 0; i < setup->param_count; i++) {
        if (strcmp(setup->params[i].name, param->name) == 0) {
            return strcmp(setup->params[i].value, param->value) == 0;
        }
    }
    return false;
}

/* In whatever order. Names are there once. */
static bool is_setup_so(const struct fence_setup *setup, const char *path,
                        const struct fence_device_config *config)
{
    bool is_so = strcmp(setup->agent->path, path) == 0 && setup->param_count == config->param_count;

    for (size_t i = 0; is_so && i < config->param_count; i++) {
        is_so = setup_has(setup, &config->params[i]);
    }
    return is_so;
}

enum err fence_driver_set(struct fence_driver *d, const struct fence_device_config *config,
                          char *why, size_t why_bytes)
{
    struct fence_device *dev = driver_find(d, config->name);
    char path[FENCE_AGENT_MAX_BYTES];

    if (config->name[0] == '\0' || strlen(config->name) >= WORLD_NAME_MAX_BYTES) {
        (void)snprintf(why, why_bytes, "a device's name has 1 to %d bytes",
                       WORLD_NAME_MAX_BYTES - 1);
        return ERR_INVALID;
    }
    if (!path_of_agent(config->agent, path, sizeof path)) {
        (void)snprintf(why, why_bytes,
                       "an agent is an absolute path, or a name of a program in " AGENTS_FOLDER);
        return ERR_INVALID;
    }
    TRY(fence_params_check(config->params, config->param_count, why, why_bytes));
    if (dev != NULL && is_setup_so(dev->setup, path, config)) {
        dev->is_seen_on |= config->is_seen_on;
        return OK;
    }
    if (dev == NULL && d->device_count == FENCE_DEVICES_MAX) {
        (void)snprintf(why, why_bytes, "there are %d devices already", FENCE_DEVICES_MAX);
        return ERR_BUSY;
    }
    if (dev == NULL) {
        dev = fence_device_new(d, config->name);
    }
    fence_device_configure(dev, setup_new(d, path, config), config->is_seen_on);
    return OK;
}

enum err fence_driver_remove(struct fence_driver *d, const char *name)
{
    struct fence_device *dev = driver_find(d, name);

    if (dev == NULL) {
        return ERR_NOT_FOUND;
    }
    fence_device_drop(dev);
    return OK;
}

enum err fence_driver_report(const struct fence_driver *d, const char *name,
                             struct fence_device_report *ret)
{
    const struct fence_device *dev = driver_find(d, name);

    if (dev == NULL) {
        return ERR_NOT_FOUND;
    }
    ret->state = dev->state;
    ret->is_seen_on = dev->is_seen_on;
    ret->runs = dev->runs;
    memcpy(ret->why, dev->why, sizeof ret->why);
    return OK;
}

/* --- the table -------------------------------------------------------------------------------- */

static void fence_submit(void *self, struct world_power_request *request)
{
    struct fence_driver *d = self;

    CHECK(request->op < WORLD_POWER_OPS && request->done != NULL);
    struct fence_device *dev = driver_find(d, request->device);
    if (dev == NULL) {
        fence_answer(d, request, ERR_NOT_FOUND, WORLD_POWER_UNKNOWN);
    } else {
        fence_device_take(dev, request);
    }
}

const struct world_power_ops fence_power_ops = {.submit = fence_submit};
