/* What can go wrong with a simulated disk: that each fault shows, that it ends, and that a seed
 * gives one run. */
#include "core/chaos/simdisk.h"

#include "tests/support/test.h"

#include <string.h>

#define SECTOR WORLD_SECTOR_BYTES

static struct world_file_request ask(struct simdisk *d, struct world_file_request request)
{
    simdisk_execute(d, &request);
    simdisk_settle(d, &request);
    return request;
}

static world_fd make_file(struct simdisk *d, const char *path)
{
    struct world_file_request made = ask(
        d, (struct world_file_request){.op = WORLD_OPEN, .path = path, .flags = WORLD_OPEN_CREATE});
    assert_int_equal(made.result, OK);
    (void)ask(d, (struct world_file_request){.op = WORLD_SYNC_DIR, .path = ""});
    return made.fd;
}

/* Fills `count` sectors with a value each: value, value + 1, ... */
static enum err put_sectors(struct simdisk *d, world_fd fd, uint64_t sector, size_t count,
                            uint8_t value)
{
    uint8_t bytes[16 * SECTOR];

    assert_in_range(count, 1, 16);
    for (size_t i = 0; i < count; i++) {
        memset(bytes + i * SECTOR, value + (int)i, SECTOR);
    }
    return ask(d, (struct world_file_request){.op = WORLD_WRITE,
                                              .fd = fd,
                                              .buffer = bytes,
                                              .offset = sector * SECTOR,
                                              .length = count * SECTOR})
        .result;
}

static enum err sync_it(struct simdisk *d, world_fd fd)
{
    return ask(d, (struct world_file_request){.op = WORLD_SYNC, .fd = fd}).result;
}

/* The value of a sector as a read shows it; negative: the error. All its bytes are alike. */
static int get_sector(struct simdisk *d, world_fd fd, uint64_t sector)
{
    uint8_t bytes[SECTOR];
    struct world_file_request read = ask(d, (struct world_file_request){.op = WORLD_READ,
                                                                        .fd = fd,
                                                                        .buffer = bytes,
                                                                        .offset = sector * SECTOR,
                                                                        .length = SECTOR});
    if (read.result != OK) {
        return -(int)read.result;
    }
    assert_int_equal(read.count, SECTOR);
    assert_memory_equal(bytes, bytes + 1, SECTOR - 1);
    return bytes[0];
}

/* A disk with a log of 16 sectors (values 1..16) and a boot number (value 100), all stable. */
struct subject {
    struct simdisk *d;
    world_fd log;
    world_fd boot;
};

static struct subject subject_new(uint64_t seed)
{
    struct subject s = {.d = simdisk_new(1 << 20)};
    struct prng prng;

    prng_init(&prng, seed);
    simdisk_seed(s.d, &prng);
    s.log = make_file(s.d, "1.wal");
    s.boot = make_file(s.d, "boot");
    assert_int_equal(put_sectors(s.d, s.log, 0, 16, 1), OK);
    assert_int_equal(put_sectors(s.d, s.boot, 0, 1, 100), OK);
    assert_int_equal(sync_it(s.d, s.log), OK);
    assert_int_equal(sync_it(s.d, s.boot), OK);
    return s;
}

/* How many sectors of the log and the boot number are not as subject_new wrote them; `cut` counts
 * power loss in. */
static size_t wrong_sectors(struct subject *s, bool cut)
{
    struct simdisk *d = simdisk_clone(s->d);
    struct buf content;
    size_t wrong = 0;

    if (cut) {
        simdisk_close_all(d);
    }
    buf_init(&content);
    assert_int_equal(simdisk_look(d, "1.wal", &content), OK);
    for (size_t i = 0; i < 16; i++) {
        const uint8_t *sector = content.data + i * SECTOR;
        wrong += sector[0] != i + 1 || memcmp(sector, sector + 1, SECTOR - 1) != 0;
    }
    assert_int_equal(simdisk_look(d, "boot", &content), OK);
    wrong += content.data[0] != 100 || memcmp(content.data, content.data + 1, SECTOR - 1) != 0;
    buf_deinit(&content);
    simdisk_free(d);
    return wrong;
}

