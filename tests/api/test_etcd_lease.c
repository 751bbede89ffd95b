/* Leases on the leader and on its followers, through changes of both. */
#include <stdio.h>
#include <string.h>

#include "core/chaos/simnet.h"
#include "tests/api/api_cluster.h"
#include "tests/support/pb_text.h"
#include "tests/support/test.h"

static int lease_setup(void **state)
{
    static struct api_cluster c;
    api_cluster_init(&c, 21, 3);
    api_cluster_start(&c);
    *state = &c;
    return 0;
}

static int lease_teardown(void **state)
{
    api_cluster_deinit(*state);
    return 0;
}

static void grants_and_revokes_like_etcd(void **state)
{
    struct api_cluster *c = *state;
    api_expect(c, 0, "Lease/LeaseGrant", "1:60 2:7", "2:7 3:60");
    api_expect(c, 1, "Lease/LeaseGrant", "1:1 2:8", "2:8 3:2");
    struct rpc_call *call = api_unary(c, 2, "Lease/LeaseGrant", "1:60");
    int64_t chosen = api_number(fake_call_answer(call, 0), 2);
    assert_true(chosen > 0);
    api_close(c, call);
    api_expect_error(c, 0, "Lease/LeaseGrant", "1:60 2:7", 9, "etcdserver: lease already exists");
    api_expect_error(c, 0, "Lease/LeaseGrant", "1:9000000001 2:9", 11,
                     "etcdserver: too large lease TTL");
    api_expect(c, 1, "KV/Put", "1:'a' 2:'v' 3:7", "");
    api_expect(c, 1, "KV/Put", "1:'b' 2:'v' 3:7", "");
    api_expect(c, 2, "Lease/LeaseRevoke", "1:8", "");
    api_expect_error(c, 2, "Lease/LeaseRevoke", "1:8", 5, "etcdserver: requested lease not found");
    api_expect(c, 2, "Lease/LeaseRevoke", "1:7", "");
    call = api_unary(c, 0, "KV/Range", "1:'a' 2:'c'");
    pb_text_assert(fake_call_answer(call, 0), true, "");
    assert_int_equal(api_header(fake_call_answer(call, 0), 3), 4); /* both in one revision */
    api_close(c, call);
    char text[64];
    (void)snprintf(text, sizeof(text), "2:{1:%lld}", (long long)chosen);
    api_expect(c, 0, "Lease/LeaseLeases", "", text);
}

static void tells_what_is_left_on_every_member(void **state)
{
    struct api_cluster *c = *state;
    api_expect(c, 0, "Lease/LeaseGrant", "1:60 2:7", "2:7 3:60");
    api_expect(c, 0, "KV/Put", "1:'a' 3:7", "");
    api_expect(c, 0, "KV/Put", "1:'b' 3:7", "");
    api_cluster_run(c, 10 * NANOS_PER_S);
    for (uint32_t i = 0; i < 3; i++) {
        api_expect(c, i, "Lease/LeaseTimeToLive", "1:7 2:1", "2:7 3:49 4:60 5:'a' 5:'b'");
        api_expect(c, i, "Lease/LeaseTimeToLive", "1:7", "2:7 3:49 4:60");
        api_expect(c, i, "Lease/LeaseTimeToLive", "1:9", "2:9 3:-1");
    }
}

