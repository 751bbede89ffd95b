/*
 * base: the vocabulary that every other folder of the tree speaks.
 *
 * What lives here: scalar types, results, the one assert macro, memory, byte buffers and cursors,
 * checksums, the pseudo-random generator and the containers that more than one module needs.
 * Who may call it: everybody. What it may include: itself and the freestanding part of libc.
 *
 * Nothing in this folder reads a clock, a file, a random device or an environment variable, and
 * nothing in it has state of its own: the same call gives the same answer for ever.
 */
#ifndef NOVACRON_BASE_TYPES_H
#define NOVACRON_BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A member of a cluster. Zero is nobody. */
typedef uint64_t node_id;
#define NODE_NONE ((node_id)0)

/* A point in time or a span of time in nanoseconds, on the clock of the machine that names it.
 * A point counts from an origin of the world's choosing: only differences mean anything. */
typedef uint64_t nanos;

#define NANOS_PER_US  ((nanos)1000)
#define NANOS_PER_MS  ((nanos)1000000)
#define NANOS_PER_S   ((nanos)1000000000)
#define NANOS_FOREVER ((nanos)UINT64_MAX)

/* A view of bytes that somebody else owns; `data` may be NULL only where `len` is 0. */
struct bytes {
    const uint8_t *data;
    size_t len;
};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static inline uint64_t u64_min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t u64_max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* a + b, or UINT64_MAX where the sum does not fit: for deadlines built on NANOS_FOREVER. */
static inline uint64_t u64_add_sat(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* a - b, or 0 where b is larger. */
static inline uint64_t u64_sub_sat(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

#endif
