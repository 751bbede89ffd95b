/*
 * What every bench includes: a clock, and the one way to print a figure.
 *
 * A bench is a program, not a timed test: it prints its configuration in words, and ends with its
 * figures, each a line `name: value unit`. docs/benchmarks.md says what each figure means.
 */
#ifndef NOVACRON_BENCH_BENCH_H
#define NOVACRON_BENCH_BENCH_H

#include "core/base/types.h"

/* Now, on the monotonic clock. */
nanos bench_now(void);

/* `count` in `spent`, by the second. */
double bench_rate(uint64_t count, nanos spent);

void bench_report(const char *name, double value, const char *unit);

/* Keeps the compiler from dropping the work that led to `v`. */
static inline void bench_keep(uint64_t v)
{
    __asm__ volatile("" : : "r"(v) : "memory");
}

#endif
