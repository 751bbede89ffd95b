/*
 * porcupine-histories: judges the histories that Porcupine's tests are made of, and compares with
 * what a correct checker says of them. They lie in shared/conformance/histories/porcupine beside
 * the checkout, or in $NOVACRON_SHARED; VERDICTS there names each file and its verdict.
 *
 *     porcupine-histories --conformance SOURCE_ROOT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "core/chaos/check/history.h"
#include "tests/support/text.h"

#define EXIT_SKIPPED 77
#define PATH_BYTES   4096
#define READ_BYTES   ((size_t)1 << 16)

static bool read_file_of(const char *folder, struct bytes name, struct buf *out)
{
    char path[PATH_BYTES];
    int n = snprintf(path, sizeof(path), "%s/%.*s", folder, (int)name.len, (const char *)name.data);
    CHECK(n > 0 && (size_t)n < sizeof(path));
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        return false;
    }
    size_t got = 0;
    do {
        uint8_t *room = buf_extend(out, READ_BYTES);
        got = fread(room, 1, READ_BYTES, f);
        out->len -= READ_BYTES - got;
    } while (got > 0);
    bool good = ferror(f) == 0;
    (void)fclose(f);
    return good;
}

/* The verdict, or why there is none. */
static const char *judge_file(struct lin *lin, const char *folder, struct bytes name)
{
    const char *said = "unreadable";
    struct buf text;
    struct history h;
    buf_init(&text);
    history_init(&h);
    if (read_file_of(folder, name, &text) && history_read(&h, buf_view(&text)) == OK) {
        struct lin_report report;
        lin_check(lin, h.ops, h.count, &h.strings, NULL, &report, NULL);
        said = report.verdict == LIN_LINEARIZABLE       ? "linearizable"
               : report.verdict == LIN_NOT_LINEARIZABLE ? "not-linearizable"
                                                        : "undecided";
        /* What a history is shrunk to contradicts itself as well. */
        if (report.verdict == LIN_NOT_LINEARIZABLE && report.part_count == 0) {
            said = "not-linearizable, without a part that fails";
        }
    }
    history_deinit(&h);
    buf_deinit(&text);
    return said;
}

/* A line of VERDICTS: a name, a space, a verdict. */
static bool judge_line(struct lin *lin, const char *folder, struct bytes line)
{
    const uint8_t *space = memchr(line.data, ' ', line.len);
    if (space == NULL) {
        return false;
    }
    struct bytes name = {line.data, (size_t)(space - line.data)};
    struct bytes expected = {space + 1, line.len - name.len - 1};
    const char *said = judge_file(lin, folder, name);
    bool good = text_equal(expected, (struct bytes){(const uint8_t *)said, strlen(said)});
    printf("%s - %.*s: %s\n", good ? "ok" : "not ok", (int)name.len, (const char *)name.data, said);
    return good;
}

static int judge_folder(const char *folder)
{
    struct buf verdicts;
    buf_init(&verdicts);
    if (!read_file_of(folder, (struct bytes){(const uint8_t *)"VERDICTS", 8}, &verdicts)) {
        printf("skipped: Porcupine's histories are not at %s\n", folder);
        buf_deinit(&verdicts);
        return EXIT_SKIPPED;
    }
    struct lin_limits limits = lin_limits_plain();
    struct lin *lin = lin_open(&limits);
    struct bytes rest = buf_view(&verdicts);
    struct bytes line;
    unsigned good = 0;
    unsigned count = 0;
    while (text_next_line(&rest, &line)) {
        if (!text_is_blank(line)) {
            count++;
            good += judge_line(lin, folder, line) ? 1 : 0;
        }
    }
    lin_close(lin);
    buf_deinit(&verdicts);
    printf("%u of %u verdicts are right\n", good, count);
    return count > 0 && good == count ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc != 3 || strcmp(argv[1], "--conformance") != 0) {
        fprintf(stderr, "usage: porcupine-histories --conformance SOURCE_ROOT\n");
        return 2;
    }
    const char *shared = getenv("NOVACRON_SHARED");
    char folder[PATH_BYTES];
    int n = shared != NULL && *shared != '\0'
                ? snprintf(folder, sizeof(folder), "%s/conformance/histories/porcupine", shared)
                : snprintf(folder, sizeof(folder), "%s/../shared/conformance/histories/porcupine",
                           argv[2]);
    CHECK(n > 0 && (size_t)n < sizeof(folder));
    return judge_folder(folder);
}
