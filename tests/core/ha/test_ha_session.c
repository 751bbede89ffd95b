/* Machines on hosts that do not vote: whole clusters on simulated hosts. */
#include <string.h>

#include "tests/support/ha_cluster.h"
#include "tests/support/test.h"

/* The first host that does not vote. */
static struct ha_box *agent_box(struct ha_cluster *c, uint32_t k)
{
    return &c->box[c->voters + k];
}

/* Three voters and so many others; a machine runs on the first of these. */
static struct ha_box *agents_with(struct ha_cluster *c, uint64_t seed, uint32_t agents,
                                  const char *name)
{
    ha_cluster_init_agents(c, seed, 3, agents, WORLD_WATCHDOG_READY);
    ha_cluster_start(c, true);
    struct ha_box *b = agent_box(c, 0);
    const struct ha_vm vm = ha_cluster_vm_at(c, name, b);
    ha_cluster_run_vm(c, &vm, b);
    assert_string_equal(ha_cluster_lives_on(c, name), b->name);
    return b;
}

static nanos lease_left(const struct ha_box *b)
{
    struct ha_agent_status status;

    ha_agent_status(ha_member_agent(b->member), &status);
    return status.lease_left;
}

/* Its voter, by the name that the session has. */
static struct ha_box *voter_of(struct ha_cluster *c, const struct ha_box *b)
{
    struct ha_box *voter = ha_cluster_box(c, ha_box_session(b).voter);

    assert_non_null(voter);
    return voter;
}

static void machine_runs_on_a_host_that_does_not_vote(void **state)
{
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = agents_with(&c, 1, 2, "web");
    assert_true(ha_box_session(b).is_served);
    assert_int_equal(ha_box_session(b).beginnings, 1);
    struct ha_vm vm = *ha_view_vm(ha_cluster_view(&c), "web");
    vm.is_wanted = false;
    HA_APPLY(&c, &vm);
    assert_true(ha_cluster_wait_vm(&c, "web", HA_STOPPED, NULL, 20 * NANOS_PER_S));
    assert_null(ha_cluster_lives_on(&c, "web"));
    ha_cluster_delete(&c, HA_VM, "web");
    ha_cluster_run(&c, 2 * NANOS_PER_S);
    assert_null(ha_cluster_owner(&c, "web"));
    assert_int_equal(ha_view_count(ha_cluster_view(&c), HA_REPORT), 0);
    ha_cluster_deinit(&c);
}

static void its_power_is_lost_and_the_machine_runs_elsewhere(void **state)
{
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = agents_with(&c, 2, 1, "web");
    b->stays_down = true;
    c.is_loud = true;
    ha_box_power_off(b);
    assert_true(ha_cluster_wait_fate(&c, b->name, HA_HOST_GONE, 20 * NANOS_PER_S));
    assert_int_equal(ha_cluster_fate(&c, b->name)->proof, HA_PROOF_FENCED);
    assert_true(ha_cluster_wait_vm(&c, "web", HA_RUNNING, NULL, 10 * NANOS_PER_S));
    assert_string_not_equal(ha_cluster_owner(&c, "web")->host, b->name);
    assert_int_equal(ha_cluster_starts(&c, "web"), 2);

    /* It comes back, and gets nothing stale. */
    b->stays_down = false;
    simhost_switch_on(b->host);
    assert_true(ha_cluster_wait_fate(&c, b->name, HA_HOST_UP, 40 * NANOS_PER_S));
    ha_cluster_run(&c, 5 * NANOS_PER_S);
    assert_true(lease_left(b) > 0);
    assert_int_equal(ha_cluster_starts(&c, "web"), 2);
    ha_cluster_deinit(&c);
}

/* Whoever serves it loses its power: within the lease another does, and no machine stops. */
static void voter_dies_and_no_machine_stops(void **state)
{
    (void)state;
    for (uint64_t seed = 10; seed < 18; seed++) {
        struct ha_cluster c;
        struct ha_box *b = agents_with(&c, seed, 1, "web");
        struct ha_box *voter = voter_of(&c, b);
        struct ha_agent_status before;
        const nanos lease = (nanos)ha_view_settings(ha_cluster_view(&c))->lease_ms * NANOS_PER_MS;
        nanos least = lease;
        ha_agent_status(ha_member_agent(b->member), &before);
        voter->stays_down = true;
        ha_box_power_off(voter);
        for (uint32_t i = 0; i < 1000; i++) {
            ha_cluster_run(&c, 10 * NANOS_PER_MS);
            least = u64_min(least, lease_left(b));
        }
        print_message("# seed %llu: of %llu ms of lease at least %llu ms were left\n",
                      (unsigned long long)seed, (unsigned long long)(lease / NANOS_PER_MS),
                      (unsigned long long)(least / NANOS_PER_MS));
        assert_true(least > lease / HA_STOP_SHARE); /* else its ordered stop would begin */
        assert_true(ha_box_session(b).is_served);
        assert_ptr_not_equal(voter_of(&c, b), voter);
        assert_int_equal(ha_box_session(b).beginnings, 1); /* it went on where it was */
        assert_string_equal(ha_cluster_lives_on(&c, "web"), b->name);
        assert_int_equal(ha_cluster_starts(&c, "web"), 1);
        ha_cluster_deinit(&c);
    }
}

