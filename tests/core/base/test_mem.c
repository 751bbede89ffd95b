#include "core/base/mem.h"

#include "tests/support/test.h"

static void zero_bytes_are_memory_too(void **state)
{
    (void)state;
    void *a = mem_alloc(0);
    void *b = mem_alloc_zero(0);
    assert_non_null(a);
    assert_non_null(b);
    a = mem_realloc(a, 0);
    assert_non_null(a);
    mem_free(a);
    mem_free(b);
    mem_free(NULL);
}

static void zeroed_memory_is_zero(void **state)
{
    (void)state;
    uint8_t *bytes = mem_alloc_zero(1000);
    for (size_t i = 0; i < 1000; i++) {
        assert_int_equal(bytes[i], 0);
    }
    mem_free(bytes);
}

static void realloc_keeps_the_first_bytes(void **state)
{
    (void)state;
    uint8_t *bytes = mem_alloc(100);
    for (size_t i = 0; i < 100; i++) {
        bytes[i] = (uint8_t)i;
    }
    bytes = mem_realloc(bytes, 100000);
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(bytes[i], i);
    }
    bytes = mem_realloc(bytes, 10);
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(bytes[i], i);
    }
    mem_free(bytes);
}

static void grow_makes_room_and_keeps_the_items(void **state)
{
    (void)state;
    uint32_t *items = NULL;
    size_t cap = 0;
    size_t moves = 0;
    for (uint32_t i = 0; i < 10000; i++) {
        size_t before = cap;
        mem_grow((void **)&items, &cap, i + 1, sizeof *items);
        assert_true(cap > i);
        moves += cap != before;
        items[i] = i;
    }
    for (uint32_t i = 0; i < 10000; i++) {
        assert_int_equal(items[i], i);
    }
    /* 8, 16, ... 16384 */
    assert_int_equal(moves, 12);
    mem_free(items);
}

static void grow_leaves_an_array_that_is_large_enough(void **state)
{
    (void)state;
    uint32_t *items = NULL;
    size_t cap = 0;
    mem_grow((void **)&items, &cap, 100, sizeof *items);
    assert_int_equal(cap, 100);
    uint32_t *before = items;
    mem_grow((void **)&items, &cap, 100, sizeof *items);
    mem_grow((void **)&items, &cap, 0, sizeof *items);
    assert_ptr_equal(items, before);
    assert_int_equal(cap, 100);
    mem_free(items);
}

/* Times eight, this is 2^64 + 8: were the product to wrap, eight bytes would pass for all of them.
 */
#define WRAPS_TO_EIGHT_BYTES (SIZE_MAX / 8 + 2)

static void ask_for_more_than_there_can_be(void *arg)
{
    mem_free(mem_realloc_array(NULL, WRAPS_TO_EIGHT_BYTES, *(size_t *)arg));
}

static void grow_beyond_the_address_space(void *arg)
{
    void *items = NULL;
    size_t cap = 0;
    mem_grow(&items, &cap, WRAPS_TO_EIGHT_BYTES, *(size_t *)arg);
    mem_free(items);
}

static void aborts_where_the_product_overflows(void **state)
{
    (void)state;
    size_t size = 8;
    assert_true(test_aborts(ask_for_more_than_there_can_be, &size));
    assert_true(test_aborts(grow_beyond_the_address_space, &size));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zero_bytes_are_memory_too),
        cmocka_unit_test(zeroed_memory_is_zero),
        cmocka_unit_test(realloc_keeps_the_first_bytes),
        cmocka_unit_test(grow_makes_room_and_keeps_the_items),
        cmocka_unit_test(grow_leaves_an_array_that_is_large_enough),
        cmocka_unit_test(aborts_where_the_product_overflows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
