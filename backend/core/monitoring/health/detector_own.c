/*
 * Our detector, the default. Its deadline is the expected arrival of the next heartbeat, plus a
 * margin that is `margin` on average.
 *
 * EXPECTED ARRIVAL. As Chen's, by the numbers and the schedule, so that loss is not taken for
 * delay; but between the level (detector_level.h) and the last arrival, at `persistence`: how much
 * of one arrival's distance from the level the next one shared, lately (the correlation of
 * neighbours). Where delays are independent that is 0, and it is Chen's mean; where they persist
 * (congestion, a slow path, a sender whose timer slips) it is 1, and it is the last arrival, as a
 * timeout has it.
 *
 * CAUTION. For a few heartbeats after an outlier that was late it is the later one of both: it may
 * have been a chance, a bunch that was stuck and comes ahead of what is not on schedule yet, or a
 * level that has moved, and before the next ones came nobody can tell. Outliers are rare, so that
 * waiting after each costs next to nothing on average, and where it does cost, as the next ones
 * tell, it is given up; what is merely late, or lost, is none, and is what the margin is for.
 *
 * MARGIN. detector_patience.h: divided among the states of the network.
 */
#include "core/monitoring/health/detector_int.h"

#include "core/base/check.h"
#include "core/monitoring/health/health_math.h"

#include <string.h>

/* The correlation follows the last thousand heartbeats. */
#define OWN_GAIN 0.001

/* Estimated correlation that is taken for none (noise, in a thousand heartbeats with a heavy tail,
 * and too little to lean on), and for complete: where delays walk rather than scatter, the estimate
 * stays below 1, and a part of the distance to the mean would be too much. */
#define CORRELATION_NOISE 0.3
#define CORRELATION_FULL  0.8

/* Heartbeats after an outlier that are expected no earlier than as late as the last one. */
#define CAUTION 3

/* What caution may cost on average, in intervals a heartbeat. Where outliers are so frequent, and
 * so seldom more than a chance, that it comes to more, they are the tail of the delays, which the
 * margin is for. */
#define CAUTION_COST_MAX 0.01

static double own_persistence(const struct detector_own *own)
{
    double correlation = own->variance > 0 ? own->covariance / own->variance : 1;
    double persistence = (correlation - CORRELATION_NOISE) / (CORRELATION_FULL - CORRELATION_NOISE);

    return persistence < 0 ? 0 : persistence > 1 ? 1 : persistence;
}

/* How late on its schedule the next heartbeat is expected, without caution. */
static double own_likely(const struct detector_own *own)
{
    double level = detector_level_at(&own->level);

    return level + own_persistence(own) * (own->last - level);
}

/* And how much later with it. */
static double own_caution(const struct detector_own *own)
{
    double likely = own_likely(own);

    return own->caution > 0 && own->last > likely ? own->last - likely : 0;
}

/* How much of that was in vain, as a heartbeat tells that comes `offset` late. */
static double own_vain(const struct detector_own *own, double offset)
{
    double vain = own->last - offset;
    double caution = own_caution(own);

    return vain < 0 ? 0 : vain < caution ? vain : caution;
}

static double own_expected(const struct detector_own *own)
{
    return own_likely(own) + own_caution(own);
}

static void own_begin(struct detector *d)
{
    struct detector_own *own = &d->memory.own;

    memset(own, 0, sizeof *own);
    detector_level_init(&own->level, d->config.interval);
    detector_patience_init(&own->patience, d->config.interval, d->config.margin);
}

/* How much of the last one's distance from the level this one shares. Outliers in a row that turn
 * out to be another level count as well: where that happens, delays do persist. */
static void own_correlate(struct detector_own *own, double offset)
{
    double distance = detector_level_distance(&own->level, offset);
    double before = detector_level_distance(&own->level, own->last);

    own->count = own->count < 1 / OWN_GAIN ? own->count + 1 : own->count;
    own->covariance += (distance * before - own->covariance) / own->count;
    own->variance += (before * before - own->variance) / own->count;
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

    detector_patience_learn(&own->patience, need > 0 ? need : 0);
    own_correlate(own, offset);
    own->cost += OWN_GAIN * (own_vain(own, offset) - own->cost);
    own->caution = own->caution > 0 ? own->caution - 1 : 0;
    if (detector_level_follow(&own->level, offset) == LEVEL_LATE &&
        own->cost < interval * CAUTION_COST_MAX) {
        own->caution = CAUTION;
    }
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
