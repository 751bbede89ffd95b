#include "core/recovery/scrub.h"

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/recovery/snapshot_int.h"
#include "core/recovery/wal_int.h"

/* What the next step of a pass is: LOG until it is read, then NAMES, then OPEN and READ for each
 * snapshot. */
enum scrub_phase { SCRUB_LOG, SCRUB_NAMES, SCRUB_OPEN, SCRUB_READ };

struct scrub_listed {
    uint64_t index;
    uint64_t term;
};

struct scrub {
    struct wal *wal;                    /* borrowed */
    const struct snapfile_place *place; /* borrowed */
    struct scrub_config config;
    struct scrub_events events;
    struct world_timer timer;
    struct world_file_request request;
    uint8_t *buffer; /* owned */

    enum scrub_phase phase;
    uint64_t bytes;   /* read in this pass */
    uint64_t segment; /* the one that is being read; 0: the pass has not begun */
    uint64_t sector;
    uint64_t dense_end;  /* batches lie without a gap before this sector of the segment */
    uint64_t narrow_end; /* one by one are read the sectors before this one of it */
    uint64_t batch_seq;  /* of the newest batch that was met in it; they never fall */

    struct scrub_listed needed; /* the newest marker of the log when the snapshots were listed */
    struct scrub_listed listed[SNAPFILE_LISTED_MAX];
    size_t count;
    size_t at;
    struct snapfile_check check;
    uint64_t offset;
    char path[WORLD_PATH_MAX_BYTES];
};

static void scrub_next(struct scrub *s);

static void scrub_fired(struct world_timer *timer)
{
    scrub_next(timer->owner);
}

static void scrub_wait(struct scrub *s, nanos pause)
{
    const struct world *world = s->wal->world;
    world_timer_set(world, &s->timer, u64_add_sat(world_now(world), pause));
}

/* The pause after so many bytes. */
static nanos pause_after(const struct scrub *s, uint64_t bytes)
{
    return bytes * NANOS_PER_S / s->config.bytes_per_second + 1;
}

/* Which entries lie in the sector, as far as extents tell. */
static void tell_log_damage(struct scrub *s, uint64_t sector)
{
    const struct wal_index *index = &s->wal->index;
    const struct wal_spot spot = {s->segment, sector, "a sector is unreadable"};
    uint64_t lo = UINT64_MAX;
    uint64_t hi = 0;

    for (size_t i = 0; i < index->count; i++) {
        const struct wal_extent *extent = &index->extents[i];
        if (extent->segment == s->segment && extent->sector <= sector && sector < extent->end) {
            lo = u64_min(lo, extent->first);
            hi = u64_max(hi, extent->last);
        }
    }
    s->events.log_damage(s->events.ctx, &spot, lo, hi);
}

/* The file of the segment at or after `seq`, or NULL. */
static const struct wal_file *scrub_file(const struct scrub *s, uint64_t seq)
{
    for (size_t i = 0; i < s->wal->file_count; i++) {
        if (s->wal->files[i].seq >= seq && s->wal->files[i].fd != WORLD_FD_NONE) {
            return &s->wal->files[i];
        }
    }
    return NULL;
}

/* Behind the last sector of a segment that is not in motion. */
static uint64_t scrub_end(const struct scrub *s, const struct wal_file *file)
{
    const struct wal *w = s->wal;
    bool is_active = file == &w->files[w->file_count - 1];

    if (!is_active || w->active_sector > wal_segment_sectors(w)) {
        return wal_segment_sectors(w);
    }
    return w->in_flight ? w->active_sector - w->batches[w->first].sectors : w->active_sector;
}

/* Behind the last sector of the segment of which is known that batches lie before it. */
static uint64_t scrub_dense_end(const struct scrub *s, const struct wal_file *file)
{
    const struct wal *w = s->wal;
    uint64_t end = 0;

    if (file == &w->files[w->file_count - 1] && w->active_sector <= wal_segment_sectors(w)) {
        return scrub_end(s, file);
    }
    for (size_t i = 0; i < w->index.count; i++) {
        if (w->index.extents[i].segment == file->seq) {
            end = u64_max(end, w->index.extents[i].end);
        }
    }
    return end;
}

/* Is it as the log left it? What was never written, or is of an earlier life of the file, is as bad
 * as what cannot be read, where a batch has to be: a file that was cut and has grown again has
 * zeros there. */
static bool sector_is_good(struct scrub *s, const uint8_t *bytes, uint64_t number)
{
    if (number < WAL_FIRST_SECTOR) {
        return true; /* entries do not depend on the header */
    }
    struct wal_sector sector = wal_sector_read(bytes, number);
    if (number >= s->dense_end) {
        return sector.kind != WAL_SECTOR_BAD;
    }
    if (sector.kind != WAL_SECTOR_SEALED || sector.batch_seq < s->batch_seq) {
        return false;
    }
    s->batch_seq = sector.batch_seq;
    return true;
}

static void note_spoiled_file(struct wal *w, uint64_t seq)
{
    for (size_t i = 0; i < w->file_count; i++) {
        w->files[i].is_spoiled |= w->files[i].seq == seq;
    }
}

