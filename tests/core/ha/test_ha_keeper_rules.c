/* What a manager must never do: one on a simulated host, with a view and a store that are the
 * test's. */
#include <string.h>

#include "core/base/mem.h"
#include "core/chaos/simpower.h"
#include "core/ha/ha_keeper_int.h"
#include "tests/core/ha/ha_samples.h"
#include "tests/support/test.h"

#define KEPT_MAX 64

struct keeper_bench {
    struct simworld *sim;
    struct simhost *host;
    struct ha_view view;
    struct ha_store store;
    struct ha_lessor lessor;
    struct ha_keeper *keeper;
    struct ha_txn
        *txns[KEPT_MAX]; /* all that were submitted; none is ever answered but the token's */
    size_t n;
    struct ha_confirm *confirm; /* that waits for its answer; NULL: none does */
    struct ha_confirm *barrier; /* likewise */
    uint64_t renewals;          /* of "b" that were heard */
};

static void keeper_submit(void *self, struct ha_txn *txn)
{
    struct keeper_bench *b = self;
    assert_true(b->n < KEPT_MAX);
    b->txns[b->n++] = txn;
}

static void keeper_confirm(void *self, struct ha_confirm *confirm)
{
    struct keeper_bench *b = self;
    b->confirm = confirm;
}

static void keeper_barrier(void *self, struct ha_confirm *barrier)
{
    struct keeper_bench *b = self;
    b->barrier = barrier;
}

static void keeper_note(void *self, node_id to, struct bytes bytes)
{
    (void)self;
    (void)to;
    (void)bytes;
}

static struct ha_leader keeper_leads(void *self)
{
    (void)self;
    return (struct ha_leader){.leader = 1, .is_self = true, .term = 3};
}

static void keeper_feed(void *self, const struct ha_feed *feed)
{
    (void)self;
    (void)feed;
}

static const struct ha_store_ops keeper_ops = {keeper_submit, keeper_confirm, keeper_barrier,
                                               keeper_note,   keeper_leads,   keeper_feed};

static void keeper_said(void *ctx, const char *what, const char *subject, const char *detail)
{
    (void)ctx;
    (void)what;
    (void)subject;
    (void)detail;
}

static void keeper_incident(void *ctx, const struct ha_incident *incident)
{
    (void)ctx;
    (void)incident;
}

static void keeper_due(void *ctx)
{
    (void)ctx;
}

static void keeper_run(struct keeper_bench *b, nanos span)
{
    nanos until = simworld_now(b->sim) + span;

    while (simworld_now(b->sim) < until) {
        ha_keeper_step(b->keeper);
        simworld_run(b->sim, simworld_now(b->sim) + 20 * NANOS_PER_MS);
    }
    ha_keeper_step(b->keeper);
}

/* Its token is written, at the view's next revision. */
static void keeper_take(struct keeper_bench *b)
{
    static const struct bytes value = {(const uint8_t *)"{\"term\":3,\"lease_ms\":9000}", 25};

    ha_keeper_step(b->keeper);
    assert_int_equal(b->n, 1);
    ha_view_advance(&b->view, b->view.revision + 1);
    const int64_t revision = (int64_t)b->view.revision;
    struct ha_txn *txn = b->txns[--b->n];
    ha_keeper_token_seen(b->keeper, revision, value);
    txn->outcome = HA_TXN_APPLIED;
    txn->revision = revision;
    txn->done(txn);
    ha_lessor_begin(&b->lessor, 3, simworld_now(b->sim));
}

