/*
 * Recovery against the disk: a log of a gibibyte and a snapshot of a quarter of one are read,
 * checked and decoded, and the same files are read from end to end by a plain loop. Before each,
 * the kernel is asked to forget them (without root it may keep some, which helps both alike).
 *
 * `bench-recovery DIR [MEBIBYTES]` runs below DIR (default /var/tmp).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/bench.h"
#include "core/base/check.h"
#include "core/recovery/snapshot_file.h"
#include "core/recovery/wal.h"
#include "world/linux/linux_world.h"

#define ENTRY_BYTES 2000
#define TURNS       3

struct node {
    struct linux_world *lw;
    struct wal *wal;
    uint64_t durable;
    bool is_over;
    uint64_t entries;
    uint64_t payload_bytes;
    enum recovery_verdict verdict;
};

static void learnt_durable(void *ctx, uint64_t seq)
{
    struct node *n = ctx;
    n->durable = seq;
}

static void learnt_recovered(void *owner, const struct wal_recovery *found)
{
    struct node *n = owner;
    n->verdict = found->verdict;
    n->is_over = true;
}

static void learnt_entry(void *ctx, const struct wal_entry *entry, bool is_repair)
{
    struct node *n = ctx;
    (void)is_repair;
    n->entries++;
    n->payload_bytes += entry->payload.len;
}

static void learnt_finished(void *ctx, enum err result)
{
    struct node *n = ctx;
    CHECK(result == OK);
    n->is_over = true;
}

static void learnt_payload(void *ctx, uint64_t offset, struct bytes payload)
{
    struct node *n = ctx;
    (void)offset;
    n->payload_bytes += payload.len;
}

static void learnt_loaded(void *ctx, const struct snapfile_found *found)
{
    struct node *n = ctx;
    CHECK(found->result == OK);
    n->is_over = true;
}

static void run_until_over(struct node *n)
{
    while (!n->is_over) {
        (void)linux_world_poll(n->lw, NANOS_PER_S);
    }
    n->is_over = false;
}

static void bench_node_open(struct node *n, const char *root)
{
    const struct wal_config config = {
        .dir = "wal",
        .cluster = 1,
        .node = 1,
        .segment_bytes = WAL_SEGMENT_BYTES,
        .batch_bytes = WAL_BATCH_BYTES,
        .reserve_bytes = WAL_RESERVE_BYTES,
    };
    const struct wal_events events = {.ctx = n, .durable = learnt_durable};
    const struct wal_scan_sink sink = {.ctx = n, .entry = learnt_entry};

    *n = (struct node){0};
    CHECK(linux_world_open(root, &n->lw) == OK);
    n->wal = wal_new(linux_world_table(n->lw), &config, &events);
    wal_recover(n->wal, 0, 0, &sink, learnt_recovered, n);
    run_until_over(n);
}

static void bench_node_close(struct node *n)
{
    linux_world_close(n->lw);
    wal_free(n->wal);
}

static void write_bench_log(struct node *n, uint64_t bytes)
{
    static uint8_t payload[ENTRY_BYTES];
    uint64_t seq = 0;

    for (uint64_t index = 1; index * ENTRY_BYTES < bytes;) {
        struct wal_entry entries[256];
        for (size_t i = 0; i < COUNT_OF(entries); i++) {
            entries[i] = (struct wal_entry){index++, 1, 0, {payload, sizeof payload}};
        }
        const struct wal_append append = {
            .seq = ++seq, .entries = entries, .entry_count = COUNT_OF(entries)};
        enum err e = OK;
        while ((e = wal_append(n->wal, &append)) == ERR_BUSY) {
            (void)linux_world_poll(n->lw, NANOS_PER_S);
        }
        CHECK(e == OK);
        wal_flush(n->wal);
    }
    while (n->durable < seq) {
        (void)linux_world_poll(n->lw, NANOS_PER_S);
    }
}

static void write_bench_snapshot(struct node *n, uint64_t bytes)
{
    static uint8_t payload[SNAPFILE_BLOCK_PAYLOAD];
    const struct snapfile_place place = {linux_world_table(n->lw), "snap", 1, NULL};
    struct snapfile_writer *w = snapfile_create(&place, 1, 1, (struct bytes){NULL, 0}, NULL, n);

    for (uint64_t at = 0; at < bytes; at += sizeof payload) {
        while (snapfile_put(w, (struct bytes){payload, sizeof payload}) == ERR_BUSY) {
            (void)linux_world_poll(n->lw, NANOS_PER_S);
        }
    }
    snapfile_finish(w, learnt_finished);
    run_until_over(n);
}

/* Calls `visit` with each file of the directory, opened. */
static uint64_t each_file(const char *root, const char *dir, uint64_t (*visit)(int fd))
{
    char path[600];
    uint64_t sum = 0;

    (void)snprintf(path, sizeof path, "%s/%s", root, dir);
    DIR *d = opendir(path);
    CHECK(d != NULL);
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        (void)snprintf(path, sizeof path, "%s/%s/%s", root, dir, e->d_name);
        int fd = e->d_name[0] == '.' ? -1 : open(path, O_RDONLY);
        if (fd >= 0) {
            sum += visit(fd);
            (void)close(fd);
        }
    }
    (void)closedir(d);
    return sum;
}

