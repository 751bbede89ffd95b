/*
 * The smallest failing part of a key that fails.
 *
 * A part is made of a history by steps each of which keeps an order that explains it, if there is
 * one. So the whole cannot be explained where a part cannot:
 *
 *   - the history ends earlier: what is invoked later is gone, what returns later may have
 * happened;
 *   - the history begins later, at an event over which no operation lasts that has happened: what
 *     returned before is gone, and the state there is any that the rest can tell from others;
 *   - a read, or an answer that a value was not there, is gone: it changes nothing;
 *   - it does not matter that a change returned: it may have happened, at any time from then on.
 *
 * A change is never simply taken away, which could make a part fail that the whole does not: the
 * reads of a value without its write. One that may have happened disappears where lin_prepare finds
 * that nobody needs it, which again keeps the verdict.
 *
 * First the earliest end at which the history fails is found, then the latest beginning, then
 * halves, quarters and so on to single operations are weakened while the rest still fails. What is
 * left cannot be weakened in any one operation. Where a search reaches its bound, the part does not
 * count as failing.
 */
#include "core/chaos/check/lin_int.h"

struct shrinking {
    struct lin *lin;
    const uint32_t *events;
    uint32_t event_count;
    uint64_t searches_left;
    uint64_t steps_left; /* in all */
    bool is_late;        /* the state in the beginning is any */
    uint32_t *ops;       /* room for those of the key */
    uint32_t *part;      /* room for its events: those of operations that are there */
    uint8_t *modes;      /* by event: the operations' modes before the last step */
};

/* How many steps of the search for one verdict may go into one failing part. */
#define SHRINK_SHARE 8

/* How far before the end a beginning is tried first, in events. */
#define FIRST_STRIDE 4

static uint32_t list_part(const struct shrinking *s)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->event_count; i++) {
        if (s->lin->modes[s->events[i] / 2] != LIN_GONE) {
            s->part[n++] = s->events[i];
        }
    }
    return n;
}

static bool fails_from(struct shrinking *s, uint64_t initial, bool is_fresh)
{
    enum lin_bound bound = LIN_BOUND_NONE;
    struct lin *lin = s->lin;
    if (s->searches_left == 0 || s->steps_left == 0) {
        return false;
    }
    s->searches_left--;
    lin->steps_max = s->steps_left;
    lin->initial = initial;
    lin->is_initial_fresh = is_fresh;
    enum lin_verdict verdict = lin_judge_key(lin, s->part, list_part(s), &bound);
    s->steps_left = u64_sub_sat(s->steps_left, lin->steps);
    lin->initial = 0;
    lin->is_initial_fresh = false;
    return verdict == LIN_NOT_LINEARIZABLE;
}

/* Of the values in the beginning, those that no operation looks at are alike. */
static bool part_fails(struct shrinking *s)
{
    if (!s->is_late) {
        return fails_from(s, 0, false);
    }
    if (!fails_from(s, 0, false) || !fails_from(s, 0, true)) {
        return false;
    }
    for (uint32_t i = 0; i < s->event_count; i++) {
        uint32_t op = s->events[i] / 2;
        const struct lin_op *o = &s->lin->ops[op];
        bool looks = o->kind == LIN_READ || o->kind == LIN_CAS || o->kind == LIN_CAS_MISS;
        bool is_return = (s->events[i] & 1) != 0;
        if (is_return || s->lin->modes[op] == LIN_GONE || !looks) {
            continue;
        }
        if (!fails_from(s, o->kind == LIN_READ ? o->value : o->expected, false)) {
            return false;
        }
    }
    return true;
}

/* --- Where it ends ---------------------------------------------------------------------------- */

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

static bool fails_at_end(struct shrinking *s, uint32_t last)
{
    end_at(s, last);
    return part_fails(s);
}

/* The whole fails, and a history that ends later fails where one that ends earlier does. The end is
 * mostly where the search of the whole got to, or behind, so it is sought from there in growing
 * strides. Events behind it are forgotten. */
static void find_earliest_end(struct shrinking *s, uint32_t furthest)
{
    uint32_t passes = 0; /* an end below this does not fail */
    uint32_t fails = s->event_count - 1;
    uint32_t stride = 1;
    for (uint32_t at = furthest; at < fails; at += stride, stride *= 2) {
        if (fails_at_end(s, at)) {
            fails = at;
        } else {
            passes = at + 1;
        }
    }
    for (stride = 1; passes == 0 && stride <= fails; stride *= 2) {
        if (fails_at_end(s, fails - stride)) {
            fails -= stride;
        } else {
            passes = fails - stride + 1;
        }
    }
    while (passes < fails) {
        uint32_t middle = passes + (fails - passes) / 2;
        if (fails_at_end(s, middle)) {
            fails = middle;
        } else {
            passes = middle + 1;
        }
    }
    end_at(s, fails);
    s->event_count = fails + 1;
}

