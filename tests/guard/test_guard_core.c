/* The guard's decisions: sentence by sentence, then every short run of events, then long ones by
 * chance, and the bound that it promises against a watchdog that is modelled. */
#include "guard/guard_core.h"

#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

#define S     NANOS_PER_S
#define BEGIN (1000 * S)

static const struct guard_config usual = {
    .lease_max = 60 * S,
    .feed_every = S,
    .has_watchdog = true,
};

static struct guard shared; /* too large for the stack of a test */

static struct guard *fresh(void)
{
    guard_init(&shared, &usual);
    return &shared;
}

static uint32_t hold(struct guard *g, nanos now, const char *name)
{
    uint32_t slot = GUARD_SLOT_NONE;
    bool is_new = false;

    assert_int_equal(guard_hold(g, now, name, 1, 77, &slot, &is_new), OK);
    assert_true(is_new);
    return slot;
}

static struct guard_todo due(struct guard *g, nanos now)
{
    struct guard_todo todo = guard_due(g, now);

    guard_check(g);
    if (todo.arm) {
        guard_armed(g, true);
    }
    return todo;
}

static void an_empty_host_is_never_armed(void **state)
{
    (void)state;
    struct guard *g = fresh();

    for (nanos now = BEGIN; now < BEGIN + 20 * S; now += S) {
        if (now < BEGIN + 5 * S) {
            assert_int_equal(guard_lease(g, now, now + 5 * S), OK);
        }
        struct guard_todo todo = due(g, now);
        assert_false(todo.arm || todo.feed || todo.kill || todo.disarm || todo.ends);
        assert_int_equal(todo.wake, NANOS_FOREVER);
    }
}

static void feeds_while_the_lease_holds_and_kills_at_its_end(void **state)
{
    (void)state;
    struct guard *g = fresh();

    assert_int_equal(guard_lease(g, BEGIN, BEGIN + 5 * S), OK);
    uint32_t slot = hold(g, BEGIN, "vm");
    struct guard_todo todo = due(g, BEGIN);
    assert_true(todo.arm && !todo.feed && !todo.kill);
    assert_int_equal(todo.wake, BEGIN + GUARD_AGAIN); /* it may have to be armed again */
    todo = due(g, todo.wake);
    assert_false(todo.arm || todo.feed || todo.kill);
    for (nanos now = BEGIN + S; now < BEGIN + 5 * S; now += S) {
        assert_int_equal(todo.wake, now);
        todo = due(g, now);
        assert_true(todo.feed && !todo.arm && !todo.kill);
    }
    assert_int_equal(todo.wake, BEGIN + 5 * S);
    for (int i = 0; i < 20; i++) {
        nanos now = todo.wake;
        assert_int_equal(now, BEGIN + 5 * S + (nanos)i * GUARD_AGAIN);
        todo = due(g, now);
        assert_true(todo.kill && !todo.feed && !todo.arm && !todo.disarm);
    }
    guard_gone(g, slot);
    todo = due(g, todo.wake);
    assert_true(todo.disarm && !todo.kill);
    assert_false(g->is_armed);
    assert_int_equal(todo.wake, NANOS_FOREVER);
}

static void the_watchdog_is_disarmed_with_the_last_machine(void **state)
{
    (void)state;
    struct guard *g = fresh();

    assert_int_equal(guard_lease(g, BEGIN, BEGIN + 50 * S), OK);
    uint32_t a = hold(g, BEGIN, "a");
    uint32_t b = hold(g, BEGIN, "b");
    assert_true(due(g, BEGIN).arm);
    guard_gone(g, a);
    assert_false(due(g, BEGIN).disarm);
    guard_gone(g, b);
    assert_true(due(g, BEGIN).disarm);
    (void)hold(g, BEGIN, "a");
    assert_true(due(g, BEGIN).arm);
}

