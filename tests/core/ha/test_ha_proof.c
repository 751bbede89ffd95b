#include "core/ha/ha_proof.h"

#include <string.h>

#include "core/base/say.h"
#include "tests/support/test.h"

#define S NANOS_PER_S

__extension__ typedef unsigned __int128 wide128;

/* --- the bound -------------------------------------------------------------------------------- */

static nanos bound_of(nanos lease, nanos watchdog, nanos flight, uint32_t ppm)
{
    const struct ha_bound bound = {lease, watchdog, flight, ppm};
    nanos wait = 0;

    assert_int_equal(ha_proof_bound(&bound, &wait), OK);
    return wait;
}

static void the_bound_is_that_of_the_page(void **state)
{
    (void)state;
    assert_int_equal(bound_of(9 * S, 10 * S, 5 * S, 0), 24 * S);
    /* 1.1 * (9 / 0.9 + 10 + 5) */
    assert_int_equal(bound_of(9 * S, 10 * S, 5 * S, 100000), 27500 * NANOS_PER_MS);
    /* 1.001 * (9 / 0.999 + 15), rounded up twice: 9.009009010 and 24.033018019 */
    assert_int_equal(bound_of(9 * S, 10 * S, 5 * S, 1000), 24033018020);
    assert_int_equal(ha_proof_flight(5 * S, 100000), 5500 * NANOS_PER_MS);
    assert_int_equal(ha_proof_flight(1, 1), 2); /* up */
    assert_int_equal(ha_proof_flight(0, 1000), 0);
    assert_true(ha_proof_flight(NANOS_FOREVER, 1000) == NANOS_FOREVER);
    assert_true(ha_proof_flight(NANOS_FOREVER / 1000000, 1000) == NANOS_FOREVER);
    assert_int_equal(ha_proof_flight(HA_SPAN_MAX, 100000), HA_SPAN_MAX / 10 * 11);
}

static void spans_out_of_range_have_no_bound(void **state)
{
    (void)state;
    const struct ha_bound good = {HA_SPAN_MAX, HA_SPAN_MAX, HA_SPAN_MAX, HA_DRIFT_PPM_MAX};
    nanos wait = 7;
    struct ha_bound bad[] = {good, good, good, good, good};
    bad[0].lease++;
    bad[1].watchdog++;
    bad[2].flight = NANOS_FOREVER;
    bad[3].drift_ppm++;
    bad[4].lease = 0;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(ha_proof_bound(&bad[i], &wait), ERR_INVALID);
        assert_int_equal(wait, 7);
    }
    assert_int_equal(ha_proof_bound(&good, &wait), OK);
    assert_true(wait > 3 * HA_SPAN_MAX && wait < 4 * HA_SPAN_MAX);
}

/* Whatever clocks do within the drift, the machine has ended when P has passed. A host's clock that
 * is slow by rho ends its lease L / (1 - rho) after it began, in true time; the leader's that is
 * fast by rho has counted (1 + rho) of each true nanosecond. */
static void when_the_bound_has_passed_the_lease_has_ended_in_any_drift(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(20000); round++) {
        nanos lease = prng_range(&p, 1, 1000 * S);
        nanos watchdog = prng_range(&p, 0, 1000 * S);
        nanos flight = prng_range(&p, 0, 1000 * S);
        uint32_t ppm = (uint32_t)prng_range(&p, 0, HA_DRIFT_PPM_MAX);
        nanos wait = bound_of(lease, watchdog, flight, ppm);
        /* The true time that `wait` is at least. */
        wide128 passed = (wide128)wait * 1000000 / (1000000 + ppm);
        wide128 ends = ((wide128)lease * 1000000 + (1000000 - ppm) - 1) / (1000000 - ppm);
        ends += watchdog + flight;
        assert_true(passed >= ends);
        assert_true(passed <= ends + 2); /* and it is no longer than it must be */
    }
}

/* A proof that counts what is left of a lease from a later moment waits no shorter than one that
 * counts all of it from the earlier one. */