static void keeps_a_lease_alive_through_every_member(void **state)
{
    struct api_cluster *c = *state;
    api_expect(c, 0, "Lease/LeaseGrant", "1:3 2:7", "2:7 3:3");
    api_expect(c, 0, "KV/Put", "1:'a' 3:7", "");
    for (uint32_t i = 0; i < 3; i++) {
        struct rpc_call *call = api_call(c, i, "Lease/LeaseKeepAlive", NULL);
        for (size_t k = 0; k < 4; k++) {
            api_message(call, "1:7");
            api_wait_messages(c, call, k + 1);
            pb_text_assert(fake_call_answer(call, k), true, "2:7 3:3");
            api_cluster_run(c, 2 * NANOS_PER_S);
        }
        api_close(c, call);
    }
    api_expect(c, 1, "KV/Range", "1:'a' 9:1", "4:1");
    /* Left alone, it ends. */
    api_cluster_run(c, 5 * NANOS_PER_S);
    api_expect(c, 1, "KV/Range", "1:'a' 9:1", "");
    for (uint32_t i = 0; i < 3; i++) {
        struct rpc_call *call = api_call(c, i, "Lease/LeaseKeepAlive", NULL);
        api_message(call, "1:7");
        api_message(call, "1:8");
        fake_call_half_close(call);
        api_wait(c, call);
        api_assert_status(call, RPC_OK, "");
        assert_int_equal(call->count, 2);
        pb_text_assert(fake_call_answer(call, 0), true, "2:7");
        pb_text_assert(fake_call_answer(call, 1), true, "2:8");
        api_close(c, call);
    }
}

static void renews_with_the_new_leader_when_the_old_one_dies(void **state)
{
    struct api_cluster *c = *state;
    api_expect(c, 0, "Lease/LeaseGrant", "1:10 2:7", "2:7 3:10");
    uint32_t follower = api_cluster_follower(c);
    uint32_t leader = api_cluster_leader(c);
    struct rpc_call *call = api_call(c, follower, "Lease/LeaseKeepAlive", NULL);
    api_message(call, "1:7");
    api_wait_messages(c, call, 1);
    api_member_stop(c, leader);
    api_message(call, "1:7");
    api_wait_messages(c, call, 2);
    pb_text_assert(fake_call_answer(call, 1), true, "2:7 3:10");
    api_close(c, call);
}

static void a_leader_that_is_cut_off_renews_nothing(void **state)
{
    struct api_cluster *c = *state;
    api_expect(c, 0, "Lease/LeaseGrant", "1:60 2:7", "2:7 3:60");
    uint32_t leader = api_cluster_leader(c);
    for (uint32_t i = 0; i < 3; i++) {
        if (i != leader) {
            simnet_cut(c->member[i].host, c->member[leader].host, true);
        }
    }
    struct rpc_call *call = api_call(c, leader, "Lease/LeaseKeepAlive", NULL);
    api_message(call, "1:7");
    api_wait(c, call);
    assert_int_equal(call->count, 0);
    api_assert_status(call, RPC_UNAVAILABLE,
                      "etcdserver: request timed out, possibly due to previous leader failure");
    api_close(c, call);
}

static void bounds_what_one_stream_may_ask(void **state)
{
    struct api_cluster *c = *state;
    struct rpc_call *call = api_call(c, 0, "Lease/LeaseKeepAlive", NULL);
    for (int i = 0; i < 4097; i++) {
        assert_false(call->is_finished);
        api_message(call, "1:7");
    }
    api_assert_status(call, RPC_RESOURCE_EXHAUSTED, "etcdserver: too many requests");
    api_close(c, call);
    api_cluster_run(c, NANOS_PER_S);
}

static void notes_of_strangers_do_no_harm(void **state)
{
    struct api_cluster *c = *state;
    static const uint8_t notes[][32] = {{0}, {1}, {1, 2, 3}, {129, 1}, {130}, {255, 255}};
    for (size_t i = 0; i < COUNT_OF(notes); i++) {
        for (size_t len = 0; len <= sizeof(notes[i]); len++) {
            etcd_api_note(c->member[0].api, 2, (struct bytes){notes[i], len});
        }
    }
    api_cluster_run(c, NANOS_PER_S);
    api_expect(c, 0, "Lease/LeaseLeases", "", "");
}

int main(void)
{
#define LEASE(name) cmocka_unit_test_setup_teardown(name, lease_setup, lease_teardown)
    const struct CMUnitTest tests[] = {
        LEASE(grants_and_revokes_like_etcd),
        LEASE(tells_what_is_left_on_every_member),
        LEASE(keeps_a_lease_alive_through_every_member),
        LEASE(renews_with_the_new_leader_when_the_old_one_dies),
        LEASE(a_leader_that_is_cut_off_renews_nothing),
        LEASE(bounds_what_one_stream_may_ask),
        LEASE(notes_of_strangers_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
