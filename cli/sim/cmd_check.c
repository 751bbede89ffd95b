/* `novacron-sim check`: judges a history that was written to a file. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/sim/sim_commands.h"
#include "core/base/buf.h"

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

enum cli_exit cmd_check(const struct cli_call *call)
{
    struct buf text;
    buf_init(&text);
    bool readable = read_history_file(call->arguments[0], &text);
    if (readable) {
        (void)fprintf(stderr, "novacron-sim check: %s: no checker reads this format\n",
                      call->arguments[0]);
    }
    buf_deinit(&text);
    return CLI_UNREADABLE;
}
