#include "core/recovery/scrub.h"

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/recovery/wal_int.h"

struct scrub {
    struct wal *wal;                    /* borrowed */
    const struct snapfile_place *place; /* borrowed */
    struct scrub_config config;
    struct scrub_events events;
    struct world_timer timer;
    struct world_file_request request;
    uint8_t *buffer; /* owned */

    uint64_t segment; /* the one that is being read; 0: the pass has not begun */
    uint64_t sector;
    uint64_t snapshot_below; /* snapshots are verified from the newest down; 0: not begun */
    uint64_t bytes;
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
        if (s->wal->files[i].seq >= seq) {
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

static void segment_scrubbed(struct world_file_request *request)
{
    struct scrub *s = request->owner;
    struct wal *w = s->wal;
    uint64_t sectors = request->length / WAL_SECTOR_BYTES;
    bool is_whole = request->result == OK && request->count == request->length;

    w->reads--;
    for (uint64_t i = 0; i < sectors; i++) {
        const uint8_t *sector = request->buffer + i * WAL_SECTOR_BYTES;
        if (!is_whole || (s->sector + i >= WAL_FIRST_SECTOR &&
                          wal_sector_read(sector, s->sector + i).kind == WAL_SECTOR_BAD)) {
            tell_log_damage(s, s->sector + i);
        }
    }
    s->sector += sectors;
    s->bytes += request->length;
    wal_segment_recycle(w);
    scrub_wait(s, pause_after(s, request->length));
}

static void snapshot_scrubbed(void *ctx, const struct snapfile_found *found)
{
    struct scrub *s = ctx;

    if (found->result == OK) {
        s->bytes += snapfile_bytes(found->meta.payload_bytes);
    } else if (found->damaged > 0) {
        s->events.snapshot_damage(s->events.ctx, s->snapshot_below, 0);
    }
    scrub_wait(s, pause_after(s, SCRUB_READ_BYTES));
}

struct scrub *scrub_new(struct wal *wal, const struct snapfile_place *place,
                        const struct scrub_config *config, const struct scrub_events *events)
{
    CHECK(config->bytes_per_second > 0);
    struct scrub *s = mem_alloc_zero(sizeof *s);
    (void)snapshot_scrubbed;
    s->wal = wal;
    s->place = place;
    s->config = *config;
    s->events = *events;
    s->buffer = mem_alloc(SCRUB_READ_BYTES);
    s->timer.fire = scrub_fired;
    s->timer.owner = s;
    scrub_wait(s, config->pause);
    return s;
}
