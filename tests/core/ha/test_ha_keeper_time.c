/* What a manager knows by time alone: when the leases are over that it or a leader before it has
 * granted, and when nothing that was on its way lands any more. */
#include "core/ha/ha_keeper_int.h"
#include "tests/core/ha/keeper_bench.h"
#include "tests/support/test.h"

/* The leader before had granted leases of a minute, as the token says that it wrote. */
static void inherit_minute(struct keeper_bench *b)
{
    ha_view_advance(&b->view, b->view.revision + 1);
    ha_keeper_token_seen(b->keeper, (int64_t)b->view.revision,
                         ha_bytes_of("{\"term\":2,\"lease_ms\":60000}"));
    ha_keeper_begin(b->keeper, 3);
}

static void put_phase(struct keeper_bench *b, enum ha_fate_phase phase, enum ha_proof proof)
{
    struct ha_fate fate;

    ha_record_defaults(HA_FATE, &fate);
    ha_text_set(fate.host, sizeof(fate.host), "b");
    fate.phase = phase;
    fate.proof = proof;
    fate.term = 3;
    VIEW_PUT(&b->view, &fate);
}

static struct ha_ruling ruling_now(struct keeper_bench *b, const char *vm)
{
    struct ha_ruling ruling;

    ha_keeper_step(b->keeper);
    ha_keeper_rule(b->keeper, ha_view_owner(&b->view, vm), &ruling);
    return ruling;
}

/* A lease is never shortened, by whoever grants another. */
static void a_grant_does_not_end_the_longer_lease_of_the_leader_before(void **state)
{
    struct keeper_bench b;
    (void)state;
    keeper_open(&b);
    put_covered(&b, "b");
    inherit_minute(&b);
    keeper_take(&b);
    const nanos since = simworld_now(b.sim);
    put_owned(&b, "web", HA_RECOVERING, "b", 6, true);
    keeper_run(&b, 2 * NANOS_PER_S);
    grant_once(&b, "b");
    put_phase(&b, HA_HOST_LOST, HA_PROOF_NONE);
    keeper_run(&b, NANOS_PER_S);
    /* L, W and D, without the drifts. */
    const nanos least = since + (60 + 5 + 5) * NANOS_PER_S;
    struct ha_ruling ruling = ruling_now(&b, "web");
    assert_int_equal(ruling.missing, HA_MISSING_TIME);
    assert_in_range(simworld_now(b.sim) + ruling.left, least, least + NANOS_PER_S);
    /* One that is granted after that one has ended is all that counts. */
    put_phase(&b, HA_HOST_UP, HA_PROOF_NONE);
    keeper_run(&b, 60 * NANOS_PER_S);
    grant_once(&b, "b");
    put_phase(&b, HA_HOST_LOST, HA_PROOF_NONE);
    ruling = ruling_now(&b, "web");
    assert_in_range(ruling.left, 19 * NANOS_PER_S, 20 * NANOS_PER_S);
    keeper_close(&b);
}

/* The one after it knows only what the token says. */
static void the_token_tells_of_longer_leases_until_they_are_over(void **state)
{
    struct keeper_bench b;
    struct ha_settings settings;
    (void)state;
    keeper_open(&b);
    inherit_minute(&b);
    ha_keeper_step(b.keeper);
    assert_true(one_is_about(&b, "\"lease_ms\":60000"));
    keeper_take(&b);
    assert_int_equal(ha_keeper_lease(b.keeper), 9 * NANOS_PER_S);
    keeper_run(&b, 30 * NANOS_PER_S);
    b.n = 0;
    /* Even when they are as long again in between. */
    ha_record_defaults(HA_SETTINGS, &settings);
    settings.lease_ms = 50000;
    VIEW_PUT(&b.view, &settings);
    keeper_run(&b, 20 * NANOS_PER_S);
    assert_int_equal(ha_keeper_lease(b.keeper), 50 * NANOS_PER_S);
    settings.lease_ms = 9000;
    VIEW_PUT(&b.view, &settings);
    keeper_run(&b, 59 * NANOS_PER_S);
    assert_false(one_is_about(&b, "\"lease_ms\":9000"));
    keeper_run(&b, 2 * NANOS_PER_S);
    assert_true(one_is_about(&b, "\"lease_ms\":9000"));
    keeper_close(&b);
}

