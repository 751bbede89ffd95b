#include "tests/support/pb_text.h"

#include <stdio.h>
#include <string.h>

#include "core/store/store_pb.h"
#include "tests/support/test.h"

static const char *text_number(const char *at, uint64_t *ret)
{
    bool is_negative = *at == '-';
    at += is_negative;
    uint64_t v = 0;
    assert_true(*at >= '0' && *at <= '9');
    while (*at >= '0' && *at <= '9') {
        v = v * 10 + (uint64_t)(*at++ - '0');
    }
    *ret = is_negative ? 0 - v : v;
    return at;
}

static const char *text_string(const char *at, struct buf *b)
{
    assert_int_equal(*at++, '\'');
    while (*at != '\'') {
        assert_true(*at != '\0');
        if (at[0] == '\\' && at[1] == '0') {
            buf_put_u8(b, 0);
            at += 2;
        } else {
            buf_put_u8(b, (uint8_t)*at++);
        }
    }
    return at + 1;
}

static const char *text_fields(const char *at, struct buf *b);

static const char *text_field(const char *at, struct buf *b)
{
    uint64_t number;
    at = text_number(at, &number);
    assert_int_equal(*at++, ':');
    if (*at == '\'' || *at == '{') {
        struct buf inner;
        buf_init(&inner);
        if (*at == '\'') {
            at = text_string(at, &inner);
        } else {
            at = text_fields(at + 1, &inner);
            assert_int_equal(*at++, '}');
        }
        store_pb_put_message(b, (uint32_t)number, inner.len);
        buf_put(b, inner.data, inner.len);
        buf_deinit(&inner);
    } else {
        uint64_t v;
        at = text_number(at, &v);
        buf_put_varint(b, number << 3);
        buf_put_varint(b, v);
    }
    return at;
}

static const char *text_fields(const char *at, struct buf *b)
{
    for (;;) {
        while (*at == ' ') {
            at++;
        }
        if (*at == '\0' || *at == '}') {
            return at;
        }
        at = text_field(at, b);
    }
}

void pb_text_encode(struct buf *b, const char *text)
{
    assert_int_equal(*text_fields(text, b), '\0');
}

static bool looks_like_text(struct bytes b)
{
    for (size_t i = 0; i < b.len; i++) {
        if (b.data[i] < ' ' || b.data[i] > '~') {
            return false;
        }
    }
    return true;
}

static void text_print(struct bytes message)
{
    struct store_pb pb;
    struct store_pb_field f;
    store_pb_init(&pb, message);
    while (store_pb_next(&pb, &f)) {
        if (f.wire != STORE_PB_LEN) {
            print_message("%u:%lld ", f.number, (long long)f.value);
        } else if (looks_like_text(f.bytes)) {
            print_message("%u:'%.*s' ", f.number, (int)f.bytes.len, (const char *)f.bytes.data);
        } else {
            print_message("%u:{", f.number);
            text_print(f.bytes);
            print_message("} ");
        }
    }
}

void pb_text_print(struct bytes message)
{
    print_message("# ");
    text_print(message);
    print_message("\n");
}

void pb_text_assert(struct bytes message, bool skips_header, const char *text)
{
    struct buf expected;
    struct buf got;
    buf_init(&expected);
    buf_init(&got);
    pb_text_encode(&expected, text);
    struct store_pb pb;
    struct store_pb_field f;
    store_pb_init(&pb, message);
    while (true) {
        const uint8_t *from = pb.at;
        if (!store_pb_next(&pb, &f)) {
            break;
        }
        if (!skips_header || f.number != 1) {
            buf_put(&got, from, (size_t)(pb.at - from));
        }
    }
    assert_false(pb.failed);
    if (got.len != expected.len || (got.len > 0 && memcmp(got.data, expected.data, got.len) != 0)) {
        pb_text_print(message);
        print_message("# is not: %s\n", text);
        fail();
    }
    buf_deinit(&expected);
    buf_deinit(&got);
}
