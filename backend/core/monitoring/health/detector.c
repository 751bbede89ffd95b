#include "core/monitoring/health/detector.h"

#include "core/base/check.h"
#include "core/monitoring/health/detector_int.h"
#include "core/monitoring/health/health_math.h"

#include <string.h>

/* A number higher by more than this is no loss: the peer counts anew, and so do the estimates. It
 * keeps the product with an hour's interval within 63 bits. */
#define STEP_MAX (UINT64_C(1) << 20)

_Static_assert(STEP_MAX <= UINT64_MAX / 2 / DETECTOR_SPAN_MAX, "a step's schedule fits 63 bits");
_Static_assert(DETECTOR_SPAN_MAX < (nanos)DETECTOR_SAMPLE_MAX, "an interval is a sample");

#define SEEN_BITS 64

static const struct detector_rule *const rules[DETECTOR_KINDS] = {
    [DETECTOR_TIMEOUT] = &detector_rule_timeout,
    [DETECTOR_PHI_NORMAL] = &detector_rule_phi_normal,
    [DETECTOR_PHI_EXPONENTIAL] = &detector_rule_phi_exponential,
    [DETECTOR_AKKA] = &detector_rule_akka,
    [DETECTOR_CHEN] = &detector_rule_chen,
    [DETECTOR_BERTIER] = &detector_rule_bertier,
    [DETECTOR_TWO_WINDOW] = &detector_rule_two_window,
    [DETECTOR_NOVACRON] = &detector_rule_own,
};

static const char *const kind_names[DETECTOR_KINDS] = {
#define DETECTOR_NAME(kind, name) [kind] = name,
    DETECTOR_TABLE(DETECTOR_NAME)
#undef DETECTOR_NAME
};

const char *detector_kind_name(enum detector_kind kind)
{
    CHECK(kind < DETECTOR_KINDS);
    return kind_names[kind];
}

enum err detector_kind_find(const char *name, enum detector_kind *kind)
{
    for (enum detector_kind k = 0; k < DETECTOR_KINDS; k++) {
        if (strcmp(kind_names[k], name) == 0) {
            *kind = k;
            return OK;
        }
    }
    return ERR_NOT_FOUND;
}

struct detector_config detector_config_of(enum detector_kind kind, nanos interval)
{
    struct detector_config c = {
        .kind = kind,
        .interval = interval,
        .grace = u64_min(interval * 10, DETECTOR_SPAN_MAX),
        .threshold = 8,
        .margin = u64_min(interval * 3, DETECTOR_SPAN_MAX),
        .deviation_min = u64_max(interval / 10, 1),
        .window = DETECTOR_WINDOW_MAX,
        .window_short = 1,
    };

    if (kind == DETECTOR_TIMEOUT) {
        c.margin = u64_min(interval * 4, DETECTOR_SPAN_MAX);
    } else if (kind == DETECTOR_AKKA) {
        c.acceptable_pause = u64_min(interval * 3, DETECTOR_SPAN_MAX);
    } else if (kind == DETECTOR_BERTIER) {
        c.threshold = 4;
    }
    return c;
}

enum err detector_config_check(const struct detector_config *c)
{
    bool has_kind = c->kind < DETECTOR_KINDS;
    bool has_spans = c->interval > 0 && c->interval <= DETECTOR_SPAN_MAX &&
                     c->grace <= DETECTOR_SPAN_MAX && c->margin <= DETECTOR_SPAN_MAX &&
                     c->acceptable_pause <= DETECTOR_SPAN_MAX && c->deviation_min > 0 &&
                     c->deviation_min <= DETECTOR_SPAN_MAX;
    bool has_threshold =
        c->threshold >= DETECTOR_THRESHOLD_MIN && c->threshold <= DETECTOR_THRESHOLD_MAX;
    bool has_windows = c->window >= 1 && c->window <= DETECTOR_WINDOW_MAX && c->window_short >= 1 &&
                       c->window_short <= c->window;

    return has_kind && has_spans && has_threshold && has_windows ? OK : ERR_INVALID;
}

/* --- Silence -------------------------------------------------------------------------------------
 */

static const struct detector_rule *rule_of(const struct detector *d)
{
    return rules[d->config.kind];
}

/* Since when silence is the peer's. */
static nanos silent_since(const struct detector *d)
{
    return u64_max(d->arrived, d->excused_until);
}

/* Sets the deadline from what is known. After an excuse the peer has an interval at the least, as
 * its next heartbeat is not due before. */
static void set_deadline(struct detector *d)
{
    nanos since = silent_since(d);
    nanos allowed = d->config.grace;

    if (d->counts.fresh > 0) {
        allowed = health_nanos(rule_of(d)->allowed(d));
    }
    if (since > d->arrived) {
        allowed = u64_max(allowed, d->config.interval);
    }
    d->deadline = u64_add_sat(since, allowed);
}

void detector_init(struct detector *d, const struct detector_config *config, nanos now)
{
    CHECK(detector_config_check(config) == OK);
    memset(d, 0, sizeof *d);
    d->config = *config;
    d->started = now;
    d->latest = now;
    d->arrived = now;
    if (rule_of(d)->prepare != NULL) {
        rule_of(d)->prepare(d);
    }
    set_deadline(d);
}

void detector_excuse(struct detector *d, nanos until)
{
    d->excused_until = u64_max(d->excused_until, until);
    set_deadline(d);
}

