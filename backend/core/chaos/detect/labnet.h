/*
 * detect: the laboratory of failure detection. It puts the cores of core/monitoring/health through
 * the experiments of docs/detection.md, in virtual time, thousands of runs of up to a thousand
 * hosts. For tests and for `novacron-sim detect` alone.
 *
 * What lives here: a lean network (this file), latencies (lablatency.h), random numbers and
 * statistics (labdraw.h, labstat.h), traces of heartbeats (labtrace.h), and the experiments, one
 * file each. Who may call it: cli/sim, tests, bench.
 *
 * labnet is not core/chaos: that world runs whole nodes with disks and streams and checks every
 * invariant after each event, at some ten thousand events a second. This one moves datagrams
 * between hosts that have one deadline each, at more than a million a second, and knows what
 * detectors have to be afraid of.
 *
 * HOSTS. A host has one process with one deadline (labnet_set_deadline) and one inbox, the buffer
 * of its kernel, which is bounded and drops what does not fit. The process takes `cost` for each
 * datagram that it reads: what comes faster waits.
 *
 * A host that is BLOCKED waits before every send and after every receive: nothing leaves and
 * nothing is read, but deadlines fire (DETECTION P1). What the process sends meanwhile leaves at
 * the end of the block, in order; the queue of that is bounded, too.
 *
 * One that is STALLED stands as a whole: no send, no receive, no deadline (SIGSTOP, a processor
 * that others use up). Deadlines that passed fire when it goes on, before what was received is
 * read, as poll() and a heap of timers have it.
 *
 * Blocks and stalls are either one span of time or periods: closed for so long, open for so long.
 *
 * LINKS lose datagrams: everywhere, at one host's way in or out, between two hosts in one
 * direction, in bursts, in periods, or those that are larger than a size. Streams (labnet_send with
 * LABNET_STREAM or LABNET_ANSWER) are not lost but late, as TCP is: a segment that is lost costs a
 * retransmission, and behind LABNET_STREAM_TRIES of those the message is gone.
 *
 * Everything is drawn from one seed, events of one time happen in the order in which they were
 * caused, and the same calls give the same run.
 */
#ifndef NOVACRON_CHAOS_DETECT_LABNET_H
#define NOVACRON_CHAOS_DETECT_LABNET_H

#include "core/base/prng.h"
#include "core/chaos/detect/lablatency.h"

#define LABNET_HOSTS_MAX 1024

/* The largest message, in bytes: a full state of LABNET_HOSTS_MAX members on a stream. */
#define LABNET_MESSAGE_MAX_BYTES (1U << 20)

/* What a kernel keeps for a socket that nobody reads, and what each datagram takes of it beside its
 * payload: Linux's default of net.core.rmem_default, and its bookkeeping. */
#define LABNET_INBOX_MAX_BYTES      212992
#define LABNET_INBOX_OVERHEAD_BYTES 768

/* Messages that a blocked process wants to send; a process has so many threads and queues. */
#define LABNET_OUTBOX_MAX 1024

/* Of IPv4 and UDP, counted with each datagram and each segment. */
#define LABNET_HEADER_BYTES 28

/* TCP: a segment, how often it is sent before the message is given up, and how long the first
 * retransmission waits; each later one waits twice as long. */
#define LABNET_SEGMENT_BYTES   1400
#define LABNET_STREAM_TRIES    6
#define LABNET_RETRANSMIT_WAIT (200 * NANOS_PER_MS)

/* Probabilities are of so many. */
#define LABNET_CERTAIN 1000000U

enum labnet_kind {
    LABNET_DATAGRAM,
    LABNET_STREAM, /* on a stream that is opened for it */
    LABNET_ANSWER, /* on the stream that the other side opened */
};

/* What hosts do. The bytes are borrowed for the call. */
struct labnet_sink {
    void (*received)(void *ctx, uint32_t host, uint32_t from, enum labnet_kind kind,
                     struct bytes message);
    void (*fired)(void *ctx, uint32_t host); /* its deadline passed; it may set another */
    void *ctx;
};

struct labnet_options {
    uint32_t hosts;
    uint64_t seed;
    const struct lablatency *latency; /* borrowed; NULL: a quiet Ethernet */
    nanos cost;                       /* of reading one datagram; 0: none */
    struct labnet_sink sink;
};

