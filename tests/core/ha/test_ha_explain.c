#include "core/ha/ha_explain.h"

#include <string.h>

#include "core/base/mem.h"
#include "core/base/say.h"
#include "core/ha/ha_ladder_view.h"
#include "tests/core/ha/ha_samples.h"
#include "tests/support/test.h"

/* A cluster of two hosts, "a" and "b", and one machine, "web", by records alone. */
static void explain_scene(struct ha_view *v)
{
    static const char *const hosts[] = {"a", "b"};
    struct ha_storage storage;

    ha_view_init(v);
    ha_record_defaults(HA_STORAGE, &storage);
    ha_text_set(storage.name, sizeof storage.name, "nfs");
    ha_text_set(storage.type, sizeof storage.type, "nfs");
    ha_text_set(storage.path, sizeof storage.path, "/srv");
    VIEW_PUT(v, &storage);
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        const struct ha_host host = host_named(hosts[i], 1000, 4);
        const struct ha_agent_record agent = agent_of(hosts[i]);
        VIEW_PUT(v, &host);
        VIEW_PUT(v, &agent);
    }
    const struct ha_vm vm = vm_named("web", 400);
    VIEW_PUT(v, &vm);
}

typedef void (*explain_one)(const struct ha_ledger *ledger, const char *name, struct buf *text);

static void assert_explains(const struct ha_view *v, explain_one explain, const char *name,
                            const char *expected)
{
    struct ha_ledger ledger;
    struct buf text;

    ha_ledger_init(&ledger, v, NULL, 0);
    buf_init(&text);
    explain(&ledger, name, &text);
    assert_string_equal(say_end(&text), expected);
    buf_deinit(&text);
    ha_ledger_deinit(&ledger);
}

static void explain_put_owner(struct ha_view *v, enum ha_phase phase, const char *host,
                              uint64_t epoch, const char *reason)
{
    struct ha_owner owner = owner_of("web", phase, host, epoch);

    ha_text_set(owner.reason, sizeof owner.reason, reason);
    VIEW_PUT(v, &owner);
}

static void a_machine_that_runs_tells_where_it_would_come_back(void **state)
{
    (void)state;
    struct ha_view v;
    explain_scene(&v);
    explain_put_owner(&v, HA_RUNNING, "a", 7, "");
    assert_explains(&v, ha_explain_vm, "web",
                    "web is running on a, in epoch 7.\n"
                    "If a were lost, it would come back on b.\n");
    const struct ha_vm large = vm_named("large", 900);
    const struct ha_owner owner = owner_of("large", HA_RUNNING, "b", 1);
    VIEW_PUT(&v, &large);
    VIEW_PUT(&v, &owner);
    assert_explains(&v, ha_explain_vm, "web",
                    "web is running on a, in epoch 7.\n"
                    "If a were lost, no other host would fit:\n"
                    "  b: 400 MiB of memory are needed, and 100 are free\n");
    ha_view_deinit(&v);
}

static void a_machine_that_is_to_move_tells_what_is_in_its_way(void **state)
{
    (void)state;
    struct ha_view v;
    explain_scene(&v);
    struct ha_vm vm = vm_named("web", 400);
    ha_text_set(vm.move_to, sizeof vm.move_to, "b");
    VIEW_PUT(&v, &vm);
    explain_put_owner(&v, HA_RUNNING, "a", 7, "");
    assert_explains(&v, ha_explain_vm, "web",
                    "web is running on a, in epoch 7.\n"
                    "It is to move to b.\n"
                    "If a were lost, it would come back on b.\n");
    struct ha_host host = host_named("b", 1000, 4);
    host.is_enabled = false;
    VIEW_PUT(&v, &host);
    assert_explains(&v, ha_explain_vm, "web",
                    "web is running on a, in epoch 7.\n"
                    "It is to move to b, and stays here until it fits there:\n"
                    "  b: it is disabled\n"
                    "If a were lost, no other host would fit:\n"
                    "  b: it is disabled\n");
    view_delete_key(&v, "/novacron/hosts/b");
    assert_explains(&v, ha_explain_vm, "web",
                    "web is running on a, in epoch 7.\n"
                    "It is to move to b, and there is no such host.\n"
                    "If a were lost, no other host would fit:\n"
                    "  there is no other host\n");
    ha_view_deinit(&v);
}

