/*
 * Any bytes as payloads of the log. A round is a kind, a length and a body: the body of that kind
 * in an envelope, or with kind 0 the whole payload. Two stores are fed the same; one answers, the
 * other does not, and frees what compaction leaves at another pace. They must stay equal, keep
 * their invariants, and a snapshot of one must restore to the same state.
 */
#include "tests/fuzz/fuzz_target.h"

#include "core/base/check.h"
#include "core/base/cursor.h"
#include "core/store/store.h"

static void feed_one(struct store *a, struct store *b, uint64_t index, uint8_t kind,
                     struct bytes body)
{
    struct buf payload;
    struct buf response;
    buf_init(&payload);
    buf_init(&response);
    if (kind == 0) {
        buf_put(&payload, body.data, body.len);
    } else {
        static const uint8_t users[] = "root";
        uint64_t auth_revision = store_auth_revision(a) - (index % 7 == 0 ? 1 : 0);
        /* "root" and "r" take turns with nobody. */
        struct bytes user = {users, index % 5 == 0 ? 0 : index % 2 == 0 ? 1 : 4};
        store_envelope_encode(&payload, &(struct store_envelope){.kind = kind,
                                                                 .feature_level = 1,
                                                                 .auth_revision = auth_revision,
                                                                 .user = user,
                                                                 .origin = 1 + index % 3,
                                                                 .boot = 1,
                                                                 .sequence = index,
                                                                 .assigned_id = index,
                                                                 .term = 1,
                                                                 .body = body});
    }
    struct store_entry entry = {index, 1, 0, buf_view(&payload)};
    struct store_result result_a = {0};
    struct store_result result_b = {0};
    enum err err_a = store_apply(a, &entry, &result_a, &response);
    enum err err_b = store_apply(b, &entry, &result_b, NULL);
    CHECK(err_a == err_b && result_a.status == result_b.status);
    CHECK(store_hash(a) == store_hash(b));
    CHECK(result_a.status == STORE_OK || response.len == 0);
    int64_t revision;
    buf_clear(&response);
    if (store_range_read(a, body, &revision, &response) != STORE_OK) {
        CHECK(response.len == 0);
    }
    (void)store_work(a, 3);
    buf_deinit(&payload);
    buf_deinit(&response);
}

static void restore_and_compare(struct store *s)
{
    struct buf bytes;
    struct store *copy = NULL;
    buf_init(&bytes);
    struct store_snapshot *snap = store_snapshot_begin(s);
    while (store_snapshot_step(snap, 5, &bytes) == ERR_PENDING) {
    }
    store_snapshot_end(snap);
    struct store_restore *restore = store_restore_begin();
    CHECK(store_restore_feed(restore, buf_view(&bytes)) == OK);
    CHECK(store_restore_finish(restore, &copy) == OK);
    CHECK(store_hash(copy) == store_hash(s));
    store_check(copy);
    store_close(copy);
    buf_deinit(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct store *a = store_open(2);
    struct store *b = store_open(2);
    struct cursor c;
    uint64_t index = 0;
    cursor_init(&c, (struct bytes){bytes, n});
    while (cursor_left(&c) > 0) {
        uint8_t kind = cursor_u8(&c);
        struct bytes body = cursor_bytes(&c, n);
        if (!cursor_ok(&c)) {
            break;
        }
        feed_one(a, b, ++index, kind, body);
    }
    store_check(a);
    store_check(b);
    restore_and_compare(b);
    store_close(a);
    store_close(b);
    return 0;
}
