/*
 * The server without its sockets: connections are handed bytes and produce bytes, so that tests and
 * fuzzers need no network. rpc_server.c joins it to libuv.
 *
 *     rpc_socket -> conn_input -> http2_* / http1_* -> grpc_* / gateway_* -> the method
 *     the method -> rpc_send, rpc_finish (rpc_call.c) -> the call's queue -> conn_produce
 *
 * A call lives in its connection's list from its first header until its last byte has left or its
 * stream has gone; then it returns to the server's pool, with its small buffers.
 */
#ifndef NOVACRON_API_RPC_INT_H
#define NOVACRON_API_RPC_INT_H

#include <http_parser.h>
#include <nghttp2/nghttp2.h>

#include "api/rpc.h"

#define GRPC_PREFIX_BYTES 5

enum rpc_kind {
    KIND_GRPC,
    KIND_JSON,
    KIND_PAGE,
    KIND_ERROR /* of no method: it will be told so, in HTTP's way */
};

/* Where a path leads. */
struct rpc_route {
    const char *path;
    size_t len;
    enum rpc_kind kind;
    size_t index; /* of the method, or the page */
};

struct rpc_call {
    struct rpc_conn *conn;
    const struct rpc_method *method; /* of KIND_GRPC and KIND_JSON */
    struct rpc_method_counters *counters;
    const struct rpc_page *page;
    void *state;                   /* the method's */
    struct rpc_call *next, **link; /* the connection's list, or the pool */
    int32_t stream_id;             /* HTTP/2 */
    enum rpc_kind kind;

    /* What its headers said. */
    bool has_path, is_post, is_get, is_head, is_grpc, is_compressed, bad_timeout;
    bool headers_done;
    uint32_t header_bytes;
    struct buf metadata;      /* entries: name's number, u32 length, bytes, zero */
    nanos deadline;           /* 0: none */
    size_t heap_at;           /* in the deadline heap, plus 1; 0: not there */
    nanos began_at;           /* on the configuration's clock */
    struct call_trace *trace; /* owned; NULL: it is not recorded */
    uint8_t doubled;          /* of metadata: a bit for each that came more than once */

    /* The request. */
    bool began;         /* the method knows of it */
    bool remote_closed; /* the client sends no more */
    bool has_message;   /* of a method that takes one */
    bool told_gone;
    uint8_t prefix[GRPC_PREFIX_BYTES];
    uint8_t prefix_len;
    size_t message_len; /* of the message whose prefix is complete */
    struct buf in;      /* what has come of it; or of a JSON body */
    nanos half_since;   /* a message or body is incomplete since; 0: none is */

    /* The response. */
    bool responded;  /* its HTTP header is decided (and with HTTP/2 submitted) */
    bool headed;     /* HTTP/1.1: the header has left */
    bool streamed;   /* its length is not known beforehand */
    bool finished;   /* the method has said all */
    bool ended;      /* the last byte is with the connection */
    bool deferred;   /* HTTP/2: nghttp2 waits for rpc_send to go on */
    bool wants_room; /* rpc_send said false */
    bool has_sent;   /* a response message */
    bool cut_off;    /* it sent without room, and its stream is being reset */
    int status;      /* gRPC's, once finished */
    int http_status;
    const char *content_type;
    char *text;              /* owned; of a failure */
    const char *remark_name; /* NULL: it has no remark */
    char *remark;            /* owned */
    struct buf out;
    size_t out_at;       /* what has left of it */
    size_t body_len;     /* of an answer whose length is known */
    nanos stalled_since; /* output waits, and none has left since; 0: none waits */
};

enum conn_kind { CONN_GREETING, CONN_HTTP2, CONN_HTTP1 };

struct rpc_conn {
    struct rpc_server *server;
    struct rpc_conn *next, **link; /* the server's list */
    enum conn_kind kind;
    struct rpc_socket *socket; /* NULL in tests */
    char peer[56];
    char *certificate_name; /* owned; NULL */