static void a_machine_on_a_disk_of_its_host_is_not_protected(void **state)
{
    (void)state;
    struct ha_view v;
    explain_scene(&v);
    struct ha_vm vm = vm_named("web", 400);
    vm.storage[0] = '\0';
    names_add(&vm.allowed, "a");
    VIEW_PUT(&v, &vm);
    explain_put_owner(&v, HA_RUNNING, "a", 7, "");
    assert_explains(&v, ha_explain_vm, "web",
                    "web is running on a, in epoch 7.\n"
                    "It is not protected: its disk is a's own.\n");
    ha_view_deinit(&v);
}

static void a_machine_without_a_host_tells_each_host_why_not(void **state)
{
    (void)state;
    struct ha_view v;
    explain_scene(&v);
    assert_explains(&v, ha_explain_vm, "web", "web does not run yet; it would be started on a.\n");
    struct ha_host host = host_named("a", 300, 4);
    VIEW_PUT(&v, &host);
    struct ha_vm low = vm_named("low", 800);
    low.priority = 1;
    const struct ha_owner owner = owner_of("low", HA_RUNNING, "b", 1);
    VIEW_PUT(&v, &low);
    VIEW_PUT(&v, &owner);
    explain_put_owner(&v, HA_WAITING, "", 7, "no host fits");
    assert_explains(&v, ha_explain_vm, "web",
                    "web does not run: no host fits.\n"
                    "  a: 400 MiB of memory are needed, and 300 are free\n"
                    "  b: 400 MiB of memory are needed, and 200 are free\n"
                    "It would fit on b without machines of lower priority: low.\n"
                    "Reason: no host fits\n");
    view_delete_key(&v, "/novacron/hosts/a");
    view_delete_key(&v, "/novacron/hosts/b");
    assert_explains(&v, ha_explain_vm, "web",
                    "web does not run: no host fits.\n"
                    "  there are no hosts; `novacron host apply` makes one\n"
                    "Reason: no host fits\n");
    ha_view_deinit(&v);
}

static void a_machine_that_waits_tells_for_whom(void **state)
{
    (void)state;
    struct ha_view v;
    explain_scene(&v);
    struct ha_vm vm = vm_named("web", 400);
    names_add(&vm.after, "db");
    VIEW_PUT(&v, &vm);
    assert_explains(&v, ha_explain_vm, "web",
                    "web waits for db, which there is not.\n"
                    "Take it out of `after`, or apply it.\n");
    struct ha_vm db = vm_named("db", 100);
    VIEW_PUT(&v, &db);
    assert_explains(&v, ha_explain_vm, "web", "web waits for db, which does not run yet.\n");
    names_add(&db.after, "web");
    VIEW_PUT(&v, &db);
    assert_explains(&v, ha_explain_vm, "web",
                    "web waits for itself, by way of db.\n"
                    "Take one of them out of `after`.\n");
    db.is_wanted = false;
    VIEW_PUT(&v, &db);
    assert_explains(&v, ha_explain_vm, "web",
                    "web waits for db, which is stopped or has failed.\n"
                    "Start it: `novacron vm start db`; or take it out of `after`.\n");
    ha_view_deinit(&v);
}

static void explain_put_fate(struct ha_view *v, enum ha_fate_phase phase, enum ha_proof proof)
{
    struct ha_fate fate;

    ha_record_defaults(HA_FATE, &fate);
    ha_text_set(fate.host, sizeof fate.host, "a");
    ha_text_set(fate.incident, sizeof fate.incident, "i-1");
    ha_text_set(fate.reason, sizeof fate.reason, "level 1: bmc-a: off: ERR_CLOSED");
    fate.phase = phase;
    fate.proof = proof;
    VIEW_PUT(v, &fate);
}

