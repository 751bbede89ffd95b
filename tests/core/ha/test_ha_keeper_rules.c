/* What a manager must never do: it decides by its token alone, trusts no host that was lost too
 * often or whose device has changed, and waits for the outcomes that it does not know. */
#include "core/base/mem.h"
#include "core/ha/ha_keeper_int.h"
#include "tests/core/ha/keeper_bench.h"
#include "tests/support/test.h"

/* --- the token -------------------------------------------------------------------------------- */

/* Whatever it decides: a machine to place, one that has ended, one that is to stop, one that failed
 * and is asked for, one deleted; a host that is lost, and one that is to be fenced; old events. */
static void no_transaction_is_without_the_guard_of_the_token(void **state)
{
    struct keeper_bench b;
    (void)state;
    keeper_open(&b);
    keeper_take(&b);
    const int64_t token = (int64_t)b.view.revision;
    const struct ha_vm fresh = vm_named("fresh", 10);
    VIEW_PUT(&b.view, &fresh);
    put_owned(&b, "ended", HA_RUNNING, "a", 5, true);
    struct ha_report report = {.epoch = 5, .boot = 1, .state = HA_REPORT_STOPPED};
    ha_text_set(report.host, sizeof(report.host), "a");
    ha_text_set(report.vm, sizeof(report.vm), "ended");
    report.end = WORLD_VM_CRASHED;
    VIEW_PUT(&b.view, &report);
    put_owned(&b, "unwanted", HA_RUNNING, "a", 6, false);
    put_owned(&b, "failed", HA_FAILED, "a", 7, true);
    struct ha_vm again = vm_named("failed", 10);
    again.start_count = 1;
    VIEW_PUT(&b.view, &again);
    const struct ha_owner deleted = owner_of("deleted", HA_STOPPED, "a", 8);
    VIEW_PUT(&b.view, &deleted);
    put_owned(&b, "there", HA_RUNNING, "b", 9, true);
    struct ha_host host = host_named("a", 1000, 4);
    host.fence_count = 1;
    VIEW_PUT(&b.view, &host);
    /* "a" renews, and "b" is lost: cut, and silent. */
    keeper_run(&b, 2 * NANOS_PER_S);
    ha_keeper_cut(b.keeper, 2, true);
    keeper_run(&b, 5 * NANOS_PER_S);
    static const char *const written[] = {
        "/novacron/owners/ended",   "/novacron/owners/unwanted", "/novacron/owners/failed",
        "/novacron/owners/deleted", "/novacron/fates/a",         "/novacron/fates/b",
    };
    for (size_t i = 0; i < COUNT_OF(written); i++) {
        if (!one_is_about(&b, written[i])) {
            fail_msg("nothing was decided about %s", written[i]);
        }
    }
    all_are_guarded(&b, token);
    keeper_close(&b);
}

/* Once another manager has begun, it decides nothing at all. */
static void who_has_lost_the_token_decides_nothing(void **state)
{
    struct keeper_bench b;
    (void)state;
    keeper_open(&b);
    keeper_take(&b);
    keeper_run(&b, 100 * NANOS_PER_MS);
    assert_true(ha_keeper_leads(b.keeper));
    b.n = 0; /* the fates of new hosts, and the like */
    ha_keeper_token_seen(b.keeper, (int64_t)b.view.revision + 1, ha_bytes_of("{\"term\":4}"));
    put_owned(&b, "unwanted", HA_RUNNING, "a", 6, false);
    ha_keeper_cut(b.keeper, 2, true);
    keeper_run(&b, 5 * NANOS_PER_S);
    assert_int_equal(b.n, 0);
    assert_false(ha_keeper_leads(b.keeper));
    keeper_close(&b);
}

/* --- hosts that are not trusted --------------------------------------------------------------- */

/* One of two hosts may be in quarantine. That it was to be, and its record was not written, is no
 * reason why it may not. */
static void a_quarantine_that_was_not_written_is_none(void **state)
{
    struct keeper_bench b;
    (void)state;
    keeper_open(&b);
    put_fate(&b, "b", 2, false, false);
    keeper_take(&b);
    ha_keeper_cut(b.keeper, 2, true);
    for (uint32_t i = 0; i < 3; i++) {
        keeper_run(&b, 500 * NANOS_PER_MS);
        assert_true(one_is_about(&b, "/novacron/fates/b"));
        assert_true(one_is_about(&b, "\"losses\":3"));
        assert_true(one_is_about(&b, "\"quarantined\":true"));
        answer_about(&b, "/novacron/fates/b", HA_TXN_REFUSED);
    }
    keeper_close(&b);
}

