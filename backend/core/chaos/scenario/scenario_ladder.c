/* Machines that hang, are slow, or boot for long: who is ended by its ladder, and who is not. That
 * whoever is ended was sick is looked at after every event (sim_ladder.c). */
#include "core/chaos/scenario/stage_machines.h"

/* An answer more than `failures` in a row allow, the end, the delay of the restart, the start. */
#define ENDED_WITHIN (30 * NANOS_PER_S)

static struct ha_check guest_check(enum ha_ask ask, uint32_t period_ms, uint32_t timeout_ms)
{
    struct ha_vm defaults;

    ha_record_defaults(HA_VM, &defaults);
    struct ha_check check = defaults.liveness;
    check.ask = ask;
    check.period_ms = period_ms;
    check.timeout_ms = timeout_ms;
    if (ask == HA_ASK_EXEC) {
        check.command.n = 1;
        ha_text_set(check.command.word[0], HA_VALUE_BYTES, "/bin/check");
    }
    return check;
}

/* Three hosts, the first `machines` on one of them that does not lead, with liveness by their
 * agents every two seconds, and all of them well. */
static struct simmember *ladder_cast(struct stage *st, uint32_t machines)
{
    const struct sim_settings s = stage_hosts(3, machines);

    stage_found_hosts(st, &s);
    struct simmember *m = stage_host_of(st, 0, (1U << machines) - 1);
    for (uint32_t i = 0; i < machines; i++) {
        struct ha_vm vm = stage_machine(st, i);
        vm.move_to[0] = '\0';
        vm.liveness = guest_check(HA_ASK_AGENT, 2000, 1000);
        STAGE_APPLY(st, &vm);
    }
    stage_pass(st, 10 * NANOS_PER_S);
    return m;
}

static void set_agent(struct stage *st, uint32_t machine, struct simvm_agent agent)
{
    const struct simmember *m = stage_home(st, machine);

    if (m != NULL) {
        simvm_set_agent(stage_member(st, m->i)->host, simcluster_machine_name(machine), &agent);
    }
}

static uint32_t ended(struct stage *st, uint32_t machine)
{
    return stage_told(st, "vm-unwell", simcluster_machine_name(machine));
}

void scenario_guest_hangs(struct stage *st)
{
    struct simmember *m = ladder_cast(st, 1);
    const uint64_t epoch = stage_owner(st, 0)->epoch;

    set_agent(st, 0, (struct simvm_agent){.is_mute = true});
    STAGE_UNTIL(st, ENDED_WITHIN, stage_owner(st, 0)->epoch == epoch + 1 && stage_runs(st, 0),
                "it is ended, and runs again");
    stage_expect(st, stage_home(st, 0) == m, "on its host");
    stage_expect(st, stage_owner(st, 0)->failures == 1, "as one failure");
    stage_pass(st, 120 * NANOS_PER_S);
    stage_expect(st, stage_owner(st, 0)->epoch == epoch + 1 && ended(st, 0) == 1, "once");
    stage_expect(st, stage_offs_all(st) == 0, "nobody is fenced");
}

void scenario_process_hangs(struct stage *st)
{
    const struct simvm_faults frozen = {.is_frozen = true};
    const struct sim_settings s = stage_hosts(3, 1);

    stage_found_hosts(st, &s);
    struct simmember *m = stage_host_of(st, 0, 1);
    const uint64_t epoch = stage_owner(st, 0)->epoch;
    simvm_set_faults(m->host, simcluster_machine_name(0), &frozen);
    stage_pass(st, 55 * NANOS_PER_S);
    stage_expect(st, ended(st, 0) == 0, "it has its minute");
    STAGE_UNTIL(st, ENDED_WITHIN, stage_owner(st, 0)->epoch == epoch + 1 && stage_runs(st, 0),
                "it is ended, and runs again");
    stage_pass(st, 120 * NANOS_PER_S);
    stage_expect(st, ended(st, 0) == 1 && stage_offs_all(st) == 0, "once, and nobody is fenced");
}

