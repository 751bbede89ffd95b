#include "api/client/rpc_client_int.h"

#include <stdio.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"

/* Calls of a client on its HTTP/2 session. */

#define CLIENT_STREAM_WINDOW     (4 << 20)
#define CLIENT_CONNECTION_WINDOW (64 << 20)
#define CLIENT_QUEUE_HIGH        ((size_t)1 << 20)
#define CLIENT_FRAME_HEAD_BYTES  9

/* Buffers up to this stay with a call in the pool. */
#define CLIENT_POOLED_BYTES 4096

/* --- Life ------------------------------------------------------------------------------------- */

static struct rpc_client_call *client_call_take(struct rpc_client *client)
{
    struct rpc_client_call *call = client->pool;
    if (call == NULL) {
        return mem_alloc_zero(sizeof *call);
    }
    client->pool = call->next;
    struct buf out = call->out, in = call->in;
    memset(call, 0, sizeof *call);
    call->out = out;
    call->in = in;
    return call;
}

static void client_call_trim(struct buf *b)
{
    if (b->cap > CLIENT_POOLED_BYTES) {
        buf_deinit(b);
    }
    buf_clear(b);
}

void client_call_free(struct rpc_client_call *call)
{
    struct rpc_client *client = call->client;
    if (call->stream_id > 0 && client->session != NULL) {
        (void)nghttp2_session_set_stream_user_data(client->session, call->stream_id, NULL);
        (void)nghttp2_submit_rst_stream(client->session, NGHTTP2_FLAG_NONE, call->stream_id,
                                        NGHTTP2_CANCEL);
        rpc_socket_wake(client->socket);
    }
    *call->link = call->next;
    if (call->next != NULL) {
        call->next->link = call->link;
    }
    mem_free(call->text);
    call->text = NULL;
    client_call_trim(&call->out);
    client_call_trim(&call->in);
    call->next = client->pool;
    client->pool = call;
}

void client_call_done(struct rpc_client_call *call, int status, const char *text)
{
    const struct rpc_client_ops *ops = call->ops;
    void *arg = call->arg;
    char *own = call->text;
    call->text = NULL;
    client_call_free(call);
    ops->done(arg, status, text);
    mem_free(own);
}

/* The server has ended the stream, or it was reset with `code`. */
static void client_call_closed(struct rpc_client_call *call, uint32_t code)
{
    call->stream_id = -1;
    if (call->status >= 0) {
        client_call_done(call, call->status, call->text == NULL ? "" : call->text);
    } else if (code == NGHTTP2_REFUSED_STREAM) {
        client_call_done(call, RPC_UNAVAILABLE, "the server refused the call unseen");
    } else if (code == NGHTTP2_CANCEL) {
        client_call_done(call, RPC_CANCELED, "the server canceled the call");
    } else if (call->http_status != 200 && call->http_status != 0) {
        client_call_done(call, RPC_UNKNOWN, "the server answered with an error of HTTP");
    } else {
        client_call_done(call, RPC_INTERNAL, "the call ended without a status");
    }
}

/* --- Responses -------------------------------------------------------------------------------- */

