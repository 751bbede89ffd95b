/* Spans as OTLP's JSON, and the exporter against collectors of every kind: its thread is real, and
 * so are the sockets, on ports of the system's choice. */
#include "tests/support/test.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <jansson.h>

#include "api/otlp/otlp_int.h"
#include "core/base/check.h"

/* --- the encoding ---------------------------------------------------------------------------- */

static struct trace_span span_named(const char *name)
{
    struct trace_span s;
    memset(&s, 0, sizeof s);
    s.trace = (struct trace_id){0x0123456789abcdefULL, 0xf};
    s.id = 0x10;
    s.name = name;
    s.kind = TRACE_SERVER;
    s.begin = 1000;
    s.end = 3000;
    return s;
}

static const char *text_at(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static void writes_the_shape_that_otlp_has(void **state)
{
    (void)state;
    const struct otlp_resource resource = {.service = "novacrond", .instance = "node \"1\""};
    struct trace_span spans[] = {span_named("a.B/C"), span_named("fence")};
    struct buf b;
    buf_init(&b);
    spans[0].parent = 0xff;
    trace_span_text(&spans[0], "rpc.method", "C\xFF\n");
    trace_span_number(&spans[0], "rpc.grpc.status_code", 14);
    trace_span_fail(&spans[0], "no \"leader\"");
    otlp_encode(&resource, spans, 2, 1700000000000000000LL, &b);
    json_t *root = json_loadb((const char *)b.data, b.len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    const json_t *rs = json_array_get(json_object_get(root, "resourceSpans"), 0);
    const json_t *attributes = json_object_get(json_object_get(rs, "resource"), "attributes");
    assert_int_equal(json_array_size(attributes), 2);
    assert_string_equal(text_at(json_array_get(attributes, 0), "key"), "service.name");
    const json_t *list =
        json_object_get(json_array_get(json_object_get(rs, "scopeSpans"), 0), "spans");
    assert_int_equal(json_array_size(list), 2);
    const json_t *s = json_array_get(list, 0);
    assert_string_equal(text_at(s, "traceId"), "0123456789abcdef000000000000000f");
    assert_string_equal(text_at(s, "spanId"), "0000000000000010");
    assert_string_equal(text_at(s, "parentSpanId"), "00000000000000ff");
    assert_string_equal(text_at(s, "name"), "a.B/C");
    assert_int_equal(json_integer_value(json_object_get(s, "kind")), 2);
    assert_string_equal(text_at(s, "startTimeUnixNano"), "1700000000000001000");
    assert_string_equal(text_at(s, "endTimeUnixNano"), "1700000000000003000");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(s, "status"), "code")), 2);
    assert_string_equal(text_at(json_object_get(s, "status"), "message"), "no \"leader\"");
    const json_t *number =
        json_object_get(json_array_get(json_object_get(s, "attributes"), 1), "value");
    assert_string_equal(text_at(number, "intValue"), "14");
    s = json_array_get(list, 1);
    assert_null(json_object_get(s, "parentSpanId"));
    assert_int_equal(json_object_size(json_object_get(s, "status")), 0);
    json_decref(root);
    buf_deinit(&b);
}

static void reads_urls_of_collectors(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host, *port, *path;
    } good[] = {
        {"http://127.0.0.1", "127.0.0.1", "4318", "/v1/traces"},
        {"http://127.0.0.1/", "127.0.0.1", "4318", "/v1/traces"},
        {"http://localhost:14318/v1/traces", "localhost", "14318", "/v1/traces"},
        {"http://[::1]:4318/otlp", "::1", "4318", "/otlp"},
        {"http://[fd00::2]", "fd00::2", "4318", "/v1/traces"},
    };
    static const char *const bad[] = {
        "",           "127.0.0.1:4318",        "https://127.0.0.1", "http://",       "http:///v1",
        "http://a:x", "http://a:123456/",      "http://[::1",       "http://[::1]x", "http://a b/",
        "http://:1",  "http://a/x\r\nEvil: 1",
    };
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct otlp_endpoint e;
        assert_true(otlp_endpoint_parse(good[i].text, &e));
        assert_string_equal(e.host, good[i].host);
        assert_string_equal(e.port, good[i].port);
        assert_string_equal(e.path, good[i].path);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct otlp_endpoint e;
        char why[OTLP_WHY_BYTES];
        assert_false(otlp_endpoint_parse(bad[i], &e));
        assert_int_equal(otlp_endpoint_check(bad[i], why), ERR_INVALID);
        assert_true(strlen(why) > 10);
    }
}

