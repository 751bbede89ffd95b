/* Machines that crash, many starts at once, and what operators do. */
#include "core/chaos/scenario/stage_machines.h"
#include "core/chaos/simdisk.h"
#include "core/store/store_limits.h"

void scenario_start_asked_twice(struct stage *st)
{
    const struct sim_settings s = stage_hosts(3, 4);

    stage_found_hosts(st, &s);
    stage_wish(st, 0, false);
    STAGE_UNTIL(st, 40 * NANOS_PER_S, stage_is_in(st, 0, HA_STOPPED), "it is stopped");
    const uint64_t epoch = stage_owner(st, 0)->epoch;
    struct simmember *leader = stage_leader(st);
    for (uint32_t i = 0; i < 3; i++) {
        stage_wish(st, 0, true);
    }
    stage_kill(st, leader);
    (void)stage_await_leader(st, leader, 10 * NANOS_PER_S);
    stage_wish(st, 0, true);
    STAGE_UNTIL(st, STAGE_EXPIRED_WITHIN, stage_runs(st, 0), "it is started");
    stage_expect(st, stage_owner(st, 0)->epoch == epoch + 1, "once");
    stage_start(st, leader);
}

/* Until the machine is in that phase, it dies as soon as it lives. */
static void crash_until(struct stage *st, uint32_t machine, uint32_t failures, nanos bound)
{
    const nanos until = stage_now(st) + bound;

    while (stage_owner(st, machine)->failures < failures && stage_step(st, until)) {
        const struct simmember *at = stage_home(st, machine);
        if (at != NULL && stage_is_in(st, machine, HA_RUNNING)) {
            simvm_crash(stage_member(st, at->i)->host, simcluster_machine_name(machine));
        }
    }
    stage_expect(st, stage_owner(st, machine)->failures >= failures, "it fails so often");
}

void scenario_crash_loop(struct stage *st)
{
    const struct sim_settings s = stage_hosts(3, 1);

    stage_found_hosts(st, &s);
    const uint64_t epoch = stage_owner(st, 0)->epoch;
    const nanos began = stage_now(st);
    crash_until(st, 0, 10, 600 * NANOS_PER_S);
    stage_expect(st, stage_is_in(st, 0, HA_FAILED), "ten failures are the limit");
    stage_expect(st, stage_owner(st, 0)->epoch == epoch + 9, "each start has its epoch");
    stage_expect(st, stage_now(st) - began > 120 * NANOS_PER_S, "later and later");
    stage_pass(st, 60 * NANOS_PER_S);
    stage_expect(st, stage_is_in(st, 0, HA_FAILED), "nobody starts it any more");
}

/* The leader changes in the middle, and takes nothing back. */
void scenario_crash_loop_across_leaders(struct stage *st)
{
    const struct sim_settings s = stage_hosts(5, 1);

    stage_found_hosts(st, &s);
    const uint64_t epoch = stage_owner(st, 0)->epoch;
    for (uint32_t i = 1; i <= 3; i++) {
        crash_until(st, 0, 3 * i, 200 * NANOS_PER_S);
        struct simmember *leader = stage_leader(st);
        stage_make_leader(st, stage_follower(st, i % 3), 10 * NANOS_PER_S);
        stage_expect(st, stage_leader(st) != leader, "another one leads");
    }
    crash_until(st, 0, 10, 200 * NANOS_PER_S);
    stage_expect(st, stage_is_in(st, 0, HA_FAILED), "ten failures are the limit");
    stage_expect(st, stage_owner(st, 0)->epoch == epoch + 9, "whoever has counted them");
}

/* A host with eight machines is lost. */
void scenario_mass_restart(struct stage *st)
{
    const struct sim_settings s = stage_hosts(3, 8);
    struct ha_settings settings;
    uint32_t starting;

    stage_found_hosts(st, &s);
    settings = stage_settings(st);
    settings.starts_at_once = 2;
    STAGE_APPLY(st, &settings);
    struct simmember *m = stage_host_of(st, 0, 0xff);
    for (uint32_t i = 0; i < 8; i++) {
        struct ha_vm vm = stage_machine(st, i);
        vm.priority = 100 + i;
        STAGE_APPLY(st, &vm);
    }
    stage_switch_off(st, m);
    const nanos until = stage_now(st) + 2 * STAGE_FENCED_WITHIN;
    bool high_first = true;
    while (!stage_all_run(st) && stage_step(st, until)) {
        starting = 0;
        for (uint32_t i = 0; i < 8; i++) {
            starting += stage_is_in(st, i, HA_STARTING);
        }
        stage_expect(st, starting <= 4, "two at a time on each of two hosts");
        high_first = high_first && !(stage_runs(st, 0) && !stage_runs(st, 7));
    }
    stage_expect(st, stage_all_run(st), "all run again");
    stage_expect(st, high_first, "those of the highest priority first");
}

