/*
 * The hosts' part of a live move: a machine that waits for a guest, one that sends its own, and who
 * lets it go on. docs/ha.md ("Moving") has the protocol; the owner's record decides, and each
 * decision is seen in the view before it is followed.
 *
 * THE SOURCE. A guest that was sent stands still. It is let go on by the record alone: RUNNING in
 * its epoch again, the move called off. So MOVED is a promise, which outlives the agent: whoever
 * succeeds it finds the report, and keeps it. Where there is none for the present move, none was
 * made (the report of an earlier agent is guarded by its registration), and the guest may go on.
 *
 * THE TARGET. Its machine waits, has the guest at some time, and does not let it run before the
 * record is STARTING in its epoch, with the proof `moved`; then as a start: with a lease that holds
 * for long enough, on a view that has what the newest grant had.
 */
#include <string.h>

#include "core/base/mutant.h"
#include "core/base/say.h"
#include "core/ha/ha_agent_int.h"

/* How often a guest that has arrived is told to go on, and when it is taken for lost. */
#define LAND_AGAIN  (100 * NANOS_PER_MS)
#define LAND_MISSES 20

/* A guest that cannot be taken back is given up after so many tries, a second apart: it starts from
 * its disk. */
#define TAKE_BACK_MISSES 20

/* What became of a move that nobody knows is asked for this often. */
#define SENT_ASK_EVERY (200 * NANOS_PER_MS)

static bool move_has_answered(enum err result)
{
    return result != ERR_TIMEOUT && result != ERR_UNKNOWN;
}

/* --- what the records say -----------------------------------------------------------------------
 */

bool ha_move_awaits(const struct ha_agent *a, const struct ha_owner *owner, uint64_t epoch)
{
    return owner->phase == HA_MOVING && owner->issued == epoch &&
           strcmp(owner->to, a->config.host) == 0;
}

/* It was moved here, and is to go on. */
static bool move_lands(const struct ha_agent *a, const struct ha_owner *owner, uint64_t epoch)
{
    return owner->phase == HA_STARTING && owner->proof == HA_PROOF_MOVED && owner->epoch == epoch &&
           strcmp(owner->host, a->config.host) == 0;
}

/* It is here, and has gone on if it was moved here. */
static bool move_runs_here(const struct ha_agent *a, const struct ha_owner *owner, uint64_t epoch)
{
    return owner->phase == HA_RUNNING && owner->epoch == epoch &&
           strcmp(owner->host, a->config.host) == 0;
}

/* One that has failed is told until the manager has called it off, and no longer. So is a promise,
 * once the guest runs here again: an agent before this one may have taken it back, or an order
 * whose answer did not come. */
static void move_forget(struct ha_run *run, const struct ha_owner *owner)
{
    bool is_over = owner->phase != HA_MOVING || owner->issued != run->attempt;
    bool is_back = !run->is_moved && run->has_run && !run->is_order_busy &&
                   move_runs_here(run->agent, owner, run->epoch);

    if ((run->sending == HA_SEND_FAILED && is_over) || (run->sending == HA_SEND_DONE && is_back)) {
        run->sending = HA_SEND_NONE;
        run->is_report_due = true;
    }
}

/* An old view may say that a machine waits which runs by now, under an agent before this one. */
void ha_move_learn(struct ha_run *run, const struct ha_owner *owner)
{
    const bool awaits = ha_move_awaits(run->agent, owner, run->epoch);

    move_forget(run, owner);
    if (awaits) {
        run->policy = owner->policy; /* it keeps that of the source's epoch */
        run->is_policy_known = true;
    }
    if (run->is_incoming && move_runs_here(run->agent, owner, run->epoch)) {
        run->is_incoming = false;
        run->is_paused = !run->has_run;
        run->is_report_due = true;
    } else if (!run->has_run && (awaits || move_lands(run->agent, owner, run->epoch))) {
        run->is_incoming = true;
    }
    if (run->is_incoming) {
        run->is_paused = false; /* not by us */
        if (run->port == 0 && owner->issued == run->epoch) {
            run->port = (uint16_t)owner->port; /* an earlier agent has told it */
        }
    }
}

/* What an agent before this one has promised, told of the machine that it has started, or seen. */
void ha_moves_adopt(struct ha_agent *a)
{
    for (size_t i = 0; i < a->n_runs; i++) {
        struct ha_run *run = a->runs[i];
        const struct ha_report *report = ha_view_report(a->view, a->config.host, run->vm);
        if (report == NULL || report->epoch != run->epoch) {
            continue;
        }
        if (report->state == HA_REPORT_MOVED) {
            run->attempt = report->to_epoch;
            run->sending = HA_SEND_DONE;
            run->move_ms = report->move_ms;
            run->move_pause_ms = report->move_pause_ms;
        } else if (report->state == HA_REPORT_WAITS) {
            run->port = (uint16_t)report->port;
        }
        run->has_booted = report->rungs[HA_RUNG_STARTUP].state == HA_RUNG_WELL ||
                          report->rungs[HA_RUNG_LIVENESS].state == HA_RUNG_WELL;
    }
}

