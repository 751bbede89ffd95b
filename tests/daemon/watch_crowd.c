/*
 * watch-crowd HOST:PORT CONNECTIONS STREAMS WATCHES: holds so many connections, each with so many
 * Watch streams, each with so many watches of one key, and tells of them. What it is told comes
 * line by line on standard input:
 *
 *     events    says how many events came so far
 *     cancel    resets all streams at once, and opens as many anew
 *     (its end) ends
 *
 * It says "ready" whenever all watches have been confirmed, and "lost" when a stream ends.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include "api/client/rpc_client.h"
#include "api/pb_wire.h"
#include "core/base/check.h"
#include "core/base/mem.h"

/* Numbers of etcd's fields. */
enum { CREATE_REQUEST = 1, CREATE_KEY = 1, RESPONSE_CREATED = 3, RESPONSE_EVENTS = 11 };

struct crowd {
    uv_loop_t loop;
    uv_poll_t input;
    struct rpc_io io;
    struct rpc_client **clients;
    struct rpc_client_call **calls; /* of all clients */
    uint32_t clients_count, streams, watches;
    uint64_t created, events;
};

static void crowd_on_message(void *arg, struct bytes message)
{
    struct crowd *c = arg;
    struct pb_field f;
    while (pb_next(&message, &f)) {
        c->events += f.number == RESPONSE_EVENTS;
        if (f.number == RESPONSE_CREATED && f.value == 1) {
            c->created++;
            if (c->created == (uint64_t)c->clients_count * c->streams * c->watches) {
                (void)printf("ready\n");
                (void)fflush(stdout);
            }
        }
    }
}

static void crowd_on_lost(void *arg, int status, const char *text)
{
    (void)arg;
    (void)printf("lost %d %s\n", status, text);
    (void)fflush(stdout);
    exit(1);
}

static const struct rpc_client_ops crowd_ops = {.message = crowd_on_message, .done = crowd_on_lost};

static void crowd_open(struct crowd *c)
{
    struct buf request;
    buf_init(&request);
    size_t create = pb_begin(&request, CREATE_REQUEST);
    pb_put_text(&request, CREATE_KEY, "watched");
    pb_end(&request, create);
    c->created = 0;
    for (uint32_t i = 0; i < c->clients_count * c->streams; i++) {
        c->calls[i] = rpc_client_start(c->clients[i / c->streams], "/etcdserverpb.Watch/Watch", 0,
                                       &crowd_ops, c);
        for (uint32_t k = 0; k < c->watches; k++) {
            (void)rpc_client_send(c->calls[i], buf_view(&request), false);
        }
    }
    buf_deinit(&request);
}

static void crowd_obey(struct crowd *c, const char *line)
{
    if (strcmp(line, "events\n") == 0) {
        (void)printf("events %llu\n", (unsigned long long)c->events);
        (void)fflush(stdout);
    } else if (strcmp(line, "cancel\n") == 0) {
        for (uint32_t i = 0; i < c->clients_count * c->streams; i++) {
            rpc_client_cancel(c->calls[i]);
        }
        crowd_open(c);
    }
}

static void crowd_on_input(uv_poll_t *poll, int status, int events)
{
    char line[64];
    (void)status;
    (void)events;
    if (fgets(line, sizeof line, stdin) == NULL) {
        exit(0); /* the kernel closes what is open, as when a process dies */
    }
    crowd_obey(poll->data, line);
}

int main(int argc, char **argv)
{
    struct crowd c;
    if (argc != 5) {
        (void)fputs("usage: watch-crowd HOST:PORT CONNECTIONS STREAMS WATCHES\n", stderr);
        return 2;
    }
    memset(&c, 0, sizeof c);
    c.clients_count = (uint32_t)strtoul(argv[2], NULL, 10);
    c.streams = (uint32_t)strtoul(argv[3], NULL, 10);
    c.watches = (uint32_t)strtoul(argv[4], NULL, 10);
    c.clients = mem_alloc_zero(c.clients_count * sizeof(struct rpc_client *));
    c.calls = mem_alloc_zero((size_t)c.clients_count * c.streams * sizeof(void *));
    CHECK(uv_loop_init(&c.loop) == 0 && setvbuf(stdin, NULL, _IONBF, 0) == 0);
    rpc_io_open(&c.io, &c.loop);
    const char *const endpoints[] = {argv[1]};
    const struct rpc_client_config config = {
        .endpoints = endpoints, .endpoint_count = 1, .connect_timeout = 20 * NANOS_PER_S};
    for (uint32_t i = 0; i < c.clients_count; i++) {
        if (rpc_client_open(&c.io, &config, &c.clients[i]) != OK) {
            return 2;
        }
    }
    CHECK(uv_poll_init(&c.loop, &c.input, 0) == 0);
    c.input.data = &c;
    CHECK(uv_poll_start(&c.input, UV_READABLE, crowd_on_input) == 0);
    crowd_open(&c);
    return uv_run(&c.loop, UV_RUN_DEFAULT);
}
