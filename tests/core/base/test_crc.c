#include "core/base/crc.h"

#include "tests/support/test.h"

#include <string.h>

/* RFC 3720, appendix B.4. */
static void matches_the_vectors_of_rfc_3720(void **state)
{
    (void)state;
    uint8_t block[32];

    assert_int_equal(crc32c(0, "123456789", 9), 0xE3069283);
    memset(block, 0, sizeof block);
    assert_int_equal(crc32c(0, block, sizeof block), 0x8A9136AA);
    memset(block, 0xFF, sizeof block);
    assert_int_equal(crc32c(0, block, sizeof block), 0x62A8AB43);
    for (size_t i = 0; i < sizeof block; i++) {
        block[i] = (uint8_t)i;
    }
    assert_int_equal(crc32c(0, block, sizeof block), 0x46DD794E);
    for (size_t i = 0; i < sizeof block; i++) {
        block[i] = (uint8_t)(31 - i);
    }
    assert_int_equal(crc32c(0, block, sizeof block), 0x113FDB5C);
}

static void checksum_of_nothing_is_what_came_before(void **state)
{
    (void)state;
    assert_int_equal(crc32c(0, NULL, 0), 0);
    assert_int_equal(crc32c(0xE3069283, NULL, 0), 0xE3069283);
}

/* The definition, a bit at a time: what the fast one is compared with. */
static uint32_t crc32c_by_bits(uint32_t crc, const uint8_t *data, size_t n)
{
    crc = ~crc;
    for (size_t i = 0; i < n; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78 : 0);
        }
    }
    return ~crc;
}

static void equals_the_bitwise_definition_however_it_is_chained(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    uint8_t bytes[512];

    for (size_t round = 0; round < test_rounds(2000); round++) {
        size_t start = prng_below(&prng, 16);
        size_t n = prng_below(&prng, sizeof bytes - start + 1);
        for (size_t i = 0; i < n; i++) {
            bytes[start + i] = (uint8_t)prng_u64(&prng);
        }
        uint32_t whole = crc32c(0, bytes + start, n);
        assert_int_equal(whole, crc32c_by_bits(0, bytes + start, n));
        size_t cut = prng_range(&prng, 0, n);
        uint32_t head = crc32c(0, bytes + start, cut);
        assert_int_equal(crc32c(head, bytes + start + cut, n - cut), whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_the_vectors_of_rfc_3720),
        cmocka_unit_test(checksum_of_nothing_is_what_came_before),
        cmocka_unit_test(equals_the_bitwise_definition_however_it_is_chained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
