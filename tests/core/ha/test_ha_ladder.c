/* The ladder of machines: what is told of them, what ends them, and what does not. */
#include <stdio.h>
#include <string.h>

#include "core/chaos/simapp.h"
#include "core/ha/ha_agent.h"
#include "tests/support/ha_cluster.h"
#include "tests/support/test.h"

#define PORT 8080

/* Three hosts; the machine's is a follower. */
static struct ha_box *ladder_cluster(struct ha_cluster *c, uint64_t seed)
{
    ha_cluster_init(c, seed, 3, WORLD_WATCHDOG_READY);
    ha_cluster_start(c, true);
    return ha_cluster_follower(c);
}

static struct ha_vm machine_at(struct ha_cluster *c, const char *name, const struct ha_box *b)
{
    struct ha_vm vm = ha_cluster_vm_at(c, name, b);

    vm.restart.delay_ms = 200;
    return vm;
}

static struct ha_check asks(enum ha_ask ask, uint32_t period_ms, uint32_t failures)
{
    struct ha_vm defaults;

    ha_record_defaults(HA_VM, &defaults);
    struct ha_check check = defaults.liveness;
    check.ask = ask;
    check.period_ms = period_ms;
    check.timeout_ms = 1000;
    check.failures = failures;
    if (ask == HA_ASK_EXEC) {
        check.command.n = 1;
        ha_text_set(check.command.word[0], HA_VALUE_BYTES, "/bin/check");
    } else if (ask == HA_ASK_TCP || ask == HA_ASK_HTTP) {
        ha_text_set(check.address, sizeof(check.address), "127.0.0.1");
        check.port = PORT;
    }
    return check;
}

static const struct ha_report *report_at(struct ha_cluster *c, const struct ha_box *b,
                                         const char *vm)
{
    const struct ha_report *report = ha_view_report(ha_cluster_view(c), b->name, vm);

    assert_non_null(report);
    return report;
}

static void assert_rung(struct ha_cluster *c, const struct ha_box *b, const char *vm,
                        enum ha_rung rung, enum ha_rung_state state)
{
    const struct ha_report *report = report_at(c, b, vm);

    if (report->rungs[rung].state != state) {
        fail_msg("%s of %s is %s: %s", ha_rung_name(rung), vm,
                 ha_rung_state_name(report->rungs[rung].state), report->rungs[rung].answer);
    }
}

/* It has begun so many epochs, and none was ended for another reason than its ladder. */
static void assert_ended(struct ha_cluster *c, const char *vm, uint32_t times)
{
    assert_int_equal(ha_cluster_events(c, "vm-unwell", vm), times);
    assert_int_equal(ha_cluster_starts(c, vm), times + 1);
    for (uint32_t i = 0; i < c->n; i++) {
        assert_int_equal(simdevice_offs(c->sim, c->box[i].name), 0);
    }
}

/* --- what ends a machine ------------------------------------------------------------------------
 */

static void guest_that_fails_its_liveness_is_started_anew_once(void **state)
{
    struct ha_cluster c;
    const struct simvm_agent mute = {.is_mute = true};
    (void)state;
    struct ha_box *b = ladder_cluster(&c, 1);
    struct ha_vm vm = machine_at(&c, "web", b);
    vm.liveness = asks(HA_ASK_AGENT, 2000, 3);
    c.is_loud = true;
    ha_cluster_run_vm(&c, &vm, b);
    ha_cluster_run(&c, 12 * NANOS_PER_S);
    assert_rung(&c, b, "web", HA_RUNG_QMP, HA_RUNG_WELL);
    assert_rung(&c, b, "web", HA_RUNG_AGENT, HA_RUNG_WELL);
    assert_rung(&c, b, "web", HA_RUNG_LIVENESS, HA_RUNG_WELL);
    assert_rung(&c, b, "web", HA_RUNG_STARTUP, HA_RUNG_UNASKED);
    assert_true(report_at(&c, b, "web")->rungs[HA_RUNG_LIVENESS].since_ms > 0);
    simvm_set_agent(b->host, "web", &mute);
    ha_cluster_run(&c, 4 * NANOS_PER_S); /* two failures are none */
    assert_ended(&c, "web", 0);
    ha_cluster_run(&c, 8 * NANOS_PER_S);
    assert_ended(&c, "web", 1);
    const struct ha_owner *owner = ha_cluster_owner(&c, "web");
    assert_int_equal(owner->phase, HA_RUNNING);
    assert_string_equal(owner->host, b->name);
    assert_int_equal(owner->failures, 1);
    ha_cluster_run(&c, 120 * NANOS_PER_S);
    assert_ended(&c, "web", 1);
    assert_rung(&c, b, "web", HA_RUNG_LIVENESS, HA_RUNG_WELL);
    ha_cluster_deinit(&c);
}

