/* The requests as a client writes them, and the questions that one asks of a decoded txn. */
#include "core/store/store_pb.h"
#include "core/store/store_request.h"

void store_range_encode(struct buf *b, const struct store_range_request *r)
{
    store_pb_put_bytes(b, 1, r->key);
    store_pb_put_bytes(b, 2, r->range_end);
    store_pb_put_i64(b, 3, r->limit);
    store_pb_put_i64(b, 4, r->revision);
    store_pb_put_i64(b, 5, r->sort_order);
    store_pb_put_i64(b, 6, r->sort_target);
    store_pb_put_bool(b, 7, r->serializable);
    store_pb_put_bool(b, 8, r->keys_only);
    store_pb_put_bool(b, 9, r->count_only);
    store_pb_put_i64(b, 10, r->min_mod_revision);
    store_pb_put_i64(b, 11, r->max_mod_revision);
    store_pb_put_i64(b, 12, r->min_create_revision);
    store_pb_put_i64(b, 13, r->max_create_revision);
}

void store_put_encode(struct buf *b, const struct store_put_request *r)
{
    store_pb_put_bytes(b, 1, r->key);
    store_pb_put_bytes(b, 2, r->value);
    store_pb_put_i64(b, 3, r->lease);
    store_pb_put_bool(b, 4, r->prev_kv);
    store_pb_put_bool(b, 5, r->ignore_value);
    store_pb_put_bool(b, 6, r->ignore_lease);
}

void store_delete_encode(struct buf *b, const struct store_delete_request *r)
{
    store_pb_put_bytes(b, 1, r->key);
    store_pb_put_bytes(b, 2, r->range_end);
    store_pb_put_bool(b, 3, r->prev_kv);
}

void store_compare_encode(struct buf *b, const struct store_compare *c)
{
    store_pb_put_i64(b, 1, c->result);
    store_pb_put_i64(b, 2, c->target);
    store_pb_put_bytes(b, 3, c->key);
    if (c->given == 7) {
        store_pb_put_message(b, 7, c->value.len);
        buf_put(b, c->value.data, c->value.len);
    } else if (c->given != 0) {
        buf_put_varint(b, (uint64_t)c->given << 3);
        buf_put_varint(b, (uint64_t)c->number);
    }
    store_pb_put_bytes(b, 64, c->range_end);
}

void store_watch_encode(struct buf *b, const struct store_watch_request *r)
{
    store_pb_put_bytes(b, 1, r->key);
    store_pb_put_bytes(b, 2, r->range_end);
    store_pb_put_i64(b, 3, r->start_revision);
    store_pb_put_bool(b, 4, r->progress_notify);
    if (r->no_put) {
        buf_put_u8(b, 5 << 3);
        buf_put_u8(b, 0);
    }
    if (r->no_delete) {
        buf_put_u8(b, 5 << 3);
        buf_put_u8(b, 1);
    }
    store_pb_put_bool(b, 6, r->prev_kv);
    store_pb_put_i64(b, 7, r->watch_id);
    store_pb_put_bool(b, 8, r->fragment);
}

static bool txn_branches_are(const struct store_txn_request *txn, bool must_be_serializable)
{
    for (uint32_t branch = 2; branch <= 3; branch++) {
        size_t at = 0;
        struct bytes item;
        while (store_txn_item(txn, branch, &at, &item)) {
            struct store_op op;
            struct store_range_request r;
            if (store_op_decode(item, &op) != STORE_OK || op.kind != STORE_OP_RANGE) {
                return false;
            }
            if (must_be_serializable &&
                (store_range_decode(op.body, &r) != STORE_OK || !r.serializable)) {
                return false;
            }
        }
    }
    return true;
}

bool store_txn_is_read_only(const struct store_txn_request *txn)
{
    return txn_branches_are(txn, false);
}

bool store_txn_is_serializable(const struct store_txn_request *txn)
{
    return txn_branches_are(txn, true);
}
