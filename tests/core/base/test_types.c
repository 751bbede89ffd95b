#include "core/base/types.h"

#include "tests/support/test.h"

#include "core/base/le.h"

static void saturates_instead_of_wrapping(void **state)
{
    (void)state;
    assert_true(u64_add_sat(1, 2) == 3);
    assert_true(u64_add_sat(NANOS_FOREVER, 0) == NANOS_FOREVER);
    assert_true(u64_add_sat(NANOS_FOREVER, 1) == NANOS_FOREVER);
    assert_true(u64_add_sat(NANOS_FOREVER - 1, NANOS_FOREVER - 1) == NANOS_FOREVER);
    assert_true(u64_sub_sat(3, 2) == 1);
    assert_true(u64_sub_sat(2, 2) == 0);
    assert_true(u64_sub_sat(2, 3) == 0);
}

static void picks_the_smaller_and_the_larger(void **state)
{
    (void)state;
    assert_true(u64_min(1, UINT64_MAX) == 1);
    assert_true(u64_min(2, 1) == 1);
    assert_true(u64_max(1, UINT64_MAX) == UINT64_MAX);
    assert_true(u64_max(2, 1) == 2);
}

static void loads_what_it_stored_at_any_address(void **state)
{
    (void)state;
    uint8_t bytes[16];
    for (size_t at = 0; at < 8; at++) {
        le16_store(bytes + at, 0xfedc);
        assert_int_equal(le16_load(bytes + at), 0xfedc);
        assert_int_equal(bytes[at], 0xdc);
        le32_store(bytes + at, 0xfedcba98);
        assert_int_equal(le32_load(bytes + at), 0xfedcba98);
        assert_int_equal(bytes[at], 0x98);
        le64_store(bytes + at, UINT64_C(0xfedcba9876543210));
        assert_true(le64_load(bytes + at) == UINT64_C(0xfedcba9876543210));
        assert_int_equal(bytes[at], 0x10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(saturates_instead_of_wrapping),
        cmocka_unit_test(picks_the_smaller_and_the_larger),
        cmocka_unit_test(loads_what_it_stored_at_any_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
