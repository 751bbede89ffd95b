/*
 * Hosts on which machines cannot be started: a circuit breaker each. QEMU is broken there, or a
 * library, or the way to the storage, and the host is well otherwise. Each machine that is tried
 * there loses time and comes nearer to its limit.
 *
 * A failure counts once for each machine, until one has started: a machine with a bad image fails
 * anywhere, and as often as its rule for restarts lets it. HA_TRIP_MACHINES of them open the
 * breaker; nothing is placed there then, for a minute at first and half an hour at most, and the
 * first start after that says whether it closes. Never more than half of the hosts are set
 * aside, by this or by quarantine: what fails everywhere is no host's fault.
 *
 * The breaker is this leader's own. What it says is in the fate, for people and for the next
 * leader, who begins with an open one.
 */
#include <string.h>

#include "core/ha/ha_keeper_int.h"

static void trip_config(struct breaker_config *ret)
{
    *ret = breaker_config_of(NANOS_FOREVER);
    ret->failure_percent = 101;
    ret->slow_percent = 101;
    ret->failures_in_row = HA_TRIP_MACHINES;
    ret->open_first = 60 * NANOS_PER_S;
    ret->open_max = 1800 * NANOS_PER_S;
    ret->permits = 1;
    ret->successes = 1;
}

static void trip_begin(struct ha_keeper *m, struct ha_soft_host *h)
{
    struct breaker_config config;

    trip_config(&config);
    breaker_init(&h->trip, &config, prng_u64(&m->prng), m->now);
    h->has_trip = true;
    h->n_trip_machines = 0;
}

static void trip_report(struct ha_keeper *m, struct ha_soft_host *h, enum breaker_outcome outcome)
{
    struct breaker_permit permit;

    if (breaker_acquire(&h->trip, m->now, &permit)) {
        breaker_report(&h->trip, &permit, outcome, m->now);
    }
}

static bool trip_is_open(const struct ha_keeper *m, const struct ha_soft_host *h)
{
    return h->has_trip && breaker_retry_at(&h->trip) > m->now;
}

void ha_trip_started(struct ha_keeper *m, const char *host)
{
    struct ha_soft_host *h = ha_soft_host_find(m, host);

    if (h != NULL && h->has_trip) {
        h->n_trip_machines = 0;
        trip_report(m, h, BREAKER_OK);
    }
}

void ha_trip_failed(struct ha_keeper *m, const char *host, const char *vm)
{
    struct ha_soft_host *h = ha_soft_host_find(m, host);

    if (h == NULL) {
        return;
    }
    if (!h->has_trip) {
        trip_begin(m, h);
    }
    for (uint32_t i = 0; i < h->n_trip_machines; i++) {
        if (strcmp(h->trip_machines[i], vm) == 0 && h->trip.state == BREAKER_CLOSED) {
            return;
        }
    }
    bool would_open = h->trip.state != BREAKER_CLOSED || h->n_trip_machines + 1 >= HA_TRIP_MACHINES;
    if (would_open && !ha_host_may_be_set_aside(m, h)) {
        return;
    }
    if (h->n_trip_machines < HA_TRIP_MACHINES) {
        ha_text_set(h->trip_machines[h->n_trip_machines++], HA_NAME_BYTES, vm);
    }
    trip_report(m, h, BREAKER_FAILED);
}

bool ha_trip_is_open(const struct ha_keeper *m, const char *host)
{
    const struct ha_soft_host *h = ha_soft_host_find(m, host);

    return h != NULL && trip_is_open(m, h);
}

void ha_trip_inherit(struct ha_keeper *m, struct ha_soft_host *h, const struct ha_fate *fate)
{
    h->has_trip = false;
    if (fate != NULL && fate->is_tripped) {
        trip_begin(m, h);
        for (uint32_t i = 0; i < HA_TRIP_MACHINES; i++) {
            trip_report(m, h, BREAKER_FAILED);
        }
    }
}

bool ha_trip_is_news(struct ha_keeper *m, const struct ha_soft_host *h, const struct ha_fate *fate,
                     bool *is_open)
{
    *is_open = trip_is_open(m, h);
    if (*is_open) {
        ha_keeper_want(m, breaker_retry_at(&h->trip));
    }
    return *is_open != (fate != NULL && fate->is_tripped);
}
