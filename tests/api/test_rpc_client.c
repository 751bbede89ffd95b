/* Server and client on loopback: sockets, TLS, failover, endings. The ports are the system's
 * choice. */
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "api/client/rpc_client.h"
#include "api/client/rpc_client_int.h"
#include "core/base/check.h"
#include "core/base/mem.h"
#include "tests/support/rpc_echo.h"

/* No test waits longer than this for what must happen. */
#define PATIENCE_MS 20000

struct loopback {
    uv_loop_t loop;
    uv_timer_t guard;
    struct echo_log log;
    struct rpc_config config;
    struct rpc_server *server;
    struct rpc_io io;
    struct rpc_client *client;
    bool server_closed;
    char endpoint[64];
};

/* What came of a call. */
struct outcome {
    struct loopback *pair;
    size_t messages, bytes;
    char last[64];
    bool done;
    int status;
    char text[256];
    char remark[256]; /* "name=value" */
    size_t stop_at;   /* messages at which the loop stops */
};

static void loopback_on_guard(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("nothing came of it in %d ms", PATIENCE_MS);
}

static void loopback_open_server(struct loopback *p, const struct rpc_tls *tls)
{
    p->config = echo_config(&p->log);
    p->config.tls = tls;
    assert_int_equal(rpc_server_open(&p->loop, &p->config, &p->server), OK);
    p->server_closed = false;
    snprintf(p->endpoint, sizeof p->endpoint, "127.0.0.1:%u", (unsigned)rpc_server_port(p->server));
}

static void loopback_open_client(struct loopback *p, const char *const *endpoints, size_t count,
                                 const struct rpc_tls *tls)
{
    const struct rpc_client_config config = {
        .endpoints = endpoints, .endpoint_count = count, .tls = tls};
    assert_int_equal(rpc_client_open(&p->io, &config, &p->client), OK);
}

static void loopback_init(struct loopback *p)
{
    memset(p, 0, sizeof *p);
    assert_int_equal(uv_loop_init(&p->loop), 0);
    assert_int_equal(uv_timer_init(&p->loop, &p->guard), 0);
    assert_int_equal(uv_timer_start(&p->guard, loopback_on_guard, PATIENCE_MS, 0), 0);
    rpc_io_open(&p->io, &p->loop);
}

static void loopback_open(struct loopback *p)
{
    loopback_init(p);
    loopback_open_server(p, NULL);
    const char *const endpoints[] = {p->endpoint};
    loopback_open_client(p, endpoints, 1, NULL);
}

static void loopback_on_server_closed(void *arg)
{
    struct loopback *p = arg;
    p->server_closed = true;
}

static void loopback_close_server(struct loopback *p)
{
    if (p->server != NULL) {
        rpc_server_close(p->server, loopback_on_server_closed, p);
        p->server = NULL;
    }
}

static void loopback_close(struct loopback *p)
{
    if (p->client != NULL) {
        rpc_client_close(p->client);
    }
    loopback_close_server(p);
    rpc_io_close(&p->io, NULL, NULL);
    uv_close((uv_handle_t *)&p->guard, NULL);
    assert_int_equal(uv_run(&p->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&p->loop), 0);
    assert_true(p->server_closed);
    assert_int_equal(p->log.gone, p->log.begun);
}

static void outcome_on_message(void *arg, struct bytes message)
{
    struct outcome *o = arg;
    o->messages++;
    o->bytes += message.len;
    snprintf(o->last, sizeof o->last, "%.*s", (int)message.len, (const char *)message.data);
    if (o->messages == o->stop_at) {
        uv_stop(&o->pair->loop);
    }
}

static void outcome_on_done(void *arg, int status, const char *text)
{
    struct outcome *o = arg;
    assert_false(o->done);
    o->done = true;
    o->status = status;
    snprintf(o->text, sizeof o->text, "%s", text);
    uv_stop(&o->pair->loop);
}

static void outcome_on_remark(void *arg, const char *name, const char *value)
{
    struct outcome *o = arg;
    assert_false(o->done);
    snprintf(o->remark, sizeof o->remark, "%s=%s", name, value);
}

static const struct rpc_client_ops outcome_ops = {
    .message = outcome_on_message,
    .done = outcome_on_done,
    .remark = outcome_on_remark,
};

