#include "core/chaos/simnet.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/chaos/simworld_int.h"

/* An open port of a host: for datagrams, or for streams. */
struct simport {
    struct simport *next;
    uint16_t number;
    struct world_datagram_sink *datagrams; /* borrowed; NULL: a listener */
    struct world_listener *listener;       /* borrowed */
};

/* Two hosts that cannot reach each other. */
struct simcut {
    struct simcut *next;
    struct simhost *a;
    struct simhost *b;
};

enum stream_state { STREAM_CONNECTING, STREAM_OPEN, STREAM_GONE };

/* One end of a stream. Ends refer to each other until one is gone, and are freed when no event
 * refers to them. */
struct world_stream {
    struct world_stream *next; /* in its host's list while it is not gone */
    struct simhost *host;
    struct world_stream_sink *sink; /* borrowed */
    struct world_stream *peer;      /* NULL: gone, or not yet there */
    struct world_endpoint to;
    enum stream_state state;
    uint32_t references; /* by the list, the peer and events */
    struct buf outgoing; /* bytes that the peer has not received */
    bool is_sending;     /* an event will take them */
    bool wants_room;
    nanos last_arrival; /* at the peer: order is kept */
};

/* Something on its way. */
struct parcel {
    struct simhost *to;
    uint16_t to_port;
    struct world_endpoint from;
    size_t len;
    uint8_t bytes[];
};

static nanos travel_time(struct simworld *sim)
{
    return SIMNET_LATENCY + prng_below(&sim->net_prng, SIMNET_JITTER + 1);
}

static bool is_cut(const struct simhost *a, const struct simhost *b)
{
    for (const struct simcut *cut = a->sim->cuts; cut != NULL; cut = cut->next) {
        if ((cut->a == a && cut->b == b) || (cut->a == b && cut->b == a)) {
            return true;
        }
    }
    return false;
}

static void stream_pump(struct world_stream *stream);

static void unlink_cut(struct simhost *a, struct simhost *b)
{
    struct simcut **at = &a->sim->cuts;

    while (*at != NULL) {
        struct simcut *cut = *at;
        if ((cut->a == a && cut->b == b) || (cut->a == b && cut->b == a)) {
            *at = cut->next;
            mem_free(cut);
        } else {
            at = &cut->next;
        }
    }
}

void simnet_cut(struct simhost *a, struct simhost *b, bool cuts)
{
    unlink_cut(a, b);
    if (cuts) {
        struct simcut *cut = mem_alloc(sizeof *cut);
        *cut = (struct simcut){a->sim->cuts, a, b};
        a->sim->cuts = cut;
        return;
    }
    struct simhost *const ends[] = {a, b};
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        for (struct world_stream *s = ends[i]->streams; s != NULL; s = s->next) {
            stream_pump(s);
        }
    }
}

void simnet_deinit(struct simworld *sim)
{
    while (sim->cuts != NULL) {
        struct simcut *cut = sim->cuts;
        sim->cuts = cut->next;
        mem_free(cut);
    }
}

static struct simport **port_at(struct simhost *host, uint16_t number, bool is_listener)
{
    struct simport **at = &host->ports;
    while (*at != NULL && ((*at)->number != number || ((*at)->listener != NULL) != is_listener)) {
        at = &(*at)->next;
    }
    return at;
}

static enum err port_open(struct simhost *host, uint16_t number,
                          struct world_datagram_sink *datagrams, struct world_listener *listener)
{
    struct simport **at = port_at(host, number, listener != NULL);

    if (*at != NULL) {
        return ERR_EXISTS;
    }
    struct simport *port = mem_alloc(sizeof *port);
    *port = (struct simport){NULL, number, datagrams, listener};
    *at = port;
    return OK;
}

static void port_close(struct simhost *host, uint16_t number, bool is_listener)
{
    struct simport **at = port_at(host, number, is_listener);
    struct simport *port = *at;

    if (port != NULL) {
        *at = port->next;
        mem_free(port);
    }
}

static enum err net_datagram_open(void *self, uint16_t port, struct world_datagram_sink *sink)
{
    return port_open(self, port, sink, NULL);
}

static void net_datagram_close(void *self, uint16_t port)
{
    port_close(self, port, false);
}

