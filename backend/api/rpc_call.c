#include "api/rpc_int.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"

/* Buffers up to this size stay with a call that returns to the pool: with them a small unary call
 * allocates nothing. */
#define POOLED_BUFFER_BYTES 4096

/* Calls that the pool keeps; more are freed. */
#define POOL_CALLS 4096

/* A method that goes on sending without room is cut off at this many times the high mark. */
#define QUEUE_HARD_FACTOR 8

/* What is told of a failure; more of it is cut off. Percent-encoded it fits in any client's limit
 * for headers, also where it repeats what the client sent. */
#define TEXT_MAX_BYTES 1024

/* Output that has left is cut off once it is this much and more than what waits. */
#define OUT_COMPACT_BYTES 4096

/* --- Birth and death -------------------------------------------------------------------------- */

static void call_trim(struct buf *b)
{
    if (b->cap > POOLED_BUFFER_BYTES) {
        buf_deinit(b);
    }
    buf_clear(b);
}

struct rpc_call *call_open(struct rpc_conn *conn, int32_t stream_id)
{
    struct rpc_server *server = conn->server;
    struct rpc_call *call = server->pool;
    if (call != NULL) {
        server->pool = call->next;
        server->pool_count--;
        struct buf metadata = call->metadata, in = call->in, out = call->out;
        memset(call, 0, sizeof *call);
        call->metadata = metadata;
        call->in = in;
        call->out = out;
    } else {
        call = mem_alloc_zero(sizeof *call);
    }
    call->conn = conn;
    call->stream_id = stream_id;
    call->kind = KIND_ERROR;
    call->next = conn->calls;
    call->link = &conn->calls;
    if (call->next != NULL) {
        call->next->link = &call->next;
    }
    conn->calls = call;
    conn->call_count++;
    server->counters.calls_open++;
    return call;
}

void call_close(struct rpc_call *call)
{
    struct rpc_conn *conn = call->conn;
    struct rpc_server *server = conn->server;
    call_tell_gone(call);
    call_drop_input(call);
    conn->queued_bytes -= call_waiting(call);
    server->counters.queued_bytes -= call_waiting(call);
    *call->link = call->next;
    if (call->next != NULL) {
        call->next->link = call->link;
    }
    conn->call_count--;
    server->counters.calls_open--;
    mem_free(call->text);
    mem_free(call->remark);
    if (server->pool_count >= POOL_CALLS) {
        buf_deinit(&call->metadata);
        buf_deinit(&call->in);
        buf_deinit(&call->out);
        mem_free(call);
        return;
    }
    call_trim(&call->metadata);
    call_trim(&call->in);
    call_trim(&call->out);
    call->next = server->pool;
    server->pool = call;
    server->pool_count++;
}

static nanos call_clock(const struct rpc_call *call)
{
    const struct rpc_config *config = &call->conn->server->config;
    return config->clock != NULL ? config->clock(config->clock_ctx) : 0;
}

static void call_count_time(struct rpc_method_counters *counters, nanos spent)
{
    size_t bucket = 0;
    while (bucket + 1 < RPC_TIME_BUCKETS && spent > (RPC_TIME_FIRST << bucket)) {
        bucket++;
    }
    counters->times[bucket]++;
    counters->time_sum += spent;
}

/* What the method or page did is counted, once. */
static void call_count_outcome(struct rpc_call *call, int status, const char *text)
{
    if (call->counters != NULL && call->began) {
        int known = status >= 0 && status < RPC_STATUS_COUNT ? status : RPC_UNKNOWN;
        call->counters->handled[known]++;
        call->counters->open--;
        if (call->conn->server->config.clock != NULL) {
            nanos now = call_clock(call);
            call_count_time(call->counters, u64_sub_sat(now, call->began_at));
            if (call->trace != NULL) {
                call_trace_end(call, status, text, now);
            }
        }
    }
}

void call_tell_gone(struct rpc_call *call)
{
    deadline_remove(call);
    if (!call->finished) {
        call->finished = true;
        call->status = RPC_CANCELED;
        call_count_outcome(call, RPC_CANCELED, NULL);
    }
    if (!call->began || call->told_gone) {
        return;
    }
    call->told_gone = true;
    void (*gone)(struct rpc_call *) = call->page != NULL ? call->page->gone : call->method->gone;
    if (gone != NULL) {
        gone(call);
    }
}

