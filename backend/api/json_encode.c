#include "api/json_wire.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <protobuf-c/protobuf-c.h>

#include "api/pb_wire.h"

/*
 * Fields come out in the order of their numbers. For each one the message's encoding is walked:
 * walking over what is not asked for costs a few nanoseconds a field, and the encoding may hold the
 * parts of a repeated field in any place.
 */

static void encode_message(const ProtobufCMessageDescriptor *type, struct bytes wire,
                           struct buf *text, int depth);

static void encode_put(struct buf *text, const char *part)
{
    buf_put(text, part, strlen(part));
}

/* --- Bytes ------------------------------------------------------------------------------------ */

static void encode_base64(struct buf *text, struct bytes raw)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = (raw.len + 2) / 3 * 4;
    buf_put_u8(text, '"');
    uint8_t *at = buf_extend(text, n);
    size_t i = 0;
    for (; i + 3 <= raw.len; i += 3, at += 4) {
        uint32_t v = (uint32_t)raw.data[i] << 16 | (uint32_t)raw.data[i + 1] << 8 | raw.data[i + 2];
        at[0] = (uint8_t)digits[v >> 18];
        at[1] = (uint8_t)digits[v >> 12 & 63];
        at[2] = (uint8_t)digits[v >> 6 & 63];
        at[3] = (uint8_t)digits[v & 63];
    }
    if (i < raw.len) {
        bool two = i + 1 < raw.len;
        uint32_t v = (uint32_t)raw.data[i] << 16 | (two ? (uint32_t)raw.data[i + 1] << 8 : 0);
        at[0] = (uint8_t)digits[v >> 18];
        at[1] = (uint8_t)digits[v >> 12 & 63];
        at[2] = (uint8_t)(two ? digits[v >> 6 & 63] : '=');
        at[3] = '=';
    }
    buf_put_u8(text, '"');
}

/* --- Values ----------------------------------------------------------------------------------- */

/* How the wire holds one value of this type. */
static enum pb_type field_wire_type(const ProtobufCFieldDescriptor *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return PB_FIXED32;
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return PB_FIXED64;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return PB_BYTES;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_BOOL:
    case PROTOBUF_C_TYPE_ENUM:
        break;
    }
    return PB_VARINT;
}

static void encode_enum(const ProtobufCEnumDescriptor *type, int32_t number, struct buf *text)
{
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(type, number);
    char digits[16];
    if (value != NULL) {
        json_put_string(text, value->name);
    } else {
        snprintf(digits, sizeof digits, "%" PRId32, number);
        encode_put(text, digits);
    }
}

static int64_t zigzag(uint64_t v)
{
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

static void encode_number(const ProtobufCFieldDescriptor *field, uint64_t v, struct buf *text)
{
    char digits[32] = "0"; /* no message of ours has floating-point numbers */
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        snprintf(digits, sizeof digits, "%" PRId32, (int32_t)v);
        break;
    case PROTOBUF_C_TYPE_SINT32:
        snprintf(digits, sizeof digits, "%" PRId32, (int32_t)zigzag((uint32_t)v));
        break;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        snprintf(digits, sizeof digits, "%" PRIu32, (uint32_t)v);
        break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        snprintf(digits, sizeof digits, "\"%" PRId64 "\"", (int64_t)v);
        break;
    case PROTOBUF_C_TYPE_SINT64:
        snprintf(digits, sizeof digits, "\"%" PRId64 "\"", zigzag(v));
        break;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        snprintf(digits, sizeof digits, "\"%" PRIu64 "\"", v);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        snprintf(digits, sizeof digits, "%s", v != 0 ? "true" : "false");
        break;
    case PROTOBUF_C_TYPE_ENUM:
        encode_enum(field->descriptor, (int32_t)v, text);
        return;
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        break;
    }
    encode_put(text, digits);
}

static void encode_value(const ProtobufCFieldDescriptor *field, const struct pb_field *value,
                         struct buf *text, int depth)
{
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        encode_message(field->descriptor, value->bytes, text, depth + 1);
    } else if (field->type == PROTOBUF_C_TYPE_BYTES) {
        encode_base64(text, value->bytes);
    } else if (field->type == PROTOBUF_C_TYPE_STRING) {
        json_put_bytes_string(text, value->bytes);
    } else {
        encode_number(field, value->value, text);
    }
}

/* --- Messages --------------------------------------------------------------------------------- */

static void encode_name(const ProtobufCFieldDescriptor *field, bool *first, struct buf *text)
{
    if (!*first) {
        buf_put_u8(text, ',');
    }
    *first = false;
    json_put_string(text, field->name);
    buf_put_u8(text, ':');
}

/* What stands before an element: the name for the first, a comma for the others. */
static void encode_before_element(const ProtobufCFieldDescriptor *field, bool *none, bool *first,
                                  struct buf *text)
{
    if (*none) {
        encode_name(field, first, text);
        buf_put_u8(text, '[');
        *none = false;
    } else {
        buf_put_u8(text, ',');
    }
}

/* All elements of a repeated field; numbers may be packed into one. */
static void encode_repeated(const ProtobufCFieldDescriptor *field, struct bytes wire, bool *first,
                            struct buf *text, int depth)
{
    struct pb_field value;
    bool none = true;
    while (pb_next(&wire, &value)) {
        if (value.number != field->id) {
            continue;
        }
        uint64_t element = 0;
        if (value.type == field_wire_type(field)) {
            encode_before_element(field, &none, first, text);
            encode_value(field, &value, text, depth);
        } else if (value.type == PB_BYTES && field_wire_type(field) == PB_VARINT) {
            while (pb_take_varint(&value.bytes, &element)) {
                encode_before_element(field, &none, first, text);
                encode_number(field, element, text);
            }
        }
    }
    if (!none) {
        buf_put_u8(text, ']');
    }
}

/* The last one counts. Zero is said only of members of a oneof, where it says which one is set. */
static void encode_single(const ProtobufCFieldDescriptor *field, struct bytes wire, bool *first,
                          struct buf *text, int depth)
{
    struct pb_field value, last;
    bool found = false;
    while (pb_next(&wire, &value)) {
        if (value.number == field->id && value.type == field_wire_type(field)) {
            last = value;
            found = true;
        }
    }
    if (!found) {
        return;
    }
    bool zero = last.type == PB_BYTES ? last.bytes.len == 0 : last.value == 0;
    bool kept =
        (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 || field->type == PROTOBUF_C_TYPE_MESSAGE;
    if (!zero || kept) {
        encode_name(field, first, text);
        encode_value(field, &last, text, depth);
    }
}

static void encode_message(const ProtobufCMessageDescriptor *type, struct bytes wire,
                           struct buf *text, int depth)
{
    bool first = true;
    buf_put_u8(text, '{');
    for (unsigned i = 0; i < type->n_fields && depth < JSON_DEPTH_MAX; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            encode_repeated(field, wire, &first, text, depth);
        } else {
            encode_single(field, wire, &first, text, depth);
        }
    }
    buf_put_u8(text, '}');
}

void json_encode(const ProtobufCMessageDescriptor *type, struct bytes wire, struct buf *text)
{
    encode_message(type, wire, text, 0);
}
