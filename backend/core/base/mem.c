/* The only caller of the allocator in the core. */
#include "core/base/mem.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"

/* The smallest array that mem_grow makes: below this, growing by doubling costs more calls than
 * it saves bytes. */
#define GROW_MIN_ITEMS 8

/* malloc(0) may give NULL, which our callers need not know. */
static size_t at_least_one(size_t size)
{
    return size == 0 ? 1 : size;
}

void *mem_alloc(size_t size)
{
    void *ptr = malloc(at_least_one(size));
    CHECK(ptr != NULL);
    return ptr;
}

void *mem_alloc_zero(size_t size)
{
    void *ptr = calloc(1, at_least_one(size));
    CHECK(ptr != NULL);
    return ptr;
}

void *mem_realloc(void *ptr, size_t size)
{
    void *moved = realloc(ptr, at_least_one(size));
    CHECK(moved != NULL);
    return moved;
}

void mem_free(void *ptr)
{
    free(ptr);
}

void *mem_realloc_array(void *ptr, size_t count, size_t size)
{
    size_t total = 0;
    bool overflow = __builtin_mul_overflow(count, size, &total);
    CHECK(!overflow);
    return mem_realloc(ptr, total);
}

void mem_grow(void **items, size_t *cap, size_t need, size_t size)
{
    CHECK(size > 0);
    if (need <= *cap) {
        return;
    }
    size_t doubled = *cap > SIZE_MAX / 2 ? SIZE_MAX : *cap * 2;
    size_t room = need > doubled ? need : doubled;
    if (room < GROW_MIN_ITEMS) {
        room = GROW_MIN_ITEMS;
    }
    /* `items` points to a pointer of the caller's type. Copying its bytes, rather than reading it
     * as a void pointer, keeps the aliasing rules. */
    void *ptr = NULL;
    memcpy(&ptr, items, sizeof ptr);
    ptr = mem_realloc_array(ptr, room, size);
    memcpy(items, &ptr, sizeof ptr);
    *cap = room;
}
