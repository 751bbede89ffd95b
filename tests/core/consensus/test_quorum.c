/* Quorum arithmetic, held against its definitions over every case of a small scope. */
#include "core/consensus/quorum.h"

#include "tests/support/test.h"

#define MEMBERS_TRIED 7 /* the most voters that anybody should run */
#define VALUES_TRIED  4 /* distinct acknowledgements, for up to five members */

static unsigned count_bits(unsigned set)
{
    return (unsigned)__builtin_popcount(set);
}

static void majority_is_more_than_half(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 100; n++) {
        assert_true(2 * quorum_size(n) > n);
        assert_true(2 * (quorum_size(n) - 1) <= n);
    }
}

static void two_majorities_share_a_member(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= MEMBERS_TRIED; n++) {
        for (unsigned a = 0; a < 1u << n; a++) {
            for (unsigned b = 0; b < 1u << n; b++) {
                bool both = count_bits(a) >= quorum_size(n) && count_bits(b) >= quorum_size(n);
                assert_true(!both || (a & b) != 0);
            }
        }
    }
}

/* Fills `values` with the digits of `number` to the base VALUES_TRIED. */
static void spell(unsigned number, uint64_t *values, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        values[i] = number % VALUES_TRIED;
        number /= VALUES_TRIED;
    }
}

static unsigned count_reaching(const uint64_t *values, unsigned n, uint64_t v)
{
    unsigned count = 0;
    for (unsigned i = 0; i < n; i++) {
        count += values[i] >= v;
    }
    return count;
}

static unsigned count_spellings(unsigned n)
{
    unsigned count = 1;
    for (unsigned i = 0; i < n; i++) {
        count *= VALUES_TRIED;
    }
    return count;
}

static void ranked_value_is_the_largest_that_so_many_reach(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 5; n++) {
        for (unsigned number = 0; number < count_spellings(n); number++) {
            for (unsigned rank = 1; rank <= n; rank++) {
                uint64_t values[5];
                spell(number, values, n);
                uint64_t v = quorum_ranked(values, n, rank);
                assert_true(count_reaching(values, n, v) >= rank);
                assert_true(count_reaching(values, n, v + 1) < rank);
            }
        }
    }
}

static void committed_is_what_a_majority_has(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 5; n++) {
        for (unsigned number = 0; number < count_spellings(n); number++) {
            uint64_t acked[5];
            spell(number, acked, n);
            uint64_t index = quorum_committed(acked, n);
            assert_true(count_reaching(acked, n, index) >= quorum_size(n));
            assert_true(count_reaching(acked, n, index + 1) < quorum_size(n));
        }
    }
}

static void committed_does_not_depend_on_the_order(void **state)
{
    (void)state;
    const uint64_t values[] = {3, 9, 27};
    for (unsigned i = 0; i < 27; i++) {
        unsigned at[3] = {i % 3, i / 3 % 3, i / 9};
        if (at[0] == at[1] || at[1] == at[2] || at[0] == at[2]) {
            continue;
        }
        uint64_t acked[] = {values[at[0]], values[at[1]], values[at[2]]};
        assert_int_equal(quorum_committed(acked, 3), 9);
    }
}

static void nobody_commits_everything(void **state)
{
    (void)state;
    assert_true(quorum_committed(NULL, 0) == QUORUM_ALL);
    assert_int_equal(quorum_tally(0, 0, 0), QUORUM_WON);
}

/* By definition: what the votes still to come can change. */
static enum quorum_result tally_over_all_futures(unsigned yes, unsigned no, unsigned n)
{
    bool may_win = false;
    bool may_lose = false;
    for (unsigned more = 0; more <= n - yes - no; more++) {
        bool wins = 2 * (yes + more) > n;
        may_win = may_win || wins;
        may_lose = may_lose || !wins;
    }
    return may_win && may_lose ? QUORUM_PENDING : may_win ? QUORUM_WON : QUORUM_LOST;
}

static void vote_is_decided_once_the_rest_cannot_change_it(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 2 * MEMBERS_TRIED; n++) {
        for (unsigned yes = 0; yes <= n; yes++) {
            for (unsigned no = 0; yes + no <= n; no++) {
                assert_int_equal(quorum_tally(yes, no, n), tally_over_all_futures(yes, no, n));
            }
        }
    }
}

static void both_halves_must_win_and_either_may_lose(void **state)
{
    (void)state;
    const enum quorum_result all[] = {QUORUM_PENDING, QUORUM_LOST, QUORUM_WON};
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        assert_int_equal(quorum_both(all[i], QUORUM_WON), all[i]);
        assert_int_equal(quorum_both(all[i], QUORUM_LOST), QUORUM_LOST);
        for (size_t j = 0; j < COUNT_OF(all); j++) {
            assert_int_equal(quorum_both(all[i], all[j]), quorum_both(all[j], all[i]));
        }
    }
    assert_int_equal(quorum_both(QUORUM_PENDING, QUORUM_PENDING), QUORUM_PENDING);
}

/* Joint decisions on overlapping sets: any two of them share a member [Ongaro14 §4.3]. */
static bool decides(unsigned set, unsigned half_a, unsigned half_b)
{
    unsigned a = count_bits(half_a);
    unsigned b = count_bits(half_b);
    unsigned yes_a = count_bits(set & half_a);
    unsigned yes_b = count_bits(set & half_b);
    return quorum_both(quorum_tally(yes_a, a - yes_a, a), quorum_tally(yes_b, b - yes_b, b)) ==
           QUORUM_WON;
}

static void joint_decisions_share_a_member_with_each_half(void **state)
{
    (void)state;
    const unsigned all = 1u << 5;
    for (unsigned outgoing = 1; outgoing < all; outgoing++) {
        for (unsigned incoming = 1; incoming < all; incoming++) {
            for (unsigned set = 0; set < all; set++) {
                bool joint = decides(set, outgoing, incoming);
                assert_false(joint && decides(~set & (all - 1), outgoing, 0));
                assert_false(joint && decides(~set & (all - 1), incoming, 0));
            }
        }
    }
}

static void rank_of_nothing(void *arg)
{
    (void)arg;
    uint64_t values[] = {1, 2};
    (void)quorum_ranked(values, 2, 0);
}

static void rank_beyond_the_members(void *arg)
{
    (void)arg;
    uint64_t values[] = {1, 2};
    (void)quorum_ranked(values, 2, 3);
}

static void more_votes_than_members(void *arg)
{
    (void)arg;
    (void)quorum_tally(2, 1, 2);
}

static void impossible_questions_abort(void **state)
{
    (void)state;
    assert_true(test_aborts(rank_of_nothing, NULL));
    assert_true(test_aborts(rank_beyond_the_members, NULL));
    assert_true(test_aborts(more_votes_than_members, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(majority_is_more_than_half),
        cmocka_unit_test(two_majorities_share_a_member),
        cmocka_unit_test(ranked_value_is_the_largest_that_so_many_reach),
        cmocka_unit_test(committed_is_what_a_majority_has),
        cmocka_unit_test(committed_does_not_depend_on_the_order),
        cmocka_unit_test(nobody_commits_everything),
        cmocka_unit_test(vote_is_decided_once_the_rest_cannot_change_it),
        cmocka_unit_test(both_halves_must_win_and_either_may_lose),
        cmocka_unit_test(joint_decisions_share_a_member_with_each_half),
        cmocka_unit_test(impossible_questions_abort),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
