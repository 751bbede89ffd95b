#include "core/chaos/simdisk.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/chaos/simdisk_int.h"

struct simdisk *simdisk_new(uint64_t capacity)
{
    struct simdisk *d = mem_alloc_zero(sizeof *d);
    d->capacity = capacity;
    d->quota = UINT64_MAX;
    prng_init(&d->prng, 0);
    return d;
}

void simdisk_seed(struct simdisk *d, const struct prng *prng)
{
    d->prng = *prng;
}

struct prng simdisk_prng(const struct simdisk *d)
{
    return d->prng;
}

static void inode_free(struct simdisk *d, struct simdisk_inode *inode)
{
    if (inode == NULL) {
        return;
    }
    mem_free(inode->changes);
    buf_deinit(&inode->written);
    simdisk_image_deinit(&d->pool, &inode->live);
    simdisk_image_deinit(&d->pool, &inode->stable);
    simdisk_image_deinit(&d->pool, &inode->remembered);
    mem_free(inode->spoiled);
    mem_free(inode);
}

void simdisk_free(struct simdisk *d)
{
    for (size_t i = 0; i < d->inode_count; i++) {
        inode_free(d, d->inodes[i]);
    }
    simpage_pool_deinit(&d->pool);
    mem_free(d->inodes);
    mem_free(d->live.names);
    mem_free(d->stable.names);
    mem_free(d->name_changes);
    mem_free(d->open);
    mem_free(d);
}

static void *copy_of(const void *from, size_t n)
{
    if (n == 0) {
        return NULL;
    }
    void *to = mem_alloc(n);
    memcpy(to, from, n);
    return to;
}

static struct simdisk_inode *inode_clone(struct simdisk *d, const struct simdisk_inode *inode)
{
    struct simdisk_inode *copy = mem_alloc_zero(sizeof *copy);

    simdisk_image_copy(&d->pool, &copy->live, &inode->live);
    simdisk_image_copy(&d->pool, &copy->stable, &inode->stable);
    simdisk_image_copy(&d->pool, &copy->remembered, &inode->remembered);
    copy->changes = copy_of(inode->changes, inode->change_count * sizeof *inode->changes);
    copy->change_count = inode->change_count;
    copy->change_cap = inode->change_count;
    buf_put(&copy->written, inode->written.data, inode->written.len);
    copy->spoiled = copy_of(inode->spoiled, inode->spoiled_count * sizeof *inode->spoiled);
    copy->spoiled_count = inode->spoiled_count;
    copy->spoiled_cap = inode->spoiled_count;
    return copy;
}

struct simdisk *simdisk_clone(const struct simdisk *d)
{
    struct simdisk *copy = copy_of(d, sizeof *d);

    copy->pool = (struct simpage_pool){0};
    copy->inodes = copy_of(d->inodes, d->inode_count * sizeof *d->inodes);
    copy->inode_cap = d->inode_count;
    for (size_t i = 0; i < d->inode_count; i++) {
        copy->inodes[i] = d->inodes[i] == NULL ? NULL : inode_clone(copy, d->inodes[i]);
    }
    copy->live.names = copy_of(d->live.names, d->live.count * sizeof *d->live.names);
    copy->live.cap = d->live.count;
    copy->stable.names = copy_of(d->stable.names, d->stable.count * sizeof *d->stable.names);
    copy->stable.cap = d->stable.count;
    copy->name_changes = copy_of(d->name_changes, d->name_change_count * sizeof *d->name_changes);
    copy->name_change_cap = d->name_change_count;
    copy->open = copy_of(d->open, d->open_count * sizeof *d->open);
    copy->open_cap = d->open_count;
    return copy;
}

size_t simdisk_names_at(const struct simdisk_names *names, const char *path)
{
    size_t at = 0;
    while (at < names->count && strcmp(names->names[at].path, path) < 0) {
        at++;
    }
    return at;
}

struct simdisk_name *simdisk_names_find(const struct simdisk_names *names, const char *path)
{
    size_t at = simdisk_names_at(names, path);
    bool is_there = at < names->count && strcmp(names->names[at].path, path) == 0;
    return is_there ? &names->names[at] : NULL;
}

void simdisk_names_set(struct simdisk_names *names, const char *path, int32_t inode)
{
    struct simdisk_name *there = simdisk_names_find(names, path);
    if (there != NULL) {
        there->inode = inode;
        return;
    }
    size_t at = simdisk_names_at(names, path);
    mem_grow((void **)&names->names, &names->cap, names->count + 1, sizeof *names->names);
    memmove(names->names + at + 1, names->names + at, (names->count - at) * sizeof *names->names);
    names->count++;
    memset(&names->names[at], 0, sizeof names->names[at]);
    memcpy(names->names[at].path, path, strlen(path) + 1);
    names->names[at].inode = inode;
}

