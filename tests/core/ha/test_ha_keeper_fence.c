/* What the manager tells of a fence that does not come to an end, and of hosts on which nothing
 * starts, and what becomes of a fence that is called off; whole members on simulated hosts. */
#include <string.h>

#include "tests/support/ha_cluster.h"
#include "tests/support/test.h"

/* A machine on a follower whose controller, and a second device behind it, take commands and do
 * nothing. */
static struct ha_box *silent_box(struct ha_cluster *c, uint64_t seed)
{
    struct simdevice_faults hung = simdevice_faults_none();

    ha_cluster_init(c, seed, 3, WORLD_WATCHDOG_READY);
    ha_cluster_start(c, true);
    struct ha_box *b = ha_cluster_follower(c);
    struct ha_vm vm = ha_cluster_vm_at(c, "web", b);
    vm.policy = HA_POLICY_KEEP;
    ha_cluster_run_vm(c, &vm, b);
    ha_cluster_add_second_device(c, b);
    hung.is_hung = true;
    simdevice_set_faults(c->sim, b->name, &hung);
    simdevice_set_faults(c->sim, "second", &hung);
    return b;
}

static void silent_devices_are_told_of_long_before_they_are_given_up(void **state)
{
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = silent_box(&c, 31);
    ha_box_isolate(b, true);
    assert_true(ha_cluster_wait_fate(&c, b->name, HA_HOST_FENCING, 5 * NANOS_PER_S));
    ha_cluster_run(&c, 9 * NANOS_PER_S);
    assert_int_equal(ha_cluster_events(&c, "host-fence-slow", b->name), 0);
    ha_cluster_run(&c, 2 * NANOS_PER_S);
    assert_int_equal(ha_cluster_events(&c, "host-fence-slow", b->name), 1);
    const struct ha_fate *fate = ha_cluster_fate(&c, b->name);
    print_message("# %s\n", fate->reason);
    assert_non_null(strstr(fate->reason, "nothing has proved it off yet, and it is tried on"));
    assert_non_null(strstr(fate->reason, "off is under way"));
    assert_int_equal(fate->attempts, 0);
    assert_int_equal(strncmp(ha_cluster_owner(&c, "web")->reason, "unproven", 8), 0);

    /* The first level's time-outs: told to go off, and read. */
    ha_cluster_run(&c, 35 * NANOS_PER_S);
    assert_int_equal(ha_cluster_events(&c, "host-fence-level-failed", b->name), 1);
    fate = ha_cluster_fate(&c, b->name);
    print_message("# %s\n", fate->reason);
    assert_non_null(strstr(fate->reason, "level 1 of 2 has failed: "));
    assert_non_null(strstr(fate->reason, "round 1, level 2 of 2: second: off is under way"));
    assert_int_equal(ha_cluster_events(&c, "host-fence-failed", b->name), 0);

    /* All have failed once: it goes on trying, and says so once a round. */
    ha_cluster_run(&c, 45 * NANOS_PER_S);
    assert_int_equal(ha_cluster_events(&c, "host-fence-failed", b->name), 1);
    assert_int_equal(ha_cluster_events(&c, "host-fence-slow", b->name), 1);
    assert_true(ha_cluster_fate(&c, b->name)->attempts >= 1);
    ha_cluster_deinit(&c);
}

static void a_fence_that_works_is_no_news_but_its_end(void **state)
{
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = silent_box(&c, 32);
    const struct simdevice_faults none = simdevice_faults_none();
    simdevice_set_faults(c.sim, b->name, &none);
    simdevice_set_faults(c.sim, "second", &none);
    b->stays_down = true;
    ha_box_isolate(b, true);
    assert_true(ha_cluster_wait_fate(&c, b->name, HA_HOST_GONE, 15 * NANOS_PER_S));
    ha_cluster_run(&c, 15 * NANOS_PER_S);
    assert_int_equal(ha_cluster_events(&c, "host-fence-slow", b->name), 0);
    assert_int_equal(ha_cluster_events(&c, "host-fence-level-failed", b->name), 0);
    ha_cluster_deinit(&c);
}

/* --- fences that are called off --------------------------------------------------------------- */

/* A host that is being fenced is heard for a moment, while the disks of the other followers stand
 * and heartbeats are answered: the transaction that spares it is in the leader's log, and nobody
 * knows for how long it stays there. */
