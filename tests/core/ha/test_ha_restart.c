#include "core/ha/ha_restart.h"

#include <string.h>

#include "tests/core/ha/ha_samples.h"
#include "tests/support/test.h"

#define MS NANOS_PER_MS

static const struct ha_restart_rule rule = {
    .delay_ms = 1000,
    .delay_max_ms = 10000,
    .here_max = 3,
    .limit = 7,
    .window_s = 70,
    .stable_s = 60,
};

static void a_machine_that_fails_is_restarted_then_moved_then_given_up(void **state)
{
    (void)state;
    struct ha_owner o = owner_of("web", HA_RUNNING, "node-a", 1);
    assert_int_equal(ha_restart_after_failure(&rule, "crashed", false, &o), HA_RESTART_HERE);
    assert_string_equal(o.reason, "it crashed: failure 1 of 7, 1 in a row on node-a");
    assert_int_equal(ha_restart_after_failure(&rule, "crashed", false, &o), HA_RESTART_HERE);
    assert_int_equal(ha_restart_after_failure(&rule, "crashed", false, &o), HA_RESTART_ELSEWHERE);
    ha_restart_begun(&o, "node-b");
    ha_text_set(o.host, sizeof o.host, "node-b");
    assert_int_equal(o.here, 0);
    assert_int_equal(o.failures, 3); /* which another host does not make good */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ha_restart_after_failure(&rule, "crashed", false, &o), HA_RESTART_HERE);
    }
    assert_int_equal(ha_restart_after_failure(&rule, "crashed", false, &o), HA_RESTART_ELSEWHERE);
    assert_int_equal(ha_restart_after_failure(&rule, "crashed", false, &o), HA_RESTART_GIVE_UP);
    assert_string_equal(o.reason, "it crashed: failure 7 of 7 that are allowed; find the cause, "
                                  "then start it again");
}

static void a_machine_of_one_host_stays_there(void **state)
{
    (void)state;
    struct ha_owner o = owner_of("web", HA_RUNNING, "node-a", 1);
    for (int i = 1; i < 7; i++) {
        assert_int_equal(ha_restart_after_failure(&rule, "crashed", true, &o), HA_RESTART_HERE);
    }
    assert_int_equal(ha_restart_after_failure(&rule, "crashed", true, &o), HA_RESTART_GIVE_UP);
}

static void delays_double_up_to_their_cap_within_their_jitter(void **state)
{
    (void)state;
    static const uint64_t whole[] = {1000, 2000, 4000, 8000, 10000, 10000};
    struct prng p = test_prng(__func__);
    struct ha_owner o = owner_of("web", HA_RESTARTING, "node-a", 1);
    assert_int_equal(ha_restart_delay(&rule, &o, &p), 0);
    for (size_t i = 0; i < COUNT_OF(whole); i++) {
        nanos least = NANOS_FOREVER;
        nanos most = 0;
        o.failures = (uint32_t)i + 1;
        for (int round = 0; round < 1000; round++) {
            nanos delay = ha_restart_delay(&rule, &o, &p);
            least = u64_min(least, delay);
            most = u64_max(most, delay);
        }
        assert_in_range(least, whole[i] * MS / 4 * 3, whole[i] * MS / 100 * 77);
        assert_in_range(most, whole[i] * MS / 100 * 98, whole[i] * MS);
    }
    o.failures = UINT32_MAX;
    assert_in_range(ha_restart_delay(&rule, &o, &p), 7500 * MS, 10000 * MS);
}

static void without_a_delay_there_is_none(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    struct ha_restart_rule at_once = rule;
    struct ha_owner o = owner_of("web", HA_RESTARTING, "node-a", 1);
    at_once.delay_ms = 0;
    o.failures = 5;
    assert_int_equal(ha_restart_delay(&at_once, &o, &p), 0);
}

