/* Whole nodes that fetch snapshots: what the node does with what the core asks for. */
#include <string.h>

#include "core/chaos/simdisk.h"
#include "core/node/node_int.h"
#include "tests/support/node_cluster.h"
#include "tests/support/test.h"

/* While a piece of one snapshot is on its way to the disk, the core asks for another one. */
static void a_snapshot_that_is_asked_for_while_another_is_written_is_opened(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 33, NODES);
    cluster3_start(&c);
    cluster3_elect(&c);
    struct node *n = c.member[0].node;
    struct raft_chunk chunks[] = {{.snapshot = 1000, .snapshot_term = 1},
                                  {.snapshot = 2000, .snapshot_term = 1}};
    const struct raft_update both = {.chunk_writes = chunks, .chunk_write_count = COUNT_OF(chunks)};
    node_receive_chunks(n, &both);
    assert_true(n->install_busy);
    cluster3_run(&c, NANOS_PER_S);
    assert_false(n->install_busy);
    assert_non_null(n->installer);
    assert_int_equal(n->install_index, 2000);
    cluster3_deinit(&c);
}

static unsigned spoil_snapshots(struct cluster3 *c, uint32_t i)
{
    struct simdisk *disk = simhost_disk(c->member[i].host);
    unsigned spoiled = 0;
    const char *name;
    for (size_t k = 0; (name = simdisk_name(disk, k)) != NULL; k++) {
        uint64_t size;
        if (strstr(name, ".snap") && simdisk_size(disk, name, &size) == OK) {
            assert_int_equal(simdisk_flip(disk, name, size / 2, 1), OK);
            spoiled++;
        }
    }
    return spoiled;
}

/* Nobody scrubs, and every snapshot that there is has gone bad. Who fetches one notices. */
static void fetches_what_went_bad(uint32_t chunk_bytes)
{
    struct cluster3 c;
    cluster3_init(&c, 34, NODES);
    c.chunk_bytes = chunk_bytes;
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    cluster3_put(&c, leader, "answer", value_of(42));
    cluster3_run(&c, NANOS_PER_S);
    uint32_t lost = (leader + 1) % NODES;
    member_lose_disk(&c, lost);
    cluster3_unwatch(&c); /* it takes the damage of a running disk for none */
    for (uint32_t i = 0; i < NODES; i++) {
        assert_int_equal(spoil_snapshots(&c, i), i == lost ? 0 : 1);
    }
    member_start(&c, lost);
    cluster3_run(&c, 20 * NANOS_PER_S);
    assert_false(node_status(c.member[lost].node).impaired);
    assert_true(cluster3_get(&c, lost, "answer", value_of(42)));
    cluster3_deinit(&c);
}

static void a_snapshot_that_is_fetched_and_refused_is_written_anew(void **state)
{
    (void)state;
    fetches_what_went_bad(256 * 1024); /* in one piece ... */
    fetches_what_went_bad(1024);       /* ... and refused before the last one */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_that_is_asked_for_while_another_is_written_is_opened),
        cmocka_unit_test(a_snapshot_that_is_fetched_and_refused_is_written_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
