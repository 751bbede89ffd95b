/* What a probe says to an HTTP server, and what it makes of any answer. */
#include "core/monitoring/health/probe_http.h"

#include <string.h>

#include "core/base/say.h"
#include "tests/support/test.h"

static const struct world_endpoint http_at = {"127.0.0.1", 8080};

/* The verdict on an answer that comes in pieces of `piece` bytes, and then ends; `words` gets it in
 * words. */
static enum http_verdict judge_pieces(const struct http_expect *expect, struct bytes answer,
                                      size_t piece, char words[128])
{
    struct http_answer *a = http_answer_new(expect);
    enum http_verdict verdict = HTTP_UNDECIDED;
    struct buf b;

    for (size_t at = 0; at < answer.len && verdict == HTTP_UNDECIDED; at += piece) {
        size_t n = u64_min(piece, answer.len - at);
        verdict = http_answer_take(a, (struct bytes){answer.data + at, n});
    }
    verdict = http_answer_end(a);
    buf_init(&b);
    http_answer_say(&b, a);
    assert_true(b.len < 128);
    memcpy(words, say_end(&b), b.len + 1);
    buf_deinit(&b);
    http_answer_free(a);
    return verdict;
}

static struct bytes http_text(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static void asks_for_a_path_at_an_endpoint_once(void **state)
{
    struct http_expect expect = http_expect_of();
    struct world_endpoint v6 = {"::1", 80};
    struct buf b;
    (void)state;
    buf_init(&b);
    expect.path = "/healthz?deep=1";
    http_expect_ask(&b, &expect, &http_at);
    assert_string_equal(say_end(&b), "GET /healthz?deep=1 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n"
                                     "User-Agent: novacron-probe\r\nAccept: */*\r\n"
                                     "Accept-Encoding: identity\r\nConnection: close\r\n\r\n");
    buf_clear(&b);
    http_expect_ask(&b, &expect, &v6);
    assert_non_null(strstr(say_end(&b), "\r\nHost: [::1]:80\r\n"));
    buf_clear(&b);
    expect.host = "shop.example";
    http_expect_ask(&b, &expect, &http_at);
    assert_non_null(strstr(say_end(&b), "\r\nHost: shop.example\r\n"));
    buf_deinit(&b);
}

static void judges_answers_however_they_are_cut(void **state)
{
    static const struct {
        const char *answer;
        const char *text;
        enum http_verdict verdict;
        const char *words;
    } table[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", NULL, HTTP_WELL, "200"},
        {"HTTP/1.0 204 \r\n\r\n", NULL, HTTP_WELL, "204"},
        {"HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n", NULL, HTTP_WELL, "302"},
        {"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", NULL, HTTP_OTHER_STATUS,
         "503 instead of 200-399"},
        {"HTTP/1.1 404 No\r\n\r\nwell", "well", HTTP_OTHER_STATUS, "404 instead of 200-399"},
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", NULL,
         HTTP_OTHER_STATUS, "101 instead of 200-399"},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
         NULL, HTTP_WELL, "200"},
        {"HTTP/1.1 102 Wait\r\nContent-Length: 9\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", NULL, HTTP_WELL,
         "200"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nall well", "well", HTTP_WELL, "200"},
        {"HTTP/1.1 200 OK\r\n\r\nall wewell", "well", HTTP_WELL, "200"},
        {"HTTP/1.1 200 OK\r\n\r\naabaabaaab", "aabaaab", HTTP_WELL, "200"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nwe\r\n2\r\nll\r\n0\r\n\r\n",
         "well", HTTP_WELL, "200"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nill", "well", HTTP_OTHER_TEXT,
         "200, without the expected text"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nwell", "well", HTTP_OTHER_TEXT,
         "200, without the expected text"},
        {"HTTP/1.1 200 OK\r\n\r\nill", "well", HTTP_OTHER_TEXT, "200, without the expected text"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nill", "well", HTTP_BROKEN_OFF,
         "the answer broke off"},
        {"HTTP/1.1 200 OK\r\nContent-Len", NULL, HTTP_BROKEN_OFF, "the answer broke off"},
        {"", NULL, HTTP_BROKEN_OFF, "closed without an answer"},
        {"SSH-2.0-OpenSSH_9.2\r\n", NULL, HTTP_MALFORMED, "the answer is not HTTP/1.x"},
        {"HTTP/1.1 1 x\r\n\r\nbody", NULL, HTTP_MALFORMED, "the answer is not HTTP/1.x"},
        {"HTTP/1.1 20x OK\r\n\r\n", NULL, HTTP_MALFORMED, "the answer is not HTTP/1.x"},
        {"\x15\x03\x01\x00\x02\x02\x28", NULL, HTTP_MALFORMED, "the answer is not HTTP/1.x"},
    };
    char words[128];
    (void)state;
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct http_expect expect = http_expect_of();
        struct bytes answer = http_text(table[i].answer);
        expect.text = table[i].text;
        for (size_t piece = 1; piece <= answer.len + 1; piece++) {
            assert_int_equal(judge_pieces(&expect, answer, piece, words), table[i].verdict);
            assert_string_equal(words, table[i].words);
        }
    }
}

