#include "core/chaos/sim/simwatch.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/chaos/sim/simclient.h"
#include "core/chaos/sim/simclient_wire.h"
#include "core/store/store_pb.h"

/* Field numbers of etcd's rpc.proto and kv.proto. */
enum {
    WATCH_CREATED = 3,
    WATCH_CANCELED = 4,
    WATCH_COMPACT_REVISION = 5,
    WATCH_FRAGMENT = 7,
    WATCH_EVENTS = 11,
    EVENT_TYPE = 1,
    EVENT_KV = 2,
    KV_KEY = 1,
    KV_MOD_REVISION = 3,
    KV_VALUE = 5,
};

#define REATTACH_AFTER (50 * NANOS_PER_MS)
#define MOVE_AFTER_MAX (10 * NANOS_PER_S)
#define DRAIN_BUDGET   1000

struct simwatcher {
    struct simwatches *all;
    uint32_t i;
    struct prng prng;
    struct world_timer timer;    /* attaches it, or moves it */
    struct store_stream *stream; /* NULL: nowhere */
    uint64_t tag;
    uint32_t at;
    int64_t next; /* the first revision that it was not given in full */
};

/* --- responses -------------------------------------------------------------------------------- */

static void parse_kv(struct bytes kv, struct simevent_seen *seen)
{
    struct store_pb pb;
    struct store_pb_field field;

    store_pb_init(&pb, kv);
    while (store_pb_next(&pb, &field)) {
        if (field.number == KV_KEY) {
            seen->name = store_pb_bytes(&pb, &field);
            seen->key = simclient_key_number(seen->name);
        } else if (field.number == KV_MOD_REVISION) {
            seen->revision = store_pb_i64(&pb, &field);
        } else if (field.number == KV_VALUE) {
            seen->text = store_pb_bytes(&pb, &field);
            seen->value = simclient_value(seen->text);
        }
    }
}

static struct simevent_seen parse_event(struct bytes event)
{
    struct simevent_seen seen = {0};
    struct store_pb pb;
    struct store_pb_field field;

    store_pb_init(&pb, event);
    while (store_pb_next(&pb, &field)) {
        if (field.number == EVENT_TYPE) {
            seen.is_delete = store_pb_enum(&pb, &field) == 1;
        } else if (field.number == EVENT_KV) {
            parse_kv(store_pb_bytes(&pb, &field), &seen);
        }
    }
    return seen;
}

void simwatch_parse(struct bytes response, struct simwatch_head *ret_head,
                    void (*event)(void *ctx, const struct simevent_seen *seen), void *ctx)
{
    struct simwatch_head head = {0};
    struct store_pb pb;
    struct store_pb_field field;

    store_pb_init(&pb, response);
    while (store_pb_next(&pb, &field)) {
        if (field.number == WATCH_EVENTS) {
            struct simevent_seen seen = parse_event(store_pb_bytes(&pb, &field));
            event(ctx, &seen);
            head.events++;
        } else if (field.number == WATCH_CREATED) {
            head.is_created = store_pb_bool(&pb, &field);
        } else if (field.number == WATCH_CANCELED) {
            head.is_canceled = store_pb_bool(&pb, &field);
        } else if (field.number == WATCH_COMPACT_REVISION) {
            head.compact_revision = store_pb_i64(&pb, &field);
        } else if (field.number == WATCH_FRAGMENT) {
            head.is_fragment = store_pb_bool(&pb, &field);
        }
    }
    if (ret_head != NULL) {
        *ret_head = head;
    }
}

/* --- watching --------------------------------------------------------------------------------- */

static struct simwatch_note *note_add(struct simwatcher *watcher, enum simwatch_note_kind kind,
                                      int64_t revision)
{
    struct simwatches *w = watcher->all;

    mem_grow((void **)&w->notes, &w->note_cap, w->note_count + 1, sizeof *w->notes);
    struct simwatch_note *note = &w->notes[w->note_count++];
    *note = (struct simwatch_note){
        .kind = kind, .watcher = watcher->i, .at = world_now(w->world), .revision = revision};
    return note;
}

static void take_event(void *ctx, const struct simevent_seen *seen)
{
    struct simwatcher *watcher = ctx;
    struct simwatch_note *note = note_add(watcher, SIMWATCH_EVENT, seen->revision);

    note->key = seen->key;
    note->is_delete = seen->is_delete;
    note->value = seen->value;
    watcher->all->events++;
}

static void watcher_detach(struct simwatcher *watcher)
{
    if (watcher->stream != NULL) {
        store_stream_close(watcher->stream);
        watcher->stream = NULL;
    }
}

static void watcher_later(struct simwatcher *watcher, nanos span)
{
    struct simwatches *w = watcher->all;
    world_timer_set(w->world, &watcher->timer, world_now(w->world) + span);
}

/* One response. False: the watch has ended. */
static bool watcher_takes(struct simwatcher *watcher, int64_t revision, struct bytes response)
{
    struct simwatch_head head;

    simwatch_parse(response, &head, take_event, watcher);
    if (head.is_canceled) {
        note_add(watcher, SIMWATCH_CANCELED, head.compact_revision);
        watcher->next = head.compact_revision;
        return false;
    }
    if (head.events > 0) {
        int64_t last = watcher->all->notes[watcher->all->note_count - 1].revision;
        note_add(watcher, SIMWATCH_RESPONSE, last)->is_fragment = head.is_fragment;
        watcher->next = head.is_fragment ? last : last + 1;
    } else if (!head.is_created) {
        note_add(watcher, SIMWATCH_PROGRESS, revision);
    }
    return true;
}

