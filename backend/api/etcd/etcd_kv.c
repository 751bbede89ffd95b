/*
 * KV. Writes are proposed as the bytes that the client sent; every member proposes, and Raft passes
 * on what a follower got. Reads are linearizable unless they ask not to be. A txn without a write
 * is answered like a read.
 */
#include "api/etcd/etcd_int.h"

static void kv_range_now(struct etcd_op *op)
{
    etcd_op_range(op);
}

void etcd_kv_read(struct etcd_op *op, void (*now)(struct etcd_op *op))
{
    struct store_range_request r;
    enum store_status status = store_range_decode(buf_view(&op->body), &r);
    if (status == STORE_OK) {
        status = store_range_check(&r);
    }
    if (status != STORE_OK) {
        etcd_fail_status(op, status);
    } else if (r.serializable) {
        etcd_remark_stale(op->api, op->call);
        now(op);
    } else {
        etcd_op_read(op, now);
    }
}

static void kv_range(struct etcd_op *op)
{
    etcd_kv_read(op, kv_range_now);
}

void etcd_kv_range(struct rpc_call *call, struct bytes message)
{
    etcd_op_begin(call, message, kv_range);
}

/* Checks what needs no data, and proposes. */
static void kv_write(struct etcd_op *op, enum store_kind kind)
{
    enum store_status status = store_check_request(kind, buf_view(&op->body));
    if (status != STORE_OK) {
        etcd_fail_status(op, status);
    } else if (etcd_quota_lets(op, kind)) {
        etcd_op_propose(op, kind, buf_view(&op->body), etcd_answer_request);
    }
}

static void kv_put(struct etcd_op *op)
{
    struct store_put_request r;
    op->may_repeat = store_put_decode(buf_view(&op->body), &r) == STORE_OK && !r.prev_kv;
    kv_write(op, STORE_KIND_PUT);
}

void etcd_kv_put(struct rpc_call *call, struct bytes message)
{
    etcd_op_begin(call, message, kv_put);
}

static void kv_delete(struct etcd_op *op)
{
    kv_write(op, STORE_KIND_DELETE);
}

void etcd_kv_delete(struct rpc_call *call, struct bytes message)
{
    etcd_op_begin(call, message, kv_delete);
}

static void kv_txn_now(struct etcd_op *op)
{
    struct store *store = etcd_op_store(op);
    if (!store) {
        return;
    }
    int64_t revision = 0;
    struct store_user user = {buf_view(&op->user), store_auth_revision(store)};
    enum store_status status =
        store_rights_check(store, &user, STORE_KIND_TXN, buf_view(&op->body));
    if (status == STORE_OK) {
        status = store_txn_read(store, buf_view(&op->body), &revision, &op->response);
    }
    if (status != STORE_OK) {
        etcd_fail_status(op, status);
    } else {
        etcd_answer(op, revision, buf_view(&op->response));
    }
}

static void kv_txn(struct etcd_op *op)
{
    struct store_txn_request txn;
    enum store_status status = store_check_request(STORE_KIND_TXN, buf_view(&op->body));
    if (status == STORE_OK) {
        status = store_txn_decode(buf_view(&op->body), &txn);
    }
    if (status != STORE_OK) {
        etcd_fail_status(op, status);
    } else if (!store_txn_is_read_only(&txn)) {
        kv_write(op, STORE_KIND_TXN);
    } else if (store_txn_is_serializable(&txn)) {
        etcd_remark_stale(op->api, op->call);
        kv_txn_now(op);
    } else {
        etcd_op_read(op, kv_txn_now);
    }
}

void etcd_kv_txn(struct rpc_call *call, struct bytes message)
{
    etcd_op_begin(call, message, kv_txn);
}

static void kv_compact(struct etcd_op *op)
{
    op->may_repeat = true;
    kv_write(op, STORE_KIND_COMPACTION);
}

void etcd_kv_compact(struct rpc_call *call, struct bytes message)
{
    etcd_op_begin(call, message, kv_compact);
}