void simdisk_names_unset(struct simdisk_names *names, const char *path)
{
    struct simdisk_name *there = simdisk_names_find(names, path);
    if (there == NULL) {
        return;
    }
    size_t at = (size_t)(there - names->names);
    names->count--;
    memmove(names->names + at, names->names + at + 1, (names->count - at) * sizeof *names->names);
}

static void mark_used(const struct simdisk *d, int32_t inode)
{
    if (inode >= 0 && d->inodes[inode] != NULL) {
        d->inodes[inode]->is_used = true;
    }
}

/* An inode that no name and no open file leads to is gone. */
void simdisk_collect(struct simdisk *d)
{
    for (size_t k = 0; k < d->live.count; k++) {
        mark_used(d, d->live.names[k].inode);
    }
    for (size_t k = 0; k < d->stable.count; k++) {
        mark_used(d, d->stable.names[k].inode);
    }
    for (size_t k = 0; k < d->name_change_count; k++) {
        mark_used(d, d->name_changes[k].inode);
    }
    for (size_t k = 0; k < d->open_count; k++) {
        mark_used(d, d->open[k].inode);
    }
    for (size_t i = 0; i < d->inode_count; i++) {
        struct simdisk_inode *inode = d->inodes[i];
        if (inode != NULL && !inode->is_used) {
            inode_free(d, inode);
            d->inodes[i] = NULL;
        } else if (inode != NULL) {
            inode->is_used = false;
        }
    }
}

void simdisk_close_all(struct simdisk *d)
{
    d->open_count = 0;
    simdisk_collect(d);
}

/* How many units a change has: its sectors, or one. */
static uint64_t change_units(const struct simdisk_change *change)
{
    if (change->kind != SIMDISK_WRITE) {
        return 1;
    }
    return (change->offset + change->length - 1) / WORLD_SECTOR_BYTES -
           change->offset / WORLD_SECTOR_BYTES + 1;
}

uint64_t simdisk_pending(const struct simdisk *d)
{
    uint64_t units = d->name_change_count;

    for (size_t i = 0; i < d->inode_count; i++) {
        for (size_t k = 0; d->inodes[i] != NULL && k < d->inodes[i]->change_count; k++) {
            units += change_units(&d->inodes[i]->changes[k]);
        }
    }
    return units;
}

static void apply_size(struct simpage_pool *pool, struct simdisk_image *image,
                       const struct simdisk_change *change)
{
    bool is_cut = change->kind == SIMDISK_CUT;
    simdisk_image_resize(pool, image,
                         is_cut ? change->length : u64_max(image->size, change->length));
}

/* Applies the part of a change that lies in unit `unit` of it to what is stable. */
static void apply_unit(struct simdisk *d, struct simdisk_inode *inode,
                       const struct simdisk_change *change, uint64_t unit)
{
    if (change->kind != SIMDISK_WRITE) {
        apply_size(&d->pool, &inode->stable, change);
        return;
    }
    uint64_t end = change->offset + change->length;
    uint64_t sector = change->offset / WORLD_SECTOR_BYTES + unit;
    uint64_t lo = u64_max(change->offset, sector * WORLD_SECTOR_BYTES);
    uint64_t hi = u64_min(end, (sector + 1) * WORLD_SECTOR_BYTES);
    const uint8_t *bytes = inode->written.data + change->at + (lo - change->offset);
    simdisk_image_write(&d->pool, &inode->stable, lo, bytes, (size_t)(hi - lo));
}

/* Applies a whole change to what is stable. `is_last`: no change stays pending, so what the host
 * sees of these pages is what will be stable, and they can be shared. */
static void apply_change(struct simdisk *d, struct simdisk_inode *inode,
                         const struct simdisk_change *change, bool is_last)
{
    if (change->kind != SIMDISK_WRITE) {
        apply_size(&d->pool, &inode->stable, change);
    } else if (is_last) {
        simdisk_image_share(&d->pool, &inode->stable, &inode->live, change->offset, change->length);
    } else {
        simdisk_image_write(&d->pool, &inode->stable, change->offset,
                            inode->written.data + change->at, (size_t)change->length);
    }
}

static void apply_name_change(struct simdisk_names *names, const struct simdisk_name_change *change)
{
    if (change->removed[0] != '\0') {
        simdisk_names_unset(names, change->removed);
    }
    if (change->set[0] != '\0') {
        simdisk_names_set(names, change->set, change->inode);
    }
}

