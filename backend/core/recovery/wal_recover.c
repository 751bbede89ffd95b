/* Reads a log back and decides what it is worth: lists the directory, reads the identity, feeds
 * all segments to a scan, and asks the table. */
#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/base/probe.h"
#include "core/recovery/wal_recover_int.h"

void wal_recover_submit(struct wal_recovering *r, enum world_file_op op,
                        void (*done)(struct world_file_request *))
{
    r->request.op = op;
    r->request.lane = WORLD_LANE_BULK;
    r->request.done = done;
    r->request.owner = r;
    world_submit(r->wal->world, &r->request);
}

void wal_recovering_free(struct wal *w)
{
    struct wal_recovering *r = w->recovering;

    if (r == NULL) {
        return;
    }
    wal_scan_deinit(&r->scan);
    for (size_t i = 0; i < WAL_RECOVER_CHUNKS; i++) {
        mem_free(r->chunks[i].bytes);
    }
    mem_free(r->segments);
    mem_free(r);
    w->recovering = NULL;
}

void wal_recover_end(struct wal_recovering *r)
{
    struct wal *w = r->wal;
    struct wal_recovery found = r->found;
    void (*done)(void *, const struct wal_recovery *) = r->done;
    void *owner = r->owner;

    found.state = &w->state;
    wal_recovering_free(w);
    done(owner, &found);
}

void wal_recover_fail(struct wal_recovering *r, enum err why, const char *what)
{
    r->found.verdict = RECOVERY_UNREADABLE;
    r->found.error = why;
    r->found.why = what;
    wal_recover_end(r);
}

/* What of the log there is, before the snapshot is considered. */
static enum found_log judge_log(const struct wal_recovering *r)
{
    const struct wal_scan *s = &r->scan;

    if (s->foreign_version != 0) {
        return LOG_OTHER_VERSION;
    }
    if (s->foreign) {
        return LOG_FOREIGN;
    }
    if (r->segment_count == 0) {
        return LOG_ABSENT;
    }
    if (s->state.in_doubt) {
        PROBE(WAL_DOUBT);
        return LOG_DOUBT;
    }
    if (!s->begun) {
        return LOG_UNBEGUN;
    }
    if (s->state.damage_count > 0) {
        PROBE(WAL_DAMAGED);
        return LOG_DAMAGED;
    }
    if (s->torn) {
        PROBE(WAL_TORN);
        return LOG_TORN;
    }
    return s->spots > 0 ? LOG_HEALED : LOG_WHOLE;
}

/* Puts the log on the snapshot: drops damage that the snapshot covers, marks what lies between. */
static enum found_snapshot meet_snapshot(struct wal_recovering *r)
{
    struct wal_state *state = &r->scan.state;
    uint64_t index = r->snapshot_index;

    r->found.named_snapshot_index = state->snapshot_index;
    r->found.named_snapshot_term = state->snapshot_term;
    r->found.is_snapshot_stale = state->snapshot_index > index;
    if (state->damage_count > 0 && state->damage[0].lo <= r->scan.head_index) {
        wal_state_mark(state, index, r->snapshot_term);
        return SNAPSHOT_MISSING;
    }
    if (index == 0) {
        return SNAPSHOT_NONE;
    }
    if (wal_state_holds(state, index, r->snapshot_term)) {
        if (wal_state_is_damaged(state, index)) {
            (void)wal_state_repair(state, index, r->snapshot_term);
        }
        wal_state_heal(state, 0, index);
        wal_state_mark(state, index, r->snapshot_term);
    } else {
        wal_state_restart(state, index, r->snapshot_term);
        r->adopts_snapshot = true;
        wal_index_clear(&r->scan.index);
        if (r->scan.sink.reset != NULL) {
            r->scan.sink.reset(r->scan.sink.ctx, index, r->snapshot_term);
        }
    }
    return SNAPSHOT_COVERS;
}

