/*
 * Election: etcd's v3election. Who is at the head of the queue leads, and says so with the value of
 * its key. Observers hear of each leader and of what it proclaims; of values that follow each other
 * faster than an observer reads, or within one turn of the loop, it hears the last.
 */
#include <string.h>

#include "api/etcd/etcd_queue.h"

#define NOT_LEADER "election: not leader"
#define NO_LEADER  "election: no leader"

/* LeaderKey, and the fields 1 to 3 around it in the requests. */
struct election_request {
    struct bytes name;
    struct bytes key;
    struct bytes value;
    int64_t revision;
    int64_t lease;
};

static bool election_leader_decode(struct bytes b, struct election_request *r)
{
    struct store_pb pb;
    struct store_pb_field f;
    store_pb_init(&pb, b);
    while (store_pb_next(&pb, &f)) {
        r->name = f.number == 1 ? store_pb_bytes(&pb, &f) : r->name;
        r->key = f.number == 2 ? store_pb_bytes(&pb, &f) : r->key;
        r->revision = f.number == 3 ? store_pb_i64(&pb, &f) : r->revision;
        r->lease = f.number == 4 ? store_pb_i64(&pb, &f) : r->lease;
    }
    return !pb.failed;
}

/* --- campaign -------------------------------------------------------------------------------- */

static void campaign_on_turn(struct etcd_op *op)
{
    const struct etcd_queue *q = etcd_queue_of(op);
    const struct store *store = etcd_op_store(op);
    if (!store) {
        return;
    }
    size_t leader = store_pb_open(&op->response, 2);
    store_pb_put_bytes(&op->response, 1, buf_view(&q->name));
    store_pb_put_bytes(&op->response, 2, buf_view(&q->key));
    store_pb_put_i64(&op->response, 3, q->revision);
    store_pb_put_i64(&op->response, 4, q->lease);
    store_pb_close(&op->response, leader);
    etcd_answer(op, store_revision(store), buf_view(&op->response));
}

static void election_campaign(struct etcd_op *op)
{
    struct store_pb pb;
    struct store_pb_field f;
    struct election_request r = {0};
    store_pb_init(&pb, buf_view(&op->body));
    while (store_pb_next(&pb, &f)) {
        r.name = f.number == 1 ? store_pb_bytes(&pb, &f) : r.name;
        r.lease = f.number == 2 ? store_pb_i64(&pb, &f) : r.lease;
        r.value = f.number == 3 ? store_pb_bytes(&pb, &f) : r.value;
    }
    if (pb.failed) {
        etcd_fail(op, ETCD_MALFORMED);
        return;
    }
    (void)etcd_queue_begin(op, r.name);
    etcd_queue_join(op, r.lease, r.value, campaign_on_turn);
}

void etcd_election_campaign(struct rpc_call *call, struct bytes message)
{
    etcd_op_begin(call, message, election_campaign);
}

/* --- proclaim, resign ------------------------------------------------------------------------ */

static void proclaim_on_done(struct etcd_op *op)
{
    if (op->outcome != OK || op->request.status != STORE_OK) {
        etcd_queue_fail(op);
    } else if (!etcd_queue_succeeded(op)) {
        etcd_fail_text(op, RPC_UNKNOWN, NOT_LEADER);
    } else {
        etcd_answer(op, op->request.revision, (struct bytes){0});
    }
}

/* One who leads no more has nothing to resign from. */
static void resign_on_done(struct etcd_op *op)
{
    if (op->outcome != OK || op->request.status != STORE_OK) {
        etcd_queue_fail(op);
    } else {
        etcd_answer(op, op->request.revision, (struct bytes){0});
    }
}

static bool election_request_of(struct etcd_op *op, struct election_request *r)
{
    struct store_pb pb;
    struct store_pb_field f;
    bool is_good = true;
    store_pb_init(&pb, buf_view(&op->body));
    while (store_pb_next(&pb, &f)) {
        if (f.number == 1) {
            is_good = election_leader_decode(store_pb_bytes(&pb, &f), r) && is_good;
        } else if (f.number == 2) {
            r->value = store_pb_bytes(&pb, &f);
        }
    }
    if (pb.failed || !is_good) {
        etcd_fail(op, ETCD_MALFORMED);
        return false;
    }
    if (r->key.len == 0) {
        etcd_fail_text(op, RPC_UNKNOWN, "\"leader\" field must be provided");
        return false;
    }
    return true;
}

static void election_proclaim(struct etcd_op *op)
{
    struct election_request r = {0};
    if (election_request_of(op, &r)) {
        (void)etcd_queue_begin(op, r.name);
        etcd_queue_guarded(op, r.key, r.revision, r.lease, &r.value, proclaim_on_done);
    }
}

void etcd_election_proclaim(struct rpc_call *call, struct bytes message)
{
    etcd_op_begin(call, message, election_proclaim);
}

static void election_resign(struct etcd_op *op)
{
    struct election_request r = {0};
    if (election_request_of(op, &r)) {
        (void)etcd_queue_begin(op, r.name);
        etcd_queue_guarded(op, r.key, r.revision, 0, NULL, resign_on_done);
    }
}

void etcd_election_resign(struct rpc_call *call, struct bytes message)
{
    etcd_op_begin(call, message, election_resign);
}

