/* Whole hosts of the simulated world: what befalls one is told by all of them, as what it is. */
#include "core/monitoring/health/health_host.h"

#include <stdio.h>
#include <string.h>

#include "core/base/check.h"
#include "core/chaos/simnet.h"
#include "core/chaos/simworld.h"
#include "tests/support/test.h"

#define HOSTS      5
#define HOSTS_MAX  20
#define INN_PORT   7
#define P11_BOUND  (7 * NANOS_PER_S)
#define INN_LEARNS (45 * NANOS_PER_S)

struct inn {
    struct simworld *sim;
    uint32_t n;
    struct simhost *hosts[HOSTS_MAX];
    struct health_host *guests[HOSTS_MAX];
    uint32_t deaths;
    uint32_t news[HOSTS_MAX]; /* at host 0, of each: became degraded or failing */
};

/* What one host hears goes to the inn with who it is. */
struct inn_ear {
    struct inn *inn;
    uint32_t i;
};

static struct inn_ear inn_ears[HOSTS_MAX];

static void inn_changed(void *ctx, const struct swim_change *change)
{
    const struct inn_ear *ear = ctx;

    ear->inn->deaths += change->kind == SWIM_DIED ? 1 : 0;
}

static void inn_condition(void *ctx, const struct health_host_news *news)
{
    const struct inn_ear *ear = ctx;

    if (ear->i == 0 && (news->is == HOST_DEGRADED || news->is == HOST_FAILING)) {
        ear->inn->news[news->id - 1]++;
    }
}

static void inn_start(struct inn *inn, uint32_t i, uint64_t instance)
{
    struct health_host_events events = {
        .ctx = &inn_ears[i], .changed = inn_changed, .condition = inn_condition};
    struct health_host_config c = {.name = simhost_name(inn->hosts[i]), .storage_path = "probe"};
    struct health_agent_config *a = &c.agent;

    inn_ears[i] = (struct inn_ear){inn, i};
    health_agent_config_default(a);
    a->swim.self = i + 1;
    a->swim.instance = instance;
    (void)snprintf(a->swim.at.host, sizeof a->swim.at.host, "%s", simhost_name(inn->hosts[i]));
    a->swim.at.port = INN_PORT;
    a->cipher = (struct seal_cipher){NULL, &seal_stand_in};
    a->ring = (struct seal_ring){.keys = {{1}}, .n = 1};
    a->port = INN_PORT;
    a->seeds[0] = (struct world_endpoint){"h0", INN_PORT};
    a->seeds[1] = (struct world_endpoint){"h1", INN_PORT};
    a->n_seeds = 2;
    assert_int_equal(health_host_open(simhost_world(inn->hosts[i]), &c, &events, &inn->guests[i]),
                     OK);
}

static void inn_check(const struct inn *inn)
{
    for (uint32_t i = 0; i < inn->n; i++) {
        health_host_check(inn->guests[i]);
    }
}

static void inn_run(struct inn *inn, nanos span)
{
    simworld_run(inn->sim, simworld_now(inn->sim) + span);
    inn_check(inn);
}

static void inn_open(struct inn *inn, uint32_t n, uint64_t seed)
{
    memset(inn, 0, sizeof *inn);
    inn->sim = simworld_new(seed);
    inn->n = n;
    for (uint32_t i = 0; i < n; i++) {
        char name[8];

        (void)snprintf(name, sizeof name, "h%u", i);
        inn->hosts[i] = simhost_new(inn->sim, name, 1 << 20);
        inn_start(inn, i, 1000);
    }
    inn_run(inn, 5 * NANOS_PER_S);
    for (uint32_t i = 0; i < n; i++) {
        health_agent_lead(health_host_agent(inn->guests[i]), 1);
    }
    inn_run(inn, INN_LEARNS);
}

static void inn_close(struct inn *inn)
{
    for (uint32_t i = 0; i < inn->n; i++) {
        health_host_stop(inn->guests[i]);
        simhost_kill(inn->hosts[i]);
        health_host_free(inn->guests[i]);
    }
    simworld_free(inn->sim);
}

