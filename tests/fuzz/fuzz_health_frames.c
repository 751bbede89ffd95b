/*
 * What comes on a stream to the health agent: the first byte says in which pieces it comes, and
 * whether from one who is known. However it is cut, the messages are the same, none is larger than
 * allowed, and nothing is kept beyond what came. Each message goes on to a member's protocol, which
 * stays sound.
 */
#include "core/monitoring/health/health_frame.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/hash.h"
#include "tests/fuzz/fuzz_target.h"

#define FUZZ_FRAME_MAX 4096

struct frames_seen {
    uint64_t hash;
    size_t count;
    enum err end;
};

static struct frames_seen fuzz_frames(const uint8_t *data, size_t size, size_t step, bool opens,
                                      struct swim *s, struct swim_update *u)
{
    struct frames_seen seen = {.end = ERR_TRUNCATED};
    struct health_frames f;
    struct bytes message;

    health_frames_init(&f);
    health_frames_begin(&f, opens, FUZZ_FRAME_MAX);
    for (size_t at = 0; at < size && seen.end == ERR_TRUNCATED; at += step) {
        health_frames_put(&f, (struct bytes){data + at, u64_min(step, size - at)});
        while ((seen.end = health_frames_next(&f, &message)) == OK) {
            struct swim_event event = {.kind = SWIM_EVENT_STREAM,
                                       .now = NANOS_PER_S,
                                       .stream = opens ? 1 : 0,
                                       .at = {"x", 9},
                                       .bytes = message};

            CHECK(message.len > 0 && message.len <= FUZZ_FRAME_MAX);
            seen.hash = hash_bytes(seen.hash, message.data, message.len);
            seen.count++;
            swim_step(s, &event, u);
            swim_check(s);
        }
        CHECK(health_frames_waiting(&f) <= size);
    }
    health_frames_deinit(&f);
    return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct seal_cipher cipher = {NULL, &seal_stand_in};
    const struct seal_ring ring = {.keys = {{1}}, .n = 1};
    struct swim_config config = {.self = 1, .instance = 5, .seed = 7, .at = {"a", 1}};
    struct frames_seen whole;
    struct frames_seen pieces;
    struct swim_update update;
    struct swim s;
    bool opens = false;
    size_t step = 1;

    if (size == 0) {
        return 0;
    }
    opens = (data[0] & 1) != 0;
    step += data[0] >> 1;
    swim_config_shipped(&config);
    config.members_max = 8;
    swim_init(&s, &config, &cipher, &ring, NANOS_PER_S);
    swim_update_init(&update);
    whole = fuzz_frames(data + 1, size - 1, size, opens, &s, &update);
    pieces = fuzz_frames(data + 1, size - 1, step, opens, &s, &update);
    CHECK(whole.hash == pieces.hash && whole.count == pieces.count && whole.end == pieces.end);
    swim_update_deinit(&update);
    swim_deinit(&s);
    return 0;
}
