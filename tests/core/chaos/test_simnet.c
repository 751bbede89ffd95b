/* The network without faults of its own: order, back pressure, and what the death of a host does.
 */
#include "core/chaos/simnet.h"

#include "tests/support/test.h"

#include <string.h>

#include "core/base/buf.h"

/* One end, and what it heard. */
struct peer {
    struct simhost *host;
    struct world_stream *stream;
    struct world_stream_sink sink;
    struct world_listener listener;
    struct world_datagram_sink datagrams;
    struct buf got;
    int opened;
    int closed;
    int writable;
    int datagram_count;
};

static void peer_opened(struct world_stream_sink *sink)
{
    struct peer *p = sink->owner;
    p->opened++;
}

static void peer_received(struct world_stream_sink *sink, struct bytes bytes)
{
    struct peer *p = sink->owner;
    buf_put(&p->got, bytes.data, bytes.len);
}

static void peer_writable(struct world_stream_sink *sink)
{
    struct peer *p = sink->owner;
    p->writable++;
}

static void peer_heard_closed(struct world_stream_sink *sink, enum err why)
{
    struct peer *p = sink->owner;
    assert_int_equal(why, ERR_CLOSED);
    p->closed++;
}

static struct world_stream_sink *peer_accepted(struct world_listener *listener,
                                               struct world_stream *stream,
                                               const struct world_endpoint *from)
{
    struct peer *p = listener->owner;
    assert_string_equal(from->host, "a");
    if (p->stream != NULL) {
        return NULL;
    }
    p->stream = stream;
    return &p->sink;
}

static void peer_datagram(struct world_datagram_sink *sink, const struct world_endpoint *from,
                          struct bytes datagram)
{
    struct peer *p = sink->owner;
    assert_int_equal(from->port, 7);
    assert_memory_equal(datagram.data, "ping", 4);
    p->datagram_count++;
}

static void peer_init(struct peer *p, struct simworld *sim, const char *name)
{
    *p = (struct peer){.host = simhost_new(sim, name, 0)};
    p->sink =
        (struct world_stream_sink){peer_opened, peer_received, peer_writable, peer_heard_closed, p};
    p->listener = (struct world_listener){peer_accepted, p};
    p->datagrams = (struct world_datagram_sink){peer_datagram, p};
    buf_init(&p->got);
}

struct pair {
    struct simworld *sim;
    struct peer a;
    struct peer b;
};

static const struct world_endpoint at_b = {"b", 7};

/* Two hosts; a connects to b. */
static void pair_init(struct pair *p)
{
    p->sim = simworld_new(1);
    peer_init(&p->a, p->sim, "a");
    peer_init(&p->b, p->sim, "b");
    const struct world *a = simhost_world(p->a.host);
    const struct world *b = simhost_world(p->b.host);
    assert_int_equal(b->net->listen(b->self, 7, &p->b.listener), OK);
    assert_int_equal(b->net->listen(b->self, 7, &p->b.listener), ERR_EXISTS);
    p->a.stream = a->net->connect(a->self, &at_b, &p->a.sink);
    simworld_run(p->sim, NANOS_FOREVER);
    assert_int_equal(p->a.opened, 1);
    assert_non_null(p->b.stream);
}

static void pair_deinit(struct pair *p)
{
    simworld_free(p->sim);
    buf_deinit(&p->a.got);
    buf_deinit(&p->b.got);
}

static enum err pair_send(struct peer *p, const void *data, size_t n)
{
    const struct world *w = simhost_world(p->host);
    return w->net->stream_send(w->self, p->stream, (struct bytes){data, n});
}

