/* The files of the log: the next one is prepared while the active one fills, old ones are recycled.
 * Both go step by step in the bulk lane, so that the log's own lane never waits for them. */
#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/base/mutant.h"
#include "core/base/probe.h"
#include "core/recovery/wal_int.h"

world_fd wal_file_fd(const struct wal *w, uint64_t seq)
{
    for (size_t i = 0; i < w->file_count; i++) {
        if (w->files[i].seq == seq) {
            return w->files[i].fd;
        }
    }
    CHECK(false);
    return WORLD_FD_NONE;
}

void wal_file_add(struct wal *w, struct wal_file file)
{
    CHECK(w->file_count == 0 || w->files[w->file_count - 1].seq < file.seq);
    mem_grow((void **)&w->files, &w->file_cap, w->file_count + 1, sizeof *w->files);
    w->files[w->file_count++] = file;
}

/* "%016x.spare" of the number that the file had as a segment. */
static void spare_path(const struct wal *w, uint64_t seq, char path[WORLD_PATH_MAX_BYTES])
{
    char name[WAL_NAME_BYTES + sizeof WAL_SPARE_SUFFIX];

    wal_segment_name(seq, name);
    memcpy(name + 16, WAL_SPARE_SUFFIX, sizeof WAL_SPARE_SUFFIX);
    wal_path(w, name, path);
}

/* Ends a preparation that met an error, and says so. */
static void preparation_failed(struct wal *w, enum err why);

static void retry_fired(struct world_timer *timer)
{
    struct wal *w = timer->owner;
    w->next.state = WAL_NEXT_NONE;
    wal_segment_prepare(w);
}

static void remains_unlinked(struct world_file_request *request)
{
    struct wal *w = request->owner;

    w->next.state = WAL_NEXT_REFUSED;
    PROBE(WAL_NO_SPACE);
    w->next.retry.fire = retry_fired;
    w->next.retry.owner = w;
    world_timer_set(w->world, &w->next.retry, world_now(w->world) + WAL_SPACE_RETRY);
    wal_set_status(w, WAL_NO_SPACE, ERR_NO_SPACE);
}

static void remains_closed(struct world_file_request *request)
{
    struct wal *w = request->owner;
    w->next.request.path = w->next.from;
    wal_submit(w, &w->next.request, WORLD_UNLINK, WORLD_LANE_BULK, remains_unlinked);
}

static void preparation_failed(struct wal *w, enum err why)
{
    struct wal_preparation *next = &w->next;

    if (why != ERR_NO_SPACE) {
        wal_set_status(w, WAL_FAILED, why);
        return;
    }
    if (next->file.fd == WORLD_FD_NONE) {
        remains_unlinked(&next->request);
        return;
    }
    next->request.fd = next->file.fd;
    wal_submit(w, &next->request, WORLD_CLOSE, WORLD_LANE_BULK, remains_closed);
}

static void next_is_ready(struct wal *w)
{
    w->next.state = WAL_NEXT_READY;
    wal_set_status(w, WAL_OK, OK);
    if (w->next.ready != NULL) {
        void (*ready)(struct wal *) = w->next.ready;
        w->next.ready = NULL;
        ready(w);
        return;
    }
    if (w->wants_flush) {
        wal_pump(w);
    }
    if (w->wants_room && w->events.room != NULL) {
        w->wants_room = false;
        w->events.room(w->events.ctx);
    }
}

static void name_synced(struct world_file_request *request)
{
    struct wal *w = request->owner;
    if (request->result != OK) {
        wal_set_status(w, WAL_FAILED, request->result);
        return;
    }
    next_is_ready(w);
}

static void renamed_to_segment(struct world_file_request *request)
{
    struct wal *w = request->owner;
    if (request->result != OK) {
        preparation_failed(w, request->result);
        return;
    }
    request->path = w->config.dir;
    wal_submit(w, request, WORLD_SYNC_DIR, WORLD_LANE_BULK, name_synced);
}

