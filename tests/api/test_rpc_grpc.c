/* gRPC over HTTP/2: how calls are framed, answered and refused. */
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

#include "core/base/mem.h"
#include "tests/support/rpc_peer.h"

static const struct bytes empty = {NULL, 0};

static struct bytes view_of(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static struct peer_reply *call_with(struct rpc_peer *peer, const char *path, const char *payload)
{
    struct buf body = {.data = NULL};
    peer_put_message(&body, payload, strlen(payload));
    struct peer_reply *reply = peer_request(peer, path, NULL, buf_view(&body), true);
    buf_deinit(&body);
    return reply;
}

static void answers_a_unary_call_with_a_message_and_trailers(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open(&peer, NULL);
    struct peer_reply *reply = call_with(&peer, "/test.Echo/Unary", "hello");
    assert_int_equal(reply->http_status, 200);
    assert_string_equal(reply->content_type, "application/grpc");
    assert_int_equal(reply->grpc_status, 0);
    assert_int_equal(reply->blocks, 2);
    assert_true(reply->ended && !reply->was_reset);
    assert_true(peer_has_messages(reply, 1, (const char *const[]){"hello"}));
    assert_int_equal(peer.log.begun, 1);
    assert_int_equal(peer.log.messages, 1);
    assert_int_equal(peer.log.gone, 1);
    assert_int_equal(peer.server.counters.calls_open, 0);
    peer_close(&peer);
}

static void takes_a_message_in_pieces_of_any_size(void **state)
{
    (void)state;
    for (size_t chunk = 1; chunk <= 40; chunk++) {
        struct rpc_peer peer;
        peer_open(&peer, NULL);
        peer.input_chunk = chunk;
        struct peer_reply *reply = call_with(&peer, "/test.Echo/Unary", "in many small pieces");
        assert_true(peer_has_messages(reply, 1, (const char *const[]){"in many small pieces"}));
        assert_int_equal(peer.conn->partial_bytes, 0);
        assert_int_equal(peer.conn->half_calls, 0);
        peer_close(&peer);
    }
}

static void takes_a_message_that_spans_frames(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open(&peer, NULL);
    struct peer_reply *reply = peer_request(&peer, "/test.Echo/Unary", NULL, empty, false);
    struct buf body = {.data = NULL};
    peer_put_message(&body, "abcdef", 6);
    for (size_t i = 0; i < body.len; i++) {
        assert_int_equal(peer.log.messages, 0);
        peer_more(&peer, reply, (struct bytes){body.data + i, 1}, false);
    }
    peer_more(&peer, reply, empty, true);
    assert_true(peer_has_messages(reply, 1, (const char *const[]){"abcdef"}));
    assert_int_equal(reply->grpc_status, 0);
    buf_deinit(&body);
    peer_close(&peer);
}

static void takes_messages_that_share_a_frame(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open(&peer, NULL);
    struct buf body = {.data = NULL};
    peer_put_message(&body, "one", 3);
    peer_put_message(&body, "", 0);
    peer_put_message(&body, "three", 5);
    buf_put(&body, "\0\0\0\0\4fo", 7); /* and a part of the fourth */
    struct peer_reply *reply = peer_request(&peer, "/test.Echo/Bidi", NULL, buf_view(&body), false);
    assert_true(peer_has_messages(reply, 3, (const char *const[]){"one", "", "three"}));
    peer_more(&peer, reply, view_of("ur"), true);
    assert_true(peer_has_messages(reply, 4, (const char *const[]){"one", "", "three", "four"}));
    assert_int_equal(reply->grpc_status, 0);
    buf_deinit(&body);
    peer_close(&peer);
}

static void answers_an_empty_message_with_an_empty_message(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open(&peer, NULL);
    struct peer_reply *reply = call_with(&peer, "/test.Echo/Unary", "");
    assert_true(peer_has_messages(reply, 1, (const char *const[]){""}));
    assert_int_equal(reply->grpc_status, 0);
    peer_close(&peer);
}

static void answers_while_the_client_still_talks(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open(&peer, NULL);
    struct buf body = {.data = NULL};
    peer_put_message(&body, "ping", 4);
    struct peer_reply *reply = peer_request(&peer, "/test.Echo/Open", NULL, buf_view(&body), false);
    assert_true(peer_has_messages(reply, 1, (const char *const[]){"ping"}));
    assert_false(reply->ended);
    peer_more(&peer, reply, buf_view(&body), true);
    assert_true(peer_has_messages(reply, 2, (const char *const[]){"ping", "ping"}));
    assert_int_equal(peer.log.half_closed, 1);
    assert_false(reply->ended);
    buf_deinit(&body);
    peer_close(&peer);
    assert_int_equal(peer.log.gone, 1);
}

static void streams_several_messages_to_one_request(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open(&peer, NULL);
    struct peer_reply *reply = call_with(&peer, "/test.Echo/Stream", "x");
    assert_true(peer_has_messages(reply, 3, (const char *const[]){"x", "x", "x"}));
    assert_int_equal(reply->grpc_status, 0);
    peer_close(&peer);
}

static void answers_a_failure_with_trailers_alone(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open(&peer, NULL);
    struct peer_reply *reply = call_with(&peer, "/test.Echo/Fail", "");
    assert_int_equal(reply->http_status, 200);
    assert_int_equal(reply->grpc_status, 9);
    assert_int_equal(reply->blocks, 1);
    assert_true(reply->ended);
    assert_int_equal(reply->data.len, 0);
    assert_string_equal(reply->message, "50 %25 of it is no good: %C3%BC%0A");
    peer_close(&peer);
}

/* etcdctl 3.4 says where it goes as a URL, clientv3 3.5.0 by what it was given first. */
static void takes_an_authority_that_is_none(void **state)
{
    (void)state;
    static const char *const authorities[] = {"http://127.0.0.1:2379", "https://[::1]:2379",
                                              "#initially=[127.0.0.1:2379;127.0.0.1:22379]"};
    struct rpc_peer peer;
    peer_open(&peer, NULL);
    struct buf body = {.data = NULL};
    peer_put_message(&body, "x", 1);
    for (size_t i = 0; i < COUNT_OF(authorities); i++) {
        const char *const headers[] = {
            ":method",    "POST",         ":scheme", "http",     ":path",        "/test.Echo/Unary",
            ":authority", authorities[i], "te",      "trailers", "content-type", "application/grpc",
            NULL};
        struct peer_reply *reply = peer_request_headers(&peer, headers, buf_view(&body), true);
        assert_true(peer_has_messages(reply, 1, (const char *const[]){"x"}));
        assert_int_equal(reply->grpc_status, 0);
    }
    buf_deinit(&body);
    peer_close(&peer);
}

/* grpc-go closes with a GOAWAY whose last stream cannot be. */
static void bears_the_farewell_of_a_client(void **state)
{
    (void)state;
    static const uint8_t farewell[] = {0x7F, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0};
    struct rpc_peer peer;
    peer_open(&peer, NULL);
    struct peer_reply *reply = peer_request(&peer, "/test.Echo/Open", NULL, empty, false);
    struct buf frame = {.data = NULL};
    peer_put_frame(&frame, NGHTTP2_GOAWAY, 0, 0, farewell, sizeof farewell);
    peer_raw(&peer, frame.data, frame.len);
    buf_deinit(&frame);
    assert_false(reply->grpc_status > 0);
    peer_close(&peer);
    assert_int_equal(peer.log.gone, peer.log.begun);
}

static void puts_a_remark_among_the_trailers(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        unsigned block;
    } cases[] = {{"/test.Echo/Unary", 2},
                 {"/test.Echo/Stream", 2},
                 {"/test.Echo/Fail", 1},
                 {"/test.Echo/FailLate", 2}};
    struct rpc_peer peer;
    peer_open(&peer, NULL);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        peer.log.remark = "no leader; 1 of 3";
        struct peer_reply *reply = call_with(&peer, cases[i].path, "x");
        assert_string_equal(reply->remark, "no leader; 1 of 3");
        assert_int_equal(reply->remark_block, cases[i].block);
        peer.log.remark = NULL; /* the call's memory is used again */
        reply = call_with(&peer, cases[i].path, "x");
        assert_string_equal(reply->remark, "");
    }
    char longest[2 * RPC_REMARK_MAX];
    memset(longest, 'x', sizeof longest);
    memcpy(longest, "\xC3\xBC\r\n", 4);
    longest[sizeof longest - 1] = '\0';
    peer.log.remark = longest;
    struct peer_reply *reply = call_with(&peer, "/test.Echo/Unary", "x");
    assert_int_equal(strlen(reply->remark), RPC_REMARK_MAX);
    assert_int_equal(strncmp(reply->remark, "????xxx", 7), 0);
    peer_close(&peer);
}

