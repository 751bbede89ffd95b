#include "core/recovery/wal_batch.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/crc.h"
#include "core/base/mem.h"

void wal_batch_init(struct wal_batch *b)
{
    *b = (struct wal_batch){0};
}

void wal_batch_deinit(struct wal_batch *b)
{
    mem_free(b->buffer);
    mem_free(b->spans);
    wal_batch_init(b);
}

uint64_t wal_batch_sectors(uint64_t record_bytes)
{
    return (record_bytes + WAL_SECTOR_BODY_BYTES - 1) / WAL_SECTOR_BODY_BYTES;
}

/* Makes room for `more` further record bytes. */
static void batch_reserve(struct wal_batch *b, size_t more)
{
    size_t need = WAL_SECTOR_BYTES * (size_t)(1 + wal_batch_sectors(b->used + more));

    mem_grow((void **)&b->buffer, &b->cap, need, 1);
}

/* Copies record bytes around the trailers. */
static void batch_write(struct wal_batch *b, const uint8_t *from, size_t n)
{
    while (n > 0) {
        size_t sector = b->used / WAL_SECTOR_BODY_BYTES;
        size_t at = b->used % WAL_SECTOR_BODY_BYTES;
        size_t part = (size_t)u64_min(n, WAL_SECTOR_BODY_BYTES - at);
        memcpy(wal_batch_bytes(b) + sector * WAL_SECTOR_BYTES + at, from, part);
        b->used += part;
        from += part;
        n -= part;
    }
}

/* Remembers that the batch holds the entry. */
static void note_entry(struct wal_batch *b, uint64_t index, bool is_repair)
{
    struct wal_span *newest = b->span_count > 0 ? &b->spans[b->span_count - 1] : NULL;

    b->has_entries = true;
    if (!is_repair) {
        b->touched = u64_min(b->touched, index);
    }
    if (newest != NULL && newest->last + 1 == index && newest->is_repair == is_repair) {
        newest->last = index;
        return;
    }
    mem_grow((void **)&b->spans, &b->span_cap, b->span_count + 1, sizeof *b->spans);
    b->spans[b->span_count++] = (struct wal_span){index, index, is_repair};
}

void wal_batch_put(struct wal_batch *b, enum wal_record_type type, uint8_t entry_type,
                   uint64_t index, uint64_t term, struct bytes body)
{
    CHECK(b->sectors == 0 && body.len <= WAL_PAYLOAD_MAX_BYTES);
    const struct wal_record record = {
        .type = type,
        .entry_type = entry_type,
        .body_bytes = (uint32_t)body.len,
        .body_crc = crc32c(0, body.data, body.len),
        .chain = b->chain,
        .index = index,
        .term = term,
    };
    uint8_t header[WAL_RECORD_HEADER_BYTES];

    wal_record_encode(&record, header);
    batch_reserve(b, WAL_RECORD_HEADER_BYTES + body.len);
    batch_write(b, header, sizeof header);
    batch_write(b, body.data, body.len);
    b->chain = wal_chain_next(header);
    if (type != WAL_RECORD_BATCH && type != WAL_RECORD_END) {
        b->records++;
    }
    if (type == WAL_RECORD_ENTRY || type == WAL_RECORD_REPAIR) {
        note_entry(b, index, type == WAL_RECORD_REPAIR);
    }
}

void wal_batch_open(struct wal_batch *b, uint64_t seq, uint64_t previous_seq, uint64_t chain,
                    const struct wal_batch_head *head)
{
    uint8_t body[WAL_BATCH_BODY_BYTES];

    CHECK(seq > previous_seq);
    b->seq = seq;
    b->used = 0;
    b->chain = b->chain_in = chain;
    b->records = 0;
    b->touched = UINT64_MAX;
    b->append_seq = 0;
    b->sectors = 0;
    b->has_entries = false;
    b->span_count = 0;
    wal_batch_head_encode(head, body);
    wal_batch_put(b, WAL_RECORD_BATCH, 0, seq, previous_seq, (struct bytes){body, sizeof body});
}

void wal_batch_end(struct wal_batch *b)
{
    wal_batch_put(b, WAL_RECORD_END, 0, b->records, 0, (struct bytes){NULL, 0});
    b->sectors = wal_batch_sectors(b->used);
    size_t at = b->used % WAL_SECTOR_BODY_BYTES;
    if (at > 0) {
        uint8_t *last = wal_batch_bytes(b) + (size_t)(b->sectors - 1) * WAL_SECTOR_BYTES;
        memset(last + at, 0, WAL_SECTOR_BODY_BYTES - at);
    }
}

void wal_batch_seal(struct wal_batch *b, uint64_t first_sector)
{
    CHECK(b->sectors > 0);
    for (uint64_t i = 0; i < b->sectors; i++) {
        uint8_t *sector = wal_batch_bytes(b) + i * WAL_SECTOR_BYTES;
        wal_sector_seal(sector, first_sector + i, b->seq, i == 0);
    }
}
