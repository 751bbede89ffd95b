/*
 * Looks for an order of a key's acts in which each finds what it says it found [Wing93] [Lowe17].
 *
 * A configuration is the set of acts that have happened, how many mays of each group have, and the
 * state. Acts are tried in the order of their entries; only those may happen next that are invoked
 * before the first return that is left. A configuration that was met before is not searched again,
 * nor one that differs from it only in having used more mays: those left to it are fewer, or
 * invoked later.
 *
 * What is not tried, and why nothing is lost. Let L be an order of what is left that explains it.
 *
 *   Reads first. A read or a miss that may happen now and fits the state is moved to L's front: it
 *   changes nothing, so all that comes after still fits. So it is taken, and no other choice here
 * is tried.
 *
 *   Idle writes first. Where nobody needs the state any more, L's first change is a write. A write
 *   whose value nobody needs can be moved to the front: behind it comes that first write, and at
 * the place that it leaves, what came after it did not look at its value, so it is a write as well,
 * and does not look at the value before. This does not hold where misses or appends look.
 *
 *   Values that are needed stay. The state is not left while an act still needs it and nobody is
 * left to write it again.
 *
 *   Mays only where needed. Let u be a may in L, and x what comes next. If x is a write, L without
 * u explains the acts. If x fits the state before u, it can come before u: where x is a read or a
 *   miss it leaves the state as u found it, and a compare-and-set that fits before u and behind it
 *   makes u pointless. So each chain of mays ends in an act that does not fit the state that the
 * chain began in, its origin, and within the chain each may but the first needs the one before it:
 * it is a compare-and-set, or an append. While a chain is open (origin is not LIN_NONE), nothing
 * else is tried.
 */
#include <string.h>

#include "core/base/check.h"
#include "core/chaos/check/lin_int.h"

struct searching {
    struct lin *lin;
    struct lin_key *k;
    uint32_t ends;   /* the list's entry that is none */
    uint32_t left;   /* acts that have not happened */
    uint32_t tier;   /* the lowest that has acts left */
    uint32_t trail;  /* length */
    uint32_t used;   /* groups that were */
    uint32_t depth;  /* of frames */
    uint32_t state;  /* a value */
    uint32_t origin; /* where the open chain of mays began; LIN_NONE: none is open */
    uint64_t mod;    /* the revision that made the state; 0: not known */
    uint64_t done_hash;
};

static void begin_search(struct searching *s, struct lin *lin)
{
    struct lin_key *k = &lin->key;
    *s = (struct searching){.lin = lin,
                            .k = k,
                            .ends = 2 * k->act_count,
                            .left = k->act_count,
                            .state = k->initial,
                            .origin = LIN_NONE};
    size_t words = k->act_count / 64 + 1;
    size_t moves = (size_t)k->act_count + k->may_count + 1;
    mem_grow((void **)&k->done, &k->done_cap, words, sizeof(k->done[0]));
    mem_grow((void **)&k->trail, &k->trail_cap, moves, sizeof(k->trail[0]));
    mem_grow((void **)&k->frames, &k->frame_cap, moves, sizeof(k->frames[0]));
    memset(k->done, 0, words * sizeof(k->done[0]));
    lin_cache_reset(&lin->cache);
    lin->steps = 0;
    lin->furthest = 0;
}

/* --- Steps that can be taken back ------------------------------------------------------------- */

static void unlink_entry(struct lin_key *k, uint32_t entry)
{
    k->next[k->prev[entry]] = k->next[entry];
    k->prev[k->next[entry]] = k->prev[entry];
}

static void relink_entry(struct lin_key *k, uint32_t entry)
{
    k->next[k->prev[entry]] = entry;
    k->prev[k->next[entry]] = entry;
}

/* The counts of who is left to write a value, or to need it, where values have counts. */
static void count_left(struct lin_key *k, const struct lin_act *a, uint32_t change)
{
    if (k->has_appends) {
        return;
    }
    if (lin_is_change(a->kind)) {
        k->values[a->value].writers_left += change;
    }
    if (lin_needs_value(a->kind)) {
        k->values[a->kind == LIN_READ ? a->value : a->expected].readers_left += change;
    }
}

