/* Reads without writing, by the sentences of [Ongaro14] §6.4 and §6.4.1. */
#include "core/consensus/raft/raft_int.h"
#include "tests/support/raft_solo.h"
#include "tests/support/test.h"

static void lead_with(struct solo *s, struct raft_config cfg)
{
    struct raft_membership ms = solo_voters(3);
    solo_start(s, &cfg, &ms);
    solo_elect(s);
    solo_ack_all(s);
    solo_forget(s);
}

static struct raft_config with_leases(void)
{
    struct raft_config cfg = raft_config_default(1, 42);
    cfg.lease_reads = true;
    return cfg;
}

/* §6.4: "The leader issues a new round of heartbeats and waits for their acknowledgments from a
 * majority of the cluster." */
static void a_read_waits_for_a_round_of_heartbeats(void **state)
{
    (void)state;
    struct solo s;
    lead_with(&s, raft_config_default(1, 42));
    assert_int_equal(solo_read(&s, 5), OK);
    assert_int_equal(s.read_count, 0);
    assert_int_equal(solo_count(&s, RAFT_MSG_HEARTBEAT, NODE_NONE), 2); /* at once, to each */
    solo_pulse(&s, 3);
    assert_int_equal(s.read_count, 1);
    assert_int_equal(s.reads[0].id, 5);
    assert_int_equal(s.reads[0].index, 2);
    solo_pulse(&s, 2);
    assert_int_equal(s.read_count, 1);
    solo_stop(&s);
}

/* §6.4: "the leader can [...] amortize the cost" : one round serves every read that came before it;
 * and none that came after. */
static void one_round_serves_every_read_before_it(void **state)
{
    (void)state;
    struct solo s;
    lead_with(&s, raft_config_default(1, 42));
    for (uint64_t id = 1; id <= 3; id++) {
        struct raft_event e = {.type = RAFT_EVENT_READ, .now = s.now};
        e.read.id = id;
        assert_int_equal(raft_step(s.raft, &e), OK);
    }
    solo_wait(&s, 1);
    assert_int_equal(solo_event(&s, RAFT_EVENT_TICK, 0), OK);
    assert_int_equal(solo_count(&s, RAFT_MSG_HEARTBEAT, 2), 1);
    struct raft_message old = *solo_sent(&s, RAFT_MSG_HEARTBEAT, 2);
    assert_int_equal(solo_read(&s, 4), OK);
    struct raft_message answer = {
        .type = RAFT_MSG_HEARTBEAT_RESP, .from = 2, .context = old.context, .sent_at = old.sent_at};
    assert_int_equal(solo_receive(&s, answer), OK);
    assert_int_equal(s.read_count, 3);
    solo_pulse(&s, 2);
    assert_int_equal(s.read_count, 4);
    solo_stop(&s);
}

/* §6.4: "Followers can also help to offload the processing of read-only queries": they ask the
 * leader for an index. */
static void a_follower_asks_the_leader_for_an_index(void **state)
{
    (void)state;
    struct raft_config cfg = raft_config_default(1, 42);
    struct raft_membership ms = solo_voters(3);
    struct solo s;
    solo_start(&s, &cfg, &ms);
    assert_int_equal(solo_read(&s, 5), ERR_NO_LEADER);
    struct raft_message hello = {.type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 3};
    assert_int_equal(solo_receive(&s, hello), OK);
    assert_int_equal(solo_read(&s, 5), OK);
    assert_int_equal(solo_sent(&s, RAFT_MSG_READ_INDEX, 2)->context, 5);
    struct raft_message answer = {
        .type = RAFT_MSG_READ_INDEX_RESP, .from = 2, .index = 9, .context = 5};
    assert_int_equal(solo_receive(&s, answer), OK);
    assert_true(s.read_count == 1 && s.reads[0].id == 5 && s.reads[0].index == 9);
    answer.term = 2; /* of a leader of the past: it may have been deposed when it answered */
    assert_int_equal(solo_receive(&s, answer), OK);
    assert_int_equal(s.read_count, 1);
    solo_stop(&s);
}

