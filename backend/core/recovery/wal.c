#include "core/recovery/wal.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/le.h"
#include "core/base/mem.h"
#include "core/base/mutant.h"
#include "core/recovery/wal_int.h"
#include "core/recovery/wal_recover_int.h"

/* A hard state's record, and the marks that an append may bring besides its entries. */
#define APPEND_MARKS_BYTES (4U * (WAL_RECORD_HEADER_BYTES + 8U))

struct wal *wal_new(const struct world *world, const struct wal_config *config,
                    const struct wal_events *events)
{
    CHECK(config->segment_bytes % WAL_SECTOR_BYTES == 0);
    CHECK(config->batch_bytes + config->reserve_bytes + WAL_SECTOR_BYTES <= config->segment_bytes);
    CHECK(config->is_read_only || (config->cluster != 0 && config->node != NODE_NONE));
    struct wal *w = mem_alloc_zero(sizeof *w);
    w->world = world;
    w->config = *config;
    w->events = *events;
    w->next_seq = 1;
    w->touched = UINT64_MAX;
    w->active_sector = WAL_NO_SECTOR;
    w->next.file.fd = WORLD_FD_NONE;
    wal_state_init(&w->state);
    wal_index_init(&w->index);
    for (size_t i = 0; i < WAL_BATCHES; i++) {
        wal_batch_init(&w->batches[i]);
    }
    return w;
}

void wal_free(struct wal *w)
{
    for (size_t i = 0; i < WAL_BATCHES; i++) {
        wal_batch_deinit(&w->batches[i]);
    }
    if (w->next.retry.is_set) { /* a world that was torn down has unset it */
        world_timer_cancel(w->world, &w->next.retry);
    }
    wal_state_deinit(&w->state);
    wal_index_deinit(&w->index);
    wal_recovering_free(w);
    mem_free(w->files);
    mem_free(w);
}

void wal_path(const struct wal *w, const char *name, char path[WORLD_PATH_MAX_BYTES])
{
    size_t dir = strlen(w->config.dir);
    size_t n = strlen(name);

    CHECK(dir + 1 + n < WORLD_PATH_MAX_BYTES);
    memcpy(path, w->config.dir, dir);
    size_t at = dir;
    if (dir > 0) {
        path[at++] = '/';
    }
    memcpy(path + at, name, n + 1);
}

void wal_segment_path(const struct wal *w, uint64_t seq, char path[WORLD_PATH_MAX_BYTES])
{
    char name[WAL_NAME_BYTES];

    wal_segment_name(seq, name);
    wal_path(w, name, path);
}

void wal_submit(struct wal *w, struct world_file_request *request, enum world_file_op op,
                enum world_lane lane, void (*done)(struct world_file_request *))
{
    request->op = op;
    request->lane = lane;
    request->done = done;
    request->owner = w;
    world_submit(w->world, request);
}

void wal_set_status(struct wal *w, enum wal_status status, enum err why)
{
    if (w->status == status || w->status == WAL_FAILED) {
        return;
    }
    w->status = status;
    if (w->events.status != NULL) {
        w->events.status(w->events.ctx, status, why);
    }
}

static struct wal_batch *ring_at(struct wal *w, uint32_t i)
{
    return &w->batches[(w->first + i) % WAL_BATCHES];
}

/* The batch that takes records, or NULL. */
static struct wal_batch *filling(struct wal *w)
{
    struct wal_batch *newest = w->count > 0 ? ring_at(w, w->count - 1) : NULL;
    return newest != NULL && newest->sectors == 0 ? newest : NULL;
}

static struct wal_batch *open_batch(struct wal *w)
{
    CHECK(w->count < WAL_BATCHES);
    struct wal_batch *b = ring_at(w, w->count++);
    uint64_t touched = u64_min(w->touched, w->state.last_index + 1);
    struct wal_batch_head head = wal_state_head(&w->state, touched);

    wal_batch_open(b, w->next_seq, w->previous_seq, w->chain, &head);
    w->previous_seq = w->next_seq++;
    return b;
}

struct wal_batch *wal_batch_begin(struct wal *w)
{
    return open_batch(w);
}

static void end_batch(struct wal *w, struct wal_batch *b)
{
    wal_batch_end(b);
    w->chain = b->chain;
    w->touched = b->touched;
}