static int client_hex(uint8_t c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

/* Takes the percent-encoding off grpc-message. */
static char *client_message_decode(const uint8_t *text, size_t n)
{
    n = (size_t)u64_min(n, CLIENT_TEXT_MAX_BYTES);
    char *decoded = mem_alloc(n + 1);
    size_t length = 0;
    for (size_t i = 0; i < n; i++) {
        int high = i + 2 < n && text[i] == '%' ? client_hex(text[i + 1]) : -1;
        int low = high >= 0 ? client_hex(text[i + 2]) : -1;
        if (low >= 0) {
            decoded[length++] = (char)(high << 4 | low);
            i += 2;
        } else {
            decoded[length++] = (char)text[i];
        }
    }
    decoded[length] = '\0';
    return decoded;
}

static int client_number(const uint8_t *text, size_t n)
{
    int value = n == 0 || n > 3 ? -1 : 0;
    for (size_t i = 0; i < n && value >= 0; i++) {
        value = text[i] >= '0' && text[i] <= '9' ? value * 10 + (text[i] - '0') : -1;
    }
    return value;
}

static bool client_header_is(const uint8_t *name, size_t n, const char *text)
{
    return n == strlen(text) && memcmp(name, text, n) == 0;
}

static void client_remark(const struct rpc_client_call *call, const uint8_t *name, size_t name_len,
                          const uint8_t *value, size_t value_len)
{
    static const char OURS[] = "novacron-";
    char copied[CLIENT_REMARK_NAME_BYTES], text[RPC_REMARK_MAX + 1];
    size_t prefix = sizeof OURS - 1;
    size_t len = (size_t)u64_min(value_len, RPC_REMARK_MAX);
    if (call->ops->remark == NULL || name_len <= prefix || name_len >= sizeof copied ||
        memcmp(name, OURS, prefix) != 0) {
        return;
    }
    memcpy(copied, name, name_len);
    copied[name_len] = '\0';
    memcpy(text, value, len);
    text[len] = '\0';
    call->ops->remark(call->arg, copied, text);
}

static int client_on_header(nghttp2_session *session, const nghttp2_frame *frame,
                            const uint8_t *name, size_t name_len, const uint8_t *value,
                            size_t value_len, uint8_t flags, void *arg)
{
    (void)flags;
    (void)arg;
    struct rpc_client_call *call =
        nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (call == NULL) {
        return 0;
    }
    if (client_header_is(name, name_len, "grpc-status")) {
        int status = client_number(value, value_len);
        call->status = status < 0 ? RPC_UNKNOWN : status;
    } else if (client_header_is(name, name_len, "grpc-message")) {
        mem_free(call->text);
        call->text = client_message_decode(value, value_len);
    } else if (client_header_is(name, name_len, ":status")) {
        call->http_status = client_number(value, value_len);
    } else {
        client_remark(call, name, name_len, value, value_len);
    }
    return 0;
}

static void client_call_abort(struct rpc_client_call *call, int status, const char *text)
{
    client_call_done(call, status, text); /* which resets the stream */
}

/* One message is whole, or was in the input. False: the call has ended. */
static bool client_deliver(nghttp2_session *session, int32_t stream_id,
                           struct rpc_client_call *call, struct bytes message)
{
    call->prefix_len = 0;
    call->ops->message(call->arg, message);
    /* The callback may have canceled it. */
    return nghttp2_session_get_stream_user_data(session, stream_id) == call;
}

static int client_on_chunk(nghttp2_session *session, uint8_t flags, int32_t stream_id,
                           const uint8_t *bytes, size_t len, void *arg)
{
    (void)flags;
    (void)arg;
    struct rpc_client_call *call = nghttp2_session_get_stream_user_data(session, stream_id);
    while (call != NULL && len > 0) {
        if (call->prefix_len < CLIENT_PREFIX_BYTES) {
            call->prefix[call->prefix_len++] = *bytes++;
            len--;
            if (call->prefix_len < CLIENT_PREFIX_BYTES) {
                continue;
            }
            const uint8_t *p = call->prefix;
            call->message_len =
                (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | (size_t)p[4];
            if (p[0] != 0 || call->message_len > INT32_MAX) {
                client_call_abort(call, RPC_INTERNAL, "the response is compressed or too large");
                return 0;
            }
        }
        size_t missing = call->message_len - call->in.len;
        size_t part = (size_t)u64_min(missing, len);
        struct bytes message = {bytes, part};
        if (part < missing || call->in.len > 0) {
            buf_put(&call->in, bytes, part);
            message = buf_view(&call->in);
        }
        bytes += part;
        len -= part;
        if (part == missing) {
            if (!client_deliver(session, stream_id, call, message)) {
                return 0;
            }
            client_call_trim(&call->in);
        }
    }
    return 0;
}

static int client_on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    (void)session;
    struct rpc_client *client = arg;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        client->going_away = true;
    }
    return 0;
}

static int client_on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t code,
                                  void *arg)
{
    (void)arg;
    struct rpc_client_call *call = nghttp2_session_get_stream_user_data(session, stream_id);
    if (call != NULL) {
        (void)nghttp2_session_set_stream_user_data(session, stream_id, NULL);
        client_call_closed(call, code);
    }
    return 0;
}

