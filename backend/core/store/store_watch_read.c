/* Delivery: the next response of a stream, read from the history. */
#include "core/base/probe.h"
#include "core/store/store_watch.h"

#include "core/base/check.h"
#include "core/store/store_int.h"
#include "core/store/store_kv.h"
#include "core/store/store_pb.h"

/* Fields of WatchResponse. */
enum {
    FIELD_WATCH_ID = 2,
    FIELD_CANCELED = 4,
    FIELD_COMPACT_REVISION = 5,
    FIELD_FRAGMENT = 7,
    FIELD_EVENTS = 11,
};

/* How filling a response ended. */
enum watch_fill {
    FILL_EMPTY,    /* nothing concerned the watch */
    FILL_WHOLE,    /* it ends with a revision */
    FILL_FRAGMENT, /* its last revision goes on in the next response */
    FILL_BUDGET    /* to be continued */
};

void store_watch_build_abort(struct store_watch_build *build, struct store_mvcc *m)
{
    if (build->pinned) {
        store_mvcc_unpin(m, &build->pin);
        build->pinned = false;
    }
    if (build->watch != NULL) {
        build->watch->next = build->start;
        build->watch = NULL;
    }
}

/* The next change from watch->next on that lies in its span, whatever it is; NULL if there is none
 * up to `last`, or, with *budget at 0, none so far. Moves watch->next to it. */
static const struct store_version *watch_seek(struct store_watch *w, const struct store_mvcc *m,
                                              uint64_t last, size_t *budget)
{
    if (w->group->is_point) {
        *budget -= *budget > 0;
        const struct store_key *key = store_tree_find(&m->tree, w->group->span.first);
        const struct store_version *v = key == NULL ? NULL : store_mvcc_since(m, key, w->next);
        v = v != NULL && v->seq <= last ? v : NULL;
        w->next = v == NULL ? last + 1 : v->seq;
        return v;
    }
    for (; w->next <= last && *budget > 0; w->next++) {
        (*budget)--;
        const struct store_version *v = store_log_get(&m->log, w->next);
        if (store_span_has(&w->group->span, store_key_view(v->key))) {
            return v;
        }
    }
    return NULL;
}

static bool watch_wants(const struct store_watch *w, const struct store_version *v)
{
    return !(v->tombstone ? w->no_delete : w->no_put) && v->mod_revision >= w->start_revision;
}

/* The version that the change replaced, if etcd would still find it: not of the same revision, and
 * readable at the revision before. */
static const struct store_version *watch_prev(const struct store_watch *w,
                                              const struct store_mvcc *m,
                                              const struct store_version *v)
{
    bool creates = !v->tombstone && v->create_revision == v->mod_revision;
    if (!w->prev_kv || creates || v->mod_revision - 1 < m->compact_revision) {
        return NULL;
    }
    const struct store_version *prev = store_mvcc_prev(m, v);
    while (prev != NULL && prev->mod_revision == v->mod_revision) {
        prev = store_mvcc_prev(m, prev);
    }
    return prev == NULL || prev->tombstone ? NULL : prev;
}

/* Is the response full before this change? Fragments may part a revision, others only follow one.
 */
static bool build_is_full(const struct store_watch_build *build, const struct store_version *v,
                          const struct store_version *prev, size_t len)
{
    if (build->events == 0) {
        return false;
    }
    size_t bytes = len - build->base;
    if (build->watch->fragment) {
        bytes += store_event_bytes(FIELD_EVENTS, v, prev);
    }
    bool starts_revision = v->mod_revision != build->last_revision;
    bool is_long = bytes >= STORE_WATCH_RESPONSE_BYTES;
    if (starts_revision) {
        return is_long || build->revisions == STORE_WATCH_RESPONSE_REVISIONS;
    }
    return is_long && build->watch->fragment;
}

/* May the response end here, before what comes next? */
static bool build_may_end(const struct store_watch_build *build, const struct store_mvcc *m)
{
    uint64_t next = build->watch->next;
    return build->events > 0 &&
           (next == m->log.next ||
            store_log_get(&m->log, next)->mod_revision != build->last_revision);
}

static enum watch_fill watch_fill(struct store_watch_build *build, const struct store_mvcc *m,
                                  size_t *budget, struct buf *response)
{
    struct store_watch *w = build->watch;
    uint64_t last = store_watch_last(w);
    while (w->next <= last) {
        const struct store_version *v = watch_seek(w, m, last, budget);
        if (v != NULL && watch_wants(w, v)) {
            const struct store_version *prev = watch_prev(w, m, v);
            if (build_is_full(build, v, prev, response->len)) {
                return v->mod_revision == build->last_revision ? FILL_FRAGMENT : FILL_WHOLE;
            }
            store_event_put(response, FIELD_EVENTS, v, prev);
            build->revisions += v->mod_revision != build->last_revision;
            build->last_revision = v->mod_revision;
            build->events++;
        }
        if (v != NULL) {
            w->next = v->seq + 1;
        }
        if (*budget == 0 && w->next <= last) {
            return build_may_end(build, m) ? FILL_WHOLE : FILL_BUDGET;
        }
    }
    return build->events > 0 ? FILL_WHOLE : FILL_EMPTY;
}

