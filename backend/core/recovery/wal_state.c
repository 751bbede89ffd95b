#include "core/recovery/wal_state.h"

#include "core/base/check.h"
#include "core/base/mem.h"

void wal_state_init(struct wal_state *s)
{
    *s = (struct wal_state){0};
}

void wal_state_deinit(struct wal_state *s)
{
    mem_free(s->runs);
    mem_free(s->damage);
    wal_state_init(s);
}

void wal_state_begin(struct wal_state *s, const struct wal_batch_head *head)
{
    s->hard = (struct wal_hard_state){head->term, head->vote, head->commit};
    s->snapshot_index = head->snapshot_index;
    s->snapshot_term = head->snapshot_term;
    s->base_index = s->last_index = head->last_index;
    s->base_term = head->last_term;
    s->run_count = 0;
    s->damage_count = 0;
    s->in_doubt = false;
    s->doubt_lo = 0;
}

/* The run that holds `index`, which is inside (base, last]. Binary search. */
static size_t run_of(const struct wal_state *s, uint64_t index)
{
    size_t lo = 0;
    size_t hi = s->run_count;

    CHECK(hi > 0 && s->runs[0].first <= index);
    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;
        if (s->runs[mid].first <= index) {
            lo = mid;
        } else {
            hi = mid;
        }
    }
    return lo;
}

uint64_t wal_state_term_at(const struct wal_state *s, uint64_t index)
{
    if (index == s->base_index) {
        return s->base_term;
    }
    if (index < s->base_index || index > s->last_index) {
        return 0;
    }
    return s->runs[run_of(s, index)].term;
}

uint64_t wal_state_last_term(const struct wal_state *s)
{
    return wal_state_term_at(s, s->last_index);
}

static void push_run(struct wal_state *s, uint64_t first, uint64_t term)
{
    if (s->run_count > 0 && s->runs[s->run_count - 1].term == term) {
        return;
    }
    mem_grow((void **)&s->runs, &s->run_cap, s->run_count + 1, sizeof *s->runs);
    s->runs[s->run_count++] = (struct wal_run){first, term};
}

/* Drops all entries from `index` on. */
static void state_truncate(struct wal_state *s, uint64_t index)
{
    while (s->run_count > 0 && s->runs[s->run_count - 1].first >= index) {
        s->run_count--;
    }
    while (s->damage_count > 0 && s->damage[s->damage_count - 1].lo >= index) {
        s->damage_count--;
    }
    if (s->damage_count > 0) {
        struct wal_range *newest = &s->damage[s->damage_count - 1];
        newest->hi = u64_min(newest->hi, index - 1);
    }
    s->last_index = index - 1;
}

bool wal_state_append(struct wal_state *s, uint64_t index, uint64_t term)
{
    if (index == 0 || index > s->last_index + 1 || term == 0 ||
        (index > s->base_index && term < wal_state_term_at(s, index - 1))) {
        return false;
    }
    if (index <= s->base_index) {
        /* The segments that are left begin with a rewrite of entries before them. */
        bool is_snapshot = index - 1 == s->snapshot_index;
        s->base_index = s->last_index = index - 1;
        s->base_term = is_snapshot ? s->snapshot_term : 0;
        s->run_count = 0;
        s->damage_count = 0;
    }
    if (index <= s->last_index) {
        state_truncate(s, index);
    }
    push_run(s, index, term);
    s->last_index = index;
    return true;
}

static void insert_damage(struct wal_state *s, size_t at, struct wal_range range)
{
    mem_grow((void **)&s->damage, &s->damage_cap, s->damage_count + 1, sizeof *s->damage);
    for (size_t i = s->damage_count; i > at; i--) {
        s->damage[i] = s->damage[i - 1];
    }
    s->damage[at] = range;
    s->damage_count++;
}

static void remove_damage(struct wal_state *s, size_t at)
{
    for (size_t i = at + 1; i < s->damage_count; i++) {
        s->damage[i - 1] = s->damage[i];
    }
    s->damage_count--;
}

/* Takes lo..hi out of the damaged ranges; cuts, or splits, those that reach beyond. */
static void unmark(struct wal_state *s, uint64_t lo, uint64_t hi)
{
    for (size_t i = 0; i < s->damage_count;) {
        struct wal_range range = s->damage[i];
        if (range.hi < lo || range.lo > hi) {
            i++;
            continue;
        }
        remove_damage(s, i);
        if (range.lo < lo) {
            insert_damage(s, i++, (struct wal_range){range.lo, lo - 1, range.term});
        }
        if (range.hi > hi) {
            insert_damage(s, i++, (struct wal_range){hi + 1, range.hi, range.term});
        }
    }
}

