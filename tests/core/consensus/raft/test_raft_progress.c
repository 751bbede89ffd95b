/* The contract of raft_progress.h: the window, and every move of the diagram. */
#include <string.h>

#include "core/consensus/raft/raft_int.h"
#include "tests/support/raft_solo.h"
#include "tests/support/test.h"

/* The ring against a plain array, with random additions and acknowledgements. */
static void the_window_agrees_with_a_model(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(100); round++) {
        struct raft_progress pr;
        uint32_t max = (uint32_t)prng_range(&p, 1, 40);
        uint64_t max_bytes = prng_chance(&p, 1, 2) ? prng_range(&p, 1, 500) : 0;
        raft_progress_init(&pr, 1, max, max_bytes);
        struct raft_inflight model[40];
        uint32_t n = 0;
        raft_index index = 0;
        for (int i = 0; i < 300; i++) {
            uint64_t bytes = 0;
            for (uint32_t k = 0; k < n; k++) {
                bytes += model[k].bytes;
            }
            bool full = n == max || (max_bytes != 0 && bytes >= max_bytes);
            assert_int_equal(raft_inflights_full(&pr.inflights), full);
            assert_true(pr.inflights.count == n && pr.inflights.bytes == bytes);
            assert_true(pr.inflights.cap <= max);
            if (!full && prng_chance(&p, 3, 5)) {
                index += prng_range(&p, 1, 3);
                model[n++] = (struct raft_inflight){index, prng_below(&p, 60)};
                raft_inflights_add(&pr.inflights, index, model[n - 1].bytes);
                continue;
            }
            raft_index acked = index - u64_min(index, prng_below(&p, 20));
            raft_inflights_free_to(&pr.inflights, acked);
            uint32_t gone = 0;
            while (gone < n && model[gone].index <= acked) {
                gone++;
            }
            memmove(model, model + gone, (n - gone) * sizeof(model[0]));
            n -= gone;
        }
        raft_progress_deinit(&pr);
    }
}

static void add_to_a_full_window(void *arg)
{
    raft_inflights_add(arg, 9, 1);
}

static void a_full_window_takes_no_more(void **state)
{
    (void)state;
    struct raft_progress pr;
    raft_progress_init(&pr, 1, 1, 0);
    raft_inflights_add(&pr.inflights, 1, 1);
    assert_true(test_aborts(add_to_a_full_window, &pr.inflights));
    raft_progress_deinit(&pr);
}

static struct raft_progress probing(raft_index match, raft_index next)
{
    struct raft_progress pr;
    raft_progress_init(&pr, next, 4, 1000);
    pr.match = match;
    return pr;
}

static void a_probe_sends_one_message_and_waits(void **state)
{
    (void)state;
    struct raft_progress pr = probing(3, 10);
    assert_false(raft_progress_is_paused(&pr));
    raft_progress_sent(&pr, 0, 0); /* an empty one may be repeated */
    assert_false(raft_progress_is_paused(&pr));
    raft_progress_sent(&pr, 5, 50);
    assert_true(raft_progress_is_paused(&pr));
    assert_int_equal(pr.next, 10);
    raft_progress_check(&pr);
    raft_progress_deinit(&pr);
}

static void replication_runs_ahead_until_the_window_is_full(void **state)
{
    (void)state;
    struct raft_progress pr = probing(3, 10);
    assert_true(raft_progress_acked(&pr, 9));
    raft_progress_become_replicate(&pr);
    assert_int_equal(pr.next, 10);
    for (int i = 0; i < 4; i++) {
        assert_false(raft_progress_is_paused(&pr));
        raft_progress_sent(&pr, 2, 10);
        raft_progress_check(&pr);
    }
    assert_true(raft_progress_is_paused(&pr));
    assert_int_equal(pr.next, 18);
    assert_true(raft_progress_acked(&pr, 11));
    raft_inflights_free_to(&pr.inflights, 11);
    assert_false(raft_progress_is_paused(&pr));
    raft_progress_deinit(&pr);
}

static void an_old_acknowledgement_says_nothing(void **state)
{
    (void)state;
    struct raft_progress pr = probing(5, 10);
    assert_false(raft_progress_acked(&pr, 5));
    assert_false(raft_progress_acked(&pr, 1));
    assert_true(pr.match == 5 && pr.next == 10);
    assert_true(raft_progress_acked(&pr, 20)); /* beyond what was thought to be next */
    assert_true(pr.match == 20 && pr.next == 21);
    raft_progress_deinit(&pr);
}

