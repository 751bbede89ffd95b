/* The contract of core/world/world.h's files and timers, held against both worlds: what the
 * simulated disk promises to the log is what the real one keeps. (What power loss takes only the
 * simulated one can show: tests/core/chaos.) */
#include "core/world/world.h"

#include "tests/support/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/base/check.h"
#include "core/chaos/simworld.h"
#include "world/linux/linux_world.h"

/* One of the two. */
struct bench {
    const struct world *world;
    struct simworld *sim;
    struct linux_world *lw;
    char root[64];
};

static void bench_open_sim(struct bench *b)
{
    b->sim = simworld_new(1);
    b->world = simhost_world(simhost_new(b->sim, "a", 1 << 24));
}

static void bench_open_linux(struct bench *b)
{
    (void)snprintf(b->root, sizeof b->root, "/tmp/novacron-world-XXXXXX");
    assert_non_null(mkdtemp(b->root));
    assert_int_equal(linux_world_open(b->root, &b->lw), OK);
    b->world = linux_world_table(b->lw);
}

static void bench_close(struct bench *b)
{
    if (b->sim != NULL) {
        simworld_free(b->sim);
        return;
    }
    char command[96];
    linux_world_close(b->lw);
    (void)snprintf(command, sizeof command, "rm -r %s", b->root);
    assert_int_equal(system(command), 0);
}

static void bench_step(struct bench *b)
{
    if (b->sim != NULL) {
        assert_true(simworld_step(b->sim));
    } else {
        (void)linux_world_poll(b->lw, NANOS_PER_S);
    }
}

static void count_done(struct world_file_request *request)
{
    ++*(int *)request->owner;
}

/* Submits, checks that nothing completes inside the call, and waits. */
static enum err run_request(struct bench *b, struct world_file_request *request)
{
    int done = 0;

    request->done = count_done;
    request->owner = &done;
    world_submit(b->world, request);
    assert_int_equal(done, 0);
    while (done == 0) {
        bench_step(b);
    }
    assert_int_equal(done, 1);
    return request->result;
}

static enum err on_path(struct bench *b, enum world_file_op op, const char *path,
                        const char *path_to)
{
    return run_request(b, &(struct world_file_request){.op = op, .path = path, .path_to = path_to});
}

static enum err open_file(struct bench *b, const char *path, uint32_t flags, world_fd *fd)
{
    struct world_file_request request = {.op = WORLD_OPEN, .path = path, .flags = flags};
    enum err e = run_request(b, &request);
    *fd = request.fd;
    return e;
}

static enum err on_fd(struct bench *b, enum world_file_op op, world_fd fd, uint64_t length)
{
    return run_request(b, &(struct world_file_request){.op = op, .fd = fd, .length = length});
}

static uint64_t read_at(struct bench *b, world_fd fd, uint64_t offset, void *buffer, size_t n)
{
    struct world_file_request request = {
        .op = WORLD_READ, .fd = fd, .offset = offset, .buffer = buffer, .length = n};
    assert_int_equal(run_request(b, &request), OK);
    return request.count;
}

static void write_at(struct bench *b, world_fd fd, uint64_t offset, const char *text)
{
    uint8_t bytes[64];
    memcpy(bytes, text, strlen(text));
    struct world_file_request request = {
        .op = WORLD_WRITE, .fd = fd, .offset = offset, .buffer = bytes, .length = strlen(text)};
    assert_int_equal(run_request(b, &request), OK);
}

static uint64_t size_of(struct bench *b, const char *path)
{
    struct world_file_request request = {.op = WORLD_STAT, .path = path};
    assert_int_equal(run_request(b, &request), OK);
    return request.size;
}

