/* Leadership transfer and the graceful stop, by the sentences of [Ongaro14] §3.10. */
#include "core/consensus/raft/raft_int.h"
#include "tests/support/raft_solo.h"
#include "tests/support/test.h"

static void lead_three_members(struct solo *s)
{
    struct raft_config cfg = raft_config_default(1, 42);
    struct raft_membership ms = solo_voters(3);
    raft_membership_insert(&ms, 4, RAFT_LEARNER);
    solo_start(s, &cfg, &ms);
    solo_elect(s);
    solo_ack_all(s);
    solo_forget(s);
}

/* "The prior leader sends a TimeoutNow request to the target server", at once where that has
 * everything. */
static void a_target_that_has_everything_is_told_at_once(void **state)
{
    (void)state;
    struct solo s;
    lead_three_members(&s);
    assert_int_equal(solo_event(&s, RAFT_EVENT_TRANSFER, 2), OK);
    assert_int_equal(solo_count(&s, RAFT_MSG_TIMEOUT_NOW, 2), 1);
    assert_int_equal(solo_status(&s).transferee, 2);
    assert_int_equal(solo_status(&s).role, RAFT_LEADER); /* until it hears of the new term */
    solo_stop(&s);
}

/* "The prior leader fully updates the target server's log to match its own log". */
static void a_target_that_lags_is_brought_up_to_date_first(void **state)
{
    (void)state;
    struct solo s;
    lead_three_members(&s);
    assert_int_equal(solo_propose(&s, 10), OK);
    assert_int_equal(solo_event(&s, RAFT_EVENT_TRANSFER, 2), OK);
    assert_int_equal(solo_count(&s, RAFT_MSG_TIMEOUT_NOW, 2), 0);
    solo_ack(&s, 3, 3);
    assert_int_equal(solo_count(&s, RAFT_MSG_TIMEOUT_NOW, NODE_NONE), 0);
    solo_ack(&s, 2, 3);
    assert_int_equal(solo_count(&s, RAFT_MSG_TIMEOUT_NOW, 2), 1);
    solo_stop(&s);
}

/* "The prior leader stops accepting new client requests." */
static void nothing_is_accepted_while_a_transfer_is_under_way(void **state)
{
    (void)state;
    struct solo s;
    lead_three_members(&s);
    assert_int_equal(solo_event(&s, RAFT_EVENT_TRANSFER, 2), OK);
    assert_int_equal(solo_propose(&s, 10), ERR_DROPPED);
    assert_int_equal(solo_change(&s, RAFT_REMOVE, 3), ERR_DROPPED);
    solo_stop(&s);
}

/* "If leadership transfer does not complete after about an election timeout, the prior leader
 * aborts the transfer and resumes accepting client requests." */
static void a_transfer_is_given_up_after_an_election_timeout(void **state)
{
    (void)state;
    struct solo s;
    lead_three_members(&s);
    assert_int_equal(solo_propose(&s, 10), OK);
    assert_int_equal(solo_event(&s, RAFT_EVENT_TRANSFER, 2), OK);
    solo_wait_in_touch(&s, s.cfg.election_timeout - s.cfg.heartbeat_interval);
    assert_int_equal(solo_status(&s).transferee, 2);
    solo_wait_in_touch(&s, 2 * s.cfg.heartbeat_interval);
    assert_int_equal(solo_status(&s).transferee, NODE_NONE);
    assert_int_equal(solo_status(&s).role, RAFT_LEADER);
    assert_int_equal(solo_propose(&s, 10), OK);
    solo_stop(&s);
}

static void refuses_whoever_cannot_lead(void **state)
{
    (void)state;
    struct solo s;
    lead_three_members(&s);
    assert_int_equal(solo_event(&s, RAFT_EVENT_TRANSFER, 4), ERR_REFUSED); /* a learner */
    assert_int_equal(solo_event(&s, RAFT_EVENT_TRANSFER, 77), ERR_NOT_FOUND);
    assert_int_equal(solo_event(&s, RAFT_EVENT_TRANSFER, 1), OK); /* it leads already */
    assert_int_equal(solo_status(&s).transferee, NODE_NONE);
    assert_int_equal(solo_count(&s, RAFT_MSG_TIMEOUT_NOW, NODE_NONE), 0);
    assert_int_equal(solo_propose(&s, 10), OK);
    solo_stop(&s);
}

