/* What failures cost a machine, as it is measured; and the arithmetic of a year. */
#include <string.h>

#include "core/chaos/scenario/outage.h"
#include "tests/support/test.h"

static struct outage_rates nothing_fails(void)
{
    struct outage_rates r = outage_rates_default();

    r.host_mtbf_h = r.network_mtbf_h = r.disk_mtbf_h = 0;
    r.controller_mtbf_h = r.outlet_mtbf_h = r.daemon_mtbf_h = r.vm_mtbf_h = r.storage_mtbf_h = 0;
    return r;
}

static bool is_near(double a, double b)
{
    double least = b * (1 - 1e-9) - 1e-12;
    double most = b * (1 + 1e-9) + 1e-12;

    return a >= least && a <= most;
}

static double minutes_of(const struct outage_sum *sum, const char *cause)
{
    for (size_t i = 0; i < sum->n; i++) {
        if (strcmp(sum->causes[i].name, cause) == 0) {
            return sum->causes[i].minutes;
        }
    }
    fail_msg("there is no cause '%s'", cause);
    return 0;
}

static void where_nothing_fails_nothing_is_lost(void **state)
{
    struct outage_mean means[OUTAGE_KINDS] = {{.mean_s = 100, .restarted = 1}};
    const struct outage_rates r = nothing_fails();
    struct outage_sum sum;
    (void)state;
    outage_year(&r, means, &sum);
    assert_true(is_near(sum.minutes, 0) && is_near(sum.availability, 1));
}

static void rates_times_costs_and_boots_make_a_year(void **state)
{
    struct outage_mean means[OUTAGE_KINDS];
    struct outage_rates r = nothing_fails();
    struct outage_sum sum;
    (void)state;
    memset(means, 0, sizeof means);
    means[OUTAGE_VM_CRASH] = (struct outage_mean){.mean_s = 40, .restarted = 0.5};
    r.vm_mtbf_h = HOURS_A_YEAR / 3; /* three times a year, 40 s and half a boot of 20 s each */
    r.guest_boot_s = 20;
    outage_year(&r, means, &sum);
    assert_true(is_near(sum.minutes, 3 * 50 / 60.0));
    assert_true(is_near(minutes_of(&sum, "its own process crashes"), sum.minutes));
    assert_true(is_near(sum.availability, 1 - sum.minutes / MINUTES_A_YEAR));
}

/* Three hosts, each down for a share u of the time: 3 u^2 (1 - u) + u^3 without a majority. */
static void a_majority_is_lost_by_the_binomial(void **state)
{
    struct outage_mean means[OUTAGE_KINDS];
    struct outage_rates r = nothing_fails();
    struct outage_sum sum;
    (void)state;
    memset(means, 0, sizeof means);
    r.host_mtbf_h = 900;
    r.host_repair_h = 100;
    outage_year(&r, means, &sum);
    assert_true(is_near(sum.minutes, (3 * 0.01 * 0.9 + 0.001) * MINUTES_A_YEAR));
    r.hosts = 5; /* three of five: 10 u^3 (1 - u)^2 + 5 u^4 (1 - u) + u^5 */
    outage_year(&r, means, &sum);
    assert_true(
        is_near(sum.minutes, (10 * 0.001 * 0.81 + 5 * 0.0001 * 0.9 + 0.00001) * MINUTES_A_YEAR));
}

/* Controllers that are down when a host is lost make it the outlet's turn, or that of time. */
static void dead_devices_weigh_by_the_time_that_they_are_dead(void **state)
{
    struct outage_mean means[OUTAGE_KINDS];
    struct outage_rates r = nothing_fails();
    struct outage_sum sum;
    (void)state;
    memset(means, 0, sizeof means);
    means[OUTAGE_HOST_OFF].mean_s = 6;
    means[OUTAGE_LEADER_OFF].mean_s = 9;
    means[OUTAGE_NO_CONTROLLER].mean_s = 60;
    means[OUTAGE_NO_DEVICE].mean_s = 600;
    r.host_mtbf_h = HOURS_A_YEAR;
    r.hang_share = r.mains_share = 0;
    r.controller_mtbf_h = 90;
    r.controller_repair_h = 10; /* a tenth of the time */
    r.outlet_mtbf_h = 80;
    r.outlet_repair_h = 20; /* a fifth */
    outage_year(&r, means, &sum);
    assert_true(
        is_near(minutes_of(&sum, "its host is lost"), (0.9 * 7 + 0.08 * 60 + 0.02 * 600) / 60));
}

static void what_makes_no_sense_is_refused(void **state)
{
    struct outage_rates r = outage_rates_default();
    (void)state;
    assert_null(outage_rates_check(&r));
    assert_null(outage_rate_find(&r, "hosts_", 6));
    *outage_rate_find(&r, "hosts", 5) = 2;
    assert_non_null(outage_rates_check(&r));
    r = outage_rates_default();
    r.vm_mtbf_h = -1;
    assert_non_null(outage_rates_check(&r));
    r = outage_rates_default();
    r.hang_share = 0.7;
    r.mains_share = 0.7;
    assert_non_null(outage_rates_check(&r));
}

/* Bounds that are wide: what is measured is a failure's, and not another's. */
static void failures_cost_what_they_must(void **state)
{
    static const struct {
        enum outage_kind kind;
        nanos least;
        nanos most;
        bool is_restarted;
    } rows[] = {
        {OUTAGE_HOST_OFF, 2 * NANOS_PER_S, 12 * NANOS_PER_S, true},
        {OUTAGE_LEADER_OFF, 2 * NANOS_PER_S, 15 * NANOS_PER_S, true},
        {OUTAGE_NO_DEVICE, 12 * NANOS_PER_S, 25 * NANOS_PER_S, true},
        {OUTAGE_VM_CRASH, NANOS_PER_S / 2, 3 * NANOS_PER_S, true},
        {OUTAGE_DAEMON, 0, NANOS_PER_S / 10, false},
        {OUTAGE_OTHER_HOST, 0, NANOS_PER_S / 10, false},
    };
    struct sim_result result;
    struct outage outage;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_true(outage_measure(rows[i].kind, 3, 5, &outage, &result));
        assert_true(outage.span >= rows[i].least && outage.span <= rows[i].most);
        assert_true(outage.was_restarted == rows[i].is_restarted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(where_nothing_fails_nothing_is_lost),
        cmocka_unit_test(rates_times_costs_and_boots_make_a_year),
        cmocka_unit_test(a_majority_is_lost_by_the_binomial),
        cmocka_unit_test(dead_devices_weigh_by_the_time_that_they_are_dead),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(failures_cost_what_they_must),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