static void quiet_times_forgive(void **state)
{
    (void)state;
    struct ha_owner o = owner_of("web", HA_RUNNING, "node-a", 1);
    o.failures = 2;
    o.here = 2;
    assert_int_equal(ha_restart_forgive_after(&rule), 10 * NANOS_PER_S);
    ha_restart_forgive(&o);
    assert_int_equal(o.failures, 1);
    assert_int_equal(o.here, 2);
    ha_restart_forgive(&o);
    ha_restart_forgive(&o);
    assert_int_equal(o.failures, 0);
    o.failures = 6;
    assert_int_equal(ha_restart_stable_after(&rule), 60 * NANOS_PER_S);
    ha_restart_stable(&o);
    assert_int_equal(o.failures, 0);
    assert_int_equal(o.here, 0);
}

static void restarts_are_counted_for_ever(void **state)
{
    (void)state;
    struct ha_owner o = owner_of("web", HA_WAITING, "", 0);
    ha_restart_begun(&o, "node-a");
    assert_int_equal(o.restarts, 0); /* the first start is none */
    o = owner_of("web", HA_RESTARTING, "node-a", 1);
    o.here = 2;
    ha_restart_begun(&o, "node-a");
    assert_int_equal(o.restarts, 1);
    assert_int_equal(o.here, 2);
    ha_restart_stable(&o);
    ha_restart_asked(&o, 4);
    assert_int_equal(o.restarts, 1);
    assert_int_equal(o.start_count, 4);
}

static void counters_stop_where_they_end(void **state)
{
    (void)state;
    struct ha_owner o = owner_of("web", HA_RUNNING, "node-a", 1);
    o.failures = UINT32_MAX;
    o.here = UINT32_MAX;
    assert_int_equal(ha_restart_after_failure(&rule, "crashed", false, &o), HA_RESTART_GIVE_UP);
    assert_true(o.failures == UINT32_MAX && o.here == UINT32_MAX);
}

/* --- one record after another ----------------------------------------------------------------- */

static void assert_follows(const struct ha_owner *a, const struct ha_owner *b, const char *fault)
{
    const char *found = ha_owner_may_follow(a, b);

    if (fault == NULL) {
        assert_null(found);
    } else {
        assert_non_null(found);
        assert_string_equal(found, fault);
    }
}

static void a_life_of_a_machine_follows(void **state)
{
    (void)state;
    struct ha_owner life[16];
    size_t n = 0;
    life[n++] = owner_of("web", HA_WAITING, "", 0);
    life[n++] = owner_of("web", HA_STARTING, "a", 1);
    life[n++] = owner_of("web", HA_RUNNING, "a", 1);
    life[n++] = owner_of("web", HA_RESTARTING, "a", 1);
    life[n++] = owner_of("web", HA_STARTING, "a", 2);
    life[n++] = owner_of("web", HA_RUNNING, "a", 2);
    life[n++] = owner_of("web", HA_RECOVERING, "a", 2);
    life[n] = owner_of("web", HA_WAITING, "", 2);
    life[n++].proof = HA_PROOF_FENCED;
    life[n++] = owner_of("web", HA_STARTING, "b", 3);
    life[n++] = owner_of("web", HA_RUNNING, "b", 3);
    life[n++] = owner_of("web", HA_STOPPING, "b", 3);
    life[n++] = owner_of("web", HA_STOPPED, "b", 3);
    life[n++] = owner_of("web", HA_STARTING, "a", 4);
    assert_follows(NULL, &life[0], NULL);
    for (size_t i = 1; i < n; i++) {
        assert_follows(&life[i - 1], &life[i], NULL);
    }
    assert_follows(&life[11], NULL, NULL);
}

