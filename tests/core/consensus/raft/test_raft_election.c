/* Elections, by the sentences of [Ongaro14] §3.3, §3.4, §3.6.1, §4.2.3, §6.2 and §9.6. */
#include <string.h>

#include "core/base/check.h"
#include "core/consensus/raft/raft_int.h"
#include "tests/support/raft_solo.h"
#include "tests/support/test.h"

static void election_start(struct solo *s, uint32_t n, bool pre_vote)
{
    struct raft_config cfg = raft_config_default(1, 42);
    cfg.pre_vote = pre_vote;
    struct raft_membership ms = solo_voters(n);
    solo_start(s, &cfg, &ms);
}

static struct raft_message vote_request(node_id from, raft_term term, raft_index index,
                                        raft_term log_term)
{
    return (struct raft_message){
        .type = RAFT_MSG_VOTE, .from = from, .term = term, .index = index, .log_term = log_term};
}

static enum err answer_vote(struct solo *s, node_id from, bool grant)
{
    return solo_receive(
        s, (struct raft_message){.type = RAFT_MSG_VOTE_RESP, .from = from, .reject = !grant});
}

static enum err hear_leader(struct solo *s, node_id from, raft_term term)
{
    return solo_receive(
        s, (struct raft_message){.type = RAFT_MSG_HEARTBEAT, .from = from, .term = term});
}

/* §3.4: "When servers start up, they begin as followers." */
static void begins_as_a_follower_of_nobody(void **state)
{
    (void)state;
    struct solo s;
    election_start(&s, 3, true);
    assert_int_equal(solo_status(&s).role, RAFT_FOLLOWER);
    assert_int_equal(solo_status(&s).leader, NODE_NONE);
    solo_stop(&s);
}

/* §3.4: "election timeouts are chosen randomly from a fixed interval". Here [T, 2T): never sooner,
 * never later, and spread over all of it. */
static void draws_its_timeout_from_one_to_two_election_timeouts(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    unsigned buckets[4] = {0};
    for (size_t round = 0; round < test_rounds(400); round++) {
        struct raft_config cfg = raft_config_default(1, prng_u64(&p));
        struct raft_membership ms = solo_voters(3);
        struct solo s;
        solo_start(&s, &cfg, &ms);
        nanos begun = s.now;
        while (solo_count(&s, RAFT_MSG_PRE_VOTE, 2) == 0) {
            solo_wait(&s, NANOS_PER_MS);
        }
        nanos took = s.now - begun;
        assert_true(took >= cfg.election_timeout);
        assert_true(took < 2 * cfg.election_timeout + NANOS_PER_MS);
        buckets[u64_min(3, (took - cfg.election_timeout) * 4 / cfg.election_timeout)]++;
        solo_stop(&s);
    }
    for (int i = 0; i < 4; i++) {
        assert_true(buckets[i] > 50);
    }
}

/* §3.4: "A server remains in follower state as long as it receives valid RPCs from a leader". */
static void stays_a_follower_while_a_leader_is_heard(void **state)
{
    (void)state;
    struct solo s;
    election_start(&s, 3, true);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(hear_leader(&s, 2, 4), OK);
        solo_wait(&s, s.cfg.election_timeout - NANOS_PER_MS);
        assert_int_equal(solo_status(&s).role, RAFT_FOLLOWER);
    }
    assert_int_equal(solo_status(&s).leader, 2);
    solo_wait(&s, 2 * s.cfg.election_timeout);
    assert_int_equal(solo_status(&s).role, RAFT_PRE_CANDIDATE);
    solo_stop(&s);
}

/* §3.4: "To begin an election, a follower increments its current term and transitions to candidate
 * state. It then votes for itself and issues RequestVote RPCs in parallel to each of the other
 * servers". */
static void a_candidate_votes_for_itself_and_asks_all_others(void **state)
{
    (void)state;
    struct solo s;
    election_start(&s, 5, false);
    assert_int_equal(solo_event(&s, RAFT_EVENT_CAMPAIGN, 0), OK);
    assert_int_equal(solo_status(&s).role, RAFT_CANDIDATE);
    assert_int_equal(solo_status(&s).term, 2);
    assert_int_equal(solo_status(&s).vote, 1);
    for (node_id id = 2; id <= 5; id++) {
        const struct raft_message *m = solo_sent(&s, RAFT_MSG_VOTE, id);
        assert_int_equal(solo_count(&s, RAFT_MSG_VOTE, id), 1);
        assert_true(m->term == 2 && m->index == 1 && m->log_term == 1);
    }
    solo_stop(&s);
}