/* --- Beginning -------------------------------------------------------------------------------- */

/* What stands against one more call now; NULL: nothing. */
static const char *call_overload(const struct rpc_call *call)
{
    const struct rpc_conn *conn = call->conn;
    const struct rpc_server *server = conn->server;
    const struct rpc_limits *limits = &server->config.limits;
    if (server->counters.calls_open > limits->calls_max) {
        return "too many calls are open on this server";
    }
    if (conn->queued_bytes > limits->connection_queue_bytes) {
        return "this connection leaves too many answers unread";
    }
    if (conn_is_pressed(conn, limits->server_queue_bytes)) {
        return "too many answers of this server are left unread";
    }
    return NULL;
}

static void call_refuse(struct rpc_call *call, int status, const char *text)
{
    call->conn->server->counters.calls_refused++;
    call_fail(call, status, text);
}

/* The answer to gRPC for a path that no method has, in the words of grpc-go. */
static void call_refuse_unknown(struct rpc_call *call)
{
    struct bytes path = {(const uint8_t *)"", 0};
    (void)call_find_metadata(call, META_TARGET, &path);
    const uint8_t *slash = path.len > 1 ? memrchr(path.data, '/', path.len) : NULL;
    struct buf text = {.data = NULL};
    if (slash == NULL || path.data[0] != '/' || slash == path.data) {
        static const char malformed[] = "malformed method name: ";
        buf_put(&text, malformed, sizeof malformed - 1);
        buf_put(&text, path.data, path.len);
    } else {
        size_t service_len = (size_t)(slash - path.data) - 1;
        const struct rpc_server *server = call->conn->server;
        bool known = false;
        for (size_t i = 0; i < server->method_count && !known; i++) {
            const char *other = server->methods[i]->path;
            known = strncmp(other, (const char *)path.data, service_len + 2) == 0;
        }
        static const char method[] = "unknown method ", of[] = " for service ";
        static const char service[] = "unknown service ";
        if (known) {
            buf_put(&text, method, sizeof method - 1);
            buf_put(&text, slash + 1, path.len - service_len - 2);
            buf_put(&text, of, sizeof of - 1);
        } else {
            buf_put(&text, service, sizeof service - 1);
        }
        buf_put(&text, path.data + 1, service_len);
    }
    buf_put_u8(&text, '\0');
    call_refuse(call, RPC_NO_SUCH_METHOD, (const char *)text.data);
    buf_deinit(&text);
}

static void call_refuse_encoding(struct rpc_call *call)
{
    static const char before[] = "grpc: Decompressor is not installed for grpc-encoding \"";
    struct bytes encoding = {NULL, 0};
    struct buf text = {.data = NULL};
    (void)call_find_metadata(call, META_ENCODING, &encoding);
    buf_put(&text, before, sizeof before - 1);
    buf_put(&text, encoding.data, encoding.len);
    buf_put(&text, "\"", 2);
    call_refuse(call, RPC_NO_SUCH_METHOD, (const char *)text.data);
    buf_deinit(&text);
}

static void call_refuse_http(struct rpc_call *call, int http_status)
{
    call->kind = KIND_ERROR;
    call->http_status = http_status;
    call_refuse(call, RPC_UNKNOWN, NULL);
}

/* Of two kinds of refusal, the one for gRPC; true: it was refused. */
static bool call_refuse_grpc(struct rpc_call *call)
{
    if (call->kind != KIND_GRPC) {
        call->kind = KIND_GRPC;
        call->method = NULL;
        call_refuse_unknown(call);
    } else if (call->bad_timeout) {
        call_refuse(call, RPC_INTERNAL, "malformed grpc-timeout");
    } else if (call->is_compressed) {
        call_refuse_encoding(call);
    } else {
        return false;
    }
    return true;
}

void call_start(struct rpc_call *call)
{
    call->counters->started++;
    call->counters->open++;
    call->began = true;
    call->began_at = call_clock(call);
    if (call->conn->server->config.tracer != NULL) {
        call_trace_begin(call);
    }
    if (call->deadline != 0) {
        deadline_add(call);
    }
    if (call->method->begin != NULL) {
        call->method->begin(call);
    }
}

