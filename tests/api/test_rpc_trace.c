/* How long calls take, and calls as spans: counted by the server's clock, which the test moves. */
#include "tests/support/test.h"

#include <string.h>

#include "core/monitoring/trace.h"
#include "tests/support/rpc_peer.h"

#define TRACE  "0af7651916cd43dd8448eb211c80319c"
#define SPAN   "b7ad6b7169203331"
#define PARENT "00-" TRACE "-" SPAN "-01"

#define SPANS_MAX 64

struct watched {
    struct rpc_peer peer;
    struct tracer tracer;
    struct trace_span spans[SPANS_MAX];
    size_t span_count;
};

static nanos watched_clock(void *ctx)
{
    const struct watched *w = ctx;
    return w->peer.now;
}

static void watched_take(void *ctx, const struct trace_span *span)
{
    struct watched *w = ctx;
    assert_true(w->span_count < SPANS_MAX);
    w->spans[w->span_count++] = *span;
}

static void watched_open(struct watched *w, double ratio)
{
    const struct trace_sink sink = {.ctx = w, .take = watched_take};
    memset(w, 0, sizeof *w);
    peer_open(&w->peer, NULL);
    tracer_init(&w->tracer, &sink, 11, ratio);
    w->peer.server.config.clock = watched_clock;
    w->peer.server.config.clock_ctx = w;
    w->peer.server.config.tracer = &w->tracer;
}

static struct peer_reply *watched_call(struct watched *w, const char *path,
                                       const char *const *headers)
{
    struct buf body = {.data = NULL};
    peer_put_message(&body, "hello", 5);
    struct peer_reply *reply = peer_request(&w->peer, path, headers, buf_view(&body), true);
    buf_deinit(&body);
    return reply;
}

static const char *attribute(const struct trace_span *span, const char *key)
{
    for (uint32_t i = 0; i < span->attribute_count; i++) {
        if (strcmp(span->attributes[i].key, key) == 0) {
            return span->attributes[i].text;
        }
    }
    return NULL;
}

static void counts_how_long_calls_take(void **state)
{
    (void)state;
    struct watched w;
    watched_open(&w, 0);
    size_t never = 0;
    while (strcmp(echo_methods[never]->path, "/test.Echo/Never") != 0) {
        never++;
    }
    const struct rpc_method_counters *c = rpc_server_method_counters(&w.peer.server, never);
    (void)watched_call(&w, "/test.Echo/Never", NULL);
    peer_advance(&w.peer, 3 * NANOS_PER_MS);
    echo_answer_all(&w.peer.log);
    peer_pump(&w.peer);
    (void)watched_call(&w, "/test.Echo/Never", NULL);
    peer_advance(&w.peer, 20 * NANOS_PER_S);
    echo_answer_all(&w.peer.log);
    peer_pump(&w.peer);
    uint64_t all = 0;
    for (size_t i = 0; i < RPC_TIME_BUCKETS; i++) {
        bool is_first =
            (RPC_TIME_FIRST << i) / 2 < 3 * NANOS_PER_MS && 3 * NANOS_PER_MS <= RPC_TIME_FIRST << i;
        bool is_second = i + 1 == RPC_TIME_BUCKETS;
        assert_int_equal(c->times[i], is_first || is_second ? 1 : 0);
        all += c->times[i];
    }
    assert_int_equal(all, 2);
    assert_true(c->time_sum == 20 * NANOS_PER_S + 3 * NANOS_PER_MS);
    peer_close(&w.peer);
}

static void makes_a_span_of_a_call_that_is_traced(void **state)
{
    (void)state;
    static const char *const headers[] = {"traceparent", PARENT, NULL};
    struct watched w;
    watched_open(&w, 0);
    (void)watched_call(&w, "/test.Echo/Unary", NULL);
    assert_int_equal(w.span_count, 0);
    struct peer_reply *reply = watched_call(&w, "/test.Echo/Unary", headers);
    assert_int_equal(reply->grpc_status, 0);
    assert_int_equal(w.span_count, 1);
    const struct trace_span *s = &w.spans[0];
    assert_string_equal(s->name, "test.Echo/Unary");
    assert_int_equal(s->kind, TRACE_SERVER);
    assert_int_equal(s->status, TRACE_UNSET);
    assert_true(s->trace.hi == 0x0af7651916cd43ddULL && s->parent == 0xb7ad6b7169203331ULL);
    assert_string_equal(attribute(s, "rpc.service"), "test.Echo");
    assert_string_equal(attribute(s, "rpc.method"), "Unary");
    assert_true(s->begin == w.peer.now && s->end == w.peer.now);
    peer_close(&w.peer);
}