static void opening(struct bench *b)
{
    world_fd fd;

    assert_int_equal(open_file(b, "f", 0, &fd), ERR_NOT_FOUND);
    assert_int_equal(open_file(b, "no/f", WORLD_OPEN_CREATE, &fd), ERR_NOT_FOUND);
    assert_int_equal(open_file(b, "f", WORLD_OPEN_CREATE, &fd), OK);
    assert_int_equal(on_fd(b, WORLD_CLOSE, fd, 0), OK);
    assert_int_equal(open_file(b, "f", WORLD_OPEN_CREATE, &fd), ERR_EXISTS);
    assert_int_equal(open_file(b, "f", 0, &fd), OK);
    assert_int_equal(on_fd(b, WORLD_CLOSE, fd, 0), OK);
    assert_int_equal(on_path(b, WORLD_MKDIR, "d", NULL), OK);
    assert_int_equal(open_file(b, "d", 0, &fd), ERR_INVALID);
}

static void reading_and_writing(struct bench *b)
{
    world_fd fd;
    char buffer[64] = {0};

    assert_int_equal(open_file(b, "f", WORLD_OPEN_CREATE, &fd), OK);
    write_at(b, fd, 0, "hello");
    write_at(b, fd, 10, "world");
    assert_int_equal(size_of(b, "f"), 15);
    assert_int_equal(read_at(b, fd, 0, buffer, sizeof buffer), 15);
    assert_memory_equal(buffer, "hello\0\0\0\0\0world", 15);
    assert_int_equal(read_at(b, fd, 15, buffer, 1), 0);
    assert_int_equal(read_at(b, fd, 100, buffer, 1), 0);
    assert_int_equal(on_fd(b, WORLD_TRUNCATE, fd, 3), OK);
    assert_int_equal(on_fd(b, WORLD_PREALLOCATE, fd, 8), OK);
    assert_int_equal(on_fd(b, WORLD_PREALLOCATE, fd, 2), OK);
    assert_int_equal(read_at(b, fd, 0, buffer, sizeof buffer), 8);
    assert_memory_equal(buffer, "hel\0\0\0\0\0", 8);
    assert_int_equal(on_fd(b, WORLD_SYNC, fd, 0), OK);
    assert_int_equal(on_fd(b, WORLD_CLOSE, fd, 0), OK);
}

static void names(struct bench *b)
{
    world_fd fd;

    assert_int_equal(on_path(b, WORLD_MKDIR, "d", NULL), OK);
    assert_int_equal(on_path(b, WORLD_MKDIR, "d", NULL), ERR_EXISTS);
    assert_int_equal(open_file(b, "d/a", WORLD_OPEN_CREATE, &fd), OK);
    write_at(b, fd, 0, "a");
    assert_int_equal(on_path(b, WORLD_LINK, "d/a", "d/b"), OK);
    assert_int_equal(on_path(b, WORLD_LINK, "d/a", "d/b"), ERR_EXISTS);
    assert_int_equal(on_path(b, WORLD_RENAME, "d/missing", "d/c"), ERR_NOT_FOUND);
    assert_int_equal(on_path(b, WORLD_RENAME, "d/a", "d/c"), OK);
    assert_int_equal(on_path(b, WORLD_STAT, "d/a", NULL), ERR_NOT_FOUND);
    assert_int_equal(size_of(b, "d/b"), 1);
    assert_int_equal(on_path(b, WORLD_UNLINK, "d/b", NULL), OK);
    assert_int_equal(on_path(b, WORLD_UNLINK, "d/b", NULL), ERR_NOT_FOUND);
    /* An open file outlives its last name, and a replaced one its replacement. */
    world_fd other;
    assert_int_equal(open_file(b, "d/n", WORLD_OPEN_CREATE, &other), OK);
    assert_int_equal(on_path(b, WORLD_RENAME, "d/n", "d/c"), OK);
    char c = 0;
    assert_int_equal(read_at(b, fd, 0, &c, 1), 1);
    assert_int_equal(c, 'a');
    assert_int_equal(size_of(b, "d/c"), 0);
    assert_int_equal(on_path(b, WORLD_SYNC_DIR, "d", NULL), OK);
    assert_int_equal(on_path(b, WORLD_SYNC_DIR, "", NULL), OK);
    assert_int_equal(on_path(b, WORLD_SYNC_DIR, "missing", NULL), ERR_NOT_FOUND);
    assert_int_equal(on_fd(b, WORLD_CLOSE, fd, 0), OK);
    assert_int_equal(on_fd(b, WORLD_CLOSE, other, 0), OK);
}

