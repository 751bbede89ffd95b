/* Who gets a stream where TLS is asked for, and who does not: each refusal has its reason. */
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/base/buf.h"
#include "tests/support/test.h"
#include "tests/world/linux_pair.h"
#include "tests/world/tls_fixture.h"
#include "world/linux/linux_world_int.h"

#define STEPS 20000

/* Certificates of one authority: "a", "b", "old" (which has expired), "early" (which is not valid
 * yet); and of another authority: "a". */
static struct tls_fixture ours;
static struct tls_fixture theirs;

/* The end that listens; and the one that calls, which is another of ours, or has no TLS. */
struct tls_scene {
    struct linux_pair pair;
    struct linux_tls *tls_a;
    struct linux_tls *tls_b;
    struct world_endpoint at_b;
    struct world_listener listener;
    struct world_stream_sink sink_a;
    struct world_stream_sink sink_b;
    struct world_stream *stream_a;
    struct world_stream *stream_b;
    struct buf got_a;
    struct buf got_b;
    int opened;
    int accepted;
    int closed_a;
    int closed_b;
    enum err why_a;
};

static void scene_on_opened(struct world_stream_sink *sink)
{
    struct tls_scene *s = sink->owner;
    s->opened++;
}

static void scene_on_received(struct world_stream_sink *sink, struct bytes bytes)
{
    struct tls_scene *s = sink->owner;
    buf_put(sink == &s->sink_a ? &s->got_a : &s->got_b, bytes.data, bytes.len);
}

static void scene_on_closed(struct world_stream_sink *sink, enum err why)
{
    struct tls_scene *s = sink->owner;
    if (sink == &s->sink_a) {
        s->closed_a++;
        s->why_a = why;
        s->stream_a = NULL;
    } else {
        s->closed_b++;
        s->stream_b = NULL;
    }
}

static struct world_stream_sink *scene_on_accepted(struct world_listener *listener,
                                                   struct world_stream *stream,
                                                   const struct world_endpoint *from)
{
    struct tls_scene *s = listener->owner;
    (void)from;
    s->accepted++;
    s->stream_b = stream;
    return &s->sink_b;
}

/* Either may be NULL: plaintext. */
static void tls_scene_open(struct tls_scene *s, struct linux_tls *a, struct linux_tls *b)
{
    memset(s, 0, sizeof *s);
    s->tls_a = a;
    s->tls_b = b;
    s->pair.config_a = linux_net_config_default();
    s->pair.config_b = linux_net_config_default();
    s->pair.config_a.tls = a;
    s->pair.config_b.tls = b;
    s->pair.config_a.connect_timeout = 300 * NANOS_PER_MS;
    s->pair.config_b.connect_timeout = 300 * NANOS_PER_MS;
    linux_pair_open(&s->pair);
    s->sink_a =
        (struct world_stream_sink){scene_on_opened, scene_on_received, NULL, scene_on_closed, s};
    s->sink_b = s->sink_a;
    s->listener = (struct world_listener){scene_on_accepted, s};
    const struct world *w = linux_world_table(s->pair.b);
    assert_int_equal(w->net->listen(w->self, 0, &s->listener), OK);
    s->at_b = (struct world_endpoint){"127.0.0.1", linux_world_port_of(s->pair.b, &s->listener)};
    buf_init(&s->got_a);
    buf_init(&s->got_b);
}

static void tls_scene_close(struct tls_scene *s)
{
    linux_pair_close(&s->pair);
    if (s->tls_a != NULL) {
        linux_tls_close(s->tls_a);
    }
    if (s->tls_b != NULL) {
        linux_tls_close(s->tls_b);
    }
    buf_deinit(&s->got_a);
    buf_deinit(&s->got_b);
}

#define SCENE_UNTIL(scene, condition)                                                              \
    do {                                                                                           \
        for (int steps_ = 0; !(condition) && steps_ < STEPS; steps_++) {                           \
            linux_pair_step(&(scene)->pair);                                                       \
        }                                                                                          \
        assert_true(condition);                                                                    \
    } while (0)

