/* The lease of a host, both sides, and the notes between them. */
#include "core/ha/ha_lease.h"

#include <string.h>

#include "core/base/check.h"
#include "tests/support/test.h"

#define LEASE (8 * NANOS_PER_S)

/* What a court has said, and how it shall judge. */
struct bench_court {
    bool refuses;
    uint32_t answers;
    struct ha_note last;
    node_id to;
};

static bool bench_judge(void *ctx, node_id from, const struct ha_renew *renew,
                        enum ha_refusal *refusal)
{
    const struct bench_court *b = ctx;
    (void)from;
    (void)renew;
    *refusal = HA_REFUSED_FATE;
    return !b->refuses;
}

static void bench_answer(void *ctx, node_id to, const struct ha_note *note)
{
    struct bench_court *b = ctx;
    b->answers++;
    b->last = *note;
    b->to = to;
}

static struct ha_lessor_court court_of(struct bench_court *b, uint64_t revision)
{
    return (struct ha_lessor_court){.ctx = b,
                                    .judge = bench_judge,
                                    .answer = bench_answer,
                                    .revision = revision,
                                    .lease = LEASE};
}

static struct ha_renew renew_at(struct ha_lessee *l, nanos now)
{
    struct ha_renew renew;
    ha_lessee_renew(l, now, WORLD_WATCHDOG_ARMED, 10 * NANOS_PER_S, &renew);
    return renew;
}

static struct ha_grant grant_of(const struct ha_renew *renew, uint64_t revision)
{
    return (struct ha_grant){.boot = renew->boot,
                             .number = renew->number,
                             .term = 3,
                             .revision = revision,
                             .lease_ms = LEASE / NANOS_PER_MS};
}

static void lease_ends_l_after_what_was_noted_before_sending(void **state)
{
    struct ha_lessee l;
    (void)state;
    ha_lessee_init(&l, "node-a", 7);
    struct ha_renew renew = renew_at(&l, 5 * NANOS_PER_S);
    struct ha_grant grant = grant_of(&renew, 44);
    /* However late the grant is: nothing but the note's time counts. */
    assert_true(ha_lessee_granted(&l, &grant));
    assert_int_equal(l.until, 5 * NANOS_PER_S + LEASE);
    assert_int_equal(l.revision, 44);
}

static void lease_never_ends_earlier_by_an_older_grant(void **state)
{
    struct ha_lessee l;
    (void)state;
    ha_lessee_init(&l, "node-a", 7);
    struct ha_renew first = renew_at(&l, 1 * NANOS_PER_S);
    struct ha_renew second = renew_at(&l, 2 * NANOS_PER_S);
    struct ha_grant newer = grant_of(&second, 50);
    struct ha_grant older = grant_of(&first, 40);
    assert_true(ha_lessee_granted(&l, &newer));
    assert_false(ha_lessee_granted(&l, &older));
    assert_int_equal(l.until, 2 * NANOS_PER_S + LEASE);
    assert_int_equal(l.revision, 50);
}

static void grant_for_another_boot_or_number_is_none(void **state)
{
    struct ha_lessee l;
    (void)state;
    ha_lessee_init(&l, "node-a", 7);
    struct ha_renew renew = renew_at(&l, NANOS_PER_S);
    struct ha_grant grant = grant_of(&renew, 1);
    grant.boot = 6;
    assert_false(ha_lessee_granted(&l, &grant));
    grant = grant_of(&renew, 1);
    grant.number = 2;
    assert_false(ha_lessee_granted(&l, &grant));
    grant.number = 0;
    assert_false(ha_lessee_granted(&l, &grant));
    for (uint32_t i = 0; i < HA_RENEWALS_KEPT; i++) {
        (void)renew_at(&l, 2 * NANOS_PER_S);
    }
    grant = grant_of(&renew, 1); /* too old to be remembered */
    assert_false(ha_lessee_granted(&l, &grant));
    assert_int_equal(l.until, 0);
}

