/* The agent on hosts of the simulated world: joining, losing one, and what clocks and pauses do. */
#include "core/monitoring/health/health_agent.h"

#include <stdio.h>
#include <string.h>

#include "core/base/check.h"
#include "core/chaos/simnet.h"
#include "core/chaos/simworld.h"
#include "tests/support/test.h"

#define AGENTS 5
#define PORT   7

struct ward {
    struct simworld *sim;
    uint32_t n;
    bool hears; /* by other ways */
    struct cut_change last_lost;
    struct simhost *hosts[AGENTS];
    struct health_agent *agents[AGENTS];
    uint64_t instances[AGENTS];
    uint32_t lost[AGENTS]; /* by any leader */
    uint32_t deaths[AGENTS];
    uint32_t displaced;
    uint32_t by_stream;
    uint32_t by_datagram;
};

static void ward_changed(void *ctx, const struct swim_change *change)
{
    struct ward *w = ctx;

    w->displaced += change->kind == SWIM_DISPLACED ? 1 : 0;
    w->by_stream += change->kind == SWIM_BY_STREAM ? 1 : 0;
    w->by_datagram += change->kind == SWIM_BY_DATAGRAM ? 1 : 0;
    w->deaths[change->id - 1] += change->kind == SWIM_DIED ? 1 : 0;
}

static void ward_cut(void *ctx, const struct cut_change *change, uint64_t view)
{
    struct ward *w = ctx;

    (void)view;
    w->lost[change->id - 1] += change->kind == CUT_LOST ? 1 : 0;
    w->last_lost = change->kind == CUT_LOST ? *change : w->last_lost;
}

static bool ward_hears(void *ctx, node_id id, nanos span)
{
    const struct ward *w = ctx;

    assert_in_range(id, 1, AGENTS);
    assert_true(span > 0);
    return w->hears;
}

static void ward_start(struct ward *w, uint32_t i)
{
    struct health_agent_events events = {
        .ctx = w, .changed = ward_changed, .cut = ward_cut, .hears = ward_hears};
    struct health_agent_config c;

    health_agent_config_default(&c);
    c.swim.self = i + 1;
    c.swim.instance = w->instances[i];
    (void)snprintf(c.swim.at.host, sizeof(c.swim.at.host), "%s", simhost_name(w->hosts[i]));
    c.swim.at.port = PORT;
    c.cipher = (struct seal_cipher){NULL, &seal_stand_in};
    c.ring = (struct seal_ring){.keys = {{1}}, .n = 1};
    c.port = PORT;
    c.seeds[0] = (struct world_endpoint){"h0", PORT};
    c.seeds[1] = (struct world_endpoint){"h1", PORT};
    c.n_seeds = 2;
    c.meta = (struct bytes){(const uint8_t *)"named", 5};
    assert_int_equal(health_agent_open(simhost_world(w->hosts[i]), &c, &events, &w->agents[i]), OK);
}

static void ward_run(struct ward *w, nanos span)
{
    simworld_run(w->sim, simworld_now(w->sim) + span);
}

static void ward_open_of(struct ward *w, uint32_t n)
{
    memset(w, 0, sizeof(*w));
    w->n = n;
    w->sim = simworld_new(3);
    for (uint32_t i = 0; i < n; i++) {
        char name[8];

        (void)snprintf(name, sizeof(name), "h%u", i);
        w->hosts[i] = simhost_new(w->sim, name, 1 << 20);
        w->instances[i] = 1000;
        ward_start(w, i);
    }
    ward_run(w, 5 * NANOS_PER_S);
    for (uint32_t i = 0; i < n; i++) {
        health_agent_lead(w->agents[i], 1);
    }
    ward_run(w, 2 * NANOS_PER_S);
}

static void ward_open(struct ward *w)
{
    ward_open_of(w, AGENTS);
}

static void ward_close(struct ward *w)
{
    for (uint32_t i = 0; i < AGENTS; i++) {
        if (w->agents[i] != NULL) {
            health_agent_close(w->agents[i]);
        }
    }
    simworld_free(w->sim);
}

static void ward_kill(struct ward *w, uint32_t i)
{
    health_agent_close(w->agents[i]);
    w->agents[i] = NULL;
    simhost_kill(w->hosts[i]);
}

static uint32_t ward_total(const uint32_t counts[AGENTS])
{
    uint32_t sum = 0;

    for (uint32_t i = 0; i < AGENTS; i++) {
        sum += counts[i];
    }
    return sum;
}

static bool all_know_all(const struct ward *w)
{
    for (uint32_t i = 0; i < AGENTS; i++) {
        if (w->agents[i] != NULL && swim_live_count(health_agent_swim(w->agents[i])) != w->n) {
            return false;
        }
    }
    return true;
}

