/* Scrubbing finds what nobody read, at the rate it was given. */
#include "core/recovery/scrub.h"

#include "tests/support/test.h"

#include "tests/core/recovery/wal_fixture.h"

struct watch {
    struct wal_fixture f;
    struct simworld *sim;
    struct simhost *host;
    struct snapfile_place place;
    struct scrub *scrub;
    uint64_t passes;
    uint64_t bytes;
    uint64_t log_damages;
    uint64_t lo;
    uint64_t hi;
    uint64_t snapshot_damages;
    bool is_written;
};

static void watch_log_damage(void *ctx, const struct wal_spot *spot, uint64_t lo, uint64_t hi)
{
    struct watch *w = ctx;
    assert_non_null(spot->what);
    w->log_damages++;
    w->lo = lo;
    w->hi = hi;
}

static void watch_snapshot_damage(void *ctx, uint64_t index, uint64_t term)
{
    struct watch *w = ctx;
    assert_int_equal(index, 5);
    assert_int_equal(term, 1);
    w->snapshot_damages++;
}

static void watch_pass(void *ctx, uint64_t bytes)
{
    struct watch *w = ctx;
    w->passes++;
    w->bytes = bytes;
}

static void watch_written(void *ctx, enum err result)
{
    struct watch *w = ctx;
    assert_int_equal(result, OK);
    w->is_written = true;
}

static void watch_new(struct watch *w)
{
    const struct scrub_events events = {w, watch_log_damage, watch_snapshot_damage, watch_pass};
    const struct scrub_config config = {.bytes_per_second = 1 << 20, .pause = NANOS_PER_S};
    struct wal_config log = fixture_config();
    uint8_t payload[1000] = {1};

    *w = (struct watch){.sim = simworld_new(1)};
    w->host = simhost_new(w->sim, "a", 1 << 22);
    w->place = (struct snapfile_place){simhost_world(w->host), "snap", FIXTURE_CLUSTER, NULL};
    fixture_open(&w->f, w->sim, w->host, &log, 0, 0);
    for (uint64_t i = 1; i <= 30; i++) {
        while (fixture_entry(&w->f, i, 1, 600) == ERR_BUSY) {
            assert_true(simworld_step(w->sim));
        }
    }
    fixture_settle(&w->f);
    struct snapfile_writer *writer =
        snapfile_create(&w->place, 5, 1, (struct bytes){NULL, 0}, NULL, w);
    for (int i = 0; i < 600; i++) {
        while (snapfile_put(writer, (struct bytes){payload, sizeof payload}) == ERR_BUSY) {
            assert_true(simworld_step(w->sim));
        }
    }
    snapfile_finish(writer, watch_written);
    while (!w->is_written) {
        assert_true(simworld_step(w->sim));
    }
    w->scrub = scrub_new(w->f.wal, &w->place, &config, &events);
}

static void await_passes(struct watch *w, uint64_t passes)
{
    while (w->passes < passes) {
        assert_true(simworld_step(w->sim));
    }
}

static void watch_free(struct watch *w)
{
    simhost_kill(w->host);
    scrub_free(w->scrub);
    fixture_close(&w->f);
    simworld_free(w->sim);
}

static void reads_everything_at_the_given_rate(void **state)
{
    (void)state;
    struct watch w;

    watch_new(&w);
    nanos began = simworld_now(w.sim);
    await_passes(&w, 2);
    assert_int_equal(w.log_damages + w.snapshot_damages, 0);
    assert_true(w.bytes > snapfile_bytes(600000));
    nanos least = 2 * (NANOS_PER_S + w.bytes * NANOS_PER_S / (1 << 20));
    assert_true(simworld_now(w.sim) - began >= least);
    watch_free(&w);
}

static void tells_damage_by_the_entries_that_lie_there(void **state)
{
    (void)state;
    struct watch w;
    char path[WORLD_PATH_MAX_BYTES];

    watch_new(&w);
    const char *segment = "wal/0000000000000001.wal";
    assert_int_equal(simdisk_flip(simhost_disk(w.host), segment, 4 * WAL_SECTOR_BYTES, 1), OK);
    snapfile_path("snap", 5, 1, ".snap", path);
    assert_int_equal(simdisk_flip(simhost_disk(w.host), path, 200000, 1), OK);
    await_passes(&w, 1);
    assert_int_equal(w.log_damages, 1);
    assert_true(w.lo >= 1 && w.lo <= w.hi && w.hi <= 30);
    assert_int_equal(w.snapshot_damages, 1);
    watch_free(&w);
}

/* A read fails as a whole. What lies beside the bad sector is as good as ever. */
static void an_unreadable_sector_is_told_alone(void **state)
{
    (void)state;
    struct watch w;

    watch_new(&w);
    const char *segment = "wal/0000000000000001.wal";
    assert_int_equal(simdisk_spoil(simhost_disk(w.host), segment, 4 * WAL_SECTOR_BYTES), OK);
    await_passes(&w, 1);
    assert_int_equal(w.log_damages, 1);
    assert_true(w.lo >= 1 && w.lo <= w.hi && w.hi < 30);
    watch_free(&w);
}

/* Sectors that read well, and are not what was written: zeros in a file that was cut and has grown
 * again, and another life's. */
