/* The fence driver on virtual time, with agents that are functions: what world.h promises of power,
 * and the rows "VMs, hosts, fencing" 1 to 5 of the scenarios, without processes. */
#include "drivers/fence/fence_driver.h"

#include "tests/drivers/fence/fence_bench.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

#define PATIENCE (10 * NANOS_PER_S)

static void assert_state(struct fence_bench *b, enum fence_device_state state, const char *why)
{
    struct fence_device_report report;

    assert_int_equal(fence_driver_report(b->driver, BENCH_DEVICE, &report), OK);
    assert_int_equal(report.state, state);
    if (why != NULL) {
        assert_non_null(strstr(report.why, why));
    }
}

static enum err ask_result(struct fence_bench *b, enum world_power_op op)
{
    struct bench_order order = bench_ask(b, op, PATIENCE);

    if (op != WORLD_POWER_STATUS || order.request.result != OK) {
        assert_int_equal(order.request.state, WORLD_POWER_UNKNOWN);
    }
    return order.request.result;
}

static enum world_power_state ask_state(struct fence_bench *b)
{
    struct bench_order order = bench_ask(b, WORLD_POWER_STATUS, PATIENCE);

    assert_int_equal(order.request.result, OK);
    return order.request.state;
}

static void tells_the_power_and_switches_it(void **state)
{
    (void)state;
    struct fence_bench b;

    bench_open(&b);
    bench_configure(&b);
    assert_int_equal(ask_state(&b), WORLD_POWER_IS_ON);
    assert_int_equal(ask_result(&b, WORLD_POWER_OFF), OK);
    assert_false(b.model.is_on);
    assert_int_equal(ask_state(&b), WORLD_POWER_IS_OFF);
    assert_int_equal(ask_result(&b, WORLD_POWER_ON), OK);
    assert_true(b.model.is_on);
    assert_int_equal(b.at_once_max, 1);
    bench_end(&b);
}

static void sends_parameters_as_lines_and_turns_waits_off(void **state)
{
    (void)state;
    struct fence_bench b;

    bench_open(&b);
    bench_configure(&b);
    assert_int_equal(ask_state(&b), WORLD_POWER_IS_ON);
    assert_string_equal(b.runs[0].input, "action=metadata\n");
    assert_string_equal(b.runs[1].input,
                        "action=status\nip=10.0.0.1\npassword=hush\npower_wait=0\n");
    bench_end(&b);
}

static void off_is_read_back_by_a_run_of_its_own(void **state)
{
    (void)state;
    struct fence_bench b;

    bench_open(&b);
    bench_configure(&b);
    (void)ask_state(&b);
    size_t before = bench_runs_of(&b, "action=status");
    b.model.switch_lag = 2 * NANOS_PER_S;
    struct bench_order order = bench_ask(&b, WORLD_POWER_OFF, PATIENCE);
    assert_int_equal(order.request.result, OK);
    assert_false(b.model.is_on);
    assert_int_equal(bench_runs_of(&b, "action=off"), 1);
    assert_true(bench_runs_of(&b, "action=status") > before + 2);
    bench_end(&b);
}

/* An interpreter starts in 0.2 s: nobody learns anything by starting it again at once. */
static void who_asks_at_once_after_an_off_is_told_what_was_read(void **state)
{
    (void)state;
    struct fence_bench b;

    bench_open(&b);
    bench_configure(&b);
    (void)ask_state(&b);
    assert_int_equal(ask_result(&b, WORLD_POWER_OFF), OK);
    size_t runs = b.run_count;
    assert_int_equal(ask_state(&b), WORLD_POWER_IS_OFF);
    assert_int_equal(b.run_count, runs);
    bench_pass(&b, FENCE_READING_GOOD);
    b.model.is_on = true;
    assert_int_equal(ask_state(&b), WORLD_POWER_IS_ON);
    assert_int_equal(b.run_count, runs + 1);
    /* A reading is of the switch before it, and of nothing later. */
    assert_int_equal(ask_result(&b, WORLD_POWER_OFF), OK);
    assert_int_equal(ask_result(&b, WORLD_POWER_ON), OK);
    assert_int_equal(ask_state(&b), WORLD_POWER_IS_ON);
    bench_end(&b);
}

