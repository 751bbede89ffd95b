/*
 * The incidents of others, replayed on one node that is driven by hand (raft_solo.h): one test a
 * row of the list of scenarios ("Consensus and storage") that a single core can show, under the
 * row's name. test_raft_scenarios_cluster.c has those that need several nodes.
 */
#include <string.h>

#include "core/base/check.h"
#include "core/consensus/raft/raft_int.h"
#include "tests/support/raft_solo.h"
#include "tests/support/test.h"

#define T (1000 * NANOS_PER_MS) /* the election timeout of every node here */

/* --- changes of the membership --------------------------------------------------------------- */

static struct raft_config config_of(node_id id)
{
    return raft_config_default(id, 7 + id);
}

/* A leader whose term has committed nothing yet must not change the members: the change of a leader
 * before it, in a log that it does not know, may be a majority of other members. */
static void single_server_reconfig(void **state)
{
    (void)state;
    struct raft_config cfg = config_of(1);
    struct raft_membership ms = solo_voters(4);
    struct solo s;
    solo_start(&s, &cfg, &ms);
    solo_elect(&s);
    raft_index before = solo_status(&s).last;
    assert_int_equal(solo_change(&s, RAFT_REMOVE, 4), ERR_PENDING);
    assert_int_equal(s.raft->conf_count, 0);
    solo_ack(&s, 2, before);
    assert_int_equal(solo_change(&s, RAFT_REMOVE, 4), ERR_PENDING);
    solo_ack(&s, 3, before); /* three of four: its first entry is committed */
    assert_int_equal(solo_status(&s).committed, before);
    assert_int_equal(solo_change(&s, RAFT_REMOVE, 4), OK);
    assert_int_equal(s.raft->conf_count, 1);
    assert_int_equal(solo_change(&s, RAFT_REMOVE, 3), ERR_PENDING);
    solo_stop(&s);
}

/* A committed change that is not applied yet may have taken the quorum away that a candidate would
 * ask. */
static void unapplied_conf_campaign(void **state)
{
    (void)state;
    struct raft_config cfg = config_of(1);
    struct raft_membership ms = solo_voters(3);
    struct solo s;
    solo_start(&s, &cfg, &ms);
    s.hold_apply = true;
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
    m.commit = 2;
    assert_int_equal(solo_receive(&s, m), OK);
    buf_deinit(&payload);
    assert_int_equal(solo_status(&s).committed, 2);
    assert_int_equal(solo_event(&s, RAFT_EVENT_CAMPAIGN, 0), ERR_REFUSED);
    solo_wait(&s, 5 * T);
    assert_int_equal(solo_count(&s, RAFT_MSG_PRE_VOTE, NODE_NONE), 0);
    solo_apply(&s, 2);
    solo_wait(&s, 3 * T);
    assert_int_equal(solo_count(&s, RAFT_MSG_PRE_VOTE, 3), 0);
    assert_true(solo_count(&s, RAFT_MSG_PRE_VOTE, 2) > 0);
    solo_stop(&s);
}

/* The candidate may know of a promotion that has not reached the voter. */
static void learner_must_vote(void **state)
{
    (void)state;
    struct raft_config cfg = config_of(3);
    struct raft_membership ms = solo_voters(2);
    raft_membership_insert(&ms, 3, RAFT_LEARNER);
    struct solo s;
    solo_start(&s, &cfg, &ms);
    struct raft_message ask = {
        .type = RAFT_MSG_VOTE, .from = 1, .term = 5, .index = 9, .log_term = 4};
    assert_int_equal(solo_receive(&s, ask), OK);
    const struct raft_message *vote = solo_sent(&s, RAFT_MSG_VOTE_RESP, 1);
    assert_true(vote && !vote->reject && vote->term == 5);
    solo_stop(&s);
}

/* --- commitment ------------------------------------------------------------------------------ */

/* [Ongaro14 figure 3.7]: S1 brings an entry of term 2 onto a majority in term 4, and must not
 * commit it by that: S5, with an entry of term 3, could still overwrite it. */
