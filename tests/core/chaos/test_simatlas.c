/* The fault atlas: what may be damaged, and that what it allows leaves a copy of everything. */
#include "core/chaos/simatlas.h"

#include "tests/support/test.h"

#include <string.h>

/* Replicas 0 to n - 1. */
static uint64_t first(uint32_t n)
{
    return (UINT64_C(1) << n) - 1;
}

static struct simatlas voters_only(uint32_t n)
{
    struct simatlas atlas;
    simatlas_init(&atlas, &(struct simatlas_group){.voters = first(n), .current = first(n)});
    return atlas;
}

static uint32_t strike_all(struct simatlas *atlas, uint32_t n, enum simatlas_kind kind,
                           uint64_t stripe)
{
    uint32_t struck = 0;

    for (uint32_t i = 0; i < n; i++) {
        if (simatlas_may(atlas, i, kind, stripe)) {
            simatlas_struck(atlas, i, kind, stripe);
            struck++;
        }
    }
    return struck;
}

static void a_minority_may_be_damaged_until_it_is_healed(void **state)
{
    (void)state;
    const uint32_t most[] = {0, 0, 0, 1, 1, 2, 2, 3};

    for (uint32_t n = 1; n < COUNT_OF(most); n++) {
        struct simatlas atlas = voters_only(n);
        assert_int_equal(strike_all(&atlas, n, SIMATLAS_WIPED, SIMATLAS_WHOLE), most[n]);
        assert_int_equal(simatlas_damaged(&atlas), first(most[n]));
        assert_true(simatlas_is_within(&atlas));
        if (most[n] > 0) {
            /* What is damaged may be damaged again. */
            assert_true(simatlas_may(&atlas, 0, SIMATLAS_ROT, 1));
            simatlas_healed(&atlas, 0);
            assert_true(simatlas_may(&atlas, n - 1, SIMATLAS_WIPED, SIMATLAS_WHOLE));
        }
        assert_true(simatlas_has_held(&atlas));
    }
}

static void every_replica_may_be_damaged_in_a_stripe_of_its_own(void **state)
{
    (void)state;
    struct simatlas atlas = voters_only(3);

    for (uint32_t i = 0; i < 3; i++) {
        assert_true(simatlas_may(&atlas, i, SIMATLAS_ROT, i));
        simatlas_struck(&atlas, i, SIMATLAS_ROT, i);
        assert_false(simatlas_may(&atlas, (i + 1) % 3, SIMATLAS_SPOILED, i));
    }
    assert_int_equal(simatlas_damaged(&atlas), first(3));
    /* But then nothing may be damaged as a whole, as all its stripes would be. */
    assert_int_equal(strike_all(&atlas, 3, SIMATLAS_WIPED, SIMATLAS_WHOLE), 0);
    assert_int_equal(strike_all(&atlas, 3, SIMATLAS_ROT, SIMATLAS_WHOLE), 0);
    /* Nor can a kind that is not confined be called so. */
    assert_false(simatlas_may(&atlas, 0, SIMATLAS_TRUNCATED, 0));
    simatlas_healed(&atlas, 1);
    simatlas_healed(&atlas, 2);
    assert_true(simatlas_may(&atlas, 0, SIMATLAS_WIPED, SIMATLAS_WHOLE));
    assert_false(simatlas_may(&atlas, 1, SIMATLAS_WIPED, SIMATLAS_WHOLE));
}

static void a_loss_that_nobody_notices_needs_all_others_whole_and_current(void **state)
{
    (void)state;
    struct simatlas atlas = voters_only(5);
    struct simatlas_group group = atlas.group;

    assert_true(simatlas_may(&atlas, 2, SIMATLAS_LYING, SIMATLAS_WHOLE));
    group.current = first(5) & ~UINT64_C(4);
    simatlas_set_group(&atlas, &group);
    assert_true(simatlas_may(&atlas, 2, SIMATLAS_LYING, SIMATLAS_WHOLE));
    assert_false(simatlas_may(&atlas, 1, SIMATLAS_LYING, SIMATLAS_WHOLE));
    assert_true(simatlas_may(&atlas, 1, SIMATLAS_WIPED, SIMATLAS_WHOLE));
    simatlas_struck(&atlas, 1, SIMATLAS_ROT, 7);
    assert_false(simatlas_may(&atlas, 2, SIMATLAS_OLD_CLONE, SIMATLAS_WHOLE));
    simatlas_healed(&atlas, 1);
    simatlas_struck(&atlas, 2, SIMATLAS_OLD_CLONE, SIMATLAS_WHOLE);
    assert_true(simatlas_has_held(&atlas));
    assert_true(simatlas_may(&atlas, 1, SIMATLAS_WIPED, SIMATLAS_WHOLE));
    assert_false(simatlas_may(&atlas, 1, SIMATLAS_LOST_WRITE, SIMATLAS_WHOLE));
}

