#include "tests/world/vm_contract.h"

#include <string.h>

#include "tests/support/test.h"

/* Longer than anything takes, also on a host that has other things to do. */
#define PATIENCE (60 * NANOS_PER_S)

/* Steps until something must have happened: with the real world, one is a millisecond or more. */
#define STEPS_MAX 100000

#define EXITS_MAX  8
#define LISTED_MAX 8

static struct vm_place *vm_place;

struct yard {
    struct vm_bench bench;
    struct world_vm_sink sink;
    struct world_vm_exit exits[EXITS_MAX];
    size_t exit_count;
};

struct order {
    struct world_vm_request request;
    struct yard *yard;
    bool is_done;
    size_t exits_at_done;
    struct world_vm_found listed[LISTED_MAX];
    size_t count;
};

static void yard_exited(struct world_vm_sink *sink, const struct world_vm_exit *exit)
{
    struct yard *y = sink->owner;
    assert_true(y->exit_count < EXITS_MAX);
    y->exits[y->exit_count++] = *exit;
}

static void yard_watch(struct yard *y)
{
    y->sink = (struct world_vm_sink){yard_exited, y};
    y->bench.w->vm->watch(y->bench.w->self, &y->sink);
}

static int yard_open(void **state)
{
    static struct yard yard;

    memset(&yard, 0, sizeof yard);
    vm_place->open(&yard.bench);
    yard_watch(&yard);
    *state = &yard;
    return 0;
}

static int yard_close(void **state)
{
    struct yard *y = *state;
    vm_place->close(&y->bench);
    return 0;
}

static void yard_restart(struct yard *y, void (*between)(struct vm_bench *bench))
{
    vm_place->restart(&y->bench, between);
    yard_watch(y);
}

static void order_entry(struct world_vm_request *request, const struct world_vm_found *found)
{
    struct order *o = request->owner;
    assert_true(o->count < LISTED_MAX && !o->is_done);
    o->listed[o->count++] = *found;
}

static void vm_order_done(struct world_vm_request *request)
{
    struct order *o = request->owner;
    assert_false(o->is_done);
    o->is_done = true;
    o->exits_at_done = o->yard->exit_count;
}

static void vm_order_send(struct order *o, struct yard *y, enum world_vm_op op, const char *name,
                          const char *volume, uint64_t epoch, nanos patience)
{
    memset(o, 0, sizeof *o);
    o->yard = y;
    o->request = (struct world_vm_request){
        .op = op,
        .spec = {.name = name, .volume = volume, .epoch = epoch, .definition = y->bench.definition},
        .deadline = world_now(y->bench.w) + patience,
        .entry = order_entry,
        .done = vm_order_done,
        .owner = o,
    };
    y->bench.w->vm->submit(y->bench.w->self, &o->request);
    assert_false(o->is_done);
}

static void order_await(struct order *o)
{
    for (int i = 0; !o->is_done; i++) {
        assert_true(i < STEPS_MAX);
        vm_place->step(&o->yard->bench);
    }
}

static enum err vm_ask(struct yard *y, enum world_vm_op op, const char *name, uint64_t epoch)
{
    struct order o;

    vm_order_send(&o, y, op, name, "disk", epoch, PATIENCE);
    order_await(&o);
    return o.request.result;
}

static enum err begin_on(struct yard *y, const char *name, const char *volume, uint64_t epoch)
{
    struct order o;

    vm_order_send(&o, y, WORLD_VM_START, name, volume, epoch, PATIENCE);
    order_await(&o);
    return o.request.result;
}

static enum world_vm_state state_now(struct yard *y, const char *name)
{
    struct order o;

    vm_order_send(&o, y, WORLD_VM_QUERY, name, NULL, 0, PATIENCE);
    order_await(&o);
    assert_int_equal(o.request.result, OK);
    return o.request.state;
}

static struct order list_now(struct yard *y)
{
    struct order o;

    vm_order_send(&o, y, WORLD_VM_LIST, NULL, NULL, 0, PATIENCE);
    order_await(&o);
    assert_int_equal(o.request.result, OK);
    return o;
}

static void await_exits(struct yard *y, size_t count)
{
    for (int i = 0; y->exit_count < count; i++) {
        assert_true(i < STEPS_MAX);
        vm_place->step(&y->bench);
    }
    assert_int_equal(y->exit_count, count);
}