static void an_epoch_is_used_once_and_never_goes_back(void **state)
{
    (void)state;
    struct ha_owner a = owner_of("web", HA_RESTARTING, "a", 5);
    struct ha_owner b = owner_of("web", HA_STARTING, "a", 5);
    assert_follows(&a, &b, "a start has another epoch than the next, or one that was used");
    b.epoch = 7;
    assert_follows(&a, &b, "a start has another epoch than the next, or one that was used");
    b.epoch = 4;
    assert_follows(&a, &b, "the epoch went back");
    b.epoch = 6;
    assert_follows(&a, &b, NULL);
    a = owner_of("web", HA_WAITING, "", 0);
    b = owner_of("web", HA_STARTING, "a", 4711); /* a name may have had an earlier life */
    assert_follows(&a, &b, NULL);
    b.epoch = 0;
    assert_follows(&a, &b, "a start has another epoch than the next, or one that was used");
    a = owner_of("web", HA_STARTING, "a", 5);
    b = owner_of("web", HA_STARTING, "b", 5);
    assert_follows(&a, &b, "a start has another epoch than the next, or one that was used");
    a = owner_of("web", HA_RECOVERING, "a", 5); /* its host was not lost after all */
    b = owner_of("web", HA_STARTING, "a", 5);
    assert_follows(&a, &b, NULL);
    a = owner_of("web", HA_RESTARTING, "a", 5);
    assert_follows(&a, &b, "a start has another epoch than the next, or one that was used");
    a = owner_of("web", HA_STARTING, "a", 5);
    b = owner_of("web", HA_RUNNING, "b", 5);
    assert_follows(&a, &b, "the host changed without a start");
    b = owner_of("web", HA_RUNNING, "a", 6);
    assert_follows(&a, &b, "the epoch was raised without a start");
    b = owner_of("web", HA_RUNNING, "a", 5);
    b.policy = HA_POLICY_KEEP;
    assert_follows(&a, &b, "the policy changed without a start");
}

static void owner_on_disk(struct ha_owner *owner, const char *volume, const char *path)
{
    ha_text_set(owner->volume, sizeof owner->volume, volume);
    ha_text_set(owner->storage, sizeof owner->storage, "nfs");
    ha_text_set(owner->path, sizeof owner->path, path);
}

static void a_disk_changes_with_a_start_and_with_nothing_else(void **state)
{
    (void)state;
    static const char changed[] = "the disk changed without a start";
    struct ha_owner a = owner_of("web", HA_STARTING, "a", 5);
    struct ha_owner b = owner_of("web", HA_RUNNING, "a", 5);
    owner_on_disk(&a, "web", "/srv");
    assert_follows(&a, &b, changed);
    owner_on_disk(&b, "other", "/srv");
    assert_follows(&a, &b, changed);
    owner_on_disk(&b, "web", "/other");
    assert_follows(&a, &b, changed);
    b.phase = HA_STARTING;
    assert_follows(&a, &b, changed);
    owner_on_disk(&b, "web", "/srv");
    assert_follows(&a, &b, NULL);
    a.phase = HA_RESTARTING;
    b.epoch = 6;
    owner_on_disk(&b, "other", "/other");
    assert_follows(&a, &b, NULL);
}

static struct ha_owner owner_moving(uint64_t epoch, uint64_t issued, uint16_t port)
{
    struct ha_owner owner = owner_of("web", HA_MOVING, "a", epoch);

    owner.issued = issued;
    ha_text_set(owner.to, sizeof owner.to, "b");
    owner.port = port;
    ha_text_set(owner.address, sizeof owner.address, port != 0 ? "10.0.0.2" : "");
    return owner;
}

