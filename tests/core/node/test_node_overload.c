/* More requests than a group can serve: what waits where, what is refused, and what goes first. */
#include <stdio.h>
#include <string.h>

#include "core/chaos/simnet.h"
#include "core/node/node_int.h"
#include "tests/support/node_cluster.h"
#include "tests/support/test.h"

#define CROWD 5000

struct crowd {
    struct put put[CROWD];
    uint32_t n;
};

static void crowd_begin(struct crowd *crowd, struct node *node, uint32_t n)
{
    crowd->n = n;
    for (uint32_t i = 0; i < n; i++) {
        char key[KEY_BYTES];
        (void)snprintf(key, sizeof(key), "key-%u", i);
        put_begin(&crowd->put[i], node, key, value_of(i));
    }
}

static uint32_t crowd_count(const struct crowd *crowd, enum err result)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < crowd->n; i++) {
        n += crowd->put[i].done && crowd->put[i].result == result;
    }
    return n;
}

/* Until so many are done; bounded. */
static void crowd_wait(struct cluster3 *c, const struct crowd *crowd, uint32_t many)
{
    for (uint32_t i = 0; i < 200000 && crowd_count(crowd, OK) < many; i++) {
        assert_true(cluster3_step(c));
    }
    assert_true(crowd_count(crowd, OK) >= many);
}

static void crowd_end(struct crowd *crowd)
{
    for (uint32_t i = 0; i < crowd->n; i++) {
        assert_true(crowd->put[i].done);
        buf_deinit(&crowd->put[i].body);
    }
}

/* Raft, the log and the peers are given a part of it at a time, and all of it in the end. */
static void what_is_under_way_is_limited(void **state)
{
    (void)state;
    static struct crowd crowd;
    struct cluster3 c;
    cluster3_init(&c, 51, NODES);
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    cluster3_run(&c, NANOS_PER_S);
    struct node *n = c.member[(leader + 1) % NODES].node;
    crowd_begin(&crowd, n, CROWD);
    uint32_t most = 0;
    for (uint32_t i = 0; i < 100000 && crowd_count(&crowd, OK) < CROWD; i++) {
        assert_true(cluster3_step(&c));
        most = n->requests.flight_count > most ? n->requests.flight_count : most;
    }
    assert_int_equal(crowd_count(&crowd, OK), CROWD);
    assert_int_equal(most, NODE_FLIGHT_MAX);
    assert_int_equal(n->requests.flight_count, 0);
    assert_true(n->requests.flight_bytes == 0 && n->requests.queued_bytes == 0);
    crowd_end(&crowd);
    cluster3_deinit(&c);
}

/* All are proposed again to the next leader, and the store knows the number of each: no outcome is
 * lost in the crowd. */
static void a_crowd_survives_its_leader(void **state)
{
    (void)state;
    static struct crowd crowd;
    struct cluster3 c;
    cluster3_init(&c, 52, NODES);
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    cluster3_run(&c, NANOS_PER_S);
    struct node *n = c.member[(leader + 1) % NODES].node;
    crowd_begin(&crowd, n, CROWD);
    crowd_wait(&c, &crowd, 10);
    member_kill(&c, leader, true);
    cluster3_run(&c, 4 * NANOS_PER_S);
    assert_int_equal(crowd_count(&crowd, OK), CROWD);
    crowd_end(&crowd);
    cluster3_deinit(&c);
}

static void stall_all(struct cluster3 *c, nanos span)
{
    for (uint32_t i = 0; i < c->n; i++) {
        simhost_stall(c->member[i].host, WORLD_LANE_LOG, simworld_now(c->sim) + span);
    }
}

/* Disks that stand for less than is a stall, again and again: who waits is served, who comes on top
 * is told at once, and that is over with the overload. */
static void a_queue_that_stands_takes_no_more(void **state)
{
    (void)state;
    static struct crowd crowd;
    struct cluster3 c;
    struct put late;
    cluster3_init(&c, 53, NODES);
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    cluster3_run(&c, NANOS_PER_S);
    struct node *n = c.member[leader].node;
    raft_term term = node_status(n).term;
    crowd_begin(&crowd, n, CROWD);
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t before = crowd_count(&crowd, OK);
        stall_all(&c, 600 * NANOS_PER_MS);
        crowd_wait(&c, &crowd, before + 1);
    }
    assert_non_null(n->requests.queued.first);
    memset(&late, 0, sizeof(late));
    late.request.kind = STORE_KIND_PUT;
    assert_int_equal(node_propose(n, &late.request), ERR_BUSY);
    cluster3_run(&c, 2 * NANOS_PER_S);
    assert_int_equal(crowd_count(&crowd, OK), CROWD);
    assert_int_equal(node_status(n).term, term);
    assert_true(cluster3_try_put(&c, leader, "after", value_of(1)) == OK);
    crowd_end(&crowd);
    cluster3_deinit(&c);
}

