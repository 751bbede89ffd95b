/*
 * `novacron snapshot`: backups of a running cluster. The file is what Maintenance.Snapshot sends:
 * the blocks of docs/formats/store-snapshot.md, zeros up to a multiple of 512 bytes, SHA-256.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/etcd/etcd_backup.h"
#include "api/pb_wire.h"
#include "cli/progress.h"
#include "cli/remote.h"
#include "core/store/store.h"

#define PATH_BYTES 1024

enum { SNAPSHOT_LEFT = 2, SNAPSHOT_BLOB = 3 };

struct snapshot_saving {
    FILE *file;
    uint64_t bytes;
    uint64_t left; /* as the member says; 0: it does not */
    bool failed;
    struct progress progress;
};

static bool saving_take(void *ctx, struct bytes message)
{
    struct snapshot_saving *s = ctx;
    struct pb_field f;
    while (pb_next(&message, &f)) {
        if (f.number == SNAPSHOT_BLOB && f.type == PB_BYTES) {
            s->failed = s->failed || fwrite(f.bytes.data, 1, f.bytes.len, s->file) != f.bytes.len;
            s->bytes += f.bytes.len;
        } else if (f.number == SNAPSHOT_LEFT && f.type == PB_VARINT) {
            s->left = f.value;
        }
    }
    progress_tell(&s->progress, s->bytes, s->left > 0 ? s->bytes + s->left : 0);
    return !s->failed;
}

/* --- verification ---------------------------------------------------------------------------- */

static enum cli_exit backup_verify(const char *command, const char *path, bool as_json)
{
    struct store *store = NULL;
    struct store_stats stats;
    struct bytes file = {NULL, 0};
    const char *fault = NULL;
    enum err e = etcd_backup_map(path, &file);
    if (e != OK) {
        (void)fprintf(stderr, "novacron %s: cannot read %s: %s\n", command, path, err_text(e));
        return CLI_UNREADABLE;
    }

    e = etcd_backup_read(file, &store, &fault);
    size_t bytes = file.len;
    etcd_backup_unmap(file);
    if (e != OK) {
        if (as_json) {
            (void)printf("{\"whole\":false,\"fault\":\"%s\"}\n", fault);
        }
        (void)fprintf(stderr, "novacron %s: %s: %s; it is of no use: take another backup\n",
                      command, path, fault);
        return CLI_DAMAGED;
    }
    store_stats_read(store, &stats);
    (void)printf(
        as_json
            ? "{\"whole\":true,\"revision\":%lld,\"keys\":%llu,\"hash\":\"%llx\",\"bytes\":%lld}\n"
            : "revision %lld, %llu keys, hash %llx, %lld bytes: whole\n",
        (long long)store_revision(store), (unsigned long long)stats.keys,
        (unsigned long long)store_hash(store), (long long)bytes);
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
    progress_begin(&s.progress, "novacron snapshot save");
    e = remote_stream(&r, "/etcdserverpb.Maintenance/Snapshot", saving_take, &s);
    progress_end(&s.progress);
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
