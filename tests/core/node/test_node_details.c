/* What Raft tells of its inside, for debug pages: it is what happens to it. */
#include <stdio.h>

#include "core/chaos/simnet.h"
#include "core/node/node_int.h"
#include "tests/support/node_cluster.h"
#include "tests/support/test.h"

static struct raft_details details_of(const struct cluster3 *c, uint32_t i)
{
    struct raft_details r;
    node_raft_details(c->member[i].node, &r);
    return r;
}

static void tells_who_leads_since_when_and_who_hears_it(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 61, NODES);
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    cluster3_run(&c, 2 * NANOS_PER_S);
    nanos now = world_now(c.member[leader].node->world);
    struct raft_details r = details_of(&c, leader);
    assert_true(r.lead_since > 0 && now - r.lead_since >= 2 * NANOS_PER_S);
    r = details_of(&c, (leader + 1) % NODES);
    assert_true(r.lead_since == 0);
    now = world_now(c.member[(leader + 1) % NODES].node->world);
    assert_true(now - r.leader_heard < NANOS_PER_S);
    assert_true(r.election_after >= NANOS_PER_S && r.election_after <= 4 * NANOS_PER_S);
    assert_false(r.rule_applies || r.fetching || r.lost_vote || r.leader_suspected);
    member_kill(&c, leader, false);
    cluster3_run(&c, 10 * NANOS_PER_MS);
    assert_true(details_of(&c, (leader + 1) % NODES).leader_suspected);
    cluster3_deinit(&c);
}

static void tells_what_waits_for_a_quorum(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 62, NODES);
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    cluster3_run(&c, NANOS_PER_S);
    for (uint32_t i = 0; i < NODES; i++) {
        if (i != leader) {
            member_kill(&c, i, false);
        }
    }
    struct put p;
    put_begin(&p, c.member[leader].node, "a", value_of(1));
    cluster3_run(&c, 300 * NANOS_PER_MS);
    struct raft_status s = node_status(c.member[leader].node);
    struct raft_details r = details_of(&c, leader);
    assert_true(s.last > s.committed && r.batches == 0); /* the disk has it, the others have not */
    put_wait(&c, &p);
    cluster3_deinit(&c);
}

static void tells_of_the_in_sync_set_of_a_group_with_a_witness(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 63, NODES);
    for (uint32_t i = 0; i < NODES; i++) {
        c.founders.member[i].roles |= i == 2 ? RAFT_WITNESS : RAFT_IN_SYNC;
    }
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    cluster3_put(&c, leader, "a", value_of(1));
    struct raft_details r = details_of(&c, leader);
    assert_true(r.rule_applies);
    assert_int_equal(r.in_sync_count, 2);
    uint32_t other = 1 - leader;
    member_kill(&c, other, false);
    cluster3_put(&c, leader, "a", value_of(2));
    r = details_of(&c, leader);
    assert_int_equal(r.in_sync_count, 1);
    assert_true(r.in_sync[0] == c.member[leader].node->cfg.id);
    cluster3_deinit(&c);
}

/* A new disk: it is told as lost, and a snapshot is fetched. */
static void tells_of_a_lost_disk_and_the_snapshot_that_fills_it(void **state)
{
    (void)state;
    struct cluster3 c;
    cluster3_init(&c, 64, NODES);
    c.snapshot_entries = 20;
    c.chunk_bytes = 512;
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    for (uint64_t i = 0; i < 100; i++) {
        char key[KEY_BYTES];
        (void)snprintf(key, sizeof key, "key-%u", (unsigned)i);
        cluster3_put(&c, leader, key, value_of(i));
    }
    uint32_t lost = (leader + 1) % NODES;
    member_lose_disk(&c, lost);
    member_start(&c, lost);
    bool was_lost = false;
    bool was_fetching = false;
    for (int i = 0; i < 100000 && !(was_lost && was_fetching); i++) {
        if (!cluster3_step(&c)) {
            break;
        }
        if (c.member[lost].node != NULL && node_is_ready(c.member[lost].node)) {
            struct raft_details r = details_of(&c, lost);
            was_lost = was_lost || (r.lost_vote && r.lost_from > 0);
            was_fetching = was_fetching || (r.fetching && r.fetch_size > 0 && r.fetch_index > 1 &&
                                            r.fetch_source != NODE_NONE &&
                                            node_figures(c.member[lost].node).is_installing);
        }
    }
    assert_true(was_lost);
    assert_true(was_fetching);
    cluster3_run(&c, 10 * NANOS_PER_S);
    struct raft_details r = details_of(&c, lost);
    assert_false(r.lost_vote || r.fetching);
    assert_int_equal(r.lost_from, 0);
    cluster3_deinit(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_who_leads_since_when_and_who_hears_it),
        cmocka_unit_test(tells_what_waits_for_a_quorum),
        cmocka_unit_test(tells_of_the_in_sync_set_of_a_group_with_a_witness),
        cmocka_unit_test(tells_of_a_lost_disk_and_the_snapshot_that_fills_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
