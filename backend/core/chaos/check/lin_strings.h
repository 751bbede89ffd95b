/* Strings as small numbers: equal strings have equal ids, so that a state which is a string is
 * compared in one step. Id 0 is the empty string. */
#ifndef NOVACRON_CHAOS_CHECK_LIN_STRINGS_H
#define NOVACRON_CHAOS_CHECK_LIN_STRINGS_H

#include "core/base/buf.h"

struct lin_string {
    size_t at; /* in `bytes` */
    size_t len;
    uint64_t hash;
};

struct lin_strings {
    struct buf bytes;
    struct lin_string *strings; /* by id */
    uint32_t count;
    size_t cap;
    uint32_t *slots; /* open addressing: an id, or 0 for none */
    uint32_t slot_mask;
};

void lin_strings_init(struct lin_strings *s);
void lin_strings_deinit(struct lin_strings *s);

/* The id of a string. */
uint32_t lin_strings_intern(struct lin_strings *s, struct bytes string);

/* The id of `a` followed by `b`. */
uint32_t lin_strings_join(struct lin_strings *s, uint32_t a, uint32_t b);

/* Valid until the next string is added. */
struct bytes lin_strings_get(const struct lin_strings *s, uint32_t id);

/* Does `of` begin with `prefix`? */
bool lin_strings_is_prefix(const struct lin_strings *s, uint32_t prefix, uint32_t of);

/* Forgets the ids from `count` on. */
void lin_strings_truncate(struct lin_strings *s, uint32_t count);

#endif
