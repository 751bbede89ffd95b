/* Writes words, numbers and times for people into a buffer. */
#ifndef NOVACRON_CHAOS_CHECK_SAY_H
#define NOVACRON_CHAOS_CHECK_SAY_H

#include "core/base/buf.h"

void say_words(struct buf *out, const char *words);
void say_u64(struct buf *out, uint64_t v);

/* "12.345678901 s". */
void say_time(struct buf *out, nanos t);

/* Spaces up to column `column`, counted from the byte `begin` of the buffer; at least one. */
void say_column(struct buf *out, size_t begin, size_t column);

#endif
