/*
 * The log against the least that durability costs: a loop which appends the same payloads, in the
 * same batches, to a plain file, and calls fdatasync after each. Both take turns on the same file
 * system, so that a noisy disk is noisy for both.
 *
 * `bench-wal DIR` runs below DIR (default /var/tmp), which must not be a file system in memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench.h"
#include "core/base/check.h"
#include "core/recovery/wal.h"
#include "world/linux/linux_world.h"

/* How long each side runs in a turn, and how many turns they take. */
#define TURN  (250 * NANOS_PER_MS)
#define TURNS 8

#define WRITERS 64

struct shape {
    uint32_t entries;
    uint32_t bytes; /* of each payload */
};

static const struct shape shapes[] = {{1, 128}, {1, 4000}, {16, 256}, {64, 1024}};

struct side {
    uint64_t batches;
    nanos spent;
};

static uint8_t payload[65536];

struct our_log {
    struct linux_world *lw;
    struct wal *wal;
    bool is_recovered;
    uint64_t seq;
    uint64_t durable;
    uint64_t index;
    uint64_t snapshot;
    uint32_t waiting;
};

static void heard_durable(void *ctx, uint64_t seq)
{
    struct our_log *o = ctx;
    o->durable = seq;
}

static void heard_status(void *ctx, enum wal_status status, enum err why)
{
    (void)ctx;
    fprintf(stderr, "bench-wal: the log's status is %d: %s\n", (int)status, err_text(why));
    CHECK(status == WAL_OK);
}

static void heard_recovered(void *owner, const struct wal_recovery *found)
{
    struct our_log *o = owner;
    CHECK(found->verdict == RECOVERY_EMPTY);
    o->is_recovered = true;
}

static void log_open(struct our_log *o, const char *root)
{
    const struct wal_config config = {
        .dir = "wal",
        .cluster = 1,
        .node = 1,
        .segment_bytes = WAL_SEGMENT_BYTES,
        .batch_bytes = WAL_BATCH_BYTES,
        .reserve_bytes = WAL_RESERVE_BYTES,
    };
    const struct wal_events events = {.ctx = o, .durable = heard_durable, .status = heard_status};

    CHECK(linux_world_open(root, &o->lw) == OK);
    o->wal = wal_new(linux_world_table(o->lw), &config, &events);
    wal_recover(o->wal, 0, 0, NULL, heard_recovered, o);
    while (!o->is_recovered) {
        (void)linux_world_poll(o->lw, NANOS_PER_S);
    }
    /* The second segment is being prepared; its zeros are not what is measured. */
    nanos until = bench_now() + NANOS_PER_S;
    while (bench_now() < until) {
        (void)linux_world_poll(o->lw, 10 * NANOS_PER_MS);
    }
}

static void log_append(struct our_log *o, struct shape shape)
{
    struct wal_entry entries[64];
    struct wal_append append = {
        .seq = o->seq + 1, .entries = entries, .entry_count = shape.entries};

    for (uint32_t i = 0; i < shape.entries; i++) {
        entries[i] = (struct wal_entry){++o->index, 1, 0, {payload, shape.bytes}};
    }
    enum err e = OK;
    while ((e = wal_append(o->wal, &append)) == ERR_BUSY) {
        wal_flush(o->wal);
        (void)linux_world_poll(o->lw, NANOS_PER_S);
    }
    CHECK(e == OK);
    o->seq++;
}

static void log_wait(struct our_log *o)
{
    wal_flush(o->wal);
    while (o->durable < o->seq) {
        (void)linux_world_poll(o->lw, NANOS_PER_S);
    }
}

/* Keeps the log short, as a node does: a marker now and then, and what is before it recycled. */
static void log_compact(struct our_log *o)
{
    if (o->index < o->snapshot + 4096) {
        return;
    }
    o->snapshot = o->index;
    const struct wal_append marker = {
        .seq = ++o->seq, .snapshot_index = o->snapshot, .snapshot_term = 1};
    CHECK(wal_append(o->wal, &marker) == OK);
    log_wait(o);
    wal_compact(o->wal, o->snapshot);
}

static void turn_ours(struct our_log *o, struct shape shape, struct side *side)
{
    log_compact(o);
    nanos began = bench_now();
    while (bench_now() - began < TURN) {
        log_append(o, shape);
        log_wait(o);
        side->batches++;
    }
    side->spent += bench_now() - began;
}

static void turn_bare(int fd, struct shape shape, struct side *side)
{
    nanos began = bench_now();
    while (bench_now() - began < TURN) {
        size_t n = (size_t)shape.entries * shape.bytes;
        CHECK(write(fd, payload, n) == (ssize_t)n);
        CHECK(fdatasync(fd) == 0);
        side->batches++;
    }
    side->spent += bench_now() - began;
}

/* N writers, each of which has one entry under way at a time. */
static double entries_per_sync(struct our_log *o)
{
    struct wal_counters before = wal_counters(o->wal);
    uint64_t answered = o->durable;

    for (int i = 0; i < WRITERS; i++) {
        log_append(o, (struct shape){1, 128});
    }
    nanos began = bench_now();
    while (bench_now() - began < 2 * NANOS_PER_S) {
        wal_flush(o->wal);
        (void)linux_world_poll(o->lw, NANOS_PER_S);
        for (; answered < o->durable; answered++) {
            log_append(o, (struct shape){1, 128});
        }
    }
    struct wal_counters after = wal_counters(o->wal);
    log_wait(o);
    return (double)(after.entries - before.entries) / (double)(after.syncs - before.syncs);
}

int main(int argc, char **argv)
{
    char root[256];
    char file[280];
    struct our_log o = {0};
    double worst = 1;

    (void)snprintf(root, sizeof root, "%s/novacron-bench-XXXXXX", argc > 1 ? argv[1] : "/var/tmp");
    if (mkdtemp(root) == NULL) {
        fprintf(stderr, "bench-wal: cannot make a directory %s: %s\n", root, strerror(errno));
        return 1;
    }
    (void)snprintf(file, sizeof file, "%s/bare", root);
    int fd = open(file, O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0600);
    CHECK(fd >= 0);
    log_open(&o, root);
    for (size_t i = 0; i < COUNT_OF(shapes); i++) {
        struct side ours = {0};
        struct side bare = {0};
        for (int turn = 0; turn < TURNS; turn++) {
            turn_bare(fd, shapes[i], &bare);
            turn_ours(&o, shapes[i], &ours);
        }
        double ratio = bench_rate(ours.batches, ours.spent) / bench_rate(bare.batches, bare.spent);
        printf(
            "%2u entries of %4u bytes: bare %.0f, ours %.0f durable batches a second, ratio %.2f\n",
            shapes[i].entries, shapes[i].bytes, bench_rate(bare.batches, bare.spent),
            bench_rate(ours.batches, ours.spent), ratio);
        worst = i == 0 || ratio < worst ? ratio : worst;
    }
    printf("the ratio reported is that of the worst of these; then %d writers at a time\n",
           WRITERS);
    double shared = entries_per_sync(&o);
    linux_world_close(o.lw);
    wal_free(o.wal);
    (void)close(fd);
    char command[300];
    (void)snprintf(command, sizeof command, "rm -r '%s'", root);
    CHECK(system(command) == 0);
    bench_report("wal_vs_fdatasync", worst, "ratio");
    bench_report("wal_entries_per_sync", shared, "entries");
    return 0;
}