/* One of two hosts is set aside already, since nothing starts there: were the other in quarantine,
 * no machine would have a host. */
static void a_host_is_trusted_while_half_of_them_are_tripped(void **state)
{
    struct keeper_bench b;
    (void)state;
    keeper_open(&b);
    put_fate(&b, "a", 0, false, true);
    put_fate(&b, "b", 2, false, false);
    keeper_take(&b);
    ha_keeper_cut(b.keeper, 2, true);
    keeper_run(&b, 500 * NANOS_PER_MS);
    assert_true(one_is_about(&b, "/novacron/fates/b"));
    assert_true(one_is_about(&b, "\"losses\":3"));
    assert_false(one_is_about(&b, "\"quarantined\":true"));
    keeper_close(&b);
}

/* What it says to people is why it gets no machine, whichever of two reasons is over. */
static void a_host_that_may_be_tried_again_tells_of_its_quarantine(void **state)
{
    struct keeper_bench b;
    struct ha_renew renew = {.boot = 1};
    (void)state;
    keeper_open(&b);
    ha_text_set(renew.host, sizeof(renew.host), "b");
    put_fate(&b, "b", 3, true, true);
    keeper_take(&b);
    for (uint32_t i = 0; i < 120; i++) {
        renew.number++;
        ha_lessor_arrived(&b.lessor, simworld_now(b.sim), 2, &renew);
        keeper_run(&b, NANOS_PER_S);
    }
    assert_true(one_is_about(&b, "host-tried-again"));
    assert_true(one_is_about(&b, "\"reason\":\"quarantined: it was lost 3 times of late"));
    keeper_close(&b);
}

/* --- outcomes that are unknown ---------------------------------------------------------------- */

/* A leader with two machines, of each of which its start has been decided. */
static void keeper_start_two(struct keeper_bench *b)
{
    const struct ha_vm first = vm_named("first", 10);
    const struct ha_vm second = vm_named("second", 10);
    struct ha_renew renew = {.boot = 1, .number = 1};

    keeper_open(b);
    VIEW_PUT(&b->view, &first);
    VIEW_PUT(&b->view, &second);
    keeper_take(b);
    ha_text_set(renew.host, sizeof(renew.host), "b");
    ha_lessor_arrived(&b->lessor, simworld_now(b->sim), 2, &renew);
    keeper_run(b, 20 * NANOS_PER_MS);
    assert_true(one_is_about(b, "/novacron/owners/first"));
    assert_true(one_is_about(b, "/novacron/owners/second"));
    assert_null(b->barrier);
}

/* A quorum's word says that this member leads, and not what becomes of its log. */
static void what_is_unknown_waits_for_a_barrier(void **state)
{
    struct keeper_bench b;
    (void)state;
    keeper_start_two(&b);
    answer_about(&b, "/novacron/owners/first", HA_TXN_UNKNOWN);
    for (uint32_t i = 0; i < 100; i++) {
        keeper_run(&b, 20 * NANOS_PER_MS);
        answer_confirm(&b);
        assert_false(one_is_about(&b, "/novacron/owners/first"));
    }
    /* Refused, it is asked for again, at its leisure. */
    answer_barrier(&b, ERR_NOT_LEADER);
    ha_keeper_step(b.keeper);
    assert_null(b.barrier);
    keeper_run(&b, HA_DEED_AGAIN);
    assert_false(one_is_about(&b, "/novacron/owners/first"));
    answer_barrier(&b, OK);
    keeper_run(&b, 20 * NANOS_PER_MS);
    assert_true(one_is_about(&b, "/novacron/owners/first"));
    assert_null(b.barrier);
    keeper_close(&b);
}

/* Its entry may be behind that barrier. */
static void a_barrier_frees_nothing_that_became_unknown_after_it_began(void **state)
{
    struct keeper_bench b;
    (void)state;
    keeper_start_two(&b);
    answer_about(&b, "/novacron/owners/first", HA_TXN_UNKNOWN);
    keeper_run(&b, 20 * NANOS_PER_MS);
    answer_about(&b, "/novacron/owners/second", HA_TXN_UNKNOWN);
    answer_barrier(&b, OK);
    keeper_run(&b, 20 * NANOS_PER_MS);
    assert_true(one_is_about(&b, "/novacron/owners/first"));
    assert_false(one_is_about(&b, "/novacron/owners/second"));
    answer_barrier(&b, OK);
    keeper_run(&b, 20 * NANOS_PER_MS);
    assert_true(one_is_about(&b, "/novacron/owners/second"));
    assert_null(b.barrier);
    keeper_close(&b);
}

