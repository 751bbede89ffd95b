/*
 * The store in memory, on one core: how many puts and point gets a second at a million keys, what a
 * key costs, and how long the longest piece of work keeps all others waiting.
 *
 * A stall is the longest single call among: a put, a step of a range over all keys, a step of a
 * snapshot, a step of the freeing after a compaction of a million revisions, a step of a watch
 * response, a put that 10,000 watches hear of. The caller may do something else between any two.
 */
#include "bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/prng.h"
#include "core/store/store.h"
#include "core/store/store_pb.h"

#define KEYS         1000000
#define GETS         2000000
#define BATCH        1000
#define VALUE_BYTES  64
#define WATCHES      10000
#define STEP_BUDGET  1024
#define MEMORY_KEYS  100000
#define MEMORY_PUTS  500000
#define MEMORY_VALUE 256
/* etcd's usual setting: keep a window of the newest revisions, compact every so often. */
#define MEMORY_RETENTION 10000

/* One store, and the entries fed to it. */
struct rig {
    struct store *store;
    uint64_t index;
    uint64_t sequence;
    struct buf body;
    struct buf payload;
    struct buf response;
    nanos stall_max;
    const char *stall_where;
};

static void rig_init(struct rig *rig)
{
    *rig = (struct rig){.store = store_open(1), .stall_where = "nothing"};
    buf_init(&rig->body);
    buf_init(&rig->payload);
    buf_init(&rig->response);
}

static void rig_deinit(struct rig *rig)
{
    store_close(rig->store);
    buf_deinit(&rig->body);
    buf_deinit(&rig->payload);
    buf_deinit(&rig->response);
}

static void rig_stall(struct rig *rig, const char *where, nanos spent)
{
    if (spent > rig->stall_max) {
        rig->stall_max = spent;
        rig->stall_where = where;
    }
}

/* Appends the payload of the next entry, whose request is rig->body. */
static void payload_append(struct rig *rig, enum store_kind kind, struct buf *out)
{
    struct store_envelope e = {.kind = (uint8_t)kind,
                               .feature_level = 1,
                               .origin = 1,
                               .boot = 1,
                               .sequence = ++rig->sequence,
                               .body = buf_view(&rig->body)};
    store_envelope_encode(out, &e);
}

static void apply_payload(struct rig *rig, struct bytes payload)
{
    buf_clear(&rig->response);
    struct store_entry entry = {++rig->index, 1, 0, payload};
    struct store_result result;
    CHECK(store_apply(rig->store, &entry, &result, &rig->response) == OK);
    CHECK(result.status == STORE_OK);
}

static void apply(struct rig *rig, enum store_kind kind)
{
    buf_clear(&rig->payload);
    payload_append(rig, kind, &rig->payload);
    apply_payload(rig, buf_view(&rig->payload));
}

static struct bytes key_of(uint64_t i, char *scratch)
{
    int n = snprintf(scratch, 64, "/registry/pods/ns-%02u/pod-%08u", (unsigned)(i * 7919 % 100),
                     (unsigned)i);
    return (struct bytes){(const uint8_t *)scratch, (size_t)n};
}

/* The keys of the bench, made beforehand so that making them is not measured. */
struct keys {
    char (*text)[64];
    struct bytes *views;
};

static struct keys keys_make(size_t count)
{
    struct keys keys = {malloc(count * 64), malloc(count * sizeof(struct bytes))};
    CHECK(keys.text != NULL && keys.views != NULL);
    for (size_t i = 0; i < count; i++) {
        keys.views[i] = key_of(i, keys.text[i]);
    }
    return keys;
}

static void keys_free(struct keys *keys)
{
    free(keys->text);
    free(keys->views);
}

static void bench_put_encode(struct rig *rig, struct bytes key, size_t value_bytes)
{
    static const uint8_t value[MEMORY_VALUE] = "the value, which is mostly zeros";
    buf_clear(&rig->body);
    store_put_encode(&rig->body,
                     &(struct store_put_request){.key = key, .value = {value, value_bytes}});
}

static void bench_put(struct rig *rig, struct bytes key, size_t value_bytes)
{
    bench_put_encode(rig, key, value_bytes);
    apply(rig, STORE_KIND_PUT);
}

/* Payloads or requests of random keys, back to back, as they would have come from the network. */
struct batch {
    struct buf bytes;
    size_t ends[BATCH];
};

static struct bytes batch_item(const struct batch *batch, size_t i)
{
    size_t start = i == 0 ? 0 : batch->ends[i - 1];
    return (struct bytes){batch->bytes.data + start, batch->ends[i] - start};
}

static void batch_draw(struct batch *batch, struct rig *rig, const struct keys *keys,
                       struct prng *prng, bool puts)
{
    buf_clear(&batch->bytes);
    for (size_t i = 0; i < BATCH; i++) {
        struct bytes key = keys->views[prng_below(prng, KEYS)];
        if (puts) {
            bench_put_encode(rig, key, VALUE_BYTES);
            payload_append(rig, STORE_KIND_PUT, &batch->bytes);
        } else {
            store_range_encode(&batch->bytes, &(struct store_range_request){.key = key});
        }
        batch->ends[i] = batch->bytes.len;
    }
}

