/*
 * Whole nodes on disks that betray them: replaced, damaged in the middle, full, failing at a sync.
 * What was acknowledged stays, and a node that cannot vouch for its log neither votes nor leads.
 */
#include <string.h>

#include "core/chaos/simdisk.h"
#include "core/chaos/simnet.h"
#include "core/consensus/raft/raft_int.h"
#include "core/node/node_int.h"
#include "core/recovery/wal_int.h"
#include "tests/support/node_cluster.h"
#include "tests/support/test.h"

#define DISK (256ULL * 1024 * 1024)

/* --- disks ----------------------------------------------------------------------------------- */

static bool file_is_log(const char *name)
{
    size_t n = strlen(name);
    return n > 4 && memcmp(name + n - 4, ".wal", 4) == 0;
}

/* Flips a bit of each copy of the value in the member's log; returns how many there were. */
static unsigned member_damage_log(struct cluster3 *c, uint32_t i, uint64_t value)
{
    struct simdisk *d = simhost_disk(c->member[i].host);
    unsigned found = 0;
    c->member[i].lost = ORACLE_LOST_TAIL;
    const char *name;
    struct buf all;
    buf_init(&all);
    for (size_t at = 0; (name = simdisk_name(d, at)) != NULL; at++) {
        if (!file_is_log(name) || simdisk_look(d, name, &all) != OK) {
            continue;
        }
        const uint8_t *hit = memmem(all.data, all.len, &value, sizeof(value));
        while (hit) {
            uint64_t offset = (uint64_t)(hit - all.data);
            assert_int_equal(simdisk_flip(d, name, offset, 1), OK);
            found++;
            size_t rest = all.len - (size_t)offset - 1;
            hit = memmem(all.data + offset + 1, rest, &value, sizeof(value));
        }
    }
    buf_deinit(&all);
    return found;
}

static uint64_t disk_used(struct cluster3 *c, uint32_t i)
{
    struct simdisk *d = simhost_disk(c->member[i].host);
    uint64_t used = 0;
    const char *name;
    for (size_t at = 0; (name = simdisk_name(d, at)) != NULL; at++) {
        uint64_t size = 0;
        assert_int_equal(simdisk_size(d, name, &size), OK);
        used += size;
    }
    return used;
}

/* The members other than these two, in a group of three. */
static uint32_t third(uint32_t a, uint32_t b)
{
    return NODES - a - b;
}

static void put_many(struct cluster3 *c, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++) {
        cluster3_put(c, cluster3_elect(c), "filler", value_of(1000 + i));
    }
}

/* Puts of many bytes, so that segments fill. */
static void put_begin_large(struct put *p, struct node *node, uint64_t i)
{
    static uint8_t large[256 * 1024];
    struct store_put_request put = {.key = {(const uint8_t *)"large", 5},
                                    .value = {large, sizeof(large)}};
    memcpy(large, &i, sizeof(i));
    struct buf body;
    buf_init(&body);
    store_put_encode(&body, &put);
    put_begin_kind(p, node, STORE_KIND_PUT, buf_view(&body));
    p->body = body;
}

static enum err put_large(struct cluster3 *c, uint32_t at, uint64_t i)
{
    struct put p;
    put_begin_large(&p, c->member[at].node, i);
    put_wait(c, &p);
    return p.result;
}

/* --- a disk that is replaced ------------------------------------------------------------------ */

static void a_replaced_disk_rejoins(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 21, NODES);
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    cluster3_put(&c, leader, "answer", value_of(42));
    uint32_t lost = (leader + 1) % NODES;
    member_lose_disk(&c, lost);
    member_start(&c, lost);
    cluster3_run(&c, 10 * NANOS_PER_S);
    assert_false(c.member[lost].halted);
    assert_int_equal(c.member[lost].verdict, RECOVERY_WIPED);
    assert_false(node_status(c.member[lost].node).impaired);
    assert_true(cluster3_get(&c, lost, "answer", value_of(42)));
    /* and now it counts: the group lives on with it alone at the other's side */
    member_kill(&c, third(leader, lost), true);
    cluster3_put(&c, cluster3_elect(&c), "later", value_of(43));
    assert_true(cluster3_get(&c, lost, "later", value_of(43)));
    cluster3_deinit(&c);
}

