/* `novacron ca`, as it is typed: what it makes, what it refuses, and with which exit status. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "tests/support/test.h"

#define WORDS_MAX 12

static char ca_dir[64];
static char said[4096]; /* by the last command, on both streams */

static int ca_make_directory(void **state)
{
    (void)state;
    (void)snprintf(ca_dir, sizeof ca_dir, "/tmp/novacron-ca-XXXXXX");
    return mkdtemp(ca_dir) != NULL ? 0 : -1;
}

static int ca_remove_directory(void **state)
{
    char command[96];
    (void)state;
    (void)snprintf(command, sizeof command, "rm -r %s", ca_dir);
    return system(command);
}

/* Runs what is typed, with DIR for the directory, and keeps what is said. */
static int type(const char *line)
{
    char words[WORDS_MAX][160];
    char *argv[WORDS_MAX + 1] = {0};
    char path[96];
    int argc = 0;

    for (const char *at = line; *at != '\0' && argc < WORDS_MAX; argc++) {
        size_t n = strcspn(at, " ");
        const char *rest = n >= 3 && strncmp(at, "DIR", 3) == 0 ? at + 3 : at;
        (void)snprintf(words[argc], sizeof words[argc], "%s%.*s", rest > at ? ca_dir : "",
                       (int)(n - (size_t)(rest - at)), rest);
        argv[argc] = words[argc];
        at += n + (at[n] == ' ' ? 1 : 0);
    }
    (void)snprintf(path, sizeof path, "%s.said", ca_dir);
    (void)fflush(NULL);
    int out = dup(STDOUT_FILENO);
    int err = dup(STDERR_FILENO);
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(file >= 0 && dup2(file, STDOUT_FILENO) >= 0 && dup2(file, STDERR_FILENO) >= 0);
    int status = (int)cli_main(&cli_novacron, argc, argv);
    (void)fflush(NULL);
    (void)dup2(out, STDOUT_FILENO);
    (void)dup2(err, STDERR_FILENO);
    ssize_t n = pread(file, said, sizeof said - 1, 0);
    said[n > 0 ? n : 0] = '\0';
    (void)close(out);
    (void)close(err);
    (void)close(file);
    (void)unlink(path);
    return status;
}

static bool exists(const char *name)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", ca_dir, name);
    return access(path, F_OK) == 0;
}

static void makes_an_authority_and_members(void **state)
{
    (void)state;
    assert_int_equal(type("novacron ca init DIR/new --name ours --days 100"), CLI_OK);
    assert_true(exists("new/ca.crt") && exists("new/ca.key"));
    assert_non_null(strstr(said, "on none"));
    assert_int_equal(
        type("novacron ca issue DIR/new host-1 --host 10.0.0.1,fd00::1,host-1.example"), CLI_OK);
    assert_true(exists("new/host-1.crt") && exists("new/host-1.key"));
}

static void refuses_to_replace_and_says_what(void **state)
{
    (void)state;
    assert_int_equal(type("novacron ca init DIR"), CLI_OK);
    assert_int_equal(type("novacron ca init DIR"), CLI_UNREADABLE);
    assert_non_null(strstr(said, "ca.crt exists already"));
    assert_int_equal(type("novacron ca issue DIR host-1"), CLI_OK);
    assert_int_equal(type("novacron ca issue DIR host-1"), CLI_UNREADABLE);
    assert_non_null(strstr(said, "host-1.crt exists already"));
}

static void says_how_to_go_on_without_an_authority(void **state)
{
    (void)state;
    assert_int_equal(type("novacron ca issue DIR host-1"), CLI_UNREADABLE);
    assert_non_null(strstr(said, "novacron ca init"));
    assert_false(exists("host-1.key"));
}

static void refuses_what_makes_no_sense(void **state)
{
    static const char *const lines[] = {
        "novacron ca init",
        "novacron ca issue DIR",
        "novacron ca issue DIR a b",
        "novacron ca init DIR/x --days 0",
        "novacron ca init DIR/x --days 36501",
        "novacron ca init DIR/x --days 1x",
        "novacron ca init DIR/x --days -1",
        "novacron ca init DIR/x --days",
        "novacron ca issue DIR ../a",
        "novacron ca issue DIR a --host b_c",
        "novacron ca issue DIR a --host 10.0.0.1,",
        "novacron ca issue DIR a --days none",
        "novacron ca issue DIR a --host "
        "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,"
        "24,25,26,27,28,29,30,31,32,33",
        "novacron ca revoke DIR a",
    };
    (void)state;
    assert_int_equal(type("novacron ca init DIR"), CLI_OK);
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        if (type(lines[i]) != CLI_USAGE) {
            fail_msg("\"%s\" is taken: %s", lines[i], said);
        }
    }
    assert_false(exists("x"));
    assert_false(exists("a.key"));
}

static void explains_itself(void **state)
{
    (void)state;
    assert_int_equal(type("novacron --help"), CLI_OK);
    assert_non_null(strstr(said, "ca init"));
    assert_int_equal(type("novacron ca init --help"), CLI_OK);
    assert_non_null(strstr(said, "ca.key lets anybody in"));
    assert_int_equal(type("novacron ca issue --help"), CLI_OK);
    assert_non_null(strstr(said, "--host"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(makes_an_authority_and_members, ca_make_directory,
                                        ca_remove_directory),
        cmocka_unit_test_setup_teardown(refuses_to_replace_and_says_what, ca_make_directory,
                                        ca_remove_directory),
        cmocka_unit_test_setup_teardown(says_how_to_go_on_without_an_authority, ca_make_directory,
                                        ca_remove_directory),
        cmocka_unit_test_setup_teardown(refuses_what_makes_no_sense, ca_make_directory,
                                        ca_remove_directory),
        cmocka_unit_test_setup_teardown(explains_itself, ca_make_directory, ca_remove_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
