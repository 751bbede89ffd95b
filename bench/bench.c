#include "bench/bench.h"

#include <stdio.h>
#include <time.h>

nanos bench_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (nanos)now.tv_sec * NANOS_PER_S + (nanos)now.tv_nsec;
}

double bench_rate(uint64_t count, nanos spent)
{
    return (double)count * (double)NANOS_PER_S / (double)u64_max(spent, 1);
}

void bench_report(const char *name, double value, const char *unit)
{
    printf("%s: %.6g %s\n", name, value, unit);
}