static void fig8_old_term_commit(void **state)
{
    (void)state;
    struct raft_config cfg = config_of(1);
    struct raft_membership ms = solo_voters(5);
    struct raft_saved saved = solo_founding(&ms);
    saved.hard_state.term = 3;
    const raft_term terms[] = {2};
    struct solo s;
    solo_start_saved(&s, &cfg, &saved, terms, 1);
    solo_elect(&s);
    assert_int_equal(solo_status(&s).term, 4);
    assert_int_equal(solo_status(&s).last, 3);
    for (node_id id = 2; id <= 5; id++) {
        solo_ack(&s, id, 2); /* even on every member */
        assert_int_equal(solo_status(&s).committed, 1);
    }
    solo_ack(&s, 2, 3);
    assert_int_equal(solo_status(&s).committed, 1);
    solo_ack(&s, 3, 3);
    assert_int_equal(solo_status(&s).committed, 3); /* along with the entry of its own term */
    solo_stop(&s);
}

/* Acknowledgements in any order and of any size: committed is what a majority has, never more. */
static void commit_without_quorum(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(200); round++) {
        struct raft_config cfg = config_of(1);
        uint32_t n = (uint32_t)prng_range(&p, 1, 7);
        struct raft_membership ms = solo_voters(n);
        struct solo s;
        solo_start(&s, &cfg, &ms);
        solo_elect(&s);
        for (int i = 0; i < 10; i++) {
            assert_int_equal(solo_propose(&s, 8), OK);
        }
        raft_index last = solo_status(&s).last;
        raft_index acked[8] = {0, last};
        for (int step = 0; n > 1 && step < 20; step++) {
            node_id from = prng_range(&p, 2, n);
            raft_index index = prng_range(&p, 1, last);
            acked[from] = u64_max(acked[from], index);
            solo_ack(&s, from, index);
            unsigned have = 0;
            unsigned more = 0;
            raft_index committed = solo_status(&s).committed;
            for (node_id id = 1; id <= n; id++) {
                have += u64_max(acked[id], 1) >= committed;
                more += acked[id] > committed;
            }
            assert_true(2 * have > n);
            assert_true(2 * more <= n);
        }
        assert_true(n > 1 || solo_status(&s).committed == last);
        solo_stop(&s);
    }
}

/* A group of one is its own quorum, once its disk has answered and not before. */
static void single_node_ack_before_fsync(void **state)
{
    (void)state;
    struct raft_config cfg = config_of(1);
    struct raft_membership ms = solo_voters(1);
    struct solo s;
    solo_start(&s, &cfg, &ms);
    solo_elect(&s);
    s.hold_disk = true;
    raft_index before = solo_status(&s).committed;
    assert_int_equal(solo_propose(&s, 100), OK);
    solo_wait(&s, T / 2);
    assert_int_equal(solo_status(&s).committed, before);
    assert_int_equal(s.applying, before);
    solo_sync(&s, 1);
    assert_int_equal(solo_status(&s).committed, before + 1);
    assert_int_equal(s.applying, before + 1);
    solo_stop(&s);
}

/* --- append and snapshot messages that come late --------------------------------------------- */

/* An append from (index, log_term) with `n` entries of one term. */
static enum err receive_append(struct solo *s, raft_term term, raft_index index, raft_term log_term,
                               raft_term entry_term, uint32_t n, raft_index commit)
{
    struct raft_entry entries[16];
    assert_true(n <= COUNT_OF(entries));
    for (uint32_t i = 0; i < n; i++) {
        entries[i] = (struct raft_entry){
            .index = index + 1 + i, .term = entry_term, .payload = {(const uint8_t *)"entry", 5}};
    }
    return solo_receive(s, (struct raft_message){.type = RAFT_MSG_APP,
                                                 .from = 2,
                                                 .term = term,
                                                 .index = index,
                                                 .log_term = log_term,
                                                 .commit = commit,
                                                 .entry_count = n,
                                                 .entries = entries});
}

static enum err receive_snapshot(struct solo *s, raft_term term, raft_index index,
                                 raft_term snapshot_term, uint64_t size)
{
    struct raft_snapshot snapshot = {.index = index,
                                     .term = snapshot_term,
                                     .size = size,
                                     .digest = index,
                                     .membership = solo_voters(3)};
    return solo_receive(
        s, (struct raft_message){
               .type = RAFT_MSG_SNAP, .from = 2, .term = term, .snapshot = &snapshot, .source = 2});
}