/* §3.4: "A candidate wins an election if it receives votes from a majority of the servers in the
 * full cluster for the same term." */
static void a_majority_of_votes_and_no_less_makes_a_leader(void **state)
{
    (void)state;
    static const struct {
        uint32_t n;
        unsigned yes;
        unsigned no;
        enum raft_role role;
    } cases[] = {
        {1, 0, 0, RAFT_LEADER},    {2, 0, 0, RAFT_CANDIDATE}, {2, 1, 0, RAFT_LEADER},
        {3, 1, 0, RAFT_LEADER},    {3, 0, 1, RAFT_CANDIDATE}, {3, 0, 2, RAFT_FOLLOWER},
        {4, 1, 0, RAFT_CANDIDATE}, {4, 2, 0, RAFT_LEADER},    {4, 1, 2, RAFT_FOLLOWER},
        {5, 1, 2, RAFT_CANDIDATE}, {5, 2, 2, RAFT_LEADER},    {5, 1, 3, RAFT_FOLLOWER},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct solo s;
        election_start(&s, cases[i].n, false);
        assert_int_equal(solo_event(&s, RAFT_EVENT_CAMPAIGN, 0), OK);
        node_id next = 2;
        for (unsigned k = 0; k < cases[i].no; k++) {
            assert_int_equal(answer_vote(&s, next++, false), OK);
        }
        for (unsigned k = 0; k < cases[i].yes; k++) {
            assert_int_equal(answer_vote(&s, next++, true), OK);
        }
        assert_int_equal(solo_status(&s).role, cases[i].role);
        solo_stop(&s);
    }
}

static void a_vote_counts_once_and_only_from_a_member(void **state)
{
    (void)state;
    struct solo s;
    election_start(&s, 5, false);
    assert_int_equal(solo_event(&s, RAFT_EVENT_CAMPAIGN, 0), OK);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(answer_vote(&s, 2, true), OK);
    }
    assert_int_equal(answer_vote(&s, 9, true), ERR_NOT_FOUND);
    assert_int_equal(solo_status(&s).role, RAFT_CANDIDATE);
    struct raft_message old = {.type = RAFT_MSG_VOTE_RESP, .from = 3, .term = 1};
    assert_int_equal(solo_receive(&s, old), OK); /* for an election that is over */
    assert_int_equal(solo_status(&s).role, RAFT_CANDIDATE);
    solo_stop(&s);
}

/* §3.4: "Each server will vote for at most one candidate in a given term, on a
 * first-come-first-served basis". */
static void votes_once_a_term(void **state)
{
    (void)state;
    struct solo s;
    election_start(&s, 3, true);
    assert_int_equal(solo_receive(&s, vote_request(2, 5, 1, 1)), OK);
    assert_int_equal(solo_receive(&s, vote_request(3, 5, 9, 4)), OK);
    assert_int_equal(solo_receive(&s, vote_request(2, 5, 1, 1)), OK); /* asks again */
    assert_false(solo_sent(&s, RAFT_MSG_VOTE_RESP, 2)->reject);
    assert_int_equal(solo_count(&s, RAFT_MSG_VOTE_RESP, 2), 2);
    assert_true(solo_sent(&s, RAFT_MSG_VOTE_RESP, 3)->reject);
    solo_restart(&s, 1);
    solo_forget(&s);
    assert_int_equal(solo_receive(&s, vote_request(3, 5, 9, 4)), OK);
    assert_true(solo_sent(&s, RAFT_MSG_VOTE_RESP, 3)->reject);
    assert_int_equal(solo_receive(&s, vote_request(3, 6, 9, 4)), OK);
    assert_false(solo_sent(&s, RAFT_MSG_VOTE_RESP, 3)->reject);
    solo_stop(&s);
}

