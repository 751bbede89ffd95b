#include "tests/support/rpc_peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"

#define HEADERS_MAX 256

/* The body of a request under way. */
struct peer_body {
    struct buf bytes;
    size_t at;
    bool end, deferred;
};

static struct peer_reply *peer_find(struct rpc_peer *peer, int32_t stream_id)
{
    for (size_t i = peer->reply_count; i > 0; i--) {
        if (peer->replies[i - 1].stream_id == stream_id) {
            return &peer->replies[i - 1];
        }
    }
    return NULL;
}

static void peer_copy(char *to, size_t cap, const uint8_t *value, size_t n)
{
    snprintf(to, cap, "%.*s", (int)n, (const char *)value);
}

static int peer_on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    (void)session;
    struct peer_reply *reply = peer_find(arg, frame->hd.stream_id);
    if (reply != NULL) {
        reply->blocks++;
    }
    return 0;
}

static int peer_on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                          size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                          void *arg)
{
    (void)session;
    (void)flags;
    (void)name_len;
    struct peer_reply *reply = peer_find(arg, frame->hd.stream_id);
    if (reply == NULL) {
        return 0;
    }
    const char *n = (const char *)name;
    if (strcmp(n, ":status") == 0) {
        reply->http_status = (int)strtol((const char *)value, NULL, 10);
    } else if (strcmp(n, "grpc-status") == 0) {
        reply->grpc_status = (int)strtol((const char *)value, NULL, 10);
    } else if (strcmp(n, "grpc-message") == 0) {
        peer_copy(reply->message, sizeof reply->message, value, value_len);
        reply->message_len = value_len;
    } else if (strcmp(n, "content-type") == 0) {
        peer_copy(reply->content_type, sizeof reply->content_type, value, value_len);
    } else if (strcmp(n, "grpc-accept-encoding") == 0) {
        peer_copy(reply->accept_encoding, sizeof reply->accept_encoding, value, value_len);
    } else if (strcmp(n, "novacron-echo") == 0) {
        peer_copy(reply->remark, sizeof reply->remark, value, value_len);
        reply->remark_block = reply->blocks;
    }
    return 0;
}

static int peer_on_chunk(nghttp2_session *session, uint8_t flags, int32_t stream_id,
                         const uint8_t *bytes, size_t n, void *arg)
{
    (void)flags;
    struct rpc_peer *peer = arg;
    struct peer_reply *reply = peer_find(peer, stream_id);
    if (reply != NULL) {
        buf_put(&reply->data, bytes, n);
    }
    peer->received += n;
    (void)nghttp2_session_consume_connection(session, n);
    if (!peer->holds_windows) {
        (void)nghttp2_session_consume_stream(session, stream_id, n);
    }
    return 0;
}

static int peer_on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    (void)session;
    struct rpc_peer *peer = arg;
    struct peer_reply *reply = peer_find(peer, frame->hd.stream_id);
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        peer->goaway = true;
        peer->goaway_code = frame->goaway.error_code;
        peer_copy(peer->goaway_text, sizeof peer->goaway_text, frame->goaway.opaque_data,
                  frame->goaway.opaque_data_len);
    }
    if (reply == NULL) {
        return 0;
    }
    bool carries = frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;
    if (carries && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        reply->ended = true;
        reply->received_when_ended = peer->received;
    }
    if (frame->hd.type == NGHTTP2_RST_STREAM) {
        reply->was_reset = true;
        reply->reset_code = frame->rst_stream.error_code;
    }
    return 0;
}

static void peer_free_body(struct peer_body *body)
{
    buf_deinit(&body->bytes);
    mem_free(body);
}

static int peer_on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t code,
                                void *arg)
{
    (void)code;
    (void)arg;
    struct peer_body *body = nghttp2_session_get_stream_user_data(session, stream_id);
    if (body != NULL) {
        peer_free_body(body);
        (void)nghttp2_session_set_stream_user_data(session, stream_id, NULL);
    }
    return 0;
}