static void leases_only_grow_and_are_not_too_long(void **state)
{
    (void)state;
    struct guard *g = fresh();

    assert_int_equal(guard_lease(g, BEGIN, BEGIN), ERR_INVALID);
    assert_int_equal(guard_lease(g, BEGIN, BEGIN - 1), ERR_INVALID);
    assert_int_equal(guard_lease(g, BEGIN, BEGIN + 60 * S + 1), ERR_INVALID);
    assert_int_equal(guard_lease(g, BEGIN, NANOS_FOREVER), ERR_INVALID);
    assert_int_equal(g->lease_until, 0);
    assert_int_equal(guard_lease(g, BEGIN, BEGIN + 60 * S), OK);
    assert_int_equal(guard_lease(g, BEGIN, BEGIN + 60 * S), OK);
    assert_int_equal(guard_lease(g, BEGIN, BEGIN + 60 * S - 1), ERR_INVALID);
    assert_int_equal(g->lease_until, BEGIN + 60 * S);
}

static void without_a_lease_nothing_is_held(void **state)
{
    (void)state;
    struct guard *g = fresh();
    uint32_t slot = 5;
    bool is_new = false;

    assert_int_equal(guard_hold(g, BEGIN, "vm", 1, 77, &slot, &is_new), ERR_REFUSED);
    assert_int_equal(guard_lease(g, BEGIN, BEGIN + S), OK);
    assert_int_equal(guard_hold(g, BEGIN + S, "vm", 1, 77, &slot, &is_new), ERR_REFUSED);
    assert_int_equal(guard_hold(g, BEGIN, "", 1, 77, &slot, &is_new), ERR_INVALID);
    assert_int_equal(slot, 5);
    guard_stop(g);
    assert_int_equal(guard_hold(g, BEGIN, "vm", 1, 77, &slot, &is_new), ERR_REFUSED);
}

static void a_name_is_held_once(void **state)
{
    (void)state;
    struct guard *g = fresh();
    uint32_t slot = GUARD_SLOT_NONE;
    bool is_new = true;

    assert_int_equal(guard_lease(g, BEGIN, BEGIN + S), OK);
    uint32_t first = hold(g, BEGIN, "vm");
    assert_int_equal(guard_hold(g, BEGIN, "vm", 1, 77, &slot, &is_new), OK);
    assert_false(is_new);
    assert_int_equal(slot, first);
    assert_int_equal(guard_hold(g, BEGIN, "vm", 2, 77, &slot, &is_new), ERR_EXISTS);
    assert_int_equal(guard_hold(g, BEGIN, "vm", 1, 78, &slot, &is_new), ERR_EXISTS);
    guard_gone(g, first);
    assert_int_equal(guard_hold(g, BEGIN, "vm", 2, 78, &slot, &is_new), OK);
}

static void what_was_doomed_dies_and_starves_the_watchdog_whatever_lease_comes(void **state)
{
    (void)state;
    struct guard *g = fresh();

    assert_int_equal(guard_lease(g, BEGIN, BEGIN + 2 * S), OK);
    uint32_t old = hold(g, BEGIN, "old");
    assert_true(due(g, BEGIN).arm);
    /* The new lease comes before anybody looked at the clock. */
    assert_int_equal(guard_lease(g, BEGIN + 2 * S, BEGIN + 9 * S), OK);
    struct guard_todo todo = due(g, BEGIN + 2 * S);
    assert_true(todo.kill && !todo.feed);
    uint32_t new = hold(g, BEGIN + 3 * S, "new");
    for (nanos now = BEGIN + 3 * S; now < BEGIN + 6 * S; now += GUARD_AGAIN) {
        todo = due(g, now);
        assert_true(todo.kill && !todo.feed && !todo.arm && !todo.disarm);
    }
    assert_false(g->machines[new].is_doomed);
    guard_gone(g, old);
    todo = due(g, BEGIN + 6 * S);
    assert_true(todo.feed && !todo.kill);
}

static void told_to_stop_it_ends_with_its_last_machine(void **state)
{
    (void)state;
    struct guard *g = fresh();

    assert_int_equal(guard_lease(g, BEGIN, BEGIN + 5 * S), OK);
    uint32_t slot = hold(g, BEGIN, "vm");
    assert_true(due(g, BEGIN).arm);
    guard_stop(g);
    struct guard_todo todo = due(g, BEGIN + S);
    assert_true(todo.feed && !todo.ends && !todo.kill);
    assert_int_equal(guard_lease(g, BEGIN + S, BEGIN + 6 * S), OK);
    guard_gone(g, slot);
    todo = due(g, BEGIN + S);
    assert_true(todo.disarm && todo.ends);
}

