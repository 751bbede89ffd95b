/*
 * The clock rung: is this host's wall clock sane, as its peers see it? Certificates, logs and the
 * times that operators compare hang on it; nothing of consensus does.
 *
 * A peer is asked for its wall clock; between question and answer of ours its answer was true. So
 * by how much its clock is ahead of ours lies in an interval that is as wide as the round trip, and
 * the intervals of peers whose clocks agree have a part in common. The part that most of them share
 * [Marzullo84] is where the peers' time is; one peer whose clock is wrong, or lies, moves nothing.
 * Where no majority of the answers agrees there is no verdict.
 *
 * Pure: the caller asks, and brings both clocks.
 */
#ifndef NOVACRON_HEALTH_PROBE_CLOCK_H
#define NOVACRON_HEALTH_PROBE_CLOCK_H

#include "core/base/types.h"
#include "core/monitoring/health/host_score.h"

/* Peers whose answers are kept; where there are more, the oldest answer makes room. */
#define CLOCK_PEERS_MAX 32

/* Answers without which there is no verdict. */
#define CLOCK_PEERS_MIN 2

struct clock_config {
    nanos well;    /* off by less than this: well */
    nanos broken;  /* off by this much: broken; between them degraded */
    nanos age_max; /* older answers do not count */
};

/* By how much a peer's clock is ahead of ours: at least `low`, at most `high`. */
struct clock_sample {
    node_id peer;
    nanos at;
    int64_t low;
    int64_t high;
};

struct clock_probe {
    struct clock_config config;
    struct clock_sample samples[CLOCK_PEERS_MAX];
    uint32_t count;
};

struct clock_verdict {
    enum rung_state state;
    int64_t off; /* by how much the peers are ahead of us, at the least */
    uint32_t agreeing;
    uint32_t asked;
};

/* Half a second and ten, and answers of the last five minutes. */
struct clock_config clock_config_of(void);

void clock_probe_init(struct clock_probe *c, const struct clock_config *config);

/* `peer` said that its wall clock shows `theirs`; ours showed `asked` and `answered` (nanoseconds
 * of the Unix epoch). `now` is the monotonic clock. An answer from before its question is dropped.
 */
void clock_probe_take(struct clock_probe *c, node_id peer, nanos asked, nanos answered,
                      nanos theirs, nanos now);

/* What a peer said counts no longer; NODE_NONE: what anybody said, as when our own clock was set.
 */
void clock_probe_forget(struct clock_probe *c, node_id peer);

struct clock_verdict clock_probe_judge(const struct clock_probe *c, nanos now);

#endif
