#include "tests/support/text.h"

#include <stdarg.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"

void text_add(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    CHECK(len >= 0);
    /* vsnprintf ends with a zero, which is taken back. */
    char *at = (char *)buf_extend(b, (size_t)len + 1);
    (void)vsnprintf(at, (size_t)len + 1, format, again);
    va_end(again);
    b->len--;
}

bool text_next_line(struct bytes *rest, struct bytes *ret_line)
{
    if (rest->len == 0) {
        return false;
    }
    const uint8_t *newline = memchr(rest->data, '\n', rest->len);
    size_t len = newline ? (size_t)(newline - rest->data) : rest->len;
    *ret_line = (struct bytes){rest->data, len};
    size_t taken = newline ? len + 1 : len;
    *rest = (struct bytes){rest->data + taken, rest->len - taken};
    return true;
}

void text_add_indented(struct buf *b, const char *prefix, struct bytes text)
{
    struct bytes line;
    while (text_next_line(&text, &line)) {
        text_add(b, "%s", prefix);
        buf_put(b, line.data, line.len);
        buf_put_u8(b, '\n');
    }
}

bool text_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool text_is_blank(struct bytes line)
{
    for (size_t i = 0; i < line.len; i++) {
        if (line.data[i] != ' ' && line.data[i] != '\t') {
            return false;
        }
    }
    return true;
}

/* --- the diff -------------------------------------------------------------------------------- */

struct text_lines {
    struct bytes *line; /* owned */
    size_t n;
    size_t cap;
};

static struct text_lines text_split(struct bytes text)
{
    struct text_lines lines = {0};
    struct bytes line;
    while (text_next_line(&text, &line)) {
        mem_grow((void **)&lines.line, &lines.cap, lines.n + 1, sizeof(lines.line[0]));
        lines.line[lines.n++] = line;
    }
    return lines;
}

/* common[i * (b.n + 1) + j]: how many lines a[i..] and b[j..] have in common, in order. */
static uint32_t *text_count_common(const struct text_lines *a, const struct text_lines *b)
{
    size_t row = b->n + 1;
    uint32_t *common = mem_alloc_zero((a->n + 1) * row * sizeof(*common));
    for (size_t i = a->n; i-- > 0;) {
        for (size_t j = b->n; j-- > 0;) {
            uint32_t skip_a = common[(i + 1) * row + j];
            uint32_t skip_b = common[i * row + j + 1];
            uint32_t best = skip_a > skip_b ? skip_a : skip_b;
            common[i * row + j] =
                text_equal(a->line[i], b->line[j]) ? common[(i + 1) * row + j + 1] + 1 : best;
        }
    }
    return common;
}

static void text_print_line(FILE *file, char mark, struct bytes line)
{
    fprintf(file, "%c %.*s\n", mark, (int)line.len, (const char *)line.data);
}

void text_print_diff(FILE *file, struct bytes expected, struct bytes actual)
{
    struct text_lines a = text_split(expected);
    struct text_lines b = text_split(actual);
    uint32_t *common = text_count_common(&a, &b);
    size_t row = b.n + 1;
    size_t i = 0;
    size_t j = 0;
    while (i < a.n || j < b.n) {
        if (i < a.n && j < b.n && text_equal(a.line[i], b.line[j])) {
            text_print_line(file, ' ', a.line[i]);
            i++;
            j++;
        } else if (i < a.n && (j == b.n || common[(i + 1) * row + j] >= common[i * row + j + 1])) {
            text_print_line(file, '-', a.line[i++]);
        } else {
            text_print_line(file, '+', b.line[j++]);
        }
    }
    mem_free(common);
    mem_free(a.line);
    mem_free(b.line);
}