static void no_answer_before_the_call_returns_and_unknown_devices_are_not_found(void **state)
{
    (void)state;
    struct fence_bench b;
    struct bench_order order;

    bench_open(&b);
    bench_send(&order, &b, WORLD_POWER_OFF, "nobody", PATIENCE);
    bench_pass(&b, 0);
    assert_true(order.is_done);
    assert_int_equal(order.request.result, ERR_NOT_FOUND);
    assert_int_equal(order.request.state, WORLD_POWER_UNKNOWN);
    assert_int_equal(b.run_count, 0);
    bench_end(&b);
}

/* Row 1. */
static void fencing_01_unreachable_device_is_never_off_and_ends_by_the_deadline(void **state)
{
    (void)state;
    struct fence_bench b;

    bench_open(&b);
    bench_configure(&b);
    (void)ask_state(&b);
    b.model.latency = 21 * NANOS_PER_S; /* fence_ipmilan, when nobody listens */
    b.model.switch_refuses = 1;
    b.model.status_exit = 1;
    assert_int_equal(ask_result(&b, WORLD_POWER_OFF), ERR_TIMEOUT);
    assert_int_equal(ask_result(&b, WORLD_POWER_STATUS), ERR_TIMEOUT);
    /* And where the agent is quick to say so, its failure is told at once. */
    b.model.latency = 0;
    b.model.switch_refuses = 4;
    struct bench_order order = bench_ask(&b, WORLD_POWER_OFF, PATIENCE);
    assert_int_equal(order.request.result, ERR_CLOSED);
    assert_true(order.at < order.request.deadline - PATIENCE / 2);
    bench_end(&b);
}

/* Row 2. */
static void fencing_02_lost_acknowledgement_is_read_back(void **state)
{
    (void)state;
    struct fence_bench b;

    bench_open(&b);
    bench_configure(&b);
    (void)ask_state(&b);
    b.model.switch_exit = 4; /* the connection was lost behind the command */
    assert_int_equal(ask_result(&b, WORLD_POWER_OFF), OK);
    assert_false(b.model.is_on);
    b.model.switch_exit = 0;
    assert_int_equal(ask_result(&b, WORLD_POWER_ON), OK);
    b.model.switch_latency = BENCH_FOR_EVER; /* done, and the agent hangs */
    struct bench_order order = bench_ask(&b, WORLD_POWER_OFF, PATIENCE);
    assert_int_equal(order.request.result, OK);
    bench_end(&b);
}

/* Row 2, and the device is silent from then on. */
static void fencing_02_what_cannot_be_read_back_is_not_off(void **state)
{
    (void)state;
    struct fence_bench b;

    bench_open(&b);
    bench_configure(&b);
    (void)ask_state(&b);
    b.model.status_exit = 1;
    assert_int_equal(ask_result(&b, WORLD_POWER_OFF), ERR_TIMEOUT);
    assert_false(b.model.is_on);
    b.model.status_exit = 0;
    b.model.status_latency = BENCH_FOR_EVER;
    assert_int_equal(ask_result(&b, WORLD_POWER_OFF), ERR_TIMEOUT);
    b.model.status_latency = 0;
    assert_int_equal(ask_result(&b, WORLD_POWER_OFF), OK); /* idempotent */
    bench_end(&b);
}

/* Row 3. */
static void fencing_03_success_of_an_agent_whose_machine_runs_on_is_not_off(void **state)
{
    (void)state;
    struct fence_bench b;
    struct fence_device_report report;

    bench_open(&b);
    bench_configure(&b);
    (void)ask_state(&b);
    b.model.obeys_not = true;
    assert_int_equal(ask_result(&b, WORLD_POWER_OFF), ERR_TIMEOUT);
    assert_int_equal(fence_driver_report(b.driver, BENCH_DEVICE, &report), OK);
    assert_string_equal(report.why, "the device says on");
    assert_int_equal(bench_runs_of(&b, "action=off"), 1);
    bench_end(&b);
}