void wal_state_damage(struct wal_state *s, uint64_t lo, uint64_t hi, uint64_t term)
{
    if (hi == WAL_INDEX_OPEN) {
        s->doubt_lo = s->in_doubt ? u64_min(s->doubt_lo, lo) : lo;
        s->in_doubt = true;
    }
    lo = u64_max(lo, s->base_index + 1);
    hi = u64_min(hi, s->last_index);
    if (lo > hi) {
        return;
    }
    unmark(s, lo, hi);
    size_t at = 0;
    while (at < s->damage_count && s->damage[at].lo < lo) {
        at++;
    }
    insert_damage(s, at, (struct wal_range){lo, hi, term});
    if (at > 0 && s->damage[at - 1].hi + 1 == lo && s->damage[at - 1].term == term) {
        s->damage[at - 1].hi = hi;
        remove_damage(s, at);
    }
}

void wal_state_heal(struct wal_state *s, uint64_t lo, uint64_t hi)
{
    unmark(s, lo, hi);
    if (hi == WAL_INDEX_OPEN) {
        s->in_doubt = false;
        s->doubt_lo = 0;
    }
}

/* Gives one entry of an unknown run its term. */
static void set_term(struct wal_state *s, uint64_t index, uint64_t term)
{
    size_t at = run_of(s, index);
    uint64_t first = s->runs[at].first;
    uint64_t last = at + 1 < s->run_count ? s->runs[at + 1].first - 1 : s->last_index;
    struct wal_run parts[3];
    size_t count = 0;

    if (first < index) {
        parts[count++] = (struct wal_run){first, 0};
    }
    parts[count++] = (struct wal_run){index, term};
    if (last > index) {
        parts[count++] = (struct wal_run){index + 1, 0};
    }
    mem_grow((void **)&s->runs, &s->run_cap, s->run_count + 2, sizeof *s->runs);
    for (size_t i = s->run_count; i-- > at + 1;) {
        s->runs[i + count - 1] = s->runs[i];
    }
    for (size_t i = 0; i < count; i++) {
        s->runs[at + i] = parts[i];
    }
    s->run_count += count - 1;
}

bool wal_state_repair(struct wal_state *s, uint64_t index, uint64_t term)
{
    if (index <= s->base_index || index > s->last_index || term == 0) {
        return false;
    }
    uint64_t known = wal_state_term_at(s, index);
    uint64_t after = wal_state_term_at(s, index + 1);
    if ((known != 0 && known != term) || term < wal_state_term_at(s, index - 1) ||
        (after != 0 && after < term)) {
        return false;
    }
    if (known == 0) {
        set_term(s, index, term);
    }
    unmark(s, index, index);
    return true;
}

bool wal_state_holds(const struct wal_state *s, uint64_t index, uint64_t term)
{
    if (index > s->last_index) {
        return false;
    }
    uint64_t known = wal_state_term_at(s, index);
    return index < s->base_index || known == 0 || known == term;
}

void wal_state_mark(struct wal_state *s, uint64_t index, uint64_t term)
{
    s->snapshot_index = index;
    s->snapshot_term = term;
    if (index == s->base_index) {
        s->base_term = term;
    }
}

void wal_state_restart(struct wal_state *s, uint64_t index, uint64_t term)
{
    s->base_index = s->last_index = index;
    s->run_count = 0;
    s->damage_count = 0;
    wal_state_mark(s, index, term);
}

void wal_state_lost(struct wal_state *s, const struct wal_batch_head *head, uint64_t lo)
{
    if (head->snapshot_index != s->snapshot_index) {
        if (head->snapshot_index > s->last_index) {
            wal_state_restart(s, head->snapshot_index, head->snapshot_term);
        }
        s->snapshot_index = head->snapshot_index;
        s->snapshot_term = head->snapshot_term;
    }
    s->hard = (struct wal_hard_state){head->term, head->vote, head->commit};
    if (head->last_index <= s->base_index) {
        /* The log was cut back to, or replaced by, what the snapshot covers. */
        s->base_index = s->last_index = head->last_index;
        s->base_term = head->last_term;
        s->run_count = 0;
        s->damage_count = 0;
        return;
    }
    lo = u64_max(u64_min(lo, s->last_index + 1), s->base_index + 1);
    if (lo <= s->last_index) {
        state_truncate(s, lo);
    }
    if (lo > head->last_index) {
        state_truncate(s, head->last_index + 1);
        return;
    }
    if (lo < head->last_index) {
        push_run(s, lo, 0);
    }
    uint64_t before = wal_state_term_at(s, head->last_index - 1);
    uint64_t last_term = head->last_term >= before ? head->last_term : 0;
    push_run(s, head->last_index, last_term);
    s->last_index = head->last_index;
    if (lo < head->last_index) {
        wal_state_damage(s, lo, head->last_index - 1, 0);
    }
    wal_state_damage(s, head->last_index, head->last_index, last_term);
}