static void sleep_is_seen_and_attests_no_watchdog(void **state)
{
    struct ha_lessee l;
    (void)state;
    ha_lessee_init(&l, "node-a", 7);
    ha_lessee_clocks(&l, 100 * NANOS_PER_S, 40 * NANOS_PER_S);
    ha_lessee_clocks(&l, 101 * NANOS_PER_S, 41 * NANOS_PER_S - NANOS_PER_MS);
    assert_false(renew_at(&l, 1).has_slept);
    ha_lessee_clocks(&l, 105 * NANOS_PER_S, 42 * NANOS_PER_S);
    assert_true(l.slept >= 2 * NANOS_PER_S);
    assert_true(renew_at(&l, 1).has_slept);

    struct ha_lessor lessor;
    struct bench_court b = {0};
    struct ha_lessor_court court = court_of(&b, 9);
    struct ha_renew renew = renew_at(&l, 2);
    ha_lessor_init(&lessor);
    ha_lessor_begin(&lessor, 4, 1000);
    ha_lessor_arrived(&lessor, 2000, 11, &renew);
    ha_lessor_confirm_begun(&lessor);
    ha_lessor_confirm_over(&lessor, true, &court);
    assert_int_equal(ha_lessor_find(&lessor, "node-a")->watchdog, WORLD_WATCHDOG_NONE);
    ha_lessor_deinit(&lessor);
}

static void grants_only_what_arrived_before_the_confirmation_began(void **state)
{
    struct ha_lessor lessor;
    struct ha_lessee a;
    struct ha_lessee b;
    struct bench_court bench = {0};
    struct ha_lessor_court court = court_of(&bench, 9);
    (void)state;
    ha_lessee_init(&a, "node-a", 1);
    ha_lessee_init(&b, "node-b", 1);
    ha_lessor_init(&lessor);
    ha_lessor_begin(&lessor, 4, 1000);
    struct ha_renew of_a = renew_at(&a, 1);
    struct ha_renew of_b = renew_at(&b, 1);
    assert_false(ha_lessor_wants_confirmation(&lessor));
    ha_lessor_arrived(&lessor, 2000, 11, &of_a);
    assert_true(ha_lessor_wants_confirmation(&lessor));
    ha_lessor_confirm_begun(&lessor);
    ha_lessor_arrived(&lessor, 3000, 12, &of_b);
    assert_false(ha_lessor_wants_confirmation(&lessor));
    ha_lessor_confirm_over(&lessor, true, &court);
    assert_int_equal(bench.answers, 1);
    assert_int_equal(bench.to, 11);
    assert_int_equal(bench.last.kind, HA_NOTE_GRANT);
    assert_int_equal(bench.last.as.grant.revision, 9);
    assert_int_equal(ha_lessor_granted(&lessor, "node-a"), 2000);
    assert_int_equal(ha_lessor_granted(&lessor, "node-b"), 1000);
    assert_int_equal(ha_lessor_heard(&lessor, "node-b"), 3000);
    assert_true(ha_lessor_wants_confirmation(&lessor));
    ha_lessor_confirm_begun(&lessor);
    ha_lessor_confirm_over(&lessor, true, &court);
    assert_int_equal(bench.to, 12);
    ha_lessor_deinit(&lessor);
}

static void newer_renewal_during_a_confirmation_does_not_move_the_time(void **state)
{
    struct ha_lessor lessor;
    struct ha_lessee a;
    struct bench_court bench = {0};
    struct ha_lessor_court court = court_of(&bench, 9);
    (void)state;
    ha_lessee_init(&a, "node-a", 1);
    ha_lessor_init(&lessor);
    ha_lessor_begin(&lessor, 4, 1000);
    struct ha_renew first = renew_at(&a, 1);
    struct ha_renew second = renew_at(&a, 2);
    ha_lessor_arrived(&lessor, 2000, 11, &first);
    ha_lessor_confirm_begun(&lessor);
    ha_lessor_arrived(&lessor, 9000, 11, &second);
    ha_lessor_confirm_over(&lessor, true, &court);
    assert_int_equal(bench.last.as.grant.number, first.number);
    assert_int_equal(ha_lessor_granted(&lessor, "node-a"), 2000);
    ha_lessor_deinit(&lessor);
}

static void renewal_is_confirmed(struct ha_lessor *lessor, const struct ha_lessor_court *court)
{
    ha_lessor_confirm_begun(lessor);
    ha_lessor_confirm_over(lessor, true, court);
}