/* §3.6.1: "the voter denies its vote if its own log is more up-to-date than that of the candidate".
 * "If the logs have last entries with different terms, then the log with the later term is more
 * up-to-date. If the logs end with the same term, then whichever log is longer is". */
static void votes_only_for_a_log_that_is_up_to_date(void **state)
{
    (void)state;
    static const struct {
        raft_index index;
        raft_term term;
        bool grants;
    } cases[] = {{4, 3, true}, {5, 3, true}, {3, 3, false}, {9, 2, false},
                 {1, 4, true}, {4, 4, true}, {1, 1, false}, {0, 0, false}};
    const raft_term terms[] = {2, 3, 3}; /* entries 2, 3, 4 */
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        for (int pre = 0; pre < 2; pre++) {
            struct raft_config cfg = raft_config_default(1, 42);
            struct raft_membership ms = solo_voters(3);
            struct raft_saved saved = solo_founding(&ms);
            saved.hard_state.term = 3;
            struct solo s;
            solo_start_saved(&s, &cfg, &saved, terms, 3);
            struct raft_message ask = vote_request(2, 7, cases[i].index, cases[i].term);
            ask.type = pre ? RAFT_MSG_PRE_VOTE : RAFT_MSG_VOTE;
            assert_int_equal(solo_receive(&s, ask), OK);
            const struct raft_message *m =
                solo_sent(&s, pre ? RAFT_MSG_PRE_VOTE_RESP : RAFT_MSG_VOTE_RESP, 2);
            assert_true(m && m->reject == !cases[i].grants);
            solo_stop(&s);
        }
    }
}

/* §3.8: "Each server persists its current term and vote; this is necessary to prevent the server
 * from voting twice in the same term". */
static void a_vote_is_on_the_disk_before_it_leaves(void **state)
{
    (void)state;
    struct solo s;
    election_start(&s, 3, true);
    s.hold_disk = true;
    assert_int_equal(solo_receive(&s, vote_request(2, 5, 1, 1)), OK);
    assert_int_equal(solo_count(&s, RAFT_MSG_VOTE_RESP, NODE_NONE), 0);
    assert_int_equal(s.batch_count, 1);
    assert_true(s.batch[0].has_hard_state);
    assert_int_equal(s.batch[0].hard_state.term, 5);
    assert_int_equal(s.batch[0].hard_state.vote, 2);
    assert_int_equal(s.batch[0].message_count, 1);
    solo_sync(&s, 1);
    assert_int_equal(solo_count(&s, RAFT_MSG_VOTE_RESP, 2), 1);
    solo_stop(&s);
}

static void its_own_vote_counts_once_it_is_on_the_disk(void **state)
{
    (void)state;
    struct solo s;
    election_start(&s, 3, false);
    s.hold_disk = true;
    assert_int_equal(solo_event(&s, RAFT_EVENT_CAMPAIGN, 0), OK);
    assert_int_equal(answer_vote(&s, 2, true), OK);
    assert_int_equal(solo_status(&s).role, RAFT_CANDIDATE);
    solo_sync(&s, s.batch_count);
    assert_int_equal(solo_status(&s).role, RAFT_LEADER);
    solo_stop(&s);
}

/* §3.3: "if one server's current term is smaller than the other's, then it updates its current term
 * to the larger value. If a candidate or leader discovers that its term is out of date, it
 * immediately reverts to follower state." */
static void a_higher_term_makes_a_follower_of_everybody(void **state)
{
    (void)state;
    for (int role = 0; role < 3; role++) {
        struct solo s;
        election_start(&s, 3, false);
        if (role == 1) {
            assert_int_equal(solo_event(&s, RAFT_EVENT_CAMPAIGN, 0), OK);
        } else if (role == 2) {
            solo_elect(&s);
        }
        assert_int_equal(hear_leader(&s, 3, 9), OK);
        assert_int_equal(solo_status(&s).role, RAFT_FOLLOWER);
        assert_int_equal(solo_status(&s).term, 9);
        assert_int_equal(solo_status(&s).leader, 3);
        assert_int_equal(solo_status(&s).vote, NODE_NONE);
        assert_int_equal(s.durable_hard_state.term, 9);
        solo_stop(&s);
    }
}

