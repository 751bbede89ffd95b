/*
 * Progress of long work, for people: one line on standard error that is drawn over, and gone at the
 * end. Where standard error is no terminal there is none. Draws a few times a second at most, so
 * that it may be told of every record.
 */
#ifndef NOVACRON_CLI_PROGRESS_H
#define NOVACRON_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/types.h"

#define PROGRESS_BYTES 120

struct progress {
    const char *what; /* "snapshot save"; borrowed */
    bool is_shown;
    bool is_drawn;
    uint64_t began_ms;
    uint64_t drawn_ms;
};

void progress_begin(struct progress *p, const char *what);

/* So many bytes are done, of `total`; 0: nobody knows of how many. */
void progress_tell(struct progress *p, uint64_t bytes, uint64_t total);

/* Takes the line away. */
void progress_end(struct progress *p);

/* The line for that, after so much time; what progress_tell draws. */
void progress_line(char line[PROGRESS_BYTES], const char *what, uint64_t bytes, uint64_t total,
                   uint64_t spent_ms);

#endif
