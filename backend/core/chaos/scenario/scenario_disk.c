/* Disks that lost something, and members that lag behind. */
#include <string.h>

#include "core/chaos/scenario/stage.h"
#include "core/consensus/raft/raft_int.h"
#include "core/node/node_int.h"

#define T SCENARIO_TIMEOUT

/* --- where things are in a log (docs/formats/wal.md) ------------------------------------------ */

#define SECTOR_BYTES 512
#define SECTORS_MAX  4096
#define SECTOR_BATCH 500          /* the offset of its batch's number */
#define SECTOR_FIRST (1ULL << 63) /* in it: the batch begins here */

struct log_place {
    const char *path; /* the disk's, until its names change */
    uint64_t offset;
};

/* The sectors of a log that were written, headers of segments left out, in their order. */
struct log_map {
    struct log_place root; /* the header of the oldest segment */
    struct log_place sector[SECTORS_MAX];
    uint64_t batch[SECTORS_MAX]; /* of each */
    size_t count;
};

static uint64_t batch_in(const uint8_t *sector)
{
    uint64_t batch = 0;

    for (size_t i = 8; i-- > 0;) {
        batch = batch << 8 | sector[SECTOR_BATCH + i];
    }
    return batch & ~SECTOR_FIRST;
}

static void map_segment(struct log_map *map, const char *path, struct bytes segment)
{
    uint64_t newest = 0;

    for (uint64_t at = SECTOR_BYTES; at + SECTOR_BYTES <= segment.len; at += SECTOR_BYTES) {
        uint64_t batch = batch_in(segment.data + at);
        if (batch < newest || batch == 0 || map->count == SECTORS_MAX) {
            return; /* never written, or of its earlier life */
        }
        newest = batch;
        map->batch[map->count] = batch;
        map->sector[map->count++] = (struct log_place){path, at};
    }
}

static void map_log(const struct simmember *m, struct log_map *map)
{
    const struct simdisk *disk = simhost_disk(m->host);
    struct buf segment;
    const char *path;

    memset(map, 0, sizeof *map);
    buf_init(&segment);
    for (size_t i = 0; (path = simdisk_name(disk, i)) != NULL; i++) {
        if (simdisk_is_in_class(path, SIMDISK_LOG) && simdisk_look(disk, path, &segment) == OK) {
            map->root.path = map->root.path != NULL ? map->root.path : path;
            map_segment(map, path, buf_view(&segment));
        }
    }
    buf_deinit(&segment);
}

/* The place, flipped; it must be there. */
static void flip(struct stage *st, struct simmember *m, struct log_place place)
{
    bool is_done = !stage_is_over(st) && place.path != NULL &&
                   simdisk_flip(simhost_disk(m->host), place.path, place.offset + 8, 0x10) == OK;

    stage_expect(st, is_done, "there is something to be damaged");
}

static void flip_sector(struct stage *st, struct simmember *m, const struct log_map *map, size_t i)
{
    stage_expect(st, i < map->count, "the log is long enough");
    flip(st, m, map->sector[i < map->count ? i : 0]);
}

/* It starts, on a disk that lost something, with this verdict; then it is repaired. */
static void starts_as(struct stage *st, struct simmember *m, enum recovery_verdict verdict)
{
    stage_start(st, m);
    STAGE_UNTIL(st, 2 * T, simmember_serves(m), "it starts on its damaged disk");
    if (simmember_serves(m)) {
        stage_say(st, m->node->verdict_why);
    }
    stage_expect(st, m->verdict == verdict, recovery_verdict_name(verdict));
}

static void repaired(struct stage *st, const struct simmember *m)
{
    STAGE_UNTIL(st, 10 * T, simmember_serves(m) && !stage_status(m).impaired, "it is repaired");
    stage_await_caught_up(st, m, 10 * T);
}

/* --- members that must not take part ---------------------------------------------------------- */

/* Three members: the leader alone, `lost` with what is left of its disk, `behind` without the
 * newest write. The last two are a majority, and must not act as one; then the leader is back. */
static void two_that_do_not_know(struct stage *st, struct simmember *leader, struct simmember *lost,
                                 struct simmember *behind, uint64_t value)
{
    stage_isolate(st, leader, true);
    stage_link(st, lost, behind, true);
    stage_leaders_begin(st);
    stage_pass(st, 10 * T);
    stage_expect(st, stage_leaders(st) == 0, "the two elect nobody");
    stage_link_all(st, true);
    stage_write(st, 12 * T);
    repaired(st, lost);
    stage_expect(st, stage_get(st, lost, 0, T) == value, "what was acknowledged is there");
}

