/* What power loss takes, as core/world/world.h says it: the least that is promised, and no more. */
#include "core/chaos/simdisk.h"

#include "tests/support/test.h"

#include <string.h>

static struct world_file_request done(struct simdisk *d, struct world_file_request request)
{
    simdisk_execute(d, &request);
    simdisk_settle(d, &request);
    return request;
}

static world_fd create(struct simdisk *d, const char *path)
{
    struct world_file_request request = done(
        d, (struct world_file_request){.op = WORLD_OPEN, .path = path, .flags = WORLD_OPEN_CREATE});
    assert_int_equal(request.result, OK);
    return request.fd;
}

static void write_sectors(struct simdisk *d, world_fd fd, uint64_t sector, uint64_t count,
                          uint8_t value)
{
    uint8_t bytes[4 * WORLD_SECTOR_BYTES];
    memset(bytes, value, sizeof bytes);
    (void)done(d, (struct world_file_request){.op = WORLD_WRITE,
                                              .fd = fd,
                                              .buffer = bytes,
                                              .offset = sector * WORLD_SECTOR_BYTES,
                                              .length = count * WORLD_SECTOR_BYTES});
}

static enum err sync_file(struct simdisk *d, world_fd fd)
{
    return done(d, (struct world_file_request){.op = WORLD_SYNC, .fd = fd}).result;
}

static void sync_root(struct simdisk *d)
{
    (void)done(d, (struct world_file_request){.op = WORLD_SYNC_DIR, .path = ""});
}

static bool survives_if_set(void *ctx, uint64_t unit)
{
    return (*(const uint64_t *)ctx >> unit & 1) != 0;
}

static void cut_power_keeping(struct simdisk *d, uint64_t mask)
{
    simdisk_cut_power(d, survives_if_set, &mask);
}

static uint8_t value_at(const struct simdisk *d, const char *path, uint64_t sector)
{
    struct buf content;

    buf_init(&content);
    assert_int_equal(simdisk_look(d, path, &content), OK);
    assert_in_range(sector * WORLD_SECTOR_BYTES, 0, content.len - 1);
    uint8_t value = content.data[sector * WORLD_SECTOR_BYTES];
    buf_deinit(&content);
    return value;
}

static void each_sector_of_an_unsynced_write_goes_its_own_way(void **state)
{
    (void)state;

    for (uint64_t mask = 0; mask < 8; mask++) {
        struct simdisk *d = simdisk_new(1 << 20);
        world_fd fd = create(d, "f");
        sync_root(d);
        write_sectors(d, fd, 0, 3, 1);
        assert_int_equal(sync_file(d, fd), OK);
        assert_int_equal(simdisk_pending(d), 0);
        write_sectors(d, fd, 0, 3, 2);
        assert_int_equal(simdisk_pending(d), 3);
        assert_int_equal(value_at(d, "f", 2), 2);
        struct simdisk *copy = simdisk_clone(d);
        cut_power_keeping(copy, mask);
        for (uint64_t i = 0; i < 3; i++) {
            assert_int_equal(value_at(copy, "f", i), 1 + (mask >> i & 1));
        }
        simdisk_free(copy);
        simdisk_free(d);
    }
}

static void a_synced_file_can_still_lose_its_name(void **state)
{
    (void)state;
    struct simdisk *d = simdisk_new(1 << 20);
    world_fd fd = create(d, "f");

    write_sectors(d, fd, 0, 1, 1);
    assert_int_equal(sync_file(d, fd), OK);
    cut_power_keeping(d, 0);
    assert_null(simdisk_name(d, 0));
    /* A rename is atomic: the old name or the new one. */
    (void)create(d, "old");
    sync_root(d);
    (void)done(d, (struct world_file_request){.op = WORLD_RENAME, .path = "old", .path_to = "new"});
    struct simdisk *copy = simdisk_clone(d);
    cut_power_keeping(d, 0);
    assert_string_equal(simdisk_name(d, 0), "old");
    cut_power_keeping(copy, 1);
    assert_string_equal(simdisk_name(copy, 0), "new");
    assert_null(simdisk_name(copy, 1));
    simdisk_free(d);
    simdisk_free(copy);
}

static void a_failed_sync_is_not_healed_by_the_next(void **state)
{
    (void)state;
    struct simdisk *d = simdisk_new(1 << 20);
    world_fd fd = create(d, "f");

    sync_root(d);
    write_sectors(d, fd, 0, 1, 1);
    assert_int_equal(sync_file(d, fd), OK);
    write_sectors(d, fd, 0, 1, 2);
    simdisk_fail(d, WORLD_SYNC, ERR_IO, 1);
    assert_int_equal(sync_file(d, fd), ERR_IO);
    assert_int_equal(sync_file(d, fd), OK);
    assert_int_equal(value_at(d, "f", 0), 2);
    cut_power_keeping(d, 0);
    assert_int_equal(value_at(d, "f", 0), 1);
    simdisk_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_sector_of_an_unsynced_write_goes_its_own_way),
        cmocka_unit_test(a_synced_file_can_still_lose_its_name),
        cmocka_unit_test(a_failed_sync_is_not_healed_by_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
