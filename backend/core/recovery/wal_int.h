/*
 * Private to the log: what its files share.
 *
 *   wal.c          appends, batches, flushes, completions
 *   wal_segment.c  the files: prepares the next, recycles old ones, no space
 *   wal_recover.c  reads a log back, and decides
 *   wal_vouch.c    makes durable what was read
 *   wal_resume.c   makes a recovered log ready: erases a torn tail, begins a new log
 *   wal_read.c     reads entries back
 */
#ifndef NOVACRON_RECOVERY_WAL_INT_H
#define NOVACRON_RECOVERY_WAL_INT_H

#include "core/recovery/wal.h"
#include "core/recovery/wal_batch.h"
#include "core/recovery/wal_index.h"

/* Sectors that are read at once. */
#define WAL_READ_SECTORS 1024

/* The preparation of the next segment.
 *
 *     NONE --wal_segment_prepare--> PREPARING --ok--> READY --the log moves there--> NONE
 *                                       |
 *                                       +--no space--> REFUSED --timer--> PREPARING
 */
enum wal_next { WAL_NEXT_NONE, WAL_NEXT_PREPARING, WAL_NEXT_READY, WAL_NEXT_REFUSED };

struct wal_file {
    uint64_t seq;
    world_fd fd;
    bool is_spoiled; /* a sector of it is unreadable: it gets no second life */
    bool is_missing; /* the scrub's: it has not seen the name of it yet */
};

struct wal_preparation {
    enum wal_next state;
    struct wal_file file;
    struct world_file_request request;
    struct world_timer retry;
    char from[WORLD_PATH_MAX_BYTES];
    char to[WORLD_PATH_MAX_BYTES];
    uint64_t spare;               /* the spare that is being reused; 0: a new file is made */
    void (*ready)(struct wal *w); /* during resumption; NULL later */
};

struct wal_recycling {
    bool is_under_way;
    bool is_spare;
    bool is_spoiled;
    uint64_t through; /* segments below this one go */
    uint64_t seq;
    struct world_file_request request;
    char from[WORLD_PATH_MAX_BYTES];
    char to[WORLD_PATH_MAX_BYTES];
};

/* No batch fits behind this. */
#define WAL_NO_SECTOR (UINT64_MAX / 2)

struct wal_recovering; /* wal_recover_int.h */

struct wal {
    const struct world *world; /* borrowed */
    struct wal_config config;
    struct wal_events events;
    enum wal_status status;
    bool is_ready; /* recovery is over, and the log may be written */

    struct wal_state state; /* with everything appended */
    struct wal_index index; /* with everything written */

    /* A ring: batches[first] is the oldest, of `count`; the newest is being filled unless it has
     * ended. The oldest is on its way to the disk while in_flight. */
    struct wal_batch batches[WAL_BATCHES];
    uint32_t first;
    uint32_t count;
    bool in_flight;
    bool wants_flush;
    bool wants_room;
    nanos flight_began;
    enum err flight_result;
    void (*flight_hook)(struct wal *w); /* during resumption: the batch is durable. NULL later */
    struct world_file_request write;
    struct world_file_request sync;

    uint64_t chain;    /* what the next batch's first record carries */
    uint64_t next_seq; /* of batches */
    uint64_t previous_seq;
    uint64_t touched;       /* by the batch before */
    uint64_t append_seq;    /* the owner's newest */
    uint64_t durable_index; /* entries up to here can be read back */

    /* Segments, ascending; the newest is the active one. */
    struct wal_file *files; /* owned */
    size_t file_count;
    size_t file_cap;
    uint64_t active_sector; /* where the next batch goes; WAL_NO_SECTOR: in the next segment */
    bool active_has_batch;  /* something in it is durable, so what came before may go */
    struct wal_preparation next;
    struct wal_recycling recycling;
    uint64_t spares[WAL_SPARES_MAX]; /* oldest first */
    size_t spare_count;
    uint32_t reads; /* under way */

    struct wal_counters counters;
    struct wal_recovering *recovering; /* owned; NULL unless recovering */
};

/* A path in the log's directory. */
void wal_path(const struct wal *w, const char *name, char path[WORLD_PATH_MAX_BYTES]);
void wal_segment_path(const struct wal *w, uint64_t seq, char path[WORLD_PATH_MAX_BYTES]);

/* Submits; `done` gets the log as the request's owner. */
void wal_submit(struct wal *w, struct world_file_request *request, enum world_file_op op,
                enum world_lane lane, void (*done)(struct world_file_request *));

void wal_set_status(struct wal *w, enum wal_status status, enum err why);

/* Flushes if there is something to flush and somewhere to put it. */
void wal_pump(struct wal *w);

/* Opens a batch for a record that is not an append's. */
struct wal_batch *wal_batch_begin(struct wal *w);

/* The open segment file of that number; CHECKs that it is there. */
world_fd wal_file_fd(const struct wal *w, uint64_t seq);
void wal_file_add(struct wal *w, struct wal_file file);

/* Begins to prepare the segment after the newest, unless that was done or refused. */
void wal_segment_prepare(struct wal *w);

/* The prepared segment becomes the active one. */
void wal_segment_advance(struct wal *w);

/* The active segment is damaged, or will be gone at the next start: nothing more is written to it,
 * if that can be helped. */
void wal_segment_abandon(struct wal *w);

/* Goes on recycling. */
void wal_segment_recycle(struct wal *w);

static inline uint64_t wal_segment_sectors(const struct wal *w)
{
    return w->config.segment_bytes / WAL_SECTOR_BYTES;
}

#endif
