#include "novacrond/daemon_probes.h"

#include <stdio.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "novacrond/daemon.h"
#include "novacrond/daemon_metrics.h"

static void probes_on_change(void *ctx, const struct health_app_view *app)
{
    struct daemon *d = ctx;
    bool is_well = app->state == RUNG_WELL;

    LOG_SAY(&d->log, is_well ? DAEMON_INFO : DAEMON_WARN, "application",
            log_text("name", app->name), log_text("is", is_well ? "ready" : "not ready"),
            log_text("probe", app_kind_name(app->kind)), log_text("reason", app->last.reason));
}

void daemon_probes_open(struct daemon *d)
{
    const struct daemon_health_settings *settings = &d->config->settings->health;
    const struct health_apps_events events = {d, probes_on_change};
    struct health_app_config configs[HEALTH_APPS_MAX];

    if (settings->probes_count == 0) {
        return;
    }
    if (d->health.host == NULL) {
        LOG_SAY(&d->log, DAEMON_WARN, "probes no application",
                log_text("why", "this member does not watch hosts; give it health.keys"));
        return;
    }
    CHECK(settings->probes_count <= HEALTH_APPS_MAX);
    for (uint32_t i = 0; i < settings->probes_count; i++) {
        configs[i] = d->config->probes[i].app;
    }
    d->health.apps = health_apps_open(linux_world_table(d->lw), d->health.host, configs,
                                      settings->probes_count, &events);
}

void daemon_probes_stop(struct daemon *d)
{
    if (d->health.apps != NULL) {
        health_apps_stop(d->health.apps);
    }
}

void daemon_probes_free(struct daemon *d)
{
    if (d->health.apps != NULL) {
        health_apps_free(d->health.apps);
        d->health.apps = NULL;
    }
}

/* --- what it shows --------------------------------------------------------------------------- */

static void metrics_put_answers(struct buf *b, const struct health_app_view *app)
{
    static const char *const outcomes[] = {"ok", "failure", "not_asked"};

    _Static_assert(COUNT_OF(outcomes) == COUNT_OF(app->answers), "a word for each outcome");
    for (size_t i = 0; i < COUNT_OF(outcomes); i++) {
        metric_line(b, "novacron_probe_answers_total{probe=\"%s\",outcome=\"%s\"} %llu\n",
                    app->name, outcomes[i], (unsigned long long)app->answers[i]);
    }
}

void daemon_probes_metrics(struct buf *b, const struct daemon *d)
{
    uint32_t n = d->health.apps != NULL ? health_apps_count(d->health.apps) : 0;
    struct health_app_view apps[HEALTH_APPS_MAX];

    if (n == 0) {
        return;
    }
    metric_head(b, "novacron_probe_ready", "gauge",
                "Is the application ready? Absent before enough was answered.");
    for (uint32_t i = 0; i < n; i++) {
        health_apps_get(d->health.apps, i, &apps[i]);
        if (apps[i].state != RUNG_UNKNOWN) {
            metric_line(b, "novacron_probe_ready{probe=\"%s\"} %d\n", apps[i].name,
                        apps[i].state == RUNG_WELL ? 1 : 0);
        }
    }
    metric_head(b, "novacron_probe_answers_total", "counter",
                "Answers of applications to their probes.");
    for (uint32_t i = 0; i < n; i++) {
        metrics_put_answers(b, &apps[i]);
    }
    metric_head(b, "novacron_probe_last_seconds", "gauge", "How long the last answer took.");
    for (uint32_t i = 0; i < n; i++) {
        metric_line(b, "novacron_probe_last_seconds{probe=\"%s\"} %.6f\n", apps[i].name,
                    (double)apps[i].last.took / (double)NANOS_PER_S);
    }
}

bool daemon_probes_say(const struct daemon *d, char *text, size_t n)
{
    uint32_t count = d->health.apps != NULL ? health_apps_count(d->health.apps) : 0;
    uint32_t ready = 0;

    for (uint32_t i = 0; i < count; i++) {
        struct health_app_view app;

        health_apps_get(d->health.apps, i, &app);
        if (app.state == RUNG_DEGRADED) {
            (void)snprintf(text, n, "%s: %s", app.name, app.last.reason);
            return true;
        }
        ready += app.state == RUNG_WELL;
    }
    if (count > 0) {
        (void)snprintf(text, n, "%u of %u applications are ready", ready, count);
    }
    return count > 0;
}