static void a_machine_of_a_lost_host_tells_what_is_missing_and_what_would_help(void **state)
{
    (void)state;
    struct ha_view v;
    explain_scene(&v);
    explain_put_owner(&v, HA_RECOVERING, "a", 7, "unproven");
    explain_put_fate(&v, HA_HOST_FENCING, HA_PROOF_NONE);
    assert_explains(
        &v, ha_explain_vm, "web",
        "web may still run on a, and is not started elsewhere before the opposite is proved.\n"
        "a is fencing: level 1: bmc-a: off: ERR_CLOSED\n"
        "The host is not declared bare metal: it may be paused as a whole, so that time proves "
        "nothing.\n"
        "Make a fence device of the host work, or see that it is off and say so: "
        "`novacron host confirm-off`.\n"
        "Reason: unproven\n");
    struct ha_confirmed confirmed;
    ha_record_defaults(HA_CONFIRMED, &confirmed);
    ha_text_set(confirmed.host, sizeof confirmed.host, "a");
    ha_text_set(confirmed.incident, sizeof confirmed.incident, "i-1");
    ha_text_set(confirmed.by, sizeof confirmed.by, "ann");
    ha_text_set(confirmed.reason, sizeof confirmed.reason, "pulled the plug");
    VIEW_PUT(&v, &confirmed);
    assert_explains(
        &v, ha_explain_vm, "web",
        "web may still run on a, and is not started elsewhere before the opposite is proved.\n"
        "a is fencing: level 1: bmc-a: off: ERR_CLOSED\n"
        "It is proved that the host runs it no more.\n"
        "Nothing is needed.\n"
        "Reason: unproven\n");
    ha_text_set(confirmed.incident, sizeof confirmed.incident, "i-0"); /* of an earlier loss */
    VIEW_PUT(&v, &confirmed);
    struct ha_report report; /* which says that it runs */
    ha_record_defaults(HA_REPORT, &report);
    ha_text_set(report.host, sizeof report.host, "a");
    ha_text_set(report.vm, sizeof report.vm, "web");
    report.epoch = 7;
    VIEW_PUT(&v, &report);
    struct ha_host metal = host_named("a", 1000, 4);
    struct ha_agent_record agent = agent_of("a");
    metal.is_bare_metal = true;
    agent.watchdog = WORLD_WATCHDOG_ARMED;
    agent.watchdog_ms = 10000;
    VIEW_PUT(&v, &metal);
    VIEW_PUT(&v, &agent);
    assert_explains(
        &v, ha_explain_vm, "web",
        "web may still run on a, and is not started elsewhere before the opposite is proved.\n"
        "a is fencing: level 1: bmc-a: off: ERR_CLOSED\n"
        "The host's lease, and its watchdog behind it, may still hold.\n"
        "Wait; a fence device that works, or `novacron host confirm-off`, would be sooner.\n"
        "Reason: unproven\n");
    ha_view_deinit(&v);
}

static void a_machine_that_failed_tells_its_counters_and_its_reason(void **state)
{
    (void)state;
    struct ha_view v;
    explain_scene(&v);
    struct ha_owner owner = owner_of("web", HA_FAILED, "a", 12);
    owner.failures = 10;
    owner.restarts = 11;
    ha_text_set(owner.reason, sizeof owner.reason, "it crashed");
    VIEW_PUT(&v, &owner);
    assert_explains(&v, ha_explain_vm, "web",
                    "web has failed, and is not started any more.\n"
                    "Find the cause, then: `novacron vm start web`.\n"
                    "It was started anew 11 times; 10 failures of 10 count at present.\n"
                    "Reason: it crashed\n");
    ha_view_deinit(&v);
}

static void a_machine_that_has_ended_tells_where_it_would_start(void **state)
{
    (void)state;
    struct ha_view v;
    explain_scene(&v);
    explain_put_owner(&v, HA_RESTARTING, "a", 7, "it crashed");
    assert_explains(&v, ha_explain_vm, "web",
                    "web has ended on a, and is to be started again.\n"
                    "web does not run yet; it would be started on a.\n"
                    "Reason: it crashed\n");
    ha_view_deinit(&v);
}