static void fill(struct rig *rig, const struct keys *keys)
{
    nanos start = bench_now();
    for (size_t i = 0; i < KEYS; i++) {
        bench_put(rig, keys->views[i], VALUE_BYTES);
    }
    printf("fill: %.0f puts/s into an empty store\n", bench_rate(KEYS, bench_now() - start));
}

static double measure_puts(struct rig *rig, const struct keys *keys, struct prng *prng)
{
    static struct batch batch;
    nanos spent = 0;
    for (size_t i = 0; i < KEYS / BATCH; i++) {
        batch_draw(&batch, rig, keys, prng, true);
        nanos start = bench_now();
        for (size_t at = 0; at < BATCH; at++) {
            apply_payload(rig, batch_item(&batch, at));
        }
        spent += bench_now() - start;
    }
    buf_deinit(&batch.bytes);
    return bench_rate(KEYS, spent);
}

static double measure_gets(struct rig *rig, const struct keys *keys, struct prng *prng)
{
    static struct batch batch;
    nanos spent = 0;
    for (size_t i = 0; i < GETS / BATCH; i++) {
        batch_draw(&batch, rig, keys, prng, false);
        nanos start = bench_now();
        for (size_t at = 0; at < BATCH; at++) {
            int64_t revision = 0;
            buf_clear(&rig->response);
            CHECK(store_range_read(rig->store, batch_item(&batch, at), &revision, &rig->response) ==
                  STORE_OK);
            bench_keep(rig->response.len);
        }
        spent += bench_now() - start;
    }
    buf_deinit(&batch.bytes);
    return bench_rate(GETS, spent);
}

static void stall_range(struct rig *rig, const char *name, int32_t target)
{
    struct store_reader *reader = NULL;
    buf_clear(&rig->body);
    store_range_encode(&rig->body,
                       &(struct store_range_request){.key = {(const uint8_t *)"\0", 1},
                                                     .range_end = {(const uint8_t *)"\0", 1},
                                                     .sort_target = target});
    nanos start = bench_now();
    CHECK(store_reader_open(rig->store, buf_view(&rig->body), &reader) == STORE_OK);
    nanos all = start;
    enum err e = ERR_PENDING;
    uint64_t keys = 0;
    while (e == ERR_PENDING) {
        start = bench_now();
        buf_clear(&rig->response);
        e = store_reader_step(reader, STEP_BUDGET, &rig->response);
        rig_stall(rig, name, bench_now() - start);
        keys += rig->response.len;
    }
    CHECK(e == OK);
    store_reader_close(reader);
    printf("%s: %.1f ms in all for %llu bytes\n", name, (double)(bench_now() - all) / 1e6,
           (unsigned long long)keys);
}

static void stall_snapshot(struct rig *rig)
{
    nanos start = bench_now();
    nanos all = start;
    struct store_snapshot *snap = store_snapshot_begin(rig->store);
    rig_stall(rig, "snapshot begin", bench_now() - start);
    enum err e = ERR_PENDING;
    uint64_t bytes = 0;
    while (e == ERR_PENDING) {
        start = bench_now();
        buf_clear(&rig->response);
        e = store_snapshot_step(snap, STEP_BUDGET, &rig->response);
        rig_stall(rig, "snapshot step", bench_now() - start);
        bytes += rig->response.len;
    }
    store_snapshot_end(snap);
    nanos spent = bench_now() - all;
    printf("snapshot: %.1f MB in %.1f ms\n", (double)bytes / 1e6, (double)spent / 1e6);
}

static void measure_restore(struct rig *rig)
{
    struct buf whole;
    buf_init(&whole);
    struct store_snapshot *snap = store_snapshot_begin(rig->store);
    while (store_snapshot_step(snap, STEP_BUDGET, &whole) == ERR_PENDING) {
    }
    store_snapshot_end(snap);
    nanos start = bench_now();
    struct store_restore *restore = store_restore_begin();
    struct store *copy = NULL;
    for (size_t at = 0; at < whole.len; at += 65536) {
        size_t n = whole.len - at < 65536 ? whole.len - at : 65536;
        CHECK(store_restore_feed(restore, (struct bytes){whole.data + at, n}) == OK);
    }
    CHECK(store_restore_finish(restore, &copy) == OK);
    CHECK(store_hash(copy) == store_hash(rig->store));
    nanos spent = bench_now() - start;
    printf("restore: %.1f MB/s\n", bench_rate(whole.len, spent) / 1e6);
    store_close(copy);
    buf_deinit(&whole);
}