static void the_reason_tells_what_was_asked_and_answered(void **state)
{
    struct ha_cluster c;
    const struct simvm_agent fails = {.status = 3, .output = "first\nno database\n"};
    (void)state;
    struct ha_box *b = ladder_cluster(&c, 2);
    struct ha_vm vm = machine_at(&c, "web", b);
    vm.restart.delay_ms = 20000;
    vm.liveness = asks(HA_ASK_EXEC, 1000, 2);
    ha_cluster_run_vm(&c, &vm, b);
    ha_cluster_run(&c, 3 * NANOS_PER_S);
    simvm_set_agent(b->host, "web", &fails);
    assert_true(ha_cluster_wait_vm(&c, "web", HA_RESTARTING, b->name, 6 * NANOS_PER_S));
    char expected[HA_TEXT_BYTES];
    snprintf(expected, sizeof(expected),
             "it was ended: it was not alive, 2 times in a row when asked to run /bin/check: exit "
             "3: no database: failure 1 of 10, 1 in a row on %s",
             b->name);
    assert_string_equal(ha_cluster_owner(&c, "web")->reason, expected);
    assert_true(report_at(&c, b, "web")->is_unwell);
    assert_int_equal(report_at(&c, b, "web")->end, WORLD_VM_KILLED);
    ha_cluster_deinit(&c);
}

static void process_that_is_mute_on_qmp_is_ended_after_its_time(void **state)
{
    struct ha_cluster c;
    const struct simvm_faults frozen = {.is_frozen = true};
    (void)state;
    struct ha_box *b = ladder_cluster(&c, 3);
    struct ha_vm vm = machine_at(&c, "web", b);
    ha_cluster_run_vm(&c, &vm, b);
    ha_cluster_run(&c, 5 * NANOS_PER_S);
    simvm_set_faults(b->host, "web", &frozen);
    ha_cluster_run(&c, 30 * NANOS_PER_S);
    assert_rung(&c, b, "web", HA_RUNG_QMP, HA_RUNG_BAD);
    ha_cluster_run(&c, 25 * NANOS_PER_S);
    assert_ended(&c, "web", 0);
    ha_cluster_run(&c, 15 * NANOS_PER_S);
    assert_ended(&c, "web", 1);
    assert_rung(&c, b, "web", HA_RUNG_QMP, HA_RUNG_WELL);
    vm = *ha_view_vm(ha_cluster_view(&c), "web");
    vm.mute_ms = 0;
    HA_APPLY(&c, &vm);
    simvm_set_faults(b->host, "web", &frozen);
    ha_cluster_run(&c, 200 * NANOS_PER_S);
    assert_ended(&c, "web", 1);
    ha_cluster_deinit(&c);
}

static void service_is_asked_over_the_network(void **state)
{
    static const char well[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    const struct simapp_conduct hangs = {.manner = SIMAPP_HANGS};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct ha_cluster c;
        struct ha_box *b = ladder_cluster(&c, 4);
        struct ha_vm vm = machine_at(&c, "web", b);
        simapp_run(b->host, PORT, (struct bytes){(const uint8_t *)well, sizeof(well) - 1});
        vm.liveness = asks(i == 0 ? HA_ASK_HTTP : HA_ASK_TCP, 1000, 3);
        vm.readiness = asks(HA_ASK_HTTP, 1000, 2);
        ha_cluster_run_vm(&c, &vm, b);
        ha_cluster_run(&c, 10 * NANOS_PER_S);
        assert_rung(&c, b, "web", HA_RUNG_LIVENESS, HA_RUNG_WELL);
        assert_rung(&c, b, "web", HA_RUNG_READINESS, HA_RUNG_WELL);
        simapp_behave(b->host, PORT, &hangs);
        ha_cluster_run(&c, 6 * NANOS_PER_S);
        assert_ended(&c, "web", i == 0 ? 1 : 0);
        simapp_behave(b->host, PORT, NULL);
        ha_cluster_run(&c, 60 * NANOS_PER_S);
        assert_ended(&c, "web", i == 0 ? 1 : 0);
        assert_rung(&c, b, "web", HA_RUNG_READINESS, HA_RUNG_WELL);
        ha_box_kill(b); /* a question may be under way */
        ha_cluster_deinit(&c);
    }
}

