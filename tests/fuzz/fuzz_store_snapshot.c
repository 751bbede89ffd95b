/*
 * Any bytes as a snapshot, with the checksums of its blocks put right, so that what lies behind
 * them is reached. What restores keeps the invariants, and writes a snapshot that restores to the
 * same state.
 */
#include "tests/fuzz/fuzz_target.h"

#include "core/base/check.h"
#include "core/base/crc.h"
#include "core/base/le.h"
#include "core/store/store.h"

#define PREFIX_BYTES 12

static void mend_checksums(struct buf *b)
{
    size_t at = 0;
    while (b->len - at >= PREFIX_BYTES) {
        uint32_t len = le32_load(b->data + at + 4);
        if (len > b->len - at - PREFIX_BYTES) {
            return;
        }
        uint32_t crc = crc32c(0, b->data + at, 8);
        le32_store(b->data + at + 8, crc32c(crc, b->data + at + PREFIX_BYTES, len));
        at += PREFIX_BYTES + len;
    }
}

static struct store *restore_all(struct bytes bytes, size_t step)
{
    struct store_restore *r = store_restore_begin();
    enum err e = OK;
    for (size_t at = 0; at < bytes.len && e == OK; at += step) {
        size_t n = bytes.len - at < step ? bytes.len - at : step;
        e = store_restore_feed(r, (struct bytes){bytes.data + at, n});
    }
    struct store *s = NULL;
    if (e != OK || store_restore_finish(r, &s) != OK) {
        store_restore_abort(r);
        return NULL;
    }
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct buf b;
    buf_init(&b);
    buf_put(&b, bytes, n);
    mend_checksums(&b);
    struct store *s = restore_all(buf_view(&b), 100);
    if (s != NULL) {
        store_check(s);
        buf_clear(&b);
        struct store_snapshot *snap = store_snapshot_begin(s);
        while (store_snapshot_step(snap, 5, &b) == ERR_PENDING) {
        }
        store_snapshot_end(snap);
        struct store *again = restore_all(buf_view(&b), b.len);
        CHECK(again != NULL && store_hash(again) == store_hash(s));
        store_close(again);
        store_close(s);
    }
    buf_deinit(&b);
    return 0;
}
