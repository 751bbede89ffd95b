#include "api/etcd/etcd_backup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "core/base/le.h"
#include "core/store/store.h"
#include "core/store/store_snapshot_format.h"

#define BACKUP_ALIGNMENT    512
#define BACKUP_DIGEST_BYTES 32

/* Where the blocks end: behind that of the end. 0: they do not. */
static uint64_t backup_blocks_end(struct bytes file)
{
    uint64_t at = 0;
    while (file.len - at >= STORE_BLOCK_PREFIX_BYTES) {
        enum store_block kind = file.data[at];
        uint64_t length = STORE_BLOCK_PREFIX_BYTES + (uint64_t)le32_load(file.data + at + 4);
        if (length > file.len - at) {
            return 0;
        }
        at += length;
        if (kind == STORE_BLOCK_END) {
            return at;
        }
    }
    return 0;
}

enum err etcd_backup_check(struct bytes file, struct bytes *ret_blocks, const char **ret_why)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    if (file.len % BACKUP_ALIGNMENT != BACKUP_DIGEST_BYTES) {
        *ret_why = "its size is not that of a whole backup: it was cut off, or is something else";
        return ERR_CORRUPT;
    }
    struct bytes body = {file.data, file.len - BACKUP_DIGEST_BYTES};
    if (EVP_Digest(body.data, body.len, digest, &length, EVP_sha256(), NULL) != 1 ||
        memcmp(digest, file.data + body.len, BACKUP_DIGEST_BYTES) != 0) {
        *ret_why = "its SHA-256 is not that of its content: it was damaged since it was made";
        return ERR_CORRUPT;
    }
    body.len = backup_blocks_end(body);
    if (body.len == 0) {
        *ret_why = "it is whole, but no backup of this program";
        return ERR_CORRUPT;
    }
    *ret_blocks = body;
    return OK;
}

enum err etcd_backup_read(struct bytes file, struct store **ret, const char **ret_why)
{
    struct bytes blocks;
    TRY(etcd_backup_check(file, &blocks, ret_why));
    struct store_restore *restore = store_restore_begin();
    enum err e = store_restore_feed(restore, blocks);
    e = e == OK ? store_restore_finish(restore, ret) : e;
    if (e != OK) {
        store_restore_abort(restore);
        *ret_why = "it is whole, but holds no state that this release can read";
        return ERR_CORRUPT;
    }
    return OK;
}

enum err etcd_backup_map(const char *path, struct bytes *ret)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? ERR_NOT_FOUND : errno == EACCES ? ERR_DENIED : ERR_IO;
    }
    enum err e = fstat(fd, &st) != 0 ? ERR_IO : st.st_size == 0 ? ERR_CORRUPT : OK;
    void *map = MAP_FAILED;
    if (e == OK) {
        map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        e = map == MAP_FAILED ? ERR_IO : OK;
    }
    (void)close(fd);
    if (e == OK) {
        *ret = (struct bytes){map, (size_t)st.st_size};
    }
    return e;
}

void etcd_backup_unmap(struct bytes file)
{
    union {
        const uint8_t *borrowed;
        void *owned;
    } u = {.borrowed = file.data};
    (void)munmap(u.owned, file.len);
}