static void decide(struct wal_recovering *r)
{
    struct wal *w = r->wal;
    struct wal_scan *scan = &r->scan;
    struct recovery_findings findings = {
        .identity = r->identity,
        .role = w->config.is_member ? ROLE_MEMBER : ROLE_NEW,
    };

    wal_scan_finish(scan);
    findings.snapshot = SNAPSHOT_NONE;
    if (!wal_scan_is_foreign(scan)) {
        findings.snapshot = meet_snapshot(r);
        wal_state_infer_terms(&scan->state);
        wal_state_check(&scan->state);
    }
    findings.log = judge_log(r);
    bool only_head = scan->state.damage_count == 1 && scan->state.damage[0].hi <= scan->head_index;
    if (findings.snapshot == SNAPSHOT_MISSING && findings.log == LOG_DAMAGED && only_head) {
        findings.log = LOG_WHOLE;
    }
    const struct recovery_row *row = recovery_decide(&findings);
    r->found.verdict = row->verdict;
    r->found.why = row->why;
    r->found.cluster = scan->cluster;
    r->found.node = scan->node;
    if (r->identity != IDENTITY_FOREIGN && r->identity != IDENTITY_OTHER_VERSION) {
        r->found.foreign_cluster = scan->foreign_cluster;
        r->found.foreign_node = scan->foreign_node;
        r->found.foreign_version = scan->foreign_version;
    }
    r->found.segments = r->segment_count;
    r->found.batches = scan->batches;
    r->found.records = scan->records;
    r->found.spots = scan->spots;
    w->state = scan->state;
    w->index = scan->index;
    wal_state_init(&scan->state);
    wal_index_init(&scan->index);
    if (w->config.is_read_only || !recovery_may_run(row->verdict)) {
        wal_recover_end(r);
        return;
    }
    wal_resume(r);
}

static void open_segment(struct wal_recovering *r);
static void read_on(struct wal_recovering *r);

static void segment_is_read(struct wal_recovering *r)
{
    wal_scan_end_segment(&r->scan);
    r->at++;
    open_segment(r);
}

static void chunk_read(struct world_file_request *request)
{
    struct wal_recovering *r = request->owner;
    uint64_t wanted = request->length / WAL_SECTOR_BYTES;

    r->reads--;
    if (r->starts_over) {
        if (r->reads == 0) {
            r->starts_over = false;
            r->submitted = r->fed;
            read_on(r);
        }
        return;
    }
    if (request->result == OK) {
        wal_scan_feed(&r->scan, request->buffer, request->count / WAL_SECTOR_BYTES);
        wal_scan_feed(&r->scan, NULL, wanted - request->count / WAL_SECTOR_BYTES);
    } else if (wanted == 1) {
        wal_scan_feed(&r->scan, NULL, 1);
    } else {
        /* Some sector of these is unreadable: which? */
        r->narrow_until = r->fed + wanted;
        PROBE(WAL_SECTOR_UNREADABLE);
        r->starts_over = r->reads > 0;
        if (!r->starts_over) {
            r->submitted = r->fed;
            read_on(r);
        }
        return;
    }
    r->fed += wanted;
    read_on(r);
}

/* Keeps up to WAL_RECOVER_CHUNKS reads under way; each buffer is free again once it was fed. */
static void read_on(struct wal_recovering *r)
{
    const struct wal_listed *segment = &r->segments[r->at];
    uint64_t sectors = segment->bytes / WAL_SECTOR_BYTES;

    if (r->fed == sectors || wal_scan_is_foreign(&r->scan)) {
        if (r->reads == 0) {
            segment_is_read(r);
        }
        return;
    }
    while (r->reads < WAL_RECOVER_CHUNKS && r->submitted < sectors) {
        struct wal_chunk *chunk = &r->chunks[r->turn];
        r->turn = (r->turn + 1) % WAL_RECOVER_CHUNKS;
        bool narrow = r->submitted < r->narrow_until;
        uint64_t n = narrow ? 1 : u64_min(r->chunk_sectors, sectors - r->submitted);
        chunk->request.op = WORLD_READ;
        chunk->request.lane = WORLD_LANE_BULK;
        chunk->request.fd = segment->fd;
        chunk->request.buffer = chunk->bytes;
        chunk->request.offset = r->submitted * WAL_SECTOR_BYTES;
        chunk->request.length = n * WAL_SECTOR_BYTES;
        chunk->request.done = chunk_read;
        chunk->request.owner = r;
        r->submitted += n;
        r->reads++;
        world_submit(r->wal->world, &chunk->request);
    }
}

static void segment_opened(struct world_file_request *request)
{
    struct wal_recovering *r = request->owner;
    struct wal_listed *segment = &r->segments[r->at];

    if (request->result != OK) {
        /* Its sectors count as unreadable. */
        segment->bytes = r->wal->config.segment_bytes;
        wal_scan_begin_segment(&r->scan, segment->seq, segment->bytes);
        wal_scan_feed(&r->scan, NULL, segment->bytes / WAL_SECTOR_BYTES);
        segment_is_read(r);
        return;
    }
    segment->fd = request->fd;
    segment->bytes = request->size;
    wal_scan_begin_segment(&r->scan, segment->seq, segment->bytes);
    r->fed = 0;
    r->submitted = 0;
    r->narrow_until = 0;
    read_on(r);
}

static void open_segment(struct wal_recovering *r)
{
    if (r->at == r->segment_count || wal_scan_is_foreign(&r->scan)) {
        decide(r);
        return;
    }
    wal_segment_path(r->wal, r->segments[r->at].seq, r->path);
    r->request.path = r->path;
    r->request.flags = r->wal->config.is_read_only ? 0 : WORLD_OPEN_WRITE;
    wal_recover_submit(r, WORLD_OPEN, segment_opened);
}