/* Row 4. */
static void fencing_04_agent_that_hangs_has_half_of_the_time(void **state)
{
    (void)state;
    struct fence_bench b;

    bench_open(&b);
    bench_configure(&b);
    (void)ask_state(&b);
    b.model.switch_latency = BENCH_FOR_EVER;
    b.model.obeys_not = true;
    nanos begin = world_now(b.world);
    assert_int_equal(ask_result(&b, WORLD_POWER_OFF), ERR_TIMEOUT);
    size_t i = 0;
    while (strstr(b.runs[i].input, "action=off") == NULL) {
        i++;
    }
    assert_int_equal(b.runs[i].deadline, begin + PATIENCE / 2);
    bench_end(&b);
}

/* Row 5. */
static void fencing_05_already_off_counts_only_by_a_positive_reading(void **state)
{
    (void)state;
    struct fence_bench b;
    struct fence_device_report report;

    bench_open(&b);
    bench_configure(&b);
    b.model.is_unread = true;
    assert_int_equal(ask_state(&b), WORLD_POWER_UNKNOWN);
    assert_int_equal(ask_result(&b, WORLD_POWER_OFF), ERR_IO);
    assert_int_equal(fence_driver_report(b.driver, BENCH_DEVICE, &report), OK);
    assert_non_null(strstr(report.why, "never been seen to say on"));
    assert_true(b.model.is_on);
    /* It works: it is seen on, and then off is a reading. */
    b.model.is_unread = false;
    assert_int_equal(ask_state(&b), WORLD_POWER_IS_ON);
    assert_int_equal(bench_news_of(&b, FENCE_NEWS_SEEN_ON), 1);
    b.model.is_on = false;
    assert_int_equal(ask_result(&b, WORLD_POWER_OFF), OK);
    assert_int_equal(ask_state(&b), WORLD_POWER_IS_OFF);
    bench_end(&b);
}

static void off_looks_first_whether_an_unknown_device_says_on(void **state)
{
    (void)state;
    struct fence_bench b;

    bench_open(&b);
    bench_configure(&b);
    assert_int_equal(ask_result(&b, WORLD_POWER_OFF), OK);
    assert_int_equal(bench_runs_of(&b, "action=status"), 2);
    assert_int_equal(ask_result(&b, WORLD_POWER_OFF), OK);
    assert_int_equal(bench_runs_of(&b, "action=status"), 3);
    bench_end(&b);
}

static void what_was_seen_on_before_may_be_remembered(void **state)
{
    (void)state;
    struct fence_bench b;
    const struct fence_param params[] = {{"ip", "10.0.0.1"}};
    struct fence_device_config config = {BENCH_DEVICE, BENCH_AGENT, params, 1, true};
    char why[FENCE_WHY_MAX_BYTES];

    bench_open(&b);
    b.model.is_on = false;
    assert_int_equal(fence_driver_set(b.driver, &config, why, sizeof why), OK);
    assert_int_equal(ask_result(&b, WORLD_POWER_OFF), OK);
    /* Not for another configuration. */
    config.params = (const struct fence_param[]){{"ip", "10.0.0.2"}};
    config.is_seen_on = false;
    assert_int_equal(fence_driver_set(b.driver, &config, why, sizeof why), OK);
    assert_int_equal(ask_state(&b), WORLD_POWER_UNKNOWN);
    bench_end(&b);
}

static void off_without_words_is_unknown(void **state)
{
    (void)state;
    struct fence_bench b;

    bench_open(&b);
    bench_configure(&b);
    b.model.says_no_words = true;
    assert_int_equal(ask_state(&b), WORLD_POWER_IS_ON);
    b.model.is_on = false;
    assert_int_equal(ask_state(&b), WORLD_POWER_UNKNOWN);
    bench_end(&b);
}

