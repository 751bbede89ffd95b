/*
 * The files of a simulated host: how long requests take. What they do is the disk's (simdisk.h).
 *
 * A request takes effect on the live content when it is submitted and completes after a latency, in
 * the order of its lane. The latency is drawn from a generator of the host's disk alone, and where
 * a speed has neither spread nor tail, nothing is drawn.
 */
#ifndef NOVACRON_CHAOS_SIMFILE_H
#define NOVACRON_CHAOS_SIMFILE_H

#include "core/base/types.h"
#include "core/world/world.h"

struct simhost;

/* Operations which a disk takes alike. */
enum simfile_kind {
    SIMFILE_NAMES, /* all that is none of the others */
    SIMFILE_READ,
    SIMFILE_WRITE,
    SIMFILE_SYNC, /* of files and of directories */
    SIMFILE_KINDS
};

/* At least `base` (not zero), uniformly up to `spread` more; and `tail_ppm` of a million operations
 * take, uniformly, up to `tail` on top. */
struct simfile_latency {
    nanos base;
    nanos spread;
    uint32_t tail_ppm;
    nanos tail;
};

struct simfile_speed {
    struct simfile_latency of[SIMFILE_KINDS];
    uint64_t bytes_per_s; /* on top, for reads and writes */
};

/* What a disk of our time gives: the speed of a new host. */
struct simfile_speed simfile_speed_plain(void);

enum simfile_kind simfile_kind_of(enum world_file_op op);

struct simfile_speed simhost_speed(const struct simhost *host);
void simhost_set_speed(struct simhost *host, const struct simfile_speed *speed);

/* Until then no file request of the lane completes, whether it is under way already or not. A
 * process that is killed and started again meets the same stall; of two, the longer counts. */
void simhost_stall(struct simhost *host, enum world_lane lane, nanos until);

/* Likewise, in all lanes. */
void simhost_stall_disk(struct simhost *host, nanos until);

/* Every further file operation, and every sync, takes so much longer. */
void simhost_slow(struct simhost *host, nanos operation, nanos sync);

#endif
