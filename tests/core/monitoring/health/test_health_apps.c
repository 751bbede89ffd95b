/* Applications of a simulated host that misbehave at any time: whether each is ready is known
 * within a bound, and never told falsely. */
#include "core/monitoring/health/health_apps.h"

#include <stdio.h>
#include <string.h>

#include "core/chaos/simapp.h"
#include "core/chaos/simprogram.h"
#include "core/chaos/simworld.h"
#include "tests/support/test.h"

#define YARD_APPS  3
#define YARD_PORT  7
#define TCP_PORT   80
#define HTTP_PORT  81
#define YARD_CHECK "/bin/check"

/* One host, with an application for each kind of probe. */
struct yard {
    struct simworld *sim;
    struct simhost *host;
    struct health_host *health;
    struct health_apps *apps;
    struct health_app_config configs[YARD_APPS];
    bool is_well[YARD_APPS]; /* the truth, */
    nanos since[YARD_APPS];  /* since then */
    uint32_t changes[YARD_APPS];
    char reasons[YARD_APPS][APP_REASON_MAX_BYTES];
};

static const char *const yard_names[YARD_APPS] = {"line", "shop", "check"};
static const char *const yard_arguments[] = {YARD_CHECK, NULL};

static uint32_t yard_place(const char *name)
{
    for (uint32_t i = 0; i < YARD_APPS; i++) {
        if (strcmp(yard_names[i], name) == 0) {
            return i;
        }
    }
    fail();
    return 0;
}

static nanos yard_bound(const struct yard *y, uint32_t i)
{
    return health_apps_bound(&y->configs[i].times, y->is_well[i]);
}

/* No change is told that nothing in the bound before it gave cause for. */
static void yard_changed(void *ctx, const struct health_app_view *app)
{
    struct yard *y = ctx;
    uint32_t i = yard_place(app->name);
    bool said_well = app->state == RUNG_WELL;
    bool differs = y->is_well[i] != said_well;

    y->changes[i]++;
    (void)snprintf(y->reasons[i], sizeof y->reasons[i], "%s", app->last.reason);
    assert_true(app->state == RUNG_WELL || app->state == RUNG_DEGRADED);
    assert_false(differs && simworld_now(y->sim) - y->since[i] > yard_bound(y, i));
}

static void yard_open_host(struct yard *y)
{
    struct health_host_config c = {.name = "a"};
    const struct health_host_events none = {.ctx = NULL};
    struct health_agent_config *a = &c.agent;

    health_agent_config_default(a);
    a->swim.self = 1;
    a->swim.instance = 1000;
    memcpy(a->swim.at.host, "a", 2);
    a->swim.at.port = YARD_PORT;
    a->cipher = (struct seal_cipher){NULL, &seal_stand_in};
    a->ring = (struct seal_ring){.keys = {{1}}, .n = 1};
    a->port = YARD_PORT;
    assert_int_equal(health_host_open(simhost_world(y->host), &c, &none, &y->health), OK);
}

static void yard_set(struct yard *y, uint32_t i, bool is_well, uint64_t manner)
{
    static const enum simapp_manner bad_lines[] = {SIMAPP_REFUSES, SIMAPP_IS_MUTE};
    static const enum simapp_manner bad_shops[] = {SIMAPP_REFUSES, SIMAPP_IS_MUTE, SIMAPP_HANGS,
                                                   SIMAPP_BABBLES, SIMAPP_BREAKS_OFF};
    struct simapp_conduct app = {.manner = SIMAPP_ANSWERS};
    struct simprogram_conduct check = {.status = 0};

    if (!is_well) {
        app.manner = i == 0 ? bad_lines[manner % COUNT_OF(bad_lines)]
                            : bad_shops[manner % COUNT_OF(bad_shops)];
        check.manner = manner % 3 == 0 ? SIMPROGRAM_HANGS : SIMPROGRAM_EXITS;
        check.status = manner % 3 == 1 ? 1 : 0;
        check.span = manner % 3 == 2 ? 3600 * NANOS_PER_S : 0;
    }
    if (i < 2) {
        simapp_behave(y->host, i == 0 ? TCP_PORT : HTTP_PORT, &app);
    } else {
        simprogram_install(y->host, YARD_CHECK, &check);
    }
    if (y->is_well[i] != is_well) {
        y->is_well[i] = is_well;
        y->since[i] = simworld_now(y->sim);
    }
}

