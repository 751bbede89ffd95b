/*
 * api: how clients reach a node. This header is the protocol layer: gRPC over HTTP/2, the same
 * methods as JSON over HTTP/1.1 or HTTP/2, and plain pages such as /version, all on one port.
 *
 * What lives in this folder: the server (rpc_*), JSON by reflection over protobuf-c descriptors
 * (json_*), our wire-compatible .proto files (proto/), the gRPC client (client/), and on top of
 * those the services of the etcd v3 API. Who may call it: novacrond, the CLI, tests and benches. It
 * follows RFC 9113 (HTTP/2), RFC 9112 (HTTP/1.1), the gRPC protocol and the rules of
 * grpc-gateway for JSON.
 *
 * Everything happens on the thread of one libuv loop, which the caller owns and runs. Output of one
 * turn of the loop leaves in one write a connection, before the loop waits again.
 *
 * The life of a call, as its method sees it:
 *
 *     begin  message*  [half_closed]  gone          writable may come between begin and gone
 *
 * - RPC_UNARY and RPC_SERVER_STREAM get exactly one message, then half_closed; a client that sends
 *   none or two is answered by this layer, and the method sees gone.
 * - rpc_send and rpc_finish never call back into the method: `gone` comes later, from the loop.
 * - After rpc_finish nothing but `gone` comes; it comes when the answer has left, or can no longer.
 * - `gone` is always the last callback and comes exactly once for every call that began. Inside it
 *   and after it only rpc_state, rpc_ctx and rpc_method_of may be used on the call; afterwards the
 *   pointer is dead. Work that is still under way must have been told so by then.
 * - Deadlines are kept here: a call that outlives its own is answered with DEADLINE_EXCEEDED, and
 *   its method sees gone.
 */
#ifndef NOVACRON_API_RPC_H
#define NOVACRON_API_RPC_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/types.h"

struct ProtobufCMessageDescriptor;
struct rpc_call;   /* one call in progress, gRPC, JSON or page alike; opaque */
struct rpc_server; /* opaque */
struct rpc_tls;    /* api/rpc_tls.h */
struct tracer;     /* core/monitoring/trace.h */
struct uv_loop_s;

/* --- Status ----------------------------------------------------------------------------------- */

/* The codes of gRPC, as numbers on the wire. */
#define RPC_STATUS_TABLE(X)                                                                        \
    X(RPC_OK, 0)                                                                                   \
    X(RPC_CANCELED, 1)                                                                             \
    X(RPC_UNKNOWN, 2)                                                                              \
    X(RPC_INVALID_ARGUMENT, 3)                                                                     \
    X(RPC_DEADLINE_EXCEEDED, 4)                                                                    \
    X(RPC_NOT_FOUND, 5)                                                                            \
    X(RPC_ALREADY_EXISTS, 6)                                                                       \
    X(RPC_PERMISSION_DENIED, 7)                                                                    \
    X(RPC_RESOURCE_EXHAUSTED, 8)                                                                   \
    X(RPC_FAILED_PRECONDITION, 9)                                                                  \
    X(RPC_ABORTED, 10)                                                                             \
    X(RPC_OUT_OF_RANGE, 11)                                                                        \
    X(RPC_NO_SUCH_METHOD, 12) /* the field has another name for it: rpc_status_name */             \
    X(RPC_INTERNAL, 13)                                                                            \
    X(RPC_UNAVAILABLE, 14)                                                                         \
    X(RPC_DATA_LOSS, 15)                                                                           \
    X(RPC_UNAUTHENTICATED, 16)

enum rpc_status {
#define RPC_STATUS_ENUM(name, number) name = number,
    RPC_STATUS_TABLE(RPC_STATUS_ENUM)
#undef RPC_STATUS_ENUM
};
#define RPC_STATUS_COUNT 17

/* The name by which gRPC's own metrics call a code ("OK", "NotFound"); "Unknown" for others. */
const char *rpc_status_name(int status);

/* --- Methods ---------------------------------------------------------------------------------- */

enum rpc_shape { RPC_UNARY, RPC_SERVER_STREAM, RPC_BIDI };

#define RPC_JSON_PATHS_MAX 3

/* A method: static, shared, never changed. */
struct rpc_method {
    const char *path; /* "/etcdserverpb.KV/Range" */
    enum rpc_shape shape;
    /* POST paths of the JSON gateway, "/v3/kv/range"; NULL ends. A stream's answer is one line
     * {"result":...} a message. A bidi method gets the objects of the request's body as its
     * messages, then half_closed; its answer goes on until rpc_finish or until the client goes. */
    const char *json_paths[RPC_JSON_PATHS_MAX];
    const struct ProtobufCMessageDescriptor *request, *response; /* for JSON */