static void a_move_follows_from_its_beginning_to_its_end(void **state)
{
    (void)state;
    struct ha_owner runs = owner_of("web", HA_RUNNING, "a", 5);
    struct ha_owner begun = owner_moving(5, 6, 0);
    struct ha_owner aimed = owner_moving(5, 6, 4711);
    struct ha_owner there = owner_of("web", HA_STARTING, "b", 6);
    struct ha_owner again = owner_moving(5, 7, 0);
    there.proof = HA_PROOF_MOVED;
    there.moves = 1;
    assert_follows(&runs, &begun, NULL);
    assert_follows(&begun, &aimed, NULL);
    assert_follows(&aimed, &there, NULL);
    ha_text_set(there.volume, sizeof there.volume, "other");
    assert_follows(&aimed, &there, "a guest was moved to another disk");
    there.volume[0] = '\0';
    runs.issued = 6; /* called off, and begun again */
    assert_follows(&aimed, &runs, NULL);
    assert_follows(&runs, &again, NULL);
    runs = owner_of("web", HA_RESTARTING, "a", 5);
    runs.issued = 6;
    struct ha_owner next = owner_of("web", HA_STARTING, "a", 6);
    assert_follows(&runs, &next, "a start has another epoch than the next, or one that was used");
    next.epoch = 7;
    assert_follows(&runs, &next, NULL);
}

static void a_move_is_cut_short_by_nothing_but_its_end(void **state)
{
    (void)state;
    struct ha_owner runs = owner_of("web", HA_RUNNING, "a", 5);
    struct ha_owner begun = owner_moving(5, 6, 0);
    struct ha_owner aimed = owner_moving(5, 6, 4711);
    struct ha_owner there = owner_of("web", HA_STARTING, "b", 6);
    static const char middle[] = "a machine left its host in a move's middle";
    static const char used[] = "a start has another epoch than the next, or one that was used";
    assert_follows(&aimed, &there, used);
    there.proof = HA_PROOF_FENCED;
    assert_follows(&aimed, &there, used);
    there.proof = HA_PROOF_MOVED;
    assert_follows(&begun, &there, used);
    assert_follows(&runs, &there, "this phase does not follow that one");
    there.epoch = 7;
    there.issued = 7;
    assert_follows(&aimed, &there, middle);
    ha_text_set(there.host, sizeof there.host, "c");
    there.epoch = 6;
    there.issued = 0;
    assert_follows(&aimed, &there, used);
    assert_follows(&aimed, &runs, "an epoch that was given out is to be given out again");
    struct ha_owner other = aimed;
    other.port = 4712;
    assert_follows(&aimed, &other, "a move has changed its end");
    ha_text_set(other.to, sizeof other.to, "c");
    assert_follows(&begun, &other, "a move has changed its end");
    other = owner_moving(5, 7, 0);
    assert_follows(&runs, &other, "a move began with another epoch than the next");
    runs = owner_of("web", HA_WAITING, "", 5); /* a proof of an earlier move proves nothing */
    runs.proof = HA_PROOF_MOVED;
    there = owner_of("web", HA_STARTING, "b", 6);
    there.proof = HA_PROOF_MOVED;
    assert_follows(&runs, &there, "a machine was moved that was not moving");
}

static void nobody_leaves_a_host_without_a_proof(void **state)
{
    (void)state;
    static const enum ha_phase running[] = {HA_STARTING, HA_RUNNING, HA_STOPPING, HA_RECOVERING};
    for (size_t i = 0; i < COUNT_OF(running); i++) {
        struct ha_owner a = owner_of("web", running[i], "a", 5);
        struct ha_owner b = owner_of("web", HA_WAITING, "", 5);
        assert_follows(&a, &b, "it left a host that may still run it, without a proof");
        b.proof = HA_PROOF_EXPIRED;
        assert_follows(&a, &b, NULL);
        if (running[i] != HA_RUNNING) {
            b = owner_of("web", HA_STARTING, "b", 6);
            assert_follows(&a, &b, "it left a host that may still run it, without a proof");
            b.proof = HA_PROOF_FENCED;
            assert_follows(&a, &b, NULL);
        }
    }
}

