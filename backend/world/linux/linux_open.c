/*
 * Which files are open for writing, and whether all that was written to them is durable: only then
 * may a sync be left out, because the write before it was durable in itself. Files are known by
 * their inode, as one may be open twice. The loop's thread alone looks at this.
 *
 * A file counts changes that were given to a thread, and knows which count the last sync that
 * succeeded had seen. What was done to it before it was opened is a change.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "world/linux/linux_world_int.h"

struct linux_inode {
    struct linux_inode *next;
    dev_t device;
    ino_t number;
    uint32_t references;
    uint64_t changes;
    uint64_t synced;
    bool has_no_direct; /* its file system knows no direct writes like ours */
};

struct linux_open {
    struct linux_inode *inode; /* NULL: not open, or only for reading */
    int direct_fd;             /* -1: none yet */
};

struct linux_opens {
    struct linux_inode *inodes;
    struct linux_open *by_fd;
    size_t cap;
};

static struct linux_open *open_find(struct linux_world *lw, world_fd fd)
{
    struct linux_opens *opens = lw->opens;

    if (opens == NULL || fd < 0 || (size_t)fd >= opens->cap || opens->by_fd[fd].inode == NULL) {
        return NULL;
    }
    return &opens->by_fd[fd];
}

static struct linux_inode *open_inode_of(struct linux_opens *opens, const struct stat *st)
{
    for (struct linux_inode *inode = opens->inodes; inode != NULL; inode = inode->next) {
        if (inode->device == st->st_dev && inode->number == st->st_ino) {
            inode->references++;
            return inode;
        }
    }
    struct linux_inode *inode = mem_alloc_zero(sizeof *inode);
    inode->device = st->st_dev;
    inode->number = st->st_ino;
    inode->references = 1;
    inode->changes = 1;
    inode->next = opens->inodes;
    opens->inodes = inode;
    return inode;
}

static void inode_release(struct linux_opens *opens, struct linux_inode *inode)
{
    if (--inode->references > 0) {
        return;
    }
    struct linux_inode **at = &opens->inodes;
    while (*at != inode) {
        CHECK(*at != NULL);
        at = &(*at)->next;
    }
    *at = inode->next;
    mem_free(inode);
}

static void open_add(struct linux_world *lw, world_fd fd)
{
    struct stat st;

    if (fstat(fd, &st) != 0) {
        return;
    }
    if (lw->opens == NULL) {
        lw->opens = mem_alloc_zero(sizeof *lw->opens);
    }
    struct linux_opens *opens = lw->opens;
    size_t before = opens->cap;
    mem_grow((void **)&opens->by_fd, &opens->cap, (size_t)fd + 1, sizeof *opens->by_fd);
    for (size_t i = before; i < opens->cap; i++) {
        opens->by_fd[i] = (struct linux_open){NULL, -1};
    }
    CHECK(opens->by_fd[fd].inode == NULL);
    opens->by_fd[fd].inode = open_inode_of(opens, &st);
}

void linux_opens_remove(struct linux_world *lw, world_fd fd)
{
    struct linux_open *open = open_find(lw, fd);

    if (open == NULL) {
        return;
    }
    if (open->direct_fd >= 0) {
        (void)close(open->direct_fd);
    }
    inode_release(lw->opens, open->inode);
    *open = (struct linux_open){NULL, -1};
}

static bool changes_its_file(const struct world_file_request *request)
{
    return request->op == WORLD_WRITE || request->op == WORLD_PREALLOCATE ||
           request->op == WORLD_TRUNCATE;
}

void linux_opens_note(struct linux_world *lw, struct world_file_request *request)
{
    struct linux_open *open =
        changes_its_file(request) || request->op == WORLD_SYNC ? open_find(lw, request->fd) : NULL;

    if (open != NULL) {
        open->inode->changes += changes_its_file(request) ? 1 : 0;
        request->ticket = open->inode->changes;
    }
}

void linux_opens_learn(struct linux_world *lw, const struct world_file_request *request)
{
    if (request->op == WORLD_OPEN && request->result == OK &&
        (request->flags & (WORLD_OPEN_WRITE | WORLD_OPEN_CREATE)) != 0) {
        open_add(lw, request->fd);
    }
    struct linux_open *open =
        changes_its_file(request) || request->op == WORLD_SYNC ? open_find(lw, request->fd) : NULL;
    if (open == NULL) {
        return;
    }
    if (request->result != OK) {
        open->inode->changes++; /* the file holds who knows what */
    } else if (request->op == WORLD_SYNC) {
        open->inode->synced = u64_max(open->inode->synced, request->ticket);
        open->inode->has_no_direct |= request->count != 0;
    }
}

int linux_opens_direct(struct linux_world *lw, world_fd fd)
{
    struct linux_open *open_file = open_find(lw, fd);
    char path[32];

    if (open_file == NULL || open_file->inode->has_no_direct ||
        open_file->inode->changes != open_file->inode->synced) {
        return -1;
    }
    if (open_file->direct_fd < 0) {
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        open_file->direct_fd = open(path, O_WRONLY | O_DIRECT | O_DSYNC | O_CLOEXEC);
        open_file->inode->has_no_direct = open_file->direct_fd < 0;
    }
    return open_file->direct_fd;
}

void linux_opens_close(struct linux_world *lw)
{
    struct linux_opens *opens = lw->opens;

    for (size_t fd = 0; opens != NULL && fd < opens->cap; fd++) {
        linux_opens_remove(lw, (world_fd)fd);
    }
    if (opens != NULL) {
        mem_free(opens->by_fd);
        mem_free(opens);
    }
}
