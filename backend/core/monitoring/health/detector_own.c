/*
 * Our detector, the default: the later one of two expectations, by a short and a long window, with
 * a margin of `threshold` deviations of what arrivals differ from the long one.
 */
#include "core/monitoring/health/detector_int.h"

#include "core/base/check.h"
#include "core/monitoring/health/health_math.h"

static void own_begin(struct detector *d)
{
    detector_window_push(&d->window, 0);
}

static void own_learn(struct detector *d, const struct detector_sample *sample)
{
    if (!sample->is_excused) {
        detector_window_push(&d->window, sample->offset);
    }
}

static double own_allowed(const struct detector *d)
{
    double mean = detector_window_mean(&d->window);
    double latest = detector_window_mean_of_last(&d->window, 1);
    double deviation = detector_window_deviation(&d->window);
    double floor = health_real(d->config.deviation_min);

    return health_real(d->config.interval) + (latest > mean ? latest : mean) - (double)d->offset +
           d->config.threshold * (deviation > floor ? deviation : floor) +
           health_real(d->config.interval);
}

const struct detector_rule detector_rule_own = {
    .begin = own_begin,
    .learn = own_learn,
    .allowed = own_allowed,
};
