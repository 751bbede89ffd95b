/*
 * Text that a program compares: built in a buffer, and shown line by line where it differs.
 */
#ifndef NOVACRON_TESTS_SUPPORT_TEXT_H
#define NOVACRON_TESTS_SUPPORT_TEXT_H

#include <stdio.h>

#include "core/base/buf.h"

/* Appends formatted text, without a closing zero. */
__attribute__((format(printf, 2, 3))) void text_add(struct buf *b, const char *format, ...);

/* Appends the lines of `text`, each behind `prefix`. */
void text_add_indented(struct buf *b, const char *prefix, struct bytes text);

/* Takes the next line off `*rest`, without its newline. False at the end. */
bool text_next_line(struct bytes *rest, struct bytes *ret_line);

bool text_equal(struct bytes a, struct bytes b);

/* Is it empty but for spaces and tabs? */
bool text_is_blank(struct bytes line);

/* Prints both, common lines once, what is expected and missing behind `-`, what was not expected
 * behind `+`. */
void text_print_diff(FILE *file, struct bytes expected, struct bytes actual);

#endif