void scenario_amnesiac_voter(struct stage *st)
{
    const struct sim_settings s = stage_plain(3);

    stage_found(st, &s);
    struct simmember *leader = stage_leader(st);
    struct simmember *amnesiac = stage_follower(st, 0);
    struct simmember *behind = stage_follower(st, 1);
    stage_isolate(st, behind, true);
    uint64_t value = stage_put(st, leader, 0, T);
    stage_cut_power(st, amnesiac, 0);
    stage_damaged(st, amnesiac, ORACLE_LOST_ALL);
    simdisk_wipe(simhost_disk(amnesiac->host));
    stage_isolate(st, leader, true);
    starts_as(st, amnesiac, RECOVERY_WIPED);
    two_that_do_not_know(st, leader, amnesiac, behind, value);
}

void scenario_corrupt_committed_prefix(struct stage *st)
{
    const struct sim_settings s = stage_plain(3);
    struct log_map *map = mem_alloc(sizeof *map);

    stage_found(st, &s);
    struct simmember *leader = stage_leader(st);
    struct simmember *lost = stage_follower(st, 0);
    struct simmember *behind = stage_follower(st, 1);
    stage_put_many(st, leader, 10);
    stage_isolate(st, behind, true);
    uint64_t value = stage_put(st, leader, 0, T);
    stage_put_many(st, leader, 10);
    value = stage_put(st, leader, 0, T) > value ? stage_get(st, leader, 0, T) : value;
    stage_pass(st, T / 4);
    stage_kill(st, lost);
    stage_damaged(st, lost, ORACLE_LOST_TAIL);
    map_log(lost, map);
    flip_sector(st, lost, map, map->count - 6); /* what the one that lags never had */
    stage_isolate(st, leader, true);
    starts_as(st, lost, RECOVERY_DAMAGED);
    two_that_do_not_know(st, leader, lost, behind, value);
    mem_free(map);
}

/* --- the matrix ------------------------------------------------------------------------------- */

struct damage_cell {
    const char *text;
    enum recovery_verdict verdict;
    struct log_place (*where)(const struct log_map *map, size_t snapshot_end);
};

static struct log_place right_of_head(const struct log_map *map, size_t snapshot_end)
{
    struct log_place place = map->sector[map->count - 1];

    (void)snapshot_end;
    place.offset += SECTOR_BYTES;
    return place;
}

static struct log_place at_head(const struct log_map *map, size_t snapshot_end)
{
    (void)snapshot_end;
    return map->sector[map->count - 1];
}

static struct log_place left_of_head(const struct log_map *map, size_t snapshot_end)
{
    (void)snapshot_end;
    return map->sector[map->count - 4];
}

static struct log_place at_root(const struct log_map *map, size_t snapshot_end)
{
    (void)snapshot_end;
    return map->root;
}

static struct log_place before_snapshot(const struct log_map *map, size_t snapshot_end)
{
    (void)snapshot_end;
    return map->sector[snapshot_end / 2];
}

static struct log_place snapshot_to_head(const struct log_map *map, size_t snapshot_end)
{
    return map->sector[(snapshot_end + map->count) / 2];
}

/* A new disk: or a file that is used again would bring old damage to the place behind the head. */
static void renew_disk(struct stage *st, struct simmember *m)
{
    stage_kill(st, m);
    stage_damaged(st, m, ORACLE_LOST_ALL);
    if (!stage_is_over(st)) {
        simdisk_wipe(simhost_disk(m->host));
    }
    starts_as(st, m, RECOVERY_WIPED);
    repaired(st, m);
}

/* One place of the log of one member of three. */
static void damage_cell(struct stage *st, struct log_map *map, const struct damage_cell *cell)
{
    struct simmember *m = stage_follower(st, 0);

    stage_say(st, cell->text);
    stage_put_many(st, stage_leader(st), 10);
    stage_pass(st, T / 4);
    stage_snapshot(st, m, T);
    map_log(m, map);
    uint64_t newest = map->count > 0 ? map->batch[map->count - 1] : 0;
    size_t snapshot_end = 0;
    stage_put_many(st, stage_leader(st), 12);
    stage_pass(st, T / 4);
    stage_kill(st, m);
    stage_damaged(st, m, ORACLE_LOST_TAIL);
    map_log(m, map);
    while (snapshot_end < map->count && map->batch[snapshot_end] <= newest) {
        snapshot_end++; /* of what compaction has left */
    }
    stage_expect(st, snapshot_end > 0 && map->count > snapshot_end + 8, "the log has grown");
    if (!stage_is_over(st)) {
        flip(st, m, cell->where(map, snapshot_end));
    }
    starts_as(st, m, cell->verdict);
    repaired(st, m);
    renew_disk(st, m);
}

