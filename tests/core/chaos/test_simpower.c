/* Fence devices of the simulated world: what core/world/world.h promises of them, and how they
 * fail.
 */
#include "core/chaos/simpower.h"

#include "tests/support/test.h"

#include <string.h>

#define MINUTE (60 * NANOS_PER_S)

/* Two hosts: "a" asks, "b" is fenced. */
struct pair {
    struct simworld *sim;
    struct simhost *a;
    struct simhost *b;
    unsigned went_off;
    unsigned came_on;
};

static void pair_went_off(void *ctx, struct simhost *host)
{
    struct pair *p = ctx;
    assert_ptr_equal(host, p->b);
    assert_int_equal(simhost_power(host), SIMHOST_OFF);
    p->went_off++;
}

static void pair_came_on(void *ctx, struct simhost *host)
{
    struct pair *p = ctx;
    assert_int_equal(simhost_power(host), SIMHOST_ON);
    p->came_on++;
}

static void pair_new(struct pair *p)
{
    memset(p, 0, sizeof *p);
    p->sim = simworld_new(1);
    p->a = simhost_new(p->sim, "a", 1 << 20);
    p->b = simhost_new(p->sim, "b", 1 << 20);
    simpower_set_owner(p->b, &(struct simpower_owner){
                                 .went_off = pair_went_off, .came_on = pair_came_on, .ctx = p});
}

struct order {
    struct world_power_request request;
    struct pair *pair;
    bool is_done;
    nanos at;
};

static void order_done(struct world_power_request *request)
{
    struct order *order = request->owner;
    assert_false(order->is_done);
    order->is_done = true;
    order->at = simworld_now(order->pair->sim);
}

static void order_send(struct order *order, struct pair *p, enum world_power_op op,
                       const char *device, nanos patience)
{
    const struct world *w = simhost_world(p->a);

    memset(order, 0, sizeof *order);
    order->pair = p;
    order->request = (struct world_power_request){.op = op,
                                                  .device = device,
                                                  .deadline = world_now(w) + patience,
                                                  .done = order_done,
                                                  .owner = order};
    w->power->submit(w->self, &order->request);
    assert_false(order->is_done);
}

/* Asks and waits; the answer comes by the deadline. */
static struct order order_and_wait(struct pair *p, enum world_power_op op, const char *device)
{
    struct order order;
    nanos begin = simworld_now(p->sim);

    order_send(&order, p, op, device, MINUTE);
    while (!order.is_done) {
        assert_true(simworld_step(p->sim));
    }
    assert_true(order.at > begin && order.at <= begin + MINUTE);
    return order;
}

static enum world_power_state status_of(struct pair *p, const char *device)
{
    struct order order = order_and_wait(p, WORLD_POWER_STATUS, device);
    assert_int_equal(order.request.result, OK);
    return order.request.state;
}

static enum err power_result(struct pair *p, enum world_power_op op)
{
    return order_and_wait(p, op, "b").request.result;
}

static void with_faults(struct pair *p, struct simdevice_faults faults)
{
    faults.switch_time = SIMPOWER_SWITCH_TIME;
    simdevice_set_faults(p->sim, "b", &faults);
}

static void switches_off_and_on_and_tells_the_power(void **state)
{
    (void)state;
    struct pair p;

    pair_new(&p);
    assert_int_equal(status_of(&p, "b"), WORLD_POWER_IS_ON);
    assert_int_equal(power_result(&p, WORLD_POWER_OFF), OK);
    assert_int_equal(simhost_power(p.b), SIMHOST_OFF);
    assert_int_equal(p.went_off, 1);
    assert_int_equal(status_of(&p, "b"), WORLD_POWER_IS_OFF);
    /* Off is off already, and nobody is told twice. */
    assert_int_equal(power_result(&p, WORLD_POWER_OFF), OK);
    assert_int_equal(p.went_off, 1);
    assert_int_equal(p.came_on, 0);
    assert_int_equal(power_result(&p, WORLD_POWER_ON), OK);
    assert_int_equal(p.came_on, 1);
    assert_int_equal(status_of(&p, "b"), WORLD_POWER_IS_ON);
    assert_int_equal(status_of(&p, "a"), WORLD_POWER_IS_ON);
    assert_int_equal(order_and_wait(&p, WORLD_POWER_OFF, "c").request.result, ERR_NOT_FOUND);
    assert_int_equal(simdevice_offs(p.sim, "b"), 2);
    simworld_free(p.sim);
}