/* The batch with room for `bytes` more of records. */
static struct wal_batch *batch_for(struct wal *w, uint64_t bytes)
{
    struct wal_batch *b = filling(w);

    if (b != NULL && wal_batch_sectors_with(b, bytes) * WAL_SECTOR_BYTES > w->config.batch_bytes) {
        end_batch(w, b);
        b = NULL;
    }
    return b != NULL ? b : open_batch(w);
}

static void put_record(struct wal *w, enum wal_record_type type, uint8_t entry_type, uint64_t index,
                       uint64_t term, struct bytes body)
{
    struct wal_batch *b = batch_for(w, WAL_RECORD_HEADER_BYTES + body.len);
    wal_batch_put(b, type, entry_type, index, term, body);
}

static void put_u64(struct wal *w, enum wal_record_type type, uint64_t index, uint64_t term,
                    uint64_t value)
{
    uint8_t body[8];
    le64_store(body, value);
    put_record(w, type, 0, index, term, (struct bytes){body, sizeof body});
}

/* What an append would come to. */
struct append_size {
    uint64_t sectors; /* of all batches that wait, with it; none of those on their way */
    uint32_t batches; /* in the ring, with it */
};

/* ERR_TOO_LARGE where one entry alone is more than a batch. */
static enum err measure(struct wal *w, const struct wal_append *append, struct append_size *ret)
{
    struct append_size size = {.batches = w->count};
    uint64_t limit = w->config.batch_bytes / WAL_SECTOR_BYTES;
    struct wal_batch *b = filling(w);
    uint64_t used = b != NULL ? b->used : 0;

    for (uint32_t i = w->in_flight ? 1 : 0; i < w->count; i++) {
        size.sectors += ring_at(w, i)->sectors;
    }
    /* Item 0 stands for everything but the entries. */
    for (size_t i = 0; i <= append->entry_count; i++) {
        uint64_t more = i == 0 ? APPEND_MARKS_BYTES
                               : WAL_RECORD_HEADER_BYTES + append->entries[i - 1].payload.len;
        if (used > 0 && wal_batch_sectors(used + more + WAL_RECORD_HEADER_BYTES) > limit) {
            size.sectors += wal_batch_sectors(used + WAL_RECORD_HEADER_BYTES);
            used = 0;
        }
        if (used == 0) {
            used = WAL_RECORD_HEADER_BYTES + WAL_BATCH_BODY_BYTES;
            size.batches++;
        }
        used += more;
        if (wal_batch_sectors(used + WAL_RECORD_HEADER_BYTES) > limit ||
            more > WAL_RECORD_HEADER_BYTES + WAL_PAYLOAD_MAX_BYTES) {
            return ERR_TOO_LARGE;
        }
    }
    size.sectors += wal_batch_sectors(used + WAL_RECORD_HEADER_BYTES);
    *ret = size;
    return OK;
}

/* Will there surely be a place for it on the disk? */
static bool has_place(const struct wal *w, uint64_t sectors, uint64_t reserve)
{
    uint64_t all = wal_segment_sectors(w);
    bool fits_active = w->active_sector + sectors + reserve <= all;
    bool fits_next = w->next.state == WAL_NEXT_READY && WAL_FIRST_SECTOR + sectors + reserve <= all;
    return fits_active || fits_next;
}

static enum err admit(struct wal *w, const struct wal_append *append)
{
    struct append_size size;

    if (w->status == WAL_FAILED) {
        return ERR_REFUSED;
    }
    if (w->status == WAL_NO_SPACE && append->entry_count > 0) {
        return ERR_NO_SPACE;
    }
    TRY(measure(w, append, &size));
    uint64_t reserve = append->entry_count > 0 ? w->config.reserve_bytes / WAL_SECTOR_BYTES : 0;
    if (size.batches > WAL_BATCHES) {
        w->wants_room = true;
        return ERR_BUSY;
    }
    if (!has_place(w, size.sectors, reserve)) {
        w->wants_room = true;
        wal_segment_prepare(w);
        return w->status == WAL_NO_SPACE ? ERR_NO_SPACE : ERR_BUSY;
    }
    if (append->is_repair) {
        for (size_t i = 0; i < append->entry_count; i++) {
            uint64_t index = append->entries[i].index;
            uint64_t known = wal_state_term_at(&w->state, index);
            bool is_here = index > w->state.base_index && index <= w->state.last_index;
            if (!is_here || (known != 0 && known != append->entries[i].term)) {
                return ERR_REFUSED;
            }
        }
    }
    return OK;
}

