/*
 * health_streams: the health agent's streams to other members, where datagrams do not get through,
 * and for what is too large for them.
 *
 * A stream is opened for the first message to an endpoint, kept while messages go there, and closed
 * after a while without. Whoever was called answers on the stream that the message came on, and
 * opens one of its own for what it has to say by itself. Nothing is promised: a message that finds
 * no place, or whose stream ends, is gone, like a datagram. Where an answer is due and does not
 * come, the next message goes on a new stream: what a broken path holds would be late for ever.
 *
 * LIMITS. Streams in either direction have a number of places each. One that was called and has
 * not said anything authentic yet is given a moment, and little memory; where all places are
 * taken the oldest of those gives way to the next caller. A member has one place; the stream that
 * it opens next replaces it. Each stream may bring so many messages a second; what is more is
 * dropped unread. All that waits to be complete shares one budget. Nothing is sent on a stream but
 * what the owner answers, so a stranger gets no byte.
 */
#ifndef NOVACRON_HEALTH_HEALTH_STREAMS_H
#define NOVACRON_HEALTH_HEALTH_STREAMS_H

#include "core/monitoring/health/health_frame.h"
#include "core/world/world.h"

/* Neighbours on all rings, one who is dead and asked, one who is joined, and some whose place is
 * still warm. */
#define HEALTH_STREAMS_OUT_MAX 32

/* As many may call us, and strangers. */
#define HEALTH_STREAMS_IN_MAX 64

/* The longest message of one who has not proved anything yet: the table of a cluster of some
 * thousands that joins by it. */
#define HEALTH_STRANGER_MAX_BYTES (256 * 1024)

/* What may wait on all streams to be complete. */
#define HEALTH_WAITING_MAX_BYTES (16 * 1024 * 1024)

/* Messages a second that a stream may bring, and how many at once. */
#define HEALTH_STREAM_RATE  32
#define HEALTH_STREAM_BURST 64

struct health_streams;

/* Why streams and messages were dropped, and what there was: for tests and metrics. */
enum health_streams_counter {
    HEALTH_STREAMS_OPENED,
    HEALTH_STREAMS_ACCEPTED,
    HEALTH_STREAMS_REFUSED,  /* no place, or it did not say anything authentic */
    HEALTH_STREAMS_UNSENT,   /* messages without a place */
    HEALTH_STREAMS_OVERRATE, /* messages dropped unread */
    HEALTH_STREAMS_COUNTERS
};

struct health_streams_events {
    void *ctx;
    /* A message came; `token` is for health_streams_reply, within this call alone, and 0 where it
     * answers one of ours. Returns whose it was; NODE_NONE: nobody's, it was not authentic. */
    node_id (*received)(void *ctx, uint64_t token, const struct world_endpoint *from,
                        struct bytes message);
};

struct health_streams *health_streams_open(const struct world *world,
                                           const struct health_streams_events *events);

/* Closes all streams. Whoever listens for us has stopped. */
void health_streams_close(struct health_streams *hs);

/* One message to whoever is there. `asks`: an answer is due. */
void health_streams_send(struct health_streams *hs, const struct world_endpoint *at, bool asks,
                         struct bytes message);

void health_streams_reply(struct health_streams *hs, uint64_t token, struct bytes message);

/* A stream came, from a listener of ours or from one that shares its port with others. NULL: it is
 * refused. */
struct world_stream_sink *health_streams_accept(struct health_streams *hs,
                                                struct world_stream *stream,
                                                const struct world_endpoint *from);

uint64_t health_streams_counted(const struct health_streams *hs,
                                enum health_streams_counter counter);

/* Places that are taken, either way. */
uint32_t health_streams_in_use(const struct health_streams *hs);

#endif