static bool always(void *ctx, uint64_t unit)
{
    (void)ctx;
    (void)unit;
    return true;
}

static bool never(void *ctx, uint64_t unit)
{
    (void)ctx;
    (void)unit;
    return false;
}

static void operations_fail_as_often_as_they_should_and_then_no_more(void **state)
{
    (void)state;
    struct subject s = subject_new(test_prng(__func__).s[0]);
    unsigned failed = 0;

    simdisk_odds(s.d, WORLD_READ, ERR_IO, 250000);
    for (unsigned i = 0; i < 1000; i++) {
        failed += get_sector(s.d, s.log, 3) == -(int)ERR_IO;
    }
    assert_in_range(failed, 150, 350);
    simdisk_odds(s.d, WORLD_READ, ERR_IO, 0);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(get_sector(s.d, s.log, 3), 4);
    }
    simdisk_free(s.d);
}

static void a_write_that_fails_may_have_written_its_first_sectors(void **state)
{
    (void)state;
    bool seen[9] = {false};

    for (uint64_t seed = 0; seed < 200; seed++) {
        struct subject s = subject_new(seed);
        simdisk_odds(s.d, WORLD_WRITE, ERR_IO, 1000000);
        assert_int_equal(put_sectors(s.d, s.log, 4, 8, 50), ERR_IO);
        size_t written = 0;
        while (written < 8 && get_sector(s.d, s.log, 4 + written) == 50 + (int)written) {
            written++;
        }
        for (size_t i = written; i < 8; i++) {
            assert_int_equal(get_sector(s.d, s.log, 4 + i), 5 + (int)i);
        }
        seen[written] = true;
        simdisk_heal(s.d);
        assert_int_equal(put_sectors(s.d, s.log, 4, 8, 50), OK);
        assert_int_equal(get_sector(s.d, s.log, 11), 57);
        simdisk_free(s.d);
    }
    assert_true(seen[0] && seen[1] && seen[7] && seen[8]);
}

static void a_forgetful_disk_drops_what_it_failed_to_sync(void **state)
{
    (void)state;
    struct subject s = subject_new(1);

    simdisk_forget(s.d, true);
    simdisk_fail(s.d, WORLD_SYNC, ERR_IO, 1);
    assert_int_equal(put_sectors(s.d, s.log, 2, 2, 60), OK);
    assert_int_equal(get_sector(s.d, s.log, 2), 60);
    assert_int_equal(sync_it(s.d, s.log), ERR_IO);
    assert_int_equal(get_sector(s.d, s.log, 2), 3);
    /* And the next sync has nothing to complain of. */
    assert_int_equal(put_sectors(s.d, s.log, 5, 1, 70), OK);
    assert_int_equal(sync_it(s.d, s.log), OK);
    assert_int_equal(simdisk_pending(s.d), 0);
    simdisk_cut_power(s.d, never, NULL);
    assert_int_equal(wrong_sectors(&s, true), 1);
    simdisk_free(s.d);
}

static void what_was_written_after_a_forgetful_sync_began_stays(void **state)
{
    (void)state;
    struct subject s = subject_new(1);
    struct world_file_request sync = {.op = WORLD_SYNC, .fd = s.log};

    simdisk_forget(s.d, true);
    simdisk_fail(s.d, WORLD_SYNC, ERR_IO, 1);
    assert_int_equal(put_sectors(s.d, s.log, 2, 2, 60), OK);
    simdisk_execute(s.d, &sync);
    assert_int_equal(put_sectors(s.d, s.log, 3, 1, 70), OK);
    simdisk_settle(s.d, &sync);
    assert_int_equal(get_sector(s.d, s.log, 2), 3);
    assert_int_equal(get_sector(s.d, s.log, 3), 70);
    assert_int_equal(simdisk_pending(s.d), 1);
    assert_int_equal(sync_it(s.d, s.log), OK);
    simdisk_cut_power(s.d, never, NULL);
    assert_int_equal(wrong_sectors(&s, true), 1);
    simdisk_free(s.d);
}