static void released_it_kills_at_once(void **state)
{
    (void)state;
    struct guard *g = fresh();

    assert_int_equal(guard_lease(g, BEGIN, BEGIN + 5 * S), OK);
    (void)hold(g, BEGIN, "vm");
    assert_true(due(g, BEGIN).arm);
    guard_release(g);
    struct guard_todo todo = due(g, BEGIN + S / 2);
    assert_true(todo.kill && !todo.feed);
}

static void what_cannot_be_armed_is_tried_again(void **state)
{
    (void)state;
    struct guard *g = fresh();

    assert_int_equal(guard_lease(g, BEGIN, BEGIN + 5 * S), OK);
    (void)hold(g, BEGIN, "vm");
    for (nanos now = BEGIN; now < BEGIN + S; now += GUARD_AGAIN) {
        struct guard_todo todo = guard_due(g, now);
        assert_true(todo.arm && !todo.feed);
        assert_int_equal(todo.wake, now + GUARD_AGAIN);
        guard_armed(g, false);
        assert_false(guard_due(g, now + GUARD_AGAIN / 2).arm);
    }
}

static void without_a_watchdog_it_kills_all_the_same(void **state)
{
    (void)state;
    struct guard *g = &shared;
    struct guard_config config = usual;

    config.has_watchdog = false;
    guard_init(g, &config);
    assert_int_equal(guard_lease(g, BEGIN, BEGIN + 5 * S), OK);
    (void)hold(g, BEGIN, "vm");
    struct guard_todo todo = due(g, BEGIN);
    assert_false(todo.arm || todo.feed);
    assert_int_equal(todo.wake, BEGIN + 5 * S);
    assert_true(due(g, BEGIN + 5 * S).kill);
}

static void holds_so_many_and_no_more(void **state)
{
    (void)state;
    struct guard *g = fresh();
    char name[16];
    uint32_t slot = 0;
    bool is_new = false;

    assert_int_equal(guard_lease(g, BEGIN, BEGIN + 5 * S), OK);
    for (int i = 0; i < GUARD_MACHINES_MAX; i++) {
        (void)snprintf(name, sizeof name, "vm-%d", i);
        (void)hold(g, BEGIN, name);
    }
    assert_int_equal(guard_hold(g, BEGIN, "one-more", 1, 7, &slot, &is_new), ERR_BUSY);
    assert_true(due(g, BEGIN + 5 * S).kill);
    assert_int_equal(g->doomed, GUARD_MACHINES_MAX);
    guard_gone(g, guard_find(g, "vm-7"));
    guard_check(g);
}

/* --- every short run, and long ones by chance ----------------------------------------------------
 */

enum happening {
    PASS_SHORT,
    PASS_LONG,
    RENEW,
    HOLD_A,
    HOLD_B,
    GONE_A,
    GONE_B,
    STOP,
    RELEASE,
    ARMING_FAILS,
    HAPPENINGS
};

/* What is known of the guard without looking into it. */
struct witness {
    nanos now;
    nanos lease_until;
    bool held[2];
    bool doomed[2];
    bool is_armed;
    bool is_stopping;
    bool fails;
    nanos fed_at;
    nanos killed_at;
    nanos wake; /* as it asked */
};

