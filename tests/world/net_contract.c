#include "tests/world/net_contract.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/buf.h"
#include "tests/support/test.h"

#define STEPS_MAX 200000

/* How many steps show that nothing more happens. */
#define QUIET_STEPS 50

/* One end of a stream, its world, and what it heard. */
struct net_end {
    const struct world *world;
    struct world_stream *stream; /* NULL: none, or ended */
    struct world_stream_sink sink;
    struct world_listener listener;
    struct buf got;
    int opened;
    int closed;
    int writable;
    int accepted;
    bool refuses;        /* incoming streams */
    bool closes_at_once; /* when bytes come */
    bool echoes;
    bool is_inside; /* a call of ours: nothing may be told */
};

static enum err net_end_send(struct net_end *e, const void *bytes, size_t n)
{
    e->is_inside = true;
    enum err result =
        e->world->net->stream_send(e->world->self, e->stream, (struct bytes){bytes, n});
    e->is_inside = false;
    return result;
}

static void net_end_close(struct net_end *e)
{
    e->is_inside = true;
    e->world->net->stream_close(e->world->self, e->stream);
    e->is_inside = false;
    e->stream = NULL;
}

static void net_end_opened(struct world_stream_sink *sink)
{
    struct net_end *e = sink->owner;
    assert_false(e->is_inside);
    assert_non_null(e->stream);
    e->opened++;
}

static void net_end_received(struct world_stream_sink *sink, struct bytes bytes)
{
    struct net_end *e = sink->owner;
    assert_false(e->is_inside);
    assert_non_null(e->stream);
    assert_true(bytes.len > 0);
    buf_put(&e->got, bytes.data, bytes.len);
    if (e->echoes) {
        assert_int_equal(net_end_send(e, bytes.data, bytes.len), OK);
    }
    if (e->closes_at_once) {
        net_end_close(e);
    }
}

static void net_end_writable(struct world_stream_sink *sink)
{
    struct net_end *e = sink->owner;
    assert_false(e->is_inside);
    assert_non_null(e->stream);
    e->writable++;
}

static void net_end_closed(struct world_stream_sink *sink, enum err why)
{
    struct net_end *e = sink->owner;
    assert_false(e->is_inside);
    assert_non_null(e->stream);
    assert_true(why != OK);
    e->closed++;
    e->stream = NULL;
}

static struct world_stream_sink *net_end_accepted(struct world_listener *listener,
                                                  struct world_stream *stream,
                                                  const struct world_endpoint *from)
{
    struct net_end *e = listener->owner;
    assert_true(from->host[0] != '\0');
    if (e->refuses || e->stream != NULL) {
        return NULL;
    }
    e->accepted++;
    e->stream = stream;
    return &e->sink;
}

static void net_end_init(struct net_end *e, const struct world *world)
{
    memset(e, 0, sizeof *e);
    e->world = world;
    e->sink = (struct world_stream_sink){net_end_opened, net_end_received, net_end_writable,
                                         net_end_closed, e};
    e->listener = (struct world_listener){net_end_accepted, e};
    buf_init(&e->got);
}

/* Two hosts; b listens, and a calls it. */
struct net_pair {
    const struct net_place *place;
    struct net_bench bench;
    struct net_end a;
    struct net_end b;
};

static void net_pair_open(struct net_pair *p, void **state)
{
    p->place = *state;
    p->place->open(&p->bench);
    net_end_init(&p->a, p->bench.a);
    net_end_init(&p->b, p->bench.b);
    const struct world *b = p->bench.b;
    assert_int_equal(b->net->listen(b->self, p->bench.at_b.port, &p->b.listener), OK);
}

static void net_pair_close(struct net_pair *p)
{
    p->place->close(&p->bench);
    buf_deinit(&p->a.got);
    buf_deinit(&p->b.got);
}

static void net_pair_call(struct net_pair *p)
{
    struct net_end *a = &p->a;
    a->is_inside = true;
    a->stream = a->world->net->connect(a->world->self, &p->bench.at_b, &a->sink);
    a->is_inside = false;
    assert_non_null(a->stream);
}

