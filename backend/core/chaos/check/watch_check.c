#include "core/chaos/check/watch_check.h"

#include <string.h>

#include "core/base/say.h"

/* The revision of a store without changes. */
#define REVISION_FIRST 1

void watch_check_init(struct watch_check *w, const struct watch_interest *interest)
{
    *w = (struct watch_check){.interest = *interest,
                              .seen = u64_sub_sat(interest->start_revision, 1)};
}

const char *watch_fault_text(enum watch_fault fault)
{
    switch (fault) {
    case WATCH_RIGHT:
        return "it delivered what it promises";
    case WATCH_MISSING:
        return "a change was passed over";
    case WATCH_REPEATED:
        return "a change was delivered again";
    case WATCH_INVENTED:
        return "what was delivered is not what was committed";
    case WATCH_OUT_OF_RANGE:
        return "a change was delivered that the watch is not for";
    case WATCH_SPLIT:
        return "a response ends within a revision";
    case WATCH_BROKEN_PROMISE:
        return "progress was announced beyond what was delivered";
    case WATCH_AFTER_CANCEL:
        return "something follows the cancellation";
    case WATCH_NOT_COMPACTED:
        return "it was cancelled for a compaction which left all that it needs";
    case WATCH_RESUMED_LATE:
        break;
    }
    return "the client resumed it behind what it had missed";
}

/* --- Keys ------------------------------------------------------------------------------------- */

static int compare_watch_keys(struct bytes a, struct bytes b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int order = n > 0 ? memcmp(a.data, b.data, n) : 0;
    return order != 0 ? order : a.len < b.len ? -1 : a.len > b.len ? 1 : 0;
}

static bool is_in_range(const struct watch_interest *i, struct bytes key)
{
    if (i->to.len == 0) {
        return compare_watch_keys(i->from, key) == 0;
    }
    bool is_open_end = i->to.len == 1 && i->to.data[0] == 0;
    return compare_watch_keys(i->from, key) <= 0 &&
           (is_open_end || compare_watch_keys(key, i->to) < 0);
}

static bool is_wanted_change(const struct watch_interest *i, const struct watch_change *c)
{
    return is_in_range(i, c->key) &&
           !(c->kind == WATCH_PUT ? i->leaves_puts_out : i->leaves_deletes_out);
}

static bool is_same_change(const struct watch_change *a, const struct watch_change *b)
{
    return a->revision == b->revision && a->kind == b->kind && a->value == b->value &&
           compare_watch_keys(a->key, b->key) == 0;
}

/* --- Verdicts --------------------------------------------------------------------------------- */

static void say_change(struct buf *text, const struct watch_change *c)
{
    say(text, c->kind == WATCH_PUT ? "put of " : "delete of ");
    buf_put(text, c->key.data, c->key.len);
    say(text, " at revision ");
    say_u64(text, c->revision);
}

/* Keeps a fault and says it; `expected` and `found` may be NULL. */
static struct watch_verdict accuse_watch(struct watch_check *w, enum watch_fault fault,
                                         uint64_t revision, const struct watch_change *expected,
                                         const struct watch_change *found, struct buf *text)
{
    w->verdict = (struct watch_verdict){fault, revision};
    if (text == NULL) {
        return w->verdict;
    }
    say(text, "watch of ");
    buf_put(text, w->interest.from.data, w->interest.from.len);
    say(text, " from revision ");
    say_u64(text, w->interest.start_revision);
    say(text, ", seen up to ");
    say_u64(text, w->seen);
    say(text, ", revision ");
    say_u64(text, revision);
    say(text, ": ");
    say(text, watch_fault_text(fault));
    if (expected != NULL) {
        say(text, "; what should have come is the ");
        say_change(text, expected);
    }
    if (found != NULL) {
        say(text, "; what came is the ");
        say_change(text, found);
    }
    say(text, "\n");
    return w->verdict;
}

/* --- The truth -------------------------------------------------------------------------------- */

/* The next change that the watch has to deliver, if it is committed already. */
static const struct watch_change *next_change(struct watch_check *w,
                                              const struct watch_truth *truth)
{
    for (; w->at < truth->count; w->at++) {
        const struct watch_change *c = &truth->changes[w->at];
        if (c->revision > w->seen && is_wanted_change(&w->interest, c)) {
            return c;
        }
    }
    return NULL;
}

static bool was_committed(const struct watch_truth *truth, const struct watch_change *c)
{
    size_t low = 0;
    size_t high = truth->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (truth->changes[middle].revision < c->revision) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (; low < truth->count && truth->changes[low].revision == c->revision; low++) {
        if (is_same_change(&truth->changes[low], c)) {
            return true;
        }
    }
    return false;
}