static void watcher_drain(struct simwatcher *watcher)
{
    struct simwatches *w = watcher->all;
    enum store_watch_next next = STORE_WATCH_AGAIN;
    int64_t revision = 0;

    buf_clear(&w->response);
    while (next != STORE_WATCH_IDLE) {
        next = store_watch_next(watcher->stream, DRAIN_BUDGET, &revision, &w->response);
        if (next == STORE_WATCH_RESPONSE) {
            if (!watcher_takes(watcher, revision, buf_view(&w->response))) {
                watcher_detach(watcher);
                watcher_later(watcher, REATTACH_AFTER);
                return;
            }
            buf_clear(&w->response);
        }
    }
}

void simwatches_drain(struct simwatches *w, uint32_t i)
{
    struct store *store = NULL;
    uint64_t tag;

    for (uint32_t k = 0; k < w->count && store == NULL; k++) {
        if (w->watcher[k].stream != NULL && w->watcher[k].at == i) {
            store = node_store(w->cluster->member[i].node);
        }
    }
    while (store != NULL && store_stream_ready(store, &tag)) {
        for (uint32_t k = 0; k < w->count; k++) {
            struct simwatcher *watcher = &w->watcher[k];
            if (watcher->stream != NULL && watcher->tag == tag) {
                watcher_drain(watcher);
            }
        }
    }
}

static void watcher_attach(struct simwatcher *watcher)
{
    struct simwatches *w = watcher->all;
    struct simmember *m = &w->cluster->member[watcher->at];
    const struct store_watch_request all = {.key = {(const uint8_t *)"k", 1},
                                            .range_end = {(const uint8_t *)"l", 1},
                                            .start_revision = watcher->next,
                                            .progress_notify = true,
                                            .fragment = prng_chance(&watcher->prng, 1, 2),
                                            .watch_id = 1};
    struct buf request;
    int64_t revision;

    watcher->tag = ++w->tags;
    watcher->stream = store_stream_open(node_store(m->node), watcher->tag);
    buf_init(&request);
    buf_clear(&w->response);
    store_watch_encode(&request, &all);
    enum store_status status =
        store_watch_create(watcher->stream, buf_view(&request), &revision, &w->response);
    CHECK(status == STORE_OK);
    buf_deinit(&request);
    note_add(watcher, SIMWATCH_STARTED, watcher->next);
    w->moves++;
}

static void watcher_timer(struct world_timer *timer)
{
    struct simwatcher *watcher = timer->owner;
    struct simwatches *w = watcher->all;

    if (watcher->stream != NULL) {
        store_watch_tick(watcher->stream);
        watcher_drain(watcher);
    }
    watcher_detach(watcher);
    watcher->at = (uint32_t)prng_below(&watcher->prng, w->cluster->n);
    const struct simmember *m = &w->cluster->member[watcher->at];
    if (simmember_serves(m) && !simhost_is_paused(m->host)) {
        watcher_attach(watcher);
        watcher_later(watcher, prng_range(&watcher->prng, 1, MOVE_AFTER_MAX));
    } else {
        watcher_later(watcher, REATTACH_AFTER);
    }
}

void simwatches_finish(struct simwatches *w, uint32_t i)
{
    for (uint32_t k = 0; k < w->count; k++) {
        struct simwatcher *watcher = &w->watcher[k];
        world_timer_cancel(w->world, &watcher->timer);
        do { /* once more where what it asked for was compacted away */
            watcher_detach(watcher);
            watcher->at = i;
            watcher_attach(watcher);
            watcher_drain(watcher);
        } while (watcher->stream == NULL);
        world_timer_cancel(w->world, &watcher->timer);
    }
}

void simwatches_member_gone(struct simwatches *w, uint32_t i)
{
    for (uint32_t k = 0; k < w->count; k++) {
        if (w->watcher[k].stream != NULL && w->watcher[k].at == i) {
            watcher_detach(&w->watcher[k]);
            watcher_later(&w->watcher[k], REATTACH_AFTER);
        }
    }
}

void simwatches_init(struct simwatches *w, struct simcluster *cluster, const struct prng *root)
{
    memset(w, 0, sizeof *w);
    w->cluster = cluster;
    w->count = cluster->settings->watchers;
    CHECK(w->count <= SIM_WATCHERS_MAX);
    w->world = simhost_world(simhost_new(cluster->world, "watchers", 0));
    w->watcher = mem_alloc_zero(SIM_WATCHERS_MAX * sizeof *w->watcher);
    buf_init(&w->response);
    for (uint32_t k = 0; k < w->count; k++) {
        struct simwatcher *watcher = &w->watcher[k];
        *watcher = (struct simwatcher){.all = w, .i = k, .next = 1};
        watcher->prng = prng_fork(root, SIM_STREAM_CLIENTS + SIM_CLIENTS_MAX + k);
        watcher->timer = (struct world_timer){.fire = watcher_timer, .owner = watcher};
    }
}

void simwatches_deinit(struct simwatches *w)
{
    buf_deinit(&w->response);
    mem_free(w->notes);
    mem_free(w->watcher);
}

void simwatches_start(struct simwatches *w)
{
    for (uint32_t k = 0; k < w->count; k++) {
        watcher_later(&w->watcher[k], k + 1);
    }
}
