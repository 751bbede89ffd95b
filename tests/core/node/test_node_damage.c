/* A whole node whose log or snapshots are short of room, or lost something: what the simulator
 * found, as small as it gets. */
#include <string.h>

#include "core/base/mem.h"
#include "core/consensus/raft/raft_int.h"
#include "core/node/node_int.h"
#include "core/store/store_request.h"
#include "tests/support/node_cluster.h"
#include "tests/support/test.h"

#define LARGE_BYTES (20 * 1024)
#define LARGE_PUTS  30
#define FILLER      0x5a
#define PUTS        4000

static void put_filler(struct cluster3 *c)
{
    static uint8_t value[LARGE_BYTES];
    struct buf body;
    struct put p;
    memset(value, FILLER, sizeof(value));
    buf_init(&body);
    struct store_put_request put = {.key = {(const uint8_t *)"large", 5},
                                    .value = {value, sizeof(value)}};
    store_put_encode(&body, &put);
    put_begin_kind(&p, c->member[cluster3_elect(c)].node, STORE_KIND_PUT, buf_view(&body));
    put_wait(c, &p);
    assert_int_equal(p.result, OK);
    buf_deinit(&body);
}

/* A bad byte in many a sector of the log of a member that is down, that is, in each body. */
static unsigned spoil_bodies(struct cluster3 *c, uint32_t i)
{
    struct simdisk *disk = simhost_disk(c->member[i].host);
    unsigned spoiled = 0;
    const char *name;
    struct buf all;
    buf_init(&all);
    for (size_t k = 0; (name = simdisk_name(disk, k)) != NULL; k++) {
        if (!strstr(name, ".wal") || simdisk_look(disk, name, &all) != OK) {
            continue;
        }
        for (size_t at = 100; at < all.len; at += 8 * WORLD_SECTOR_BYTES) {
            if (all.data[at] == FILLER && all.data[at - 90] == FILLER) {
                assert_int_equal(simdisk_flip(disk, name, at, 1), OK);
                spoiled++;
            }
        }
    }
    buf_deinit(&all);
    return spoiled;
}

/* What a peer sends in one answer is more than a segment of the log has room for. */
static void repairs_larger_than_a_segment_are_written_in_shares(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 47, NODES);
    c.batch_bytes = 64 * 1024;
    cluster3_start(&c);
    for (int i = 0; i < LARGE_PUTS; i++) {
        put_filler(&c);
    }
    cluster3_run(&c, NANOS_PER_S);
    uint32_t hurt = (cluster3_elect(&c) + 1) % NODES;
    member_kill(&c, hurt, false);
    assert_true(spoil_bodies(&c, hurt) > LARGE_PUTS);
    c.member[hurt].lost = ORACLE_LOST_TAIL;
    member_start(&c, hurt);
    cluster3_run(&c, 10 * NANOS_PER_S);
    assert_int_equal(c.member[hurt].verdict, RECOVERY_DAMAGED);
    assert_false(node_status(c.member[hurt].node).impaired);
    cluster3_deinit(&c);
}

/* All of it is one update of Raft's, and more than a segment of the log takes. */
static void an_update_larger_than_a_segment_is_written_in_parts(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 47, 1);
    c.batch_bytes = 256 * 1024;
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    struct put *puts = mem_alloc_zero(PUTS * sizeof(*puts));
    for (uint64_t i = 0; i < PUTS; i++) {
        put_begin(&puts[i], c.member[leader].node, "key", value_of(i));
    }
    cluster3_run(&c, 2 * NANOS_PER_S);
    for (uint64_t i = 0; i < PUTS; i++) {
        assert_true(puts[i].done);
        assert_int_equal(puts[i].result, OK);
        buf_deinit(&puts[i].body);
    }
    mem_free(puts);
    member_kill(&c, leader, true);
    member_start(&c, leader);
    cluster3_elect(&c);
    assert_true(cluster3_get(&c, leader, "key", value_of(PUTS - 1)));
    cluster3_deinit(&c);
}

/* The log of the leader goes bad, where no scrub looks, and a member needs what is there. */
static void damage_that_a_load_meets_is_repaired(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 53, NODES);
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    uint32_t away = (leader + 1) % NODES;
    c.member[leader].node->raft->cfg.max_cached_bytes = 64 * 1024; /* the rest is on the disk */
    member_kill(&c, away, false);
    for (int i = 0; i < LARGE_PUTS; i++) {
        put_filler(&c);
    }
    cluster3_run(&c, NANOS_PER_S);
    cluster3_unwatch(&c); /* it takes the damage of a running disk for none */
    assert_true(spoil_bodies(&c, leader) > LARGE_PUTS);
    member_start(&c, away);
    cluster3_run(&c, 20 * NANOS_PER_S);
    uint32_t next = cluster3_elect(&c);
    assert_true(node_applied(c.member[away].node) >= node_applied(c.member[next].node));
    assert_false(node_status(c.member[leader].node).impaired);
    cluster3_deinit(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_update_larger_than_a_segment_is_written_in_parts),
        cmocka_unit_test(damage_that_a_load_meets_is_repaired),
        cmocka_unit_test(repairs_larger_than_a_segment_are_written_in_shares),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
