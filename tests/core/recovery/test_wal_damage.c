/* What a failing disk does to a log that was whole [scenario wal-corruption-matrix]: nothing is
 * ever silently accepted or dropped, and what is lost can be repaired from a peer who has it. */
#include "core/recovery/wal.h"

#include "tests/support/test.h"

#include <string.h>

#include "tests/core/recovery/wal_fixture.h"

#define ENTRIES 34

/* The truth: what a peer has. */
struct truth {
    struct log_model model;
    struct wal_entry entries[FIXTURE_ENTRIES_MAX];
    uint8_t storage[FIXTURE_ENTRIES_MAX][1024];
    struct simdisk *disk; /* owned: the log, whole and idle */
};

static struct truth *truth_new(void)
{
    static struct truth truth;
    struct simworld *sim = simworld_new(1);
    struct simhost *host = simhost_new(sim, "a", 1 << 20);
    struct wal_config config = fixture_config();
    struct wal_fixture f;

    memset(&truth, 0, sizeof truth);
    fixture_open(&f, sim, host, &config, 0, 0);
    for (uint64_t i = 1; i <= ENTRIES; i++) {
        uint64_t term = 1 + i / 12;
        size_t length = i * 131 % 1000;
        truth.entries[i] = fixture_make_entry(i, term, length, truth.storage[i]);
        truth.model.hard = (struct wal_hard_state){term, 2, i - 1};
        struct wal_append append = {
            .hard = &truth.model.hard, .entries = &truth.entries[i], .entry_count = 1};
        while (fixture_append(&f, append) == ERR_BUSY) {
            assert_true(simworld_step(sim));
        }
        model_append(&truth.model, &truth.entries[i]);
        if (i % 3 == 0) {
            fixture_settle(&f);
        }
    }
    fixture_settle(&f);
    while (simworld_step(sim)) {
    }
    truth.disk = simdisk_clone(simhost_disk(host));
    fixture_close(&f);
    simdisk_close_all(truth.disk);
    simworld_free(sim);
    return &truth;
}

/* A damaged copy of the truth, on a host of its own. */
struct patient {
    struct simworld *sim;
    struct simhost *host;
    struct wal_fixture f;
};

static void patient_new(struct patient *p, const struct truth *truth)
{
    p->sim = simworld_new(2);
    p->host = simhost_new(p->sim, "p", 0);
    simhost_replace_disk(p->host, simdisk_clone(truth->disk));
}

static enum recovery_verdict patient_open(struct patient *p)
{
    struct wal_config config = fixture_config();
    config.is_member = true;
    fixture_open(&p->f, p->sim, p->host, &config, 0, 0);
    assert_true(p->f.is_recovered);
    return p->f.found.verdict;
}

/* Entries that are read back, in order, and compared. */
struct read_back {
    struct wal_read read;
    const struct truth *truth;
    uint64_t next;
    bool is_over;
    enum err result;
};

static void read_back_entry(struct wal_read *read, const struct wal_entry *entry)
{
    struct read_back *back = read->owner;
    assert_int_equal(entry->index, back->next);
    assert_int_equal(entry->term, back->truth->model.entries[entry->index].term);
    assert_int_equal(model_hash_of(entry->type, entry->payload),
                     back->truth->model.entries[entry->index].hash);
    back->next++;
}

static void read_back_done(struct wal_read *read, enum err result)
{
    struct read_back *back = read->owner;
    back->is_over = true;
    back->result = result;
}

static void read_back_range(struct patient *p, const struct truth *truth, uint64_t lo, uint64_t hi)
{
    struct read_back back = {.truth = truth, .next = lo};
    back.read = (struct wal_read){.lo = lo,
                                  .hi = hi,
                                  .bytes_max = 1 << 20,
                                  .entry = read_back_entry,
                                  .done = read_back_done,
                                  .owner = &back};
    assert_int_equal(wal_read(p->f.wal, &back.read), OK);
    while (!back.is_over) {
        assert_true(simworld_step(p->sim));
    }
    assert_int_equal(back.result, OK);
    assert_int_equal(back.next, hi + 1);
    wal_read_deinit(&back.read);
}

/* What recovery does not mark can be read back, whatever is broken beside it. */
static void assert_the_rest_can_be_read_back(struct patient *p, const struct truth *truth)
{
    const struct wal_state *state = wal_log(p->f.wal);
    uint64_t lo = state->base_index + 1;

    for (uint64_t i = lo; i <= state->last_index + 1; i++) {
        if (i > state->last_index || wal_state_is_damaged(state, i)) {
            if (lo < i) {
                read_back_range(p, truth, lo, i - 1);
            }
            lo = i + 1;
        }
    }
}

