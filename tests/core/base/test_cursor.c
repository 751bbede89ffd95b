#include "core/base/cursor.h"

#include "tests/support/test.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/buf.h"

static struct cursor cursor_over(const void *bytes, size_t n)
{
    struct cursor c;
    cursor_init(&c, (struct bytes){bytes, n});
    return c;
}

static void reads_integers_little_endian(void **state)
{
    (void)state;
    struct cursor c =
        cursor_over("\x01\x03\x02\x07\x06\x05\x04\x0f\x0e\x0d\x0c\x0b\x0a\x09\x08", 15);
    assert_int_equal(cursor_u8(&c), 0x01);
    assert_int_equal(cursor_u16(&c), 0x0203);
    assert_int_equal(cursor_u32(&c), 0x04050607);
    assert_false(cursor_done(&c));
    assert_int_equal(cursor_left(&c), 8);
    assert_int_equal(cursor_u64(&c), 0x08090a0b0c0d0e0f);
    assert_true(cursor_done(&c));
}

static void cursor_over_nothing_is_done(void **state)
{
    (void)state;
    struct cursor c = cursor_over(NULL, 0);
    assert_true(cursor_ok(&c));
    assert_true(cursor_done(&c));
    assert_int_equal(cursor_take(&c, 0).len, 0);
    assert_true(cursor_done(&c));
    assert_int_equal(cursor_u8(&c), 0);
    assert_false(cursor_ok(&c));
}

static void failure_is_for_good(void **state)
{
    (void)state;
    struct cursor c = cursor_over("\xff\xff\xff", 3);
    assert_int_equal(cursor_u32(&c), 0);
    assert_false(cursor_ok(&c));
    assert_int_equal(cursor_left(&c), 0);

    /* Each of these would fit by itself. */
    assert_int_equal(cursor_u8(&c), 0);
    assert_int_equal(cursor_u16(&c), 0);
    assert_int_equal(cursor_varint(&c), 0);
    assert_null(cursor_take(&c, 1).data);
    assert_null(cursor_bytes(&c, 10).data);
    assert_false(cursor_ok(&c));
    assert_false(cursor_done(&c));
}

static uint64_t varint_of(const char *bytes, size_t n, bool *ok)
{
    struct cursor c = cursor_over(bytes, n);
    uint64_t v = cursor_varint(&c);
    *ok = cursor_done(&c);
    return v;
}

static void reads_varints_as_protocol_buffers_do(void **state)
{
    (void)state;
    bool ok = false;
    assert_int_equal(varint_of("\x00", 1, &ok), 0);
    assert_true(ok);
    assert_int_equal(varint_of("\x96\x01", 2, &ok), 150);
    assert_true(ok);
    assert_true(varint_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, &ok) == UINT64_MAX);
    assert_true(ok);
}

static void rejects_varint_that_is_not_shortest(void **state)
{
    (void)state;
    bool ok = true;
    assert_int_equal(varint_of("\x80\x00", 2, &ok), 0);
    assert_false(ok);
    assert_int_equal(varint_of("\xff\x80\x00", 3, &ok), 0);
    assert_false(ok);
    assert_int_equal(varint_of("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 10, &ok), 0);
    assert_false(ok);
}

static void rejects_varint_that_overflows_64_bits(void **state)
{
    (void)state;
    bool ok = true;
    assert_int_equal(varint_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10, &ok), 0);
    assert_false(ok);
    assert_int_equal(varint_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10, &ok), 0);
    assert_false(ok);
}

