/* The observer's own pauses, and what they do to its detectors. */
#include "core/monitoring/health/pause.h"

#include "core/monitoring/health/detector.h"
#include "tests/support/test.h"

#include <string.h>

#define MS       NANOS_PER_MS
#define INTERVAL (100 * MS)
#define TICK     (20 * MS)
#define PEERS    3

static struct pause pause_watcher(nanos now, nanos awake)
{
    struct pause_config config = pause_config_of(INTERVAL);
    struct pause p;

    pause_init(&p, &config, now, awake);
    return p;
}

static void turns_on_time_are_no_pause(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    struct pause p = pause_watcher(1000 * MS, 7 * MS);
    nanos now = 1000 * MS;
    for (size_t i = 0; i < 10000; i++) {
        nanos step = prng_below(&prng, TICK + 200 * MS);
        now += step;
        assert_false(pause_turn(&p, now, now - 993 * MS, now + TICK));
        assert_true(pause_judges(&p, now));
    }
    /* Nothing was due: an hour without an event is no stall. */
    assert_false(pause_turn(&p, now + 10 * MS, now + 10 * MS - 993 * MS, NANOS_FOREVER));
    now += 3600 * NANOS_PER_S;
    assert_false(pause_turn(&p, now, now - 993 * MS, now + TICK));
}

static void late_turn_is_a_stall(void **state)
{
    (void)state;
    struct pause p = pause_watcher(0, 0);
    assert_false(pause_turn(&p, 0, 0, TICK));
    assert_false(pause_turn(&p, TICK + 200 * MS, TICK + 200 * MS, 300 * MS));
    assert_true(pause_turn(&p, 501 * MS, 501 * MS, 600 * MS));
    assert_int_equal(p.kind, PAUSE_STALLED);
    assert_true(p.lasted == 201 * MS && p.counts[PAUSE_STALLED] == 1);
    assert_false(pause_judges(&p, 800 * MS));
    assert_true(pause_judges_from(&p) == 801 * MS && pause_judges(&p, 801 * MS));
    /* One turn that is on time does not end the listening. */
    assert_false(pause_turn(&p, 520 * MS, 520 * MS, 540 * MS));
    assert_true(pause_judges_from(&p) == 801 * MS);
}

/* Scenario 7: the machine slept; `now` counts that, `awake` does not. */
static void suspended_machine_is_told_from_a_stalled_one(void **state)
{
    (void)state;
    struct pause p = pause_watcher(0, 50 * MS);
    assert_false(pause_turn(&p, 100 * MS, 150 * MS, 120 * MS));
    assert_true(pause_turn(&p, 7200 * NANOS_PER_S, 160 * MS, 7200 * NANOS_PER_S + TICK));
    assert_int_equal(p.kind, PAUSE_SUSPENDED);
    assert_true(p.lasted > 7199 * NANOS_PER_S && p.longest == p.lasted);
    assert_string_equal(pause_kind_text(p.kind), "suspended");
}

/* Scenario 7: a restored or migrated machine goes on with another clock. */
static void stepped_clock_is_seen_in_both_directions(void **state)
{
    (void)state;
    struct pause p = pause_watcher(5000 * MS, 5000 * MS);
    assert_true(pause_turn(&p, 1000 * MS, 5100 * MS, 1020 * MS));
    assert_int_equal(p.kind, PAUSE_STEPPED);
    assert_true(pause_judges_from(&p) == 1300 * MS);
    assert_true(pause_turn(&p, 1010 * MS, 60000 * MS, 1020 * MS));
    assert_int_equal(p.kind, PAUSE_STEPPED);
    assert_true(pause_turn(&p, 1020 * MS, 3 * MS, 1040 * MS));
    assert_int_equal(p.kind, PAUSE_STEPPED);
    assert_false(pause_turn(&p, 1040 * MS, 23 * MS, 1060 * MS));
}

/* --- With detectors ------------------------------------------------------------------------------
 */

struct observer {
    struct pause pause;
    struct detector peers[PEERS];
    nanos now;
    uint64_t suspected[PEERS]; /* ticks at which it was */
    bool is_dead[PEERS];
};

/* One turn: excuses first, then what arrived, then who is suspected. Peers send every interval, and
 * what they sent while nobody looked waits in a queue, or is `lost`. */
