/* Virtual machines of the simulated world: what core/world/world.h promises of them, how they fail,
 * and that the verdict sees what must never be. */
#include "core/chaos/simpower.h"
#include "core/chaos/simvm.h"

#include "tests/support/test.h"

#include <string.h>

#define MINUTE     (60 * NANOS_PER_S)
#define LISTED_MAX 4

/* Two hosts and a volume that both reach. */
struct farm {
    struct simworld *sim;
    struct simhost *a;
    struct simhost *b;
    struct simvolume *volume;
    struct world_vm_sink sink; /* of a */
    struct world_vm_exit exit; /* the last */
    unsigned exits;
};

static void farm_exited(struct world_vm_sink *sink, const struct world_vm_exit *exit)
{
    struct farm *f = sink->owner;
    f->exit = *exit;
    f->exits++;
}

static void farm_watch(struct farm *f)
{
    f->sink = (struct world_vm_sink){farm_exited, f};
    simhost_world(f->a)->vm->watch(simhost_world(f->a)->self, &f->sink);
}

static void farm_new(struct farm *f)
{
    memset(f, 0, sizeof *f);
    f->sim = simworld_new(1);
    f->a = simhost_new(f->sim, "a", 1 << 20);
    f->b = simhost_new(f->sim, "b", 1 << 20);
    f->volume = simvolume_new(f->sim, "disk");
    farm_watch(f);
}

static void farm_run(struct farm *f, nanos span)
{
    simworld_run(f->sim, simworld_now(f->sim) + span);
}

struct command {
    struct world_vm_request request;
    struct farm *farm;
    bool is_done;
    unsigned exits_at_done;
    struct world_vm_found listed[LISTED_MAX];
    size_t count;
};

static void command_entry(struct world_vm_request *request, const struct world_vm_found *found)
{
    struct command *c = request->owner;
    assert_true(c->count < LISTED_MAX && !c->is_done);
    c->listed[c->count++] = *found;
}

static void command_done(struct world_vm_request *request)
{
    struct command *c = request->owner;
    assert_false(c->is_done);
    c->is_done = true;
    c->exits_at_done = c->farm->exits;
}

static void command_send(struct command *c, struct farm *f, struct simhost *host,
                         enum world_vm_op op, uint64_t epoch, nanos patience)
{
    const struct world *w = simhost_world(host);

    memset(c, 0, sizeof *c);
    c->farm = f;
    c->request = (struct world_vm_request){
        .op = op,
        .spec = {.name = "vm", .volume = "disk", .epoch = epoch},
        .deadline = world_now(w) + patience,
        .entry = command_entry,
        .done = command_done,
        .owner = c,
    };
    w->vm->submit(w->self, &c->request);
    assert_false(c->is_done);
}

static struct command command_wait(struct farm *f, struct simhost *host, enum world_vm_op op,
                                   uint64_t epoch)
{
    struct command c;

    command_send(&c, f, host, op, epoch, 10 * NANOS_PER_S);
    nanos until = simworld_now(f->sim) + 10 * NANOS_PER_S;
    while (!c.is_done && simworld_now(f->sim) <= until) {
        assert_true(simworld_step(f->sim));
    }
    assert_true(c.is_done);
    return c;
}

static enum err try_on(struct farm *f, struct simhost *host, enum world_vm_op op, uint64_t epoch)
{
    return command_wait(f, host, op, epoch).request.result;
}

static void with_vm_faults(struct simhost *host, struct simvm_faults faults)
{
    simvm_set_faults(host, "vm", &faults);
}

static bool lives_on(const struct simhost *host)
{
    struct world_vm_found found;
    return simvm_at(host, 0, &found);
}