/* §3.3: "If a server receives a request with a stale term number, it rejects the request." */
static void a_message_of_an_old_term_changes_nothing(void **state)
{
    (void)state;
    struct solo s;
    election_start(&s, 3, true);
    assert_int_equal(hear_leader(&s, 2, 9), OK);
    const struct raft_entry e = {.index = 2, .term = 8};
    const struct raft_snapshot snapshot = {.index = 50, .term = 8, .membership = solo_voters(3)};
    const struct raft_message old[] = {
        {.type = RAFT_MSG_APP, .index = 1, .log_term = 1, .entry_count = 1, .entries = &e},
        {.type = RAFT_MSG_HEARTBEAT, .commit = 1},
        {.type = RAFT_MSG_SNAP, .snapshot = &snapshot},
        {.type = RAFT_MSG_VOTE, .index = 9, .log_term = 8},
        {.type = RAFT_MSG_PRE_VOTE, .index = 9, .log_term = 8},
        {.type = RAFT_MSG_TIMEOUT_NOW},
        {.type = RAFT_MSG_VOTE_RESP},
        {.type = RAFT_MSG_APP_RESP, .index = 9},
    };
    for (size_t i = 0; i < COUNT_OF(old); i++) {
        struct raft_message m = old[i];
        m.from = 3;
        m.term = 8;
        enum err ignored = solo_receive(&s, m);
        (void)ignored;
        struct raft_status now = solo_status(&s);
        assert_true(now.term == 9 && now.leader == 2 && now.last == 1 && now.committed == 1);
        assert_int_equal(now.role, RAFT_FOLLOWER);
    }
    solo_stop(&s);
}

/* §3.4: "If the leader's term is at least as large as the candidate's current term, then the
 * candidate recognizes the leader as legitimate and returns to follower state." */
static void a_candidate_yields_to_the_leader_of_its_term(void **state)
{
    (void)state;
    for (int pre = 0; pre < 2; pre++) {
        struct solo s;
        election_start(&s, 3, pre);
        assert_int_equal(solo_event(&s, RAFT_EVENT_CAMPAIGN, 0), OK);
        raft_term term = solo_status(&s).term;
        assert_int_equal(hear_leader(&s, 3, term), OK);
        assert_int_equal(solo_status(&s).role, RAFT_FOLLOWER);
        assert_int_equal(solo_status(&s).leader, 3);
        assert_int_equal(solo_status(&s).term, term);
        solo_stop(&s);
    }
}

/* §3.4: "if many followers become candidates at the same time, votes could be split [...] each
 * candidate will time out and start a new election". */
static void a_candidate_that_hears_nothing_asks_again(void **state)
{
    (void)state;
    struct solo s;
    election_start(&s, 3, false);
    assert_int_equal(solo_event(&s, RAFT_EVENT_CAMPAIGN, 0), OK);
    raft_term term = solo_status(&s).term;
    solo_wait(&s, 2 * s.cfg.election_timeout);
    assert_true(solo_status(&s).term > term);
    assert_int_equal(solo_status(&s).role, RAFT_CANDIDATE);
    solo_stop(&s);
}

/* §9.6: "a candidate only increments its term if it first learns from a majority of the cluster
 * that they would be willing to grant the candidate their votes". */
static void a_pre_vote_changes_neither_term_nor_vote(void **state)
{
    (void)state;
    struct solo s;
    election_start(&s, 3, true);
    solo_wait(&s, 20 * s.cfg.election_timeout);
    assert_int_equal(solo_status(&s).term, 1);
    assert_int_equal(solo_status(&s).vote, NODE_NONE);
    const struct raft_message *ask = solo_sent(&s, RAFT_MSG_PRE_VOTE, 2);
    assert_int_equal(ask->term, 2); /* the term that it would begin */
    assert_int_equal(solo_count(&s, RAFT_MSG_VOTE, NODE_NONE), 0);
    /* And the one who is asked promises nothing by it. */
    struct raft_message question = vote_request(3, 8, 5, 7);
    question.type = RAFT_MSG_PRE_VOTE;
    assert_int_equal(solo_receive(&s, question), OK);
    assert_int_equal(solo_status(&s).term, 1);
    assert_false(solo_sent(&s, RAFT_MSG_PRE_VOTE_RESP, 3)->reject);
    question.from = 2;
    assert_int_equal(solo_receive(&s, question), OK);
    assert_false(solo_sent(&s, RAFT_MSG_PRE_VOTE_RESP, 2)->reject);
    solo_stop(&s);
}