    struct rpc_call *calls; /* open, newest first */
    uint32_t call_count;
    size_t queued_bytes;  /* of all calls' output */
    size_t partial_bytes; /* of all calls' input */
    nanos opened_at, heard_at;
    nanos half_since;    /* a header or frame is incomplete since; 0: none is */
    bool greeted;        /* a whole request header came */
    bool finishing;      /* to be closed when its output has left */
    bool broken;         /* to be closed as it is */
    bool draining;       /* GOAWAY is said */
    uint32_t half_calls; /* calls with half_since */
    nanos blocked_since; /* the socket takes nothing; 0: it does */
    bool wants_room;     /* some call waits for this connection's queue to shrink */
    nanos drain_since;

    uint8_t greeting[24]; /* while it may still become the preface of HTTP/2 */
    size_t greeting_len;

    /* HTTP/2 */
    nghttp2_session *session;
    struct buf *sink; /* while producing */
    size_t sink_room; /* its length at which it is enough */
    unsigned ping_strikes;
    nanos ping_heard_at;
    nanos ping_sent_at; /* an answer is due; 0: none is */

    /* HTTP/1.1: one request at a time; what comes behind it waits in `rest`. */
    http_parser parser;
    struct buf rest;
    struct buf head; /* the request's target, and the field that is being read */
    size_t target_len, field_len;
    bool keep_alive, wants_continue, in_value;
};

struct rpc_server {
    struct rpc_config config;
    nanos now;
    struct rpc_route *routes; /* open addressing; NULL path: free */
    size_t route_mask;
    const struct rpc_method **methods; /* config's, then health and reflection */
    size_t method_count;
    struct rpc_method_counters *method_counters;
    struct rpc_counters counters;
    struct rpc_conn *conns;
    struct rpc_call *pool;
    size_t pool_count;
    struct rpc_call **heap; /* by deadline */
    size_t heap_count, heap_cap;
    struct health_state *health;
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    bool draining;
    bool inside;                   /* a connection is being fed or asked for output */
    struct rpc_listener *listener; /* rpc_server.c; NULL in tests */
};

/* --- The server, without sockets (rpc_routes.c, rpc_limits.c) ----------------------------------
 */

/* Borrows what `config` points to. */
void server_init(struct rpc_server *server, const struct rpc_config *config);
/* All connections are closed by now. */
void server_deinit(struct rpc_server *server);
const struct rpc_route *server_find_route(const struct rpc_server *server, struct bytes path);

/* Time passes: deadlines. Returns the next one, or NANOS_FOREVER. */
nanos server_expire(struct rpc_server *server, nanos now);
/* Time passes: what is slow, silent or stalled. About once a second. */
void server_sweep(struct rpc_server *server, nanos now);
void server_begin_drain(struct rpc_server *server);

/* --- Connections (rpc_conn.c) ----------------------------------------------------------------- */

struct rpc_conn *conn_open(struct rpc_server *server);
/* Every call is told that it has gone. Frees `conn`. */
void conn_close(struct rpc_conn *conn);
void conn_input(struct rpc_conn *conn, struct bytes input);
/* Appends output; true: there is more. */
bool conn_produce(struct rpc_conn *conn, struct buf *sink, size_t room);
/* There is output, or `broken` or `finishing` was set. */
void conn_wake(struct rpc_conn *conn);
/* Tells those of its calls that wait for room, if there is. */
void conn_tell_room(struct rpc_conn *conn);
/* It did what no honest client does: closes it, with a count. */
void conn_break(struct rpc_conn *conn);

/* --- Deadlines (rpc_deadline.c) ------------------------------------------------------------------
 */

void deadline_add(struct rpc_call *call);
void deadline_remove(struct rpc_call *call);

/* --- Calls (rpc_call.c) -------------------------------------------------------------------------
 */

