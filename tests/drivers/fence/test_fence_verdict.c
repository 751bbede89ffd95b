/* What a run of an agent proves: every exit status with every kind of words. */
#include "drivers/fence/fence_verdict.h"

#include "tests/support/test.h"

#include <string.h>

static struct world_command_request run_that(enum err result, enum world_command_end end,
                                             int status, const char *words)
{
    static uint8_t bytes[256];
    struct world_command_request run = {.result = result, .end = end, .status = status};

    memcpy(bytes, words, strlen(words) + 1);
    run.output.buffer = bytes;
    run.output.room = sizeof bytes;
    run.output.kept = strlen(words);
    run.output.total = strlen(words);
    return run;
}

static void assert_reads(int status, const char *words, bool is_seen_on, enum err result,
                         enum world_power_state state)
{
    struct world_command_request run = run_that(OK, WORLD_COMMAND_EXITED, status, words);
    struct fence_reading reading = fence_reading_of(&run, is_seen_on);

    assert_int_equal(reading.result, result);
    assert_int_equal(reading.state, state);
    assert_int_equal(reading.is_unproven, status == 2 && state == WORLD_POWER_UNKNOWN &&
                                              !is_seen_on && strstr(words, "OFF") != NULL);
}

static void off_needs_its_exit_status_its_words_and_an_earlier_on(void **state)
{
    (void)state;
    static const char *const words[] = {"", "Status: ON\n", "Status: OFF\n", "Status: BROKEN\n"};

    for (int status = 0; status < 256; status++) {
        for (size_t i = 0; i < COUNT_OF(words); i++) {
            for (int seen = 0; seen < 2; seen++) {
                struct world_command_request run =
                    run_that(OK, WORLD_COMMAND_EXITED, status, words[i]);
                struct fence_reading reading = fence_reading_of(&run, seen == 1);
                bool is_off = status == 2 && i == 2 && seen == 1;
                bool is_on = status == 0 && i < 2;
                assert_int_equal(reading.state == WORLD_POWER_IS_OFF, is_off);
                assert_int_equal(reading.state == WORLD_POWER_IS_ON, is_on);
                assert_true(reading.state == WORLD_POWER_UNKNOWN || reading.result == OK);
            }
        }
    }
}

static void words_are_a_line_of_their_own(void **state)
{
    (void)state;
    assert_reads(2, "Status: OFF\n", true, OK, WORLD_POWER_IS_OFF);
    assert_reads(2, "status: off \r\n", true, OK, WORLD_POWER_IS_OFF);
    assert_reads(2, "Status:OFF", true, OK, WORLD_POWER_IS_OFF);
    assert_reads(2, "warning\nStatus: OFF\n", true, OK, WORLD_POWER_IS_OFF);
    assert_reads(2, "the Status: OFF\n", true, OK, WORLD_POWER_UNKNOWN);
    assert_reads(2, "Status: OFFLINE\n", true, OK, WORLD_POWER_UNKNOWN);
    assert_reads(2, "Status: OFF\nStatus: ON\n", true, OK, WORLD_POWER_UNKNOWN);
    assert_reads(2, "Status: ON\nStatus: OFF\n", true, OK, WORLD_POWER_UNKNOWN);
    assert_reads(2, "usage: fence_x\n", true, OK, WORLD_POWER_UNKNOWN);
    assert_reads(2, "Status:", true, OK, WORLD_POWER_UNKNOWN);
    assert_reads(2, "Status: OFF\n", false, OK, WORLD_POWER_UNKNOWN);
    assert_reads(0, "Status: OFF\n", true, OK, WORLD_POWER_UNKNOWN);
    assert_reads(0, "", true, OK, WORLD_POWER_IS_ON);
    assert_reads(0, "Status: ON\n", false, OK, WORLD_POWER_IS_ON);
}