static void rejects_varint_longer_than_ten_bytes(void **state)
{
    (void)state;
    bool ok = true;
    assert_int_equal(varint_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00", 11, &ok), 0);
    assert_false(ok);
}

static void rejects_varint_that_ends_early(void **state)
{
    (void)state;
    bool ok = true;
    assert_int_equal(varint_of("", 0, &ok), 0);
    assert_false(ok);
    assert_int_equal(varint_of("\x80", 1, &ok), 0);
    assert_false(ok);
    assert_int_equal(varint_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff", 9, &ok), 0);
    assert_false(ok);
}

static void views_bytes_in_place(void **state)
{
    (void)state;
    const uint8_t bytes[] = "\x03"
                            "abcde";
    struct cursor c = cursor_over(bytes, 6);
    struct bytes view = cursor_bytes(&c, 3);
    assert_ptr_equal(view.data, bytes + 1);
    assert_int_equal(view.len, 3);
    view = cursor_take(&c, 2);
    assert_ptr_equal(view.data, bytes + 4);
    assert_int_equal(view.len, 2);
    assert_true(cursor_done(&c));
}

static void rejects_bytes_above_their_limit(void **state)
{
    (void)state;
    struct cursor c = cursor_over("\x03"
                                  "abc",
                                  4);
    assert_null(cursor_bytes(&c, 2).data);
    assert_false(cursor_ok(&c));
}

static void rejects_bytes_longer_than_what_is_left(void **state)
{
    (void)state;
    struct cursor c = cursor_over("\x04"
                                  "abc",
                                  4);
    assert_null(cursor_bytes(&c, SIZE_MAX).data);
    assert_false(cursor_ok(&c));

    c = cursor_over("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
                    "abc",
                    13);
    assert_null(cursor_bytes(&c, SIZE_MAX).data);
    assert_false(cursor_ok(&c));
}

/* Writes one random value of one random kind, or reads it back and compares. */
static void put_any(struct buf *b, struct prng *prng)
{
    uint64_t kind = prng_below(prng, 5);
    uint64_t v = prng_u64(prng) >> prng_below(prng, 64);
    if (kind == 0) {
        buf_put_u8(b, (uint8_t)v);
    } else if (kind == 1) {
        buf_put_u16(b, (uint16_t)v);
    } else if (kind == 2) {
        buf_put_u32(b, (uint32_t)v);
    } else if (kind == 3) {
        buf_put_u64(b, v);
    } else {
        buf_put_varint(b, v);
    }
}

static void assert_reads_any(struct cursor *c, struct prng *prng)
{
    uint64_t kind = prng_below(prng, 5);
    uint64_t v = prng_u64(prng) >> prng_below(prng, 64);
    if (kind == 0) {
        assert_int_equal(cursor_u8(c), (uint8_t)v);
    } else if (kind == 1) {
        assert_int_equal(cursor_u16(c), (uint16_t)v);
    } else if (kind == 2) {
        assert_int_equal(cursor_u32(c), (uint32_t)v);
    } else if (kind == 3) {
        assert_true(cursor_u64(c) == v);
    } else {
        assert_true(cursor_varint(c) == v);
    }
}

static void reads_back_whatever_a_buffer_wrote(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    struct buf b;
    buf_init(&b);
    for (size_t round = 0; round < test_rounds(500); round++) {
        struct prng writer = prng_fork(&prng, round);
        struct prng reader = writer;
        size_t n = prng_below(&prng, 200);
        buf_clear(&b);
        for (size_t i = 0; i < n; i++) {
            put_any(&b, &writer);
        }
        struct cursor c = cursor_over(b.data, b.len);
        for (size_t i = 0; i < n; i++) {
            assert_reads_any(&c, &reader);
        }
        assert_true(cursor_done(&c));
    }
    buf_deinit(&b);
}

/* The sanitizer's half of the test: each prefix is in a block of exactly its length. */
static void fails_on_every_proper_prefix_and_never_reads_past_it(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    buf_put_varint(&b, UINT64_MAX);
    buf_put_u32(&b, 7);
    buf_put_bytes(&b, (struct bytes){(const uint8_t *)"abcdef", 6});
    buf_put_u64(&b, 8);

    for (size_t n = 0; n <= b.len; n++) {
        uint8_t *prefix = malloc(n + (n == 0));
        assert_non_null(prefix);
        memcpy(prefix, b.data, n);
        struct cursor c = cursor_over(prefix, n);
        cursor_varint(&c);
        cursor_u32(&c);
        cursor_bytes(&c, 100);
        cursor_u64(&c);
        assert_int_equal(cursor_done(&c), n == b.len);
        free(prefix);
    }
    buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_integers_little_endian),
        cmocka_unit_test(cursor_over_nothing_is_done),
        cmocka_unit_test(failure_is_for_good),
        cmocka_unit_test(reads_varints_as_protocol_buffers_do),
        cmocka_unit_test(rejects_varint_that_is_not_shortest),
        cmocka_unit_test(rejects_varint_that_overflows_64_bits),
        cmocka_unit_test(rejects_varint_longer_than_ten_bytes),
        cmocka_unit_test(rejects_varint_that_ends_early),
        cmocka_unit_test(views_bytes_in_place),
        cmocka_unit_test(rejects_bytes_above_their_limit),
        cmocka_unit_test(rejects_bytes_longer_than_what_is_left),
        cmocka_unit_test(reads_back_whatever_a_buffer_wrote),
        cmocka_unit_test(fails_on_every_proper_prefix_and_never_reads_past_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
