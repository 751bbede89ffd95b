#include "core/monitoring/health/seal.h"

#include "tests/core/monitoring/health/seal_contract.h"
#include "tests/support/test.h"

#include <string.h>

static const struct seal_cipher cipher = {NULL, &seal_stand_in};

static void stand_in_keeps_the_contract(void **state)
{
    (void)state;
    seal_contract(&cipher);
}

static struct seal_ring ring_of(uint8_t first, uint8_t second)
{
    struct seal_ring ring = {.n = 0};
    uint8_t key[SEAL_KEY_BYTES] = {first};

    assert_int_equal(seal_ring_put(&ring, key, false), OK);
    if (second != 0) {
        key[0] = second;
        assert_int_equal(seal_ring_put(&ring, key, false), OK);
    }
    return ring;
}

/* Old only; old first, new behind; new first, old behind; new only. */
static void neighbours_in_a_rotation_understand_each_other(void **state)
{
    (void)state;
    const struct seal_ring steps[] = {ring_of(1, 0), ring_of(1, 2), ring_of(2, 1), ring_of(2, 0)};
    const struct seal_label label = {.bytes = "c", .len = 1};
    uint8_t envelope[128];
    uint8_t scratch[128];
    struct seal_opened opened;

    for (int a = 0; a < 4; a++) {
        for (int b = 0; b < 4; b++) {
            struct seal_sender sender = {.id = 9, .instance = 1};
            size_t n = seal_wrap(&cipher, &steps[a], &label, &sender,
                                 (struct bytes){(const uint8_t *)"hello", 5}, envelope);
            enum err e = seal_unwrap(&cipher, &steps[b], &label, (struct bytes){envelope, n},
                                     scratch, &opened);
            bool close = a - b <= 1 && b - a <= 1;

            assert_true(!close || e == OK);
            if ((a == 0 && b == 3) || (a == 3 && b == 0)) {
                assert_int_equal(e, ERR_DENIED);
            }
        }
    }
}

static void ring_refuses_a_key_too_many_and_its_last(void **state)
{
    (void)state;
    struct seal_ring ring = ring_of(1, 2);
    uint8_t key[SEAL_KEY_BYTES] = {3};

    assert_int_equal(seal_ring_put(&ring, key, true), OK);
    assert_int_equal(ring.keys[0][0], 3);
    assert_int_equal(ring.keys[1][0], 1);
    assert_int_equal(seal_ring_drop(&ring, key), ERR_REFUSED);
    key[0] = 4;
    assert_int_equal(seal_ring_put(&ring, key, false), OK);
    key[0] = 5;
    assert_int_equal(seal_ring_put(&ring, key, false), ERR_NO_SPACE);
    assert_int_equal(seal_ring_drop(&ring, key), ERR_NOT_FOUND);
    key[0] = 1;
    assert_int_equal(seal_ring_drop(&ring, key), OK);
    assert_int_equal(ring.n, 3);
    key[0] = 2;
    assert_int_equal(seal_ring_put(&ring, key, true), OK);
    assert_int_equal(ring.n, 3);
    assert_int_equal(ring.keys[0][0], 2);
    assert_int_equal(ring.keys[1][0], 3);
}

/* Against a model that remembers everything. */
static void window_admits_each_message_once(void **state)
{
    (void)state;
    struct prng p = test_prng("window");
    struct seal_window window = {.instance = 0};
    bool seen[3][400] = {{false}};
    uint64_t highest = 0;
    uint64_t instance = 0;

    for (int i = 0; i < 5000; i++) {
        uint64_t of = prng_chance(&p, 1, 1000) ? prng_below(&p, 3) : instance;
        uint64_t counter = 1 + prng_below(&p, 399);
        enum err e = OK;

        if (prng_chance(&p, 9, 10) && highest > 0) {
            counter = u64_min(399, highest + prng_below(&p, 4));
        }
        e = seal_window_admit(&window, of, counter);
        if (of < instance) {
            assert_int_equal(e, ERR_REFUSED);
            continue;
        }
        if (of > instance) {
            instance = of;
            highest = 0;
        }
        if (highest >= 64 && counter <= highest - 64) {
            assert_int_equal(e, ERR_EXISTS);
            continue;
        }
        assert_int_equal(e, seen[of][counter] ? ERR_EXISTS : OK);
        seen[of][counter] = true;
        highest = u64_max(highest, counter);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stand_in_keeps_the_contract),
        cmocka_unit_test(neighbours_in_a_rotation_understand_each_other),
        cmocka_unit_test(ring_refuses_a_key_too_many_and_its_last),
        cmocka_unit_test(window_admits_each_message_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
