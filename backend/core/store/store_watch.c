/* Streams and watches: making, canceling, telling them of changes. */
#include "core/store/store_watch.h"

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/base/mutant.h"
#include "core/base/probe.h"
#include "core/store/store_int.h"
#include "core/store/store_pb.h"

/* etcd's id of a response that concerns no one watch. */
#define WATCH_ID_NONE (-1)

/* Fields of WatchResponse. */
enum {
    FIELD_WATCH_ID = 2,
    FIELD_CREATED = 3,
    FIELD_CANCELED = 4,
    FIELD_CANCEL_REASON = 6,
};

static int watch_compare(const void *key, const struct store_avl_node *node)
{
    int64_t id = *(const int64_t *)key;
    int64_t other = ((const struct store_watch *)(const void *)node)->id;
    return (id > other) - (id < other);
}

void store_watches_init(struct store_watches *w)
{
    *w = (struct store_watches){0};
    store_watch_groups_init(&w->groups);
    store_link_init(&w->streams);
    store_link_init(&w->ready);
}

uint64_t store_watch_last(const struct store_watch *w)
{
    return u64_max(w->until, w->group->last_seq);
}

void store_watch_make_ready(struct store_watch *w)
{
    struct store_stream *stream = w->stream;
    if (store_link_is_alone(&w->ready)) {
        store_link_append(&stream->ready, &w->ready);
    }
    if (store_link_is_alone(&stream->listed)) {
        store_link_append(&stream->store->watches.ready, &stream->listed);
    }
}

static void group_tell(struct store_watch_group *group, void *arg)
{
    uint64_t seq = *(const uint64_t *)arg;
    group->last_seq = seq;
    while (!store_link_is_alone(&group->clean)) {
        struct store_watch *w = STORE_LINK_OWNER(group->clean.next, struct store_watch, clean);
        store_link_remove(&w->clean);
        w->next = seq;
        store_watch_make_ready(w);
    }
}

void store_watches_notify(struct store_watches *w, const struct store_log *log, uint64_t from,
                          uint64_t to)
{
    if (w->count == 0) {
        return;
    }
    for (uint64_t seq = from; seq < to; seq++) {
        const struct store_version *v = store_log_get(log, seq);
        store_watch_groups_stab(&w->groups, store_key_view(v->key), group_tell, &seq);
    }
}

struct store_stream *store_stream_open(struct store *s, uint64_t tag)
{
    struct store_stream *stream = mem_alloc_zero(sizeof *stream);
    stream->store = s;
    stream->tag = tag;
    stream->watches.compare = watch_compare;
    store_link_init(&stream->ready);
    store_link_init(&stream->listed);
    store_link_append(&s->watches.streams, &stream->all);
    return stream;
}

void store_watch_free(struct store_watch *w)
{
    struct store_stream *stream = w->stream;
    struct store_watches *all = &stream->store->watches;
    if (stream->build.watch == w) {
        stream->build.watch = NULL;
    }
    store_link_remove(&w->clean);
    store_link_remove(&w->ready);
    CHECK(store_avl_remove(&stream->watches, &w->id) == &w->node);
    w->group->watch_count--;
    if (w->group->watch_count == 0) {
        store_watch_groups_drop(&all->groups, w->group);
    }
    all->count--;
    mem_free(w);
}

void store_stream_close(struct store_stream *stream)
{
    while (stream->watches.root != NULL) {
        store_watch_free((void *)stream->watches.root);
    }
    store_watch_build_abort(&stream->build, &stream->store->mvcc);
    store_link_remove(&stream->listed);
    store_link_remove(&stream->all);
    mem_free(stream);
}

bool store_stream_ready(struct store *s, uint64_t *ret_tag)
{
    if (store_link_is_alone(&s->watches.ready)) {
        return false;
    }
    struct store_stream *stream =
        STORE_LINK_OWNER(s->watches.ready.next, struct store_stream, listed);
    store_link_remove(&stream->listed);
    *ret_tag = stream->tag;
    return true;
}