#define NET_UNTIL(pair, condition)                                                                 \
    do {                                                                                           \
        for (int steps_ = 0; !(condition) && steps_ < STEPS_MAX; steps_++) {                       \
            (pair)->place->step(&(pair)->bench);                                                   \
        }                                                                                          \
        assert_true(condition);                                                                    \
    } while (0)

static void net_pair_rest(struct net_pair *p)
{
    for (int i = 0; i < QUIET_STEPS; i++) {
        p->place->step(&p->bench);
    }
}

static void net_pair_connect(struct net_pair *p)
{
    net_pair_call(p);
    NET_UNTIL(p, p->a.opened == 1 && p->b.accepted == 1);
}

static void fill_pattern(uint8_t *bytes, size_t n, size_t at)
{
    for (size_t i = 0; i < n; i++) {
        bytes[i] = (uint8_t)((at + i) * 31 + ((at + i) >> 8));
    }
}

static void assert_pattern(const struct buf *got)
{
    for (size_t i = 0; i < got->len; i++) {
        if (got->data[i] != (uint8_t)(i * 31 + (i >> 8))) {
            fail_msg("byte %zu is another", i);
        }
    }
}

/* --- streams --------------------------------------------------------------------------------- */

static void bytes_arrive_in_order_and_complete_both_ways(void **state)
{
    struct net_pair p;
    struct prng prng = test_prng(__func__);
    struct net_end *ends[] = {&p.a, &p.b};
    size_t sent[] = {0, 0};
    static uint8_t block[70000];

    net_pair_open(&p, state);
    net_pair_connect(&p);
    for (int i = 0; i < 400; i++) {
        size_t from = (size_t)prng_below(&prng, 2);
        uint64_t most = prng_below(&prng, 10) == 0 ? sizeof block : 300;
        size_t n = (size_t)prng_range(&prng, 1, most);
        fill_pattern(block, n, sent[from]);
        assert_int_equal(net_end_send(ends[from], block, n), OK);
        sent[from] += n;
        if (prng_below(&prng, 3) == 0) {
            p.place->step(&p.bench);
        }
    }
    NET_UNTIL(&p, p.b.got.len == sent[0] && p.a.got.len == sent[1]);
    assert_pattern(&p.a.got);
    assert_pattern(&p.b.got);
    assert_int_equal(p.a.closed + p.b.closed, 0);
    assert_int_equal(p.b.opened, 0);
    net_pair_close(&p);
}

static void what_is_sent_before_it_is_open_waits(void **state)
{
    struct net_pair p;

    net_pair_open(&p, state);
    net_pair_call(&p);
    assert_int_equal(net_end_send(&p.a, "early", 5), OK);
    assert_int_equal(p.a.opened, 0);
    NET_UNTIL(&p, p.b.got.len == 5);
    assert_int_equal(p.a.opened, 1);
    assert_memory_equal(p.b.got.data, "early", 5);
    net_pair_close(&p);
}

static void a_queue_is_bounded_and_says_when_half_is_free(void **state)
{
    struct net_pair p;
    static uint8_t block[1024 * 1024];
    size_t sent = 0;

    net_pair_open(&p, state);
    net_pair_connect(&p);
    for (;;) {
        fill_pattern(block, sizeof block, sent);
        if (net_end_send(&p.a, block, sizeof block) != OK) {
            break;
        }
        sent += sizeof block;
        assert_true(sent <= WORLD_STREAM_QUEUE_MAX_BYTES);
    }
    assert_true(sent >= WORLD_STREAM_QUEUE_MAX_BYTES / 2);
    assert_int_equal(p.a.writable, 0);
    NET_UNTIL(&p, p.a.writable == 1);
    /* Half of it is free, so half of it fits. */
    for (size_t i = 0; i < WORLD_STREAM_QUEUE_MAX_BYTES / 2; i += sizeof block) {
        fill_pattern(block, sizeof block, sent);
        assert_int_equal(net_end_send(&p.a, block, sizeof block), OK);
        sent += sizeof block;
    }
    NET_UNTIL(&p, p.b.got.len == sent);
    net_pair_rest(&p);
    assert_pattern(&p.b.got);
    assert_int_equal(p.a.writable, 1); /* once for each refusal */
    net_pair_close(&p);
}

