/* Probes of applications, asked of simulated ones that answer, refuse, hang and babble. */
#include "core/monitoring/health/probe_app.h"

#include <string.h>

#include "core/chaos/simapp.h"
#include "core/chaos/simprogram.h"
#include "core/chaos/simworld.h"
#include "tests/support/test.h"

#define SPAN NANOS_PER_S

/* One probe on one host. */
struct app_stage {
    struct simworld *sim;
    struct simhost *host;
    struct app_probe probe;
    struct app_verdict verdict;
    int answers;
    nanos asked;
    nanos answered;
    int asks_again;
};

static const char *const program[] = {"/bin/check", "-v", NULL};

static void stage_answered(struct app_probe *probe, const struct app_verdict *verdict)
{
    struct app_stage *s = probe->owner;

    s->answers++;
    s->verdict = *verdict;
    s->answered = simworld_now(s->sim);
    if (s->asks_again > 0) {
        s->asks_again--;
        assert_int_equal(app_probe_ask(probe, simworld_now(s->sim) + SPAN), OK);
    }
}

static void stage_open(struct app_stage *s, const struct app_config *config)
{
    const char *why = NULL;

    memset(s, 0, sizeof *s);
    s->sim = simworld_new(1);
    s->host = simhost_new(s->sim, "a", 0);
    assert_int_equal(app_config_check(config, &why), OK);
    app_probe_init(&s->probe, simhost_world(s->host), config, stage_answered, s);
}

static void stage_close(struct app_stage *s)
{
    app_probe_stop(&s->probe);
    simworld_free(s->sim);
}

static void stage_inquire(struct app_stage *s)
{
    int before = s->answers;

    s->asked = simworld_now(s->sim);
    assert_int_equal(app_probe_ask(&s->probe, s->asked + SPAN), OK);
    assert_int_equal(s->answers, before);
    assert_int_equal(app_probe_ask(&s->probe, s->asked + SPAN), ERR_PENDING);
    simworld_run(s->sim, s->asked + 3 * SPAN);
    assert_int_equal(s->answers, before + 1);
    assert_true(s->answered <= s->asked + SPAN);
}

static void assert_verdict(const struct app_stage *s, enum probe_outcome outcome,
                           const char *reason)
{
    assert_string_equal(s->verdict.reason, reason);
    assert_int_equal(s->verdict.outcome, outcome);
}

static void stage_behave(struct app_stage *s, enum simapp_manner manner, nanos delay)
{
    const struct simapp_conduct conduct = {manner, delay};

    simapp_behave(s->host, 80, &conduct);
}

