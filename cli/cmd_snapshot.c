/*
 * `novacron snapshot`: backups of a running cluster. The file is what Maintenance.Snapshot sends:
 * the blocks of docs/formats/store-snapshot.md, zeros up to a multiple of 512 bytes, SHA-256.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "api/pb_wire.h"
#include "cli/remote.h"
#include "core/base/le.h"
#include "core/store/store.h"
#include "core/store/store_snapshot_format.h"

#define SNAPSHOT_ALIGNMENT 512
#define DIGEST_BYTES       32
#define PATH_BYTES         1024

enum { SNAPSHOT_BLOB = 3 };

struct snapshot_saving {
    FILE *file;
    uint64_t bytes;
    bool failed;
};

static bool saving_take(void *ctx, struct bytes message)
{
    struct snapshot_saving *s = ctx;
    struct pb_field f;
    while (pb_next(&message, &f)) {
        if (f.number == SNAPSHOT_BLOB && f.type == PB_BYTES) {
            s->failed = s->failed || fwrite(f.bytes.data, 1, f.bytes.len, s->file) != f.bytes.len;
            s->bytes += f.bytes.len;
        }
    }
    if (isatty(STDERR_FILENO)) {
        (void)fprintf(stderr, "\r%.1f MB", (double)s->bytes / 1e6);
    }
    return !s->failed;
}

/* --- verification ---------------------------------------------------------------------------- */

/* Where the blocks end: behind that of the end. 0: they do not. */
static uint64_t blocks_end(struct bytes file)
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

/* What is wrong with a backup; NULL: nothing, and `*ret` holds it. */
static const char *backup_fault(struct bytes file, struct store **ret)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    if (file.len % SNAPSHOT_ALIGNMENT != DIGEST_BYTES) {
        return "its size is not that of a whole backup: it was cut off, or is something else";
    }
    struct bytes body = {file.data, file.len - DIGEST_BYTES};
    if (EVP_Digest(body.data, body.len, digest, &length, EVP_sha256(), NULL) != 1 ||
        memcmp(digest, file.data + body.len, DIGEST_BYTES) != 0) {
        return "its SHA-256 is not that of its content: it was damaged since it was made";
    }
    body.len = blocks_end(body);
    struct store_restore *restore = store_restore_begin();
    enum err e = body.len > 0 ? store_restore_feed(restore, body) : ERR_TRUNCATED;
    e = e == OK ? store_restore_finish(restore, ret) : e;
    if (e != OK) {
        store_restore_abort(restore);
        return "it is whole, but holds no state that this release can read";
    }
    return NULL;
}

static enum cli_exit backup_verify(const char *command, const char *path, bool as_json)
{
    struct stat st = {0};
    struct store *store = NULL;
    struct store_stats stats;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool is_there = fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0;
    void *map =
        is_there ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    if (fd >= 0) {
        (void)close(fd);
    }
    if (map == MAP_FAILED) {
        (void)fprintf(stderr, "novacron %s: cannot read %s: %s\n", command, path,
                      st.st_size == 0 && is_there ? "it is empty" : strerror(errno));
        return CLI_UNREADABLE;
    }
    const char *fault = backup_fault((struct bytes){map, (size_t)st.st_size}, &store);
    (void)munmap(map, (size_t)st.st_size);
    if (fault != NULL) {
        (void)fprintf(stderr, "novacron %s: %s: %s\n", command, path, fault);
        return CLI_DAMAGED;
    }
    store_stats_read(store, &stats);
    (void)printf(as_json ? "{\"revision\":%lld,\"keys\":%llu,\"hash\":\"%llx\",\"bytes\":%lld}\n"
                         : "revision %lld, %llu keys, hash %llx, %lld bytes: whole\n",
                 (long long)store_revision(store), (unsigned long long)stats.keys,
                 (unsigned long long)store_hash(store), (long long)st.st_size);
    store_close(store);
    return CLI_OK;
}

enum cli_exit cmd_snapshot_verify(const struct cli_call *call)
{
    return backup_verify("snapshot verify", call->arguments[0], call->options[0] != NULL);
}

/* --- saving ---------------------------------------------------------------------------------- */

static enum cli_exit saving_failed(const char *path)
{
    (void)fprintf(stderr, "novacron snapshot save: cannot write %s: %s\n", path, strerror(errno));
    return CLI_UNREADABLE;
}

/* Under its own name only when it is whole, durable and verified. */
static enum cli_exit saving_finish(struct snapshot_saving *s, const char *beside, const char *path,
                                   bool as_json)
{
    bool is_durable = !s->failed && fflush(s->file) == 0 && fsync(fileno(s->file)) == 0;
    if (fclose(s->file) != 0 || !is_durable) {
        return saving_failed(beside);
    }
    enum cli_exit e = backup_verify("snapshot save", beside, as_json);
    if (e == CLI_OK && rename(beside, path) != 0) {
        return saving_failed(path);
    }
    return e;
}

enum cli_exit cmd_snapshot_save(const struct cli_call *call)
{
    struct remote r;
    struct snapshot_saving s = {0};
    char beside[PATH_BYTES];
    const char *path = call->arguments[0];
    enum cli_exit e = remote_open(&r, "snapshot save", call);
    if (e != CLI_OK) {
        return e;
    }
    (void)snprintf(beside, sizeof beside, "%s.part", path);
    s.file = fopen(beside, "we");
    if (s.file == NULL) {
        remote_close(&r);
        return saving_failed(beside);
    }
    e = remote_stream(&r, "/etcdserverpb.Maintenance/Snapshot", saving_take, &s);
    if (isatty(STDERR_FILENO)) {
        (void)fputc('\n', stderr);
    }
    if (e == CLI_OK) {
        e = saving_finish(&s, beside, path, r.json);
    } else {
        (void)fclose(s.file);
    }
    if (e != CLI_OK) {
        (void)unlink(beside);
    }
    remote_close(&r);
    return e;
}
