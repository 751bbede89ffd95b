#include "core/base/sort.h"

#include "tests/support/test.h"

#include "core/base/hash.h"

/* Larger than the block that items are swapped by, and of no round size. */
struct wide_item {
    uint64_t key;
    uint64_t twin; /* hash of key and rest: an item that was torn apart shows */
    uint8_t rest[85];
};

static int by_number(const void *a, const void *b)
{
    const uint32_t *x = a;
    const uint32_t *y = b;
    return (*x > *y) - (*x < *y);
}

static int by_key(const void *a, const void *b)
{
    const struct wide_item *x = a;
    const struct wide_item *y = b;
    return (x->key > y->key) - (x->key < y->key);
}

static uint64_t twin_of(const struct wide_item *item)
{
    return hash_bytes(hash_u64(0, item->key), item->rest, sizeof item->rest);
}

static void sorts_every_permutation_of_up_to_seven(void **state)
{
    (void)state;
    for (uint32_t n = 0; n <= 7; n++) {
        uint32_t permutations = 1;
        for (uint32_t i = 2; i <= n; i++) {
            permutations *= i;
        }
        for (uint32_t which = 0; which < permutations; which++) {
            uint32_t left[7] = {0, 1, 2, 3, 4, 5, 6};
            uint32_t items[7] = {0};
            uint32_t code = which;
            for (uint32_t i = 0; i < n; i++) {
                uint32_t pick = code % (n - i);
                code /= n - i;
                items[i] = left[pick];
                left[pick] = left[n - i - 1];
            }
            sort_items(items, n, sizeof items[0], by_number);
            for (uint32_t i = 0; i < n; i++) {
                assert_int_equal(items[i], i);
            }
        }
    }
}

static void sorts_numbers_with_repetitions(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    static uint32_t items[3000];
    for (size_t round = 0; round < test_rounds(100); round++) {
        size_t n = prng_below(&prng, COUNT_OF(items) + 1);
        uint64_t values = prng_range(&prng, 1, 5000);
        uint64_t sum = 0;
        for (size_t i = 0; i < n; i++) {
            items[i] = (uint32_t)prng_below(&prng, values);
            sum += hash_u64(0, items[i]);
        }
        sort_items(items, n, sizeof items[0], by_number);
        for (size_t i = 0; i < n; i++) {
            assert_true(i == 0 || items[i - 1] <= items[i]);
            sum -= hash_u64(0, items[i]);
        }
        assert_true(sum == 0);
    }
}

static void keeps_items_of_any_size_whole(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    static struct wide_item items[500];
    for (size_t i = 0; i < COUNT_OF(items); i++) {
        items[i].key = prng_u64(&prng);
        for (size_t at = 0; at < sizeof items[i].rest; at++) {
            items[i].rest[at] = (uint8_t)prng_u64(&prng);
        }
        items[i].twin = twin_of(&items[i]);
    }
    sort_items(items, COUNT_OF(items), sizeof items[0], by_key);
    for (size_t i = 0; i < COUNT_OF(items); i++) {
        assert_true(i == 0 || items[i - 1].key <= items[i].key);
        assert_true(items[i].twin == twin_of(&items[i]));
    }
}

static void sorting_nothing_is_allowed(void **state)
{
    (void)state;
    sort_items(NULL, 0, 4, by_number);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sorts_every_permutation_of_up_to_seven),
        cmocka_unit_test(sorts_numbers_with_repetitions),
        cmocka_unit_test(keeps_items_of_any_size_whole),
        cmocka_unit_test(sorting_nothing_is_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