/* A file system does not wait for a sync for ever: the older half becomes durable. */
static void commit_oldest_names(struct simdisk *d)
{
    size_t half = d->name_change_count / 2;

    for (size_t i = 0; i < half; i++) {
        apply_name_change(&d->stable, &d->name_changes[i]);
    }
    d->name_change_count -= half;
    memmove(d->name_changes, d->name_changes + half,
            d->name_change_count * sizeof *d->name_changes);
}

void simdisk_change_name(struct simdisk *d, const char *removed, const char *set, int32_t inode)
{
    struct simdisk_name_change change = {.stamp = ++d->stamp, .inode = inode};

    if (d->name_change_count == SIMDISK_NAME_CHANGES_MAX) {
        commit_oldest_names(d);
    }
    memcpy(change.removed, removed, strlen(removed) + 1);
    memcpy(change.set, set, strlen(set) + 1);
    mem_grow((void **)&d->name_changes, &d->name_change_cap, d->name_change_count + 1,
             sizeof *d->name_changes);
    d->name_changes[d->name_change_count++] = change;
    apply_name_change(&d->live, &change);
}

static struct simdisk_change *add_change(struct simdisk *d, struct simdisk_inode *inode,
                                         enum simdisk_change_kind kind, uint64_t length)
{
    mem_grow((void **)&inode->changes, &inode->change_cap, inode->change_count + 1,
             sizeof *inode->changes);
    struct simdisk_change *change = &inode->changes[inode->change_count++];
    *change = (struct simdisk_change){.stamp = ++d->stamp, .kind = kind, .length = length};
    return change;
}

void simdisk_change_bytes(struct simdisk *d, struct simdisk_inode *inode, uint64_t offset,
                          const uint8_t *bytes, size_t n)
{
    struct simdisk_change *change = add_change(d, inode, SIMDISK_WRITE, n);

    change->offset = offset;
    change->at = inode->written.len;
    buf_put(&inode->written, bytes, n);
    simdisk_image_write(&d->pool, &inode->live, offset, bytes, n);
}

void simdisk_change_size(struct simdisk *d, struct simdisk_inode *inode, uint64_t size,
                         enum simdisk_change_kind kind)
{
    apply_size(&d->pool, &inode->live, add_change(d, inode, kind, size));
}

/* Keeps the first `kept` changes, and of the bytes of writes only theirs. */
static void keep_changes(struct simdisk_inode *inode, size_t kept)
{
    size_t len = 0;

    inode->change_count = kept;
    for (size_t i = 0; i < kept; i++) {
        struct simdisk_change *change = &inode->changes[i];
        if (change->kind == SIMDISK_WRITE) {
            if (change->at != len) {
                memmove(inode->written.data + len, inode->written.data + change->at,
                        (size_t)change->length);
            }
            change->at = len;
            len += (size_t)change->length;
        }
    }
    inode->written.len = len;
    if (len == 0 && inode->written.cap > SIMDISK_WRITTEN_KEPT_MAX) {
        buf_deinit(&inode->written);
    }
}

/* A name in a directory that does not exist does not exist. */
static void drop_orphans(struct simdisk_names *names)
{
    size_t kept = 0;

    for (size_t i = 0; i < names->count; i++) {
        const struct simdisk_name *name = &names->names[i];
        size_t n = world_parent_length(name->path);
        bool has_parent = n == 0;
        for (size_t k = 0; k < kept && !has_parent; k++) {
            has_parent = strlen(names->names[k].path) == n &&
                         memcmp(names->names[k].path, name->path, n) == 0;
        }
        if (has_parent) {
            names->names[kept++] = *name;
        }
    }
    names->count = kept;
}

void simdisk_cut_power(struct simdisk *d, bool (*survives)(void *ctx, uint64_t unit), void *ctx)
{
    uint64_t asked = 0;

    for (size_t i = 0; i < d->inode_count; i++) {
        struct simdisk_inode *inode = d->inodes[i];
        if (inode == NULL) {
            continue;
        }
        for (size_t k = 0; k < inode->change_count; k++) {
            for (uint64_t unit = 0; unit < change_units(&inode->changes[k]); unit++) {
                if (survives(ctx, asked++)) {
                    apply_unit(d, inode, &inode->changes[k], unit);
                }
            }
        }
        keep_changes(inode, 0);
        simdisk_image_copy(&d->pool, &inode->live, &inode->stable);
    }
    for (size_t i = 0; i < d->name_change_count; i++) {
        if (survives(ctx, asked++)) {
            apply_name_change(&d->stable, &d->name_changes[i]);
        }
    }
    d->name_change_count = 0;
    drop_orphans(&d->stable);
    d->live.count = 0;
    for (size_t i = 0; i < d->stable.count; i++) {
        simdisk_names_set(&d->live, d->stable.names[i].path, d->stable.names[i].inode);
    }
    simdisk_close_all(d);
}