static char listed[64];

static void list_name(struct world_file_request *request, const char *name)
{
    (void)request;
    size_t n = strlen(listed);
    (void)snprintf(listed + n, sizeof listed - n, "%s ", name);
}

static void listing(struct bench *b)
{
    const char *const files[] = {"z", "a", "m0", "m"};
    world_fd fd;

    listed[0] = '\0';
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        assert_int_equal(open_file(b, files[i], WORLD_OPEN_CREATE, &fd), OK);
    }
    assert_int_equal(on_path(b, WORLD_MKDIR, "d", NULL), OK);
    assert_int_equal(open_file(b, "d/inside", WORLD_OPEN_CREATE, &fd), OK);
    struct world_file_request request = {.op = WORLD_LIST, .path = "", .entry = list_name};
    assert_int_equal(run_request(b, &request), OK);
    assert_string_equal(listed, "a d m m0 z ");
    request.path = "missing";
    assert_int_equal(run_request(b, &request), ERR_NOT_FOUND);
    struct world_file_request space = {.op = WORLD_SPACE, .path = ""};
    assert_int_equal(run_request(b, &space), OK);
    assert_true(space.count > 0 && space.count <= space.size);
}

struct order {
    struct world_file_request request;
    struct order **next;
    uint8_t byte;
};

static void note_order(struct world_file_request *request)
{
    struct order *order = request->owner;
    *(*order->next)++ = *order;
}

static struct order finished[32];

static void one_lane_keeps_order(struct bench *b)
{
    static struct order orders[16];
    struct order *next = finished;
    uint8_t read = 0;
    world_fd fd;

    assert_int_equal(open_file(b, "f", WORLD_OPEN_CREATE, &fd), OK);
    for (size_t i = 0; i < COUNT_OF(orders); i++) {
        orders[i] = (struct order){.next = &next, .byte = (uint8_t)i};
        orders[i].request = (struct world_file_request){
            .op = i % 4 == 3 ? WORLD_SYNC : WORLD_WRITE,
            .lane = WORLD_LANE_LOG,
            .fd = fd,
            .buffer = &orders[i].byte,
            .length = 1,
            .done = note_order,
            .owner = &orders[i],
        };
        world_submit(b->world, &orders[i].request);
    }
    while (next < finished + COUNT_OF(orders)) {
        bench_step(b);
    }
    for (size_t i = 0; i < COUNT_OF(orders); i++) {
        assert_int_equal(finished[i].byte, i);
        assert_int_equal(finished[i].request.result, OK);
    }
    assert_int_equal(read_at(b, fd, 0, &read, 1), 1);
    assert_int_equal(read, 14);
    assert_int_equal(on_fd(b, WORLD_CLOSE, fd, 0), OK);
}

static int fired[4];
static int fired_count;

static void note_timer(struct world_timer *timer)
{
    fired[fired_count++] = *(int *)timer->owner;
}

static void timers_fire_in_order(struct bench *b)
{
    int ids[] = {0, 1, 2, 3};
    struct world_timer timers[4] = {0};
    nanos now = world_now(b->world);
    const nanos due[] = {2, 1, 1, 3};

    fired_count = 0;
    for (size_t i = 0; i < 4; i++) {
        timers[i].fire = note_timer;
        timers[i].owner = &ids[i];
        world_timer_set(b->world, &timers[i], now + due[i] * NANOS_PER_MS);
    }
    world_timer_cancel(b->world, &timers[3]);
    world_timer_cancel(b->world, &timers[3]);
    world_timer_set(b->world, &timers[1], now + NANOS_PER_MS);
    while (fired_count < 3) {
        bench_step(b);
    }
    assert_true(world_now(b->world) >= now + 2 * NANOS_PER_MS);
    assert_int_equal(fired[0], 2);
    assert_int_equal(fired[1], 1);
    assert_int_equal(fired[2], 0);
    assert_false(timers[0].is_set);
    uint8_t random[64] = {0};
    b->world->random->fill(b->world->self, random, sizeof random);
    uint8_t zeros[64] = {0};
    assert_memory_not_equal(random, zeros, sizeof zeros);
}

