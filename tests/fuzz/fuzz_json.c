/* Any bytes as JSON. What is taken is taken by jansson, too, and has the same strings and numbers;
 * what is refused is refused by jansson, too, but for what json.h is stricter in. */
#include "tests/fuzz/fuzz_target.h"

#include <string.h>

#include <jansson.h>

#include "core/base/check.h"
#include "core/base/json.h"

static void compare_values(struct bytes value, const json_t *theirs);

static void compare_members(struct bytes value, const json_t *theirs)
{
    struct json_walk walk;
    struct bytes key;
    struct bytes member;
    size_t i = 0;

    json_walk_begin(&walk, value);
    while (json_walk_next(&walk, &key, &member)) {
        if (walk.has_keys) {
            /* Of a key that is there twice jansson has the last: only names are compared. */
            char name[64];
            size_t n = json_read_string(key, name, sizeof name);
            CHECK(n >= sizeof name || json_object_get(theirs, name) != NULL);
        } else {
            compare_values(member, json_array_get(theirs, i));
        }
        i++;
    }
    CHECK(walk.has_keys || i == json_array_size(theirs));
}

static void compare_values(struct bytes value, const json_t *theirs)
{
    char text[64];
    uint64_t number = 0;
    size_t n = 0;

    switch (json_shape_of(value)) {
    case JSON_IS_OBJECT:
        CHECK(json_is_object(theirs));
        compare_members(value, theirs);
        break;
    case JSON_IS_ARRAY:
        CHECK(json_is_array(theirs));
        compare_members(value, theirs);
        break;
    case JSON_IS_STRING:
        n = json_read_string(value, text, sizeof text);
        CHECK(json_is_string(theirs) && json_string_length(theirs) == n);
        CHECK(n >= sizeof text || memcmp(text, json_string_value(theirs), n + 1) == 0);
        break;
    case JSON_IS_NUMBER:
        CHECK(json_is_number(theirs));
        if (json_read_u64(value, &number) == OK && number <= INT64_MAX) {
            CHECK(json_is_integer(theirs) && (uint64_t)json_integer_value(theirs) == number);
        }
        break;
    case JSON_IS_BOOL:
        CHECK(json_is_boolean(theirs) && json_is_true(theirs) == json_read_bool(value));
        break;
    case JSON_IS_NULL:
        CHECK(json_is_null(theirs));
        break;
    }
}

/* Jansson refuses numbers that are out of its range. */
static bool has_large_number(const uint8_t *bytes, size_t n)
{
    size_t digits = 0;

    for (size_t i = 0; i < n; i++) {
        digits = bytes[i] >= '0' && bytes[i] <= '9' ? digits + 1 : 0;
        if (digits > 18 || bytes[i] == 'e' || bytes[i] == 'E') {
            return true;
        }
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct bytes value;
    struct json_fault fault;
    json_error_t error;
    bool is_ours = json_scan((struct bytes){bytes, n}, &value, &fault) == OK;
    json_t *theirs = json_loadb(n > 0 ? (const char *)bytes : "", n, JSON_DECODE_ANY, &error);

    if (is_ours) {
        CHECK(value.data >= bytes && value.len > 0 && value.data + value.len <= bytes + n);
        CHECK(theirs != NULL || has_large_number(bytes, n));
        if (theirs != NULL) {
            compare_values(value, theirs);
        }
    } else {
        CHECK(fault.at <= n && fault.what != NULL);
        CHECK(theirs == NULL ||
              strcmp(fault.what, "objects and arrays are nested too deeply") == 0);
    }
    json_decref(theirs);
    return 0;
}
