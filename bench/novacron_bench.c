/*
 * novacron-bench put|range|mixed: loads a server that speaks etcd's API, ours or another, and
 * prints what it took: calls by the second, latencies, failures.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/client/rpc_client.h"
#include "api/rpc_tls.h"
#include "bench/load.h"

#define CLIENTS_PER_CONNECTION 16

static const char usage[] =
    "usage: novacron-bench put|range|mixed [options]\n"
    "  --endpoints A,B      host:port or URL; connections take them in turn (127.0.0.1:2379)\n"
    "  --clients N          calls under way at a time (1)\n"
    "  --conns N            connections (one for 16 clients)\n"
    "  --loops N            threads of the load itself (1)\n"
    "  --total N            calls to make (10000)\n"
    "  --seconds N          instead of --total: for how long\n"
    "  --value-bytes N      of a put (256)\n"
    "  --key-space N        keys are drawn from this many (10000)\n"
    "  --reads N            per cent of mixed that are ranges (50)\n"
    "  --serializable       ranges may be answered by one member, out of date\n"
    "  --timeout-ms N       of a call (10000)\n"
    "  --seed N             of keys and values (1)\n"
    "  --token T            of a user\n"
    "  --cacert F --cert F --key F   for TLS\n";

enum option_number {
    OPT_ENDPOINTS = 256,
    OPT_CLIENTS,
    OPT_CONNS,
    OPT_LOOPS,
    OPT_TOTAL,
    OPT_SECONDS,
    OPT_VALUE_BYTES,
    OPT_KEY_SPACE,
    OPT_READS,
    OPT_SERIALIZABLE,
    OPT_TIMEOUT,
    OPT_SEED,
    OPT_TOKEN,
    OPT_CACERT,
    OPT_CERT,
    OPT_KEY,
};

static const struct option options[] = {
    {"endpoints", required_argument, NULL, OPT_ENDPOINTS},
    {"clients", required_argument, NULL, OPT_CLIENTS},
    {"conns", required_argument, NULL, OPT_CONNS},
    {"loops", required_argument, NULL, OPT_LOOPS},
    {"total", required_argument, NULL, OPT_TOTAL},
    {"seconds", required_argument, NULL, OPT_SECONDS},
    {"value-bytes", required_argument, NULL, OPT_VALUE_BYTES},
    {"key-space", required_argument, NULL, OPT_KEY_SPACE},
    {"reads", required_argument, NULL, OPT_READS},
    {"serializable", no_argument, NULL, OPT_SERIALIZABLE},
    {"timeout-ms", required_argument, NULL, OPT_TIMEOUT},
    {"seed", required_argument, NULL, OPT_SEED},
    {"token", required_argument, NULL, OPT_TOKEN},
    {"cacert", required_argument, NULL, OPT_CACERT},
    {"cert", required_argument, NULL, OPT_CERT},
    {"key", required_argument, NULL, OPT_KEY},
    {NULL, 0, NULL, 0},
};

struct bench_args {
    struct load_config config;
    struct rpc_tls_files files;
    char *endpoints[RPC_ENDPOINTS_MAX]; /* into the argument */
    size_t endpoint_count;
};

static bool bench_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
    char *end = NULL;
    unsigned long long v = strtoull(text, &end, 10);
    *ret = v;
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && v >= min && v <= max;
}

static bool bench_split(char *text, struct bench_args *args)
{
    args->endpoint_count = 0;
    for (char *at = text; at != NULL;) {
        char *comma = strchr(at, ',');
        if (comma != NULL) {
            *comma++ = '\0';
        }
        if (args->endpoint_count == RPC_ENDPOINTS_MAX) {
            return false;
        }
        args->endpoints[args->endpoint_count++] = at;
        at = comma;
    }
    return true;
}

static bool bench_set_number(int number, const char *text, struct load_config *c)
{
    uint64_t v = 0;
    bool ok = false;
    switch (number) {
    case OPT_CLIENTS:
        ok = bench_number(text, 1, 1000000, &v);
        c->clients = (uint32_t)v;
        return ok;
    case OPT_CONNS:
        ok = bench_number(text, 1, 65536, &v);
        c->conns = (uint32_t)v;
        return ok;
    case OPT_LOOPS:
        ok = bench_number(text, 1, LOAD_LOOPS_MAX, &v);
        c->loops = (uint32_t)v;
        return ok;
    case OPT_TOTAL:
        return bench_number(text, 1, UINT64_MAX / 2, &c->total);
    case OPT_SECONDS:
        ok = bench_number(text, 1, 86400, &v);
        c->seconds = (uint32_t)v;
        c->total = 0;
        return ok;
    case OPT_VALUE_BYTES:
        ok = bench_number(text, 0, 64 << 20, &v);
        c->value_bytes = (uint32_t)v;
        return ok;
    case OPT_KEY_SPACE:
        return bench_number(text, 1, UINT64_MAX / 2, &c->key_space);
    case OPT_READS:
        ok = bench_number(text, 0, 100, &v);
        c->reads_percent = (uint32_t)v;
        return ok;
    case OPT_TIMEOUT:
        ok = bench_number(text, 1, 86400000, &v);
        c->timeout = v * NANOS_PER_MS;
        return ok;
    case OPT_SEED:
        return bench_number(text, 0, UINT64_MAX - 1, &c->seed);
    default:
        return false;
    }
}