static void patient_free(struct patient *p)
{
    fixture_close(&p->f);
    simworld_free(p->sim);
}

/* Nothing that recovery gave and did not mark differs from the truth. */
static void assert_nothing_is_invented(struct patient *p, const struct truth *truth)
{
    const struct wal_state *state = p->f.found.state;

    assert_true(state->last_index <= truth->model.last);
    for (uint64_t i = state->base_index + 1; i <= state->last_index; i++) {
        uint64_t term = wal_state_term_at(state, i);
        if (!wal_state_is_damaged(state, i)) {
            assert_int_equal(p->f.read.entries[i].term, truth->model.entries[i].term);
            assert_int_equal(p->f.read.entries[i].hash, truth->model.entries[i].hash);
        }
        assert_true(term == 0 || term == truth->model.entries[i].term);
    }
    assert_the_rest_can_be_read_back(p, truth);
    if (!state->in_doubt) {
        assert_int_equal(state->last_index, truth->model.last);
        assert_int_equal(state->hard.term, truth->model.hard.term);
        assert_int_equal(state->hard.vote, truth->model.hard.vote);
    }
}

static void append_or_wait(struct patient *p, struct wal_append append)
{
    enum err e = ERR_BUSY;
    while ((e = fixture_append(&p->f, append)) == ERR_BUSY) {
        assert_true(simworld_step(p->sim));
    }
    assert_int_equal(e, OK);
    fixture_settle(&p->f);
}

/* A peer supplies what is damaged or missing, and Raft vouches again. */
static void repair(struct patient *p, const struct truth *truth)
{
    while (wal_log(p->f.wal)->damage_count > 0) {
        uint64_t i = wal_log(p->f.wal)->damage[0].lo;
        append_or_wait(p, (struct wal_append){
                              .entries = &truth->entries[i], .entry_count = 1, .is_repair = true});
    }
    for (uint64_t i = wal_log(p->f.wal)->last_index + 1; i <= truth->model.last; i++) {
        append_or_wait(p, (struct wal_append){.entries = &truth->entries[i], .entry_count = 1});
    }
    append_or_wait(p, (struct wal_append){
                          .hard = &truth->model.hard, .heal_lo = 1, .heal_hi = WAL_INDEX_OPEN});
}

struct census {
    uint64_t flips;
    uint64_t verdicts[RECOVERY_VERDICTS];
    uint64_t doubts;
};

/* Recovers, and where needed repairs and recovers again. */
static void treat(struct patient *p, const struct truth *truth, struct census *census)
{
    enum recovery_verdict verdict = patient_open(p);

    census->flips++;
    census->verdicts[verdict]++;
    census->doubts += p->f.found.state->in_doubt;
    assert_int_not_equal(verdict, RECOVERY_TORN_TAIL);
    assert_true(recovery_may_run(verdict));
    assert_nothing_is_invented(p, truth);
    if (recovery_may_vote(verdict)) {
        assert_int_equal(model_hash(&p->f.read, 0), model_hash(&truth->model, 0));
        return;
    }
    /* Forgetting to repair changes nothing. */
    bool was_in_doubt = p->f.found.state->in_doubt;
    fixture_close(&p->f);
    assert_int_equal(patient_open(p), RECOVERY_DAMAGED);
    assert_int_equal(p->f.found.state->in_doubt, was_in_doubt);
    assert_nothing_is_invented(p, truth);
    repair(p, truth);
    fixture_close(&p->f);
    verdict = patient_open(p);
    assert_true(recovery_may_vote(verdict));
    assert_int_equal(model_hash(&p->f.read, 0), model_hash(&truth->model, 0));
}

static void print_census(const char *name, const struct census *census)
{
    print_message("# %s: %llu disks, %llu in doubt\n", name, (unsigned long long)census->flips,
                  (unsigned long long)census->doubts);
    for (size_t i = 0; i < RECOVERY_VERDICTS; i++) {
        if (census->verdicts[i] > 0) {
            print_message("#   %s: %llu\n", recovery_verdict_name((enum recovery_verdict)i),
                          (unsigned long long)census->verdicts[i]);
        }
    }
}

