/*
 * Watch: one stream, many watches. The store keeps a place in the history for each watch and builds
 * the next response when it is asked for one; this file asks when the client has room, so a client
 * that does not read costs no memory, and goes on from where it was.
 */
#include <string.h>

#include "api/etcd/etcd_int.h"

/* What a response costs of the budget, beside a change for each so many bytes. */
#define WATCH_RESPONSE_COST 16
#define WATCH_CHANGE_BYTES  128

/* What one stream gets of the budget before it is the next one's turn. */
#define WATCH_SHARE 1000

struct watcher {
    struct etcd_api *api;
    struct rpc_call *call;
    struct store_stream *stream;
    struct store_link all; /* in api->watchers */
    struct store_link due; /* in api->due, while there may be something to send and room for it */
    bool is_blocked;       /* the client has no room: `writable` tells */
    bool is_finished;      /* it was told how it ended; nothing more is said */
    bool wants_leader;
    uint32_t unread_controls; /* answers that were sent without room */
    struct buf part;          /* a response that goes on in another turn */
    nanos progress_due;       /* NANOS_FOREVER: no watch asked for it */
    uint32_t jitter;          /* of the next interval */
};

static void watcher_finish(struct watcher *w, enum etcd_error e)
{
    w->is_finished = true;
    w->is_blocked = true;
    store_link_remove(&w->due);
    etcd_refuse(w->api, w->call, e);
}

void etcd_watch_begin(struct rpc_call *call)
{
    struct etcd_api *api = rpc_ctx(call);
    enum etcd_error why = ETCD_NO_LEADER;
    struct store *store = etcd_lacks_leader(api, call) ? NULL : etcd_store(api, &why);
    if (!store) {
        etcd_refuse(api, call, why);
        return;
    }
    struct watcher *w = mem_alloc_zero(sizeof(*w));
    w->api = api;
    w->call = call;
    w->wants_leader = etcd_wants_leader(call);
    w->progress_due = NANOS_FOREVER;
    w->stream = store_stream_open(store, (uint64_t)(uintptr_t)w);
    buf_init(&w->part);
    store_link_init(&w->all);
    store_link_init(&w->due);
    store_link_append(&api->watchers, &w->all);
    rpc_set_state(call, w);
}

void etcd_watch_gone(struct rpc_call *call)
{
    struct watcher *w = rpc_state(call);
    if (!w) {
        return;
    }
    store_stream_close(w->stream);
    store_link_remove(&w->all);
    store_link_remove(&w->due);
    buf_deinit(&w->part);
    mem_free(w);
    rpc_set_state(call, NULL);
}

/* --- events ---------------------------------------------------------------------------------- */

static void watcher_make_due(struct watcher *w)
{
    if (!w->is_blocked && store_link_is_alone(&w->due)) {
        store_link_append(&w->api->due, &w->due);
    }
}

static bool watcher_send(struct watcher *w, int64_t revision, struct bytes response)
{
    struct buf head;
    buf_init(&head);
    etcd_header(w->api, revision, &head);
    bool has_room = rpc_send(w->call, buf_view(&head), response);
    buf_deinit(&head);
    return has_room;
}

/* Sends what there is, within the budget; then the stream is no longer due, or the last one. */
static void watcher_pump(struct watcher *w, size_t *budget)
{
    struct etcd_api *api = w->api;
    store_link_remove(&w->due);
    while (!w->is_blocked && *budget > 0) {
        struct buf *b = w->part.len > 0 ? &w->part : &api->scratch;
        if (b == &api->scratch) {
            buf_clear(b);
        }
        size_t step = *budget;
        int64_t revision = 0;
        enum store_watch_next next = store_watch_next(w->stream, step, &revision, b);
        switch (next) {
        case STORE_WATCH_IDLE:
            buf_deinit(&w->part);
            return;
        case STORE_WATCH_AGAIN:
            if (b == &api->scratch) {
                buf_put(&w->part, b->data, b->len);
            }
            *budget = 0;
            break;
        case STORE_WATCH_RESPONSE:
        default:
            *budget -= u64_min(step, WATCH_RESPONSE_COST + b->len / WATCH_CHANGE_BYTES);
            w->is_blocked = !watcher_send(w, revision, buf_view(b));
            buf_deinit(&w->part);
            break;
        }
    }
    watcher_make_due(w);
}

