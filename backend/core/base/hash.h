/* 64-bit hashes of state (XXH3, by libxxhash): for comparing replicas and simulator runs, never
 * against an adversary. Hash values, not structs: padding has no defined bytes. */
#ifndef NOVACRON_BASE_HASH_H
#define NOVACRON_BASE_HASH_H

#include "core/base/types.h"

/* The hash of `data`, chained onto `seed`. */
uint64_t hash_bytes(uint64_t seed, const void *data, size_t n);

/* The hash of one number, chained onto `seed`. */
uint64_t hash_u64(uint64_t seed, uint64_t v);

#endif
