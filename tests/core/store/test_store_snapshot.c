#include "tests/core/store/store_fixture.h"

#include <string.h>

/* Feeds `bytes` in random cuts; the store, or the error that came. */
static enum err restore(struct bytes bytes, struct prng *prng, struct store **ret)
{
    struct store_restore *r = store_restore_begin();
    enum err e = OK;
    for (size_t at = 0; at < bytes.len && e == OK;) {
        size_t n = (size_t)prng_range(prng, 1, 5000);
        n = n < bytes.len - at ? n : bytes.len - at;
        e = store_restore_feed(r, (struct bytes){bytes.data + at, n});
        at += n;
    }
    if (e == OK) {
        e = store_restore_finish(r, ret);
    }
    if (e != OK) {
        store_restore_abort(r);
    }
    return e;
}

static void assert_equal_bufs(const struct buf *a, const struct buf *b)
{
    assert_int_equal(a->len, b->len);
    assert_memory_equal(a->data, b->data, a->len);
}

static void assert_equal_histories(const struct store *a, const struct store *b)
{
    assert_int_equal(store_hash(a), store_hash(b));
    int64_t first = store_compact_revision(a) < 1 ? 1 : store_compact_revision(a);
    for (int64_t revision = first; revision <= store_revision(a); revision++) {
        uint64_t hash_a = 0;
        uint64_t hash_b = 1;
        int64_t at = 0;
        assert_int_equal(store_hash_kv(a, revision, &hash_a, &at), STORE_OK);
        assert_int_equal(store_hash_kv(b, revision, &hash_b, &at), STORE_OK);
        assert_int_equal(hash_a, hash_b);
        assert_int_equal(at, revision);
    }
}

static void holds_the_state_at_its_start_while_writes_go_on(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(60); round++) {
        struct fixture f;
        struct fixture copy;
        struct buf at_once;
        struct buf slowly;
        struct buf again;
        fixture_init(&f);
        buf_init(&at_once);
        buf_init(&slowly);
        buf_init(&again);
        for (size_t i = prng_below(&prng, 300); i > 0; i--) {
            fixture_random_step(&f, &prng);
            (void)store_work(f.store, prng_below(&prng, 3));
        }
        fixture_snapshot(&f, &at_once);
        uint64_t index = store_applied_index(f.store);
        uint64_t hash = store_hash(f.store);

        fixture_init(&copy);
        store_close(copy.store);
        assert_int_equal(restore(buf_view(&at_once), &prng, &copy.store), OK);
        store_check(copy.store);
        copy.index = f.index;
        assert_int_equal(store_hash(copy.store), hash);
        assert_equal_histories(f.store, copy.store);
        fixture_snapshot(&copy, &again);
        assert_equal_bufs(&again, &at_once);

        struct store_snapshot *snap = store_snapshot_begin(f.store);
        assert_int_equal(store_snapshot_index(snap), index);
        while (store_snapshot_step(snap, 1 + prng_below(&prng, 20), &slowly) == ERR_PENDING) {
            for (size_t i = prng_below(&prng, 6); i > 0; i--) {
                fixture_random_step(&f, &prng);
                fixture_follow(&copy, &f);
                (void)store_work(f.store, 100);
            }
        }
        store_snapshot_end(snap);
        assert_equal_bufs(&slowly, &at_once);
        assert_equal_histories(f.store, copy.store);

        buf_deinit(&at_once);
        buf_deinit(&slowly);
        buf_deinit(&again);
        fixture_deinit(&f);
        fixture_deinit(&copy);
    }
}

static void refuses_a_snapshot_with_any_bit_flipped(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    struct fixture f;
    struct buf bytes;
    fixture_init(&f);
    buf_init(&bytes);
    for (size_t i = 0; i < 60; i++) {
        fixture_random_step(&f, &prng);
    }
    fixture_snapshot(&f, &bytes);
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t bit = (uint8_t)(1u << prng_below(&prng, 8));
        struct store *store = NULL;
        bytes.data[i] ^= bit;
        assert_int_not_equal(restore(buf_view(&bytes), &prng, &store), OK);
        bytes.data[i] ^= bit;
    }
    buf_deinit(&bytes);
    fixture_deinit(&f);
}

static void refuses_a_snapshot_that_ends_early_or_late(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    struct fixture f;
    struct buf bytes;
    fixture_init(&f);
    buf_init(&bytes);
    for (size_t i = 0; i < 40; i++) {
        fixture_random_step(&f, &prng);
    }
    fixture_snapshot(&f, &bytes);
    struct store *store = NULL;
    for (size_t len = 0; len < bytes.len; len += 1 + prng_below(&prng, 9)) {
        assert_int_equal(restore((struct bytes){bytes.data, len}, &prng, &store), ERR_TRUNCATED);
    }
    buf_put_u8(&bytes, 0);
    assert_int_not_equal(restore(buf_view(&bytes), &prng, &store), OK);
    buf_deinit(&bytes);
    fixture_deinit(&f);
}

