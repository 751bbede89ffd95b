#include "tests/core/ha/lone_agent.h"

#include <string.h>

#include "core/chaos/simguard.h"
#include "core/chaos/simvm.h"
#include "core/ha/ha_agent_int.h"
#include "tests/support/test.h"

static void lone_submit(void *self, struct ha_txn *txn)
{
    struct lone_agent *b = self;
    assert_true(b->n < LONE_TXNS_MAX);
    b->txns[b->n++] = txn;
}

static void lone_confirm(void *self, struct ha_confirm *confirm)
{
    (void)self;
    (void)confirm;
}

static void lone_note(void *self, node_id to, struct bytes bytes)
{
    struct lone_agent *b = self;
    struct ha_note note;
    (void)to;
    assert_int_equal(ha_note_decode(bytes, &note), OK);
    assert_int_equal(note.kind, HA_NOTE_RENEW);
    b->renew = note.as.renew;
    b->renewals++;
}

static struct ha_leader lone_leads(void *self)
{
    (void)self;
    return (struct ha_leader){.leader = 2, .term = 1};
}

static void lone_feed(void *self, const struct ha_feed *feed)
{
    (void)self;
    (void)feed;
}

static void lone_anew(void *self)
{
    (void)self;
}

static const struct ha_store_ops lone_ops = {lone_submit, lone_confirm, lone_confirm, lone_note,
                                             lone_leads,  lone_feed,    lone_anew};

static void lone_due(void *ctx)
{
    ((struct lone_agent *)ctx)->is_due = true;
}

static void lone_said(void *ctx, const char *what, const char *vm, const char *detail)
{
    struct lone_agent *b = ctx;
    (void)detail;
    if (strcmp(what, "watchdog not attested") == 0) {
        ha_text_set(b->spoiler, sizeof(b->spoiler), vm);
        b->is_hidden = true;
    } else if (strcmp(what, "watchdog ready") == 0) {
        b->spoiler[0] = '\0';
        b->is_hidden = false;
    }
    b->taken_back += strcmp(what, "taken back") == 0;
}

/* An agent, on a host and a view that are there. */
static void lone_begin(struct lone_agent *b)
{
    struct ha_agent_config config = {.memory_mib = 1000, .cpus = 4};
    const struct ha_agent_events events = {.ctx = b, .said = lone_said, .due = lone_due};

    ha_text_set(config.host, sizeof(config.host), "a");
    names_add(&config.storages, "nfs");
    b->agent = ha_agent_open(simhost_world(b->host), &b->store, &b->view, &config, &events);
    lone_run(b, 100 * NANOS_PER_MS);
}

void lone_open(struct lone_agent *b, enum world_watchdog watchdog)
{
    struct ha_storage storage;

    memset(b, 0, sizeof(*b));
    b->sim = simworld_new(1);
    b->host = simhost_new(b->sim, "a", 1 << 20);
    (void)simvolume_new(b->sim, "web");
    if (watchdog != WORLD_WATCHDOG_NONE) {
        simguard_install(b->host, watchdog, 5 * NANOS_PER_S);
    }
    b->store = (struct ha_store){.self = b, .member = 1, .ops = &lone_ops};
    ha_view_init(&b->view);
    ha_record_defaults(HA_STORAGE, &storage);
    ha_text_set(storage.name, sizeof(storage.name), "nfs");
    ha_text_set(storage.type, sizeof(storage.type), "nfs");
    ha_text_set(storage.path, sizeof(storage.path), "/srv");
    VIEW_PUT(&b->view, &storage);
    struct ha_vm vm = vm_named("web", 100);
    ha_text_set(vm.volume, sizeof(vm.volume), "web");
    VIEW_PUT(&b->view, &vm);
    lone_begin(b);
}

void lone_close(struct lone_agent *b)
{
    simhost_kill(b->host);
    ha_agent_close(b->agent);
    ha_view_deinit(&b->view);
    simworld_free(b->sim);
}

void lone_begin_anew(struct lone_agent *b)
{
    simhost_kill(b->host);
    ha_agent_close(b->agent);
    b->n = 0;
    b->spoiler[0] = '\0';
    b->is_hidden = false;
    lone_begin(b);
}

void lone_run(struct lone_agent *b, nanos span)
{
    nanos until = simworld_now(b->sim) + span;

    while (simworld_now(b->sim) < until) {
        ha_agent_pass(b->agent);
        b->is_due = false;
        simworld_run(b->sim, simworld_now(b->sim) + 10 * NANOS_PER_MS);
    }
    ha_agent_pass(b->agent);
}

void lone_answer(struct lone_agent *b, enum ha_txn_outcome outcome, int64_t revision)
{
    assert_true(b->n > 0);
    struct ha_txn *txn = b->txns[0];
    b->n--;
    memmove(b->txns, b->txns + 1, b->n * sizeof(*b->txns));
    txn->outcome = outcome;
    txn->revision = revision;
    txn->done(txn);
}

void lone_register(struct lone_agent *b)
{
    assert_int_equal(b->n, 1);
    VIEW_PUT(&b->view, &b->agent->record);
    lone_answer(b, HA_TXN_APPLIED, (int64_t)b->view.revision);
    lone_run(b, 20 * NANOS_PER_MS);
    assert_int_equal(b->agent->phase, HA_AGENT_SERVING);
}

void lone_grant(struct lone_agent *b, uint64_t revision)
{
    assert_true(b->renewals > 0);
    const struct ha_note note = {.kind = HA_NOTE_GRANT,
                                 .as.grant = {.boot = b->renew.boot,
                                              .number = b->renew.number,
                                              .term = 1,
                                              .revision = revision,
                                              .lease_ms = 9000}};
    ha_agent_note(b->agent, &note);
    lone_run(b, 100 * NANOS_PER_MS);
}

void lone_assign(struct lone_agent *b, uint64_t epoch, enum ha_policy policy)
{
    struct ha_owner owner = owner_of("web", HA_STARTING, "a", epoch);
    owner.policy = policy;
    VIEW_PUT(&b->view, &owner);
}

uint64_t lone_starts(const struct lone_agent *b)
{
    struct ha_agent_status status;
    ha_agent_status(b->agent, &status);
    return status.starts;
}
