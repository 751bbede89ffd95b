/* Entries: puts, deletes, ranges, compactions, the envelope, and who is refused. */
#include "tests/core/store/store_fixture.h"

#include <string.h>

#include "core/store/store_limits.h"
#include "core/store/store_pb.h"

static void an_empty_store_is_at_revision_one(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    assert_int_equal(store_revision(f.store), 1);
    assert_int_equal(store_compact_revision(f.store), -1);
    assert_int_equal(fixture_delete(&f, "a", ""), STORE_OK);
    assert_int_equal(f.result.revision, 1);
    assert_int_equal(fixture_put(&f, "a", ""), STORE_OK);
    assert_int_equal(f.result.revision, 2);
    fixture_deinit(&f);
}

static void versions_start_anew_after_a_delete(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    assert_int_equal(fixture_put(&f, "a", "1"), STORE_OK);
    assert_int_equal(fixture_put(&f, "a", "2"), STORE_OK);
    assert_int_equal(fixture_delete(&f, "a", ""), STORE_OK);
    assert_int_equal(fixture_put(&f, "a", "3"), STORE_OK);
    struct fixture_range r = fixture_range(&f, &(struct store_range_request){.key = text("a")});
    assert_int_equal(r.kvs[0].version, 1);
    assert_int_equal(r.kvs[0].create, 5);
    r = fixture_range(&f, &(struct store_range_request){.key = text("a"), .revision = 3});
    assert_int_equal(r.kvs[0].version, 2);
    assert_int_equal(r.kvs[0].create, 2);
    r = fixture_range(&f, &(struct store_range_request){.key = text("a"), .revision = 4});
    assert_int_equal(r.count_kvs, 0);
    fixture_deinit(&f);
}

static void a_put_returns_what_was_there(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct store_put_request r = {.key = text("a"), .value = text("1"), .prev_kv = true};
    assert_int_equal(fixture_put_request(&f, &r), STORE_OK);
    assert_int_equal(f.response.len, 0);
    r.value = text("2");
    assert_int_equal(fixture_put_request(&f, &r), STORE_OK);
    struct fixture_kv kv = fixture_decode_kv(fixture_field(buf_view(&f.response), 2));
    assert_int_equal(store_bytes_cmp(kv.value, text("1")), 0);
    assert_int_equal(kv.mod, 2);
    fixture_deinit(&f);
}

static void ignoring_keeps_value_or_lease(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    assert_int_equal(fixture_grant(&f, 5, 10), STORE_OK);
    struct store_put_request r = {.key = text("a"), .ignore_value = true, .lease = 5};
    assert_int_equal(fixture_put_request(&f, &r), STORE_KEY_NOT_FOUND);
    assert_int_equal(fixture_put(&f, "a", "1"), STORE_OK);
    assert_int_equal(fixture_put_request(&f, &r), STORE_OK);
    struct fixture_range got = fixture_range(&f, &(struct store_range_request){.key = text("a")});
    assert_int_equal(got.kvs[0].lease, 5);
    assert_string_equal(fixture_get(&f, "a"), "1");
    r = (struct store_put_request){.key = text("a"), .value = text("2"), .ignore_lease = true};
    assert_int_equal(fixture_put_request(&f, &r), STORE_OK);
    got = fixture_range(&f, &(struct store_range_request){.key = text("a")});
    assert_int_equal(got.kvs[0].lease, 5);
    r.lease = 5;
    assert_int_equal(fixture_put_request(&f, &r), STORE_LEASE_PROVIDED);
    r = (struct store_put_request){.key = text("a"), .value = text("2"), .ignore_value = true};
    assert_int_equal(fixture_put_request(&f, &r), STORE_VALUE_PROVIDED);
    r = (struct store_put_request){.value = text("2")};
    assert_int_equal(fixture_put_request(&f, &r), STORE_KEY_EMPTY);
    fixture_deinit(&f);
}

