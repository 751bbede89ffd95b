#include "api/rpc_int.h"

#include <stdio.h>
#include <string.h>

#include "core/base/check.h"

/*
 * HTTP/1.1, on http-parser: one request at a time. While one is being answered, what comes behind
 * it waits in `rest`; a connection ends when that grows beyond what a waiting client would send.
 *
 * `head` holds the request's target, then the name and the value of the header that is being read.
 */

#define REST_MAX_BYTES ((size_t)64 << 10)

/* --- What comes ------------------------------------------------------------------------------- */

static int http1_on_begin(http_parser *parser)
{
    struct rpc_conn *conn = parser->data;
    buf_clear(&conn->head);
    conn->target_len = 0;
    conn->field_len = 0;
    conn->in_value = false;
    conn->wants_continue = false;
    conn->keep_alive = true;
    conn->half_since = conn->server->now;
    (void)call_open(conn, 0);
    return 0;
}

/* Not zero: the headers are too long. */
static int http1_keep(struct rpc_conn *conn, const char *at, size_t n)
{
    struct rpc_call *call = conn->calls;
    call->header_bytes += (uint32_t)n;
    if (n > UINT16_MAX || call->header_bytes > conn->server->config.limits.header_max_bytes) {
        return 1;
    }
    buf_put(&conn->head, at, n);
    return 0;
}

static int http1_on_target(http_parser *parser, const char *at, size_t n)
{
    struct rpc_conn *conn = parser->data;
    if (http1_keep(conn, at, n) != 0) {
        return 1;
    }
    conn->target_len = conn->head.len;
    return 0;
}

static struct bytes http1_trim(struct bytes value)
{
    while (value.len > 0 &&
           (value.data[value.len - 1] == ' ' || value.data[value.len - 1] == '\t')) {
        value.len--;
    }
    return value;
}

/* A header is complete. */
static void http1_end_header(struct rpc_conn *conn)
{
    uint8_t *name = conn->head.data + conn->target_len;
    size_t n = conn->field_len;
    if (n == 0) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        name[i] = (uint8_t)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] + 32 : name[i]);
    }
    struct bytes value =
        http1_trim((struct bytes){name + n, conn->head.len - conn->target_len - n});
    static const char expect[] = "expect", wanted[] = "100-continue";
    if (n == sizeof expect - 1 && memcmp(name, expect, n) == 0) {
        conn->wants_continue = value.len == sizeof wanted - 1 &&
                               strncasecmp((const char *)value.data, wanted, value.len) == 0;
    }
    call_set_header(conn->calls, (struct bytes){name, n}, value);
    conn->head.len = conn->target_len;
    conn->field_len = 0;
    conn->in_value = false;
}

static int http1_on_field(http_parser *parser, const char *at, size_t n)
{
    struct rpc_conn *conn = parser->data;
    if (conn->in_value) {
        http1_end_header(conn);
    }
    conn->field_len += n;
    conn->calls->header_bytes += 32; /* as HTTP/2 counts it, so that empty headers cost too */
    return http1_keep(conn, at, n);
}

static int http1_on_value(http_parser *parser, const char *at, size_t n)
{
    struct rpc_conn *conn = parser->data;
    conn->in_value = true;
    return http1_keep(conn, at, n);
}

static int http1_on_headers(http_parser *parser)
{
    struct rpc_conn *conn = parser->data;
    struct rpc_call *call = conn->calls;
    http1_end_header(conn);
    call->is_post = parser->method == HTTP_POST;
    call->is_get = parser->method == HTTP_GET;
    call->is_head = parser->method == HTTP_HEAD;
    call->is_grpc = false; /* which needs HTTP/2 */
    conn->keep_alive =
        http_should_keep_alive(parser) != 0 && parser->upgrade == 0 && !conn->server->draining;
    call_set_path(call, (struct bytes){conn->head.data, conn->target_len});
    call_admit(call);
    return 0;
}

static int http1_on_body(http_parser *parser, const char *at, size_t n)
{
    struct rpc_conn *conn = parser->data;
    call_input(conn->calls, (struct bytes){(const uint8_t *)at, n});
    return 0;
}

static int http1_on_complete(http_parser *parser)
{
    struct rpc_conn *conn = parser->data;
    conn->half_since = 0;
    call_half_close(conn->calls);
    http_parser_pause(parser, 1);
    return 0;
}

static const http_parser_settings http1_settings = {
    .on_message_begin = http1_on_begin,
    .on_url = http1_on_target,
    .on_header_field = http1_on_field,
    .on_header_value = http1_on_value,
    .on_headers_complete = http1_on_headers,
    .on_body = http1_on_body,
    .on_message_complete = http1_on_complete,
};

/* What is no HTTP, or too much of it: one answer, and the end. */
static void http1_refuse(struct rpc_conn *conn, bool too_long)
{
    conn->keep_alive = false;
    conn->half_since = 0;
    struct rpc_call *call = conn->calls == NULL ? call_open(conn, 0) : conn->calls;
    if (!call->finished) {
        call->kind = KIND_ERROR;
        call->http_status = too_long ? 431 : 400;
        call_fail(call, RPC_UNKNOWN, NULL);
    }
    call->remote_closed = true;
}

