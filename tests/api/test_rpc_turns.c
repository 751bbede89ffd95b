/*
 * What clients may take of one turn of the loop: a bounded part, after everything else that the
 * loop waits for, and each connection its share. Else those who send much would hold up the streams
 * of peers and the timers on the same loop, and with them heartbeats.
 */
#include "tests/support/test.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/rpc_socket.h"

#define CONNECTIONS 40

/* What one input costs, and how many of those a turn has room for at most. */
#define INPUT_MS   2
#define INPUTS_MAX 5

struct turns {
    uv_loop_t loop;
    struct rpc_io io;
    uv_tcp_t listener;
    uv_poll_t peer;
    int client_fds[CONNECTIONS];
    int peer_fds[2];
    struct rpc_socket *sockets[CONNECTIONS];
    struct connection {
        struct turns *turns;
        size_t bytes;   /* that came */
        size_t produce; /* bytes to be sent, without end */
        uint32_t inputs, outputs;
    } connections[CONNECTIONS];
    uint32_t count;
    uint32_t inputs, outputs, peers; /* of all */
    uint32_t inputs_before_peer;
    bool is_slow;
};

static void turns_spend(uint64_t ms)
{
    uint64_t end = uv_hrtime() + ms * 1000000;
    while (uv_hrtime() < end) {
    }
}

static void turns_on_input(void *owner, struct bytes plain)
{
    struct connection *c = owner;
    c->bytes += plain.len;
    c->inputs++;
    c->turns->inputs++;
    if (c->turns->is_slow) {
        turns_spend(INPUT_MS);
    }
}

static bool turns_on_produce(void *owner, struct buf *sink, size_t room)
{
    struct connection *c = owner;
    (void)room;
    if (c->produce == 0) {
        return false;
    }
    c->outputs++;
    c->turns->outputs++;
    turns_spend(INPUT_MS);
    buf_put(sink, "x", 1);
    return --c->produce > 0;
}

static void turns_on_lost(void *owner, enum err why)
{
    (void)owner;
    (void)why;
}

static const struct rpc_socket_owner ops = {
    .input = turns_on_input, .produce = turns_on_produce, .lost = turns_on_lost};

static void turns_on_connection(uv_stream_t *listener, int status)
{
    struct rpc_io *io = listener->data;
    struct turns *t = (struct turns *)(void *)((char *)io - offsetof(struct turns, io));
    assert_int_equal(status, 0);
    struct connection *c = &t->connections[t->count];
    c->turns = t;
    assert_int_equal(rpc_socket_accept(io, listener, NULL, &ops, c, &t->sockets[t->count]), OK);
    t->count++;
}

static void turns_on_peer(uv_poll_t *poll, int status, int events)
{
    struct turns *t = poll->data;
    char byte;
    (void)events;
    assert_int_equal(status, 0);
    assert_int_equal(read(t->peer_fds[0], &byte, 1), 1);
    t->peers++;
    t->inputs_before_peer = t->inputs;
}

static int turns_connect(const uv_tcp_t *listener)
{
    struct sockaddr_in at;
    int length = sizeof at;
    assert_int_equal(uv_tcp_getsockname(listener, (struct sockaddr *)&at, &length), 0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

static void turns_open(struct turns *t)
{
    struct sockaddr_in at;
    memset(t, 0, sizeof *t);
    assert_int_equal(uv_loop_init(&t->loop), 0);
    rpc_io_open(&t->io, &t->loop);
    assert_int_equal(uv_ip4_addr("127.0.0.1", 0, &at), 0);
    assert_int_equal(uv_tcp_init(&t->loop, &t->listener), 0);
    t->listener.data = &t->io;
    rpc_io_count(&t->io);
    assert_int_equal(uv_tcp_bind(&t->listener, (struct sockaddr *)&at, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&t->listener, CONNECTIONS, turns_on_connection), 0);
    for (int i = 0; i < CONNECTIONS; i++) {
        t->client_fds[i] = turns_connect(&t->listener);
    }
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, t->peer_fds), 0);
    assert_int_equal(uv_poll_init(&t->loop, &t->peer, t->peer_fds[0]), 0);
    t->peer.data = t;
    assert_int_equal(uv_poll_start(&t->peer, UV_READABLE, turns_on_peer), 0);
    while (t->count < CONNECTIONS) {
        (void)uv_run(&t->loop, UV_RUN_ONCE);
    }
    for (int i = 0; i < 3; i++) {
        (void)uv_run(&t->loop, UV_RUN_NOWAIT); /* all are watched now */
    }
}

