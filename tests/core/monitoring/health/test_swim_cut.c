/* Members and the leader's cut together: exactly the faulty are lost, in at most two changes of the
 * view. */
#include "core/monitoring/health/cut.h"

#include "core/base/check.h"
#include "tests/core/monitoring/health/swim_net.h"
#include "tests/support/test.h"

#include <string.h>

#define HOSTS 200
#define SICK  6

struct leader {
    struct cut cut;
    struct cut_update update;
    uint32_t host;
    uint32_t cuts;
    uint32_t lost_faulty;
    uint32_t lost_healthy;
    bool faulty[HOSTS];
};

static void leader_step(struct swim_net *net, struct leader *l, struct cut_event event)
{
    uint32_t lost = 0;

    event.now = net->now;
    cut_step(&l->cut, &event, &l->update);
    for (size_t i = 0; i < l->update.n_changes; i++) {
        if (l->update.changes[i].kind == CUT_LOST) {
            *(l->faulty[l->update.changes[i].id - 1] ? &l->lost_faulty : &l->lost_healthy) += 1;
            lost++;
        }
    }
    l->cuts += lost > 0 ? 1 : 0;
}

static void leader_hears(struct swim_net *net, uint32_t host, const struct swim_update *u)
{
    struct leader *l = net->owner;

    if (host != l->host) {
        return;
    }
    for (size_t i = 0; i < u->n_changes; i++) {
        struct cut_event event = {.kind = CUT_EVENT_ALIVE,
                                  .id = u->changes[i].id,
                                  .incarnation = u->changes[i].incarnation};

        if (u->changes[i].kind == SWIM_SUSPECTED) {
            continue;
        }
        if (u->changes[i].kind == SWIM_DIED) {
            event.kind = CUT_EVENT_DEAD;
        }
        leader_step(net, l, event);
    }
    for (size_t i = 0; i < u->n_reports; i++) {
        leader_step(net, l, (struct cut_event){.kind = CUT_EVENT_REPORT, .report = u->reports[i]});
    }
    if (l->update.deadline <= net->now) {
        leader_step(net, l, (struct cut_event){.kind = CUT_EVENT_TIME});
    }
}

static void swim_lead(struct swim_net *net, struct leader *l, uint32_t host)
{
    struct cut_config config;
    struct swim_event event = {.kind = SWIM_EVENT_LEADER, .id = host + 1};

    cut_config_default(&config);
    cut_init(&l->cut, &config, net->now);
    cut_update_init(&l->update);
    l->host = host;
    for (uint32_t i = 0; i < net->n; i++) {
        if (net->hosts[i].is_up) {
            swim_net_step(net, i, &event);
        }
        leader_step(net, l,
                    (struct cut_event){.kind = CUT_EVENT_ALIVE, .id = i + 1, .incarnation = 65536});
    }
    net->owner = l;
    net->stepped = leader_hears;
}

static void open_led(struct swim_net *net, struct leader *l, uint64_t seed)
{
    struct swim_config config = {.members_max = 0};

    memset(l, 0, sizeof(*l));
    swim_config_shipped(&config);
    swim_net_open(net, HOSTS, &config, seed, true);
    swim_lead(net, l, 0);
    swim_net_run(net, 20 * NANOS_PER_S);
    for (uint32_t i = 0; i < SICK; i++) {
        l->faulty[20 + i * 11] = true;
    }
}

static void close_led(struct swim_net *net, struct leader *l)
{
    swim_net_close(net);
    cut_deinit(&l->cut);
    cut_update_deinit(&l->update);
}

static void expect_exactly_the_faulty(const struct leader *l, uint32_t faulty)
{
    assert_int_equal(l->lost_healthy, 0);
    assert_int_equal(l->lost_faulty, faulty);
    assert_in_range(l->cuts, 1, 2);
}

static void crashes_are_one_cut(void **state)
{
    (void)state;
    struct swim_net net;
    struct leader l;

    open_led(&net, &l, 1);
    for (uint32_t i = 0; i < HOSTS; i++) {
        if (l.faulty[i]) {
            swim_net_crash(&net, i);
        }
    }
    swim_net_run(&net, 6 * NANOS_PER_S);
    expect_exactly_the_faulty(&l, SICK);
    assert_int_equal(l.cuts, 1);
    close_led(&net, &l);
}

static void a_quarter_of_all_is_lost_in_two_cuts_at_most(void **state)
{
    (void)state;
    struct swim_net net;
    struct leader l;

    open_led(&net, &l, 2);
    for (uint32_t i = 0; i < HOSTS; i++) {
        l.faulty[i] = i >= 150;
        if (l.faulty[i]) {
            swim_net_crash(&net, i);
        }
    }
    swim_net_run(&net, 30 * NANOS_PER_S);
    expect_exactly_the_faulty(&l, 50);
    close_led(&net, &l);
}

