/*
 * A growable byte buffer, and the writers of all our formats on disk and on the wire.
 *
 * Integers are little-endian; a varint is LEB128 (7 bits a byte, low group first, at most ten
 * bytes), as in Protocol Buffers. core/base/cursor.h reads what this writes.
 */
#ifndef NOVACRON_BASE_BUF_H
#define NOVACRON_BASE_BUF_H

#include "core/base/types.h"

struct buf {
    uint8_t *data; /* owned; NULL while cap is 0 */
    size_t len;
    size_t cap;
};

void buf_init(struct buf *b);
void buf_deinit(struct buf *b);

/* Forgets the contents and keeps the memory: for buffers that live in a loop. */
void buf_clear(struct buf *b);

/* Makes room for `more` further bytes, so that the next puts of that many do not allocate. */
void buf_reserve(struct buf *b, size_t more);

/* Appends `n` bytes that the caller fills in; valid until the next call on this buffer. */
uint8_t *buf_extend(struct buf *b, size_t n);

void buf_put(struct buf *b, const void *data, size_t n);
void buf_put_u8(struct buf *b, uint8_t v);
void buf_put_u16(struct buf *b, uint16_t v);
void buf_put_u32(struct buf *b, uint32_t v);
void buf_put_u64(struct buf *b, uint64_t v);
void buf_put_varint(struct buf *b, uint64_t v);

/* A length as varint, then the bytes. */
void buf_put_bytes(struct buf *b, struct bytes v);

/* Overwrites four or eight bytes at `at`, which were put before: for lengths and checksums that
 * are known only at the end. */
void buf_set_u32(struct buf *b, size_t at, uint32_t v);
void buf_set_u64(struct buf *b, size_t at, uint64_t v);

static inline struct bytes buf_view(const struct buf *b)
{
    return (struct bytes){b->data, b->len};
}

#endif