static void observe_turn(struct observer *o, nanos now, nanos awake, bool lost)
{
    if (pause_turn(&o->pause, now, awake, now + TICK)) {
        for (size_t i = 0; i < PEERS; i++) {
            detector_excuse(&o->peers[i], pause_judges_from(&o->pause));
        }
    }
    for (size_t i = 0; i < PEERS; i++) {
        nanos phase = (i + 1) * 11 * MS;
        uint64_t newest = now > phase ? (now - phase) / INTERVAL : 0;
        uint64_t first = o->peers[i].sequence + 1;

        if (lost && newest > first) {
            first = newest;
        }
        for (uint64_t k = first; k <= newest && !o->is_dead[i]; k++) {
            (void)detector_heartbeat(&o->peers[i], k, now);
        }
        detector_check(&o->peers[i]);
        o->suspected[i] += detector_suspects(&o->peers[i], now);
    }
    o->now = now;
}

static void observe_for(struct observer *o, nanos span, nanos asleep)
{
    for (nanos end = o->now + span; o->now < end;) {
        observe_turn(o, o->now + TICK, o->now + TICK - asleep, false);
    }
}

static void stop_observer(enum detector_kind kind, nanos stopped, bool is_suspend, bool lost)
{
    struct detector_config config = detector_config_of(kind, INTERVAL);
    struct pause_config pauses = pause_config_of(INTERVAL);
    static struct observer o;

    memset(&o, 0, sizeof o);
    pause_init(&o.pause, &pauses, 0, 0);
    for (size_t i = 0; i < PEERS; i++) {
        detector_init(&o.peers[i], &config, 0);
    }
    observe_for(&o, 60 * NANOS_PER_S, 0);
    /* The jitter here is none at all, to which Bertier's margin shrinks: it has to be left out. */
    memset(o.suspected, 0, sizeof o.suspected);
    o.is_dead[1] = true;
    nanos asleep = is_suspend ? stopped : 0;
    observe_turn(&o, o.now + stopped, o.now + stopped - asleep, lost);
    observe_for(&o, 400 * MS, asleep);
    assert_true(o.suspected[0] == 0 && o.suspected[2] == 0);
    observe_for(&o, 10 * NANOS_PER_S, asleep);
    assert_true(o.suspected[0] == 0 && o.suspected[2] == 0);
    /* Who died meanwhile is found, as soon as it may be judged. */
    assert_true(detector_suspects(&o.peers[1], o.now));
}

/* Scenario 5: SIGSTOP for 0.1, 1, 5, 30 and 300 s; it must not judge others on waking. */
static void stopped_observer_does_not_judge_on_waking(void **state)
{
    (void)state;
    const nanos stops[] = {100 * MS, NANOS_PER_S, 5 * NANOS_PER_S, 30 * NANOS_PER_S,
                           300 * NANOS_PER_S};
    for (enum detector_kind kind = 0; kind < DETECTOR_KINDS; kind++) {
        if (kind == DETECTOR_BERTIER) {
            continue;
        }
        for (size_t i = 0; i < COUNT_OF(stops); i++) {
            stop_observer(kind, stops[i], false, false);
            stop_observer(kind, stops[i], false, true);
        }
    }
}

/* Scenario 7: suspend and resume, with what was sent meanwhile lost. */
static void resumed_observer_does_not_judge_at_once(void **state)
{
    (void)state;
    for (enum detector_kind kind = 0; kind < DETECTOR_KINDS; kind++) {
        if (kind != DETECTOR_BERTIER) {
            stop_observer(kind, 8 * 3600 * NANOS_PER_S, true, true);
        }
    }
}

/* What a turn ends with may be due much later than what it began with. */
static void a_turn_that_was_expected_late_is_not_late(void **state)
{
    (void)state;
    struct pause_config config = pause_config_of(100 * NANOS_PER_MS);
    struct pause p;

    pause_init(&p, &config, 0, 0);
    assert_false(pause_turn(&p, NANOS_PER_S, NANOS_PER_S, NANOS_PER_S));
    pause_expect(&p, 5 * NANOS_PER_S);
    assert_false(pause_turn(&p, 5 * NANOS_PER_S, 5 * NANOS_PER_S, 5 * NANOS_PER_S));
    pause_expect(&p, 0); /* at once: not before now */
    assert_false(pause_turn(&p, 5 * NANOS_PER_S + 200 * NANOS_PER_MS,
                            5 * NANOS_PER_S + 200 * NANOS_PER_MS, NANOS_FOREVER));
    assert_int_equal(p.counts[PAUSE_STALLED], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turns_on_time_are_no_pause),
        cmocka_unit_test(late_turn_is_a_stall),
        cmocka_unit_test(suspended_machine_is_told_from_a_stalled_one),
        cmocka_unit_test(stepped_clock_is_seen_in_both_directions),
        cmocka_unit_test(stopped_observer_does_not_judge_on_waking),
        cmocka_unit_test(resumed_observer_does_not_judge_at_once),
        cmocka_unit_test(a_turn_that_was_expected_late_is_not_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
