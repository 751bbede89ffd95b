/* What an agent must never do, whatever it is told: by an old view, for another boot, with a guard
 * that does not hold its machines, and where nothing would prove its loss. */
#include <string.h>

#include "core/chaos/simguard.h"
#include "core/chaos/simvm.h"
#include "core/ha/ha_agent_int.h"
#include "tests/core/ha/lone_agent.h"
#include "tests/support/test.h"

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

/* The machine's record may be edited and put back while its guest is sent: what waits for it would
 * have the other disk, and no record would say so. */
static void nothing_waits_for_a_guest_of_another_disk(void **state)
{
    static const char *const volumes[] = {"web", "other"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(volumes); i++) {
        struct lone_agent b;
        struct ha_report report;
        struct ha_vm vm = vm_named("web", 100);
        struct ha_owner owner = owner_of("web", HA_MOVING, "b", 7);
        lone_open(&b, WORLD_WATCHDOG_READY);
        ha_text_set(b.agent->config.move_address, sizeof(b.agent->config.move_address), "a");
        lone_register(&b);
        owner.issued = 8;
        ha_text_set(owner.to, sizeof(owner.to), "a");
        ha_text_set(owner.volume, sizeof(owner.volume), "web");
        ha_text_set(owner.storage, sizeof(owner.storage), "nfs");
        ha_text_set(owner.path, sizeof(owner.path), "/srv");
        ha_text_set(vm.volume, sizeof(vm.volume), volumes[i]);
        VIEW_PUT(&b.view, &vm);
        VIEW_PUT(&b.view, &owner);
        lone_grant(&b, b.view.revision);
        lone_run(&b, NANOS_PER_S);
        assert_non_null(ha_run_find(b.agent, "web", 8));
        ha_report_fill(ha_run_find(b.agent, "web", 8), &report);
        assert_int_equal(lone_starts(&b), 1 - i);
        assert_int_equal(report.epoch, 8);
        assert_int_equal(report.state, i == 0 ? HA_REPORT_WAITS : HA_REPORT_STOPPED);
        assert_true((strstr(report.detail, "its disk is another") != NULL) == (i == 1));
        lone_close(&b);
    }
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

/* --- a host before this one, of the same name ---------------------------------------------------
 */

/* An agent that finds the record of member 2, by whose host "web" may run still. */
static void lone_open_behind_another(struct lone_agent *b)
{
    struct ha_agent_record record;
    const struct ha_owner owner = owner_of("web", HA_RUNNING, "a", 7);

    lone_open(b, WORLD_WATCHDOG_READY);
    record = b->agent->record;
    record.member = 2;
    VIEW_PUT(&b->view, &record);
    VIEW_PUT(&b->view, &owner);
    lone_begin_anew(b);
    lone_run(b, NANOS_PER_S);
}

/* That it does not live here says nothing of another machine: the host is counted as lost until
 * somebody knows more. */
static void a_host_says_nothing_of_what_another_of_its_name_has_run(void **state)
{
    struct lone_agent b;
    (void)state;
    lone_open_behind_another(&b);
    assert_int_equal(b.n, 0);
    assert_int_equal(b.renewals, 0);
    assert_int_equal(b.agent->phase, HA_AGENT_JOINING);
    assert_null(ha_run_find(b.agent, "web", 7));
    /* It was proved to be off, and the machine runs elsewhere. */
    const struct ha_owner owner = owner_of("web", HA_RUNNING, "b", 8);
    VIEW_PUT(&b.view, &owner);
    lone_run(&b, NANOS_PER_S);
    lone_register(&b);
    assert_null(ha_run_find(b.agent, "web", 7));
    lone_close(&b);
}

/* By a fence, or an operator's word: then it has ended. */
static void a_host_that_was_proved_gone_is_followed_at_once(void **state)
{
    struct lone_agent b;
    struct ha_fate fate;
    (void)state;
    lone_open_behind_another(&b);
    ha_record_defaults(HA_FATE, &fate);
    ha_text_set(fate.host, sizeof(fate.host), "a");
    fate.phase = HA_HOST_LOST;
    VIEW_PUT(&b.view, &fate);
    lone_run(&b, NANOS_PER_S);
    assert_int_equal(b.n, 0);
    fate.phase = HA_HOST_GONE;
    fate.proof = HA_PROOF_CONFIRMED;
    VIEW_PUT(&b.view, &fate);
    lone_run(&b, NANOS_PER_S);
    lone_register(&b);
    assert_int_equal(ha_run_find(b.agent, "web", 7)->phase, HA_RUN_ENDED);
    lone_close(&b);
}

/* A view that lags shows what the host before this one owned when it is registered already. It
 * renews nothing then, and promises no watchdog by which time would prove that host gone. */
static void what_a_lagging_view_shows_of_another_is_no_less_in_doubt(void **state)
{
    struct lone_agent b;
    struct ha_agent_record record;
    const struct ha_owner here = owner_of("web", HA_RUNNING, "a", 7);
    const struct ha_owner elsewhere = owner_of("web", HA_RUNNING, "b", 8);
    (void)state;
    lone_open(&b, WORLD_WATCHDOG_READY);
    record = b.agent->record;
    record.member = 2;
    VIEW_PUT(&b.view, &record);
    lone_begin_anew(&b);
    assert_int_equal(b.n, 1);
    assert_int_equal(b.agent->record.watchdog, WORLD_WATCHDOG_NONE);
    VIEW_PUT(&b.view, &here);
    VIEW_PUT(&b.view, &b.agent->record);
    lone_answer(&b, HA_TXN_APPLIED, (int64_t)b.view.revision);
    lone_run(&b, NANOS_PER_S);
    assert_int_equal(b.agent->phase, HA_AGENT_JOINING);
    assert_int_equal(b.renewals, 0);
    assert_int_equal(b.n, 0);
    assert_null(ha_run_find(b.agent, "web", 7));
    VIEW_PUT(&b.view, &elsewhere);
    lone_run(&b, NANOS_PER_S);
    assert_int_equal(b.agent->phase, HA_AGENT_SERVING);
    assert_true(b.renewals > 0);
    assert_int_equal(b.agent->record.watchdog, WORLD_WATCHDOG_READY);
    lone_close(&b);
}

/* On a disk that only one of them has, nothing is written by two. */
static void a_machine_on_its_hosts_own_disk_holds_up_nobody(void **state)
{
    struct lone_agent b;
    struct ha_agent_record record;
    struct ha_vm vm = vm_named("web", 100);
    const struct ha_owner owner = owner_of("web", HA_RUNNING, "a", 7);
    (void)state;
    lone_open(&b, WORLD_WATCHDOG_READY);
    record = b.agent->record;
    record.member = 2;
    vm.storage[0] = '\0';
    names_add(&vm.allowed, "a");
    VIEW_PUT(&b.view, &record);
    VIEW_PUT(&b.view, &vm);
    VIEW_PUT(&b.view, &owner);
    lone_begin_anew(&b);
    lone_register(&b);
    assert_int_equal(ha_run_find(b.agent, "web", 7)->phase, HA_RUN_ENDED);
    lone_close(&b);
}

/* Its agent does no more than that, and that it does: two of a machine would be worse. */
static void a_displaced_agent_ends_what_was_started_elsewhere(void **state)
{
    struct lone_agent b;
    struct world_vm_found found;
    const struct ha_owner elsewhere = owner_of("web", HA_STARTING, "b", 8);
    (void)state;
    lone_open(&b, WORLD_WATCHDOG_READY);
    lone_register(&b);
    lone_assign(&b, 7, HA_POLICY_STOP);
    lone_grant(&b, b.view.revision);
    lone_run(&b, NANOS_PER_S);
    struct ha_agent_record record = b.agent->record;
    record.boot++;
    VIEW_PUT(&b.view, &record);
    lone_run(&b, NANOS_PER_S);
    assert_int_equal(b.agent->phase, HA_AGENT_DISPLACED);
    assert_true(simvm_at(b.host, 0, &found));
    VIEW_PUT(&b.view, &elsewhere);
    lone_run(&b, NANOS_PER_S);
    assert_false(simvm_at(b.host, 0, &found));
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

/* What its record says by now is for the next start: a guest must run on the disk that its owner's
 * record has, with which that of another host is compared when it is moved. */
static void a_machine_is_started_on_the_disk_that_it_was_placed_with(void **state)
{
    struct lone_agent b;
    struct ha_owner owner = owner_of("web", HA_STARTING, "a", 7);
    (void)state;
    lone_open(&b, WORLD_WATCHDOG_READY);
    lone_register(&b);
    owner.policy = HA_POLICY_STOP;
    ha_text_set(owner.volume, sizeof(owner.volume), "web");
    ha_text_set(owner.storage, sizeof(owner.storage), "nfs");
    ha_text_set(owner.path, sizeof(owner.path), "/srv");
    VIEW_PUT(&b.view, &owner);
    struct ha_vm vm = vm_named("web", 100);
    ha_text_set(vm.volume, sizeof(vm.volume), "another");
    VIEW_PUT(&b.view, &vm);
    lone_grant(&b, b.view.revision);
    lone_run(&b, NANOS_PER_S);
    assert_int_equal(lone_starts(&b), 1);
    assert_string_equal(ha_run_find(b.agent, "web", 7)->volume, "web");
    assert_string_equal(ha_run_find(b.agent, "web", 7)->image, "/srv/web");
    lone_close(&b);
}

/* The driver would look for its disk where it has its own: an old copy of it may be there. */
static void a_machine_whose_storage_is_not_declared_any_more_is_not_started(void **state)
{
    struct lone_agent b;
    (void)state;
    lone_open(&b, WORLD_WATCHDOG_READY);
    lone_register(&b);
    lone_assign(&b, 7, HA_POLICY_STOP);
    view_delete_key(&b.view, "/novacron/storages/nfs");
    lone_grant(&b, b.view.revision);
    lone_run(&b, NANOS_PER_S);
    assert_int_equal(lone_starts(&b), 0);
    assert_int_equal(ha_run_find(b.agent, "web", 7)->error, ERR_DENIED);
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
        cmocka_unit_test(nothing_waits_for_a_guest_of_another_disk),
        cmocka_unit_test(a_boot_is_not_used_before_it_is_known_to_be_applied),
        cmocka_unit_test(a_record_of_an_older_boot_displaces_nobody),
        cmocka_unit_test(a_record_of_a_newer_boot_displaces),
        cmocka_unit_test(a_host_says_nothing_of_what_another_of_its_name_has_run),
        cmocka_unit_test(a_host_that_was_proved_gone_is_followed_at_once),
        cmocka_unit_test(what_a_lagging_view_shows_of_another_is_no_less_in_doubt),
        cmocka_unit_test(a_machine_on_its_hosts_own_disk_holds_up_nobody),
        cmocka_unit_test(a_displaced_agent_ends_what_was_started_elsewhere),
        cmocka_unit_test(a_first_boot_is_above_those_that_were_deleted),
        cmocka_unit_test(a_machine_that_the_guard_does_not_hold_is_no_promise),
        cmocka_unit_test(a_machine_that_the_guard_has_lost_is_no_promise),
        cmocka_unit_test(one_answer_of_the_guard_takes_no_promise_away),
        cmocka_unit_test(a_machine_that_is_to_be_kept_takes_no_promise_away),
        cmocka_unit_test(a_machine_that_is_kept_hides_no_watchdog),
        cmocka_unit_test(a_report_follows_the_one_that_was_seen),
        cmocka_unit_test(a_machine_is_started_on_the_disk_that_it_was_placed_with),
        cmocka_unit_test(a_machine_whose_storage_is_not_declared_any_more_is_not_started),
        cmocka_unit_test(a_start_that_fails_and_is_killed_is_a_failure),
        cmocka_unit_test(an_agent_refuses_what_nothing_would_prove_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
