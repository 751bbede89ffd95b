/*
 * JSON [RFC8259], read in place and written directly. Nothing is allocated, nothing is copied but
 * strings into the caller's fields, and the same bytes give the same answer everywhere.
 *
 * json_scan checks a whole text once; what else reads here takes values of a text that it has
 * passed, and trusts it. Stricter than the RFC where that costs an operator nothing: a text is one
 * value, nested no deeper than JSON_NESTING_MAX, in UTF-8, without U+0000 and without surrogates
 * that stand alone. A key that an object has twice is the reader's to find.
 *
 * The protobuf mapping of the API (api/json_wire.h) reads with jansson: it takes floating-point
 * numbers and streams of objects, which the core has no use for.
 */
#ifndef NOVACRON_BASE_JSON_H
#define NOVACRON_BASE_JSON_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/types.h"

/* Objects and arrays inside each other, at most. */
#define JSON_NESTING_MAX 32

enum json_shape {
    JSON_IS_OBJECT,
    JSON_IS_ARRAY,
    JSON_IS_STRING,
    JSON_IS_NUMBER,
    JSON_IS_BOOL,
    JSON_IS_NULL
};

/* What is wrong with a text, and at which byte. */
struct json_fault {
    size_t at;
    const char *what; /* static */
};

/* Is it one well-formed value, with white space around it at most? `*value` is that value, without
 * the space. ERR_INVALID: no, and `*fault` says why. */
MUST_USE enum err json_scan(struct bytes text, struct bytes *value, struct json_fault *fault);

/* "an object", "a string", ...: static. */
const char *json_shape_name(enum json_shape shape);

enum json_shape json_shape_of(struct bytes value);

/* The members of an object or the items of an array, in their order. */
struct json_walk {
    const uint8_t *at;
    const uint8_t *end;
    bool has_keys;
};

void json_walk_begin(struct json_walk *w, struct bytes value);

/* The next; false: there is none. `key`: the key, as a string with its quotes; of an array empty.
 */
bool json_walk_next(struct json_walk *w, struct bytes *key, struct bytes *value);

/* The text of a string, with a final zero and, where `size` is too small, cut where a character
 * ends; size > 0. Returns the length of the whole, without the zero. */
size_t json_read_string(struct bytes value, char *ret, size_t size);

/* A number that is whole and not negative, without fraction and exponent. ERR_INVALID: it is not;
 * ERR_TOO_LARGE: above 64 bits. */
MUST_USE enum err json_read_u64(struct bytes value, uint64_t *ret);

/* Of a JSON_IS_BOOL. */
bool json_read_bool(struct bytes value);

/* Appends a string with its quotes; bytes that are no UTF-8 become U+FFFD. */
void json_put_string(struct buf *text, const char *string);
void json_put_bytes_string(struct buf *text, struct bytes string);

/* The length of the well-formed UTF-8 sequence at `at`, or 0; left > 0. */
size_t utf8_length(const uint8_t *at, size_t left);

#endif
