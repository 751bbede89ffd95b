/* Private to the laboratory's network: its queue of events, its hosts and its packets. */
#ifndef NOVACRON_CHAOS_DETECT_LABNET_INT_H
#define NOVACRON_CHAOS_DETECT_LABNET_INT_H

#include "core/chaos/detect/labnet.h"

enum labevent_kind {
    LABEVENT_ARRIVE,  /* packet `packet` is at its host */
    LABEVENT_READ,    /* host `host` may read its inbox */
    LABEVENT_RELEASE, /* host `host` may send what waits in its outbox */
    LABEVENT_FIRE,    /* the deadline of host `host` */
};

/* 24 bytes, so that the queue stays in the processor's cache. */
struct labevent {
    nanos due;
    uint64_t ticket;  /* of equal times, the first that was caused comes first */
    uint32_t subject; /* host or packet */
    enum labevent_kind kind;
};

/* A heap in which each node has four children: half the levels of a binary one. */
struct labqueue {
    struct labevent *events; /* owned */
    size_t count;
    size_t cap;
    uint64_t ticket;
};

void labqueue_push(struct labqueue *q, nanos due, enum labevent_kind kind, uint32_t subject);
struct labevent labqueue_pop(struct labqueue *q); /* the queue is not empty */

#define LABPACKET_NONE UINT32_MAX

struct labpacket {
    uint8_t *data; /* owned; kept while the packet waits to be used again */
    size_t cap;
    uint32_t len;
    uint32_t from;
    uint32_t to;
    uint32_t next; /* in the list of free ones, an inbox or an outbox */
    enum labnet_kind kind;
};

/* A list of packets, first in, first out. */
struct labfifo {
    uint32_t first;
    uint32_t last;
    uint32_t count;
    size_t bytes; /* what a kernel accounts for them */
};

/* Bytes of the second under way. */
struct labmeter {
    uint64_t second;
    uint64_t bytes;
};

struct labhost {
    bool is_up;
    nanos deadline;
    /* Of the earliest event of each kind in the queue; a later one that it overtook does nothing.
     */
    nanos fire_at;
    nanos read_at;
    nanos release_at;
    nanos busy_until;
    struct labnet_span block;
    struct labnet_span stall;
    struct labnet_loss loss_in;
    struct labnet_loss loss_out;
    struct labfifo inbox;
    struct labfifo outbox;
    struct labnet_counts counts;
    struct labmeter meter_in;
    struct labmeter meter_out;
};

struct labnet {
    struct labnet_options options;
    nanos now;
    struct prng seed; /* never drawn from */
    struct prng prng_delay;
    struct prng prng_loss;
    struct labqueue queue;
    struct labpacket *packets; /* owned */
    size_t packet_count;
    size_t packet_cap;
    uint32_t packet_free;
    struct labhost *hosts;  /* owned */
    uint32_t *loss_between; /* owned; from * hosts + to; NULL: none */
    uint32_t loss_everywhere;
    uint32_t doubled;
    struct labnet_bursts bursts;
    bool burst_is_bad;
    nanos burst_until;
    nanos counts_since;
    uint64_t messages;
    struct labnet_rates rates_in;
    struct labnet_rates rates_out;
};

/* labnet.c */
uint32_t labnet_packet_make(struct labnet *net, uint32_t from, uint32_t to, enum labnet_kind kind,
                            struct bytes message);
void labnet_packet_free(struct labnet *net, uint32_t packet);
void labfifo_push(struct labnet *net, struct labfifo *fifo, uint32_t packet);
uint32_t labfifo_pop(struct labnet *net, struct labfifo *fifo); /* it is not empty */

/* labnet_link.c: what happens to a packet between two hosts. */
void labnet_launch(struct labnet *net, uint32_t packet);
bool labnet_is_lost_in(struct labnet *net, const struct labpacket *packet);

/* labnet_count.c */
void labnet_count_out(struct labnet *net, uint32_t host, uint64_t wire_bytes);
void labnet_count_in(struct labnet *net, uint32_t host, uint64_t wire_bytes);

#endif
