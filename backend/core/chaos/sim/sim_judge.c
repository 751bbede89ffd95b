/* The verdict over what clients saw: linearizability of every key, watches, leases. */
#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/base/say.h"
#include "core/chaos/check/lease_check.h"
#include "core/chaos/check/lin.h"
#include "core/chaos/check/watch_check.h"
#include "core/chaos/sim/simclient_wire.h"
#include "core/chaos/sim/sim_int.h"

static enum lin_kind lin_kind_of(const struct simcall *call)
{
    switch (call->kind) {
    case SIMCALL_GET:
        return LIN_READ;
    case SIMCALL_PUT:
        return LIN_WRITE;
    case SIMCALL_DELETE:
        return call->outcome == SIMCALL_OK && !call->changed ? LIN_READ : LIN_DELETE;
    case SIMCALL_SWAP:
        return call->outcome == SIMCALL_OK && !call->changed ? LIN_CAS_MISS : LIN_CAS;
    case SIMCALL_KINDS:
        break;
    }
    CHECK_UNREACHABLE("no kind of a call");
}

static struct lin_op lin_op_of(const struct simcall *call)
{
    static const enum lin_outcome outcomes[] = {
        [SIMCALL_UNKNOWN] = LIN_UNKNOWN, [SIMCALL_OK] = LIN_OK, [SIMCALL_FAILED] = LIN_FAILED};
    bool is_read = call->kind == SIMCALL_GET;

    return (struct lin_op){
        .invoked = call->called,
        .returned = call->returned,
        .key = call->key,
        .value = call->value,
        .expected = call->expected,
        .revision = call->outcome == SIMCALL_OK ? (uint64_t)call->revision : 0,
        .mod_revision = call->outcome == SIMCALL_OK && is_read ? (uint64_t)call->modified : 0,
        .process = call->client,
        .kind = (uint8_t)lin_kind_of(call),
        .outcome = (uint8_t)outcomes[call->outcome],
    };
}

static void judge_calls(struct sim *s)
{
    const struct lin_limits limits = lin_limits_plain();
    const struct simclients *c = &s->clients;
    struct lin *lin = lin_open(&limits);
    struct lin_op *ops = mem_alloc(c->call_count * sizeof *ops);
    struct lin_report report;
    struct buf text;

    buf_init(&text);
    for (size_t i = 0; i < c->call_count; i++) {
        ops[i] = lin_op_of(&c->calls[i]);
        if (c->calls[i].kind == SIMCALL_GET && c->calls[i].value == SIMCLIENT_MIXED_UP) {
            sim_fail(s, SIM_UNSAFE, "I7", "a read returned bytes that nobody wrote");
        }
        if (c->calls[i].outcome == SIMCALL_OK && c->calls[i].kind == SIMCALL_SWAP) {
            sim_reach(s, c->calls[i].changed ? REACHED_SWAPPED : REACHED_NOT_SWAPPED);
        }
    }
    lin_check(lin, ops, c->call_count, NULL, NULL, &report, &text);
    if (report.verdict == LIN_NOT_LINEARIZABLE) {
        sim_fail(s, SIM_UNSAFE, "I7", say_end(&text));
    } else if (report.verdict == LIN_UNDECIDED) {
        sim_fail(s, SIM_UNDECIDED, "I7", say_end(&text));
    }
    lin_close(lin);
    mem_free(ops);
    buf_deinit(&text);
}

/* --- watches ------------------------------------------------------------------------------------
 */

/* The names of all keys, so that changes can borrow them. */
struct key_names {
    uint8_t of[2 * SIM_KEYS_MAX][SIM_KEY_BYTES];
};

static struct watch_change watch_change_of(const struct key_names *names, int64_t revision,
                                           uint32_t key, bool is_delete, uint64_t value)
{
    CHECK(key < 2 * SIM_KEYS_MAX);
    return (struct watch_change){.revision = (uint64_t)revision,
                                 .key = {names->of[key], SIM_KEY_BYTES},
                                 .value = is_delete ? 0 : value,
                                 .kind = is_delete ? WATCH_DELETE : WATCH_PUT};
}

static struct watch_change *truth_changes(const struct simtruth *t, const struct key_names *names)
{
    struct watch_change *changes = mem_alloc(t->count * sizeof *changes);

    for (size_t i = 0; i < t->count; i++) {
        const struct simchange *c = &t->changes[i];
        changes[i] = watch_change_of(names, c->revision, c->key, c->is_delete, c->value);
    }
    return changes;
}

struct watch_judge {
    struct sim *s;
    const struct key_names *names;
    struct watch_truth truth;
    struct watch_check check;
    bool has_begun;
    struct watch_change *events; /* owned: of the response that is being put together */
    size_t count;
    size_t cap;
    struct buf text;
};