/* --- the source ---------------------------------------------------------------------------------
 */

static void send_failed(struct ha_run *run, const char *why)
{
    run->sending = HA_SEND_FAILED;
    ha_text_set(run->detail, sizeof(run->detail), why);
    run->is_report_due = true;
    ha_agent_say(run->agent, "not moved", run->vm, why);
}

static void send_done(struct ha_run *run)
{
    run->is_moved = true;
    run->sending = HA_SEND_DONE;
    run->is_report_due = true;
    ha_agent_say(run->agent, "moved", run->vm, "its guest stands still here, and waits there");
}

static const char *send_why(enum err result)
{
    return result == ERR_CLOSED    ? "the guest could not be sent: the hosts do not reach each "
                                     "other, or the machine that waited is gone"
           : result == ERR_TIMEOUT ? "it took longer than its move_ms allow"
                                   : err_text(result);
}

static void send_on_done(struct world_vm_request *request)
{
    struct ha_run *run = request->owner;

    run->is_move_busy = false;
    run->move_ms = (uint32_t)u64_min(request->moved.span / NANOS_PER_MS, UINT32_MAX);
    run->move_pause_ms = (uint32_t)u64_min(request->moved.pause / NANOS_PER_MS, UINT32_MAX);
    if (run->phase == HA_RUN_ENDED) {
        return;
    }
    if (request->result == OK) {
        send_done(run);
    } else if (move_has_answered(request->result)) {
        send_failed(run, request->why[0] != '\0' ? request->why : send_why(request->result));
    } else {
        run->sending = HA_SEND_UNCLEAR;
        run->ask_at = 0;
    }
    ha_agent_due(run->agent);
}

static void move_landed(struct ha_run *run)
{
    run->is_incoming = false;
    run->is_report_due = true;
    ha_agent_say(run->agent, "moved here", run->vm, "its guest goes on");
}

/* Where the guest is, as its machine has just said. */
void ha_move_seen(struct ha_run *run, enum world_vm_state state)
{
    bool is_here = state == WORLD_VM_RUNNING || state == WORLD_VM_PAUSED;

    const struct ha_owner *owner = ha_view_owner(run->agent->view, run->vm);
    bool awaits = owner != NULL && ha_move_awaits(run->agent, owner, run->epoch);

    if (state == WORLD_VM_RUNNING && run->is_incoming && !awaits) {
        move_landed(run); /* though it was not said: what told it to go on has had no answer */
    }
    if (state == WORLD_VM_MOVED) {
        run->is_moved = true;
    } else if (is_here) {
        run->is_moved = false;
        run->has_run = run->has_run || state == WORLD_VM_RUNNING;
    }
    if (run->sending == HA_SEND_UNCLEAR && state == WORLD_VM_MOVED) {
        send_done(run);
    } else if (run->sending == HA_SEND_UNCLEAR && is_here) {
        send_failed(run, send_why(ERR_TIMEOUT));
    } else if (run->sending == HA_SEND_UNCLEAR) {
        run->ask_at = ha_agent_now(run->agent) + SENT_ASK_EVERY;
    }
}

static void send_begin(struct ha_run *run, const struct ha_owner *owner, const struct ha_vm *vm,
                       nanos now)
{
    struct ha_agent *a = run->agent;

    memset(&run->move, 0, sizeof(run->move));
    run->move.op = WORLD_VM_MIGRATE;
    run->move.spec.name = run->vm;
    run->move.spec.epoch = run->epoch;
    _Static_assert(sizeof(run->move.to.host) == sizeof(owner->address), "both are hosts");
    memcpy(run->move.to.host, owner->address, sizeof(run->move.to.host));
    run->move.to.port = (uint16_t)owner->port;
    run->move.pause_max = vm->move_pause_ms * NANOS_PER_MS;
    run->move.deadline = now + vm->move_ms * NANOS_PER_MS;
    run->move.done = send_on_done;
    run->move.owner = run;
    run->attempt = owner->issued;
    run->sending = HA_SEND_BUSY;
    run->is_move_busy = true;
    ha_agent_say(a, "moving", run->vm, owner->to);
    a->world->vm->submit(a->world->self, &run->move);
}

/* A guest that stands still after a move that is over, or of which nothing was promised. */
static void send_take_back(struct ha_run *run, nanos now)
{
    if (run->is_move_busy) {
        return;
    }
    if (run->go_on_misses >= TAKE_BACK_MISSES) {
        ha_agent_say(run->agent, "lost", run->vm, "the guest that was not moved does not go on");
        run->must_die = true;
    } else if (ha_run_go_on(run, now)) {
        ha_agent_say(run->agent, "taken back", run->vm, "it was not moved, and goes on here");
    }
}

void ha_move_resumed(struct ha_run *run, enum err result)
{
    if (result != OK) {
        run->go_on_misses += run->is_moved;
        return;
    }
    run->go_on_misses = 0;
    run->is_moved = false;
    run->has_run = true;
    if (run->sending == HA_SEND_DONE) {
        send_failed(run, "the move was called off");
    }
    if (run->is_incoming) {
        move_landed(run);
    }
}