void wal_state_rebase(struct wal_state *s, uint64_t index, uint64_t term)
{
    CHECK(index < s->base_index);
    uint64_t lo = index + 1;
    uint64_t hi = s->base_index;
    uint64_t hi_term = s->base_term;

    mem_grow((void **)&s->runs, &s->run_cap, s->run_count + 2, sizeof *s->runs);
    for (size_t i = s->run_count; i-- > 0;) {
        s->runs[i + 2] = s->runs[i];
    }
    s->run_count += 2;
    s->runs[0] = (struct wal_run){lo, 0};
    s->runs[1] = (struct wal_run){hi, hi_term};
    if (lo == hi) {
        for (size_t i = 1; i < s->run_count; i++) {
            s->runs[i - 1] = s->runs[i];
        }
        s->run_count--;
    }
    s->base_index = index;
    s->base_term = term;
    wal_state_damage(s, lo, hi, 0);
}

void wal_state_compact(struct wal_state *s, uint64_t index)
{
    if (index <= s->base_index) {
        return;
    }
    CHECK(index <= s->last_index);
    unmark(s, s->base_index + 1, index);
    uint64_t term = wal_state_term_at(s, index);
    size_t gone = run_of(s, index);
    for (size_t i = gone; i < s->run_count; i++) {
        s->runs[i - gone] = s->runs[i];
    }
    s->run_count -= gone;
    s->runs[0].first = index + 1;
    if (index == s->last_index) {
        s->run_count = 0;
    } else if (s->run_count > 1 && s->runs[1].first == index + 1) {
        for (size_t i = 1; i < s->run_count; i++) {
            s->runs[i - 1] = s->runs[i];
        }
        s->run_count--;
    }
    s->base_index = index;
    s->base_term = term;
}

struct wal_batch_head wal_state_head(const struct wal_state *s, uint64_t touched)
{
    return (struct wal_batch_head){
        .term = s->hard.term,
        .vote = s->hard.vote,
        .commit = s->hard.commit,
        .last_index = s->last_index,
        .last_term = wal_state_last_term(s),
        .snapshot_index = s->snapshot_index,
        .snapshot_term = s->snapshot_term,
        .touched = touched,
    };
}

bool wal_state_is_damaged(const struct wal_state *s, uint64_t index)
{
    for (size_t i = 0; i < s->damage_count; i++) {
        if (s->damage[i].lo <= index && index <= s->damage[i].hi) {
            return true;
        }
    }
    return false;
}

void wal_state_infer_terms(struct wal_state *s)
{
    size_t kept = 0;

    for (size_t i = 0; i < s->run_count; i++) {
        struct wal_run run = s->runs[i];
        uint64_t before = kept > 0 ? s->runs[kept - 1].term : s->base_term;
        uint64_t after = i + 1 < s->run_count ? s->runs[i + 1].term : 0;
        if (run.term == 0 && before == after) {
            run.term = after;
        }
        if (kept == 0 || s->runs[kept - 1].term != run.term) {
            s->runs[kept++] = run;
        }
    }
    s->run_count = kept;
    for (size_t i = 0; i < s->damage_count; i++) {
        struct wal_range *range = &s->damage[i];
        size_t at = run_of(s, range->lo);
        bool is_whole = at + 1 == s->run_count || s->runs[at + 1].first > range->hi;
        if (range->term == 0 && is_whole) {
            range->term = s->runs[at].term;
        }
    }
}

void wal_state_check(const struct wal_state *s)
{
    CHECK(s->base_index <= s->last_index);
    CHECK((s->run_count == 0) == (s->base_index == s->last_index));
    CHECK(s->run_count == 0 || s->runs[0].first == s->base_index + 1);
    for (size_t i = 1; i < s->run_count; i++) {
        CHECK(s->runs[i - 1].first < s->runs[i].first && s->runs[i].first <= s->last_index);
        CHECK(s->runs[i].term == 0 || s->runs[i - 1].term == 0 ||
              s->runs[i - 1].term <= s->runs[i].term);
    }
    for (size_t i = 0; i < s->damage_count; i++) {
        CHECK(s->damage[i].lo <= s->damage[i].hi);
        CHECK(s->base_index < s->damage[i].lo && s->damage[i].hi <= s->last_index);
        CHECK(i == 0 || s->damage[i - 1].hi < s->damage[i].lo);
    }
}
