#include "core/store/store_mvcc.h"

#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

static struct store_version *put_itself(struct store_mvcc *m, const char *key)
{
    struct store_tree_path path;
    struct bytes bytes = {(const uint8_t *)key, strlen(key)};
    struct store_key *found = store_tree_locate(&m->tree, bytes, &path);
    struct store_version *v = store_mvcc_put(m, &path, found, bytes, bytes, 0);
    store_mvcc_commit(m);
    return v;
}

/* The steps that store_mvcc_at takes, by the same rule. */
static size_t steps_to(const struct store_mvcc *m, const struct store_key *key, int64_t revision)
{
    size_t steps = 0;
    const struct store_version *v = key->head;
    while (v != NULL && v->mod_revision > revision) {
        const struct store_version *far = NULL;
        if (v->jump > 0 && store_log_has(&m->log, v->seq - v->jump)) {
            far = store_log_get(&m->log, v->seq - v->jump);
        }
        v = far != NULL && far->mod_revision > revision ? far : store_mvcc_prev(m, v);
        steps++;
    }
    assert_true(v == NULL || v->mod_revision <= revision);
    return steps;
}

static void finds_any_of_many_versions_in_few_steps(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    struct store_mvcc m;
    store_mvcc_init(&m);
    const struct store_key *hot = NULL;
    for (int64_t i = 0; i < 100000; i++) {
        hot = put_itself(&m, i % 2 == 0 ? "hot" : "cold")->key;
        if (i % 20000 == 7777) {
            store_mvcc_compact(&m, m.revision - 5000);
            while (store_mvcc_reclaim(&m, 100)) {
            }
        }
    }
    for (int i = 0; i < 1000; i++) {
        int64_t revision =
            (int64_t)prng_range(&prng, (uint64_t)m.compact_revision, (uint64_t)m.revision);
        assert_true(steps_to(&m, hot, revision) < 150);
        const struct store_version *v = store_mvcc_at(&m, hot, revision);
        assert_non_null(v);
        assert_true(v->mod_revision == revision || v->mod_revision == revision - 1);
    }
    store_mvcc_check(&m);
    store_mvcc_deinit(&m);
}

static void frees_the_keys_that_compaction_forgets(void **state)
{
    (void)state;
    struct store_mvcc m;
    char key[16];
    store_mvcc_init(&m);
    (void)put_itself(&m, "stays");
    size_t before = m.slab.used_bytes;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 20000; i++) {
            struct store_tree_path path;
            snprintf(key, sizeof key, "goes/%06d", i * 7 % 20000);
            struct store_key *k = put_itself(&m, key)->key;
            assert_ptr_equal(store_tree_locate(&m.tree, (struct bytes){k->bytes, k->len}, &path),
                             k);
            (void)store_mvcc_delete(&m, &path, k);
            store_mvcc_commit(&m);
        }
        (void)put_itself(&m, "stays");
        store_mvcc_compact(&m, m.revision);
        while (store_mvcc_reclaim(&m, 1000)) {
        }
        store_mvcc_check(&m);
        assert_int_equal(m.tree.keys, 1);
        /* A node or two of the index may stay half empty. */
        assert_true(m.slab.used_bytes < before + 4096);
    }
    store_mvcc_deinit(&m);
}

static void a_pin_keeps_what_it_needs(void **state)
{
    (void)state;
    struct store_mvcc m;
    struct store_pin pin;
    store_mvcc_init(&m);
    const struct store_key *key = put_itself(&m, "a")->key; /* revision 2 */
    (void)put_itself(&m, "a");
    store_mvcc_pin(&m, &pin, 2);
    (void)put_itself(&m, "b");
    store_mvcc_compact(&m, 4);
    assert_false(store_mvcc_reclaim(&m, 10));
    assert_int_equal(store_mvcc_at(&m, key, 2)->version, 1);
    store_mvcc_unpin(&m, &pin);
    assert_false(store_mvcc_reclaim(&m, 10));
    assert_null(store_mvcc_at(&m, key, 2));
    assert_int_equal(store_mvcc_at(&m, key, 3)->version, 2);
    store_mvcc_deinit(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_any_of_many_versions_in_few_steps),
        cmocka_unit_test(frees_the_keys_that_compaction_forgets),
        cmocka_unit_test(a_pin_keeps_what_it_needs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
