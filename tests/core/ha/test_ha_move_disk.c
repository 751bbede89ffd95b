/* A machine whose records name another disk than the one that it runs on is not moved while it
 * runs: in a whole cluster. What each part of it does is in test_ha_keeper_move.c and
 * test_ha_agent_rules.c. */
#include <string.h>

#include "core/chaos/simvm.h"
#include "tests/support/ha_cluster.h"
#include "tests/support/test.h"

/* Asks for a live move of "web" to the leader's host, by this record of it. */
static void ask_to_move(struct ha_cluster *c, struct ha_vm vm)
{
    ha_text_set(vm.move_to, sizeof(vm.move_to), ha_cluster_leader(c)->name);
    HA_APPLY(c, &vm);
}

/* It was refused, for its disk, and runs on where it is. */
static void assert_stays_for_its_disk(struct ha_cluster *c, const struct ha_box *b)
{
    assert_string_equal(ha_cluster_lives_on(c, "web"), b->name);
    assert_int_equal(ha_cluster_owner(c, "web")->phase, HA_RUNNING);
    assert_string_equal(ha_cluster_owner(c, "web")->host, b->name);
    assert_non_null(strstr(ha_cluster_owner(c, "web")->reason, "its disk is another"));
    assert_string_equal(ha_view_vm(ha_cluster_view(c), "web")->move_to, "");
    assert_int_equal(ha_cluster_owner(c, "web")->moves, 0);
    assert_int_equal(ha_cluster_starts(c, "web"), 1);
}

/* Its guest would go on with the memory that it has of the one, and write that over the other. To
 * start there it is welcome. */
static void machine_whose_volume_was_edited_is_not_moved_while_it_runs(void **state)
{
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = ha_cluster_with_web(&c, 38, 3, true);
    struct ha_box *to = ha_cluster_leader(&c);
    struct ha_vm vm = *ha_view_vm(ha_cluster_view(&c), "web");
    const struct ha_vm before = vm;
    (void)simvolume_new(c.sim, "other");
    ha_text_set(vm.volume, sizeof(vm.volume), "other");
    HA_APPLY(&c, &vm);
    ask_to_move(&c, vm);
    ha_cluster_run(&c, 10 * NANOS_PER_S);
    assert_stays_for_its_disk(&c, b);
    assert_non_null(strstr(ha_cluster_owner(&c, "web")->reason, "--offline"));
    assert_int_equal(ha_cluster_events(&c, "vm-not-moved", "web"), 1);
    vm.moves_offline = true;
    ask_to_move(&c, vm);
    ha_cluster_run(&c, 100 * NANOS_PER_MS);
    assert_true(ha_cluster_wait_vm(&c, "web", HA_RUNNING, to->name, 20 * NANOS_PER_S));
    assert_int_equal(ha_cluster_owner(&c, "web")->moves, 0);
    /* It runs on that one now, and what was there before is another. */
    vm = before;
    ha_text_set(vm.move_to, sizeof(vm.move_to), b->name);
    HA_APPLY(&c, &vm);
    ha_cluster_run(&c, 10 * NANOS_PER_S);
    assert_string_equal(ha_cluster_lives_on(&c, "web"), to->name);
    ha_text_set(vm.volume, sizeof(vm.volume), "other");
    HA_APPLY(&c, &vm);
    ha_cluster_run(&c, 100 * NANOS_PER_MS);
    assert_true(ha_cluster_wait_vm(&c, "web", HA_RUNNING, b->name, 20 * NANOS_PER_S));
    assert_int_equal(ha_cluster_owner(&c, "web")->moves, 1);
    ha_cluster_deinit(&c);
}

static void machine_whose_storage_has_another_path_is_not_moved_while_it_runs(void **state)
{
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = ha_cluster_with_web(&c, 39, 3, true);
    struct ha_storage storage = *ha_view_storage(ha_cluster_view(&c), "nfs");
    ha_text_set(storage.path, sizeof(storage.path), "/other");
    HA_APPLY(&c, &storage);
    ask_to_move(&c, *ha_view_vm(ha_cluster_view(&c), "web"));
    ha_cluster_run(&c, 10 * NANOS_PER_S);
    assert_stays_for_its_disk(&c, b);
    ha_cluster_deinit(&c);
}

/* The machine that waits for it may have opened either. */
static void move_is_called_off_when_the_volume_is_edited_in_its_middle(void **state)
{
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = ha_cluster_with_web(&c, 40, 3, true);
    struct ha_box *to = ha_cluster_leader(&c);
    struct ha_vm vm = *ha_view_vm(ha_cluster_view(&c), "web");
    const struct ha_vm before = vm;
    (void)simvolume_new(c.sim, "other");
    ask_to_move(&c, vm);
    assert_true(ha_cluster_wait_vm(&c, "web", HA_MOVING, b->name, 5 * NANOS_PER_S));
    ha_cluster_run(&c, SIMVM_MOVE_TIME / 2);
    ha_text_set(vm.volume, sizeof(vm.volume), "other");
    HA_APPLY(&c, &vm);
    ha_cluster_run(&c, 10 * NANOS_PER_S);
    assert_stays_for_its_disk(&c, b);
    assert_int_equal(ha_cluster_events(&c, "vm-not-moved", "web"), 1);
    ask_to_move(&c, before);
    ha_cluster_run(&c, 100 * NANOS_PER_MS);
    assert_true(ha_cluster_wait_vm(&c, "web", HA_RUNNING, to->name, 20 * NANOS_PER_S));
    assert_int_equal(ha_cluster_owner(&c, "web")->moves, 1);
    ha_cluster_deinit(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(machine_whose_volume_was_edited_is_not_moved_while_it_runs),
        cmocka_unit_test(machine_whose_storage_has_another_path_is_not_moved_while_it_runs),
        cmocka_unit_test(move_is_called_off_when_the_volume_is_edited_in_its_middle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
