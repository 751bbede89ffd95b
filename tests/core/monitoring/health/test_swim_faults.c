/* The scenarios of failures of hosts and of the network, with what is shipped. */
#include "core/monitoring/health/swim.h"

#include "tests/core/monitoring/health/swim_net.h"
#include "tests/support/test.h"

#include <string.h>

struct seen {
    uint32_t deaths;       /* of hosts that are up and not anomalous */
    uint32_t judged_by[8]; /* deaths that one of the first hosts originated */
    uint32_t displaced;
};

static struct seen seen;

static void see_changes(struct swim_net *net, uint32_t host, const struct swim_change *change)
{
    uint32_t of = (uint32_t)change->id - 1;

    seen.displaced += change->kind == SWIM_DISPLACED ? 1 : 0;
    if (change->kind != SWIM_DIED) {
        return;
    }
    if (change->originated && host < COUNT_OF(seen.judged_by)) {
        seen.judged_by[host]++;
    }
    if (of < net->n && net->hosts[of].is_up && !net->hosts[of].is_anomalous) {
        seen.deaths++;
    }
}

static void open_shipped(struct swim_net *net, uint32_t n, uint64_t seed)
{
    struct swim_config config = {.members_max = 0};

    memset(&seen, 0, sizeof(seen));
    swim_config_shipped(&config);
    swim_net_open(net, n, &config, seed, true);
    net->changed = see_changes;
    swim_net_run(net, 10 * NANOS_PER_S);
}

static void scenario_1_crashes_of_one_of_ten_and_of_a_rack(void **state)
{
    (void)state;
    const uint32_t crashes[] = {1, 10, 32};

    for (size_t i = 0; i < COUNT_OF(crashes); i++) {
        struct swim_net net;

        open_shipped(&net, 128, 11 + i);
        for (uint32_t k = 0; k < crashes[i]; k++) {
            swim_net_crash(&net, k);
        }
        assert_true(swim_net_run_until(&net, 30 * NANOS_PER_S, swim_net_is_settled));
        assert_int_equal(seen.deaths, 0);
        swim_net_close(&net);
    }
}

static void scenario_1_crash_of_a_host_with_all_its_observers(void **state)
{
    (void)state;
    struct swim_net net;
    node_id observers[SWIM_OBSERVERS_MAX];
    uint32_t n = 0;

    open_shipped(&net, 100, 21);
    for (uint32_t i = 0; i < net.hosts[42].swim.n_edges; i++) {
        observers[n++] = net.hosts[42].swim.edges[i].peer;
    }
    assert_true(n >= 7);
    swim_net_crash(&net, 42);
    for (uint32_t i = 0; i < n; i++) {
        swim_net_crash(&net, (uint32_t)observers[i] - 1);
    }
    assert_true(swim_net_run_until(&net, 30 * NANOS_PER_S, swim_net_is_settled));
    assert_int_equal(seen.deaths, 0);
    swim_net_close(&net);
}

static void scenario_2_mass_restart_and_rolling_restart(void **state)
{
    (void)state;
    struct swim_net net;

    open_shipped(&net, 24, 31);
    for (uint32_t i = 0; i < net.n; i++) {
        swim_net_restart(&net, i, false);
        swim_net_join(&net, i, (i + 1) % net.n);
        swim_net_run(&net, 40 * NANOS_PER_MS);
    }
    for (uint32_t i = 0; i < net.n; i++) {
        swim_net_join(&net, i, 0);
    }
    assert_true(swim_net_run_until(&net, 20 * NANOS_PER_S, swim_net_is_settled));
    for (uint32_t i = 0; i < net.n; i++) {
        swim_net_restart(&net, i, false);
        swim_net_join(&net, i, (i + 1) % net.n);
        swim_net_run(&net, 3 * NANOS_PER_S);
    }
    assert_true(swim_net_run_until(&net, 20 * NANOS_PER_S, swim_net_is_settled));
    assert_int_equal(seen.deaths, 0);
    swim_net_close(&net);
}