static void a_follower_is_answered_by_its_leader(void **state)
{
    (void)state;
    struct solo s;
    lead_with(&s, raft_config_default(1, 42));
    struct raft_message ask = {.type = RAFT_MSG_READ_INDEX, .from = 2, .context = 77};
    assert_int_equal(solo_receive(&s, ask), OK);
    assert_int_equal(solo_count(&s, RAFT_MSG_READ_INDEX_RESP, 2), 0);
    solo_pulse(&s, 3);
    assert_int_equal(solo_sent(&s, RAFT_MSG_READ_INDEX_RESP, 2)->context, 77);
    assert_int_equal(solo_sent(&s, RAFT_MSG_READ_INDEX_RESP, 2)->index, 2);
    solo_stop(&s);
}

/* The asker follows in this term: with the leader it is two of three, and no round is needed. Of
 * five they are not a quorum; and who names another term, or none, vouches for nothing. */
static void an_asker_that_follows_is_one_of_the_quorum(void **state)
{
    (void)state;
    static const struct {
        uint32_t voters;
        raft_term above; /* the leader's term */
        bool vouches;
        bool at_once;
    } cases[] = {{3, 0, true, true},
                 {2, 0, true, true},
                 {5, 0, true, false},
                 {3, 1, true, false},
                 {3, 0, false, false}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct raft_config cfg = raft_config_default(1, 42);
        struct raft_membership ms = solo_voters(cases[i].voters);
        struct solo s;
        solo_start(&s, &cfg, &ms);
        solo_elect(&s);
        raft_term term = solo_status(&s).term;
        struct raft_message ask = {.type = RAFT_MSG_READ_INDEX, .from = 2, .context = 77};
        ask.log_term = cases[i].vouches ? term + cases[i].above : 0;
        assert_int_equal(solo_receive(&s, ask), OK);
        /* A leader that has committed nothing yet does not know the index. */
        assert_int_equal(solo_count(&s, RAFT_MSG_READ_INDEX_RESP, 2), 0);
        solo_ack_all(&s);
        solo_forget(&s);
        ask.context = 78;
        assert_int_equal(solo_receive(&s, ask), OK);
        assert_int_equal(solo_count(&s, RAFT_MSG_READ_INDEX_RESP, 2), cases[i].at_once);
        if (cases[i].at_once) {
            assert_int_equal(solo_count(&s, RAFT_MSG_HEARTBEAT, NODE_NONE), 0);
            assert_int_equal(solo_sent(&s, RAFT_MSG_READ_INDEX_RESP, 2)->context, 78);
            assert_int_equal(solo_sent(&s, RAFT_MSG_READ_INDEX_RESP, 2)->index, 2);
        }
        solo_stop(&s);
    }
}

/* Half of a joint membership is not enough. */
static void an_asker_must_be_of_the_quorum_in_both_halves(void **state)
{
    (void)state;
    struct raft_config cfg = raft_config_default(1, 42);
    struct raft_membership ms = {0};
    struct solo s;
    raft_membership_insert(&ms, 1, RAFT_VOTER | RAFT_VOTER_OUTGOING);
    raft_membership_insert(&ms, 2, RAFT_VOTER);
    raft_membership_insert(&ms, 3, RAFT_VOTER | RAFT_VOTER_OUTGOING);
    raft_membership_insert(&ms, 4, RAFT_VOTER_OUTGOING);
    raft_membership_insert(&ms, 5, RAFT_LEARNER);
    solo_start(&s, &cfg, &ms);
    solo_elect(&s);
    solo_ack_all(&s);
    solo_forget(&s);
    for (node_id from = 2; from <= 5; from++) {
        struct raft_message ask = {
            .type = RAFT_MSG_READ_INDEX, .from = from, .context = from, .log_term = 1};
        ask.log_term = solo_status(&s).term;
        assert_int_equal(solo_receive(&s, ask), OK);
        assert_int_equal(solo_count(&s, RAFT_MSG_READ_INDEX_RESP, from), from == 3);
    }
    solo_stop(&s);
}

