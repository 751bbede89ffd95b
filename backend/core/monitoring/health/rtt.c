#include "core/monitoring/health/rtt.h"

#include "core/base/check.h"

#include <string.h>

/* 2^32 of the smallest timeout are above any maximum; more doublings need no counting. */
#define DOUBLINGS_MAX 32

struct rtt_config rtt_config_of(nanos min)
{
    return (struct rtt_config){
        .initial = u64_max(NANOS_PER_S, min),
        .min = min,
        .max = u64_max(60 * NANOS_PER_S, min),
        .granularity = NANOS_PER_MS,
    };
}

void rtt_init(struct rtt *r, const struct rtt_config *config)
{
    memset(r, 0, sizeof *r);
    r->config = *config;
    rtt_check(r);
}

void rtt_sample(struct rtt *r, nanos round_trip, uint32_t sends)
{
    CHECK(sends >= 1);
    if (sends > 1) {
        return;
    }
    round_trip = u64_min(round_trip, RTT_SAMPLE_MAX);
    r->doublings = 0;
    if (!r->is_measured) {
        r->is_measured = true;
        r->smoothed = round_trip;
        r->deviation = round_trip / 2;
        return;
    }
    nanos error = round_trip > r->smoothed ? round_trip - r->smoothed : r->smoothed - round_trip;

    r->deviation = (3 * r->deviation + error) / 4;
    r->smoothed = (7 * r->smoothed + round_trip) / 8;
}

void rtt_timed_out(struct rtt *r)
{
    if (r->doublings < DOUBLINGS_MAX) {
        r->doublings++;
    }
}

nanos rtt_timeout(const struct rtt *r)
{
    nanos timeout = r->config.initial;

    if (r->is_measured) {
        timeout = r->smoothed + u64_max(r->config.granularity, 4 * r->deviation);
    }
    timeout = u64_max(timeout, r->config.min);
    for (uint32_t i = 0; i < r->doublings && timeout < r->config.max; i++) {
        timeout *= 2;
    }
    return u64_min(timeout, r->config.max);
}

void rtt_check(const struct rtt *r)
{
    CHECK(r->config.min > 0 && r->config.min <= r->config.max);
    CHECK(r->config.initial <= r->config.max && r->config.max <= UINT64_MAX / 2);
    CHECK(r->smoothed <= RTT_SAMPLE_MAX && r->deviation <= RTT_SAMPLE_MAX);
    CHECK(r->doublings <= DOUBLINGS_MAX);
}