static void datagram_arrives(void *arg)
{
    struct parcel *parcel = arg;
    const struct simport *port = *port_at(parcel->to, parcel->to_port, false);

    if (port != NULL) {
        port->datagrams->received(port->datagrams, &parcel->from,
                                  (struct bytes){parcel->bytes, parcel->len});
    }
    mem_free(parcel);
}

static struct world_endpoint endpoint_of(const struct simhost *host, uint16_t port)
{
    struct world_endpoint endpoint = {.port = port};
    memcpy(endpoint.host, host->name, sizeof endpoint.host);
    return endpoint;
}

static void net_datagram_send(void *self, uint16_t from_port, const struct world_endpoint *to,
                              struct bytes datagram)
{
    struct simhost *host = self;
    struct simhost *target = simworld_find(host->sim, to->host);

    CHECK(datagram.len <= WORLD_DATAGRAM_MAX_BYTES);
    if (target == NULL || is_cut(host, target)) {
        return;
    }
    struct parcel *parcel = mem_alloc(sizeof *parcel + datagram.len);
    parcel->to = target;
    parcel->to_port = to->port;
    parcel->from = endpoint_of(host, from_port);
    parcel->len = datagram.len;
    if (datagram.len > 0) {
        memcpy(parcel->bytes, datagram.data, datagram.len);
    }
    simworld_schedule(host->sim, target, host->sim->now + travel_time(host->sim), datagram_arrives,
                      mem_free, parcel);
}

static enum err net_listen(void *self, uint16_t port, struct world_listener *listener)
{
    return port_open(self, port, NULL, listener);
}

static void net_listen_close(void *self, uint16_t port)
{
    port_close(self, port, true);
}

static void stream_unref(void *arg)
{
    struct world_stream *stream = arg;

    CHECK(stream->references > 0);
    if (--stream->references == 0) {
        buf_deinit(&stream->outgoing);
        mem_free(stream);
    }
}

static struct world_stream *stream_new(struct simhost *host, struct world_stream_sink *sink,
                                       enum stream_state state)
{
    struct world_stream *stream = mem_alloc_zero(sizeof *stream);

    stream->host = host;
    stream->sink = sink;
    stream->state = state;
    stream->references = 1;
    buf_init(&stream->outgoing);
    stream->next = host->streams;
    host->streams = stream;
    return stream;
}

/* Schedules an event that keeps the stream. `host` is whose death cancels it. */
static void stream_schedule(struct world_stream *stream, struct simhost *host, nanos due,
                            void (*run)(void *))
{
    stream->references++;
    simworld_schedule(stream->host->sim, host, due, run, stream_unref, stream);
}

/* This end leaves its host's list; the sink hears no more. */
static void stream_retire(struct world_stream *stream)
{
    struct world_stream **at = &stream->host->streams;

    while (*at != stream) {
        CHECK(*at != NULL);
        at = &(*at)->next;
    }
    *at = stream->next;
    stream->state = STREAM_GONE;
}

static void peer_closed(void *arg)
{
    struct world_stream *stream = arg;

    if (stream->state != STREAM_GONE) {
        struct world_stream_sink *sink = stream->sink;
        if (stream->peer != NULL) {
            stream_unref(stream->peer);
            stream->peer = NULL;
        }
        stream_retire(stream);
        sink->closed(sink, ERR_CLOSED);
        stream_unref(stream);
    }
    stream_unref(stream);
}

/* Ends this end, and tells the other one once all that was sent has arrived. */
static void stream_end(struct world_stream *stream)
{
    struct world_stream *peer = stream->peer;

    stream_retire(stream);
    stream->peer = NULL;
    if (peer != NULL) {
        nanos due = u64_max(stream->last_arrival, stream->host->sim->now) + SIMNET_LATENCY;
        stream_schedule(peer, peer->host, due, peer_closed);
        stream_unref(peer);
    }
    stream_unref(stream);
}