static void a_message_that_does_not_fit_is_refused_whole(void **state)
{
    struct net_pair p;
    uint8_t *block = calloc(1, WORLD_STREAM_QUEUE_MAX_BYTES);

    net_pair_open(&p, state);
    net_pair_connect(&p);
    assert_int_equal(net_end_send(&p.a, "x", 1), OK);
    assert_int_equal(net_end_send(&p.a, block, WORLD_STREAM_QUEUE_MAX_BYTES), ERR_BUSY);
    NET_UNTIL(&p, p.a.writable == 1);
    assert_int_equal(net_end_send(&p.a, "y", 1), OK);
    NET_UNTIL(&p, p.b.got.len == 2);
    assert_memory_equal(p.b.got.data, "xy", 2);
    net_pair_close(&p);
    free(block);
}

static void an_end_is_told_once_after_all_that_was_sent(void **state)
{
    struct net_pair p;
    static uint8_t block[3 * 1024 * 1024];

    net_pair_open(&p, state);
    net_pair_connect(&p);
    fill_pattern(block, sizeof block, 0);
    assert_int_equal(net_end_send(&p.a, block, sizeof block), OK);
    net_end_close(&p.a);
    NET_UNTIL(&p, p.b.closed == 1);
    net_pair_rest(&p);
    assert_int_equal(p.b.got.len, sizeof block);
    assert_pattern(&p.b.got);
    assert_int_equal(p.a.closed, 0);
    assert_int_equal(p.b.closed, 1);
    net_pair_close(&p);
}

static void a_stream_may_be_closed_while_it_brings_bytes(void **state)
{
    struct net_pair p;
    static uint8_t block[1024 * 1024];

    net_pair_open(&p, state);
    net_pair_connect(&p);
    p.b.closes_at_once = true;
    assert_int_equal(net_end_send(&p.a, block, sizeof block), OK);
    NET_UNTIL(&p, p.a.closed == 1);
    assert_null(p.b.stream);
    net_pair_rest(&p);
    assert_int_equal(p.b.closed, 0);
    net_pair_close(&p);
}

static void a_stream_may_be_closed_before_it_is_open(void **state)
{
    struct net_pair p;

    net_pair_open(&p, state);
    net_pair_call(&p);
    assert_int_equal(net_end_send(&p.a, "never", 5), OK);
    net_end_close(&p.a);
    net_pair_rest(&p);
    assert_int_equal(p.a.opened + p.a.closed, 0);
    assert_null(p.b.stream);
    net_pair_close(&p);
}

static void an_answer_may_be_sent_from_within(void **state)
{
    struct net_pair p;
    static uint8_t block[500000];

    net_pair_open(&p, state);
    net_pair_connect(&p);
    p.b.echoes = true;
    fill_pattern(block, sizeof block, 0);
    assert_int_equal(net_end_send(&p.a, block, sizeof block), OK);
    NET_UNTIL(&p, p.a.got.len == sizeof block);
    assert_pattern(&p.a.got);
    net_pair_close(&p);
}

/* From within the first bytes: they are the old sink's, all that follows is the new one's. */
struct hand_over {
    struct net_end *to;
    struct net_end *from;
    struct buf got;
};

static void hand_over_received(struct world_stream_sink *sink, struct bytes bytes)
{
    struct hand_over *h = sink->owner;
    struct net_end *from = h->from;

    assert_non_null(from->stream);
    buf_put(&h->got, bytes.data, bytes.len);
    h->to->stream = from->stream;
    from->world->net->stream_hand_over(from->world->self, from->stream, &h->to->sink);
    from->stream = NULL;
}

