#include "core/recovery/wal_scan.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/base/le.h"
#include "core/recovery/wal_scan_int.h"

void wal_scan_init(struct wal_scan *s, uint64_t cluster, node_id node, uint64_t snapshot_index,
                   uint64_t snapshot_term, const struct wal_scan_sink *sink)
{
    *s = (struct wal_scan){
        .cluster = cluster,
        .node = node,
        .snapshot_index = snapshot_index,
        .snapshot_term = snapshot_term,
    };
    if (sink != NULL) {
        s->sink = *sink;
    }
    wal_state_init(&s->state);
    wal_index_init(&s->index);
    buf_init(&s->pending.bytes);
}

void wal_scan_deinit(struct wal_scan *s)
{
    wal_state_deinit(&s->state);
    wal_index_deinit(&s->index);
    buf_deinit(&s->pending.bytes);
    mem_free(s->spoiled);
}

static void note_spoiled(struct wal_scan *s)
{
    if (s->spoiled_count > 0 && s->spoiled[s->spoiled_count - 1] == s->segment.seq) {
        return;
    }
    mem_grow((void **)&s->spoiled, &s->spoiled_cap, s->spoiled_count + 1, sizeof *s->spoiled);
    s->spoiled[s->spoiled_count++] = s->segment.seq;
}

bool wal_scan_is_spoiled(const struct wal_scan *s, uint64_t segment)
{
    for (size_t i = 0; i < s->spoiled_count; i++) {
        if (s->spoiled[i] == segment) {
            return true;
        }
    }
    return false;
}

void wal_scan_spot(struct wal_scan *s, uint64_t segment, uint64_t sector, const char *what)
{
    s->spots++;
    if (s->sink.spot != NULL) {
        s->sink.spot(s->sink.ctx, &(struct wal_spot){segment, sector, what});
    }
}

/* Begins to collect what lies at the place of the next batch. */
static void pending_begin(struct wal_scan *s, enum wal_pending_state state, uint64_t seq,
                          uint64_t sector)
{
    struct buf bytes = s->pending.bytes;

    buf_clear(&bytes);
    s->pending = (struct wal_pending){
        .state = state,
        .seq = seq,
        .segment = s->segment.seq,
        .first_sector = sector,
        .bytes = bytes,
    };
}

static void meet_header(struct wal_scan *s, const uint8_t *sector)
{
    struct wal_scan_segment *segment = &s->segment;
    struct wal_segment_header header;
    uint32_t version = 0;

    if (sector == NULL) {
        segment->header_bad = true;
        return;
    }
    enum err e = wal_segment_header_decode(sector, &version, &header);
    if (e == ERR_UNSUPPORTED) {
        s->foreign_version = version;
        return;
    }
    if (e != OK) {
        segment->header_bad = wal_sector_read(sector, 0).kind != WAL_SECTOR_ZERO;
        return;
    }
    if (header.first_batch == 0) {
        segment->header_bad = true;
        return;
    }
    if (s->cluster == 0) {
        s->cluster = header.cluster;
        s->node = header.node;
    }
    if (header.cluster != s->cluster || header.node != s->node) {
        s->foreign = true;
        s->foreign_cluster = header.cluster;
        s->foreign_node = header.node;
        return;
    }
    segment->begun = header.seq == segment->seq;
    if (segment->begun) {
        if (!s->begun && s->last_seq == 0) {
            s->last_seq = header.first_batch - 1;
        }
        segment->sectors = u64_max(segment->sectors, header.bytes / WAL_SECTOR_BYTES);
        return;
    }
    /* A recycled file keeps the header of its earlier life until it is begun. That life is over:
     * its own name is gone. Where it is not, this file is a copy, and hides what should be here. */
    if (header.seq >= s->first_segment) {
        s->gap = true;
        wal_scan_spot(s, segment->seq, 0, "a copy of another segment");
    }
}

/* Did a batch begin at the start of this segment, as far as one can tell? */
static bool may_have_begun(const struct wal_scan *s)
{
    return s->segment.begun || s->segment.header_bad;
}

/* A sector of no newer batch, at the place of the next batch. */
static void meet_stale_sector(struct wal_scan *s, enum wal_sector_kind kind, uint64_t number)
{
    struct wal_pending *p = &s->pending;
    bool is_bad = kind == WAL_SECTOR_BAD;

    switch (p->state) {
    case WAL_TAIL:
        if (is_bad && !may_have_begun(s)) {
            s->slack_bad++;
            return;
        }
        pending_begin(s, WAL_BROKEN, 0, number);
        p->bad = is_bad;
        p->old = p->torn = !is_bad;
        return;
    case WAL_ASSEMBLING:
        p->holed = true;
        p->bad |= is_bad && !p->torn;
        p->torn |= !is_bad;
        memset(buf_extend(&p->bytes, WAL_SECTOR_BODY_BYTES), 0, WAL_SECTOR_BODY_BYTES);
        wal_scan_walk(s);
        return;
    case WAL_ENDED:
        s->slack_bad += is_bad;
        return;
    case WAL_BROKEN:
        if (is_bad && (p->old || p->torn)) {
            s->slack_bad++;
        }
        p->bad |= is_bad && !p->old;
        p->old |= !is_bad;
        return;
    }
}