static void tells_the_stages_of_a_call(void **state)
{
    (void)state;
    static const char *const headers[] = {"traceparent", PARENT, NULL};
    struct watched w;
    watched_open(&w, 0);
    (void)watched_call(&w, "/test.Echo/Never", headers);
    (void)watched_call(&w, "/test.Echo/Never", NULL);
    nanos begin = w.peer.now;
    peer_advance(&w.peer, 10 * NANOS_PER_MS);
    for (size_t i = 0; i < w.peer.log.waiting_count; i++) {
        struct rpc_call *call = w.peer.log.waiting[i];
        assert_int_equal(rpc_is_traced(call), i == 0);
        for (int k = 0; k < 2 * RPC_STAGES_MAX; k++) {
            rpc_stage(call, "stage", begin, begin + NANOS_PER_MS);
        }
    }
    echo_answer_all(&w.peer.log);
    peer_pump(&w.peer);
    assert_int_equal(w.span_count, RPC_STAGES_MAX + 1);
    const struct trace_span *call = &w.spans[RPC_STAGES_MAX];
    assert_int_equal(call->kind, TRACE_SERVER);
    for (size_t i = 0; i < RPC_STAGES_MAX; i++) {
        assert_true(w.spans[i].parent == call->id && w.spans[i].trace.lo == call->trace.lo);
        assert_true(w.spans[i].begin >= call->begin && w.spans[i].end <= call->end);
        assert_int_equal(w.spans[i].kind, TRACE_INTERNAL);
    }
    peer_close(&w.peer);
}

static void says_how_a_call_failed(void **state)
{
    (void)state;
    static const char *const headers[] = {"traceparent", PARENT, NULL};
    struct watched w;
    watched_open(&w, 0);
    (void)watched_call(&w, "/test.Echo/Fail", headers); /* FAILED_PRECONDITION: an answer */
    (void)watched_call(&w, "/test.Echo/FailLate", headers);
    struct peer_reply *left = watched_call(&w, "/test.Echo/Never", headers);
    peer_cancel(&w.peer, left);
    assert_int_equal(w.span_count, 3);
    assert_int_equal(w.spans[0].status, TRACE_UNSET);
    assert_int_equal(w.spans[1].status, TRACE_ERROR);
    assert_true(w.spans[1].message[0] != '\0');
    assert_int_equal(w.spans[2].status, TRACE_UNSET); /* the client went */
    peer_close(&w.peer);
}

static void ignores_parents_that_are_none_or_two(void **state)
{
    (void)state;
    static const char *const bad[] = {"traceparent", PARENT "-x", NULL};
    static const char *const two[] = {"traceparent", PARENT, "traceparent", PARENT, NULL};
    static const char *const unsampled[] = {"traceparent", "00-" TRACE "-" SPAN "-00", NULL};
    struct watched w;
    watched_open(&w, 0);
    (void)watched_call(&w, "/test.Echo/Unary", bad);
    (void)watched_call(&w, "/test.Echo/Unary", two);
    (void)watched_call(&w, "/test.Echo/Unary", unsampled);
    assert_int_equal(w.span_count, 0);
    assert_int_equal(w.tracer.malformed, 2);
    peer_close(&w.peer);
    watched_open(&w, 1);
    (void)watched_call(&w, "/test.Echo/Unary", bad);
    (void)watched_call(&w, "/test.Echo/Unary", two);
    assert_int_equal(w.span_count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_true(w.spans[i].parent == 0 && w.spans[i].trace.hi != 0x0af7651916cd43ddULL);
    }
    peer_close(&w.peer);
}

static void traces_calls_that_come_as_json(void **state)
{
    (void)state;
    static const char *const headers[] = {":method",     "POST", ":scheme", "http",
                                          ":authority",  "x",    ":path",   "/v3/test/unary",
                                          "traceparent", PARENT, NULL};
    struct watched w;
    watched_open(&w, 0);
    static const char body[] = "{}";
    struct peer_reply *reply = peer_request_headers(
        &w.peer, headers, (struct bytes){(const uint8_t *)body, sizeof body - 1}, true);
    assert_int_equal(reply->http_status, 200);
    assert_int_equal(w.span_count, 1);
    assert_string_equal(attribute(&w.spans[0], "novacron.encoding"), "json");
    peer_close(&w.peer);
}

static void forgets_nothing_of_calls_that_end_with_their_connection(void **state)
{
    (void)state;
    static const char *const headers[] = {"traceparent", PARENT, NULL};
    struct watched w;
    watched_open(&w, 0);
    (void)watched_call(&w, "/test.Echo/Never", headers);
    (void)watched_call(&w, "/test.Echo/Open", headers);
    peer_close(&w.peer);
    assert_int_equal(w.span_count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_how_long_calls_take),
        cmocka_unit_test(makes_a_span_of_a_call_that_is_traced),
        cmocka_unit_test(tells_the_stages_of_a_call),
        cmocka_unit_test(says_how_a_call_failed),
        cmocka_unit_test(ignores_parents_that_are_none_or_two),
        cmocka_unit_test(traces_calls_that_come_as_json),
        cmocka_unit_test(forgets_nothing_of_calls_that_end_with_their_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
