/* The conversation with a QEMU that says right things, wrong things, too much, or nothing. */
#include "drivers/qemu/qmp.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "drivers/qemu/qemu_process.h"
#include "drivers/qemu/qmp_message.h"
#include "tests/support/test.h"

#define GREETING "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n"
#define TURNS    2000

/* A QEMU by hand: the test says each word of its. */
struct talk {
    char dir[40];
    int dir_fd;
    int listener;
    int peer; /* -1: none */
    uv_loop_t loop;
    struct qmp qmp;
    char heard[65536]; /* by the peer */
    size_t heard_len;
    char events[256];
    unsigned lost;
    struct qmp_command commands[3];
    enum err results[3];
    unsigned answers[3];
    char texts[3][64];
};

static void talk_event(void *owner, const char *name, const json_t *data)
{
    struct talk *t = owner;
    const size_t n = strlen(t->events);
    (void)snprintf(t->events + n, sizeof t->events - n, "%s%s ", name, data != NULL ? "+" : "");
}

static void talk_lost(void *owner)
{
    struct talk *t = owner;
    t->lost++;
}

static void talk_answered(struct qmp_command *command, enum err result, const json_t *body,
                          const char *text)
{
    struct talk *t = command->owner;
    const size_t i = (size_t)(command - t->commands);

    assert_int_equal(body != NULL, result == OK);
    t->results[i] = result;
    t->answers[i]++;
    (void)snprintf(t->texts[i], sizeof t->texts[i], "%s", text != NULL ? text : "");
}

static void talk_connect(struct talk *t)
{
    assert_int_equal(qmp_connect(&t->qmp, t->dir_fd, "qmp"), OK);
    t->peer = accept(t->listener, NULL, NULL);
    assert_true(t->peer >= 0);
}