static uint64_t forget(int fd)
{
    (void)fdatasync(fd);
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    return 0;
}

static uint64_t read_through(int fd)
{
    static uint8_t buffer[1024 * 1024];
    uint64_t sum = 0;
    ssize_t n = 0;

    while ((n = read(fd, buffer, sizeof buffer)) > 0) {
        sum += (uint64_t)n;
    }
    return sum;
}

static nanos recover_once(const char *root, uint64_t *entries)
{
    struct node n;
    nanos began = bench_now();

    bench_node_open(&n, root);
    CHECK(n.verdict == RECOVERY_CLEAN);
    const struct snapfile_place place = {linux_world_table(n.lw), "snap", 1, NULL};
    const struct snapfile_sink sink = {&n, NULL, learnt_payload, learnt_loaded};
    snapfile_load(&place, &sink);
    run_until_over(&n);
    nanos spent = bench_now() - began;
    *entries = n.entries;
    bench_node_close(&n);
    return spent;
}

int main(int argc, char **argv)
{
    char root[256];
    char command[300];
    uint64_t log_bytes = (argc > 2 ? strtoull(argv[2], NULL, 10) : 1024) * 1024 * 1024;
    uint64_t entries = 0;
    nanos best_read = NANOS_FOREVER;
    nanos best_recovery = NANOS_FOREVER;
    struct node n;

    (void)snprintf(root, sizeof root, "%s/novacron-bench-XXXXXX", argc > 1 ? argv[1] : "/var/tmp");
    if (mkdtemp(root) == NULL) {
        fprintf(stderr, "bench-recovery: cannot make a directory %s: %s\n", root, strerror(errno));
        return 1;
    }
    bench_node_open(&n, root);
    write_bench_log(&n, log_bytes);
    write_bench_snapshot(&n, log_bytes / 4);
    bench_node_close(&n);
    for (int turn = 0; turn < TURNS; turn++) {
        (void)each_file(root, "wal", forget);
        (void)each_file(root, "snap", forget);
        nanos began = bench_now();
        uint64_t bytes =
            each_file(root, "wal", read_through) + each_file(root, "snap", read_through);
        nanos reading = bench_now() - began;
        (void)each_file(root, "wal", forget);
        (void)each_file(root, "snap", forget);
        nanos recovery = recover_once(root, &entries);
        printf("turn %d: %.0f MB, read in %.2f s, recovered (%llu entries) in %.2f s\n", turn + 1,
               (double)bytes / 1e6, (double)reading / 1e9, (unsigned long long)entries,
               (double)recovery / 1e9);
        best_read = u64_min(best_read, reading);
        best_recovery = u64_min(best_recovery, recovery);
    }
    (void)snprintf(command, sizeof command, "rm -r '%s'", root);
    CHECK(system(command) == 0);
    bench_report("recovery_vs_read", (double)best_read / (double)best_recovery, "ratio");
    return 0;
}
