/*
 * What becomes of machines. Each phase of an owner's record has one function, which looks at what
 * was reported, wished and proved since, and makes at most one transaction of it. Starts are made
 * in ha_keeper_place.c, in the order of priorities.
 */
#include <string.h>

#include "core/base/mutant.h"
#include "core/base/say.h"
#include "core/ha/ha_keeper_int.h"

void ha_owner_copy(const struct ha_keeper *m, const char *vm, struct ha_owner *ret)
{
    const struct ha_owner *owner = ha_view_owner(m->view, vm);

    if (owner != NULL) {
        *ret = *owner;
        if (MUTANT(HA_BACKOFF_RESET) && owner->term != m->term) {
            ret->failures = 0;
            ret->here = 0;
        }
    } else {
        ha_record_defaults(HA_OWNER, ret);
        ha_text_set(ret->vm, sizeof(ret->vm), vm);
        ret->phase = HA_WAITING;
    }
    ret->term = m->term;
    ret->to[0] = '\0'; /* whoever leaves MOVING is moved no more */
    ret->address[0] = '\0';
    ret->port = 0;
}

struct ha_deed *ha_vm_deed(struct ha_keeper *m, struct ha_soft_vm *s)
{
    struct ha_deed *d = ha_deed_new(m);

    ha_deed_guard(d, HA_OWNER, s->name, NULL);
    ha_deed_guard(d, HA_VM, s->name, NULL);
    ha_deed_hold(d, &s->hold);
    s->going_to[0] = '\0';
    s->coming_to[0] = '\0';
    d->vm = s;
    return d;
}

void ha_owner_write(struct ha_keeper *m, struct ha_soft_vm *s, const struct ha_owner *owner,
                    const char *what, const char *detail)
{
    struct ha_deed *d = ha_vm_deed(m, s);

    ha_deed_put(d, HA_OWNER, owner);
    if (what[0] != '\0') {
        ha_event_put(d, what, owner->host, owner->vm, owner->incident, detail);
    }
    ha_deed_submit(d);
}

/* To another phase on the same host in the same epoch. */
void ha_vm_go(struct ha_vm_case *c, enum ha_phase phase, const char *reason, const char *what)
{
    struct ha_owner owner;

    ha_owner_copy(c->m, c->s->name, &owner);
    owner.phase = phase;
    ha_text_set(owner.reason, sizeof(owner.reason), reason);
    ha_owner_write(c->m, c->s, &owner, what, reason);
}

bool ha_owner_may_explain(struct ha_keeper *m, struct ha_soft_vm *s)
{
    nanos due = s->explained_at + HA_EXPLAIN_EVERY;

    if (s->explained_at != 0 && m->now < due) {
        ha_keeper_want(m, due);
        return false;
    }
    s->explained_at = u64_max(m->now, 1);
    return true;
}

/* The reason alone, where it is not what the record says. */
static void vm_explain(struct ha_vm_case *c, const char *reason)
{
    char text[HA_TEXT_BYTES];

    ha_text_set(text, sizeof(text), reason);
    if (strcmp(text, c->o->reason) != 0 && ha_owner_may_explain(c->m, c->s)) {
        ha_vm_go(c, c->o->phase, reason, "");
    }
}

/* Of a machine that was deleted nothing stays. */
static void vm_forget(struct ha_vm_case *c)
{
    struct ha_deed *d = ha_vm_deed(c->m, c->s);

    ha_deed_delete(d, HA_OWNER, c->s->name, NULL);
    ha_event_put(d, "vm-deleted", c->o->host, c->s->name, "", "it is stopped, and gone");
    ha_deed_submit(d);
}

/* It runs nowhere: stopped, deleted, or to be placed. `keeps_host`: STOPPED tells where it was. */
static void vm_release(struct ha_vm_case *c, const char *reason, enum ha_proof proof,
                       const char *what)
{
    struct ha_owner owner;

    if (c->vm == NULL) {
        vm_forget(c);
        return;
    }
    ha_owner_copy(c->m, c->s->name, &owner);
    owner.phase = c->is_wanted ? HA_WAITING : HA_STOPPED;
    if (c->is_wanted) {
        owner.host[0] = '\0';
    }
    owner.proof = proof;
    ha_text_set(owner.reason, sizeof(owner.reason), reason);
    ha_owner_write(c->m, c->s, &owner, what, reason);
}

/* --- it has ended -------------------------------------------------------------------------------
 */

