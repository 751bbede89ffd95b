#include "core/base/mutant.h"
#include "core/recovery/snapshot_file.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/recovery/snapshot_int.h"

void snapfile_submit(const struct snapfile_place *place, struct world_file_request *request,
                     enum world_file_op op, void (*done)(struct world_file_request *), void *owner)
{
    request->op = op;
    request->lane = WORLD_LANE_BULK;
    request->done = done;
    request->owner = owner;
    world_submit(place->world, request);
}

static char *put_hex(char *at, uint64_t value)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < 16; i++) {
        *at++ = digits[value >> (60 - 4 * i) & 0xF];
    }
    return at;
}

static bool take_hex(const char *at, uint64_t *ret)
{
    uint64_t value = 0;
    for (size_t i = 0; i < 16; i++) {
        char c = at[i];
        if (c >= '0' && c <= '9') {
            value = value << 4 | (uint64_t)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            value = value << 4 | (uint64_t)(c - 'a' + 10);
        } else {
            return false;
        }
    }
    *ret = value;
    return true;
}

void snapfile_path(const char *dir, uint64_t index, uint64_t term, const char *suffix,
                   char path[WORLD_PATH_MAX_BYTES])
{
    size_t n = strlen(dir);

    CHECK(n + 34 + strlen(suffix) + 1 < WORLD_PATH_MAX_BYTES);
    memcpy(path, dir, n);
    char *at = path + n;
    if (n > 0) {
        *at++ = '/';
    }
    at = put_hex(at, index);
    *at++ = '-';
    at = put_hex(at, term);
    memcpy(at, suffix, strlen(suffix) + 1);
}

enum err snapfile_name_parse(const char *name, const char *suffix, uint64_t *index, uint64_t *term)
{
    uint64_t i = 0;
    uint64_t t = 0;

    if (strlen(name) != 33 + strlen(suffix) || name[16] != '-' || !take_hex(name, &i) ||
        !take_hex(name + 17, &t) || strcmp(name + 33, suffix) != 0) {
        return ERR_INVALID;
    }
    *index = i;
    *term = t;
    return OK;
}

static void snapshot_parent_synced(struct world_file_request *request)
{
    struct snapfile_dir *d = request->owner;
    d->then(d->owner, request->result);
}

static void dir_made(struct world_file_request *request)
{
    struct snapfile_dir *d = request->owner;

    if (request->result == ERR_EXISTS) {
        d->then(d->owner, OK);
        return;
    }
    if (request->result != OK) {
        d->then(d->owner, request->result);
        return;
    }
    size_t n = world_parent_length(d->place->dir);
    memcpy(d->parent, d->place->dir, n);
    d->parent[n] = '\0';
    request->path = d->parent;
    snapfile_submit(d->place, request, WORLD_SYNC_DIR, snapshot_parent_synced, d);
}

void snapfile_dir_make(struct snapfile_dir *d)
{
    d->request.path = d->place->dir;
    snapfile_submit(d->place, &d->request, WORLD_MKDIR, dir_made, d);
}

static void seal_pruned(void *ctx, enum err result)
{
    struct snapfile_seal *s = ctx;
    (void)result; /* what could not be removed now is removed after the next one */
    s->then(s->owner, OK);
}

static void seal_dir_synced(struct world_file_request *request)
{
    struct snapfile_seal *s = request->owner;
    if (request->result != OK) {
        s->then(s->owner, request->result);
        return;
    }
    snapfile_prune(s->place, s->index, seal_pruned, s);
}

static void seal_renamed(struct world_file_request *request)
{
    struct snapfile_seal *s = request->owner;
    if (request->result != OK) {
        s->then(s->owner, request->result);
        return;
    }
    request->path = s->place->dir;
    enum world_file_op op = MUTANT(SNAPSHOT_NAME_UNSYNCED) ? WORLD_STAT : WORLD_SYNC_DIR;
    snapfile_submit(s->place, request, op, seal_dir_synced, s);
}

static void seal_closed(struct world_file_request *request)
{
    struct snapfile_seal *s = request->owner;

    snapfile_path(s->place->dir, s->index, s->term, s->suffix, s->from);
    snapfile_path(s->place->dir, s->index, s->term, SNAPFILE_SUFFIX, s->to);
    request->path = s->from;
    request->path_to = s->to;
    snapfile_submit(s->place, request, WORLD_RENAME, seal_renamed, s);
}

static void seal_failed_closed(struct world_file_request *request)
{
    struct snapfile_seal *s = request->owner;
    s->then(s->owner, s->error);
}

static void seal_synced(struct world_file_request *request)
{
    struct snapfile_seal *s = request->owner;
    s->error = request->result;
    snapfile_submit(s->place, request, WORLD_CLOSE,
                    request->result == OK ? seal_closed : seal_failed_closed, s);
}