static void scene_rest(struct tls_scene *s)
{
    for (int i = 0; i < 50; i++) {
        linux_pair_step(&s->pair);
    }
}

static void tls_scene_call(struct tls_scene *s)
{
    const struct world *w = linux_world_table(s->pair.a);
    s->stream_a = w->net->connect(w->self, &s->at_b, &s->sink_a);
}

static void scene_send_a(struct tls_scene *s, const void *bytes, size_t n)
{
    const struct world *w = linux_world_table(s->pair.a);
    assert_int_equal(w->net->stream_send(w->self, s->stream_a, (struct bytes){bytes, n}), OK);
}

static struct linux_tls *load_ours(const char *name)
{
    return tls_fixture_load(&ours, &ours, name);
}

/* --- members of ours ------------------------------------------------------------------------- */

static void a_good_pair_knows_each_others_names(void **state)
{
    struct tls_scene s;
    (void)state;
    tls_scene_open(&s, load_ours("a"), load_ours("b"));
    tls_scene_call(&s);
    SCENE_UNTIL(&s, s.opened == 1 && s.accepted == 1);
    const struct world *a = linux_world_table(s.pair.a);
    const struct world *b = linux_world_table(s.pair.b);
    assert_true(a->net->stream_may_be(a->self, s.stream_a, "b"));
    assert_false(a->net->stream_may_be(a->self, s.stream_a, "a"));
    assert_false(a->net->stream_may_be(a->self, s.stream_a, "b.example"));
    assert_false(a->net->stream_may_be(a->self, s.stream_a, ""));
    assert_true(b->net->stream_may_be(b->self, s.stream_b, "a"));
    assert_false(b->net->stream_may_be(b->self, s.stream_b, "b"));
    assert_in_range(linux_tls_expiry(s.tls_a) - (int64_t)time(NULL), 4 * 86400, 5 * 86400);
    tls_scene_close(&s);
}

static void another_authority_is_refused(void **state)
{
    struct tls_scene s;
    (void)state;
    tls_scene_open(&s, tls_fixture_load(&theirs, &theirs, "a"), load_ours("b"));
    tls_scene_call(&s);
    SCENE_UNTIL(&s, s.closed_a == 1);
    assert_int_equal(s.why_a, ERR_DENIED);
    assert_non_null(strstr(s.pair.why, "certificate"));
    scene_rest(&s);
    assert_int_equal(s.accepted, 0);
    tls_scene_close(&s);
}

/* --- callers that are not of ours: b's end alone is ours ------------------------------------- */

struct rogue {
    SSL_CTX *context;
    SSL *ssl;
    BIO *in;
    BIO *out;
};

static void rogue_open(struct rogue *r, const struct tls_fixture *f, const char *name)
{
    r->context = SSL_CTX_new(TLS_client_method());
    assert_non_null(r->context);
    if (name != NULL) {
        assert_int_equal(
            SSL_CTX_use_certificate_chain_file(r->context, tls_fixture_path(f, name, ".crt")), 1);
        assert_int_equal(SSL_CTX_use_PrivateKey_file(r->context, tls_fixture_path(f, name, ".key"),
                                                     SSL_FILETYPE_PEM),
                         1);
    }
}

static void rogue_begin(struct rogue *r)
{
    r->ssl = SSL_new(r->context);
    r->in = BIO_new(BIO_s_mem());
    r->out = BIO_new(BIO_s_mem());
    assert_true(r->ssl != NULL && r->in != NULL && r->out != NULL);
    SSL_set_bio(r->ssl, r->in, r->out);
    SSL_set_connect_state(r->ssl);
}

static void rogue_close(struct rogue *r)
{
    SSL_free(r->ssl);
    SSL_CTX_free(r->context);
}

