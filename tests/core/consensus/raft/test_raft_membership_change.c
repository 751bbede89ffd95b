/* Changes of the members, by the sentences of [Ongaro14] ch. 4. */
#include "core/consensus/raft/raft_int.h"
#include "tests/support/raft_solo.h"
#include "tests/support/test.h"

static void lead_members(struct solo *s, const struct raft_config *cfg, uint32_t n)
{
    struct raft_membership ms = solo_voters(n);
    solo_start(s, cfg, &ms);
    solo_elect(s);
    solo_ack_all(s);
    solo_forget(s);
}

static enum err change_two(struct solo *s, enum raft_transition transition, node_id out, node_id in)
{
    struct raft_conf_change change = {.transition = transition, .n = 2};
    change.single[0] = (struct raft_conf_single){.op = RAFT_REMOVE, .node = out};
    change.single[1] = (struct raft_conf_single){
        .op = RAFT_ADD_VOTER, .node = in, .priority = RAFT_PRIORITY_DEFAULT};
    return solo_step(s, (struct raft_event){.type = RAFT_EVENT_CHANGE, .change = &change});
}

static bool is_joint(const struct solo *s)
{
    return raft_membership_is_joint(solo_status(s).membership);
}

/* §4.1: "only one server may be added or removed from the cluster at a time"; and "the leader must
 * not" begin one before the last is done. */
static void one_change_at_a_time(void **state)
{
    (void)state;
    struct raft_config cfg = raft_config_default(1, 42);
    struct solo s;
    lead_members(&s, &cfg, 5);
    assert_int_equal(solo_change(&s, RAFT_REMOVE, 5), OK);
    assert_int_equal(solo_change(&s, RAFT_REMOVE, 4), ERR_PENDING);
    s.hold_apply = true;
    solo_ack_all(&s);
    assert_int_equal(solo_change(&s, RAFT_REMOVE, 4), ERR_PENDING); /* committed, not applied */
    solo_apply(&s, s.applying);
    assert_null(raft_membership_lookup(solo_status(&s).membership, 5));
    assert_int_equal(solo_change(&s, RAFT_REMOVE, 4), OK);
    solo_stop(&s);
}

/* §4.3: "log entries are replicated to all servers in both configurations", and "agreement (for
 * elections and entry commitment) requires separate majorities from both". */
static void a_joint_membership_needs_both_majorities(void **state)
{
    (void)state;
    struct raft_config cfg = raft_config_default(1, 42);
    cfg.strict_changes = false;
    struct solo s;
    lead_members(&s, &cfg, 3);
    struct raft_conf_change change = {.transition = RAFT_TRANSITION_JOINT_EXPLICIT, .n = 4};
    for (uint32_t i = 0; i < 2; i++) {
        change.single[i] = (struct raft_conf_single){.op = RAFT_REMOVE, .node = 2 + i};
        change.single[2 + i] = (struct raft_conf_single){
            .op = RAFT_ADD_VOTER, .node = 4 + i, .priority = RAFT_PRIORITY_DEFAULT};
    }
    assert_int_equal(
        solo_step(&s, (struct raft_event){.type = RAFT_EVENT_CHANGE, .change = &change}), OK);
    solo_ack(&s, 2, 3);
    assert_true(is_joint(&s));
    assert_int_equal(solo_propose(&s, 10), OK);
    raft_index last = solo_status(&s).last;
    solo_ack(&s, 2, last);
    solo_ack(&s, 3, last); /* all of the old ones */
    assert_true(solo_status(&s).committed < last);
    solo_ack(&s, 4, last); /* and a majority of the new */
    assert_int_equal(solo_status(&s).committed, last);
    assert_true(is_joint(&s)); /* left when somebody asks */
    assert_int_equal(change_two(&s, RAFT_TRANSITION_AUTO, 4, 6), ERR_REFUSED);
    struct raft_conf_change leave = {.n = 0};
    assert_int_equal(
        solo_step(&s, (struct raft_event){.type = RAFT_EVENT_CHANGE, .change = &leave}), OK);
    solo_ack_all(&s);
    assert_false(is_joint(&s));
    assert_int_equal(solo_status(&s).membership->n, 3);
    solo_stop(&s);
}

/* §4.3: "Once the joint consensus has been committed, the system then transitions to the new
 * configuration", here by the leader itself. */
