#include "api/rpc_int.h"

#include <stdio.h>
#include <string.h>

#include "api/json_wire.h"
#include "core/base/check.h"

/*
 * The methods as JSON, and HTTP's own errors: what grpc-gateway does for etcd. An error's body is a
 * superset of what its versions 1 and 2 send, because clients read one or the other.
 */

static const char JSON_TYPE[] = "application/json";

int gateway_http_status(int status)
{
    static const int map[RPC_STATUS_COUNT] = {200, 408, 500, 400, 504, 404, 409, 403, 429,
                                              400, 409, 400, 501, 500, 503, 500, 401};
    return status >= 0 && status < RPC_STATUS_COUNT ? map[status] : 500;
}

const char *http_status_text(int http_status)
{
    static const struct {
        int status;
        const char *text;
    } texts[] = {
        {200, "OK"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {413, "Content Too Large"},
        {415, "Unsupported Media Type"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
    };
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        if (texts[i].status == http_status) {
            return texts[i].text;
        }
    }
    return "Unknown";
}

static void gateway_put(struct buf *out, const char *text)
{
    buf_put(out, text, strlen(text));
}

static void gateway_put_number(struct buf *out, int number)
{
    char text[16];
    int n = snprintf(text, sizeof text, "%d", number);
    buf_put(out, text, (size_t)n);
}

static void gateway_put_error(struct buf *out, int status, const char *text)
{
    gateway_put(out, "{\"error\":");
    json_put_string(out, text);
    gateway_put(out, ",\"code\":");
    gateway_put_number(out, status);
    gateway_put(out, ",\"message\":");
    json_put_string(out, text);
    gateway_put(out, "}");
}

/* An error inside a stream, whose HTTP status is said already. */
static void gateway_put_stream_error(struct buf *out, int status, const char *text)
{
    int http_status = gateway_http_status(status);
    gateway_put(out, "{\"error\":{\"code\":");
    gateway_put_number(out, status);
    gateway_put(out, ",\"grpc_code\":");
    gateway_put_number(out, status);
    gateway_put(out, ",\"http_code\":");
    gateway_put_number(out, http_status);
    gateway_put(out, ",\"message\":");
    json_put_string(out, text);
    gateway_put(out, ",\"http_status\":");
    json_put_string(out, http_status_text(http_status));
    gateway_put(out, "}}\n");
}

/* --- Requests --------------------------------------------------------------------------------- */

/* The body is one object, or for a bidi method one after the other; none stands for an empty one.
 * What follows the one object is ignored, as grpc-gateway does. */
void gateway_body(struct rpc_call *call)
{
    struct bytes text = buf_view(&call->in);
    struct buf wire = {.data = NULL};
    char why[JSON_WHY_BYTES];
    bool started = false;
    do {
        buf_clear(&wire);
        if (json_decode(call->method->request, &text, &wire, why) != OK) {
            call_fail(call, RPC_INVALID_ARGUMENT, why);
            break;
        }
        if (!started) {
            started = true;
            call_start(call);
        }
        if (!call->finished) {
            call_deliver(call, buf_view(&wire));
        }
    } while (!call->finished && text.len > 0 && call->method->shape == RPC_BIDI);
    buf_deinit(&wire);
    if (!call->finished && call->method->half_closed != NULL) {
        call->method->half_closed(call);
    }
}

/* --- Responses -------------------------------------------------------------------------------- */

void gateway_send(struct rpc_call *call, struct bytes head, struct bytes body)
{
    bool stream = call->method->shape != RPC_UNARY;
    struct buf whole = {.data = NULL};
    if (head.len > 0) {
        buf_put(&whole, head.data, head.len);
        buf_put(&whole, body.data, body.len);
        body = buf_view(&whole);
    }
    call_compact(call);
    size_t before = call->out.len;
    if (stream) {
        call->streamed = true;
        call->responded = true;
        call->http_status = 200;
        call->content_type = JSON_TYPE;
        gateway_put(&call->out, "{\"result\":");
    }
    json_encode(call->method->response, body, &call->out);
    if (stream) {
        gateway_put(&call->out, "}\n");
    }
    call_queued(call, before);
    buf_deinit(&whole);
}

/* Of HTTP itself: there is no method. */
static void gateway_finish_http(struct rpc_call *call)
{
    const char *text = http_status_text(call->http_status);
    int code = call->http_status == 404 ? RPC_NOT_FOUND : RPC_INVALID_ARGUMENT;
    gateway_put_error(&call->out, call->http_status == 405 ? RPC_NO_SUCH_METHOD : code, text);
}

void gateway_finish(struct rpc_call *call, int status, const char *text)
{
    const char *message = text == NULL ? "" : text;
    size_t before = call->out.len;
    call->content_type = JSON_TYPE;
    if (call->kind == KIND_ERROR) {
        gateway_finish_http(call);
    } else if (call->method != NULL && call->method->shape != RPC_UNARY && call->responded) {
        if (status != RPC_OK) {
            gateway_put_stream_error(&call->out, status, message);
        }
    } else if (status == RPC_OK) {
        call->http_status = 200;
    } else {
        call->http_status = gateway_http_status(status);
        call->conn->queued_bytes -= call_waiting(call);
        call->conn->server->counters.queued_bytes -= call_waiting(call);
        buf_clear(&call->out);
        before = 0;
        gateway_put_error(&call->out, status, message);
    }
    call_queued(call, before);
    call->body_len = call_waiting(call);
    call->responded = true;
    if (call->is_head) {
        call_left(call, call_waiting(call));
    }
}