static void start_follower(struct solo *s)
{
    struct raft_config cfg = config_of(1);
    struct raft_membership ms = solo_voters(3);
    solo_start(s, &cfg, &ms);
}

/* The disk reports that it has written an entry which was truncated and replaced meanwhile: that
 * says nothing about what stands there now. */
static void async_append_aba(void **state)
{
    (void)state;
    struct solo s;
    start_follower(&s);
    s.hold_disk = true;
    assert_int_equal(receive_append(&s, 2, 1, 1, 2, 2, 1), OK); /* 2 and 3 of term 2 */
    assert_int_equal(receive_append(&s, 3, 1, 1, 3, 1, 1), OK); /* 2 of term 3: both go */
    assert_int_equal(receive_append(&s, 4, 1, 1, 4, 2, 1), OK); /* 2 and 3 of term 4 */
    assert_int_equal(s.batch_count, 3);
    solo_sync(&s, 1);
    assert_int_equal(solo_status(&s).durable, 1);
    solo_sync(&s, 1);
    assert_int_equal(solo_status(&s).durable, 1);
    assert_int_equal(solo_count(&s, RAFT_MSG_APP_RESP, 2), 2);
    assert_true(solo_sent(&s, RAFT_MSG_APP_RESP, 2)->term < 4); /* nothing vouched for in term 4 */
    solo_sync(&s, 1);
    assert_int_equal(solo_status(&s).durable, 3);
    assert_int_equal(solo_sent(&s, RAFT_MSG_APP_RESP, 2)->index, 3);
    assert_int_equal(solo_sent(&s, RAFT_MSG_APP_RESP, 2)->term, 4);
    solo_stop(&s);
}

/* A second snapshot arrives while the first is being installed: and then again, after it. */
static void two_snapshots_in_a_row(void **state)
{
    (void)state;
    struct solo s;
    start_follower(&s);
    s.hold_disk = true;
    assert_int_equal(receive_snapshot(&s, 5, 10, 4, 0), OK);
    assert_int_equal(receive_snapshot(&s, 5, 20, 5, 0), OK);
    assert_int_equal(s.installs, 1);
    solo_sync(&s, s.batch_count);
    assert_int_equal(solo_status(&s).committed, 10);
    assert_int_equal(receive_snapshot(&s, 5, 20, 5, 0), OK);
    assert_int_equal(receive_snapshot(&s, 5, 20, 5, 0), OK);
    solo_sync(&s, s.batch_count);
    assert_int_equal(s.installs, 2);
    assert_int_equal(solo_status(&s).committed, 20);
    assert_int_equal(solo_sent(&s, RAFT_MSG_APP_RESP, 2)->index, 20);
    solo_stop(&s);
}

/* An append from before a compaction: its entries are applied and gone. */
static void snapshot_delayed_append(void **state)
{
    (void)state;
    struct solo s;
    start_follower(&s);
    assert_int_equal(receive_append(&s, 2, 1, 1, 2, 4, 5), OK);
    assert_int_equal(solo_status(&s).applied, 5);
    struct raft_snapshot taken = {.index = 5, .term = 2, .membership = solo_voters(3)};
    assert_int_equal(
        solo_step(&s, (struct raft_event){.type = RAFT_EVENT_SNAPSHOT_TAKEN, .snapshot = &taken}),
        OK);
    assert_int_equal(solo_event(&s, RAFT_EVENT_COMPACT, 5), OK);
    assert_int_equal(solo_status(&s).first, 6);
    uint64_t bytes = s.applied_bytes;
    assert_int_equal(receive_append(&s, 2, 1, 1, 2, 4, 5), OK);
    assert_int_equal(receive_append(&s, 2, 0, 0, 2, 4, 5), OK);
    assert_int_equal(solo_status(&s).last, 5);
    assert_int_equal(s.applied_bytes, bytes);
    assert_int_equal(solo_sent(&s, RAFT_MSG_APP_RESP, 2)->index, 5);
    assert_false(solo_sent(&s, RAFT_MSG_APP_RESP, 2)->reject);
    solo_stop(&s);
}

/* An empty append at the snapshot's end tells a commit index beyond it: what follows here is not
 * known to be the leader's. */
