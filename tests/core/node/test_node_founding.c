/* Before a group is founded, the founders ask each other whether there is one. So nobody who has
 * lost everything, the note of its owner included, founds it a second time. */
#include <string.h>

#include "core/chaos/simdisk.h"
#include "core/node/node_int.h"
#include "tests/support/node_cluster.h"
#include "tests/support/test.h"

#define LONG (60 * NANOS_PER_S)

static void founders_init(struct cluster3 *c, uint64_t seed, uint32_t n)
{
    cluster3_init(c, seed, n);
    c->asks_founders = true;
}

/* Its disk is gone, and with it the note that it was a member. */
static void member_lose_everything(struct cluster3 *c, uint32_t i)
{
    member_lose_disk(c, i);
    c->member[i].is_member = false;
}

static bool is_ready(const struct cluster3 *c, uint32_t i)
{
    return c->member[i].node && node_is_ready(c->member[i].node);
}

static void founders_that_all_begin_found_the_group(void **state)
{
    (void)state;
    for (uint32_t n = 1; n <= NODES_MAX; n++) {
        struct cluster3 c;
        founders_init(&c, 60 + n, n);
        cluster3_start(&c);
        cluster3_put(&c, cluster3_elect(&c), "answer", value_of(42));
        for (uint32_t i = 0; i < n; i++) {
            assert_int_equal(c.member[i].verdict, RECOVERY_EMPTY);
            assert_true(cluster3_get(&c, i, "answer", value_of(42)));
        }
        cluster3_deinit(&c);
    }
}

/* Whoever asks while the other is about to found is not left without an answer. */
static void founders_do_not_wait_for_each_other_without_need(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(100); round++) {
        struct cluster3 c;
        founders_init(&c, prng_u64(&p), 3);
        for (uint32_t i = 0; i < 3; i++) {
            member_start(&c, i);
            cluster3_run(&c, prng_below(&p, 250 * NANOS_PER_MS));
        }
        cluster3_run(&c, 700 * NANOS_PER_MS);
        for (uint32_t i = 0; i < 3; i++) {
            assert_true(is_ready(&c, i));
            assert_int_equal(c.member[i].verdict, RECOVERY_EMPTY);
        }
        cluster3_deinit(&c);
    }
}

struct asker {
    struct world_stream_sink sink;
    enum node_presence presence;
    bool closed;
};

static void asker_on_event(struct world_stream_sink *sink)
{
    (void)sink;
}

static void asker_on_received(struct world_stream_sink *sink, struct bytes bytes)
{
    struct asker *a = sink->owner;
    a->presence = bytes.len == NODE_REFUSAL_BYTES ? node_presence_decode(bytes) : a->presence;
}

static void asker_on_closed(struct world_stream_sink *sink, enum err why)
{
    struct asker *a = sink->owner;
    (void)why;
    a->closed = true;
}

/* Its stream was taken while the other asked itself; its question comes when the other founds, and
 * cannot answer. It must hear so, and ask again, rather than wait for an answer that never comes.
 */
static void one_that_is_about_to_found_still_says_that_it_is_new(void **state)
{
    (void)state;
    struct cluster3 c;
    struct buf hello;
    founders_init(&c, 72, 3);
    for (uint32_t i = 0; i < 3; i++) {
        member_start(&c, i);
        cluster3_run(&c, 20 * NANOS_PER_MS);
    }
    const struct world *w = simhost_world(simhost_new(c.sim, "asker", 0));
    struct asker a = {.closed = false};
    a.sink = (struct world_stream_sink){.opened = asker_on_event,
                                        .received = asker_on_received,
                                        .writable = asker_on_event,
                                        .closed = asker_on_closed,
                                        .owner = &a};
    struct world_endpoint at = {.port = 2380};
    memcpy(at.host, c.member[0].name, sizeof(c.member[0].name));
    simhost_stall(c.member[0].host, WORLD_LANE_BULK, simworld_now(c.sim) + 3 * NANOS_PER_S);
    assert_non_null(c.member[0].node->ask);
    struct world_stream *stream = w->net->connect(w->self, &at, &a.sink);
    while (c.member[0].node->ask) {
        cluster3_run(&c, NANOS_PER_MS);
    }
    assert_false(is_ready(&c, 0));
    const struct node_hello h = {.kind = NODE_STREAM_ASK, .cluster = 77, .from = 2, .to = 1};
    buf_init(&hello);
    node_hello_encode(&h, &hello);
    assert_int_equal(w->net->stream_send(w->self, stream, buf_view(&hello)), OK);
    cluster3_run(&c, 100 * NANOS_PER_MS);
    assert_false(is_ready(&c, 0));
    assert_true(a.closed);
    assert_int_equal(a.presence, NODE_PRESENCE_NEW);
    buf_deinit(&hello);
    (void)cluster3_elect(&c);
    cluster3_deinit(&c);
}

