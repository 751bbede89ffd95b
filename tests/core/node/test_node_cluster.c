/*
 * Whole nodes on simulated hosts: the real glue, log bytes, recovery, store and Raft, on virtual
 * time. A key that was acknowledged is there again after every way to die.
 */
#include <string.h>

#include "core/base/check.h"
#include "core/chaos/simnet.h"
#include "core/chaos/simworld.h"
#include "core/node/node_int.h"
#include "tests/support/test.h"

#define NODES     3
#define PORT      2380
#define DISK      (256ULL * 1024 * 1024)
#define PATIENCE  (20 * NANOS_PER_S)
#define KEY_BYTES 24

struct member {
    struct simhost *host;
    struct node *node;
    char name[16];
    bool halted;
};

struct cluster3 {
    struct simworld *sim;
    struct member member[NODES];
    uint32_t n;
    struct raft_membership founders;
    uint64_t snapshot_entries;
};

static void member_on_halted(void *ctx, enum err error, const char *why)
{
    struct member *m = ctx;
    print_message("# %s halted: %s: %s\n", m->name, err_text(error), why);
    m->halted = true;
}

static void member_on_ready(void *ctx, enum recovery_verdict verdict, const char *why)
{
    struct member *m = ctx;
    print_message("# %s ready: %s: %s\n", m->name, recovery_verdict_name(verdict), why);
}

static void member_start(struct cluster3 *c, uint32_t i)
{
    struct member *m = &c->member[i];
    struct node_config config = node_config_default(i + 1);
    config.dir = "node";
    config.cluster = 77;
    config.founders = &c->founders;
    config.port = c->n > 1 ? PORT : 0;
    config.peer_count = c->n;
    config.segment_bytes = 16 * 1024 * 1024;
    config.snapshot_entries = c->snapshot_entries;
    config.tail_entries = 10;
    for (uint32_t k = 0; k < c->n; k++) {
        config.peers[k].id = k + 1;
        memcpy(config.peers[k].at.host, c->member[k].name, sizeof(c->member[k].name));
        config.peers[k].at.port = PORT;
    }
    m->halted = false;
    struct node_events events = {.ctx = m, .ready = member_on_ready, .halted = member_on_halted};
    m->node = node_open(simhost_world(m->host), &config, &events);
}

static void cluster3_init(struct cluster3 *c, uint64_t seed, uint32_t n)
{
    memset(c, 0, sizeof(*c));
    c->n = n;
    c->sim = simworld_new(seed);
    c->snapshot_entries = 1000000;
    for (uint32_t i = 0; i < n; i++) {
        memcpy(c->member[i].name, "host-0", 7);
        c->member[i].name[5] = (char)('0' + i);
        c->member[i].host = simhost_new(c->sim, c->member[i].name, DISK);
        raft_membership_insert(&c->founders, i + 1, RAFT_VOTER);
    }
}

static void cluster3_start(struct cluster3 *c)
{
    for (uint32_t i = 0; i < c->n; i++) {
        member_start(c, i);
    }
}

static void cluster3_deinit(struct cluster3 *c)
{
    for (uint32_t i = 0; i < c->n; i++) {
        if (c->member[i].node) {
            simhost_kill(c->member[i].host);
            node_close(c->member[i].node);
        }
    }
    simworld_free(c->sim);
}

/* The process dies, or the power goes: what survives of unsynced writes is drawn. */
static void member_kill(struct cluster3 *c, uint32_t i, bool power)
{
    struct member *m = &c->member[i];
    if (power) {
        simhost_cut_power(m->host, 1, 2);
    } else {
        simhost_kill(m->host);
    }
    node_close(m->node);
    m->node = NULL;
}

static int cluster3_leader(const struct cluster3 *c)
{
    for (uint32_t i = 0; i < c->n; i++) {
        const struct node *node = c->member[i].node;
        if (node && node_is_ready(node) && node_status(node).role == RAFT_LEADER) {
            return (int)i;
        }
    }
    return -1;
}