static void exit_is(const struct world_vm_exit *exit, const char *name, uint64_t epoch,
                    enum world_vm_end end)
{
    assert_string_equal(exit->name, name);
    assert_int_equal(exit->epoch, epoch);
    assert_int_equal(exit->end, end);
}

static void a_kill_tells_the_exit_before_it_is_done(void **state)
{
    struct yard *y = *state;
    struct order killed;

    assert_int_equal(begin_on(y, "vm", "disk", 7), OK);
    assert_int_equal(begin_on(y, "vm", "disk", 8), ERR_EXISTS);
    assert_int_equal(state_now(y, "vm"), WORLD_VM_RUNNING);
    vm_order_send(&killed, y, WORLD_VM_KILL, "vm", NULL, 7, PATIENCE);
    order_await(&killed);
    assert_int_equal(killed.request.result, OK);
    assert_int_equal(killed.exits_at_done, 1);
    exit_is(&y->exits[0], "vm", 7, WORLD_VM_KILLED);
    assert_int_equal(vm_ask(y, WORLD_VM_QUERY, "vm", 7), ERR_NOT_FOUND);
    assert_int_equal(vm_ask(y, WORLD_VM_KILL, "vm", 7), ERR_NOT_FOUND);
    assert_int_equal(list_now(y).count, 0);
    assert_int_equal(y->exit_count, 1);
}

static void orders_for_another_epoch_do_nothing(void **state)
{
    struct yard *y = *state;
    const enum world_vm_op ops[] = {WORLD_VM_STOP, WORLD_VM_KILL, WORLD_VM_PAUSE, WORLD_VM_RESUME,
                                    WORLD_VM_QUERY};

    assert_int_equal(begin_on(y, "vm", "disk", 7), OK);
    for (size_t i = 0; i < COUNT_OF(ops); i++) {
        assert_int_equal(vm_ask(y, ops[i], "vm", 6), ERR_REFUSED);
    }
    assert_int_equal(state_now(y, "vm"), WORLD_VM_RUNNING);
    assert_int_equal(y->exit_count, 0);
    assert_int_equal(vm_ask(y, WORLD_VM_KILL, "vm", 0), OK);
}

static void a_locked_volume_is_refused_and_nothing_stays(void **state)
{
    struct yard *y = *state;

    assert_int_equal(begin_on(y, "vm", "disk", 1), OK);
    assert_int_equal(begin_on(y, "second", "disk", 2), ERR_REFUSED);
    struct order list = list_now(y);
    assert_int_equal(list.count, 1);
    assert_string_equal(list.listed[0].name, "vm");
    /* Who is paused holds its lock. */
    assert_int_equal(vm_ask(y, WORLD_VM_PAUSE, "vm", 1), OK);
    assert_int_equal(begin_on(y, "second", "disk", 2), ERR_REFUSED);
    assert_int_equal(vm_ask(y, WORLD_VM_KILL, "vm", 1), OK);
    assert_int_equal(begin_on(y, "second", "disk", 2), OK);
    assert_int_equal(y->exit_count, 1);
}

static void a_volume_that_is_not_there_is_not_found(void **state)
{
    struct yard *y = *state;

    assert_int_equal(begin_on(y, "vm", "nowhere", 1), ERR_NOT_FOUND);
    assert_int_equal(list_now(y).count, 0);
    assert_int_equal(begin_on(y, "vm", "disk", 1), OK);
    assert_int_equal(y->exit_count, 0);
}

static void a_crash_is_told_once(void **state)
{
    struct yard *y = *state;

    assert_int_equal(begin_on(y, "vm", "disk", 3), OK);
    vm_place->crash(&y->bench, "vm");
    await_exits(y, 1);
    exit_is(&y->exits[0], "vm", 3, WORLD_VM_CRASHED);
    assert_int_equal(vm_ask(y, WORLD_VM_QUERY, "vm", 0), ERR_NOT_FOUND);
    assert_int_equal(list_now(y).count, 0);
    /* Its lock went with it. */
    assert_int_equal(begin_on(y, "vm", "disk", 4), OK);
    assert_int_equal(y->exit_count, 1);
}