static bool second_has_the_address(struct swim_net *net)
{
    return swim_net_count(net, 2, SWIM_ALIVE) == net->n - 1 &&
           swim_find(&net->hosts[0].swim, 3)->at.port == net->hosts[2].at.port;
}

/* Scenarios 3 and 4: the address changes, as it does when a name resolves anew, or when another
 * host takes a dead one's place under its name. */
static void scenario_4_a_dead_hosts_name_is_used_again_elsewhere(void **state)
{
    (void)state;
    struct swim_net net;

    open_shipped(&net, 12, 41);
    swim_net_crash(&net, 2);
    assert_true(swim_net_run_until(&net, 5 * NANOS_PER_S, swim_net_is_settled));
    swim_net_restart(&net, 2, true);
    swim_net_join(&net, 2, 7);
    assert_true(swim_net_run_until(&net, NANOS_PER_S, second_has_the_address));
    swim_net_run(&net, 60 * NANOS_PER_S);
    assert_true(second_has_the_address(&net));
    assert_int_equal(seen.deaths, 0);
    swim_net_close(&net);
}

/* Host 5 is a copy with the id of host 2: a snapshot that was restored, say. */
static void scenario_3_of_two_claimants_the_younger_stays(void **state)
{
    (void)state;
    struct swim_net net;
    struct swim_config config;
    struct swim_host *copy = NULL;
    struct seal_cipher cipher = {NULL, &seal_stand_in};

    open_shipped(&net, 6, 51);
    copy = &net.hosts[5];
    swim_net_crash(&net, 5);
    swim_net_run(&net, 5 * NANOS_PER_S);
    config = net.config;
    config.self = 3;
    config.instance = 77;
    config.seed = 1;
    config.at = copy->at;
    swim_init(&copy->swim, &config, &cipher, &net.ring, net.now);
    copy->is_up = true;
    copy->timer_at = net.now;
    swim_net_join(&net, 5, 0);
    swim_net_run(&net, 5 * NANOS_PER_S);
    assert_int_equal(seen.displaced, 1);
    assert_true(net.hosts[2].swim.is_displaced);
    assert_false(copy->swim.is_displaced);
    for (uint32_t i = 0; i < 5; i++) {
        const struct swim_member *m = swim_find(&net.hosts[i].swim, 3);

        assert_true(i == 2 || (m->state == SWIM_ALIVE && strcmp(m->at.host, "h5") == 0));
    }
    swim_net_close(&net);
}

/* A stall stops timers as well. On waking it must not judge those whom it did not hear. */
static void scenario_5_a_stalled_host_judges_nobody_when_it_wakes(void **state)
{
    (void)state;
    const nanos stalls[] = {100 * NANOS_PER_MS, NANOS_PER_S, 5 * NANOS_PER_S, 30 * NANOS_PER_S,
                            300 * NANOS_PER_S};

    for (size_t i = 0; i < COUNT_OF(stalls); i++) {
        struct swim_net net;

        open_shipped(&net, 12, 61 + i);
        net.hosts[1].is_anomalous = true;
        swim_net_stall(&net, 1, stalls[i]);
        swim_net_run(&net, stalls[i]);
        assert_true(swim_net_run_until(&net, 20 * NANOS_PER_S, swim_net_is_settled));
        assert_int_equal(seen.judged_by[1], 0);
        assert_int_equal(seen.deaths, 0);
        swim_net_close(&net);
    }
}

/* The check that one host makes of another now, or NULL. */
static const struct swim_edge *check_of(const struct swim_net *net, uint32_t at, uint32_t of)
{
    const struct swim *s = &net->hosts[at].swim;

    for (uint32_t i = 0; i < s->n_edges; i++) {
        if (s->edges[i].peer == of + 1 && s->edges[i].stage == SWIM_EDGE_CHECKING) {
            return &s->edges[i];
        }
    }
    return NULL;
}

