/*
 * Reads a log back, sector by sector, and says what it is worth. No I/O: whoever reads the files
 * feeds their sectors in order; so the very same code recovers a node, lists a log for people, and
 * is fuzzed.
 *
 * HOW A TORN TAIL IS TOLD FROM DAMAGE. Three facts of the writer:
 *   1. a batch is handed to the disk only after the sync of the batch before it returned. So a
 *      sector of batch n + 1, anywhere, proves that all sectors of batch n were durable;
 *   2. batches are dense: each begins in the sector after the one before, or at the start of the
 *      next segment;
 *   3. a write that power loss interrupts leaves each sector as the writer made it, or as it was
 *      before: zeros, or sealed by an earlier life of the file.
 * So, when what lies at the place of the next batch is not a whole batch:
 *   - a sector of a later batch follows: what is missing was durable. Damage; how much, the next
 *     readable batch says in its head;
 *   - no later batch follows, and a sector that the batch needs is old: it was never durable, hence
 *     never acknowledged. A torn tail: it is dropped;
 *   - no later batch follows, and none of its sectors is old but some are bad: power loss does not
 *     do that, a failing disk does. The batch may have been acknowledged. Damage, and where not
 * even the records' headers can be read, doubt about everything after. What no log can see by
 * itself: a disk that loses a whole last batch without a trace.
 *
 * The states of a scan:
 *
 *     TAIL  --new batch's first sector-->  ASSEMBLING  --END-->  TAIL     (accepted)
 *     ASSEMBLING  --END, with holes-->  ENDED     --a record header in a hole-->  BROKEN
 *     ENDED, BROKEN  --a newer batch's first sector-->  ASSEMBLING        (damage: salvaged,
 * marked) ENDED, BROKEN, ASSEMBLING  --end of the log-->  torn, damaged, or doubt
 */
#ifndef NOVACRON_RECOVERY_WAL_SCAN_H
#define NOVACRON_RECOVERY_WAL_SCAN_H

#include "core/base/buf.h"
#include "core/recovery/wal_format.h"
#include "core/recovery/wal_index.h"
#include "core/recovery/wal_state.h"

/* No index or term is above this; numbers above it are damage. Keeps sums from overflowing. */
#define WAL_NUMBER_MAX (1ULL << 62)

/* An entry as it was appended. */
struct wal_entry {
    uint64_t index;
    uint64_t term;
    uint8_t type; /* the caller's */
    struct bytes payload;
};

/* A place of damage on the disk, for reports. */
struct wal_spot {
    uint64_t segment;
    uint64_t sector;
    const char *what; /* a static string */
};

/* Who is told; each function may be NULL. What they are given is borrowed for the call. */
struct wal_scan_sink {
    void *ctx;
    /* In the order of the log: an entry replaces everything from its index on (a gap before it is
     * damaged), a repair only itself. */
    void (*entry)(void *ctx, const struct wal_entry *entry, bool is_repair);
    /* Every record that is part of the log, as it lies there. `body` is whole if body_ok. */
    void (*record)(void *ctx, uint64_t segment, uint64_t sector, const struct wal_record *record,
                   struct bytes body, bool body_ok);
    void (*spot)(void *ctx, const struct wal_spot *spot);
    /* The log was replaced by a snapshot at `index`: entries told before are void. */
    void (*reset)(void *ctx, uint64_t index, uint64_t term);
};

/* What is at the place of the next batch. */
enum wal_pending_state { WAL_TAIL, WAL_ASSEMBLING, WAL_ENDED, WAL_BROKEN };

struct wal_pending {
    enum wal_pending_state state;
    uint64_t seq; /* 0: unknown */
    uint64_t segment;
    uint64_t first_sector;
    uint64_t last_sector; /* the last sector known to be this batch's; 0: none */
    struct buf bytes;     /* records; zeros in place of lost sectors */
    size_t walked;        /* bytes of records whose headers were read */
    uint64_t records;
    struct wal_batch_head head;
    bool follows;    /* its head continues the batch before */
    bool has_header; /* the segment's header is whole */
    bool bad;        /* a sector, before any old one, is unreadable */
    bool old;        /* a sector is of an earlier life */
    bool torn;       /* proven: a sector that the batch needs is old */
    bool holed;      /* some sector inside is lost */
};

/* One segment's file. */
struct wal_scan_segment {
    uint64_t seq; /* by its name */
    uint64_t file_bytes;
    uint64_t sectors;
    uint64_t at; /* the next sector to be fed */
    bool begun;  /* its header is this segment's */
    bool header_bad;
};

struct wal_scan {
    uint64_t cluster;
    node_id node;
    uint64_t snapshot_index; /* of the newest whole snapshot file; 0: none */
    uint64_t snapshot_term;
    struct wal_scan_sink sink;
    struct wal_state state;
    struct wal_index index;

    bool begun;            /* some batch was accepted */
    bool gap;              /* batches are known to be lost, how many is not */
    uint64_t head_index;   /* entries above the snapshot and up to here are not in the log */
    uint64_t last_seq;     /* the last batch accepted */
    uint64_t max_seq;      /* the highest seen anywhere */
    uint64_t chain;        /* what the next record carries */
    uint64_t tail_segment; /* the place after the last batch accepted; 0: none */
    uint64_t tail_sector;
    uint64_t tail_batch_sector; /* where the last batch accepted begins */
    bool tail_has_header;       /* the header of that segment is whole */

    /* Segments with a sector that is unreadable, wherever it lies; ascending. */
    uint64_t *spoiled; /* owned */
    size_t spoiled_count;
    size_t spoiled_cap;

    uint64_t first_segment;
    struct wal_scan_segment segment;
    struct wal_pending pending;

    uint64_t batches;
    uint64_t records;
    uint64_t spots;        /* places of damage in the log */
    uint64_t slack_bad;    /* unreadable sectors where the log has nothing */
    bool torn;             /* an incomplete batch was dropped at the end */
    uint64_t torn_segment; /* where its sectors lie, and up to where */
    uint64_t torn_last_sector;
    bool foreign;
    uint64_t foreign_cluster;
    node_id foreign_node;
    uint32_t foreign_version; /* 0: none */
};

/* Cluster 0: those that the first segment names. The snapshot is the newest whole one, 0 for none.
 */
void wal_scan_init(struct wal_scan *s, uint64_t cluster, node_id node, uint64_t snapshot_index,
                   uint64_t snapshot_term, const struct wal_scan_sink *sink);
void wal_scan_deinit(struct wal_scan *s);

/* Segments come in ascending order of their names. */
void wal_scan_begin_segment(struct wal_scan *s, uint64_t seq, uint64_t file_bytes);

/* The next `sectors` sectors; `bytes` is NULL where they could not be read. */
void wal_scan_feed(struct wal_scan *s, const uint8_t *bytes, uint64_t sectors);

void wal_scan_end_segment(struct wal_scan *s);

/* After the last segment: settles what is pending. */
void wal_scan_finish(struct wal_scan *s);

/* Is any sector of that segment's file unreadable, be it where the log has nothing? */
bool wal_scan_is_spoiled(const struct wal_scan *s, uint64_t segment);

/* Is there nothing more to learn, as the log is another's? */
static inline bool wal_scan_is_foreign(const struct wal_scan *s)
{
    return s->foreign || s->foreign_version != 0;
}

#endif
