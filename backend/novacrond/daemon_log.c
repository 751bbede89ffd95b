#include "novacrond/daemon_log.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "api/json_wire.h"
#include "core/base/say.h"
#include "novacrond/daemon_config_int.h"

#define STAMP_BYTES 40

/* The order of the levels' names in daemon_config.h is that of their frequency. */
static const int ranks[] = {
    [DAEMON_ERROR] = 0, [DAEMON_WARN] = 1, [DAEMON_INFO] = 2, [DAEMON_DEBUG] = 3};

void daemon_log_open(struct daemon_log *log, const struct daemon_log_settings *settings, int fd)
{
    *log = (struct daemon_log){.level = settings->level, .format = settings->format, .fd = fd};
    buf_init(&log->line);
    buf_init(&log->quoted);
}

void daemon_log_close(struct daemon_log *log)
{
    buf_deinit(&log->line);
    buf_deinit(&log->quoted);
}

static nanos log_now(void)
{
    struct timespec t = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (nanos)t.tv_sec * NANOS_PER_S + (nanos)t.tv_nsec;
}

static struct log_count *log_count_of(struct daemon_log *log, const char *event)
{
    for (size_t i = 0; i + 1 < LOG_EVENTS_MAX; i++) {
        if (log->counts[i].event == event) {
            return &log->counts[i];
        }
        if (log->counts[i].event == NULL) {
            log->counts[i].event = event;
            return &log->counts[i];
        }
    }
    return &log->counts[LOG_EVENTS_MAX - 1];
}

/* May another line of this event be written? `ret_left_out` is how many before it were not. */
static bool log_lets(struct daemon_log *log, const char *event, uint64_t *ret_left_out)
{
    struct log_count *c = log_count_of(log, event);
    nanos now = log_now();
    if (c->written == 0 || now - c->since >= LOG_WINDOW) {
        c->since = now;
        c->written = 0;
    }
    if (c->written >= LOG_BURST) {
        c->left_out++;
        log->left_out++;
        return false;
    }
    c->written++;
    *ret_left_out = c->left_out;
    c->left_out = 0;
    return true;
}

static void log_stamp(char text[STAMP_BYTES])
{
    struct timespec t = {0};
    struct tm tm = {0};
    (void)clock_gettime(CLOCK_REALTIME, &t);
    (void)gmtime_r(&t.tv_sec, &tm);
    size_t at = strftime(text, STAMP_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(text + at, STAMP_BYTES - at, ".%03ldZ", t.tv_nsec / 1000000);
}

/* May it stand without quotes? */
static bool log_is_plain(const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        uint8_t c = (uint8_t)*at;
        if (c <= ' ' || c >= 0x7F || c == '"' || c == '=' || c == '\\') {
            return false;
        }
    }
    return text[0] != '\0';
}

/* A string of JSON, in which nothing is left that a terminal obeys: JSON itself allows DEL, and the
 * control characters from U+0080 on. Whoever can reach a port can have text in the log. */
static void log_put_quoted(struct daemon_log *log, const char *text)
{
    buf_clear(&log->quoted);
    json_put_string(&log->quoted, text);
    const uint8_t *bytes = log->quoted.data;
    for (size_t i = 0; i < log->quoted.len; i++) {
        bool is_c1 = bytes[i] == 0xC2 && bytes[i + 1] < 0xA0; /* a quotation mark is behind all */
        if (is_c1 || bytes[i] == 0x7F) {
            char escaped[8];
            i += is_c1 ? 1 : 0;
            (void)snprintf(escaped, sizeof escaped, "\\u%04x", bytes[i]);
            say(&log->line, escaped);
        } else {
            buf_put(&log->line, &bytes[i], 1);
        }
    }
}

static void log_put_text(struct daemon_log *log, const char *text)
{
    if (log->format == DAEMON_TEXT && log_is_plain(text)) {
        say(&log->line, text);
    } else {
        log_put_quoted(log, text);
    }
}

static void log_put(struct daemon_log *log, const struct log_field *f)
{
    char number[24];
    struct buf *line = &log->line;
    if (log->format == DAEMON_JSON) {
        say(line, line->len > 1 ? "," : "");
        json_put_string(line, f->key);
        say(line, ":");
    } else {
        say(line, line->len > 0 ? " " : "");
        say(line, f->key);
        say(line, "=");
    }
    switch (f->kind) {
    case LOG_TEXT:
        log_put_text(log, f->text != NULL ? f->text : "");
        break;
    case LOG_U64:
        say_u64(line, f->number);
        break;
    case LOG_I64:
        say_i64(line, (int64_t)f->number);
        break;
    case LOG_HEX:
        (void)snprintf(number, sizeof number, "%llx", (unsigned long long)f->number);
        log_put_text(log, number);
        break;
    }
}

/* A log that takes nothing must not stop the member: what it does not take at once is lost. */
static void log_hand_over(struct daemon_log *log)
{
    const struct buf *line = &log->line;
    ssize_t n = send(log->fd, line->data, line->len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno == ENOTSOCK) {
        /* A pipe that polls as writable takes PIPE_BUF bytes without waiting; files always do. */
        struct pollfd room = {.fd = log->fd, .events = POLLOUT};
        size_t most = line->len < PIPE_BUF ? line->len : PIPE_BUF;
        n = poll(&room, 1, 0) == 1 ? write(log->fd, line->data, most) : -1;
    }
    log->lost += n < 0 ? 1 : 0;
}

void daemon_log_write(struct daemon_log *log, enum daemon_level level, const char *event,
                      const struct log_field *fields, size_t field_count)
{
    uint64_t left_out = 0;
    char stamp[STAMP_BYTES];
    if (ranks[level] > ranks[log->level] || !log_lets(log, event, &left_out)) {
        return;
    }
    log_stamp(stamp);
    buf_clear(&log->line);
    say(&log->line, log->format == DAEMON_JSON ? "{" : "");
    const struct log_field head[] = {log_text("ts", stamp),
                                     log_text("level", daemon_level_names[level]),
                                     log_text("msg", event)};
    for (size_t i = 0; i < COUNT_OF(head); i++) {
        log_put(log, &head[i]);
    }
    for (size_t i = 0; i < field_count; i++) {
        log_put(log, &fields[i]);
    }
    if (left_out > 0) {
        const struct log_field tail = log_u64("left_out", left_out);
        log_put(log, &tail);
    }
    say(&log->line, log->format == DAEMON_JSON ? "}\n" : "\n");
    log->lines++;
    log_hand_over(log);
}
