/* Commands on Linux: their contract, and what only real processes have. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/test.h"
#include "tests/world/command_contract.h"
#include "world/linux/linux_command.h"
#include "world/linux/linux_world.h"

#define WAITS_MAX 100000

static const char *const *real_arguments(enum command_program program)
{
    static const char *const table[PROGRAMS][4] = {
        [PROGRAM_SUCCEEDS] = {"/bin/sh", "-c", "echo well"},
        [PROGRAM_FAILS] = {"/bin/sh", "-c", "echo no route >&2; exit 3"},
        [PROGRAM_DIES] = {"/bin/sh", "-c", "kill -TERM $$"},
        [PROGRAM_ECHOES] = {"/bin/cat"},
        [PROGRAM_HANGS] = {"/bin/sleep", "1000"},
        [PROGRAM_FLOODS] = {"/usr/bin/head", "-c1048576", "/dev/zero"},
        [PROGRAM_LEAVES] = {"/bin/sh", "-c", "sleep 1000 & exit 0"},
        [PROGRAM_IS_NONE] = {"/nonexistent/program"},
    };
    return table[program];
}

static void real_open(struct command_bench *bench)
{
    struct linux_world *lw = NULL;

    assert_int_equal(linux_world_open("/", &lw), OK);
    bench->world = linux_world_table(lw);
    bench->own = lw;
}

static void real_close(struct command_bench *bench)
{
    linux_world_close(bench->own);
}

static void real_step(struct command_bench *bench)
{
    (void)linux_world_poll(bench->own, NANOS_PER_MS);
}

static struct command_place real_place = {"commands", real_open, real_close, real_step,
                                          real_arguments};

/* --- what only real processes have --------------------------------------------------------------
 */

static int real_setup(void **state)
{
    static struct command_bench bench;

    real_open(&bench);
    *state = &bench;
    return 0;
}

static int real_teardown(void **state)
{
    real_close(*state);
    return 0;
}

/* Runs "sh -c SCRIPT" to its end. */
static void real_script(struct command_try *t, struct command_bench *bench, const char *script,
                        nanos span)
{
    const char *const arguments[] = {"/bin/sh", "-c", script, NULL};

    command_try_begin(t, bench, arguments, span);
    command_try_await(&real_place, t);
}

/* The number that it said first. */
static pid_t said_number(struct command_try *t)
{
    char text[sizeof t->output + 1] = {0};

    memcpy(text, t->output, t->request.output.kept);
    return (pid_t)strtol(text, NULL, 10);
}

/* Dead, whether or not somebody has reaped it. */
static bool is_dead(pid_t pid)
{
    char path[64];
    char line[256] = {0};

    (void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return true;
    }
    ssize_t n = read(fd, line, sizeof line - 1);
    (void)close(fd);
    const char *name_end = strrchr(line, ')');
    return n <= 0 || name_end == NULL || name_end[2] == 'Z' || name_end[2] == 'X';
}

static void await_death(struct command_bench *bench, pid_t pid)
{
    assert_true(pid > 1);
    for (int i = 0; i < WAITS_MAX && !is_dead(pid); i++) {
        real_step(bench);
    }
    assert_true(is_dead(pid));
}

static void leaves_nothing_running_in_the_group_of_a_program_that_ended(void **state)
{
    struct command_try t = {.done = 0};
    /* It has let go of the outputs, or it would be looked for. */
    real_script(&t, *state,
                "sleep 1000 </dev/null >/dev/null 2>&1 & "
                "until [ $(readlink /proc/$!/fd/2) = /dev/null ]; do :; done; echo $!",
                NANOS_FOREVER);
    assert_int_equal(t.request.result, OK);
    await_death(*state, said_number(&t));
}

static void finds_who_left_group_and_session_and_holds_the_output(void **state)
{
    struct command_try t = {.done = 0};
    real_script(&t, *state,
                "f=$(mktemp -u); mkfifo $f; setsid sh -c \"echo \\$\\$; : >$f; exec sleep 1000\" &"
                " : <$f; rm $f",
                NANOS_FOREVER);
    assert_int_equal(t.request.result, OK);
    await_death(*state, said_number(&t));
}

