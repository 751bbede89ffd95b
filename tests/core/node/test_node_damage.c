/* A whole node whose log or snapshots are short of room, or lost something: what the simulator
 * found, as small as it gets. */
#include "core/base/mem.h"
#include "core/node/node_int.h"
#include "tests/support/node_cluster.h"
#include "tests/support/test.h"

#define PUTS 4000

/* All of it is one update of Raft's, and more than a segment of the log takes. */
static void an_update_larger_than_a_segment_is_written_in_parts(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 47, 1);
    c.is_log_small = true;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_update_larger_than_a_segment_is_written_in_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
