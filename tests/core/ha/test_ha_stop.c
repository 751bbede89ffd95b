/* How a machine ends in good order: its guest is asked, and asked again, and has all of its time.
 */
#include "tests/support/ha_cluster.h"
#include "tests/support/test.h"

/* A cluster whose machine "web" runs on the box that is returned. */
static struct ha_box *cluster_of_web(struct ha_cluster *c, uint64_t seed,
                                     enum world_watchdog watchdog)
{
    ha_cluster_init(c, seed, 3, watchdog);
    ha_cluster_start(c, true);
    struct ha_box *b = ha_cluster_follower(c);
    struct ha_vm vm = ha_cluster_vm_at(c, "web", b);
    vm.policy = HA_POLICY_STOP;
    ha_cluster_run_vm(c, &vm, b);
    return b;
}

static void want_stopped(struct ha_cluster *c)
{
    struct ha_vm vm = *ha_view_vm(ha_cluster_view(c), "web");
    vm.is_wanted = false;
    HA_APPLY(c, &vm);
}

static uint64_t kills_of(struct ha_box *b)
{
    struct ha_member_status status;
    ha_member_status(b->member, &status);
    return status.agent.kills;
}

static void guest_that_boots_is_asked_until_it_hears(void **state)
{
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = cluster_of_web(&c, 1, WORLD_WATCHDOG_READY);
    nanos patience = (nanos)ha_view_vm(ha_cluster_view(&c), "web")->stop_ms * NANOS_PER_MS;
    nanos through = SIMVM_DEAF_TIME + HA_PRESS_EVERY + SIMVM_SHUTDOWN_TIME + NANOS_PER_S;
    assert_true(through < patience / 2);
    want_stopped(&c);
    assert_true(ha_cluster_wait_vm(&c, "web", HA_STOPPED, NULL, through));
    assert_int_equal(kills_of(b), 0);
    ha_cluster_deinit(&c);
}

static void guest_that_never_hears_is_killed_when_its_time_is_over(void **state)
{
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = cluster_of_web(&c, 2, WORLD_WATCHDOG_READY);
    simvm_set_faults(b->host, "web", &(struct simvm_faults){.ignores_stop = true});
    nanos patience = (nanos)ha_view_vm(ha_cluster_view(&c), "web")->stop_ms * NANOS_PER_MS;
    want_stopped(&c);
    ha_cluster_run(&c, patience - NANOS_PER_S);
    assert_string_equal(ha_cluster_lives_on(&c, "web"), b->name);
    assert_int_equal(kills_of(b), 0);
    assert_true(ha_cluster_wait_vm(&c, "web", HA_STOPPED, NULL, 2 * NANOS_PER_S));
    assert_int_equal(kills_of(b), 1);
    ha_cluster_deinit(&c);
}

/* From half a lease before its end to an eighth of one: 3.4 s, and this guest takes 3. */
static void guest_has_all_the_time_that_the_end_of_the_lease_leaves(void **state)
{
    struct ha_cluster c;
    struct simdevice_faults denies = simdevice_faults_none();
    (void)state;
    struct ha_box *b = cluster_of_web(&c, 3, WORLD_WATCHDOG_NONE);
    nanos lease = (nanos)ha_view_settings(ha_cluster_view(&c))->lease_ms * NANOS_PER_MS;
    nanos left = lease / HA_STOP_SHARE - lease / HA_KILL_SHARE;
    assert_true(left > SIMVM_SHUTDOWN_TIME && left / 2 < SIMVM_SHUTDOWN_TIME);
    ha_cluster_run(&c, 15 * NANOS_PER_S);
    denies.denies = true;
    simdevice_set_faults(c.sim, b->name, &denies);
    ha_box_isolate(b, true);
    ha_cluster_run(&c, lease);
    assert_null(ha_cluster_lives_on(&c, "web"));
    assert_int_equal(kills_of(b), 0);
    ha_cluster_deinit(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guest_that_boots_is_asked_until_it_hears),
        cmocka_unit_test(guest_that_never_hears_is_killed_when_its_time_is_over),
        cmocka_unit_test(guest_has_all_the_time_that_the_end_of_the_lease_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
