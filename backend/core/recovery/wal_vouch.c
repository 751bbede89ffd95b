/*
 * Makes durable what recovery has read, before anybody is told of it.
 *
 * A process that died, unlike one whose power was cut, leaves bytes and names behind that its
 * successor reads and that are not on the disk: the last batch, whose sync had not returned or had
 * failed; a torn tail that was erased; a segment or a spare whose new name was not synced. Whoever
 * goes on from them without a sync of its own promises what a power cut takes back.
 *
 *     directory above --> the last batch again --> segments from the tail on --> directory
 *
 * The last batch is written once more, and not synced alone: where its first sync failed, the
 * system may hold its pages for clean, and another sync says OK and does nothing [Rebello20]. No
 * batch before it needs that: a batch is written only after the sync of the one before returned.
 * What is written are the very bytes that were read, each sector checked again, so it does not
 * matter where power loss interrupts this. A last batch of which a sector cannot be read, or is not
 * its own, was durable once, as only a disk does that; it is left as it is.
 */
#include <string.h>

#include "core/base/mem.h"
#include "core/recovery/wal_recover_int.h"

static void names_synced(struct world_file_request *request)
{
    struct wal_recovering *r = request->owner;
    if (request->result != OK) {
        wal_recover_fail(r, request->result, "the names of the log's files cannot be synced");
        return;
    }
    wal_resume_files(r);
}

static void sync_segments(struct wal_recovering *r);

static void segment_synced(struct world_file_request *request)
{
    struct wal_recovering *r = request->owner;
    if (request->result != OK) {
        wal_recover_fail(r, request->result, "a segment that was read cannot be synced");
        return;
    }
    r->at++;
    sync_segments(r);
}

/* Of the tail, and of what lies behind it and stays. */
static void sync_segments(struct wal_recovering *r)
{
    while (r->at < r->wanted_files && (r->segments[r->at].fd == WORLD_FD_NONE ||
                                       r->segments[r->at].seq < r->scan.tail_segment)) {
        r->at++;
    }
    if (r->at == r->wanted_files) {
        r->request.path = r->wal->config.dir;
        wal_recover_submit(r, WORLD_SYNC_DIR, names_synced);
        return;
    }
    r->request.fd = r->segments[r->at].fd;
    wal_recover_submit(r, WORLD_SYNC, segment_synced);
}

static void sync_from_first(struct wal_recovering *r)
{
    r->at = 0;
    sync_segments(r);
}

static void rewrite_on(struct wal_recovering *r);

static void rewritten(struct world_file_request *request)
{
    struct wal_recovering *r = request->owner;
    if (request->result != OK) {
        wal_recover_fail(r, request->result, "the last batch cannot be written again");
        return;
    }
    r->fed += request->count / WAL_SECTOR_BYTES;
    rewrite_on(r);
}

/* Is it what the scan accepted: the header of the tail's segment, or a sector of the last batch? */
static bool is_of_last_batch(const struct wal_recovering *r, const uint8_t *bytes, uint64_t number)
{
    if (number == 0) {
        struct wal_segment_header header;
        uint32_t version = 0;
        return wal_segment_header_decode(bytes, &version, &header) == OK &&
               header.seq == r->scan.tail_segment;
    }
    struct wal_sector sector = wal_sector_read(bytes, number);
    return sector.kind == WAL_SECTOR_SEALED && sector.batch_seq == r->scan.last_seq;
}

static void last_batch_read(struct world_file_request *request)
{
    struct wal_recovering *r = request->owner;
    bool is_good = request->result == OK && request->count == request->length;

    for (uint64_t i = 0; is_good && i < request->count / WAL_SECTOR_BYTES; i++) {
        is_good = is_of_last_batch(r, request->buffer + i * WAL_SECTOR_BYTES, r->fed + i);
    }
    if (!is_good) {
        sync_from_first(r);
        return;
    }
    wal_recover_submit(r, WORLD_WRITE, rewritten);
}

static void rewrite_on(struct wal_recovering *r)
{
    uint64_t n = u64_min(r->scan.tail_sector - r->fed, r->chunk_sectors);

    if (n == 0) {
        sync_from_first(r);
        return;
    }
    r->request.buffer = r->chunks[0].bytes;
    r->request.offset = r->fed * WAL_SECTOR_BYTES;
    r->request.length = n * WAL_SECTOR_BYTES;
    wal_recover_submit(r, WORLD_READ, last_batch_read);
}

static void above_synced(struct world_file_request *request)
{
    struct wal_recovering *r = request->owner;
    const struct wal_scan *s = &r->scan;

    if (request->result != OK) {
        wal_recover_fail(r, request->result, "the directory above the log's cannot be synced");
        return;
    }
    for (size_t i = 0; i < r->wanted_files; i++) {
        if (r->segments[i].seq == s->tail_segment && r->segments[i].fd != WORLD_FD_NONE) {
            r->request.fd = r->segments[i].fd;
            /* The header of a segment is written with its first batch. */
            bool has_first = s->tail_has_header && s->tail_batch_sector == WAL_FIRST_SECTOR;
            r->fed = has_first ? 0 : s->tail_batch_sector;
            rewrite_on(r);
            return;
        }
    }
    sync_from_first(r);
}

void wal_vouch(struct wal_recovering *r)
{
    size_t n = world_parent_length(r->wal->config.dir);

    memcpy(r->path, r->wal->config.dir, n);
    r->path[n] = '\0';
    r->request.path = r->path;
    wal_recover_submit(r, WORLD_SYNC_DIR, above_synced);
}