    void (*begin)(struct rpc_call *call); /* may be NULL */
    /* A request message, in protobuf's encoding; borrowed for the time of the call, and not
     * validated in any way but its length. */
    void (*message)(struct rpc_call *call, struct bytes message);
    void (*half_closed)(struct rpc_call *call); /* the client sends no more; may be NULL */
    void (*gone)(struct rpc_call *call);        /* may be NULL */
    /* Room again, after rpc_send said false; may be NULL. */
    void (*writable)(struct rpc_call *call);
};

/* --- Calls ------------------------------------------------------------------------------------ */

/* What the method keeps for a call; NULL at first. The method frees it, in `gone` at the latest. */
void *rpc_state(const struct rpc_call *call);
void rpc_set_state(struct rpc_call *call, void *state);

/* The `ctx` of the server. */
void *rpc_ctx(const struct rpc_call *call);
const struct rpc_method *rpc_method_of(const struct rpc_call *call); /* NULL for a page */

/* Queues one response message: `head` followed by `body`, so that a header can be put before a
 * response of the store without copying that twice. Both are copied before it returns. False: the
 * queue is above its high mark, and `writable` will say when there is room (the message was taken
 * all the same). A unary method sends exactly one message before it finishes with RPC_OK. */
bool rpc_send(struct rpc_call *call, struct bytes head, struct bytes body);

/* May a stream send without passing the high mark? Between two looks only sends change it. */
bool rpc_has_room(const struct rpc_call *call);

/* Ends the call. `text` may be NULL, is copied up to 1024 bytes, and is dropped where the status is
 * RPC_OK. What was sent before leaves first. */
void rpc_finish(struct rpc_call *call, int status, const char *text);

/* A word about the answer, beside it: to gRPC a trailer, to JSON a header of HTTP (of a stream's
 * answer: before its first message). `name` is static, lower-case and a token of HTTP; of `value`,
 * which is copied, RPC_REMARK_MAX bytes count, and what is not printable ASCII becomes "?". A call
 * has one; the last counts. Before rpc_finish. */
#define RPC_REMARK_MAX 160
void rpc_set_remark(struct rpc_call *call, const char *name, const char *value);

/* A header of the request by its lower-case name, of those in RPC_METADATA_KEPT; from JSON also by
 * its name with the prefix "grpc-metadata-". Borrowed until `gone` returns. */
#define RPC_METADATA_KEPT                                                                          \
    {                                                                                              \
        "token", "authorization", "hasleader", "traceparent", "client-api-version"                 \
    }
bool rpc_metadata(const struct rpc_call *call, const char *name, struct bytes *ret);

/* "10.0.0.7:41236". Borrowed until `gone` returns. */
const char *rpc_peer(const struct rpc_call *call);

/* The common name of the verified client certificate, or NULL. Borrowed until `gone` returns. */
const char *rpc_certificate_name(const struct rpc_call *call);

/* When the client stops waiting, on the loop's clock (uv_now, in nanoseconds); 0: never. */
nanos rpc_deadline(const struct rpc_call *call);

/* Did the call come as JSON? */
bool rpc_is_json(const struct rpc_call *call);

/* Is this call recorded as a span? Then its method may tell what it took its time for. */
bool rpc_is_traced(const struct rpc_call *call);

/* A stage of a call that is recorded, on the configuration's clock: a span below the call's own.
 * `name` is static. More than RPC_STAGES_MAX are left out. */
#define RPC_STAGES_MAX 6
void rpc_stage(struct rpc_call *call, const char *name, nanos begin, nanos end);

/* --- Pages ------------------------------------------------------------------------------------ */

/* What is served to GET and HEAD outside the gateway. `serve` answers with rpc_page_send at once or
 * later; `gone` is as in a method. A path that ends with "/" serves all below it too. */
struct rpc_page {
    const char *path; /* "/version" */
    void (*serve)(struct rpc_call *call);
    void (*gone)(struct rpc_call *call); /* may be NULL */
};

/* The path and the query (behind "?", "" without one) that were asked for. Until `gone` returns. */
struct bytes rpc_page_path(const struct rpc_call *call);
const char *rpc_page_query(const struct rpc_call *call);

/* Answers. `http_status` is 200, 404, 503 ...; the body is copied. */
void rpc_page_send(struct rpc_call *call, int http_status, const char *content_type,
                   struct bytes body);

/* --- The server ------------------------------------------------------------------------------- */

