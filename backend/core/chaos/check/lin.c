/* The history as a whole: what is no operation is refused, the rest is sorted by time, looked at
 * for revisions that contradict time, and split by key. */
#include "core/chaos/check/lin.h"

#include <string.h>

#include "core/chaos/check/lin_int.h"
#include "core/base/say.h"

struct lin_limits lin_limits_plain(void)
{
    return (struct lin_limits){
        .steps_max = 50000000,
        .memory_bytes_max = (size_t)256 << 20,
        .shrink_max = 20000,
    };
}

struct lin *lin_open(const struct lin_limits *limits)
{
    struct lin *lin = mem_alloc_zero(sizeof(*lin));
    lin->limits = *limits;
    return lin;
}

static void close_key(struct lin_key *k)
{
    mem_free(k->acts);
    mem_free(k->mays);
    mem_free(k->values);
    mem_free(k->groups);
    mem_free(k->used);
    mem_free(k->members);
    mem_free(k->tier_left);
    mem_free(k->next);
    mem_free(k->prev);
    mem_free(k->done);
    mem_free(k->trail);
    mem_free(k->frames);
    mem_free(k->stack);
}

void lin_close(struct lin *lin)
{
    close_key(&lin->key);
    lin_cache_deinit(&lin->cache);
    lin_map_deinit(&lin->keys);
    lin_map_deinit(&lin->numbers);
    mem_free(lin->items);
    mem_free(lin->scratch);
    mem_free(lin->events);
    mem_free(lin->key_events);
    mem_free(lin->key_ends);
    mem_free(lin->modes);
    mem_free(lin->key_of);
    mem_free(lin->value_of);
    mem_free(lin->expected_of);
    mem_free(lin->tied_of);
    mem_free(lin->part);
    mem_free(lin);
}

const char *lin_verdict_text(enum lin_verdict verdict)
{
    switch (verdict) {
    case LIN_LINEARIZABLE:
        return "linearizable";
    case LIN_NOT_LINEARIZABLE:
        return "not linearizable";
    case LIN_UNDECIDED:
        break;
    }
    return "undecided";
}

const char *lin_kind_text(enum lin_kind kind)
{
    static const char *const texts[LIN_KINDS] = {
        [LIN_READ] = "read",
        [LIN_WRITE] = "write",
        [LIN_DELETE] = "delete",
        [LIN_CAS] = "compare-and-set",
        [LIN_CAS_MISS] = "compare-and-set that missed",
        [LIN_APPEND] = "append",
    };
    return kind < LIN_KINDS ? texts[kind] : "nothing";
}

void lin_accuse(struct lin *lin, uint32_t op, bool is_open)
{
    size_t n = lin->report->part_count;
    mem_grow((void **)&lin->part, &lin->part_cap, n + 1, sizeof(lin->part[0]));
    lin->part[n] = (struct lin_culprit){.op = op, .is_open = is_open};
    lin->report->part = lin->part;
    lin->report->part_count = n + 1;
}

/* --- What is no operation --------------------------------------------------------------------- */

static bool is_string(const struct lin *lin, uint64_t value)
{
    return lin->strings == NULL || value < lin->strings->count;
}

static bool is_operation(const struct lin *lin, const struct lin_op *o)
{
    return o->kind < LIN_KINDS && o->outcome < LIN_OUTCOMES &&
           (o->outcome != LIN_OK || o->returned >= o->invoked) && o->revision < LIN_REVISION_MAX &&
           o->mod_revision < LIN_REVISION_MAX && is_string(lin, o->value) &&
           is_string(lin, o->expected) && (o->kind != LIN_APPEND || lin->strings != NULL);
}

/* Sets the mode of each operation; false, and the report says so, where one is none. */
static bool set_modes(struct lin *lin)
{
    for (size_t i = 0; i < lin->op_count; i++) {
        const struct lin_op *o = &lin->ops[i];
        if (!is_operation(lin, o)) {
            lin->report->verdict = LIN_UNDECIDED;
            lin->report->bound = LIN_BOUND_MALFORMED;
            lin->report->key = o->key;
            lin_accuse(lin, (uint32_t)i, false);
            return false;
        }
        lin->modes[i] = o->outcome == LIN_OK                                  ? LIN_MUST
                        : o->outcome == LIN_UNKNOWN && lin_is_change(o->kind) ? LIN_MAY
                                                                              : LIN_GONE;
    }
    return true;
}