/* Nobody was asked to apply those that never had their turn, and whoever waits knows it. */
static void who_never_had_its_turn_is_told_so(void **state)
{
    (void)state;
    static struct crowd crowd;
    struct cluster3 c;
    cluster3_init(&c, 54, NODES);
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    cluster3_run(&c, NANOS_PER_S);
    uint32_t at = (leader + 1) % NODES;
    struct node *n = c.member[at].node;
    for (uint32_t i = 0; i < NODES; i++) {
        if (i != at) {
            simnet_cut(c.member[at].host, c.member[i].host, true);
        }
    }
    crowd_begin(&crowd, n, 2 * NODE_FLIGHT_MAX);
    cluster3_run(&c, n->cfg.request_timeout + NANOS_PER_S);
    assert_int_equal(crowd_count(&crowd, ERR_UNKNOWN), NODE_FLIGHT_MAX);
    assert_int_equal(crowd_count(&crowd, ERR_NO_LEADER), NODE_FLIGHT_MAX);
    crowd_end(&crowd);
    cluster3_deinit(&c);
}

/* What comes to its turn too late is not begun any more: its client would not hear of it in time.
 */
static void what_waited_too_long_is_not_begun(void **state)
{
    (void)state;
    static struct crowd crowd;
    struct cluster3 c;
    cluster3_init(&c, 57, NODES);
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    cluster3_run(&c, NANOS_PER_S);
    struct node *n = c.member[leader].node;
    crowd_begin(&crowd, n, CROWD);
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t before = crowd_count(&crowd, OK);
        stall_all(&c, 900 * NANOS_PER_MS);
        crowd_wait(&c, &crowd, before + 1);
    }
    cluster3_run(&c, 2 * NANOS_PER_S);
    assert_true(crowd_count(&crowd, ERR_BUSY) > 0);
    assert_int_equal(crowd_count(&crowd, OK) + crowd_count(&crowd, ERR_BUSY), CROWD);
    crowd_end(&crowd);
    cluster3_deinit(&c);
}

static void memory_of_what_waits_is_limited(void **state)
{
    (void)state;
    static uint8_t body[1024 * 1024];
    static struct put puts[NODE_QUEUED_BYTES_MAX / sizeof(body)];
    struct cluster3 c;
    struct put late;
    cluster3_init(&c, 55, NODES);
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    struct node *n = c.member[leader].node;
    for (size_t i = 0; i + 1 < COUNT_OF(puts); i++) {
        put_begin_kind(&puts[i], n, STORE_KIND_PUT, (struct bytes){body, sizeof(body)});
    }
    memset(&late, 0, sizeof(late));
    late.request.kind = STORE_KIND_PUT;
    late.request.body = (struct bytes){body, sizeof(body)};
    assert_int_equal(node_propose(n, &late.request), ERR_BUSY);
    member_kill(&c, leader, false);
    cluster3_deinit(&c);
}

static void alarm_on_done(struct node_request *request)
{
    struct put *p = request->owner;
    p->done = true; /* whether the store minds is not asked here */
    p->result = request->result;
}

/* An alarm is applied though thousands wait before it. */
static void what_the_group_asks_for_goes_first(void **state)
{
    (void)state;
    static struct crowd crowd;
    static const uint8_t disarm[] = {0x08, 2, 0x10, 1, 0x18, 1}; /* disarm: of 1, no space */
    struct cluster3 c;
    struct put alarm;
    cluster3_init(&c, 56, NODES);
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    cluster3_run(&c, NANOS_PER_S);
    struct node *n = c.member[leader].node;
    crowd_begin(&crowd, n, CROWD);
    put_begin_kind(&alarm, n, STORE_KIND_ALARM, (struct bytes){disarm, sizeof(disarm)});
    alarm.request.done = alarm_on_done;
    for (uint32_t i = 0; i < 200000 && !alarm.done; i++) {
        assert_true(cluster3_step(&c));
    }
    assert_int_equal(alarm.result, OK);
    uint32_t done = 0;
    for (uint32_t i = 0; i < CROWD; i++) {
        done += crowd.put[i].done;
    }
    assert_true(done <= NODE_FLIGHT_MAX);
    cluster3_run(&c, 2 * NANOS_PER_S);
    crowd_end(&crowd);
    buf_deinit(&alarm.body);
    cluster3_deinit(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_under_way_is_limited),
        cmocka_unit_test(a_crowd_survives_its_leader),
        cmocka_unit_test(a_queue_that_stands_takes_no_more),
        cmocka_unit_test(who_never_had_its_turn_is_told_so),
        cmocka_unit_test(what_waited_too_long_is_not_begun),
        cmocka_unit_test(memory_of_what_waits_is_limited),
        cmocka_unit_test(what_the_group_asks_for_goes_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