static ssize_t peer_on_read(nghttp2_session *session, int32_t stream_id, uint8_t *buffer,
                            size_t room, uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    (void)source;
    (void)arg;
    struct peer_body *body = nghttp2_session_get_stream_user_data(session, stream_id);
    size_t n = body->bytes.len - body->at < room ? body->bytes.len - body->at : room;
    if (n == 0 && !body->end) {
        body->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (n > 0) {
        memcpy(buffer, body->bytes.data + body->at, n);
        body->at += n;
    }
    if (body->at == body->bytes.len && body->end) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    return (ssize_t)n;
}

/* --- Life ------------------------------------------------------------------------------------- */

void peer_open_raw(struct rpc_peer *peer, const struct rpc_limits *limits)
{
    memset(peer, 0, sizeof *peer);
    peer->config = echo_config(&peer->log);
    if (limits != NULL) {
        peer->config.limits = *limits;
    }
    server_init(&peer->server, &peer->config);
    peer->now = 1000 * NANOS_PER_S;
    peer->server.now = peer->now;
    peer->conn = conn_open(&peer->server);
}

void peer_open(struct rpc_peer *peer, const struct rpc_limits *limits)
{
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    peer_open_raw(peer, limits);
    peer->replies = mem_alloc_zero(PEER_REPLIES_MAX * sizeof *peer->replies);
    CHECK(nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, peer_on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, peer_on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, peer_on_chunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, peer_on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, peer_on_stream_close);
    nghttp2_option_set_no_http_messaging(option, 1);
    nghttp2_option_set_no_auto_window_update(option, 1);
    CHECK(nghttp2_session_client_new2(&peer->session, callbacks, peer, option) == 0);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    CHECK(nghttp2_submit_settings(peer->session, NGHTTP2_FLAG_NONE, NULL, 0) == 0);
    peer_pump(peer);
}

void peer_close(struct rpc_peer *peer)
{
    if (peer->conn != NULL) {
        conn_close(peer->conn);
    }
    for (size_t i = 0; i < peer->reply_count; i++) {
        struct peer_body *body =
            nghttp2_session_get_stream_user_data(peer->session, peer->replies[i].stream_id);
        if (body != NULL) {
            peer_free_body(body);
        }
        buf_deinit(&peer->replies[i].data);
    }
    nghttp2_session_del(peer->session);
    server_deinit(&peer->server);
    mem_free(peer->replies);
    buf_deinit(&peer->raw);
}

/* --- Bytes ------------------------------------------------------------------------------------ */

static void peer_end_conn(struct rpc_peer *peer)
{
    conn_close(peer->conn);
    peer->conn = NULL;
}

void peer_raw(struct rpc_peer *peer, const void *bytes, size_t n)
{
    const uint8_t *at = bytes;
    while (n > 0 && peer->conn != NULL) {
        size_t part = peer->input_chunk == 0 || peer->input_chunk > n ? n : peer->input_chunk;
        /* A copy of its own, so that a sanitizer sees a read behind its end. */
        uint8_t *copy = memcpy(mem_alloc(part), at, part);
        conn_input(peer->conn, (struct bytes){copy, part});
        mem_free(copy);
        at += part;
        n -= part;
        if (peer->conn->broken) {
            peer_end_conn(peer);
        }
    }
}

/* What the server has to say; true: something. */
static bool peer_take_output(struct rpc_peer *peer)
{
    if (peer->conn == NULL) {
        return false;
    }
    for (const struct rpc_call *call = peer->conn->calls; call != NULL; call = call->next) {
        peer->most_kept = call->out.cap > peer->most_kept ? call->out.cap : peer->most_kept;
    }
    struct buf sink = {.data = NULL};
    bool more = conn_produce(peer->conn, &sink, 65536);
    bool some = sink.len > 0 || more;
    if (peer->session == NULL) {
        buf_put(&peer->raw, sink.data, sink.len);
    } else if (sink.len > 0) {
        (void)nghttp2_session_mem_recv(peer->session, sink.data, sink.len);
    }
    buf_deinit(&sink);
    if (peer->conn->broken || (peer->conn->finishing && !more)) {
        peer_end_conn(peer);
    }
    return some;
}

static bool peer_give_input(struct rpc_peer *peer)
{
    const uint8_t *bytes = NULL;
    ssize_t n = peer->session == NULL ? 0 : nghttp2_session_mem_send(peer->session, &bytes);
    if (n > 0) {
        peer_raw(peer, bytes, (size_t)n);
    }
    return n > 0;
}

void peer_pump(struct rpc_peer *peer)
{
    bool busy = !peer->holds_pump;
    while (busy) {
        busy = peer_give_input(peer);
        busy = peer_take_output(peer) || busy;
    }
}

void peer_advance(struct rpc_peer *peer, nanos span)
{
    peer->now += span;
    (void)server_expire(&peer->server, peer->now);
    server_sweep(&peer->server, peer->now);
    peer_pump(peer);
}

/* --- Requests --------------------------------------------------------------------------------- */

static nghttp2_nv peer_nv(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                        strlen(value), NGHTTP2_NV_FLAG_NONE};
}