static struct health_ladder inn_ladder(const struct inn *inn, uint32_t at, uint32_t of)
{
    struct health_ladder l;

    assert_true(health_host_ladder(inn->guests[at], of + 1, &l));
    return l;
}

/* Do all hosts say so of host `of`? */
static bool inn_all_say(const struct inn *inn, uint32_t of, enum rung rung, enum rung_state state)
{
    for (uint32_t i = 0; i < inn->n; i++) {
        if (inn_ladder(inn, i, of).rungs[rung].state != state) {
            return false;
        }
    }
    return true;
}

/* Runs until they do, and returns how long that took. */
static nanos inn_until(struct inn *inn, uint32_t of, enum rung rung, enum rung_state state,
                       nanos bound)
{
    nanos from = simworld_now(inn->sim);

    while (!inn_all_say(inn, of, rung, state)) {
        if (simworld_now(inn->sim) - from > bound) {
            fail_msg("%s of h%u is not %s within %llu ms", rung_name(rung), of,
                     rung_state_name(state), (unsigned long long)(bound / NANOS_PER_MS));
        }
        inn_run(inn, 100 * NANOS_PER_MS);
    }
    return simworld_now(inn->sim) - from;
}

static uint32_t inn_news(const struct inn *inn, uint32_t except)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < inn->n; i++) {
        n += i != except ? inn->news[i] : 0;
    }
    return n;
}

static void a_quiet_cluster_is_healthy_and_every_member_shows_every_ladder(void **state)
{
    (void)state;
    struct inn inn;

    inn_open(&inn, HOSTS, 1);
    for (uint32_t at = 0; at < HOSTS; at++) {
        for (uint32_t of = 0; of < HOSTS; of++) {
            struct health_ladder l = inn_ladder(&inn, at, of);

            assert_string_equal(l.name, simhost_name(inn.hosts[of]));
            assert_true(l.is_told);
            assert_int_equal(l.rungs[RUNG_NETWORK].state, RUNG_WELL);
            assert_int_equal(l.rungs[RUNG_DAEMON].state, RUNG_WELL);
            assert_int_equal(l.rungs[RUNG_STORAGE].state, RUNG_WELL);
            assert_int_equal(l.rungs[RUNG_CLOCK].state, RUNG_WELL);
            assert_int_equal(l.rungs[RUNG_APPLICATION].state, RUNG_UNKNOWN);
            assert_int_equal(l.score.points, 100);
            assert_int_equal(l.score.condition, HOST_HEALTHY);
            assert_int_equal(l.n_opinions, HOSTS - 1);
        }
    }
    assert_int_equal(inn_news(&inn, HOSTS_MAX), 0);
    inn_close(&inn);
}

static void a_disk_ten_times_slower_is_degraded_within_seven_seconds_and_well_again(void **state)
{
    (void)state;
    struct inn inn;

    inn_open(&inn, HOSTS, 2);
    simhost_slow(inn.hosts[2], 0, 300 * NANOS_PER_MS);
    inn_until(&inn, 2, RUNG_STORAGE, RUNG_DEGRADED, P11_BOUND);
    struct health_ladder l = inn_ladder(&inn, 4, 2);

    assert_int_equal(l.score.condition, HOST_DEGRADED);
    assert_int_equal(l.score.points, 70);
    assert_true(l.rungs[RUNG_STORAGE].measure > 300000);
    assert_true(l.rungs[RUNG_STORAGE].bad >= 5);
    assert_in_range(l.rungs[RUNG_STORAGE].since, SIMWORLD_EPOCH / NANOS_PER_S,
                    SIMWORLD_EPOCH / NANOS_PER_S + 100);
    inn_run(&inn, 30 * NANOS_PER_S);
    assert_true(inn_all_say(&inn, 2, RUNG_STORAGE, RUNG_DEGRADED));
    assert_int_equal(inn.news[2], 1);
    simhost_slow(inn.hosts[2], 0, 0);
    inn_until(&inn, 2, RUNG_STORAGE, RUNG_WELL, 40 * NANOS_PER_S);
    assert_int_equal(inn.deaths + inn_news(&inn, 2), 0);
    inn_close(&inn);
}

