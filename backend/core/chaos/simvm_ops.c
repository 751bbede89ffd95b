/* The requests for virtual machines: world_vm_ops. */
#include <string.h>

#include "core/chaos/simvm_int.h"

static void begin_vm_calls(struct simhost *host);

/* What a driver would say beyond the result. */
static void answer_why(const struct simcall *call, enum err result, enum world_vm_state state,
                       char ret[WORLD_WHY_BYTES])
{
    const struct world_vm_request *request = call->request;
    const struct simvm *vm =
        request->op == WORLD_VM_QUERY ? simvm_find(call->host, request->spec.name) : NULL;
    const char *before = "";
    const char *after = "";

    if (request->op == WORLD_VM_START && result == ERR_NOT_FOUND) {
        before = "there is no volume ";
        after = request->spec.volume;
    } else if (request->op == WORLD_VM_START && result == ERR_REFUSED) {
        before = "another machine has the volume ";
        after = request->spec.volume;
    } else if (request->op == WORLD_VM_START && result == ERR_EXISTS) {
        before = "a machine of this name lives here already";
    } else if (vm != NULL && state == WORLD_VM_PAUSED && vm->stands) {
        before = vm->faults.has_no_room ? "its disk fails: no room left"
                                        : "its disk fails: input/output error";
    }
    const size_t n = strlen(before);
    const size_t m = strlen(after);
    CHECK(n + m < WORLD_WHY_BYTES);
    memcpy(ret, before, n);
    memcpy(ret + n, after, m + 1);
}

void simvm_answer(struct simcall *call, enum err result, enum world_vm_state state)
{
    struct simhost *host = call->host;
    struct world_vm_request *request = call->request;

    request->result = result;
    request->state = state;
    const struct simvm *vm =
        result == OK && state == WORLD_VM_PAUSED ? simvm_find(host, request->spec.name) : NULL;
    request->is_disk_lost = vm != NULL && vm->stands && !vm->faults.has_no_room;
    answer_why(call, result, state, request->why);
    simworld_mix(host->sim, (uint64_t)request->op << 32 | (uint64_t)result);
    simcall_close(call);
    begin_vm_calls(host);
    request->done(request);
}

static void vm_expired(struct simcall *call)
{
    const struct world_vm_request *request = call->request;

    if (request->op == WORLD_VM_MIGRATE && call->is_begun) {
        simvm_move_expired(call);
    }
    simvm_answer(call, ERR_TIMEOUT, WORLD_VM_UNKNOWN);
}

static void answer_ok(struct simcall *call)
{
    simvm_answer(call, OK, WORLD_VM_UNKNOWN);
}

static enum world_vm_state vm_state(const struct simvm *vm)
{
    return simvm_takes_commands(vm) ? simvm_state(vm) : WORLD_VM_UNKNOWN;
}

/* --- START ------------------------------------------------------------------------------------ */

/* The process lives, and its guest should run by now. */
static void start_booted(struct simcall *call)
{
    struct world_vm_request *request = call->request;
    const struct simvm *vm = simvm_find(call->host, request->spec.name);

    request->port = vm != NULL ? vm->port : 0;
    if (vm == NULL) {
        simvm_answer(call, ERR_CLOSED, WORLD_VM_UNKNOWN);
    } else if (simvm_takes_commands(vm)) {
        answer_ok(call);
    }
}

static void start_executes(struct simcall *call)
{
    const struct world_vm_request *request = call->request;
    struct simhost *host = call->host;
    const struct simvolume *volume = simvolume_find(host->sim, request->spec.volume);
    struct simvm *vm = NULL;

    if (volume != NULL && simvolume_is_cut(volume, host)) {
        return; /* waits for the storage; the deadline answers */
    }
    if (host->vms->failing_starts > 0) {
        host->vms->failing_starts--;
        simvm_answer(call, ERR_IO, WORLD_VM_UNKNOWN);
        return;
    }
    enum err e = request->spec.is_guarded ? simguard_takes(host) : OK;
    if (e == ERR_PENDING) {
        simcall_after(call, SIMVM_LATENCY, start_executes);
        return;
    }
    simvm_tell_unseen(host, request->spec.name);
    if (e == OK) {
        e = simvm_spawn(host, &request->spec, &vm);
    }
    if (e != OK) {
        simvm_answer(call, e, WORLD_VM_UNKNOWN);
        return;
    }
    vm->is_told = true;
    vm->is_ours = true;
    vm->is_held = request->spec.is_guarded;
    if (vm->is_held) {
        simguard_holds(host);
    }
    simcall_after(call, SIMVM_BOOT_TIME, start_booted);
}

/* --- the others ------------------------------------------------------------------------------- */

static bool is_meant(const struct simvm *vm, const struct world_vm_request *request)
{
    return request->spec.epoch == 0 || request->spec.epoch == vm->epoch;
}

/* Tried until it works, or the deadline comes. Meanwhile the machine may have gone, and another one
 * come. */
static void kill_tries(struct simcall *call)
{
    const struct world_vm_request *request = call->request;
    struct simvm *vm = simvm_find(call->host, request->spec.name);

    if (vm != NULL && !is_meant(vm, request)) {
        vm = NULL;
    }
    if (vm != NULL && vm->faults.is_unkillable) {
        simcall_after(call, SIMVM_KILL_RETRY, kill_tries);
        return;
    }
    if (vm != NULL) {
        simvm_end(vm, WORLD_VM_KILLED);
    }
    simcall_after(call, SIMVM_LATENCY, answer_ok);
}

