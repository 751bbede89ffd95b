/* A real log on a real disk, whose process is killed in the middle: what it had been told durable
 * is there, what is there is right, and it goes on. */
#include "core/recovery/wal.h"

#include "tests/support/test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/check.h"
#include "world/linux/linux_world.h"

#define KILLS         6
#define PAYLOAD_BYTES 700

struct process {
    struct linux_world *lw;
    struct wal *wal;
    struct wal_recovery found;
    bool is_recovered;
    bool is_right;
    uint64_t last;
    uint64_t durable;
    int pipe; /* the child tells what is durable; -1: nobody listens */
};

static const struct wal_config config = {
    .dir = "wal",
    .cluster = 5,
    .node = 1,
    .segment_bytes = 256 * 1024,
    .batch_bytes = 64 * 1024,
    .reserve_bytes = 4096,
};

static void fill_payload(uint8_t *payload, uint64_t index)
{
    for (size_t i = 0; i < PAYLOAD_BYTES; i++) {
        payload[i] = (uint8_t)(index * 13 + i);
    }
}

static void child_told_entry(void *ctx, const struct wal_entry *entry, bool is_repair)
{
    struct process *p = ctx;
    uint8_t expected[PAYLOAD_BYTES];

    fill_payload(expected, entry->index);
    p->is_right &= !is_repair && entry->index == p->last + 1 &&
                   entry->payload.len == PAYLOAD_BYTES &&
                   memcmp(entry->payload.data, expected, PAYLOAD_BYTES) == 0;
    p->last = entry->index;
}

static void child_told_durable(void *ctx, uint64_t seq)
{
    struct process *p = ctx;
    p->durable = seq;
    if (p->pipe >= 0) {
        CHECK(write(p->pipe, &seq, sizeof seq) == sizeof seq);
    }
}

static void child_told_recovered(void *owner, const struct wal_recovery *found)
{
    struct process *p = owner;
    p->found = *found;
    p->is_recovered = true;
}

static void process_begin(struct process *p, const char *root, int pipe)
{
    const struct wal_events events = {.ctx = p, .durable = child_told_durable};
    const struct wal_scan_sink sink = {.ctx = p, .entry = child_told_entry};

    *p = (struct process){.pipe = pipe, .is_right = true};
    CHECK(linux_world_open(root, &p->lw) == OK);
    p->wal = wal_new(linux_world_table(p->lw), &config, &events);
    wal_recover(p->wal, 0, 0, &sink, child_told_recovered, p);
    while (!p->is_recovered) {
        (void)linux_world_poll(p->lw, NANOS_PER_S);
    }
}

/* Appends for ever; the sequence number of an append is its index. */
__attribute__((noreturn)) static void child_main(const char *root, int pipe)
{
    struct process p;
    uint8_t payload[PAYLOAD_BYTES];

    process_begin(&p, root, pipe);
    for (uint64_t index = p.last + 1;; index++) {
        fill_payload(payload, index);
        const struct wal_entry entry = {index, 1, 0, {payload, sizeof payload}};
        const struct wal_append append = {.seq = index, .entries = &entry, .entry_count = 1};
        while (wal_append(p.wal, &append) == ERR_BUSY) {
            (void)linux_world_poll(p.lw, NANOS_PER_S);
        }
        wal_flush(p.wal);
        (void)linux_world_poll(p.lw, index % 7 == 0 ? NANOS_PER_S : 0);
    }
}

/* Lives through one child; returns the last index it was told durable. */
static uint64_t kill_a_child(const char *root, uint64_t wanted)
{
    int ends[2];
    uint64_t durable = 0;
    uint64_t seq = 0;

    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)close(ends[0]);
        child_main(root, ends[1]);
    }
    (void)close(ends[1]);
    while (durable < wanted && read(ends[0], &seq, sizeof seq) == sizeof seq) {
        durable = seq;
    }
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    while (read(ends[0], &seq, sizeof seq) == sizeof seq) {
        durable = seq;
    }
    (void)close(ends[0]);
    return durable;
}

static void nothing_durable_is_lost_to_a_kill(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    char root[] = "/var/tmp/novacron-kill-XXXXXX";
    uint64_t last = 0;

    assert_non_null(mkdtemp(root));
    for (int i = 0; i < KILLS; i++) {
        uint64_t durable = kill_a_child(root, last + prng_range(&prng, 1, 600));
        struct process p;
        process_begin(&p, root, -1);
        assert_true(recovery_may_vote(p.found.verdict));
        assert_true(p.is_right);
        assert_true(p.last >= durable);
        assert_int_equal(p.found.state->last_index, p.last);
        last = p.last;
        linux_world_close(p.lw);
        wal_free(p.wal);
    }
    print_message("# %d kills, %llu entries\n", KILLS, (unsigned long long)last);
    char command[64];
    (void)snprintf(command, sizeof command, "rm -r %s", root);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_durable_is_lost_to_a_kill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
