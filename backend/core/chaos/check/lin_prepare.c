/*
 * One key, before the search: what has happened (acts), what may have happened (mays, in groups),
 * and who writes and who needs which value.
 *
 * An operation of unknown outcome becomes an act where it certainly took effect: it alone writes
 * some value, and an act needs that value. It then happened before that act returned, which is the
 * return it is given. Where the reader told the revision that made the value, it has that revision.
 *
 * A may whose value nobody needs is left out: in any order that explains the history, what comes
 * after it does not look at the value until it is overwritten, so that the order without it
 * explains the history as well. Needed by a may that is itself left out does not count. Two things
 * look at values that they do not need: an append, and an answer that some value was not there.
 * Keys with appends keep all mays; with such answers, all are kept, but values that nobody can tell
 * apart become one.
 */
#include <string.h>

#include "core/base/check.h"
#include "core/chaos/check/lin_int.h"

static bool writes_one_value(uint8_t kind)
{
    return kind == LIN_WRITE || kind == LIN_DELETE || kind == LIN_CAS;
}

/* The revision that made the value which a read saw, if it told. */
static uint64_t told_mod(const struct lin_op *o)
{
    return o->kind == LIN_READ && o->value != 0 ? o->mod_revision : 0;
}

static uint32_t add_value(struct lin_key *k)
{
    k->values[k->value_count] =
        (struct lin_value){.mays = LIN_NONE, .deadline = LIN_NONE, .write_group = LIN_NONE};
    return k->value_count++;
}

static uint32_t number_value(struct lin *lin, uint64_t value)
{
    uint32_t number = lin_map_number(&lin->numbers, value);
    return number == lin->key.value_count ? add_value(&lin->key) : number;
}

/* Gives the operation's values their numbers. */
static void number_operation(struct lin *lin, uint32_t op)
{
    const struct lin_op *o = &lin->ops[op];
    uint64_t value = o->kind == LIN_DELETE || o->kind == LIN_CAS_MISS ? 0 : o->value;
    bool expects = o->kind == LIN_CAS || o->kind == LIN_CAS_MISS;
    uint64_t expected = expects ? o->expected : 0;
    lin->tied_of[op] = LIN_NONE;
    if (lin->key.has_appends) {
        lin->value_of[op] = (uint32_t)value;
        lin->expected_of[op] = (uint32_t)expected;
    } else {
        lin->value_of[op] = number_value(lin, value);
        lin->expected_of[op] = number_value(lin, expected);
    }
}

static uint32_t needed_value(const struct lin *lin, uint32_t op)
{
    return lin->ops[op].kind == LIN_READ ? lin->value_of[op] : lin->expected_of[op];
}

/* An act is invoked: its value is written, or needed, once more. */
static void count_act(struct lin *lin, uint32_t op)
{
    struct lin_key *k = &lin->key;
    const struct lin_op *o = &lin->ops[op];
    k->has_misses = k->has_misses || o->kind == LIN_CAS_MISS;
    k->has_mods = k->has_mods || told_mod(o) != 0;
    if (k->has_appends) {
        return;
    }
    if (writes_one_value(o->kind)) {
        k->values[lin->value_of[op]].writers_left++;
    }
    if (lin_needs_value(o->kind)) {
        k->values[needed_value(lin, op)].readers_left++;
    }
    if (o->kind == LIN_CAS_MISS) {
        k->values[lin->expected_of[op]].is_missed = true;
    }
}

static void add_may(struct lin *lin, uint32_t op, uint32_t event)
{
    struct lin_key *k = &lin->key;
    uint8_t kind = lin->ops[op].kind == LIN_DELETE ? LIN_WRITE : lin->ops[op].kind;
    struct lin_may *may = &k->mays[k->may_count];
    *may = (struct lin_may){
        .op = op,
        .value = lin->value_of[op],
        .expected = lin->expected_of[op],
        .invoked = event,
        .deadline = LIN_NONE,
        .next = LIN_NONE,
        .tied = LIN_NONE,
        .kind = kind,
    };
    if (!k->has_appends) {
        struct lin_value *v = &k->values[may->value];
        v->writers_left++;
        may->next = v->mays;
        v->mays = k->may_count;
    }
    k->may_count++;
}

