/*
 * What Kubernetes' apiserver asks of etcd, in the shapes in which it asks, and nothing else:
 * objects that are created, updated and deleted by optimistic transactions, lists in pages, a watch
 * cache, leases without renewals, compaction by whoever wins, and the version by which it decides
 * what it may use [kubernetes apiserver/pkg/storage/etcd3, etcd client/v3/kubernetes].
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/store/store_pb.h"
#include "tests/api/api_cluster.h"
#include "tests/support/pb_text.h"
#include "tests/support/test.h"

static const struct fake_metadata wants_leader[] = {{"hasleader", "true"}, {NULL, NULL}};

static int apiserver_setup(void **state)
{
    static struct api_cluster c;
    api_cluster_init(&c, 21, 3);
    api_cluster_start(&c);
    *state = &c;
    return 0;
}

static int apiserver_teardown(void **state)
{
    api_cluster_deinit(*state);
    return 0;
}

static void creates_updates_and_deletes_by_the_revision_that_it_saw(void **state)
{
    struct api_cluster *c = *state;
    /* If MOD == 0 then Put else Range. */
    const char *create = "1:{2:2 3:'/registry/pods/a' 6:0} 2:{2:{1:'/registry/pods/a' 2:'1'}} "
                         "3:{1:{1:'/registry/pods/a'}}";
    api_expect(c, 0, "KV/Txn", create, "2:1 3:{2:{1:{3:2}}}");
    api_expect(c, 1, "KV/Txn", create,
               "3:{1:{1:{3:2} 2:{1:'/registry/pods/a' 2:2 3:2 4:1 5:'1'} 4:1}}");
    /* If MOD == the one that it read. */
    const char *update = "1:{2:2 3:'/registry/pods/a' 6:2} 2:{2:{1:'/registry/pods/a' 2:'2'}} "
                         "3:{1:{1:'/registry/pods/a'}}";
    api_expect(c, 2, "KV/Txn", update, "2:1 3:{2:{1:{3:3}}}");
    api_expect(c, 0, "KV/Txn", update,
               "3:{1:{1:{3:3} 2:{1:'/registry/pods/a' 2:2 3:3 4:2 5:'2'} 4:1}}");
    /* What a conflict gave is what the next try goes by. */
    const char *remove = "1:{2:2 3:'/registry/pods/a' 6:3} 2:{3:{1:'/registry/pods/a'}} "
                         "3:{1:{1:'/registry/pods/a'}}";
    api_expect(c, 1, "KV/Txn", remove, "2:1 3:{3:{1:{3:4} 2:1}}");
    api_expect(c, 2, "KV/Txn", remove, "3:{1:{1:{3:4}}}");
    api_expect(c, 0, "KV/Range", "1:'/registry/pods/a' 3:1", "");
}

static void lists_in_pages_of_one_revision(void **state)
{
    struct api_cluster *c = *state;
    char text[128];
    for (int i = 0; i < 5; i++) {
        (void)snprintf(text, sizeof(text), "1:'/r/%d' 2:'v'", i);
        api_expect(c, 0, "KV/Put", text, "");
    }
    struct rpc_call *page = api_unary(c, 1, "KV/Range", "1:'/r/' 2:'/r0' 3:2");
    pb_text_assert(fake_call_answer(page, 0), true,
                   "2:{1:'/r/0' 2:2 3:2 4:1 5:'v'} 2:{1:'/r/1' 2:3 3:3 4:1 5:'v'} 3:1 4:5");
    assert_int_equal(api_header(fake_call_answer(page, 0), 3), 6);
    api_close(c, page);
    /* The pages that follow begin behind the last key, at the first one's revision. */
    api_expect(c, 0, "KV/DeleteRange", "1:'/r/3'", "2:1");
    api_expect(c, 0, "KV/Put", "1:'/r/9' 2:'late'", "");
    api_expect(c, 2, "KV/Range", "1:'/r/1\\0' 2:'/r0' 3:2 4:6",
               "2:{1:'/r/2' 2:4 3:4 4:1 5:'v'} 2:{1:'/r/3' 2:5 3:5 4:1 5:'v'} 3:1 4:3");
    api_expect(c, 1, "KV/Range", "1:'/r/3\\0' 2:'/r0' 3:2 4:6",
               "2:{1:'/r/4' 2:6 3:6 4:1 5:'v'} 4:1");
    api_expect(c, 0, "KV/Range", "1:'/r/' 2:'/r0' 9:1", "4:5");
    /* A page whose revision was compacted meanwhile is told apart. */
    api_expect(c, 0, "KV/Compact", "1:8", "");
    api_expect_error(c, 1, "KV/Range", "1:'/r/3\\0' 2:'/r0' 3:2 4:6", RPC_OUT_OF_RANGE,
                     "etcdserver: mvcc: required revision has been compacted");
}

