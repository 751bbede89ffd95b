#include "api/rpc_int.h"

#include <stdio.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"

/*
 * HTTP/2, on nghttp2. Its own checks of HTTP's rules are off, because etcdctl 3.4 and other Go
 * clients send an :authority that they refuse; what matters of them is checked in rpc_call.c.
 */

/* Per stream and per connection: how much of requests may be under way. Two full requests on one
 * stream, so that a client on a long line need not wait for us. */
#define STREAM_WINDOW_BYTES     (4 << 20)
#define CONNECTION_WINDOW_BYTES (16 << 20)

/* Streams that a client may cancel: at once, and then by the second. Clients that watch or wait for
 * locks cancel by the thousand when they close; each costs us some microseconds. */
#define RESETS_BURST      20000
#define RESETS_PER_SECOND 2000

/* Pings, settings and their like that wait to be answered: more is a flood. */
#define ANSWERS_MAX       1000
#define CONTINUATIONS_MAX 8

/* Strikes for pings that come too often before the connection ends: what grpc-go tolerates. */
#define PING_STRIKES_MAX 2
/* Between two pings on a connection without calls. */
#define PING_IDLE_INTERVAL (7200 * NANOS_PER_S)

#define FRAME_HEAD_BYTES 9

/* Answers above this take turns with others: see http2_share. */
#define SHARED_ANSWER_BYTES 65536

#define NV(name, value)                                                                            \
    {                                                                                              \
        (uint8_t *)(uintptr_t)(name), (uint8_t *)(uintptr_t)(value), sizeof(name) - 1,             \
            sizeof(value) - 1, NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE        \
    }

static struct rpc_call *http2_call(nghttp2_session *session, int32_t stream_id)
{
    return nghttp2_session_get_stream_user_data(session, stream_id);
}

/* --- What comes ------------------------------------------------------------------------------- */

static int http2_on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct rpc_conn *conn = arg;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        struct rpc_call *call = call_open(conn, frame->hd.stream_id);
        (void)nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, call);
    }
    return 0;
}

static int http2_on_header(nghttp2_session *session, const nghttp2_frame *frame,
                           const uint8_t *name, size_t name_len, const uint8_t *value,
                           size_t value_len, uint8_t flags, void *arg)
{
    (void)flags;
    struct rpc_conn *conn = arg;
    struct rpc_call *call = http2_call(session, frame->hd.stream_id);
    if (call == NULL || call->headers_done) {
        return 0; /* trailers say nothing that we ask for */
    }
    /* As HTTP/2 counts it, so that empty headers cost too. */
    call->header_bytes += (uint32_t)(name_len + value_len + 32);
    if (call->header_bytes > conn->server->config.limits.header_max_bytes) {
        conn->server->counters.calls_refused++;
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    struct bytes name_view = {name, name_len}, value_view = {value, value_len};
    if (name_len == 0 || name[0] != ':') {
        call_set_header(call, name_view, value_view);
    } else if (name_len == 5 && memcmp(name, ":path", 5) == 0) {
        call_set_path(call, value_view);
    } else if (name_len == 7 && memcmp(name, ":method", 7) == 0) {
        call->is_post = value_len == 4 && memcmp(value, "POST", 4) == 0;
        call->is_get = value_len == 3 && memcmp(value, "GET", 3) == 0;
        call->is_head = value_len == 4 && memcmp(value, "HEAD", 4) == 0;
    }
    return 0;
}

static int http2_on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *head, void *arg)
{
    (void)session;
    (void)head;
    struct rpc_conn *conn = arg;
    if (conn->half_since == 0) {
        conn->half_since = conn->server->now;
    }
    return 0;
}

static int http2_on_chunk(nghttp2_session *session, uint8_t flags, int32_t stream_id,
                          const uint8_t *bytes, size_t len, void *arg)
{
    (void)flags;
    (void)arg;
    struct rpc_call *call = http2_call(session, stream_id);
    if (call != NULL) {
        call_input(call, (struct bytes){bytes, len});
    }
    return 0;
}

/* Clients that ping all the time are told to stop, as grpc-go does it: the count begins anew with
 * every answer that we send. */
