/* The way out when a quorum is gone for good: raft_recover.c, sentence by sentence. */
#include "core/consensus/raft/raft_int.h"
#include "tests/support/raft_solo.h"
#include "tests/support/test.h"

static void start_survivor(struct solo *s)
{
    struct raft_config cfg = raft_config_default(1, 42);
    struct raft_membership ms = solo_voters(3);
    struct raft_saved saved = solo_founding(&ms);
    saved.hard_state.term = 4;
    const raft_term terms[] = {2, 4};
    solo_start_saved(s, &cfg, &saved, terms, 2);
    solo_wait(s, 5 * cfg.election_timeout); /* nobody answers */
}

/* "which is why the event carries RAFT_RECOVER_CONSENT". */
static void nothing_happens_without_consent(void **state)
{
    (void)state;
    struct solo s;
    start_survivor(&s);
    static const uint64_t words[] = {0, 1, RAFT_RECOVER_CONSENT + 1, ~RAFT_RECOVER_CONSENT};
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        assert_int_equal(solo_event(&s, RAFT_EVENT_RECOVER_QUORUM, words[i]), ERR_REFUSED);
        assert_int_equal(solo_status(&s).membership->n, 3);
        assert_int_equal(solo_status(&s).term, 4);
    }
    solo_stop(&s);
}

static void refuses_where_somebody_leads(void **state)
{
    (void)state;
    struct solo s;
    start_survivor(&s);
    struct raft_message hello = {.type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 5};
    assert_int_equal(solo_receive(&s, hello), OK);
    assert_int_equal(solo_event(&s, RAFT_EVENT_RECOVER_QUORUM, RAFT_RECOVER_CONSENT), ERR_REFUSED);
    solo_stop(&s);
    start_survivor(&s);
    solo_elect(&s);
    assert_int_equal(solo_event(&s, RAFT_EVENT_RECOVER_QUORUM, RAFT_RECOVER_CONSENT), ERR_REFUSED);
    solo_stop(&s);
}

/* "It makes this node the only voter of the group, in a new term", far above any that a lost leader
 * reached, and says so. */
static void the_survivor_leads_alone(void **state)
{
    (void)state;
    struct solo s;
    start_survivor(&s);
    assert_int_equal(solo_event(&s, RAFT_EVENT_RECOVER_QUORUM, RAFT_RECOVER_CONSENT), OK);
    assert_int_equal(solo_status(&s).role, RAFT_LEADER);
    assert_true(solo_status(&s).term > 1000000);
    assert_true(s.alarms & RAFT_ALARM_QUORUM_FORCED);
    assert_int_equal(solo_status(&s).membership->n, 1);
    assert_int_equal(RAFT_LINEAGE_COUNT(solo_status(&s).membership->lineage), 1);
    assert_int_equal(solo_status(&s).committed, solo_status(&s).last); /* also 2 and 3 */
    assert_int_equal(solo_propose(&s, 10), OK);
    assert_int_equal(solo_status(&s).applied, solo_status(&s).last);
    struct raft_message late = {.type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 90};
    assert_int_equal(solo_receive(&s, late), OK); /* of a leader thought lost */
    assert_int_equal(solo_status(&s).role, RAFT_LEADER);
    solo_stop(&s);
}

/* "If it dies before that entry is durable and applied, nothing has happened". */
static void nothing_has_happened_before_it_is_durable(void **state)
{
    (void)state;
    struct solo s;
    start_survivor(&s);
    s.hold_disk = true;
    assert_int_equal(solo_event(&s, RAFT_EVENT_RECOVER_QUORUM, RAFT_RECOVER_CONSENT), OK);
    raft_index committed = solo_status(&s).committed;
    assert_int_equal(solo_propose(&s, 10), OK);
    assert_int_equal(solo_status(&s).committed, committed);
    solo_restart(&s, 7);
    assert_int_equal(solo_status(&s).membership->n, 3);
    assert_int_equal(solo_status(&s).term, 4);
    assert_int_equal(solo_event(&s, RAFT_EVENT_RECOVER_QUORUM, RAFT_RECOVER_CONSENT), OK);
    solo_sync(&s, s.batch_count);
    while (s.batch_count > 0) {
        solo_sync(&s, s.batch_count);
    }
    solo_restart(&s, 8); /* now it holds: the log says so */
    s.hold_disk = false;
    solo_wait(&s, 5 * s.cfg.election_timeout);
    assert_int_equal(solo_status(&s).membership->n, 1);
    assert_int_equal(solo_status(&s).role, RAFT_LEADER);
    solo_stop(&s);
}

static void a_witness_or_a_stranger_recovers_nothing(void **state)
{
    (void)state;
    for (int what = 0; what < 2; what++) {
        struct raft_config cfg = raft_config_default(what == 0 ? 3 : 9, 42);
        struct raft_membership ms = solo_voters(3);
        ms.member[0].roles |= RAFT_IN_SYNC;
        ms.member[1].roles |= RAFT_IN_SYNC;
        ms.member[2].roles |= RAFT_WITNESS;
        struct solo s;
        solo_start(&s, &cfg, &ms);
        assert_int_equal(solo_event(&s, RAFT_EVENT_RECOVER_QUORUM, RAFT_RECOVER_CONSENT),
                         ERR_REFUSED);
        solo_stop(&s);
    }
}

/* It is an ordinary group again: others join as learners. */
static void others_join_anew(void **state)
{
    (void)state;
    struct solo s;
    start_survivor(&s);
    assert_int_equal(solo_event(&s, RAFT_EVENT_RECOVER_QUORUM, RAFT_RECOVER_CONSENT), OK);
    assert_int_equal(solo_change(&s, RAFT_ADD_LEARNER, 5), OK);
    const struct raft_member *m = raft_membership_lookup(solo_status(&s).membership, 5);
    assert_true(m && (m->roles & RAFT_LEARNER));
    solo_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_happens_without_consent),
        cmocka_unit_test(refuses_where_somebody_leads),
        cmocka_unit_test(the_survivor_leads_alone),
        cmocka_unit_test(nothing_has_happened_before_it_is_durable),
        cmocka_unit_test(a_witness_or_a_stranger_recovers_nothing),
        cmocka_unit_test(others_join_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
