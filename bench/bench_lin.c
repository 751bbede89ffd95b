/*
 * The checker of linearizability on what a simulated run leaves behind: it is called for every
 * seed, so that it must cost less than the run.
 */
#include "bench/bench.h"

#include <stdio.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/chaos/check/lin.h"
#include "tests/core/chaos/check/history_maker.h"

#define HISTORIES 200

static void bench_histories(const char *name, const struct history_recipe *recipe)
{
    struct prng p;
    prng_init(&p, 1);
    struct lin_limits limits = lin_limits_plain();
    struct lin *lin = lin_open(&limits);
    struct lin_op *ops = mem_alloc(recipe->count * sizeof(*ops));
    nanos spent = 0;
    nanos longest = 0;
    uint64_t steps = 0;
    for (size_t i = 0; i < HISTORIES; i++) {
        struct lin_report report;
        make_history(&p, recipe, ops);
        nanos start = bench_now();
        lin_check(lin, ops, recipe->count, NULL, NULL, &report, NULL);
        nanos took = bench_now() - start;
        CHECK(report.verdict == LIN_LINEARIZABLE);
        spent += took;
        longest = u64_max(longest, took);
        steps += report.steps;
    }
    printf("%s: %zu operations, %u keys, %u processes, %u %% unknown; %.1f steps an operation, "
           "longest %.3f ms\n",
           name, recipe->count, recipe->keys, recipe->processes, recipe->unknown_ppm / 10000,
           (double)steps / (double)(recipe->count * HISTORIES), (double)longest / NANOS_PER_MS);
    bench_report(name, (double)spent / HISTORIES / NANOS_PER_US, "us");
    mem_free(ops);
    lin_close(lin);
}

int main(void)
{
    struct history_recipe recipe = {.count = 3000,
                                    .processes = 20,
                                    .keys = 20,
                                    .unknown_ppm = 100000,
                                    .read_ppm = 500000,
                                    .cas_ppm = 100000,
                                    .delete_ppm = 20000,
                                    .operation = 20 * NANOS_PER_MS,
                                    .pause = 20 * NANOS_PER_MS};
    bench_histories("lin_check_us", &recipe);
    recipe.has_revisions = true;
    bench_histories("lin_check_revisions_us", &recipe);
    recipe.keys = 1;
    bench_histories("lin_check_revisions_one_key_us", &recipe);
    recipe.has_revisions = false;
    recipe.cas_ppm = 0;
    bench_histories("lin_check_one_key_us", &recipe);
    return 0;
}