static void a_majority_of_pre_votes_begins_the_election(void **state)
{
    (void)state;
    struct solo s;
    election_start(&s, 5, true);
    assert_int_equal(solo_event(&s, RAFT_EVENT_CAMPAIGN, 0), OK);
    struct raft_message yes = {.type = RAFT_MSG_PRE_VOTE_RESP, .from = 2, .term = 2};
    assert_int_equal(solo_receive(&s, yes), OK);
    assert_int_equal(solo_status(&s).role, RAFT_PRE_CANDIDATE);
    yes.from = 3;
    yes.term = 7; /* to a question that was never asked */
    assert_int_equal(solo_receive(&s, yes), OK);
    assert_int_equal(solo_status(&s).role, RAFT_PRE_CANDIDATE);
    yes.term = 2;
    assert_int_equal(solo_receive(&s, yes), OK);
    assert_int_equal(solo_status(&s).role, RAFT_CANDIDATE);
    assert_int_equal(solo_status(&s).term, 2);
    solo_stop(&s);
}

/* §4.2.3: "if a server receives a RequestVote request within the minimum election timeout of
 * hearing from a current leader, it does not update its term or grant its vote". */
static void a_request_soon_after_a_heartbeat_is_not_heard(void **state)
{
    (void)state;
    struct solo s;
    election_start(&s, 3, true);
    assert_int_equal(hear_leader(&s, 2, 3), OK);
    solo_wait(&s, s.cfg.election_timeout - 1);
    assert_int_equal(solo_receive(&s, vote_request(3, 8, 5, 7)), OK);
    assert_int_equal(solo_status(&s).term, 3);
    assert_int_equal(solo_count(&s, RAFT_MSG_VOTE_RESP, NODE_NONE), 0);
    struct raft_message transfer = vote_request(3, 8, 5, 7);
    transfer.transfer = true; /* on the leader's own request */
    assert_int_equal(solo_receive(&s, transfer), OK);
    assert_false(solo_sent(&s, RAFT_MSG_VOTE_RESP, 3)->reject);
    solo_stop(&s);

    election_start(&s, 3, true);
    assert_int_equal(hear_leader(&s, 2, 3), OK);
    s.now += s.cfg.election_timeout;
    assert_int_equal(solo_receive(&s, vote_request(3, 8, 5, 7)), OK);
    assert_int_equal(solo_status(&s).term, 8);
    solo_stop(&s);
}

/* §6.2: "a leader in Raft steps down if an election timeout elapses without a successful round of
 * heartbeats to a majority of its cluster". */
static void a_leader_without_a_quorum_steps_down(void **state)
{
    (void)state;
    for (unsigned in_touch = 0; in_touch < 3; in_touch++) {
        struct solo s;
        election_start(&s, 5, true);
        solo_elect(&s);
        solo_ack_all(&s);
        solo_wait_in_touch(&s, s.cfg.election_timeout);
        nanos until = s.now + 2 * s.cfg.election_timeout;
        while (s.now < until && solo_status(&s).role == RAFT_LEADER) {
            solo_wait(&s, s.cfg.heartbeat_interval);
            for (node_id id = 2; id < 2 + in_touch && solo_sent(&s, RAFT_MSG_HEARTBEAT, id); id++) {
                solo_pulse(&s, id);
            }
        }
        assert_int_equal(solo_status(&s).role == RAFT_LEADER, in_touch == 2);
        assert_int_equal(solo_status(&s).term, 2); /* and begins no new term for it */
        solo_stop(&s);
    }
}

/* A group may begin from a snapshot that was taken elsewhere, in a term that its members have never
 * been in. */
static void a_group_begun_from_a_snapshot_of_a_later_term_elects(void **state)
{
    (void)state;
    struct raft_config cfg = raft_config_default(1, 42);
    struct raft_membership ms = solo_voters(3);
    struct raft_saved saved = solo_founding(&ms);
    saved.hard_state.term = 0;
    saved.snapshot.index = 700;
    saved.snapshot.term = 50;
    saved.applied = 700;
    struct solo s;
    solo_start_saved(&s, &cfg, &saved, NULL, 0);
    solo_elect(&s);
    assert_true(solo_status(&s).term >= 50);
    solo_ack_all(&s);
    assert_int_equal(solo_status(&s).committed, 701);
    solo_stop(&s);
}

