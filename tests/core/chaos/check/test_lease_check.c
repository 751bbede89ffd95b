#include "core/chaos/check/lease_check.h"

#include "tests/support/test.h"

#define S   NANOS_PER_S
#define TTL (10 * NANOS_PER_S)

static struct lease_check new_lease(uint32_t drift_ppm)
{
    struct lease_terms terms = {.drift_ppm = drift_ppm, .slack = 2 * S};
    struct lease_check l;
    lease_check_init(&l, 7, &terms);
    return l;
}

/* Granted between 1 s and 2 s. */
static struct lease_check granted(uint32_t drift_ppm)
{
    struct lease_check l = new_lease(drift_ppm);
    assert_int_equal(lease_check_renewed(&l, 1 * S, 2 * S, TTL, NULL).fault, LEASE_RIGHT);
    return l;
}

static enum lease_fault see(struct lease_check *l, nanos invoked, nanos returned, bool is_alive)
{
    return lease_check_seen(l, invoked, returned, is_alive, NULL).fault;
}

static void lease_may_go_once_its_ttl_is_over(void **state)
{
    (void)state;
    struct lease_check l = granted(0);
    assert_int_equal(see(&l, 5 * S, 6 * S, true), LEASE_RIGHT);
    assert_int_equal(see(&l, 10 * S, 11 * S, false), LEASE_RIGHT);
}

static void lease_gone_before_its_ttl_is_early(void **state)
{
    (void)state;
    struct lease_check l = granted(0);
    struct lease_verdict v = lease_check_seen(&l, 10 * S, 11 * S - 1, false, NULL);
    assert_int_equal(v.fault, LEASE_EARLY);
    assert_int_equal(v.due, 11 * S);
    assert_int_equal(v.seen, 11 * S - 1);
}

static void renewal_that_was_acknowledged_makes_it_last(void **state)
{
    (void)state;
    struct lease_check l = granted(0);
    assert_int_equal(lease_check_renewed(&l, 8 * S, 9 * S, TTL, NULL).fault, LEASE_RIGHT);
    assert_int_equal(see(&l, 12 * S, 13 * S, false), LEASE_EARLY);
    l = granted(0);
    lease_check_maybe_renewed(&l, 9 * S, TTL);
    assert_int_equal(see(&l, 12 * S, 13 * S, false), LEASE_RIGHT);
}

static void renewal_after_it_was_seen_gone_brings_it_back(void **state)
{
    (void)state;
    struct lease_check l = granted(0);
    assert_int_equal(see(&l, 12 * S, 13 * S, false), LEASE_RIGHT);
    assert_int_equal(lease_check_renewed(&l, 14 * S, 15 * S, TTL, NULL).fault, LEASE_BACK);
}

static void gone_while_a_renewal_succeeds_is_early(void **state)
{
    (void)state;
    struct lease_check l = granted(0);
    assert_int_equal(see(&l, 12 * S, 13 * S, false), LEASE_RIGHT);
    assert_int_equal(lease_check_renewed(&l, 11 * S, 15 * S, TTL, NULL).fault, LEASE_EARLY);
}

static void fast_clocks_are_allowed_for(void **state)
{
    (void)state;
    /* A hundredth of ten seconds. */
    struct lease_check l = granted(10000);
    assert_int_equal(see(&l, 10 * S, 11 * S - S / 10 - 20000, false), LEASE_EARLY);
    l = granted(10000);
    assert_int_equal(see(&l, 10 * S, 11 * S - S / 10, false), LEASE_RIGHT);
}

static void revoked_lease_may_go_at_any_time(void **state)
{
    (void)state;
    struct lease_check l = granted(0);
    lease_check_revoke_begun(&l, 3 * S);
    assert_int_equal(see(&l, 3 * S, 4 * S, false), LEASE_RIGHT);
    l = granted(0);
    lease_check_revoke_begun(&l, 5 * S);
    assert_int_equal(see(&l, 3 * S, 4 * S, false), LEASE_EARLY);
}

static void lease_seen_alive_after_it_was_gone_is_back(void **state)
{
    (void)state;
    struct lease_check l = granted(0);
    assert_int_equal(see(&l, 11 * S, 12 * S, false), LEASE_RIGHT);
    assert_int_equal(see(&l, 11 * S, 13 * S, true), LEASE_RIGHT);
    assert_int_equal(see(&l, 13 * S, 14 * S, true), LEASE_BACK);
}

static void lease_is_not_kept_once_faults_are_over(void **state)
{
    (void)state;
    struct lease_check l = granted(0);
    assert_int_equal(see(&l, 500 * S, 501 * S, true), LEASE_RIGHT);
    lease_check_calm(&l, 510 * S);
    assert_int_equal(see(&l, 522 * S, 523 * S, true), LEASE_RIGHT);
    struct lease_verdict v = lease_check_seen(&l, 522 * S + 1, 523 * S, true, NULL);
    assert_int_equal(v.fault, LEASE_KEPT);
    assert_int_equal(v.due, 522 * S);
}

static void renewals_keep_it_also_those_that_may_have_been(void **state)
{
    (void)state;
    struct lease_check l = granted(0);
    lease_check_calm(&l, 2 * S);
    assert_int_equal(lease_check_renewed(&l, 10 * S, 20 * S, TTL, NULL).fault, LEASE_RIGHT);
    assert_int_equal(see(&l, 32 * S, 33 * S, true), LEASE_RIGHT);
    lease_check_maybe_renewed(&l, 40 * S, TTL);
    assert_int_equal(see(&l, 52 * S, 53 * S, true), LEASE_RIGHT);
    assert_int_equal(see(&l, 52 * S + 1, 53 * S, true), LEASE_KEPT);
}

static void numbers_at_their_limits_are_no_fault(void **state)
{
    (void)state;
    struct lease_check l = new_lease(UINT32_MAX);
    assert_int_equal(lease_check_renewed(&l, 1, UINT64_MAX, UINT64_MAX, NULL).fault, LEASE_RIGHT);
    lease_check_calm(&l, UINT64_MAX - 1);
    assert_int_equal(see(&l, UINT64_MAX, UINT64_MAX, true), LEASE_RIGHT);
}

static void first_lease_fault_stays_and_is_told(void **state)
{
    (void)state;
    struct lease_check l = granted(0);
    struct buf text;
    buf_init(&text);
    (void)lease_check_seen(&l, 3 * S, 4 * S, false, &text);
    buf_put_u8(&text, 0);
    assert_string_equal((const char *)text.data,
                        "lease 7 at 4.000000000 s: it is gone too early; it was promised until "
                        "11.000000000 s\n");
    assert_int_equal(see(&l, 20 * S, 21 * S, false), LEASE_EARLY);
    buf_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lease_may_go_once_its_ttl_is_over),
        cmocka_unit_test(lease_gone_before_its_ttl_is_early),
        cmocka_unit_test(renewal_that_was_acknowledged_makes_it_last),
        cmocka_unit_test(renewal_after_it_was_seen_gone_brings_it_back),
        cmocka_unit_test(gone_while_a_renewal_succeeds_is_early),
        cmocka_unit_test(fast_clocks_are_allowed_for),
        cmocka_unit_test(revoked_lease_may_go_at_any_time),
        cmocka_unit_test(lease_seen_alive_after_it_was_gone_is_back),
        cmocka_unit_test(lease_is_not_kept_once_faults_are_over),
        cmocka_unit_test(renewals_keep_it_also_those_that_may_have_been),
        cmocka_unit_test(numbers_at_their_limits_are_no_fault),
        cmocka_unit_test(first_lease_fault_stays_and_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