static void agents_find_each_other_by_their_seeds(void **state)
{
    (void)state;
    struct ward w;

    ward_open(&w);
    assert_true(all_know_all(&w));
    for (uint32_t i = 0; i < AGENTS; i++) {
        const struct swim_member *m = swim_find(health_agent_swim(w.agents[0]), i + 1);

        assert_int_equal(m->meta_len, 5);
    }
    ward_close(&w);
}

static void a_killed_host_is_lost_within_three_seconds(void **state)
{
    (void)state;
    struct ward w;

    ward_open(&w);
    ward_kill(&w, 3);
    ward_run(&w, 3 * NANOS_PER_S);
    assert_int_equal(w.lost[3], 1);
    assert_int_equal(ward_total(w.lost), 1);
    ward_close(&w);
}

/* A paused host gets everything that waited, and its timers, when it goes on. */
static void a_pause_makes_nobody_else_lost(void **state)
{
    (void)state;
    struct ward w;

    ward_open(&w);
    for (int round = 0; round < 5; round++) {
        simhost_pause(w.hosts[2], simworld_now(w.sim) + (1 + 4 * (nanos)round) * NANOS_PER_S);
        ward_run(&w, 40 * NANOS_PER_S);
    }
    assert_int_equal(w.deaths[0] + w.deaths[1] + w.deaths[3] + w.deaths[4], 0);
    assert_true(all_know_all(&w));
    ward_close(&w);
}

static void a_clock_that_steps_makes_nobody_lost(void **state)
{
    (void)state;
    struct ward w;

    ward_open(&w);
    for (uint32_t i = 0; i < AGENTS; i++) {
        simhost_clock_step(w.hosts[i], 3600 * NANOS_PER_S);
        ward_run(&w, 10 * NANOS_PER_S);
    }
    assert_int_equal(ward_total(w.deaths), 0);
    assert_int_equal(ward_total(w.lost), 0);
    ward_close(&w);
}

static void who_is_cut_off_from_one_alone_is_not_lost(void **state)
{
    (void)state;
    struct ward w;

    ward_open(&w);
    simnet_cut(w.hosts[1], w.hosts[2], true);
    ward_run(&w, 60 * NANOS_PER_S);
    assert_int_equal(ward_total(w.deaths), 0);
    assert_int_equal(ward_total(w.lost), 0);
    ward_close(&w);
}

/* Its clock went back while it was down: its instance is an older one than the others know. */
static void a_restart_with_an_older_clock_is_accepted_all_the_same(void **state)
{
    (void)state;
    struct ward w;

    ward_open(&w);
    ward_kill(&w, 3);
    ward_run(&w, 10 * NANOS_PER_S);
    w.instances[3] = 10;
    ward_start(&w, 3);
    ward_run(&w, 10 * NANOS_PER_S);
    assert_true(all_know_all(&w));
    assert_int_equal(swim_instance_of(swim_find(health_agent_swim(w.agents[0]), 4)->incarnation),
                     1001);
    ward_close(&w);
}

static void curves_of_neighbours_are_drawn_and_stay_low(void **state)
{
    (void)state;
    struct ward w;
    float phi[HEALTH_CURVE_POINTS];
    uint32_t n = 0;

    ward_open(&w);
    ward_run(&w, 30 * NANOS_PER_S);
    n = health_agent_curve(w.agents[0], 2, phi);
    assert_in_range(n, 30, HEALTH_CURVE_POINTS);
    for (uint32_t i = n / 2; i < n; i++) {
        assert_true(phi[i] >= 0.0F && phi[i] < 5.0F);
    }
    assert_int_equal(health_agent_curve(w.agents[0], 99, phi), 0);
    ward_close(&w);
}

/* It counts its beats anew, and nobody has missed it in between. */
static void the_curve_of_who_restarts_at_once_stays_low(void **state)
{
    (void)state;
    struct ward w;
    float phi[HEALTH_CURVE_POINTS];
    uint32_t n = 0;

    ward_open(&w);
    ward_run(&w, 60 * NANOS_PER_S);
    health_agent_close(w.agents[3]);
    w.instances[3]++;
    ward_start(&w, 3);
    ward_run(&w, 20 * NANOS_PER_S);
    assert_int_equal(ward_total(w.deaths), 0);
    n = health_agent_curve(w.agents[0], 4, phi);
    assert_in_range(n, 60, HEALTH_CURVE_POINTS);
    for (uint32_t i = n - 10; i < n; i++) {
        assert_true(phi[i] >= 0.0F && phi[i] < 5.0F);
    }
    ward_close(&w);
}

/* --- Two hosts -----------------------------------------------------------------------------------
 */

