/*
 * Our detector, the default. Its deadline is the expected arrival of the next heartbeat, plus a
 * margin that is `margin` on average.
 *
 * EXPECTED ARRIVAL. As Chen's, by the numbers and the schedule, so that loss is not taken for
 * delay; but between the mean and the last arrival, at `persistence`: how much of one arrival's
 * deviation from the mean the next one shared, lately (the correlation of neighbours). Where the
 * sender's clock is fast or slow, heartbeats walk away from the schedule, and a mean stays behind
 * them by a constant: its lag, which is followed as well, and added. Where delays are independent
 * that is 0, and it is Chen's mean; where they persist (congestion, a slow path, a sender whose
 * timer slips) it is 1, and it is the last arrival, as a timeout has it. For a few heartbeats after
 * one that was much too late (or after two too late, where delays persist), it is the later one of
 * both: what was stuck comes in a bunch, ahead of what is not on schedule yet.
 *
 * MARGIN. detector_patience.h: divided among the states of the network.
 *
 * A peer whose schedule has moved for good (it was stopped, or its clock was) is far off the mean;
 * after FAR_LIMIT such arrivals the mean begins anew there, and does not have to walk.
 */
#include "core/monitoring/health/detector_int.h"

#include "core/base/check.h"
#include "core/monitoring/health/health_math.h"

#include <string.h>

/* The mean and the correlation follow the last thousand heartbeats. */
#define OWN_GAIN 0.001

/* Estimated correlation that is taken for none (noise, in a thousand heartbeats with a heavy tail,
 * and too little to lean on), and for complete: where delays walk rather than scatter, the estimate
 * stays below 1, and a part of the distance to the mean would be too much. */
#define CORRELATION_NOISE 0.3
#define CORRELATION_FULL  0.8

/* A deviation from the mean counts for this many intervals at most; beyond it, it is far. */
#define DEVIATION_MAX 4.0
#define FAR_LIMIT     4

/* Heartbeats after a bunch that are expected no earlier than as late as the last one. */
#define CAUTION 3

static double clamp_real(double x, double bound)
{
    return x > bound ? bound : x < -bound ? -bound : x;
}

static double own_persistence(const struct detector_own *own)
{
    double correlation = own->variance > 0 ? own->covariance / own->variance : 1;
    double persistence = (correlation - CORRELATION_NOISE) / (CORRELATION_FULL - CORRELATION_NOISE);

    return persistence < 0 ? 0 : persistence > 1 ? 1 : persistence;
}

/* How late on its schedule the next heartbeat is expected. */
static double own_expected(const struct detector_own *own)
{
    double level = own->mean + own->lag;
    double expected = level + own_persistence(own) * (own->last - level);

    return own->caution > 0 && own->last > expected ? own->last : expected;
}

static void own_begin(struct detector *d)
{
    struct detector_own *own = &d->memory.own;

    memset(own, 0, sizeof *own);
    detector_patience_init(&own->patience, d->config.interval, d->config.margin);
}

/* Follows the mean, its lag, and how much of the last deviation this one shares. */
static void own_follow(struct detector_own *own, double offset, double interval)
{
    double bound = interval * DEVIATION_MAX;
    double behind = clamp_real(offset - own->mean, bound);
    double deviation = clamp_real(behind - own->lag, bound);
    double before = clamp_real(own->last - own->mean - own->lag, bound);

    own->count = own->count < 1 / OWN_GAIN ? own->count + 1 : own->count;
    double gain = 1 / own->count;
    own->covariance += gain * (deviation * before - own->covariance);
    own->variance += gain * (before * before - own->variance);
    own->mean += gain * behind;
    own->lag += OWN_GAIN * (behind - own->lag);
    bool is_far = offset - own->mean >= bound || own->mean - offset >= bound;
    own->far = is_far ? own->far + 1 : 0;
    if (own->far >= FAR_LIMIT) {
        own->mean = offset;
        own->lag = 0;
        own->far = 0;
    }
}

static void own_learn(struct detector *d, const struct detector_sample *sample)
{
    struct detector_own *own = &d->memory.own;
    double interval = health_real(d->config.interval);
    double offset = (double)sample->offset;

    if (sample->is_excused) {
        own->last = offset;
        return;
    }
    /* Beyond the expected arrival of the number after the last one heard, lost or not. */
    double need = (double)sample->gap - interval - (own_expected(own) - own->last);

    double excess = need - detector_patience_margin(&own->patience);
    bool is_again = excess > 0 && own->was_late && own_persistence(own) > 0;
    bool is_bunch = excess > interval / 2 || is_again;

    own->was_late = excess > 0;
    if (is_bunch) {
        own->caution = CAUTION;
    } else if (own->caution > 0) {
        own->caution--;
    }
    detector_patience_learn(&own->patience, need > 0 ? need : 0);
    own_follow(own, offset, interval);
    own->last = offset;
}

static double own_allowed(const struct detector *d)
{
    const struct detector_own *own = &d->memory.own;

    return health_real(d->config.interval) + own_expected(own) - own->last +
           detector_patience_margin(&own->patience);
}

const struct detector_rule detector_rule_own = {
    .begin = own_begin,
    .learn = own_learn,
    .allowed = own_allowed,
};
