/* The guard of a simulated host: what core/world/world.h promises of it, and how a watchdog takes
 * over from a guard that does not run. */
#include "core/chaos/simguard.h"
#include "core/chaos/simpower.h"
#include "core/chaos/simvm.h"

#include "tests/support/test.h"

#include <string.h>

#define LEASE    (5 * NANOS_PER_S)
#define WATCHDOG (10 * NANOS_PER_S)
#define SOON     NANOS_PER_S

struct keep {
    struct simworld *sim;
    struct simhost *host;
    struct simvolume *volume;
};

static void keep_new(struct keep *w)
{
    w->sim = simworld_new(1);
    w->host = simhost_new(w->sim, "a", 1 << 20);
    w->volume = simvolume_new(w->sim, "disk");
    simguard_install(w->host, WORLD_WATCHDOG_READY, WATCHDOG);
}

static void keep_run(struct keep *w, nanos span)
{
    simworld_run(w->sim, simworld_now(w->sim) + span);
}

static bool keep_has_machine(const struct keep *w)
{
    struct world_vm_found found;
    return simvm_at(w->host, 0, &found);
}

struct guard_asked {
    struct world_guard_request request;
    bool is_done;
};

static void guard_asked_done(struct world_guard_request *request)
{
    ((struct guard_asked *)request->owner)->is_done = true;
}

static void guard_ask(struct keep *w, struct guard_asked *asked, enum world_guard_op op,
                      nanos until)
{
    const struct world *world = simhost_world(w->host);

    *asked = (struct guard_asked){.request = {.op = op,
                                              .until = until,
                                              .deadline = world_now(world) + SOON,
                                              .done = guard_asked_done,
                                              .owner = asked}};
    world->guard->submit(world->self, &asked->request);
    assert_false(asked->is_done);
    keep_run(w, 2 * SOON);
    assert_true(asked->is_done);
}

static void keep_lease(struct keep *w, nanos span)
{
    struct guard_asked asked;

    guard_ask(w, &asked, WORLD_GUARD_LEASE, simhost_clock(w->host) + span);
    assert_int_equal(OK, asked.request.result);
}

struct start_asked {
    struct world_vm_request request;
    bool is_done;
};

static void start_asked_done(struct world_vm_request *request)
{
    ((struct start_asked *)request->owner)->is_done = true;
}

static enum err keep_start(struct keep *w)
{
    const struct world *world = simhost_world(w->host);
    struct start_asked asked = {
        .request = {.op = WORLD_VM_START,
                    .spec = {.name = "vm", .volume = "disk", .epoch = 1, .is_guarded = true},
                    .deadline = world_now(world) + SOON,
                    .done = start_asked_done,
                    .owner = &asked}};

    world->vm->submit(world->self, &asked.request);
    keep_run(w, SOON);
    assert_true(asked.is_done);
    return asked.request.result;
}

static void takes_machines_only_while_its_lease_holds(void **state)
{
    struct keep w;
    (void)state;

    keep_new(&w);
    assert_int_equal(ERR_DENIED, keep_start(&w));
    keep_lease(&w, 2 * LEASE);
    assert_int_equal(OK, keep_start(&w));
    assert_true(simguard_is_armed(w.host));
    simworld_free(w.sim);
}

static void without_a_guard_nothing_guarded_starts(void **state)
{
    struct simworld *sim = simworld_new(1);
    struct keep w = {.sim = sim, .host = simhost_new(sim, "a", 1 << 20)};
    struct guard_asked asked;
    (void)state;

    w.volume = simvolume_new(sim, "disk");
    assert_int_equal(ERR_DENIED, keep_start(&w));
    guard_ask(&w, &asked, WORLD_GUARD_STATUS, 0);
    assert_int_equal(ERR_CLOSED, asked.request.result);
    simworld_free(sim);
}

