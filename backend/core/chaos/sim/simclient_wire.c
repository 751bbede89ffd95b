#include "core/chaos/sim/simclient_wire.h"

#include "core/base/check.h"
#include "core/base/le.h"
#include "core/store/store_pb.h"

/* Field numbers of etcd's rpc.proto. */
enum {
    TXN_COMPARE = 1,
    TXN_SUCCESS = 2,
    TXN_FAILURE = 3,
    OP_RANGE = 1,
    OP_PUT = 2,
    TXN_SUCCEEDED = 2, /* of a DeleteRangeResponse: deleted */
    RANGE_KVS = 2,
    KV_MOD_REVISION = 3,
    KV_VALUE = 5,
    COMPACTION_REVISION = 1,
    GRANT_TTL = 1,
    GRANT_ID = 2,
    REVOKE_ID = 1,
    COMPARE_MOD = 6, /* the member of target_union */
};

static uint8_t padding_at(uint64_t value, uint32_t i)
{
    return (uint8_t)(value * 131 + i * 17);
}

void simclient_encode_put(struct buf *b, struct bytes key, uint64_t value, uint32_t value_bytes,
                          int64_t lease)
{
    struct buf padded;

    CHECK(value_bytes >= 8);
    buf_init(&padded);
    buf_put_u64(&padded, value);
    uint8_t *rest = buf_extend(&padded, value_bytes - 8);
    for (uint32_t i = 8; i < value_bytes; i++) {
        rest[i - 8] = padding_at(value, i);
    }
    const struct store_put_request put = {.key = key, .value = buf_view(&padded), .lease = lease};
    store_put_encode(b, &put);
    buf_deinit(&padded);
}

void simclient_encode_delete(struct buf *b, struct bytes key)
{
    const struct store_delete_request request = {.key = key};
    store_delete_encode(b, &request);
}

void simclient_encode_swap(struct buf *b, struct bytes key, int64_t expected_modified,
                           uint64_t value, uint32_t value_bytes)
{
    const struct store_compare compare = {.result = STORE_COMPARE_EQUAL,
                                          .target = STORE_COMPARE_MOD,
                                          .key = key,
                                          .given = COMPARE_MOD,
                                          .number = expected_modified};
    size_t open = store_pb_open(b, TXN_COMPARE);
    store_compare_encode(b, &compare);
    store_pb_close(b, open);

    open = store_pb_open(b, TXN_SUCCESS);
    size_t op = store_pb_open(b, OP_PUT);
    simclient_encode_put(b, key, value, value_bytes, 0);
    store_pb_close(b, op);
    store_pb_close(b, open);

    open = store_pb_open(b, TXN_FAILURE);
    op = store_pb_open(b, OP_RANGE);
    const struct store_range_request range = {.key = key};
    store_range_encode(b, &range);
    store_pb_close(b, op);
    store_pb_close(b, open);
}

void simclient_encode_compaction(struct buf *b, int64_t revision)
{
    store_pb_put_i64(b, COMPACTION_REVISION, revision);
}

void simclient_encode_grant(struct buf *b, int64_t ttl_s, int64_t id)
{
    store_pb_put_i64(b, GRANT_TTL, ttl_s);
    store_pb_put_i64(b, GRANT_ID, id);
}

void simclient_encode_revoke(struct buf *b, int64_t id)
{
    store_pb_put_i64(b, REVOKE_ID, id);
}

bool simclient_changed(struct bytes response)
{
    struct store_pb pb;
    struct store_pb_field field;

    store_pb_init(&pb, response);
    while (store_pb_next(&pb, &field)) {
        if (field.number == TXN_SUCCEEDED) {
            return store_pb_u64(&pb, &field) != 0;
        }
    }
    return false;
}

uint64_t simclient_value(struct bytes value)
{
    if (value.len < 8) {
        return SIMCLIENT_MIXED_UP;
    }
    uint64_t number = le64_load(value.data);
    for (uint32_t i = 8; i < value.len; i++) {
        if (value.data[i] != padding_at(number, i)) {
            return SIMCLIENT_MIXED_UP;
        }
    }
    return number;
}

static void look_at_kv(struct bytes kv, uint64_t *ret_value, int64_t *ret_modified)
{
    struct store_pb pb;
    struct store_pb_field field;

    store_pb_init(&pb, kv);
    while (store_pb_next(&pb, &field)) {
        if (field.number == KV_VALUE) {
            *ret_value = simclient_value(store_pb_bytes(&pb, &field));
        } else if (field.number == KV_MOD_REVISION) {
            *ret_modified = store_pb_i64(&pb, &field);
        }
    }
}

void simclient_look(struct store *store, struct bytes key, uint64_t *ret_value,
                    int64_t *ret_modified, int64_t *ret_revision)
{
    const struct store_range_request range = {.key = key};
    struct buf request;
    struct buf response;
    struct store_pb pb;
    struct store_pb_field field;

    buf_init(&request);
    buf_init(&response);
    *ret_value = 0;
    *ret_modified = 0;
    store_range_encode(&request, &range);
    enum store_status status = store_range_read(store, buf_view(&request), ret_revision, &response);
    CHECK(status == STORE_OK); /* one key, at the newest revision */
    store_pb_init(&pb, buf_view(&response));
    while (store_pb_next(&pb, &field)) {
        if (field.number == RANGE_KVS) {
            look_at_kv(store_pb_bytes(&pb, &field), ret_value, ret_modified);
        }
    }
    buf_deinit(&request);
    buf_deinit(&response);
}