static void nobody_strikes_a_host_while_the_log_may_spare_it(void **state)
{
    struct ha_cluster c;
    struct ha_settings settings;
    (void)state;
    ha_cluster_init(&c, 38, 4, WORLD_WATCHDOG_READY);
    ha_cluster_start(&c, true);
    ha_record_defaults(HA_SETTINGS, &settings);
    settings.fence_delay_ms = 20000;
    HA_APPLY(&c, &settings);
    struct ha_box *b = ha_cluster_follower(&c);
    struct ha_box *leader = ha_cluster_leader(&c);
    const struct ha_vm vm = ha_cluster_vm_at(&c, "web", b);
    ha_cluster_run_vm(&c, &vm, b);
    ha_box_isolate(b, true);
    assert_true(ha_cluster_wait_fate(&c, b->name, HA_HOST_FENCING, 5 * NANOS_PER_S));
    ha_cluster_run(&c, 100 * NANOS_PER_MS);
    for (uint32_t i = 0; i < c.n; i++) {
        if (&c.box[i] != leader && &c.box[i] != b) {
            simhost_stall_disk(c.box[i].host, simworld_now(c.sim) + 40 * NANOS_PER_S);
        }
    }
    ha_box_isolate(b, false);
    ha_cluster_run(&c, 1500 * NANOS_PER_MS);
    ha_box_isolate(b, true);
    ha_cluster_run(&c, 35 * NANOS_PER_S);
    assert_ptr_equal(ha_cluster_leader(&c), leader);
    assert_int_equal(ha_cluster_fate(&c, b->name)->phase, HA_HOST_FENCING);
    assert_int_equal(simdevice_offs(c.sim, b->name), 0);
    assert_int_equal(ha_cluster_events(&c, "host-back", b->name), 0);
    ha_cluster_run(&c, 5 * NANOS_PER_S);
    assert_int_equal(ha_cluster_events(&c, "host-back", b->name), 1);
    assert_int_equal(simdevice_offs(c.sim, b->name), 0);
    /* It is lost all the same, and fenced for that. */
    assert_true(ha_cluster_wait_fate(&c, b->name, HA_HOST_GONE, 60 * NANOS_PER_S));
    assert_int_equal(simdevice_offs(c.sim, b->name), 1);
    ha_cluster_deinit(&c);
}

/* --- hosts on which nothing starts ------------------------------------------------------------ */

/* Machines that prefer the host, and are new. */
static void add_machines(struct ha_cluster *c, const struct ha_box *b, uint32_t from, uint32_t n)
{
    for (uint32_t i = from; i < from + n; i++) {
        char name[HA_NAME_BYTES] = "m0";
        name[1] = (char)('0' + i);
        struct ha_vm vm = ha_cluster_vm_at(c, name, b);
        vm.memory_mib = 64;
        HA_APPLY(c, &vm);
    }
}

static void a_host_on_which_nothing_starts_is_left_out_and_tried_again(void **state)
{
    struct ha_cluster c;
    (void)state;
    ha_cluster_init(&c, 33, 3, WORLD_WATCHDOG_READY);
    ha_cluster_start(&c, true);
    struct ha_box *b = ha_cluster_follower(&c);
    simvm_fail_starts(b->host, 3);
    add_machines(&c, b, 0, 3);
    ha_cluster_run(&c, 15 * NANOS_PER_S);
    assert_int_equal(ha_cluster_events(&c, "host-tripped", b->name), 1);
    assert_true(ha_cluster_fate(&c, b->name)->is_tripped);
    for (uint32_t i = 0; i < 3; i++) {
        char name[HA_NAME_BYTES] = "m0";
        name[1] = (char)('0' + i);
        assert_true(ha_cluster_wait_vm(&c, name, HA_RUNNING, NULL, 10 * NANOS_PER_S));
        assert_string_not_equal(ha_cluster_lives_on(&c, name), b->name);
    }
    /* The next leader knows. */
    struct ha_box *leader = ha_cluster_leader(&c);
    ha_box_kill(leader);
    ha_cluster_run(&c, 5 * NANOS_PER_S);
    ha_box_start(leader);
    add_machines(&c, b, 3, 1);
    assert_true(ha_cluster_wait_vm(&c, "m3", HA_RUNNING, NULL, 10 * NANOS_PER_S));
    assert_string_not_equal(ha_cluster_lives_on(&c, "m3"), b->name);
    /* And after a while it is tried again. */
    ha_cluster_run(&c, 90 * NANOS_PER_S);
    assert_false(ha_cluster_fate(&c, b->name)->is_tripped);
    add_machines(&c, b, 4, 1);
    assert_true(ha_cluster_wait_vm(&c, "m4", HA_RUNNING, b->name, 10 * NANOS_PER_S));
    assert_int_equal(ha_cluster_events(&c, "host-tried-again", b->name), 1);
    ha_cluster_deinit(&c);
}

