#include "tests/world/command_contract.h"

#include <string.h>

#include "tests/support/test.h"

/* Real time passes in steps of a millisecond or less, so this is a minute and more. */
#define COMMAND_STEPS_MAX 200000

/* For a program that ends by itself; and for one that does not. */
#define LONG_SPAN  (600 * NANOS_PER_S)
#define SHORT_SPAN (50 * NANOS_PER_MS)

static const struct command_place *contract_place;

static void command_try_done(struct world_command_request *request)
{
    struct command_try *t = request->owner;

    assert_false(t->is_inside);
    t->done++;
}

void command_try_begin(struct command_try *t, struct command_bench *bench,
                       const char *const *arguments, nanos span)
{
    struct bytes input = t->request.input;
    const char *const *environment = t->request.environment;

    t->done = 0;
    t->bench = bench;
    t->request = (struct world_command_request){
        .arguments = arguments,
        .environment = environment,
        .input = input,
        .output = {.buffer = t->output, .room = sizeof t->output},
        .errors = {.buffer = t->errors, .room = sizeof t->errors},
        .deadline = u64_add_sat(world_now(bench->world), span),
        .done = command_try_done,
        .owner = t,
    };
    t->is_inside = true;
    bench->world->command->submit(bench->world->self, &t->request);
    t->is_inside = false;
}

void command_try_await(const struct command_place *place, struct command_try *t)
{
    for (int i = 0; i < COMMAND_STEPS_MAX && t->done == 0; i++) {
        place->step(t->bench);
    }
    assert_int_equal(t->done, 1);
}

bool command_said_first(const struct world_command_says *says, const char *text)
{
    return says->kept >= strlen(text) && memcmp(says->buffer, text, strlen(text)) == 0;
}

static void contract_run_one(struct command_try *t, struct command_bench *bench,
                             enum command_program program, nanos span)
{
    command_try_begin(t, bench, contract_place->arguments(program), span);
    command_try_await(contract_place, t);
}

/* --- the tests ------------------------------------------------------------------------------- */

static void tells_what_a_program_said_and_that_it_succeeded(void **state)
{
    struct command_try t = {.done = 0};
    contract_run_one(&t, *state, PROGRAM_SUCCEEDS, LONG_SPAN);
    assert_int_equal(t.request.result, OK);
    assert_int_equal(t.request.end, WORLD_COMMAND_EXITED);
    assert_int_equal(t.request.status, 0);
    assert_int_equal(t.request.output.total, strlen("well\n"));
    assert_true(command_said_first(&t.request.output, "well\n"));
    assert_int_equal(t.request.errors.total, 0);
}

static void tells_the_status_and_the_errors_of_one_that_fails(void **state)
{
    struct command_try t = {.done = 0};
    contract_run_one(&t, *state, PROGRAM_FAILS, LONG_SPAN);
    assert_int_equal(t.request.result, OK);
    assert_int_equal(t.request.end, WORLD_COMMAND_EXITED);
    assert_int_equal(t.request.status, 3);
    assert_int_equal(t.request.output.total, 0);
    assert_true(command_said_first(&t.request.errors, "no route\n"));
}

static void tells_the_signal_that_killed_a_program(void **state)
{
    struct command_try t = {.done = 0};
    contract_run_one(&t, *state, PROGRAM_DIES, LONG_SPAN);
    assert_int_equal(t.request.result, OK);
    assert_int_equal(t.request.end, WORLD_COMMAND_SIGNALED);
    assert_int_equal(t.request.status, 15);
}

static void gives_a_program_its_input_and_the_end_of_it(void **state)
{
    static const char text[] = "status\n";
    struct command_try t = {.request.input = {(const uint8_t *)text, strlen(text)}};
    contract_run_one(&t, *state, PROGRAM_ECHOES, LONG_SPAN);
    assert_int_equal(t.request.result, OK);
    assert_int_equal(t.request.output.total, strlen(text));
    assert_true(command_said_first(&t.request.output, text));
}

static void gives_an_empty_input_where_there_is_none(void **state)
{
    struct command_try t = {.done = 0};
    contract_run_one(&t, *state, PROGRAM_ECHOES, LONG_SPAN);
    assert_int_equal(t.request.result, OK);
    assert_int_equal(t.request.output.total, 0);
}

static void answers_for_what_hangs_at_the_deadline(void **state)
{
    struct command_bench *bench = *state;
    struct command_try t = {.done = 0};
    nanos before = world_now(bench->world);
    contract_run_one(&t, bench, PROGRAM_HANGS, SHORT_SPAN);
    assert_int_equal(t.request.result, ERR_TIMEOUT);
    assert_int_equal(t.request.end, WORLD_COMMAND_NO_END);
    assert_true(world_now(bench->world) >= before + SHORT_SPAN);
}

static void does_not_wait_where_the_deadline_is_past(void **state)
{
    struct command_try t = {.done = 0};
    contract_run_one(&t, *state, PROGRAM_HANGS, 0);
    assert_int_equal(t.request.result, ERR_TIMEOUT);
}