static void requests_of_a_device_go_one_by_one_and_expire_while_they_wait(void **state)
{
    (void)state;
    struct fence_bench b;
    struct bench_order off;
    struct bench_order behind;
    struct bench_order last;

    bench_open(&b);
    bench_configure(&b);
    (void)ask_state(&b);
    b.model.switch_latency = BENCH_FOR_EVER;
    b.model.obeys_not = true;
    nanos begin = world_now(b.world);
    bench_send(&off, &b, WORLD_POWER_OFF, BENCH_DEVICE, PATIENCE);
    bench_send(&behind, &b, WORLD_POWER_STATUS, BENCH_DEVICE, NANOS_PER_S);
    bench_send(&last, &b, WORLD_POWER_STATUS, BENCH_DEVICE, 2 * PATIENCE);
    bench_pass(&b, 2 * PATIENCE);
    assert_int_equal(behind.request.result, ERR_TIMEOUT);
    assert_int_equal(behind.at, begin + NANOS_PER_S);
    assert_int_equal(off.request.result, ERR_TIMEOUT);
    assert_int_equal(off.at, begin + PATIENCE);
    assert_int_equal(last.request.result, OK);
    assert_int_equal(last.request.state, WORLD_POWER_IS_ON);
    assert_int_equal(b.at_once_max, 1);
    bench_end(&b);
}

static void devices_are_independent(void **state)
{
    (void)state;
    struct fence_bench b;
    const struct fence_param params[] = {{"ip", "10.0.0.2"}};
    char why[FENCE_WHY_MAX_BYTES];
    struct bench_order one;
    struct bench_order other;

    bench_open(&b);
    bench_configure(&b);
    assert_int_equal(
        fence_driver_set(b.driver,
                         &(struct fence_device_config){"outlet", BENCH_AGENT, params, 1, true}, why,
                         sizeof why),
        OK);
    b.model.status_latency = 2 * NANOS_PER_S;
    bench_send(&one, &b, WORLD_POWER_STATUS, BENCH_DEVICE, PATIENCE);
    bench_send(&other, &b, WORLD_POWER_STATUS, "outlet", PATIENCE);
    bench_pass(&b, PATIENCE);
    assert_int_equal(one.at, other.at);
    assert_int_equal(bench_runs_of(&b, "action=metadata"), 1); /* kept */
    bench_end(&b);
}

static void wrong_parameters_are_told_by_name_and_every_request_is_invalid(void **state)
{
    (void)state;
    struct fence_bench b;
    const struct fence_param params[] = {{"adress", "10.0.0.1"}, {"lanplus", "perhaps"}};
    char why[FENCE_WHY_MAX_BYTES];

    bench_open(&b);
    assert_int_equal(
        fence_driver_set(b.driver,
                         &(struct fence_device_config){BENCH_DEVICE, BENCH_AGENT, params, 2, true},
                         why, sizeof why),
        OK);
    struct bench_order order;
    bench_send(&order, &b, WORLD_POWER_OFF, BENCH_DEVICE, PATIENCE);
    bench_pass(&b, NANOS_PER_S);
    assert_int_equal(order.request.result, ERR_INVALID);
    assert_int_equal(bench_news_of(&b, FENCE_NEWS_BROKEN), 1);
    assert_string_equal(b.news[0].why, "the agent knows no parameter adress; lanplus is neither 1 "
                                       "nor 0; ip is required");
    assert_int_equal(ask_result(&b, WORLD_POWER_STATUS), ERR_INVALID);
    assert_int_equal(bench_runs_of(&b, "action=off"), 0);
    bench_configure(&b);
    assert_int_equal(ask_state(&b), WORLD_POWER_IS_ON);
    bench_end(&b);
}