static void snapshot_boundary_empty_append(void **state)
{
    (void)state;
    struct raft_config cfg = config_of(1);
    struct raft_membership ms = solo_voters(3);
    struct raft_saved saved = solo_founding(&ms);
    saved.hard_state.term = 3;
    const raft_term terms[] = {2, 2, 3};
    struct solo s;
    solo_start_saved(&s, &cfg, &saved, terms, 3);
    assert_int_equal(receive_append(&s, 4, 1, 1, 4, 0, 4), OK);
    assert_int_equal(solo_status(&s).committed, 1);
    assert_int_equal(solo_sent(&s, RAFT_MSG_APP_RESP, 2)->index, 1);
    assert_int_equal(receive_append(&s, 4, 2, 2, 4, 0, 4), OK);
    assert_int_equal(solo_status(&s).committed, 2);
    solo_stop(&s);
}

/* A snapshot's own term is that of its last entry, and may be long past. */
static void snapshot_lowers_term(void **state)
{
    (void)state;
    struct solo s;
    start_follower(&s);
    assert_int_equal(receive_append(&s, 9, 1, 1, 9, 0, 1), OK);
    assert_int_equal(receive_snapshot(&s, 9, 30, 3, 0), OK);
    assert_int_equal(solo_status(&s).term, 9);
    assert_int_equal(solo_status(&s).committed, 30);
    assert_int_equal(receive_snapshot(&s, 4, 40, 4, 0), OK); /* from a leader of the past */
    assert_int_equal(solo_status(&s).term, 9);
    assert_int_equal(solo_status(&s).committed, 30);
    solo_stop(&s);
}

/* The disk's log does not follow its snapshot. */
static void restart_log_snapshot_gap(void **state)
{
    (void)state;
    struct raft_config cfg = config_of(1);
    struct raft_membership ms = solo_voters(3);
    struct raft_saved saved = solo_founding(&ms);
    struct raft *r = raft_new(&cfg, &saved, T);
    struct raft_entry gap = {.index = 3, .term = 2};
    assert_int_equal(raft_load_entry(r, &gap, false), ERR_CORRUPT);
    struct raft_entry overlap = {.index = 1, .term = 2};
    assert_int_equal(raft_load_entry(r, &overlap, false), ERR_CORRUPT);
    struct raft_entry backwards = {.index = 2, .term = 0};
    assert_int_equal(raft_load_entry(r, &backwards, false), ERR_CORRUPT);
    raft_free(r);
    saved.hard_state.commit = 2; /* and the log ends before what is known to be committed */
    r = raft_new(&cfg, &saved, T);
    assert_int_equal(raft_load_done(r), ERR_CORRUPT);
    raft_free(r);
}

/* --- votes ----------------------------------------------------------------------------------- */

/* A leader that nobody answers for longer than an election timeout is asked for a pre-vote. */
static void leader_grants_prevote(void **state)
{
    (void)state;
    for (int check_quorum = 0; check_quorum < 2; check_quorum++) {
        struct raft_config cfg = config_of(1);
        cfg.check_quorum = check_quorum;
        struct raft_membership ms = solo_voters(3);
        struct solo s;
        solo_start(&s, &cfg, &ms);
        solo_elect(&s);
        raft_term term = solo_status(&s).term;
        struct raft_message ask = {.type = RAFT_MSG_PRE_VOTE, .from = 2, .term = term + 1};
        ask.index = 100;
        ask.log_term = term;
        assert_int_equal(solo_receive(&s, ask), OK);
        assert_int_equal(solo_status(&s).role, RAFT_LEADER); /* a question changes nothing */
        assert_int_equal(solo_status(&s).term, term);
        solo_wait(&s, 3 * T);
        assert_int_equal(solo_receive(&s, ask), OK);
        assert_int_equal(solo_status(&s).term, term);
        solo_stop(&s);
    }
    struct raft_config slow = config_of(1);
    slow.heartbeat_interval = slow.election_timeout;
    const char *why = NULL;
    assert_int_equal(raft_config_check(&slow, &why), ERR_INVALID);
    assert_non_null(why);
}