/* The act has happened; what it makes of the state is the caller's. */
static void take_act(struct searching *s, uint32_t act)
{
    struct lin_key *k = s->k;
    const struct lin_act *a = &k->acts[act];
    unlink_entry(k, act * 2);
    unlink_entry(k, act * 2 + 1);
    count_left(k, a, UINT32_MAX);
    k->done[act / 64] |= (uint64_t)1 << (act % 64);
    s->done_hash ^= lin_mix(act + 1);
    s->left--;
    if (a->tier != LIN_NONE) {
        k->tier_left[a->tier]--;
        while (s->tier < k->tier_count && k->tier_left[s->tier] == 0) {
            s->tier++;
        }
    }
    k->trail[s->trail++] = act;
}

static void return_act(struct searching *s, uint32_t act)
{
    struct lin_key *k = s->k;
    const struct lin_act *a = &k->acts[act];
    relink_entry(k, act * 2 + 1);
    relink_entry(k, act * 2);
    count_left(k, a, 1);
    k->done[act / 64] &= ~((uint64_t)1 << (act % 64));
    s->done_hash ^= lin_mix(act + 1);
    s->left++;
    if (a->tier != LIN_NONE) {
        k->tier_left[a->tier]++;
        s->tier = a->tier < s->tier ? a->tier : s->tier;
    }
}

static void list_group(struct searching *s, uint32_t group)
{
    uint32_t at = s->used++;
    for (; at > 0 && s->k->used[at - 1] > group; at--) {
        s->k->used[at] = s->k->used[at - 1];
    }
    s->k->used[at] = group;
}

static void unlist_group(struct searching *s, uint32_t group)
{
    uint32_t at = 0;
    while (s->k->used[at] != group) {
        at++;
    }
    s->used--;
    memmove(s->k->used + at, s->k->used + at + 1, (s->used - at) * sizeof(s->k->used[0]));
}

static void take_may(struct searching *s, uint32_t group)
{
    struct lin_group *g = &s->k->groups[group];
    if (g->used++ == 0) {
        list_group(s, group);
    }
    if (!s->k->has_appends) {
        s->k->values[g->value].writers_left--;
    }
    s->k->trail[s->trail++] = LIN_TRAIL_GROUP | group;
}

static void return_may(struct searching *s, uint32_t group)
{
    struct lin_group *g = &s->k->groups[group];
    if (--g->used == 0) {
        unlist_group(s, group);
    }
    if (!s->k->has_appends) {
        s->k->values[g->value].writers_left++;
    }
}

static void take_back(struct searching *s, uint32_t trail)
{
    while (s->trail > trail) {
        uint32_t taken = s->k->trail[--s->trail];
        if ((taken & LIN_TRAIL_GROUP) != 0) {
            return_may(s, taken & ~LIN_TRAIL_GROUP);
        } else {
            return_act(s, taken);
        }
    }
}

/* --- What fits -------------------------------------------------------------------------------- */

static bool fits_tier(const struct searching *s, const struct lin_act *a)
{
    return a->tier == LIN_NONE || a->tier == s->tier;
}

static bool fits_state(const struct searching *s, const struct lin_act *a)
{
    switch ((enum lin_kind)a->kind) {
    case LIN_READ:
        return a->value == s->state && (a->mod == 0 || s->mod == 0 || a->mod == s->mod);
    case LIN_CAS:
        return a->expected == s->state;
    case LIN_CAS_MISS:
        return a->expected != s->state;
    case LIN_WRITE:
    case LIN_DELETE:
    case LIN_APPEND:
    case LIN_KINDS:
        break;
    }
    return true;
}

/* May the state become another value? `needed` acts of those that need it are about to happen. */
static bool may_leave(const struct searching *s, uint32_t becomes, uint32_t needed)
{
    if (s->k->has_appends || becomes == s->state) {
        return true;
    }
    const struct lin_value *v = &s->k->values[s->state];
    return v->readers_left == needed || v->writers_left > 0;
}

