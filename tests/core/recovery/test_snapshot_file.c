/* Snapshot files: whole or not there, through power cuts, damage, and broken transfers. */
#include "core/recovery/snapshot_file.h"

#include "tests/support/test.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/hash.h"
#include "core/chaos/simworld.h"

struct scene {
    struct simworld *sim;
    struct simhost *host;
    struct snapfile_place place;
    struct snapfile_task *tasks;
};

static void scene_new(struct scene *s, struct simdisk *disk)
{
    s->sim = simworld_new(1);
    s->host = simhost_new(s->sim, "a", 1 << 24);
    if (disk != NULL) {
        simhost_replace_disk(s->host, disk);
    }
    s->tasks = NULL;
    s->place = (struct snapfile_place){simhost_world(s->host), "snap", 77, &s->tasks};
}

static uint8_t byte_of(uint64_t index, uint64_t at)
{
    return (uint8_t)(at * 7 + at / 251 + index);
}

/* What a callback answered. */
struct answer {
    bool is_given;
    enum err result;
    uint64_t offset;
};

static void note_result(void *ctx, enum err result)
{
    struct answer *answer = ctx;
    answer->is_given = true;
    answer->result = result;
}

static void note_offset(void *ctx, uint64_t offset)
{
    struct answer *answer = ctx;
    answer->is_given = true;
    answer->offset = offset;
}

static void note_put(void *ctx, enum err result, uint64_t offset)
{
    struct answer *answer = ctx;
    answer->is_given = true;
    answer->result = result;
    answer->offset = offset;
}

static void await(struct scene *s, struct answer *answer)
{
    while (!answer->is_given) {
        assert_true(simworld_step(s->sim));
    }
}

/* Puts everything, stepping the world where the writer is full. */
static struct snapfile_writer *begin_writing(struct scene *s, uint64_t index, uint64_t payload,
                                             struct answer *answer)
{
    struct snapfile_writer *w = snapfile_create(
        &s->place, index, 3, (struct bytes){(const uint8_t *)"members", 7}, NULL, answer);
    uint8_t piece[1000];

    for (uint64_t at = 0; at < payload; at += sizeof piece) {
        size_t n = (size_t)u64_min(sizeof piece, payload - at);
        for (size_t i = 0; i < n; i++) {
            piece[i] = byte_of(index, at + i);
        }
        while (snapfile_put(w, (struct bytes){piece, n}) == ERR_BUSY) {
            assert_true(simworld_step(s->sim));
        }
    }
    return w;
}

static void write_snapshot(struct scene *s, uint64_t index, uint64_t payload)
{
    struct answer answer = {0};
    snapfile_finish(begin_writing(s, index, payload, &answer), note_result);
    await(s, &answer);
    assert_int_equal(answer.result, OK);
}

struct loaded {
    bool is_done;
    enum err result;
    uint64_t index;
    uint64_t bytes;
    uint32_t damaged;
    bool is_right;
};

static void loaded_begin(void *ctx, const struct snapfile_meta *meta)
{
    struct loaded *loaded = ctx;
    loaded->index = meta->index;
    loaded->bytes = 0;
    loaded->is_right = true;
}

static void loaded_payload(void *ctx, uint64_t offset, struct bytes payload)
{
    struct loaded *loaded = ctx;
    assert_int_equal(offset, loaded->bytes);
    for (size_t i = 0; i < payload.len; i++) {
        loaded->is_right &= payload.data[i] == byte_of(loaded->index, offset + i);
    }
    loaded->bytes += payload.len;
}

static void loaded_done(void *ctx, const struct snapfile_found *found)
{
    struct loaded *loaded = ctx;
    loaded->is_done = true;
    loaded->result = found->result;
    loaded->damaged = found->damaged;
    if (found->result == OK) {
        loaded->index = found->meta.index;
        assert_int_equal(found->meta.term, 3);
        assert_int_equal(found->meta.membership.len, 7);
        assert_memory_equal(found->meta.membership.data, "members", 7);
        assert_int_equal(found->meta.payload_bytes, loaded->bytes);
    }
}