static void a_disk_that_hangs_is_broken_and_the_host_is_not_dead(void **state)
{
    (void)state;
    struct inn inn;

    inn_open(&inn, HOSTS, 3);
    simhost_stall_disk(inn.hosts[1], simworld_now(inn.sim) + 60 * NANOS_PER_S);
    inn_until(&inn, 1, RUNG_STORAGE, RUNG_BROKEN, P11_BOUND);
    assert_int_equal(inn_ladder(&inn, 0, 1).score.condition, HOST_FAILING);
    inn_run(&inn, 60 * NANOS_PER_S);
    inn_until(&inn, 1, RUNG_STORAGE, RUNG_WELL, 60 * NANOS_PER_S);
    assert_int_equal(inn.deaths + inn_news(&inn, 1), 0);
    inn_close(&inn);
}

/* What a host that died said before our clock was set is compared with a clock that is no more. */
static void a_clock_that_is_set_forgets_what_was_said_before(void **state)
{
    (void)state;
    struct inn inn;

    inn_open(&inn, 4, 4);
    health_host_stop(inn.guests[3]);
    simhost_kill(inn.hosts[3]);
    health_host_free(inn.guests[3]);
    inn.n = 3;
    inn_run(&inn, 10 * NANOS_PER_S);
    simhost_set_wall(inn.hosts[2], (int64_t)(30 * NANOS_PER_S));
    inn_until(&inn, 2, RUNG_CLOCK, RUNG_BROKEN, P11_BOUND);
    inn_close(&inn);
}

static void a_clock_that_is_off_is_told_by_how_much_and_the_right_ones_are_well(void **state)
{
    (void)state;
    struct inn inn;

    inn_open(&inn, 3, 4);
    simhost_set_wall(inn.hosts[2], (int64_t)(3 * NANOS_PER_S));
    inn_until(&inn, 2, RUNG_CLOCK, RUNG_DEGRADED, P11_BOUND);
    assert_in_range(inn_ladder(&inn, 0, 2).rungs[RUNG_CLOCK].measure + 10000, 6900, 7100);
    simhost_set_wall(inn.hosts[2], -(int64_t)(3600 * NANOS_PER_S));
    inn_until(&inn, 2, RUNG_CLOCK, RUNG_BROKEN, P11_BOUND);
    inn_run(&inn, 20 * NANOS_PER_S);
    assert_true(inn_all_say(&inn, 0, RUNG_CLOCK, RUNG_WELL));
    assert_true(inn_all_say(&inn, 1, RUNG_CLOCK, RUNG_WELL));
    simhost_set_wall(inn.hosts[2], 0);
    inn_until(&inn, 2, RUNG_CLOCK, RUNG_WELL, 30 * NANOS_PER_S);
    assert_int_equal(inn.deaths + inn_news(&inn, 2), 0);
    inn_close(&inn);
}

/* Half of a network card: what it sends is lost three times in ten, to whomever. */
static void half_a_card_is_blamed_on_its_host_and_on_nobody_else(void **state)
{
    (void)state;
    struct inn inn;
    struct simnet_link lossy = simnet_link_plain();

    lossy.loss_ppm = 300000;
    inn_open(&inn, HOSTS, 5);
    for (uint32_t i = 0; i < HOSTS; i++) {
        if (i != 3) {
            simnet_link_set(inn.hosts[3], inn.hosts[i], &lossy);
        }
    }
    nanos took = inn_until(&inn, 3, RUNG_NETWORK, RUNG_DEGRADED, P11_BOUND);

    assert_true(took > 0);
    inn_run(&inn, 30 * NANOS_PER_S);
    struct health_ladder l = inn_ladder(&inn, 1, 3);

    assert_true(l.has_verdict);
    assert_int_equal(l.verdict.blame, GRAY_BLAME_HOST);
    assert_int_equal(l.verdict.host, 4);
    assert_true(l.verdict.bad >= 2);
    assert_true(l.rungs[RUNG_NETWORK].since > 0);
    assert_int_equal(inn.news[3], 1);
    assert_int_equal(inn_news(&inn, 3), 0);
    for (uint32_t i = 0; i < HOSTS; i++) {
        assert_true(i == 3 || inn_ladder(&inn, 0, i).rungs[RUNG_NETWORK].state == RUNG_WELL);
    }
    for (uint32_t i = 0; i < HOSTS; i++) {
        struct simnet_link plain = simnet_link_plain();

        if (i != 3) {
            simnet_link_set(inn.hosts[3], inn.hosts[i], &plain);
        }
    }
    inn_until(&inn, 3, RUNG_NETWORK, RUNG_WELL, 180 * NANOS_PER_S);
    assert_int_equal(inn.deaths, 0);
    inn_close(&inn);
}

