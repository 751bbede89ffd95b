/* Logs that lost something: the rules of raft_repair.c, by its kinds of loss. */
#include "core/consensus/raft/raft_int.h"
#include "tests/support/raft_solo.h"
#include "tests/support/test.h"

#define REPAIR_TERM 3

/* Node 1 of `n`, with entries 2..6 of terms 2 and 3, in term 3. */
static void start_lossy(struct solo *s, uint32_t n, bool lost_vote, raft_index lost_from)
{
    static const raft_term terms[] = {2, 2, 3, 3, 3};
    struct raft_config cfg = raft_config_default(1, 42);
    struct raft_membership ms = solo_voters(n);
    struct raft_saved saved = solo_founding(&ms);
    saved.hard_state.term = REPAIR_TERM;
    saved.lost_vote = lost_vote;
    saved.lost_from = lost_from;
    solo_start_saved(s, &cfg, &saved, terms,
                     lost_from == 0 ? COUNT_OF(terms) : (uint32_t)(lost_from - 2));
}

static void hear(struct solo *s, raft_term term)
{
    struct raft_message m = {.type = RAFT_MSG_HEARTBEAT, .from = 2, .term = term};
    assert_int_equal(solo_receive(s, m), OK);
}

static void damage(struct solo *s, raft_index first, raft_index last)
{
    struct raft_event e = {.type = RAFT_EVENT_DAMAGED};
    e.damaged.first = first;
    e.damaged.last = last;
    assert_int_equal(solo_step(s, e), OK);
    assert_int_equal(solo_event(s, RAFT_EVENT_TICK, 0), OK); /* then it asks */
}

/* Somebody answers with the entries from `first` on. */
static void answer_bodies(struct solo *s, node_id from, uint64_t nonce, raft_index first,
                          uint32_t n)
{
    struct raft_entry entries[8];
    for (uint32_t i = 0; i < n; i++) {
        raft_term term = raft_log_term(&s->raft->log, first + i);
        entries[i] = (struct raft_entry){
            .index = first + i, .term = term, .payload = {(const uint8_t *)"repaired", 8}};
    }
    assert_int_equal(solo_receive(s, (struct raft_message){.type = RAFT_MSG_REPAIR_RESP,
                                                           .from = from,
                                                           .context = nonce,
                                                           .index = first,
                                                           .entry_count = n,
                                                           .entries = entries}),
                     OK);
}

static void assert_does_not_vote(struct solo *s, raft_term term)
{
    solo_forget(s);
    struct raft_message ask = {
        .type = RAFT_MSG_VOTE, .from = 3, .term = term, .index = 99, .log_term = term};
    ask.transfer = true;
    assert_int_equal(solo_receive(s, ask), OK);
    const struct raft_message *m = solo_sent(s, RAFT_MSG_VOTE_RESP, 3);
    assert_true(!m || m->reject);
}

/* "Until it is whole again the node neither votes nor leads". */
static void whoever_lost_something_neither_votes_nor_campaigns(void **state)
{
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        struct solo s;
        start_lossy(&s, 3, kind == 0, kind == 1 ? 5 : 0);
        if (kind == 2) {
            damage(&s, 4, 4);
        }
        assert_true(solo_status(&s).impaired);
        assert_true(s.alarms & RAFT_ALARM_IMPAIRED);
        assert_does_not_vote(&s, 9);
        assert_int_equal(solo_event(&s, RAFT_EVENT_CAMPAIGN, 0), ERR_REFUSED);
        solo_wait(&s, 5 * s.cfg.election_timeout);
        assert_int_equal(solo_count(&s, RAFT_MSG_PRE_VOTE, NODE_NONE), 0);
        assert_true(solo_count(&s, RAFT_MSG_REPAIR, 2) > 1); /* it asks, again and again */
        solo_stop(&s);
    }
}