/* An act returns: what it needed had been written by then. */
static void note_deadline(struct lin *lin, uint32_t op, uint32_t event)
{
    const struct lin_op *o = &lin->ops[op];
    if (lin->key.has_appends || !lin_needs_value(o->kind)) {
        return;
    }
    struct lin_value *v = &lin->key.values[needed_value(lin, op)];
    if (v->deadline == LIN_NONE) {
        v->deadline = event;
    }
    v->mod = told_mod(o) != 0 ? told_mod(o) : v->mod;
}

static void collect(struct lin *lin)
{
    struct lin_key *k = &lin->key;
    for (uint32_t i = 0; i < k->event_count; i++) {
        uint32_t op = k->events[i] / 2;
        bool is_return = (k->events[i] & 1) != 0;
        uint8_t mode = lin->modes[op];
        if (mode == LIN_GONE || (mode == LIN_MAY && is_return)) {
            continue;
        }
        if (is_return) {
            note_deadline(lin, op, i);
            continue;
        }
        if (mode == LIN_MAY && !lin_is_change(lin->ops[op].kind)) {
            continue;
        }
        number_operation(lin, op);
        if (mode == LIN_MUST) {
            count_act(lin, op);
        } else {
            add_may(lin, op, i);
        }
    }
}

/* The may that certainly wrote `value`, or LIN_NONE. */
static uint32_t certain_writer(const struct lin_key *k, uint32_t value)
{
    const struct lin_value *v = &k->values[value];
    bool is_certain = value != k->initial && v->readers_left > 0 && v->writers_left == 1 &&
                      v->mays != LIN_NONE && v->deadline != LIN_NONE;
    return is_certain && k->mays[v->mays].invoked < v->deadline ? v->mays : LIN_NONE;
}

/* Mays that have certainly happened get a deadline, and what they need in turn has happened before
 * it. Deadlines only become earlier, so that this ends. */
static void find_certain_mays(struct lin_key *k)
{
    uint32_t depth = 0;
    for (uint32_t value = 0; value < k->value_count; value++) {
        if (certain_writer(k, value) != LIN_NONE) {
            k->stack[depth++] = value;
            k->values[value].is_wanted = true; /* while it is on the stack */
        }
    }
    while (depth > 0) {
        uint32_t value = k->stack[--depth];
        k->values[value].is_wanted = false;
        uint32_t writer = certain_writer(k, value);
        if (writer == LIN_NONE || k->mays[writer].deadline <= k->values[value].deadline) {
            continue;
        }
        struct lin_may *may = &k->mays[writer];
        bool is_new = may->deadline == LIN_NONE;
        may->deadline = k->values[value].deadline;
        if (may->kind != LIN_CAS || may->expected == value) {
            continue;
        }
        struct lin_value *needed = &k->values[may->expected];
        needed->readers_left += is_new ? 1 : 0;
        if (needed->deadline > may->deadline) {
            needed->deadline = may->deadline;
        }
        if (!needed->is_wanted && certain_writer(k, may->expected) != LIN_NONE) {
            needed->is_wanted = true;
            k->stack[depth++] = may->expected;
        }
    }
}

/* Marks the mays whose value somebody needs, through others that may have happened. */
static void find_useful_mays(struct lin_key *k)
{
    uint32_t depth = 0;
    for (uint32_t value = 0; value < k->value_count; value++) {
        k->values[value].is_wanted = k->values[value].readers_left > 0;
        if (k->values[value].is_wanted) {
            k->stack[depth++] = value;
        }
    }
    while (depth > 0) {
        const struct lin_value *v = &k->values[k->stack[--depth]];
        for (uint32_t i = v->mays; i != LIN_NONE; i = k->mays[i].next) {
            struct lin_may *may = &k->mays[i];
            may->is_useful = true;
            if (may->kind == LIN_CAS && !k->values[may->expected].is_wanted) {
                k->values[may->expected].is_wanted = true;
                k->stack[depth++] = may->expected;
            }
        }
    }
}

