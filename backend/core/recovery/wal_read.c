/* Reads entries back, an extent at a time. */
#include "core/recovery/wal_int.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/crc.h"
#include "core/base/mem.h"

void wal_read_deinit(struct wal_read *read)
{
    mem_free(read->buffer);
    read->buffer = NULL;
    read->cap = 0;
}

static void read_ends(struct wal_read *read, enum err result)
{
    struct wal *w = read->wal;

    read->is_under_way = false;
    if (result == ERR_CORRUPT) {
        read->hi = u64_max(read->lo, u64_min(read->hi, read->extent.last));
    }
    w->reads--;
    wal_segment_recycle(w);
    read->done(read, result);
}

/* Moves the bodies of the sectors together: the records of whole batches, one after the other, with
 * the zeros that pad each. Behind the sectors, notes of each whether a batch begins there. What is
 * damaged becomes zeros: an entry beside it can be read all the same, as recovery said. */
static size_t join_bodies(struct wal_read *read)
{
    uint64_t sectors = read->extent.end - read->extent.sector;
    uint8_t *begins = read->buffer + sectors * WAL_SECTOR_BYTES;
    size_t at = 0;

    for (uint64_t i = 0; i < sectors; i++) {
        const uint8_t *bytes = read->buffer + i * WAL_SECTOR_BYTES;
        struct wal_sector sector = wal_sector_read(bytes, read->extent.sector + i);
        begins[i] = sector.kind == WAL_SECTOR_SEALED && sector.is_first;
        if (sector.kind == WAL_SECTOR_SEALED) {
            memmove(read->buffer + at, bytes, WAL_SECTOR_BODY_BYTES);
        } else {
            memset(read->buffer + at, 0, WAL_SECTOR_BODY_BYTES);
        }
        at += WAL_SECTOR_BODY_BYTES;
    }
    return at;
}

/* Where the next batch begins behind `at`; `n` if none does. */
static size_t next_batch(const struct wal_read *read, size_t n, size_t at)
{
    uint64_t sectors = read->extent.end - read->extent.sector;
    const uint8_t *begins = read->buffer + sectors * WAL_SECTOR_BYTES;

    for (uint64_t i = at / WAL_SECTOR_BODY_BYTES + 1; i < sectors; i++) {
        if (begins[i]) {
            return (size_t)i * WAL_SECTOR_BODY_BYTES;
        }
    }
    return n;
}

/* The record at `at`, or, where that is damaged, the first of the next batch: *at is moved there,
 * and *end behind it and the padding of a batch that ended. False at the end of the bytes. */
static bool next_record(const struct wal_read *read, size_t n, size_t *at, size_t *end,
                        struct wal_record *record)
{
    while (*at + WAL_RECORD_HEADER_BYTES <= n) {
        if (wal_record_decode(read->buffer + *at, record) == OK &&
            record->body_bytes <= n - *at - WAL_RECORD_HEADER_BYTES) {
            *end = *at + WAL_RECORD_HEADER_BYTES + record->body_bytes;
            if (record->type == WAL_RECORD_END) {
                *end = (*end + WAL_SECTOR_BODY_BYTES - 1) / WAL_SECTOR_BODY_BYTES *
                       WAL_SECTOR_BODY_BYTES;
            }
            return true;
        }
        *at = next_batch(read, n, *at);
    }
    return false;
}

/* Where an entry `index` begins at or after `from`: the first one found, or the last one, as an
 * index that was rewritten occurs again. `n` if there is none. */
static size_t find_entry(const struct wal_read *read, size_t n, size_t from, uint64_t index,
                         bool is_last)
{
    struct wal_record record;
    size_t found = n;
    size_t end = from;

    for (size_t at = from; next_record(read, n, &at, &end, &record); at = end) {
        bool is_entry = record.type == WAL_RECORD_ENTRY || record.type == WAL_RECORD_REPAIR;
        if (is_entry && record.index == index) {
            found = at;
            if (!is_last) {
                break;
            }
        }
    }
    return found;
}

/* Are there entries of falling index among the bytes, so that an index may occur twice? */
static bool has_rewrites(const struct wal_read *read, size_t n)
{
    struct wal_record record;
    uint64_t highest = 0;
    size_t end = 0;

    for (size_t at = 0; next_record(read, n, &at, &end, &record); at = end) {
        if (record.type == WAL_RECORD_ENTRY || record.type == WAL_RECORD_REPAIR) {
            if (record.index <= highest) {
                return true;
            }
            highest = record.index;
        }
    }
    return false;
}