/* Parses until a request is complete, or the input is used up. Returns what is left. */
static struct bytes http1_parse(struct rpc_conn *conn, struct bytes input)
{
    size_t used =
        http_parser_execute(&conn->parser, &http1_settings, (const char *)input.data, input.len);
    enum http_errno error = HTTP_PARSER_ERRNO(&conn->parser);
    if (error == HPE_PAUSED || (error == HPE_OK && conn->parser.upgrade != 0)) {
        return (struct bytes){input.data + used, input.len - used};
    }
    if (error != HPE_OK) {
        http1_refuse(conn, error == HPE_HEADER_OVERFLOW || error == HPE_CB_header_field ||
                               error == HPE_CB_header_value || error == HPE_CB_url);
    }
    return (struct bytes){NULL, 0};
}

/* Is there a request whose answer has to leave before the next one is read? */
static bool http1_is_answering(const struct rpc_conn *conn)
{
    return conn->calls != NULL && conn->calls->remote_closed;
}

static void http1_keep_rest(struct rpc_conn *conn, struct bytes rest)
{
    if (!conn->keep_alive) {
        return; /* nobody will read it */
    }
    if (conn->rest.len + rest.len > REST_MAX_BYTES) {
        conn_break(conn);
        return;
    }
    buf_put(&conn->rest, rest.data, rest.len);
}

void http1_open(struct rpc_conn *conn)
{
    http_parser_init(&conn->parser, HTTP_REQUEST);
    conn->parser.data = conn;
    conn->keep_alive = true;
}

void http1_input(struct rpc_conn *conn, struct bytes input)
{
    /* The last request of a connection may come in pieces, too. */
    bool is_reading = conn->calls != NULL && !conn->calls->remote_closed;
    if (is_reading || (!http1_is_answering(conn) && conn->keep_alive)) {
        input = http1_parse(conn, input);
    }
    if (input.len > 0) {
        http1_keep_rest(conn, input);
    }
}

void http1_close(struct rpc_conn *conn)
{
    buf_deinit(&conn->rest);
    buf_deinit(&conn->head);
}

/* --- What leaves ------------------------------------------------------------------------------ */

__attribute__((format(printf, 2, 3))) static void http1_print(struct buf *sink, const char *format,
                                                              ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    CHECK(n >= 0 && (size_t)n < sizeof text);
    buf_put(sink, text, (size_t)n);
}

static bool http1_is_chunked(const struct rpc_conn *conn, const struct rpc_call *call)
{
    return call->streamed && conn->parser.http_major == 1 && conn->parser.http_minor >= 1;
}

static void http1_put_head(struct rpc_conn *conn, struct rpc_call *call, struct buf *sink)
{
    if (!call->remote_closed || (call->streamed && !http1_is_chunked(conn, call)) ||
        conn->server->draining) {
        conn->keep_alive = false;
    }
    http1_print(sink, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\n", call->http_status,
                http_status_text(call->http_status), call->content_type);
    if (http1_is_chunked(conn, call)) {
        http1_print(sink, "Transfer-Encoding: chunked\r\n");
    } else if (!call->streamed) {
        http1_print(sink, "Content-Length: %zu\r\n", call->body_len);
    }
    if (call->remark_name != NULL) {
        http1_print(sink, "%s: %s\r\n", call->remark_name, call->remark);
    }
    http1_print(sink, "%s\r\n", conn->keep_alive ? "" : "Connection: close\r\n");
    call->headed = true;
}

static void http1_put_body(struct rpc_conn *conn, struct rpc_call *call, struct buf *sink,
                           size_t room)
{
    size_t count = (size_t)u64_min(call_waiting(call), room);
    bool chunked = http1_is_chunked(conn, call);
    if (count > 0 && chunked) {
        http1_print(sink, "%zx\r\n", count);
    }
    if (count > 0) {
        buf_put(sink, call->out.data + call->out_at, count);
    }
    if (count > 0 && chunked) {
        buf_put(sink, "\r\n", 2);
    }
    if (count > 0) {
        call_left(call, count);
    }
    if (call->finished && call_waiting(call) == 0) {
        if (chunked) {
            http1_print(sink, "0\r\n\r\n");
        }
        call->ended = true;
    }
}

/* The answer has left: on to the next request, which may have come already. */
static void http1_next(struct rpc_conn *conn)
{
    call_close(conn->calls);
    if (!conn->keep_alive) {
        conn->finishing = true;
        buf_deinit(&conn->rest);
        return;
    }
    buf_deinit(&conn->head);
    http_parser_pause(&conn->parser, 0);
    struct buf rest = conn->rest;
    conn->rest = (struct buf){.data = NULL};
    if (rest.len > 0) {
        http1_input(conn, buf_view(&rest));
    }
    buf_deinit(&rest);
}

bool http1_produce(struct rpc_conn *conn, struct buf *sink, size_t room)
{
    size_t enough = sink->len + room;
    while (!conn->finishing && conn->calls != NULL && sink->len < enough) {
        struct rpc_call *call = conn->calls;
        if (conn->wants_continue && call->headers_done && !call->responded) {
            http1_print(sink, "HTTP/1.1 100 Continue\r\n\r\n");
        }
        conn->wants_continue = conn->wants_continue && !call->headers_done;
        if (!call->responded) {
            return false;
        }
        if (!call->headed) {
            http1_put_head(conn, call, sink);
        }
        http1_put_body(conn, call, sink, enough - (size_t)u64_min(sink->len, enough));
        if (call->ended) {
            http1_next(conn);
        } else if (call_waiting(call) == 0) {
            return false;
        }
    }
    return !conn->finishing && conn->calls != NULL && sink->len >= enough;
}
