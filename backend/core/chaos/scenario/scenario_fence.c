/* Fence devices that fail in each of their ways, and those who fence. */
#include <string.h>

#include "core/chaos/scenario/stage_machines.h"

/* A machine that may be started elsewhere by a fence alone (`keep`), and one that P frees too. */
#define STOP_MACHINE 0
#define KEEP_MACHINE 3
#define BOTH         (1U << STOP_MACHINE | 1U << KEEP_MACHINE)

/* What a controller, and then an outlet, that answers nothing may take: their time-outs. */
#define DEVICES_GIVE_UP (60 * NANOS_PER_S)

static struct simmember *fence_cast(struct stage *st, uint32_t founders)
{
    const struct sim_settings s = stage_hosts(founders, 4);

    stage_found_hosts(st, &s);
    return stage_host_of(st, 0, BOTH);
}

void scenario_fence_device_unreachable(struct stage *st)
{
    struct simmember *m = fence_cast(st, 3);

    stage_no_devices(st, m);
    stage_unplug(st, m);
    STAGE_UNTIL(st, STAGE_EXPIRED_WITHIN, stage_runs_off(st, STOP_MACHINE, m),
                "P frees the machine whose policy is `stop`");
    stage_pass(st, 2 * DEVICES_GIVE_UP);
    stage_expect(st, stage_is_in(st, KEEP_MACHINE, HA_RECOVERING),
                 "the one whose policy is `keep` is not started");
    stage_expect(st, memcmp(stage_owner(st, KEEP_MACHINE)->reason, "unproven", 8) == 0,
                 "its record says what is missing");
    stage_expect(st, stage_fate(st, m) == HA_HOST_FENCING, "the fence is tried on");
    stage_confirm_off(st, m);
    STAGE_UNTIL(st, STAGE_FENCED_WITHIN, stage_runs_off(st, KEEP_MACHINE, m),
                "an operator's word frees it");
}

void scenario_fence_ack_lost(struct stage *st)
{
    struct simmember *m = fence_cast(st, 3);
    struct simdevice_faults faults = simdevice_faults_none();

    faults.loses_answers = true;
    stage_controller(st, m, faults);
    stage_outlet(st, m, faults);
    stage_isolate(st, m, true);
    STAGE_UNTIL(st, STAGE_EXPIRED_WITHIN, stage_fate(st, m) == HA_HOST_FENCING, "it is fenced");
    STAGE_UNTIL(st, DEVICES_GIVE_UP, simhost_power(m->host) == SIMHOST_OFF,
                "the command takes effect");
    stage_expect(st, stage_fate(st, m) != HA_HOST_GONE, "nobody says so before it was read");
    m->stays_down = true;
    stage_pass(st, 20 * NANOS_PER_S);
    stage_expect(st, !stage_runs(st, KEEP_MACHINE), "silence proves nothing");
    stage_controller(st, m, simdevice_faults_none());
    STAGE_UNTIL(st, 2 * DEVICES_GIVE_UP, stage_runs_off(st, KEEP_MACHINE, m),
                "once its power is read, it is proved");
    stage_expect(st, stage_offs(st, m) <= 12, "no device is told without end");
}

void scenario_fence_lies(struct stage *st)
{
    struct simmember *m = fence_cast(st, 3);
    struct simdevice_faults faults = simdevice_faults_none();

    faults.only_says_ok = true;
    stage_controller(st, m, faults);
    stage_isolate(st, m, true);
    STAGE_UNTIL(st, STAGE_OUTLET_WITHIN, stage_fate(st, m) == HA_HOST_GONE,
                "the controller is found out, and the outlet asked");
    stage_expect(st, simhost_power(m->host) == SIMHOST_OFF, "it is off when the record says so");
    STAGE_UNTIL(st, STAGE_FENCED_WITHIN, stage_runs_off(st, KEEP_MACHINE, m), "its machines run");
}

void scenario_fence_all_lie(struct stage *st)
{
    struct simmember *m = fence_cast(st, 3);
    struct simdevice_faults faults = simdevice_faults_none();

    faults.only_says_ok = true;
    stage_controller(st, m, faults);
    stage_outlet(st, m, faults);
    stage_isolate(st, m, true);
    stage_pass(st, 2 * DEVICES_GIVE_UP);
    stage_expect(st, stage_is_in(st, KEEP_MACHINE, HA_RECOVERING) && stage_home(st, 3) == m,
                 "the machine that runs on is started nowhere else");
    stage_isolate(st, m, false);
    STAGE_UNTIL(st, STAGE_FENCED_WITHIN, stage_runs(st, KEEP_MACHINE) && stage_home(st, 3) == m,
                "its host is back, and nothing was done to it");
}

void scenario_fence_agent_hangs(struct stage *st)
{
    struct simmember *m = fence_cast(st, 3);
    struct simdevice_faults faults = simdevice_faults_none();

    faults.is_hung = true;
    stage_controller(st, m, faults);
    stage_isolate(st, m, true);
    STAGE_UNTIL(st, STAGE_OUTLET_WITHIN, stage_runs_off(st, KEEP_MACHINE, m),
                "our own deadline ends the command, and the outlet is asked");
    stage_expect(st, simdevice_offs(st->sim.world, m->name) <= 1, "one command to the controller");
}

void scenario_fence_cannot_tell(struct stage *st)
{
    struct simmember *m = fence_cast(st, 3);
    struct simdevice_faults faults = simdevice_faults_none();

    faults.only_says_ok = true;
    faults.cannot_tell = true;
    stage_controller(st, m, faults);
    stage_outlet(st, m, faults);
    stage_isolate(st, m, true);
    stage_pass(st, DEVICES_GIVE_UP);
    stage_expect(st, stage_fate(st, m) != HA_HOST_GONE, "what cannot tell proves nothing");
    stage_expect(st, stage_home(st, KEEP_MACHINE) == m, "the machine runs on where it is");
}

