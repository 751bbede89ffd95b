#include "core/chaos/simvm.h"

#include <string.h>

#include "core/chaos/simvm_int.h"

void simvm_init(struct simhost *host)
{
    host->vms = mem_alloc_zero(sizeof *host->vms);
}

struct simvm *simvm_find(const struct simhost *host, const char *name)
{
    struct simvm *vm = host->vms->machines;

    while (vm != NULL && strcmp(vm->name, name) != 0) {
        vm = vm->next;
    }
    return vm;
}

/* --- the life of a machine -------------------------------------------------------------------- */

static void schedule_turn(struct simvm *vm);

static void drop_turn(void *arg)
{
    struct simvm *vm = arg;
    if (vm->is_dead) {
        mem_free(vm);
    }
}

bool simvm_has_guest(const struct simvm *vm)
{
    return !vm->is_waiting && !vm->is_moved;
}

bool simvm_takes_commands(const struct simvm *vm)
{
    return !vm->faults.is_mute && !vm->faults.is_frozen && !vm->faults.is_unkillable;
}

enum world_vm_state simvm_state(const struct simvm *vm)
{
    if (!simvm_has_guest(vm)) {
        return vm->is_waiting ? WORLD_VM_WAITING : WORLD_VM_MOVED;
    }
    return vm->is_paused ? WORLD_VM_PAUSED : WORLD_VM_RUNNING;
}

static bool vm_is_running(const struct simvm *vm)
{
    return simvm_has_guest(vm) && !vm->is_paused && !vm->faults.is_frozen &&
           !vm->faults.is_unkillable && !vm->host->is_asleep;
}

/* Each machine has one event, which frees it when it is dead. */
static void take_turn(void *arg)
{
    struct simvm *vm = arg;

    if (vm->is_dead) {
        mem_free(vm);
        return;
    }
    schedule_turn(vm);
    if (!vm_is_running(vm)) {
        return;
    }
    if (vm->shutdown_at != 0 && vm->shutdown_at <= vm->host->sim->now) {
        simvm_end(vm, WORLD_VM_SHUT_DOWN);
    } else if (vm->faults.has_no_room || simvolume_is_cut(vm->volume, vm->host)) {
        vm->is_paused = true;
        vm->stands = true;
    } else {
        simvolume_write(vm->volume, vm);
    }
}

static void schedule_turn(struct simvm *vm)
{
    struct simworld *sim = vm->host->sim;
    simworld_schedule(sim, NULL, sim->now + SIMVM_WRITE_PERIOD, take_turn, drop_turn, vm);
}

enum err simvm_spawn(struct simhost *host, const struct world_vm_spec *spec, struct simvm **ret)
{
    struct simvolume *volume = simvolume_find(host->sim, spec->volume);

    if (simvm_find(host, spec->name) != NULL) {
        return ERR_EXISTS;
    }
    if (volume == NULL) {
        return ERR_NOT_FOUND;
    }
    struct simvm *vm = mem_alloc_zero(sizeof *vm);
    vm->host = host;
    vm->volume = volume;
    vm->epoch = spec->epoch;
    vm->hears_at = host->sim->now + SIMVM_DEAF_TIME;
    memcpy(vm->name, spec->name, strlen(spec->name) + 1);
    vm->agent_from = simworld_now(host->sim) + host->vms->agent_boot;
    vm->is_waiting = spec->is_incoming;
    if (vm->is_waiting) {
        vm->port = ++host->vms->ports;
    }
    enum err e = vm->is_waiting ? OK : simvolume_open(volume, vm);
    if (e != OK) {
        mem_free(vm);
        return e;
    }
    struct simvm **at = &host->vms->machines;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = vm;
    simworld_tell(host->sim, host, SIMTRACE_VM_BEGAN, NULL, vm->epoch);
    schedule_turn(vm);
    *ret = vm;
    return OK;
}

/* Off its host's list, without its lock; its event frees it. */
static void bury(struct simvm *vm)
{
    struct simvm **at = &vm->host->vms->machines;

    while (*at != vm) {
        CHECK(*at != NULL);
        at = &(*at)->next;
    }
    *at = vm->next;
    vm->is_dead = true;
    simvolume_close(vm->volume, vm);
    simworld_tell(vm->host->sim, vm->host, SIMTRACE_VM_ENDED, NULL, vm->epoch);
}

/* News of an exit, on their way to the node's process. */
struct obituary {
    struct simhost *host;
    struct world_vm_exit exit;
};

