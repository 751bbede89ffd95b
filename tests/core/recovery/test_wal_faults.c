/* Operations that fail: what is final, what heals, and what is measured. */
#include "core/recovery/wal.h"

#include "tests/support/test.h"

#include "tests/core/recovery/wal_fixture.h"

struct bed {
    struct simworld *sim;
    struct simhost *host;
    struct wal_fixture f;
};

static void bed_new(struct bed *s)
{
    struct wal_config config = fixture_config();

    s->sim = simworld_new(1);
    s->host = simhost_new(s->sim, "a", 1 << 20);
    fixture_open(&s->f, s->sim, s->host, &config, 0, 0);
    simworld_run(s->sim, simworld_now(s->sim) + NANOS_PER_S);
}

static void bed_free(struct bed *s)
{
    fixture_close(&s->f);
    simworld_free(s->sim);
}

static enum err vote(struct bed *s, uint64_t term)
{
    const struct wal_hard_state hard = {term, 2, 0};
    return fixture_append(&s->f, (struct wal_append){.hard = &hard});
}

static void a_failed_sync_is_final(void **state)
{
    (void)state;
    const enum world_file_op ops[] = {WORLD_SYNC, WORLD_WRITE};
    const enum err errors[] = {ERR_IO, ERR_NO_SPACE};

    for (size_t i = 0; i < 4; i++) {
        struct bed s;
        bed_new(&s);
        assert_int_equal(fixture_entry(&s.f, 1, 1, 10), OK);
        fixture_settle(&s.f);
        simdisk_fail(simhost_disk(s.host), ops[i % 2], errors[i / 2], 1);
        assert_int_equal(fixture_entry(&s.f, 2, 1, 10), OK);
        fixture_settle(&s.f);
        /* Also when it says "no space", and although the next sync would succeed. */
        assert_int_equal(s.f.status, WAL_FAILED);
        assert_int_equal(s.f.durable, 1);
        assert_int_equal(fixture_entry(&s.f, 3, 1, 10), ERR_REFUSED);
        simworld_run(s.sim, simworld_now(s.sim) + 10 * NANOS_PER_S);
        assert_int_equal(s.f.durable, 1);
        assert_int_equal(wal_status(s.f.wal), WAL_FAILED);
        bed_free(&s);
    }
}

static void without_space_it_refuses_payloads_keeps_voting_and_heals(void **state)
{
    (void)state;
    struct bed s;
    uint64_t index = 0;
    uint64_t term = 1;
    enum err e = OK;

    bed_new(&s);
    simdisk_set_capacity(simhost_disk(s.host), 0);
    while (s.f.status == WAL_OK) {
        e = fixture_entry(&s.f, index + 1, 1, 600);
        index += e == OK;
        assert_true(e == OK || e == ERR_BUSY || e == ERR_NO_SPACE);
        simworld_run(s.sim, simworld_now(s.sim) + NANOS_PER_MS);
    }
    assert_int_equal(s.f.status, WAL_NO_SPACE);
    assert_int_equal(fixture_entry(&s.f, index + 1, 1, 1), ERR_NO_SPACE);
    for (int votes = 0; votes < 2; votes++) {
        assert_int_equal(vote(&s, ++term), OK);
        fixture_settle(&s.f);
        assert_int_equal(s.f.durable, s.f.appended);
    }
    /* The reserve is not endless either, and that is told as what it is. */
    while ((e = vote(&s, term + 1)) == OK) {
        term++;
        fixture_settle(&s.f);
        assert_true(term < 100);
    }
    assert_int_equal(e, ERR_NO_SPACE);
    simdisk_set_capacity(simhost_disk(s.host), 1 << 20);
    simworld_run(s.sim, simworld_now(s.sim) + 2 * WAL_SPACE_RETRY);
    assert_int_equal(s.f.status, WAL_OK);
    assert_int_equal(fixture_entry(&s.f, index + 1, term, 100), OK);
    fixture_settle(&s.f);
    assert_int_equal(s.f.durable, s.f.appended);
    uint64_t last_term = term;
    fixture_close(&s.f);
    struct wal_config config = fixture_config();
    fixture_open(&s.f, s.sim, s.host, &config, 0, 0);
    assert_int_equal(s.f.found.verdict, RECOVERY_CLEAN);
    assert_int_equal(s.f.found.state->hard.term, last_term);
    assert_int_equal(s.f.found.state->last_index, index + 1);
    bed_free(&s);
}