void scenario_fence_already_off(struct stage *st)
{
    struct simmember *m = fence_cast(st, 3);
    struct simdevice_faults faults = simdevice_faults_none();

    faults.says_failed = true;
    stage_controller(st, m, faults);
    stage_switch_off(st, m);
    STAGE_UNTIL(st, STAGE_FENCED_WITHIN, stage_runs_off(st, KEEP_MACHINE, m),
                "the error is no proof, and the power that is read is");
}

/* Three of seven hosts are lost at once; what the cap allows is two. */
void scenario_fence_storm(struct stage *st)
{
    const struct sim_settings s = stage_hosts(7, 4);
    struct simmember *lost[3];
    struct ha_settings settings;
    uint32_t fenced = 0;

    stage_found_hosts(st, &s);
    settings = stage_settings(st);
    settings.storm_percent = 15;
    STAGE_APPLY(st, &settings);
    for (uint32_t i = 0; i < 3; i++) {
        lost[i] = stage_host_of(st, i, 1U << i);
    }
    stage_say(st, "a switch takes three of seven hosts");
    for (uint32_t i = 0; i < 3; i++) {
        lost[i]->stays_down = true;
        stage_isolate(st, lost[i], true);
    }
    stage_say(st, "and the leader sleeps, so that it finds them lost at one instant");
    simhost_clock_step(stage_leader(st)->host, 20 * NANOS_PER_S);
    STAGE_UNTIL(st, 2 * STAGE_EXPIRED_WITHIN,
                stage_runs_off(st, 0, lost[0]) && stage_runs_off(st, 1, lost[1]) &&
                    stage_runs_off(st, 2, lost[2]),
                "P frees what the storm's cap leaves");
    for (uint32_t i = 0; i < 3; i++) {
        fenced += stage_offs(st, lost[i]) > 0;
    }
    stage_expect(st, fenced == 2, "fifteen in a hundred of seven hosts are two");
}

void scenario_leader_dies_while_fencing(struct stage *st)
{
    struct simmember *m = fence_cast(st, 5);
    struct simmember *leader = stage_leader(st);
    const uint64_t epoch = stage_owner(st, KEEP_MACHINE)->epoch;

    stage_switch_off(st, m);
    STAGE_UNTIL(st, STAGE_FENCED_WITHIN, stage_offs(st, m) > 0, "it is fenced");
    stage_kill(st, leader);
    STAGE_UNTIL(st, STAGE_EXPIRED_WITHIN, stage_runs_off(st, KEEP_MACHINE, m),
                "the successor goes on, and the machine runs");
    stage_expect(st, stage_offs(st, m) <= 2, "it is told once by each of the two");
    stage_expect(st, stage_owner(st, KEEP_MACHINE)->epoch == epoch + 1, "it is started once");
}

void scenario_stopped_while_fencing(struct stage *st)
{
    struct simmember *m = fence_cast(st, 3);
    const uint64_t epoch = stage_owner(st, KEEP_MACHINE)->epoch;

    stage_switch_off(st, m);
    STAGE_UNTIL(st, STAGE_FENCED_WITHIN, stage_fate(st, m) == HA_HOST_FENCING, "it is fenced");
    stage_wish(st, KEEP_MACHINE, false);
    STAGE_UNTIL(st, STAGE_FENCED_WITHIN, stage_is_in(st, KEEP_MACHINE, HA_STOPPED),
                "the machine that nobody wants any more is stopped");
    stage_expect(st, stage_owner(st, KEEP_MACHINE)->epoch == epoch, "it was not started again");
    STAGE_UNTIL(st, STAGE_FENCED_WITHIN, stage_runs_off(st, STOP_MACHINE, m), "the other is");
    stage_switch_on(st, m);
    STAGE_UNTIL(st, STAGE_FENCED_WITHIN, stage_fate(st, m) == HA_HOST_UP,
                "the host leaves the fence once it is back");
    stage_wish(st, KEEP_MACHINE, true);
    STAGE_UNTIL(st, STAGE_FENCED_WITHIN, stage_runs(st, KEEP_MACHINE), "it is started when asked");
}

/* What a fenced host has sent may land for so long. */
#define LONG_FLIGHT (6 * NANOS_PER_S)

void scenario_write_in_flight(struct stage *st)
{
    struct simmember *m = fence_cast(st, 3);
    struct ha_storage storage = *ha_view_storage(stage_view(st), "pool");

    storage.flight_ms = (uint32_t)(LONG_FLIGHT / NANOS_PER_MS);
    STAGE_APPLY(st, &storage);
    stage_pass(st, NANOS_PER_S);
    simvolume_set_flight(st->sim.cluster.volume[KEEP_MACHINE], LONG_FLIGHT - NANOS_PER_S);
    stage_isolate(st, m, true);
    STAGE_UNTIL(st, STAGE_FENCED_WITHIN, simhost_power(m->host) == SIMHOST_OFF, "it is fenced");
    stage_pass(st, LONG_FLIGHT - NANOS_PER_S);
    stage_expect(st, !stage_runs(st, KEEP_MACHINE), "what it has sent is waited for");
    simvolume_set_flight(st->sim.cluster.volume[KEEP_MACHINE], 0);
    STAGE_UNTIL(st, STAGE_FENCED_WITHIN, stage_runs_off(st, KEEP_MACHINE, m), "then it runs");
}
