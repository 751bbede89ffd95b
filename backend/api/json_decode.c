#include "api/json_wire.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>

#include "api/pb_wire.h"
#include "core/base/check.h"

/* Integers beyond this have neighbours that a JSON number cannot tell apart. */
#define REAL_EXACT_MAX 9007199254740992.0

struct decoder {
    struct buf *wire;
    char *why;
    bool failed;
};

static void decode_message(struct decoder *d, const ProtobufCMessageDescriptor *type,
                           json_t *object, int depth);

static void decode_fail(struct decoder *d, const char *field, const char *what)
{
    if (!d->failed) {
        snprintf(d->why, JSON_WHY_BYTES, "%.64s: %s", field, what);
        d->failed = true;
    }
}

/* --- Names ------------------------------------------------------------------------------------ */

/* Is `key` the field's name, as it is or in camelCase? */
static bool field_is_named(const char *name, const char *key)
{
    if (strcmp(name, key) == 0) {
        return true;
    }
    while (*name != '\0' && *key != '\0') {
        char expected = *name++;
        if (expected == '_' && *name != '\0') {
            expected = *name++;
            expected = (char)(expected >= 'a' && expected <= 'z' ? expected - 'a' + 'A' : expected);
        }
        if (*key++ != expected) {
            return false;
        }
    }
    return *name == '\0' && *key == '\0';
}

static const ProtobufCFieldDescriptor *field_find(const ProtobufCMessageDescriptor *type,
                                                  const char *key)
{
    for (unsigned i = 0; i < type->n_fields; i++) {
        if (field_is_named(type->fields[i].name, key)) {
            return &type->fields[i];
        }
    }
    return NULL;
}

/* --- Base64 ----------------------------------------------------------------------------------- */

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

/* Either alphabet, with or without padding. Appends; false: it is none. */
static bool base64_decode(const char *text, size_t len, struct buf *raw)
{
    size_t padding = 0;
    while (len > 0 && padding < 2 && text[len - 1] == '=') {
        len--;
        padding++;
    }
    if (len % 4 == 1 || (padding > 0 && (len + padding) % 4 != 0)) {
        return false;
    }
    buf_reserve(raw, len / 4 * 3 + 3);
    uint32_t group = 0;
    for (size_t i = 0; i < len; i++) {
        int digit = base64_digit(text[i]);
        if (digit < 0) {
            return false;
        }
        group = group << 6 | (uint32_t)digit;
        if (i % 4 == 3) {
            buf_put_u8(raw, (uint8_t)(group >> 16));
            buf_put_u8(raw, (uint8_t)(group >> 8));
            buf_put_u8(raw, (uint8_t)group);
            group = 0;
        }
    }
    if (len % 4 == 2) {
        buf_put_u8(raw, (uint8_t)(group >> 4));
    } else if (len % 4 == 3) {
        buf_put_u8(raw, (uint8_t)(group >> 10));
        buf_put_u8(raw, (uint8_t)(group >> 2));
    }
    return true;
}

/* --- Numbers ---------------------------------------------------------------------------------- */

/* A whole number as magnitude and sign. False: it is none, or too large for 64 bits. */
static bool integer_parse(const char *text, size_t len, bool *negative, uint64_t *magnitude)
{
    *negative = len > 0 && text[0] == '-';
    size_t i = *negative ? 1 : 0;
    uint64_t v = 0;
    if (i == len) {
        return false;
    }
    for (; i < len; i++) {
        if (text[i] < '0' || text[i] > '9' || v > (UINT64_MAX - (uint64_t)(text[i] - '0')) / 10) {
            return false;
        }
        v = v * 10 + (uint64_t)(text[i] - '0');
    }
    *magnitude = v;
    return true;
}

static bool integer_of(const json_t *value, bool *negative, uint64_t *magnitude)
{
    if (json_is_string(value)) {
        return integer_parse(json_string_value(value), json_string_length(value), negative,
                             magnitude);
    }
    if (json_is_integer(value)) {
        json_int_t v = json_integer_value(value);
        *negative = v < 0;
        *magnitude = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
        return true;
    }
    double real = json_is_real(value) ? json_real_value(value) : NAN;
    if (!(real >= -REAL_EXACT_MAX && real <= REAL_EXACT_MAX)) {
        return false;
    }
    double whole = trunc(real);
    if (whole < real || whole > real) {
        return false;
    }
    *negative = real < 0;
    *magnitude = (uint64_t)(*negative ? -whole : whole);
    return true;
}

/* The number as the wire has it. False: outside of the type. */
static bool integer_fits(ProtobufCType type, bool negative, uint64_t magnitude, uint64_t *ret)
{
    uint64_t value = negative ? 0 - magnitude : magnitude;
    bool small = type == PROTOBUF_C_TYPE_INT32 || type == PROTOBUF_C_TYPE_UINT32;
    bool has_sign = type == PROTOBUF_C_TYPE_INT32 || type == PROTOBUF_C_TYPE_INT64;
    uint64_t max = small ? UINT32_MAX : UINT64_MAX;
    if (has_sign) {
        max = max / 2 + (negative ? 1 : 0);
    } else if (negative && magnitude > 0) {
        return false;
    }
    *ret = value;
    return magnitude <= max;
}

static void decode_varint(struct decoder *d, const ProtobufCFieldDescriptor *field, uint64_t value,
                          bool keep_zero)
{
    if (value != 0 || keep_zero) {
        pb_put_varint(d->wire, field->id, value);
    }
}

