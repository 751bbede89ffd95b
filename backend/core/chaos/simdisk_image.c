/* Contents of files as shared pages. */
#include "core/chaos/simdisk_image_int.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/hash.h"
#include "core/base/mem.h"

/* A page with one reference and any bytes. */
static struct simpage *page_take(struct simpage_pool *pool)
{
    struct simpage *page = pool->free;

    if (page != NULL) {
        pool->free = page->next;
        pool->count--;
    } else {
        page = mem_alloc(sizeof *page);
    }
    page->next = NULL;
    page->refs = 1;
    return page;
}

/* Gives one reference up; NULL is allowed. */
static void page_drop(struct simpage_pool *pool, struct simpage *page)
{
    if (page == NULL) {
        return;
    }
    CHECK(page->refs > 0);
    page->refs--;
    if (page->refs > 0) {
        return;
    }
    if (pool->count == SIMPAGE_POOL_MAX) {
        mem_free(page);
        return;
    }
    page->next = pool->free;
    pool->free = page;
    pool->count++;
}

void simpage_pool_deinit(struct simpage_pool *pool)
{
    while (pool->free != NULL) {
        struct simpage *page = pool->free;
        pool->free = page->next;
        mem_free(page);
    }
    pool->count = 0;
}

const struct simpage *simdisk_image_page(const struct simdisk_image *image, uint64_t offset)
{
    uint64_t at = offset / SIMPAGE_BYTES;
    return at < image->page_count ? image->pages[at] : NULL;
}

void simdisk_image_read(const struct simdisk_image *image, uint64_t offset, uint8_t *into, size_t n)
{
    CHECK(offset + n <= image->size);
    while (n > 0) {
        const struct simpage *page = simdisk_image_page(image, offset);
        size_t in_page = (size_t)(offset % SIMPAGE_BYTES);
        size_t piece = (size_t)u64_min(n, SIMPAGE_BYTES - in_page);
        if (page != NULL) {
            memcpy(into, page->bytes + in_page, piece);
        } else {
            memset(into, 0, piece);
        }
        into += piece;
        offset += piece;
        n -= piece;
    }
}

/* Makes entries of the table up to page `at`. */
static void reach_page(struct simdisk_image *image, size_t at)
{
    if (at < image->page_count) {
        return;
    }
    mem_grow((void **)&image->pages, &image->page_cap, at + 1, sizeof(struct simpage *));
    for (size_t i = image->page_count; i <= at; i++) {
        image->pages[i] = NULL;
    }
    image->page_count = at + 1;
}

/* The page with this byte, which nobody else refers to from here on. Its bytes from `from` to `to`
 * will be overwritten; the others are kept, or zeros. */
static uint8_t *page_own(struct simpage_pool *pool, struct simdisk_image *image, size_t at,
                         size_t from, size_t to)
{
    struct simpage *old = image->pages[at];

    if (old != NULL && old->refs == 1) {
        return old->bytes;
    }
    struct simpage *page = page_take(pool);
    if (old != NULL) {
        memcpy(page->bytes, old->bytes, from);
        memcpy(page->bytes + to, old->bytes + to, SIMPAGE_BYTES - to);
    } else {
        memset(page->bytes, 0, from);
        memset(page->bytes + to, 0, SIMPAGE_BYTES - to);
    }
    page_drop(pool, old);
    image->pages[at] = page;
    return page->bytes;
}

void simdisk_image_write(struct simpage_pool *pool, struct simdisk_image *image, uint64_t offset,
                         const uint8_t *bytes, size_t n)
{
    if (n == 0) {
        return;
    }
    image->size = u64_max(image->size, offset + n);
    reach_page(image, (size_t)((offset + n - 1) / SIMPAGE_BYTES));
    while (n > 0) {
        size_t from = (size_t)(offset % SIMPAGE_BYTES);
        size_t piece = (size_t)u64_min(n, SIMPAGE_BYTES - from);
        uint8_t *page = page_own(pool, image, (size_t)(offset / SIMPAGE_BYTES), from, from + piece);
        memcpy(page + from, bytes, piece);
        bytes += piece;
        offset += piece;
        n -= piece;
    }
}

void simdisk_image_resize(struct simpage_pool *pool, struct simdisk_image *image, uint64_t size)
{
    size_t whole = (size_t)((size + SIMPAGE_BYTES - 1) / SIMPAGE_BYTES);

    for (size_t i = whole; i < image->page_count; i++) {
        page_drop(pool, image->pages[i]);
    }
    image->page_count = (size_t)u64_min(image->page_count, whole);
    size_t tail = (size_t)(size % SIMPAGE_BYTES);
    if (size < image->size && tail > 0 && simdisk_image_page(image, size) != NULL) {
        uint8_t *page = page_own(pool, image, (size_t)(size / SIMPAGE_BYTES), tail, SIMPAGE_BYTES);
        memset(page + tail, 0, SIMPAGE_BYTES - tail);
    }
    image->size = size;
}

static void page_share(struct simpage_pool *pool, struct simpage **slot, struct simpage *page)
{
    if (*slot == page) {
        return;
    }
    page_drop(pool, *slot);
    *slot = page;
    if (page != NULL) {
        page->refs++;
    }
}

void simdisk_image_share(struct simpage_pool *pool, struct simdisk_image *image,
                         const struct simdisk_image *from, uint64_t offset, uint64_t n)
{
    if (n == 0) {
        return;
    }
    size_t last = (size_t)((offset + n - 1) / SIMPAGE_BYTES);
    image->size = u64_max(image->size, offset + n);
    if (from->page_count > 0) { /* a later cut may have taken some of its pages away */
        reach_page(image, (size_t)u64_min(last, from->page_count - 1));
    }
    for (size_t i = (size_t)(offset / SIMPAGE_BYTES); i <= last && i < image->page_count; i++) {
        page_share(pool, &image->pages[i], i < from->page_count ? from->pages[i] : NULL);
    }
}

void simdisk_image_copy(struct simpage_pool *pool, struct simdisk_image *image,
                        const struct simdisk_image *from)
{
    if (from->page_count < image->page_count) {
        simdisk_image_resize(pool, image, from->page_count * SIMPAGE_BYTES);
    }
    simdisk_image_share(pool, image, from, 0, from->page_count * SIMPAGE_BYTES);
    image->size = from->size;
}

void simdisk_image_deinit(struct simpage_pool *pool, struct simdisk_image *image)
{
    for (size_t i = 0; i < image->page_count; i++) {
        page_drop(pool, image->pages[i]);
    }
    mem_free(image->pages);
    memset(image, 0, sizeof *image);
}

uint64_t simdisk_image_memory(const struct simdisk_image *image)
{
    uint64_t bytes = image->page_cap * sizeof(struct simpage *);

    for (size_t i = 0; i < image->page_count; i++) {
        bytes += image->pages[i] != NULL ? sizeof(struct simpage) : 0;
    }
    return bytes;
}

bool simdisk_is_blank(const uint8_t *bytes, size_t n)
{
    return n == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, n - 1) == 0);
}

uint64_t simdisk_image_hash(const struct simdisk_image *image, uint64_t seed)
{
    seed = hash_u64(seed, image->size);
    for (size_t i = 0; i < image->page_count; i++) {
        const struct simpage *page = image->pages[i];
        if (page != NULL && !simdisk_is_blank(page->bytes, SIMPAGE_BYTES)) {
            seed = hash_u64(seed, i);
            seed = hash_bytes(seed, page->bytes, SIMPAGE_BYTES);
        }
    }
    return seed;
}
