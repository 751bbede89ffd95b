/*
 * Memory. Queues, caches and buffers have declared limits, so running out is a broken promise of
 * the machine's configuration and not a state that every caller handles: these abort.
 */
#ifndef NOVACRON_BASE_MEM_H
#define NOVACRON_BASE_MEM_H

#include "core/base/types.h"

/* `size` bytes (at least one), not zeroed / zeroed. Never NULL. Free with mem_free. */
__attribute__((malloc, returns_nonnull)) void *mem_alloc(size_t size);
__attribute__((malloc, returns_nonnull)) void *mem_alloc_zero(size_t size);

/* Grows or shrinks what mem_alloc gave; the first min(old, new) bytes are kept. Never NULL. */
__attribute__((returns_nonnull)) void *mem_realloc(void *ptr, size_t size);

/* Gives memory back; NULL is allowed. */
void mem_free(void *ptr);

/* Room for `count` elements of `size` bytes; aborts where the product overflows. */
__attribute__((returns_nonnull)) void *mem_realloc_array(void *ptr, size_t count, size_t size);

/* Grows the array `*items` of `size`-byte elements, whose capacity is `*cap`, so that at least
 * `need` fit; doubles, so that a run of appends costs O(1) each. The contents are kept. */
void mem_grow(void **items, size_t *cap, size_t need, size_t size);

#endif
