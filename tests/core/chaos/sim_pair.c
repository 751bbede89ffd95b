#include "tests/core/chaos/sim_pair.h"

#include <string.h>

#include "core/base/cursor.h"
#include "tests/support/test.h"

static const struct world_endpoint sim_pair_at_b = {"b", SIM_PAIR_PORT};

static void sim_peer_opened(struct world_stream_sink *sink)
{
    struct sim_peer *p = sink->owner;
    p->opened++;
}

static void sim_peer_received(struct world_stream_sink *sink, struct bytes bytes)
{
    struct sim_peer *p = sink->owner;
    buf_put(&p->got, bytes.data, bytes.len);
    p->got_at = world_now(simhost_world(p->host));
    p->receipts++;
}

static void sim_peer_writable(struct world_stream_sink *sink)
{
    struct sim_peer *p = sink->owner;
    p->writable++;
}

static void sim_peer_closed(struct world_stream_sink *sink, enum err why)
{
    struct sim_peer *p = sink->owner;
    p->closed++;
    p->why = why;
    p->stream = NULL;
}

static struct world_stream_sink *sim_peer_accepted(struct world_listener *listener,
                                                   struct world_stream *stream,
                                                   const struct world_endpoint *from)
{
    struct sim_peer *p = listener->owner;
    assert_string_equal(from->host, "a");
    if (p->refuses || p->stream != NULL) {
        return NULL;
    }
    p->stream = stream;
    p->accepted++;
    return &p->sink;
}

static void sim_peer_datagram(struct world_datagram_sink *sink, const struct world_endpoint *from,
                              struct bytes datagram)
{
    struct sim_peer *p = sink->owner;
    struct cursor c;
    cursor_init(&c, datagram);
    assert_int_equal(from->port, SIM_PAIR_PORT);
    assert_true(p->datagram_count < SIM_DATAGRAMS_MAX);
    p->numbers[p->datagram_count] = cursor_u32(&c);
    p->times[p->datagram_count++] = world_now(simhost_world(p->host));
    assert_true(cursor_ok(&c));
}

static void sim_peer_init(struct sim_peer *p, struct simworld *sim, const char *name)
{
    memset(p, 0, sizeof *p);
    p->host = simhost_new(sim, name, 0);
    p->sink = (struct world_stream_sink){.opened = sim_peer_opened,
                                         .received = sim_peer_received,
                                         .writable = sim_peer_writable,
                                         .closed = sim_peer_closed,
                                         .owner = p};
    p->listener = (struct world_listener){.accepted = sim_peer_accepted, .owner = p};
    p->datagrams = (struct world_datagram_sink){.received = sim_peer_datagram, .owner = p};
    buf_init(&p->got);
}

void sim_pair_listen(struct sim_pair *p)
{
    const struct world *b = simhost_world(p->b.host);
    p->b.stream = NULL;
    assert_int_equal(b->net->listen(b->self, SIM_PAIR_PORT, &p->b.listener), OK);
    assert_int_equal(b->net->datagram_open(b->self, SIM_PAIR_PORT, &p->b.datagrams), OK);
}

void sim_pair_hosts(struct sim_pair *p, uint64_t seed)
{
    p->sim = simworld_new(seed);
    sim_peer_init(&p->a, p->sim, "a");
    sim_peer_init(&p->b, p->sim, "b");
    sim_pair_listen(p);
}

void sim_pair_connect(struct sim_pair *p)
{
    const struct world *a = simhost_world(p->a.host);
    p->a.stream = a->net->connect(a->self, &sim_pair_at_b, &p->a.sink);
}

void sim_pair_init(struct sim_pair *p, uint64_t seed)
{
    sim_pair_hosts(p, seed);
    sim_pair_connect(p);
    sim_pair_run(p, 10 * NANOS_PER_MS);
    assert_int_equal(p->a.opened, 1);
    assert_int_equal(p->b.accepted, 1);
}

void sim_pair_deinit(struct sim_pair *p)
{
    simworld_free(p->sim);
    buf_deinit(&p->a.got);
    buf_deinit(&p->b.got);
}

void sim_pair_run(struct sim_pair *p, nanos span)
{
    simworld_run(p->sim, simworld_now(p->sim) + span);
}

enum err sim_peer_send(struct sim_peer *p, const void *data, size_t n)
{
    const struct world *w = simhost_world(p->host);
    return w->net->stream_send(w->self, p->stream, (struct bytes){data, n});
}

void sim_peer_close(struct sim_peer *p)
{
    const struct world *w = simhost_world(p->host);
    w->net->stream_close(w->self, p->stream);
    p->stream = NULL;
}

void sim_pair_ping(struct sim_pair *p, uint32_t number, size_t size)
{
    const struct world *a = simhost_world(p->a.host);
    uint8_t bytes[WORLD_DATAGRAM_MAX_BYTES] = {0};
    struct buf b;

    buf_init(&b);
    buf_put_u32(&b, number);
    memcpy(bytes, b.data, b.len);
    buf_deinit(&b);
    a->net->datagram_send(a->self, SIM_PAIR_PORT, &sim_pair_at_b, (struct bytes){bytes, size});
}

void sim_pair_link(struct sim_pair *p, bool is_back, const struct simnet_link *link)
{
    simnet_link_set(is_back ? p->b.host : p->a.host, is_back ? p->a.host : p->b.host, link);
}