static void what_cannot_be_read_is_told_with_its_reason(void **state)
{
    (void)state;
    struct ha_view v;
    struct buf text;
    explain_scene(&v);
    assert_explains(&v, ha_explain_vm, "db", "There is no machine db.\n");
    assert_explains(&v, ha_explain_host, "x", "There is no host x.\n");
    view_put_text(&v, "/novacron/owners/web", "{\"vm\":\"web\"}");
    assert_explains(&v, ha_explain_vm, "web",
                    "Who runs web cannot be read, so that it is left as it is.\n"
                    "  /novacron/owners/web: phase: it is missing\n");
    view_put_text(&v, "/novacron/vms/web", "{}");
    assert_explains(&v, ha_explain_vm, "web",
                    "The record of web cannot be read, so that nothing is done about it.\n"
                    "  /novacron/vms/web: name: it is missing\n");
    view_put_text(&v, "/novacron/vm/web", "{}");
    buf_init(&text);
    ha_explain_unreadable(&v, &text);
    assert_string_equal(say_end(&text),
                        "/novacron/vms/web: name: it is missing\n"
                        "/novacron/owners/web: phase: it is missing\n"
                        "/novacron/vm/web: there is no such key; docs/formats/ha-records.md has "
                        "those that there are\n");
    buf_deinit(&text);
    ha_view_deinit(&v);
}

static void assert_tells(const struct ha_view *v,
                         void (*explain)(const struct ha_view *view, struct buf *text),
                         const char *expected)
{
    struct buf text;

    buf_init(&text);
    explain(v, &text);
    assert_string_equal(say_end(&text), expected);
    buf_deinit(&text);
}

static void names_of_nothing_are_told(void **state)
{
    (void)state;
    struct ha_view v;
    explain_scene(&v);
    assert_tells(&v, ha_explain_references,
                 "hosts/a: levels[0][0]: there is no fence device a\n"
                 "hosts/b: levels[0][0]: there is no fence device b\n");
    struct ha_device device;
    ha_record_defaults(HA_DEVICE, &device);
    ha_text_set(device.name, sizeof device.name, "a");
    ha_text_set(device.agent, sizeof device.agent, "fence_ipmilan");
    VIEW_PUT(&v, &device);
    view_put_text(&v, "/novacron/devices/b", "{}"); /* which is there, and told elsewhere */
    assert_tells(&v, ha_explain_references, "");
    struct ha_vm vm = vm_named("web", 400);
    ha_text_set(vm.storage, sizeof vm.storage, "san");
    names_add(&vm.allowed, "a");
    names_add(&vm.allowed, "c");
    names_add(&vm.preferred, "c");
    names_add(&vm.with, "db");
    names_add(&vm.apart, "cache");
    names_add(&vm.after, "dns");
    ha_text_set(vm.move_to, sizeof vm.move_to, "c");
    VIEW_PUT(&v, &vm);
    assert_tells(&v, ha_explain_references,
                 "vms/web: storage: there is no storage san\n"
                 "vms/web: move_to: there is no host c\n"
                 "vms/web: allowed[1]: there is no host c\n"
                 "vms/web: preferred[0]: there is no host c\n"
                 "vms/web: with[0]: there is no machine db\n"
                 "vms/web: apart[0]: there is no machine cache\n"
                 "vms/web: after[0]: there is no machine dns\n");
    ha_view_deinit(&v);
}

