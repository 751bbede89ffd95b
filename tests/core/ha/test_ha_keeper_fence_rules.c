/* A manager that fences a host, whatever happens meanwhile: the host is heard, its records are
 * corrected, what it wrote may still land, and what is told of the fence is refused. */
#include "core/chaos/simpower.h"
#include "core/ha/ha_keeper_int.h"
#include "tests/core/ha/keeper_bench.h"
#include "tests/support/test.h"

/* --- a fence ---------------------------------------------------------------------------------- */

static struct ha_soft_host *await_fence(struct keeper_bench *b)
{
    struct ha_soft_host *h = NULL;

    for (uint32_t i = 0; i < 1000 && (h == NULL || !h->has_fence); i++) {
        keeper_run(b, 20 * NANOS_PER_MS);
        h = ha_soft_host_find(b->keeper, "b");
    }
    assert_true(h->has_fence);
    return h;
}

static void put_device(struct keeper_bench *b, const char *name)
{
    struct ha_device device;

    ha_record_defaults(HA_DEVICE, &device);
    ha_text_set(device.name, sizeof(device.name), name);
    ha_text_set(device.agent, sizeof(device.agent), "fence_simulated");
    VIEW_PUT(&b->view, &device);
}

/* The host's levels, of one device each. */
static void put_levels(struct keeper_bench *b, uint32_t n, const char *const *devices)
{
    struct ha_host host = host_named("b", 1000, 4);

    host.is_bare_metal = true;
    host.n_levels = n;
    for (uint32_t i = 0; i < n; i++) {
        host.levels[i].n = 1;
        ha_text_set(host.levels[i].device[0], HA_NAME_BYTES, devices[i]);
    }
    VIEW_PUT(&b->view, &host);
}

static void put_flight(struct keeper_bench *b, uint32_t flight_ms)
{
    struct ha_storage storage = *ha_view_storage(&b->view, "nfs");

    storage.flight_ms = flight_ms;
    VIEW_PUT(&b->view, &storage);
}

static void put_fencing(struct keeper_bench *b, enum ha_fate_phase phase, uint64_t term,
                        uint32_t attempts)
{
    struct ha_fate fate;

    ha_record_defaults(HA_FATE, &fate);
    ha_text_set(fate.host, sizeof(fate.host), "b");
    ha_text_set(fate.incident, sizeof(fate.incident), "inc-1");
    fate.phase = phase;
    fate.proof = phase == HA_HOST_GONE ? HA_PROOF_FENCED : HA_PROOF_NONE;
    fate.term = term;
    fate.attempts = attempts;
    VIEW_PUT(&b->view, &fate);
}

/* The host "b" and its device, and a machine that another host may start; it leads. */
static void fence_open(struct keeper_bench *b, uint32_t delay_ms)
{
    struct ha_settings settings;

    keeper_open(b);
    (void)simhost_new(b->sim, "b", 1 << 20); /* and its device */
    put_device(b, "b");
    ha_record_defaults(HA_SETTINGS, &settings);
    settings.fence_delay_ms = delay_ms;
    VIEW_PUT(&b->view, &settings);
    put_owned(b, "web", HA_RECOVERING, "b", 6, true);
    keeper_take(b);
}

static void fence_hear(struct keeper_bench *b)
{
    struct ha_renew renew = {.boot = 1};

    ha_text_set(renew.host, sizeof(renew.host), "b");
    renew.number = ++b->renewals;
    ha_lessor_arrived(&b->lessor, simworld_now(b->sim), 2, &renew);
}

static void fence_run(struct keeper_bench *b, nanos span, bool is_heard)
{
    const nanos until = simworld_now(b->sim) + span;

    while (simworld_now(b->sim) < until) {
        if (is_heard) {
            fence_hear(b);
        }
        keeper_run(b, 20 * NANOS_PER_MS);
        answer_confirm(b);
    }
}

static void fence_run_to(struct keeper_bench *b, enum ha_fence_phase phase)
{
    const struct ha_soft_host *h = await_fence(b);

    for (uint32_t i = 0; i < 3000 && h->fence.phase != phase; i++) {
        fence_run(b, 20 * NANOS_PER_MS, false);
    }
    assert_int_equal(h->fence.phase, phase);
}

/* --- fences that are called off --------------------------------------------------------------- */

