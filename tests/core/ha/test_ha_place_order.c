/* Who starts first, who yields, and how many hosts may be lost. */
#include "core/ha/ha_place.h"

#include <string.h>

#include "core/base/say.h"
#include "tests/core/ha/place_bench.h"
#include "tests/support/test.h"

/* --- order ------------------------------------------------------------------------------------ */

static void assert_order(struct place_bench *b, const char *expected)
{
    size_t order[64];
    struct buf names;

    placing_begin(b);
    buf_init(&names);
    size_t n = ha_place_order(&b->ledger, order);
    for (size_t i = 0; i < n; i++) {
        say(&names, i > 0 ? " " : "");
        say(&names, ha_view_at(&b->view, HA_VM, order[i])->key.name);
    }
    assert_string_equal(say_end(&names), expected);
    buf_deinit(&names);
}

static void placing_put_vm(struct place_bench *b, const char *name, uint32_t priority,
                           const char *after)
{
    struct ha_vm vm = vm_named(name, 10);

    vm.priority = priority;
    if (after[0] != '\0') {
        names_add(&vm.after, after);
    }
    VIEW_PUT(&b->view, &vm);
}

static void machines_start_by_priority_and_what_others_need_first(void **state)
{
    (void)state;
    struct place_bench b;
    placing_init(&b, 1);
    placing_put_vm(&b, "a", 10, "");
    placing_put_vm(&b, "b", 50, "");
    placing_put_vm(&b, "c", 50, "");
    assert_order(&b, "b c a");
    placing_put_vm(&b, "d", 90, "a"); /* lifts a above them all */
    assert_order(&b, "a d b c");
    placing_put_vm(&b, "a", 10, "z"); /* and what a waits for */
    placing_put_vm(&b, "z", 1, "");
    assert_order(&b, "z a d b c");
    placing_put_vm(&b, "d", 1, "");
    placing_put_vm(&b, "k0", 1, ""); /* a chain, in the order in which lifting it takes longest */
    placing_put_vm(&b, "k1", 1, "k0");
    placing_put_vm(&b, "k2", 1, "k1");
    placing_put_vm(&b, "k3", 99, "k2");
    assert_order(&b, "k0 k1 k2 k3 b c z a d");
    placing_deinit(&b);
}

static void machines_that_are_not_to_start_have_no_turn(void **state)
{
    (void)state;
    struct place_bench b;
    placing_init(&b, 1);
    placing_put_vm(&b, "a", 1, "");
    struct ha_vm off = vm_named("b", 10);
    off.is_wanted = false;
    VIEW_PUT(&b.view, &off);
    const struct ha_vm runs = vm_named("c", 10);
    placing_put_running(&b, &runs, HA_RUNNING, "a");
    const struct ha_vm failed = vm_named("d", 10);
    placing_put_running(&b, &failed, HA_FAILED, "a");
    view_put_text(&b.view, "/novacron/vms/e", "{}");
    placing_put_vm(&b, "f", 1, "");
    view_put_text(&b.view, "/novacron/owners/f", "{}"); /* somebody may run it */
    const struct ha_vm stopped = vm_named("g", 10);
    placing_put_running(&b, &stopped, HA_STOPPED, "a");
    assert_order(&b, "g a");
    placing_deinit(&b);
}

static void circles_have_an_order_all_the_same(void **state)
{
    (void)state;
    struct place_bench b;
    placing_init(&b, 1);
    placing_put_vm(&b, "a", 1, "b");
    placing_put_vm(&b, "b", 2, "a");
    size_t order[8];
    placing_begin(&b);
    assert_int_equal(ha_place_order(&b.ledger, order), 2);
    placing_deinit(&b);
}

static enum ha_wait placing_waits(struct place_bench *b, const char *vm, const char **other)
{
    placing_begin(b);
    return ha_place_waits(&b->ledger, ha_view_vm(&b->view, vm), other);
}