struct luck {
    struct prng *prng;
    uint64_t num;
    uint64_t den;
};

static bool survives_by_luck(void *ctx, uint64_t unit)
{
    const struct luck *luck = ctx;
    (void)unit;
    return prng_chance(luck->prng, luck->num, luck->den);
}

void simdisk_lose_power(struct simdisk *d, uint64_t num, uint64_t den)
{
    struct luck luck = {&d->prng, num, den};
    simdisk_cut_power(d, survives_by_luck, &luck);
}

/* Is this change made durable by a sync that was submitted at `stamp`? */
static bool is_settled_by(const struct simdisk_change *change, uint64_t stamp)
{
    return change->stamp <= stamp && !change->in_limbo;
}

/* Cuts lo..hi out of the pending write at `at`. Returns how many changes are there now in its
 * place: none, it, or the two parts of it. */
static size_t cut_out(struct simdisk_inode *inode, size_t at, uint64_t lo, uint64_t hi)
{
    struct simdisk_change whole = inode->changes[at];
    struct simdisk_change parts[2];
    uint64_t end = whole.offset + whole.length;
    size_t count = 0;

    if (whole.offset < lo) {
        parts[count] = whole;
        parts[count++].length = lo - whole.offset;
    }
    if (hi < end) {
        parts[count] = whole;
        parts[count].offset = hi;
        parts[count].at += (size_t)(hi - whole.offset);
        parts[count++].length = end - hi;
    }
    mem_grow((void **)&inode->changes, &inode->change_cap, inode->change_count + 1,
             sizeof *inode->changes);
    memmove(inode->changes + at + count, inode->changes + at + 1,
            (inode->change_count - at - 1) * sizeof *inode->changes);
    memcpy(inode->changes + at, parts, count * sizeof *parts);
    inode->change_count += count;
    inode->change_count--;
    return count;
}

/* The write at `at` is to be durable. What a sync left in limbo of the same place before can then
 * not come back over it: the system has written the page as it is now. Returns where it is then. */
static size_t end_limbo_below(struct simdisk_inode *inode, size_t at)
{
    const struct simdisk_change later = inode->changes[at];
    uint64_t later_end = later.offset + later.length;

    for (size_t i = 0; i < at;) {
        const struct simdisk_change *change = &inode->changes[i];
        uint64_t end = change->offset + change->length;
        size_t count = 1;
        if (change->in_limbo && change->kind == SIMDISK_WRITE && later.offset < end &&
            change->offset < later_end) {
            count = cut_out(inode, i, later.offset, later_end);
            at = at + count - 1;
        }
        i += count;
    }
    return at;
}

/* Makes a file's changes up to `stamp` durable. */
static void settle_file(struct simdisk *d, struct simdisk_inode *inode, uint64_t stamp)
{
    bool is_last = true;
    size_t kept = 0;

    for (size_t i = 0; i < inode->change_count; i++) {
        if (inode->changes[i].kind == SIMDISK_WRITE && is_settled_by(&inode->changes[i], stamp)) {
            i = end_limbo_below(inode, i);
        }
    }
    for (size_t i = 0; i < inode->change_count && is_last; i++) {
        is_last = is_settled_by(&inode->changes[i], stamp);
    }
    for (size_t i = 0; i < inode->change_count; i++) {
        const struct simdisk_change *change = &inode->changes[i];
        if (is_settled_by(change, stamp)) {
            apply_change(d, inode, change, is_last);
        } else {
            inode->changes[kept++] = *change;
        }
    }
    keep_changes(inode, kept);
}

void simdisk_write_back(struct simdisk *d)
{
    for (size_t i = 0; i < d->inode_count; i++) {
        if (d->inodes[i] != NULL) {
            settle_file(d, d->inodes[i], d->stamp);
        }
    }
    for (size_t i = 0; i < d->name_change_count; i++) {
        apply_name_change(&d->stable, &d->name_changes[i]);
    }
    d->name_change_count = 0;
    simdisk_collect(d);
}

/* Was a sync that failed for this change? Not, where an earlier one had said OK and lied: then the
 * system was rid of it, and the disk has it in some cache. */
static bool is_failed_by(const struct simdisk_change *change, uint64_t stamp)
{
    return change->stamp <= stamp && !change->is_owed;
}