static void a_lie_costs_what_was_not_written_back_before_power_loss(void **state)
{
    (void)state;

    for (int written_back = 0; written_back < 2; written_back++) {
        struct subject s = subject_new(1);
        simdisk_lie(s.d, true);
        assert_int_equal(put_sectors(s.d, s.log, 2, 1, 60), OK);
        assert_int_equal(simdisk_owed(s.d), 0);
        assert_int_equal(sync_it(s.d, s.log), OK);
        assert_int_equal(simdisk_owed(s.d), 1);
        (void)make_file(s.d, "late");
        assert_int_equal(simdisk_owed(s.d), 2);
        simdisk_lie(s.d, false);
        assert_int_equal(simdisk_owed(s.d), 2);
        if (written_back == 1) {
            simdisk_write_back(s.d);
            assert_int_equal(simdisk_pending(s.d), 0);
            assert_int_equal(simdisk_owed(s.d), 0);
        }
        simdisk_cut_power(s.d, never, NULL);
        uint64_t size = 0;
        assert_int_equal(wrong_sectors(&s, true), written_back);
        assert_int_equal(simdisk_size(s.d, "late", &size) == OK, written_back);
        simdisk_free(s.d);
    }
}

static world_fd open_log(struct simdisk *d)
{
    struct world_file_request request = {
        .op = WORLD_OPEN, .path = "1.wal", .flags = WORLD_OPEN_WRITE};
    struct world_file_request opened = ask(d, request);
    assert_int_equal(opened.result, OK);
    return opened.fd;
}

/* The system wrote the page as it is now: what it failed to write of it before is gone for good. */
static void what_is_written_again_after_a_failed_sync_does_not_come_back_as_it_was(void **state)
{
    (void)state;
    struct subject s = subject_new(1);

    assert_int_equal(put_sectors(s.d, s.log, 2, 5, 60), OK);
    simdisk_fail(s.d, WORLD_SYNC, ERR_IO, 1);
    assert_int_equal(sync_it(s.d, s.log), ERR_IO);
    assert_int_equal(put_sectors(s.d, s.log, 3, 2, 90), OK);
    assert_int_equal(sync_it(s.d, s.log), OK);
    assert_int_equal(simdisk_pending(s.d), 3);
    simdisk_cut_power(s.d, always, NULL);
    s.log = open_log(s.d);
    assert_int_equal(get_sector(s.d, s.log, 2), 60);
    assert_int_equal(get_sector(s.d, s.log, 3), 90);
    assert_int_equal(get_sector(s.d, s.log, 4), 91);
    assert_int_equal(get_sector(s.d, s.log, 5), 63);
    simdisk_free(s.d);
}

/* What a disk said is durable, a later failure does not take out of its cache. */
static void a_failed_sync_does_not_take_what_a_lie_owes(void **state)
{
    (void)state;

    for (int is_forgetful = 0; is_forgetful < 2; is_forgetful++) {
        struct subject s = subject_new(1);
        simdisk_forget(s.d, is_forgetful == 1);
        simdisk_lie(s.d, true);
        assert_int_equal(put_sectors(s.d, s.log, 2, 1, 60), OK);
        assert_int_equal(sync_it(s.d, s.log), OK);
        assert_int_equal(put_sectors(s.d, s.log, 3, 1, 70), OK);
        simdisk_fail(s.d, WORLD_SYNC, ERR_IO, 1);
        assert_int_equal(sync_it(s.d, s.log), ERR_IO);
        assert_int_equal(get_sector(s.d, s.log, 2), 60);
        assert_int_equal(simdisk_owed(s.d), 1);
        simdisk_write_back(s.d);
        simdisk_cut_power(s.d, never, NULL);
        s.log = open_log(s.d);
        assert_int_equal(get_sector(s.d, s.log, 2), 60);
        assert_int_not_equal(get_sector(s.d, s.log, 3), 70);
        simdisk_free(s.d);
    }
}