static void start_that_never_ends_is_ended_and_counts_against_the_limit(void **state)
{
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = ladder_cluster(&c, 5);
    struct ha_vm vm = machine_at(&c, "web", b);
    vm.startup = asks(HA_ASK_TCP, 1000, 5); /* nobody listens */
    vm.liveness = asks(HA_ASK_AGENT, 1000, 2);
    vm.restart.limit = 3;
    ha_cluster_run_vm(&c, &vm, b);
    assert_true(ha_cluster_wait_vm(&c, "web", HA_FAILED, NULL, 60 * NANOS_PER_S));
    assert_int_equal(ha_cluster_starts(&c, "web"), 3);
    assert_int_equal(ha_cluster_events(&c, "vm-unwell", "web"), 2);
    assert_int_equal(ha_cluster_events(&c, "vm-failed", "web"), 1);
    assert_non_null(strstr(ha_cluster_owner(&c, "web")->reason, "did not start up"));
    ha_cluster_deinit(&c);
}

/* --- what does not ------------------------------------------------------------------------------
 */

static void slow_answer_ends_nobody(void **state)
{
    struct ha_cluster c;
    const struct simvm_agent slow = {.span = 700 * NANOS_PER_MS};
    const struct simvm_agent late = {.span = 5 * NANOS_PER_S};
    const struct simvm_agent quick = {.span = 0};
    (void)state;
    struct ha_box *b = ladder_cluster(&c, 6);
    struct ha_vm vm = machine_at(&c, "web", b);
    vm.liveness = asks(HA_ASK_EXEC, 2000, 3);
    ha_cluster_run_vm(&c, &vm, b);
    ha_cluster_run(&c, 5 * NANOS_PER_S);
    simvm_set_agent(b->host, "web", &slow);
    ha_cluster_run(&c, 120 * NANOS_PER_S);
    for (int i = 0; i < 10; i++) {
        simvm_set_agent(b->host, "web", &late);
        ha_cluster_run(&c, 3 * NANOS_PER_S); /* one answer or two */
        simvm_set_agent(b->host, "web", &quick);
        ha_cluster_run(&c, 5 * NANOS_PER_S);
    }
    assert_ended(&c, "web", 0);
    ha_cluster_deinit(&c);
}

static void readiness_is_only_told(void **state)
{
    struct ha_cluster c;
    const struct simvm_agent fails = {.status = 1};
    const struct simvm_agent well = {.status = 0};
    (void)state;
    struct ha_box *b = ladder_cluster(&c, 7);
    struct ha_vm vm = machine_at(&c, "web", b);
    vm.liveness = asks(HA_ASK_AGENT, 2000, 3);
    vm.readiness = asks(HA_ASK_EXEC, 1000, 2);
    ha_cluster_run_vm(&c, &vm, b);
    ha_cluster_run(&c, 15 * NANOS_PER_S);
    assert_rung(&c, b, "web", HA_RUNG_READINESS, HA_RUNG_WELL);
    simvm_set_agent(b->host, "web", &fails);
    ha_cluster_run(&c, 120 * NANOS_PER_S);
    assert_rung(&c, b, "web", HA_RUNG_READINESS, HA_RUNG_BAD);
    assert_rung(&c, b, "web", HA_RUNG_LIVENESS, HA_RUNG_WELL);
    assert_string_equal(report_at(&c, b, "web")->rungs[HA_RUNG_READINESS].answer, "exit 1");
    simvm_set_agent(b->host, "web", &well);
    ha_cluster_run(&c, 10 * NANOS_PER_S);
    assert_rung(&c, b, "web", HA_RUNG_READINESS, HA_RUNG_WELL);
    assert_ended(&c, "web", 0);
    ha_cluster_deinit(&c);
}

/* Four minutes of boot, in which nobody answers; then a guest that dies is found as soon as ever.
 */