static void a_flipped_bit_in_any_byte_is_told(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    const struct truth *truth = truth_new();
    struct census census = {0};
    uint64_t size = 0;

    for (size_t i = 0; simdisk_name(truth->disk, i) != NULL; i++) {
        const char *name = simdisk_name(truth->disk, i);
        assert_int_equal(simdisk_size(truth->disk, name, &size), OK);
        for (uint64_t at = 0; at < size; at++) {
            struct patient p;
            patient_new(&p, truth);
            uint8_t mask = (uint8_t)(1U << prng_below(&prng, 8));
            assert_int_equal(simdisk_flip(simhost_disk(p.host), name, at, mask), OK);
            treat(&p, truth, &census);
            patient_free(&p);
        }
    }
    print_census(__func__, &census);
    simdisk_free(truth->disk);
}

/* Any one sector: unreadable, lost (zeros), or the copy of another one. */
static void any_sector_that_is_lost_is_told(void **state)
{
    (void)state;
    const struct truth *truth = truth_new();
    struct census census = {0};
    uint64_t size = 0;

    for (size_t i = 0; simdisk_name(truth->disk, i) != NULL; i++) {
        const char *name = simdisk_name(truth->disk, i);
        assert_int_equal(simdisk_size(truth->disk, name, &size), OK);
        for (uint64_t at = 0; at < size; at += WORLD_SECTOR_BYTES) {
            struct patient p;
            patient_new(&p, truth);
            assert_int_equal(simdisk_spoil(simhost_disk(p.host), name, at), OK);
            treat(&p, truth, &census);
            patient_free(&p);
            patient_new(&p, truth);
            uint64_t from =
                at == 2 * WORLD_SECTOR_BYTES ? 3 * WORLD_SECTOR_BYTES : 2 * WORLD_SECTOR_BYTES;
            const char *source = "wal/0000000000000001.wal";
            assert_int_equal(simdisk_misdirect(simhost_disk(p.host), source, from, name, at), OK);
            treat(&p, truth, &census);
            patient_free(&p);
        }
    }
    print_census(__func__, &census);
    simdisk_free(truth->disk);
}

static void a_lost_segment_in_the_middle_is_told_and_repaired(void **state)
{
    (void)state;
    const struct truth *truth = truth_new();
    struct census census = {0};

    for (uint64_t seq = 1; seq <= 3; seq++) {
        char path[WORLD_PATH_MAX_BYTES] = "wal/";
        wal_segment_name(seq, path + 4);
        struct patient p;
        patient_new(&p, truth);
        assert_int_equal(simdisk_remove(simhost_disk(p.host), path), OK);
        treat(&p, truth, &census);
        patient_free(&p);
        patient_new(&p, truth);
        assert_int_equal(
            simdisk_copy(simhost_disk(p.host),
                         seq == 1 ? "wal/0000000000000002.wal" : "wal/0000000000000001.wal", path),
            OK);
        treat(&p, truth, &census);
        patient_free(&p);
        patient_new(&p, truth);
        assert_int_equal(simdisk_cut(simhost_disk(p.host), path, 3 * WAL_SECTOR_BYTES), OK);
        treat(&p, truth, &census);
        patient_free(&p);
    }
    assert_int_equal(census.verdicts[RECOVERY_DAMAGED], census.flips);
    print_census(__func__, &census);
    simdisk_free(truth->disk);
}

static void a_segment_that_cannot_be_opened_is_damage(void **state)
{
    (void)state;
    const struct truth *truth = truth_new();

    for (uint32_t failures = 1; failures <= 3; failures++) {
        struct patient p;
        patient_new(&p, truth);
        /* The identity, and the first segments. */
        simdisk_fail(simhost_disk(p.host), WORLD_OPEN, ERR_IO, failures);
        enum recovery_verdict verdict = patient_open(&p);
        assert_int_equal(verdict, failures == 1 ? RECOVERY_HEALED : RECOVERY_DAMAGED);
        assert_nothing_is_invented(&p, truth);
        patient_free(&p);
    }
    simdisk_free(truth->disk);
}

