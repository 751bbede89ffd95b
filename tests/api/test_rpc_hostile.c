/* Clients that are hostile, broken, slow or too many, over HTTP/2. */
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

#include "core/base/mem.h"
#include "tests/support/rpc_peer.h"

static const struct bytes empty = {NULL, 0};

/* The preface and an empty SETTINGS frame: what a client says first. */
static void greet(struct rpc_peer *peer)
{
    struct buf out = {.data = NULL};
    buf_put(&out, NGHTTP2_CLIENT_MAGIC, sizeof NGHTTP2_CLIENT_MAGIC - 1);
    peer_put_frame(&out, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
    peer_raw(peer, out.data, out.len);
    peer_pump(peer);
    buf_deinit(&out);
}

/* A request of Echo/Unary in a block that uses no table: 40 bytes or so. */
static const uint8_t block[] = "\x83\x86\x04\x10/test.Echo/Unary\x0F\x10\x10"
                               "application/grpc";
#define BLOCK_BYTES (sizeof block - 1)

/* Says frames until the server closes, at most `max`; how many it took. */
static size_t flood(struct rpc_peer *peer, uint8_t type, uint8_t flags, uint32_t stream,
                    const void *payload, size_t n, size_t max)
{
    struct buf out = {.data = NULL};
    size_t count = 0;
    for (; count < max && peer->conn != NULL; count++) {
        buf_clear(&out);
        peer_put_frame(&out, type, flags, stream, payload, n);
        peer_raw(peer, out.data, out.len);
    }
    buf_deinit(&out);
    return count;
}

static void takes_the_raw_request_that_these_tests_say(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open_raw(&peer, NULL);
    greet(&peer);
    struct buf out = {.data = NULL};
    peer_put_frame(&out, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, block, BLOCK_BYTES);
    peer_put_frame(&out, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, "\0\0\0\0\1x", 6);
    peer_raw(&peer, out.data, out.len);
    assert_int_equal(peer.log.messages, 1);
    buf_deinit(&out);
    peer_close(&peer);
}

static void closes_on_a_preface_that_is_none(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open_raw(&peer, NULL);
    peer_raw(&peer, NGHTTP2_CLIENT_MAGIC, sizeof NGHTTP2_CLIENT_MAGIC - 1);
    peer_raw(&peer, "\0\0\0\7\0\0\0\0\0", 9); /* GOAWAY where SETTINGS must be */
    peer_pump(&peer);
    assert_null(peer.conn);
    peer_close(&peer);
}

static void closes_on_a_frame_above_the_size_that_it_announced(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open_raw(&peer, NULL);
    greet(&peer);
    peer_raw(&peer, "\xFF\xFF\xFF\0\0\0\0\0\1", 9);
    peer_pump(&peer);
    assert_null(peer.conn);
    peer_close(&peer);
}

static void closes_on_headers_that_do_not_decompress(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open_raw(&peer, NULL);
    greet(&peer);
    struct buf out = {.data = NULL};
    peer_put_frame(&out, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, "\xFF\xFF\xFF\xFF\xFF", 5);
    peer_raw(&peer, out.data, out.len);
    peer_pump(&peer);
    assert_null(peer.conn);
    assert_int_equal(peer.server.counters.calls_open, 0);
    buf_deinit(&out);
    peer_close(&peer);
}

static void resets_a_request_whose_headers_are_too_long(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open(&peer, NULL);
    char value[1000];
    memset(value, 'x', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    const char *extra[41] = {NULL};
    for (size_t i = 0; i < 20; i++) {
        extra[2 * i] = "x-long";
        extra[2 * i + 1] = value;
    }
    struct peer_reply *reply = peer_request(&peer, "/test.Echo/Unary", extra, empty, true);
    assert_true(reply->was_reset);
    assert_int_equal(peer.log.begun, 0);
    assert_int_equal(peer.server.counters.calls_open, 0);
    /* The connection lives on. */
    struct buf body = {.data = NULL};
    peer_put_message(&body, "x", 1);
    reply = peer_request(&peer, "/test.Echo/Unary", NULL, buf_view(&body), true);
    assert_int_equal(reply->grpc_status, 0);
    buf_deinit(&body);
    peer_close(&peer);
}

static void closes_on_continuations_without_end(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open_raw(&peer, NULL);
    greet(&peer);
    struct buf out = {.data = NULL};
    peer_put_frame(&out, NGHTTP2_HEADERS, 0, 1, block, BLOCK_BYTES);
    peer_raw(&peer, out.data, out.len);
    assert_in_range(flood(&peer, NGHTTP2_CONTINUATION, 0, 1, "", 0, 100000), 1, 100);
    buf_deinit(&out);
    peer_close(&peer);
}

static void closes_on_floods_that_ask_for_answers(void **state)
{
    (void)state;
    static const uint8_t ping[8] = {0};
    struct rpc_peer peer;
    peer_open_raw(&peer, NULL);
    greet(&peer);
    assert_in_range(flood(&peer, NGHTTP2_PING, 0, 0, ping, 8, 100000), 1, 5000);
    peer_close(&peer);
    peer_open_raw(&peer, NULL);
    greet(&peer);
    assert_in_range(flood(&peer, NGHTTP2_SETTINGS, 0, 0, NULL, 0, 100000), 1, 5000);
    peer_close(&peer);
}

static size_t reset_quickly(struct rpc_peer *peer, size_t max)
{
    static const uint8_t cancel[] = {0, 0, 0, NGHTTP2_CANCEL};
    struct buf out = {.data = NULL};
    size_t count = 0;
    for (; count < max && peer->conn != NULL; count++) {
        uint32_t stream = (uint32_t)(2 * count + 1);
        buf_clear(&out);
        peer_put_frame(&out, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, stream, block, BLOCK_BYTES);
        peer_put_frame(&out, NGHTTP2_RST_STREAM, 0, stream, cancel, sizeof cancel);
        peer_raw(peer, out.data, out.len);
        if (count % 100 == 0) {
            peer_pump(peer);
        }
    }
    buf_deinit(&out);
    peer_pump(peer);
    return count;
}

static void bears_clients_that_cancel_by_the_thousand_and_ends_floods_of_it(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open_raw(&peer, NULL);
    greet(&peer);
    assert_int_equal(reset_quickly(&peer, 10000), 10000);
    assert_non_null(peer.conn);
    assert_int_equal(peer.log.begun, 10000);
    assert_int_equal(peer.log.gone, 10000);
    assert_int_equal(peer.server.counters.calls_open, 0);
    peer_close(&peer);
    peer_open_raw(&peer, NULL);
    greet(&peer);
    (void)reset_quickly(&peer, 200000);
    assert_null(peer.conn);
    assert_int_equal(peer.server.counters.calls_open, 0);
    peer_close(&peer);
}

static void tells_clients_that_ping_too_often_to_stop(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open(&peer, NULL);
    struct buf body = {.data = NULL};
    peer_put_message(&body, "x", 1);
    (void)peer_request(&peer, "/test.Echo/Open", NULL, buf_view(&body), false);
    /* With a call open, each five seconds is in order. */
    for (int i = 0; i < 20; i++) {
        peer.now += 6 * NANOS_PER_S;
        peer.server.now = peer.now;
        assert_int_equal(nghttp2_submit_ping(peer.session, NGHTTP2_FLAG_NONE, NULL), 0);
        peer_pump(&peer);
    }
    assert_false(peer.goaway);
    for (int i = 0; i < 4 && peer.conn != NULL; i++) {
        assert_int_equal(nghttp2_submit_ping(peer.session, NGHTTP2_FLAG_NONE, NULL), 0);
        peer_pump(&peer);
    }
    assert_true(peer.goaway);
    assert_int_equal(peer.goaway_code, NGHTTP2_ENHANCE_YOUR_CALM);
    assert_string_equal(peer.goaway_text, "too_many_pings");
    assert_null(peer.conn);
    buf_deinit(&body);
    peer_close(&peer);
}

static void bears_pings_of_clients_that_measure_with_every_answer(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open(&peer, NULL);
    struct buf body = {.data = NULL};
    peer_put_message(&body, "x", 1);
    for (int i = 0; i < 50; i++) {
        (void)peer_request(&peer, "/test.Echo/Unary", NULL, buf_view(&body), true);
        for (int j = 0; j < 3; j++) {
            assert_int_equal(nghttp2_submit_ping(peer.session, NGHTTP2_FLAG_NONE, NULL), 0);
            peer_pump(&peer);
        }
    }
    assert_false(peer.goaway);
    buf_deinit(&body);
    peer_close(&peer);
}

static void drops_clients_that_are_silent_when_asked(void **state)
{
    (void)state;
    struct rpc_limits limits = rpc_limits_default();
    struct rpc_peer peer;
    peer_open(&peer, &limits);
    struct buf body = {.data = NULL};
    peer_put_message(&body, "x", 1);
    (void)peer_request(&peer, "/test.Echo/Open", NULL, buf_view(&body), false);
    /* This one answers. */
    peer_advance(&peer, limits.ping_interval + NANOS_PER_S);
    peer_advance(&peer, limits.ping_timeout + NANOS_PER_S);
    assert_non_null(peer.conn);
    /* Now its answers are lost. */
    peer.now += limits.ping_interval + NANOS_PER_S;
    server_sweep(&peer.server, peer.now);
    assert_false(peer.conn->broken);
    server_sweep(&peer.server, peer.now + limits.ping_timeout + 1);
    assert_true(peer.conn->broken);
    buf_deinit(&body);
    peer_close(&peer);
    assert_int_equal(peer.log.gone, 1);
}

static void ends_half_requests(void **state)
{
    (void)state;
    struct rpc_limits limits = rpc_limits_default();
    struct rpc_peer peer;
    peer_open(&peer, &limits);
    struct peer_reply *no_body = peer_request(&peer, "/test.Echo/Unary", NULL, empty, false);
    struct peer_reply *half = peer_request(
        &peer, "/test.Echo/Unary", NULL, (struct bytes){(const uint8_t *)"\0\0\0\0\5ab", 7}, false);
    struct peer_reply *half_stream = peer_request(
        &peer, "/test.Echo/Open", NULL, (struct bytes){(const uint8_t *)"\0\0", 2}, false);
    struct peer_reply *idle_stream = peer_request(
        &peer, "/test.Echo/Open", NULL, (struct bytes){(const uint8_t *)"\0\0\0\0\1x", 6}, false);
    struct peer_reply *unended = peer_request(
        &peer, "/test.Echo/Unary", NULL, (struct bytes){(const uint8_t *)"\0\0\0\0\1x", 6}, false);
    peer_advance(&peer, limits.request_timeout);
    assert_int_equal(half->grpc_status, -1);
    peer_advance(&peer, NANOS_PER_S);
    assert_int_equal(no_body->grpc_status, RPC_CANCELED);
    assert_int_equal(half->grpc_status, RPC_CANCELED);
    assert_int_equal(half_stream->grpc_status, RPC_CANCELED);
    assert_true(unended->was_reset);
    assert_false(idle_stream->ended || idle_stream->was_reset);
    assert_int_equal(peer.log.gone, 4);
    assert_int_equal(peer.conn->half_calls, 0);
    peer_close(&peer);
}

static void ends_half_frames(void **state)
{
    (void)state;
    struct rpc_limits limits = rpc_limits_default();
    struct rpc_peer peer;
    peer_open_raw(&peer, &limits);
    greet(&peer);
    peer_raw(&peer, "\0\0\x10\1\0\0\0\0\1ab", 11); /* HEADERS of 16 bytes, two of them */
    peer.conn->greeted = true;
    peer_advance(&peer, limits.request_timeout);
    assert_non_null(peer.conn);
    peer_advance(&peer, NANOS_PER_S);
    assert_null(peer.conn);
    peer_close(&peer);
}

static void refuses_what_would_keep_too_much_of_requests(void **state)
{
    (void)state;
    struct rpc_limits limits = rpc_limits_default();
    limits.partial_max_bytes = 1000;
    struct rpc_peer peer;
    peer_open(&peer, &limits);
    uint8_t part[600] = {0, 0, 0, 4, 0};
    struct bytes view = {part, sizeof part};
    struct peer_reply *first = peer_request(&peer, "/test.Echo/Unary", NULL, view, false);
    struct peer_reply *second = peer_request(&peer, "/test.Echo/Unary", NULL, view, false);
    assert_int_equal(first->grpc_status, -1);
    assert_int_equal(second->grpc_status, RPC_RESOURCE_EXHAUSTED);
    assert_int_equal(peer.conn->partial_bytes, 595);
    peer_cancel(&peer, first);
    assert_int_equal(peer.conn->partial_bytes, 0);
    peer_close(&peer);
}

static void refuses_calls_above_the_limit(void **state)
{
    (void)state;
    struct rpc_limits limits = rpc_limits_default();
    limits.calls_max = 3;
    struct rpc_peer peer;
    peer_open(&peer, &limits);
    struct peer_reply *replies[5];
    for (size_t i = 0; i < COUNT_OF(replies); i++) {
        replies[i] = peer_request(&peer, "/test.Echo/Open", NULL, empty, false);
        assert_int_equal(replies[i]->grpc_status, i < 3 ? -1 : RPC_RESOURCE_EXHAUSTED);
    }
    peer_cancel(&peer, replies[0]);
    assert_int_equal(peer_request(&peer, "/test.Echo/Open", NULL, empty, false)->grpc_status, -1);
    peer_close(&peer);
    assert_int_equal(peer.log.gone, peer.log.begun);
}

static void says_how_many_streams_a_connection_may_have(void **state)
{
    (void)state;
    struct rpc_limits limits = rpc_limits_default();
    limits.streams_max = 7;
    struct rpc_peer peer;
    peer_open(&peer, &limits);
    assert_int_equal(
        nghttp2_session_get_remote_settings(peer.session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS),
        7);
    peer_close(&peer);
}

/* --- Backpressure ----------------------------------------------------------------------------- */

/* A client that takes nothing: its window is closed. */
static struct peer_reply *begin_flood(struct rpc_peer *peer)
{
    struct buf body = {.data = NULL};
    peer->holds_windows = true;
    nghttp2_settings_entry window = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0};
    assert_int_equal(nghttp2_submit_settings(peer->session, NGHTTP2_FLAG_NONE, &window, 1), 0);
    peer_pump(peer);
    peer_put_message(&body, "", 0);
    struct peer_reply *reply = peer_request(peer, "/test.Echo/Flood", NULL, buf_view(&body), true);
    buf_deinit(&body);
    return reply;
}

static void open_window(struct rpc_peer *peer, struct peer_reply *reply, int32_t bytes)
{
    assert_int_equal(
        nghttp2_submit_window_update(peer->session, NGHTTP2_FLAG_NONE, reply->stream_id, bytes), 0);
    peer_pump(peer);
}

static void stops_the_method_when_the_client_does_not_read(void **state)
{
    (void)state;
    struct rpc_limits limits = rpc_limits_default();
    struct rpc_peer peer;
    peer_open(&peer, &limits);
    struct peer_reply *reply = begin_flood(&peer);
    size_t high = limits.call_queue_bytes;
    assert_in_range(peer.conn->queued_bytes, high, high + 2 * ECHO_FLOOD_BYTES);
    assert_int_equal(peer.log.writable, 0);
    /* It goes on when half of it has left, not with each byte. */
    open_window(&peer, reply, (int32_t)(high / 2 - 10000));
    assert_int_equal(peer.log.writable, 0);
    open_window(&peer, reply, 20000);
    assert_int_equal(peer.log.writable, 1);
    assert_in_range(peer.conn->queued_bytes, high - 20000, high + 2 * ECHO_FLOOD_BYTES);
    /* And all of it arrives. */
    for (int i = 0; i < 100 && !reply->ended; i++) {
        open_window(&peer, reply, 1 << 20);
    }
    assert_int_equal(reply->grpc_status, 0);
    assert_int_equal(reply->data.len, ECHO_FLOOD_COUNT * (ECHO_FLOOD_BYTES + 5));
    assert_int_equal(peer.server.counters.queued_bytes, 0);
    peer_close(&peer);
}

/* More answers wait than the server keeps, all of them of one who takes none. */
static void who_takes_no_answers_is_in_nobody_elses_way(void **state)
{
    (void)state;
    static const char ask[] = "GET /version HTTP/1.1\r\nHost: x\r\n\r\n";
    struct rpc_limits limits = rpc_limits_default();
    limits.server_queue_bytes = limits.call_queue_bytes * 3 / 4;
    struct rpc_peer peer;
    peer_open(&peer, &limits);
    struct peer_reply *flood = begin_flood(&peer);
    assert_true(peer.server.counters.queued_bytes > limits.server_queue_bytes);
    struct peer_reply *more = begin_flood(&peer);
    assert_int_equal(more->grpc_status, RPC_RESOURCE_EXHAUSTED);
    struct rpc_conn *other = conn_open(&peer.server);
    struct buf said;
    buf_init(&said);
    conn_input(other, (struct bytes){(const uint8_t *)ask, sizeof ask - 1});
    while (conn_produce(other, &said, 1000)) {
    }
    assert_true(said.len > 12 && memcmp(said.data, "HTTP/1.1 200", 12) == 0);
    buf_deinit(&said);
    conn_close(other);
    assert_false(flood->was_reset);
    peer_advance(&peer, 12 * NANOS_PER_S);
    assert_true(flood->was_reset);
    assert_int_equal(peer.server.counters.queued_bytes, 0);
    peer_close(&peer);
}

static void resets_a_call_whose_answer_nobody_takes(void **state)
{
    (void)state;
    struct rpc_limits limits = rpc_limits_default();
    struct rpc_peer peer;
    peer_open(&peer, &limits);
    struct peer_reply *reply = begin_flood(&peer);
    for (int i = 0; i < 5; i++) { /* slow is not stalled */
        peer_advance(&peer, limits.stall_timeout - NANOS_PER_S);
        open_window(&peer, reply, 1000);
    }
    assert_false(reply->was_reset);
    peer_advance(&peer, limits.stall_timeout + NANOS_PER_S);
    assert_true(reply->was_reset);
    assert_int_equal(peer.log.gone, 1);
    assert_int_equal(peer.server.counters.queued_bytes, 0);
    assert_non_null(peer.conn);
    peer_close(&peer);
}

static void refuses_calls_of_a_connection_that_reads_no_answers(void **state)
{
    (void)state;
    struct rpc_limits limits = rpc_limits_default();
    limits.connection_queue_bytes = 100000;
    struct rpc_peer peer;
    peer_open(&peer, &limits);
    struct peer_reply *flood_reply = begin_flood(&peer);
    assert_in_range(peer.conn->queued_bytes, 100000, 100000 + 2 * ECHO_FLOOD_BYTES);
    struct buf body = {.data = NULL};
    peer_put_message(&body, "", 0);
    struct peer_reply *reply = peer_request(&peer, "/test.Echo/Unary", NULL, buf_view(&body), true);
    assert_int_equal(reply->grpc_status, RPC_RESOURCE_EXHAUSTED);
    peer_cancel(&peer, flood_reply);
    assert_int_equal(peer.conn->queued_bytes, 0);
    buf_deinit(&body);
    peer_close(&peer);
}

static void cuts_off_a_method_that_sends_without_room(void **state)
{
    (void)state;
    struct rpc_limits limits = rpc_limits_default();
    struct rpc_peer peer;
    peer_open(&peer, &limits);
    struct buf body = {.data = NULL};
    peer_put_message(&body, "", 0);
    peer.holds_pump = true;
    struct peer_reply *reply =
        peer_request(&peer, "/test.Echo/Torrent", NULL, buf_view(&body), true);
    peer.holds_pump = false;
    size_t most = 0;
    const uint8_t *bytes = NULL;
    ssize_t n = nghttp2_session_mem_send(peer.session, &bytes);
    for (; n > 0; n = nghttp2_session_mem_send(peer.session, &bytes)) {
        peer_raw(&peer, bytes, (size_t)n);
        most = peer.conn->queued_bytes > most ? peer.conn->queued_bytes : most;
    }
    assert_in_range(most, 8 * limits.call_queue_bytes, 9 * limits.call_queue_bytes);
    peer_pump(&peer);
    assert_true(reply->was_reset);
    assert_int_equal(peer.log.gone, 1);
    assert_int_equal(peer.server.counters.queued_bytes, 0);
    buf_deinit(&body);
    peer_close(&peer);
}

static void lets_a_small_answer_through_beside_a_large_stream(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open(&peer, NULL);
    const nghttp2_settings_entry window = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 64 << 20};
    assert_int_equal(nghttp2_submit_settings(peer.session, NGHTTP2_FLAG_NONE, &window, 1), 0);
    assert_int_equal(
        nghttp2_session_set_local_window_size(peer.session, NGHTTP2_FLAG_NONE, 0, 64 << 20), 0);
    peer_pump(&peer);
    struct buf body = {.data = NULL};
    peer_put_message(&body, "", 0);
    peer.holds_pump = true;
    struct peer_reply *large = peer_request(&peer, "/test.Echo/Flood", NULL, buf_view(&body), true);
    struct peer_reply *small = peer_request(&peer, "/test.Echo/Unary", NULL, buf_view(&body), true);
    peer.holds_pump = false;
    peer_pump(&peer);
    assert_true(large->ended && small->ended);
    assert_true(small->received_when_ended < large->received_when_ended / 100);
    buf_deinit(&body);
    peer_close(&peer);
}

