#include "core/store/store_slab.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/store/store_limits.h"

#define SLAB_FINE_STEP    16u
#define SLAB_FINE_BYTES   1024u
#define SLAB_COARSE_STEP  256u
#define SLAB_FINE_CLASSES (SLAB_FINE_BYTES / SLAB_FINE_STEP)

_Static_assert(SLAB_FINE_CLASSES + (STORE_SLAB_OBJECT_BYTES - SLAB_FINE_BYTES) / SLAB_COARSE_STEP ==
                   STORE_SLAB_CLASSES,
               "the classes cover all sizes up to the largest object");

struct slab_slot {
    struct slab_slot *next;
};

struct store_slab_page {
    struct store_slab_page *next; /* in partial[class], or in empty */
    struct store_slab_page *prev;
    struct slab_slot *free; /* freed slots */
    uint32_t slot_bytes;
    uint32_t class;
    uint32_t used;  /* slots */
    uint32_t fresh; /* slots that were never used start at this one */
    uint32_t slots; /* in all */
    bool listed;    /* in partial[class]? */
};

/* Where the first slot of a page starts: after its header, at a multiple of 16. */
#define SLAB_HEADER_BYTES ((sizeof(struct store_slab_page) + 15u) & ~(size_t)15u)

void store_slab_init(struct store_slab *slab)
{
    *slab = (struct store_slab){0};
}

void store_slab_deinit(struct store_slab *slab)
{
    for (size_t i = 0; i < slab->chunk_count; i++) {
        mem_free(slab->chunks[i]);
    }
    mem_free(slab->chunks);
    *slab = (struct store_slab){0};
}

static uint32_t slab_class_of(size_t size)
{
    if (size <= SLAB_FINE_BYTES) {
        return size == 0 ? 0 : (uint32_t)((size - 1) / SLAB_FINE_STEP);
    }
    return SLAB_FINE_CLASSES + (uint32_t)((size - SLAB_FINE_BYTES - 1) / SLAB_COARSE_STEP);
}

static uint32_t slab_class_bytes(uint32_t class)
{
    if (class < SLAB_FINE_CLASSES) {
        return (class + 1) * SLAB_FINE_STEP;
    }
    return SLAB_FINE_BYTES + (class - SLAB_FINE_CLASSES + 1) * SLAB_COARSE_STEP;
}

static void slab_list_push(struct store_slab_page **list, struct store_slab_page *page)
{
    page->prev = NULL;
    page->next = *list;
    if (*list != NULL) {
        (*list)->prev = page;
    }
    *list = page;
}

static void slab_list_remove(struct store_slab_page **list, struct store_slab_page *page)
{
    if (page->prev != NULL) {
        page->prev->next = page->next;
    } else {
        CHECK(*list == page);
        *list = page->next;
    }
    if (page->next != NULL) {
        page->next->prev = page->prev;
    }
}

static void slab_grow(struct store_slab *slab)
{
    void *chunk = mem_alloc(STORE_SLAB_CHUNK_BYTES);
    void *chunks = slab->chunks;
    mem_grow(&chunks, &slab->chunk_cap, slab->chunk_count + 1, sizeof(void *));
    slab->chunks = chunks;
    slab->chunks[slab->chunk_count++] = chunk;
    slab->held_bytes += STORE_SLAB_CHUNK_BYTES;

    uintptr_t start = (uintptr_t)chunk;
    size_t skip = (STORE_SLAB_PAGE_BYTES - start % STORE_SLAB_PAGE_BYTES) % STORE_SLAB_PAGE_BYTES;
    uint8_t *at = (uint8_t *)chunk + skip;
    uint8_t *end = (uint8_t *)chunk + STORE_SLAB_CHUNK_BYTES;
    while ((size_t)(end - at) >= STORE_SLAB_PAGE_BYTES) {
        slab_list_push(&slab->empty, (void *)at);
        at += STORE_SLAB_PAGE_BYTES;
    }
}

static struct store_slab_page *slab_open_page(struct store_slab *slab, uint32_t class)
{
    if (slab->empty == NULL) {
        slab_grow(slab);
    }
    struct store_slab_page *page = slab->empty;
    slab_list_remove(&slab->empty, page);
    uint32_t slot_bytes = slab_class_bytes(class);
    *page = (struct store_slab_page){
        .slot_bytes = slot_bytes,
        .class = class,
        .slots = (uint32_t)((STORE_SLAB_PAGE_BYTES - SLAB_HEADER_BYTES) / slot_bytes),
        .listed = true,
    };
    slab_list_push(&slab->partial[class], page);
    return page;
}

void *store_slab_alloc(struct store_slab *slab, size_t size)
{
    if (size > STORE_SLAB_OBJECT_BYTES) {
        slab->used_bytes += size;
        slab->held_bytes += size;
        return mem_alloc(size);
    }
    uint32_t class = slab_class_of(size);
    struct store_slab_page *page = slab->partial[class];
    if (page == NULL) {
        page = slab_open_page(slab, class);
    }
    void *object = page->free;
    if (object != NULL) {
        page->free = page->free->next;
    } else {
        object = (uint8_t *)page + SLAB_HEADER_BYTES + (size_t)page->fresh * page->slot_bytes;
        page->fresh++;
    }
    page->used++;
    if (page->used == page->slots) {
        slab_list_remove(&slab->partial[class], page);
        page->listed = false;
    }
    slab->used_bytes += page->slot_bytes;
    return object;
}

void store_slab_free(struct store_slab *slab, void *object, size_t size)
{
    if (size > STORE_SLAB_OBJECT_BYTES) {
        slab->used_bytes -= size;
        slab->held_bytes -= size;
        mem_free(object);
        return;
    }
    size_t offset = (uintptr_t)object % STORE_SLAB_PAGE_BYTES;
    struct store_slab_page *page = (void *)((uint8_t *)object - offset);
    CHECK(page->class == slab_class_of(size) && page->used > 0);
    struct slab_slot *slot = object;
    slot->next = page->free;
    page->free = slot;
    page->used--;
    slab->used_bytes -= page->slot_bytes;
    if (page->used == 0) {
        if (page->listed) {
            slab_list_remove(&slab->partial[page->class], page);
        }
        slab_list_push(&slab->empty, page);
    } else if (!page->listed) {
        slab_list_push(&slab->partial[page->class], page);
        page->listed = true;
    }
}
