#include "core/monitoring/health/probe_clock.h"

#include "core/base/check.h"

#include <string.h>

/* Clocks further apart than this count as this far apart: 146 years, half of what 63 bits hold. */
#define OFF_MAX (INT64_MAX / 2)

struct clock_config clock_config_of(void)
{
    return (struct clock_config){
        .well = NANOS_PER_S / 2,
        .broken = 10 * NANOS_PER_S,
        .age_max = 300 * NANOS_PER_S,
    };
}

void clock_probe_init(struct clock_probe *c, const struct clock_config *config)
{
    CHECK(config->well <= config->broken && config->broken <= OFF_MAX);
    memset(c, 0, sizeof *c);
    c->config = *config;
}

static int64_t clock_difference(nanos theirs, nanos ours)
{
    uint64_t apart = theirs > ours ? theirs - ours : ours - theirs;
    int64_t bounded = apart < (uint64_t)OFF_MAX ? (int64_t)apart : OFF_MAX;

    return theirs > ours ? bounded : -bounded;
}

/* Where the answer of this peer goes: its own place, a free one, or the oldest. */
static struct clock_sample *place_of_peer(struct clock_probe *c, node_id peer)
{
    struct clock_sample *oldest = &c->samples[0];

    for (uint32_t i = 0; i < c->count; i++) {
        if (c->samples[i].peer == peer) {
            return &c->samples[i];
        }
        if (c->samples[i].at < oldest->at) {
            oldest = &c->samples[i];
        }
    }
    return c->count < CLOCK_PEERS_MAX ? &c->samples[c->count++] : oldest;
}

void clock_probe_take(struct clock_probe *c, node_id peer, nanos asked, nanos answered,
                      nanos theirs, nanos now)
{
    if (answered < asked) {
        return;
    }
    *place_of_peer(c, peer) = (struct clock_sample){
        .peer = peer,
        .at = now,
        .low = clock_difference(theirs, answered),
        .high = clock_difference(theirs, asked),
    };
}

void clock_probe_forget(struct clock_probe *c, node_id peer)
{
    for (uint32_t i = c->count; i > 0; i--) {
        if (peer == NODE_NONE || c->samples[i - 1].peer == peer) {
            c->samples[i - 1] = c->samples[--c->count];
        }
    }
}

/* The part that most intervals share begins where one of them begins: how many hold that point, and
 * where the first of them ends. */
static uint32_t count_around(const struct clock_sample *samples, uint32_t n, int64_t point,
                             int64_t *end)
{
    uint32_t holding = 0;

    *end = INT64_MAX;
    for (uint32_t i = 0; i < n; i++) {
        if (samples[i].low <= point && point <= samples[i].high) {
            holding++;
            *end = samples[i].high < *end ? samples[i].high : *end;
        }
    }
    return holding;
}

static int64_t nearest_to_zero(int64_t low, int64_t high)
{
    return low > 0 ? low : high < 0 ? high : 0;
}

static nanos distance_of(int64_t off)
{
    return (nanos)(off < 0 ? -off : off);
}

struct clock_verdict clock_probe_judge(const struct clock_probe *c, nanos now)
{
    struct clock_sample fresh[CLOCK_PEERS_MAX];
    struct clock_verdict verdict = {.state = RUNG_UNKNOWN};

    for (uint32_t i = 0; i < c->count; i++) {
        if (u64_sub_sat(now, c->samples[i].at) <= c->config.age_max) {
            fresh[verdict.asked++] = c->samples[i];
        }
    }
    for (uint32_t i = 0; i < verdict.asked; i++) {
        int64_t end = 0;
        uint32_t holding = count_around(fresh, verdict.asked, fresh[i].low, &end);
        int64_t off = nearest_to_zero(fresh[i].low, end);
        bool is_nearer = distance_of(off) < distance_of(verdict.off);

        if (holding > verdict.agreeing || (holding == verdict.agreeing && is_nearer)) {
            verdict.agreeing = holding;
            verdict.off = off;
        }
    }
    if (verdict.asked < CLOCK_PEERS_MIN || verdict.agreeing * 2 <= verdict.asked) {
        return verdict;
    }
    nanos off = distance_of(verdict.off);

    verdict.state = off < c->config.well     ? RUNG_WELL
                    : off < c->config.broken ? RUNG_DEGRADED
                                             : RUNG_BROKEN;
    return verdict;
}