void call_admit(struct rpc_call *call)
{
    struct rpc_conn *conn = call->conn;
    call->headers_done = true;
    conn->greeted = true;
    if (call->is_grpc) {
        if (!call->is_post) {
            call_refuse_http(call, 405);
            return;
        }
        if (call_refuse_grpc(call)) {
            return;
        }
    } else if (call->kind == KIND_GRPC) {
        call_refuse_http(call, 415);
        return;
    } else if (call->kind == KIND_ERROR) {
        call_refuse_http(call, call->has_path ? 404 : 400);
        return;
    } else if (call->kind == KIND_JSON ? !call->is_post : !call->is_get && !call->is_head) {
        call_refuse_http(call, 405);
        return;
    }
    const char *overload = call_overload(call);
    if (overload != NULL) {
        call_refuse(call, RPC_RESOURCE_EXHAUSTED, overload);
        return;
    }
    if (call->kind != KIND_GRPC || call->method->shape != RPC_BIDI) {
        call->half_since = conn->server->now;
        conn->half_calls++;
    }
    if (call->kind == KIND_GRPC) {
        call_start(call);
    }
}

/* --- Input ------------------------------------------------------------------------------------ */

void call_keep_input(struct rpc_call *call, struct bytes part)
{
    struct rpc_conn *conn = call->conn;
    if (conn->partial_bytes + part.len > conn->server->config.limits.partial_max_bytes) {
        call_fail(call, RPC_RESOURCE_EXHAUSTED,
                  "too many requests of this connection are under way in parts");
        return;
    }
    buf_put(&call->in, part.data, part.len);
    conn->partial_bytes += part.len;
    if (call->half_since == 0) {
        call->half_since = conn->server->now;
        conn->half_calls++;
    }
}

void call_drop_input(struct rpc_call *call)
{
    call->conn->partial_bytes -= call->in.len;
    call_trim(&call->in);
    if (call->half_since != 0) {
        call->half_since = 0;
        call->conn->half_calls--;
    }
}

void call_drop_message(struct rpc_call *call)
{
    call->conn->partial_bytes -= call->in.len;
    call_trim(&call->in);
    if (call->method->shape == RPC_BIDI && call->half_since != 0) {
        buf_deinit(&call->in); /* an idle stream keeps no buffer */
        call->half_since = 0;
        call->conn->half_calls--;
    }
}

void call_deliver(struct rpc_call *call, struct bytes message)
{
    if (call->method->shape != RPC_BIDI) {
        if (call->has_message) {
            call_fail(call, RPC_INTERNAL, "the method takes one request message, and got more");
            return;
        }
        call->has_message = true;
    }
    call->counters->messages_in++;
    call->method->message(call, message);
}

void call_input(struct rpc_call *call, struct bytes input)
{
    if (call->finished || !call->headers_done) {
        return;
    }
    if (call->kind == KIND_GRPC) {
        grpc_input(call, input);
        return;
    }
    if (input.len > call->conn->server->config.limits.json_body_max_bytes - call->in.len) {
        call_refuse_http(call, 413);
        return;
    }
    call_keep_input(call, input);
}

static void call_half_close_grpc(struct rpc_call *call)
{
    bool partial = call->prefix_len > 0;
    call_drop_input(call);
    if (partial) {
        call_fail(call, RPC_INTERNAL, "the request ends in the middle of a message");
    } else if (call->method->shape != RPC_BIDI && !call->has_message) {
        call_fail(call, RPC_INTERNAL, "the method takes one request message, and got none");
    } else if (call->method->half_closed != NULL) {
        call->method->half_closed(call);
    }
}

void call_half_close(struct rpc_call *call)
{
    if (call->remote_closed) {
        return;
    }
    call->remote_closed = true;
    if (call->finished) {
        call_drop_input(call);
        call_wake(call); /* an answer that waited for this may leave */
        return;
    }
    if (call->kind == KIND_GRPC) {
        call_half_close_grpc(call);
        return;
    }
    if (call->kind == KIND_JSON) {
        gateway_body(call);
    } else {
        call->began = true;
        call->page->serve(call);
    }
    call_drop_input(call);
}

