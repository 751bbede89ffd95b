/*
 * Makes a recovered log ready for appends, step by step:
 *
 *   0. what was read becomes durable (wal_vouch.c): the process that wrote it may have died before
 *      its own sync returned, and what is told to Raft as durable must outlive the power, not only
 *      that process;
 *   1. what is not part of the log goes: prepared segments that do not fit, and, on a disk without
 *      a log, everything;
 *   2. a torn tail is erased with zeros and synced, so that the next batch may bear its number;
 *   3. where there is no room behind the tail, or no trust in it, a new segment is prepared;
 *   4. what recovery knows and the log does not is appended: doubt, the adopted snapshot; a new log
 *      begins with an empty batch, so that one without any batch is known to have lost it;
 *   5. the identity file is written, last of all: where it is, a log was.
 *
 * A crash in the middle leaves a log that recovers to the same verdict, or a better one.
 */
#include <string.h>

#include "core/base/check.h"
#include "core/base/le.h"
#include "core/recovery/wal_recover_int.h"

/* Is the log continued right behind its last batch? */
static bool tail_is_usable(const struct wal_recovering *r)
{
    const struct wal_scan *s = &r->scan;
    return s->tail_segment != 0 && s->tail_has_header && !r->wal->state.in_doubt;
}

static bool begins_anew(const struct wal_recovering *r)
{
    return r->found.verdict == RECOVERY_EMPTY || r->found.verdict == RECOVERY_WIPED;
}

static void directory_synced(struct world_file_request *request)
{
    struct wal_recovering *r = request->owner;
    if (request->result != OK) {
        wal_recover_fail(r, request->result, "the directory of the log cannot be synced");
        return;
    }
    r->wal->is_ready = true;
    wal_recover_end(r);
}

static void identity_renamed(struct world_file_request *request)
{
    struct wal_recovering *r = request->owner;
    if (request->result != OK) {
        wal_recover_fail(r, request->result, "the identity file cannot be renamed");
        return;
    }
    request->path = r->wal->config.dir;
    wal_recover_submit(r, WORLD_SYNC_DIR, directory_synced);
}

static void identity_closed_written(struct world_file_request *request)
{
    struct wal_recovering *r = request->owner;

    wal_path(r->wal, WAL_IDENTITY_NAME, r->path_to);
    request->path = r->path;
    request->path_to = r->path_to;
    wal_recover_submit(r, WORLD_RENAME, identity_renamed);
}

static void identity_synced(struct world_file_request *request)
{
    struct wal_recovering *r = request->owner;
    if (request->result != OK) {
        wal_recover_fail(r, request->result, "the identity file cannot be synced");
        return;
    }
    wal_recover_submit(r, WORLD_CLOSE, identity_closed_written);
}

static void identity_written(struct world_file_request *request)
{
    struct wal_recovering *r = request->owner;
    if (request->result != OK) {
        wal_recover_fail(r, request->result, "the identity file cannot be written");
        return;
    }
    wal_recover_submit(r, WORLD_SYNC, identity_synced);
}

static void identity_created(struct world_file_request *request)
{
    struct wal_recovering *r = request->owner;
    const struct wal_identity identity = {r->wal->config.cluster, r->wal->config.node};

    if (request->result != OK) {
        wal_recover_fail(r, request->result, "the identity file cannot be created");
        return;
    }
    wal_identity_encode(&identity, r->sector);
    request->buffer = r->sector;
    request->offset = 0;
    request->length = WAL_IDENTITY_BYTES;
    wal_recover_submit(r, WORLD_WRITE, identity_written);
}

static void identity_remains_unlinked(struct world_file_request *request)
{
    struct wal_recovering *r = request->owner;
    request->flags = WORLD_OPEN_CREATE;
    wal_recover_submit(r, WORLD_OPEN, identity_created);
}

static void write_identity(struct wal_recovering *r)
{
    if (r->identity == IDENTITY_OURS) {
        r->wal->is_ready = true;
        wal_recover_end(r);
        return;
    }
    wal_path(r->wal, WAL_IDENTITY_TEMPORARY, r->path);
    r->request.path = r->path;
    wal_recover_submit(r, WORLD_UNLINK, identity_remains_unlinked);
}

