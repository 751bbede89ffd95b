#include "tests/core/store/store_fixture.h"

#include <stdio.h>
#include <string.h>

#include "core/store/store_pb.h"
#include "tests/support/pb_text.h"

void fixture_init(struct fixture *f)
{
    fixture_init_at(f, 1);
}

void fixture_init_at(struct fixture *f, uint16_t feature_level)
{
    *f = (struct fixture){.store = store_open(feature_level), .term = 1};
    /* Most of the history is cold, and in many pieces: no answer may tell. */
    const struct store_history history = {.hot_bytes = 500, .segment_bytes = 1000};
    store_keep_history(f->store, &history);
    buf_init(&f->body);
    buf_init(&f->payload);
    buf_init(&f->response);
}

void fixture_deinit(struct fixture *f)
{
    store_check(f->store);
    store_close(f->store);
    buf_deinit(&f->body);
    buf_deinit(&f->payload);
    buf_deinit(&f->response);
}

struct bytes text(const char *s)
{
    return (struct bytes){(const uint8_t *)s, strlen(s)};
}

enum store_status fixture_apply(struct fixture *f, enum store_kind kind, struct bytes body)
{
    struct store_envelope e = {
        .kind = (uint8_t)kind,
        .feature_level = (uint16_t)store_kind_level((uint8_t)kind),
        .origin = 1,
        .boot = 1,
        .sequence = ++f->sequence,
        .auth_revision = f->user.len > 0 ? store_auth_revision(f->store) - f->behind : 0,
        .term = f->term,
        .user = f->user,
        .body = body,
    };
    buf_clear(&f->payload);
    store_envelope_encode(&f->payload, &e);
    buf_clear(&f->response);
    struct store_entry entry = {++f->index, f->term, f->now, buf_view(&f->payload)};
    assert_int_equal(store_apply(f->store, &entry, &f->result, &f->response), OK);
    assert_false(f->result.duplicate);
    return f->result.status;
}

enum store_status fixture_apply_text(struct fixture *f, enum store_kind kind, const char *body)
{
    struct buf b;
    buf_init(&b);
    pb_text_encode(&b, body);
    enum store_status status = fixture_apply(f, kind, buf_view(&b));
    buf_deinit(&b);
    return status;
}

enum store_status fixture_put_request(struct fixture *f, const struct store_put_request *r)
{
    buf_clear(&f->body);
    store_put_encode(&f->body, r);
    return fixture_apply(f, STORE_KIND_PUT, buf_view(&f->body));
}

enum store_status fixture_put(struct fixture *f, const char *key, const char *value)
{
    return fixture_put_request(f,
                               &(struct store_put_request){.key = text(key), .value = text(value)});
}

enum store_status fixture_delete(struct fixture *f, const char *key, const char *range_end)
{
    buf_clear(&f->body);
    store_delete_encode(&f->body,
                        &(struct store_delete_request){text(key), text(range_end), false});
    return fixture_apply(f, STORE_KIND_DELETE, buf_view(&f->body));
}

enum store_status fixture_compact(struct fixture *f, int64_t revision)
{
    buf_clear(&f->body);
    store_pb_put_i64(&f->body, 1, revision);
    return fixture_apply(f, STORE_KIND_COMPACTION, buf_view(&f->body));
}

enum store_status fixture_grant(struct fixture *f, int64_t id, int64_t ttl)
{
    buf_clear(&f->body);
    store_pb_put_i64(&f->body, 1, ttl);
    store_pb_put_i64(&f->body, 2, id);
    return fixture_apply(f, STORE_KIND_LEASE_GRANT, buf_view(&f->body));
}

enum store_status fixture_revoke(struct fixture *f, int64_t id)
{
    buf_clear(&f->body);
    store_pb_put_i64(&f->body, 1, id);
    return fixture_apply(f, STORE_KIND_LEASE_REVOKE, buf_view(&f->body));
}

struct fixture_kv fixture_decode_kv(struct bytes b)
{
    struct fixture_kv kv = {
        .key = fixture_field(b, 1),
        .value = fixture_field(b, 5),
        .create = fixture_number(b, 2),
        .mod = fixture_number(b, 3),
        .version = fixture_number(b, 4),
        .lease = fixture_number(b, 6),
    };
    return kv;
}