static void a_guest_that_is_asked_to_shuts_down(void **state)
{
    struct yard *y = *state;

    assert_int_equal(begin_on(y, "vm", "disk", 3), OK);
    vm_place->boots(&y->bench, "vm");
    assert_int_equal(vm_ask(y, WORLD_VM_STOP, "vm", 3), OK);
    await_exits(y, 1);
    exit_is(&y->exits[0], "vm", 3, WORLD_VM_SHUT_DOWN);
    assert_int_equal(list_now(y).count, 0);
    assert_int_equal(begin_on(y, "vm", "disk", 4), OK);
}

static void orders_for_one_machine_keep_their_order(void **state)
{
    struct yard *y = *state;
    const enum world_vm_op ops[] = {WORLD_VM_START, WORLD_VM_PAUSE, WORLD_VM_QUERY, WORLD_VM_RESUME,
                                    WORLD_VM_QUERY};
    struct order orders[COUNT_OF(ops)];

    for (size_t i = 0; i < COUNT_OF(ops); i++) {
        vm_order_send(&orders[i], y, ops[i], "vm", "disk", 5, PATIENCE);
    }
    for (size_t i = 0; i < COUNT_OF(ops); i++) {
        order_await(&orders[i]);
        assert_int_equal(orders[i].request.result, OK);
        assert_true(i == 0 || orders[i - 1].is_done);
    }
    assert_int_equal(orders[2].request.state, WORLD_VM_PAUSED);
    assert_int_equal(orders[4].request.state, WORLD_VM_RUNNING);
}

static void machines_are_listed_in_the_order_in_which_they_were_started(void **state)
{
    struct yard *y = *state;

    assert_int_equal(begin_on(y, "zeta", "disk", 9), OK);
    assert_int_equal(begin_on(y, "alpha", "other", UINT64_MAX), OK);
    assert_int_equal(vm_ask(y, WORLD_VM_PAUSE, "zeta", 9), OK);
    struct order list = list_now(y);
    assert_int_equal(list.count, 2);
    assert_string_equal(list.listed[0].name, "zeta");
    assert_string_equal(list.listed[0].volume, "disk");
    assert_int_equal(list.listed[0].epoch, 9);
    assert_int_equal(list.listed[0].state, WORLD_VM_PAUSED);
    assert_string_equal(list.listed[1].name, "alpha");
    assert_string_equal(list.listed[1].volume, "other");
    assert_true(list.listed[1].epoch == UINT64_MAX);
    assert_int_equal(list.listed[1].state, WORLD_VM_RUNNING);
}

static void machines_outlive_who_started_them_and_are_adopted(void **state)
{
    struct yard *y = *state;

    assert_int_equal(begin_on(y, "zeta", "disk", 9), OK);
    assert_int_equal(begin_on(y, "alpha", "other", UINT64_MAX), OK);
    yard_restart(y, NULL);
    struct order list = list_now(y);
    assert_int_equal(list.count, 2);
    assert_string_equal(list.listed[0].name, "zeta");
    assert_string_equal(list.listed[0].volume, "disk");
    assert_string_equal(list.listed[1].name, "alpha");
    assert_true(list.listed[1].epoch == UINT64_MAX);
    assert_int_equal(list.listed[0].state, WORLD_VM_RUNNING);
    assert_int_equal(y->exit_count, 0);
    assert_int_equal(begin_on(y, "zeta", "disk", 10), ERR_EXISTS);
    vm_place->crash(&y->bench, "zeta");
    await_exits(y, 1);
    exit_is(&y->exits[0], "zeta", 9, WORLD_VM_CRASHED);
    vm_place->boots(&y->bench, "alpha");
    assert_int_equal(vm_ask(y, WORLD_VM_STOP, "alpha", UINT64_MAX), OK);
    await_exits(y, 2);
    exit_is(&y->exits[1], "alpha", UINT64_MAX, WORLD_VM_SHUT_DOWN);
    assert_int_equal(list_now(y).count, 0);
}

static void crash_zeta(struct vm_bench *bench)
{
    vm_place->crash(bench, "zeta");
}