static void yard_open(struct yard *y, uint64_t seed, const struct probe_config *times)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell";
    const struct bytes says = {(const uint8_t *)answer, sizeof answer - 1};
    struct health_apps_events events = {y, yard_changed};

    memset(y, 0, sizeof *y);
    y->sim = simworld_new(seed);
    y->host = simhost_new(y->sim, "a", 1 << 20);
    simapp_run(y->host, TCP_PORT, says);
    simapp_run(y->host, HTTP_PORT, says);
    yard_open_host(y);
    for (uint32_t i = 0; i < YARD_APPS; i++) {
        y->configs[i].name = yard_names[i];
        y->configs[i].times = *times;
        yard_set(y, i, true, 0);
        y->since[i] = simworld_now(y->sim);
    }
    y->configs[0].app = (struct app_config){.kind = APP_TCP, .at = {"127.0.0.1", TCP_PORT}};
    y->configs[1].app = (struct app_config){
        .kind = APP_HTTP, .at = {"127.0.0.1", HTTP_PORT}, .http = http_expect_of()};
    y->configs[1].app.http.text = "well";
    y->configs[2].app = (struct app_config){.kind = APP_COMMAND, .arguments = yard_arguments};
    y->apps = health_apps_open(simhost_world(y->host), y->health, y->configs, YARD_APPS, &events);
}

static void yard_close(struct yard *y)
{
    health_apps_stop(y->apps);
    health_host_stop(y->health);
    simhost_kill(y->host);
    health_apps_free(y->apps);
    health_host_free(y->health);
    simworld_free(y->sim);
}

static struct health_app_view yard_view(const struct yard *y, uint32_t i)
{
    struct health_app_view view;

    health_apps_get(y->apps, i, &view);
    return view;
}

/* Whoever has been as it is for longer than the bound is known to be so. */
static void assert_verdicts_follow(const struct yard *y)
{
    for (uint32_t i = 0; i < YARD_APPS; i++) {
        if (simworld_now(y->sim) - y->since[i] > yard_bound(y, i)) {
            assert_int_equal(yard_view(y, i).state, y->is_well[i] ? RUNG_WELL : RUNG_DEGRADED);
        }
    }
}

static struct probe_config yard_times(struct prng *prng)
{
    return (struct probe_config){
        .is_asked = true,
        .period = prng_range(prng, 1, 20) * NANOS_PER_S,
        .timeout = prng_range(prng, 1, 9) * NANOS_PER_S / 10,
        .failures = (uint32_t)prng_range(prng, 1, 4),
        .successes = (uint32_t)prng_range(prng, 1, 3),
    };
}

static void verdicts_follow_within_their_bound_and_none_is_false(void **state)
{
    struct prng prng = test_prng("applications");
    static struct yard y;
    (void)state;
    for (size_t round = 0; round < test_rounds(30); round++) {
        struct probe_config times = yard_times(&prng);
        nanos longest = 3 * health_apps_bound(&times, false);
        yard_open(&y, prng_u64(&prng), &times);
        for (int i = 0; i < 200; i++) {
            simworld_run(y.sim, simworld_now(y.sim) + prng_range(&prng, 1, longest));
            assert_verdicts_follow(&y);
            yard_set(&y, (uint32_t)prng_below(&prng, YARD_APPS), prng_chance(&prng, 1, 2),
                     prng_u64(&prng));
        }
        health_host_check(y.health);
        yard_close(&y);
    }
}

static struct probe_config kubernetes_times(void)
{
    struct probe_config times = probe_config_of();

    times.is_asked = true;
    return times;
}

static void a_single_failure_changes_nothing(void **state)
{
    const struct probe_config times = kubernetes_times();
    static struct yard y;
    (void)state;
    yard_open(&y, 1, &times);
    simworld_run(y.sim, simworld_now(y.sim) + 60 * NANOS_PER_S);
    for (int i = 0; i < 200; i++) {
        uint32_t at = (uint32_t)i % YARD_APPS;
        y.since[at] = simworld_now(y.sim);
        yard_set(&y, at, false, (uint64_t)i);
        simworld_run(y.sim, simworld_now(y.sim) + times.period);
        yard_set(&y, at, true, 0);
        simworld_run(y.sim, simworld_now(y.sim) + 2 * times.period);
    }
    for (uint32_t i = 0; i < YARD_APPS; i++) {
        assert_int_equal(y.changes[i], 1); /* to well, at first */
        assert_true(yard_view(&y, i).answers[PROBE_FAILURE] > 0);
    }
    /* A host without neighbours has long turns, which are no stalls. */
    assert_int_equal(health_host_pause(y.health)->counts[PAUSE_STALLED], 0);
    yard_close(&y);
}