static void a_stream_may_be_handed_over_while_it_brings_bytes(void **state)
{
    struct net_pair p;
    struct net_end taker;
    struct hand_over h = {.to = &taker};

    net_pair_open(&p, state);
    net_pair_connect(&p);
    net_end_init(&taker, p.bench.b);
    h.from = &p.b;
    buf_init(&h.got);
    p.b.sink.received = hand_over_received;
    p.b.sink.owner = &h;
    assert_int_equal(net_end_send(&p.a, "first", 5), OK);
    NET_UNTIL(&p, h.got.len == 5);
    assert_int_equal(net_end_send(&p.a, "second", 6), OK);
    NET_UNTIL(&p, taker.got.len == 6);
    assert_memory_equal(taker.got.data, "second", 6);
    assert_int_equal(h.got.len, 5);
    assert_int_equal(net_end_send(&taker, "answer", 6), OK);
    NET_UNTIL(&p, p.a.got.len == 6);
    net_end_close(&p.a);
    NET_UNTIL(&p, taker.closed == 1);
    assert_int_equal(p.b.closed, 0);
    buf_deinit(&h.got);
    buf_deinit(&taker.got);
    net_pair_close(&p);
}

static void where_nobody_listens_it_is_closed(void **state)
{
    struct net_pair p;
    const struct world *b;

    net_pair_open(&p, state);
    b = p.bench.b;
    b->net->listen_close(b->self, p.bench.at_b.port);
    net_pair_call(&p);
    assert_int_equal(net_end_send(&p.a, "lost", 4), OK);
    NET_UNTIL(&p, p.a.closed == 1);
    net_pair_rest(&p);
    assert_int_equal(p.a.opened, 0);
    assert_int_equal(p.a.closed, 1);
    net_pair_close(&p);
}

static void a_listener_may_refuse(void **state)
{
    struct net_pair p;

    net_pair_open(&p, state);
    p.b.refuses = true;
    net_pair_call(&p);
    NET_UNTIL(&p, p.a.closed == 1);
    assert_int_equal(p.b.accepted, 0);
    net_pair_close(&p);
}

static void a_port_is_listened_at_once(void **state)
{
    struct net_pair p;
    struct net_end other;
    const struct world *b;

    net_pair_open(&p, state);
    b = p.bench.b;
    net_end_init(&other, b);
    assert_int_equal(b->net->listen(b->self, p.bench.at_b.port, &other.listener), ERR_EXISTS);
    /* A stream outlives its listener, whose port is free again. */
    net_pair_connect(&p);
    b->net->listen_close(b->self, p.bench.at_b.port);
    assert_int_equal(b->net->listen(b->self, p.bench.at_b.port, &other.listener), OK);
    assert_int_equal(net_end_send(&p.a, "still", 5), OK);
    NET_UNTIL(&p, p.b.got.len == 5);
    net_pair_close(&p);
    buf_deinit(&other.got);
}

static void the_death_of_a_process_closes_its_streams(void **state)
{
    struct net_pair p;

    net_pair_open(&p, state);
    net_pair_connect(&p);
    assert_int_equal(net_end_send(&p.a, "x", 1), OK);
    NET_UNTIL(&p, p.b.got.len == 1);
    p.place->kill_b(&p.bench);
    NET_UNTIL(&p, p.a.closed == 1);
    assert_int_equal(p.b.closed, 0);
    net_pair_close(&p);
}

/* --- datagrams ------------------------------------------------------------------------------- */

struct datagram_end {
    const struct world *world;
    struct world_datagram_sink sink;
    uint16_t port;
    struct world_endpoint from; /* of the last one */
    struct buf got;             /* the last one */
    int count;
    bool answers;
    bool is_inside;
};

static void datagram_end_send(struct datagram_end *e, const struct world_endpoint *to,
                              struct bytes datagram)
{
    e->is_inside = true;
    e->world->net->datagram_send(e->world->self, e->port, to, datagram);
    e->is_inside = false;
}

static void datagram_end_received(struct world_datagram_sink *sink,
                                  const struct world_endpoint *from, struct bytes datagram)
{
    struct datagram_end *e = sink->owner;
    assert_false(e->is_inside);
    e->count++;
    e->from = *from;
    buf_clear(&e->got);
    buf_put(&e->got, datagram.data, datagram.len);
    if (e->answers) {
        datagram_end_send(e, from, datagram);
    }
}

