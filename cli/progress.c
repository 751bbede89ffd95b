#include "cli/progress.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* Between two lines; the first comes after it, so that quick work shows none. */
#define DRAW_EVERY_MS 200

/* Before that, a rate is a guess. */
#define RATE_AFTER_MS 1000

static uint64_t clock_ms(void)
{
    struct timespec t = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void progress_begin(struct progress *p, const char *what)
{
    *p = (struct progress){.what = what, .is_shown = isatty(STDERR_FILENO) == 1};
    p->began_ms = clock_ms();
    p->drawn_ms = p->began_ms;
}

void progress_line(char line[PROGRESS_BYTES], const char *what, uint64_t bytes, uint64_t total,
                   uint64_t spent_ms)
{
    double rate = spent_ms > 0 ? (double)bytes / (double)spent_ms / 1e3 : 0; /* MB/s */
    char rest[64] = "";
    if (spent_ms >= RATE_AFTER_MS && total > bytes && bytes > 0) {
        double left = (double)(total - bytes) / 1e6 / rate;
        (void)snprintf(rest, sizeof rest, ", %.0f MB/s, %.0f s left", rate, left);
    } else if (spent_ms >= RATE_AFTER_MS) {
        (void)snprintf(rest, sizeof rest, ", %.0f MB/s", rate);
    }
    if (total > 0) {
        (void)snprintf(line, PROGRESS_BYTES, "%s: %.1f of %.1f MB, %.0f%%%s", what,
                       (double)bytes / 1e6, (double)total / 1e6,
                       (double)bytes * 100 / (double)total, rest);
    } else {
        (void)snprintf(line, PROGRESS_BYTES, "%s: %.1f MB%s", what, (double)bytes / 1e6, rest);
    }
}

void progress_tell(struct progress *p, uint64_t bytes, uint64_t total)
{
    uint64_t now = p->is_shown ? clock_ms() : 0;
    char line[PROGRESS_BYTES];
    if (!p->is_shown || now - p->drawn_ms < DRAW_EVERY_MS) {
        return;
    }
    progress_line(line, p->what, bytes, total, now - p->began_ms);
    (void)fprintf(stderr, "\r%s\033[K", line);
    p->drawn_ms = now;
    p->is_drawn = true;
}

void progress_end(struct progress *p)
{
    if (p->is_drawn) {
        (void)fputs("\r\033[K", stderr);
        p->is_drawn = false;
    }
}
