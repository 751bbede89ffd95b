/* The feature level of a group rises by itself when the last member is upgraded, and not before. */
#include "core/node/node_int.h"
#include "tests/support/node_cluster.h"
#include "tests/support/test.h"

#define OLD 1
#define NEW 2

static void founded_by_old_programs(struct cluster3 *c, uint64_t seed)
{
    cluster3_init(c, seed, NODES);
    c->feature_level = OLD;
    for (uint32_t i = 0; i < NODES; i++) {
        c->member[i].program_level = OLD;
    }
    cluster3_start(c);
    cluster3_put(c, cluster3_elect(c), "answer", value_of(42));
}

static void member_upgrade(struct cluster3 *c, uint32_t i)
{
    member_kill(c, i, false);
    c->member[i].program_level = NEW;
    member_start(c, i);
    cluster3_run(c, 10 * NANOS_PER_S);
}

static void assert_level(const struct cluster3 *c, uint16_t level)
{
    for (uint32_t i = 0; i < NODES; i++) {
        assert_int_equal(store_feature_level(node_store(c->member[i].node)), level);
    }
}

static void rises_with_the_last_member_that_is_upgraded(void **state)
{
    (void)state;
    struct cluster3 c;
    founded_by_old_programs(&c, 81);
    for (uint32_t i = 0; i < NODES; i++) {
        cluster3_run(&c, 5 * NANOS_PER_S);
        assert_level(&c, OLD);
        member_upgrade(&c, i);
    }
    assert_level(&c, NEW);
    assert_true(cluster3_get(&c, cluster3_elect(&c), "answer", value_of(42)));
    cluster3_deinit(&c);
}

/* Who is away has not said what its program knows since the leader began. */
static void waits_for_who_is_away(void **state)
{
    (void)state;
    struct cluster3 c;
    founded_by_old_programs(&c, 82);
    member_kill(&c, 2, false);
    member_upgrade(&c, 0);
    member_upgrade(&c, 1);
    cluster3_run(&c, 30 * NANOS_PER_S);
    assert_int_equal(store_feature_level(node_store(c.member[0].node)), OLD);
    member_start(&c, 2); /* as old as it was */
    cluster3_run(&c, 10 * NANOS_PER_S);
    assert_level(&c, OLD);
    member_upgrade(&c, 2);
    assert_level(&c, NEW);
    cluster3_deinit(&c);
}

/* Until the level has risen every step can be taken back; afterwards an old program is refused. */
static void an_old_program_is_refused_once_it_has_risen(void **state)
{
    (void)state;
    struct cluster3 c;
    founded_by_old_programs(&c, 83);
    for (uint32_t i = 0; i < NODES; i++) {
        member_upgrade(&c, i);
    }
    assert_level(&c, NEW);
    uint32_t leader = cluster3_elect(&c);
    uint32_t other = (leader + 1) % NODES;
    member_kill(&c, other, false);
    c.member[other].program_level = OLD;
    member_start(&c, other);
    cluster3_run(&c, 5 * NANOS_PER_S);
    assert_string_equal(c.member[other].refused_why, node_refusal_told_text(NODE_REFUSAL_LEVEL));
    cluster3_put(&c, leader, "later", value_of(43));
    member_upgrade(&c, other);
    assert_true(cluster3_get(&c, other, "later", value_of(43)));
    cluster3_deinit(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rises_with_the_last_member_that_is_upgraded),
        cmocka_unit_test(waits_for_who_is_away),
        cmocka_unit_test(an_old_program_is_refused_once_it_has_risen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
