#include "tests/support/datadriven.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "tests/support/text.h"

#define SCRIPT_FENCE "----"

/* --- reading --------------------------------------------------------------------------------- */

struct script_reader {
    const char *path;
    struct bytes rest;
    unsigned line;     /* of the line taken last */
    struct buf copy;   /* every line up to the expected output, for rewriting */
    struct buf words;  /* the command, its words ended by zeros */
    bool blank_behind; /* a blank line ended the expected output */
    bool double_fence;
    const char *error; /* why the script is malformed; NULL: it is not */
};

static bool reader_line(struct script_reader *r, struct bytes *ret)
{
    if (!text_next_line(&r->rest, ret)) {
        return false;
    }
    r->line++;
    return true;
}

static void reader_keep(struct script_reader *r, struct bytes line)
{
    buf_put(&r->copy, line.data, line.len);
    buf_put_u8(&r->copy, '\n');
}

static bool line_is(struct bytes line, const char *text)
{
    return text_equal(line, (struct bytes){(const uint8_t *)text, strlen(text)});
}

static struct bytes without_blank_ends(struct bytes text)
{
    while (text.len > 0 && isspace(text.data[0])) {
        text.data++;
        text.len--;
    }
    while (text.len > 0 && isspace(text.data[text.len - 1])) {
        text.len--;
    }
    return text;
}

/* The next line that is neither blank nor a comment, with what it is continued by; false at the
 * end. Leaves it in `words`, ended by a zero. */
static bool reader_command_line(struct script_reader *r)
{
    struct bytes line;
    while (reader_line(r, &line)) {
        reader_keep(r, line);
        struct bytes text = without_blank_ends(line);
        if (text.len == 0 || text.data[0] == '#') {
            continue;
        }
        buf_clear(&r->words);
        while (text.len > 0 && text.data[text.len - 1] == '\\' && reader_line(r, &line)) {
            reader_keep(r, line);
            buf_put(&r->words, text.data, text.len - 1);
            buf_put_u8(&r->words, ' ');
            text = without_blank_ends(line);
        }
        buf_put(&r->words, text.data, text.len);
        buf_put_u8(&r->words, 0);
        return true;
    }
    return false;
}

/* Splits "(1, 2)" at its commas. `at` is behind the opening parenthesis; returns what follows the
 * closing one, or NULL. */
static char *split_values(char *at, struct script_arg *arg)
{
    char *end = strchr(at, ')');
    if (!end) {
        return NULL;
    }
    *end = '\0';
    while (*at != '\0' && arg->n < SCRIPT_VALUES_MAX) {
        at += strspn(at, " ");
        char *comma = strchr(at, ',');
        char *next = comma ? comma + 1 : at + strlen(at);
        if (comma) {
            *comma = '\0';
        }
        for (size_t n = strlen(at); n > 0 && at[n - 1] == ' '; n--) {
            at[n - 1] = '\0';
        }
        arg->values[arg->n++] = at;
        at = next;
    }
    return end + 1;
}

/* Reads one argument at `at`, which is no space; returns what follows it, or NULL. */
static char *split_argument(char *at, struct script_arg *arg)
{
    memset(arg, 0, sizeof(*arg));
    arg->key = at;
    at += strcspn(at, " =");
    if (*at != '=') {
        char *next = *at == '\0' ? at : at + 1;
        *at = '\0';
        return next;
    }
    *at++ = '\0';
    if (*at == '(') {
        return split_values(at + 1, arg);
    }
    arg->values[arg->n++] = at;
    at += strcspn(at, " ");
    char *next = *at == '\0' ? at : at + 1;
    *at = '\0';
    return next;
}

static bool split_command(struct script_reader *r, struct script_command *c)
{
    char *at = (char *)r->words.data;
    c->name = at;
    at += strcspn(at, " ");
    if (*at != '\0') {
        *at++ = '\0';
    }
    for (at += strspn(at, " "); *at != '\0'; at += strspn(at, " ")) {
        if (c->arg_count == SCRIPT_ARGS_MAX) {
            r->error = "too many arguments";
            return false;
        }
        at = split_argument(at, &c->args[c->arg_count++]);
        if (!at) {
            r->error = "a list without its closing parenthesis";
            return false;
        }
    }
    return true;
}

/* Up to the fence. False where there is none: the command prints nothing. */
static bool reader_input(struct script_reader *r, struct script_command *c)
{
    struct bytes input = {r->rest.data, 0};
    struct bytes line;
    bool fenced = false;
    while (!fenced && reader_line(r, &line)) {
        fenced = line_is(line, SCRIPT_FENCE);
        if (!fenced) {
            reader_keep(r, line);
            input.len = (size_t)(line.data + line.len - input.data);
        }
    }
    c->input = without_blank_ends(input);
    return fenced;
}

/* Output between double fences: up to two fences in a row. */
static void reader_fenced_output(struct script_reader *r, struct script_command *c)
{
    struct bytes line;
    struct bytes output = {r->rest.data, 0};
    bool fence_before = false;
    while (reader_line(r, &line)) {
        bool fence = line_is(line, SCRIPT_FENCE);
        if (fence && fence_before) {
            c->expected = output;
            r->blank_behind = reader_line(r, &line);
            return;
        }
        if (!fence) {
            output.len = (size_t)(line.data + line.len + 1 - output.data);
        }
        fence_before = fence;
    }
    r->error = "a double fence that is never closed";
}