/* --- Output ----------------------------------------------------------------------------------- */

void call_queued(struct rpc_call *call, size_t before)
{
    size_t added = call->out.len - before;
    call->conn->queued_bytes += added;
    call->conn->server->counters.queued_bytes += added;
    if (call->stalled_since == 0 && added > 0) {
        call->stalled_since = call->conn->server->now;
    }
}

void call_compact(struct rpc_call *call)
{
    size_t waiting = call_waiting(call);
    if (call->out_at >= OUT_COMPACT_BYTES && call->out_at >= waiting) {
        memmove(call->out.data, call->out.data + call->out_at, waiting);
        call->out.len = waiting;
        call->out_at = 0;
    }
}

void call_queue(struct rpc_call *call, struct bytes part)
{
    call_compact(call);
    size_t before = call->out.len;
    buf_put(&call->out, part.data, part.len);
    call_queued(call, before);
}

static void call_queue_message(struct rpc_call *call, struct bytes head, struct bytes body)
{
    CHECK(head.len <= INT32_MAX && body.len <= INT32_MAX - head.len);
    uint32_t length = (uint32_t)(head.len + body.len);
    call_compact(call);
    size_t before = call->out.len;
    buf_reserve(&call->out, GRPC_PREFIX_BYTES + length);
    uint8_t *at = call->out.data + before;
    at[0] = 0;
    at[1] = (uint8_t)(length >> 24);
    at[2] = (uint8_t)(length >> 16);
    at[3] = (uint8_t)(length >> 8);
    at[4] = (uint8_t)length;
    call->out.len += GRPC_PREFIX_BYTES;
    buf_put(&call->out, head.data, head.len);
    buf_put(&call->out, body.data, body.len);
    call_queued(call, before);
}

/* Is the output that waits below this many halves of every mark? */
static bool call_below_marks(const struct rpc_call *call, size_t halves)
{
    const struct rpc_conn *conn = call->conn;
    const struct rpc_limits *limits = &conn->server->config.limits;
    return call_waiting(call) <= limits->call_queue_bytes / 2 * halves &&
           conn->queued_bytes <= limits->connection_queue_bytes / 2 * halves &&
           !conn_is_pressed(conn, limits->server_queue_bytes / 2 * halves);
}

bool rpc_has_room(const struct rpc_call *call)
{
    return call_below_marks(call, 2);
}

/* The method goes on sending though it was told to wait: the client begins anew, or is gone. */
static void call_cut_off(struct rpc_call *call)
{
    call->cut_off = true;
    if (call->conn->kind == CONN_HTTP2) {
        http2_reset_call(call, NGHTTP2_ENHANCE_YOUR_CALM);
    } else {
        conn_break(call->conn);
    }
}

bool rpc_send(struct rpc_call *call, struct bytes head, struct bytes body)
{
    CHECK(!call->finished && call->began && call->method != NULL);
    CHECK(call->method->shape != RPC_UNARY || !call->has_sent);
    if (call->cut_off) {
        return false;
    }
    if (call->wants_room && call_waiting(call) / QUEUE_HARD_FACTOR >
                                call->conn->server->config.limits.call_queue_bytes) {
        call_cut_off(call);
        return false;
    }
    call->has_sent = true;
    call->counters->messages_out++;
    if (call->kind == KIND_GRPC) {
        call->responded = true;
        call_queue_message(call, head, body);
    } else {
        gateway_send(call, head, body);
    }
    if (call->method->shape != RPC_UNARY) {
        call_wake(call); /* a unary answer waits for its end, which follows */
    }
    if (rpc_has_room(call)) {
        return true;
    }
    call->wants_room = true;
    call->conn->wants_room = true;
    return false;
}

static void call_tell_room(struct rpc_call *call)
{
    if (call->wants_room && !call->finished && call_below_marks(call, 1)) {
        call->wants_room = false;
        if (call->method->writable != NULL) {
            call->method->writable(call);
        }
    }
}