static void what_is_left_of_a_lease_is_waited_for_whole(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    assert_int_equal(ha_proof_lease_left(60 * S, 0, 1000), 60 * S);
    assert_int_equal(ha_proof_lease_left(60 * S, 20 * S, 0), 40 * S);
    assert_int_equal(ha_proof_lease_left(60 * S, 11 * S, 100000), 51 * S);
    assert_int_equal(ha_proof_lease_left(60 * S, 60 * S, 0), 0);
    assert_int_equal(ha_proof_lease_left(HA_SPAN_MAX, NANOS_FOREVER, HA_DRIFT_PPM_MAX), 0);
    assert_int_equal(ha_proof_lease_left(60 * S, 59 * S, HA_DRIFT_PPM_MAX + 1), 60 * S);
    for (size_t round = 0; round < test_rounds(20000); round++) {
        nanos lease = prng_range(&p, 1, 1000 * S);
        nanos passed = prng_range(&p, 0, 1000 * S);
        uint32_t ppm = (uint32_t)prng_range(&p, 0, HA_DRIFT_PPM_MAX);
        nanos left = ha_proof_lease_left(lease, passed, ppm);
        nanos whole = bound_of(lease, 10 * S, 5 * S, ppm);
        nanos rest = passed + (left > 0 ? bound_of(left, 10 * S, 5 * S, ppm) : 0);
        assert_true(left == 0 || rest + 2 >= whole); /* which is rounded up twice */
        assert_true(left == 0 || rest <= whole + 4); /* and it is no longer than it must be */
        assert_true(left > 0 || passed + 2 >= bound_of(lease, 0, 0, ppm));
    }
}

/* --- the table: one test a cell --------------------------------------------------------------- */

static const struct ha_claim claim_stop = {
    .policy = HA_POLICY_STOP,
    .epoch = 7,
    .lease = 9 * S,
    .flight = 5 * S,
    .drift_ppm = 0,
};

/* All that a proof by time needs, long ago. */
static struct ha_evidence evidence_of_time(void)
{
    return (struct ha_evidence){
        .is_barred = true,
        .since_renewal = 24 * S,
        .watchdog = WORLD_WATCHDOG_ARMED,
        .watchdog_timeout = 10 * S,
        .is_bare_metal = true,
    };
}

static struct ha_ruling ruling_of(const struct ha_evidence *e, const struct ha_claim *c)
{
    struct ha_ruling r;

    ha_proof_rule(e, c, &r);
    assert_true(r.may_open || !r.may_start);
    assert_int_equal(r.may_start, r.proof != HA_PROOF_NONE);
    assert_int_equal(r.may_start, r.missing == HA_MISSING_NOTHING);
    return r;
}

static void assert_proof(const struct ha_evidence *e, const struct ha_claim *c, enum ha_proof proof)
{
    struct ha_ruling r = ruling_of(e, c);

    assert_int_equal(r.proof, proof);
    assert_true(r.may_open && r.may_start);
    assert_int_equal(r.left, 0);
}

static void assert_missing(const struct ha_evidence *e, const struct ha_claim *c,
                           enum ha_missing missing, nanos left)
{
    struct ha_ruling r = ruling_of(e, c);

    assert_int_equal(r.proof, HA_PROOF_NONE);
    assert_false(r.may_open);
    assert_int_equal(r.missing, missing);
    assert_true(r.left == left);
}

static void a_fence_proves_once_what_was_in_flight_has_landed(void **state)
{
    (void)state;
    struct ha_evidence e = {.is_read_back_off = true, .since_off = 5 * S};
    struct ha_claim c = claim_stop;
    assert_proof(&e, &c, HA_PROOF_FENCED);
    e.since_off = 5 * S - 1;
    assert_missing(&e, &c, HA_MISSING_FLIGHT, 1);
    c.drift_ppm = 100000; /* our own clock may be fast */
    e.since_off = 5500 * NANOS_PER_MS - 1;
    assert_missing(&e, &c, HA_MISSING_FLIGHT, 1);
    e.since_off++;
    assert_proof(&e, &c, HA_PROOF_FENCED);
}

/* However long ago it was. */
static void a_fence_proves_nothing_of_what_was_in_flight_nobody_knows_how_long(void **state)
{
    (void)state;
    struct ha_evidence e = {.is_read_back_off = true, .since_off = NANOS_FOREVER};
    struct ha_claim c = claim_stop;
    c.flight = NANOS_FOREVER;
    assert_missing(&e, &c, HA_MISSING_BOUND, NANOS_FOREVER);
    e.since_off = 0;
    assert_missing(&e, &c, HA_MISSING_BOUND, NANOS_FOREVER);
    e.is_volume_raised = true; /* what lands is refused */
    assert_proof(&e, &c, HA_PROOF_FENCED);
}