static void answers_a_late_failure_behind_what_was_sent(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open(&peer, NULL);
    struct peer_reply *reply = call_with(&peer, "/test.Echo/FailLate", "x");
    assert_true(peer_has_messages(reply, 1, (const char *const[]){"x"}));
    assert_int_equal(reply->grpc_status, 14);
    assert_string_equal(reply->message, "etcdserver: no leader");
    peer_close(&peer);
}

static void refuses_methods_that_it_does_not_know(void **state)
{
    (void)state;
    static const struct {
        const char *path, *message;
    } cases[] = {
        {"/test.Echo/Nope", "unknown method Nope for service test.Echo"},
        {"/nope.Nope/Nope", "unknown service nope.Nope"},
        {"/nope", "malformed method name: /nope"},
        {"/version", "malformed method name: /version"},
        {"*", "malformed method name: *"},
    };
    struct rpc_peer peer;
    peer_open(&peer, NULL);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct peer_reply *reply = call_with(&peer, cases[i].path, "x");
        assert_int_equal(reply->http_status, 200);
        assert_int_equal(reply->grpc_status, 12);
        if (strcmp(cases[i].path, "/version") != 0) {
            assert_string_equal(reply->message, cases[i].message);
        }
    }
    char path[12001] = "/";
    memset(path + 1, '%', 12000 - 1);
    struct peer_reply *reply = call_with(&peer, path, "x"); /* which is not sent back threefold */
    assert_int_equal(reply->grpc_status, 12);
    assert_int_equal(strncmp(reply->message, "malformed method name: /%25%25", 30), 0);
    assert_int_equal(reply->message_len, 24 + (1024 - 24) * 3);
    assert_int_equal(peer.log.begun, 0);
    assert_int_equal(peer.server.counters.calls_refused, COUNT_OF(cases) + 1);
    peer_close(&peer);
}