static void settings_that_cannot_be_kept_are_told(void **state)
{
    (void)state;
    struct ha_view v;
    explain_scene(&v);
    struct ha_agent_record agent = agent_of("a");
    agent.watchdog = WORLD_WATCHDOG_READY;
    agent.watchdog_ms = 60000; /* on what is no bare metal it is not counted on */
    VIEW_PUT(&v, &agent);
    assert_tells(&v, ha_explain_settings, "");
    struct ha_host host = host_named("a", 1000, 4);
    host.is_bare_metal = true;
    VIEW_PUT(&v, &host);
    assert_tells(&v, ha_explain_settings,
                 "expiry_max_ms: without a fence a machine comes back after up to 74.084 s (lease "
                 "9.000 s, watchdog 60.000 s, I/O in flight 5.000 s), and 30.000 s is tolerated: "
                 "lower lease_ms, the watchdogs' time-out or flight_ms of the storages, or raise "
                 "expiry_max_ms\n");
    view_put_text(&v, "/novacron/settings", "{\"lease_ms\":1}");
    assert_tells(&v, ha_explain_settings,
                 "settings: they cannot be read, so that nothing is proved by time: lease_ms: 1 is "
                 "too small; 1000 to 600000 is allowed\n");
    ha_view_deinit(&v);
}

static void every_phase_has_an_explanation(void **state)
{
    (void)state;
    struct ha_view v;
    explain_scene(&v);
    for (int phase = 0; phase < HA_PHASES; phase++) {
        struct ha_ledger ledger;
        struct buf text;
        explain_put_owner(&v, (enum ha_phase)phase, phase == HA_WAITING ? "" : "a", 3, "");
        buf_init(&text);
        ha_ledger_init(&ledger, &v, NULL, 0);
        ha_explain_vm(&ledger, "web", &text);
        assert_true(text.len > 20);
        buf_deinit(&text);
        ha_ledger_deinit(&ledger);
    }
    struct ha_vm vm = vm_named("web", 400);
    vm.is_wanted = false;
    VIEW_PUT(&v, &vm);
    explain_put_owner(&v, HA_STOPPED, "a", 3, "");
    assert_explains(&v, ha_explain_vm, "web", "web is stopped, as is wanted.\n");
    ha_view_deinit(&v);
}

static void a_host_tells_what_it_has_and_what_covers_it(void **state)
{
    (void)state;
    struct ha_view v;
    explain_scene(&v);
    explain_put_owner(&v, HA_RUNNING, "a", 7, "");
    assert_explains(&v, ha_explain_host, "a",
                    "a is up.\n"
                    "Fenced by a.\n"
                    "Machines take 400 of 1000 MiB, and 1 of 16 processors.\n"
                    "  web: running\n");
    struct ha_host bare = host_named("a", 1000, 4);
    bare.n_levels = 0;
    bare.is_enabled = false;
    VIEW_PUT(&v, &bare);
    assert_explains(&v, ha_explain_host, "a",
                    "a gets no machines: it is disabled.\n"
                    "Nothing would prove its loss, so that no protected machine is placed there: "
                    "name a fence device in `levels`, or see to a hardware watchdog.\n"
                    "Machines take 400 of 1000 MiB, and 1 of 16 processors.\n"
                    "  web: running\n");
    explain_put_fate(&v, HA_HOST_FENCING, HA_PROOF_NONE);
    struct ha_host levels = host_named("a", 1000, 4);
    levels.n_levels = 2;
    levels.levels[1].n = 2;
    ha_text_set(levels.levels[1].device[0], HA_NAME_BYTES, "pdu-1");
    ha_text_set(levels.levels[1].device[1], HA_NAME_BYTES, "pdu-2");
    VIEW_PUT(&v, &levels);
    assert_explains(&v, ha_explain_host, "a",
                    "a gets no machines: it is not up.\n"
                    "a is fencing: level 1: bmc-a: off: ERR_CLOSED\n"
                    "If it is off for certain, say so: `novacron host confirm-off a`.\n"
                    "Fenced by a; then pdu-1 and pdu-2.\n"
                    "Machines take 400 of 1000 MiB, and 1 of 16 processors.\n"
                    "  web: running\n");
    ha_view_deinit(&v);
}

static void a_host_that_is_tripped_tells_so(void **state)
{
    (void)state;
    struct ha_view v;
    struct ha_fate fate;
    explain_scene(&v);
    ha_record_defaults(HA_FATE, &fate);
    ha_text_set(fate.host, sizeof fate.host, "a");
    fate.is_tripped = true;
    VIEW_PUT(&v, &fate);
    assert_explains(&v, ha_explain_host, "a",
                    "a gets no machines: machines cannot be started there, and it is tried again "
                    "after a while.\n"
                    "Fenced by a.\n"
                    "Machines take 0 of 1000 MiB, and 0 of 16 processors.\n");
    ha_view_deinit(&v);
}