static void starts_writes_and_is_killed(void **state)
{
    (void)state;
    struct farm f;

    farm_new(&f);
    assert_int_equal(try_on(&f, f.a, WORLD_VM_START, 1), OK);
    assert_ptr_equal(simvolume_holder(f.volume), f.a);
    farm_run(&f, 10 * NANOS_PER_S);
    assert_in_range(simvolume_writes(f.volume), 90, 110);
    assert_int_equal(try_on(&f, f.a, WORLD_VM_START, 2), ERR_EXISTS);
    struct command query = command_wait(&f, f.a, WORLD_VM_QUERY, 1);
    assert_int_equal(query.request.result, OK);
    assert_int_equal(query.request.state, WORLD_VM_RUNNING);
    /* The exit is told before the answer. */
    struct command killed = command_wait(&f, f.a, WORLD_VM_KILL, 1);
    assert_int_equal(killed.request.result, OK);
    assert_int_equal(killed.exits_at_done, 1);
    assert_int_equal(f.exit.end, WORLD_VM_KILLED);
    assert_int_equal(f.exit.epoch, 1);
    assert_string_equal(f.exit.name, "vm");
    assert_null(simvolume_holder(f.volume));
    uint64_t writes = simvolume_writes(f.volume);
    farm_run(&f, MINUTE);
    assert_int_equal(simvolume_writes(f.volume), writes);
    assert_int_equal(f.exits, 1);
    assert_int_equal(try_on(&f, f.a, WORLD_VM_QUERY, 1), ERR_NOT_FOUND);
    struct simvolume_row row;
    assert_true(simvolume_row_at(f.volume, 0, &row));
    assert_ptr_equal(row.host, f.a);
    assert_int_equal(row.writes, writes);
    assert_false(simvolume_row_at(f.volume, 1, &row));
    assert_null(simvm_violation(f.sim));
    simworld_free(f.sim);
}

static void commands_for_another_epoch_do_nothing(void **state)
{
    (void)state;
    struct farm f;

    farm_new(&f);
    assert_int_equal(try_on(&f, f.a, WORLD_VM_START, 2), OK);
    assert_int_equal(try_on(&f, f.a, WORLD_VM_KILL, 1), ERR_REFUSED);
    assert_int_equal(try_on(&f, f.a, WORLD_VM_PAUSE, 3), ERR_REFUSED);
    assert_true(lives_on(f.a));
    assert_int_equal(try_on(&f, f.a, WORLD_VM_KILL, 0), OK);
    assert_false(lives_on(f.a));
    simworld_free(f.sim);
}

static void the_lock_keeps_a_second_copy_out(void **state)
{
    (void)state;
    struct farm f;

    farm_new(&f);
    assert_int_equal(try_on(&f, f.a, WORLD_VM_START, 1), OK);
    assert_int_equal(try_on(&f, f.b, WORLD_VM_START, 2), ERR_REFUSED);
    assert_false(lives_on(f.b));
    /* A lock of a host without power is gone. */
    simhost_switch_off(f.a);
    assert_false(lives_on(f.a));
    assert_int_equal(try_on(&f, f.b, WORLD_VM_START, 2), OK);
    farm_run(&f, NANOS_PER_S);
    assert_int_equal(simvolume_epoch(f.volume), 2);
    assert_null(simvm_violation(f.sim));
    assert_int_equal(f.exits, 0);
    simworld_free(f.sim);
}

static void a_machine_outlives_the_daemon_and_is_adopted(void **state)
{
    (void)state;
    struct farm f;

    farm_new(&f);
    assert_int_equal(try_on(&f, f.a, WORLD_VM_START, 1), OK);
    simhost_kill(f.a);
    uint64_t writes = simvolume_writes(f.volume);
    farm_run(&f, NANOS_PER_S);
    assert_true(simvolume_writes(f.volume) > writes);
    farm_watch(&f);
    struct command list = command_wait(&f, f.a, WORLD_VM_LIST, 0);
    assert_int_equal(list.request.result, OK);
    assert_int_equal(list.count, 1);
    assert_string_equal(list.listed[0].name, "vm");
    assert_string_equal(list.listed[0].volume, "disk");
    assert_int_equal(list.listed[0].epoch, 1);
    assert_int_equal(list.listed[0].state, WORLD_VM_RUNNING);
    simvm_crash(f.a, "vm");
    farm_run(&f, NANOS_PER_S);
    assert_int_equal(f.exits, 1);
    assert_int_equal(f.exit.end, WORLD_VM_CRASHED);
    assert_int_equal(command_wait(&f, f.a, WORLD_VM_LIST, 0).count, 0);
    simworld_free(f.sim);
}

static void a_daemon_that_dies_while_it_starts_a_machine_may_have_started_it(void **state)
{
    (void)state;
    const nanos after[] = {SIMVM_EXEC_TIME / 2, SIMVM_EXEC_TIME + SIMVM_BOOT_TIME / 2};

    for (size_t i = 0; i < COUNT_OF(after); i++) {
        struct farm f;
        struct command start;
        farm_new(&f);
        command_send(&start, &f, f.a, WORLD_VM_START, 1, MINUTE);
        farm_run(&f, after[i]);
        simhost_kill(f.a);
        farm_run(&f, MINUTE);
        assert_false(start.is_done);
        assert_int_equal(lives_on(f.a), i == 1);
        simworld_free(f.sim);
    }
}

