/*
 * Whole nodes whose disks lose files, or parts of them, while they run: whoever reads finds it, the
 * scrub at the latest, and the node mends it before its next start.
 */
#include <string.h>

#include "core/chaos/simdisk.h"
#include "core/node/node_int.h"
#include "core/recovery/wal_int.h"
#include "tests/support/node_cluster.h"
#include "tests/support/test.h"

/* The last file of the member whose name ends so; NULL: none. */
static const char *last_file(struct cluster3 *c, uint32_t i, const char *suffix)
{
    struct simdisk *d = simhost_disk(c->member[i].host);
    const char *last = NULL;
    const char *name;
    for (size_t at = 0; (name = simdisk_name(d, at)) != NULL; at++) {
        size_t n = strlen(name);
        size_t tail = strlen(suffix);
        last = n > tail && strcmp(name + n - tail, suffix) == 0 ? name : last;
    }
    return last;
}

static void scrubbed_start(struct cluster3 *c, uint64_t seed)
{
    cluster3_init(c, seed, NODES);
    c->scrub_bytes_per_s = 64 * 1024 * 1024;
    cluster3_start(c);
    cluster3_put(c, cluster3_elect(c), "answer", value_of(42));
}

/* Also where nothing happens any more that would be worth a snapshot. */
static void a_snapshot_that_vanished_is_taken_again(void **state)
{
    (void)state;
    struct cluster3 c;
    scrubbed_start(&c, 71);
    for (int round = 0; round < 2; round++) {
        char path[WORLD_PATH_MAX_BYTES];
        const char *name = last_file(&c, 0, ".snap");
        assert_non_null(name);
        memcpy(path, name, strlen(name) + 1);
        assert_int_equal(simdisk_remove(simhost_disk(c.member[0].host), path), OK);
        c.member[0].lost = ORACLE_LOST_TAIL;
        cluster3_run(&c, 15 * NANOS_PER_S);
        assert_non_null(last_file(&c, 0, ".snap"));
    }
    assert_false(node_status(c.member[0].node).impaired);
    member_kill(&c, 0, true);
    member_start(&c, 0);
    cluster3_run(&c, 5 * NANOS_PER_S);
    assert_int_equal(c.member[0].verdict, RECOVERY_CLEAN);
    assert_true(cluster3_get(&c, 0, "answer", value_of(42)));
    cluster3_deinit(&c);
}

/* The log of a small group is one segment, the one that is being written. */
static void a_segment_that_vanished_is_mended_by_peers(void **state)
{
    (void)state;
    struct cluster3 c;
    scrubbed_start(&c, 72);
    uint32_t struck = (cluster3_elect(&c) + 1) % NODES;
    const char *first = "node/wal/0000000000000001.wal";
    assert_int_equal(simdisk_remove(simhost_disk(c.member[struck].host), first), OK);
    c.member[struck].lost = ORACLE_LOST_TAIL;
    cluster3_run(&c, 15 * NANOS_PER_S);
    assert_true(c.member[struck].alarms & RAFT_ALARM_REPAIRED);
    assert_false(node_status(c.member[struck].node).impaired);
    cluster3_put(&c, cluster3_elect(&c), "later", value_of(43));
    cluster3_run(&c, NANOS_PER_S);
    member_kill(&c, struck, true);
    member_start(&c, struck);
    cluster3_run(&c, 10 * NANOS_PER_S);
    assert_false(c.member[struck].halted);
    assert_false(node_status(c.member[struck].node).impaired);
    assert_true(cluster3_get(&c, struck, "answer", value_of(42)));
    assert_true(cluster3_get(&c, struck, "later", value_of(43)));
    cluster3_deinit(&c);
}

/* Damages the first sectors that hold entries in the member's first segment. */
static void spoil_first_entries(struct cluster3 *c, uint32_t i)
{
    for (uint64_t sector = 3; sector < 9; sector++) {
        assert_int_equal(simdisk_spoil(simhost_disk(c->member[i].host),
                                       "node/wal/0000000000000001.wal",
                                       sector * WORLD_SECTOR_BYTES),
                         OK);
    }
    c->member[i].lost = ORACLE_LOST_TAIL;
}