static void decode_integer(struct decoder *d, const ProtobufCFieldDescriptor *field,
                           const json_t *value, bool keep_zero)
{
    bool negative = false;
    uint64_t magnitude = 0, wire = 0;
    if (!integer_of(value, &negative, &magnitude)) {
        decode_fail(d, field->name, "a whole number was expected");
    } else if (!integer_fits(field->type, negative, magnitude, &wire)) {
        decode_fail(d, field->name, "the number is out of range");
    } else {
        decode_varint(d, field, wire, keep_zero);
    }
}

static void decode_enum(struct decoder *d, const ProtobufCFieldDescriptor *field, json_t *value,
                        bool keep_zero)
{
    if (json_is_string(value)) {
        const ProtobufCEnumValue *named = protobuf_c_enum_descriptor_get_value_by_name(
            field->descriptor, json_string_value(value));
        if (named == NULL) {
            decode_fail(d, field->name, "there is no value of this name");
            return;
        }
        decode_varint(d, field, (uint64_t)(int64_t)named->value, keep_zero);
        return;
    }
    bool negative = false;
    uint64_t magnitude = 0, wire = 0;
    if (!integer_of(value, &negative, &magnitude) ||
        !integer_fits(PROTOBUF_C_TYPE_INT32, negative, magnitude, &wire)) {
        decode_fail(d, field->name, "a name or a number was expected");
        return;
    }
    decode_varint(d, field, wire, keep_zero);
}

/* --- Fields ----------------------------------------------------------------------------------- */

static void decode_text(struct decoder *d, const ProtobufCFieldDescriptor *field, json_t *value,
                        bool keep_zero)
{
    if (!json_is_string(value)) {
        decode_fail(d, field->name, "a string was expected");
        return;
    }
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);
    if (len == 0 && !keep_zero) {
        return;
    }
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        pb_put_bytes(d->wire, field->id, (struct bytes){(const uint8_t *)text, len});
        return;
    }
    size_t begun = pb_begin(d->wire, field->id);
    if (!base64_decode(text, len, d->wire)) {
        decode_fail(d, field->name, "base64 was expected");
    }
    pb_end(d->wire, begun);
}

static void decode_submessage(struct decoder *d, const ProtobufCFieldDescriptor *field,
                              json_t *value, int depth)
{
    if (!json_is_object(value)) {
        decode_fail(d, field->name, "an object was expected");
        return;
    }
    size_t begun = pb_begin(d->wire, field->id);
    decode_message(d, field->descriptor, value, depth + 1);
    pb_end(d->wire, begun);
}

static void decode_value(struct decoder *d, const ProtobufCFieldDescriptor *field, json_t *value,
                         bool keep_zero, int depth)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_MESSAGE:
        decode_submessage(d, field, value, depth);
        return;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
        decode_text(d, field, value, keep_zero);
        return;
    case PROTOBUF_C_TYPE_BOOL:
        if (!json_is_boolean(value)) {
            decode_fail(d, field->name, "true or false was expected");
            return;
        }
        decode_varint(d, field, json_is_true(value) ? 1 : 0, keep_zero);
        return;
    case PROTOBUF_C_TYPE_ENUM:
        decode_enum(d, field, value, keep_zero);
        return;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64:
        decode_integer(d, field, value, keep_zero);
        return;
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
        break;
    }
    decode_fail(d, field->name, "JSON cannot set this field"); /* no message of ours has one */
}

static void decode_field(struct decoder *d, const ProtobufCFieldDescriptor *field, json_t *value,
                         int depth)
{
    if (json_is_null(value)) {
        return;
    }
    if (field->label != PROTOBUF_C_LABEL_REPEATED) {
        bool member = (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
        decode_value(d, field, value, member, depth);
        return;
    }
    if (!json_is_array(value)) {
        decode_fail(d, field->name, "an array was expected");
        return;
    }
    for (size_t i = 0; i < json_array_size(value) && !d->failed; i++) {
        decode_value(d, field, json_array_get(value, i), true, depth);
    }
}

static void decode_message(struct decoder *d, const ProtobufCMessageDescriptor *type,
                           json_t *object, int depth)
{
    const char *key = NULL;
    json_t *value = NULL;
    if (depth > JSON_DEPTH_MAX) {
        decode_fail(d, type->short_name, "objects are nested too deeply");
        return;
    }
    json_object_foreach(object, key, value)
    {
        const ProtobufCFieldDescriptor *field = field_find(type, key);
        if (field != NULL && !d->failed) {
            decode_field(d, field, value, depth);
        }
    }
}

/* --- The whole -------------------------------------------------------------------------------- */

static void skip_space(struct bytes *text)
{
    while (text->len > 0 && memchr(" \t\r\n", *text->data, 4) != NULL) {
        text->data++;
        text->len--;
    }
}

enum err json_decode(const ProtobufCMessageDescriptor *type, struct bytes *text, struct buf *wire,
                     char why[JSON_WHY_BYTES])
{
    skip_space(text);
    if (text->len == 0) {
        return OK;
    }
    json_error_t error;
    json_t *root = json_loadb((const char *)text->data, text->len,
                              JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL | JSON_DECODE_ANY, &error);
    if (root == NULL) {
        snprintf(why, JSON_WHY_BYTES, "malformed JSON at byte %d: %.100s", error.position,
                 error.text);
        return ERR_INVALID;
    }
    CHECK(error.position > 0 && (size_t)error.position <= text->len);
    text->data += error.position;
    text->len -= (size_t)error.position;
    skip_space(text);
    struct decoder d = {.wire = wire, .why = why, .failed = false};
    if (!json_is_object(root)) {
        decode_fail(&d, "the body", "an object was expected");
    } else {
        decode_message(&d, type, root, 0);
    }
    json_decref(root);
    return d.failed ? ERR_INVALID : OK;
}