static struct bytes app_text(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static void a_connection_is_enough_for_tcp(void **state)
{
    const struct app_config config = {.kind = APP_TCP, .at = {"127.0.0.1", 80}};
    struct app_stage s;
    (void)state;
    stage_open(&s, &config);
    stage_inquire(&s);
    assert_verdict(&s, PROBE_FAILURE, "connection refused");
    simapp_run(s.host, 80, app_text(""));
    stage_inquire(&s);
    assert_verdict(&s, PROBE_OK, "connected");
    stage_behave(&s, SIMAPP_HANGS, 0);
    stage_inquire(&s);
    assert_verdict(&s, PROBE_OK, "connected");
    stage_behave(&s, SIMAPP_IS_MUTE, 0);
    stage_inquire(&s);
    assert_verdict(&s, PROBE_FAILURE, "no connection within 1000 ms");
    assert_int_equal(s.answered, s.asked + SPAN);
    stage_close(&s);
}

static void a_name_that_nobody_has_is_named(void **state)
{
    const struct app_config config = {.kind = APP_TCP, .at = {"shop.example", 80}};
    struct app_stage s;
    (void)state;
    stage_open(&s, &config);
    stage_inquire(&s);
    assert_verdict(&s, PROBE_FAILURE, "nobody has the name shop.example");
    stage_close(&s);
}

static void an_http_answer_is_judged_and_told(void **state)
{
    struct app_config config = {.kind = APP_HTTP, .at = {"127.0.0.1", 80}};
    struct app_stage s;
    (void)state;
    config.http = http_expect_of();
    stage_open(&s, &config);
    stage_inquire(&s);
    assert_verdict(&s, PROBE_FAILURE, "connection refused");
    simapp_run(s.host, 80, app_text("HTTP/1.1 200 OK\r\n\r\nwell"));
    stage_inquire(&s);
    assert_verdict(&s, PROBE_OK, "200");
    simapp_run(s.host, 80, app_text("HTTP/1.1 503 No\r\n\r\n"));
    stage_inquire(&s);
    assert_verdict(&s, PROBE_FAILURE, "503 instead of 200-399");
    simapp_run(s.host, 80, app_text("HTTP/1.1 200 OK\r\n\r\n"));
    stage_behave(&s, SIMAPP_ANSWERS, SPAN / 2);
    stage_inquire(&s);
    assert_verdict(&s, PROBE_OK, "200");
    assert_true(s.verdict.took >= SPAN / 2);
    stage_behave(&s, SIMAPP_ANSWERS, SPAN);
    stage_inquire(&s);
    assert_verdict(&s, PROBE_FAILURE, "no answer within 1000 ms");
    stage_behave(&s, SIMAPP_HANGS, 0);
    stage_inquire(&s);
    assert_verdict(&s, PROBE_FAILURE, "no answer within 1000 ms");
    stage_behave(&s, SIMAPP_BREAKS_OFF, 0);
    stage_inquire(&s);
    assert_verdict(&s, PROBE_FAILURE, "the answer broke off");
    simapp_run(s.host, 80, app_text(""));
    stage_inquire(&s);
    assert_verdict(&s, PROBE_FAILURE, "closed without an answer");
    stage_close(&s);
}

static void babble_is_never_well(void **state)
{
    struct app_config config = {.kind = APP_HTTP, .at = {"127.0.0.1", 80}};
    struct app_stage s;
    (void)state;
    config.http = http_expect_of();
    stage_open(&s, &config);
    simapp_run(s.host, 80, app_text(""));
    stage_behave(&s, SIMAPP_BABBLES, 0);
    for (size_t i = 0; i < test_rounds(200); i++) {
        stage_inquire(&s);
        assert_int_equal(s.verdict.outcome, PROBE_FAILURE);
    }
    stage_close(&s);
}

static void a_command_is_well_if_it_exits_with_zero(void **state)
{
    static const struct {
        struct simprogram_conduct conduct;
        enum probe_outcome outcome;
        const char *reason;
    } table[] = {
        {{.output = "3 of 3 well\n"}, PROBE_OK, "exit 0: 3 of 3 well"},
        {{.status = 0}, PROBE_OK, "exit 0"},
        {{.status = 1, .errors = "trying\nno route to database\n\n"},
         PROBE_FAILURE,
         "exit 1: no route to database"},
        {{.status = 2, .output = "UNKNOWN: no plugin"},
         PROBE_FAILURE,
         "exit 2: UNKNOWN: no plugin"},
        {{.status = 1, .errors = "red \x1b[31mtext\n"}, PROBE_FAILURE, "exit 1: red ?[31mtext"},
        {{.manner = SIMPROGRAM_DIES, .status = 11}, PROBE_FAILURE, "killed by signal 11"},
        {{.span = SPAN / 2, .status = 0}, PROBE_OK, "exit 0"},
        {{.manner = SIMPROGRAM_HANGS, .errors = "waiting for lock\n"},
         PROBE_FAILURE,
         "no exit within 1000 ms: waiting for lock"},
        {{.span = 2 * SPAN, .status = 0}, PROBE_FAILURE, "no exit within 1000 ms"},
    };
    const struct app_config config = {.kind = APP_COMMAND, .arguments = program};
    struct app_stage s;
    (void)state;
    stage_open(&s, &config);
    stage_inquire(&s);
    assert_verdict(&s, PROBE_FAILURE, "no such program: /bin/check");
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        simprogram_install(s.host, program[0], &table[i].conduct);
        stage_inquire(&s);
        assert_verdict(&s, table[i].outcome, table[i].reason);
    }
    stage_close(&s);
}