/* What the sender had in its queue arrives at the peer. */
static void bytes_arrive(void *arg)
{
    struct world_stream *stream = arg; /* the receiver */
    struct world_stream *sender = stream->peer;

    if (stream->state == STREAM_OPEN && sender != NULL) {
        struct buf moved = sender->outgoing;
        buf_init(&sender->outgoing);
        sender->is_sending = false;
        bool tells_room = sender->wants_room && sender->state == STREAM_OPEN;
        sender->wants_room = false;
        stream->sink->received(stream->sink, buf_view(&moved));
        buf_deinit(&moved);
        if (tells_room && sender->state == STREAM_OPEN && sender->sink->writable != NULL) {
            sender->sink->writable(sender->sink);
        }
    }
    stream_unref(stream);
}

static void stream_pump(struct world_stream *stream)
{
    struct world_stream *peer = stream->peer;

    if (stream->state != STREAM_OPEN || peer == NULL || stream->is_sending ||
        stream->outgoing.len == 0 || is_cut(stream->host, peer->host)) {
        return;
    }
    struct simworld *sim = stream->host->sim;
    nanos due = u64_max(stream->last_arrival, sim->now + travel_time(sim));
    stream->is_sending = true;
    stream->last_arrival = due;
    stream_schedule(peer, peer->host, due, bytes_arrive);
}

static void connection_opens(void *arg)
{
    struct world_stream *stream = arg;

    if (stream->state == STREAM_CONNECTING && stream->peer != NULL) {
        stream->state = STREAM_OPEN;
        stream->sink->opened(stream->sink);
        stream_pump(stream);
    }
    stream_unref(stream);
}

/* At the host that is called. */
static void connection_arrives(void *arg)
{
    struct world_stream *stream = arg; /* the caller's end */
    struct simhost *host = stream->host;
    struct simhost *target = simworld_find(host->sim, stream->to.host);
    struct simport *port = NULL;

    if (stream->state != STREAM_CONNECTING) {
        stream_unref(stream);
        return;
    }
    if (target != NULL && !is_cut(host, target)) {
        port = *port_at(target, stream->to.port, true);
    }
    nanos due = host->sim->now + travel_time(host->sim);
    struct world_stream *peer = NULL;
    if (port != NULL) {
        const struct world_endpoint from = endpoint_of(host, 0);
        peer = stream_new(target, NULL, STREAM_OPEN);
        peer->sink = port->listener->accepted(port->listener, peer, &from);
        if (peer->sink == NULL) {
            stream_retire(peer);
            stream_unref(peer);
            peer = NULL;
        }
    }
    if (peer == NULL) {
        stream_schedule(stream, host, due, peer_closed);
    } else {
        peer->peer = stream;
        stream->peer = peer;
        stream->references++;
        peer->references++;
        peer->last_arrival = due;
        stream_schedule(stream, host, due, connection_opens);
    }
    stream_unref(stream);
}

static struct world_stream *net_connect(void *self, const struct world_endpoint *to,
                                        struct world_stream_sink *sink)
{
    struct simhost *host = self;
    struct world_stream *stream = stream_new(host, sink, STREAM_CONNECTING);

    stream->to = *to;
    stream_schedule(stream, host, host->sim->now + travel_time(host->sim), connection_arrives);
    return stream;
}

static enum err net_stream_send(void *self, struct world_stream *stream, struct bytes bytes)
{
    CHECK(stream->host == self && stream->state != STREAM_GONE);
    if (stream->outgoing.len + bytes.len > WORLD_STREAM_QUEUE_MAX_BYTES) {
        stream->wants_room = true;
        return ERR_BUSY;
    }
    buf_put(&stream->outgoing, bytes.data, bytes.len);
    stream_pump(stream);
    return OK;
}

static void net_stream_close(void *self, struct world_stream *stream)
{
    CHECK(stream->host == self && stream->state != STREAM_GONE);
    stream_end(stream);
}

const struct world_net_ops simnet_ops = {
    .datagram_open = net_datagram_open,
    .datagram_close = net_datagram_close,
    .datagram_send = net_datagram_send,
    .listen = net_listen,
    .listen_close = net_listen_close,
    .connect = net_connect,
    .stream_send = net_stream_send,
    .stream_close = net_stream_close,
};

void simnet_forget(struct simhost *host)
{
    while (host->ports != NULL) {
        struct simport *port = host->ports;
        host->ports = port->next;
        mem_free(port);
    }
    while (host->streams != NULL) {
        stream_end(host->streams);
    }
}
