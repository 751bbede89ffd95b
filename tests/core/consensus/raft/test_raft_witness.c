/* Witnesses: the rules that the opening of raft_witness.c numbers, each sentence of them. */
#include "core/consensus/raft/raft_int.h"
#include "tests/support/raft_solo.h"
#include "tests/support/test.h"

/* Voters 1..n of which the last `witnesses` are witnesses; in_sync: a mask of ids, 0: not said. */
static struct raft_membership with_witnesses(uint32_t n, uint32_t witnesses, uint32_t in_sync)
{
    struct raft_membership ms = solo_voters(n);
    for (uint32_t i = 0; i < n; i++) {
        bool witness = i >= n - witnesses;
        bool in = !witness && (in_sync >> ms.member[i].id & 1);
        ms.member[i].roles |= (uint8_t)((witness ? RAFT_WITNESS : 0) | (in ? RAFT_IN_SYNC : 0));
    }
    return ms;
}

static void start_member(struct solo *s, node_id id, const struct raft_membership *ms)
{
    struct raft_config cfg = raft_config_default(id, 42);
    solo_start(s, &cfg, ms);
}

static unsigned bits(uint32_t set)
{
    return (unsigned)__builtin_popcount(set);
}

static uint32_t in_sync_of(const struct solo *s)
{
    const struct raft_membership *ms = solo_status(s).membership;
    uint32_t set = 0;
    for (uint32_t i = 0; i < ms->n; i++) {
        set |= ms->member[i].roles & RAFT_IN_SYNC ? 1U << ms->member[i].id : 0;
    }
    return set;
}

/* Rule 1: "It begins with all of them". */
static void everybody_with_the_data_is_in_sync_at_first(void **state)
{
    (void)state;
    struct raft_membership ms = with_witnesses(5, 2, 0);
    struct solo s;
    start_member(&s, 1, &ms);
    assert_int_equal(in_sync_of(&s), 2 + 4 + 8);
    assert_false(solo_status(&s).exposed);
    solo_stop(&s);
}

/* Does any majority of `n` voters lack a member of `in_sync` that stored the entry? */
static bool some_majority_lacks_it(uint32_t n, uint32_t stored, uint32_t in_sync)
{
    for (uint32_t majority = 0; majority < 1U << (n + 1); majority += 2) {
        if (2 * bits(majority) > n && (majority & stored & in_sync) == 0) {
            return true;
        }
    }
    return false;
}

/* One case of rule 2: the leader, 1, and the members of `stored` have the entry. */
static void check_commit_rule(uint32_t n, uint32_t witnesses, uint32_t in_sync, uint32_t stored)
{
    struct raft_membership ms = with_witnesses(n, witnesses, in_sync);
    struct solo s;
    start_member(&s, 1, &ms);
    solo_elect(&s);
    for (node_id id = 2; id <= n; id++) {
        if (stored >> id & 1) {
            solo_ack(&s, id, 2);
        }
    }
    unsigned quorum = n / 2 + 1;
    unsigned copies = (unsigned)u64_min(bits(in_sync), n - quorum + 1);
    bool asked = bits(stored) >= quorum && bits(stored & in_sync) >= copies;
    bool committed = solo_status(&s).committed == 2;
    assert_int_equal(committed, asked);
    /* What the rule is for: whoever may elect meets a copy; where all of I has it, the candidate,
     * who is in I, is one. */
    bool all_have_it = (in_sync & ~stored) == 0;
    assert_true(!committed || all_have_it || !some_majority_lacks_it(n, stored, in_sync));
    solo_stop(&s);
}

/* Rule 2, in every case of three to five voters. */
static void an_entry_commits_with_a_majority_and_enough_copies_in_sync(void **state)
{
    (void)state;
    for (uint32_t n = 3; n <= 5; n++) {
        for (uint32_t witnesses = 1; 2 * witnesses < n; witnesses++) {
            uint32_t replicas = (1U << (n - witnesses + 1)) - 2;
            for (uint32_t in_sync = 2; in_sync <= replicas; in_sync += 4) { /* with 1 in it */
                for (uint32_t stored = 2; stored < 1U << (n + 1); stored += 4) {
                    check_commit_rule(n, witnesses, in_sync, stored);
                }
            }
        }
    }
}

