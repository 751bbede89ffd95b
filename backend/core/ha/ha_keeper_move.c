/*
 * A machine is moved while it runs. docs/ha.md ("Moving") has the protocol, its states and what is
 * true in each; here are the manager's four transactions of it, each guarded by the owner's record
 * and by all that it was decided on:
 *
 *     RUNNING(A, e) --begin--> MOVING(A, e, to B, e') --aim--> the same, with an address
 *                                 |                              |
 *                                 +--call off--> RUNNING(A, e)   +--switch over--> STARTING(B, e')
 *
 * The switch-over is the point of no return. It takes the source's report that its guest stands
 * still and that all of it is over there, for this very move, and the target's that it has a
 * machine which has not run. Until it is committed the target has no epoch to run in; once it is,
 * the source has none.
 *
 * A guest goes on with what it remembers of its disk, so it goes on with that disk or not at all.
 * The machine that waits opens the one that the records say; the owner's record says with which one
 * the epoch was started, and while they differ nothing is begun and nothing switched over.
 */
#include <string.h>

#include "core/base/mutant.h"
#include "core/base/say.h"
#include "core/ha/ha_keeper_int.h"

/* --- the wish -----------------------------------------------------------------------------------
 */

/* The wish is taken out of the machine's record, with whatever comes of it. */
static void move_take_wish(struct ha_deed *d, const struct ha_vm *vm)
{
    struct ha_vm obeyed = *vm;

    obeyed.move_to[0] = '\0';
    obeyed.moves_offline = false;
    ha_deed_put(d, HA_VM, &obeyed);
}

/* "it was not moved to b: why" */
static void move_refusal(const char *to, const char *why, char text[HA_TEXT_BYTES])
{
    struct buf reason;

    buf_init(&reason);
    say(&reason, "it was not moved to ");
    say(&reason, to);
    say(&reason, ": ");
    say(&reason, why);
    ha_text_set(text, HA_TEXT_BYTES, say_end(&reason));
    buf_deinit(&reason);
}

static void move_refuse(struct ha_vm_case *c, const char *why)
{
    struct ha_deed *d = ha_vm_deed(c->m, c->s);
    struct ha_owner owner;

    ha_owner_copy(c->m, c->s->name, &owner);
    move_refusal(c->vm->move_to, why, owner.reason);
    ha_deed_put(d, HA_OWNER, &owner);
    move_take_wish(d, c->vm);
    ha_event_put(d, "vm-not-moved", owner.host, owner.vm, "", owner.reason);
    ha_deed_submit(d);
}

static const struct ha_storage *move_storage(const struct ha_vm_case *c)
{
    return ha_view_storage(c->m->view, c->vm->storage);
}

/* An edit that is not seen yet refuses the transaction. That of the machine's record does so in any
 * that is about it. */
static void move_guard_disk(const struct ha_vm_case *c, struct ha_deed *d)
{
    if (c->vm->storage[0] != '\0') {
        ha_deed_guard(d, HA_STORAGE, c->vm->storage, NULL);
    }
}

static void move_begin(struct ha_vm_case *c)
{
    struct ha_deed *d = ha_vm_deed(c->m, c->s);
    struct ha_owner owner;
    struct buf detail;

    ha_owner_copy(c->m, c->s->name, &owner);
    ha_deed_guard(d, HA_FATE, owner.host, NULL);
    ha_deed_guard(d, HA_FATE, c->vm->move_to, NULL);
    move_guard_disk(c, d);
    owner.phase = HA_MOVING;
    owner.issued = ha_owner_issued(&owner) + 1;
    memcpy(owner.to, c->vm->move_to, sizeof(owner.to));
    owner.reason[0] = '\0';
    buf_init(&detail);
    say(&detail, "live, to ");
    say(&detail, owner.to);
    say(&detail, ", where a machine waits for it in epoch ");
    say_u64(&detail, owner.issued);
    ha_event_put(d, "vm-moving", owner.host, owner.vm, "", say_end(&detail));
    buf_deinit(&detail);
    ha_deed_put(d, HA_OWNER, &owner);
    move_take_wish(d, c->vm);
    memcpy(c->s->coming_to, owner.to, sizeof(c->s->coming_to));
    ha_ledger_come(ha_keeper_ledger(c->m), c->s->name, owner.to);
    ha_deed_submit(d);
}