static void http2_on_ping(struct rpc_conn *conn)
{
    nanos now = conn->server->now;
    nanos interval =
        conn->calls == NULL ? PING_IDLE_INTERVAL : conn->server->config.limits.ping_min_interval;
    bool early = conn->ping_heard_at != 0 && u64_sub_sat(now, conn->ping_heard_at) < interval;
    conn->ping_heard_at = now;
    if (!early || ++conn->ping_strikes <= PING_STRIKES_MAX) {
        return;
    }
    static const uint8_t why[] = "too_many_pings";
    (void)nghttp2_submit_goaway(conn->session, NGHTTP2_FLAG_NONE,
                                nghttp2_session_get_last_proc_stream_id(conn->session),
                                NGHTTP2_ENHANCE_YOUR_CALM, why, sizeof why - 1);
    conn->finishing = true;
    conn->server->counters.connections_dropped++;
}

static int http2_on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct rpc_conn *conn = arg;
    conn->half_since = 0;
    struct rpc_call *call = NULL;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        call = http2_call(session, frame->hd.stream_id);
        if (call != NULL && !call->headers_done) {
            call_admit(call);
        }
        break;
    case NGHTTP2_DATA:
        call = http2_call(session, frame->hd.stream_id);
        break;
    case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) {
            http2_on_ping(conn);
        }
        break;
    default:
        break;
    }
    if (call != NULL && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        call_half_close(call);
    }
    return 0;
}

static int http2_on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error,
                                  void *arg)
{
    (void)session;
    (void)frame;
    (void)error;
    struct rpc_conn *conn = arg;
    conn->half_since = 0;
    return 0;
}

static int http2_on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t code,
                                 void *arg)
{
    (void)code;
    (void)arg;
    struct rpc_call *call = http2_call(session, stream_id);
    if (call != NULL) {
        (void)nghttp2_session_set_stream_user_data(session, stream_id, NULL);
        call_close(call);
    }
    return 0;
}

/* --- What leaves ------------------------------------------------------------------------------ */

/* Puts the call's remark behind the other headers; borrowed until they are submitted. */
static size_t http2_put_remark(const struct rpc_call *call, nghttp2_nv *headers, size_t count)
{
    if (call->remark_name == NULL) {
        return count;
    }
    headers[count] = (nghttp2_nv){
        .name = (uint8_t *)(uintptr_t)call->remark_name,
        .namelen = strlen(call->remark_name),
        .value = (uint8_t *)call->remark,
        .valuelen = strlen(call->remark),
    };
    return count + 1;
}

/* Ends the stream with trailers, from inside the read callback of its last DATA frame. */
static void http2_submit_trailers(struct rpc_call *call)
{
    char status[12];
    struct buf text = {.data = NULL};
    nghttp2_nv trailers[3] = {
        NV("grpc-status", "0"),
        NV("grpc-message", ""),
    };
    size_t count = http2_put_remark(call, trailers, 2);
    if (call->status != RPC_OK) {
        trailers[0].value = (uint8_t *)status;
        trailers[0].valuelen = (size_t)snprintf(status, sizeof status, "%d", call->status);
        trailers[0].flags = NGHTTP2_NV_FLAG_NO_COPY_NAME;
    }
    if (call->text != NULL) {
        grpc_message_encode(call->text, &text);
        trailers[1].value = text.data;
        trailers[1].valuelen = text.len;
        trailers[1].flags = NGHTTP2_NV_FLAG_NO_COPY_NAME;
    }
    if (nghttp2_submit_trailer(call->conn->session, call->stream_id, trailers, count) != 0) {
        http2_reset_call(call, NGHTTP2_INTERNAL_ERROR);
    }
    buf_deinit(&text);
}

static ssize_t http2_on_read(nghttp2_session *session, int32_t stream_id, uint8_t *buffer,
                             size_t room, uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    (void)session;
    (void)stream_id;
    (void)buffer;
    (void)arg;
    struct rpc_call *call = source->ptr;
    size_t waiting = call_waiting(call);
    if (waiting == 0 && !call->finished) {
        call->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    size_t count = (size_t)u64_min(waiting, room);
    if (count > 0) {
        *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    }
    if (count == waiting && call->finished) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (call->kind == KIND_GRPC && !call->ended) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            http2_submit_trailers(call);
        }
        call->ended = true;
    }
    return (ssize_t)count;
}

