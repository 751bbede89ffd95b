/*
 * What becomes of requests, and of leases, when the node that took them stops, follows, or is not
 * the leader any more.
 */
#include <string.h>

#include "core/chaos/simnet.h"
#include "core/consensus/raft/raft_int.h"
#include "core/node/node_int.h"
#include "tests/support/node_cluster.h"
#include "tests/support/test.h"

/* As if Raft had been given it. */
static void lose_proposal(struct node *n, bool is_accepted)
{
    struct node_requests *q = &n->requests;
    struct node_request *r = q->queued.first;
    uint64_t bytes = r->body.len + r->user.len + NODE_REQUEST_OVERHEAD_BYTES;
    assert_non_null(r);
    assert_null(r->next);
    r->boot = n->boot;
    r->sequence = ++n->sequence;
    r->is_accepted = is_accepted;
    q->queued.first = NULL;
    q->queued.end = &q->queued.first;
    q->queued_bytes -= bytes;
    q->flight_bytes += bytes;
    q->flight_count++;
    *q->waiting.end = r;
    q->waiting.end = &r->next;
}

/* For traces: where a request spent its time, on the leader and on who passes it on. */
static void tells_when_a_request_came_how_far(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 35, NODES);
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    cluster3_run(&c, NANOS_PER_S);
    for (uint32_t i = 0; i < 2; i++) {
        struct node *n = c.member[(leader + i) % NODES].node;
        nanos before = world_now(n->world);
        struct put p;
        put_begin(&p, n, "key", value_of(i));
        put_wait(&c, &p);
        assert_int_equal(p.result, OK);
        const struct node_request *r = &p.request;
        assert_true(r->taken_at >= before && r->proposed_at >= r->taken_at);
        assert_true(r->committed_at > r->proposed_at); /* two disks and a network are between */
        assert_true(r->applied_at >= r->committed_at && r->applied_at <= world_now(n->world));
    }
    cluster3_deinit(&c);
}

/* Heartbeats come, and a request whose message was lost still ends in time. */
static void a_follower_with_a_leader_ends_requests_in_time(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 31, NODES);
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    cluster3_run(&c, NANOS_PER_S);
    struct node *n = c.member[(leader + 1) % NODES].node;
    struct put p;
    put_begin(&p, n, "lost", value_of(1));
    lose_proposal(n, true);
    cluster3_run(&c, n->cfg.request_timeout + NANOS_PER_S);
    assert_true(p.done);
    assert_int_equal(p.result, ERR_UNKNOWN);
    buf_deinit(&p.body);
    cluster3_deinit(&c);
}

/* As with a full queue: one that Raft did not take is proposed again, and not only when the leader
 * changes. */
static void what_raft_refused_is_proposed_again(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 32, NODES);
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    cluster3_run(&c, NANOS_PER_S);
    struct node *n = c.member[(leader + 1) % NODES].node;
    struct put p;
    put_begin(&p, n, "refused", value_of(1));
    lose_proposal(n, false);
    cluster3_run(&c, NANOS_PER_S);
    assert_true(p.done);
    assert_int_equal(p.result, OK);
    buf_deinit(&p.body);
    cluster3_deinit(&c);
}

/* A number of another life: the store cannot tell what became of it. */
static void an_outcome_that_nobody_knows_is_no_success(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 33, NODES);
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    cluster3_put(&c, leader, "answer", value_of(1));
    struct put p;
    put_begin(&p, c.member[leader].node, "answer", value_of(2));
    lose_proposal(c.member[leader].node, false);
    p.request.boot--;
    put_wait(&c, &p);
    assert_int_equal(p.result, ERR_UNKNOWN);
    assert_true(cluster3_get(&c, leader, "answer", value_of(1)));
    cluster3_deinit(&c);
}

static void a_node_that_stops_hands_over_and_takes_no_more(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 34, NODES);
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    cluster3_put(&c, leader, "answer", value_of(42));
    cluster3_run(&c, NANOS_PER_S);
    node_stop(c.member[leader].node);
    struct put late = {.done = false};
    assert_int_equal(node_propose(c.member[leader].node, &late.request), ERR_CLOSED);
    cluster3_run(&c, NANOS_PER_S);
    uint32_t next = cluster3_elect(&c);
    assert_int_not_equal(next, leader);
    assert_true(cluster3_get(&c, next, "answer", value_of(42)));
    cluster3_deinit(&c);
}

/* --- leases ----------------------------------------------------------------------------------- */

