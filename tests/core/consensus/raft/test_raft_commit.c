/* Commitment, by the sentences of [Ongaro14] §3.5, §3.6.2 and §10.2.1. */
#include "core/consensus/raft/raft_int.h"
#include "tests/support/raft_solo.h"
#include "tests/support/test.h"

static void lead_in_term_two(struct solo *s, uint32_t n, const raft_term *terms, uint32_t entries)
{
    struct raft_config cfg = raft_config_default(1, 42);
    struct raft_membership ms = solo_voters(n);
    struct raft_saved saved = solo_founding(&ms);
    solo_start_saved(s, &cfg, &saved, terms, entries);
    solo_elect(s);
}

/* §3.5: "A log entry is committed once the leader that created the entry has replicated it on a
 * majority of the servers." */
static void an_entry_commits_once_a_majority_has_it(void **state)
{
    (void)state;
    static const struct {
        uint32_t n;
        unsigned acks;
        bool commits;
    } cases[] = {{2, 0, false}, {2, 1, true}, {3, 0, false}, {3, 1, true},
                 {4, 1, false}, {4, 2, true}, {5, 1, false}, {5, 2, true},
                 {6, 2, false}, {6, 3, true}, {7, 2, false}, {7, 3, true}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct solo s;
        lead_in_term_two(&s, cases[i].n, NULL, 0);
        for (node_id id = 2; id < 2 + cases[i].acks; id++) {
            solo_ack(&s, id, 2);
            solo_ack(&s, id, 2); /* one counts once */
        }
        assert_int_equal(solo_status(&s).committed == 2, cases[i].commits);
        solo_stop(&s);
    }
}

/* §3.5: "This also commits all preceding entries in the leader's log, including entries created by
 * previous leaders", and §3.6.2: "only log entries from the leader's current term are committed by
 * counting replicas". */
static void entries_of_earlier_terms_come_along_and_are_not_counted(void **state)
{
    (void)state;
    const raft_term terms[] = {1, 1, 1};
    struct solo s;
    lead_in_term_two(&s, 3, terms, 3); /* 2, 3, 4 of term 1; 5 of term 2 */
    for (raft_index i = 2; i <= 4; i++) {
        solo_ack(&s, 2, i);
        solo_ack(&s, 3, i);
        assert_int_equal(solo_status(&s).committed, 1);
    }
    solo_ack(&s, 3, 5);
    assert_int_equal(solo_status(&s).committed, 5);
    assert_int_equal(solo_status(&s).applied, 5);
    solo_stop(&s);
}

static void learners_do_not_count(void **state)
{
    (void)state;
    struct raft_config cfg = raft_config_default(1, 42);
    struct raft_membership ms = solo_voters(3);
    raft_membership_insert(&ms, 4, RAFT_LEARNER);
    raft_membership_insert(&ms, 5, RAFT_LEARNER);
    struct solo s;
    solo_start(&s, &cfg, &ms);
    solo_elect(&s);
    solo_ack(&s, 4, 2);
    solo_ack(&s, 5, 2);
    assert_int_equal(solo_status(&s).committed, 1);
    solo_ack(&s, 3, 2);
    assert_int_equal(solo_status(&s).committed, 2);
    solo_stop(&s);
}

/* §10.2.1: "the leader may even commit an entry before it has been written to its own disk, if a
 * majority of followers have written it". Its own disk counts as one, once it has answered. */
static void the_leaders_own_disk_counts_when_it_has_answered(void **state)
{
    (void)state;
    struct solo s;
    lead_in_term_two(&s, 3, NULL, 0);
    solo_ack_all(&s);
    s.hold_disk = true;
    assert_int_equal(solo_propose(&s, 10), OK);
    solo_ack(&s, 2, 3);
    assert_int_equal(solo_status(&s).committed, 2); /* one disk of three */
    solo_ack(&s, 3, 3);
    assert_int_equal(solo_status(&s).committed, 3); /* two, without its own */
    assert_int_equal(solo_status(&s).durable, 2);
    solo_sync(&s, s.batch_count);
    assert_int_equal(solo_propose(&s, 10), OK);
    solo_ack(&s, 2, 4);
    assert_int_equal(solo_status(&s).committed, 3);
    solo_sync(&s, 1);
    assert_int_equal(solo_status(&s).committed, 4);
    solo_stop(&s);
}

