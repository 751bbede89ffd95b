#include "tests/core/ha/keeper_bench.h"

#include <string.h>

#include "tests/support/test.h"

static void keeper_submit(void *self, struct ha_txn *txn)
{
    struct keeper_bench *b = self;
    assert_true(b->n < KEEPER_TXNS_MAX);
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

static void keeper_anew(void *self)
{
    (void)self;
}

static const struct ha_store_ops keeper_ops = {keeper_submit, keeper_confirm, keeper_barrier,
                                               keeper_note,   keeper_leads,   keeper_feed,
                                               keeper_anew};

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

void keeper_open(struct keeper_bench *b)
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

void keeper_close(struct keeper_bench *b)
{
    simworld_free(b->sim);
    ha_keeper_close(b->keeper);
    ha_lessor_deinit(&b->lessor);
    ha_view_deinit(&b->view);
}

void keeper_run(struct keeper_bench *b, nanos span)
{
    nanos until = simworld_now(b->sim) + span;

    while (simworld_now(b->sim) < until) {
        ha_keeper_step(b->keeper);
        simworld_run(b->sim, simworld_now(b->sim) + 20 * NANOS_PER_MS);
    }
    ha_keeper_step(b->keeper);
}

void keeper_take(struct keeper_bench *b)
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

void put_owned(struct keeper_bench *b, const char *vm, enum ha_phase phase, const char *host,
               uint64_t epoch, bool is_wanted)
{
    struct ha_vm spec = vm_named(vm, 10);
    const struct ha_owner owner = owner_of(vm, phase, host, epoch);

    spec.is_wanted = is_wanted;
    VIEW_PUT(&b->view, &spec);
    VIEW_PUT(&b->view, &owner);
}

void put_fate(struct keeper_bench *b, const char *host, uint32_t losses, bool is_quarantined,
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

void put_covered(struct keeper_bench *b, const char *name)
{
    struct ha_host host = *ha_view_host(&b->view, name);
    struct ha_agent_record agent = *ha_view_agent(&b->view, name);

    host.is_bare_metal = true;
    agent.watchdog = WORLD_WATCHDOG_ARMED;
    agent.watchdog_ms = 5000;
    agent.boot = 1;
    VIEW_PUT(&b->view, &host);
    VIEW_PUT(&b->view, &agent);
}

static bool court_grants(void *ctx, node_id from, const struct ha_renew *renew,
                         enum ha_refusal *refusal)
{
    (void)ctx;
    (void)from;
    (void)renew;
    (void)refusal;
    return true;
}

static void court_tells_nobody(void *ctx, node_id to, const struct ha_note *note)
{
    (void)ctx;
    (void)to;
    (void)note;
}

void grant_once(struct keeper_bench *b, const char *host)
{
    const struct ha_lessor_court court = {.judge = court_grants,
                                          .answer = court_tells_nobody,
                                          .revision = b->view.revision,
                                          .lease = ha_keeper_lease(b->keeper),
                                          .drift_ppm = ha_keeper_drift(b->keeper)};
    struct ha_renew renew = {
        .boot = 1, .number = 1, .watchdog = WORLD_WATCHDOG_ARMED, .watchdog_ms = 5000};

    ha_text_set(renew.host, sizeof(renew.host), host);
    ha_lessor_arrived(&b->lessor, simworld_now(b->sim), ha_view_agent(&b->view, host)->member,
                      &renew);
    ha_lessor_confirm_begun(&b->lessor);
    ha_lessor_confirm_over(&b->lessor, true, &court);
}

void answer_about(struct keeper_bench *b, const char *key, enum ha_txn_outcome outcome)
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

void answer_confirm(struct keeper_bench *b)
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

void answer_barrier(struct keeper_bench *b, enum err result)
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

bool one_is_about(const struct keeper_bench *b, const char *key)
{
    bool is_about = false;

    for (size_t i = 0; i < b->n && !is_about; i++) {
        is_about = txn_names(b->txns[i], key);
    }
    return is_about;
}

void all_are_guarded(const struct keeper_bench *b, int64_t token)
{
    for (size_t i = 0; i < b->n; i++) {
        assert_true(txn_is_guarded(b->txns[i], HA_LEADER_KEY, token));
    }
}
