#include "core/recovery/wal_scan_int.h"

#include "core/base/check.h"
#include "core/base/crc.h"
#include "core/base/le.h"

/* How well the records of a batch could be applied. */
enum outcome {
    BATCH_WHOLE,
    BATCH_HOLED,    /* bodies of entries are lost; they are marked */
    BATCH_VOTELESS, /* so is a hard state, or a mark */
    BATCH_BROKEN    /* not all records were found */
};

static enum outcome worse(enum outcome a, enum outcome b)
{
    return a > b ? a : b;
}

static bool head_is_sane(const struct wal_batch_head *head)
{
    return head->term < WAL_NUMBER_MAX && head->commit < WAL_NUMBER_MAX &&
           head->last_index < WAL_NUMBER_MAX && head->last_term < WAL_NUMBER_MAX &&
           head->snapshot_index < WAL_NUMBER_MAX && head->snapshot_term < WAL_NUMBER_MAX &&
           (head->last_index == 0) == (head->last_term == 0);
}

static void tell_entry(struct wal_scan *s, const struct wal_record *record, struct bytes body)
{
    if (s->sink.entry == NULL) {
        return;
    }
    const struct wal_entry entry = {
        .index = record->index,
        .term = record->term,
        .type = record->entry_type,
        .payload = body,
    };
    s->sink.entry(s->sink.ctx, &entry, record->type == WAL_RECORD_REPAIR);
}

static void index_entry(struct wal_scan *s, const struct wal_record *record)
{
    const struct wal_pending *p = &s->pending;
    const struct wal_extent extent = {
        .first = record->index,
        .last = record->index,
        .segment = p->segment,
        .sector = p->first_sector,
        .end = p->last_sector + 1,
    };
    if (record->type == WAL_RECORD_REPAIR) {
        wal_index_repair(&s->index, &extent);
    } else {
        wal_index_append(&s->index, &extent);
    }
}

static enum outcome scan_entry(struct wal_scan *s, const struct wal_record *record,
                               struct bytes body, bool body_ok)
{
    bool is_repair = record->type == WAL_RECORD_REPAIR;

    if (is_repair && (!body_ok || !wal_state_repair(&s->state, record->index, record->term))) {
        return body_ok ? BATCH_WHOLE : BATCH_HOLED; /* what it repairs stays damaged, or is gone */
    }
    if (!is_repair && !wal_state_append(&s->state, record->index, record->term)) {
        return BATCH_BROKEN;
    }
    if (body_ok) {
        index_entry(s, record);
    } else {
        wal_index_cut(&s->index, record->index);
        wal_state_damage(&s->state, record->index, record->index, record->term);
        return BATCH_HOLED;
    }
    tell_entry(s, record, body);
    return BATCH_WHOLE;
}

/* Raft vouched for all of it again, when this was written. What has been lost since, of repairs or
 * of a snapshot that covered damage, is damage all the same: only what can be read is healed. */
static void scan_heal(struct wal_scan *s, uint64_t lo, uint64_t hi)
{
    for (size_t i = 0; i < s->index.count; i++) {
        const struct wal_extent *extent = &s->index.extents[i];
        uint64_t from = u64_max(extent->first, lo);
        uint64_t to = u64_min(extent->last, hi);
        if (from <= to) {
            wal_state_heal(&s->state, from, to);
        }
    }
    if (hi == WAL_INDEX_OPEN) {
        wal_state_heal(&s->state, WAL_INDEX_OPEN, WAL_INDEX_OPEN); /* ends doubt */
    }
}

/* The log that is left begins behind base. What lies between the snapshot and base is missing,
 * until repairs that follow supply it. */
static void reach_back(struct wal_scan *s)
{
    if (s->state.base_index > s->snapshot_index) {
        s->head_index = s->state.base_index;
        wal_state_rebase(&s->state, s->snapshot_index, s->snapshot_term);
    }
}

/* The log gave way to a snapshot, whose file may be lost by now. */
static void scan_restarted(struct wal_scan *s, uint64_t index, uint64_t term)
{
    wal_index_clear(&s->index);
    if (s->sink.reset != NULL) {
        s->sink.reset(s->sink.ctx, index, term);
    }
    reach_back(s);
}