void scenario_no_host_fits(struct stage *st)
{
    const struct sim_settings s = stage_hosts(3, 4);

    stage_found_hosts(st, &s);
    struct simmember *m = stage_host_of(st, 0, 1);
    struct ha_vm vm = stage_machine(st, 0);
    vm.allowed.n = 1;
    ha_text_set(vm.allowed.name[0], HA_NAME_BYTES, m->name);
    STAGE_APPLY(st, &vm);
    stage_switch_off(st, m);
    STAGE_UNTIL(st, 2 * STAGE_FENCED_WITHIN, stage_is_in(st, 0, HA_WAITING), "it waits");
    stage_expect(st, stage_owner(st, 0)->reason[0] != '\0', "and its record says for what");
    stage_pass(st, 20 * NANOS_PER_S);
    stage_expect(st, stage_is_in(st, 0, HA_WAITING), "for as long as nothing changes");
    vm = stage_machine(st, 0);
    STAGE_APPLY(st, &vm);
    STAGE_UNTIL(st, STAGE_FENCED_WITHIN, stage_runs(st, 0), "it runs once its rule is changed");
}

/* The leader's disk completes nothing: its store is as good as read-only. */
void scenario_store_stands(struct stage *st)
{
    struct sim_settings s = stage_hosts(3, 4);
    s.clients = 2;

    stage_found_hosts(st, &s);
    struct simmember *old = stage_leader(st);
    uint64_t epochs[4];
    for (uint32_t i = 0; i < 4; i++) {
        epochs[i] = stage_owner(st, i)->epoch;
    }
    stage_load(st);
    stage_stall_disk(st, old, 30 * NANOS_PER_S);
    (void)stage_await_leader(st, old, 10 * NANOS_PER_S);
    stage_pass(st, 40 * NANOS_PER_S);
    stage_expect(st, stage_offs_all(st) == 0, "nobody is fenced for a disk");
    for (uint32_t i = 0; i < 4; i++) {
        stage_expect(st, stage_runs(st, i) && stage_owner(st, i)->epoch == epochs[i],
                     "no machine minds");
    }
}

/* Each daemon in turn, as an upgrade does it. */
void scenario_daemons_restart(struct stage *st)
{
    const struct sim_settings s = stage_hosts(3, 6);
    uint64_t epochs[6];

    stage_found_hosts(st, &s);
    for (uint32_t i = 0; i < 6; i++) {
        epochs[i] = stage_owner(st, i)->epoch;
    }
    for (uint32_t i = 0; i < 3; i++) {
        stage_kill(st, stage_member(st, i));
        stage_pass(st, 500 * NANOS_PER_MS);
        stage_start(st, stage_member(st, i));
        stage_pass(st, 10 * NANOS_PER_S);
    }
    stage_expect(st, stage_offs_all(st) == 0, "nobody is fenced");
    for (uint32_t i = 0; i < 6; i++) {
        stage_expect(st, stage_runs(st, i) && stage_owner(st, i)->epoch == epochs[i],
                     "each machine runs on, and was adopted");
    }
}

/* It comes back while its machines are being started elsewhere. */
void scenario_fenced_host_returns(struct stage *st)
{
    const struct sim_settings s = stage_hosts(3, 8);
    uint64_t epochs[8];

    stage_found_hosts(st, &s);
    struct simmember *m = stage_host_of(st, 0, 0xff);
    for (uint32_t i = 0; i < 8; i++) {
        epochs[i] = stage_owner(st, i)->epoch;
    }
    stage_isolate(st, m, true);
    STAGE_UNTIL(st, STAGE_FENCED_WITHIN, stage_fate(st, m) == HA_HOST_GONE, "it is fenced");
    stage_isolate(st, m, false);
    stage_switch_on(st, m);
    stage_await_machines(st, STAGE_EXPIRED_WITHIN, "all run");
    for (uint32_t i = 0; i < 8; i++) {
        stage_expect(st, stage_owner(st, i)->epoch == epochs[i] + 1, "each was started once");
    }
}

