/* What comes on a stream between an agent and a member, of any bytes, in two pieces. Frames that
 * are taken are written again the same, but for hellos of other versions; transactions are held
 * against what an agent may write, and what is let through would be let through again. */
#include "tests/fuzz/fuzz_target.h"

#include <string.h>

#include "core/base/check.h"
#include "core/ha/ha_session_wire.h"

#define FUZZ_HOST "h"

static void fuzz_agent_txn(struct bytes body)
{
    const node_id member = ha_session_id(1, FUZZ_HOST);
    struct ha_txn txn;
    struct ha_txn again;

    ha_txn_init(&txn);
    ha_txn_init(&again);
    if (ha_session_txn(FUZZ_HOST, member, body, &txn) == OK) {
        CHECK(ha_session_txn(FUZZ_HOST, member, buf_view(&txn.body), &again) == OK);
        CHECK(again.body.len == txn.body.len &&
              memcmp(again.body.data, txn.body.data, txn.body.len) == 0);
    }
    ha_txn_deinit(&txn);
    ha_txn_deinit(&again);
}

static void fuzz_agent_frame(const struct ha_frame *frame)
{
    struct ha_frames once_more;
    struct ha_frame same;
    struct ha_change change;
    struct buf b;

    if (frame->kind == HA_FRAME_TXN) {
        fuzz_agent_txn(frame->as.txn.body);
    }
    if (frame->kind == HA_FRAME_CHANGES) {
        struct bytes rest = frame->as.changes;
        while (ha_changes_next(&rest, &change)) {
            (void)ha_session_tells(change.key);
        }
    }
    if (frame->kind == HA_FRAME_HELLO && frame->as.hello.version != HA_SESSION_VERSION) {
        return;
    }
    buf_init(&b);
    ha_frame_encode(frame, &b);
    ha_frames_init(&once_more, false);
    ha_frames_put(&once_more, buf_view(&b));
    CHECK(ha_frames_next(&once_more, &same, NULL) == OK && same.kind == frame->kind);
    ha_frames_deinit(&once_more);
    buf_deinit(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct ha_frames frames;
    struct ha_frame frame;
    const size_t first = n > 0 ? bytes[0] % n : 0;

    /* A body alone, which no checksum guards. */
    if (ha_frame_decode((struct bytes){bytes, n}, &frame) == OK) {
        fuzz_agent_frame(&frame);
    }
    ha_frames_init(&frames, n > 0 && bytes[0] == 'N');
    ha_frames_put(&frames, (struct bytes){bytes, first});
    while (ha_frames_next(&frames, &frame, NULL) == OK) {
        fuzz_agent_frame(&frame);
    }
    ha_frames_put(&frames, (struct bytes){bytes + first, n - first});
    while (ha_frames_next(&frames, &frame, NULL) == OK) {
        fuzz_agent_frame(&frame);
    }
    ha_frames_deinit(&frames);
    return 0;
}
