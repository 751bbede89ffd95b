#include "core/monitoring/health/probe_set.h"

#include "core/base/check.h"

#include <string.h>

/* Restarts in a row beyond which a target's time apart has reached any maximum. */
#define RESTARTS_IN_ROW_MAX 40

static const char *const purpose_names[PROBE_PURPOSES] = {
#define PROBE_PURPOSE_NAME(purpose, name) [purpose] = name,
    PROBE_PURPOSE_TABLE(PROBE_PURPOSE_NAME)
#undef PROBE_PURPOSE_NAME
};

static const struct {
    const char *name;
    uint32_t asked;
} state_rows[PROBE_STATES] = {
#define PROBE_STATE_ROW(state, name, asked) [state] = {name, asked},
    PROBE_STATE_TABLE(PROBE_STATE_ROW)
#undef PROBE_STATE_ROW
};

const char *probe_purpose_name(enum probe_purpose purpose)
{
    CHECK(purpose < PROBE_PURPOSES);
    return purpose_names[purpose];
}

const char *probe_state_name(enum probe_state state)
{
    CHECK(state < PROBE_STATES);
    return state_rows[state].name;
}

struct probe_set_config probe_set_config_of(void)
{
    return (struct probe_set_config){
        .flights_max = 8,
        .jitter_percent = 10,
        .restarts_max = 5,
        .restarts_span = 600 * NANOS_PER_S,
        .restart_first = 10 * NANOS_PER_S,
        .restart_max = 600 * NANOS_PER_S,
        .stable = 600 * NANOS_PER_S,
    };
}

struct probe_config probe_config_of(void)
{
    return (struct probe_config){
        .is_asked = true,
        .period = 10 * NANOS_PER_S,
        .timeout = NANOS_PER_S,
        .failures = 3,
        .successes = 1,
    };
}

enum err probe_config_check(const struct probe_config *c)
{
    bool is_whole = c->delay <= PROBE_SPAN_MAX && c->period > 0 && c->period <= PROBE_SPAN_MAX &&
                    c->timeout > 0 && c->timeout <= PROBE_SPAN_MAX && c->failures >= 1 &&
                    c->successes >= 1;

    return !c->is_asked || is_whole ? OK : ERR_INVALID;
}

void probe_set_init(struct probe_set *set, const struct probe_set_config *config, uint64_t seed,
                    nanos now)
{
    CHECK(config->flights_max >= 1 && config->flights_max <= PROBE_FLIGHTS_MAX);
    CHECK(config->restarts_max >= 1 && config->restarts_max <= PROBE_RESTARTS_MAX);
    CHECK(config->jitter_percent <= 100 && config->restart_first <= config->restart_max);
    CHECK(config->restart_max <= PROBE_SPAN_MAX);
    memset(set, 0, sizeof *set);
    set->config = *config;
    set->latest = now;
    prng_init(&set->prng, seed);
}

/* --- Targets -------------------------------------------------------------------------------------
 */

const struct probe_target *probe_set_find(const struct probe_set *set, uint64_t id)
{
    for (uint32_t i = 0; i < set->count; i++) {
        if (set->targets[i].id == id) {
            return &set->targets[i];
        }
    }
    return NULL;
}

static struct probe_target *probe_target_of(struct probe_set *set, uint64_t id)
{
    const struct probe_target *t = probe_set_find(set, id);

    return t == NULL ? NULL : &set->targets[t - set->targets];
}

static void tell_probe_time(struct probe_set *set, nanos now)
{
    set->latest = u64_max(set->latest, now);
}

/* `span` after now, and by chance up to jitter_percent later. */
static nanos jittered(struct probe_set *set, nanos span, nanos period)
{
    nanos jitter = period / 100 * set->config.jitter_percent;

    return u64_add_sat(set->latest, span + prng_below(&set->prng, jitter + 1));
}

static void forget_flight(struct probe_set *set, struct target_probe *probe)
{
    set->flights -= probe->times_out != 0;
    probe->times_out = 0;
    probe->ticket = 0;
}