static int talk_open(void **state)
{
    static struct talk talk;
    struct talk *t = &talk;

    memset(t, 0, sizeof *t);
    (void)snprintf(t->dir, sizeof t->dir, "/var/tmp/novacron-qmp-XXXXXX");
    assert_non_null(mkdtemp(t->dir));
    t->dir_fd = open(t->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(uv_loop_init(&t->loop), 0);
    qmp_init(&t->qmp, &t->loop);
    t->qmp.event = talk_event;
    t->qmp.lost = talk_lost;
    t->qmp.owner = t;
    assert_int_equal(qmp_connect(&t->qmp, t->dir_fd, "qmp"), ERR_CLOSED);
    assert_int_equal(qemu_socket_listen(t->dir_fd, "qmp", &t->listener), OK);
    talk_connect(t);
    *state = t;
    return 0;
}

static int talk_close(void **state)
{
    struct talk *t = *state;

    qmp_deinit(&t->qmp);
    assert_int_equal(uv_run(&t->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&t->loop), 0);
    if (t->peer >= 0) {
        (void)close(t->peer);
    }
    (void)close(t->listener);
    (void)unlinkat(t->dir_fd, "qmp", 0);
    (void)close(t->dir_fd);
    assert_int_equal(rmdir(t->dir), 0);
    return 0;
}

/* All that can happen, happens; the peer hears what was said. */
static void talk_run(struct talk *t)
{
    for (int i = 0; i < TURNS / 100; i++) {
        (void)uv_run(&t->loop, UV_RUN_NOWAIT);
        const ssize_t n = t->peer >= 0 ? recv(t->peer, t->heard + t->heard_len,
                                              sizeof t->heard - 1 - t->heard_len, MSG_DONTWAIT)
                                       : 0;
        t->heard_len += n > 0 ? (size_t)n : 0;
        t->heard[t->heard_len] = '\0';
    }
}

static void peer_says(struct talk *t, const char *text)
{
    assert_int_equal(send(t->peer, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    talk_run(t);
}

static void talk_send(struct talk *t, size_t i, const char *execute)
{
    t->commands[i] = (struct qmp_command){.done = talk_answered, .owner = t};
    qmp_send(&t->qmp, &t->commands[i], execute, NULL);
    talk_run(t);
}

static void talk_until_ready(struct talk *t)
{
    peer_says(t, GREETING);
    assert_non_null(strstr(t->heard, "\"qmp_capabilities\""));
    peer_says(t, "{\"return\": {}, \"id\": 1}\r\n");
    assert_int_equal(t->qmp.state, QMP_READY);
}

static void commands_wait_for_the_greeting_and_leave_in_order(void **state)
{
    struct talk *t = *state;

    talk_send(t, 0, "stop");
    talk_send(t, 1, "cont");
    assert_string_equal(t->heard, "");
    talk_until_ready(t);
    const char *stop = strstr(t->heard, "{\"execute\":\"stop\",\"id\":2}\n");
    const char *cont = strstr(t->heard, "{\"execute\":\"cont\",\"id\":3}\n");
    assert_true(stop != NULL && cont > stop);
    /* Answers by their ids, cut anywhere, events in between. */
    peer_says(t, "{\"return\": {}, \"id\": 3}\r\n{\"event\": \"RES");
    assert_int_equal(t->answers[1], 1);
    assert_int_equal(t->answers[0], 0);
    peer_says(
        t,
        "UME\", \"data\": {}}\n\n{\"id\": 2, \"error\": {\"class\": \"G\", \"desc\": \"no\"}}\n");
    assert_string_equal(t->events, "RESUME+ ");
    assert_int_equal(t->results[0], ERR_REFUSED);
    assert_string_equal(t->texts[0], "no");
    assert_int_equal(t->answers[0], 1);
    assert_int_equal(t->lost, 0);
}

static void a_late_answer_to_what_was_given_up_is_nobodys(void **state)
{
    struct talk *t = *state;

    talk_until_ready(t);
    talk_send(t, 0, "stop");
    qmp_cancel(&t->qmp, &t->commands[0]);
    qmp_cancel(&t->qmp, &t->commands[0]);
    peer_says(t, "{\"return\": {}, \"id\": 2}\n{\"return\": {}, \"id\": 99}\n{\"return\": {}}\n");
    assert_int_equal(t->answers[0], 0);
    assert_int_equal(t->lost, 0);
    talk_send(t, 1, "cont");
    peer_says(t, "{\"return\": {}, \"id\": 3}\n");
    assert_int_equal(t->results[1], OK);
    assert_int_equal(t->answers[1], 1);
}

static void who_breaks_the_protocol_is_cut_off(void **state)
{
    struct talk *t = *state;
    const char *const words[] = {"hello\n",        "{\"return\": {}}\n",           "[1]\n", "{}\n",
                                 "{\"QMP\": 1}\n", "{\"QMP\": {}, \"QMP\": {}}\n", "\xff\n"};

    for (size_t i = 0; i < COUNT_OF(words); i++) {
        peer_says(t, words[i]);
        assert_int_equal(t->lost, i + 1);
        assert_int_equal(t->qmp.state, QMP_CLOSED);
        (void)close(t->peer);
        talk_connect(t);
    }
    talk_until_ready(t);
    peer_says(t, GREETING);
    assert_int_equal(t->lost, COUNT_OF(words) + 1);
}

static void a_line_without_end_is_cut_off(void **state)
{
    struct talk *t = *state;
    static char much[4096];
    size_t sent = 0;

    memset(much, ' ', sizeof much);
    talk_until_ready(t);
    while (t->lost == 0) {
        assert_true(sent <= 2 * QMP_LINE_MAX_BYTES);
        const ssize_t n = send(t->peer, much, sizeof much, MSG_NOSIGNAL | MSG_DONTWAIT);
        sent += n > 0 ? (size_t)n : 0;
        talk_run(t);
    }
    assert_true(sent > QMP_LINE_MAX_BYTES);
    assert_int_equal(t->qmp.state, QMP_CLOSED);
}

static void an_end_fails_what_has_left_and_keeps_the_rest(void **state)
{
    struct talk *t = *state;

    talk_until_ready(t);
    talk_send(t, 0, "stop");
    (void)close(t->peer);
    t->peer = -1;
    talk_run(t);
    assert_int_equal(t->lost, 1);
    assert_int_equal(t->results[0], ERR_CLOSED);
    talk_send(t, 1, "cont");
    assert_int_equal(t->answers[1], 0);
    talk_connect(t);
    t->heard_len = 0;
    talk_until_ready(t);
    assert_null(strstr(t->heard, "\"stop\""));
    assert_non_null(strstr(t->heard, "\"cont\""));
    peer_says(t, "{\"return\": {}, \"id\": 3}\n");
    assert_int_equal(t->results[1], OK);
    assert_int_equal(t->answers[1], 1);
}

/* As a process that is stopped: what is sent to it is bounded, and leaves once it reads again. */
static void who_does_not_read_gets_no_more_than_fits(void **state)
{
    struct talk *t = *state;
    enum { MANY = 20000 };
    struct qmp_command *many = calloc(MANY, sizeof *many);
    const unsigned before = t->lost;
    size_t heard = 0;

    assert_non_null(many);
    talk_until_ready(t);
    for (size_t i = 0; i < MANY; i++) {
        many[i] = (struct qmp_command){.done = talk_answered, .owner = t};
        qmp_send(&t->qmp, &many[i], "query-status", NULL);
        assert_true(t->qmp.out.len - t->qmp.out_at < QMP_QUEUE_MAX_BYTES + 1024);
    }
    for (int i = 0; i < TURNS; i++) {
        (void)uv_run(&t->loop, UV_RUN_NOWAIT);
        const ssize_t n = recv(t->peer, t->heard, sizeof t->heard, MSG_DONTWAIT);
        heard += n > 0 ? (size_t)n : 0;
    }
    assert_true(heard > MANY * strlen("{\"execute\":\"query-status\",\"id\":1}"));
    assert_int_equal(t->lost, before);
    for (size_t i = 0; i < MANY; i++) {
        assert_null(many[i].text);
        qmp_cancel(&t->qmp, &many[i]);
    }
    free(many);
}

/* What it says to somebody who has gone by now, whole and cut off, is not for us. */
static void an_agent_is_heard_only_behind_our_own_number(void **state)
{
    struct talk *t = *state;
    char text[64];

    qmp_drop(&t->qmp);
    (void)close(t->peer);
    t->qmp.is_agent = true;
    talk_connect(t);
    talk_send(t, 0, "guest-ping");
    assert_int_equal((unsigned char)t->heard[0], 0xff);
    assert_non_null(strstr(t->heard, "\"guest-sync-delimited\""));
    assert_null(strstr(t->heard, "\"guest-ping\""));
    const unsigned long number = strtoul(strstr(t->heard, "\"id\":") + 5, NULL, 10);
    peer_says(t, "urn\": 1}\n{\"return\": {}, \"id\": 2}\n\xff{\"return\": 4711}\n");
    peer_says(t, "{\"error\": {\"class\": \"G\", \"desc\": \"old\"}}\n");
    assert_int_equal(t->qmp.state, QMP_NEGOTIATES);
    assert_int_equal(t->answers[0], 0);
    (void)snprintf(text, sizeof text, "\xff{\"return\": %lu}\n", number);
    peer_says(t, text);
    assert_int_equal(t->qmp.state, QMP_READY);
    assert_non_null(strstr(t->heard, "\"guest-ping\""));
    (void)snprintf(text, sizeof text, "{\"return\": {}, \"id\": %lu}\n",
                   (unsigned long)t->commands[0].id);
    peer_says(t, text);
    assert_int_equal(t->results[0], OK);
    assert_int_equal(t->answers[0], 1);
    /* A guest that says what it likes is cut off. */
    peer_says(t, "hello\n");
    assert_int_equal(t->lost, 1);
}

#define TALK_TEST(body) cmocka_unit_test_setup_teardown(body, talk_open, talk_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TALK_TEST(commands_wait_for_the_greeting_and_leave_in_order),
        TALK_TEST(a_late_answer_to_what_was_given_up_is_nobodys),
        TALK_TEST(who_breaks_the_protocol_is_cut_off),
        TALK_TEST(a_line_without_end_is_cut_off),
        TALK_TEST(an_end_fails_what_has_left_and_keeps_the_rest),
        TALK_TEST(an_agent_is_heard_only_behind_our_own_number),
        TALK_TEST(who_does_not_read_gets_no_more_than_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