/* The index in the answer is committed: a follower that has the entry need not wait to be told. */
static void an_answer_tells_what_is_committed(void **state)
{
    (void)state;
    struct raft_config cfg = raft_config_default(1, 42);
    struct raft_membership ms = solo_voters(3);
    struct solo s;
    solo_start(&s, &cfg, &ms);
    struct raft_entry entries[2] = {{.index = 2, .term = 3}, {.index = 3, .term = 3}};
    struct raft_message app = {.type = RAFT_MSG_APP,
                               .from = 2,
                               .term = 3,
                               .index = 1,
                               .log_term = 1,
                               .entry_count = 2,
                               .entries = entries,
                               .commit = 2};
    assert_int_equal(solo_receive(&s, app), OK);
    assert_int_equal(solo_status(&s).committed, 2);
    assert_int_equal(solo_read(&s, 5), OK);
    assert_int_equal(solo_sent(&s, RAFT_MSG_READ_INDEX, 2)->log_term, 3);
    struct raft_message answer = {
        .type = RAFT_MSG_READ_INDEX_RESP, .from = 2, .index = 9, .context = 5};
    assert_int_equal(solo_receive(&s, answer), OK);
    assert_int_equal(solo_status(&s).committed, 3); /* as far as its log is the leader's */
    solo_stop(&s);
}

static void whoever_steps_down_tells_which_reads_are_lost(void **state)
{
    (void)state;
    struct solo s;
    lead_with(&s, raft_config_default(1, 42));
    assert_int_equal(solo_read(&s, 5), OK);
    assert_int_equal(solo_read(&s, 6), OK);
    struct raft_message hello = {.type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 9};
    assert_int_equal(solo_receive(&s, hello), OK);
    assert_int_equal(s.read_count, 0);
    assert_int_equal(s.lost_count, 2);
    assert_true(s.lost[0] == 5 && s.lost[1] == 6);
    solo_stop(&s);
}

static void no_more_than_max_reads_wait(void **state)
{
    (void)state;
    struct raft_config cfg = raft_config_default(1, 42);
    cfg.max_reads = 3;
    struct solo s;
    lead_with(&s, cfg);
    for (uint64_t id = 1; id <= 3; id++) {
        assert_int_equal(solo_read(&s, id), OK);
    }
    assert_int_equal(solo_read(&s, 4), ERR_BUSY);
    for (int turn = 0; turn < 5; turn++) { /* the ring goes round */
        solo_pulse(&s, 2);
        assert_int_equal(solo_read(&s, 100), OK);
    }
    solo_pulse(&s, 2);
    assert_int_equal(s.read_count, 8);
    solo_stop(&s);
}

static void leases_are_off_by_default(void **state)
{
    (void)state;
    struct solo s;
    lead_with(&s, raft_config_default(1, 42));
    solo_wait_in_touch(&s, s.cfg.election_timeout);
    assert_false(raft_lease_holds(s.raft, s.now));
    solo_stop(&s);
}

/* §6.4.1: "the leader's lease [...] assumes a bound on clock drift across servers (over a given
 * time period, no server's clock increases more than this bound times any other)". */