/* Puts a whole DATA frame behind what is produced already. */
static int http2_on_send(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head,
                         size_t length, nghttp2_data_source *source, void *arg)
{
    (void)session;
    struct rpc_conn *conn = arg;
    struct rpc_call *call = source->ptr;
    CHECK(frame->data.padlen == 0 && conn->sink != NULL && length <= call_waiting(call));
    buf_reserve(conn->sink, FRAME_HEAD_BYTES + length);
    buf_put(conn->sink, head, FRAME_HEAD_BYTES);
    buf_put(conn->sink, call->out.data + call->out_at, length);
    call_left(call, length);
    return conn->sink->len >= conn->sink_room ? NGHTTP2_ERR_PAUSE : 0;
}

/* We have said all, and the client may still be talking: it need not go on. */
static int http2_on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct rpc_conn *conn = arg;
    if (frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS) {
        return 0;
    }
    conn->ping_strikes = 0;
    conn->ping_heard_at = 0;
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        struct rpc_call *call = http2_call(session, frame->hd.stream_id);
        if (call != NULL && !call->remote_closed) {
            (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                            NGHTTP2_NO_ERROR);
        }
    }
    return 0;
}

/* --- Responses -------------------------------------------------------------------------------- */

static int http2_respond_grpc(struct rpc_call *call, const nghttp2_data_provider *provider)
{
    static const nghttp2_nv headers[] = {
        NV(":status", "200"),
        NV("content-type", "application/grpc"),
    };
    return nghttp2_submit_response(call->conn->session, call->stream_id, headers, COUNT_OF(headers),
                                   provider);
}

/* A failure before any message is one block of headers. */
static int http2_respond_failure(struct rpc_call *call)
{
    char status[12];
    struct buf text = {.data = NULL};
    int digits = snprintf(status, sizeof status, "%d", call->status);
    if (call->text != NULL) {
        grpc_message_encode(call->text, &text);
    }
    nghttp2_nv headers[6] = {
        NV(":status", "200"),
        NV("content-type", "application/grpc"),
        NV("grpc-status", ""),
        NV("grpc-message", ""),
    };
    headers[2].value = (uint8_t *)status;
    headers[2].valuelen = (size_t)digits;
    headers[2].flags = NGHTTP2_NV_FLAG_NO_COPY_NAME;
    headers[3].value = text.data;
    headers[3].valuelen = text.len;
    headers[3].flags = NGHTTP2_NV_FLAG_NO_COPY_NAME;
    size_t count = http2_put_remark(call, headers, 4);
    if (call->status == RPC_NO_SUCH_METHOD) {
        headers[count++] = (nghttp2_nv)NV("grpc-accept-encoding", "identity");
    }
    int rv = nghttp2_submit_response(call->conn->session, call->stream_id, headers, count, NULL);
    buf_deinit(&text);
    call->ended = true;
    return rv;
}

static int http2_respond_http(struct rpc_call *call, const nghttp2_data_provider *provider)
{
    char status[12], length[24];
    int status_digits = snprintf(status, sizeof status, "%d", call->http_status);
    int length_digits = snprintf(length, sizeof length, "%zu", call->body_len);
    const char *type = call->content_type;
    nghttp2_nv headers[4] = {
        NV(":status", ""),
        NV("content-type", ""),
        NV("content-length", ""),
    };
    headers[0].value = (uint8_t *)status;
    headers[0].valuelen = (size_t)status_digits;
    headers[1].value = (uint8_t *)(uintptr_t)type;
    headers[1].valuelen = strlen(type);
    headers[2].value = (uint8_t *)length;
    headers[2].valuelen = (size_t)length_digits;
    for (size_t i = 0; i < 3; i++) {
        headers[i].flags = NGHTTP2_NV_FLAG_NO_COPY_NAME;
    }
    size_t count = http2_put_remark(call, headers, call->streamed ? 2 : 3);
    return nghttp2_submit_response(call->conn->session, call->stream_id, headers, count,
                                   call->is_head ? NULL : provider);
}

/* Streams, and answers of more than a few frames, take turns on their connection; otherwise a
 * snapshot would hold up every watch until it is through. */
static void http2_share(struct rpc_call *call)
{
    const nghttp2_extpri turns = {.urgency = NGHTTP2_EXTPRI_DEFAULT_URGENCY, .inc = 1};
    bool stream = call->method != NULL && call->method->shape != RPC_UNARY;
    if (stream || call_waiting(call) > SHARED_ANSWER_BYTES) {
        (void)nghttp2_session_change_extpri_stream_priority(call->conn->session, call->stream_id,
                                                            &turns, 1);
    }
}

