/* PING and EXEC: what the agent within a simulated guest does. */
#include <string.h>

#include "core/chaos/simvm_int.h"

static bool agent_is_sick(const struct simvm_agent *agent)
{
    return agent->is_missing || agent->is_mute || agent->status != 0 || agent->span != 0;
}

void simvm_set_agent(struct simhost *host, const char *name, const struct simvm_agent *agent)
{
    struct simvm *vm = simvm_find(host, name);

    if (vm != NULL) {
        vm->sick_guest = agent_is_sick(&vm->agent) ? simworld_now(host->sim) : vm->sick_guest;
        vm->agent = *agent;
    }
}

void simvm_set_agent_boot(struct simhost *host, nanos boot)
{
    host->vms->agent_boot = boot;
}

bool simvm_was_sick(const struct simhost *host, const char *name, bool is_process, nanos span)
{
    const struct simvm *vm = simvm_find(host, name);

    if (vm == NULL) {
        return false;
    }
    bool is_sick = !simvm_takes_commands(vm);
    nanos last = vm->sick_process;
    if (!is_process) {
        is_sick = is_sick || agent_is_sick(&vm->agent);
        last = u64_max(last, vm->sick_guest);
    }
    return is_sick || (last != 0 && last + span >= simworld_now(host->sim));
}

static bool agent_answers(const struct simvm *vm)
{
    return simvm_has_guest(vm) && !vm->is_paused && simvm_takes_commands(vm) &&
           !vm->agent.is_mute && !vm->host->is_asleep &&
           simworld_now(vm->host->sim) >= vm->agent_from;
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
