/* MIGRATE: a guest is moved from one host's machine into another's, or stays where it is. The move
 * is the machines' own: the process that has asked for it may die meanwhile, and it ends all the
 * same. */
#include <string.h>

#include "core/chaos/simnet_int.h"
#include "core/chaos/simvm_int.h"

/* A move under way: owned by its event. Its machine is found again by name, as it may end. */
struct simmove {
    struct simhost *host;
    char name[WORLD_NAME_MAX_BYTES];
    uint64_t number;
    struct world_endpoint to;
};

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

/* The request that waits for this move; NULL: its process is gone, or has called it off. */
static struct simcall *move_call(const struct simmove *move)
{
    for (struct simcall *call = move->host->vms->calls; call != NULL; call = call->next) {
        const struct world_vm_request *request = call->request;
        if (call->is_begun && request->op == WORLD_VM_MIGRATE &&
            strcmp(request->spec.name, move->name) == 0) {
            return call;
        }
    }
    return NULL;
}

static void simmove_answers(struct simcall *call)
{
    struct world_vm_request *request = call->request;
    const struct simvm *vm = simvm_find(call->host, request->spec.name);

    request->moved = (struct world_vm_moved){SIMVM_MOVE_TIME, SIMVM_MOVE_PAUSE};
    simvm_answer(call, vm != NULL ? OK : ERR_CLOSED, WORLD_VM_UNKNOWN);
}

static void simmove_fails(struct simcall *call)
{
    simvm_answer(call, ERR_CLOSED, WORLD_VM_UNKNOWN);
}

static void move_tell(const struct simmove *move, void (*step)(struct simcall *call))
{
    struct simcall *call = move_call(move);

    if (call != NULL && !call->has_event) {
        simcall_after(call, SIMVM_LATENCY, step);
    }
}

static void move_schedule(struct simmove *move, nanos span);

/* All of it is over there, or nothing is: both machines know of it. */
static void move_ends(void *arg)
{
    struct simmove *move = arg;
    struct simhost *host = move->host;
    struct simvm *vm = simvm_find(host, move->name);

    if (vm == NULL || vm->moving != move->number) {
        if (vm == NULL || vm->moving == 0) {
            move_tell(move, simmove_fails); /* it is not that of a later move */
        }
        mem_free(move);
        return;
    }
    if (vm->faults.is_frozen || vm->faults.is_unkillable || host->is_asleep) {
        move_schedule(move, SIMVM_LATENCY);
        return;
    }
    struct simvm *target = move_target(host, &move->to);
    vm->moving = 0;
    if (target == NULL || target->volume != vm->volume || !simvm_has_guest(vm)) {
        move_tell(move, simmove_fails);
    } else {
        vm->is_moved = true;
        vm->is_paused = true;
        vm->shutdown_at = 0;
        simvolume_close(vm->volume, vm);
        target->is_waiting = false;
        target->is_arrived = true;
        target->hears_at = vm->hears_at; /* it goes on where it was */
        target->agent_from = vm->agent_from;
        target->agent = vm->agent;
        target->is_paused = true;
        move_tell(move, simmove_answers);
    }
    mem_free(move);
}

static void move_schedule(struct simmove *move, nanos span)
{
    simworld_schedule(move->host->sim, NULL, move->host->sim->now + span, move_ends, mem_free,
                      move);
}

void simvm_move_begin(struct simcall *call)
{
    const struct world_vm_request *request = call->request;
    struct simvm *vm = simvm_find(call->host, request->spec.name);

    if (!simvm_has_guest(vm)) {
        simvm_answer(call, ERR_REFUSED, WORLD_VM_UNKNOWN);
    } else if (vm->moving != 0 || move_target(call->host, &request->to) == NULL) {
        simvm_answer(call, ERR_CLOSED, WORLD_VM_UNKNOWN);
    } else {
        struct simmove *move = mem_alloc_zero(sizeof *move);
        vm->moving = ++call->host->vms->moves;
        move->host = call->host;
        move->number = vm->moving;
        move->to = request->to;
        memcpy(move->name, vm->name, sizeof vm->name);
        move_schedule(move, SIMVM_MOVE_TIME);
    }
}

void simvm_move_expired(struct simcall *call)
{
    const struct world_vm_request *request = call->request;
    struct simvm *vm = simvm_find(call->host, request->spec.name);

    if (vm != NULL) {
        vm->moving = 0;
    }
}