/* Until the script has got to its word before its deadline, which a busy machine may make hard. */
static pid_t number_before_deadline(struct command_try *t, struct command_bench *bench,
                                    const char *script)
{
    for (nanos span = NANOS_PER_S / 4; span < 600 * NANOS_PER_S; span *= 2) {
        real_script(t, bench, script, span);
        assert_int_equal(t->request.result, ERR_TIMEOUT);
        if (t->request.output.kept > 0) {
            return said_number(t);
        }
    }
    return 0;
}

static void kills_the_whole_group_at_the_deadline(void **state)
{
    struct command_try t = {.done = 0};
    pid_t child = number_before_deadline(&t, *state, "sleep 1000 & echo $!; sleep 1000");
    await_death(*state, child);
}

static void hunts_who_left_the_session_at_the_deadline(void **state)
{
    struct command_try t = {.done = 0};
    pid_t child = number_before_deadline(
        &t, *state, "setsid sh -c 'echo $$; exec sleep 1000 >/dev/null 2>&1' & sleep 1000");
    await_death(*state, child);
}

static void kills_what_ignores_every_other_signal(void **state)
{
    struct command_try t = {.done = 0};
    pid_t child = number_before_deadline(
        &t, *state, "trap '' TERM INT HUP; echo $$; while :; do sleep 1000; done");
    await_death(*state, child);
}

static void gives_no_environment_but_the_named_one(void **state)
{
    static const char *const arguments[] = {"/usr/bin/env", NULL};
    static const char *const environment[] = {"COLOR=blue", NULL};
    struct command_bench *bench = *state;
    struct command_try t = {.done = 0};
    char text[sizeof t.output + 1] = {0};
    assert_int_equal(setenv("NOVACRON_SECRET", "of ours", 1), 0);
    t.request.environment = environment;
    command_try_begin(&t, bench, arguments, NANOS_FOREVER);
    command_try_await(&real_place, &t);
    memcpy(text, t.output, t.request.output.kept);
    assert_non_null(strstr(text, "NOVACRON_COMMAND="));
    assert_non_null(strstr(text, "COLOR=blue\n"));
    assert_null(strstr(text, "NOVACRON_SECRET"));
    assert_null(strstr(text, "PATH="));
}

static void gives_no_descriptor_of_ours(void **state)
{
    struct command_try t = {.done = 0};
    int leaky = fcntl(STDERR_FILENO, F_DUPFD, 200); /* as somebody's library may */
    char script[128];
    assert_true(leaky >= 200);
    (void)snprintf(script, sizeof script, "[ -e /proc/$$/fd/2 ] && ! [ -e /proc/$$/fd/%d ]", leaky);
    real_script(&t, *state, script, NANOS_FOREVER);
    assert_int_equal(t.request.status, 0);
    (void)close(leaky);
}

static bool spare_ourselves(const char *adjustment)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    bool is_done = fd >= 0 && write(fd, adjustment, strlen(adjustment)) > 0;

    (void)close(fd);
    return is_done;
}

static void is_no_dearer_to_the_kernel_than_anybody(void **state)
{
    struct command_try t = {.done = 0};
    if (setpriority(PRIO_PROCESS, 0, -5) != 0) {
        skip(); /* not root */
    }
    bool is_spared = spare_ourselves("-500"); /* which in a container root may not, either */
    real_script(&t, *state, "while [ $(nice) != 0 ]; do :; done; cat /proc/self/oom_score_adj",
                NANOS_FOREVER);
    assert_int_equal(setpriority(PRIO_PROCESS, 0, 0), 0);
    assert_int_equal(t.request.status, 0);
    if (is_spared) {
        assert_true(spare_ourselves("0"));
        assert_true(command_said_first(&t.request.output, "0\n"));
    }
}

static void gives_its_signals_back(void **state)
{
    struct command_try t = {.done = 0};
    struct sigaction before;
    struct sigaction ignored = {.sa_handler = SIG_IGN};
    assert_int_equal(sigaction(SIGTERM, &ignored, &before), 0);
    real_script(&t, *state, "kill -TERM $$; exit 0", NANOS_FOREVER);
    assert_int_equal(sigaction(SIGTERM, &before, NULL), 0);
    assert_int_equal(t.request.end, WORLD_COMMAND_SIGNALED);
    assert_int_equal(t.request.status, SIGTERM);
}

