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
    struct world_vm_sink second_sink;
    struct world_vm_exit second_exit;
    size_t second_exits;
};

struct order {
    struct world_vm_request request;
    struct yard *yard;
    const struct world *w;
    bool is_done;
    size_t exits_at_done;
    struct world_vm_found listed[LISTED_MAX];
    size_t count;
};

static void vm_yard_exited(struct world_vm_sink *sink, const struct world_vm_exit *exit)
{
    struct yard *y = sink->owner;
    assert_true(y->exit_count < EXITS_MAX);
    y->exits[y->exit_count++] = *exit;
}

static void second_exited(struct world_vm_sink *sink, const struct world_vm_exit *exit)
{
    struct yard *y = sink->owner;
    y->second_exits++;
    y->second_exit = *exit;
}

static void vm_yard_watch(struct yard *y)
{
    y->second_sink = (struct world_vm_sink){second_exited, y};
    y->bench.second->vm->watch(y->bench.second->self, &y->second_sink);
    y->sink = (struct world_vm_sink){vm_yard_exited, y};
    y->bench.w->vm->watch(y->bench.w->self, &y->sink);
}

static int vm_yard_open(void **state)
{
    static struct yard yard;

    memset(&yard, 0, sizeof yard);
    vm_place->open(&yard.bench);
    vm_yard_watch(&yard);
    *state = &yard;
    return 0;
}

static int vm_yard_close(void **state)
{
    struct yard *y = *state;
    vm_place->close(&y->bench);
    return 0;
}