static void refuses_gzip_and_says_what_it_takes(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open(&peer, NULL);
    const char *const gzip[] = {"grpc-encoding", "gzip", NULL};
    struct peer_reply *reply =
        peer_request(&peer, "/test.Echo/Unary", gzip, view_of("\1\0\0\0"), true);
    assert_int_equal(reply->grpc_status, 12);
    assert_string_equal(reply->message,
                        "grpc: Decompressor is not installed for grpc-encoding \"gzip\"");
    assert_string_equal(reply->accept_encoding, "identity");
    const char *const identity[] = {"grpc-encoding", "identity", NULL};
    struct buf body = {.data = NULL};
    peer_put_message(&body, "x", 1);
    reply = peer_request(&peer, "/test.Echo/Unary", identity, buf_view(&body), true);
    assert_int_equal(reply->grpc_status, 0);
    body.data[0] = 1;
    reply = peer_request(&peer, "/test.Echo/Unary", NULL, buf_view(&body), true);
    assert_int_equal(reply->grpc_status, 13);
    buf_deinit(&body);
    peer_close(&peer);
}

static void refuses_a_message_above_the_limit_in_the_words_of_grpc(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open(&peer, NULL);
    size_t max = peer.config.limits.request_max_bytes;
    uint8_t *payload = mem_alloc_zero(max + 1);
    struct buf body = {.data = NULL};
    peer_put_message(&body, payload, max);
    struct peer_reply *reply = peer_request(&peer, "/test.Echo/Unary", NULL, buf_view(&body), true);
    assert_int_equal(reply->grpc_status, 0);
    assert_int_equal(reply->data.len, body.len);
    buf_clear(&body);
    peer_put_message(&body, payload, max + 1);
    reply = peer_request(&peer, "/test.Echo/Unary", NULL, buf_view(&body), true);
    assert_int_equal(reply->grpc_status, 8);
    assert_string_equal(reply->message,
                        "grpc: received message larger than max (2097153 vs. 2097152)");
    assert_int_equal(peer.conn->partial_bytes, 0);
    mem_free(payload);
    buf_deinit(&body);
    peer_close(&peer);
}