/* One ping of three was sent when its observer stood still, until after the check's deadline. The
 * second is sent when it wakes, and the third before it judges. */
static void scenario_5_a_check_that_a_stall_has_interrupted_sends_the_rest(void **state)
{
    (void)state;
    uint32_t interrupted = 0;

    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct swim_net net;
        const struct swim_edge *edge = NULL;

        open_shipped(&net, 3, seed);
        swim_net_crash(&net, 2);
        for (int i = 0; i < 5000 && edge == NULL; i++) {
            swim_net_run(&net, NANOS_PER_MS);
            edge = check_of(&net, 0, 2);
        }
        if (edge != NULL && edge->pings == 1) {
            const uint32_t check = edge->sequence;
            interrupted++;
            swim_net_stall(&net, 0, 2 * NANOS_PER_S);
            swim_net_run(&net, 2 * NANOS_PER_S + 500 * NANOS_PER_MS);
            edge = check_of(&net, 0, 2);
            assert_true(edge == NULL || edge->sequence != check || edge->pings > 2);
            swim_net_run(&net, 3 * NANOS_PER_S);
            assert_int_equal(swim_net_state(&net, 0, 2), SWIM_DEAD);
        }
        swim_net_close(&net);
    }
    assert_true(interrupted >= 5);
}

/* Hosts that get to run for a moment, and not for seconds: timers go on, datagrams wait. */
static void scenario_6_starved_hosts_condemn_no_healthy_one(void **state)
{
    (void)state;
    const nanos shut[] = {512 * NANOS_PER_MS, 2 * NANOS_PER_S, 8 * NANOS_PER_S};

    for (size_t i = 0; i < COUNT_OF(shut); i++) {
        struct swim_net net;

        open_shipped(&net, 64, 71 + i);
        for (uint32_t k = 0; k < 16; k++) {
            net.hosts[k * 4].is_anomalous = true;
        }
        net.shut_from = net.now;
        net.shut_span = shut[i];
        net.open_span = 16 * NANOS_PER_MS;
        swim_net_run(&net, 120 * NANOS_PER_S);
        assert_int_equal(seen.deaths, 0);
        swim_net_close(&net);
    }
}

/* Whatever the size, with streams and without, and from one moment to the next. */
static void scenario_8_loss_of_three_tenths_everywhere_kills_nobody(void **state)
{
    (void)state;
    const uint32_t sizes[] = {3, 16, 32};
    const uint32_t losses[] = {1, 10, 30};

    for (size_t i = 0; i < COUNT_OF(sizes) * COUNT_OF(losses) * 2; i++) {
        struct swim_net net;

        open_shipped(&net, sizes[i % COUNT_OF(sizes)], 81 + i);
        for (uint32_t k = 0; k < net.n; k++) {
            net.hosts[k].loss_in = losses[i / COUNT_OF(sizes) % COUNT_OF(losses)];
            net.hosts[k].tcp_blocked = i < COUNT_OF(sizes) * COUNT_OF(losses);
        }
        swim_net_run(&net, 120 * NANOS_PER_S);
        assert_int_equal(seen.deaths, 0);
        swim_net_close(&net);
    }
}

static void scenario_8_a_crash_is_found_where_three_tenths_are_lost(void **state)
{
    (void)state;
    const uint32_t sizes[] = {3, 5, 16, 48};

    for (size_t i = 0; i < COUNT_OF(sizes) * 2; i++) {
        struct swim_net net;

        open_shipped(&net, sizes[i % COUNT_OF(sizes)], 91 + i);
        for (uint32_t k = 0; k < net.n; k++) {
            net.hosts[k].loss_in = 30;
            net.hosts[k].tcp_blocked = i < COUNT_OF(sizes);
        }
        swim_net_run(&net, 60 * NANOS_PER_S);
        swim_net_crash(&net, 1);
        swim_net_run(&net, 20 * NANOS_PER_S);
        assert_int_equal(swim_net_count(&net, 1, SWIM_DEAD), net.n - 1);
        assert_int_equal(seen.deaths, 0);
        swim_net_close(&net);
    }
}