static struct loaded load(struct scene *s)
{
    struct loaded loaded = {.is_right = true};
    const struct snapfile_sink sink = {&loaded, loaded_begin, loaded_payload, loaded_done};

    snapfile_load(&s->place, &sink);
    while (!loaded.is_done) {
        assert_true(simworld_step(s->sim));
    }
    return loaded;
}

static void a_snapshot_is_read_back_and_two_are_kept(void **state)
{
    (void)state;
    const uint64_t sizes[] = {0, 1, 65528, 65529, 400000};
    struct scene s;
    size_t files = 0;

    scene_new(&s, NULL);
    assert_int_equal(load(&s).result, ERR_NOT_FOUND);
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        write_snapshot(&s, 10 + i, sizes[i]);
        struct loaded loaded = load(&s);
        assert_int_equal(loaded.result, OK);
        assert_int_equal(loaded.index, 10 + i);
        assert_int_equal(loaded.bytes, sizes[i]);
        assert_true(loaded.is_right);
    }
    while (simdisk_name(simhost_disk(s.host), files) != NULL) {
        files++;
    }
    assert_int_equal(files, SNAPFILE_KEEP);
    simworld_free(s.sim);
}

static void a_damaged_snapshot_gives_way_to_the_one_before(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    struct scene s;
    char path[WORLD_PATH_MAX_BYTES];
    uint64_t size = snapfile_bytes(90000);

    scene_new(&s, NULL);
    write_snapshot(&s, 10, 5000);
    write_snapshot(&s, 20, 90000);
    snapfile_path("snap", 20, 3, ".snap", path);
    for (size_t round = 0; round < test_rounds(600); round++) {
        uint64_t at = prng_below(&prng, size);
        uint8_t mask = (uint8_t)(1U << prng_below(&prng, 8));
        assert_int_equal(simdisk_flip(simhost_disk(s.host), path, at, mask), OK);
        struct loaded loaded = load(&s);
        assert_int_equal(loaded.result, OK);
        assert_int_equal(loaded.index, 10);
        assert_int_equal(loaded.damaged, 1);
        assert_true(loaded.is_right);
        assert_int_equal(simdisk_flip(simhost_disk(s.host), path, at, mask), OK);
    }
    assert_int_equal(simdisk_cut(simhost_disk(s.host), path, size - 1), OK);
    assert_int_equal(load(&s).index, 10);
    snapfile_path("snap", 10, 3, ".snap", path);
    assert_int_equal(simdisk_cut(simhost_disk(s.host), path, 100), OK);
    assert_int_equal(load(&s).result, ERR_CORRUPT);
    simworld_free(s.sim);
}

/* Both newer ones are damaged, so peers were asked, and they have an older one. */
static void an_older_snapshot_that_was_just_written_stays(void **state)
{
    (void)state;
    struct scene s;

    scene_new(&s, NULL);
    write_snapshot(&s, 30, 1000);
    write_snapshot(&s, 40, 1000);
    assert_int_equal(
        simdisk_flip(simhost_disk(s.host), "snap/000000000000001e-0000000000000003.snap", 100, 1),
        OK);
    assert_int_equal(
        simdisk_flip(simhost_disk(s.host), "snap/0000000000000028-0000000000000003.snap", 100, 1),
        OK);
    write_snapshot(&s, 20, 1000);
    struct loaded loaded = load(&s);
    assert_int_equal(loaded.result, OK);
    assert_int_equal(loaded.index, 20);
    assert_int_equal(loaded.damaged, 2);
    simworld_free(s.sim);
}

static bool survives_by_coin(void *ctx, uint64_t unit)
{
    (void)unit;
    return prng_chance(ctx, 1, 2);
}

static bool survives_never(void *ctx, uint64_t unit)
{
    (void)ctx;
    (void)unit;
    return false;
}