static void vm_failed(struct ha_vm_case *c)
{
    const struct ha_report *r = c->report;
    struct ha_owner owner;
    struct buf how;

    buf_init(&how);
    if (r->lost_storage) {
        say(&how, "lost its storage there");
    } else if (r->is_unwell) {
        say(&how, r->detail);
    } else if (r->error != OK) {
        ha_trip_failed(c->m, c->o->host, c->s->name);
        say(&how, "could not be started: ");
        say(&how, r->detail[0] != '\0' ? r->detail : err_text(r->error));
    } else {
        say(&how, r->end == WORLD_VM_SHUT_DOWN ? "was shut down by its guest" : "crashed");
    }
    ha_owner_copy(c->m, c->s->name, &owner);
    bool is_bound = c->vm->storage[0] == '\0';
    enum ha_restart_course course =
        ha_restart_after_failure(&c->vm->restart, say_end(&how), is_bound, &owner);
    owner.phase = course == HA_RESTART_GIVE_UP ? HA_FAILED : HA_RESTARTING;
    owner.proof = HA_PROOF_STOPPED;
    if (r->lost_storage) {
        const uint32_t here_max = c->vm->restart.here_max;
        owner.here = owner.here > here_max ? owner.here : here_max; /* elsewhere, if it may be */
    }
    c->m->figures.restarts += course != HA_RESTART_GIVE_UP;
    const char *what = course == HA_RESTART_GIVE_UP ? "vm-failed"
                       : r->is_unwell               ? "vm-unwell"
                                                    : "vm-ended";
    ha_owner_write(c->m, c->s, &owner, what, owner.reason);
    buf_deinit(&how);
}

static bool vm_is_stopped(const struct ha_vm_case *c)
{
    return c->report != NULL && c->report->state == HA_REPORT_STOPPED;
}

/* An agent that was told to kill, or whose lease has ended, does so: that is no fault of the
 * machine's, but where it had failed a probe. Nor is it that it does not live when its agent
 * begins. */
static void vm_ended(struct ha_vm_case *c)
{
    bool was_killed = c->report->error == OK && c->report->end == WORLD_VM_KILLED &&
                      !c->report->lost_storage && !c->report->is_unwell;

    if (c->vm == NULL || !c->is_wanted) {
        vm_release(c, c->report->detail, HA_PROOF_STOPPED, "vm-stopped");
    } else if (was_killed || c->vm->move_to[0] != '\0') {
        vm_release(c, c->report->detail, HA_PROOF_STOPPED, "vm-ended");
    } else {
        vm_failed(c);
    }
}

/* --- RECOVERING ---------------------------------------------------------------------------------
 */

void ha_vm_recover(struct ha_vm_case *c)
{
    const struct ha_fate *fate = ha_view_fate(c->m->view, c->o->host);
    struct ha_owner owner;
    struct buf reason;

    buf_init(&reason);
    say(&reason, "its host ");
    say(&reason, c->o->host);
    say(&reason, " is lost");
    ha_owner_copy(c->m, c->s->name, &owner);
    owner.phase = HA_RECOVERING;
    if (fate != NULL) {
        memcpy(owner.incident, fate->incident, sizeof(owner.incident));
    }
    ha_text_set(owner.reason, sizeof(owner.reason), say_end(&reason));
    ha_owner_write(c->m, c->s, &owner, "vm-recovering", owner.reason);
    buf_deinit(&reason);
}

/* Without a proof; what would resolve it is said, unless time does. */
static void vm_unproven(struct ha_vm_case *c, const struct ha_ruling *ruling)
{
    const struct ha_fate *fate = ha_view_fate(c->m->view, c->o->host);
    const struct ha_soft_host *h = ha_soft_host_find(c->m, c->o->host);
    nanos quiet = h != NULL ? h->phase_at + HA_FENCE_QUIET : 0;
    bool is_fencing =
        fate != NULL && fate->phase == HA_HOST_FENCING && fate->attempts == 0 && c->m->now < quiet;
    struct buf reason;

    if (ruling->left != NANOS_FOREVER) {
        ha_keeper_want(c->m, u64_add_sat(c->m->now, ruling->left));
        return;
    }
    if (is_fencing) {
        ha_keeper_want(c->m, quiet);
        return; /* that is the proof which is being made */
    }
    buf_init(&reason);
    say(&reason, "unproven: ");
    say(&reason, ha_missing_text(ruling->missing));
    say(&reason, " ");
    say(&reason, ha_missing_remedy(ruling->missing));
    vm_explain(c, say_end(&reason));
    buf_deinit(&reason);
}

/* One that is wanted starts elsewhere in one transaction, in ha_keeper_place.c. */
static void vm_recovering(struct ha_vm_case *c)
{
    struct ha_ruling ruling;

    if (!vm_is_stopped(c) && ha_keeper_fate(c->m, c->o->host) == HA_HOST_UP) {
        bool runs = c->report != NULL &&
                    (c->report->state == HA_REPORT_RUNS || c->report->state == HA_REPORT_MOVED);
        ha_vm_go(c, runs ? HA_RUNNING : HA_STARTING, "its host is back, and nothing was done to it",
                 "vm-kept");
        return;
    }
    ha_keeper_rule(c->m, c->o, &ruling);
    if (!ruling.may_start) {
        vm_unproven(c, &ruling);
    } else if (!c->is_wanted || c->vm == NULL) {
        vm_release(c, "its host is gone", ruling.proof, "vm-stopped");
    }
}