static void of_two_the_other_one_is_lost_on_one_word_and_late(void **state)
{
    (void)state;
    struct ward w;

    ward_open_of(&w, 2);
    ward_run(&w, 60 * NANOS_PER_S);
    ward_kill(&w, 1);
    ward_run(&w, 15 * NANOS_PER_S);
    assert_int_equal(ward_total(w.lost), 0);
    ward_run(&w, 10 * NANOS_PER_S);
    assert_int_equal(w.lost[1], 1);
    assert_int_equal(w.last_lost.observers, 1);
    w.instances[1]++;
    ward_start(&w, 1);
    ward_run(&w, 120 * NANOS_PER_S);
    assert_true(all_know_all(&w));
    assert_true(cut_find(health_agent_cut(w.agents[0]), 2)->is_in);
    assert_int_equal(ward_total(w.lost), 1);
    ward_close(&w);
}

static void of_two_the_other_one_is_not_lost_while_the_log_hears_it(void **state)
{
    (void)state;
    struct ward w;

    ward_open_of(&w, 2);
    w.hears = true;
    simnet_cut(w.hosts[0], w.hosts[1], true);
    ward_run(&w, 120 * NANOS_PER_S);
    assert_int_equal(ward_total(w.lost), 0);
    w.hears = false;
    ward_run(&w, 30 * NANOS_PER_S);
    assert_int_equal(w.lost[1], 1);
    ward_close(&w);
}

/* It has not observed while it stood, and hears the other one when it goes on. */
static void of_two_a_leader_that_stood_still_calls_nobody_lost(void **state)
{
    (void)state;
    struct ward w;

    ward_open_of(&w, 2);
    for (int round = 0; round < 8; round++) {
        simnet_cut(w.hosts[0], w.hosts[1], true);
        ward_run(&w, (nanos)(1 + round) * NANOS_PER_S);
        simhost_pause(w.hosts[0], simworld_now(w.sim) + 30 * NANOS_PER_S);
        ward_run(&w, 20 * NANOS_PER_S);
        simnet_cut(w.hosts[0], w.hosts[1], false);
        ward_run(&w, 60 * NANOS_PER_S);
    }
    assert_int_equal(ward_total(w.lost), 0);
    assert_true(all_know_all(&w));
    ward_close(&w);
}

/* A leader of three that hears nobody says nothing, however long. */
static void of_three_a_leader_that_is_cut_off_calls_nobody_lost(void **state)
{
    (void)state;
    struct ward w;

    ward_open_of(&w, 3);
    simnet_cut(w.hosts[0], w.hosts[1], true);
    simnet_cut(w.hosts[0], w.hosts[2], true);
    ward_run(&w, 300 * NANOS_PER_S);
    assert_int_equal(ward_total(w.lost), 0);
    ward_close(&w);
}

static void ward_block(struct ward *w, uint32_t from, uint32_t to, bool blocks)
{
    struct simnet_link link = simnet_link_get(w->hosts[from], w->hosts[to]);

    link.drops_datagrams = blocks;
    simnet_link_set(w->hosts[from], w->hosts[to], &link);
}

static void ward_block_host(struct ward *w, uint32_t at, bool blocks)
{
    for (uint32_t i = 0; i < AGENTS; i++) {
        if (i != at) {
            ward_block(w, i, at, blocks);
            ward_block(w, at, i, blocks);
        }
    }
}

static void expect_no_stream_for(struct ward *w, nanos span)
{
    uint64_t opened = 0;

    for (uint32_t i = 0; i < AGENTS; i++) {
        opened += health_streams_counted(health_agent_streams(w->agents[i]), HEALTH_STREAMS_OPENED);
    }
    ward_run(w, span);
    for (uint32_t i = 0; i < AGENTS; i++) {
        const struct health_streams *hs = health_agent_streams(w->agents[i]);

        opened -= health_streams_counted(hs, HEALTH_STREAMS_OPENED);
        assert_int_equal(health_streams_in_use(hs), 0);
    }
    assert_int_equal(opened, 0);
}

static void where_datagrams_are_blocked_streams_keep_a_host_alive(void **state)
{
    (void)state;
    struct ward w;

    ward_open(&w);
    ward_block_host(&w, 1, true);
    ward_run(&w, 120 * NANOS_PER_S);
    assert_int_equal(ward_total(w.deaths), 0);
    assert_int_equal(ward_total(w.lost), 0);
    assert_int_equal(w.by_stream, 2 * (AGENTS - 1));
    assert_int_equal(swim_reach(health_agent_swim(w.agents[0]), 2), SWIM_REACH_STREAMS);
    assert_int_equal(swim_reach(health_agent_swim(w.agents[0]), 3), SWIM_REACH_DATAGRAMS);
    ward_block_host(&w, 1, false);
    ward_run(&w, 200 * NANOS_PER_S);
    assert_int_equal(w.by_datagram, 2 * (AGENTS - 1));
    assert_int_equal(ward_total(w.deaths), 0);
    expect_no_stream_for(&w, 60 * NANOS_PER_S);
    ward_close(&w);
}

