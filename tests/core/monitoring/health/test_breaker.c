#include "core/monitoring/health/breaker.h"

#include "tests/support/test.h"

#define MS NANOS_PER_MS
#define S  NANOS_PER_S

/* A breaker that opens for exactly 5, 10, 20 ... 300 s. */
static struct breaker_config steady_breaker(void)
{
    struct breaker_config config = breaker_config_of(S);

    config.jitter_percent = 0;
    return config;
}

static struct breaker breaker_at(const struct breaker_config *config, nanos now)
{
    struct breaker b;

    breaker_init(&b, config, 1, now);
    return b;
}

/* A call that took `took` and ended so; false: it might not go. */
static bool make_call(struct breaker *b, nanos now, nanos took, enum breaker_outcome outcome)
{
    struct breaker_permit permit;

    if (!breaker_acquire(b, now, &permit)) {
        return false;
    }
    breaker_report(b, &permit, outcome, now + took);
    breaker_check(b);
    return true;
}

static void fail_until_open(struct breaker *b, nanos now)
{
    for (int i = 0; i < 1000 && b->state == BREAKER_CLOSED; i++) {
        assert_true(make_call(b, now, MS, BREAKER_FAILED));
    }
    assert_int_equal(b->state, BREAKER_OPEN);
}

static void states_have_names(void **state)
{
    (void)state;
    assert_string_equal(breaker_state_name(BREAKER_CLOSED), "closed");
    assert_string_equal(breaker_state_name(BREAKER_FORCED_OPEN), "forced-open");
}

static void rejects_configurations_that_cannot_work(void **state)
{
    (void)state;
    const struct breaker_config good = breaker_config_of(S);
    assert_int_equal(breaker_config_check(&good), OK);
    struct breaker_config c = good;
    c.minimum = c.calls + 1; /* never enough to judge */
    assert_int_equal(breaker_config_check(&c), ERR_INVALID);
    c = good;
    c.permits = 0;
    assert_int_equal(breaker_config_check(&c), ERR_INVALID);
    c = good;
    c.permit_timeout = 0;
    assert_int_equal(breaker_config_check(&c), ERR_INVALID);
    c = good;
    c.open_max = c.open_first - 1;
    assert_int_equal(breaker_config_check(&c), ERR_INVALID);
    c = good;
    c.calls = BREAKER_CALLS_MAX + 1;
    assert_int_equal(breaker_config_check(&c), ERR_INVALID);
}

/* Scenario 19, low traffic: shares of a handful of calls mean nothing. */
static void opens_at_the_share_once_there_are_enough_calls(void **state)
{
    (void)state;
    struct breaker_config config = steady_breaker();
    config.failures_in_row = 0;
    struct breaker b = breaker_at(&config, 0);
    for (uint32_t i = 0; i < 19; i++) {
        assert_true(make_call(&b, i * S, MS, BREAKER_FAILED));
    }
    assert_int_equal(b.state, BREAKER_CLOSED);
    assert_true(make_call(&b, 20 * S, MS, BREAKER_OK)); /* 19 of 20 */
    assert_int_equal(b.state, BREAKER_OPEN);
}

static void stays_closed_below_the_share(void **state)
{
    (void)state;
    struct breaker_config config = steady_breaker();
    struct breaker b = breaker_at(&config, 0);
    for (uint32_t i = 0; i < 1000; i++) {
        assert_true(
            make_call(&b, i * MS, 1, i % 20 < 9 && i % 2 == 0 ? BREAKER_FAILED : BREAKER_OK));
    }
    assert_int_equal(b.state, BREAKER_CLOSED);
}

