/* Streams between nodes when hosts vanish without a word. */
#include <string.h>

#include "core/node/node_int.h"
#include "tests/support/node_cluster.h"
#include "tests/support/test.h"

static size_t incoming_streams(const struct node *n)
{
    size_t count = 0;
    for (size_t i = 0; i < NODE_INCOMING_MAX; i++) {
        count += n->incoming[i].stream != NULL;
    }
    return count;
}

/* Nobody tells a node that the streams which a peer opened before its power was cut are over, and
 * it never sends on them: only the peer's next hello does. */
static void the_streams_of_a_peers_earlier_life_make_way_for_its_new_ones(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 61, NODES);
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    uint32_t cut = (leader + 1) % NODES;
    uint32_t other = (leader + 2) % NODES;
    for (int i = 0; i < 5; i++) {
        member_kill(&c, cut, true);
        cluster3_run(&c, 100 * NANOS_PER_MS);
        member_start(&c, cut);
        cluster3_run(&c, 5 * NANOS_PER_S);
        assert_int_equal(incoming_streams(c.member[leader].node), 2 * (NODES - 1));
        assert_int_equal(incoming_streams(c.member[other].node), 2 * (NODES - 1));
    }
    leader = cluster3_elect(&c);
    cluster3_put(&c, leader, "answer", value_of(42));
    assert_true(cluster3_get(&c, cut, "answer", value_of(42)));
    cluster3_deinit(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_streams_of_a_peers_earlier_life_make_way_for_its_new_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
