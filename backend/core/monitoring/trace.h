/*
 * monitoring: what the core knows of being watched. This header is traces: who asked for one, the
 * spans of it, and whether it is recorded at all. Pure: identities come from a seeded generator,
 * times from whoever calls, and a finished span is handed over as a value, to a sink that must not
 * wait. Where it goes from there (api/otlp) is nobody's matter here.
 *
 * The context is W3C's [Kanzhelev21]; a span is what OpenTelemetry calls so. A trace may be one
 * call of a client, whose identity came with it; or it may be an incident that goes on for minutes
 * and on several hosts: its identity is then kept as text (trace_parent_format) beside the
 * incident, and whoever carries on reads it there.
 *
 * Who may call it: everybody above base.
 */
#ifndef NOVACRON_MONITORING_TRACE_H
#define NOVACRON_MONITORING_TRACE_H

#include "core/base/err.h"
#include "core/base/prng.h"
#include "core/base/types.h"

struct trace_id {
    uint64_t hi;
    uint64_t lo;
};

/* A place in a trace: the span that others are to be children of. */
struct trace_context {
    struct trace_id trace; /* never 0 */
    uint64_t span;         /* never 0 */
    bool is_sampled;
};

/* "00-" 32 digits "-" 16 digits "-" 2 digits, with a final zero. */
#define TRACE_PARENT_BYTES 56

/* Reads a traceparent as W3C's Trace Context says: version 00 exactly, later ones as far as they
 * begin alike, ff never; lower-case digits; no identity of zeros. ERR_INVALID: it is none, and the
 * trace begins anew. */
MUST_USE enum err trace_parent_parse(struct bytes text, struct trace_context *ret);
void trace_parent_format(const struct trace_context *c, char ret[TRACE_PARENT_BYTES]);

/* --- spans ----------------------------------------------------------------------------------- */

/* The numbers are OpenTelemetry's. */
enum trace_kind { TRACE_INTERNAL = 1, TRACE_SERVER = 2, TRACE_CLIENT = 3 };
enum trace_status { TRACE_UNSET = 0, TRACE_OK = 1, TRACE_ERROR = 2 };

#define TRACE_ATTRIBUTES_MAX 8
#define TRACE_TEXT_BYTES     64
#define TRACE_MESSAGE_BYTES  96

struct trace_attribute {
    const char *key; /* static */
    bool is_number;
    uint64_t number;
    char text[TRACE_TEXT_BYTES];
};

/* A value: it is copied whole, and borrows nothing but static strings. */
struct trace_span {
    struct trace_id trace;
    uint64_t id;
    uint64_t parent;  /* 0: the trace begins with it */
    const char *name; /* static */
    enum trace_kind kind;
    enum trace_status status;
    char message[TRACE_MESSAGE_BYTES]; /* of an error */
    nanos begin;                       /* by the world's clock */
    nanos end;
    uint32_t attribute_count;
    struct trace_attribute attributes[TRACE_ATTRIBUTES_MAX];
};

/* What is too long is cut off at a character's end, what is too many is left out. */
void trace_span_text(struct trace_span *span, const char *key, const char *text);
void trace_span_number(struct trace_span *span, const char *key, uint64_t number);
void trace_span_fail(struct trace_span *span, const char *message);

/* --- recording ------------------------------------------------------------------------------- */

/* Takes finished spans. It is called where time matters: it copies, or drops, and returns. */
struct trace_sink {
    void *ctx;
    void (*take)(void *ctx, const struct trace_span *span);
};

/* Who decides what is recorded, and draws identities. One for a process. */
struct tracer {
    struct trace_sink sink;
    struct prng ids;
    uint64_t threshold; /* of those that begin here, about this many of 2^63 are recorded */
    uint64_t begun;     /* traces that are recorded, or go on here */
    uint64_t malformed; /* parents that were none */
};

/* Of traces that begin here, `ratio` (0 to 1) are recorded. The seed is the process's own. */
void tracer_init(struct tracer *t, const struct trace_sink *sink, uint64_t seed, double ratio);

/* A span below `parent`, or the first of a trace where that is NULL: where it is to be recorded,
 * sets its identities, parent and name, clears the rest and returns true. Whoever asked decides for
 * all that he asks for; who comes without a context is drawn. */
bool tracer_begin(struct tracer *t, const struct trace_context *parent, const char *name,
                  struct trace_span *ret);

/* The same for what came with a traceparent, or with none (empty). */
bool tracer_begin_parent(struct tracer *t, struct bytes traceparent, const char *name,
                         struct trace_span *ret);

/* A span below one that is recorded. */
void tracer_child(struct tracer *t, const struct trace_span *parent, const char *name,
                  struct trace_span *ret);

/* Where a span is, for those below it. */
struct trace_context trace_context_of(const struct trace_span *span);

/* It is over: hands it to the sink. `end` before its begin counts as its begin. */
void tracer_end(struct tracer *t, struct trace_span *span, nanos end);

#endif
