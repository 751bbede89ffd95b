/* KV as clients of etcd see it: answers, errors, and who may serve what without a quorum. */
#include <stdio.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/store/store_pb.h"
#include "tests/api/api_cluster.h"
#include "tests/support/pb_text.h"
#include "tests/support/test.h"

static int solo_setup(void **state)
{
    static struct api_cluster c;
    api_cluster_init(&c, 1, 1);
    api_cluster_start(&c);
    *state = &c;
    return 0;
}

static int trio_setup(void **state)
{
    static struct api_cluster c;
    api_cluster_init(&c, 2, 3);
    api_cluster_start(&c);
    *state = &c;
    return 0;
}

static int cluster_teardown(void **state)
{
    api_cluster_deinit(*state);
    return 0;
}

static void puts_gets_and_deletes_like_etcd(void **state)
{
    struct api_cluster *c = *state;
    struct rpc_call *call = api_unary(c, 0, "KV/Put", "1:'foo' 2:'bar'");
    api_assert_status(call, RPC_OK, "");
    struct bytes answer = fake_call_answer(call, 0);
    assert_int_equal(api_header(answer, 1), 77);
    assert_int_equal(api_header(answer, 2), 1);
    assert_int_equal(api_header(answer, 3), 2);
    assert_true(api_header(answer, 4) >= 1);
    api_close(c, call);
    api_expect(c, 0, "KV/Range", "1:'foo'", "2:{1:'foo' 2:2 3:2 4:1 5:'bar'} 4:1");
    api_expect(c, 0, "KV/Put", "1:'foo' 2:'baz' 4:1", "2:{1:'foo' 2:2 3:2 4:1 5:'bar'}");
    api_expect(c, 0, "KV/Put", "1:'fop' 2:'x'", "");
    api_expect(c, 0, "KV/Range", "1:'fo' 2:'fp' 8:1 3:1", "2:{1:'foo' 2:2 3:3 4:2} 3:1 4:2");
    api_expect(c, 0, "KV/Range", "1:'\\0' 2:'\\0' 9:1", "4:2");
    api_expect(c, 0, "KV/Range", "1:'z' 2:'a'", "");
    api_expect(c, 0, "KV/Range", "1:'foo' 4:2 7:1", "2:{1:'foo' 2:2 3:2 4:1 5:'bar'} 4:1");
    api_expect(c, 0, "KV/DeleteRange", "1:'fo' 2:'fp'", "2:2");
    api_expect(c, 0, "KV/DeleteRange", "1:'fo' 2:'fp'", "");
    call = api_unary(c, 0, "KV/Range", "1:'foo'");
    assert_int_equal(api_header(fake_call_answer(call, 0), 3), 5);
    api_close(c, call);
}

static void answers_txns_like_etcd(void **state)
{
    struct api_cluster *c = *state;
    /* create = 0 ? put : range */
    const char *create = "1:{2:1 3:'k' 5:0} 2:{2:{1:'k' 2:'1'}} 3:{1:{1:'k'}}";
    api_expect(c, 0, "KV/Txn", create, "2:1 3:{2:{1:{3:2}}}");
    api_expect(c, 0, "KV/Txn", create, "3:{1:{1:{3:2} 2:{1:'k' 2:2 3:2 4:1 5:'1'} 4:1}}");
    api_expect(c, 0, "KV/Txn", "", "2:1");
    /* Only ranges: answered without the log, whatever the branch. */
    uint64_t applied = node_applied(c->member[0].node);
    api_expect(c, 0, "KV/Txn", "1:{2:3 3:'k' 7:'1'} 2:{1:{1:'k' 9:1}}", "2:1 3:{1:{1:{3:2} 4:1}}");
    api_expect(c, 0, "KV/Txn", "2:{1:{1:'k' 9:1 7:1}}", "2:1 3:{1:{1:{3:2} 4:1}}");
    assert_int_equal(node_applied(c->member[0].node), applied);
}

