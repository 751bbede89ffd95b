/*
 * `novacron snapshot restore`: the data directories of a new cluster's members, from a backup. Each
 * is made by a node of its own that founds the cluster with the state of the backup, as novacrond
 * --restore does, and is closed as soon as that is durable; it speaks to nobody. All members of the
 * new cluster must begin with the same file.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "api/etcd/etcd_backup.h"
#include "api/json_wire.h"
#include "cli/command.h"
#include "cli/progress.h"
#include "core/base/say.h"
#include "core/node/node.h"
#include "core/store/store.h"
#include "novacrond/daemon_config.h"
#include "novacrond/daemon_disk.h"
#include "world/linux/linux_world.h"

/* The options, in the order of the table. */
enum { RESTORE_INTO, RESTORE_JSON };

#define PATH_BYTES 1024

/* What was written last becomes durable within this. */
#define SETTLE (300 * NANOS_PER_MS)

/* How often it is looked how far it is. */
#define PROGRESS_EVERY (200 * NANOS_PER_MS)

struct restore {
    const char *file;
    struct bytes backup;
    struct bytes state; /* in it */
    const char *into;   /* NULL: where the configurations say */
    bool json;
    char dir[PATH_BYTES];
    char why[DAEMON_WHY_BYTES];
    bool is_ready;
    bool is_halted;
    const char *halted_why;
    int64_t revision;
    struct node *node;
};

static enum cli_exit restore_failed(const char *who, const char *why)
{
    (void)fprintf(stderr, "novacron snapshot restore: %s%s%s\n", who, who[0] != '\0' ? ": " : "",
                  why);
    return CLI_UNREADABLE;
}

static void restore_on_ready(void *ctx, enum recovery_verdict verdict, const char *why)
{
    struct restore *r = ctx;
    (void)verdict;
    (void)why;
    r->is_ready = true;
    r->revision = store_revision(node_store(r->node));
}

static void restore_on_halted(void *ctx, enum err error, const char *why)
{
    struct restore *r = ctx;
    (void)error;
    r->is_halted = true;
    r->halted_why = why;
}

/* --- the directory --------------------------------------------------------------------------- */

/* Is there anything in it but the lock? */
static bool dir_is_fresh(const char *dir)
{
    bool is_fresh = true;
    const struct dirent *entry = NULL;
    DIR *d = opendir(dir);
    while (d != NULL && (entry = readdir(d)) != NULL) {
        bool is_nothing = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
                          strcmp(entry->d_name, "lock") == 0;
        is_fresh = is_fresh && is_nothing;
    }
    if (d != NULL) {
        (void)closedir(d);
    }
    return is_fresh;
}

/* What the files in it have so far, in bytes. */
static uint64_t dir_bytes(const char *dir)
{
    char path[PATH_BYTES + 300];
    uint64_t bytes = 0;
    struct stat st;
    const struct dirent *entry = NULL;
    DIR *d = opendir(dir);
    while (d != NULL && (entry = readdir(d)) != NULL) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        bytes += stat(path, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    }
    if (d != NULL) {
        (void)closedir(d);
    }
    return bytes;
}

/* --- one member ------------------------------------------------------------------------------ */

static void restore_compose(const struct restore *r, const struct daemon_config *c,
                            struct node_config *ret)
{
    struct node_config node = node_config_default(c->id);
    node.dir = "node";
    node.cluster = c->cluster;
    node.founders = &c->founders;
    node.founding_state = r->state;
    node.scrub_bytes_per_s = 0;
    *ret = node;
}

static void restore_wait(struct restore *r, struct linux_world *lw, const char *name)
{
    const struct world *world = linux_world_table(lw);
    struct progress progress;
    char snapshots[PATH_BYTES + 16];
    (void)snprintf(snapshots, sizeof snapshots, "%s/node/snap", r->dir);
    progress_begin(&progress, name);
    while (!r->is_ready && !r->is_halted) {
        (void)linux_world_poll(lw, PROGRESS_EVERY);
        progress_tell(&progress, u64_min(dir_bytes(snapshots), r->state.len), r->state.len);
    }
    progress_end(&progress);
    for (nanos end = world_now(world) + SETTLE; world_now(world) < end && !r->is_halted;) {
        (void)linux_world_poll(lw, SETTLE / 10);
    }
}

/* A member is done. */
static void restore_tell(const struct restore *r, const char *name)
{
    struct buf b;
    if (!r->json) {
        (void)printf("%s: revision %lld is in %s\n", name, (long long)r->revision, r->dir);
        return;
    }
    buf_init(&b);
    say(&b, "{\"name\":");
    json_put_string(&b, name);
    say(&b, ",\"data_dir\":");
    json_put_string(&b, r->dir);
    say(&b, ",\"revision\":");
    say_i64(&b, r->revision);
    say(&b, "}\n");
    (void)fwrite(b.data, 1, b.len, stdout);
    buf_deinit(&b);
}