static void a_lost_log_is_not_a_new_one(void **state)
{
    (void)state;
    const struct truth *truth = truth_new();
    struct patient p;
    struct wal_config config = fixture_config();

    patient_new(&p, truth);
    for (const char *name = "x"; name != NULL;) {
        name = NULL;
        for (size_t i = 0; simdisk_name(simhost_disk(p.host), i) != NULL; i++) {
            const char *at = simdisk_name(simhost_disk(p.host), i);
            name = strcmp(at, "wal/identity") == 0 ? name : at;
        }
        if (name != NULL) {
            assert_int_equal(simdisk_remove(simhost_disk(p.host), name), OK);
        }
    }
    /* Even where the configuration forgot that it is a member. */
    fixture_open(&p.f, p.sim, p.host, &config, 0, 0);
    assert_int_equal(p.f.found.verdict, RECOVERY_WIPED);
    assert_true(p.f.found.state->in_doubt);
    fixture_close(&p.f);
    /* Its doubt outlives restarts, until it caught up. */
    assert_int_equal(patient_open(&p), RECOVERY_DAMAGED);
    repair(&p, truth);
    fixture_close(&p.f);
    assert_int_equal(patient_open(&p), RECOVERY_CLEAN);
    assert_int_equal(model_hash(&p.f.read, 0), model_hash(&truth->model, 0));
    patient_free(&p);
    simdisk_free(truth->disk);
}

static void another_nodes_disk_is_left_alone(void **state)
{
    (void)state;
    const struct truth *truth = truth_new();

    for (int lost_identity = 0; lost_identity < 2; lost_identity++) {
        struct patient p;
        struct wal_config config = fixture_config();
        patient_new(&p, truth);
        if (lost_identity) {
            assert_int_equal(simdisk_remove(simhost_disk(p.host), "wal/identity"), OK);
        }
        uint64_t before = simdisk_hash(simhost_disk(p.host), 0);
        config.node = FIXTURE_NODE + 1;
        fixture_open(&p.f, p.sim, p.host, &config, 0, 0);
        assert_int_equal(p.f.found.verdict, RECOVERY_FOREIGN);
        assert_int_equal(p.f.found.foreign_cluster, FIXTURE_CLUSTER);
        assert_int_equal(p.f.found.foreign_node, FIXTURE_NODE);
        assert_int_equal(simdisk_hash(simhost_disk(p.host), 0), before);
        patient_free(&p);
    }
    simdisk_free(truth->disk);
}

static void a_snapshot_that_does_not_reach_the_log_is_told(void **state)
{
    (void)state;
    const struct truth *truth = truth_new();
    struct patient p;
    struct wal_config config = fixture_config();

    /* The first segment was compacted behind a snapshot at 12, which is now lost. */
    patient_new(&p, truth);
    assert_int_equal(simdisk_remove(simhost_disk(p.host), "wal/0000000000000001.wal"), OK);
    fixture_open(&p.f, p.sim, p.host, &config, 0, 0);
    assert_int_equal(p.f.found.verdict, RECOVERY_DAMAGED);
    assert_int_equal(p.f.found.state->base_index, 0);
    assert_int_equal(p.f.found.state->damage[0].lo, 1);
    uint64_t missing = p.f.found.state->damage[0].hi;
    fixture_close(&p.f);
    /* With a snapshot that covers what is missing it is whole. */
    fixture_open(&p.f, p.sim, p.host, &config, missing, truth->model.entries[missing].term);
    assert_int_equal(p.f.found.verdict, RECOVERY_CLEAN);
    assert_int_equal(p.f.found.state->damage_count, 0);
    patient_free(&p);
    simdisk_free(truth->disk);
}

/* Raft vouched for it again, as a snapshot covered what is missing; and now that is lost. */
static void what_a_snapshot_covered_when_the_log_was_healed_is_told_when_it_is_lost(void **state)
{
    (void)state;
    const struct truth *truth = truth_new();
    struct patient p;
    struct wal_config config = fixture_config();

    patient_new(&p, truth);
    assert_int_equal(simdisk_remove(simhost_disk(p.host), "wal/0000000000000001.wal"), OK);
    assert_int_equal(patient_open(&p), RECOVERY_DAMAGED);
    uint64_t missing = p.f.found.state->damage[0].hi;
    uint64_t term = truth->model.entries[missing].term;
    append_or_wait(&p, (struct wal_append){.snapshot_index = missing,
                                           .snapshot_term = term,
                                           .heal_lo = 1,
                                           .heal_hi = WAL_INDEX_OPEN});
    fixture_close(&p.f);
    config.is_member = true;
    fixture_open(&p.f, p.sim, p.host, &config, missing, term);
    assert_int_equal(p.f.found.verdict, RECOVERY_CLEAN);
    fixture_close(&p.f);
    assert_int_equal(patient_open(&p), RECOVERY_DAMAGED);
    assert_int_equal(p.f.found.state->damage[0].lo, 1);
    assert_int_equal(p.f.found.state->damage[0].hi, missing);
    patient_free(&p);
    simdisk_free(truth->disk);
}