static void a_stream_keeps_order_both_ways(void **state)
{
    (void)state;
    struct pair p;
    uint8_t byte = 0;

    pair_init(&p);
    for (int i = 0; i < 200; i++, byte++) {
        assert_int_equal(pair_send(&p.a, &byte, 1), OK);
        assert_int_equal(pair_send(&p.b, &byte, 1), OK);
        if (i % 3 == 0) {
            (void)simworld_step(p.sim);
        }
    }
    simworld_run(p.sim, NANOS_FOREVER);
    assert_int_equal(p.a.got.len, 200);
    assert_int_equal(p.b.got.len, 200);
    for (size_t i = 0; i < 200; i++) {
        assert_int_equal(p.a.got.data[i], i);
        assert_int_equal(p.b.got.data[i], i);
    }
    /* What was sent before the end still arrives. */
    assert_int_equal(pair_send(&p.a, &byte, 1), OK);
    const struct world *w = simhost_world(p.a.host);
    w->net->stream_close(w->self, p.a.stream);
    simworld_run(p.sim, NANOS_FOREVER);
    assert_int_equal(p.b.got.len, 201);
    assert_int_equal(p.b.closed, 1);
    assert_int_equal(p.a.closed, 0);
    pair_deinit(&p);
}

static void a_full_queue_says_so_and_then_that_there_is_room(void **state)
{
    (void)state;
    struct pair p;
    static uint8_t block[1024 * 1024];
    size_t sent = 0;

    pair_init(&p);
    while (pair_send(&p.a, block, sizeof block) == OK) {
        sent += sizeof block;
        assert_true(sent <= WORLD_STREAM_QUEUE_MAX_BYTES);
    }
    assert_int_equal(p.a.writable, 0);
    simworld_run(p.sim, NANOS_FOREVER);
    assert_int_equal(p.a.writable, 1);
    assert_int_equal(p.b.got.len, sent);
    pair_deinit(&p);
}

static void the_death_of_a_host_closes_its_peers_streams(void **state)
{
    (void)state;
    struct pair p;

    pair_init(&p);
    assert_int_equal(pair_send(&p.a, "x", 1), OK);
    simhost_kill(p.b.host);
    simworld_run(p.sim, NANOS_FOREVER);
    assert_int_equal(p.a.closed, 1);
    assert_int_equal(p.b.closed, 0);
    /* Nobody listens there any more. */
    const struct world *w = simhost_world(p.a.host);
    (void)w->net->connect(w->self, &at_b, &p.a.sink);
    simworld_run(p.sim, NANOS_FOREVER);
    assert_int_equal(p.a.closed, 2);
    pair_deinit(&p);
}

static void a_cut_delays_streams_and_drops_datagrams(void **state)
{
    (void)state;
    struct pair p;

    pair_init(&p);
    const struct world *a = simhost_world(p.a.host);
    const struct world *b = simhost_world(p.b.host);
    const struct bytes ping = {(const uint8_t *)"ping", 4};
    assert_int_equal(b->net->datagram_open(b->self, 7, &p.b.datagrams), OK);
    a->net->datagram_send(a->self, 7, &at_b, ping);
    simworld_run(p.sim, NANOS_FOREVER);
    assert_int_equal(p.b.datagram_count, 1);
    simnet_cut(p.a.host, p.b.host, true);
    a->net->datagram_send(a->self, 7, &at_b, ping);
    assert_int_equal(pair_send(&p.a, "late", 4), OK);
    simworld_run(p.sim, simworld_now(p.sim) + SIMNET_USER_TIMEOUT / 2);
    assert_int_equal(p.b.datagram_count, 1);
    assert_int_equal(p.b.got.len, 0);
    simnet_cut(p.a.host, p.b.host, false);
    simworld_run(p.sim, NANOS_FOREVER);
    assert_int_equal(p.b.got.len, 4);
    b->net->datagram_close(b->self, 7);
    a->net->datagram_send(a->self, 7, &at_b, ping);
    simworld_run(p.sim, NANOS_FOREVER);
    assert_int_equal(p.b.datagram_count, 1);
    pair_deinit(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_keeps_order_both_ways),
        cmocka_unit_test(a_full_queue_says_so_and_then_that_there_is_room),
        cmocka_unit_test(the_death_of_a_host_closes_its_peers_streams),
        cmocka_unit_test(a_cut_delays_streams_and_drops_datagrams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