/* The last term there is leaves none for an election: whoever is told of it must live on. */
static void a_forged_term_does_not_stop_the_node(void **state)
{
    (void)state;
    for (int pre_vote = 0; pre_vote < 2; pre_vote++) {
        struct solo s;
        election_start(&s, 3, pre_vote);
        enum err ignored = hear_leader(&s, 2, UINT64_MAX);
        (void)ignored;
        solo_wait(&s, 5 * s.cfg.election_timeout);
        ignored = solo_event(&s, RAFT_EVENT_CAMPAIGN, 0);
        (void)ignored;
        ignored = solo_event(&s, RAFT_EVENT_RECOVER_QUORUM, RAFT_RECOVER_CONSENT);
        solo_stop(&s);
    }
}

static void who_may_not_lead_does_not_campaign(void **state)
{
    (void)state;
    for (int what = 0; what < 4; what++) {
        struct raft_config cfg = raft_config_default(1, 42);
        struct raft_membership ms = solo_voters(3);
        if (what == 0) {
            raft_membership_find(&ms, 1)->priority = 0;
        } else if (what == 1) {
            raft_membership_find(&ms, 1)->roles = RAFT_LEARNER;
        } else if (what == 2) {
            raft_membership_find(&ms, 1)->id = 9; /* not a member at all */
            struct raft_membership sorted = {0};
            raft_membership_insert(&sorted, 2, RAFT_VOTER);
            raft_membership_insert(&sorted, 3, RAFT_VOTER);
            ms = sorted;
        } else {
            raft_membership_find(&ms, 1)->roles = RAFT_VOTER | RAFT_WITNESS;
            raft_membership_find(&ms, 2)->roles = RAFT_VOTER | RAFT_IN_SYNC;
            raft_membership_find(&ms, 3)->roles = RAFT_VOTER | RAFT_IN_SYNC;
        }
        struct solo s;
        solo_start(&s, &cfg, &ms);
        solo_wait(&s, 10 * cfg.election_timeout);
        assert_int_equal(solo_status(&s).role, RAFT_FOLLOWER);
        assert_int_equal(solo_count(&s, RAFT_MSG_PRE_VOTE, NODE_NONE), 0);
        solo_stop(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(begins_as_a_follower_of_nobody),
        cmocka_unit_test(draws_its_timeout_from_one_to_two_election_timeouts),
        cmocka_unit_test(stays_a_follower_while_a_leader_is_heard),
        cmocka_unit_test(a_candidate_votes_for_itself_and_asks_all_others),
        cmocka_unit_test(a_majority_of_votes_and_no_less_makes_a_leader),
        cmocka_unit_test(a_vote_counts_once_and_only_from_a_member),
        cmocka_unit_test(votes_once_a_term),
        cmocka_unit_test(votes_only_for_a_log_that_is_up_to_date),
        cmocka_unit_test(a_vote_is_on_the_disk_before_it_leaves),
        cmocka_unit_test(its_own_vote_counts_once_it_is_on_the_disk),
        cmocka_unit_test(a_higher_term_makes_a_follower_of_everybody),
        cmocka_unit_test(a_message_of_an_old_term_changes_nothing),
        cmocka_unit_test(a_candidate_yields_to_the_leader_of_its_term),
        cmocka_unit_test(a_candidate_that_hears_nothing_asks_again),
        cmocka_unit_test(a_pre_vote_changes_neither_term_nor_vote),
        cmocka_unit_test(a_majority_of_pre_votes_begins_the_election),
        cmocka_unit_test(a_request_soon_after_a_heartbeat_is_not_heard),
        cmocka_unit_test(a_leader_without_a_quorum_steps_down),
        cmocka_unit_test(a_group_begun_from_a_snapshot_of_a_later_term_elects),
        cmocka_unit_test(a_forged_term_does_not_stop_the_node),
        cmocka_unit_test(who_may_not_lead_does_not_campaign),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
