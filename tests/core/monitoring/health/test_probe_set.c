#include "core/monitoring/health/probe_set.h"

#include "tests/support/test.h"

#include <string.h>

#define MS NANOS_PER_MS
#define S  NANOS_PER_S

static struct probe_set set;

/* A target with the purposes of the bits in `asked`, every second within half of one. */
static void add_asked(uint64_t id, uint32_t asked, nanos now)
{
    struct probe_config probes[PROBE_PURPOSES];

    for (uint32_t i = 0; i < PROBE_PURPOSES; i++) {
        probes[i] = probe_config_of();
        probes[i].is_asked = (asked >> i & 1) != 0;
        probes[i].period = S;
        probes[i].timeout = 500 * MS;
    }
    assert_int_equal(probe_set_add(&set, id, RUNG_APPLICATION, probes, now), OK);
}

#define ASK_STARTUP   (1U << PROBE_STARTUP)
#define ASK_LIVENESS  (1U << PROBE_LIVENESS)
#define ASK_READINESS (1U << PROBE_READINESS)

static void begin_set(uint32_t flights_max)
{
    struct probe_set_config config = probe_set_config_of();

    config.flights_max = flights_max;
    config.jitter_percent = 0;
    probe_set_init(&set, &config, 1, 0);
}

/* What a test's world answers to a probe; PROBE_NOT_ASKED plus one: nothing at all. */
#define SILENT 3
static int answer_of[PROBE_PURPOSES];

/* Asks what is due at `now`, and answers at once; returns how many were asked. */
static uint32_t ask_all(nanos now)
{
    struct probe_order order;
    uint32_t asked = 0;

    while (probe_set_next(&set, now, &order)) {
        probe_set_check(&set);
        asked++;
        if (answer_of[order.purpose] != SILENT) {
            probe_set_answer(&set, order.id, order.purpose, order.ticket,
                             (enum probe_outcome)answer_of[order.purpose], now);
        }
        probe_set_check(&set);
    }
    return asked;
}

static void all_answer(int outcome)
{
    for (int i = 0; i < PROBE_PURPOSES; i++) {
        answer_of[i] = outcome;
    }
}

/* Lives from deadline to deadline until `end`, as its driver does. */
static nanos live_until(nanos now, nanos end)
{
    while (now < end) {
        (void)ask_all(now);
        nanos next = probe_set_deadline(&set);
        assert_true(next > now);
        now = u64_min(next, end);
    }
    return now;
}

static void startup_gates_the_other_two(void **state)
{
    (void)state;
    struct probe_order order;
    begin_set(8);
    add_asked(7, ASK_STARTUP | ASK_LIVENESS | ASK_READINESS, 0);
    const struct probe_target *t = probe_set_find(&set, 7);
    assert_int_equal(t->state, PROBE_STARTING);
    assert_true(probe_set_next(&set, 0, &order));
    assert_true(order.id == 7 && order.purpose == PROBE_STARTUP && order.deadline == 500 * MS);
    assert_false(probe_set_next(&set, 0, &order));
    assert_false(probe_is_ready(t));
    assert_int_equal(probe_rung(t).state, RUNG_UNKNOWN);
    all_answer(PROBE_FAILURE);
    probe_set_answer(&set, 7, PROBE_STARTUP, order.ticket, PROBE_FAILURE, 10 * MS);
    assert_int_equal(t->state, PROBE_STARTING);
    all_answer(PROBE_OK);
    (void)live_until(10 * MS, 1500 * MS);
    assert_int_equal(t->state, PROBE_RUNNING);
    assert_true(t->probes[PROBE_LIVENESS].is_well && probe_is_ready(t));
    assert_int_equal(probe_rung(t).state, RUNG_WELL);
    assert_string_equal(probe_state_name(t->state), "running");
    assert_string_equal(probe_purpose_name(PROBE_READINESS), "readiness");
}