static void a_quota_is_not_told_beforehand(void **state)
{
    (void)state;
    struct subject s = subject_new(1);

    simdisk_set_quota(s.d, 17 * SECTOR);
    struct world_file_request space =
        ask(s.d, (struct world_file_request){.op = WORLD_SPACE, .path = ""});
    assert_true(space.count > 100 * SECTOR);
    assert_int_equal(put_sectors(s.d, s.log, 16, 1, 17), ERR_NO_SPACE);
    assert_int_equal(put_sectors(s.d, s.log, 15, 1, 16), OK);
    simdisk_heal(s.d);
    assert_int_equal(put_sectors(s.d, s.log, 16, 1, 17), OK);
    simdisk_free(s.d);
}

static void a_lost_write_was_never_there(void **state)
{
    (void)state;
    struct subject s = subject_new(1);

    simdisk_play(s.d, SIMDISK_LOST_WRITE, SIMDISK_LOG, 1);
    assert_int_equal(put_sectors(s.d, s.boot, 0, 1, 100), OK);
    assert_int_equal(simdisk_played(s.d, SIMDISK_LOST_WRITE), 0);
    assert_int_equal(put_sectors(s.d, s.log, 5, 1, 90), OK);
    assert_int_equal(simdisk_played(s.d, SIMDISK_LOST_WRITE), 1);
    assert_string_equal(simdisk_played_at(s.d, SIMDISK_LOST_WRITE)->path, "1.wal");
    assert_int_equal(simdisk_played_at(s.d, SIMDISK_LOST_WRITE)->offset, 5 * SECTOR);
    assert_int_equal(sync_it(s.d, s.log), OK);
    assert_int_equal(get_sector(s.d, s.log, 5), 6);
    simdisk_play(s.d, SIMDISK_LOST_WRITE, SIMDISK_LOG, 5);
    simdisk_heal(s.d);
    simdisk_play(s.d, SIMDISK_STALE_READ, SIMDISK_LOG, 1);
    assert_int_equal(put_sectors(s.d, s.log, 5, 1, 6), OK);
    assert_int_equal(simdisk_played(s.d, SIMDISK_LOST_WRITE), 1);
    /* Where the file becomes longer by it, it does, by zeros. */
    simdisk_play(s.d, SIMDISK_LOST_WRITE, SIMDISK_LOG, 1);
    assert_int_equal(put_sectors(s.d, s.log, 16, 1, 90), OK);
    assert_int_equal(get_sector(s.d, s.log, 16), 0);
    simdisk_cut_power(s.d, never, NULL);
    assert_int_equal(wrong_sectors(&s, true), 0);
    simdisk_free(s.d);
}

static void a_misdirected_write_overwrites_something_else(void **state)
{
    (void)state;
    bool hit_other_file = false;
    bool hit_same_file = false;

    for (uint64_t seed = 0; seed < 100; seed++) {
        struct subject s = subject_new(seed);
        simdisk_play(s.d, SIMDISK_MISDIRECTED_WRITE, SIMDISK_LOG, 1);
        assert_int_equal(put_sectors(s.d, s.log, 5, 1, 90), OK);
        assert_int_equal(simdisk_played(s.d, SIMDISK_MISDIRECTED_WRITE), 1);
        assert_int_equal(get_sector(s.d, s.log, 5), 6);
        assert_int_equal(wrong_sectors(&s, false), 1);
        simdisk_cut_power(s.d, never, NULL);
        assert_int_equal(wrong_sectors(&s, true), 1);
        const char *where = simdisk_played_at(s.d, SIMDISK_MISDIRECTED_WRITE)->path;
        hit_other_file |= strcmp(where, "boot") == 0;
        hit_same_file |= strcmp(where, "1.wal") == 0;
        simdisk_free(s.d);
    }
    assert_true(hit_other_file && hit_same_file);
}

