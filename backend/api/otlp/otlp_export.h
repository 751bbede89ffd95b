/*
 * The exporter: takes spans on the loop's thread, and brings them to a collector on one of its own.
 *
 *     otlp_take --copy--> the gathering half --swap--> the sending half --> encode, POST, answer
 *
 * Two halves of a queue, each with room for OTLP_QUEUE_SPANS: whoever puts fills the one, the
 * thread sends the other and then swaps, so that the lock is held for a copy of one span or for two
 * pointers, and never while anything waits. Where the gathering half is full, spans are dropped and
 * counted. A collector that is down, slow, or answers nonsense costs this thread's patience alone:
 * a request has a deadline, what may help is tried again after growing pauses, a few times, and
 * then its spans are given up and counted, too. After two batches that were tried in vain a breaker
 * (breaker.h) opens: what comes is given up at once, until a single request finds out that the
 * collector is back.
 *
 * HTTP without TLS: a collector for a host runs on it, or beside it.
 */
#ifndef NOVACRON_API_OTLP_OTLP_EXPORT_H
#define NOVACRON_API_OTLP_OTLP_EXPORT_H

#include "api/otlp/otlp_encode.h"
#include "core/monitoring/health/breaker.h"

/* Spans that wait, and those in one request: under a megabyte of JSON. */
#define OTLP_QUEUE_SPANS 2048
#define OTLP_BATCH_SPANS 512

/* A span waits for company so long. */
#define OTLP_FLUSH (500 * NANOS_PER_MS)

/* A request gets so long, from connecting to its answer. */
#define OTLP_TIMEOUT (5 * NANOS_PER_S)

/* A batch is tried so often, with pauses that double from the first one on. */
#define OTLP_TRIES 4
#define OTLP_PAUSE NANOS_PER_S

/* The breaker stays open for so long at first, doubling up to this: spans of a collector that is
 * back are missed for no longer. */
#define OTLP_OPEN_FIRST (5 * NANOS_PER_S)
#define OTLP_OPEN_MAX   (60 * NANOS_PER_S)

#define OTLP_WHY_BYTES 160

struct otlp; /* opaque */

struct otlp_counters {
    uint64_t taken;    /* spans that were put and had room */
    uint64_t dropped;  /* ... had none */
    uint64_t exported; /* ... that a collector took */
    uint64_t failed;   /* ... that were given up */
    uint64_t requests; /* to the collector */
    uint64_t requests_failed;
    uint64_t waiting; /* spans, now */
    enum breaker_state breaker;
    uint64_t rejected; /* batches that the breaker did not let go */
};

/* Begins. `endpoint` is "http://host:port/path" (4318 and /v1/traces where it does not say); it and
 * the resource are copied. ERR_INVALID: it is no such URL, and `why` says what to
 * write. */
MUST_USE enum err otlp_open(const char *endpoint, const struct otlp_resource *resource,
                            char why[OTLP_WHY_BYTES], struct otlp **ret);

/* Is this an endpoint that otlp_open takes? */
MUST_USE enum err otlp_endpoint_check(const char *endpoint, char why[OTLP_WHY_BYTES]);

/* A sink for a tracer: from one thread at a time. */
struct trace_sink otlp_sink(struct otlp *o);

struct otlp_counters otlp_counters_read(struct otlp *o);

/* Sends what waits, within `patience`, and ends the thread. Where the C library still looks up the
 * collector's name then, the thread is left behind with what it has. */
void otlp_close(struct otlp *o, nanos patience);

#endif
