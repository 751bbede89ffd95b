/* What an agent must never do, whatever it is told: one agent on a simulated host, with a view and
 * a store that are the test's. */
#include <string.h>

#include "core/chaos/simguard.h"
#include "core/chaos/simvm.h"
#include "core/ha/ha_agent_int.h"
#include "core/ha/ha_agent_ladder.h"
#include "tests/core/ha/ha_samples.h"
#include "tests/support/test.h"

#define TXNS_MAX 8

struct lone_agent {
    struct simworld *sim;
    struct simhost *host;
    struct ha_view view;
    struct ha_store store;
    struct ha_agent *agent;
    struct ha_txn *txns[TXNS_MAX]; /* under way, oldest first */
    size_t n;
    bool is_due;
    struct ha_renew renew; /* the newest; number 0: none was sent */
    uint32_t renewals;
    char spoiler[HA_NAME_BYTES]; /* for which it has said that it attests nothing */
    uint32_t taken_back;         /* times it has said so */
    bool is_hidden;              /* it has said that it attests nothing, since then */
};

/* --- the store -------------------------------------------------------------------------------- */

static void lone_submit(void *self, struct ha_txn *txn)
{
    struct lone_agent *b = self;
    assert_true(b->n < TXNS_MAX);
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

static const struct ha_store_ops lone_ops = {lone_submit, lone_confirm, lone_confirm,
                                             lone_note,   lone_leads,   lone_feed};

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

/* --- the bench -------------------------------------------------------------------------------- */

static void lone_run(struct lone_agent *b, nanos span)
{
    nanos until = simworld_now(b->sim) + span;

    while (simworld_now(b->sim) < until) {
        ha_agent_pass(b->agent);
        b->is_due = false;
        simworld_run(b->sim, simworld_now(b->sim) + 10 * NANOS_PER_MS);
    }
    ha_agent_pass(b->agent);
}

/* The oldest transaction ends so. */
static void lone_answer(struct lone_agent *b, enum ha_txn_outcome outcome, int64_t revision)
{
    assert_true(b->n > 0);
    struct ha_txn *txn = b->txns[0];
    b->n--;
    memmove(b->txns, b->txns + 1, b->n * sizeof(*b->txns));
    txn->outcome = outcome;
    txn->revision = revision;
    txn->done(txn);
}

/* The registration that is under way is written, as it is. */
static void lone_register(struct lone_agent *b)
{
    assert_int_equal(b->n, 1);
    VIEW_PUT(&b->view, &b->agent->record);
    lone_answer(b, HA_TXN_APPLIED, (int64_t)b->view.revision);
    lone_run(b, 20 * NANOS_PER_MS);
    assert_int_equal(b->agent->phase, HA_AGENT_SERVING);
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

/* Its process dies, with what it had under way, and the next one begins. */
static void lone_begin_anew(struct lone_agent *b)
{
    simhost_kill(b->host);
    ha_agent_close(b->agent);
    b->n = 0;
    b->spoiler[0] = '\0';
    b->is_hidden = false;
    lone_begin(b);
}

static void lone_open(struct lone_agent *b, enum world_watchdog watchdog)
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

static void lone_close(struct lone_agent *b)
{
    simhost_kill(b->host);
    ha_agent_close(b->agent);
    ha_view_deinit(&b->view);
    simworld_free(b->sim);
}

/* The newest renewal is granted, by a store that is at `revision`. */
static void lone_grant(struct lone_agent *b, uint64_t revision)
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

static void lone_assign(struct lone_agent *b, uint64_t epoch, enum ha_policy policy)
{
    struct ha_owner owner = owner_of("web", HA_STARTING, "a", epoch);
    owner.policy = policy;
    VIEW_PUT(&b->view, &owner);
}

static uint64_t lone_starts(const struct lone_agent *b)
{
    struct ha_agent_status status;
    ha_agent_status(b->agent, &status);
    return status.starts;
}

/* --- the view --------------------------------------------------------------------------------- */

/* What was decided about this host before the grant, it may not have seen: that its machine was
 * given to another, for one. */
static void nothing_is_started_on_a_view_older_than_the_newest_grant(void **state)
{
    struct lone_agent b;
    (void)state;
    lone_open(&b, WORLD_WATCHDOG_READY);
    lone_register(&b);
    lone_assign(&b, 7, HA_POLICY_STOP);
    lone_run(&b, NANOS_PER_S);
    assert_int_equal(lone_starts(&b), 0); /* without a lease */
    lone_grant(&b, b.view.revision + 5);
    lone_run(&b, NANOS_PER_S);
    assert_int_equal(lone_starts(&b), 0);
    ha_view_advance(&b.view, b.view.revision + 4);
    lone_run(&b, NANOS_PER_S);
    assert_int_equal(lone_starts(&b), 0);
    ha_view_advance(&b.view, b.view.revision + 1);
    lone_run(&b, NANOS_PER_S);
    assert_int_equal(lone_starts(&b), 1);
    lone_close(&b);
}

/* The same, of a machine that lives: it is not killed on the word of an old view, either. */
static void nothing_is_killed_on_a_view_older_than_the_newest_grant(void **state)
{
    struct lone_agent b;
    struct world_vm_found found;
    (void)state;
    lone_open(&b, WORLD_WATCHDOG_READY);
    lone_register(&b);
    lone_assign(&b, 7, HA_POLICY_STOP);
    lone_grant(&b, b.view.revision);
    lone_run(&b, NANOS_PER_S);
    assert_true(simvm_at(b.host, 0, &found));
    lone_grant(&b, b.view.revision + 5);
    const struct ha_owner elsewhere = owner_of("web", HA_RUNNING, "b", 8);
    VIEW_PUT(&b.view, &elsewhere);
    lone_run(&b, NANOS_PER_S);
    assert_true(simvm_at(b.host, 0, &found));
    ha_view_advance(&b.view, b.view.revision + 4);
    lone_run(&b, NANOS_PER_S);
    assert_false(simvm_at(b.host, 0, &found));
    lone_close(&b);
}

/* --- the boot --------------------------------------------------------------------------------- */

/* Our forerunner may have written the very same record, and died: leases that were granted to it,
 * and reports that it wrote, are not ours. */
static void a_boot_is_not_used_before_it_is_known_to_be_applied(void **state)
{
    struct lone_agent b;
    (void)state;
    lone_open(&b, WORLD_WATCHDOG_READY);
    assert_int_equal(b.n, 1);
    const struct ha_agent_record same = b.agent->record;
    VIEW_PUT(&b.view, &same);
    lone_answer(&b, HA_TXN_UNKNOWN, 0);
    lone_assign(&b, 7, HA_POLICY_STOP);
    lone_run(&b, NANOS_PER_S);
    assert_int_equal(b.agent->phase, HA_AGENT_JOINING);
    assert_int_equal(b.renewals, 0);
    assert_int_equal(lone_starts(&b), 0);
    /* It registers anew, above the one that is there. */
    assert_int_equal(b.agent->record.boot, same.boot + 1);
    lone_register(&b);
    lone_run(&b, NANOS_PER_S);
    assert_true(b.renewals > 0);
    assert_int_equal(b.renew.boot, same.boot + 1);
    /* A grant for the one before is none. */
    b.renew.boot = same.boot;
    lone_grant(&b, b.view.revision);
    struct ha_agent_status status;
    ha_agent_status(b.agent, &status);
    assert_int_equal(status.lease_left, 0);
    lone_close(&b);
}

/* The view is another from here on, with this record of our host; 0: with none. */
static void lone_view_anew(struct lone_agent *b, uint64_t revision, uint64_t boot, node_id member)
{
    struct ha_agent_record record = b->agent->record;

    ha_view_clear(&b->view);
    ha_view_advance(&b->view, revision);
    if (boot > 0) {
        record.boot = boot;
        record.member = member;
        VIEW_PUT(&b->view, &record);
    }
}

/* A voter that lags, or a history that has lost our registration: nobody has taken our place. It
 * registers once more, above what both histories know, and behind the record that it sees: if that
 * is an old one, nothing comes of it. What ran runs on, and what was assigned meanwhile is never
 * begun. */
static void a_record_of_an_older_boot_displaces_nobody(void **state)
{
    struct lone_agent b;
    struct world_vm_found found;
    (void)state;
    lone_open(&b, WORLD_WATCHDOG_READY);
    lone_register(&b);
    lone_begin_anew(&b); /* its second boot */
    lone_register(&b);
    lone_assign(&b, 7, HA_POLICY_STOP);
    ha_view_advance(&b.view, 50);
    lone_grant(&b, b.view.revision);
    lone_run(&b, NANOS_PER_S);
    assert_true(simvm_at(b.host, 0, &found));
    lone_answer(&b, HA_TXN_REFUSED, 0); /* its report */
    const uint64_t boot = b.agent->boot;
    const uint64_t before = b.view.revision;
    lone_view_anew(&b, 5, boot - 1, 1);
    const struct ha_owner owner = owner_of("web", HA_RUNNING, "a", 7);
    const struct ha_owner another = owner_of("db", HA_STARTING, "a", 6);
    VIEW_PUT(&b.view, &owner);
    VIEW_PUT(&b.view, &another);
    assert_true(b.view.revision < before);
    b.renewals = 0;
    lone_run(&b, NANOS_PER_S);
    assert_int_equal(b.agent->phase, HA_AGENT_JOINING);
    assert_int_equal(b.renewals, 0); /* by no record that is there */
    assert_int_equal(b.n, 1);
    assert_int_equal(b.agent->record.boot, boot + 1);
    assert_true(txn_is_guarded(b.txns[0], "/novacron/agents/a",
                               (int64_t)ha_view_mod_revision(&b.view, HA_AGENT, "a", NULL)));
    lone_answer(&b, HA_TXN_UNKNOWN, 0); /* asked again, it says the same */
    lone_run(&b, NANOS_PER_S);
    assert_int_equal(b.n, 1);
    assert_int_equal(b.agent->record.boot, boot + 1);
    VIEW_PUT(&b.view, &b.agent->record);
    lone_answer(&b, HA_TXN_APPLIED, (int64_t)b.view.revision);
    lone_run(&b, NANOS_PER_S);
    assert_int_equal(b.agent->phase, HA_AGENT_SERVING);
    assert_int_equal(b.renew.boot, boot + 1);
    assert_int_equal(b.agent->lessee.revision, 0);
    lone_grant(&b, b.view.revision);
    lone_run(&b, NANOS_PER_S);
    assert_true(simvm_at(b.host, 0, &found));
    assert_int_equal(found.epoch, 7);
    assert_int_equal(lone_starts(&b), 1);
    assert_int_equal(ha_run_find(b.agent, "db", 6)->phase, HA_RUN_ENDED);
    lone_close(&b);
}

/* Newer than ours, or as new and another's: that agent has taken our place. */
static void a_record_of_a_newer_boot_displaces(void **state)
{
    static const struct {
        uint64_t more;
        node_id member;
        enum ha_agent_phase phase;
    } cases[] = {{1, 1, HA_AGENT_DISPLACED}, {0, 2, HA_AGENT_DISPLACED}, {0, 1, HA_AGENT_SERVING}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct lone_agent b;
        lone_open(&b, WORLD_WATCHDOG_READY);
        lone_register(&b);
        lone_view_anew(&b, 5, b.agent->boot + cases[i].more, cases[i].member);
        lone_run(&b, NANOS_PER_S);
        assert_int_equal(b.agent->phase, cases[i].phase);
        lone_close(&b);
    }
}

/* Where a host has no record, it may have had one: that was deleted, and numbers of renewals would
 * begin anew under a boot that is known. */
static void a_first_boot_is_above_those_that_were_deleted(void **state)
{
    struct lone_agent b;
    (void)state;
    lone_open(&b, WORLD_WATCHDOG_READY);
    lone_register(&b);
    const uint64_t boot = b.agent->boot;
    view_delete_key(&b.view, "/novacron/agents/a");
    lone_begin_anew(&b);
    assert_true(b.agent->boot > boot);
    lone_register(&b);
    lone_close(&b);
}

/* --- the guard -------------------------------------------------------------------------------- */

static bool lone_attests(const struct lone_agent *b)
{
    return b->renew.watchdog == WORLD_WATCHDOG_READY || b->renew.watchdog == WORLD_WATCHDOG_ARMED;
}

/* It was started while the guard was away, on the word of a fence device; the guard that comes back
 * does not know of it, and would not end it. */
static void a_machine_that_the_guard_does_not_hold_is_no_promise(void **state)
{
    struct lone_agent b;
    struct world_vm_found found;
    (void)state;
    lone_open(&b, WORLD_WATCHDOG_READY);
    const struct ha_host host = host_named("a", 1000, 4);
    VIEW_PUT(&b.view, &host);
    lone_register(&b);
    lone_run(&b, NANOS_PER_S);
    assert_true(lone_attests(&b));
    lone_grant(&b, b.view.revision);
    simguard_stall(b.host, simworld_now(b.sim) + 6 * NANOS_PER_S);
    lone_run(&b, 4 * NANOS_PER_S);
    assert_false(lone_attests(&b));
    lone_register(&b); /* its record says so, too */
    lone_grant(&b, b.view.revision);
    lone_assign(&b, 7, HA_POLICY_STOP);
    lone_grant(&b, b.view.revision);
    lone_run(&b, 500 * NANOS_PER_MS);
    assert_true(simvm_at(b.host, 0, &found));
    assert_false(found.is_guarded);
    for (uint32_t i = 0; i < 5; i++) {
        lone_grant(&b, b.view.revision);
        lone_run(&b, NANOS_PER_S);
        assert_false(lone_attests(&b));
    }
    assert_int_equal(b.agent->record.watchdog, WORLD_WATCHDOG_NONE);
    assert_int_equal(b.agent->record.watchdog_ms, 0);
    lone_begin_anew(&b); /* who adopts it promises no more */
    lone_register(&b);
    lone_run(&b, NANOS_PER_S);
    assert_true(simvm_at(b.host, 0, &found));
    assert_int_equal(b.renew.boot, b.agent->boot);
    assert_false(lone_attests(&b));
    lone_grant(&b, b.view.revision);
    assert_string_equal(b.spoiler, "web");
    simvm_crash(b.host, "web");
    lone_run(&b, 2 * NANOS_PER_S);
    assert_true(lone_attests(&b));
    assert_string_equal(b.spoiler, "");
    lone_close(&b);
}

/* It was handed to a guard that died, and the next one was not told, or did not take it. */
static void a_machine_that_the_guard_has_lost_is_no_promise(void **state)
{
    struct lone_agent b;
    struct world_vm_found found;
    (void)state;
    lone_open(&b, WORLD_WATCHDOG_READY);
    const struct ha_host host = host_named("a", 1000, 4);
    VIEW_PUT(&b.view, &host);
    lone_register(&b);
    lone_grant(&b, b.view.revision);
    lone_assign(&b, 7, HA_POLICY_STOP);
    lone_grant(&b, b.view.revision);
    lone_run(&b, 3 * NANOS_PER_S);
    assert_true(simvm_at(b.host, 0, &found));
    assert_true(found.is_guarded);
    assert_true(lone_attests(&b));
    simguard_set_held(b.host, "web", false);
    for (uint32_t i = 0; i < 3; i++) {
        lone_grant(&b, b.view.revision);
        lone_run(&b, 2 * NANOS_PER_S);
    }
    assert_false(lone_attests(&b));
    assert_true(b.is_hidden);
    assert_int_equal(b.agent->record.watchdog, WORLD_WATCHDOG_NONE);
    simguard_set_held(b.host, "web", true); /* it is handed over again */
    for (uint32_t i = 0; i < 2; i++) {
        lone_grant(&b, b.view.revision);
        lone_run(&b, 2 * NANOS_PER_S);
    }
    assert_true(lone_attests(&b));
    assert_false(b.is_hidden);
    lone_close(&b);
}

/* The guard knows of a death before the agent does, and of a birth: one answer says nothing. */
static void one_answer_of_the_guard_takes_no_promise_away(void **state)
{
    struct lone_agent b;
    (void)state;
    lone_open(&b, WORLD_WATCHDOG_READY);
    const struct ha_host host = host_named("a", 1000, 4);
    VIEW_PUT(&b.view, &host);
    lone_register(&b);
    lone_grant(&b, b.view.revision);
    lone_assign(&b, 7, HA_POLICY_STOP);
    lone_grant(&b, b.view.revision);
    lone_run(&b, 3 * NANOS_PER_S);
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(lone_attests(&b));
        simguard_set_held(b.host, "web", false);
        lone_grant(&b, b.view.revision); /* it answers once */
        simguard_set_held(b.host, "web", true);
        lone_run(&b, 3 * NANOS_PER_S);
    }
    assert_true(lone_attests(&b));
    assert_false(b.is_hidden);
    lone_close(&b);
}

/* It is held by no guard, ever, and is counted on by nobody. */
static void a_machine_that_is_to_be_kept_takes_no_promise_away(void **state)
{
    struct lone_agent b;
    struct world_vm_found found;
    (void)state;
    lone_open(&b, WORLD_WATCHDOG_READY);
    const struct ha_host host = host_named("a", 1000, 4);
    VIEW_PUT(&b.view, &host);
    lone_register(&b);
    lone_assign(&b, 7, HA_POLICY_KEEP);
    lone_grant(&b, b.view.revision);
    lone_run(&b, NANOS_PER_S);
    assert_true(simvm_at(b.host, 0, &found));
    assert_false(found.is_guarded);
    b.renewals = 0;
    lone_run(&b, 3 * NANOS_PER_S);
    assert_true(b.renewals > 0);
    assert_true(lone_attests(&b));
    lone_close(&b);
}

/* An agent that begins anew finds one that is to be kept, which no guard ever holds: that is known
 * before the host's record is written. */
static void a_machine_that_is_kept_hides_no_watchdog(void **state)
{
    struct lone_agent b;
    struct world_vm_found found;
    (void)state;
    lone_open(&b, WORLD_WATCHDOG_READY);
    const struct ha_host host = host_named("a", 1000, 4);
    VIEW_PUT(&b.view, &host);
    lone_register(&b);
    lone_assign(&b, 7, HA_POLICY_KEEP);
    lone_grant(&b, b.view.revision);
    lone_run(&b, 500 * NANOS_PER_MS);
    assert_true(simvm_at(b.host, 0, &found));
    assert_false(found.is_guarded);
    const uint64_t boot = b.agent->boot;
    lone_begin_anew(&b);
    assert_int_equal(b.n, 1);
    assert_int_equal(b.agent->record.boot, boot + 1);
    assert_int_equal(b.agent->record.watchdog_ms, 5000);
    lone_close(&b);
}

/* --- what an agent before it knew ------------------------------------------------------------- */

static void lone_start(struct lone_agent *b, enum ha_policy policy)
{
    lone_open(b, WORLD_WATCHDOG_READY);
    const struct ha_host host = host_named("a", 1000, 4);
    VIEW_PUT(&b->view, &host);
    lone_register(b);
    lone_assign(b, 7, policy);
    lone_grant(b, b->view.revision);
    lone_run(b, NANOS_PER_S);
    assert_int_equal(lone_starts(b), 1);
}

/* One that was away for longer than a lease, and whose view has nothing yet, has nothing to end:
 * the guard has ended what it held, and the rest may be to be kept. */
static void nothing_is_ended_before_it_is_known_whether_it_is_to_be_kept(void **state)
{
    struct lone_agent b;
    struct world_vm_found found;
    (void)state;
    lone_start(&b, HA_POLICY_KEEP);
    simworld_run(b.sim, simworld_now(b.sim) + 20 * NANOS_PER_S);
    ha_view_clear(&b.view);
    lone_begin_anew(&b);
    lone_run(&b, 20 * NANOS_PER_S);
    assert_true(simvm_at(b.host, 0, &found));
    assert_int_equal(found.state, WORLD_VM_RUNNING);
    lone_close(&b);
}

/* It went down with its host, or while nobody was there to see: that is no failure of its own. */
static void what_does_not_live_when_an_agent_begins_has_not_failed(void **state)
{
    struct lone_agent b;
    (void)state;
    lone_start(&b, HA_POLICY_STOP);
    lone_begin_anew(&b);
    simvm_crash(b.host, "web");
    lone_begin_anew(&b);
    lone_register(&b);
    lone_run(&b, NANOS_PER_S);
    const struct ha_run *run = ha_run_find(b.agent, "web", 7);
    assert_int_equal(run->phase, HA_RUN_ENDED);
    assert_int_equal(run->end, WORLD_VM_KILLED);
    lone_close(&b);
}

static struct ha_report lone_reported(enum ha_report_state is)
{
    struct ha_report report;

    ha_record_defaults(HA_REPORT, &report);
    ha_text_set(report.host, sizeof(report.host), "a");
    ha_text_set(report.vm, sizeof(report.vm), "web");
    report.epoch = 7;
    report.boot = 1;
    report.state = is;
    return report;
}

/* A guest that has started long ago is not asked whether it has, and ended if it has forgotten. */
static void a_guest_that_has_started_is_not_asked_again_by_the_next_agent(void **state)
{
    struct lone_agent b;
    struct ha_report report = lone_reported(HA_REPORT_RUNS);
    const struct simvm_agent mute = {.is_mute = true};
    (void)state;
    lone_start(&b, HA_POLICY_STOP);
    simvm_set_agent(b.host, "web", &mute);
    struct ha_vm vm = vm_named("web", 100);
    ha_text_set(vm.volume, sizeof(vm.volume), "web");
    vm.startup.ask = HA_ASK_AGENT;
    VIEW_PUT(&b.view, &vm);
    report.rungs[HA_RUNG_STARTUP].state = HA_RUNG_WELL;
    VIEW_PUT(&b.view, &report);
    struct ha_owner owner = owner_of("web", HA_RUNNING, "a", 7);
    owner.policy = HA_POLICY_STOP;
    VIEW_PUT(&b.view, &owner);
    lone_begin_anew(&b);
    lone_register(&b);
    lone_grant(&b, b.view.revision);
    lone_run(&b, NANOS_PER_S);
    assert_true(ha_run_find(b.agent, "web", 7)->ladder->has_started);
    lone_close(&b);
}

/* Its predecessor took it back, and did not live to say so. */
static void a_promise_that_was_taken_back_is_not_told_for_ever(void **state)
{
    struct lone_agent b;
    struct ha_report report = lone_reported(HA_REPORT_MOVED);
    (void)state;
    lone_start(&b, HA_POLICY_STOP);
    report.to_epoch = 8;
    VIEW_PUT(&b.view, &report);
    struct ha_owner owner = owner_of("web", HA_RUNNING, "a", 7);
    owner.policy = HA_POLICY_STOP;
    owner.issued = 8;
    VIEW_PUT(&b.view, &owner);
    lone_begin_anew(&b);
    lone_register(&b);
    lone_grant(&b, b.view.revision);
    lone_run(&b, NANOS_PER_S);
    ha_report_fill(ha_run_of(b.agent, "web"), &report);
    assert_int_equal(report.state, HA_REPORT_RUNS);
    lone_close(&b);
}

/* --- guests that stand still ------------------------------------------------------------------ */

/* Paused for want of a lease, which comes back with the word that it is to stop, or to be moved: it
 * runs, or it would not notice its button, and would stand still until all is ready for it. */
static void goes_on_to(enum ha_phase phase)
{
    struct lone_agent b;
    struct world_vm_found found;
    struct ha_owner owner = owner_of("web", phase, "a", 7);

    lone_start(&b, HA_POLICY_PAUSE);
    while (!ha_run_of(b.agent, "web")->is_paused) {
        lone_run(&b, 100 * NANOS_PER_MS);
    }
    lone_run(&b, 100 * NANOS_PER_MS);
    assert_true(simvm_at(b.host, 0, &found));
    assert_int_equal(found.state, WORLD_VM_PAUSED);
    owner.policy = HA_POLICY_PAUSE;
    if (phase == HA_MOVING) {
        owner.issued = 8;
        ha_text_set(owner.to, sizeof(owner.to), "b");
    }
    VIEW_PUT(&b.view, &owner);
    lone_grant(&b, b.view.revision);
    lone_run(&b, 4 * NANOS_PER_S);
    if (phase == HA_MOVING) {
        assert_true(simvm_at(b.host, 0, &found));
        assert_int_equal(found.state, WORLD_VM_RUNNING);
    } else {
        assert_false(simvm_at(b.host, 0, &found));
        assert_int_equal(ha_run_find(b.agent, "web", 7)->detail[0] != '\0', true);
        assert_int_equal(b.agent->kills, 0);
    }
    lone_close(&b);
}

static void a_guest_that_was_paused_goes_on_to_be_stopped_or_moved(void **state)
{
    (void)state;
    goes_on_to(HA_STOPPING);
    goes_on_to(HA_MOVING);
}

/* --- reports ---------------------------------------------------------------------------------- */

/* Does the newest transaction have this guard? */
static bool lone_guards(const struct lone_agent *b, const char *key, uint64_t revision)
{
    return txn_is_guarded(b->txns[b->n - 1], key, (int64_t)revision);
}

/* An older one, whose outcome is not known, may come behind it otherwise. */
static void a_report_follows_the_one_that_was_seen(void **state)
{
    struct lone_agent b;
    (void)state;
    lone_open(&b, WORLD_WATCHDOG_READY);
    lone_register(&b);
    lone_assign(&b, 7, HA_POLICY_STOP);
    lone_grant(&b, b.view.revision);
    lone_run(&b, NANOS_PER_S);
    assert_int_equal(b.n, 1);
    assert_true(lone_guards(&b, "/novacron/reports/a/web", 0));
    struct ha_report report;
    ha_record_defaults(HA_REPORT, &report);
    ha_text_set(report.host, sizeof(report.host), "a");
    ha_text_set(report.vm, sizeof(report.vm), "web");
    report.epoch = 7;
    report.boot = 1;
    report.state = HA_REPORT_RUNS;
    VIEW_PUT(&b.view, &report);
    const uint64_t seen = b.view.revision;
    lone_answer(&b, HA_TXN_UNKNOWN, 0);
    lone_run(&b, NANOS_PER_S);
    simvm_crash(b.host, "web");
    lone_run(&b, 2 * NANOS_PER_S);
    assert_int_equal(b.n, 1);
    assert_true(lone_guards(&b, "/novacron/reports/a/web", seen));
    lone_close(&b);
}

/* --- starts that fail ------------------------------------------------------------------------- */

/* Its process lives, and its guest does not run in time. It is killed for that, and has failed all
 * the same: who was killed for no fault of its own would be started anew at once, again and again.
 */
static void a_start_that_fails_and_is_killed_is_a_failure(void **state)
{
    struct lone_agent b;
    struct world_vm_found found;
    const struct simvm_faults mute = {.is_mute = true};
    (void)state;
    lone_open(&b, WORLD_WATCHDOG_READY);
    struct ha_vm vm = vm_named("web", 100);
    ha_text_set(vm.volume, sizeof(vm.volume), "web");
    vm.start_ms = 2000;
    VIEW_PUT(&b.view, &vm);
    lone_register(&b);
    lone_assign(&b, 7, HA_POLICY_STOP);
    lone_grant(&b, b.view.revision);
    while (!simvm_at(b.host, 0, &found)) {
        lone_run(&b, 10 * NANOS_PER_MS);
    }
    assert_int_equal(ha_run_find(b.agent, "web", 7)->phase, HA_RUN_STARTING);
    simvm_set_faults(b.host, "web", &mute);
    lone_run(&b, 3 * NANOS_PER_S);
    assert_false(simvm_at(b.host, 0, &found));
    const struct ha_run *run = ha_run_find(b.agent, "web", 7);
    assert_int_equal(run->phase, HA_RUN_ENDED);
    assert_int_equal(run->end, WORLD_VM_CRASHED);
    assert_int_equal(run->error, ERR_TIMEOUT);
    assert_string_equal(run->detail, err_text(ERR_TIMEOUT));
    lone_close(&b);
}

/* --- moves that fail -------------------------------------------------------------------------- */

/* The report that its agent would write, as the view is. */
static struct ha_report lone_reports(const struct lone_agent *b)
{
    struct ha_report report;

    ha_report_fill(ha_run_of(b->agent, "web"), &report);
    return report;
}

/* The machine is being moved from that host to that one, as epoch 8. */
static void lone_move(struct lone_agent *b, const char *from, const char *to)
{
    struct ha_owner owner = owner_of("web", HA_MOVING, from, 7);

    owner.policy = HA_POLICY_STOP;
    owner.issued = 8;
    ha_text_set(owner.to, sizeof(owner.to), to);
    ha_text_set(owner.address, sizeof(owner.address), to);
    owner.port = 4000;
    VIEW_PUT(&b->view, &owner);
}

static void lone_runs(struct lone_agent *b, uint64_t epoch)
{
    struct ha_owner owner = owner_of("web", HA_RUNNING, "a", epoch);

    owner.policy = HA_POLICY_STOP;
    VIEW_PUT(&b->view, &owner);
}

/* The manager calls it off for what is reported; a machine that runs on has nothing to complain of
 * then, and what comes to ail it is told. */
static void a_move_that_has_failed_is_told_until_it_is_over(void **state)
{
    struct lone_agent b;
    const struct simvm_faults full = {.has_no_room = true};
    (void)state;
    lone_open(&b, WORLD_WATCHDOG_READY);
    lone_register(&b);
    lone_assign(&b, 7, HA_POLICY_STOP);
    lone_grant(&b, b.view.revision);
    lone_run(&b, NANOS_PER_S);
    lone_move(&b, "a", "b");
    lone_grant(&b, b.view.revision);
    lone_run(&b, NANOS_PER_S);
    assert_int_equal(lone_reports(&b).to_epoch, 8);
    assert_string_not_equal(lone_reports(&b).detail, "");
    lone_runs(&b, 7);
    lone_grant(&b, b.view.revision);
    lone_run(&b, NANOS_PER_S);
    assert_int_equal(lone_reports(&b).to_epoch, 0);
    assert_string_equal(lone_reports(&b).detail, "");
    simvm_set_faults(b.host, "web", &full);
    for (uint32_t i = 0; i < 3; i++) {
        lone_grant(&b, b.view.revision);
        lone_run(&b, 2 * NANOS_PER_S);
    }
    assert_string_not_equal(lone_reports(&b).detail, "");
    lone_close(&b);
}

/* An agent that begins anew may be served by a voter that lags: its view still says of a machine
 * which runs here, or stands still, that it waits for its guest. What it says later holds. */
static void adopt_moved(bool is_paused)
{
    struct lone_agent b;
    struct world_vm_found found;

    lone_open(&b, WORLD_WATCHDOG_READY);
    lone_register(&b);
    lone_assign(&b, 8, HA_POLICY_STOP);
    lone_grant(&b, b.view.revision);
    lone_run(&b, NANOS_PER_S);
    if (is_paused) {
        ha_run_order(ha_run_of(b.agent, "web"), WORLD_VM_PAUSE, NANOS_PER_S);
        simworld_run(b.sim, simworld_now(b.sim) + 100 * NANOS_PER_MS);
    }
    lone_move(&b, "b", "a");
    lone_begin_anew(&b);
    assert_int_equal(lone_reports(&b).state, is_paused ? HA_REPORT_WAITS : HA_REPORT_RUNS);
    lone_runs(&b, 8);
    lone_register(&b);
    lone_grant(&b, b.view.revision);
    lone_run(&b, NANOS_PER_S);
    assert_int_equal(lone_reports(&b).epoch, 8);
    assert_int_equal(lone_reports(&b).state, HA_REPORT_RUNS);
    assert_true(simvm_at(b.host, 0, &found));
    assert_int_equal(found.state, WORLD_VM_RUNNING);
    lone_close(&b);
}

/* Where the order to go on had no answer, the machine is seen to run: it waits no more. */
static void a_guest_that_is_seen_to_run_does_not_wait(void **state)
{
    struct lone_agent b;
    (void)state;
    lone_start(&b, HA_POLICY_STOP);
    struct ha_run *run = ha_run_of(b.agent, "web");
    run->is_incoming = true;
    run->has_run = false;
    ha_move_seen(run, WORLD_VM_PAUSED);
    assert_true(run->is_incoming);
    ha_move_seen(run, WORLD_VM_RUNNING);
    assert_false(run->is_incoming);
    lone_close(&b);
}

/* QEMU may refuse to let it go on, at once and each time: that is asked once a second, and not for
 * ever. */
static void a_guest_that_cannot_be_taken_back_is_given_up(void **state)
{
    struct lone_agent b;
    struct world_vm_found found;
    (void)state;
    lone_open(&b, WORLD_WATCHDOG_READY);
    ha_text_set(b.agent->config.move_address, sizeof(b.agent->config.move_address), "a");
    lone_register(&b);
    lone_move(&b, "b", "a");
    lone_grant(&b, b.view.revision);
    lone_run(&b, 2 * NANOS_PER_S);
    struct ha_run *run = ha_run_of(b.agent, "web");
    assert_true(run->is_incoming);
    lone_runs(&b, 8);
    lone_run(&b, 20 * NANOS_PER_MS);
    run->is_paused = false;
    run->is_moved = true; /* as at a source, whose guest refuses likewise */
    for (uint32_t i = 0; i < 30 && run->phase == HA_RUN_ALIVE; i++) {
        lone_grant(&b, b.view.revision);
        lone_run(&b, NANOS_PER_S);
    }
    assert_false(simvm_at(b.host, 0, &found));
    assert_in_range(b.taken_back, 10, 30);
    lone_close(&b);
}

static void a_machine_that_was_moved_here_runs_whatever_an_old_view_says(void **state)
{
    (void)state;
    adopt_moved(false);
    adopt_moved(true);
}

/* --- what would prove its loss ---------------------------------------------------------------- */

struct refusal_case {
    enum world_watchdog watchdog;
    bool has_fence;
    bool is_own_disk;
    enum ha_policy policy;
    bool is_refused;
};

static void refusal_try(const struct refusal_case *c)
{
    struct lone_agent b;
    struct ha_host host = host_named("a", 1000, 4);

    lone_open(&b, c->watchdog);
    if (!c->has_fence) {
        host.n_levels = 0;
    }
    VIEW_PUT(&b.view, &host);
    if (c->is_own_disk) {
        struct ha_vm vm = vm_named("web", 100);
        ha_text_set(vm.volume, sizeof(vm.volume), "web");
        vm.storage[0] = '\0';
        names_add(&vm.allowed, "a");
        VIEW_PUT(&b.view, &vm);
    }
    lone_register(&b);
    lone_assign(&b, 7, c->policy);
    lone_grant(&b, b.view.revision);
    lone_run(&b, NANOS_PER_S);
    assert_int_equal(lone_starts(&b), c->is_refused ? 0 : 1);
    if (c->is_refused) {
        /* And says so, for the manager to place it elsewhere. */
        const struct ha_run *run = ha_run_find(b.agent, "web", 7);
        assert_non_null(run);
        assert_int_equal(run->phase, HA_RUN_ENDED);
        assert_int_equal(run->error, ERR_DENIED);
        assert_non_null(strstr(run->detail, "fence device"));
        assert_int_equal(b.n, 1);
    }
    lone_close(&b);
}

/* Placement looks at the same; but between its look and the start the watchdog may have gone. */
static void an_agent_refuses_what_nothing_would_prove_lost(void **state)
{
    static const struct refusal_case cases[] = {
        {WORLD_WATCHDOG_NONE, false, false, HA_POLICY_STOP, true},
        {WORLD_WATCHDOG_SOFT, false, false, HA_POLICY_STOP, true},
        {WORLD_WATCHDOG_READY, false, false, HA_POLICY_STOP, false},
        {WORLD_WATCHDOG_NONE, true, false, HA_POLICY_STOP, false},
        {WORLD_WATCHDOG_READY, false, false, HA_POLICY_KEEP, true},
        {WORLD_WATCHDOG_READY, true, false, HA_POLICY_KEEP, false},
        {WORLD_WATCHDOG_NONE, false, true, HA_POLICY_STOP, false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        refusal_try(&cases[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_started_on_a_view_older_than_the_newest_grant),
        cmocka_unit_test(nothing_is_killed_on_a_view_older_than_the_newest_grant),
        cmocka_unit_test(a_boot_is_not_used_before_it_is_known_to_be_applied),
        cmocka_unit_test(a_record_of_an_older_boot_displaces_nobody),
        cmocka_unit_test(a_record_of_a_newer_boot_displaces),
        cmocka_unit_test(a_first_boot_is_above_those_that_were_deleted),
        cmocka_unit_test(a_machine_that_the_guard_does_not_hold_is_no_promise),
        cmocka_unit_test(a_machine_that_the_guard_has_lost_is_no_promise),
        cmocka_unit_test(one_answer_of_the_guard_takes_no_promise_away),
        cmocka_unit_test(a_machine_that_is_to_be_kept_takes_no_promise_away),
        cmocka_unit_test(a_machine_that_is_kept_hides_no_watchdog),
        cmocka_unit_test(nothing_is_ended_before_it_is_known_whether_it_is_to_be_kept),
        cmocka_unit_test(what_does_not_live_when_an_agent_begins_has_not_failed),
        cmocka_unit_test(a_guest_that_has_started_is_not_asked_again_by_the_next_agent),
        cmocka_unit_test(a_promise_that_was_taken_back_is_not_told_for_ever),
        cmocka_unit_test(a_guest_that_was_paused_goes_on_to_be_stopped_or_moved),
        cmocka_unit_test(a_report_follows_the_one_that_was_seen),
        cmocka_unit_test(a_start_that_fails_and_is_killed_is_a_failure),
        cmocka_unit_test(a_move_that_has_failed_is_told_until_it_is_over),
        cmocka_unit_test(a_machine_that_was_moved_here_runs_whatever_an_old_view_says),
        cmocka_unit_test(a_guest_that_is_seen_to_run_does_not_wait),
        cmocka_unit_test(a_guest_that_cannot_be_taken_back_is_given_up),
        cmocka_unit_test(an_agent_refuses_what_nothing_would_prove_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
