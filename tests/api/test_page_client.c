/* The client for pages, against our own server and against one that says what it likes. The ports
 * are the system's choice. */
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

#include "api/client/page_client.h"
#include "core/base/mem.h"
#include "tests/support/rpc_echo.h"

#define PATIENCE_MS 20000

/* A server that answers every connection with the same bytes, whatever it is asked. */
struct parrot {
    uv_tcp_t tcp;
    uv_tcp_t peer;
    uv_write_t write;
    const char *says;
    size_t says_len;
    bool closes; /* behind that */
    bool has_peer;
};

struct pages {
    uv_loop_t loop;
    uv_timer_t guard;
    struct rpc_io io;
    struct rpc_tls *tls; /* NULL: none */
    struct parrot parrot;
    char endpoint[64];
    unsigned told;
    int status;
    char why[128];
    struct buf body;
    struct page_get *get;
};

static void parrot_on_written(uv_write_t *write, int status)
{
    struct parrot *p = write->data;
    (void)status;
    if (p->closes) {
        p->has_peer = false;
        uv_close((uv_handle_t *)&p->peer, NULL);
    }
}

static void parrot_on_connection(uv_stream_t *stream, int status)
{
    struct parrot *p = stream->data;
    assert_int_equal(status, 0);
    assert_int_equal(uv_tcp_init(stream->loop, &p->peer), 0);
    assert_int_equal(uv_accept(stream, (uv_stream_t *)&p->peer), 0);
    p->has_peer = true;
    char *bytes = mem_alloc(p->says_len + 1);
    memcpy(bytes, p->says, p->says_len);
    uv_buf_t buf = uv_buf_init(bytes, (unsigned)p->says_len);
    if (p->says_len > 0) {
        p->write.data = p;
        assert_int_equal(uv_write(&p->write, (uv_stream_t *)&p->peer, &buf, 1, parrot_on_written),
                         0);
        assert_int_equal(uv_stream_get_write_queue_size((uv_stream_t *)&p->peer), 0);
    }
    mem_free(bytes); /* what is small leaves at once */
}

static void pages_on_guard(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("nothing came of it in %d ms", PATIENCE_MS);
}

static void pages_open(struct pages *p, const char *says, bool closes)
{
    struct sockaddr_in at;
    struct sockaddr_in found;
    int len = sizeof found;
    memset(p, 0, sizeof *p);
    buf_init(&p->body);
    assert_int_equal(uv_loop_init(&p->loop), 0);
    assert_int_equal(uv_timer_init(&p->loop, &p->guard), 0);
    assert_int_equal(uv_timer_start(&p->guard, pages_on_guard, PATIENCE_MS, 0), 0);
    rpc_io_open(&p->io, &p->loop);
    p->parrot.says = says;
    p->parrot.says_len = strlen(says);
    p->parrot.closes = closes;
    assert_int_equal(uv_tcp_init(&p->loop, &p->parrot.tcp), 0);
    p->parrot.tcp.data = &p->parrot;
    assert_int_equal(uv_ip4_addr("127.0.0.1", 0, &at), 0);
    assert_int_equal(uv_tcp_bind(&p->parrot.tcp, (struct sockaddr *)&at, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&p->parrot.tcp, 8, parrot_on_connection), 0);
    assert_int_equal(uv_tcp_getsockname(&p->parrot.tcp, (struct sockaddr *)&found, &len), 0);
    (void)snprintf(p->endpoint, sizeof p->endpoint, "http://127.0.0.1:%u", ntohs(found.sin_port));
}

static void pages_close(struct pages *p)
{
    rpc_io_close(&p->io, NULL, NULL);
    uv_close((uv_handle_t *)&p->guard, NULL);
    uv_close((uv_handle_t *)&p->parrot.tcp, NULL);
    if (p->parrot.has_peer) {
        uv_close((uv_handle_t *)&p->parrot.peer, NULL);
    }
    assert_int_equal(uv_run(&p->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&p->loop), 0);
    buf_deinit(&p->body);
}

static void pages_on_done(void *arg, int status, struct bytes body, const char *why)
{
    struct pages *p = arg;
    p->told++;
    p->status = status;
    (void)snprintf(p->why, sizeof p->why, "%s", why);
    buf_put(&p->body, body.data, body.len);
    uv_stop(&p->loop);
}

static enum err pages_begin(struct pages *p, const char *endpoint, nanos timeout)
{
    const struct page_request request = {.endpoint = endpoint,
                                         .path = "/version",
                                         .tls = p->tls,
                                         .timeout = timeout,
                                         .done = pages_on_done,
                                         .arg = p};
    return page_get_begin(&p->io, &request, &p->get);
}

/* Gets, and waits for what comes of it. */
static void pages_get(struct pages *p, const char *endpoint, nanos timeout)
{
    assert_int_equal(pages_begin(p, endpoint, timeout), OK);
    assert_int_equal(p->told, 0);
    (void)uv_run(&p->loop, UV_RUN_DEFAULT);
    assert_int_equal(p->told, 1);
}

