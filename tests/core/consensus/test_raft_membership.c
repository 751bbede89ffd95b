/* Memberships and the changes that Raft allows to them [Ongaro14 ch. 4], with witnesses. */
#include "core/consensus/raft/raft_membership.h"

#include "tests/support/test.h"

#include <string.h>

#include "core/consensus/quorum.h"

static struct raft_membership membership_of(const char *roles)
{
    struct raft_membership ms = {0};
    node_id id = 1;
    for (; *roles != '\0'; roles++, id++) {
        switch (*roles) {
        case 'v':
            raft_membership_insert(&ms, id, RAFT_VOTER);
            break;
        case 's': /* a voter in sync */
            raft_membership_insert(&ms, id, RAFT_VOTER | RAFT_IN_SYNC);
            break;
        case 'w':
            raft_membership_insert(&ms, id, RAFT_VOTER | RAFT_WITNESS);
            break;
        case 'l':
            raft_membership_insert(&ms, id, RAFT_LEARNER);
            break;
        default: /* nobody has this id */
            break;
        }
    }
    return ms;
}

static struct raft_conf_single change_of(enum raft_conf_op op, node_id node)
{
    return (struct raft_conf_single){op, node, RAFT_PRIORITY_DEFAULT, false};
}

static uint8_t roles_of(const struct raft_membership *ms, node_id id)
{
    const struct raft_member *m = raft_membership_lookup(ms, id);
    return m ? m->roles : 0;
}

static enum raft_change_result change_simply(struct raft_membership *ms, enum raft_conf_op op,
                                             node_id node)
{
    struct raft_conf_single one = change_of(op, node);
    return raft_membership_simple(ms, &one, 1, ms);
}

static enum raft_change_result change_jointly(struct raft_membership *ms,
                                              const struct raft_conf_single *changes, uint32_t n)
{
    return raft_membership_enter_joint(ms, false, changes, n, ms);
}

/* --- members --------------------------------------------------------------------------------- */

static void keeps_members_in_the_order_of_ids(void **state)
{
    (void)state;
    struct raft_membership ms = {0};
    const node_id ids[] = {5, 1, UINT64_MAX, 3};
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        raft_membership_insert(&ms, ids[i], RAFT_VOTER);
    }
    const node_id sorted[] = {1, 3, 5, UINT64_MAX};
    for (size_t i = 0; i < COUNT_OF(sorted); i++) {
        assert_true(ms.member[i].id == sorted[i]);
        assert_int_equal(ms.member[i].priority, RAFT_PRIORITY_DEFAULT);
        assert_int_equal(raft_membership_slot(&ms, sorted[i]), i);
        assert_ptr_equal(raft_membership_find(&ms, sorted[i]), &ms.member[i]);
        assert_ptr_equal(raft_membership_lookup(&ms, sorted[i]), &ms.member[i]);
    }
    assert_int_equal(raft_membership_slot(&ms, 2), -1);
    assert_null(raft_membership_find(&ms, 2));
    assert_null(raft_membership_lookup(&ms, 2));
}

static void insert_twice(void *arg)
{
    (void)arg;
    struct raft_membership ms = membership_of("v");
    raft_membership_insert(&ms, 1, RAFT_LEARNER);
}

static void insert_nobody(void *arg)
{
    (void)arg;
    struct raft_membership ms = {0};
    raft_membership_insert(&ms, NODE_NONE, RAFT_VOTER);
}

static void nobody_joins_twice_and_zero_is_nobody(void **state)
{
    (void)state;
    assert_true(test_aborts(insert_twice, NULL));
    assert_true(test_aborts(insert_nobody, NULL));
}