/* --- any records ------------------------------------------------------------------------------ */

#define LETTERS 5

static void any_letter(struct prng *p, char ret[HA_NAME_BYTES])
{
    memset(ret, 0, HA_NAME_BYTES);
    ret[0] = (char)('a' + prng_below(p, LETTERS));
}

/* Some of the letters, each once, but for `self`. */
static void any_letters(struct prng *p, struct ha_names *names, char self)
{
    names->n = 0;
    for (char c = 'a'; c < 'a' + LETTERS; c++) {
        const char name[2] = {c, '\0'};
        if (c != self && prng_chance(p, 1, 5)) {
            names_add(names, name);
        }
    }
}

/* Names that are names of others, so that records are about each other. */
static void make_related(struct prng *p, enum ha_kind kind, void *record)
{
    if (kind == HA_VM) {
        struct ha_vm *vm = record;
        any_letter(p, vm->name);
        any_letters(p, &vm->allowed, '\0');
        any_letters(p, &vm->with, vm->name[0]);
        any_letters(p, &vm->after, vm->name[0]);
        vm->preferred.n = vm->apart.n = vm->sites.n = 0;
        vm->move_to[0] = '\0';
        vm->memory_mib = (uint32_t)prng_range(p, 1, 100);
        ha_text_set(vm->storage, sizeof vm->storage, "nfs");
    } else if (kind == HA_HOST) {
        struct ha_host *host = record;
        any_letter(p, host->name);
        host->memory_mib = (uint32_t)prng_range(p, 0, 200);
    } else if (kind == HA_OWNER) {
        struct ha_owner *owner = record;
        any_letter(p, owner->vm);
        if (owner->host[0] != '\0') {
            any_letter(p, owner->host);
        }
    } else if (kind == HA_FATE) {
        any_letter(p, ((struct ha_fate *)record)->host);
    } else if (kind == HA_AGENT) {
        struct ha_agent_record *agent = record;
        any_letter(p, agent->host);
        agent->storages.n = 0;
        names_add(&agent->storages, "nfs");
    } else if (kind == HA_REPORT) {
        any_letter(p, ((struct ha_report *)record)->host);
        any_letter(p, ((struct ha_report *)record)->vm);
    } else if (kind == HA_CONFIRMED) {
        any_letter(p, ((struct ha_confirmed *)record)->host);
    }
}

static void put_any_record(struct prng *p, struct ha_view *v)
{
    enum ha_kind kind = (enum ha_kind)prng_below(p, HA_KINDS);
    void *record = mem_alloc(ha_record_size(kind));

    sample_record(p, kind, record);
    make_related(p, kind, record);
    view_put_record(v, kind, record);
    mem_free(record);
    if (prng_chance(p, 1, 20)) {
        struct ha_entry *entry = ha_view_count(v, kind) > 0 ? ha_view_at(v, kind, 0) : NULL;
        char key[HA_KEY_BYTES];
        ha_text_set(key, sizeof key, entry != NULL ? entry->text : "/novacron/odd");
        view_put_text(v, key, "{");
    }
}

static void explain_all(const struct ha_view *v, const struct ha_seen *seen)
{
    struct ha_ledger ledger;
    struct ha_losses losses;
    struct buf text;

    ha_ledger_init(&ledger, v, seen, LETTERS);
    buf_init(&text);
    for (char c = 'a'; c < 'a' + LETTERS; c++) {
        const char name[2] = {c, '\0'};
        size_t before = text.len;
        ha_explain_vm(&ledger, name, &text);
        assert_true(text.len > before);
        before = text.len;
        ha_explain_host(&ledger, name, &text);
        assert_true(text.len > before);
    }
    ha_explain_unreadable(v, &text);
    ha_explain_references(v, &text);
    ha_explain_settings(v, &text);
    ha_place_losses_survived(&ledger, 10000, &losses);
    buf_deinit(&text);
    ha_ledger_deinit(&ledger);
}

