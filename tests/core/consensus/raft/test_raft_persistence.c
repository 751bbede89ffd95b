/* What survives, and in which order, by the sentences of [Ongaro14] §3.8 and raft.h. */
#include "core/consensus/raft/raft_int.h"
#include "tests/support/raft_solo.h"
#include "tests/support/test.h"

static void start_voter(struct solo *s)
{
    struct raft_config cfg = raft_config_default(1, 42);
    struct raft_membership ms = solo_voters(3);
    solo_start(s, &cfg, &ms);
}

static enum err append_one(struct solo *s, raft_term term, raft_index index, raft_term log_term,
                           raft_index commit)
{
    struct raft_entry e = {.index = index + 1, .term = term, .payload = {(const uint8_t *)"x", 1}};
    return solo_receive(s, (struct raft_message){.type = RAFT_MSG_APP,
                                                 .from = 2,
                                                 .term = term,
                                                 .index = index,
                                                 .log_term = log_term,
                                                 .commit = commit,
                                                 .entry_count = 1,
                                                 .entries = &e});
}

/* §3.8: "Each server also persists new log entries before they are counted towards the entries'
 * commitment". */
static void an_entry_is_acknowledged_when_it_is_durable(void **state)
{
    (void)state;
    struct solo s;
    start_voter(&s);
    s.hold_disk = true;
    assert_int_equal(append_one(&s, 2, 1, 1, 1), OK);
    assert_int_equal(append_one(&s, 2, 2, 2, 1), OK);
    assert_int_equal(solo_count(&s, RAFT_MSG_APP_RESP, 2), 0);
    solo_sync(&s, 1);
    assert_int_equal(solo_sent(&s, RAFT_MSG_APP_RESP, 2)->index, 2);
    assert_int_equal(solo_status(&s).durable, 2);
    solo_sync(&s, 1);
    assert_int_equal(solo_sent(&s, RAFT_MSG_APP_RESP, 2)->index, 3);
    solo_stop(&s);
}

/* One completion speaks for every batch before it. */
static void a_completion_covers_the_batches_before_it(void **state)
{
    (void)state;
    struct solo s;
    start_voter(&s);
    s.hold_disk = true;
    for (raft_index i = 1; i <= 5; i++) {
        assert_int_equal(append_one(&s, 2, i, i == 1 ? 1 : 2, 1), OK);
    }
    assert_int_equal(s.batch_count, 5);
    solo_sync(&s, 5);
    assert_int_equal(solo_status(&s).durable, 6);
    solo_stop(&s);
}

/* A slow disk makes larger batches, not longer queues; nor do answers gather behind them. */
static void no_more_batches_than_declared_are_under_way(void **state)
{
    (void)state;
    struct solo s;
    start_voter(&s);
    s.hold_disk = true;
    for (raft_index i = 1; i <= 3 * RAFT_BATCHES_MAX; i++) {
        assert_int_equal(append_one(&s, 2, i, i == 1 ? 1 : 2, 1), OK);
        assert_true(s.batch_count <= RAFT_BATCHES_MAX);
        assert_true(s.raft->outbox[0].durable_count + s.raft->outbox[1].durable_count <= 2);
    }
    assert_int_equal(s.batch_count, RAFT_BATCHES_MAX);
    solo_sync(&s, RAFT_BATCHES_MAX);
    assert_int_equal(s.batch_count, 1);
    s.hold_disk = false;
    solo_sync(&s, 1);
    assert_int_equal(solo_status(&s).durable, 1 + 3 * RAFT_BATCHES_MAX);
    assert_int_equal(solo_sent(&s, RAFT_MSG_APP_RESP, 2)->index, 1 + 3 * RAFT_BATCHES_MAX);
    assert_int_equal(solo_count(&s, RAFT_MSG_APP_RESP, 2), RAFT_BATCHES_MAX + 1);
    solo_stop(&s);
}

/* must_sync says whether anything in the batch was promised; a commit index alone was not. */
static void only_promises_force_the_disk(void **state)
{
    (void)state;
    struct solo s;
    start_voter(&s);
    assert_int_equal(append_one(&s, 2, 1, 1, 1), OK);
    struct raft_message beat = {.type = RAFT_MSG_HEARTBEAT, .from = 2, .to = 1, .term = 2};
    beat.commit = 2;
    struct raft_event e = {.type = RAFT_EVENT_MESSAGE, .now = s.now, .message = &beat};
    assert_int_equal(raft_step(s.raft, &e), OK);
    struct raft_update u;
    raft_take_update(s.raft, &u);
    assert_true(u.has_hard_state && !u.must_sync && u.hard_state.commit == 2);
    beat.term = 3;
    beat.commit = 0;
    assert_int_equal(raft_step(s.raft, &e), OK);
    raft_take_update(s.raft, &u);
    assert_true(u.has_hard_state && u.must_sync && u.hard_state.term == 3);
    solo_stop(&s);
}