static void power_off_takes_what_is_not_durable(void **state)
{
    (void)state;
    struct pair p;
    struct world_file_request made = {.op = WORLD_OPEN, .path = "f", .flags = WORLD_OPEN_CREATE};

    pair_new(&p);
    simhost_set_luck(p.b, 0, 1);
    simdisk_execute(simhost_disk(p.b), &made);
    assert_int_equal(made.result, OK);
    assert_non_null(simdisk_name(simhost_disk(p.b), 0));
    assert_int_equal(power_result(&p, WORLD_POWER_OFF), OK);
    assert_null(simdisk_name(simhost_disk(p.b), 0));
    simworld_free(p.sim);
}

static void a_device_that_does_not_answer_ends_at_the_deadline(void **state)
{
    (void)state;
    struct pair p;

    pair_new(&p);
    with_faults(&p, (struct simdevice_faults){.is_hung = true});
    assert_int_equal(power_result(&p, WORLD_POWER_OFF), ERR_TIMEOUT);
    assert_int_equal(p.went_off, 0);
    assert_int_equal(power_result(&p, WORLD_POWER_STATUS), ERR_TIMEOUT);
    /* The answer is lost, and what was asked for is done. */
    with_faults(&p, (struct simdevice_faults){.loses_answers = true});
    assert_int_equal(power_result(&p, WORLD_POWER_OFF), ERR_TIMEOUT);
    assert_int_equal(p.went_off, 1);
    assert_int_equal(power_result(&p, WORLD_POWER_STATUS), ERR_TIMEOUT);
    simdevice_set_faults(p.sim, "b", NULL);
    assert_int_equal(status_of(&p, "b"), WORLD_POWER_IS_OFF);
    simworld_free(p.sim);
}

static void a_device_that_is_not_reached_says_nothing_of_the_power(void **state)
{
    (void)state;
    struct pair p;

    pair_new(&p);
    with_faults(&p, (struct simdevice_faults){.is_unreachable = true});
    assert_int_equal(power_result(&p, WORLD_POWER_OFF), ERR_CLOSED);
    simdevice_set_faults(p.sim, "b", NULL);
    simhost_cut_management(p.a, true);
    assert_int_equal(power_result(&p, WORLD_POWER_OFF), ERR_CLOSED);
    simhost_cut_management(p.a, false);
    with_faults(&p, (struct simdevice_faults){.denies = true});
    assert_int_equal(power_result(&p, WORLD_POWER_OFF), ERR_DENIED);
    assert_int_equal(p.went_off, 0);
    struct order order = order_and_wait(&p, WORLD_POWER_STATUS, "b");
    assert_int_equal(order.request.result, ERR_DENIED);
    assert_int_equal(order.request.state, WORLD_POWER_UNKNOWN);
    simworld_free(p.sim);
}

static void a_device_lies_in_either_direction(void **state)
{
    (void)state;
    struct pair p;

    pair_new(&p);
    with_faults(&p, (struct simdevice_faults){.only_says_ok = true});
    assert_int_equal(power_result(&p, WORLD_POWER_OFF), OK);
    assert_int_equal(status_of(&p, "b"), WORLD_POWER_IS_ON);
    assert_int_equal(p.went_off, 0);
    with_faults(&p, (struct simdevice_faults){.only_says_ok = true, .tells_order = true});
    assert_int_equal(status_of(&p, "b"), WORLD_POWER_IS_OFF);
    assert_int_equal(simhost_power(p.b), SIMHOST_ON);
    with_faults(&p, (struct simdevice_faults){.cannot_tell = true});
    assert_int_equal(status_of(&p, "b"), WORLD_POWER_UNKNOWN);
    with_faults(&p, (struct simdevice_faults){.says_failed = true});
    assert_int_equal(power_result(&p, WORLD_POWER_OFF), ERR_IO);
    assert_int_equal(p.went_off, 1);
    assert_int_equal(status_of(&p, "b"), WORLD_POWER_IS_OFF);
    simworld_free(p.sim);
}