/* Programs and operators write what they will: there is an explanation, and nothing breaks. */
static void whatever_the_records_say_there_is_an_explanation(void **state)
{
    (void)state;
    static const struct ha_seen seen[LETTERS] = {
        {"a", true, false, false, true}, {"b", true, true, false, true},
        {"c", true, false, true, true},  {"d", true, false, false, false},
        {"x", true, false, false, true},
    };
    struct prng p = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(100); round++) {
        struct ha_view v;
        explain_scene(&v);
        for (int i = 0; i < 60; i++) {
            put_any_record(&p, &v);
            ha_view_check(&v);
        }
        explain_all(&v, NULL);
        explain_all(&v, seen);
        ha_view_deinit(&v);
    }
}

/* "web" runs on "a", with a check of each kind, and its host has reported its rungs. */
static void ladder_scene(struct ha_view *v, struct ha_report *report)
{
    struct ha_vm vm = vm_named("web", 400);

    explain_scene(v);
    vm.liveness.ask = HA_ASK_EXEC;
    vm.liveness.command.n = 1;
    ha_text_set(vm.liveness.command.word[0], HA_VALUE_BYTES, "/bin/check");
    vm.readiness.ask = HA_ASK_AGENT;
    VIEW_PUT(v, &vm);
    explain_put_owner(v, HA_RUNNING, "a", 7, "");
    ha_record_defaults(HA_REPORT, report);
    ha_text_set(report->host, sizeof report->host, "a");
    ha_text_set(report->vm, sizeof report->vm, "web");
    report->epoch = 7;
    for (enum ha_rung rung = 0; rung < HA_RUNGS; rung++) {
        bool is_asked = rung != HA_RUNG_STARTUP;
        report->rungs[rung].state = is_asked ? HA_RUNG_WELL : HA_RUNG_UNASKED;
        report->rungs[rung].since_ms = is_asked ? 1000 : 0;
    }
    VIEW_PUT(v, report);
}

static void ladder_of(const struct ha_view *v, struct ha_ladder_view *ret)
{
    ha_ladder_look(v, ha_view_vm(v, "web"), ret);
}

static void the_first_rung_that_is_bad_is_told_and_what_follows(void **state)
{
    struct ha_view v;
    struct ha_report report;
    struct ha_ladder_view l;
    (void)state;
    ladder_scene(&v, &report);
    ladder_of(&v, &l);
    assert_true(l.is_well);
    assert_null(l.first_bad);
    assert_string_equal(l.lines[0].name, "process");
    assert_int_equal(l.lines[0].state, HA_RUNG_WELL);
    assert_string_equal(l.lines[1 + HA_RUNG_QMP].then,
                        "it is ended after 60 s without an answer, and started anew");
    assert_string_equal(l.lines[1 + HA_RUNG_LIVENESS].asks, "run /bin/check, every 10 s");
    assert_string_equal(l.lines[1 + HA_RUNG_LIVENESS].then,
                        "it is ended after 3 failures in a row, and started anew");
    assert_string_equal(l.lines[1 + HA_RUNG_READINESS].then, "it is only told");
    assert_string_equal(l.lines[1 + HA_RUNG_STARTUP].asks, "");
    assert_string_equal(l.lines[1 + HA_RUNG_STARTUP].then, "");

    report.rungs[HA_RUNG_READINESS].state = HA_RUNG_BAD;
    report.rungs[HA_RUNG_LIVENESS].state = HA_RUNG_BAD;
    ha_text_set(report.rungs[HA_RUNG_LIVENESS].answer, HA_TEXT_BYTES, "exit 3");
    VIEW_PUT(&v, &report);
    ladder_of(&v, &l);
    assert_false(l.is_well);
    assert_ptr_equal(l.first_bad, &l.lines[1 + HA_RUNG_LIVENESS]);
    assert_string_equal(l.first_bad->answer, "exit 3");
    assert_explains(&v, ha_explain_vm, "web",
                    "web is running on a, in epoch 7.\n"
                    "It is not well (`novacron health web`):\n"
                    "  liveness: exit 3; it is ended after 3 failures in a row, and started anew.\n"
                    "  readiness: ; it is only told.\n"
                    "If a were lost, it would come back on b.\n");
    ha_view_deinit(&v);
}