static void parameters_that_cannot_be_sent_are_refused_at_once(void **state)
{
    (void)state;
    struct fence_bench b;
    const struct fence_param params[] = {{"ip", "10.0.0.1\naction=on"}};
    char why[FENCE_WHY_MAX_BYTES];

    bench_open(&b);
    assert_int_equal(
        fence_driver_set(b.driver,
                         &(struct fence_device_config){BENCH_DEVICE, BENCH_AGENT, params, 1, true},
                         why, sizeof why),
        ERR_INVALID);
    assert_string_equal(why, "ip holds a control character");
    assert_int_equal(
        fence_driver_set(b.driver,
                         &(struct fence_device_config){BENCH_DEVICE, "../fence", NULL, 0, true},
                         why, sizeof why),
        ERR_INVALID);
    assert_int_equal(fence_driver_remove(b.driver, BENCH_DEVICE), ERR_NOT_FOUND);
    bench_end(&b);
}

static void a_missing_agent_is_looked_for_again_by_the_next_request(void **state)
{
    (void)state;
    struct fence_bench b;
    const struct fence_param params[] = {{"ip", "10.0.0.1"}};
    char why[FENCE_WHY_MAX_BYTES];

    bench_open(&b);
    b.model.metadata_result = ERR_NOT_FOUND;
    assert_int_equal(
        fence_driver_set(b.driver,
                         &(struct fence_device_config){BENCH_DEVICE, BENCH_AGENT, params, 1, true},
                         why, sizeof why),
        OK);
    assert_int_equal(ask_result(&b, WORLD_POWER_OFF), ERR_INVALID);
    assert_state(&b, FENCE_BROKEN, BENCH_AGENT ": it cannot be run: there is no such thing");
    b.model.metadata_result = OK;
    assert_int_equal(ask_result(&b, WORLD_POWER_OFF), OK);
    assert_state(&b, FENCE_READY, NULL);
    bench_end(&b);
}

static void an_agent_that_was_upgraded_is_read_again(void **state)
{
    (void)state;
    struct fence_bench b;
    const struct fence_param params[] = {{"ip", "10.0.0.1"}, {"newer", "1"}};
    char why[FENCE_WHY_MAX_BYTES];
    char newer[4096];

    bench_open(&b);
    bench_configure(&b);
    const char *end = strstr(bench_metadata, "</parameters>");
    (void)snprintf(newer, sizeof newer, "%.*s<parameter name=\"newer\"/>%s",
                   (int)(end - bench_metadata), bench_metadata, end);
    b.metadata = newer;
    assert_int_equal(
        fence_driver_set(b.driver,
                         &(struct fence_device_config){BENCH_DEVICE, BENCH_AGENT, params, 2, true},
                         why, sizeof why),
        OK);
    bench_pass(&b, NANOS_PER_S);
    assert_state(&b, FENCE_READY, NULL);
    assert_int_equal(bench_runs_of(&b, "action=metadata"), 2);
    bench_end(&b);
}

static void a_request_under_way_starts_over_when_its_device_is_configured_anew(void **state)
{
    (void)state;
    struct fence_bench b;
    struct bench_order order;
    const struct fence_param params[] = {{"ip", "10.0.0.9"}};
    char why[FENCE_WHY_MAX_BYTES];

    bench_open(&b);
    bench_configure(&b);
    (void)ask_state(&b);
    b.model.switch_latency = NANOS_PER_S;
    bench_send(&order, &b, WORLD_POWER_OFF, BENCH_DEVICE, PATIENCE);
    bench_pass(&b, NANOS_PER_S / 2);
    bench_configure(&b); /* the same: nothing happens */
    assert_int_equal(bench_runs_of(&b, "action=off"), 1);
    bench_pass(&b, 0);
    assert_true(order.is_done);
    b.model.is_on = true;
    bench_send(&order, &b, WORLD_POWER_OFF, BENCH_DEVICE, PATIENCE);
    bench_pass(&b, NANOS_PER_S / 2);
    assert_int_equal(
        fence_driver_set(b.driver,
                         &(struct fence_device_config){BENCH_DEVICE, BENCH_AGENT, params, 1, true},
                         why, sizeof why),
        OK);
    bench_pass(&b, PATIENCE);
    assert_int_equal(order.request.result, OK);
    assert_int_equal(bench_runs_of(&b, "action=off"), 3);
    assert_string_equal(b.runs[b.run_count - 1].input,
                        "action=status\nip=10.0.0.9\npower_wait=0\n");
    assert_int_equal(b.at_once_max, 1);
    bench_end(&b);
}

