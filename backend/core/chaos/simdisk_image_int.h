/*
 * Private to the simulated disk: the content of a file as pages that are shared until they are
 * written. A page that is absent is zeros, so a preallocated segment costs nothing before it is
 * used; what is on the platter and what the host sees are two images that share the pages on which
 * they agree, and so do a disk and its clone.
 *
 * Within the last page the bytes behind the image's size are zeros, so growing needs no writes.
 */
#ifndef NOVACRON_CHAOS_SIMDISK_IMAGE_INT_H
#define NOVACRON_CHAOS_SIMDISK_IMAGE_INT_H

#include "core/base/types.h"

#define SIMPAGE_BYTES 4096

/* What a pool keeps for reuse: a host writes a page or two between syncs, so few are enough. */
#define SIMPAGE_POOL_MAX 64

struct simpage {
    struct simpage *next; /* in the pool */
    uint32_t refs;
    uint8_t bytes[SIMPAGE_BYTES];
};

/* Where an image takes pages from and returns them to. Zeroed: empty. */
struct simpage_pool {
    struct simpage *free; /* owned list */
    size_t count;
};

/* Zeroed: an empty file. */
struct simdisk_image {
    struct simpage **pages; /* owned; each counts as a reference; NULL: zeros */
    size_t page_count;      /* pages at and behind it are absent */
    size_t page_cap;
    uint64_t size;
};

void simpage_pool_deinit(struct simpage_pool *pool);

/* The page that holds this byte, or NULL where it is absent. */
const struct simpage *simdisk_image_page(const struct simdisk_image *image, uint64_t offset);

/* Copies [offset, offset + n), which lies within the image, out. */
void simdisk_image_read(const struct simdisk_image *image, uint64_t offset, uint8_t *into,
                        size_t n);

/* The image grows as needed. */
void simdisk_image_write(struct simpage_pool *pool, struct simdisk_image *image, uint64_t offset,
                         const uint8_t *bytes, size_t n);

void simdisk_image_resize(struct simpage_pool *pool, struct simdisk_image *image, uint64_t size);

/* The pages that [offset, offset + n) touches become those of `from`; the size stays, or grows to
 * the end of that range. */
void simdisk_image_share(struct simpage_pool *pool, struct simdisk_image *image,
                         const struct simdisk_image *from, uint64_t offset, uint64_t n);

/* All of it becomes that of `from`. */
void simdisk_image_copy(struct simpage_pool *pool, struct simdisk_image *image,
                        const struct simdisk_image *from);

/* Gives all pages back; the image is empty then. */
void simdisk_image_deinit(struct simpage_pool *pool, struct simdisk_image *image);

/* Chained onto `seed`. Absent pages and pages of zeros hash alike. */
uint64_t simdisk_image_hash(const struct simdisk_image *image, uint64_t seed);

/* What its pages and their table take, in bytes. */
uint64_t simdisk_image_memory(const struct simdisk_image *image);

/* Are these bytes all zero? */
bool simdisk_is_blank(const uint8_t *bytes, size_t n);

#endif
