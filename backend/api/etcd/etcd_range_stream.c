/*
 * KV.RangeStream, of etcd 3.7: a range in parts, so that neither side ever holds all of it. Put
 * together as protobuf merges messages, the parts are the RangeResponse that Range gives: keys in
 * every part, header, `more` and `count` in the last.
 *
 * All parts are of one revision, however long the client takes. A reader holds that revision's
 * versions while compaction goes on, where etcd ends every stream that compaction overtakes. Here
 * that is so only while a stream waits for its client: the versions must not be held for somebody
 * who does not read. A part is built when there is room for it.
 */
#include "api/etcd/etcd_int.h"

/* A part is closed beyond so many bytes... */
#define RANGE_PART_BYTES (256 * 1024)
/* ... and looked at after so few keys, as a value may have 1.5 MiB. */
#define RANGE_PART_STEP 20

_Static_assert(ETCD_READ_BUDGET % RANGE_PART_STEP == 0, "a turn ends with a step");

/* RangeStreamResponse { RangeResponse range_response = 1 }, of `header` and what was found. False:
 * the client has no room for more, and etcd_kv_range_stream_writable will tell. */
static bool range_part_send(struct etcd_op *op, struct bytes header)
{
    struct buf head;
    buf_init(&head);
    op->api->turn_bytes += op->response.len;
    store_pb_put_message(&head, 1, header.len + op->response.len);
    buf_put(&head, header.data, header.len);
    bool has_room = rpc_send(op->call, buf_view(&head), buf_view(&op->response));
    buf_deinit(&head);
    buf_clear(&op->response);
    return has_room;
}

static void range_stream_end(struct etcd_op *op)
{
    struct rpc_call *call = op->call;
    struct buf header;
    buf_init(&header);
    etcd_header(op->api, store_reader_revision(op->reader), &header);
    (void)range_part_send(op, buf_view(&header));
    buf_deinit(&header);
    etcd_op_free(op);
    rpc_finish(call, RPC_OK, NULL);
}

/* Its share of the range in one turn. It goes on in the next, or when there is room. */
static void range_stream_step(struct etcd_op *op)
{
    op->api->turn_reads++;
    store_link_remove(&op->reading);
    for (size_t looked = 0; looked < ETCD_READ_BUDGET; looked += RANGE_PART_STEP) {
        enum err result = store_reader_step(op->reader, RANGE_PART_STEP, &op->response);
        CHECK(result != ERR_TOO_LARGE); /* a part is far below that */
        if (result == OK) {
            range_stream_end(op);
            return;
        }
        if (op->response.len >= RANGE_PART_BYTES && !range_part_send(op, (struct bytes){0})) {
            store_link_append(&op->api->range_streams, &op->reading);
            return;
        }
    }
    etcd_op_wait_to_read(op);
}

static void range_stream_now(struct etcd_op *op)
{
    struct store *store = etcd_op_store(op);
    if (!store) {
        return;
    }
    struct bytes request = buf_view(&op->body);
    struct store_user user = {buf_view(&op->user), store_auth_revision(store)};
    enum store_status status = store_rights_read(store, &user, request);
    if (status == STORE_OK) {
        status = store_reader_open(store, request, &op->reader);
    }
    if (status != STORE_OK) {
        etcd_fail_status(op, status);
        return;
    }
    op->step = range_stream_step;
    etcd_op_wait_to_read(op);
}

static void range_stream(struct etcd_op *op)
{
    etcd_kv_read(op, range_stream_now);
}

void etcd_kv_range_stream(struct rpc_call *call, struct bytes message)
{
    etcd_op_begin(call, message, range_stream);
}

void etcd_kv_range_stream_writable(struct rpc_call *call)
{
    struct etcd_op *op = rpc_state(call);
    if (op && op->reader) {
        etcd_op_wait_to_read(op);
    }
}

/* Was the revision that the stream reads compacted? The reader still has it. */
static bool range_stream_is_overtaken(const struct etcd_op *op, const struct store *store)
{
    struct store_range_request r;
    CHECK(store_range_decode(buf_view(&op->body), &r) == STORE_OK);
    int64_t revision = r.revision > 0 ? r.revision : store_reader_revision(op->reader);
    return revision < store_compact_revision(store);
}

/* Does it wait for its client? It was told so, or others on its connection leave it no room. */
static bool range_stream_waits(const struct etcd_op *op, bool is_told)
{
    return is_told || (op->step == range_stream_step && !rpc_has_room(op->call));
}

void etcd_range_streams_pulse(struct etcd_api *api)
{
    const struct store *store = node_store(api->node);
    struct store_link *lists[] = {&api->range_streams, &api->readers};
    for (size_t i = 0; store && i < COUNT_OF(lists); i++) {
        for (struct store_link *l = lists[i]->next; l != lists[i];) {
            struct etcd_op *op = STORE_LINK_OWNER(l, struct etcd_op, reading);
            l = l->next;
            if (range_stream_waits(op, i == 0) && range_stream_is_overtaken(op, store)) {
                etcd_fail_status(op, STORE_REVISION_COMPACTED);
            }
        }
    }
}

bool etcd_range_stream_leaves(struct etcd_op *op)
{
    bool is_stream = op->step == range_stream_step;
    if (is_stream) {
        etcd_fail_status(op, STORE_REVISION_COMPACTED);
    }
    return is_stream;
}
