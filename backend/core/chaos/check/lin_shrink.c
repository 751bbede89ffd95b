/*
 * The smallest failing part of a key that fails.
 *
 * A part is made of a history by steps each of which keeps an order that explains it, if there is
 * one. So the whole cannot be explained where a part cannot:
 *
 *   - the history ends earlier: what is invoked later is gone, what returns later may have
 * happened;
 *   - a read, or an answer that a value was not there, is gone: it changes nothing;
 *   - it does not matter that a change returned: it may have happened, at any time from then on.
 *
 * A change is never simply taken away, which could make a part fail that the whole does not: the
 * reads of a value without its write. One that may have happened disappears where lin_prepare finds
 * that nobody needs it, which again keeps the verdict.
 *
 * First the earliest end at which the history fails is found, then halves, quarters and so on to
 * single operations are weakened while the rest still fails. What is left cannot be weakened in any
 * one operation. Where a search reaches its bound, the part does not count as failing.
 */
#include "core/chaos/check/lin_int.h"

struct shrinking {
    struct lin *lin;
    const uint32_t *events;
    uint32_t event_count;
    uint64_t searches_left;
};

static bool still_fails(struct shrinking *s)
{
    enum lin_bound bound = LIN_BOUND_NONE;
    if (s->searches_left == 0) {
        return false;
    }
    s->searches_left--;
    return lin_judge_key(s->lin, s->events, s->event_count, &bound) == LIN_NOT_LINEARIZABLE;
}

/* The history up to event `last`. */
static void end_at(struct shrinking *s, uint32_t last)
{
    for (uint32_t i = 0; i < s->event_count; i++) {
        uint32_t op = s->events[i] / 2;
        bool is_return = (s->events[i] & 1) != 0;
        if (i <= last) {
            s->lin->modes[op] = is_return ? LIN_MUST : LIN_MAY;
        } else if (!is_return) {
            s->lin->modes[op] = LIN_GONE;
        }
    }
}

/* The whole fails, and a history that ends later fails where one that ends earlier does. */
static void find_earliest_end(struct shrinking *s)
{
    uint32_t passes = 0; /* an end below this does not fail */
    uint32_t fails = s->event_count - 1;
    while (passes < fails) {
        uint32_t middle = passes + (fails - passes) / 2;
        end_at(s, middle);
        if (still_fails(s)) {
            fails = middle;
        } else {
            passes = middle + 1;
        }
    }
    end_at(s, fails);
}

static uint32_t list_musts(const struct shrinking *s, uint32_t *ops)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->event_count; i++) {
        if ((s->events[i] & 1) != 0 && s->lin->modes[s->events[i] / 2] == LIN_MUST) {
            ops[n++] = s->events[i] / 2;
        }
    }
    return n;
}

/* True where the part fails with these operations weakened, and they stay so. */
static bool weaken(struct shrinking *s, const uint32_t *ops, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        bool is_change = lin_is_change(s->lin->ops[ops[i]].kind);
        s->lin->modes[ops[i]] = is_change ? LIN_MAY : LIN_GONE;
    }
    if (still_fails(s)) {
        return true;
    }
    for (uint32_t i = 0; i < n; i++) {
        s->lin->modes[ops[i]] = LIN_MUST;
    }
    return false;
}

/* Weakens what can be, in pieces of `size`; true where something was. */
static bool weaken_pieces(struct shrinking *s, uint32_t *ops, uint32_t size)
{
    uint32_t n = list_musts(s, ops);
    bool is_weaker = false;
    for (uint32_t at = 0; at < n; at += size) {
        is_weaker = weaken(s, ops + at, n - at < size ? n - at : size) || is_weaker;
    }
    return is_weaker;
}

static void accuse_the_rest(struct shrinking *s)
{
    struct lin *lin = s->lin;
    lin_prepare(lin, s->events, s->event_count);
    const struct lin_key *k = &lin->key;
    uint32_t may = 0;
    for (uint32_t i = 0; i < s->event_count; i++) {
        uint32_t op = s->events[i] / 2;
        if ((s->events[i] & 1) != 0) {
            continue;
        }
        if (lin->modes[op] == LIN_MUST) {
            lin_accuse(lin, op, false);
        } else if (may < k->may_count && k->mays[may].op == op) {
            if (k->mays[may].is_useful || k->mays[may].deadline != LIN_NONE) {
                lin_accuse(lin, op, true);
            }
            may++;
        }
    }
}

void lin_shrink_key(struct lin *lin, const uint32_t *events, uint32_t event_count)
{
    struct shrinking s = {.lin = lin,
                          .events = events,
                          .event_count = event_count,
                          .searches_left = lin->limits.shrink_max};
    if (s.searches_left == 0) {
        return;
    }
    uint32_t *ops = mem_alloc(event_count * sizeof(*ops));
    find_earliest_end(&s);
    uint32_t size = list_musts(&s, ops) / 2;
    for (; size > 1; size /= 2) {
        (void)weaken_pieces(&s, ops, size);
    }
    while (weaken_pieces(&s, ops, 1)) {
    }
    accuse_the_rest(&s);
    mem_free(ops);
}