static void a_delete_returns_what_it_deleted(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    assert_int_equal(fixture_put(&f, "a", "1"), STORE_OK);
    assert_int_equal(fixture_put(&f, "b", "2"), STORE_OK);
    assert_int_equal(fixture_put(&f, "c", "3"), STORE_OK);
    struct store_delete_request r = {.key = text("a"), .range_end = text("c"), .prev_kv = true};
    buf_clear(&f.body);
    store_delete_encode(&f.body, &r);
    assert_int_equal(fixture_apply(&f, STORE_KIND_DELETE, buf_view(&f.body)), STORE_OK);
    assert_int_equal(fixture_number(buf_view(&f.response), 2), 2);
    assert_int_equal(fixture_fields(buf_view(&f.response), 3), 2);
    assert_string_equal(fixture_get(&f, "b"), "(none)");
    assert_string_equal(fixture_get(&f, "c"), "3");
    assert_int_equal(fixture_delete(&f, "c", "a"), STORE_OK);
    assert_int_equal(fixture_number(buf_view(&f.response), 2), 0);
    assert_int_equal(fixture_delete(&f, "", ""), STORE_KEY_EMPTY);
    fixture_deinit(&f);
}

static void compaction_keeps_the_newest_of_each_live_key(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    assert_int_equal(fixture_put(&f, "a", "1"), STORE_OK);   /* 2 */
    assert_int_equal(fixture_put(&f, "a", "2"), STORE_OK);   /* 3 */
    assert_int_equal(fixture_put(&f, "b", "1"), STORE_OK);   /* 4 */
    assert_int_equal(fixture_delete(&f, "b", ""), STORE_OK); /* 5 */
    assert_int_equal(fixture_put(&f, "c", "1"), STORE_OK);   /* 6 */
    assert_int_equal(fixture_compact(&f, 7), STORE_REVISION_FUTURE);
    assert_int_equal(fixture_compact(&f, 6), STORE_OK);
    assert_int_equal(fixture_compact(&f, 6), STORE_REVISION_COMPACTED);
    for (int freed = 0; freed < 2; freed++) {
        struct store_range_request all = {.key = text("a"), .range_end = text("z"), .revision = 6};
        assert_int_equal(fixture_range(&f, &all).count, 2);
        all.revision = 5;
        assert_int_equal(fixture_range(&f, &all).status, STORE_REVISION_COMPACTED);
        assert_string_equal(fixture_get(&f, "a"), "2");
        while (store_work(f.store, 1)) {
        }
    }
    struct store_stats stats;
    store_stats_read(f.store, &stats);
    assert_int_equal(stats.keys, 2);
    assert_int_equal(stats.reclaimable, 0);
    assert_int_equal(stats.changes, 1);
    fixture_deinit(&f);
}

static void memory_comes_back_when_all_is_deleted_and_compacted(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    struct fixture f;
    struct store_stats stats;
    fixture_init(&f);
    for (int i = 0; i < 3000; i++) {
        fixture_random_step(&f, &prng);
    }
    assert_int_equal(fixture_delete(&f, "a", "z"), STORE_OK);
    (void)fixture_put(&f, "last", "");
    for (int64_t lease = 1; lease <= 4; lease++) {
        (void)fixture_revoke(&f, lease);
    }
    assert_int_equal(fixture_compact(&f, store_revision(f.store)), STORE_OK);
    while (store_work(f.store, 100)) {
    }
    store_stats_read(f.store, &stats);
    assert_int_equal(stats.keys, 1);
    assert_true(stats.used_bytes < 200000); /* a log segment, the dedup window, one of each else */
    fixture_deinit(&f);
}

static void members_agree_whatever_their_memory_went_through(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(10); round++) {
        struct fixture a;
        struct fixture b;
        fixture_init(&a);
        fixture_init(&b);
        for (int i = 0; i < 500; i++) {
            fixture_random_step(&a, &prng);
            fixture_follow(&b, &a);
            /* One frees early, the other hardly ever; one asks for responses, the other not. */
            (void)store_work(a.store, 100);
            (void)store_work(b.store, prng_below(&prng, 2));
            assert_int_equal(store_hash(a.store), store_hash(b.store));
        }
        struct buf bytes_a;
        struct buf bytes_b;
        buf_init(&bytes_a);
        buf_init(&bytes_b);
        fixture_snapshot(&a, &bytes_a);
        fixture_snapshot(&b, &bytes_b);
        assert_int_equal(bytes_a.len, bytes_b.len);
        assert_memory_equal(bytes_a.data, bytes_b.data, bytes_a.len);
        buf_deinit(&bytes_a);
        buf_deinit(&bytes_b);
        fixture_deinit(&a);
        fixture_deinit(&b);
    }
}