/* Rule 3: "A replica campaigns only as a member of the newest I that it has stored." */
static void whoever_is_out_of_sync_does_not_campaign(void **state)
{
    (void)state;
    struct raft_membership ms = with_witnesses(3, 1, 1U << 2);
    struct solo s;
    start_member(&s, 1, &ms);
    assert_int_equal(solo_event(&s, RAFT_EVENT_CAMPAIGN, 0), ERR_REFUSED);
    solo_wait(&s, 5 * s.cfg.election_timeout);
    assert_int_equal(solo_count(&s, RAFT_MSG_PRE_VOTE, NODE_NONE), 0);
    solo_stop(&s);
    start_member(&s, 2, &ms);
    assert_int_equal(solo_event(&s, RAFT_EVENT_CAMPAIGN, 0), OK);
    solo_stop(&s);
}

static bool grants(struct solo *s, node_id from, raft_index index, raft_term log_term)
{
    struct raft_message ask = {.type = RAFT_MSG_PRE_VOTE, .from = from, .term = 50};
    ask.index = index;
    ask.log_term = log_term;
    solo_forget(s);
    assert_int_equal(solo_receive(s, ask), OK);
    return !solo_sent(s, RAFT_MSG_PRE_VOTE_RESP, from)->reject;
}

/* Rule 4: a voter outside of I grants its vote also "to a member of that I whose log is up to date
 * with its own up to p, the entry from which that I decides". */
static void a_witness_measures_the_in_sync_by_where_their_set_begins(void **state)
{
    (void)state;
    struct raft_membership ms = with_witnesses(3, 1, 1U << 2); /* replica 1 is out */
    struct raft_saved saved = solo_founding(&ms);
    saved.hard_state.term = 5;
    const raft_term terms[] = {4, 4, 5}; /* heads that perhaps no replica has any more */
    struct raft_config cfg = raft_config_default(3, 42);
    struct solo s;
    solo_start_saved(&s, &cfg, &saved, terms, 3);
    assert_true(grants(&s, 1, 4, 5)); /* Raft's own rule, for anybody */
    assert_false(grants(&s, 1, 3, 4));
    assert_true(grants(&s, 2, 1, 1)); /* p is 1 */
    assert_true(grants(&s, 2, 3, 4));
    assert_false(grants(&s, 2, 0, 0));
    solo_stop(&s);
    cfg.id = 2; /* and a voter inside of I compares whole logs */
    solo_start_saved(&s, &cfg, &saved, terms, 3);
    assert_false(grants(&s, 1, 3, 4));
    solo_stop(&s);
}

static void lead_with_witness(struct solo *s)
{
    struct raft_membership ms = with_witnesses(3, 1, 0);
    start_member(s, 1, &ms);
    solo_elect(s);
    solo_ack_all(s);
    solo_forget(s);
}

/* The witness alone answers for `span`. */
static void lose_the_replica(struct solo *s, nanos span)
{
    for (nanos until = s->now + span; s->now < until;) {
        solo_wait(s, s->cfg.heartbeat_interval);
        solo_pulse(s, 3);
        solo_ack(s, 3, s->raft->peer[2].pr.next - 1);
    }
}

/* Rule 6: "A leader takes a replica out when it falls silent for an election timeout [...] it adds
 * one that has caught up." Then the witness makes the majority, and an operator hears of it. */
static void a_silent_replica_is_taken_out_and_comes_back(void **state)
{
    (void)state;
    struct solo s;
    lead_with_witness(&s);
    assert_int_equal(solo_propose(&s, 10), OK);
    solo_ack(&s, 3, 3);
    assert_int_equal(solo_status(&s).committed, 2); /* one copy of the data is not enough */
    lose_the_replica(&s, 3 * s.cfg.election_timeout);
    assert_int_equal(in_sync_of(&s), 2);
    assert_int_equal(solo_status(&s).committed, solo_status(&s).last);
    assert_true(solo_status(&s).exposed);
    assert_true(s.alarms & RAFT_ALARM_EXPOSED);
    for (int i = 0; i < 40; i++) {
        solo_wait_in_touch(&s, s.cfg.heartbeat_interval);
        solo_ack_all(&s);
    }
    assert_int_equal(in_sync_of(&s), 2 + 4);
    assert_false(solo_status(&s).exposed);
    solo_stop(&s);
}

