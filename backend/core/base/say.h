/*
 * Text for people, put together in a buffer without a C library: what a core has to say about
 * itself (a violation, a line of a timeline) and somebody above it prints.
 */
#ifndef NOVACRON_BASE_SAY_H
#define NOVACRON_BASE_SAY_H

#include "core/base/buf.h"
#include "core/base/types.h"

/* Appends without a closing zero. */
void say(struct buf *b, const char *text);
void say_u64(struct buf *b, uint64_t number);
void say_i64(struct buf *b, int64_t number);
void say_hex(struct buf *b, uint64_t number);

/* "12.003450s": seconds with six decimals, cut off; "12.003450001 s", with all nine. */
void say_seconds(struct buf *b, nanos time);
void say_time(struct buf *b, nanos time);

/* Spaces up to column `column`, counted from the byte `begin` of the buffer; at least one. */
void say_column(struct buf *b, size_t begin, size_t column);

/* The text, closed by a zero that is not counted in `len`; valid until the next change. */
const char *say_end(struct buf *b);

#endif
