/* What every cipher behind seal.h must do: run by the tests of each of them. */
#ifndef NOVACRON_TESTS_SEAL_CONTRACT_H
#define NOVACRON_TESTS_SEAL_CONTRACT_H

#include "core/monitoring/health/seal.h"
#include "tests/support/test.h"

#include <string.h>

/* What was sealed opens, for texts of any length; and no longer once any bit of the envelope is
 * another one, or it is cut, or the label or the key is another. The text does not show. */
static inline void seal_contract(const struct seal_cipher *cipher)
{
    const struct seal_label label = {.bytes = "cluster-a", .len = 9};
    const struct seal_label other = {.bytes = "cluster-b", .len = 9};
    struct seal_ring ring = {.keys = {{7, 7, 7}}, .n = 1};
    struct seal_ring wrong = {.keys = {{7, 7, 8}}, .n = 1};
    struct seal_sender sender = {.id = 300, .instance = 77};
    uint8_t text[96];
    uint8_t envelope[96 + SEAL_OVERHEAD_MAX_BYTES];
    uint8_t again[96 + SEAL_OVERHEAD_MAX_BYTES];
    uint8_t scratch[96 + SEAL_OVERHEAD_MAX_BYTES];
    struct seal_opened opened;

    memset(text, 'a', sizeof(text));
    for (size_t n = 0; n <= sizeof(text); n += 3) {
        size_t len = seal_wrap(cipher, &ring, &label, &sender, (struct bytes){text, n}, envelope);
        struct bytes whole = {envelope, len};

        assert_true(len <= n + SEAL_OVERHEAD_MAX_BYTES);
        assert_int_equal(seal_unwrap(cipher, &ring, &label, whole, scratch, &opened), OK);
        assert_int_equal(opened.sender, 300);
        assert_int_equal(opened.instance, 77);
        assert_int_equal(opened.counter, sender.counter);
        assert_int_equal(opened.text.len, n);
        assert_true(n == 0 || memcmp(opened.text.data, text, n) == 0);
        assert_true(n < 8 || memmem(envelope, len, text, 8) == NULL);
        assert_int_equal(seal_unwrap(cipher, &ring, &other, whole, scratch, &opened),
                         ERR_NOT_FOUND);
        assert_int_equal(seal_unwrap(cipher, &wrong, &label, whole, scratch, &opened), ERR_DENIED);
        for (size_t bit = 0; bit < 8 * len; bit++) {
            envelope[bit / 8] ^= (uint8_t)(1U << bit % 8);
            assert_int_not_equal(seal_unwrap(cipher, &ring, &label, whole, scratch, &opened), OK);
            envelope[bit / 8] ^= (uint8_t)(1U << bit % 8);
        }
        for (size_t cut = 0; cut < len; cut++) {
            assert_int_not_equal(
                seal_unwrap(cipher, &ring, &label, (struct bytes){envelope, cut}, scratch, &opened),
                OK);
        }
        /* The same text again looks different: the counter has moved. */
        (void)seal_wrap(cipher, &ring, &label, &sender, (struct bytes){text, n}, again);
        assert_true(n < 8 || memcmp(envelope + len - SEAL_TAG_BYTES - n,
                                    again + len - SEAL_TAG_BYTES - n, n) != 0);
    }
}

#endif