static void leave_in_limbo(struct simdisk_inode *inode, uint64_t stamp)
{
    for (size_t i = 0; i < inode->change_count; i++) {
        inode->changes[i].in_limbo |= is_failed_by(&inode->changes[i], stamp);
    }
}

/* Or the disk forgets them: what the host sees is what is stable, and what it changed since. */
static void forget_changes(struct simdisk *d, struct simdisk_inode *inode, uint64_t stamp)
{
    size_t kept = 0;

    simdisk_image_copy(&d->pool, &inode->live, &inode->stable);
    for (size_t i = 0; i < inode->change_count; i++) {
        const struct simdisk_change *change = &inode->changes[i];
        if (is_failed_by(change, stamp)) {
            continue;
        }
        inode->changes[kept++] = *change;
        if (change->kind == SIMDISK_WRITE) {
            simdisk_image_write(&d->pool, &inode->live, change->offset,
                                inode->written.data + change->at, (size_t)change->length);
        } else {
            apply_size(&d->pool, &inode->live, change);
        }
    }
    keep_changes(inode, kept);
}

/* Is the file or directory `path` an entry of the directory `dir` itself? */
static bool is_inside(const char *path, const char *dir)
{
    size_t n = strlen(dir);
    return path[0] != '\0' && world_parent_length(path) == n && memcmp(path, dir, n) == 0;
}

/* A rename across directories is durable once both were synced: each sync settles its half. */
static void settle_names(struct simdisk *d, const char *dir, uint64_t stamp)
{
    size_t kept = 0;

    for (size_t i = 0; i < d->name_change_count; i++) {
        struct simdisk_name_change *change = &d->name_changes[i];
        if (change->stamp <= stamp) {
            change->is_removed_synced |=
                change->removed[0] == '\0' || is_inside(change->removed, dir);
            change->is_set_synced |= change->set[0] == '\0' || is_inside(change->set, dir);
            if (change->is_removed_synced && change->is_set_synced) {
                apply_name_change(&d->stable, change);
                continue;
            }
        }
        d->name_changes[kept++] = *change;
    }
    d->name_change_count = kept;
}

/* The disk says that the changes up to `stamp` are durable. */
static void lie_about_file(struct simdisk_inode *inode, uint64_t stamp)
{
    for (size_t i = 0; i < inode->change_count; i++) {
        inode->changes[i].is_owed |= is_settled_by(&inode->changes[i], stamp);
    }
}

static void lie_about_names(struct simdisk *d, const char *dir, uint64_t stamp)
{
    for (size_t i = 0; i < d->name_change_count; i++) {
        struct simdisk_name_change *change = &d->name_changes[i];
        change->is_owed |= change->stamp <= stamp &&
                           (is_inside(change->removed, dir) || is_inside(change->set, dir));
    }
}

uint64_t simdisk_owed(const struct simdisk *d)
{
    uint64_t owed = 0;

    for (size_t i = 0; i < d->name_change_count; i++) {
        owed += d->name_changes[i].is_owed;
    }
    for (size_t i = 0; i < d->inode_count; i++) {
        for (size_t k = 0; d->inodes[i] != NULL && k < d->inodes[i]->change_count; k++) {
            owed += d->inodes[i]->changes[k].is_owed;
        }
    }
    return owed;
}

void simdisk_settle(struct simdisk *d, struct world_file_request *request)
{
    if (request->op == WORLD_SYNC_DIR && request->result == OK) {
        if (d->is_lying) {
            lie_about_names(d, request->path, request->ticket);
            return;
        }
        settle_names(d, request->path, request->ticket);
        simdisk_collect(d);
    }
    if (request->op == WORLD_SYNC && (size_t)request->fd < d->open_count &&
        d->open[request->fd].inode >= 0) {
        struct simdisk_inode *inode = d->inodes[d->open[request->fd].inode];
        if (request->result != OK && d->is_forgetful) {
            forget_changes(d, inode, request->ticket);
        } else if (request->result != OK) {
            leave_in_limbo(inode, request->ticket);
        } else if (d->is_lying) {
            lie_about_file(inode, request->ticket);
        } else {
            settle_file(d, inode, request->ticket);
        }
    }
}

uint64_t simdisk_hash(const struct simdisk *d, uint64_t seed)
{
    for (size_t i = 0; i < d->stable.count; i++) {
        const struct simdisk_name *name = &d->stable.names[i];
        seed = hash_bytes(seed, name->path, strlen(name->path));
        if (name->inode >= 0) {
            seed = simdisk_image_hash(&d->inodes[name->inode]->stable, seed);
        }
    }
    return seed;
}
