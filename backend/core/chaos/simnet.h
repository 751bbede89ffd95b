/*
 * The simulated network: one link for each direction between two hosts, with everything that links
 * do to packets. It fills the network part of core/world/world.h (simnet_ops); this header is for
 * what tests and the simulator do to it.
 *
 * An endpoint's host is the name of a simulated host. The far end of a stream sees the caller's
 * name and port 0. What a message meets on a link depends on the world's seed, the link, the
 * message's number there and the link's settings at the time, and on nothing else.
 *
 * STREAMS are TCP's. Bytes arrive in order, complete, once. What cannot pass is sent again: after
 * SIMNET_RTO, doubling, and after SIMNET_USER_TIMEOUT without an acknowledgement the sender's end
 * closes with ERR_TIMEOUT, and nobody tells the other end. So when a link heals, a stream that met
 * the fault goes on only at its next try. Acknowledgements take the other direction: where that is
 * cut (and not `acks_pass`), what was sent first arrives, what is sent later does not, and in the
 * end the sender times out. A connection is tried after 1, 3, 7 and 15 seconds, and given up with
 * ERR_TIMEOUT at SIMNET_USER_TIMEOUT; where the host is up and nobody listens it closes at once.
 *
 * A process that dies has its streams closed, and the far end hears ERR_CLOSED if that passes the
 * link. A host that loses its power closes nothing: the far end lives on, half open, until what it
 * sends times out, or meets the host when that is on again and knows nothing of the stream. What is
 * in the network arrives all the same, as does what a clogged link has held, if its receiver's end
 * still exists, though the sender has long gone.
 *
 * Deviations from the real thing: an acknowledgement takes no time and is not lost by chance;
 * nothing is held back for a congestion window; after a lost segment all that followed is sent
 * with it. A process that is paused acknowledges, without limit but WORLD_STREAM_QUEUE_MAX_BYTES.
 */
#ifndef NOVACRON_CHAOS_SIMNET_H
#define NOVACRON_CHAOS_SIMNET_H

#include "core/chaos/simworld.h"

/* The plain link: one way, and the most that is added at random. */
#define SIMNET_LATENCY (100 * NANOS_PER_US)
#define SIMNET_JITTER  (50 * NANOS_PER_US)

/* The first retransmission of a segment: the least that Linux waits. */
#define SIMNET_RTO (200 * NANOS_PER_MS)

/* The first retransmission of a connection's first packet. */
#define SIMNET_SYN_RTO NANOS_PER_S

/* How long a sender goes on without an acknowledgement: TCP_USER_TIMEOUT, as a node would set it.
 */
#define SIMNET_USER_TIMEOUT (20 * NANOS_PER_S)

/* What a clogged link holds: datagrams, and bytes of each stream. What is beyond vanishes, or
 * waits at the sender. */
#define SIMNET_CLOG_DATAGRAMS    256
#define SIMNET_CLOG_STREAM_BYTES (64 * 1024)

/* A link with a limited rate: a datagram that would wait longer in its queue vanishes; a stream
 * has so many bytes under way as the link carries in SIMNET_RATE_WINDOW, within these bounds. */
#define SIMNET_RATE_QUEUE       (500 * NANOS_PER_MS)
#define SIMNET_RATE_WINDOW      (100 * NANOS_PER_MS)
#define SIMNET_WINDOW_MIN_BYTES (16 * 1024)
#define SIMNET_WINDOW_MAX_BYTES (256 * 1024)

/* One direction between two hosts. */
struct simnet_link {
    nanos latency;     /* least one-way time */
    nanos spread;      /* uniform, on top */
    uint32_t tail_ppm; /* so many messages of a million take up to `tail` more */
    nanos tail;
    uint32_t loss_ppm;      /* datagrams vanish, segments of streams are sent again */
    uint32_t duplicate_ppm; /* datagrams */
    uint32_t late_ppm;      /* datagrams: so many arrive up to `late` later, so reordered */
    nanos late;
    uint64_t bytes_per_s;      /* 0: no limit */
    uint32_t large_loss_bytes; /* what is larger never arrives, as in an MTU black hole; 0: none */
    bool drops_datagrams;      /* as a filter does that lets streams alone pass */
    bool is_cut;               /* nothing passes: datagrams vanish, bytes of streams wait */
    bool is_clogged; /* nothing passes, and what is sent is held, and flushed afterwards */
    bool acks_pass;  /* while cut, handshakes and acknowledgements pass: the cut is one-way for
                      * streams, too, as a filter of payloads makes it */
};

struct simnet_link simnet_link_plain(void);
struct simnet_link simnet_link_get(const struct simhost *from, const struct simhost *to);

/* Everything that is sent from now on meets the new settings. Where it is no longer clogged, what
 * was held is sent in its order (or vanishes, where it is cut instead). */
void simnet_link_set(struct simhost *from, struct simhost *to, const struct simnet_link *link);

/* Sets is_cut in both directions. */
void simnet_cut(struct simhost *a, struct simhost *b, bool is_cut);

/* All streams between the two close with ERR_CLOSED at both ends, at once. */
void simnet_reset(struct simhost *a, struct simhost *b);

/* Until then the streams that exist now carry nothing from the one to the other; new ones do. */
void simnet_stall(struct simhost *from, struct simhost *to, nanos until);

#endif
