/* What the log writes, by a thread or through the ring, as one direct write or plainly: the lane's
 * order holds, and the file holds what was written. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "tests/support/test.h"
#include "world/linux/linux_world.h"

#define FILE_BYTES (256 * 1024)
#define WRITE_MAX  (40 * 1024)
#define UNDER_WAY  16

struct disk {
    struct linux_world *lw;
    const struct world *world;
    char root[64];
    world_fd fd;
};

static void count_request(struct world_file_request *request)
{
    ++*(int *)request->owner;
}

static enum err disk_do(struct disk *d, struct world_file_request *request)
{
    int done = 0;
    request->done = count_request;
    request->owner = &done;
    world_submit(d->world, request);
    while (done == 0) {
        (void)linux_world_poll(d->lw, NANOS_PER_S);
    }
    return request->result;
}

/* A file of zeros, all of them durable. */
static void disk_open(struct disk *d, const char *below, bool ring)
{
    (void)snprintf(d->root, sizeof d->root, "%s/novacron-log-XXXXXX", below);
    assert_non_null(mkdtemp(d->root));
    assert_int_equal(linux_world_open(d->root, &d->lw), OK);
    if (ring && linux_world_use_ring(d->lw) != OK) {
        print_message("# there is no io_uring here: a thread does it\n");
    }
    d->world = linux_world_table(d->lw);
    struct world_file_request open = {
        .op = WORLD_OPEN, .path = "log", .flags = WORLD_OPEN_CREATE, .lane = WORLD_LANE_BULK};
    assert_int_equal(disk_do(d, &open), OK);
    d->fd = open.fd;
    struct world_file_request prepare = {
        .op = WORLD_PREALLOCATE, .fd = d->fd, .length = FILE_BYTES, .lane = WORLD_LANE_BULK};
    assert_int_equal(disk_do(d, &prepare), OK);
    struct world_file_request sync = {.op = WORLD_SYNC, .fd = d->fd, .lane = WORLD_LANE_BULK};
    assert_int_equal(disk_do(d, &sync), OK);
}

static void disk_close(struct disk *d)
{
    char command[96];
    linux_world_close(d->lw);
    (void)snprintf(command, sizeof command, "rm -r %s", d->root);
    assert_int_equal(system(command), 0);
}

/* One write and its sync, submitted together. */
static void disk_commit(struct disk *d, uint8_t *bytes, uint64_t offset, uint64_t n)
{
    int done = 0;
    struct world_file_request write = {.op = WORLD_WRITE,
                                       .fd = d->fd,
                                       .buffer = bytes,
                                       .length = n,
                                       .offset = offset,
                                       .done = count_request,
                                       .owner = &done};
    struct world_file_request sync = {
        .op = WORLD_SYNC, .fd = d->fd, .done = count_request, .owner = &done};
    world_submit(d->world, &write);
    world_submit(d->world, &sync);
    assert_int_equal(done, 0);
    while (done < 2) {
        (void)linux_world_poll(d->lw, NANOS_PER_S);
    }
    assert_int_equal(write.result, OK);
    assert_int_equal(write.count, n);
    assert_int_equal(sync.result, OK);
}

static bool commits_at_once(struct disk *d)
{
    uint8_t block[WORLD_SECTOR_BYTES] = {0};
    uint64_t before = linux_world_commits(d->lw);
    disk_commit(d, block, 0, sizeof block);
    if (linux_world_commits(d->lw) > before) {
        return true;
    }
    print_message("# no direct writes here\n");
    return false;
}

