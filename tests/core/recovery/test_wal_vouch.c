/*
 * What recovery vouches for is durable. A process dies after each event of a scripted life of a
 * log, and leaves on its disk what it wrote, synced or not; its successor reads that, and says what
 * the log is. Then the power is cut, and of what is not durable every subset survives, or both
 * extremes and a sample: the third process must find the log to be just that.
 */
#include "core/recovery/wal.h"

#include "tests/support/test.h"

#include <string.h>

#include "tests/core/recovery/wal_fixture.h"

/* Up to so many units that are not durable, all subsets are tried; above, a sample of so many. */
#define VOUCH_UNITS_EXHAUSTIVE 6
#define VOUCH_SUBSETS_SAMPLED  16

/* Entries that fit a sector, need many, begin segments, and replace others; and snapshots, which
 * let segments go and come back as spares. */
static const struct {
    uint64_t index;
    uint64_t term;
    size_t length;
    bool is_snapshot; /* its file is durable before */
} vouch_script[] = {
    {1, 1, 10, false},    {2, 1, 700, false},  {3, 1, 1200, false}, {4, 1, 0, false},
    {4, 2, 2500, false},  {5, 2, 90, false},   {6, 2, 2900, false}, {4, 2, 0, true},
    {5, 3, 1400, false},  {6, 3, 2500, false}, {7, 3, 20, false},   {8, 3, 900, false},
    {7, 3, 0, true},      {8, 4, 2000, false}, {9, 4, 300, false},  {10, 4, 2800, false},
    {11, 4, 2800, false},
};

/* One life of a log: where its script stands, and its newest snapshot. */
struct vouch_life {
    struct wal_fixture f;
    size_t next;
    uint64_t snapshot_index;
    uint64_t snapshot_term;
    bool compacts; /* the marker is in the log; segments go when it is durable */
};

struct vouch_tally {
    uint64_t deaths;
    uint64_t disks;
    uint64_t unsynced; /* deaths that left something which was not durable */
    uint64_t units_max;
};

static bool vouch_survives(void *ctx, uint64_t unit)
{
    uint64_t mask = *(const uint64_t *)ctx;
    return (mask >> (unit % 64) & 1) != 0;
}

static void note_over(void *owner, const struct wal_recovery *found)
{
    (void)found;
    *(bool *)owner = true;
}

/* What a process knows: what recovery gave it, and what it has appended since. */
static uint64_t vouch_hash(const struct wal_fixture *f, const struct vouch_life *life)
{
    struct log_model model = f->read;
    model_adopt(&model, life->snapshot_index, life->snapshot_term);
    return model_hash(&model, life->snapshot_index);
}

/* What is found after a power cut is what was vouched for. */
static void cut_and_compare(const struct vouch_life *life, const struct simdisk *disk,
                            uint64_t mask, uint64_t hash)
{
    static struct wal_fixture third;
    struct wal_config config = fixture_config();
    struct simworld *sim = simworld_new(3);
    struct simhost *host = simhost_new(sim, "a", 0);
    struct simdisk *copy = simdisk_clone(disk);

    config.is_member = true;
    simdisk_cut_power(copy, vouch_survives, &mask);
    simhost_replace_disk(host, copy);
    fixture_open(&third, sim, host, &config, life->snapshot_index, life->snapshot_term);
    assert_true(third.is_recovered);
    assert_true(recovery_may_vote(third.found.verdict));
    assert_int_equal(third.spots, 0);
    assert_int_equal(vouch_hash(&third, life), hash);
    fixture_close(&third);
    simworld_free(sim);
}

static void cut_every_subset(const struct vouch_life *life, const struct wal_fixture *second,
                             struct prng *prng, struct vouch_tally *tally)
{
    const struct simdisk *disk = simhost_disk(second->host);
    uint64_t hash = vouch_hash(second, life);
    uint64_t units = simdisk_pending(disk);

    tally->units_max = u64_max(tally->units_max, units);
    cut_and_compare(life, disk, 0, hash);
    cut_and_compare(life, disk, UINT64_MAX, hash);
    if (units <= VOUCH_UNITS_EXHAUSTIVE) {
        for (uint64_t mask = 1; mask + 1 < 1ULL << units; mask++) {
            cut_and_compare(life, disk, mask, hash);
        }
        return;
    }
    for (size_t i = 0; i < VOUCH_SUBSETS_SAMPLED; i++) {
        cut_and_compare(life, disk, prng_u64(prng), hash);
    }
}

/* Goes on until it has used the segment behind the one in which it began. */
static void go_on_behind(struct wal_fixture *f)
{
    static uint8_t storage[4096];

    for (size_t i = 0; i < 4; i++) {
        struct wal_entry entry = fixture_make_entry(f->read.last + 1, 99, 2500, storage);
        enum err e = ERR_BUSY;
        while ((e = fixture_append(f, (struct wal_append){.entries = &entry, .entry_count = 1})) ==
               ERR_BUSY) {
            assert_true(simworld_step(f->sim));
        }
        assert_int_equal(e, OK);
        fixture_settle(f);
        assert_int_equal(f->durable, f->appended);
        model_append(&f->read, &entry);
    }
}

/* The successor of a process that died on this disk; it dies itself after so many events
 * (UINT64_MAX: none does), and another one comes. True: it was done before. */
static bool vouch_recover(const struct vouch_life *life, uint64_t events, bool goes_on,
                          struct prng *prng, struct vouch_tally *tally)
{
    static struct wal_fixture second;
    struct wal_config config = fixture_config();
    struct simworld *sim = simworld_new(2);
    struct simhost *host = simhost_new(sim, "a", 0);
    struct simdisk *copy = simdisk_clone(simhost_disk(life->f.host));
    const struct wal_events none = {0};