static void first_batch_durable(struct wal *w)
{
    write_identity(w->recovering);
}

/* Tells the log what only recovery knows. */
static void write_first_batch(struct wal *w)
{
    struct wal_recovering *r = w->recovering;

    if (!begins_anew(r) && !w->state.in_doubt && !r->adopts_snapshot) {
        write_identity(r);
        return;
    }
    struct wal_batch *b = wal_batch_begin(w);
    if (r->adopts_snapshot) {
        wal_batch_put(b, WAL_RECORD_SNAPSHOT, WAL_SNAPSHOT_RESTARTS, w->state.snapshot_index,
                      w->state.snapshot_term, (struct bytes){NULL, 0});
    }
    if (w->state.in_doubt) {
        uint8_t hi[8];
        le64_store(hi, WAL_INDEX_OPEN);
        wal_batch_put(b, WAL_RECORD_DAMAGE, 0, w->state.doubt_lo, 0, (struct bytes){hi, 8});
    }
    w->flight_hook = first_batch_durable;
    wal_flush(w);
}

static void find_room(struct wal_recovering *r)
{
    struct wal *w = r->wal;
    const struct wal_scan *s = &r->scan;
    bool has_tail = tail_is_usable(r);

    w->chain = s->begun ? s->chain : wal_chain_genesis(w->config.cluster, w->config.node);
    w->previous_seq = s->begun ? s->last_seq : 0;
    w->next_seq = (has_tail ? s->last_seq : u64_max(s->last_seq, s->max_seq)) + 1;
    w->durable_index = w->state.last_index;
    if (has_tail) {
        w->active_sector = s->tail_sector;
        w->active_has_batch = true;
        write_first_batch(w);
        return;
    }
    if (w->next.state == WAL_NEXT_READY) {
        write_first_batch(w);
        return;
    }
    w->next.ready = write_first_batch;
    wal_segment_prepare(w);
}

static void erase_synced(struct world_file_request *request)
{
    struct wal_recovering *r = request->owner;
    if (request->result != OK) {
        wal_recover_fail(r, request->result, "the torn tail cannot be erased");
        return;
    }
    find_room(r);
}

static void erase_on(struct wal_recovering *r);

static void erased(struct world_file_request *request)
{
    struct wal_recovering *r = request->owner;
    if (request->result != OK) {
        wal_recover_fail(r, request->result, "the torn tail cannot be erased");
        return;
    }
    erase_on(r);
}

static void erase_on(struct wal_recovering *r)
{
    uint64_t n = u64_min(r->erase_to - r->erase_from, r->chunk_sectors);

    if (n == 0) {
        wal_recover_submit(r, WORLD_SYNC, erase_synced);
        return;
    }
    r->request.buffer = r->chunks[0].bytes;
    r->request.offset = r->erase_from * WAL_SECTOR_BYTES;
    r->request.length = n * WAL_SECTOR_BYTES;
    r->erase_from += n;
    wal_recover_submit(r, WORLD_WRITE, erased);
}

static world_fd fd_of_segment(const struct wal_recovering *r, uint64_t seq)
{
    for (size_t i = 0; i < r->segment_count; i++) {
        if (r->segments[i].seq == seq) {
            return r->segments[i].fd;
        }
    }
    return WORLD_FD_NONE;
}

/* The sectors that the interrupted batch left, with the header of a segment that it began. */
static void erase_torn_tail(struct wal_recovering *r)
{
    const struct wal_scan *s = &r->scan;

    if (!s->torn || !tail_is_usable(r)) {
        find_room(r);
        return;
    }
    bool is_tail = s->torn_segment == s->tail_segment;
    r->erase_from = is_tail ? s->tail_sector : 0;
    r->erase_to = u64_max(s->torn_last_sector + 1, r->erase_from);
    r->request.fd = fd_of_segment(r, s->torn_segment);
    if (r->request.fd == WORLD_FD_NONE) { /* it went with its file */
        find_room(r);
        return;
    }
    memset(r->chunks[0].bytes, 0, (size_t)r->chunk_sectors * WAL_SECTOR_BYTES);
    erase_on(r);
}