static void fails_with(const char *says, bool closes, nanos timeout, const char *why)
{
    struct pages p;
    pages_open(&p, says, closes);
    pages_get(&p, p.endpoint, timeout);
    assert_int_equal(p.status, 0);
    assert_string_equal(p.why, why);
    pages_close(&p);
}

static void gets_a_page_of_our_server(void **state)
{
    (void)state;
    struct pages p;
    struct echo_log log;
    struct rpc_config config = echo_config(&log);
    struct rpc_server *server = NULL;
    char endpoint[64];
    pages_open(&p, "", false);
    assert_int_equal(rpc_server_open(&p.loop, &config, &server), OK);
    (void)snprintf(endpoint, sizeof endpoint, "127.0.0.1:%u", (unsigned)rpc_server_port(server));
    pages_get(&p, endpoint, 10 * NANOS_PER_S);
    assert_int_equal(p.status, 200);
    assert_true(p.body.len > 0 && p.body.data[0] == '{');
    rpc_server_close(server, NULL, NULL);
    pages_close(&p);
}

static void takes_answers_with_and_without_a_length(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\nabcd",
    };
    for (size_t i = 0; i < COUNT_OF(answers); i++) {
        struct pages p;
        pages_open(&p, answers[i], true);
        pages_get(&p, p.endpoint, 10 * NANOS_PER_S);
        assert_int_equal(p.status, 200);
        assert_int_equal(p.body.len, 4);
        assert_memory_equal(p.body.data, "abcd", 4);
        pages_close(&p);
    }
}

static void tells_what_went_wrong(void **state)
{
    (void)state;
    fails_with("SSH-2.0-OpenSSH_9.2\r\n", false, 10 * NANOS_PER_S, "the answer is not HTTP");
    fails_with("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabcd", true, 10 * NANOS_PER_S,
               "the connection was lost");
    fails_with("", false, 50 * NANOS_PER_MS, "it does not answer");
    fails_with("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabcd", false, 50 * NANOS_PER_MS,
               "it does not answer");

    struct pages p;
    pages_open(&p, "", false);
    uv_close((uv_handle_t *)&p.parrot.tcp, NULL);
    while (uv_is_active((uv_handle_t *)&p.parrot.tcp)) {
        (void)uv_run(&p.loop, UV_RUN_NOWAIT);
    }
    (void)uv_run(&p.loop, UV_RUN_NOWAIT);
    pages_get(&p, p.endpoint, 10 * NANOS_PER_S);
    assert_int_equal(p.status, 0);
    assert_string_equal(p.why, "it cannot be reached");
    assert_int_equal(uv_tcp_init(&p.loop, &p.parrot.tcp), 0);
    pages_close(&p);
}

static void tells_why_tls_failed(void **state)
{
    (void)state;
    struct pages p;
    char endpoint[64], text[RPC_TLS_TEXT_BYTES];
    const struct rpc_tls_files files = {.skip_verify = true};
    pages_open(&p, "HTTP/1.1 400 Bad Request\r\n\r\n", false);
    assert_int_equal(rpc_tls_open(&files, RPC_TLS_CLIENT, text, &p.tls), OK);
    (void)snprintf(endpoint, sizeof endpoint, "https%s", strchr(p.endpoint, ':'));
    pages_get(&p, endpoint, 10 * NANOS_PER_S);
    assert_int_equal(p.status, 0);
    assert_string_equal(p.why, "TLS failed: wrong version number");
    rpc_tls_close(p.tls);
    pages_close(&p);
}

static void refuses_endpoints_that_are_none(void **state)
{
    (void)state;
    struct pages p;
    pages_open(&p, "", false);
    assert_int_equal(pages_begin(&p, "", NANOS_PER_S), ERR_INVALID);
    assert_int_equal(pages_begin(&p, "https://127.0.0.1:1", NANOS_PER_S), ERR_INVALID);
    assert_int_equal(pages_begin(&p, "127.0.0.1:x", NANOS_PER_S), ERR_INVALID);
    pages_close(&p);
}

static void tells_nothing_of_what_was_dropped(void **state)
{
    (void)state;
    struct pages p;
    pages_open(&p, "", false);
    assert_int_equal(pages_begin(&p, p.endpoint, NANOS_PER_S), OK);
    page_get_drop(p.get); /* while its address is looked up */
    assert_int_equal(pages_begin(&p, p.endpoint, NANOS_PER_S), OK);
    while (!p.parrot.has_peer) {
        (void)uv_run(&p.loop, UV_RUN_ONCE);
    }
    page_get_drop(p.get);
    pages_close(&p);
    assert_int_equal(p.told, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gets_a_page_of_our_server),
        cmocka_unit_test(takes_answers_with_and_without_a_length),
        cmocka_unit_test(tells_what_went_wrong),
        cmocka_unit_test(tells_why_tls_failed),
        cmocka_unit_test(refuses_endpoints_that_are_none),
        cmocka_unit_test(tells_nothing_of_what_was_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