static void turns_close(struct turns *t)
{
    for (int i = 0; i < CONNECTIONS; i++) {
        (void)close(t->client_fds[i]);
        rpc_socket_close(t->sockets[i]);
    }
    uv_close((uv_handle_t *)&t->listener, rpc_io_uncount);
    uv_close((uv_handle_t *)&t->peer, NULL);
    rpc_io_close(&t->io, NULL, NULL);
    (void)uv_run(&t->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&t->loop), 0);
    (void)close(t->peer_fds[0]);
    (void)close(t->peer_fds[1]);
}

static void turns_say(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void clients_get_a_part_of_a_turn(void **state)
{
    (void)state;
    struct turns t;
    turns_open(&t);
    t.is_slow = true;
    for (int i = 0; i < CONNECTIONS; i++) {
        turns_say(t.client_fds[i], "hello");
    }
    uint32_t turns = 0;
    for (; t.inputs < CONNECTIONS; turns++) {
        uint32_t before = t.inputs;
        (void)uv_run(&t.loop, UV_RUN_NOWAIT);
        assert_true(t.inputs - before <= INPUTS_MAX);
        assert_true(turns < 100 * CONNECTIONS);
    }
    assert_true(turns >= CONNECTIONS / INPUTS_MAX);
    for (int i = 0; i < CONNECTIONS; i++) {
        assert_int_equal(t.connections[i].bytes, 5);
    }
    turns_close(&t);
}

static void others_on_the_loop_go_before_clients(void **state)
{
    (void)state;
    struct turns t;
    turns_open(&t);
    for (int i = 0; i < CONNECTIONS; i++) {
        turns_say(t.client_fds[i], "hello");
    }
    turns_say(t.peer_fds[1], "x");
    while (t.inputs < CONNECTIONS || t.peers == 0) {
        (void)uv_run(&t.loop, UV_RUN_ONCE);
    }
    assert_int_equal(t.inputs_before_peer, 0);
    turns_close(&t);
}

/* Those who always have more to say are served in turn with those who have little. */
static void who_sends_without_end_starves_nobody(void **state)
{
    (void)state;
    struct turns t;
    static char much[1024 * 1024];
    turns_open(&t);
    t.is_slow = true;
    for (int i = 0; i < CONNECTIONS / 2; i++) {
        assert_true(send(t.client_fds[i], much, sizeof much, MSG_DONTWAIT) > 0);
    }
    for (int i = CONNECTIONS / 2; i < CONNECTIONS; i++) {
        turns_say(t.client_fds[i], "hello");
    }
    uint32_t served = 0;
    while (served < CONNECTIONS / 2) {
        (void)uv_run(&t.loop, UV_RUN_NOWAIT);
        served = 0;
        for (int i = 0; i < CONNECTIONS; i++) {
            served += i >= CONNECTIONS / 2 && t.connections[i].bytes == 5;
            if (i < CONNECTIONS / 2) { /* stays full */
                (void)!send(t.client_fds[i], much, sizeof much, MSG_DONTWAIT);
            }
        }
        assert_true(t.inputs < 20 * CONNECTIONS);
    }
    turns_close(&t);
}

static void answers_take_a_part_of_a_turn(void **state)
{
    (void)state;
    struct turns t;
    turns_open(&t);
    for (int i = 0; i < CONNECTIONS; i++) {
        t.connections[i].produce = 1;
        rpc_socket_wake(t.sockets[i]);
    }
    while (t.outputs < CONNECTIONS) {
        uint32_t before = t.outputs;
        (void)uv_run(&t.loop, UV_RUN_NOWAIT);
        assert_true(t.outputs - before <= INPUTS_MAX);
    }
    turns_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clients_get_a_part_of_a_turn),
        cmocka_unit_test(others_on_the_loop_go_before_clients),
        cmocka_unit_test(who_sends_without_end_starves_nobody),
        cmocka_unit_test(answers_take_a_part_of_a_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
