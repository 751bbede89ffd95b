#include "core/chaos/sim/simtruth.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/chaos/sim/simwatch.h"

/* The founding snapshot stands for the first entry. */
#define FIRST_APPLIED 1

void simtruth_init(struct simtruth *t, uint16_t feature_level)
{
    /* The keys of clients, and those of HA. */
    static const struct store_watch_request watched[] = {
        {.key = {(const uint8_t *)"k", 1}, .range_end = {(const uint8_t *)"l", 1}, .watch_id = 1},
        {.key = {(const uint8_t *)HA_PREFIX, sizeof HA_PREFIX - 1},
         .range_end = {(const uint8_t *)"/novacron0", sizeof HA_PREFIX - 1},
         .watch_id = 2},
    };
    struct buf request;
    int64_t revision;

    memset(t, 0, sizeof *t);
    t->store = store_open(feature_level);
    t->applied = FIRST_APPLIED;
    t->stream = store_stream_open(t->store, 0);
    simrecords_init(&t->records);
    buf_init(&t->response);
    buf_init(&request);
    for (size_t i = 0; i < COUNT_OF(watched); i++) {
        buf_clear(&request);
        store_watch_encode(&request, &watched[i]);
        enum store_status status =
            store_watch_create(t->stream, buf_view(&request), &revision, &t->response);
        CHECK(status == STORE_OK);
    }
    buf_deinit(&request);
}

void simtruth_deinit(struct simtruth *t)
{
    store_stream_close(t->stream);
    store_close(t->store);
    simrecords_deinit(&t->records);
    buf_deinit(&t->response);
    mem_free(t->changes);
}

struct truth_feed {
    struct simtruth *truth;
    nanos now;
};

static bool is_a_record(struct bytes key)
{
    return key.len >= sizeof HA_PREFIX - 1 &&
           memcmp(key.data, HA_PREFIX, sizeof HA_PREFIX - 1) == 0;
}

static void take_change(void *ctx, const struct simevent_seen *seen)
{
    struct truth_feed *feed = ctx;
    struct simtruth *t = feed->truth;

    if (is_a_record(seen->name)) {
        if (t->broken == NULL) {
            const struct simrecords_change change = {.key = seen->name,
                                                     .value = seen->text,
                                                     .is_delete = seen->is_delete,
                                                     .revision = (uint64_t)seen->revision,
                                                     .now = feed->now};
            t->broken = simrecords_changed(&t->records, &change);
        }
        return;
    }
    mem_grow((void **)&t->changes, &t->cap, t->count + 1, sizeof *t->changes);
    t->changes[t->count++] = (struct simchange){.revision = seen->revision,
                                                .key = seen->key,
                                                .is_delete = seen->is_delete,
                                                .value = seen->value,
                                                .at = feed->now};
}

static void take_changes(struct simtruth *t, nanos now)
{
    struct truth_feed feed = {t, now};
    uint64_t tag;

    while (store_stream_ready(t->store, &tag)) {
        enum store_watch_next next;
        int64_t revision;
        do {
            buf_clear(&t->response);
            next = store_watch_next(t->stream, UINT32_MAX, &revision, &t->response);
            if (next == STORE_WATCH_RESPONSE) {
                simwatch_parse(buf_view(&t->response), NULL, take_change, &feed);
            }
        } while (next != STORE_WATCH_IDLE);
    }
}

void simtruth_applied(struct simtruth *t, const struct raft_entry *e, nanos now)
{
    if (e->index != t->applied + 1) {
        return;
    }
    bool is_normal = e->type == RAFT_ENTRY_NORMAL;
    const struct store_entry entry = {.index = e->index,
                                      .term = e->term,
                                      .now = now,
                                      .payload = is_normal ? e->payload : (struct bytes){NULL, 0}};
    struct store_result ignored;
    enum err error = store_apply(t->store, &entry, &ignored, NULL);
    CHECK(error == OK);
    t->applied = e->index;
    take_changes(t, now);
}