/* One direction between two: both see each other badly, all others see both well. */
static void loss_one_way_between_two_is_told_as_their_path(void **state)
{
    (void)state;
    struct inn inn;
    struct simnet_link lossy = simnet_link_plain();
    const struct gray_verdict *verdicts = NULL;

    lossy.loss_ppm = 300000;
    inn_open(&inn, HOSTS, 6);
    simnet_link_set(inn.hosts[1], inn.hosts[2], &lossy);
    inn_until(&inn, 2, RUNG_NETWORK, RUNG_DEGRADED, P11_BOUND);
    inn_run(&inn, 20 * NANOS_PER_S);
    assert_int_equal(health_host_verdicts(inn.guests[0], &verdicts), 1);
    assert_int_equal(verdicts[0].blame, GRAY_BLAME_PATH);
    assert_int_equal(verdicts[0].host + verdicts[0].other, 2 + 3);
    struct health_ladder l = inn_ladder(&inn, 0, 2);
    uint32_t bad = 0;

    for (uint32_t i = 0; i < l.n_opinions; i++) {
        bad += l.opinions[i].is_bad ? 1 : 0;
        assert_true(!l.opinions[i].is_bad || l.opinions[i].observer == 2);
        assert_true(!l.opinions[i].is_bad || l.opinions[i].told.loss_percent >= 10);
    }
    assert_int_equal(bad, 1);
    assert_int_equal(inn.deaths, 0);
    inn_close(&inn);
}

static void a_path_that_is_slow_is_degraded_and_a_far_one_is_not(void **state)
{
    (void)state;
    struct inn inn;
    struct simnet_link slow = simnet_link_plain();

    inn_open(&inn, HOSTS, 7);
    slow.latency = 60 * NANOS_PER_MS;
    simnet_link_set(inn.hosts[1], inn.hosts[2], &slow);
    inn_until(&inn, 2, RUNG_NETWORK, RUNG_DEGRADED, P11_BOUND);
    assert_int_equal(inn.deaths, 0);
    inn_close(&inn);
    /* The same distance from the beginning is how it is. */
    inn_open(&inn, 3, 7);
    inn_close(&inn);
}

/* One pause is one pause. It is told as such, by nobody as a gray failure. */
static void a_host_that_paused_once_judges_nobody_and_is_not_degraded(void **state)
{
    (void)state;
    struct inn inn;

    inn_open(&inn, HOSTS, 8);
    for (uint32_t i = 0; i < 3; i++) {
        simhost_pause(inn.hosts[2], simworld_now(inn.sim) + 900 * NANOS_PER_MS);
        inn_run(&inn, 90 * NANOS_PER_S);
    }
    assert_int_equal(health_host_pause(inn.guests[2])->counts[PAUSE_STALLED], 3);
    assert_int_equal(inn_news(&inn, HOSTS_MAX), 0);
    assert_int_equal(inn.deaths, 0);
    simhost_suspend(inn.hosts[2], simworld_now(inn.sim) + 800 * NANOS_PER_MS);
    inn_run(&inn, 10 * NANOS_PER_S);
    assert_int_equal(health_host_pause(inn.guests[2])->counts[PAUSE_SUSPENDED], 1);
    assert_int_equal(inn_news(&inn, HOSTS_MAX), 0);
    inn_close(&inn);
}