/* Bodies: "the same entry from any member will do, leader or not". */
static void any_member_may_bring_a_damaged_body_back(void **state)
{
    (void)state;
    struct solo s;
    start_lossy(&s, 3, false, 0);
    damage(&s, 4, 5);
    const struct raft_message *ask = solo_sent(&s, RAFT_MSG_REPAIR, 3);
    assert_true(ask && ask->index == 4 && ask->hint == 5);
    answer_bodies(&s, 3, ask->context, 4, 1); /* a part of them */
    assert_true(solo_status(&s).impaired);
    answer_bodies(&s, 2, ask->context, 5, 1);
    assert_false(solo_status(&s).impaired);
    assert_int_equal(s.repairs, 2);
    assert_true(s.alarms & RAFT_ALARM_REPAIRED);
    solo_stop(&s);
}

static void another_entry_at_that_place_is_not_taken(void **state)
{
    (void)state;
    struct solo s;
    start_lossy(&s, 3, false, 0);
    damage(&s, 4, 4);
    uint64_t nonce = solo_sent(&s, RAFT_MSG_REPAIR, 2)->context;
    struct raft_entry e = {.index = 4, .term = 2};
    struct raft_message m = {
        .type = RAFT_MSG_REPAIR_RESP, .from = 2, .context = nonce, .index = 4, .entry_count = 1};
    m.entries = &e;
    assert_int_equal(solo_receive(&s, m), OK);
    assert_true(solo_status(&s).impaired);
    assert_int_equal(s.repairs, 0);
    solo_stop(&s);
}

/* "Answers carry the nonce of the question". */
static void an_answer_to_an_earlier_loss_is_not_taken(void **state)
{
    (void)state;
    struct solo s;
    start_lossy(&s, 3, false, 0);
    damage(&s, 4, 4);
    uint64_t nonce = solo_sent(&s, RAFT_MSG_REPAIR, 2)->context;
    damage(&s, 3, 3);
    answer_bodies(&s, 2, nonce, 3, 2);
    assert_int_equal(s.repairs, 0);
    answer_bodies(&s, 2, solo_sent(&s, RAFT_MSG_REPAIR, 2)->context, 3, 2);
    assert_false(solo_status(&s).impaired);
    solo_stop(&s);
}

/* "It acknowledges nothing at or after the first damaged entry, and applies nothing of it." */
static void vouches_for_nothing_behind_the_damage(void **state)
{
    (void)state;
    struct solo s;
    start_lossy(&s, 3, false, 0);
    damage(&s, 4, 4);
    struct raft_message m = {
        .type = RAFT_MSG_APP, .from = 2, .term = 4, .index = 6, .log_term = 3, .commit = 6};
    assert_int_equal(solo_receive(&s, m), OK);
    assert_int_equal(solo_sent(&s, RAFT_MSG_APP_RESP, 2)->index, 3);
    assert_int_equal(s.applying, 3);
    answer_bodies(&s, 3, solo_sent(&s, RAFT_MSG_REPAIR, 3)->context, 4, 1);
    assert_int_equal(solo_sent(&s, RAFT_MSG_APP_RESP, 2)->index, 6);
    assert_int_equal(s.applying, 6);
    solo_stop(&s);
}

/* A repair that was overtaken by further damage is on its way to the disk when the next one is
 * begun: its completion says nothing about the next. */
static void a_repair_counts_when_its_own_batch_is_durable(void **state)
{
    (void)state;
    struct solo s;
    start_lossy(&s, 3, false, 0);
    s.hold_disk = true;
    damage(&s, 5, 5);
    answer_bodies(&s, 2, s.raft->repair.nonce, 5, 1);
    damage(&s, 3, 3);
    answer_bodies(&s, 2, s.raft->repair.nonce, 3, 1);
    assert_int_equal(s.repairs, 2);
    while (s.batch_count > 1) {
        solo_sync(&s, 1);
        assert_true(raft_vouched(s.raft) < 3);
    }
    solo_sync(&s, 1);
    assert_int_equal(raft_vouched(s.raft), 4);
    s.hold_disk = false;
    answer_bodies(&s, 2, s.raft->repair.nonce, 5, 1);
    assert_false(solo_status(&s).impaired);
    solo_stop(&s);
}