/* Enters a state: its probes are asked after their delay, the others not at all. */
static void enter_probe_state(struct probe_set *set, struct probe_target *t, enum probe_state state)
{
    t->state = state;
    t->entered = set->latest;
    for (enum probe_purpose i = 0; i < PROBE_PURPOSES; i++) {
        struct target_probe *p = &t->probes[i];
        bool is_asked = p->config.is_asked && (state_rows[state].asked >> i & 1) != 0;

        forget_flight(set, p);
        p->due = is_asked ? jittered(set, p->config.delay, p->config.period) : NANOS_FOREVER;
        p->failed = 0;
        p->succeeded = 0;
        p->is_well = false;
        p->is_judged = false;
        p->since = set->latest;
    }
}

static void begin_target(struct probe_set *set, struct probe_target *t)
{
    bool starts = t->probes[PROBE_STARTUP].config.is_asked;

    enter_probe_state(set, t, starts ? PROBE_STARTING : PROBE_RUNNING);
}

enum err probe_set_add(struct probe_set *set, uint64_t id, enum rung rung,
                       const struct probe_config *probes, nanos now)
{
    CHECK(rung < RUNGS);
    for (int i = 0; i < PROBE_PURPOSES; i++) {
        TRY(probe_config_check(&probes[i]));
    }
    if (probe_target_of(set, id) != NULL) {
        return ERR_EXISTS;
    }
    if (set->count == PROBE_TARGETS_MAX) {
        return ERR_TOO_LARGE;
    }
    struct probe_target *t = &set->targets[set->count++];

    tell_probe_time(set, now);
    memset(t, 0, sizeof *t);
    t->id = id;
    t->rung = rung;
    for (int i = 0; i < PROBE_PURPOSES; i++) {
        t->probes[i].config = probes[i];
    }
    begin_target(set, t);
    return OK;
}

void probe_set_remove(struct probe_set *set, uint64_t id)
{
    struct probe_target *t = probe_target_of(set, id);

    if (t == NULL) {
        return;
    }
    for (int i = 0; i < PROBE_PURPOSES; i++) {
        forget_flight(set, &t->probes[i]);
    }
    uint32_t at = (uint32_t)(t - set->targets);

    memmove(t, t + 1, (set->count - at - 1) * sizeof *t);
    set->count--;
}

/* --- Answers -------------------------------------------------------------------------------------
 */

static void set_well(struct probe_set *set, struct target_probe *p, bool is_well)
{
    p->is_judged = true;
    if (p->is_well != is_well) {
        p->is_well = is_well;
        p->since = set->latest;
    }
}

/* A target that could not be saved by waiting is to be restarted, no sooner than the last restart
 * allows. */
static void fail_target(struct probe_set *set, struct probe_target *t, enum probe_purpose purpose,
                        uint32_t failures)
{
    nanos ran = set->latest - t->entered;

    if (t->state == PROBE_RUNNING && ran >= set->config.stable) {
        t->restarts = 0;
    }
    nanos apart = t->restarts > 0 ? set->config.restart_first : 0;

    for (uint32_t i = 1; i < t->restarts && apart < set->config.restart_max; i++) {
        apart = u64_min(apart * 2, set->config.restart_max);
    }
    enter_probe_state(set, t, PROBE_FAILED);
    t->restart_from = u64_add_sat(set->latest, apart);
    t->failures = failures;
    t->failed_by = purpose;
}

static void take_outcome(struct probe_set *set, struct probe_target *t, enum probe_purpose purpose,
                         bool is_ok)
{
    struct target_probe *p = &t->probes[purpose];

    p->failed = is_ok ? 0 : p->failed + 1;
    p->succeeded = is_ok ? p->succeeded + 1 : 0;
    if (is_ok && p->succeeded >= p->config.successes) {
        set_well(set, p, true);
        if (purpose == PROBE_STARTUP) {
            enter_probe_state(set, t, PROBE_RUNNING);
        }
    } else if (!is_ok && p->failed >= p->config.failures) {
        set_well(set, p, false);
        if (purpose != PROBE_READINESS) {
            fail_target(set, t, purpose, p->failed);
        }
    }
}

/* The probe has ended, in whatever way; it is due again a period after it was begun. */
static void end_flight(struct probe_set *set, struct target_probe *p)
{
    forget_flight(set, p);
    p->due = u64_max(p->due, set->latest);
}