/* Low traffic again: five failures in a row need no minimum, however far apart. */
static void opens_after_failures_in_a_row(void **state)
{
    (void)state;
    struct breaker_config config = steady_breaker();
    struct breaker b = breaker_at(&config, 0);
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(make_call(&b, i * 3600 * S, MS, BREAKER_FAILED));
    }
    assert_true(make_call(&b, 4 * 3600 * S, MS, BREAKER_OK));
    for (uint32_t i = 5; i < 9; i++) {
        assert_true(make_call(&b, i * 3600 * S, MS, BREAKER_FAILED));
    }
    assert_int_equal(b.state, BREAKER_CLOSED);
    assert_true(make_call(&b, 9 * 3600 * S, MS, BREAKER_FAILED));
    assert_int_equal(b.state, BREAKER_OPEN);
}

static void slow_calls_count_though_they_succeed(void **state)
{
    (void)state;
    struct breaker_config config = steady_breaker();
    struct breaker b = breaker_at(&config, 0);
    for (uint32_t i = 0; i < 20; i++) {
        assert_true(make_call(&b, i * 10 * S, i % 2 == 0 ? S : S - 1, BREAKER_OK));
    }
    assert_int_equal(b.state, BREAKER_OPEN);
}

static void ignored_calls_say_nothing(void **state)
{
    (void)state;
    struct breaker_config config = steady_breaker();
    struct breaker b = breaker_at(&config, 0);
    for (uint32_t i = 0; i < 100; i++) {
        assert_true(make_call(&b, i * S, 10 * S, BREAKER_IGNORED));
    }
    assert_true(b.shares.calls == 0);
    assert_int_equal(b.state, BREAKER_CLOSED);
}

/* By time, what is older than the window does not count. */
static void window_by_time_forgets(void **state)
{
    (void)state;
    struct breaker_config config = steady_breaker();
    config.span = 10 * S;
    config.minimum = 10;
    config.failures_in_row = 0;
    struct breaker b = breaker_at(&config, 12345 * MS);
    nanos now = 12345 * MS;
    for (uint32_t i = 0; i < 9; i++) {
        assert_true(make_call(&b, now, MS, BREAKER_FAILED));
    }
    now += 11 * S;
    for (uint32_t i = 0; i < 9; i++) {
        assert_true(make_call(&b, now, MS, BREAKER_FAILED));
    }
    assert_int_equal(b.state, BREAKER_CLOSED);
    assert_true(b.shares.calls == 9 && b.shares.failed == 9);
    assert_true(make_call(&b, now + S, MS, BREAKER_FAILED));
    assert_int_equal(b.state, BREAKER_OPEN);
}

static void open_breaker_lets_nothing_through_until_its_time(void **state)
{
    (void)state;
    struct breaker_config config = steady_breaker();
    struct breaker b = breaker_at(&config, 0);
    fail_until_open(&b, 0);
    nanos until = breaker_retry_at(&b);
    assert_true(until == 5 * S + MS);
    for (nanos now = 0; now < until; now += 100 * MS) {
        assert_false(make_call(&b, now, MS, BREAKER_OK));
    }
    assert_true(b.rejected == 51);
    assert_true(make_call(&b, until, MS, BREAKER_OK));
    assert_int_equal(b.state, BREAKER_HALF_OPEN);
    assert_true(make_call(&b, until, MS, BREAKER_OK));
    assert_int_equal(b.state, BREAKER_CLOSED);
}

/* Scenario 19, concurrent permits: not one more than configured, in whatever order they end. */
static void half_open_breaker_bounds_concurrent_permits(void **state)
{
    (void)state;
    struct breaker_config config = steady_breaker();
    config.permits = 3;
    config.successes = 5;
    struct breaker b = breaker_at(&config, 0);
    struct breaker_permit p[4];
    fail_until_open(&b, 0);
    nanos now = breaker_retry_at(&b);
    for (int i = 0; i < 3; i++) {
        assert_true(breaker_acquire(&b, now, &p[i]));
    }
    assert_false(breaker_acquire(&b, now, &p[3]));
    breaker_report(&b, &p[1], BREAKER_OK, now + MS);
    assert_true(breaker_acquire(&b, now + MS, &p[3]));
    assert_false(breaker_acquire(&b, now + MS, &p[1]));
    breaker_report(&b, &p[0], BREAKER_IGNORED, now + MS); /* frees, and proves nothing */
    assert_true(breaker_acquire(&b, now + MS, &p[0]));
    breaker_check(&b);
    for (int i = 0; i < 4; i++) {
        if (i != 1) {
            breaker_report(&b, &p[i], BREAKER_OK, now + 2 * MS);
        }
    }
    assert_int_equal(b.state, BREAKER_HALF_OPEN);
    assert_true(make_call(&b, now + 3 * MS, MS, BREAKER_OK));
    assert_int_equal(b.state, BREAKER_CLOSED);
}