/* --- leader ---------------------------------------------------------------------------------- */

static void leader_now(struct etcd_op *op)
{
    struct etcd_queue *q = etcd_queue_of(op);
    struct store *store = etcd_op_store(op);
    if (!store) {
        return;
    }
    struct store_user user = {buf_view(&op->user), store_auth_revision(store)};
    enum store_status status = store_rights_span(store, &user, buf_view(&q->prefix),
                                                 buf_view(&q->end), STORE_PERMISSION_READ);
    int64_t revision = etcd_queue_head(store, q, &op->response);
    struct bytes kv = {0};
    struct store_pb pb;
    struct store_pb_field f;
    store_pb_init(&pb, buf_view(&op->response));
    while (store_pb_next(&pb, &f)) {
        kv = f.number == 2 ? f.bytes : kv;
    }
    if (op->outcome != OK) {
        etcd_fail(op, etcd_error_of(op->api, op->outcome, op->began));
    } else if (status != STORE_OK) {
        etcd_fail_text(op, RPC_UNKNOWN, store_status_text(status));
    } else if (kv.len == 0) {
        etcd_fail_text(op, RPC_UNKNOWN, NO_LEADER);
    } else {
        struct buf body;
        buf_init(&body);
        store_pb_put_bytes(&body, 2, kv);
        etcd_answer(op, revision, buf_view(&body));
        buf_deinit(&body);
    }
}

static void election_leader(struct etcd_op *op)
{
    struct store_pb pb;
    struct store_pb_field f;
    struct bytes name = {0};
    store_pb_init(&pb, buf_view(&op->body));
    while (store_pb_next(&pb, &f)) {
        name = f.number == 1 ? store_pb_bytes(&pb, &f) : name;
    }
    if (pb.failed) {
        etcd_fail(op, ETCD_MALFORMED);
        return;
    }
    (void)etcd_queue_begin(op, name);
    etcd_op_read(op, leader_now);
}

void etcd_election_leader(struct rpc_call *call, struct bytes message)
{
    etcd_op_begin(call, message, election_leader);
}

/* --- observe --------------------------------------------------------------------------------- */

/* Is the head another one than was told last, which is kept as the queue's value? */
static bool observe_has_news(struct etcd_op *op)
{
    struct etcd_queue *q = etcd_queue_of(op);
    struct store *store = op->api->node ? node_store(op->api->node) : NULL;
    struct bytes kv = {0};
    struct store_pb pb;
    struct store_pb_field f;
    if (!store || !op->call || !rpc_has_room(op->call)) {
        return false;
    }
    (void)etcd_queue_head(store, q, &op->response);
    store_pb_init(&pb, buf_view(&op->response));
    while (store_pb_next(&pb, &f)) {
        kv = f.number == 2 ? f.bytes : kv;
    }
    bool is_told =
        kv.len == q->value.len && (kv.len == 0 || memcmp(kv.data, q->value.data, kv.len) == 0);
    if (kv.len == 0 || is_told) {
        return false;
    }
    buf_clear(&q->value);
    buf_put(&q->value, kv.data, kv.len);
    return true;
}

static void observe_tell(struct etcd_op *op)
{
    const struct store *store = etcd_op_store(op);
    if (!store) {
        return;
    }
    if (op->outcome == OK) {
        struct buf b;
        buf_init(&b);
        etcd_header(op->api, store_revision(store), &b);
        store_pb_put_bytes(&b, 2, buf_view(&etcd_queue_of(op)->value));
        (void)rpc_send(op->call, buf_view(&b), (struct bytes){0});
        buf_deinit(&b);
    }
    etcd_op_await(op, observe_has_news, NANOS_FOREVER, observe_tell);
}

static void observe_begin(struct etcd_op *op)
{
    struct etcd_queue *q = etcd_queue_of(op);
    const struct store *store = etcd_op_store(op);
    if (!store) {
        return;
    }
    struct store_user user = {buf_view(&op->user), store_auth_revision(store)};
    enum store_status status = store_rights_span(store, &user, buf_view(&q->prefix),
                                                 buf_view(&q->end), STORE_PERMISSION_READ);
    if (status != STORE_OK) {
        etcd_fail_text(op, RPC_UNKNOWN, store_status_text(status));
    } else {
        etcd_op_await(op, observe_has_news, NANOS_FOREVER, observe_tell);
    }
}

static void election_observe(struct etcd_op *op)
{
    struct store_pb pb;
    struct store_pb_field f;
    struct bytes name = {0};
    store_pb_init(&pb, buf_view(&op->body));
    while (store_pb_next(&pb, &f)) {
        name = f.number == 1 ? store_pb_bytes(&pb, &f) : name;
    }
    if (pb.failed) {
        etcd_fail(op, ETCD_MALFORMED);
        return;
    }
    (void)etcd_queue_begin(op, name);
    op->goes_on = false; /* when the client leaves, there is nothing to undo */
    etcd_op_read(op, observe_begin);
}

void etcd_election_observe(struct rpc_call *call, struct bytes message)
{
    etcd_op_begin(call, message, election_observe);
}

void etcd_election_observe_writable(struct rpc_call *call)
{
    const struct etcd_op *op = rpc_state(call);
    if (op) {
        etcd_wake(op->api);
    }
}
