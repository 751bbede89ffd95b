/* Streams between nodes when hosts vanish without a word. */
#include <string.h>

#include "core/node/node_int.h"
#include "tests/support/node_cluster.h"
#include "tests/support/test.h"

static size_t incoming_streams(const struct node *n)
{
    size_t count = 0;
    for (size_t i = 0; i < NODE_INCOMING_MAX; i++) {
        count += n->incoming[i].stream != NULL;
    }
    return count;
}

/* Nobody tells a node that the streams which a peer opened before its power was cut are over, and
 * it never sends on them: only the peer's next hello does. */
static void the_streams_of_a_peers_earlier_life_make_way_for_its_new_ones(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 61, NODES);
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    uint32_t cut = (leader + 1) % NODES;
    uint32_t other = (leader + 2) % NODES;
    for (int i = 0; i < 5; i++) {
        member_kill(&c, cut, true);
        cluster3_run(&c, 100 * NANOS_PER_MS);
        member_start(&c, cut);
        cluster3_run(&c, 5 * NANOS_PER_S);
        assert_int_equal(incoming_streams(c.member[leader].node), 2 * (NODES - 1));
        assert_int_equal(incoming_streams(c.member[other].node), 2 * (NODES - 1));
    }
    leader = cluster3_elect(&c);
    cluster3_put(&c, leader, "answer", value_of(42));
    assert_true(cluster3_get(&c, cut, "answer", value_of(42)));
    cluster3_deinit(&c);
}

/* One who shares the members' port. */
struct guest {
    struct world_listener listener;
    struct world_stream_sink sink;
    struct buf got;
    int accepted;
    bool refuses;
    bool closed;
};

static void guest_on_opened(struct world_stream_sink *sink)
{
    (void)sink;
}

static void guest_on_received(struct world_stream_sink *sink, struct bytes bytes)
{
    struct guest *g = sink->owner;
    buf_put(&g->got, bytes.data, bytes.len);
}

static void guest_on_closed(struct world_stream_sink *sink, enum err why)
{
    struct guest *g = sink->owner;
    (void)why;
    g->closed = true;
}

static struct world_stream_sink *guest_on_accepted(struct world_listener *listener,
                                                   struct world_stream *stream,
                                                   const struct world_endpoint *from)
{
    struct guest *g = listener->owner;
    (void)stream;
    assert_string_equal(from->host, "caller");
    g->accepted++;
    return g->refuses ? NULL : &g->sink;
}

static void guest_init(struct guest *g)
{
    memset(g, 0, sizeof(*g));
    g->listener = (struct world_listener){.accepted = guest_on_accepted, .owner = g};
    g->sink = (struct world_stream_sink){guest_on_opened, guest_on_received, guest_on_opened,
                                         guest_on_closed, g};
    buf_init(&g->got);
}

/* Sends a text in two pieces to the first member. */
static struct world_stream *guest_call(struct cluster3 *c, struct guest *caller,
                                       const struct world *world, const char *text)
{
    struct world_endpoint to = {.port = 2380};
    size_t n = strlen(text);
    guest_init(caller);
    memcpy(to.host, c->member[0].name, sizeof(c->member[0].name));
    struct world_stream *stream = world->net->connect(world->self, &to, &caller->sink);
    for (size_t at = 0, len = 2; at < n; at += len, len = n - at) {
        struct bytes piece = {(const uint8_t *)text + at, len};
        assert_int_equal(world->net->stream_send(world->self, stream, piece), OK);
        cluster3_run(c, 20 * NANOS_PER_MS);
    }
    return stream;
}

static void a_stream_that_begins_otherwise_is_handed_to_the_guest(void **state)
{
    (void)state;
    struct cluster3 c;
    struct guest guest;
    struct guest caller;
    cluster3_init(&c, 71, NODES);
    cluster3_start(&c);
    cluster3_put(&c, cluster3_elect(&c), "answer", value_of(42));
    const struct world *world = simhost_world(simhost_new(c.sim, "caller", 1024 * 1024));
    guest_init(&guest);
    c.member[0].node->cfg.guest = &guest.listener;
    struct world_stream *stream = guest_call(&c, &caller, world, "NCH1 and more");
    assert_int_equal(guest.accepted, 1);
    assert_int_equal(guest.got.len, 13);
    assert_memory_equal(guest.got.data, "NCH1 and more", 13);
    assert_int_equal(incoming_streams(c.member[0].node), 2 * (NODES - 1));
    cluster3_run(&c, 60 * NANOS_PER_S);
    assert_false(caller.closed);
    world->net->stream_close(world->self, stream);
    cluster3_run(&c, NANOS_PER_S);
    assert_true(guest.closed);
    /* One that the guest refuses is refused; a member's own never comes to it. */
    guest.refuses = true;
    buf_deinit(&caller.got);
    (void)guest_call(&c, &caller, world, "NCH1");
    assert_true(caller.closed);
    assert_int_equal(guest.accepted, 2);
    member_kill(&c, 1, false);
    member_start(&c, 1);
    cluster3_run(&c, 5 * NANOS_PER_S);
    assert_int_equal(guest.accepted, 2);
    cluster3_put(&c, cluster3_elect(&c), "after", value_of(43));
    c.member[0].node->cfg.guest = NULL;
    buf_deinit(&caller.got);
    buf_deinit(&guest.got);
    cluster3_deinit(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_streams_of_a_peers_earlier_life_make_way_for_its_new_ones),
        cmocka_unit_test(a_stream_that_begins_otherwise_is_handed_to_the_guest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
