/*
 * The phi detectors: a distribution of the silences between heartbeats, and how unlikely one is
 * that lasts longer than the present silence, as a negative power of ten.
 *
 *   normal       N(mean + acceptable pause, deviation) [Hayashibara04]
 *   exponential  P(longer than t) = e^(-t / mean), as Cassandra has it: its phi is t / mean and its
 *                threshold is multiplied by ln 10
 *   Akka         the logistic approximation of the normal tail, with y(1.5976 + 0.070566 y^2)
 *
 * Everything is computed from logarithms. The formulas in use elsewhere subtract from 1, or divide
 * by an exponential that underflows, so that phi becomes infinite at some 9 (normal, in doubles) to
 * 22 (Akka) deviations; here it is finite and grows for ever.
 *
 * DEVIATIONS. The paper keeps every gap. Akka drops the gap that ended a suspicion, so that a peer
 * which has become slow is suspected at every heartbeat for ever. We keep such a gap, as long as
 * the silence that was allowed: an outage of an hour counts no more than one that was just not
 * suspected, and a slow peer is learned within a fraction of the window. The kind `akka` does as
 * Akka does.
 */
#include "core/monitoring/health/detector_int.h"

#include "core/base/check.h"
#include "core/monitoring/health/health_math.h"

/* In nanoseconds: gaps that were all cut to a silence of nothing, as that was what was allowed,
 * leave phi a number. */
#define MEAN_MIN 1.0

#define AKKA_LINEAR 1.5976
#define AKKA_CUBIC  0.070566

/* The estimates from the window, in the form that phi and `allowed` read. */
static void phi_estimate(struct detector *d)
{
    d->mean = detector_window_mean(&d->memory.window);
    if (d->mean < MEAN_MIN) {
        d->mean = MEAN_MIN;
    }
    d->deviation = detector_window_deviation(&d->memory.window);
    if (d->deviation < health_real(d->config.deviation_min)) {
        d->deviation = health_real(d->config.deviation_min);
    }
}

/* Before two heartbeats there is no gap: the promised interval, give or take a quarter, as in Akka.
 */
static void phi_begin(struct detector *d)
{
    int64_t interval = (int64_t)d->config.interval;

    detector_window_push(&d->memory.window, interval - interval / 4);
    if (d->memory.window.size > 1) {
        detector_window_push(&d->memory.window, interval + interval / 4);
    }
    phi_estimate(d);
}

static void phi_learn(struct detector *d, const struct detector_sample *sample)
{
    if (sample->is_excused) {
        return;
    }
    int64_t allowed = (int64_t)u64_min(d->deadline - d->arrived, (nanos)DETECTOR_SAMPLE_MAX);

    detector_window_push(&d->memory.window, sample->gap < allowed ? sample->gap : allowed);
    phi_estimate(d);
}

static double deviations_of_silence(const struct detector *d, double silence)
{
    return (silence - d->mean - health_real(d->config.acceptable_pause)) / d->deviation;
}

/* The silence that lies d->point deviations above the mean. */
static double silence_at_point(const struct detector *d)
{
    return d->mean + health_real(d->config.acceptable_pause) + d->point * d->deviation;
}

/* --- Normal --------------------------------------------------------------------------------------
 */

static void normal_prepare(struct detector *d)
{
    d->point = health_phi_normal_point(d->config.threshold);
}

static double normal_phi(const struct detector *d, double silence)
{
    return health_phi_normal(deviations_of_silence(d, silence));
}

const struct detector_rule detector_rule_phi_normal = {
    .prepare = normal_prepare,
    .begin = phi_begin,
    .learn = phi_learn,
    .allowed = silence_at_point,
    .phi = normal_phi,
};

/* --- Exponential ---------------------------------------------------------------------------------
 */

static double exponential_allowed(const struct detector *d)
{
    return health_real(d->config.acceptable_pause) + d->mean * d->config.threshold * HEALTH_LN_10;
}

static double exponential_phi(const struct detector *d, double silence)
{
    double counted = silence - health_real(d->config.acceptable_pause);

    return counted > 0 ? counted / (d->mean * HEALTH_LN_10) : 0;
}

const struct detector_rule detector_rule_phi_exponential = {
    .begin = phi_begin,
    .learn = phi_learn,
    .allowed = exponential_allowed,
    .phi = exponential_phi,
};

/* --- Akka ----------------------------------------------------------------------------------------
 */

/* Akka's phi is log10(1 + e^s), s = y(1.5976 + 0.070566 y^2), on both of its branches. */
static double akka_exponent(double y)
{
    return y * (AKKA_LINEAR + AKKA_CUBIC * y * y);
}

static void akka_prepare(struct detector *d)
{
    double power = d->config.threshold * HEALTH_LN_10;
    /* 10^phi - 1 is e^s, and is 10^phi itself once that is large. */
    double exponent = power > 40 ? power : health_ln(health_exp(power) - 1);
    double low = -100;
    double high = 100;

    for (int i = 0; i < 80; i++) {
        double middle = low + (high - low) / 2;

        if (akka_exponent(middle) < exponent) {
            low = middle;
        } else {
            high = middle;
        }
    }
    d->point = high;
}

static void akka_learn(struct detector *d, const struct detector_sample *sample)
{
    if (!sample->is_excused && !sample->is_mistake) {
        detector_window_push(&d->memory.window, sample->gap);
        phi_estimate(d);
    }
}

static double akka_phi(const struct detector *d, double silence)
{
    return health_softplus(akka_exponent(deviations_of_silence(d, silence))) / HEALTH_LN_10;
}

const struct detector_rule detector_rule_akka = {
    .prepare = akka_prepare,
    .begin = phi_begin,
    .learn = akka_learn,
    .allowed = silence_at_point,
    .phi = akka_phi,
};