/* Whoever moves keeps the policy of its epoch: that decides which hosts cover it. */
bool ha_move_wished(struct ha_vm_case *c)
{
    const struct ha_place_ask ask = {.only = c->vm->move_to, .is_live = true};
    struct ha_vm vm = *c->vm;

    if (vm.storage[0] == '\0') {
        move_refuse(c, "its disk is on its host's own storage, which no other host can open; put "
                       "the volume on shared storage");
        return true;
    }
    if (ha_owner_disk_differs(c->o, c->vm, move_storage(c))) {
        move_refuse(c, HA_DISK_DIFFERS);
        return true;
    }
    vm.policy = c->o->policy;
    if (ha_place_find(ha_keeper_ledger(c->m), &vm, &ask, NULL) == NULL) {
        return false;
    }
    move_begin(c);
    return true;
}

/* --- MOVING -------------------------------------------------------------------------------------
 */

/* It stays where it is, and runs on there: its agent resumes it, if it stands still by now. */
static void move_call_off(struct ha_vm_case *c, const char *why)
{
    char text[HA_TEXT_BYTES];

    move_refusal(c->o->to, why, text);
    ha_vm_go(c, HA_RUNNING, text, "vm-not-moved");
}

static void move_copy(const struct ha_vm_case *c, struct ha_owner *ret)
{
    ha_owner_copy(c->m, c->s->name, ret);
    memcpy(ret->to, c->o->to, sizeof(ret->to));
    memcpy(ret->address, c->o->address, sizeof(ret->address));
    ret->port = c->o->port;
}

/* The source learns where to send it. */
static void move_aim(struct ha_vm_case *c, const struct ha_report *target)
{
    struct ha_deed *d = ha_vm_deed(c->m, c->s);
    struct ha_owner owner;

    move_copy(c, &owner);
    ha_deed_guard(d, HA_REPORT, owner.to, owner.vm);
    memcpy(owner.address, target->address, sizeof(owner.address));
    owner.port = target->port;
    ha_deed_put(d, HA_OWNER, &owner);
    ha_deed_submit(d);
}

static void move_switch_over(struct ha_vm_case *c)
{
    struct ha_deed *d = ha_vm_deed(c->m, c->s);
    struct ha_owner owner;
    struct buf detail;

    ha_owner_copy(c->m, c->s->name, &owner);
    ha_deed_guard(d, HA_FATE, c->o->to, NULL);
    ha_deed_guard(d, HA_REPORT, c->o->host, owner.vm);
    ha_deed_guard(d, HA_REPORT, c->o->to, owner.vm);
    move_guard_disk(c, d);
    owner.phase = HA_STARTING;
    memcpy(owner.moved_from, c->o->host, sizeof(owner.moved_from));
    memcpy(owner.host, c->o->to, sizeof(owner.host));
    owner.epoch = c->o->issued;
    owner.proof = HA_PROOF_MOVED;
    owner.here = 0;
    owner.moves++;
    owner.move_ms = c->report->move_ms;
    owner.move_pause_ms = c->report->move_pause_ms;
    buf_init(&detail);
    say(&detail, "its guest stands still on ");
    say(&detail, owner.moved_from);
    say(&detail, ", and goes on here, in epoch ");
    say_u64(&detail, owner.epoch);
    ha_text_set(owner.reason, sizeof(owner.reason), say_end(&detail));
    buf_deinit(&detail);
    ha_event_put(d, "vm-switched-over", owner.host, owner.vm, "", owner.reason);
    ha_deed_put(d, HA_OWNER, &owner);
    c->s->stands_since = u64_max(c->m->now, 1);
    ha_text_set(c->s->going_to, sizeof(c->s->going_to), owner.host);
    ha_ledger_take(ha_keeper_ledger(c->m), c->s->name, owner.host);
    ha_deed_submit(d);
}

