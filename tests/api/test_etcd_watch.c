/* Watch as clients of etcd see it: what is answered, in which order, and what slow clients cost. */
#include <stdio.h>
#include <string.h>

#include "core/chaos/simnet.h"
#include "core/store/store_pb.h"
#include "tests/api/api_cluster.h"
#include "tests/support/pb_text.h"
#include "tests/support/test.h"

static int watch_solo_setup(void **state)
{
    static struct api_cluster c;
    api_cluster_init(&c, 11, 1);
    c.progress_interval = NANOS_PER_S;
    api_cluster_start(&c);
    *state = &c;
    return 0;
}

static int watch_trio_setup(void **state)
{
    static struct api_cluster c;
    api_cluster_init(&c, 12, 3);
    c.snapshot_entries = 30;
    api_cluster_start(&c);
    *state = &c;
    return 0;
}

static int watch_teardown(void **state)
{
    api_cluster_deinit(*state);
    return 0;
}

static void tells_events_of_many_watches_on_one_stream(void **state)
{
    struct api_cluster *c = *state;
    size_t at = 0;
    struct rpc_call *call = api_call(c, 0, "Watch/Watch", NULL);
    api_message(call, "1:{1:'a'}");
    api_expect_next(c, call, &at, "3:1");
    api_message(call, "1:{1:'b' 2:'c' 6:1 7:9}");
    api_expect_next(c, call, &at, "2:9 3:1");
    api_message(call, "1:{1:'b' 2:'c' 5:0 7:10}");
    api_expect_next(c, call, &at, "2:10 3:1");
    api_expect(c, 0, "KV/Put", "1:'a' 2:'1'", "");
    api_expect_next(c, call, &at, "11:{2:{1:'a' 2:2 3:2 4:1 5:'1'}}");
    assert_int_equal(api_header(fake_call_answer(call, at - 1), 3), 2);
    api_expect(c, 0, "KV/Put", "1:'b' 2:'1'", "");
    api_expect_next(c, call, &at, "11:{2:{1:'b' 2:3 3:3 4:1 5:'1'}} 2:9");
    api_expect(c, 0, "KV/DeleteRange", "1:'b'", "2:1");
    api_expect_next(c, call, &at, "11:{1:1 2:{1:'b' 3:4} 3:{1:'b' 2:3 3:3 4:1 5:'1'}} 2:9");
    api_expect_next(c, call, &at, "11:{1:1 2:{1:'b' 3:4}} 2:10");
    /* A canceled watch says so once, and one that is not there says nothing. */
    api_message(call, "2:{1:9}");
    api_expect_next(c, call, &at, "2:9 4:1");
    api_message(call, "2:{1:9}");
    api_expect(c, 0, "KV/Put", "1:'b' 2:'2'", "");
    api_expect_nothing(c, call, at);
    api_close(c, call);
}

static void gives_all_events_of_a_revision_in_one_answer(void **state)
{
    struct api_cluster *c = *state;
    size_t at = 0;
    struct rpc_call *call = api_call(c, 0, "Watch/Watch", NULL);
    api_expect(c, 0, "KV/Put", "1:'k1'", "");
    api_message(call, "1:{1:'k' 2:'l' 3:2}");
    api_expect_next(c, call, &at, "3:1");
    api_expect_next(c, call, &at, "11:{2:{1:'k1' 2:2 3:2 4:1}}");
    api_expect(c, 0, "KV/Txn", "2:{2:{1:'k2'}} 2:{3:{1:'k1'}}",
               "2:1 3:{2:{1:{3:3}}} 3:{3:{1:{3:3} 2:1}}");
    api_expect_next(c, call, &at, "11:{2:{1:'k2' 2:3 3:3 4:1}} 11:{1:1 2:{1:'k1' 3:3}}");
    api_close(c, call);
}

static void refuses_bad_ranges_and_ids_without_ending_the_stream(void **state)
{
    struct api_cluster *c = *state;
    size_t at = 0;
    struct rpc_call *call = api_call(c, 0, "Watch/Watch", NULL);
    api_message(call, "1:{1:'b' 2:'a'}");
    api_expect_next(c, call, &at, "2:-1 3:1 4:1 6:'mvcc: watcher range is empty'");
    api_message(call, "1:{1:'b' 7:5}");
    api_expect_next(c, call, &at, "2:5 3:1");
    api_message(call, "1:{1:'b' 7:5}");
    api_expect_next(c, call, &at,
                    "2:-1 3:1 4:1 6:'mvcc: duplicate watch ID provided on the WatchStream'");
    api_message(call, "1:'\\0'");
    api_wait(c, call);
    api_assert_status(call, RPC_INTERNAL, "grpc: error unmarshalling request");
    api_close(c, call);
}