/* lease_ms was lowered: what is left of the longer lease counts, on the slowest clock. */
static void a_shorter_lease_ends_no_longer_one(void **state)
{
    struct ha_lessor lessor;
    struct ha_lessee a;
    struct bench_court bench = {0};
    struct ha_lessor_court court = court_of(&bench, 9);
    const nanos begin = 1000;
    (void)state;
    ha_lessee_init(&a, "node-a", 1);
    ha_lessor_init(&lessor);
    ha_lessor_begin(&lessor, 4, begin);
    court.lease = 60 * NANOS_PER_S;
    const struct ha_renew first = renew_at(&a, 1);
    ha_lessor_arrived(&lessor, begin, 11, &first);
    renewal_is_confirmed(&lessor, &court);
    court.lease = 9 * NANOS_PER_S;
    court.drift_ppm = 100000;
    const struct ha_renew second = renew_at(&a, 2);
    ha_lessor_arrived(&lessor, begin + 44 * NANOS_PER_S, 11, &second);
    renewal_is_confirmed(&lessor, &court);
    assert_int_equal(ha_lessor_find(&lessor, "node-a")->lease, 24 * NANOS_PER_S);
    const struct ha_renew third = renew_at(&a, 3);
    ha_lessor_arrived(&lessor, begin + 66 * NANOS_PER_S, 11, &third);
    renewal_is_confirmed(&lessor, &court);
    assert_int_equal(ha_lessor_find(&lessor, "node-a")->lease, 9 * NANOS_PER_S);
    ha_lessor_deinit(&lessor);
}

/* By a slow relay of the voter that the agent has left. What the newer one has withdrawn stays
 * withdrawn, and that a host was alive then is no news. */
static void older_renewal_that_comes_later_is_no_word_of_its_host(void **state)
{
    struct ha_lessor lessor;
    struct ha_lessee a;
    struct bench_court bench = {0};
    struct ha_lessor_court court = court_of(&bench, 9);
    (void)state;
    ha_lessee_init(&a, "node-a", 1);
    ha_lessor_init(&lessor);
    ha_lessor_begin(&lessor, 4, 1000);
    const struct ha_renew older = renew_at(&a, 1);
    struct ha_renew newer = renew_at(&a, 2);
    newer.has_slept = true;
    ha_lessor_arrived(&lessor, 2000, 12, &newer);
    ha_lessor_arrived(&lessor, 3000, 11, &older); /* while the newer one waits, ... */
    assert_int_equal(ha_lessor_heard(&lessor, "node-a"), 2000);
    renewal_is_confirmed(&lessor, &court);
    assert_int_equal(bench.last.as.grant.number, newer.number);
    assert_int_equal(ha_lessor_granted(&lessor, "node-a"), 2000);
    ha_lessor_arrived(&lessor, 4000, 11, &older); /* ... and when it was granted */
    assert_false(ha_lessor_wants_confirmation(&lessor));
    assert_int_equal(ha_lessor_heard(&lessor, "node-a"), 2000);
    assert_int_equal(ha_lessor_find(&lessor, "node-a")->watchdog, WORLD_WATCHDOG_NONE);
    /* One that was doubled says the same again: the leader waits for longer. */
    ha_lessor_arrived(&lessor, 5000, 12, &newer);
    renewal_is_confirmed(&lessor, &court);
    assert_int_equal(ha_lessor_granted(&lessor, "node-a"), 5000);
    assert_int_equal(ha_lessor_find(&lessor, "node-a")->watchdog, WORLD_WATCHDOG_NONE);
    /* Numbers begin anew with the next boot. */
    ha_lessee_init(&a, "node-a", 2);
    const struct ha_renew next = renew_at(&a, 3);
    ha_lessor_arrived(&lessor, 6000, 12, &next);
    renewal_is_confirmed(&lessor, &court);
    assert_int_equal(bench.last.as.grant.boot, 2);
    assert_int_equal(ha_lessor_find(&lessor, "node-a")->watchdog, WORLD_WATCHDOG_ARMED);
    ha_lessor_deinit(&lessor);
}