/* Scenario 19: a probe that is lost in half-open fails it by its deadline; nothing sticks. */
static void lost_probe_does_not_hold_it_half_open(void **state)
{
    (void)state;
    struct breaker_config config = steady_breaker();
    struct breaker b = breaker_at(&config, 0);
    struct breaker_permit lost;
    struct breaker_permit other;
    fail_until_open(&b, 0);
    nanos now = breaker_retry_at(&b);
    assert_true(breaker_deadline(&b) == NANOS_FOREVER);
    assert_true(breaker_acquire(&b, now, &lost));
    assert_true(breaker_acquire(&b, now + S, &other));
    assert_true(breaker_deadline(&b) == now + 30 * S);
    breaker_turn(&b, now + 30 * S - 1);
    assert_int_equal(b.state, BREAKER_HALF_OPEN);
    breaker_turn(&b, now + 30 * S);
    assert_int_equal(b.state, BREAKER_OPEN);
    breaker_check(&b);
    assert_true(b.lost == 1);
    /* What both of them report now is of another time. */
    breaker_report(&b, &lost, BREAKER_OK, now + 31 * S);
    breaker_report(&b, &other, BREAKER_FAILED, now + 31 * S);
    breaker_check(&b);
    nanos retry = breaker_retry_at(&b);
    assert_true(retry == now + 30 * S + 10 * S);
    /* Nobody turns it: the next who asks finds out. */
    assert_true(breaker_acquire(&b, retry, &lost));
    assert_false(breaker_acquire(&b, retry + 3600 * S, &other));
    assert_int_equal(b.state, BREAKER_OPEN);
}

static void failed_or_slow_probe_opens_it_again_for_longer(void **state)
{
    (void)state;
    struct breaker_config config = steady_breaker();
    struct breaker b = breaker_at(&config, 0);
    fail_until_open(&b, 0);
    const nanos times[] = {10 * S, 20 * S, 40 * S, 80 * S, 160 * S, 300 * S, 300 * S};
    for (size_t i = 0; i < COUNT_OF(times); i++) {
        nanos now = breaker_retry_at(&b);
        nanos took = i % 2 == 0 ? MS : 2 * S;
        assert_true(make_call(&b, now, took, i % 2 == 0 ? BREAKER_FAILED : BREAKER_OK));
        assert_int_equal(b.state, BREAKER_OPEN);
        assert_true(breaker_retry_at(&b) - (now + took) == times[i]);
    }
    /* Closed, but not for long: it goes on growing. After a calm it begins anew. */
    nanos now = breaker_retry_at(&b);
    assert_true(make_call(&b, now, MS, BREAKER_OK) && make_call(&b, now, MS, BREAKER_OK));
    fail_until_open(&b, now + S);
    assert_true(breaker_retry_at(&b) - (now + S) >= 300 * S);
    now = breaker_retry_at(&b);
    assert_true(make_call(&b, now, MS, BREAKER_OK) && make_call(&b, now, MS, BREAKER_OK));
    fail_until_open(&b, now + 61 * S);
    assert_true(breaker_retry_at(&b) - (now + 61 * S) <= 5 * S + MS);
}

