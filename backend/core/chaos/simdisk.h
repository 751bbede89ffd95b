/*
 * One host's disk and file system, simulated: what is durable, what is not yet, and what power loss
 * makes of the difference. It has no time and no completions of its own; simworld.h adds those.
 *
 * Each file has two contents: the live one, which the running host sees, and the stable one, which
 * is on the platter. Between them lies a list of changes in the order they were made. A sync moves
 * a file's changes over; power loss lets each unit of change (a sector of a write, a change of
 * size, a change of a name) survive or vanish, as a chooser says; then the live state is what is
 * stable. This is the least that core/world/world.h promises, and every subset of it can be had.
 * Both contents are sparse and share the pages on which they agree, as does a clone, so that a disk
 * takes the memory of what was written to it, and a clone next to none.
 *
 * FAULTS are of three kinds, all set from outside. Some last until they are ended: operations that
 * fail with some probability, space that runs out, syncs that lie; simdisk_heal ends them all. Some
 * wait for an operation to happen to: writes that get lost or go astray, reads of the wrong sector.
 * And some are done at once to what lies there: rot, unreadable sectors, files that are cut or
 * gone. The caller says when, and of which class of files; which byte, sector or file it is comes
 * from the disk's own generator, so everything is deterministic. A disk can be cloned in the
 * middle.
 */
#ifndef NOVACRON_CHAOS_SIMDISK_H
#define NOVACRON_CHAOS_SIMDISK_H

#include "core/base/buf.h"
#include "core/base/prng.h"
#include "core/base/types.h"
#include "core/world/world.h"

struct simdisk; /* opaque */

/* `capacity` in bytes: what all files together may take. */
struct simdisk *simdisk_new(uint64_t capacity);
void simdisk_free(struct simdisk *d);
struct simdisk *simdisk_clone(const struct simdisk *d);

/* Where the disk's draws come from; without it, from a generator of seed 0. And where they stand:
 * a disk that takes the place of another one goes on from there. */
void simdisk_seed(struct simdisk *d, const struct prng *prng);
struct prng simdisk_prng(const struct simdisk *d);

/* Executes the request: its effect on the live state, and its answer. SYNC and SYNC_DIR take effect
 * only with simdisk_settle, which the world calls when they complete. */
void simdisk_execute(struct simdisk *d, struct world_file_request *request);
void simdisk_settle(struct simdisk *d, struct world_file_request *request);

/* The process died: its open files are closed, everything written stays. */
void simdisk_close_all(struct simdisk *d);

/* Units of change that are not durable, and the power cut that decides about each: survives(ctx, n)
 * is asked for n from 0, in the order of the changes. */
uint64_t simdisk_pending(const struct simdisk *d);
void simdisk_cut_power(struct simdisk *d, bool (*survives)(void *ctx, uint64_t unit), void *ctx);

/* The same, where each unit survives in `num` of `den` cases, by the disk's generator. */
void simdisk_lose_power(struct simdisk *d, uint64_t num, uint64_t den);

/* --- faults that last -------------------------------------------------------------------------
 */

/* The next `count` operations of that kind fail with `error`. A failed SYNC leaves the changes that
 * it was for in limbo for good: visible, and never durable by a later sync. */
void simdisk_fail(struct simdisk *d, enum world_file_op op, enum err error, uint32_t count);

/* Operations of that kind fail with `error` in `ppm` of a million cases; 0 ends it. A WRITE that
 * fails so has written some of its first sectors all the same. CLOSE never fails. */
void simdisk_odds(struct simdisk *d, enum world_file_op op, enum err error, uint32_t ppm);

/* While set, a sync that fails takes the changes it was for with it: the page cache drops what it
 * could not write, reads see the old bytes, and the next sync says OK [Rebello20]. */
void simdisk_forget(struct simdisk *d, bool is_forgetful);

/* While set, syncs say OK and make nothing durable. */
void simdisk_lie(struct simdisk *d, bool is_lying);

/* Changes of which a sync said that they are durable, and which power loss would still take,
 * whether the disk lies now or did so before: while there are any, a power cut destroys what may
 * have been acknowledged. */
uint64_t simdisk_owed(const struct simdisk *d);

/* What an operating system does in time, and a disk that lied before it is trusted again: all that
 * is pending becomes durable, but for what a failed sync left in limbo. */
void simdisk_write_back(struct simdisk *d);

/* How many bytes all files may take. A quota is the same, but SPACE does not know of it. */
void simdisk_set_capacity(struct simdisk *d, uint64_t capacity);
void simdisk_set_quota(struct simdisk *d, uint64_t bytes);

/* Bytes that all files take. */
uint64_t simdisk_used(const struct simdisk *d);