static void list_machines(struct simcall *call)
{
    struct world_vm_request *request = call->request;

    simvm_tell_unseen(call->host, NULL);
    for (struct simvm *vm = call->host->vms->machines; vm != NULL; vm = vm->next) {
        struct world_vm_found found = {
            .epoch = vm->epoch, .state = vm_state(vm), .is_guarded = vm->is_held};
        memcpy(found.name, vm->name, sizeof vm->name);
        memcpy(found.volume, vm->volume->name, sizeof found.volume);
        vm->is_told = true;
        vm->is_ours = true;
        request->entry(request, &found);
    }
    answer_ok(call);
}

/* Where it has lost, or not yet had, its lock, it takes it. */
static enum err resume_machine(struct simvm *vm)
{
    if (vm->is_waiting) {
        return ERR_REFUSED;
    }
    if (vm->is_moved || (vm->port != 0 && vm->volume->holder != vm)) {
        TRY(simvolume_open(vm->volume, vm));
    }
    vm->is_moved = false;
    vm->is_arrived = false;
    vm->is_paused = false;
    vm->stands = false;
    return OK;
}

static void press_button(struct simvm *vm, nanos now)
{
    if (now >= vm->hears_at && !vm->faults.ignores_stop && vm->shutdown_at == 0) {
        vm->shutdown_at = now + SIMVM_SHUTDOWN_TIME;
    }
}

/* The process of the machine gets the command, if it takes any. */
static void command_machine(struct simcall *call)
{
    const struct world_vm_request *request = call->request;
    struct simvm *vm = simvm_find(call->host, request->spec.name);

    if (vm == NULL) {
        simvm_answer(call, ERR_NOT_FOUND, WORLD_VM_UNKNOWN);
        return;
    }
    if (!is_meant(vm, request)) {
        simvm_answer(call, ERR_REFUSED, WORLD_VM_UNKNOWN);
        return;
    }
    if (request->op == WORLD_VM_KILL) {
        kill_tries(call);
        return;
    }
    if (request->op == WORLD_VM_PING || request->op == WORLD_VM_EXEC) {
        simvm_agent_begin(call);
        return;
    }
    if (!simvm_takes_commands(vm)) {
        if (request->op == WORLD_VM_MIGRATE) { /* which has time: it reads it when it wakes */
            simcall_after(call, SIMVM_MUTE_LOOK, command_machine);
        }
        return; /* the deadline answers */
    }
    if (request->op == WORLD_VM_MIGRATE) {
        simvm_move_begin(call);
        return;
    }
    if (request->op == WORLD_VM_RESUME) {
        const enum err e = resume_machine(vm);
        simvm_answer(call, e, vm_state(vm));
        return;
    }
    if (request->op == WORLD_VM_STOP) {
        press_button(vm, call->host->sim->now);
    } else if (request->op == WORLD_VM_PAUSE) {
        vm->is_paused = true;
    }
    simvm_answer(call, OK, vm_state(vm));
}

static bool jumps_the_queue(enum world_vm_op op)
{
    return op == WORLD_VM_KILL || op == WORLD_VM_LIST || op == WORLD_VM_PING || op == WORLD_VM_EXEC;
}

/* Is an earlier request for the same machine under way? */
static bool vm_call_waits(const struct simhost *host, const struct simcall *call)
{
    const struct world_vm_request *request = call->request;

    if (jumps_the_queue(request->op)) {
        return false;
    }
    for (const struct simcall *at = host->vms->calls; at != call; at = at->next) {
        const struct world_vm_request *earlier = at->request;
        if (!jumps_the_queue(earlier->op) && strcmp(earlier->spec.name, request->spec.name) == 0) {
            return true;
        }
    }
    return false;
}

static void begin_vm_calls(struct simhost *host)
{
    for (struct simcall *call = host->vms->calls; call != NULL; call = call->next) {
        const struct world_vm_request *request = call->request;
        if (call->is_begun || vm_call_waits(host, call)) {
            continue;
        }
        call->is_begun = true;
        if (request->op == WORLD_VM_START) {
            simcall_after(call, SIMVM_EXEC_TIME, start_executes);
        } else if (request->op == WORLD_VM_LIST) {
            simcall_after(call, SIMVM_LATENCY, list_machines);
        } else {
            simcall_after(call, SIMVM_LATENCY, command_machine);
        }
    }
}

static void vm_submit(void *self, struct world_vm_request *request)
{
    struct simhost *host = self;

    CHECK(request->op < WORLD_VM_OPS && request->done != NULL);
    CHECK(request->op == WORLD_VM_LIST || strlen(request->spec.name) < WORLD_NAME_MAX_BYTES);
    CHECK(request->op != WORLD_VM_START || request->spec.volume != NULL);
    CHECK(request->op != WORLD_VM_EXEC || request->command != NULL);
    (void)simcall_open(&host->vms->calls, host, request, request->deadline, vm_expired);
    begin_vm_calls(host);
}

static void vm_watch(void *self, struct world_vm_sink *sink)
{
    struct simhost *host = self;
    host->vms->sink = sink;
}

const struct world_vm_ops simvm_ops = {vm_submit, vm_watch};
