/* KV.RangeStream: its parts, put together, are what Range answers; and what a client that does not
 * read costs. */
#include <stdio.h>
#include <string.h>

#include "api/etcd/etcd_int.h"
#include "core/base/mem.h"
#include "core/store/store_pb.h"
#include "tests/api/api_cluster.h"
#include "tests/support/pb_text.h"
#include "tests/support/test.h"

#define KEYS       5000
#define VALUE_LEN  1000
#define PUTS_A_TXN 100
#define PART_MAX   (512 * 1024)
#define STREAMS    40
#define STEP_MAX   (1024 * 1024) /* of a thousand keys */

static int loaded_setup(void **state)
{
    static struct api_cluster c;
    api_cluster_init(&c, 11, 1);
    api_cluster_start(&c);
    uint8_t value[VALUE_LEN];
    memset(value, 'v', sizeof(value));
    for (size_t i = 0; i < KEYS; i += PUTS_A_TXN) {
        struct buf txn;
        buf_init(&txn);
        for (size_t k = i; k < i + PUTS_A_TXN; k++) {
            char key[16];
            size_t len = (size_t)snprintf(key, sizeof(key), "k%05zu", k);
            struct store_put_request put = {.key = {(const uint8_t *)key, len},
                                            .value = {value, 1 + k % VALUE_LEN}};
            size_t op = store_pb_open(&txn, 2);
            size_t request = store_pb_open(&txn, 2);
            store_put_encode(&txn, &put);
            store_pb_close(&txn, request);
            store_pb_close(&txn, op);
        }
        struct rpc_call *call = api_call(&c, 0, "KV/Txn", NULL);
        fake_call_message(call, buf_view(&txn));
        api_wait(&c, call);
        api_assert_status(call, RPC_OK, "");
        api_close(&c, call);
        buf_deinit(&txn);
    }
    *state = &c;
    return 0;
}

static int loaded_teardown(void **state)
{
    api_cluster_deinit(*state);
    return 0;
}

/* The RangeResponse in a part. */
static struct bytes part_of(const struct rpc_call *call, size_t i)
{
    struct store_pb pb;
    struct store_pb_field f;
    store_pb_init(&pb, fake_call_answer(call, i));
    assert_true(store_pb_next(&pb, &f));
    assert_int_equal(f.number, 1);
    struct bytes part = f.bytes;
    assert_false(store_pb_next(&pb, &f));
    return part;
}

static bool has_field(struct bytes message, uint32_t number)
{
    struct store_pb pb;
    struct store_pb_field f;
    store_pb_init(&pb, message);
    while (store_pb_next(&pb, &f)) {
        if (f.number == number) {
            return true;
        }
    }
    return false;
}

/* The fields 2 and up of all parts, one after the other, which is what merging makes of them. */
static void merge(const struct rpc_call *call, struct buf *ret)
{
    for (size_t i = 0; i < call->count; i++) {
        struct bytes part = part_of(call, i);
        bool is_last = i + 1 == call->count;
        assert_true(fake_call_answer(call, i).len <= PART_MAX);
        assert_true(has_field(part, 1) == is_last);
        assert_true(is_last || (has_field(part, 2) && !has_field(part, 3) && !has_field(part, 4)));
        struct store_pb pb;
        struct store_pb_field f;
        store_pb_init(&pb, part);
        while (store_pb_next(&pb, &f)) {
            if (f.number == 2) {
                store_pb_put_bytes(ret, 2, f.bytes);
            } else if (f.number > 2) {
                store_pb_put_u64(ret, f.number, f.value);
            }
        }
    }
}

/* The same of what Range answered. */
static void unary(const struct rpc_call *call, struct buf *ret)
{
    struct store_pb pb;
    struct store_pb_field f;
    store_pb_init(&pb, fake_call_answer(call, 0));
    while (store_pb_next(&pb, &f)) {
        if (f.number == 2) {
            store_pb_put_bytes(ret, 2, f.bytes);
        } else if (f.number > 2) {
            store_pb_put_u64(ret, f.number, f.value);
        }
    }
}