static void says_goodbye_in_order(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open(&peer, NULL);
    struct buf body = {.data = NULL};
    peer_put_message(&body, "x", 1);
    struct peer_reply *reply = peer_request(&peer, "/test.Echo/Bidi", NULL, buf_view(&body), false);
    server_begin_drain(&peer.server);
    peer_pump(&peer);
    assert_true(peer.goaway); /* a notice: whatever is on its way is still taken */
    assert_int_equal(peer.goaway_code, NGHTTP2_NO_ERROR);
    peer_advance(&peer, 2 * NANOS_PER_S);
    assert_non_null(peer.conn);
    peer_more(&peer, reply, buf_view(&body), true);
    assert_true(peer_has_messages(reply, 2, (const char *const[]){"x", "x"}));
    assert_int_equal(reply->grpc_status, 0);
    assert_null(peer.conn); /* the last call has ended */
    buf_deinit(&body);
    peer_close(&peer);
}

static void keeps_a_thousand_streams_apart(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open(&peer, NULL);
    static struct peer_reply *replies[1000];
    char text[16];
    const char *const texts[] = {text, text};
    for (size_t i = 0; i < COUNT_OF(replies); i++) {
        struct buf body = {.data = NULL};
        int n = snprintf(text, sizeof text, "stream %zu", i);
        peer_put_message(&body, text, (size_t)n);
        replies[i] = peer_request(&peer, "/test.Echo/Open", NULL, buf_view(&body), false);
        buf_deinit(&body);
    }
    for (size_t i = COUNT_OF(replies); i > 0; i--) {
        struct buf body = {.data = NULL};
        int n = snprintf(text, sizeof text, "stream %zu", i - 1);
        peer_put_message(&body, text, (size_t)n);
        peer_more(&peer, replies[i - 1], buf_view(&body), false);
        assert_true(peer_has_messages(replies[i - 1], 2, texts));
        buf_deinit(&body);
    }
    assert_int_equal(peer.server.counters.calls_open, COUNT_OF(replies));
    /* Idle, none of them keeps a buffer. */
    for (struct rpc_call *call = peer.conn->calls; call != NULL; call = call->next) {
        assert_int_equal(call->in.cap + call->out.cap, 0);
    }
    peer_close(&peer);
    assert_int_equal(peer.log.gone, COUNT_OF(replies));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_the_raw_request_that_these_tests_say),
        cmocka_unit_test(closes_on_a_preface_that_is_none),
        cmocka_unit_test(closes_on_a_frame_above_the_size_that_it_announced),
        cmocka_unit_test(closes_on_headers_that_do_not_decompress),
        cmocka_unit_test(resets_a_request_whose_headers_are_too_long),
        cmocka_unit_test(closes_on_continuations_without_end),
        cmocka_unit_test(closes_on_floods_that_ask_for_answers),
        cmocka_unit_test(bears_clients_that_cancel_by_the_thousand_and_ends_floods_of_it),
        cmocka_unit_test(tells_clients_that_ping_too_often_to_stop),
        cmocka_unit_test(bears_pings_of_clients_that_measure_with_every_answer),
        cmocka_unit_test(drops_clients_that_are_silent_when_asked),
        cmocka_unit_test(ends_half_requests),
        cmocka_unit_test(ends_half_frames),
        cmocka_unit_test(refuses_what_would_keep_too_much_of_requests),
        cmocka_unit_test(refuses_calls_above_the_limit),
        cmocka_unit_test(says_how_many_streams_a_connection_may_have),
        cmocka_unit_test(stops_the_method_when_the_client_does_not_read),
        cmocka_unit_test(who_takes_no_answers_is_in_nobody_elses_way),
        cmocka_unit_test(resets_a_call_whose_answer_nobody_takes),
        cmocka_unit_test(refuses_calls_of_a_connection_that_reads_no_answers),
        cmocka_unit_test(cuts_off_a_method_that_sends_without_room),
        cmocka_unit_test(lets_a_small_answer_through_beside_a_large_stream),
        cmocka_unit_test(says_goodbye_in_order),
        cmocka_unit_test(keeps_a_thousand_streams_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
