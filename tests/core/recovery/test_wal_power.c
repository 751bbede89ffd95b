/*
 * Power is cut after every single event of a scripted life of a log, and of everything that was not
 * durable then, every subset survives (where that is few units), or both extremes and a sample.
 *
 * From each such disk the log must recover to exactly what it was after some append between the
 * last one acknowledged and the last one made: nothing acknowledged is lost, nothing is invented.
 */
#include "core/recovery/wal.h"

#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/hash.h"
#include "tests/core/recovery/wal_fixture.h"

/* Up to so many units that are not durable, all subsets are tried; above, a sample of so many. */
#define UNITS_EXHAUSTIVE 10
#define SUBSETS_SAMPLED  32

#define OPS_MAX 128

/* One append of a script. */
struct op {
    uint64_t index; /* 0: no entries */
    uint64_t term;
    uint32_t count;
    uint32_t length;
    bool votes;
    uint64_t snapshot; /* 0: none; compacts when durable */
};

/* Small and large, several at once, rewrites, votes, segments that are full, snapshots. */
static const struct op script[] = {
    {0, 1, 0, 0, true, 0},      {1, 1, 1, 10, false, 0},    {2, 1, 3, 200, false, 0},
    {5, 1, 1, 1200, true, 0},   {6, 1, 1, 0, false, 0},     {0, 2, 0, 0, true, 0},
    {6, 2, 2, 300, false, 0},   {7, 3, 1, 40, true, 0},     {8, 3, 1, 2500, false, 0},
    {9, 3, 4, 90, false, 0},    {13, 3, 1, 700, false, 0},  {0, 3, 0, 0, true, 7},
    {14, 3, 1, 1600, false, 0}, {15, 4, 1, 1600, true, 0},  {16, 4, 1, 1600, false, 0},
    {15, 5, 1, 20, true, 0},    {16, 5, 1, 500, false, 0},  {0, 5, 0, 0, false, 14},
    {17, 5, 2, 400, false, 0},  {19, 5, 1, 2900, false, 0}, {20, 6, 1, 10, true, 0},
    {0, 6, 0, 0, false, 19},    {21, 6, 3, 800, false, 0},  {24, 7, 1, 3, true, 0},
    {0, 7, 0, 0, false, 40},    {41, 7, 1, 30, false, 0},   {42, 8, 2, 900, true, 0},
};

struct life {
    struct wal_fixture f;
    const struct op *ops;
    size_t op_count;
    struct {
        struct log_model model;
        uint64_t count;      /* entries of the last append */
    } after[OPS_MAX];        /* the truth after so many appends */
    uint64_t snapshot_index; /* the newest snapshot file, durable before its marker */
    uint64_t snapshot_term;
    uint64_t compact;
    size_t next_op;
};

struct tally {
    uint64_t cuts;
    uint64_t disks;
    uint64_t verdicts[RECOVERY_VERDICTS];
    uint64_t units_max;
};

/* Appends the next op of the script; false if there is no room yet. */
static bool make_op(struct life *life)
{
    const struct op *op = &life->ops[life->next_op];
    struct log_model model = life->after[life->f.appended].model;
    struct wal_entry entries[8];
    static uint8_t storage[8][4096];
    struct wal_append append = {.entries = entries, .entry_count = op->count};
    struct wal_hard_state hard = {op->term, op->votes ? 1 + op->term % 3 : 0, model.last};

    if (op->snapshot != 0) {
        append.snapshot_index = life->snapshot_index = op->snapshot;
        bool is_ahead = op->snapshot > model.last;
        append.snapshot_term = is_ahead ? op->term : model.entries[op->snapshot].term;
        life->snapshot_term = append.snapshot_term;
        model_adopt(&model, append.snapshot_index, append.snapshot_term);
        hard.commit = model.last;
    }
    for (uint32_t i = 0; i < op->count; i++) {
        entries[i] = fixture_make_entry(op->index + i, op->term, op->length, storage[i]);
        model_append(&model, &entries[i]);
    }
    if (op->votes || op->snapshot != 0) {
        uint64_t commit = u64_min(hard.commit, op->index == 0 ? model.last : op->index - 1);
        hard.commit = u64_max(model.hard.commit, commit);
        append.hard = &hard;
        model.hard = hard;
    }
    if (fixture_append(&life->f, append) != OK) {
        return false;
    }
    life->after[life->f.appended].model = model;
    life->after[life->f.appended].count = op->count;
    life->compact = op->snapshot != 0 && op->snapshot <= model.last ? op->snapshot : life->compact;
    life->next_op++;
    return true;
}