static void put_many_bytes(struct cluster3 *c, uint64_t count)
{
    static uint8_t large[8 * 1024];
    struct store_put_request request = {.key = {(const uint8_t *)"large", 5},
                                        .value = {large, sizeof(large)}};
    struct buf body;
    buf_init(&body);
    store_put_encode(&body, &request);
    for (uint64_t i = 0; i < count; i++) {
        struct put p;
        put_begin_kind(&p, c->member[cluster3_elect(c)].node, STORE_KIND_PUT, buf_view(&body));
        put_wait(c, &p);
        assert_int_equal(p.result, OK);
    }
    buf_deinit(&body);
}

/* Nothing scrubs here. The leader is asked for entries that it has in no memory any more, and finds
 * that they are damaged. */
static void damage_that_is_met_when_entries_are_loaded_is_mended(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 73, NODES);
    c.cached_bytes = 1 << 18;
    cluster3_start(&c);
    cluster3_put(&c, cluster3_elect(&c), "answer", value_of(42));
    uint32_t newcomer = (cluster3_elect(&c) + 1) % NODES;
    member_kill(&c, newcomer, true);
    simhost_replace_disk(c.member[newcomer].host, simdisk_new(256ULL * 1024 * 1024));
    c.member[newcomer].is_member = true;
    c.member[newcomer].lost = ORACLE_LOST_ALL;
    put_many_bytes(&c, 80);
    uint32_t leader = cluster3_elect(&c);
    spoil_first_entries(&c, leader);
    member_start(&c, newcomer);
    cluster3_run(&c, 20 * NANOS_PER_S);
    assert_true(c.member[leader].alarms & RAFT_ALARM_IMPAIRED);
    assert_false(node_status(c.member[leader].node).impaired);
    assert_false(node_status(c.member[newcomer].node).impaired);
    assert_true(cluster3_get(&c, newcomer, "answer", value_of(42)));
    cluster3_deinit(&c);
}

/* Votes in a new term for a candidate of which nothing more is heard. Returns whose vote it is: it
 * is alone, and its log ends with it. */
static uint32_t left_with_a_vote(struct cluster3 *c)
{
    uint32_t leader = cluster3_elect(c);
    uint32_t a = (leader + 1) % NODES;
    uint32_t b = (leader + 2) % NODES;
    uint64_t term = node_status(c->member[leader].node).term;
    member_kill(c, leader, true);
    while (node_status(c->member[a].node).term == term ||
           node_status(c->member[b].node).term == term) {
        cluster3_run(c, 10 * NANOS_PER_US);
    }
    uint32_t voter = node_status(c->member[a].node).role == RAFT_CANDIDATE ? b : a;
    member_kill(c, voter == a ? b : a, true);
    cluster3_run(c, 100 * NANOS_PER_MS);
    return voter;
}

/* No entry is lost with it, so no peer is asked for anything; but it was the log's end, and the
 * next start could not tell whether more was promised behind it. */
static void a_vote_that_went_bad_is_written_again(void **state)
{
    (void)state;
    struct cluster3 c;
    scrubbed_start(&c, 74);
    cluster3_run(&c, NANOS_PER_S);
    uint32_t voter = left_with_a_vote(&c);
    const struct wal *wal = c.member[voter].node->wal;
    uint64_t end = wal->active_sector;
    assert_true(wal->index.extents[wal->index.count - 1].end < end);
    assert_int_equal(simdisk_spoil(simhost_disk(c.member[voter].host),
                                   "node/wal/0000000000000001.wal", (end - 1) * WORLD_SECTOR_BYTES),
                     OK);
    cluster3_run(&c, 15 * NANOS_PER_S);
    assert_true(c.member[voter].node->counted.scrub_passes > 1);
    member_kill(&c, voter, true);
    member_start(&c, voter);
    cluster3_run(&c, NANOS_PER_S);
    assert_false(node_status(c.member[voter].node).impaired);
    cluster3_deinit(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_that_vanished_is_taken_again),
        cmocka_unit_test(a_segment_that_vanished_is_mended_by_peers),
        cmocka_unit_test(damage_that_is_met_when_entries_are_loaded_is_mended),
        cmocka_unit_test(a_vote_that_went_bad_is_written_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