static void assert_refuses_vote(struct solo *s, raft_term term)
{
    solo_forget(s);
    struct raft_message ask = {
        .type = RAFT_MSG_VOTE, .from = 3, .term = term, .index = 100, .log_term = term};
    ask.transfer = true; /* no lease stands against it */
    assert_int_equal(solo_receive(s, ask), OK);
    const struct raft_message *vote = solo_sent(s, RAFT_MSG_VOTE_RESP, 3);
    assert_true(vote && vote->reject);
}

/* Whoever led, or was a candidate, has voted in that term: for itself. */
static void double_vote_after_stepdown(void **state)
{
    (void)state;
    struct solo s;
    start_follower(&s);
    solo_elect(&s);
    raft_term term = solo_status(&s).term;
    solo_wait(&s, 3 * T); /* nobody answers: it steps down, in its term */
    assert_int_equal(solo_status(&s).role != RAFT_LEADER, true);
    assert_int_equal(solo_status(&s).term, term);
    assert_refuses_vote(&s, term);
    solo_restart(&s, 99);
    assert_int_equal(solo_status(&s).term, term);
    assert_refuses_vote(&s, term);
    solo_stop(&s);

    struct raft_config cfg = config_of(1);
    cfg.pre_vote = false;
    struct raft_membership ms = solo_voters(3);
    solo_start(&s, &cfg, &ms);
    assert_int_equal(solo_event(&s, RAFT_EVENT_CAMPAIGN, 0), OK);
    term = solo_status(&s).term;
    assert_int_equal(receive_append(&s, term, 1, 1, term, 1, 1), OK); /* somebody else won it */
    assert_int_equal(solo_status(&s).role, RAFT_FOLLOWER);
    assert_refuses_vote(&s, term);
    solo_stop(&s);
}

/* A leader that was frozen acts on nothing before it has looked at the time. */
static void frozen_leader_two_leaders(void **state)
{
    (void)state;
    for (int what = 0; what < 3; what++) {
        struct solo s;
        start_follower(&s);
        solo_elect(&s);
        solo_ack_all(&s);
        solo_wait_in_touch(&s, T);
        assert_int_equal(solo_status(&s).role, RAFT_LEADER);
        s.now += 5 * T;
        if (what == 0) {
            assert_int_equal(solo_read(&s, 1), ERR_NO_LEADER);
        } else if (what == 1) {
            assert_int_equal(solo_propose(&s, 8), ERR_DROPPED);
        } else {
            raft_index index = solo_status(&s).last;
            assert_int_equal(solo_receive(&s, (struct raft_message){.type = RAFT_MSG_APP_RESP,
                                                                    .from = 2,
                                                                    .index = index}),
                             OK);
        }
        assert_int_equal(solo_status(&s).role, RAFT_FOLLOWER);
        assert_int_equal(s.read_count, 0);
        solo_stop(&s);
    }
}

/* --- reads ----------------------------------------------------------------------------------- */

/* A new leader does not know what was committed before its term. */
static void readindex_fresh_leader(void **state)
{
    (void)state;
    struct solo s;
    start_follower(&s);
    solo_elect(&s);
    assert_int_equal(solo_read(&s, 7), OK);
    solo_wait(&s, s.cfg.heartbeat_interval);
    solo_pulse(&s, 2);
    solo_pulse(&s, 3);
    assert_int_equal(s.read_count, 0);
    solo_forget(&s);
    solo_ack(&s, 2, solo_status(&s).last);
    assert_int_equal(s.read_count, 0); /* a round that began later must confirm it */
    solo_pulse(&s, 3);
    assert_int_equal(s.read_count, 1);
    assert_int_equal(s.reads[0].index, solo_status(&s).committed);
    solo_stop(&s);
}

