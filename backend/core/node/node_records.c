#include "core/node/node_records.h"

#include <string.h>

#include "core/base/check.h"
#include "core/ha/ha_record.h"
#include "core/node/node_ha.h"
#include "core/store/store_pb.h"

/* Keys that one page has at most. */
#define RECORDS_PAGE_KEYS 256

/* The prefix of HA's keys, and the first key behind them. */
#define RECORDS_FIRST "/novacron/"
#define RECORDS_LAST  "/novacron0"

static const struct bytes first_key = {(const uint8_t *)RECORDS_FIRST, sizeof(RECORDS_FIRST) - 1};
static const struct bytes last_key = {(const uint8_t *)RECORDS_LAST, sizeof(RECORDS_LAST) - 1};

/* Fields of RangeResponse, KeyValue, WatchResponse and Event. */
enum {
    RANGE_KVS = 2,
    RANGE_MORE = 3,
    KV_KEY = 1,
    KV_CREATE_REVISION = 2,
    KV_MOD_REVISION = 3,
    KV_VALUE = 5,
    WATCH_CANCELED = 4,
    WATCH_EVENTS = 11,
    EVENT_TYPE = 1,
    EVENT_KV = 2,
};

static struct ha_change records_kv(struct bytes body)
{
    struct ha_change kv = {.mod_revision = 0};
    struct store_pb pb;
    struct store_pb_field f;

    store_pb_init(&pb, body);
    while (store_pb_next(&pb, &f)) {
        switch (f.number) {
        case KV_KEY:
            kv.key = store_pb_bytes(&pb, &f);
            break;
        case KV_CREATE_REVISION:
            kv.create_revision = store_pb_i64(&pb, &f);
            break;
        case KV_MOD_REVISION:
            kv.mod_revision = store_pb_i64(&pb, &f);
            break;
        case KV_VALUE:
            kv.value = store_pb_bytes(&pb, &f);
            break;
        default:
            break;
        }
    }
    return kv;
}

void node_records_page_init(struct node_records_page *p)
{
    buf_init(&p->key);
    buf_init(&p->response);
    p->has_more = false;
}

void node_records_page_deinit(struct node_records_page *p)
{
    buf_deinit(&p->key);
    buf_deinit(&p->response);
}

void node_records_begin(struct node_records_page *p)
{
    buf_clear(&p->key);
    buf_put(&p->key, first_key.data, first_key.len);
    p->has_more = true;
}

static void page_tell(struct node_records_page *p, const struct node_records_ear *ear)
{
    struct store_pb pb;
    struct store_pb_field f;

    p->has_more = false;
    store_pb_init(&pb, buf_view(&p->response));
    while (store_pb_next(&pb, &f)) {
        if (f.number == RANGE_MORE) {
            p->has_more = store_pb_bool(&pb, &f);
        } else if (f.number == RANGE_KVS) {
            struct ha_change kv = records_kv(store_pb_bytes(&pb, &f));
            ear->changed(ear->ctx, &kv);
            buf_clear(&p->key);
            buf_put(&p->key, kv.key.data, kv.key.len);
        }
    }
    buf_put_u8(&p->key, 0); /* the least key behind it */
}

enum err node_records_read(struct node_records_page *p, struct store *store, int64_t revision,
                           const struct node_records_ear *ear)
{
    const struct store_range_request range = {.key = buf_view(&p->key),
                                              .range_end = last_key,
                                              .limit = RECORDS_PAGE_KEYS,
                                              .revision = revision};
    int64_t ignored = 0;
    struct buf request;

    buf_init(&request);
    store_range_encode(&request, &range);
    buf_clear(&p->response);
    const enum store_status status =
        store_range_read(store, buf_view(&request), &ignored, &p->response);
    buf_deinit(&request);
    if (status != STORE_OK) {
        return ERR_COMPACTED;
    }
    page_tell(p, ear);
    buf_clear(&p->response);
    return OK;
}

struct store_stream *node_records_watch(struct store *store, int64_t start_revision)
{
    const struct store_watch_request watch = {
        .key = first_key, .range_end = last_key, .watch_id = 1, .start_revision = start_revision};
    struct store_stream *stream = store_stream_open(store, NODE_HA_TAG);
    struct buf request;
    struct buf response;
    int64_t ignored = 0;

    buf_init(&request);
    buf_init(&response);
    store_watch_encode(&request, &watch);
    const enum store_status created =
        store_watch_create(stream, buf_view(&request), &ignored, &response);
    CHECK(created == STORE_OK);
    buf_deinit(&request);
    buf_deinit(&response);
    return stream;
}

static void event_tell(struct bytes body, const struct node_records_ear *ear)
{
    struct store_pb pb;
    struct store_pb_field f;
    struct ha_change change = {.mod_revision = 0};
    bool is_delete = false;

    store_pb_init(&pb, body);
    while (store_pb_next(&pb, &f)) {
        if (f.number == EVENT_TYPE) {
            is_delete = store_pb_enum(&pb, &f) == 1;
        } else if (f.number == EVENT_KV) {
            change = records_kv(store_pb_bytes(&pb, &f));
        }
    }
    change.is_delete = is_delete;
    ear->changed(ear->ctx, &change);
}

bool node_records_tell(struct bytes response, const struct node_records_ear *ear)
{
    struct store_pb pb;
    struct store_pb_field f;
    bool is_canceled = false;

    store_pb_init(&pb, response);
    while (store_pb_next(&pb, &f)) {
        if (f.number == WATCH_CANCELED) {
            is_canceled = store_pb_bool(&pb, &f);
        } else if (f.number == WATCH_EVENTS) {
            event_tell(store_pb_bytes(&pb, &f), ear);
        }
    }
    return !is_canceled;
}

static void note_there(void *ctx, const struct ha_change *change)
{
    bool *is_there = ctx;

    (void)change;
    *is_there = true;
}

bool node_records_have_host(struct store *store, const char *host)
{
    char key[HA_KEY_BYTES];
    struct node_records_page page;
    bool is_there = false;
    const struct node_records_ear ear = {.ctx = &is_there, .changed = note_there};

    ha_key_format(HA_HOST, host, NULL, key);
    const struct store_range_request range = {.key = {(const uint8_t *)key, strlen(key)}};
    struct buf request;
    int64_t ignored = 0;
    buf_init(&request);
    store_range_encode(&request, &range);
    node_records_page_init(&page);
    if (store_range_read(store, buf_view(&request), &ignored, &page.response) == STORE_OK) {
        page_tell(&page, &ear);
    }
    node_records_page_deinit(&page);
    buf_deinit(&request);
    return is_there;
}