static struct bytes text_view(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static void run_until_done(struct outcome *o)
{
    while (!o->done) {
        (void)uv_run(&o->pair->loop, UV_RUN_DEFAULT);
    }
}

/* A unary call, from its beginning to its end. */
static struct outcome ask_once(struct loopback *p, const char *path, const char *payload,
                               nanos timeout)
{
    struct outcome o = {.pair = p};
    struct rpc_client_call *call = rpc_client_start(p->client, path, timeout, &outcome_ops, &o);
    (void)rpc_client_send(call, text_view(payload), true);
    run_until_done(&o);
    return o;
}

static void asks_and_is_answered(void **state)
{
    (void)state;
    struct loopback p;
    loopback_open(&p);
    rpc_client_set_metadata(p.client, "token", "abc.7");
    struct outcome o = ask_once(&p, "/test.Echo/Unary", "hello", 0);
    assert_int_equal(o.status, RPC_OK);
    assert_string_equal(o.last, "hello");
    assert_string_equal(p.log.token, "abc.7");
    assert_int_equal(strncmp(p.log.peer, "127.0.0.1:", 10), 0);
    o = ask_once(&p, "/test.Echo/Fail", "", 0);
    assert_int_equal(o.status, RPC_FAILED_PRECONDITION);
    assert_string_equal(o.text, ECHO_FAILURE);
    o = ask_once(&p, "/test.Echo/Stream", "x", 0);
    assert_int_equal(o.messages, 3);
    o = ask_once(&p, "/test.Echo/Nope", "x", 0);
    assert_int_equal(o.status, RPC_NO_SUCH_METHOD);
    assert_int_equal(rpc_server_counters(p.server)->connections_accepted, 1);
    loopback_close(&p);
}

static void tells_what_the_server_remarks(void **state)
{
    (void)state;
    struct loopback p;
    loopback_open(&p);
    assert_string_equal(ask_once(&p, "/test.Echo/Unary", "hello", 0).remark, "");
    p.log.remark = "100 % of it";
    assert_string_equal(ask_once(&p, "/test.Echo/Unary", "hello", 0).remark,
                        "novacron-echo=100 % of it");
    assert_string_equal(ask_once(&p, "/test.Echo/Fail", "", 0).remark, "novacron-echo=100 % of it");
    loopback_close(&p);
}

static void carries_large_messages_both_ways(void **state)
{
    (void)state;
    struct loopback p;
    loopback_open(&p);
    size_t n = (size_t)2 << 20;
    char *payload = mem_alloc(n + 1);
    memset(payload, 'x', n);
    payload[n] = '\0';
    struct outcome o = ask_once(&p, "/test.Echo/Stream", payload, 0);
    assert_int_equal(o.status, RPC_OK);
    assert_int_equal(o.bytes, 3 * n);
    o = ask_once(&p, "/test.Echo/Flood", "", 0);
    assert_int_equal(o.messages, ECHO_FLOOD_COUNT);
    assert_true(p.log.writable > 0);
    mem_free(payload);
    loopback_close(&p);
}

static void talks_on_a_stream(void **state)
{
    (void)state;
    struct loopback p;
    loopback_open(&p);
    struct outcome o = {.pair = &p};
    struct rpc_client_call *call =
        rpc_client_start(p.client, "/test.Echo/Bidi", 0, &outcome_ops, &o);
    for (size_t i = 1; i <= 10; i++) {
        char text[16];
        snprintf(text, sizeof text, "%zu", i);
        o.stop_at = i;
        assert_true(rpc_client_send(call, text_view(text), false));
        (void)uv_run(&p.loop, UV_RUN_DEFAULT);
        assert_int_equal(o.messages, i);
        assert_string_equal(o.last, text);
    }
    rpc_client_half_close(call);
    run_until_done(&o);
    assert_int_equal(o.status, RPC_OK);
    loopback_close(&p);
}

static void gives_up_at_the_deadline(void **state)
{
    (void)state;
    struct loopback p;
    loopback_open(&p);
    struct outcome o = ask_once(&p, "/test.Echo/Never", "", 50 * NANOS_PER_MS);
    assert_int_equal(o.status, RPC_DEADLINE_EXCEEDED);
    loopback_close(&p);
}

static void cancels_and_hears_no_more(void **state)
{
    (void)state;
    struct loopback p;
    loopback_open(&p);
    struct outcome o = {.pair = &p, .stop_at = 1};
    struct rpc_client_call *call =
        rpc_client_start(p.client, "/test.Echo/Open", 0, &outcome_ops, &o);
    (void)rpc_client_send(call, text_view("x"), false);
    (void)uv_run(&p.loop, UV_RUN_DEFAULT);
    rpc_client_cancel(call);
    while (p.log.gone == 0) {
        (void)uv_run(&p.loop, UV_RUN_ONCE);
    }
    assert_false(o.done);
    loopback_close(&p);
}

static void goes_on_to_the_endpoint_that_lives(void **state)
{
    (void)state;
    struct loopback p;
    loopback_init(&p);
    loopback_open_server(&p, NULL);
    /* Port 1 of loopback refuses at once. */
    const char *const endpoints[] = {"127.0.0.1:1", "http://127.0.0.1:1", p.endpoint};
    loopback_open_client(&p, endpoints, 3, NULL);
    struct outcome o = ask_once(&p, "/test.Echo/Unary", "x", 0);
    assert_int_equal(o.status, RPC_OK);
    assert_string_equal(rpc_client_endpoint(p.client), p.endpoint);
    loopback_close(&p);
}

static void fails_when_no_endpoint_lives(void **state)
{
    (void)state;
    struct loopback p;
    loopback_init(&p);
    loopback_open_server(&p, NULL);
    const char *const endpoints[] = {"127.0.0.1:1", "localhost:1"};
    loopback_open_client(&p, endpoints, 2, NULL);
    for (int i = 0; i < 2; i++) {
        struct outcome o = ask_once(&p, "/test.Echo/Unary", "x", 0);
        assert_int_equal(o.status, RPC_UNAVAILABLE);
        assert_string_equal(o.text, "the server cannot be reached");
    }
    loopback_close(&p);
}

static void connects_again_after_the_server_was_away(void **state)
{
    (void)state;
    struct loopback p;
    loopback_open(&p);
    struct outcome o = {.pair = &p, .stop_at = 1};
    struct rpc_client_call *call =
        rpc_client_start(p.client, "/test.Echo/Open", 0, &outcome_ops, &o);
    (void)rpc_client_send(call, text_view("x"), false);
    (void)uv_run(&p.loop, UV_RUN_DEFAULT);
    uint16_t port = rpc_server_port(p.server);
    loopback_close_server(&p);
    assert_int_equal(p.log.gone, 1);
    run_until_done(&o);
    assert_int_equal(o.status, RPC_UNAVAILABLE);
    while (!p.server_closed) {
        (void)uv_run(&p.loop, UV_RUN_ONCE);
    }
    assert_int_equal(ask_once(&p, "/test.Echo/Unary", "x", 0).status, RPC_UNAVAILABLE);
    struct echo_log log = p.log;
    p.config.port = port;
    p.server_closed = false;
    assert_int_equal(rpc_server_open(&p.loop, &p.config, &p.server), OK);
    p.log = log;
    assert_int_equal(ask_once(&p, "/test.Echo/Unary", "x", 0).status, RPC_OK);
    loopback_close(&p);
}

static void leaves_a_draining_server_when_its_calls_have_ended(void **state)
{
    (void)state;
    struct loopback p;
    loopback_open(&p);
    struct outcome o = {.pair = &p, .stop_at = 1};
    struct rpc_client_call *call =
        rpc_client_start(p.client, "/test.Echo/Bidi", 0, &outcome_ops, &o);
    (void)rpc_client_send(call, text_view("x"), false);
    (void)uv_run(&p.loop, UV_RUN_DEFAULT);
    rpc_server_drain(p.server);
    assert_int_equal(rpc_server_call_count(p.server), 1);
    o.stop_at = 2;
    (void)rpc_client_send(call, text_view("y"), true);
    run_until_done(&o);
    assert_int_equal(o.status, RPC_OK);
    assert_string_equal(o.last, "y");
    while (rpc_server_counters(p.server)->connections_open > 0) {
        (void)uv_run(&p.loop, UV_RUN_ONCE);
    }
    assert_int_equal(rpc_server_call_count(p.server), 0);
    loopback_close(&p);
}

static void says_why_it_cannot_listen(void **state)
{
    (void)state;
    struct loopback p;
    loopback_open(&p);
    struct rpc_server *other = NULL;
    struct rpc_config config = p.config;
    config.port = rpc_server_port(p.server);
    assert_int_equal(rpc_server_open(&p.loop, &config, &other), ERR_EXISTS);
    config.address = "not an address";
    assert_int_equal(rpc_server_open(&p.loop, &config, &other), ERR_INVALID);
    assert_null(other);
    loopback_close(&p);
}

static void reads_endpoints_of_every_kind(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host;
        uint16_t port;
        bool tls;
    } good[] = {
        {"127.0.0.1:2379", "127.0.0.1", 2379, false},
        {"http://localhost:1/", "localhost", 1, false},
        {"https://[::1]:65535", "::1", 65535, true},
        {"[::1]", "::1", 2379, false},
        {"localhost", "localhost", 2379, false},
    };
    static const char *const bad[] = {
        "",      "http://", ":2379",    "a:0",      "a:65536", "a:x",
        "a:1/b", "[::1",    "[::1]x:1", "a:123456", "a:",      "[]:1",
    };
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct rpc_endpoint e;
        assert_true(endpoint_parse(good[i].text, false, &e));
        assert_string_equal(e.host, good[i].host);
        assert_int_equal(e.port, good[i].port);
        assert_int_equal(e.tls, good[i].tls);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct rpc_endpoint e;
        if (endpoint_parse(bad[i], false, &e)) {
            fail_msg("%s was taken for an endpoint", bad[i]);
        }
    }
}