/* Ten breakers of one fence device's users do not ask at the same moment; a seed repeats it all. */
static void open_times_are_spread_by_the_seed(void **state)
{
    (void)state;
    struct breaker_config config = breaker_config_of(S);
    nanos seen[10];
    for (uint64_t i = 0; i < 10; i++) {
        struct breaker b;
        struct breaker again;
        breaker_init(&b, &config, i, 0);
        breaker_init(&again, &config, i, 0);
        fail_until_open(&b, 0);
        fail_until_open(&again, 0);
        seen[i] = breaker_retry_at(&b);
        assert_true(seen[i] == breaker_retry_at(&again));
        assert_true(seen[i] >= 5 * S && seen[i] <= 6 * S + MS);
        for (uint64_t k = 0; k < i; k++) {
            assert_true(seen[k] != seen[i]);
        }
    }
}

/* Scenario 19: the clock jumps ahead, or back, while it is open. */
static void clock_that_jumps_while_open_opens_no_gates(void **state)
{
    (void)state;
    struct breaker_config config = steady_breaker();
    struct breaker b = breaker_at(&config, 1000 * S);
    fail_until_open(&b, 1000 * S);
    nanos until = breaker_retry_at(&b);
    assert_false(make_call(&b, 3, MS, BREAKER_OK));
    assert_true(breaker_retry_at(&b) == until);
    breaker_check(&b);
    struct breaker_permit p[3];
    nanos later = 1000 * S + 365 * 24 * 3600 * S;
    assert_true(breaker_acquire(&b, later, &p[0]));
    assert_true(breaker_acquire(&b, later, &p[1]));
    assert_false(breaker_acquire(&b, later, &p[2]));
    /* Back again: permits do not live longer than their timeout on the latest time. */
    breaker_turn(&b, 1001 * S);
    assert_int_equal(b.state, BREAKER_HALF_OPEN);
    breaker_turn(&b, later + 30 * S);
    assert_int_equal(b.state, BREAKER_OPEN);
}

static void forced_states_obey_the_operator_alone(void **state)
{
    (void)state;
    struct breaker_config config = steady_breaker();
    struct breaker b = breaker_at(&config, 0);
    breaker_force(&b, BREAKER_FORCED_CLOSED, 0);
    for (uint32_t i = 0; i < 200; i++) {
        assert_true(make_call(&b, i * S, MS, BREAKER_FAILED));
    }
    assert_true(b.shares.failed == 100); /* it is still measured */
    breaker_force(&b, BREAKER_FORCED_OPEN, 200 * S);
    assert_false(make_call(&b, 100000 * S, MS, BREAKER_OK));
    assert_true(breaker_retry_at(&b) == NANOS_FOREVER);
    breaker_release(&b, 100000 * S);
    assert_int_equal(b.state, BREAKER_CLOSED);
    assert_true(b.shares.calls == 0);
    breaker_check(&b);
}

/* Envoy's cap: a share of the group, and at least one. */
static void group_caps_how_many_are_open(void **state)
{
    (void)state;
    struct breaker_config config = steady_breaker();
    static struct breaker b[10];
    struct breaker_group group = {.open_percent = 30};
    for (size_t i = 0; i < COUNT_OF(b); i++) {
        breaker_init(&b[i], &config, i, 0);
        breaker_join(&b[i], &group);
    }
    for (size_t i = 0; i < COUNT_OF(b); i++) {
        for (int k = 0; k < 10; k++) {
            (void)make_call(&b[i], 0, MS, BREAKER_FAILED);
        }
    }
    assert_true(group.open == 3);
    assert_int_equal(b[2].state, BREAKER_OPEN);
    assert_int_equal(b[3].state, BREAKER_CLOSED);
    assert_true(b[3].held > 0);
    /* One closes; the next failure of another takes its place. */
    nanos now = breaker_retry_at(&b[0]);
    assert_true(make_call(&b[0], now, MS, BREAKER_OK) && make_call(&b[0], now, MS, BREAKER_OK));
    assert_true(group.open == 2);
    assert_true(make_call(&b[7], now, MS, BREAKER_FAILED));
    assert_int_equal(b[7].state, BREAKER_OPEN);
    assert_true(group.open == 3);
    struct breaker lonely;
    struct breaker_group small = {.open_percent = 10};
    breaker_init(&lonely, &config, 1, 0);
    breaker_join(&lonely, &small);
    fail_until_open(&lonely, 0);
}