/* --- What happens without a choice ------------------------------------------------------------ */

static bool take_reads_once(struct searching *s)
{
    struct lin_key *k = s->k;
    bool took = false;
    for (uint32_t entry = k->next[s->ends]; entry != s->ends && (entry & 1) == 0;) {
        const struct lin_act *a = &k->acts[entry / 2];
        uint32_t before = k->prev[entry];
        s->lin->steps++;
        if (!lin_is_change(a->kind) && fits_tier(s, a) && fits_state(s, a)) {
            take_act(s, entry / 2);
            s->origin = LIN_NONE;
            took = true;
            entry = k->next[before];
        } else {
            entry = k->next[entry];
        }
    }
    return took;
}

static bool is_idle_value(const struct lin_key *k, uint32_t value)
{
    return k->values[value].readers_left == 0 && k->values[value].moves_count == 0;
}

static bool take_idle_write(struct searching *s)
{
    struct lin_key *k = s->k;
    if (k->has_appends || k->has_misses || s->origin != LIN_NONE || !is_idle_value(k, s->state)) {
        return false;
    }
    for (uint32_t entry = k->next[s->ends]; entry != s->ends && (entry & 1) == 0;
         entry = k->next[entry]) {
        const struct lin_act *a = &k->acts[entry / 2];
        s->lin->steps++;
        if (a->kind == LIN_WRITE && fits_tier(s, a) && is_idle_value(k, a->value)) {
            s->state = a->value;
            s->mod = a->revision;
            take_act(s, entry / 2);
            return true;
        }
    }
    return false;
}

static void settle(struct searching *s)
{
    do {
        /* Where there are tiers, a read may have been in the way of one before it. */
        while (take_reads_once(s) && s->k->tier_count > 0) {
        }
    } while (take_idle_write(s));
}

/* --- The cache -------------------------------------------------------------------------------- */

/* Every act before the first that is left has happened, and none that is invoked after the first
 * has returned: the bits between are the set. True where the configuration is new, and none was met
 * that differs from it only in having used fewer mays. */
static bool remember(struct searching *s)
{
    const struct lin_key *k = s->k;
    uint32_t low = k->next[s->ends] / 2;
    size_t first = low / 64;
    size_t bits = (k->acts[low].horizon - 1) / 64 - first + 1;
    uint64_t *pairs = NULL;
    uint64_t *record = lin_cache_draft(&s->lin->cache, 4 + bits, s->used, &pairs);
    record[1] = (uint64_t)s->state << 32 | low;
    record[2] = s->origin;
    record[3] = k->has_mods ? s->mod : 0;
    record[0] =
        lin_mix(s->done_hash ^ lin_mix(record[1] ^ lin_mix(record[2] ^ lin_mix(record[3]))));
    memcpy(record + 4, k->done + first, bits * sizeof(record[0]));
    for (size_t i = 0; i < s->used; i++) {
        pairs[i] = (uint64_t)k->used[i] << 32 | k->groups[k->used[i]].used;
    }
    return lin_cache_keep(&s->lin->cache, &s->lin->steps);
}

/* --- Choices ---------------------------------------------------------------------------------- */

static void push_frame(struct searching *s, uint32_t entry, uint32_t place)
{
    s->k->frames[s->depth++] = (struct lin_frame){
        .entry = entry,
        .place = place,
        .trail = s->trail,
        .state = s->state,
        .origin = s->origin,
        .mod = s->mod,
    };
}

/* Ends up in `becomes`: the state behind an append, or the value that is written. */
static bool may_change(const struct searching *s, const struct lin_act *a, uint32_t *becomes)
{
    if (!lin_is_change(a->kind) || !fits_tier(s, a) || !fits_state(s, a)) {
        return false;
    }
    bool is_chained = a->kind == LIN_CAS || a->kind == LIN_APPEND;
    if (s->origin != LIN_NONE && !is_chained) {
        return false;
    }
    *becomes =
        a->kind == LIN_APPEND ? lin_strings_join(s->lin->strings, s->state, a->value) : a->value;
    return may_leave(s, *becomes, a->kind == LIN_CAS ? 1 : 0);
}

