/*
 * What the protocol layer costs: a server in a process of its own whose methods answer at once, and
 * the load of novacron-bench on it. The figures are CPU time of the server, system calls included,
 * and memory of idle streams.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "api/client/rpc_client.h"
#include "api/pb_wire.h"
#include "api/rpc.h"
#include "bench/bench.h"
#include "bench/load.h"
#include "core/base/check.h"
#include "core/base/mem.h"

#define CALLS            200000
#define CLIENTS          256
#define IDLE_STREAMS     10000
#define IDLE_CONNECTIONS 400

/* --- The server ------------------------------------------------------------------------------- */

static void null_answer(struct rpc_call *call, struct bytes message)
{
    static const uint8_t header[] = {0x0A, 8, 8, 1, 16, 2, 24, 3, 32, 4};
    (void)message;
    (void)rpc_send(call, (struct bytes){header, sizeof header}, (struct bytes){NULL, 0});
    rpc_finish(call, RPC_OK, NULL);
}

static void null_watch(struct rpc_call *call, struct bytes message)
{
    static const uint8_t created[] = {0x0A, 8, 8, 1, 16, 2, 24, 3, 32, 4, 24, 1};
    (void)message;
    (void)rpc_send(call, (struct bytes){created, sizeof created}, (struct bytes){NULL, 0});
}

static const struct rpc_method null_put = {
    .path = "/etcdserverpb.KV/Put",
    .shape = RPC_UNARY,
    .message = null_answer,
};
static const struct rpc_method null_range = {
    .path = "/etcdserverpb.KV/Range",
    .shape = RPC_UNARY,
    .message = null_answer,
};
static const struct rpc_method null_stream = {
    .path = "/etcdserverpb.Watch/Watch",
    .shape = RPC_BIDI,
    .message = null_watch,
};

/* Serves until it is killed; tells its port through `out`. */
static void null_serve(int out)
{
    static const struct rpc_method *const methods[] = {&null_put, &null_range, &null_stream};
    uv_loop_t loop;
    struct rpc_server *server = NULL;
    CHECK(uv_loop_init(&loop) == 0);
    const struct rpc_config config = {
        .address = "127.0.0.1",
        .methods = methods,
        .method_count = COUNT_OF(methods),
        .limits = rpc_limits_default(),
    };
    CHECK(rpc_server_open(&loop, &config, &server) == OK);
    uint16_t port = rpc_server_port(server);
    CHECK(write(out, &port, sizeof port) == sizeof port);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    _exit(0);
}

static pid_t null_start(uint16_t *port)
{
    int ends[2];
    CHECK(pipe(ends) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        (void)close(ends[0]);
        null_serve(ends[1]);
    }
    (void)close(ends[1]);
    CHECK(read(ends[0], port, sizeof *port) == sizeof *port);
    (void)close(ends[0]);
    return child;
}

/* Ends the server, and returns the CPU time that it took. */
static nanos null_stop(pid_t child)
{
    struct rusage usage;
    int status = 0;
    CHECK(kill(child, SIGKILL) == 0 && wait4(child, &status, 0, &usage) == child);
    return ((nanos)usage.ru_utime.tv_sec + (nanos)usage.ru_stime.tv_sec) * NANOS_PER_S +
           ((nanos)usage.ru_utime.tv_usec + (nanos)usage.ru_stime.tv_usec) * NANOS_PER_US;
}

/* --- Unary calls ------------------------------------------------------------------------------ */

static void rpc_bench_unary(const char *name, enum load_kind kind, uint32_t conns)
{
    uint16_t port = 0;
    pid_t child = null_start(&port);
    char endpoint[32], figure[64];
    snprintf(endpoint, sizeof endpoint, "127.0.0.1:%u", (unsigned)port);
    const char *const endpoints[] = {endpoint};
    const struct load_config config = {
        .kind = kind,
        .endpoints = endpoints,
        .endpoint_count = 1,
        .clients = CLIENTS,
        .conns = conns,
        .loops = 1,
        .total = CALLS,
        .value_bytes = 256,
        .key_space = 10000,
        .timeout = 10 * NANOS_PER_S,
        .seed = 1,
    };
    struct load_report report;
    CHECK(load_run(&config, &report) == OK && report.done == CALLS);
    nanos cpu = null_stop(child);
    printf("%s: %d calls of %d clients on %u connections, values of 256 bytes\n", name, CALLS,
           CLIENTS, conns);
    snprintf(figure, sizeof figure, "%s_server_cpu", name);
    bench_report(figure, (double)cpu / CALLS / 1e3, "us/call");
    snprintf(figure, sizeof figure, "%s_client_cpu", name);
    bench_report(figure, (double)report.cpu / CALLS / 1e3, "us/call");
    snprintf(figure, sizeof figure, "%s_rate", name);
    bench_report(figure, bench_rate(CALLS, report.spent), "calls/s");
}

