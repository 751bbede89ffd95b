#include "core/monitoring/health/detector_level.h"

#include "core/monitoring/health/health_math.h"

#include <string.h>

/* A scatter below this part of an interval counts as this: a clock's ticks are no outliers. */
#define SCATTER_MIN (1.0 / 1024)

/* A line begins as if so many heartbeats had been on schedule: two of chance are no trend. */
#define TREND_PRIOR 30

static double clamp_real(double x, double bound)
{
    return x > bound ? bound : x < -bound ? -bound : x;
}

static double size_of_real(double x)
{
    return x < 0 ? -x : x;
}

void detector_level_init(struct detector_level *l, nanos interval)
{
    memset(l, 0, sizeof *l);
    l->interval = health_real(interval);
    l->scatter = l->interval * SCATTER_MIN;
}

double detector_level_at(const struct detector_level *l)
{
    return l->mean + l->trend;
}

double detector_level_distance(const struct detector_level *l, double offset)
{
    double bound = l->interval * LEVEL_BOUND;
    double outlier = 2 * LEVEL_OUTLIER * l->scatter;

    if (l->known > LEVEL_KNOWN && outlier < bound) {
        bound = outlier;
    }
    return clamp_real(offset - detector_level_at(l), bound);
}

static void run_take(struct detector_run *run, double offset, bool is_outlier, bool is_late)
{
    if (!is_outlier || run->length == 0 || run->is_late != is_late) {
        *run = (struct detector_run){is_outlier, is_late, offset, offset, offset};
        return;
    }
    run->length++;
    run->low = offset < run->low ? offset : run->low;
    run->high = offset > run->high ? offset : run->high;
    run->sum += offset;
}

/* The line of least squares through the last heartbeats, the newest of which is `away` from where
 * it was expected: exact while they are few, and with the gains of a thousand from then on. A level
 * that has just moved keeps the trend, and is their mean until there are enough for a line. */
static void level_fit(struct detector_level *l, double away)
{
    double n = l->known + TREND_PRIOR;
    double gain = 2 * (2 * n - 1) / (n * (n + 1));

    gain = gain * l->count < 1 ? 1 / l->count : gain;
    l->mean += l->trend + gain * away;
    l->trend += 6 / (n * (n + 1)) * away;
}

static void level_move(struct detector_level *l, double to, double count)
{
    l->mean = to;
    l->count = count;
    l->far = 0;
    l->run.length = 0;
}

/* Has it moved for good? Then the mean begins anew where the last arrivals are. */
static bool level_look_for_move(struct detector_level *l, double offset)
{
    const struct detector_run *run = &l->run;

    if (run->length >= LEVEL_RUN) {
        double middle = run->sum / run->length;
        double away = size_of_real(middle - detector_level_at(l));

        if (run->high - run->low < away * LEVEL_AGREEMENT) {
            level_move(l, middle, run->length);
            return true;
        }
    }
    if (l->far >= LEVEL_FAR) {
        level_move(l, offset, 1);
        return true;
    }
    return false;
}

enum detector_level_sign detector_level_follow(struct detector_level *l, double offset)
{
    double bound = l->interval * LEVEL_BOUND;
    double away = clamp_real(offset - detector_level_at(l), bound);
    bool is_outlier = l->known > LEVEL_KNOWN && size_of_real(away) > LEVEL_OUTLIER * l->scatter;
    bool is_far = size_of_real(away) >= bound;
    bool is_late = away > 0;

    l->known = l->known < 1 / LEVEL_GAIN ? l->known + 1 : l->known;
    l->scatter += (size_of_real(detector_level_distance(l, offset)) - l->scatter) / l->known;
    if (l->scatter < l->interval * SCATTER_MIN) {
        l->scatter = l->interval * SCATTER_MIN;
    }
    run_take(&l->run, offset, is_outlier, is_late);
    l->far = is_far ? l->far + 1 : 0;
    l->count = l->count < 1 / LEVEL_GAIN ? l->count + 1 : l->count;
    level_fit(l, away);
    if (level_look_for_move(l, offset)) {
        return LEVEL_MOVED;
    }
    return !is_outlier ? LEVEL_USUAL : is_late ? LEVEL_LATE : LEVEL_EARLY;
}