struct rpc_call *call_open(struct rpc_conn *conn, int32_t stream_id);
/* Its stream or its turn has ended: tells the method, and gives it back to the pool. */
void call_close(struct rpc_call *call);
/* The path, as it came; sets kind, method, page. */
void call_set_path(struct rpc_call *call, struct bytes target);
/* A header by its lower-case name, of either HTTP. */
void call_set_header(struct rpc_call *call, struct bytes name, struct bytes value);
/* The headers are complete: begins it, or answers that this cannot be. */
void call_admit(struct rpc_call *call);
void call_input(struct rpc_call *call, struct bytes input);
void call_half_close(struct rpc_call *call);
/* Tells the method, once, that nothing more will come. */
void call_tell_gone(struct rpc_call *call);
/* Answers in place of the method, and tells it. */
void call_fail(struct rpc_call *call, int status, const char *text);
/* `count` bytes of its output are with the connection now. */
void call_left(struct rpc_call *call, size_t count);
/* Before something is appended to its output: what has left is not carried along. */
void call_compact(struct rpc_call *call);
/* Appends to its output, or accounts for what was appended since it was `before` long. */
void call_queue(struct rpc_call *call, struct bytes part);
void call_queued(struct rpc_call *call, size_t before);
/* There is output, or it is finished. */
void call_wake(struct rpc_call *call);
/* Input that waits for its rest: keeps the sums, and refuses what is too much. */
void call_keep_input(struct rpc_call *call, struct bytes part);
void call_drop_input(struct rpc_call *call);
/* The message that was kept has been delivered; more of a stream may follow. */
void call_drop_message(struct rpc_call *call);
/* The method learns of a call that came as JSON. */
void call_start(struct rpc_call *call);
/* Hands one message to the method. */
void call_deliver(struct rpc_call *call, struct bytes message);

/* Does more output wait than this server keeps, and more than a call's on this connection? Whoever
 * reads his answers goes on until twice as much waits. */
static inline bool conn_is_pressed(const struct rpc_conn *conn, size_t mark)
{
    uint64_t queued = conn->server->counters.queued_bytes;
    return queued > mark &&
           (conn->queued_bytes > conn->server->config.limits.call_queue_bytes || queued / 2 > mark);
}

static inline size_t call_waiting(const struct rpc_call *call)
{
    return call->out.len - call->out_at;
}

/* Entries of `metadata` that are not headers. */
enum metadata_entry { META_TARGET = 64, META_ENCODING };
bool call_find_metadata(const struct rpc_call *call, uint8_t number, struct bytes *ret);
/* Did the client send a kept header more than once? */
bool call_is_doubled(const struct rpc_call *call, const char *name);

/* --- Traces (rpc_trace.c) --------------------------------------------------------------------- */

/* Records the call, if its client or the dice say so. */
void call_trace_begin(struct rpc_call *call);
/* Its end, as it is counted: hands over its spans. */
void call_trace_end(struct rpc_call *call, int status, const char *text, nanos now);

/* --- gRPC (rpc_grpc.c) ---------------------------------------------------------------------------
 */

void grpc_input(struct rpc_call *call, struct bytes input);
bool grpc_timeout_parse(struct bytes text, nanos *ret);
/* Percent-encodes for grpc-message. */
void grpc_message_encode(const char *text, struct buf *ret);

/* --- JSON and pages (rpc_gateway.c)
 * ---------------------------------------------------------------- */

/* The whole body has come. */
void gateway_body(struct rpc_call *call);
/* One response message. */
void gateway_send(struct rpc_call *call, struct bytes head, struct bytes body);
/* The end; also of KIND_ERROR. */
void gateway_finish(struct rpc_call *call, int status, const char *text);
int gateway_http_status(int status);
const char *http_status_text(int http_status);

/* --- HTTP/2 (rpc_http2.c)
 * ----------------------------------------------------------------------------- */

void http2_setup(struct rpc_server *server);
void http2_open(struct rpc_conn *conn);
void http2_input(struct rpc_conn *conn, struct bytes input);
bool http2_produce(struct rpc_conn *conn, struct buf *sink, size_t room);
/* The call has output or an end, and nghttp2 shall ask for it. */
void http2_wake_call(struct rpc_call *call);
/* Drops the call, whatever of it has left. */
void http2_reset_call(struct rpc_call *call, uint32_t code);
void http2_drain(struct rpc_conn *conn, bool last);
void http2_ping(struct rpc_conn *conn);

/* --- HTTP/1.1 (rpc_http1.c)
 * --------------------------------------------------------------------------- */

void http1_open(struct rpc_conn *conn);
void http1_input(struct rpc_conn *conn, struct bytes input);
bool http1_produce(struct rpc_conn *conn, struct buf *sink, size_t room);
void http1_close(struct rpc_conn *conn);

/* --- What comes with every server (rpc_health.c, rpc_reflection.c)
 * --------------------------------------- */

void health_setup(struct rpc_server *server);
void health_teardown(struct rpc_server *server);
extern const struct rpc_method health_methods[2];
extern const struct rpc_method reflection_methods[2];

#endif