static void a_misdirected_read_shows_another_sector_once(void **state)
{
    (void)state;
    struct subject s = subject_new(1);

    simdisk_play(s.d, SIMDISK_MISDIRECTED_READ, SIMDISK_LOG, 1);
    int value = get_sector(s.d, s.log, 5);
    assert_int_not_equal(value, 6);
    assert_in_range(value, 1, 16);
    assert_int_equal(get_sector(s.d, s.log, 5), 6);
    /* Where all of the file is alike there is nothing wrong to show, and the trick waits on. */
    simdisk_play(s.d, SIMDISK_MISDIRECTED_READ, SIMDISK_BOOT, 1);
    assert_int_equal(get_sector(s.d, s.boot, 0), 100);
    assert_int_equal(simdisk_played(s.d, SIMDISK_MISDIRECTED_READ), 1);
    simdisk_free(s.d);
}

static void a_stale_read_shows_what_was_there_before(void **state)
{
    (void)state;
    struct subject s = subject_new(1);

    simdisk_remember(s.d);
    assert_int_equal(put_sectors(s.d, s.log, 5, 1, 90), OK);
    simdisk_play(s.d, SIMDISK_STALE_READ, SIMDISK_LOG, 1);
    assert_int_equal(get_sector(s.d, s.log, 4), 5);
    assert_int_equal(simdisk_played(s.d, SIMDISK_STALE_READ), 0);
    assert_int_equal(get_sector(s.d, s.log, 5), 6);
    assert_int_equal(get_sector(s.d, s.log, 5), 90);
    simdisk_free(s.d);
}

static void rot_flips_one_bit_of_a_stable_sector_of_the_class(void **state)
{
    (void)state;

    for (uint64_t seed = 0; seed < 50; seed++) {
        struct subject s = subject_new(seed);
        struct simdisk_spot spot;
        assert_int_equal(simdisk_harm(s.d, SIMDISK_HARM_ROT, SIMDISK_SNAPSHOT, &spot),
                         ERR_NOT_FOUND);
        assert_int_equal(simdisk_harm(s.d, SIMDISK_HARM_ROT, SIMDISK_BOOT, &spot), OK);
        assert_string_equal(spot.path, "boot");
        assert_int_equal(wrong_sectors(&s, false), 1);
        assert_int_equal(put_sectors(s.d, s.boot, 0, 1, 100), OK);
        assert_int_equal(wrong_sectors(&s, false), 0);
        simdisk_cut_power(s.d, never, NULL);
        assert_int_equal(wrong_sectors(&s, true), 1);
        simdisk_free(s.d);
    }
}

static void rot_below_a_pending_write_is_not_seen_before_power_loss(void **state)
{
    (void)state;
    struct subject s = subject_new(1);
    struct simdisk_spot spot;

    assert_int_equal(put_sectors(s.d, s.boot, 0, 1, 101), OK);
    assert_int_equal(simdisk_harm(s.d, SIMDISK_HARM_ROT, SIMDISK_BOOT, &spot), OK);
    assert_int_equal(get_sector(s.d, s.boot, 0), 101);
    simdisk_cut_power(s.d, never, NULL);
    assert_int_equal(wrong_sectors(&s, true), 1);
    simdisk_free(s.d);
}

static void a_spoiled_sector_is_read_again_once_it_is_written(void **state)
{
    (void)state;
    struct subject s = subject_new(1);
    struct simdisk_spot spot;

    assert_int_equal(simdisk_harm(s.d, SIMDISK_HARM_SPOILED, SIMDISK_LOG, &spot), OK);
    uint64_t sector = spot.offset / SECTOR;
    assert_int_equal(get_sector(s.d, s.log, sector), -(int)ERR_IO);
    simdisk_heal(s.d);
    assert_int_equal(get_sector(s.d, s.log, sector), -(int)ERR_IO);
    assert_int_equal(put_sectors(s.d, s.log, sector, 1, 33), OK);
    assert_int_equal(get_sector(s.d, s.log, sector), 33);
    simdisk_free(s.d);
}