static void scan_snapshot(struct wal_scan *s, const struct wal_record *record)
{
    if (record->entry_type != WAL_SNAPSHOT_RESTARTS) {
        wal_state_mark(&s->state, record->index, record->term);
        return;
    }
    wal_state_restart(&s->state, record->index, record->term);
    scan_restarted(s, record->index, record->term);
}

static enum outcome scan_record(struct wal_scan *s, const struct wal_record *record,
                                struct bytes body, bool body_ok)
{
    struct wal_state *state = &s->state;

    if (record->index >= WAL_NUMBER_MAX || record->term >= WAL_NUMBER_MAX) {
        return BATCH_BROKEN;
    }
    switch (record->type) {
    case WAL_RECORD_ENTRY:
    case WAL_RECORD_REPAIR:
        return scan_entry(s, record, body, body_ok);
    case WAL_RECORD_HARD_STATE:
        if (body_ok) {
            state->hard =
                (struct wal_hard_state){record->term, le64_load(body.data), record->index};
        }
        return body_ok ? BATCH_WHOLE : BATCH_VOTELESS;
    case WAL_RECORD_SNAPSHOT:
        scan_snapshot(s, record);
        return BATCH_WHOLE;
    case WAL_RECORD_DAMAGE:
        if (body_ok) {
            wal_state_damage(state, record->index, le64_load(body.data), record->term);
        }
        return body_ok ? BATCH_WHOLE : BATCH_VOTELESS;
    case WAL_RECORD_HEAL:
        if (body_ok) {
            scan_heal(s, record->index, le64_load(body.data));
        }
        return body_ok ? BATCH_WHOLE : BATCH_VOTELESS;
    case WAL_RECORD_BATCH:
    case WAL_RECORD_END:
    case WAL_RECORD_TYPES:
        break;
    }
    return BATCH_BROKEN;
}

/* Applies the records of the pending batch, in order, until END or until one cannot be read. */
static enum outcome apply_batch(struct wal_scan *s)
{
    const struct wal_pending *p = &s->pending;
    enum outcome outcome = BATCH_WHOLE;
    uint64_t chain = s->chain;
    size_t at = 0;

    while (at + WAL_RECORD_HEADER_BYTES <= p->bytes.len) {
        const uint8_t *header = p->bytes.data + at;
        struct wal_record record;
        if (wal_record_decode(header, &record) != OK || record.chain != chain ||
            record.body_bytes > p->bytes.len - at - WAL_RECORD_HEADER_BYTES) {
            return BATCH_BROKEN;
        }
        struct bytes body = {header + WAL_RECORD_HEADER_BYTES, record.body_bytes};
        bool body_ok = record.body_crc == crc32c(0, body.data, body.len);
        if (s->sink.record != NULL) {
            uint64_t sector = p->first_sector + at / WAL_SECTOR_BODY_BYTES;
            s->sink.record(s->sink.ctx, p->segment, sector, &record, body, body_ok);
        }
        chain = wal_chain_next(header);
        at += WAL_RECORD_HEADER_BYTES + record.body_bytes;
        s->records++;
        if (record.type == WAL_RECORD_END) {
            s->chain = chain;
            return outcome;
        }
        if (record.type == WAL_RECORD_BATCH) {
            outcome = body_ok ? outcome : BATCH_BROKEN;
            continue;
        }
        outcome = worse(outcome, scan_record(s, &record, body, body_ok));
        if (outcome == BATCH_BROKEN) {
            return BATCH_BROKEN;
        }
    }
    return BATCH_BROKEN;
}

/* The pending batch is part of the log: the next one follows it. */
static void accept(struct wal_scan *s)
{
    struct wal_pending *p = &s->pending;

    s->last_seq = p->seq;
    s->tail_segment = p->segment;
    s->tail_sector = p->last_sector + 1;
    s->tail_batch_sector = p->first_sector;
    s->tail_has_header = p->has_header;
    s->batches++;
    p->state = WAL_TAIL;
    p->seq = 0;
    p->bad = p->old = p->torn = p->holed = false;
}

/* What `head` says was lost between the last batch accepted and the one that carries it. The
 * pending batch, where it is the one before, is read as far as possible. */
