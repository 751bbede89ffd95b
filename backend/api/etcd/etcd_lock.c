/*
 * Lock: etcd's v3lock. A lock is held as long as its key is there: until Unlock, or until the lease
 * ends. The client keeps the lease alive.
 */
#include "api/etcd/etcd_queue.h"

static void lock_on_turn(struct etcd_op *op)
{
    const struct store *store = etcd_op_store(op);
    if (store) {
        store_pb_put_bytes(&op->response, 2, buf_view(&etcd_queue_of(op)->key));
        etcd_answer(op, store_revision(store), buf_view(&op->response));
    }
}

static void lock_lock(struct etcd_op *op)
{
    struct store_pb pb;
    struct store_pb_field f;
    struct bytes name = {0};
    int64_t lease = 0;
    store_pb_init(&pb, buf_view(&op->body));
    while (store_pb_next(&pb, &f)) {
        name = f.number == 1 ? store_pb_bytes(&pb, &f) : name;
        lease = f.number == 2 ? store_pb_i64(&pb, &f) : lease;
    }
    if (pb.failed) {
        etcd_fail(op, ETCD_MALFORMED);
        return;
    }
    (void)etcd_queue_begin(op, name);
    etcd_queue_join(op, lease, (struct bytes){0}, lock_on_turn);
}

void etcd_lock_lock(struct rpc_call *call, struct bytes message)
{
    etcd_op_begin(call, message, lock_lock);
}

static void lock_on_unlocked(struct etcd_op *op)
{
    if (op->outcome != OK || op->request.status != STORE_OK) {
        etcd_queue_fail(op);
    } else {
        etcd_answer(op, op->request.revision, (struct bytes){0});
    }
}

/* An UnlockRequest has the key where a DeleteRangeRequest has it. */
static void lock_unlock(struct etcd_op *op)
{
    struct store_delete_request r;
    enum store_status status = store_delete_decode(buf_view(&op->body), &r);
    if (status != STORE_OK || r.key.len == 0) {
        etcd_fail_text(op, RPC_UNKNOWN,
                       store_status_text(status != STORE_OK ? status : STORE_KEY_EMPTY));
        return;
    }
    struct buf body;
    buf_init(&body);
    store_delete_encode(&body, &(struct store_delete_request){.key = r.key});
    buf_deinit(&op->body);
    op->body = body;
    op->goes_on = true;
    etcd_op_propose(op, STORE_KIND_DELETE, buf_view(&op->body), lock_on_unlocked);
}

void etcd_lock_unlock(struct rpc_call *call, struct bytes message)
{
    etcd_op_begin(call, message, lock_unlock);
}