struct fixture_range fixture_decode_range(struct bytes b)
{
    struct fixture_range range = {
        .count = fixture_number(b, 4),
        .more = fixture_number(b, 3) != 0,
    };
    struct store_pb pb;
    struct store_pb_field field;
    store_pb_init(&pb, b);
    while (store_pb_next(&pb, &field)) {
        if (field.number == 2) {
            assert_true(range.count_kvs < FIXTURE_KVS_MAX);
            range.kvs[range.count_kvs++] = fixture_decode_kv(field.bytes);
        }
    }
    assert_false(pb.failed);
    return range;
}

struct fixture_range fixture_range(struct fixture *f, const struct store_range_request *r)
{
    buf_clear(&f->body);
    store_range_encode(&f->body, r);
    buf_clear(&f->response);
    int64_t revision = 0;
    enum store_status status =
        store_range_read(f->store, buf_view(&f->body), &revision, &f->response);
    struct fixture_range range = {.status = status};
    if (status == STORE_OK) {
        assert_int_equal(revision, store_revision(f->store));
        range = fixture_decode_range(buf_view(&f->response));
    }
    return range;
}

const char *fixture_get(struct fixture *f, const char *key)
{
    static char value[128];
    struct fixture_range range = fixture_range(f, &(struct store_range_request){.key = text(key)});
    if (range.count_kvs == 0) {
        return "(none)";
    }
    assert_true(range.kvs[0].value.len < sizeof value);
    if (range.kvs[0].value.len > 0) {
        memcpy(value, range.kvs[0].value.data, range.kvs[0].value.len);
    }
    value[range.kvs[0].value.len] = 0;
    return value;
}

struct bytes fixture_field(struct bytes message, uint32_t number)
{
    struct store_pb pb;
    struct store_pb_field field;
    store_pb_init(&pb, message);
    while (store_pb_next(&pb, &field)) {
        if (field.number == number) {
            return field.bytes;
        }
    }
    assert_false(pb.failed);
    return (struct bytes){0};
}

int64_t fixture_number(struct bytes message, uint32_t number)
{
    struct store_pb pb;
    struct store_pb_field field;
    store_pb_init(&pb, message);
    while (store_pb_next(&pb, &field)) {
        if (field.number == number) {
            return (int64_t)field.value;
        }
    }
    assert_false(pb.failed);
    return 0;
}

size_t fixture_fields(struct bytes message, uint32_t number)
{
    size_t count = 0;
    struct store_pb pb;
    struct store_pb_field field;
    store_pb_init(&pb, message);
    while (store_pb_next(&pb, &field)) {
        count += field.number == number;
    }
    assert_false(pb.failed);
    return count;
}

void txn_compare(struct buf *b, const struct store_compare *c)
{
    size_t item = store_pb_open(b, 1);
    store_compare_encode(b, c);
    store_pb_close(b, item);
}

void txn_op(struct buf *b, bool success, enum store_op_kind kind, struct bytes body)
{
    size_t item = store_pb_open(b, success ? 2 : 3);
    size_t op = store_pb_open(b, (uint32_t)kind);
    buf_put(b, body.data, body.len);
    store_pb_close(b, op);
    store_pb_close(b, item);
}

void txn_put(struct buf *b, bool success, const char *key, const char *value)
{
    struct buf body;
    buf_init(&body);
    store_put_encode(&body, &(struct store_put_request){.key = text(key), .value = text(value)});
    txn_op(b, success, STORE_OP_PUT, buf_view(&body));
    buf_deinit(&body);
}

void txn_delete(struct buf *b, bool success, const char *key, const char *range_end)
{
    struct buf body;
    buf_init(&body);
    store_delete_encode(&body, &(struct store_delete_request){text(key), text(range_end), false});
    txn_op(b, success, STORE_OP_DELETE, buf_view(&body));
    buf_deinit(&body);
}