static void refuses_in_the_words_of_etcd(void **state)
{
    static const struct api_refusal cases[] = {
        {"KV/Range", "", 3, "etcdserver: key is not provided"},
        {"KV/Range", "1:'a' 5:9", 3, "etcdserver: invalid sort option"},
        {"KV/Range", "1:'a' 4:99", 11, "etcdserver: mvcc: required revision is a future revision"},
        {"KV/Range", "1:'a' 2:'b' 4:99", 11,
         "etcdserver: mvcc: required revision is a future revision"},
        {"KV/Range", "1:'a' 4:1", 11, "etcdserver: mvcc: required revision has been compacted"},
        {"KV/Put", "2:'v'", 3, "etcdserver: key is not provided"},
        {"KV/Put", "1:'nokey' 5:1", 3, "etcdserver: key not found"},
        {"KV/Put", "1:'a' 2:'v' 5:1", 3, "etcdserver: value is provided"},
        {"KV/Put", "1:'a' 3:4 6:1", 3, "etcdserver: lease is provided"},
        {"KV/Put", "1:'a' 3:4", 5, "etcdserver: requested lease not found"},
        {"KV/DeleteRange", "", 3, "etcdserver: key is not provided"},
        {"KV/Txn", "2:{2:{1:'d'}} 2:{2:{1:'d'}}", 3,
         "etcdserver: duplicate key given in txn request"},
        {"KV/Txn", "2:{2:{1:'d'}} 2:{3:{1:'d'}}", 3,
         "etcdserver: duplicate key given in txn request"},
        {"KV/Txn", "2:{}", 3, "etcdserver: key not found"},
        {"KV/Txn", "2:{1:{1:'a' 4:99}}", 11,
         "etcdserver: mvcc: required revision is a future revision"},
        {"KV/Compact", "1:99", 11, "etcdserver: mvcc: required revision is a future revision"},
        {"KV/Compact", "1:1", 11, "etcdserver: mvcc: required revision has been compacted"},
        {"KV/Range", "1:7", 13, "etcdserver: cannot decode the request"},
    };
    struct api_cluster *c = *state;
    api_expect(c, 0, "KV/Put", "1:'a' 2:'1'", "");
    api_expect(c, 0, "KV/Put", "1:'a' 2:'2'", "");
    api_expect(c, 0, "KV/Compact", "1:2 2:1", "");
    api_expect_refusals(c, 0, cases, COUNT_OF(cases));
}

static void refuses_a_put_that_is_too_large(void **state)
{
    struct api_cluster *c = *state;
    struct buf b;
    buf_init(&b);
    size_t len = 1536 * 1024 + 10;
    uint8_t *value = mem_alloc_zero(len);
    struct store_put_request r = {.key = {(const uint8_t *)"k", 1}, .value = {value, len}};
    store_put_encode(&b, &r);
    struct rpc_call *call = api_call(c, 0, "KV/Put", NULL);
    fake_call_message(call, buf_view(&b));
    api_wait(c, call);
    api_assert_status(call, 3, "etcdserver: request is too large");
    api_close(c, call);
    mem_free(value);
    buf_deinit(&b);
}

static size_t count_fields(struct bytes message, uint32_t number)
{
    struct store_pb pb;
    struct store_pb_field f;
    size_t n = 0;
    store_pb_init(&pb, message);
    while (store_pb_next(&pb, &f)) {
        n += f.number == number;
    }
    return n;
}