/* When something is so: from `begin` to `end`, and in it for `closed` of each `closed` + `open`. An
 * `open` of 0: all the time. All zero: never. */
struct labnet_span {
    nanos begin;
    nanos end;
    nanos closed;
    nanos open;
};

/* Loss on the way into or out of a host. */
struct labnet_loss {
    uint32_t chance; /* of LABNET_CERTAIN */
    struct labnet_span when;
    uint32_t larger_than; /* only messages above so many bytes; 0: all */
};

/* Bursts of loss, everywhere (Gilbert and Elliott): in the bad state all is lost. */
struct labnet_bursts {
    nanos good_mean; /* 0: no bursts */
    nanos bad_mean;
};

struct labnet_traffic {
    uint64_t messages;
    uint64_t bytes; /* payload */
};

/* What one host did. */
struct labnet_counts {
    struct labnet_traffic sent;
    struct labnet_traffic received;
    uint64_t lost;       /* on the way out, under way, or on the way in */
    uint64_t overflowed; /* did not fit into the inbox or the outbox */
};

struct labnet;

struct labnet *labnet_open(const struct labnet_options *options);
void labnet_close(struct labnet *net);

nanos labnet_now(const struct labnet *net);

/* A generator for what is drawn outside: the same for the same seed and label. */
struct prng labnet_fork(const struct labnet *net, uint64_t label);

/* Runs all events up to and including `until`; the time is `until` then. */
void labnet_run(struct labnet *net, nanos until);

/* To be called by hosts, inside or outside of the sink's functions. A deadline replaces the one
 * before it; NANOS_FOREVER: none. One that has passed fires at once, but never inside this call. */
void labnet_send(struct labnet *net, uint32_t from, uint32_t to, enum labnet_kind kind,
                 struct bytes message);
void labnet_set_deadline(struct labnet *net, uint32_t host, nanos deadline);

/* Faults. Each replaces what was set before it in the same place. */
void labnet_crash(struct labnet *net, uint32_t host);   /* what it had in its queues is gone */
void labnet_restart(struct labnet *net, uint32_t host); /* with empty queues and no deadline */
bool labnet_is_up(const struct labnet *net, uint32_t host);
void labnet_block(struct labnet *net, uint32_t host, const struct labnet_span *span);
nanos labnet_blocked_until(const struct labnet *net, uint32_t host); /* now: it is not blocked */
void labnet_stall(struct labnet *net, uint32_t host, const struct labnet_span *span);
void labnet_lose(struct labnet *net, uint32_t chance); /* everywhere */
void labnet_lose_in(struct labnet *net, uint32_t host, const struct labnet_loss *loss);
void labnet_lose_out(struct labnet *net, uint32_t host, const struct labnet_loss *loss);
void labnet_lose_between(struct labnet *net, uint32_t from, uint32_t to, uint32_t chance);
void labnet_burst(struct labnet *net, const struct labnet_bursts *bursts);
void labnet_double(struct labnet *net, uint32_t chance); /* datagrams arrive twice */

/* Is `now` inside of it, closed? */
bool labnet_span_holds(const struct labnet_span *span, nanos now);

/* The first time at or after `now` at which it does not hold. */
nanos labnet_span_ends(const struct labnet_span *span, nanos now);

/* What a host did since the start or the last labnet_count_anew, and bytes with headers, in and
 * out, in each whole second of that, of all hosts: `buckets[b]` seconds of b * `width` to
 * (b + 1) * `width` bytes, the last for all above. */
#define LABNET_RATE_BUCKETS     4096
#define LABNET_RATE_WIDTH_BYTES 16

struct labnet_rates {
    uint64_t buckets[LABNET_RATE_BUCKETS];
    uint64_t seconds; /* all in all */
    uint64_t bytes;
    uint64_t max_bytes; /* in one second, of one host */
};

const struct labnet_counts *labnet_counts_of(const struct labnet *net, uint32_t host);
void labnet_rates(struct labnet *net, struct labnet_rates *ret_in, struct labnet_rates *ret_out);
void labnet_count_anew(struct labnet *net);

/* Bytes a second that `part` of the seconds did not exceed. */
double labnet_rate_quantile(const struct labnet_rates *rates, double part);

/* Messages that were sent since the start, by all. */
uint64_t labnet_messages(const struct labnet *net);

#endif