static void startup_that_fails_for_good_asks_for_a_restart(void **state)
{
    (void)state;
    uint64_t id = 0;
    begin_set(8);
    add_asked(7, ASK_STARTUP | ASK_LIVENESS, 0);
    all_answer(SILENT);
    nanos now = live_until(0, 1999 * MS);
    assert_false(probe_set_restart(&set, now, &id));
    now = live_until(now, 3 * S);
    assert_int_equal(probe_set_find(&set, 7)->state, PROBE_FAILED);
    assert_true(probe_set_find(&set, 7)->probes[PROBE_STARTUP].timeouts == 3);
    assert_true(probe_set_deadline(&set) == NANOS_FOREVER);
    assert_true(probe_set_restart(&set, now, &id));
    assert_true(id == 7);
    assert_int_equal(probe_set_find(&set, 7)->state, PROBE_STARTING);
}

static void readiness_takes_work_away_and_nothing_else(void **state)
{
    (void)state;
    uint64_t id = 0;
    begin_set(8);
    add_asked(7, ASK_LIVENESS | ASK_READINESS, 0);
    all_answer(PROBE_OK);
    nanos now = live_until(0, 5 * S);
    const struct probe_target *t = probe_set_find(&set, 7);
    assert_true(probe_is_ready(t));
    answer_of[PROBE_READINESS] = PROBE_FAILURE;
    now = live_until(now, 7 * S - 1);
    assert_true(probe_is_ready(t)); /* two failures are not three */
    now = live_until(now, 60 * S);
    assert_false(probe_is_ready(t));
    assert_int_equal(t->state, PROBE_RUNNING);
    assert_false(probe_set_restart(&set, now, &id));
    struct rung_view view = probe_rung(t);
    assert_int_equal(view.state, RUNG_DEGRADED);
    assert_true(view.since == 7 * S && view.bad > 50 && view.bad == view.asked);
    answer_of[PROBE_READINESS] = PROBE_OK;
    (void)live_until(now, 62 * S);
    assert_true(probe_is_ready(t));
}

static void a_verdict_stands_until_enough_answers_speak_against_it(void **state)
{
    struct probe_config probes[PROBE_PURPOSES] = {0};
    (void)state;
    begin_set(8);
    probes[PROBE_READINESS] = probe_config_of();
    probes[PROBE_READINESS].period = S;
    probes[PROBE_READINESS].successes = 3;
    assert_int_equal(probe_set_add(&set, 7, RUNG_APPLICATION, probes, 0), OK);
    const struct probe_target *t = probe_set_find(&set, 7);
    assert_int_equal(probe_rung(t).state, RUNG_UNKNOWN);
    all_answer(PROBE_FAILURE);
    nanos now = live_until(0, 5 * S);
    assert_int_equal(probe_rung(t).state, RUNG_DEGRADED);
    all_answer(PROBE_OK);
    now = live_until(now, 7 * S - 1);
    assert_int_equal(t->probes[PROBE_READINESS].succeeded, 2);
    assert_int_equal(probe_rung(t).state, RUNG_DEGRADED);
    (void)live_until(now, 9 * S);
    assert_int_equal(probe_rung(t).state, RUNG_WELL);
}

static void liveness_fails_after_failures_in_a_row(void **state)
{
    (void)state;
    begin_set(8);
    add_asked(7, ASK_LIVENESS, 0);
    nanos now = 0;
    for (int i = 0; i < 50; i++) {
        all_answer(i % 3 == 2 ? PROBE_OK : PROBE_FAILURE);
        (void)ask_all(now);
        now = probe_set_deadline(&set);
    }
    assert_int_equal(probe_set_find(&set, 7)->state, PROBE_RUNNING);
    all_answer(PROBE_FAILURE);
    (void)live_until(now, now + 3 * S);
    assert_int_equal(probe_set_find(&set, 7)->state, PROBE_FAILED);
    struct rung_view view = probe_rung(probe_set_find(&set, 7));
    assert_int_equal(view.state, RUNG_BROKEN);
    assert_true(view.bad >= 3);
}