/* Acknowledged by two, of which one is away and the other's disk betrays it: that one and the one
 * that never had the key are a majority, and must not act as one. */
static void waits_for_the_intact_copy(const char *name, void (*betray)(struct cluster3 *, uint32_t))
{
    struct prng p = test_prng(name);
    for (size_t round = 0; round < test_rounds(5); round++) {
        struct cluster3 c;
        cluster3_init(&c, prng_u64(&p), NODES);
        cluster3_start(&c);
        uint32_t leader = cluster3_elect(&c);
        uint32_t betrayed = (leader + 1) % NODES;
        uint32_t stale = third(leader, betrayed);
        member_kill(&c, stale, prng_chance(&p, 1, 2));
        cluster3_put(&c, leader, "answer", value_of(42));
        put_many(&c, 0, 3);
        cluster3_run(&c, NANOS_PER_S);
        member_kill(&c, leader, prng_chance(&p, 1, 2));
        betray(&c, betrayed);
        member_start(&c, betrayed);
        member_start(&c, stale);
        cluster3_run(&c, 30 * NANOS_PER_S);
        assert_int_equal(cluster3_leader(&c), -1);
        member_start(&c, leader);
        uint32_t next = cluster3_elect(&c);
        assert_true(cluster3_get(&c, next, "answer", value_of(42)));
        cluster3_run(&c, 10 * NANOS_PER_S);
        assert_true(cluster3_get(&c, betrayed, "answer", value_of(42)));
        cluster3_deinit(&c);
    }
}

static void a_replaced_disk_does_not_uncommit(void **state)
{
    (void)state;
    waits_for_the_intact_copy(__func__, member_lose_disk);
}

static void kill_and_damage(struct cluster3 *c, uint32_t i)
{
    member_kill(c, i, false);
    assert_true(member_damage_log(c, i, value_of(42)) > 0);
}

static void damage_is_not_truncated_away(void **state)
{
    (void)state;
    waits_for_the_intact_copy(__func__, kill_and_damage);
}

/* --- damage in the middle --------------------------------------------------------------------- */

static void damaged_entries_are_fetched_from_peers(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 22, NODES);
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    cluster3_put(&c, leader, "answer", value_of(42));
    put_many(&c, 0, 20);
    cluster3_run(&c, NANOS_PER_S);
    for (uint32_t i = 0; i < NODES; i++) {
        member_kill(&c, i, false);
        assert_true(member_damage_log(&c, i, value_of(i == leader ? 42 : 1003 + i)) > 0);
    }
    cluster3_start(&c);
    uint32_t next = cluster3_elect(&c);
    for (uint32_t i = 0; i < NODES; i++) {
        assert_int_equal(c.member[i].verdict, RECOVERY_DAMAGED);
    }
    cluster3_run(&c, 10 * NANOS_PER_S);
    for (uint32_t i = 0; i < NODES; i++) {
        assert_false(node_status(c.member[i].node).impaired);
        assert_true(cluster3_get(&c, i, "answer", value_of(42)));
    }
    assert_true(cluster3_get(&c, next, "filler", value_of(1019)));
    /* the disks are whole again: what was fetched is durable, and nothing is in doubt */
    for (uint32_t i = 0; i < NODES; i++) {
        member_kill(&c, i, true);
    }
    cluster3_start(&c);
    cluster3_elect(&c);
    for (uint32_t i = 0; i < NODES; i++) {
        assert_true(c.member[i].verdict <= RECOVERY_HEALED);
        assert_true(cluster3_get(&c, i, "answer", value_of(42)));
    }
    cluster3_deinit(&c);
}

/* No copy is left: nobody invents one, and nobody leads. */
static void without_an_intact_copy_nobody_leads(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 23, NODES);
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    cluster3_put(&c, leader, "answer", value_of(42));
    put_many(&c, 0, 5);
    cluster3_run(&c, NANOS_PER_S);
    for (uint32_t i = 0; i < NODES; i++) {
        member_kill(&c, i, false);
        assert_true(member_damage_log(&c, i, value_of(42)) > 0);
    }
    cluster3_start(&c);
    cluster3_run(&c, 60 * NANOS_PER_S);
    assert_int_equal(cluster3_leader(&c), -1);
    for (uint32_t i = 0; i < NODES; i++) {
        assert_true(node_status(c.member[i].node).impaired);
    }
    cluster3_deinit(&c);
}

