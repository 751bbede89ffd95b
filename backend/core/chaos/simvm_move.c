/* MIGRATE: a guest is moved from one host's machine into another's, or stays where it is. */
#include <string.h>

#include "core/chaos/simnet_int.h"
#include "core/chaos/simvm_int.h"

static struct simhost *host_of(const struct simworld *sim, const char *name)
{
    for (size_t i = 0; i < sim->host_count; i++) {
        if (strcmp(sim->hosts[i]->name, name) == 0) {
            return sim->hosts[i];
        }
    }
    return NULL;
}

/* The machine that waits there, if it can be reached. */
static struct simvm *move_target(struct simhost *from, const struct world_endpoint *to)
{
    struct simhost *host = host_of(from->sim, to->host);
    struct simvm *vm = host != NULL && !host->is_off ? host->vms->machines : NULL;

    while (vm != NULL && (!vm->is_waiting || vm->port != to->port)) {
        vm = vm->next;
    }
    if (vm == NULL || vm->faults.is_frozen || vm->faults.is_unkillable) {
        return NULL;
    }
    if (host != from &&
        (!simlink_passes(simlink_get(from, host)) || !simlink_passes(simlink_get(host, from)))) {
        return NULL;
    }
    return vm;
}

static void move_answers(struct simcall *call)
{
    simvm_answer(call, OK, WORLD_VM_UNKNOWN);
}

/* All of it is over there, or nothing is: both machines know of it. */
static void move_ends(struct simcall *call)
{
    const struct world_vm_request *request = call->request;
    struct simvm *vm = simvm_find(call->host, request->spec.name);

    if (vm == NULL || !simvm_has_guest(vm)) {
        simvm_answer(call, ERR_CLOSED, WORLD_VM_UNKNOWN);
        return;
    }
    if (vm->faults.is_frozen || vm->faults.is_unkillable || call->host->is_asleep) {
        simcall_after(call, SIMVM_LATENCY, move_ends);
        return;
    }
    struct simvm *target = move_target(call->host, &request->to);
    if (target == NULL || target->volume != vm->volume) {
        simvm_answer(call, ERR_CLOSED, WORLD_VM_UNKNOWN);
        return;
    }
    vm->is_moved = true;
    vm->is_paused = true;
    vm->shutdown_at = 0;
    simvolume_close(vm->volume, vm);
    target->is_waiting = false;
    target->hears_at = vm->hears_at; /* it goes on where it was */
    target->is_paused = true;
    simcall_after(call, SIMVM_LATENCY, move_answers);
}

void simvm_move_begin(struct simcall *call)
{
    const struct world_vm_request *request = call->request;
    const struct simvm *vm = simvm_find(call->host, request->spec.name);

    if (!simvm_has_guest(vm)) {
        simvm_answer(call, ERR_REFUSED, WORLD_VM_UNKNOWN);
    } else if (move_target(call->host, &request->to) == NULL) {
        simvm_answer(call, ERR_CLOSED, WORLD_VM_UNKNOWN);
    } else {
        simcall_after(call, SIMVM_MOVE_TIME, move_ends);
    }
}