static void spoil_links(struct stage *st, bool are_bad)
{
    const uint32_t n = st->sim.cluster.n;

    for (uint32_t a = 0; a < n; a++) {
        for (uint32_t b = 0; b < n; b++) {
            if (a == b) {
                continue;
            }
            struct simnet_link link =
                simnet_link_get(stage_member(st, a)->host, stage_member(st, b)->host);
            link.loss_ppm = are_bad ? 100000 : 0;
            link.duplicate_ppm = are_bad ? 100000 : 0;
            link.late_ppm = are_bad ? 100000 : 0;
            link.late = 3 * NANOS_PER_S;
            link.tail_ppm = are_bad ? 20000 : 0;
            link.tail = 2 * NANOS_PER_S;
            simnet_link_set(stage_member(st, a)->host, stage_member(st, b)->host, &link);
        }
    }
}

void scenario_messages_lost_and_late(struct stage *st)
{
    const struct sim_settings s = stage_hosts(3, 4);

    stage_found_hosts(st, &s);
    struct simmember *m = stage_host_of(st, 0, 1);
    spoil_links(st, true);
    stage_pass(st, 10 * NANOS_PER_S);
    stage_switch_off(st, m);
    STAGE_UNTIL(st, 120 * NANOS_PER_S, stage_runs_off(st, 0, m),
                "safety holds, and it runs elsewhere all the same");
    spoil_links(st, false);
}

/* The operator stops everything, and then switches everything off. */
void scenario_orderly_power_down(struct stage *st)
{
    const struct sim_settings s = stage_hosts(3, 4);

    stage_found_hosts(st, &s);
    for (uint32_t i = 0; i < 4; i++) {
        stage_wish(st, i, false);
    }
    for (uint32_t i = 0; i < 4; i++) {
        STAGE_UNTIL(st, 40 * NANOS_PER_S, stage_is_in(st, i, HA_STOPPED), "each is stopped");
    }
    for (uint32_t i = 0; i < 3; i++) {
        stage_switch_off(st, stage_member(st, i));
        stage_pass(st, 5 * NANOS_PER_S);
    }
    stage_pass(st, 20 * NANOS_PER_S);
    stage_expect(st, stage_offs_all(st) == 0, "no recovery is tried");
    for (uint32_t i = 0; i < 3; i++) {
        stage_expect(st, simguard_resets(stage_member(st, i)->host) == 0, "no watchdog strikes");
        stage_switch_on(st, stage_member(st, i));
    }
    (void)stage_await_leader(st, NULL, 10 * NANOS_PER_S);
    for (uint32_t i = 0; i < 4; i++) {
        stage_wish(st, i, true);
    }
    stage_await_machines(st, STAGE_EXPIRED_WITHIN, "and they run again when asked");
}

/* The leader's disk has no room left. */
void scenario_disk_full_on_leader(struct stage *st)
{
    struct sim_settings s = stage_hosts(3, 4);
    s.clients = 2;

    stage_found_hosts(st, &s);
    struct simmember *old = stage_leader(st);
    struct simmember *m = stage_host_of(st, 0, 1);
    struct simdisk *disk = simhost_disk(old->host);
    simdisk_set_capacity(disk, simdisk_used(disk));
    stage_load(st);
    stage_put_many(st, m, 40);
    stage_switch_off(st, m);
    STAGE_UNTIL(st, 60 * NANOS_PER_S, stage_runs_off(st, 0, m), "its machines run elsewhere");
    stage_expect(st, stage_offs_all(st) == stage_offs(st, m), "nobody else is fenced");
    simdisk_set_capacity(disk, s.disk_bytes);
}