static void a_machine_waits_for_those_it_is_after(void **state)
{
    (void)state;
    struct place_bench b;
    const char *other;
    placing_init(&b, 1);
    placing_put_vm(&b, "web", 1, "db");
    assert_int_equal(placing_waits(&b, "web", &other), HA_WAIT_MISSING);
    assert_string_equal(other, "db");
    struct ha_vm db = vm_named("db", 10);
    placing_put_running(&b, &db, HA_STARTING, "a");
    assert_int_equal(placing_waits(&b, "web", &other), HA_WAIT_AFTER);
    placing_put_running(&b, &db, HA_RUNNING, "a");
    assert_int_equal(placing_waits(&b, "web", &other), HA_WAIT_NOT);
    assert_null(other);
    placing_put_running(&b, &db, HA_FAILED, "a");
    assert_int_equal(placing_waits(&b, "web", &other), HA_WAIT_UNWANTED);
    db.is_wanted = false;
    placing_put_running(&b, &db, HA_STOPPED, "a");
    assert_int_equal(placing_waits(&b, "web", &other), HA_WAIT_UNWANTED);
    placing_put_vm(&b, "db", 1, "cache");
    placing_put_vm(&b, "cache", 1, "web");
    const struct ha_owner waiting = owner_of("db", HA_WAITING, "", 0);
    VIEW_PUT(&b.view, &waiting);
    assert_int_equal(placing_waits(&b, "web", &other), HA_WAIT_CIRCLE);
    assert_string_equal(other, "db");
    const struct ha_vm cache = *ha_view_vm(&b.view, "cache");
    placing_put_running(&b, &cache, HA_RUNNING, "a"); /* one that runs breaks it */
    assert_int_equal(placing_waits(&b, "web", &other), HA_WAIT_AFTER);
    placing_deinit(&b);
}

/* --- room ------------------------------------------------------------------------------------- */

static void placing_put_sized(struct place_bench *b, const char *name, uint32_t priority,
                              uint32_t memory, const char *host)
{
    struct ha_vm vm = vm_named(name, memory);

    vm.priority = priority;
    placing_put_running(b, &vm, HA_RUNNING, host);
}

static void the_least_important_yield_and_no_more_than_needed(void **state)
{
    (void)state;
    struct place_bench b;
    struct ha_yield yield;
    struct ha_vm vm = vm_named("web", 500);
    vm.priority = 50;
    placing_init(&b, 2);
    VIEW_PUT(&b.view, &vm);
    placing_put_sized(&b, "p10", 10, 100, "a");
    placing_put_sized(&b, "p20", 20, 400, "a");
    placing_put_sized(&b, "p60", 60, 400, "a");
    placing_put_sized(&b, "q40", 40, 500, "b"); /* which would do as well, and matters more */
    placing_put_sized(&b, "q60", 60, 500, "b");
    placing_begin(&b);
    ha_place_yield(&b.ledger, &vm, &yield);
    /* On a, p20 (with the 100 that are free) is enough: p10 need not go. */
    assert_string_equal(yield.host, "a");
    assert_int_equal(yield.n, 1);
    assert_string_equal(yield.vm[0], "p20");
    vm.memory_mib = 600;
    ha_place_yield(&b.ledger, &vm, &yield);
    assert_int_equal(yield.n, 2);
    vm.memory_mib = 150; /* either of the two would do */
    ha_place_yield(&b.ledger, &vm, &yield);
    assert_int_equal(yield.n, 1);
    assert_string_equal(yield.vm[0], "p10");
    vm.memory_mib = 600;
    vm.priority = 15;
    ha_place_yield(&b.ledger, &vm, &yield);
    assert_int_equal(yield.n, 0);
    assert_null(yield.host);
    vm.priority = 20; /* an equal does not yield */
    vm.memory_mib = 500;
    ha_place_yield(&b.ledger, &vm, &yield);
    assert_int_equal(yield.n, 0);
    vm.priority = 1000;
    names_add(&vm.apart, "p60"); /* what else forbids a host, nobody's yielding mends */
    names_add(&vm.apart, "q60");
    ha_place_yield(&b.ledger, &vm, &yield);
    assert_int_equal(yield.n, 0);
    placing_deinit(&b);
}

static struct ha_losses placing_losses_of(struct place_bench *b)
{
    struct ha_losses losses;

    placing_begin(b);
    ha_place_losses_survived(&b->ledger, 1000000, &losses);
    return losses;
}

static void losses_are_survived_while_the_rest_has_room(void **state)
{
    (void)state;
    struct place_bench b;
    placing_init(&b, 3);
    placing_put_sized(&b, "v1", 1, 500, "a");
    placing_put_sized(&b, "v2", 2, 400, "b");
    placing_put_sized(&b, "v3", 3, 100, "c");
    struct ha_losses losses = placing_losses_of(&b);
    assert_int_equal(losses.survived, 2); /* all thousand MiB fit on any one host */
    assert_false(losses.is_at_least);
    assert_non_null(losses.hosts[2]);
    placing_put_sized(&b, "v3", 3, 101, "c");
    losses = placing_losses_of(&b);
    assert_int_equal(losses.survived, 1);
    assert_string_equal(losses.hosts[0], "a");
    assert_string_equal(losses.hosts[1], "b");
    assert_null(losses.hosts[2]);
    assert_string_equal(losses.vm, "v1"); /* the least important is what finds none */
    placing_put_sized(&b, "v3", 3, 901, "c");
    losses = placing_losses_of(&b);
    assert_int_equal(losses.survived, 0);
    assert_string_equal(losses.vm, "v3");
    assert_string_equal(losses.hosts[0], "c");
    placing_deinit(&b);
}

