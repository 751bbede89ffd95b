#include "core/monitoring/health/breaker.h"

#include "core/base/check.h"

#include <string.h>

#define OUTCOME_FAILED 1U
#define OUTCOME_SLOW   2U

/* After as many openings in a row the open time has reached any cap. */
#define OPENINGS_MAX 1000

static const struct {
    const char *name;
    bool passes;
} breaker_states[BREAKER_STATES] = {
#define BREAKER_ROW(state, name, passes) [state] = {name, passes},
    BREAKER_TABLE(BREAKER_ROW)
#undef BREAKER_ROW
};

const char *breaker_state_name(enum breaker_state state)
{
    CHECK(state < BREAKER_STATES);
    return breaker_states[state].name;
}

struct breaker_config breaker_config_of(nanos slow_after)
{
    return (struct breaker_config){
        .calls = 100,
        .minimum = 20,
        .failure_percent = 50,
        .slow_percent = 50,
        .slow_after = slow_after,
        .failures_in_row = 5,
        .open_first = 5 * NANOS_PER_S,
        .open_max = 300 * NANOS_PER_S,
        .growth_percent = 200,
        .jitter_percent = 20,
        .calm = 60 * NANOS_PER_S,
        .permits = 2,
        .successes = 2,
        .permit_timeout = 30 * NANOS_PER_S,
    };
}

enum err breaker_config_check(const struct breaker_config *c)
{
    bool has_window = c->calls >= 1 && c->calls <= BREAKER_CALLS_MAX && c->minimum >= 1 &&
                      (c->span > 0 || c->minimum <= c->calls) &&
                      (c->span == 0 || c->span >= BREAKER_SLICES);
    bool has_open = c->open_first > 0 && c->open_first <= c->open_max &&
                    c->open_max <= 24 * 3600 * NANOS_PER_S && c->growth_percent >= 100 &&
                    c->growth_percent <= 10000 && c->jitter_percent <= 100;
    bool has_half = c->permits >= 1 && c->permits <= BREAKER_PERMITS_MAX && c->successes >= 1 &&
                    c->permit_timeout > 0;

    return has_window && has_open && has_half && c->slow_after > 0 ? OK : ERR_INVALID;
}

/* --- The window ----------------------------------------------------------------------------------
 */

static void shares_add(struct breaker_shares *shares, uint32_t outcome)
{
    shares->calls++;
    shares->failed += (outcome & OUTCOME_FAILED) != 0;
    shares->slow += (outcome & OUTCOME_SLOW) != 0;
}

static void shares_take(struct breaker_shares *shares, const struct breaker_shares *old)
{
    shares->calls -= old->calls;
    shares->failed -= old->failed;
    shares->slow -= old->slow;
}

static void forget_calls(struct breaker *b)
{
    memset(&b->shares, 0, sizeof b->shares);
    memset(b->slices, 0, sizeof b->slices);
    b->next = 0;
    b->in_row = 0;
}

/* By time: drops the slices that have left the window by now. */
static void pass_slices(struct breaker *b)
{
    if (b->config.span == 0) {
        return;
    }
    uint64_t slice = b->latest / (b->config.span / BREAKER_SLICES);
    uint64_t passed = u64_min(slice - b->slice, BREAKER_SLICES);

    for (uint64_t i = 1; i <= passed; i++) {
        struct breaker_shares *old = &b->slices[(b->slice + i) % BREAKER_SLICES];

        shares_take(&b->shares, old);
        memset(old, 0, sizeof *old);
    }
    b->slice = slice;
}

static void count_call(struct breaker *b, uint32_t outcome)
{
    if (b->config.span > 0) {
        pass_slices(b);
        shares_add(&b->slices[b->slice % BREAKER_SLICES], outcome);
    } else {
        if (b->shares.calls == b->config.calls) {
            struct breaker_shares old = {0};

            shares_add(&old, b->outcomes[b->next]);
            shares_take(&b->shares, &old);
        }
        b->outcomes[b->next] = (uint8_t)outcome;
        b->next = (b->next + 1) % b->config.calls;
    }
    shares_add(&b->shares, outcome);
    b->in_row = (outcome & OUTCOME_FAILED) != 0 ? b->in_row + 1 : 0;
}

static bool is_share_reached(uint32_t part, uint32_t whole, uint32_t percent)
{
    return (uint64_t)part * 100 >= (uint64_t)whole * percent;
}

