/*
 * Machines of this host: what is started, what is ended, and what their driver answers.
 */
#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/base/say.h"
#include "core/ha/ha_agent_ladder.h"

/* --- the list -----------------------------------------------------------------------------------
 */

static size_t run_place(const struct ha_agent *a, const char *vm, uint64_t epoch)
{
    size_t low = 0;
    size_t high = a->n_runs;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(a->runs[middle]->vm, vm);
        if (order < 0 || (order == 0 && a->runs[middle]->epoch < epoch)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct ha_run *ha_run_find(const struct ha_agent *a, const char *vm, uint64_t epoch)
{
    size_t at = run_place(a, vm, epoch);
    struct ha_run *run = at < a->n_runs ? a->runs[at] : NULL;

    return run != NULL && run->epoch == epoch && strcmp(run->vm, vm) == 0 ? run : NULL;
}

struct ha_run *ha_run_of(const struct ha_agent *a, const char *vm)
{
    for (size_t at = run_place(a, vm, 0); at < a->n_runs; at++) {
        if (strcmp(a->runs[at]->vm, vm) != 0) {
            break;
        }
        if (a->runs[at]->phase != HA_RUN_ENDED) {
            return a->runs[at];
        }
    }
    return NULL;
}

struct ha_run *ha_run_add(struct ha_agent *a, const char *vm, uint64_t epoch)
{
    size_t at = run_place(a, vm, epoch);
    struct ha_run *run = mem_alloc_zero(sizeof(*run));

    CHECK(ha_run_find(a, vm, epoch) == NULL);
    mem_grow((void **)&a->runs, &a->runs_cap, a->n_runs + 1, sizeof(*a->runs));
    memmove(&a->runs[at + 1], &a->runs[at], (a->n_runs - at) * sizeof(*a->runs));
    a->runs[at] = run;
    a->n_runs++;
    run->agent = a;
    ha_text_set(run->vm, sizeof(run->vm), vm);
    run->epoch = epoch;
    run->policy = HA_POLICY_STOP;
    ha_txn_init(&run->txn);
    buf_init(&run->definition);
    return run;
}

void ha_run_free(struct ha_run *run)
{
    ha_txn_deinit(&run->txn);
    buf_deinit(&run->definition);
    ha_ladder_free(run);
    mem_free(run);
}

void ha_run_remove(struct ha_agent *a, struct ha_run *run)
{
    size_t at = run_place(a, run->vm, run->epoch);

    CHECK(a->runs[at] == run && !run->has_report_txn && !run->is_start_busy &&
          !run->is_order_busy && !run->is_kill_busy && !run->is_move_busy &&
          !ha_ladder_is_busy(run));
    a->n_runs--;
    memmove(&a->runs[at], &a->runs[at + 1], (a->n_runs - at) * sizeof(*a->runs));
    ha_run_free(run);
}

void ha_run_ended(struct ha_run *run, enum world_vm_end end, enum err error, const char *detail)
{
    if (run->phase == HA_RUN_ENDED) {
        return;
    }
    run->phase = HA_RUN_ENDED;
    run->end = end;
    run->error = error;
    run->must_die = false;
    ha_text_set(run->detail, sizeof(run->detail), detail);
    run->is_report_due = true;
    run->report_again = 0;
}

/* --- what the driver says -----------------------------------------------------------------------
 */

static const char *run_end_text(const struct ha_run *run, enum world_vm_end end)
{
    switch (end) {
    case WORLD_VM_SHUT_DOWN:
        return run->was_asked ? "its guest was asked to shut down, and did"
                              : "its guest has shut it down";
    case WORLD_VM_KILLED:
        return run->unwell[0] != '\0' ? run->unwell : "it was killed";
    case WORLD_VM_CRASHED:
    default:
        return "its process has ended by itself";
    }
}

/* In the driver's own words, where it has any: which file, whose lock. */
static const char *run_why(const struct world_vm_request *request)
{
    return request->why[0] != '\0' ? request->why : err_text(request->result);
}

/* Nothing of it lives by now, whether it has gone by itself or by our KILL: it has failed. */
static void run_start_failed(struct ha_run *run)
{
    ha_run_ended(run, WORLD_VM_CRASHED, run->error, run_why(&run->start));
}

void ha_run_on_exit(struct world_vm_sink *sink, const struct world_vm_exit *exit)
{
    struct ha_agent *a = sink->owner;
    struct ha_run *run = ha_run_find(a, exit->name, exit->epoch);

    if (exit->epoch == 0 || a->phase == HA_AGENT_DISPLACED) {
        return;
    }
    if (run == NULL) {
        run = ha_run_add(a, exit->name, exit->epoch); /* between LIST and its end */
    }
    if (run->is_start_busy) {
        run->has_exited = true; /* its START ends soon, and is told first */
        run->end = exit->end;
        return;
    }
    if (run->phase == HA_RUN_STARTING && run->error != OK) {
        run_start_failed(run);
        ha_agent_due(a);
        return;
    }
    /* One that we have asked to end has not failed by it. */
    bool was_asked = exit->end == WORLD_VM_SHUT_DOWN && run->was_asked;
    ha_agent_say(a, "ended", run->vm, run_end_text(run, exit->end));
    ha_run_ended(run, was_asked ? WORLD_VM_KILLED : exit->end, OK, run_end_text(run, exit->end));
    ha_agent_due(a);
}

static void run_on_started(struct world_vm_request *request)
{
    struct ha_run *run = request->owner;
    struct ha_agent *a = run->agent;

    run->is_start_busy = false;
    if (run->has_exited) {
        ha_run_ended(run, run->end, request->result,
                     request->result != OK ? run_why(request) : run_end_text(run, run->end));
    } else if (request->result == OK) {
        run->phase = HA_RUN_ALIVE;
        run->is_report_due = true;
        run->query_at = ha_agent_now(a) + HA_QUERY_EVERY;
        run->port = request->port;
        run->has_run = !run->is_incoming;
        ha_agent_say(a, run->is_incoming ? "waits" : "started", run->vm, "");
    } else {
        /* Whatever the driver says, nothing may live of this epoch before it is told to be over. */
        run->error = request->result;
        run->must_die = true;
        ha_agent_say(a, "start failed", run->vm, run_why(request));
    }
    ha_agent_due(a);
}

static void run_on_killed(struct world_vm_request *request)
{
    struct ha_run *run = request->owner;
    struct ha_agent *a = run->agent;
    bool is_gone = request->result == OK || request->result == ERR_NOT_FOUND ||
                   request->result == ERR_REFUSED || request->result == ERR_CLOSED;

    run->is_kill_busy = false;
    if (is_gone && run->phase == HA_RUN_STARTING) {
        run_start_failed(run);
    } else if (is_gone && run->phase == HA_RUN_ALIVE) {
        ha_run_ended(run, WORLD_VM_KILLED, OK, run_end_text(run, WORLD_VM_KILLED));
    } else if (!is_gone) {
        run->kill_again = ha_agent_now(a) + HA_REQUEST_AGAIN;
        ha_agent_say(a, "kill failed", run->vm, err_text(request->result));
    }
    ha_agent_due(a);
}

/* A guest that its driver has stopped, by itself, is to be seen: it lives, and does nothing. */
static void run_on_state(struct ha_run *run, const struct world_vm_request *request)
{
    bool stands = request->result == OK && request->state == WORLD_VM_PAUSED &&
                  request->why[0] != '\0' && !run->is_paused;
    const char *why = stands ? request->why : "";

    if (run->phase != HA_RUN_ALIVE || request->result != OK || strcmp(run->stands, why) == 0) {
        return;
    }
    ha_text_set(run->stands, sizeof(run->stands), why);
    run->resume_at = ha_agent_now(run->agent) + HA_RESUME_EVERY;
    run->is_report_due = true;
    ha_agent_say(run->agent, stands ? "stands still" : "goes on", run->vm, why);
}

/* Its first answer, of one that had none for whoever adopted it. That it stands still for no reason
 * of its driver's is the work of an agent before, which wanted a lease. */
static void run_is_seen(struct ha_run *run, const struct world_vm_request *request)
{
    if (run->is_unseen && request->state == WORLD_VM_PAUSED && request->why[0] == '\0' &&
        !run->is_moved && !run->is_incoming) {
        run->is_paused = true;
    }
    run->is_unseen = false;
}

static void run_on_order(struct world_vm_request *request)
{
    struct ha_run *run = request->owner;

    run->is_order_busy = false;
    if (request->op == WORLD_VM_QUERY) {
        bool answers = request->result == OK && request->state != WORLD_VM_UNKNOWN;
        if (answers && run->phase == HA_RUN_ALIVE) {
            ha_move_seen(run, request->state);
            run_is_seen(run, request);
        }
        run_on_state(run, request);
        if (answers) {
            ha_run_stalls(run, request->is_disk_lost && !run->is_paused);
        }
        ha_ladder_queried(run, answers, answers ? "it answers" : err_text(request->result));
    } else if (request->op == WORLD_VM_RESUME) {
        run->is_paused = run->is_paused && request->result != OK;
        run->go_on_again = ha_agent_now(run->agent) + HA_REQUEST_AGAIN;
        ha_move_resumed(run, request->result);
    }
    ha_agent_due(run->agent);
}

/* --- what is asked of it ------------------------------------------------------------------------
 */

void ha_run_order(struct ha_run *run, enum world_vm_op op, nanos patience)
{
    struct ha_agent *a = run->agent;

    memset(&run->order, 0, sizeof(run->order));
    run->order.op = op;
    run->order.spec.name = run->vm;
    run->order.spec.epoch = run->epoch;
    run->order.deadline = ha_agent_now(a) + patience;
    run->order.done = run_on_order;
    run->order.owner = run;
    run->is_order_busy = true;
    a->world->vm->submit(a->world->self, &run->order);
}

bool ha_run_go_on(struct ha_run *run, nanos now)
{
    if (run->is_order_busy) {
        return false;
    }
    if (now < run->go_on_again) {
        ha_agent_want(run->agent, run->go_on_again);
        return false;
    }
    ha_run_order(run, WORLD_VM_RESUME, HA_QUERY_PATIENCE);
    return true;
}

bool ha_run_query(struct ha_run *run)
{
    bool is_early = run->stands[0] != '\0' && ha_agent_now(run->agent) < run->query_at;

    if (run->is_order_busy || is_early) {
        return false; /* requests of one machine wait for each other: that would be no answer */
    }
    ha_run_order(run, WORLD_VM_QUERY, HA_QUERY_PATIENCE);
    return true;
}

static void run_kill(struct ha_run *run, nanos now)
{
    struct ha_agent *a = run->agent;

    if (run->is_kill_busy) {
        return;
    }
    if (now < run->kill_again) {
        ha_agent_want(a, run->kill_again);
        return;
    }
    memset(&run->kill, 0, sizeof(run->kill));
    run->kill.op = WORLD_VM_KILL;
    run->kill.spec.name = run->vm;
    run->kill.spec.epoch = run->epoch;
    run->kill.deadline = now + HA_REQUEST_PATIENCE;
    run->kill.done = run_on_killed;
    run->kill.owner = run;
    run->is_kill_busy = true;
    a->kills++;
    a->world->vm->submit(a->world->self, &run->kill);
}

/* In good order, and from `until` on not so. */
static void run_end_in_order(struct ha_run *run, nanos now, nanos until)
{
    if (now >= until) {
        run->must_die = true;
        return;
    }
    if (!run->is_order_busy && now >= run->press_at) {
        run->press_at = now + HA_PRESS_EVERY;
        ha_run_order(run, WORLD_VM_STOP, u64_max(until - now, NANOS_PER_S));
    }
    ha_agent_want(run->agent, run->is_order_busy ? until : u64_min(until, run->press_at));
}

/* From now on its end is waited for. */
static void run_begin_to_stop(struct ha_run *run, nanos now)
{
    if (!run->is_stopping) {
        run->is_stopping = true;
        run->was_asked = true;
        run->stopped_at = now;
        run->press_at = now;
    }
}

/* --- the end of the lease -----------------------------------------------------------------------
 */

/* True: its time is up, or nearly, and nothing else is to be asked of it. */
static bool run_isolate(struct ha_run *run, nanos now)
{
    struct ha_agent *a = run->agent;
    nanos until = ha_agent_isolation(a);
    nanos lease = a->relied_lease;

    if (lease == 0) {
        /* Nothing was granted to this agent yet, and how long leases are it does not know. Of what
         * was left when it began, most is for hearing from the leader. */
        lease = u64_min(HA_ADOPT_GRACE, u64_sub_sat(until, a->opened_at));
    }
    if (a->lessee.lease > 0) {
        lease = u64_min(lease, a->lessee.lease); /* from now on they are shorter: so is its share */
    }
    nanos stop_from = u64_sub_sat(until, lease / HA_STOP_SHARE);
    nanos kill_from = u64_sub_sat(until, lease / HA_KILL_SHARE);

    if (run->policy == HA_POLICY_KEEP || (!run->is_policy_known && !run->is_held)) {
        return false; /* what may be one to keep is not killed before that is known */
    }
    if (now >= kill_from) {
        if (!run->must_die) {
            ha_agent_say(a, "isolated", run->vm, "the host's lease ends: it is killed");
        }
        run->must_die = true;
        return true;
    }
    if (now < stop_from) {
        ha_agent_want(a, stop_from);
        return false;
    }
    ha_agent_want(a, kill_from);
    if (run->is_moved || run->is_incoming) {
        return true; /* no guest runs in it */
    }
    if (run->policy == HA_POLICY_PAUSE && !run->is_paused && !run->is_order_busy) {
        run->is_paused = true;
        ha_run_order(run, WORLD_VM_PAUSE, lease / HA_KILL_SHARE);
    } else if (run->policy == HA_POLICY_STOP) {
        if (!run->is_stopping) {
            ha_agent_say(a, "isolated", run->vm, "the host's lease ends: its guest is asked");
        }
        run_begin_to_stop(run, now);
        run_end_in_order(run, now, kill_from);
    }
    return true;
}

/* --- machines that live -------------------------------------------------------------------------
 */

enum run_claim {
    RUN_WANTED,
    RUN_TO_STOP,
    RUN_TO_SEND, /* its guest, to where another machine waits for it */
    RUN_TO_WAIT, /* for a guest */
    RUN_STALE,   /* its epoch is over, or it is nobody's */
    RUN_UNCLEAR  /* the view is older than the machine, or its record cannot be read */
};

/* A machine whose epoch is above its owner's waits for a guest, or did: the move is over then, and
 * its epoch was for nothing. Or the view is older than it. */
static enum run_claim run_claim_above(const struct ha_run *run, const struct ha_owner *owner)
{
    if (run->epoch > ha_owner_issued(owner)) {
        return RUN_UNCLEAR;
    }
    return ha_move_awaits(run->agent, owner, run->epoch) ? RUN_TO_WAIT : RUN_STALE;
}

static enum run_claim run_claim_of(const struct ha_run *run)
{
    const struct ha_agent *a = run->agent;
    const struct ha_entry *entry = ha_view_find(a->view, HA_OWNER, run->vm, NULL);
    const struct ha_owner *owner = entry != NULL ? entry->record : NULL;

    if (!a->has_reconciled || a->view->revision < a->lessee.revision) {
        return RUN_UNCLEAR;
    }
    if (entry == NULL) {
        return RUN_STALE;
    }
    if (owner == NULL) {
        return RUN_UNCLEAR;
    }
    if (owner->epoch < run->epoch) {
        return run_claim_above(run, owner);
    }
    if (owner->epoch > run->epoch || strcmp(owner->host, a->config.host) != 0) {
        return RUN_STALE;
    }
    switch (owner->phase) {
    case HA_STARTING:
    case HA_RUNNING:
    case HA_RECOVERING:
        return RUN_WANTED;
    case HA_MOVING:
        return RUN_TO_SEND;
    case HA_STOPPING:
        return RUN_TO_STOP;
    case HA_WAITING:
    case HA_STOPPED:
    case HA_RESTARTING:
    case HA_FAILED:
    case HA_PHASES:
    default:
        return RUN_STALE;
    }
}

/* Its policy is that of its epoch; its patience that of its record now, where that can be read. */
static void run_learn(struct ha_run *run)
{
    const struct ha_vm *vm = ha_view_vm(run->agent->view, run->vm);
    const struct ha_owner *owner = ha_view_owner(run->agent->view, run->vm);

    if (owner != NULL && owner->epoch == run->epoch) {
        run->policy = owner->policy; /* with which it was started, and the guard holds it or not */
        run->is_policy_known = true;
    }
    if (owner != NULL) {
        ha_move_learn(run, owner);
    }
    if (vm != NULL) {
        run->stop_time = (nanos)vm->stop_ms * NANOS_PER_MS;
    }
}

void ha_runs_learn(struct ha_agent *a)
{
    for (size_t i = 0; i < a->n_runs; i++) {
        run_learn(a->runs[i]);
    }
}

static void run_is_to_stop(struct ha_run *run, nanos now)
{
    if (run->is_moved || run->is_incoming) {
        run->must_die = true; /* no guest runs in it that could be asked */
        return;
    }
    run_begin_to_stop(run, now);
    nanos until = u64_add_sat(run->stopped_at, run->stop_time);
    if (run->is_paused && now < until) {
        (void)ha_run_go_on(run, now); /* one that stands still does not notice its button */
        ha_agent_want(run->agent, until);
    } else {
        run_end_in_order(run, now, until);
    }
}

static void run_goes_on(struct ha_run *run, const struct ha_owner *owner, nanos now)
{
    run->is_stopping = false; /* it was, for want of a lease */
    if (run->is_incoming) {
        ha_move_land(run, owner, now);
    } else if (ha_run_stall_is_over(run, now)) {
        run->must_die = true;
    } else if (run->is_paused) {
        (void)ha_run_go_on(run, now);
    } else if (run->stands[0] != '\0' && !run->is_order_busy && now >= run->resume_at) {
        run->resume_at = now + HA_RESUME_EVERY; /* its disk may have room again */
        run->query_at = now + HA_QUERY_EVERY;   /* by then it has tried to write */
        ha_run_order(run, WORLD_VM_RESUME, HA_QUERY_PATIENCE);
    } else if (owner->phase == HA_RUNNING) {
        ha_move_take_back(run, now);
    }
}

static void run_is_stale(struct ha_run *run)
{
    ha_agent_say(run->agent, "stale", run->vm, "it lives in an epoch that is over: it is killed");
    run->must_die = true;
}

static void run_follow(struct ha_run *run, nanos now)
{
    const struct ha_owner *owner = ha_view_owner(run->agent->view, run->vm);

    switch (run_claim_of(run)) {
    case RUN_STALE:
        run_is_stale(run);
        break;
    case RUN_TO_STOP:
        run_is_to_stop(run, now);
        break;
    case RUN_TO_SEND:
        run->is_stopping = false;
        if (run->is_paused && !run->is_moved && run->attempt != owner->issued) {
            (void)ha_run_go_on(run, now); /* by us: it need not stand still until it is moved */
        }
        ha_move_source(run, owner, now);
        break;
    case RUN_TO_WAIT:
        ha_move_wait(run, now);
        break;
    case RUN_WANTED:
        run_goes_on(run, owner, now);
        break;
    case RUN_UNCLEAR:
    default:
        break;
    }
}

static void run_pass(struct ha_run *run, nanos now)
{
    if (run->phase == HA_RUN_ALIVE && !run->must_die && !run_isolate(run, now)) {
        run_follow(run, now);
        /* Its answer brings us here again; what is asked while a guest is sent waits for that. */
        if (!ha_ladder_asks(run) && !run->is_order_busy && !run->is_move_busy) {
            if (now >= run->query_at) {
                run->query_at = now + HA_QUERY_EVERY;
                ha_run_order(run, WORLD_VM_QUERY, HA_QUERY_PATIENCE);
            }
            ha_agent_want(run->agent, run->query_at);
        }
    }
    if (run->must_die && !run->is_start_busy) {
        run_kill(run, now);
    }
}

void ha_runs_end_stale(struct ha_agent *a)
{
    nanos now = ha_agent_now(a);

    for (size_t i = 0; i < a->n_runs; i++) {
        struct ha_run *run = a->runs[i];
        if (run->phase == HA_RUN_ALIVE && !run->must_die && run_claim_of(run) == RUN_STALE) {
            run_is_stale(run);
        }
        if (run->must_die && !run->is_start_busy) {
            run_kill(run, now);
        }
    }
}

/* --- starts -------------------------------------------------------------------------------------
 */

/* Why this host must not run it; NULL: it may. */
static const char *run_refusal(const struct ha_agent *a, const struct ha_vm *vm,
                               enum ha_policy policy)
{
    const struct ha_host *host = ha_view_host(a->view, a->config.host);

    if (a->n_runs >= HA_RUNS_MAX) {
        return "this host runs as many machines as an agent may have";
    }
    if (vm->storage[0] == '\0') {
        return NULL; /* on the host's own disk: nobody else will open it */
    }
    if (ha_view_storage(a->view, vm->storage) == NULL) {
        return "the record of its storage is missing, or cannot be read: without it, its disk "
               "would be looked for on this host's own";
    }
    const bool has_fence = host != NULL && host->n_levels > 0;
    if (!has_fence && ha_agent_spoiler(a) != NULL) {
        return "a machine that runs here was started while there was no guard, and none holds it, "
               "so that no watchdog could prove this host's loss: stop that machine and start it "
               "again, or give the host a fence device in its record and a test of it";
    }
    if (!has_fence && ha_agent_is_short(a)) {
        return "this host's guard does not hold all machines that run here, so that no watchdog "
               "could prove its loss: they are handed to it again; `journalctl -u novacron-guard` "
               "says what it refuses";
    }
    if (!has_fence && !ha_agent_has_hardware(a)) {
        return "the host has neither a hardware watchdog that its guard holds nor a fence device, "
               "so nothing could prove its loss: give it a watchdog, or a fence device in its "
               "record and a test of it";
    }
    if (policy == HA_POLICY_KEEP && !has_fence) {
        return "policy `keep` needs a fence device: a lease that ends proves nothing for it";
    }
    return NULL;
}

/* Its volume is a file of that name on its storage; without one, where the driver has its images.
 */
static void run_find_image(const struct ha_agent *a, struct ha_run *run, const struct ha_vm *vm)
{
    const struct ha_owner *owner = ha_view_owner(a->view, run->vm);
    const struct ha_storage *storage =
        vm->storage[0] != '\0' ? ha_view_storage(a->view, vm->storage) : NULL;
    /* As it was placed: its record may have been edited since. */
    const bool is_placed = owner != NULL && owner->volume[0] != '\0';
    const char *volume = is_placed ? owner->volume : vm->volume;
    const char *folder = is_placed ? owner->path : storage != NULL ? storage->path : "";
    struct buf path;

    ha_text_set(run->volume, sizeof run->volume, volume);
    run->image[0] = '\0';
    if (folder[0] == '\0') {
        return;
    }
    buf_init(&path);
    say(&path, folder);
    say(&path, "/");
    say(&path, volume);
    ha_text_set(run->image, sizeof run->image, say_end(&path));
    buf_deinit(&path);
}

void ha_run_start(struct ha_agent *a, const struct ha_vm *vm, uint64_t epoch, bool is_incoming)
{
    struct ha_run *run = ha_run_add(a, vm->name, epoch);
    nanos now = ha_agent_now(a);

    run->is_incoming = is_incoming;
    run_learn(run);
    run->is_held = a->has_guard && run->policy != HA_POLICY_KEEP;
    const char *refusal = run_refusal(a, vm, run->policy);
    if (refusal != NULL) {
        ha_agent_say(a, "refused", run->vm, refusal);
        ha_run_ended(run, WORLD_VM_CRASHED, ERR_DENIED, refusal);
        return;
    }
    run_find_image(a, run, vm);
    buf_put(&run->definition, vm->definition.data, vm->definition.len);
    run->start.op = WORLD_VM_START;
    run->start.spec.name = run->vm;
    run->start.spec.volume = run->volume;
    run->start.spec.image = run->image[0] != '\0' ? run->image : NULL;
    run->start.spec.memory_mib = vm->memory_mib;
    run->start.spec.cpus = vm->cpus;
    run->start.spec.epoch = epoch;
    run->start.spec.is_incoming = is_incoming;
    run->start.spec.is_guarded = run->is_held;
    run->start.spec.definition = buf_view(&run->definition);
    run->start.deadline = now + u64_max(vm->start_ms, 1) * NANOS_PER_MS;
    run->start.done = run_on_started;
    run->start.owner = run;
    run->is_start_busy = true;
    a->starts++;
    a->world->vm->submit(a->world->self, &run->start);
}

/* What the record of this host says about its watchdog must be true before anybody relies on a
 * machine that is started. */
static bool run_record_is_true(const struct ha_agent *a)
{
    const struct ha_agent_record *r = ha_view_agent(a->view, a->config.host);

    return r != NULL && (r->watchdog_ms == 0 || ha_agent_has_hardware(a));
}

static void runs_start(struct ha_agent *a)
{
    if (!ha_agent_may_start(a) || !run_record_is_true(a)) {
        return;
    }
    for (size_t i = 0; i < ha_view_count(a->view, HA_OWNER); i++) {
        const struct ha_owner *owner = ha_view_at(a->view, HA_OWNER, i)->record;
        if (owner == NULL || owner->phase != HA_STARTING || owner->proof == HA_PROOF_MOVED ||
            strcmp(owner->host, a->config.host) != 0 ||
            ha_run_find(a, owner->vm, owner->epoch) != NULL || ha_run_of(a, owner->vm) != NULL) {
            continue;
        }
        const struct ha_vm *vm = ha_view_vm(a->view, owner->vm);
        const struct ha_report *report = ha_view_report(a->view, a->config.host, owner->vm);
        bool was_reported = report != NULL && report->epoch >= owner->epoch;
        if (vm != NULL && !was_reported) {
            ha_run_start(a, vm, owner->epoch, false);
        }
    }
    ha_moves_start(a);
}

/* What is to be stopped and was never begun: it never will be. */
static void runs_give_up(struct ha_agent *a)
{
    if (a->phase != HA_AGENT_SERVING || !a->has_reconciled) {
        return;
    }
    for (size_t i = 0; i < ha_view_count(a->view, HA_OWNER); i++) {
        const struct ha_owner *owner = ha_view_at(a->view, HA_OWNER, i)->record;
        if (owner == NULL || owner->phase != HA_STOPPING || owner->epoch == 0 ||
            strcmp(owner->host, a->config.host) != 0 ||
            ha_run_find(a, owner->vm, owner->epoch) != NULL) {
            continue;
        }
        const struct ha_report *report = ha_view_report(a->view, a->config.host, owner->vm);
        if (report == NULL || report->epoch < owner->epoch) {
            ha_run_ended(ha_run_add(a, owner->vm, owner->epoch), WORLD_VM_SHUT_DOWN, ERR_CANCELED,
                         "it was to be stopped before it was started");
        }
    }
}

void ha_runs_pass(struct ha_agent *a)
{
    nanos now = ha_agent_now(a);

    for (size_t i = 0; i < a->n_runs; i++) {
        run_pass(a->runs[i], now);
    }
    runs_give_up(a);
    runs_start(a);
}