/* With a delay, entries carry the commit index; what none carried goes alone when it is due.
 * Whoever proposed or reads is told at once. */
static void a_commit_index_waits_for_entries_to_carry_it(void **state)
{
    (void)state;
    struct raft_config cfg = raft_config_default(1, 42);
    struct raft_membership ms = solo_voters(3);
    struct solo s;
    cfg.commit_delay = NANOS_PER_MS;
    solo_start(&s, &cfg, &ms);
    solo_elect(&s);
    solo_ack_all(&s);
    solo_wait(&s, NANOS_PER_MS);
    solo_forget(&s);

    assert_int_equal(solo_propose(&s, 10), OK);
    solo_forget(&s);
    solo_ack(&s, 2, 3);
    solo_ack(&s, 3, 3);
    assert_int_equal(solo_status(&s).committed, 3);
    assert_int_equal(solo_count(&s, RAFT_MSG_APP, NODE_NONE), 0);
    assert_int_equal(solo_propose(&s, 10), OK);
    assert_int_equal(solo_sent(&s, RAFT_MSG_APP, 2)->commit, 3);
    solo_forget(&s);
    solo_ack(&s, 2, 4);
    solo_ack(&s, 3, 4);
    solo_wait(&s, NANOS_PER_MS);
    assert_int_equal(solo_count(&s, RAFT_MSG_APP, NODE_NONE), 2);
    assert_int_equal(solo_sent(&s, RAFT_MSG_APP, 3)->commit, 4);
    assert_int_equal(solo_sent(&s, RAFT_MSG_APP, 3)->entry_count, 0);
    solo_forget(&s);
    solo_wait(&s, NANOS_PER_MS);
    assert_int_equal(solo_count(&s, RAFT_MSG_APP, NODE_NONE), 0); /* once */

    struct raft_entry wanted = {.type = RAFT_ENTRY_NORMAL};
    const struct raft_message forwarded = {
        .type = RAFT_MSG_PROP, .from = 3, .entry_count = 1, .entries = &wanted};
    assert_int_equal(solo_receive(&s, forwarded), OK);
    solo_forget(&s);
    solo_ack(&s, 2, 5);
    assert_int_equal(solo_status(&s).committed, 5);
    assert_int_equal(solo_count(&s, RAFT_MSG_APP, 2), 0);
    assert_int_equal(solo_sent(&s, RAFT_MSG_APP, 3)->commit, 5);
    solo_ack(&s, 3, 5);

    assert_int_equal(solo_propose(&s, 10), OK);
    solo_ack(&s, 3, 6);
    solo_forget(&s);
    const struct raft_message ask = {.type = RAFT_MSG_READ_INDEX, .from = 2, .context = 1};
    assert_int_equal(solo_receive(&s, ask), OK);
    solo_forget(&s);
    solo_ack(&s, 2, 6); /* it has the entry now, and reads at it */
    assert_int_equal(solo_sent(&s, RAFT_MSG_APP, 2)->commit, 6);
    solo_stop(&s);
}

/* §3.5: "Once a follower learns that a log entry is committed, it applies the entry". The leader
 * tells at once, and by heartbeats only what the member is known to share. */
static void followers_learn_what_is_committed(void **state)
{
    (void)state;
    struct solo s;
    lead_in_term_two(&s, 3, NULL, 0);
    solo_ack(&s, 2, 2);
    assert_int_equal(solo_sent(&s, RAFT_MSG_APP, 2)->commit, 2);
    solo_wait(&s, s.cfg.heartbeat_interval);
    assert_int_equal(solo_sent(&s, RAFT_MSG_HEARTBEAT, 2)->commit, 2);
    assert_int_equal(solo_sent(&s, RAFT_MSG_HEARTBEAT, 3)->commit, 0);
    solo_stop(&s);
}

/* Figure 3.1: "If leaderCommit > commitIndex, set commitIndex = min(leaderCommit, index of last new
 * entry)". */
