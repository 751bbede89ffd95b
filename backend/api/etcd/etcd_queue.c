#include "api/etcd/etcd_queue.h"

#include <string.h>

#include "core/store/store_pb.h"

/* The TTL of a lease that nobody brought: etcd's for a session. */
#define QUEUE_TTL_S 60

struct etcd_queue *etcd_queue_of(struct etcd_op *op)
{
    return op->state;
}

static void queue_free(struct etcd_op *op)
{
    struct etcd_queue *q = op->state;
    struct buf *bufs[] = {&q->prefix, &q->end, &q->key, &q->value, &q->ahead, &q->name};
    for (size_t i = 0; i < COUNT_OF(bufs); i++) {
        buf_deinit(bufs[i]);
    }
    mem_free(q);
}

struct etcd_queue *etcd_queue_begin(struct etcd_op *op, struct bytes name)
{
    struct etcd_queue *q = mem_alloc_zero(sizeof(*q));
    op->state = q;
    op->state_free = queue_free;
    op->goes_on = true;
    buf_put(&q->name, name.data, name.len);
    buf_put(&q->prefix, name.data, name.len);
    buf_put_u8(&q->prefix, '/');
    buf_put(&q->end, name.data, name.len);
    buf_put_u8(&q->end, '/' + 1); /* the first key behind all that begin with the prefix */
    return q;
}

void etcd_queue_fail(struct etcd_op *op)
{
    if (op->outcome != OK) {
        etcd_fail(op, etcd_error_of(op->api, op->outcome, op->began));
    } else {
        etcd_fail_text(op, RPC_UNKNOWN, store_status_text(op->request.status));
    }
}

static bool queue_went_well(const struct etcd_op *op)
{
    return op->outcome == OK && op->request.status == STORE_OK;
}

/* Proposes with the rights of now: what was let in long ago may go on. */
static void queue_propose(struct etcd_op *op, enum store_kind kind,
                          void (*then)(struct etcd_op *op))
{
    const struct store *store = op->api->node ? node_store(op->api->node) : NULL;
    if (store && op->user.len > 0) {
        op->auth_revision = store_auth_revision(store);
    }
    etcd_op_propose(op, kind, buf_view(&op->body), then);
}

/* --- txns ------------------------------------------------------------------------------------ */

static void queue_put_compare(struct buf *b, struct bytes key, int64_t revision)
{
    size_t at = store_pb_open(b, 1);
    struct store_compare c = {.result = STORE_COMPARE_EQUAL,
                              .target = STORE_COMPARE_CREATE,
                              .key = key,
                              .given = 5,
                              .number = revision};
    store_compare_encode(b, &c);
    store_pb_close(b, at);
}

void etcd_queue_guarded(struct etcd_op *op, struct bytes key, int64_t revision, int64_t lease,
                        const struct bytes *value, void (*then)(struct etcd_op *op))
{
    struct buf body;
    buf_init(&body);
    queue_put_compare(&body, key, revision);
    size_t success = store_pb_open(&body, 2);
    if (value) {
        size_t put = store_pb_open(&body, STORE_OP_PUT);
        struct store_put_request r = {.key = key, .value = *value, .lease = lease};
        store_put_encode(&body, &r);
        store_pb_close(&body, put);
    } else {
        size_t del = store_pb_open(&body, STORE_OP_DELETE);
        struct store_delete_request r = {.key = key};
        store_delete_encode(&body, &r);
        store_pb_close(&body, del);
    }
    store_pb_close(&body, success);
    buf_deinit(&op->body); /* `key` may be a view into it */
    op->body = body;
    queue_propose(op, STORE_KIND_TXN, then);
}

bool etcd_queue_succeeded(const struct etcd_op *op)
{
    struct store_pb pb;
    struct store_pb_field f;
    bool succeeded = false;
    store_pb_init(&pb, buf_view(&op->request.response));
    while (store_pb_next(&pb, &f)) {
        succeeded = f.number == 2 ? store_pb_bool(&pb, &f) : succeeded;
    }
    return queue_went_well(op) && succeeded;
}

