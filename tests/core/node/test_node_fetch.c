/* Whole nodes that fetch snapshots: what the node does with what the core asks for. */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_that_is_asked_for_while_another_is_written_is_opened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