/* Carries bytes between the rogue and its stream, `at_once` of them in a step. */
static void rogue_pump(struct rogue *r, struct tls_scene *s, size_t at_once)
{
    char bytes[4096];
    if (s->got_a.len > 0) {
        assert_int_equal(BIO_write(r->in, s->got_a.data, (int)s->got_a.len), s->got_a.len);
        buf_clear(&s->got_a);
    }
    (void)SSL_do_handshake(r->ssl);
    int n = BIO_read(r->out, bytes, (int)u64_min(at_once, sizeof bytes));
    if (n > 0 && s->stream_a != NULL) {
        scene_send_a(s, bytes, (size_t)n);
    }
    linux_pair_step(&s->pair);
}

static void expect_refusal(struct tls_scene *s, struct rogue *r, const char *words)
{
    rogue_begin(r);
    tls_scene_call(s);
    for (int i = 0; i < STEPS && s->closed_a == 0; i++) {
        rogue_pump(r, s, 4096);
    }
    assert_int_equal(s->closed_a, 1);
    assert_int_equal(s->accepted, 0);
    assert_int_equal(s->pair.refusals, 1);
    if (strstr(s->pair.why, words) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", s->pair.why, words);
    }
    rogue_close(r);
    tls_scene_close(s);
}

static void an_expired_certificate_is_refused(void **state)
{
    struct tls_scene s;
    struct rogue r;
    (void)state;
    tls_scene_open(&s, NULL, load_ours("b"));
    rogue_open(&r, &ours, "old");
    expect_refusal(&s, &r, "(old) is refused: certificate has expired");
}

static void a_certificate_that_is_not_valid_yet_is_refused(void **state)
{
    struct tls_scene s;
    struct rogue r;
    (void)state;
    tls_scene_open(&s, NULL, load_ours("b"));
    rogue_open(&r, &ours, "early");
    expect_refusal(&s, &r, "(early) is refused: certificate is not yet valid");
}

static void a_certificate_of_another_authority_is_refused_by_name(void **state)
{
    struct tls_scene s;
    struct rogue r;
    (void)state;
    tls_scene_open(&s, NULL, load_ours("b"));
    rogue_open(&r, &theirs, "a");
    expect_refusal(&s, &r, "(a) is refused: unable to get local issuer certificate");
}

static void no_certificate_is_refused(void **state)
{
    struct tls_scene s;
    struct rogue r;
    (void)state;
    tls_scene_open(&s, NULL, load_ours("b"));
    rogue_open(&r, NULL, NULL);
    expect_refusal(&s, &r, "it shows no certificate");
}

static void an_older_tls_is_refused(void **state)
{
    struct tls_scene s;
    struct rogue r;
    (void)state;
    tls_scene_open(&s, NULL, load_ours("b"));
    rogue_open(&r, &ours, "a");
    assert_int_equal(SSL_CTX_set_max_proto_version(r.context, TLS1_2_VERSION), 1);
    expect_refusal(&s, &r, "unsupported protocol");
}

static void plaintext_at_a_port_of_tls_is_refused(void **state)
{
    struct tls_scene s;
    (void)state;
    tls_scene_open(&s, NULL, load_ours("b"));
    tls_scene_call(&s);
    scene_send_a(&s, "GET / HTTP/1.1\r\n\r\n", 18);
    SCENE_UNTIL(&s, s.closed_a == 1);
    assert_int_equal(s.accepted, 0);
    assert_non_null(strstr(s.pair.why, "does not speak our TLS"));
    tls_scene_close(&s);
}

static void tls_at_a_port_of_plaintext_gives_up(void **state)
{
    struct tls_scene s;
    (void)state;
    tls_scene_open(&s, load_ours("a"), NULL);
    tls_scene_call(&s);
    SCENE_UNTIL(&s, s.closed_a == 1);
    assert_int_equal(s.opened, 0);
    assert_int_equal(s.why_a, ERR_TIMEOUT);
    tls_scene_close(&s);
}

static void who_is_silent_is_sent_away(void **state)
{
    struct tls_scene s;
    (void)state;
    tls_scene_open(&s, NULL, load_ours("b"));
    tls_scene_call(&s);
    scene_send_a(&s, "\x16\x03\x01", 3); /* a record begins */
    SCENE_UNTIL(&s, s.opened == 1);
    SCENE_UNTIL(&s, s.closed_a == 1);
    assert_int_equal(s.pair.refusal, ERR_TIMEOUT);
    tls_scene_close(&s);
}