static enum cli_exit restore_into(struct restore *r, const struct daemon_config *c)
{
    struct linux_world *lw = NULL;
    struct node_config config;
    const struct node_events events = {
        .ctx = r, .ready = restore_on_ready, .halted = restore_on_halted};
    if (linux_world_open(r->dir, &lw) != OK) {
        return restore_failed(r->dir, "cannot be opened");
    }
    r->is_ready = false;
    r->is_halted = false;
    restore_compose(r, c, &config);
    r->node = node_open(linux_world_table(lw), &config, &events);
    restore_wait(r, lw, c->settings->name);
    linux_world_close(lw);
    node_close(r->node);
    if (r->is_halted) {
        return restore_failed(r->dir, r->halted_why);
    }
    restore_tell(r, c->settings->name);
    return CLI_OK;
}

static enum cli_exit restore_member(struct restore *r, struct daemon_config *c)
{
    struct daemon_disk disk;
    char *own = c->settings->data_dir;
    (void)snprintf(r->dir, sizeof r->dir, "%s%s%s", r->into != NULL ? r->into : own,
                   r->into != NULL ? "/" : "", r->into != NULL ? c->settings->name : "");
    if (r->into != NULL && mkdir(r->into, 0755) != 0 && errno != EEXIST) {
        return restore_failed(r->into, strerror(errno));
    }
    c->settings->data_dir = r->dir;
    enum err e = daemon_disk_open(c, r->why, &disk);
    c->settings->data_dir = own;
    if (e != OK) {
        return restore_failed("", r->why);
    }
    enum cli_exit result = dir_is_fresh(r->dir)
                               ? restore_into(r, c)
                               : restore_failed(r->dir, "is not empty; a backup founds a new "
                                                        "cluster, in new directories alone");
    daemon_disk_close(&disk);
    return result;
}

/* --- all of them ----------------------------------------------------------------------------- */

static bool founders_are_same(const struct daemon_config *a, const struct daemon_config *b)
{
    bool same = a->cluster == b->cluster && a->founders.n == b->founders.n;
    for (uint32_t i = 0; same && i < a->founders.n; i++) {
        same = a->founders.member[i].id == b->founders.member[i].id &&
               a->founders.member[i].roles == b->founders.member[i].roles &&
               a->founders.member[i].priority == b->founders.member[i].priority;
    }
    return same;
}

/* All are read and compared before the first directory is made. */
static enum cli_exit restore_read(struct restore *r, const struct cli_call *call,
                                  struct daemon_config configs[CLI_ARGUMENTS_MAX], size_t *count)
{
    for (size_t i = 1; i < CLI_ARGUMENTS_MAX && call->arguments[i] != NULL; i++) {
        struct daemon_config *c = &configs[*count];
        if (daemon_config_load(call->arguments[i], r->why, c) != OK) {
            return restore_failed("", r->why);
        }
        (*count)++;
        if (!c->founds) {
            return restore_failed(call->arguments[i], "does not say \"state: new\"");
        }
        if (!founders_are_same(c, &configs[0])) {
            return restore_failed(call->arguments[i],
                                  "founds another cluster, or with other members, than the first");
        }
    }
    return CLI_OK;
}

static enum cli_exit restore_check(struct restore *r)
{
    const char *fault = NULL;
    struct store *store = NULL;
    if (etcd_backup_map(r->file, &r->backup) != OK) {
        return restore_failed(r->file, "cannot be read");
    }
    if (etcd_backup_check(r->backup, &r->state, &fault) != OK ||
        etcd_backup_read(r->backup, &store, &fault) != OK) {
        (void)restore_failed(r->file, fault);
        return CLI_DAMAGED;
    }
    store_close(store);
    return CLI_OK;
}

enum cli_exit cmd_snapshot_restore(const struct cli_call *call)
{
    struct restore r = {.file = call->arguments[0],
                        .into = call->options[RESTORE_INTO],
                        .json = call->options[RESTORE_JSON] != NULL};
    struct daemon_config configs[CLI_ARGUMENTS_MAX];
    size_t count = 0;
    enum cli_exit e = restore_read(&r, call, configs, &count);
    e = e == CLI_OK ? restore_check(&r) : e;
    for (size_t i = 0; i < count && e == CLI_OK; i++) {
        e = restore_member(&r, &configs[i]);
    }
    if (e == CLI_OK && !r.json && count < configs[0].founders.n) {
        (void)printf("%u members found the cluster, and %zu are done: do the same, with the same "
                     "file, for the others.\n",
                     configs[0].founders.n, count);
    }
    for (size_t i = 0; i < count; i++) {
        daemon_config_free(&configs[i]);
    }
    if (r.backup.len > 0) {
        etcd_backup_unmap(r.backup);
    }
    return e;
}