/* Damaged entries that its state holds, and that its peers have compacted away, are covered by a
 * snapshot of its own. */
static void damage_that_is_applied_is_covered_by_its_own_snapshot(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 38, NODES);
    c.snapshot_entries = 40;
    c.scrub_bytes_per_s = 64 * 1024 * 1024;
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    uint32_t damaged = (leader + 1) % NODES;
    c.member[damaged].node->cfg.tail_entries = 1000000;
    cluster3_put(&c, leader, "answer", value_of(42));
    for (uint64_t i = 0; i < 100; i++) {
        cluster3_put(&c, leader, "more", value_of(i));
    }
    cluster3_run(&c, NANOS_PER_S);
    assert_true(node_status(c.member[leader].node).first > 20);
    assert_int_equal(node_status(c.member[damaged].node).first, 2);
    assert_true(member_damage_log(&c, damaged, value_of(42)) > 0);
    cluster3_run(&c, 10 * NANOS_PER_S);
    assert_true(c.member[damaged].alarms & RAFT_ALARM_IMPAIRED);
    assert_false(node_status(c.member[damaged].node).impaired);
    member_kill(&c, damaged, true);
    member_start(&c, damaged);
    cluster3_run(&c, 5 * NANOS_PER_S);
    assert_true(cluster3_get(&c, damaged, "answer", value_of(42)));
    cluster3_deinit(&c);
}

/* Its only snapshot is damaged: what it held comes from a peer. */
static void a_node_without_a_whole_snapshot_fetches_one(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 37, NODES);
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    cluster3_put(&c, leader, "answer", value_of(42));
    cluster3_run(&c, NANOS_PER_S);
    uint32_t damaged = (leader + 1) % NODES;
    member_kill(&c, damaged, false);
    const char *founding = "node/snap/0000000000000001-0000000000000001.snap";
    assert_int_equal(simdisk_flip(simhost_disk(c.member[damaged].host), founding, 185, 1), OK);
    c.member[damaged].lost = ORACLE_LOST_TAIL;
    member_start(&c, damaged);
    cluster3_run(&c, 10 * NANOS_PER_S);
    assert_false(c.member[damaged].halted);
    assert_int_equal(c.member[damaged].verdict, RECOVERY_DAMAGED);
    assert_false(node_status(c.member[damaged].node).impaired);
    assert_true(cluster3_get(&c, damaged, "answer", value_of(42)));
    cluster3_deinit(&c);
}

/* The scrubber reads what nobody else does, and peers mend it while the node goes on. */
static void a_scrub_finds_damage_and_peers_mend_it(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 24, NODES);
    c.scrub_bytes_per_s = 64 * 1024 * 1024;
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    cluster3_put(&c, leader, "answer", value_of(42));
    for (uint64_t i = 0; i < 80; i++) {
        assert_int_equal(put_large(&c, cluster3_elect(&c), i), OK);
    }
    uint32_t damaged = (leader + 1) % NODES;
    assert_true(member_damage_log(&c, damaged, value_of(42)) > 0);
    cluster3_run(&c, 10 * NANOS_PER_S);
    assert_true(c.member[damaged].node->counted.scrub_passes > 1);
    assert_true(c.member[damaged].alarms & RAFT_ALARM_IMPAIRED);
    assert_true(c.member[damaged].alarms & RAFT_ALARM_REPAIRED);
    assert_false(node_status(c.member[damaged].node).impaired);
    assert_false(c.member[leader].alarms & RAFT_ALARM_IMPAIRED);
    member_kill(&c, damaged, true);
    member_start(&c, damaged);
    cluster3_run(&c, 5 * NANOS_PER_S);
    assert_true(c.member[damaged].verdict <= RECOVERY_HEALED);
    assert_true(cluster3_get(&c, damaged, "answer", value_of(42)));
    cluster3_deinit(&c);
}

/* --- a full disk, and one that fails ---------------------------------------------------------- */