static void witness_todo(struct witness *w, struct guard *g)
{
    bool is_over = w->now >= w->lease_until;
    bool is_doomed = false;

    for (int i = 0; i < 2; i++) {
        w->doomed[i] |= w->held[i] && is_over;
        is_doomed |= w->doomed[i];
    }
    bool is_held = w->held[0] || w->held[1];
    struct guard_todo todo = guard_due(g, w->now);
    guard_check(g);
    bool may_feed = is_held && !is_doomed && !is_over;
    assert_true(may_feed || (!todo.feed && !todo.arm));
    assert_true(todo.feed + todo.arm + todo.disarm <= 1);
    assert_int_equal(todo.disarm, w->is_armed && !is_held);
    assert_true(!todo.feed || w->is_armed);
    assert_true(!todo.arm || !w->is_armed);
    assert_true(!todo.kill || is_doomed);
    assert_int_equal(todo.ends, w->is_stopping && !is_held);
    w->killed_at = todo.kill ? w->now : w->killed_at;
    assert_true(!is_doomed || w->now < w->killed_at + GUARD_AGAIN);
    if (todo.arm) {
        guard_armed(g, !w->fails);
        w->is_armed = !w->fails;
        w->fed_at = w->now;
    }
    w->fed_at = todo.feed ? w->now : w->fed_at;
    w->is_armed = w->is_armed && !todo.disarm;
    assert_true(!(may_feed && w->is_armed) || w->now < w->fed_at + usual.feed_every);
    assert_true(todo.wake > w->now);
    w->wake = todo.wake;
    for (int i = 0; i < 2; i++) {
        uint32_t slot = guard_find(g, i == 0 ? "a" : "b");
        assert_int_equal(slot != GUARD_SLOT_NONE, w->held[i]);
        assert_true(slot == GUARD_SLOT_NONE || g->machines[slot].is_doomed == w->doomed[i]);
        assert_true(!w->held[i] || w->doomed[i] || w->wake <= w->lease_until);
        assert_true(!w->doomed[i] || w->wake <= w->killed_at + GUARD_AGAIN);
    }
}

/* Time passes in the steps that it asked for. */
static void witness_pass(struct witness *w, struct guard *g, nanos span)
{
    nanos end = w->now + span;

    while (w->wake <= end) {
        w->now = w->wake;
        witness_todo(w, g);
    }
    w->now = end;
}

static void witness_hold(struct witness *w, struct guard *g, int i)
{
    uint32_t slot = 0;
    bool is_new = false;
    enum err e = guard_hold(g, w->now, i == 0 ? "a" : "b", 1, (uint32_t)i + 1, &slot, &is_new);

    if (w->held[i]) {
        assert_int_equal(e, OK);
        assert_false(is_new);
    } else {
        bool may_hold = w->now < w->lease_until && !w->is_stopping;
        assert_int_equal(e, may_hold ? OK : ERR_REFUSED);
        w->held[i] = may_hold;
    }
}

static void witness_step(struct witness *w, struct guard *g, enum happening what)
{
    nanos until = w->now + 3 * S;

    switch (what) {
    case PASS_SHORT:
        witness_pass(w, g, GUARD_AGAIN / 2);
        break;
    case PASS_LONG:
        witness_pass(w, g, 2 * S);
        break;
    case RENEW:
        for (int i = 0; i < 2; i++) {
            w->doomed[i] |= w->held[i] && w->now >= w->lease_until;
        }
        assert_int_equal(guard_lease(g, w->now, until), OK);
        w->lease_until = until;
        break;
    case HOLD_A:
    case HOLD_B:
        witness_hold(w, g, what == HOLD_A ? 0 : 1);
        break;
    case GONE_A:
    case GONE_B: {
        int i = what == GONE_A ? 0 : 1;
        if (w->held[i]) {
            guard_gone(g, guard_find(g, i == 0 ? "a" : "b"));
            w->held[i] = false;
            w->doomed[i] = false;
        }
        break;
    }
    case STOP:
        guard_stop(g);
        w->is_stopping = true;
        break;
    case RELEASE:
        guard_release(g);
        w->doomed[0] = w->held[0];
        w->doomed[1] = w->held[1];
        break;
    case ARMING_FAILS:
        w->fails = !w->fails;
        break;
    case HAPPENINGS:
        break;
    }
    witness_todo(w, g);
}

static void every_short_run_of_events_keeps_the_rules(void **state)
{
    (void)state;
    const int length = 5;
    uint64_t runs = 1;

    for (int i = 0; i < length; i++) {
        runs *= HAPPENINGS;
    }
    for (uint64_t run = 0; run < runs; run++) {
        struct guard *g = fresh();
        struct witness w = {.now = BEGIN, .wake = NANOS_FOREVER};
        uint64_t left = run;
        witness_step(&w, g, RENEW); /* without it little happens */
        for (int i = 0; i < length; i++) {
            witness_step(&w, g, (enum happening)(left % HAPPENINGS));
            left /= HAPPENINGS;
        }
    }
}

