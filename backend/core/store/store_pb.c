#include "core/store/store_pb.h"

#include <string.h>

#include "core/base/check.h"

#define PB_VARINT_BYTES_MAX 10
#define PB_FIELD_NUMBER_MAX 536870911u

static uint64_t pb_varint(struct store_pb *pb)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < PB_VARINT_BYTES_MAX; i++) {
        if (pb->at == pb->end) {
            break;
        }
        uint8_t byte = *pb->at++;
        if (i == PB_VARINT_BYTES_MAX - 1 && byte > 1) {
            break;
        }
        v |= (uint64_t)(byte & 0x7f) << (7 * i);
        if ((byte & 0x80) == 0) {
            return v;
        }
    }
    pb->failed = true;
    return 0;
}

static struct bytes pb_take(struct store_pb *pb, uint64_t n)
{
    if (pb->failed || n > (size_t)(pb->end - pb->at)) {
        pb->failed = true;
        return (struct bytes){0};
    }
    struct bytes view = {pb->at, (size_t)n};
    if (n > 0) {
        pb->at += n;
    }
    return view;
}

static uint64_t pb_fixed(struct store_pb *pb, unsigned n)
{
    struct bytes view = pb_take(pb, n);
    uint64_t v = 0;
    for (size_t i = 0; i < view.len; i++) {
        v |= (uint64_t)view.data[i] << (8 * i);
    }
    return v;
}

bool store_pb_next(struct store_pb *pb, struct store_pb_field *ret)
{
    if (pb->failed || pb->at == pb->end) {
        return false;
    }
    uint64_t tag = pb_varint(pb);
    uint64_t number = tag >> 3;
    if (pb->failed || number == 0 || number > PB_FIELD_NUMBER_MAX) {
        pb->failed = true;
        return false;
    }
    struct store_pb_field f = {.number = (uint32_t)number};
    switch (tag & 7) {
    case STORE_PB_VARINT:
        f.wire = STORE_PB_VARINT;
        f.value = pb_varint(pb);
        break;
    case STORE_PB_FIXED64:
        f.wire = STORE_PB_FIXED64;
        f.value = pb_fixed(pb, 8);
        break;
    case STORE_PB_LEN:
        f.wire = STORE_PB_LEN;
        f.bytes = pb_take(pb, pb_varint(pb));
        break;
    case STORE_PB_FIXED32:
        f.wire = STORE_PB_FIXED32;
        f.value = pb_fixed(pb, 4);
        break;
    default:
        pb->failed = true;
        break;
    }
    if (pb->failed) {
        return false;
    }
    *ret = f;
    return true;
}

uint64_t store_pb_u64(struct store_pb *pb, const struct store_pb_field *f)
{
    if (f->wire != STORE_PB_VARINT) {
        pb->failed = true;
        return 0;
    }
    return f->value;
}

int64_t store_pb_i64(struct store_pb *pb, const struct store_pb_field *f)
{
    return (int64_t)store_pb_u64(pb, f);
}

int32_t store_pb_enum(struct store_pb *pb, const struct store_pb_field *f)
{
    return (int32_t)(uint32_t)store_pb_u64(pb, f);
}

bool store_pb_bool(struct store_pb *pb, const struct store_pb_field *f)
{
    return store_pb_u64(pb, f) != 0;
}

struct bytes store_pb_bytes(struct store_pb *pb, const struct store_pb_field *f)
{
    if (f->wire != STORE_PB_LEN) {
        pb->failed = true;
        return (struct bytes){0};
    }
    return f->bytes;
}

static void pb_put_tag(struct buf *b, uint32_t number, enum store_pb_wire wire)
{
    buf_put_varint(b, (uint64_t)number << 3 | (uint64_t)wire);
}

void store_pb_put_u64(struct buf *b, uint32_t number, uint64_t v)
{
    if (v != 0) {
        pb_put_tag(b, number, STORE_PB_VARINT);
        buf_put_varint(b, v);
    }
}

void store_pb_put_i64(struct buf *b, uint32_t number, int64_t v)
{
    store_pb_put_u64(b, number, (uint64_t)v);
}

void store_pb_put_bool(struct buf *b, uint32_t number, bool v)
{
    store_pb_put_u64(b, number, v ? 1 : 0);
}

void store_pb_put_bytes(struct buf *b, uint32_t number, struct bytes v)
{
    if (v.len > 0) {
        pb_put_tag(b, number, STORE_PB_LEN);
        buf_put_bytes(b, v);
    }
}

void store_pb_put_message(struct buf *b, uint32_t number, size_t len)
{
    pb_put_tag(b, number, STORE_PB_LEN);
    buf_put_varint(b, len);
}

size_t store_pb_open(struct buf *b, uint32_t number)
{
    pb_put_tag(b, number, STORE_PB_LEN);
    buf_put_u8(b, 0);
    return b->len;
}

static size_t varint_bytes(uint64_t v)
{
    return v == 0 ? 1 : (size_t)(64 - __builtin_clzll(v) + 6) / 7;
}

void store_pb_close(struct buf *b, size_t opened)
{
    CHECK(opened <= b->len && opened > 0);
    size_t len = b->len - opened;
    size_t width = varint_bytes(len);
    if (width > 1) {
        (void)buf_extend(b, width - 1);
        memmove(b->data + opened + width - 1, b->data + opened, len);
    }
    uint8_t *at = b->data + opened - 1;
    for (size_t i = 0; i < width; i++) {
        at[i] = (uint8_t)((len >> (7 * i) & 0x7f) | (i + 1 < width ? 0x80u : 0u));
    }
}

size_t store_pb_u64_bytes(uint32_t number, uint64_t v)
{
    return v == 0 ? 0 : varint_bytes((uint64_t)number << 3) + varint_bytes(v);
}

size_t store_pb_bytes_bytes(uint32_t number, size_t len)
{
    return len == 0 ? 0 : varint_bytes((uint64_t)number << 3) + varint_bytes(len) + len;
}
