/*
 * Streams between two worlds of one process on loopback, in plaintext and with TLS: how long a
 * message takes there and back, how many pass a second where many are sent in a turn, and what
 * each costs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "bench/bench.h"
#include "core/base/check.h"
#include "pki/pki.h"
#include "world/linux/linux_tls.h"
#include "world/linux/linux_world.h"

#define MESSAGE_BYTES 100
#define TRIPS         20000
#define BURST         64 /* messages of one turn */
#define BURSTS        20000

struct half {
    struct linux_world *lw;
    const struct world *world;
    struct linux_tls *tls;
    struct world_stream *stream;
    struct world_stream_sink sink;
    struct world_listener listener;
    uint64_t received; /* bytes */
    bool echoes;
    bool is_open;
};

static uint8_t message[MESSAGE_BYTES];

static nanos bench_cpu(void)
{
    struct rusage r;
    CHECK(getrusage(RUSAGE_SELF, &r) == 0);
    return ((nanos)r.ru_utime.tv_sec + (nanos)r.ru_stime.tv_sec) * NANOS_PER_S +
           ((nanos)r.ru_utime.tv_usec + (nanos)r.ru_stime.tv_usec) * NANOS_PER_US;
}

static void half_send(struct half *h, const uint8_t *bytes, size_t n)
{
    CHECK(h->world->net->stream_send(h->world->self, h->stream, (struct bytes){bytes, n}) == OK);
}

static void half_opened(struct world_stream_sink *sink)
{
    struct half *h = sink->owner;
    h->is_open = true;
}

static void half_received(struct world_stream_sink *sink, struct bytes bytes)
{
    struct half *h = sink->owner;
    h->received += bytes.len;
    if (h->echoes) {
        half_send(h, bytes.data, bytes.len);
    }
}

static void half_closed(struct world_stream_sink *sink, enum err why)
{
    (void)sink;
    fprintf(stderr, "bench-net: a stream ended: %s\n", err_text(why));
    exit(1);
}

static struct world_stream_sink *half_accepted(struct world_listener *listener,
                                               struct world_stream *stream,
                                               const struct world_endpoint *from)
{
    struct half *h = listener->owner;
    (void)from;
    h->stream = stream;
    h->is_open = true;
    return &h->sink;
}

static void half_init(struct half *h, struct linux_tls *tls)
{
    struct linux_net_config config = linux_net_config_default();
    *h = (struct half){.tls = tls};
    config.tls = tls;
    CHECK(linux_world_open("/", &h->lw) == OK);
    CHECK(linux_world_configure_net(h->lw, &config) == OK);
    h->world = linux_world_table(h->lw);
    h->sink = (struct world_stream_sink){half_opened, half_received, NULL, half_closed, h};
    h->listener = (struct world_listener){half_accepted, h};
}

static struct linux_tls *make_tls(const char *dir, const char *name)
{
    char why[LINUX_TLS_WHY_BYTES];
    char paths[3][128];
    int64_t now = (int64_t)time(NULL);
    const struct pki_member member = {.name = name, .span = {now - 60, now + 86400}};
    struct linux_tls *tls = NULL;

    CHECK(pki_issue(dir, &member, why) == OK);
    (void)snprintf(paths[0], sizeof paths[0], "%s/ca.crt", dir);
    (void)snprintf(paths[1], sizeof paths[1], "%s/%s.crt", dir, name);
    (void)snprintf(paths[2], sizeof paths[2], "%s/%s.key", dir, name);
    const struct linux_tls_files files = {paths[0], paths[1], paths[2]};
    CHECK(linux_tls_open(&files, why, &tls) == OK);
    return tls;
}

static void both_turn(struct half *a, struct half *b)
{
    (void)linux_world_poll(a->lw, 0);
    (void)linux_world_poll(b->lw, 0);
}

static void print_figure(const char *kind, const char *what, double value, const char *unit)
{
    char name[64];
    (void)snprintf(name, sizeof name, "net_%s_%s", kind, what);
    bench_report(name, value, unit);
}

static void bench_streams(const char *kind, struct linux_tls *tls_a, struct linux_tls *tls_b)
{
    struct half a;
    struct half b;

    half_init(&a, tls_a);
    half_init(&b, tls_b);
    CHECK(b.world->net->listen(b.world->self, 0, &b.listener) == OK);
    const struct world_endpoint to = {"127.0.0.1", linux_world_port_of(b.lw, &b.listener)};
    nanos began = bench_now();
    a.stream = a.world->net->connect(a.world->self, &to, &a.sink);
    while (!a.is_open || !b.is_open) {
        both_turn(&a, &b);
    }
    print_figure(kind, "connect", (double)(bench_now() - began) / 1e3, "us");

    b.echoes = true;
    nanos cpu = bench_cpu();
    began = bench_now();
    for (uint64_t i = 1; i <= TRIPS; i++) {
        half_send(&a, message, sizeof message);
        while (a.received < i * sizeof message) {
            both_turn(&a, &b);
        }
    }
    print_figure(kind, "trip", (double)(bench_now() - began) / TRIPS / 1e3, "us");
    print_figure(kind, "trip_cpu", (double)(bench_cpu() - cpu) / TRIPS / 1e3, "us");

    b.echoes = false;
    b.received = 0;
    cpu = bench_cpu();
    began = bench_now();
    for (uint64_t i = 1; i <= BURSTS; i++) {
        for (int k = 0; k < BURST; k++) {
            half_send(&a, message, sizeof message);
        }
        while (b.received < i * BURST * sizeof message) {
            both_turn(&a, &b);
        }
    }
    print_figure(kind, "messages", bench_rate((uint64_t)BURSTS * BURST, bench_now() - began),
                 "a second");
    print_figure(kind, "message_cpu", (double)(bench_cpu() - cpu) / BURSTS / BURST / 1e3, "us");
    linux_world_close(a.lw);
    linux_world_close(b.lw);
}

int main(void)
{
    char dir[] = "/tmp/novacron-bench-XXXXXX";
    char why[PKI_WHY_BYTES];
    char command[64];
    int64_t now = (int64_t)time(NULL);

    CHECK(mkdtemp(dir) != NULL);
    CHECK(pki_init(dir, "bench", (struct pki_span){now - 60, now + 86400}, why) == OK);
    printf("messages of %d bytes between two worlds on one thread, over loopback; a trip is there "
           "and back, a turn of each; a burst is %d messages of one turn, received before the "
           "next; CPU is that of both ends\n",
           MESSAGE_BYTES, BURST);
    struct linux_tls *a = make_tls(dir, "a");
    struct linux_tls *b = make_tls(dir, "b");
    bench_streams("plain", NULL, NULL);
    bench_streams("tls", a, b);
    linux_tls_close(a);
    linux_tls_close(b);
    (void)snprintf(command, sizeof command, "rm -r %s", dir);
    CHECK(system(command) == 0);
    return 0;
}
