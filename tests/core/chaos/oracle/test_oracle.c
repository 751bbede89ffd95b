/*
 * The oracle over clusters that are as they should be: it finds nothing, whatever dies, and it
 * looked. That each of its checks bites is test_oracle_bites.c's.
 */
#include <string.h>

#include "core/base/mem.h"
#include "core/chaos/simnet.h"
#include "core/node/node_int.h"
#include "tests/support/node_cluster.h"
#include "tests/support/test.h"

#define DISK (256ULL * 1024 * 1024)

/* --- clients that do not wait ---------------------------------------------------------------- */

/* A request that outlives whoever asked; it is given up with its node. */
struct loose {
    struct node_request request;
    struct buf body;
    struct loose *next;
};

struct crowd {
    struct cluster3 *c;
    struct loose *first; /* owned */
    uint64_t asked;
    uint64_t acked;
};

static void crowd_on_done(struct node_request *request)
{
    struct crowd *w = request->owner;
    w->acked += request->result == OK;
}

static void crowd_put(struct crowd *w, uint32_t at)
{
    struct node *node = w->c->member[at].node;
    struct loose *l = mem_alloc_zero(sizeof(*l));
    buf_init(&l->body);
    char key[] = "key-a";
    key[4] = (char)('a' + w->asked % 20);
    struct store_put_request put = {.key = {(const uint8_t *)key, 5},
                                    .value = {(const uint8_t *)&w->asked, sizeof(w->asked)}};
    store_put_encode(&l->body, &put);
    l->request = (struct node_request){
        .kind = STORE_KIND_PUT, .body = buf_view(&l->body), .done = crowd_on_done, .owner = w};
    l->next = w->first;
    w->first = l;
    w->asked += node && node_propose(node, &l->request) == OK;
}

static void crowd_free(struct crowd *w)
{
    while (w->first) {
        struct loose *l = w->first;
        w->first = l->next;
        buf_deinit(&l->body);
        mem_free(l);
    }
}

/* --- weather --------------------------------------------------------------------------------- */

struct weather {
    struct cluster3 c;
    struct crowd crowd;
    struct prng prng;
    bool has_witness;         /* the last member */
    bool has_changes;         /* of the members */
    bool has_losses;          /* of whole disks, one at a time */
    uint32_t lost[NODES_MAX]; /* enum oracle_lost, until the node is whole again */
};

/* Up, running, and able to vouch for its log. */
static bool weather_is_whole(const struct weather *w, uint32_t i)
{
    const struct node *n = w->c.member[i].node;
    return n && node_is_ready(n) && !node_status(n).impaired;
}

static unsigned weather_whole(const struct weather *w)
{
    unsigned whole = 0;
    for (uint32_t i = 0; i < w->c.n; i++) {
        whole += weather_is_whole(w, i);
    }
    return whole;
}

static void weather_kill(struct weather *w, uint32_t i, bool power)
{
    if (weather_is_whole(w, i)) {
        w->lost[i] = ORACLE_LOST_NOTHING;
    }
    member_kill(&w->c, i, power);
}

static void weather_begin(struct weather *w, uint32_t i)
{
    struct member *m = &w->c.member[i];
    m->is_member = true;
    m->lost = w->lost[i];
    member_start(&w->c, i);
}

/* In the middle of something. */
static void weather_strike_down(struct weather *w, uint32_t i)
{
    if (w->c.member[i].node && weather_whole(w) > w->c.n / 2 + 1) {
        for (uint32_t k = 0; k < w->c.n; k++) {
            crowd_put(&w->crowd, k);
        }
        cluster3_run(&w->c, prng_below(&w->prng, NANOS_PER_MS));
        weather_kill(w, i, prng_chance(&w->prng, 1, 2));
    }
}