static void keeps_a_watch_cache_up_to_date(void **state)
{
    struct api_cluster *c = *state;
    size_t at = 0;
    api_expect(c, 0, "KV/Put", "1:'/r/a' 2:'1'", "");
    struct rpc_call *list = api_unary(c, 1, "KV/RangeStream", "1:'/r/' 2:'/r0'");
    assert_int_equal(list->status, RPC_OK);
    api_close(c, list);
    /* From the revision behind the list's, with the values before, and word of progress. */
    struct rpc_call *watch = api_call(c, 1, "Watch/Watch", wants_leader);
    api_message(watch, "1:{1:'/r/' 2:'/r0' 3:3 4:1 6:1}");
    api_expect_next(c, watch, &at, "3:1");
    api_expect(c, 0, "KV/Put", "1:'/r/a' 2:'2'", "");
    api_expect_next(c, watch, &at,
                    "11:{2:{1:'/r/a' 2:2 3:3 4:2 5:'2'} 3:{1:'/r/a' 2:2 3:2 4:1 5:'1'}}");
    api_expect(c, 0, "KV/DeleteRange", "1:'/r/a'", "2:1");
    api_expect_next(c, watch, &at, "11:{1:1 2:{1:'/r/a' 3:4} 3:{1:'/r/a' 2:2 3:3 4:2 5:'2'}}");
    /* A consistent read of the cache: the revision of now, then word that the watch is there. */
    api_expect(c, 0, "KV/Put", "1:'/elsewhere'", "");
    struct rpc_call *now = api_unary(c, 2, "KV/Range", "1:'/r/nobody' 3:1");
    assert_int_equal(api_header(fake_call_answer(now, 0), 3), 5);
    api_close(c, now);
    for (int i = 0; i < 100 && api_header(fake_call_answer(watch, at - 1), 3) < 5; i++) {
        api_cluster_run(c, 10 * NANOS_PER_MS);
        api_message(watch, "3:{}");
        api_wait_messages(c, watch, ++at);
    }
    assert_int_equal(api_header(fake_call_answer(watch, at - 1), 3), 5);
    api_close(c, watch);
}

static void watches_each_kind_of_object_on_one_member(void **state)
{
    struct api_cluster *c = *state;
    struct rpc_call *watch[60];
    for (size_t i = 0; i < COUNT_OF(watch); i++) {
        char text[64];
        watch[i] = api_call(c, 0, "Watch/Watch", wants_leader);
        (void)snprintf(text, sizeof(text), "1:{1:'/r/%02zu/' 2:'/r/%02zu0' 4:1 6:1}", i, i);
        api_message(watch[i], text);
        api_wait_messages(c, watch[i], 1);
    }
    api_expect(c, 1, "KV/Put", "1:'/r/07/x' 2:'1'", "");
    size_t at = 1;
    api_expect_next(c, watch[7], &at, "11:{2:{1:'/r/07/x' 2:2 3:2 4:1 5:'1'}}");
    for (size_t i = 0; i < COUNT_OF(watch); i++) {
        api_close(c, watch[i]);
    }
}

