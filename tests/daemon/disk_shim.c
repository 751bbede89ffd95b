/*
 * disk_shim: a disk that is slow, or fails, below one process. Loaded with LD_PRELOAD; what it does
 * is said by a file, DISK_SHIM in the environment, which the test changes while the process runs
 * (disk_shim.py). Without that file it does nothing.
 *
 * The file, u64 in the order of this machine:
 *      0 sync_us       a sync, or a write that is durable in itself, takes so much longer
 *      8 bytes_per_s   and so much longer for what it carries; 0: no limit
 *     16 kinds         which calls fail: bits 1 write, 2 sync, 4 allocate, 8 create, 16 link,
 * rename 24 error         with which errno 32 skip          so many of them succeed first 40 count
 * then so many fail; 0: none 48 failed        counted here 56 match[64]     of files whose path
 * holds this; of all where it is empty
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { KIND_WRITE = 1, KIND_SYNC = 2, KIND_ALLOCATE = 4, KIND_CREATE = 8, KIND_LINK = 16 };

struct shim {
    uint64_t sync_us, bytes_per_s, kinds, error, skip, count, failed;
    char match[64];
};

static struct shim *shim;
static uint64_t dirty[1024]; /* written and not synced, by descriptor */

ssize_t shim_pwrite64(int fd, const void *bytes, size_t n, off64_t offset) __asm__("pwrite64");
int shim_fdatasync(int fd) __asm__("fdatasync");
int shim_fsync(int fd) __asm__("fsync");
int shim_fallocate64(int fd, off64_t offset, off64_t n) __asm__("posix_fallocate64");
int shim_openat64(int dir, const char *path, int flags, ...) __asm__("openat64");
int shim_renameat(int from, const char *a, int to, const char *b) __asm__("renameat");
int shim_linkat(int from, const char *a, int to, const char *b, int flags) __asm__("linkat");

__attribute__((constructor)) static void shim_open(void)
{
    const char *path = getenv("DISK_SHIM");
    int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *at =
        fd >= 0 ? mmap(NULL, sizeof *shim, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    shim = at == MAP_FAILED ? NULL : at;
    if (fd >= 0) {
        (void)close(fd);
    }
}

static void *shim_next(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);
    if (function == NULL) {
        abort();
    }
    return function;
}

static int shim_matches(int fd, const char *path)
{
    char link[32], name[512];
    if (shim->match[0] == '\0') {
        return 1;
    }
    if (path == NULL) {
        (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(link, name, sizeof name - 1);
        name[n < 0 ? 0 : n] = '\0';
        path = name;
    }
    return strstr(path, shim->match) != NULL;
}

/* Is this the call that fails? Then errno says how. */
static int shim_fails(uint64_t kind, int fd, const char *path)
{
    if (shim == NULL || shim->count == 0 || (shim->kinds & kind) == 0 || !shim_matches(fd, path)) {
        return 0;
    }
    if (shim->skip > 0) {
        (void)__atomic_sub_fetch(&shim->skip, 1, __ATOMIC_RELAXED);
        return 0;
    }
    (void)__atomic_sub_fetch(&shim->count, 1, __ATOMIC_RELAXED);
    (void)__atomic_add_fetch(&shim->failed, 1, __ATOMIC_RELAXED);
    errno = (int)shim->error;
    return 1;
}

static void shim_take_time(uint64_t bytes)
{
    if (shim == NULL) {
        return;
    }
    uint64_t us = shim->sync_us;
    us += shim->bytes_per_s > 0 ? bytes * 1000000 / shim->bytes_per_s : 0;
    struct timespec span = {(time_t)(us / 1000000), (long)(us % 1000000 * 1000)};
    while (us > 0 && nanosleep(&span, &span) != 0) {
    }
}

ssize_t shim_pwrite64(int fd, const void *bytes, size_t n, off64_t offset)
{
    static ssize_t (*next)(int, const void *, size_t, off64_t);
    if (next == NULL) {
        next = shim_next("pwrite64");
    }
    if (shim_fails(KIND_WRITE, fd, NULL)) {
        return -1;
    }
    ssize_t written = next(fd, bytes, n, offset);
    if (written > 0 && (fcntl(fd, F_GETFL) & O_DSYNC) != 0) {
        shim_take_time((uint64_t)written);
    } else if (written > 0 && fd < (int)(sizeof dirty / sizeof dirty[0])) {
        (void)__atomic_add_fetch(&dirty[fd], (uint64_t)written, __ATOMIC_RELAXED);
    }
    return written;
}

static int shim_sync(int fd, int (*next)(int fd))
{
    if (shim_fails(KIND_SYNC, fd, NULL)) {
        return -1;
    }
    shim_take_time(fd < (int)(sizeof dirty / sizeof dirty[0])
                       ? __atomic_exchange_n(&dirty[fd], 0, __ATOMIC_RELAXED)
                       : 0);
    return next(fd);
}

int shim_fdatasync(int fd)
{
    static int (*next)(int);
    if (next == NULL) {
        next = shim_next("fdatasync");
    }
    return shim_sync(fd, next);
}

int shim_fsync(int fd)
{
    static int (*next)(int);
    if (next == NULL) {
        next = shim_next("fsync");
    }
    return shim_sync(fd, next);
}

int shim_fallocate64(int fd, off64_t offset, off64_t n)
{
    static int (*next)(int, off64_t, off64_t);
    if (next == NULL) {
        next = shim_next("posix_fallocate64");
    }
    return shim_fails(KIND_ALLOCATE, fd, NULL) ? errno : next(fd, offset, n);
}

int shim_openat64(int dir, const char *path, int flags, ...)
{
    static int (*next)(int, const char *, int, ...);
    va_list more;
    mode_t mode = 0;
    if (next == NULL) {
        next = shim_next("openat64");
    }
    if ((flags & O_CREAT) != 0) {
        va_start(more, flags);
        mode = va_arg(more, mode_t);
        va_end(more);
        if (shim_fails(KIND_CREATE, -1, path)) {
            return -1;
        }
    }
    return next(dir, path, flags, mode);
}

int shim_renameat(int from, const char *a, int to, const char *b)
{
    static int (*next)(int, const char *, int, const char *);
    if (next == NULL) {
        next = shim_next("renameat");
    }
    return shim_fails(KIND_LINK, -1, b) ? -1 : next(from, a, to, b);
}

int shim_linkat(int from, const char *a, int to, const char *b, int flags)
{
    static int (*next)(int, const char *, int, const char *, int);
    if (next == NULL) {
        next = shim_next("linkat");
    }
    return shim_fails(KIND_LINK, -1, b) ? -1 : next(from, a, to, b, flags);
}
