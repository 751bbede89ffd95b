/* Private to recovery: what its parts share. wal_recover.c reads and decides, and changes nothing
 * on the disk; wal_vouch.c makes durable what was read; wal_resume.c makes the log ready for
 * appends. */
#ifndef NOVACRON_RECOVERY_WAL_RECOVER_INT_H
#define NOVACRON_RECOVERY_WAL_RECOVER_INT_H

#include "core/recovery/wal_int.h"

/* Chunks that are read ahead, so that the disk and the checks work at the same time. */
#define WAL_RECOVER_CHUNKS 2

struct wal_listed {
    uint64_t seq;
    world_fd fd; /* WORLD_FD_NONE: it could not be opened */
    uint64_t bytes;
};

struct wal_chunk {
    struct world_file_request request;
    uint8_t *bytes; /* owned, chunk_sectors sectors */
};

struct wal_recovering {
    struct wal *wal; /* borrowed */
    struct wal_scan scan;
    void (*done)(void *owner, const struct wal_recovery *found);
    void *owner;
    struct wal_recovery found;
    uint64_t snapshot_index;
    uint64_t snapshot_term;
    bool adopts_snapshot; /* the log gives way to the snapshot */

    struct wal_listed *segments; /* owned, ascending */
    size_t segment_count;
    size_t segment_cap;
    size_t at; /* the segment that is being read, opened, unlinked */
    enum found_identity identity;
    enum err list_result;

    /* Reading: [fed, submitted) of the current segment is under way, in sectors. */
    uint64_t chunk_sectors;
    struct wal_chunk chunks[WAL_RECOVER_CHUNKS];
    uint64_t fed;
    uint64_t submitted;
    uint64_t narrow_until; /* up to here sector by sector, as a larger read failed */
    uint32_t reads;
    uint32_t turn; /* the chunk that is free next, as reads complete in order */
    bool starts_over;

    struct world_file_request request;
    char path[WORLD_PATH_MAX_BYTES];
    char path_to[WORLD_PATH_MAX_BYTES];
    uint8_t sector[WAL_SECTOR_BYTES];
    uint64_t wanted_files; /* of the listed segments, how many stay */
    uint64_t erase_from;   /* sectors of the torn tail, still to be erased */
    uint64_t erase_to;
};

/* Submits r->request; `done` gets r as its owner. */
void wal_recover_submit(struct wal_recovering *r, enum world_file_op op,
                        void (*done)(struct world_file_request *));

/* Makes the log ready, then ends recovery. */
void wal_resume(struct wal_recovering *r);

/* Makes durable what was read, then goes on with wal_resume_files. */
void wal_vouch(struct wal_recovering *r);
void wal_resume_files(struct wal_recovering *r);

/* Ends recovery: frees it, then tells the owner. */
void wal_recover_end(struct wal_recovering *r);

/* It cannot be read, or not be written. */
void wal_recover_fail(struct wal_recovering *r, enum err why, const char *what);

void wal_recovering_free(struct wal *w);

#endif
