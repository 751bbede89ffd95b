/* Machines survive: whole members on simulated hosts, and what happens to them. */
#include <string.h>

#include "tests/support/ha_cluster.h"
#include "tests/support/test.h"

static void starts_what_is_wanted_and_stops_what_is_not(void **state)
{
    struct ha_cluster c;
    (void)state;
    ha_cluster_init(&c, 1, 3, WORLD_WATCHDOG_READY);
    c.is_loud = true;
    ha_cluster_start(&c, true);
    struct ha_vm vm = ha_cluster_vm(&c, "web");
    HA_APPLY(&c, &vm);
    assert_true(ha_cluster_wait_vm(&c, "web", HA_RUNNING, NULL, 5 * NANOS_PER_S));
    assert_string_equal(ha_cluster_lives_on(&c, "web"), ha_cluster_owner(&c, "web")->host);
    vm.is_wanted = false;
    HA_APPLY(&c, &vm);
    assert_true(ha_cluster_wait_vm(&c, "web", HA_STOPPED, NULL, 20 * NANOS_PER_S));
    assert_null(ha_cluster_lives_on(&c, "web"));
    ha_cluster_delete(&c, HA_VM, "web");
    ha_cluster_run(&c, 2 * NANOS_PER_S);
    assert_null(ha_cluster_owner(&c, "web"));
    assert_int_equal(ha_view_count(ha_cluster_view(&c), HA_REPORT), 0);
    ha_cluster_deinit(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_what_is_wanted_and_stops_what_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