/* Awake all the time, both clocks count the same. The bounds leave room for a busy machine. */
static void both_clocks_count(struct bench *b)
{
    int id = 0;
    struct world_timer timer = {.fire = note_timer, .owner = &id};
    nanos awake = world_awake(b->world);
    nanos now = world_now(b->world);

    fired_count = 0;
    world_timer_set(b->world, &timer, now + 20 * NANOS_PER_MS);
    while (fired_count < 1) {
        bench_step(b);
    }
    nanos passed = world_now(b->world) - now;
    nanos passed_awake = world_awake(b->world) - awake;
    assert_true(passed_awake >= 20 * NANOS_PER_MS);
    assert_in_range(passed_awake, passed, passed + 10 * NANOS_PER_S);
}

/* A wall clock goes on with the others, and is of this age: after 2020, before 2500. */
static void wall_clock_goes_on(struct bench *b)
{
    int id = 0;
    struct world_timer timer = {.fire = note_timer, .owner = &id};
    nanos wall = world_wall(b->world);

    fired_count = 0;
    world_timer_set(b->world, &timer, world_now(b->world) + 20 * NANOS_PER_MS);
    while (fired_count < 1) {
        bench_step(b);
    }
    assert_in_range(world_wall(b->world), wall + 15 * NANOS_PER_MS, wall + 60 * NANOS_PER_S);
    assert_in_range(wall, UINT64_C(1577836800) * NANOS_PER_S, UINT64_C(16725225600) * NANOS_PER_S);
}

/* Memory stays what it was however it settles, and whenever it is given back. */
static void memory_keeps_its_bytes(struct bench *b)
{
    enum { PIECES = 40, LENGTH = 300 * 1000 };
    const struct world_memory_ops *ops = b->world->memory;
    struct world_memory *memory[PIECES];
    uint8_t *bytes[PIECES];

    for (size_t round = 0; round < 3; round++) {
        for (size_t i = 0; i < PIECES; i++) {
            memory[i] = ops->take(b->world->self, LENGTH, &bytes[i]);
            assert_int_equal((uintptr_t)bytes[i] % 16, 0);
            assert_int_equal(bytes[i][0] | bytes[i][LENGTH - 1], 0);
            memset(bytes[i], (int)(i + round + 1), LENGTH);
            ops->settle(memory[i]);
            if (i % 4 == 0) { /* at once, while it may be on its way */
                ops->give(memory[i]);
            }
        }
        for (size_t i = 0; b->lw != NULL && i < PIECES; i++) { /* some are written, some are not */
            (void)linux_world_poll(b->lw, NANOS_PER_MS);
        }
        for (size_t i = 0; i < PIECES; i++) {
            if (i % 4 != 0) {
                ops->rest(memory[i]);
                assert_int_equal(bytes[i][0], i + round + 1);
                assert_int_equal(bytes[i][LENGTH / 2], i + round + 1);
                assert_int_equal(bytes[i][LENGTH - 1], i + round + 1);
                ops->rest(memory[i]);
                assert_memory_equal(bytes[i], bytes[i] + 1, LENGTH - 1);
                if (i % 4 != 1) {
                    ops->give(memory[i]);
                }
            }
        }
        for (size_t i = 1; i < PIECES; i += 4) {
            assert_memory_equal(bytes[i], bytes[i] + 1, LENGTH - 1);
            ops->give(memory[i]);
        }
    }
}

/* State that lies there may be freed after its world. */
static void memory_outlives_its_world(void **state)
{
    (void)state;
    struct bench b = {0};
    struct world_memory *memory[3];
    uint8_t *bytes[3];

    bench_open_linux(&b);
    const struct world_memory_ops *ops = b.world->memory;
    for (size_t i = 0; i < 3; i++) {
        memory[i] = ops->take(b.world->self, 100000, &bytes[i]);
        memset(bytes[i], 7, 100000);
    }
    ops->settle(memory[0]);
    (void)linux_world_poll(b.lw, NANOS_PER_S);
    ops->settle(memory[1]); /* still on its way */
    bench_close(&b);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(bytes[i][0], 7);
        assert_memory_equal(bytes[i], bytes[i] + 1, 99999);
        ops->give(memory[i]);
    }
}

