#include "core/monitoring/health/health_apps.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"

/* Ids of their targets: this, and their place. */
#define APP_FIRST_ID UINT64_C(256)

/* What a turn of the schedule may be late, beside its jitter. */
#define TURN_SLACK (20 * NANOS_PER_MS)

_Static_assert(APP_FIRST_ID > HEALTH_PROBE_STORAGE, "ids of ours are above the host's");
_Static_assert(HEALTH_APPS_MAX < PROBE_TARGETS_MAX, "the storage has room as well");

struct health_app {
    struct health_apps *apps;
    uint64_t id;
    char name[HEALTH_APP_NAME_MAX_BYTES];
    struct app_probe probe;
    struct health_prober prober;
    enum probe_purpose purpose; /* of the order that is under way */
    uint64_t ticket;
    enum rung_state told;
    uint64_t answers[PROBE_NOT_ASKED + 1];
    struct app_verdict last;
};

struct health_apps {
    struct health_host *host; /* borrowed; NULL: stopped */
    struct health_apps_events events;
    uint32_t count;
    struct health_app all[]; /* count of them */
};

static void app_tell_change(struct health_app *app)
{
    const struct health_apps_events *events = &app->apps->events;
    struct health_app_view view;

    health_apps_get(app->apps, (uint32_t)(app - app->apps->all), &view);
    if (view.state == app->told) {
        return;
    }
    app->told = view.state;
    if (events->changed != NULL) {
        events->changed(events->ctx, &view);
    }
}

static void app_answered(struct app_probe *probe, const struct app_verdict *verdict)
{
    struct health_app *app = probe->owner;

    app->answers[verdict->outcome]++;
    app->last = *verdict;
    health_host_answer(app->apps->host, app->id, app->purpose, app->ticket, verdict->outcome);
    app_tell_change(app);
}

static void app_ask(struct health_prober *prober, const struct probe_order *order)
{
    struct health_app *app = prober->owner;

    if (app_probe_ask(&app->probe, order->deadline) != OK) {
        /* The last one was forgotten by the schedule, and is still under way: at its deadline it
         * will not be. */
        health_host_answer(app->apps->host, app->id, order->purpose, order->ticket,
                           PROBE_NOT_ASKED);
        return;
    }
    app->purpose = order->purpose;
    app->ticket = order->ticket;
}

static void app_open(struct health_apps *apps, uint32_t i, const struct world *world,
                     const struct health_app_config *config)
{
    struct probe_config probes[PROBE_PURPOSES] = {0};
    struct health_app *app = &apps->all[i];
    size_t n = strlen(config->name);

    CHECK(n > 0 && n < sizeof app->name && config->times.is_asked);
    app->apps = apps;
    app->id = APP_FIRST_ID + i;
    memcpy(app->name, config->name, n + 1);
    app->prober = (struct health_prober){.ask = app_ask, .owner = app};
    app_probe_init(&app->probe, world, &config->app, app_answered, app);
    probes[PROBE_READINESS] = config->times;
    CHECK(health_host_add_probe(apps->host, app->id, RUNG_APPLICATION, probes, &app->prober) == OK);
}

struct health_apps *health_apps_open(const struct world *world, struct health_host *host,
                                     const struct health_app_config *configs, uint32_t n,
                                     const struct health_apps_events *events)
{
    struct health_apps *apps = mem_alloc_zero(sizeof *apps + n * sizeof apps->all[0]);

    CHECK(n <= HEALTH_APPS_MAX);
    apps->host = host;
    apps->events = *events;
    apps->count = n;
    for (uint32_t i = 0; i < n; i++) {
        app_open(apps, i, world, &configs[i]);
    }
    return apps;
}

void health_apps_stop(struct health_apps *apps)
{
    for (uint32_t i = 0; i < apps->count; i++) {
        app_probe_stop(&apps->all[i].probe);
        health_host_remove_probe(apps->host, apps->all[i].id);
    }
    apps->host = NULL;
}

void health_apps_free(struct health_apps *apps)
{
    mem_free(apps);
}

uint32_t health_apps_count(const struct health_apps *apps)
{
    return apps->count;
}

void health_apps_get(const struct health_apps *apps, uint32_t i, struct health_app_view *ret)
{
    CHECK(i < apps->count);
    const struct health_app *app = &apps->all[i];
    const struct probe_target *target =
        apps->host != NULL ? probe_set_find(health_host_probes(apps->host), app->id) : NULL;
    struct rung_view rung = {.state = RUNG_UNKNOWN};

    if (target != NULL) {
        rung = probe_rung(target);
    }
    *ret = (struct health_app_view){
        .name = app->name,
        .kind = app->probe.config.kind,
        .state = rung.state,
        .since = rung.since,
        .last = app->last,
    };
    memcpy(ret->answers, app->answers, sizeof ret->answers);
}

nanos health_apps_bound(const struct probe_config *times, bool is_well)
{
    uint32_t jitter = probe_set_config_of().jitter_percent;
    nanos each = times->period + times->period * jitter / 100 + TURN_SLACK;
    uint32_t in_row = is_well ? times->successes : times->failures;

    /* One that began before the change may still be under way, and the next one waits for it. */
    return times->timeout + in_row * u64_max(each, times->timeout + TURN_SLACK) + times->timeout;
}