static void a_host_that_stalls_again_and_again_tells_so_itself(void **state)
{
    (void)state;
    struct inn inn;

    inn_open(&inn, HOSTS, 9);
    for (uint32_t i = 0; i < 4; i++) {
        simhost_pause(inn.hosts[2], simworld_now(inn.sim) + 900 * NANOS_PER_MS);
        inn_run(&inn, 6 * NANOS_PER_S);
    }
    struct health_ladder l = inn_ladder(&inn, 0, 2);

    assert_int_equal(l.rungs[RUNG_DAEMON].state, RUNG_DEGRADED);
    assert_in_range(l.rungs[RUNG_DAEMON].measure, 600, 1500);
    assert_int_equal(inn.deaths, 0);
    inn_until(&inn, 2, RUNG_DAEMON, RUNG_WELL, 90 * NANOS_PER_S);
    inn_close(&inn);
}

/* Questions to a host that is stalled, and those of one that slept, are lost by nobody's network.
 * Questions to one that sleeps are lost in fact: that it seems to have a bad network is right. */
static void stalls_and_sleeps_are_not_held_against_any_network(void **state)
{
    (void)state;
    struct inn inn;

    for (int sleeps = 0; sleeps < 2; sleeps++) {
        inn_open(&inn, HOSTS, 30);
        for (uint32_t i = 0; i < 15; i++) {
            nanos until = simworld_now(inn.sim) + 700 * NANOS_PER_MS;

            if (sleeps) {
                simhost_suspend(inn.hosts[2], until);
            } else {
                simhost_pause(inn.hosts[2], until);
            }
            inn_run(&inn, 4 * NANOS_PER_S);
            for (uint32_t of = 0; of < HOSTS; of++) {
                bool is_well = inn_ladder(&inn, 0, of).rungs[RUNG_NETWORK].state == RUNG_WELL;

                assert_true(is_well || (sleeps && of == 2));
            }
        }
        assert_int_equal(health_look_find(health_host_look(inn.guests[2]), 1)->since, 0);
        assert_int_equal(inn.deaths, 0);
        inn_close(&inn);
    }
}

/* Turns are far apart where there is nobody to ask: that is no stall. */
static void a_host_alone_does_not_stall(void **state)
{
    (void)state;
    struct inn inn;

    inn_open(&inn, 1, 31);
    inn_run(&inn, 60 * NANOS_PER_S);
    assert_int_equal(health_host_pause(inn.guests[0])->counts[PAUSE_STALLED], 0);
    assert_int_equal(inn_ladder(&inn, 0, 0).score.points, 100);
    inn_close(&inn);
}

/* Whenever it begins. That is what short turns are for, also on a host that has nothing to do: a
 * stall that begins and ends between two of them is seen by nobody, and what came late by it is
 * held against others. */
static void a_stall_of_half_a_second_is_seen_whenever_it_begins(void **state)
{
    static const uint32_t sizes[] = {1, 3};
    struct inn inn;
    (void)state;
    for (size_t s = 0; s < COUNT_OF(sizes); s++) {
        inn_open(&inn, sizes[s], 32);
        inn_run(&inn, 5 * NANOS_PER_S);
        for (uint64_t i = 0; i < 20; i++) {
            inn_run(&inn, 3 * NANOS_PER_S + i * 50 * NANOS_PER_MS);
            simhost_pause(inn.hosts[0], simworld_now(inn.sim) + 500 * NANOS_PER_MS);
        }
        inn_run(&inn, 3 * NANOS_PER_S);
        assert_int_equal(health_host_pause(inn.guests[0])->counts[PAUSE_STALLED], 20);
        inn_close(&inn);
    }
}

static void a_host_that_died_is_broken_and_no_news_of_this_kind(void **state)
{
    (void)state;
    struct inn inn;

    inn_open(&inn, HOSTS, 10);
    health_host_stop(inn.guests[4]);
    simhost_kill(inn.hosts[4]);
    health_host_free(inn.guests[4]);
    inn.n = 4;
    inn_until(&inn, 4, RUNG_NETWORK, RUNG_BROKEN, 5 * NANOS_PER_S);
    struct health_ladder l = inn_ladder(&inn, 0, 4);

    assert_int_equal(l.score.points, 0);
    assert_int_equal(l.rungs[RUNG_STORAGE].state, RUNG_UNKNOWN);
    assert_int_equal(inn_news(&inn, HOSTS_MAX), 0);
    inn_start(&inn, 4, 2000);
    inn.n = 5;
    inn_until(&inn, 4, RUNG_STORAGE, RUNG_WELL, 20 * NANOS_PER_S);
    assert_int_equal(inn_ladder(&inn, 0, 4).score.points, 100);
    inn_close(&inn);
}

