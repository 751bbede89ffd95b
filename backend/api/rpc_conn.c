#include "api/rpc_int.h"

#include <string.h>

#include "api/rpc_socket.h"
#include "core/base/check.h"
#include "core/base/mem.h"

_Static_assert(sizeof((struct rpc_conn *)0)->peer == RPC_PEER_BYTES, "a peer's name fits");

struct rpc_conn *conn_open(struct rpc_server *server)
{
    struct rpc_conn *conn = mem_alloc_zero(sizeof *conn);
    conn->server = server;
    conn->opened_at = server->now;
    conn->heard_at = server->now;
    conn->next = server->conns;
    conn->link = &server->conns;
    if (conn->next != NULL) {
        conn->next->link = &conn->next;
    }
    server->conns = conn;
    server->counters.connections_open++;
    return conn;
}

void conn_close(struct rpc_conn *conn)
{
    while (conn->calls != NULL) {
        if (conn->session != NULL) {
            (void)nghttp2_session_set_stream_user_data(conn->session, conn->calls->stream_id, NULL);
        }
        call_close(conn->calls);
    }
    nghttp2_session_del(conn->session);
    http1_close(conn);
    *conn->link = conn->next;
    if (conn->next != NULL) {
        conn->next->link = conn->link;
    }
    conn->server->counters.connections_open--;
    mem_free(conn->certificate_name);
    mem_free(conn);
}

void conn_wake(struct rpc_conn *conn)
{
    if (conn->socket != NULL) {
        rpc_socket_wake(conn->socket);
    }
}

void conn_break(struct rpc_conn *conn)
{
    if (!conn->broken) {
        conn->broken = true;
        conn->server->counters.connections_dropped++;
        conn_wake(conn);
    }
}

/* The first bytes decide: HTTP/2 begins with a preface that is no request of HTTP/1.1. */
static void conn_greet(struct rpc_conn *conn, struct bytes input)
{
    static const char preface[] = NGHTTP2_CLIENT_MAGIC;
    _Static_assert(sizeof preface - 1 == sizeof conn->greeting, "the whole preface is compared");
    size_t n = (size_t)u64_min(input.len, sizeof conn->greeting - conn->greeting_len);
    memcpy(conn->greeting + conn->greeting_len, input.data, n);
    conn->greeting_len += n;
    bool same = memcmp(conn->greeting, preface, conn->greeting_len) == 0;
    if (same && conn->greeting_len < sizeof conn->greeting) {
        return;
    }
    struct bytes greeting = {conn->greeting, conn->greeting_len};
    struct bytes rest = {input.data + n, input.len - n};
    if (same) {
        conn->kind = CONN_HTTP2;
        http2_open(conn);
        http2_input(conn, greeting);
        if (rest.len > 0) {
            http2_input(conn, rest);
        }
        return;
    }
    conn->kind = CONN_HTTP1;
    http1_open(conn);
    http1_input(conn, greeting);
    if (rest.len > 0 && !conn->broken) {
        http1_input(conn, rest);
    }
}

void conn_input(struct rpc_conn *conn, struct bytes input)
{
    if (conn->broken || input.len == 0) {
        return;
    }
    conn->heard_at = conn->server->now;
    conn->ping_sent_at = 0;
    conn->server->inside = true;
    switch (conn->kind) {
    case CONN_GREETING:
        conn_greet(conn, input);
        break;
    case CONN_HTTP2:
        http2_input(conn, input);
        break;
    case CONN_HTTP1:
        http1_input(conn, input);
        break;
    }
    conn->server->inside = false;
    conn_wake(conn);
}

bool conn_produce(struct rpc_conn *conn, struct buf *sink, size_t room)
{
    conn->blocked_since = 0;
    bool more = false;
    if (conn->broken) {
        return false;
    }
    conn->server->inside = true;
    if (conn->kind == CONN_HTTP2) {
        more = http2_produce(conn, sink, room);
    } else if (conn->kind == CONN_HTTP1) {
        more = http1_produce(conn, sink, room);
    }
    if (conn->wants_room) {
        conn_tell_room(conn);
    }
    conn->server->inside = false;
    return more;
}
