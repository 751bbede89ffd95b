/*
 * What the files of the checker of linearizability share.
 *
 *     lin.c          the history: sorted by time, split by key, each key judged
 *     lin_prepare.c  one key: its operations become acts, values and groups
 *     lin_search.c   one key: looks for an order
 *     lin_cache.c    the configurations that a search has been in
 *     lin_shrink.c   the smallest failing part of a key
 *     lin_explain.c  what a person reads
 *     lin_sort.c, lin_map.c
 *
 * Everything lives in struct lin and is kept for the next history.
 */
#ifndef NOVACRON_CHAOS_CHECK_LIN_INT_H
#define NOVACRON_CHAOS_CHECK_LIN_INT_H

#include "core/base/mem.h"
#include "core/chaos/check/lin.h"

#define LIN_NONE UINT32_MAX

/* --- Sorting ---------------------------------------------------------------------------------- */

struct lin_item {
    uint64_t key;
    uint32_t index;
};

/* Sorts by key; items of one key stay in their order. `scratch` has room for as many. */
void lin_sort(struct lin_item *items, struct lin_item *scratch, size_t n);

/* --- Numbering -------------------------------------------------------------------------------- */

/* Gives each 64-bit number that it is shown the next small number, from 0 on. */
struct lin_map {
    uint64_t *keys;
    uint32_t *numbers; /* number + 1; 0: the slot is free */
    uint32_t mask;     /* of the slots in use */
    size_t cap;
    uint32_t count;
};

/* Empties the map, with room for `n` numbers. */
void lin_map_reset(struct lin_map *m, size_t n);
void lin_map_deinit(struct lin_map *m);

/* At most as many different keys as lin_map_reset was told. */
uint32_t lin_map_number(struct lin_map *m, uint64_t key);

/* A good mixer of 64 bits: the end of splitmix64 [Steele14]. */
static inline uint64_t lin_mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31);
}

/* --- One key ---------------------------------------------------------------------------------- */

/* What a check takes an operation for. */
enum lin_mode {
    LIN_GONE, /* it is not there */
    LIN_MUST, /* it has happened */
    LIN_MAY   /* it may have happened */
};

/* An operation that has happened, by the order of invocation. Values are the key's own numbers (or
 * ids of strings where the key has appends), 0 is absence. */
struct lin_act {
    uint32_t op;
    uint32_t value;
    uint32_t expected;
    uint32_t tier;    /* acts of lower tiers come first; LIN_NONE: it has no revision */
    uint32_t horizon; /* how many acts are invoked before this one returns */
    uint32_t returns; /* the place of that among the key's events */
    uint64_t mod;     /* the revision that made what it read; 0: not known */
    uint64_t revision;
    uint8_t kind;
};

/* An operation that may have happened. */
struct lin_may {
    uint32_t op;
    uint32_t value;
    uint32_t expected;
    uint32_t invoked;  /* place among the key's events */
    uint32_t deadline; /* the event before which it has happened; LIN_NONE: it may never */
    uint32_t next;     /* of those that write this value */
    uint32_t tied;     /* the next that has happened before the same event */
    uint8_t kind;
    bool is_useful;
};

struct lin_value {
    uint32_t writers_left; /* acts and useful mays that have not happened yet */
    uint32_t readers_left; /* acts that need the value and have not happened yet */
    uint32_t moves_first;  /* the groups of mays that need it */
    uint32_t moves_count;
    uint32_t write_group; /* the group of mays that write it and need nothing; LIN_NONE: none */
    uint32_t mays;        /* the list of mays that write it */
    uint32_t deadline;    /* the event at which the first act that needs it returns */
    uint64_t mod;         /* its revision, where a read told */
    bool is_missed;       /* some act answered that it was not there */
    bool is_wanted;
    bool is_chained; /* a may that is useful needs it */
};

/* Mays of one effect: they take effect in the order in which they were invoked, if at all. */
struct lin_group {
    uint32_t value;
    uint32_t expected;
    uint32_t first; /* in `members` */
    uint32_t count;
    uint32_t used;
    uint8_t kind;
};

struct lin_frame {
    uint32_t entry; /* what was tried last: an invocation, or the first return and a may's place */
    uint32_t place;
    uint32_t trail; /* how much had happened */
    uint32_t state;
    uint32_t origin;
    uint64_t mod;
};

/* Configurations that were met (lin_cache.c). */
struct lin_cache {
    uint64_t *words;
    size_t word_count;
    size_t word_cap;
    uint64_t *slots; /* where a place is in `words`, + 1; 0: free */
    size_t slot_cap;
    size_t mask;
    uint64_t *places; /* where they are, all of them */
    size_t place_count;
    size_t place_cap;
    size_t count; /* of configurations */
};

struct lin_key {
    const uint32_t *events; /* in order of time: the operation's index * 2, + 1 where it returns */
    uint32_t event_count;

    struct lin_act *acts;
    size_t act_cap;
    uint32_t act_count;

    struct lin_may *mays;
    size_t may_cap;
    uint32_t may_count;