/* A change of the members whose body is damaged and comes back is one change, not two. */
static void a_repaired_change_is_noted_once(void **state)
{
    (void)state;
    struct solo s;
    start_lossy(&s, 3, false, 0);
    struct raft_conf_change change = {.n = 1};
    change.single[0] = (struct raft_conf_single){.op = RAFT_REMOVE, .node = 3};
    struct buf payload;
    buf_init(&payload);
    raft_conf_change_encode(&change, &payload);
    struct raft_entry e = {
        .index = 7, .term = 4, .type = RAFT_ENTRY_CONF, .payload = buf_view(&payload)};
    struct raft_message m = {.type = RAFT_MSG_APP, .from = 2, .term = 4, .index = 6, .log_term = 3};
    m.entry_count = 1;
    m.entries = &e;
    assert_int_equal(solo_receive(&s, m), OK);
    assert_int_equal(s.raft->conf_count, 1);
    damage(&s, 7, 7);
    struct raft_message back = {.type = RAFT_MSG_REPAIR_RESP, .from = 2, .index = 7};
    back.context = s.raft->repair.nonce;
    back.entry_count = 1;
    back.entries = &e;
    assert_int_equal(solo_receive(&s, back), OK);
    assert_false(solo_status(&s).impaired);
    assert_int_equal(s.raft->conf_count, 1);
    buf_deinit(&payload);
    solo_stop(&s);
}

/* Log: the leader "names the end of its log at that moment, the floor [...] So the node can vouch
 * once its log has reached the floor under that same leader." */
static void a_lost_log_vouches_once_it_has_reached_the_floor(void **state)
{
    (void)state;
    struct solo s;
    start_lossy(&s, 3, false, 4); /* entries 2 and 3 are left */
    hear(&s, 5);
    solo_wait(&s, s.cfg.election_timeout / 2);
    const struct raft_message *ask = solo_sent(&s, RAFT_MSG_REPAIR, 2);
    assert_true(ask && ask->lost_log && ask->commit == 3);
    struct raft_message floor = {.type = RAFT_MSG_REPAIR_RESP,
                                 .from = 2,
                                 .context = ask->context,
                                 .index = 5,
                                 .lost_log = true};
    assert_int_equal(solo_receive(&s, floor), OK);
    struct raft_entry entries[] = {{.index = 4, .term = 5}, {.index = 5, .term = 5}};
    struct raft_message m = {.type = RAFT_MSG_APP, .from = 2, .index = 3, .log_term = 2};
    m.entry_count = 1;
    m.entries = entries;
    assert_int_equal(solo_receive(&s, m), OK);
    assert_true(solo_status(&s).impaired);
    m.entry_count = 2;
    assert_int_equal(solo_receive(&s, m), OK);
    assert_false(solo_status(&s).impaired);
    solo_stop(&s);
}

static void the_floor_of_another_leader_does_not_count(void **state)
{
    (void)state;
    struct solo s;
    start_lossy(&s, 3, false, 4);
    hear(&s, 5);
    solo_wait(&s, s.cfg.election_timeout / 2);
    struct raft_message floor = {.type = RAFT_MSG_REPAIR_RESP,
                                 .from = 3,
                                 .context = s.raft->repair.nonce,
                                 .index = 3,
                                 .lost_log = true};
    assert_int_equal(solo_receive(&s, floor), OK); /* it does not lead */
    assert_false(s.raft->repair.floor_known);
    floor.from = 2;
    assert_int_equal(solo_receive(&s, floor), OK);
    assert_true(s.raft->repair.floor_known);
    struct raft_message hello = {.type = RAFT_MSG_HEARTBEAT, .from = 3, .term = 6};
    assert_int_equal(solo_receive(&s, hello), OK); /* the next leader may know of more */
    struct raft_message m = {.type = RAFT_MSG_APP, .from = 3, .term = 6, .index = 3, .log_term = 2};
    assert_int_equal(solo_receive(&s, m), OK);
    assert_true(solo_status(&s).impaired);
    solo_stop(&s);
}

