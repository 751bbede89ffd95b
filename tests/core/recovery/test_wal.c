/* The log on a disk that behaves. */
#include "core/recovery/wal.h"

#include "tests/support/test.h"

#include <string.h>

#include "tests/core/recovery/wal_fixture.h"

static void a_new_disk_is_empty_and_then_clean(void **state)
{
    (void)state;
    struct wal_config config = fixture_config();
    struct simworld *sim = simworld_new(1);
    struct simhost *host = simhost_new(sim, "a", 1 << 20);
    struct wal_fixture f;

    fixture_open(&f, sim, host, &config, 0, 0);
    assert_true(f.is_recovered);
    assert_int_equal(f.found.verdict, RECOVERY_EMPTY);
    fixture_close(&f);
    config.is_member = true;
    fixture_open(&f, sim, host, &config, 0, 0);
    assert_int_equal(f.found.verdict, RECOVERY_CLEAN);
    assert_int_equal(f.found.state->last_index, 0);
    fixture_close(&f);
    simworld_free(sim);
}

static void entries_survive_a_restart(void **state)
{
    (void)state;
    struct wal_config config = fixture_config();
    struct simworld *sim = simworld_new(1);
    struct simhost *host = simhost_new(sim, "a", 1 << 20);
    struct log_model model = {0};
    struct wal_fixture f;
    uint8_t storage[4096];

    fixture_open(&f, sim, host, &config, 0, 0);
    for (uint64_t i = 1; i <= 60; i++) {
        size_t length = (i * 97) % 1500;
        struct wal_entry entry = fixture_make_entry(i, 1 + i / 20, length, storage);
        struct wal_hard_state hard = {1 + i / 20, 2, i - 1};
        enum err e = fixture_append(
            &f, (struct wal_append){.hard = &hard, .entries = &entry, .entry_count = 1});
        if (e == ERR_BUSY) {
            fixture_settle(&f);
            simworld_run(sim, simworld_now(sim) + NANOS_PER_S);
            e = fixture_append(
                &f, (struct wal_append){.hard = &hard, .entries = &entry, .entry_count = 1});
        }
        assert_int_equal(e, OK);
        model_append(&model, &entry);
        model.hard = hard;
    }
    fixture_settle(&f);
    assert_int_equal(f.durable, 60);
    fixture_close(&f);
    fixture_open(&f, sim, host, &config, 0, 0);
    assert_int_equal(f.found.verdict, RECOVERY_CLEAN);
    assert_int_equal(model_hash(&f.read, 0), model_hash(&model, 0));
    fixture_close(&f);
    simworld_free(sim);
}

static void appends_during_a_sync_share_the_next_one(void **state)
{
    (void)state;
    struct wal_config config = fixture_config();
    config.segment_bytes = 256 * WAL_SECTOR_BYTES;
    config.batch_bytes = 64 * WAL_SECTOR_BYTES;
    struct simworld *sim = simworld_new(1);
    struct simhost *host = simhost_new(sim, "a", 1 << 20);
    struct wal_fixture f;

    fixture_open(&f, sim, host, &config, 0, 0);
    f.syncs = 0;
    for (uint64_t i = 1; i <= 11; i++) {
        assert_int_equal(fixture_entry(&f, i, 1, 100), OK);
    }
    fixture_settle(&f);
    assert_int_equal(f.durable, 11);
    assert_int_equal(f.syncs, 2);
    fixture_close(&f);
    simworld_free(sim);
}

struct reading {
    struct wal_read read;
    struct log_model got;
    uint64_t count;
    bool is_done;
    enum err result;
};

static void reading_entry(struct wal_read *read, const struct wal_entry *entry)
{
    struct reading *reading = read->owner;
    model_append(&reading->got, entry);
    reading->count++;
}

static void reading_done(struct wal_read *read, enum err result)
{
    struct reading *reading = read->owner;
    reading->is_done = true;
    reading->result = result;
}