static void rename_to_segment(struct wal *w)
{
    wal_segment_path(w, w->next.file.seq, w->next.to);
    w->next.request.path = w->next.from;
    w->next.request.path_to = w->next.to;
    wal_submit(w, &w->next.request, WORLD_RENAME, WORLD_LANE_BULK, renamed_to_segment);
}

static void preallocated_synced(struct world_file_request *request)
{
    struct wal *w = request->owner;
    if (request->result != OK) {
        wal_set_status(w, WAL_FAILED, request->result);
        return;
    }
    rename_to_segment(w);
}

static void preallocated(struct world_file_request *request)
{
    struct wal *w = request->owner;
    if (request->result != OK) {
        preparation_failed(w, request->result);
        return;
    }
    wal_submit(w, request, WORLD_SYNC, WORLD_LANE_BULK, preallocated_synced);
}

static void created(struct world_file_request *request)
{
    struct wal *w = request->owner;
    if (request->result != OK) {
        preparation_failed(w, request->result);
        return;
    }
    w->next.file.fd = request->fd;
    request->length = w->config.segment_bytes;
    wal_submit(w, request, WORLD_PREALLOCATE, WORLD_LANE_BULK, preallocated);
}

static void remains_of_before_unlinked(struct world_file_request *request)
{
    struct wal *w = request->owner;
    request->flags = WORLD_OPEN_CREATE;
    wal_submit(w, request, WORLD_OPEN, WORLD_LANE_BULK, created);
}

/* A new file, under a temporary name until it has all its blocks. */
static void create_file(struct wal *w)
{
    w->next.spare = 0;
    wal_path(w, WAL_PREPARE_NAME, w->next.from);
    w->next.request.path = w->next.from;
    wal_submit(w, &w->next.request, WORLD_UNLINK, WORLD_LANE_BULK, remains_of_before_unlinked);
}

static void unfit_spare_unlinked(struct world_file_request *request)
{
    create_file(request->owner);
}

static void unfit_spare_closed(struct world_file_request *request)
{
    struct wal *w = request->owner;
    request->path = w->next.from;
    wal_submit(w, request, WORLD_UNLINK, WORLD_LANE_BULK, unfit_spare_unlinked);
}

static void spare_opened(struct world_file_request *request)
{
    struct wal *w = request->owner;

    if (request->result != OK) {
        create_file(w);
        return;
    }
    w->next.file.fd = request->fd;
    if (request->size != w->config.segment_bytes) {
        w->next.file.fd = WORLD_FD_NONE;
        wal_submit(w, request, WORLD_CLOSE, WORLD_LANE_BULK, unfit_spare_closed);
        return;
    }
    rename_to_segment(w);
}

void wal_segment_prepare(struct wal *w)
{
    struct wal_preparation *next = &w->next;

    if (next->state != WAL_NEXT_NONE || w->status == WAL_FAILED) {
        return;
    }
    uint64_t newest = w->file_count > 0 ? w->files[w->file_count - 1].seq : 0;
    next->state = WAL_NEXT_PREPARING;
    next->file = (struct wal_file){.seq = u64_max(newest + 1, next->file.seq), .fd = WORLD_FD_NONE};
    if (w->spare_count == 0) {
        create_file(w);
        return;
    }
    next->spare = w->spares[0];
    w->spare_count--;
    memmove(w->spares, w->spares + 1, w->spare_count * sizeof w->spares[0]);
    spare_path(w, next->spare, next->from);
    next->request.path = next->from;
    next->request.flags = WORLD_OPEN_WRITE;
    wal_submit(w, &next->request, WORLD_OPEN, WORLD_LANE_BULK, spare_opened);
}

void wal_segment_advance(struct wal *w)
{
    CHECK(w->next.state == WAL_NEXT_READY);
    PROBE(WAL_ROLLED);
    wal_file_add(w, w->next.file);
    w->next.state = WAL_NEXT_NONE;
    w->active_sector = WAL_FIRST_SECTOR;
    w->active_has_batch = false;
}