static void an_empty_store_has_a_snapshot_too(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    struct fixture f;
    struct buf bytes;
    struct store *store = NULL;
    fixture_init(&f);
    buf_init(&bytes);
    fixture_snapshot(&f, &bytes);
    assert_int_equal(restore(buf_view(&bytes), &prng, &store), OK);
    assert_int_equal(store_hash(store), store_hash(f.store));
    store_close(store);
    buf_deinit(&bytes);
    fixture_deinit(&f);
}

static void watches_go_on_in_a_restored_store(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    struct fixture f;
    struct buf bytes;
    fixture_init(&f);
    buf_init(&bytes);
    struct store_stream *stream = store_stream_open(f.store, 9);
    int64_t revision = 0;
    buf_clear(&f.body);
    store_watch_encode(&f.body, &(struct store_watch_request){.key = text("a")});
    assert_int_equal(store_watch_create(stream, buf_view(&f.body), &revision, &f.response),
                     STORE_OK);
    assert_int_equal(fixture_put(&f, "a", "1"), STORE_OK);
    buf_clear(&f.response);
    assert_int_equal(store_watch_next(stream, 10, &revision, &f.response), STORE_WATCH_RESPONSE);

    /* The leader goes on while this member is away, then sends its snapshot. */
    struct fixture leader;
    fixture_init(&leader);
    assert_int_equal(fixture_put(&leader, "a", "1"), STORE_OK);
    assert_int_equal(fixture_put(&leader, "b", "2"), STORE_OK);
    assert_int_equal(fixture_put(&leader, "a", "3"), STORE_OK);
    fixture_snapshot(&leader, &bytes);
    struct store *restored = NULL;
    assert_int_equal(restore(buf_view(&bytes), &prng, &restored), OK);
    store_streams_move(f.store, restored);
    store_close(f.store);
    f.store = restored;

    uint64_t tag = 0;
    assert_true(store_stream_ready(f.store, &tag));
    assert_int_equal(tag, 9);
    buf_clear(&f.response);
    assert_int_equal(store_watch_next(stream, 10, &revision, &f.response), STORE_WATCH_RESPONSE);
    assert_int_equal(revision, 4);
    assert_int_equal(fixture_fields(buf_view(&f.response), 11), 1);
    assert_int_equal(store_watch_next(stream, 10, &revision, &f.response), STORE_WATCH_IDLE);
    store_stream_close(stream);
    buf_deinit(&bytes);
    fixture_deinit(&leader);
    fixture_deinit(&f);
}

/* A client that was elsewhere before asks for what this member does not have yet; then the member
 * is given a snapshot that has it, of a history that is compacted below. */
static void a_watch_from_a_revision_to_come_is_not_cancelled(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    struct fixture f;
    struct fixture leader;
    struct buf bytes;
    int64_t revision = 0;
    fixture_init(&f);
    fixture_init(&leader);
    buf_init(&bytes);
    struct store_stream *stream = store_stream_open(f.store, 9);
    buf_clear(&f.body);
    store_watch_encode(&f.body,
                       &(struct store_watch_request){.key = text("a"), .start_revision = 5});
    assert_int_equal(store_watch_create(stream, buf_view(&f.body), &revision, &f.response),
                     STORE_OK);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(fixture_put(&leader, "a", "1"), STORE_OK);
    }
    assert_int_equal(fixture_compact(&leader, 4), STORE_OK);
    fixture_snapshot(&leader, &bytes);
    struct store *restored = NULL;
    assert_int_equal(restore(buf_view(&bytes), &prng, &restored), OK);
    store_streams_move(f.store, restored);
    store_close(f.store);
    f.store = restored;
    buf_clear(&f.response);
    assert_int_equal(store_watch_next(stream, 10, &revision, &f.response), STORE_WATCH_RESPONSE);
    assert_int_equal(fixture_fields(buf_view(&f.response), 4), 0);  /* canceled */
    assert_int_equal(fixture_fields(buf_view(&f.response), 11), 2); /* revisions 5 and 6 */
    store_stream_close(stream);
    buf_deinit(&bytes);
    fixture_deinit(&leader);
    fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_the_state_at_its_start_while_writes_go_on),
        cmocka_unit_test(refuses_a_snapshot_with_any_bit_flipped),
        cmocka_unit_test(refuses_a_snapshot_that_ends_early_or_late),
        cmocka_unit_test(an_empty_store_has_a_snapshot_too),
        cmocka_unit_test(watches_go_on_in_a_restored_store),
        cmocka_unit_test(a_watch_from_a_revision_to_come_is_not_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