static void takes_the_range_of_statuses_that_it_was_told(void **state)
{
    struct http_expect expect = http_expect_of();
    char words[128];
    (void)state;
    expect.status_min = 401;
    expect.status_max = 401;
    assert_int_equal(judge_pieces(&expect, http_text("HTTP/1.1 401 No\r\n\r\n"), 99, words),
                     HTTP_WELL);
    assert_int_equal(judge_pieces(&expect, http_text("HTTP/1.1 200 OK\r\n\r\n"), 99, words),
                     HTTP_OTHER_STATUS);
    assert_string_equal(words, "200 instead of 401");
}

/* A model: the text is in the body, if it is in it within the bound. */
static void finds_a_text_exactly_where_it_is(void **state)
{
    static const char head[] = "HTTP/1.1 200 OK\r\n\r\n";
    struct prng prng = test_prng("probe text");
    (void)state;
    for (size_t round = 0; round < test_rounds(2000); round++) {
        char text[8] = {0};
        char body[64] = {0};
        char words[128];
        size_t text_len = prng_range(&prng, 1, sizeof text - 1);
        size_t body_len = prng_range(&prng, 0, sizeof body - 1);
        for (size_t i = 0; i < text_len; i++) {
            text[i] = (char)('a' + prng_below(&prng, 2));
        }
        for (size_t i = 0; i < body_len; i++) {
            body[i] = (char)('a' + prng_below(&prng, 2));
        }
        char answer[sizeof head + sizeof body];
        memcpy(answer, head, sizeof head - 1);
        memcpy(answer + sizeof head - 1, body, sizeof body);
        struct http_expect expect = http_expect_of();
        expect.text = text;
        enum http_verdict verdict =
            judge_pieces(&expect, http_text(answer), prng_range(&prng, 1, 90), words);
        assert_int_equal(verdict, strstr(body, text) != NULL ? HTTP_WELL : HTTP_OTHER_TEXT);
    }
}

static enum http_verdict judge_endless(const struct http_expect *expect, const char *head,
                                       const char *again, size_t *ret_bytes)
{
    struct http_answer *a = http_answer_new(expect);
    enum http_verdict verdict = http_answer_take(a, http_text(head));

    *ret_bytes = 0;
    while (verdict == HTTP_UNDECIDED && *ret_bytes < 1024 * 1024) {
        *ret_bytes += strlen(again);
        verdict = http_answer_take(a, http_text(again));
    }
    http_answer_free(a);
    return verdict;
}

static void reads_no_more_than_its_bounds(void **state)
{
    struct http_expect expect = http_expect_of();
    size_t n = 0;
    (void)state;
    assert_int_equal(judge_endless(&expect, "HTTP/1.1 200 OK\r\n", "X-A: bbbbbbbb\r\n", &n),
                     HTTP_MALFORMED);
    assert_true(n <= HTTP_PROBE_ANSWER_MAX_BYTES);
    assert_int_equal(judge_endless(&expect, "", "HTTP/1.1 100 Continue\r\n\r\n", &n),
                     HTTP_WITHOUT_END);
    assert_true(n <= HTTP_PROBE_ANSWER_MAX_BYTES + 100);
    expect.text = "well";
    assert_int_equal(judge_endless(&expect, "HTTP/1.1 200 OK\r\n\r\n", "not really ", &n),
                     HTTP_OTHER_TEXT);
    assert_true(n <= HTTP_PROBE_BODY_MAX_BYTES + 100);
}

static void refuses_what_would_be_more_than_one_request(void **state)
{
    static const struct {
        const char *path;
        const char *host;
        uint32_t low;
        uint32_t high;
        const char *text;
        const char *why;
    } table[] = {
        {"healthz", NULL, 200, 399, NULL, "path"},
        {"/a b", NULL, 200, 399, NULL, "path"},
        {"/a\r\nX: y", NULL, 200, 399, NULL, "path"},
        {"/", "a\r\nX: y", 200, 399, NULL, "host header"},
        {"/", "", 200, 399, NULL, "host header"},
        {"/", NULL, 99, 399, NULL, "statuses"},
        {"/", NULL, 200, 600, NULL, "statuses"},
        {"/", NULL, 400, 200, NULL, "statuses"},
        {"/", NULL, 200, 399, "", "text"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        const struct http_expect expect = {table[i].path, table[i].host, table[i].low,
                                           table[i].high, table[i].text};
        const char *why = NULL;
        assert_int_equal(http_expect_check(&expect, &why), ERR_INVALID);
        assert_non_null(strstr(why, table[i].why));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks_for_a_path_at_an_endpoint_once),
        cmocka_unit_test(judges_answers_however_they_are_cut),
        cmocka_unit_test(takes_the_range_of_statuses_that_it_was_told),
        cmocka_unit_test(finds_a_text_exactly_where_it_is),
        cmocka_unit_test(reads_no_more_than_its_bounds),
        cmocka_unit_test(refuses_what_would_be_more_than_one_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