static void power_may_go_after_the_answer_and_come_back(void **state)
{
    (void)state;
    struct pair p;
    struct simdevice_faults faults = simdevice_faults_none();

    pair_new(&p);
    faults.answers_early = true;
    faults.switch_time = 8 * NANOS_PER_S;
    faults.returns_after = 5 * NANOS_PER_S;
    simdevice_set_faults(p.sim, "b", &faults);
    nanos begin = simworld_now(p.sim);
    assert_int_equal(power_result(&p, WORLD_POWER_OFF), OK);
    assert_int_equal(simhost_power(p.b), SIMHOST_ON);
    simworld_run(p.sim, begin + 9 * NANOS_PER_S);
    assert_int_equal(simhost_power(p.b), SIMHOST_OFF);
    simworld_run(p.sim, begin + 15 * NANOS_PER_S);
    assert_int_equal(simhost_power(p.b), SIMHOST_ON);
    assert_int_equal(p.came_on, 1);
    simworld_free(p.sim);
}

static void a_controller_loses_power_with_its_host_and_an_outlet_does_not(void **state)
{
    (void)state;
    struct pair p;
    struct simdevice_faults outlet = simdevice_faults_none();

    pair_new(&p);
    outlet.has_own_mains = true;
    simdevice_new(p.b, "outlet");
    simdevice_set_faults(p.sim, "outlet", &outlet);
    simhost_unplug(p.b);
    assert_int_equal(p.went_off, 1);
    assert_int_equal(simhost_power(p.b), SIMHOST_UNPLUGGED);
    assert_int_equal(power_result(&p, WORLD_POWER_STATUS), ERR_CLOSED);
    assert_int_equal(status_of(&p, "outlet"), WORLD_POWER_IS_OFF);
    assert_int_equal(order_and_wait(&p, WORLD_POWER_ON, "outlet").request.result, ERR_IO);
    simhost_plug_in(p.b, false);
    assert_int_equal(simhost_power(p.b), SIMHOST_OFF);
    assert_int_equal(order_and_wait(&p, WORLD_POWER_ON, "outlet").request.result, OK);
    assert_int_equal(status_of(&p, "b"), WORLD_POWER_IS_ON);
    simhost_unplug(p.b);
    simhost_plug_in(p.b, true);
    assert_int_equal(p.came_on, 2);
    simworld_free(p.sim);
}

static void the_wrong_cable_fences_the_wrong_host(void **state)
{
    (void)state;
    struct pair p;

    pair_new(&p);
    simdevice_wire(p.sim, "a", p.b);
    assert_int_equal(order_and_wait(&p, WORLD_POWER_OFF, "a").request.result, OK);
    assert_int_equal(simhost_power(p.b), SIMHOST_OFF);
    assert_int_equal(simhost_power(p.a), SIMHOST_ON);
    simworld_free(p.sim);
}

static void requests_for_a_device_go_one_by_one_and_devices_side_by_side(void **state)
{
    (void)state;
    struct pair p;
    struct order off;
    struct order status;
    struct order other;

    pair_new(&p);
    order_send(&off, &p, WORLD_POWER_OFF, "b", MINUTE);
    order_send(&status, &p, WORLD_POWER_STATUS, "b", MINUTE);
    order_send(&other, &p, WORLD_POWER_STATUS, "a", MINUTE);
    simworld_run(p.sim, simworld_now(p.sim) + MINUTE);
    assert_true(off.is_done && status.is_done && other.is_done);
    assert_true(off.at < status.at);
    assert_true(other.at < off.at);
    assert_int_equal(status.request.state, WORLD_POWER_IS_OFF);
    /* Who waits behind a device that hangs is told in time all the same. */
    with_faults(&p, (struct simdevice_faults){.is_hung = true});
    nanos begin = simworld_now(p.sim);
    order_send(&off, &p, WORLD_POWER_OFF, "b", MINUTE);
    order_send(&status, &p, WORLD_POWER_STATUS, "b", NANOS_PER_S);
    simworld_run(p.sim, begin + MINUTE);
    assert_int_equal(status.request.result, ERR_TIMEOUT);
    assert_int_equal(status.at, begin + NANOS_PER_S);
    assert_int_equal(off.at, begin + MINUTE);
    simworld_free(p.sim);
}

