/* Clocks of simulated hosts, and the timers that are set by them. */
#include "core/chaos/simworld.h"

#include "tests/support/test.h"

#include "tests/core/chaos/sim_pair.h"

#define TIMERS_MAX 64

/* Timers of one host, and when they fired: in virtual time, in which order. */
struct alarms {
    struct simworld *sim;
    struct simhost *host;
    struct world_timer timers[TIMERS_MAX];
    nanos fired_at[TIMERS_MAX];
    size_t order[TIMERS_MAX];
    size_t fired;
};

static void alarms_fired(struct world_timer *timer)
{
    struct alarms *a = timer->owner;
    size_t i = (size_t)(timer - a->timers);
    a->fired_at[i] = simworld_now(a->sim);
    a->order[a->fired++] = i;
}

static void alarms_init(struct alarms *a, struct simworld *sim, struct simhost *host)
{
    *a = (struct alarms){.sim = sim, .host = host};
    for (size_t i = 0; i < TIMERS_MAX; i++) {
        a->timers[i].fire = alarms_fired;
        a->timers[i].owner = a;
    }
}

static void alarms_set(struct alarms *a, size_t i, nanos at)
{
    world_timer_set(simhost_world(a->host), &a->timers[i], at);
}

static void timers_fire_in_the_order_of_their_times_and_then_of_their_setting(void **state)
{
    (void)state;
    struct prng luck = test_prng(__func__);

    for (size_t round = 0; round < test_rounds(100); round++) {
        struct simworld *sim = simworld_new(1);
        struct alarms a;
        nanos at[TIMERS_MAX];
        size_t set_at[TIMERS_MAX];
        bool is_set[TIMERS_MAX] = {false};
        size_t settings = 0;
        size_t expected = 0;
        alarms_init(&a, sim, simhost_new(sim, "a", 0));
        const struct world *w = simhost_world(a.host);
        for (; settings < 300; settings++) {
            size_t i = prng_below(&luck, TIMERS_MAX);
            is_set[i] = !prng_chance(&luck, 1, 4);
            if (is_set[i]) {
                at[i] = simworld_now(sim) + prng_below(&luck, 10);
                set_at[i] = settings;
                alarms_set(&a, i, at[i]);
            } else {
                world_timer_cancel(w, &a.timers[i]);
            }
        }
        for (size_t i = 0; i < TIMERS_MAX; i++) {
            expected += is_set[i];
        }
        simworld_run(sim, NANOS_FOREVER);
        assert_int_equal(a.fired, expected);
        for (size_t i = 0; i < a.fired; i++) {
            size_t here = a.order[i];
            assert_true(is_set[here]);
            assert_int_equal(a.fired_at[here], at[here]);
            if (i > 0) {
                size_t before = a.order[i - 1];
                assert_true(at[before] < at[here] ||
                            (at[before] == at[here] && set_at[before] < set_at[here]));
            }
        }
        simworld_free(sim);
    }
}

static void a_fast_clock_fires_early_and_a_slow_one_late(void **state)
{
    (void)state;
    const int64_t ppms[] = {0, 100000, -100000, 1, SIMHOST_DRIFT_MAX_PPM, -SIMHOST_DRIFT_MAX_PPM};

    for (size_t i = 0; i < COUNT_OF(ppms); i++) {
        struct simworld *sim = simworld_new(1);
        struct alarms a;
        alarms_init(&a, sim, simhost_new(sim, "a", 0));
        nanos began = simworld_now(sim);
        simhost_clock_drift(a.host, ppms[i]);
        alarms_set(&a, 0, began + 1000 * NANOS_PER_S);
        simworld_run(sim, NANOS_FOREVER);
        uint64_t rate = (uint64_t)(1000000 + ppms[i]);
        nanos exact = (nanos)((unsigned __int128)1000 * NANOS_PER_S * 1000000 / rate);
        assert_in_range(a.fired_at[0] - began, exact, exact + 1);
        /* Neither too early by the clock nor a nanosecond too late. */
        assert_true(simhost_clock(a.host) >= began + 1000 * NANOS_PER_S);
        assert_true(simhost_clock(a.host) <= began + 1000 * NANOS_PER_S + 1);
        simworld_free(sim);
    }
}

