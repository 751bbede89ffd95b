#include "core/monitoring/health/pause.h"

#include "core/base/check.h"

#include <string.h>

static const char *const pause_texts[PAUSE_KINDS] = {
#define PAUSE_TEXT(kind, text) [kind] = text,
    PAUSE_TABLE(PAUSE_TEXT)
#undef PAUSE_TEXT
};

const char *pause_kind_text(enum pause_kind kind)
{
    CHECK(kind < PAUSE_KINDS);
    return pause_texts[kind];
}

struct pause_config pause_config_of(nanos interval)
{
    return (struct pause_config){
        .late_max = interval * 2,
        .drift_max = interval,
        .settle = interval * 3,
    };
}

void pause_init(struct pause *p, const struct pause_config *config, nanos now, nanos awake)
{
    CHECK(config->late_max > 0 && config->drift_max > 0);
    memset(p, 0, sizeof *p);
    p->config = *config;
    p->now = now;
    p->awake = awake;
    p->due = NANOS_FOREVER;
    p->judges_from = now;
}

/* What happened between the last turn and this one; PAUSE_KINDS: nothing. */
static enum pause_kind pause_since(const struct pause *p, nanos now, nanos awake, nanos *lasted)
{
    if (now < p->now || awake < p->awake) {
        *lasted = 0;
        return PAUSE_STEPPED;
    }
    nanos elapsed = now - p->now;
    nanos awake_elapsed = awake - p->awake;

    if (awake_elapsed > elapsed && awake_elapsed - elapsed > p->config.drift_max) {
        *lasted = awake_elapsed;
        return PAUSE_STEPPED;
    }
    if (elapsed > awake_elapsed && elapsed - awake_elapsed > p->config.drift_max) {
        *lasted = elapsed - awake_elapsed;
        return PAUSE_SUSPENDED;
    }
    *lasted = u64_sub_sat(now, p->due);
    return *lasted > p->config.late_max ? PAUSE_STALLED : PAUSE_KINDS;
}

bool pause_turn(struct pause *p, nanos now, nanos awake, nanos due)
{
    nanos lasted = 0;
    enum pause_kind kind = pause_since(p, now, awake, &lasted);

    p->now = now;
    p->awake = awake;
    p->due = u64_max(due, now);
    if (kind == PAUSE_KINDS) {
        return false;
    }
    /* On the time that holds from now on, also where it is earlier than what was told before. */
    p->judges_from = u64_add_sat(now, p->config.settle);
    p->kind = kind;
    p->lasted = lasted;
    p->longest = u64_max(p->longest, lasted);
    p->counts[kind]++;
    return true;
}

void pause_expect(struct pause *p, nanos due)
{
    p->due = u64_max(due, p->now);
}

nanos pause_judges_from(const struct pause *p)
{
    return p->judges_from;
}

bool pause_judges(const struct pause *p, nanos now)
{
    return now >= p->judges_from;
}
