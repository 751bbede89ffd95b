/* The part of /metrics that is about clients: their connections, and their calls by method, under
 * the names of go-grpc-prometheus, which etcd has. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "novacrond/daemon_metrics.h"

static const char *shape_name(enum rpc_shape shape)
{
    return shape == RPC_UNARY ? "unary" : shape == RPC_BIDI ? "bidi_stream" : "server_stream";
}

/* grpc_type, grpc_service and grpc_method of "/etcdserverpb.KV/Range". */
static void method_labels(const struct rpc_method *m, char *text, size_t n)
{
    const char *slash = strrchr(m->path, '/');
    (void)snprintf(text, n, "grpc_type=\"%s\",grpc_service=\"%.*s\",grpc_method=\"%s\"",
                   shape_name(m->shape), (int)(slash - m->path - 1), m->path + 1, slash + 1);
}

/* The methods that the server has, in the order of its counters: etcd's, and ours. */
static const struct rpc_method *const *methods_of(const struct daemon *d, size_t *ret_count)
{
    size_t n = 0;
    while (n < DAEMON_METHODS_MAX && d->health.methods[n] != NULL) {
        n++;
    }
    *ret_count = n;
    return d->health.methods;
}

/* One line a method, of a number that is kept at `offset` in its counters. */
static void put_methods(struct buf *b, const struct daemon *d, const char *name, const char *kind,
                        const char *help, size_t offset)
{
    size_t n = 0;
    char labels[METRIC_LINE_BYTES / 2];
    const struct rpc_method *const *methods = methods_of(d, &n);
    metric_head(b, name, kind, help);
    for (size_t i = 0; i < n; i++) {
        const struct rpc_method_counters *c = rpc_server_method_counters(d->server, i);
        uint64_t number = 0;
        memcpy(&number, (const char *)c + offset, sizeof number);
        method_labels(methods[i], labels, sizeof labels);
        metric_line(b, "%s{%s} %llu\n", name, labels, (unsigned long long)number);
    }
}

static void put_methods_handled(struct buf *b, const struct daemon *d)
{
    size_t n = 0;
    char labels[METRIC_LINE_BYTES / 2];
    const struct rpc_method *const *methods = methods_of(d, &n);
    metric_head(b, "grpc_server_handled_total", "counter",
                "Total number of RPCs completed, regardless of success or failure.");
    for (size_t i = 0; i < n; i++) {
        const struct rpc_method_counters *c = rpc_server_method_counters(d->server, i);
        method_labels(methods[i], labels, sizeof labels);
        for (int status = 0; status < RPC_STATUS_COUNT; status++) {
            if (c->handled[status] > 0 || status == RPC_OK) {
                metric_line(b, "grpc_server_handled_total{%s,grpc_code=\"%s\"} %llu\n", labels,
                            rpc_status_name(status), (unsigned long long)c->handled[status]);
            }
        }
    }
}

/* Of methods that were called: a histogram is many lines. */
static void put_methods_times(struct buf *b, const struct daemon *d)
{
    static const char name[] = "grpc_server_handling_seconds";
    size_t n = 0;
    char labels[METRIC_LINE_BYTES / 2];
    const struct rpc_method *const *methods = methods_of(d, &n);
    metric_head(b, name, "histogram",
                "Histogram of response latency (seconds) of gRPC that had been application-level "
                "handled by the server.");
    for (size_t i = 0; i < n; i++) {
        const struct rpc_method_counters *c = rpc_server_method_counters(d->server, i);
        if (c->started == c->open) {
            continue;
        }
        method_labels(methods[i], labels, sizeof labels);
        metric_histogram(b, &(struct metric_times){.name = name,
                                                   .labels = labels,
                                                   .counts = c->times,
                                                   .n = RPC_TIME_BUCKETS,
                                                   .first = RPC_TIME_FIRST,
                                                   .sum = c->time_sum});
    }
}

void metrics_put_calls(struct buf *b, const struct daemon *d)
{
    const struct rpc_counters *c = rpc_server_counters(d->server);
    COUNTER("etcd_network_client_grpc_received_bytes_total",
            "The total number of bytes received from clients.", c->bytes_in);
    COUNTER("etcd_network_client_grpc_sent_bytes_total",
            "The total number of bytes sent to clients.", c->bytes_out);
    GAUGE("novacron_client_connections", "Connections of clients.", c->connections_open);
    COUNTER("novacron_client_connections_accepted_total", "Connections accepted.",
            c->connections_accepted);
    COUNTER("novacron_client_connections_refused_total", "Connections above the limit.",
            c->connections_refused);
    COUNTER("novacron_client_connections_dropped_total",
            "Connections that were ended for what the client did.", c->connections_dropped);
    COUNTER("novacron_client_tls_failures_total", "Handshakes that failed.", c->tls_failures);
    COUNTER("novacron_client_calls_refused_total", "Calls above a limit, or of no method.",
            c->calls_refused);
    GAUGE("novacron_client_queued_bytes", "Output that waits for clients.", c->queued_bytes);
    put_methods(b, d, "grpc_server_started_total", "counter", "Total number of RPCs started.",
                offsetof(struct rpc_method_counters, started));
    put_methods(b, d, "novacron_grpc_calls_open", "gauge", "RPCs under way.",
                offsetof(struct rpc_method_counters, open));
    put_methods_handled(b, d);
    put_methods(b, d, "grpc_server_msg_received_total", "counter",
                "Total number of RPC stream messages received on the server.",
                offsetof(struct rpc_method_counters, messages_in));
    put_methods(b, d, "grpc_server_msg_sent_total", "counter",
                "Total number of gRPC stream messages sent by the server.",
                offsetof(struct rpc_method_counters, messages_out));
    put_methods_times(b, d);
}
