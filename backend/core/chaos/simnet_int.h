/* Private to the simulated network: simlink.c is links and datagrams, simnet.c the ports and
 * the table; streams are in the files that simstream_int.h lists. */
#ifndef NOVACRON_CHAOS_SIMNET_INT_H
#define NOVACRON_CHAOS_SIMNET_INT_H

#include "core/chaos/simnet.h"
#include "core/chaos/simworld_int.h"

/* An open port of a host: for datagrams, or for streams. */
struct simport {
    struct simport *next;
    uint16_t number;
    struct world_datagram_sink *datagrams; /* borrowed; NULL: a listener */
    struct world_listener *listener;       /* borrowed */
};

/* What hosts[to] hears of hosts[from]. Lives as long as the world. */
struct simlink {
    struct simnet_link set;
    struct simhost *from;
    struct simhost *to;
    uint64_t seed;
    uint64_t messages;      /* so far; the number of one decides about its luck */
    nanos free_at;          /* a limited rate: what was sent has left by then */
    struct simparcel *held; /* owned: datagrams in a clogged link, in order */
    struct simparcel **held_end;
    size_t held_count;
};

/* A datagram on its way. */
struct simparcel {
    struct simparcel *next;
    struct simlink *link;
    uint16_t from_port;
    uint16_t to_port;
    size_t len;
    uint8_t bytes[WORLD_DATAGRAM_MAX_BYTES];
};

/* --- simnet.c -------------------------------------------------------------------------------- */

/* NULL: nobody has it. */
struct simport *simport_find(struct simhost *host, uint16_t number, bool is_listener);

struct world_endpoint simhost_endpoint(const struct simhost *host, uint16_t port);

/* --- simlink.c ------------------------------------------------------------------------------- */

struct simlink *simlink_get(struct simhost *from, struct simhost *to);

/* Both hosts are on and awake. */
bool simlink_is_up(const struct simlink *link);
/* And the link is neither cut nor clogged. */
bool simlink_passes(const struct simlink *link);
/* The same for what kernels say to each other. */
bool simlink_answers(const struct simlink *link);

/* A message is sent. Then: is it lost, and how long does it take? */
void simlink_begin(struct simlink *link);
bool simlink_loses(const struct simlink *link);
nanos simlink_travel(struct simlink *link, size_t size);

void simlink_send_datagram(struct simlink *link, uint16_t from_port, uint16_t to_port,
                           struct bytes datagram);

void simlinks_deinit(struct simworld *sim);

/* --- streams --------------------------------------------------------------------------------- */

struct world_stream *simstream_connect(struct simhost *host, const struct world_endpoint *to,
                                       struct world_stream_sink *sink);
enum err simstream_send(struct world_stream *stream, struct bytes bytes);
void simstream_close(struct world_stream *stream);
void simstream_hand_over(struct world_stream *stream, struct world_stream_sink *sink);

/* All ends of a host, whose process died, or whose power is gone. */
void simstream_forget_host(struct simhost *host, bool has_power);

/* The host sleeps: what is under way to it is lost. */
void simstream_sleep_host(struct simhost *host);

/* A clogged link is open again, or cut. */
void simstream_flush(struct simlink *link);

void simstream_stall(struct simlink *link, nanos until);
size_t simstream_reset(struct simhost *a, struct simhost *b);

void simstreams_deinit(struct simworld *sim);

#endif