static bool is_too_much(const struct breaker *b)
{
    const struct breaker_config *c = &b->config;
    const struct breaker_shares *s = &b->shares;

    if (c->failures_in_row > 0 && b->in_row >= c->failures_in_row) {
        return true;
    }
    return s->calls >= c->minimum && (is_share_reached(s->failed, s->calls, c->failure_percent) ||
                                      is_share_reached(s->slow, s->calls, c->slow_percent));
}

/* --- Transitions ---------------------------------------------------------------------------------
 */

static bool is_counted_open(enum breaker_state state)
{
    return state == BREAKER_OPEN || state == BREAKER_HALF_OPEN;
}

static void enter_state(struct breaker *b, enum breaker_state state)
{
    if (b->group != NULL) {
        b->group->open += is_counted_open(state);
        b->group->open -= is_counted_open(b->state);
    }
    b->state = state;
    b->epoch++;
    b->changed = b->latest;
    b->succeeded = 0;
    memset(b->permits, 0, sizeof b->permits);
    forget_calls(b);
}

/* The time of this opening: grown, capped, and then lengthened by chance. */
static nanos open_time(struct breaker *b)
{
    nanos time = b->config.open_first;

    for (uint32_t i = 1; i < b->openings && time < b->config.open_max; i++) {
        nanos grown = time / 100 * b->config.growth_percent;

        time = u64_min(u64_max(grown, time), b->config.open_max);
        if (b->config.growth_percent == 100) {
            break;
        }
    }
    nanos jitter = time / 100 * b->config.jitter_percent;

    return time + prng_below(&b->prng, jitter + 1);
}

static void enter_open(struct breaker *b)
{
    b->openings = b->openings < OPENINGS_MAX ? b->openings + 1 : b->openings;
    enter_state(b, BREAKER_OPEN);
    b->until = u64_add_sat(b->latest, open_time(b));
}

static bool may_group_open(const struct breaker_group *group)
{
    if (group == NULL) {
        return true;
    }
    uint64_t allowed = (uint64_t)group->members * group->open_percent / 100;

    return group->open < u64_max(allowed, 1);
}

/* CLOSED: opens, unless the group has as many open ones as it may; then the next report asks again.
 */
static void breaker_trip(struct breaker *b)
{
    if (!may_group_open(b->group)) {
        b->held++;
        return;
    }
    if (u64_sub_sat(b->latest, b->changed) >= b->config.calm) {
        b->openings = 0;
    }
    enter_open(b);
}

static void tell_time(struct breaker *b, nanos now)
{
    b->latest = u64_max(b->latest, now);
}

void breaker_init(struct breaker *b, const struct breaker_config *config, uint64_t seed, nanos now)
{
    CHECK(breaker_config_check(config) == OK);
    memset(b, 0, sizeof *b);
    b->config = *config;
    prng_init(&b->prng, seed);
    b->latest = now;
    b->changed = now;
    b->state = BREAKER_CLOSED;
    if (config->span > 0) {
        b->slice = now / (config->span / BREAKER_SLICES);
    }
}

void breaker_join(struct breaker *b, struct breaker_group *group)
{
    CHECK(b->group == NULL && b->state == BREAKER_CLOSED);
    CHECK(group->open_percent <= 100);
    b->group = group;
    group->members++;
}

void breaker_turn(struct breaker *b, nanos now)
{
    tell_time(b, now);
    if (b->state != BREAKER_HALF_OPEN) {
        return;
    }
    uint32_t lost = 0;

    for (uint32_t i = 0; i < b->config.permits; i++) {
        lost += b->permits[i] != 0 && b->latest >= b->permits[i];
    }
    if (lost > 0) {
        b->lost += lost;
        enter_open(b);
    }
}

/* HALF_OPEN: a permit, where one is free and its success would be needed. */
static bool take_permit(struct breaker *b, struct breaker_permit *permit)
{
    for (uint32_t i = 0; i < b->config.permits; i++) {
        if (b->permits[i] == 0) {
            b->permits[i] = u64_max(u64_add_sat(b->latest, b->config.permit_timeout), 1);
            permit->slot = i;
            return true;
        }
    }
    return false;
}

