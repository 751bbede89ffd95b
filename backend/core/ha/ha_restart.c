#include "core/ha/ha_restart.h"

#include <string.h>

#include "core/base/say.h"

static uint32_t count_up(uint32_t count)
{
    return count < UINT32_MAX ? count + 1 : count;
}

/* "it crashed: failure 3 of 10, 3 of them on node-a" */
static void tell_failure(const struct ha_restart_rule *rule, const char *how,
                         struct ha_owner *owner)
{
    struct buf text;

    buf_init(&text);
    say(&text, "it ");
    say(&text, how);
    say(&text, ": failure ");
    say_u64(&text, owner->failures);
    say(&text, " of ");
    say_u64(&text, rule->limit);
    if (owner->failures >= rule->limit) {
        say(&text, " that are allowed; find the cause, then start it again");
    } else if (owner->host[0] != '\0') {
        say(&text, ", ");
        say_u64(&text, owner->here);
        say(&text, " in a row on ");
        say(&text, owner->host);
    }
    ha_text_set(owner->reason, sizeof owner->reason, say_end(&text));
    buf_deinit(&text);
}

enum ha_restart_course ha_restart_after_failure(const struct ha_restart_rule *rule, const char *how,
                                                bool is_bound, struct ha_owner *owner)
{
    owner->failures = count_up(owner->failures);
    owner->here = count_up(owner->here);
    tell_failure(rule, how, owner);
    if (owner->failures >= rule->limit) {
        return HA_RESTART_GIVE_UP;
    }
    return owner->here >= rule->here_max && !is_bound ? HA_RESTART_ELSEWHERE : HA_RESTART_HERE;
}

nanos ha_restart_delay(const struct ha_restart_rule *rule, const struct ha_owner *owner,
                       struct prng *prng)
{
    uint64_t delay = rule->delay_ms;

    if (owner->failures == 0 || delay == 0) {
        return 0;
    }
    for (uint32_t i = 1; i < owner->failures && delay < rule->delay_max_ms; i++) {
        delay *= 2;
    }
    nanos whole = u64_min(delay, rule->delay_max_ms) * NANOS_PER_MS;
    return prng_range(prng, whole - whole / 4, whole);
}

nanos ha_restart_forgive_after(const struct ha_restart_rule *rule)
{
    return rule->window_s * NANOS_PER_S / rule->limit;
}

void ha_restart_forgive(struct ha_owner *owner)
{
    owner->failures = owner->failures > 0 ? owner->failures - 1 : 0;
}

nanos ha_restart_stable_after(const struct ha_restart_rule *rule)
{
    return rule->stable_s * NANOS_PER_S;
}

void ha_restart_stable(struct ha_owner *owner)
{
    owner->failures = 0;
    owner->here = 0;
}

void ha_restart_begun(struct ha_owner *owner, const char *host)
{
    if (owner->epoch > 0) {
        owner->restarts++;
    }
    if (strcmp(owner->host, host) != 0) {
        owner->here = 0;
    }
}

void ha_restart_asked(struct ha_owner *owner, uint64_t start_count)
{
    owner->failures = 0;
    owner->here = 0;
    owner->start_count = start_count;
}
