#include "api/rpc_int.h"

#include <string.h>

#include "api/rpc_socket.h"
#include "core/base/check.h"
#include "core/base/mem.h"

/* The server on a libuv loop: listening, accepting, and time. */

#define SWEEP_MS     500
#define BACKLOG      1024
#define NAME_MAX_LEN 256

struct rpc_listener {
    struct rpc_io io;
    uv_tcp_t tcp;
    uv_timer_t sweep, deadline;
    nanos deadline_at; /* when `deadline` fires; NANOS_FOREVER: it is not set */
    bool listening;
    uint16_t port;
    struct rpc_server *server;
    void (*closed)(void *arg);
    void *arg;
};

_Static_assert(offsetof(struct rpc_listener, io) == 0, "an io of a listener is the listener");

static struct rpc_listener *listener_of(struct rpc_io *io)
{
    return (struct rpc_listener *)io;
}

/* --- Connections ------------------------------------------------------------------------------ */

/* The timer may be set too early, which costs one look; it is never set too late. */
static void listener_arm(struct rpc_listener *l);

static void listener_drop(struct rpc_conn *conn)
{
    rpc_socket_close(conn->socket);
    conn_close(conn);
}

static void listener_on_input(void *owner, struct bytes input)
{
    struct rpc_conn *conn = owner;
    struct rpc_listener *l = conn->server->listener;
    conn->server->now = rpc_io_now(&l->io);
    conn_input(conn, input);
    listener_arm(l);
}

static bool listener_on_produce(void *owner, struct buf *sink, size_t room)
{
    struct rpc_conn *conn = owner;
    conn->server->now = rpc_io_now(&conn->server->listener->io);
    bool more = conn_produce(conn, sink, room);
    if (conn->broken) {
        listener_drop(conn);
        return false;
    }
    if (conn->finishing && !more) {
        rpc_socket_finish(conn->socket);
    }
    return more;
}

static void listener_on_ready(void *owner)
{
    struct rpc_conn *conn = owner;
    char name[NAME_MAX_LEN];
    if (rpc_socket_certificate_name(conn->socket, name, sizeof name)) {
        size_t n = strlen(name) + 1;
        conn->certificate_name = memcpy(mem_alloc(n), name, n);
    }
}

static void listener_on_lost(void *owner, enum err why)
{
    struct rpc_conn *conn = owner;
    struct rpc_server *server = conn->server;
    server->now = rpc_io_now(&server->listener->io);
    if (why == ERR_DENIED || why == ERR_PROTOCOL) {
        server->counters.tls_failures++;
        if (server->config.refused != NULL) {
            server->config.refused(server->config.ctx, conn->peer, rpc_socket_why(conn->socket));
        }
    }
    conn->socket = NULL;
    conn_close(conn);
}

static const struct rpc_socket_owner listener_ops = {
    .input = listener_on_input,
    .produce = listener_on_produce,
    .ready = listener_on_ready,
    .lost = listener_on_lost,
};

static void listener_on_connection(uv_stream_t *stream, int status)
{
    struct rpc_io *io = stream->data;
    struct rpc_listener *l = listener_of(io);
    struct rpc_server *server = l->server;
    if (status != 0) {
        return;
    }
    server->now = rpc_io_now(io);
    struct rpc_conn *conn = conn_open(server);
    if (rpc_socket_accept(io, stream, server->config.tls, &listener_ops, conn, &conn->socket) !=
        OK) {
        conn_close(conn);
        return;
    }
    server->counters.connections_accepted++;
    if (server->counters.connections_open > server->config.limits.connections_max) {
        server->counters.connections_refused++;
        listener_drop(conn);
        return;
    }
    rpc_socket_pause_when_blocked(conn->socket);
    rpc_socket_peer(conn->socket, conn->peer);
}

/* --- Time ------------------------------------------------------------------------------------- */

static void listener_on_deadline(uv_timer_t *timer)
{
    struct rpc_io *io = timer->data;
    struct rpc_listener *l = listener_of(io);
    l->deadline_at = NANOS_FOREVER;
    (void)server_expire(l->server, rpc_io_now(io));
    listener_arm(l);
}

static void listener_arm(struct rpc_listener *l)
{
    struct rpc_server *server = l->server;
    nanos next = server->heap_count == 0 ? NANOS_FOREVER : server->heap[0]->deadline;
    if (next >= l->deadline_at) {
        return;
    }
    l->deadline_at = next;
    nanos wait = u64_sub_sat(next, rpc_io_now(&l->io));
    uint64_t wait_ms = wait / NANOS_PER_MS + (wait % NANOS_PER_MS != 0 ? 1 : 0);
    CHECK(uv_timer_start(&l->deadline, listener_on_deadline, wait_ms, 0) == 0);
}

