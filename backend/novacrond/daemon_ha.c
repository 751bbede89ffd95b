#include "novacrond/daemon_ha.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "drivers/fence/fence_driver.h"
#include "drivers/guard/guard_client.h"
#include "drivers/qemu/qemu.h"
#include "novacrond/daemon.h"
#include "novacrond/daemon_agent.h"
#include "novacrond/incident_trace.h"
#include "world/linux/linux_command.h"

/* --- what is told ----------------------------------------------------------------------------- */

static void ha_said(void *ctx, enum ha_saying who, const char *what, const char *subject,
                    const char *detail)
{
    static const char *const whose[] = {"agent", "manager", "record"};
    struct daemon *d = ctx;

    LOG_SAY(&d->log, who == HA_SAYS_RECORD ? DAEMON_WARN : DAEMON_INFO, what,
            log_text("by", whose[who]), log_text("of", subject), log_text("detail", detail));
}

/* An incident is closed: it goes to the collector, as one trace, whatever part of calls is
 * recorded. When it was opened is known by the wall clock; it may be longer ago than this host is
 * up. */
static void ha_incident_closed(void *ctx, const struct ha_incident *incident)
{
    struct daemon *d = ctx;
    const struct world *world = linux_world_table(d->lw);
    if (d->otlp == NULL) {
        return;
    }
    nanos ago = world_wall(world) - incident->opened_wall_ms * NANOS_PER_MS;
    struct trace_span *spans = mem_alloc(INCIDENT_SPANS_MAX * sizeof *spans);
    size_t n = incident_trace(incident, world_now(world) - ago, spans);

    for (size_t i = 0; i < n; i++) {
        d->tracer.sink.take(d->tracer.sink.ctx, &spans[i]);
    }
    mem_free(spans);
}

static void ha_fence_told(void *ctx, const char *device, enum fence_news news, const char *why)
{
    static const char *const texts[] = {"fence device is ready", "fence device is broken",
                                        "fence device was seen on", "fence device failed"};
    struct daemon *d = ctx;
    const bool is_bad = news == FENCE_NEWS_BROKEN || news == FENCE_NEWS_FAILED;

    d->ha.fence_failed += is_bad;
    LOG_SAY(&d->log, is_bad ? DAEMON_WARN : DAEMON_INFO, texts[news], log_text("device", device),
            log_text("why", why));
}

static void ha_agent_told(void *ctx, const char *host, const struct world_endpoint *at,
                          const char *how)
{
    struct daemon *d = ctx;

    LOG_SAY(&d->log, DAEMON_INFO, "agent", log_text("host", host), log_text("is", how),
            log_text("at", at->host), log_u64("port", at->port));
}

static void ha_qemu_told(void *ctx, const char *machine, const char *text)
{
    struct daemon *d = ctx;

    LOG_SAY(&d->log, DAEMON_INFO, "machine", log_text("name", machine != NULL ? machine : ""),
            log_text("says", text));
}

/* --- fence devices ---------------------------------------------------------------------------- */

/* Has it been seen on as it is configured now? */
static bool was_seen_on(const struct ha_view *view, const struct ha_sight *sight)
{
    return sight != NULL &&
           sight->revision == ha_view_mod_revision(view, HA_DEVICE, sight->device, NULL);
}

/* Configures the device by its newest record. */
static void configure_device(struct daemon *d, const char *name)
{
    const struct ha_view *view = d->ha.member != NULL ? ha_member_view(d->ha.member) : NULL;
    const struct ha_device *device = view != NULL ? ha_view_device(view, name) : NULL;
    const struct ha_sight *sight = device != NULL ? ha_view_sight(view, name) : NULL;
    struct fence_param params[HA_PARAMETERS_MAX];
    char why[DAEMON_WHY_BYTES] = "";

    if (device == NULL) {
        enum err ignored = fence_driver_remove(d->ha.fence, name);
        (void)ignored; /* nobody knows it either way */
        return;
    }
    for (uint32_t i = 0; i < device->n_parameters; i++) {
        params[i] = (struct fence_param){.name = device->parameters[i].key,
                                         .value = device->parameters[i].value};
    }
    const struct fence_device_config config = {.name = device->name,
                                               .agent = device->agent,
                                               .params = params,
                                               .param_count = device->n_parameters,
                                               .is_seen_on = was_seen_on(view, sight)};
    if (fence_driver_set(d->ha.fence, &config, why, sizeof why) != OK) {
        LOG_SAY(&d->log, DAEMON_WARN, "fence device cannot be configured", log_text("device", name),
                log_text("why", why));
    }
}

