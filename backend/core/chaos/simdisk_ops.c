/* The file operations of the simulated disk. Each checks what a real file system would. */
#include "core/chaos/simdisk_int.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"

uint64_t simdisk_used(const struct simdisk *d)
{
    uint64_t used = 0;
    for (size_t i = 0; i < d->inode_count; i++) {
        used += d->inodes[i] == NULL ? 0 : d->inodes[i]->live.size;
    }
    return used;
}

/* ERR_NO_SPACE if a file of `now` bytes cannot become `then`. */
static enum err reserve(const struct simdisk *d, uint64_t now, uint64_t then)
{
    if (then <= now) {
        return OK;
    }
    uint64_t limit = u64_min(d->capacity, d->quota);
    return then - now > u64_sub_sat(limit, simdisk_used(d)) ? ERR_NO_SPACE : OK;
}

/* Does the directory that `path` is in exist? */
static bool has_parent(const struct simdisk *d, const char *path)
{
    char parent[WORLD_PATH_MAX_BYTES];
    size_t n = world_parent_length(path);

    if (n == 0) {
        return true;
    }
    memcpy(parent, path, n);
    parent[n] = '\0';
    const struct simdisk_name *name = simdisk_names_find(&d->live, parent);
    return name != NULL && name->inode == SIMDISK_DIRECTORY;
}

static int32_t new_inode(struct simdisk *d)
{
    size_t at = 0;
    while (at < d->inode_count && d->inodes[at] != NULL) {
        at++;
    }
    if (at == d->inode_count) {
        mem_grow((void **)&d->inodes, &d->inode_cap, at + 1, sizeof *d->inodes);
        d->inode_count++;
    }
    d->inodes[at] = mem_alloc_zero(sizeof *d->inodes[at]);
    return (int32_t)at;
}

static world_fd new_descriptor(struct simdisk *d, int32_t inode, bool may_write)
{
    size_t at = 0;
    while (at < d->open_count && d->open[at].inode != SIMDISK_CLOSED) {
        at++;
    }
    if (at == d->open_count) {
        mem_grow((void **)&d->open, &d->open_cap, at + 1, sizeof *d->open);
        d->open_count++;
    }
    d->open[at] = (struct simdisk_open){inode, may_write};
    return (world_fd)at;
}

static enum err op_open(struct simdisk *d, struct world_file_request *request)
{
    const struct simdisk_name *name = simdisk_names_find(&d->live, request->path);
    bool creates = (request->flags & WORLD_OPEN_CREATE) != 0;

    if (creates) {
        if (name != NULL) {
            return ERR_EXISTS;
        }
        if (!has_parent(d, request->path)) {
            return ERR_NOT_FOUND;
        }
        int32_t inode = new_inode(d);
        simdisk_change_name(d, "", request->path, inode);
        name = simdisk_names_find(&d->live, request->path);
    }
    if (name == NULL) {
        return ERR_NOT_FOUND;
    }
    if (name->inode == SIMDISK_DIRECTORY) {
        return ERR_INVALID;
    }
    bool may_write = creates || (request->flags & WORLD_OPEN_WRITE) != 0;
    request->size = d->inodes[name->inode]->live.size;
    request->fd = new_descriptor(d, name->inode, may_write);
    return OK;
}

static struct simdisk_inode *inode_of(const struct simdisk *d, world_fd fd)
{
    CHECK(fd >= 0 && (size_t)fd < d->open_count && d->open[fd].inode >= 0);
    return d->inodes[d->open[fd].inode];
}

static enum err op_close(struct simdisk *d, struct world_file_request *request)
{
    (void)inode_of(d, request->fd);
    d->open[request->fd].inode = SIMDISK_CLOSED;
    simdisk_collect(d);
    return OK;
}

