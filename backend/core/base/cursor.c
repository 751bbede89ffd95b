#include "core/base/cursor.h"

#include "core/base/check.h"
#include "core/base/le.h"

/* A 64-bit number in groups of seven bits: nine of them leave one bit for the tenth byte. */
#define VARINT_MAX_BYTES 10
#define VARINT_LAST_MAX  1

void cursor_init(struct cursor *c, struct bytes b)
{
    CHECK(b.data != NULL || b.len == 0);
    c->at = b.data;
    c->end = b.len == 0 ? b.data : b.data + b.len;
    c->failed = false;
}

/* The next `n` > 0 bytes, or NULL where they are not all there. */
static const uint8_t *cursor_advance(struct cursor *c, size_t n)
{
    if (n > cursor_left(c)) {
        c->failed = true;
        return NULL;
    }
    const uint8_t *at = c->at;
    c->at += n;
    return at;
}

uint8_t cursor_u8(struct cursor *c)
{
    const uint8_t *p = cursor_advance(c, sizeof(uint8_t));
    return p == NULL ? 0 : *p;
}

uint16_t cursor_u16(struct cursor *c)
{
    const uint8_t *p = cursor_advance(c, sizeof(uint16_t));
    return p == NULL ? 0 : le16_load(p);
}

uint32_t cursor_u32(struct cursor *c)
{
    const uint8_t *p = cursor_advance(c, sizeof(uint32_t));
    return p == NULL ? 0 : le32_load(p);
}

uint64_t cursor_u64(struct cursor *c)
{
    const uint8_t *p = cursor_advance(c, sizeof(uint64_t));
    return p == NULL ? 0 : le64_load(p);
}

uint64_t cursor_varint(struct cursor *c)
{
    size_t left = cursor_left(c);
    size_t max = left < VARINT_MAX_BYTES ? left : VARINT_MAX_BYTES;
    uint64_t v = 0;
    for (size_t i = 0; i < max; i++) {
        uint8_t byte = c->at[i];
        v |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            bool overflows = i == VARINT_MAX_BYTES - 1 && byte > VARINT_LAST_MAX;
            bool shortest = byte != 0 || i == 0;
            if (overflows || !shortest) {
                break;
            }
            c->at += i + 1;
            return v;
        }
    }
    c->failed = true;
    return 0;
}

struct bytes cursor_take(struct cursor *c, size_t n)
{
    if (n == 0 || c->failed) {
        return (struct bytes){c->failed ? NULL : c->at, 0};
    }
    const uint8_t *p = cursor_advance(c, n);
    return (struct bytes){p, p == NULL ? 0 : n};
}

struct bytes cursor_bytes(struct cursor *c, size_t max)
{
    uint64_t n = cursor_varint(c);
    if (n > max) {
        c->failed = true;
        return (struct bytes){NULL, 0};
    }
    return cursor_take(c, (size_t)n);
}