static uint64_t resident_pages(const uint8_t *bytes, size_t length)
{
    uint64_t pages = 0;
    uint64_t entry = 0;
    int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    for (size_t at = 0; at < length; at += 4096) {
        off_t place = (off_t)(((uintptr_t)bytes + at) / 4096 * sizeof entry);
        assert_int_equal(pread(fd, &entry, sizeof entry, place), sizeof entry);
        pages += entry >> 63; /* present */
    }
    (void)close(fd);
    return pages;
}

/* What settled takes no memory of the process, but what was just read. */
static void settled_memory_leaves_the_process(void **state)
{
    (void)state;
    enum { LENGTH = 1 << 20 };
    struct bench b = {0};
    struct world_memory *memory;
    struct statvfs space;
    uint8_t *bytes;

    bench_open_linux(&b);
    assert_int_equal(statvfs(b.root, &space), 0);
    if ((uint64_t)space.f_bavail * space.f_frsize < 2ULL << 30) {
        bench_close(&b);
        skip(); /* it stays where a disk is short */
    }
    const struct world_memory_ops *ops = b.world->memory;
    memory = ops->take(b.world->self, LENGTH, &bytes);
    memset(bytes, 7, LENGTH);
    assert_int_equal(resident_pages(bytes, LENGTH), LENGTH / 4096);
    ops->settle(memory);
    assert_int_equal(linux_world_poll(b.lw, 60 * NANOS_PER_S), 1);
    assert_int_equal(resident_pages(bytes, LENGTH), 0);
    assert_int_equal(bytes[LENGTH / 2], 7);
    assert_true(resident_pages(bytes, LENGTH) > 0);
    ops->rest(memory);
    assert_int_equal(resident_pages(bytes, LENGTH), 0);
    ops->give(memory);
    bench_close(&b);
}

static void on_both(void (*body)(struct bench *))
{
    struct bench sim = {0};
    struct bench real = {0};

    bench_open_sim(&sim);
    body(&sim);
    bench_close(&sim);
    bench_open_linux(&real);
    body(&real);
    bench_close(&real);
}

static void opening_tells_missing_from_existing(void **state)
{
    (void)state;
    on_both(opening);
}

static void files_hold_what_was_written(void **state)
{
    (void)state;
    on_both(reading_and_writing);
}

static void names_change_atomically(void **state)
{
    (void)state;
    on_both(names);
}

static void a_listing_is_complete_and_in_order(void **state)
{
    (void)state;
    on_both(listing);
}

static void requests_of_a_lane_complete_in_order(void **state)
{
    (void)state;
    on_both(one_lane_keeps_order);
}

static void equal_timers_fire_in_the_order_they_were_set(void **state)
{
    (void)state;
    on_both(timers_fire_in_order);
}

static void memory_that_settles_keeps_its_bytes(void **state)
{
    (void)state;
    on_both(memory_keeps_its_bytes);
}

static void a_machine_that_is_awake_counts_the_same_on_both_clocks(void **state)
{
    (void)state;
    on_both(both_clocks_count);
}

static void a_wall_clock_goes_on_with_the_others(void **state)
{
    (void)state;
    on_both(wall_clock_goes_on);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opening_tells_missing_from_existing),
        cmocka_unit_test(files_hold_what_was_written),
        cmocka_unit_test(names_change_atomically),
        cmocka_unit_test(a_listing_is_complete_and_in_order),
        cmocka_unit_test(memory_that_settles_keeps_its_bytes),
        cmocka_unit_test(memory_outlives_its_world),
        cmocka_unit_test(settled_memory_leaves_the_process),
        cmocka_unit_test(requests_of_a_lane_complete_in_order),
        cmocka_unit_test(equal_timers_fire_in_the_order_they_were_set),
        cmocka_unit_test(a_machine_that_is_awake_counts_the_same_on_both_clocks),
        cmocka_unit_test(a_wall_clock_goes_on_with_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
