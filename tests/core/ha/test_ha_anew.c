/* What begins anew in a cluster that goes on: views that are read again, and a host under the name
 * of another. */
#include "tests/support/ha_cluster.h"
#include "tests/support/test.h"

static void members_read_anew(struct ha_cluster *c)
{
    for (uint32_t i = 0; i < c->n; i++) {
        if (c->box[i].node != NULL) {
            const struct ha_store *store = node_ha_store(c->box[i].store);
            store->ops->anew(store->self);
        }
    }
}

/* In the middle of whatever they do, the leader's too: nothing is forgotten by it. */
static void members_that_read_everything_anew_go_on(void **state)
{
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = ha_cluster_with_web(&c, 28, 3, true);
    for (uint32_t i = 0; i < 100; i++) {
        members_read_anew(&c);
        ha_cluster_run(&c, 37 * NANOS_PER_MS);
    }
    assert_int_equal(ha_cluster_starts(&c, "web"), 1);
    b->stays_down = true;
    ha_box_power_off(b);
    for (uint32_t i = 0; i < 200; i++) {
        members_read_anew(&c);
        ha_cluster_run(&c, 37 * NANOS_PER_MS);
    }
    assert_true(ha_cluster_wait_vm(&c, "web", HA_RUNNING, NULL, NANOS_PER_S));
    assert_int_equal(ha_cluster_starts(&c, "web"), 2);
    ha_cluster_deinit(&c);
}

/* A host is cut off and runs its machine on; another is put in its place, under its name, as
 * another member. It finds nothing, and that proves nothing: an operator does. */
static void host_that_takes_a_lost_ones_name_proves_nothing_about_it(void **state)
{
    struct ha_cluster c;
    struct ha_confirmed confirmed;
    (void)state;
    struct ha_box *b = ha_cluster_with_web(&c, 27, 3, false);
    struct ha_host host = *ha_view_host(ha_cluster_view(&c), b->name);
    host.is_bare_metal = false; /* so that time says nothing */
    HA_APPLY(&c, &host);
    b->stays_down = true;
    ha_box_power_off(b);
    assert_true(ha_cluster_wait_vm(&c, "web", HA_RECOVERING, NULL, 30 * NANOS_PER_S));
    struct ha_agent_record record = *ha_view_agent(ha_cluster_view(&c), b->name);
    record.member = 77; /* who has written it is no member any more */
    HA_APPLY(&c, &record);
    b->stays_down = false;
    ha_box_start(b);
    ha_cluster_run(&c, 60 * NANOS_PER_S);
    assert_int_equal(ha_cluster_owner(&c, "web")->phase, HA_RECOVERING);
    assert_int_equal(strncmp(ha_cluster_owner(&c, "web")->reason, "unproven", 8), 0);
    assert_int_equal(ha_cluster_fate(&c, b->name)->phase, HA_HOST_LOST);
    assert_int_equal(ha_cluster_starts(&c, "web"), 1);

    ha_record_defaults(HA_CONFIRMED, &confirmed);
    ha_text_set(confirmed.host, HA_NAME_BYTES, b->name);
    ha_text_set(confirmed.incident, HA_NAME_BYTES, ha_cluster_fate(&c, b->name)->incident);
    ha_text_set(confirmed.by, HA_NAME_BYTES, "eve");
    ha_text_set(confirmed.reason, HA_TEXT_BYTES, "the old one is in the workshop");
    HA_APPLY(&c, &confirmed);
    assert_true(ha_cluster_wait_vm(&c, "web", HA_RUNNING, NULL, 10 * NANOS_PER_S));
    assert_int_equal(ha_cluster_owner(&c, "web")->proof, HA_PROOF_CONFIRMED);
    assert_true(ha_cluster_wait_fate(&c, b->name, HA_HOST_UP, 10 * NANOS_PER_S));
    ha_cluster_deinit(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_that_read_everything_anew_go_on),
        cmocka_unit_test(host_that_takes_a_lost_ones_name_proves_nothing_about_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