/* Tries the next act, from `entry` on; returns the entry where the choice of acts ends. */
static bool choose_act(struct searching *s, uint32_t *entry)
{
    struct lin_key *k = s->k;
    for (; (*entry & 1) == 0; *entry = k->next[*entry]) {
        uint32_t act = *entry / 2;
        uint32_t becomes = 0;
        s->lin->steps++;
        if (may_change(s, &k->acts[act], &becomes)) {
            push_frame(s, *entry, 0);
            s->state = becomes;
            s->origin = LIN_NONE;
            s->mod = k->acts[act].revision;
            take_act(s, act);
            return true;
        }
    }
    return false;
}

static bool has_unused(const struct lin_group *g)
{
    return g->used < g->count;
}

/* The groups that fit a state have places: first those that fit any, then those that need this. */
static uint32_t count_places(const struct lin_key *k, uint32_t state)
{
    return k->free_group_count + (k->has_appends ? 0 : k->values[state].moves_count);
}

static uint32_t group_at(const struct lin_key *k, uint32_t state, uint32_t place)
{
    bool is_free = place < k->free_group_count;
    return is_free ? place : k->values[state].moves_first + place - k->free_group_count;
}

/* Is a may left that needs `value`, or, where there are appends, looks at it? */
static bool has_may_for(const struct searching *s, uint32_t value)
{
    const struct lin_key *k = s->k;
    uint32_t first = k->has_appends ? 0 : k->free_group_count;
    for (uint32_t place = first; place < count_places(k, value); place++) {
        const struct lin_group *g = &k->groups[group_at(k, value, place)];
        s->lin->steps++;
        if (has_unused(g) &&
            (g->kind == LIN_APPEND || (g->kind == LIN_CAS && g->expected == value))) {
            return true;
        }
    }
    return false;
}

/* Would anything that can come next need `value`, and not fit the state as it is? */
static bool is_needed_next(const struct searching *s, uint32_t value)
{
    const struct lin_key *k = s->k;
    for (uint32_t entry = k->next[s->ends]; (entry & 1) == 0; entry = k->next[entry]) {
        const struct lin_act *a = &k->acts[entry / 2];
        s->lin->steps++;
        if (!fits_tier(s, a)) {
            continue;
        }
        if ((a->kind == LIN_READ && a->value == value) ||
            (a->kind == LIN_CAS && a->expected == value) || a->kind == LIN_APPEND ||
            (a->kind == LIN_CAS_MISS && a->expected == s->state)) {
            return true;
        }
    }
    return has_may_for(s, value);
}

/* Is there an act that may come next and only misses because the state is what it is? Then any
 * other value is needed. */
static bool is_any_value_needed(const struct searching *s)
{
    const struct lin_key *k = s->k;
    for (uint32_t entry = k->next[s->ends]; k->has_misses && (entry & 1) == 0;
         entry = k->next[entry]) {
        const struct lin_act *a = &k->acts[entry / 2];
        s->lin->steps++;
        if (a->kind == LIN_CAS_MISS && a->expected == s->state && fits_tier(s, a)) {
            return true;
        }
    }
    return false;
}

/* The first place from `place` on whose group could be of use. What writes a value and cannot be
 * followed by another may is of use where an act that may come next needs this value. */
static uint32_t next_place(const struct searching *s, uint32_t place, bool is_any_needed)
{
    const struct lin_key *k = s->k;
    if (is_any_needed || place < k->chain_group_count || place >= k->free_group_count) {
        return place;
    }
    uint32_t found = k->free_group_count;
    for (uint32_t entry = k->next[s->ends]; (entry & 1) == 0; entry = k->next[entry]) {
        const struct lin_act *a = &k->acts[entry / 2];
        s->lin->steps++;
        if (lin_needs_value(a->kind) && fits_tier(s, a)) {
            uint32_t value = a->kind == LIN_READ ? a->value : a->expected;
            uint32_t group = k->values[value].write_group;
            found = group >= place && group < found ? group : found;
        }
    }
    return found;
}