static void put_hard(struct wal *w, const struct wal_hard_state *hard)
{
    w->state.hard = *hard;
    put_u64(w, WAL_RECORD_HARD_STATE, hard->commit, hard->term, hard->vote);
}

static void put_snapshot(struct wal *w, uint64_t index, uint64_t term)
{
    bool holds = wal_state_holds(&w->state, index, term);

    put_record(w, WAL_RECORD_SNAPSHOT, holds ? WAL_SNAPSHOT_KEEPS : WAL_SNAPSHOT_RESTARTS, index,
               term, (struct bytes){NULL, 0});
    if (holds) {
        wal_state_mark(&w->state, index, term);
        return;
    }
    struct wal_batch *b = ring_at(w, w->count - 1);
    b->touched = u64_min(b->touched, index + 1);
    wal_state_restart(&w->state, index, term);
    w->durable_index = index;
    wal_index_clear(&w->index);
}

static void put_entries(struct wal *w, const struct wal_append *append)
{
    for (size_t i = 0; i < append->entry_count; i++) {
        const struct wal_entry *entry = &append->entries[i];
        enum wal_record_type type = append->is_repair ? WAL_RECORD_REPAIR : WAL_RECORD_ENTRY;
        /* The batch first: one that opens describes the log before this entry. */
        put_record(w, type, entry->type, entry->index, entry->term, entry->payload);
        if (append->is_repair) {
            (void)wal_state_repair(&w->state, entry->index, entry->term);
        } else {
            CHECK(entry->index > w->state.base_index);
            CHECK(wal_state_append(&w->state, entry->index, entry->term));
            w->durable_index = u64_min(w->durable_index, entry->index - 1);
        }
    }
    w->counters.entries += append->entry_count;
}

enum err wal_append(struct wal *w, const struct wal_append *append)
{
    CHECK(w->is_ready && append->seq > w->append_seq);
    TRY(admit(w, append));
    (void)batch_for(w, APPEND_MARKS_BYTES);
    if (append->snapshot_index != 0) {
        put_snapshot(w, append->snapshot_index, append->snapshot_term);
    }
    if (append->hard != NULL) {
        /* Term and vote go before the entries of that term, a commit index never goes before what
         * it covers, nor while the log holds what is about to be replaced: an append that needs two
         * batches may lose the second. */
        struct wal_hard_state hard = *append->hard;
        bool replaces = append->entry_count > 0 && !append->is_repair;
        uint64_t stays = replaces ? append->entries[0].index - 1 : hard.commit;
        hard.commit = u64_min(hard.commit, u64_min(stays, w->state.last_index));
        put_hard(w, &hard);
    }
    put_entries(w, append);
    if (append->hard != NULL && append->hard->commit > w->state.hard.commit) {
        CHECK(append->hard->commit <= w->state.last_index);
        put_hard(w, append->hard);
    }
    if (append->heal_lo != 0) {
        put_u64(w, WAL_RECORD_HEAL, append->heal_lo, 0, append->heal_hi);
        wal_state_heal(&w->state, append->heal_lo, append->heal_hi);
    }
    w->append_seq = append->seq;
    struct wal_batch *newest = ring_at(w, w->count - 1);
    newest->append_seq = append->seq;
    w->counters.appends++;
    return OK;
}

/* Everything that was appended is where it belongs: says which entries can be read back. */
static void batch_is_durable(struct wal *w, struct wal_batch *b)
{
    uint64_t first_sector = w->active_sector - b->sectors;

    for (size_t i = 0; i < b->span_count; i++) {
        struct wal_extent extent = {
            .first = b->spans[i].first,
            .last = b->spans[i].last,
            .segment = w->files[w->file_count - 1].seq,
            .sector = first_sector,
            .end = w->active_sector,
        };
        if (!b->spans[i].is_repair) {
            wal_index_append(&w->index, &extent);
            w->durable_index = u64_min(extent.last, w->state.last_index);
            continue;
        }
        for (uint64_t index = b->spans[i].first; index <= b->spans[i].last; index++) {
            extent.first = extent.last = index;
            wal_index_repair(&w->index, &extent);
        }
    }
}