/* --- looking --------------------------------------------------------------------------------- */

/* The first KeyValue of a RangeResponse; false: there is none. */
static bool queue_first_kv(struct bytes response, struct bytes *ret_key, int64_t *ret_create,
                           struct bytes *ret_value)
{
    struct store_pb pb;
    struct store_pb_field f;
    store_pb_init(&pb, response);
    while (store_pb_next(&pb, &f)) {
        if (f.number != 2) {
            continue;
        }
        struct store_pb kv;
        struct store_pb_field g;
        store_pb_init(&kv, f.bytes);
        while (store_pb_next(&kv, &g)) {
            *ret_key = g.number == 1 ? g.bytes : *ret_key;
            *ret_create = g.number == 2 ? (int64_t)g.value : *ret_create;
            *ret_value = g.number == 5 ? g.bytes : *ret_value;
        }
        return true;
    }
    return false;
}

static void queue_read(struct store *store, const struct store_range_request *r,
                       struct buf *response, int64_t *ret_revision)
{
    struct buf request;
    buf_init(&request);
    buf_clear(response);
    store_range_encode(&request, r);
    enum store_status status = store_range_read(store, buf_view(&request), ret_revision, response);
    CHECK(status == STORE_OK);
    buf_deinit(&request);
}

int64_t etcd_queue_head(struct store *store, const struct etcd_queue *q, struct buf *response)
{
    int64_t revision = 0;
    struct store_range_request r = {.key = buf_view(&q->prefix),
                                    .range_end = buf_view(&q->end),
                                    .limit = 1,
                                    .sort_order = STORE_SORT_ASCEND,
                                    .sort_target = STORE_SORT_CREATE};
    queue_read(store, &r, response, &revision);
    return revision;
}

/* Is this key there? Its creation and value, where they are wanted. */
static bool queue_find(struct store *store, struct bytes key, struct buf *scratch,
                       int64_t *ret_create, struct bytes *ret_value)
{
    int64_t ignored = 0;
    struct bytes found_key = {0};
    struct store_range_request r = {.key = key};
    queue_read(store, &r, scratch, &ignored);
    return queue_first_kv(buf_view(scratch), &found_key, ret_create, ret_value);
}

/* --- waiting --------------------------------------------------------------------------------- */

static void queue_look(struct etcd_op *op);

static void queue_on_left(struct etcd_op *op)
{
    etcd_fail(op, ETCD_STOPPED); /* to nobody */
}

/* Nobody waits for the turn any more. */
static void queue_leave(struct etcd_op *op)
{
    struct etcd_queue *q = etcd_queue_of(op);
    q->is_leaving = true;
    if (q->revision == 0) {
        etcd_op_free(op);
        return;
    }
    etcd_queue_guarded(op, buf_view(&q->key), q->revision, 0, NULL, queue_on_left);
}

static bool queue_is_ahead_gone(struct etcd_op *op)
{
    struct etcd_queue *q = etcd_queue_of(op);
    struct store *store = op->api->node ? node_store(op->api->node) : NULL;
    int64_t create = 0;
    struct bytes value = {0};
    return !op->call ||
           (store && !queue_find(store, buf_view(&q->ahead), &op->api->scratch, &create, &value));
}

static void queue_on_moved(struct etcd_op *op)
{
    if (op->call) {
        queue_look(op);
    } else {
        queue_leave(op);
    }
}

