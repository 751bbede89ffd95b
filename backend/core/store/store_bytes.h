/* The order of keys: bytewise, a prefix before what it begins. */
#ifndef NOVACRON_STORE_BYTES_H
#define NOVACRON_STORE_BYTES_H

#include <string.h>

#include "core/base/types.h"

static inline int store_bytes_cmp(struct bytes a, struct bytes b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int order = n == 0 ? 0 : memcmp(a.data, b.data, n);
    if (order != 0) {
        return order;
    }
    return (a.len > b.len) - (a.len < b.len);
}

/* Bytes at the start that both have in common. */
static inline size_t store_bytes_common(struct bytes a, struct bytes b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    size_t i = 0;
    while (i < n && a.data[i] == b.data[i]) {
        i++;
    }
    return i;
}

/*
 * A set of neighbouring keys. `open`: all from `first` on. Otherwise up to `end`, excluded; with an
 * empty `end` the one key `first`. That is etcd's (key, range_end), whose "\0" has become `open`.
 */
struct store_span {
    struct bytes first;
    struct bytes end;
    bool open;
};

/* etcd's pair as a span. */
static inline struct store_span store_span_of(struct bytes key, struct bytes range_end)
{
    struct store_span span = {.first = key, .end = range_end};
    if (range_end.len == 1 && range_end.data[0] == 0) {
        span.open = true;
        span.end = (struct bytes){0};
    }
    return span;
}

static inline bool store_span_is_point(const struct store_span *s)
{
    return !s->open && s->end.len == 0;
}

/* Does the span end at or before `key`? For keys not below `first`. */
static inline bool store_span_is_past(const struct store_span *s, struct bytes key)
{
    if (s->open) {
        return false;
    }
    if (s->end.len == 0) {
        return store_bytes_cmp(key, s->first) != 0;
    }
    return store_bytes_cmp(key, s->end) >= 0;
}

static inline bool store_span_has(const struct store_span *s, struct bytes key)
{
    return store_bytes_cmp(key, s->first) >= 0 && !store_span_is_past(s, key);
}

#endif
