/*
 * Where old changes lie: memory that is written once, in the order of the changes, and read seldom.
 * So the world may keep it on a disk (world.h, "Memory"), and what a member holds in memory is what
 * exists now, not all that ever did.
 *
 * Records are appended to segments; a segment is given back when its last record was dropped. As
 * the history is dropped in the order in which it was written, that is soon.
 *
 * A record is a checksum, the bytes that it covers, and those: a store_version and its value, with
 * its pointers, which are checked before they are followed. What a disk altered ends the process:
 * the state is in the log and the snapshots, and a start rebuilds it.
 */
#ifndef NOVACRON_STORE_COLD_H
#define NOVACRON_STORE_COLD_H

#include "core/store/store_limits.h"
#include "core/store/store_version.h"
#include "core/world/world.h"

struct store_cold_segment {
    struct world_memory *memory; /* the world's; NULL: `bytes` are an allocation like others */
    uint8_t *bytes;              /* owned */
    size_t cap;
    size_t used;
    uint64_t records; /* that were not dropped */
};

struct store_cold {
    const struct world_memory_ops *memory; /* NULL: memory like any other */
    void *memory_self;
    size_t segment_bytes;
    struct store_cold_segment **by_address; /* owned, with what they point to */
    size_t count;
    size_t cap;
    struct store_cold_segment *newest; /* being filled; NULL: none */
    size_t used_bytes;                 /* of records, also dropped ones while their segment stays */
    size_t held_bytes;
    uintptr_t last_read;               /* a block of STORE_COLD_BLOCK_BYTES */
    uintptr_t reads[STORE_COLD_READS]; /* blocks that the world was not told of yet */
    size_t read_count;
};

void store_cold_init(struct store_cold *c);
void store_cold_deinit(struct store_cold *c);

/* Copies a version with its value; the copy is what the reference leads to. */
struct store_ref store_cold_put(struct store_cold *c, const struct store_version *v);

/* Forgets it. */
void store_cold_drop(struct store_cold *c, struct store_ref ref);

/* A version of here, checked. Now and then tells the world that what was read before need not stay
 * at hand. */
struct store_version *store_cold_get(struct store_cold *c, struct store_ref ref);

/* What a reference leads to; NULL: nothing. */
static inline struct store_version *store_ref_get(struct store_cold *c, struct store_ref ref)
{
    return (ref.bits & STORE_REF_COLD) != 0 ? store_cold_get(c, ref) : store_ref_hot(ref);
}

#endif