static void a_full_disk_steps_down_votes_and_heals(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 25, NODES);
    cluster3_start(&c);
    uint32_t full = cluster3_elect(&c);
    cluster3_put(&c, full, "answer", value_of(42));
    simdisk_set_capacity(simhost_disk(c.member[full].host), disk_used(&c, full));
    uint64_t done = 0;
    while (!node_lacks_space(c.member[full].node) && done < 200) {
        enum err e = put_large(&c, full, done++);
        assert_true(e == OK || e == ERR_UNKNOWN || e == ERR_NO_SPACE);
    }
    assert_true(node_lacks_space(c.member[full].node));
    cluster3_run(&c, 5 * NANOS_PER_S);
    assert_false(c.member[full].halted);
    struct put refused;
    memset(&refused, 0, sizeof(refused));
    assert_int_equal(node_propose(c.member[full].node, &refused.request), ERR_NO_SPACE);
    uint32_t next = cluster3_elect(&c);
    assert_int_not_equal(next, full);
    cluster3_put(&c, next, "more", value_of(43));
    /* Its vote still counts: the next leader needs it. */
    raft_term before = node_status(c.member[full].node).term;
    uint32_t other = third(full, next);
    member_kill(&c, next, false);
    cluster3_run(&c, 5 * NANOS_PER_S);
    assert_true(node_status(c.member[full].node).term > before);
    assert_int_equal(cluster3_leader(&c), (int)other);
    /* There is room again: it follows, and the group commits with it. */
    simdisk_set_capacity(simhost_disk(c.member[full].host), DISK);
    cluster3_run(&c, 10 * NANOS_PER_S);
    assert_false(node_lacks_space(c.member[full].node));
    cluster3_put(&c, cluster3_elect(&c), "after", value_of(44));
    assert_true(cluster3_get(&c, full, "answer", value_of(42)));
    assert_true(cluster3_get(&c, full, "more", value_of(43)));
    assert_true(cluster3_get(&c, full, "after", value_of(44)));
    cluster3_deinit(&c);
}

static void member_cut_off(struct cluster3 *c, uint32_t i, bool is_cut)
{
    for (uint32_t k = 0; k < NODES; k++) {
        if (k != i) {
            simnet_cut(c->member[i].host, c->member[k].host, is_cut);
            simnet_reset(c->member[i].host, c->member[k].host);
        }
    }
}

/* A leader has no room for what it was asked last, and is replaced. What it is sent meanwhile takes
 * the place of that, and waits behind it. It dies so many events after there is room again; the
 * oracle watches what it knows then. */
static void full_and_replaced(uint64_t events)
{
    struct cluster3 c;
    cluster3_init(&c, 26, NODES);
    c.batch_bytes = 512 * 1024;
    cluster3_start(&c);
    uint32_t full = cluster3_elect(&c);
    struct node *n = c.member[full].node;
    cluster3_put(&c, full, "answer", value_of(42));
    cluster3_run(&c, NANOS_PER_S);
    simdisk_set_capacity(simhost_disk(c.member[full].host), disk_used(&c, full));
    member_cut_off(&c, full, true);
    struct put lost[8];
    for (size_t i = 0; i < COUNT_OF(lost); i++) {
        put_begin_large(&lost[i], n, i);
    }
    cluster3_run(&c, 5 * NANOS_PER_S);
    assert_true(node_lacks_space(n));
    uint32_t next = cluster3_elect(&c);
    assert_int_not_equal(next, full);
    for (uint64_t i = 0; i < 8; i++) {
        assert_int_equal(put_large(&c, next, 100 + i), OK);
    }
    member_cut_off(&c, full, false);
    cluster3_run(&c, 3 * NANOS_PER_S);
    assert_true(node_lacks_space(n));
    assert_false(c.member[full].halted);
    simdisk_set_capacity(simhost_disk(c.member[full].host), DISK);
    uint64_t from = simworld_events(c.sim);
    while (simworld_events(c.sim) < from + events) {
        assert_true(simworld_step(c.sim));
    }
    member_kill(&c, full, false);
    for (size_t i = 0; i < COUNT_OF(lost); i++) {
        buf_deinit(&lost[i].body);
    }
    member_start(&c, full);
    cluster3_run(&c, 5 * NANOS_PER_S);
    assert_true(cluster3_get(&c, full, "answer", value_of(42)));
    cluster3_deinit(&c);
}

