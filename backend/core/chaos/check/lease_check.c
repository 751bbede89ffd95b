#include "core/chaos/check/lease_check.h"

#include "core/base/say.h"

#define MILLION 1000000

void lease_check_init(struct lease_check *l, uint64_t id, const struct lease_terms *terms)
{
    *l = (struct lease_check){.id = id,
                              .terms = *terms,
                              .gone_since = NANOS_FOREVER,
                              .revoked = NANOS_FOREVER,
                              .calm_since = NANOS_FOREVER};
}

const char *lease_fault_text(enum lease_fault fault)
{
    switch (fault) {
    case LEASE_RIGHT:
        return "it lasted as long as it promised";
    case LEASE_EARLY:
        return "it is gone too early";
    case LEASE_BACK:
        return "it is back after it was gone";
    case LEASE_KEPT:
        break;
    }
    return "it should have been gone";
}

static struct lease_verdict accuse_lease(struct lease_check *l, enum lease_fault fault, nanos seen,
                                         nanos due, struct buf *text)
{
    l->verdict = (struct lease_verdict){fault, seen, due};
    if (text != NULL) {
        say(text, "lease ");
        say_u64(text, l->id);
        say(text, " at ");
        say_time(text, seen);
        say(text, ": ");
        say(text, lease_fault_text(fault));
        say(text, fault == LEASE_EARLY  ? "; it was promised until "
                  : fault == LEASE_BACK ? "; it was seen gone by "
                                        : "; it had to be gone by ");
        say_time(text, due);
        say(text, "\n");
    }
    return l->verdict;
}

/* At least what clocks of that rate can be off by in `span`. */
static nanos drift_in(nanos span, uint32_t ppm)
{
    nanos drift = 0;
    return __builtin_mul_overflow(span / MILLION + 1, (nanos)ppm, &drift) ? NANOS_FOREVER : drift;
}

/* The latest end of `ttl` that begins at `from`. */
static nanos latest_end(const struct lease_check *l, nanos from, nanos ttl)
{
    return u64_add_sat(from, u64_add_sat(ttl, drift_in(ttl, l->terms.drift_ppm)));
}

/* Gone by `gone_by`, before it may be, and not revoked. */
static bool is_gone_early(const struct lease_check *l, nanos gone_by)
{
    return gone_by < l->lasts_until && l->revoked > gone_by;
}

struct lease_verdict lease_check_renewed(struct lease_check *l, nanos invoked, nanos returned,
                                         nanos ttl, struct buf *text)
{
    if (l->verdict.fault != LEASE_RIGHT) {
        return l->verdict;
    }
    if (invoked > l->gone_since) {
        return accuse_lease(l, LEASE_BACK, returned, l->gone_since, text);
    }
    nanos least = u64_sub_sat(ttl, drift_in(ttl, l->terms.drift_ppm));
    l->lasts_until = u64_max(l->lasts_until, u64_add_sat(invoked, least));
    lease_check_maybe_renewed(l, returned, ttl);
    /* Who saw it gone while the renewal was under way saw it after the renewal, hence too early. */
    if (is_gone_early(l, l->gone_since)) {
        return accuse_lease(l, LEASE_EARLY, l->gone_since, l->lasts_until, text);
    }
    return l->verdict;
}

void lease_check_maybe_renewed(struct lease_check *l, nanos latest, nanos ttl)
{
    l->may_last = u64_max(l->may_last, latest_end(l, latest, ttl));
    l->ttl = u64_max(l->ttl, ttl);
}

void lease_check_revoke_begun(struct lease_check *l, nanos invoked)
{
    l->revoked = u64_min(l->revoked, invoked);
}

void lease_check_calm(struct lease_check *l, nanos since)
{
    l->calm_since = since;
}

static struct lease_verdict see_gone(struct lease_check *l, nanos returned, struct buf *text)
{
    l->gone_since = u64_min(l->gone_since, returned);
    if (is_gone_early(l, returned)) {
        return accuse_lease(l, LEASE_EARLY, returned, l->lasts_until, text);
    }
    return l->verdict;
}

static struct lease_verdict see_alive(struct lease_check *l, nanos invoked, struct buf *text)
{
    if (invoked > l->gone_since) {
        return accuse_lease(l, LEASE_BACK, invoked, l->gone_since, text);
    }
    nanos due = u64_max(l->may_last, latest_end(l, l->calm_since, l->ttl));
    due = u64_add_sat(due, l->terms.slack);
    if (invoked > due) {
        return accuse_lease(l, LEASE_KEPT, invoked, due, text);
    }
    return l->verdict;
}

struct lease_verdict lease_check_seen(struct lease_check *l, nanos invoked, nanos returned,
                                      bool is_alive, struct buf *text)
{
    if (l->verdict.fault != LEASE_RIGHT) {
        return l->verdict;
    }
    return is_alive ? see_alive(l, invoked, text) : see_gone(l, returned, text);
}