/* One machine that starts nowhere is no host's fault. */
static void one_machine_that_cannot_be_started_trips_nobody(void **state)
{
    struct ha_cluster c;
    (void)state;
    ha_cluster_init(&c, 34, 3, WORLD_WATCHDOG_READY);
    ha_cluster_start(&c, true);
    struct ha_box *b = ha_cluster_follower(&c);
    simvm_fail_starts(b->host, 3);
    add_machines(&c, b, 0, 1);
    ha_cluster_run(&c, 30 * NANOS_PER_S);
    assert_int_equal(ha_cluster_events(&c, "host-tripped", ""), 0);
    ha_cluster_deinit(&c);
}

/* What fails on most hosts lies elsewhere: in the storage, say. */
static void no_more_than_half_of_the_hosts_are_left_out(void **state)
{
    struct ha_cluster c;
    uint32_t tripped = 0;
    (void)state;
    ha_cluster_init(&c, 35, 4, WORLD_WATCHDOG_READY);
    ha_cluster_start(&c, true);
    for (uint32_t i = 0; i < c.n; i++) {
        simvm_fail_starts(c.box[i].host, 1000);
        add_machines(&c, &c.box[i], 2 * i, 2);
    }
    ha_cluster_run(&c, 60 * NANOS_PER_S);
    for (uint32_t i = 0; i < c.n; i++) {
        const struct ha_fate *fate = ha_cluster_fate(&c, c.box[i].name);
        tripped += fate != NULL && fate->is_tripped;
    }
    assert_int_equal(tripped, 2);
    ha_cluster_deinit(&c);
}

/* Each is lost four times, one after another: a bad switch, and not three bad hosts. */
static void no_more_than_half_of_the_hosts_are_in_quarantine(void **state)
{
    struct ha_cluster c;
    uint32_t mistrusted = 0;
    (void)state;
    ha_cluster_init(&c, 37, 4, WORLD_WATCHDOG_READY);
    ha_cluster_start(&c, true);
    for (uint32_t round = 0; round < 4; round++) {
        for (uint32_t i = 0; i < 4; i++) {
            ha_box_isolate(&c.box[i], true);
            ha_cluster_run(&c, 30 * NANOS_PER_S);
            ha_box_isolate(&c.box[i], false);
            assert_true(ha_cluster_wait_fate(&c, c.box[i].name, HA_HOST_UP, 60 * NANOS_PER_S));
            ha_cluster_run(&c, 10 * NANOS_PER_S);
        }
    }
    for (uint32_t i = 0; i < 4; i++) {
        const struct ha_fate *fate = ha_cluster_fate(&c, c.box[i].name);
        assert_int_equal(fate->losses, 4);
        mistrusted += fate->is_quarantined;
    }
    assert_int_equal(mistrusted, 2);
    struct ha_vm vm = ha_cluster_vm(&c, "web");
    HA_APPLY(&c, &vm);
    assert_true(ha_cluster_wait_vm(&c, "web", HA_RUNNING, NULL, 5 * NANOS_PER_S));
    ha_cluster_deinit(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silent_devices_are_told_of_long_before_they_are_given_up),
        cmocka_unit_test(a_fence_that_works_is_no_news_but_its_end),
        cmocka_unit_test(nobody_strikes_a_host_while_the_log_may_spare_it),
        cmocka_unit_test(a_host_on_which_nothing_starts_is_left_out_and_tried_again),
        cmocka_unit_test(one_machine_that_cannot_be_started_trips_nobody),
        cmocka_unit_test(no_more_than_half_of_the_hosts_are_left_out),
        cmocka_unit_test(no_more_than_half_of_the_hosts_are_in_quarantine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