static enum err op_read(struct simdisk *d, struct world_file_request *request)
{
    const struct simdisk_inode *inode = inode_of(d, request->fd);
    uint64_t end = u64_min(request->offset + request->length, inode->live.size);
    uint64_t count = u64_sub_sat(end, request->offset);

    for (size_t i = 0; i < inode->spoiled_count; i++) {
        uint64_t at = inode->spoiled[i] * WORLD_SECTOR_BYTES;
        if (at + WORLD_SECTOR_BYTES > request->offset && at < request->offset + count) {
            return ERR_IO;
        }
    }
    if (count > 0) {
        simdisk_image_read(&inode->live, request->offset, request->buffer, (size_t)count);
    }
    request->count = count;
    if (d->is_armed && count > 0) {
        simdisk_trick_read(d, inode, request);
    }
    return OK;
}

/* A sector that is written again can be read again. */
static void unspoil(struct simdisk_inode *inode, uint64_t offset, uint64_t length)
{
    size_t kept = 0;
    for (size_t i = 0; i < inode->spoiled_count; i++) {
        uint64_t at = inode->spoiled[i] * WORLD_SECTOR_BYTES;
        if (at < offset || at + WORLD_SECTOR_BYTES > offset + length) {
            inode->spoiled[kept++] = inode->spoiled[i];
        }
    }
    inode->spoiled_count = kept;
}

static enum err op_write(struct simdisk *d, struct world_file_request *request)
{
    struct simdisk_inode *inode = inode_of(d, request->fd);

    CHECK(d->open[request->fd].may_write && request->length > 0);
    TRY(reserve(d, inode->live.size, request->offset + request->length));
    request->count = request->length;
    if (d->is_armed && simdisk_trick_write(d, inode, request)) {
        return OK;
    }
    simdisk_change_bytes(d, inode, request->offset, request->buffer, (size_t)request->length);
    unspoil(inode, request->offset, request->length);
    return OK;
}

/* A write that fails has written some of its first sectors, as far as the file reaches. */
static void write_in_part(struct simdisk *d, const struct world_file_request *request)
{
    struct simdisk_inode *inode = inode_of(d, request->fd);
    uint64_t sectors = prng_below(&d->prng, request->length / WORLD_SECTOR_BYTES + 1);
    uint64_t room = u64_sub_sat(inode->live.size, request->offset);
    uint64_t n = u64_min(sectors * WORLD_SECTOR_BYTES, room);

    if (n > 0) {
        simdisk_change_bytes(d, inode, request->offset, request->buffer, (size_t)n);
    }
}

static enum err op_resize(struct simdisk *d, struct world_file_request *request,
                          enum simdisk_change_kind kind)
{
    struct simdisk_inode *inode = inode_of(d, request->fd);

    CHECK(d->open[request->fd].may_write);
    TRY(reserve(d, inode->live.size, request->length));
    simdisk_change_size(d, inode, request->length, kind);
    return OK;
}

static enum err op_rename(struct simdisk *d, struct world_file_request *request)
{
    const struct simdisk_name *name = simdisk_names_find(&d->live, request->path);

    if (name == NULL || !has_parent(d, request->path_to)) {
        return ERR_NOT_FOUND;
    }
    simdisk_change_name(d, request->path, request->path_to, name->inode);
    simdisk_collect(d);
    return OK;
}

static enum err op_link(struct simdisk *d, struct world_file_request *request)
{
    const struct simdisk_name *name = simdisk_names_find(&d->live, request->path);

    if (name == NULL || !has_parent(d, request->path_to)) {
        return ERR_NOT_FOUND;
    }
    if (simdisk_names_find(&d->live, request->path_to) != NULL) {
        return ERR_EXISTS;
    }
    simdisk_change_name(d, "", request->path_to, name->inode);
    return OK;
}

static enum err op_unlink(struct simdisk *d, struct world_file_request *request)
{
    const struct simdisk_name *name = simdisk_names_find(&d->live, request->path);