void scenario_guest_slow(struct stage *st)
{
    struct simmember *m = ladder_cast(st, 1);
    struct ha_vm vm = stage_machine(st, 0);
    const uint64_t epoch = stage_owner(st, 0)->epoch;

    vm.liveness = guest_check(HA_ASK_EXEC, 2000, 1000);
    STAGE_APPLY(st, &vm);
    set_agent(st, 0, (struct simvm_agent){.span = 900 * NANOS_PER_MS});
    stage_pass(st, 60 * NANOS_PER_S);
    for (uint32_t i = 0; i < 10; i++) { /* one answer or two are too late */
        set_agent(st, 0, (struct simvm_agent){.span = 5 * NANOS_PER_S});
        stage_pass(st, 3 * NANOS_PER_S);
        set_agent(st, 0, (struct simvm_agent){.span = 900 * NANOS_PER_MS});
        stage_pass(st, 6 * NANOS_PER_S);
    }
    stage_expect(st, ended(st, 0) == 0 && stage_owner(st, 0)->epoch == epoch, "it runs on");
    stage_expect(st, stage_home(st, 0) == m, "where it was");
}

void scenario_guest_boots_long(struct stage *st)
{
    const struct sim_settings s = stage_hosts(3, 1);

    stage_found_hosts(st, &s);
    for (uint32_t i = 0; i < 3; i++) {
        simvm_set_agent_boot(stage_member(st, i)->host, 200 * NANOS_PER_S);
    }
    struct ha_vm vm = stage_machine(st, 0);
    vm.liveness = guest_check(HA_ASK_AGENT, 2000, 1000);
    vm.is_wanted = false;
    STAGE_APPLY(st, &vm);
    STAGE_UNTIL(st, 40 * NANOS_PER_S, stage_is_in(st, 0, HA_STOPPED), "it is stopped");
    vm.is_wanted = true;
    STAGE_APPLY(st, &vm);
    STAGE_UNTIL(st, 20 * NANOS_PER_S, stage_runs(st, 0), "it is started");
    const uint64_t epoch = stage_owner(st, 0)->epoch;
    stage_pass(st, 240 * NANOS_PER_S);
    stage_expect(st, stage_owner(st, 0)->epoch == epoch, "it is waited for");
    for (uint32_t i = 0; i < 3; i++) {
        simvm_set_agent_boot(stage_member(st, i)->host, 0);
    }
    set_agent(st, 0, (struct simvm_agent){.is_mute = true});
    STAGE_UNTIL(st, ENDED_WITHIN, stage_owner(st, 0)->epoch == epoch + 1 && stage_runs(st, 0),
                "once it has answered, it is ended as soon as any");
}

void scenario_guest_unready(struct stage *st)
{
    struct simmember *m = ladder_cast(st, 1);
    struct ha_vm vm = stage_machine(st, 0);
    const uint64_t epoch = stage_owner(st, 0)->epoch;

    vm.liveness = guest_check(HA_ASK_NOTHING, 10000, 3000);
    vm.readiness = guest_check(HA_ASK_EXEC, 1000, 500);
    STAGE_APPLY(st, &vm);
    stage_pass(st, 10 * NANOS_PER_S);
    set_agent(st, 0, (struct simvm_agent){.status = 1});
    stage_pass(st, 120 * NANOS_PER_S);
    const struct ha_report *report =
        stage_view(st) != NULL ? ha_view_report(stage_view(st), m->name, vm.name) : NULL;
    stage_expect(st,
                 report != NULL && report->rungs[HA_RUNG_READINESS].state == HA_RUNG_BAD &&
                     report->rungs[HA_RUNG_QMP].state == HA_RUNG_WELL,
                 "that is told");
    stage_expect(st, stage_owner(st, 0)->epoch == epoch, "and it runs on");
}