/* Two hosts, of which "b" is member 2, and the storage of machines. */
static void keeper_open(struct keeper_bench *b)
{
    const struct ha_keeper_config config = {.member = 1, .seed = 1};
    const struct ha_keeper_events events = {
        .ctx = b, .said = keeper_said, .incident = keeper_incident, .due = keeper_due};
    static const char *const hosts[] = {"a", "b"};
    struct ha_storage storage;

    memset(b, 0, sizeof(*b));
    b->sim = simworld_new(1);
    b->host = simhost_new(b->sim, "a", 1 << 20);
    b->store = (struct ha_store){.self = b, .member = 1, .ops = &keeper_ops};
    ha_view_init(&b->view);
    ha_lessor_init(&b->lessor);
    ha_record_defaults(HA_STORAGE, &storage);
    ha_text_set(storage.name, sizeof(storage.name), "nfs");
    ha_text_set(storage.type, sizeof(storage.type), "nfs");
    ha_text_set(storage.path, sizeof(storage.path), "/srv");
    VIEW_PUT(&b->view, &storage);
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        const struct ha_host host = host_named(hosts[i], 1000, 4);
        struct ha_agent_record agent = agent_of(hosts[i]);
        agent.member = i + 1;
        VIEW_PUT(&b->view, &host);
        VIEW_PUT(&b->view, &agent);
    }
    b->keeper =
        ha_keeper_open(simhost_world(b->host), &b->store, &b->view, &b->lessor, &config, &events);
    ha_keeper_begin(b->keeper, 3);
}

static void keeper_close(struct keeper_bench *b)
{
    simworld_free(b->sim);
    ha_keeper_close(b->keeper);
    ha_lessor_deinit(&b->lessor);
    ha_view_deinit(&b->view);
}

/* Each of them is applied only while the token has this revision. */
static void all_are_guarded(const struct keeper_bench *b, int64_t token)
{
    for (size_t i = 0; i < b->n; i++) {
        assert_true(txn_is_guarded(b->txns[i], HA_LEADER_KEY, token));
    }
}

/* Is there one that has to do with the key? */
static bool one_is_about(const struct keeper_bench *b, const char *key)
{
    bool is_about = false;

    for (size_t i = 0; i < b->n && !is_about; i++) {
        is_about = txn_names(b->txns[i], key);
    }
    return is_about;
}

static void put_owned(struct keeper_bench *b, const char *vm, enum ha_phase phase, const char *host,
                      uint64_t epoch, bool is_wanted)
{
    struct ha_vm spec = vm_named(vm, 10);
    const struct ha_owner owner = owner_of(vm, phase, host, epoch);

    spec.is_wanted = is_wanted;
    VIEW_PUT(&b->view, &spec);
    VIEW_PUT(&b->view, &owner);
}

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

/* The one transaction that has to do with `key` ends so, and is forgotten. */
static void answer_about(struct keeper_bench *b, const char *key, enum ha_txn_outcome outcome)
{
    for (size_t i = 0; i < b->n; i++) {
        struct ha_txn *txn = b->txns[i];
        if (txn_names(txn, key)) {
            b->txns[i] = b->txns[--b->n];
            txn->outcome = outcome;
            txn->done(txn);
            return;
        }
    }
    fail_msg("nothing was decided about %s", key);
}

static void put_fate(struct keeper_bench *b, const char *host, uint32_t losses, bool is_quarantined,
                     bool is_tripped)
{
    struct ha_fate fate;

    ha_record_defaults(HA_FATE, &fate);
    ha_text_set(fate.host, sizeof(fate.host), host);
    fate.losses = losses;
    fate.is_quarantined = is_quarantined;
    fate.is_tripped = is_tripped;
    VIEW_PUT(&b->view, &fate);
}

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

/* --- fences that are called off --------------------------------------------------------------- */

/* A quorum says that it leads still. */
static void answer_confirm(struct keeper_bench *b)
{
    struct ha_confirm *confirm = b->confirm;

    if (confirm != NULL) {
        b->confirm = NULL;
        confirm->result = OK;
        confirm->is_leader = true;
        confirm->term = 3;
        confirm->revision = (int64_t)b->view.revision;
        confirm->done(confirm);
    }
}

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