static void what_waits_is_not_well_yet_but_for_an_agent_that_never_spoke(void **state)
{
    struct ha_view v;
    struct ha_report report;
    struct ha_ladder_view l;
    (void)state;
    ladder_scene(&v, &report);
    report.rungs[HA_RUNG_AGENT].state = HA_RUNG_WAITING;
    VIEW_PUT(&v, &report);
    ladder_of(&v, &l);
    assert_true(l.is_well);
    report.rungs[HA_RUNG_READINESS].state = HA_RUNG_WAITING;
    VIEW_PUT(&v, &report);
    ladder_of(&v, &l);
    assert_false(l.is_well);
    assert_null(l.first_bad);
    ha_view_deinit(&v);
}

/* What was reported of an earlier epoch, or before the host was lost, is of no rung now. */
static void rungs_are_those_of_the_present_epoch_on_a_host_that_is_there(void **state)
{
    struct ha_view v;
    struct ha_report report;
    struct ha_ladder_view l;
    (void)state;
    ladder_scene(&v, &report);
    explain_put_owner(&v, HA_RUNNING, "a", 8, "");
    ladder_of(&v, &l);
    assert_int_equal(l.lines[0].state, HA_RUNG_WAITING);
    assert_int_equal(l.lines[1 + HA_RUNG_QMP].state, HA_RUNG_UNASKED);
    assert_false(l.is_well);
    explain_put_owner(&v, HA_RECOVERING, "a", 7, "its host a is lost");
    ladder_of(&v, &l);
    assert_int_equal(l.lines[0].state, HA_RUNG_WAITING);
    assert_string_equal(l.lines[0].answer, "its host a is lost");
    explain_put_owner(&v, HA_FAILED, "a", 7, "it crashed");
    ladder_of(&v, &l);
    assert_ptr_equal(l.first_bad, &l.lines[0]);
    struct ha_vm vm = *ha_view_vm(&v, "web");
    vm.is_wanted = false;
    VIEW_PUT(&v, &vm);
    explain_put_owner(&v, HA_STOPPED, "a", 7, "");
    ladder_of(&v, &l);
    assert_true(l.is_well);
    ha_view_deinit(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_rung_that_is_bad_is_told_and_what_follows),
        cmocka_unit_test(what_waits_is_not_well_yet_but_for_an_agent_that_never_spoke),
        cmocka_unit_test(rungs_are_those_of_the_present_epoch_on_a_host_that_is_there),
        cmocka_unit_test(a_machine_that_runs_tells_where_it_would_come_back),
        cmocka_unit_test(a_machine_that_is_to_move_tells_what_is_in_its_way),
        cmocka_unit_test(a_machine_on_a_disk_of_its_host_is_not_protected),
        cmocka_unit_test(a_machine_without_a_host_tells_each_host_why_not),
        cmocka_unit_test(a_host_that_is_tripped_tells_so),
        cmocka_unit_test(a_machine_that_waits_tells_for_whom),
        cmocka_unit_test(a_machine_of_a_lost_host_tells_what_is_missing_and_what_would_help),
        cmocka_unit_test(a_machine_that_failed_tells_its_counters_and_its_reason),
        cmocka_unit_test(a_machine_that_has_ended_tells_where_it_would_start),
        cmocka_unit_test(what_cannot_be_read_is_told_with_its_reason),
        cmocka_unit_test(names_of_nothing_are_told),
        cmocka_unit_test(settings_that_cannot_be_kept_are_told),
        cmocka_unit_test(every_phase_has_an_explanation),
        cmocka_unit_test(a_host_tells_what_it_has_and_what_covers_it),
        cmocka_unit_test(whatever_the_records_say_there_is_an_explanation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