static void a_reason_is_a_line_that_fits(void **state)
{
    static const struct simprogram_conduct floods = {.status = 1, .flood = 1000000};
    const struct app_config config = {.kind = APP_COMMAND, .arguments = program};
    struct app_stage s;
    (void)state;
    stage_open(&s, &config);
    simprogram_install(s.host, program[0], &floods);
    stage_inquire(&s);
    assert_true(strlen(s.verdict.reason) < APP_REASON_MAX_BYTES);
    assert_int_equal(strncmp(s.verdict.reason, "exit 1", 6), 0);
    stage_close(&s);
}

static void never_done(struct world_command_request *request)
{
    (void)request;
    fail();
}

static void a_host_without_room_has_not_asked(void **state)
{
    static const struct simprogram_conduct hangs = {.manner = SIMPROGRAM_HANGS};
    static struct world_command_request others[SIMPROGRAM_RUNS_MAX];
    const struct app_config config = {.kind = APP_COMMAND, .arguments = program};
    struct app_stage s;
    (void)state;
    stage_open(&s, &config);
    simprogram_install(s.host, program[0], &hangs);
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        const struct world *world = simhost_world(s.host);
        others[i] = (struct world_command_request){
            .arguments = program, .deadline = NANOS_FOREVER, .done = never_done};
        world->command->submit(world->self, &others[i]);
    }
    stage_inquire(&s);
    assert_verdict(&s, PROBE_NOT_ASKED, "this host has no room for another program");
    stage_close(&s);
}

static void may_be_asked_again_from_its_answer(void **state)
{
    struct app_config config = {.kind = APP_HTTP, .at = {"127.0.0.1", 80}};
    struct app_stage s;
    (void)state;
    config.http = http_expect_of();
    stage_open(&s, &config);
    simapp_run(s.host, 80, app_text("HTTP/1.1 200 OK\r\n\r\n"));
    s.asks_again = 3;
    assert_int_equal(app_probe_ask(&s.probe, simworld_now(s.sim) + SPAN), OK);
    simworld_run(s.sim, simworld_now(s.sim) + SPAN);
    assert_int_equal(s.answers, 4);
    stage_close(&s);
}

static void says_nothing_after_it_was_stopped(void **state)
{
    struct app_config config = {.kind = APP_HTTP, .at = {"127.0.0.1", 80}};
    struct app_stage s;
    (void)state;
    config.http = http_expect_of();
    stage_open(&s, &config);
    simapp_run(s.host, 80, app_text("HTTP/1.1 200 OK\r\n\r\n"));
    assert_int_equal(app_probe_ask(&s.probe, simworld_now(s.sim) + SPAN), OK);
    app_probe_stop(&s.probe);
    simworld_run(s.sim, simworld_now(s.sim) + 2 * SPAN);
    assert_int_equal(s.answers, 0);
    stage_close(&s);
}

static void refuses_a_configuration_that_asks_nothing(void **state)
{
    static const char *const relative[] = {"check", NULL};
    static const struct {
        struct app_config config;
        const char *why;
    } table[] = {
        {{.kind = APP_TCP, .at = {"", 80}}, "endpoint"},
        {{.kind = APP_TCP, .at = {"a", 0}}, "endpoint"},
        {{.kind = APP_HTTP, .at = {"a", 80}, .http = {.path = "x"}}, "path"},
        {{.kind = APP_COMMAND}, "absolute path"},
        {{.kind = APP_COMMAND, .arguments = relative}, "absolute path"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        const char *why = NULL;
        assert_int_equal(app_config_check(&table[i].config, &why), ERR_INVALID);
        assert_non_null(strstr(why, table[i].why));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_is_enough_for_tcp),
        cmocka_unit_test(a_name_that_nobody_has_is_named),
        cmocka_unit_test(an_http_answer_is_judged_and_told),
        cmocka_unit_test(babble_is_never_well),
        cmocka_unit_test(a_command_is_well_if_it_exits_with_zero),
        cmocka_unit_test(a_reason_is_a_line_that_fits),
        cmocka_unit_test(a_host_without_room_has_not_asked),
        cmocka_unit_test(may_be_asked_again_from_its_answer),
        cmocka_unit_test(says_nothing_after_it_was_stopped),
        cmocka_unit_test(refuses_a_configuration_that_asks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