static void keeps_what_fits_and_counts_the_rest(void **state)
{
    struct command_try t = {.done = 0};
    contract_run_one(&t, *state, PROGRAM_FLOODS, LONG_SPAN);
    assert_int_equal(t.request.result, OK);
    assert_int_equal(t.request.status, 0);
    assert_int_equal(t.request.output.kept, sizeof t.output);
    assert_int_equal(t.request.output.total, COMMAND_FLOOD_BYTES);
}

static void does_not_wait_for_a_child_that_holds_the_outputs(void **state)
{
    struct command_try t = {.done = 0};
    contract_run_one(&t, *state, PROGRAM_LEAVES, LONG_SPAN);
    assert_int_equal(t.request.result, OK);
    assert_int_equal(t.request.end, WORLD_COMMAND_EXITED);
    assert_int_equal(t.request.status, 0);
}

static void refuses_a_program_that_is_not_there(void **state)
{
    struct command_try t = {.done = 0};
    contract_run_one(&t, *state, PROGRAM_IS_NONE, LONG_SPAN);
    assert_int_equal(t.request.result, ERR_NOT_FOUND);
}

static void refuses_a_path_that_is_not_absolute(void **state)
{
    static const char *const arguments[] = {"true", NULL};
    struct command_try t = {.done = 0};
    command_try_begin(&t, *state, arguments, LONG_SPAN);
    command_try_await(contract_place, &t);
    assert_int_equal(t.request.result, ERR_INVALID);
}

static void refuses_more_strings_than_the_limit(void **state)
{
    const char *arguments[WORLD_COMMAND_STRINGS_MAX + 2] = {NULL};
    struct command_try t = {.done = 0};
    for (size_t i = 0; i <= WORLD_COMMAND_STRINGS_MAX; i++) {
        arguments[i] = contract_place->arguments(PROGRAM_SUCCEEDS)[0];
    }
    command_try_begin(&t, *state, arguments, LONG_SPAN);
    command_try_await(contract_place, &t);
    assert_int_equal(t.request.result, ERR_TOO_LARGE);
}

static void runs_others_while_some_hang(void **state)
{
    struct command_try hung[8] = {{.done = 0}};
    struct command_try t = {.done = 0};
    for (size_t i = 0; i < COUNT_OF(hung); i++) {
        command_try_begin(&hung[i], *state, contract_place->arguments(PROGRAM_HANGS), LONG_SPAN);
    }
    contract_run_one(&t, *state, PROGRAM_SUCCEEDS, LONG_SPAN);
    assert_int_equal(t.request.result, OK);
    for (size_t i = 0; i < COUNT_OF(hung); i++) {
        assert_int_equal(hung[i].done, 0);
    }
}

static void tells_each_request_once_however_it_ends(void **state)
{
    struct command_bench *bench = *state;
    struct command_try tries[PROGRAMS] = {{.done = 0}};
    for (enum command_program i = 0; i < PROGRAMS; i++) {
        bool hangs = i == PROGRAM_HANGS;
        command_try_begin(&tries[i], bench, contract_place->arguments(i),
                          hangs ? SHORT_SPAN : LONG_SPAN);
    }
    for (enum command_program i = 0; i < PROGRAMS; i++) {
        command_try_await(contract_place, &tries[i]);
    }
    for (int i = 0; i < 50; i++) {
        contract_place->step(bench);
    }
    for (enum command_program i = 0; i < PROGRAMS; i++) {
        assert_int_equal(tries[i].done, 1);
    }
}

static int command_bench_open(void **state)
{
    static struct command_bench bench;

    bench = (struct command_bench){NULL, NULL};
    contract_place->open(&bench);
    *state = &bench;
    return 0;
}

static int command_bench_close(void **state)
{
    contract_place->close(*state);
    return 0;
}

#define COMMAND_TEST(f) cmocka_unit_test_setup_teardown(f, command_bench_open, command_bench_close)

int command_contract_run(struct command_place *place)
{
    const struct CMUnitTest tests[] = {
        COMMAND_TEST(tells_what_a_program_said_and_that_it_succeeded),
        COMMAND_TEST(tells_the_status_and_the_errors_of_one_that_fails),
        COMMAND_TEST(tells_the_signal_that_killed_a_program),
        COMMAND_TEST(gives_a_program_its_input_and_the_end_of_it),
        COMMAND_TEST(gives_an_empty_input_where_there_is_none),
        COMMAND_TEST(answers_for_what_hangs_at_the_deadline),
        COMMAND_TEST(does_not_wait_where_the_deadline_is_past),
        COMMAND_TEST(keeps_what_fits_and_counts_the_rest),
        COMMAND_TEST(does_not_wait_for_a_child_that_holds_the_outputs),
        COMMAND_TEST(refuses_a_program_that_is_not_there),
        COMMAND_TEST(refuses_a_path_that_is_not_absolute),
        COMMAND_TEST(refuses_more_strings_than_the_limit),
        COMMAND_TEST(runs_others_while_some_hang),
        COMMAND_TEST(tells_each_request_once_however_it_ends),
    };

    contract_place = place;
    return cmocka_run_group_tests_name(place->name, tests, NULL, NULL);
}
