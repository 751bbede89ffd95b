/*
 * Scrubbing: reads, in the background and at a bounded rate, what nobody reads otherwise, so that
 * damage is found while peers still have what is lost here [Bairavasundaram08: latent sector
 * errors].
 *
 * One pass reads every segment of the running log but the sectors that are being written, looks
 * whether each still has its name, then reads every snapshot file, and misses the one that the log
 * stands on; passes follow each other, with a pause. Damage is told by place, and for the
 * log also as the entries that lie there; what follows (marking, asking peers) is the owner's
 * decision.
 */
#ifndef NOVACRON_RECOVERY_SCRUB_H
#define NOVACRON_RECOVERY_SCRUB_H

#include "core/recovery/snapshot_file.h"
#include "core/recovery/wal.h"

/* Read at once, in bytes; the pause between two reads follows from the rate. */
#define SCRUB_READ_BYTES (256 * 1024)

struct scrub; /* opaque */

struct scrub_events {
    void *ctx;
    /* Entries lo..hi of the log lie in sectors that are unreadable, or in a segment whose name is
     * gone; lo > hi: no entry does. */
    void (*log_damage)(void *ctx, const struct wal_spot *spot, uint64_t lo, uint64_t hi);
    /* It cannot be read, or is not there. */
    void (*snapshot_damage)(void *ctx, uint64_t index, uint64_t term);
    /* A pass is over: how much it read. */
    void (*pass)(void *ctx, uint64_t bytes);
};

struct scrub_config {
    uint64_t bytes_per_second;
    nanos pause; /* between two passes */
};

/* The log must be recovered, and outlive the scrub; so must the place. */
struct scrub *scrub_new(struct wal *wal, const struct snapfile_place *place,
                        const struct scrub_config *config, const struct scrub_events *events);

/* As with the log: the world has none of its requests under way, or was torn down. */
void scrub_free(struct scrub *s);

#endif
