/*
 * Memory for what is written once and read seldom (world.h, "Memory"): plain pages at first; once
 * settled they are written to a file without a name in the world's root, by a thread of their own,
 * and the file is mapped in their place. From then on they are the kernel's page cache, which takes
 * them from memory as it sees fit, and brings them back at a fault.
 *
 * Whatever goes wrong on the way (no such files, a full disk, a failed write) leaves the pages as
 * they were: they cost memory. So does what is above the limits below. The file's blocks are used
 * again, and given back when nothing is left in them.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "world/linux/linux_world_int.h"

/* Mappings of the file: a process has 65,530 of all kinds, by default. */
#define MEMORY_MAPPINGS_MAX 32768

/* Nothing is written where a file system has less free, in bytes: the log and the snapshots come
 * first. */
#define MEMORY_SPACE_MIN (1024ULL * 1024 * 1024)

/* What the kernel maps around a fault is aligned to this, in bytes, and should not reach into the
 * next piece. */
#define MEMORY_ALIGN (64U * 1024)

/* A range of the file that is free. */
struct memory_hole {
    uint64_t offset;
    uint64_t length;
};

struct linux_memory_file {
    int fd; /* -1: it cannot be had */
    uint64_t end;
    struct memory_hole *holes;
    size_t hole_count;
    size_t hole_cap;
    size_t mappings;                    /* ranges in use, those under way included */
    struct world_file_request emptying; /* cuts it to nothing */
    bool is_emptied;                    /* that is under way */
};

struct world_memory {
    struct linux_world *lw; /* NULL: it was closed; the pages stay */
    struct world_memory *next;
    struct world_memory *prev;
    uint8_t *bytes;
    size_t length;   /* whole pages */
    uint64_t offset; /* in the file */
    struct world_file_request write;
    bool is_under_way; /* being written */
    bool is_mapped;    /* from the file */
    bool is_given;     /* back, while it was under way */
};

