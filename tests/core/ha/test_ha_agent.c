/* The agent: what it says of machines, and what it must not do; on whole members, in the simulator.
 */
#include <string.h>

#include "core/base/say.h"
#include "core/ha/ha_explain.h"
#include "tests/support/ha_cluster.h"
#include "tests/support/test.h"

/* A cluster with fence devices, and a follower of it. */
static struct ha_box *agent_scene(struct ha_cluster *c, uint64_t seed)
{
    ha_cluster_init(c, seed, 3, WORLD_WATCHDOG_READY);
    ha_cluster_start(c, true);
    return ha_cluster_follower(c);
}

static void agent_explains(struct ha_cluster *c, const char *vm, const char *expected)
{
    struct ha_ledger ledger;
    struct buf text;

    buf_init(&text);
    ha_ledger_init(&ledger, ha_cluster_view(c), NULL, 0);
    ha_explain_vm(&ledger, vm, &text);
    ha_ledger_deinit(&ledger);
    if (strstr(say_end(&text), expected) == NULL) {
        fail_msg("\"%s\" is not in: %s", expected, say_end(&text));
    }
    buf_deinit(&text);
}

/* --- what it says ----------------------------------------------------------------------------- */

static bool has_event(struct ha_cluster *c, const char *what, const char *detail)
{
    const struct ha_view *v = ha_cluster_view(c);

    for (size_t i = 0; i < ha_view_count(v, HA_EVENT); i++) {
        const struct ha_event *event = ha_view_at(v, HA_EVENT, i)->record;
        if (event != NULL && strcmp(event->what, what) == 0 &&
            strstr(event->detail, detail) != NULL) {
            return true;
        }
    }
    return false;
}

static void start_that_fails_is_told_in_the_words_of_the_driver(void **state)
{
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = agent_scene(&c, 1);
    struct ha_vm vm = ha_cluster_vm_at(&c, "web", b);
    ha_text_set(vm.volume, sizeof(vm.volume), "nowhere");
    vm.restart.limit = 2;
    HA_APPLY(&c, &vm);
    assert_true(ha_cluster_wait_vm(&c, "web", HA_FAILED, NULL, 20 * NANOS_PER_S));
    const char *said = "could not be started: there is no volume nowhere";
    assert_non_null(strstr(ha_cluster_owner(&c, "web")->reason, said));
    agent_explains(&c, "web", said);
    assert_true(has_event(&c, "vm-failed", said));
    /* Another has its volume: by hand, past us. */
    ha_text_set(vm.volume, sizeof(vm.volume), "web");
    const struct world_vm_spec spec = {.name = "by-hand", .volume = "web", .epoch = 1};
    assert_int_equal(simvm_start_by_hand(b->host, &spec), OK);
    vm.start_count++;
    HA_APPLY(&c, &vm);
    ha_cluster_run(&c, 100 * NANOS_PER_MS);
    assert_true(ha_cluster_wait_vm(&c, "web", HA_FAILED, NULL, 20 * NANOS_PER_S));
    agent_explains(&c, "web", "another machine has the volume web");
    ha_cluster_deinit(&c);
}

static const char *agent_reports(struct ha_cluster *c, const struct ha_box *b, const char *vm)
{
    const struct ha_report *report = ha_view_report(ha_cluster_view(c), b->name, vm);

    assert_non_null(report);
    assert_int_equal(report->state, HA_REPORT_RUNS);
    return report->detail;
}

/* It lives, and does nothing: who looks at it must see that. */
static void guest_without_room_on_its_disk_is_told_and_goes_on_once_there_is(void **state)
{
    struct simvm_faults full = {.has_no_room = true};
    struct simvm_faults none = {.has_no_room = false};
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = agent_scene(&c, 2);
    struct ha_vm vm = ha_cluster_vm_at(&c, "web", b);
    ha_cluster_run_vm(&c, &vm, b);
    simvm_set_faults(b->host, "web", &full);
    /* For longer than its rule leaves a machine where its storage is lost: full is not lost. */
    ha_cluster_run(&c, vm.storage_loss_ms * NANOS_PER_MS + 40 * NANOS_PER_S);
    assert_string_equal(agent_reports(&c, b, "web"), "its disk fails: no room left");
    agent_explains(&c, "web", "Its agent says: its disk fails: no room left");
    simvm_set_faults(b->host, "web", &none);
    ha_cluster_run(&c, 20 * NANOS_PER_S);
    assert_string_equal(agent_reports(&c, b, "web"), "");
    uint64_t writes = simvolume_writes(simvolume_find(c.sim, "web"));
    ha_cluster_run(&c, NANOS_PER_S);
    assert_true(simvolume_writes(simvolume_find(c.sim, "web")) > writes);
    assert_int_equal(ha_cluster_starts(&c, "web"), 1);
    ha_cluster_deinit(&c);
}

