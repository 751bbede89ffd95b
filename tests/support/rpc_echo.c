#include "tests/support/rpc_echo.h"

#include <stdio.h>
#include <string.h>

#include <etcdserverpb.pb-c.h>

#include "core/base/check.h"

static const struct bytes nothing = {NULL, 0};

static void echo_begin(struct rpc_call *call)
{
    struct echo_log *log = rpc_ctx(call);
    struct bytes token;
    log->begun++;
    if (rpc_metadata(call, "token", &token)) {
        snprintf(log->token, sizeof log->token, "%.*s", (int)token.len, (const char *)token.data);
    }
    snprintf(log->peer, sizeof log->peer, "%s", rpc_peer(call));
    if (log->remark != NULL) {
        rpc_set_remark(call, "novacron-echo", "not this one");
        rpc_set_remark(call, "novacron-echo", log->remark);
    }
}

static void echo_gone(struct rpc_call *call)
{
    struct echo_log *log = rpc_ctx(call);
    log->gone++;
    for (size_t i = 0; i < log->waiting_count; i++) {
        if (log->waiting[i] == call) {
            log->waiting[i] = log->waiting[--log->waiting_count];
        }
    }
}

static void echo_count_message(struct rpc_call *call)
{
    struct echo_log *log = rpc_ctx(call);
    log->messages++;
}

static void echo_half_closed(struct rpc_call *call)
{
    struct echo_log *log = rpc_ctx(call);
    log->half_closed++;
}

static void echo_unary(struct rpc_call *call, struct bytes message)
{
    echo_count_message(call);
    if (message.len > 0) {
        /* In two parts, because responses mostly are. */
        size_t half = message.len / 2;
        (void)rpc_send(call, (struct bytes){message.data, half},
                       (struct bytes){message.data + half, message.len - half});
    } else {
        (void)rpc_send(call, nothing, nothing);
    }
    rpc_finish(call, RPC_OK, NULL);
}

static void echo_stream(struct rpc_call *call, struct bytes message)
{
    echo_count_message(call);
    for (int i = 0; i < 3; i++) {
        (void)rpc_send(call, nothing, message);
    }
    rpc_finish(call, RPC_OK, NULL);
}

static void echo_bidi(struct rpc_call *call, struct bytes message)
{
    echo_count_message(call);
    (void)rpc_send(call, nothing, message);
}

static void echo_bidi_half_closed(struct rpc_call *call)
{
    echo_half_closed(call);
    rpc_finish(call, RPC_OK, NULL);
}

static void echo_fail(struct rpc_call *call, struct bytes message)
{
    (void)message;
    echo_count_message(call);
    rpc_finish(call, RPC_FAILED_PRECONDITION, ECHO_FAILURE);
}

static void echo_fail_late(struct rpc_call *call, struct bytes message)
{
    echo_count_message(call);
    (void)rpc_send(call, nothing, message);
    rpc_finish(call, RPC_UNAVAILABLE, "etcdserver: no leader");
}

static void echo_regret(struct rpc_call *call, struct bytes message)
{
    echo_count_message(call);
    (void)rpc_send(call, nothing, message);
    rpc_finish(call, RPC_ABORTED, "on second thoughts");
}

static void echo_never(struct rpc_call *call, struct bytes message)
{
    (void)message;
    struct echo_log *log = rpc_ctx(call);
    echo_count_message(call);
    if (log->waiting_count < COUNT_OF(log->waiting)) {
        log->waiting[log->waiting_count++] = call;
    }
}

void echo_answer_all(struct echo_log *log)
{
    while (log->waiting_count > 0) {
        struct rpc_call *call = log->waiting[--log->waiting_count];
        (void)rpc_send(call, nothing, nothing);
        rpc_finish(call, RPC_OK, NULL);
    }
}

/* A TxnRequest with one put of a key that takes up the rest. */
static void echo_flood_more(struct rpc_call *call)
{
    static const uint8_t chunk[ECHO_FLOOD_BYTES] = {0x12, 0xE5, 0x07, 0x12, 0xE2,
                                                    0x07, 0x0A, 0xDF, 0x07};
    struct echo_log *log = rpc_ctx(call);
    bool room = true;
    while (room && log->flooded < ECHO_FLOOD_COUNT) {
        log->flooded++;
        room = rpc_send(call, nothing, (struct bytes){chunk, sizeof chunk});
    }
    if (log->flooded == ECHO_FLOOD_COUNT) {
        rpc_finish(call, RPC_OK, NULL);
    }
}

static void echo_flood(struct rpc_call *call, struct bytes message)
{
    (void)message;
    echo_count_message(call);
    echo_flood_more(call);
}