/* A member that leads again has granted leases itself, as the token says which is its own. */
static void who_leads_again_inherits_from_itself(void **state)
{
    struct keeper_bench b;
    (void)state;
    keeper_open(&b);
    inherit_minute(&b);
    keeper_take(&b); /* as somebody has it who has written 9000 */
    b.keeper->token_lease = 9 * NANOS_PER_S;
    const struct bytes longer = ha_bytes_of("{\"term\":3,\"lease_ms\":90000}");
    ha_keeper_token_seen(b.keeper, b.keeper->token, longer);
    ha_keeper_end(b.keeper);
    ha_keeper_begin(b.keeper, 4);
    assert_int_equal(b.keeper->inherited_lease, 90 * NANOS_PER_S);
    /* Nor does it forget when somebody deletes the token. */
    ha_keeper_token_seen(b.keeper, 0, ha_bytes_of(""));
    ha_keeper_end(b.keeper);
    ha_keeper_begin(b.keeper, 5);
    assert_int_equal(b.keeper->inherited_lease, 90 * NANOS_PER_S);
    keeper_close(&b);
}

static void put_storage(struct keeper_bench *b, const char *name, uint32_t flight_ms)
{
    struct ha_storage storage;

    ha_record_defaults(HA_STORAGE, &storage);
    ha_text_set(storage.name, sizeof(storage.name), name);
    ha_text_set(storage.type, sizeof(storage.type), "nfs");
    ha_text_set(storage.path, sizeof(storage.path), "/srv");
    storage.flight_ms = flight_ms;
    VIEW_PUT(&b->view, &storage);
}

/* Nobody knows on which storage it was: on the slowest there is. */
static void a_deleted_machine_is_let_go_by_time(void **state)
{
    struct keeper_bench b;
    (void)state;
    keeper_open(&b);
    put_covered(&b, "b");
    put_storage(&b, "slow", 20000);
    keeper_take(&b);
    put_owned(&b, "web", HA_RECOVERING, "b", 6, true);
    view_delete_key(&b.view, "/novacron/vms/web");
    put_phase(&b, HA_HOST_LOST, HA_PROOF_NONE);
    keeper_run(&b, 33 * NANOS_PER_S);
    assert_int_equal(ruling_now(&b, "web").missing, HA_MISSING_TIME);
    assert_false(one_is_about(&b, "vm-deleted"));
    b.n = 0;
    keeper_run(&b, 2 * NANOS_PER_S);
    assert_true(one_is_about(&b, "vm-deleted"));
    keeper_close(&b);
}

static void a_deleted_machine_is_let_go_by_a_fence(void **state)
{
    struct keeper_bench b;
    (void)state;
    keeper_open(&b);
    put_storage(&b, "slow", 20000);
    keeper_take(&b);
    put_owned(&b, "web", HA_RECOVERING, "b", 6, true);
    view_delete_key(&b.view, "/novacron/vms/web");
    put_phase(&b, HA_HOST_GONE, HA_PROOF_FENCED);
    keeper_run(&b, 19 * NANOS_PER_S);
    assert_int_equal(ruling_now(&b, "web").missing, HA_MISSING_FLIGHT);
    assert_false(one_is_about(&b, "vm-deleted"));
    keeper_run(&b, 2 * NANOS_PER_S);
    assert_true(one_is_about(&b, "vm-deleted"));
    keeper_close(&b);
}

/* What cannot be read is not known, and a fence that was before it proves nothing of it. */
static void a_flight_that_is_not_known_is_never_over(void **state)
{
    struct keeper_bench b;
    (void)state;
    keeper_open(&b);
    keeper_take(&b);
    put_owned(&b, "web", HA_RECOVERING, "b", 6, true);
    view_put_text(&b.view, "/novacron/storages/nfs", "{\"flight_ms\":\"soon\"}");
    put_phase(&b, HA_HOST_GONE, HA_PROOF_FENCED); /* later than both */
    keeper_run(&b, 60 * NANOS_PER_S);
    const struct ha_ruling ruling = ruling_now(&b, "web");
    assert_int_equal(ruling.proof, HA_PROOF_NONE);
    assert_int_equal(ruling.missing, HA_MISSING_BOUND);
    assert_true(one_is_about(&b, "\"reason\":\"unproven: "));
    keeper_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_grant_does_not_end_the_longer_lease_of_the_leader_before),
        cmocka_unit_test(the_token_tells_of_longer_leases_until_they_are_over),
        cmocka_unit_test(who_leads_again_inherits_from_itself),
        cmocka_unit_test(a_deleted_machine_is_let_go_by_time),
        cmocka_unit_test(a_deleted_machine_is_let_go_by_a_fence),
        cmocka_unit_test(a_flight_that_is_not_known_is_never_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
