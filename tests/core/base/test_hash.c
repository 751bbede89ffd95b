#include "core/base/hash.h"

#include "tests/support/test.h"

/* From the sanity checks of the xxHash project (XXH3_64bits of nothing), and pinned from this
 * build: a library that hashes differently must not get into a cluster unseen. */
static void matches_known_values(void **state)
{
    (void)state;
    assert_true(hash_bytes(0, NULL, 0) == UINT64_C(0x2d06800538d394c2));
    assert_true(hash_bytes(0, "123456789", 9) == UINT64_C(0x72dcb18b67a17dff));
    assert_true(hash_u64(0, 1) == UINT64_C(0x2fbc593564db792e));
}

static void number_hashes_as_its_little_endian_bytes(void **state)
{
    (void)state;
    const uint8_t bytes[] = {8, 7, 6, 5, 4, 3, 2, 1};
    assert_true(hash_u64(3, 0x0102030405060708) == hash_bytes(3, bytes, sizeof bytes));
}

static void chain_depends_on_order_and_on_every_link(void **state)
{
    (void)state;
    uint64_t ab = hash_u64(hash_u64(0, 1), 2);
    uint64_t ba = hash_u64(hash_u64(0, 2), 1);
    uint64_t a = hash_u64(0, 1);
    assert_true(ab != ba);
    assert_true(ab != a);
    assert_true(ab != hash_u64(0, 2));
    assert_true(hash_bytes(a, "x", 1) != hash_bytes(0, "x", 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_known_values),
        cmocka_unit_test(number_hashes_as_its_little_endian_bytes),
        cmocka_unit_test(chain_depends_on_order_and_on_every_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