/* --- incidents -------------------------------------------------------------------------------- */

/* Somebody has put one that has no room left. It is closed, and its newest step is its end. */
static void an_incident_without_room_is_closed(void **state)
{
    struct keeper_bench b;
    struct ha_incident *incident = mem_alloc_zero(sizeof(*incident));
    (void)state;
    keeper_open(&b);
    keeper_take(&b);
    ha_record_defaults(HA_INCIDENT, incident);
    ha_text_set(incident->id, sizeof(incident->id), "inc-7");
    ha_text_set(incident->host, sizeof(incident->host), "b");
    ha_text_set(incident->trace, sizeof(incident->trace), "0123456789abcdef0123456789abcdef");
    incident->n_steps = HA_STEPS_MAX;
    for (uint32_t i = 0; i < HA_STEPS_MAX; i++) {
        ha_text_set(incident->steps[i].what, sizeof(incident->steps[i].what), "told");
    }
    VIEW_PUT(&b.view, incident);
    keeper_run(&b, 100 * NANOS_PER_MS);
    assert_true(one_is_about(&b, "\"closed\":true"));
    assert_non_null(b.keeper->incidents);
    assert_int_equal(b.keeper->incidents->record.n_steps, HA_STEPS_MAX);
    assert_string_equal(b.keeper->incidents->record.steps[HA_STEPS_MAX - 1].what, "closed");
    keeper_close(&b);
    mem_free(incident);
}

/* --- tests of devices ------------------------------------------------------------------------- */

static void renew_until(struct keeper_bench *b, nanos span)
{
    struct ha_renew renew = {.boot = 1};
    const nanos until = simworld_now(b->sim) + span;

    ha_text_set(renew.host, sizeof(renew.host), "b");
    while (simworld_now(b->sim) < until) {
        renew.number++;
        ha_lessor_arrived(&b->lessor, simworld_now(b->sim), 2, &renew);
        keeper_run(b, u64_min(NANOS_PER_S / 2, until - simworld_now(b->sim)));
    }
}

static void put_tested_device(struct keeper_bench *b, uint32_t timeout_ms)
{
    struct ha_device device;

    ha_record_defaults(HA_DEVICE, &device);
    ha_text_set(device.name, sizeof(device.name), "b");
    ha_text_set(device.agent, sizeof(device.agent), "fence_simulated");
    device.timeout_ms = timeout_ms;
    VIEW_PUT(&b->view, &device);
}

static bool is_tested(const struct keeper_bench *b)
{
    return ha_keeper_is_tested(b->keeper, ha_view_host(&b->view, "b"));
}

/* An answer is one of the device as its record was when it was asked. */
static void a_device_that_was_replaced_is_tested_anew_and_at_once(void **state)
{
    struct keeper_bench b;
    (void)state;
    keeper_open(&b);
    (void)simhost_new(b.sim, "b", 1 << 20); /* and its device */
    put_tested_device(&b, 5000);
    keeper_take(&b);
    renew_until(&b, NANOS_PER_S);
    assert_true(is_tested(&b));
    put_tested_device(&b, 6000);
    assert_false(is_tested(&b));
    renew_until(&b, NANOS_PER_S);
    assert_true(is_tested(&b));
    /* The one before answers, once there is another. */
    put_tested_device(&b, 7000);
    keeper_run(&b, 20 * NANOS_PER_MS);
    const nanos answered_at = b.keeper->devices[0]->answered_at;
    put_tested_device(&b, 8000);
    while (b.keeper->devices[0]->answered_at == answered_at) {
        simworld_run(b.sim, simworld_now(b.sim) + NANOS_PER_MS);
    }
    assert_false(is_tested(&b));
    renew_until(&b, NANOS_PER_S);
    assert_true(is_tested(&b));
    keeper_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_transaction_is_without_the_guard_of_the_token),
        cmocka_unit_test(who_has_lost_the_token_decides_nothing),
        cmocka_unit_test(a_quarantine_that_was_not_written_is_none),
        cmocka_unit_test(a_host_is_trusted_while_half_of_them_are_tripped),
        cmocka_unit_test(a_host_that_may_be_tried_again_tells_of_its_quarantine),
        cmocka_unit_test(what_is_unknown_waits_for_a_barrier),
        cmocka_unit_test(a_barrier_frees_nothing_that_became_unknown_after_it_began),
        cmocka_unit_test(an_incident_without_room_is_closed),
        cmocka_unit_test(a_device_that_was_replaced_is_tested_anew_and_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