/* Its guest answers nothing from the moment at which it is to be moved. */
void scenario_guest_hangs_while_moved(struct stage *st)
{
    struct simmember *m = ladder_cast(st, 1);
    struct simmember *to = NULL;

    for (uint32_t i = 0; i < 3; i++) {
        to = stage_member(st, i) != m ? stage_member(st, i) : to;
    }
    set_agent(st, 0, (struct simvm_agent){.is_mute = true});
    stage_move(st, 0, to);
    stage_pass(st, 60 * NANOS_PER_S);
    stage_expect(st, ended(st, 0) == 0, "it is moved, and not ended for that");
    stage_expect(st, stage_home(st, 0) == to && stage_runs(st, 0), "it runs there");
}

/* Its daemon stands still, again and again, for longer than three answers take; then its host. */
void scenario_asker_stands_still(struct stage *st)
{
    struct simmember *m = ladder_cast(st, 4);
    uint64_t epochs[4];

    for (uint32_t i = 0; i < 4; i++) {
        struct ha_vm vm = stage_machine(st, i);
        vm.liveness = guest_check(HA_ASK_EXEC, 500, 500);
        vm.liveness.failures = 1;
        STAGE_APPLY(st, &vm);
        epochs[i] = stage_owner(st, i)->epoch;
    }
    stage_pass(st, 5 * NANOS_PER_S);
    for (uint32_t i = 0; i < 20; i++) {
        if (i % 2 == 0) {
            stage_freeze(st, m, 2 * NANOS_PER_S);
        } else {
            simhost_suspend(m->host, stage_now(st) + 2 * NANOS_PER_S);
        }
        stage_pass(st, 7 * NANOS_PER_S);
    }
    for (uint32_t i = 0; i < 4; i++) {
        stage_expect(st, ended(st, i) == 0, "nobody is ended for that");
        stage_expect(st, stage_offs_all(st) > 0 || stage_owner(st, i)->epoch == epochs[i],
                     "and nobody is started anew");
    }
}

/* It is ended, and nobody leads who could start it. */
void scenario_guest_hangs_leader_dies(struct stage *st)
{
    struct simmember *m = ladder_cast(st, 1);
    struct simmember *leader = stage_leader(st);
    const uint64_t epoch = stage_owner(st, 0)->epoch;

    set_agent(st, 0, (struct simvm_agent){.is_mute = true});
    STAGE_UNTIL(st, ENDED_WITHIN, stage_home(st, 0) == NULL, "it is ended");
    stage_kill(st, leader);
    (void)stage_await_leader(st, leader, 10 * NANOS_PER_S);
    STAGE_UNTIL(st, STAGE_EXPIRED_WITHIN, stage_runs(st, 0), "it runs again");
    stage_expect(st, stage_home(st, 0) == m, "on its host");
    stage_pass(st, 30 * NANOS_PER_S);
    stage_expect(st, stage_owner(st, 0)->epoch == epoch + 1 && ended(st, 0) == 1, "once");
    stage_start(st, leader);
}

void scenario_guests_hang_together(struct stage *st)
{
    uint32_t sum = 0;

    (void)ladder_cast(st, 6);
    for (uint32_t i = 0; i < 6; i++) {
        set_agent(st, i, (struct simvm_agent){.is_mute = true});
    }
    stage_pass(st, 25 * NANOS_PER_S);
    for (uint32_t i = 0; i < 6; i++) {
        set_agent(st, i, (struct simvm_agent){.is_mute = false});
    }
    stage_pass(st, 60 * NANOS_PER_S);
    for (uint32_t i = 0; i < 6; i++) {
        stage_expect(st, ended(st, i) == 0, "one cause that passes ends nobody");
        set_agent(st, i, (struct simvm_agent){.is_mute = true});
    }
    stage_pass(st, 70 * NANOS_PER_S);
    for (uint32_t i = 0; i < 6; i++) {
        sum += ended(st, i);
    }
    stage_expect(st, sum <= 2, "one that lasts ends them one at a time");
    stage_pass(st, 300 * NANOS_PER_S);
    for (uint32_t i = 0; i < 6; i++) {
        stage_expect(st, ended(st, i) == 1, "each once, in the end");
    }
}