    if (name == NULL) {
        return ERR_NOT_FOUND;
    }
    if (name->inode == SIMDISK_DIRECTORY) {
        return ERR_INVALID;
    }
    simdisk_change_name(d, request->path, "", name->inode);
    simdisk_collect(d);
    return OK;
}

static enum err op_mkdir(struct simdisk *d, struct world_file_request *request)
{
    if (simdisk_names_find(&d->live, request->path) != NULL) {
        return ERR_EXISTS;
    }
    if (!has_parent(d, request->path)) {
        return ERR_NOT_FOUND;
    }
    simdisk_change_name(d, "", request->path, SIMDISK_DIRECTORY);
    return OK;
}

static bool is_directory(const struct simdisk *d, const char *path)
{
    const struct simdisk_name *name = simdisk_names_find(&d->live, path);
    return path[0] == '\0' || (name != NULL && name->inode == SIMDISK_DIRECTORY);
}

static enum err op_list(struct simdisk *d, struct world_file_request *request)
{
    size_t n = strlen(request->path);

    if (!is_directory(d, request->path)) {
        return ERR_NOT_FOUND;
    }
    for (size_t i = 0; i < d->live.count; i++) {
        const char *path = d->live.names[i].path;
        if (world_parent_length(path) == n && memcmp(path, request->path, n) == 0) {
            request->entry(request, n == 0 ? path : path + n + 1);
        }
    }
    return OK;
}

static enum err op_stat(struct simdisk *d, struct world_file_request *request)
{
    const struct simdisk_name *name = simdisk_names_find(&d->live, request->path);

    if (name == NULL) {
        return ERR_NOT_FOUND;
    }
    request->size = name->inode >= 0 ? d->inodes[name->inode]->live.size : 0;
    return OK;
}

static enum err op_any(struct simdisk *d, struct world_file_request *request)
{
    switch (request->op) {
    case WORLD_OPEN:
        return op_open(d, request);
    case WORLD_CLOSE:
        return op_close(d, request);
    case WORLD_READ:
        return op_read(d, request);
    case WORLD_WRITE:
        return op_write(d, request);
    case WORLD_SYNC:
        (void)inode_of(d, request->fd);
        return OK;
    case WORLD_PREALLOCATE:
        return op_resize(d, request, SIMDISK_GROW);
    case WORLD_TRUNCATE:
        return op_resize(d, request, SIMDISK_CUT);
    case WORLD_RENAME:
        return op_rename(d, request);
    case WORLD_LINK:
        return op_link(d, request);
    case WORLD_UNLINK:
        return op_unlink(d, request);
    case WORLD_MKDIR:
        return op_mkdir(d, request);
    case WORLD_LIST:
        return op_list(d, request);
    case WORLD_SYNC_DIR:
        return is_directory(d, request->path) ? OK : ERR_NOT_FOUND;
    case WORLD_STAT:
        return op_stat(d, request);
    case WORLD_SPACE:
        request->size = d->capacity;
        request->count = u64_sub_sat(d->capacity, simdisk_used(d));
        return OK;
    case WORLD_FILE_OPS:
        break;
    }
    CHECK(false);
    return ERR_INVALID;
}

void simdisk_execute(struct simdisk *d, struct world_file_request *request)
{
    struct simdisk_fault *fault = &d->faults[request->op];

    if (request->path != NULL) {
        CHECK(strlen(request->path) < WORLD_PATH_MAX_BYTES && request->path[0] != '/');
    }
    request->count = 0;
    request->ticket = d->stamp;
    if (fault->count > 0) {
        fault->count--;
        request->result = fault->error;
        return;
    }
    if (fault->ppm > 0 && prng_chance(&d->prng, fault->ppm, SIMDISK_MILLION)) {
        request->result = fault->odds_error;
        if (request->op == WORLD_WRITE) {
            write_in_part(d, request);
        }
        return;
    }
    request->result = op_any(d, request);
}
