/* Clusters that fall apart, and what comes up again: who may fence whom. */
#include "core/chaos/scenario/stage_machines.h"

/* Both halves of a group of two are without a quorum. */
void scenario_double_fencing(struct stage *st)
{
    const struct sim_settings s = stage_hosts(2, 4);

    stage_found_hosts(st, &s);
    stage_link_all(st, false);
    stage_pass(st, 60 * NANOS_PER_S);
    stage_expect(st, stage_offs_all(st) == 0, "without a quorum nobody fences");
    stage_link_all(st, true);
    stage_await_machines(st, STAGE_EXPIRED_WITHIN, "all run once they hear each other");
    stage_expect(st, stage_offs_all(st) == 0, "and nobody was fenced");
}

void scenario_fence_loop_after_reboot(struct stage *st)
{
    const struct sim_settings s = stage_hosts(3, 4);

    stage_found_hosts(st, &s);
    struct simmember *m = stage_host_of(st, 0, 1);
    stage_isolate(st, m, true);
    STAGE_UNTIL(st, STAGE_FENCED_WITHIN, stage_runs_off(st, 0, m), "it is fenced, and recovered");
    const uint64_t offs = stage_offs(st, m);
    for (uint32_t i = 0; i < 3; i++) {
        stage_switch_on(st, m);
        stage_pass(st, 20 * NANOS_PER_S);
    }
    stage_expect(st, stage_offs(st, m) == offs, "it owns nothing, and is not fenced again");
    stage_expect(st, stage_offs_all(st) == offs, "nor does it fence anybody, alone as it is");
}

/* Cut off in one direction: its heartbeats do not arrive, and all that it is sent does. */
void scenario_one_way_partition(struct stage *st)
{
    const struct sim_settings s = stage_hosts(3, 4);

    stage_found_hosts(st, &s);
    struct simmember *m = stage_host_of(st, 0, 1);
    const uint64_t epoch = stage_owner(st, 0)->epoch;
    for (uint32_t i = 0; i < 3; i++) {
        if (i != m->i) {
            stage_cut(st, m, stage_member(st, i), true);
        }
    }
    m->stays_down = true;
    STAGE_UNTIL(st, 2 * STAGE_FENCED_WITHIN, stage_runs_off(st, 0, m),
                "its machine runs elsewhere");
    stage_pass(st, 60 * NANOS_PER_S);
    stage_expect(st, stage_offs_all(st) == stage_offs(st, m), "nobody else is fenced");
    stage_expect(st, stage_offs(st, m) <= 2, "and it is not fenced again and again");
    stage_expect(st, stage_owner(st, 0)->epoch == epoch + 1, "its machine has moved once");
}

void scenario_leader_isolated_with_machines(struct stage *st)
{
    const struct sim_settings s = stage_hosts(3, 4);

    stage_found_hosts(st, &s);
    struct simmember *old = stage_leader(st);
    stage_move(st, 0, old);
    stage_move(st, 3, old);
    stage_isolate(st, old, true);
    STAGE_UNTIL(st, 2 * STAGE_FENCED_WITHIN,
                stage_runs_off(st, 0, old) && stage_runs_off(st, 3, old),
                "another one leads, fences it, and its machines run");
    stage_expect(st, stage_offs_all(st) == stage_offs(st, old), "it has fenced nobody");
}

static void cut_in_two(struct stage *st, uint32_t below)
{
    for (uint32_t a = 0; a < below; a++) {
        for (uint32_t b = below; b < st->sim.cluster.n; b++) {
            stage_link(st, stage_member(st, a), stage_member(st, b), false);
        }
    }
}

void scenario_even_split(struct stage *st)
{
    const struct sim_settings s = stage_hosts(4, 8);

    stage_found_hosts(st, &s);
    cut_in_two(st, 2);
    stage_pass(st, 60 * NANOS_PER_S);
    stage_expect(st, stage_offs_all(st) == 0, "no half is a quorum, and none fences");
    stage_link_all(st, true);
    stage_await_machines(st, STAGE_EXPIRED_WITHIN, "all run once the halves hear each other");
}

/* All run, on hosts from this one on. */
static bool all_run_from(struct stage *st, uint32_t first)
{
    for (uint32_t i = 0; i < st->sim.cluster.n_machines; i++) {
        if (!stage_runs(st, i) || stage_home(st, i)->i < first) {
            return false;
        }
    }
    return true;
}