static void long_boot_is_waited_for_without_a_startup_check_too(void **state)
{
    const struct simvm_agent mute = {.is_mute = true};
    const struct simvm_agent well = {.is_mute = false};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct ha_cluster c;
        struct ha_box *b = ladder_cluster(&c, 8);
        struct ha_vm vm = machine_at(&c, "web", b);
        vm.liveness = asks(HA_ASK_AGENT, 2000, 3);
        vm.readiness = asks(HA_ASK_AGENT, 2000, 1);
        vm.liveness.delay_ms = 2000;
        if (i == 1) {
            vm.startup = asks(HA_ASK_EXEC, 10000, 30);
            vm.startup.delay_ms = 2000;
            vm.liveness.delay_ms = 0;
        }
        ha_cluster_run_vm(&c, &vm, b);
        simvm_set_agent(b->host, "web", &mute);
        ha_cluster_run(&c, 240 * NANOS_PER_S);
        assert_ended(&c, "web", 0);
        assert_rung(&c, b, "web", HA_RUNG_LIVENESS, HA_RUNG_WAITING);
        assert_rung(&c, b, "web", HA_RUNG_READINESS, HA_RUNG_WAITING);
        simvm_set_agent(b->host, "web", &well);
        ha_cluster_run(&c, 30 * NANOS_PER_S);
        assert_rung(&c, b, "web", HA_RUNG_LIVENESS, HA_RUNG_WELL);
        simvm_set_agent(b->host, "web", &mute);
        ha_cluster_run(&c, 14 * NANOS_PER_S);
        assert_int_equal(ha_cluster_events(&c, "vm-unwell", "web"), 1);
        ha_cluster_deinit(&c);
    }
}

/* The process of the daemon, or its host, stands still, and whatever it had asked is over when it
 * goes on: a single failure would be the end. */
static void pause_of_the_daemon_counts_for_nothing(void **state)
{
    struct ha_cluster c;
    const struct simvm_agent mute = {.is_mute = true};
    const struct simvm_agent late = {.span = 400 * NANOS_PER_MS};
    (void)state;
    struct ha_box *b = ladder_cluster(&c, 9);
    struct ha_vm vm = machine_at(&c, "web", b);
    vm.policy = HA_POLICY_KEEP;
    vm.liveness = asks(HA_ASK_EXEC, 500, 1);
    vm.liveness.timeout_ms = 500;
    ha_cluster_run_vm(&c, &vm, b);
    simvm_set_agent(b->host, "web", &late);
    ha_cluster_run(&c, 5 * NANOS_PER_S);
    for (int i = 0; i < 20; i++) {
        nanos until = simworld_now(c.sim) + 1500 * NANOS_PER_MS;
        if (i % 2 == 0) {
            simhost_pause(b->host, until);
        } else {
            simhost_suspend(b->host, until);
        }
        simvm_set_agent(b->host, "web", &mute); /* its guest stands still, too */
        ha_cluster_run(&c, 1510 * NANOS_PER_MS);
        simvm_set_agent(b->host, "web", &late);
        ha_cluster_run(&c, 4570 * NANOS_PER_MS + (nanos)i * 30 * NANOS_PER_MS);
    }
    assert_ended(&c, "web", 0);
    assert_rung(&c, b, "web", HA_RUNG_LIVENESS, HA_RUNG_WELL);
    ha_cluster_deinit(&c);
}

static void machine_that_is_being_stopped_is_not_asked(void **state)
{
    struct ha_cluster c;
    const struct simvm_agent mute = {.is_mute = true};
    const struct simvm_faults stubborn = {.ignores_stop = true};
    (void)state;
    struct ha_box *b = ladder_cluster(&c, 10);
    struct ha_vm vm = machine_at(&c, "web", b);
    vm.liveness = asks(HA_ASK_AGENT, 1000, 2);
    vm.stop_ms = 30000;
    ha_cluster_run_vm(&c, &vm, b);
    ha_cluster_run(&c, 5 * NANOS_PER_S);
    simvm_set_faults(b->host, "web", &stubborn);
    simvm_set_agent(b->host, "web", &mute);
    vm.is_wanted = false;
    HA_APPLY(&c, &vm);
    ha_cluster_run(&c, 20 * NANOS_PER_S);
    assert_non_null(ha_cluster_lives_on(&c, "web"));
    assert_true(ha_cluster_wait_vm(&c, "web", HA_STOPPED, NULL, 20 * NANOS_PER_S));
    assert_int_equal(ha_cluster_events(&c, "vm-unwell", "web"), 0);
    ha_cluster_deinit(&c);
}

/* Its guest answers nothing, since QEMU has stopped it: its disk has no room. A restart would not
 * help, and it goes on by itself. */