static void successes_in_a_row_are_asked_for_too(void **state)
{
    (void)state;
    struct probe_config probes[PROBE_PURPOSES] = {0};
    begin_set(8);
    probes[PROBE_READINESS] = probe_config_of();
    probes[PROBE_READINESS].successes = 3;
    assert_int_equal(probe_set_add(&set, 7, RUNG_PROCESS, probes, 0), OK);
    all_answer(PROBE_OK);
    nanos now = live_until(0, 20 * S);
    assert_false(probe_is_ready(probe_set_find(&set, 7)));
    (void)live_until(now, 21 * S);
    assert_true(probe_is_ready(probe_set_find(&set, 7)));
}

/* An asker that could not ask (no memory, its own network) says nothing of the target. */
static void what_was_not_asked_counts_for_nothing(void **state)
{
    (void)state;
    begin_set(8);
    add_asked(7, ASK_LIVENESS, 0);
    all_answer(PROBE_NOT_ASKED);
    (void)live_until(0, 100 * S);
    assert_int_equal(probe_set_find(&set, 7)->state, PROBE_RUNNING);
    assert_true(probe_set_find(&set, 7)->probes[PROBE_LIVENESS].asked == 100);
    assert_true(probe_set_find(&set, 7)->probes[PROBE_LIVENESS].failed == 0);
}

static void late_answers_are_of_another_time(void **state)
{
    (void)state;
    struct probe_order order;
    begin_set(8);
    add_asked(7, ASK_LIVENESS, 0);
    assert_true(probe_set_next(&set, 0, &order));
    assert_true(probe_set_deadline(&set) == 500 * MS);
    probe_set_answer(&set, 7, PROBE_LIVENESS, order.ticket, PROBE_OK, 500 * MS);
    const struct target_probe *p = &probe_set_find(&set, 7)->probes[PROBE_LIVENESS];
    assert_true(p->failed == 1 && p->timeouts == 1 && !p->is_well);
    struct probe_order next;
    assert_true(probe_set_next(&set, S, &next));
    probe_set_answer(&set, 7, PROBE_LIVENESS, order.ticket, PROBE_OK, S); /* the old one again */
    assert_true(p->failed == 1);
    probe_set_answer(&set, 7, PROBE_LIVENESS, next.ticket, PROBE_OK, S);
    assert_true(p->failed == 0 && p->is_well);
    probe_set_answer(&set, 8, PROBE_LIVENESS, next.ticket, PROBE_OK, S);
    probe_set_check(&set);
}

/* The budget: at most three at once, and everybody's turn comes. */
static void flights_are_bounded_and_fair(void **state)
{
    (void)state;
    struct probe_order orders[200];
    begin_set(3);
    for (uint64_t id = 1; id <= 20; id++) {
        add_asked(id, ASK_LIVENESS, 0);
    }
    uint64_t asked[21] = {0};
    nanos now = 0;
    uint32_t under_way = 0;
    for (int turn = 0; turn < 400; turn++) {
        while (probe_set_next(&set, now, &orders[under_way])) {
            asked[orders[under_way].id]++;
            under_way++;
            assert_true(under_way <= 3);
        }
        probe_set_check(&set);
        now += 30 * MS;
        if (under_way > 0) {
            struct probe_order o = orders[0];
            memmove(&orders[0], &orders[1], --under_way * sizeof orders[0]);
            probe_set_answer(&set, o.id, o.purpose, o.ticket, PROBE_OK, now);
        }
    }
    for (uint64_t id = 1; id <= 20; id++) {
        assert_in_range(asked[id], 11, 13);
    }
}

static void jitter_spreads_equal_periods(void **state)
{
    (void)state;
    struct probe_set_config config = probe_set_config_of();
    config.jitter_percent = 50;
    config.flights_max = PROBE_FLIGHTS_MAX;
    probe_set_init(&set, &config, 1, 0);
    for (uint64_t id = 1; id <= 50; id++) {
        add_asked(id, ASK_LIVENESS, 0);
    }
    all_answer(PROBE_OK);
    uint32_t most = 0;
    for (nanos now = 0; now < 10 * S; now = probe_set_deadline(&set)) {
        uint32_t at_once = ask_all(now);
        most = at_once > most ? at_once : most;
    }
    assert_true(most <= 3);
}