/* With answers that some value was not there, any value may be needed to make them true: all mays
 * stay. Values that no answer tells apart become `other`. What only moves on from such a value is
 * then never used, and was of no use: the value before was as good. */
static void keep_mays_for_misses(struct lin_key *k, uint32_t other)
{
    for (uint32_t i = 0; i < k->may_count; i++) {
        struct lin_may *may = &k->mays[i];
        may->is_useful = true;
        const struct lin_value *v = &k->values[may->value];
        if (may->deadline == LIN_NONE && !v->is_wanted && !v->is_missed && may->value != 0) {
            k->values[may->value].writers_left--;
            may->value = other;
            k->values[other].writers_left++;
        }
    }
}

static void sift_mays(struct lin *lin)
{
    struct lin_key *k = &lin->key;
    if (k->has_appends) {
        for (uint32_t i = 0; i < k->may_count; i++) {
            k->mays[i].is_useful = true;
        }
        return;
    }
    find_certain_mays(k);
    find_useful_mays(k);
    if (k->has_misses && k->may_count > 0) {
        k->other = add_value(k);
        keep_mays_for_misses(k, k->other);
    }
    for (uint32_t i = 0; i < k->may_count; i++) {
        struct lin_may *may = &k->mays[i];
        if (may->deadline != LIN_NONE) {
            /* The event is the return of an act that needed the value, or needed what it led to. */
            uint32_t reader = k->events[may->deadline] / 2;
            may->tied = lin->tied_of[reader];
            lin->tied_of[reader] = i;
        } else if (!may->is_useful) {
            k->values[may->value].writers_left--;
        } else if (may->kind == LIN_CAS) {
            k->values[may->expected].is_chained = true;
        }
    }
}

/* --- Entries ---------------------------------------------------------------------------------- */

static uint32_t add_act(struct lin *lin, uint32_t op)
{
    struct lin_key *k = &lin->key;
    const struct lin_op *o = &lin->ops[op];
    k->acts[k->act_count] = (struct lin_act){
        .op = op,
        .value = lin->value_of[op],
        .expected = lin->expected_of[op],
        .tier = LIN_NONE,
        .mod = told_mod(o),
        .revision = o->revision,
        .kind = o->kind == LIN_DELETE ? LIN_WRITE : o->kind,
    };
    return k->act_count++;
}

static void append_entry(struct lin_key *k, uint32_t *last, uint32_t entry)
{
    k->next[*last] = entry;
    k->prev[entry] = *last;
    *last = entry;
}

static void append_return(struct lin_key *k, uint32_t *last, uint32_t act, uint32_t event)
{
    k->acts[act].horizon = k->act_count;
    k->acts[act].returns = event;
    append_entry(k, last, act * 2 + 1);
}

/* What an operation has become is found by its number among the acts, which replaces the number of
 * its value: the act has that by now. */
static uint32_t *act_of(struct lin *lin, uint32_t op)
{
    return &lin->expected_of[op];
}

static void link_return(struct lin *lin, uint32_t *last, uint32_t op, uint32_t event)
{
    struct lin_key *k = &lin->key;
    for (uint32_t i = lin->tied_of[op]; i != LIN_NONE; i = k->mays[i].tied) {
        append_return(k, last, *act_of(lin, k->mays[i].op), event);
    }
    append_return(k, last, *act_of(lin, op), event);
}

/* The mays in the order of their invocation, which is the order in which they were collected, are
 * met again one by one. */