/* Its voter is cut off from the other two, and still answers: that is no use. */
static void voter_without_a_leader_is_left(void **state)
{
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = agents_with(&c, 20, 1, "web");
    struct ha_box *voter = voter_of(&c, b);
    c.is_loud = true;
    for (uint32_t i = 0; i < c.voters; i++) {
        if (&c.box[i] != voter) {
            simnet_cut(voter->host, c.box[i].host, true);
            simnet_cut(c.box[i].host, voter->host, true);
        }
    }
    voter->is_unheard = true;
    ha_cluster_run(&c, 10 * NANOS_PER_S);
    assert_ptr_not_equal(voter_of(&c, b), voter);
    assert_true(lease_left(b) > 0);
    assert_string_equal(ha_cluster_lives_on(&c, "web"), b->name);
    assert_int_equal(ha_cluster_starts(&c, "web"), 1);
    ha_cluster_deinit(&c);
}

/* The link to the leader that serves it is cut, and neither end is told: answers must go the way
 * that renewals come, and not into the stream that nobody reads any more. */
static void link_to_the_leader_is_lost_without_a_word(void **state)
{
    uint32_t seen = 0;
    (void)state;
    for (uint64_t seed = 40; seed < 52; seed++) {
        struct ha_cluster c;
        struct ha_box *b = agents_with(&c, seed, 1, "web");
        struct ha_box *voter = voter_of(&c, b);
        const nanos lease = (nanos)ha_view_settings(ha_cluster_view(&c))->lease_ms * NANOS_PER_MS;
        nanos least = lease;
        if (voter == ha_cluster_leader(&c)) {
            seen++;
            simnet_cut(voter->host, b->host, true);
            simnet_cut(b->host, voter->host, true);
            for (uint32_t i = 0; i < 1200; i++) {
                ha_cluster_run(&c, 10 * NANOS_PER_MS);
                least = u64_min(least, lease_left(b));
            }
            assert_true(least > lease / HA_STOP_SHARE);
            assert_int_equal(ha_box_session(b).losses, 1);
            assert_int_equal(ha_cluster_starts(&c, "web"), 1);
        }
        ha_cluster_deinit(&c);
    }
    assert_true(seen > 1);
}

/* The daemon of the host alone dies: it comes back within its lease, and finds its machine. */
static void its_daemon_restarts_and_adopts(void **state)
{
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = agents_with(&c, 21, 1, "web");
    ha_box_kill(b);
    ha_cluster_run(&c, 300 * NANOS_PER_MS);
    ha_box_start(b);
    ha_cluster_run(&c, 10 * NANOS_PER_S);
    assert_string_equal(ha_cluster_lives_on(&c, "web"), b->name);
    assert_int_equal(ha_cluster_starts(&c, "web"), 1);
    assert_true(lease_left(b) > 0);
    ha_cluster_deinit(&c);
}

static void partitioned_host_ends_its_machines_in_time(void **state)
{
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = agents_with(&c, 22, 1, "web");
    ha_cluster_delete(&c, HA_DEVICE, b->name); /* time alone can prove it */
    ha_box_isolate(b, true);
    assert_true(ha_cluster_wait_fate(&c, b->name, HA_HOST_GONE, 60 * NANOS_PER_S));
    assert_int_equal(ha_cluster_fate(&c, b->name)->proof, HA_PROOF_EXPIRED);
    assert_true(ha_cluster_wait_vm(&c, "web", HA_RUNNING, NULL, 20 * NANOS_PER_S));
    assert_string_not_equal(ha_cluster_lives_on(&c, "web"), b->name);
    ha_box_isolate(b, false);
    assert_true(ha_cluster_wait_fate(&c, b->name, HA_HOST_UP, 40 * NANOS_PER_S));
    ha_cluster_deinit(&c);
}