static void a_fence_proves_whatever_the_policy(void **state)
{
    (void)state;
    const struct ha_evidence e = {.is_read_back_off = true, .since_off = 5 * S};
    for (int policy = 0; policy < HA_POLICIES; policy++) {
        struct ha_claim c = claim_stop;
        c.policy = (enum ha_policy)policy;
        assert_proof(&e, &c, HA_PROOF_FENCED);
    }
}

static void time_proves_for_stop_and_pause_and_not_for_keep(void **state)
{
    (void)state;
    const struct ha_evidence e = evidence_of_time();
    struct ha_claim c = claim_stop;
    assert_proof(&e, &c, HA_PROOF_EXPIRED);
    c.policy = HA_POLICY_PAUSE;
    assert_proof(&e, &c, HA_PROOF_EXPIRED);
    c.policy = HA_POLICY_KEEP;
    assert_missing(&e, &c, HA_MISSING_KEEP, NANOS_FOREVER);
}

static void time_proves_nothing_before_it_has_passed(void **state)
{
    (void)state;
    struct ha_evidence e = evidence_of_time();
    e.since_renewal = 24 * S - 1;
    assert_missing(&e, &claim_stop, HA_MISSING_TIME, 1);
    e.since_renewal = 0;
    assert_missing(&e, &claim_stop, HA_MISSING_TIME, 24 * S);
}

static void time_proves_nothing_without_an_armed_watchdog(void **state)
{
    (void)state;
    for (int watchdog = 0; watchdog < WORLD_WATCHDOG_STATES; watchdog++) {
        struct ha_evidence e = evidence_of_time();
        e.watchdog = (enum world_watchdog)watchdog;
        e.since_renewal = 3600 * S;
        if (e.watchdog != WORLD_WATCHDOG_ARMED) {
            assert_missing(&e, &claim_stop, HA_MISSING_WATCHDOG, NANOS_FOREVER);
        }
    }
    struct ha_evidence e = evidence_of_time();
    e.watchdog_timeout = 0; /* armed, and nobody knows for how long */
    assert_missing(&e, &claim_stop, HA_MISSING_WATCHDOG, NANOS_FOREVER);
}

static void time_proves_nothing_on_what_may_be_paused(void **state)
{
    (void)state;
    struct ha_evidence e = evidence_of_time();
    e.is_bare_metal = false;
    assert_missing(&e, &claim_stop, HA_MISSING_BARE_METAL, NANOS_FOREVER);
}

static void time_proves_nothing_while_leases_may_be_granted(void **state)
{
    (void)state;
    struct ha_evidence e = evidence_of_time();
    e.is_barred = false;
    assert_missing(&e, &claim_stop, HA_MISSING_BAR, NANOS_FOREVER);
}

static void time_proves_nothing_where_the_bound_is_unknown(void **state)
{
    (void)state;
    struct ha_evidence e = evidence_of_time();
    e.since_renewal = NANOS_FOREVER;
    e.watchdog_timeout = HA_SPAN_MAX + 1;
    assert_missing(&e, &claim_stop, HA_MISSING_BOUND, NANOS_FOREVER);
}

/* A longer watchdog, lease or flight each makes the wait longer. */
static void each_part_of_the_bound_counts(void **state)
{
    (void)state;
    struct ha_evidence e = evidence_of_time();
    struct ha_claim c = claim_stop;
    e.watchdog_timeout += S;
    assert_missing(&e, &c, HA_MISSING_TIME, S);
    e.watchdog_timeout -= S;
    c.lease += S;
    assert_missing(&e, &c, HA_MISSING_TIME, S);
    c.lease -= S;
    c.flight += S;
    assert_missing(&e, &c, HA_MISSING_TIME, S);
    c.flight -= S;
    c.drift_ppm = 100000;
    assert_missing(&e, &c, HA_MISSING_TIME, 3500 * NANOS_PER_MS);
}