static void judge_note(struct watch_judge *j, const struct simwatch_note *note)
{
    const struct watch_interest all = {.from = {(const uint8_t *)"k", 1},
                                       .to = {(const uint8_t *)"l", 1},
                                       .start_revision = (uint64_t)note->revision};
    struct watch_verdict verdict = {WATCH_RIGHT, 0};

    switch (note->kind) {
    case SIMWATCH_STARTED:
        if (j->has_begun) {
            verdict = watch_check_resumed(&j->check, &j->truth, (uint64_t)note->revision, &j->text);
            sim_reach(j->s, REACHED_WATCH_MOVED);
        } else {
            watch_check_init(&j->check, &all);
        }
        j->count = 0;
        j->has_begun = true;
        break;
    case SIMWATCH_EVENT:
        mem_grow((void **)&j->events, &j->cap, j->count + 1, sizeof *j->events);
        j->events[j->count++] =
            watch_change_of(j->names, note->revision, note->key, note->is_delete, note->value);
        sim_reach(j->s, REACHED_WATCHED);
        break;
    case SIMWATCH_RESPONSE:
        verdict = watch_check_events(&j->check, &j->truth, j->events, j->count, note->is_fragment,
                                     &j->text);
        j->count = 0;
        break;
    case SIMWATCH_PROGRESS:
        verdict = watch_check_progress(&j->check, &j->truth, (uint64_t)note->revision, &j->text);
        break;
    case SIMWATCH_CANCELED:
        verdict = watch_check_compacted(&j->check, (uint64_t)note->revision, &j->text);
        /* What was compacted away is lost to it: the client begins a new watch behind it. */
        j->has_begun = false;
        break;
    }
    if (verdict.fault != WATCH_RIGHT) {
        sim_fail(j->s, SIM_UNSAFE, "I10", say_end(&j->text));
    }
}

/* It was at a member that has everything, and took all there is. */
static void judge_end_of_watch(struct watch_judge *j)
{
    const struct simtruth *t = &j->s->truth;

    if (t->count > 0 && j->has_begun) {
        uint64_t last = (uint64_t)t->changes[t->count - 1].revision;
        struct watch_verdict verdict = watch_check_caught_up(&j->check, &j->truth, last, &j->text);
        if (verdict.fault != WATCH_RIGHT) {
            sim_fail(j->s, SIM_UNSAFE, "I10", say_end(&j->text));
        }
    }
}

static void judge_watches(struct sim *s)
{
    struct key_names names;
    const struct simwatches *w = &s->watches;

    for (uint32_t key = 0; key < 2 * SIM_KEYS_MAX; key++) {
        simclient_key(key, names.of[key]);
    }
    struct watch_change *changes = truth_changes(&s->truth, &names);
    /* Where hosts run machines, not all changes are clients'. */
    const uint64_t newest = (uint64_t)store_revision(s->truth.store);
    for (uint32_t watcher = 0; watcher < w->count && !s->is_over; watcher++) {
        struct watch_judge judge = {
            .s = s, .names = &names, .truth = {changes, s->truth.count, newest}};
        buf_init(&judge.text);
        for (size_t i = 0; i < w->note_count && !s->is_over; i++) {
            if (w->notes[i].watcher == watcher) {
                judge_note(&judge, &w->notes[i]);
            }
        }
        if (!s->is_over && !s->is_beyond) {
            judge_end_of_watch(&judge);
        }
        mem_free(judge.events);
        buf_deinit(&judge.text);
    }
    mem_free(changes);
}

/* --- leases -------------------------------------------------------------------------------------
 */

static void judge_lease(struct sim *s, int64_t id, struct buf *text)
{
    const struct lease_terms terms = {.drift_ppm = (uint32_t)s->settings.clock_ppm,
                                      .slack = s->settings.heal_bound};
    const struct simlessees *l = &s->lessees;
    struct lease_check check;
    struct lease_verdict verdict = {LEASE_RIGHT, 0, 0};

    lease_check_init(&check, (uint64_t)id, &terms);
    for (size_t i = 0; i < l->note_count && verdict.fault == LEASE_RIGHT; i++) {
        const struct simlease_note *note = &l->notes[i];
        if (note->lease != id) {
            continue;
        }
        nanos ttl = (nanos)note->ttl_s * NANOS_PER_S;
        switch (note->kind) {
        case SIMLEASE_GRANTED:
        case SIMLEASE_RENEWED:
            verdict = lease_check_renewed(&check, note->called, note->returned, ttl, text);
            sim_reach(s, REACHED_LEASE_KEPT);
            break;
        case SIMLEASE_REVOKED:
            lease_check_revoke_begun(&check, note->called);
            break;
        case SIMLEASE_GONE:
            verdict = lease_check_seen(&check, note->called, note->returned, false, text);
            sim_reach(s, REACHED_LEASE_ENDED);
            break;
        }
    }
    if (verdict.fault != LEASE_RIGHT) {
        sim_fail(s, SIM_UNSAFE, "I8", say_end(text));
    }
}

/* A clock that was stepped has counted time that did not pass; no lease is early by it. */
static void judge_leases(struct sim *s)
{
    struct buf text;

    if (s->inject.counts[FAULT_STEP][INJECT_DONE] > 0) {
        return;
    }
    buf_init(&text);
    for (int64_t id = 1; id <= s->lessees.next_lease && !s->is_over; id++) {
        judge_lease(s, id, &text);
    }
    buf_deinit(&text);
}

void sim_judge(struct sim *s)
{
    judge_calls(s);
    judge_watches(s);
    judge_leases(s);
}
