/*
 * A load on a server that speaks etcd's API: closed loops, each with one call under way. Used by
 * novacron-bench against any server, and by bench-rpc against one that does nothing.
 */
#ifndef NOVACRON_BENCH_LOAD_H
#define NOVACRON_BENCH_LOAD_H

#include "api/rpc_tls.h"
#include "core/base/err.h"
#include "core/base/types.h"

enum load_kind { LOAD_PUT, LOAD_RANGE, LOAD_MIXED };

#define LOAD_LOOPS_MAX 16

struct load_config {
    enum load_kind kind;
    const char *const *endpoints; /* connections take them in turn */
    size_t endpoint_count;
    const struct rpc_tls *tls;
    const char *token; /* or NULL */
    uint32_t clients;  /* calls under way at a time */
    uint32_t conns;
    uint32_t loops; /* threads */
    uint64_t total; /* calls; 0: until `seconds` have passed */
    uint32_t seconds;
    uint32_t value_bytes;
    uint64_t key_space;
    uint32_t reads_percent; /* of LOAD_MIXED */
    bool serializable;
    nanos timeout; /* of a call */
    uint64_t seed;
};

/* Latencies in buckets that are at most 1/32 wide. */
#define LOAD_BUCKETS (40 * 32)

#define LOAD_STATUS_COUNT 17

struct load_report {
    nanos spent;
    nanos cpu; /* that the load itself took */
    uint64_t done;
    uint64_t failed[LOAD_STATUS_COUNT];
    char first_failure[160];
    uint64_t buckets[LOAD_BUCKETS];
    nanos latency_sum, latency_max;
};

/* ERR_INVALID: an endpoint cannot be read. */
MUST_USE enum err load_run(const struct load_config *config, struct load_report *ret);

/* The latency below which `share_ppm` of a million calls ended. */
nanos load_percentile(const struct load_report *report, uint32_t share_ppm);

#endif
