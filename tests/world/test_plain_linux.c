/* The contract of plain connections, held against the real world: in one that encrypts its own
 * streams the others stay plain. */
#include <string.h>

#include "tests/support/test.h"
#include "tests/world/linux_pair.h"
#include "tests/world/plain_contract.h"
#include "tests/world/tls_fixture.h"

/* The worlds: of the probe, which encrypts; and of the servers, which do not. */
struct plain_servers {
    struct linux_pair pair;
    struct tls_fixture certificates;
    struct linux_tls *tls;
    struct world_listener answers;
    struct world_listener hangs;
    struct {
        struct world_stream_sink sink;
        struct world_stream *stream;
    } ends[16];
    size_t end_count;
};

static struct plain_servers servers;

static void server_opened(struct world_stream_sink *sink)
{
    (void)sink;
}

static void server_received(struct world_stream_sink *sink, struct bytes bytes)
{
    struct world_stream **stream = sink->owner;
    const struct world *world = linux_world_table(servers.pair.b);
    const struct bytes answer = {(const uint8_t *)PLAIN_ANSWER, strlen(PLAIN_ANSWER)};

    (void)bytes;
    if (stream != NULL && *stream != NULL) {
        assert_int_equal(world->net->stream_send(world->self, *stream, answer), OK);
        world->net->stream_close(world->self, *stream);
        *stream = NULL;
    }
}

static void server_closed(struct world_stream_sink *sink, enum err why)
{
    struct world_stream **stream = sink->owner;

    (void)why;
    if (stream != NULL) {
        *stream = NULL;
    }
}

static struct world_stream_sink *server_accepted(struct world_listener *listener,
                                                 struct world_stream *stream,
                                                 const struct world_endpoint *from)
{
    size_t i = servers.end_count++;

    (void)from;
    assert_true(i < COUNT_OF(servers.ends));
    servers.ends[i].stream = stream;
    servers.ends[i].sink = (struct world_stream_sink){
        .opened = server_opened,
        .received = server_received,
        .closed = server_closed,
        .owner = listener == &servers.answers ? &servers.ends[i].stream : NULL,
    };
    return &servers.ends[i].sink;
}

static struct world_endpoint server_listen(struct world_listener *listener)
{
    const struct world *world = linux_world_table(servers.pair.b);
    struct world_endpoint at = {"127.0.0.1", linux_pair_free_port()};

    listener->accepted = server_accepted;
    assert_int_equal(world->net->listen(world->self, at.port, listener), OK);
    return at;
}

static void plain_real_open(struct plain_bench *bench)
{
    memset(&servers, 0, sizeof servers);
    tls_fixture_open(&servers.certificates);
    tls_fixture_issue(&servers.certificates, "a", -1, 5);
    servers.tls = tls_fixture_load(&servers.certificates, &servers.certificates, "a");
    servers.pair.config_a = linux_net_config_default();
    servers.pair.config_b = linux_net_config_default();
    servers.pair.config_a.tls = servers.tls;
    linux_pair_open(&servers.pair);
    bench->world = linux_world_table(servers.pair.a);
    bench->servers[SERVER_ANSWERS] = server_listen(&servers.answers);
    /* A name of several addresses, of which one answers. */
    memcpy(bench->servers[SERVER_ANSWERS].host, "localhost", sizeof "localhost");
    bench->servers[SERVER_HANGS] = server_listen(&servers.hangs);
    bench->servers[SERVER_IS_NONE] = (struct world_endpoint){"127.0.0.1", linux_pair_free_port()};
}

static void plain_real_close(struct plain_bench *bench)
{
    (void)bench;
    linux_pair_close(&servers.pair);
    linux_tls_close(servers.tls);
    tls_fixture_close(&servers.certificates);
}

static void plain_real_step(struct plain_bench *bench)
{
    (void)bench;
    linux_pair_step(&servers.pair);
}

int main(void)
{
    struct plain_place place = {"plain connections", plain_real_open, plain_real_close,
                                plain_real_step};
    return plain_contract_run(&place);
}