/* Any calls, in any order, with any clock: invariants, and a way back. */
static void any_history_leaves_a_sound_breaker(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(200); round++) {
        struct breaker_config config = breaker_config_of(S);
        config.calls = (uint32_t)prng_range(&prng, 1, 50);
        config.minimum = (uint32_t)prng_range(&prng, 1, config.calls);
        config.span = prng_below(&prng, 2) * prng_range(&prng, BREAKER_SLICES, 20 * S);
        config.permits = (uint32_t)prng_range(&prng, 1, BREAKER_PERMITS_MAX);
        config.successes = (uint32_t)prng_range(&prng, 1, 5);
        config.growth_percent = (uint32_t)prng_range(&prng, 100, 300);
        nanos now = prng_u64(&prng) >> prng_range(&prng, 1, 40);
        struct breaker b;
        struct breaker_permit open[64];
        size_t under_way = 0;
        breaker_init(&b, &config, round, now);
        for (size_t i = 0; i < 2000; i++) {
            now += prng_below(&prng, 50) == 0 ? prng_below(&prng, 100 * S) : prng_below(&prng, S);
            now -= prng_below(&prng, 50) == 0 ? u64_min(now, prng_below(&prng, 100 * S)) : 0;
            if (under_way < COUNT_OF(open) && prng_chance(&prng, 1, 2)) {
                under_way += breaker_acquire(&b, now, &open[under_way]);
            } else if (under_way > 0 && prng_chance(&prng, 9, 10)) {
                size_t at = prng_below(&prng, under_way);
                breaker_report(&b, &open[at], (enum breaker_outcome)prng_below(&prng, 3), now);
                open[at] = open[--under_way];
            } else if (under_way > 0) {
                under_way--; /* lost */
            }
            breaker_check(&b);
            if (prng_below(&prng, 200) == 0) {
                breaker_force(
                    &b, prng_chance(&prng, 1, 2) ? BREAKER_FORCED_OPEN : BREAKER_FORCED_CLOSED,
                    now);
                breaker_check(&b);
                breaker_release(&b, now);
            }
        }
        /* Everything heals: whoever asks whenever it is worth asking gets it closed. */
        for (size_t i = 0; i < 200 && b.state != BREAKER_CLOSED; i++) {
            now = u64_max(u64_max(now, breaker_retry_at(&b)), b.latest);
            if (!make_call(&b, now, 1, BREAKER_OK)) {
                now = u64_max(now, u64_min(breaker_deadline(&b), now + 3600 * S));
                breaker_turn(&b, now);
            }
        }
        assert_int_equal(b.state, BREAKER_CLOSED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_have_names),
        cmocka_unit_test(rejects_configurations_that_cannot_work),
        cmocka_unit_test(opens_at_the_share_once_there_are_enough_calls),
        cmocka_unit_test(stays_closed_below_the_share),
        cmocka_unit_test(opens_after_failures_in_a_row),
        cmocka_unit_test(slow_calls_count_though_they_succeed),
        cmocka_unit_test(ignored_calls_say_nothing),
        cmocka_unit_test(window_by_time_forgets),
        cmocka_unit_test(open_breaker_lets_nothing_through_until_its_time),
        cmocka_unit_test(half_open_breaker_bounds_concurrent_permits),
        cmocka_unit_test(lost_probe_does_not_hold_it_half_open),
        cmocka_unit_test(failed_or_slow_probe_opens_it_again_for_longer),
        cmocka_unit_test(open_times_are_spread_by_the_seed),
        cmocka_unit_test(clock_that_jumps_while_open_opens_no_gates),
        cmocka_unit_test(forced_states_obey_the_operator_alone),
        cmocka_unit_test(group_caps_how_many_are_open),
        cmocka_unit_test(any_history_leaves_a_sound_breaker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