static void a_raised_volume_may_be_opened_and_started_only_with_a_proof(void **state)
{
    (void)state;
    struct ha_evidence e = {.is_volume_raised = true};
    struct ha_ruling r = ruling_of(&e, &claim_stop);
    assert_true(r.may_open);
    assert_false(r.may_start);
    e.is_read_back_off = true; /* nothing old can land, so that nothing is waited for */
    assert_proof(&e, &claim_stop, HA_PROOF_FENCED);
    e = evidence_of_time();
    e.is_volume_raised = true;
    assert_proof(&e, &claim_stop, HA_PROOF_EXPIRED);
    e.since_renewal--;
    r = ruling_of(&e, &claim_stop);
    assert_true(r.may_open && !r.may_start);
}

static void an_operator_proves_whatever_the_policy(void **state)
{
    (void)state;
    const struct ha_evidence e = {.is_confirmed = true};
    for (int policy = 0; policy < HA_POLICIES; policy++) {
        struct ha_claim c = claim_stop;
        c.policy = (enum ha_policy)policy;
        assert_proof(&e, &c, HA_PROOF_CONFIRMED);
    }
}

static void an_agent_proves_for_the_current_epoch_alone(void **state)
{
    (void)state;
    struct ha_evidence e = {.stopped_epoch = 7};
    struct ha_claim c = claim_stop;
    assert_proof(&e, &c, HA_PROOF_STOPPED);
    c.policy = HA_POLICY_KEEP;
    assert_proof(&e, &c, HA_PROOF_STOPPED);
    e.stopped_epoch = 6;
    assert_missing(&e, &c, HA_MISSING_BAR, NANOS_FOREVER);
    e.stopped_epoch = 8;
    assert_missing(&e, &c, HA_MISSING_BAR, NANOS_FOREVER);
    e.stopped_epoch = 0;
    c.epoch = 0;
    assert_missing(&e, &c, HA_MISSING_BAR, NANOS_FOREVER);
}

static void silence_proves_nothing(void **state)
{
    (void)state;
    struct ha_evidence e = {.since_off = NANOS_FOREVER, .since_renewal = NANOS_FOREVER};
    assert_missing(&e, &claim_stop, HA_MISSING_BAR, NANOS_FOREVER);
}

static void the_strongest_proof_is_told(void **state)
{
    (void)state;
    struct ha_evidence e = evidence_of_time();
    e.is_confirmed = true;
    assert_proof(&e, &claim_stop, HA_PROOF_CONFIRMED);
    e.is_read_back_off = true;
    e.since_off = 4 * S; /* not landed: the operator's word is one already */
    assert_proof(&e, &claim_stop, HA_PROOF_CONFIRMED);
    e.since_off = 5 * S;
    assert_proof(&e, &claim_stop, HA_PROOF_FENCED);
    e.stopped_epoch = 7;
    assert_proof(&e, &claim_stop, HA_PROOF_STOPPED);
}

/* Off, and the lease nearly over: whichever comes first is what is waited for. */
static void the_sooner_of_fence_and_time_is_waited_for(void **state)
{
    (void)state;
    struct ha_evidence e = evidence_of_time();
    e.is_read_back_off = true;
    e.since_renewal = 23 * S;
    assert_missing(&e, &claim_stop, HA_MISSING_FLIGHT, S);
    e.since_renewal = 0;
    assert_missing(&e, &claim_stop, HA_MISSING_FLIGHT, 5 * S);
}

