/*
 * The allocator of one store: size classes in pages of STORE_SLAB_PAGE_BYTES, so that keys and
 * versions cost what they hold, are freed in any order, and are counted exactly.
 *
 * Classes step by 16 bytes up to 1 KiB and by 256 up to STORE_SLAB_OBJECT_BYTES; a larger object is
 * an allocation of its own. A page is aligned to its size, so an object's page is found by masking.
 * A page whose last object is freed serves any class again; chunks are given back at the end.
 * Addresses never influence what the store does.
 */
#ifndef NOVACRON_STORE_SLAB_H
#define NOVACRON_STORE_SLAB_H

#include "core/base/types.h"

#define STORE_SLAB_CLASSES 76

struct store_slab_page;

struct store_slab {
    struct store_slab_page *partial[STORE_SLAB_CLASSES]; /* pages with a free slot, by class */
    struct store_slab_page *empty;                       /* pages of no class */
    void **chunks;                                       /* owned */
    size_t chunk_count;
    size_t chunk_cap;
    size_t used_bytes; /* of live objects, rounded to their class; large ones as asked */
    size_t held_bytes; /* of chunks and large objects: what the machine gave */
};

void store_slab_init(struct store_slab *slab);

/* Frees the chunks, and with them all objects but the large ones, which their owner frees first. */
void store_slab_deinit(struct store_slab *slab);

/* `size` bytes aligned to 16, not zeroed. Never NULL. */
__attribute__((returns_nonnull)) void *store_slab_alloc(struct store_slab *slab, size_t size);

/* Gives back what store_slab_alloc gave for the same size. */
void store_slab_free(struct store_slab *slab, void *object, size_t size);

#endif