static void cluster3_run(struct cluster3 *c, nanos span)
{
    nanos until = simworld_now(c->sim) + span;
    simworld_run(c->sim, until);
    for (uint32_t i = 0; i < c->n; i++) {
        if (c->member[i].node) {
            node_check(c->member[i].node);
        }
    }
}

static int cluster3_elect(struct cluster3 *c)
{
    nanos until = simworld_now(c->sim) + PATIENCE;
    while (cluster3_leader(c) < 0 && simworld_now(c->sim) < until) {
        cluster3_run(c, 10 * NANOS_PER_MS);
    }
    int leader = cluster3_leader(c);
    for (uint32_t i = 0; i < c->n && leader < 0; i++) {
        struct node *node = c->member[i].node;
        print_message("# %s: %s\n", c->member[i].name,
                      !node                  ? "down"
                      : node_is_ready(node)  ? raft_role_name(node_status(node).role)
                      : node_is_halted(node) ? "halted"
                                             : "recovering");
    }
    assert_true(leader >= 0);
    return leader;
}

/* --- clients --------------------------------------------------------------------------------- */

struct put {
    struct node_request request;
    struct buf body;
    bool done;
    enum err result;
};

static void put_on_done(struct node_request *request)
{
    struct put *p = request->owner;
    p->done = true;
    p->result = request->result;
    if (request->result == OK) {
        assert_int_equal(request->status, STORE_OK);
    }
}

static void put_begin(struct put *p, struct node *node, const char *key, uint64_t value)
{
    memset(p, 0, sizeof(*p));
    buf_init(&p->body);
    struct store_put_request put = {
        .key = {(const uint8_t *)key, strlen(key)},
        .value = {(const uint8_t *)&value, sizeof(value)},
    };
    store_put_encode(&p->body, &put);
    p->request.kind = STORE_KIND_PUT;
    p->request.body = buf_view(&p->body);
    p->request.done = put_on_done;
    p->request.owner = p;
    assert_int_equal(node_propose(node, &p->request), OK);
}

static void put_wait(struct cluster3 *c, struct put *p)
{
    nanos until = simworld_now(c->sim) + PATIENCE;
    while (!p->done && simworld_now(c->sim) < until) {
        cluster3_run(c, 5 * NANOS_PER_MS);
    }
    assert_true(p->done);
    buf_deinit(&p->body);
}

static void cluster3_put(struct cluster3 *c, uint32_t at, const char *key, uint64_t value)
{
    struct put p;
    put_begin(&p, c->member[at].node, key, value);
    put_wait(c, &p);
    assert_int_equal(p.result, OK);
}

struct get {
    struct node_read read;
    bool done;
    enum err result;
};

static void get_on_done(struct node_read *read)
{
    struct get *g = read->owner;
    g->done = true;
    g->result = read->result;
}

/* A linearizable read at one member; does the key hold this value? */
static bool cluster3_get(struct cluster3 *c, uint32_t at, const char *key, uint64_t value)
{
    struct get g = {.read = {.done = get_on_done, .owner = &g}};
    assert_int_equal(node_read(c->member[at].node, &g.read), OK);
    nanos until = simworld_now(c->sim) + PATIENCE;
    while (!g.done && simworld_now(c->sim) < until) {
        cluster3_run(c, 5 * NANOS_PER_MS);
    }
    assert_true(g.done);
    assert_int_equal(g.result, OK);
    struct store_range_request range = {.key = {(const uint8_t *)key, strlen(key)}};
    struct buf request;
    struct buf response;
    buf_init(&request);
    buf_init(&response);
    store_range_encode(&request, &range);
    int64_t revision;
    assert_int_equal(
        store_range_read(node_store(c->member[at].node), buf_view(&request), &revision, &response),
        STORE_OK);
    bool found = response.len >= sizeof(value) &&
                 memmem(response.data, response.len, &value, sizeof(value)) != NULL;
    buf_deinit(&request);
    buf_deinit(&response);
    return found;
}

