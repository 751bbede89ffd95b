#include "drivers/qemu/qmp.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "drivers/qemu/qemu_watch.h"
#include "drivers/qemu/qmp_message.h"

#define READ_BYTES 16384

/* Before a request it makes the agent forget half a request, before an answer it says that it is
 * ours. No JSON has it. */
#define AGENT_DELIMITER 0xff

/* The id of our own command, that opens the conversation. */
#define NEGOTIATION    "{\"execute\":\"qmp_capabilities\",\"id\":1}\n"
#define NEGOTIATION_ID 1

void qmp_init(struct qmp *qmp, struct uv_loop_s *loop)
{
    *qmp = (struct qmp){.loop = loop, .fd = -1, .last_id = NEGOTIATION_ID};
    buf_init(&qmp->in);
    buf_init(&qmp->out);
}

/* --- ends ------------------------------------------------------------------------------------- */

static void connection_drop(struct qmp *qmp)
{
    qemu_watch_close(qmp->watch);
    qmp->watch = NULL;
    qmp->fd = -1;
    qmp->state = QMP_CLOSED;
    buf_clear(&qmp->in);
    buf_clear(&qmp->out);
    qmp->out_at = 0;
}

static void command_take(struct qmp *qmp, struct qmp_command *command)
{
    struct qmp_command **at = &qmp->commands;

    while (*at != command) {
        CHECK(*at != NULL);
        at = &(*at)->next;
    }
    *at = command->next;
    mem_free(command->text);
    command->text = NULL;
    command->next = NULL;
    command->id = 0;
}

static struct qmp_command *first_that_left(const struct qmp *qmp)
{
    struct qmp_command *command = qmp->commands;

    /* Those that left are in front. */
    return command != NULL && command->text == NULL ? command : NULL;
}

void qmp_drop(struct qmp *qmp)
{
    const uint64_t connection = qmp->connection;
    struct qmp_command *command = NULL;

    connection_drop(qmp);
    while (qmp->connection == connection && (command = first_that_left(qmp)) != NULL) {
        command_take(qmp, command);
        command->done(command, ERR_CLOSED, NULL, NULL);
    }
}

static void connection_lost(struct qmp *qmp)
{
    const uint64_t connection = qmp->connection;

    qmp_drop(qmp);
    if (qmp->connection == connection) {
        qmp->lost(qmp->owner);
    }
}

void qmp_deinit(struct qmp *qmp)
{
    connection_drop(qmp);
    qmp->connection++;
    while (qmp->commands != NULL) {
        command_take(qmp, qmp->commands);
    }
    buf_deinit(&qmp->in);
    buf_deinit(&qmp->out);
}

void qmp_cancel(struct qmp *qmp, struct qmp_command *command)
{
    if (command->id != 0) {
        command_take(qmp, command);
    }
}

/* --- what leaves ------------------------------------------------------------------------------ */

static void out_put(struct qmp *qmp, const char *text)
{
    buf_put(&qmp->out, text, strlen(text));
}

/* Commands into the buffer, as far as there is room, and the buffer into the socket. An error of
 * the socket shows when it is read. */
static void connection_flush(struct qmp *qmp)
{
    for (struct qmp_command *c = qmp->commands; qmp->state == QMP_READY && c != NULL; c = c->next) {
        if (c->text != NULL && qmp->out.len - qmp->out_at < QMP_QUEUE_MAX_BYTES) {
            out_put(qmp, c->text);
            mem_free(c->text);
            c->text = NULL;
        } else if (c->text != NULL) {
            break;
        }
    }
    while (qmp->out_at < qmp->out.len) {
        const ssize_t n = send(qmp->fd, qmp->out.data + qmp->out_at, qmp->out.len - qmp->out_at,
                               MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            break;
        }
        qmp->out_at += (size_t)n;
    }
    const bool is_full = qmp->out_at < qmp->out.len;
    if (!is_full) {
        buf_clear(&qmp->out);
        qmp->out_at = 0;
    }
    qemu_watch_want_write(qmp->watch, is_full);
}

void qmp_send(struct qmp *qmp, struct qmp_command *command, const char *execute, json_t *arguments)
{
    json_t *message = json_object();
    struct qmp_command **at = &qmp->commands;

    CHECK(command->id == 0 && command->done != NULL);
    command->id = ++qmp->last_id;
    CHECK(json_object_set_new(message, "execute", json_string(execute)) == 0);
    CHECK(json_object_set_new(message, "id", json_integer((json_int_t)command->id)) == 0);
    if (arguments != NULL) {
        CHECK(json_object_set_new(message, "arguments", arguments) == 0);
    }
    const size_t length = json_dumpb(message, NULL, 0, JSON_COMPACT);
    CHECK(length > 0);
    command->text = mem_alloc(length + 2);
    CHECK(json_dumpb(message, command->text, length, JSON_COMPACT) == length);
    memcpy(command->text + length, "\n", 2);
    json_decref(message);
    while (*at != NULL) {
        at = &(*at)->next;
    }
    command->next = NULL;
    *at = command;
    if (qmp->state == QMP_READY) {
        connection_flush(qmp);
    }
}

/* --- what arrives ----------------------------------------------------------------------------- */

static struct qmp_command *command_of(const struct qmp *qmp, uint64_t id)
{
    struct qmp_command *command = qmp->commands;

    /* One that has not left cannot be answered. */
    while (command != NULL && (command->id != id || command->text != NULL)) {
        command = command->next;
    }
    return command;
}