static void a_timer_fires_when_its_clock_gets_there_however_the_rate_changes(void **state)
{
    (void)state;
    struct simworld *sim = simworld_new(1);
    struct alarms a;

    alarms_init(&a, sim, simhost_new(sim, "a", 0));
    nanos began = simworld_now(sim);
    alarms_set(&a, 0, began + 10 * NANOS_PER_S);
    simhost_clock_drift(a.host, 500000);
    simworld_run(sim, began + 4 * NANOS_PER_S); /* 6 s on the clock */
    assert_int_equal(simhost_clock(a.host), began + 6 * NANOS_PER_S);
    simhost_clock_drift(a.host, -500000); /* 8 s more */
    simworld_run(sim, began + 6 * NANOS_PER_S);
    simhost_clock_drift(a.host, 0); /* 7 s on the clock: 3 more */
    simworld_run(sim, NANOS_FOREVER);
    assert_int_equal(a.fired_at[0], began + 9 * NANOS_PER_S);
    simworld_free(sim);
}

static void a_step_makes_timers_due_and_shows_in_one_clock_alone(void **state)
{
    (void)state;
    struct simworld *sim = simworld_new(1);
    struct alarms a;

    alarms_init(&a, sim, simhost_new(sim, "a", 0));
    const struct world *w = simhost_world(a.host);
    nanos began = simworld_now(sim);
    nanos awake = world_awake(w);
    alarms_set(&a, 0, began + 10 * NANOS_PER_S);
    alarms_set(&a, 1, began + 100 * NANOS_PER_S);
    simworld_run(sim, began + NANOS_PER_S);
    simhost_clock_step(a.host, 50 * NANOS_PER_S);
    assert_int_equal(world_now(w), began + 51 * NANOS_PER_S);
    assert_int_equal(world_awake(w), awake + NANOS_PER_S);
    simworld_run(sim, NANOS_FOREVER);
    assert_int_equal(a.fired_at[0], began + NANOS_PER_S);
    assert_int_equal(a.fired_at[1], began + 50 * NANOS_PER_S);
    simworld_free(sim);
}

static void clocks_of_hosts_are_their_own(void **state)
{
    (void)state;
    struct simworld *sim = simworld_new(1);
    struct alarms a;
    struct alarms b;

    alarms_init(&a, sim, simhost_new(sim, "a", 0));
    alarms_init(&b, sim, simhost_new(sim, "b", 0));
    nanos began = simworld_now(sim);
    simhost_clock_begin(b.host, 1000000 * NANOS_PER_S);
    simhost_clock_drift(b.host, 250000);
    alarms_set(&a, 0, began + 10 * NANOS_PER_S);
    alarms_set(&b, 0, (1000000 + 10) * NANOS_PER_S);
    simworld_run(sim, NANOS_FOREVER);
    assert_int_equal(a.fired_at[0], began + 10 * NANOS_PER_S);
    assert_int_equal(b.fired_at[0], began + 8 * NANOS_PER_S);
    simworld_free(sim);
}

static void equal_times_of_many_hosts_happen_in_the_order_they_were_caused(void **state)
{
    (void)state;
    struct simworld *sim = simworld_new(1);
    struct alarms a[20];
    char name[] = "a";

    for (size_t i = 0; i < COUNT_OF(a); i++, name[0]++) {
        alarms_init(&a[i], sim, simhost_new(sim, name, 0));
    }
    nanos at = simworld_now(sim) + NANOS_PER_S;
    for (size_t k = 0; k < 3 * COUNT_OF(a); k++) {
        alarms_set(&a[k * 7 % COUNT_OF(a)], k / COUNT_OF(a), at);
    }
    for (size_t k = 0; k < 3 * COUNT_OF(a); k++) {
        struct alarms *due = &a[k * 7 % COUNT_OF(a)];
        size_t before = due->fired;
        assert_true(simworld_step(sim));
        assert_int_equal(due->fired, before + 1);
        assert_int_equal(due->order[before], k / COUNT_OF(a));
    }
    assert_false(simworld_step(sim));
    simworld_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_in_the_order_of_their_times_and_then_of_their_setting),
        cmocka_unit_test(a_fast_clock_fires_early_and_a_slow_one_late),
        cmocka_unit_test(a_timer_fires_when_its_clock_gets_there_however_the_rate_changes),
        cmocka_unit_test(a_step_makes_timers_due_and_shows_in_one_clock_alone),
        cmocka_unit_test(clocks_of_hosts_are_their_own),
        cmocka_unit_test(equal_times_of_many_hosts_happen_in_the_order_they_were_caused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