static void errors_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        int status;
        enum err e;
    } exits[] = {{1, ERR_IO},      {3, ERR_DENIED},  {4, ERR_CLOSED}, {5, ERR_CLOSED},
                 {6, ERR_IO},      {7, ERR_IO},      {8, ERR_IO},     {9, ERR_IO},
                 {10, ERR_DENIED}, {11, ERR_DENIED}, {12, ERR_IO},    {127, ERR_IO}};

    for (size_t i = 0; i < COUNT_OF(exits); i++) {
        assert_reads(exits[i].status, "Status: OFF\n", true, exits[i].e, WORLD_POWER_UNKNOWN);
        struct world_command_request run = run_that(OK, WORLD_COMMAND_EXITED, exits[i].status, "");
        assert_int_equal(fence_result_of(&run), exits[i].e);
    }
    struct world_command_request killed = run_that(OK, WORLD_COMMAND_SIGNALED, 2, "Status: OFF\n");
    assert_int_equal(fence_reading_of(&killed, true).result, ERR_IO);
    assert_int_equal(fence_reading_of(&killed, true).state, WORLD_POWER_UNKNOWN);
    for (int e = 1; e < ERR_COUNT; e++) {
        struct world_command_request run =
            run_that((enum err)e, WORLD_COMMAND_NO_END, 0, "Status: OFF\n");
        assert_int_not_equal(fence_reading_of(&run, true).result, OK);
        assert_int_equal(fence_reading_of(&run, true).state, WORLD_POWER_UNKNOWN);
        assert_int_equal(fence_result_of(&run) == ERR_TIMEOUT, e == ERR_TIMEOUT);
    }
    struct world_command_request missing = run_that(ERR_NOT_FOUND, WORLD_COMMAND_NO_END, 0, "");
    assert_int_equal(fence_result_of(&missing), ERR_INVALID);
}

static void an_agent_that_floods_says_nothing(void **state)
{
    (void)state;
    struct world_command_request run = run_that(OK, WORLD_COMMAND_EXITED, 2, "Status: OFF\n");

    run.output.total = 1 << 20;
    assert_int_equal(fence_reading_of(&run, true).state, WORLD_POWER_UNKNOWN);
}

static void a_switch_is_done_only_by_the_reading_that_was_wanted(void **state)
{
    (void)state;
    static const enum err switched[] = {OK, ERR_TIMEOUT, ERR_IO, ERR_CLOSED, ERR_DENIED};
    static const enum err read[] = {OK, ERR_TIMEOUT, ERR_IO};

    for (size_t i = 0; i < COUNT_OF(switched) * COUNT_OF(read) * 3 * 2; i++) {
        struct fence_reading reading = {
            .result = read[i / 2 / 3 % COUNT_OF(read)],
            .state = (enum world_power_state)(i / 2 % 3),
        };
        enum err s = switched[i / 2 / 3 / COUNT_OF(read)];
        enum world_power_state wanted = i % 2 == 0 ? WORLD_POWER_IS_OFF : WORLD_POWER_IS_ON;
        enum err e = OK;
        if (reading.result != OK) {
            reading.state = WORLD_POWER_UNKNOWN;
        }
        enum fence_next next = fence_after_reading(wanted, s, &reading, &e);
        bool is_wanted = reading.result == OK && reading.state == wanted;
        assert_int_equal(next == FENCE_DONE, is_wanted);
        if (!is_wanted) {
            bool is_open = s == OK || s == ERR_TIMEOUT;
            assert_int_equal(next, is_open ? FENCE_AGAIN : FENCE_FAILED);
            assert_int_equal(e, is_open ? OK : s);
        }
    }
    enum err e = OK;
    const struct fence_reading unproven = {.is_unproven = true};
    assert_int_equal(fence_after_reading(WORLD_POWER_IS_OFF, OK, &unproven, &e), FENCE_FAILED);
    assert_int_equal(e, ERR_IO);
    assert_int_equal(fence_after_reading(WORLD_POWER_IS_ON, OK, &unproven, &e), FENCE_AGAIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(off_needs_its_exit_status_its_words_and_an_earlier_on),
        cmocka_unit_test(words_are_a_line_of_their_own),
        cmocka_unit_test(errors_are_told_apart),
        cmocka_unit_test(an_agent_that_floods_says_nothing),
        cmocka_unit_test(a_switch_is_done_only_by_the_reading_that_was_wanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