/* What its device is told of a host that is being fenced, and is heard, or not, before anything was
 * sent: until long after that, while no transaction has an answer. */
static uint64_t offs_while(bool is_heard)
{
    struct keeper_bench b;

    fence_open(&b, 5000);
    put_fencing(&b, HA_HOST_FENCING, 3, 0);
    assert_int_equal(await_fence(&b)->fence.phase, HA_FENCE_DELAY);
    if (is_heard) {
        fence_hear(&b);
    }
    fence_run(&b, 6 * NANOS_PER_S, false);
    assert_int_equal(one_is_about(&b, "it is not fenced any further"), is_heard);
    if (is_heard) {
        /* Of a command that was given up long ago. */
        const struct ha_fence_answer late = {.ticket = 99, .result = OK};
        ha_keeper_fence_step(b.keeper, ha_soft_host_find(b.keeper, "b"), &late);
        fence_run(&b, NANOS_PER_S, false);
    }
    const uint64_t offs = simdevice_offs(b.sim, "b");
    keeper_close(&b);
    return offs;
}

/* Its record may say "up" at any moment, and is not to be a lie. */
static void who_is_spared_is_told_nothing_more(void **state)
{
    (void)state;
    assert_int_equal(offs_while(false), 1);
    assert_int_equal(offs_while(true), 0);
}

static void nor_is_it_while_that_cannot_be_written(void **state)
{
    struct keeper_bench b;
    (void)state;
    fence_open(&b, 5000);
    put_fencing(&b, HA_HOST_FENCING, 3, 0);
    (void)await_fence(&b);
    for (uint32_t i = 0; i < 300; i++) {
        fence_run(&b, 20 * NANOS_PER_MS, true);
        if (one_is_about(&b, "/novacron/fates/b")) {
            answer_about(&b, "/novacron/fates/b", HA_TXN_REFUSED);
        }
        assert_true(ha_keeper_deadline(b.keeper) > simworld_now(b.sim));
    }
    assert_int_equal(simdevice_offs(b.sim, "b"), 0);
    keeper_close(&b);
}

/* Its record is being written for another reason: it cannot be spared before that has an answer. */
static void nor_is_it_while_something_else_is_written(void **state)
{
    struct simdevice_faults denies = simdevice_faults_none();
    struct keeper_bench b;
    (void)state;
    denies.denies = true;
    fence_open(&b, 0);
    simdevice_set_faults(b.sim, "b", &denies);
    put_fencing(&b, HA_HOST_FENCING, 3, 0);
    fence_run_to(&b, HA_FENCE_PAUSE);
    fence_run(&b, 40 * NANOS_PER_MS, false);
    assert_true(one_is_about(&b, "host-fence-failed"));
    simdevice_set_faults(b.sim, "b", NULL);
    for (uint32_t i = 0; i < 300; i++) {
        fence_run(&b, 20 * NANOS_PER_MS, true);
        assert_true(ha_keeper_deadline(b.keeper) > simworld_now(b.sim));
    }
    assert_int_equal(simdevice_offs(b.sim, "b"), 0);
    /* It is silent again, and that is news at once. */
    fence_run(&b, 2 * NANOS_PER_S, false);
    assert_int_equal(simdevice_offs(b.sim, "b"), 1);
    keeper_close(&b);
}

/* A level has failed while the host was heard and its record was being written: the next one is
 * tried once it is silent. */
static void nor_is_it_between_two_levels(void **state)
{
    static const char *const levels[] = {"x", "b"};
    struct simdevice_faults hung = simdevice_faults_none();
    struct keeper_bench b;
    (void)state;
    hung.is_hung = true;
    fence_open(&b, 0);
    simdevice_new(b.host, "x");
    simdevice_set_faults(b.sim, "x", &hung);
    put_device(&b, "x");
    put_levels(&b, 2, levels);
    put_fencing(&b, HA_HOST_FENCING, 3, 0);
    fence_run_to(&b, HA_FENCE_OFF);
    fence_run(&b, 15 * NANOS_PER_S, false);
    assert_true(one_is_about(&b, "host-fence-slow"));
    fence_run(&b, 60 * NANOS_PER_S, true);
    assert_int_equal(simdevice_offs(b.sim, "b"), 0);
    fence_run(&b, 3 * NANOS_PER_S, false);
    assert_int_equal(simdevice_offs(b.sim, "b"), 1);
    keeper_close(&b);
}