static void a_refusal_moves_a_probe_back_but_not_before_what_matches(void **state)
{
    (void)state;
    static const struct {
        raft_index rejected;
        raft_index hint;
        bool counts;
        raft_index next;
    } cases[] = {
        {9, 7, true, 8},   {9, 20, true, 9},   {9, 0, true, 4},
        {8, 7, false, 10}, {10, 7, false, 10}, {9, UINT64_MAX, true, 4},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct raft_progress pr = probing(3, 10);
        pr.append_paused = true;
        assert_int_equal(raft_progress_rejected(&pr, cases[i].rejected, cases[i].hint),
                         cases[i].counts);
        assert_int_equal(pr.next, cases[i].next);
        assert_int_equal(raft_progress_is_paused(&pr), !cases[i].counts);
        raft_progress_check(&pr);
        raft_progress_deinit(&pr);
    }
}

static void a_refusal_while_replicating_goes_back_to_what_matches(void **state)
{
    (void)state;
    struct raft_progress pr = probing(5, 6);
    raft_progress_become_replicate(&pr);
    raft_progress_sent(&pr, 3, 10);
    assert_false(raft_progress_rejected(&pr, 5, 2)); /* overtaken by an acknowledgement */
    assert_int_equal(pr.next, 9);
    assert_true(raft_progress_rejected(&pr, 7, 2));
    assert_int_equal(pr.next, 6);
    raft_progress_become_probe(&pr);
    assert_int_equal(pr.inflights.count, 0);
    raft_progress_check(&pr);
    raft_progress_deinit(&pr);
}

static void a_member_that_fetches_a_snapshot_is_sent_nothing(void **state)
{
    (void)state;
    struct raft_progress pr = probing(3, 10);
    raft_progress_become_snapshot(&pr, 50, 7);
    assert_true(raft_progress_is_paused(&pr));
    assert_true(pr.next == 51 && pr.pending_snapshot == 50 && pr.snapshot_alive == 7);
    assert_false(raft_progress_rejected(&pr, 50, 2));
    raft_progress_check(&pr);
    raft_progress_become_probe(&pr); /* it may have it, though nothing was heard: from there */
    assert_true(pr.next == 51 && pr.match == 3 && pr.pending_snapshot == 0);
    raft_progress_become_snapshot(&pr, 60, 8);
    pr.pending_snapshot = 0; /* it failed */
    raft_progress_become_probe(&pr);
    assert_int_equal(pr.next, 4);
    raft_progress_deinit(&pr);
}

static void what_was_lost_is_not_counted_and_sent_again(void **state)
{
    (void)state;
    struct raft_progress pr = probing(20, 21);
    raft_progress_become_replicate(&pr);
    raft_progress_sent(&pr, 3, 10);
    raft_progress_regress(&pr, 8);
    assert_true(pr.match == 0 && pr.next == 8 && pr.state == RAFT_PROBE);
    assert_false(raft_progress_is_paused(&pr));
    raft_progress_check(&pr);
    raft_progress_deinit(&pr);
}

static void another_term_begins_anew_and_keeps_the_memory(void **state)
{
    (void)state;
    struct raft_progress pr = probing(0, 1);
    raft_progress_become_replicate(&pr);
    raft_progress_sent(&pr, 1, 1);
    const struct raft_inflight *ring = pr.inflights.ring;
    pr.read_acked = 9;
    pr.lease_acked = 9;
    pr.recent_active = true;
    raft_progress_reset(&pr, 2, 8);
    assert_true(pr.state == RAFT_PROBE && pr.match == 2 && pr.next == 8);
    assert_true(pr.read_acked == 0 && pr.lease_acked == 0 && !pr.recent_active);
    assert_true(pr.inflights.ring == ring && pr.inflights.count == 0);
    assert_int_equal(pr.inflights.max_messages, 4);
    raft_progress_deinit(&pr);
}

static void tells_whether_a_commit_index_is_news(void **state)
{
    (void)state;
    struct raft_progress pr = probing(5, 8);
    pr.sent_commit = 4;
    assert_false(raft_progress_can_bump_commit(&pr, 4));
    assert_true(raft_progress_can_bump_commit(&pr, 5));
    pr.sent_commit = 7; /* all that it has, or is about to have, it knows to be committed */
    assert_false(raft_progress_can_bump_commit(&pr, 9));
    raft_progress_deinit(&pr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_window_agrees_with_a_model),
        cmocka_unit_test(a_full_window_takes_no_more),
        cmocka_unit_test(a_probe_sends_one_message_and_waits),
        cmocka_unit_test(replication_runs_ahead_until_the_window_is_full),
        cmocka_unit_test(an_old_acknowledgement_says_nothing),
        cmocka_unit_test(a_refusal_moves_a_probe_back_but_not_before_what_matches),
        cmocka_unit_test(a_refusal_while_replicating_goes_back_to_what_matches),
        cmocka_unit_test(a_member_that_fetches_a_snapshot_is_sent_nothing),
        cmocka_unit_test(what_was_lost_is_not_counted_and_sent_again),
        cmocka_unit_test(another_term_begins_anew_and_keeps_the_memory),
        cmocka_unit_test(tells_whether_a_commit_index_is_news),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
