#include "core/base/prng.h"

#include "tests/support/test.h"

#include <string.h>

/* The state {1, 2, 3, 4} gives these first outputs: the known vector of xoshiro256**. */
static void matches_the_reference_sequence(void **state)
{
    (void)state;
    struct prng p = {.s = {1, 2, 3, 4}};
    const uint64_t expected[] = {
        11520, 0, 1509978240, 1215971899390074240, 1216172134540287360, 607988272756665600,
    };
    for (size_t i = 0; i < COUNT_OF(expected); i++) {
        assert_true(prng_u64(&p) == expected[i]);
    }
}

/* splitmix64 from 1234567, as every implementation of it is tested. */
static void seeds_through_splitmix64(void **state)
{
    (void)state;
    struct prng p;
    prng_init(&p, 1234567);
    assert_true(p.s[0] == UINT64_C(6457827717110365317));
    assert_true(p.s[1] == UINT64_C(3203168211198807973));
    assert_true(p.s[2] == UINT64_C(9817491932198370423));
    assert_true(p.s[3] == UINT64_C(4593380528125082431));
}

static void same_seed_gives_the_same_draws(void **state)
{
    (void)state;
    struct prng a;
    struct prng b;
    struct prng c;
    prng_init(&a, 7);
    prng_init(&b, 7);
    prng_init(&c, 8);
    bool differs = false;
    for (int i = 0; i < 100; i++) {
        uint64_t v = prng_u64(&a);
        assert_true(v == prng_u64(&b));
        differs |= v != prng_u64(&c);
    }
    assert_true(differs);
}

static void fork_leaves_the_parent_as_it_is(void **state)
{
    (void)state;
    struct prng parent;
    prng_init(&parent, 7);
    struct prng before = parent;
    struct prng child = prng_fork(&parent, 1);
    (void)prng_u64(&child);
    assert_memory_equal(&parent, &before, sizeof parent);
}

static void forks_differ_by_label_and_by_parent(void **state)
{
    (void)state;
    struct prng parent;
    struct prng other;
    prng_init(&parent, 7);
    prng_init(&other, 8);
    struct prng a = prng_fork(&parent, 1);
    struct prng again = prng_fork(&parent, 1);
    struct prng b = prng_fork(&parent, 2);
    struct prng c = prng_fork(&other, 1);
    assert_memory_equal(&a, &again, sizeof a);
    uint64_t first = prng_u64(&a);
    assert_true(first != prng_u64(&b));
    assert_true(first != prng_u64(&c));
    assert_true(first != prng_u64(&parent));
}

static void below_stays_below_and_reaches_every_value(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    for (uint64_t bound = 1; bound <= 64; bound++) {
        uint64_t seen = 0;
        for (size_t i = 0; i < 3000; i++) {
            uint64_t v = prng_below(&prng, bound);
            assert_true(v < bound);
            seen |= UINT64_C(1) << v;
        }
        assert_true(seen == UINT64_MAX >> (64 - bound));
    }
    for (size_t i = 0; i < test_rounds(1000); i++) {
        uint64_t bound = u64_max(prng_u64(&prng) >> prng_below(&prng, 64), 1);
        assert_true(prng_below(&prng, bound) < bound);
    }
}

/* 2^64 draws do not fall evenly on 3 * 2^62 results. Without the rejected draws, every third result
 * would come twice as often as the others: floor(draw * 3 / 4) is 3k for two draws of four. */
static void below_is_without_bias(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    const uint64_t bound = UINT64_C(3) << 62;
    const size_t draws = 30000;
    size_t by_residue[3] = {0, 0, 0};
    size_t by_third[3] = {0, 0, 0};
    for (size_t i = 0; i < draws; i++) {
        uint64_t v = prng_below(&prng, bound);
        by_residue[v % 3]++;
        by_third[v / (bound / 3)]++;
    }
    /* The standard deviation is 82; twelve of them are no accident of a seed. */
    for (size_t i = 0; i < 3; i++) {
        assert_in_range(by_residue[i], draws / 3 - 1000, draws / 3 + 1000);
        assert_in_range(by_third[i], draws / 3 - 1000, draws / 3 + 1000);
    }
}

static void range_includes_both_ends(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    bool low = false;
    bool high = false;
    for (size_t i = 0; i < 1000; i++) {
        uint64_t v = prng_range(&prng, 5, 8);
        assert_in_range(v, 5, 8);
        low |= v == 5;
        high |= v == 8;
    }
    assert_true(low && high);
    assert_true(prng_range(&prng, 9, 9) == 9);
    assert_true(prng_range(&prng, UINT64_MAX, UINT64_MAX) == UINT64_MAX);
    (void)prng_range(&prng, 0, UINT64_MAX);
}

static void chance_of_none_and_of_all_is_certain(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    size_t hits = 0;
    for (size_t i = 0; i < 10000; i++) {
        assert_false(prng_chance(&prng, 0, 10));
        assert_true(prng_chance(&prng, 10, 10));
        hits += prng_chance(&prng, 1, 4);
    }
    assert_in_range(hits, 2000, 3000);
}

static void draw_below_nothing(void *arg)
{
    (void)prng_below(arg, 0);
}

static void draw_from_a_turned_range(void *arg)
{
    (void)prng_range(arg, 2, 1);
}

static void draw_a_chance_above_one(void *arg)
{
    (void)prng_chance(arg, 2, 1);
}

static void aborts_on_bounds_that_make_no_sense(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 1);
    assert_true(test_aborts(draw_below_nothing, &prng));
    assert_true(test_aborts(draw_from_a_turned_range, &prng));
    assert_true(test_aborts(draw_a_chance_above_one, &prng));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_the_reference_sequence),
        cmocka_unit_test(seeds_through_splitmix64),
        cmocka_unit_test(same_seed_gives_the_same_draws),
        cmocka_unit_test(fork_leaves_the_parent_as_it_is),
        cmocka_unit_test(forks_differ_by_label_and_by_parent),
        cmocka_unit_test(below_stays_below_and_reaches_every_value),
        cmocka_unit_test(below_is_without_bias),
        cmocka_unit_test(range_includes_both_ends),
        cmocka_unit_test(chance_of_none_and_of_all_is_certain),
        cmocka_unit_test(aborts_on_bounds_that_make_no_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
