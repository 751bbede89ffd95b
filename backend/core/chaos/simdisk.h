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
 * Faults are set from outside: operations that fail, space that runs out, sectors that rot or
 * cannot be read, syncs that lie. Everything is deterministic, and a disk can be cloned in the
 * middle.
 */
#ifndef NOVACRON_CHAOS_SIMDISK_H
#define NOVACRON_CHAOS_SIMDISK_H

#include "core/base/buf.h"
#include "core/base/types.h"
#include "core/world/world.h"

struct simdisk; /* opaque */

/* `capacity` in bytes: what all files together may take. */
struct simdisk *simdisk_new(uint64_t capacity);
void simdisk_free(struct simdisk *d);
struct simdisk *simdisk_clone(const struct simdisk *d);

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

/* The next `count` operations of that kind fail with `error`. A failed SYNC leaves the changes that
 * it was for in limbo for good: visible, and never durable by a later sync. */
void simdisk_fail(struct simdisk *d, enum world_file_op op, enum err error, uint32_t count);

/* While set, syncs say OK and make nothing durable. */
void simdisk_lie(struct simdisk *d, bool is_lying);

/* How many bytes all files may take. */
void simdisk_set_capacity(struct simdisk *d, uint64_t capacity);

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

/* The live content, copied over what `into` holds, and its size in bytes; ERR_NOT_FOUND. */
MUST_USE enum err simdisk_look(const struct simdisk *d, const char *path, struct buf *into);
MUST_USE enum err simdisk_size(const struct simdisk *d, const char *path, uint64_t *ret);

/* The names of all files, in ascending order; NULL behind the last. Borrowed until the next change
 * of names. */
const char *simdisk_name(const struct simdisk *d, size_t at);

/* Chained onto `seed`: all stable contents and names. For comparing runs. */
uint64_t simdisk_hash(const struct simdisk *d, uint64_t seed);

#endif