/* No evidence that gets weaker ever gives a proof that was not there. */
static void less_evidence_never_proves_more(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(20000); round++) {
        struct ha_evidence e = {
            .is_read_back_off = prng_chance(&p, 1, 2),
            .since_off = prng_below(&p, 10 * S),
            .is_barred = prng_chance(&p, 1, 2),
            .since_renewal = prng_below(&p, 40 * S),
            .watchdog = (enum world_watchdog)prng_below(&p, WORLD_WATCHDOG_STATES),
            .watchdog_timeout = prng_below(&p, 10 * S),
            .is_bare_metal = prng_chance(&p, 1, 2),
            .is_confirmed = prng_chance(&p, 1, 4),
            .stopped_epoch = prng_below(&p, 10),
            .is_volume_raised = prng_chance(&p, 1, 4),
        };
        struct ha_claim c = claim_stop;
        c.policy = (enum ha_policy)prng_below(&p, HA_POLICIES);
        struct ha_ruling r = ruling_of(&e, &c);
        struct ha_evidence less = e;
        switch (prng_below(&p, 6)) {
        case 0:
            less.is_read_back_off = false;
            break;
        case 1:
            less.is_barred = false;
            break;
        case 2:
            less.since_renewal /= 2;
            less.since_off /= 2;
            break;
        case 3:
            less.is_bare_metal = false;
            break;
        case 4:
            less.is_confirmed = false;
            break;
        default:
            less.stopped_epoch = 0;
        }
        assert_true(r.may_start || !ruling_of(&less, &c).may_start);
        assert_true(r.may_open || !ruling_of(&less, &c).may_open);
        if (!r.may_start && r.left < NANOS_FOREVER) { /* what it says to wait is enough */
            e.since_off += r.left;
            e.since_renewal += r.left;
            assert_true(ruling_of(&e, &c).may_start);
        }
    }
}

static void what_is_missing_comes_with_what_would_resolve_it(void **state)
{
    (void)state;
    for (int missing = 0; missing < HA_MISSINGS; missing++) {
        assert_true(strlen(ha_missing_text((enum ha_missing)missing)) > 10);
        assert_true(strlen(ha_missing_remedy((enum ha_missing)missing)) > 10);
    }
}

/* --- one fate after another ------------------------------------------------------------------- */

static struct ha_fate fate_at(enum ha_fate_phase phase)
{
    struct ha_fate fate;

    ha_record_defaults(HA_FATE, &fate);
    ha_text_set(fate.host, sizeof fate.host, "a");
    ha_text_set(fate.incident, sizeof fate.incident, "i-1");
    fate.phase = phase;
    fate.proof = phase == HA_HOST_GONE ? HA_PROOF_FENCED : HA_PROOF_NONE;
    return fate;
}

static void assert_fate(const struct ha_fate *a, const struct ha_fate *b, const char *fault)
{
    const char *found = ha_fate_may_follow(a, b);

    assert_string_equal(found != NULL ? found : "", fault);
}

static void a_host_is_barred_before_it_is_gone(void **state)
{
    (void)state;
    const struct ha_fate up = fate_at(HA_HOST_UP);
    const struct ha_fate lost = fate_at(HA_HOST_LOST);
    const struct ha_fate fencing = fate_at(HA_HOST_FENCING);
    const struct ha_fate gone = fate_at(HA_HOST_GONE);
    assert_fate(NULL, &up, "");
    assert_fate(NULL, &lost, "");
    assert_fate(&up, &lost, "");
    assert_fate(&lost, &fencing, "");
    assert_fate(&lost, &gone, "");
    assert_fate(&fencing, &gone, "");
    assert_fate(&gone, &up, "");
    assert_fate(&gone, &fencing, ""); /* an operator asked */
    assert_fate(&gone, NULL, "");
    assert_fate(&up, &gone, "it is gone without having been barred");
    assert_fate(NULL, &gone, "it is gone without having been barred");
    assert_fate(&fencing, &lost, "this phase does not follow that one");
    assert_fate(&gone, &lost, "this phase does not follow that one");
    assert_fate(&fencing, NULL, "a fence was forgotten");
}

static void a_fate_forgets_nothing(void **state)
{
    (void)state;
    struct ha_fate a = fate_at(HA_HOST_LOST);
    struct ha_fate b = fate_at(HA_HOST_GONE);
    ha_text_set(b.incident, sizeof b.incident, "i-2");
    assert_fate(&a, &b, "it is gone by a proof for another incident");
    b = a;
    a.losses = 2;
    assert_fate(&a, &b, "losses vanished");
    b.losses = 4;
    assert_fate(&a, &b, "more than one loss was counted");
    b.losses = 3;
    assert_fate(&a, &b, "");
    a.is_quarantined = true;
    assert_fate(&a, &b, "a quarantine vanished");
    a.phase = b.phase = HA_HOST_UP; /* after quiet times */
    b.losses = 0;
    assert_fate(&a, &b, "");
    a.term = 2;
    assert_fate(&a, &b, "a leader of an older term wrote it");
    a.term = 0;
    a.fence_count = 1;
    assert_fate(&a, &b, "an operator's fence was forgotten");
}