static void refuses_a_unary_call_without_exactly_one_message(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open(&peer, NULL);
    assert_int_equal(peer_request(&peer, "/test.Echo/Unary", NULL, empty, true)->grpc_status, 13);
    assert_int_equal(peer.log.messages, 0);
    struct buf body = {.data = NULL};
    peer_put_message(&body, "a", 1);
    peer_put_message(&body, "b", 1);
    assert_int_equal(
        peer_request(&peer, "/test.Echo/Never", NULL, buf_view(&body), true)->grpc_status, 13);
    assert_int_equal(peer.log.messages, 1);
    buf_put(&body, "\0\0\0", 3);
    assert_int_equal(
        peer_request(&peer, "/test.Echo/Bidi", NULL, buf_view(&body), true)->grpc_status, 13);
    assert_int_equal(peer.log.gone, peer.log.begun);
    buf_deinit(&body);
    peer_close(&peer);
}

static void ends_a_call_at_its_deadline(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open(&peer, NULL);
    const char *const timeout[] = {"grpc-timeout", "4977936u", NULL};
    struct buf body = {.data = NULL};
    peer_put_message(&body, "", 0);
    struct peer_reply *reply =
        peer_request(&peer, "/test.Echo/Never", timeout, buf_view(&body), true);
    assert_int_equal(peer.log.waiting_count, 1);
    assert_int_equal(rpc_deadline(peer.log.waiting[0]), peer.now + 4977936 * NANOS_PER_US);
    peer_advance(&peer, 4977935 * NANOS_PER_US);
    assert_false(reply->ended);
    peer_advance(&peer, NANOS_PER_US);
    assert_int_equal(reply->grpc_status, 4);
    assert_int_equal(peer.log.gone, 1);
    assert_int_equal(peer.log.waiting_count, 0);
    const char *const bad[] = {"grpc-timeout", "soon", NULL};
    reply = peer_request(&peer, "/test.Echo/Never", bad, buf_view(&body), true);
    assert_int_equal(reply->grpc_status, 13);
    buf_deinit(&body);
    peer_close(&peer);
}

/* Calls with random deadlines, of which some are canceled at random, end when theirs passes. */
static void end_in_order(struct prng *prng)
{
    struct rpc_peer peer;
    peer_open(&peer, NULL);
    struct buf body = {.data = NULL};
    peer_put_message(&body, "", 0);
    struct peer_reply *replies[64];
    nanos spans[COUNT_OF(replies)];
    bool canceled[COUNT_OF(replies)] = {false};
    for (size_t i = 0; i < COUNT_OF(replies); i++) {
        char text[16];
        spans[i] = prng_range(prng, 1, 200);
        snprintf(text, sizeof text, "%um", (unsigned)spans[i]);
        const char *const timeout[] = {"grpc-timeout", text, NULL};
        replies[i] = peer_request(&peer, "/test.Echo/Never", timeout, buf_view(&body), true);
    }
    for (size_t i = 0; i < COUNT_OF(replies) / 2; i++) {
        size_t which = (size_t)prng_below(prng, COUNT_OF(replies));
        if (!canceled[which]) {
            canceled[which] = true;
            peer_cancel(&peer, replies[which]);
        }
    }
    for (nanos t = 1; t <= 200; t++) {
        peer_advance(&peer, NANOS_PER_MS);
        for (size_t i = 0; i < COUNT_OF(replies); i++) {
            assert_int_equal(replies[i]->grpc_status, spans[i] <= t && !canceled[i] ? 4 : -1);
        }
    }
    assert_int_equal(peer.log.gone, COUNT_OF(replies));
    buf_deinit(&body);
    peer_close(&peer);
}

static void ends_calls_in_the_order_of_their_deadlines(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(20); round++) {
        end_in_order(&prng);
    }
}

static void tells_the_method_when_the_client_cancels(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open(&peer, NULL);
    struct buf body = {.data = NULL};
    peer_put_message(&body, "x", 1);
    struct peer_reply *reply = peer_request(&peer, "/test.Echo/Open", NULL, buf_view(&body), false);
    peer_cancel(&peer, reply);
    assert_int_equal(peer.log.gone, 1);
    assert_int_equal(peer.server.counters.calls_open, 0);
    /* Index 3 of the table is Open; a cancellation is counted as such. */
    assert_int_equal(rpc_server_method_counters(&peer.server, 3)->handled[RPC_CANCELED], 1);
    assert_int_equal(rpc_server_method_counters(&peer.server, 3)->open, 0);
    buf_deinit(&body);
    peer_close(&peer);
}

