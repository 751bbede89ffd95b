/* What a node makes of the time that its host slept. */
#include "tests/support/node_cluster.h"

#include "core/node/node_int.h"
#include "tests/support/test.h"

/* Shorter than any timeout of Raft's, so that the lateness of a tick tells nothing. */
#define NAP (200 * NANOS_PER_MS)

enum absence { ABSENCE_SLEEP, ABSENCE_STEP, ABSENCE_PAUSE, ABSENCE_DRIFT };

/* Does the leader lead on, in its term, when its host was away like that for a nap? */
static bool leads_on(enum absence how)
{
    struct cluster3 c;
    cluster3_init(&c, 51, NODES);
    cluster3_start(&c);
    uint32_t leader = cluster3_elect(&c);
    cluster3_put(&c, leader, "answer", value_of(42));
    cluster3_run(&c, NANOS_PER_S);
    struct simhost *host = c.member[leader].host;
    raft_term term = node_status(c.member[leader].node).term;
    nanos until = simworld_now(c.sim) + NAP;
    assert_true(NAP < c.member[leader].node->cfg.raft.election_timeout / 2);
    switch (how) {
    case ABSENCE_SLEEP:
        simhost_suspend(host, until);
        break;
    case ABSENCE_STEP:
        simhost_clock_step(host, NAP);
        break;
    case ABSENCE_PAUSE:
        simhost_pause(host, until);
        break;
    case ABSENCE_DRIFT:
        simhost_clock_drift(host, 100000);
        break;
    }
    cluster3_run(&c, NAP + c.member[leader].node->cfg.raft.heartbeat_interval);
    bool leads =
        cluster3_leader(&c) == (int)leader && node_status(c.member[leader].node).term == term;
    uint32_t next = cluster3_elect(&c);
    assert_true(cluster3_get(&c, next, "answer", value_of(42)));
    cluster3_deinit(&c);
    return leads;
}

static void a_leader_whose_host_slept_leads_no_longer(void **state)
{
    (void)state;
    assert_false(leads_on(ABSENCE_SLEEP));
    assert_false(leads_on(ABSENCE_STEP));
}

static void a_leader_that_stood_still_for_a_moment_leads_on(void **state)
{
    (void)state;
    assert_true(leads_on(ABSENCE_PAUSE));
    assert_true(leads_on(ABSENCE_DRIFT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_leader_whose_host_slept_leads_no_longer),
        cmocka_unit_test(a_leader_that_stood_still_for_a_moment_leads_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
