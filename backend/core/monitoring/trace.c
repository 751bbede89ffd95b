#include "core/monitoring/trace.h"

#include <string.h>

#include "core/base/check.h"

/* Places of what is in a traceparent. */
enum {
    PARENT_VERSION = 0,
    PARENT_TRACE = 3,
    PARENT_SPAN = 36,
    PARENT_FLAGS = 53,
    PARENT_END = 55,
};

#define VERSION_INVALID 0xFF
#define FLAG_SAMPLED    0x01

_Static_assert(TRACE_PARENT_BYTES == PARENT_END + 1, "all of it, and a zero");

/* --- the context ----------------------------------------------------------------------------- */

static bool hex_parse(const uint8_t *text, size_t digits, uint64_t *ret)
{
    uint64_t value = 0;
    for (size_t i = 0; i < digits; i++) {
        uint8_t c = text[i];
        bool is_digit = c >= '0' && c <= '9';
        if (!is_digit && (c < 'a' || c > 'f')) {
            return false; /* capitals are none, says the recommendation */
        }
        value = value << 4 | (uint64_t)(is_digit ? c - '0' : c - 'a' + 10);
    }
    *ret = value;
    return true;
}

enum err trace_parent_parse(struct bytes text, struct trace_context *ret)
{
    uint64_t version = 0;
    uint64_t flags = 0;
    struct trace_context c = {.is_sampled = false};
    const uint8_t *at = text.data;
    if (text.len < PARENT_END || !hex_parse(at + PARENT_VERSION, 2, &version) ||
        version == VERSION_INVALID || (version == 0 && text.len != PARENT_END)) {
        return ERR_INVALID;
    }
    bool has_dashes = at[PARENT_TRACE - 1] == '-' && at[PARENT_SPAN - 1] == '-' &&
                      at[PARENT_FLAGS - 1] == '-' &&
                      (text.len == PARENT_END || at[PARENT_END] == '-');
    if (!has_dashes || !hex_parse(at + PARENT_TRACE, 16, &c.trace.hi) ||
        !hex_parse(at + PARENT_TRACE + 16, 16, &c.trace.lo) ||
        !hex_parse(at + PARENT_SPAN, 16, &c.span) || !hex_parse(at + PARENT_FLAGS, 2, &flags)) {
        return ERR_INVALID;
    }
    if ((c.trace.hi | c.trace.lo) == 0 || c.span == 0) {
        return ERR_INVALID;
    }
    c.is_sampled = (flags & FLAG_SAMPLED) != 0;
    *ret = c;
    return OK;
}

static void hex_format(uint64_t value, size_t digits, char *ret)
{
    for (size_t i = digits; i > 0; i--) {
        ret[i - 1] = "0123456789abcdef"[value & 0xF];
        value >>= 4;
    }
}

void trace_parent_format(const struct trace_context *c, char ret[TRACE_PARENT_BYTES])
{
    memcpy(ret, "00-________________________________-________________-0_", TRACE_PARENT_BYTES);
    hex_format(c->trace.hi, 16, ret + PARENT_TRACE);
    hex_format(c->trace.lo, 16, ret + PARENT_TRACE + 16);
    hex_format(c->span, 16, ret + PARENT_SPAN);
    hex_format(c->is_sampled ? FLAG_SAMPLED : 0, 2, ret + PARENT_FLAGS);
}

/* --- spans ----------------------------------------------------------------------------------- */

/* Copies what fits; of a character of several bytes, all or nothing. */
static void text_copy(char *ret, size_t n, const char *text)
{
    size_t len = strlen(text);
    if (len >= n) {
        len = n - 1;
        while (len > 0 && ((uint8_t)text[len] & 0xC0) == 0x80) {
            len--;
        }
    }
    memcpy(ret, text, len);
    ret[len] = '\0';
}

static struct trace_attribute *span_attribute(struct trace_span *span, const char *key)
{
    static const struct trace_attribute none = {.key = NULL};
    if (span->attribute_count == TRACE_ATTRIBUTES_MAX) {
        return NULL;
    }
    struct trace_attribute *a = &span->attributes[span->attribute_count++];
    *a = none;
    a->key = key;
    return a;
}

void trace_span_text(struct trace_span *span, const char *key, const char *text)
{
    struct trace_attribute *a = span_attribute(span, key);
    if (a) {
        text_copy(a->text, sizeof(a->text), text);
    }
}

void trace_span_number(struct trace_span *span, const char *key, uint64_t number)
{
    struct trace_attribute *a = span_attribute(span, key);
    if (a) {
        a->is_number = true;
        a->number = number;
    }
}

void trace_span_fail(struct trace_span *span, const char *message)
{
    span->status = TRACE_ERROR;
    text_copy(span->message, sizeof(span->message), message);
}

struct trace_context trace_context_of(const struct trace_span *span)
{
    return (struct trace_context){.trace = span->trace, .span = span->id, .is_sampled = true};
}

/* --- recording ------------------------------------------------------------------------------- */

void tracer_init(struct tracer *t, const struct trace_sink *sink, uint64_t seed, double ratio)
{
    CHECK(ratio >= 0 && ratio <= 1);
    memset(t, 0, sizeof(*t));
    t->sink = *sink;
    prng_init(&t->ids, seed);
    t->threshold = (uint64_t)(ratio * (double)(1ULL << 63));
}

static uint64_t tracer_draw(struct tracer *t)
{
    uint64_t id = 0;
    while (id == 0) {
        id = prng_u64(&t->ids);
    }
    return id;
}

/* All but attributes, which are set before they are read. */
static void span_open(struct tracer *t, struct trace_id trace, uint64_t parent, const char *name,
                      struct trace_span *ret)
{
    ret->trace = trace;
    ret->id = tracer_draw(t);
    ret->parent = parent;
    ret->name = name;
    ret->kind = TRACE_INTERNAL;
    ret->status = TRACE_UNSET;
    ret->message[0] = '\0';
    ret->begin = 0;
    ret->end = 0;
    ret->attribute_count = 0;
}

bool tracer_begin(struct tracer *t, const struct trace_context *parent, const char *name,
                  struct trace_span *ret)
{
    struct trace_id trace;
    if (parent) {
        trace = parent->trace;
        if (!parent->is_sampled) {
            return false;
        }
    } else {
        trace.hi = tracer_draw(t);
        trace.lo = tracer_draw(t);
        if (trace.lo >> 1 >= t->threshold) {
            return false;
        }
    }
    t->begun++;
    span_open(t, trace, parent ? parent->span : 0, name, ret);
    return true;
}

bool tracer_begin_parent(struct tracer *t, struct bytes traceparent, const char *name,
                         struct trace_span *ret)
{
    struct trace_context parent;
    bool is_there = traceparent.len > 0;
    bool is_good = is_there && trace_parent_parse(traceparent, &parent) == OK;
    t->malformed += is_there && !is_good;
    return tracer_begin(t, is_good ? &parent : NULL, name, ret);
}

void tracer_child(struct tracer *t, const struct trace_span *parent, const char *name,
                  struct trace_span *ret)
{
    span_open(t, parent->trace, parent->id, name, ret);
}

void tracer_end(struct tracer *t, struct trace_span *span, nanos end)
{
    span->end = end > span->begin ? end : span->begin;
    t->sink.take(t->sink.ctx, span);
}