/* Pages at a multiple of MEMORY_ALIGN. */
static uint8_t *memory_map(size_t length)
{
    uint8_t *all = mmap(NULL, length + MEMORY_ALIGN, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(all != MAP_FAILED);
    size_t before = (MEMORY_ALIGN - (uintptr_t)all % MEMORY_ALIGN) % MEMORY_ALIGN;
    size_t behind = MEMORY_ALIGN - before;
    CHECK(before == 0 || munmap(all, before) == 0);
    CHECK(behind == 0 || munmap(all + before + length, behind) == 0);
    return all + before;
}

static struct world_memory *memory_take(void *self, size_t bytes, uint8_t **ret)
{
    struct linux_world *lw = self;
    struct world_memory *m = mem_alloc_zero(sizeof *m);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    m->lw = lw;
    m->length = (bytes + page - 1) / page * page;
    m->bytes = memory_map(m->length);
    m->next = lw->memory;
    if (m->next != NULL) {
        m->next->prev = m;
    }
    lw->memory = m;
    *ret = m->bytes;
    return m;
}

static void memory_unlink(struct world_memory *m)
{
    if (m->next != NULL) {
        m->next->prev = m->prev;
    }
    if (m->prev != NULL) {
        m->prev->next = m->next;
    } else {
        m->lw->memory = m->next;
    }
}

static void memory_free(struct world_memory *m)
{
    CHECK(munmap(m->bytes, m->length) == 0);
    mem_free(m);
}

/* --- the file -------------------------------------------------------------------------------- */

static struct linux_memory_file *memory_file(struct linux_world *lw)
{
    if (lw->memory_file == NULL) {
        struct linux_memory_file *file = mem_alloc_zero(sizeof *file);
        file->fd = openat(lw->root, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        lw->memory_file = file;
    }
    return lw->memory_file;
}

static bool file_has_room(const struct linux_memory_file *file)
{
    struct statvfs space;

    return file->fd >= 0 && !file->is_emptied && file->mappings < MEMORY_MAPPINGS_MAX &&
           fstatvfs(file->fd, &space) == 0 &&
           (uint64_t)space.f_bavail * space.f_frsize >= MEMORY_SPACE_MIN;
}

/* A range of just this length that is free, or the end. */
static uint64_t file_take(struct linux_memory_file *file, uint64_t length)
{
    file->mappings++;
    for (size_t i = 0; i < file->hole_count; i++) {
        if (file->holes[i].length == length) {
            uint64_t offset = file->holes[i].offset;
            file->holes[i] = file->holes[--file->hole_count];
            return offset;
        }
    }
    file->end += length;
    return file->end - length;
}

static void file_on_emptied(struct world_file_request *request)
{
    struct linux_memory_file *file = request->owner;

    file->is_emptied = false; /* if it failed, the blocks are used again all the same */
}

static void file_give(struct linux_world *lw, uint64_t offset, uint64_t length)
{
    struct linux_memory_file *file = lw->memory_file;

    if (--file->mappings > 0) {
        mem_grow((void **)&file->holes, &file->hole_cap, file->hole_count + 1, sizeof *file->holes);
        file->holes[file->hole_count++] = (struct memory_hole){offset, length};
        return;
    }
    file->hole_count = 0;
    file->end = 0;
    file->is_emptied = true;
    file->emptying = (struct world_file_request){.op = WORLD_TRUNCATE,
                                                 .lane = LINUX_LANE_MEMORY,
                                                 .fd = file->fd,
                                                 .done = file_on_emptied,
                                                 .owner = file};
    linux_lane_dispatch(lw, &file->emptying);
}

/* --- a piece --------------------------------------------------------------------------------- */

static void memory_on_written(struct world_file_request *request)
{
    struct world_memory *m = request->owner;

    m->is_under_way = false;
    if (m->is_given || request->result != OK) {
        file_give(m->lw, m->offset, m->length);
        if (m->is_given) {
            memory_unlink(m);
            memory_free(m);
        }
        return;
    }
    void *at = mmap(m->bytes, m->length, PROT_READ, MAP_SHARED | MAP_FIXED, m->lw->memory_file->fd,
                    (off_t)m->offset);
    CHECK(at == m->bytes); /* the old pages are gone */
    m->is_mapped = true;
}

static void memory_settle(struct world_memory *m)
{
    CHECK(!m->is_under_way && !m->is_mapped);
    if (m->lw == NULL || !file_has_room(memory_file(m->lw))) {
        return;
    }
    m->offset = file_take(m->lw->memory_file, m->length);
    m->write = (struct world_file_request){.op = WORLD_WRITE,
                                           .lane = LINUX_LANE_MEMORY,
                                           .fd = m->lw->memory_file->fd,
                                           .buffer = m->bytes,
                                           .length = m->length,
                                           .offset = m->offset,
                                           .done = memory_on_written,
                                           .owner = m};
    m->is_under_way = true;
    linux_lane_dispatch(m->lw, &m->write);
}

static void memory_rest(struct world_memory *m)
{
    if (m->is_mapped) {
        (void)madvise(m->bytes, m->length, MADV_DONTNEED); /* the file has it */
    }
}

static void memory_give(struct world_memory *m)
{
    if (m->is_under_way) {
        m->is_given = true;
        return;
    }
    if (m->lw != NULL) {
        memory_unlink(m);
        if (m->is_mapped) {
            file_give(m->lw, m->offset, m->length);
        }
    }
    memory_free(m);
}

const struct world_memory_ops linux_memory_ops = {
    .take = memory_take,
    .settle = memory_settle,
    .rest = memory_rest,
    .give = memory_give,
};

/* The threads have ended: what was under way was written or not, and is where it was. */
void linux_memory_close(struct linux_world *lw)
{
    while (lw->memory != NULL) {
        struct world_memory *m = lw->memory;
        memory_unlink(m);
        m->lw = NULL;
        m->is_under_way = false;
        if (m->is_given) {
            memory_free(m);
        }
    }
    if (lw->memory_file != NULL) {
        if (lw->memory_file->fd >= 0) {
            (void)close(lw->memory_file->fd);
        }
        mem_free(lw->memory_file->holes);
        mem_free(lw->memory_file);
    }
}