static void room_that_comes_back_makes_nothing_old_of_what_was_replaced(void **state)
{
    (void)state;
    for (uint64_t events = 0; events < 200; events += 10) {
        full_and_replaced(events);
    }
}

static void a_failed_sync_ends_the_node(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 26, NODES);
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    cluster3_put(&c, leader, "answer", value_of(42));
    simdisk_fail(simhost_disk(c.member[leader].host), WORLD_SYNC, ERR_IO, 1);
    struct put p;
    put_begin(&p, c.member[leader].node, "middle", value_of(1));
    cluster3_run(&c, 5 * NANOS_PER_S);
    assert_true(c.member[leader].halted);
    buf_deinit(&p.body);
    uint32_t next = cluster3_elect(&c);
    assert_int_not_equal(next, leader);
    assert_true(cluster3_get(&c, next, "answer", value_of(42)));
    cluster3_deinit(&c);
}

static void a_stalled_disk_gives_the_lead_away(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 27, NODES);
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    simhost_stall(c.member[leader].host, WORLD_LANE_LOG, simworld_now(c.sim) + 60 * NANOS_PER_S);
    struct put p;
    put_begin(&p, c.member[leader].node, "middle", value_of(1));
    nanos twice = 2 * c.member[leader].node->cfg.raft.election_timeout;
    cluster3_run(&c, twice + c.member[leader].node->cfg.raft.heartbeat_interval);
    assert_int_not_equal(cluster3_leader(&c), (int)leader);
    uint32_t next = cluster3_elect(&c);
    cluster3_put(&c, next, "answer", value_of(42));
    cluster3_deinit(&c);
    buf_deinit(&p.body);
}

/* A snapshot that finds no room is tried again, but not without pause: the store and the disk have
 * other things to do. */
static void a_snapshot_without_room_is_tried_again_after_a_pause(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 35, 1);
    c.snapshot_entries = 20;
    cluster3_start(&c);
    cluster3_elect(&c);
    cluster3_put(&c, 0, "answer", value_of(1));
    simdisk_set_capacity(simhost_disk(c.member[0].host), disk_used(&c, 0));
    for (uint64_t i = 0; i < 30; i++) {
        cluster3_put(&c, 0, "answer", value_of(i));
    }
    uint64_t events = simworld_events(c.sim);
    cluster3_run(&c, 10 * NANOS_PER_S);
    assert_true(simworld_events(c.sim) - events < 5000);
    assert_int_equal(node_status(c.member[0].node).snapshot, 1);
    simdisk_set_capacity(simhost_disk(c.member[0].host), DISK);
    cluster3_run(&c, 5 * NANOS_PER_S);
    assert_true(node_status(c.member[0].node).snapshot > 20);
    cluster3_deinit(&c);
}

/* --- what a life leaves to the next ----------------------------------------------------------- */

/* A follower's log stands still while the others commit, and it applies what they committed. It may
 * take a snapshot of that, but not say in its log that there is one before the entries are in it.
 */
static void a_snapshot_waits_for_its_entries_in_the_log(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 29, NODES);
    c.snapshot_entries = 40;
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    uint32_t slow = (leader + 1) % NODES;
    simhost_stall(c.member[slow].host, WORLD_LANE_LOG, simworld_now(c.sim) + 30 * NANOS_PER_S);
    for (uint64_t i = 0; i < 3 * RAFT_BATCHES_MAX; i++) {
        cluster3_put(&c, leader, "key", value_of(i));
    }
    assert_true(node_applied(c.member[slow].node) > c.member[slow].node->raft->log.handed);
    cluster3_run(&c, 40 * NANOS_PER_S);
    assert_false(c.member[slow].halted);
    member_kill(&c, slow, true);
    member_start(&c, slow);
    cluster3_run(&c, 5 * NANOS_PER_S);
    assert_true(cluster3_get(&c, slow, "key", value_of(3 * RAFT_BATCHES_MAX - 1)));
    cluster3_deinit(&c);
}

/* The log refuses an entry in the middle of an update: of that update nothing leaves any more,
 * which the oracle asserts (I29). */
