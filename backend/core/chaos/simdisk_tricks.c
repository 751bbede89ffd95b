/* Faults of a simulated disk that wait for a read or a write to happen to. */
#include "core/chaos/simdisk_int.h"

#include <string.h>

#include "core/base/check.h"

/* How often a wrong place is drawn before there is taken to be none. */
#define WRONG_PLACES_MAX 8

void simdisk_play(struct simdisk *d, enum simdisk_trick trick, enum simdisk_class class,
                  uint32_t count)
{
    CHECK(trick < SIMDISK_TRICKS && class < SIMDISK_CLASSES);
    d->armed[trick].class = class;
    d->armed[trick].count = count;
    d->is_armed = false;
    for (size_t i = 0; i < SIMDISK_TRICKS; i++) {
        d->is_armed |= d->armed[i].count > 0;
    }
}

uint64_t simdisk_played(const struct simdisk *d, enum simdisk_trick trick)
{
    return d->armed[trick].played;
}

const struct simdisk_spot *simdisk_played_at(const struct simdisk *d, enum simdisk_trick trick)
{
    return d->armed[trick].played > 0 ? &d->armed[trick].at : NULL;
}

void simdisk_remember(struct simdisk *d)
{
    for (size_t i = 0; i < d->inode_count; i++) {
        if (d->inodes[i] != NULL) {
            simdisk_image_copy(&d->pool, &d->inodes[i]->remembered, &d->inodes[i]->live);
        }
    }
}

/* A name of the file that is in the class for which the trick waits; NULL: it does not wait for
 * this. */
static const char *name_for(const struct simdisk *d, enum simdisk_trick trick,
                            const struct simdisk_inode *inode)
{
    if (d->armed[trick].count == 0) {
        return NULL;
    }
    for (size_t i = 0; i < d->live.count; i++) {
        const struct simdisk_name *name = &d->live.names[i];
        if (name->inode >= 0 && d->inodes[name->inode] == inode &&
            simdisk_is_in_class(name->path, d->armed[trick].class)) {
            return name->path;
        }
    }
    return NULL;
}

static void note_played(struct simdisk *d, enum simdisk_trick trick, const char *path,
                        uint64_t offset)
{
    struct simdisk_armed *armed = &d->armed[trick];

    armed->played++;
    armed->at.offset = offset;
    memcpy(armed->at.path, path, strlen(path) + 1);
    simdisk_play(d, trick, armed->class, armed->count - 1);
}

/* Where the file becomes longer by a write that gets lost, it does so all the same: sizes are kept
 * elsewhere. */
static void grow_only(struct simdisk *d, struct simdisk_inode *inode, uint64_t size)
{
    if (size > inode->live.size) {
        simdisk_change_size(d, inode, size, SIMDISK_GROW);
    }
}

/* Writes the bytes over content of this file or another one. False: there is none elsewhere. */
static bool write_astray(struct simdisk *d, struct simdisk_inode *inode, const char *path,
                         const struct world_file_request *request)
{
    for (size_t i = 0; i < WRONG_PLACES_MAX; i++) {
        const char *other = prng_chance(&d->prng, 1, 2) ? simdisk_pick_file(d, SIMDISK_ANY) : path;
        uint64_t offset = 0;
        if (other == NULL) {
            return false;
        }
        struct simdisk_inode *target = simdisk_file_at(d, other);
        if (!simdisk_pick_sector(d, target, &offset) ||
            (target == inode && offset + request->length > request->offset &&
             offset < request->offset + request->length)) {
            continue;
        }
        uint64_t room = u64_sub_sat(u64_min(target->live.size, target->stable.size), offset);
        uint64_t n = u64_min(request->length, room);
        if (n > 0) {
            simdisk_damage(d, target, offset, request->buffer, (size_t)n);
            note_played(d, SIMDISK_MISDIRECTED_WRITE, other, offset);
            return true;
        }
    }
    return false;
}

