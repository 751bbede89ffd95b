/*
 * Adaptive timeouts for everything that waits on a peer, as TCP has them [Jacobson88] [RFC6298]:
 * the smoothed round trip plus four times its mean deviation.
 *
 *   first sample R:  srtt = R, rttvar = R / 2
 *   each further R:  rttvar += (|srtt - R| - rttvar) / 4, then srtt += (R - srtt) / 8
 *   timeout:         srtt + max(granularity, 4 * rttvar), within [min, max]; `initial` before any
 *
 * Karn's rule: the answer to a request that was sent more than once may belong to any of them, and
 * is no sample. After a time-out the timeout doubles, up to `max`, and stays so until there is a
 * sample again: a peer that has become slower than the timeout would otherwise never be measured.
 *
 * Whole nanoseconds throughout. Who waits on many peers has one of these for each.
 */
#ifndef NOVACRON_HEALTH_RTT_H
#define NOVACRON_HEALTH_RTT_H

#include "core/base/types.h"

/* A round trip longer than this counts as this: sums stay far from overflow. */
#define RTT_SAMPLE_MAX (3600 * NANOS_PER_S)

struct rtt_config {
    nanos initial;
    nanos min;         /* > 0 */
    nanos max;         /* >= initial, >= min */
    nanos granularity; /* of the clock, or of the timers */
};

struct rtt {
    struct rtt_config config;
    nanos smoothed;
    nanos deviation;
    uint32_t doublings; /* time-outs since the last sample */
    bool is_measured;
};

/* For a network: initially 1 s, from `min` to 60 s, with timers of 1 ms. */
struct rtt_config rtt_config_of(nanos min);

void rtt_init(struct rtt *r, const struct rtt_config *config);

/* A request was answered after `round_trip`; `sends`: how often it had been sent, 1 or more. */
void rtt_sample(struct rtt *r, nanos round_trip, uint32_t sends);

/* A request was not answered within rtt_timeout. */
void rtt_timed_out(struct rtt *r);

/* How long to wait for the next answer. */
nanos rtt_timeout(const struct rtt *r);

void rtt_check(const struct rtt *r);

#endif