static void stops_a_client_that_talks_on_after_the_answer(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open(&peer, NULL);
    struct buf body = {.data = NULL};
    peer_put_message(&body, "", 0);
    struct peer_reply *reply = peer_request(&peer, "/test.Echo/Fail", NULL, buf_view(&body), false);
    assert_int_equal(reply->grpc_status, 9);
    assert_true(reply->ended && reply->was_reset);
    assert_int_equal(reply->reset_code, NGHTTP2_NO_ERROR);
    assert_int_equal(peer.server.counters.calls_open, 0);
    buf_deinit(&body);
    peer_close(&peer);
}

static void keeps_metadata_for_the_method(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open(&peer, NULL);
    const char *const extra[] = {"x-other", "1", "token", "abc.7", "token", "second", NULL};
    struct buf body = {.data = NULL};
    peer_put_message(&body, "", 0);
    (void)peer_request(&peer, "/test.Echo/Unary", extra, buf_view(&body), true);
    assert_string_equal(peer.log.token, "abc.7");
    buf_deinit(&body);
    peer_close(&peer);
}

static void counts_what_it_does(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open(&peer, NULL);
    (void)call_with(&peer, "/test.Echo/Unary", "x");
    (void)call_with(&peer, "/test.Echo/Stream", "x");
    (void)call_with(&peer, "/test.Echo/Fail", "x");
    const struct rpc_method_counters *unary = rpc_server_method_counters(&peer.server, 0);
    const struct rpc_method_counters *stream = rpc_server_method_counters(&peer.server, 1);
    const struct rpc_method_counters *fail = rpc_server_method_counters(&peer.server, 4);
    assert_int_equal(unary->started, 1);
    assert_int_equal(unary->handled[RPC_OK], 1);
    assert_int_equal(stream->messages_in, 1);
    assert_int_equal(stream->messages_out, 3);
    assert_int_equal(fail->handled[RPC_FAILED_PRECONDITION], 1);
    assert_int_equal(fail->open, 0);
    assert_int_equal(peer.server.counters.queued_bytes, 0);
    peer_close(&peer);
}

static void reads_every_unit_of_a_timeout(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        nanos span;
    } good[] = {
        {"1n", 1},        {"99999999u", 99999999000ULL}, {"7m", 7000000},
        {"0S", 0},        {"2M", 120 * NANOS_PER_S},     {"3H", 10800 * NANOS_PER_S},
        {"00000001n", 1},
    };
    static const char *const bad[] = {"", "1", "n", "1x", "-1n", "100000000n", "1 n", "1.5S"};
    nanos span = 0;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        assert_true(grpc_timeout_parse(view_of(good[i].text), &span));
        assert_true(span == good[i].span);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_false(grpc_timeout_parse(view_of(bad[i]), &span));
    }
    /* More hours than a clock of nanoseconds counts are for ever. */
    assert_true(grpc_timeout_parse(view_of("99999999H"), &span));
    assert_true(span == NANOS_FOREVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_a_unary_call_with_a_message_and_trailers),
        cmocka_unit_test(takes_a_message_in_pieces_of_any_size),
        cmocka_unit_test(takes_a_message_that_spans_frames),
        cmocka_unit_test(takes_messages_that_share_a_frame),
        cmocka_unit_test(answers_an_empty_message_with_an_empty_message),
        cmocka_unit_test(answers_while_the_client_still_talks),
        cmocka_unit_test(streams_several_messages_to_one_request),
        cmocka_unit_test(answers_a_failure_with_trailers_alone),
        cmocka_unit_test(takes_an_authority_that_is_none),
        cmocka_unit_test(bears_the_farewell_of_a_client),
        cmocka_unit_test(puts_a_remark_among_the_trailers),
        cmocka_unit_test(answers_a_late_failure_behind_what_was_sent),
        cmocka_unit_test(refuses_methods_that_it_does_not_know),
        cmocka_unit_test(refuses_gzip_and_says_what_it_takes),
        cmocka_unit_test(refuses_a_message_above_the_limit_in_the_words_of_grpc),
        cmocka_unit_test(refuses_a_unary_call_without_exactly_one_message),
        cmocka_unit_test(ends_a_call_at_its_deadline),
        cmocka_unit_test(ends_calls_in_the_order_of_their_deadlines),
        cmocka_unit_test(tells_the_method_when_the_client_cancels),
        cmocka_unit_test(stops_a_client_that_talks_on_after_the_answer),
        cmocka_unit_test(keeps_metadata_for_the_method),
        cmocka_unit_test(counts_what_it_does),
        cmocka_unit_test(reads_every_unit_of_a_timeout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