/* Calls rpc_client_next_endpoint from inside the session. */
static void outcome_on_message_leave(void *arg, struct bytes message)
{
    struct outcome *o = arg;
    outcome_on_message(arg, message);
    rpc_client_next_endpoint(o->pair->client);
}

static void moves_to_the_next_endpoint_when_told_so_inside_a_callback(void **state)
{
    (void)state;
    static const struct rpc_client_ops ops = {
        .message = outcome_on_message_leave,
        .done = outcome_on_done,
    };
    struct loopback p;
    loopback_open(&p);
    struct outcome o = {.pair = &p};
    struct rpc_client_call *call = rpc_client_start(p.client, "/test.Echo/Open", 0, &ops, &o);
    (void)rpc_client_send(call, text_view("x"), false);
    run_until_done(&o);
    assert_int_equal(o.status, RPC_UNAVAILABLE);
    assert_int_equal(ask_once(&p, "/test.Echo/Unary", "x", 0).status, RPC_OK);
    assert_int_equal(rpc_server_counters(p.server)->connections_accepted, 2);
    loopback_close(&p);
}

/* --- TLS -------------------------------------------------------------------------------------- */

/* Files of a certificate that is its own authority. */
struct identity {
    char certificate[64], key[64];
};

static void identity_extend(X509 *x, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    CHECK(extension != NULL && X509_add_ext(x, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static struct identity identity_make(const char *folder, const char *name)
{
    struct identity id;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    CHECK(key != NULL && x != NULL && X509_set_version(x, 2) == 1);
    CHECK(ASN1_INTEGER_set(X509_get_serialNumber(x), 1) == 1);
    CHECK(X509_gmtime_adj(X509_getm_notBefore(x), -3600) != NULL);
    CHECK(X509_gmtime_adj(X509_getm_notAfter(x), 3600) != NULL);
    X509_NAME *subject = X509_get_subject_name(x);
    CHECK(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1,
                                     -1, 0) == 1);
    CHECK(X509_set_issuer_name(x, subject) == 1 && X509_set_pubkey(x, key) == 1);
    identity_extend(x, NID_basic_constraints, "critical,CA:TRUE");
    identity_extend(x, NID_subject_alt_name, "IP:127.0.0.1");
    CHECK(X509_sign(x, key, EVP_sha256()) > 0);
    snprintf(id.certificate, sizeof id.certificate, "%s/%s.crt", folder, name);
    snprintf(id.key, sizeof id.key, "%s/%s.key", folder, name);
    FILE *file = fopen(id.certificate, "w");
    CHECK(file != NULL && PEM_write_X509(file, x) == 1 && fclose(file) == 0);
    file = fopen(id.key, "w");
    CHECK(file != NULL && PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1 &&
          fclose(file) == 0);
    X509_free(x);
    EVP_PKEY_free(key);
    return id;
}

static void identity_forget(const struct identity *id)
{
    (void)unlink(id->certificate);
    (void)unlink(id->key);
}

static char cert_names[4][64];
static size_t cert_count;

static void cert_begin(struct rpc_call *call)
{
    const char *name = rpc_certificate_name(call);
    snprintf(cert_names[cert_count % 4], sizeof cert_names[0], "%s", name == NULL ? "-" : name);
    cert_count++;
}

static void cert_message(struct rpc_call *call, struct bytes message)
{
    (void)rpc_send(call, (struct bytes){NULL, 0}, message);
    rpc_finish(call, RPC_OK, NULL);
}

static const struct rpc_method cert_method = {
    .path = "/test.Cert/Who",
    .shape = RPC_UNARY,
    .begin = cert_begin,
    .message = cert_message,
};

static struct rpc_tls *tls_make(const struct identity *own, const struct identity *ca,
                                enum rpc_tls_side side, bool require)
{
    struct rpc_tls *tls = NULL;
    char why[RPC_TLS_TEXT_BYTES] = "";
    const struct rpc_tls_files files = {
        .certificate = own == NULL ? NULL : own->certificate,
        .key = own == NULL ? NULL : own->key,
        .ca = ca == NULL ? NULL : ca->certificate,
        .require_peer = require,
    };
    if (rpc_tls_open(&files, side, why, &tls) != OK) {
        fail_msg("%s", why);
    }
    return tls;
}

/* One call under TLS; its outcome. */
static struct outcome ask_under_tls(const struct rpc_tls *server, const struct rpc_tls *client,
                                    const char *payload)
{
    static const struct rpc_method *const methods[] = {&cert_method};
    struct loopback p;
    loopback_init(&p);
    p.config = echo_config(&p.log);
    p.config.methods = methods;
    p.config.method_count = 1;
    p.config.tls = server;
    assert_int_equal(rpc_server_open(&p.loop, &p.config, &p.server), OK);
    snprintf(p.endpoint, sizeof p.endpoint, "https://127.0.0.1:%u",
             (unsigned)rpc_server_port(p.server));
    const char *const endpoints[] = {p.endpoint};
    loopback_open_client(&p, endpoints, 1, client);
    struct outcome o = ask_once(&p, "/test.Cert/Who", payload, 0);
    loopback_close(&p);
    return o;
}

static void speaks_tls_and_knows_certificates(void **state)
{
    (void)state;
    char folder[] = "/tmp/novacron-tls-XXXXXX";
    assert_non_null(mkdtemp(folder));
    struct identity host = identity_make(folder, "host"), alice = identity_make(folder, "alice");
    struct identity eve = identity_make(folder, "eve");
    struct rpc_tls *plain = tls_make(&host, NULL, RPC_TLS_SERVER, false);
    struct rpc_tls *mutual = tls_make(&host, &alice, RPC_TLS_SERVER, true);
    struct rpc_tls *nobody = tls_make(NULL, &host, RPC_TLS_CLIENT, false);
    struct rpc_tls *as_alice = tls_make(&alice, &host, RPC_TLS_CLIENT, false);
    struct rpc_tls *as_eve = tls_make(&eve, &host, RPC_TLS_CLIENT, false);
    struct rpc_tls *distrusting = tls_make(NULL, &eve, RPC_TLS_CLIENT, false);

    cert_count = 0;
    char *large = mem_alloc(1000001);
    memset(large, 'x', 1000000);
    large[1000000] = '\0';
    struct outcome o = ask_under_tls(plain, nobody, large);
    assert_int_equal(o.status, RPC_OK);
    assert_int_equal(o.bytes, 1000000);
    assert_string_equal(cert_names[0], "-");
    assert_int_equal(ask_under_tls(mutual, as_alice, "x").status, RPC_OK);
    assert_string_equal(cert_names[1], "alice");
    assert_int_equal(ask_under_tls(mutual, as_eve, "x").status, RPC_UNAVAILABLE);
    assert_int_equal(ask_under_tls(mutual, nobody, "x").status, RPC_UNAVAILABLE);
    o = ask_under_tls(plain, distrusting, "x");
    assert_int_equal(o.status, RPC_UNAVAILABLE);
    assert_string_equal(o.text, "a certificate was refused: self-signed certificate");
    assert_int_equal(cert_count, 2);

    char why[RPC_TLS_TEXT_BYTES];
    struct rpc_tls *none = NULL;
    const struct rpc_tls_files missing = {.certificate = "/nonexistent/x.crt", .key = host.key};
    const struct rpc_tls_files mixed = {.certificate = host.certificate, .key = eve.key};
    const struct rpc_tls_files swapped = {.certificate = host.key, .key = host.certificate};
    assert_int_equal(rpc_tls_open(&missing, RPC_TLS_SERVER, why, &none), ERR_NOT_FOUND);
    assert_int_equal(rpc_tls_open(&mixed, RPC_TLS_SERVER, why, &none), ERR_CORRUPT);
    assert_int_equal(rpc_tls_open(&swapped, RPC_TLS_SERVER, why, &none), ERR_CORRUPT);
    assert_null(none);

    mem_free(large);
    struct rpc_tls *all[] = {plain, mutual, nobody, as_alice, as_eve, distrusting};
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        rpc_tls_close(all[i]);
    }
    identity_forget(&host);
    identity_forget(&alice);
    identity_forget(&eve);
    assert_int_equal(rmdir(folder), 0);
}

/* --- Many ------------------------------------------------------------------------------------- */

struct visitor {
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    size_t number, *open;
};

static void visitor_on_closed(uv_handle_t *handle)
{
    struct visitor *v = (struct visitor *)handle;
    (*v->open)--;
}

static void visitor_on_connected(uv_connect_t *request, int status)
{
    struct visitor *v = request->data;
    static const char *const words[] = {"", "PRI * HTTP/2.0\r\n", "GET /ver", "\x16\x03"};
    size_t which = v->number % COUNT_OF(words);
    if (status == 0 && words[which][0] != '\0') {
        uv_buf_t view =
            uv_buf_init((char *)(uintptr_t)words[which], (unsigned)strlen(words[which]));
        (void)uv_try_write((uv_stream_t *)&v->tcp, &view, 1);
    }
    uv_close((uv_handle_t *)&v->tcp, visitor_on_closed);
}

static void bears_a_thousand_connections_that_come_and_go(void **state)
{
    (void)state;
    struct loopback p;
    loopback_open(&p);
    struct sockaddr_in address;
    assert_int_equal(uv_ip4_addr("127.0.0.1", rpc_server_port(p.server), &address), 0);
    static struct visitor visitors[50];
    for (int round = 0; round < 20; round++) {
        size_t open = COUNT_OF(visitors);
        for (size_t i = 0; i < COUNT_OF(visitors); i++) {
            struct visitor *v = &visitors[i];
            v->open = &open;
            v->number = i;
            v->connect.data = v;
            assert_int_equal(uv_tcp_init(&p.loop, &v->tcp), 0);
            assert_int_equal(uv_tcp_connect(&v->connect, &v->tcp, (struct sockaddr *)&address,
                                            visitor_on_connected),
                             0);
        }
        while (open > 0) {
            (void)uv_run(&p.loop, UV_RUN_ONCE);
        }
    }
    const struct rpc_counters *counters = rpc_server_counters(p.server);
    while (counters->connections_accepted < 1000 || counters->connections_open > 0) {
        (void)uv_run(&p.loop, UV_RUN_ONCE);
    }
    assert_int_equal(ask_once(&p, "/test.Echo/Unary", "still here", 0).status, RPC_OK);
    loopback_close(&p);
}

static void turns_connections_away_above_the_limit(void **state)
{
    (void)state;
    struct loopback p;
    loopback_init(&p);
    p.config = echo_config(&p.log);
    p.config.limits.connections_max = 1;
    assert_int_equal(rpc_server_open(&p.loop, &p.config, &p.server), OK);
    snprintf(p.endpoint, sizeof p.endpoint, "127.0.0.1:%u", (unsigned)rpc_server_port(p.server));
    const char *const endpoints[] = {p.endpoint};
    loopback_open_client(&p, endpoints, 1, NULL);
    assert_int_equal(ask_once(&p, "/test.Echo/Unary", "x", 0).status, RPC_OK);
    struct rpc_client *first = p.client;
    loopback_open_client(&p, endpoints, 1, NULL);
    assert_int_equal(ask_once(&p, "/test.Echo/Unary", "x", 0).status, RPC_UNAVAILABLE);
    assert_int_equal(rpc_server_counters(p.server)->connections_refused, 1);
    rpc_client_close(first);
    loopback_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks_and_is_answered),
        cmocka_unit_test(tells_what_the_server_remarks),
        cmocka_unit_test(carries_large_messages_both_ways),
        cmocka_unit_test(talks_on_a_stream),
        cmocka_unit_test(gives_up_at_the_deadline),
        cmocka_unit_test(cancels_and_hears_no_more),
        cmocka_unit_test(goes_on_to_the_endpoint_that_lives),
        cmocka_unit_test(fails_when_no_endpoint_lives),
        cmocka_unit_test(connects_again_after_the_server_was_away),
        cmocka_unit_test(leaves_a_draining_server_when_its_calls_have_ended),
        cmocka_unit_test(moves_to_the_next_endpoint_when_told_so_inside_a_callback),
        cmocka_unit_test(says_why_it_cannot_listen),
        cmocka_unit_test(reads_endpoints_of_every_kind),
        cmocka_unit_test(speaks_tls_and_knows_certificates),
        cmocka_unit_test(bears_a_thousand_connections_that_come_and_go),
        cmocka_unit_test(turns_connections_away_above_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