bool breaker_acquire(struct breaker *b, nanos now, struct breaker_permit *permit)
{
    struct breaker_permit taken = {0};

    breaker_turn(b, now);
    if (b->state == BREAKER_OPEN && b->latest >= b->until) {
        enter_state(b, BREAKER_HALF_OPEN);
    }
    bool passes = breaker_states[b->state].passes;

    if (!passes && (b->state != BREAKER_HALF_OPEN || !take_permit(b, &taken))) {
        b->rejected++;
        return false;
    }
    taken.started = b->latest;
    taken.epoch = b->epoch;
    *permit = taken;
    return true;
}

static void report_closed(struct breaker *b, uint32_t outcome)
{
    count_call(b, outcome);
    if (is_too_much(b)) {
        breaker_trip(b);
    }
}

static void report_half_open(struct breaker *b, uint32_t slot, bool is_ignored, uint32_t outcome)
{
    CHECK(slot < b->config.permits && b->permits[slot] != 0);
    b->permits[slot] = 0;
    if (is_ignored) {
        return;
    }
    if (outcome != 0) {
        enter_open(b);
    } else if (++b->succeeded >= b->config.successes) {
        enter_state(b, BREAKER_CLOSED);
    }
}

void breaker_report(struct breaker *b, const struct breaker_permit *permit,
                    enum breaker_outcome outcome, nanos now)
{
    breaker_turn(b, now);
    if (permit->epoch != b->epoch) {
        return;
    }
    bool is_slow = b->latest - permit->started >= b->config.slow_after;
    uint32_t seen = (outcome == BREAKER_FAILED ? OUTCOME_FAILED : 0) | (is_slow ? OUTCOME_SLOW : 0);

    if (b->state == BREAKER_HALF_OPEN) {
        report_half_open(b, permit->slot, outcome == BREAKER_IGNORED, seen);
    } else if (b->state == BREAKER_CLOSED && outcome != BREAKER_IGNORED) {
        report_closed(b, seen);
    } else if (outcome != BREAKER_IGNORED) {
        count_call(b, seen);
    }
}

nanos breaker_deadline(const struct breaker *b)
{
    nanos deadline = NANOS_FOREVER;

    for (uint32_t i = 0; b->state == BREAKER_HALF_OPEN && i < b->config.permits; i++) {
        if (b->permits[i] != 0) {
            deadline = u64_min(deadline, b->permits[i]);
        }
    }
    return deadline;
}

void breaker_force(struct breaker *b, enum breaker_state state, nanos now)
{
    CHECK(state == BREAKER_FORCED_OPEN || state == BREAKER_FORCED_CLOSED);
    tell_time(b, now);
    enter_state(b, state);
}

void breaker_release(struct breaker *b, nanos now)
{
    CHECK(b->state == BREAKER_FORCED_OPEN || b->state == BREAKER_FORCED_CLOSED);
    tell_time(b, now);
    b->openings = 0;
    enter_state(b, BREAKER_CLOSED);
}

nanos breaker_retry_at(const struct breaker *b)
{
    switch (b->state) {
    case BREAKER_OPEN:
        return b->until;
    case BREAKER_FORCED_OPEN:
        return NANOS_FOREVER;
    case BREAKER_CLOSED:
    case BREAKER_HALF_OPEN:
    case BREAKER_FORCED_CLOSED:
    case BREAKER_STATES:
        break;
    }
    return b->latest;
}

void breaker_check(const struct breaker *b)
{
    CHECK(b->state < BREAKER_STATES && breaker_config_check(&b->config) == OK);
    CHECK(b->shares.failed <= b->shares.calls && b->shares.slow <= b->shares.calls);
    CHECK(b->config.span > 0 || b->shares.calls <= b->config.calls);
    CHECK(b->changed <= b->latest);
    for (uint32_t i = 0; i < BREAKER_PERMITS_MAX; i++) {
        CHECK(b->permits[i] == 0 || (b->state == BREAKER_HALF_OPEN && i < b->config.permits));
    }
    CHECK(b->state != BREAKER_HALF_OPEN || b->succeeded < b->config.successes);
    CHECK(b->state == BREAKER_HALF_OPEN || b->succeeded == 0);
    CHECK(b->state != BREAKER_OPEN || b->openings > 0);
    if (b->state == BREAKER_OPEN) {
        nanos time = b->until - b->changed;

        CHECK(time >= b->config.open_first);
        CHECK(time <= b->config.open_max + b->config.open_max / 100 * b->config.jitter_percent);
    }
    if (b->group != NULL) {
        CHECK(b->group->open <= b->group->members);
        CHECK(!is_counted_open(b->state) || b->group->open > 0);
    }
}