static void a_joint_membership_is_left_automatically(void **state)
{
    (void)state;
    static const enum raft_transition transitions[] = {RAFT_TRANSITION_AUTO,
                                                       RAFT_TRANSITION_JOINT_IMPLICIT};
    for (size_t i = 0; i < COUNT_OF(transitions); i++) {
        struct raft_config cfg = raft_config_default(1, 42);
        cfg.strict_changes = false;
        struct solo s;
        lead_members(&s, &cfg, 3);
        assert_int_equal(change_two(&s, transitions[i], 3, 4), OK);
        solo_ack(&s, 2, 3);
        assert_true(is_joint(&s));
        assert_int_equal(solo_status(&s).last, 4); /* the entry that leaves it */
        solo_ack(&s, 2, 4);
        solo_ack(&s, 4, 4);
        assert_false(is_joint(&s));
        assert_null(raft_membership_lookup(solo_status(&s).membership, 3));
        solo_stop(&s);
    }
}

static void a_simple_change_may_not_be_two(void **state)
{
    (void)state;
    struct raft_config cfg = raft_config_default(1, 42);
    cfg.strict_changes = false;
    struct solo s;
    lead_members(&s, &cfg, 3);
    assert_int_equal(change_two(&s, RAFT_TRANSITION_SIMPLE, 3, 4), ERR_REFUSED);
    assert_int_equal(change_two(&s, RAFT_TRANSITION_FORCED, 3, 4), ERR_REFUSED);
    assert_int_equal(s.raft->conf_count, 0);
    assert_false(is_joint(&s));
    solo_stop(&s);
}

/* Several changes may be applied at one stroke; each looks only at what comes behind it. */
static void changes_that_are_applied_together_act_one_after_another(void **state)
{
    (void)state;
    struct raft_config cfg = raft_config_default(1, 42);
    cfg.validate_changes = false;
    struct solo s;
    lead_members(&s, &cfg, 3);
    s.hold_apply = true;
    for (node_id id = 4; id <= 7; id++) {
        assert_int_equal(solo_change(&s, RAFT_ADD_LEARNER, id), OK);
    }
    assert_int_equal(solo_change(&s, RAFT_ADD_VOTER, 4), OK);
    solo_ack(&s, 2, solo_status(&s).last);
    solo_apply(&s, s.applying);
    assert_int_equal(solo_status(&s).membership->n, 7);
    assert_int_equal(raft_membership_count(solo_status(&s).membership, RAFT_VOTER), 4);
    assert_int_equal(s.raft->conf_count, 0);
    solo_stop(&s);
}

/* §4.2.1: "Raft introduces an additional phase before the configuration change, in which a new
 * server joins the cluster as a non-voting member." "The replication of entries to the new server
 * is split into rounds", and one must last less than an election timeout. */
static void a_learner_is_promoted_when_it_has_caught_up(void **state)
{
    (void)state;
    struct raft_config cfg = raft_config_default(1, 42);
    cfg.strict_changes = false;
    struct solo s;
    lead_members(&s, &cfg, 3);
    assert_int_equal(solo_change(&s, RAFT_ADD_LEARNER, 4), OK);
    solo_ack(&s, 2, solo_status(&s).last);
    assert_int_equal(solo_change(&s, RAFT_ADD_VOTER, 4), ERR_REFUSED); /* it has nothing yet */
    solo_ack(&s, 2, solo_status(&s).last);
    solo_ack(&s, 4, 2); /* a round begins */
    raft_index target = solo_status(&s).last;
    assert_int_equal(solo_change(&s, RAFT_ADD_VOTER, 4), ERR_REFUSED);
    solo_ack(&s, 2, solo_status(&s).last);
    assert_false(solo_progress(&s, 4)->catch_up.done);
    solo_ack(&s, 4, target);
    assert_true(solo_progress(&s, 4)->catch_up.done);
    assert_int_equal(solo_change(&s, RAFT_ADD_VOTER, 4), OK);
    solo_stop(&s);
}