static bool one_way_flip_flop(struct swim_net *net, uint32_t from, uint32_t to)
{
    const struct leader *l = net->owner;

    (void)from;
    return !l->faulty[to] || net->now / (20 * NANOS_PER_S) % 2 == 0;
}

static void hosts_that_hear_nothing_half_of_the_time_are_cut_once(void **state)
{
    (void)state;
    struct swim_net net;
    struct leader l;

    open_led(&net, &l, 3);
    net.passes = one_way_flip_flop;
    swim_net_run(&net, 240 * NANOS_PER_S);
    expect_exactly_the_faulty(&l, SICK);
    close_led(&net, &l);
}

static void hosts_that_lose_four_in_five_are_cut(void **state)
{
    (void)state;
    for (uint32_t egress = 0; egress < 2; egress++) {
        struct swim_net net;
        struct leader l;

        open_led(&net, &l, 4 + egress);
        for (uint32_t i = 0; i < HOSTS; i++) {
            if (l.faulty[i]) {
                *(egress != 0 ? &net.hosts[i].loss_out : &net.hosts[i].loss_in) = 80;
            }
        }
        swim_net_run(&net, 120 * NANOS_PER_S);
        expect_exactly_the_faulty(&l, SICK);
        close_led(&net, &l);
    }
}

/* Also where no stream passes, and the loss begins at once. */
static void three_tenths_lost_everywhere_cut_nobody(void **state)
{
    (void)state;
    for (uint32_t round = 0; round < 4; round++) {
        struct swim_net net;
        struct leader l;

        open_led(&net, &l, 6 + round);
        for (uint32_t i = 0; i < HOSTS; i++) {
            net.hosts[i].loss_in = round < 2 ? 10 : 30;
            net.hosts[i].tcp_blocked = round % 2 == 0;
        }
        swim_net_run(&net, 300 * NANOS_PER_S);
        assert_int_equal(l.cuts, 0);
        close_led(&net, &l);
    }
}

/* The leader fell with it. Who leads ten seconds later hears of it all the same. */
static void the_next_leader_hears_of_whom_the_last_one_did_not_cut(void **state)
{
    (void)state;
    struct swim_net net;
    struct leader first;
    struct leader second;

    open_led(&net, &first, 7);
    swim_net_crash(&net, 0);
    swim_net_crash(&net, 20);
    swim_net_run(&net, 10 * NANOS_PER_S);
    assert_int_equal(first.cuts, 0);
    cut_deinit(&first.cut);
    cut_update_deinit(&first.update);
    memset(&second, 0, sizeof(second));
    second.faulty[0] = true;
    second.faulty[20] = true;
    swim_lead(&net, &second, 5);
    swim_net_run(&net, 10 * NANOS_PER_S);
    expect_exactly_the_faulty(&second, 2);
    close_led(&net, &second);
}

/* All who condemned it are gone, too, when somebody leads again. */
static void a_dead_host_is_lost_though_its_accusers_started_anew(void **state)
{
    (void)state;
    struct swim_net net;
    struct leader first;
    struct leader second;
    uint32_t by[SWIM_OBSERVERS_MAX];
    uint32_t n = 0;

    open_led(&net, &first, 8);
    for (uint32_t i = 0; i < net.hosts[20].swim.n_edges; i++) {
        by[n++] = (uint32_t)net.hosts[20].swim.edges[i].peer - 1;
    }
    swim_net_crash(&net, 20);
    first.host = HOSTS; /* who led hears nothing any more */
    swim_net_run(&net, 6 * NANOS_PER_S);
    for (uint32_t i = 0; i < n; i++) {
        swim_net_restart(&net, by[i], false);
        swim_net_join(&net, by[i], 199);
    }
    swim_net_run(&net, 40 * NANOS_PER_S);
    cut_deinit(&first.cut);
    cut_update_deinit(&first.update);
    memset(&second, 0, sizeof(second));
    second.faulty[20] = true;
    swim_lead(&net, &second, 199);
    leader_step(&net, &second, (struct cut_event){.kind = CUT_EVENT_DEAD, .id = 21});
    swim_net_run(&net, 60 * NANOS_PER_S);
    expect_exactly_the_faulty(&second, 1);
    close_led(&net, &second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crashes_are_one_cut),
        cmocka_unit_test(a_quarter_of_all_is_lost_in_two_cuts_at_most),
        cmocka_unit_test(hosts_that_hear_nothing_half_of_the_time_are_cut_once),
        cmocka_unit_test(hosts_that_lose_four_in_five_are_cut),
        cmocka_unit_test(three_tenths_lost_everywhere_cut_nobody),
        cmocka_unit_test(a_dead_host_is_lost_though_its_accusers_started_anew),
        cmocka_unit_test(the_next_leader_hears_of_whom_the_last_one_did_not_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