/* --- Where it begins -------------------------------------------------------------------------- */

static void keep_modes(const struct shrinking *s)
{
    for (uint32_t i = 0; i < s->event_count; i++) {
        s->modes[i] = s->lin->modes[s->events[i] / 2];
    }
}

static void restore_modes(struct shrinking *s)
{
    for (uint32_t i = 0; i < s->event_count; i++) {
        s->lin->modes[s->events[i] / 2] = s->modes[i];
    }
}

static void weaken_operation(struct shrinking *s, uint32_t op)
{
    s->lin->modes[op] = lin_is_change(s->lin->ops[op].kind) ? LIN_MAY : LIN_GONE;
}

/* The part from event `first` on: operations that have happened before it are gone, those that last
 * over it are weakened first. */
static void begin_at(struct shrinking *s, uint32_t first)
{
    for (uint32_t i = 0; i < first; i++) {
        uint32_t op = s->events[i] / 2;
        if ((s->events[i] & 1) == 0 && s->lin->modes[op] == LIN_MUST) {
            weaken_operation(s, op);
        } else if ((s->events[i] & 1) != 0 && s->modes[i] == LIN_MUST) {
            s->lin->modes[op] = LIN_GONE;
        }
    }
}

static bool fails_from_beginning(struct shrinking *s, uint32_t first)
{
    begin_at(s, first);
    bool fails = part_fails(s);
    restore_modes(s);
    return fails;
}

/* What fails from a later beginning fails from an earlier one. The contradiction is mostly near the
 * end, so beginnings are tried from there in growing strides. */
static void find_latest_beginning(struct shrinking *s)
{
    uint32_t passes = s->event_count; /* a beginning from here on does not fail */
    uint32_t fails = s->event_count;
    s->is_late = true;
    keep_modes(s);
    for (uint32_t stride = FIRST_STRIDE; fails == s->event_count && passes > 0; stride *= 2) {
        uint32_t first = passes > stride ? passes - stride : 0;
        if (fails_from_beginning(s, first)) {
            fails = first;
        } else {
            passes = first;
        }
    }
    if (fails == s->event_count) {
        s->is_late = false;
        return;
    }
    while (passes - fails > 1) {
        uint32_t middle = fails + (passes - fails) / 2;
        if (fails_from_beginning(s, middle)) {
            fails = middle;
        } else {
            passes = middle;
        }
    }
    begin_at(s, fails);
}

/* --- What it is made of ----------------------------------------------------------------------- */

static uint32_t list_musts(const struct shrinking *s)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->event_count; i++) {
        if ((s->events[i] & 1) != 0 && s->lin->modes[s->events[i] / 2] == LIN_MUST) {
            s->ops[n++] = s->events[i] / 2;
        }
    }
    return n;
}

/* True where the part fails with these operations weakened, and they stay so. */
static bool weaken(struct shrinking *s, const uint32_t *ops, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        weaken_operation(s, ops[i]);
    }
    if (part_fails(s)) {
        return true;
    }
    for (uint32_t i = 0; i < n; i++) {
        s->lin->modes[ops[i]] = LIN_MUST;
    }
    return false;
}

/* Weakens what can be, in pieces of `size`; true where something was. */
static bool weaken_pieces(struct shrinking *s, uint32_t size)
{
    uint32_t n = list_musts(s);
    bool is_weaker = false;
    for (uint32_t at = 0; at < n; at += size) {
        is_weaker = weaken(s, s->ops + at, n - at < size ? n - at : size) || is_weaker;
    }
    return is_weaker;
}

static void accuse_the_rest(struct shrinking *s)
{
    struct lin *lin = s->lin;
    uint32_t event_count = list_part(s);
    lin_prepare(lin, s->part, event_count);
    const struct lin_key *k = &lin->key;
    uint32_t may = 0;
    for (uint32_t i = 0; i < event_count; i++) {
        uint32_t op = s->part[i] / 2;
        if ((s->part[i] & 1) != 0) {
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
                          .searches_left = lin->limits.shrink_max,
                          .steps_left = SHRINK_SHARE * lin->limits.steps_max};
    if (s.searches_left == 0) {
        return;
    }
    s.ops = mem_alloc(event_count * sizeof(s.ops[0]));
    s.part = mem_alloc(event_count * sizeof(s.part[0]));
    s.modes = mem_alloc(event_count * sizeof(s.modes[0]));
    find_earliest_end(&s, lin->furthest);
    if (!lin->key.has_appends) {
        find_latest_beginning(&s);
    }
    for (uint32_t size = list_musts(&s) / 2; size > 1; size /= 2) {
        (void)weaken_pieces(&s, size);
    }
    while (weaken_pieces(&s, 1)) {
    }
    accuse_the_rest(&s);
    lin->report->is_part_late = s.is_late;
    mem_free(s.modes);
    mem_free(s.part);
    mem_free(s.ops);
}