/* As where a firewall knows the protocol's TCP port alone. */
static void where_no_datagram_passes_at_all_who_dies_is_lost_and_comes_back(void **state)
{
    (void)state;
    struct ward w;

    ward_open(&w);
    for (uint32_t i = 0; i < AGENTS; i++) {
        ward_block_host(&w, i, true);
    }
    ward_run(&w, 60 * NANOS_PER_S);
    assert_int_equal(ward_total(w.deaths), 0);
    ward_kill(&w, 3);
    ward_run(&w, 10 * NANOS_PER_S);
    assert_int_equal(w.lost[3], 1);
    assert_int_equal(ward_total(w.lost), 1);
    w.instances[3]++;
    ward_start(&w, 3);
    ward_run(&w, 60 * NANOS_PER_S);
    assert_true(all_know_all(&w));
    assert_int_equal(ward_total(w.lost), 1);
    ward_close(&w);
}

/* What its kernel accepts proves nothing: its process must answer. */
static void a_paused_host_without_datagrams_is_lost(void **state)
{
    (void)state;
    struct ward w;

    ward_open(&w);
    ward_block_host(&w, 1, true);
    ward_run(&w, 60 * NANOS_PER_S);
    simhost_pause(w.hosts[1], simworld_now(w.sim) + 30 * NANOS_PER_S);
    ward_run(&w, 10 * NANOS_PER_S);
    assert_int_equal(w.lost[1], 1);
    assert_int_equal(ward_total(w.lost), 1);
    ward_run(&w, 90 * NANOS_PER_S);
    assert_true(all_know_all(&w));
    assert_int_equal(ward_total(w.lost), 1);
    ward_close(&w);
}

static void a_stream_that_hangs_is_replaced(void **state)
{
    (void)state;
    struct ward w;

    ward_open(&w);
    ward_block_host(&w, 1, true);
    ward_run(&w, 60 * NANOS_PER_S);
    for (int round = 0; round < 10; round++) {
        for (uint32_t i = 0; i < AGENTS; i++) {
            if (i != 1) {
                simnet_stall(w.hosts[i], w.hosts[1], simworld_now(w.sim) + 30 * NANOS_PER_S);
                simnet_stall(w.hosts[1], w.hosts[i], simworld_now(w.sim) + 30 * NANOS_PER_S);
            }
        }
        ward_run(&w, 40 * NANOS_PER_S);
    }
    assert_true(all_know_all(&w));
    assert_int_equal(ward_total(w.lost), 0);
    ward_close(&w);
}

static void who_leaves_is_not_lost(void **state)
{
    (void)state;
    struct ward w;

    ward_open(&w);
    health_agent_leave(w.agents[4]);
    ward_run(&w, 3 * NANOS_PER_S);
    ward_kill(&w, 4);
    ward_run(&w, 30 * NANOS_PER_S);
    assert_int_equal(ward_total(w.lost), 0);
    assert_int_equal(swim_find(health_agent_swim(w.agents[0]), 5)->state, SWIM_LEFT);
    ward_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agents_find_each_other_by_their_seeds),
        cmocka_unit_test(a_killed_host_is_lost_within_three_seconds),
        cmocka_unit_test(a_pause_makes_nobody_else_lost),
        cmocka_unit_test(a_clock_that_steps_makes_nobody_lost),
        cmocka_unit_test(who_is_cut_off_from_one_alone_is_not_lost),
        cmocka_unit_test(a_restart_with_an_older_clock_is_accepted_all_the_same),
        cmocka_unit_test(curves_of_neighbours_are_drawn_and_stay_low),
        cmocka_unit_test(the_curve_of_who_restarts_at_once_stays_low),
        cmocka_unit_test(of_two_the_other_one_is_lost_on_one_word_and_late),
        cmocka_unit_test(of_two_the_other_one_is_not_lost_while_the_log_hears_it),
        cmocka_unit_test(of_two_a_leader_that_stood_still_calls_nobody_lost),
        cmocka_unit_test(of_three_a_leader_that_is_cut_off_calls_nobody_lost),
        cmocka_unit_test(where_datagrams_are_blocked_streams_keep_a_host_alive),
        cmocka_unit_test(where_no_datagram_passes_at_all_who_dies_is_lost_and_comes_back),
        cmocka_unit_test(a_paused_host_without_datagrams_is_lost),
        cmocka_unit_test(a_stream_that_hangs_is_replaced),
        cmocka_unit_test(who_leaves_is_not_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