/* Somebody loses power just after it voted. */
static void weather_strike_voter(struct weather *w, uint32_t to)
{
    struct cluster3 *c = &w->c;
    int leader = cluster3_leader(c);
    if (leader < 0 || weather_whole(w) <= c->n / 2 + 1) {
        return;
    }
    (void)!node_transfer(c->member[leader].node, to + 1);
    uint64_t votes = oracle_counts(c->oracle).votes;
    nanos until = simworld_now(c->sim) + 100 * NANOS_PER_MS;
    while (oracle_counts(c->oracle).votes == votes && simworld_now(c->sim) < until) {
        cluster3_step(c);
    }
    uint32_t i = (to + 1) % c->n;
    if (weather_is_whole(w, i)) {
        weather_kill(w, i, true);
    }
}

/* Only where all others are whole: no more than one disk at a time. */
static void weather_lose_disk(struct weather *w, uint32_t i)
{
    if (!w->has_losses || weather_whole(w) < w->c.n) {
        return;
    }
    weather_kill(w, i, true);
    simhost_replace_disk(w->c.member[i].host, simdisk_new(DISK));
    w->lost[i] = ORACLE_LOST_ALL;
    weather_begin(w, i);
}

/* A voter becomes a learner, which is promoted again in time; or two at once. */
static void weather_change(struct weather *w)
{
    int leader = cluster3_leader(&w->c);
    if (!w->has_changes || leader < 0) {
        return;
    }
    struct raft_conf_change change = {.transition = RAFT_TRANSITION_AUTO,
                                      .n = (uint32_t)prng_range(&w->prng, 1, 2)};
    uint32_t first = (uint32_t)prng_below(&w->prng, w->c.n);
    for (uint32_t i = 0; i < change.n; i++) {
        change.single[i] = (struct raft_conf_single){.op = RAFT_ADD_LEARNER,
                                                     .node = (first + i) % w->c.n + 1,
                                                     .priority = RAFT_PRIORITY_DEFAULT,
                                                     .auto_promote = true};
    }
    (void)!node_change(w->c.member[leader].node, &change);
}

static void weather_strike(struct weather *w)
{
    struct cluster3 *c = &w->c;
    uint32_t i = (uint32_t)prng_below(&w->prng, c->n);
    uint32_t k = (uint32_t)((i + 1 + prng_below(&w->prng, c->n - 1)) % c->n);
    struct member *m = &c->member[i];
    if (!m->node) {
        weather_begin(w, i);
        return;
    }
    switch (prng_below(&w->prng, 12)) {
    case 0:
    case 1:
        weather_strike_down(w, i);
        break;
    case 2:
        weather_strike_down(w, cluster3_leader(c) >= 0 ? (uint32_t)cluster3_leader(c) : i);
        break;
    case 3:
        simnet_cut(m->host, c->member[k].host, true);
        break;
    case 4:
        weather_strike_voter(w, k);
        break;
    case 5:
        simhost_stall(m->host, WORLD_LANE_LOG,
                      simworld_now(c->sim) + prng_below(&w->prng, 2 * NANOS_PER_S));
        break;
    case 6:
        weather_change(w);
        break;
    case 7:
    case 8:
        weather_lose_disk(w, i);
        break;
    default:
        simnet_cut(m->host, c->member[k].host, false);
        break;
    }
}

static void weather_end(struct weather *w)
{
    struct cluster3 *c = &w->c;
    for (uint32_t i = 0; i < c->n; i++) {
        for (uint32_t k = 0; k < c->n; k++) {
            if (k != i) {
                simnet_cut(c->member[i].host, c->member[k].host, false);
            }
        }
        if (!c->member[i].node) {
            weather_begin(w, i);
        }
    }
    cluster3_run(c, 30 * NANOS_PER_S);
    oracle_converged(c->oracle, simworld_now(c->sim));
}

static void weather_init(struct weather *w, struct prng *p, uint32_t n)
{
    memset(w, 0, sizeof(*w));
    w->prng = prng_fork(p, n);
    cluster3_init(&w->c, prng_u64(p), n);
    w->c.snapshot_entries = 40;
    w->crowd.c = &w->c;
}

