/*
 * recovery: what a node keeps through the loss of its process, its power, and parts of its disk.
 *
 * What lives here: the write-ahead log (wal*.h), snapshot files (snapshot_file.h), the decision
 * what a disk is worth after a restart (recovery_table.h), and background scrubbing (scrub.h). Who
 * may call it: core/node and tools. It speaks to the disk through core/world/world.h only, so the
 * very same bytes and code run on a real disk and on a simulated one. Formats: docs/formats/wal.md.
 * After [Alagappan18] (damage is repaired by the protocol, never by truncation) and [Rebello20] (a
 * failed fsync is final).
 *
 * THE LOG is one sequence of records that holds term and vote, the commit index, entries, and
 * markers of snapshots. It is an asynchronous machine:
 *
 *     wal_new --wal_recover--> recovered(verdict) --wal_append, wal_flush, ...--> durable(seq)
 *
 * GROUP COMMIT. Appends are encoded at once into a batch in memory. wal_flush hands the batch to
 * the disk, as one write and one sync, unless one is on its way; then it goes as soon as that one
 * is back. So one append costs one sync, and whatever arrives during a sync shares the next. The
 * next batch is never written before the sync of the one before returned: recovery builds on that
 * (wal_scan.h).
 *
 * STATUS.
 *     OK        appends are taken.
 *     NO_SPACE  the file system has no room for the next segment. Entries are refused, hard states
 *               (votes) and repairs of nothing go on into the room that is left, of which at least
 *               `reserve_bytes` were kept free for them. Preparation is tried again every
 *               WAL_SPACE_RETRY; when it succeeds the status is OK again.
 *     FAILED    a write or a sync failed. Final: what is durable is unknown. The process must stop.
 *
 * MEMORY. A few batch buffers (WAL_BATCHES of up to `batch_bytes_max`), runs of terms, and an index
 * of 40 bytes for each 64 KiB of log. In the steady state an append does not allocate.
 */
#ifndef NOVACRON_RECOVERY_WAL_H
#define NOVACRON_RECOVERY_WAL_H

#include "core/base/err.h"
#include "core/base/types.h"
#include "core/recovery/recovery_table.h"
#include "core/recovery/wal_scan.h"
#include "core/recovery/wal_state.h"
#include "core/world/world.h"

/* Batches in memory: one on its way to the disk, one being filled, and others in between. */
#define WAL_BATCHES 4

/* How long after "no space" preparation is tried again. */
#define WAL_SPACE_RETRY NANOS_PER_S

/* Recycled files that wait for reuse, at most. */
#define WAL_SPARES_MAX 4

/* Segments of one log, at most: 64 GiB of the default size. More means that nobody compacts. */
#define WAL_SEGMENTS_MAX 1024

/* Defaults of the configuration. */
#define WAL_SEGMENT_BYTES (64ULL * 1024 * 1024)
#define WAL_BATCH_BYTES   (8ULL * 1024 * 1024)
#define WAL_RESERVE_BYTES (1ULL * 1024 * 1024)

_Static_assert(WAL_BATCH_BYTES >= WAL_PAYLOAD_MAX_BYTES + WAL_PAYLOAD_MAX_BYTES / 16,
               "the largest entry, with headers and trailers, fits a batch");
_Static_assert(WAL_BATCH_BYTES + WAL_RESERVE_BYTES < WAL_SEGMENT_BYTES,
               "a batch fits a segment, behind its header and before the reserve");

struct wal; /* opaque */

struct wal_config {
    const char *dir; /* borrowed for the log's life; created if it is missing */
    uint64_t cluster;
    node_id node;
    bool is_read_only;      /* recovery reads and decides, and changes nothing; with cluster and
                               node 0 the disk's own are taken */
    bool is_member;         /* this node took part before: its disk must not be empty */
    uint64_t segment_bytes; /* a multiple of WAL_SECTOR_BYTES */
    uint64_t batch_bytes;   /* the largest batch, sealed */
    uint64_t reserve_bytes; /* of each segment, kept for hard states */
};

enum wal_status { WAL_OK, WAL_NO_SPACE, WAL_FAILED };

/* What the log tells its owner; never inside a call of the owner's. */
struct wal_events {
    void *ctx;
    /* All appends up to and including `seq` are durable. */
    void (*durable)(void *ctx, uint64_t seq);
    /* Why: ERR_NO_SPACE, or what failed. */
    void (*status)(void *ctx, enum wal_status status, enum err why);
    /* A sync returned: how long write and sync took. */
    void (*synced)(void *ctx, nanos latency);
    /* After an ERR_BUSY: there is room again. */
    void (*room)(void *ctx);
};

/* All times in the log are the world's. `config` is copied, its strings are borrowed. The world and
 * what `events` points to outlive the log. */
struct wal *wal_new(const struct world *world, const struct wal_config *config,
                    const struct wal_events *events);

/* The world must have no request of the log under way: it is idle, or was torn down. */
void wal_free(struct wal *w);