void scenario_odd_split(struct stage *st)
{
    const struct sim_settings s = stage_hosts(5, 8);

    stage_found_hosts(st, &s);
    cut_in_two(st, 2);
    STAGE_UNTIL(st, 90 * NANOS_PER_S, all_run_from(st, 2), "the majority runs all machines");
    for (uint32_t i = 2; i < 5; i++) {
        stage_expect(st, stage_offs(st, stage_member(st, i)) == 0, "nobody of it was fenced");
    }
}

static void all_lose_power(struct stage *st)
{
    for (uint32_t i = 0; i < st->sim.cluster.n; i++) {
        stage_unplug(st, stage_member(st, i));
    }
}

/* All power is lost; the hosts come back one by one, the last ones late. */
void scenario_cold_start(struct stage *st)
{
    const struct sim_settings s = stage_hosts(5, 8);

    stage_found_hosts(st, &s);
    all_lose_power(st);
    stage_pass(st, 10 * NANOS_PER_S);
    for (uint32_t i = 0; i < 5; i++) {
        stage_switch_on(st, stage_member(st, i));
        stage_pass(st, 300 * NANOS_PER_MS);
    }
    stage_await_machines(st, 60 * NANOS_PER_S, "all run again");
    stage_expect(st, stage_offs_all(st) == 0, "nobody was fenced for being late");
}

/* ... and two of five never do. */
void scenario_half_cold_start(struct stage *st)
{
    const struct sim_settings s = stage_hosts(5, 8);

    stage_found_hosts(st, &s);
    all_lose_power(st);
    stage_pass(st, 10 * NANOS_PER_S);
    for (uint32_t i = 0; i < 3; i++) {
        stage_switch_on(st, stage_member(st, i));
    }
    stage_pass(st, 60 * NANOS_PER_S);
    for (uint32_t i = 0; i < 3; i++) {
        stage_expect(st, stage_offs(st, stage_member(st, i)) == 0, "nobody that runs is fenced");
    }
    for (uint32_t i = 0; i < 8; i++) {
        bool waits = stage_is_in(st, i, HA_RECOVERING);
        stage_expect(st, waits || stage_runs(st, i), "each machine runs, or waits for a proof");
    }
    for (uint32_t i = 3; i < 5; i++) {
        if (stage_fate(st, stage_member(st, i)) != HA_HOST_UP &&
            stage_fate(st, stage_member(st, i)) != HA_HOST_GONE) {
            stage_confirm_off(st, stage_member(st, i));
        }
    }
    stage_await_machines(st, STAGE_EXPIRED_WITHIN, "and the rest once somebody has looked");
}

/* Every host loses the storage, and all see each other. */
void scenario_storage_lost_by_all(struct stage *st)
{
    const struct sim_settings s = stage_hosts(3, 4);

    stage_found_hosts(st, &s);
    struct simmember *m = stage_host_of(st, 0, 1);
    for (uint32_t i = 0; i < 3; i++) {
        simcluster_cut_volumes(&st->sim.cluster, stage_member(st, i), true);
    }
    stage_pass(st, 60 * NANOS_PER_S);
    stage_expect(st, stage_offs_all(st) == 0, "no host is reset for its storage");
    for (uint32_t i = 0; i < 3; i++) {
        simcluster_cut_volumes(&st->sim.cluster, stage_member(st, i), false);
    }
    stage_switch_off(st, m);
    STAGE_UNTIL(st, 2 * STAGE_FENCED_WITHIN, stage_runs_off(st, 0, m),
                "the next failure is fenced");
}

/* One host loses it: it is not reset, and its other machines are left alone. */
void scenario_storage_lost(struct stage *st)
{
    const struct sim_settings s = stage_hosts(3, 4);

    stage_found_hosts(st, &s);
    struct simmember *m = stage_host_of(st, 0, 1);
    struct ha_vm vm = stage_machine(st, 0);
    vm.start_ms = 5000;
    STAGE_APPLY(st, &vm);
    simvolume_cut(st->sim.cluster.volume[0], m->host, true);
    stage_pass(st, 30 * NANOS_PER_S);
    stage_expect(st, stage_offs_all(st) == 0 && stage_fate(st, m) == HA_HOST_UP,
                 "a host is not reset for one volume");
    stage_expect(st, stage_runs(st, 1) && stage_runs(st, 2) && stage_runs(st, 3), "the others run");
    simvm_crash(m->host, simcluster_machine_name(0));
    STAGE_UNTIL(st, 90 * NANOS_PER_S, stage_runs_off(st, 0, m),
                "once it has ended it is tried elsewhere, after here_max failures");
}