static void only_what_is_whole_sectors_and_clean_is_direct(void **state)
{
    struct disk d;
    static uint8_t bytes[2 * WORLD_SECTOR_BYTES];
    (void)state;
    disk_open(&d, "/var/tmp", false);
    if (!commits_at_once(&d)) {
        disk_close(&d);
        skip();
    }
    disk_commit(&d, bytes, 512, 1024);
    assert_int_equal(linux_world_commits(d.lw), 2);
    disk_commit(&d, bytes, 512, 1000); /* not whole sectors */
    disk_commit(&d, bytes, 100, 512);  /* not at one */
    assert_int_equal(linux_world_commits(d.lw), 2);
    disk_commit(&d, bytes, 0, 512);
    assert_int_equal(linux_world_commits(d.lw), 3);
    /* A write that was not synced makes the next sync a real one; then all is clean again. */
    struct world_file_request write = {.op = WORLD_WRITE,
                                       .fd = d.fd,
                                       .buffer = bytes,
                                       .length = 512,
                                       .offset = 4096,
                                       .lane = WORLD_LANE_BULK};
    assert_int_equal(disk_do(&d, &write), OK);
    disk_commit(&d, bytes, 0, 512);
    assert_int_equal(linux_world_commits(d.lw), 3);
    disk_commit(&d, bytes, 0, 512);
    assert_int_equal(linux_world_commits(d.lw), 4);
    /* Also one through another descriptor of the file. */
    struct world_file_request again = {.op = WORLD_OPEN, .path = "log", .flags = WORLD_OPEN_WRITE};
    assert_int_equal(disk_do(&d, &again), OK);
    write.fd = again.fd;
    assert_int_equal(disk_do(&d, &write), OK);
    disk_commit(&d, bytes, 0, 512);
    assert_int_equal(linux_world_commits(d.lw), 4);
    disk_commit(&d, bytes, 0, 512);
    assert_int_equal(linux_world_commits(d.lw), 5);
    disk_close(&d);
}

static void a_file_that_was_just_opened_is_not_trusted(void **state)
{
    struct disk d;
    uint8_t block[512] = {0};
    (void)state;
    disk_open(&d, "/var/tmp", false);
    if (!commits_at_once(&d)) {
        disk_close(&d);
        skip();
    }
    uint64_t before = linux_world_commits(d.lw);
    struct world_file_request request = {.op = WORLD_CLOSE, .fd = d.fd};
    assert_int_equal(disk_do(&d, &request), OK);
    request =
        (struct world_file_request){.op = WORLD_OPEN, .path = "log", .flags = WORLD_OPEN_WRITE};
    assert_int_equal(disk_do(&d, &request), OK);
    d.fd = request.fd;
    disk_commit(&d, block, 0, sizeof block);
    assert_int_equal(linux_world_commits(d.lw), before);
    disk_commit(&d, block, 0, sizeof block);
    assert_int_equal(linux_world_commits(d.lw), before + 1);
    disk_close(&d);
}

/* --- any mixture ----------------------------------------------------------------------------- */

struct stepper {
    struct disk disk;
    uint8_t model[FILE_BYTES];
    struct world_file_request requests[UNDER_WAY];
    bool is_under_way[UNDER_WAY];
    uint64_t order[UNDER_WAY]; /* of submission */
    uint8_t *buffers[UNDER_WAY];
    uint64_t submitted;
    uint64_t completed;
    bool syncs_next; /* as the log does, mostly */
};

static void stepper_done(struct world_file_request *request)
{
    struct stepper *s = request->owner;
    size_t i = (size_t)(request - s->requests);
    assert_true(s->is_under_way[i]);
    assert_int_equal(s->order[i], s->completed); /* one lane: in order */
    assert_int_equal(request->result, OK);
    s->is_under_way[i] = false;
    s->completed++;
}

static void stepper_submit(struct stepper *s, struct prng *prng)
{
    size_t i = 0;
    while (i < UNDER_WAY && s->is_under_way[i]) {
        i++;
    }
    if (i == UNDER_WAY || (s->submitted == s->completed + 8 && prng_chance(prng, 1, 2))) {
        (void)linux_world_poll(s->disk.lw, NANOS_PER_S);
        return;
    }
    struct world_file_request *r = &s->requests[i];
    *r = (struct world_file_request){.fd = s->disk.fd, .done = stepper_done, .owner = s};
    s->is_under_way[i] = true;
    s->order[i] = s->submitted++;
    bool syncs = s->syncs_next;
    s->syncs_next = false;
    if (!syncs && prng_chance(prng, 7, 8)) {
        bool aligned = prng_chance(prng, 15, 16);
        s->syncs_next = prng_chance(prng, 15, 16);
        r->op = WORLD_WRITE;
        r->length = prng_range(prng, 1, WRITE_MAX);
        r->offset = prng_below(prng, FILE_BYTES - WRITE_MAX);
        if (aligned) {
            r->length = (r->length + 511) / 512 * 512;
            r->offset -= r->offset % 512;
        }
        r->buffer = s->buffers[i] + prng_below(prng, 8) * 64;
        for (uint64_t k = 0; k < r->length; k++) {
            r->buffer[k] = (uint8_t)(prng_u64(prng) >> 56);
        }
        memcpy(s->model + r->offset, r->buffer, (size_t)r->length);
    } else if (syncs || prng_chance(prng, 1, 2)) {
        r->op = WORLD_SYNC;
    } else {
        r->op = WORLD_STAT;
        r->path = "log";
    }
    world_submit(s->disk.world, r);
    if (prng_chance(prng, 1, 2)) {
        (void)linux_world_poll(s->disk.lw, prng_chance(prng, 1, 2) ? NANOS_PER_S : 0);
    }
}