/* It is too late to be granted, and not too late to be believed. */
static void what_is_withdrawn_during_a_confirmation_is_not_attested(void **state)
{
    struct ha_lessor lessor;
    struct ha_lessee a;
    struct bench_court bench = {0};
    struct ha_lessor_court court = court_of(&bench, 9);
    (void)state;
    ha_lessee_init(&a, "node-a", 1);
    ha_lessor_init(&lessor);
    ha_lessor_begin(&lessor, 4, 1000);
    const struct ha_renew first = renew_at(&a, 1);
    const struct ha_renew second = renew_at(&a, 2);
    struct ha_renew third = renew_at(&a, 3);
    third.watchdog = WORLD_WATCHDOG_NONE;
    third.watchdog_ms = 0;
    ha_lessor_arrived(&lessor, 2000, 11, &first);
    ha_lessor_confirm_begun(&lessor);
    ha_lessor_arrived(&lessor, 3000, 11, &third);
    ha_lessor_confirm_over(&lessor, true, &court);
    const struct ha_lease_row *row = ha_lessor_find(&lessor, "node-a");
    assert_int_equal(bench.last.as.grant.number, first.number);
    assert_int_equal(row->granted_at, 2000);
    assert_int_equal(row->watchdog, WORLD_WATCHDOG_NONE);
    assert_int_equal(row->watchdog_timeout, 10 * NANOS_PER_S); /* as it may still be */
    ha_lessor_arrived(&lessor, 4000, 12, &second);             /* older than what it dropped */
    assert_false(ha_lessor_wants_confirmation(&lessor));
    ha_lessor_deinit(&lessor);
}

/* The newest answer is that to the newest renewal, in whatever order they come. */
static void older_answer_that_comes_later_changes_nothing(void **state)
{
    struct ha_lessee l;
    (void)state;
    ha_lessee_init(&l, "node-a", 7);
    const struct ha_renew first = renew_at(&l, 1 * NANOS_PER_S);
    const struct ha_renew second = renew_at(&l, 2 * NANOS_PER_S);
    const struct ha_grant newer = grant_of(&second, 50);
    const struct ha_refuse refused = {.boot = 7, .number = first.number, .term = 3};
    assert_true(ha_lessee_granted(&l, &newer));
    ha_lessee_refused(&l, &refused);
    assert_false(l.is_refused);
    struct ha_grant older = grant_of(&first, 40);
    older.lease_ms = LEASE / NANOS_PER_MS / 2;
    assert_false(ha_lessee_granted(&l, &older));
    assert_int_equal(l.lease, LEASE);
}

/* The host has slept, whatever boot its agent goes by. */
static void another_boot_remembers_that_it_has_slept(void **state)
{
    struct ha_lessee l;
    (void)state;
    ha_lessee_init(&l, "node-a", 7);
    ha_lessee_clocks(&l, 100 * NANOS_PER_S, 40 * NANOS_PER_S);
    ha_lessee_clocks(&l, 105 * NANOS_PER_S, 42 * NANOS_PER_S);
    const struct ha_renew before = renew_at(&l, NANOS_PER_S);
    struct ha_grant grant = grant_of(&before, 50);
    assert_true(ha_lessee_granted(&l, &grant));
    ha_lessee_begin(&l, 8);
    assert_int_equal(l.revision, 0); /* of another history, for all that is known */
    const struct ha_renew renew = renew_at(&l, 2 * NANOS_PER_S);
    assert_int_equal(renew.boot, 8);
    assert_int_equal(renew.number, 1);
    assert_true(renew.has_slept);
    assert_false(ha_lessee_granted(&l, &grant));
}