static void link_entries(struct lin *lin)
{
    struct lin_key *k = &lin->key;
    uint32_t may = 0;
    uint32_t ends = 2 * k->event_count; /* moved to its final place below */
    uint32_t last = ends;
    k->next[ends] = ends;
    for (uint32_t i = 0; i < k->event_count; i++) {
        uint32_t op = k->events[i] / 2;
        bool is_return = (k->events[i] & 1) != 0;
        if (!is_return && may < k->may_count && k->mays[may].invoked == i) {
            const struct lin_may *m = &k->mays[may++];
            if (m->deadline != LIN_NONE) {
                uint32_t act = add_act(lin, op);
                k->acts[act].revision = k->values[m->value].mod;
                *act_of(lin, op) = act;
                append_entry(k, &last, act * 2);
            }
        } else if (lin->modes[op] == LIN_MUST && is_return) {
            link_return(lin, &last, op, i);
        } else if (lin->modes[op] == LIN_MUST) {
            uint32_t act = add_act(lin, op);
            *act_of(lin, op) = act;
            append_entry(k, &last, act * 2);
        }
    }
    uint32_t first = k->next[ends];
    ends = 2 * k->act_count;
    if (k->act_count == 0) {
        first = ends;
        last = ends;
    }
    k->next[ends] = first;
    k->prev[first] = ends;
    k->next[last] = ends;
    k->prev[ends] = last;
}

/* --- Tiers ------------------------------------------------------------------------------------ */

/* Acts with revisions come in the order of those, the change of a revision before the reads that
 * were answered from it. A read that tells only which revision made its value comes right after
 * that. */
static void make_tiers(struct lin *lin)
{
    struct lin_key *k = &lin->key;
    size_t n = 0;
    for (uint32_t i = 0; i < k->act_count; i++) {
        const struct lin_act *a = &k->acts[i];
        if (a->revision != 0) {
            uint64_t rank = a->revision * 2 + (lin_is_change(a->kind) ? 0 : 1);
            lin->items[n++] = (struct lin_item){rank, i};
        }
    }
    lin_sort(lin->items, lin->scratch, n);
    for (size_t i = 0; i < n; i++) {
        struct lin_act *a = &k->acts[lin->items[i].index];
        bool is_same = i > 0 && lin->items[i].key == lin->items[i - 1].key;
        if (is_same && lin_is_change(a->kind)) {
            k->is_impossible = true;
        }
        if (!is_same) {
            k->tier_left[k->tier_count++] = 0;
        }
        a->tier = k->tier_count - 1;
        k->tier_left[a->tier]++;
    }
}

/* --- Groups ----------------------------------------------------------------------------------- */

/* Sorts effects into the three kinds of groups. Of the second kind `other` comes first: where any
 * value will do, it is the one that is needed for nothing else. */
#define EFFECT_NEEDS   ((uint64_t)1 << 63)
#define EFFECT_ENDS    ((uint64_t)1 << 62)
#define EFFECT_IS_READ ((uint64_t)1 << 61)

static uint64_t effect_of(const struct lin_key *k, const struct lin_may *may)
{
    bool needs = may->kind == LIN_CAS && !k->has_appends;
    uint64_t kind = may->kind == LIN_CAS ? 2 : may->kind == LIN_APPEND ? 1 : 0;
    uint64_t expected = may->kind == LIN_CAS ? may->expected : 0;
    uint64_t order = EFFECT_ENDS | EFFECT_IS_READ;
    if (needs) {
        order = EFFECT_NEEDS;
    } else if (k->has_appends || k->values[may->value].is_chained) {
        order = 0;
    } else if (may->value == k->other) {
        order = EFFECT_ENDS;
    }
    return order | expected << 31 | (uint64_t)may->value << 2 | kind;
}