/* Loss at one host, of one direction: it may be condemned for it, all others never. */
static void scenario_8_a_lossy_host_condemns_nobody_else(void **state)
{
    (void)state;
    const uint32_t losses[] = {30, 80, 100};

    for (size_t i = 0; i < 2 * COUNT_OF(losses); i++) {
        struct swim_net net;

        open_shipped(&net, 32, 91 + i);
        net.hosts[5].is_anomalous = true;
        *(i % 2 == 0 ? &net.hosts[5].loss_in : &net.hosts[5].loss_out) = losses[i / 2];
        swim_net_run(&net, 200 * NANOS_PER_S);
        assert_int_equal(seen.deaths, 0);
        assert_int_equal(seen.judged_by[5], 0);
        if (losses[i / 2] == 100) {
            assert_int_equal(swim_net_count(&net, 5, SWIM_DEAD), net.n - 1);
        }
        swim_net_close(&net);
    }
}

static bool cut_between_0_and_1(struct swim_net *net, uint32_t from, uint32_t to)
{
    (void)net;
    return !((from == 0 && to == 1) || (from == 1 && to == 0));
}

static void scenario_10_who_sees_not_one_but_all_others_condemns_nobody(void **state)
{
    (void)state;
    for (uint32_t n = 3; n <= 9; n += 3) {
        struct swim_net net;

        open_shipped(&net, n, 101);
        net.passes = cut_between_0_and_1;
        swim_net_run(&net, 120 * NANOS_PER_S);
        assert_int_equal(seen.deaths, 0);
        assert_int_equal(swim_live_count(&net.hosts[0].swim), n);
        swim_net_close(&net);
    }
}

/* Two halves that do not hear each other, and one host, the bridge, which hears all. */
static bool bridged_by_0(struct swim_net *net, uint32_t from, uint32_t to)
{
    (void)net;
    return from == 0 || to == 0 || from % 2 == to % 2;
}

static void scenario_10_a_bridge_never_dies_and_all_is_well_afterwards(void **state)
{
    (void)state;
    struct swim_net net;

    open_shipped(&net, 21, 111);
    net.passes = bridged_by_0;
    swim_net_run(&net, 60 * NANOS_PER_S);
    for (uint32_t i = 1; i < net.n; i++) {
        assert_int_not_equal(swim_net_state(&net, i, 0), SWIM_DEAD);
    }
    net.passes = NULL;
    assert_true(swim_net_run_until(&net, 90 * NANOS_PER_S, swim_net_is_settled));
    swim_net_close(&net);
}

static bool flip_flop_into_4(struct swim_net *net, uint32_t from, uint32_t to)
{
    (void)from;
    return to != 4 || net->now / (20 * NANOS_PER_S) % 2 == 0;
}

static void scenario_10_a_host_that_hears_nothing_half_of_the_time_harms_only_itself(void **state)
{
    (void)state;
    struct swim_net net;

    open_shipped(&net, 40, 121);
    net.hosts[4].is_anomalous = true;
    net.passes = flip_flop_into_4;
    swim_net_run(&net, 300 * NANOS_PER_S);
    assert_int_equal(seen.deaths, 0);
    assert_int_equal(seen.judged_by[4], 0);
    swim_net_close(&net);
}

/* Small datagrams pass, large ones vanish: membership needs no large ones to stay. */
static void scenario_10_an_mtu_black_hole_kills_nobody(void **state)
{
    (void)state;
    struct swim_net net;

    open_shipped(&net, 32, 131);
    net.mtu = 400;
    swim_net_run(&net, 60 * NANOS_PER_S);
    swim_net_crash(&net, 9);
    swim_net_run(&net, 60 * NANOS_PER_S);
    assert_int_equal(seen.deaths, 0);
    assert_int_equal(swim_net_count(&net, 9, SWIM_DEAD), net.n - 1);
    swim_net_close(&net);
}