static void pass_timeouts(struct probe_set *set)
{
    for (uint32_t i = 0; i < set->count && set->flights > 0; i++) {
        for (enum probe_purpose k = 0; k < PROBE_PURPOSES; k++) {
            struct target_probe *p = &set->targets[i].probes[k];

            if (p->times_out != 0 && set->latest >= p->times_out) {
                p->timeouts++;
                end_flight(set, p);
                take_outcome(set, &set->targets[i], k, false);
            }
        }
    }
}

void probe_set_answer(struct probe_set *set, uint64_t id, enum probe_purpose purpose,
                      uint64_t ticket, enum probe_outcome outcome, nanos now)
{
    CHECK(purpose < PROBE_PURPOSES);
    tell_probe_time(set, now);
    pass_timeouts(set);
    struct probe_target *t = probe_target_of(set, id);

    if (t == NULL || t->probes[purpose].ticket != ticket || t->probes[purpose].times_out == 0) {
        return;
    }
    end_flight(set, &t->probes[purpose]);
    if (outcome != PROBE_NOT_ASKED) {
        take_outcome(set, t, purpose, outcome == PROBE_OK);
    }
}

/* --- Scheduling ----------------------------------------------------------------------------------
 */

/* The probe that is due first, of those that are not under way; equal ones in the order in which
 * they were added. NULL: none will be due. */
static struct target_probe *first_due(struct probe_set *set, uint32_t *target,
                                      enum probe_purpose *purpose)
{
    struct target_probe *first = NULL;

    for (uint32_t i = 0; i < set->count; i++) {
        for (enum probe_purpose k = 0; k < PROBE_PURPOSES; k++) {
            struct target_probe *p = &set->targets[i].probes[k];
            bool is_free = p->times_out == 0 && p->due != NANOS_FOREVER;

            if (is_free && (first == NULL || p->due < first->due)) {
                first = p;
                *target = i;
                *purpose = k;
            }
        }
    }
    return first;
}

bool probe_set_next(struct probe_set *set, nanos now, struct probe_order *order)
{
    uint32_t target = 0;
    enum probe_purpose purpose = PROBE_STARTUP;

    tell_probe_time(set, now);
    pass_timeouts(set);
    if (set->flights >= set->config.flights_max) {
        return false;
    }
    struct target_probe *p = first_due(set, &target, &purpose);

    if (p == NULL || p->due > set->latest) {
        return false;
    }
    set->flights++;
    p->asked++;
    p->ticket = ++set->tickets;
    p->times_out = u64_add_sat(set->latest, p->config.timeout);
    p->due = jittered(set, p->config.period, p->config.period);
    *order = (struct probe_order){
        .id = set->targets[target].id,
        .purpose = purpose,
        .ticket = p->ticket,
        .deadline = p->times_out,
    };
    return true;
}

void probe_set_hurry(struct probe_set *set, uint64_t id, enum probe_purpose purpose, nanos at)
{
    struct probe_target *t = probe_target_of(set, id);

    CHECK(purpose < PROBE_PURPOSES);
    if (t != NULL && t->probes[purpose].due != NANOS_FOREVER) {
        t->probes[purpose].due = u64_max(u64_min(t->probes[purpose].due, at), set->latest);
    }
}

nanos probe_set_deadline(const struct probe_set *set)
{
    nanos deadline = NANOS_FOREVER;
    bool is_full = set->flights >= set->config.flights_max;

    for (uint32_t i = 0; i < set->count; i++) {
        for (int k = 0; k < PROBE_PURPOSES; k++) {
            const struct target_probe *p = &set->targets[i].probes[k];

            if (p->times_out != 0) {
                deadline = u64_min(deadline, p->times_out);
            } else if (!is_full) {
                deadline = u64_min(deadline, p->due);
            }
        }
    }
    return deadline;
}

/* --- Restarts and excuses ------------------------------------------------------------------------
 */

/* More than half of the targets, and more than one, have failed: that is one cause. */
static bool has_common_cause(const struct probe_set *set)
{
    uint32_t failed = 0;

    for (uint32_t i = 0; i < set->count; i++) {
        failed += set->targets[i].state == PROBE_FAILED;
    }
    return failed > 1 && failed * 2 > set->count;
}

static bool has_budget(const struct probe_set *set)
{
    uint32_t at = set->restarts_next;

    if (set->restarts_total < set->config.restarts_max) {
        return true;
    }
    return set->latest - set->restarts[at] >= set->config.restarts_span;
}