static void files_are_cut_and_vanish_and_disks_are_wiped(void **state)
{
    (void)state;
    struct subject s = subject_new(1);
    struct simdisk_spot spot;
    uint64_t size = 0;

    assert_int_equal(simdisk_harm(s.d, SIMDISK_HARM_CUT, SIMDISK_LOG, &spot), OK);
    assert_int_equal(simdisk_size(s.d, "1.wal", &size), OK);
    assert_int_equal(size, spot.offset);
    assert_true(size < 16 * SECTOR);
    assert_int_equal(simdisk_harm(s.d, SIMDISK_HARM_VANISHED, SIMDISK_BOOT, &spot), OK);
    assert_int_equal(simdisk_size(s.d, "boot", &size), ERR_NOT_FOUND);
    /* Who has it open keeps it, as is usual. */
    assert_int_equal(get_sector(s.d, s.boot, 0), 100);
    simdisk_wipe(s.d);
    assert_null(simdisk_name(s.d, 0));
    assert_int_equal(get_sector(s.d, s.boot, 0), 100);
    simdisk_close_all(s.d);
    assert_int_equal(simdisk_memory(s.d), 0);
    (void)make_file(s.d, "boot");
    simdisk_free(s.d);
}

static void a_clone_put_back_is_the_disk_of_then(void **state)
{
    (void)state;
    struct subject s = subject_new(1);
    struct simdisk *backup = simdisk_clone(s.d);

    simdisk_close_all(backup);
    uint64_t then = simdisk_hash(backup, 0);
    assert_int_equal(put_sectors(s.d, s.log, 0, 16, 70), OK);
    assert_int_equal(sync_it(s.d, s.log), OK);
    assert_int_equal(simdisk_hash(backup, 0), then);
    assert_int_not_equal(simdisk_hash(s.d, 0), then);
    simdisk_free(s.d);
    s.d = backup;
    assert_int_equal(wrong_sectors(&s, true), 0);
    simdisk_free(s.d);
}

/* A life of writes, syncs and all faults; returns what is on the disk in the end. */
static uint64_t live_badly(uint64_t seed, uint64_t *memory)
{
    struct subject s = subject_new(seed);
    struct prng prng;
    uint64_t hash = seed;

    prng_init(&prng, seed);
    simdisk_odds(s.d, WORLD_WRITE, ERR_IO, 20000);
    simdisk_odds(s.d, WORLD_READ, ERR_IO, 20000);
    simdisk_forget(s.d, true);
    simdisk_odds(s.d, WORLD_SYNC, ERR_IO, 20000);
    for (unsigned i = 0; i < 2000; i++) {
        struct simdisk_spot spot = {.path = ""};
        world_fd fd = prng_chance(&prng, 1, 4) ? s.boot : s.log;
        uint8_t bytes[4 * SECTOR];
        switch (prng_below(&prng, 8)) {
        case 0:
            simdisk_play(s.d, (enum simdisk_trick)prng_below(&prng, SIMDISK_TRICKS), SIMDISK_ANY,
                         1);
            break;
        case 1:
            if (simdisk_harm(s.d, SIMDISK_HARM_ROT, SIMDISK_ANY, &spot) == OK) {
                hash = hash * 31 + spot.offset;
            }
            break;
        case 2:
            simdisk_remember(s.d);
            break;
        case 3:
            hash = hash * 31 + (uint64_t)sync_it(s.d, fd);
            break;
        case 4:
            hash =
                hash * 31 + (uint64_t)ask(s.d, (struct world_file_request){.op = WORLD_READ,
                                                                           .fd = fd,
                                                                           .buffer = bytes,
                                                                           .length = sizeof bytes})
                                .result;
            break;
        default:
            hash = hash * 31 + (uint64_t)put_sectors(s.d, fd, prng_below(&prng, 200),
                                                     1 + (size_t)prng_below(&prng, 16),
                                                     (uint8_t)prng_range(&prng, 1, 100));
            break;
        }
        *memory = u64_max(*memory, simdisk_memory(s.d));
    }
    hash = simdisk_hash(s.d, hash);
    simdisk_free(s.d);
    return hash;
}

