/*
 * What the laboratory says of a sample: quantiles, each with an interval that holds the true one
 * with a probability of at least 95 %.
 *
 * The interval is that of order statistics: it supposes nothing of the distribution, draws nothing,
 * and so is the same each time. Of a sample too small for 95 % it is the whole range, which is then
 * less certain; labstat_is_sure says so.
 */
#ifndef NOVACRON_CHAOS_DETECT_LABSTAT_H
#define NOVACRON_CHAOS_DETECT_LABSTAT_H

#include "core/base/types.h"

struct labstat_estimate {
    double value;
    double lo;
    double hi;
};

/* Ascending, in place. No NaN. */
void labstat_sort(double *values, size_t count);

/* The quantile q in [0, 1] of a sorted sample, between two values in proportion; 0 of none. */
double labstat_quantile(const double *sorted, size_t count, double q);

/* The same with its interval. */
struct labstat_estimate labstat_estimate_quantile(const double *sorted, size_t count, double q);

/* Is `count` enough for 95 % at quantile q? */
bool labstat_is_sure(size_t count, double q);

double labstat_mean(const double *values, size_t count);

#endif
