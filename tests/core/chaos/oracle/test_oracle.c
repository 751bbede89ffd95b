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

static unsigned members_up(const struct cluster3 *c)
{
    unsigned up = 0;
    for (uint32_t i = 0; i < c->n; i++) {
        up += c->member[i].node != NULL;
    }
    return up;
}

static void weather_kill(struct cluster3 *c, struct prng *p, uint32_t i)
{
    if (c->member[i].node && members_up(c) > c->n / 2 + 1) {
        member_kill(c, i, prng_chance(p, 1, 2));
    }
}

static void weather_strike(struct cluster3 *c, struct prng *p)
{
    uint32_t i = (uint32_t)prng_below(p, c->n);
    uint32_t k = (uint32_t)((i + 1 + prng_below(p, c->n - 1)) % c->n);
    struct member *m = &c->member[i];
    if (m->halted || !m->node) {
        if (m->node) {
            member_kill(c, i, false);
        }
        member_start(c, i);
        return;
    }
    switch (prng_below(p, 8)) {
    case 0:
    case 1:
        weather_kill(c, p, i);
        break;
    case 2:
        if (cluster3_leader(c) >= 0) {
            weather_kill(c, p, (uint32_t)cluster3_leader(c));
        }
        break;
    case 3:
        simnet_cut(m->host, c->member[k].host, true);
        break;
    case 4:
        if (node_is_ready(m->node)) {
            (void)!node_transfer(m->node, k + 1);
        }
        break;
    case 5:
        simhost_stall(m->host, WORLD_LANE_LOG,
                      simworld_now(c->sim) + prng_below(p, 2 * NANOS_PER_S));
        break;
    default:
        simnet_cut(m->host, c->member[k].host, false);
        break;
    }
}

static void weather_end(struct cluster3 *c)
{
    for (uint32_t i = 0; i < c->n; i++) {
        for (uint32_t k = 0; k < c->n; k++) {
            if (k != i) {
                simnet_cut(c->member[i].host, c->member[k].host, false);
            }
        }
        if (!c->member[i].node) {
            member_start(c, i);
        }
    }
    cluster3_run(c, 20 * NANOS_PER_S);
}

static void cluster_weathers(struct cluster3 *c, struct prng *p, unsigned strikes)
{
    struct crowd w = {.c = c};
    cluster3_start(c);
    cluster3_elect(c);
    for (unsigned i = 0; i < strikes; i++) {
        weather_strike(c, p);
        for (unsigned k = 0; k < 20; k++) {
            crowd_put(&w, (uint32_t)prng_below(p, c->n));
            cluster3_run(c, prng_below(p, 40 * NANOS_PER_MS));
        }
        oracle_full(c->oracle, simworld_now(c->sim));
    }
    weather_end(c);
    oracle_converged(c->oracle, simworld_now(c->sim));
    crowd_free(&w);
    assert_true(w.acked > 0);
}

/* --- tests ----------------------------------------------------------------------------------- */

static void finds_nothing_in_three_nodes_that_crash_and_restart(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(4); round++) {
        struct cluster3 c;
        cluster3_init(&c, prng_u64(&p), 3);
        c.snapshot_entries = 40;
        cluster_weathers(&c, &p, 30);
        struct oracle_counts n = oracle_counts(c.oracle);
        assert_true(n.leaders > 1 && n.commits > 100 && n.acks > 200 && n.votes > 2);
        assert_true(n.recovered > 2 && n.states > 100);
        assert_true(oracle_committed(c.oracle) > 100);
        cluster3_deinit(&c);
    }
}

static void finds_nothing_in_five_nodes_that_crash_and_restart(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(2); round++) {
        struct cluster3 c;
        cluster3_init(&c, prng_u64(&p), 5);
        c.snapshot_entries = 40;
        cluster_weathers(&c, &p, 30);
        struct oracle_counts n = oracle_counts(c.oracle);
        assert_true(n.leaders > 1 && n.commits > 100 && n.recovered > 2);
        cluster3_deinit(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_nothing_in_three_nodes_that_crash_and_restart),
        cmocka_unit_test(finds_nothing_in_five_nodes_that_crash_and_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