void wal_segment_abandon(struct wal *w)
{
    /* Otherwise the next pass of the scrub comes back to it. Without another segment this one is
     * better than none. */
    if (!w->in_flight && w->next.state == WAL_NEXT_READY) {
        w->active_sector = WAL_NO_SECTOR;
    }
}

/* The oldest segment with an entry above `index` that can still be read, or the active one. */
static uint64_t oldest_needed(const struct wal *w, uint64_t index)
{
    uint64_t oldest = w->files[w->file_count - 1].seq;

    for (size_t i = w->index.count; i-- > 0 && w->index.extents[i].last > index;) {
        oldest = u64_min(oldest, w->index.extents[i].segment);
    }
    return oldest;
}

static void recycled_durably(struct world_file_request *request)
{
    struct wal *w = request->owner;

    if (request->result != OK) {
        wal_set_status(w, WAL_FAILED, request->result);
        return;
    }
    w->recycling.is_under_way = false;
    PROBE(WAL_RECYCLED);
    if (w->recycling.is_spare) {
        /* Only now: until its old name is durably gone, the file must not get a new one. */
        w->spares[w->spare_count++] = w->recycling.seq;
    }
    if (w->next.state == WAL_NEXT_REFUSED && w->spare_count > 0) {
        world_timer_cancel(w->world, &w->next.retry);
        w->next.state = WAL_NEXT_NONE;
        wal_segment_prepare(w);
    }
    wal_segment_recycle(w);
}

static void recycled(struct world_file_request *request)
{
    struct wal *w = request->owner;

    w->recycling.is_spare = request->op == WORLD_RENAME && request->result == OK;
    request->path = w->config.dir;
    wal_submit(w, request, WORLD_SYNC_DIR, WORLD_LANE_BULK, recycled_durably);
}

static void old_segment_closed(struct world_file_request *request)
{
    struct wal *w = request->owner;
    struct wal_recycling *r = &w->recycling;

    wal_segment_path(w, r->seq, r->from);
    request->path = r->from;
    /* What is unreadable in a file would still be so in its next life, and pass there for damage.
     */
    if (w->spare_count == WAL_SPARES_MAX || r->is_spoiled) {
        wal_submit(w, request, WORLD_UNLINK, WORLD_LANE_BULK, recycled);
        return;
    }
    spare_path(w, r->seq, r->to);
    request->path_to = r->to;
    wal_submit(w, request, WORLD_RENAME, WORLD_LANE_BULK, recycled);
}

void wal_segment_recycle(struct wal *w)
{
    struct wal_recycling *r = &w->recycling;

    if (r->is_under_way || w->reads > 0 || !w->active_has_batch || w->file_count < 2 ||
        w->files[0].seq >= r->through) {
        return;
    }
    r->is_under_way = true;
    r->seq = w->files[0].seq;
    r->request.fd = w->files[0].fd;
    r->is_spoiled = w->files[0].is_spoiled;
    w->file_count--;
    memmove(w->files, w->files + 1, w->file_count * sizeof w->files[0]);
    if (r->request.fd == WORLD_FD_NONE) { /* it could never be opened */
        r->request.owner = w;
        old_segment_closed(&r->request);
        return;
    }
    wal_submit(w, &r->request, WORLD_CLOSE, WORLD_LANE_BULK, old_segment_closed);
}

void wal_compact(struct wal *w, uint64_t index)
{
    CHECK(w->is_ready && index <= w->state.snapshot_index);
    if (w->state.damage_count > 0 || w->state.in_doubt || w->file_count == 0) {
        return;
    }
    index = u64_min(index, w->durable_index);
    if (index <= w->state.base_index) {
        return;
    }
    wal_state_compact(&w->state, index);
    wal_index_drop_through(&w->index, index);
    uint64_t through =
        MUTANT(SEGMENT_RECYCLED_EARLY) ? w->files[w->file_count - 1].seq : oldest_needed(w, index);
    w->recycling.through = u64_max(w->recycling.through, through);
    wal_segment_recycle(w);
}