/* --- Time ------------------------------------------------------------------------------------- */

/* Of events at one time, invocations come first: operations that touch are concurrent. */
static void merge_events(struct lin *lin, size_t calls, size_t returns)
{
    const struct lin_item *call = lin->items;
    const struct lin_item *call_end = call + calls;
    const struct lin_item *back = call_end;
    const struct lin_item *back_end = back + returns;
    lin->event_count = 0;
    while (call != call_end || back != back_end) {
        bool is_call = back == back_end || (call != call_end && call->key <= back->key);
        uint32_t op = is_call ? call++->index : back++->index;
        lin->events[lin->event_count++] = op * 2 + (is_call ? 0 : 1);
    }
}

static void sort_events(struct lin *lin)
{
    size_t calls = 0;
    for (size_t i = 0; i < lin->op_count; i++) {
        if (lin->modes[i] != LIN_GONE) {
            lin->items[calls++] = (struct lin_item){lin->ops[i].invoked, (uint32_t)i};
        }
    }
    size_t returns = 0;
    for (size_t i = 0; i < lin->op_count; i++) {
        if (lin->modes[i] == LIN_MUST) {
            lin->items[calls + returns++] = (struct lin_item){lin->ops[i].returned, (uint32_t)i};
        }
    }
    lin_sort(lin->items, lin->scratch, calls);
    lin_sort(lin->items + calls, lin->scratch, returns);
    merge_events(lin, calls, returns);
}

static void accuse_pair(struct lin *lin, uint32_t earlier, uint32_t later)
{
    lin->report->verdict = LIN_NOT_LINEARIZABLE;
    lin->report->key = lin->ops[later].key;
    lin_accuse(lin, earlier, false);
    lin_accuse(lin, later, false);
}

/* The store's revision never goes back: what is invoked after an operation returned has at least
 * its revision, and a change has a later one. */
static bool revisions_follow_time(struct lin *lin)
{
    uint64_t highest = 0;
    uint32_t whose = LIN_NONE;
    for (size_t i = 0; i < lin->event_count; i++) {
        uint32_t op = lin->events[i] / 2;
        const struct lin_op *o = &lin->ops[op];
        if (o->revision == 0 || lin->modes[op] != LIN_MUST) {
            continue;
        }
        if ((lin->events[i] & 1) == 0) {
            bool is_late = lin_is_change(o->kind) ? o->revision <= highest : o->revision < highest;
            if (whose != LIN_NONE && is_late) {
                accuse_pair(lin, whose, op);
                return false;
            }
        } else if (o->revision > highest) {
            highest = o->revision;
            whose = op;
        }
    }
    return true;
}

/* Parts of one transaction make one revision of several keys. */
static bool is_one_transaction(const struct lin_op *a, const struct lin_op *b)
{
    return a->process == b->process && a->invoked == b->invoked && a->key != b->key;
}

/* No revision is made twice, of whatever keys. */
static bool revisions_differ(struct lin *lin)
{
    uint32_t *maker = lin->value_of; /* by the number of the revision */
    uint32_t known = 0;
    lin_map_reset(&lin->numbers, lin->op_count);
    for (size_t i = 0; i < lin->event_count; i++) {
        uint32_t op = lin->events[i] / 2;
        const struct lin_op *o = &lin->ops[op];
        if ((lin->events[i] & 1) == 0 || o->revision == 0 || !lin_is_change(o->kind)) {
            continue;
        }
        uint32_t number = lin_map_number(&lin->numbers, o->revision);
        if (number == known) {
            maker[known++] = op;
        } else if (!is_one_transaction(&lin->ops[maker[number]], o)) {
            accuse_pair(lin, maker[number], op);
            return false;
        }
    }
    return true;
}

/* --- Keys ------------------------------------------------------------------------------------- */

static void split_by_key(struct lin *lin)
{
    lin_map_reset(&lin->keys, lin->op_count);
    memset(lin->key_ends, 0, (lin->op_count + 1) * sizeof(lin->key_ends[0]));
    for (size_t i = 0; i < lin->event_count; i++) {
        uint32_t op = lin->events[i] / 2;
        if ((lin->events[i] & 1) == 0) {
            lin->key_of[op] = lin_map_number(&lin->keys, lin->ops[op].key);
        }
        lin->key_ends[lin->key_of[op] + 1]++;
    }
    lin->key_count = lin->keys.count;
    for (uint32_t key = 1; key <= lin->key_count; key++) {
        lin->key_ends[key] += lin->key_ends[key - 1];
    }
    /* Each key's entry is where it begins, and becomes where it ends. */
    for (size_t i = 0; i < lin->event_count; i++) {
        uint32_t key = lin->key_of[lin->events[i] / 2];
        lin->key_events[lin->key_ends[key]++] = lin->events[i];
    }
}

