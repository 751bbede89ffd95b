/* Who may speak to a member, and who is refused, with which reason on both sides. */
#include <string.h>

#include "core/base/crc.h"
#include "core/consensus/raft/raft_int.h"
#include "core/node/node_int.h"
#include "core/store/store_limits.h"
#include "tests/support/node_cluster.h"
#include "tests/support/test.h"

#define CLUSTER 77
#define PORT    2380

struct caller {
    struct world_stream_sink sink;
    struct world_stream *stream;
    struct buf got;
    bool closed;
};

static void caller_on_opened(struct world_stream_sink *sink)
{
    (void)sink;
}

static void caller_on_received(struct world_stream_sink *sink, struct bytes bytes)
{
    struct caller *s = sink->owner;
    buf_put(&s->got, bytes.data, bytes.len);
}

static void caller_on_closed(struct world_stream_sink *sink, enum err why)
{
    struct caller *s = sink->owner;
    (void)why;
    s->closed = true;
}

/* One member that runs, and a host from which to call it. */
struct scene {
    struct cluster3 c;
    const struct world *world;
    struct caller caller;
};

static void scene_open(struct scene *s)
{
    cluster3_init(&s->c, 1, NODES);
    cluster3_start(&s->c);
    (void)cluster3_elect(&s->c);
    s->world = simhost_world(simhost_new(s->c.sim, "caller", 0));
}

static void scene_close(struct scene *s)
{
    cluster3_deinit(&s->c);
}

/* Sends the bytes to member 0, and waits. */
static void scene_call(struct scene *s, struct bytes bytes, nanos patience)
{
    struct world_endpoint to = {.port = PORT};
    memcpy(to.host, s->c.member[0].name, sizeof(s->c.member[0].name));
    s->caller = (struct caller){.closed = false};
    s->caller.sink = (struct world_stream_sink){.opened = caller_on_opened,
                                                .received = caller_on_received,
                                                .closed = caller_on_closed,
                                                .owner = &s->caller};
    buf_init(&s->caller.got);
    s->caller.stream = s->world->net->connect(s->world->self, &to, &s->caller.sink);
    assert_int_equal(s->world->net->stream_send(s->world->self, s->caller.stream, bytes), OK);
    cluster3_run(&s->c, patience);
}

static void scene_hang_up(struct scene *s)
{
    if (!s->caller.closed) {
        s->world->net->stream_close(s->world->self, s->caller.stream);
    }
    buf_deinit(&s->caller.got);
}

static void assert_refused(struct scene *s, const struct buf *hello, enum node_refusal why)
{
    const struct member *m = &s->c.member[0];
    uint32_t before = m->refusals;
    scene_call(s, buf_view(hello), 10 * NANOS_PER_MS);
    assert_true(s->caller.closed);
    assert_int_equal(m->refusals, before + 1);
    assert_string_equal(m->refused_why, node_refusal_text(why));
    if (why == NODE_REFUSAL_STRANGE) {
        assert_int_equal(s->caller.got.len, 0);
    } else {
        assert_int_equal(s->caller.got.len, NODE_REFUSAL_BYTES);
        assert_int_equal(node_refusal_decode(buf_view(&s->caller.got)), why);
    }
    scene_hang_up(s);
}

static void hello_of(struct buf *b, uint64_t cluster, node_id from, node_id to)
{
    buf_clear(b);
    const struct node_hello hello = {.kind = NODE_STREAM_LOG,
                                     .level = STORE_FEATURE_LEVEL_MAX,
                                     .cluster = cluster,
                                     .from = from,
                                     .to = to};
    buf_clear(b);
    node_hello_encode(&hello, b);
}

static void hello_of_member(struct buf *b, node_id from, uint32_t lineage, uint8_t level)
{
    const struct node_hello hello = {.kind = NODE_STREAM_LOG,
                                     .level = level,
                                     .cluster = CLUSTER,
                                     .from = from,
                                     .to = 1,
                                     .lineage = lineage};
    buf_clear(b);
    node_hello_encode(&hello, b);
}

static void says_why_it_refuses(void **state)
{
    (void)state;
    struct scene s;
    struct buf b;
    scene_open(&s);
    buf_init(&b);
    hello_of(&b, CLUSTER + 1, 2, 1);
    assert_refused(&s, &b, NODE_REFUSAL_CLUSTER);
    assert_int_equal(s.c.member[0].refused_peer, 2);
    hello_of(&b, CLUSTER, 2, 3);
    assert_refused(&s, &b, NODE_REFUSAL_ADDRESSEE);
    hello_of(&b, CLUSTER, 1, 1);
    assert_refused(&s, &b, NODE_REFUSAL_SAME_ID);
    hello_of(&b, CLUSTER, 99, 1);
    assert_refused(&s, &b, NODE_REFUSAL_UNKNOWN);
    assert_int_equal(s.c.member[0].refused_peer, 99);
    hello_of_member(&b, 2, 0x01000000, 0); /* and of a later history */
    assert_refused(&s, &b, NODE_REFUSAL_LEVEL);
    hello_of(&b, CLUSTER, 2, 1);
    b.data[4] = 2; /* the version, of which it is told whatever else follows */
    assert_refused(&s, &b, NODE_REFUSAL_VERSION);
    hello_of(&b, CLUSTER, 2, 1);
    b.data[20] ^= 1;
    assert_refused(&s, &b, NODE_REFUSAL_DAMAGED);
    hello_of(&b, CLUSTER, 2, 1);
    b.data[0] = 'G';
    assert_refused(&s, &b, NODE_REFUSAL_STRANGE);
    buf_deinit(&b);
    scene_close(&s);
}