/* A log that gave way to a snapshot from a leader; the snapshot is lost, and any one sector. */
static void a_log_that_gave_way_to_a_lost_snapshot_reaches_back(void **state)
{
    (void)state;
    struct wal_config config = fixture_config();
    struct wal_fixture f;
    struct simworld *sim = simworld_new(1);
    struct simhost *host = simhost_new(sim, "a", 1 << 20);

    fixture_open(&f, sim, host, &config, 0, 0);
    for (uint64_t i = 1; i <= 3; i++) {
        assert_int_equal(fixture_entry(&f, i, 1, 10), OK);
        fixture_settle(&f);
    }
    struct wal_append marker = {.snapshot_index = 40, .snapshot_term = 2};
    assert_int_equal(fixture_append(&f, marker), OK);
    fixture_settle(&f);
    assert_int_equal(fixture_entry(&f, 41, 2, 10), OK);
    fixture_settle(&f);
    simhost_kill(host);
    for (uint64_t sector = 0; sector < 10; sector++) {
        struct simworld *later = simworld_new(2);
        struct simhost *again = simhost_new(later, "b", 0);
        struct wal_fixture g;
        simhost_replace_disk(again, simdisk_clone(simhost_disk(host)));
        const char *path = "wal/0000000000000001.wal";
        uint64_t at = sector * WORLD_SECTOR_BYTES;
        assert_int_equal(simdisk_spoil(simhost_disk(again), path, at), OK);
        config.is_member = true;
        fixture_open(&g, later, again, &config, 0, 0);
        assert_int_equal(g.found.verdict, RECOVERY_DAMAGED);
        assert_int_equal(g.found.state->base_index, 0);
        assert_true(wal_state_is_damaged(g.found.state, 40));
        fixture_close(&g);
        simworld_free(later);
    }
    fixture_close(&f);
    simworld_free(sim);
}

/* The log of a member that was given a snapshot at 20, of which the file is lost. */
static struct simdisk *log_of_an_install(void)
{
    struct simworld *sim = simworld_new(1);
    struct simhost *host = simhost_new(sim, "a", 1 << 20);
    struct wal_config config = fixture_config();
    struct wal_hard_state hard = {1, 2, 0};
    struct wal_fixture f;

    fixture_open(&f, sim, host, &config, 0, 0);
    for (uint64_t i = 1; i <= 4; i++) {
        assert_int_equal(fixture_entry(&f, i, 1, 10), OK);
        fixture_settle(&f);
    }
    struct wal_append install = {.hard = &hard, .snapshot_index = 20, .snapshot_term = 1};
    assert_int_equal(fixture_append(&f, install), OK);
    fixture_settle(&f);
    for (uint64_t i = 21; i <= 24; i++) {
        assert_int_equal(fixture_entry(&f, i, 1, 10), OK);
        fixture_settle(&f);
    }
    struct simdisk *disk = simdisk_clone(simhost_disk(host));
    fixture_close(&f);
    simdisk_close_all(disk);
    simworld_free(sim);
    return disk;
}

/* Whichever sector is lost beside the snapshot: what lies between is damaged, not compacted. */
static void what_a_lost_snapshot_covered_is_told_though_its_marker_is_lost_too(void **state)
{
    (void)state;
    struct simdisk *disk = log_of_an_install();
    const char *name = "wal/0000000000000001.wal";
    struct wal_config config = fixture_config();
    config.is_member = true;

    for (uint64_t sector = 1; sector < 14; sector++) {
        struct patient p = {.sim = simworld_new(2)};
        p.host = simhost_new(p.sim, "p", 0);
        simhost_replace_disk(p.host, simdisk_clone(disk));
        assert_int_equal(simdisk_spoil(simhost_disk(p.host), name, sector * WORLD_SECTOR_BYTES),
                         OK);
        fixture_open(&p.f, p.sim, p.host, &config, 0, 0);
        assert_int_equal(p.f.found.verdict, RECOVERY_DAMAGED);
        const struct wal_state *found = p.f.found.state;
        assert_int_equal(found->base_index, 0);
        for (uint64_t i = 1; i <= found->last_index; i++) {
            assert_true(wal_state_is_damaged(found, i) || p.f.read.entries[i].term == 1);
            assert_true(wal_state_is_damaged(found, i) || i <= 4 || i > 20);
        }
        patient_free(&p);
    }
    simdisk_free(disk);
}

