#include "core/base/buf.h"

#include "tests/support/test.h"

#include <string.h>

static void assert_holds(const struct buf *b, const char *bytes, size_t n)
{
    assert_int_equal(b->len, n);
    assert_memory_equal(b->data, bytes, n);
}

static void new_buffer_owns_nothing(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    assert_null(b.data);
    assert_int_equal(b.len, 0);
    assert_int_equal(b.cap, 0);
    buf_put(&b, NULL, 0);
    assert_null(b.data);
    buf_deinit(&b);
}

static void writes_integers_little_endian(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    buf_put_u8(&b, 0x01);
    buf_put_u16(&b, 0x0203);
    buf_put_u32(&b, 0x04050607);
    buf_put_u64(&b, 0x08090a0b0c0d0e0f);
    assert_holds(&b, "\x01\x03\x02\x07\x06\x05\x04\x0f\x0e\x0d\x0c\x0b\x0a\x09\x08", 15);
    buf_deinit(&b);
}

static void writes_varints_as_protocol_buffers_do(void **state)
{
    (void)state;
    static const struct {
        uint64_t value;
        const char *bytes;
        size_t n;
    } cases[] = {
        {0, "\x00", 1},
        {1, "\x01", 1},
        {127, "\x7f", 1},
        {128, "\x80\x01", 2},
        {150, "\x96\x01", 2},
        {300, "\xac\x02", 2},
        {16383, "\xff\x7f", 2},
        {16384, "\x80\x80\x01", 3},
        {UINT32_MAX, "\xff\xff\xff\xff\x0f", 5},
        {UINT64_C(1) << 63, "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 10},
        {UINT64_MAX, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10},
    };
    struct buf b;
    buf_init(&b);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        buf_clear(&b);
        buf_put_varint(&b, cases[i].value);
        assert_holds(&b, cases[i].bytes, cases[i].n);
    }
    buf_deinit(&b);
}

static void writes_bytes_after_their_length(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    buf_put_bytes(&b, (struct bytes){(const uint8_t *)"abc", 3});
    buf_put_bytes(&b, (struct bytes){NULL, 0});
    assert_holds(&b,
                 "\x03"
                 "abc"
                 "\x00",
                 5);
    buf_deinit(&b);
}

static void overwrites_what_was_put_before(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    buf_put(&b, "............", 12);
    buf_set_u32(&b, 0, 0x64636261);
    buf_set_u64(&b, 4, 0x6c6b6a6968676665);
    assert_holds(&b, "abcdefghijkl", 12);
    buf_deinit(&b);
}

static void overwrite_past_the_end(void *arg)
{
    buf_set_u64(arg, 1, 0);
}

static void aborts_on_overwriting_what_was_never_put(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    buf_put_u64(&b, 1);
    assert_true(test_aborts(overwrite_past_the_end, &b));
    buf_deinit(&b);
}

static void does_not_allocate_within_what_was_reserved(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    buf_reserve(&b, 1000);
    const uint8_t *before = b.data;
    size_t cap = b.cap;
    for (size_t i = 0; i < cap; i++) {
        buf_put_u8(&b, (uint8_t)i);
    }
    buf_reserve(&b, 0);
    assert_ptr_equal(b.data, before);
    assert_int_equal(b.cap, cap);
    buf_deinit(&b);
}

static void keeps_its_memory_when_cleared(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    buf_put(&b, "abc", 3);
    const uint8_t *before = b.data;
    buf_clear(&b);
    assert_int_equal(b.len, 0);
    assert_int_equal(buf_view(&b).len, 0);
    buf_put(&b, "de", 2);
    assert_ptr_equal(b.data, before);
    assert_holds(&b, "de", 2);
    buf_deinit(&b);
}

static void extends_by_nothing_at_a_valid_address(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    assert_non_null(buf_extend(&b, 0));
    assert_int_equal(b.len, 0);
    buf_deinit(&b);
}

static void keeps_what_was_put_in_pieces_of_any_size(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    static uint8_t expected[1 << 16];

    for (size_t round = 0; round < test_rounds(100); round++) {
        struct buf b;
        buf_init(&b);
        size_t len = 0;
        for (;;) {
            size_t n = prng_below(&prng, prng_chance(&prng, 1, 10) ? 5000 : 40);
            if (n > sizeof expected - len) {
                break;
            }
            for (size_t i = 0; i < n; i++) {
                expected[len + i] = (uint8_t)prng_u64(&prng);
            }
            buf_put(&b, expected + len, n);
            len += n;
            assert_true(b.len <= b.cap);
        }
        assert_int_equal(b.len, len);
        assert_memory_equal(b.data, expected, len);
        buf_deinit(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_buffer_owns_nothing),
        cmocka_unit_test(writes_integers_little_endian),
        cmocka_unit_test(writes_varints_as_protocol_buffers_do),
        cmocka_unit_test(writes_bytes_after_their_length),
        cmocka_unit_test(overwrites_what_was_put_before),
        cmocka_unit_test(aborts_on_overwriting_what_was_never_put),
        cmocka_unit_test(does_not_allocate_within_what_was_reserved),
        cmocka_unit_test(keeps_its_memory_when_cleared),
        cmocka_unit_test(extends_by_nothing_at_a_valid_address),
        cmocka_unit_test(keeps_what_was_put_in_pieces_of_any_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