/* Of a move that was called off, perhaps too late, the machine itself is asked. */
static void send_ask(struct ha_run *run, nanos now)
{
    if (run->sending != HA_SEND_UNCLEAR || run->is_order_busy) {
        return;
    }
    if (now >= run->ask_at) {
        run->ask_at = now + SENT_ASK_EVERY;
        ha_run_order(run, WORLD_VM_QUERY, HA_QUERY_PATIENCE);
    }
    ha_agent_want(run->agent, run->ask_at);
}

void ha_move_source(struct ha_run *run, const struct ha_owner *owner, nanos now)
{
    const struct ha_vm *vm = ha_view_vm(run->agent->view, run->vm);
    bool is_ours = run->attempt == owner->issued && run->sending != HA_SEND_NONE &&
                   !(MUTANT(HA_PROMISE_TAKEN_BACK) && run->has_report_txn);

    if (owner->port == 0 || run->is_move_busy || vm == NULL) {
        return;
    }
    if (!is_ours && run->is_moved) {
        send_take_back(run, now);
    } else if (!is_ours && run->sending != HA_SEND_UNCLEAR && !run->is_order_busy) {
        send_begin(run, owner, vm, now);
    }
    send_ask(run, now);
}

void ha_move_take_back(struct ha_run *run, nanos now)
{
    if (run->is_moved) {
        send_take_back(run, now);
    } else {
        send_ask(run, now);
    }
}

/* --- the target ---------------------------------------------------------------------------------
 */

/* It is told again and again until the manager takes it for a start that failed; what the driver
 * refuses for good is given up sooner, so that it starts from its disk elsewhere. */
static void land_order(struct ha_run *run, nanos now, bool counts)
{
    if (run->is_order_busy) {
        return;
    }
    if (now < run->land_again) {
        ha_agent_want(run->agent, run->land_again);
        return;
    }
    if (counts && ++run->land_misses > LAND_MISSES) {
        ha_agent_say(run->agent, "lost", run->vm, "the guest that was moved here does not go on");
        run->must_die = true;
        return;
    }
    run->land_again = now + LAND_AGAIN;
    ha_agent_want(run->agent, run->land_again);
    ha_run_order(run, WORLD_VM_RESUME, HA_QUERY_PATIENCE);
}

void ha_move_land(struct ha_run *run, const struct ha_owner *owner, nanos now)
{
    if (move_lands(run->agent, owner, run->epoch) && ha_agent_may_start(run->agent)) {
        land_order(run, now, true);
    }
}

/* A machine that waits, and whose port nobody knows any more, is of no use. */
void ha_move_wait(struct ha_run *run, nanos now)
{
    if (run->port == 0 && !run->is_start_busy) {
        run->must_die = true;
    } else if (MUTANT(HA_TARGET_EAGER)) {
        land_order(run, now, false);
    }
}

/* Where a machine is to wait, it is started; a guest that was moved here and is not is lost, and
 * starts from its disk in another epoch. */
void ha_moves_start(struct ha_agent *a)
{
    for (size_t i = 0; i < ha_view_count(a->view, HA_OWNER); i++) {
        const struct ha_owner *owner = ha_view_at(a->view, HA_OWNER, i)->record;
        if (owner == NULL) {
            continue;
        }
        bool awaits = ha_move_awaits(a, owner, owner->issued);
        bool lands = move_lands(a, owner, owner->epoch);
        uint64_t epoch = awaits ? owner->issued : owner->epoch;
        const struct ha_report *report = ha_view_report(a->view, a->config.host, owner->vm);
        bool was_reported = report != NULL && report->epoch >= epoch &&
                            (awaits || report->state == HA_REPORT_STOPPED);
        const struct ha_vm *vm = ha_view_vm(a->view, owner->vm);

        if ((!awaits && !lands) || was_reported || ha_run_find(a, owner->vm, epoch) != NULL ||
            ha_run_of(a, owner->vm) != NULL) {
            continue;
        }
        if (lands) {
            ha_run_ended(ha_run_add(a, owner->vm, epoch), WORLD_VM_CRASHED, ERR_NOT_FOUND,
                         "the guest that was moved here is gone");
        } else if (a->config.move_address[0] == '\0') {
            ha_run_ended(ha_run_add(a, owner->vm, epoch), WORLD_VM_CRASHED, ERR_UNSUPPORTED,
                         "no other host can reach a machine that waits there for its guest: set "
                         "machines.move_address in its configuration");
        } else if (vm != NULL &&
                   ha_owner_disk_differs(owner, vm, ha_view_storage(a->view, vm->storage))) {
            /* Told, and not waited out: the record may be put back before the manager looks. */
            ha_run_ended(ha_run_add(a, owner->vm, epoch), WORLD_VM_CRASHED, ERR_DENIED,
                         HA_DISK_DIFFERS);
        } else if (vm != NULL) {
            ha_run_start(a, vm, epoch, true);
        }
    }
}
