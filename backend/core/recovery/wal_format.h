/*
 * The bytes of the write-ahead log: sectors, records, segment headers, the identity file. The
 * format is specified offset by offset in docs/formats/wal.md; this is the code for it, without any
 * I/O.
 *
 *   - A file is an array of 512-byte sectors, the unit in which a disk tears. Each carries 500
 * bytes of the log and a trailer: the sequence number of the batch that wrote it, and a CRC32C that
 *     also covers the sector's place. So any sector, alone, says whether it is of the batch that a
 *     reader expects (new), of an earlier life of the file (old), never written (zero), or damaged
 *     (bad): the difference between a write that power loss interrupted and a disk that lies.
 *   - A batch is what one fdatasync makes durable: a run of whole sectors of one segment. Its bytes
 *     are records: BATCH, then what was appended, then END, then zeros.
 *   - A record is a 40-byte header and a body, each with a CRC32C. Every header carries a hash of
 *     the header before it, across batches and segments: the chain.
 */
#ifndef NOVACRON_RECOVERY_WAL_FORMAT_H
#define NOVACRON_RECOVERY_WAL_FORMAT_H

#include "core/base/err.h"
#include "core/base/types.h"
#include "core/world/world.h"

#define WAL_FORMAT_VERSION 1

#define WAL_SECTOR_BYTES         512
#define WAL_SECTOR_TRAILER_BYTES 12
#define WAL_SECTOR_BODY_BYTES    (WAL_SECTOR_BYTES - WAL_SECTOR_TRAILER_BYTES)

#define WAL_RECORD_HEADER_BYTES 40
#define WAL_BATCH_BODY_BYTES    64

/* The header of a segment is its sector 0; batches begin at sector 1. */
#define WAL_FIRST_SECTOR 1

/* The largest payload of one entry, in bytes: the largest request of the etcd API with room for the
 * envelope and for a transaction of many operations. */
#define WAL_PAYLOAD_MAX_BYTES (4U * 1024 * 1024)

/* What the BATCH and END records cost in a batch. */
#define WAL_BATCH_OVERHEAD_BYTES (2U * WAL_RECORD_HEADER_BYTES + WAL_BATCH_BODY_BYTES)

_Static_assert(WAL_SECTOR_BYTES == WORLD_SECTOR_BYTES, "a sector is what power loss tears");
_Static_assert(WAL_RECORD_HEADER_BYTES + WAL_BATCH_BODY_BYTES <= WAL_SECTOR_BODY_BYTES,
               "a batch is recognised by its first sector alone");

/* What a sector turns out to be. */
enum wal_sector_kind {
    WAL_SECTOR_ZERO,   /* all zeros: never written */
    WAL_SECTOR_SEALED, /* whole; its batch is known */
    WAL_SECTOR_BAD     /* neither */
};

struct wal_sector {
    enum wal_sector_kind kind;
    bool is_first;      /* the first sector of its batch */
    uint64_t batch_seq; /* 0 unless SEALED */
};

/* Writes the trailer of the sector `number` of its file. */
void wal_sector_seal(uint8_t *sector, uint64_t number, uint64_t batch_seq, bool is_first);

struct wal_sector wal_sector_read(const uint8_t *sector, uint64_t number);

/* The types of records. The numbers are on disk. */
enum wal_record_type {
    WAL_RECORD_BATCH = 1,  /* index: batch sequence; term: the batch before; body: wal_batch_head */
    WAL_RECORD_END = 2,    /* index: records of the batch, without BATCH and END */
    WAL_RECORD_ENTRY = 3,  /* replaces everything from its index on; body: payload */
    WAL_RECORD_REPAIR = 4, /* supplies a damaged entry again; body: payload */
    WAL_RECORD_HARD_STATE = 5, /* index: commit; term: term; body: vote u64 */
    WAL_RECORD_SNAPSHOT = 6,   /* a durable snapshot covers (index, term); see below */
    WAL_RECORD_DAMAGE = 7,     /* [index, body hi u64] is known to be damaged; term, or 0 */
    WAL_RECORD_HEAL = 8,       /* [index, body hi u64] is vouched for again */
    WAL_RECORD_TYPES
};

/* In the place of the entry's type, a SNAPSHOT record says whether the log went on, or gave way and
 * began anew behind the snapshot. */
#define WAL_SNAPSHOT_KEEPS    0
#define WAL_SNAPSHOT_RESTARTS 1

struct wal_record {
    enum wal_record_type type;
    uint8_t entry_type;
    uint32_t body_bytes;
    uint32_t body_crc;
    uint64_t chain;
    uint64_t index;
    uint64_t term;
};

/* Writes WAL_RECORD_HEADER_BYTES. */
void wal_record_encode(const struct wal_record *record, uint8_t *bytes);

/* ERR_CORRUPT unless the header's own checksum and all its fields are right. Chain and body are the
 * caller's to compare. */
MUST_USE enum err wal_record_decode(const uint8_t *bytes, struct wal_record *ret);

/* The value that the record after this header must carry. */
uint64_t wal_chain_next(const uint8_t *header);

/* The value that the very first record of a node's log carries. */
uint64_t wal_chain_genesis(uint64_t cluster, node_id node);

/* What each batch says about the log as it was before it, so that the loss of any earlier batch can
 * be bounded from a later one. */
struct wal_batch_head {
    uint64_t term; /* the hard state */
    node_id vote;
    uint64_t commit;
    uint64_t last_index; /* the last entry */
    uint64_t last_term;
    uint64_t snapshot_index; /* the newest snapshot marker */
    uint64_t snapshot_term;
    uint64_t touched; /* the lowest index that the batch before wrote; last_index + 1 for none */
};

void wal_batch_head_encode(const struct wal_batch_head *head, uint8_t *bytes);
struct wal_batch_head wal_batch_head_decode(const uint8_t *bytes);

/* The first sector of a segment. */
struct wal_segment_header {
    uint64_t cluster;
    node_id node;
    uint64_t seq;
    uint64_t bytes; /* of the file */
    uint64_t first_batch;
    uint64_t chain; /* what the first record of the segment carries */
};

void wal_segment_header_encode(const struct wal_segment_header *header, uint8_t *sector);

/* ERR_CORRUPT: not a header. ERR_UNSUPPORTED: a whole header of another format version, which is in
 * *version (set whenever the result is OK or this). */
MUST_USE enum err wal_segment_header_decode(const uint8_t *sector, uint32_t *version,
                                            struct wal_segment_header *ret);

/* Who owns this directory: written once, when the node first starts. One sector. */
struct wal_identity {
    uint64_t cluster;
    node_id node;
};

#define WAL_IDENTITY_BYTES WAL_SECTOR_BYTES

void wal_identity_encode(const struct wal_identity *identity, uint8_t *sector);
MUST_USE enum err wal_identity_decode(const uint8_t *sector, uint32_t *version,
                                      struct wal_identity *ret);

/* Names of files in the directory of the log. A segment is "%016x.wal" of its sequence number. */
#define WAL_NAME_BYTES         21
#define WAL_IDENTITY_NAME      "identity"
#define WAL_PREPARE_NAME       "prepare.tmp"
#define WAL_SPARE_SUFFIX       ".spare"
#define WAL_IDENTITY_TEMPORARY "identity.tmp"

void wal_segment_name(uint64_t seq, char name[WAL_NAME_BYTES]);

/* The sequence number in a segment's name; 0 if it is not one. */
uint64_t wal_segment_name_parse(const char *name);

/* "entry", ...; a static string. */
const char *wal_record_type_name(enum wal_record_type type);

#endif
