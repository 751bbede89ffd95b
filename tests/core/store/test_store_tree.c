#include "core/store/store_tree.h"

#include "tests/support/test.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/store/store_slab.h"

#define KEYS 3000

/* The keys of a test, and what the tree should know of them. */
struct key_set {
    struct store_key *keys[KEYS];
    struct store_version *heads[KEYS];
    bool present[KEYS];
    bool live[KEYS];
    size_t count;
};

static int compare_key_pointers(const void *a, const void *b)
{
    const struct store_key *const *left = a;
    const struct store_key *const *right = b;
    return store_bytes_cmp(store_key_view(*left), store_key_view(*right));
}

/* Random keys in order: some short, many with long common prefixes, some that differ in zeros. */
static void key_set_init(struct key_set *m, struct prng *prng)
{
    static const char *const prefixes[] = {"",
                                           "a",
                                           "/registry/pods/default/",
                                           "/registry/pods/kube",
                                           "/registry/services/specs/default/kubernetes-api-",
                                           "zz"};
    m->count = 0;
    while (m->count < KEYS) {
        const char *prefix = prefixes[prng_below(prng, COUNT_OF(prefixes))];
        size_t tail = prng_below(prng, 12) + 1;
        struct store_key *k = mem_alloc_zero(sizeof *k + strlen(prefix) + tail);
        k->len = (uint32_t)(strlen(prefix) + tail);
        memcpy(k->bytes, prefix, strlen(prefix));
        for (size_t i = strlen(prefix); i < k->len; i++) {
            k->bytes[i] = (uint8_t)prng_below(prng, prng_chance(prng, 1, 2) ? 3 : 256);
        }
        m->keys[m->count++] = k;
    }
    qsort(m->keys, KEYS, sizeof m->keys[0], compare_key_pointers);
    size_t kept = 0;
    for (size_t i = 0; i < KEYS; i++) {
        if (kept > 0 && compare_key_pointers(&m->keys[kept - 1], &m->keys[i]) == 0) {
            mem_free(m->keys[i]);
        } else {
            m->keys[kept++] = m->keys[i];
        }
    }
    m->count = kept;
    for (size_t i = 0; i < kept; i++) {
        m->heads[i] = mem_alloc_zero(sizeof(struct store_version));
        m->heads[i]->tombstone = true;
        m->keys[i]->head = m->heads[i];
    }
}

static void key_set_deinit(struct key_set *m)
{
    for (size_t i = 0; i < m->count; i++) {
        mem_free(m->keys[i]);
        mem_free(m->heads[i]);
    }
}

static void toggle_one(struct store_tree *t, struct key_set *m, size_t i)
{
    struct store_tree_path path;
    struct bytes key = store_key_view(m->keys[i]);
    struct store_key *found = store_tree_locate(t, key, &path);
    assert_true(found == (m->present[i] ? m->keys[i] : NULL));
    assert_true(store_tree_find(t, key) == found);
    if (!m->present[i]) {
        store_tree_insert(t, &path, m->keys[i]);
        m->present[i] = true;
    } else if (!m->live[i]) {
        m->heads[i]->tombstone = false;
        store_tree_set_live(t, &path, true);
        m->live[i] = true;
    } else {
        m->heads[i]->tombstone = true;
        store_tree_set_live(t, &path, false);
        assert_true(store_tree_locate(t, key, &path) == found);
        store_tree_remove(t, &path);
        m->present[i] = m->live[i] = false;
    }
}

static void compare_walks(const struct store_tree *t, const struct key_set *m, size_t from)
{
    struct bytes key = store_key_view(m->keys[from]);
    struct store_tree_pos up = store_tree_seek(t, key);
    for (size_t i = from; i < m->count && i < from + 200; i++) {
        if (m->present[i]) {
            assert_ptr_equal(store_tree_at(up), m->keys[i]);
            up = store_tree_next(up);
        }
    }
    struct store_tree_pos down = store_tree_seek_before(t, key);
    for (size_t i = from, steps = 0; i-- > 0 && steps < 200; steps++) {
        if (m->present[i]) {
            assert_ptr_equal(store_tree_at(down), m->keys[i]);
            down = store_tree_prev(down);
        }
    }
    uint64_t rank = 0;
    for (size_t i = 0; i < from; i++) {
        rank += m->live[i];
    }
    assert_int_equal(store_tree_rank(t, key), rank);
}

static void equals_a_sorted_array_under_random_changes(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(4); round++) {
        struct store_slab slab;
        struct store_tree t;
        struct key_set *m = mem_alloc_zero(sizeof *m);
        store_slab_init(&slab);
        store_tree_init(&t, &slab);
        key_set_init(m, &prng);
        for (size_t i = 0; i < 30000; i++) {
            /* Waves: the tree fills, empties, and fills again. */
            size_t at = prng_below(&prng, m->count);
            bool filling = i / 5000 % 2 == 0;
            if (m->live[at] == filling) {
                at = prng_below(&prng, m->count);
            }
            toggle_one(&t, m, at);
            if (i % 1000 == 0) {
                store_tree_check(&t);
                compare_walks(&t, m, prng_below(&prng, m->count));
            }
        }
        for (size_t i = 0; i < m->count; i++) {
            while (m->present[i]) {
                toggle_one(&t, m, i);
            }
        }
        assert_int_equal(t.keys, 0);
        assert_int_equal(t.height, 0);
        store_tree_check(&t);
        store_tree_deinit(&t);
        assert_int_equal(slab.used_bytes, 0);
        store_slab_deinit(&slab);
        key_set_deinit(m);
        mem_free(m);
    }
}

static void fills_its_leaves_when_keys_come_in_order(void **state)
{
    (void)state;
    struct store_slab slab;
    struct store_tree t;
    struct store_version head = {.tombstone = true};
    store_slab_init(&slab);
    store_tree_init(&t, &slab);
    struct store_key *keys[6400];
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        keys[i] = mem_alloc_zero(sizeof *keys[i] + 4);
        keys[i]->len = 4;
        keys[i]->head = &head;
        keys[i]->bytes[2] = (uint8_t)(i >> 8);
        keys[i]->bytes[3] = (uint8_t)i;
        struct store_tree_path path;
        assert_null(store_tree_locate(&t, store_key_view(keys[i]), &path));
        store_tree_insert(&t, &path, keys[i]);
    }
    store_tree_check(&t);
    /* 100 full leaves of 1 KiB and some, and a handful of inner nodes. */
    assert_true(slab.used_bytes < 100 * 1280 + 8 * 2560 + 100 * 32);
    store_tree_deinit(&t);
    store_slab_deinit(&slab);
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        mem_free(keys[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_a_sorted_array_under_random_changes),
        cmocka_unit_test(fills_its_leaves_when_keys_come_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