static void a_stalled_disk_is_measured(void **state)
{
    (void)state;
    struct bed s;

    bed_new(&s);
    assert_int_equal(wal_stalled_since(s.f.wal), NANOS_FOREVER);
    nanos began = simworld_now(s.sim);
    simhost_stall(s.host, WORLD_LANE_LOG, began + 5 * NANOS_PER_S);
    assert_int_equal(fixture_entry(&s.f, 1, 1, 10), OK);
    simworld_run(s.sim, began + NANOS_PER_S);
    assert_int_equal(s.f.durable, 0);
    assert_int_equal(wal_stalled_since(s.f.wal), began);
    uint64_t syncs = s.f.syncs;
    fixture_settle(&s.f);
    assert_int_equal(s.f.syncs, syncs + 1);
    assert_true(simworld_now(s.sim) >= began + 5 * NANOS_PER_S);
    bed_free(&s);
}

static void a_sync_that_lies_loses_no_more_than_it_lied_about(void **state)
{
    (void)state;
    struct wal_config config = fixture_config();
    struct bed s;

    bed_new(&s);
    for (uint64_t i = 1; i <= 5; i++) {
        assert_int_equal(fixture_entry(&s.f, i, 1, 10), OK);
        fixture_settle(&s.f);
    }
    simdisk_lie(simhost_disk(s.host), true);
    assert_int_equal(fixture_entry(&s.f, 6, 1, 10), OK);
    fixture_settle(&s.f);
    assert_int_equal(s.f.durable, 6);
    simhost_cut_power(s.host, 0, 1);
    wal_free(s.f.wal);
    simdisk_lie(simhost_disk(s.host), false);
    fixture_open(&s.f, s.sim, s.host, &config, 0, 0);
    /* A last batch that vanished whole leaves no trace: no log can see that. */
    assert_int_equal(s.f.found.verdict, RECOVERY_CLEAN);
    assert_int_equal(s.f.found.state->last_index, 5);
    bed_free(&s);
}

static void a_repair_of_another_entry_is_refused(void **state)
{
    (void)state;
    struct bed s;
    uint8_t storage[16];
    struct wal_entry entry = fixture_make_entry(1, 2, 10, storage);
    struct wal_append repair = {.entries = &entry, .entry_count = 1, .is_repair = true};

    bed_new(&s);
    assert_int_equal(fixture_entry(&s.f, 1, 1, 10), OK);
    fixture_settle(&s.f);
    assert_int_equal(fixture_append(&s.f, repair), ERR_REFUSED);
    entry = fixture_make_entry(2, 1, 10, storage); /* it is not held at all */
    assert_int_equal(fixture_append(&s.f, repair), ERR_REFUSED);
    entry = fixture_make_entry(1, 1, 10, storage); /* the scrubber may have found it damaged */
    assert_int_equal(fixture_append(&s.f, repair), OK);
    fixture_settle(&s.f);
    static uint8_t large[8 * WAL_SECTOR_BYTES];
    entry = fixture_make_entry(2, 1, sizeof large, large);
    assert_int_equal(fixture_append(&s.f, (struct wal_append){.entries = &entry, .entry_count = 1}),
                     ERR_TOO_LARGE);
    bed_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failed_sync_is_final),
        cmocka_unit_test(without_space_it_refuses_payloads_keeps_voting_and_heals),
        cmocka_unit_test(a_stalled_disk_is_measured),
        cmocka_unit_test(a_sync_that_lies_loses_no_more_than_it_lied_about),
        cmocka_unit_test(a_repair_of_another_entry_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
