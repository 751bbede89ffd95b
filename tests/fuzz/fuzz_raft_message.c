/*
 * The decoders of the raft folder on any bytes: messages, snapshot names, membership changes. What
 * was read well is written again, and must give the same bytes: each value has one encoding.
 */
#include "tests/fuzz/fuzz_target.h"

#include <string.h>

#include "core/base/check.h"
#include "core/consensus/raft/raft_message.h"

static void check_same_bytes(const struct buf *again, struct bytes b)
{
    CHECK(again->len == b.len);
    CHECK(b.len == 0 || memcmp(again->data, b.data, b.len) == 0);
}

static void reencode_message(struct bytes b, struct buf *again)
{
    struct raft_message_space space = {0};
    struct raft_message m;
    if (raft_message_decode(b, &space, &m) == OK) {
        raft_message_encode(&m, again);
        check_same_bytes(again, b);
    }
    raft_message_space_deinit(&space);
}

static void reencode_snapshot(struct bytes b, struct buf *again)
{
    struct raft_snapshot s;
    if (raft_snapshot_decode(b, &s) == OK) {
        buf_clear(again);
        raft_snapshot_encode(&s, again);
        check_same_bytes(again, b);
    }
}

/* A change that decodes may be applied to any membership, and leaves a valid one. */
static void reencode_change(struct bytes b, struct buf *again)
{
    struct raft_conf_change change;
    if (raft_conf_change_decode(b, &change) != OK) {
        return;
    }
    buf_clear(again);
    raft_conf_change_encode(&change, again);
    check_same_bytes(again, b);

    struct raft_membership ms = {0};
    for (node_id id = 1; id <= 3; id++) {
        raft_membership_insert(&ms, id, RAFT_VOTER);
    }
    if (raft_membership_apply(&ms, &change, &ms) == RAFT_CHANGE_OK) {
        raft_membership_check(&ms);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct bytes b = {bytes, n};
    struct buf again;
    buf_init(&again);
    reencode_message(b, &again);
    reencode_snapshot(b, &again);
    reencode_change(b, &again);
    buf_deinit(&again);
    return 0;
}
