#include "api/rpc_int.h"

#include "api/rpc_socket.h"

/* How long a client has between the notice that this server goes and the last stream that it may
 * open: enough for a round trip. */
#define DRAIN_NOTICE NANOS_PER_S

/* Instead of stall_timeout, while more answers wait than the server keeps: who takes nothing then
 * stands in the way of others. */
#define PRESSED_STALL_TIMEOUT (10 * NANOS_PER_S)

struct rpc_limits rpc_limits_default(void)
{
    return (struct rpc_limits){
        .request_max_bytes = (size_t)2 << 20,   /* etcd: 1.5 MiB of request, and 512 KiB above */
        .json_body_max_bytes = (size_t)3 << 20, /* the same in base64, and its names */
        .header_max_bytes = (size_t)16 << 10,   /* a token of JWT takes some KiB */
        .connections_max = 10000,
        .calls_max = 200000,
        .streams_max = 100000, /* an API server of Kubernetes keeps all watches on one connection */
        .call_queue_bytes = (size_t)1 << 20,
        .connection_queue_bytes = (size_t)64 << 20,
        .server_queue_bytes = (size_t)512 << 20,
        .partial_max_bytes = (size_t)64 << 20,
        .handshake_timeout = 10 * NANOS_PER_S,
        .request_timeout = 30 * NANOS_PER_S,
        .stall_timeout = 120 * NANOS_PER_S,
        .idle_timeout = 300 * NANOS_PER_S,
        .ping_interval = 7200 * NANOS_PER_S, /* this and the next two as etcd */
        .ping_timeout = 20 * NANOS_PER_S,
        .ping_min_interval = 5 * NANOS_PER_S,
    };
}

static nanos limit_stall(const struct rpc_server *server)
{
    const struct rpc_limits *limits = &server->config.limits;
    bool is_pressed = server->counters.queued_bytes > limits->server_queue_bytes;
    return is_pressed ? u64_min(limits->stall_timeout, PRESSED_STALL_TIMEOUT)
                      : limits->stall_timeout;
}

static bool limit_passed(nanos since, nanos timeout, nanos now)
{
    return since != 0 && u64_sub_sat(now, since) > timeout;
}

/* Requests that come too slowly, and answers that are not taken. */
static void conn_sweep_calls(struct rpc_conn *conn, nanos now)
{
    const struct rpc_limits *limits = &conn->server->config.limits;
    struct rpc_call *next = NULL;
    for (struct rpc_call *call = conn->calls; call != NULL; call = next) {
        next = call->next;
        bool late = limit_passed(call->half_since, limits->request_timeout, now);
        if (late && call->finished && conn->kind == CONN_HTTP2) {
            http2_reset_call(call, NGHTTP2_CANCEL);
        } else if (late) {
            call_fail(call, RPC_CANCELED, "the request took too long to arrive");
        } else if (limit_passed(call->stalled_since, limit_stall(conn->server), now)) {
            if (conn->kind == CONN_HTTP2) {
                http2_reset_call(call, NGHTTP2_ENHANCE_YOUR_CALM);
            } else {
                conn_break(conn);
            }
        }
    }
}

static bool conn_is_late(const struct rpc_conn *conn, nanos now)
{
    const struct rpc_limits *limits = &conn->server->config.limits;
    return (!conn->greeted && limit_passed(conn->opened_at, limits->handshake_timeout, now)) ||
           limit_passed(conn->half_since, limits->request_timeout, now) ||
           limit_passed(conn->blocked_since, limit_stall(conn->server), now) ||
           limit_passed(conn->ping_sent_at, limits->ping_timeout, now);
}

static void conn_sweep_drain(struct rpc_conn *conn, nanos now)
{
    if (conn->drain_since != 0 && limit_passed(conn->drain_since, DRAIN_NOTICE, now)) {
        conn->drain_since = 0;
        if (conn->kind == CONN_HTTP2) {
            http2_drain(conn, true);
        }
    }
}

static void conn_sweep(struct rpc_conn *conn, nanos now)
{
    const struct rpc_limits *limits = &conn->server->config.limits;
    if (conn->socket != NULL && rpc_socket_is_blocked(conn->socket) && conn->blocked_since == 0) {
        conn->blocked_since = now;
    }
    if (conn_is_late(conn, now)) {
        conn_break(conn);
        return;
    }
    conn_sweep_drain(conn, now);
    if (conn->half_calls > 0 || conn->queued_bytes > 0) {
        conn_sweep_calls(conn, now);
    }
    if (conn->wants_room) {
        conn_tell_room(conn);
    }
    if (conn->kind == CONN_HTTP1 && conn->calls == NULL && conn->half_since == 0 &&
        limit_passed(conn->heard_at, limits->idle_timeout, now)) {
        conn->finishing = true;
        conn_wake(conn);
    }
    if (conn->kind == CONN_HTTP2 && conn->ping_sent_at == 0 &&
        limit_passed(conn->heard_at, limits->ping_interval, now)) {
        conn->ping_sent_at = now;
        http2_ping(conn);
    }
}

void server_sweep(struct rpc_server *server, nanos now)
{
    server->now = now;
    struct rpc_conn *next = NULL;
    for (struct rpc_conn *conn = server->conns; conn != NULL; conn = next) {
        next = conn->next;
        if (!conn->broken) {
            conn_sweep(conn, now);
        }
    }
}

void server_begin_drain(struct rpc_server *server)
{
    server->draining = true;
    for (struct rpc_conn *conn = server->conns; conn != NULL; conn = conn->next) {
        if (conn->draining) {
            continue;
        }
        conn->draining = true;
        conn->drain_since = server->now;
        if (conn->kind == CONN_HTTP2) {
            http2_drain(conn, false);
        } else if (conn->calls == NULL) {
            conn->finishing = true;
            conn_wake(conn);
        }
    }
}