static void nothing_is_granted_without_confirmation_or_against_the_fate(void **state)
{
    struct ha_lessor lessor;
    struct ha_lessee a;
    struct bench_court bench = {.refuses = true};
    struct ha_lessor_court court = court_of(&bench, 9);
    (void)state;
    ha_lessee_init(&a, "node-a", 1);
    ha_lessor_init(&lessor);
    struct ha_renew renew = renew_at(&a, 1);
    ha_lessor_arrived(&lessor, 100, 11, &renew); /* it does not lead */
    assert_false(ha_lessor_wants_confirmation(&lessor));
    ha_lessor_begin(&lessor, 4, 1000);
    ha_lessor_arrived(&lessor, 2000, 11, &renew);
    ha_lessor_confirm_begun(&lessor);
    ha_lessor_confirm_over(&lessor, false, &court);
    assert_int_equal(bench.answers, 0);
    ha_lessor_arrived(&lessor, 3000, 11, &renew);
    ha_lessor_confirm_begun(&lessor);
    ha_lessor_confirm_over(&lessor, true, &court);
    assert_int_equal(bench.last.kind, HA_NOTE_REFUSE);
    assert_int_equal(bench.last.as.refuse.why, HA_REFUSED_FATE);
    assert_int_equal(ha_lessor_granted(&lessor, "node-a"), 1000);

    ha_lessee_refused(&a, &bench.last.as.refuse);
    assert_true(a.is_refused);
    assert_int_equal(a.until, 0);
    ha_lessor_deinit(&lessor);
}

static void new_term_knows_of_no_renewal(void **state)
{
    struct ha_lessor lessor;
    struct ha_lessee a;
    struct bench_court bench = {0};
    struct ha_lessor_court court = court_of(&bench, 9);
    (void)state;
    ha_lessee_init(&a, "node-a", 1);
    ha_lessor_init(&lessor);
    ha_lessor_begin(&lessor, 4, 1000);
    struct ha_renew renew = renew_at(&a, 1);
    ha_lessor_arrived(&lessor, 2000, 11, &renew);
    ha_lessor_confirm_begun(&lessor);
    ha_lessor_begin(&lessor, 6, 8000);
    ha_lessor_confirm_over(&lessor, true, &court); /* of the earlier term */
    assert_int_equal(bench.answers, 0);
    assert_null(ha_lessor_find(&lessor, "node-a"));
    assert_int_equal(ha_lessor_granted(&lessor, "node-a"), 8000);
    ha_lessor_deinit(&lessor);
}

/* A leader is known to its followers before its manager has begun: who has renewed at once would be
 * taken for silent until the next renewal. */
static void renewal_that_comes_before_the_term_begins_is_heard(void **state)
{
    struct ha_lessor lessor;
    struct ha_lessee a;
    struct ha_lessee b;
    struct bench_court bench = {0};
    struct ha_lessor_court court = court_of(&bench, 9);
    (void)state;
    ha_lessee_init(&a, "node-a", 1);
    ha_lessee_init(&b, "node-b", 1);
    ha_lessor_init(&lessor);
    struct ha_renew renew = renew_at(&a, 1);
    struct ha_renew long_ago = renew_at(&b, 1);
    ha_lessor_arrived(&lessor, 1000, 12, &long_ago);
    ha_lessor_arrived(&lessor, 1000 + HA_RENEW_EARLY, 11, &renew);
    assert_false(ha_lessor_wants_confirmation(&lessor));
    ha_lessor_begin(&lessor, 4, 2000 + HA_RENEW_EARLY);
    assert_null(ha_lessor_find(&lessor, "node-b"));
    assert_int_equal(ha_lessor_find(&lessor, "node-a")->heard_at, 2000 + HA_RENEW_EARLY);
    assert_true(ha_lessor_wants_confirmation(&lessor));
    ha_lessor_confirm_begun(&lessor);
    ha_lessor_confirm_over(&lessor, true, &court);
    assert_int_equal(bench.answers, 1);
    assert_int_equal(ha_lessor_granted(&lessor, "node-a"), 2000 + HA_RENEW_EARLY);
    /* What this term heard the next one does not know. */
    ha_lessor_begin(&lessor, 5, 2500 + HA_RENEW_EARLY);
    assert_null(ha_lessor_find(&lessor, "node-a"));
    ha_lessor_deinit(&lessor);
}