/* All voters are gone for long; the host ends its machine by itself, and takes part again. */
static void quorum_is_lost_and_comes_back(void **state)
{
    struct ha_cluster c;
    (void)state;
    (void)agents_with(&c, 23, 1, "web");
    c.has_health = false;
    for (uint32_t i = 0; i < c.voters; i++) {
        ha_box_kill(&c.box[i]);
    }
    ha_cluster_run(&c, 30 * NANOS_PER_S);
    assert_null(ha_cluster_lives_on(&c, "web"));
    for (uint32_t i = 0; i < c.voters; i++) {
        ha_box_start(&c.box[i]);
    }
    for (uint32_t i = 0; i < 60 && ha_cluster_lives_on(&c, "web") == NULL; i++) {
        ha_cluster_run(&c, NANOS_PER_S);
    }
    assert_non_null(ha_cluster_lives_on(&c, "web"));
    ha_cluster_deinit(&c);
}

/* Secrets of fence devices, incidents and events stay with the members. */
static void agent_is_told_what_it_needs_and_no_more(void **state)
{
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = agents_with(&c, 24, 1, "web");
    ha_cluster_run(&c, NANOS_PER_S);
    const struct ha_view *own = ha_member_view(b->member);
    const struct ha_view *all = ha_cluster_view(&c);
    static const enum ha_kind told[] = {HA_VM,    HA_HOST,  HA_STORAGE, HA_SETTINGS,
                                        HA_OWNER, HA_AGENT, HA_REPORT};
    for (size_t i = 0; i < COUNT_OF(told); i++) {
        assert_int_equal(ha_view_count(own, told[i]), ha_view_count(all, told[i]));
    }
    assert_int_equal(own->revision, all->revision);
    assert_true(ha_view_count(all, HA_DEVICE) > 0);
    assert_int_equal(ha_view_count(own, HA_DEVICE), 0);
    assert_int_equal(ha_view_count(own, HA_EVENT), 0);
    ha_cluster_deinit(&c);
}

/* Another voter tells it, and its lease, its machine and what it is told from then on go on. */
static void agent_that_asks_for_everything_is_told_it(void **state)
{
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = agents_with(&c, 26, 1, "web");
    ha_cluster_run(&c, NANOS_PER_S);
    const uint64_t before = ha_box_session(b).beginnings;
    const struct ha_store *store = ha_session_store(b->session);
    store->ops->anew(store->self);
    ha_cluster_run(&c, 3 * NANOS_PER_S);
    assert_int_equal(ha_box_session(b).beginnings, before + 1);
    assert_int_equal(ha_member_view(b->member)->revision, ha_cluster_view(&c)->revision);
    assert_true(lease_left(b) > 0);
    assert_string_equal(ha_cluster_lives_on(&c, "web"), b->name);
    ha_cluster_deinit(&c);
}

/* A host whose record is deleted is served no longer; declared again, it is. */
static void host_that_is_not_declared_is_sent_away(void **state)
{
    struct ha_cluster c;
    (void)state;
    ha_cluster_init_agents(&c, 25, 3, 1, WORLD_WATCHDOG_READY);
    ha_cluster_start(&c, true);
    struct ha_box *b = agent_box(&c, 0);
    struct ha_host host = *ha_view_host(ha_cluster_view(&c), b->name);
    ha_cluster_delete(&c, HA_HOST, b->name);
    ha_cluster_run(&c, 3 * NANOS_PER_S);
    assert_false(ha_box_session(b).is_served);
    assert_int_equal(ha_box_session(b).refusal, HA_FAREWELL_STRANGER);
    HA_APPLY(&c, &host);
    ha_cluster_run(&c, 3 * NANOS_PER_S);
    assert_true(ha_box_session(b).is_served);
    assert_true(lease_left(b) > 0);
    ha_cluster_deinit(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(machine_runs_on_a_host_that_does_not_vote),
        cmocka_unit_test(its_power_is_lost_and_the_machine_runs_elsewhere),
        cmocka_unit_test(voter_dies_and_no_machine_stops),
        cmocka_unit_test(voter_without_a_leader_is_left),
        cmocka_unit_test(link_to_the_leader_is_lost_without_a_word),
        cmocka_unit_test(its_daemon_restarts_and_adopts),
        cmocka_unit_test(partitioned_host_ends_its_machines_in_time),
        cmocka_unit_test(quorum_is_lost_and_comes_back),
        cmocka_unit_test(agent_is_told_what_it_needs_and_no_more),
        cmocka_unit_test(agent_that_asks_for_everything_is_told_it),
        cmocka_unit_test(host_that_is_not_declared_is_sent_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
