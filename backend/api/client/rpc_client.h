/*
 * api/client: a gRPC client, for the CLI, the load generator and tests.
 *
 * A client has one connection at a time, to one of its endpoints. When that is lost, or cannot be
 * made, it goes on to the next one: calls that were under way end with UNAVAILABLE (whether they
 * were done is unknown), calls that still waited for a connection wait for the next, and fail when
 * every endpoint was tried in vain. From a server that is going away (GOAWAY) a client parts when
 * its calls have ended, or at once when a new call would have to wait for them. Everything happens
 * on the thread of one libuv loop, in callbacks from the loop: none is called from inside a
 * function of this header.
 */
#ifndef NOVACRON_API_CLIENT_RPC_CLIENT_H
#define NOVACRON_API_CLIENT_RPC_CLIENT_H

#include "api/rpc.h"
#include "api/rpc_socket.h"
#include "api/rpc_tls.h"

struct rpc_client;      /* opaque */
struct rpc_client_call; /* opaque */

#define RPC_ENDPOINTS_MAX 32

struct rpc_client_config {
    /* "10.0.0.7:2379", "http://localhost:2379", "https://[::1]:2379"; copied. */
    const char *const *endpoints;
    size_t endpoint_count;
    const struct rpc_tls
        *tls;              /* for https, and for endpoints without a scheme; borrowed; or NULL */
    nanos connect_timeout; /* for each endpoint; 0: two seconds */
};

/* Does not connect before the first call. `io` is shared by any number of clients and outlives
 * them. ERR_INVALID: an endpoint cannot be read, or needs TLS that there is none for. */
MUST_USE enum err rpc_client_open(struct rpc_io *io, const struct rpc_client_config *config,
                                  struct rpc_client **ret);

/* Every call is dropped, without a callback. Not to be called from inside a callback. */
void rpc_client_close(struct rpc_client *client);

/* A header of all calls to come: "token", "hasleader". NULL takes it away. Copies both. */
void rpc_client_set_metadata(struct rpc_client *client, const char *name, const char *value);

/* The endpoint of the current or next connection, as it was given. */
const char *rpc_client_endpoint(const struct rpc_client *client);

/* Leaves this endpoint for the next one: it answers, but cannot help (it has no leader, say). Calls
 * under way end with UNAVAILABLE. */
void rpc_client_next_endpoint(struct rpc_client *client);

struct rpc_client_ops {
    void (*message)(void *arg, struct bytes message); /* borrowed for the call */
    /* Always last, and the call's pointer is dead then. `text` is "" where there is none. */
    void (*done)(void *arg, int status, const char *text);
    void (*writable)(void *arg); /* may be NULL: room again after a send said false */
    /* May be NULL: what our servers say beside an answer (rpc_set_remark), before `done`. Borrowed
     * for the call; `name` begins with "novacron-". */
    void (*remark)(void *arg, const char *name, const char *value);
};

/* Begins a call; `path` and `ops` are static, `timeout` 0 is none. */
struct rpc_client_call *rpc_client_start(struct rpc_client *client, const char *path, nanos timeout,
                                         const struct rpc_client_ops *ops, void *arg);

/* Sends a message, copied; `last`: no more follows. False: much of what was sent has not left. */
bool rpc_client_send(struct rpc_client_call *call, struct bytes message, bool last);
void rpc_client_half_close(struct rpc_client_call *call);

/* Ends it; no callback follows. */
void rpc_client_cancel(struct rpc_client_call *call);

#endif
