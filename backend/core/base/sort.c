#include "core/base/sort.h"

#include <string.h>

#include "core/base/check.h"

static void swap_items(uint8_t *a, uint8_t *b, size_t size)
{
    uint8_t block[64];
    while (size > 0) {
        size_t n = size < sizeof block ? size : sizeof block;
        memcpy(block, a, n);
        memcpy(a, b, n);
        memcpy(b, block, n);
        a += n;
        b += n;
        size -= n;
    }
}

/* Moves the item at `top` down among the first `count`, until neither child belongs after it. */
static void sift_down(uint8_t *items, size_t top, size_t count, size_t size, sort_order order)
{
    while (top < count / 2) {
        size_t child = 2 * top + 1;
        if (child + 1 < count && order(items + child * size, items + (child + 1) * size) < 0) {
            child++;
        }
        if (order(items + top * size, items + child * size) >= 0) {
            return;
        }
        swap_items(items + top * size, items + child * size, size);
        top = child;
    }
}

void sort_items(void *items, size_t count, size_t size, sort_order order)
{
    CHECK(size > 0);
    uint8_t *bytes = items;
    for (size_t top = count / 2; top > 0; top--) {
        sift_down(bytes, top - 1, count, size, order);
    }
    for (size_t last = count; last > 1; last--) {
        swap_items(bytes, bytes + (last - 1) * size, size);
        sift_down(bytes, 0, last - 1, size, order);
    }
}