static void while_exposed_the_last_full_replica_is_spared(void **state)
{
    (void)state;
    struct simatlas atlas;
    struct simatlas_group group = {.voters = 7, .witnesses = 4, .in_sync = 3};

    simatlas_init(&atlas, &group);
    assert_true(simatlas_may(&atlas, 0, SIMATLAS_WIPED, SIMATLAS_WHOLE));
    group.in_sync = 1;
    simatlas_set_group(&atlas, &group);
    assert_false(simatlas_may(&atlas, 0, SIMATLAS_WIPED, SIMATLAS_WHOLE));
    assert_true(simatlas_may(&atlas, 1, SIMATLAS_WIPED, SIMATLAS_WHOLE));
    assert_true(simatlas_may(&atlas, 2, SIMATLAS_WIPED, SIMATLAS_WHOLE));
    /* Without a witness the set means nothing. */
    group.witnesses = 0;
    simatlas_set_group(&atlas, &group);
    assert_true(simatlas_may(&atlas, 0, SIMATLAS_WIPED, SIMATLAS_WHOLE));
}

/* A witness votes for any member of the in-sync set: only another member refuses one that lost. */
static void with_a_witness_a_loss_that_nobody_notices_needs_somebody_who_refuses(void **state)
{
    (void)state;
    struct simatlas atlas;
    struct simatlas_group group = {
        .voters = first(3), .witnesses = 4, .in_sync = 3, .current = first(3)};

    simatlas_init(&atlas, &group);
    assert_false(simatlas_may(&atlas, 0, SIMATLAS_OLD_CLONE, SIMATLAS_WHOLE));
    assert_true(simatlas_may(&atlas, 0, SIMATLAS_WIPED, SIMATLAS_WHOLE));
    /* The witness is no candidate, nor is whoever is not in the set. */
    assert_true(simatlas_may(&atlas, 2, SIMATLAS_OLD_CLONE, SIMATLAS_WHOLE));
    group.in_sync = 2;
    simatlas_set_group(&atlas, &group);
    assert_true(simatlas_may(&atlas, 0, SIMATLAS_OLD_CLONE, SIMATLAS_WHOLE));
    /* Of five, the witness and a replica that fell out would do; the witness alone does not. */
    group = (struct simatlas_group){
        .voters = first(5), .witnesses = 16, .in_sync = 15, .current = first(5)};
    simatlas_set_group(&atlas, &group);
    assert_true(simatlas_may(&atlas, 0, SIMATLAS_OLD_CLONE, SIMATLAS_WHOLE));
    group.in_sync = 7;
    simatlas_set_group(&atlas, &group);
    assert_false(simatlas_may(&atlas, 0, SIMATLAS_OLD_CLONE, SIMATLAS_WHOLE));
    assert_true(simatlas_may(&atlas, 3, SIMATLAS_OLD_CLONE, SIMATLAS_WHOLE));
}

static void members_count_as_they_are_now(void **state)
{
    (void)state;
    struct simatlas atlas;
    struct simatlas_group group = {.voters = 7, .learners = 8};

    simatlas_init(&atlas, &group);
    /* A learner counts, a stranger does not. */
    simatlas_struck(&atlas, 3, SIMATLAS_WIPED, SIMATLAS_WHOLE);
    assert_false(simatlas_may(&atlas, 0, SIMATLAS_WIPED, SIMATLAS_WHOLE));
    assert_true(simatlas_may(&atlas, 9, SIMATLAS_WIPED, SIMATLAS_WHOLE));
    /* It might forget that it is no member. */
    assert_false(simatlas_may(&atlas, 9, SIMATLAS_VANISHED, SIMATLAS_WHOLE));
    simatlas_struck(&atlas, 9, SIMATLAS_WIPED, SIMATLAS_WHOLE);
    assert_true(simatlas_is_within(&atlas));
    /* A joint membership has to bear it in both halves. */
    group = (struct simatlas_group){.voters = 0x1f, .outgoing = 3};
    simatlas_set_group(&atlas, &group);
    assert_false(simatlas_is_within(&atlas));
    assert_false(simatlas_has_held(&atlas));
    group.outgoing = 0;
    simatlas_set_group(&atlas, &group);
    assert_true(simatlas_is_within(&atlas));
    /* What once was too much stays too much. */
    assert_false(simatlas_has_held(&atlas));
}