static void flight_returned(struct world_file_request *request)
{
    struct wal *w = request->owner;
    enum err result = w->flight_result != OK ? w->flight_result : request->result;

    CHECK(w->in_flight);
    if (result != OK && !MUTANT(SYNC_FAILURE_IGNORED)) {
        wal_set_status(w, WAL_FAILED, result);
        return;
    }
    struct wal_batch *b = ring_at(w, 0);
    nanos latency = world_now(w->world) - w->flight_began;
    uint64_t durable = b->append_seq;
    batch_is_durable(w, b);
    w->in_flight = false;
    w->first = (w->first + 1) % WAL_BATCHES;
    w->count--;
    w->active_has_batch = true;
    w->counters.syncs++;
    w->counters.bytes += b->sectors * WAL_SECTOR_BYTES;
    bool tell_room = w->wants_room;
    w->wants_room = false;
    if (w->wants_flush) {
        wal_pump(w);
    }
    if (w->events.synced != NULL) {
        w->events.synced(w->events.ctx, latency);
    }
    if (w->flight_hook != NULL) {
        void (*hook)(struct wal *) = w->flight_hook;
        w->flight_hook = NULL;
        hook(w);
        return;
    }
    wal_segment_recycle(w);
    if (durable != 0) {
        w->events.durable(w->events.ctx, durable);
    }
    if (tell_room && w->events.room != NULL) {
        w->events.room(w->events.ctx);
    }
}

static void write_returned(struct world_file_request *request)
{
    struct wal *w = request->owner;
    w->flight_result = request->result;
}

/* Hands the oldest batch to the disk: behind the one before, or at the start of a segment. */
static void launch(struct wal *w, struct wal_batch *b, bool begins_segment)
{
    uint64_t sector = begins_segment ? WAL_FIRST_SECTOR : w->active_sector;
    struct wal_file *active = &w->files[w->file_count - 1];

    wal_batch_seal(b, sector);
    w->write.buffer = wal_batch_bytes(b);
    w->write.offset = sector * WAL_SECTOR_BYTES;
    w->write.length = b->sectors * WAL_SECTOR_BYTES;
    if (begins_segment) {
        const struct wal_segment_header header = {
            .cluster = w->config.cluster,
            .node = w->config.node,
            .seq = active->seq,
            .bytes = w->config.segment_bytes,
            .first_batch = b->seq,
            .chain = b->chain_in,
        };
        wal_segment_header_encode(&header, b->buffer);
        w->write.buffer = b->buffer;
        w->write.offset = 0;
        w->write.length += WAL_SECTOR_BYTES;
    }
    w->active_sector = sector + b->sectors;
    w->in_flight = true;
    w->flight_result = OK;
    w->flight_began = world_now(w->world);
    w->write.fd = w->sync.fd = active->fd;
    wal_submit(w, &w->write, WORLD_WRITE, WORLD_LANE_LOG, write_returned);
    wal_submit(w, &w->sync, WORLD_SYNC, WORLD_LANE_LOG, flight_returned);
}

void wal_pump(struct wal *w)
{
    if (w->in_flight || w->count == 0 || w->status == WAL_FAILED) {
        return;
    }
    struct wal_batch *b = ring_at(w, 0);
    if (b->sectors == 0) {
        end_batch(w, b);
    }
    bool begins_segment = w->active_sector + b->sectors > wal_segment_sectors(w);
    if (begins_segment) {
        if (w->next.state != WAL_NEXT_READY) {
            wal_segment_prepare(w);
            return; /* goes on when it is ready */
        }
        wal_segment_advance(w);
    }
    launch(w, b, begins_segment);
    if (w->count == 1) {
        w->wants_flush = false;
    }
    wal_segment_prepare(w);
}

void wal_flush(struct wal *w)
{
    w->wants_flush = w->count > (w->in_flight ? 1U : 0U);
    wal_pump(w);
}

const struct wal_state *wal_log(const struct wal *w)
{
    return &w->state;
}

enum wal_status wal_status(const struct wal *w)
{
    return w->status;
}

nanos wal_stalled_since(const struct wal *w)
{
    return w->in_flight ? w->flight_began : NANOS_FOREVER;
}

struct wal_counters wal_counters(const struct wal *w)
{
    return w->counters;
}