static void a_command_outlives_who_gave_it_once_it_has_arrived(void **state)
{
    (void)state;
    struct pair p;
    struct order order;

    for (int arrived = 0; arrived < 2; arrived++) {
        pair_new(&p);
        order_send(&order, &p, WORLD_POWER_OFF, "b", MINUTE);
        simworld_run(p.sim, simworld_now(p.sim) + (arrived == 1 ? NANOS_PER_S : NANOS_PER_MS));
        simhost_kill(p.a);
        simworld_run(p.sim, simworld_now(p.sim) + MINUTE);
        assert_false(order.is_done);
        assert_int_equal(p.went_off, arrived);
        simworld_free(p.sim);
    }
}

static void both_may_fence_each_other(void **state)
{
    (void)state;
    struct pair p;
    struct order a_on_b;
    struct order b_on_a;

    pair_new(&p);
    order_send(&a_on_b, &p, WORLD_POWER_OFF, "b", MINUTE);
    memset(&b_on_a, 0, sizeof b_on_a);
    const struct world *w = simhost_world(p.b);
    b_on_a.pair = &p;
    b_on_a.request = (struct world_power_request){.op = WORLD_POWER_OFF,
                                                  .device = "a",
                                                  .deadline = world_now(w) + MINUTE,
                                                  .done = order_done,
                                                  .owner = &b_on_a};
    w->power->submit(w->self, &b_on_a.request);
    simworld_run(p.sim, simworld_now(p.sim) + 2 * MINUTE);
    assert_int_equal(simhost_power(p.a), SIMHOST_OFF);
    assert_int_equal(simhost_power(p.b), SIMHOST_OFF);
    assert_false(b_on_a.is_done || a_on_b.is_done);
    simworld_free(p.sim);
}

static uint64_t hash_of_fencing(uint64_t seed)
{
    struct pair p;

    memset(&p, 0, sizeof p);
    p.sim = simworld_new(seed);
    p.a = simhost_new(p.sim, "a", 1 << 20);
    p.b = simhost_new(p.sim, "b", 1 << 20);
    (void)order_and_wait(&p, WORLD_POWER_OFF, "b");
    (void)order_and_wait(&p, WORLD_POWER_ON, "b");
    uint64_t hash = simworld_hash(p.sim);
    simworld_free(p.sim);
    return hash;
}

static void the_same_seed_fences_alike(void **state)
{
    (void)state;
    assert_int_equal(hash_of_fencing(3), hash_of_fencing(3));
    assert_int_not_equal(hash_of_fencing(3), hash_of_fencing(4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(switches_off_and_on_and_tells_the_power),
        cmocka_unit_test(power_off_takes_what_is_not_durable),
        cmocka_unit_test(a_device_that_does_not_answer_ends_at_the_deadline),
        cmocka_unit_test(a_device_that_is_not_reached_says_nothing_of_the_power),
        cmocka_unit_test(a_device_lies_in_either_direction),
        cmocka_unit_test(power_may_go_after_the_answer_and_come_back),
        cmocka_unit_test(a_controller_loses_power_with_its_host_and_an_outlet_does_not),
        cmocka_unit_test(the_wrong_cable_fences_the_wrong_host),
        cmocka_unit_test(requests_for_a_device_go_one_by_one_and_devices_side_by_side),
        cmocka_unit_test(a_command_outlives_who_gave_it_once_it_has_arrived),
        cmocka_unit_test(both_may_fence_each_other),
        cmocka_unit_test(the_same_seed_fences_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
