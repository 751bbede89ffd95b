/*
 * health_apps: the applications of this host, as its configuration names them. Each has one probe
 * (probe_app.h), which is asked on the schedule of health_host, and is ready or not: nobody here
 * restarts applications, so there is no other purpose. What they say together is the rung
 * "application" of the host.
 *
 *     UNKNOWN ---> WELL <---> DEGRADED        UNKNOWN ---> DEGRADED
 *
 * WELL after `successes` answers in a row that are as expected, DEGRADED after `failures` that are
 * not (probe_set.h); each change is told with the reason of the answer that made it. What could not
 * be asked changes nothing.
 */
#ifndef NOVACRON_HEALTH_HEALTH_APPS_H
#define NOVACRON_HEALTH_HEALTH_APPS_H

#include "core/base/err.h"
#include "core/base/types.h"
#include "core/monitoring/health/health_host.h"
#include "core/monitoring/health/probe_app.h"

/* Applications of one host, at most; and the longest name, with its final zero. */
#define HEALTH_APPS_MAX           32
#define HEALTH_APP_NAME_MAX_BYTES 33

struct health_apps; /* opaque */

struct health_app_config {
    const char *name; /* borrowed for the call */
    struct app_config app;
    struct probe_config times; /* is_asked */
};

/* One application, and what is known of it. */
struct health_app_view {
    const char *name;
    enum app_kind kind;
    enum rung_state state;
    nanos since;
    uint64_t answers[PROBE_NOT_ASKED + 1]; /* by outcome */
    struct app_verdict last;               /* of the last answer; zeroed: there was none */
};

/* Is told of each change of a state, within the world's callbacks; may be NULL. */
struct health_apps_events {
    void *ctx;
    void (*changed)(void *ctx, const struct health_app_view *app);
};

/* Adds them to the host, which stays in place until they are stopped. Configurations are checked
 * (app_config_check, probe_config_check), what they borrow stays until health_apps_free, and their
 * names differ. */
struct health_apps *health_apps_open(const struct world *world, struct health_host *host,
                                     const struct health_app_config *configs, uint32_t n,
                                     const struct health_apps_events *events);

/* Ends all but the commands that are under way; health_apps_free, once the world will call nothing
 * any more, or was closed. */
void health_apps_stop(struct health_apps *apps);
void health_apps_free(struct health_apps *apps);

uint32_t health_apps_count(const struct health_apps *apps);
void health_apps_get(const struct health_apps *apps, uint32_t i, struct health_app_view *ret);

/* How long it takes at most, after an application has changed for good, until its state has: from
 * the answer that was just given, over all that have to come, each as late as it may be. */
nanos health_apps_bound(const struct probe_config *times, bool is_well);

#endif