static void settle_loss(struct wal_scan *s, uint64_t previous_seq,
                        const struct wal_batch_head *head)
{
    struct wal_pending *p = &s->pending;
    struct wal_state *state = &s->state;
    uint64_t lo = head->touched;

    wal_scan_spot(s, p->segment == 0 ? s->segment.seq : p->segment, p->first_sector,
                  "a batch is unreadable");
    bool is_next = p->state != WAL_TAIL && p->follows && p->seq == previous_seq && !s->gap;
    if (is_next) {
        enum outcome outcome = apply_batch(s);
        bool agrees = state->last_index == head->last_index &&
                      wal_state_last_term(state) == head->last_term &&
                      state->snapshot_index == head->snapshot_index;
        if (outcome != BATCH_BROKEN && agrees) {
            state->hard = (struct wal_hard_state){head->term, head->vote, head->commit};
            return;
        }
    } else if (previous_seq != s->last_seq + 1) {
        /* More than one batch: only what is committed was surely not rewritten by them. */
        lo = u64_min(lo, state->hard.commit + 1);
    }
    uint64_t base = state->base_index;
    wal_index_cut(&s->index, lo);
    wal_state_lost(state, head, lo);
    if (state->base_index > base) {
        scan_restarted(s, state->base_index, state->base_term); /* the marker was among it */
    }
}

bool wal_scan_begin_batch(struct wal_scan *s, uint64_t seq, const uint8_t *bytes, uint64_t number)
{
    struct wal_pending *p = &s->pending;
    struct wal_record record;

    if (wal_record_decode(bytes, &record) != OK || record.type != WAL_RECORD_BATCH ||
        record.index != seq || record.term >= seq) {
        return false;
    }
    const uint8_t *body = bytes + WAL_RECORD_HEADER_BYTES;
    if (record.body_crc != crc32c(0, body, WAL_BATCH_BODY_BYTES)) {
        return false;
    }
    struct wal_batch_head head = wal_batch_head_decode(body);
    if (!head_is_sane(&head)) {
        return false;
    }
    bool is_genesis = record.term == 0 && record.chain == wal_chain_genesis(s->cluster, s->node);
    if (!s->begun && !is_genesis) {
        wal_state_begin(&s->state, &head);
        reach_back(s);
        if (p->state != WAL_TAIL && p->bad) {
            wal_scan_spot(s, p->segment, p->first_sector, "the beginning of the log is unreadable");
        }
    } else if (s->begun && (record.term != s->last_seq || record.chain != s->chain)) {
        settle_loss(s, record.term, &head);
    }
    s->begun = true;
    s->gap = false;
    s->chain = record.chain;
    /* What came before is settled, whether it could be read or not. */
    s->last_seq = u64_max(s->last_seq, record.term);
    struct buf kept = p->bytes;
    buf_clear(&kept);
    *p = (struct wal_pending){
        .state = WAL_ASSEMBLING,
        .seq = seq,
        .segment = s->segment.seq,
        .first_sector = number,
        .last_sector = number,
        .bytes = kept,
        .head = head,
        .follows = true,
        .has_header = s->segment.begun,
    };
    buf_put(&p->bytes, bytes, WAL_SECTOR_BODY_BYTES);
    wal_scan_walk(s);
    return true;
}

void wal_scan_walk(struct wal_scan *s)
{
    struct wal_pending *p = &s->pending;

    while (p->bytes.len >= p->walked + WAL_RECORD_HEADER_BYTES) {
        struct wal_record record;
        if (wal_record_decode(p->bytes.data + p->walked, &record) != OK) {
            p->state = WAL_BROKEN;
            p->bad |= !p->torn && !p->holed; /* sealed, and yet no record: not by power loss */
            return;
        }
        if (record.type == WAL_RECORD_END) {
            p->state = WAL_ENDED;
            if (!p->holed) {
                break;
            }
            return;
        }
        if (p->bytes.len - p->walked - WAL_RECORD_HEADER_BYTES < record.body_bytes) {
            return;
        }
        p->walked += WAL_RECORD_HEADER_BYTES + record.body_bytes;
    }
    if (p->state == WAL_ENDED) {
        if (apply_batch(s) == BATCH_WHOLE) {
            accept(s);
        } else {
            p->state = WAL_BROKEN;
            p->bad = true;
        }
    }
}

bool wal_scan_salvage_last(struct wal_scan *s)
{
    if (!s->pending.follows || apply_batch(s) > BATCH_HOLED) {
        return false;
    }
    accept(s);
    return true;
}