static void whom_an_operator_has_confirmed_is_told_nothing_more(void **state)
{
    struct ha_confirmed confirmed;
    struct keeper_bench b;
    (void)state;
    fence_open(&b, 5000);
    put_fencing(&b, HA_HOST_FENCING, 3, 0);
    assert_int_equal(await_fence(&b)->fence.phase, HA_FENCE_DELAY);
    ha_record_defaults(HA_CONFIRMED, &confirmed);
    ha_text_set(confirmed.host, sizeof(confirmed.host), "b");
    ha_text_set(confirmed.incident, sizeof(confirmed.incident), "inc-1");
    ha_text_set(confirmed.by, sizeof(confirmed.by), "anna");
    ha_text_set(confirmed.reason, sizeof(confirmed.reason), "it lies on my desk");
    VIEW_PUT(&b.view, &confirmed);
    fence_run(&b, 6 * NANOS_PER_S, false);
    assert_true(one_is_about(&b, "off, by the word of anna"));
    assert_int_equal(simdevice_offs(b.sim, "b"), 0);
    keeper_close(&b);
}

/* An OFF waits for a quorum, and the host is heard before that answers. */
static void a_command_that_is_held_is_not_sent_to_who_is_heard(void **state)
{
    struct keeper_bench b;
    (void)state;
    fence_open(&b, 0);
    keeper_run(&b, NANOS_PER_S);
    put_fencing(&b, HA_HOST_FENCING, 3, 0);
    assert_int_equal(await_fence(&b)->fence.phase, HA_FENCE_OFF);
    assert_non_null(b.confirm);
    fence_hear(&b);
    fence_run(&b, 6 * NANOS_PER_S, false);
    assert_true(one_is_about(&b, "it is not fenced any further"));
    assert_int_equal(simdevice_offs(b.sim, "b"), 0);
    keeper_close(&b);
}

/* --- fences whose records are corrected ------------------------------------------------------- */

static void a_device_that_is_declared_late_is_used(void **state)
{
    struct keeper_bench b;
    (void)state;
    fence_open(&b, 0);
    view_delete_key(&b.view, "/novacron/devices/b");
    put_fencing(&b, HA_HOST_FENCING, 3, 0);
    fence_run_to(&b, HA_FENCE_PAUSE);
    assert_int_equal(simdevice_offs(b.sim, "b"), 0);
    const uint32_t round = ha_keeper_fence(b.keeper, "b")->round;
    put_device(&b, "b");
    fence_run(&b, NANOS_PER_S, false);
    assert_int_equal(simdevice_offs(b.sim, "b"), 1);
    assert_int_equal(ha_keeper_fence(b.keeper, "b")->round, round);
    keeper_close(&b);
}

static void levels_that_are_declared_late_are_used(void **state)
{
    static const char *const levels[] = {"b"};
    struct keeper_bench b;
    (void)state;
    fence_open(&b, 0);
    put_levels(&b, 0, NULL);
    put_fencing(&b, HA_HOST_FENCING, 3, 0);
    fence_run_to(&b, HA_FENCE_PAUSE);
    put_levels(&b, 1, levels);
    fence_run(&b, NANOS_PER_S, false);
    assert_int_equal(simdevice_offs(b.sim, "b"), 1);
    keeper_close(&b);
}

/* Those that the fence has begun with name the device of another host, which goes off. */
static void what_a_wrong_record_has_switched_off_is_no_proof(void **state)
{
    static const char *const wrong[] = {"c"};
    static const char *const right[] = {"b"};
    static const enum ha_fence_phase when[] = {HA_FENCE_OFF, HA_FENCE_READ, HA_FENCE_FLIGHT,
                                               HA_FENCE_DONE};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(when); i++) {
        struct keeper_bench b;
        fence_open(&b, 0);
        (void)simhost_new(b.sim, "c", 1 << 20);
        put_device(&b, "c");
        put_levels(&b, 1, wrong);
        put_flight(&b, 1000);
        put_fencing(&b, HA_HOST_FENCING, 3, 0);
        fence_run_to(&b, when[i]);
        put_levels(&b, 1, right);
        const int64_t revision = (int64_t)b.view.revision;
        if (when[i] == HA_FENCE_DONE) {
            answer_about(&b, "/novacron/fates/b", HA_TXN_STALE);
        }
        fence_run(&b, 30 * NANOS_PER_S, false);
        assert_true(simdevice_offs(b.sim, "c") <= 1);
        assert_int_equal(simdevice_offs(b.sim, "b"), 1);
        assert_false(one_is_about(&b, "read back by c"));
        assert_true(one_is_about(&b, "read back by b"));
        for (size_t k = 0; k < b.n; k++) {
            assert_true(!txn_names(b.txns[k], "read back by b") ||
                        txn_is_guarded(b.txns[k], "/novacron/hosts/b", revision));
        }
        keeper_close(&b);
    }
}