static void a_power_cut_leaves_the_old_one_or_the_new_one(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    struct answer answer = {0};
    struct scene s;
    size_t cuts = 0;

    scene_new(&s, NULL);
    write_snapshot(&s, 10, 70000);
    snapfile_finish(begin_writing(&s, 20, 150000, &answer), note_result);
    for (bool goes_on = true; goes_on; cuts++) {
        for (int round = 0; round < 6; round++) {
            struct simdisk *disk = simdisk_clone(simhost_disk(s.host));
            struct scene after;
            simdisk_cut_power(disk, round == 0 ? survives_never : survives_by_coin, &prng);
            scene_new(&after, disk);
            struct loaded loaded = load(&after);
            assert_int_equal(loaded.result, OK);
            assert_int_equal(loaded.damaged, 0);
            assert_true(loaded.is_right);
            assert_int_equal(loaded.index, answer.is_given || loaded.index == 20 ? 20 : 10);
            simworld_free(after.sim);
        }
        goes_on = simworld_step(s.sim);
    }
    assert_true(answer.is_given);
    print_message("# %zu cut points\n", cuts);
    simworld_free(s.sim);
}

/* A snapshot comes in pieces, some of them wrong, into processes that end and lose their power; or,
 * if `fails`, that are killed, on a disk on which some writes fail. */
static void transfer_in_pieces(struct prng *prng, bool fails)
{
    struct scene source;
    struct buf file;
    char path[WORLD_PATH_MAX_BYTES];
    struct simdisk *disk = NULL;
    bool is_installed = false;
    size_t restarts = 0;

    scene_new(&source, NULL);
    write_snapshot(&source, 20, 300000);
    snapfile_path("snap", 20, 3, ".snap", path);
    buf_init(&file);
    assert_int_equal(simdisk_look(simhost_disk(source.host), path, &file), OK);
    while (!is_installed) {
        struct scene s;
        struct answer answer = {0};
        scene_new(&s, disk);
        struct snapfile_installer *i = snapfile_install(&s.place, 20, 3, note_offset, &answer);
        await(&s, &answer);
        for (uint64_t pieces = prng_range(prng, 1, 9); pieces > 0 && !is_installed; pieces--) {
            size_t n = (size_t)u64_min(prng_range(prng, 1, 40000), file.len - answer.offset);
            uint8_t copy[40000];
            memcpy(copy, file.data + answer.offset, n);
            bool is_wrong = prng_chance(prng, 1, 8);
            copy[n / 2] ^= is_wrong;
            answer.is_given = false;
            simdisk_fail(simhost_disk(s.host), WORLD_WRITE, ERR_NO_SPACE,
                         fails && prng_chance(prng, 1, 4));
            snapfile_install_put(i, (struct bytes){copy, n}, note_put);
            await(&s, &answer);
            is_installed = answer.result == ERR_EXISTS;
            assert_true(is_installed || answer.result == OK || answer.result == ERR_CORRUPT ||
                        (fails && answer.result == ERR_NO_SPACE));
            assert_true(answer.offset <= file.len);
        }
        if (is_installed) {
            assert_int_equal(load(&s).index, 20);
            assert_true(load(&s).is_right);
        } else {
            snapfile_install_close(i);
            while (simworld_step(s.sim)) {
            }
        }
        disk = simdisk_clone(simhost_disk(s.host));
        if (fails) {
            simdisk_close_all(disk);
        } else {
            simdisk_cut_power(disk, survives_by_coin, prng);
        }
        simworld_free(s.sim);
        restarts++;
        assert_true(restarts < 1000);
    }
    print_message("# %zu restarts\n", restarts);
    buf_deinit(&file);
    simdisk_free(disk);
    simworld_free(source.sim);
}

/* The sync that would have made it whole fails: the transfer ends, and the next one begins anew, as
 * nobody knows what of the old file is durable. */
static void a_transfer_whose_sync_fails_begins_anew(void **state)
{
    (void)state;
    struct scene source;
    struct scene s;
    struct buf file;
    char path[WORLD_PATH_MAX_BYTES];

    scene_new(&source, NULL);
    scene_new(&s, NULL);
    write_snapshot(&source, 20, 30000);
    snapfile_path("snap", 20, 3, ".snap", path);
    buf_init(&file);
    assert_int_equal(simdisk_look(simhost_disk(source.host), path, &file), OK);
    for (int round = 0; round < 2; round++) {
        struct answer answer = {0};
        struct snapfile_installer *i = snapfile_install(&s.place, 20, 3, note_offset, &answer);
        await(&s, &answer);
        assert_int_equal(answer.offset, 0);
        answer.is_given = false;
        if (round == 0) {
            simdisk_fail(simhost_disk(s.host), WORLD_SYNC, ERR_IO, 1);
        }
        snapfile_install_put(i, buf_view(&file), note_put);
        await(&s, &answer);
        assert_int_equal(answer.result, round == 0 ? ERR_IO : ERR_EXISTS);
        if (round == 0) {
            snapfile_install_close(i);
        }
    }
    assert_int_equal(load(&s).index, 20);
    buf_deinit(&file);
    simworld_free(s.sim);
    simworld_free(source.sim);
}

