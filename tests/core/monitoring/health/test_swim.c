#include "core/monitoring/health/swim.h"

#include "tests/core/monitoring/health/swim_net.h"
#include "tests/support/test.h"

#include <string.h>

typedef void (*preset)(struct swim_config *config);

static const preset presets[] = {swim_config_plain, swim_config_lifeguard, swim_config_shipped};

static struct swim_config preset_config(size_t which)
{
    struct swim_config config = {.members_max = 0};

    presets[which](&config);
    return config;
}

static void swim_check_hosts(struct swim_net *net)
{
    for (uint32_t i = 0; i < net->n; i++) {
        if (net->hosts[i].is_up) {
            swim_check(&net->hosts[i].swim);
        }
    }
}

static void those_who_join_by_one_seed_know_all(void **state)
{
    (void)state;
    for (size_t which = 0; which < COUNT_OF(presets); which++) {
        struct swim_config config = preset_config(which);
        struct swim_net net;

        swim_net_open(&net, 16, &config, 7 + which, false);
        for (uint32_t i = 1; i < net.n; i++) {
            swim_net_join(&net, i, 0);
        }
        assert_true(swim_net_run_until(&net, 5 * NANOS_PER_S, swim_net_is_settled));
        swim_check_hosts(&net);
        swim_net_close(&net);
    }
}

static void a_crashed_member_is_dead_for_all(void **state)
{
    (void)state;
    for (size_t which = 0; which < COUNT_OF(presets); which++) {
        struct swim_config config = preset_config(which);
        struct swim_net net;

        swim_net_open(&net, 16, &config, 17 + which, true);
        swim_net_run(&net, 5 * NANOS_PER_S);
        swim_net_crash(&net, 3);
        swim_net_run(&net, 60 * NANOS_PER_S);
        assert_int_equal(swim_net_count(&net, 3, SWIM_DEAD), 15);
        assert_true(swim_net_is_settled(&net));
        swim_check_hosts(&net);
        swim_net_close(&net);
    }
}

static uint32_t deaths_seen;

static void count_deaths(struct swim_net *net, uint32_t host, const struct swim_change *change)
{
    (void)net;
    (void)host;
    deaths_seen += change->kind == SWIM_DIED ? 1 : 0;
}

static void nobody_dies_where_nothing_fails(void **state)
{
    (void)state;
    for (size_t which = 0; which < COUNT_OF(presets); which++) {
        struct swim_config config = preset_config(which);
        struct swim_net net;

        deaths_seen = 0;
        swim_net_open(&net, 32, &config, 27 + which, true);
        net.changed = count_deaths;
        for (uint32_t i = 0; i < net.n; i++) {
            net.hosts[i].loss_in = 5;
        }
        swim_net_run(&net, 300 * NANOS_PER_S);
        assert_int_equal(deaths_seen, 0);
        swim_net_close(&net);
    }
}

static bool one_has_left(struct swim_net *net)
{
    return swim_net_count(net, 2, SWIM_LEFT) == net->n - 1;
}

static void who_leaves_is_gone_at_once_and_not_dead(void **state)
{
    (void)state;
    for (size_t which = 0; which < COUNT_OF(presets); which++) {
        struct swim_config config = preset_config(which);
        struct swim_event leave = {.kind = SWIM_EVENT_LEAVE};
        struct swim_net net;

        deaths_seen = 0;
        swim_net_open(&net, 12, &config, 37 + which, true);
        net.changed = count_deaths;
        swim_net_run(&net, 3 * NANOS_PER_S);
        swim_net_step(&net, 2, &leave);
        assert_true(swim_net_run_until(&net, 2 * NANOS_PER_S, one_has_left));
        swim_net_run(&net, 5 * NANOS_PER_S);
        assert_true(swim_has_left(&net.hosts[2].swim));
        swim_net_crash(&net, 2);
        swim_net_run(&net, 60 * NANOS_PER_S);
        assert_int_equal(deaths_seen, 0);
        assert_true(one_has_left(&net));
        swim_net_close(&net);
    }
}

static bool one_is_known_at_its_new_address(struct swim_net *net)
{
    for (uint32_t i = 0; i < net->n; i++) {
        const struct swim_member *m = swim_find(&net->hosts[i].swim, 5);

        if (m == NULL || m->state != SWIM_ALIVE || m->at.port != net->hosts[4].at.port) {
            return false;
        }
    }
    return true;
}

static void a_restart_at_a_new_address_is_accepted_in_a_second(void **state)
{
    (void)state;
    for (size_t which = 0; which < COUNT_OF(presets); which++) {
        for (int after_death = 0; after_death < 2; after_death++) {
            struct swim_config config = preset_config(which);
            struct swim_net net;

            swim_net_open(&net, 10, &config, 47 + which, true);
            swim_net_run(&net, 3 * NANOS_PER_S);
            swim_net_crash(&net, 4);
            swim_net_run(&net, after_death != 0 ? 60 * NANOS_PER_S : 100 * NANOS_PER_MS);
            swim_net_restart(&net, 4, true);
            swim_net_join(&net, 4, 0);
            assert_true(swim_net_run_until(&net, NANOS_PER_S, one_is_known_at_its_new_address));
            swim_net_run(&net, 60 * NANOS_PER_S);
            assert_true(one_is_known_at_its_new_address(&net));
            swim_check_hosts(&net);
            swim_net_close(&net);
        }
    }
}

static void halves_find_each_other_after_any_time(void **state)
{
    (void)state;
    const nanos spans[] = {10 * NANOS_PER_S, 60 * NANOS_PER_S, 7200 * NANOS_PER_S,
                           25 * 3600 * NANOS_PER_S};
    for (size_t which = 0; which < COUNT_OF(presets); which++) {
        for (size_t i = 0; i < COUNT_OF(spans); i++) {
            struct swim_config config = preset_config(which);
            struct swim_net net;

            swim_net_open(&net, 6, &config, 57 + i, true);
            for (uint32_t k = 0; k < net.n; k++) {
                net.hosts[k].group = k % 2;
            }
            swim_net_run(&net, 3 * NANOS_PER_S);
            net.is_split = true;
            swim_net_run(&net, spans[i]);
            net.is_split = false;
            assert_true(swim_net_run_until(&net, 90 * NANOS_PER_S, swim_net_is_settled));
            swim_net_close(&net);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_who_join_by_one_seed_know_all),
        cmocka_unit_test(a_crashed_member_is_dead_for_all),
        cmocka_unit_test(nobody_dies_where_nothing_fails),
        cmocka_unit_test(who_leaves_is_gone_at_once_and_not_dead),
        cmocka_unit_test(a_restart_at_a_new_address_is_accepted_in_a_second),
        cmocka_unit_test(halves_find_each_other_after_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