/* A leader whose member lost what it had acknowledged does not count on it any longer. */
static void a_leader_forgets_what_the_member_lost(void **state)
{
    (void)state;
    struct raft_config cfg = raft_config_default(1, 42);
    struct raft_membership ms = solo_voters(3);
    struct solo s;
    solo_start(&s, &cfg, &ms);
    solo_elect(&s);
    assert_int_equal(solo_propose(&s, 10), OK);
    solo_ack(&s, 2, 3);
    struct raft_message lost = {.type = RAFT_MSG_REPAIR, .from = 2, .context = 5, .commit = 1};
    lost.lost_log = true;
    assert_int_equal(solo_propose(&s, 10), OK);
    assert_int_equal(solo_receive(&s, lost), OK);
    assert_int_equal(solo_progress(&s, 2)->match, 0);
    assert_int_equal(solo_sent(&s, RAFT_MSG_REPAIR_RESP, 2)->index, 4);
    assert_true(solo_sent(&s, RAFT_MSG_REPAIR_RESP, 2)->lost_log);
    assert_int_equal(solo_sent(&s, RAFT_MSG_REPAIR_RESP, 2)->context, 5);
    assert_int_equal(solo_sent(&s, RAFT_MSG_APP, 2)->index, 1); /* and brings it all again */
    solo_stop(&s);
}

/* What is left of the member's log may be older than what it acknowledged, and hold other entries:
 * until it agrees anew, it is told of nothing that is committed. */
static void a_leader_tells_no_commit_index_to_a_log_that_lost_its_end(void **state)
{
    (void)state;
    struct raft_config cfg = raft_config_default(1, 42);
    struct raft_membership ms = solo_voters(3);
    struct solo s;
    solo_start(&s, &cfg, &ms);
    solo_elect(&s);
    assert_int_equal(solo_propose(&s, 10), OK);
    solo_ack_all(&s);
    assert_int_equal(solo_status(&s).committed, 3);
    struct raft_message lost = {.type = RAFT_MSG_REPAIR, .from = 2, .context = 5, .commit = 2};
    lost.lost_log = true;
    assert_int_equal(solo_receive(&s, lost), OK);
    assert_int_equal(solo_sent(&s, RAFT_MSG_APP, 2)->index, 2);
    solo_forget(&s);
    solo_wait(&s, s.cfg.heartbeat_interval);
    assert_int_equal(solo_sent(&s, RAFT_MSG_HEARTBEAT, 2)->commit, 0);
    assert_int_equal(solo_sent(&s, RAFT_MSG_HEARTBEAT, 3)->commit, 3);
    /* Asked again, it does not go back to the beginning. */
    assert_int_equal(solo_receive(&s, lost), OK);
    assert_int_equal(solo_sent(&s, RAFT_MSG_APP, 2)->index, 2);
    solo_stop(&s);
}

/* A disk that went back in time without a trace may hold other entries than those that this node
 * acknowledged: a heartbeat alone commits none of them. */
static void a_heartbeat_commits_only_what_agrees_with_its_leader(void **state)
{
    (void)state;
    struct solo s;
    start_lossy(&s, 3, false, 0);
    struct raft_message beat = {.type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 4, .commit = 3};
    assert_int_equal(solo_receive(&s, beat), OK);
    assert_int_equal(solo_status(&s).committed, 1);
    struct raft_message m = {.type = RAFT_MSG_APP, .from = 2, .term = 4, .index = 3, .log_term = 2};
    assert_int_equal(solo_receive(&s, m), OK);
    assert_int_equal(solo_receive(&s, beat), OK);
    assert_int_equal(solo_status(&s).committed, 3);
    beat.commit = 5;
    assert_int_equal(solo_receive(&s, beat), OK);
    assert_int_equal(solo_status(&s).committed, 3);
    solo_stop(&s);
}

/* An entry of the leader's own term is the leader's: after a restart the leader may have nothing
 * more to say than that it is committed. */
static void a_heartbeat_commits_an_entry_of_its_own_term(void **state)
{
    (void)state;
    struct solo s;
    start_lossy(&s, 3, false, 0); /* in term 3, and so is entry 5 */
    struct raft_message beat = {
        .type = RAFT_MSG_HEARTBEAT, .from = 2, .term = REPAIR_TERM, .commit = 5};
    assert_int_equal(solo_receive(&s, beat), OK);
    assert_int_equal(solo_status(&s).committed, 5);
    solo_stop(&s);
}

/* Vote: "the node waits until every other voter has told its term, and does not vote in the highest
 * of them." */
