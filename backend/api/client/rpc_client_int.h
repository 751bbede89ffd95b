/* A client's state. rpc_client.c keeps the connection, rpc_client_call.c the calls on it. */
#ifndef NOVACRON_API_CLIENT_RPC_CLIENT_INT_H
#define NOVACRON_API_CLIENT_RPC_CLIENT_INT_H

#include <nghttp2/nghttp2.h>

#include "api/client/rpc_client.h"

#define CLIENT_HOST_BYTES     256
#define CLIENT_METADATA_MAX   8
#define CLIENT_PREFIX_BYTES   5
#define CLIENT_TEXT_MAX_BYTES 4096
/* Of why a connection was lost, with its end. */
#define CLIENT_WHY_BYTES 200
/* Of the name of a remark that we listen to, with its end. */
#define CLIENT_REMARK_NAME_BYTES 33

struct rpc_endpoint {
    char *text;                   /* owned; as given */
    char host[CLIENT_HOST_BYTES]; /* without brackets */
    char authority[CLIENT_HOST_BYTES + 16];
    uint16_t port;
    bool tls;
};

/* False: no endpoint. `tls_default`: what one without a scheme means. */
bool endpoint_parse(const char *text, bool tls_default, struct rpc_endpoint *ret);

/* Why a connection was lost, in words: TLS's reason, or else `otherwise`. Inside `lost`. */
void client_say_loss(const struct rpc_socket *socket, enum err why, const char *otherwise,
                     char text[CLIENT_WHY_BYTES]);

enum client_state {
    CLIENT_IDLE,       /* no connection, and none wanted */
    CLIENT_RESOLVING,  /* a name is looked up */
    CLIENT_CONNECTING, /* up to the end of TLS's handshake */
    CLIENT_READY,
};

struct rpc_client_call {
    struct rpc_client *client;
    struct rpc_client_call *next, **link; /* client's `calls` */
    const char *path;
    const struct rpc_client_ops *ops;
    void *arg;
    nanos timeout, deadline; /* 0: none */
    int32_t stream_id;       /* 0: waits for a connection; -1: over */
    bool half_closed, deferred, wants_room, headers_done;
    struct buf out; /* requests */
    size_t out_at;
    struct buf in; /* a response in part */
    uint8_t prefix[CLIENT_PREFIX_BYTES];
    uint8_t prefix_len;
    size_t message_len;
    int http_status, status; /* status -1: none came */
    char *text;              /* owned */
};

struct rpc_client {
    struct rpc_io *io;
    struct rpc_endpoint endpoints[RPC_ENDPOINTS_MAX];
    size_t endpoint_count, current;
    const struct rpc_tls *tls;
    nanos connect_timeout;
    enum client_state state;
    size_t failures; /* endpoints tried in vain since one answered */
    nanos connect_deadline;
    struct rpc_socket *socket;
    nghttp2_session *session;
    bool going_away; /* GOAWAY came: no new calls on this connection */
    bool closing;
    bool inside;                  /* a callback of the session is running */
    bool leaving;                 /* rpc_client_next_endpoint was called inside */
    struct client_lookup *lookup; /* under way, or NULL */
    struct client_timer *timer;
    struct rpc_client_call *calls;
    struct rpc_client_call *pool;
    struct buf *sink;
    struct {
        char *name, *value; /* owned */
    } metadata[CLIENT_METADATA_MAX];
    size_t metadata_count;
};

/* Submits the calls that wait. */
void client_submit_waiting(struct rpc_client *client);
/* Ends a call: its callback, then the pool. */
void client_call_done(struct rpc_client_call *call, int status, const char *text);
void client_call_free(struct rpc_client_call *call);
/* A connection for whoever waits. */
void client_want_connection(struct rpc_client *client);
nghttp2_session *client_session_open(struct rpc_client *client);
bool client_session_produce(struct rpc_client *client, struct buf *sink, size_t room);

#endif