static void obituary_arrives(void *arg)
{
    struct obituary *obituary = arg;
    struct world_vm_sink *sink = obituary->host->vms->sink;

    if (sink != NULL) {
        sink->exited(sink, &obituary->exit);
    }
    mem_free(obituary);
}

static void note_unseen(struct simhost *host, const struct simvm *vm, enum world_vm_end end)
{
    struct simvm_unseen **at = &host->vms->unseen;
    struct simvm_unseen *unseen = mem_alloc_zero(sizeof *unseen);

    unseen->exit = (struct world_vm_exit){.epoch = vm->epoch, .end = end};
    memcpy(unseen->exit.name, vm->name, sizeof vm->name);
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = unseen;
}

void simvm_tell_unseen(struct simhost *host, const char *name)
{
    struct simvm_unseen **at = &host->vms->unseen;

    while (*at != NULL && host->vms->sink != NULL) {
        struct simvm_unseen *unseen = *at;
        if (name != NULL && strcmp(unseen->exit.name, name) != 0) {
            at = &unseen->next;
            continue;
        }
        *at = unseen->next;
        host->vms->sink->exited(host->vms->sink, &unseen->exit);
        mem_free(unseen);
    }
}

static void forget_unseen(struct simhost *host)
{
    while (host->vms->unseen != NULL) {
        struct simvm_unseen *unseen = host->vms->unseen;
        host->vms->unseen = unseen->next;
        mem_free(unseen);
    }
}

void simvm_end(struct simvm *vm, enum world_vm_end end)
{
    struct simhost *host = vm->host;

    bury(vm);
    if (!vm->is_told) {
        if (vm->is_ours) {
            note_unseen(host, vm, end);
        }
        return;
    }
    struct obituary *obituary = mem_alloc_zero(sizeof *obituary);
    obituary->host = host;
    obituary->exit = (struct world_vm_exit){.epoch = vm->epoch, .end = end};
    memcpy(obituary->exit.name, vm->name, sizeof vm->name);
    simworld_schedule(host->sim, host, host->sim->now, obituary_arrives, mem_free, obituary);
}

void simvm_lose_power(struct simhost *host)
{
    forget_unseen(host);
    while (host->vms->machines != NULL) {
        simvolume_orphan(host->vms->machines->volume, host->vms->machines);
        bury(host->vms->machines);
    }
}

void simvm_forget(struct simhost *host)
{
    simcall_forget(&host->vms->calls);
    host->vms->sink = NULL;
    for (struct simvm *vm = host->vms->machines; vm != NULL; vm = vm->next) {
        vm->is_told = false;
    }
}

void simvm_deinit(struct simhost *host)
{
    while (host->vms->machines != NULL) {
        struct simvm *vm = host->vms->machines;
        host->vms->machines = vm->next;
        mem_free(vm);
    }
    forget_unseen(host);
    mem_free(host->vms);
}

/* --- what a simulation does to machines --------------------------------------------------------
 */

bool simvm_at(const struct simhost *host, size_t at, struct world_vm_found *ret)
{
    const struct simvm *vm = host->vms->machines;

    while (vm != NULL && at > 0) {
        vm = vm->next;
        at--;
    }
    if (vm == NULL) {
        return false;
    }
    *ret = (struct world_vm_found){
        .epoch = vm->epoch, .is_guarded = vm->is_held, .state = simvm_state(vm)};
    memcpy(ret->name, vm->name, sizeof vm->name);
    memcpy(ret->volume, vm->volume->name, sizeof ret->volume);
    return true;
}

void simvm_set_faults(struct simhost *host, const char *name, const struct simvm_faults *faults)
{
    struct simvm *vm = simvm_find(host, name);

    if (vm != NULL) {
        vm->sick_process = simvm_takes_commands(vm) ? vm->sick_process : simworld_now(host->sim);
        vm->faults = *faults;
    }
}

void simvm_crash(struct simhost *host, const char *name)
{
    struct simvm *vm = simvm_find(host, name);

    if (vm != NULL) {
        simvm_end(vm, WORLD_VM_CRASHED);
    }
}

void simvm_shut_down(struct simhost *host, const char *name)
{
    struct simvm *vm = simvm_find(host, name);

    if (vm != NULL) {
        simvm_end(vm, WORLD_VM_SHUT_DOWN);
    }
}

void simvm_fail_starts(struct simhost *host, uint32_t count)
{
    host->vms->failing_starts = count;
}

enum err simvm_start_by_hand(struct simhost *host, const struct world_vm_spec *spec)
{
    struct simvm *vm = NULL;
    return simvm_spawn(host, spec, &vm);
}
