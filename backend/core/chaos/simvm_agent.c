/* PING and EXEC: what the agent within a simulated guest does. */
#include <string.h>

#include "core/chaos/simvm_int.h"

void simvm_set_agent(struct simhost *host, const char *name, const struct simvm_agent *agent)
{
    struct simvm *vm = simvm_find(host, name);

    if (vm != NULL) {
        vm->agent = *agent;
    }
}

static bool agent_answers(const struct simvm *vm)
{
    return simvm_has_guest(vm) && !vm->is_paused && !vm->faults.is_frozen && !vm->faults.is_mute &&
           !vm->faults.is_unkillable && !vm->agent.is_mute && !vm->host->is_asleep;
}

static void says(struct world_command_says *says, const char *text)
{
    const size_t n = text != NULL ? strlen(text) : 0;

    says->kept = says->buffer != NULL ? (size_t)u64_min(says->room, n) : 0;
    says->total = n;
    if (says->kept > 0) {
        memcpy(says->buffer, text, says->kept);
    }
}

static void simvm_program_ends(struct simcall *call)
{
    const struct world_vm_request *request = call->request;
    struct world_command_request *command = request->command;
    const struct simvm *vm = simvm_find(call->host, request->spec.name);

    if (vm == NULL) {
        simvm_answer(call, ERR_CLOSED, WORLD_VM_UNKNOWN);
        return;
    }
    if (!agent_answers(vm)) {
        return; /* the deadline answers */
    }
    says(&command->output, vm->agent.output);
    says(&command->errors, NULL);
    command->result = OK;
    command->end = WORLD_COMMAND_EXITED;
    command->status = vm->agent.status;
    simvm_answer(call, OK, WORLD_VM_UNKNOWN);
}

void simvm_agent_begin(struct simcall *call)
{
    const struct world_vm_request *request = call->request;
    const struct simvm *vm = simvm_find(call->host, request->spec.name);

    if (vm->agent.is_missing) {
        simvm_answer(call, ERR_UNSUPPORTED, WORLD_VM_UNKNOWN);
    } else if (!agent_answers(vm)) {
        return; /* the deadline answers */
    } else if (request->op == WORLD_VM_PING) {
        simvm_answer(call, OK, WORLD_VM_UNKNOWN);
    } else if (vm->agent.span != NANOS_FOREVER) {
        simcall_after(call, u64_max(vm->agent.span, 1), simvm_program_ends);
    }
}