static void a_node_that_halts_in_an_update_sends_nothing_of_it(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 31, NODES);
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    cluster3_put(&c, leader, "answer", value_of(42));
    c.member[leader].node->wal->config.batch_bytes = 64 * 1024; /* less than the next entry has */
    struct put p;
    put_begin(&p, c.member[leader].node, "large", value_of(1));
    static uint8_t large[256 * 1024];
    p.request.body = (struct bytes){large, sizeof(large)};
    cluster3_run(&c, 20 * NANOS_PER_MS);
    assert_true(c.member[leader].halted);
    buf_deinit(&p.body);
    cluster3_deinit(&c);
}

static void member_cut_all_unsynced(struct cluster3 *c, uint32_t i)
{
    simhost_cut_power(c->member[i].host, 0, 1);
    oracle_closed(c->oracle, i);
    node_close(c->member[i].node);
    c->member[i].node = NULL;
}

/* A process dies between the write of a batch and its sync. The next one reads the batch, from the
 * page cache, and may only vouch for it once it is on the disk: the power may go. The oracle
 * asserts that what was told durable is there (I24). */
static void what_a_dead_process_left_is_synced_before_it_counts(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 33, NODES);
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    cluster3_put(&c, leader, "before", value_of(1));
    cluster3_run(&c, NANOS_PER_S);
    uint32_t slow = (leader + 1) % NODES;
    simhost_stall(c.member[slow].host, WORLD_LANE_LOG, simworld_now(c.sim) + 60 * NANOS_PER_S);
    cluster3_put(&c, leader, "unsynced", value_of(2));
    cluster3_run(&c, 10 * NANOS_PER_MS);
    const struct raft *r = c.member[slow].node->raft;
    raft_index last = r->log.last;
    assert_true(r->log.durable < last);
    member_kill(&c, slow, false);
    member_start(&c, slow);
    cluster3_run(&c, 50 * NANOS_PER_MS);
    assert_true(c.member[slow].node->raft->log.durable >= last);
    member_cut_all_unsynced(&c, slow);
    member_start(&c, slow);
    cluster3_run(&c, 5 * NANOS_PER_S);
    assert_true(cluster3_get(&c, slow, "unsynced", value_of(2)));
    cluster3_deinit(&c);
}

static unsigned member_snapshots(struct cluster3 *c, uint32_t i)
{
    const struct simdisk *d = simhost_disk(c->member[i].host);
    unsigned n = 0;
    const char *name;
    for (size_t at = 0; (name = simdisk_name(d, at)) != NULL; at++) {
        size_t len = strlen(name);
        n += len > 5 && memcmp(name + len - 5, ".snap", 5) == 0;
    }
    return n;
}

/* The same of a snapshot that was fetched: the process dies when the file has its name, and before
 * the directory is synced. The log of the next one begins behind it. */
static void a_snapshot_that_a_dead_process_named_is_synced_before_it_counts(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 35, NODES);
    c.snapshot_entries = 40;
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    uint32_t away = (leader + 1) % NODES;
    member_kill(&c, away, false);
    put_many(&c, 0, 100);
    member_start(&c, away);
    unsigned before = member_snapshots(&c, away);
    while (member_snapshots(&c, away) == before) {
        assert_true(cluster3_step(&c));
    }
    member_kill(&c, away, false);
    simnet_cut(c.member[away].host, c.member[leader].host, true);
    simnet_cut(c.member[away].host, c.member[third(leader, away)].host, true);
    member_start(&c, away);
    cluster3_run(&c, 100 * NANOS_PER_MS);
    assert_true(node_status(c.member[away].node).first > 2);
    member_cut_all_unsynced(&c, away);
    member_start(&c, away);
    cluster3_run(&c, 100 * NANOS_PER_MS);
    assert_int_equal(c.member[away].verdict, RECOVERY_CLEAN);
    cluster3_deinit(&c);
}

static void file_on_done(struct world_file_request *request)
{
    *(bool *)request->owner = true;
}

static void file_do(struct cluster3 *c, uint32_t i, struct world_file_request *request,
                    enum world_file_op op)
{
    bool is_done = false;
    request->op = op;
    request->lane = WORLD_LANE_BULK;
    request->done = file_on_done;
    request->owner = &is_done;
    world_submit(simhost_world(c->member[i].host), request);
    while (!is_done) {
        assert_true(cluster3_step(c));
    }
    assert_int_equal(request->result, OK);
}