static void a_strike_without_permission_is_remembered(void **state)
{
    (void)state;
    struct simatlas atlas = voters_only(3);

    simatlas_struck(&atlas, 0, SIMATLAS_WIPED, SIMATLAS_WHOLE);
    assert_true(simatlas_has_held(&atlas));
    simatlas_struck(&atlas, 1, SIMATLAS_WIPED, SIMATLAS_WHOLE);
    assert_false(simatlas_is_within(&atlas));
    simatlas_healed(&atlas, 1);
    assert_true(simatlas_is_within(&atlas));
    assert_false(simatlas_has_held(&atlas));
}

/* Strikes as they come, whatever is allowed; checks by counting that each stripe keeps a majority
 * of the voters. Returns a mark of all answers. */
static uint64_t strike_at_random(uint64_t seed)
{
    struct prng prng;
    uint64_t mark = seed;
    bool bad[7][4] = {{false}};

    prng_init(&prng, seed);
    uint32_t n = (uint32_t)prng_range(&prng, 1, 7);
    struct simatlas atlas = voters_only(n);
    for (unsigned step = 0; step < 400; step++) {
        uint32_t i = (uint32_t)prng_below(&prng, n);
        if (prng_chance(&prng, 1, 4)) {
            simatlas_healed(&atlas, i);
            memset(bad[i], 0, sizeof bad[i]);
            continue;
        }
        enum simatlas_kind kind = (enum simatlas_kind)prng_below(&prng, SIMATLAS_KINDS);
        uint64_t stripe = prng_chance(&prng, 1, 3) ? SIMATLAS_WHOLE : prng_below(&prng, 4);
        bool may = simatlas_may(&atlas, i, kind, stripe);
        mark = mark * 31 + may;
        if (!may) {
            continue;
        }
        simatlas_struck(&atlas, i, kind, stripe);
        bool is_confined = kind == SIMATLAS_ROT || kind == SIMATLAS_SPOILED;
        for (uint64_t s = 0; s < 4; s++) {
            bad[i][s] |= !is_confined || stripe == SIMATLAS_WHOLE || stripe == s;
            uint32_t count = 0;
            for (uint32_t k = 0; k < n; k++) {
                count += bad[k][s];
            }
            assert_true(n - count >= n / 2 + 1);
        }
        assert_true(simatlas_has_held(&atlas));
    }
    return mark;
}

static void whatever_it_allows_leaves_a_majority_of_each_stripe(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);

    for (size_t round = 0; round < test_rounds(200); round++) {
        uint64_t seed = prng_u64(&prng);
        assert_int_equal(strike_at_random(seed), strike_at_random(seed));
    }
}

static void more_strikes_than_it_can_keep_are_refused(void **state)
{
    (void)state;
    struct simatlas atlas = voters_only(3);

    for (uint64_t i = 0; i < SIMATLAS_STRIKES_MAX; i++) {
        assert_true(simatlas_may(&atlas, 0, SIMATLAS_ROT, i));
        simatlas_struck(&atlas, 0, SIMATLAS_ROT, i);
    }
    assert_false(simatlas_may(&atlas, 0, SIMATLAS_ROT, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_minority_may_be_damaged_until_it_is_healed),
        cmocka_unit_test(every_replica_may_be_damaged_in_a_stripe_of_its_own),
        cmocka_unit_test(a_loss_that_nobody_notices_needs_all_others_whole_and_current),
        cmocka_unit_test(while_exposed_the_last_full_replica_is_spared),
        cmocka_unit_test(with_a_witness_a_loss_that_nobody_notices_needs_somebody_who_refuses),
        cmocka_unit_test(members_count_as_they_are_now),
        cmocka_unit_test(a_strike_without_permission_is_remembered),
        cmocka_unit_test(whatever_it_allows_leaves_a_majority_of_each_stripe),
        cmocka_unit_test(more_strikes_than_it_can_keep_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