static void cancels_a_watch_whose_start_was_compacted(void **state)
{
    struct api_cluster *c = *state;
    size_t at = 0;
    for (int i = 0; i < 4; i++) {
        api_expect(c, 0, "KV/Put", "1:'k'", "");
    }
    api_expect(c, 0, "KV/Compact", "1:4", "");
    struct rpc_call *call = api_call(c, 0, "Watch/Watch", NULL);
    api_message(call, "1:{1:'k' 3:3}");
    api_expect_next(c, call, &at, "3:1");
    api_expect_next(c, call, &at, "4:1 5:4");
    assert_int_equal(api_header(fake_call_answer(call, at - 1), 3), 0);
    api_message(call, "1:{1:'k' 3:4 7:1}");
    api_expect_next(c, call, &at, "2:1 3:1");
    api_expect_next(c, call, &at, "11:{2:{1:'k' 2:2 3:4 4:3}} 11:{2:{1:'k' 2:2 3:5 4:4}} 2:1");
    /* A start in the future waits for it. */
    api_message(call, "1:{1:'k' 3:7 7:2}");
    api_expect_next(c, call, &at, "2:2 3:1");
    api_message(call, "2:{1:1}");
    api_expect_next(c, call, &at, "2:1 4:1");
    api_expect(c, 0, "KV/Put", "1:'k'", "");
    api_expect_nothing(c, call, at);
    api_expect(c, 0, "KV/Put", "1:'k'", "");
    api_expect_next(c, call, &at, "11:{2:{1:'k' 2:2 3:7 4:6}} 2:2");
    api_close(c, call);
}

static void tells_progress_when_asked_and_in_the_interval(void **state)
{
    struct api_cluster *c = *state;
    size_t at = 0;
    struct rpc_call *call = api_call(c, 0, "Watch/Watch", NULL);
    api_message(call, "3:{}");
    api_expect_nothing(c, call, at); /* without a watch there is no answer */
    api_message(call, "1:{1:'k' 7:3}");
    api_expect_next(c, call, &at, "2:3 3:1");
    api_expect(c, 0, "KV/Put", "1:'other'", "");
    api_message(call, "3:{}");
    api_expect_next(c, call, &at, "2:-1");
    assert_int_equal(api_header(fake_call_answer(call, at - 1), 3), 2);
    api_expect_nothing(c, call, at);
    api_message(call, "1:{1:'k' 7:4 4:1}");
    api_expect_next(c, call, &at, "2:4 3:1");
    api_expect_next(c, call, &at, "2:4");
    assert_int_equal(api_header(fake_call_answer(call, at - 1), 3), 2);
    api_expect_next(c, call, &at, "2:4");
    api_close(c, call);
}

static void keeps_the_events_of_a_slow_client_in_the_store(void **state)
{
    struct api_cluster *c = *state;
    size_t at = 0;
    struct rpc_call *call = api_call(c, 0, "Watch/Watch", NULL);
    api_message(call, "1:{1:'k'}");
    api_expect_next(c, call, &at, "3:1");
    fake_call_drain(call);
    call->high_mark = 0;
    api_expect(c, 0, "KV/Put", "1:'k' 2:'0'", "");
    api_expect_next(c, call, &at, "11:{2:{1:'k' 2:2 3:2 4:1 5:'0'}}");
    for (int i = 0; i < 5; i++) {
        api_expect(c, 0, "KV/Put", "1:'k'", "");
    }
    api_expect_nothing(c, call, at);
    /* Nor does it get progress that it could not have seen. */
    api_message(call, "3:{}");
    api_expect_nothing(c, call, at);
    fake_call_drain(call);
    api_wait_messages(c, call, at + 1);
    assert_int_equal(api_header(fake_call_answer(call, at), 3), 7);
    fake_call_drain(call);
    api_message(call, "3:{}");
    api_wait_messages(c, call, at + 2);
    /* A client that asks and asks, and never reads, is sent away. */
    for (int i = 0; i < 5000 && !call->is_finished; i++) {
        api_message(call, "3:{}");
    }
    api_assert_status(call, RPC_RESOURCE_EXHAUSTED, "etcdserver: too many requests");
    api_close(c, call);
}

static void splits_a_long_revision_for_those_who_asked(void **state)
{
    struct api_cluster *c = *state;
    size_t at = 0;
    struct rpc_call *call = api_call(c, 0, "Watch/Watch", NULL);
    api_message(call, "1:{1:'k' 2:'l' 8:1 6:1}");
    api_expect_next(c, call, &at, "3:1");
    /* Twice a megabyte of values, then their deletion in one revision with prev_kv. */
    static uint8_t value[1000 * 1000];
    for (int i = 0; i < 3; i++) {
        struct buf b;
        buf_init(&b);
        char key[] = {'k', (char)('0' + i)};
        struct store_put_request r = {.key = {(const uint8_t *)key, 2},
                                      .value = {value, sizeof(value)}};
        store_put_encode(&b, &r);
        struct rpc_call *put = api_call(c, 0, "KV/Put", NULL);
        fake_call_message(put, buf_view(&b));
        api_wait(c, put);
        api_assert_status(put, RPC_OK, "");
        api_close(c, put);
        buf_deinit(&b);
    }
    api_wait_messages(c, call, 4);
    at = 4;
    api_expect(c, 0, "KV/DeleteRange", "1:'k' 2:'l'", "2:3");
    api_wait_messages(c, call, at + 2);
    assert_int_equal(api_number(fake_call_answer(call, at), 7), 1);
    assert_int_equal(api_number(fake_call_answer(call, at + 1), 7), 0);
    assert_int_equal(api_header(fake_call_answer(call, at), 3), 5);
    assert_int_equal(api_header(fake_call_answer(call, at + 1), 3), 5);
    api_close(c, call);
}

