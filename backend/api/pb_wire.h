/*
 * Protobuf's wire encoding, field by field: a number and a type, then a varint, four or eight
 * bytes, or a length and bytes. For code that knows its messages by descriptors, or has but a few
 * fields to read or write.
 */
#ifndef NOVACRON_API_PB_WIRE_H
#define NOVACRON_API_PB_WIRE_H

#include "core/base/buf.h"
#include "core/base/types.h"

enum pb_type { PB_VARINT = 0, PB_FIXED64 = 1, PB_BYTES = 2, PB_FIXED32 = 5 };

struct pb_field {
    uint32_t number;
    enum pb_type type;
    uint64_t value;     /* of PB_VARINT, PB_FIXED64, PB_FIXED32 */
    struct bytes bytes; /* of PB_BYTES; borrowed */
};

/* Takes the next field off `wire`. False at its end, and where it is broken: then `wire` is not
 * empty. */
bool pb_next(struct bytes *wire, struct pb_field *ret);

/* A varint by itself, as in packed fields. False: broken, or at the end. */
bool pb_take_varint(struct bytes *wire, uint64_t *ret);

void pb_put_varint(struct buf *wire, uint32_t number, uint64_t value);
void pb_put_bytes(struct buf *wire, uint32_t number, struct bytes value);
void pb_put_text(struct buf *wire, uint32_t number, const char *value);

/* A message inside a message: pb_begin puts its key and room for its length, and returns where;
 * pb_end puts the length. */
size_t pb_begin(struct buf *wire, uint32_t number);
void pb_end(struct buf *wire, size_t begun);

#endif
