#include "core/chaos/simnet.h"

#include <string.h>

#include "core/chaos/simnet_int.h"

/* --- ports ----------------------------------------------------------------------------------- */

static struct simport **port_at(struct simhost *host, uint16_t number, bool is_listener)
{
    struct simport **at = &host->ports;
    while (*at != NULL && ((*at)->number != number || ((*at)->listener != NULL) != is_listener)) {
        at = &(*at)->next;
    }
    return at;
}

struct simport *simport_find(struct simhost *host, uint16_t number, bool is_listener)
{
    return *port_at(host, number, is_listener);
}

static enum err port_open(struct simhost *host, uint16_t number,
                          struct world_datagram_sink *datagrams, struct world_listener *listener)
{
    struct simport **at = port_at(host, number, listener != NULL);

    if (*at != NULL) {
        return ERR_EXISTS;
    }
    simhost_power_on(host);
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

struct world_endpoint simhost_endpoint(const struct simhost *host, uint16_t port)
{
    struct world_endpoint endpoint = {.port = port};
    memcpy(endpoint.host, host->name, sizeof endpoint.host);
    return endpoint;
}

/* --- the table ------------------------------------------------------------------------------- */

static enum err net_datagram_open(void *self, uint16_t port, struct world_datagram_sink *sink)
{
    return port_open(self, port, sink, NULL);
}

static void net_datagram_close(void *self, uint16_t port)
{
    port_close(self, port, false);
}

static void net_datagram_send(void *self, uint16_t from_port, const struct world_endpoint *to,
                              struct bytes datagram)
{
    struct simhost *host = self;
    struct simhost *target = simworld_find(host->sim, to->host);

    simhost_power_on(host);
    if (target != NULL) {
        simlink_send_datagram(simlink_get(host, target), from_port, to->port, datagram);
    }
}

static enum err net_listen(void *self, uint16_t port, struct world_listener *listener)
{
    return port_open(self, port, NULL, listener);
}

static void net_listen_close(void *self, uint16_t port)
{
    port_close(self, port, true);
}

static struct world_stream *net_connect(void *self, const struct world_endpoint *to,
                                        struct world_stream_sink *sink)
{
    struct simhost *host = self;

    simhost_power_on(host);
    return simstream_connect(host, to, sink);
}

static enum err net_stream_send(void *self, struct world_stream *stream, struct bytes bytes)
{
    (void)self;
    return simstream_send(stream, bytes);
}

static void net_stream_close(void *self, struct world_stream *stream)
{
    (void)self;
    simstream_close(stream);
}

static void net_stream_hand_over(void *self, struct world_stream *stream,
                                 struct world_stream_sink *sink)
{
    (void)self;
    simstream_hand_over(stream, sink);
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
    .stream_hand_over = net_stream_hand_over,
};

/* --- what befalls it ------------------------------------------------------------------------- */

void simnet_cut(struct simhost *a, struct simhost *b, bool is_cut)
{
    struct simnet_link there = simnet_link_get(a, b);
    struct simnet_link back = simnet_link_get(b, a);

    there.is_cut = is_cut;
    back.is_cut = is_cut;
    simnet_link_set(a, b, &there);
    simnet_link_set(b, a, &back);
}

void simnet_stall(struct simhost *from, struct simhost *to, nanos until)
{
    simworld_tell(from->sim, from, SIMTRACE_STALL, to, until);
    simstream_stall(simlink_get(from, to), until);
}

void simnet_reset(struct simhost *a, struct simhost *b)
{
    simworld_tell(a->sim, a, SIMTRACE_RESET, b, simstream_reset(a, b));
}

void simnet_forget(struct simhost *host, bool has_power)
{
    while (host->ports != NULL) {
        struct simport *port = host->ports;
        host->ports = port->next;
        mem_free(port);
    }
    simstream_forget_host(host, has_power);
}

void simnet_sleep(struct simhost *host)
{
    simstream_sleep_host(host);
}

/* Keeps what is no datagram that came in [asleep since, now). */
static bool is_heard_awake(void *ctx, const struct simevent *event)
{
    const struct simhost *host = ctx;
    return event->kind != SIMEVENT_DATAGRAM || event->due < host->fell_asleep ||
           event->due >= host->sim->now;
}

void simnet_wake(struct simhost *host)
{
    simqueue_filter(&host->queue, is_heard_awake, host);
}

void simnet_deinit(struct simworld *sim)
{
    simstreams_deinit(sim);
    simlinks_deinit(sim);
}