void txn_range(struct buf *b, bool success, const char *key, const char *range_end)
{
    struct buf body;
    buf_init(&body);
    store_range_encode(
        &body, &(struct store_range_request){.key = text(key), .range_end = text(range_end)});
    txn_op(b, success, STORE_OP_RANGE, buf_view(&body));
    buf_deinit(&body);
}

void txn_nest(struct buf *b, bool success, const struct buf *nested)
{
    txn_op(b, success, STORE_OP_TXN, buf_view(nested));
}

static struct bytes random_text(struct prng *prng, uint8_t *scratch, const char *prefix,
                                size_t many)
{
    int n = snprintf((char *)scratch, 32, "%s%02zu", prefix, (size_t)prng_below(prng, many));
    return (struct bytes){scratch, (size_t)n};
}

static void random_put(struct fixture *f, struct prng *prng)
{
    uint8_t key[32];
    uint8_t value[300] = {0};
    struct store_put_request r = {
        .key = random_text(prng, key, "k/", 40),
        .value = {value, prng_below(prng, prng_chance(prng, 1, 8) ? sizeof value : 20)},
        .lease = prng_chance(prng, 1, 4) ? (int64_t)prng_range(prng, 1, 4) : 0,
    };
    for (size_t i = 0; i < r.value.len; i++) {
        value[i] = (uint8_t)prng_u64(prng);
    }
    (void)fixture_put_request(f, &r);
}

static void random_delete(struct fixture *f, struct prng *prng)
{
    uint8_t key[32];
    uint8_t end[32];
    struct store_delete_request r = {.key = random_text(prng, key, "k/", 40)};
    if (prng_chance(prng, 1, 4)) {
        r.range_end = random_text(prng, end, "k/", 40);
    }
    buf_clear(&f->body);
    store_delete_encode(&f->body, &r);
    (void)fixture_apply(f, STORE_KIND_DELETE, buf_view(&f->body));
}

static void random_txn(struct fixture *f, struct prng *prng)
{
    struct buf txn;
    buf_init(&txn);
    char key[32];
    for (size_t i = 0; i < 5; i++) {
        snprintf(key, sizeof key, "k/%zu%zu", i % 4, (size_t)prng_below(prng, 10));
        if (prng_chance(prng, 1, 4)) {
            txn_delete(&txn, prng_chance(prng, 3, 4), key, "");
        } else {
            txn_put(&txn, prng_chance(prng, 3, 4), key, key);
        }
    }
    (void)fixture_apply(f, STORE_KIND_TXN, buf_view(&txn));
    buf_deinit(&txn);
}

void fixture_random_step(struct fixture *f, struct prng *prng)
{
    switch (prng_below(prng, 16)) {
    case 0:
        (void)fixture_grant(f, (int64_t)prng_range(prng, 1, 4), 5);
        break;
    case 1:
        (void)fixture_revoke(f, (int64_t)prng_range(prng, 1, 4));
        break;
    case 2:
        if (prng_chance(prng, 1, 4)) {
            int64_t low = store_compact_revision(f->store);
            (void)fixture_compact(f, (int64_t)prng_range(prng, (uint64_t)(low < 0 ? 0 : low),
                                                         (uint64_t)store_revision(f->store)));
        } else {
            random_put(f, prng);
        }
        break;
    case 3:
    case 4:
        random_delete(f, prng);
        break;
    case 5:
    case 6:
        random_txn(f, prng);
        break;
    default:
        random_put(f, prng);
        break;
    }
}

void fixture_follow(struct fixture *f, const struct fixture *leader)
{
    struct store_entry entry = {++f->index, f->term, f->now, buf_view(&leader->payload)};
    buf_clear(&f->response);
    assert_int_equal(store_apply(f->store, &entry, &f->result, NULL), OK);
    assert_int_equal(f->result.status, leader->result.status);
    assert_int_equal(f->result.revision, leader->result.revision);
    f->sequence = leader->sequence;
}

void fixture_snapshot(const struct fixture *f, struct buf *out)
{
    struct store_snapshot *snap = store_snapshot_begin(f->store);
    enum err e;
    do {
        e = store_snapshot_step(snap, 7, out);
    } while (e == ERR_PENDING);
    assert_int_equal(e, OK);
    store_snapshot_end(snap);
}