/* They take every place for handshakes there is, and would keep it for a minute. */
static void the_silent_keep_nobody_out(void **state)
{
    int fds[LINUX_HANDSHAKES_MAX + 50];
    struct tls_scene s;
    (void)state;
    tls_scene_open(&s, load_ours("a"), load_ours("b"));
    s.pair.config_b.connect_timeout = 60 * NANOS_PER_S;
    assert_int_equal(linux_world_configure_net(s.pair.b, &s.pair.config_b), OK);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(s.at_b.port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (size_t i = 0; i < COUNT_OF(fds); i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(fds[i], (struct sockaddr *)&at, sizeof at), 0);
        linux_pair_step(&s.pair);
    }
    scene_rest(&s);
    tls_scene_call(&s);
    SCENE_UNTIL(&s, s.opened == 1 || s.closed_a == 1);
    assert_int_equal(s.opened, 1);
    for (size_t i = 0; i < COUNT_OF(fds); i++) {
        (void)close(fds[i]);
    }
    tls_scene_close(&s);
}

static void a_slow_handshake_is_patiently_heard(void **state)
{
    struct tls_scene s;
    struct rogue r;
    (void)state;
    tls_scene_open(&s, NULL, load_ours("b"));
    rogue_open(&r, &ours, "a");
    rogue_begin(&r);
    tls_scene_call(&s);
    for (int i = 0; i < STEPS && s.accepted == 0; i++) {
        rogue_pump(&r, &s, 7);
    }
    assert_int_equal(s.accepted, 1);
    rogue_close(&r);
    tls_scene_close(&s);
}

static void garbage_in_an_open_stream_ends_it(void **state)
{
    struct tls_scene s;
    struct rogue r;
    char bytes[64];
    (void)state;
    tls_scene_open(&s, NULL, load_ours("b"));
    rogue_open(&r, &ours, "a");
    rogue_begin(&r);
    tls_scene_call(&s);
    for (int i = 0; i < STEPS && s.accepted == 0; i++) {
        rogue_pump(&r, &s, 4096);
    }
    assert_int_equal(SSL_write(r.ssl, "good", 4), 4);
    int n = BIO_read(r.out, bytes, sizeof bytes);
    assert_true(n > 4);
    scene_send_a(&s, bytes, (size_t)n);
    SCENE_UNTIL(&s, s.got_b.len == 4);
    /* A record that was altered on its way, and half of the next. */
    assert_int_equal(SSL_write(r.ssl, "evil", 4), 4);
    n = BIO_read(r.out, bytes, sizeof bytes);
    bytes[n - 1] ^= 1;
    scene_send_a(&s, bytes, (size_t)n);
    scene_send_a(&s, "\x17\x03\x03\x40", 4);
    SCENE_UNTIL(&s, s.closed_b == 1);
    assert_int_equal(s.got_b.len, 4);
    assert_int_equal(s.pair.refusal, ERR_PROTOCOL);
    rogue_close(&r);
    tls_scene_close(&s);
}

static void a_peer_that_does_not_read_fills_no_memory(void **state)
{
    struct tls_scene s;
    static uint8_t block[256 * 1024];
    size_t sent = 0;
    (void)state;
    tls_scene_open(&s, load_ours("a"), load_ours("b"));
    tls_scene_call(&s);
    SCENE_UNTIL(&s, s.opened == 1 && s.accepted == 1);
    const struct world *a = linux_world_table(s.pair.a);
    for (int refused = 0; refused < 100;) {
        enum err e = a->net->stream_send(a->self, s.stream_a, (struct bytes){block, sizeof block});
        sent += e == OK ? sizeof block : 0;
        refused += e == OK ? 0 : 1;
        (void)linux_world_poll(s.pair.a, NANOS_PER_MS);
    }
    /* The queue, and what sockets hold. */
    assert_true(sent < 3 * WORLD_STREAM_QUEUE_MAX_BYTES);
    SCENE_UNTIL(&s, s.got_b.len == sent);
    tls_scene_close(&s);
}