static void unlink_on(struct wal_recovering *r);

static void surplus_unlinked(struct world_file_request *request)
{
    struct wal_recovering *r = request->owner;
    r->segment_count--;
    unlink_on(r);
}

static void surplus_closed(struct world_file_request *request)
{
    struct wal_recovering *r = request->owner;

    wal_segment_path(r->wal, r->segments[r->segment_count - 1].seq, r->path);
    request->path = r->path;
    wal_recover_submit(r, WORLD_UNLINK, surplus_unlinked);
}

static void spare_unlinked(struct world_file_request *request)
{
    unlink_on(request->owner);
}

/* Takes over the files that stay. */
static void adopt_files(struct wal_recovering *r)
{
    struct wal *w = r->wal;
    bool has_tail = tail_is_usable(r);

    for (size_t i = 0; i < r->segment_count; i++) {
        uint64_t seq = r->segments[i].seq;
        struct wal_file file = {
            .seq = seq, .fd = r->segments[i].fd, .is_spoiled = wal_scan_is_spoiled(&r->scan, seq)};
        if (has_tail && file.seq > r->scan.tail_segment) {
            w->next.state = WAL_NEXT_READY;
            w->next.file = file;
        } else {
            wal_file_add(w, file);
        }
    }
    erase_torn_tail(r);
}

/* Removes the newest segments until `wanted_files` are left; and, with none wanted, the spares,
 * whose sectors could pass for those of the new log. */
static void unlink_on(struct wal_recovering *r)
{
    struct wal *w = r->wal;

    if (r->segment_count > r->wanted_files) {
        r->request.fd = r->segments[r->segment_count - 1].fd;
        if (r->request.fd == WORLD_FD_NONE) {
            r->request.owner = r;
            surplus_closed(&r->request);
        } else {
            wal_recover_submit(r, WORLD_CLOSE, surplus_closed);
        }
        return;
    }
    if (begins_anew(r) && w->spare_count > 0) {
        char name[WAL_NAME_BYTES + sizeof WAL_SPARE_SUFFIX];
        wal_segment_name(w->spares[--w->spare_count], name);
        memcpy(name + 16, WAL_SPARE_SUFFIX, sizeof WAL_SPARE_SUFFIX);
        wal_path(w, name, r->path);
        r->request.path = r->path;
        wal_recover_submit(r, WORLD_UNLINK, spare_unlinked);
        return;
    }
    adopt_files(r);
}

static void directory_made(struct world_file_request *request)
{
    struct wal_recovering *r = request->owner;
    if (request->result != OK && request->result != ERR_EXISTS) {
        wal_recover_fail(r, request->result, "the directory of the log cannot be made");
        return;
    }
    wal_vouch(r);
}

void wal_resume_files(struct wal_recovering *r)
{
    unlink_on(r);
}

void wal_resume(struct wal_recovering *r)
{
    const struct wal_scan *s = &r->scan;
    uint64_t wanted = r->segment_count;

    if (begins_anew(r)) {
        wanted = 0;
        if (r->found.verdict == RECOVERY_WIPED) {
            wal_state_damage(&r->wal->state, r->wal->state.last_index + 1, WAL_INDEX_OPEN, 0);
        }
        r->wal->next.file.seq = s->segment.seq + 1;
    } else if (tail_is_usable(r)) {
        /* Behind the tail: one prepared segment, if it is the right one. */
        for (wanted = 0; r->segments[wanted].seq <= s->tail_segment; wanted++) {
            if (wanted + 1 == r->segment_count) {
                wanted++;
                break;
            }
        }
        if (wanted < r->segment_count && r->segments[wanted].seq == s->tail_segment + 1 &&
            r->segments[wanted].bytes == r->wal->config.segment_bytes &&
            !wal_scan_is_spoiled(s, s->tail_segment + 1)) {
            wanted++;
        }
    }
    r->wanted_files = wanted;
    if (r->list_result == ERR_NOT_FOUND) {
        r->request.path = r->wal->config.dir;
        wal_recover_submit(r, WORLD_MKDIR, directory_made);
        return;
    }
    wal_vouch(r);
}