/* The leader does not know yet that a record has changed; the store does. */
static void the_proof_is_guarded_by_the_records_of_its_devices(void **state)
{
    struct keeper_bench b;
    (void)state;
    fence_open(&b, 0);
    const int64_t device = (int64_t)ha_view_mod_revision(&b.view, HA_DEVICE, "b", NULL);
    const int64_t host = (int64_t)ha_view_mod_revision(&b.view, HA_HOST, "b", NULL);
    put_fencing(&b, HA_HOST_FENCING, 3, 0);
    fence_run_to(&b, HA_FENCE_DONE);
    assert_true(one_is_about(&b, "read back by b"));
    for (size_t k = 0; k < b.n; k++) {
        if (txn_names(b.txns[k], "read back by b")) {
            assert_true(txn_is_guarded(b.txns[k], "/novacron/hosts/b", host));
            assert_true(txn_is_guarded(b.txns[k], "/novacron/devices/b", device));
        }
    }
    struct ha_device device_b = *ha_view_device(&b.view, "b");
    device_b.timeout_ms++;
    VIEW_PUT(&b.view, &device_b);
    answer_about(&b, "/novacron/fates/b", HA_TXN_STALE);
    fence_run(&b, NANOS_PER_S, false);
    assert_int_equal(simdevice_offs(b.sim, "b"), 2);
    assert_false(one_is_about(&b, "read back by b"));
    keeper_close(&b);
}

/* Nothing can be tried on it; but time can prove it gone. */
static void a_host_without_levels_expires(void **state)
{
    struct ha_agent_record agent = agent_of("b");
    struct keeper_bench b;
    (void)state;
    fence_open(&b, 0);
    agent.member = 2;
    agent.watchdog = WORLD_WATCHDOG_READY;
    agent.watchdog_ms = 10000;
    VIEW_PUT(&b.view, &agent);
    view_delete_key(&b.view, "/novacron/owners/web");
    put_levels(&b, 0, NULL);
    put_fencing(&b, HA_HOST_FENCING, 3, 0);
    fence_run_to(&b, HA_FENCE_PAUSE);
    fence_run(&b, 15 * NANOS_PER_S, false);
    answer_about(&b, "host-fence-slow", HA_TXN_APPLIED);
    fence_run(&b, 60 * NANOS_PER_S, false);
    assert_true(one_is_about(&b, "its lease and its watchdog have run out"));
    keeper_close(&b);
}

/* --- what still may land ---------------------------------------------------------------------- */

static void a_longer_flight_is_waited_for(void **state)
{
    struct keeper_bench b;
    (void)state;
    fence_open(&b, 0);
    put_flight(&b, 5000);
    put_fencing(&b, HA_HOST_FENCING, 3, 0);
    fence_run_to(&b, HA_FENCE_FLIGHT);
    put_flight(&b, 10000);
    fence_run(&b, 9 * NANOS_PER_S, false);
    assert_false(one_is_about(&b, "host-gone"));
    fence_run(&b, 2 * NANOS_PER_S, false);
    answer_about(&b, "host-gone", HA_TXN_REFUSED);
    put_flight(&b, 30000);
    fence_run(&b, 18 * NANOS_PER_S, false);
    assert_false(one_is_about(&b, "host-gone"));
    fence_run(&b, 2 * NANOS_PER_S, false);
    assert_true(one_is_about(&b, "host-gone"));
    assert_int_equal(simdevice_offs(b.sim, "b"), 1);
    keeper_close(&b);
}