static void reads_back_what_was_rewritten(void **state)
{
    (void)state;
    struct wal_config config = fixture_config();
    struct simworld *sim = simworld_new(1);
    struct simhost *host = simhost_new(sim, "a", 1 << 20);
    struct log_model model = {0};
    struct prng prng = test_prng(__func__);
    struct wal_fixture f;
    uint8_t storage[4096];

    fixture_open(&f, sim, host, &config, 0, 0);
    uint64_t term = 1;
    for (size_t round = 0; round < 300; round++) {
        uint64_t index = model.last + 1;
        if (prng_chance(&prng, 1, 5) && model.last > 3) {
            index = prng_range(&prng, model.last - 3, model.last);
            term++;
        }
        size_t length = prng_below(&prng, 900);
        struct wal_entry entry = fixture_make_entry(index, term, length, storage);
        struct wal_append append = {.entries = &entry, .entry_count = 1};
        while (fixture_append(&f, append) == ERR_BUSY) {
            assert_true(simworld_step(sim));
        }
        model_append(&model, &entry);
        if (round % 10 == 0) {
            fixture_settle(&f);
        }
    }
    fixture_settle(&f);
    for (int pass = 0; pass < 2; pass++) {
        struct reading reading = {.read = {.lo = 1,
                                           .hi = model.last,
                                           .bytes_max = UINT64_MAX,
                                           .entry = reading_entry,
                                           .done = reading_done}};
        reading.read.owner = &reading;
        assert_int_equal(wal_read(f.wal, &reading.read), OK);
        while (!reading.is_done && simworld_step(sim)) {
        }
        assert_int_equal(reading.result, OK);
        assert_int_equal(reading.count, model.last);
        reading.got.hard = model.hard;
        assert_int_equal(model_hash(&reading.got, 0), model_hash(&model, 0));
        wal_read_deinit(&reading.read);
        fixture_close(&f);
        fixture_open(&f, sim, host, &config, 0, 0);
        assert_int_equal(model_hash(&f.read, 0), model_hash(&model, 0));
    }
    fixture_close(&f);
    simworld_free(sim);
}

static void compaction_recycles_segments(void **state)
{
    (void)state;
    struct wal_config config = fixture_config();
    struct simworld *sim = simworld_new(1);
    /* Room for a handful of segments only: without recycling it would run out. */
    struct simhost *host = simhost_new(sim, "a", 12 * 16 * WAL_SECTOR_BYTES);
    struct wal_fixture f;

    fixture_open(&f, sim, host, &config, 0, 0);
    for (uint64_t i = 1; i <= 200; i++) {
        while (fixture_entry(&f, i, 1, 700) == ERR_BUSY) {
            assert_true(simworld_step(sim));
        }
        if (i % 10 == 0) {
            fixture_settle(&f);
            struct wal_append marker = {.snapshot_index = i - 3, .snapshot_term = 1};
            while (fixture_append(&f, marker) == ERR_BUSY) {
                assert_true(simworld_step(sim));
            }
            fixture_settle(&f);
            wal_compact(f.wal, i - 3);
        }
    }
    fixture_settle(&f);
    assert_int_equal(f.status, WAL_OK);
    assert_int_equal(f.durable, f.appended);
    simworld_run(sim, simworld_now(sim) + NANOS_PER_S);
    fixture_close(&f);
    fixture_open(&f, sim, host, &config, 197, 1);
    assert_int_equal(f.found.verdict, RECOVERY_CLEAN);
    assert_int_equal(f.found.state->last_index, 200);
    fixture_close(&f);
    simworld_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_disk_is_empty_and_then_clean),
        cmocka_unit_test(entries_survive_a_restart),
        cmocka_unit_test(appends_during_a_sync_share_the_next_one),
        cmocka_unit_test(reads_back_what_was_rewritten),
        cmocka_unit_test(compaction_recycles_segments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