    struct lin_value *values;
    size_t value_cap;
    uint32_t value_count;

    /* First those that fit any state, and among these those behind which another may can come; then
     * those that need a value, by value. Where there are appends, all are of the first kind. */
    struct lin_group *groups;
    size_t group_cap;
    uint32_t group_count;
    uint32_t chain_group_count; /* of the first kind */
    uint32_t free_group_count;  /* of the first and the second */
    uint32_t *used;             /* groups that were used, in their order */
    size_t used_cap;
    uint32_t *members; /* indexes of mays, by group */
    size_t member_cap;

    uint32_t *tier_left; /* acts of each tier that have not happened yet */
    size_t tier_cap;
    uint32_t tier_count;

    /* Entry 2 * act is its invocation, 2 * act + 1 its return, 2 * act_count the list's ends. */
    uint32_t *next;
    uint32_t *prev;
    size_t next_cap;
    size_t prev_cap;

    uint64_t *done; /* a bit an act: it has happened */
    size_t done_cap;
    uint32_t *trail; /* acts, and groups + LIN_TRAIL_GROUP, in the order in which they happened */
    size_t trail_cap;
    struct lin_frame *frames;
    size_t frame_cap;

    uint32_t *stack; /* of values, while preparing */
    size_t stack_cap;

    uint32_t initial; /* the state in the beginning */
    uint32_t other;   /* the value of all that nobody can tell apart; LIN_NONE: there is none */
    bool has_appends;
    bool has_misses;
    bool has_mods;
    bool is_impossible; /* two acts made one revision */
};

#define LIN_TRAIL_GROUP ((uint32_t)1 << 31)

/* --- The whole -------------------------------------------------------------------------------- */

struct lin {
    struct lin_limits limits;

    /* The history that is being judged. */
    const struct lin_op *ops;
    size_t op_count;
    struct lin_strings *strings;
    const struct lin_names *names;
    struct lin_report *report;

    struct lin_item *items;
    struct lin_item *scratch;
    size_t item_cap;
    size_t scratch_cap;
    uint32_t *events;
    size_t event_cap;
    size_t event_count;
    uint32_t *key_events; /* the events again, by key */
    size_t key_event_cap;
    uint32_t *key_ends; /* where each key's events end */
    size_t key_cap;
    uint32_t key_count;

    /* By operation. */
    uint8_t *modes; /* enum lin_mode */
    size_t mode_cap;
    uint32_t *key_of;
    size_t key_of_cap;
    uint32_t *value_of; /* the key's own numbers */
    uint32_t *expected_of;
    uint32_t *tied_of; /* the mays that have happened before the operation returned */
    size_t value_of_cap;
    size_t expected_of_cap;
    size_t tied_of_cap;

    /* What a key's register holds in the beginning: absence, unless a part begins later. */
    uint64_t initial;
    bool is_initial_fresh; /* a value that no operation knows */

    struct lin_map keys;
    struct lin_map numbers;
    struct lin_key key;
    struct lin_cache cache;
    uint64_t steps; /* of the search that runs */
    uint64_t steps_max;
    uint32_t furthest; /* the event, a return, that no order which it tried got past */

    struct lin_culprit *part;
    size_t part_cap;
};

void lin_cache_reset(struct lin_cache *c);
void lin_cache_deinit(struct lin_cache *c);
size_t lin_cache_bytes(const struct lin_cache *c);

/* Room for a configuration, for lin_cache_keep: the record of its place, of `words` words, the
 * first its hash; and what was used up on the way, in pairs: a number in the upper half, in rising
 * order, and how much of it in the lower. */
uint64_t *lin_cache_draft(struct lin_cache *c, size_t words, size_t pairs, uint64_t **ret_pairs);

/* Keeps what was drafted; false where one is known at this place that has used no more. Each that
 * it is compared with is a step. */
bool lin_cache_keep(struct lin_cache *c, uint64_t *steps);

/* Makes the acts, values and groups of a key out of its events and of the operations' modes. */
void lin_prepare(struct lin *lin, const uint32_t *events, uint32_t event_count);

/* Looks for an order of what lin_prepare made. `bound` says why where it is undecided. */
enum lin_verdict lin_search(struct lin *lin, enum lin_bound *bound);

/* Both of them. */
enum lin_verdict lin_judge_key(struct lin *lin, const uint32_t *events, uint32_t event_count,
                               enum lin_bound *bound);

/* Finds the smallest failing part of a key that fails, and leaves it in the report. */
void lin_shrink_key(struct lin *lin, const uint32_t *events, uint32_t event_count);

/* Adds an operation to the failing part. */
void lin_accuse(struct lin *lin, uint32_t op, bool is_open);

/* Writes what the report says. */
void lin_explain(const struct lin *lin, struct buf *text);

static inline bool lin_is_change(uint8_t kind)
{
    return kind != LIN_READ && kind != LIN_CAS_MISS;
}

/* What an act or a may needs to find: a read and a compare-and-set need a value. */
static inline bool lin_needs_value(uint8_t kind)
{
    return kind == LIN_READ || kind == LIN_CAS;
}

#endif