/* Rule 4, the end: "A leader sends an entry that changes I to others only when it is on its own
 * disk". */
static void a_change_of_the_set_waits_for_the_leaders_disk(void **state)
{
    (void)state;
    struct solo s;
    lead_with_witness(&s);
    s.cfg.stall_timeout = 0;
    s.raft->cfg.stall_timeout = 0; /* this disk is slow on purpose */
    s.hold_disk = true;
    lose_the_replica(&s, 3 * s.cfg.election_timeout);
    raft_index change = s.raft->in_sync[0].index;
    assert_true(s.raft->in_sync_count > 0);
    for (size_t i = 0; i < s.sent_count; i++) {
        const struct raft_message *m = &s.sent[i]->m;
        assert_true(m->type != RAFT_MSG_APP || m->index + m->entry_count < change);
    }
    s.hold_disk = false;
    solo_sync(&s, s.batch_count);
    assert_true(solo_sent(&s, RAFT_MSG_APP, 3)->index +
                    solo_sent(&s, RAFT_MSG_APP, 3)->entry_count >=
                change);
    solo_stop(&s);
}

/* The set never becomes empty: a leader stays in sync with itself. */
static void the_last_one_in_sync_stays(void **state)
{
    (void)state;
    struct solo s;
    lead_with_witness(&s);
    lose_the_replica(&s, 10 * s.cfg.election_timeout);
    assert_int_equal(in_sync_of(&s), 2);
    assert_int_equal(solo_status(&s).role, RAFT_LEADER);
    solo_stop(&s);
}

/* "A witness votes and stores the heads of all entries, but no payloads." */
static void a_witness_is_sent_heads_alone(void **state)
{
    (void)state;
    struct solo s;
    lead_with_witness(&s);
    assert_int_equal(solo_propose(&s, 100), OK);
    assert_int_equal(solo_sent(&s, RAFT_MSG_APP, 2)->entries[0].payload.len, 100);
    assert_int_equal(solo_sent(&s, RAFT_MSG_APP, 3)->entries[0].payload.len, 0);
    assert_int_equal(solo_sent(&s, RAFT_MSG_APP, 3)->entries[0].index, 3);
    assert_int_equal(solo_event(&s, RAFT_EVENT_TRANSFER, 3), ERR_REFUSED); /* and never leads */
    solo_stop(&s);
}

/* A follower of a term 3 that is given a change of the members, of which it never hears more. */
static void store_change(struct solo *s, enum raft_conf_op op, node_id node)
{
    struct raft_conf_change change = {.transition = RAFT_TRANSITION_AUTO, .n = 1};
    change.single[0] =
        (struct raft_conf_single){.op = op, .node = node, .priority = RAFT_PRIORITY_DEFAULT};
    struct buf payload;
    buf_init(&payload);
    raft_conf_change_encode(&change, &payload);
    struct raft_entry e = {
        .index = 2, .term = 3, .type = RAFT_ENTRY_CONF, .payload = buf_view(&payload)};
    struct raft_message m = {.type = RAFT_MSG_APP, .from = 2, .term = 3, .index = 1, .log_term = 1};
    m.entry_count = 1;
    m.entries = &e;
    assert_int_equal(solo_receive(s, m), OK);
    buf_deinit(&payload);
    assert_int_equal(solo_event(s, RAFT_EVENT_FORGET_LEADER, 0), OK);
}

static void receive_change(struct solo *s, enum raft_conf_op op, node_id node)
{
    store_change(s, op, node);
    assert_int_equal(solo_event(s, RAFT_EVENT_CAMPAIGN, 0), OK);
}

/* Rule 4 behind a change of the members: would replica 3, outside of the set {1 2} of the members 1
 * to 3 and a witness 4, vote for replica 2, which has nothing of the change? */
