#include "api/pb_wire.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/le.h"

#define NUMBER_MAX ((1U << 29) - 1)

bool pb_take_varint(struct bytes *wire, uint64_t *ret)
{
    uint64_t value = 0;
    for (size_t i = 0; i < wire->len && i < 10; i++) {
        value |= (uint64_t)(wire->data[i] & 0x7F) << (7 * i);
        if ((wire->data[i] & 0x80) == 0) {
            wire->data += i + 1;
            wire->len -= i + 1;
            *ret = value;
            return true;
        }
    }
    return false;
}

static bool pb_take_fixed(struct bytes *wire, size_t n, uint64_t *ret)
{
    if (wire->len < n) {
        return false;
    }
    *ret = n == 8 ? le64_load(wire->data) : le32_load(wire->data);
    wire->data += n;
    wire->len -= n;
    return true;
}

static bool pb_take_bytes(struct bytes *wire, struct bytes *ret)
{
    uint64_t n = 0;
    if (!pb_take_varint(wire, &n) || n > wire->len) {
        return false;
    }
    *ret = (struct bytes){wire->data, (size_t)n};
    wire->data += n;
    wire->len -= (size_t)n;
    return true;
}

bool pb_next(struct bytes *wire, struct pb_field *ret)
{
    struct bytes at = *wire;
    uint64_t key = 0;
    if (!pb_take_varint(&at, &key) || key >> 3 == 0 || key >> 3 > NUMBER_MAX) {
        return false;
    }
    struct pb_field field = {.number = (uint32_t)(key >> 3), .type = (enum pb_type)(key & 7)};
    bool ok = false;
    switch (key & 7) {
    case PB_VARINT:
        ok = pb_take_varint(&at, &field.value);
        break;
    case PB_FIXED64:
        ok = pb_take_fixed(&at, 8, &field.value);
        break;
    case PB_BYTES:
        ok = pb_take_bytes(&at, &field.bytes);
        break;
    case PB_FIXED32:
        ok = pb_take_fixed(&at, 4, &field.value);
        break;
    default:
        break; /* groups, which proto3 does not have */
    }
    if (ok) {
        *wire = at;
        *ret = field;
    }
    return ok;
}

void pb_put_varint(struct buf *wire, uint32_t number, uint64_t value)
{
    buf_put_varint(wire, (uint64_t)number << 3 | PB_VARINT);
    buf_put_varint(wire, value);
}

void pb_put_bytes(struct buf *wire, uint32_t number, struct bytes value)
{
    buf_put_varint(wire, (uint64_t)number << 3 | PB_BYTES);
    buf_put_bytes(wire, value);
}

void pb_put_text(struct buf *wire, uint32_t number, const char *value)
{
    pb_put_bytes(wire, number, (struct bytes){(const uint8_t *)value, strlen(value)});
}

size_t pb_begin(struct buf *wire, uint32_t number)
{
    buf_put_varint(wire, (uint64_t)number << 3 | PB_BYTES);
    buf_put_u8(wire, 0);
    return wire->len;
}

void pb_end(struct buf *wire, size_t begun)
{
    size_t length = wire->len - begun;
    size_t extra = 0;
    for (size_t rest = length; rest >= 0x80; rest >>= 7) {
        extra++;
    }
    if (extra > 0) {
        (void)buf_extend(wire, extra);
        memmove(wire->data + begun + extra, wire->data + begun, length);
    }
    uint8_t *at = wire->data + begun - 1;
    for (size_t rest = length;; rest >>= 7) {
        if (rest < 0x80) {
            *at = (uint8_t)rest;
            break;
        }
        *at++ = (uint8_t)(rest | 0x80);
    }
}
