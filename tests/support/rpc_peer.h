/*
 * A client of the protocol layer without sockets: nghttp2's client side, joined to a connection of
 * a server with the echo service, in memory and under a clock that the test moves. It can say what
 * no honest client would.
 */
#ifndef NOVACRON_TESTS_SUPPORT_RPC_PEER_H
#define NOVACRON_TESTS_SUPPORT_RPC_PEER_H

#include <nghttp2/nghttp2.h>

#include "api/rpc_int.h"
#include "tests/support/rpc_echo.h"

#define PEER_REPLIES_MAX 4096

/* What came back on one stream. */
struct peer_reply {
    int32_t stream_id;
    int http_status;   /* 0: no header came */
    int grpc_status;   /* -1: none came */
    char message[512]; /* grpc-message, as it came */
    size_t message_len;
    char content_type[64], accept_encoding[64];
    char remark[256];      /* novacron-echo */
    unsigned remark_block; /* the block in which it came, from 1 */
    struct buf data;
    unsigned blocks; /* of headers */
    bool ended, was_reset;
    uint32_t reset_code;
    size_t received_when_ended;
};

struct rpc_peer {
    struct rpc_server server;
    struct rpc_config config;
    struct echo_log log;
    struct rpc_conn *conn; /* NULL once the server would have closed it */
    nghttp2_session *session;
    struct peer_reply *replies;
    size_t reply_count;
    size_t input_chunk; /* the server gets this many bytes at a time; 0: all */
    bool holds_pump;    /* peer_pump does nothing */
    size_t received;    /* of all streams */
    size_t most_kept;   /* memory of one call's output, at its most */
    bool holds_windows; /* streams get more window from the test alone */
    nanos now;
    bool goaway;
    uint32_t goaway_code;
    char goaway_text[64];
    struct buf raw; /* of a connection without session: what the server said */
};

/* A server, and a connection that has greeted and exchanged settings. `limits` NULL: defaults. */
void peer_open(struct rpc_peer *peer, const struct rpc_limits *limits);
/* The same without any greeting: the test speaks by peer_raw alone. */
void peer_open_raw(struct rpc_peer *peer, const struct rpc_limits *limits);
void peer_close(struct rpc_peer *peer);

/* Carries bytes both ways until neither side has any. */
void peer_pump(struct rpc_peer *peer);

/* Hands the server bytes as they are. */
void peer_raw(struct rpc_peer *peer, const void *bytes, size_t n);

/* Lets time pass, deadlines and sweeps included, then pumps. */
void peer_advance(struct rpc_peer *peer, nanos span);

/* POSTs, with the headers of gRPC and those of `extra` (name, value, ..., NULL), and pumps. A body
 * that has no end is left open. */
struct peer_reply *peer_request(struct rpc_peer *peer, const char *path, const char *const *extra,
                                struct bytes body, bool end);
/* The same with none but these headers. */
struct peer_reply *peer_request_headers(struct rpc_peer *peer, const char *const *headers,
                                        struct bytes body, bool end);

/* More of the body of the last request. */
void peer_more(struct rpc_peer *peer, struct peer_reply *reply, struct bytes body, bool end);

/* Resets the stream with CANCEL, and pumps. */
void peer_cancel(struct rpc_peer *peer, const struct peer_reply *reply);

/* `payload` as a gRPC message, appended. */
void peer_put_message(struct buf *out, const void *payload, size_t n);

/* Does the reply's data consist of these messages (count, then payloads as C strings)? */
bool peer_has_messages(const struct peer_reply *reply, size_t count, const char *const *payloads);

/* The raw answer of a connection without session, as a C string. */
const char *peer_text(struct rpc_peer *peer);

/* A frame of HTTP/2, appended. */
void peer_put_frame(struct buf *out, uint8_t type, uint8_t flags, uint32_t stream,
                    const void *payload, size_t n);

#endif
