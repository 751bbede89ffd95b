#include "core/base/cursor.h"

#include "core/base/check.h"
#include "core/base/le.h"

/* Nine groups of seven bits leave one bit for the tenth byte. */
#define VARINT_LAST_SHIFT 63

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
    uint64_t v = 0;
    for (unsigned shift = 0; shift <= VARINT_LAST_SHIFT; shift += 7) {
        uint8_t byte = cursor_u8(c);
        if (c->failed || (shift == VARINT_LAST_SHIFT && byte > 1)) {
            break;
        }
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            if (byte == 0 && shift > 0) {
                break;
            }
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
