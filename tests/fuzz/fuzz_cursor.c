/*
 * The cursor on any bytes. The first byte of a round says what is read next; whatever was read well
 * is written again by buf, and must give the same bytes: each value has one encoding.
 */
#include "tests/fuzz/fuzz_target.h"

#include <string.h>

#include "core/base/buf.h"
#include "core/base/check.h"
#include "core/base/cursor.h"

#define FUZZ_BYTES_MAX 64

static void reencode_one(struct cursor *c, struct buf *again)
{
    uint8_t kind = cursor_u8(c);
    buf_put_u8(again, kind);
    switch (kind % 7) {
    case 0:
        buf_put_u8(again, cursor_u8(c));
        break;
    case 1:
        buf_put_u16(again, cursor_u16(c));
        break;
    case 2:
        buf_put_u32(again, cursor_u32(c));
        break;
    case 3:
        buf_put_u64(again, cursor_u64(c));
        break;
    case 4:
        buf_put_varint(again, cursor_varint(c));
        break;
    case 5:
        buf_put_bytes(again, cursor_bytes(c, FUZZ_BYTES_MAX));
        break;
    default: {
        struct bytes view = cursor_take(c, kind / 7);
        buf_put(again, view.data, view.len);
        break;
    }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct cursor c;
    struct buf again;
    cursor_init(&c, (struct bytes){bytes, n});
    buf_init(&again);

    while (cursor_left(&c) > 0) {
        size_t good = again.len;
        reencode_one(&c, &again);
        if (!cursor_ok(&c)) {
            CHECK(cursor_left(&c) == 0);
            again.len = good;
            break;
        }
        CHECK(again.len == (size_t)(c.at - bytes));
    }
    CHECK(again.len <= n);
    CHECK(again.len == 0 || memcmp(again.data, bytes, again.len) == 0);
    CHECK(!cursor_done(&c) || again.len == n);
    buf_deinit(&again);
    return 0;
}