static enum store_status watch_check(const struct store_stream *stream,
                                     const struct store_watch_request *r)
{
    if (r->start_revision < 0) {
        return STORE_REVISION_COMPACTED;
    }
    struct store_span span = store_span_of(r->key, r->range_end);
    if (!span.open && span.end.len > 0 && store_bytes_cmp(span.first, span.end) >= 0) {
        return STORE_WATCH_RANGE_EMPTY;
    }
    if (r->watch_id != 0 && store_avl_find(&stream->watches, &r->watch_id) != NULL) {
        return STORE_WATCH_ID_DUPLICATE;
    }
    return stream->watches.count < STORE_STREAM_WATCHES_MAX ? STORE_OK : STORE_TOO_MANY_REQUESTS;
}

static int64_t watch_choose_id(struct store_stream *stream, int64_t asked)
{
    if (asked != 0) {
        return asked;
    }
    while (store_avl_find(&stream->watches, &stream->next_id) != NULL) {
        stream->next_id++;
    }
    return stream->next_id++;
}

/* Sets where the watch begins, and makes it clean or pending. */
static void watch_place(struct store_watch *w, const struct store_mvcc *m)
{
    bool is_new = w->start_revision == 0 || w->start_revision > m->revision;
    if (is_new || MUTANT(WATCH_SKIPS_HISTORY)) {
        w->next = m->log.next;
    } else if (w->start_revision < m->compact_revision) {
        w->next = 0;
    } else {
        w->next = u64_max(store_log_seek(&m->log, w->start_revision), m->compact_seq);
    }
    w->until = w->next < m->log.next ? m->log.next - 1 : 0;
    if (w->next < m->log.next) {
        store_watch_make_ready(w);
    } else {
        store_link_append(&w->group->clean, &w->clean);
    }
}

static struct store_watch *watch_make(struct store_stream *stream,
                                      const struct store_watch_request *r)
{
    struct store *s = stream->store;
    struct store_span span = store_span_of(r->key, r->range_end);
    struct store_watch *w = mem_alloc_zero(sizeof *w);
    w->id = watch_choose_id(stream, r->watch_id);
    w->stream = stream;
    w->group = store_watch_groups_get(&s->watches.groups, &span);
    w->group->watch_count++;
    w->start_revision = r->start_revision;
    w->no_put = r->no_put;
    w->no_delete = r->no_delete;
    w->prev_kv = r->prev_kv;
    w->fragment = r->fragment;
    w->progress_notify = r->progress_notify;
    w->quiet = true;
    store_link_init(&w->clean);
    store_link_init(&w->ready);
    store_avl_insert(&stream->watches, &w->id, &w->node);
    s->watches.count++;
    watch_place(w, &s->mvcc);
    return w;
}

enum store_status store_watch_create(struct store_stream *stream, struct bytes request,
                                     int64_t *ret_revision, struct buf *response)
{
    static const uint8_t lowest_key[] = {0};
    struct store_watch_request r;
    if (store_watch_decode(request, &r) != STORE_OK) {
        return STORE_MALFORMED;
    }
    if (r.key.len == 0) {
        r.key = (struct bytes){lowest_key, sizeof lowest_key};
    }
    *ret_revision = stream->store->mvcc.revision;
    enum store_status status = watch_check(stream, &r);
    int64_t id = status == STORE_OK ? watch_make(stream, &r)->id : WATCH_ID_NONE;
    store_pb_put_i64(response, FIELD_WATCH_ID, id);
    store_pb_put_bool(response, FIELD_CREATED, true);
    if (status != STORE_OK) {
        const char *reason = store_status_text(status);
        store_pb_put_bool(response, FIELD_CANCELED, true);
        store_pb_put_bytes(response, FIELD_CANCEL_REASON,
                           (struct bytes){(const uint8_t *)reason, strlen(reason)});
    }
    return STORE_OK;
}