/* Values that no length or revision in a response looks like. */
static uint64_t value_of(uint64_t i)
{
    return 0xa5c3000000000000ULL | (i * 2654435761ULL);
}

/* --- tests ----------------------------------------------------------------------------------- */

static void keeps_a_key_on_one_node_through_a_power_cut(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 1, 1);
    cluster3_start(&c);
    cluster3_elect(&c);
    cluster3_put(&c, 0, "answer", value_of(42));
    member_kill(&c, 0, true);
    member_start(&c, 0);
    cluster3_elect(&c);
    assert_true(cluster3_get(&c, 0, "answer", value_of(42)));
    cluster3_deinit(&c);
}

static void keeps_a_key_on_three_nodes_when_the_leader_dies_in_the_middle(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(10); round++) {
        struct cluster3 c;
        cluster3_init(&c, prng_u64(&p), NODES);
        cluster3_start(&c);
        int leader = cluster3_elect(&c);
        cluster3_put(&c, (uint32_t)leader, "answer", value_of(42));
        struct put lost;
        put_begin(&lost, c.member[leader].node, "middle", value_of(1));
        cluster3_run(&c, prng_below(&p, 2 * NANOS_PER_MS));
        member_kill(&c, (uint32_t)leader, prng_chance(&p, 1, 2));
        int next = cluster3_elect(&c);
        assert_int_not_equal(next, leader);
        assert_true(cluster3_get(&c, (uint32_t)next, "answer", value_of(42)));
        if (lost.done && lost.result == OK) {
            assert_true(cluster3_get(&c, (uint32_t)next, "middle", value_of(1)));
        }
        buf_deinit(&lost.body);
        member_start(&c, (uint32_t)leader);
        cluster3_run(&c, 5 * NANOS_PER_S);
        assert_true(cluster3_get(&c, (uint32_t)leader, "answer", value_of(42)));
        cluster3_deinit(&c);
    }
}

static void keeps_a_key_when_all_three_lose_power_at_once(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(10); round++) {
        struct cluster3 c;
        cluster3_init(&c, prng_u64(&p), NODES);
        cluster3_start(&c);
        for (uint64_t i = 0; i < 20; i++) {
            char key[KEY_BYTES] = "key-a";
            key[4] = (char)('a' + i);
            cluster3_put(&c, (uint32_t)cluster3_elect(&c), key, value_of(i));
        }
        for (uint32_t i = 0; i < NODES; i++) {
            member_kill(&c, i, true);
        }
        cluster3_start(&c);
        int leader = cluster3_elect(&c);
        for (uint64_t i = 0; i < 20; i++) {
            char key[KEY_BYTES] = "key-a";
            key[4] = (char)('a' + i);
            assert_true(cluster3_get(&c, (uint32_t)leader, key, value_of(i)));
        }
        cluster3_deinit(&c);
    }
}

static void answers_puts_and_reads_on_every_member(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 5, NODES);
    cluster3_start(&c);
    cluster3_elect(&c);
    cluster3_run(&c, NANOS_PER_S);
    for (uint32_t i = 0; i < NODES; i++) {
        char key[KEY_BYTES] = "from-0";
        key[5] = (char)('0' + i);
        cluster3_put(&c, i, key, value_of(i));
        for (uint32_t k = 0; k < NODES; k++) {
            assert_true(cluster3_get(&c, k, key, value_of(i)));
        }
    }
    assert_true(store_hash(node_store(c.member[0].node)) != 0);
    cluster3_deinit(&c);
}

/* A member that was away so long that its entries are compacted away catches up by a snapshot,
 * which it fetches in chunks, and then has everything through its own restart. */