/* --- the other phases ---------------------------------------------------------------------------
 */

/* An operator has asked for what is there: it is a start that was obeyed, and not one to come. */
static void vm_obey_start(struct ha_vm_case *c)
{
    struct ha_owner owner;

    ha_owner_copy(c->m, c->s->name, &owner);
    ha_restart_asked(&owner, c->vm->start_count);
    ha_owner_write(c->m, c->s, &owner, "", "");
}

static void vm_starting(struct ha_vm_case *c)
{
    nanos due = c->s->phase_at + HA_START_GRACE +
                (c->vm != NULL ? (nanos)c->vm->start_ms * NANOS_PER_MS : 0);

    if (c->report != NULL && c->report->state == HA_REPORT_RUNS) {
        ha_trip_started(c->m, c->o->host);
        if (c->o->proof == HA_PROOF_MOVED) {
            ha_move_done(c);
            return;
        }
        ha_incident_vm(c->m, c->o->incident, "started", c->s->name, c->o->host, c->o->epoch);
        ha_vm_go(c, HA_RUNNING, "", "vm-started");
    } else if (!c->is_wanted) {
        ha_vm_go(c, HA_STOPPING, c->vm == NULL ? "it was deleted" : "it is not wanted any more",
                 "vm-stopping");
    } else if (c->vm->start_count > c->o->start_count) {
        vm_obey_start(c);
    } else if (c->m->now >= due) {
        ha_vm_go(c, HA_STOPPING, "its host's agent has not started it in time", "vm-stopping");
    } else {
        ha_keeper_want(c->m, due);
    }
}

/* Quiet times that this leader has measured whole. */
static void vm_forgive(struct ha_vm_case *c)
{
    nanos stable = u64_add_sat(c->s->phase_at, ha_restart_stable_after(&c->vm->restart));
    nanos forgive = u64_add_sat(c->s->quiet_at, ha_restart_forgive_after(&c->vm->restart));
    struct ha_owner owner;

    if (c->o->failures == 0 && c->o->here == 0) {
        return;
    }
    if (c->m->now < stable && c->m->now < forgive) {
        ha_keeper_want(c->m, u64_min(stable, forgive));
        return;
    }
    ha_owner_copy(c->m, c->s->name, &owner);
    if (c->m->now >= stable) {
        ha_restart_stable(&owner);
    } else {
        ha_restart_forgive(&owner);
        c->s->quiet_at = c->m->now;
    }
    if (owner.failures != c->o->failures || owner.here != c->o->here) {
        ha_owner_write(c->m, c->s, &owner, "", "");
    }
}

/* It is moved, or stopped here, once it fits there, and runs on until then. */
static void vm_move(struct ha_vm_case *c)
{
    const struct ha_place_ask ask = {.only = c->vm->move_to};
    struct buf reason;

    if (!c->vm->moves_offline && ha_move_wished(c)) {
        return;
    }
    if (c->vm->moves_offline && ha_place_find(ha_keeper_ledger(c->m), c->vm, &ask, NULL) != NULL) {
        ha_vm_go(c, HA_STOPPING, "it moves to another host", "vm-stopping");
        return;
    }
    buf_init(&reason);
    say(&reason, "it is to move to ");
    say(&reason, c->vm->move_to);
    say(&reason, ", and does not fit there now");
    vm_explain(c, say_end(&reason));
    buf_deinit(&reason);
}

static bool vm_is_to_move(const struct ha_vm_case *c)
{
    return c->vm->move_to[0] != '\0' && strcmp(c->vm->move_to, c->o->host) != 0;
}

/* A move begins in ha_keeper_moves. */
static void vm_running(struct ha_vm_case *c)
{
    if (!c->is_wanted) {
        ha_vm_go(c, HA_STOPPING, c->vm == NULL ? "it was deleted" : "it is not wanted any more",
                 "vm-stopping");
    } else if (c->vm->start_count > c->o->start_count) {
        vm_obey_start(c);
    } else if (!vm_is_to_move(c)) {
        vm_forgive(c);
    }
}

static void vm_restarting(struct ha_vm_case *c)
{
    if (!c->is_wanted) {
        vm_release(c, "it is not wanted any more", HA_PROOF_STOPPED, "vm-stopped");
    }
}

