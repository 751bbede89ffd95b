#include "core/chaos/sim/simtenant.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/chaos/simapp.h"
#include "core/chaos/simprogram.h"
#include "core/monitoring/health/health_apps.h"

#define TENANT_PORT    80
#define TENANT_PROGRAM "/bin/check"

/* Its commands take so long, and more of it when they are late. */
#define TENANT_SPAN (20 * NANOS_PER_MS)

/* One is asked by HTTP, one by a command. */
#define SIMTENANT_APPS 2

struct simtenant {
    struct simhost *host; /* borrowed */
    bool is_well[SIMTENANT_APPS];
    bool was_well[SIMTENANT_APPS]; /* since it was told not to be ready, in this life */
    bool was_bad[SIMTENANT_APPS];  /* and the opposite */
    bool was_false;
    struct health_apps *apps; /* NULL: nobody asks */
    struct health_app_config configs[SIMTENANT_APPS];
};

static const char *const tenant_names[SIMTENANT_APPS] = {"shop", "check"};

struct simtenant *simtenant_new(struct simhost *host)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell";
    struct simtenant *t = mem_alloc_zero(sizeof *t);

    t->host = host;
    simapp_run(host, TENANT_PORT, (struct bytes){(const uint8_t *)answer, sizeof answer - 1});
    simtenant_mend(t);
    return t;
}

void simtenant_free(struct simtenant *t)
{
    CHECK(t->apps == NULL);
    mem_free(t);
}

static void tenant_is(struct simtenant *t, bool is_well)
{
    for (size_t i = 0; i < SIMTENANT_APPS; i++) {
        t->is_well[i] = is_well;
        t->was_well[i] |= is_well;
        t->was_bad[i] |= !is_well;
    }
}

void simtenant_spoil(struct simtenant *t, uint32_t mode)
{
    static const struct {
        struct simapp_conduct app;
        struct simprogram_conduct program;
    } modes[SIMTENANT_MODES] = {
        {{.manner = SIMAPP_REFUSES}, {.status = 1, .errors = "refused\n"}},
        {{.manner = SIMAPP_IS_MUTE}, {.manner = SIMPROGRAM_HANGS}},
        {{.manner = SIMAPP_HANGS}, {.span = 60 * NANOS_PER_S}},
        {{.manner = SIMAPP_BABBLES}, {.status = 2, .flood = 100000}},
        {{.manner = SIMAPP_BREAKS_OFF}, {.manner = SIMPROGRAM_DIES, .status = 11}},
        {{.manner = SIMAPP_ANSWERS, .delay = 5 * NANOS_PER_S}, {.span = 5 * NANOS_PER_S}},
    };

    CHECK(mode < SIMTENANT_MODES);
    simapp_behave(t->host, TENANT_PORT, &modes[mode].app);
    simprogram_install(t->host, TENANT_PROGRAM, &modes[mode].program);
    tenant_is(t, false);
}

void simtenant_mend(struct simtenant *t)
{
    simapp_behave(t->host, TENANT_PORT, NULL);
    simprogram_install(t->host, TENANT_PROGRAM,
                       &(struct simprogram_conduct){.span = TENANT_SPAN, .output = "well\n"});
    tenant_is(t, true);
}

static void tenant_changed(void *ctx, const struct health_app_view *app)
{
    struct simtenant *t = ctx;
    size_t i = strcmp(app->name, tenant_names[0]) == 0 ? 0 : 1;
    bool is_ready = app->state == RUNG_WELL;

    t->was_false |= is_ready ? !t->was_well[i] : !t->was_bad[i];
    if (is_ready) {
        t->was_bad[i] = !t->is_well[i];
    } else {
        t->was_well[i] = t->is_well[i];
    }
}

void simtenant_open(struct simtenant *t, struct health_host *health)
{
    static const char *const arguments[] = {TENANT_PROGRAM, NULL};
    const struct health_apps_events events = {t, tenant_changed};

    for (size_t i = 0; i < SIMTENANT_APPS; i++) {
        t->configs[i] =
            (struct health_app_config){.name = tenant_names[i], .times = probe_config_of()};
        t->configs[i].times.is_asked = true;
        t->configs[i].times.period = 2 * NANOS_PER_S;
        t->was_well[i] = t->is_well[i];
        t->was_bad[i] = !t->is_well[i];
    }
    t->configs[0].app = (struct app_config){
        .kind = APP_HTTP, .at = {"127.0.0.1", TENANT_PORT}, .http = http_expect_of()};
    t->configs[0].app.http.text = "well";
    t->configs[1].app = (struct app_config){.kind = APP_COMMAND, .arguments = arguments};
    t->apps = health_apps_open(simhost_world(t->host), health, t->configs, SIMTENANT_APPS, &events);
}

void simtenant_stop(struct simtenant *t)
{
    health_apps_stop(t->apps);
}

void simtenant_gone(struct simtenant *t)
{
    health_apps_free(t->apps);
    t->apps = NULL;
}

bool simtenant_was_false(const struct simtenant *t)
{
    return t->was_false;
}

bool simtenant_is_known(const struct simtenant *t)
{
    for (uint32_t i = 0; i < SIMTENANT_APPS && t->apps != NULL; i++) {
        struct health_app_view view;

        health_apps_get(t->apps, i, &view);
        if (t->is_well[i] && view.state != RUNG_WELL) {
            return false;
        }
    }
    return true;
}
