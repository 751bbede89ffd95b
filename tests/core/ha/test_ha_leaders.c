/* Leaders that follow one another while leases become shorter: whatever one has granted holds, and
 * a host that is cut off runs its machine until it ends. */
#include "tests/support/ha_cluster.h"
#include "tests/support/test.h"

/* Leases of a minute, held; and then an operator wants nine seconds. Five members, and the box of
 * the machine, which does not lead. */
static struct ha_box *cluster_with_long_leases(struct ha_cluster *c, uint64_t seed)
{
    struct ha_box *b = ha_cluster_with_web(c, seed, 5, false);
    struct ha_settings settings = *ha_view_settings(ha_cluster_view(c));

    settings.lease_ms = 60000;
    settings.expiry_max_ms = 120000;
    HA_APPLY(c, &settings);
    ha_cluster_run(c, 20 * NANOS_PER_S);
    settings.lease_ms = 9000;
    HA_APPLY(c, &settings);
    return b;
}

static struct ha_box *next_leader(struct ha_cluster *c, struct ha_box *old)
{
    ha_box_kill(old);
    while (ha_cluster_leader(c) == NULL) {
        ha_cluster_run(c, NANOS_PER_MS);
    }
    return ha_cluster_leader(c);
}

/* It runs there for almost a minute, and elsewhere only after that: P of the long lease. */
static void assert_it_waits_for_the_long_lease(struct ha_cluster *c, const struct ha_box *b)
{
    const nanos began = simworld_now(c->sim);

    assert_string_equal(ha_cluster_lives_on(c, "web"), b->name);
    while (ha_cluster_starts(c, "web") == 1) {
        ha_cluster_run(c, 100 * NANOS_PER_MS);
        assert_true(simworld_now(c->sim) - began < 90 * NANOS_PER_S);
    }
    assert_true(simworld_now(c->sim) - began > 60 * NANOS_PER_S);
    assert_int_equal(ha_cluster_owner(c, "web")->proof, HA_PROOF_EXPIRED);
    assert_true(ha_cluster_wait_vm(c, "web", HA_RUNNING, NULL, 10 * NANOS_PER_S));
}

/* The second grants once, and less, before the host is cut off. */
static void long_lease_holds_after_a_shorter_one_of_the_next_leader(void **state)
{
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = cluster_with_long_leases(&c, 51);
    (void)next_leader(&c, ha_cluster_leader(&c));
    ha_cluster_run(&c, 2 * NANOS_PER_S);
    ha_box_isolate(b, true);
    assert_it_waits_for_the_long_lease(&c, b);
    ha_cluster_deinit(&c);
}

/* The second hears nothing of the host, and dies. */
static void long_lease_holds_beyond_the_leader_after_the_next(void **state)
{
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = cluster_with_long_leases(&c, 52);
    struct ha_box *first = ha_cluster_leader(&c);
    ha_box_isolate(b, true);
    struct ha_box *second = next_leader(&c, first);
    ha_cluster_run(&c, NANOS_PER_S);
    ha_box_start(first);
    ha_cluster_run(&c, NANOS_PER_S);
    (void)next_leader(&c, second);
    assert_it_waits_for_the_long_lease(&c, b);
    ha_cluster_deinit(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_lease_holds_after_a_shorter_one_of_the_next_leader),
        cmocka_unit_test(long_lease_holds_beyond_the_leader_after_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