/* Complaint: liveness kills what is merely overloaded, again and again, and all of it. */
static void restarts_have_a_budget_and_grow_apart(void **state)
{
    (void)state;
    begin_set(8);
    set.config.restarts_max = PROBE_RESTARTS_MAX;
    for (uint64_t id = 1; id <= 20; id++) {
        add_asked(id, ASK_LIVENESS, 0);
    }
    all_answer(PROBE_OK);
    nanos now = live_until(0, 700 * S);
    uint64_t restarts = 0;
    nanos last = 0;
    nanos gaps[16] = {0};
    struct probe_order order;
    while (now < 3000 * S) {
        while (probe_set_next(&set, now, &order)) {
            enum probe_outcome outcome = order.id == 4 ? PROBE_FAILURE : PROBE_OK;
            probe_set_answer(&set, order.id, order.purpose, order.ticket, outcome, now);
        }
        uint64_t id = 0;
        if (probe_set_restart(&set, now, &id)) {
            assert_true(id == 4 && restarts < COUNT_OF(gaps));
            gaps[restarts++] = now - last;
            last = now;
        }
        probe_set_check(&set);
        now += 100 * MS;
    }
    /* At once, and then 10, 20, 40 ... 600 s after it failed again, which takes two. */
    assert_true(restarts >= 7 && restarts <= 10);
    for (uint64_t i = 2; i < restarts; i++) {
        assert_true(gaps[i] >= gaps[i - 1]);
    }
    assert_true(gaps[1] >= 12 * S && gaps[1] < 13 * S);
    assert_true(set.held == 0);
    /* It ran for long enough: its next failure is as good as its first. */
    all_answer(PROBE_OK);
    uint64_t id = 0;
    now = live_until(now, now + 700 * S);
    (void)probe_set_restart(&set, now, &id);
    now = live_until(now, now + 700 * S);
    assert_int_equal(probe_set_find(&set, 4)->state, PROBE_RUNNING);
    answer_of[PROBE_LIVENESS] = PROBE_FAILURE;
    while (probe_set_find(&set, 4)->state == PROBE_RUNNING) {
        now += 100 * MS;
        while (probe_set_next(&set, now, &order)) {
            enum probe_outcome outcome = order.id == 4 ? PROBE_FAILURE : PROBE_OK;
            probe_set_answer(&set, order.id, order.purpose, order.ticket, outcome, now);
        }
    }
    assert_true(probe_set_restart(&set, now, &id) && id == 4);
}

static void restarts_of_all_targets_share_one_budget(void **state)
{
    (void)state;
    uint64_t id = 0;
    begin_set(PROBE_FLIGHTS_MAX);
    for (uint64_t i = 1; i <= 20; i++) {
        add_asked(i, i <= 9 ? ASK_LIVENESS : ASK_READINESS, 0);
    }
    all_answer(PROBE_FAILURE);
    nanos now = live_until(0, 5 * S);
    for (int i = 0; i < 5; i++) {
        assert_true(probe_set_restart(&set, now, &id));
    }
    assert_false(probe_set_restart(&set, now, &id));
    assert_true(set.held == 1);
    assert_false(probe_set_restart(&set, now + 599 * S, &id));
    assert_true(probe_set_restart(&set, now + 600 * S, &id));
}

/* Scenario 20, for probes: what happens to most of them at once has one cause. */
static void failure_of_most_targets_restarts_none(void **state)
{
    (void)state;
    uint64_t id = 0;
    begin_set(PROBE_FLIGHTS_MAX);
    for (uint64_t i = 1; i <= 10; i++) {
        add_asked(i, ASK_LIVENESS, 0);
    }
    struct probe_order order;
    nanos now = 0;
    for (int turn = 0; turn < 10; turn++, now += S) {
        while (probe_set_next(&set, now, &order)) {
            enum probe_outcome outcome = order.id <= 6 ? PROBE_FAILURE : PROBE_OK;
            probe_set_answer(&set, order.id, order.purpose, order.ticket, outcome, now);
        }
    }
    assert_false(probe_set_restart(&set, now, &id));
    /* The cause has passed for one of them, by whatever means: five of ten are not most. */
    probe_set_excuse(&set, 2, now, now);
    assert_true(probe_set_restart(&set, now, &id));
    /* One target alone may always be restarted. */
    begin_set(8);
    add_asked(1, ASK_LIVENESS, 0);
    all_answer(PROBE_FAILURE);
    now = live_until(0, 5 * S);
    assert_true(probe_set_restart(&set, now, &id));
}