/* A batch that was half written, and never durable. */
static void torn_cell(struct stage *st)
{
    struct simmember *m = stage_follower(st, 0);
    bool was_torn = false;

    stage_say(st, "torn");
    for (int i = 0; i < 12 && !was_torn && !stage_is_over(st); i++) {
        stage_slow_disk(st, m, NANOS_PER_MS, 20 * NANOS_PER_MS);
        raft_index last = stage_status(m).last;
        for (uint32_t key = 0; key < 12; key++) {
            (void)stage_ask(st, stage_leader(st), SIMCALL_PUT, key);
        }
        STAGE_UNTIL(st, T / 4, stage_status(m).last > last, "entries arrive");
        stage_pass(st, 5 * NANOS_PER_MS);
        stage_cut_power(st, m, 2);
        stage_slow_disk(st, m, 0, 0);
        stage_start(st, m);
        STAGE_UNTIL(st, 2 * T, simmember_serves(m), "it starts");
        was_torn = m->verdict == RECOVERY_TORN_TAIL;
        stage_await_caught_up(st, m, 10 * T);
    }
    stage_expect(st, was_torn, "a batch was torn");
}

/* The log of every member is unreadable: nobody may pretend that there was nothing. Then two of the
 * three disks are put back as they were. */
static void all_corrupt(struct stage *st, struct log_map *map)
{
    uint64_t value = stage_put(st, stage_leader(st), 0, T);
    struct simdisk *kept[3] = {NULL, NULL, NULL};

    stage_say(st, "3/3 corrupt");
    stage_pass(st, T / 4);
    for (uint32_t i = 0; i < 3; i++) {
        struct simmember *m = stage_member(st, i);
        stage_kill(st, m);
        stage_damaged(st, m, ORACLE_LOST_TAIL);
        kept[i] = simdisk_clone(simhost_disk(m->host));
        simdisk_close_all(kept[i]);
        map_log(m, map);
        for (size_t k = 0; k < map->count; k++) {
            flip(st, m, map->sector[k]);
        }
    }
    stage_leaders_begin(st);
    for (uint32_t i = 0; i < 3; i++) {
        starts_as(st, stage_member(st, i), RECOVERY_DAMAGED);
    }
    stage_pass(st, 10 * T);
    stage_expect(st, stage_leaders(st) == 0, "nobody leads");
    for (uint32_t i = 0; i < 3; i++) {
        struct simmember *m = stage_member(st, i);
        if (i == 2 || stage_is_over(st)) {
            simdisk_free(kept[i]);
            continue;
        }
        stage_kill(st, m);
        simhost_replace_disk(m->host, kept[i]);
        stage_start(st, m);
    }
    struct simmember *leader = stage_await_leader(st, NULL, 12 * T);
    stage_expect(st, stage_get(st, leader, 0, T) == value, "what was acknowledged is there");
    repaired(st, stage_member(st, 2));
}

void scenario_wal_corruption_matrix(struct stage *st)
{
    static const struct damage_cell cells[] = {
        {"before the checkpoint", RECOVERY_HEALED, before_snapshot},
        {"right of head", RECOVERY_DAMAGED, right_of_head},
        {"head", RECOVERY_DAMAGED, at_head},
        {"left of head", RECOVERY_DAMAGED, left_of_head},
        {"root", RECOVERY_HEALED, at_root},
        {"checkpoint..head", RECOVERY_DAMAGED, snapshot_to_head},
    };
    const struct sim_settings s = stage_plain(3);
    struct log_map *map = mem_alloc(sizeof *map);

    stage_found(st, &s);
    for (size_t i = 0; i < COUNT_OF(cells); i++) {
        damage_cell(st, map, &cells[i]);
    }
    torn_cell(st);
    all_corrupt(st, map);
    mem_free(map);
}