/* Each unit survives if its bit is set; beyond 64 units by a hash. */
static bool survives_by_mask(void *ctx, uint64_t unit)
{
    uint64_t mask = *(const uint64_t *)ctx;
    if (mask == 0 || mask == UINT64_MAX) {
        return mask != 0;
    }
    return unit < 64 ? (mask >> unit & 1) != 0 : (hash_u64(mask, unit) & 1) != 0;
}

/* Is it a state that the log went through since the last acknowledged append? One that needs two
 * batches may leave a part of its entries. */
static bool is_known_state(const struct life *life, uint64_t hash)
{
    for (uint64_t i = life->f.durable; i <= life->f.appended; i++) {
        uint64_t least = i > life->f.durable ? 0 : life->after[i].count;
        for (uint64_t count = least; count <= life->after[i].count; count++) {
            struct log_model model = life->after[i].model;
            model.last -= life->after[i].count - count;
            model_adopt(&model, life->snapshot_index, life->snapshot_term);
            if (model_hash(&model, life->snapshot_index) == hash) {
                return true;
            }
        }
    }
    return false;
}

/* A second cut, while what recovery went on with is on its way: what the first one left of a batch
 * must not mix with the new one. */
static void cut_again(const struct life *life, const struct simdisk *disk, uint64_t last)
{
    uint64_t units = u64_min(simdisk_pending(disk), 5);
    static struct wal_fixture third;
    struct wal_config config = fixture_config();

    config.is_member = true;
    for (uint64_t mask = 1; mask < 1ULL << units; mask++) {
        struct simworld *sim = simworld_new(9);
        struct simhost *host = simhost_new(sim, "a", 0);
        struct simdisk *copy = simdisk_clone(disk);
        simdisk_cut_power(copy, survives_by_mask, &mask);
        simhost_replace_disk(host, copy);
        fixture_open(&third, sim, host, &config, life->snapshot_index, life->snapshot_term);
        assert_true(recovery_may_vote(third.found.verdict));
        assert_int_equal(third.spots, 0);
        assert_true(third.read.last == last || third.read.last == last + 1);
        fixture_close(&third);
        simworld_free(sim);
    }
}

/* Recovers from the host's disk, and compares with what may be there. */
static void check_recovery(struct life *life, struct simhost *host, struct simworld *sim,
                           struct tally *tally)
{
    struct wal_config config = fixture_config();
    static struct wal_fixture again;

    config.is_member = life->f.is_recovered;
    fixture_open(&again, sim, host, &config, life->snapshot_index, life->snapshot_term);
    assert_true(again.is_recovered);
    tally->verdicts[again.found.verdict]++;
    tally->disks++;
    if (!recovery_may_vote(again.found.verdict) || again.spots != 0) {
        print_message("# disk %llu (cut %llu): %s, %s; durable %llu of %llu, %llu spots\n",
                      (unsigned long long)tally->disks, (unsigned long long)tally->cuts,
                      recovery_verdict_name(again.found.verdict), again.found.why,
                      (unsigned long long)life->f.durable, (unsigned long long)life->f.appended,
                      (unsigned long long)again.spots);
    }
    assert_true(recovery_may_vote(again.found.verdict));
    assert_int_equal(again.spots, 0);
    assert_true(is_known_state(life, model_hash(&again.read, life->snapshot_index)));
    /* It goes on from there, also through a second restart. */
    enum err e = ERR_BUSY;
    while ((e = fixture_entry(&again, again.read.last + 1, 1000, 1400)) == ERR_BUSY) {
        assert_true(simworld_step(sim));
    }
    assert_int_equal(e, OK);
    if (again.found.verdict == RECOVERY_TORN_TAIL && tally->disks % 8 == 0) {
        cut_again(life, simhost_disk(host), again.read.last);
    }
    fixture_settle(&again);
    assert_int_equal(again.durable, again.appended);
    uint64_t last = again.read.last + 1;
    fixture_close(&again);
    config.is_member = true;
    fixture_open(&again, sim, host, &config, life->snapshot_index, life->snapshot_term);
    assert_int_equal(again.found.verdict, RECOVERY_CLEAN);
    assert_int_equal(again.found.state->last_index, last);
    fixture_close(&again);
}

static void try_subset(struct life *life, const struct simdisk *disk, uint64_t mask,
                       struct tally *tally)
{
    struct simworld *sim = simworld_new(7);
    struct simhost *host = simhost_new(sim, "a", 0);
    struct simdisk *copy = simdisk_clone(disk);

    simdisk_cut_power(copy, survives_by_mask, &mask);
    simhost_replace_disk(host, copy);
    check_recovery(life, host, sim, tally);
    simworld_free(sim);
}