static void the_same_seed_gives_the_same_disk_in_bounded_memory(void **state)
{
    (void)state;
    uint64_t memory = 0;

    uint64_t once = live_badly(7, &memory);
    assert_int_equal(live_badly(7, &memory), once);
    assert_int_not_equal(live_badly(8, &memory), once);
    /* Two files of 216 sectors, in three contents each, and what is pending. */
    assert_in_range(memory, 100000, 2 << 20);
}

static void a_preallocated_file_takes_no_memory_before_it_is_written(void **state)
{
    (void)state;
    struct simdisk *d = simdisk_new(1ULL << 40);
    world_fd fd = make_file(d, "1.wal");

    assert_int_equal(
        ask(d, (struct world_file_request){.op = WORLD_PREALLOCATE, .fd = fd, .length = 1ULL << 36})
            .result,
        OK);
    assert_int_equal(sync_it(d, fd), OK);
    assert_in_range(simdisk_memory(d), 0, 4096);
    for (uint64_t i = 0; i < 1000; i++) {
        assert_int_equal(put_sectors(d, fd, i % 100, 1, 7), OK);
        assert_int_equal(sync_it(d, fd), OK);
    }
    assert_in_range(simdisk_memory(d), 100 * SECTOR, 40 * 4096);
    assert_int_equal(get_sector(d, fd, 1 << 20), 0);
    simdisk_free(d);
}

/* As a program does that tries again and again on a full disk. */
static void names_that_are_never_synced_take_bounded_memory(void **state)
{
    (void)state;
    struct subject s = subject_new(1);

    for (unsigned i = 0; i < 5000; i++) {
        struct world_file_request made =
            ask(s.d, (struct world_file_request){
                         .op = WORLD_OPEN, .path = "1.tmp", .flags = WORLD_OPEN_CREATE});
        assert_int_equal(put_sectors(s.d, made.fd, 0, 1, 1), OK);
        (void)ask(s.d, (struct world_file_request){.op = WORLD_CLOSE, .fd = made.fd});
        assert_int_equal(
            ask(s.d, (struct world_file_request){.op = WORLD_UNLINK, .path = "1.tmp"}).result, OK);
    }
    assert_in_range(simdisk_pending(s.d), 1, 1000);
    assert_in_range(simdisk_memory(s.d), 1, 2 << 20);
    simdisk_cut_power(s.d, never, NULL);
    assert_int_equal(wrong_sectors(&s, true), 0);
    simdisk_free(s.d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operations_fail_as_often_as_they_should_and_then_no_more),
        cmocka_unit_test(a_write_that_fails_may_have_written_its_first_sectors),
        cmocka_unit_test(a_forgetful_disk_drops_what_it_failed_to_sync),
        cmocka_unit_test(what_was_written_after_a_forgetful_sync_began_stays),
        cmocka_unit_test(a_lie_costs_what_was_not_written_back_before_power_loss),
        cmocka_unit_test(what_is_written_again_after_a_failed_sync_does_not_come_back_as_it_was),
        cmocka_unit_test(a_failed_sync_does_not_take_what_a_lie_owes),
        cmocka_unit_test(a_quota_is_not_told_beforehand),
        cmocka_unit_test(a_lost_write_was_never_there),
        cmocka_unit_test(a_misdirected_write_overwrites_something_else),
        cmocka_unit_test(a_misdirected_read_shows_another_sector_once),
        cmocka_unit_test(a_stale_read_shows_what_was_there_before),
        cmocka_unit_test(rot_flips_one_bit_of_a_stable_sector_of_the_class),
        cmocka_unit_test(rot_below_a_pending_write_is_not_seen_before_power_loss),
        cmocka_unit_test(a_spoiled_sector_is_read_again_once_it_is_written),
        cmocka_unit_test(files_are_cut_and_vanish_and_disks_are_wiped),
        cmocka_unit_test(a_clone_put_back_is_the_disk_of_then),
        cmocka_unit_test(the_same_seed_gives_the_same_disk_in_bounded_memory),
        cmocka_unit_test(names_that_are_never_synced_take_bounded_memory),
        cmocka_unit_test(a_preallocated_file_takes_no_memory_before_it_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
