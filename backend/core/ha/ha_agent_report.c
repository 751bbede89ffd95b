/*
 * Reports: what became of an epoch of a machine on this host, as a record of its own. The newest
 * epoch of a machine has it; what an older one ended as was told by then, or is of no interest any
 * more.
 */
#include <string.h>

#include "core/ha/ha_agent_int.h"

static struct bytes report_bytes(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

/* What was promised is told for as long as it holds, and a move that has failed until it is over.
 */
static void report_fill_alive(const struct ha_run *run, struct ha_report *r)
{
    r->state = run->sending == HA_SEND_DONE ? HA_REPORT_MOVED : HA_REPORT_RUNS;
    if (run->sending == HA_SEND_DONE) {
        r->to_epoch = run->attempt;
        r->move_ms = run->move_ms;
        r->move_pause_ms = run->move_pause_ms;
    } else if (run->sending == HA_SEND_FAILED) {
        r->to_epoch = run->attempt;
        memcpy(r->detail, run->detail, sizeof(r->detail));
    } else if (run->misses >= HA_QUERY_MISSES) {
        ha_text_set(r->detail, sizeof(r->detail), "its process does not answer");
    } else if (run->stands[0] != '\0') {
        memcpy(r->detail, run->stands, sizeof(r->detail));
    }
    const struct ha_rung_view *rungs = ha_ladder_rungs(run);
    if (rungs != NULL && r->state == HA_REPORT_RUNS) {
        memcpy(r->rungs, rungs, sizeof(r->rungs));
    }
}

void ha_report_fill(const struct ha_run *run, struct ha_report *ret)
{
    const struct ha_agent *a = run->agent;

    memset(ret, 0, sizeof(*ret));
    memcpy(ret->host, a->config.host, sizeof(ret->host));
    memcpy(ret->vm, run->vm, sizeof(ret->vm));
    ret->epoch = run->epoch;
    ret->boot = a->boot;
    if (run->phase == HA_RUN_ENDED) {
        ret->state = HA_REPORT_STOPPED;
        ret->end = run->end;
        ret->error = run->error;
        ret->lost_storage = run->has_lost_storage && run->end == WORLD_VM_KILLED;
        memcpy(ret->detail, run->detail, sizeof(ret->detail));
        ret->is_unwell = run->unwell[0] != '\0' && run->end == WORLD_VM_KILLED;
    } else if (run->is_incoming) {
        ret->state = HA_REPORT_WAITS;
        memcpy(ret->address, a->config.move_address, sizeof(ret->address));
        ret->port = ret->address[0] != '\0' ? run->port : 0;
    } else {
        report_fill_alive(run, ret);
    }
}

/* Whatever its rungs are. */
static bool report_says_the_same(const struct ha_report *x, const struct ha_report *y)
{
    return x->epoch == y->epoch && x->state == y->state && x->end == y->end &&
           x->error == y->error && x->is_unwell == y->is_unwell &&
           x->lost_storage == y->lost_storage && x->to_epoch == y->to_epoch && x->port == y->port &&
           strcmp(x->address, y->address) == 0 && strcmp(x->detail, y->detail) == 0;
}

static bool report_is_same(const struct ha_report *x, const struct ha_report *y)
{
    for (int i = 0; i < HA_RUNGS; i++) {
        const struct ha_rung_view *p = &x->rungs[i];
        const struct ha_rung_view *q = &y->rungs[i];
        if (p->state != q->state || p->since_ms != q->since_ms ||
            strcmp(p->answer, q->answer) != 0) {
            return false;
        }
    }
    return report_says_the_same(x, y);
}

static void report_on_done(struct ha_txn *txn)
{
    struct ha_run *run = txn->owner;
    struct ha_agent *a = run->agent;

    run->has_report_txn = false;
    /* Whatever came of it: the next pass sees whether the view has it. */
    run->is_report_due = true;
    run->report_again = txn->outcome == HA_TXN_APPLIED ? 0 : ha_agent_now(a) + HA_REPORT_AGAIN;
    ha_agent_due(a);
}

/* Guarded by the report that it follows, too: one whose outcome is unknown may be under way still,
 * and applied behind a later one. */
static void report_put(struct ha_run *run, const struct ha_report *report)
{
    struct ha_agent *a = run->agent;
    const uint64_t before = ha_view_mod_revision(a->view, HA_REPORT, a->config.host, run->vm);
    char key[HA_KEY_BYTES];
    char own[HA_KEY_BYTES];
    struct buf json;

    buf_init(&json);
    ha_key_format(HA_REPORT, a->config.host, run->vm, key);
    ha_key_format(HA_AGENT, a->config.host, NULL, own);
    HA_ENCODE(report, &json);
    ha_txn_clear(&run->txn);
    ha_txn_guard(&run->txn, report_bytes(own), (int64_t)a->registered);
    ha_txn_guard(&run->txn, report_bytes(key), (int64_t)before);
    ha_txn_put(&run->txn, report_bytes(key), buf_view(&json));
    buf_deinit(&json);
    run->txn.done = report_on_done;
    run->txn.owner = run;
    run->has_report_txn = true;
    a->store->ops->submit(a->store->self, &run->txn);
}

/* The newest run of a machine speaks for it. */
static bool report_is_superseded(const struct ha_agent *a, size_t i)
{
    return i + 1 < a->n_runs && strcmp(a->runs[i + 1]->vm, a->runs[i]->vm) == 0;
}

/* A run that has ended, is reported, and whose epoch is over. */
static bool report_may_forget(const struct ha_run *run, const struct ha_report *seen)
{
    const struct ha_entry *entry = ha_view_find(run->agent->view, HA_OWNER, run->vm, NULL);
    const struct ha_owner *owner = entry != NULL ? entry->record : NULL;
    bool is_told = seen != NULL && seen->epoch >= run->epoch;
    bool is_over = entry == NULL || (owner != NULL && owner->epoch > run->epoch);

    return run->phase == HA_RUN_ENDED && is_told && is_over && !run->has_report_txn &&
           !run->is_start_busy && !run->is_order_busy && !run->is_kill_busy && !run->is_move_busy &&
           !ha_ladder_is_busy(run);
}

static void report_pass(struct ha_agent *a, struct ha_run *run, nanos now)
{
    struct ha_report report;
    const struct ha_report *seen = ha_view_report(a->view, a->config.host, run->vm);

    if (run->phase == HA_RUN_STARTING || run->has_report_txn || !run->is_report_due) {
        return;
    }
    ha_report_fill(run, &report);
    if (seen != NULL && report_is_same(&report, seen)) {
        run->is_report_due = false;
        return;
    }
    nanos due = run->report_again;
    if (seen != NULL && report_says_the_same(&report, seen)) {
        due = u64_max(due, run->rungs_again);
    }
    if (now < due) {
        ha_agent_want(a, due);
        return;
    }
    run->rungs_again = now + HA_RUNGS_EVERY;
    report_put(run, &report);
}

/* --- old ones -----------------------------------------------------------------------------------
 */

static void report_on_tidied(struct ha_txn *txn)
{
    struct ha_agent *a = txn->owner;

    a->is_tidy_busy = false;
    a->tidy_again = txn->outcome == HA_TXN_APPLIED ? 0 : ha_agent_now(a) + HA_REQUEST_AGAIN;
    ha_agent_due(a);
}

/* Of a machine that nobody knows any more, or that was started elsewhere since. */
static bool report_is_old(const struct ha_agent *a, const struct ha_report *report)
{
    const struct ha_entry *entry = ha_view_find(a->view, HA_OWNER, report->vm, NULL);
    const struct ha_owner *owner = entry != NULL ? entry->record : NULL;

    if (entry == NULL) {
        return true;
    }
    return owner != NULL && owner->epoch > report->epoch &&
           strcmp(owner->host, a->config.host) != 0;
}

static bool report_has_run(const struct ha_agent *a, const char *vm)
{
    for (size_t i = 0; i < a->n_runs; i++) {
        if (strcmp(a->runs[i]->vm, vm) == 0) {
            return true;
        }
    }
    return false;
}

static void report_tidy(struct ha_agent *a, nanos now)
{
    if (now < a->tidy_again) {
        ha_agent_want(a, a->tidy_again);
        return;
    }
    for (size_t i = 0; i < ha_view_count(a->view, HA_REPORT) && !a->is_tidy_busy; i++) {
        struct ha_entry *entry = ha_view_at(a->view, HA_REPORT, i);
        const struct ha_report *report = entry->record;
        char own[HA_KEY_BYTES];

        if (report == NULL || strcmp(report->host, a->config.host) != 0 ||
            !report_is_old(a, report) || report_has_run(a, report->vm)) {
            continue;
        }
        ha_key_format(HA_AGENT, a->config.host, NULL, own);
        ha_txn_clear(&a->tidy);
        ha_txn_guard(&a->tidy, report_bytes(own), (int64_t)a->registered);
        ha_txn_guard(&a->tidy, report_bytes(entry->text), (int64_t)entry->mod_revision);
        ha_txn_delete(&a->tidy, report_bytes(entry->text));
        a->tidy.done = report_on_tidied;
        a->tidy.owner = a;
        a->is_tidy_busy = true;
        a->store->ops->submit(a->store->self, &a->tidy);
    }
}

void ha_reports_pass(struct ha_agent *a)
{
    nanos now = ha_agent_now(a);

    if (a->phase != HA_AGENT_SERVING || a->registered == 0 || a->is_record_busy) {
        return;
    }
    for (size_t i = 0; i < a->n_runs; i++) {
        if (!report_is_superseded(a, i)) {
            report_pass(a, a->runs[i], now);
        }
    }
    for (size_t i = a->n_runs; i > 0; i--) {
        struct ha_run *run = a->runs[i - 1];
        const struct ha_report *seen = ha_view_report(a->view, a->config.host, run->vm);
        if (report_may_forget(run, seen)) {
            ha_run_remove(a, run);
        }
    }
    report_tidy(a, now);
}
