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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_everything_at_the_given_rate),
        cmocka_unit_test(tells_damage_by_the_entries_that_lie_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