static void a_lease_ends_once_and_takes_its_keys_along(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 28, NODES);
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    static const uint8_t grant[] = {0x08, 3, 0x10, 7}; /* TTL 3 s, lease 7 */
    struct put p;
    put_begin(&p, c.member[leader].node, "unused", 0);
    put_wait(&c, &p);
    put_begin_kind(&p, c.member[leader].node, STORE_KIND_LEASE_GRANT,
                   (struct bytes){grant, sizeof(grant)});
    put_wait(&c, &p);
    assert_int_equal(p.result, OK);
    uint64_t value = value_of(5);
    struct store_put_request put = {.key = {(const uint8_t *)"mine", 4},
                                    .value = {(const uint8_t *)&value, sizeof(value)},
                                    .lease = 7};
    struct buf body;
    buf_init(&body);
    store_put_encode(&body, &put);
    put_begin_kind(&p, c.member[leader].node, STORE_KIND_PUT, buf_view(&body));
    put_wait(&c, &p);
    assert_int_equal(p.result, OK);
    buf_deinit(&body);
    cluster3_run(&c, NANOS_PER_S);
    assert_true(cluster3_get(&c, leader, "mine", value));
    /* The next leader arms it anew: it lives at least its time from then on, and then ends. */
    member_kill(&c, leader, true);
    uint32_t next = cluster3_elect(&c);
    cluster3_run(&c, 2 * NANOS_PER_S);
    assert_true(cluster3_get(&c, next, "mine", value));
    cluster3_run(&c, 4 * NANOS_PER_S);
    assert_false(cluster3_get(&c, next, "mine", value));
    cluster3_deinit(&c);
}

static bool lease_is_known(struct node *node, uint8_t id)
{
    struct buf response;
    buf_init(&response);
    store_lease_list(node_store(node), &response);
    /* One LeaseStatus of a lease below 128: its only byte of worth is the last. */
    bool is = response.len > 0 && response.data[response.len - 1] == id;
    buf_deinit(&response);
    return is;
}

/* A leader that is cut off finds a lease due before it steps down, and the end that it proposed
 * lies in its queue when it hears of the next leader: that one has armed the lease anew. */
static void an_expiry_of_a_past_leader_ends_no_lease(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 31, NODES);
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    static const uint8_t grant[] = {0x08, 3, 0x10, 7}; /* TTL 3 s, lease 7 */
    struct put p;
    put_begin_kind(&p, c.member[leader].node, STORE_KIND_LEASE_GRANT,
                   (struct bytes){grant, sizeof(grant)});
    put_wait(&c, &p);
    assert_int_equal(p.result, OK);
    cluster3_run(&c, 2800 * NANOS_PER_MS);
    for (uint32_t i = 0; i < c.n; i++) {
        if (i != leader) {
            simnet_cut(c.member[leader].host, c.member[i].host, true);
        }
    }
    cluster3_run(&c, 300 * NANOS_PER_MS);
    assert_int_equal(node_status(c.member[leader].node).role, RAFT_LEADER);
    uint32_t next = leader;
    for (uint32_t i = 0; i < 300 && next == leader; i++) {
        cluster3_run(&c, 10 * NANOS_PER_MS);
        for (uint32_t k = 0; k < c.n; k++) {
            bool leads = node_status(c.member[k].node).role == RAFT_LEADER;
            next = k != leader && leads ? k : next;
        }
    }
    assert_true(next != leader);
    for (uint32_t i = 0; i < c.n; i++) {
        if (i != leader) {
            simnet_cut(c.member[leader].host, c.member[i].host, false);
        }
    }
    cluster3_run(&c, 2 * NANOS_PER_S);
    assert_true(lease_is_known(c.member[next].node, 7));
    cluster3_run(&c, 4 * NANOS_PER_S);
    assert_false(lease_is_known(c.member[next].node, 7));
    cluster3_deinit(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_when_a_request_came_how_far),
        cmocka_unit_test(a_follower_with_a_leader_ends_requests_in_time),
        cmocka_unit_test(what_raft_refused_is_proposed_again),
        cmocka_unit_test(an_outcome_that_nobody_knows_is_no_success),
        cmocka_unit_test(a_node_that_stops_hands_over_and_takes_no_more),
        cmocka_unit_test(a_lease_ends_once_and_takes_its_keys_along),
        cmocka_unit_test(an_expiry_of_a_past_leader_ends_no_lease),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