/* --- collectors ------------------------------------------------------------------------------ */

/* Answers each connection's requests with `says`, which may be nothing. */
struct collector {
    pthread_t thread;
    int listener;
    const char *says;
    bool closes; /* behind its answer */
    char url[64];
    pthread_mutex_t lock;
    unsigned connections;
    struct buf heard;
    int stop[2];
};

/* Reads until the other side waits for an answer, or is gone. False: it is. */
static bool collector_hear(struct collector *c, int fd)
{
    char bytes[65536];
    size_t wanted = SIZE_MAX;
    struct buf request;
    buf_init(&request);
    while (request.len < wanted) {
        ssize_t n = recv(fd, bytes, sizeof bytes, 0);
        if (n <= 0) {
            buf_deinit(&request);
            return false;
        }
        buf_put(&request, bytes, (size_t)n);
        const char *end = memmem(request.data, request.len, "\r\n\r\n", 4);
        const char *length = memmem(request.data, request.len, "Content-Length: ", 16);
        if (end != NULL && length != NULL) {
            size_t head = (size_t)(end - (const char *)request.data) + 4;
            wanted = head + strtoul(length + 16, NULL, 10);
        }
    }
    CHECK(pthread_mutex_lock(&c->lock) == 0);
    buf_put(&c->heard, request.data, request.len);
    CHECK(pthread_mutex_unlock(&c->lock) == 0);
    buf_deinit(&request);
    return true;
}

static void *collector_main(void *arg)
{
    struct collector *c = arg;
    for (;;) {
        int fd = accept(c->listener, NULL, NULL);
        if (fd < 0) {
            return NULL;
        }
        CHECK(pthread_mutex_lock(&c->lock) == 0);
        c->connections++;
        CHECK(pthread_mutex_unlock(&c->lock) == 0);
        while (collector_hear(c, fd)) {
            (void)send(fd, c->says, strlen(c->says), MSG_NOSIGNAL);
            if (c->closes) {
                break;
            }
        }
        (void)close(fd);
    }
}

static void collector_open(struct collector *c, const char *says, bool closes)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    memset(c, 0, sizeof *c);
    c->says = says;
    c->closes = closes;
    buf_init(&c->heard);
    assert_int_equal(pthread_mutex_init(&c->lock, NULL), 0);
    c->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(c->listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(c->listener, 8), 0);
    assert_int_equal(getsockname(c->listener, (struct sockaddr *)&at, &len), 0);
    (void)snprintf(c->url, sizeof c->url, "http://127.0.0.1:%u/v1/traces", ntohs(at.sin_port));
    assert_int_equal(pthread_create(&c->thread, NULL, collector_main, c), 0);
}

/* After the exporter, whose end ends the connection. */
static void collector_close(struct collector *c)
{
    (void)shutdown(c->listener, SHUT_RDWR);
    assert_int_equal(pthread_join(c->thread, NULL), 0);
    (void)close(c->listener);
    buf_deinit(&c->heard);
}

static struct otlp *exporter_open(const char *url)
{
    const struct otlp_resource resource = {.service = "test"};
    char why[OTLP_WHY_BYTES];
    struct otlp *o = NULL;
    assert_int_equal(otlp_open(url, &resource, why, &o), OK);
    return o;
}

static void exporter_put(struct otlp *o, size_t n)
{
    const struct trace_sink sink = otlp_sink(o);
    for (size_t i = 0; i < n; i++) {
        struct trace_span s = span_named("put");
        s.id = i + 1;
        sink.take(sink.ctx, &s);
    }
}

#define TAKEN "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"

/* Puts, ends, and says what was counted: the end sends what waits. */
static struct otlp_counters exported(struct otlp *o, nanos patience)
{
    nanos begin = otlp_clock();
    struct otlp_counters c = {0};
    while (otlp_clock() - begin < patience) {
        c = otlp_counters_read(o);
        if (c.waiting == 0 || c.requests_failed > 0) {
            break;
        }
        (void)usleep(2000);
    }
    return c;
}

