/* An agent's metadata: read by running it, and kept for all devices that it works. */
#include <stdio.h>
#include <string.h>

#include "core/base/mem.h"
#include "drivers/fence/fence_driver_int.h"

static enum err metadata_take(struct fence_agent *agent, const struct fence_run *run)
{
    const struct world_command_request *request = &run->request;
    const struct fence_setup nothing = {.agent = agent};
    struct fence_metadata metadata;
    char flaw[FENCE_WHY_MAX_BYTES / 2];

    if (request->result != OK || request->end != WORLD_COMMAND_EXITED || request->status != 0) {
        fence_run_describe(run, &nothing, agent->why, sizeof agent->why);
        return ERR_IO;
    }
    if (request->output.total > request->output.kept) {
        (void)snprintf(agent->why, sizeof agent->why, "%s: metadata longer than %d bytes",
                       agent->path, FENCE_METADATA_MAX_BYTES);
        return ERR_TOO_LARGE;
    }
    enum err e = fence_metadata_decode((struct bytes){run->output, request->output.kept}, &metadata,
                                       flaw, sizeof flaw);
    if (e != OK) {
        (void)snprintf(agent->why, sizeof agent->why, "%s: metadata: %s", agent->path, flaw);
        return e;
    }
    if (agent->is_known) {
        fence_metadata_deinit(&agent->metadata);
    }
    agent->metadata = metadata;
    agent->is_known = true;
    return OK;
}

/* What was known before stays, where it cannot be read any more. */
static void metadata_read(struct fence_run *run)
{
    struct fence_agent *agent = run->owner;

    agent->reads++;
    agent->why[0] = '\0';
    (void)metadata_take(agent, run);
    for (struct fence_device *dev = agent->driver->devices; dev != NULL; dev = dev->next) {
        if (!dev->is_gone && dev->setup->agent == agent && dev->state == FENCE_CHECKING) {
            fence_device_check(dev);
        }
    }
    fence_agent_release(agent);
}

struct fence_agent *fence_agent_of(struct fence_driver *d, const char *path)
{
    struct fence_agent *agent = d->agents;

    while (agent != NULL && strcmp(agent->path, path) != 0) {
        agent = agent->next;
    }
    if (agent == NULL) {
        agent = mem_alloc_zero(sizeof *agent);
        agent->driver = d;
        memcpy(agent->path, path, strlen(path) + 1);
        fence_run_init(&agent->run, d, FENCE_METADATA_MAX_BYTES, metadata_read, agent);
        agent->next = d->agents;
        d->agents = agent;
    }
    agent->references++;
    return agent;
}

void fence_agent_release(struct fence_agent *agent)
{
    struct fence_agent **at = &agent->driver->agents;

    if (--agent->references > 0) {
        return;
    }
    while (*at != agent) {
        at = &(*at)->next;
    }
    *at = agent->next;
    fence_run_deinit(&agent->run);
    if (agent->is_known) {
        fence_metadata_deinit(&agent->metadata);
    }
    mem_free(agent);
}

void fence_agent_read(struct fence_agent *agent)
{
    struct fence_run *run = &agent->run;

    if (run->is_under_way) {
        return;
    }
    agent->references++;
    fence_params_write(NULL, NULL, 0, FENCE_METADATA, &run->input);
    fence_run_start(run, agent->path,
                    u64_add_sat(world_now(agent->driver->world), FENCE_METADATA_TIMEOUT));
}
