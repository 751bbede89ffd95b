#include "core/monitoring/health/health_frame.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/cursor.h"

static const uint8_t health_opening[HEALTH_OPENING_BYTES] = {'N', 'C', 'H', '1'};

void health_frames_init(struct health_frames *f)
{
    memset(f, 0, sizeof(*f));
    buf_init(&f->pending);
}

void health_frames_deinit(struct health_frames *f)
{
    buf_deinit(&f->pending);
}

void health_frames_begin(struct health_frames *f, bool expects_opening, uint32_t frame_max)
{
    CHECK(frame_max > 0 && frame_max <= SWIM_STREAM_MAX_BYTES);
    buf_deinit(&f->pending); /* the last stream's may have been large */
    buf_init(&f->pending);
    f->at = 0;
    f->expects_opening = expects_opening;
    f->frame_max = frame_max;
}

void health_frames_put(struct health_frames *f, struct bytes bytes)
{
    /* What was taken makes room: `pending` is never larger than what waits and what comes. */
    if (f->at > 0) {
        memmove(f->pending.data, f->pending.data + f->at, f->pending.len - f->at);
        f->pending.len -= f->at;
        f->at = 0;
    }
    buf_put(&f->pending, bytes.data, bytes.len);
}

enum err health_frames_next(struct health_frames *f, struct bytes *ret)
{
    struct bytes rest = {NULL, 0};
    struct cursor c;
    uint32_t length = 0;

    if (f->pending.len == f->at) {
        return ERR_TRUNCATED;
    }
    rest = (struct bytes){f->pending.data + f->at, f->pending.len - f->at};
    if (f->expects_opening) {
        size_t n = u64_min(rest.len, HEALTH_OPENING_BYTES);

        if (memcmp(rest.data, health_opening, n) != 0) {
            return ERR_PROTOCOL;
        }
        if (n < HEALTH_OPENING_BYTES) {
            return ERR_TRUNCATED;
        }
        f->expects_opening = false;
        f->at += n;
        rest = (struct bytes){rest.data + n, rest.len - n};
    }
    if (rest.len < HEALTH_FRAME_HEADER_BYTES) {
        return ERR_TRUNCATED;
    }
    cursor_init(&c, rest);
    length = cursor_u32(&c);
    if (length == 0 || length > f->frame_max) {
        return ERR_PROTOCOL;
    }
    if (cursor_left(&c) < length) {
        return ERR_TRUNCATED;
    }
    *ret = cursor_take(&c, length);
    f->at += HEALTH_FRAME_HEADER_BYTES + length;
    return OK;
}

void health_opening_encode(struct buf *b)
{
    buf_put(b, health_opening, sizeof(health_opening));
}

void health_frame_encode(struct buf *b, struct bytes message)
{
    CHECK(message.len > 0 && message.len <= SWIM_STREAM_MAX_BYTES);
    buf_put_u32(b, (uint32_t)message.len);
    buf_put(b, message.data, message.len);
}

bool health_is_opening(struct bytes bytes)
{
    return bytes.len >= HEALTH_OPENING_BYTES &&
           memcmp(bytes.data, health_opening, HEALTH_OPENING_BYTES) == 0;
}