/* --- files ----------------------------------------------------------------------------------- */

static void certificates_are_exchanged_without_a_restart(void **state)
{
    struct tls_scene s;
    char why[LINUX_TLS_WHY_BYTES] = "";
    char command[256];
    (void)state;
    (void)snprintf(command, sizeof command, "cd %s && cp a.crt now.crt && cp a.key now.key",
                   ours.dir);
    assert_int_equal(system(command), 0);
    tls_scene_open(&s, load_ours("now"), load_ours("b"));
    tls_scene_call(&s);
    SCENE_UNTIL(&s, s.accepted == 1);
    const struct world *a = linux_world_table(s.pair.a);
    const struct world *b = linux_world_table(s.pair.b);
    assert_true(b->net->stream_may_be(b->self, s.stream_b, "a"));
    /* One that is of no use changes nothing. */
    (void)snprintf(command, sizeof command, "cd %s && head -c 300 b.crt > now.crt", ours.dir);
    assert_int_equal(system(command), 0);
    assert_int_equal(linux_tls_reload(s.tls_a, why), ERR_INVALID);
    assert_non_null(strstr(why, "now.crt"));
    (void)snprintf(command, sizeof command, "cd %s && cp b.crt now.crt", ours.dir);
    assert_int_equal(system(command), 0);
    assert_int_equal(linux_tls_reload(s.tls_a, why), ERR_INVALID); /* the key is a's */
    assert_non_null(strstr(why, "now.key"));
    tls_scene_call(&s);
    SCENE_UNTIL(&s, s.accepted == 2);
    assert_true(b->net->stream_may_be(b->self, s.stream_b, "a"));
    (void)snprintf(command, sizeof command, "cd %s && cp b.key now.key", ours.dir);
    assert_int_equal(system(command), 0);
    assert_int_equal(linux_tls_reload(s.tls_a, why), OK);
    /* The stream that is there goes on. */
    scene_send_a(&s, "still", 5);
    SCENE_UNTIL(&s, s.got_b.len == 5);
    a->net->stream_close(a->self, s.stream_a);
    tls_scene_call(&s);
    SCENE_UNTIL(&s, s.accepted == 3);
    assert_true(b->net->stream_may_be(b->self, s.stream_b, "b"));
    assert_false(b->net->stream_may_be(b->self, s.stream_b, "a"));
    tls_scene_close(&s);
}

static enum err try_files(const char *ca, const char *cert, const char *key,
                          char why[LINUX_TLS_WHY_BYTES])
{
    const struct linux_tls_files files = {ca, cert, key};
    struct linux_tls *tls = NULL;
    enum err e = linux_tls_open(&files, why, &tls);
    if (e == OK) {
        linux_tls_close(tls);
    } else {
        print_message("# %s: %s\n", err_name(e), why);
    }
    return e;
}

static void files_that_are_of_no_use_are_named(void **state)
{
    char why[LINUX_TLS_WHY_BYTES] = "";
    const char *ca = tls_fixture_path(&ours, "ca", ".crt");
    const char *cert = tls_fixture_path(&ours, "a", ".crt");
    const char *key = tls_fixture_path(&ours, "a", ".key");
    (void)state;
    assert_int_equal(try_files("/nowhere/ca.crt", cert, key, why), ERR_NOT_FOUND);
    assert_non_null(strstr(why, "/nowhere/ca.crt"));
    assert_int_equal(try_files(key, cert, key, why), ERR_INVALID);
    assert_int_equal(try_files(ca, key, key, why), ERR_INVALID);
    assert_int_equal(try_files(ca, cert, tls_fixture_path(&ours, "b", ".key"), why), ERR_INVALID);
    assert_int_equal(try_files(tls_fixture_path(&theirs, "ca", ".crt"), cert, key, why),
                     ERR_INVALID);
    assert_non_null(strstr(why, "peers would refuse"));
    assert_int_equal(try_files(ca, tls_fixture_path(&ours, "old", ".crt"),
                               tls_fixture_path(&ours, "old", ".key"), why),
                     ERR_INVALID);
    assert_non_null(strstr(why, "expired"));
    /* An authority's own certificate is no member's. */
    assert_int_equal(try_files(ca, ca, tls_fixture_path(&ours, "ca", ".key"), why), ERR_INVALID);
    assert_int_equal(chmod(key, 0644), 0);
    assert_int_equal(try_files(ca, cert, key, why), ERR_DENIED);
    assert_non_null(strstr(why, "0600"));
    assert_int_equal(chmod(key, 0600), 0);
    assert_int_equal(try_files(ca, cert, key, why), OK);
}