static void any_mixture(struct prng prng, const char *below, bool ring)
{
    struct stepper *s = calloc(1, sizeof *s);
    static uint8_t found[FILE_BYTES];

    disk_open(&s->disk, below, ring);
    for (size_t i = 0; i < UNDER_WAY; i++) {
        s->buffers[i] = malloc(WRITE_MAX + 1024);
    }
    for (size_t i = 0; i < test_rounds(400); i++) {
        stepper_submit(s, &prng);
    }
    while (s->completed < s->submitted) {
        (void)linux_world_poll(s->disk.lw, NANOS_PER_S);
    }
    print_message("# %llu requests, %llu commits\n", (unsigned long long)s->submitted,
                  (unsigned long long)linux_world_commits(s->disk.lw));
    struct world_file_request read = {.op = WORLD_READ,
                                      .fd = s->disk.fd,
                                      .buffer = found,
                                      .length = FILE_BYTES,
                                      .lane = WORLD_LANE_BULK};
    assert_int_equal(disk_do(&s->disk, &read), OK);
    assert_int_equal(read.count, FILE_BYTES);
    assert_memory_equal(found, s->model, FILE_BYTES);
    disk_close(&s->disk);
    for (size_t i = 0; i < UNDER_WAY; i++) {
        free(s->buffers[i]);
    }
    free(s);
}

static void any_mixture_keeps_order_and_bytes_on_a_disk(void **state)
{
    (void)state;
    any_mixture(test_prng(__func__), "/var/tmp", false);
}

static void any_mixture_keeps_order_and_bytes_in_memory(void **state)
{
    (void)state;
    any_mixture(test_prng(__func__), "/dev/shm", false);
}

static void any_mixture_keeps_order_and_bytes_through_the_ring(void **state)
{
    (void)state;
    any_mixture(test_prng(__func__), "/var/tmp", true);
}

static void an_error_of_a_direct_write_is_told_to_both(void **state)
{
    struct disk d;
    int done = 0;
    uint8_t block[512] = {0};
    (void)state;
    disk_open(&d, "/var/tmp", false);
    if (!commits_at_once(&d)) {
        disk_close(&d);
        skip();
    }
    /* Beyond what any file may be long. */
    struct world_file_request write = {.op = WORLD_WRITE,
                                       .fd = d.fd,
                                       .buffer = block,
                                       .length = sizeof block,
                                       .offset = 1ULL << 62,
                                       .done = count_request,
                                       .owner = &done};
    struct world_file_request sync = {
        .op = WORLD_SYNC, .fd = d.fd, .done = count_request, .owner = &done};
    world_submit(d.world, &write);
    world_submit(d.world, &sync);
    while (done < 2) {
        (void)linux_world_poll(d.lw, NANOS_PER_S);
    }
    assert_true(write.result != OK);
    disk_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_is_whole_sectors_and_clean_is_direct),
        cmocka_unit_test(a_file_that_was_just_opened_is_not_trusted),
        cmocka_unit_test(any_mixture_keeps_order_and_bytes_on_a_disk),
        cmocka_unit_test(any_mixture_keeps_order_and_bytes_in_memory),
        cmocka_unit_test(any_mixture_keeps_order_and_bytes_through_the_ring),
        cmocka_unit_test(an_error_of_a_direct_write_is_told_to_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
