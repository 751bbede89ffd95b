/* Who fences whom, and whose turn it is, where the lead changes in the middle of a fence. */
#include <string.h>

#include "core/chaos/scenario/stage_machines.h"

/* Of eight machines, those that a fence alone frees (`keep`). */
#define LIGHT 3
#define HEAVY 7

/* Two hosts are being fenced, and their devices take commands and do nothing. Then the cap is
 * lowered, and the leader dies: its successor finds more fences than it may begin. */
void scenario_storm_taken_over(struct stage *st)
{
    const struct sim_settings s = stage_hosts(7, 8);
    struct simdevice_faults hung = simdevice_faults_none();

    stage_found_hosts(st, &s);
    struct simmember *light = stage_host_of(st, 0, 1U << LIGHT);
    struct simmember *heavy = stage_host_of(st, 1, 1U << HEAVY);
    struct ha_vm vm = stage_machine(st, HEAVY);
    vm.priority = 900;
    STAGE_APPLY(st, &vm);
    hung.is_hung = true;
    stage_controller(st, light, hung);
    stage_controller(st, heavy, hung);
    stage_outlet(st, light, hung);
    stage_outlet(st, heavy, hung);
    stage_isolate(st, light, true);
    stage_isolate(st, heavy, true);
    light->stays_down = true;
    heavy->stays_down = true;
    STAGE_UNTIL(st, STAGE_FENCED_WITHIN,
                stage_fate(st, light) == HA_HOST_FENCING &&
                    stage_fate(st, heavy) == HA_HOST_FENCING,
                "both are to be fenced");
    stage_pass(st, NANOS_PER_S);
    struct ha_settings settings = stage_settings(st);
    settings.storm_percent = 10;
    STAGE_APPLY(st, &settings);
    stage_say(st, "no more than one may be fenced at a time from now on, and the leader dies");
    struct simmember *leader = stage_leader(st);
    leader->stays_down = true;
    stage_kill(st, leader);
    (void)stage_await_leader(st, leader, 10 * NANOS_PER_S);
    const uint64_t offs = stage_offs(st, light);
    stage_mend_hosts(st);
    light->stays_down = true;
    heavy->stays_down = true;
    leader->stays_down = true;
    STAGE_UNTIL(st, STAGE_FENCED_WITHIN, stage_fate(st, heavy) == HA_HOST_GONE,
                "the host with the more important machines comes first");
    STAGE_UNTIL(st, STAGE_FENCED_WITHIN, stage_runs_off(st, HEAVY, heavy), "and they run");
    stage_pass(st, 60 * NANOS_PER_S);
    stage_expect(st, stage_fate(st, light) == HA_HOST_FENCING && stage_offs(st, light) == offs,
                 "the other is not told again, beyond the cap");
    stage_expect(st, stage_is_in(st, LIGHT, HA_RECOVERING), "and its machine waits");
    stage_switch_off(st, light);
    stage_confirm_off(st, light);
    STAGE_UNTIL(st, STAGE_FENCED_WITHIN, stage_runs_off(st, LIGHT, light),
                "an operator's word frees it");
}

/* Two hosts with machines and a third that only votes. */
struct duel {
    struct simmember *first; /* leads, and finds the other lost */
    struct simmember *second;
    struct simmember *voter;
};

/* `firsts`: the machines of the one that leads; the other has all others. */
static struct duel duel_cast(struct stage *st, uint32_t firsts)
{
    const struct sim_settings s = stage_hosts(3, 4);

    stage_found_hosts(st, &s);
    struct duel d = {stage_leader(st), stage_follower(st, 0), stage_follower(st, 1)};
    for (uint32_t i = 0; i < 4; i++) {
        stage_move(st, i, (firsts >> i & 1) != 0 ? d.first : d.second);
    }
    const struct ha_host *host =
        stage_view(st) != NULL ? ha_view_host(stage_view(st), d.voter->name) : NULL;
    if (host != NULL) {
        struct ha_host changed = *host;
        changed.is_enabled = false;
        STAGE_APPLY(st, &changed);
    }
    return d;
}

/* The one that leads has the other switched off, whose controller takes its time. Meanwhile the
 * other and the voter elect one of themselves, and find the first lost. */
void scenario_double_fencing_race(struct stage *st)
{
    struct simdevice_faults slow = simdevice_faults_none();
    struct duel d = duel_cast(st, 1U << 0 | 1U << 3);

    slow.switch_time = 8 * NANOS_PER_S;
    stage_controller(st, d.second, slow);
    stage_link(st, d.first, d.second, false);
    STAGE_UNTIL(st, STAGE_EXPIRED_WITHIN, stage_offs(st, d.second) > 0,
                "the one that leads has the other switched off");
    stage_say(st, "before that takes effect, the voter hears the other one alone");
    stage_link(st, d.first, d.voter, false);
    d.first->stays_down = true;
    d.second->stays_down = true;
    (void)stage_await_leader(st, d.first, 6 * NANOS_PER_S);
    stage_pass(st, 60 * NANOS_PER_S);
    stage_expect(st, simhost_power(d.second->host) != SIMHOST_ON, "the other one is off");
    stage_expect(st, simhost_power(d.first->host) == SIMHOST_ON, "and the first one lives");
    stage_link(st, d.first, d.voter, true);
    STAGE_UNTIL(st, STAGE_EXPIRED_WITHIN, stage_all_run(st), "all machines run on it");
}

/* The same, but the machines of the other one are the more important ones, and the settings give it
 * a head start. It is not lost: it hears the voter, and leads as soon as that hears the first no
 * more. */
void scenario_fence_priority_delay(struct stage *st)
{
    struct duel d = duel_cast(st, 1U << 3);
    struct ha_settings settings = stage_settings(st);

    settings.fence_priority_delay_ms = 8000;
    STAGE_APPLY(st, &settings);
    stage_link(st, d.first, d.second, false);
    STAGE_UNTIL(st, STAGE_EXPIRED_WITHIN, stage_fate(st, d.second) == HA_HOST_FENCING,
                "the one that leads finds the other lost");
    stage_pass(st, 7800 * NANOS_PER_MS);
    stage_expect(st, stage_offs(st, d.second) == 0, "and waits, as its machines are fewer");
    stage_link(st, d.first, d.voter, false);
    d.first->stays_down = true;
    (void)stage_await_leader(st, d.first, 10 * NANOS_PER_S);
    STAGE_UNTIL(st, 60 * NANOS_PER_S, simhost_power(d.first->host) == SIMHOST_OFF,
                "the first one has lost its lead, and is fenced");
    stage_expect(st, stage_offs(st, d.second) == 0, "nobody ever told the other one to go off");
    STAGE_UNTIL(st, STAGE_FENCED_WITHIN, stage_all_run(st), "all machines run");
}
