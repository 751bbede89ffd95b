/*
 * api/otlp: spans on their way to a collector, as OTLP over HTTP with JSON [OTLP24]. This header
 * is the encoding: an ExportTraceServiceRequest. Identities are hexadecimal strings and 64-bit
 * numbers are decimal strings, as OTLP's mapping to JSON wants them.
 */
#ifndef NOVACRON_API_OTLP_OTLP_ENCODE_H
#define NOVACRON_API_OTLP_OTLP_ENCODE_H

#include "core/base/buf.h"
#include "core/monitoring/trace.h"

/* Who says it: the resource that all spans of a process have in common. NULL: left out. */
struct otlp_resource {
    const char *service;  /* service.name */
    const char *version;  /* service.version */
    const char *instance; /* service.instance.id */
    const char *cluster;  /* novacron.cluster */
};

/* Appends a request with these spans. `epoch` is what has to be added to the world's clock to make
 * it nanoseconds since 1970. */
void otlp_encode(const struct otlp_resource *resource, const struct trace_span *spans, size_t n,
                 int64_t epoch, struct buf *ret);

#endif