/* What recovery found. Pointers are the log's own, valid until the next append. */
struct wal_recovery {
    enum recovery_verdict verdict;
    const char *why; /* a static string: the row of the table that matched */
    enum err error;  /* what kept it from reading, with UNREADABLE */
    const struct wal_state *state;
    uint64_t cluster;
    node_id node;
    uint64_t named_snapshot_index; /* the newest that the log speaks of; 0: none */
    uint64_t named_snapshot_term;
    bool is_snapshot_stale;   /* the log knows of a newer snapshot than the newest whole one */
    uint64_t foreign_cluster; /* with FOREIGN */
    node_id foreign_node;
    uint32_t foreign_version; /* with UNREADABLE; 0: not a matter of version */
    uint64_t segments;
    uint64_t batches;
    uint64_t records;
    uint64_t spots; /* damaged places on the disk, repaired by other means or not */
};

/*
 * Reads the whole log and decides (recovery_table.h). `snapshot_index` and `snapshot_term` are of
 * the newest whole snapshot file, 0 for none. Entries go to `sink` as they are read, in the order
 * of the log; `done` is called once. With a verdict that lets the node run (recovery_may_run), the
 * log is ready for appends then: a torn tail is erased, a new disk is prepared. Otherwise nothing
 * was written, and the log can only be freed.
 */
void wal_recover(struct wal *w, uint64_t snapshot_index, uint64_t snapshot_term,
                 const struct wal_scan_sink *sink,
                 void (*done)(void *owner, const struct wal_recovery *found), void *owner);

/* What to append, as one. All pointers are borrowed for the call only. */
struct wal_append {
    uint64_t seq; /* the owner's, ascending; `durable` tells it back */
    /* A durable snapshot file covers this entry; where the log does not hold it, the log gives way.
     * 0: none. */
    uint64_t snapshot_index;
    uint64_t snapshot_term;
    const struct wal_hard_state *hard; /* NULL: as before. Its commit is at most the last entry. */
    /* Consecutive, ascending indexes; the first may be at or below the last entry (everything from
     * there on gives way), not above the one after it. */
    const struct wal_entry *entries;
    size_t entry_count;
    bool is_repair; /* the entries supply damaged ones again, in any order; nothing gives way */
    /* The owner vouches again for heal_lo..heal_hi (0, 0: nothing); WAL_INDEX_OPEN ends doubt. */
    uint64_t heal_lo;
    uint64_t heal_hi;
};

/*
 * Encodes an append into the batch that is being filled: everything or, on error, nothing.
 *   ERR_BUSY      the queue is full, or the next segment is not ready: `room` tells when it is;
 *   ERR_NO_SPACE  the status is NO_SPACE and this has entries, or the reserve is used up;
 *   ERR_TOO_LARGE an entry is larger than any batch;
 *   ERR_REFUSED   a repair of an entry that is not held or known to be another; status FAILED.
 *
 * That entries follow the log, and that seq ascends, is the owner's duty (CHECK).
 */
MUST_USE enum err wal_append(struct wal *w, const struct wal_append *append);

/* Hands what was appended to the disk, now or when the batch on its way is back. */
void wal_flush(struct wal *w);

/* Reading back: entries lo..hi, which must be durable and in the log. */
struct wal_read {
    uint64_t lo;
    uint64_t hi;
    uint64_t bytes_max; /* ends early, after at least one entry, when payloads reach this */
    void (*entry)(struct wal_read *read, const struct wal_entry *entry); /* payload: for the call */
    /* `lo` is then the first entry that was not given. OK, or why not further: as wal_read says.
     * With ERR_CORRUPT, entries lo..hi lie where it was, and may have been lost with it. */
    void (*done)(struct wal_read *read, enum err result);
    void *owner;

    /* The log's own. */
    struct wal *wal;
    struct world_file_request request;
    struct wal_extent extent;
    uint8_t *buffer;
    size_t cap;
    uint64_t narrow; /* the sector of the extent that is read alone, as a larger read failed */
    uint64_t given_bytes;
    bool is_under_way;
};

/* The struct is the caller's, zeroed at first and in place until `done`; wal_read_deinit frees its
 * buffer when it is used no more. At once, without `done`: ERR_COMPACTED (`lo` is gone), ERR_FUTURE
 * (it is not durable), ERR_CORRUPT (it is damaged). An entry that is being rewritten may be given
 * as it was: compare its term. With its world torn down, a read that was under way is no more, and
 * may be deinitialised. */
MUST_USE enum err wal_read(struct wal *w, struct wal_read *read);
void wal_read_deinit(struct wal_read *read);

/* Entries up to `index` are no longer needed; `index` is at most the newest snapshot marker's.
 * Whole segments are recycled in the background; none while damage is unhealed. */
void wal_compact(struct wal *w, uint64_t index);

/* The log as it will be once everything appended is durable. */
const struct wal_state *wal_log(const struct wal *w);

enum wal_status wal_status(const struct wal *w);

/* Since when the batch on its way is out; NANOS_FOREVER if none is. */
nanos wal_stalled_since(const struct wal *w);

/* Syncs that returned, and bytes that were written: for figures. */
struct wal_counters {
    uint64_t syncs;
    uint64_t appends;
    uint64_t entries;
    uint64_t bytes;
};
struct wal_counters wal_counters(const struct wal *w);

#endif