/* The hash is part of what members compare across versions and machines: it must never change by
 * itself, by the compiler or by the optimizer. */
static void the_hash_of_a_known_history_is_what_it_always_was(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    assert_int_equal(fixture_grant(&f, 77, 60), STORE_OK);
    assert_int_equal(
        fixture_put_request(
            &f, &(struct store_put_request){.key = text("a"), .value = text("1"), .lease = 77}),
        STORE_OK);
    assert_int_equal(fixture_put(&f, "b", "2"), STORE_OK);
    assert_int_equal(fixture_delete(&f, "a", ""), STORE_OK);
    assert_int_equal(fixture_compact(&f, 3), STORE_OK);
    uint64_t hash = 0;
    int64_t revision = 0;
    assert_int_equal(store_hash_kv(f.store, 0, &hash, &revision), STORE_OK);
    assert_int_equal(revision, 4);
    assert_int_equal(hash, UINT64_C(0x03e02b398f550b39));
    assert_int_equal(store_hash(f.store), UINT64_C(0xc04703807ab02dfe));
    assert_int_equal(store_hash_kv(f.store, 2, &hash, &revision), STORE_REVISION_COMPACTED);
    assert_int_equal(store_hash_kv(f.store, 5, &hash, &revision), STORE_REVISION_FUTURE);
    fixture_deinit(&f);
}

/* Applies an envelope as it is, as the next entry. */
static enum err apply_envelope(struct fixture *f, const struct store_envelope *e)
{
    buf_clear(&f->payload);
    store_envelope_encode(&f->payload, e);
    struct store_entry entry = {f->index + 1, f->term, f->now, buf_view(&f->payload)};
    buf_clear(&f->response);
    enum err err = store_apply(f->store, &entry, &f->result, &f->response);
    f->index += err == OK;
    return err;
}

static struct store_envelope put_envelope(struct fixture *f, const char *key, uint64_t sequence)
{
    buf_clear(&f->body);
    store_put_encode(&f->body, &(struct store_put_request){.key = text(key), .value = text("v")});
    return (struct store_envelope){.kind = STORE_KIND_PUT,
                                   .feature_level = 1,
                                   .origin = 3,
                                   .boot = 10,
                                   .sequence = sequence,
                                   .body = buf_view(&f->body)};
}

static void applies_a_proposal_once(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct store_envelope e = put_envelope(&f, "a", 1);
    assert_int_equal(apply_envelope(&f, &e), OK);
    assert_int_equal(f.result.revision, 2);
    assert_int_equal(fixture_put(&f, "b", ""), STORE_OK);
    e = put_envelope(&f, "a", 1);
    assert_int_equal(apply_envelope(&f, &e), OK);
    assert_true(f.result.duplicate);
    assert_int_equal(f.result.status, STORE_OK);
    assert_int_equal(f.result.revision, 2);
    assert_int_equal(f.result.origin, 3);
    assert_int_equal(f.result.boot, 10);
    assert_int_equal(f.result.sequence, 1);
    assert_int_equal(store_revision(f.store), 3);

    /* Out of order within the window is no duplicate. */
    e = put_envelope(&f, "a", STORE_ORIGIN_WINDOW + 2);
    assert_int_equal(apply_envelope(&f, &e), OK);
    assert_int_equal(f.result.status, STORE_OK);
    e = put_envelope(&f, "a", 3);
    assert_int_equal(apply_envelope(&f, &e), OK);
    assert_int_equal(f.result.status, STORE_OK);
    assert_false(f.result.duplicate);
    /* Outside the window nobody knows. */
    e = put_envelope(&f, "a", 2);
    assert_int_equal(apply_envelope(&f, &e), OK);
    assert_int_equal(f.result.status, STORE_OUTCOME_UNKNOWN);
    /* A new start of the origin begins anew; an old one is outside. */
    e = put_envelope(&f, "a", 1);
    e.boot = 11;
    assert_int_equal(apply_envelope(&f, &e), OK);
    assert_int_equal(f.result.status, STORE_OK);
    e = put_envelope(&f, "a", 3);
    assert_int_equal(apply_envelope(&f, &e), OK);
    assert_int_equal(f.result.status, STORE_OUTCOME_UNKNOWN);
    fixture_deinit(&f);
}