static void a_lease_is_shorter_by_what_clocks_may_drift(void **state)
{
    (void)state;
    static const uint32_t drifts[] = {0, 200, 100000};
    for (size_t i = 0; i < COUNT_OF(drifts); i++) {
        struct raft_config cfg = with_leases();
        cfg.clock_drift_ppm = drifts[i];
        struct solo s;
        lead_with(&s, cfg);
        solo_wait(&s, cfg.heartbeat_interval);
        nanos sent = solo_sent(&s, RAFT_MSG_HEARTBEAT, 2)->sent_at;
        solo_pulse(&s, 2);
        /* The voter's clock is fast by d, the leader's slow by d. */
        nanos safe = cfg.election_timeout * (1000000 - drifts[i]) / (1000000 + drifts[i]);
        assert_true(raft_lease_holds(s.raft, sent + safe / 2));
        assert_false(raft_lease_holds(s.raft, sent + safe + 2));
        assert_int_equal(solo_read(&s, 1), OK);
        assert_int_equal(s.read_count, 1); /* without a round */
        solo_stop(&s);
    }
}

static void a_lease_ends_with_a_transfer_and_with_a_suspend(void **state)
{
    (void)state;
    for (int how = 0; how < 3; how++) {
        struct solo s;
        lead_with(&s, with_leases());
        solo_wait_in_touch(&s, s.cfg.election_timeout);
        assert_true(raft_lease_holds(s.raft, s.now));
        if (how == 2) {
            assert_int_equal(solo_propose(&s, 10), OK); /* the target lags: it is not told yet */
        }
        assert_int_equal(solo_event(&s, how == 1 ? RAFT_EVENT_SUSPENDED : RAFT_EVENT_TRANSFER, 2),
                         OK);
        assert_false(raft_lease_holds(s.raft, s.now));
        solo_wait_in_touch(&s, s.cfg.election_timeout + 1);
        assert_false(raft_lease_holds(s.raft, s.now)); /* not before the next term */
        solo_stop(&s);
    }
}

/* The leader counts on what a voter promised by its answer, and a crash does not take it back; nor
 * may the voter help itself to the lead meanwhile, even where it is told to. */
static void a_voter_keeps_its_promise_over_a_restart_and_against_itself(void **state)
{
    (void)state;
    struct raft_config cfg = with_leases();
    struct raft_membership ms = solo_voters(3);
    struct solo s;
    solo_start(&s, &cfg, &ms);
    struct raft_message hello = {.type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 3};
    s.now += 5 * cfg.election_timeout;
    assert_int_equal(solo_receive(&s, hello), OK);
    assert_int_equal(solo_event(&s, RAFT_EVENT_CAMPAIGN, 0), ERR_REFUSED);
    assert_int_equal(solo_event(&s, RAFT_EVENT_FORGET_LEADER, 0), ERR_REFUSED);
    solo_restart(&s, 8);
    struct raft_message ask = {
        .type = RAFT_MSG_VOTE, .from = 3, .term = 4, .index = 9, .log_term = 3};
    s.now += cfg.election_timeout - 2;
    assert_int_equal(solo_receive(&s, ask), OK);
    assert_int_equal(solo_status(&s).term, 3);
    s.now += 2;
    assert_int_equal(solo_receive(&s, ask), OK);
    assert_int_equal(solo_status(&s).vote, 3);
    solo_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_read_waits_for_a_round_of_heartbeats),
        cmocka_unit_test(one_round_serves_every_read_before_it),
        cmocka_unit_test(a_follower_asks_the_leader_for_an_index),
        cmocka_unit_test(a_follower_is_answered_by_its_leader),
        cmocka_unit_test(an_asker_that_follows_is_one_of_the_quorum),
        cmocka_unit_test(an_asker_must_be_of_the_quorum_in_both_halves),
        cmocka_unit_test(an_answer_tells_what_is_committed),
        cmocka_unit_test(whoever_steps_down_tells_which_reads_are_lost),
        cmocka_unit_test(no_more_than_max_reads_wait),
        cmocka_unit_test(leases_are_off_by_default),
        cmocka_unit_test(a_lease_is_shorter_by_what_clocks_may_drift),
        cmocka_unit_test(a_lease_ends_with_a_transfer_and_with_a_suspend),
        cmocka_unit_test(a_voter_keeps_its_promise_over_a_restart_and_against_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
