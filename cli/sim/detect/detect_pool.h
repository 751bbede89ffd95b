/*
 * Many runs in processes of their own, each with a result of fixed size. Workers are forked and
 * take the next run that nobody took; results are in the order of the runs, so they do not depend
 * on who did which.
 */
#ifndef NOVACRON_CLI_SIM_DETECT_POOL_H
#define NOVACRON_CLI_SIM_DETECT_POOL_H

#include "core/base/types.h"

struct detect_work {
    size_t runs;
    size_t result_bytes; /* of one run */
    /* Does run `index`; `result` is zeroed. What it changes elsewhere stays in the worker. */
    void (*run)(const void *ctx, size_t index, void *result);
    const void *ctx;
    uint32_t jobs;
};

/* All results, one after another, to be given back by detect_pool_free; NULL: a worker died, which
 * was said on stderr with the run that it had taken. */
void *detect_pool_run(const struct detect_work *work);
void detect_pool_free(void *results, const struct detect_work *work);

#endif
