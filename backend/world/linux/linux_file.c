/* File operations, as system calls below a root directory. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "world/linux/linux_world_int.h"

/* Zeros are written in pieces of this many bytes. */
#define ZERO_BYTES (1024 * 1024)

/* The names that LIST found, until the loop tells them. */
struct name_list {
    char (*names)[WORLD_PATH_MAX_BYTES];
    size_t count;
    size_t cap;
};

static enum err last_error(void)
{
    return linux_err(errno);
}

static enum err result_of(int result)
{
    return result == 0 ? OK : last_error();
}

/* The root itself has no name below itself. */
static const char *path_or_dot(const char *path)
{
    return path[0] == '\0' ? "." : path;
}

static enum err file_open(int root, struct world_file_request *request)
{
    bool creates = (request->flags & WORLD_OPEN_CREATE) != 0;
    bool writes = creates || (request->flags & WORLD_OPEN_WRITE) != 0;
    int flags = O_CLOEXEC | O_NOFOLLOW | (writes ? O_RDWR : O_RDONLY);
    struct stat st;

    int fd = openat(root, request->path, flags | (creates ? O_CREAT | O_EXCL : 0), 0640);
    if (fd < 0) {
        return last_error();
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        (void)close(fd);
        return ERR_INVALID;
    }
    request->fd = fd;
    request->size = (uint64_t)st.st_size;
    return OK;
}

static enum err file_read(struct world_file_request *request)
{
    while (request->count < request->length) {
        ssize_t n = pread(request->fd, request->buffer + request->count,
                          (size_t)(request->length - request->count),
                          (off_t)(request->offset + request->count));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return last_error();
        }
        if (n == 0) {
            break;
        }
        request->count += (uint64_t)n;
    }
    return OK;
}

static enum err write_all(int fd, const uint8_t *bytes, uint64_t length, uint64_t offset)
{
    while (length > 0) {
        ssize_t n = pwrite(fd, bytes, (size_t)length, (off_t)offset);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return last_error();
        }
        bytes += n;
        offset += (uint64_t)n;
        length -= (uint64_t)n;
    }
    return OK;
}

/* Takes the blocks, then writes zeros where the file did not reach: blocks that are merely reserved
 * would cost a journal entry each when they are first overwritten and synced. */
static enum err file_preallocate(struct world_file_request *request)
{
    struct stat st;

    if (fstat(request->fd, &st) != 0) {
        return last_error();
    }
    uint64_t at = (uint64_t)st.st_size;
    if (at >= request->length) {
        return OK;
    }
    /* posix_fallocate tells what is wrong by its result. EOPNOTSUPP: the zeros will take them. */
    int error = posix_fallocate(request->fd, 0, (off_t)request->length);
    if (error != 0 && error != EOPNOTSUPP) {
        return linux_err(error);
    }
    uint8_t *zeros = mem_alloc_zero(ZERO_BYTES);
    enum err e = OK;
    while (e == OK && at < request->length) {
        uint64_t n = u64_min(ZERO_BYTES, request->length - at);
        e = write_all(request->fd, zeros, n, at);
        at += n;
    }
    mem_free(zeros);
    return e;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

static enum err file_list(int root, struct world_file_request *request)
{
    int fd = openat(root, path_or_dot(request->path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    struct name_list *list = NULL;

    if (dir == NULL) {
        return last_error();
    }
    list = mem_alloc_zero(sizeof *list);
    errno = 0;
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        size_t n = strlen(entry->d_name);
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            n >= WORLD_PATH_MAX_BYTES) {
            continue;
        }
        mem_grow((void **)&list->names, &list->cap, list->count + 1, sizeof *list->names);
        memcpy(list->names[list->count++], entry->d_name, n + 1);
    }
    enum err e = errno == 0 ? OK : last_error();
    (void)closedir(dir);
    if (list->count > 0) {
        qsort(list->names, list->count, sizeof *list->names, compare_names);
    }
    request->world = list;
    return e;
}

static enum err file_sync_dir(int root, const char *path)
{
    int fd = openat(root, path_or_dot(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0) {
        return last_error();
    }
    enum err e = result_of(fsync(fd));
    (void)close(fd);
    return e;
}

static enum err file_stat(int root, struct world_file_request *request)
{
    struct stat st;