/* --- Idle streams ----------------------------------------------------------------------------- */

static size_t rpc_bench_resident(pid_t pid)
{
    char path[64];
    unsigned long size = 0, resident = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    FILE *file = fopen(path, "r");
    CHECK(file != NULL && fscanf(file, "%lu %lu", &size, &resident) == 2);
    (void)fclose(file);
    return (size_t)resident * (size_t)sysconf(_SC_PAGESIZE);
}

struct idle_state {
    uv_loop_t loop;
    size_t created, wanted;
};

static void idle_on_message(void *arg, struct bytes message)
{
    (void)message;
    struct idle_state *state = arg;
    if (++state->created == state->wanted) {
        uv_stop(&state->loop);
    }
}

static void idle_on_done(void *arg, int status, const char *text)
{
    (void)arg;
    printf("a stream ended with %d: %s\n", status, text);
    exit(1);
}

/* Opens streams on connections, and returns what that added to the server's memory. */
static size_t rpc_bench_idle(size_t conns, size_t streams_each)
{
    static const struct rpc_client_ops ops = {.message = idle_on_message, .done = idle_on_done};
    static const uint8_t create[] = {0x0A, 3, 0x0A, 1, 'k'};
    uint16_t port = 0;
    pid_t child = null_start(&port);
    char endpoint[32];
    snprintf(endpoint, sizeof endpoint, "127.0.0.1:%u", (unsigned)port);
    const char *const endpoints[] = {endpoint};
    const struct rpc_client_config config = {.endpoints = endpoints, .endpoint_count = 1};
    struct idle_state state = {.created = 0, .wanted = conns * streams_each};
    struct rpc_client **clients = mem_alloc_zero(conns * sizeof(struct rpc_client *));
    struct rpc_io io;
    CHECK(uv_loop_init(&state.loop) == 0);
    rpc_io_open(&io, &state.loop);
    size_t before = rpc_bench_resident(child);
    for (size_t i = 0; i < conns; i++) {
        CHECK(rpc_client_open(&io, &config, &clients[i]) == OK);
        for (size_t j = 0; j < streams_each; j++) {
            struct rpc_client_call *call =
                rpc_client_start(clients[i], "/etcdserverpb.Watch/Watch", 0, &ops, &state);
            (void)rpc_client_send(call, (struct bytes){create, sizeof create}, false);
        }
    }
    (void)uv_run(&state.loop, UV_RUN_DEFAULT);
    size_t after = rpc_bench_resident(child);
    for (size_t i = 0; i < conns; i++) {
        rpc_client_close(clients[i]);
    }
    rpc_io_close(&io, NULL, NULL);
    (void)uv_run(&state.loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&state.loop) == 0);
    mem_free(clients);
    (void)null_stop(child);
    return after - before;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "serve") == 0) {
        null_serve(STDOUT_FILENO); /* for a profiler: the port is two bytes on standard output */
    }
    rpc_bench_unary("rpc_put_16_conns", LOAD_PUT, 16);
    rpc_bench_unary("rpc_put_256_conns", LOAD_PUT, CLIENTS);
    rpc_bench_unary("rpc_put_1_conn", LOAD_PUT, 1);
    rpc_bench_unary("rpc_range_16_conns", LOAD_RANGE, 16);
    printf("idle: streams with one answer behind them; %d on one connection, then %d connections\n",
           IDLE_STREAMS, IDLE_CONNECTIONS);
    bench_report("rpc_idle_stream", (double)rpc_bench_idle(1, IDLE_STREAMS) / IDLE_STREAMS,
                 "bytes");
    bench_report("rpc_idle_connection",
                 (double)rpc_bench_idle(IDLE_CONNECTIONS, 1) / IDLE_CONNECTIONS, "bytes");
    return 0;
}
