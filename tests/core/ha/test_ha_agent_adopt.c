/* What an agent makes of machines that it finds: those of the agent before it, guests that stand
 * still, and what was to be moved away or has been moved here. */
#include "core/chaos/simvm.h"
#include "core/ha/ha_agent_ladder.h"
#include "tests/core/ha/lone_agent.h"
#include "tests/support/test.h"

/* --- what an agent before it knew ------------------------------------------------------------- */

static void lone_start(struct lone_agent *b, enum ha_policy policy)
{
    lone_open(b, WORLD_WATCHDOG_READY);
    const struct ha_host host = host_named("a", 1000, 4);
    VIEW_PUT(&b->view, &host);
    lone_register(b);
    lone_assign(b, 7, policy);
    lone_grant(b, b->view.revision);
    lone_run(b, NANOS_PER_S);
    assert_int_equal(lone_starts(b), 1);
}

/* One that was away for longer than a lease, and whose view has nothing yet, has nothing to end:
 * the guard has ended what it held, and the rest may be to be kept. */
static void nothing_is_ended_before_it_is_known_whether_it_is_to_be_kept(void **state)
{
    struct lone_agent b;
    struct world_vm_found found;
    (void)state;
    lone_start(&b, HA_POLICY_KEEP);
    simworld_run(b.sim, simworld_now(b.sim) + 20 * NANOS_PER_S);
    ha_view_clear(&b.view);
    lone_begin_anew(&b);
    lone_run(&b, 20 * NANOS_PER_S);
    assert_true(simvm_at(b.host, 0, &found));
    assert_int_equal(found.state, WORLD_VM_RUNNING);
    lone_close(&b);
}

/* It went down with its host, or while nobody was there to see: that is no failure of its own. */
static void what_does_not_live_when_an_agent_begins_has_not_failed(void **state)
{
    struct lone_agent b;
    (void)state;
    lone_start(&b, HA_POLICY_STOP);
    lone_begin_anew(&b);
    simvm_crash(b.host, "web");
    lone_begin_anew(&b);
    lone_register(&b);
    lone_run(&b, NANOS_PER_S);
    const struct ha_run *run = ha_run_find(b.agent, "web", 7);
    assert_int_equal(run->phase, HA_RUN_ENDED);
    assert_int_equal(run->end, WORLD_VM_KILLED);
    lone_close(&b);
}

static struct ha_report lone_reported(enum ha_report_state is)
{
    struct ha_report report;

    ha_record_defaults(HA_REPORT, &report);
    ha_text_set(report.host, sizeof(report.host), "a");
    ha_text_set(report.vm, sizeof(report.vm), "web");
    report.epoch = 7;
    report.boot = 1;
    report.state = is;
    return report;
}

/* A guest that has started long ago is not asked whether it has, and ended if it has forgotten. */
static void a_guest_that_has_started_is_not_asked_again_by_the_next_agent(void **state)
{
    struct lone_agent b;
    struct ha_report report = lone_reported(HA_REPORT_RUNS);
    const struct simvm_agent mute = {.is_mute = true};
    (void)state;
    lone_start(&b, HA_POLICY_STOP);
    simvm_set_agent(b.host, "web", &mute);
    struct ha_vm vm = vm_named("web", 100);
    ha_text_set(vm.volume, sizeof(vm.volume), "web");
    vm.startup.ask = HA_ASK_AGENT;
    VIEW_PUT(&b.view, &vm);
    report.rungs[HA_RUNG_STARTUP].state = HA_RUNG_WELL;
    VIEW_PUT(&b.view, &report);
    struct ha_owner owner = owner_of("web", HA_RUNNING, "a", 7);
    owner.policy = HA_POLICY_STOP;
    VIEW_PUT(&b.view, &owner);
    lone_begin_anew(&b);
    lone_register(&b);
    lone_grant(&b, b.view.revision);
    lone_run(&b, NANOS_PER_S);
    assert_true(ha_run_find(b.agent, "web", 7)->ladder->has_started);
    lone_close(&b);
}

/* Its predecessor took it back, and did not live to say so. */
static void a_promise_that_was_taken_back_is_not_told_for_ever(void **state)
{
    struct lone_agent b;
    struct ha_report report = lone_reported(HA_REPORT_MOVED);
    (void)state;
    lone_start(&b, HA_POLICY_STOP);
    report.to_epoch = 8;
    VIEW_PUT(&b.view, &report);
    struct ha_owner owner = owner_of("web", HA_RUNNING, "a", 7);
    owner.policy = HA_POLICY_STOP;
    owner.issued = 8;
    VIEW_PUT(&b.view, &owner);
    lone_begin_anew(&b);
    lone_register(&b);
    lone_grant(&b, b.view.revision);
    lone_run(&b, NANOS_PER_S);
    ha_report_fill(ha_run_of(b.agent, "web"), &report);
    assert_int_equal(report.state, HA_REPORT_RUNS);
    lone_close(&b);
}