/* --- Heartbeats ----------------------------------------------------------------------------------
 */

/* One that is not newer than what was heard: tells the two kinds apart, and remembers it. */
static enum detector_intake take_old(struct detector *d, uint64_t sequence)
{
    uint64_t age = d->sequence - sequence;

    if (age >= SEEN_BITS || (d->seen >> age & 1) != 0) {
        return DETECTOR_DUPLICATE;
    }
    d->seen |= UINT64_C(1) << age;
    d->counts.late++;
    d->counts.missing = u64_sub_sat(d->counts.missing, 1);
    return DETECTOR_LATE;
}

/* Estimates begin again where the last heartbeat lies too far away to have to do with this one. */
static void begin_schedule(struct detector *d)
{
    d->offset = 0;
    d->delay = 0;
    d->variation = 0;
    d->seen = 0;
    if (d->config.kind != DETECTOR_NOVACRON) {
        detector_window_init(&d->memory.window, d->config.window);
    }
    if (rule_of(d)->begin != NULL) {
        rule_of(d)->begin(d);
    }
}

/* Learns from a gap; false where it is too large, in time or in numbers. */
static bool take_gap(struct detector *d, uint64_t step, nanos now)
{
    nanos gap = now - d->arrived;

    if (step > STEP_MAX || gap > (nanos)DETECTOR_SAMPLE_MAX) {
        return false;
    }
    struct detector_sample sample = {
        .gap = (int64_t)gap,
        .offset = d->offset + (int64_t)gap - (int64_t)(step * d->config.interval),
        .step = step,
        .is_mistake = now >= d->deadline,
        .is_excused = d->arrived < d->excused_until,
    };

    if (sample.offset > DETECTOR_SAMPLE_MAX || sample.offset < -DETECTOR_SAMPLE_MAX) {
        return false;
    }
    if (rule_of(d)->learn != NULL) {
        rule_of(d)->learn(d, &sample);
    }
    d->offset = sample.offset;
    return true;
}

enum detector_intake detector_heartbeat(struct detector *d, uint64_t sequence, nanos now)
{
    now = u64_max(now, d->latest);
    d->latest = now;
    if (d->counts.fresh > 0 && sequence <= d->sequence) {
        return take_old(d, sequence);
    }
    uint64_t step = sequence - d->sequence;

    d->counts.mistakes += now >= d->deadline;
    if (d->counts.fresh == 0 || !take_gap(d, step, now)) {
        begin_schedule(d);
    } else {
        d->counts.missing = u64_add_sat(d->counts.missing, step - 1);
    }
    d->seen = (step < SEEN_BITS ? d->seen << step : 0) | 1;
    d->sequence = sequence;
    d->arrived = now;
    d->counts.fresh++;
    set_deadline(d);
    return DETECTOR_FRESH;
}

/* --- Suspicion -----------------------------------------------------------------------------------
 */

nanos detector_deadline(const struct detector *d)
{
    return d->deadline;
}

bool detector_suspects(const struct detector *d, nanos now)
{
    return u64_max(now, d->latest) >= d->deadline;
}

double detector_phi(const struct detector *d, nanos now)
{
    if (d->counts.fresh == 0 || rule_of(d)->phi == NULL) {
        return 0;
    }
    return rule_of(d)->phi(d, health_real(u64_sub_sat(u64_max(now, d->latest), silent_since(d))));
}

/* Linear up to the deadline, and then by one an interval. */
static double level_of_silence(const struct detector *d, nanos now)
{
    nanos since = silent_since(d);

    if (now < d->deadline) {
        return health_real(u64_sub_sat(now, since)) / health_real(d->deadline - since);
    }
    return 1 + health_real(now - d->deadline) / health_real(d->config.interval);
}

double detector_level(const struct detector *d, nanos now)
{
    now = u64_max(now, d->latest);
    bool has_phi = d->counts.fresh > 0 && rule_of(d)->phi != NULL;
    double level = has_phi ? detector_phi(d, now) / d->config.threshold : level_of_silence(d, now);

    /* The deadline is a whole number of nanoseconds, and decides. */
    if (now >= d->deadline) {
        return level > 1 ? level : 1;
    }
    return level < 1 ? level : 1 - 1e-9;
}

void detector_check(const struct detector *d)
{
    CHECK(detector_config_check(&d->config) == OK);
    if (d->config.kind != DETECTOR_NOVACRON && d->counts.fresh > 0) {
        CHECK(d->memory.window.size == d->config.window);
        CHECK(d->memory.window.count <= d->memory.window.size);
    }
    CHECK(d->latest >= d->started && d->latest >= d->arrived && d->arrived >= d->started);
    CHECK(d->counts.fresh == 0 || (d->seen & 1) != 0);
    CHECK(d->deadline >= u64_max(d->arrived, d->excused_until));
    CHECK(d->delay - d->delay < 1 && d->variation >= 0); /* finite */
    CHECK(d->mean >= 0 && d->deviation >= 0);
    if (d->config.kind == DETECTOR_NOVACRON && d->counts.fresh > 0) {
        const struct detector_own *own = &d->memory.own;
        double level = detector_level_at(&own->level) + own->level.scatter;
        double expected = level + own->last + own->variance + own->covariance;
        double margin = detector_patience_margin(&own->patience);

        CHECK(expected - expected < 1 && own->variance >= 0); /* finite */
        CHECK(margin >= 0 && margin - margin < 1);
    }
}
