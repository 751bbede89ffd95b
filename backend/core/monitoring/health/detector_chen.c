/*
 * The detectors that know the sender's schedule: heartbeat i leaves at i * interval, so the window
 * holds by how much each arrival was later than on the schedule of the first, and their mean says
 * when the next one is expected [Chen02, NFD-E]. A lost heartbeat leaves no trace in that mean,
 * which the gaps of the phi detectors cannot say of themselves. The peer is trusted until
 *
 *   Chen        the expected arrival of the next heartbeat, plus alpha
 *   Bertier     the same, with a margin from the errors of the estimates, as TCP has it:
 *               delay += (error - delay) / 10, deviation += (|error - delay| - deviation) / 10,
 *               margin = delay + 4 deviation [Bertier02]
 *   two-window  the later one of two expectations, by a short and a long window, plus alpha:
 *               the short one is right when the network has just become slow, the long one when a
 *               single heartbeat was fast [Tomsic15]
 *
 * LIMITS. A sender whose intervals are not what it promised walks away from its schedule: by half a
 * window's worth, Chen's mean lags behind. They are kept as their papers have them, for comparison;
 * detector_own.c does better.
 */
#include "core/monitoring/health/detector_int.h"

#include "core/base/check.h"
#include "core/monitoring/health/health_math.h"

#define BERTIER_GAIN 0.1

/* The first heartbeat is on its own schedule. */
static void chen_begin(struct detector *d)
{
    detector_window_push(&d->memory.window, 0);
}

static void chen_learn(struct detector *d, const struct detector_sample *sample)
{
    if (!sample->is_excused) {
        detector_window_push(&d->memory.window, sample->offset);
    }
}

/* From the last arrival to the one expected next, if arrivals are `offset` off the schedule. */
static double until_expected(const struct detector *d, double offset)
{
    return health_real(d->config.interval) + offset - (double)d->offset;
}

static double chen_allowed(const struct detector *d)
{
    return until_expected(d, detector_window_mean(&d->memory.window)) +
           health_real(d->config.margin);
}

const struct detector_rule detector_rule_chen = {
    .begin = chen_begin,
    .learn = chen_learn,
    .allowed = chen_allowed,
};

/* --- Bertier -------------------------------------------------------------------------------------
 */

static void bertier_learn(struct detector *d, const struct detector_sample *sample)
{
    if (sample->is_excused) {
        return;
    }
    double error = (double)sample->offset - detector_window_mean(&d->memory.window) - d->delay;

    d->delay += BERTIER_GAIN * error;
    d->variation += BERTIER_GAIN * ((error < 0 ? -error : error) - d->variation);
    detector_window_push(&d->memory.window, sample->offset);
}

static double bertier_allowed(const struct detector *d)
{
    return until_expected(d, detector_window_mean(&d->memory.window)) + d->delay +
           d->config.threshold * d->variation;
}

const struct detector_rule detector_rule_bertier = {
    .begin = chen_begin,
    .learn = bertier_learn,
    .allowed = bertier_allowed,
};

/* --- Two windows ---------------------------------------------------------------------------------
 */

static double two_window_allowed(const struct detector *d)
{
    uint32_t n = d->memory.window.count < d->config.window_short ? d->memory.window.count
                                                                 : d->config.window_short;
    double in_short = detector_window_mean_of_last(&d->memory.window, n);
    double in_long = detector_window_mean(&d->memory.window);

    return until_expected(d, in_short > in_long ? in_short : in_long) +
           health_real(d->config.margin);
}

const struct detector_rule detector_rule_two_window = {
    .begin = chen_begin,
    .learn = chen_learn,
    .allowed = two_window_allowed,
};

/* --- A plain timeout -----------------------------------------------------------------------------
 */

static double timeout_allowed(const struct detector *d)
{
    return health_real(d->config.margin);
}

const struct detector_rule detector_rule_timeout = {
    .allowed = timeout_allowed,
};
