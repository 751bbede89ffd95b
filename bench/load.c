#include "bench/load.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <pthread.h>
#include <time.h>
#include <uv.h>

#include "api/client/rpc_client.h"
#include "api/pb_wire.h"
#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/base/prng.h"

/* Numbers of etcd's fields. */
enum { ANY_KEY = 1, PUT_VALUE = 2, RANGE_SERIALIZABLE = 7 };

#define KEY_BYTES 32

struct load_loop;

/* One client: the next call begins when the last has ended. */
struct load_client {
    struct load_loop *loop;
    struct rpc_client *conn;
    nanos begun_at;
    bool answered;
};

struct load_loop {
    const struct load_config *config;
    uint32_t index;
    uv_loop_t uv;
    struct rpc_io io;
    struct rpc_client **conns;
    uint32_t conn_count;
    struct load_client *clients;
    uint32_t client_count, running;
    uint64_t quota; /* calls still to begin */
    nanos end_at;
    struct prng prng;
    struct buf value, request;
    struct load_report report;
    pthread_t thread;
    enum err outcome;
};

/* --- Latencies -------------------------------------------------------------------------------- */

/* 32 buckets to each power of two; below 32 ns there is nothing to see. */
static size_t load_bucket(nanos latency)
{
    if (latency < 32) {
        return (size_t)latency;
    }
    unsigned power = 63 - (unsigned)__builtin_clzll(latency);
    size_t bucket = (size_t)(power - 4) * 32 + (size_t)((latency >> (power - 5)) & 31);
    return bucket < LOAD_BUCKETS ? bucket : LOAD_BUCKETS - 1;
}

static nanos load_bucket_top(size_t bucket)
{
    if (bucket < 32) {
        return bucket;
    }
    unsigned power = (unsigned)(bucket / 32) + 4;
    return ((nanos)(32 + bucket % 32 + 1) << (power - 5)) - 1;
}

nanos load_percentile(const struct load_report *report, uint32_t share_ppm)
{
    uint64_t wanted = (report->done * share_ppm + 999999) / 1000000;
    uint64_t seen = 0;
    for (size_t i = 0; i < LOAD_BUCKETS; i++) {
        seen += report->buckets[i];
        if (seen >= wanted && seen > 0) {
            return u64_min(load_bucket_top(i), report->latency_max);
        }
    }
    return report->latency_max;
}

/* --- Calls ------------------------------------------------------------------------------------ */

static void load_begin(struct load_client *client);

static void load_on_message(void *arg, struct bytes message)
{
    (void)message;
    struct load_client *client = arg;
    client->answered = true;
}

static void load_on_end(void *arg, int status, const char *text)
{
    struct load_client *client = arg;
    struct load_report *report = &client->loop->report;
    if (status == RPC_OK && client->answered) {
        nanos latency = uv_hrtime() - client->begun_at;
        report->done++;
        report->latency_sum += latency;
        report->latency_max = u64_max(report->latency_max, latency);
        report->buckets[load_bucket(latency)]++;
    } else {
        report->failed[status > 0 && status < LOAD_STATUS_COUNT ? status : RPC_UNKNOWN]++;
        if (report->first_failure[0] == '\0') {
            snprintf(report->first_failure, sizeof report->first_failure, "%s: %s",
                     rpc_status_name(status), text);
        }
    }
    load_begin(client);
}

static const struct rpc_client_ops load_ops = {
    .message = load_on_message,
    .done = load_on_end,
};

static void load_begin(struct load_client *client)
{
    struct load_loop *loop = client->loop;
    const struct load_config *config = loop->config;
    nanos now = uv_hrtime();
    bool over = config->total > 0 ? loop->quota == 0 : now >= loop->end_at;
    if (over) {
        if (--loop->running == 0) {
            uv_stop(&loop->uv);
        }
        return;
    }
    loop->quota -= config->total > 0 ? 1 : 0;
    bool read =
        config->kind == LOAD_RANGE ||
        (config->kind == LOAD_MIXED && prng_chance(&loop->prng, config->reads_percent, 100));
    char key[KEY_BYTES];
    snprintf(key, sizeof key, "bench/%016" PRIx64, prng_below(&loop->prng, config->key_space));
    buf_clear(&loop->request);
    pb_put_text(&loop->request, ANY_KEY, key);
    if (!read) {
        pb_put_bytes(&loop->request, PUT_VALUE, buf_view(&loop->value));
    } else if (config->serializable) {
        pb_put_varint(&loop->request, RANGE_SERIALIZABLE, 1);
    }
    client->answered = false;
    client->begun_at = now;
    struct rpc_client_call *call =
        rpc_client_start(client->conn, read ? "/etcdserverpb.KV/Range" : "/etcdserverpb.KV/Put",
                         config->timeout, &load_ops, client);
    (void)rpc_client_send(call, buf_view(&loop->request), true);
}