    if (fstatat(root, path_or_dot(request->path), &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return last_error();
    }
    request->size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    return OK;
}

static enum err file_space(int root, struct world_file_request *request)
{
    struct statvfs st;

    if (fstatvfs(root, &st) != 0) {
        return last_error();
    }
    request->size = (uint64_t)st.f_blocks * st.f_frsize;
    request->count = (uint64_t)st.f_bavail * st.f_frsize;
    return OK;
}

static enum err execute(int root, struct world_file_request *request)
{
    switch (request->op) {
    case WORLD_OPEN:
        return file_open(root, request);
    case WORLD_CLOSE:
        (void)close(request->fd);
        return OK;
    case WORLD_READ:
        return file_read(request);
    case WORLD_WRITE:
        return write_all(request->fd, request->buffer, request->length, request->offset);
    case WORLD_SYNC:
        return result_of(fdatasync(request->fd));
    case WORLD_PREALLOCATE:
        return file_preallocate(request);
    case WORLD_TRUNCATE:
        return result_of(ftruncate(request->fd, (off_t)request->length));
    case WORLD_RENAME:
        return result_of(renameat(root, request->path, root, request->path_to));
    case WORLD_LINK:
        return result_of(linkat(root, request->path, root, request->path_to, 0));
    case WORLD_UNLINK:
        return result_of(unlinkat(root, request->path, 0));
    case WORLD_MKDIR:
        return result_of(mkdirat(root, request->path, 0750));
    case WORLD_LIST:
        return file_list(root, request);
    case WORLD_SYNC_DIR:
        return file_sync_dir(root, request->path);
    case WORLD_STAT:
        return file_stat(root, request);
    case WORLD_SPACE:
        return file_space(root, request);
    case WORLD_FILE_OPS:
        break;
    }
    CHECK(false);
    return ERR_INVALID;
}

void linux_file_execute(int root, struct world_file_request *request)
{
    request->result = execute(root, request);
    request->count =
        request->op == WORLD_WRITE && request->result == OK ? request->length : request->count;
}

/* Whether a direct write failed for what it is, and not for what it writes to. */
static bool has_no_direct_writes(ssize_t n)
{
    return n >= 0 || errno == EINVAL || errno == EOPNOTSUPP;
}

void linux_file_commit(uint8_t *bounce, struct world_file_request *write,
                       struct world_file_request *sync)
{
    const uint8_t *bytes = write->buffer;
    ssize_t n = 0;

    if ((uintptr_t)bytes % LINUX_COMMIT_ALIGN != 0) {
        memcpy(bounce, bytes, (size_t)write->length);
        bytes = bounce;
    }
    do {
        n = pwrite((int)write->ticket, bytes, (size_t)write->length, (off_t)write->offset);
    } while (n < 0 && errno == EINTR);
    if (n >= 0 && (uint64_t)n == write->length) {
        write->result = OK;
        sync->result = OK;
    } else if (has_no_direct_writes(n)) {
        write->result = write_all(write->fd, write->buffer, write->length, write->offset);
        sync->result = result_of(fdatasync(write->fd));
        sync->count = 1;
    } else {
        write->result = last_error();
        sync->result = write->result;
    }
    write->count = write->result == OK ? write->length : 0;
}

void linux_file_forget(struct world_file_request *request)
{
    struct name_list *list = request->op == WORLD_LIST ? request->world : NULL;

    if (list != NULL) {
        mem_free(list->names);
        mem_free(list);
        request->world = NULL;
    }
}

void linux_file_finish(struct world_file_request *request)
{
    const struct name_list *list = request->op == WORLD_LIST ? request->world : NULL;

    for (size_t i = 0; list != NULL && i < list->count; i++) {
        request->entry(request, list->names[i]);
    }
    linux_file_forget(request);
}
