/*
 * Encodes one batch: the records that one fdatasync makes durable, laid out in sealed sectors.
 *
 * Bytes are copied once, from the caller's payload to the place from which they are written. The
 * buffer keeps one sector free in front, for the header of a segment that may begin with this
 * batch, so that header and batch are one write. The memory is kept from batch to batch.
 *
 *     free --open--> open --put*--> open --end--> ended --seal--> on its way to the disk
 */
#ifndef NOVACRON_RECOVERY_WAL_BATCH_H
#define NOVACRON_RECOVERY_WAL_BATCH_H

#include "core/base/types.h"
#include "core/recovery/wal_format.h"

/* Consecutive entries of a batch. */
struct wal_span {
    uint64_t first;
    uint64_t last;
    bool is_repair;
};

struct wal_batch {
    uint8_t *buffer; /* owned; sector 0 is the header's room, the batch begins at sector 1 */
    size_t cap;
    size_t used; /* bytes of records so far, without trailers */
    uint64_t seq;
    uint64_t chain;      /* what the next record carries, in this batch or the next */
    uint64_t chain_in;   /* what this batch's first record carries */
    uint64_t records;    /* without BATCH and END */
    uint64_t touched;    /* the lowest index written; UINT64_MAX: none */
    uint64_t append_seq; /* the caller's, of the newest append inside */
    uint64_t sectors;    /* once ended; 0 before */
    bool has_entries;
    struct wal_span *spans; /* owned: which entries lie inside */
    size_t span_count;
    size_t span_cap;
};

void wal_batch_init(struct wal_batch *b);
void wal_batch_deinit(struct wal_batch *b);

/* Begins anew. `chain` is what the first record carries. */
void wal_batch_open(struct wal_batch *b, uint64_t seq, uint64_t previous_seq, uint64_t chain,
                    const struct wal_batch_head *head);

/* Appends a record; its lengths, checksums and chain are filled in. */
void wal_batch_put(struct wal_batch *b, enum wal_record_type type, uint8_t entry_type,
                   uint64_t index, uint64_t term, struct bytes body);

/* Ends the batch: no more records. `chain` and `sectors` are final. */
void wal_batch_end(struct wal_batch *b);

/* Seals the sectors of an ended batch for the place `first_sector` of a segment. */
void wal_batch_seal(struct wal_batch *b, uint64_t first_sector);

/* The sectors of a batch whose records, with BATCH and END, take `record_bytes`. */
uint64_t wal_batch_sectors(uint64_t record_bytes);

/* The sectors that the batch takes if `more` bytes of records follow, and END. */
static inline uint64_t wal_batch_sectors_with(const struct wal_batch *b, uint64_t more)
{
    return wal_batch_sectors(b->used + more + WAL_RECORD_HEADER_BYTES);
}

/* Where the batch's own sectors begin in memory. */
static inline uint8_t *wal_batch_bytes(const struct wal_batch *b)
{
    return b->buffer + WAL_SECTOR_BYTES;
}

#endif