void http2_wake_call(struct rpc_call *call)
{
    nghttp2_session *session = call->conn->session;
    if (call->ended) {
        return;
    }
    if (!call->headed) {
        call->headed = true;
        http2_share(call);
        nghttp2_data_provider provider = {.source.ptr = call, .read_callback = http2_on_read};
        int rv = 0;
        if (call->kind != KIND_GRPC) {
            rv = http2_respond_http(call, &provider);
        } else if (call->finished && call_waiting(call) == 0 && call->status != RPC_OK) {
            rv = http2_respond_failure(call);
        } else {
            rv = http2_respond_grpc(call, &provider);
        }
        if (rv != 0) {
            http2_reset_call(call, NGHTTP2_INTERNAL_ERROR);
        }
    } else if (call->deferred) {
        call->deferred = false;
        (void)nghttp2_session_resume_data(session, call->stream_id);
    }
}

void http2_reset_call(struct rpc_call *call, uint32_t code)
{
    (void)nghttp2_submit_rst_stream(call->conn->session, NGHTTP2_FLAG_NONE, call->stream_id, code);
    conn_wake(call->conn);
}

/* --- The connection --------------------------------------------------------------------------- */

void http2_setup(struct rpc_server *server)
{
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    CHECK(nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, http2_on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, http2_on_header);
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, http2_on_begin_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, http2_on_chunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, http2_on_frame);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, http2_on_invalid_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, http2_on_stream_close);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, http2_on_send);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, http2_on_frame_sent);
    nghttp2_option_set_no_http_messaging(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_option_set_max_outbound_ack(option, ANSWERS_MAX);
    nghttp2_option_set_stream_reset_rate_limit(option, RESETS_BURST, RESETS_PER_SECOND);
    nghttp2_option_set_max_continuations(option, CONTINUATIONS_MAX);
    server->callbacks = callbacks;
    server->option = option;
}

void http2_open(struct rpc_conn *conn)
{
    const struct rpc_limits *limits = &conn->server->config.limits;
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits->streams_max},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)limits->header_max_bytes},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    CHECK(nghttp2_session_server_new2(&conn->session, conn->server->callbacks, conn,
                                      conn->server->option) == 0);
    CHECK(nghttp2_submit_settings(conn->session, NGHTTP2_FLAG_NONE, settings, COUNT_OF(settings)) ==
          0);
    CHECK(nghttp2_session_set_local_window_size(conn->session, NGHTTP2_FLAG_NONE, 0,
                                                CONNECTION_WINDOW_BYTES) == 0);
    if (conn->server->draining) {
        http2_drain(conn, true);
    }
}

void http2_input(struct rpc_conn *conn, struct bytes input)
{
    ssize_t taken = nghttp2_session_mem_recv(conn->session, input.data, input.len);
    if (taken < 0) {
        conn_break(conn); /* a flood, or no HTTP/2 at all */
    }
}

bool http2_produce(struct rpc_conn *conn, struct buf *sink, size_t room)
{
    bool more = false;
    conn->sink = sink;
    conn->sink_room = sink->len + room;
    for (;;) {
        const uint8_t *bytes = NULL;
        ssize_t count = nghttp2_session_mem_send(conn->session, &bytes);
        if (count < 0) {
            conn_break(conn);
            break;
        }
        if (count > 0) {
            buf_put(sink, bytes, (size_t)count);
        }
        if (sink->len >= conn->sink_room) {
            more = true;
            break;
        }
        if (count == 0) {
            break;
        }
    }
    conn->sink = NULL;
    if (!more && nghttp2_session_want_read(conn->session) == 0 &&
        nghttp2_session_want_write(conn->session) == 0) {
        conn->finishing = true;
    }
    return more;
}

void http2_drain(struct rpc_conn *conn, bool last)
{
    if (!last) {
        (void)nghttp2_submit_shutdown_notice(conn->session);
    } else {
        (void)nghttp2_submit_goaway(conn->session, NGHTTP2_FLAG_NONE,
                                    nghttp2_session_get_last_proc_stream_id(conn->session),
                                    NGHTTP2_NO_ERROR, NULL, 0);
    }
    conn_wake(conn);
}

void http2_ping(struct rpc_conn *conn)
{
    (void)nghttp2_submit_ping(conn->session, NGHTTP2_FLAG_NONE, NULL);
    conn_wake(conn);
}