static bool grants_behind(enum raft_conf_op op, node_id node)
{
    struct raft_membership ms = with_witnesses(4, 1, 1U << 1 | 1U << 2);
    struct solo s;
    start_member(&s, 3, &ms);
    assert_true(grants(&s, 2, 1, 1));
    store_change(&s, op, node);
    bool granted = grants(&s, 2, 1, 1);
    assert_true(grants(&s, 2, 2, 3));
    solo_stop(&s);
    return granted;
}

/* "every I has the candidate in it": what follows the end of the witnesses, or of the candidate, is
 * compared as a whole. */
static void a_change_of_the_members_ends_the_sets_that_a_voter_cuts_at(void **state)
{
    (void)state;
    assert_false(grants_behind(RAFT_REMOVE, 4));
    assert_false(grants_behind(RAFT_REMOVE, 2));
    assert_true(grants_behind(RAFT_REMOVE, 1)); /* the set is {2} then */
}

/* And so such a change goes first to those of the set. */
static void the_end_of_the_witnesses_waits_for_the_leaders_disk(void **state)
{
    (void)state;
    struct raft_membership ms = with_witnesses(4, 1, 1U << 1 | 1U << 2);
    struct solo s;
    start_member(&s, 1, &ms);
    solo_elect(&s);
    solo_wait_in_touch(&s, 3 * s.cfg.heartbeat_interval);
    solo_ack(&s, 2, solo_status(&s).last);
    solo_ack(&s, 4, solo_status(&s).last);
    solo_forget(&s);
    s.hold_disk = true;
    assert_int_equal(solo_change(&s, RAFT_REMOVE, 4), OK);
    assert_int_equal(solo_sent(&s, RAFT_MSG_APP, 2)->entry_count, 0);
    assert_int_equal(solo_sent(&s, RAFT_MSG_APP, 4)->entry_count, 0);
    s.hold_disk = false;
    solo_sync(&s, s.batch_count);
    assert_int_equal(solo_sent(&s, RAFT_MSG_APP, 2)->entry_count, 1);
    assert_int_equal(solo_sent(&s, RAFT_MSG_APP, 4)->entry_count, 1);
    solo_stop(&s);
}

/* Rule 2 in a joint membership: 1 to 4 in both halves, the witness 5 leaves, 6 comes. The half with
 * the witness has only two of the set {1 2 6}, so whoever leads must have the entry: 6, too. */
static void in_a_joint_membership_all_of_the_set_is_asked(void **state)
{
    (void)state;
    struct raft_membership ms = solo_voters(6);
    for (uint32_t i = 0; i < ms.n; i++) {
        node_id id = ms.member[i].id;
        ms.member[i].roles |= id < 6 ? RAFT_VOTER_OUTGOING : 0;
        ms.member[i].roles |= id == 1 || id == 2 || id == 6 ? RAFT_IN_SYNC : 0;
    }
    ms.member[4].roles = RAFT_VOTER_OUTGOING | RAFT_WITNESS;
    struct solo s;
    start_member(&s, 1, &ms);
    solo_elect(&s);
    solo_ack(&s, 2, 2);
    solo_ack(&s, 3, 2);
    assert_int_equal(solo_status(&s).committed, 1); /* 3, 4 and 5 would elect 6 */
    solo_ack(&s, 6, 2);
    assert_int_equal(solo_status(&s).committed, 2);
    solo_stop(&s);
}

static void grant_vote(struct solo *s, enum raft_message_type type, node_id from)
{
    struct raft_message m = {.type = type, .from = from, .term = 4};
    assert_int_equal(solo_receive(s, m), OK);
}

/* Rule 7. Under the members that follow, entries commit with two copies, which a majority of those
 * before need not contain: 1, 4 and the witness. */
static void a_candidate_wins_under_the_changes_in_its_log_too(void **state)
{
    (void)state;
    struct raft_membership ms = with_witnesses(5, 1, 0);
    struct solo s;
    start_member(&s, 1, &ms);
    receive_change(&s, RAFT_REMOVE, 4);
    grant_vote(&s, RAFT_MSG_PRE_VOTE_RESP, 4);
    grant_vote(&s, RAFT_MSG_PRE_VOTE_RESP, 5);
    assert_int_equal(solo_status(&s).role, RAFT_PRE_CANDIDATE);
    grant_vote(&s, RAFT_MSG_PRE_VOTE_RESP, 2);
    assert_int_equal(solo_status(&s).role, RAFT_CANDIDATE);
    grant_vote(&s, RAFT_MSG_VOTE_RESP, 4);
    grant_vote(&s, RAFT_MSG_VOTE_RESP, 5);
    assert_int_equal(solo_status(&s).role, RAFT_CANDIDATE);
    grant_vote(&s, RAFT_MSG_VOTE_RESP, 3);
    assert_int_equal(solo_status(&s).role, RAFT_LEADER);
    solo_stop(&s);
}