static void kills_what_it_holds_when_the_lease_ends(void **state)
{
    struct keep w;
    (void)state;

    keep_new(&w);
    keep_lease(&w, 2 * LEASE);
    assert_int_equal(OK, keep_start(&w));
    simhost_kill(w.host);
    keep_run(&w, 2 * LEASE - 3 * SOON - SIMGUARD_PERIOD);
    assert_true(keep_has_machine(&w));
    keep_run(&w, 2 * SIMGUARD_PERIOD);
    assert_false(keep_has_machine(&w));
    keep_run(&w, 2 * WATCHDOG);
    assert_false(simguard_is_armed(w.host));
    assert_int_equal(0, simguard_resets(w.host));
    simworld_free(w.sim);
}

static void a_lease_goes_forward_only(void **state)
{
    struct keep w;
    struct guard_asked asked;
    (void)state;

    keep_new(&w);
    keep_lease(&w, 4 * LEASE);
    guard_ask(&w, &asked, WORLD_GUARD_LEASE, simhost_clock(w.host) + LEASE);
    assert_int_equal(ERR_INVALID, asked.request.result);
    assert_true(asked.request.lease_until > simhost_clock(w.host) + LEASE);
    guard_ask(&w, &asked, WORLD_GUARD_STATUS, 0);
    assert_int_equal(WORLD_WATCHDOG_READY, asked.request.watchdog);
    assert_int_equal(WATCHDOG, asked.request.watchdog_timeout);
    assert_int_equal(0, asked.request.machines);
    simworld_free(w.sim);
}

static void the_watchdog_resets_a_host_whose_guard_stands_still(void **state)
{
    struct keep w;
    (void)state;

    keep_new(&w);
    keep_lease(&w, 2 * LEASE);
    assert_int_equal(OK, keep_start(&w));
    simguard_stall(w.host, NANOS_FOREVER);
    keep_run(&w, WATCHDOG - SOON);
    assert_true(keep_has_machine(&w));
    keep_run(&w, 2 * SOON);
    assert_false(keep_has_machine(&w));
    assert_int_equal(1, simguard_resets(w.host));
    assert_int_equal(SIMHOST_OFF, simhost_power(w.host));
    keep_run(&w, SIMGUARD_RESET_TIME);
    assert_int_equal(SIMHOST_ON, simhost_power(w.host));
    assert_int_equal(0, simguard_lease(w.host));
    simworld_free(w.sim);
}

static void the_watchdog_resets_a_host_on_which_a_machine_cannot_be_killed(void **state)
{
    const struct simvm_faults stuck = {.is_unkillable = true};
    struct keep w;
    (void)state;

    keep_new(&w);
    keep_lease(&w, 2 * LEASE);
    assert_int_equal(OK, keep_start(&w));
    simvm_set_faults(w.host, "vm", &stuck);
    keep_run(&w, 2 * LEASE + WATCHDOG + SOON);
    assert_false(keep_has_machine(&w));
    assert_int_equal(1, simguard_resets(w.host));
    simworld_free(w.sim);
}

/* HOST_SLEEPS of spec/ownership.pml. */
static void a_host_that_slept_runs_its_machines_before_the_guard_looks(void **state)
{
    struct keep w;
    (void)state;

    keep_new(&w);
    keep_lease(&w, 2 * LEASE);
    assert_int_equal(OK, keep_start(&w));
    simhost_suspend(w.host, simworld_now(w.sim) + 4 * WATCHDOG + SIMGUARD_PERIOD / 2);
    keep_run(&w, 4 * WATCHDOG + SIMGUARD_PERIOD / 2);
    assert_true(keep_has_machine(&w));
    assert_int_equal(0, simguard_resets(w.host));
    keep_run(&w, 2 * SIMGUARD_PERIOD);
    assert_false(keep_has_machine(&w));
    simworld_free(w.sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_machines_only_while_its_lease_holds),
        cmocka_unit_test(without_a_guard_nothing_guarded_starts),
        cmocka_unit_test(kills_what_it_holds_when_the_lease_ends),
        cmocka_unit_test(a_lease_goes_forward_only),
        cmocka_unit_test(the_watchdog_resets_a_host_whose_guard_stands_still),
        cmocka_unit_test(the_watchdog_resets_a_host_on_which_a_machine_cannot_be_killed),
        cmocka_unit_test(a_host_that_slept_runs_its_machines_before_the_guard_looks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