/* A repaired log, and any one sector of it that is lost then: the repairs' own among them. */
static void what_is_lost_after_a_repair_is_told(void **state)
{
    (void)state;
    const struct truth *truth = truth_new();
    const uint64_t first[] = {3 * WORLD_SECTOR_BYTES, 9 * WORLD_SECTOR_BYTES};
    struct census census = {0};

    for (size_t i = 0; i < COUNT_OF(first); i++) {
        struct patient p;
        patient_new(&p, truth);
        assert_int_equal(simdisk_spoil(simhost_disk(p.host), "wal/0000000000000002.wal", first[i]),
                         OK);
        assert_int_equal(patient_open(&p), RECOVERY_DAMAGED);
        repair(&p, truth);
        fixture_close(&p.f);
        for (size_t k = 0; simdisk_name(simhost_disk(p.host), k) != NULL; k++) {
            const char *name = simdisk_name(simhost_disk(p.host), k);
            uint64_t size = 0;
            assert_int_equal(simdisk_size(simhost_disk(p.host), name, &size), OK);
            for (uint64_t at = 0; at < size; at += WORLD_SECTOR_BYTES) {
                struct patient again = {.sim = simworld_new(3)};
                again.host = simhost_new(again.sim, "q", 0);
                simhost_replace_disk(again.host, simdisk_clone(simhost_disk(p.host)));
                assert_int_equal(simdisk_spoil(simhost_disk(again.host), name, at), OK);
                treat(&again, truth, &census);
                patient_free(&again);
            }
        }
        simworld_free(p.sim);
    }
    print_census(__func__, &census);
    assert_true(census.verdicts[RECOVERY_DAMAGED] > 0);
    simdisk_free(truth->disk);
}

/* Sectors of the log's files, spares included, that are not as anybody wrote them. */
static uint64_t bad_sectors(const struct simdisk *disk)
{
    struct buf content;
    uint64_t bad = 0;

    buf_init(&content);
    for (size_t i = 0; simdisk_name(disk, i) != NULL; i++) {
        const char *name = simdisk_name(disk, i);
        if (strcmp(name, "wal/identity") == 0 || simdisk_look(disk, name, &content) != OK) {
            continue;
        }
        for (uint64_t k = WAL_FIRST_SECTOR; k < content.len / WAL_SECTOR_BYTES; k++) {
            bad += wal_sector_read(content.data + k * WAL_SECTOR_BYTES, k).kind == WAL_SECTOR_BAD;
        }
    }
    buf_deinit(&content);
    return bad;
}

/* In its next life the bad sector would lie where a batch is to come, and pass for one that was
 * lost. */
static void a_file_with_a_bad_sector_gets_no_second_life(void **state)
{
    (void)state;
    const struct truth *truth = truth_new();
    struct patient p;

    patient_new(&p, truth);
    struct simdisk *disk = simhost_disk(p.host);
    assert_int_equal(simdisk_flip(disk, "wal/0000000000000002.wal", 5 * WAL_SECTOR_BYTES + 7, 1),
                     OK);
    assert_int_equal(bad_sectors(disk), 1);
    assert_int_equal(patient_open(&p), RECOVERY_DAMAGED);
    repair(&p, truth);
    uint64_t last = truth->model.last;
    struct wal_append marker = {.snapshot_index = last,
                                .snapshot_term = truth->model.entries[last].term};
    append_or_wait(&p, marker);
    wal_compact(p.f.wal, last);
    while (simworld_step(p.sim)) {
    }
    assert_int_equal(bad_sectors(disk), 0);
    patient_free(&p);
    simdisk_free(truth->disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flipped_bit_in_any_byte_is_told),
        cmocka_unit_test(any_sector_that_is_lost_is_told),
        cmocka_unit_test(a_lost_segment_in_the_middle_is_told_and_repaired),
        cmocka_unit_test(a_segment_that_cannot_be_opened_is_damage),
        cmocka_unit_test(a_lost_log_is_not_a_new_one),
        cmocka_unit_test(another_nodes_disk_is_left_alone),
        cmocka_unit_test(a_snapshot_that_does_not_reach_the_log_is_told),
        cmocka_unit_test(what_a_snapshot_covered_when_the_log_was_healed_is_told_when_it_is_lost),
        cmocka_unit_test(what_a_lost_snapshot_covered_is_told_though_its_marker_is_lost_too),
        cmocka_unit_test(what_is_lost_after_a_repair_is_told),
        cmocka_unit_test(a_file_with_a_bad_sector_gets_no_second_life),
        cmocka_unit_test(a_log_that_gave_way_to_a_lost_snapshot_reaches_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
