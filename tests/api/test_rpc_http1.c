/* The JSON gateway and the pages over HTTP/1.1, and JSON over HTTP/2. */
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

#include "core/base/mem.h"
#include "tests/support/rpc_peer.h"

static void say_text(struct rpc_peer *peer, const char *text)
{
    peer_raw(peer, text, strlen(text));
    peer_pump(peer);
}

static void post(struct rpc_peer *peer, const char *path, const char *headers, const char *body)
{
    char text[2048];
    snprintf(text, sizeof text, "POST %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %zu\r\n\r\n%s",
             path, headers, strlen(body), body);
    say_text(peer, text);
}

static void assert_answer(struct rpc_peer *peer, const char *text)
{
    assert_string_equal(peer_text(peer), text);
    buf_clear(&peer->raw);
}

static void assert_status(struct rpc_peer *peer, int status)
{
    char line[32];
    snprintf(line, sizeof line, "HTTP/1.1 %d ", status);
    if (strncmp(peer_text(peer), line, strlen(line)) != 0) {
        fail_msg("%d was expected: %s", status, peer_text(peer));
    }
    buf_clear(&peer->raw);
}

static void answers_a_unary_method_with_an_object(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open_raw(&peer, NULL);
    for (int i = 0; i < 3; i++) {
        post(&peer, "/v3/test/unary", "",
             "{\"success\":[{\"requestPut\":{\"key\":\"Zm9v\",\"lease\":7}}],\"nope\":1}");
        assert_answer(&peer,
                      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                      "Content-Length: 56\r\n\r\n"
                      "{\"success\":[{\"request_put\":{\"key\":\"Zm9v\",\"lease\":\"7\"}}]}");
    }
    post(&peer, "/v3/test/unary", "", "");
    assert_answer(&peer, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                         "Content-Length: 2\r\n\r\n{}");
    assert_int_equal(peer.log.gone, 4);
    assert_int_equal(peer.server.counters.calls_open, 0);
    assert_int_equal(peer.server.counters.queued_bytes, 0);
    peer_close(&peer);
}

static void reads_the_body_of_a_last_request_in_pieces(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open_raw(&peer, NULL);
    /* As clients do that write header and body one by one and say that nothing follows. */
    say_text(&peer, "POST /v3/test/unary HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                    "Content-Length: 2\r\n\r\n");
    say_text(&peer, "{");
    assert_answer(&peer, "");
    say_text(&peer, "}");
    assert_answer(&peer, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                         "Content-Length: 2\r\nConnection: close\r\n\r\n{}");
    assert_null(peer.conn);
    peer_close(&peer);
}

static void answers_an_error_with_all_that_clients_look_for(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open_raw(&peer, NULL);
    post(&peer, "/v3/test/fail", "", "{}");
    assert_answer(&peer, "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n"
                         "Content-Length: 88\r\n\r\n"
                         "{\"error\":\"50 % of it is no good: \xC3\xBC\\n\",\"code\":9,"
                         "\"message\":\"50 % of it is no good: \xC3\xBC\\n\"}");
    post(&peer, "/v3/test/regret", "", "{}"); /* of a message and a failure, the failure */
    assert_answer(&peer, "HTTP/1.1 409 Conflict\r\nContent-Type: application/json\r\n"
                         "Content-Length: 71\r\n\r\n"
                         "{\"error\":\"on second thoughts\",\"code\":10,"
                         "\"message\":\"on second thoughts\"}");
    post(&peer, "/v3/test/unary", "", "{\"compare\":7}");
    assert_answer(&peer, "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n"
                         "Content-Length: 94\r\n\r\n"
                         "{\"error\":\"compare: an array was expected\",\"code\":3,"
                         "\"message\":\"compare: an array was expected\"}");
    peer_close(&peer);
}

static void puts_a_remark_among_the_headers(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open_raw(&peer, NULL);
    peer.log.remark = "true";
    static const char *const paths[] = {"/v3/test/unary", "/v3/test/fail", "/v3/test/stream"};
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        post(&peer, paths[i], "", "{}");
        const char *remark = strstr(peer_text(&peer), "\r\nnovacron-echo: true\r\n");
        assert_non_null(remark);
        assert_true(remark < strstr(peer_text(&peer), "\r\n\r\n"));
        buf_clear(&peer.raw);
    }
    peer_close(&peer);
}

static void maps_every_status_to_one_of_http(void **state)
{
    (void)state;
    static const int map[RPC_STATUS_COUNT] = {200, 408, 500, 400, 504, 404, 409, 403, 429,
                                              400, 409, 400, 501, 500, 503, 500, 401};
    for (int i = 0; i < RPC_STATUS_COUNT; i++) {
        assert_int_equal(gateway_http_status(i), map[i]);
        assert_string_not_equal(http_status_text(map[i]), "Unknown");
    }
    assert_int_equal(gateway_http_status(99), 500);
}