static void a_lost_vote_waits_for_every_other_voter(void **state)
{
    (void)state;
    struct solo s;
    start_lossy(&s, 4, true, 0);
    uint64_t nonce = solo_sent(&s, RAFT_MSG_REPAIR, 2)->context;
    const raft_term terms[] = {5, 8, 6};
    for (node_id id = 2; id <= 4; id++) {
        assert_true(solo_status(&s).impaired);
        struct raft_message m = {
            .type = RAFT_MSG_REPAIR_RESP, .from = id, .term = terms[id - 2], .context = nonce};
        assert_int_equal(solo_receive(&s, m), OK);
    }
    assert_false(solo_status(&s).impaired);
    assert_int_equal(solo_status(&s).term, 8);
    assert_does_not_vote(&s, 8); /* it may have voted there before */
    struct raft_message ask = {.type = RAFT_MSG_VOTE, .from = 3, .term = 9, .index = 9};
    ask.log_term = 8;
    assert_int_equal(solo_receive(&s, ask), OK);
    assert_false(solo_sent(&s, RAFT_MSG_VOTE_RESP, 3)->reject);
    solo_stop(&s);
}

/* Whoever lost its vote may have given it to a later leader: it vouches for nothing new. */
static void a_lost_vote_helps_no_leader_to_commit(void **state)
{
    (void)state;
    struct solo s;
    start_lossy(&s, 3, true, 0);
    struct raft_entry e = {.index = 7, .term = 4};
    struct raft_message m = {.type = RAFT_MSG_APP, .from = 2, .term = 4, .index = 6, .log_term = 3};
    m.entry_count = 1;
    m.entries = &e;
    m.commit = 4;
    assert_int_equal(solo_receive(&s, m), OK);
    assert_int_equal(solo_sent(&s, RAFT_MSG_APP_RESP, 2)->index, 4);
    struct raft_message beat = {
        .type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 4, .context = 3, .sent_at = 1000};
    assert_int_equal(solo_receive(&s, beat), OK);
    assert_int_equal(solo_sent(&s, RAFT_MSG_HEARTBEAT_RESP, 2)->context, 0); /* nor to read */
    assert_int_equal(solo_sent(&s, RAFT_MSG_HEARTBEAT_RESP, 2)->sent_at, 0);
    solo_stop(&s);
}

/* A heartbeat that speaks of a commit index beyond this log: the disk forgot what it had promised.
 */
static void notices_by_a_heartbeat_that_the_log_is_too_short(void **state)
{
    (void)state;
    struct solo s;
    start_lossy(&s, 3, false, 0);
    struct raft_message beat = {.type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 4, .commit = 50};
    assert_int_equal(solo_receive(&s, beat), OK);
    assert_true(solo_status(&s).impaired);
    assert_true(s.alarms & RAFT_ALARM_LOST_ACKED);
    assert_int_equal(solo_status(&s).committed, 1);
    solo_stop(&s);
}

/* A snapshot that ends amid damaged entries which conflict with it takes the whole log's place. */
static void a_snapshot_takes_the_damage_with_the_log(void **state)
{
    (void)state;
    struct solo s;
    start_lossy(&s, 3, false, 0);
    damage(&s, 3, 6);
    struct raft_snapshot snapshot = {.index = 4, .term = 4, .membership = solo_voters(3)};
    struct raft_message m = {.type = RAFT_MSG_SNAP, .from = 2, .term = 5, .snapshot = &snapshot};
    m.source = 2;
    assert_int_equal(solo_receive(&s, m), OK);
    assert_int_equal(solo_status(&s).last, 4);
    assert_false(solo_status(&s).impaired);
    solo_stop(&s);
}

