/* The phi detectors against figures that were computed by hand or read in their originals. */
#include "core/monitoring/health/detector.h"

#include "tests/support/test.h"

#define MS NANOS_PER_MS

static nanos beat_every(struct detector *d, nanos gap, uint64_t n, nanos now)
{
    for (uint64_t i = 0; i < n; i++) {
        now += gap;
        (void)detector_heartbeat(d, d->sequence + 1, now);
    }
    return now;
}

static void assert_about(nanos value, nanos expected, nanos tolerance)
{
    if (value + tolerance < expected || value > expected + tolerance) {
        fail_msg("%llu is not %llu", (unsigned long long)value, (unsigned long long)expected);
    }
}

/* 1000 + 3000 + 5.226 * 100 = 4523 ms after the last heartbeat. */
static void akka_detects_after_4523_ms(void **state)
{
    (void)state;
    struct detector_config config = detector_config_of(DETECTOR_AKKA, 1000 * MS);
    struct detector d;
    detector_init(&d, &config, 0);
    nanos last = beat_every(&d, 1000 * MS, 1100, 0);
    assert_about(detector_deadline(&d) - last, 4522600 * NANOS_PER_US, 100 * NANOS_PER_US);
    config.threshold = 10; /* own z: 5.799 */
    detector_init(&d, &config, 0);
    last = beat_every(&d, 1000 * MS, 1100, 0);
    assert_about(detector_deadline(&d) - last, 4579900 * NANOS_PER_US, 100 * NANOS_PER_US);
}

/* phi by the formula, where doubles still carry it: y = 1 gives s = 1.668166. */
static void akka_phi_is_the_logistic_form(void **state)
{
    (void)state;
    struct detector_config config = detector_config_of(DETECTOR_AKKA, 1000 * MS);
    struct detector d;
    detector_init(&d, &config, 0);
    nanos last = beat_every(&d, 1000 * MS, 1100, 0);
    double phi = detector_phi(&d, last + 4100 * MS);
    assert_true(phi > 0.799508 && phi < 0.799509); /* log10(1 + e^1.668166) */
    phi = detector_phi(&d, last + 3900 * MS);      /* log10(1 + e^-1.668166) */
    assert_true(phi > 0.075033 && phi < 0.075034);
    /* Where Akka's own e is 0, and its phi infinite. */
    phi = detector_phi(&d, last + 9000 * MS);
    assert_true(phi > 3865 && phi < 3866); /* (1.5976 * 50 + 0.070566 * 50^3) / ln 10 */
}

/* Akka drops the gap that ended a suspicion; ours keeps as much of it as was allowed. */
static void akka_never_learns_a_slow_peer_and_phi_does(void **state)
{
    (void)state;
    struct detector akka;
    struct detector phi;
    struct detector_config config = detector_config_of(DETECTOR_AKKA, 100 * MS);
    detector_init(&akka, &config, 0);
    config = detector_config_of(DETECTOR_PHI_NORMAL, 100 * MS);
    config.window = 100;
    detector_init(&phi, &config, 0);
    nanos a = beat_every(&akka, 100 * MS, 1000, 0);
    nanos p = beat_every(&phi, 100 * MS, 1000, 0);
    (void)beat_every(&akka, 1000 * MS, 100, a);
    (void)beat_every(&phi, 1000 * MS, 100, p);
    assert_true(akka.counts.mistakes == 100);
    assert_true(phi.counts.mistakes > 0 && phi.counts.mistakes < 30);
}

/* Phi / ln 10 > 8: 18.42 means. */
static void exponential_convicts_as_cassandra_does(void **state)
{
    (void)state;
    struct detector_config config = detector_config_of(DETECTOR_PHI_EXPONENTIAL, 1000 * MS);
    struct detector d;
    detector_init(&d, &config, 0);
    nanos last = beat_every(&d, 1000 * MS, 1100, 0);
    assert_about(detector_deadline(&d) - last, 18420680 * NANOS_PER_US, 10 * NANOS_PER_US);
    double phi = detector_phi(&d, last + 1000 * MS);
    assert_true(phi > 0.434294 && phi < 0.434295); /* 1 / ln 10 */
}

/* mean + z * deviation, for gaps of 90 and 110 ms: the deviation is 10 ms. */
/* Heartbeats at one and the same moment, and a window of two: a mean of nothing. */
static void phi_is_finite_without_any_gap(void **state)
{
    (void)state;
    struct detector_config config = detector_config_of(DETECTOR_PHI_EXPONENTIAL, 100 * MS);
    struct detector d;
    config.window = 2;
    detector_init(&d, &config, 0);
    (void)beat_every(&d, 0, 5, 1000 * MS);
    double phi = detector_phi(&d, 2000 * MS);
    assert_true(phi > 1000 && phi - phi < 1);
}

static void normal_suspects_at_mean_plus_z_deviations(void **state)
{
    (void)state;
    const struct {
        double phi;
        nanos z_us;
    } rows[] = {{1, 12816}, {3, 30902}, {5, 42649}, {8, 56120}, {12, 70345}, {16, 82221}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct detector_config config = detector_config_of(DETECTOR_PHI_NORMAL, 100 * MS);
        struct detector d;
        config.threshold = rows[i].phi;
        config.deviation_min = 1 * MS;
        detector_init(&d, &config, 0);
        nanos last = 0;
        for (size_t k = 0; k < 1000; k++) {
            last = beat_every(&d, 90 * MS, 1, last);
            last = beat_every(&d, 110 * MS, 1, last);
        }
        nanos expected = 100 * MS + rows[i].z_us * NANOS_PER_US;
        assert_about(detector_deadline(&d) - last, expected, 20 * NANOS_PER_US);
        double phi = detector_phi(&d, detector_deadline(&d));
        assert_true(phi > rows[i].phi - 1e-4 && phi < rows[i].phi + 1e-4);
    }
}

static void deviation_has_a_floor(void **state)
{
    (void)state;
    struct detector_config config = detector_config_of(DETECTOR_PHI_NORMAL, 100 * MS);
    struct detector d;
    config.deviation_min = 20 * MS;
    config.acceptable_pause = 400 * MS;
    detector_init(&d, &config, 0);
    nanos last = beat_every(&d, 100 * MS, 1100, 0);
    assert_about(detector_deadline(&d) - last, 612240 * NANOS_PER_US, 20 * NANOS_PER_US);
}

/* After n samples of another length nothing is left of those before. */
static void window_is_bounded(void **state)
{
    (void)state;
    const enum detector_kind kinds[] = {DETECTOR_PHI_NORMAL, DETECTOR_PHI_EXPONENTIAL};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        struct detector_config config = detector_config_of(kinds[i], 100 * MS);
        struct detector fast;
        struct detector always;
        config.window = 50;
        detector_init(&fast, &config, 0);
        detector_init(&always, &config, 0);
        nanos f = beat_every(&fast, 150 * MS, 300, 0);
        f = beat_every(&fast, 50 * MS, 50, f);
        nanos a = beat_every(&always, 50 * MS, 300, 0);
        assert_true(detector_deadline(&fast) - f == detector_deadline(&always) - a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(akka_detects_after_4523_ms),
        cmocka_unit_test(akka_phi_is_the_logistic_form),
        cmocka_unit_test(akka_never_learns_a_slow_peer_and_phi_does),
        cmocka_unit_test(exponential_convicts_as_cassandra_does),
        cmocka_unit_test(phi_is_finite_without_any_gap),
        cmocka_unit_test(normal_suspects_at_mean_plus_z_deviations),
        cmocka_unit_test(deviation_has_a_floor),
        cmocka_unit_test(window_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