/* Each stream in turn, those that have more than one share at the end of the line again. */
void etcd_watches_turn(struct etcd_api *api)
{
    enum etcd_error why;
    struct store *store = etcd_store(api, &why);
    if (!store) {
        return;
    }
    uint64_t tag;
    while (store_stream_ready(store, &tag)) {
        if (tag != 0) { /* that one is not ours: node_ha.h */
            watcher_make_due((struct watcher *)(uintptr_t)tag);
        }
    }
    size_t budget = ETCD_WATCH_BUDGET;
    while (!store_link_is_alone(&api->due) && budget > 0) {
        struct watcher *w = STORE_LINK_OWNER(api->due.next, struct watcher, due);
        size_t share = budget < WATCH_SHARE ? budget : WATCH_SHARE;
        size_t left = share;
        watcher_pump(w, &left);
        size_t used = share - left;
        budget -= used > 0 ? used : 1;
    }
    if (!store_link_is_alone(&api->due)) {
        etcd_wake(api);
    }
}

void etcd_watch_writable(struct rpc_call *call)
{
    struct watcher *w = rpc_state(call);
    if (w && !w->is_finished) {
        w->is_blocked = false;
        w->unread_controls = 0;
        watcher_make_due(w);
        etcd_wake(w->api);
    }
}

/* --- requests -------------------------------------------------------------------------------- */

/* The client must read what it asks for. */
static void watcher_control(struct watcher *w, int64_t revision, struct bytes response)
{
    if (!watcher_send(w, revision, response)) {
        w->is_blocked = true;
        store_link_remove(&w->due);
        w->unread_controls++;
    }
    if (w->unread_controls > ETCD_CONTROL_MAX) {
        watcher_finish(w, ETCD_TOO_MANY_REQUESTS);
    }
}

/* Progress is told after the interval and up to a tenth more, so that streams do not all speak at
 * once. */
static void watcher_plan_progress(struct watcher *w)
{
    nanos interval = w->api->cfg.progress_interval;
    w->jitter = w->jitter * 1103515245U + 12345U;
    w->progress_due = etcd_now(w->api) + interval + interval / 10 * (w->jitter >> 16 & 0xff) / 256;
}

/* May the client watch this? Otherwise why not: clients compare the whole string of gRPC's error.
 */
static const char *watcher_refusal(const struct watcher *w, const struct store *store,
                                   const struct store_watch_request *r)
{
    static const uint8_t lowest_key[] = {0};
    struct buf name;
    buf_init(&name);
    const char *why = NULL;
    if (etcd_identify(w->api, w->call, &name) != ETCD_IDENTITY_KNOWN) {
        why = "rpc error: code = Unauthenticated desc = etcdserver: invalid auth token";
    } else {
        struct store_user user = {buf_view(&name), store_auth_revision(store)};
        struct bytes key = r->key.len > 0 ? r->key : (struct bytes){lowest_key, 1};
        enum store_status status =
            store_rights_span(store, &user, key, r->range_end, STORE_PERMISSION_READ);
        if (status == STORE_USER_EMPTY) {
            why = "rpc error: code = InvalidArgument desc = etcdserver: user name is empty";
        } else if (status != STORE_OK) {
            why = "rpc error: code = PermissionDenied desc = etcdserver: permission denied";
        }
    }
    buf_deinit(&name);
    return why;
}

static void watcher_refuse(struct watcher *w, int64_t revision, const char *why)
{
    struct buf response;
    buf_init(&response);
    store_pb_put_i64(&response, 2, -1);
    store_pb_put_bool(&response, 3, true);
    store_pb_put_bool(&response, 4, true);
    store_pb_put_bytes(&response, 6, (struct bytes){(const uint8_t *)why, strlen(why)});
    watcher_control(w, revision, buf_view(&response));
    buf_deinit(&response);
}