static void removing_a_device_answers_its_requests(void **state)
{
    (void)state;
    struct fence_bench b;
    struct bench_order first;
    struct bench_order second;

    bench_open(&b);
    bench_configure(&b);
    b.model.status_latency = NANOS_PER_S;
    bench_send(&first, &b, WORLD_POWER_STATUS, BENCH_DEVICE, PATIENCE);
    bench_send(&second, &b, WORLD_POWER_STATUS, BENCH_DEVICE, PATIENCE);
    bench_pass(&b, NANOS_PER_MS);
    assert_int_equal(fence_driver_remove(b.driver, BENCH_DEVICE), OK);
    bench_pass(&b, 0);
    assert_true(first.is_done && second.is_done);
    assert_int_equal(first.request.result, ERR_NOT_FOUND);
    assert_false(fence_driver_is_idle(b.driver));
    bench_configure(&b); /* one of that name, while the old one's run goes on */
    bench_pass(&b, PATIENCE);
    assert_true(fence_driver_is_idle(b.driver));
    b.model.status_latency = 0;
    assert_int_equal(ask_state(&b), WORLD_POWER_IS_ON);
    bench_end(&b);
}

static void secrets_are_not_told(void **state)
{
    (void)state;
    struct fence_bench b;

    bench_open(&b);
    bench_configure(&b);
    b.model.switch_refuses = 1;
    b.model.errors = "ipmitool -P hush said\nERROR: no such user, password hush\n\n";
    assert_int_equal(ask_result(&b, WORLD_POWER_ON), OK); /* it is on */
    b.model.is_on = false;
    assert_int_equal(ask_result(&b, WORLD_POWER_ON), ERR_IO);
    assert_int_equal(bench_news_of(&b, FENCE_NEWS_FAILED), 1);
    const char *why = b.news[b.news_count - 1].why;
    assert_null(strstr(why, "hush"));
    assert_non_null(strstr(why, "exit status 1 (failure): ERROR: no such user, password ****"));
    bench_end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_the_power_and_switches_it),
        cmocka_unit_test(sends_parameters_as_lines_and_turns_waits_off),
        cmocka_unit_test(off_is_read_back_by_a_run_of_its_own),
        cmocka_unit_test(who_asks_at_once_after_an_off_is_told_what_was_read),
        cmocka_unit_test(no_answer_before_the_call_returns_and_unknown_devices_are_not_found),
        cmocka_unit_test(fencing_01_unreachable_device_is_never_off_and_ends_by_the_deadline),
        cmocka_unit_test(fencing_02_lost_acknowledgement_is_read_back),
        cmocka_unit_test(fencing_02_what_cannot_be_read_back_is_not_off),
        cmocka_unit_test(fencing_03_success_of_an_agent_whose_machine_runs_on_is_not_off),
        cmocka_unit_test(fencing_04_agent_that_hangs_has_half_of_the_time),
        cmocka_unit_test(fencing_05_already_off_counts_only_by_a_positive_reading),
        cmocka_unit_test(off_looks_first_whether_an_unknown_device_says_on),
        cmocka_unit_test(what_was_seen_on_before_may_be_remembered),
        cmocka_unit_test(off_without_words_is_unknown),
        cmocka_unit_test(requests_of_a_device_go_one_by_one_and_expire_while_they_wait),
        cmocka_unit_test(devices_are_independent),
        cmocka_unit_test(wrong_parameters_are_told_by_name_and_every_request_is_invalid),
        cmocka_unit_test(parameters_that_cannot_be_sent_are_refused_at_once),
        cmocka_unit_test(a_missing_agent_is_looked_for_again_by_the_next_request),
        cmocka_unit_test(an_agent_that_was_upgraded_is_read_again),
        cmocka_unit_test(a_request_under_way_starts_over_when_its_device_is_configured_anew),
        cmocka_unit_test(removing_a_device_answers_its_requests),
        cmocka_unit_test(secrets_are_not_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