/* A machine is moved, in good order, and the host that it leaves dies; then the one it goes to. */
void scenario_host_dies_while_moving(struct stage *st)
{
    const struct sim_settings s = stage_hosts(3, 4);

    stage_found_hosts(st, &s);
    struct simmember *from = stage_host_of(st, 0, 1);
    struct simmember *to = stage_leader(st);
    struct ha_vm vm = stage_machine(st, 0);
    vm.moves_offline = true;
    ha_text_set(vm.move_to, sizeof vm.move_to, to->name);
    STAGE_APPLY(st, &vm);
    STAGE_UNTIL(st, STAGE_FENCED_WITHIN, stage_is_in(st, 0, HA_STOPPING), "it is being stopped");
    stage_switch_off(st, from);
    STAGE_UNTIL(st, 2 * STAGE_FENCED_WITHIN, stage_runs_off(st, 0, from), "it runs once more");
    stage_switch_on(st, from);
    STAGE_UNTIL(st, STAGE_EXPIRED_WITHIN, stage_fate(st, from) == HA_HOST_UP, "its host is back");
    stage_pass(st, 70 * NANOS_PER_S); /* until its devices have been tested again */
    from = stage_follower(st, 0);
    to = stage_follower(st, 1);
    stage_move(st, 0, from);
    const uint64_t epoch = stage_owner(st, 0)->epoch;
    ha_text_set(vm.move_to, sizeof vm.move_to, to->name);
    STAGE_APPLY(st, &vm);
    STAGE_UNTIL(st, 40 * NANOS_PER_S, stage_is_in(st, 0, HA_STARTING), "it is to start there");
    stage_switch_off(st, to);
    STAGE_UNTIL(st, 2 * STAGE_FENCED_WITHIN, stage_runs_off(st, 0, to), "it runs on a survivor");
    stage_expect(st, stage_owner(st, 0)->epoch == epoch + 2, "after one start too many");
}

static void upgrade_one(struct stage *st, struct simmember *m)
{
    stage_kill(st, m);
    m->is_old_release = false;
    stage_pass(st, 500 * NANOS_PER_MS);
    stage_start(st, m);
    stage_pass(st, 10 * NANOS_PER_S);
}

/* Two of three hosts have the newer release when one of them is lost. */
void scenario_rolling_upgrade(struct stage *st)
{
    struct sim_settings s = stage_hosts(3, 6);
    uint64_t epochs[6];

    s.feature_level = STORE_FEATURE_LEVEL_MAX - 1;
    stage_found_hosts(st, &s);
    struct simmember *m = stage_host_of(st, 0, 1);
    struct simmember *other = stage_follower(st, 1);
    for (uint32_t i = 0; i < 6; i++) {
        epochs[i] = stage_owner(st, i)->epoch;
    }
    upgrade_one(st, m);
    upgrade_one(st, other);
    for (uint32_t i = 0; i < 6; i++) {
        stage_expect(st, stage_runs(st, i) && stage_owner(st, i)->epoch == epochs[i],
                     "no machine minds");
    }
    stage_switch_off(st, m);
    STAGE_UNTIL(st, 2 * STAGE_FENCED_WITHIN, stage_runs_off(st, 0, m), "its machine is recovered");
    stage_expect(st, stage_offs_all(st) == stage_offs(st, m), "nobody else is fenced");
    stage_switch_on(st, m);
    STAGE_UNTIL(st, STAGE_EXPIRED_WITHIN, stage_fate(st, m) == HA_HOST_UP, "it is back");
    for (uint32_t i = 0; i < 3; i++) {
        if (stage_member(st, i)->is_old_release) {
            upgrade_one(st, stage_member(st, i));
        }
    }
}

/* Somebody has the machine's volume open, on the one host where it may run, and nobody's manager
 * knows of it. */
void scenario_lock_of_another(struct stage *st)
{
    const struct sim_settings s = stage_hosts(3, 4);
    struct world_vm_spec ghost = {.name = "ghost", .volume = simcluster_volume_name(0)};
    const struct simmember *at = NULL;

    stage_found_hosts(st, &s);
    struct simmember *m = stage_host_of(st, 0, 1);
    stage_wish(st, 0, false);
    STAGE_UNTIL(st, 40 * NANOS_PER_S, stage_is_in(st, 0, HA_STOPPED), "it is stopped");
    if (stage_is_over(st)) {
        return;
    }
    ghost.epoch = stage_owner(st, 0)->epoch + 1;
    stage_expect(st, simvm_start_by_hand(m->host, &ghost) == OK, "somebody opens its volume");
    struct ha_vm vm = stage_machine(st, 0);
    vm.allowed.n = 1;
    ha_text_set(vm.allowed.name[0], HA_NAME_BYTES, m->name);
    STAGE_APPLY(st, &vm);
    stage_pass(st, 20 * NANOS_PER_S);
    stage_expect(st, sim_ha_lives(&st->sim, "ghost", &at) == 1, "nobody breaks that lock");
    stage_expect(st, stage_home(st, 0) == NULL && stage_owner(st, 0)->failures > 0,
                 "the start is refused, and tried again");
    simvm_crash(m->host, "ghost");
    STAGE_UNTIL(st, 60 * NANOS_PER_S, stage_runs(st, 0), "it runs once the lock is gone");
}
