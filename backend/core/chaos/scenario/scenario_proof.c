/* Leases, clocks and guards: what time proves, and what it does not. Nobody reaches the fence
 * devices of the host that is lost. */
#include "core/chaos/scenario/stage_machines.h"

#define STOP_MACHINE  0
#define PAUSE_MACHINE 2
#define KEEP_MACHINE  3
#define ALL_MACHINES  0xfU

static struct simmember *proof_cast(struct stage *st, uint32_t machines)
{
    const struct sim_settings s = stage_hosts(3, 4);

    stage_found_hosts(st, &s);
    struct simmember *m = stage_host_of(st, 0, machines);
    stage_no_devices(st, m);
    return m;
}

/* Not before P, and within its bound: from now on. */
static void await_expiry(struct stage *st, uint32_t machine, const struct simmember *m)
{
    const nanos least = STAGE_EXPIRED_NOT_BEFORE - 2 * NANOS_PER_S;
    const nanos until = stage_now(st) + least;

    while (stage_now(st) < until && stage_step(st, until)) {
        stage_expect(st, !stage_runs_off(st, machine, m), "it is started elsewhere before P");
    }
    STAGE_UNTIL(st, STAGE_EXPIRED_WITHIN - least, stage_runs_off(st, machine, m),
                "it runs elsewhere once P has passed");
}

void scenario_manager_stalled_beyond_lease(struct stage *st)
{
    const struct sim_settings s = stage_hosts(3, 4);

    stage_found_hosts(st, &s);
    struct simmember *old = stage_leader(st);
    stage_move(st, STOP_MACHINE, old);
    stage_no_devices(st, old);
    stage_freeze(st, old, 60 * NANOS_PER_S);
    await_expiry(st, STOP_MACHINE, old);
    stage_expect(st, stage_offs_all(st) - stage_offs(st, old) == 0, "nobody else is fenced");
    const uint64_t epoch = stage_owner(st, STOP_MACHINE)->epoch;
    stage_pass(st, 60 * NANOS_PER_S);
    stage_expect(st, stage_owner(st, STOP_MACHINE)->epoch == epoch,
                 "when it wakes it does nothing in its old term");
}

void scenario_wall_clock_jumps(struct stage *st)
{
    struct simmember *m = proof_cast(st, 1U << STOP_MACHINE);
    const int64_t hour = (int64_t)(3600 * NANOS_PER_S);

    for (uint32_t i = 0; i < 3; i++) {
        simhost_set_wall(stage_member(st, i)->host, 5 * hour);
    }
    stage_pass(st, 20 * NANOS_PER_S);
    stage_expect(st, stage_all_run(st) && stage_offs_all(st) == 0, "nobody minds");
    stage_isolate(st, m, true);
    stage_pass(st, 4 * NANOS_PER_S);
    for (uint32_t i = 0; i < 3; i++) {
        simhost_set_wall(stage_member(st, i)->host, 9 * hour);
    }
    stage_pass(st, 4 * NANOS_PER_S);
    for (uint32_t i = 0; i < 3; i++) {
        simhost_set_wall(stage_member(st, i)->host, -hour);
    }
    stage_expect(st, !stage_runs_off(st, STOP_MACHINE, m), "it is not started before P");
    STAGE_UNTIL(st, STAGE_EXPIRED_WITHIN, stage_runs_off(st, STOP_MACHINE, m),
                "it runs elsewhere once P has passed");
}

void scenario_stale_lease_holder(struct stage *st)
{
    struct simmember *m = proof_cast(st, 1U << STOP_MACHINE);
    const uint64_t epoch = stage_owner(st, STOP_MACHINE)->epoch;

    stage_isolate(st, m, true);
    await_expiry(st, STOP_MACHINE, m);
    stage_isolate(st, m, false);
    STAGE_UNTIL(st, STAGE_GIVEN_UP_WITHIN, stage_fate(st, m) == HA_HOST_UP, "it is taken back");
    stage_pass(st, 20 * NANOS_PER_S);
    stage_expect(st, stage_owner(st, STOP_MACHINE)->epoch == epoch + 1, "it was started once");
    stage_expect(st, stage_runs_off(st, STOP_MACHINE, m), "who returns starts nothing of its own");
}

/* The renewals of a host no longer reach the leader, and the grants of the last ones that did are
 * under way for seconds. Just before a lease that was counted from their arrival ended, its agent
 * and its guard would stall: then its watchdog were the last to act, and later than P. */
void scenario_lease_answer_late(struct stage *st)
{
    struct simmember *m = proof_cast(st, 1U << STOP_MACHINE);
    struct simmember *leader = stage_leader(st);
    struct simnet_link back = simnet_link_get(leader->host, m->host);
    const struct simvm_faults stubborn = {.ignores_stop = true};

    simvm_set_faults(m->host, simcluster_machine_name(STOP_MACHINE), &stubborn);

    for (uint32_t i = 0; i < 3; i++) {
        if (i != m->i && i != leader->i) {
            stage_link(st, m, stage_member(st, i), false);
        }
    }
    stage_say(st, "what the leader sends it takes four seconds");
    back.latency = 4300 * NANOS_PER_MS;
    simnet_link_set(leader->host, m->host, &back);
    stage_pass(st, 1200 * NANOS_PER_MS);
    stage_cut(st, m, leader, true);
    stage_pass(st, 4200 * NANOS_PER_MS);
    stage_pass(st, 200 * NANOS_PER_MS);
    stage_isolate(st, m, true);
    stage_pass(st, 5800 * NANOS_PER_MS);
    simguard_stall(m->host, stage_now(st) + 60 * NANOS_PER_S);
    stage_freeze(st, m, 60 * NANOS_PER_S);
    STAGE_UNTIL(st, STAGE_EXPIRED_WITHIN, stage_runs_off(st, STOP_MACHINE, m),
                "it runs elsewhere, and has ended there before");
    back.latency = st->sim.settings.latency;
    simnet_link_set(leader->host, m->host, &back);
}