static void streams_one_line_a_message(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open_raw(&peer, NULL);
    post(&peer, "/v3/test/stream", "", "{}");
    assert_answer(&peer, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                         "Transfer-Encoding: chunked\r\n\r\n"
                         "2a\r\n{\"result\":{}}\n{\"result\":{}}\n{\"result\":{}}\n\r\n0\r\n\r\n");
    post(&peer, "/v3/test/bidi", "", "{}{} {}");
    assert_answer(&peer, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                         "Transfer-Encoding: chunked\r\n\r\n"
                         "2a\r\n{\"result\":{}}\n{\"result\":{}}\n{\"result\":{}}\n\r\n0\r\n\r\n");
    post(&peer, "/v3/test/faillate", "", "{}");
    assert_answer(&peer, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                         "Transfer-Encoding: chunked\r\n\r\n"
                         "89\r\n{\"result\":{}}\n{\"error\":{\"code\":14,\"grpc_code\":14,"
                         "\"http_code\":503,\"message\":\"etcdserver: no leader\","
                         "\"http_status\":\"Service Unavailable\"}}\n\r\n0\r\n\r\n");
    peer_close(&peer);
}

/* Not all that was ever said, if the client never quite catches up. */
static void keeps_of_a_long_stream_what_has_not_left(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open_raw(&peer, NULL);
    post(&peer, "/v3/test/flood", "", "{}");
    assert_int_equal(peer.log.flooded, ECHO_FLOOD_COUNT);
    assert_true(peer.log.writable > 5);
    assert_true(peer.raw.len > (size_t)ECHO_FLOOD_COUNT * ECHO_FLOOD_BYTES);
    assert_true(peer.most_kept < 4 * peer.config.limits.call_queue_bytes);
    peer_close(&peer);
}

static void keeps_a_watch_open_until_the_client_goes(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open_raw(&peer, NULL);
    post(&peer, "/v3/test/open", "", "{\"compare\":[{}]}");
    assert_answer(&peer, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                         "Transfer-Encoding: chunked\r\n\r\n"
                         "1c\r\n{\"result\":{\"compare\":[{}]}}\n\r\n");
    peer_advance(&peer, 3600 * NANOS_PER_S);
    assert_non_null(peer.conn);
    assert_int_equal(peer.log.gone, 0);
    peer_close(&peer);
    assert_int_equal(peer.log.gone, 1);
}

static void answers_http_1_0_without_chunks(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open_raw(&peer, NULL);
    say_text(&peer, "POST /v3/test/stream HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}");
    assert_answer(&peer, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                         "Connection: close\r\n\r\n"
                         "{\"result\":{}}\n{\"result\":{}}\n{\"result\":{}}\n");
    assert_null(peer.conn);
    peer_close(&peer);
}

