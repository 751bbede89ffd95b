/*
 * Calls as spans [Kanzhelev21]: one for each call that is recorded, named by its method, and one
 * below it for each stage that its method tells. All of it is handed over when the call ends; a
 * call that is not recorded costs one look at a pointer.
 */
#include <stdio.h>
#include <string.h>

#include "api/rpc_int.h"
#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/monitoring/trace.h"

struct call_trace {
    struct trace_span span;
    uint32_t stage_count;
    struct {
        const char *name;
        nanos begin;
        nanos end;
    } stages[RPC_STAGES_MAX];
};

void call_trace_begin(struct rpc_call *call)
{
    const struct rpc_config *config = &call->conn->server->config;
    struct bytes parent = {NULL, 0};
    struct trace_span span;
    if (config->clock == NULL) {
        return;
    }
    /* Two of them contradict each other: the trace begins anew. */
    if (rpc_metadata(call, "traceparent", &parent) && call_is_doubled(call, "traceparent")) {
        parent = (struct bytes){(const uint8_t *)"?", 1};
    }
    if (!tracer_begin_parent(config->tracer, parent, call->method->path + 1, &span)) {
        return;
    }
    call->trace = mem_alloc(sizeof *call->trace);
    call->trace->span = span;
    call->trace->span.kind = TRACE_SERVER;
    call->trace->span.begin = call->began_at;
    call->trace->stage_count = 0;
}

bool rpc_is_traced(const struct rpc_call *call)
{
    return call->trace != NULL;
}

void rpc_stage(struct rpc_call *call, const char *name, nanos begin, nanos end)
{
    struct call_trace *t = call->trace;
    if (t != NULL && t->stage_count < RPC_STAGES_MAX) {
        t->stages[t->stage_count].name = name;
        t->stages[t->stage_count].begin = begin;
        t->stages[t->stage_count++].end = end;
    }
}

/* Statuses that are the server's fault; others are answers. */
static bool status_is_failure(int status)
{
    switch (status) {
    case RPC_UNKNOWN:
    case RPC_DEADLINE_EXCEEDED:
    case RPC_NO_SUCH_METHOD:
    case RPC_INTERNAL:
    case RPC_UNAVAILABLE:
    case RPC_DATA_LOSS:
        return true;
    default:
        return false;
    }
}

/* The names are OpenTelemetry's conventions for RPC. */
static void trace_describe(const struct rpc_call *call, struct trace_span *span, int status)
{
    const char *path = call->method->path;
    const char *slash = strrchr(path, '/');
    char service[TRACE_TEXT_BYTES];
    (void)snprintf(service, sizeof service, "%.*s", (int)(slash - path - 1), path + 1);
    trace_span_text(span, "rpc.system", "grpc");
    trace_span_text(span, "rpc.service", service);
    trace_span_text(span, "rpc.method", slash + 1);
    trace_span_number(span, "rpc.grpc.status_code", (uint64_t)status);
    trace_span_text(span, "client.address", call->conn->peer);
    trace_span_text(span, "novacron.encoding", call->kind == KIND_JSON ? "json" : "protobuf");
}

void call_trace_end(struct rpc_call *call, int status, const char *text, nanos now)
{
    struct tracer *tracer = call->conn->server->config.tracer;
    struct call_trace *t = call->trace;
    for (uint32_t i = 0; i < t->stage_count; i++) {
        struct trace_span child;
        tracer_child(tracer, &t->span, t->stages[i].name, &child);
        child.begin = t->stages[i].begin;
        tracer_end(tracer, &child, t->stages[i].end);
    }
    trace_describe(call, &t->span, status);
    if (status_is_failure(status)) {
        trace_span_fail(&t->span, text != NULL ? text : rpc_status_name(status));
    }
    tracer_end(tracer, &t->span, now);
    call->trace = NULL;
    mem_free(t);
}