/* And asks those for whom the change is a promotion. */
static void a_candidate_asks_whom_a_change_in_its_log_makes_a_voter(void **state)
{
    (void)state;
    struct raft_membership ms = with_witnesses(4, 1, 0);
    raft_membership_insert(&ms, 6, RAFT_LEARNER);
    struct solo s;
    start_member(&s, 1, &ms);
    receive_change(&s, RAFT_ADD_VOTER, 6);
    assert_int_equal(solo_count(&s, RAFT_MSG_PRE_VOTE, 6), 1);
    grant_vote(&s, RAFT_MSG_PRE_VOTE_RESP, 6);
    grant_vote(&s, RAFT_MSG_PRE_VOTE_RESP, 3);
    assert_int_equal(solo_status(&s).role, RAFT_PRE_CANDIDATE); /* two of the four that vote now */
    grant_vote(&s, RAFT_MSG_PRE_VOTE_RESP, 4);
    assert_int_equal(solo_status(&s).role, RAFT_CANDIDATE);
    solo_stop(&s);
}

/* What was queued for a witness is not sent with its payloads because the witness is none any more
 * when it leaves. */
static void a_witness_that_is_removed_in_the_same_turn_gets_no_payload(void **state)
{
    (void)state;
    struct raft_membership ms = with_witnesses(3, 1, 0);
    struct solo s;
    start_member(&s, 1, &ms);
    solo_elect(&s);
    solo_ack_all(&s);
    s.hold_apply = true;
    assert_int_equal(solo_change(&s, RAFT_REMOVE, 3), OK);
    solo_ack_all(&s);
    assert_int_equal(solo_status(&s).committed, solo_status(&s).last);
    solo_forget(&s);
    struct bytes payload = {(const uint8_t *)"secret", 6};
    struct raft_event e = {.type = RAFT_EVENT_PROPOSE, .now = s.now};
    e.propose.payloads = &payload;
    e.propose.n = 1;
    assert_int_equal(raft_step(s.raft, &e), OK); /* no update is taken */
    solo_apply(&s, s.applying);
    assert_null(raft_membership_lookup(solo_status(&s).membership, 3));
    assert_int_equal(solo_sent(&s, RAFT_MSG_APP, 2)->entries[0].payload.len, 6);
    const struct raft_message *m = solo_sent(&s, RAFT_MSG_APP, 3);
    assert_true(!m || m->entry_count == 0 || m->entries[0].payload.len == 0);
    solo_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everybody_with_the_data_is_in_sync_at_first),
        cmocka_unit_test(an_entry_commits_with_a_majority_and_enough_copies_in_sync),
        cmocka_unit_test(whoever_is_out_of_sync_does_not_campaign),
        cmocka_unit_test(a_witness_measures_the_in_sync_by_where_their_set_begins),
        cmocka_unit_test(a_silent_replica_is_taken_out_and_comes_back),
        cmocka_unit_test(a_change_of_the_set_waits_for_the_leaders_disk),
        cmocka_unit_test(the_last_one_in_sync_stays),
        cmocka_unit_test(a_witness_is_sent_heads_alone),
        cmocka_unit_test(a_change_of_the_members_ends_the_sets_that_a_voter_cuts_at),
        cmocka_unit_test(the_end_of_the_witnesses_waits_for_the_leaders_disk),
        cmocka_unit_test(in_a_joint_membership_all_of_the_set_is_asked),
        cmocka_unit_test(a_candidate_wins_under_the_changes_in_its_log_too),
        cmocka_unit_test(a_candidate_asks_whom_a_change_in_its_log_makes_a_voter),
        cmocka_unit_test(a_witness_that_is_removed_in_the_same_turn_gets_no_payload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