static void a_press_is_lost_while_the_guest_boots(void **state)
{
    (void)state;
    struct farm f;

    farm_new(&f);
    assert_int_equal(try_on(&f, f.a, WORLD_VM_START, 1), OK);
    assert_int_equal(try_on(&f, f.a, WORLD_VM_STOP, 1), OK);
    farm_run(&f, MINUTE);
    assert_true(lives_on(f.a));
    assert_int_equal(try_on(&f, f.a, WORLD_VM_STOP, 1), OK);
    farm_run(&f, 2 * SIMVM_SHUTDOWN_TIME);
    assert_false(lives_on(f.a));
    simworld_free(f.sim);
}

static void a_guest_shuts_down_when_asked_unless_it_ignores_it(void **state)
{
    (void)state;
    struct farm f;

    farm_new(&f);
    assert_int_equal(try_on(&f, f.a, WORLD_VM_START, 1), OK);
    farm_run(&f, SIMVM_DEAF_TIME);
    with_vm_faults(f.a, (struct simvm_faults){.ignores_stop = true});
    assert_int_equal(try_on(&f, f.a, WORLD_VM_STOP, 1), OK);
    farm_run(&f, MINUTE);
    assert_true(lives_on(f.a));
    with_vm_faults(f.a, (struct simvm_faults){.is_mute = false});
    assert_int_equal(try_on(&f, f.a, WORLD_VM_STOP, 1), OK);
    assert_true(lives_on(f.a));
    farm_run(&f, 2 * SIMVM_SHUTDOWN_TIME);
    assert_false(lives_on(f.a));
    assert_int_equal(f.exit.end, WORLD_VM_SHUT_DOWN);
    assert_int_equal(f.exits, 1);
    simworld_free(f.sim);
}

static void a_paused_machine_keeps_its_lock_and_writes_nothing(void **state)
{
    (void)state;
    struct farm f;

    farm_new(&f);
    assert_int_equal(try_on(&f, f.a, WORLD_VM_START, 1), OK);
    assert_int_equal(try_on(&f, f.a, WORLD_VM_PAUSE, 1), OK);
    assert_int_equal(command_wait(&f, f.a, WORLD_VM_QUERY, 1).request.state, WORLD_VM_PAUSED);
    uint64_t writes = simvolume_writes(f.volume);
    farm_run(&f, MINUTE);
    assert_int_equal(simvolume_writes(f.volume), writes);
    assert_int_equal(try_on(&f, f.b, WORLD_VM_START, 2), ERR_REFUSED);
    assert_int_equal(try_on(&f, f.a, WORLD_VM_RESUME, 1), OK);
    farm_run(&f, NANOS_PER_S);
    assert_true(simvolume_writes(f.volume) > writes);
    simworld_free(f.sim);
}

static void a_mute_machine_is_listed_as_unknown_and_can_be_killed(void **state)
{
    (void)state;
    struct farm f;

    farm_new(&f);
    assert_int_equal(try_on(&f, f.a, WORLD_VM_START, 1), OK);
    with_vm_faults(f.a, (struct simvm_faults){.is_mute = true});
    struct command query = command_wait(&f, f.a, WORLD_VM_QUERY, 1);
    assert_int_equal(query.request.result, ERR_TIMEOUT);
    assert_int_equal(query.request.state, WORLD_VM_UNKNOWN);
    struct command list = command_wait(&f, f.a, WORLD_VM_LIST, 0);
    assert_int_equal(list.listed[0].state, WORLD_VM_UNKNOWN);
    /* A kill does not wait behind what is not answered. */
    struct command stuck;
    command_send(&stuck, &f, f.a, WORLD_VM_PAUSE, 1, MINUTE);
    assert_int_equal(try_on(&f, f.a, WORLD_VM_KILL, 1), OK);
    assert_false(stuck.is_done);
    assert_false(lives_on(f.a));
    farm_run(&f, MINUTE);
    assert_int_equal(stuck.request.result, ERR_TIMEOUT);
    simworld_free(f.sim);
}

static void uninterruptible_sleep_counts_as_running(void **state)
{
    (void)state;
    struct farm f;

    farm_new(&f);
    assert_int_equal(try_on(&f, f.a, WORLD_VM_START, 1), OK);
    with_vm_faults(f.a, (struct simvm_faults){.is_unkillable = true});
    uint64_t writes = simvolume_writes(f.volume);
    assert_int_equal(try_on(&f, f.a, WORLD_VM_KILL, 1), ERR_TIMEOUT);
    assert_int_equal(simvolume_writes(f.volume), writes);
    assert_true(lives_on(f.a));
    assert_int_equal(try_on(&f, f.b, WORLD_VM_START, 2), ERR_REFUSED);
    struct command patient;
    command_send(&patient, &f, f.a, WORLD_VM_KILL, 1, MINUTE);
    farm_run(&f, 10 * NANOS_PER_S);
    with_vm_faults(f.a, (struct simvm_faults){.is_unkillable = false});
    farm_run(&f, NANOS_PER_S);
    assert_true(patient.is_done);
    assert_int_equal(patient.request.result, OK);
    assert_false(lives_on(f.a));
    simworld_free(f.sim);
}

