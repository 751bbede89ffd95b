/* Election priority: who campaigns first, and who yields to whom. */
#include "core/consensus/raft/raft_int.h"
#include "tests/support/raft_solo.h"
#include "tests/support/test.h"

static struct raft_membership ranked(uint8_t first, uint8_t second, uint8_t third)
{
    struct raft_membership ms = solo_voters(3);
    ms.member[0].priority = first;
    ms.member[1].priority = second;
    ms.member[2].priority = third;
    return ms;
}

static void lead_ranked(struct solo *s, const struct raft_membership *ms)
{
    struct raft_config cfg = raft_config_default(1, 42);
    cfg.priority_hold = 3 * NANOS_PER_S;
    solo_start(s, &cfg, ms);
    solo_elect(s);
    solo_ack_all(s);
    solo_forget(s);
}

static bool told_to_campaign_within(struct solo *s, nanos span)
{
    for (nanos until = s->now + span; s->now < until;) {
        solo_wait(s, s->cfg.heartbeat_interval);
        if (solo_count(s, RAFT_MSG_TIMEOUT_NOW, 2) > 0) {
            return true;
        }
        solo_pulse(s, 2);
        solo_pulse(s, 3);
    }
    return false;
}

/* Lower priority waits longer, by at most an election timeout. */
static void a_lower_priority_campaigns_later(void **state)
{
    (void)state;
    static const uint8_t own[] = {255, 128, 1};
    nanos waited[3];
    for (size_t i = 0; i < COUNT_OF(own); i++) {
        struct raft_membership ms = ranked(own[i], 255, 255);
        struct raft_config cfg = raft_config_default(1, 42); /* the same draw for each */
        struct solo s;
        solo_start(&s, &cfg, &ms);
        nanos begun = s.now;
        while (solo_count(&s, RAFT_MSG_PRE_VOTE, 2) == 0) {
            solo_wait(&s, NANOS_PER_MS);
        }
        waited[i] = s.now - begun;
        assert_true(waited[i] < 3 * cfg.election_timeout);
        solo_stop(&s);
    }
    assert_true(waited[0] + 400 * NANOS_PER_MS < waited[1]);
    assert_true(waited[1] + 400 * NANOS_PER_MS < waited[2]);
}

static void a_leader_yields_to_a_voter_of_higher_priority(void **state)
{
    (void)state;
    struct raft_membership ms = ranked(100, 120, 100);
    struct solo s;
    lead_ranked(&s, &ms);
    assert_false(told_to_campaign_within(&s, s.cfg.priority_hold - s.cfg.election_timeout));
    assert_true(told_to_campaign_within(&s, 3 * s.cfg.election_timeout));
    solo_stop(&s);
}

static void nobody_yields_to_an_equal_or_to_one_that_lags(void **state)
{
    (void)state;
    struct raft_membership equal = ranked(100, 100, 100);
    struct raft_membership higher = ranked(100, 120, 100);
    for (int lags = 0; lags < 2; lags++) {
        struct solo s;
        lead_ranked(&s, lags ? &higher : &equal);
        if (lags) {
            assert_int_equal(solo_propose(&s, 10), OK);
            solo_ack(&s, 3, 3); /* committed without 2 */
        }
        assert_false(told_to_campaign_within(&s, 10 * s.cfg.election_timeout));
        assert_int_equal(solo_status(&s).role, RAFT_LEADER);
        solo_stop(&s);
    }
}

static void a_hold_of_nought_never_yields(void **state)
{
    (void)state;
    struct raft_membership ms = ranked(100, 120, 100);
    struct solo s;
    lead_ranked(&s, &ms);
    s.raft->cfg.priority_hold = 0;
    assert_false(told_to_campaign_within(&s, 20 * s.cfg.election_timeout));
    solo_stop(&s);
}

/* Where nobody is named, the highest priority takes over, and among equals whoever has the most. */
static void the_best_successor_has_priority_then_the_longest_log(void **state)
{
    (void)state;
    struct raft_membership ms = ranked(100, 100, 120);
    struct solo s;
    lead_ranked(&s, &ms);
    assert_int_equal(raft_best_successor(s.raft), 3);
    solo_stop(&s);
    ms = ranked(100, 100, 100);
    lead_ranked(&s, &ms);
    assert_int_equal(solo_propose(&s, 10), OK);
    solo_ack(&s, 3, 3);
    assert_int_equal(raft_best_successor(s.raft), 3);
    ms = ranked(100, 100, 0);
    solo_stop(&s);
    lead_ranked(&s, &ms);
    assert_int_equal(raft_best_successor(s.raft), 2); /* 0 never leads by itself */
    solo_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lower_priority_campaigns_later),
        cmocka_unit_test(a_leader_yields_to_a_voter_of_higher_priority),
        cmocka_unit_test(nobody_yields_to_an_equal_or_to_one_that_lags),
        cmocka_unit_test(a_hold_of_nought_never_yields),
        cmocka_unit_test(the_best_successor_has_priority_then_the_longest_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
