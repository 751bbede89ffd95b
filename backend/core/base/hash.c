#include "core/base/hash.h"

#include <xxhash.h>

#include "core/base/le.h"

uint64_t hash_bytes(uint64_t seed, const void *data, size_t n)
{
    return XXH3_64bits_withSeed(data, n, seed);
}

/* Of the number's bytes in little-endian order, so that machines of either order agree. */
uint64_t hash_u64(uint64_t seed, uint64_t v)
{
    uint8_t bytes[sizeof v];
    le64_store(bytes, v);
    return hash_bytes(seed, bytes, sizeof bytes);
}