static void segment_scrubbed(struct world_file_request *request)
{
    struct scrub *s = request->owner;
    struct wal *w = s->wal;
    uint64_t sectors = request->length / WAL_SECTOR_BYTES;
    bool is_whole = request->result == OK && request->count == request->length;
    bool is_active = s->segment == w->files[w->file_count - 1].seq;

    if (!is_whole && sectors > 1) {
        /* Which of them is it? The others' entries are good, and may be wanted. */
        w->reads--;
        s->narrow_end = s->sector + sectors;
        scrub_wait(s, pause_after(s, request->length));
        return;
    }
    for (uint64_t i = 0; i < sectors; i++) {
        const uint8_t *sector = request->buffer + i * WAL_SECTOR_BYTES;
        if (!is_whole || !sector_is_good(s, sector, s->sector + i)) {
            note_spoiled_file(w, s->segment);
            if (is_active) {
                wal_segment_abandon(w);
                is_active = false;
            }
            tell_log_damage(s, s->sector + i);
        }
    }
    w->reads--;
    s->sector += sectors;
    s->bytes += request->length;
    wal_segment_recycle(w);
    scrub_wait(s, pause_after(s, request->length));
}

/* Reads the next piece of the log; false at the end of it. */
static bool scrub_log(struct scrub *s)
{
    const struct wal_file *file = scrub_file(s, s->segment);

    if (file != NULL && (file->seq != s->segment || s->sector >= scrub_end(s, file))) {
        bool is_new = file->seq != s->segment;
        file = is_new ? file : scrub_file(s, s->segment + 1);
        s->sector = 0;
        s->narrow_end = 0;
        s->batch_seq = 0;
        s->segment = file != NULL ? file->seq : s->segment;
    }
    if (file == NULL || s->sector >= scrub_end(s, file)) {
        return false;
    }
    s->dense_end = scrub_dense_end(s, file);
    s->request.fd = file->fd;
    s->request.offset = s->sector * WAL_SECTOR_BYTES;
    uint64_t most = s->sector < s->narrow_end ? WAL_SECTOR_BYTES : SCRUB_READ_BYTES;
    s->request.length = u64_min(most, (scrub_end(s, file) - s->sector) * WAL_SECTOR_BYTES);
    s->request.buffer = s->buffer;
    s->wal->reads++;
    snapfile_submit(s->place, &s->request, WORLD_READ, segment_scrubbed, s);
    return true;
}

static void pass_ends(struct scrub *s)
{
    s->events.pass(s->events.ctx, s->bytes);
    s->segment = 0;
    s->sector = 0;
    s->bytes = 0;
    s->phase = SCRUB_LOG;
    scrub_wait(s, s->config.pause);
}

static void snapshot_closed(struct world_file_request *request)
{
    struct scrub *s = request->owner;

    if (!snapfile_check_is_done(&s->check)) {
        s->events.snapshot_damage(s->events.ctx, s->listed[s->at].index, s->listed[s->at].term);
    }
    snapfile_check_deinit(&s->check);
    snapfile_check_init(&s->check);
    s->at++;
    s->phase = SCRUB_OPEN;
    scrub_wait(s, pause_after(s, SCRUB_READ_BYTES));
}

static void snapshot_scrubbed(struct world_file_request *request)
{
    struct scrub *s = request->owner;
    struct bytes got = {request->buffer, (size_t)request->count};

    bool goes_on = request->result == OK && got.len > 0 &&
                   snapfile_check_feed(&s->check, got) == OK && got.len == request->length;
    s->bytes += got.len;
    s->offset += got.len;
    if (goes_on) {
        scrub_wait(s, pause_after(s, got.len));
        return;
    }
    snapfile_submit(s->place, request, WORLD_CLOSE, snapshot_closed, s);
}

static void snapshot_opened(struct world_file_request *request)
{
    struct scrub *s = request->owner;

    if (request->result == ERR_NOT_FOUND) {
        s->at++; /* pruned meanwhile */
    } else if (request->result != OK) {
        s->events.snapshot_damage(s->events.ctx, s->listed[s->at].index, s->listed[s->at].term);
        s->at++;
    } else {
        s->offset = 0;
        s->phase = SCRUB_READ;
    }
    scrub_next(s);
}

/* Only who looks for it misses a file that is gone: until the next start nobody opens it. */
static void snapshots_listed(struct world_file_request *request)
{
    struct scrub *s = request->owner;
    bool has_needed = s->needed.index == 0 || s->count == SNAPFILE_LISTED_MAX;

    for (size_t i = 0; i < s->count; i++) {
        has_needed |= s->listed[i].index >= s->needed.index;
    }
    if (!has_needed) {
        s->events.snapshot_damage(s->events.ctx, s->needed.index, s->needed.term);
    }
    s->phase = SCRUB_OPEN;
    scrub_next(s);
}