/* Probes of others, and what a rung's owner says. */
struct inn_prober {
    struct health_prober prober;
    struct health_host *host;
    enum probe_outcome outcome;
    uint32_t asked;
};

static void inn_ask(struct health_prober *prober, const struct probe_order *order)
{
    struct inn_prober *p = prober->owner;

    p->asked++;
    health_host_answer(p->host, order->id, order->purpose, order->ticket, p->outcome);
}

static void probes_and_owners_of_rungs_climb_the_same_ladder(void **state)
{
    (void)state;
    struct inn inn;
    struct inn_prober p = {.outcome = PROBE_OK};
    struct probe_config probes[PROBE_PURPOSES] = {[PROBE_READINESS] = probe_config_of()};

    probes[PROBE_READINESS].period = NANOS_PER_S;
    inn_open(&inn, HOSTS, 11);
    p.host = inn.guests[1];
    p.prober = (struct health_prober){inn_ask, &p};
    assert_int_equal(
        health_host_add_probe(p.host, HEALTH_PROBE_STORAGE, RUNG_APPLICATION, probes, &p.prober),
        ERR_EXISTS);
    assert_int_equal(health_host_add_probe(p.host, 9, RUNG_APPLICATION, probes, &p.prober), OK);
    health_host_set_rung(p.host, RUNG_PROCESS, RUNG_WELL, 0, 1);
    inn_until(&inn, 1, RUNG_APPLICATION, RUNG_WELL, 5 * NANOS_PER_S);
    assert_true(inn_all_say(&inn, 1, RUNG_PROCESS, RUNG_WELL));
    p.outcome = PROBE_FAILURE;
    inn_until(&inn, 1, RUNG_APPLICATION, RUNG_DEGRADED, 8 * NANOS_PER_S);
    health_host_set_rung(p.host, RUNG_PROCESS, RUNG_BROKEN, 1, 1);
    inn_until(&inn, 1, RUNG_PROCESS, RUNG_BROKEN, 3 * NANOS_PER_S);
    assert_int_equal(inn_ladder(&inn, 0, 1).score.condition, HOST_FAILING);
    health_host_remove_probe(p.host, 9);
    uint32_t asked = p.asked;

    inn_until(&inn, 1, RUNG_APPLICATION, RUNG_UNKNOWN, 15 * NANOS_PER_S);
    assert_int_equal(p.asked, asked);
    assert_int_equal(inn.deaths + inn_news(&inn, 1), 0);
    inn_close(&inn);
}

/* Noise that is common to all, for minutes: losses in a hundred, jitter, a tail. */
static void noise_that_is_usual_degrades_nobody(void **state)
{
    (void)state;
    struct inn inn;
    struct simnet_link noisy = simnet_link_plain();

    noisy.spread = 5 * NANOS_PER_MS;
    noisy.tail_ppm = 1000;
    noisy.tail = 200 * NANOS_PER_MS;
    noisy.loss_ppm = 1000;
    for (uint64_t seed = 20; seed < 24; seed++) {
        inn_open(&inn, HOSTS, seed);
        for (uint32_t i = 0; i < HOSTS; i++) {
            for (uint32_t k = 0; k < HOSTS; k++) {
                if (i != k) {
                    simnet_link_set(inn.hosts[i], inn.hosts[k], &noisy);
                }
            }
        }
        inn_run(&inn, 600 * NANOS_PER_S);
        assert_int_equal(inn.deaths + inn_news(&inn, HOSTS_MAX), 0);
        inn_close(&inn);
    }
}

/* P11, on whole hosts: whatever befalls one is told by all within seven seconds, by nobody of
 * anybody else, and nobody dies. */