static void catches_up_by_snapshot_after_a_long_absence(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 9, NODES);
    c.snapshot_entries = 50;
    cluster3_start(&c);
    int leader = cluster3_elect(&c);
    uint32_t away = (uint32_t)(leader + 1) % NODES;
    cluster3_put(&c, (uint32_t)leader, "before", value_of(7));
    member_kill(&c, away, false);
    for (uint64_t i = 0; i < 200; i++) {
        char key[KEY_BYTES] = "key-aa";
        key[4] = (char)('a' + i / 20);
        key[5] = (char)('a' + i % 20);
        cluster3_put(&c, (uint32_t)cluster3_elect(&c), key, value_of(i));
    }
    cluster3_run(&c, NANOS_PER_S);
    assert_true(node_status(c.member[cluster3_elect(&c)].node).first > 100);
    member_start(&c, away);
    cluster3_run(&c, 10 * NANOS_PER_S);
    assert_false(c.member[away].halted);
    assert_true(node_status(c.member[away].node).snapshot > 100);
    assert_true(cluster3_get(&c, away, "key-aa", value_of(0)));
    assert_true(cluster3_get(&c, away, "before", value_of(7)));
    member_kill(&c, away, true);
    member_start(&c, away);
    cluster3_run(&c, 5 * NANOS_PER_S);
    assert_false(node_status(c.member[away].node).impaired);
    assert_true(cluster3_get(&c, away, "key-jt", value_of(199)));
    uint32_t other = (uint32_t)cluster3_elect(&c);
    cluster3_run(&c, NANOS_PER_S);
    assert_true(store_hash(node_store(c.member[away].node)) ==
                store_hash(node_store(c.member[other].node)));
    cluster3_deinit(&c);
}

/* One member's state is replaced by another: it must find out, and not answer any more. */
static void halts_a_member_whose_state_differs_from_the_majority(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 11, NODES);
    cluster3_start(&c);
    uint32_t leader = (uint32_t)cluster3_elect(&c);
    cluster3_put(&c, leader, "before", value_of(1));
    cluster3_run(&c, NANOS_PER_S);
    uint32_t wrong = (leader + 1) % NODES;
    struct node *n = c.member[wrong].node;
    store_close(n->store);
    n->store = store_open(n->cfg.feature_level);
    for (uint64_t i = 0; i < 2 * NODE_HASH_EVERY; i++) {
        cluster3_put(&c, leader, "key", value_of(i));
    }
    cluster3_run(&c, NANOS_PER_S);
    for (uint32_t i = 0; i < NODES; i++) {
        assert_int_equal(c.member[i].halted, i == wrong);
    }
    assert_true(cluster3_get(&c, leader, "before", value_of(1)));
    cluster3_deinit(&c);
}

static void gives_the_same_history_for_the_same_seed_on_whole_nodes(void **state)
{
    (void)state;
    uint64_t events[2];
    uint64_t hash[2];
    for (int round = 0; round < 2; round++) {
        struct cluster3 c;
        cluster3_init(&c, 1234, NODES);
        cluster3_start(&c);
        for (uint64_t i = 0; i < 10; i++) {
            cluster3_put(&c, (uint32_t)cluster3_elect(&c), "same", value_of(i));
        }
        member_kill(&c, (uint32_t)cluster3_elect(&c), true);
        cluster3_put(&c, (uint32_t)cluster3_elect(&c), "same", value_of(11));
        events[round] = simworld_events(c.sim);
        hash[round] = store_hash(node_store(c.member[cluster3_elect(&c)].node));
        cluster3_deinit(&c);
    }
    assert_true(events[0] == events[1]);
    assert_true(hash[0] == hash[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_a_key_on_one_node_through_a_power_cut),
        cmocka_unit_test(keeps_a_key_on_three_nodes_when_the_leader_dies_in_the_middle),
        cmocka_unit_test(keeps_a_key_when_all_three_lose_power_at_once),
        cmocka_unit_test(answers_puts_and_reads_on_every_member),
        cmocka_unit_test(catches_up_by_snapshot_after_a_long_absence),
        cmocka_unit_test(halts_a_member_whose_state_differs_from_the_majority),
        cmocka_unit_test(gives_the_same_history_for_the_same_seed_on_whole_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