enum lin_verdict lin_judge_key(struct lin *lin, const uint32_t *events, uint32_t event_count,
                               enum lin_bound *bound)
{
    uint32_t strings = lin->strings != NULL ? lin->strings->count : 0;
    lin_prepare(lin, events, event_count);
    enum lin_verdict verdict = lin_search(lin, bound);
    if (lin->strings != NULL) {
        lin_strings_truncate(lin->strings, strings);
    }
    lin->report->steps += lin->steps;
    lin->report->cached_max = u64_max(lin->report->cached_max, lin->cache.count);
    return verdict;
}

static void judge_keys(struct lin *lin)
{
    struct lin_report *report = lin->report;
    uint32_t begin = 0;
    for (uint32_t key = 0; key < lin->key_count; key++) {
        const uint32_t *events = lin->key_events + begin;
        uint32_t event_count = lin->key_ends[key] - begin;
        enum lin_bound bound = LIN_BOUND_NONE;
        enum lin_verdict verdict = lin_judge_key(lin, events, event_count, &bound);
        if (verdict == LIN_UNDECIDED && report->verdict == LIN_LINEARIZABLE) {
            report->verdict = LIN_UNDECIDED;
            report->bound = bound;
            report->key = lin->ops[events[0] / 2].key;
        }
        if (verdict == LIN_NOT_LINEARIZABLE) {
            report->verdict = LIN_NOT_LINEARIZABLE;
            report->bound = LIN_BOUND_NONE;
            report->key = lin->ops[events[0] / 2].key;
            lin_shrink_key(lin, events, event_count);
            return;
        }
        begin = lin->key_ends[key];
    }
}

/* --- All of it -------------------------------------------------------------------------------- */

static void reserve_history(struct lin *lin)
{
    size_t n = lin->op_count + 1;
    mem_grow((void **)&lin->items, &lin->item_cap, 2 * n, sizeof(lin->items[0]));
    mem_grow((void **)&lin->scratch, &lin->scratch_cap, 2 * n, sizeof(lin->scratch[0]));
    mem_grow((void **)&lin->events, &lin->event_cap, 2 * n, sizeof(lin->events[0]));
    mem_grow((void **)&lin->key_events, &lin->key_event_cap, 2 * n, sizeof(lin->key_events[0]));
    mem_grow((void **)&lin->key_ends, &lin->key_cap, n, sizeof(lin->key_ends[0]));
    mem_grow((void **)&lin->modes, &lin->mode_cap, n, sizeof(lin->modes[0]));
    mem_grow((void **)&lin->key_of, &lin->key_of_cap, n, sizeof(lin->key_of[0]));
    mem_grow((void **)&lin->value_of, &lin->value_of_cap, n, sizeof(lin->value_of[0]));
    mem_grow((void **)&lin->expected_of, &lin->expected_of_cap, n, sizeof(lin->expected_of[0]));
    mem_grow((void **)&lin->tied_of, &lin->tied_of_cap, n, sizeof(lin->tied_of[0]));
}

void lin_check(struct lin *lin, const struct lin_op *ops, size_t n, struct lin_strings *strings,
               const struct lin_names *names, struct lin_report *report, struct buf *text)
{
    *report = (struct lin_report){.verdict = LIN_LINEARIZABLE};
    lin->ops = ops;
    lin->op_count = n;
    lin->strings = strings;
    lin->names = names;
    lin->report = report;
    lin->steps_max = lin->limits.steps_max;
    lin->initial = 0;
    lin->is_initial_fresh = false;
    if (n > LIN_OPS_MAX) {
        report->verdict = LIN_UNDECIDED;
        report->bound = LIN_BOUND_MEMORY;
    } else {
        reserve_history(lin);
        if (set_modes(lin)) {
            sort_events(lin);
            split_by_key(lin);
            report->keys = lin->key_count;
            if (revisions_follow_time(lin) && revisions_differ(lin)) {
                judge_keys(lin);
            }
        }
    }
    if (text != NULL && report->verdict != LIN_LINEARIZABLE) {
        lin_explain(lin, text);
    }
}