static void assert_same(const struct buf *a, const struct buf *b)
{
    assert_int_equal(a->len, b->len);
    assert_true(a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

static void merged_parts_are_what_range_answers(void **state)
{
    static const char *const requests[] = {
        "1:'k' 2:'l'",
        "1:'k' 2:'l' 7:1",    /* serializable */
        "1:'k' 2:'l' 3:1777", /* limit */
        "1:'k' 2:'l' 3:5000",
        "1:'k' 2:'l' 8:1",  /* keys only */
        "1:'k' 2:'l' 9:1",  /* count only */
        "1:'k' 2:'l' 4:20", /* a revision of the past */
        "1:'k' 2:'l' 4:20 3:7",
        "1:'k' 2:'l' 5:2 6:0",        /* keys, descending */
        "1:'k' 2:'l' 5:2 6:4 3:1200", /* by value, descending */
        "1:'k' 2:'l' 10:10 11:30",    /* modified between */
        "1:'k' 2:'l' 12:45 8:1",
        "1:'k00042'",
        "1:'k00042' 2:'\\0'",
        "1:'nobody'",
        "1:'l' 2:'m'",
        "1:'z' 2:'a'",
    };
    struct api_cluster *c = *state;
    for (size_t i = 0; i < COUNT_OF(requests); i++) {
        struct rpc_call *whole = api_unary(c, 0, "KV/Range", requests[i]);
        struct rpc_call *parts = api_unary(c, 0, "KV/RangeStream", requests[i]);
        api_assert_status(whole, RPC_OK, "");
        api_assert_status(parts, RPC_OK, "");
        struct buf merged, answer;
        buf_init(&merged);
        buf_init(&answer);
        merge(parts, &merged);
        unary(whole, &answer);
        assert_same(&merged, &answer);
        struct bytes last = part_of(parts, parts->count - 1);
        for (uint32_t field = 1; field <= 4; field++) {
            assert_int_equal(api_header(last, field),
                             api_header(fake_call_answer(whole, 0), field));
        }
        buf_deinit(&merged);
        buf_deinit(&answer);
        api_close(c, whole);
        api_close(c, parts);
    }
    struct rpc_call *parts = api_unary(c, 0, "KV/RangeStream", requests[0]);
    assert_true(parts->count > 5);
    api_close(c, parts);
}

static void refuses_what_range_refuses(void **state)
{
    static const struct api_refusal cases[] = {
        {"KV/RangeStream", "", 3, "etcdserver: key is not provided"},
        {"KV/RangeStream", "1:'k' 5:9", 3, "etcdserver: invalid sort option"},
        {"KV/RangeStream", "1:'k' 2:'l' 4:999", 11,
         "etcdserver: mvcc: required revision is a future revision"},
        {"KV/RangeStream", "1:'k' 2:'l' 4:3", 11,
         "etcdserver: mvcc: required revision has been compacted"},
        {"KV/RangeStream", "1:7", 13, "etcdserver: cannot decode the request"},
    };
    struct api_cluster *c = *state;
    api_expect(c, 0, "KV/Compact", "1:10", "");
    api_expect_refusals(c, 0, cases, COUNT_OF(cases));
}

/* A stream whose client has taken nothing of `room` bytes. */
static struct rpc_call *stream_without_room(struct api_cluster *c, size_t room)
{
    struct rpc_call *call = api_call(c, 0, "KV/RangeStream", NULL);
    call->high_mark = room;
    api_message(call, "1:'k' 2:'l'");
    fake_call_half_close(call);
    api_cluster_run(c, NANOS_PER_S);
    assert_false(call->is_finished);
    return call;
}

static void builds_no_part_before_there_is_room_for_it(void **state)
{
    struct api_cluster *c = *state;
    struct rpc_call *call = stream_without_room(c, 600 * 1024);
    assert_int_equal(call->count, 3);
    size_t before;
    do {
        before = call->count;
        fake_call_drain(call);
        api_cluster_run(c, NANOS_PER_S);
        assert_true(call->count <= before + 3);
    } while (!call->is_finished);
    api_assert_status(call, RPC_OK, "");
    assert_int_equal(api_number(part_of(call, call->count - 1), 4), KEYS);
    api_close(c, call);
}

static void parts_are_of_one_revision_while_writes_go_on(void **state)
{
    struct api_cluster *c = *state;
    struct rpc_call *call = stream_without_room(c, 0);
    api_expect(c, 0, "KV/DeleteRange", "1:'k' 2:'k04000'", "2:4000");
    api_expect(c, 0, "KV/Put", "1:'k04500' 2:'new'", "");
    while (!call->is_finished) {
        fake_call_drain(call);
        api_cluster_run(c, NANOS_PER_MS);
    }
    struct buf merged;
    buf_init(&merged);
    merge(call, &merged);
    struct rpc_call *whole = api_unary(c, 0, "KV/Range", "1:'k' 2:'l' 4:51");
    struct buf answer;
    buf_init(&answer);
    unary(whole, &answer);
    assert_same(&merged, &answer);
    assert_int_equal(api_header(part_of(call, call->count - 1), 3), 1 + KEYS / PUTS_A_TXN);
    buf_deinit(&merged);
    buf_deinit(&answer);
    api_close(c, whole);
    api_close(c, call);
}

static void compaction_ends_a_stream_whose_client_does_not_read(void **state)
{
    struct api_cluster *c = *state;
    struct rpc_call *reads = stream_without_room(c, 0);
    struct rpc_call *sleeps = stream_without_room(c, 0);
    api_expect(c, 0, "KV/Put", "1:'k' 2:'x'", "");
    api_expect(c, 0, "KV/Compact", "1:52", "");
    while (!reads->is_finished) {
        fake_call_drain(reads);
        api_cluster_run(c, NANOS_PER_MS / 4);
    }
    api_assert_status(reads, RPC_OK, "");
    assert_int_equal(api_number(part_of(reads, reads->count - 1), 4), KEYS);
    api_wait(c, sleeps);
    api_assert_status(sleeps, RPC_OUT_OF_RANGE,
                      "etcdserver: mvcc: required revision has been compacted");
    api_close(c, reads);
    api_close(c, sleeps);
}

/* Others on its connection leave no room to a stream that has sent nothing yet. */
static void compaction_ends_a_stream_whose_connection_has_no_room(void **state)
{
    struct api_cluster *c = *state;
    struct rpc_call *call = api_call(c, 0, "KV/RangeStream", NULL);
    call->queued = 1;
    call->high_mark = 0;
    api_message(call, "1:'k' 2:'l' 7:1 8:1");
    api_cluster_run(c, NANOS_PER_S);
    assert_false(call->is_finished);
    api_expect(c, 0, "KV/Put", "1:'k' 2:'x'", "");
    api_expect(c, 0, "KV/Compact", "1:52", "");
    api_wait(c, call);
    api_assert_status(call, RPC_OUT_OF_RANGE,
                      "etcdserver: mvcc: required revision has been compacted");
    api_close(c, call);
}

static size_t streams_queued(struct rpc_call *const *calls, size_t n)
{
    size_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += calls[i]->queued;
    }
    return sum;
}

static void many_streams_share_what_a_turn_may_send(void **state)
{
    struct api_cluster *c = *state;
    struct rpc_call *calls[STREAMS];
    for (size_t i = 0; i < STREAMS; i++) {
        calls[i] = api_call(c, 0, "KV/RangeStream", NULL);
        calls[i]->high_mark = SIZE_MAX;
        api_message(calls[i], "1:'k' 2:'l' 7:1");
    }
    size_t before = 0;
    while (streams_queued(calls, STREAMS) > before || before == 0) {
        for (nanos end = simworld_now(c->sim) + NANOS_PER_MS; simworld_now(c->sim) < end;) {
            assert_true(streams_queued(calls, STREAMS) - before <= ETCD_TURN_BYTES + STEP_MAX);
            before = streams_queued(calls, STREAMS);
            assert_true(simworld_step(c->sim));
        }
    }
    for (size_t i = 0; i < STREAMS; i++) {
        assert_true(calls[i]->is_finished);
        api_wait(c, calls[i]);
        api_assert_status(calls[i], RPC_OK, "");
        api_close(c, calls[i]);
    }
}

static void ends_when_the_store_is_replaced(void **state)
{
    struct api_cluster *c = *state;
    struct rpc_call *waits = stream_without_room(c, 0);
    struct rpc_call *runs = api_call(c, 0, "KV/RangeStream", NULL);
    api_message(runs, "1:'k' 2:'l' 7:1");
    assert_false(runs->is_finished);
    etcd_api_store_leaves(c->member[0].api);
    api_assert_status(waits, RPC_OUT_OF_RANGE,
                      "etcdserver: mvcc: required revision has been compacted");
    api_assert_status(runs, RPC_OUT_OF_RANGE,
                      "etcdserver: mvcc: required revision has been compacted");
    fake_call_turn(waits);
    fake_call_turn(runs);
    api_close(c, waits);
    api_close(c, runs);
}

static void forgets_a_client_that_leaves(void **state)
{
    struct api_cluster *c = *state;
    api_close(c, stream_without_room(c, 0));
    struct rpc_call *runs = api_call(c, 0, "KV/RangeStream", NULL);
    api_message(runs, "1:'k' 2:'l' 7:1");
    api_close(c, runs);
    /* Nothing holds back what compaction frees. */
    api_expect(c, 0, "KV/DeleteRange", "1:'k' 2:'l'", "2:5000");
    api_expect(c, 0, "KV/Put", "1:'k' 2:'x'", "");
    api_expect(c, 0, "KV/Compact", "1:53", "");
    api_cluster_run(c, NANOS_PER_S);
    struct store_stats stats;
    store_stats_read(node_store(c->member[0].node), &stats);
    assert_int_equal(stats.reclaimable, 0);
    assert_true(stats.used_bytes < 1024 * 1024);
}

int main(void)
{
#define LOADED(test) cmocka_unit_test_setup_teardown(test, loaded_setup, loaded_teardown)
    const struct CMUnitTest tests[] = {
        LOADED(merged_parts_are_what_range_answers),
        LOADED(refuses_what_range_refuses),
        LOADED(builds_no_part_before_there_is_room_for_it),
        LOADED(parts_are_of_one_revision_while_writes_go_on),
        LOADED(compaction_ends_a_stream_whose_client_does_not_read),
        LOADED(compaction_ends_a_stream_whose_connection_has_no_room),
        LOADED(many_streams_share_what_a_turn_may_send),
        LOADED(ends_when_the_store_is_replaced),
        LOADED(forgets_a_client_that_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