static void nobody_founds_before_the_last_one_has_said_what_it_is(void **state)
{
    (void)state;
    struct cluster3 c;
    founders_init(&c, 66, 3);
    member_start(&c, 0);
    member_start(&c, 1);
    cluster3_run(&c, LONG);
    assert_false(is_ready(&c, 0));
    assert_false(is_ready(&c, 1));
    assert_true(c.member[0].waits >= 5);
    member_start(&c, 2);
    cluster3_put(&c, cluster3_elect(&c), "answer", value_of(42));
    cluster3_run(&c, NANOS_PER_S);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(c.member[i].verdict, RECOVERY_EMPTY);
    }
    cluster3_deinit(&c);
}

static void who_has_lost_everything_comes_back_as_a_lost_disk(void **state)
{
    (void)state;
    struct cluster3 c;
    founders_init(&c, 67, 3);
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    cluster3_put(&c, leader, "answer", value_of(42));
    uint32_t lost = (leader + 1) % 3;
    member_lose_everything(&c, lost);
    member_start(&c, lost);
    cluster3_run(&c, 10 * NANOS_PER_S);
    assert_int_equal(c.member[lost].verdict, RECOVERY_WIPED);
    assert_false(node_status(c.member[lost].node).impaired);
    assert_true(cluster3_get(&c, lost, "answer", value_of(42)));
    cluster3_deinit(&c);
}

/* Fresh is who has founded and heard nothing since; not who happens to have nothing but a snapshot,
 * and never voted, as the first leader leads still. */
static void a_member_with_nothing_but_a_snapshot_is_not_fresh(void **state)
{
    (void)state;
    struct cluster3 c;
    founders_init(&c, 71, 3);
    cluster3_start(&c);
    cluster3_run(&c, 500 * NANOS_PER_MS);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(node_presence(c.member[i].node), NODE_PRESENCE_FRESH);
    }
    cluster3_put(&c, cluster3_elect(&c), "answer", value_of(42));
    cluster3_run(&c, NANOS_PER_S);
    for (uint32_t i = 0; i < 3; i++) {
        node_take_snapshot(c.member[i].node);
    }
    cluster3_run(&c, NANOS_PER_S);
    for (uint32_t i = 0; i < 3; i++) {
        struct raft_status s = node_status(c.member[i].node);
        assert_int_equal(s.snapshot, s.last);
        assert_int_equal(node_presence(c.member[i].node), NODE_PRESENCE_MEMBER);
    }
    cluster3_deinit(&c);
}

/* Its snapshots are gone, and the note that it was a member; its log is not. It asks nobody, founds
 * nothing, and tells others that it is more than new. */
static void a_log_without_snapshots_is_not_new(void **state)
{
    (void)state;
    struct cluster3 c;
    founders_init(&c, 73, 3);
    cluster3_start(&c);
    cluster3_put(&c, cluster3_elect(&c), "answer", value_of(42));
    cluster3_run(&c, NANOS_PER_S);
    for (uint32_t i = 0; i < 3; i++) {
        member_kill(&c, i, false);
    }
    struct simdisk *d = simhost_disk(c.member[0].host);
    const char *name;
    for (size_t at = 0; (name = simdisk_name(d, at)) != NULL;) {
        size_t n = strlen(name);
        if (n > 5 && strcmp(name + n - 5, ".snap") == 0) {
            assert_int_equal(simdisk_remove(d, name), OK);
        } else {
            at++;
        }
    }
    c.member[0].lost = ORACLE_LOST_ALL;
    member_start(&c, 0);
    cluster3_run(&c, 10 * NANOS_PER_S);
    assert_true(is_ready(&c, 0)); /* with nobody to ask */
    assert_int_not_equal(c.member[0].verdict, RECOVERY_EMPTY);
    assert_int_equal(node_presence(c.member[0].node), NODE_PRESENCE_MEMBER);
    for (uint32_t i = 1; i < 3; i++) {
        member_start(&c, i);
    }
    cluster3_run(&c, 10 * NANOS_PER_S);
    assert_true(cluster3_get(&c, 0, "answer", value_of(42)));
    cluster3_deinit(&c);
}

/* One peer that remembers is enough, though it is no majority and nobody leads. */
static void one_that_remembers_is_enough(void **state)
{
    (void)state;
    struct cluster3 c;
    founders_init(&c, 68, 3);
    cluster3_start(&c);
    cluster3_put(&c, cluster3_elect(&c), "answer", value_of(42));
    cluster3_run(&c, NANOS_PER_S);
    member_lose_everything(&c, 0);
    member_kill(&c, 1, true);
    member_start(&c, 0);
    cluster3_run(&c, NANOS_PER_S);
    assert_int_equal(c.member[0].verdict, RECOVERY_WIPED);
    member_start(&c, 1);
    cluster3_run(&c, 10 * NANOS_PER_S);
    assert_true(cluster3_get(&c, 0, "answer", value_of(42)));
    cluster3_deinit(&c);
}