    config.is_member = true;
    simdisk_close_all(copy);
    tally->disks++;
    tally->unsynced += simdisk_pending(copy) > 0;
    simhost_replace_disk(host, copy);
    bool is_over = events == UINT64_MAX;
    if (!is_over) {
        struct wal *w = wal_new(simhost_world(host), &config, &none);
        wal_recover(w, life->snapshot_index, life->snapshot_term, NULL, note_over, &is_over);
        for (uint64_t i = 0; i < events && !is_over; i++) {
            assert_true(simworld_step(sim));
        }
        simhost_kill(host);
        wal_free(w);
    }
    fixture_open(&second, sim, host, &config, life->snapshot_index, life->snapshot_term);
    assert_true(second.is_recovered);
    assert_true(recovery_may_vote(second.found.verdict));
    assert_int_equal(second.spots, 0);
    if (goes_on) {
        go_on_behind(&second);
    }
    cut_every_subset(life, &second, prng, tally);
    fixture_close(&second);
    simworld_free(sim);
    return is_over;
}

/* With successors that are done, and, at every eighth death, with those that die at each event. */
static void die_here(const struct vouch_life *life, struct prng *prng, struct vouch_tally *tally)
{
    tally->deaths++;
    (void)vouch_recover(life, UINT64_MAX, false, prng, tally);
    (void)vouch_recover(life, UINT64_MAX, true, prng, tally);
    for (uint64_t events = 1; tally->deaths % 8 == 0; events++) {
        if (vouch_recover(life, events, events % 2 == 0, prng, tally)) {
            break;
        }
    }
}

static void vouch_begin(struct vouch_life *life)
{
    struct wal_config config = fixture_config();
    struct simworld *sim = simworld_new(1);

    memset(life, 0, sizeof *life);
    fixture_open(&life->f, sim, simhost_new(sim, "a", 1 << 20), &config, 0, 0);
}

static void vouch_end(struct vouch_life *life)
{
    struct simworld *sim = life->f.sim;
    fixture_close(&life->f);
    simworld_free(sim);
}

static enum err append_next(struct vouch_life *life)
{
    uint64_t index = vouch_script[life->next].index;
    uint64_t term = vouch_script[life->next].term;

    if (!vouch_script[life->next].is_snapshot) {
        return fixture_entry(&life->f, index, term, vouch_script[life->next].length);
    }
    TRY(fixture_append(&life->f,
                       (struct wal_append){.snapshot_index = index, .snapshot_term = term}));
    life->snapshot_index = index;
    life->snapshot_term = term;
    life->compacts = true;
    return OK;
}

/* Appends what the script has next, or lets the world go on; false when nothing is left to do. */
static bool vouch_live(struct vouch_life *life, uint64_t window)
{
    struct wal_fixture *f = &life->f;
    bool may_append = life->next < COUNT_OF(vouch_script) && f->appended - f->durable < window;

    if (life->compacts && f->durable == f->appended) {
        life->compacts = false;
        wal_compact(f->wal, life->snapshot_index);
    }
    if (may_append && append_next(life) == OK) {
        life->next++;
        return true;
    }
    return simworld_step(f->sim);
}

static void live_and_die(uint64_t window, struct prng *prng, struct vouch_tally *tally)
{
    static struct vouch_life life;

    vouch_begin(&life);
    while (vouch_live(&life, window)) {
        die_here(&life, prng, tally);
    }
    assert_int_equal(life.next, COUNT_OF(vouch_script));
    assert_int_equal(life.f.status, WAL_OK);
    vouch_end(&life);
}

static void print_vouch_tally(const char *name, const struct vouch_tally *tally)
{
    print_message("# %s: %llu deaths, %llu disks, %llu of them with unsynced changes, up to %llu "
                  "units not durable after recovery\n",
                  name, (unsigned long long)tally->deaths, (unsigned long long)tally->disks,
                  (unsigned long long)tally->unsynced, (unsigned long long)tally->units_max);
}

static void what_a_killed_process_left_unsynced_is_durable_once_it_was_recovered(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    struct vouch_tally tally = {0};

    live_and_die(1, &prng, &tally);
    live_and_die(4, &prng, &tally);
    print_vouch_tally(__func__, &tally);
    assert_true(tally.unsynced > 0);
}

/* The bytes that a failed sync was for can be read, and no later sync alone makes them durable. */
static void what_a_failed_sync_left_is_durable_once_it_was_recovered(void **state)
{
    (void)state;
    static struct vouch_life life;
    struct prng prng = test_prng(__func__);
    struct vouch_tally tally = {0};
    uint64_t failed = 0;
    bool goes_on = true;

    for (uint64_t events = 0; goes_on; events++) {
        vouch_begin(&life);
        for (uint64_t i = 0; i < events && goes_on; i++) {
            goes_on = vouch_live(&life, 2);
        }
        simdisk_fail(simhost_disk(life.f.host), WORLD_SYNC, ERR_IO, 1);
        while (life.f.status == WAL_OK && vouch_live(&life, 2)) {
        }
        failed += life.f.status == WAL_FAILED;
        simdisk_heal(simhost_disk(life.f.host));
        die_here(&life, &prng, &tally);
        vouch_end(&life);
    }
    print_vouch_tally(__func__, &tally);
    assert_true(failed > 0 && tally.unsynced > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_killed_process_left_unsynced_is_durable_once_it_was_recovered),
        cmocka_unit_test(what_a_failed_sync_left_is_durable_once_it_was_recovered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
