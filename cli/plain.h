/*
 * Texts that came from a cluster, for a terminal: names and reasons may be anything, and what is no
 * printable character of ASCII becomes a question mark, so that nobody's name moves a cursor.
 */
#ifndef NOVACRON_CLI_PLAIN_H
#define NOVACRON_CLI_PLAIN_H

#include <stddef.h>

/* Copies what fits, with a final zero; returns `ret`. `n` > 0. */
const char *plain_copy(const char *text, char *ret, size_t n);

#endif
