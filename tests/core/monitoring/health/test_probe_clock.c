#include "core/monitoring/health/probe_clock.h"

#include "tests/support/test.h"

#define MS NANOS_PER_MS
#define S  NANOS_PER_S

#define OUR_TIME (UINT64_C(1700000000) * NANOS_PER_S)

static struct clock_probe new_clock(void)
{
    struct clock_config config = clock_config_of();
    struct clock_probe c;

    clock_probe_init(&c, &config);
    return c;
}

/* The peer is `ahead` of us, and was asked over a round trip of 20 ms. */
static void hear_clock(struct clock_probe *c, node_id peer, int64_t ahead, nanos now)
{
    nanos theirs = OUR_TIME + 7 * MS + (nanos)ahead;

    clock_probe_take(c, peer, OUR_TIME, OUR_TIME + 20 * MS, theirs, now);
}

static void clocks_that_agree_are_well(void **state)
{
    (void)state;
    struct clock_probe c = new_clock();
    assert_int_equal(clock_probe_judge(&c, 0).state, RUNG_UNKNOWN);
    hear_clock(&c, 1, 5 * (int64_t)MS, 0);
    assert_int_equal(clock_probe_judge(&c, 0).state, RUNG_UNKNOWN); /* one against one */
    hear_clock(&c, 2, -8 * (int64_t)MS, 0);
    struct clock_verdict v = clock_probe_judge(&c, 0);
    assert_int_equal(v.state, RUNG_WELL);
    assert_true(v.agreeing == 2 && v.asked == 2);
    assert_true(v.off == -(int64_t)MS); /* [-8, 12] and [-21, -1] share [-8, -1] */
}

/* Scenario 7: our wall clock is an hour off, in either direction. */
static void our_clock_an_hour_off_is_broken(void **state)
{
    (void)state;
    const int64_t hour = 3600 * (int64_t)S;
    for (int sign = -1; sign <= 1; sign += 2) {
        struct clock_probe c = new_clock();
        for (node_id peer = 1; peer <= 4; peer++) {
            hear_clock(&c, peer, sign * hour + (int64_t)(peer * MS), 0);
        }
        struct clock_verdict v = clock_probe_judge(&c, 0);
        assert_int_equal(v.state, RUNG_BROKEN);
        assert_int_equal(v.agreeing, 4);
        int64_t error = v.off - sign * hour;
        assert_true(error > -20 * (int64_t)MS && error < 20 * (int64_t)MS);
    }
    struct clock_probe c = new_clock();
    hear_clock(&c, 1, 2 * (int64_t)S, 0);
    hear_clock(&c, 2, 2 * (int64_t)S, 0);
    assert_int_equal(clock_probe_judge(&c, 0).state, RUNG_DEGRADED);
}

static void one_wrong_peer_moves_nothing(void **state)
{
    (void)state;
    struct clock_probe c = new_clock();
    hear_clock(&c, 1, 0, 0);
    hear_clock(&c, 2, 3 * (int64_t)MS, 0);
    clock_probe_take(&c, 3, OUR_TIME, OUR_TIME + MS, UINT64_MAX, 0);
    struct clock_verdict v = clock_probe_judge(&c, 0);
    assert_int_equal(v.state, RUNG_WELL);
    assert_true(v.agreeing == 2 && v.asked == 3);
}

static void peers_that_disagree_give_no_verdict(void **state)
{
    (void)state;
    struct clock_probe c = new_clock();
    for (node_id peer = 1; peer <= 6; peer++) {
        hear_clock(&c, peer, (int64_t)(peer * 100 * S), 0);
    }
    assert_int_equal(clock_probe_judge(&c, 0).state, RUNG_UNKNOWN);
    /* Three of six is no majority, four are. */
    hear_clock(&c, 1, 0, 0);
    hear_clock(&c, 2, 0, 0);
    hear_clock(&c, 3, 0, 0);
    assert_int_equal(clock_probe_judge(&c, 0).state, RUNG_UNKNOWN);
    hear_clock(&c, 4, 0, 0);
    assert_int_equal(clock_probe_judge(&c, 0).state, RUNG_WELL);
}

static void old_answers_do_not_count(void **state)
{
    (void)state;
    struct clock_probe c = new_clock();
    hear_clock(&c, 1, 0, 0);
    hear_clock(&c, 2, 0, 100 * S);
    hear_clock(&c, 3, 0, 100 * S);
    assert_int_equal(clock_probe_judge(&c, 300 * S).asked, 3);
    assert_int_equal(clock_probe_judge(&c, 301 * S).asked, 2);
    assert_int_equal(clock_probe_judge(&c, 401 * S).state, RUNG_UNKNOWN);
    /* An answer that was there before it was asked for is none: our own clock was set meanwhile. */
    clock_probe_take(&c, 4, OUR_TIME + 1, OUR_TIME, OUR_TIME, 401 * S);
    assert_int_equal(clock_probe_judge(&c, 401 * S).asked, 0);
}

static void more_peers_than_places_push_out_the_oldest(void **state)
{
    (void)state;
    struct clock_probe c = new_clock();
    for (node_id peer = 1; peer <= 3 * CLOCK_PEERS_MAX; peer++) {
        int64_t ahead = peer <= 2 * CLOCK_PEERS_MAX ? 3600 * (int64_t)S : 0;
        hear_clock(&c, peer, ahead, peer);
    }
    struct clock_verdict v = clock_probe_judge(&c, S);
    assert_true(v.asked == CLOCK_PEERS_MAX && v.agreeing == CLOCK_PEERS_MAX);
    assert_int_equal(v.state, RUNG_WELL);
}

static void what_is_forgotten_counts_no_longer(void **state)
{
    (void)state;
    struct clock_probe c = new_clock();

    for (node_id peer = 1; peer <= 3; peer++) {
        hear_clock(&c, peer, 0, 0);
    }
    clock_probe_forget(&c, 2);
    assert_int_equal(clock_probe_judge(&c, 0).asked, 2);
    clock_probe_forget(&c, 2);
    assert_int_equal(clock_probe_judge(&c, 0).asked, 2);
    clock_probe_forget(&c, NODE_NONE);
    assert_int_equal(clock_probe_judge(&c, 0).asked, 0);
    assert_int_equal(clock_probe_judge(&c, 0).state, RUNG_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clocks_that_agree_are_well),
        cmocka_unit_test(our_clock_an_hour_off_is_broken),
        cmocka_unit_test(one_wrong_peer_moves_nothing),
        cmocka_unit_test(peers_that_disagree_give_no_verdict),
        cmocka_unit_test(old_answers_do_not_count),
        cmocka_unit_test(more_peers_than_places_push_out_the_oldest),
        cmocka_unit_test(what_is_forgotten_counts_no_longer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