/* Ends all faults that last, and those that wait. The capacity and what is damaged stay. */
void simdisk_heal(struct simdisk *d);

/* --- what a fault is aimed at -----------------------------------------------------------------
 */

/* Files by the names that core/recovery and core/node give them. */
enum simdisk_class {
    SIMDISK_ANY,
    SIMDISK_LOG,      /* segments of the log: *.wal */
    SIMDISK_SNAPSHOT, /* *.snap, and a transfer's *.part */
    SIMDISK_BOOT,     /* the boot number: boot */
    SIMDISK_IDENTITY, /* identity */
    SIMDISK_CLASSES
};

bool simdisk_is_in_class(const char *path, enum simdisk_class class);

/* A place on the disk, for the record of a run. */
struct simdisk_spot {
    char path[WORLD_PATH_MAX_BYTES];
    uint64_t offset;
};

/* --- faults that wait for an operation --------------------------------------------------------
 */

enum simdisk_trick {
    SIMDISK_LOST_WRITE,        /* says OK, and the bytes that were there before stay */
    SIMDISK_MISDIRECTED_WRITE, /* likewise, and the bytes land elsewhere, below all caches */
    SIMDISK_MISDIRECTED_READ,  /* one sector of what is read is another one of that file */
    SIMDISK_STALE_READ,        /* or is as it was at simdisk_remember */
    SIMDISK_TRICKS
};

/* Happens to the next `count` operations on files of the class that it can happen to; 0 ends it.
 * What the tricks do can be seen afterwards: a read which by chance would show the right bytes is
 * no case. */
void simdisk_play(struct simdisk *d, enum simdisk_trick trick, enum simdisk_class class,
                  uint32_t count);

/* How often it has happened, and where last (NULL: nowhere). */
uint64_t simdisk_played(const struct simdisk *d, enum simdisk_trick trick);
const struct simdisk_spot *simdisk_played_at(const struct simdisk *d, enum simdisk_trick trick);

/* Keeps the contents of all files as they are now, for stale reads. */
void simdisk_remember(struct simdisk *d);

/* --- damage at rest, where the disk chooses ---------------------------------------------------
 */

/* Each says where it happened, or ERR_NOT_FOUND where no file of the class can be hit so. ROT flips
 * a bit of a sector that is stable and not blank; SPOILED makes such a sector unreadable until it
 * is written; CUT shortens a file to some smaller size; VANISHED takes its name away. */
enum simdisk_harm {
    SIMDISK_HARM_ROT,
    SIMDISK_HARM_SPOILED,
    SIMDISK_HARM_CUT,
    SIMDISK_HARM_VANISHED,
    SIMDISK_HARMS
};

MUST_USE enum err simdisk_harm(struct simdisk *d, enum simdisk_harm harm, enum simdisk_class class,
                               struct simdisk_spot *ret);

/* All files and directories are gone. Whoever has one open keeps it. */
void simdisk_wipe(struct simdisk *d);

/* --- damage at rest, where the caller chooses -------------------------------------------------
 */

/* Damage, live and stable: flips the bits of `mask`; makes the sector at `offset` unreadable until
 * it is written; copies a sector over another (a misdirected write). */
MUST_USE enum err simdisk_flip(struct simdisk *d, const char *path, uint64_t offset, uint8_t mask);
MUST_USE enum err simdisk_spoil(struct simdisk *d, const char *path, uint64_t offset);
MUST_USE enum err simdisk_misdirect(struct simdisk *d, const char *path, uint64_t from,
                                    const char *path_to, uint64_t to);

/* Changes a name or a size at once, live and stable: what an operator, or a bad file system, does.
 */
MUST_USE enum err simdisk_remove(struct simdisk *d, const char *path);
MUST_USE enum err simdisk_copy(struct simdisk *d, const char *path, const char *path_to);
MUST_USE enum err simdisk_cut(struct simdisk *d, const char *path, uint64_t size);

/* --- looking ----------------------------------------------------------------------------------
 */

/* The live content, copied over what `into` holds, and its size in bytes; ERR_NOT_FOUND. */
MUST_USE enum err simdisk_look(const struct simdisk *d, const char *path, struct buf *into);
MUST_USE enum err simdisk_size(const struct simdisk *d, const char *path, uint64_t *ret);

/* The names of all files, in ascending order; NULL behind the last. Borrowed until the next change
 * of names. */
const char *simdisk_name(const struct simdisk *d, size_t at);

/* The memory that contents and pending writes take, in bytes; pages that are shared with another
 * image or a clone count once for each. */
uint64_t simdisk_memory(const struct simdisk *d);

/* Chained onto `seed`: all stable contents and names. For comparing runs. */
uint64_t simdisk_hash(const struct simdisk *d, uint64_t seed);

#endif
