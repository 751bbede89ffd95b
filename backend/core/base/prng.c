#include "core/base/prng.h"

#include "core/base/check.h"

/* splitmix64: one step of its counter, and its mixing function [Steele14]. */
#define SPLITMIX_GAMMA UINT64_C(0x9e3779b97f4a7c15)

static uint64_t splitmix_mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t u64_rotl(uint64_t x, unsigned k)
{
    return x << k | x >> (64 - k);
}

void prng_init(struct prng *p, uint64_t seed)
{
    for (size_t i = 0; i < COUNT_OF(p->s); i++) {
        seed += SPLITMIX_GAMMA;
        p->s[i] = splitmix_mix(seed);
    }
}

struct prng prng_fork(const struct prng *parent, uint64_t label)
{
    uint64_t seed = splitmix_mix(label + SPLITMIX_GAMMA);
    for (size_t i = 0; i < COUNT_OF(parent->s); i++) {
        seed = splitmix_mix((seed ^ parent->s[i]) + SPLITMIX_GAMMA);
    }
    struct prng child;
    prng_init(&child, seed);
    return child;
}

uint64_t prng_u64(struct prng *p)
{
    uint64_t *s = p->s;
    uint64_t result = u64_rotl(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = u64_rotl(s[3], 45);
    return result;
}

/* The high word of draw * bound, with the draws that would make some results likelier than others
 * thrown away [Lemire19]. */
uint64_t prng_below(struct prng *p, uint64_t bound)
{
    CHECK(bound > 0);
    unsigned __int128 product = (unsigned __int128)prng_u64(p) * bound;
    if ((uint64_t)product < bound) {
        uint64_t surplus = (0 - bound) % bound;
        while ((uint64_t)product < surplus) {
            product = (unsigned __int128)prng_u64(p) * bound;
        }
    }
    return (uint64_t)(product >> 64);
}

uint64_t prng_range(struct prng *p, uint64_t lo, uint64_t hi)
{
    CHECK(lo <= hi);
    uint64_t width = hi - lo;
    return width == UINT64_MAX ? prng_u64(p) : lo + prng_below(p, width + 1);
}

bool prng_chance(struct prng *p, uint64_t num, uint64_t den)
{
    CHECK(den > 0 && num <= den);
    return prng_below(p, den) < num;
}
