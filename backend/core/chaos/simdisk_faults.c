/* What goes wrong with a simulated disk, and how tests look at it. */
#include "core/chaos/simdisk_int.h"

#include <string.h>

#include "core/base/buf.h"
#include "core/base/check.h"
#include "core/base/mem.h"

void simdisk_fail(struct simdisk *d, enum world_file_op op, enum err error, uint32_t count)
{
    CHECK(op < WORLD_FILE_OPS);
    d->faults[op].error = error;
    d->faults[op].count = count;
}

void simdisk_odds(struct simdisk *d, enum world_file_op op, enum err error, uint32_t ppm)
{
    CHECK(op < WORLD_FILE_OPS && op != WORLD_CLOSE && ppm <= SIMDISK_MILLION);
    d->faults[op].odds_error = error;
    d->faults[op].ppm = ppm;
}

void simdisk_forget(struct simdisk *d, bool is_forgetful)
{
    d->is_forgetful = is_forgetful;
}

void simdisk_lie(struct simdisk *d, bool is_lying)
{
    d->is_lying = is_lying;
}

void simdisk_set_capacity(struct simdisk *d, uint64_t capacity)
{
    d->capacity = capacity;
}

void simdisk_set_quota(struct simdisk *d, uint64_t bytes)
{
    d->quota = bytes;
}

void simdisk_heal(struct simdisk *d)
{
    memset(d->faults, 0, sizeof d->faults);
    for (size_t trick = 0; trick < SIMDISK_TRICKS; trick++) {
        d->armed[trick].count = 0;
    }
    d->is_armed = false;
    d->is_lying = false;
    d->is_forgetful = false;
    d->quota = UINT64_MAX;
}

struct simdisk_inode *simdisk_file_at(const struct simdisk *d, const char *path)
{
    const struct simdisk_name *name = simdisk_names_find(&d->live, path);
    return name != NULL && name->inode >= 0 ? d->inodes[name->inode] : NULL;
}

void simdisk_damage(struct simdisk *d, struct simdisk_inode *inode, uint64_t offset,
                    const uint8_t *bytes, size_t n)
{
    simdisk_image_write(&d->pool, &inode->live, offset, bytes, n);
    if (offset + n <= inode->stable.size) {
        simdisk_image_write(&d->pool, &inode->stable, offset, bytes, n);
    }
}

enum err simdisk_flip(struct simdisk *d, const char *path, uint64_t offset, uint8_t mask)
{
    struct simdisk_inode *inode = simdisk_file_at(d, path);
    uint8_t byte = 0;

    if (inode == NULL || offset >= inode->live.size) {
        return ERR_NOT_FOUND;
    }
    simdisk_image_read(&inode->live, offset, &byte, 1);
    byte ^= mask;
    simdisk_damage(d, inode, offset, &byte, 1);
    return OK;
}

enum err simdisk_spoil(struct simdisk *d, const char *path, uint64_t offset)
{
    struct simdisk_inode *inode = simdisk_file_at(d, path);

    if (inode == NULL || offset >= inode->live.size) {
        return ERR_NOT_FOUND;
    }
    mem_grow((void **)&inode->spoiled, &inode->spoiled_cap, inode->spoiled_count + 1,
             sizeof *inode->spoiled);
    inode->spoiled[inode->spoiled_count++] = offset / WORLD_SECTOR_BYTES;
    return OK;
}

enum err simdisk_misdirect(struct simdisk *d, const char *path, uint64_t from, const char *path_to,
                           uint64_t to)
{
    const struct simdisk_inode *source = simdisk_file_at(d, path);
    struct simdisk_inode *target = simdisk_file_at(d, path_to);
    uint8_t sector[WORLD_SECTOR_BYTES];

    if (source == NULL || target == NULL || from + sizeof sector > source->live.size ||
        to + sizeof sector > target->live.size) {
        return ERR_NOT_FOUND;
    }
    simdisk_image_read(&source->live, from, sector, sizeof sector);
    simdisk_damage(d, target, to, sector, sizeof sector);
    return OK;
}

enum err simdisk_remove(struct simdisk *d, const char *path)
{
    if (simdisk_names_find(&d->live, path) == NULL) {
        return ERR_NOT_FOUND;
    }
    simdisk_names_unset(&d->live, path);
    simdisk_names_unset(&d->stable, path);
    simdisk_collect(d);
    return OK;
}

enum err simdisk_copy(struct simdisk *d, const char *path, const char *path_to)
{
    const struct simdisk_inode *source = simdisk_file_at(d, path);
    const struct simdisk_name *name = simdisk_names_find(&d->live, path_to);

    if (source == NULL || name == NULL || name->inode < 0) {
        return ERR_NOT_FOUND;
    }
    simdisk_image_copy(&d->pool, &d->inodes[name->inode]->live, &source->live);
    simdisk_image_copy(&d->pool, &d->inodes[name->inode]->stable, &source->live);
    return OK;
}

enum err simdisk_cut(struct simdisk *d, const char *path, uint64_t size)
{
    struct simdisk_inode *inode = simdisk_file_at(d, path);

    if (inode == NULL) {
        return ERR_NOT_FOUND;
    }
    simdisk_image_resize(&d->pool, &inode->live, size);
    simdisk_image_resize(&d->pool, &inode->stable, size);
    return OK;
}

enum err simdisk_look(const struct simdisk *d, const char *path, struct buf *into)
{
    const struct simdisk_inode *inode = simdisk_file_at(d, path);

    if (inode == NULL) {
        return ERR_NOT_FOUND;
    }
    size_t n = (size_t)inode->live.size;
    buf_clear(into);
    simdisk_image_read(&inode->live, 0, buf_extend(into, n), n);
    return OK;
}

enum err simdisk_size(const struct simdisk *d, const char *path, uint64_t *ret)
{
    const struct simdisk_inode *inode = simdisk_file_at(d, path);

    if (inode == NULL) {
        return ERR_NOT_FOUND;
    }
    *ret = inode->live.size;
    return OK;
}

uint64_t simdisk_memory(const struct simdisk *d)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < d->inode_count; i++) {
        const struct simdisk_inode *inode = d->inodes[i];
        if (inode != NULL) {
            bytes += simdisk_image_memory(&inode->live) + simdisk_image_memory(&inode->stable) +
                     simdisk_image_memory(&inode->remembered) + inode->written.cap +
                     inode->change_cap * sizeof *inode->changes;
        }
    }
    return bytes;
}

const char *simdisk_name(const struct simdisk *d, size_t at)
{
    for (size_t i = 0; i < d->live.count; i++) {
        if (d->live.names[i].inode >= 0 && at-- == 0) {
            return d->live.names[i].path;
        }
    }
    return NULL;
}