/* --- settings --------------------------------------------------------------------------------- */

static struct ha_settings settings_default(void)
{
    struct ha_settings s;

    ha_record_defaults(HA_SETTINGS, &s);
    return s;
}

static void assert_settings(const struct ha_settings *s, nanos watchdog, nanos flight,
                            enum err error, const char *begin)
{
    struct buf why;

    buf_init(&why);
    assert_int_equal(ha_settings_check(s, watchdog, flight, &why), error);
    assert_int_equal(strncmp(say_end(&why), begin, strlen(begin)), 0);
    assert_int_equal(why.len > 0, begin[0] != '\0');
    assert_int_equal(ha_settings_check(s, watchdog, flight, NULL), error);
    buf_deinit(&why);
}

static void the_defaults_keep_their_promise(void **state)
{
    (void)state;
    const struct ha_settings s = settings_default();
    assert_settings(&s, 10 * S, 5 * S, OK, "");
}

static void a_bound_that_is_too_long_is_refused_with_its_parts(void **state)
{
    (void)state;
    const struct ha_settings s = settings_default();
    assert_settings(&s, 60 * S, 5 * S, ERR_INVALID,
                    "expiry_max_ms: without a fence a machine comes back after up to 74.084 s "
                    "(lease 9.000 s, watchdog 60.000 s, I/O in flight 5.000 s), and 30.000 s is "
                    "tolerated: lower lease_ms");
    assert_settings(&s, HA_SPAN_MAX + 1, 0, ERR_INVALID, "a watchdog or flight_ms");
}

static void settings_out_of_range_are_refused_and_unwise_ones_told(void **state)
{
    (void)state;
    struct ha_settings s = settings_default();
    s.drift_ppm = 0;
    assert_settings(&s, 0, 0, ERR_INVALID, "drift_ppm: 0 is too small; 1 to 100000 is allowed");
    s.drift_ppm = 100;
    assert_settings(&s, 0, 0, OK, "drift_ppm: clocks that NTP corrects");
    s = settings_default();
    s.lease_ms = 2000;
    assert_settings(&s, 0, 0, OK, "lease_ms: below 3000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bound_is_that_of_the_page),
        cmocka_unit_test(spans_out_of_range_have_no_bound),
        cmocka_unit_test(when_the_bound_has_passed_the_lease_has_ended_in_any_drift),
        cmocka_unit_test(what_is_left_of_a_lease_is_waited_for_whole),
        cmocka_unit_test(a_fence_proves_once_what_was_in_flight_has_landed),
        cmocka_unit_test(a_fence_proves_nothing_of_what_was_in_flight_nobody_knows_how_long),
        cmocka_unit_test(a_fence_proves_whatever_the_policy),
        cmocka_unit_test(time_proves_for_stop_and_pause_and_not_for_keep),
        cmocka_unit_test(time_proves_nothing_before_it_has_passed),
        cmocka_unit_test(time_proves_nothing_without_an_armed_watchdog),
        cmocka_unit_test(time_proves_nothing_on_what_may_be_paused),
        cmocka_unit_test(time_proves_nothing_while_leases_may_be_granted),
        cmocka_unit_test(time_proves_nothing_where_the_bound_is_unknown),
        cmocka_unit_test(each_part_of_the_bound_counts),
        cmocka_unit_test(a_raised_volume_may_be_opened_and_started_only_with_a_proof),
        cmocka_unit_test(an_operator_proves_whatever_the_policy),
        cmocka_unit_test(an_agent_proves_for_the_current_epoch_alone),
        cmocka_unit_test(silence_proves_nothing),
        cmocka_unit_test(the_strongest_proof_is_told),
        cmocka_unit_test(the_sooner_of_fence_and_time_is_waited_for),
        cmocka_unit_test(less_evidence_never_proves_more),
        cmocka_unit_test(what_is_missing_comes_with_what_would_resolve_it),
        cmocka_unit_test(a_host_is_barred_before_it_is_gone),
        cmocka_unit_test(a_fate_forgets_nothing),
        cmocka_unit_test(the_defaults_keep_their_promise),
        cmocka_unit_test(a_bound_that_is_too_long_is_refused_with_its_parts),
        cmocka_unit_test(settings_out_of_range_are_refused_and_unwise_ones_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