/* The source has promised that the guest stands still, in this move and in no earlier one. */
static bool move_is_promised(const struct ha_vm_case *c)
{
    return c->report != NULL && c->report->state == HA_REPORT_MOVED &&
           (c->report->to_epoch == c->o->issued || MUTANT(HA_MOVED_EARLIER)) && c->o->port != 0;
}

/* Why the target is of no use; NULL: it is, or will be. */
static const char *move_target_fault(const struct ha_vm_case *c, const struct ha_report *target)
{
    if (ha_keeper_fate(c->m, c->o->to) != HA_HOST_UP) {
        return "that host is lost";
    }
    if (target != NULL && target->state == HA_REPORT_STOPPED) {
        return target->detail[0] != '\0' ? target->detail : err_text(target->error);
    }
    if (c->vm != NULL && ha_owner_disk_differs(c->o, c->vm, move_storage(c))) {
        return HA_DISK_DIFFERS;
    }
    return NULL;
}

static bool move_is_late(const struct ha_vm_case *c)
{
    uint64_t ms = (uint64_t)c->vm->move_ms + c->vm->start_ms;
    nanos due = u64_add_sat(c->s->phase_at, ms * NANOS_PER_MS + HA_START_GRACE);

    if (c->m->now < due) {
        ha_keeper_want(c->m, due);
    }
    return c->m->now >= due;
}

/* Before anything is promised its end is the source's: it is lost, or not wanted, as any machine
 * that runs there. */
static void move_step_unpromised(struct ha_vm_case *c, const struct ha_report *target,
                                 const char *fault)
{
    if (ha_keeper_fate(c->m, c->o->host) != HA_HOST_UP) {
        ha_vm_recover(c);
    } else if (!c->is_wanted) {
        ha_vm_go(c, HA_STOPPING, c->vm == NULL ? "it was deleted" : "it is not wanted any more",
                 "vm-stopping");
    } else if (fault != NULL) {
        move_call_off(c, fault);
    } else if (c->report != NULL && c->report->to_epoch == c->o->issued) {
        move_call_off(c, c->report->detail);
    } else if (c->o->port == 0 && target != NULL && target->state == HA_REPORT_WAITS &&
               target->port != 0) {
        move_aim(c, target);
    } else if (move_is_late(c)) {
        move_call_off(c, "the hosts' agents have not done their parts in time");
    }
}

/* What is promised is used, also when the source is lost by now: it cannot go on there. */
void ha_move_step(struct ha_vm_case *c)
{
    const struct ha_report *target = ha_view_report(c->m->view, c->o->to, c->o->vm);

    if (target != NULL && target->epoch != c->o->issued) {
        target = NULL;
    }
    const char *fault = move_target_fault(c, target);
    if (move_is_promised(c) && c->is_wanted && fault == NULL && target != NULL &&
        target->state == HA_REPORT_WAITS) {
        move_switch_over(c);
    } else {
        move_step_unpromised(c, target, fault);
    }
}

/* --- it goes on ---------------------------------------------------------------------------------
 */

/* The source knows how long the guest stood still until all was sent; this leader, for how long it
 * has then waited to go on. */
void ha_move_done(struct ha_vm_case *c)
{
    nanos since = c->s->stands_since != 0 ? c->s->stands_since : c->s->phase_at;
    uint64_t pause = c->o->move_pause_ms + u64_sub_sat(c->m->now, since) / NANOS_PER_MS;
    struct ha_owner owner;
    struct buf detail;

    ha_owner_copy(c->m, c->s->name, &owner);
    owner.phase = HA_RUNNING;
    owner.reason[0] = '\0';
    owner.move_pause_ms = (uint32_t)u64_min(pause, UINT32_MAX);
    buf_init(&detail);
    say(&detail, "live, from ");
    say(&detail, owner.moved_from);
    say(&detail, " in ");
    say_u64(&detail, owner.move_ms);
    say(&detail, " ms; its guest stood still for ");
    say_u64(&detail, owner.move_pause_ms);
    say(&detail, " ms");
    ha_owner_write(c->m, c->s, &owner, "vm-moved", say_end(&detail));
    buf_deinit(&detail);
    c->s->stands_since = 0;
}