/* Scenario 18: a guest that reboots, or is being moved, is not called failed for it. */
static void excused_target_begins_anew(void **state)
{
    (void)state;
    begin_set(8);
    add_asked(7, ASK_STARTUP | ASK_LIVENESS, 0);
    all_answer(PROBE_OK);
    nanos now = live_until(0, 10 * S);
    const struct probe_target *t = probe_set_find(&set, 7);
    all_answer(SILENT);
    now = live_until(now, now + 1600 * MS); /* one failure, and one probe under way */
    probe_set_excuse(&set, 7, now + 120 * S, now);
    probe_set_check(&set);
    assert_int_equal(t->state, PROBE_STARTING);
    assert_true(probe_set_deadline(&set) == now + 120 * S);
    now = live_until(now, now + 121 * S);
    assert_int_equal(t->state, PROBE_STARTING);
    all_answer(PROBE_OK);
    (void)live_until(now, now + 10 * S);
    assert_int_equal(t->state, PROBE_RUNNING);
}

/* Scenario 18: the guest's agent is dead and the guest is well, or the other way round: each rung
 * is a target of its own, and says nothing of the other. */
static void rungs_fail_one_by_one(void **state)
{
    (void)state;
    begin_set(8);
    add_asked(1, ASK_READINESS, 0); /* the application in the guest */
    add_asked(2, ASK_READINESS, 0); /* its agent */
    struct probe_order order;
    nanos now = 0;
    for (int turn = 0; turn < 10; turn++, now += S) {
        while (probe_set_next(&set, now, &order)) {
            enum probe_outcome outcome = order.id == 2 ? PROBE_FAILURE : PROBE_OK;
            probe_set_answer(&set, order.id, order.purpose, order.ticket, outcome, now);
        }
    }
    assert_int_equal(probe_rung(probe_set_find(&set, 1)).state, RUNG_WELL);
    assert_int_equal(probe_rung(probe_set_find(&set, 2)).state, RUNG_DEGRADED);
}

/* Scenario 5: the asker was stopped; what it had asked timed out while nobody listened. */
static void paused_asker_judges_nobody(void **state)
{
    (void)state;
    uint64_t id = 0;
    begin_set(8);
    add_asked(7, ASK_LIVENESS, 0);
    all_answer(PROBE_OK);
    nanos now = live_until(0, 10 * S);
    all_answer(SILENT);
    now = live_until(now, now + 2 * S); /* one or two failures, and one probe under way */
    nanos woke = now + 3600 * S;
    probe_set_excuse_all(&set, woke + S, woke);
    probe_set_check(&set);
    const struct probe_target *t = probe_set_find(&set, 7);
    assert_true(t->probes[PROBE_LIVENESS].failed == 0);
    assert_int_equal(t->state, PROBE_RUNNING);
    assert_false(probe_set_restart(&set, woke, &id));
    assert_true(probe_set_deadline(&set) == woke + S);
}

static void set_is_bounded(void **state)
{
    (void)state;
    struct probe_config probes[PROBE_PURPOSES] = {0};
    begin_set(8);
    for (uint64_t id = 1; id <= PROBE_TARGETS_MAX; id++) {
        assert_int_equal(probe_set_add(&set, id, RUNG_NETWORK, probes, 0), OK);
    }
    assert_int_equal(probe_set_add(&set, 5000, RUNG_NETWORK, probes, 0), ERR_TOO_LARGE);
    assert_int_equal(probe_set_add(&set, 5, RUNG_NETWORK, probes, 0), ERR_EXISTS);
    probe_set_remove(&set, 5);
    assert_null(probe_set_find(&set, 5));
    probes[0].is_asked = true;
    assert_int_equal(probe_set_add(&set, 5, RUNG_NETWORK, probes, 0), ERR_INVALID);
}