static void datagram_end_open(struct datagram_end *e, const struct world *world, uint16_t port)
{
    memset(e, 0, sizeof *e);
    e->world = world;
    e->port = port;
    e->sink = (struct world_datagram_sink){datagram_end_received, e};
    buf_init(&e->got);
    assert_int_equal(world->net->datagram_open(world->self, port, &e->sink), OK);
}

static void datagrams_say_whom_to_answer(void **state)
{
    struct net_pair p;
    struct datagram_end a;
    struct datagram_end b;
    static uint8_t largest[WORLD_DATAGRAM_MAX_BYTES];

    net_pair_open(&p, state);
    datagram_end_open(&a, p.bench.a, p.bench.at_a.port);
    datagram_end_open(&b, p.bench.b, p.bench.at_b.port);
    b.answers = true;
    fill_pattern(largest, sizeof largest, 0);
    datagram_end_send(&a, &p.bench.at_b, (struct bytes){largest, sizeof largest});
    NET_UNTIL(&p, a.count == 1);
    assert_int_equal(a.got.len, sizeof largest);
    assert_pattern(&a.got);
    assert_string_equal(b.from.host, p.bench.at_a.host);
    assert_int_equal(b.from.port, p.bench.at_a.port);
    datagram_end_send(&a, &p.bench.at_b, (struct bytes){NULL, 0});
    NET_UNTIL(&p, a.count == 2);
    assert_int_equal(a.got.len, 0);
    net_pair_close(&p);
    buf_deinit(&a.got);
    buf_deinit(&b.got);
}

static void datagrams_to_a_closed_port_vanish(void **state)
{
    struct net_pair p;
    struct datagram_end a;
    struct datagram_end b;
    const struct bytes ping = {(const uint8_t *)"ping", 4};

    net_pair_open(&p, state);
    datagram_end_open(&a, p.bench.a, p.bench.at_a.port);
    datagram_end_open(&b, p.bench.b, p.bench.at_b.port);
    assert_int_equal(b.world->net->datagram_open(b.world->self, b.port, &b.sink), ERR_EXISTS);
    b.world->net->datagram_close(b.world->self, b.port);
    datagram_end_send(&a, &p.bench.at_b, ping);
    net_pair_rest(&p);
    datagram_end_send(&a, &p.bench.at_b, ping);
    net_pair_rest(&p);
    assert_int_equal(b.count, 0);
    /* Neither side is the worse for it. */
    assert_int_equal(b.world->net->datagram_open(b.world->self, b.port, &b.sink), OK);
    datagram_end_send(&a, &p.bench.at_b, ping);
    NET_UNTIL(&p, b.count == 1);
    net_pair_close(&p);
    buf_deinit(&a.got);
    buf_deinit(&b.got);
}

int net_contract_run(struct net_place *place)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(bytes_arrive_in_order_and_complete_both_ways, place),
        cmocka_unit_test_prestate(what_is_sent_before_it_is_open_waits, place),
        cmocka_unit_test_prestate(a_queue_is_bounded_and_says_when_half_is_free, place),
        cmocka_unit_test_prestate(a_message_that_does_not_fit_is_refused_whole, place),
        cmocka_unit_test_prestate(an_end_is_told_once_after_all_that_was_sent, place),
        cmocka_unit_test_prestate(a_stream_may_be_closed_while_it_brings_bytes, place),
        cmocka_unit_test_prestate(a_stream_may_be_closed_before_it_is_open, place),
        cmocka_unit_test_prestate(an_answer_may_be_sent_from_within, place),
        cmocka_unit_test_prestate(a_stream_may_be_handed_over_while_it_brings_bytes, place),
        cmocka_unit_test_prestate(where_nobody_listens_it_is_closed, place),
        cmocka_unit_test_prestate(a_listener_may_refuse, place),
        cmocka_unit_test_prestate(a_port_is_listened_at_once, place),
        cmocka_unit_test_prestate(the_death_of_a_process_closes_its_streams, place),
        cmocka_unit_test_prestate(datagrams_say_whom_to_answer, place),
        cmocka_unit_test_prestate(datagrams_to_a_closed_port_vanish, place),
    };
    return cmocka_run_group_tests_name(place->name, tests, NULL, NULL);
}