static void snapshot_listed(struct world_file_request *request, const char *name)
{
    struct scrub *s = request->owner;
    struct scrub_listed *at = &s->listed[s->count];

    if (s->count < SNAPFILE_LISTED_MAX &&
        snapfile_name_parse(name, SNAPFILE_SUFFIX, &at->index, &at->term) == OK) {
        s->count++;
    }
}

static void list_snapshots(struct scrub *s)
{
    s->count = s->at = 0;
    s->needed = (struct scrub_listed){s->wal->state.snapshot_index, s->wal->state.snapshot_term};
    s->request.path = s->place->dir;
    s->request.entry = snapshot_listed;
    snapfile_submit(s->place, &s->request, WORLD_LIST, snapshots_listed, s);
}

/* Who is told may append, so the index is looked at anew for each extent. */
static void tell_missing_segment(struct scrub *s, uint64_t seq)
{
    const struct wal_spot spot = {seq, 0, "the segment's name is gone"};
    const struct wal_index *index = &s->wal->index;

    for (size_t i = 0; i < index->count; i++) {
        struct wal_extent extent = index->extents[i];
        if (extent.segment == seq) {
            s->events.log_damage(s->events.ctx, &spot, extent.first, extent.last);
        }
    }
    s->events.log_damage(s->events.ctx, &spot, UINT64_MAX, 0);
}

/* A file that was cut behind what the log has written: the next start could not tell whether
 * something was there. */
static void active_measured(struct world_file_request *request)
{
    struct scrub *s = request->owner;
    struct wal *w = s->wal;

    bool is_short = request->result == OK && request->size < w->config.segment_bytes;
    if (is_short && w->files[w->file_count - 1].seq == s->segment) {
        wal_segment_abandon(w);
    }
    w->reads--;
    wal_segment_recycle(w);
    list_snapshots(s);
}

static void names_listed(struct world_file_request *request)
{
    struct scrub *s = request->owner;
    struct wal *w = s->wal;

    for (size_t i = 0; i < w->file_count && request->result == OK; i++) {
        if (w->files[i].is_missing) {
            if (i + 1 == w->file_count) {
                wal_segment_abandon(w);
            }
            tell_missing_segment(s, w->files[i].seq);
        }
    }
    s->segment = w->files[w->file_count - 1].seq;
    wal_segment_path(w, s->segment, s->path);
    request->path = s->path;
    snapfile_submit(s->place, request, WORLD_STAT, active_measured, s);
}

static void name_listed(struct world_file_request *request, const char *name)
{
    struct scrub *s = request->owner;
    uint64_t seq = wal_segment_name_parse(name);

    for (size_t i = 0; i < s->wal->file_count; i++) {
        if (s->wal->files[i].seq == seq) {
            s->wal->files[i].is_missing = false;
        }
    }
}

/* The running log has its files open, and would not notice that a name is gone. While this counts
 * as a read, no segment is renamed. */
static void list_names(struct scrub *s)
{
    struct wal *w = s->wal;

    for (size_t i = 0; i < w->file_count; i++) {
        w->files[i].is_missing = true;
    }
    w->reads++;
    s->request.path = w->config.dir;
    s->request.entry = name_listed;
    snapfile_submit(s->place, &s->request, WORLD_LIST, names_listed, s);
}

static void scrub_next(struct scrub *s)
{
    switch (s->phase) {
    case SCRUB_LOG:
        if (scrub_log(s)) {
            return;
        }
        s->phase = SCRUB_NAMES;
        list_names(s);
        return;
    case SCRUB_NAMES:
        CHECK_UNREACHABLE("listing is not waited for by a timer");
    case SCRUB_OPEN:
        if (s->at == s->count) {
            pass_ends(s);
            return;
        }
        snapfile_path(s->place->dir, s->listed[s->at].index, s->listed[s->at].term, SNAPFILE_SUFFIX,
                      s->path);
        s->request.path = s->path;
        s->request.flags = 0;
        snapfile_submit(s->place, &s->request, WORLD_OPEN, snapshot_opened, s);
        return;
    case SCRUB_READ:
        s->request.offset = s->offset;
        s->request.length = SCRUB_READ_BYTES;
        s->request.buffer = s->buffer;
        snapfile_submit(s->place, &s->request, WORLD_READ, snapshot_scrubbed, s);
        return;
    }
}

struct scrub *scrub_new(struct wal *wal, const struct snapfile_place *place,
                        const struct scrub_config *config, const struct scrub_events *events)
{
    CHECK(wal->is_ready && config->bytes_per_second > 0);
    struct scrub *s = mem_alloc_zero(sizeof *s);

    s->wal = wal;
    s->place = place;
    s->config = *config;
    s->events = *events;
    s->buffer = mem_alloc(SCRUB_READ_BYTES);
    snapfile_check_init(&s->check);
    s->timer.fire = scrub_fired;
    s->timer.owner = s;
    scrub_wait(s, config->pause);
    return s;
}

void scrub_free(struct scrub *s)
{
    if (s->timer.is_set) { /* a world that was torn down has unset it */
        world_timer_cancel(s->wal->world, &s->timer);
    }
    snapfile_check_deinit(&s->check);
    mem_free(s->buffer);
    mem_free(s);
}