/* The danger: a majority has lost everything, and the one that has not is away. Without the
 * question they would be a group of that name again, empty, with two votes of three. */
static void a_majority_that_lost_everything_does_not_found_again(void **state)
{
    (void)state;
    struct cluster3 c;
    founders_init(&c, 69, 3);
    cluster3_start(&c);
    cluster3_put(&c, cluster3_elect(&c), "answer", value_of(42));
    cluster3_run(&c, NANOS_PER_S);
    member_kill(&c, 2, false);
    for (uint32_t i = 0; i < 2; i++) {
        member_lose_everything(&c, i);
        member_start(&c, i);
    }
    cluster3_run(&c, LONG);
    assert_false(is_ready(&c, 0));
    assert_false(is_ready(&c, 1));
    /* It comes back: they are lost disks, and no majority is left to lead. */
    member_start(&c, 2);
    cluster3_run(&c, LONG);
    assert_int_equal(cluster3_leader(&c), -1);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(c.member[i].verdict, RECOVERY_WIPED);
        member_kill(&c, i, false);
    }
    /* What is left is what an operator can decide. */
    cluster3_run(&c, 10 * NANOS_PER_S);
    assert_int_equal(node_recover_quorum(c.member[2].node), OK);
    assert_int_equal(cluster3_elect(&c), 2);
    assert_true(cluster3_get(&c, 2, "answer", value_of(42)));
    cluster3_deinit(&c);
}

/* Where nothing is left anywhere, nothing can be protected: it is a new group. */
static void all_that_lost_everything_found_anew(void **state)
{
    (void)state;
    struct cluster3 c;
    founders_init(&c, 70, 3);
    cluster3_unwatch(&c);
    cluster3_start(&c);
    cluster3_put(&c, cluster3_elect(&c), "answer", value_of(42));
    for (uint32_t i = 0; i < 3; i++) {
        member_lose_everything(&c, i);
    }
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    assert_false(cluster3_get(&c, leader, "answer", value_of(42)));
    cluster3_deinit(&c);
}

/* To the oracle a disk that never held anything is a lost one, where the group begins without it.
 */
static void beginner_start(struct cluster3 *c, uint32_t i)
{
    c->member[i].lost = ORACLE_LOST_ALL;
    member_start(c, i);
}

/* Founders begin at any time, die in the middle and come back: in the end there is one group, and
 * everybody is in it. */
static void founding_survives_what_happens_to_founders(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(40); round++) {
        struct cluster3 c;
        uint32_t n = 2 + (uint32_t)prng_below(&p, NODES_MAX - 1);
        founders_init(&c, prng_u64(&p), n);
        for (uint32_t step = 0; step < 4 * n; step++) {
            uint32_t i = (uint32_t)prng_below(&p, n);
            if (!c.member[i].node) {
                beginner_start(&c, i);
            } else if (prng_chance(&p, 1, 3)) {
                member_kill(&c, i, prng_chance(&p, 1, 2));
            }
            cluster3_run(&c, prng_below(&p, 2 * NANOS_PER_S));
        }
        for (uint32_t i = 0; i < n; i++) {
            if (!c.member[i].node) {
                beginner_start(&c, i);
            }
        }
        enum err e = ERR_UNKNOWN; /* a leader whose followers were killed a moment ago may go */
        for (int attempt = 0; e != OK && attempt < 5; attempt++) {
            e = cluster3_try_put(&c, cluster3_elect(&c), "answer", value_of(round));
        }
        assert_int_equal(e, OK);
        cluster3_run(&c, 10 * NANOS_PER_S);
        for (uint32_t i = 0; i < n; i++) {
            assert_false(c.member[i].halted);
            assert_false(node_status(c.member[i].node).impaired);
            assert_true(cluster3_get(&c, i, "answer", value_of(round)));
        }
        cluster3_deinit(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(founders_that_all_begin_found_the_group),
        cmocka_unit_test(founders_do_not_wait_for_each_other_without_need),
        cmocka_unit_test(one_that_is_about_to_found_still_says_that_it_is_new),
        cmocka_unit_test(nobody_founds_before_the_last_one_has_said_what_it_is),
        cmocka_unit_test(who_has_lost_everything_comes_back_as_a_lost_disk),
        cmocka_unit_test(a_member_with_nothing_but_a_snapshot_is_not_fresh),
        cmocka_unit_test(a_log_without_snapshots_is_not_new),
        cmocka_unit_test(one_that_remembers_is_enough),
        cmocka_unit_test(a_majority_that_lost_everything_does_not_found_again),
        cmocka_unit_test(all_that_lost_everything_found_anew),
        cmocka_unit_test(founding_survives_what_happens_to_founders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