static void any_history_leaves_a_sound_set(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(30); round++) {
        struct probe_order orders[64];
        uint32_t under_way = 0;
        nanos now = prng_u64(&prng) >> 20;
        struct probe_set_config config = probe_set_config_of();
        config.flights_max = (uint32_t)prng_range(&prng, 1, 10);
        probe_set_init(&set, &config, round, now);
        for (size_t i = 0; i < 3000; i++) {
            uint64_t id = prng_range(&prng, 1, 12);
            uint64_t choice = prng_below(&prng, 100);
            now += prng_below(&prng, 300 * MS);
            now -= choice == 0 ? u64_min(now, prng_below(&prng, 10 * S)) : 0;
            if (choice < 3 && probe_set_find(&set, id) == NULL) {
                add_asked(id, (uint32_t)prng_below(&prng, 8), now);
            } else if (choice < 4) {
                probe_set_remove(&set, id);
            } else if (choice < 6) {
                probe_set_excuse(&set, id, now + prng_below(&prng, 5 * S), now);
            } else if (choice < 7) {
                probe_set_excuse_all(&set, now + prng_below(&prng, 5 * S), now);
            } else if (choice < 15) {
                (void)probe_set_restart(&set, now, &id);
            } else if (choice < 60 && under_way < COUNT_OF(orders)) {
                under_way += probe_set_next(&set, now, &orders[under_way]);
            } else if (under_way > 0) {
                struct probe_order o = orders[prng_below(&prng, under_way)];
                probe_set_answer(&set, o.id, o.purpose, o.ticket,
                                 (enum probe_outcome)prng_below(&prng, 3), now);
                under_way -= prng_chance(&prng, 2, 3);
            }
            probe_set_check(&set);
        }
    }
}

static void a_probe_that_is_hurried_is_asked_sooner_and_never_later(void **state)
{
    (void)state;
    struct probe_order order;

    begin_set(4);
    all_answer(PROBE_OK);
    add_asked(7, ASK_READINESS, 0);
    assert_int_equal(ask_all(0), 1);
    probe_set_hurry(&set, 7, PROBE_READINESS, 300 * MS);
    assert_int_equal(ask_all(299 * MS), 0);
    assert_int_equal(ask_all(300 * MS), 1);
    probe_set_hurry(&set, 7, PROBE_READINESS, 5 * S);
    assert_int_equal(ask_all(1300 * MS), 1);
    probe_set_hurry(&set, 7, PROBE_LIVENESS, 0); /* which is not asked */
    probe_set_hurry(&set, 8, PROBE_READINESS, 0);
    assert_false(probe_set_next(&set, 1300 * MS, &order));
    probe_set_check(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(startup_gates_the_other_two),
        cmocka_unit_test(startup_that_fails_for_good_asks_for_a_restart),
        cmocka_unit_test(readiness_takes_work_away_and_nothing_else),
        cmocka_unit_test(a_verdict_stands_until_enough_answers_speak_against_it),
        cmocka_unit_test(liveness_fails_after_failures_in_a_row),
        cmocka_unit_test(successes_in_a_row_are_asked_for_too),
        cmocka_unit_test(what_was_not_asked_counts_for_nothing),
        cmocka_unit_test(late_answers_are_of_another_time),
        cmocka_unit_test(flights_are_bounded_and_fair),
        cmocka_unit_test(jitter_spreads_equal_periods),
        cmocka_unit_test(restarts_have_a_budget_and_grow_apart),
        cmocka_unit_test(restarts_of_all_targets_share_one_budget),
        cmocka_unit_test(failure_of_most_targets_restarts_none),
        cmocka_unit_test(excused_target_begins_anew),
        cmocka_unit_test(rungs_fail_one_by_one),
        cmocka_unit_test(paused_asker_judges_nobody),
        cmocka_unit_test(set_is_bounded),
        cmocka_unit_test(any_history_leaves_a_sound_set),
        cmocka_unit_test(a_probe_that_is_hurried_is_asked_sooner_and_never_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