static void a_follower_commits_no_further_than_it_agrees(void **state)
{
    (void)state;
    const raft_term terms[] = {1, 1, 1};
    struct raft_config cfg = raft_config_default(1, 42);
    struct raft_membership ms = solo_voters(3);
    struct raft_saved saved = solo_founding(&ms);
    struct solo s;
    solo_start_saved(&s, &cfg, &saved, terms, 3);
    struct raft_message m = {.type = RAFT_MSG_APP, .from = 2, .term = 2, .index = 2, .log_term = 1};
    m.commit = 4;
    assert_int_equal(solo_receive(&s, m), OK);
    assert_int_equal(solo_status(&s).committed, 2);
    m.index = 3;
    m.commit = 2; /* and never back */
    assert_int_equal(solo_receive(&s, m), OK);
    assert_int_equal(solo_status(&s).committed, 2);
    m.commit = 9;
    assert_int_equal(solo_receive(&s, m), OK);
    assert_int_equal(solo_status(&s).committed, 3);
    solo_stop(&s);
}

/* An acknowledgement of what was never sent is a lie, and counts for nothing. */
static void an_impossible_acknowledgement_is_not_counted(void **state)
{
    (void)state;
    struct solo s;
    lead_in_term_two(&s, 3, NULL, 0);
    solo_ack(&s, 2, 50);
    assert_int_equal(solo_status(&s).committed, 1);
    assert_true(s.alarms & RAFT_ALARM_PROTOCOL);
    solo_stop(&s);
}

/* What is handed out to be applied and not yet reported stays under max_applying_bytes. */
static void hands_out_no_more_than_may_be_applying(void **state)
{
    (void)state;
    struct raft_config cfg = raft_config_default(1, 42);
    cfg.max_applying_bytes = 1000;
    struct raft_membership ms = solo_voters(1);
    struct solo s;
    solo_start(&s, &cfg, &ms);
    solo_elect(&s);
    s.hold_apply = true;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(solo_propose(&s, 60), OK);
    }
    assert_int_equal(solo_status(&s).committed, 102);
    assert_int_equal(s.applying, 12); /* ten of 60 + 40 bytes */
    solo_apply(&s, 7);
    solo_apply(&s, 12);
    assert_true(s.applying > 12 && s.applying <= 22);
    s.hold_apply = false;
    solo_apply(&s, s.applying);
    assert_int_equal(s.applying, 102);
    solo_stop(&s);
}

/* Without apply_before_durable nothing is applied that this node's own disk lacks. */
static void may_be_told_to_apply_only_what_is_durable_here(void **state)
{
    (void)state;
    for (int before = 0; before < 2; before++) {
        struct raft_config cfg = raft_config_default(1, 42);
        cfg.apply_before_durable = before;
        struct raft_membership ms = solo_voters(3);
        struct solo s;
        solo_start(&s, &cfg, &ms);
        s.hold_disk = true;
        struct raft_entry e = {.index = 2, .term = 2};
        struct raft_message m = {
            .type = RAFT_MSG_APP, .from = 2, .term = 2, .index = 1, .log_term = 1};
        m.commit = 2;
        m.entry_count = 1;
        m.entries = &e;
        assert_int_equal(solo_receive(&s, m), OK);
        assert_int_equal(s.applying, before ? 2 : 1);
        solo_sync(&s, s.batch_count);
        assert_int_equal(s.applying, 2);
        solo_stop(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_commits_once_a_majority_has_it),
        cmocka_unit_test(entries_of_earlier_terms_come_along_and_are_not_counted),
        cmocka_unit_test(learners_do_not_count),
        cmocka_unit_test(the_leaders_own_disk_counts_when_it_has_answered),
        cmocka_unit_test(a_commit_index_waits_for_entries_to_carry_it),
        cmocka_unit_test(followers_learn_what_is_committed),
        cmocka_unit_test(a_follower_commits_no_further_than_it_agrees),
        cmocka_unit_test(an_impossible_acknowledgement_is_not_counted),
        cmocka_unit_test(hands_out_no_more_than_may_be_applying),
        cmocka_unit_test(may_be_told_to_apply_only_what_is_durable_here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