static void cut_here(struct life *life, struct prng *prng, struct tally *tally)
{
    const struct simdisk *disk = simhost_disk(life->f.host);
    uint64_t units = simdisk_pending(disk);

    tally->cuts++;
    tally->units_max = u64_max(tally->units_max, units);
    try_subset(life, disk, 0, tally);
    if (units == 0) {
        return;
    }
    try_subset(life, disk, UINT64_MAX, tally);
    if (units <= UNITS_EXHAUSTIVE) {
        for (uint64_t mask = 1; mask + 1 < 1ULL << units; mask++) {
            try_subset(life, disk, mask, tally);
        }
        return;
    }
    for (size_t i = 0; i < test_rounds(SUBSETS_SAMPLED); i++) {
        try_subset(life, disk, prng_u64(prng) | 1, tally);
    }
}

/* Lives through the script, with a cut after each event. `window`: so many appends are made before
 * the first of them is durable. */
static void live_and_cut(const struct op *ops, size_t op_count, uint64_t window, struct prng *prng,
                         struct tally *tally)
{
    static struct life life;
    struct wal_config config = fixture_config();
    struct simworld *sim = simworld_new(1);
    struct simhost *host = simhost_new(sim, "a", 1 << 20);

    memset(&life, 0, sizeof life);
    life.ops = ops;
    life.op_count = op_count;
    fixture_open(&life.f, sim, host, &config, 0, 0);
    while (life.next_op < life.op_count || life.f.durable < life.f.appended) {
        bool is_made = life.next_op < life.op_count && life.f.appended - life.f.durable < window &&
                       make_op(&life);
        cut_here(&life, prng, tally);
        if (!is_made) {
            assert_true(simworld_step(sim));
            if (life.compact != 0 && life.f.durable == life.f.appended) {
                wal_compact(life.f.wal, life.compact);
                life.compact = 0;
            }
        }
        assert_int_equal(life.f.status, WAL_OK);
    }
    while (simworld_step(sim)) {
        cut_here(&life, prng, tally);
    }
    fixture_close(&life.f);
    simworld_free(sim);
}

static void print_tally(const char *name, const struct tally *tally)
{
    print_message("# %s: %llu cut points, %llu disks after them, up to %llu units not durable\n",
                  name, (unsigned long long)tally->cuts, (unsigned long long)tally->disks,
                  (unsigned long long)tally->units_max);
    for (size_t i = 0; i < RECOVERY_VERDICTS; i++) {
        print_message("#   %s: %llu\n", recovery_verdict_name((enum recovery_verdict)i),
                      (unsigned long long)tally->verdicts[i]);
    }
}

static void one_append_at_a_time_survives_every_power_cut(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    struct tally tally = {0};

    live_and_cut(script, COUNT_OF(script), 1, &prng, &tally);
    print_tally(__func__, &tally);
    assert_true(tally.verdicts[RECOVERY_TORN_TAIL] > 0);
}

static void group_commit_survives_every_power_cut(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    struct tally tally = {0};

    live_and_cut(script, COUNT_OF(script), 4, &prng, &tally);
    print_tally(__func__, &tally);
    assert_true(tally.verdicts[RECOVERY_TORN_TAIL] > 0);
}

/* A script that Raft could have caused. */
static size_t draw_script(struct prng *prng, struct op *ops)
{
    uint64_t last = 0;
    uint64_t base = 0;
    uint64_t committed = 0;
    uint64_t term = 1;

    for (size_t i = 0; i < OPS_MAX - 1; i++) {
        struct op *op = &ops[i];
        *op = (struct op){.term = term, .votes = prng_chance(prng, 1, 4)};
        if (op->votes && prng_chance(prng, 1, 3)) {
            op->term = ++term;
        }
        if (prng_chance(prng, 1, 10) && last > base) {
            /* Of our own making, or sent by a leader that is ahead. */
            bool is_ahead = prng_chance(prng, 1, 4);
            base = is_ahead ? last + prng_range(prng, 1, 5) : prng_range(prng, base + 1, last);
            last = u64_max(last, base);
            op->snapshot = base;
            committed = last;
            continue;
        }
        op->index = last + 1;
        if (last > committed && prng_chance(prng, 1, 6)) {
            op->index = prng_range(prng, committed + 1, last);
            op->term = ++term;
        }
        op->count = (uint32_t)prng_range(prng, 1, 3);
        op->length = (uint32_t)prng_below(prng, prng_chance(prng, 1, 3) ? 1100 : 90);
        committed = op->votes ? u64_max(committed, op->index - 1) : committed;
        last = op->index + op->count - 1;
        CHECK(last + 8 < FIXTURE_ENTRIES_MAX);
    }
    return OPS_MAX - 1;
}