static void ha_power_submit(void *self, struct world_power_request *request)
{
    struct daemon *d = self;

    configure_device(d, request->device);
    fence_power_ops.submit(d->ha.fence, request);
}

static const struct world_power_ops ha_power_ops = {.submit = ha_power_submit};

/* --- machines for the guard ------------------------------------------------------------------- */

/* How long the guard, a process of this host, may take to take a machine. */
#define HOLD_PATIENCE (2 * NANOS_PER_S)

/* A machine on its way from the driver to the guard. */
struct ha_hold {
    struct guard_hold hold;
    struct qemu_hold *asked;
};

static void ha_held(struct guard_hold *hold, enum err result)
{
    struct ha_hold *h = hold->owner;
    struct qemu_hold *asked = h->asked;

    mem_free(h);
    asked->held(asked, result);
}

static void ha_hold(void *ctx, struct qemu_hold *asked)
{
    struct daemon *d = ctx;
    struct ha_hold *h = mem_alloc_zero(sizeof *h);

    h->asked = asked;
    h->hold = (struct guard_hold){.held = ha_held,
                                  .name = asked->name,
                                  .epoch = asked->epoch,
                                  .pidfd = asked->pidfd,
                                  .cgroup_kill = -1,
                                  .deadline = daemon_now(d) + HOLD_PATIENCE,
                                  .owner = h};
    guard_client_hold(d->ha.guard, &h->hold);
}

/* A guard that was started anew, of a machine that the one before held. */
static void ha_guard_told(void *ctx, const char *machine, enum err result)
{
    char text[96];

    (void)snprintf(text, sizeof text, "%s%s",
                   result == OK ? "the guard holds it again"
                                : "the guard was started anew, and does not hold it: ",
                   result == OK ? "" : err_text(result));
    ha_qemu_told(ctx, machine, text);
}

/* --- opening ---------------------------------------------------------------------------------- */

static bool open_machines(struct daemon *d, char *why, size_t n)
{
    const struct daemon_machines_settings *s = &d->config->settings->machines;
    struct qemu_config config = {.run_dir = s->run_dir,
                                 .accel = (enum qemu_accel)s->accel,
                                 .move_bind = s->move_address,
                                 .told = ha_qemu_told,
                                 .ctx = d};

    if (s->guard != NULL) {
        d->ha.guard =
            guard_client_open(linux_world_loop(d->lw), linux_world_table(d->lw), s->guard);
        guard_client_listen(d->ha.guard, ha_guard_told, d);
        linux_world_plug_guard(d->lw, &guard_client_ops, d->ha.guard);
        config.guard = (struct qemu_guard){.hold = ha_hold, .ctx = d};
    }
    for (uint32_t i = 0; i < s->folders_count && i < QEMU_FOLDERS_MAX; i++) {
        config.folders[config.folder_count++] = s->folders[i];
    }
    enum err e = qemu_open(linux_world_loop(d->lw), linux_world_table(d->lw), &config, &d->ha.qemu);
    if (e != OK) {
        (void)snprintf(why, n, "machines.run_dir: cannot use %.200s for machines: %s%s", s->run_dir,
                       err_text(e), e == ERR_BUSY ? "; another daemon has it" : "");
        return false;
    }
    linux_world_plug_vm(d->lw, &qemu_vm_ops, d->ha.qemu);
    return true;
}

bool daemon_ha_prepare(struct daemon *d, char *why, size_t n)
{
    const struct fence_listener listener = {.told = ha_fence_told, .ctx = d};
    const struct node_sessions_events told = {.ctx = d, .told = ha_agent_told};
    const struct world *world = linux_world_table(d->lw);

    if (d->config->is_agent) {
        daemon_agent_prepare(d);
    } else {
        d->ha.commands = linux_commands_open(d->lw);
        d->ha.fence = fence_driver_open(world, &linux_command_ops, d->ha.commands, &listener);
        linux_world_plug_power(d->lw, &ha_power_ops, d);
        d->ha.store = node_ha_open(world, d->config->id);
        d->ha.sessions = node_sessions_open(world, d->ha.store, d->config->cluster, &told);
    }
    return d->config->settings->machines.run_dir == NULL || open_machines(d, why, n);
}