static void build_open(struct store_watch_build *build, struct store_watch *w, size_t base)
{
    *build = (struct store_watch_build){
        .watch = w, .open = true, .base = base, .start = w->next, .last_revision = -1};
}

/* The watch was given all up to its `next`: it is clean, or goes to the end of the ready list. */
static void watch_settle(struct store_watch *w)
{
    store_link_remove(&w->ready);
    if (!store_watch_is_clean(w)) {
        store_watch_make_ready(w);
    } else if (store_link_is_alone(&w->clean)) {
        store_link_append(&w->group->clean, &w->clean);
    }
}

/* Cancels a watch whose place was compacted. As in etcd, the header has no revision. */
static void watch_overtaken(struct store_watch *w, const struct store_mvcc *m,
                            int64_t *ret_revision, struct buf *response)
{
    store_pb_put_i64(response, FIELD_WATCH_ID, w->id);
    store_pb_put_bool(response, FIELD_CANCELED, true);
    store_pb_put_i64(response, FIELD_COMPACT_REVISION, m->compact_revision);
    *ret_revision = 0;
    store_watch_free(w);
    PROBE(STORE_WATCH_OVERTAKEN);
}

/* A watch that is clean and was asked for progress says so; true if it did. */
static bool watch_report(struct store_watch *w, const struct store_mvcc *m, int64_t *ret_revision,
                         struct buf *response)
{
    bool due = w->progress_due && w->start_revision <= m->revision;
    w->progress_due = false;
    watch_settle(w);
    if (due) {
        store_pb_put_i64(response, FIELD_WATCH_ID, w->id);
        *ret_revision = m->revision;
    }
    return due;
}

/* Goes on with the open response; false if it came to nothing. */
static enum store_watch_next build_step(struct store_stream *stream, size_t *budget,
                                        int64_t *ret_revision, struct buf *response)
{
    struct store_watch_build *build = &stream->build;
    struct store_watch *w = build->watch;
    struct store_mvcc *m = &stream->store->mvcc;
    enum watch_fill fill = watch_fill(build, m, budget, response);
    if (fill == FILL_BUDGET && m->pin_count >= STORE_READERS_MAX && !build->pinned) {
        /* There is no way to come back to this place: look at all there is, this once. */
        size_t unbounded = SIZE_MAX;
        fill = watch_fill(build, m, &unbounded, response);
    }
    if (fill == FILL_BUDGET) {
        if (build->pinned) {
            store_mvcc_unpin(m, &build->pin);
        }
        /* The changes before the one to go on with are needed for its prev_kv. */
        store_mvcc_pin(m, &build->pin, build->start);
        build->pinned = true;
        return STORE_WATCH_AGAIN;
    }
    if (build->pinned) {
        store_mvcc_unpin(m, &build->pin);
    }
    uint64_t events = build->events;
    int64_t revision = build->last_revision;
    *build = (struct store_watch_build){0};
    watch_settle(w);
    if (events == 0) {
        return STORE_WATCH_IDLE;
    }
    w->quiet = false;
    w->progress_due = false;
    store_pb_put_i64(response, FIELD_WATCH_ID, w->id);
    store_pb_put_bool(response, FIELD_FRAGMENT, fill == FILL_FRAGMENT);
    *ret_revision = revision;
    return STORE_WATCH_RESPONSE;
}

enum store_watch_next store_watch_next(struct store_stream *stream, size_t budget,
                                       int64_t *ret_revision, struct buf *response)
{
    CHECK(budget > 0);
    const struct store_mvcc *m = &stream->store->mvcc;
    struct store_watch_build *build = &stream->build;
    if (build->open && build->watch == NULL) {
        CHECK(response->len >= build->base);
        response->len = build->base;
        build->open = false;
    }
    while (build->open || !store_link_is_alone(&stream->ready)) {
        if (budget == 0) {
            return STORE_WATCH_AGAIN;
        }
        if (!build->open) {
            struct store_watch *w = STORE_LINK_OWNER(stream->ready.next, struct store_watch, ready);
            if (store_watch_is_clean(w)) {
                budget--;
                if (watch_report(w, m, ret_revision, response)) {
                    return STORE_WATCH_RESPONSE;
                }
                continue;
            }
            if (w->next < m->compact_seq && w->start_revision < m->compact_revision) {
                watch_overtaken(w, m, ret_revision, response);
                return STORE_WATCH_RESPONSE;
            }
            w->next = u64_max(w->next, m->compact_seq); /* what is before its start is not missed */
            build_open(build, w, response->len);
        }
        enum store_watch_next next = build_step(stream, &budget, ret_revision, response);
        if (next != STORE_WATCH_IDLE) {
            return next;
        }
    }
    return STORE_WATCH_IDLE;
}