/* Pays no heed to what rpc_send says. */
static void echo_torrent(struct rpc_call *call, struct bytes message)
{
    static const uint8_t chunk[ECHO_FLOOD_BYTES] = {0};
    (void)message;
    echo_count_message(call);
    for (size_t i = 0; i < ECHO_FLOOD_COUNT; i++) {
        (void)rpc_send(call, nothing, (struct bytes){chunk, sizeof chunk});
    }
}

static void echo_flood_writable(struct rpc_call *call)
{
    struct echo_log *log = rpc_ctx(call);
    log->writable++;
    echo_flood_more(call);
}

#define ECHO_METHOD(name, its_path, json, its_shape, its_message, its_half_closed)                 \
    static const struct rpc_method name = {                                                        \
        .path = its_path,                                                                          \
        .shape = its_shape,                                                                        \
        .json_paths = {json},                                                                      \
        .request = &etcdserverpb__txn_request__descriptor,                                         \
        .response = &etcdserverpb__txn_request__descriptor,                                        \
        .begin = echo_begin,                                                                       \
        .message = its_message,                                                                    \
        .half_closed = its_half_closed,                                                            \
        .gone = echo_gone,                                                                         \
        .writable = echo_flood_writable,                                                           \
    }

ECHO_METHOD(echo_method_unary, "/test.Echo/Unary", "/v3/test/unary", RPC_UNARY, echo_unary,
            echo_half_closed);
ECHO_METHOD(echo_method_stream, "/test.Echo/Stream", "/v3/test/stream", RPC_SERVER_STREAM,
            echo_stream, echo_half_closed);
ECHO_METHOD(echo_method_bidi, "/test.Echo/Bidi", "/v3/test/bidi", RPC_BIDI, echo_bidi,
            echo_bidi_half_closed);
ECHO_METHOD(echo_method_open, "/test.Echo/Open", "/v3/test/open", RPC_BIDI, echo_bidi,
            echo_half_closed);
ECHO_METHOD(echo_method_fail, "/test.Echo/Fail", "/v3/test/fail", RPC_UNARY, echo_fail, NULL);
ECHO_METHOD(echo_method_fail_late, "/test.Echo/FailLate", "/v3/test/faillate", RPC_SERVER_STREAM,
            echo_fail_late, NULL);
ECHO_METHOD(echo_method_regret, "/test.Echo/Regret", "/v3/test/regret", RPC_UNARY, echo_regret,
            NULL);
ECHO_METHOD(echo_method_never, "/test.Echo/Never", NULL, RPC_UNARY, echo_never, NULL);
ECHO_METHOD(echo_method_flood, "/test.Echo/Flood", "/v3/test/flood", RPC_SERVER_STREAM, echo_flood,
            NULL);
ECHO_METHOD(echo_method_torrent, "/test.Echo/Torrent", NULL, RPC_SERVER_STREAM, echo_torrent, NULL);

const struct rpc_method *const echo_methods[] = {
    &echo_method_unary,   &echo_method_stream,    &echo_method_bidi,  &echo_method_open,
    &echo_method_fail,    &echo_method_fail_late, &echo_method_never, &echo_method_flood,
    &echo_method_torrent, &echo_method_regret,
};
const size_t echo_method_count = COUNT_OF(echo_methods);

static void echo_serve_version(struct rpc_call *call)
{
    static const char body[] = "{\"etcdserver\":\"3.5.21\",\"etcdcluster\":\"3.5.0\"}";
    rpc_page_send(call, 200, "application/json",
                  (struct bytes){(const uint8_t *)body, sizeof body - 1});
}

/* The path and the query. */
static void echo_serve_debug(struct rpc_call *call)
{
    char body[256];
    struct bytes path = rpc_page_path(call);
    int n = snprintf(body, sizeof body, "%.*s?%s", (int)path.len, (const char *)path.data,
                     rpc_page_query(call));
    rpc_page_send(call, 200, "text/plain",
                  (struct bytes){(const uint8_t *)body, (size_t)n < sizeof body ? (size_t)n : 0});
}

const struct rpc_page echo_pages[] = {
    {.path = "/version", .serve = echo_serve_version, .gone = echo_gone},
    {.path = "/debug/", .serve = echo_serve_debug, .gone = echo_gone},
};
const size_t echo_page_count = COUNT_OF(echo_pages);

struct rpc_config echo_config(struct echo_log *log)
{
    memset(log, 0, sizeof *log);
    return (struct rpc_config){
        .address = "127.0.0.1",
        .methods = echo_methods,
        .method_count = echo_method_count,
        .pages = echo_pages,
        .page_count = echo_page_count,
        .ctx = log,
        .limits = rpc_limits_default(),
    };
}