/* A sector of a batch newer than all accepted ones. */
static void meet_new_sector(struct wal_scan *s, struct wal_sector sector, const uint8_t *bytes,
                            uint64_t number)
{
    struct wal_pending *p = &s->pending;

    s->max_seq = u64_max(s->max_seq, sector.batch_seq);
    if (p->state != WAL_TAIL && p->seq == sector.batch_seq && !sector.is_first) {
        p->last_sector = number;
        if (p->state == WAL_ASSEMBLING) {
            buf_put(&p->bytes, bytes, WAL_SECTOR_BODY_BYTES);
            wal_scan_walk(s);
        } else if (p->state == WAL_BROKEN && p->old) {
            p->torn = true;
        }
        return;
    }
    if (sector.is_first && wal_scan_begin_batch(s, sector.batch_seq, bytes, number)) {
        return;
    }
    /* The middle of a batch whose beginning is not there. */
    bool is_known_next = sector.batch_seq == s->last_seq + 1;
    if (p->state != WAL_TAIL && p->seq == 0) {
        p->seq = sector.batch_seq;
        p->segment = s->segment.seq;
        p->last_sector = number;
        p->torn = p->old;
    } else {
        bool is_lost = p->state != WAL_TAIL;
        pending_begin(s, WAL_BROKEN, sector.batch_seq, number);
        p->bad = is_lost || !is_known_next;
        p->last_sector = number;
    }
    s->gap |= !is_known_next;
}

static void meet_sector(struct wal_scan *s, const uint8_t *bytes)
{
    uint64_t number = s->segment.at++;

    if (number == 0) {
        meet_header(s, bytes);
        if (s->segment.header_bad) {
            note_spoiled(s);
        }
        /* A batch that did not fit behind the tail begins here. */
        if (may_have_begun(s) && s->pending.seq == 0 && !s->pending.bad) {
            pending_begin(s, WAL_TAIL, 0, 0);
        }
        return;
    }
    struct wal_sector sector = {.kind = WAL_SECTOR_BAD};
    if (bytes != NULL) {
        sector = wal_sector_read(bytes, number);
    }
    if (sector.kind == WAL_SECTOR_BAD) {
        note_spoiled(s);
    }
    if (sector.kind == WAL_SECTOR_SEALED && sector.batch_seq > s->last_seq &&
        sector.batch_seq >= s->pending.seq) {
        meet_new_sector(s, sector, bytes, number);
    } else {
        meet_stale_sector(s, sector.kind, number);
    }
}

void wal_scan_begin_segment(struct wal_scan *s, uint64_t seq, uint64_t file_bytes)
{
    CHECK(seq > s->segment.seq);
    if (s->first_segment == 0) {
        s->first_segment = seq;
    } else if (seq != s->segment.seq + 1) {
        s->gap = true;
        wal_scan_spot(s, s->segment.seq + 1, 0, "the segment is missing");
    }
    s->segment = (struct wal_scan_segment){
        .seq = seq,
        .file_bytes = file_bytes,
        .sectors = file_bytes / WAL_SECTOR_BYTES,
    };
}

void wal_scan_feed(struct wal_scan *s, const uint8_t *bytes, uint64_t sectors)
{
    for (uint64_t i = 0; i < sectors && !wal_scan_is_foreign(s); i++) {
        meet_sector(s, bytes == NULL ? NULL : bytes + i * WAL_SECTOR_BYTES);
    }
}

void wal_scan_end_segment(struct wal_scan *s)
{
    if (wal_scan_is_foreign(s)) {
        return;
    }
    if (s->segment.begun && s->segment.at < s->segment.sectors) {
        wal_scan_spot(s, s->segment.seq, s->segment.at, "the file ends too early");
        meet_stale_sector(s, WAL_SECTOR_BAD, s->segment.at);
    }
    if (s->segment.header_bad && s->tail_segment == s->segment.seq) {
        wal_scan_spot(s, s->segment.seq, 0, "the segment's header is unreadable");
    }
    struct wal_pending *p = &s->pending;
    if (p->state == WAL_ASSEMBLING) {
        p->state = WAL_BROKEN;
        p->bad |= !p->torn;
    }
}

void wal_scan_finish(struct wal_scan *s)
{
    struct wal_pending *p = &s->pending;

    if (wal_scan_is_foreign(s)) {
        return;
    }
    if (p->state != WAL_TAIL && !s->gap && p->torn) {
        s->torn = p->seq != 0;
        s->torn_segment = p->segment;
        s->torn_last_sector = p->last_sector;
    } else if (p->state == WAL_ENDED && !s->gap && wal_scan_salvage_last(s)) {
        wal_scan_spot(s, p->segment, p->first_sector, "entries of the last batch are unreadable");
    } else if (s->gap || (p->state != WAL_TAIL && p->bad)) {
        wal_scan_spot(s, p->segment, p->first_sector, "the end of the log is unreadable");
        wal_state_damage(&s->state, s->state.last_index + 1, WAL_INDEX_OPEN, 0);
    }
    wal_state_check(&s->state);
}
