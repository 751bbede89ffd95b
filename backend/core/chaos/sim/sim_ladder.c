/*
 * The ladder of machines (core/ha/ha_agent_ladder.c), held against the truth:
 *
 *     I48  no machine is ended by its ladder whose process, or guest, was well all the time that
 *          its checks look back on; and none for a check that it does not have
 *
 * The guests of a run boot for a while before their agents answer, hosts sleep, processes are
 * stopped, and leases end: none of that is a sickness of a machine.
 */
#include <string.h>

#include "core/base/check.h"
#include "core/chaos/sim/sim_int.h"
#include "core/chaos/simvm.h"
#include "core/ha/ha_ladder_view.h"

/* From the end of a sickness to the last decision by an answer of that time: a time-out, a turn of
 * an agent on a slow processor. */
#define LOOKS_BACK (3 * NANOS_PER_S)

static const struct ha_vm *machine_of(const struct simmember *m, const char *machine)
{
    return m->ha != NULL ? ha_view_vm(ha_member_view(m->ha), machine) : NULL;
}

void sim_ladder_ended(struct sim *s, const struct simmember *m, const char *machine,
                      const char *reason)
{
    bool is_process = strstr(reason, "on QMP") != NULL;
    const struct ha_vm *vm = machine_of(m, machine);

    sim_reach(s, is_process ? REACHED_VM_HUNG : REACHED_VM_UNWELL);
    if (!simvm_was_sick(m->host, machine, is_process, LOOKS_BACK)) {
        sim_fail(s, SIM_UNSAFE, "I48", "a machine was ended by its ladder, and was well");
    }
    if (!is_process && vm != NULL && vm->startup.ask == HA_ASK_NOTHING &&
        vm->liveness.ask == HA_ASK_NOTHING) {
        sim_fail(s, SIM_UNSAFE, "I48", "a machine was ended by a check that it does not have");
    }
}

bool sim_ladder_is_well(const struct ha_view *view, uint32_t machine)
{
    const struct ha_vm *vm = ha_view_vm(view, simcluster_machine_name(machine));
    struct ha_ladder_view ladder;

    if (vm == NULL) {
        return false;
    }
    ha_ladder_look(view, vm, &ladder);
    return ladder.is_well;
}