static void remembers_refusals_too(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct store_envelope e = put_envelope(&f, "", 1);
    assert_int_equal(apply_envelope(&f, &e), OK);
    assert_int_equal(f.result.status, STORE_KEY_EMPTY);
    assert_int_equal(apply_envelope(&f, &e), OK);
    assert_true(f.result.duplicate);
    assert_int_equal(f.result.status, STORE_KEY_EMPTY);
    fixture_deinit(&f);
}

static void a_full_window_admits_a_new_origin_for_one_that_is_idle(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    for (uint64_t origin = 1; origin <= STORE_ORIGINS_MAX + 1; origin++) {
        struct store_envelope e = put_envelope(&f, "a", 1);
        e.origin = origin;
        assert_int_equal(apply_envelope(&f, &e), OK);
        assert_int_equal(f.result.status,
                         origin <= STORE_ORIGINS_MAX ? STORE_OK : STORE_ORIGINS_FULL);
    }
    f.index += STORE_ORIGIN_IDLE_ENTRIES;
    struct store_envelope e = put_envelope(&f, "a", 1);
    e.origin = STORE_ORIGINS_MAX + 1;
    assert_int_equal(apply_envelope(&f, &e), OK);
    assert_int_equal(f.result.status, STORE_OK);
    /* The first one made room; the second is still known. */
    e.origin = 2;
    assert_int_equal(apply_envelope(&f, &e), OK);
    assert_true(f.result.duplicate);
    fixture_deinit(&f);
}

static void refuses_what_is_above_the_clusters_level(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    store_close(f.store);
    f.store = store_open(0);
    assert_int_equal(fixture_put(&f, "a", ""), STORE_NOT_CAPABLE);
    assert_int_equal(fixture_apply(&f, 200, text("later")), STORE_NOT_CAPABLE);
    assert_int_equal(store_revision(f.store), 1);
    struct store_envelope e = put_envelope(&f, "a", 1);
    uint8_t level[8] = {1};
    e.kind = STORE_KIND_FEATURE_LEVEL;
    e.feature_level = 0;
    e.body = (struct bytes){level, sizeof level};
    assert_int_equal(apply_envelope(&f, &e), OK);
    assert_int_equal(f.result.status, STORE_OK);
    assert_int_equal(store_feature_level(f.store), 1);
    assert_int_equal(fixture_put(&f, "a", ""), STORE_OK);
    level[0] = 0;
    e.sequence = 2;
    assert_int_equal(apply_envelope(&f, &e), OK);
    assert_int_equal(f.result.status, STORE_NOT_CAPABLE);
    fixture_deinit(&f);
}

/* What a newer program wrote for a cluster of newer programs cannot be skipped. */
static void stops_at_what_it_does_not_know(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    uint64_t hash = store_hash(f.store);
    struct store_envelope e = put_envelope(&f, "a", 1);
    e.kind = 200;
    assert_int_equal(apply_envelope(&f, &e), ERR_UNSUPPORTED);
    uint8_t level[8] = {STORE_FEATURE_LEVEL_MAX + 1};
    e.kind = STORE_KIND_FEATURE_LEVEL;
    e.body = (struct bytes){level, sizeof level};
    assert_int_equal(apply_envelope(&f, &e), ERR_UNSUPPORTED);
    e = put_envelope(&f, "a", 1);
    buf_clear(&f.payload);
    store_envelope_encode(&f.payload, &e);
    f.payload.data[0] = STORE_ENVELOPE_VERSION + 1;
    struct store_entry entry = {1, 1, 0, buf_view(&f.payload)};
    assert_int_equal(store_apply(f.store, &entry, &f.result, NULL), ERR_UNSUPPORTED);
    f.payload.data[0] = STORE_ENVELOPE_VERSION;
    entry.payload.len = STORE_ENVELOPE_HEADER_BYTES - 1;
    assert_int_equal(store_apply(f.store, &entry, &f.result, NULL), ERR_CORRUPT);
    assert_int_equal(store_hash(f.store), hash);
    fixture_deinit(&f);
}

