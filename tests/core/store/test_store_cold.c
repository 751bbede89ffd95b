#include "core/store/store_cold.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/chaos/simmemory.h"
#include "tests/core/store/store_fixture.h"
#include "core/store/store_int.h"
#include "tests/support/test.h"

/* A version like those of the slab. */
static struct store_version *version_of(uint64_t seq, size_t value_len)
{
    struct store_version *v = mem_alloc_zero(sizeof *v + value_len);
    v->seq = seq;
    v->value_len = (uint32_t)value_len;
    memset(v->value, (int)(seq % 251), value_len);
    return v;
}

static struct store_ref put_version(struct store_cold *c, uint64_t seq, size_t value_len)
{
    struct store_version *v = version_of(seq, value_len);
    struct store_ref ref = store_cold_put(c, v);
    mem_free(v);
    return ref;
}

static void gives_back_what_was_put_until_it_is_dropped(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    struct store_cold c;
    struct store_ref refs[1000];
    size_t lens[1000];
    store_cold_init(&c);
    c.memory = &simmemory_ops; /* which sees to it that nothing is written behind */
    c.segment_bytes = 4000;
    for (size_t i = 0; i < 1000; i++) {
        lens[i] = prng_below(&prng, prng_chance(&prng, 1, 50) ? 10000 : 300);
        refs[i] = put_version(&c, i, lens[i]);
    }
    size_t held = c.held_bytes;
    assert_true(c.used_bytes <= held && c.count > 10);
    bool dropped[1000] = {false};
    for (size_t step = 0; step < 1000; step++) {
        size_t i = prng_below(&prng, 1000);
        if (prng_chance(&prng, 1, 2) && !dropped[i]) {
            dropped[i] = true;
            store_cold_drop(&c, refs[i]);
        } else if (!dropped[i]) {
            const struct store_version *v = store_ref_get(&c, refs[i]);
            assert_int_equal(v->seq, i);
            assert_int_equal(v->value_len, lens[i]);
            assert_true(lens[i] == 0 || v->value[lens[i] - 1] == i % 251);
        }
    }
    for (size_t i = 0; i < 1000; i++) {
        if (!dropped[i]) {
            store_cold_drop(&c, refs[i]);
        }
    }
    assert_int_equal(c.count, 1); /* the one that is being filled */
    assert_int_equal(c.used_bytes, 0);
    assert_int_equal(c.held_bytes, c.newest->cap);
    store_cold_deinit(&c);
}

/* The test's own process must not see what became of the bytes. */
static void read_damaged(void *arg)
{
    struct store_cold c;
    size_t at = *(size_t *)arg;
    store_cold_init(&c);
    struct store_ref ref = put_version(&c, 5, 100);
    c.newest->bytes[at] ^= 1;
    (void)store_ref_get(&c, ref);
}

static void a_damaged_record_ends_the_process(void **state)
{
    (void)state;
    const size_t places[] = {0, 4, 8, 16, 24, 80, 187};
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        size_t at = places[i];
        assert_true(test_aborts(read_damaged, &at));
    }
}

/* Two members that apply the same, one with all its history cold and one with none of it. */
static void answers_do_not_tell_where_the_history_is(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    struct fixture cold;
    struct fixture hot;
    struct buf snapshots[2];
    fixture_init(&cold);
    fixture_init(&hot);
    const struct store_history all = {.hot_bytes = 1 << 30, .segment_bytes = 1000};
    const struct store_history none = {.hot_bytes = 0, .segment_bytes = 1000};
    store_keep_history(hot.store, &all);
    store_keep_history(cold.store, &none);
    buf_init(&snapshots[0]);
    buf_init(&snapshots[1]);
    for (int i = 0; i < 3000; i++) {
        fixture_random_step(&cold, &prng);
        fixture_follow(&hot, &cold);
        if (i % 10 == 0) {
            (void)store_work(cold.store, prng_below(&prng, 30) + 1);
            (void)store_work(hot.store, 5);
        }
        if (i % 100 == 99) {
            const struct store_mvcc *m = &cold.store->mvcc;
            assert_int_equal(m->cool_seq, m->log.next);
            assert_int_equal(hot.store->mvcc.cold->count, 0);
            uint64_t hashes[2];
            int64_t at = (int64_t)prng_range(
                &prng, (uint64_t)(m->compact_revision < 1 ? 1 : m->compact_revision),
                (uint64_t)m->revision);
            int64_t found = 0;
            assert_int_equal(store_hash_kv(cold.store, at, &hashes[0], &found), STORE_OK);
            assert_int_equal(store_hash_kv(hot.store, at, &hashes[1], &found), STORE_OK);
            assert_int_equal(hashes[0], hashes[1]);
            assert_int_equal(store_hash(cold.store), store_hash(hot.store));
            buf_clear(&snapshots[0]);
            buf_clear(&snapshots[1]);
            fixture_snapshot(&cold, &snapshots[0]);
            fixture_snapshot(&hot, &snapshots[1]);
            assert_int_equal(snapshots[0].len, snapshots[1].len);
            assert_memory_equal(snapshots[0].data, snapshots[1].data, snapshots[0].len);
            store_check(cold.store);
            store_check(hot.store);
        }
    }
    buf_deinit(&snapshots[0]);
    buf_deinit(&snapshots[1]);
    fixture_deinit(&cold);
    fixture_deinit(&hot);
}

/* A sorted range remembers versions between its steps: they stay where they are. */
static void what_a_sorted_range_remembers_stays(void **state)
{
    (void)state;
    struct fixture f;
    char key[8];
    fixture_init(&f);
    const struct store_history none = {.hot_bytes = 0, .segment_bytes = 1000};
    store_keep_history(f.store, &none);
    for (int i = 0; i < 50; i++) {
        (void)snprintf(key, sizeof key, "k%02d", i);
        assert_int_equal(fixture_put(&f, key, "before"), STORE_OK);
    }
    struct buf request;
    struct buf response;
    struct store_reader *reader = NULL;
    buf_init(&request);
    buf_init(&response);
    store_range_encode(&request, &(struct store_range_request){.key = text("k"),
                                                               .range_end = text("l"),
                                                               .sort_order = STORE_SORT_DESCEND,
                                                               .sort_target = STORE_SORT_VALUE});
    assert_int_equal(store_reader_open(f.store, buf_view(&request), &reader), STORE_OK);
    assert_int_equal(store_reader_step(reader, 30, &response), ERR_PENDING);
    uint64_t began = f.store->mvcc.log.next;
    for (int i = 0; i < 50; i++) {
        (void)snprintf(key, sizeof key, "k%02d", i);
        assert_int_equal(fixture_put(&f, key, "after!"), STORE_OK);
    }
    assert_int_equal(f.store->mvcc.cool_seq, began);
    while (store_reader_step(reader, 7, &response) == ERR_PENDING) {
    }
    struct fixture_range range = fixture_decode_range(buf_view(&response));
    assert_int_equal(range.count_kvs, 50);
    for (size_t i = 0; i < range.count_kvs; i++) {
        assert_memory_equal(range.kvs[i].value.data, "before", 6);
    }
    store_reader_close(reader);
    (void)store_work(f.store, 1000);
    assert_int_equal(f.store->mvcc.cool_seq, f.store->mvcc.log.next);
    buf_deinit(&request);
    buf_deinit(&response);
    fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_back_what_was_put_until_it_is_dropped),
        cmocka_unit_test(a_damaged_record_ends_the_process),
        cmocka_unit_test(answers_do_not_tell_where_the_history_is),
        cmocka_unit_test(what_a_sorted_range_remembers_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