bool simdisk_trick_write(struct simdisk *d, struct simdisk_inode *inode,
                         const struct world_file_request *request)
{
    const char *path = name_for(d, SIMDISK_LOST_WRITE, inode);
    if (path != NULL) {
        note_played(d, SIMDISK_LOST_WRITE, path, request->offset);
        grow_only(d, inode, request->offset + request->length);
        return true;
    }
    path = name_for(d, SIMDISK_MISDIRECTED_WRITE, inode);
    if (path != NULL && write_astray(d, inode, path, request)) {
        grow_only(d, inode, request->offset + request->length);
        return true;
    }
    return false;
}

/* A sector of `image`, as far as it and the request reach; false where it does not, or where it
 * holds what was read right. */
static bool read_wrong(const struct simdisk_image *image, uint64_t from, uint64_t offset,
                       const struct world_file_request *request)
{
    uint8_t sector[WORLD_SECTOR_BYTES];
    uint64_t end = u64_min(offset + sizeof sector, request->offset + request->count);
    size_t n = (size_t)(end - offset);
    uint8_t *into = request->buffer + (offset - request->offset);

    if (from + n > image->size) {
        return false;
    }
    simdisk_image_read(image, from, sector, n);
    if (memcmp(into, sector, n) == 0) {
        return false;
    }
    memcpy(into, sector, n);
    return true;
}

/* The first sector boundary at or behind `offset`. */
static uint64_t sector_from(uint64_t offset)
{
    return (offset + WORLD_SECTOR_BYTES - 1) / WORLD_SECTOR_BYTES * WORLD_SECTOR_BYTES;
}

static bool read_astray(struct simdisk *d, const struct simdisk_inode *inode,
                        const struct world_file_request *request)
{
    uint64_t first = sector_from(request->offset);
    uint64_t end = request->offset + request->count;
    uint64_t from = 0;

    for (size_t i = 0; i < WRONG_PLACES_MAX && first < end; i++) {
        uint64_t sectors = (end - first + WORLD_SECTOR_BYTES - 1) / WORLD_SECTOR_BYTES;
        uint64_t at = first + prng_below(&d->prng, sectors) * WORLD_SECTOR_BYTES;
        if (simdisk_pick_sector(d, inode, &from) && read_wrong(&inode->live, from, at, request)) {
            return true;
        }
    }
    return false;
}

/* The first sector that has changed since, from a random one on: what changed is often little of
 * what is read. */
static bool read_stale(struct simdisk *d, const struct simdisk_inode *inode,
                       const struct world_file_request *request)
{
    uint64_t first = sector_from(request->offset);
    uint64_t end = request->offset + request->count;

    if (first >= end) {
        return false;
    }
    uint64_t sectors = (end - first + WORLD_SECTOR_BYTES - 1) / WORLD_SECTOR_BYTES;
    uint64_t begin = prng_below(&d->prng, sectors);
    for (uint64_t i = 0; i < sectors; i++) {
        uint64_t at = first + (begin + i) % sectors * WORLD_SECTOR_BYTES;
        if (simdisk_image_page(&inode->remembered, at) != simdisk_image_page(&inode->live, at) &&
            read_wrong(&inode->remembered, at, at, request)) {
            return true;
        }
    }
    return false;
}

void simdisk_trick_read(struct simdisk *d, const struct simdisk_inode *inode,
                        const struct world_file_request *request)
{
    const char *path = name_for(d, SIMDISK_MISDIRECTED_READ, inode);
    if (path != NULL && read_astray(d, inode, request)) {
        note_played(d, SIMDISK_MISDIRECTED_READ, path, request->offset);
    }
    path = name_for(d, SIMDISK_STALE_READ, inode);
    if (path != NULL && read_stale(d, inode, request)) {
        note_played(d, SIMDISK_STALE_READ, path, request->offset);
    }
}