bool store_watch_cancel(struct store_stream *stream, int64_t watch_id, int64_t *ret_revision,
                        struct buf *response)
{
    struct store_watch *w = (void *)store_avl_find(&stream->watches, &watch_id);
    if (w == NULL) {
        return false;
    }
    store_watch_free(w);
    *ret_revision = stream->store->mvcc.revision;
    store_pb_put_i64(response, FIELD_WATCH_ID, watch_id);
    store_pb_put_bool(response, FIELD_CANCELED, true);
    return true;
}

/* The watch of the stream with the lowest id above `id`. */
static struct store_watch *watch_above(const struct store_stream *stream, int64_t id)
{
    if (id == INT64_MAX) {
        return NULL;
    }
    int64_t above = id + 1;
    return (void *)store_avl_seek(&stream->watches, &above);
}

static struct store_watch *watch_first(const struct store_stream *stream)
{
    int64_t lowest = INT64_MIN;
    return (void *)store_avl_seek(&stream->watches, &lowest);
}

bool store_watch_progress(struct store_stream *stream, int64_t *ret_revision, struct buf *response)
{
    int64_t revision = stream->store->mvcc.revision;
    if (stream->watches.count == 0) {
        return false;
    }
    for (struct store_watch *w = watch_first(stream); w != NULL; w = watch_above(stream, w->id)) {
        if (!store_watch_is_clean(w) || revision < w->start_revision) {
            return false;
        }
    }
    *ret_revision = revision;
    store_pb_put_i64(response, FIELD_WATCH_ID, WATCH_ID_NONE);
    return true;
}

void store_watch_tick(struct store_stream *stream)
{
    for (struct store_watch *w = watch_first(stream); w != NULL; w = watch_above(stream, w->id)) {
        if (w->progress_notify && w->quiet) {
            w->progress_due = true;
            store_watch_make_ready(w);
        }
        w->quiet = true;
    }
}

static void stream_move(struct store_stream *stream, struct store *to,
                        const struct store_mvcc *from)
{
    stream->store = to;
    PROBE(STORE_WATCH_MOVED);
    for (struct store_watch *w = watch_first(stream); w != NULL; w = watch_above(stream, w->id)) {
        if (w->start_revision > from->revision) {
            store_link_remove(
                &w->clean); /* it waits for a revision to come, and has no place yet */
            watch_place(w, &to->mvcc);
            continue;
        }
        if (store_watch_is_clean(w)) {
            w->next = from->log.next - (MUTANT(WATCH_REPEATS) ? 1 : 0);
        }
        w->until = to->mvcc.log.next - 1;
        store_link_remove(&w->clean);
        if (store_watch_is_clean(w)) {
            store_link_append(&w->group->clean, &w->clean);
        } else {
            store_watch_make_ready(w);
        }
    }
    if (!store_link_is_alone(&stream->ready) && store_link_is_alone(&stream->listed)) {
        store_link_append(&to->watches.ready, &stream->listed);
    }
}

void store_streams_move(struct store *from, struct store *to)
{
    CHECK(to->watches.count == 0 && store_link_is_alone(&to->watches.streams));
    CHECK(to->mvcc.log.next >= from->mvcc.log.next);
    to->watches.groups = from->watches.groups;
    to->watches.count = from->watches.count;
    while (!store_link_is_alone(&from->watches.streams)) {
        struct store_stream *stream =
            STORE_LINK_OWNER(from->watches.streams.next, struct store_stream, all);
        store_link_remove(&stream->all);
        store_link_remove(&stream->listed);
        store_link_append(&to->watches.streams, &stream->all);
        store_watch_build_abort(&stream->build, &from->mvcc);
        stream_move(stream, to, &from->mvcc);
    }
    store_watches_init(&from->watches);
}
