#include "novacrond/incident_trace.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/hash.h"

/* Where a machine is, on its way. */
struct way {
    const char *vm; /* borrowed from the record */
    size_t start;   /* its open span of a start; 0: there is none */
    nanos at;       /* when its newest step was */
};

struct telling {
    const struct ha_incident *incident;
    nanos opened;
    struct trace_context root;
    struct trace_span *spans; /* borrowed: INCIDENT_SPANS_MAX */
    size_t n;
    nanos host_at;     /* when the newest step of the host was */
    nanos proved_at;   /* when a machine may have left it: of the proof, before it as `host_at` */
    size_t fence;      /* the fence that goes on; 0: none does */
    const char *proof; /* static; NULL: there is none yet */
    const char *result;
    struct way ways[HA_STEPS_MAX];
    size_t n_ways;
    bool has_failed; /* a start */
};

static bool step_is(const struct ha_step *step, const char *what)
{
    return strcmp(step->what, what) == 0;
}

/* --- spans ------------------------------------------------------------------------------------ */

/* The same for whoever tells of it: of the trace, and of what and which it is. */
static uint64_t span_identity(const struct telling *t, const char *name, uint64_t number)
{
    uint64_t id = hash_bytes(t->root.trace.lo, name, strlen(name));

    id = hash_u64(hash_u64(id, t->root.trace.hi), number);
    return id != 0 ? id : 1;
}

/* Appends one; its place is its number, and never 0 but for the root. */
static size_t span_add(struct telling *t, const char *name, uint64_t parent, nanos begin, nanos end)
{
    CHECK(t->n < INCIDENT_SPANS_MAX);
    struct trace_span *span = &t->spans[t->n];
    memset(span, 0, sizeof *span);
    span->trace = t->root.trace;
    span->id = span_identity(t, name, t->n);
    span->parent = parent;
    span->name = name;
    span->kind = TRACE_INTERNAL;
    span->begin = begin;
    span->end = (int64_t)(end - begin) < 0 ? begin : end;
    return t->n++;
}

static struct trace_span *span_of_host(struct telling *t, const char *name, nanos begin, nanos end)
{
    struct trace_span *span = &t->spans[span_add(t, name, t->root.span, begin, end)];

    trace_span_text(span, "novacron.host", t->incident->host);
    return span;
}

static struct trace_span *span_of_vm(struct telling *t, const char *name,
                                     const struct ha_step *step, nanos begin, nanos end)
{
    struct trace_span *span = &t->spans[span_add(t, name, t->root.span, begin, end)];

    trace_span_text(span, "novacron.vm", step->who);
    trace_span_text(span, "novacron.host", step->detail);
    trace_span_number(span, "novacron.epoch", step->epoch);
    return span;
}

/* --- the host --------------------------------------------------------------------------------- */

static void tell_detected(struct telling *t, const struct ha_step *step, nanos at)
{
    nanos unheard = t->incident->unheard_ms * NANOS_PER_MS;
    struct trace_span *span = span_of_host(t, "incident.detect", at - unheard, at);

    trace_span_text(span, "novacron.result", step->detail);
}

static const char *proof_text(const struct telling *t)
{
    return t->proof != NULL ? t->proof : "none";
}

/* The fence is over, by this. */
static void tell_fence_end(struct telling *t, const char *what, nanos at)
{
    struct trace_span *span = &t->spans[t->fence];

    if (t->fence == 0) {
        return;
    }
    span->end = at;
    trace_span_text(span, "novacron.result", what);
    if (strcmp(what, "fenced") != 0) {
        trace_span_fail(span, "it ended before the host was proved off");
    }
    t->fence = 0;
}

static void tell_fence(struct telling *t, const struct ha_step *step, nanos at)
{
    if (t->fence == 0) {
        struct trace_span *span = span_of_host(t, "incident.decide", t->host_at, at);
        trace_span_text(span, "novacron.result", step->detail);
    }
    tell_fence_end(t, "begun anew", at);
    t->fence = span_add(t, "incident.fence", t->root.span, at, at);
    trace_span_text(&t->spans[t->fence], "novacron.host", t->incident->host);
}

/* A proof that is no fence. */
static void tell_proof(struct telling *t, const struct ha_step *step, nanos at)
{
    tell_fence_end(t, step->what, at);
    struct trace_span *span = span_of_host(t, "incident.prove", t->host_at, at);
    trace_span_text(span, "novacron.proof", proof_text(t));
    trace_span_text(span, "novacron.result", step->detail);
}

static void tell_device(struct telling *t, const struct ha_step *step, nanos at)
{
    uint64_t parent = t->fence != 0 ? t->spans[t->fence].id : t->root.span;
    nanos begin = at - step->took_ms * NANOS_PER_MS;
    struct trace_span *span = &t->spans[span_add(t, "incident.device", parent, begin, at)];
    bool is_off = step_is(step, "told-off") || step_is(step, "off-failed");

    span->kind = TRACE_CLIENT;
    trace_span_text(span, "novacron.host", t->incident->host);
    trace_span_text(span, "novacron.device", step->who);
    trace_span_text(span, "novacron.command", is_off ? "off" : "status");
    trace_span_text(span, "novacron.result", step->what);
    trace_span_text(span, "novacron.try", step->detail);
    if (step_is(step, "off-failed") || step_is(step, "read-failed")) {
        trace_span_fail(span, step->detail);
    }
}