static struct peer_reply *peer_submit(struct rpc_peer *peer, const nghttp2_nv *headers,
                                      size_t count, struct bytes bytes, bool end)
{
    struct peer_body *body = mem_alloc_zero(sizeof *body);
    buf_put(&body->bytes, bytes.data, bytes.len);
    body->end = end;
    const nghttp2_data_provider provider = {.read_callback = peer_on_read};
    bool bare = bytes.len == 0 && end;
    int32_t id =
        nghttp2_submit_request(peer->session, NULL, headers, count, bare ? NULL : &provider, body);
    CHECK(id > 0 && peer->reply_count < PEER_REPLIES_MAX);
    struct peer_reply *reply = &peer->replies[peer->reply_count++];
    reply->stream_id = id;
    reply->grpc_status = -1;
    peer_pump(peer);
    return reply;
}

struct peer_reply *peer_request_headers(struct rpc_peer *peer, const char *const *headers,
                                        struct bytes body, bool end)
{
    nghttp2_nv nv[HEADERS_MAX];
    size_t count = 0;
    for (; headers[2 * count] != NULL; count++) {
        CHECK(count < HEADERS_MAX);
        nv[count] = peer_nv(headers[2 * count], headers[2 * count + 1]);
    }
    return peer_submit(peer, nv, count, body, end);
}

struct peer_reply *peer_request(struct rpc_peer *peer, const char *path, const char *const *extra,
                                struct bytes body, bool end)
{
    nghttp2_nv nv[HEADERS_MAX] = {
        peer_nv(":method", "POST"),
        peer_nv(":scheme", "http"),
        peer_nv(":path", path),
        peer_nv(":authority", "http://127.0.0.1:2379"), /* as etcdctl 3.4 has it */
        peer_nv("content-type", "application/grpc"),
        peer_nv("te", "trailers"),
    };
    size_t count = 6;
    for (size_t i = 0; extra != NULL && extra[2 * i] != NULL; i++) {
        CHECK(count < HEADERS_MAX);
        nv[count++] = peer_nv(extra[2 * i], extra[2 * i + 1]);
    }
    return peer_submit(peer, nv, count, body, end);
}

void peer_more(struct rpc_peer *peer, struct peer_reply *reply, struct bytes bytes, bool end)
{
    struct peer_body *body = nghttp2_session_get_stream_user_data(peer->session, reply->stream_id);
    CHECK(body != NULL);
    buf_put(&body->bytes, bytes.data, bytes.len);
    body->end = end;
    if (body->deferred) {
        body->deferred = false;
        CHECK(nghttp2_session_resume_data(peer->session, reply->stream_id) == 0);
    }
    peer_pump(peer);
}

void peer_cancel(struct rpc_peer *peer, const struct peer_reply *reply)
{
    CHECK(nghttp2_submit_rst_stream(peer->session, NGHTTP2_FLAG_NONE, reply->stream_id,
                                    NGHTTP2_CANCEL) == 0);
    peer_pump(peer);
}

void peer_put_message(struct buf *out, const void *payload, size_t n)
{
    const uint8_t prefix[] = {0, (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8),
                              (uint8_t)n};
    buf_put(out, prefix, sizeof prefix);
    buf_put(out, payload, n);
}

bool peer_has_messages(const struct peer_reply *reply, size_t count, const char *const *payloads)
{
    struct buf expected = {.data = NULL};
    for (size_t i = 0; i < count; i++) {
        peer_put_message(&expected, payloads[i], strlen(payloads[i]));
    }
    bool same = expected.len == reply->data.len &&
                (expected.len == 0 || memcmp(expected.data, reply->data.data, expected.len) == 0);
    buf_deinit(&expected);
    return same;
}

const char *peer_text(struct rpc_peer *peer)
{
    buf_put_u8(&peer->raw, 0);
    peer->raw.len--;
    return (const char *)peer->raw.data;
}

void peer_put_frame(struct buf *out, uint8_t type, uint8_t flags, uint32_t stream,
                    const void *payload, size_t n)
{
    const uint8_t head[] = {(uint8_t)(n >> 16),
                            (uint8_t)(n >> 8),
                            (uint8_t)n,
                            type,
                            flags,
                            (uint8_t)(stream >> 24),
                            (uint8_t)(stream >> 16),
                            (uint8_t)(stream >> 8),
                            (uint8_t)stream};
    buf_put(out, head, sizeof head);
    buf_put(out, payload, n);
}
