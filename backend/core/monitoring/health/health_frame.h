/*
 * health_frame: how messages of the health protocols lie on a byte stream.
 *
 *     opening   4 bytes "NCH1", from the side that opened the stream, once
 *     frame     length u32, little-endian, from 1 to SWIM_STREAM_MAX_BYTES; so many bytes: an
 *               envelope (seal.h)
 *
 * Both sides write frames, one behind the other. The opening tells such a stream from a peer's of
 * core/node, whose hello begins otherwise, where both come to one port. What does not fit this ends
 * the stream. Nothing is kept for a length that was only announced: memory grows with the bytes
 * that came.
 */
#ifndef NOVACRON_HEALTH_HEALTH_FRAME_H
#define NOVACRON_HEALTH_HEALTH_FRAME_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/monitoring/health/swim.h"

#define HEALTH_OPENING_BYTES      4
#define HEALTH_FRAME_HEADER_BYTES 4

/* What came on one stream, and is not taken yet. */
struct health_frames {
    struct buf pending;
    size_t at;          /* what is before it is taken */
    uint32_t frame_max; /* a longer one ends the stream */
    bool expects_opening;
};

void health_frames_init(struct health_frames *f);
void health_frames_deinit(struct health_frames *f);

/* A new stream: `expects_opening` on the side that was called. */
void health_frames_begin(struct health_frames *f, bool expects_opening, uint32_t frame_max);

void health_frames_put(struct health_frames *f, struct bytes bytes);

/* The next message, valid until the next call. ERR_TRUNCATED: it is not all there yet.
 * ERR_PROTOCOL: this is no such stream, or its frame is too long; end it. */
MUST_USE enum err health_frames_next(struct health_frames *f, struct bytes *ret);

/* What waits to be complete. */
static inline size_t health_frames_waiting(const struct health_frames *f)
{
    return f->pending.len - f->at;
}

void health_opening_encode(struct buf *b);
void health_frame_encode(struct buf *b, struct bytes message);

/* Do these bytes, HEALTH_OPENING_BYTES at least, open such a stream? */
bool health_is_opening(struct bytes bytes);

#endif
