#include "core/store/store_envelope.h"

#include "core/base/check.h"
#include "core/base/cursor.h"
#include "core/store/store_limits.h"

void store_envelope_encode(struct buf *b, const struct store_envelope *e)
{
    CHECK(e->origin != NODE_NONE && e->sequence > 0 && e->user.len <= STORE_USER_BYTES_MAX);
    size_t start = b->len;
    buf_reserve(b, STORE_ENVELOPE_HEADER_BYTES + e->user.len + e->body.len);
    buf_put_u8(b, STORE_ENVELOPE_VERSION);
    buf_put_u8(b, e->kind);
    buf_put_u16(b, e->feature_level);
    buf_put_u32(b, 0);
    buf_put_u64(b, e->origin);
    buf_put_u64(b, e->boot);
    buf_put_u64(b, e->sequence);
    buf_put_u64(b, e->auth_revision);
    buf_put_u64(b, e->assigned_id);
    buf_put_u64(b, e->assigned_time_ns);
    buf_put_u64(b, e->term);
    buf_put_u32(b, e->lease_ttl_min_s);
    buf_put_u16(b, (uint16_t)e->user.len);
    CHECK(b->len - start == STORE_ENVELOPE_HEADER_BYTES);
    buf_put(b, e->user.data, e->user.len);
    buf_put(b, e->body.data, e->body.len);
}

enum err store_envelope_decode(struct bytes payload, struct store_envelope *ret)
{
    struct cursor c;
    cursor_init(&c, payload);
    uint8_t version = cursor_u8(&c);
    if (cursor_ok(&c) && version > STORE_ENVELOPE_VERSION) {
        return ERR_UNSUPPORTED;
    }
    struct store_envelope e = {.kind = cursor_u8(&c), .feature_level = cursor_u16(&c)};
    uint32_t reserved = cursor_u32(&c);
    e.origin = cursor_u64(&c);
    e.boot = cursor_u64(&c);
    e.sequence = cursor_u64(&c);
    e.auth_revision = cursor_u64(&c);
    e.assigned_id = cursor_u64(&c);
    e.assigned_time_ns = cursor_u64(&c);
    e.term = cursor_u64(&c);
    e.lease_ttl_min_s = cursor_u32(&c);
    uint16_t user_len = cursor_u16(&c);
    e.user = cursor_take(&c, user_len);
    e.body = cursor_take(&c, cursor_left(&c));
    if (!cursor_done(&c) || version != STORE_ENVELOPE_VERSION || reserved != 0 ||
        e.origin == NODE_NONE || e.sequence == 0 || user_len > STORE_USER_BYTES_MAX) {
        return ERR_CORRUPT;
    }
    *ret = e;
    return OK;
}

int store_kind_level(uint8_t kind)
{
    switch (kind) {
#define STORE_KIND_CASE(name, number, level)                                                       \
    case number:                                                                                   \
        return level;
        STORE_KIND_TABLE(STORE_KIND_CASE)
#undef STORE_KIND_CASE
    default:
        return -1;
    }
}