static void what_ended_meanwhile_is_told_by_the_first_list(void **state)
{
    struct yard *y = *state;

    assert_int_equal(begin_on(y, "zeta", "disk", 9), OK);
    assert_int_equal(begin_on(y, "alpha", "other", 2), OK);
    yard_restart(y, crash_zeta);
    assert_int_equal(vm_ask(y, WORLD_VM_KILL, "zeta", 0), ERR_NOT_FOUND);
    struct order list = list_now(y);
    assert_int_equal(list.count, 1);
    assert_string_equal(list.listed[0].name, "alpha");
    assert_int_equal(list.exits_at_done, 1);
    exit_is(&y->exits[0], "zeta", 9, WORLD_VM_CRASHED);
    assert_int_equal(list_now(y).count, 1);
    yard_restart(y, NULL);
    assert_int_equal(list_now(y).count, 1);
    assert_int_equal(y->exit_count, 1);
}

static void a_machine_that_does_not_answer_is_listed_and_can_be_killed(void **state)
{
    struct yard *y = *state;
    struct order stuck;
    struct order query;

    assert_int_equal(begin_on(y, "vm", "disk", 4), OK);
    vm_place->freeze(&y->bench, "vm", true);
    vm_order_send(&query, y, WORLD_VM_QUERY, "vm", NULL, 4, 300 * NANOS_PER_MS);
    order_await(&query);
    assert_int_equal(query.request.result, ERR_TIMEOUT);
    assert_int_equal(query.request.state, WORLD_VM_UNKNOWN);
    struct order list = list_now(y);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.listed[0].state, WORLD_VM_UNKNOWN);
    /* Its lock is held; and a kill waits for nothing. */
    assert_int_equal(begin_on(y, "second", "disk", 5), ERR_REFUSED);
    vm_order_send(&stuck, y, WORLD_VM_PAUSE, "vm", NULL, 4, 300 * NANOS_PER_MS);
    assert_int_equal(vm_ask(y, WORLD_VM_KILL, "vm", 4), OK);
    await_exits(y, 1);
    exit_is(&y->exits[0], "vm", 4, WORLD_VM_KILLED);
    order_await(&stuck);
    assert_int_not_equal(stuck.request.result, OK);
}

static void a_machine_that_was_frozen_answers_again(void **state)
{
    struct yard *y = *state;
    struct order query;

    assert_int_equal(begin_on(y, "vm", "disk", 4), OK);
    vm_place->freeze(&y->bench, "vm", true);
    vm_order_send(&query, y, WORLD_VM_QUERY, "vm", NULL, 4, 300 * NANOS_PER_MS);
    order_await(&query);
    assert_int_equal(query.request.result, ERR_TIMEOUT);
    vm_place->freeze(&y->bench, "vm", false);
    assert_int_equal(state_now(y, "vm"), WORLD_VM_RUNNING);
    vm_place->boots(&y->bench, "vm");
    assert_int_equal(vm_ask(y, WORLD_VM_STOP, "vm", 4), OK);
    await_exits(y, 1);
    exit_is(&y->exits[0], "vm", 4, WORLD_VM_SHUT_DOWN);
}

#define YARD_TEST(body) cmocka_unit_test_setup_teardown(body, yard_open, yard_close)

int vm_contract_run(struct vm_place *place)
{
    const struct CMUnitTest tests[] = {
        YARD_TEST(a_kill_tells_the_exit_before_it_is_done),
        YARD_TEST(orders_for_another_epoch_do_nothing),
        YARD_TEST(a_locked_volume_is_refused_and_nothing_stays),
        YARD_TEST(a_volume_that_is_not_there_is_not_found),
        YARD_TEST(a_crash_is_told_once),
        YARD_TEST(a_guest_that_is_asked_to_shuts_down),
        YARD_TEST(orders_for_one_machine_keep_their_order),
        YARD_TEST(machines_are_listed_in_the_order_in_which_they_were_started),
        YARD_TEST(machines_outlive_who_started_them_and_are_adopted),
        YARD_TEST(what_ended_meanwhile_is_told_by_the_first_list),
        YARD_TEST(a_machine_that_does_not_answer_is_listed_and_can_be_killed),
        YARD_TEST(a_machine_that_was_frozen_answers_again),
    };

    vm_place = place;
    return cmocka_run_group_tests_name(place->name, tests, NULL, NULL);
}