bool probe_set_restart(struct probe_set *set, nanos now, uint64_t *id)
{
    struct probe_target *first = NULL;

    tell_probe_time(set, now);
    pass_timeouts(set);
    for (uint32_t i = 0; i < set->count; i++) {
        struct probe_target *t = &set->targets[i];
        bool is_due = t->state == PROBE_FAILED && t->restart_from <= set->latest;

        if (is_due && (first == NULL || t->restart_from < first->restart_from)) {
            first = t;
        }
    }
    if (first == NULL) {
        return false;
    }
    if (has_common_cause(set) || !has_budget(set)) {
        set->held++;
        return false;
    }
    set->restarts[set->restarts_next] = set->latest;
    set->restarts_next = (set->restarts_next + 1) % set->config.restarts_max;
    set->restarts_total++;
    first->restarts += first->restarts < RESTARTS_IN_ROW_MAX;
    begin_target(set, first);
    *id = first->id;
    return true;
}

static void postpone_probes(struct probe_target *t, nanos until)
{
    for (int i = 0; i < PROBE_PURPOSES; i++) {
        if (t->probes[i].due != NANOS_FOREVER) {
            t->probes[i].due = u64_max(t->probes[i].due, until);
        }
    }
}

void probe_set_excuse(struct probe_set *set, uint64_t id, nanos until, nanos now)
{
    struct probe_target *t = probe_target_of(set, id);

    tell_probe_time(set, now);
    if (t != NULL) {
        begin_target(set, t);
        postpone_probes(t, until);
    }
}

void probe_set_excuse_all(struct probe_set *set, nanos until, nanos now)
{
    tell_probe_time(set, now);
    for (uint32_t i = 0; i < set->count; i++) {
        struct probe_target *t = &set->targets[i];

        for (int k = 0; k < PROBE_PURPOSES; k++) {
            forget_flight(set, &t->probes[k]);
            t->probes[k].failed = 0;
        }
        postpone_probes(t, until);
        t->restart_from = t->state == PROBE_FAILED ? u64_max(t->restart_from, until) : 0;
    }
}

bool probe_is_ready(const struct probe_target *t)
{
    const struct target_probe *readiness = &t->probes[PROBE_READINESS];

    return t->state == PROBE_RUNNING && (!readiness->config.is_asked || readiness->is_well);
}

struct rung_view probe_rung(const struct probe_target *t)
{
    struct rung_view view = {.state = RUNG_UNKNOWN, .since = t->entered};

    if (t->state == PROBE_FAILED) {
        view.state = RUNG_BROKEN;
        view.bad = t->failures;
        view.asked = t->failures;
    } else if (t->state == PROBE_RUNNING) {
        const struct target_probe *readiness = &t->probes[PROBE_READINESS];
        const struct target_probe *p =
            readiness->config.is_asked ? readiness : &t->probes[PROBE_LIVENESS];

        view.since = p->since;
        view.bad = p->failed;
        view.asked = p->failed > 0 ? p->failed : p->succeeded;
        if (p->is_judged) {
            view.state = p->is_well ? RUNG_WELL : RUNG_DEGRADED;
        }
    }
    return view;
}

void probe_set_check(const struct probe_set *set)
{
    uint32_t flights = 0;

    CHECK(set->count <= PROBE_TARGETS_MAX && set->flights <= set->config.flights_max);
    for (uint32_t i = 0; i < set->count; i++) {
        const struct probe_target *t = &set->targets[i];

        CHECK(t->state < PROBE_STATES && t->entered <= set->latest);
        CHECK(t->state != PROBE_STARTING || t->probes[PROBE_STARTUP].config.is_asked);
        for (int k = 0; k < PROBE_PURPOSES; k++) {
            const struct target_probe *p = &t->probes[k];
            bool is_asked = p->config.is_asked && (state_rows[t->state].asked >> k & 1) != 0;

            flights += p->times_out != 0;
            CHECK((p->due != NANOS_FOREVER) == is_asked);
            CHECK(p->times_out == 0 || (is_asked && p->ticket != 0));
            CHECK(p->failed == 0 || p->succeeded == 0);
        }
    }
    CHECK(flights == set->flights);
}