void conn_tell_room(struct rpc_conn *conn)
{
    /* A method may send in `writable`, and with that take the room of those behind it. */
    conn->wants_room = false;
    for (struct rpc_call *call = conn->calls; call != NULL; call = call->next) {
        call_tell_room(call);
        conn->wants_room = conn->wants_room || call->wants_room;
    }
}

void call_left(struct rpc_call *call, size_t count)
{
    struct rpc_conn *conn = call->conn;
    CHECK(count <= call_waiting(call));
    call->out_at += count;
    conn->queued_bytes -= count;
    conn->server->counters.queued_bytes -= count;
    call->stalled_since = call_waiting(call) > 0 ? conn->server->now : 0;
    if (call_waiting(call) == 0) {
        call->out_at = 0;
        if (call->method != NULL && call->method->shape == RPC_UNARY) {
            buf_clear(&call->out);
        } else {
            buf_deinit(&call->out); /* an idle stream keeps no buffer */
        }
    }
    call_tell_room(call);
}

void call_wake(struct rpc_call *call)
{
    if (call->conn->kind == CONN_HTTP2) {
        http2_wake_call(call);
    }
    conn_wake(call->conn);
}

/* --- The end ---------------------------------------------------------------------------------- */

static char *call_copy_text(const char *text)
{
    size_t n = strnlen(text, TEXT_MAX_BYTES);
    char *copy = memcpy(mem_alloc(n + 1), text, n);
    copy[n] = '\0';
    return copy;
}

static void call_end(struct rpc_call *call, int status, const char *text)
{
    deadline_remove(call);
    call_count_outcome(call, status, text);
    call->finished = true;
    call->status = status;
    if (status != RPC_OK && text != NULL && text[0] != '\0') {
        call->text = call_copy_text(text);
    }
    if (call->kind != KIND_GRPC) {
        gateway_finish(call, status, text);
    } else if (status == RPC_OK && !call->remote_closed && call->method->shape == RPC_UNARY) {
        return; /* the client is about to say that this was all: see call_half_close */
    }
    call_wake(call);
}

void rpc_set_remark(struct rpc_call *call, const char *name, const char *value)
{
    CHECK(!call->finished && call->began && call->method != NULL);
    size_t len = (size_t)u64_min(strlen(value), RPC_REMARK_MAX);
    char *remark = mem_alloc(len + 1);
    for (size_t i = 0; i < len; i++) {
        remark[i] = value[i] >= ' ' && value[i] <= '~' ? value[i] : '?';
    }
    remark[len] = '\0';
    mem_free(call->remark);
    call->remark = remark;
    call->remark_name = name;
}

void rpc_finish(struct rpc_call *call, int status, const char *text)
{
    CHECK(!call->finished && call->began && call->method != NULL);
    CHECK(status != RPC_OK || call->method->shape != RPC_UNARY || call->has_sent);
    call_end(call, status, text);
}

void call_fail(struct rpc_call *call, int status, const char *text)
{
    if (!call->finished) {
        call_end(call, status, text);
    }
    call_drop_input(call);
    call_tell_gone(call);
}

/* --- What the method may ask ------------------------------------------------------------------ */

void *rpc_state(const struct rpc_call *call)
{
    return call->state;
}

void rpc_set_state(struct rpc_call *call, void *state)
{
    call->state = state;
}

void *rpc_ctx(const struct rpc_call *call)
{
    return call->conn->server->config.ctx;
}

const struct rpc_method *rpc_method_of(const struct rpc_call *call)
{
    return call->method;
}

const char *rpc_peer(const struct rpc_call *call)
{
    return call->conn->peer;
}

const char *rpc_certificate_name(const struct rpc_call *call)
{
    return call->conn->certificate_name;
}

nanos rpc_deadline(const struct rpc_call *call)
{
    return call->deadline;
}

bool rpc_is_json(const struct rpc_call *call)
{
    return call->kind == KIND_JSON;
}

void rpc_page_send(struct rpc_call *call, int http_status, const char *content_type,
                   struct bytes body)
{
    CHECK(call->page != NULL && !call->finished);
    call->http_status = http_status;
    call->content_type = content_type;
    call->body_len = body.len;
    call->responded = true;
    call->finished = true;
    if (!call->is_head) {
        call_queue(call, body);
    }
    call_wake(call);
}