static void a_long_flight_is_not_waited_for_by_steps(void **state)
{
    struct keeper_bench b;
    (void)state;
    fence_open(&b, 0);
    put_flight(&b, 60000);
    put_fencing(&b, HA_HOST_FENCING, 3, 0);
    fence_run_to(&b, HA_FENCE_FLIGHT);
    fence_run(&b, 15 * NANOS_PER_S, false);
    assert_int_equal(ha_keeper_fence(b.keeper, "b")->phase, HA_FENCE_FLIGHT);
    assert_true(ha_keeper_deadline(b.keeper) > simworld_now(b.sim));
    keeper_close(&b);
}

/* --- what is told of fences ------------------------------------------------------------------- */

static void rounds_of_another_fence_are_not_told_as_its_own(void **state)
{
    struct keeper_bench b;
    (void)state;
    fence_open(&b, 5000);
    put_fencing(&b, HA_HOST_FENCING, 2, 7);
    fence_run(&b, NANOS_PER_S, false);
    assert_true(one_is_about(&b, "taken over from the leader before"));
    assert_false(one_is_about(&b, "\"attempts\":7"));
    keeper_close(&b);

    struct ha_host host = host_named("b", 1000, 4);
    fence_open(&b, 5000);
    put_fencing(&b, HA_HOST_GONE, 3, 7);
    host.fence_count = 1;
    VIEW_PUT(&b.view, &host);
    fence_run(&b, NANOS_PER_S, false);
    assert_true(one_is_about(&b, "asked by an operator"));
    assert_false(one_is_about(&b, "\"attempts\":7"));
    keeper_close(&b);
}

/* What was not written was not told. */
static void what_is_told_of_a_fence_is_told_again_if_it_was_refused(void **state)
{
    static const char *const levels[] = {"x", "b"};
    static const char *const told[] = {"host-fence-level-failed", "host-fence-slow"};
    struct simdevice_faults faults = simdevice_faults_none();
    struct keeper_bench b;
    (void)state;
    fence_open(&b, 0);
    simdevice_new(b.host, "x");
    faults.denies = true;
    simdevice_set_faults(b.sim, "x", &faults);
    faults.denies = false;
    faults.is_hung = true;
    simdevice_set_faults(b.sim, "b", &faults);
    put_device(&b, "x");
    put_levels(&b, 2, levels);
    put_fencing(&b, HA_HOST_FENCING, 3, 0);
    for (size_t i = 0; i < COUNT_OF(told); i++) {
        for (uint32_t k = 0; k < 1000 && !one_is_about(&b, told[i]); k++) {
            fence_run(&b, 20 * NANOS_PER_MS, false);
        }
        answer_about(&b, told[i], HA_TXN_REFUSED);
        fence_run(&b, 200 * NANOS_PER_MS, false);
        answer_about(&b, told[i], HA_TXN_STALE);
        fence_run(&b, 200 * NANOS_PER_MS, false);
        answer_about(&b, told[i], HA_TXN_APPLIED);
        fence_run(&b, 200 * NANOS_PER_MS, false);
        assert_false(one_is_about(&b, told[i]));
    }
    keeper_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_spared_is_told_nothing_more),
        cmocka_unit_test(nor_is_it_while_that_cannot_be_written),
        cmocka_unit_test(nor_is_it_while_something_else_is_written),
        cmocka_unit_test(nor_is_it_between_two_levels),
        cmocka_unit_test(whom_an_operator_has_confirmed_is_told_nothing_more),
        cmocka_unit_test(a_command_that_is_held_is_not_sent_to_who_is_heard),
        cmocka_unit_test(a_device_that_is_declared_late_is_used),
        cmocka_unit_test(levels_that_are_declared_late_are_used),
        cmocka_unit_test(what_a_wrong_record_has_switched_off_is_no_proof),
        cmocka_unit_test(the_proof_is_guarded_by_the_records_of_its_devices),
        cmocka_unit_test(a_host_without_levels_expires),
        cmocka_unit_test(a_longer_flight_is_waited_for),
        cmocka_unit_test(a_long_flight_is_not_waited_for_by_steps),
        cmocka_unit_test(rounds_of_another_fence_are_not_told_as_its_own),
        cmocka_unit_test(what_is_told_of_a_fence_is_told_again_if_it_was_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