/* Copies the newest snapshot of one member to another's disk; its index. */
static raft_index snapshot_copy_newest(struct cluster3 *c, uint32_t from, uint32_t to)
{
    const struct node *n = c->member[from].node;
    char path[WORLD_PATH_MAX_BYTES];
    struct buf copy;
    buf_init(&copy);
    snapfile_path(n->snap_dir, n->snap_name.index, n->snap_name.term, ".snap", path);
    assert_int_equal(simdisk_look(simhost_disk(c->member[from].host), path, &copy), OK);
    struct world_file_request request = {.path = path,
                                         .flags = WORLD_OPEN_WRITE | WORLD_OPEN_CREATE};
    file_do(c, to, &request, WORLD_OPEN);
    request.buffer = copy.data;
    request.length = (uint32_t)copy.len;
    file_do(c, to, &request, WORLD_WRITE);
    file_do(c, to, &request, WORLD_CLOSE);
    buf_deinit(&copy);
    return n->snap_name.index;
}

/* A file of a newer one may be there: of a fetch that was begun and given up for this one. */
static void an_install_takes_the_snapshot_that_it_was_told(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 37, NODES);
    c.snapshot_entries = 20;
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    uint32_t away = (leader + 1) % NODES;
    uint32_t other = third(leader, away);
    member_kill(&c, away, false);
    c.member[other].node->cfg.snapshot_entries = 7;
    uint64_t puts = 60;
    put_many(&c, 0, puts);
    while (node_status(c.member[other].node).snapshot <=
           node_status(c.member[leader].node).snapshot) {
        put_many(&c, puts, puts + 1);
        puts++;
    }
    simnet_cut(c.member[away].host, c.member[other].host, true);
    member_start(&c, away);
    while (!node_is_ready(c.member[away].node) || !c.member[away].node->raft->fetch.active) {
        assert_true(cluster3_step(&c));
    }
    raft_index told = c.member[away].node->raft->fetch.snapshot.index;
    assert_true(snapshot_copy_newest(&c, other, away) > told);
    assert_int_equal(c.member[away].node->raft->fetch.snapshot.index, told);
    cluster3_run(&c, 5 * NANOS_PER_S);
    assert_false(c.member[away].halted);
    assert_true(cluster3_get(&c, away, "filler", value_of(1000 + puts - 1)));
    cluster3_deinit(&c);
}

static void a_founder_that_dies_at_first_founds_again(void **state)
{
    (void)state;
    bool led = false;
    for (uint64_t events = 1; !led; events++) {
        assert_true(events < 1000);
        struct cluster3 c;
        cluster3_init(&c, 29, 1);
        cluster3_start(&c);
        while (simworld_events(c.sim) < events && simworld_step(c.sim)) {
        }
        led = cluster3_leader(&c) >= 0;
        member_kill(&c, 0, events % 2 == 0);
        member_start(&c, 0);
        cluster3_put(&c, cluster3_elect(&c), "answer", value_of(42));
        cluster3_deinit(&c);
    }
}

/* A start that finds entries to read back is interrupted after each of its events. */
static void a_member_may_die_at_any_event_of_its_start(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 36, 1);
    cluster3_start(&c);
    cluster3_elect(&c);
    for (uint64_t i = 0; i < 30; i++) {
        cluster3_put(&c, 0, "answer", value_of(i));
    }
    bool was_ready = false;
    for (uint64_t events = 1; !was_ready; events++) {
        assert_true(events < 1000);
        member_kill(&c, 0, false);
        member_start(&c, 0);
        uint64_t until = simworld_events(c.sim) + events;
        while (simworld_events(c.sim) < until && simworld_step(c.sim)) {
        }
        was_ready = node_is_ready(c.member[0].node);
    }
    cluster3_elect(&c);
    assert_true(cluster3_get(&c, 0, "answer", value_of(29)));
    cluster3_deinit(&c);
}

static void a_restart_remembers_what_was_committed(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 30, NODES);
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    for (uint64_t i = 0; i < 10; i++) {
        cluster3_put(&c, leader, "answer", value_of(i));
        cluster3_run(&c, NANOS_PER_S);
    }
    raft_index committed = node_status(c.member[leader].node).committed;
    for (uint32_t i = 0; i < NODES; i++) {
        member_kill(&c, i, true);
    }
    for (uint32_t i = 0; i < NODES; i++) {
        member_start(&c, i);
        cluster3_run(&c, NANOS_PER_S / 10);
        assert_true(node_status(c.member[i].node).committed + 1 >= committed);
        member_kill(&c, i, false);
    }
    cluster3_deinit(&c);
}

