/*
 * health.probes: the applications of this host that are probed. What is wrong with one is told by
 * its name, its setting, and the line of that.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "novacrond/daemon_config_int.h"

#define HTTP_PORT 80

#define PERIOD_MS_MIN 100
#define IN_ROW_MAX    1000

/* What a command finds in its environment, beside what names it (linux_command.h). */
static const char *const command_environment[] = {
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", NULL};

/* One probe that is being checked. */
struct probing {
    const char *file;
    struct bytes text;
    char *why;
    const struct daemon_probe_settings *settings;
    uint32_t place; /* in the list */
};

/* --- complaints ------------------------------------------------------------------------------ */

/* A line of the file, without its end. */
struct line {
    const char *begin;
    size_t len;
    size_t indent;
};

static bool line_next(struct bytes text, size_t *at, struct line *ret)
{
    if (*at >= text.len) {
        return false;
    }
    ret->begin = (const char *)text.data + *at;
    const char *end = memchr(ret->begin, '\n', text.len - *at);
    ret->len = end != NULL ? (size_t)(end - ret->begin) : text.len - *at;
    ret->indent = 0;
    while (ret->indent < ret->len && ret->begin[ret->indent] == ' ') {
        ret->indent++;
    }
    *at += ret->len + 1;
    return true;
}

static bool line_has_key(const struct line *line, size_t from, const char *key)
{
    size_t n = strlen(key);

    return line->len > from + n && memcmp(line->begin + from, key, n) == 0 &&
           line->begin[from + n] == ':';
}

/* The line of the setting `key` of the probe at `place`, or where that begins, or where the list
 * does; 0: there is none. Knows lists as people write them, an item a line or more. */
static unsigned long probe_line(struct bytes text, uint32_t place, const char *key)
{
    unsigned long best = 0;
    unsigned long number = 0;
    bool is_in_health = false;
    bool is_in_probes = false;
    size_t item_indent = SIZE_MAX;
    uint32_t items = 0;
    struct line line;

    for (size_t at = 0; line_next(text, &at, &line);) {
        number++;
        if (line.indent == line.len || line.begin[line.indent] == '#') {
            continue;
        }
        if (line.indent == 0 && line.begin[0] != '-') {
            is_in_health = line_has_key(&line, 0, "health");
            is_in_probes = false;
        } else if (is_in_health && line_has_key(&line, line.indent, "probes")) {
            is_in_probes = true;
            best = number;
        } else if (is_in_probes) {
            size_t from = line.indent;
            bool is_item = line.begin[from] == '-' && line.indent <= item_indent;
            if (is_item) {
                item_indent = line.indent;
                items++;
                best = items == place + 1 ? number : best;
                for (from++; from < line.len && line.begin[from] == ' '; from++) {
                }
            }
            if (items == place + 1 && line_has_key(&line, from, key)) {
                return number;
            }
        }
    }
    return best;
}

/* Says what is wrong with a setting of a probe, and returns ERR_INVALID. */
__attribute__((format(printf, 3, 4))) static enum err probe_complain(const struct probing *p,
                                                                     const char *key,
                                                                     const char *format, ...)
{
    unsigned long line = probe_line(p->text, p->place, key);
    va_list args;
    int at = snprintf(p->why, DAEMON_WHY_BYTES, "%s:%lu: health.probes: %s of %.40s ", p->file,
                      line, key, p->settings->name);

    va_start(args, format);
    if (at > 0 && at < DAEMON_WHY_BYTES) {
        (void)vsnprintf(p->why + at, (size_t)(DAEMON_WHY_BYTES - at), format, args);
    }
    va_end(args);
    return ERR_INVALID;
}

/* --- checks ---------------------------------------------------------------------------------- */

static enum err check_probe_name(const struct probing *p, const struct daemon_health_settings *all)
{
    const char *name = p->settings->name;

    if (strlen(name) >= HEALTH_APP_NAME_MAX_BYTES ||
        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") != strlen(name)) {
        return probe_complain(p, "name",
                              "is none; write at most %d of a to z, 0 to 9, \".\", \"_\" and \"-\"",
                              HEALTH_APP_NAME_MAX_BYTES - 1);
    }
    for (uint32_t i = 0; i < p->place; i++) {
        if (strcmp(all->probes[i].name, name) == 0) {
            return probe_complain(p, "name", "is another probe's; write another one");
        }
    }
    return OK;
}

/* Settings that belong to another kind say that something was meant that will not happen. */
static enum err check_probe_keys(const struct probing *p)
{
    const struct daemon_probe_settings *s = p->settings;
    const struct {
        const char *key;
        const void *value;
        bool is_allowed;
        const char *of;
    } table[] = {
        {"target", s->target, s->kind != APP_COMMAND, "tcp and http"},
        {"host", s->host, s->kind == APP_HTTP, "http"},
        {"status", s->status, s->kind == APP_HTTP, "http"},
        {"text", s->text, s->kind == APP_HTTP, "http"},
        {"command", s->command, s->kind == APP_COMMAND, "command"},
    };

    for (size_t i = 0; i < COUNT_OF(table); i++) {
        if (table[i].value != NULL && !table[i].is_allowed) {
            return probe_complain(p, table[i].key, "is for kind %s; take it out, or write that",
                                  table[i].of);
        }
    }
    return OK;
}

static enum err check_tcp(const struct probing *p, struct app_config *ret)
{
    const char *target = p->settings->target;

    if (target == NULL) {
        return probe_complain(p, "target",
                              "is missing; write where it listens, as in "
                              "\"target: 127.0.0.1:5432\"");
    }
    if (!daemon_endpoint_parse(target, &ret->at)) {
        return probe_complain(p, "target",
                              "\"%.80s\" is no host:port; write it as in 127.0.0.1:5432", target);
    }
    return OK;
}

static bool status_parse(const char *text, struct http_expect *ret)
{
    char *end = NULL;

    if (text[0] < '0' || text[0] > '9') {
        return false;
    }
    ret->status_min = (uint32_t)u64_min(strtoul(text, &end, 10), UINT32_MAX);
    ret->status_max = ret->status_min;
    if (*end == '-' && end[1] >= '0' && end[1] <= '9') {
        ret->status_max = (uint32_t)u64_min(strtoul(end + 1, &end, 10), UINT32_MAX);
    }
    return *end == '\0';
}

/* "[http://]host[:port][/path]". */
static bool url_parse(const char *url, struct app_config *ret)
{
    static const char scheme[] = "http://";
    char authority[WORLD_HOST_MAX_BYTES + 8];

    url += strncmp(url, scheme, strlen(scheme)) == 0 ? strlen(scheme) : 0;
    size_t n = strcspn(url, "/");

    if (n == 0 || n + sizeof ":80" > sizeof authority) {
        return false;
    }
    memcpy(authority, url, n);
    authority[n] = '\0';
    ret->http.path = url[n] == '/' ? url + n : "/";
    if (daemon_endpoint_parse(authority, &ret->at)) {
        return true;
    }
    (void)snprintf(authority + n, sizeof authority - n, ":%d", HTTP_PORT);
    return daemon_endpoint_parse(authority, &ret->at);
}

/* One setting after the other, so that a complaint names the one that it is about. */
static enum err check_expectation(const struct probing *p, const struct http_expect *expect)
{
    struct http_expect so_far = http_expect_of();
    const char *why = NULL;

    so_far.path = expect->path;
    if (http_expect_check(&so_far, &why) != OK) {
        return probe_complain(p, "target", "is wrong: %s", why);
    }
    so_far.host = expect->host;
    if (http_expect_check(&so_far, &why) != OK) {
        return probe_complain(p, "host", "is wrong: %s", why);
    }
    so_far.status_min = expect->status_min;
    so_far.status_max = expect->status_max;
    if (http_expect_check(&so_far, &why) != OK) {
        return probe_complain(p, "status", "is wrong: %s", why);
    }
    so_far.text = expect->text;
    return http_expect_check(&so_far, &why) == OK ? OK
                                                  : probe_complain(p, "text", "is wrong: %s", why);
}

static enum err check_http(const struct probing *p, struct app_config *ret)
{
    const struct daemon_probe_settings *s = p->settings;
    static const char tls[] = "https:";

    ret->http = http_expect_of();
    ret->http.host = s->host;
    ret->http.text = s->text;
    if (s->target == NULL) {
        return probe_complain(p, "target",
                              "is missing; write where it listens, as in "
                              "\"target: 127.0.0.1:8080/healthz\"");
    }
    if (strncmp(s->target, tls, strlen(tls)) == 0) {
        return probe_complain(p, "target",
                              "\"%.80s\" is encrypted, which is not spoken; write kind tcp, or "
                              "kind command with curl",
                              s->target);
    }
    if (!url_parse(s->target, ret)) {
        return probe_complain(p, "target",
                              "\"%.80s\" is no host:port/path; write it as in "
                              "127.0.0.1:8080/healthz",
                              s->target);
    }
    if (s->status != NULL && !status_parse(s->status, &ret->http)) {
        return probe_complain(p, "status", "\"%.40s\" is no range; write it as in 200-399",
                              s->status);
    }
    return check_expectation(p, &ret->http);
}

static enum err check_program(const struct probing *p, struct daemon_probe *ret)
{
    const struct daemon_probe_settings *s = p->settings;
    const char *why = NULL;

    if (s->command == NULL || s->command_count == 0) {
        return probe_complain(p, "command",
                              "is missing; write the program and its arguments, as "
                              "in \"command: [/usr/bin/pg_isready, -q]\"");
    }
    for (uint32_t i = 0; i < s->command_count; i++) {
        ret->arguments[i] = s->command[i];
    }
    ret->app.app.arguments = ret->arguments;
    ret->app.app.environment = command_environment;
    if (app_config_check(&ret->app.app, &why) != OK) {
        return probe_complain(p, "command", "\"%.80s\" is none: %s", s->command[0], why);
    }
    return OK;
}

static uint64_t number_or(uint64_t number, uint64_t otherwise)
{
    return number != 0 ? number : otherwise;
}

static enum err check_times(const struct probing *p, struct probe_config *ret)
{
    const struct daemon_probe_settings *s = p->settings;
    const struct probe_config usual = probe_config_of();
    uint64_t period_ms = number_or(s->period_ms, usual.period / NANOS_PER_MS);
    uint64_t timeout_ms =
        number_or(s->timeout_ms, u64_min(usual.timeout / NANOS_PER_MS, period_ms));
    uint64_t failures = number_or(s->failures, usual.failures);
    uint64_t successes = number_or(s->successes, usual.successes);

    if (period_ms < PERIOD_MS_MIN || period_ms > PROBE_SPAN_MAX / NANOS_PER_MS) {
        return probe_complain(p, "period_ms", "must lie between %d and a day", PERIOD_MS_MIN);
    }
    if (timeout_ms > period_ms) {
        return probe_complain(p, "timeout_ms",
                              "is longer than its period of %llu; write at most that",
                              (unsigned long long)period_ms);
    }
    if (failures > IN_ROW_MAX || successes > IN_ROW_MAX) {
        return probe_complain(p, failures > IN_ROW_MAX ? "failures" : "successes",
                              "is more than %d in a row", IN_ROW_MAX);
    }
    *ret = usual;
    ret->is_asked = true;
    ret->period = period_ms * NANOS_PER_MS;
    ret->timeout = timeout_ms * NANOS_PER_MS;
    ret->failures = (uint32_t)failures;
    ret->successes = (uint32_t)successes;
    return probe_config_check(ret);
}

static enum err check_probe(const struct probing *p, const struct daemon_health_settings *all,
                            struct daemon_probe *ret)
{
    TRY(check_probe_name(p, all));
    TRY(check_probe_keys(p));
    TRY(check_times(p, &ret->app.times));
    ret->app.name = p->settings->name;
    ret->app.app.kind = p->settings->kind;
    switch (p->settings->kind) {
    case APP_TCP:
        return check_tcp(p, &ret->app.app);
    case APP_HTTP:
        return check_http(p, &ret->app.app);
    case APP_COMMAND:
        return check_program(p, ret);
    case APP_KINDS:
        break;
    }
    CHECK(false);
    return ERR_INVALID;
}

enum err daemon_config_check_probes(const char *name, struct bytes text, char why[DAEMON_WHY_BYTES],
                                    struct daemon_config *config)
{
    const struct daemon_health_settings *health = &config->settings->health;

    if (health->probes_count == 0) {
        return OK;
    }
    config->probes = mem_alloc_zero(health->probes_count * sizeof *config->probes);
    for (uint32_t i = 0; i < health->probes_count; i++) {
        const struct probing p = {name, text, why, &health->probes[i], i};
        if (health->off) {
            return probe_complain(&p, "name", "is not asked with health.off; take one of them out");
        }
        TRY(check_probe(&p, health, &config->probes[i]));
    }
    return OK;
}
