/*
 * The pseudo-random generator: xoshiro256** [Blackman21], seeded through splitmix64.
 *
 * All randomness of the core comes from a generator that somebody else seeded. Every independent
 * part of a simulated world gets a child of its own (prng_fork), so that a further draw in one part
 * does not reshuffle the others. There are no floating-point draws: chances are ratios of integers.
 */
#ifndef NOVACRON_BASE_PRNG_H
#define NOVACRON_BASE_PRNG_H

#include "core/base/types.h"

struct prng {
    uint64_t s[4];
};

void prng_init(struct prng *p, uint64_t seed);

/* A generator for the part called `label`. It depends on the parent's seed state and the label
 * alone, and drawing from it leaves the parent as it is. */
struct prng prng_fork(const struct prng *parent, uint64_t label);

uint64_t prng_u64(struct prng *p);

/* Uniform in [0, bound), without bias; bound > 0. */
uint64_t prng_below(struct prng *p, uint64_t bound);

/* Uniform in [lo, hi], both included; lo <= hi. */
uint64_t prng_range(struct prng *p, uint64_t lo, uint64_t hi);

/* True in `num` of `den` cases; num <= den, den > 0. */
bool prng_chance(struct prng *p, uint64_t num, uint64_t den);

#endif