/* A reader asks twice under the same id; an answer to the first round arrives late. */
static void readindex_retry_stale(void **state)
{
    (void)state;
    struct solo s;
    start_follower(&s);
    solo_elect(&s);
    solo_ack_all(&s);
    solo_forget(&s);
    const struct raft_message ask = {.type = RAFT_MSG_READ_INDEX, .from = 2, .context = 77};
    assert_int_equal(solo_receive(&s, ask), OK);
    struct raft_message first = *solo_sent(&s, RAFT_MSG_HEARTBEAT, 3);
    assert_int_equal(solo_propose(&s, 8), OK);
    solo_ack(&s, 3, solo_status(&s).last);
    raft_index committed = solo_status(&s).committed;
    assert_int_equal(solo_receive(&s, ask), OK);
    solo_forget(&s);
    struct raft_message late = {.type = RAFT_MSG_HEARTBEAT_RESP,
                                .from = 3,
                                .context = first.context,
                                .sent_at = first.sent_at};
    assert_int_equal(solo_receive(&s, late), OK);
    assert_int_equal(solo_receive(&s, late), OK); /* and again */
    assert_int_equal(solo_count(&s, RAFT_MSG_READ_INDEX_RESP, 2), 1);
    assert_true(solo_sent(&s, RAFT_MSG_READ_INDEX_RESP, 2)->index < committed); /* the first */
    late.context = first.context + 1;
    assert_int_equal(solo_receive(&s, late), OK);
    assert_int_equal(solo_count(&s, RAFT_MSG_READ_INDEX_RESP, 2), 2);
    assert_int_equal(solo_sent(&s, RAFT_MSG_READ_INDEX_RESP, 2)->index, committed);
    solo_stop(&s);
}

static struct raft_config lease_config(node_id id)
{
    struct raft_config cfg = config_of(id);
    cfg.lease_reads = true;
    return cfg;
}

/* The lease counts from when a heartbeat left, not from when its answer came: the voter's promise
 * began in between. */
static void lease_vs_timer(void **state)
{
    (void)state;
    struct raft_config cfg = lease_config(1);
    struct raft_membership ms = solo_voters(3);
    struct solo s;
    solo_start(&s, &cfg, &ms);
    solo_elect(&s);
    solo_ack_all(&s);
    solo_wait(&s, cfg.heartbeat_interval);
    nanos left = solo_sent(&s, RAFT_MSG_HEARTBEAT, 2)->sent_at;
    struct raft_message answer = {.type = RAFT_MSG_HEARTBEAT_RESP, .from = 2, .sent_at = left};
    s.now = left + T / 2; /* the answer takes half a timeout */
    assert_int_equal(solo_receive(&s, answer), OK);
    nanos length = T - T * 2 * cfg.clock_drift_ppm / 1000000;
    assert_true(raft_lease_holds(s.raft, left + length - 1));
    assert_false(raft_lease_holds(s.raft, left + length));
    answer.sent_at = s.now + T; /* a time that has not come cannot be confirmed */
    assert_int_equal(solo_receive(&s, answer), OK);
    assert_false(raft_lease_holds(s.raft, left + length));
    solo_stop(&s);
}

/* Votes make a leader, but they begin no lease: a voter may have granted its vote long before the
 * candidate learned of it. */
static void lease_not_renewed_on_vote(void **state)
{
    (void)state;
    struct raft_config cfg = lease_config(1);
    struct raft_membership ms = solo_voters(3);
    struct solo s;
    solo_start(&s, &cfg, &ms);
    solo_elect(&s);
    assert_false(raft_lease_holds(s.raft, s.now));
    solo_ack_all(&s);
    assert_false(raft_lease_holds(s.raft, s.now));
    solo_wait(&s, cfg.heartbeat_interval);
    solo_pulse(&s, 3);
    assert_true(raft_lease_holds(s.raft, s.now));
    solo_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(single_server_reconfig),
        cmocka_unit_test(unapplied_conf_campaign),
        cmocka_unit_test(learner_must_vote),
        cmocka_unit_test(fig8_old_term_commit),
        cmocka_unit_test(commit_without_quorum),
        cmocka_unit_test(single_node_ack_before_fsync),
        cmocka_unit_test(async_append_aba),
        cmocka_unit_test(two_snapshots_in_a_row),
        cmocka_unit_test(snapshot_delayed_append),
        cmocka_unit_test(snapshot_boundary_empty_append),
        cmocka_unit_test(snapshot_lowers_term),
        cmocka_unit_test(restart_log_snapshot_gap),
        cmocka_unit_test(leader_grants_prevote),
        cmocka_unit_test(double_vote_after_stepdown),
        cmocka_unit_test(frozen_leader_two_leaders),
        cmocka_unit_test(readindex_fresh_leader),
        cmocka_unit_test(readindex_retry_stale),
        cmocka_unit_test(lease_vs_timer),
        cmocka_unit_test(lease_not_renewed_on_vote),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
