/* Gray failure: leaders whose disk or apply loop stands. */
#include "core/consensus/raft/raft_int.h"
#include "tests/support/raft_solo.h"
#include "tests/support/test.h"

static void lead_healthy(struct solo *s, uint32_t n)
{
    struct raft_config cfg = raft_config_default(1, 42);
    struct raft_membership ms = solo_voters(n);
    solo_start(s, &cfg, &ms);
    solo_elect(s);
    solo_ack_all(s);
    solo_wait_in_touch(s, cfg.election_timeout);
    solo_forget(s);
}

static void stay_in_touch_while_leading(struct solo *s, nanos span)
{
    nanos until = s->now + span;
    while (s->now < until && solo_status(s).role == RAFT_LEADER) {
        solo_wait(s, s->cfg.heartbeat_interval / 4);
        for (node_id id = 2; id <= 3; id++) {
            if (solo_status(s).role == RAFT_LEADER && solo_sent(s, RAFT_MSG_HEARTBEAT, id)) {
                solo_pulse(s, id);
            }
        }
    }
}

static void assert_gave_up(struct solo *s, nanos since)
{
    assert_int_equal(solo_status(s).role, RAFT_FOLLOWER);
    assert_true(s->now - since <= 2 * s->cfg.election_timeout);
    assert_true(s->alarms & RAFT_ALARM_STALLED);
    assert_int_equal(solo_count(s, RAFT_MSG_TIMEOUT_NOW, NODE_NONE), 1);
    assert_true(solo_status(s).stalled);
}

/* The followers answer every heartbeat all the while. */
static void a_batch_that_does_not_end_ends_the_lead(void **state)
{
    (void)state;
    struct solo s;
    lead_healthy(&s, 3);
    s.hold_disk = true;
    nanos since = s.now;
    assert_int_equal(solo_propose(&s, 10), OK);
    stay_in_touch_while_leading(&s, 5 * s.cfg.election_timeout);
    assert_gave_up(&s, since);
    solo_stop(&s);
}

static void a_disk_that_is_reported_standing_ends_the_lead(void **state)
{
    (void)state;
    struct solo s;
    lead_healthy(&s, 3);
    nanos since = s.now;
    assert_int_equal(solo_event(&s, RAFT_EVENT_DISK, s.cfg.stall_timeout - 1), OK);
    assert_int_equal(solo_status(&s).role, RAFT_LEADER);
    assert_int_equal(solo_event(&s, RAFT_EVENT_DISK, s.cfg.stall_timeout), OK);
    assert_gave_up(&s, since);
    solo_stop(&s);
}

static void an_apply_loop_that_stands_ends_the_lead(void **state)
{
    (void)state;
    struct solo s;
    lead_healthy(&s, 3);
    s.hold_apply = true;
    nanos since = s.now;
    assert_int_equal(solo_propose(&s, 10), OK);
    solo_ack_all(&s);
    stay_in_touch_while_leading(&s, 5 * s.cfg.election_timeout);
    assert_gave_up(&s, since);
    solo_stop(&s);
}

/* Slow is not stalled: whoever makes progress keeps the lead. */
static void progress_keeps_the_lead(void **state)
{
    (void)state;
    struct solo s;
    lead_healthy(&s, 3);
    s.hold_disk = true;
    s.hold_apply = true;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(solo_propose(&s, 10), OK);
        solo_ack_all(&s);
        stay_in_touch_while_leading(&s, s.cfg.stall_timeout * 3 / 4);
        assert_int_equal(solo_status(&s).role, RAFT_LEADER);
        solo_sync(&s, s.batch_count);
        solo_apply(&s, s.applying);
    }
    solo_stop(&s);
}

/* Under overload a batch waits behind others for longer than a disk may stand: the disk works. */
static void a_queue_that_moves_is_no_stall(void **state)
{
    (void)state;
    struct solo s;
    lead_healthy(&s, 3);
    s.hold_disk = true;
    for (int i = 0; i < 6; i++) {
        assert_int_equal(solo_propose(&s, 10), OK);
    }
    assert_int_equal(s.batch_count, 6);
    while (s.batch_count > 0) {
        solo_ack_all(&s);
        stay_in_touch_while_leading(&s, s.cfg.stall_timeout * 3 / 4);
        assert_int_equal(solo_status(&s).role, RAFT_LEADER);
        solo_sync(&s, 1);
    }
    assert_int_equal(solo_propose(&s, 10), OK);
    assert_int_equal(solo_propose(&s, 10), OK);
    stay_in_touch_while_leading(&s, s.cfg.stall_timeout * 3 / 4);
    solo_sync(&s, 1);
    nanos since = s.now;
    stay_in_touch_while_leading(&s, 5 * s.cfg.election_timeout);
    assert_gave_up(&s, since);
    solo_stop(&s);
}

static void does_not_campaign_before_the_disk_answers(void **state)
{
    (void)state;
    struct solo s;
    lead_healthy(&s, 3);
    assert_int_equal(solo_event(&s, RAFT_EVENT_DISK, s.cfg.stall_timeout), OK);
    solo_forget(&s);
    solo_wait(&s, 10 * s.cfg.election_timeout);
    assert_int_equal(solo_event(&s, RAFT_EVENT_CAMPAIGN, 0), ERR_REFUSED);
    assert_int_equal(solo_count(&s, RAFT_MSG_PRE_VOTE, NODE_NONE), 0);
    assert_int_equal(solo_event(&s, RAFT_EVENT_DISK, 0), OK);
    solo_wait(&s, 3 * s.cfg.election_timeout);
    assert_true(solo_count(&s, RAFT_MSG_PRE_VOTE, 2) > 0);
    solo_stop(&s);
}

/* There is nobody to hand over to, and what it promised is still true. */
static void a_group_of_one_waits_for_its_disk(void **state)
{
    (void)state;
    struct solo s;
    lead_healthy(&s, 1);
    s.hold_disk = true;
    assert_int_equal(solo_propose(&s, 10), OK);
    solo_wait(&s, 10 * s.cfg.election_timeout);
    assert_int_equal(solo_status(&s).role, RAFT_LEADER);
    solo_sync(&s, s.batch_count);
    assert_int_equal(solo_status(&s).committed, solo_status(&s).last);
    solo_stop(&s);
}

static void a_timeout_of_nought_never_stalls(void **state)
{
    (void)state;
    struct raft_config cfg = raft_config_default(1, 42);
    cfg.stall_timeout = 0;
    struct raft_membership ms = solo_voters(3);
    struct solo s;
    solo_start(&s, &cfg, &ms);
    solo_elect(&s);
    assert_int_equal(solo_event(&s, RAFT_EVENT_DISK, 3600 * NANOS_PER_S), OK);
    assert_int_equal(solo_status(&s).role, RAFT_LEADER);
    solo_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_that_does_not_end_ends_the_lead),
        cmocka_unit_test(a_disk_that_is_reported_standing_ends_the_lead),
        cmocka_unit_test(an_apply_loop_that_stands_ends_the_lead),
        cmocka_unit_test(progress_keeps_the_lead),
        cmocka_unit_test(a_queue_that_moves_is_no_stall),
        cmocka_unit_test(does_not_campaign_before_the_disk_answers),
        cmocka_unit_test(a_group_of_one_waits_for_its_disk),
        cmocka_unit_test(a_timeout_of_nought_never_stalls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
