/* Private to snapshot files: the steps that writing and installing share.
 *
 *   snapshot_write.c    a writer
 *   snapshot_install.c  a peer's file, piece by piece
 *   snapshot_load.c     finds, reads, verifies
 *   snapshot_dir.c      names, the directory, sealing a finished file into its place, pruning
 */
#ifndef NOVACRON_RECOVERY_SNAPSHOT_INT_H
#define NOVACRON_RECOVERY_SNAPSHOT_INT_H

#include "core/recovery/snapshot_file.h"

#define SNAPFILE_SUFFIX           ".snap"
#define SNAPFILE_SUFFIX_TEMPORARY ".tmp"
#define SNAPFILE_SUFFIX_PART      ".part"

/* Makes sure that the directory exists, durably; then calls `then`. */
struct snapfile_dir {
    const struct snapfile_place *place;
    struct world_file_request request;
    char parent[WORLD_PATH_MAX_BYTES];
    void (*then)(void *owner, enum err result);
    void *owner;
};

void snapfile_dir_make(struct snapfile_dir *d);

/* Syncs a complete file, closes it, gives it its final name, syncs the directory, and prunes. */
struct snapfile_seal {
    const struct snapfile_place *place;
    struct world_file_request request;
    world_fd fd;
    uint64_t index;
    uint64_t term;
    const char *suffix; /* of the name that it has so far */
    char from[WORLD_PATH_MAX_BYTES];
    char to[WORLD_PATH_MAX_BYTES];
    void (*then)(void *owner, enum err result);
    void *owner;
    enum err error; /* of the sync */
};

void snapfile_seal_run(struct snapfile_seal *s);

/* Submits in the bulk lane. */
void snapfile_submit(const struct snapfile_place *place, struct world_file_request *request,
                     enum world_file_op op, void (*done)(struct world_file_request *), void *owner);

/* The first member of what a place has under way is its task; these keep the owner's list. */
void snapfile_task_begin(struct snapfile_task *task, const struct snapfile_place *place,
                         void (*forget)(struct snapfile_task *task));
void snapfile_task_end(struct snapfile_task *task);

#endif