static void an_empty_payload_moves_only_the_index(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct store_entry entry = {.index = 5};
    assert_int_equal(store_apply(f.store, &entry, &f.result, NULL), OK);
    assert_int_equal(f.result.status, STORE_OK);
    assert_int_equal(store_applied_index(f.store), 5);
    assert_int_equal(store_revision(f.store), 1);
    fixture_deinit(&f);
}

static void the_envelope_is_what_its_page_says(void **state)
{
    (void)state;
    struct buf b;
    struct store_envelope e = {.kind = 4,
                               .feature_level = 0x0102,
                               .origin = 0x11,
                               .boot = 0x22,
                               .sequence = 0x33,
                               .auth_revision = 0x44,
                               .assigned_id = 0x55,
                               .assigned_time_ns = 0x66,
                               .term = 0x77,
                               .lease_ttl_min_s = 0x88,
                               .user = text("root"),
                               .body = text("body")};
    static const uint8_t expected[] =
        "\1\4\2\1\0\0\0\0"
        "\x11\0\0\0\0\0\0\0\x22\0\0\0\0\0\0\0\x33\0\0\0\0\0\0\0\x44\0\0\0\0\0\0\0"
        "\x55\0\0\0\0\0\0\0\x66\0\0\0\0\0\0\0\x77\0\0\0\0\0\0\0\x88\0\0\0\4\0rootbody";
    buf_init(&b);
    store_envelope_encode(&b, &e);
    assert_int_equal(b.len, sizeof expected - 1);
    assert_memory_equal(b.data, expected, b.len);
    struct store_envelope back;
    assert_int_equal(store_envelope_decode(buf_view(&b), &back), OK);
    assert_int_equal(back.term, 0x77);
    assert_int_equal(back.lease_ttl_min_s, 0x88);
    assert_int_equal(store_bytes_cmp(back.user, e.user), 0);
    assert_int_equal(store_bytes_cmp(back.body, e.body), 0);
    buf_deinit(&b);
}

static void the_texts_are_etcds(void **state)
{
    (void)state;
    assert_string_equal(store_status_text(STORE_REVISION_COMPACTED),
                        "etcdserver: mvcc: required revision has been compacted");
    assert_string_equal(store_status_text(STORE_LEASE_NOT_FOUND),
                        "etcdserver: requested lease not found");
    assert_int_equal(store_status_code(STORE_LEASE_NOT_FOUND), 5);
    assert_int_equal(store_status_code(STORE_REVISION_FUTURE), 11);
    assert_string_equal(store_status_name(STORE_KEY_EMPTY), "STORE_KEY_EMPTY");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_store_is_at_revision_one),
        cmocka_unit_test(versions_start_anew_after_a_delete),
        cmocka_unit_test(a_put_returns_what_was_there),
        cmocka_unit_test(ignoring_keeps_value_or_lease),
        cmocka_unit_test(a_delete_returns_what_it_deleted),
        cmocka_unit_test(compaction_keeps_the_newest_of_each_live_key),
        cmocka_unit_test(memory_comes_back_when_all_is_deleted_and_compacted),
        cmocka_unit_test(members_agree_whatever_their_memory_went_through),
        cmocka_unit_test(the_hash_of_a_known_history_is_what_it_always_was),
        cmocka_unit_test(applies_a_proposal_once),
        cmocka_unit_test(remembers_refusals_too),
        cmocka_unit_test(a_full_window_admits_a_new_origin_for_one_that_is_idle),
        cmocka_unit_test(refuses_what_is_above_the_clusters_level),
        cmocka_unit_test(stops_at_what_it_does_not_know),
        cmocka_unit_test(an_empty_payload_moves_only_the_index),
        cmocka_unit_test(the_envelope_is_what_its_page_says),
        cmocka_unit_test(the_texts_are_etcds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
