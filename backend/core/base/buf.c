#include "core/base/buf.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/le.h"
#include "core/base/mem.h"

/* A 64-bit number in groups of seven bits. */
#define VARINT_MAX_BYTES 10

/* The first allocation: most records and messages fit in it. */
#define BUF_FIRST_BYTES 64

void buf_init(struct buf *b)
{
    *b = (struct buf){.data = NULL, .len = 0, .cap = 0};
}

void buf_deinit(struct buf *b)
{
    mem_free(b->data);
    buf_init(b);
}

void buf_clear(struct buf *b)
{
    b->len = 0;
}

void buf_reserve(struct buf *b, size_t more)
{
    CHECK(b->len <= b->cap);
    CHECK(more <= SIZE_MAX - b->len);
    size_t need = b->len + more;
    if (need <= b->cap) {
        return;
    }
    size_t cap = b->cap == 0 ? BUF_FIRST_BYTES : b->cap;
    while (cap < need) {
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    }
    b->data = mem_realloc(b->data, cap);
    b->cap = cap;
}

uint8_t *buf_extend(struct buf *b, size_t n)
{
    buf_reserve(b, n == 0 ? 1 : n);
    uint8_t *at = b->data + b->len;
    b->len += n;
    return at;
}

void buf_put(struct buf *b, const void *data, size_t n)
{
    if (n > 0) {
        memcpy(buf_extend(b, n), data, n);
    }
}

void buf_put_u8(struct buf *b, uint8_t v)
{
    *buf_extend(b, sizeof v) = v;
}

void buf_put_u16(struct buf *b, uint16_t v)
{
    le16_store(buf_extend(b, sizeof v), v);
}

void buf_put_u32(struct buf *b, uint32_t v)
{
    le32_store(buf_extend(b, sizeof v), v);
}

void buf_put_u64(struct buf *b, uint64_t v)
{
    le64_store(buf_extend(b, sizeof v), v);
}

void buf_put_varint(struct buf *b, uint64_t v)
{
    buf_reserve(b, VARINT_MAX_BYTES);
    while (v >= 0x80) {
        b->data[b->len++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    b->data[b->len++] = (uint8_t)v;
}

void buf_put_bytes(struct buf *b, struct bytes v)
{
    buf_put_varint(b, v.len);
    buf_put(b, v.data, v.len);
}

void buf_set_u32(struct buf *b, size_t at, uint32_t v)
{
    CHECK(at <= b->len && b->len - at >= sizeof v);
    le32_store(b->data + at, v);
}

void buf_set_u64(struct buf *b, size_t at, uint64_t v)
{
    CHECK(at <= b->len && b->len - at >= sizeof v);
    le64_store(b->data + at, v);
}