/* --- Requests --------------------------------------------------------------------------------- */

static ssize_t client_on_read(nghttp2_session *session, int32_t stream_id, uint8_t *buffer,
                              size_t room, uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    (void)stream_id;
    (void)buffer;
    (void)arg;
    (void)source;
    struct rpc_client_call *call = nghttp2_session_get_stream_user_data(session, stream_id);
    if (call == NULL) {
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* canceled */
    }
    size_t waiting = call->out.len - call->out_at;
    if (waiting == 0 && !call->half_closed) {
        call->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    size_t count = (size_t)u64_min(waiting, room);
    *flags |= count > 0 ? (uint32_t)NGHTTP2_DATA_FLAG_NO_COPY : 0;
    *flags |= count == waiting && call->half_closed ? (uint32_t)NGHTTP2_DATA_FLAG_EOF : 0;
    return (ssize_t)count;
}

static int client_on_send(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head,
                          size_t length, nghttp2_data_source *source, void *arg)
{
    (void)source;
    struct rpc_client *client = arg;
    struct rpc_client_call *call =
        nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (call == NULL) {
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    buf_put(client->sink, head, CLIENT_FRAME_HEAD_BYTES);
    buf_put(client->sink, call->out.data + call->out_at, length);
    call->out_at += length;
    if (call->out_at == call->out.len) {
        call->out_at = 0;
        client_call_trim(&call->out);
    }
    if (call->wants_room && call->out.len - call->out_at < CLIENT_QUEUE_HIGH / 2) {
        call->wants_room = false;
        if (call->ops->writable != NULL) {
            call->ops->writable(call->arg);
        }
    }
    return 0;
}

#define CLIENT_NV(name, value, value_len)                                                          \
    {                                                                                              \
        (uint8_t *)(uintptr_t)(name), (uint8_t *)(uintptr_t)(value), strlen(name), value_len,      \
            NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE                           \
    }

/* grpc-timeout has at most eight digits: the finest unit that fits. */
static int client_print_timeout(nanos timeout, char *text, size_t cap)
{
    nanos us = timeout / NANOS_PER_US;
    if (us < 100000000) {
        return snprintf(text, cap, "%lluu", (unsigned long long)u64_max(us, 1));
    }
    if (us / 1000 < 100000000) {
        return snprintf(text, cap, "%llum", (unsigned long long)(us / 1000));
    }
    return snprintf(text, cap, "%lluS", (unsigned long long)u64_min(us / 1000000, 99999999));
}

static void client_submit(struct rpc_client_call *call)
{
    struct rpc_client *client = call->client;
    const struct rpc_endpoint *e = &client->endpoints[client->current];
    char timeout[32];
    nghttp2_nv headers[9 + CLIENT_METADATA_MAX] = {
        CLIENT_NV(":method", "POST", 4),
        CLIENT_NV(":scheme", e->tls ? "https" : "http", e->tls ? 5 : 4),
        CLIENT_NV(":path", call->path, strlen(call->path)),
        CLIENT_NV(":authority", e->authority, strlen(e->authority)),
        CLIENT_NV("content-type", "application/grpc", 16),
        CLIENT_NV("te", "trailers", 8),
        CLIENT_NV("user-agent", "novacron", 8),
    };
    size_t count = 7;
    if (call->timeout != 0) {
        int n = client_print_timeout(call->timeout, timeout, sizeof timeout);
        headers[count] = (nghttp2_nv)CLIENT_NV("grpc-timeout", timeout, (size_t)n);
        headers[count++].flags = NGHTTP2_NV_FLAG_NO_COPY_NAME;
    }
    for (size_t i = 0; i < client->metadata_count; i++) {
        const char *value = client->metadata[i].value;
        headers[count] = (nghttp2_nv)CLIENT_NV(client->metadata[i].name, value, strlen(value));
        headers[count++].flags = NGHTTP2_NV_FLAG_NONE;
    }
    nghttp2_data_provider provider = {.source.ptr = call, .read_callback = client_on_read};
    int32_t stream = nghttp2_submit_request(client->session, NULL, headers, count, &provider, call);
    if (stream < 0) {
        /* The stream numbers are used up, or the server is going away: on to a new connection. */
        client->going_away = true;
        return;
    }
    call->stream_id = stream;
    rpc_socket_wake(client->socket);
}

void client_submit_waiting(struct rpc_client *client)
{
    struct rpc_client_call *next = NULL;
    for (struct rpc_client_call *call = client->calls; call != NULL; call = next) {
        next = call->next;
        if (call->stream_id == 0 && !client->going_away) {
            client_submit(call);
        }
    }
}

struct rpc_client_call *rpc_client_start(struct rpc_client *client, const char *path, nanos timeout,
                                         const struct rpc_client_ops *ops, void *arg)
{
    struct rpc_client_call *call = client_call_take(client);
    call->client = client;
    call->path = path;
    call->ops = ops;
    call->arg = arg;
    call->timeout = timeout;
    call->deadline = timeout == 0 ? 0 : u64_add_sat(rpc_io_now(client->io), timeout);
    call->status = -1;
    call->next = client->calls;
    call->link = &client->calls;
    if (call->next != NULL) {
        call->next->link = &call->next;
    }
    client->calls = call;
    if (client->state == CLIENT_READY && !client->going_away) {
        client_submit(call);
    } else {
        client_want_connection(client);
    }
    return call;
}

static void client_call_resume(struct rpc_client_call *call)
{
    if (call->deferred && call->stream_id > 0) {
        call->deferred = false;
        (void)nghttp2_session_resume_data(call->client->session, call->stream_id);
        rpc_socket_wake(call->client->socket);
    }
}

bool rpc_client_send(struct rpc_client_call *call, struct bytes message, bool last)
{
    CHECK(!call->half_closed && message.len <= INT32_MAX);
    uint32_t length = (uint32_t)message.len;
    if (call->out_at > CLIENT_QUEUE_HIGH && call->out_at > call->out.len / 2) {
        call->out.len -= call->out_at;
        memmove(call->out.data, call->out.data + call->out_at, call->out.len);
        call->out_at = 0;
    }
    const uint8_t prefix[CLIENT_PREFIX_BYTES] = {0, (uint8_t)(length >> 24),
                                                 (uint8_t)(length >> 16), (uint8_t)(length >> 8),
                                                 (uint8_t)length};
    buf_reserve(&call->out, sizeof prefix + message.len);
    buf_put(&call->out, prefix, sizeof prefix);
    buf_put(&call->out, message.data, message.len);
    call->half_closed = last;
    client_call_resume(call);
    call->wants_room = call->out.len - call->out_at > CLIENT_QUEUE_HIGH;
    return !call->wants_room;
}

void rpc_client_half_close(struct rpc_client_call *call)
{
    call->half_closed = true;
    client_call_resume(call);
}

void rpc_client_cancel(struct rpc_client_call *call)
{
    client_call_free(call);
}

/* --- The session ------------------------------------------------------------------------------ */

nghttp2_session *client_session_open(struct rpc_client *client)
{
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_session *session = NULL;
    nghttp2_option *option = NULL;
    CHECK(nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, client_on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, client_on_chunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, client_on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, client_on_stream_close);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, client_on_send);
    nghttp2_option_set_no_http_messaging(option, 1);
    CHECK(nghttp2_session_client_new2(&session, callbacks, client, option) == 0);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, CLIENT_STREAM_WINDOW},
    };
    CHECK(nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, COUNT_OF(settings)) == 0);
    CHECK(nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0,
                                                CLIENT_CONNECTION_WINDOW) == 0);
    return session;
}

bool client_session_produce(struct rpc_client *client, struct buf *sink, size_t room)
{
    size_t enough = sink->len + room;
    client->sink = sink;
    for (;;) {
        const uint8_t *bytes = NULL;
        ssize_t count = nghttp2_session_mem_send(client->session, &bytes);
        if (count <= 0) {
            break;
        }
        buf_put(sink, bytes, (size_t)count);
        if (sink->len >= enough) {
            return true;
        }
    }
    return false;
}
