/*
 * Where entries lie: which sectors of which segment hold which indexes, for reading them back.
 *
 * The unit is an extent: consecutive indexes in consecutive batches of one segment, up to
 * WAL_EXTENT_SECTORS of them, so that a log of a gigabyte costs less than a megabyte of index, and
 * a single entry is found by reading a few dozen kilobytes. Of an index that a batch holds more
 * than once, the last one counts.
 */
#ifndef NOVACRON_RECOVERY_WAL_INDEX_H
#define NOVACRON_RECOVERY_WAL_INDEX_H

#include "core/base/types.h"

/* An extent grows over neighbouring batches until it has this many sectors (64 KiB). */
#define WAL_EXTENT_SECTORS 128

struct wal_extent {
    uint64_t first;
    uint64_t last;
    uint64_t segment;
    uint64_t sector; /* where the batch with `first` begins */
    uint64_t end;    /* the sector after the batch with `last` */
};

struct wal_index {
    struct wal_extent *extents; /* owned, ascending, disjoint */
    size_t count;
    size_t cap;
};

void wal_index_init(struct wal_index *x);
void wal_index_deinit(struct wal_index *x);

/* Entries first..last were written by one batch: everything from `first` on gives way. */
void wal_index_append(struct wal_index *x, const struct wal_extent *extent);

/* Everything from `index` on gives way, to something that cannot be read. */
void wal_index_cut(struct wal_index *x, uint64_t index);

/* One entry was supplied again; its neighbours stay. */
void wal_index_repair(struct wal_index *x, const struct wal_extent *extent);

/* Everything is dropped; or everything up to `index`; or every mention of a segment. */
void wal_index_clear(struct wal_index *x);
void wal_index_drop_through(struct wal_index *x, uint64_t index);

/* The extent with `index`, or NULL. */
const struct wal_extent *wal_index_find(const struct wal_index *x, uint64_t index);

#endif
