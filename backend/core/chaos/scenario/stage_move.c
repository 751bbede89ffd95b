#include "core/chaos/scenario/stage_move.h"

#include <string.h>

static struct simmember *stage_member_named(struct stage *st, const char *name)
{
    for (uint32_t i = 0; i < st->sim.cluster.n; i++) {
        if (strcmp(stage_member(st, i)->name, name) == 0) {
            return stage_member(st, i);
        }
    }
    return NULL;
}

static void move_wish(struct stage *st, uint32_t machine, const struct simmember *to)
{
    struct ha_vm vm = stage_machine(st, machine);

    ha_text_set(vm.move_to, sizeof vm.move_to, to->name);
    STAGE_APPLY(st, &vm);
}

struct stage_move stage_move_begin(struct stage *st, uint32_t machine, bool to_leader)
{
    struct stage_move move = {.machine = machine};

    move.from = stage_host_of(st, 0, 1U << machine);
    move.to = to_leader ? stage_leader(st) : stage_follower(st, 0);
    if (move.to == move.from) {
        move.to = stage_follower(st, 1);
    }
    STAGE_UNTIL(st, STAGE_EXPIRED_WITHIN,
                stage_runs(st, machine) &&
                    stage_member_named(st, stage_owner(st, machine)->host) == move.from,
                "it runs where it is to be moved from");
    move.before = *stage_owner(st, machine);
    move_wish(st, machine, move.to);
    return move;
}

enum world_vm_state stage_state_at(const struct simmember *m, uint32_t machine)
{
    struct world_vm_found found;

    for (size_t k = 0; simvm_at(m->host, k, &found); k++) {
        if (strcmp(found.name, simcluster_machine_name(machine)) == 0) {
            return found.state;
        }
    }
    return WORLD_VM_UNKNOWN;
}

static bool move_is_in(struct stage *st, const struct stage_move *move, enum stage_move_phase phase)
{
    const struct ha_owner *owner = stage_owner(st, move->machine);
    const enum world_vm_state from = stage_state_at(move->from, move->machine);
    const enum world_vm_state to = stage_state_at(move->to, move->machine);

    switch (phase) {
    case MOVE_BEGUN:
        return owner->phase == HA_MOVING && owner->port == 0;
    case MOVE_SENDING:
        return owner->phase == HA_MOVING && owner->port != 0 && from == WORLD_VM_RUNNING &&
               to == WORLD_VM_WAITING;
    case MOVE_SENT:
        return owner->phase == HA_MOVING && from == WORLD_VM_MOVED;
    case MOVE_DECIDED:
        return owner->phase == HA_STARTING && owner->proof == HA_PROOF_MOVED &&
               to == WORLD_VM_PAUSED;
    case MOVE_PHASES:
    default:
        return false;
    }
}

void stage_move_await(struct stage *st, const struct stage_move *move, enum stage_move_phase phase)
{
    static const char *const texts[MOVE_PHASES] = {
        "a machine is to wait for the guest",
        "the guest is being sent",
        "the guest was sent",
        "the switch-over is decided",
    };

    STAGE_UNTIL(st, STAGE_MOVED_WITHIN, move_is_in(st, move, phase), texts[phase]);
}

bool stage_runs_on(struct stage *st, const struct stage_move *move)
{
    const struct ha_owner *owner = stage_owner(st, move->machine);

    return stage_runs(st, move->machine) && owner->restarts == move->before.restarts &&
           owner->failures == move->before.failures;
}
