/* Machines, fence devices, guards, volumes and mains: what befalls hosts that run machines. */
#include <string.h>

#include "core/base/check.h"
#include "core/chaos/sim/inject_int.h"
#include "core/chaos/simguard.h"
#include "core/chaos/simpower.h"
#include "core/chaos/simvm.h"

/* The machine of the host that the row strikes: its draw's, counted round. False: none lives. */
static bool row_machine(const struct inject_active *a, struct world_vm_found *ret)
{
    size_t count = 0;

    while (simvm_at(a->at->host, count, ret)) {
        count++;
    }
    return count > 0 && simvm_at(a->at->host, a->row.draw % count, ret);
}

static struct simvm_faults machine_faults(enum fault_kind kind)
{
    return (struct simvm_faults){.is_frozen = kind == FAULT_VM_HANG,
                                 .is_mute = kind == FAULT_VM_MUTE,
                                 .is_unkillable = kind == FAULT_VM_STUCK,
                                 .ignores_stop = kind == FAULT_VM_STUBBORN};
}

/* A machine, of all, to a host of those that ever had a node; both as the draw has them. */
static enum inject_outcome begin_move(struct inject_active *a)
{
    struct simoperator *o = a->inject->operator;
    const struct simcluster *c = a->inject->cluster;
    uint32_t to = (uint32_t)((a->row.draw >> 16) % c->n);
    struct ha_vm vm;

    if (!o->is_declared) {
        return INJECT_NO_TARGET;
    }
    while (c->member[to].state == MEMBER_BLANK) {
        to = (to + 1) % c->n; /* `at` is none of those */
    }
    simoperator_machine(o, (uint32_t)(a->row.draw % c->n_machines), &vm);
    ha_text_set(vm.move_to, sizeof vm.move_to, c->member[to].name);
    vm.moves_offline = a->row.mode == 2;
    return simoperator_write(o, HA_VM, &vm, false) ? INJECT_DONE : INJECT_NO_TARGET;
}

static struct simvm_agent agent_faults(uint32_t mode)
{
    struct simvm_agent agent = {.is_mute = mode == 0, .status = mode == 1 ? 1 : 0};

    _Static_assert(INJECT_AGENT_FAULTS == 4, "one of these a mode");
    if (mode >= 2) {
        agent.span = mode == 2 ? 1200 * NANOS_PER_MS : NANOS_FOREVER;
    }
    return agent;
}

static enum inject_outcome begin_machine(struct inject_active *a)
{
    const struct simvm_faults faults = machine_faults(a->row.kind);
    const struct simvm_agent agent = agent_faults(a->row.mode % INJECT_AGENT_FAULTS);
    struct world_vm_found found;

    if (a->row.kind == FAULT_VM_NO_START) {
        simvm_fail_starts(a->at->host, (uint32_t)a->row.number);
        return INJECT_DONE;
    }
    if (!row_machine(a, &found)) {
        return INJECT_NO_TARGET;
    }
    memcpy(a->machine, found.name, sizeof a->machine);
    if (a->row.kind == FAULT_VM_CRASH) {
        simvm_crash(a->at->host, found.name);
    } else if (a->row.kind == FAULT_VM_SHUT_DOWN) {
        simvm_shut_down(a->at->host, found.name);
    } else if (a->row.kind == FAULT_VM_AGENT) {
        simvm_set_agent(a->at->host, found.name, &agent);
    } else {
        simvm_set_faults(a->at->host, found.name, &faults);
    }
    return INJECT_DONE;
}

/* How a device may fail and safety must hold. One that says "off" of a host that is on, by order
 * and by status, deceives anybody; so it is not among them. */
static struct simdevice_faults device_faults(uint32_t mode)
{
    struct simdevice_faults faults = simdevice_faults_none();

    _Static_assert(INJECT_DEVICE_FAULTS == 9, "one of these a mode");
    faults.is_unreachable = mode == 0;
    faults.is_hung = mode == 1;
    faults.loses_answers = mode == 2;
    faults.denies = mode == 3;
    faults.only_says_ok = mode == 4 || mode == 8;
    faults.says_failed = mode == 5;
    faults.cannot_tell = mode == 6 || mode == 8;
    faults.answers_early = mode == 7;
    return faults;
}

/* Its controller alone, or its outlet, too. */
static bool strikes_both_devices(const struct inject_active *a)
{
    return (a->row.draw >> 8 & 1) != 0;
}

/* The members that run a node, or could: the machines of others are nobody's. */
enum inject_outcome inject_begin_vm(struct inject_active *a)
{
    const struct simdevice_faults faults = device_faults(a->row.mode % INJECT_DEVICE_FAULTS);
    struct simcluster *c = a->inject->cluster;

    if (c->n_machines == 0 || a->at->state == MEMBER_BLANK) {
        return INJECT_NO_TARGET;
    }
    switch ((int)a->row.kind) {
    case FAULT_VM_MOVE:
        return begin_move(a);
    case FAULT_DEVICE:
        simdevice_set_faults(c->world, a->at->name, &faults);
        if (strikes_both_devices(a)) {
            simdevice_set_faults(c->world, a->at->outlet, &faults);
        }
        return INJECT_DONE;
    case FAULT_NO_DEVICES:
        simhost_cut_management(a->at->host, true);
        return INJECT_DONE;
    case FAULT_GUARD_STALL:
        simguard_stall(a->at->host, simworld_now(c->world) + a->row.span);
        return INJECT_DONE;
    case FAULT_VOLUME_CUT:
        simcluster_cut_volumes(c, a->at, true);
        return INJECT_DONE;
    case FAULT_SWITCH_OFF:
        simhost_switch_off(a->at->host);
        return INJECT_DONE;
    case FAULT_UNPLUG:
        simhost_unplug(a->at->host);
        return INJECT_DONE;
    default:
        return begin_machine(a);
    }
}

/* Of the machine that was struck alone. What ails a process stays at its host; a guest that was
 * moved while it ran has taken its agent along. */
static void end_machine(const struct inject_active *a)
{
    const struct simvm_faults none = {0};
    const struct simvm_agent well = {0};
    const struct simcluster *c = a->inject->cluster;

    if (a->row.kind != FAULT_VM_AGENT) {
        simvm_set_faults(a->at->host, a->machine, &none);
        return;
    }
    for (uint32_t i = 0; i < c->n; i++) {
        simvm_set_agent(c->member[i].host, a->machine, &well);
    }
}

void inject_end_vm(struct inject_active *a)
{
    switch ((int)a->row.kind) {
    case FAULT_VM_HANG:
    case FAULT_VM_MUTE:
    case FAULT_VM_STUCK:
    case FAULT_VM_STUBBORN:
    case FAULT_VM_AGENT:
        end_machine(a);
        break;
    case FAULT_DEVICE:
        simdevice_set_faults(a->inject->cluster->world, a->at->name, NULL);
        simdevice_set_faults(a->inject->cluster->world, a->at->outlet, NULL);
        break;
    case FAULT_NO_DEVICES:
        simhost_cut_management(a->at->host, false);
        break;
    case FAULT_GUARD_STALL:
        simguard_stall(a->at->host, 0);
        break;
    case FAULT_VOLUME_CUT:
        simcluster_cut_volumes(a->inject->cluster, a->at, false);
        break;
    case FAULT_UNPLUG:
        simhost_plug_in(a->at->host, false);
        inject_restart(a->inject, a->at);
        break;
    case FAULT_SWITCH_OFF:
        inject_restart(a->inject, a->at);
        break;
    default:
        break;
    }
}