static void reads_long_ranges_in_turns(void **state)
{
    struct api_cluster *c = *state;
    char text[256];
    size_t keys = 5000;
    for (size_t i = 0; i < keys; i += 50) {
        struct buf txn;
        buf_init(&txn);
        for (size_t k = i; k < i + 50; k++) {
            (void)snprintf(text, sizeof(text), "2:{2:{1:'k%05zu' 2:'v'}}", k);
            pb_text_encode(&txn, text);
        }
        struct rpc_call *call = api_call(c, 0, "KV/Txn", NULL);
        fake_call_message(call, buf_view(&txn));
        api_wait(c, call);
        api_assert_status(call, RPC_OK, "");
        api_close(c, call);
        buf_deinit(&txn);
    }
    /* Two at once, one of which is given up; a write in between is not seen. */
    struct rpc_call *kept = api_call(c, 0, "KV/Range", NULL);
    struct rpc_call *left = api_call(c, 0, "KV/Range", NULL);
    struct rpc_call *anew = api_call(c, 0, "KV/Range", NULL);
    api_message(anew, "1:'k' 2:'l' 7:1");
    assert_false(anew->is_finished);
    /* One that was under way when the store is replaced begins anew, and is whole. */
    etcd_api_store_leaves(c->member[0].api);
    api_wait(c, anew);
    assert_int_equal(api_number(fake_call_answer(anew, 0), 4), keys);
    assert_int_equal(count_fields(fake_call_answer(anew, 0), 2), keys);
    api_close(c, anew);
    api_message(kept, "1:'k' 2:'l' 7:1");
    api_message(left, "1:'k' 2:'l' 7:1");
    assert_false(kept->is_finished);
    api_close(c, left);
    api_expect(c, 0, "KV/DeleteRange", "1:'k' 2:'l'", "2:5000");
    api_wait(c, kept);
    api_assert_status(kept, RPC_OK, "");
    assert_int_equal(api_number(fake_call_answer(kept, 0), 4), keys);
    assert_int_equal(api_header(fake_call_answer(kept, 0), 3), 1 + keys / 50);
    api_close(c, kept);
    api_expect(c, 0, "KV/Range", "1:'k' 2:'l'", "");
}

static void serves_reads_and_writes_on_every_member(void **state)
{
    struct api_cluster *c = *state;
    for (uint32_t i = 0; i < 3; i++) {
        char text[64];
        (void)snprintf(text, sizeof(text), "1:'k' 2:'%u'", i);
        api_expect(c, i, "KV/Put", text, "");
        (void)snprintf(text, sizeof(text), "2:{1:'k' 2:2 3:%u 4:%u 5:'%u'} 4:1", i + 2, i + 1, i);
        for (uint32_t k = 0; k < 3; k++) {
            api_expect(c, k, "KV/Range", "1:'k'", text);
        }
    }
}

static void expect_remark(struct api_cluster *c, uint32_t i, const char *method,
                          const char *request, const char *remark)
{
    struct rpc_call *call = api_unary(c, i, method, request);
    assert_string_equal(call->remark, remark);
    api_close(c, call);
}

static void without_a_quorum_serves_serializable_reads_alone(void **state)
{
    struct api_cluster *c = *state;
    static const struct fake_metadata hasleader[] = {{"hasleader", "true"}, {NULL, NULL}};
    api_expect(c, 0, "KV/Put", "1:'k' 2:'v'", "");
    api_expect(c, 1, "KV/Range", "1:'k' 9:1", "4:1");
    api_cluster_run(c, 5 * NANOS_PER_S); /* all have said what they are called */
    api_member_stop(c, 0);
    api_member_stop(c, 2);
    api_cluster_run(c, 5 * NANOS_PER_S);
    expect_remark(c, 1, "KV/Range", "1:'k' 7:1", "novacron-stale: true");
    expect_remark(c, 1, "KV/RangeStream", "1:'k' 7:1", "novacron-stale: true");
    expect_remark(c, 1, "KV/Txn", "2:{1:{1:'k' 9:1 7:1}}", "novacron-stale: true");
    expect_remark(c, 1, "Lease/LeaseLeases", "", "novacron-stale: true");
    expect_remark(c, 1, "Cluster/MemberList", "", "novacron-stale: true");
    const char *reason = "novacron-reason: no leader; 1 of 3 voters reachable, not host-0, host-2";
    expect_remark(c, 1, "KV/Put", "1:'k'", reason);
    expect_remark(c, 1, "KV/Range", "1:'k'", reason);
    expect_remark(c, 1, "KV/Range", "", "");
    api_expect(c, 1, "KV/Range", "1:'k' 7:1", "2:{1:'k' 2:2 3:2 4:1 5:'v'} 4:1");
    api_expect(c, 1, "KV/Txn", "2:{1:{1:'k' 9:1 7:1}}", "2:1 3:{1:{1:{3:2} 4:1}}");
    api_expect_error(c, 1, "KV/Range", "1:'k'", RPC_UNAVAILABLE,
                     "etcdserver: request timed out, possibly due to previous leader failure");
    api_expect_error(c, 1, "KV/Put", "1:'k'", RPC_UNAVAILABLE, "etcdserver: no leader");
    struct rpc_call *call = api_call(c, 1, "KV/Range", hasleader);
    api_message(call, "1:'k' 7:1");
    api_assert_status(call, RPC_UNAVAILABLE, "etcdserver: no leader");
    assert_string_equal(call->remark, reason);
    api_close(c, call);
    api_member_start(c, 0);
    (void)api_cluster_leader(c);
    expect_remark(c, 1, "KV/Range", "1:'k' 7:1", "");
    api_expect(c, 1, "KV/Range", "1:'k' 9:1", "4:1");
}