static void counters_go_down_only_by_what_may_lower_them(void **state)
{
    (void)state;
    struct ha_owner a = owner_of("web", HA_RUNNING, "a", 5);
    struct ha_owner b = a;
    a.failures = 5;
    a.restarts = 9;
    a.term = 3;
    b.restarts = 9;
    b.term = 3;
    b.failures = 4;
    assert_follows(&a, &b, NULL);
    b.failures = 3;
    assert_follows(&a, &b, "failures vanished");
    b.failures = 0;
    assert_follows(&a, &b, NULL); /* a stable run */
    b.phase = HA_RESTARTING;
    assert_follows(&a, &b, "failures vanished");
    b.phase = HA_RUNNING;
    b.restarts = 8;
    assert_follows(&a, &b, "the restarts went back, or more than one was counted");
    b.restarts = 11;
    assert_follows(&a, &b, "the restarts went back, or more than one was counted");
    b.restarts = 9;
    b.term = 2;
    assert_follows(&a, &b, "a leader of an older term wrote it");
}

static void what_has_failed_waits_for_an_operator(void **state)
{
    (void)state;
    struct ha_owner a = owner_of("web", HA_FAILED, "a", 5);
    struct ha_owner b = owner_of("web", HA_WAITING, "", 5);
    assert_follows(&a, &b, "a machine that has failed was started without an operator");
    b.start_count = 1;
    assert_follows(&a, &b, NULL);
    assert_follows(&b, &a, "an operator's start was forgotten");
    b = owner_of("web", HA_RUNNING, "a", 5);
    assert_follows(&a, &b, "this phase does not follow that one");
    assert_follows(NULL, &b, "it began in the middle of a life");
}

/* Any history that the functions of this file make, by any number of leaders that know nothing but
 * the record, follows. */
static void what_the_rules_do_follows(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(300); round++) {
        struct ha_owner now = owner_of("web", HA_STARTING, "a", 1);
        uint64_t restarts = 0;
        for (int i = 0; i < 50; i++) {
            struct ha_owner next = now;
            enum ha_restart_course course = HA_RESTART_HERE;
            if (now.phase == HA_STARTING) {
                next.phase = HA_RUNNING;
            } else if (now.phase == HA_RUNNING && prng_chance(&p, 1, 4)) {
                ha_restart_stable(&next);
            } else if (now.phase == HA_RUNNING && prng_chance(&p, 1, 4)) {
                ha_restart_forgive(&next);
            } else if (now.phase == HA_RUNNING) {
                course = ha_restart_after_failure(&rule, "crashed", false, &next);
                next.phase = course == HA_RESTART_GIVE_UP ? HA_FAILED : HA_RESTARTING;
            } else {
                const char *host = prng_chance(&p, 1, 2) ? "a" : "b";
                if (now.phase == HA_FAILED) {
                    ha_restart_asked(&next, now.start_count + 1);
                }
                ha_restart_begun(&next, host);
                ha_text_set(next.host, sizeof next.host, host);
                next.phase = HA_STARTING;
                next.epoch++;
                restarts++;
            }
            assert_follows(&now, &next, NULL);
            assert_true(next.failures <= rule.limit);
            now = next;
        }
        assert_int_equal(now.restarts, restarts);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_machine_that_fails_is_restarted_then_moved_then_given_up),
        cmocka_unit_test(a_machine_of_one_host_stays_there),
        cmocka_unit_test(delays_double_up_to_their_cap_within_their_jitter),
        cmocka_unit_test(without_a_delay_there_is_none),
        cmocka_unit_test(quiet_times_forgive),
        cmocka_unit_test(restarts_are_counted_for_ever),
        cmocka_unit_test(counters_stop_where_they_end),
        cmocka_unit_test(a_life_of_a_machine_follows),
        cmocka_unit_test(an_epoch_is_used_once_and_never_goes_back),
        cmocka_unit_test(a_disk_changes_with_a_start_and_with_nothing_else),
        cmocka_unit_test(a_move_follows_from_its_beginning_to_its_end),
        cmocka_unit_test(a_move_is_cut_short_by_nothing_but_its_end),
        cmocka_unit_test(nobody_leaves_a_host_without_a_proof),
        cmocka_unit_test(counters_go_down_only_by_what_may_lower_them),
        cmocka_unit_test(what_has_failed_waits_for_an_operator),
        cmocka_unit_test(what_the_rules_do_follows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