static void a_frozen_machine_goes_on_where_it_stood(void **state)
{
    (void)state;
    struct farm f;

    farm_new(&f);
    assert_int_equal(try_on(&f, f.a, WORLD_VM_START, 1), OK);
    with_vm_faults(f.a, (struct simvm_faults){.is_frozen = true});
    uint64_t writes = simvolume_writes(f.volume);
    assert_int_equal(try_on(&f, f.a, WORLD_VM_QUERY, 1), ERR_TIMEOUT);
    assert_int_equal(simvolume_writes(f.volume), writes);
    with_vm_faults(f.a, (struct simvm_faults){.is_frozen = false});
    farm_run(&f, NANOS_PER_S);
    assert_true(simvolume_writes(f.volume) > writes);
    with_vm_faults(f.a, (struct simvm_faults){.is_frozen = true});
    assert_int_equal(try_on(&f, f.a, WORLD_VM_KILL, 1), OK);
    assert_false(lives_on(f.a));
    simworld_free(f.sim);
}

static void a_start_fails_or_waits_for_its_storage(void **state)
{
    (void)state;
    struct farm f;

    farm_new(&f);
    simvm_fail_starts(f.a, 1);
    assert_int_equal(try_on(&f, f.a, WORLD_VM_START, 1), ERR_IO);
    assert_false(lives_on(f.a));
    simvolume_cut(f.volume, f.a, true);
    assert_int_equal(try_on(&f, f.a, WORLD_VM_START, 1), ERR_TIMEOUT);
    assert_false(lives_on(f.a));
    simvolume_cut(f.volume, f.a, false);
    assert_int_equal(try_on(&f, f.a, WORLD_VM_START, 1), OK);
    simvolume_cut(f.volume, f.a, true);
    uint64_t writes = simvolume_writes(f.volume);
    farm_run(&f, MINUTE);
    assert_int_equal(simvolume_writes(f.volume), writes);
    /* Its write has failed, and so it stands still until it is told to go on. */
    const struct command query = command_wait(&f, f.a, WORLD_VM_QUERY, 1);
    assert_int_equal(query.request.state, WORLD_VM_PAUSED);
    assert_true(query.request.is_disk_lost);
    assert_int_equal(try_on(&f, f.a, WORLD_VM_RESUME, 1), OK);
    farm_run(&f, NANOS_PER_S);
    assert_int_equal(command_wait(&f, f.a, WORLD_VM_QUERY, 1).request.state, WORLD_VM_PAUSED);
    simvolume_cut(f.volume, f.a, false);
    farm_run(&f, NANOS_PER_S);
    assert_int_equal(simvolume_writes(f.volume), writes);
    assert_int_equal(try_on(&f, f.a, WORLD_VM_RESUME, 1), OK);
    farm_run(&f, NANOS_PER_S);
    assert_true(simvolume_writes(f.volume) > writes);
    assert_int_equal(command_wait(&f, f.a, WORLD_VM_QUERY, 1).request.state, WORLD_VM_RUNNING);
    simworld_free(f.sim);
}

static void a_second_owner_of_an_epoch_is_seen(void **state)
{
    (void)state;
    struct farm f;

    farm_new(&f);
    assert_int_equal(try_on(&f, f.a, WORLD_VM_START, 4), OK);
    assert_int_equal(try_on(&f, f.a, WORLD_VM_KILL, 4), OK);
    /* Again on the same host is a restart in place. */
    assert_int_equal(try_on(&f, f.a, WORLD_VM_START, 4), OK);
    assert_int_equal(try_on(&f, f.a, WORLD_VM_KILL, 4), OK);
    assert_null(simvm_violation(f.sim));
    assert_int_equal(try_on(&f, f.b, WORLD_VM_START, 4), OK);
    assert_non_null(simvm_violation(f.sim));
    assert_non_null(strstr(simvm_violation(f.sim), "I11: volume disk: b opened epoch 4"));
    simworld_free(f.sim);
}