static void tells_what_was_never_written_where_a_batch_has_to_be(void **state)
{
    (void)state;
    struct watch w;
    const char *first = "wal/0000000000000001.wal";

    watch_new(&w);
    struct simdisk *disk = simhost_disk(w.host);
    assert_int_equal(simdisk_cut(disk, first, 5 * WAL_SECTOR_BYTES), OK);
    assert_int_equal(simdisk_cut(disk, first, 16 * WAL_SECTOR_BYTES), OK);
    await_passes(&w, 1);
    assert_true(w.log_damages >= 1);
    watch_free(&w);
    watch_new(&w);
    disk = simhost_disk(w.host);
    /* What lies there in the first segment has the right place, and an older number. */
    assert_int_equal(simdisk_misdirect(disk, first, 5 * WAL_SECTOR_BYTES,
                                       "wal/0000000000000002.wal", 5 * WAL_SECTOR_BYTES),
                     OK);
    await_passes(&w, 1);
    assert_int_equal(w.log_damages, 1);
    watch_free(&w);
}

/* What is behind the cut was never written, but the next start could not know. */
static void leaves_a_segment_that_was_cut_behind_the_logs_end(void **state)
{
    (void)state;
    struct watch w;
    struct wal_config config = fixture_config();
    char path[WORLD_PATH_MAX_BYTES] = "wal/";
    uint64_t size = 0;

    watch_new(&w);
    struct simdisk *disk = simhost_disk(w.host);
    uint64_t seq = 1;
    do {
        wal_segment_name(++seq + 1, path + 4);
    } while (simdisk_size(disk, path, &size) == OK);
    wal_segment_name(seq - 1, path + 4); /* behind it, one is prepared */
    assert_int_equal(simdisk_cut(disk, path, 15 * WAL_SECTOR_BYTES), OK);
    await_passes(&w, 1);
    assert_int_equal(w.log_damages, 0);
    while (fixture_entry(&w.f, 31, 1, 10) == ERR_BUSY) {
        assert_true(simworld_step(w.sim));
    }
    fixture_settle(&w.f);
    simhost_kill(w.host);
    scrub_free(w.scrub);
    fixture_close(&w.f);
    config.is_member = true;
    fixture_open(&w.f, w.sim, w.host, &config, 0, 0);
    assert_false(w.f.found.state->in_doubt);
    assert_int_equal(w.f.found.state->last_index, 31);
    assert_int_equal(w.f.found.state->damage_count, 0);
    fixture_close(&w.f);
    simworld_free(w.sim);
}

/* Nobody opens a snapshot while the node runs: only a scrub misses it. */
static void misses_the_snapshot_that_the_log_stands_on(void **state)
{
    (void)state;
    struct watch w;
    char path[WORLD_PATH_MAX_BYTES];

    watch_new(&w);
    snapfile_path("snap", 5, 1, ".snap", path);
    assert_int_equal(simdisk_remove(simhost_disk(w.host), path), OK);
    await_passes(&w, 1);
    assert_int_equal(w.snapshot_damages, 0); /* the log does not speak of one yet */
    struct wal_append marker = {.snapshot_index = 5, .snapshot_term = 1};
    assert_int_equal(fixture_append(&w.f, marker), OK);
    fixture_settle(&w.f);
    await_passes(&w, 2);
    assert_int_equal(w.snapshot_damages, 1);
    assert_int_equal(w.log_damages, 0);
    watch_free(&w);
}

/* A segment without a name is written and read as before, until the process ends. */
static void misses_segments_and_the_log_goes_on_behind_them(void **state)
{
    (void)state;
    struct watch w;
    struct wal_config config = fixture_config();
    char path[WORLD_PATH_MAX_BYTES] = "wal/";

    watch_new(&w);
    struct simdisk *disk = simhost_disk(w.host);
    assert_int_equal(simdisk_remove(disk, "wal/0000000000000002.wal"), OK);
    await_passes(&w, 1);
    assert_true(w.log_damages >= 2); /* its extents, and itself */
    /* And the one that is being written. */
    uint64_t seq = 3;
    for (uint64_t size = 0;; seq++) {
        wal_segment_name(seq + 2, path + 4); /* behind the active one, one is prepared */
        if (simdisk_size(disk, path, &size) != OK) {
            break;
        }
    }
    wal_segment_name(seq, path + 4);
    assert_int_equal(simdisk_remove(disk, path), OK);
    await_passes(&w, 2);
    while (fixture_entry(&w.f, 31, 1, 600) == ERR_BUSY) {
        assert_true(simworld_step(w.sim));
    }
    fixture_settle(&w.f);
    simhost_kill(w.host);
    scrub_free(w.scrub);
    fixture_close(&w.f);
    config.is_member = true;
    fixture_open(&w.f, w.sim, w.host, &config, 0, 0);
    assert_int_equal(w.f.found.verdict, RECOVERY_DAMAGED);
    assert_false(w.f.found.state->in_doubt);
    assert_int_equal(w.f.found.state->last_index, 31);
    assert_false(wal_state_is_damaged(w.f.found.state, 31));
    fixture_close(&w.f);
    simworld_free(w.sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_everything_at_the_given_rate),
        cmocka_unit_test(tells_damage_by_the_entries_that_lie_there),
        cmocka_unit_test(an_unreadable_sector_is_told_alone),
        cmocka_unit_test(tells_what_was_never_written_where_a_batch_has_to_be),
        cmocka_unit_test(leaves_a_segment_that_was_cut_behind_the_logs_end),
        cmocka_unit_test(misses_the_snapshot_that_the_log_stands_on),
        cmocka_unit_test(misses_segments_and_the_log_goes_on_behind_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