static void identity_closed(struct world_file_request *request)
{
    open_segment(request->owner);
}

static void identity_read(struct world_file_request *request)
{
    struct wal_recovering *r = request->owner;
    struct wal *w = r->wal;
    struct wal_identity identity;
    uint32_t version = 0;
    enum err e = ERR_CORRUPT;

    if (request->result == OK && request->count == WAL_IDENTITY_BYTES) {
        e = wal_identity_decode(r->sector, &version, &identity);
    }
    r->identity = IDENTITY_DAMAGED;
    if (e == ERR_UNSUPPORTED) {
        r->identity = IDENTITY_OTHER_VERSION;
        r->found.foreign_version = version;
    } else if (e == OK) {
        bool is_ours = w->config.cluster == 0 ||
                       (identity.cluster == w->config.cluster && identity.node == w->config.node);
        r->identity = is_ours ? IDENTITY_OURS : IDENTITY_FOREIGN;
        if (w->config.cluster == 0) {
            r->scan.cluster = identity.cluster;
            r->scan.node = identity.node;
        }
        if (!is_ours) {
            r->found.foreign_cluster = identity.cluster;
            r->found.foreign_node = identity.node;
        }
    }
    wal_recover_submit(r, WORLD_CLOSE, identity_closed);
}

static void identity_opened(struct world_file_request *request)
{
    struct wal_recovering *r = request->owner;

    if (request->result == ERR_NOT_FOUND) {
        r->identity = IDENTITY_ABSENT;
        open_segment(r);
        return;
    }
    if (request->result != OK) {
        r->identity = IDENTITY_DAMAGED;
        open_segment(r);
        return;
    }
    request->buffer = r->sector;
    request->offset = 0;
    request->length = WAL_IDENTITY_BYTES;
    wal_recover_submit(r, WORLD_READ, identity_read);
}

static void list_entry(struct world_file_request *request, const char *name)
{
    struct wal_recovering *r = request->owner;
    struct wal *w = r->wal;
    size_t n = strlen(name);

    uint64_t seq = n == WAL_NAME_BYTES - 1 ? wal_segment_name_parse(name) : 0;
    if (seq != 0 && r->segment_count < WAL_SEGMENTS_MAX) {
        mem_grow((void **)&r->segments, &r->segment_cap, r->segment_count + 1, sizeof *r->segments);
        r->segments[r->segment_count++] = (struct wal_listed){.seq = seq, .fd = WORLD_FD_NONE};
        return;
    }
    if (n == 16 + sizeof WAL_SPARE_SUFFIX - 1 && strcmp(name + 16, WAL_SPARE_SUFFIX) == 0) {
        char as_segment[WAL_NAME_BYTES];
        memcpy(as_segment, name, 16);
        memcpy(as_segment + 16, ".wal", 5);
        seq = wal_segment_name_parse(as_segment);
        if (seq != 0 && w->spare_count < WAL_SPARES_MAX) {
            w->spares[w->spare_count++] = seq;
        }
    }
}

static void directory_listed(struct world_file_request *request)
{
    struct wal_recovering *r = request->owner;

    if (request->result != OK && request->result != ERR_NOT_FOUND) {
        wal_recover_fail(r, request->result, "the directory of the log cannot be listed");
        return;
    }
    r->list_result = request->result;
    wal_path(r->wal, WAL_IDENTITY_NAME, r->path);
    request->path = r->path;
    request->flags = 0;
    wal_recover_submit(r, WORLD_OPEN, identity_opened);
}

void wal_recover(struct wal *w, uint64_t snapshot_index, uint64_t snapshot_term,
                 const struct wal_scan_sink *sink,
                 void (*done)(void *owner, const struct wal_recovery *found), void *owner)
{
    CHECK(!w->is_ready && w->recovering == NULL);
    struct wal_recovering *r = mem_alloc_zero(sizeof *r);
    w->recovering = r;
    r->wal = w;
    r->done = done;
    r->owner = owner;
    r->snapshot_index = snapshot_index;
    r->snapshot_term = snapshot_term;
    wal_scan_init(&r->scan, w->config.cluster, w->config.node, snapshot_index, snapshot_term, sink);
    r->chunk_sectors = u64_min(WAL_READ_SECTORS, wal_segment_sectors(w));
    for (size_t i = 0; i < WAL_RECOVER_CHUNKS; i++) {
        r->chunks[i].bytes = mem_alloc((size_t)r->chunk_sectors * WAL_SECTOR_BYTES);
    }
    r->request.path = w->config.dir;
    r->request.entry = list_entry;
    wal_recover_submit(r, WORLD_LIST, directory_listed);
}