static void brings_spans_to_a_collector(void **state)
{
    (void)state;
    struct collector c;
    collector_open(&c, TAKEN, false);
    struct otlp *o = exporter_open(c.url);
    exporter_put(o, 3);
    struct otlp_counters n = exported(o, 10 * NANOS_PER_S);
    assert_int_equal(n.exported, 3);
    exporter_put(o, 1);
    n = exported(o, 10 * NANOS_PER_S);
    assert_int_equal(n.taken, 4);
    assert_int_equal(n.exported, 4);
    assert_int_equal(n.dropped + n.failed + n.requests_failed, 0);
    assert_int_equal(n.requests, 2);
    otlp_close(o, NANOS_PER_S);
    assert_int_equal(c.connections, 1); /* which was kept */
    assert_non_null(memmem(c.heard.data, c.heard.len, "POST /v1/traces HTTP/1.1\r\n", 26));
    assert_non_null(memmem(c.heard.data, c.heard.len, "\"spanId\":\"0000000000000003\"", 27));
    collector_close(&c);
}

static void sends_what_waits_at_the_end(void **state)
{
    (void)state;
    struct collector c;
    collector_open(&c, TAKEN, true);
    struct otlp *o = exporter_open(c.url);
    exporter_put(o, 700); /* two batches */
    otlp_close(o, 10 * NANOS_PER_S);
    size_t spans = 0;
    const uint8_t *at = c.heard.data;
    size_t left = c.heard.len;
    for (;;) {
        const uint8_t *found = memmem(at, left, "\"spanId\"", 8);
        if (found == NULL) {
            break;
        }
        spans++;
        left -= (size_t)(found + 8 - at);
        at = found + 8;
    }
    assert_int_equal(spans, 700);
    collector_close(&c);
}

static void drops_what_has_no_room_and_counts_it(void **state)
{
    (void)state;
    struct collector c;
    collector_open(&c, "", false); /* takes requests, and never answers */
    struct otlp *o = exporter_open(c.url);
    nanos begin = otlp_clock();
    exporter_put(o, 5 * OTLP_QUEUE_SPANS);
    nanos spent = otlp_clock() - begin;
    struct otlp_counters n = otlp_counters_read(o);
    assert_int_equal(n.taken + n.dropped, 5 * OTLP_QUEUE_SPANS);
    assert_in_range(n.taken, OTLP_QUEUE_SPANS, 3 * OTLP_QUEUE_SPANS);
    assert_true(spent < NANOS_PER_S); /* it waited for nobody */
    begin = otlp_clock();
    otlp_close(o, 100 * NANOS_PER_MS);
    assert_true(otlp_clock() - begin < 3 * NANOS_PER_S);
    collector_close(&c);
}

static void gives_up_what_is_refused(void **state)
{
    (void)state;
    struct collector c;
    collector_open(&c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", false);
    struct otlp *o = exporter_open(c.url);
    exporter_put(o, 2);
    struct otlp_counters n = exported(o, 10 * NANOS_PER_S);
    assert_int_equal(n.failed, 2);
    assert_int_equal(n.requests, 1); /* trying again does not help */
    otlp_close(o, NANOS_PER_S);
    collector_close(&c);
}

static void survives_collectors_that_are_none(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "\xff\xff\xff\xff",
    };
    for (size_t i = 0; i < COUNT_OF(answers); i++) {
        struct collector c;
        collector_open(&c, answers[i], true);
        struct otlp *o = exporter_open(c.url);
        exporter_put(o, 1);
        struct otlp_counters n = exported(o, 10 * NANOS_PER_S);
        assert_true(n.requests_failed >= 1);
        assert_int_equal(n.exported, 0);
        otlp_close(o, 10 * NANOS_PER_MS);
        collector_close(&c);
    }
    struct otlp *o = exporter_open("http://127.0.0.1:1/"); /* nobody is there */
    exporter_put(o, 1);
    struct otlp_counters n = exported(o, 10 * NANOS_PER_S);
    assert_int_equal(n.requests_failed, 1);
    assert_int_equal(n.waiting, 1); /* it is tried again */
    otlp_close(o, 10 * NANOS_PER_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_the_shape_that_otlp_has),
        cmocka_unit_test(reads_urls_of_collectors),
        cmocka_unit_test(brings_spans_to_a_collector),
        cmocka_unit_test(sends_what_waits_at_the_end),
        cmocka_unit_test(drops_what_has_no_room_and_counts_it),
        cmocka_unit_test(gives_up_what_is_refused),
        cmocka_unit_test(survives_collectors_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