static void whoever_says_nothing_is_sent_away(void **state)
{
    (void)state;
    struct scene s;
    struct buf b;
    scene_open(&s);
    buf_init(&b);
    member_kill(&s.c, 2, false); /* whose streams would replace those of a caller in its name */
    hello_of(&b, CLUSTER, 3, 1);
    scene_call(&s, (struct bytes){b.data, NODE_HELLO_BYTES - 1}, NODE_HELLO_TIMEOUT / 2);
    assert_false(s.caller.closed);
    cluster3_run(&s.c, NODE_HELLO_TIMEOUT);
    assert_true(s.caller.closed);
    assert_int_equal(s.c.member[0].refusals, 1);
    scene_hang_up(&s);
    /* One who did say it may be silent for ever. */
    scene_call(&s, buf_view(&b), 2 * NODE_HELLO_TIMEOUT);
    assert_false(s.caller.closed);
    assert_int_equal(s.c.member[0].refusals, 1);
    scene_hang_up(&s);
    buf_deinit(&b);
    scene_close(&s);
}

/* A listener that refuses whoever calls, as a member of another cluster would. */
struct refuser {
    const struct world *world;
    struct world_listener listener;
    struct world_stream_sink sink;
    struct world_stream *stream;
    uint32_t calls;
};

static void refuser_on_received(struct world_stream_sink *sink, struct bytes bytes)
{
    struct refuser *r = sink->owner;
    struct buf b;
    assert_true(bytes.len >= NODE_HELLO_BYTES);
    buf_init(&b);
    node_refusal_encode(NODE_REFUSAL_CLUSTER, &b);
    assert_int_equal(r->world->net->stream_send(r->world->self, r->stream, buf_view(&b)), OK);
    buf_deinit(&b);
    r->world->net->stream_close(r->world->self, r->stream);
    r->stream = NULL;
}

static void refuser_on_closed(struct world_stream_sink *sink, enum err why)
{
    struct refuser *r = sink->owner;
    (void)why;
    r->stream = NULL;
}

static struct world_stream_sink *refuser_on_accepted(struct world_listener *listener,
                                                     struct world_stream *stream,
                                                     const struct world_endpoint *from)
{
    struct refuser *r = listener->owner;
    (void)from;
    if (r->stream) {
        return NULL;
    }
    r->calls++;
    r->stream = stream;
    r->sink = (struct world_stream_sink){.opened = caller_on_opened,
                                         .received = refuser_on_received,
                                         .closed = refuser_on_closed,
                                         .owner = r};
    return &r->sink;
}

static void a_refused_member_hears_why_and_calls_ever_less_often(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 1, NODES);
    struct refuser r = {.world = simhost_world(c.member[1].host)};
    r.listener = (struct world_listener){refuser_on_accepted, &r};
    assert_int_equal(r.world->net->listen(r.world->self, PORT, &r.listener), OK);
    member_start(&c, 0);
    cluster3_run(&c, NANOS_PER_S);
    assert_true(r.calls > 0);
    assert_true(c.member[0].refusals > 0);
    assert_string_equal(c.member[0].refused_why, node_refusal_told_text(NODE_REFUSAL_CLUSTER));
    assert_int_equal(c.member[0].refused_peer, 2);
    uint32_t before = r.calls;
    cluster3_run(&c, 20 * NODE_RECONNECT_MAX);
    assert_true(r.calls - before <= 2 * 20 + 4);
    cluster3_deinit(&c);
}

/* The table at the top of node_quorum.c, for a member of the first lineage. */
static void lineages_are_judged_by_the_table(void **state)
{
    (void)state;
    static const struct {
        uint32_t lineage;
        node_id from; /* 2 is a member, 99 is none */
        enum node_refusal why;
    } cases[] = {
        {0x02000007, 99, NODE_REFUSAL_NONE},        {NODE_LINEAGE_NONE, 99, NODE_REFUSAL_NONE},
        {0x03000001, 99, NODE_REFUSAL_NONE},        {0x01000001, 2, NODE_REFUSAL_NONE},
        {0x01000001, 99, NODE_REFUSAL_OLD_LINEAGE}, {0, 99, NODE_REFUSAL_OLD_LINEAGE},
        {0x02000008, 2, NODE_REFUSAL_LINEAGE},      {0x02000008, 99, NODE_REFUSAL_LINEAGE},
    };
    struct scene s;
    scene_open(&s);
    struct node *n = s.c.member[0].node;
    n->raft->membership.lineage = 0x02000007;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct node_hello hello = {.from = cases[i].from, .lineage = cases[i].lineage};
        assert_int_equal(node_lineage_judge(n, &hello), cases[i].why);
    }
    n->raft->membership.lineage = 0;
    scene_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_why_it_refuses),
        cmocka_unit_test(lineages_are_judged_by_the_table),
        cmocka_unit_test(whoever_says_nothing_is_sent_away),
        cmocka_unit_test(a_refused_member_hears_why_and_calls_ever_less_often),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