/* Gives what the caller wants of the extent's entries. OK: all that were there. */
static enum err give_entries(struct wal_read *read, const struct wal_extent *extent, size_t n)
{
    bool rewrites = has_rewrites(read, n);
    uint64_t last = u64_min(read->hi, extent->last);
    size_t at = 0;

    while (read->lo <= last && (read->given_bytes == 0 || read->given_bytes < read->bytes_max)) {
        size_t begin = find_entry(read, n, rewrites ? 0 : at, read->lo, rewrites);
        struct wal_record record;
        if (begin == n) {
            return ERR_CORRUPT;
        }
        if (!next_record(read, n, &begin, &at, &record)) {
            return ERR_CORRUPT;
        }
        const struct wal_entry entry = {
            .index = record.index,
            .term = record.term,
            .type = record.entry_type,
            .payload = {read->buffer + begin + WAL_RECORD_HEADER_BYTES, record.body_bytes},
        };
        if (record.body_crc != crc32c(0, entry.payload.data, entry.payload.len)) {
            return ERR_CORRUPT;
        }
        read->given_bytes += entry.payload.len + WAL_RECORD_HEADER_BYTES;
        read->lo++;
        read->entry(read, &entry);
    }
    return OK;
}

/* Submits the read of the extent with `lo`, or says why not. */
static enum err read_extent(struct wal_read *read);

static void extent_is_read(struct wal_read *read)
{
    struct wal_extent extent = read->extent;
    enum err e = give_entries(read, &extent, join_bodies(read));

    if (e == OK && read->lo <= read->hi && read->given_bytes < read->bytes_max) {
        e = read_extent(read);
        if (e == OK) {
            return;
        }
    }
    read_ends(read, e);
}

static void read_narrowly(struct wal_read *read);

/* A sector that cannot be read counts as damaged. */
static void narrow_read(struct world_file_request *request)
{
    struct wal_read *read = request->owner;

    if (request->result != OK || request->count != WAL_SECTOR_BYTES) {
        memset(request->buffer, 0, WAL_SECTOR_BYTES);
    }
    read->narrow++;
    read_narrowly(read);
}

static void read_narrowly(struct wal_read *read)
{
    if (read->narrow == read->extent.end - read->extent.sector) {
        extent_is_read(read);
        return;
    }
    struct world_file_request *request = &read->request;
    request->offset = (read->extent.sector + read->narrow) * WAL_SECTOR_BYTES;
    request->length = WAL_SECTOR_BYTES;
    request->buffer = read->buffer + read->narrow * WAL_SECTOR_BYTES;
    request->done = narrow_read;
    world_submit(read->wal->world, request);
}

static void extent_read(struct world_file_request *request)
{
    struct wal_read *read = request->owner;

    if (request->result == OK && request->count == request->length) {
        extent_is_read(read);
        return;
    }
    /* Some of its sectors cannot be read: which? */
    read->narrow = 0;
    read_narrowly(read);
}

static enum err read_extent(struct wal_read *read)
{
    struct wal *w = read->wal;
    const struct wal_extent *extent = wal_index_find(&w->index, read->lo);

    if (read->lo <= w->state.base_index) {
        return ERR_COMPACTED;
    }
    if (read->lo > w->durable_index) {
        return ERR_FUTURE;
    }
    if (extent == NULL || wal_state_is_damaged(&w->state, read->lo)) {
        return ERR_CORRUPT;
    }
    read->extent = *extent;
    struct world_file_request *request = &read->request;
    request->op = WORLD_READ;
    request->lane = WORLD_LANE_BULK;
    request->fd = wal_file_fd(w, extent->segment);
    request->offset = extent->sector * WAL_SECTOR_BYTES;
    request->length = (extent->end - extent->sector) * WAL_SECTOR_BYTES;
    size_t notes = (size_t)(extent->end - extent->sector);
    mem_grow((void **)&read->buffer, &read->cap, (size_t)request->length + notes, 1);
    request->buffer = read->buffer;
    request->done = extent_read;
    request->owner = read;
    world_submit(w->world, request);
    return OK;
}

enum err wal_read(struct wal *w, struct wal_read *read)
{
    CHECK(w->is_ready && !read->is_under_way && read->lo <= read->hi);
    read->wal = w;
    read->given_bytes = 0;
    TRY(read_extent(read));
    read->is_under_way = true;
    w->reads++;
    return OK;
}