/* The boot number is lost, and the one that is drawn may be below it: the store would refuse this
 * member's requests for good. */
static void a_lost_boot_number_is_overtaken(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(10); round++) {
        struct cluster3 c;
        cluster3_init(&c, prng_u64(&p), NODES);
        cluster3_start(&c);
        uint32_t leader = cluster3_elect(&c);
        cluster3_put(&c, leader, "answer", value_of(1));
        member_kill(&c, leader, true);
        assert_int_equal(simdisk_remove(simhost_disk(c.member[leader].host), "node/boot"), OK);
        member_start(&c, leader);
        cluster3_run(&c, 5 * NANOS_PER_S);
        cluster3_put(&c, leader, "answer", value_of(2));
        assert_true(cluster3_get(&c, leader, "answer", value_of(2)));
        cluster3_deinit(&c);
    }
}

/* A backup is put back: this life must not number its requests as the one did that came after the
 * backup was made, or the store takes them for copies of that one's. */
static void a_disk_from_a_backup_repeats_no_numbers(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 39, NODES);
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    uint32_t restored = (leader + 1) % NODES;
    cluster3_put(&c, leader, "answer", value_of(1));
    cluster3_run(&c, NANOS_PER_S);
    member_kill(&c, restored, false);
    struct simdisk *backup = simdisk_clone(simhost_disk(c.member[restored].host));
    member_start(&c, restored);
    cluster3_run(&c, NANOS_PER_S);
    cluster3_put(&c, restored, "answer", value_of(2));
    cluster3_run(&c, NANOS_PER_S);
    member_kill(&c, restored, true);
    simhost_replace_disk(c.member[restored].host, backup);
    c.member[restored].lost = ORACLE_LOST_ALL;
    member_start(&c, restored);
    while (!node_is_ready(c.member[restored].node)) {
        cluster3_run(&c, NANOS_PER_MS);
    }
    struct put p;
    put_begin(&p, c.member[restored].node, "answer", value_of(3));
    put_wait(&c, &p);
    assert_true(p.result != OK || cluster3_get(&c, leader, "answer", value_of(3)));
    cluster3_deinit(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_replaced_disk_rejoins),
        cmocka_unit_test(a_replaced_disk_does_not_uncommit),
        cmocka_unit_test(damaged_entries_are_fetched_from_peers),
        cmocka_unit_test(damage_is_not_truncated_away),
        cmocka_unit_test(without_an_intact_copy_nobody_leads),
        cmocka_unit_test(damage_that_is_applied_is_covered_by_its_own_snapshot),
        cmocka_unit_test(a_node_without_a_whole_snapshot_fetches_one),
        cmocka_unit_test(a_scrub_finds_damage_and_peers_mend_it),
        cmocka_unit_test(a_full_disk_steps_down_votes_and_heals),
        cmocka_unit_test(room_that_comes_back_makes_nothing_old_of_what_was_replaced),
        cmocka_unit_test(a_failed_sync_ends_the_node),
        cmocka_unit_test(a_stalled_disk_gives_the_lead_away),
        cmocka_unit_test(a_snapshot_waits_for_its_entries_in_the_log),
        cmocka_unit_test(a_node_that_halts_in_an_update_sends_nothing_of_it),
        cmocka_unit_test(a_snapshot_without_room_is_tried_again_after_a_pause),
        cmocka_unit_test(what_a_dead_process_left_is_synced_before_it_counts),
        cmocka_unit_test(a_snapshot_that_a_dead_process_named_is_synced_before_it_counts),
        cmocka_unit_test(an_install_takes_the_snapshot_that_it_was_told),
        cmocka_unit_test(a_founder_that_dies_at_first_founds_again),
        cmocka_unit_test(a_member_may_die_at_any_event_of_its_start),
        cmocka_unit_test(a_restart_remembers_what_was_committed),
        cmocka_unit_test(a_lost_boot_number_is_overtaken),
        cmocka_unit_test(a_disk_from_a_backup_repeats_no_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
