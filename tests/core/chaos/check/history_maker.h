/*
 * Makes histories that are linearizable for certain: operations of several processes on registers
 * that are real. Each takes effect at one instant between its invocation and its return; one of
 * unknown outcome at any later instant, or never.
 */
#ifndef NOVACRON_TESTS_HISTORY_MAKER_H
#define NOVACRON_TESTS_HISTORY_MAKER_H

#include "core/base/prng.h"
#include "core/chaos/check/lin.h"

struct history_recipe {
    size_t count;
    uint32_t processes;
    uint32_t keys;
    uint32_t values;      /* that writes choose among; 0: each writes a value of its own */
    uint32_t unknown_ppm; /* of a million, have an unknown outcome */
    uint32_t read_ppm;
    uint32_t cas_ppm; /* a half of them misses */
    uint32_t delete_ppm;
    bool has_revisions; /* as etcd reports them */
    nanos operation;    /* how long one takes, at most */
    nanos pause;        /* between two of a process, at most */
};

/* Fills `ops`, in the order of their invocations. */
void make_history(struct prng *p, const struct history_recipe *recipe, struct lin_op *ops);

#endif