void scenario_takeover_counts_anew(struct stage *st)
{
    const struct sim_settings s = stage_hosts(5, 4);

    stage_found_hosts(st, &s);
    struct simmember *m = stage_host_of(st, 0, 1U << STOP_MACHINE);
    struct simmember *leader = stage_leader(st);
    stage_no_devices(st, m);
    stage_pass(st, 30 * NANOS_PER_S);
    stage_isolate(st, m, true);
    stage_kill(st, leader);
    (void)stage_await_leader(st, leader, 10 * NANOS_PER_S);
    await_expiry(st, STOP_MACHINE, m);
}

/* The network of a host is lost, its storage is not. */
void scenario_network_lost(struct stage *st)
{
    struct simmember *m = proof_cast(st, ALL_MACHINES);
    const uint64_t kept = stage_owner(st, KEEP_MACHINE)->epoch;

    stage_isolate(st, m, true);
    STAGE_UNTIL(st, STAGE_EXPIRED_WITHIN,
                stage_runs_off(st, STOP_MACHINE, m) && stage_runs_off(st, 1, m) &&
                    stage_runs_off(st, PAUSE_MACHINE, m),
                "`stop` and `pause` run elsewhere once P has passed");
    stage_pass(st, 40 * NANOS_PER_S);
    stage_expect(st, stage_home(st, KEEP_MACHINE) == m, "`keep` runs on");
    stage_isolate(st, m, false);
    STAGE_UNTIL(st, STAGE_GIVEN_UP_WITHIN, stage_runs(st, KEEP_MACHINE), "and is where it was");
    stage_expect(st, stage_owner(st, KEEP_MACHINE)->epoch == kept, "in the same epoch");
}

void scenario_network_and_storage_lost(struct stage *st)
{
    struct simmember *m = proof_cast(st, 1U << STOP_MACHINE);

    simcluster_cut_volumes(&st->sim.cluster, m, true);
    stage_isolate(st, m, true);
    await_expiry(st, STOP_MACHINE, m);
}

/* The guard of a host stands still, and its agent with it: the watchdog is all that is left. */
void scenario_guard_and_agent_stall(struct stage *st)
{
    struct simmember *m = proof_cast(st, 1U << STOP_MACHINE);

    simguard_stall(m->host, stage_now(st) + 120 * NANOS_PER_S);
    stage_freeze(st, m, 120 * NANOS_PER_S);
    await_expiry(st, STOP_MACHINE, m);
    stage_expect(st, simguard_resets(m->host) == 1, "the watchdog has reset the host");
}

void scenario_watchdog_not_armed(struct stage *st)
{
    const struct sim_settings s = stage_hosts(3, 3);

    stage_raise(st, &s);
    struct simmember *m = stage_member(st, 1);
    stage_say(st, "a host has a stand-in for a watchdog, and no fence device");
    simguard_install(m->host, WORLD_WATCHDOG_SOFT, SIM_WATCHDOG_TIMEOUT);
    st->sim.operator.without_devices = 1U << m->i;
    for (uint32_t i = 0; i < 3; i++) {
        stage_start(st, stage_member(st, i));
    }
    stage_await_machines(st, 30 * NANOS_PER_S, "all machines run");
    nanos until = stage_now(st) + 30 * NANOS_PER_S;
    stage_kill(st, stage_member(st, 2));
    while (stage_step(st, until)) {
        for (uint32_t i = 0; i < 3; i++) {
            stage_expect(st, stage_home(st, i) != m, "none of them ever on that host");
        }
    }
    stage_start(st, stage_member(st, 2));
}

void scenario_watchdog_of_empty_host(struct stage *st)
{
    struct simmember *m = proof_cast(st, 0);
    struct simmember *other = stage_follower(st, 1);

    for (uint32_t i = 0; i < 4; i++) {
        stage_move(st, i, other);
    }
    stage_pass(st, 2 * NANOS_PER_S);
    stage_expect(st, !simguard_is_armed(m->host), "without a machine no watchdog is armed");
    stage_isolate(st, m, true);
    stage_freeze(st, m, 40 * NANOS_PER_S);
    stage_pass(st, 60 * NANOS_PER_S);
    stage_expect(st, simguard_resets(m->host) == 0, "an empty host is never reset");
    stage_expect(st, stage_offs(st, m) == 0, "nor switched off");
}

/* A host sleeps, and the time counts; devices work. */
void scenario_host_sleeps(struct stage *st)
{
    const struct sim_settings s = stage_hosts(3, 4);

    stage_found_hosts(st, &s);
    struct simmember *m = stage_host_of(st, 0, 1U << STOP_MACHINE | 1U << KEEP_MACHINE);
    const uint64_t epoch = stage_owner(st, KEEP_MACHINE)->epoch;
    simhost_suspend(m->host, stage_now(st) + 20 * NANOS_PER_S);
    STAGE_UNTIL(st, 2 * STAGE_FENCED_WITHIN,
                stage_runs_off(st, STOP_MACHINE, m) && stage_runs_off(st, KEEP_MACHINE, m),
                "it is fenced in its sleep, and its machines run elsewhere");
    stage_pass(st, 40 * NANOS_PER_S);
    stage_expect(st, stage_owner(st, KEEP_MACHINE)->epoch == epoch + 1, "each was started once");
    stage_expect(st, stage_offs_all(st) == stage_offs(st, m), "nobody else was fenced");
}
