/*
 * Protobuf messages as text, so that a test's table can hold them: fields by number, each a number,
 * a string in quotes ("\0" is a zero byte) or a message in braces:
 *
 *     1:'key' 3:7 2:{1:'a' 2:-1}
 */
#ifndef NOVACRON_TESTS_SUPPORT_PB_TEXT_H
#define NOVACRON_TESTS_SUPPORT_PB_TEXT_H

#include "core/base/buf.h"

/* Appends the message; fails the test where the text is none. */
void pb_text_encode(struct buf *b, const char *text);

/* Asserts that the message has these bytes, but for its field 1 where `skips_header`. */
void pb_text_assert(struct bytes message, bool skips_header, const char *text);

/* Prints the message as text, as far as one can guess: for failures. */
void pb_text_print(struct bytes message);

#endif