static void reader_output(struct script_reader *r, struct script_command *c)
{
    struct bytes line;
    struct bytes output = {r->rest.data, 0};
    while (reader_line(r, &line)) {
        if (output.len == 0 && line_is(line, SCRIPT_FENCE)) {
            r->double_fence = true;
            reader_fenced_output(r, c);
            return;
        }
        if (text_is_blank(line)) {
            r->blank_behind = true;
            break;
        }
        output.len = (size_t)(line.data + line.len - output.data);
        output.len += r->rest.data > line.data + line.len;
    }
    c->expected = output;
}

/* The next command; false at the end, and where the script is malformed. */
static bool reader_next(struct script_reader *r, struct script_command *c)
{
    memset(c, 0, sizeof(*c));
    r->blank_behind = false;
    r->double_fence = false;
    if (!reader_command_line(r)) {
        return false;
    }
    c->path = r->path;
    c->line = r->line;
    if (!split_command(r, c)) {
        return false;
    }
    if (reader_input(r, c)) {
        reader_output(r, c);
    }
    return r->error == NULL;
}

static bool read_file(const char *path, struct buf *ret)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        return false;
    }
    uint8_t block[4096];
    for (size_t n; (n = fread(block, 1, sizeof(block), file)) > 0;) {
        buf_put(ret, block, n);
    }
    bool whole = !ferror(file);
    (void)fclose(file);
    return whole;
}

/* --- judging --------------------------------------------------------------------------------- */

static void end_with_newline(struct buf *text)
{
    if (text->len > 0 && text->data[text->len - 1] != '\n') {
        buf_put_u8(text, '\n');
    }
}

static void judge(const struct script_command *c, const struct script_language *language,
                  const struct buf *printed, struct script_totals *totals)
{
    struct buf expected;
    struct buf actual;
    buf_init(&expected);
    buf_init(&actual);
    buf_put(&expected, c->expected.data, c->expected.len);
    buf_put(&actual, printed->data, printed->len);
    end_with_newline(&expected);
    if (language->reduce) {
        language->reduce(&expected);
        language->reduce(&actual);
    }
    if (text_equal(buf_view(&expected), buf_view(&actual))) {
        totals->passed++;
    } else {
        totals->failed++;
        printf("%s:%u: %s\n", c->path, c->line, c->name);
        text_print_diff(stdout, buf_view(&expected), buf_view(&actual));
        printf("\n");
    }
    buf_deinit(&expected);
    buf_deinit(&actual);
}

static bool has_blank_line(struct bytes text)
{
    struct bytes line;
    while (text_next_line(&text, &line)) {
        if (text_is_blank(line)) {
            return true;
        }
    }
    return false;
}

/* The command as it stood, with what it printed now. */
static void rewrite_command(struct script_reader *r, const struct buf *printed)
{
    bool fenced = has_blank_line(buf_view(printed));
    text_add(&r->copy, "%s", fenced ? "----\n----\n" : "----\n");
    buf_put(&r->copy, printed->data, printed->len);
    text_add(&r->copy, "%s%s", fenced ? "----\n----\n" : "", r->blank_behind ? "\n" : "");
}

static bool write_file(const char *path, const struct buf *text)
{
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(text->data, 1, text->len, file) != text->len) {
        perror(path);
        if (file) {
            (void)fclose(file);
        }
        return false;
    }
    if (fclose(file) != 0) {
        perror(path);
        return false;
    }
    return true;
}

bool script_run(const char *path, const struct script_language *language, void *state, bool rewrite,
                struct script_totals *totals)
{
    struct buf text;
    buf_init(&text);
    if (!read_file(path, &text)) {
        buf_deinit(&text);
        return false;
    }
    struct script_reader r = {.path = path, .rest = buf_view(&text)};
    struct buf printed;
    buf_init(&printed);
    struct script_command c;
    while (reader_next(&r, &c)) {
        buf_clear(&printed);
        language->run(state, &c, &printed);
        end_with_newline(&printed);
        if (rewrite) {
            rewrite_command(&r, &printed);
        } else if (!language->compares || language->compares(&c)) {
            judge(&c, language, &printed, totals);
        }
    }
    bool good = r.error == NULL;
    if (!good) {
        printf("%s:%u: %s\n", path, r.line, r.error);
    } else if (rewrite) {
        good = write_file(path, &r.copy);
    }
    buf_deinit(&printed);
    buf_deinit(&r.copy);
    buf_deinit(&r.words);
    buf_deinit(&text);
    return good;
}

/* --- arguments ------------------------------------------------------------------------------- */

const struct script_arg *script_arg_find(const struct script_command *c, const char *key)
{
    for (size_t i = 0; i < c->arg_count; i++) {
        if (strcmp(c->args[i].key, key) == 0) {
            return &c->args[i];
        }
    }
    return NULL;
}

bool script_number(const char *text, uint64_t *ret)
{
    if (!isdigit((unsigned char)*text)) {
        return false;
    }
    char *end = NULL;
    errno = 0;
    uint64_t v = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0') {
        return false;
    }
    *ret = v;
    return true;
}