static void a_round_that_takes_too_long_does_not_promote(void **state)
{
    (void)state;
    struct raft_config cfg = raft_config_default(1, 42);
    cfg.strict_changes = false;
    struct solo s;
    lead_members(&s, &cfg, 3);
    assert_int_equal(solo_change(&s, RAFT_ADD_LEARNER, 4), OK);
    solo_ack(&s, 2, solo_status(&s).last);
    assert_int_equal(solo_propose(&s, 10), OK);
    solo_ack(&s, 4, 2);
    raft_index target = solo_status(&s).last;
    solo_wait_in_touch(&s, cfg.election_timeout + cfg.heartbeat_interval);
    solo_ack(&s, 2, solo_status(&s).last);
    solo_ack(&s, 4, target);
    assert_false(solo_progress(&s, 4)->catch_up.done);
    solo_stop(&s);
}

static void a_learner_may_be_promoted_without_asking(void **state)
{
    (void)state;
    struct raft_config cfg = raft_config_default(1, 42);
    struct solo s;
    lead_members(&s, &cfg, 3);
    struct raft_conf_change change = {.n = 1};
    change.single[0] = (struct raft_conf_single){
        .op = RAFT_ADD_LEARNER, .node = 4, .priority = RAFT_PRIORITY_DEFAULT, .auto_promote = true};
    assert_int_equal(
        solo_step(&s, (struct raft_event){.type = RAFT_EVENT_CHANGE, .change = &change}), OK);
    for (int i = 0; i < 10; i++) {
        solo_wait_in_touch(&s, cfg.heartbeat_interval);
        solo_ack_all(&s);
    }
    const struct raft_member *m = raft_membership_lookup(solo_status(&s).membership, 4);
    assert_int_equal(m->roles & (RAFT_VOTER | RAFT_LEARNER), RAFT_VOTER);
    solo_stop(&s);
}

/* §4.2.2: "a leader that is removed from the configuration steps down once the Cnew entry is
 * committed"; in one of the modes it tells the best voter to take over first, in another it leads
 * on "without counting itself". */
/* Those who are alive acknowledge everything, and answer heartbeats. */
static void members_live_on(struct solo *s, node_id silent, nanos span)
{
    nanos until = s->now + span;
    while (s->now < until) {
        solo_wait(s, s->cfg.heartbeat_interval);
        for (node_id id = 2; id <= 4; id++) {
            if (id != silent && solo_sent(s, RAFT_MSG_HEARTBEAT, id)) {
                solo_pulse(s, id);
                solo_ack(s, id, solo_status(s).last);
            }
        }
        solo_forget(s);
    }
}

/* A voter that has fallen silent for good becomes a learner. That it caught up once, as a learner,
 * does not make it a voter again. */
static void a_dead_voter_is_demoted_once(void **state)
{
    (void)state;
    struct raft_config cfg = raft_config_default(1, 42);
    cfg.demote_after = 5 * cfg.election_timeout;
    struct solo s;
    lead_members(&s, &cfg, 3);
    struct raft_conf_change change = {.n = 1};
    change.single[0] = (struct raft_conf_single){
        .op = RAFT_ADD_LEARNER, .node = 4, .priority = RAFT_PRIORITY_DEFAULT, .auto_promote = true};
    assert_int_equal(
        solo_step(&s, (struct raft_event){.type = RAFT_EVENT_CHANGE, .change = &change}), OK);
    solo_ack(&s, 2, solo_status(&s).last);
    members_live_on(&s, 0, 3 * cfg.election_timeout);
    assert_int_equal(raft_membership_lookup(solo_status(&s).membership, 4)->roles, RAFT_VOTER);
    raft_index before = solo_status(&s).last;
    members_live_on(&s, 4, 4 * cfg.demote_after);
    assert_true(raft_membership_lookup(solo_status(&s).membership, 4)->roles & RAFT_LEARNER);
    assert_int_equal(solo_status(&s).last, before + 1);
    members_live_on(&s, 0, 3 * cfg.election_timeout); /* it is back */
    assert_int_equal(raft_membership_lookup(solo_status(&s).membership, 4)->roles, RAFT_VOTER);
    solo_stop(&s);
}