/* --- guests that stand still ------------------------------------------------------------------ */

/* Its lease ends. */
static void lone_pause(struct lone_agent *b)
{
    struct world_vm_found found;

    while (!ha_run_of(b->agent, "web")->is_paused) {
        lone_run(b, 100 * NANOS_PER_MS);
    }
    lone_run(b, 100 * NANOS_PER_MS);
    assert_true(simvm_at(b->host, 0, &found));
    assert_int_equal(found.state, WORLD_VM_PAUSED);
}

/* Paused by the agent before, which is all that could be known of it if it answered. */
static void a_guest_that_was_paused_goes_on_though_it_did_not_answer(void **state)
{
    struct lone_agent b;
    struct world_vm_found found;
    const struct simvm_faults mute = {.is_mute = true};
    const struct simvm_faults none = {.is_mute = false};
    struct ha_owner owner = owner_of("web", HA_RUNNING, "a", 7);
    (void)state;
    lone_start(&b, HA_POLICY_PAUSE);
    lone_pause(&b);
    simvm_set_faults(b.host, "web", &mute);
    owner.policy = HA_POLICY_PAUSE;
    VIEW_PUT(&b.view, &owner);
    lone_begin_anew(&b);
    lone_register(&b);
    lone_grant(&b, b.view.revision);
    simvm_set_faults(b.host, "web", &none);
    lone_run(&b, 4 * NANOS_PER_S);
    assert_true(simvm_at(b.host, 0, &found));
    assert_int_equal(found.state, WORLD_VM_RUNNING);
    lone_close(&b);
}

/* Paused for want of a lease, which comes back with the word that it is to stop, or to be moved: it
 * runs, or it would not notice its button, and would stand still until all is ready for it. */
static void goes_on_to(enum ha_phase phase)
{
    struct lone_agent b;
    struct world_vm_found found;
    struct ha_owner owner = owner_of("web", phase, "a", 7);

    lone_start(&b, HA_POLICY_PAUSE);
    lone_pause(&b);
    owner.policy = HA_POLICY_PAUSE;
    if (phase == HA_MOVING) {
        owner.issued = 8;
        ha_text_set(owner.to, sizeof(owner.to), "b");
    }
    VIEW_PUT(&b.view, &owner);
    lone_grant(&b, b.view.revision);
    lone_run(&b, 4 * NANOS_PER_S);
    if (phase == HA_MOVING) {
        assert_true(simvm_at(b.host, 0, &found));
        assert_int_equal(found.state, WORLD_VM_RUNNING);
    } else {
        assert_false(simvm_at(b.host, 0, &found));
        assert_int_equal(ha_run_find(b.agent, "web", 7)->detail[0] != '\0', true);
        assert_int_equal(b.agent->kills, 0);
    }
    lone_close(&b);
}

static void a_guest_that_was_paused_goes_on_to_be_stopped_or_moved(void **state)
{
    (void)state;
    goes_on_to(HA_STOPPING);
    goes_on_to(HA_MOVING);
}

/* --- moves that fail -------------------------------------------------------------------------- */

/* The report that its agent would write, as the view is. */
static struct ha_report lone_reports(const struct lone_agent *b)
{
    struct ha_report report;

    ha_report_fill(ha_run_of(b->agent, "web"), &report);
    return report;
}

/* The machine is being moved from that host to that one, as epoch 8. */
static void lone_move(struct lone_agent *b, const char *from, const char *to)
{
    struct ha_owner owner = owner_of("web", HA_MOVING, from, 7);

    owner.policy = HA_POLICY_STOP;
    owner.issued = 8;
    ha_text_set(owner.to, sizeof(owner.to), to);
    ha_text_set(owner.address, sizeof(owner.address), to);
    owner.port = 4000;
    VIEW_PUT(&b->view, &owner);
}

static void lone_runs(struct lone_agent *b, uint64_t epoch)
{
    struct ha_owner owner = owner_of("web", HA_RUNNING, "a", epoch);

    owner.policy = HA_POLICY_STOP;
    VIEW_PUT(&b->view, &owner);
}

/* The manager calls it off for what is reported; a machine that runs on has nothing to complain of
 * then, and what comes to ail it is told. */
static void a_move_that_has_failed_is_told_until_it_is_over(void **state)
{
    struct lone_agent b;
    const struct simvm_faults full = {.has_no_room = true};
    (void)state;
    lone_open(&b, WORLD_WATCHDOG_READY);
    lone_register(&b);
    lone_assign(&b, 7, HA_POLICY_STOP);
    lone_grant(&b, b.view.revision);
    lone_run(&b, NANOS_PER_S);
    lone_move(&b, "a", "b");
    lone_grant(&b, b.view.revision);
    lone_run(&b, NANOS_PER_S);
    assert_int_equal(lone_reports(&b).to_epoch, 8);
    assert_string_not_equal(lone_reports(&b).detail, "");
    lone_runs(&b, 7);
    lone_grant(&b, b.view.revision);
    lone_run(&b, NANOS_PER_S);
    assert_int_equal(lone_reports(&b).to_epoch, 0);
    assert_string_equal(lone_reports(&b).detail, "");
    simvm_set_faults(b.host, "web", &full);
    for (uint32_t i = 0; i < 3; i++) {
        lone_grant(&b, b.view.revision);
        lone_run(&b, 2 * NANOS_PER_S);
    }
    assert_string_not_equal(lone_reports(&b).detail, "");
    lone_close(&b);
}