/* Could the group's next may come now? `returns` is the event before which it is invoked. */
static bool fits_may(const struct searching *s, const struct lin_group *g, uint32_t returns)
{
    const struct lin_key *k = s->k;
    if (!has_unused(g) || k->mays[k->members[g->first + g->used]].invoked > returns ||
        (g->kind == LIN_CAS && g->expected != s->state) ||
        (g->kind == LIN_WRITE && s->origin != LIN_NONE)) {
        return false;
    }
    bool is_same = g->value == s->state || g->value == s->origin;
    return g->kind == LIN_APPEND || !is_same || k->has_mods;
}

/* Tries the next may, from `place` on; `first_return` is the entry before which it is invoked. */
static bool choose_may(struct searching *s, uint32_t first_return, uint32_t *place)
{
    struct lin_key *k = s->k;
    uint32_t returns = k->acts[first_return / 2].returns;
    s->lin->furthest = returns > s->lin->furthest ? returns : s->lin->furthest;
    bool is_any_needed = k->free_group_count > k->chain_group_count && is_any_value_needed(s);
    uint32_t end = count_places(k, s->state);
    for (;; (*place)++) {
        *place = next_place(s, *place, is_any_needed);
        if (*place >= end) {
            return false;
        }
        uint32_t group = group_at(k, s->state, *place);
        const struct lin_group *g = &k->groups[group];
        s->lin->steps++;
        if (!fits_may(s, g, returns)) {
            continue;
        }
        uint32_t becomes = g->kind == LIN_APPEND
                               ? lin_strings_join(s->lin->strings, s->state, g->value)
                               : g->value;
        if (may_leave(s, becomes, 0) && is_needed_next(s, becomes)) {
            push_frame(s, first_return, *place);
            s->origin = s->origin == LIN_NONE ? s->state : s->origin;
            s->state = becomes;
            s->mod = 0;
            take_may(s, group);
            return true;
        }
    }
}

/* Takes the next choice behind (`entry`, `place`); where there is none, goes back to the last
 * choice that has another. False where all have been tried. */
static bool choose(struct searching *s, bool is_exhausted)
{
    struct lin_key *k = s->k;
    uint32_t entry = k->next[s->ends];
    uint32_t place = 0;
    for (;;) {
        if (!is_exhausted && (choose_act(s, &entry) || choose_may(s, entry, &place))) {
            return true;
        }
        if (s->depth == 0) {
            return false;
        }
        const struct lin_frame *f = &k->frames[--s->depth];
        take_back(s, f->trail);
        s->state = f->state;
        s->origin = f->origin;
        s->mod = f->mod;
        bool was_act = (f->entry & 1) == 0;
        entry = was_act ? k->next[f->entry] : f->entry;
        place = was_act ? 0 : f->place + 1;
        is_exhausted = false;
        s->lin->steps++;
    }
}

enum lin_verdict lin_search(struct lin *lin, enum lin_bound *bound)
{
    struct searching s;
    begin_search(&s, lin);
    size_t strings_before = lin->strings != NULL ? lin->strings->bytes.len : 0;
    *bound = LIN_BOUND_NONE;
    if (lin->key.is_impossible) {
        return LIN_NOT_LINEARIZABLE;
    }
    for (;;) {
        settle(&s);
        if (s.left == 0) {
            return LIN_LINEARIZABLE;
        }
        bool is_known = !remember(&s);
        size_t bytes = lin_cache_bytes(&lin->cache);
        bytes += lin->strings != NULL ? lin->strings->bytes.len - strings_before : 0;
        if (lin->steps > lin->steps_max || bytes > lin->limits.memory_bytes_max) {
            bool is_long = lin->steps > lin->steps_max;
            *bound = is_long ? LIN_BOUND_STEPS : LIN_BOUND_MEMORY;
            return LIN_UNDECIDED;
        }
        if (!choose(&s, is_known)) {
            return LIN_NOT_LINEARIZABLE;
        }
    }
}
