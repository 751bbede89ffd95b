/* Random numbers of the distributions that delays, pauses and losses follow. */
#ifndef NOVACRON_CHAOS_DETECT_LABDRAW_H
#define NOVACRON_CHAOS_DETECT_LABDRAW_H

#include "core/base/prng.h"

/* Uniform in (0, 1]. */
double labdraw_unit(struct prng *p);

/* Of the standard normal distribution (Marsaglia's polar method; its second number is not kept). */
double labdraw_normal(struct prng *p);

/* Exponential, of mean 1. */
double labdraw_exponential(struct prng *p);

/* Pareto's distribution from 1 upward: P(X > x) = x^-alpha; alpha > 0. */
double labdraw_pareto(struct prng *p, double alpha);

#endif