static void goes_on_over_a_snapshot_that_replaces_the_store(void **state)
{
    struct api_cluster *c = *state;
    uint32_t follower = api_cluster_follower(c);
    size_t at = 0;
    struct rpc_call *call = api_call(c, follower, "Watch/Watch", NULL);
    api_message(call, "1:{1:'k'}");
    api_expect_next(c, call, &at, "3:1");
    uint32_t other = (follower + 1) % 3;
    for (uint32_t i = 0; i < 3; i++) {
        if (i != follower) {
            simnet_cut(c->member[i].host, c->member[follower].host, true);
            other = i;
        }
    }
    for (int i = 0; i < 200; i++) {
        api_expect(c, other, "KV/Put", "1:'k'", "");
    }
    api_expect_nothing(c, call, at);
    uint64_t snapshot = node_status(c->member[follower].node).snapshot;
    for (uint32_t i = 0; i < 3; i++) {
        if (i != follower) {
            simnet_cut(c->member[i].host, c->member[follower].host, false);
        }
    }
    /* Each revision once and in order. */
    int64_t seen = 1;
    nanos until = simworld_now(c->sim) + 60 * NANOS_PER_S;
    while (seen < 201 && simworld_now(c->sim) < until) {
        api_cluster_run(c, 10 * NANOS_PER_MS);
        for (; at < call->count; at++) {
            struct store_pb pb;
            struct store_pb_field f;
            store_pb_init(&pb, fake_call_answer(call, at));
            while (store_pb_next(&pb, &f)) {
                seen += f.number == 11;
            }
            assert_int_equal(api_header(fake_call_answer(call, at), 3), seen);
        }
    }
    assert_int_equal(seen, 201);
    assert_true(node_status(c->member[follower].node).snapshot > snapshot);
    api_close(c, call);
}

static void ends_streams_that_want_a_leader_when_there_is_none(void **state)
{
    struct api_cluster *c = *state;
    static const struct fake_metadata hasleader[] = {{"hasleader", "true"}, {NULL, NULL}};
    uint32_t follower = api_cluster_follower(c);
    struct rpc_call *wants = api_call(c, follower, "Watch/Watch", hasleader);
    struct rpc_call *other = api_call(c, follower, "Watch/Watch", NULL);
    api_message(wants, "1:{1:'k'}");
    api_message(other, "1:{1:'k'}");
    struct rpc_call *renews = api_call(c, follower, "Lease/LeaseKeepAlive", hasleader);
    for (uint32_t i = 0; i < 3; i++) {
        if (i != follower) {
            api_member_stop(c, i);
        }
    }
    api_cluster_run(c, 10 * NANOS_PER_S);
    assert_false(other->is_finished);
    for (int i = 0; i < 2; i++) {
        static const char REASON[] = "novacron-reason: no leader; 1 of 3 voters reachable, not ";
        api_assert_status(wants, RPC_UNAVAILABLE, "etcdserver: no leader");
        api_assert_status(renews, RPC_UNAVAILABLE, "etcdserver: no leader");
        assert_memory_equal(wants->remark, REASON, sizeof(REASON) - 1);
        assert_memory_equal(renews->remark, REASON, sizeof(REASON) - 1);
        api_close(c, wants);
        api_close(c, renews);
        /* Who comes now hears so at once. */
        wants = api_call(c, follower, "Watch/Watch", hasleader);
        renews = api_call(c, follower, "Lease/LeaseKeepAlive", hasleader);
    }
    api_close(c, wants);
    api_close(c, renews);
    api_close(c, other);
}

int main(void)
{
#define SOLO(name) cmocka_unit_test_setup_teardown(name, watch_solo_setup, watch_teardown)
#define TRIO(name) cmocka_unit_test_setup_teardown(name, watch_trio_setup, watch_teardown)
    const struct CMUnitTest tests[] = {
        SOLO(tells_events_of_many_watches_on_one_stream),
        SOLO(gives_all_events_of_a_revision_in_one_answer),
        SOLO(refuses_bad_ranges_and_ids_without_ending_the_stream),
        SOLO(cancels_a_watch_whose_start_was_compacted),
        SOLO(tells_progress_when_asked_and_in_the_interval),
        SOLO(keeps_the_events_of_a_slow_client_in_the_store),
        SOLO(splits_a_long_revision_for_those_who_asked),
        TRIO(goes_on_over_a_snapshot_that_replaces_the_store),
        TRIO(ends_streams_that_want_a_leader_when_there_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