static void answer_arrived(struct qmp *qmp, const struct qmp_message *m)
{
    struct qmp_command *command = command_of(qmp, m->id);

    if (command == NULL) {
        return; /* it was given up */
    }
    command_take(qmp, command);
    if (m->kind == QMP_RETURN) {
        command->done(command, OK, m->body, NULL);
    } else {
        command->done(command, ERR_REFUSED, NULL, m->text);
    }
}

/* False: that is not how QMP goes. */
static bool message_arrived(struct qmp *qmp, const struct qmp_message *m)
{
    switch (qmp->state) {
    case QMP_GREETS:
        if (m->kind != QMP_GREETING) {
            return false;
        }
        qmp->state = QMP_NEGOTIATES;
        out_put(qmp, NEGOTIATION);
        connection_flush(qmp);
        return true;
    case QMP_NEGOTIATES:
        if (m->kind == QMP_EVENT) {
            return true;
        }
        if (m->kind != QMP_RETURN || m->id != NEGOTIATION_ID) {
            return false;
        }
        qmp->state = QMP_READY;
        connection_flush(qmp);
        return true;
    case QMP_READY:
        if (m->kind == QMP_GREETING) {
            return false;
        }
        if (m->kind == QMP_EVENT) {
            qmp->event(qmp->owner, m->name, m->body);
        } else {
            answer_arrived(qmp, m);
        }
        return true;
    case QMP_CLOSED:
        break;
    }
    CHECK_UNREACHABLE("a message without a connection");
}

/* An agent's line, before it is known to speak of now: true where it is to be thrown away. */
static bool line_is_old(struct qmp *qmp, struct bytes line)
{
    struct qmp_message m;

    if (!qmp->is_agent || qmp->state != QMP_NEGOTIATES) {
        return false;
    }
    while (line.len > 0 && line.data[0] == AGENT_DELIMITER) {
        line.data++;
        line.len--;
    }
    if (qmp_message_decode(line, &m) == OK) {
        if (m.kind == QMP_RETURN && json_is_integer(m.body) &&
            (uint64_t)json_integer_value(m.body) == qmp->sync) {
            qmp->state = QMP_READY;
            connection_flush(qmp);
        }
        qmp_message_deinit(&m);
    }
    return true;
}

/* One line; false where the connection is of no use any more, or is another one by now. */
static bool line_arrived(struct qmp *qmp, struct bytes line)
{
    const uint64_t connection = qmp->connection;
    struct qmp_message message;

    if (line.len == 0 || line_is_old(qmp, line)) {
        return true;
    }
    if (qmp_message_decode(line, &message) != OK) {
        connection_lost(qmp);
        return false;
    }
    const bool is_right = message_arrived(qmp, &message);
    qmp_message_deinit(&message);
    if (qmp->connection != connection) {
        return false;
    }
    if (!is_right) {
        connection_lost(qmp);
    }
    return is_right;
}

static void lines_arrived(struct qmp *qmp)
{
    /* A callback may begin another connection, or free this one: then the buffer is not ours. */
    struct buf in = qmp->in;
    size_t begin = 0;

    buf_init(&qmp->in);
    for (size_t i = 0; i < in.len; i++) {
        if (in.data[i] != '\n') {
            continue;
        }
        const size_t length = i - begin - (i > begin && in.data[i - 1] == '\r' ? 1 : 0);
        if (!line_arrived(qmp, (struct bytes){in.data + begin, length})) {
            buf_deinit(&in);
            return;
        }
        begin = i + 1;
    }
    buf_put(&qmp->in, in.data + begin, in.len - begin);
    buf_deinit(&in);
    if (qmp->in.len > QMP_LINE_MAX_BYTES) {
        connection_lost(qmp);
    }
}

static void connection_ready(void *owner)
{
    struct qmp *qmp = owner;
    uint8_t bytes[READ_BYTES];

    if (qmp->out_at < qmp->out.len || qmp->commands != NULL) {
        connection_flush(qmp);
    }
    const ssize_t n = recv(qmp->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n > 0) {
        buf_put(&qmp->in, bytes, (size_t)n);
        lines_arrived(qmp);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        connection_lost(qmp);
    }
}

static void agent_sync(struct qmp *qmp)
{
    char text[96];

    qmp->sync = ++qmp->last_id;
    (void)snprintf(text, sizeof text,
                   "%c{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":%llu}}\n",
                   AGENT_DELIMITER, (unsigned long long)qmp->sync);
    qmp->state = QMP_NEGOTIATES;
    out_put(qmp, text);
    connection_flush(qmp);
}

enum err qmp_connect(struct qmp *qmp, int dir, const char *name)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};

    CHECK(qmp->state == QMP_CLOSED);
    /* A path of any length, by way of the directory. */
    const int n = snprintf(at.sun_path, sizeof at.sun_path, "/proc/self/fd/%d/%s", dir, name);
    CHECK(n > 0 && (size_t)n < sizeof at.sun_path);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return ERR_NO_SPACE;
    }
    if (connect(fd, (const struct sockaddr *)&at, sizeof at) != 0) {
        (void)close(fd);
        return ERR_CLOSED;
    }
    qmp->fd = fd;
    qmp->watch = qemu_watch_open(qmp->loop, fd, connection_ready, qmp);
    qmp->state = QMP_GREETS;
    qmp->connection++;
    if (qmp->is_agent) {
        agent_sync(qmp);
    }
    return OK;
}