/* What this host has, where the configuration does not say. */
static uint32_t host_memory_mib(void)
{
    const long pages = sysconf(_SC_PHYS_PAGES);
    const long bytes = sysconf(_SC_PAGESIZE);

    return pages > 0 && bytes > 0
               ? (uint32_t)((uint64_t)pages * (uint64_t)bytes / (1024ULL * 1024ULL))
               : 0;
}

static uint32_t host_cpus(void)
{
    const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    return cpus > 0 ? (uint32_t)cpus : 1;
}

void daemon_ha_attach(struct daemon *d)
{
    const struct daemon_machines_settings *s = &d->config->settings->machines;
    const struct ha_member_events events = {
        .ctx = d, .said = ha_said, .incident = ha_incident_closed};
    struct ha_member_config *config = mem_alloc_zero(sizeof *config);

    const struct ha_store *store =
        d->config->is_agent ? ha_session_store(d->ha.session) : node_ha_store(d->ha.store);
    if (!d->config->is_agent) {
        node_ha_attach(d->ha.store, d->node);
        node_sessions_attach(d->ha.sessions, d->node);
    }
    if (d->ha.qemu != NULL) {
        struct ha_agent_config *agent = &config->agent;
        ha_text_set(agent->host, sizeof agent->host, d->config->settings->name);
        agent->memory_mib = s->memory_mib != 0 ? s->memory_mib : host_memory_mib();
        agent->cpus = s->cpus != 0 ? s->cpus : host_cpus();
        for (uint32_t i = 0; i < s->storages_count && i < HA_LIST_MAX; i++) {
            ha_text_set(agent->storages.name[agent->storages.n++], HA_NAME_BYTES, s->storages[i]);
        }
        if (s->move_address != NULL) {
            ha_text_set(agent->move_address, sizeof agent->move_address, s->move_address);
        }
        agent->probe = &daemon_probe_ops;
        agent->probe_self = d;
    }
    d->ha.member = ha_member_open(linux_world_table(d->lw), store, config, &events);
    mem_free(config);
}

void daemon_ha_close(struct daemon *d)
{
    if (d->ha.member != NULL) {
        ha_member_stop(d->ha.member);
    }
    while (d->ha.probes > 0) {
        (void)linux_world_poll(d->lw, 10 * NANOS_PER_MS);
    }
    if (d->ha.qemu != NULL) {
        qemu_close(d->ha.qemu);
    }
    if (d->ha.guard != NULL) {
        guard_client_close(d->ha.guard);
    }
    if (d->ha.commands != NULL) {
        linux_commands_close(d->ha.commands);
    }
    /* Whoever could answer it has been closed; the fence driver still knows its requests. */
    if (d->ha.fence != NULL) {
        fence_driver_close(d->ha.fence);
    }
    if (d->ha.member != NULL) {
        ha_member_close(d->ha.member);
    }
    if (d->ha.store != NULL) {
        node_sessions_close(d->ha.sessions);
        node_ha_close(d->ha.store);
    }
    if (d->ha.session != NULL) {
        ha_session_close(d->ha.session);
    }
    d->ha = (struct daemon_ha){0};
}

struct world_listener *daemon_ha_agents(struct daemon *d)
{
    return node_sessions_listener(d->ha.sessions);
}

/* --- what the node and health tell ------------------------------------------------------------ */

void daemon_ha_ready(struct daemon *d)
{
    if (d->ha.store != NULL) { /* the node outlives it */
        node_ha_ready(d->ha.store);
        node_sessions_leader_changed(d->ha.sessions);
    }
}

void daemon_ha_advanced(struct daemon *d)
{
    if (d->ha.store != NULL) { /* the node outlives it */
        node_ha_advanced(d->ha.store);
        node_sessions_advanced(d->ha.sessions);
    }
}

void daemon_ha_leader_changed(struct daemon *d)
{
    if (d->ha.store != NULL) { /* the node outlives it */
        node_ha_leader_changed(d->ha.store);
        node_sessions_leader_changed(d->ha.sessions);
    }
}

bool daemon_ha_note(struct daemon *d, node_id from, struct bytes note)
{
    return d->ha.store != NULL && (node_sessions_note(d->ha.sessions, from, note) ||
                                   node_ha_note(d->ha.store, from, note));
}

void daemon_ha_cut(struct daemon *d, const struct cut_change *change)
{
    if (d->ha.member == NULL) {
        return;
    }
    if (change->kind == CUT_LOST || change->kind == CUT_BACK) {
        ha_member_cut(d->ha.member, change->id, change->kind == CUT_LOST);
    } else {
        ha_member_degraded(d->ha.member, change->id, change->kind == CUT_GRAY);
    }
}