static void trouble_is_told_in_time_in_clusters_of_every_small_size(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {3, 5, 16};
    static const enum rung rungs[] = {RUNG_STORAGE, RUNG_CLOCK, RUNG_NETWORK};
    struct simnet_link lossy = simnet_link_plain();
    struct inn inn;

    lossy.loss_ppm = 300000;
    for (uint32_t k = 0; k < COUNT_OF(sizes) * COUNT_OF(rungs) * 5; k++) {
        enum rung rung = rungs[k % COUNT_OF(rungs)];

        inn_open(&inn, sizes[k / COUNT_OF(rungs) % COUNT_OF(sizes)], 100 + k);
        if (rung == RUNG_STORAGE) {
            simhost_slow(inn.hosts[2], 0, 300 * NANOS_PER_MS);
        } else if (rung == RUNG_CLOCK) {
            simhost_set_wall(inn.hosts[2], (int64_t)(5 * NANOS_PER_S));
        }
        for (uint32_t i = 0; i < inn.n && rung == RUNG_NETWORK; i++) {
            if (i != 2) {
                simnet_link_set(inn.hosts[2], inn.hosts[i], &lossy);
            }
        }
        inn_until(&inn, 2, rung, RUNG_DEGRADED, P11_BOUND + 100 * NANOS_PER_MS);
        inn_run(&inn, 20 * NANOS_PER_S);
        assert_int_equal(inn_news(&inn, 2), 0);
        assert_int_equal(inn.news[2], 1);
        assert_int_equal(inn.deaths, 0);
        inn_close(&inn);
    }
}

/* Beyond SWIM_SMALL_CLUSTER questions are few; who gives cause is looked at closely all the same.
 */
static void a_larger_cluster_finds_the_same_with_few_questions(void **state)
{
    (void)state;
    struct inn inn;
    struct simnet_link lossy = simnet_link_plain();

    lossy.loss_ppm = 400000;
    inn_open(&inn, HOSTS_MAX, 12);
    uint64_t asked = health_host_look(inn.guests[0])->asked;

    inn_run(&inn, 60 * NANOS_PER_S);
    assert_in_range(health_host_look(inn.guests[0])->asked - asked, 25, 35);
    for (uint32_t i = 0; i < HOSTS_MAX; i++) {
        if (i != 3) {
            simnet_link_set(inn.hosts[3], inn.hosts[i], &lossy);
        }
    }
    inn_until(&inn, 3, RUNG_NETWORK, RUNG_DEGRADED, 20 * NANOS_PER_S);
    assert_int_equal(inn.deaths, 0);
    inn_close(&inn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quiet_cluster_is_healthy_and_every_member_shows_every_ladder),
        cmocka_unit_test(a_disk_ten_times_slower_is_degraded_within_seven_seconds_and_well_again),
        cmocka_unit_test(a_disk_that_hangs_is_broken_and_the_host_is_not_dead),
        cmocka_unit_test(a_clock_that_is_set_forgets_what_was_said_before),
        cmocka_unit_test(a_clock_that_is_off_is_told_by_how_much_and_the_right_ones_are_well),
        cmocka_unit_test(half_a_card_is_blamed_on_its_host_and_on_nobody_else),
        cmocka_unit_test(loss_one_way_between_two_is_told_as_their_path),
        cmocka_unit_test(a_path_that_is_slow_is_degraded_and_a_far_one_is_not),
        cmocka_unit_test(a_host_that_paused_once_judges_nobody_and_is_not_degraded),
        cmocka_unit_test(a_host_that_stalls_again_and_again_tells_so_itself),
        cmocka_unit_test(stalls_and_sleeps_are_not_held_against_any_network),
        cmocka_unit_test(a_host_alone_does_not_stall),
        cmocka_unit_test(a_stall_of_half_a_second_is_seen_whenever_it_begins),
        cmocka_unit_test(a_host_that_died_is_broken_and_no_news_of_this_kind),
        cmocka_unit_test(probes_and_owners_of_rungs_climb_the_same_ladder),
        cmocka_unit_test(noise_that_is_usual_degrades_nobody),
        cmocka_unit_test(trouble_is_told_in_time_in_clusters_of_every_small_size),
        cmocka_unit_test(a_larger_cluster_finds_the_same_with_few_questions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