static bool bench_set(int number, char *text, struct bench_args *args)
{
    switch (number) {
    case OPT_ENDPOINTS:
        return bench_split(text, args);
    case OPT_SERIALIZABLE:
        args->config.serializable = true;
        return true;
    case OPT_TOKEN:
        args->config.token = text;
        return true;
    case OPT_CACERT:
        args->files.ca = text;
        return true;
    case OPT_CERT:
        args->files.certificate = text;
        return true;
    case OPT_KEY:
        args->files.key = text;
        return true;
    default:
        return bench_set_number(number, text, &args->config);
    }
}

static bool bench_parse(int argc, char **argv, struct bench_args *args)
{
    static char endpoint[] = "127.0.0.1:2379";
    *args = (struct bench_args){
        .config = {.clients = 1,
                   .loops = 1,
                   .total = 10000,
                   .value_bytes = 256,
                   .key_space = 10000,
                   .reads_percent = 50,
                   .timeout = 10 * NANOS_PER_S,
                   .seed = 1},
        .endpoints = {endpoint},
        .endpoint_count = 1,
    };
    int number = 0;
    while ((number = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (number == '?' || !bench_set(number, optarg, args)) {
            return false;
        }
    }
    struct load_config *c = &args->config;
    c->loops = c->loops > c->clients ? c->clients : c->loops;
    if (c->conns == 0) {
        c->conns = (c->clients + CLIENTS_PER_CONNECTION - 1) / CLIENTS_PER_CONNECTION;
    }
    c->conns = c->conns > c->clients ? c->clients : c->conns;
    c->conns = c->conns < c->loops ? c->loops : c->conns;
    if (optind + 1 != argc) {
        return false;
    }
    static const char *const kinds[] = {"put", "range", "mixed"};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        if (strcmp(argv[optind], kinds[i]) == 0) {
            c->kind = (enum load_kind)i;
            return true;
        }
    }
    return false;
}

static void bench_print(const struct load_config *c, const struct load_report *r)
{
    static const struct {
        const char *name;
        uint32_t ppm;
    } shares[] = {{"p50", 500000}, {"p90", 900000}, {"p99", 990000}, {"p99.9", 999000}};
    double seconds = (double)r->spent / 1e9;
    uint64_t failed = 0;
    for (size_t i = 0; i < LOAD_STATUS_COUNT; i++) {
        failed += r->failed[i];
    }
    printf("clients: %u on %u connections, %u loops; values of %u bytes, %llu keys\n", c->clients,
           c->conns, c->loops, c->value_bytes, (unsigned long long)c->key_space);
    printf("calls: %llu in %.3f s\n", (unsigned long long)r->done, seconds);
    printf("rate: %.0f /s\n", seconds > 0 ? (double)r->done / seconds : 0);
    if (r->done > 0) {
        printf("mean: %.3f ms\n", (double)r->latency_sum / (double)r->done / 1e6);
        for (size_t i = 0; i < COUNT_OF(shares); i++) {
            printf("%s: %.3f ms\n", shares[i].name,
                   (double)load_percentile(r, shares[i].ppm) / 1e6);
        }
        printf("max: %.3f ms\n", (double)r->latency_max / 1e6);
        printf("own cpu: %.2f us a call\n", (double)r->cpu / (double)r->done / 1e3);
    }
    printf("failures: %llu\n", (unsigned long long)failed);
    for (int i = 1; i < LOAD_STATUS_COUNT; i++) {
        if (r->failed[i] > 0) {
            printf("  %s: %llu\n", rpc_status_name(i), (unsigned long long)r->failed[i]);
        }
    }
    if (failed > 0) {
        printf("first failure: %s\n", r->first_failure);
    }
}

int main(int argc, char **argv)
{
    struct bench_args args;
    struct rpc_tls *tls = NULL;
    char why[RPC_TLS_TEXT_BYTES];
    if (!bench_parse(argc, argv, &args)) {
        fputs(usage, stderr);
        return 2;
    }
    if (args.files.ca != NULL || args.files.certificate != NULL) {
        if (rpc_tls_open(&args.files, RPC_TLS_CLIENT, why, &tls) != OK) {
            fprintf(stderr, "novacron-bench: %s\n", why);
            return 1;
        }
    }
    args.config.tls = tls;
    args.config.endpoints = (const char *const *)args.endpoints;
    args.config.endpoint_count = args.endpoint_count;
    struct load_report report;
    if (load_run(&args.config, &report) != OK) {
        fprintf(stderr,
                "novacron-bench: an endpoint is neither host:port nor an http or https URL\n");
        return 1;
    }
    bench_print(&args.config, &report);
    rpc_tls_close(tls);
    return report.done > 0 ? 0 : 1;
}