static void forgets_clients_that_leave(void **state)
{
    struct api_cluster *c = *state;
    static const char *const requests[][2] = {
        {"KV/Put", "1:'k' 2:'v'"}, {"KV/Range", "1:'k'"}, {"Lease/LeaseTimeToLive", "1:1"}};
    for (size_t i = 0; i < COUNT_OF(requests); i++) {
        for (uint32_t k = 0; k < 3; k++) {
            struct rpc_call *call = api_call(c, k, requests[i][0], NULL);
            api_message(call, requests[i][1]);
            api_close(c, call);
        }
    }
    api_cluster_run(c, NANOS_PER_S);
    api_expect(c, 0, "KV/Range", "1:'k' 9:1", "4:1");
}

static struct rpc_call *traced(struct api_cluster *c, uint32_t i, const char *method,
                               const char *request)
{
    struct rpc_call *call = api_call(c, i, method, NULL);
    call->is_traced = true;
    api_message(call, request);
    fake_call_half_close(call);
    api_wait(c, call);
    assert_int_equal(call->status, RPC_OK);
    return call;
}

static void tells_the_stages_of_calls_that_are_traced(void **state)
{
    struct api_cluster *c = *state;
    static const char *const stages[] = {"raft.propose", "raft.commit", "store.apply"};
    for (uint32_t i = 0; i < 3; i++) {
        struct rpc_call *call = traced(c, i, "KV/Put", "1:'k' 2:'v'");
        assert_int_equal(call->stage_count, COUNT_OF(stages));
        for (size_t k = 0; k < COUNT_OF(stages); k++) {
            assert_string_equal(call->stages[k].name, stages[k]);
            assert_true(call->stages[k].begin <= call->stages[k].end);
            assert_true(k == 0 || call->stages[k].begin == call->stages[k - 1].end);
        }
        assert_true(call->stages[1].begin < call->stages[1].end);
        api_close(c, call);
        call = traced(c, i, "KV/Range", "1:'k'");
        assert_int_equal(call->stage_count, 1);
        assert_string_equal(call->stages[0].name, "raft.read_index");
        assert_true(call->stages[0].begin < call->stages[0].end);
        api_close(c, call);
        call = traced(c, i, "KV/Range", "1:'k' 7:1");
        assert_int_equal(call->stage_count, 0);
        api_close(c, call);
    }
    struct rpc_call *call = api_unary(c, 0, "KV/Put", "1:'k' 2:'v'");
    assert_int_equal(call->stage_count, 0); /* nobody asked */
    api_close(c, call);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(puts_gets_and_deletes_like_etcd, solo_setup,
                                        cluster_teardown),
        cmocka_unit_test_setup_teardown(answers_txns_like_etcd, solo_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(refuses_in_the_words_of_etcd, solo_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(refuses_a_put_that_is_too_large, solo_setup,
                                        cluster_teardown),
        cmocka_unit_test_setup_teardown(reads_long_ranges_in_turns, solo_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(serves_reads_and_writes_on_every_member, trio_setup,
                                        cluster_teardown),
        cmocka_unit_test_setup_teardown(without_a_quorum_serves_serializable_reads_alone,
                                        trio_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(forgets_clients_that_leave, trio_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(tells_the_stages_of_calls_that_are_traced, trio_setup,
                                        cluster_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
