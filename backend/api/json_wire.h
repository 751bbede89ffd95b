/*
 * JSON from and to protobuf's wire encoding, by protobuf-c's descriptors, without a message in
 * between. The rules are those of proto3's JSON mapping as grpc-gateway applies them for etcd:
 * fields by their names in the .proto file (camelCase is understood too), 64-bit integers as
 * strings (numbers are understood too), bytes in base64, enums by name (numbers are understood
 * too), zero values left out, unknown fields of JSON ignored.
 */
#ifndef NOVACRON_API_JSON_WIRE_H
#define NOVACRON_API_JSON_WIRE_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/json.h"
#include "core/base/types.h"

struct ProtobufCMessageDescriptor;

/* Messages inside messages: a transaction nests four a level. */
#define JSON_DEPTH_MAX 64

#define JSON_WHY_BYTES 160

/* Takes the next object off `text`, and the white space behind it, and appends its encoding to
 * `wire`. Nothing but white space counts as an empty object. ERR_INVALID: `why` says what and
 * where. */
MUST_USE enum err json_decode(const struct ProtobufCMessageDescriptor *type, struct bytes *text,
                              struct buf *wire, char why[JSON_WHY_BYTES]);

/* Appends the message as one object, without white space. What is no encoding of a message of this
 * type is left out. */
void json_encode(const struct ProtobufCMessageDescriptor *type, struct bytes wire,
                 struct buf *text);

#endif