/* True: the step is the host's own, and was told. */
static bool tell_host(struct telling *t, const struct ha_step *step, nanos at)
{
    static const char *const proofs[] = {"fenced", "expired", "confirmed"};
    bool is_known = true;

    for (size_t i = 0; i < COUNT_OF(proofs); i++) {
        if (step_is(step, proofs[i])) {
            t->proof = proofs[i];
            t->proved_at = at;
        }
    }
    if (step_is(step, "detected")) {
        tell_detected(t, step, at);
    } else if (step_is(step, "fence")) {
        tell_fence(t, step, at);
    } else if (step_is(step, "fenced")) {
        tell_fence_end(t, step->what, at);
    } else if (step_is(step, "expired") || step_is(step, "confirmed")) {
        tell_proof(t, step, at);
    } else if (step_is(step, "back")) {
        tell_fence_end(t, step->what, at);
        t->result = t->proof == NULL ? "the host is back" : t->result;
    } else {
        is_known = false;
    }
    t->host_at = is_known ? at : t->host_at;
    t->proved_at = is_known && t->proof == NULL ? at : t->proved_at;
    return is_known;
}

/* --- machines --------------------------------------------------------------------------------- */

static struct way *way_of(struct telling *t, const char *vm)
{
    size_t i = 0;

    while (i < t->n_ways && strcmp(t->ways[i].vm, vm) != 0) {
        i++;
    }
    if (i == t->n_ways) {
        CHECK(i < HA_STEPS_MAX);
        t->ways[t->n_ways++] = (struct way){.vm = vm, .at = t->proved_at};
    }
    return &t->ways[i];
}

/* A start of which nobody has heard that it has succeeded. */
static void tell_start_failed(struct telling *t, struct way *way, nanos at)
{
    if (way->start != 0) {
        t->spans[way->start].end = at;
        trace_span_fail(&t->spans[way->start], "its agent has not reported that it runs");
        way->start = 0;
        t->has_failed = true;
    }
}

static void tell_vm(struct telling *t, const struct ha_step *step, nanos at)
{
    struct way *way = way_of(t, step->who);

    if (step_is(step, "placed")) {
        tell_start_failed(t, way, at);
        struct trace_span *span = span_of_vm(t, "incident.place", step, way->at, at);
        trace_span_text(span, "novacron.proof", proof_text(t));
        (void)span_of_vm(t, "incident.start", step, at, at);
        way->start = t->n - 1;
    } else if (step_is(step, "started")) {
        if (way->start != 0) {
            t->spans[way->start].end = at;
        }
        way->start = 0;
    } else {
        (void)span_of_vm(t, "incident.verify", step, way->at, at);
    }
    way->at = at;
}

/* --- all of it -------------------------------------------------------------------------------- */

static void tell_step(struct telling *t, const struct ha_step *step)
{
    static const char *const of_devices[] = {"told-off", "off-failed",   "read-off",
                                             "read-on",  "read-unknown", "read-failed"};
    static const char *const of_vms[] = {"placed", "started", "verified"};
    nanos at = t->opened + step->at_ms * NANOS_PER_MS;

    if (tell_host(t, step, at)) {
        return;
    }
    for (size_t i = 0; i < COUNT_OF(of_devices); i++) {
        if (step_is(step, of_devices[i])) {
            tell_device(t, step, at);
        }
    }
    for (size_t i = 0; i < COUNT_OF(of_vms); i++) {
        if (step_is(step, of_vms[i])) {
            tell_vm(t, step, at);
        }
    }
    if (step_is(step, "quarantined")) {
        trace_span_text(&t->spans[0], "novacron.quarantine", step->detail);
    }
}

static void tell_root(struct telling *t, nanos end)
{
    struct trace_span *root = &t->spans[0];

    tell_fence_end(t, "closed", end);
    for (size_t i = 0; i < t->n_ways; i++) {
        tell_start_failed(t, &t->ways[i], end);
    }
    root->end = end;
    trace_span_text(root, "novacron.proof", proof_text(t));
    trace_span_text(root, "novacron.result", t->result);
    trace_span_number(root, "novacron.machines", t->n_ways);
    if (t->has_failed) {
        trace_span_fail(root, "a machine was placed, and did not start");
    }
}

/* The record's trace id; false: it is none. */
static bool tell_identity(struct telling *t)
{
    char text[TRACE_PARENT_BYTES] = "00-";
    size_t n = strlen(t->incident->trace);

    if (n != 32) {
        return false;
    }
    memcpy(text + 3, t->incident->trace, n);
    memcpy(text + 3 + n, "-0000000000000001-01", sizeof "-0000000000000001-01");
    const struct bytes all = {(const uint8_t *)text, strlen(text)};
    return trace_parent_parse(all, &t->root) == OK;
}

size_t incident_trace(const struct ha_incident *incident, nanos opened, struct trace_span *ret)
{
    struct telling t = {.incident = incident,
                        .opened = opened,
                        .spans = ret,
                        .host_at = opened,
                        .proved_at = opened,
                        .result = "recovered"};
    nanos begin = opened - incident->unheard_ms * NANOS_PER_MS;
    nanos end = opened;

    if (!tell_identity(&t)) {
        return 0;
    }
    t.root.span = span_identity(&t, "incident", 0);
    (void)span_add(&t, "incident", 0, begin, begin);
    trace_span_text(&ret[0], "novacron.incident", incident->id);
    trace_span_text(&ret[0], "novacron.host", incident->host);
    for (uint32_t i = 0; i < incident->n_steps; i++) {
        tell_step(&t, &incident->steps[i]);
        end = opened + u64_max(end - opened, incident->steps[i].at_ms * NANOS_PER_MS);
    }
    tell_root(&t, end);
    return t.n;
}
