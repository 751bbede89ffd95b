/* Strangers on a node's port: whatever bytes they send, the node goes on, and so does its group. */
#include <string.h>

#include "core/base/crc.h"
#include "core/node/node_int.h"
#include "core/store/store_limits.h"
#include "tests/support/node_cluster.h"
#include "tests/support/test.h"

#define NOISE_BYTES 600

struct stranger {
    struct world_stream_sink sink;
    struct world_stream *stream;
    bool closed;
};

static void stranger_on_opened(struct world_stream_sink *sink)
{
    (void)sink;
}

static void stranger_on_received(struct world_stream_sink *sink, struct bytes bytes)
{
    (void)sink;
    (void)bytes;
}

static void stranger_on_closed(struct world_stream_sink *sink, enum err why)
{
    struct stranger *s = sink->owner;
    (void)why;
    s->closed = true;
}

static void put_noise(struct buf *b, struct prng *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_put_u8(b, (uint8_t)prng_u64(p));
    }
}

/* docs/formats/peer-stream.md: the hello of `from`. */
static void put_hello(struct buf *b, node_id from, node_id to)
{
    buf_put_u32(b, 0x5350434eU);
    buf_put_u16(b, 1);
    buf_put_u8(b, NODE_STREAM_LOG);
    buf_put_u8(b, STORE_FEATURE_LEVEL_MAX);
    buf_put_u64(b, 77);
    buf_put_u64(b, from);
    buf_put_u64(b, to);
    buf_put_u32(b, 0);
    buf_put_u32(b, crc32c(0, b->data, b->len));
}

static void put_frame(struct buf *b, struct bytes body, uint32_t mark)
{
    buf_put_u32(b, (uint32_t)body.len | mark);
    buf_put_u32(b, crc32c(0, body.data, body.len));
    buf_put(b, body.data, body.len);
}

/* A message that a member might send, with some bytes changed, in a frame whose checksum is right.
 */
static void put_mutant(struct buf *b, struct prng *p, node_id from, node_id to)
{
    static const enum raft_message_type types[] = {
        RAFT_MSG_APP,        RAFT_MSG_APP_RESP, RAFT_MSG_HEARTBEAT,  RAFT_MSG_HEARTBEAT_RESP,
        RAFT_MSG_VOTE,       RAFT_MSG_PRE_VOTE, RAFT_MSG_VOTE_RESP,  RAFT_MSG_PRE_VOTE_RESP,
        RAFT_MSG_READ_INDEX, RAFT_MSG_REPAIR,   RAFT_MSG_REPAIR_RESP};
    struct raft_message m = {.type = types[prng_below(p, COUNT_OF(types))], .from = from, .to = to};
    struct buf body;
    buf_init(&body);
    raft_message_encode(&m, &body);
    for (uint64_t i = prng_below(p, 6); i > 0; i--) {
        body.data[prng_below(p, body.len)] = (uint8_t)prng_u64(p);
    }
    put_frame(b, buf_view(&body), prng_chance(p, 1, 4) ? 0x80000000U : 0);
    buf_deinit(&body);
}

static void stranger_sends(struct cluster3 *c, const struct world *world, struct prng *p)
{
    uint32_t at = (uint32_t)prng_below(p, NODES);
    struct buf b;
    buf_init(&b);
    uint64_t kind = prng_below(p, 3);
    if (kind > 0) {
        put_hello(&b, 1 + (at + 1) % NODES, 1 + at);
    }
    if (kind == 2) {
        for (int i = 0; i < 5; i++) {
            put_mutant(&b, p, 1 + (at + 1) % NODES, 1 + at);
        }
    }
    put_noise(&b, p, prng_below(p, NOISE_BYTES));
    struct stranger s = {.closed = false};
    s.sink = (struct world_stream_sink){.opened = stranger_on_opened,
                                        .received = stranger_on_received,
                                        .writable = stranger_on_opened,
                                        .closed = stranger_on_closed,
                                        .owner = &s};
    struct world_endpoint to = {.port = 2380};
    memcpy(to.host, c->member[at].name, sizeof(c->member[at].name));
    s.stream = world->net->connect(world->self, &to, &s.sink);
    assert_int_equal(world->net->stream_send(world->self, s.stream, buf_view(&b)), OK);
    buf_deinit(&b);
    cluster3_run(c, 20 * NANOS_PER_MS);
    if (!s.closed) {
        world->net->stream_close(world->self, s.stream);
    }
}

static void goes_on_whatever_strangers_send(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    struct cluster3 c;
    cluster3_init(&c, 41, NODES);
    cluster3_start(&c);
    cluster3_put(&c, cluster3_elect(&c), "answer", value_of(42));
    const struct world *world = simhost_world(simhost_new(c.sim, "stranger", 1024 * 1024));
    for (size_t i = 0; i < test_rounds(300); i++) {
        stranger_sends(&c, world, &p);
        for (uint32_t k = 0; k < NODES; k++) {
            assert_false(c.member[k].halted);
        }
    }
    cluster3_run(&c, 10 * NANOS_PER_S);
    uint32_t leader = cluster3_elect(&c);
    cluster3_put(&c, leader, "after", value_of(43));
    assert_true(cluster3_get(&c, leader, "answer", value_of(42)));
    cluster3_deinit(&c);
}

static bool hears_from(const struct node *n, node_id peer)
{
    bool hears = false;
    for (size_t i = 0; i < NODE_INCOMING_MAX; i++) {
        hears = hears || (n->incoming[i].stream && n->incoming[i].peer == peer);
    }
    return hears;
}

/* Strangers who connect, and say nothing, take every place there is; a peer that has to connect
 * anew gets one all the same, and at once. */
static void silent_strangers_keep_no_peer_out(void **state)
{
    (void)state;
    static struct stranger strangers[2 * NODE_INCOMING_MAX];
    struct cluster3 c;
    cluster3_init(&c, 42, NODES);
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    uint32_t back = (leader + 1) % NODES;
    uint32_t at = (leader + 2) % NODES;
    const struct world *world = simhost_world(simhost_new(c.sim, "stranger", 1024 * 1024));
    struct world_endpoint to = {.port = 2380};
    memcpy(to.host, c.member[at].name, sizeof(c.member[at].name));
    member_kill(&c, back, false);
    cluster3_run(&c, 100 * NANOS_PER_MS);
    for (size_t i = 0; i < COUNT_OF(strangers); i++) {
        struct stranger *s = &strangers[i];
        s->closed = false;
        s->sink = (struct world_stream_sink){.opened = stranger_on_opened,
                                             .received = stranger_on_received,
                                             .writable = stranger_on_opened,
                                             .closed = stranger_on_closed,
                                             .owner = s};
        s->stream = world->net->connect(world->self, &to, &s->sink);
    }
    cluster3_run(&c, 100 * NANOS_PER_MS);
    member_start(&c, back);
    cluster3_run(&c, NANOS_PER_S);
    assert_true(hears_from(c.member[at].node, 1 + back));
    for (size_t i = 0; i < COUNT_OF(strangers); i++) {
        if (!strangers[i].closed) {
            world->net->stream_close(world->self, strangers[i].stream);
        }
    }
    cluster3_run(&c, NANOS_PER_S);
    cluster3_deinit(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silent_strangers_keep_no_peer_out),
        cmocka_unit_test(goes_on_whatever_strangers_send),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