static void watcher_create(struct watcher *w, const struct store *store, struct bytes request)
{
    int64_t revision = 0;
    struct store_watch_request r;
    if (store_watch_decode(request, &r) != STORE_OK) {
        watcher_finish(w, ETCD_MALFORMED);
        return;
    }
    const char *refusal = watcher_refusal(w, store, &r);
    if (refusal) {
        watcher_refuse(w, store_revision(store), refusal);
        return;
    }
    struct buf response;
    buf_init(&response);
    if (store_watch_create(w->stream, request, &revision, &response) != STORE_OK) {
        watcher_finish(w, ETCD_MALFORMED);
    } else {
        if (r.progress_notify && w->progress_due == NANOS_FOREVER) {
            w->jitter = (uint32_t)etcd_now(w->api);
            watcher_plan_progress(w);
        }
        watcher_control(w, revision, buf_view(&response));
    }
    buf_deinit(&response);
}

static void watcher_cancel(struct watcher *w, struct bytes request)
{
    struct store_pb pb;
    struct store_pb_field f;
    int64_t id = 0;
    store_pb_init(&pb, request);
    while (store_pb_next(&pb, &f)) {
        if (f.number == 1) {
            id = store_pb_i64(&pb, &f);
        }
    }
    struct buf response;
    buf_init(&response);
    int64_t revision = 0;
    if (pb.failed) {
        watcher_finish(w, ETCD_MALFORMED);
    } else if (store_watch_cancel(w->stream, id, &revision, &response)) {
        watcher_control(w, revision, buf_view(&response));
    }
    buf_deinit(&response);
}

/* What the watches have to say goes first: then the answer holds for more of them. */
static void watcher_progress(struct watcher *w)
{
    size_t budget = ETCD_WATCH_BUDGET;
    watcher_pump(w, &budget);
    struct buf response;
    buf_init(&response);
    int64_t revision = 0;
    if (store_watch_progress(w->stream, &revision, &response)) {
        watcher_control(w, revision, buf_view(&response));
    }
    buf_deinit(&response);
}

enum { WATCH_CREATE = 1, WATCH_CANCEL = 2, WATCH_PROGRESS = 3 };

void etcd_watch_message(struct rpc_call *call, struct bytes message)
{
    struct watcher *w = rpc_state(call);
    struct store_pb pb;
    struct store_pb_field f;
    uint32_t kind = 0;
    struct bytes request = {0};
    if (!w || w->is_finished) {
        return; /* it was refused */
    }
    store_pb_init(&pb, message);
    while (store_pb_next(&pb, &f)) {
        if (f.number >= WATCH_CREATE && f.number <= WATCH_PROGRESS) {
            kind = f.number;
            request = store_pb_bytes(&pb, &f);
        }
    }
    enum etcd_error why = ETCD_MALFORMED;
    const struct store *store = pb.failed ? NULL : etcd_store(w->api, &why);
    if (!store) {
        watcher_finish(w, why);
        return;
    }
    if (kind == WATCH_CREATE) {
        watcher_create(w, store, request);
    } else if (kind == WATCH_CANCEL) {
        watcher_cancel(w, request);
    } else if (kind == WATCH_PROGRESS) {
        watcher_progress(w);
    }
    etcd_wake(w->api);
}

/* --- time ------------------------------------------------------------------------------------ */

void etcd_watches_pulse(struct etcd_api *api, bool end_leaderless)
{
    nanos now = etcd_now(api);
    for (struct store_link *l = api->watchers.next; l != &api->watchers;) {
        struct watcher *w = STORE_LINK_OWNER(l, struct watcher, all);
        l = l->next;
        if (w->is_finished) {
            continue;
        }
        if (end_leaderless && w->wants_leader) {
            watcher_finish(w, ETCD_NO_LEADER);
        } else if (now >= w->progress_due) {
            store_watch_tick(w->stream);
            watcher_plan_progress(w);
            etcd_wake(api);
        }
    }
}