static void lets_events_expire_with_a_lease_that_many_share(void **state)
{
    struct api_cluster *c = *state;
    char text[128];
    struct rpc_call *grant = api_unary(c, 1, "Lease/LeaseGrant", "1:60");
    long long lease = (long long)api_number(fake_call_answer(grant, 0), 2);
    api_close(c, grant);
    for (int i = 0; i < 10; i++) {
        (void)snprintf(text, sizeof(text),
                       "1:{2:2 3:'/r/events/%d' 6:0} 2:{2:{1:'/r/events/%d' 2:'e' 3:%lld}}", i, i,
                       lease);
        struct rpc_call *create = api_unary(c, 0, "KV/Txn", text);
        assert_int_equal(api_number(fake_call_answer(create, 0), 2), 1);
        api_close(c, create);
    }
    api_cluster_run(c, 50 * NANOS_PER_S);
    api_expect(c, 0, "KV/Range", "1:'/r/events/' 2:'/r/events0' 9:1", "4:10");
    api_cluster_run(c, 20 * NANOS_PER_S);
    struct rpc_call *left = api_unary(c, 0, "KV/Range", "1:'/r/events/' 2:'/r/events0' 9:1");
    pb_text_assert(fake_call_answer(left, 0), true, "");
    assert_int_equal(api_header(fake_call_answer(left, 0), 3),
                     12); /* all of them in one revision */
    api_close(c, left);
}

static void compacts_by_whoever_of_them_is_first(void **state)
{
    struct api_cluster *c = *state;
    api_expect(c, 0, "KV/Put", "1:'/r/a'", "");
    /* If VERSION == the one it knows then Put its revision, else Range; the winner compacts. */
    const char *turn = "1:{3:'compact_rev_key' 4:0} 2:{2:{1:'compact_rev_key' 2:'2'}} "
                       "3:{1:{1:'compact_rev_key'}}";
    api_expect(c, 0, "KV/Txn", turn, "2:1 3:{2:{1:{3:3}}}");
    api_expect(c, 1, "KV/Txn", turn,
               "3:{1:{1:{3:3} 2:{1:'compact_rev_key' 2:3 3:3 4:1 5:'2'} 4:1}}");
    api_expect(c, 0, "KV/Compact", "1:2", "");
    api_expect_error(c, 1, "KV/Compact", "1:2", RPC_OUT_OF_RANGE,
                     "etcdserver: mvcc: required revision has been compacted");
    api_expect(c, 2, "KV/Range", "1:'/r/a' 4:2", "2:{1:'/r/a' 2:2 3:2 4:1} 4:1");
}

static void is_healthy_and_of_a_version_that_has_what_it_needs(void **state)
{
    struct api_cluster *c = *state;
    api_expect(c, 1, "KV/Range", "1:'/registry/health' 3:1", "");
    struct rpc_call *status = api_unary(c, 1, "Maintenance/Status", "");
    struct bytes answer = fake_call_answer(status, 0);
    struct store_pb pb;
    struct store_pb_field f;
    unsigned major = 0, minor = 0, patch = 0;
    store_pb_init(&pb, answer);
    while (store_pb_next(&pb, &f)) {
        if (f.number == 2) {
            char version[16];
            (void)snprintf(version, sizeof(version), "%.*s", (int)f.bytes.len,
                           (const char *)f.bytes.data);
            char *end = version;
            major = (unsigned)strtoul(end, &end, 10);
            minor = (unsigned)strtoul(end + 1, &end, 10);
            patch = (unsigned)strtoul(end + 1, &end, 10);
            assert_string_equal(end, "");
        }
    }
    /* Progress can be asked for since 3.5.13. */
    assert_true(major == 3 && (minor > 5 || (minor == 5 && patch >= 13)));
    assert_true(api_number(answer, 3) > 0); /* dbSize */
    api_close(c, status);
}

int main(void)
{
#define APISERVER(test) cmocka_unit_test_setup_teardown(test, apiserver_setup, apiserver_teardown)
    const struct CMUnitTest tests[] = {
        APISERVER(creates_updates_and_deletes_by_the_revision_that_it_saw),
        APISERVER(lists_in_pages_of_one_revision),
        APISERVER(keeps_a_watch_cache_up_to_date),
        APISERVER(watches_each_kind_of_object_on_one_member),
        APISERVER(lets_events_expire_with_a_lease_that_many_share),
        APISERVER(compacts_by_whoever_of_them_is_first),
        APISERVER(is_healthy_and_of_a_version_that_has_what_it_needs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