static void knows_the_status_where_sigchld_was_ignored(void **state)
{
    struct command_try t = {.done = 0};
    struct sigaction ignored = {.sa_handler = SIG_IGN};
    assert_int_equal(sigaction(SIGCHLD, &ignored, NULL), 0);
    real_script(&t, *state, "exit 7", NANOS_FOREVER);
    assert_int_equal(t.request.result, OK);
    assert_int_equal(t.request.status, 7);
}

static void tells_what_cannot_be_executed(void **state)
{
    static const char *const folder[] = {"/usr", NULL};
    static const char *const text[] = {"/etc/passwd", NULL};
    struct command_try t = {.done = 0};
    command_try_begin(&t, *state, folder, NANOS_FOREVER);
    command_try_await(&real_place, &t);
    assert_int_equal(t.request.result, ERR_DENIED);
    command_try_begin(&t, *state, text, NANOS_FOREVER);
    command_try_await(&real_place, &t);
    assert_int_equal(t.request.result, ERR_DENIED);
}

/* --- sets of their own --------------------------------------------------------------------------
 */

static void set_done(struct world_command_request *request)
{
    (*(int *)request->owner)++;
}

static void set_submit(struct linux_commands *set, struct world_command_request *request, int *done)
{
    *request = (struct world_command_request){
        .arguments = real_arguments(PROGRAM_HANGS),
        .deadline = NANOS_FOREVER,
        .done = set_done,
        .owner = done,
    };
    linux_commands_submit(set, request);
}

static void says_that_too_many_are_under_way(void **state)
{
    struct command_bench *bench = *state;
    struct linux_commands *set = linux_commands_open(bench->own);
    static struct world_command_request requests[LINUX_COMMANDS_MAX + 1];
    int done = 0;
    for (size_t i = 0; i < COUNT_OF(requests); i++) {
        set_submit(set, &requests[i], &done);
    }
    assert_int_equal(linux_commands_count(set), LINUX_COMMANDS_MAX + 1);
    for (int i = 0; i < WAITS_MAX && done == 0; i++) {
        real_step(bench);
    }
    assert_int_equal(done, 1);
    assert_int_equal(requests[LINUX_COMMANDS_MAX].result, ERR_BUSY);
    linux_commands_close(set);
}

static void forgets_each_command_when_its_process_is_reaped(void **state)
{
    struct command_bench *bench = *state;
    struct linux_commands *set = linux_commands_open(bench->own);
    struct world_command_request requests[4];
    int done = 0;
    for (size_t i = 0; i < COUNT_OF(requests); i++) {
        requests[i] = (struct world_command_request){
            .arguments = real_arguments(i % 2 == 0 ? PROGRAM_SUCCEEDS : PROGRAM_HANGS),
            .deadline = world_now(bench->world) + 300 * NANOS_PER_MS,
            .done = set_done,
            .owner = &done,
        };
        linux_commands_submit(set, &requests[i]);
    }
    for (int i = 0; i < WAITS_MAX && linux_commands_count(set) > 0; i++) {
        real_step(bench);
    }
    assert_int_equal(linux_commands_count(set), 0);
    assert_int_equal(done, COUNT_OF(requests));
    linux_commands_close(set);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

#define REAL_TEST(f) cmocka_unit_test_setup_teardown(f, real_setup, real_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        REAL_TEST(leaves_nothing_running_in_the_group_of_a_program_that_ended),
        REAL_TEST(finds_who_left_group_and_session_and_holds_the_output),
        REAL_TEST(kills_the_whole_group_at_the_deadline),
        REAL_TEST(hunts_who_left_the_session_at_the_deadline),
        REAL_TEST(kills_what_ignores_every_other_signal),
        REAL_TEST(gives_no_environment_but_the_named_one),
        REAL_TEST(gives_no_descriptor_of_ours),
        REAL_TEST(is_no_dearer_to_the_kernel_than_anybody),
        REAL_TEST(gives_its_signals_back),
        REAL_TEST(knows_the_status_where_sigchld_was_ignored),
        REAL_TEST(tells_what_cannot_be_executed),
        REAL_TEST(says_that_too_many_are_under_way),
        REAL_TEST(forgets_each_command_when_its_process_is_reaped),
    };
    int failed = command_contract_run(&real_place);

    return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