/* --- what is left when a proof is false ------------------------------------------------------- */

/* The only fence device of a host says that it switched it off, reads "off", and has done nothing:
 * nobody can know. What stands between the two starts is the lock of the image, until the first has
 * ended by its lease. */
static void device_that_lies_twice_meets_the_lock_of_the_image(void **state)
{
    struct simdevice_faults lies = simdevice_faults_none();
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = agent_scene(&c, 3);
    struct ha_vm vm = ha_cluster_vm_at(&c, "web", b);
    vm.restart.limit = 1000;
    vm.restart.delay_max_ms = 1000;
    ha_cluster_run_vm(&c, &vm, b);
    struct ha_settings settings = *ha_view_settings(ha_cluster_view(&c));
    settings.fence_delay_ms = 0;
    HA_APPLY(&c, &settings);
    lies.only_says_ok = true;
    lies.tells_order = true;
    lies.switch_time = 20 * NANOS_PER_MS;
    simdevice_set_faults(c.sim, b->name, &lies);
    ha_box_isolate(b, true);
    assert_true(ha_cluster_wait_fate(&c, b->name, HA_HOST_GONE, 5 * NANOS_PER_S));
    ha_cluster_run(&c, 700 * NANOS_PER_MS);
    struct world_vm_found found;
    assert_true(simvm_at(b->host, 0, &found));
    assert_true(simvolume_contentions(simvolume_find(c.sim, "web")) > 0);
    assert_non_null(strstr(ha_cluster_owner(&c, "web")->reason, "another machine has the volume"));
    /* ha_cluster_run has looked, all the time, that nothing was written by two. */
    ha_cluster_run(&c, 20 * NANOS_PER_S);
    assert_false(simvm_at(b->host, 0, &found));
    assert_true(ha_cluster_wait_vm(&c, "web", HA_RUNNING, NULL, 5 * NANOS_PER_S));
    assert_string_not_equal(ha_cluster_owner(&c, "web")->host, b->name);
    ha_cluster_deinit(&c);
}

/* With a second one that tells the truth it is found out, and nothing is started on its word. */
static void device_that_lies_twice_is_refuted_by_a_witness(void **state)
{
    struct simdevice_faults lies = simdevice_faults_none();
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = agent_scene(&c, 4);
    ha_cluster_add_second_device(&c, b);
    struct ha_vm vm = ha_cluster_vm_at(&c, "web", b);
    ha_cluster_run_vm(&c, &vm, b);
    lies.only_says_ok = true;
    lies.tells_order = true;
    simdevice_set_faults(c.sim, b->name, &lies);
    ha_cluster_run(&c, 70 * NANOS_PER_S); /* the second has been tested */
    b->stays_down = true;
    ha_box_isolate(b, true);
    assert_true(ha_cluster_wait_fate(&c, b->name, HA_HOST_GONE, 20 * NANOS_PER_S));
    assert_int_equal(simhost_power(b->host), SIMHOST_OFF);
    assert_int_equal(simdevice_offs(c.sim, "second"), 1);
    assert_int_equal(simvolume_contentions(simvolume_find(c.sim, "web")), 0);
    ha_cluster_deinit(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(start_that_fails_is_told_in_the_words_of_the_driver),
        cmocka_unit_test(guest_without_room_on_its_disk_is_told_and_goes_on_once_there_is),
        cmocka_unit_test(device_that_lies_twice_meets_the_lock_of_the_image),
        cmocka_unit_test(device_that_lies_twice_is_refuted_by_a_witness),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