static void knows_what_breaks_the_rules(void **state)
{
    (void)state;
    const uint8_t out = RAFT_VOTER_OUTGOING;
    const struct {
        uint8_t roles[3];
        bool auto_leave;
        bool valid;
    } cases[] = {
        {{RAFT_VOTER, RAFT_VOTER, RAFT_LEARNER}, false, true},
        {{RAFT_VOTER, out, out | RAFT_VOTER}, false, true},
        {{RAFT_VOTER, out | RAFT_LEARNER_NEXT, RAFT_VOTER}, true, true},
        {{RAFT_VOTER | RAFT_IN_SYNC, RAFT_VOTER, RAFT_VOTER | RAFT_WITNESS}, false, true},
        /* a part to play, and one at a time */
        {{RAFT_VOTER, RAFT_VOTER, 0}, false, false},
        {{RAFT_VOTER, RAFT_VOTER, RAFT_VOTER | RAFT_LEARNER}, false, false},
        {{RAFT_VOTER, out, out | RAFT_LEARNER}, false, false},
        /* a learner to be is on its way out */
        {{RAFT_VOTER, out, RAFT_VOTER | RAFT_LEARNER_NEXT}, false, false},
        {{RAFT_VOTER, out, out | RAFT_VOTER | RAFT_LEARNER_NEXT}, false, false},
        {{RAFT_VOTER, RAFT_VOTER, RAFT_LEARNER | RAFT_LEARNER_NEXT}, false, false},
        /* only a joint membership is left, and somebody leads what comes after */
        {{RAFT_VOTER, RAFT_VOTER, RAFT_VOTER}, true, false},
        {{RAFT_LEARNER, RAFT_LEARNER, RAFT_LEARNER}, false, false},
        {{out, out, RAFT_LEARNER}, false, false},
        /* witnesses vote; replicas are in sync, and only where there is a witness */
        {{RAFT_VOTER | RAFT_IN_SYNC, RAFT_VOTER, RAFT_LEARNER | RAFT_WITNESS}, false, false},
        {{RAFT_VOTER, RAFT_VOTER, RAFT_VOTER | RAFT_WITNESS}, false, false},
        {{RAFT_VOTER | RAFT_IN_SYNC, RAFT_VOTER, RAFT_VOTER}, false, false},
        {{RAFT_VOTER | RAFT_IN_SYNC, RAFT_VOTER, RAFT_VOTER | RAFT_WITNESS | RAFT_IN_SYNC},
         false,
         false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct raft_membership ms = {0};
        for (node_id id = 1; id <= 3; id++) {
            raft_membership_insert(&ms, id, cases[i].roles[id - 1]);
        }
        ms.auto_leave = cases[i].auto_leave;
        assert_int_equal(raft_membership_valid(&ms), cases[i].valid);
    }
    struct raft_membership ms = membership_of("vv");
    ms.member[1].id = 1;
    assert_false(raft_membership_valid(&ms));
    ms.n = RAFT_MEMBERS_MAX + 1;
    assert_false(raft_membership_valid(&ms));
}

/* --- simple changes -------------------------------------------------------------------------- */

static void changes_one_voter_at_a_time(void **state)
{
    (void)state;
    struct raft_membership ms = {0};
    assert_int_equal(change_simply(&ms, RAFT_ADD_VOTER, 1), RAFT_CHANGE_OK);
    assert_int_equal(change_simply(&ms, RAFT_ADD_VOTER, 2), RAFT_CHANGE_OK);
    assert_int_equal(change_simply(&ms, RAFT_ADD_LEARNER, 3), RAFT_CHANGE_OK);
    assert_int_equal(change_simply(&ms, RAFT_ADD_VOTER, 3), RAFT_CHANGE_OK);
    assert_int_equal(raft_membership_count(&ms, RAFT_VOTER), 3);
    assert_int_equal(change_simply(&ms, RAFT_ADD_LEARNER, 1), RAFT_CHANGE_OK);
    assert_int_equal(roles_of(&ms, 1), RAFT_LEARNER);
    assert_int_equal(change_simply(&ms, RAFT_REMOVE, 1), RAFT_CHANGE_OK);
    assert_int_equal(roles_of(&ms, 1), 0);

    struct raft_conf_single two[] = {change_of(RAFT_ADD_VOTER, 4), change_of(RAFT_ADD_VOTER, 5)};
    assert_int_equal(raft_membership_simple(&ms, two, 2, &ms), RAFT_CHANGE_TOO_WIDE);
    /* But any number of learners, who do not count. */
    two[0].op = two[1].op = RAFT_ADD_LEARNER;
    assert_int_equal(raft_membership_simple(&ms, two, 2, &ms), RAFT_CHANGE_OK);
}

static void does_not_remove_the_last_voter(void **state)
{
    (void)state;
    struct raft_membership ms = membership_of("vl");
    assert_int_equal(change_simply(&ms, RAFT_REMOVE, 1), RAFT_CHANGE_NO_VOTERS);
    assert_int_equal(change_simply(&ms, RAFT_ADD_LEARNER, 1), RAFT_CHANGE_NO_VOTERS);
    assert_int_equal(roles_of(&ms, 1), RAFT_VOTER);
}

static void marks_who_joined_by_the_last_change_alone(void **state)
{
    (void)state;
    struct raft_membership ms = membership_of("v");
    assert_int_equal(change_simply(&ms, RAFT_ADD_VOTER, 2), RAFT_CHANGE_OK);
    assert_int_equal(roles_of(&ms, 2), RAFT_VOTER | RAFT_FRESH);
    assert_int_equal(roles_of(&ms, 1), RAFT_VOTER);
    assert_int_equal(change_simply(&ms, RAFT_ADD_LEARNER, 3), RAFT_CHANGE_OK);
    assert_int_equal(roles_of(&ms, 2), RAFT_VOTER);
    assert_int_equal(roles_of(&ms, 3), RAFT_LEARNER | RAFT_FRESH);
    /* A promotion is no joining; to leave and come back within one change is. */
    assert_int_equal(change_simply(&ms, RAFT_ADD_VOTER, 3), RAFT_CHANGE_OK);
    assert_int_equal(roles_of(&ms, 3), RAFT_VOTER);
    struct raft_conf_single again[] = {change_of(RAFT_REMOVE, 3), change_of(RAFT_ADD_VOTER, 3)};
    assert_int_equal(raft_membership_simple(&ms, again, 2, &ms), RAFT_CHANGE_OK);
    assert_int_equal(roles_of(&ms, 3), RAFT_VOTER | RAFT_FRESH);
}

static void withdrawn_changes_do_nothing(void **state)
{
    (void)state;
    struct raft_membership ms = membership_of("vv");
    for (int op = 0; op < RAFT_CONF_OPS; op++) {
        assert_int_equal(change_simply(&ms, (enum raft_conf_op)op, NODE_NONE), RAFT_CHANGE_OK);
    }
    assert_int_equal(ms.n, 2);
}

static void keeps_priorities_and_changes_them(void **state)
{
    (void)state;
    struct raft_membership ms = membership_of("v");
    struct raft_conf_single c = change_of(RAFT_ADD_VOTER, 2);
    c.priority = 7;
    assert_int_equal(raft_membership_simple(&ms, &c, 1, &ms), RAFT_CHANGE_OK);
    assert_int_equal(raft_membership_lookup(&ms, 2)->priority, 7);
    c = change_of(RAFT_UPDATE, 2);
    c.priority = 0;
    assert_int_equal(raft_membership_simple(&ms, &c, 1, &ms), RAFT_CHANGE_OK);
    assert_int_equal(raft_membership_lookup(&ms, 2)->priority, 0);
    assert_int_equal(raft_membership_lookup(&ms, 1)->priority, RAFT_PRIORITY_DEFAULT);
    c = change_of(RAFT_UPDATE, 9);
    assert_int_equal(raft_membership_simple(&ms, &c, 1, &ms), RAFT_CHANGE_OK);
    assert_int_equal(ms.n, 2);
}

static void promotes_by_itself_only_learners(void **state)
{
    (void)state;
    struct raft_membership ms = membership_of("v");
    struct raft_conf_single c = change_of(RAFT_ADD_LEARNER, 2);
    c.auto_promote = true;
    assert_int_equal(raft_membership_simple(&ms, &c, 1, &ms), RAFT_CHANGE_OK);
    assert_int_equal(roles_of(&ms, 2), RAFT_LEARNER | RAFT_AUTO_PROMOTE | RAFT_FRESH);
    c.op = RAFT_ADD_VOTER;
    assert_int_equal(raft_membership_simple(&ms, &c, 1, &ms), RAFT_CHANGE_OK);
    assert_int_equal(roles_of(&ms, 2), RAFT_VOTER);
}

static void bounds_the_number_of_members(void **state)
{
    (void)state;
    struct raft_membership ms = {0};
    for (node_id id = 1; id <= RAFT_MEMBERS_MAX; id++) {
        assert_int_equal(change_simply(&ms, RAFT_ADD_VOTER, id), RAFT_CHANGE_OK);
    }
    const enum raft_conf_op adds[] = {RAFT_ADD_VOTER, RAFT_ADD_LEARNER, RAFT_ADD_WITNESS};
    for (size_t i = 0; i < COUNT_OF(adds); i++) {
        assert_int_equal(change_simply(&ms, adds[i], 100), RAFT_CHANGE_TOO_MANY);
    }
    assert_int_equal(change_simply(&ms, RAFT_REMOVE, 1), RAFT_CHANGE_OK);
    assert_int_equal(change_simply(&ms, RAFT_ADD_VOTER, 100), RAFT_CHANGE_OK);
}

static void refused_changes_leave_the_result_untouched(void **state)
{
    (void)state;
    struct raft_membership ms = membership_of("vv");
    struct raft_membership ret;
    struct raft_membership before;
    memset(&ret, 0x5a, sizeof(ret));
    before = ret;
    struct raft_conf_single wide[] = {change_of(RAFT_ADD_VOTER, 4), change_of(RAFT_ADD_VOTER, 5)};
    assert_int_not_equal(raft_membership_simple(&ms, wide, 2, &ret), RAFT_CHANGE_OK);
    assert_int_not_equal(raft_membership_leave_joint(&ms, &ret), RAFT_CHANGE_OK);
    struct raft_conf_single all[] = {change_of(RAFT_REMOVE, 1), change_of(RAFT_REMOVE, 2)};
    assert_int_not_equal(raft_membership_enter_joint(&ms, true, all, 2, &ret), RAFT_CHANGE_OK);
    assert_memory_equal(&ret, &before, sizeof(ret));
}

/* --- joint changes --------------------------------------------------------------------------- */

static void joint_membership_has_both_halves_until_it_is_left(void **state)
{
    (void)state;
    struct raft_membership ms = membership_of("vvv");
    struct raft_conf_single changes[] = {change_of(RAFT_REMOVE, 1), change_of(RAFT_ADD_VOTER, 4),
                                         change_of(RAFT_ADD_LEARNER, 5)};
    assert_int_equal(raft_membership_enter_joint(&ms, true, changes, 3, &ms), RAFT_CHANGE_OK);
    assert_true(raft_membership_is_joint(&ms));
    assert_true(ms.auto_leave);
    assert_int_equal(roles_of(&ms, 1), RAFT_VOTER_OUTGOING);
    assert_int_equal(roles_of(&ms, 2), RAFT_VOTER | RAFT_VOTER_OUTGOING);
    assert_int_equal(roles_of(&ms, 4), RAFT_VOTER | RAFT_FRESH);
    assert_int_equal(roles_of(&ms, 5), RAFT_LEARNER | RAFT_FRESH);

    assert_int_equal(raft_membership_leave_joint(&ms, &ms), RAFT_CHANGE_OK);
    assert_false(raft_membership_is_joint(&ms));
    assert_false(ms.auto_leave);
    assert_int_equal(roles_of(&ms, 1), 0);
    assert_int_equal(raft_membership_count(&ms, RAFT_VOTER), 3);
    assert_int_equal(roles_of(&ms, 5), RAFT_LEARNER);
}

static void demoted_voter_becomes_a_learner_when_the_joint_membership_is_left(void **state)
{
    (void)state;
    struct raft_membership ms = membership_of("vv");
    struct raft_conf_single c = change_of(RAFT_ADD_LEARNER, 1);
    assert_int_equal(change_jointly(&ms, &c, 1), RAFT_CHANGE_OK);
    assert_int_equal(roles_of(&ms, 1), RAFT_VOTER_OUTGOING | RAFT_LEARNER_NEXT);
    assert_int_equal(raft_membership_leave_joint(&ms, &ms), RAFT_CHANGE_OK);
    assert_int_equal(roles_of(&ms, 1), RAFT_LEARNER);
}

static void one_joint_change_at_a_time(void **state)
{
    (void)state;
    struct raft_membership ms = membership_of("vv");
    assert_int_equal(raft_membership_leave_joint(&ms, &ms), RAFT_CHANGE_NOT_JOINT);
    struct raft_conf_single c = change_of(RAFT_ADD_VOTER, 3);
    assert_int_equal(change_jointly(&ms, &c, 1), RAFT_CHANGE_OK);
    assert_int_equal(change_jointly(&ms, &c, 1), RAFT_CHANGE_ALREADY_JOINT);
    assert_int_equal(raft_membership_simple(&ms, &c, 1, &ms), RAFT_CHANGE_SIMPLE_IN_JOINT);

    struct raft_membership nobody = {0};
    assert_int_equal(change_jointly(&nobody, &c, 1), RAFT_CHANGE_EMPTY_BASE);
}

static enum raft_change_result apply_of(struct raft_membership *ms, enum raft_transition transition,
                                        uint32_t n)
{
    struct raft_conf_change change = {.transition = transition, .n = n};
    for (uint32_t i = 0; i < n; i++) {
        change.single[i] = change_of(RAFT_ADD_VOTER, 10 + i);
    }
    return raft_membership_apply(ms, &change, ms);
}

static void transition_chooses_the_kind_of_change(void **state)
{
    (void)state;
    const struct {
        enum raft_transition transition;
        uint32_t n;
        enum raft_change_result result;
        bool joint;
        bool auto_leave;
    } cases[] = {
        {RAFT_TRANSITION_AUTO, 1, RAFT_CHANGE_OK, false, false},
        {RAFT_TRANSITION_AUTO, 2, RAFT_CHANGE_OK, true, true},
        {RAFT_TRANSITION_AUTO, 0, RAFT_CHANGE_NOT_JOINT, false, false},
        {RAFT_TRANSITION_JOINT_IMPLICIT, 1, RAFT_CHANGE_OK, true, true},
        {RAFT_TRANSITION_JOINT_EXPLICIT, 1, RAFT_CHANGE_OK, true, false},
        {RAFT_TRANSITION_JOINT_EXPLICIT, 0, RAFT_CHANGE_OK, true, false},
        {RAFT_TRANSITION_SIMPLE, 1, RAFT_CHANGE_OK, false, false},
        {RAFT_TRANSITION_SIMPLE, 2, RAFT_CHANGE_TOO_WIDE, false, false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct raft_membership ms = membership_of("v");
        assert_int_equal(apply_of(&ms, cases[i].transition, cases[i].n), cases[i].result);
        assert_int_equal(raft_membership_is_joint(&ms), cases[i].joint);
        assert_int_equal(ms.auto_leave, cases[i].auto_leave);
        if (cases[i].joint) {
            assert_int_equal(apply_of(&ms, RAFT_TRANSITION_AUTO, 0), RAFT_CHANGE_OK);
            assert_false(raft_membership_is_joint(&ms));
        }
    }
}

static void forced_change_leaves_one_voter_alone(void **state)
{
    (void)state;
    struct raft_membership ms = membership_of("ssw");
    struct raft_conf_change change = {.transition = RAFT_TRANSITION_FORCED, .n = 1};
    change.single[0] = change_of(RAFT_ADD_VOTER, 2);
    assert_int_equal(raft_membership_apply(&ms, &change, &ms), RAFT_CHANGE_OK);
    assert_int_equal(ms.n, 1);
    assert_int_equal(roles_of(&ms, 2) & ~RAFT_FRESH, RAFT_VOTER);

    change.n = 2;
    change.single[1] = change_of(RAFT_ADD_VOTER, 3);
    assert_int_not_equal(raft_membership_apply(&ms, &change, &ms), RAFT_CHANGE_OK);
    change.n = 1;
    change.single[0] = change_of(RAFT_ADD_VOTER, NODE_NONE);
    assert_int_not_equal(raft_membership_apply(&ms, &change, &ms), RAFT_CHANGE_OK);
    change.single[0] = change_of(RAFT_ADD_WITNESS, 2);
    assert_int_not_equal(raft_membership_apply(&ms, &change, &ms), RAFT_CHANGE_OK);
}

/* --- witnesses ------------------------------------------------------------------------------- */

static void first_witness_puts_every_replica_in_sync(void **state)
{
    (void)state;
    struct raft_membership ms = membership_of("vvl");
    assert_int_equal(change_simply(&ms, RAFT_ADD_WITNESS, 4), RAFT_CHANGE_OK);
    assert_int_equal(roles_of(&ms, 1), RAFT_VOTER | RAFT_IN_SYNC);
    assert_int_equal(roles_of(&ms, 2), RAFT_VOTER | RAFT_IN_SYNC);
    assert_int_equal(roles_of(&ms, 3), RAFT_LEARNER);
    assert_int_equal(roles_of(&ms, 4), RAFT_VOTER | RAFT_WITNESS | RAFT_FRESH);
}

static void last_witness_takes_the_in_sync_set_with_it(void **state)
{
    (void)state;
    struct raft_membership ms = membership_of("svw");
    assert_int_equal(change_simply(&ms, RAFT_REMOVE, 3), RAFT_CHANGE_OK);
    assert_false(raft_membership_has_witness(&ms));
    assert_int_equal(raft_membership_count(&ms, RAFT_IN_SYNC), 0);
}

static void replica_that_joins_a_witness_is_not_in_sync_yet(void **state)
{
    (void)state;
    struct raft_membership ms = membership_of("sswl");
    assert_int_equal(change_simply(&ms, RAFT_ADD_VOTER, 4), RAFT_CHANGE_OK);
    assert_int_equal(roles_of(&ms, 4), RAFT_VOTER);
    assert_int_equal(change_simply(&ms, RAFT_ADD_VOTER, 5), RAFT_CHANGE_OK);
    assert_int_equal(roles_of(&ms, 5), RAFT_VOTER | RAFT_FRESH);
}

static void witness_stays_a_witness(void **state)
{
    (void)state;
    struct raft_membership ms = membership_of("sswl");
    assert_int_equal(change_simply(&ms, RAFT_ADD_VOTER, 3), RAFT_CHANGE_WITNESS_FLIP);
    assert_int_equal(change_simply(&ms, RAFT_ADD_LEARNER, 3), RAFT_CHANGE_WITNESS_FLIP);
    assert_int_equal(change_simply(&ms, RAFT_ADD_WITNESS, 1), RAFT_CHANGE_WITNESS_FLIP);
    assert_int_equal(change_simply(&ms, RAFT_ADD_WITNESS, 4), RAFT_CHANGE_WITNESS_FLIP);
    assert_int_equal(change_simply(&ms, RAFT_ADD_WITNESS, 3), RAFT_CHANGE_OK);
}

static void somebody_who_holds_the_data_must_stay(void **state)
{
    (void)state;
    struct raft_membership ms = membership_of("sww");
    assert_int_equal(change_simply(&ms, RAFT_REMOVE, 1), RAFT_CHANGE_NO_FULL_VOTER);
    assert_int_equal(change_simply(&ms, RAFT_ADD_LEARNER, 1), RAFT_CHANGE_NO_FULL_VOTER);
    struct raft_membership nobody = {0};
    assert_int_equal(change_simply(&nobody, RAFT_ADD_WITNESS, 1), RAFT_CHANGE_NO_FULL_VOTER);
}

static void somebody_in_sync_must_stay(void **state)
{
    (void)state;
    struct raft_membership ms = membership_of("svw");
    assert_int_equal(change_simply(&ms, RAFT_REMOVE, 1), RAFT_CHANGE_NO_IN_SYNC);
    assert_int_equal(change_simply(&ms, RAFT_ADD_LEARNER, 1), RAFT_CHANGE_NO_IN_SYNC);
    assert_int_equal(change_simply(&ms, RAFT_REMOVE, 2), RAFT_CHANGE_OK);
    assert_int_equal(roles_of(&ms, 1), RAFT_VOTER | RAFT_IN_SYNC);
}

static void demoted_replica_is_in_sync_no_more(void **state)
{
    (void)state;
    struct raft_membership ms = membership_of("ssw");
    assert_int_equal(change_simply(&ms, RAFT_ADD_LEARNER, 2), RAFT_CHANGE_OK);
    assert_int_equal(roles_of(&ms, 2), RAFT_LEARNER);
    assert_int_equal(roles_of(&ms, 1), RAFT_VOTER | RAFT_IN_SYNC);
}

/* Replaces every replica: the joint membership is left once a new one is in sync. */
static void joint_membership_is_left_only_with_somebody_in_sync(void **state)
{
    (void)state;
    struct raft_membership ms = membership_of("ssw");
    struct raft_conf_single changes[] = {change_of(RAFT_REMOVE, 1), change_of(RAFT_REMOVE, 2),
                                         change_of(RAFT_ADD_VOTER, 4),
                                         change_of(RAFT_ADD_VOTER, 5)};
    assert_int_equal(change_jointly(&ms, changes, 4), RAFT_CHANGE_OK);
    assert_int_equal(roles_of(&ms, 1), RAFT_VOTER_OUTGOING | RAFT_IN_SYNC);
    assert_int_equal(raft_membership_leave_joint(&ms, &ms), RAFT_CHANGE_NO_IN_SYNC);
    raft_membership_find(&ms, 4)->roles |= RAFT_IN_SYNC;
    assert_int_equal(raft_membership_leave_joint(&ms, &ms), RAFT_CHANGE_OK);
    assert_int_equal(roles_of(&ms, 1), 0);
    assert_int_equal(roles_of(&ms, 4), RAFT_VOTER | RAFT_IN_SYNC);
}

/* --- properties ------------------------------------------------------------------------------ */

/* Can the members in `set` (bit i: slot i of the ids 1..8) decide alone? */
static bool membership_decides(const struct raft_membership *ms, unsigned set)
{
    const uint8_t halves[] = {RAFT_VOTER, RAFT_VOTER_OUTGOING};
    for (size_t h = 0; h < COUNT_OF(halves); h++) {
        unsigned n = 0;
        unsigned yes = 0;
        for (uint32_t i = 0; i < ms->n; i++) {
            bool votes = (ms->member[i].roles & halves[h]) != 0;
            n += votes;
            yes += votes && (set & (1u << ms->member[i].id)) != 0;
        }
        if (quorum_tally(yes, n - yes, n) != QUORUM_WON) {
            return false;
        }
    }
    return true;
}

static void assert_quorum_is_told(const struct raft_membership *ms, unsigned set)
{
    uint32_t slots = 0;
    for (uint32_t i = 0; i < ms->n; i++) {
        slots |= (set >> ms->member[i].id & 1u) << i;
    }
    assert_int_equal(raft_membership_is_quorum(ms, slots), membership_decides(ms, set));
}

static void assert_quorums_overlap(const struct raft_membership *a, const struct raft_membership *b)
{
    for (unsigned set = 0; set < 1u << 9; set++) {
        assert_false(membership_decides(a, set) && membership_decides(b, ~set));
        assert_quorum_is_told(a, set);
    }
}

static struct raft_conf_change draw_change(struct prng *prng)
{
    struct raft_conf_change change = {
        .transition = (enum raft_transition)prng_below(prng, RAFT_TRANSITION_FORCED),
        .n = (uint32_t)prng_below(prng, 4),
    };
    for (uint32_t i = 0; i < change.n; i++) {
        change.single[i] = (struct raft_conf_single){
            .op = (enum raft_conf_op)prng_below(prng, RAFT_CONF_OPS),
            .node = prng_below(prng, 9),
            .priority = (uint8_t)prng_below(prng, 256),
            .auto_promote = prng_chance(prng, 1, 2),
        };
    }
    return change;
}

/* What an in-sync entry may do at any time: a replica catches up, or falls behind. */
static void draw_in_sync(struct prng *prng, struct raft_membership *ms)
{
    struct raft_member *m = raft_membership_find(ms, prng_range(prng, 1, 8));
    if (m && raft_membership_has_witness(ms) && raft_member_is_full_voter(m)) {
        m->roles ^= RAFT_IN_SYNC;
        if (!raft_membership_valid(ms)) {
            m->roles ^= RAFT_IN_SYNC;
        }
    }
}

/* Whatever is asked for: a change that is carried out gives a valid membership, in which every
 * decision shares a member with every decision of the one before [Ongaro14 §4.1, §4.3]. */
static void consecutive_memberships_share_their_decisions(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    struct raft_membership ms = {0};
    size_t done = 0;
    size_t rounds = test_rounds(20000);
    for (size_t round = 0; round < rounds; round++) {
        struct raft_conf_change change = draw_change(&prng);
        struct raft_membership next;
        if (raft_membership_apply(&ms, &change, &next) == RAFT_CHANGE_OK) {
            assert_true(raft_membership_valid(&next));
            if (ms.n > 0) {
                assert_quorums_overlap(&ms, &next);
            }
            ms = next;
            done++;
        }
        draw_in_sync(&prng, &ms);
        if (prng_chance(&prng, 1, 200)) {
            memset(&ms, 0, sizeof(ms));
        }
    }
    assert_true(done > rounds / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_members_in_the_order_of_ids),
        cmocka_unit_test(nobody_joins_twice_and_zero_is_nobody),
        cmocka_unit_test(knows_what_breaks_the_rules),
        cmocka_unit_test(changes_one_voter_at_a_time),
        cmocka_unit_test(does_not_remove_the_last_voter),
        cmocka_unit_test(marks_who_joined_by_the_last_change_alone),
        cmocka_unit_test(withdrawn_changes_do_nothing),
        cmocka_unit_test(keeps_priorities_and_changes_them),
        cmocka_unit_test(promotes_by_itself_only_learners),
        cmocka_unit_test(bounds_the_number_of_members),
        cmocka_unit_test(refused_changes_leave_the_result_untouched),
        cmocka_unit_test(joint_membership_has_both_halves_until_it_is_left),
        cmocka_unit_test(demoted_voter_becomes_a_learner_when_the_joint_membership_is_left),
        cmocka_unit_test(one_joint_change_at_a_time),
        cmocka_unit_test(transition_chooses_the_kind_of_change),
        cmocka_unit_test(forced_change_leaves_one_voter_alone),
        cmocka_unit_test(first_witness_puts_every_replica_in_sync),
        cmocka_unit_test(last_witness_takes_the_in_sync_set_with_it),
        cmocka_unit_test(replica_that_joins_a_witness_is_not_in_sync_yet),
        cmocka_unit_test(witness_stays_a_witness),
        cmocka_unit_test(somebody_who_holds_the_data_must_stay),
        cmocka_unit_test(somebody_in_sync_must_stay),
        cmocka_unit_test(demoted_replica_is_in_sync_no_more),
        cmocka_unit_test(joint_membership_is_left_only_with_somebody_in_sync),
        cmocka_unit_test(consecutive_memberships_share_their_decisions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