/* The cluster lives through so many strikes; what the oracle did meanwhile. */
static struct oracle_counts weather_pass(struct weather *w, unsigned strikes)
{
    struct cluster3 *c = &w->c;
    for (uint32_t i = 0; w->has_witness && i < c->n; i++) {
        c->founders.member[i].roles |= i == c->n - 1 ? RAFT_WITNESS : RAFT_IN_SYNC;
    }
    cluster3_start(c);
    cluster3_elect(c);
    for (unsigned i = 0; i < strikes; i++) {
        weather_strike(w);
        for (unsigned k = 0; k < 20; k++) {
            crowd_put(&w->crowd, (uint32_t)prng_below(&w->prng, c->n));
            cluster3_run(c, prng_below(&w->prng, 40 * NANOS_PER_MS));
        }
        oracle_full(c->oracle, simworld_now(c->sim));
    }
    weather_end(w);
    struct oracle_counts n = oracle_counts(c->oracle);
    raft_index committed = oracle_committed(c->oracle);
    cluster3_deinit(c);
    crowd_free(&w->crowd);
    assert_true(w->crowd.acked > 0 && committed > w->crowd.acked);
    return n;
}

/* --- tests ----------------------------------------------------------------------------------- */

/* What the oracle of several clusters did, together. */
static void counts_add(struct oracle_counts *sum, struct oracle_counts n)
{
    sum->steps += n.steps;
    sum->changed += n.changed;
    sum->leaders += n.leaders;
    sum->commits += n.commits;
    sum->acks += n.acks;
    sum->votes += n.votes;
    sum->truncations += n.truncations;
    sum->installs += n.installs;
    sum->lives += n.lives;
    sum->recovered += n.recovered;
    sum->states += n.states;
    sum->copies += n.copies;
    sum->memberships += n.memberships;
    sum->in_sync += n.in_sync;
}

static void finds_nothing_in_three_nodes_that_crash_and_restart(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    struct oracle_counts n = {0};
    for (size_t round = 0; round < test_rounds(4); round++) {
        struct weather w;
        weather_init(&w, &p, 3);
        counts_add(&n, weather_pass(&w, 30));
    }
    assert_true(n.steps > 3 * n.changed && n.changed > 1000);
    assert_true(n.leaders > 5 && n.commits > 400 && n.acks > 1000 && n.votes > 10);
    assert_true(n.recovered > 10 && n.states > 1000);
}

static void finds_nothing_in_five_nodes_that_change_their_members(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    struct oracle_counts n = {0};
    for (size_t round = 0; round < test_rounds(2); round++) {
        struct weather w;
        weather_init(&w, &p, 5);
        w.has_changes = true;
        counts_add(&n, weather_pass(&w, 40));
    }
    assert_true(n.leaders > 1 && n.commits > 100 && n.recovered > 2 && n.memberships > 5);
}

static void finds_nothing_where_disks_are_lost(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    struct oracle_counts n = {0};
    for (size_t round = 0; round < test_rounds(3); round++) {
        struct weather w;
        weather_init(&w, &p, 3);
        w.has_losses = true;
        counts_add(&n, weather_pass(&w, 40));
    }
    assert_true(n.lives > n.recovered + 12 && n.installs > 0);
}

static void finds_nothing_under_a_witness(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    struct oracle_counts n = {0};
    for (size_t round = 0; round < test_rounds(3); round++) {
        struct weather w;
        weather_init(&w, &p, 3);
        w.has_witness = true;
        counts_add(&n, weather_pass(&w, 30));
    }
    assert_true(n.in_sync > 50 && n.leaders > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_nothing_in_three_nodes_that_crash_and_restart),
        cmocka_unit_test(finds_nothing_in_five_nodes_that_change_their_members),
        cmocka_unit_test(finds_nothing_where_disks_are_lost),
        cmocka_unit_test(finds_nothing_under_a_witness),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