/* Whoever is no member any more may have been a witness, whose bodies are empty. */
static void a_removed_witness_serves_no_bodies(void **state)
{
    (void)state;
    static const raft_term terms[] = {1, 1, 1};
    struct raft_config cfg = raft_config_default(1, 42);
    for (int round = 0; round < 2; round++) {
        struct raft_membership ms = {0};
        for (node_id id = round == 0 ? 2 : 1; id <= 3; id++) {
            raft_membership_insert(&ms, id, RAFT_VOTER);
        }
        struct raft_saved saved = solo_founding(&ms);
        struct solo s;
        solo_start_saved(&s, &cfg, &saved, terms, COUNT_OF(terms));
        struct raft_message ask = {
            .type = RAFT_MSG_REPAIR, .from = 2, .index = 2, .hint = 3, .context = 7};
        assert_int_equal(solo_receive(&s, ask), OK);
        const struct raft_message *answer = solo_sent(&s, RAFT_MSG_REPAIR_RESP, 2);
        assert_non_null(answer);
        assert_int_equal(answer->entry_count, round == 0 ? 0 : 2);
        solo_stop(&s);
    }
}

/* Nor is it given any: who is no member any more may have been a witness, which stores none. */
static void who_is_no_member_is_given_no_bodies(void **state)
{
    (void)state;
    static const raft_term terms[] = {1, 1, 1};
    struct raft_config cfg = raft_config_default(1, 42);
    for (int is_loaded = 0; is_loaded < 2; is_loaded++) {
        for (node_id from = 2; from <= 4; from++) { /* 2 a witness, 3 a replica, 4 nobody */
            struct raft_membership ms = {0};
            raft_membership_insert(&ms, 1, RAFT_VOTER | RAFT_IN_SYNC);
            raft_membership_insert(&ms, 2, RAFT_VOTER | RAFT_WITNESS);
            raft_membership_insert(&ms, 3, RAFT_VOTER | RAFT_IN_SYNC);
            struct raft_saved saved = solo_founding(&ms);
            struct solo s;
            solo_start_saved(&s, &cfg, &saved, terms, COUNT_OF(terms));
            struct raft_message ask = {
                .type = RAFT_MSG_REPAIR, .from = from, .index = 2, .hint = 2, .context = 7};
            struct raft_entry e = {.index = 2, .term = 1, .payload = {(const uint8_t *)"x", 1}};
            struct raft_event loaded = {.type = RAFT_EVENT_LOADED};
            loaded.loaded.peer = from;
            loaded.loaded.first = 2;
            loaded.loaded.entries = &e;
            loaded.loaded.n = 1;
            loaded.loaded.repair = 7;
            if (is_loaded) {
                assert_int_equal(solo_step(&s, loaded), OK);
            } else {
                assert_int_equal(solo_receive(&s, ask), OK);
            }
            const struct raft_message *answer = solo_sent(&s, RAFT_MSG_REPAIR_RESP, from);
            assert_int_equal(answer ? answer->entry_count : 0, from <= 3);
            assert_true(from != 2 || answer->entries[0].payload.len == 0);
            solo_stop(&s);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whoever_lost_something_neither_votes_nor_campaigns),
        cmocka_unit_test(any_member_may_bring_a_damaged_body_back),
        cmocka_unit_test(another_entry_at_that_place_is_not_taken),
        cmocka_unit_test(an_answer_to_an_earlier_loss_is_not_taken),
        cmocka_unit_test(vouches_for_nothing_behind_the_damage),
        cmocka_unit_test(a_repair_counts_when_its_own_batch_is_durable),
        cmocka_unit_test(a_repaired_change_is_noted_once),
        cmocka_unit_test(a_lost_log_vouches_once_it_has_reached_the_floor),
        cmocka_unit_test(the_floor_of_another_leader_does_not_count),
        cmocka_unit_test(a_leader_forgets_what_the_member_lost),
        cmocka_unit_test(a_leader_tells_no_commit_index_to_a_log_that_lost_its_end),
        cmocka_unit_test(a_heartbeat_commits_only_what_agrees_with_its_leader),
        cmocka_unit_test(a_heartbeat_commits_an_entry_of_its_own_term),
        cmocka_unit_test(a_lost_vote_waits_for_every_other_voter),
        cmocka_unit_test(a_lost_vote_helps_no_leader_to_commit),
        cmocka_unit_test(notices_by_a_heartbeat_that_the_log_is_too_short),
        cmocka_unit_test(a_removed_witness_serves_no_bodies),
        cmocka_unit_test(who_is_no_member_is_given_no_bodies),
        cmocka_unit_test(a_snapshot_takes_the_damage_with_the_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
