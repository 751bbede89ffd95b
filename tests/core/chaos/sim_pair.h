/*
 * Two hosts, a and b, of which a has a stream to b: for the tests of the simulated network. Each
 * end remembers what it heard, and when.
 */
#ifndef NOVACRON_TESTS_SIM_PAIR_H
#define NOVACRON_TESTS_SIM_PAIR_H

#include "core/base/buf.h"
#include "core/chaos/simnet.h"

#define SIM_PAIR_PORT      7
#define SIM_DATAGRAMS_MAX  4096
#define SIM_DATAGRAM_BYTES 4 /* its number */

struct sim_peer {
    struct simhost *host;
    struct world_stream *stream; /* NULL: none, or closed by the other side */
    struct world_stream_sink sink;
    struct world_listener listener;
    struct world_datagram_sink datagrams;
    bool refuses;
    struct buf got;
    nanos got_at; /* the last time */
    int receipts;
    int opened;
    int accepted;
    int closed;
    int writable;
    enum err why;
    uint32_t numbers[SIM_DATAGRAMS_MAX];
    nanos times[SIM_DATAGRAMS_MAX];
    size_t datagram_count;
};

struct sim_pair {
    struct simworld *sim;
    struct sim_peer a;
    struct sim_peer b;
};

/* b listens, for streams and for datagrams. No stream yet. */
void sim_pair_hosts(struct sim_pair *p, uint64_t seed);

/* And a is connected. */
void sim_pair_init(struct sim_pair *p, uint64_t seed);
void sim_pair_deinit(struct sim_pair *p);

/* b's process begins anew: listens, knows no stream. */
void sim_pair_listen(struct sim_pair *p);

void sim_pair_connect(struct sim_pair *p);
void sim_pair_run(struct sim_pair *p, nanos span);

enum err sim_peer_send(struct sim_peer *p, const void *data, size_t n);
void sim_peer_close(struct sim_peer *p);

/* A datagram with that number, from a to b, of so many bytes. */
void sim_pair_ping(struct sim_pair *p, uint32_t number, size_t size);

/* One direction's settings. */
void sim_pair_link(struct sim_pair *p, bool is_back, const struct simnet_link *link);

#endif