static void vm_yard_restart(struct yard *y, void (*between)(struct vm_bench *bench))
{
    vm_place->restart(&y->bench, between);
    vm_yard_watch(y);
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

static void order_submit(struct order *o, struct yard *y, const struct world *w,
                         enum world_vm_op op, struct world_vm_spec spec, nanos patience)
{
    memset(o, 0, sizeof *o);
    o->yard = y;
    o->w = w;
    o->request = (struct world_vm_request){
        .op = op,
        .spec = spec,
        .deadline = world_now(w) + patience,
        .entry = order_entry,
        .done = vm_order_done,
        .owner = o,
    };
    o->request.spec.definition = y->bench.definition;
}

static void order_leave(struct order *o)
{
    o->w->vm->submit(o->w->self, &o->request);
    assert_false(o->is_done);
}

static void vm_order_send(struct order *o, struct yard *y, enum world_vm_op op, const char *name,
                          const char *volume, uint64_t epoch, nanos patience)
{
    const struct world_vm_spec spec = {.name = name, .volume = volume, .epoch = epoch};

    order_submit(o, y, y->bench.w, op, spec, patience);
    order_leave(o);
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
    const enum err e = o.request.result;
    const bool has_more_to_say = e == ERR_NOT_FOUND || e == ERR_REFUSED || e == ERR_EXISTS;
    if (e == OK || has_more_to_say) {
        assert_int_equal(o.request.why[0] != '\0', has_more_to_say);
    }
    return e;
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

/* While it boots, presses may be lost. Each is OK, and none does harm. */
static void a_guest_that_boots_is_asked_again_until_it_hears(void **state)
{
    struct yard *y = *state;

    assert_int_equal(begin_on(y, "vm", "disk", 3), OK);
    for (int i = 0; y->exit_count == 0; i++) {
        assert_true(i < STEPS_MAX);
        /* Where it ended meanwhile, its exit was told before the answer. */
        const enum err pressed = vm_ask(y, WORLD_VM_STOP, "vm", 3);
        assert_true(pressed == OK || y->exit_count == 1);
        vm_place->step(&y->bench);
    }
    exit_is(&y->exits[0], "vm", 3, WORLD_VM_SHUT_DOWN);
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
    assert_false(list.listed[0].is_guarded);
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
    vm_yard_restart(y, NULL);
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
    vm_yard_restart(y, crash_zeta);
    assert_int_equal(vm_ask(y, WORLD_VM_KILL, "zeta", 0), ERR_NOT_FOUND);
    struct order list = list_now(y);
    assert_int_equal(list.count, 1);
    assert_string_equal(list.listed[0].name, "alpha");
    assert_int_equal(list.exits_at_done, 1);
    exit_is(&y->exits[0], "zeta", 9, WORLD_VM_CRASHED);
    assert_int_equal(list_now(y).count, 1);
    vm_yard_restart(y, NULL);
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
    vm_order_send(&stuck, y, WORLD_VM_PAUSE, "vm", NULL, 4, 2 * PATIENCE);
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

/* --- moves ------------------------------------------------------------------------------------ */

static enum err ask_second(struct yard *y, enum world_vm_op op, uint64_t epoch)
{
    struct order o;
    const struct world_vm_spec spec = {.name = "vm", .volume = "disk", .epoch = epoch};

    order_submit(&o, y, y->bench.second, op, spec, PATIENCE);
    order_leave(&o);
    order_await(&o);
    return o.request.result;
}

static enum world_vm_state second_state(struct yard *y)
{
    struct order o;
    const struct world_vm_spec spec = {.name = "vm"};

    order_submit(&o, y, y->bench.second, WORLD_VM_QUERY, spec, PATIENCE);
    order_leave(&o);
    order_await(&o);
    assert_int_equal(o.request.result, OK);
    return o.request.state;
}

/* A machine that waits on the second host; returns its port. */
static uint16_t second_waits(struct yard *y, uint64_t epoch)
{
    struct order o;
    const struct world_vm_spec spec = {
        .name = "vm", .volume = "disk", .epoch = epoch, .is_incoming = true};

    order_submit(&o, y, y->bench.second, WORLD_VM_START, spec, PATIENCE);
    order_leave(&o);
    order_await(&o);
    assert_int_equal(o.request.result, OK);
    assert_int_not_equal(o.request.port, 0);
    return o.request.port;
}

static void move_send_to(struct order *o, struct yard *y, uint16_t port, nanos patience)
{
    const struct world_vm_spec spec = {.name = "vm", .epoch = 1};

    order_submit(o, y, y->bench.w, WORLD_VM_MIGRATE, spec, patience);
    o->request.to.port = port;
    memcpy(o->request.to.host, y->bench.second_name, strlen(y->bench.second_name) + 1);
    order_leave(o);
}

static enum err move_to(struct yard *y, uint16_t port)
{
    struct order o;

    move_send_to(&o, y, port, PATIENCE);
    order_await(&o);
    return o.request.result;
}

static void a_guest_is_moved_and_goes_on_where_it_is_resumed(void **state)
{
    struct yard *y = *state;

    assert_int_equal(begin_on(y, "vm", "disk", 1), OK);
    vm_place->boots(&y->bench, "vm");
    const uint16_t port = second_waits(y, 2);
    assert_int_equal(second_state(y), WORLD_VM_WAITING);
    /* It has no guest yet that could run. */
    assert_int_equal(ask_second(y, WORLD_VM_RESUME, 2), ERR_REFUSED);
    assert_int_equal(state_now(y, "vm"), WORLD_VM_RUNNING);
    assert_int_equal(move_to(y, port), OK);
    assert_int_equal(state_now(y, "vm"), WORLD_VM_MOVED);
    assert_int_equal(second_state(y), WORLD_VM_PAUSED);
    assert_int_equal(ask_second(y, WORLD_VM_RESUME, 2), OK);
    assert_int_equal(second_state(y), WORLD_VM_RUNNING);
    /* The lock has the last word. */
    assert_int_equal(vm_ask(y, WORLD_VM_RESUME, "vm", 1), ERR_REFUSED);
    assert_int_equal(state_now(y, "vm"), WORLD_VM_MOVED);
    assert_int_equal(move_to(y, port), ERR_REFUSED);
    assert_int_equal(vm_ask(y, WORLD_VM_KILL, "vm", 1), OK);
    assert_int_equal(second_state(y), WORLD_VM_RUNNING);
    assert_int_equal(ask_second(y, WORLD_VM_STOP, 2), OK);
    for (int i = 0; y->second_exits == 0; i++) {
        assert_true(i < STEPS_MAX);
        vm_place->step(&y->bench);
    }
    assert_int_equal(y->second_exit.end, WORLD_VM_SHUT_DOWN);
    assert_int_equal(y->second_exit.epoch, 2);
}

static void a_guest_that_was_moved_can_be_taken_back(void **state)
{
    struct yard *y = *state;

    assert_int_equal(begin_on(y, "vm", "disk", 1), OK);
    assert_int_equal(move_to(y, second_waits(y, 2)), OK);
    vm_place->crash_second(&y->bench);
    assert_int_equal(vm_ask(y, WORLD_VM_RESUME, "vm", 1), OK);
    assert_int_equal(state_now(y, "vm"), WORLD_VM_RUNNING);
    /* And once it is, the other end has no say. */
    assert_int_equal(move_to(y, second_waits(y, 3)), OK);
    assert_int_equal(vm_ask(y, WORLD_VM_RESUME, "vm", 1), OK);
    assert_int_equal(ask_second(y, WORLD_VM_RESUME, 3), ERR_REFUSED);
}

static void a_move_to_nobody_changes_nothing(void **state)
{
    struct yard *y = *state;

    assert_int_equal(begin_on(y, "vm", "disk", 1), OK);
    assert_int_equal(move_to(y, 1), ERR_CLOSED);
    assert_int_equal(state_now(y, "vm"), WORLD_VM_RUNNING);
    const uint16_t port = second_waits(y, 2);
    vm_place->crash_second(&y->bench);
    assert_int_equal(move_to(y, port), ERR_CLOSED);
    assert_int_equal(state_now(y, "vm"), WORLD_VM_RUNNING);
    assert_int_equal(move_to(y, second_waits(y, 3)), OK);
    assert_int_equal(y->exit_count, 0);
}

/* The other end dies, or the time is over, somewhere in the middle: there is one copy, and its
 * place is known. */
static void a_move_that_is_cut_off_leaves_one_copy(void **state)
{
    struct yard *y = *state;

    for (int steps = 0; steps < 8; steps++) {
        struct order o;
        assert_int_equal(begin_on(y, "vm", "disk", 1), OK);
        const uint16_t port = second_waits(y, 2);
        const bool is_late = steps % 2 == 0;
        move_send_to(&o, y, port, is_late ? (nanos)(1 << steps) * NANOS_PER_MS : PATIENCE);
        for (int i = 0; i < 1 << steps && !o.is_done; i++) {
            vm_place->step(&y->bench);
        }
        if (!is_late) {
            vm_place->crash_second(&y->bench);
        }
        order_await(&o);
        enum world_vm_state here = WORLD_VM_UNKNOWN;
        for (int i = 0; here != WORLD_VM_RUNNING && here != WORLD_VM_MOVED; i++) {
            assert_true(i < STEPS_MAX);
            here = state_now(y, "vm");
        }
        assert_true(o.request.result != OK || here == WORLD_VM_MOVED);
        assert_true(o.request.result != ERR_CLOSED || here == WORLD_VM_RUNNING);
        (void)ask_second(y, WORLD_VM_KILL, 2);
        assert_int_equal(vm_ask(y, WORLD_VM_RESUME, "vm", 1), OK);
        assert_int_equal(vm_ask(y, WORLD_VM_KILL, "vm", 1), OK);
        y->exit_count = 0;
    }
}

static void a_machine_that_waits_is_adopted_as_such(void **state)
{
    struct yard *y = *state;
    struct order o;
    const struct world_vm_spec spec = {
        .name = "vm", .volume = "disk", .epoch = 2, .is_incoming = true};

    order_submit(&o, y, y->bench.w, WORLD_VM_START, spec, PATIENCE);
    order_leave(&o);
    order_await(&o);
    assert_int_equal(o.request.result, OK);
    vm_yard_restart(y, NULL);
    struct order list = list_now(y);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.listed[0].state, WORLD_VM_WAITING);
    assert_int_equal(vm_ask(y, WORLD_VM_RESUME, "vm", 2), ERR_REFUSED);
    /* It holds no lock. */
    assert_int_equal(begin_on(y, "second", "disk", 3), OK);
}

/* --- the agent -------------------------------------------------------------------------------- */

struct run {
    struct order order;
    struct world_command_request command;
    const char *arguments[2];
    uint8_t output[64];
};

static void exec_send(struct run *r, struct yard *y, const char *program, nanos patience)
{
    const struct world_vm_spec spec = {.name = "vm", .epoch = 1};

    memset(r, 0, sizeof *r);
    vm_place->will_run(&y->bench, "vm", program);
    r->arguments[0] = program;
    r->command.arguments = r->arguments;
    r->command.output.buffer = r->output;
    r->command.output.room = sizeof r->output;
    order_submit(&r->order, y, y->bench.w, WORLD_VM_EXEC, spec, patience);
    r->order.request.command = &r->command;
    order_leave(&r->order);
}

static enum err exec_now(struct run *r, struct yard *y, const char *program)
{
    exec_send(r, y, program, PATIENCE);
    order_await(&r->order);
    return r->order.request.result;
}

static void an_agent_answers_and_runs_programs(void **state)
{
    struct yard *y = *state;
    struct run r;

    assert_int_equal(begin_on(y, "vm", "disk", 1), OK);
    assert_int_equal(vm_ask(y, WORLD_VM_PING, "vm", 2), ERR_REFUSED);
    assert_int_equal(vm_ask(y, WORLD_VM_PING, "other", 1), ERR_NOT_FOUND);
    vm_place->boots(&y->bench, "vm");
    assert_int_equal(vm_ask(y, WORLD_VM_PING, "vm", 1), OK);
    assert_int_equal(exec_now(&r, y, "/counter"), OK);
    assert_int_equal(r.command.result, OK);
    assert_int_equal(r.command.end, WORLD_COMMAND_EXITED);
    assert_int_equal(r.command.status, 0);
    assert_in_range(r.command.output.kept, 1, 20);
    assert_int_equal(r.command.output.total, r.command.output.kept);
    assert_int_equal(strspn((const char *)r.output, "0123456789"), r.command.output.kept);
    assert_int_equal(r.command.errors.kept, 0);
    assert_int_equal(exec_now(&r, y, "/fails"), OK);
    assert_int_equal(r.command.status, 3);
    assert_int_equal(vm_ask(y, WORLD_VM_PING, "vm", 1), OK);
}

/* And nobody waits for it. */
static void a_program_that_hangs_is_given_up_at_its_deadline(void **state)
{
    struct yard *y = *state;
    struct run r;

    assert_int_equal(begin_on(y, "vm", "disk", 1), OK);
    vm_place->boots(&y->bench, "vm");
    exec_send(&r, y, "/hangs", NANOS_PER_S);
    assert_int_equal(vm_ask(y, WORLD_VM_PING, "vm", 1), OK);
    assert_int_equal(state_now(y, "vm"), WORLD_VM_RUNNING);
    order_await(&r.order);
    assert_int_equal(r.order.request.result, ERR_TIMEOUT);
    assert_int_equal(vm_ask(y, WORLD_VM_PING, "vm", 1), OK);
    exec_send(&r, y, "/hangs", PATIENCE);
    assert_int_equal(vm_ask(y, WORLD_VM_KILL, "vm", 1), OK);
    order_await(&r.order);
    assert_int_not_equal(r.order.request.result, OK);
}

static void an_agent_that_stands_still_is_heard_again_later(void **state)
{
    struct yard *y = *state;
    struct order ping;

    assert_int_equal(begin_on(y, "vm", "disk", 1), OK);
    vm_place->boots(&y->bench, "vm");
    assert_int_equal(vm_ask(y, WORLD_VM_PING, "vm", 1), OK);
    assert_int_equal(vm_ask(y, WORLD_VM_PAUSE, "vm", 1), OK);
    for (int i = 0; i < 3; i++) {
        vm_order_send(&ping, y, WORLD_VM_PING, "vm", NULL, 1, 200 * NANOS_PER_MS);
        order_await(&ping);
        assert_int_equal(ping.request.result, ERR_TIMEOUT);
    }
    assert_int_equal(vm_ask(y, WORLD_VM_RESUME, "vm", 1), OK);
    assert_int_equal(vm_ask(y, WORLD_VM_PING, "vm", 1), OK);
    vm_yard_restart(y, NULL);
    assert_int_equal(list_now(y).count, 1);
    assert_int_equal(vm_ask(y, WORLD_VM_PING, "vm", 1), OK);
}

static void a_machine_without_an_agent_says_so(void **state)
{
    struct yard *y = *state;
    struct order o;
    const struct world_vm_spec spec = {.name = "vm", .volume = "disk", .epoch = 1};

    order_submit(&o, y, y->bench.w, WORLD_VM_START, spec, PATIENCE);
    o.request.spec.definition = y->bench.plain;
    order_leave(&o);
    order_await(&o);
    assert_int_equal(o.request.result, OK);
    vm_place->will_run(&y->bench, "vm", NULL);
    assert_int_equal(vm_ask(y, WORLD_VM_PING, "vm", 1), ERR_UNSUPPORTED);
}

#define YARD_TEST(body) cmocka_unit_test_setup_teardown(body, vm_yard_open, vm_yard_close)

int vm_contract_run(struct vm_place *place)
{
    const struct CMUnitTest tests[] = {
        YARD_TEST(a_kill_tells_the_exit_before_it_is_done),
        YARD_TEST(orders_for_another_epoch_do_nothing),
        YARD_TEST(a_locked_volume_is_refused_and_nothing_stays),
        YARD_TEST(a_volume_that_is_not_there_is_not_found),
        YARD_TEST(a_crash_is_told_once),
        YARD_TEST(a_guest_that_is_asked_to_shuts_down),
        YARD_TEST(a_guest_that_boots_is_asked_again_until_it_hears),
        YARD_TEST(orders_for_one_machine_keep_their_order),
        YARD_TEST(machines_are_listed_in_the_order_in_which_they_were_started),
        YARD_TEST(machines_outlive_who_started_them_and_are_adopted),
        YARD_TEST(what_ended_meanwhile_is_told_by_the_first_list),
        YARD_TEST(a_machine_that_does_not_answer_is_listed_and_can_be_killed),
        YARD_TEST(a_machine_that_was_frozen_answers_again),
        YARD_TEST(a_guest_is_moved_and_goes_on_where_it_is_resumed),
        YARD_TEST(a_guest_that_was_moved_can_be_taken_back),
        YARD_TEST(a_move_to_nobody_changes_nothing),
        YARD_TEST(a_move_that_is_cut_off_leaves_one_copy),
        YARD_TEST(a_machine_that_waits_is_adopted_as_such),
        YARD_TEST(an_agent_answers_and_runs_programs),
        YARD_TEST(a_program_that_hangs_is_given_up_at_its_deadline),
        YARD_TEST(an_agent_that_stands_still_is_heard_again_later),
        YARD_TEST(a_machine_without_an_agent_says_so),
    };

    vm_place = place;
    return cmocka_run_group_tests_name(place->name, tests, NULL, NULL);
}