/* --- Loops ------------------------------------------------------------------------------------ */

static nanos load_thread_cpu(void)
{
    struct timespec t;
    CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0);
    return (nanos)t.tv_sec * NANOS_PER_S + (nanos)t.tv_nsec;
}

static void load_open(struct load_loop *loop)
{
    const struct load_config *config = loop->config;
    prng_init(&loop->prng, config->seed + loop->index);
    uint8_t *value = buf_extend(&loop->value, config->value_bytes);
    for (uint32_t i = 0; i < config->value_bytes; i++) {
        value[i] = (uint8_t)prng_range(&loop->prng, 'a', 'z');
    }
    loop->conns = mem_alloc_zero(loop->conn_count * sizeof *loop->conns);
    loop->clients = mem_alloc_zero(loop->client_count * sizeof *loop->clients);
    for (uint32_t i = 0; i < loop->conn_count && loop->outcome == OK; i++) {
        size_t endpoint = (loop->index + i * config->loops) % config->endpoint_count;
        const struct rpc_client_config c = {
            .endpoints = &config->endpoints[endpoint],
            .endpoint_count = 1,
            .tls = config->tls,
        };
        loop->outcome = rpc_client_open(&loop->io, &c, &loop->conns[i]);
        if (loop->outcome == OK && config->token != NULL) {
            rpc_client_set_metadata(loop->conns[i], "token", config->token);
        }
    }
}

static void load_close(struct load_loop *loop)
{
    for (uint32_t i = 0; i < loop->conn_count; i++) {
        if (loop->conns[i] != NULL) {
            rpc_client_close(loop->conns[i]);
        }
    }
    rpc_io_close(&loop->io, NULL, NULL);
    CHECK(uv_run(&loop->uv, UV_RUN_DEFAULT) == 0 && uv_loop_close(&loop->uv) == 0);
    mem_free(loop->conns);
    mem_free(loop->clients);
    buf_deinit(&loop->value);
    buf_deinit(&loop->request);
}

static void *load_thread(void *arg)
{
    struct load_loop *loop = arg;
    CHECK(uv_loop_init(&loop->uv) == 0);
    rpc_io_open(&loop->io, &loop->uv);
    load_open(loop);
    if (loop->outcome == OK) {
        nanos begun_at = uv_hrtime();
        loop->end_at = begun_at + loop->config->seconds * NANOS_PER_S;
        loop->running = loop->client_count;
        for (uint32_t i = 0; i < loop->client_count; i++) {
            loop->clients[i].loop = loop;
            loop->clients[i].conn = loop->conns[i % loop->conn_count];
            load_begin(&loop->clients[i]);
        }
        (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
        loop->report.spent = uv_hrtime() - begun_at;
    }
    load_close(loop);
    loop->report.cpu = load_thread_cpu();
    return NULL;
}

static uint32_t load_share(uint32_t whole, uint32_t parts, uint32_t index)
{
    return whole / parts + (index < whole % parts ? 1 : 0);
}

static void load_merge(struct load_report *into, const struct load_report *from)
{
    into->spent = u64_max(into->spent, from->spent);
    into->cpu += from->cpu;
    into->done += from->done;
    into->latency_sum += from->latency_sum;
    into->latency_max = u64_max(into->latency_max, from->latency_max);
    for (size_t i = 0; i < LOAD_BUCKETS; i++) {
        into->buckets[i] += from->buckets[i];
    }
    for (size_t i = 0; i < LOAD_STATUS_COUNT; i++) {
        into->failed[i] += from->failed[i];
    }
    if (into->first_failure[0] == '\0') {
        memcpy(into->first_failure, from->first_failure, sizeof into->first_failure);
    }
}

enum err load_run(const struct load_config *config, struct load_report *ret)
{
    CHECK(config->loops > 0 && config->loops <= LOAD_LOOPS_MAX);
    CHECK(config->clients >= config->conns && config->conns >= config->loops);
    struct load_loop *loops = mem_alloc_zero(config->loops * sizeof *loops);
    for (uint32_t i = 0; i < config->loops; i++) {
        loops[i].config = config;
        loops[i].index = i;
        loops[i].conn_count = load_share(config->conns, config->loops, i);
        loops[i].client_count = load_share(config->clients, config->loops, i);
        loops[i].quota = config->total / config->loops + (i < config->total % config->loops);
        CHECK(pthread_create(&loops[i].thread, NULL, load_thread, &loops[i]) == 0);
    }
    enum err outcome = OK;
    memset(ret, 0, sizeof *ret);
    for (uint32_t i = 0; i < config->loops; i++) {
        CHECK(pthread_join(loops[i].thread, NULL) == 0);
        load_merge(ret, &loops[i].report);
        outcome = loops[i].outcome == OK ? outcome : loops[i].outcome;
    }
    mem_free(loops);
    return outcome;
}
