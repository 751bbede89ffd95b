/* What an incident tells of a fence that fails, and what it has room for. */
#include <string.h>

#include "tests/support/ha_cluster.h"
#include "tests/support/test.h"

/* A controller that nobody reaches, round after round: each failure is in the record at once, and
 * however many there are, room is left for what is decided in the end. */
static void a_fence_that_fails_is_told_try_by_try_and_leaves_room(void **state)
{
    struct ha_cluster c;
    struct simdevice_faults dead = simdevice_faults_none();
    struct ha_confirmed word;
    (void)state;
    ha_cluster_init(&c, 41, 3, WORLD_WATCHDOG_NONE);
    ha_cluster_start(&c, true);
    struct ha_box *b = ha_cluster_follower(&c);
    const struct ha_vm vm = ha_cluster_vm_at(&c, "web", b);
    ha_cluster_run_vm(&c, &vm, b);
    dead.is_unreachable = true;
    simdevice_set_faults(c.sim, b->name, &dead);
    b->stays_down = true;
    ha_box_power_off(b);
    assert_true(ha_cluster_wait_fate(&c, b->name, HA_HOST_FENCING, 3 * NANOS_PER_S));
    ha_cluster_run(&c, 60 * NANOS_PER_S);
    const struct ha_incident *open =
        ha_view_incident(ha_cluster_view(&c), ha_cluster_fate(&c, b->name)->incident);
    assert_non_null(open);
    assert_false(open->is_closed);
    assert_string_equal(open->steps[2].what, "off-failed");
    assert_string_equal(open->steps[2].who, b->name);
    assert_memory_equal(open->steps[2].detail, "level 1, round 1: ", 18);
    ha_cluster_run(&c, 3600 * NANOS_PER_S);
    ha_record_defaults(HA_CONFIRMED, &word);
    ha_text_set(word.host, sizeof word.host, b->name);
    ha_text_set(word.incident, sizeof word.incident, ha_cluster_fate(&c, b->name)->incident);
    ha_text_set(word.by, sizeof word.by, "operator");
    ha_text_set(word.reason, sizeof word.reason, "its plug is out");
    HA_APPLY(&c, &word);
    assert_true(ha_cluster_wait_vm(&c, "web", HA_RUNNING, NULL, 10 * NANOS_PER_S));
    ha_cluster_run(&c, NANOS_PER_S);
    assert_int_equal(c.incidents_told, 1);
    const struct ha_incident *told = &c.incident_told[0];
    assert_in_range(told->n_steps, HA_STEPS_MAX / 2, HA_STEPS_MAX - 1);
    assert_string_equal(told->steps[told->n_steps - 1].what, "closed");
    assert_string_equal(told->steps[told->n_steps - 2].what, "started"); /* no room for details */
    assert_string_equal(told->steps[told->n_steps - 3].what, "placed");
    assert_string_equal(told->steps[told->n_steps - 4].what, "confirmed");
    ha_cluster_deinit(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fence_that_fails_is_told_try_by_try_and_leaves_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