static void long_runs_of_events_keep_the_rules(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);

    for (size_t run = 0; run < test_rounds(300); run++) {
        struct guard *g = fresh();
        struct witness w = {.now = BEGIN, .wake = NANOS_FOREVER};
        for (int i = 0; i < 200; i++) {
            enum happening what = (enum happening)prng_range(&prng, 0, HAPPENINGS - 1);
            if (what == STOP && prng_range(&prng, 0, 20) > 0) {
                what = RENEW;
            }
            witness_step(&w, g, what);
        }
    }
}

/* --- the bound -----------------------------------------------------------------------------------
 */

/* A host with one machine that dies of a kill or of its watchdog alone, and a guard that stands
 * still at any time, also between reading the clock and feeding. Returns for how long the machine
 * lived after its lease. */
static nanos life_after_lease(struct prng *prng, nanos timeout)
{
    struct guard *g = &shared;
    struct guard_config config = usual;
    nanos now = BEGIN;
    nanos fires_at = NANOS_FOREVER;
    nanos until = BEGIN + prng_range(prng, 1, 4) * S;

    config.feed_every = timeout / 4;
    guard_init(g, &config);
    assert_int_equal(guard_lease(g, now, until), OK);
    (void)hold(g, now, "vm");
    for (;;) {
        struct guard_todo todo = guard_due(g, now);
        /* Here it may stand still: the watchdog is the only thing that goes on. Not before it is
         * armed: until that is told, nobody counts on it. */
        now += !todo.arm && prng_range(prng, 0, 3) == 0 ? prng_range(prng, 0, timeout + timeout / 2)
                                                        : 0;
        if (now >= fires_at) {
            return u64_sub_sat(fires_at, until);
        }
        if (todo.kill) {
            return u64_sub_sat(now, until);
        }
        if (todo.arm || todo.feed) {
            fires_at = now + timeout;
            if (todo.arm) {
                guard_armed(g, true);
            }
        }
        now = u64_max(now, todo.wake);
        now += prng_range(prng, 0, 3) == 0 ? prng_range(prng, 0, timeout + timeout / 2) : 0;
        if (now >= fires_at) {
            return u64_sub_sat(fires_at, until);
        }
    }
}

static void nothing_lives_longer_than_the_bound(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    const nanos timeout = 5 * S;
    nanos longest = 0;

    for (size_t i = 0; i < test_rounds(20000); i++) {
        longest = u64_max(longest, life_after_lease(&prng, timeout));
    }
    assert_true(longest <= guard_bound(timeout) - GUARD_WATCHDOG_TOLERANCE);
    /* And the late feed is no fancy: one time-out is too little. */
    assert_true(longest > timeout);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_host_is_never_armed),
        cmocka_unit_test(feeds_while_the_lease_holds_and_kills_at_its_end),
        cmocka_unit_test(the_watchdog_is_disarmed_with_the_last_machine),
        cmocka_unit_test(leases_only_grow_and_are_not_too_long),
        cmocka_unit_test(without_a_lease_nothing_is_held),
        cmocka_unit_test(a_name_is_held_once),
        cmocka_unit_test(what_was_doomed_dies_and_starves_the_watchdog_whatever_lease_comes),
        cmocka_unit_test(told_to_stop_it_ends_with_its_last_machine),
        cmocka_unit_test(released_it_kills_at_once),
        cmocka_unit_test(what_cannot_be_armed_is_tried_again),
        cmocka_unit_test(without_a_watchdog_it_kills_all_the_same),
        cmocka_unit_test(holds_so_many_and_no_more),
        cmocka_unit_test(every_short_run_of_events_keeps_the_rules),
        cmocka_unit_test(long_runs_of_events_keep_the_rules),
        cmocka_unit_test(nothing_lives_longer_than_the_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