static void a_change_comes_with_its_reason(void **state)
{
    const struct probe_config times = kubernetes_times();
    static struct yard y;
    (void)state;
    yard_open(&y, 1, &times);
    simworld_run(y.sim, simworld_now(y.sim) + 60 * NANOS_PER_S);
    for (uint32_t i = 0; i < YARD_APPS; i++) {
        yard_set(&y, i, false, 0);
    }
    simworld_run(y.sim, simworld_now(y.sim) + 60 * NANOS_PER_S);
    assert_string_equal(y.reasons[0], "connection refused");
    assert_string_equal(y.reasons[1], "connection refused");
    assert_string_equal(y.reasons[2], "no exit within 1000 ms");
    yard_close(&y);
}

static void the_rung_of_the_host_is_degraded_and_back(void **state)
{
    const struct probe_config times = kubernetes_times();
    struct health_ladder ladder;
    static struct yard y;
    (void)state;
    yard_open(&y, 1, &times);
    simworld_run(y.sim, simworld_now(y.sim) + 60 * NANOS_PER_S);
    assert_true(health_host_ladder(y.health, 1, &ladder));
    assert_int_equal(ladder.rungs[RUNG_APPLICATION].state, RUNG_WELL);
    yard_set(&y, 1, false, 3);
    simworld_run(y.sim, simworld_now(y.sim) + yard_bound(&y, 1) + 5 * NANOS_PER_S);
    assert_true(health_host_ladder(y.health, 1, &ladder));
    assert_int_equal(ladder.rungs[RUNG_APPLICATION].state, RUNG_DEGRADED);
    assert_int_equal(ladder.rungs[RUNG_APPLICATION].bad, 1);
    assert_int_equal(ladder.rungs[RUNG_APPLICATION].asked, YARD_APPS);
    assert_int_equal(ladder.score.condition, HOST_DEGRADED);
    yard_set(&y, 1, true, 0);
    simworld_run(y.sim, simworld_now(y.sim) + 60 * NANOS_PER_S);
    assert_true(health_host_ladder(y.health, 1, &ladder));
    assert_int_equal(ladder.rungs[RUNG_APPLICATION].state, RUNG_WELL);
    yard_close(&y);
}

/* Whatever was asked before a pause, its answer was there in time, and is looked at too late. */
static void a_pause_of_the_host_is_held_against_nobody(void **state)
{
    struct prng prng = test_prng("pauses");
    struct probe_config times = kubernetes_times();
    static struct yard y;
    (void)state;
    times.period = NANOS_PER_S;
    times.timeout = 600 * NANOS_PER_MS;
    times.failures = 1;
    yard_open(&y, 1, &times);
    /* Answers are under way half of the time. */
    simapp_behave(y.host, HTTP_PORT, &(struct simapp_conduct){.delay = times.period / 2});
    simprogram_install(y.host, YARD_CHECK,
                       &(struct simprogram_conduct){.span = times.period / 2, .status = 0});
    simworld_run(y.sim, simworld_now(y.sim) + 60 * NANOS_PER_S);
    for (size_t i = 0; i < test_rounds(2000); i++) {
        nanos until = simworld_now(y.sim) + prng_range(&prng, 1, 20) * NANOS_PER_S;
        if (prng_chance(&prng, 1, 2)) {
            simhost_pause(y.host, until);
        } else {
            simhost_suspend(y.host, until);
        }
        simworld_run(y.sim, until + prng_range(&prng, 1, 5000) * NANOS_PER_MS);
    }
    for (uint32_t i = 0; i < YARD_APPS; i++) {
        assert_int_equal(y.changes[i], 1);
    }
    yard_close(&y);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts_follow_within_their_bound_and_none_is_false),
        cmocka_unit_test(a_single_failure_changes_nothing),
        cmocka_unit_test(a_change_comes_with_its_reason),
        cmocka_unit_test(the_rung_of_the_host_is_degraded_and_back),
        cmocka_unit_test(a_pause_of_the_host_is_held_against_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