/* §3.8: "If a server crashes" it comes back with its term, its vote and its log, as a follower;
 * what was not durable is gone, and was promised to nobody. */
static void comes_back_with_what_was_durable(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(100); round++) {
        struct solo s;
        start_voter(&s);
        s.hold_disk = true;
        raft_index promised = 1;
        raft_index last = 1;
        for (int i = 0; i < 20; i++) {
            assert_int_equal(append_one(&s, 2, last, last == 1 ? 1 : 2, 1), OK);
            last++;
            if (prng_chance(&p, 1, 3)) {
                solo_sync(&s, (uint32_t)prng_range(&p, 1, s.batch_count));
            }
            const struct raft_message *m = solo_sent(&s, RAFT_MSG_APP_RESP, 2);
            promised = m ? m->index : 1;
        }
        raft_index durable = solo_status(&s).durable;
        raft_term term = s.durable_hard_state.term;
        solo_restart(&s, prng_u64(&p));
        assert_true(promised <= durable);
        assert_int_equal(solo_status(&s).last, durable);
        assert_int_equal(solo_status(&s).term, term);
        assert_int_equal(solo_status(&s).role, RAFT_FOLLOWER);
        solo_stop(&s);
    }
}

/* §3.8: "the commit index [...] can be reinitialized to zero on restart": knowing less is no harm,
 * and what is known is applied again. */
static void the_commit_index_may_be_behind_after_a_restart(void **state)
{
    (void)state;
    struct solo s;
    start_voter(&s);
    for (raft_index i = 1; i <= 4; i++) {
        assert_int_equal(append_one(&s, 2, i, i == 1 ? 1 : 2, i), OK);
    }
    s.durable_hard_state.commit = 2;
    solo_restart(&s, 3);
    assert_int_equal(solo_status(&s).committed, 2);
    assert_int_equal(s.applying, 2);
    assert_int_equal(append_one(&s, 2, 5, 2, 6), OK);
    assert_int_equal(s.applying, 6);
    solo_stop(&s);
}

/* A log that is larger than memory is applied after a restart from what the disk gives back. */
static void applies_old_entries_from_the_disk(void **state)
{
    (void)state;
    static raft_term terms[3000];
    for (size_t i = 0; i < COUNT_OF(terms); i++) {
        terms[i] = 2;
    }
    struct raft_config cfg = raft_config_default(1, 42);
    cfg.max_append_bytes = 4096;
    cfg.max_applying_bytes = 2000;
    cfg.max_cached_bytes = 1 << 16;
    cfg.max_uncommitted_bytes = 1 << 15;
    struct raft_membership ms = solo_voters(3);
    struct raft_saved saved = solo_founding(&ms);
    saved.hard_state = (struct raft_hard_state){.term = 2, .commit = 3001};
    struct solo s;
    solo_start_saved(&s, &cfg, &saved, terms, COUNT_OF(terms));
    assert_int_equal(s.applying, 3001);
    assert_int_equal(solo_status(&s).applied, 3001);
    assert_true(solo_status(&s).cached_bytes <= cfg.max_cached_bytes);
    solo_stop(&s);
}

/* The same configuration, saved state and events give the same updates. */
static void the_same_events_give_the_same_history(void **state)
{
    (void)state;
    uint64_t prints[2];
    for (int i = 0; i < 2; i++) {
        struct solo s;
        start_voter(&s);
        solo_wait(&s, 3 * s.cfg.election_timeout);
        assert_int_equal(append_one(&s, 7, 1, 1, 1), OK);
        solo_wait(&s, 7 * s.cfg.election_timeout);
        prints[i] = raft_fingerprint(s.raft);
        solo_stop(&s);
    }
    assert_int_equal(prints[0], prints[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_is_acknowledged_when_it_is_durable),
        cmocka_unit_test(a_completion_covers_the_batches_before_it),
        cmocka_unit_test(no_more_batches_than_declared_are_under_way),
        cmocka_unit_test(only_promises_force_the_disk),
        cmocka_unit_test(comes_back_with_what_was_durable),
        cmocka_unit_test(the_commit_index_may_be_behind_after_a_restart),
        cmocka_unit_test(applies_old_entries_from_the_disk),
        cmocka_unit_test(the_same_events_give_the_same_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
