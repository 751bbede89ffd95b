/*
 * The storage rung: can this host still make something durable within a deadline? One small file is
 * written and synced, again and again, through the world's own file operations: what answers is the
 * disk that the log is on, and no cache.
 *
 * A request to a disk that hangs cannot be taken back. So at the deadline the answer is
 * ERR_TIMEOUT, and while the old request hangs there is no new one: storage_probe_ask says
 * ERR_PENDING, which is an answer as well. After an error the file is opened anew, for a sync that
 * failed says nothing of what a later one does (world.h).
 *
 * It has a lane of its own: a slow disk may not make the log wait for its own probe, and the probe
 * does not wait behind a snapshot that is being copied, but for what that takes from the disk.
 */
#ifndef NOVACRON_HEALTH_PROBE_STORAGE_H
#define NOVACRON_HEALTH_PROBE_STORAGE_H

#include "core/base/err.h"
#include "core/base/types.h"
#include "core/world/world.h"

/* What is written: a block of the usual file systems. */
#define STORAGE_PROBE_BYTES 4096

struct storage_probe {
    const struct world *world; /* borrowed */
    const char *path;          /* borrowed */
    /* One call for each storage_probe_ask that said OK, never within it: OK after `took`,
     * ERR_TIMEOUT at the deadline, or what the file operation said. */
    void (*answered)(struct storage_probe *probe, enum err result, nanos took);
    void *owner; /* for `answered` */

    /* Its own. */
    struct world_file_request request;
    struct world_timer timer;
    world_fd fd;
    nanos began;
    bool is_busy;   /* a request is under way */
    bool is_waited; /* somebody waits for the answer */
    bool is_stopped;
    uint64_t asked;
    uint8_t block[STORAGE_PROBE_BYTES];
};

/* `path` is a file of its own, in a folder that exists. Nothing is opened before the first time. */
void storage_probe_init(struct storage_probe *probe, const struct world *world, const char *path,
                        void (*answered)(struct storage_probe *probe, enum err result, nanos took),
                        void *owner);

/* ERR_PENDING: the last one still hangs, and nobody is called. */
enum err storage_probe_ask(struct storage_probe *probe, nanos deadline) MUST_USE;

/* Nobody is called any more. A request that is under way still uses the probe, until its world has
 * called, or forgotten it. */
void storage_probe_stop(struct storage_probe *probe);

#endif