/* R=1: there is nobody to repair it. */
void scenario_wal_corruption_single(struct stage *st)
{
    const struct sim_settings s = stage_plain(1);
    struct log_map *map = mem_alloc(sizeof *map);

    stage_found(st, &s);
    struct simmember *m = stage_leader(st);
    stage_put_many(st, m, 10);
    uint64_t value = stage_put(st, m, 0, T);
    stage_kill(st, m);
    stage_damaged(st, m, ORACLE_LOST_TAIL);
    struct simdisk *kept = simdisk_clone(simhost_disk(m->host));
    simdisk_close_all(kept);
    map_log(m, map);
    flip_sector(st, m, map, map->count / 2);
    starts_as(st, m, RECOVERY_DAMAGED);
    stage_leaders_begin(st);
    stage_pass(st, 10 * T);
    stage_expect(st, stage_leaders(st) == 0, "it does not serve what is left");
    stage_kill(st, m);
    simhost_replace_disk(m->host, kept);
    stage_start(st, m);
    stage_await_leader(st, NULL, 4 * T);
    stage_expect(st, stage_get(st, m, 0, T) == value, "from a good copy of its disk it serves");
    mem_free(map);
}

/* --- snapshots and logs that do not fit --------------------------------------------------------
 */

/* The k-th snapshot file, from 0, in the order of their names, which is that of their ends; NULL.
 */
static const char *snapshot_file(const struct simmember *m, size_t k)
{
    const struct simdisk *disk = simhost_disk(m->host);
    const char *path;

    for (size_t i = 0; (path = simdisk_name(disk, i)) != NULL; i++) {
        if (simdisk_is_in_class(path, SIMDISK_SNAPSHOT) && k-- == 0) {
            return path;
        }
    }
    return NULL;
}

/* The log begins behind a snapshot that is gone; then, behind one that is damaged. */
void scenario_restart_log_snapshot_gap(struct stage *st)
{
    const struct sim_settings s = stage_plain(3);

    stage_found(st, &s);
    struct simmember *m = stage_follower(st, 0);
    struct simdisk *disk = simhost_disk(m->host);
    for (int is_there = 0; is_there < 2 && !stage_is_over(st); is_there++) {
        for (int i = 0; i < 2; i++) {
            stage_put_many(st, stage_leader(st), 20);
            stage_pass(st, T / 4);
            stage_snapshot(st, m, T);
        }
        stage_put_many(st, stage_leader(st), 5);
        stage_pass(st, T / 4);
        stage_kill(st, m);
        stage_damaged(st, m, ORACLE_LOST_TAIL);
        stage_expect(st, snapshot_file(m, 0) != NULL, "there is a snapshot");
        const char *path;
        for (size_t k = 0; (path = snapshot_file(m, k)) != NULL && !stage_is_over(st);) {
            enum err done =
                is_there ? simdisk_flip(disk, path, 100, 1) : simdisk_remove(disk, path);
            stage_expect(st, done == OK, "every snapshot is damaged");
            k += (size_t)is_there;
        }
        starts_as(st, m, RECOVERY_DAMAGED);
        repaired(st, m);
    }
}

/* --- members that lag --------------------------------------------------------------------------
 */

/* A member was away, and shall catch up while the load goes on. */
void scenario_metastable_lag(struct stage *st)
{
    struct sim_settings s = stage_plain(3);

    s.clients = 12;
    s.think_time = 5 * NANOS_PER_MS;
    s.snapshot_entries = 20000;
    stage_found(st, &s);
    struct simmember *leader = stage_leader(st);
    struct simmember *behind = stage_follower(st, 0);
    stage_load(st);
    stage_pass(st, T);
    stage_isolate(st, behind, true);
    stage_pass(st, 5 * T);
    uint64_t before = stage_written(st);
    stage_pass(st, 5 * T);
    uint64_t rate = (stage_written(st) - before) / 5;
    stage_expect(st, rate >= 50, "fifty writes are committed each second");
    stage_lose_streams(st, behind);
    stage_isolate(st, behind, false);
    STAGE_UNTIL(st, 3 * T, stage_applied(behind) + 50 > stage_status(leader).committed,
                "it has nearly caught up");
    before = stage_written(st);
    for (int i = 0; i < 10; i++) {
        stage_pass(st, T);
        stage_expect(st, stage_applied(behind) + 50 > stage_status(leader).committed,
                     "it stays near the leader");
    }
    stage_expect(st, stage_leads(leader), "the leader stays");
    stage_expect(st, (stage_written(st) - before) / 10 >= rate / 2, "the load goes on as before");
}