static void serves_pages_and_what_lies_below_them(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open_raw(&peer, NULL);
    say_text(&peer, "GET /version HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_answer(&peer, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                         "Content-Length: 45\r\n\r\n"
                         "{\"etcdserver\":\"3.5.21\",\"etcdcluster\":\"3.5.0\"}");
    say_text(&peer, "HEAD /version HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_answer(&peer, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                         "Content-Length: 45\r\n\r\n");
    say_text(&peer, "GET /debug/a/b?c=d HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_answer(&peer, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                         "Content-Length: 14\r\n\r\n/debug/a/b?c=d");
    assert_int_equal(peer.log.gone, 3);
    peer_close(&peer);
}

static void answers_what_it_does_not_serve_in_the_way_of_http(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open_raw(&peer, NULL);
    say_text(&peer, "GET /nope HTTP/1.1\r\n\r\n");
    assert_answer(&peer, "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\n"
                         "Content-Length: 52\r\n\r\n"
                         "{\"error\":\"Not Found\",\"code\":5,\"message\":\"Not Found\"}");
    say_text(&peer, "GET /v3/test/unary HTTP/1.1\r\n\r\n");
    assert_status(&peer, 405);
    post(&peer, "/version", "", "{}");
    assert_status(&peer, 405);
    post(&peer, "/test.Echo/Unary", "Content-Type: application/grpc\r\n", "");
    assert_status(&peer, 415);
    assert_non_null(peer.conn);
    peer_close(&peer);
}

static void takes_requests_that_come_in_one_piece(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open_raw(&peer, NULL);
    say_text(&peer,
             "GET /debug/1 HTTP/1.1\r\n\r\nGET /debug/2 HTTP/1.1\r\n\r\n"
             "POST /v3/test/unary HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"
             "GET /debug/3 HTTP/1.1\r\nConnection: close\r\n\r\nGET /debug/4 HTTP/1.1\r\n\r\n");
    const char *text = peer_text(&peer);
    const char *one = strstr(text, "/debug/1?"), *two = strstr(text, "/debug/2?");
    const char *three = strstr(text, "/debug/3?");
    assert_true(one != NULL && two > one && three > two);
    assert_null(strstr(text, "/debug/4"));
    assert_null(peer.conn);
    peer_close(&peer);
}

static void takes_requests_in_pieces_of_any_size(void **state)
{
    (void)state;
    for (size_t chunk = 1; chunk < 64; chunk++) {
        struct rpc_peer peer;
        peer_open_raw(&peer, NULL);
        peer.input_chunk = chunk;
        post(&peer, "/v3/test/unary", "Grpc-Metadata-Token: abc  \r\n", "{\"compare\":[{}]}");
        assert_answer(&peer, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                             "Content-Length: 16\r\n\r\n{\"compare\":[{}]}");
        assert_string_equal(peer.log.token, "abc");
        peer_close(&peer);
    }
}

static void takes_a_body_in_chunks_and_asks_for_it(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open_raw(&peer, NULL);
    say_text(&peer, "POST /v3/test/unary HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
                    "Expect: 100-continue\r\n\r\n");
    assert_answer(&peer, "HTTP/1.1 100 Continue\r\n\r\n");
    say_text(&peer, "3\r\n{\"c\r\nd\r\nompare\":[{}]}\r\n0\r\n\r\n");
    assert_answer(&peer, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                         "Content-Length: 16\r\n\r\n{\"compare\":[{}]}");
    peer_close(&peer);
}

static void refuses_what_is_too_large(void **state)
{
    (void)state;
    struct rpc_limits limits = rpc_limits_default();
    limits.json_body_max_bytes = 100;
    limits.header_max_bytes = 512;
    struct rpc_peer peer;
    peer_open_raw(&peer, &limits);
    char body[102];
    memset(body, ' ', 101);
    body[101] = '\0';
    post(&peer, "/v3/test/unary", "", body);
    assert_status(&peer, 413);
    peer_close(&peer);
    peer_open_raw(&peer, &limits);
    char header[600];
    memset(header, 'x', sizeof header);
    memcpy(header, "X: ", 3);
    memcpy(header + sizeof header - 3, "\r\n", 3);
    post(&peer, "/v3/test/unary", header, "{}");
    assert_status(&peer, 431);
    assert_null(peer.conn);
    peer_close(&peer);
    peer_open_raw(&peer, &limits);
    say_text(&peer, "GET / HTTP/1.1\r\n");
    for (int i = 0; i < 100 && peer.conn != NULL; i++) {
        say_text(&peer, "A: b\r\n"); /* many small ones count too */
    }
    assert_null(peer.conn);
    assert_status(&peer, 431);
    peer_close(&peer);
}

static void refuses_what_is_no_http(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "nonsense\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03", /* TLS at a port that has none */
        "GET /version HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST /v3/test/unary HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        "POST /v3/test/unary HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct rpc_peer peer;
        peer_open_raw(&peer, NULL);
        say_text(&peer, bad[i]);
        assert_status(&peer, 400);
        assert_null(peer.conn);
        peer_close(&peer);
    }
}

static void waits_with_the_next_request_until_the_first_is_answered(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open_raw(&peer, NULL);
    post(&peer, "/v3/test/open", "", "{}");
    buf_clear(&peer.raw);
    say_text(&peer, "GET /version HTTP/1.1\r\n\r\n");
    assert_int_equal(peer.raw.len, 0);
    /* What waits is bounded. */
    char junk[1024];
    memset(junk, 'x', sizeof junk);
    for (int i = 0; i < 100 && peer.conn != NULL; i++) {
        peer_raw(&peer, junk, sizeof junk);
    }
    assert_null(peer.conn);
    assert_int_equal(peer.log.gone, 1);
    peer_close(&peer);
}

static void ends_connections_that_are_slow_or_idle(void **state)
{
    (void)state;
    struct rpc_limits limits = rpc_limits_default();
    struct rpc_peer peer;
    peer_open_raw(&peer, &limits); /* says nothing */
    peer_advance(&peer, limits.handshake_timeout);
    assert_non_null(peer.conn);
    peer_advance(&peer, NANOS_PER_S);
    assert_null(peer.conn);
    peer_close(&peer);

    peer_open_raw(&peer, &limits); /* says its header a byte a second */
    const char *request =
        "GET /version HTTP/1.1\r\nX: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    size_t said = 0;
    for (; request[said] != '\0' && peer.conn != NULL; said++) {
        peer_raw(&peer, request + said, 1);
        peer_advance(&peer, NANOS_PER_S);
    }
    assert_null(peer.conn);
    assert_true(said <= 12);
    peer_close(&peer);

    peer_open_raw(&peer, &limits); /* says its body a byte in ten seconds */
    say_text(&peer, "POST /v3/test/unary HTTP/1.1\r\nContent-Length: 100\r\n\r\n");
    for (said = 0; said < 100 && peer.conn != NULL; said++) {
        peer_raw(&peer, " ", 1);
        peer_advance(&peer, 10 * NANOS_PER_S);
    }
    assert_null(peer.conn);
    assert_true(said <= 5);
    peer_close(&peer);

    peer_open_raw(&peer, &limits); /* has no more to say */
    say_text(&peer, "GET /version HTTP/1.1\r\n\r\n");
    peer_advance(&peer, limits.idle_timeout);
    assert_non_null(peer.conn);
    peer_advance(&peer, NANOS_PER_S);
    assert_null(peer.conn);
    peer_close(&peer);
}

static void serves_json_and_pages_over_http_2(void **state)
{
    (void)state;
    struct rpc_peer peer;
    peer_open(&peer, NULL);
    static const char *const json[] = {":method", "POST",  ":path",        "/v3/test/unary",
                                       ":scheme", "https", "content-type", "application/json",
                                       NULL};
    static const char *const page[] = {":method", "GET", ":path", "/version", NULL};
    static const char *const head[] = {":method", "HEAD", ":path", "/version", NULL};
    static const char *const nope[] = {":method", "GET", ":path", "/nope", NULL};
    static const char *const none[] = {":method", "GET", NULL};
    const struct bytes empty = {NULL, 0};
    const char *body = "{\"compare\":[{}]}";
    peer.log.remark = "true";
    struct peer_reply *reply = peer_request_headers(
        &peer, json, (struct bytes){(const uint8_t *)body, strlen(body)}, true);
    assert_int_equal(reply->http_status, 200);
    assert_string_equal(reply->content_type, "application/json");
    assert_int_equal(reply->data.len, strlen(body));
    assert_memory_equal(reply->data.data, body, strlen(body));
    assert_true(reply->ended && !reply->was_reset);
    assert_string_equal(reply->remark, "true");
    assert_int_equal(reply->remark_block, 1);
    reply = peer_request_headers(&peer, page, empty, true);
    assert_int_equal(reply->http_status, 200);
    assert_int_equal(reply->data.len, 45);
    reply = peer_request_headers(&peer, head, empty, true);
    assert_int_equal(reply->http_status, 200);
    assert_int_equal(reply->data.len, 0);
    assert_true(reply->ended);
    assert_int_equal(peer_request_headers(&peer, nope, empty, true)->http_status, 404);
    assert_int_equal(peer_request_headers(&peer, none, empty, true)->http_status, 400);
    assert_int_equal(peer.server.counters.calls_open, 0);
    assert_int_equal(peer.server.counters.queued_bytes, 0);
    peer_close(&peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_a_unary_method_with_an_object),
        cmocka_unit_test(reads_the_body_of_a_last_request_in_pieces),
        cmocka_unit_test(answers_an_error_with_all_that_clients_look_for),
        cmocka_unit_test(puts_a_remark_among_the_headers),
        cmocka_unit_test(maps_every_status_to_one_of_http),
        cmocka_unit_test(streams_one_line_a_message),
        cmocka_unit_test(keeps_of_a_long_stream_what_has_not_left),
        cmocka_unit_test(keeps_a_watch_open_until_the_client_goes),
        cmocka_unit_test(answers_http_1_0_without_chunks),
        cmocka_unit_test(serves_pages_and_what_lies_below_them),
        cmocka_unit_test(answers_what_it_does_not_serve_in_the_way_of_http),
        cmocka_unit_test(takes_requests_that_come_in_one_piece),
        cmocka_unit_test(takes_requests_in_pieces_of_any_size),
        cmocka_unit_test(takes_a_body_in_chunks_and_asks_for_it),
        cmocka_unit_test(refuses_what_is_too_large),
        cmocka_unit_test(refuses_what_is_no_http),
        cmocka_unit_test(waits_with_the_next_request_until_the_first_is_answered),
        cmocka_unit_test(ends_connections_that_are_slow_or_idle),
        cmocka_unit_test(serves_json_and_pages_over_http_2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
