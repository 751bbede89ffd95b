/* What a node does with the pieces of a snapshot that Raft asks it to write. */
#include "core/node/node_int.h"

#include "tests/support/node_cluster.h"
#include "tests/support/test.h"

/* As Raft does when it begins to fetch. */
static void ask_to_open(struct node *n, raft_index index)
{
    struct raft_chunk chunk = {.snapshot = index, .snapshot_term = 1};
    struct raft_update update = {.chunk_writes = &chunk, .chunk_write_count = 1};
    node_receive_chunks(n, &update);
}

/* Raft asks once for each, and waits for the answer. */
static void the_last_snapshot_that_was_asked_for_is_opened_behind_a_busy_one(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 81, NODES);
    cluster3_start(&c);
    cluster3_put(&c, cluster3_elect(&c), "answer", value_of(42));
    struct node *n = c.member[0].node;
    for (raft_index index = 1005; index < 1008; index++) {
        ask_to_open(n, index);
        assert_true(n->install_busy);
    }
    cluster3_run(&c, NANOS_PER_S);
    assert_int_equal(n->install_index, 1007);
    assert_false(n->install_busy);
    assert_non_null(n->installer);
    ask_to_open(n, 1008);
    cluster3_run(&c, NANOS_PER_S);
    assert_int_equal(n->install_index, 1008);
    assert_false(n->install_busy);
    cluster3_deinit(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_snapshot_that_was_asked_for_is_opened_behind_a_busy_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
