/*
 * Private to the simulated streams: TCP between two kernels, as far as processes can tell.
 * simconn.c is their life and their segments, simstream.c sends, simarrive.c receives, simdial.c
 * opens.
 *
 * A connection has two ends, allocated together, which live until both are forgotten and nothing
 * refers to them. What an end sends lies in its buffer until the other end's process has taken it:
 *
 *     bytes[head ..           ) the first `flown` are under way, in the segments of `segs`, which
 *                               arrive in order; those behind wait to be sent.
 *
 * What is due arrives by one event at the receiving host, for all segments that are due by then: so
 * a host that stood still reads all at once. An end whose segment did not pass is blocked: it sends
 * nothing, and tries again later (end_retry), until an acknowledgement or SIMNET_USER_TIMEOUT.
 *
 *     state           the process            its kernel
 *     CONNECTING      has asked for it       calls the other host
 *     ACCEPTING       does not know of it    has answered a call
 *     OPEN            has it                 has it
 *     CLOSING         has closed it, or died sends what is left, and the end of it
 *     GONE            -                      knows nothing of it
 *
 * CONNECTING -> OPEN in end_opens (simdial.c), ACCEPTING -> OPEN or CLOSING in end_accept, OPEN ->
 * CLOSING in simstream_close and when the process dies, CLOSING -> GONE once the end has arrived,
 * any -> GONE in simend_forget.
 */
#ifndef NOVACRON_CHAOS_SIMSTREAM_INT_H
#define NOVACRON_CHAOS_SIMSTREAM_INT_H

#include "core/chaos/simnet_int.h"

enum end_state { END_GONE, END_CONNECTING, END_ACCEPTING, END_OPEN, END_CLOSING };

/* Bytes under way together. */
struct simseg {
    nanos sent;
    nanos due; /* NANOS_FOREVER: held by a clogged link */
    size_t length;
    bool opens; /* ends the handshake */
    bool ends;  /* nothing follows */
};

/* One end of a stream. */
struct world_stream {
    struct world_stream *next; /* in its host's list */
    struct world_stream **at;  /* what points to it */
    struct simhost *host;
    struct simconn *conn;
    struct simlink *link;           /* to the other end; borrowed */
    struct world_stream_sink *sink; /* borrowed, while OPEN or CONNECTING */
    enum end_state state;
    uint16_t port; /* which the caller called */

    /* what it sends */
    uint8_t *bytes; /* owned */
    size_t head;
    size_t len;
    size_t cap;
    size_t flown;
    uint8_t *lent; /* owned: an old buffer that the receiver still reads */
    bool is_lending;
    struct simseg *segs; /* owned ring */
    size_t seg_first;
    size_t seg_count;
    size_t seg_cap;
    bool is_arriving;   /* an event will take the first segment */
    bool wants_opening; /* the handshake's last packet is still to be sent */
    bool wants_ending;  /* so is the end */
    bool wants_room;    /* a send found no room */

    /* when it does not pass */
    bool is_blocked;
    bool lacks_ack;      /* what was sent has arrived, and its acknowledgement has not */
    bool is_answered;    /* CONNECTING: the answer is under way */
    nanos blocked_since; /* 0: all is well */
    nanos retry_after;
    nanos retry_due;
    nanos stalled_until;

    bool is_failed; /* the kernel has given up; the process will be told `why` */
    enum err why;
};

struct simconn {
    struct world_stream ends[2]; /* the caller, the called */
    struct simconn *next;
    uint32_t events; /* that refer to it */
};

static inline struct world_stream *simend_peer(const struct world_stream *e)
{
    return &e->conn->ends[e == &e->conn->ends[0]];
}

static inline nanos simend_now(const struct world_stream *e)
{
    return e->host->sim->now;
}

static inline struct simseg *simend_seg(const struct world_stream *e, size_t i)
{
    return &e->segs[(e->seg_first + i) & (e->seg_cap - 1)];
}

/* --- simconn.c ------------------------------------------------------------------------------- */

struct simconn *simconn_new(struct simhost *from, struct simhost *to);

/* Something will happen at `host`'s process, or, NULL, in a kernel. `run` ends with
 * simend_event_over. */
void simend_post(struct world_stream *e, struct simhost *host, enum simevent_kind kind, nanos due,
                 void (*run)(void *));

/* An event that was posted is over, or will never be. May free the connection. */
void simend_event_over(void *arg);

void simend_add_seg(struct world_stream *e, struct simseg seg);

/* What is under way will not arrive: it is to be sent again. */
void simend_recall(struct world_stream *e);

/* --- simstream.c ----------------------------------------------------------------------------- */

/* What waits is given up; what is under way is not. */
void simend_discard(struct world_stream *e);

/* The kernel knows it no more. */
void simend_forget(struct world_stream *e);

/* At `due` the stream is over, and the process is told why. */
void simend_fail(struct world_stream *e, enum err why, nanos due);

/* For the kernel it is over now. */
void simend_fail_now(struct world_stream *e, enum err why);

/* A segment did not pass, or was not acknowledged: tries again later. */
void simend_block(struct world_stream *e);

/* Sends what waits and can be sent. */
void simend_pump(struct world_stream *e);

/* Posts the arrival of the first segment, if that is to be done. */
void simend_expect(struct world_stream *e);

/* The other host's process, or kernel, still has its end. */
bool simend_is_met(const struct world_stream *e);

/* --- simarrive.c ----------------------------------------------------------------------------- */

/* Events. Segments of `arg` are due at the other end's process. */
void simend_arrives(void *arg);

/* Something that was sent reached a host that does not know the stream, or no host. */
void simend_meets_nobody(void *arg);

/* The process is told that it is over. */
void simend_closed(void *arg);

#endif