static void a_transfer_goes_on_where_it_broke_off(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    transfer_in_pieces(&prng, false);
}

static void a_transfer_goes_on_behind_what_was_written(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(10); round++) {
        transfer_in_pieces(&prng, true);
    }
}

/* The process dies when the sync of the last step failed, before it could remove the file. */
static void what_a_failed_sync_left_of_a_transfer_is_not_gone_on_with(void **state)
{
    (void)state;
    struct scene source;
    struct buf file;
    char path[WORLD_PATH_MAX_BYTES];

    scene_new(&source, NULL);
    write_snapshot(&source, 20, 90000);
    snapfile_path("snap", 20, 3, ".snap", path);
    buf_init(&file);
    assert_int_equal(simdisk_look(simhost_disk(source.host), path, &file), OK);
    for (int events = 1; events < 6; events++) {
        struct scene s;
        struct simdisk *disk = NULL;
        for (int life = 0; life < 2; life++) {
            struct answer answer = {0};
            scene_new(&s, disk);
            struct snapfile_installer *i = snapfile_install(&s.place, 20, 3, note_offset, &answer);
            await(&s, &answer);
            simdisk_fail(simhost_disk(s.host), WORLD_SYNC, ERR_IO, life == 0);
            answer.is_given = false;
            snapfile_install_put(
                i, (struct bytes){file.data + answer.offset, file.len - answer.offset}, note_put);
            for (int k = 0; life == 0 && k < events; k++) {
                (void)simworld_step(s.sim);
            }
            if (life == 1) {
                await(&s, &answer);
                assert_int_equal(answer.result, ERR_EXISTS);
            }
            disk = simdisk_clone(simhost_disk(s.host));
            if (life == 0) {
                simdisk_close_all(disk);
                simhost_kill(s.host);
                snapfile_forget(&s.tasks);
            } else {
                simdisk_cut_power(disk, survives_never, NULL);
            }
            simworld_free(s.sim);
        }
        scene_new(&s, disk);
        assert_int_equal(load(&s).index, 20);
        assert_true(load(&s).is_right);
        simworld_free(s.sim);
    }
    buf_deinit(&file);
    simworld_free(source.sim);
}

static void no_space_is_told_and_leaves_nothing(void **state)
{
    (void)state;
    struct scene s;
    struct answer answer = {0};

    scene_new(&s, NULL);
    write_snapshot(&s, 10, 1000);
    simdisk_set_capacity(simhost_disk(s.host), 100000);
    snapfile_finish(begin_writing(&s, 20, 200000, &answer), note_result);
    await(&s, &answer);
    assert_int_equal(answer.result, ERR_NO_SPACE);
    assert_null(simdisk_name(simhost_disk(s.host), 1));
    assert_int_equal(load(&s).index, 10);
    simworld_free(s.sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_is_read_back_and_two_are_kept),
        cmocka_unit_test(an_older_snapshot_that_was_just_written_stays),
        cmocka_unit_test(a_damaged_snapshot_gives_way_to_the_one_before),
        cmocka_unit_test(a_power_cut_leaves_the_old_one_or_the_new_one),
        cmocka_unit_test(a_transfer_goes_on_where_it_broke_off),
        cmocka_unit_test(a_transfer_goes_on_behind_what_was_written),
        cmocka_unit_test(a_transfer_whose_sync_fails_begins_anew),
        cmocka_unit_test(what_a_failed_sync_left_of_a_transfer_is_not_gone_on_with),
        cmocka_unit_test(no_space_is_told_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
