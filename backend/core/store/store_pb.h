/*
 * Protocol Buffers' wire format, as far as the store needs it: proto3, no groups.
 *
 * The reader is strict about structure (a length beyond the end, field number 0, a group, a varint
 * of more than ten bytes: malformed) and lenient where proto3 demands it: unknown fields are
 * skipped, varints need not be of the shortest form, the last of a repeated scalar counts. Where a
 * message field that is not repeated occurs more than once, the last one counts and is not merged;
 * no encoder writes that.
 *
 * [developers.google.com/protocol-buffers/docs/encoding]
 */
#ifndef NOVACRON_STORE_PB_H
#define NOVACRON_STORE_PB_H

#include "core/base/buf.h"

enum store_pb_wire {
    STORE_PB_VARINT = 0,
    STORE_PB_FIXED64 = 1,
    STORE_PB_LEN = 2,
    STORE_PB_FIXED32 = 5
};

/* Reads one message, field by field, from borrowed bytes. */
struct store_pb {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};

struct store_pb_field {
    uint32_t number;
    enum store_pb_wire wire;
    uint64_t value;     /* of a varint or a fixed one */
    struct bytes bytes; /* of a length-delimited one */
};

static inline void store_pb_init(struct store_pb *pb, struct bytes b)
{
    *pb = (struct store_pb){.at = b.data, .end = b.len == 0 ? b.data : b.data + b.len};
}

/* Reads the next field; false at the end, or where the bytes are malformed: then `failed` is set.
 */
bool store_pb_next(struct store_pb *pb, struct store_pb_field *ret);

/* The field's value, if it has the wire type of its declaration; otherwise the message is
 * malformed. */
uint64_t store_pb_u64(struct store_pb *pb, const struct store_pb_field *f);
int64_t store_pb_i64(struct store_pb *pb, const struct store_pb_field *f);
int32_t store_pb_enum(struct store_pb *pb, const struct store_pb_field *f);
bool store_pb_bool(struct store_pb *pb, const struct store_pb_field *f);
struct bytes store_pb_bytes(struct store_pb *pb, const struct store_pb_field *f);

/* Writers. A zero, false or empty value is not written, as proto3 has it. */
void store_pb_put_u64(struct buf *b, uint32_t number, uint64_t v);
void store_pb_put_i64(struct buf *b, uint32_t number, int64_t v);
void store_pb_put_bool(struct buf *b, uint32_t number, bool v);
void store_pb_put_bytes(struct buf *b, uint32_t number, struct bytes v);

/* Writes the tag and length of a message of `len` bytes, which the caller appends. */
void store_pb_put_message(struct buf *b, uint32_t number, size_t len);

/* Opens a message whose length is not known yet; everything put until the close is in it. */
size_t store_pb_open(struct buf *b, uint32_t number);
void store_pb_close(struct buf *b, size_t opened);

/* Bytes that a field takes, zero for a value that is not written. */
size_t store_pb_u64_bytes(uint32_t number, uint64_t v);
size_t store_pb_bytes_bytes(uint32_t number, size_t len);

#endif
