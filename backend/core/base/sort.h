/*
 * Sorts an array in place: heapsort. It allocates nothing, does not recurse, takes O(n log n) steps
 * on every input, and gives one result everywhere, which the C library's qsort promises none of.
 */
#ifndef NOVACRON_BASE_SORT_H
#define NOVACRON_BASE_SORT_H

#include "core/base/types.h"

/* Below, at or above zero, as `a` belongs before, beside or after `b`. */
typedef int (*sort_order)(const void *a, const void *b);

/* Sorts `count` items of `size` bytes. Items that belong beside each other end up in an order that
 * depends on the input alone, but is not the one they came in. */
void sort_items(void *items, size_t count, size_t size, sort_order order);

#endif
