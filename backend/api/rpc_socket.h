/*
 * A TCP connection on a libuv loop, plain or under TLS, for servers and clients alike.
 *
 * Input is handed over as it comes. Output is pulled: whoever has some calls rpc_socket_wake, and
 * before the loop waits again the owner is asked for all of it at once, so that one turn costs one
 * write a connection, however many calls it answered. What the kernel does not take is kept by the
 * socket, and the owner is asked for no more until that has left: this is the backpressure.
 *
 * A TURN. When the loop has waited, sockets that have input are only noted. What else became ready,
 * such as the streams of peers and timers on the same loop, comes first; then, before the loop
 * waits again, clients' input is read and their output written, each for a few milliseconds at
 * most. What does not fit follows in the next turns, in order, and each connection has its share of
 * one: so no number of clients, and no amount that they send, holds up the rest of the loop.
 *
 * The buffers for reading, encrypting and writing are shared by all sockets of an rpc_io: an idle
 * connection has none.
 */
#ifndef NOVACRON_API_RPC_SOCKET_H
#define NOVACRON_API_RPC_SOCKET_H

#include <uv.h>

#include "api/rpc_tls.h"
#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/types.h"

struct rpc_socket;

/* Sockets that wait for their share of a turn, oldest first. */
struct rpc_socket_list {
    struct rpc_socket *first, **end;
    size_t count;
};

/* What the sockets of one server or client share. The fields are for rpc_socket.c. */
struct rpc_io {
    uv_loop_t *loop;
    uv_prepare_t prepare;            /* reads and flushes, before the loop waits */
    uv_idle_t idle;                  /* keeps the loop from waiting while there is more to do */
    struct rpc_socket_list lists[2]; /* see rpc_socket.c */
    uv_timer_t linger;               /* ends those that linger too long */
    struct rpc_socket *lingering;
    size_t lingering_count;
    uint8_t *read_buffer;
    struct buf plain, produced, cipher;
    unsigned handles; /* open in the loop, those of the owner included */
    bool closing;
    void (*closed)(void *arg);
    void *arg;
    uint64_t bytes_in, bytes_out;
};

void rpc_io_open(struct rpc_io *io, uv_loop_t *loop);

/* To be called when all sockets are closed. `closed` may be NULL; it is called from the loop when
 * every handle has left it, and may free `io`. */
void rpc_io_close(struct rpc_io *io, void (*closed)(void *arg), void *arg);

/* For further handles that live in `io`'s owner: counts it, and the uv_close callback that uncounts
 * it. The handle's `data` must be the io. */
void rpc_io_count(struct rpc_io *io);
void rpc_io_uncount(uv_handle_t *handle);

/* Now, on the loop's clock. */
static inline nanos rpc_io_now(const struct rpc_io *io)
{
    return uv_now(io->loop) * NANOS_PER_MS;
}

struct rpc_socket_owner {
    /* Bytes that came. The owner may close the socket. */
    void (*input)(void *owner, struct bytes plain);
    /* Appends output to `sink`, about `room` bytes at most. True: there is more. */
    bool (*produce)(void *owner, struct buf *sink, size_t room);
    /* Connected, and past the handshake of TLS. May be NULL. */
    void (*ready)(void *owner);
    /* The other side has gone, or the handshake failed; the socket closes itself and calls the
     * owner no more. ERR_DENIED: a certificate was refused. */
    void (*lost)(void *owner, enum err why);
};

/* A connection that `listener` has waiting. ERR_IO. */
MUST_USE enum err rpc_socket_accept(struct rpc_io *io, uv_stream_t *listener,
                                    const struct rpc_tls *tls, const struct rpc_socket_owner *ops,
                                    void *owner, struct rpc_socket **ret);

/* Begins to connect to a numeric address; `host` is the name that the certificate must have. The
 * outcome is `ready` or `lost`. */
MUST_USE enum err rpc_socket_connect(struct rpc_io *io, const struct sockaddr *address,
                                     const struct rpc_tls *tls, const char *host,
                                     const struct rpc_socket_owner *ops, void *owner,
                                     struct rpc_socket **ret);

/* There is output: `produce` will be called before the loop waits. */
void rpc_socket_wake(struct rpc_socket *socket);

/* Does output wait that the kernel did not take? */
bool rpc_socket_is_blocked(const struct rpc_socket *socket);

/* A server reads no more requests from who takes no answers; a client always reads. */
void rpc_socket_pause_when_blocked(struct rpc_socket *socket);

/* Closes when the output has left. `lost` tells of it, and from then on the socket is on its own:
 * it says that no more will come, and drops what the other side still sends for a while, because
 * closing over unread input would take our last words from it. */
void rpc_socket_finish(struct rpc_socket *socket);

/* Closes now, drops the output, and calls the owner no more. */
void rpc_socket_close(struct rpc_socket *socket);

/* "10.0.0.7:41236" into `text`. */
#define RPC_PEER_BYTES 56
void rpc_socket_peer(const struct rpc_socket *socket, char text[RPC_PEER_BYTES]);

/* Why TLS failed, in words: which certificate was refused for what. A static string; "" where it
 * did not. May be asked inside `lost`. */
const char *rpc_socket_why(const struct rpc_socket *socket);

/* The common name of the peer's verified certificate, or false. */
bool rpc_socket_certificate_name(const struct rpc_socket *socket, char *text, size_t cap);

#endif
