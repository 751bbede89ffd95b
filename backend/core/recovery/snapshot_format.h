/*
 * The bytes of a snapshot file: docs/formats/snapshot-file.md, as code, without any I/O.
 *
 *     header (16 KiB) | block | block | ... | trailer
 *
 * A block is up to 65528 bytes of payload, their CRC32C and the block's number; the last one is
 * shorter. The file of a snapshot is the same, byte for byte, on every member that has it, so it is
 * sent to peers as it lies there, and a transfer can go on where it broke off.
 */
#ifndef NOVACRON_RECOVERY_SNAPSHOT_FORMAT_H
#define NOVACRON_RECOVERY_SNAPSHOT_FORMAT_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/types.h"

#define SNAPFILE_FORMAT_VERSION 1

#define SNAPFILE_HEADER_BYTES  16384
#define SNAPFILE_FIXED_BYTES   80 /* of the header; the membership follows */
#define SNAPFILE_BLOCK_BYTES   65536
#define SNAPFILE_BLOCK_TRAILER 8
#define SNAPFILE_BLOCK_PAYLOAD (SNAPFILE_BLOCK_BYTES - SNAPFILE_BLOCK_TRAILER)
#define SNAPFILE_TRAILER_BYTES 40

/* The encoded membership, at most. */
#define SNAPFILE_MEMBERSHIP_MAX_BYTES (SNAPFILE_HEADER_BYTES - SNAPFILE_FIXED_BYTES)

/* The payload of a snapshot, at most. */
#define SNAPFILE_PAYLOAD_MAX_BYTES (1ULL << 40)

struct snapfile_meta {
    uint64_t cluster;
    uint64_t index;
    uint64_t term;
    struct bytes membership; /* borrowed */
    uint64_t payload_bytes;
};

/* The size of the file with so much payload. */
uint64_t snapfile_bytes(uint64_t payload_bytes);

void snapfile_header_encode(const struct snapfile_meta *meta, uint8_t *bytes);

/* ERR_CORRUPT; ERR_UNSUPPORTED: another format version. `ret->membership` views `bytes`. */
MUST_USE enum err snapfile_header_decode(const uint8_t *bytes, struct snapfile_meta *ret);

/* Seals a block of `n` bytes of payload: writes the trailer behind them; returns the digest of all
 * payload so far, given the one before. */
uint64_t snapfile_block_seal(uint8_t *block, size_t n, uint32_t number, uint64_t digest);

void snapfile_trailer_encode(const struct snapfile_meta *meta, uint64_t digest, uint8_t *bytes);

/*
 * Checks a file that is fed in pieces of any size, and hands on what is proven to be whole.
 * `verified` is the offset behind the last whole unit; once it is the file's size, the file is.
 */
struct snapfile_check {
    struct snapfile_meta meta; /* valid once has_header; the membership is the check's own */
    bool has_header;
    enum err error; /* the first; the check stays there */
    uint64_t verified;
    uint32_t blocks;
    uint64_t digest;
    struct buf unit;   /* a unit that is not yet complete */
    struct buf header; /* keeps the membership */
    /* Each block's payload, borrowed for the call. May be NULL. */
    void (*payload)(void *ctx, uint64_t offset, struct bytes payload);
    void *ctx;
};

void snapfile_check_init(struct snapfile_check *c);
void snapfile_check_deinit(struct snapfile_check *c);

/* Back to the last whole unit: what follows is fed from `verified` on. */
void snapfile_check_rewind(struct snapfile_check *c);

MUST_USE enum err snapfile_check_feed(struct snapfile_check *c, struct bytes bytes);

/* Was the trailer reached? */
bool snapfile_check_is_done(const struct snapfile_check *c);

#endif