static void add_group(struct lin_key *k, const struct lin_may *may)
{
    uint32_t group = k->group_count++;
    k->groups[group] = (struct lin_group){
        .value = may->value,
        .expected = may->expected,
        .kind = may->kind,
        .first = group > 0 ? k->groups[group - 1].first + k->groups[group - 1].count : 0};
    if (k->has_appends) {
        k->chain_group_count++;
        k->free_group_count++;
    } else if (may->kind == LIN_CAS) {
        struct lin_value *needed = &k->values[may->expected];
        needed->moves_first = needed->moves_count == 0 ? group : needed->moves_first;
        needed->moves_count++;
    } else {
        k->chain_group_count += k->values[may->value].is_chained ? 1 : 0;
        k->free_group_count++;
        k->values[may->value].write_group = group;
    }
}

/* Within a group, mays stay in the order of their invocation. */
static void make_groups(struct lin *lin)
{
    struct lin_key *k = &lin->key;
    size_t n = 0;
    for (uint32_t i = 0; i < k->may_count; i++) {
        if (k->mays[i].is_useful && k->mays[i].deadline == LIN_NONE) {
            lin->items[n++] = (struct lin_item){effect_of(k, &k->mays[i]), i};
        }
    }
    lin_sort(lin->items, lin->scratch, n);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || lin->items[i].key != lin->items[i - 1].key) {
            add_group(k, &k->mays[lin->items[i].index]);
        }
        k->members[i] = lin->items[i].index;
        k->groups[k->group_count - 1].count++;
    }
}

/* --- All of it -------------------------------------------------------------------------------- */

static void reserve_key(struct lin_key *k, size_t events)
{
    size_t ops = events + 1;
    mem_grow((void **)&k->acts, &k->act_cap, ops, sizeof(k->acts[0]));
    mem_grow((void **)&k->mays, &k->may_cap, ops, sizeof(k->mays[0]));
    /* Absence, what is there in the beginning, "other", and two values an operation. */
    mem_grow((void **)&k->values, &k->value_cap, 2 * ops + 3, sizeof(k->values[0]));
    mem_grow((void **)&k->stack, &k->stack_cap, 2 * ops + 3, sizeof(k->stack[0]));
    mem_grow((void **)&k->groups, &k->group_cap, ops, sizeof(k->groups[0]));
    mem_grow((void **)&k->used, &k->used_cap, ops, sizeof(k->used[0]));
    mem_grow((void **)&k->members, &k->member_cap, ops, sizeof(k->members[0]));
    mem_grow((void **)&k->tier_left, &k->tier_cap, ops + 1, sizeof(k->tier_left[0]));
    mem_grow((void **)&k->next, &k->next_cap, 2 * ops, sizeof(k->next[0]));
    mem_grow((void **)&k->prev, &k->prev_cap, 2 * ops, sizeof(k->prev[0]));
}

static bool key_has_appends(const struct lin *lin)
{
    const struct lin_key *k = &lin->key;
    for (uint32_t i = 0; i < k->event_count && lin->strings != NULL; i++) {
        if (lin->ops[k->events[i] / 2].kind == LIN_APPEND) {
            return true;
        }
    }
    return false;
}

void lin_prepare(struct lin *lin, const uint32_t *events, uint32_t event_count)
{
    struct lin_key *k = &lin->key;
    k->events = events;
    k->event_count = event_count;
    k->act_count = 0;
    k->may_count = 0;
    k->value_count = 0;
    k->group_count = 0;
    k->chain_group_count = 0;
    k->free_group_count = 0;
    k->other = LIN_NONE;
    k->tier_count = 0;
    k->has_misses = false;
    k->has_mods = false;
    k->is_impossible = false;
    k->has_appends = key_has_appends(lin);
    reserve_key(k, event_count);

    lin_map_reset(&lin->numbers, 2 * (size_t)event_count + 2);
    uint32_t absent = number_value(lin, 0);
    CHECK(absent == 0);
    k->initial = k->has_appends ? absent : number_value(lin, lin->initial);
    collect(lin);
    k->initial = lin->is_initial_fresh ? add_value(k) : k->initial;
    sift_mays(lin);
    link_entries(lin);
    make_tiers(lin);
    make_groups(lin);
}
