#include "core/store/store_kv.h"

#include <string.h>

#include "core/base/check.h"
#include "core/store/store_pb.h"

static size_t kv_bytes(const struct store_version *v, bool keys_only)
{
    return store_pb_bytes_bytes(1, v->key->len) +
           store_pb_u64_bytes(2, (uint64_t)v->create_revision) +
           store_pb_u64_bytes(3, (uint64_t)v->mod_revision) +
           store_pb_u64_bytes(4, (uint64_t)v->version) +
           (keys_only ? 0 : store_pb_bytes_bytes(5, v->value_len)) +
           store_pb_u64_bytes(6, (uint64_t)v->lease);
}

static uint8_t *write_varint(uint8_t *at, uint64_t v)
{
    while (v >= 0x80) {
        *at++ = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    *at++ = (uint8_t)v;
    return at;
}

static uint8_t *write_number(uint8_t *at, uint8_t tag, int64_t v)
{
    if (v == 0) {
        return at;
    }
    *at++ = tag;
    return write_varint(at, (uint64_t)v);
}

static uint8_t *write_bytes(uint8_t *at, uint8_t tag, struct bytes v)
{
    if (v.len == 0) {
        return at;
    }
    *at++ = tag;
    at = write_varint(at, v.len);
    memcpy(at, v.data, v.len);
    return at + v.len;
}

void store_kv_put(struct buf *b, uint32_t number, const struct store_version *v, bool keys_only)
{
    size_t len = kv_bytes(v, keys_only);
    store_pb_put_message(b, number, len);
    uint8_t *start = buf_extend(b, len);
    uint8_t *at = write_bytes(start, 1 << 3 | STORE_PB_LEN, store_key_view(v->key));
    at = write_number(at, 2 << 3, v->create_revision);
    at = write_number(at, 3 << 3, v->mod_revision);
    at = write_number(at, 4 << 3, v->version);
    if (!keys_only) {
        at = write_bytes(at, 5 << 3 | STORE_PB_LEN, store_version_value(v));
    }
    at = write_number(at, 6 << 3, v->lease);
    CHECK(at == start + len);
}

static size_t event_body_bytes(const struct store_version *v, const struct store_version *prev)
{
    return store_pb_u64_bytes(1, v->tombstone ? 1 : 0) +
           store_pb_bytes_bytes(2, kv_bytes(v, false)) +
           (prev == NULL ? 0 : store_pb_bytes_bytes(3, kv_bytes(prev, false)));
}

size_t store_event_bytes(uint32_t number, const struct store_version *v,
                         const struct store_version *prev)
{
    return store_pb_bytes_bytes(number, event_body_bytes(v, prev));
}

void store_event_put(struct buf *b, uint32_t number, const struct store_version *v,
                     const struct store_version *prev)
{
    store_pb_put_message(b, number, event_body_bytes(v, prev));
    store_pb_put_u64(b, 1, v->tombstone ? 1 : 0);
    store_kv_put(b, 2, v, false);
    if (prev != NULL) {
        store_kv_put(b, 3, prev, false);
    }
}