static void listener_on_sweep(uv_timer_t *timer)
{
    struct rpc_io *io = timer->data;
    struct rpc_listener *l = listener_of(io);
    server_sweep(l->server, rpc_io_now(io));
    /* A connection whose socket takes nothing is not asked for output, and would not be dropped. */
    struct rpc_conn *next = NULL;
    for (struct rpc_conn *conn = l->server->conns; conn != NULL; conn = next) {
        next = conn->next;
        if (conn->broken) {
            listener_drop(conn);
        }
    }
    l->server->counters.bytes_in = io->bytes_in;
    l->server->counters.bytes_out = io->bytes_out;
}

/* --- Opening and closing ---------------------------------------------------------------------- */

static enum err listener_err(int error)
{
    switch (error) {
    case UV_EADDRINUSE:
        return ERR_EXISTS;
    case UV_EACCES:
        return ERR_DENIED;
    case UV_EADDRNOTAVAIL:
    case UV_EINVAL:
        return ERR_INVALID;
    default:
        return ERR_IO;
    }
}

static enum err listener_bind(struct rpc_listener *l, const struct rpc_config *config)
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    struct sockaddr *at = (struct sockaddr *)&address;
    if (uv_ip4_addr(config->address, config->port, (struct sockaddr_in *)&address) != 0 &&
        uv_ip6_addr(config->address, config->port, (struct sockaddr_in6 *)&address) != 0) {
        return ERR_INVALID;
    }
    int error = uv_tcp_bind(&l->tcp, at, 0);
    if (error == 0) {
        error = uv_listen((uv_stream_t *)&l->tcp, BACKLOG, listener_on_connection);
    }
    int length = sizeof address;
    if (error == 0) {
        error = uv_tcp_getsockname(&l->tcp, at, &length);
    }
    if (error != 0) {
        return listener_err(error);
    }
    /* The port lies at the same place in both kinds of address. */
    l->port = ntohs(((const struct sockaddr_in *)&address)->sin_port);
    return OK;
}

static void listener_on_closed(void *arg)
{
    struct rpc_listener *l = arg;
    void (*closed)(void *) = l->closed;
    void *closed_arg = l->arg;
    server_deinit(l->server);
    mem_free(l->server);
    mem_free(l);
    if (closed != NULL) {
        closed(closed_arg);
    }
}

static void listener_stop(struct rpc_listener *l)
{
    if (l->listening) {
        l->listening = false;
        uv_close((uv_handle_t *)&l->tcp, rpc_io_uncount);
    }
}

enum err rpc_server_open(uv_loop_t *loop, const struct rpc_config *config, struct rpc_server **ret)
{
    struct rpc_listener *l = mem_alloc_zero(sizeof *l);
    struct rpc_server *server = mem_alloc(sizeof *server);
    server_init(server, config);
    server->listener = l;
    l->server = server;
    l->deadline_at = NANOS_FOREVER;
    rpc_io_open(&l->io, loop);
    uv_handle_t *handles[] = {(uv_handle_t *)&l->tcp, (uv_handle_t *)&l->sweep,
                              (uv_handle_t *)&l->deadline};
    CHECK(uv_tcp_init(loop, &l->tcp) == 0 && uv_timer_init(loop, &l->sweep) == 0 &&
          uv_timer_init(loop, &l->deadline) == 0);
    for (size_t i = 0; i < COUNT_OF(handles); i++) {
        handles[i]->data = &l->io;
        rpc_io_count(&l->io);
    }
    l->listening = true;
    enum err e = listener_bind(l, config);
    if (e != OK) {
        rpc_server_close(server, NULL, NULL);
        return e;
    }
    CHECK(uv_timer_start(&l->sweep, listener_on_sweep, SWEEP_MS, SWEEP_MS) == 0);
    uv_unref((uv_handle_t *)&l->sweep);
    server->now = rpc_io_now(&l->io);
    *ret = server;
    return OK;
}

uint16_t rpc_server_port(const struct rpc_server *server)
{
    return server->listener->port;
}

void rpc_server_drain(struct rpc_server *server)
{
    listener_stop(server->listener);
    server->now = rpc_io_now(&server->listener->io);
    server_begin_drain(server);
}

void rpc_server_close(struct rpc_server *server, void (*closed)(void *arg), void *arg)
{
    struct rpc_listener *l = server->listener;
    CHECK(!server->inside);
    listener_stop(l);
    while (server->conns != NULL) {
        listener_drop(server->conns);
    }
    uv_close((uv_handle_t *)&l->sweep, rpc_io_uncount);
    uv_close((uv_handle_t *)&l->deadline, rpc_io_uncount);
    l->closed = closed;
    l->arg = arg;
    rpc_io_close(&l->io, listener_on_closed, l);
}