/* An agent that begins anew may be served by a voter that lags: its view still says of a machine
 * which runs here, or stands still, that it waits for its guest. What it says later holds. */
static void adopt_moved(bool is_paused)
{
    struct lone_agent b;
    struct world_vm_found found;

    lone_open(&b, WORLD_WATCHDOG_READY);
    lone_register(&b);
    lone_assign(&b, 8, HA_POLICY_STOP);
    lone_grant(&b, b.view.revision);
    lone_run(&b, NANOS_PER_S);
    if (is_paused) {
        ha_run_order(ha_run_of(b.agent, "web"), WORLD_VM_PAUSE, NANOS_PER_S);
        simworld_run(b.sim, simworld_now(b.sim) + 100 * NANOS_PER_MS);
    }
    lone_move(&b, "b", "a");
    lone_begin_anew(&b);
    assert_int_equal(lone_reports(&b).state, is_paused ? HA_REPORT_WAITS : HA_REPORT_RUNS);
    lone_runs(&b, 8);
    lone_register(&b);
    lone_grant(&b, b.view.revision);
    lone_run(&b, NANOS_PER_S);
    assert_int_equal(lone_reports(&b).epoch, 8);
    assert_int_equal(lone_reports(&b).state, HA_REPORT_RUNS);
    assert_true(simvm_at(b.host, 0, &found));
    assert_int_equal(found.state, WORLD_VM_RUNNING);
    lone_close(&b);
}

/* Where the order to go on had no answer, the machine is seen to run: it waits no more. */
static void a_guest_that_is_seen_to_run_does_not_wait(void **state)
{
    struct lone_agent b;
    (void)state;
    lone_start(&b, HA_POLICY_STOP);
    struct ha_run *run = ha_run_of(b.agent, "web");
    run->is_incoming = true;
    run->has_run = false;
    ha_move_seen(run, WORLD_VM_PAUSED);
    assert_true(run->is_incoming);
    ha_move_seen(run, WORLD_VM_RUNNING);
    assert_false(run->is_incoming);
    lone_close(&b);
}

/* QEMU may refuse to let it go on, at once and each time: that is asked once a second, and not for
 * ever. */
static void a_guest_that_cannot_be_taken_back_is_given_up(void **state)
{
    struct lone_agent b;
    struct world_vm_found found;
    (void)state;
    lone_open(&b, WORLD_WATCHDOG_READY);
    ha_text_set(b.agent->config.move_address, sizeof(b.agent->config.move_address), "a");
    lone_register(&b);
    lone_move(&b, "b", "a");
    lone_grant(&b, b.view.revision);
    lone_run(&b, 2 * NANOS_PER_S);
    struct ha_run *run = ha_run_of(b.agent, "web");
    assert_true(run->is_incoming);
    lone_runs(&b, 8);
    lone_run(&b, 20 * NANOS_PER_MS);
    run->is_paused = false;
    run->is_moved = true; /* as at a source, whose guest refuses likewise */
    for (uint32_t i = 0; i < 30 && run->phase == HA_RUN_ALIVE; i++) {
        lone_grant(&b, b.view.revision);
        lone_run(&b, NANOS_PER_S);
    }
    assert_false(simvm_at(b.host, 0, &found));
    assert_in_range(b.taken_back, 10, 30);
    lone_close(&b);
}

static void a_machine_that_was_moved_here_runs_whatever_an_old_view_says(void **state)
{
    (void)state;
    adopt_moved(false);
    adopt_moved(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_ended_before_it_is_known_whether_it_is_to_be_kept),
        cmocka_unit_test(what_does_not_live_when_an_agent_begins_has_not_failed),
        cmocka_unit_test(a_guest_that_has_started_is_not_asked_again_by_the_next_agent),
        cmocka_unit_test(a_promise_that_was_taken_back_is_not_told_for_ever),
        cmocka_unit_test(a_guest_that_was_paused_goes_on_though_it_did_not_answer),
        cmocka_unit_test(a_guest_that_was_paused_goes_on_to_be_stopped_or_moved),
        cmocka_unit_test(a_move_that_has_failed_is_told_until_it_is_over),
        cmocka_unit_test(a_guest_that_is_seen_to_run_does_not_wait),
        cmocka_unit_test(a_guest_that_cannot_be_taken_back_is_given_up),
        cmocka_unit_test(a_machine_that_was_moved_here_runs_whatever_an_old_view_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