static void vm_failed_phase(struct ha_vm_case *c)
{
    struct ha_owner owner;

    if (!c->is_wanted) {
        vm_release(c, "it is not wanted any more", HA_PROOF_STOPPED, "vm-stopped");
    } else if (c->vm->start_count > c->o->start_count) {
        ha_owner_copy(c->m, c->s->name, &owner);
        ha_restart_asked(&owner, c->vm->start_count);
        owner.phase = HA_WAITING;
        owner.host[0] = '\0';
        owner.proof = HA_PROOF_NONE; /* it starts anew: ha_keeper_place.c */
        ha_owner_write(c->m, c->s, &owner, "vm-asked", "an operator has asked for it");
    }
}

/* --- all of them --------------------------------------------------------------------------------
 */

/* When was what is in the record seen to begin? */
static void vm_observe(struct ha_vm_case *c)
{
    struct ha_soft_vm *s = c->s;

    if (s->seen_at == 0 || s->seen_phase != c->o->phase || s->seen_epoch != c->o->epoch) {
        s->seen_phase = c->o->phase;
        s->seen_epoch = c->o->epoch;
        s->phase_at = c->m->now;
        s->delay = c->vm != NULL && c->o->phase == HA_RESTARTING
                       ? ha_restart_delay(&c->vm->restart, c->o, &c->m->prng)
                       : 0;
        if (c->o->phase == HA_RUNNING) {
            ha_incident_verified(c->m, c->o);
        }
    }
    if (s->seen_at == 0 || c->o->failures > s->seen_failures) {
        s->quiet_at = c->m->now;
    }
    s->seen_failures = c->o->failures;
    s->seen_at = u64_max(c->m->now, 1);
}

static void vm_decide(struct ha_vm_case *c)
{
    bool is_lost = c->o->host[0] != '\0' && ha_keeper_fate(c->m, c->o->host) != HA_HOST_UP;

    switch (c->o->phase) {
    case HA_STARTING:
    case HA_RUNNING:
    case HA_MOVING:
    case HA_STOPPING:
        if (vm_is_stopped(c)) {
            vm_ended(c);
        } else if (c->o->phase == HA_MOVING) {
            ha_move_step(c);
        } else if (is_lost) {
            ha_vm_recover(c);
        } else if (c->o->phase == HA_STARTING) {
            vm_starting(c);
        } else if (c->o->phase == HA_RUNNING) {
            vm_running(c);
        }
        break;
    case HA_RECOVERING:
        vm_recovering(c);
        break;
    case HA_RESTARTING:
        vm_restarting(c);
        break;
    case HA_FAILED:
        vm_failed_phase(c);
        break;
    case HA_STOPPED:
        if (c->vm == NULL) {
            vm_forget(c);
        }
        break;
    case HA_WAITING:
    case HA_PHASES:
    default:
        if (!c->is_wanted) {
            vm_release(c, "it is not wanted", c->o->proof, "");
        }
        break;
    }
}

/* False: it is new, for its first place, if it is wanted; or what cannot be read, which is left as
 * it is. */
static bool vm_case_find(struct ha_keeper *m, struct ha_soft_vm *s, struct ha_vm_case *ret)
{
    const struct ha_entry *spec = ha_view_find(m->view, HA_VM, s->name, NULL);
    const struct ha_entry *owned = ha_view_find(m->view, HA_OWNER, s->name, NULL);

    if ((spec != NULL && spec->record == NULL) || (owned != NULL && owned->record == NULL)) {
        return false;
    }
    if (owned == NULL) {
        s->seen_at = 0;
        return false;
    }
    struct ha_vm_case c = {.m = m, .s = s};
    c.vm = spec != NULL ? spec->record : NULL;
    c.o = owned->record;
    c.is_wanted = c.vm != NULL && c.vm->is_wanted;
    c.report = c.o->host[0] != '\0' ? ha_view_report(m->view, c.o->host, s->name) : NULL;
    if (c.report != NULL && c.report->epoch != c.o->epoch) {
        c.report = NULL;
    }
    *ret = c;
    return true;
}

static void vm_pass(struct ha_keeper *m, struct ha_soft_vm *s)
{
    struct ha_vm_case c;

    if (!vm_case_find(m, s, &c)) {
        return;
    }
    vm_observe(&c);
    if (ha_hold_is_free(m, &s->hold)) {
        vm_decide(&c);
    }
}

void ha_keeper_vms(struct ha_keeper *m)
{
    for (size_t i = 0; i < m->n_vms; i++) {
        if (m->vms[i]->is_alive) {
            vm_pass(m, m->vms[i]);
        }
    }
}

/* Of each whose step has left it as it was: it runs, and its host is not lost. */
void ha_keeper_moves(struct ha_keeper *m)
{
    for (size_t i = 0; i < m->n_vms; i++) {
        struct ha_vm_case c;
        if (m->vms[i]->is_alive && vm_case_find(m, m->vms[i], &c) && c.is_wanted &&
            c.o->phase == HA_RUNNING && vm_is_to_move(&c) && ha_hold_is_free(m, &m->vms[i]->hold)) {
            vm_move(&c);
        }
    }
}