void snapfile_seal_run(struct snapfile_seal *s)
{
    s->request.fd = s->fd;
    if (MUTANT(SNAPSHOT_UNSYNCED)) {
        snapfile_submit(s->place, &s->request, WORLD_CLOSE, seal_closed, s);
        return;
    }
    snapfile_submit(s->place, &s->request, WORLD_SYNC, seal_synced, s);
}

/* A name in the directory of snapshots. */
struct pruned_name {
    uint64_t index;
    uint64_t term;
    const char *suffix;
};

struct pruning {
    struct snapfile_task task;
    struct snapfile_place place;
    struct world_file_request request;
    struct pruned_name names[SNAPFILE_LISTED_MAX];
    size_t count;
    size_t at;
    uint64_t written;   /* index of the one that was just written */
    uint64_t keep_from; /* index of the oldest snapshot that stays */
    char path[WORLD_PATH_MAX_BYTES];
    void (*done)(void *ctx, enum err result);
    void *ctx;
};

static void prune_on(struct pruning *p);

static void prune_unlinked(struct world_file_request *request)
{
    prune_on(request->owner);
}

static void prune_free(struct snapfile_task *task)
{
    snapfile_task_end(task);
    mem_free(task);
}

static void prune_ends(struct world_file_request *request)
{
    struct pruning *p = request->owner;
    void (*done)(void *, enum err) = p->done;
    void *ctx = p->ctx;
    enum err result = request->result;

    prune_free(&p->task);
    done(ctx, result);
}

static void prune_on(struct pruning *p)
{
    while (p->at < p->count && p->names[p->at].index >= p->keep_from) {
        p->at++;
    }
    if (p->at == p->count) {
        p->request.path = p->place.dir;
        enum world_file_op op = MUTANT(SNAPSHOT_NAME_UNSYNCED) ? WORLD_STAT : WORLD_SYNC_DIR;
        snapfile_submit(&p->place, &p->request, op, prune_ends, p);
        return;
    }
    const struct pruned_name *name = &p->names[p->at++];
    snapfile_path(p->place.dir, name->index, name->term, name->suffix, p->path);
    p->request.path = p->path;
    snapfile_submit(&p->place, &p->request, WORLD_UNLINK, prune_unlinked, p);
}

static void prune_listed(struct world_file_request *request)
{
    struct pruning *p = request->owner;
    uint64_t newest[SNAPFILE_KEEP] = {0};

    for (size_t i = 0; i < p->count; i++) {
        uint64_t index = strcmp(p->names[i].suffix, SNAPFILE_SUFFIX) == 0 ? p->names[i].index : 0;
        for (size_t k = 0; k < SNAPFILE_KEEP; k++) {
            if (index > newest[k]) {
                uint64_t smaller = newest[k];
                newest[k] = index;
                index = smaller;
            }
        }
    }
    /* Where the newer ones are damaged, an older one was fetched, and is all that there is. */
    p->keep_from = u64_min(newest[SNAPFILE_KEEP - 1], p->written);
    prune_on(p);
}

static void prune_entry(struct world_file_request *request, const char *name)
{
    static const char *const suffixes[] = {SNAPFILE_SUFFIX, SNAPFILE_SUFFIX_TEMPORARY,
                                           SNAPFILE_SUFFIX_PART};
    struct pruning *p = request->owner;

    for (size_t i = 0; i < COUNT_OF(suffixes) && p->count < SNAPFILE_LISTED_MAX; i++) {
        struct pruned_name *at = &p->names[p->count];
        if (snapfile_name_parse(name, suffixes[i], &at->index, &at->term) == OK) {
            at->suffix = suffixes[i];
            p->count++;
        }
    }
}

void snapfile_prune(const struct snapfile_place *place, uint64_t written,
                    void (*done)(void *ctx, enum err result), void *ctx)
{
    struct pruning *p = mem_alloc_zero(sizeof *p);

    snapfile_task_begin(&p->task, place, prune_free);
    p->place = *place;
    p->written = written;
    p->done = done;
    p->ctx = ctx;
    p->request.path = p->place.dir;
    p->request.entry = prune_entry;
    snapfile_submit(&p->place, &p->request, WORLD_LIST, prune_listed, p);
}

/* --- what is under way ------------------------------------------------------------------------ */

void snapfile_task_begin(struct snapfile_task *task, const struct snapfile_place *place,
                         void (*forget)(struct snapfile_task *task))
{
    *task = (struct snapfile_task){.forget = forget};
    if (place->tasks) {
        task->next = *place->tasks;
        task->link = place->tasks;
        if (task->next) {
            task->next->link = &task->next;
        }
        *place->tasks = task;
    }
}

void snapfile_task_end(struct snapfile_task *task)
{
    if (task->link) {
        *task->link = task->next;
        if (task->next) {
            task->next->link = task->link;
        }
        task->link = NULL;
    }
}

void snapfile_forget(struct snapfile_task **tasks)
{
    while (*tasks) {
        (*tasks)->forget(*tasks);
    }
}