/* --- outcomes that are unknown ---------------------------------------------------------------- */

static void answer_barrier(struct keeper_bench *b, enum err result)
{
    struct ha_confirm *barrier = b->barrier;

    assert_non_null(barrier);
    b->barrier = NULL;
    barrier->result = result;
    barrier->is_leader = result == OK;
    barrier->term = 3;
    barrier->revision = result == OK ? (int64_t)b->view.revision : 0;
    barrier->done(barrier);
}

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

/* --- time ------------------------------------------------------------------------------------- */

/* The leader before had granted leases of a minute, as the token says that it wrote. */
static void inherit_minute(struct keeper_bench *b)
{
    ha_view_advance(&b->view, b->view.revision + 1);
    ha_keeper_token_seen(b->keeper, (int64_t)b->view.revision,
                         ha_bytes_of("{\"term\":2,\"lease_ms\":60000}"));
    ha_keeper_begin(b->keeper, 3);
}

static bool grant_judge(void *ctx, node_id from, const struct ha_renew *renew,
                        enum ha_refusal *refusal)
{
    (void)ctx;
    (void)from;
    (void)renew;
    (void)refusal;
    return true;
}

static void grant_answer(void *ctx, node_id to, const struct ha_note *note)
{
    (void)ctx;
    (void)to;
    (void)note;
}

/* "b" renews, and is granted what the keeper grants now. */
static void grant_once(struct keeper_bench *b)
{
    const struct ha_lessor_court court = {
        .judge = grant_judge, .answer = grant_answer, .lease = ha_keeper_lease(b->keeper)};
    struct ha_renew renew = {
        .boot = 1, .number = 1, .watchdog = WORLD_WATCHDOG_ARMED, .watchdog_ms = 5000};

    ha_text_set(renew.host, sizeof(renew.host), "b");
    ha_lessor_arrived(&b->lessor, simworld_now(b->sim), 2, &renew);
    ha_lessor_confirm_begun(&b->lessor);
    ha_lessor_confirm_over(&b->lessor, true, &court);
}

/* "b" is what time may prove something of: bare metal, with a watchdog. */
static void attest(struct keeper_bench *b)
{
    struct ha_host host = host_named("b", 1000, 4);
    struct ha_agent_record agent = agent_of("b");

    host.is_bare_metal = true;
    agent.member = 2;
    agent.watchdog = WORLD_WATCHDOG_ARMED;
    agent.watchdog_ms = 5000;
    VIEW_PUT(&b->view, &host);
    VIEW_PUT(&b->view, &agent);
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
    attest(&b);
    inherit_minute(&b);
    keeper_take(&b);
    const nanos since = simworld_now(b.sim);
    put_owned(&b, "web", HA_RECOVERING, "b", 6, true);
    keeper_run(&b, 2 * NANOS_PER_S);
    grant_once(&b);
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
    grant_once(&b);
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
    attest(&b);
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
        cmocka_unit_test(who_is_spared_is_told_nothing_more),
        cmocka_unit_test(a_host_that_may_be_tried_again_tells_of_its_quarantine),
        cmocka_unit_test(what_is_unknown_waits_for_a_barrier),
        cmocka_unit_test(a_barrier_frees_nothing_that_became_unknown_after_it_began),
        cmocka_unit_test(a_grant_does_not_end_the_longer_lease_of_the_leader_before),
        cmocka_unit_test(the_token_tells_of_longer_leases_until_they_are_over),
        cmocka_unit_test(who_leads_again_inherits_from_itself),
        cmocka_unit_test(a_deleted_machine_is_let_go_by_time),
        cmocka_unit_test(a_deleted_machine_is_let_go_by_a_fence),
        cmocka_unit_test(a_flight_that_is_not_known_is_never_over),
        cmocka_unit_test(an_incident_without_room_is_closed),
        cmocka_unit_test(a_device_that_was_replaced_is_tested_anew_and_at_once),
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