static void a_leader_may_remove_itself(void **state)
{
    (void)state;
    static const enum raft_removal modes[] = {RAFT_REMOVAL_HAND_OVER, RAFT_REMOVAL_STEP_DOWN,
                                              RAFT_REMOVAL_STAY};
    for (size_t i = 0; i < COUNT_OF(modes); i++) {
        struct raft_config cfg = raft_config_default(1, 42);
        cfg.removal = modes[i];
        struct solo s;
        lead_members(&s, &cfg, 3);
        assert_int_equal(solo_change(&s, RAFT_REMOVE, 1), OK);
        assert_int_equal(solo_status(&s).role, RAFT_LEADER);
        solo_ack(&s, 2, 3);
        solo_ack(&s, 3, 3);
        assert_null(raft_membership_lookup(solo_status(&s).membership, 1));
        bool stays = modes[i] == RAFT_REMOVAL_STAY;
        assert_int_equal(solo_status(&s).role == RAFT_LEADER, stays);
        assert_int_equal(solo_count(&s, RAFT_MSG_TIMEOUT_NOW, NODE_NONE),
                         modes[i] == RAFT_REMOVAL_HAND_OVER);
        solo_wait(&s, 5 * cfg.election_timeout);
        assert_int_equal(solo_count(&s, RAFT_MSG_PRE_VOTE, NODE_NONE), 0); /* not a member */
        solo_stop(&s);
    }
}

/* A change after which those that are heard from are no quorum is refused: it would stop the group.
 */
static void refuses_a_change_that_would_leave_no_quorum(void **state)
{
    (void)state;
    for (int strict = 0; strict < 2; strict++) {
        struct raft_config cfg = raft_config_default(1, 42);
        cfg.strict_changes = strict;
        struct solo s;
        lead_members(&s, &cfg, 3);
        solo_wait(&s, cfg.heartbeat_interval);
        nanos until = s.now + 15 * cfg.heartbeat_interval;
        while (s.now < until) { /* 3 falls silent, 2 goes on */
            solo_wait(&s, cfg.heartbeat_interval);
            solo_pulse(&s, 2);
        }
        assert_int_equal(solo_change(&s, RAFT_REMOVE, 2), strict ? ERR_REFUSED : OK);
        solo_ack(&s, 2, solo_status(&s).last);
        assert_int_equal(solo_change(&s, RAFT_REMOVE, 3), OK);
        solo_stop(&s);
    }
}

/* A follower takes a change back with the entry that carried it. */
static void a_truncated_change_never_happened(void **state)
{
    (void)state;
    struct raft_config cfg = raft_config_default(1, 42);
    struct raft_membership ms = solo_voters(3);
    struct solo s;
    solo_start(&s, &cfg, &ms);
    struct raft_conf_change change = {.n = 1};
    change.single[0] = (struct raft_conf_single){.op = RAFT_REMOVE, .node = 3};
    struct buf payload;
    buf_init(&payload);
    raft_conf_change_encode(&change, &payload);
    struct raft_entry e = {
        .index = 2, .term = 2, .type = RAFT_ENTRY_CONF, .payload = buf_view(&payload)};
    struct raft_message m = {.type = RAFT_MSG_APP, .from = 2, .term = 2, .index = 1, .log_term = 1};
    m.entry_count = 1;
    m.entries = &e;
    assert_int_equal(solo_receive(&s, m), OK);
    struct raft_entry other = {.index = 2, .term = 3};
    m.entries = &other;
    m.term = 3;
    m.commit = 2;
    assert_int_equal(solo_receive(&s, m), OK);
    assert_int_equal(solo_status(&s).applied, 2);
    assert_int_equal(solo_status(&s).membership->n, 3);
    buf_deinit(&payload);
    solo_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_change_at_a_time),
        cmocka_unit_test(a_joint_membership_needs_both_majorities),
        cmocka_unit_test(a_joint_membership_is_left_automatically),
        cmocka_unit_test(a_simple_change_may_not_be_two),
        cmocka_unit_test(changes_that_are_applied_together_act_one_after_another),
        cmocka_unit_test(a_learner_is_promoted_when_it_has_caught_up),
        cmocka_unit_test(a_round_that_takes_too_long_does_not_promote),
        cmocka_unit_test(a_learner_may_be_promoted_without_asking),
        cmocka_unit_test(a_dead_voter_is_demoted_once),
        cmocka_unit_test(a_leader_may_remove_itself),
        cmocka_unit_test(refuses_a_change_that_would_leave_no_quorum),
        cmocka_unit_test(a_truncated_change_never_happened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
