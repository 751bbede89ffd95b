/*
 * Reads untrusted bytes. A cursor never reads past its end: a read that does not fit fails, sets
 * `failed` for good and returns zero, so that a decoder reads a whole record and asks once.
 *
 *     uint32_t n = cursor_u32(&c);
 *     struct bytes name = cursor_bytes(&c, NAME_MAX_BYTES);
 *     if (!cursor_ok(&c)) { return ERR_TRUNCATED; }
 */
#ifndef NOVACRON_BASE_CURSOR_H
#define NOVACRON_BASE_CURSOR_H

#include "core/base/types.h"

struct cursor {
    const uint8_t *at; /* borrowed, like the views that reads return */
    const uint8_t *end;
    bool failed;
};

void cursor_init(struct cursor *c, struct bytes b);

uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_u16(struct cursor *c);
uint32_t cursor_u32(struct cursor *c);
uint64_t cursor_u64(struct cursor *c);

/* Fails on an encoding longer than ten bytes, one that overflows 64 bits, and one that is not the
 * shortest for its value: each number has one encoding, so that equal messages are equal bytes. */
uint64_t cursor_varint(struct cursor *c);

/* The next `n` bytes, as a view. */
struct bytes cursor_take(struct cursor *c, size_t n);

/* A varint length, which must not be above `max`, then that many bytes, as a view. */
struct bytes cursor_bytes(struct cursor *c, size_t max);

static inline size_t cursor_left(const struct cursor *c)
{
    return c->failed ? 0 : (size_t)(c->end - c->at);
}

/* Is everything up to here well-formed? */
static inline bool cursor_ok(const struct cursor *c)
{
    return !c->failed;
}

/* Well-formed, and nothing is left over? */
static inline bool cursor_done(const struct cursor *c)
{
    return !c->failed && c->at == c->end;
}

#endif
