/*
 * The daemon's log: one line an event on standard error, for journald, files and people: JSON, or
 * key=value with values bare or as strings of JSON. Whatever is said, a line can be taken apart
 * again, is UTF-8, and has no byte that a terminal obeys. An event is named by a static string; of
 * each name at most LOG_BURST lines are written in LOG_WINDOW, and the next line says how many were
 * left out, so that whoever can cause events cannot fill a disk.
 */
#ifndef NOVACRON_NOVACROND_DAEMON_LOG_H
#define NOVACRON_NOVACROND_DAEMON_LOG_H

#include "core/base/buf.h"
#include "core/base/types.h"
#include "novacrond/daemon_config.h"

#define LOG_BURST  20
#define LOG_WINDOW (10 * NANOS_PER_S)

/* Names of events whose lines are counted; further ones share a count. */
#define LOG_EVENTS_MAX 64

struct log_count {
    const char *event;
    nanos since;
    uint32_t written;
    uint64_t left_out;
};

struct daemon_log {
    enum daemon_level level;
    enum daemon_format format;
    int fd;
    uint64_t lines;
    uint64_t left_out;
    uint64_t lost; /* that nobody took */
    struct log_count counts[LOG_EVENTS_MAX];
    struct buf line;
    struct buf quoted; /* scratch */
};

enum log_kind { LOG_TEXT, LOG_U64, LOG_I64, LOG_HEX };

struct log_field {
    const char *key;
    enum log_kind kind;
    const char *text;
    uint64_t number;
};

static inline struct log_field log_text(const char *key, const char *text)
{
    return (struct log_field){.key = key, .kind = LOG_TEXT, .text = text};
}

static inline struct log_field log_u64(const char *key, uint64_t number)
{
    return (struct log_field){.key = key, .kind = LOG_U64, .number = number};
}

static inline struct log_field log_hex(const char *key, uint64_t number)
{
    return (struct log_field){.key = key, .kind = LOG_HEX, .number = number};
}

void daemon_log_open(struct daemon_log *log, const struct daemon_log_settings *settings, int fd);
void daemon_log_close(struct daemon_log *log);

/* Writes a line, unless its level is not wanted or there were too many of them. `event` is a
 * static string; the rest is borrowed for the call. */
void daemon_log_write(struct daemon_log *log, enum daemon_level level, const char *event,
                      const struct log_field *fields, size_t field_count);

#define LOG_SAY(log, level, event, ...)                                                            \
    daemon_log_write(log, level, event, (const struct log_field[]){__VA_ARGS__},                   \
                     sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))

#endif
