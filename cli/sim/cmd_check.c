/* `novacron-sim check`: judges a history that was written to a file. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/sim/sim_commands.h"
#include "core/chaos/check/history.h"

/* The options, in the order of the table. */
enum { OPTION_JSON };

/* A history larger than this is no history of ours. */
#define HISTORY_BYTES_MAX ((size_t)256 << 20)

#define READ_STEP_BYTES ((size_t)1 << 16)

/* The whole file; says why on stderr where it cannot be read. */
static bool read_history_file(const char *path, struct buf *text)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        (void)fprintf(stderr, "novacron-sim check: %s: %s\n", path, strerror(errno));
        return false;
    }
    size_t n = READ_STEP_BYTES;
    while (n == READ_STEP_BYTES && text->len <= HISTORY_BYTES_MAX) {
        buf_reserve(text, READ_STEP_BYTES);
        n = fread(text->data + text->len, 1, READ_STEP_BYTES, f);
        text->len += n;
    }
    bool failed = ferror(f) != 0;
    (void)fclose(f);
    if (failed || text->len > HISTORY_BYTES_MAX) {
        (void)fprintf(stderr, "novacron-sim check: %s: %s\n", path,
                      failed ? "it cannot be read" : "it is larger than 256 MiB");
        return false;
    }
    return true;
}

static void print_json_string(const struct buf *text)
{
    (void)putchar('"');
    for (size_t i = 0; i < text->len; i++) {
        uint8_t c = text->data[i];
        if (c == '"' || c == '\\') {
            (void)printf("\\%c", c);
        } else if (c < ' ' || c > '~') {
            (void)printf("\\u%04x", c);
        } else {
            (void)putchar(c);
        }
    }
    (void)putchar('"');
}

static void print_json_name(const char *field, const struct history *h, uint64_t id)
{
    struct lin_names names = history_names(h);
    struct buf name;
    buf_init(&name);
    if (id != 0) {
        names.value(names.ctx, id, &name);
    }
    (void)printf(",\"%s\":", field);
    if (id != 0) {
        print_json_string(&name);
    } else {
        (void)fputs("null", stdout);
    }
    buf_deinit(&name);
}

static void print_json_operation(const struct history *h, const struct lin_culprit *culprit)
{
    const struct lin_op *o = &h->ops[culprit->op];
    (void)printf("{\"process\":%" PRIu32 ",\"kind\":\"%s\"", o->process,
                 lin_kind_text((enum lin_kind)o->kind));
    print_json_name("key", h, o->key);
    if (o->kind == LIN_CAS || o->kind == LIN_CAS_MISS) {
        print_json_name("expected", h, o->expected);
    }
    print_json_name("value", h, o->value);
    (void)printf(",\"invoked\":%" PRIu64, o->invoked);
    if (o->outcome == LIN_OK) {
        (void)printf(",\"returned\":%" PRIu64 ",\"revision\":%" PRIu64, o->returned, o->revision);
    }
    (void)printf(",\"open\":%s}", culprit->is_open ? "true" : "false");
}

static void print_json(const struct history *h, const struct lin_report *report)
{
    (void)printf("{\"verdict\":\"%s\",\"operations\":%zu,\"keys\":%" PRIu32 ",\"steps\":%" PRIu64
                 ",\"part\":[",
                 lin_verdict_text(report->verdict), h->count, report->keys, report->steps);
    for (size_t i = 0; i < report->part_count; i++) {
        (void)fputs(i == 0 ? "" : ",", stdout);
        print_json_operation(h, &report->part[i]);
    }
    (void)puts("]}");
}

static enum cli_exit judge_history(struct history *h, bool json)
{
    struct lin_limits limits = lin_limits_plain();
    struct lin *lin = lin_open(&limits);
    struct lin_names names = history_names(h);
    struct lin_report report;
    struct buf text;
    buf_init(&text);
    lin_check(lin, h->ops, h->count, &h->strings, &names, &report, &text);
    if (json) {
        print_json(h, &report);
    } else if (report.verdict == LIN_LINEARIZABLE) {
        (void)printf("linearizable: %zu operations on %" PRIu32 " keys, %" PRIu64 " steps\n",
                     h->count, report.keys, report.steps);
    } else {
        (void)fwrite(text.data, 1, text.len, stdout);
    }
    buf_deinit(&text);
    lin_close(lin);
    return report.verdict == LIN_LINEARIZABLE       ? CLI_OK
           : report.verdict == LIN_NOT_LINEARIZABLE ? CLI_DAMAGED
                                                    : CLI_UNREADABLE;
}

enum cli_exit cmd_check(const struct cli_call *call)
{
    const char *path = call->arguments[0];
    enum cli_exit result = CLI_UNREADABLE;
    struct history h;
    struct buf text;
    history_init(&h);
    buf_init(&text);
    if (read_history_file(path, &text)) {
        if (history_read(&h, buf_view(&text)) == OK) {
            result = judge_history(&h, call->options[OPTION_JSON] != NULL);
        } else {
            (void)fprintf(stderr, "novacron-sim check: %s, line %zu: %s\n", path, h.error_line,
                          h.error);
        }
    }
    buf_deinit(&text);
    history_deinit(&h);
    return result;
}