/* What is wrong with `found`, which is not the `expected` change. */
static enum watch_fault judge_event(const struct watch_check *w, const struct watch_truth *truth,
                                    const struct watch_change *expected,
                                    const struct watch_change *found)
{
    if (!was_committed(truth, found)) {
        return WATCH_INVENTED;
    }
    if (!is_wanted_change(&w->interest, found)) {
        return WATCH_OUT_OF_RANGE;
    }
    bool is_behind = expected == NULL || found->revision < expected->revision;
    for (size_t at = w->at;
         !is_behind && at-- > 0 && truth->changes[at].revision == found->revision;) {
        is_behind = is_same_change(&truth->changes[at], found);
    }
    return is_behind ? WATCH_REPEATED : WATCH_MISSING;
}

struct watch_verdict watch_check_events(struct watch_check *w, const struct watch_truth *truth,
                                        const struct watch_change *events, size_t count,
                                        bool goes_on, struct buf *text)
{
    if (w->verdict.fault != WATCH_RIGHT || count == 0) {
        return w->verdict;
    }
    if (w->is_cancelled) {
        return accuse_watch(w, WATCH_AFTER_CANCEL, events[0].revision, NULL, &events[0], text);
    }
    for (size_t i = 0; i < count; i++) {
        const struct watch_change *expected = next_change(w, truth);
        const struct watch_change *found = &events[i];
        if (expected == NULL || !is_same_change(expected, found)) {
            enum watch_fault fault = judge_event(w, truth, expected, found);
            return accuse_watch(w, fault, found->revision, expected, found, text);
        }
        w->at++;
    }
    uint64_t last = events[count - 1].revision;
    const struct watch_change *next = next_change(w, truth);
    bool is_split = next != NULL && next->revision == last;
    if (is_split && !goes_on) {
        return accuse_watch(w, WATCH_SPLIT, last, next, NULL, text);
    }
    w->seen = is_split ? w->seen : u64_max(w->seen, last);
    return w->verdict;
}

/* Has everything up to `revision` been delivered? */
static struct watch_verdict check_complete(struct watch_check *w, const struct watch_truth *truth,
                                           uint64_t revision, enum watch_fault fault,
                                           struct buf *text)
{
    const struct watch_change *next = next_change(w, truth);
    if (next != NULL && next->revision <= revision) {
        return accuse_watch(w, fault, revision, next, NULL, text);
    }
    return w->verdict;
}

struct watch_verdict watch_check_progress(struct watch_check *w, const struct watch_truth *truth,
                                          uint64_t revision, struct buf *text)
{
    if (w->verdict.fault != WATCH_RIGHT) {
        return w->verdict;
    }
    if (w->is_cancelled) {
        return accuse_watch(w, WATCH_AFTER_CANCEL, revision, NULL, NULL, text);
    }
    uint64_t committed = truth->count > 0 ? truth->changes[truth->count - 1].revision : 0;
    committed = u64_max(committed, truth->revision);
    if (revision > u64_max(committed, REVISION_FIRST)) {
        return accuse_watch(w, WATCH_BROKEN_PROMISE, revision, NULL, NULL, text);
    }
    struct watch_verdict verdict = check_complete(w, truth, revision, WATCH_BROKEN_PROMISE, text);
    if (verdict.fault == WATCH_RIGHT) {
        w->seen = u64_max(w->seen, revision);
    }
    return verdict;
}

struct watch_verdict watch_check_compacted(struct watch_check *w, uint64_t compact_revision,
                                           struct buf *text)
{
    if (w->verdict.fault != WATCH_RIGHT) {
        return w->verdict;
    }
    if (w->is_cancelled) {
        return accuse_watch(w, WATCH_AFTER_CANCEL, compact_revision, NULL, NULL, text);
    }
    w->is_cancelled = true;
    if (w->seen + 1 >= compact_revision) {
        return accuse_watch(w, WATCH_NOT_COMPACTED, compact_revision, NULL, NULL, text);
    }
    return w->verdict;
}

struct watch_verdict watch_check_cancelled(struct watch_check *w, struct buf *text)
{
    if (w->verdict.fault == WATCH_RIGHT && w->is_cancelled) {
        return accuse_watch(w, WATCH_AFTER_CANCEL, w->seen, NULL, NULL, text);
    }
    w->is_cancelled = true;
    return w->verdict;
}

struct watch_verdict watch_check_resumed(struct watch_check *w, const struct watch_truth *truth,
                                         uint64_t start_revision, struct buf *text)
{
    if (w->verdict.fault != WATCH_RIGHT) {
        return w->verdict;
    }
    if (start_revision > w->seen + 1) {
        return accuse_watch(w, WATCH_RESUMED_LATE, start_revision, next_change(w, truth), NULL,
                            text);
    }
    w->is_cancelled = false;
    w->seen = u64_sub_sat(start_revision, 1);
    while (w->at > 0 && (w->at >= truth->count || truth->changes[w->at].revision > w->seen)) {
        w->at--;
    }
    return w->verdict;
}

struct watch_verdict watch_check_caught_up(struct watch_check *w, const struct watch_truth *truth,
                                           uint64_t revision, struct buf *text)
{
    if (w->verdict.fault != WATCH_RIGHT || w->is_cancelled) {
        return w->verdict;
    }
    return check_complete(w, truth, revision, WATCH_MISSING, text);
}
