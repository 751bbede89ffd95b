/*
 * The ways of the log's writes, one under way at a time, as the log has them: a direct and durable
 * write, by the lane's thread or through io_uring, against a bare write and sync. All take turns on
 * the same file system, so that a noisy disk is noisy for all.
 *
 * `bench-files DIR` runs below DIR (default /var/tmp), which must not be a file system in memory.
 * CPU is that of this process: what the kernel's own threads spend on its behalf is not in it
 * (docs/benchmarks.md).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "bench/bench.h"
#include "core/base/check.h"
#include "world/linux/linux_world.h"

#define FILE_BYTES (64 * 1024 * 1024)

/* How long each side runs in a turn, and how many turns they take. */
#define TURN  (250 * NANOS_PER_MS)
#define TURNS 6

#define SAMPLES_MAX 200000

static const uint32_t sizes[] = {512, 4096, 65536, 262144};

enum { WAY_THREAD, WAY_RING, WAY_PLAIN, WAYS };
static const char *const way_names[] = {"thread", "ring", "plain"};

struct way {
    const char *name;
    uint32_t less; /* bytes short of whole sectors, so that it is a plain write and a sync */
    struct linux_world *lw;
    world_fd fd;
    uint64_t offset;
    uint64_t *samples;
    size_t count;
    nanos cpu;
    nanos spent;
};

static uint8_t block[262144];

static nanos cpu_now(void)
{
    struct rusage r;
    CHECK(getrusage(RUSAGE_SELF, &r) == 0);
    return ((nanos)r.ru_utime.tv_sec + (nanos)r.ru_stime.tv_sec) * NANOS_PER_S +
           ((nanos)r.ru_utime.tv_usec + (nanos)r.ru_stime.tv_usec) * NANOS_PER_US;
}

static void note_done(struct world_file_request *request)
{
    CHECK(request->result == OK);
    *(bool *)request->owner = true;
}

static void way_do(struct way *w, struct world_file_request *request)
{
    bool is_done = false;
    request->done = note_done;
    request->owner = &is_done;
    world_submit(linux_world_table(w->lw), request);
    while (!is_done) {
        (void)linux_world_poll(w->lw, NANOS_PER_S);
    }
}

static void way_open(struct way *w, const char *root, int which)
{
    CHECK(linux_world_open(root, &w->lw) == OK);
    if (which == WAY_RING && linux_world_use_ring(w->lw) != OK) {
        printf("there is no io_uring here: ring is what thread is\n");
    }
    w->name = way_names[which];
    w->less = which == WAY_PLAIN ? 1 : 0;
    w->samples = malloc(SAMPLES_MAX * sizeof *w->samples);
    struct world_file_request open = {
        .op = WORLD_OPEN, .path = w->name, .flags = WORLD_OPEN_CREATE, .lane = WORLD_LANE_BULK};
    way_do(w, &open);
    w->fd = open.fd;
    struct world_file_request prepare = {
        .op = WORLD_PREALLOCATE, .fd = w->fd, .length = FILE_BYTES, .lane = WORLD_LANE_BULK};
    way_do(w, &prepare);
    struct world_file_request sync = {.op = WORLD_SYNC, .fd = w->fd, .lane = WORLD_LANE_BULK};
    way_do(w, &sync);
}

static void way_commit(struct way *w, uint32_t size)
{
    bool is_written = false;
    bool is_synced = false;
    struct world_file_request write = {.op = WORLD_WRITE,
                                       .fd = w->fd,
                                       .buffer = block,
                                       .length = size - w->less,
                                       .offset = w->offset,
                                       .done = note_done,
                                       .owner = &is_written};
    struct world_file_request sync = {
        .op = WORLD_SYNC, .fd = w->fd, .done = note_done, .owner = &is_synced};
    world_submit(linux_world_table(w->lw), &write);
    world_submit(linux_world_table(w->lw), &sync);
    while (!is_synced) {
        (void)linux_world_poll(w->lw, NANOS_PER_S);
    }
    w->offset = w->offset + size + sizeof block > FILE_BYTES ? 0 : w->offset + size;
}

static void way_turn(struct way *w, uint32_t size)
{
    nanos began = bench_now();
    nanos cpu = cpu_now();
    nanos now = began;
    while (now - began < TURN && w->count < SAMPLES_MAX) {
        way_commit(w, size);
        nanos done = bench_now();
        w->samples[w->count++] = done - now;
        now = done;
    }
    w->spent += now - began;
    w->cpu += cpu_now() - cpu;
}

static int compare_samples(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* In microseconds. */
static double way_quantile(struct way *w, size_t hundredths)
{
    qsort(w->samples, w->count, sizeof *w->samples, compare_samples);
    return (double)w->samples[w->count * hundredths / 100] / (double)NANOS_PER_US;
}

static double way_cpu(const struct way *w)
{
    return (double)w->cpu / (double)w->count / (double)NANOS_PER_US;
}

static void compare_at(struct way *ways, uint32_t size)
{
    for (size_t i = 0; i < WAYS; i++) {
        ways[i].count = 0;
        ways[i].cpu = 0;
        ways[i].spent = 0;
    }
    for (int turn = 0; turn < TURNS; turn++) {
        for (size_t i = 0; i < WAYS; i++) {
            way_turn(&ways[i], size);
        }
    }
    for (size_t i = 0; i < WAYS; i++) {
        struct way *w = &ways[i];
        printf("%6u bytes, %-6s: p50 %.0f us, p99 %.0f us, %.0f a second, %.0f MB/s, %.1f us of "
               "CPU each\n",
               size, w->name, way_quantile(w, 50), way_quantile(w, 99),
               bench_rate(w->count, w->spent), bench_rate(w->count, w->spent) * size / 1e6,
               way_cpu(w));
    }
}

int main(int argc, char **argv)
{
    char root[256];
    char command[300];
    struct way ways[WAYS] = {0};

    (void)snprintf(root, sizeof root, "%s/novacron-bench-XXXXXX", argc > 1 ? argv[1] : "/var/tmp");
    if (mkdtemp(root) == NULL) {
        perror("bench-files: cannot make a directory");
        return 1;
    }
    printf("one write and its sync at a time, into prepared files of %d MiB below %s\n",
           FILE_BYTES / 1024 / 1024, root);
    for (int i = 0; i < WAYS; i++) {
        way_open(&ways[i], root, i);
        way_commit(&ways[i], 512);
    }
    if (linux_world_commits(ways[WAY_THREAD].lw) == 0) {
        printf("this file system has no direct writes: all ways are plain\n");
    }
    for (size_t i = COUNT_OF(sizes); i > 0; i--) {
        compare_at(ways, sizes[i - 1]);
    }
    for (int i = 0; i < WAYS; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "files_%s_p50", way_names[i]);
        bench_report(name, way_quantile(&ways[i], 50), "us");
        (void)snprintf(name, sizeof name, "files_%s_cpu", way_names[i]);
        bench_report(name, way_cpu(&ways[i]), "us");
        linux_world_close(ways[i].lw);
        free(ways[i].samples);
    }
    (void)snprintf(command, sizeof command, "rm -r '%s'", root);
    CHECK(system(command) == 0);
    return 0;
}