static void stall_watches(struct rig *rig, const struct keys *keys, struct prng *prng)
{
    struct store_stream *streams[100];
    int64_t revision = 0;
    for (size_t i = 0; i < COUNT_OF(streams); i++) {
        streams[i] = store_stream_open(rig->store, i);
    }
    for (size_t i = 0; i < WATCHES; i++) {
        /* Half of them on one and the same prefix, the others on keys of their own. */
        struct store_watch_request r = {.key = keys->views[prng_below(prng, KEYS)]};
        if (i % 2 == 0) {
            r.key = (struct bytes){(const uint8_t *)"/registry/", 10};
            r.range_end = (struct bytes){(const uint8_t *)"/registry0", 10};
        }
        buf_clear(&rig->body);
        store_watch_encode(&rig->body, &r);
        buf_clear(&rig->response);
        CHECK(store_watch_create(streams[i % COUNT_OF(streams)], buf_view(&rig->body), &revision,
                                 &rig->response) == STORE_OK);
    }
    uint64_t responses = 0;
    nanos all = bench_now();
    for (size_t i = 0; i < 200; i++) {
        nanos start = bench_now();
        bench_put(rig, keys->views[prng_below(prng, KEYS)], VALUE_BYTES);
        rig_stall(rig, "put with 10000 watches", bench_now() - start);
        uint64_t tag;
        while (store_stream_ready(rig->store, &tag)) {
            enum store_watch_next next;
            do {
                start = bench_now();
                buf_clear(&rig->response);
                next = store_watch_next(streams[tag], STEP_BUDGET, &revision, &rig->response);
                rig_stall(rig, "watch response", bench_now() - start);
                responses += next == STORE_WATCH_RESPONSE;
            } while (next != STORE_WATCH_IDLE);
        }
    }
    printf("watches: %.0f responses/s\n", bench_rate(responses, bench_now() - all));
    for (size_t i = 0; i < COUNT_OF(streams); i++) {
        store_stream_close(streams[i]);
    }
}

static void compact(struct rig *rig, int64_t revision)
{
    buf_clear(&rig->body);
    store_pb_put_i64(&rig->body, 1, revision);
    apply(rig, STORE_KIND_COMPACTION);
}

static void stall_compaction(struct rig *rig)
{
    nanos all = bench_now();
    nanos start = all;
    compact(rig, store_revision(rig->store));
    rig_stall(rig, "compaction", bench_now() - start);
    bool more = true;
    while (more) {
        start = bench_now();
        more = store_work(rig->store, STEP_BUDGET);
        rig_stall(rig, "freeing after a compaction", bench_now() - start);
    }
    printf("compaction: %.1f ms in all\n", (double)(bench_now() - all) / 1e6);
}

/* 100,000 keys of 256 bytes after 500,000 puts, as a cluster with automatic compaction has them. */
static double measure_memory(const struct keys *keys, struct prng *prng)
{
    struct rig rig;
    rig_init(&rig);
    for (size_t i = 0; i < MEMORY_PUTS; i++) {
        bench_put(&rig, keys->views[i < MEMORY_KEYS ? i : prng_below(prng, MEMORY_KEYS)],
                  MEMORY_VALUE);
        if (i % 1000 == 999 && store_revision(rig.store) > MEMORY_RETENTION + 1) {
            compact(&rig, store_revision(rig.store) - MEMORY_RETENTION);
        }
        (void)store_work(rig.store, 4);
    }
    struct store_stats stats;
    store_stats_read(rig.store, &stats);
    printf("memory: %llu keys, %llu changes kept, data %.1f MB, used %.1f MB, held %.1f MB, "
           "cold %.1f MB\n",
           (unsigned long long)stats.keys, (unsigned long long)stats.changes,
           (double)stats.data_bytes / 1e6, (double)stats.used_bytes / 1e6,
           (double)stats.held_bytes / 1e6, (double)stats.cold_bytes / 1e6);
    double bytes_per_key = (double)(stats.held_bytes - stats.cold_bytes) / (double)stats.keys;
    bench_report("store_data_bytes_per_key", (double)stats.data_bytes / (double)stats.keys, "B");
    rig_deinit(&rig);
    return bytes_per_key;
}

int main(void)
{
    struct prng prng;
    struct rig rig;
    prng_init(&prng, 1);
    rig_init(&rig);
    struct keys keys = keys_make(KEYS);
    printf("%d keys of 30 bytes, values of %d; one thread; steps of %d\n", KEYS, VALUE_BYTES,
           STEP_BUDGET);

    fill(&rig, &keys);
    double puts = measure_puts(&rig, &keys, &prng);
    double gets = measure_gets(&rig, &keys, &prng);
    stall_range(&rig, "range over all keys", STORE_SORT_KEY);
    stall_range(&rig, "range over all keys by value", STORE_SORT_VALUE);
    stall_watches(&rig, &keys, &prng);
    stall_snapshot(&rig);
    stall_compaction(&rig);
    stall_snapshot(&rig);
    measure_restore(&rig);
    rig_deinit(&rig);
    double bytes_per_key = measure_memory(&keys, &prng);
    keys_free(&keys);

    printf("longest stall: %s\n", rig.stall_where);
    bench_report("store_puts_per_s", puts, "1/s");
    bench_report("store_gets_per_s", gets, "1/s");
    bench_report("store_stall_ms_max", (double)rig.stall_max / 1e6, "ms");
    bench_report("store_bytes_per_key", bytes_per_key, "B");
    return 0;
}