static void losses_do_not_count_what_cannot_be_saved_or_does_not_run(void **state)
{
    (void)state;
    struct place_bench b;
    placing_init(&b, 2);
    struct ha_vm local = vm_named("local", 900);
    local.storage[0] = '\0';
    names_add(&local.allowed, "a");
    placing_put_running(&b, &local, HA_RUNNING, "a");
    const struct ha_vm waiting = vm_named("waiting", 5000);
    VIEW_PUT(&b.view, &waiting);
    for (int i = 0; i < 6; i++) { /* more than may start at a time */
        char name[] = "vm-0";
        name[3] = (char)('0' + i);
        placing_put_sized(&b, name, 1, 10, "b");
    }
    assert_int_equal(placing_losses_of(&b).survived, 1);
    placing_deinit(&b);
}

static void a_small_budget_says_at_least(void **state)
{
    (void)state;
    struct place_bench b;
    struct ha_losses losses;
    placing_init(&b, 8);
    placing_put_sized(&b, "v1", 1, 10, "a");
    placing_put_sized(&b, "v2", 1, 10, "b");
    placing_begin(&b);
    ha_place_losses_survived(&b.ledger, 1000000, &losses);
    assert_int_equal(losses.survived, HA_LOSSES_MAX);
    assert_true(losses.is_at_least);
    ha_place_losses_survived(&b.ledger, 8 * 4, &losses);
    assert_int_equal(losses.survived, 1);
    assert_true(losses.is_at_least);
    placing_deinit(&b);
}

static void a_machine_is_admitted_while_enough_hosts_may_be_lost(void **state)
{
    (void)state;
    struct place_bench b;
    struct ha_losses losses;
    struct ha_settings settings;
    placing_init(&b, 3);
    placing_put_sized(&b, "v1", 1, 800, "a");
    placing_put_sized(&b, "v2", 1, 800, "b");
    const struct ha_vm vm = vm_named("web", 200);
    VIEW_PUT(&b.view, &vm);
    placing_begin(&b);
    assert_true(ha_place_admits(&b.ledger, "web", "c", 1000000, &losses)); /* nobody asked */
    ha_record_defaults(HA_SETTINGS, &settings);
    settings.spare_hosts = 1;
    VIEW_PUT(&b.view, &settings);
    placing_begin(&b);
    assert_true(ha_place_admits(&b.ledger, "web", "c", 1000000, &losses));
    assert_int_equal(losses.survived, 1);
    struct ha_vm large = vm_named("web", 201); /* then v1 would not fit beside it */
    VIEW_PUT(&b.view, &large);
    placing_begin(&b);
    assert_false(ha_place_admits(&b.ledger, "web", "c", 1000000, &losses));
    assert_int_equal(losses.survived, 0);
    assert_non_null(losses.vm);
    assert_true(ha_place_admits(&b.ledger, "web", "c", 2, &losses)); /* too much to work out */
    settings.spare_hosts = 2;
    VIEW_PUT(&b.view, &settings);
    VIEW_PUT(&b.view, &vm);
    placing_begin(&b);
    assert_false(ha_place_admits(&b.ledger, "web", "c", 1000000, &losses));
    assert_int_equal(losses.survived, 1);
    placing_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(machines_start_by_priority_and_what_others_need_first),
        cmocka_unit_test(machines_that_are_not_to_start_have_no_turn),
        cmocka_unit_test(circles_have_an_order_all_the_same),
        cmocka_unit_test(a_machine_waits_for_those_it_is_after),
        cmocka_unit_test(the_least_important_yield_and_no_more_than_needed),
        cmocka_unit_test(losses_are_survived_while_the_rest_has_room),
        cmocka_unit_test(losses_do_not_count_what_cannot_be_saved_or_does_not_run),
        cmocka_unit_test(a_small_budget_says_at_least),
        cmocka_unit_test(a_machine_is_admitted_while_enough_hosts_may_be_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