static void a_later_transfer_takes_the_place_of_an_earlier_one(void **state)
{
    (void)state;
    struct solo s;
    lead_three_members(&s);
    assert_int_equal(solo_propose(&s, 10), OK);
    assert_int_equal(solo_event(&s, RAFT_EVENT_TRANSFER, 2), OK);
    assert_int_equal(solo_event(&s, RAFT_EVENT_TRANSFER, 2), OK);
    assert_int_equal(solo_event(&s, RAFT_EVENT_TRANSFER, 3), OK);
    solo_ack(&s, 2, 3);
    assert_int_equal(solo_count(&s, RAFT_MSG_TIMEOUT_NOW, 2), 0);
    solo_ack(&s, 3, 3);
    assert_int_equal(solo_count(&s, RAFT_MSG_TIMEOUT_NOW, 3), 1);
    solo_stop(&s);
}

/* "This request has the same effect as the target server's election timer firing: the target server
 * starts a new election", without a pre-vote, and with a mark that no lease stands against. */
static void the_target_campaigns_at_once(void **state)
{
    (void)state;
    struct raft_config cfg = raft_config_default(1, 42);
    struct raft_membership ms = solo_voters(3);
    struct solo s;
    solo_start(&s, &cfg, &ms);
    assert_int_equal(solo_event(&s, RAFT_EVENT_TRANSFER, 1), ERR_NO_LEADER);
    struct raft_message now = {.type = RAFT_MSG_TIMEOUT_NOW, .from = 2, .term = 3};
    assert_int_equal(solo_receive(&s, now), OK);
    assert_int_equal(solo_status(&s).role, RAFT_CANDIDATE);
    assert_int_equal(solo_status(&s).term, 4);
    assert_true(solo_sent(&s, RAFT_MSG_VOTE, 3)->transfer);
    now.term = 2; /* late, from a leader of the past */
    assert_int_equal(solo_receive(&s, now), OK);
    assert_int_equal(solo_status(&s).term, 4);
    solo_stop(&s);
}

static void a_follower_passes_the_request_to_its_leader(void **state)
{
    (void)state;
    struct raft_config cfg = raft_config_default(1, 42);
    struct raft_membership ms = solo_voters(3);
    struct solo s;
    solo_start(&s, &cfg, &ms);
    struct raft_message hello = {.type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 3};
    assert_int_equal(solo_receive(&s, hello), OK);
    assert_int_equal(solo_event(&s, RAFT_EVENT_TRANSFER, 3), OK);
    assert_int_equal(solo_sent(&s, RAFT_MSG_TRANSFER_LEADER, 2)->source, 3);
    solo_stop(&s);
}

/* A leader that is to stop hands over to whoever has the most, and accepts nothing more. */
static void a_leader_that_stops_hands_over(void **state)
{
    (void)state;
    struct solo s;
    lead_three_members(&s);
    assert_int_equal(solo_propose(&s, 10), OK);
    solo_ack(&s, 3, 3);
    assert_int_equal(solo_event(&s, RAFT_EVENT_STOP, 0), OK);
    assert_int_equal(solo_count(&s, RAFT_MSG_TIMEOUT_NOW, 3), 1);
    assert_int_equal(solo_propose(&s, 10), ERR_DROPPED);
    solo_wait_in_touch(&s, 2 * s.cfg.election_timeout);
    assert_int_equal(solo_propose(&s, 10), ERR_DROPPED); /* also when nobody took over */
    struct raft_message hello = {.type = RAFT_MSG_HEARTBEAT, .from = 3, .term = 9};
    assert_int_equal(solo_receive(&s, hello), OK);
    solo_wait(&s, 10 * s.cfg.election_timeout);
    assert_int_equal(solo_status(&s).role, RAFT_FOLLOWER); /* and it does not campaign */
    solo_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_target_that_has_everything_is_told_at_once),
        cmocka_unit_test(a_target_that_lags_is_brought_up_to_date_first),
        cmocka_unit_test(nothing_is_accepted_while_a_transfer_is_under_way),
        cmocka_unit_test(a_transfer_is_given_up_after_an_election_timeout),
        cmocka_unit_test(refuses_whoever_cannot_lead),
        cmocka_unit_test(a_later_transfer_takes_the_place_of_an_earlier_one),
        cmocka_unit_test(the_target_campaigns_at_once),
        cmocka_unit_test(a_follower_passes_the_request_to_its_leader),
        cmocka_unit_test(a_leader_that_stops_hands_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