/* Who is next before this one? With nobody there, it is at the head. */
static void queue_look(struct etcd_op *op)
{
    struct etcd_queue *q = etcd_queue_of(op);
    struct store *store = etcd_op_store(op);
    int64_t ignored = 0;
    struct bytes value = {0};
    struct bytes key = {0};
    struct buf *scratch = &op->api->scratch;
    if (!store) {
        return;
    }
    if (!queue_find(store, buf_view(&q->key), scratch, &ignored, &value) ||
        ignored != q->revision) {
        etcd_fail_text(op, RPC_UNKNOWN, "mutex: session is expired");
        return;
    }
    struct store_range_request r = {.key = buf_view(&q->prefix),
                                    .range_end = buf_view(&q->end),
                                    .limit = 1,
                                    .keys_only = true,
                                    .sort_order = STORE_SORT_DESCEND,
                                    .sort_target = STORE_SORT_CREATE,
                                    .max_create_revision = q->revision - 1};
    queue_read(store, &r, scratch, &ignored);
    if (!queue_first_kv(buf_view(scratch), &key, &ignored, &value)) {
        q->then(op);
        return;
    }
    buf_clear(&q->ahead);
    buf_put(&q->ahead, key.data, key.len);
    etcd_op_await(op, queue_is_ahead_gone, NANOS_FOREVER, queue_on_moved);
}

/* --- joining --------------------------------------------------------------------------------- */

static void queue_on_proclaimed(struct etcd_op *op)
{
    if (!op->call) {
        queue_leave(op);
    } else if (!queue_went_well(op)) {
        etcd_queue_fail(op);
    } else {
        queue_look(op);
    }
}

/* The key is there, made now or before by the same lease: with another value, it gets this one. */
static void queue_on_joined(struct etcd_op *op)
{
    struct etcd_queue *q = etcd_queue_of(op);
    struct store *store = queue_went_well(op) && op->api->node ? node_store(op->api->node) : NULL;
    struct bytes value = {0};
    if (!store) {
        etcd_queue_fail(op);
        return;
    }
    if (!queue_find(store, buf_view(&q->key), &op->api->scratch, &q->revision, &value)) {
        etcd_fail_text(op, RPC_UNKNOWN, "mutex: session is expired");
    } else if (!op->call) {
        queue_leave(op);
    } else if (value.len != q->value.len ||
               (value.len > 0 && memcmp(value.data, q->value.data, value.len) != 0)) {
        struct bytes wanted = buf_view(&q->value);
        etcd_queue_guarded(op, buf_view(&q->key), q->revision, q->lease, &wanted,
                           queue_on_proclaimed);
    } else {
        queue_look(op);
    }
}

static void queue_create(struct etcd_op *op)
{
    struct etcd_queue *q = etcd_queue_of(op);
    static const char digits[] = "0123456789abcdef";
    buf_put(&q->key, q->prefix.data, q->prefix.len);
    bool begun = false;
    for (int shift = 60; shift >= 0; shift -= 4) {
        unsigned digit = (unsigned)((uint64_t)q->lease >> shift) & 15;
        begun = begun || digit != 0 || shift == 0;
        if (begun) {
            buf_put_u8(&q->key, (uint8_t)digits[digit]);
        }
    }
    struct bytes value = buf_view(&q->value);
    etcd_queue_guarded(op, buf_view(&q->key), 0, q->lease, &value, queue_on_joined);
}

static void queue_on_granted(struct etcd_op *op)
{
    struct etcd_queue *q = etcd_queue_of(op);
    struct store_pb pb;
    struct store_pb_field f;
    store_pb_init(&pb, buf_view(&op->request.response));
    while (store_pb_next(&pb, &f)) {
        q->lease = f.number == 2 ? store_pb_i64(&pb, &f) : q->lease;
    }
    if (!op->call) {
        etcd_op_free(op);
    } else if (!queue_went_well(op) || q->lease == 0) {
        etcd_queue_fail(op);
    } else {
        queue_create(op);
    }
}

void etcd_queue_join(struct etcd_op *op, int64_t lease, struct bytes value,
                     void (*then)(struct etcd_op *op))
{
    struct etcd_queue *q = etcd_queue_of(op);
    q->then = then;
    q->lease = lease;
    buf_put(&q->value, value.data, value.len);
    if (lease != 0) {
        queue_create(op);
        return;
    }
    buf_clear(&op->body);
    store_pb_put_i64(&op->body, 1, QUEUE_TTL_S);
    queue_propose(op, STORE_KIND_LEASE_GRANT, queue_on_granted);
}