/* --- where plaintext ends -------------------------------------------------------------------- */

static void plaintext_stays_on_loopback(void **state)
{
    struct linux_pair p = {.config_a = linux_net_config_default(),
                           .config_b = linux_net_config_default()};
    struct tls_scene s = {.opened = 0};
    const struct world_endpoint away = {"192.0.2.1", 9}; /* a network that does not exist */
    (void)state;
    memcpy(p.config_b.bind, "0.0.0.0", sizeof "0.0.0.0");
    linux_pair_open(&p);
    const struct world *a = linux_world_table(p.a);
    const struct world *b = linux_world_table(p.b);
    s.listener = (struct world_listener){scene_on_accepted, &s};
    assert_int_equal(b->net->listen(b->self, 0, &s.listener), ERR_DENIED);
    assert_non_null(strstr(p.why, "encrypted"));
    p.config_b.allow_plaintext = true;
    assert_int_equal(linux_world_configure_net(p.b, &p.config_b), OK);
    assert_int_equal(b->net->listen(b->self, 0, &s.listener), OK);
    s.sink_a =
        (struct world_stream_sink){scene_on_opened, scene_on_received, NULL, scene_on_closed, &s};
    p.refusals = 0;
    s.stream_a = a->net->connect(a->self, &away, &s.sink_a);
    assert_int_equal(s.closed_a, 0);
    for (int i = 0; i < 10; i++) {
        linux_pair_step(&p);
    }
    assert_int_equal(s.closed_a, 1);
    assert_int_equal(s.why_a, ERR_DENIED);
    assert_int_equal(p.refusals, 1);
    linux_pair_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_pair_knows_each_others_names),
        cmocka_unit_test(another_authority_is_refused),
        cmocka_unit_test(an_expired_certificate_is_refused),
        cmocka_unit_test(a_certificate_that_is_not_valid_yet_is_refused),
        cmocka_unit_test(a_certificate_of_another_authority_is_refused_by_name),
        cmocka_unit_test(no_certificate_is_refused),
        cmocka_unit_test(an_older_tls_is_refused),
        cmocka_unit_test(plaintext_at_a_port_of_tls_is_refused),
        cmocka_unit_test(tls_at_a_port_of_plaintext_gives_up),
        cmocka_unit_test(who_is_silent_is_sent_away),
        cmocka_unit_test(the_silent_keep_nobody_out),
        cmocka_unit_test(a_slow_handshake_is_patiently_heard),
        cmocka_unit_test(garbage_in_an_open_stream_ends_it),
        cmocka_unit_test(a_peer_that_does_not_read_fills_no_memory),
        cmocka_unit_test(certificates_are_exchanged_without_a_restart),
        cmocka_unit_test(files_that_are_of_no_use_are_named),
        cmocka_unit_test(plaintext_stays_on_loopback),
    };
    tls_fixture_open(&ours);
    tls_fixture_open(&theirs);
    tls_fixture_issue(&ours, "a", -1, 5);
    tls_fixture_issue(&ours, "b", -1, 5);
    tls_fixture_issue(&ours, "old", -5, -1);
    tls_fixture_issue(&ours, "early", 1, 5);
    tls_fixture_issue(&theirs, "a", -1, 5);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tls_fixture_close(&ours);
    tls_fixture_close(&theirs);
    return failed;
}
