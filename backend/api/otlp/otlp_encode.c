#include "api/otlp/otlp_encode.h"

#include <inttypes.h>
#include <stdio.h>

#include "api/json_wire.h"
#include "core/base/say.h"

static void put_digits(struct buf *b, uint64_t value)
{
    char text[17];
    (void)snprintf(text, sizeof text, "%016" PRIx64, value);
    say(b, text);
}

static void put_text_attribute(struct buf *b, const char *key, const char *text)
{
    say(b, "{\"key\":");
    json_put_string(b, key);
    say(b, ",\"value\":{\"stringValue\":");
    json_put_string(b, text);
    say(b, "}}");
}

static void put_number_attribute(struct buf *b, const char *key, uint64_t number)
{
    say(b, "{\"key\":");
    json_put_string(b, key);
    say(b, ",\"value\":{\"intValue\":\"");
    /* OTLP's integers have a sign: a hash that is larger shows as negative, not as an error. */
    say_i64(b, (int64_t)number);
    say(b, "\"}}");
}

/* --- the resource ---------------------------------------------------------------------------- */

static void put_resource(struct buf *b, const struct otlp_resource *r)
{
    const struct {
        const char *key;
        const char *text;
    } attributes[] = {
        {"service.name", r->service},
        {"service.version", r->version},
        {"service.instance.id", r->instance},
        {"novacron.cluster", r->cluster},
    };
    bool is_first = true;
    say(b, "{\"attributes\":[");
    for (size_t i = 0; i < COUNT_OF(attributes); i++) {
        if (attributes[i].text != NULL) {
            say(b, is_first ? "" : ",");
            put_text_attribute(b, attributes[i].key, attributes[i].text);
            is_first = false;
        }
    }
    say(b, "]}");
}

/* --- spans ----------------------------------------------------------------------------------- */

static void put_attributes(struct buf *b, const struct trace_span *s)
{
    say(b, ",\"attributes\":[");
    for (uint32_t i = 0; i < s->attribute_count; i++) {
        const struct trace_attribute *a = &s->attributes[i];
        say(b, i > 0 ? "," : "");
        if (a->is_number) {
            put_number_attribute(b, a->key, a->number);
        } else {
            put_text_attribute(b, a->key, a->text);
        }
    }
    say(b, "]");
}

static void put_time(struct buf *b, const char *key, nanos at, int64_t epoch)
{
    say(b, ",\"");
    say(b, key);
    say(b, "\":\"");
    say_i64(b, (int64_t)at + epoch);
    say(b, "\"");
}

static void put_span(struct buf *b, const struct trace_span *s, int64_t epoch)
{
    say(b, "{\"traceId\":\"");
    put_digits(b, s->trace.hi);
    put_digits(b, s->trace.lo);
    say(b, "\",\"spanId\":\"");
    put_digits(b, s->id);
    if (s->parent != 0) {
        say(b, "\",\"parentSpanId\":\"");
        put_digits(b, s->parent);
    }
    say(b, "\",\"name\":");
    json_put_string(b, s->name);
    say(b, ",\"kind\":");
    say_u64(b, (uint64_t)s->kind);
    put_time(b, "startTimeUnixNano", s->begin, epoch);
    put_time(b, "endTimeUnixNano", s->end, epoch);
    put_attributes(b, s);
    say(b, ",\"status\":{");
    if (s->status != TRACE_UNSET) {
        say(b, "\"code\":");
        say_u64(b, (uint64_t)s->status);
    }
    if (s->status == TRACE_ERROR && s->message[0] != '\0') {
        say(b, ",\"message\":");
        json_put_string(b, s->message);
    }
    say(b, "}}");
}

void otlp_encode(const struct otlp_resource *resource, const struct trace_span *spans, size_t n,
                 int64_t epoch, struct buf *ret)
{
    say(ret, "{\"resourceSpans\":[{\"resource\":");
    put_resource(ret, resource);
    say(ret, ",\"scopeSpans\":[{\"scope\":{\"name\":\"novacron\"},\"spans\":[");
    for (size_t i = 0; i < n; i++) {
        say(ret, i > 0 ? "," : "");
        put_span(ret, &spans[i], epoch);
    }
    say(ret, "]}]}]}");
}