static void any_life_survives_every_power_cut(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    struct tally tally = {0};
    static struct op ops[OPS_MAX];

    for (size_t round = 0; round < test_rounds(2); round++) {
        size_t count = draw_script(&prng, ops);
        live_and_cut(ops, count, prng_range(&prng, 1, 6), &prng, &tally);
    }
    print_tally(__func__, &tally);
}

static void note_end(void *owner, const struct wal_recovery *found)
{
    (void)found;
    *(bool *)owner = true;
}

/* The first start, cut after each of its events: it is still a new node, or has its log. */
static void the_first_start_survives_every_power_cut(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    struct wal_config config = fixture_config();
    const struct wal_events none = {0};
    struct tally tally = {0};

    for (uint64_t steps = 0;; steps++) {
        struct simworld *sim = simworld_new(1);
        struct simhost *host = simhost_new(sim, "a", 1 << 20);
        static struct life life;
        memset(&life, 0, sizeof life);
        life.f.host = host;
        struct wal *w = wal_new(simhost_world(host), &config, &none);
        bool is_over = false;
        wal_recover(w, 0, 0, NULL, note_end, &is_over);
        for (uint64_t i = 0; i < steps && !is_over; i++) {
            assert_true(simworld_step(sim));
        }
        life.f.is_recovered = is_over;
        cut_here(&life, &prng, &tally);
        simhost_kill(host);
        wal_free(w);
        simworld_free(sim);
        if (is_over) {
            break;
        }
    }
    print_tally(__func__, &tally);
}

/* What a disk holds of the log after a cut: an entry that is told to be committed is the new one.
 */
static void check_commit(const struct simdisk *disk, uint64_t mask)
{
    static struct wal_fixture again;
    struct wal_config config = fixture_config();
    struct simworld *sim = simworld_new(7);
    struct simhost *host = simhost_new(sim, "a", 0);
    struct simdisk *copy = simdisk_clone(disk);

    config.is_member = true;
    simdisk_cut_power(copy, survives_by_mask, &mask);
    simhost_replace_disk(host, copy);
    fixture_open(&again, sim, host, &config, 0, 0);
    const struct wal_state *log = again.found.state;
    assert_true(log->hard.commit >= 2 && log->hard.commit <= log->last_index);
    assert_true(log->hard.commit == 2 || again.read.entries[3].term == 2);
    fixture_close(&again);
    simworld_free(sim);
}

/* An append that replaces entries, and tells that the new ones are committed, goes in two batches:
 * with the first alone, the commit index must not cover the old ones. */
static void a_commit_index_covers_nothing_that_is_replaced(void **state)
{
    (void)state;
    static struct wal_fixture f;
    static uint8_t storage[2][4096];
    struct wal_config config = fixture_config();
    struct simworld *sim = simworld_new(1);
    struct simhost *host = simhost_new(sim, "a", 1 << 20);
    const struct wal_hard_state before = {1, 1, 2};
    const struct wal_hard_state after = {2, 1, 4};

    fixture_open(&f, sim, host, &config, 0, 0);
    for (uint64_t i = 1; i <= 4; i++) {
        assert_int_equal(fixture_entry(&f, i, 1, 20), OK);
    }
    assert_int_equal(fixture_append(&f, (struct wal_append){.hard = &before}), OK);
    fixture_settle(&f);
    struct wal_entry entries[] = {fixture_make_entry(3, 2, 2500, storage[0]),
                                  fixture_make_entry(4, 2, 2500, storage[1])};
    const struct wal_append replaces = {.hard = &after, .entries = entries, .entry_count = 2};
    while (fixture_append(&f, replaces) == ERR_BUSY) {
        assert_true(simworld_step(sim));
    }
    for (bool goes_on = true; goes_on; goes_on = simworld_step(sim)) {
        const struct simdisk *disk = simhost_disk(host);
        uint64_t units = u64_min(simdisk_pending(disk), UNITS_EXHAUSTIVE);
        for (uint64_t mask = 0; mask < 1ULL << units; mask++) {
            check_commit(disk, mask);
        }
    }
    assert_int_equal(f.durable, f.appended);
    fixture_close(&f);
    simworld_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_commit_index_covers_nothing_that_is_replaced),
        cmocka_unit_test(one_append_at_a_time_survives_every_power_cut),
        cmocka_unit_test(group_commit_survives_every_power_cut),
        cmocka_unit_test(any_life_survives_every_power_cut),
        cmocka_unit_test(the_first_start_survives_every_power_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