static void an_epoch_that_goes_back_is_seen(void **state)
{
    (void)state;
    struct farm f;

    farm_new(&f);
    assert_int_equal(try_on(&f, f.a, WORLD_VM_START, 4), OK);
    assert_int_equal(try_on(&f, f.a, WORLD_VM_KILL, 4), OK);
    const struct world_vm_spec by_hand = {.name = "vm", .volume = "disk", .epoch = 3};
    assert_int_equal(simvm_start_by_hand(f.b, &by_hand), OK);
    assert_non_null(strstr(simvm_violation(f.sim), "I11: volume disk: b opened epoch 3 behind 4"));
    simworld_free(f.sim);
}

static void two_copies_are_seen_when_locks_do_not_hold(void **state)
{
    (void)state;
    struct farm f;

    for (int paused = 0; paused < 2; paused++) {
        farm_new(&f);
        assert_int_equal(try_on(&f, f.a, WORLD_VM_START, 1), OK);
        if (paused == 1) {
            assert_int_equal(try_on(&f, f.a, WORLD_VM_PAUSE, 1), OK);
        }
        simvolume_forget_lock(f.volume);
        assert_null(simvm_violation(f.sim));
        assert_int_equal(try_on(&f, f.b, WORLD_VM_START, 2), OK);
        assert_non_null(strstr(simvm_violation(f.sim), "I12: volume disk: a still runs epoch 1"));
        simworld_free(f.sim);
    }
}

static void a_write_that_arrives_late_is_seen(void **state)
{
    (void)state;
    struct farm f;

    for (int waits = 0; waits < 2; waits++) {
        farm_new(&f);
        simvolume_set_flight(f.volume, 2 * NANOS_PER_S);
        assert_int_equal(try_on(&f, f.a, WORLD_VM_START, 1), OK);
        farm_run(&f, NANOS_PER_S);
        simhost_switch_off(f.a);
        if (waits == 1) {
            farm_run(&f, 2 * NANOS_PER_S);
        }
        assert_int_equal(try_on(&f, f.b, WORLD_VM_START, 2), OK);
        farm_run(&f, 10 * NANOS_PER_S);
        if (waits == 1) {
            assert_null(simvm_violation(f.sim));
        } else {
            assert_non_null(strstr(simvm_violation(f.sim), "a wrote under epoch 1 behind 2"));
        }
        simworld_free(f.sim);
    }
}

static void a_suspended_host_runs_nothing_and_goes_on_later(void **state)
{
    (void)state;
    struct farm f;

    farm_new(&f);
    assert_int_equal(try_on(&f, f.a, WORLD_VM_START, 1), OK);
    simhost_suspend(f.a, simworld_now(f.sim) + MINUTE);
    uint64_t writes = simvolume_writes(f.volume);
    farm_run(&f, MINUTE - NANOS_PER_S);
    assert_int_equal(simvolume_writes(f.volume), writes);
    farm_run(&f, 2 * NANOS_PER_S);
    assert_true(simvolume_writes(f.volume) > writes);
    /* A daemon that stands still hinders nobody. */
    simhost_pause(f.a, simworld_now(f.sim) + MINUTE);
    writes = simvolume_writes(f.volume);
    farm_run(&f, NANOS_PER_S);
    assert_true(simvolume_writes(f.volume) > writes);
    simworld_free(f.sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_writes_and_is_killed),
        cmocka_unit_test(commands_for_another_epoch_do_nothing),
        cmocka_unit_test(the_lock_keeps_a_second_copy_out),
        cmocka_unit_test(a_machine_outlives_the_daemon_and_is_adopted),
        cmocka_unit_test(a_daemon_that_dies_while_it_starts_a_machine_may_have_started_it),
        cmocka_unit_test(a_press_is_lost_while_the_guest_boots),
        cmocka_unit_test(a_guest_shuts_down_when_asked_unless_it_ignores_it),
        cmocka_unit_test(a_paused_machine_keeps_its_lock_and_writes_nothing),
        cmocka_unit_test(a_mute_machine_is_listed_as_unknown_and_can_be_killed),
        cmocka_unit_test(uninterruptible_sleep_counts_as_running),
        cmocka_unit_test(a_frozen_machine_goes_on_where_it_stood),
        cmocka_unit_test(a_start_fails_or_waits_for_its_storage),
        cmocka_unit_test(a_second_owner_of_an_epoch_is_seen),
        cmocka_unit_test(an_epoch_that_goes_back_is_seen),
        cmocka_unit_test(two_copies_are_seen_when_locks_do_not_hold),
        cmocka_unit_test(a_write_that_arrives_late_is_seen),
        cmocka_unit_test(a_suspended_host_runs_nothing_and_goes_on_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