static void guest_that_stands_for_want_of_room_is_not_ended(void **state)
{
    struct ha_cluster c;
    const struct simvm_faults full = {.has_no_room = true};
    const struct simvm_faults room = {.has_no_room = false};
    (void)state;
    struct ha_box *b = ladder_cluster(&c, 15);
    struct ha_vm vm = machine_at(&c, "web", b);
    vm.liveness = asks(HA_ASK_AGENT, 500, 1);
    vm.liveness.timeout_ms = 200;
    vm.on_storage_loss = HA_LOSS_KEEP;
    ha_cluster_run_vm(&c, &vm, b);
    for (int i = 0; i < 20; i++) { /* whatever is asked first then */
        simvm_set_faults(b->host, "web", &room);
        ha_cluster_run(&c, 30 * NANOS_PER_S + (nanos)i * 150 * NANOS_PER_MS);
        assert_rung(&c, b, "web", HA_RUNG_LIVENESS, HA_RUNG_WELL);
        simvm_set_faults(b->host, "web", &full);
        ha_cluster_run(&c, 15 * NANOS_PER_S);
    }
    assert_true(report_at(&c, b, "web")->detail[0] != '\0');
    assert_rung(&c, b, "web", HA_RUNG_LIVENESS, HA_RUNG_UNASKED);
    simvm_set_faults(b->host, "web", &room);
    ha_cluster_run(&c, 30 * NANOS_PER_S);
    assert_rung(&c, b, "web", HA_RUNG_LIVENESS, HA_RUNG_WELL);
    assert_ended(&c, "web", 0);
    ha_cluster_deinit(&c);
}

/* Whoever could start it anew is not there: it is ended once somebody is. */
static void without_a_lease_nobody_is_ended(void **state)
{
    struct ha_cluster c;
    const struct simvm_agent mute = {.is_mute = true};
    (void)state;
    struct ha_box *b = ladder_cluster(&c, 11);
    struct ha_vm vm = machine_at(&c, "web", b);
    vm.storage[0] = '\0'; /* its policy counts for nothing then, and it is not fenced for */
    vm.allowed = vm.preferred;
    vm.liveness = asks(HA_ASK_AGENT, 1000, 2);
    ha_cluster_run_vm(&c, &vm, b);
    ha_cluster_run(&c, 5 * NANOS_PER_S);
    ha_box_isolate(b, true);
    ha_cluster_run(&c, 12 * NANOS_PER_S);
    simvm_set_agent(b->host, "web", &mute);
    ha_cluster_run(&c, 60 * NANOS_PER_S);
    assert_non_null(ha_cluster_lives_on(&c, "web"));
    ha_box_isolate(b, false);
    ha_cluster_run(&c, 60 * NANOS_PER_S);
    assert_int_equal(ha_cluster_events(&c, "vm-unwell", "web"), 1);
    assert_string_equal(ha_cluster_lives_on(&c, "web"), b->name);
    ha_cluster_deinit(&c);
}

static const char *const four[] = {"a", "b", "c", "d"};

static uint32_t ended_of_four(struct ha_cluster *c)
{
    uint32_t n = 0;

    for (size_t i = 0; i < COUNT_OF(four); i++) {
        n += ha_cluster_events(c, "vm-unwell", four[i]);
    }
    return n;
}

/* All four machines of a host do not answer any more: that is one cause. Once they have not
 * answered again half a minute later, one of them is ended, to see whether it helps. */
static void machines_that_fail_together_are_ended_one_at_a_time(void **state)
{
    const struct simvm_agent mute = {.is_mute = true};
    const struct simvm_agent well = {.is_mute = false};
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = ladder_cluster(&c, 12);
    for (int i = 0; i < 4; i++) {
        struct ha_vm vm = machine_at(&c, four[i], b);
        vm.liveness = asks(HA_ASK_AGENT, 2000, 3);
        ha_cluster_run_vm(&c, &vm, b);
    }
    ha_cluster_run(&c, 10 * NANOS_PER_S);
    for (int i = 0; i < 4; i++) {
        simvm_set_agent(b->host, four[i], &mute);
    }
    ha_cluster_run(&c, 30 * NANOS_PER_S);
    assert_int_equal(ended_of_four(&c), 0);
    for (int i = 0; i < 4; i++) { /* it has passed */
        simvm_set_agent(b->host, four[i], &well);
    }
    ha_cluster_run(&c, 60 * NANOS_PER_S);
    assert_int_equal(ended_of_four(&c), 0);
    for (int i = 0; i < 4; i++) {
        simvm_set_agent(b->host, four[i], &mute);
    }
    ha_cluster_run(&c, 60 * NANOS_PER_S);
    assert_int_equal(ended_of_four(&c), 1);
    ha_cluster_run(&c, 120 * NANOS_PER_S); /* it helped two: the others follow */
    assert_int_equal(ended_of_four(&c), 4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(ha_cluster_owner(&c, four[i])->restarts, 1);
    }
    ha_cluster_deinit(&c);
}

