/* What is shown while long work goes on, and what is said of failures. */
#include <pty.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/hint.h"
#include "cli/progress.h"
#include "tests/support/test.h"

static void tells_how_far_it_is(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes, total, spent_ms;
        const char *line;
    } rows[] = {
        {0, 0, 0, "save: 0.0 MB"},
        {12345678, 0, 500, "save: 12.3 MB"},
        {50000000, 0, 2000, "save: 50.0 MB, 25 MB/s"},
        {50000000, 200000000, 500, "save: 50.0 of 200.0 MB, 25%"},
        {50000000, 200000000, 2000, "save: 50.0 of 200.0 MB, 25%, 25 MB/s, 6 s left"},
        {200000000, 200000000, 8000, "save: 200.0 of 200.0 MB, 100%, 25 MB/s"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char line[PROGRESS_BYTES];
        progress_line(line, "save", rows[i].bytes, rows[i].total, rows[i].spent_ms);
        assert_string_equal(line, rows[i].line);
    }
}

/* Runs it with standard error at a new terminal, or at a pipe; what was written there. */
static size_t shown(bool on_terminal, char *text, size_t n)
{
    int fds[2];
    struct progress p;
    if (on_terminal) {
        assert_int_equal(openpty(&fds[0], &fds[1], NULL, NULL, NULL), 0);
    } else {
        assert_int_equal(pipe(fds), 0);
    }
    int before = dup(STDERR_FILENO);
    assert_true(dup2(fds[1], STDERR_FILENO) >= 0);
    progress_begin(&p, "save");
    progress_tell(&p, 1, 10); /* too early */
    bool early = p.is_drawn;
    p.drawn_ms -= 1000;
    progress_tell(&p, 5000000, 10000000);
    progress_tell(&p, 6000000, 10000000); /* too soon */
    progress_end(&p);
    progress_end(&p);
    (void)fflush(stderr);
    assert_true(dup2(before, STDERR_FILENO) >= 0);
    (void)close(before);
    assert_false(early);
    (void)write(fds[1], "|", 1);
    /* A terminal hands over what was written in as many pieces as it likes. */
    size_t got = 0;
    do {
        ssize_t more = read(fds[0], text + got, n - 1 - got);
        assert_true(more > 0);
        got += (size_t)more;
    } while (text[got - 1] != '|');
    (void)close(fds[0]);
    (void)close(fds[1]);
    text[got] = '\0';
    return got;
}

static void draws_one_line_on_a_terminal_and_takes_it_away(void **state)
{
    char text[256];
    (void)state;
    (void)shown(true, text, sizeof text);
    assert_string_equal(text, "\rsave: 5.0 of 10.0 MB, 50%\033[K\r\033[K|");
}

static void says_nothing_into_a_pipe(void **state)
{
    char text[256];
    (void)state;
    (void)shown(false, text, sizeof text);
    assert_string_equal(text, "|");
}

static void knows_what_to_do_about_failures(void **state)
{
    (void)state;
    static const char *const known[] = {
        "the server cannot be reached",
        "the server does not answer",
        "a certificate was refused",
        "etcdserver: no leader",
        "etcdserver: request timed out, possibly due to previous leader failure",
        "etcdserver: can only promote a learner member which is in sync with leader",
        "etcdserver: mvcc: database space exceeded",
        "etcdserver: mvcc: required revision has been compacted",
        "etcdserver: permission denied",
        "etcdserver: user name is empty",
    };
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        assert_non_null(hint_for(known[i]));
    }
    assert_null(hint_for("something else"));
    /* The one that is meant, and not the one whose words are part of it. */
    assert_non_null(strstr(hint_for(known[5]), "caught up"));
    assert_non_null(
        strstr(hint_for("etcdserver: can only promote a learner member"), "votes already"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_how_far_it_is),
        cmocka_unit_test(draws_one_line_on_a_terminal_and_takes_it_away),
        cmocka_unit_test(says_nothing_into_a_pipe),
        cmocka_unit_test(knows_what_to_do_about_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