/* Streams are for joining; while they are blocked, and datagrams are not, nobody dies. */
static void scenario_10_blocked_streams_kill_nobody(void **state)
{
    (void)state;
    struct swim_net net;

    open_shipped(&net, 16, 141);
    for (uint32_t i = 0; i < net.n; i++) {
        net.hosts[i].tcp_blocked = true;
    }
    swim_net_run(&net, 60 * NANOS_PER_S);
    assert_int_equal(seen.deaths, 0);
    assert_true(swim_net_is_settled(&net));
    swim_net_close(&net);
}

static void scenario_11_an_even_split_and_an_isolated_host_heal(void **state)
{
    (void)state;
    for (uint32_t isolated = 0; isolated < 2; isolated++) {
        struct swim_net net;

        open_shipped(&net, 40, 151);
        for (uint32_t i = 0; i < net.n; i++) {
            net.hosts[i].group = isolated != 0 ? i == 0 : i % 2;
        }
        net.is_split = true;
        swim_net_run(&net, 60 * NANOS_PER_S);
        if (isolated != 0) {
            /* It cannot know, and does not claim to. */
            assert_int_equal(seen.judged_by[0], 0);
            assert_int_equal(swim_net_count(&net, 0, SWIM_DEAD), net.n - 1);
            for (uint32_t i = 0; i < net.hosts[0].swim.n_edges; i++) {
                assert_false(net.hosts[0].swim.edges[i].is_down);
            }
        }
        net.is_split = false;
        assert_true(swim_net_run_until(&net, 90 * NANOS_PER_S, swim_net_is_settled));
        swim_net_close(&net);
    }
}

static void scenario_16_one_two_three_four_and_a_thousand(void **state)
{
    (void)state;
    const uint32_t sizes[] = {1, 2, 3, 4, 1000};

    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct swim_net net;

        open_shipped(&net, sizes[i], 161 + i);
        assert_int_equal(seen.deaths, 0);
        swim_net_crash(&net, sizes[i] - 1);
        assert_true(swim_net_run_until(&net, 15 * NANOS_PER_S, swim_net_is_settled));
        assert_int_equal(seen.deaths, 0);
        swim_net_close(&net);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scenario_1_crashes_of_one_of_ten_and_of_a_rack),
        cmocka_unit_test(scenario_1_crash_of_a_host_with_all_its_observers),
        cmocka_unit_test(scenario_2_mass_restart_and_rolling_restart),
        cmocka_unit_test(scenario_3_of_two_claimants_the_younger_stays),
        cmocka_unit_test(scenario_4_a_dead_hosts_name_is_used_again_elsewhere),
        cmocka_unit_test(scenario_5_a_stalled_host_judges_nobody_when_it_wakes),
        cmocka_unit_test(scenario_5_a_check_that_a_stall_has_interrupted_sends_the_rest),
        cmocka_unit_test(scenario_6_starved_hosts_condemn_no_healthy_one),
        cmocka_unit_test(scenario_8_loss_of_three_tenths_everywhere_kills_nobody),
        cmocka_unit_test(scenario_8_a_crash_is_found_where_three_tenths_are_lost),
        cmocka_unit_test(scenario_8_a_lossy_host_condemns_nobody_else),
        cmocka_unit_test(scenario_10_who_sees_not_one_but_all_others_condemns_nobody),
        cmocka_unit_test(scenario_10_a_bridge_never_dies_and_all_is_well_afterwards),
        cmocka_unit_test(scenario_10_a_host_that_hears_nothing_half_of_the_time_harms_only_itself),
        cmocka_unit_test(scenario_10_an_mtu_black_hole_kills_nobody),
        cmocka_unit_test(scenario_10_blocked_streams_kill_nobody),
        cmocka_unit_test(scenario_11_an_even_split_and_an_isolated_host_heal),
        cmocka_unit_test(scenario_16_one_two_three_four_and_a_thousand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
