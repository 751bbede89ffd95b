/* Storage that fails for one host, or comes back half-used: what becomes of each machine. */
#include <string.h>

#include "core/chaos/scenario/stage_machines.h"

#define PATIENT 1 /* its rule is `keep` */
#define LOSS    (40 * NANOS_PER_S)

static void lose_volume(struct stage *st, uint32_t machine, const struct simmember *m, bool is_lost)
{
    stage_say(st, is_lost ? "the host loses the volume of a machine" : "and has it again");
    simvolume_cut(st->sim.cluster.volume[machine], m->host, is_lost);
}

void scenario_storage_loss_rule(struct stage *st)
{
    const struct sim_settings s = stage_hosts(3, 4);

    stage_found_hosts(st, &s);
    struct simmember *m = stage_host_of(st, 0, 1U << 0 | 1U << PATIENT);
    struct ha_vm vm = stage_machine(st, 0);
    vm.storage_loss_ms = LOSS / NANOS_PER_MS;
    STAGE_APPLY(st, &vm);
    vm = stage_machine(st, PATIENT);
    vm.on_storage_loss = HA_LOSS_KEEP;
    STAGE_APPLY(st, &vm);
    const uint64_t epochs[] = {stage_owner(st, 0)->epoch, stage_owner(st, PATIENT)->epoch};

    lose_volume(st, 0, m, true);
    stage_pass(st, LOSS - 15 * NANOS_PER_S);
    stage_expect(st, stage_home(st, 0) == m && stage_owner(st, 0)->epoch == epochs[0],
                 "for shorter than its rule allows it stands still");
    const uint64_t writes = simvolume_writes(st->sim.cluster.volume[0]);
    lose_volume(st, 0, m, false);
    stage_pass(st, 14 * NANOS_PER_S);
    stage_expect(st,
                 stage_home(st, 0) == m && stage_owner(st, 0)->epoch == epochs[0] &&
                     simvolume_writes(st->sim.cluster.volume[0]) > writes + 10,
                 "and goes on where it stood");

    lose_volume(st, 0, m, true);
    lose_volume(st, PATIENT, m, true);
    STAGE_UNTIL(st, LOSS + STAGE_EXPIRED_WITHIN, stage_runs_off(st, 0, m),
                "when it has lasted, the machine runs on another host");
    stage_expect(st, stage_owner(st, 0)->epoch == epochs[0] + 1, "it was started once");
    stage_pass(st, 60 * NANOS_PER_S);
    stage_expect(st, stage_home(st, PATIENT) == m && stage_owner(st, PATIENT)->epoch == epochs[1],
                 "the one whose rule is to wait waits");
    stage_expect(st, stage_offs_all(st) == 0 && stage_fate(st, m) == HA_HOST_UP,
                 "nobody is fenced for a store");
    lose_volume(st, PATIENT, m, false);
    stage_pass(st, 14 * NANOS_PER_S);
    stage_expect(st, stage_runs(st, PATIENT) && stage_owner(st, PATIENT)->epoch == epochs[1],
                 "and goes on");
}

/* A host is fenced, and the storage keeps the locks of its machines for a minute and more, as a
 * server does that waits for its client. They are not ours to break. */
#define LINGERS (70 * NANOS_PER_S)

void scenario_lock_of_the_dead(struct stage *st)
{
    const struct sim_settings s = stage_hosts(3, 4);

    stage_found_hosts(st, &s);
    struct simmember *m = stage_host_of(st, 0, 1U << 0 | 1U << 3);
    const uint64_t epoch = stage_owner(st, 3)->epoch;
    simvolume_set_linger(st->sim.cluster.volume[3], LINGERS);
    stage_switch_off(st, m);
    STAGE_UNTIL(st, STAGE_FENCED_WITHIN, stage_runs_off(st, 0, m), "the other machine runs");
    stage_pass(st, LINGERS - 2 * STAGE_FENCED_WITHIN);
    stage_expect(st, stage_home(st, 3) == NULL && stage_owner(st, 3)->failures > 0,
                 "the lock of a machine that is dead is not broken");
    STAGE_UNTIL(st, 2 * STAGE_FENCED_WITHIN + 65 * NANOS_PER_S, stage_runs_off(st, 3, m),
                "it runs once the storage has given it up");
    stage_expect(st, stage_owner(st, 3)->epoch > epoch, "in an epoch of its own");
}