/* What one client, and all together, may cost. */
struct rpc_limits {
    size_t request_max_bytes;      /* a gRPC message; above: RESOURCE_EXHAUSTED in etcd's words */
    size_t json_body_max_bytes;    /* a JSON request: base64 makes of three bytes four */
    size_t header_max_bytes;       /* all headers of a request together */
    uint32_t connections_max;      /* more are accepted and closed at once */
    uint32_t calls_max;            /* open calls of all connections; more get RESOURCE_EXHAUSTED */
    uint32_t streams_max;          /* open streams of one connection, as HTTP/2 announces it */
    size_t call_queue_bytes;       /* high mark of one call's output: rpc_send says false above */
    size_t connection_queue_bytes; /* output of one connection; above, new calls are refused */
    size_t server_queue_bytes;     /* output of all connections; above, new calls are refused */
    size_t partial_max_bytes;      /* requests of one connection that have come in part */
    nanos handshake_timeout;       /* from accept to the first whole request header */
    nanos request_timeout;         /* from the first byte of a header or message to its last */
    nanos stall_timeout;           /* output waits, and the client takes none of it */
    nanos idle_timeout;            /* HTTP/1.1 between two requests */
    nanos ping_interval;           /* a silent HTTP/2 connection is asked whether it lives ... */
    nanos ping_timeout;            /* ... and is lost when it does not say so within this */
    nanos ping_min_interval;       /* clients that ping faster are told too_many_pings */
};

/* etcd's limits where it has one. */
struct rpc_limits rpc_limits_default(void);

struct rpc_config {
    const char *address;                     /* "127.0.0.1", "::" */
    uint16_t port;                           /* 0: the system picks one, see rpc_server_port */
    const struct rpc_tls *tls;               /* borrowed until closed; NULL: plain text */
    const struct rpc_method *const *methods; /* borrowed until closed */
    size_t method_count;
    const struct rpc_page *pages; /* borrowed until closed */
    size_t page_count;
    void *ctx;
    /* Told of each client whose TLS failed, and why; may be NULL. Whoever can reach the port can
     * cause this, as often as he likes. Both are borrowed for the call. */
    void (*refused)(void *ctx, const char *peer, const char *why);
    struct rpc_limits limits;
    /* A clock by which the time that calls take is counted, finer than the loop's; NULL: it is
     * not. */
    nanos (*clock)(void *ctx);
    void *clock_ctx;
    struct tracer *tracer; /* borrowed until closed; NULL, or without a clock: nothing is traced */
};

/* Listens. Health checking (grpc.health.v1) and reflection (grpc.reflection.v1alpha and v1) are
 * there without being asked for. ERR_EXISTS: the address is taken; ERR_DENIED; ERR_INVALID: the
 * address is none; ERR_IO. */
MUST_USE enum err rpc_server_open(struct uv_loop_s *loop, const struct rpc_config *config,
                                  struct rpc_server **ret);

uint16_t rpc_server_port(const struct rpc_server *server);

/* Listens no more and tells clients to go elsewhere (GOAWAY, "Connection: close"); calls under way
 * go on. rpc_server_call_count says when the last has ended. */
void rpc_server_drain(struct rpc_server *server);
uint32_t rpc_server_call_count(const struct rpc_server *server);

/* Ends every call (`gone` is called before this returns) and every connection; not to be called
 * from inside a callback of a method. `closed`, which may be NULL, is called from the loop when
 * nothing of the server is left in it. */
void rpc_server_close(struct rpc_server *server, void (*closed)(void *arg), void *arg);

/* What grpc.health.v1 says of a service; "" is the server as a whole. Copies the name. Services of
 * the method table are known, and SERVING, from the start. */
void rpc_server_set_health(struct rpc_server *server, const char *service, bool serving);

/* --- Counters --------------------------------------------------------------------------------- */

/* How long calls took, from their header to their end: RPC_TIME_FIRST * 2^i and less in buckets[i],
 * each call in one bucket, what is longer (8 seconds) in the last. */
#define RPC_TIME_FIRST   (NANOS_PER_S >> 14)
#define RPC_TIME_BUCKETS 19

/* Of one method, in the order of the table; they only grow, but for `open`. */
struct rpc_method_counters {
    uint64_t started;
    uint64_t handled[RPC_STATUS_COUNT];
    uint64_t messages_in, messages_out;
    uint64_t open;
    uint64_t times[RPC_TIME_BUCKETS]; /* of those that were handled, with a clock */
    nanos time_sum;
};

struct rpc_counters {
    uint64_t connections_accepted;
    uint64_t connections_refused; /* above connections_max */
    uint64_t connections_open;
    uint64_t connections_dropped; /* for what the client did: slow, hostile, broken */
    uint64_t tls_failures;
    uint64_t bytes_in, bytes_out;
    uint64_t calls_open;
    uint64_t calls_refused; /* above a limit, or of no method */
    uint64_t queued_bytes;  /* output that waits, of all connections */
};

const struct rpc_counters *rpc_server_counters(const struct rpc_server *server);
const struct rpc_method_counters *rpc_server_method_counters(const struct rpc_server *server,
                                                             size_t method_index);

#endif