static void longest_lease_granted_is_remembered_while_it_may_hold(void **state)
{
    struct ha_lessor lessor;
    struct ha_lessee a;
    struct bench_court bench = {0};
    struct ha_lessor_court court = court_of(&bench, 9);
    (void)state;
    ha_lessee_init(&a, "node-a", 1);
    ha_lessor_init(&lessor);
    ha_lessor_begin(&lessor, 4, 1000);
    struct ha_renew renew = renew_at(&a, 1);
    ha_lessor_arrived(&lessor, NANOS_PER_S, 11, &renew);
    ha_lessor_confirm_begun(&lessor);
    ha_lessor_confirm_over(&lessor, true, &court);
    court.lease = NANOS_PER_S; /* the settings have changed */
    renew = renew_at(&a, 2);
    ha_lessor_arrived(&lessor, 2 * NANOS_PER_S, 11, &renew);
    ha_lessor_confirm_begun(&lessor);
    ha_lessor_confirm_over(&lessor, true, &court);
    const struct ha_lease_row *row = ha_lessor_find(&lessor, "node-a");
    assert_int_equal(row->granted_at + row->lease, NANOS_PER_S + LEASE);
    ha_lessor_deinit(&lessor);
}

static void notes_are_read_as_they_were_written(void **state)
{
    struct prng prng = test_prng("notes");
    (void)state;
    for (size_t i = 0; i < test_rounds(300); i++) {
        struct ha_note note;
        struct ha_note again;
        struct buf bytes;
        memset(&note, 0, sizeof(note));
        note.kind = (enum ha_note_kind)prng_range(&prng, HA_NOTE_RENEW, HA_NOTE_REFUSE);
        if (note.kind == HA_NOTE_RENEW) {
            note.as.renew.boot = prng_u64(&prng);
            note.as.renew.number = prng_u64(&prng);
            note.as.renew.watchdog = (enum world_watchdog)prng_below(&prng, WORLD_WATCHDOG_STATES);
            note.as.renew.watchdog_ms = (uint32_t)prng_u64(&prng);
            note.as.renew.has_slept = prng_chance(&prng, 1, 2);
            ha_text_set(note.as.renew.host, HA_NAME_BYTES, "node-a.rack_1");
        } else if (note.kind == HA_NOTE_GRANT) {
            note.as.grant = (struct ha_grant){prng_u64(&prng), prng_u64(&prng), prng_u64(&prng),
                                              prng_u64(&prng), (uint32_t)prng_u64(&prng)};
        } else {
            note.as.refuse = (struct ha_refuse){prng_u64(&prng), prng_u64(&prng), prng_u64(&prng),
                                                HA_REFUSED_FATE};
        }
        buf_init(&bytes);
        ha_note_encode(&note, &bytes);
        assert_true(bytes.len <= HA_NOTE_BYTES_MAX && ha_note_is(buf_view(&bytes)));
        assert_int_equal(ha_note_decode(buf_view(&bytes), &again), OK);
        assert_memory_equal(&note, &again, sizeof(note));
        for (size_t n = 0; n < bytes.len; n++) {
            assert_int_not_equal(ha_note_decode((struct bytes){bytes.data, n}, &again), OK);
        }
        bytes.data[1] = HA_LEASE_VERSION + 1;
        assert_int_equal(ha_note_decode(buf_view(&bytes), &again), ERR_UNSUPPORTED);
        buf_deinit(&bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lease_ends_l_after_what_was_noted_before_sending),
        cmocka_unit_test(lease_never_ends_earlier_by_an_older_grant),
        cmocka_unit_test(grant_for_another_boot_or_number_is_none),
        cmocka_unit_test(sleep_is_seen_and_attests_no_watchdog),
        cmocka_unit_test(grants_only_what_arrived_before_the_confirmation_began),
        cmocka_unit_test(newer_renewal_during_a_confirmation_does_not_move_the_time),
        cmocka_unit_test(a_shorter_lease_ends_no_longer_one),
        cmocka_unit_test(older_renewal_that_comes_later_is_no_word_of_its_host),
        cmocka_unit_test(what_is_withdrawn_during_a_confirmation_is_not_attested),
        cmocka_unit_test(older_answer_that_comes_later_changes_nothing),
        cmocka_unit_test(another_boot_remembers_that_it_has_slept),
        cmocka_unit_test(nothing_is_granted_without_confirmation_or_against_the_fate),
        cmocka_unit_test(new_term_knows_of_no_renewal),
        cmocka_unit_test(renewal_that_comes_before_the_term_begins_is_heard),
        cmocka_unit_test(longest_lease_granted_is_remembered_while_it_may_hold),
        cmocka_unit_test(notes_are_read_as_they_were_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