/* --- what is written ----------------------------------------------------------------------------
 */

/* A service that comes and goes twice a second is written of every five seconds at most. */
static void what_comes_and_goes_is_written_within_bounds(void **state)
{
    struct ha_cluster c;
    const struct simvm_agent fails = {.status = 1};
    const struct simvm_agent well = {.status = 0};
    (void)state;
    struct ha_box *b = ladder_cluster(&c, 13);
    struct ha_vm vm = machine_at(&c, "web", b);
    vm.readiness = asks(HA_ASK_EXEC, 500, 1);
    ha_cluster_run_vm(&c, &vm, b);
    ha_cluster_run(&c, 20 * NANOS_PER_S);
    uint64_t before = ha_cluster_view(&c)->revision;
    ha_cluster_run(&c, 100 * NANOS_PER_S);
    assert_int_equal(ha_cluster_view(&c)->revision, before); /* nothing has changed */
    for (int i = 0; i < 100; i++) {
        simvm_set_agent(b->host, "web", i % 2 == 0 ? &fails : &well);
        ha_cluster_run(&c, NANOS_PER_S);
    }
    uint64_t writes = ha_cluster_view(&c)->revision - before;
    assert_in_range(writes, 10, 21);
    ha_cluster_deinit(&c);
}

static void probes_are_changed_while_the_machine_runs(void **state)
{
    struct ha_cluster c;
    const struct simvm_agent gone = {.is_missing = true};
    (void)state;
    struct ha_box *b = ladder_cluster(&c, 14);
    struct ha_vm vm = machine_at(&c, "web", b);
    ha_cluster_run_vm(&c, &vm, b);
    ha_cluster_run(&c, 15 * NANOS_PER_S);
    assert_rung(&c, b, "web", HA_RUNG_AGENT, HA_RUNG_WELL);
    assert_rung(&c, b, "web", HA_RUNG_READINESS, HA_RUNG_UNASKED);
    vm.readiness = asks(HA_ASK_EXEC, 1000, 1);
    HA_APPLY(&c, &vm);
    ha_cluster_run(&c, 10 * NANOS_PER_S);
    assert_rung(&c, b, "web", HA_RUNG_READINESS, HA_RUNG_WELL);
    /* One that was defined without an agent is not ended, whatever is asked of it. */
    simvm_set_agent(b->host, "web", &gone);
    vm.liveness = asks(HA_ASK_AGENT, 1000, 1);
    vm.readiness = asks(HA_ASK_NOTHING, 10000, 3);
    vm.readiness.timeout_ms = 3000;
    HA_APPLY(&c, &vm);
    ha_cluster_run(&c, 400 * NANOS_PER_S);
    assert_ended(&c, "web", 0);
    assert_rung(&c, b, "web", HA_RUNG_AGENT, HA_RUNG_UNASKED);
    assert_rung(&c, b, "web", HA_RUNG_LIVENESS, HA_RUNG_WAITING);
    assert_rung(&c, b, "web", HA_RUNG_READINESS, HA_RUNG_UNASKED);
    ha_cluster_deinit(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guest_that_fails_its_liveness_is_started_anew_once),
        cmocka_unit_test(the_reason_tells_what_was_asked_and_answered),
        cmocka_unit_test(process_that_is_mute_on_qmp_is_ended_after_its_time),
        cmocka_unit_test(service_is_asked_over_the_network),
        cmocka_unit_test(start_that_never_ends_is_ended_and_counts_against_the_limit),
        cmocka_unit_test(slow_answer_ends_nobody),
        cmocka_unit_test(readiness_is_only_told),
        cmocka_unit_test(long_boot_is_waited_for_without_a_startup_check_too),
        cmocka_unit_test(pause_of_the_daemon_counts_for_nothing),
        cmocka_unit_test(machine_that_is_being_stopped_is_not_asked),
        cmocka_unit_test(guest_that_stands_for_want_of_room_is_not_ended),
        cmocka_unit_test(without_a_lease_nobody_is_ended),
        cmocka_unit_test(machines_that_fail_together_are_ended_one_at_a_time),
        cmocka_unit_test(what_comes_and_goes_is_written_within_bounds),
        cmocka_unit_test(probes_are_changed_while_the_machine_runs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
