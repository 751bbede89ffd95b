#include "core/ha/ha_place.h"

#include <stdio.h>
#include <string.h>

#include "core/base/say.h"
#include "tests/core/ha/ha_samples.h"
#include "tests/support/test.h"

#define HOSTS_MAX 8

/* A cluster: hosts a, b, c ... of 1000 MiB and 4 processors, on the storage "nfs". */
struct place_bench {
    struct ha_view view;
    struct ha_seen seen[HOSTS_MAX];
    char names[HOSTS_MAX][2];
    uint32_t n;
    struct ha_ledger ledger;
    struct ha_verdict verdicts[HOSTS_MAX];
    const char *found;
};

static void placing_init(struct place_bench *b, uint32_t hosts)
{
    struct ha_storage storage;

    memset(b, 0, sizeof *b);
    ha_view_init(&b->view);
    ha_record_defaults(HA_STORAGE, &storage);
    ha_text_set(storage.name, sizeof storage.name, "nfs");
    ha_text_set(storage.kind, sizeof storage.kind, "nfs");
    ha_text_set(storage.path, sizeof storage.path, "/srv");
    VIEW_PUT(&b->view, &storage);
    b->n = hosts;
    for (uint32_t i = 0; i < hosts; i++) {
        b->names[i][0] = (char)('a' + i);
        const struct ha_host host = host_named(b->names[i], 1000, 4);
        const struct ha_agent_record agent = agent_of(b->names[i]);
        VIEW_PUT(&b->view, &host);
        VIEW_PUT(&b->view, &agent);
        b->seen[i] = (struct ha_seen){b->names[i], true, false, false, true};
    }
}

static void placing_deinit(struct place_bench *b)
{
    ha_ledger_deinit(&b->ledger);
    ha_view_deinit(&b->view);
}

static void placing_begin(struct place_bench *b)
{
    ha_ledger_deinit(&b->ledger);
    ha_ledger_init(&b->ledger, &b->view, b->seen, b->n);
}

/* The host for the machine, in a ledger made anew. */
static const char *placing_placed(struct place_bench *b, const struct ha_vm *vm)
{
    const struct ha_place_ask ask = {NULL, NULL};

    placing_begin(b);
    b->found = ha_place_find(&b->ledger, vm, &ask, b->verdicts);
    return b->found != NULL ? b->found : "none";
}

/* Puts a machine that runs. */
static void placing_put_running(struct place_bench *b, const struct ha_vm *vm, enum ha_phase phase,
                                const char *host)
{
    const struct ha_owner owner = owner_of(vm->name, phase, host, 1);

    VIEW_PUT(&b->view, vm);
    VIEW_PUT(&b->view, &owner);
}

/* A host's record, changed. */
static void placing_put_host(struct place_bench *b, const char *name,
                             void (*change)(struct ha_host *))
{
    struct ha_host host = *ha_view_host(&b->view, name);

    change(&host);
    VIEW_PUT(&b->view, &host);
}

static void assert_why(const struct place_bench *b, uint32_t host, enum ha_why_not why)
{
    assert_int_equal(b->verdicts[host].why, why);
}

/* --- each reason --------------------------------------------------------------------------------
 */

static void disable_host(struct ha_host *host)
{
    host->is_enabled = false;
}

static void every_state_of_a_host_keeps_machines_away(void **state)
{
    (void)state;
    struct place_bench b;
    struct ha_fate fate;
    const struct ha_vm vm = vm_named("web", 100);
    placing_init(&b, 8);
    placing_put_host(&b, "a", disable_host);
    b.seen[1].is_up = false;
    ha_record_defaults(HA_FATE, &fate);
    ha_text_set(fate.host, sizeof fate.host, "c");
    fate.is_quarantined = true;
    VIEW_PUT(&b.view, &fate);
    b.seen[3].is_tripped = true;
    view_delete_key(&b.view, "/novacron/agents/e");
    view_put_text(&b.view, "/novacron/hosts/f", "{}");
    fate.is_quarantined = false;
    fate.phase = HA_HOST_LOST; /* whatever was seen of it */
    ha_text_set(fate.host, sizeof fate.host, "g");
    VIEW_PUT(&b.view, &fate);
    assert_string_equal(placing_placed(&b, &vm), "h");
    assert_why(&b, 0, HA_NOT_ENABLED);
    assert_why(&b, 1, HA_NOT_UP);
    assert_why(&b, 2, HA_NOT_TRUSTED);
    assert_why(&b, 3, HA_NOT_TRIPPED);
    assert_why(&b, 4, HA_NOT_HEARD);
    assert_why(&b, 5, HA_NOT_READABLE);
    assert_why(&b, 6, HA_NOT_UP);
    assert_why(&b, 7, HA_FITS);
    view_put_text(&b.view, "/novacron/fates/h", "{}"); /* nobody knows what became of it */
    assert_string_equal(placing_placed(&b, &vm), "none");
    assert_why(&b, 7, HA_NOT_UP);
    placing_deinit(&b);
}

static void a_host_that_was_not_seen_is_not_up(void **state)
{
    (void)state;
    struct place_bench b;
    const struct ha_vm vm = vm_named("web", 100);
    placing_init(&b, 2);
    b.n = 1;
    (void)placing_placed(&b, &vm);
    assert_why(&b, 0, HA_FITS);
    assert_why(&b, 1, HA_NOT_UP);
    placing_deinit(&b);
}

static void with_records_alone_fates_decide(void **state)
{
    (void)state;
    struct place_bench b;
    struct ha_fate fate;
    const struct ha_vm vm = vm_named("web", 100);
    const struct ha_place_ask ask = {NULL, NULL};
    placing_init(&b, 2);
    ha_record_defaults(HA_FATE, &fate);
    ha_text_set(fate.host, sizeof fate.host, "a");
    fate.phase = HA_HOST_FENCING;
    VIEW_PUT(&b.view, &fate);
    ha_ledger_init(&b.ledger, &b.view, NULL, 0);
    assert_string_equal(ha_place_find(&b.ledger, &vm, &ask, NULL), "b");
    placing_deinit(&b);
}

static void put_in_site_x(struct ha_host *host)
{
    ha_text_set(host->site, sizeof host->site, "x");
}

static void a_machine_says_where_it_may_be(void **state)
{
    (void)state;
    struct place_bench b;
    struct ha_vm vm = vm_named("web", 100);
    placing_init(&b, 3);
    placing_put_host(&b, "c", put_in_site_x);
    names_add(&vm.allowed, "b");
    assert_string_equal(placing_placed(&b, &vm), "b");
    assert_why(&b, 0, HA_NOT_ALLOWED);
    vm.allowed.n = 0;
    names_add(&vm.sites, "x");
    assert_string_equal(placing_placed(&b, &vm), "c");
    assert_why(&b, 0, HA_NOT_SITE);
    placing_deinit(&b);
}

static void storage_is_declared_and_probed(void **state)
{
    (void)state;
    struct place_bench b;
    struct ha_vm vm = vm_named("web", 100);
    struct ha_agent_record blind = agent_of("a");
    placing_init(&b, 2);
    blind.storages.n = 0;
    VIEW_PUT(&b.view, &blind);
    assert_string_equal(placing_placed(&b, &vm), "b");
    assert_why(&b, 0, HA_NOT_STORAGE);
    view_delete_key(&b.view, "/novacron/storages/nfs"); /* how long is its I/O in flight? */
    assert_string_equal(placing_placed(&b, &vm), "none");
    assert_why(&b, 1, HA_NOT_DECLARED);
    placing_deinit(&b);
}

static void take_devices(struct ha_host *host)
{
    host->n_levels = 0;
}

static void make_bare_metal(struct ha_host *host)
{
    host->n_levels = 0;
    host->is_bare_metal = true;
}

/* A protected machine is put only where its host's loss can be proved without a person. */
static void hosts_that_nothing_covers_get_no_protected_machines(void **state)
{
    (void)state;
    struct place_bench b;
    struct ha_vm vm = vm_named("web", 100);
    struct ha_agent_record agent = agent_of("a");
    placing_init(&b, 1);
    b.seen[0].is_fence_tested = false;
    assert_string_equal(placing_placed(&b, &vm), "none");
    assert_why(&b, 0, HA_NOT_COVERED);
    placing_put_host(&b, "a", take_devices);
    b.seen[0].is_fence_tested = true; /* of nothing */
    (void)placing_placed(&b, &vm);
    assert_why(&b, 0, HA_NOT_COVERED);
    placing_put_host(&b, "a", make_bare_metal);
    (void)placing_placed(&b, &vm);
    assert_why(&b, 0, HA_NOT_COVERED);
    for (int watchdog = 0; watchdog < WORLD_WATCHDOG_STATES; watchdog++) {
        agent.watchdog = (enum world_watchdog)watchdog;
        agent.watchdog_ms = 10000;
        VIEW_PUT(&b.view, &agent);
        (void)placing_placed(&b, &vm);
        bool is_one = watchdog == WORLD_WATCHDOG_READY || watchdog == WORLD_WATCHDOG_ARMED;
        assert_why(&b, 0, is_one ? HA_FITS : HA_NOT_COVERED);
    }
    agent.watchdog_ms = 0; /* armed, and nobody knows for how long */
    VIEW_PUT(&b.view, &agent);
    (void)placing_placed(&b, &vm);
    assert_why(&b, 0, HA_NOT_COVERED);
    agent.watchdog_ms = 10000;
    VIEW_PUT(&b.view, &agent);
    vm.policy = HA_POLICY_KEEP;
    (void)placing_placed(&b, &vm);
    assert_why(&b, 0, HA_NOT_COVERED);
    placing_put_host(&b, "a", take_devices); /* and now nobody says that it is bare metal */
    vm.policy = HA_POLICY_STOP;
    struct ha_host virtual = *ha_view_host(&b.view, "a");
    virtual.is_bare_metal = false;
    VIEW_PUT(&b.view, &virtual);
    (void)placing_placed(&b, &vm);
    assert_why(&b, 0, HA_NOT_COVERED);
    vm.storage[0] = '\0'; /* a disk of its own host: nothing is promised */
    names_add(&vm.allowed, "a");
    assert_string_equal(placing_placed(&b, &vm), "a");
    placing_deinit(&b);
}

static void memory_and_processors_are_what_others_have_left(void **state)
{
    (void)state;
    struct place_bench b;
    struct ha_vm vm = vm_named("web", 400);
    struct ha_vm other = vm_named("db", 601);
    placing_init(&b, 1);
    placing_put_running(&b, &other, HA_RUNNING, "a");
    assert_string_equal(placing_placed(&b, &vm), "none");
    assert_why(&b, 0, HA_NOT_MEMORY);
    assert_int_equal(b.verdicts[0].need, 400);
    assert_int_equal(b.verdicts[0].have, 399);
    other.memory_mib = 600;
    other.cpus = 4;
    VIEW_PUT(&b.view, &other);
    assert_string_equal(placing_placed(&b, &vm), "a");
    vm.cpus = 5;
    (void)placing_placed(&b, &vm);
    assert_why(&b, 0, HA_NOT_CPUS_AT_ALL);
    struct ha_settings settings;
    ha_record_defaults(HA_SETTINGS, &settings);
    settings.cpu_percent = 150; /* six processors for machines */
    VIEW_PUT(&b.view, &settings);
    vm.cpus = 2;
    assert_string_equal(placing_placed(&b, &vm), "a");
    vm.cpus = 3;
    (void)placing_placed(&b, &vm);
    assert_why(&b, 0, HA_NOT_CPUS);
    assert_int_equal(b.verdicts[0].have, 2);
    placing_deinit(&b);
}

/* Whoever may run somewhere takes room there; whoever does not run takes none. */
static void a_place_is_taken_in_every_phase_that_has_one(void **state)
{
    (void)state;
    static const enum ha_phase taking[] = {HA_STARTING, HA_RUNNING, HA_STOPPING, HA_RESTARTING,
                                           HA_RECOVERING};
    static const enum ha_phase free_of[] = {HA_WAITING, HA_STOPPED, HA_FAILED};
    const struct ha_vm vm = vm_named("web", 400);
    const struct ha_vm other = vm_named("db", 700);
    for (size_t i = 0; i < COUNT_OF(taking); i++) {
        struct place_bench b;
        placing_init(&b, 1);
        placing_put_running(&b, &other, taking[i], "a");
        assert_string_equal(placing_placed(&b, &vm), "none");
        assert_why(&b, 0, HA_NOT_MEMORY);
        placing_deinit(&b);
    }
    for (size_t i = 0; i < COUNT_OF(free_of); i++) {
        struct place_bench b;
        placing_init(&b, 1);
        placing_put_running(&b, &other, free_of[i], free_of[i] == HA_WAITING ? "" : "a");
        assert_string_equal(placing_placed(&b, &vm), "a");
        placing_deinit(&b);
    }
}

static void a_machine_does_not_stand_in_its_own_way(void **state)
{
    (void)state;
    struct place_bench b;
    const struct ha_vm vm = vm_named("web", 900);
    placing_init(&b, 1);
    placing_put_running(&b, &vm, HA_RUNNING, "a");
    assert_string_equal(placing_placed(&b, &vm), "a");
    placing_deinit(&b);
}

static void machines_apart_bind_both_sides(void **state)
{
    (void)state;
    struct place_bench b;
    struct ha_vm vm = vm_named("web", 100);
    struct ha_vm other = vm_named("db", 100);
    placing_init(&b, 2);
    names_add(&vm.apart, "db");
    placing_put_running(&b, &other, HA_STOPPING, "a"); /* which runs still */
    assert_string_equal(placing_placed(&b, &vm), "b");
    assert_why(&b, 0, HA_NOT_APART);
    assert_string_equal(b.verdicts[0].other, "db");
    vm.apart.n = 0;
    names_add(&other.apart, "web");
    VIEW_PUT(&b.view, &other);
    assert_string_equal(placing_placed(&b, &vm), "b");
    assert_why(&b, 0, HA_NOT_APART);
    placing_deinit(&b);
}

static void machines_with_each_other_bind_both_sides_and_third_ones(void **state)
{
    (void)state;
    struct place_bench b;
    struct ha_vm vm = vm_named("web", 100);
    struct ha_vm middle = vm_named("cache", 100);
    struct ha_vm other = vm_named("db", 100);
    placing_init(&b, 3);
    names_add(&vm.with, "db");
    VIEW_PUT(&b.view, &vm);
    placing_put_running(&b, &other, HA_RUNNING, "b");
    assert_string_equal(placing_placed(&b, &vm), "b");
    assert_why(&b, 0, HA_NOT_WITH);
    assert_string_equal(b.verdicts[0].other, "db");
    vm.with.n = 0;
    VIEW_PUT(&b.view, &vm);
    names_add(&other.with, "web");
    VIEW_PUT(&b.view, &other);
    assert_string_equal(placing_placed(&b, &vm), "b");
    other.with.n = 0; /* db and web are with cache, which is nowhere yet */
    names_add(&middle.with, "web");
    names_add(&middle.with, "db");
    VIEW_PUT(&b.view, &other);
    VIEW_PUT(&b.view, &middle);
    assert_string_equal(placing_placed(&b, &vm), "b");
    /* Whoever leaves, or is on a lost host, binds nobody. */
    placing_put_running(&b, &other, HA_RECOVERING, "b");
    b.seen[1].is_up = false;
    assert_string_equal(placing_placed(&b, &vm), "a");
    placing_deinit(&b);
}

/* The first of a group does not take a place where the others cannot follow. */
static void a_group_is_placed_where_all_of_it_fits(void **state)
{
    (void)state;
    struct place_bench b;
    struct ha_vm vm = vm_named("web", 100);
    struct ha_vm partner = vm_named("db", 600);
    const struct ha_vm there = vm_named("there", 500);
    placing_init(&b, 2);
    names_add(&vm.with, "db");
    names_add(&vm.preferred, "a");
    VIEW_PUT(&b.view, &vm);
    VIEW_PUT(&b.view, &partner);
    placing_put_running(&b, &there, HA_RUNNING, "a");
    assert_string_equal(placing_placed(&b, &vm), "b");
    assert_why(&b, 0, HA_NOT_MEMORY);
    assert_int_equal(b.verdicts[0].need, 700);
    partner.memory_mib = 100;
    VIEW_PUT(&b.view, &partner);
    assert_string_equal(placing_placed(&b, &vm), "a");
    names_add(&partner.allowed, "b"); /* nor where they may not be */
    VIEW_PUT(&b.view, &partner);
    assert_string_equal(placing_placed(&b, &vm), "b");
    assert_why(&b, 0, HA_NOT_WITH);
    partner.allowed.n = 0;
    names_add(&partner.apart, "there");
    VIEW_PUT(&b.view, &partner);
    assert_string_equal(placing_placed(&b, &vm), "b");
    partner.apart.n = 0;
    partner.cpus = 16; /* as many as a host has for machines */
    VIEW_PUT(&b.view, &partner);
    (void)placing_placed(&b, &vm);
    assert_why(&b, 1, HA_NOT_CPUS);
    assert_int_equal(b.verdicts[1].need, 17);
    partner.is_wanted = false; /* it does not come */
    VIEW_PUT(&b.view, &partner);
    assert_string_equal(placing_placed(&b, &vm), "a");
    placing_deinit(&b);
}

static void no_more_start_at_a_time_than_may(void **state)
{
    (void)state;
    struct place_bench b;
    char name[] = "vm-0";
    placing_init(&b, 2);
    for (int i = 0; i < 4; i++) {
        name[3] = (char)('0' + i);
        const struct ha_vm other = vm_named(name, 10);
        placing_put_running(&b, &other, HA_STARTING, "a");
    }
    struct ha_vm vm = vm_named("web", 100);
    names_add(&vm.preferred, "a");
    assert_string_equal(placing_placed(&b, &vm), "b");
    assert_why(&b, 0, HA_NOT_RATE);
    const struct ha_owner runs = owner_of("vm-0", HA_RUNNING, "a", 1);
    VIEW_PUT(&b.view, &runs);
    assert_string_equal(placing_placed(&b, &vm), "a");
    placing_deinit(&b);
}

static void the_caller_may_avoid_a_host_or_want_one(void **state)
{
    (void)state;
    struct place_bench b;
    const struct ha_vm vm = vm_named("web", 100);
    placing_init(&b, 3);
    placing_begin(&b);
    struct ha_place_ask ask = {.avoid = "a"};
    assert_string_equal(ha_place_find(&b.ledger, &vm, &ask, b.verdicts), "b");
    assert_why(&b, 0, HA_NOT_AVOIDED);
    ask = (struct ha_place_ask){.only = "c"};
    assert_string_equal(ha_place_find(&b.ledger, &vm, &ask, NULL), "c");
    ask = (struct ha_place_ask){.only = "c", .avoid = "c"};
    assert_null(ha_place_find(&b.ledger, &vm, &ask, NULL));
    placing_deinit(&b);
}

/* --- among those that fit -----------------------------------------------------------------------
 */

static void machines_spread_and_follow_preferences_and_shun_the_slow(void **state)
{
    (void)state;
    struct place_bench b;
    struct ha_vm vm = vm_named("web", 100);
    const struct ha_vm other = vm_named("db", 300);
    placing_init(&b, 4);
    placing_put_running(&b, &other, HA_RUNNING, "a");
    assert_string_equal(placing_placed(&b, &vm),
                        "b"); /* a has less left; of the rest the first by name */
    struct ha_host large = host_named("d", 2000, 4);
    VIEW_PUT(&b.view, &large);
    assert_string_equal(placing_placed(&b, &vm), "d"); /* a smaller share of it */
    names_add(&vm.preferred, "c");
    names_add(&vm.preferred, "a");
    assert_string_equal(placing_placed(&b, &vm), "c");
    b.seen[2].is_degraded = true;
    assert_string_equal(placing_placed(&b, &vm), "a"); /* the second preference */
    b.seen[0].is_degraded = b.seen[1].is_degraded = b.seen[3].is_degraded = true;
    assert_string_equal(placing_placed(&b, &vm), "c"); /* better slow than not at all */
    placing_deinit(&b);
}

static void of_equal_shares_the_host_with_fewer_machines_is_taken(void **state)
{
    (void)state;
    struct place_bench b;
    const struct ha_vm vm = vm_named("web", 100);
    const struct ha_vm one = vm_named("one", 200);
    const struct ha_vm half = vm_named("half", 100);
    const struct ha_vm rest = vm_named("rest", 100);
    placing_init(&b, 2);
    placing_put_running(&b, &half, HA_RUNNING, "a");
    placing_put_running(&b, &rest, HA_RUNNING, "a");
    placing_put_running(&b, &one, HA_RUNNING, "b");
    assert_string_equal(placing_placed(&b, &vm), "b");
    /* The machine itself is none of them: it has b, which would be as full as a, to itself. */
    struct ha_host large = host_named("a", 2000, 4);
    const struct ha_vm self = vm_named("self", 400);
    VIEW_PUT(&b.view, &large);
    view_delete_key(&b.view, "/novacron/owners/half");
    view_delete_key(&b.view, "/novacron/owners/one");
    const struct ha_vm other = vm_named("rest", 400);
    placing_put_running(&b, &other, HA_RUNNING, "a");
    placing_put_running(&b, &self, HA_RUNNING, "b");
    assert_string_equal(placing_placed(&b, &self), "b");
    placing_deinit(&b);
}

static void decisions_count_until_the_ledger_is_made_anew(void **state)
{
    (void)state;
    struct place_bench b;
    const struct ha_vm vm = vm_named("web", 600);
    const struct ha_vm other = vm_named("db", 600);
    const struct ha_place_ask ask = {NULL, NULL};
    placing_init(&b, 2);
    VIEW_PUT(&b.view, &vm);
    VIEW_PUT(&b.view, &other);
    placing_begin(&b);
    ha_ledger_take(&b.ledger, "db", "a");
    assert_string_equal(ha_place_find(&b.ledger, &vm, &ask, NULL), "b");
    ha_ledger_take(&b.ledger, "db", "b"); /* it moves */
    assert_string_equal(ha_place_find(&b.ledger, &vm, &ask, NULL), "a");
    ha_ledger_take(&b.ledger, "web", "a");
    ha_ledger_release(&b.ledger, "db");
    assert_string_equal(ha_place_find(&b.ledger, &other, &ask, NULL), "b");
    /* What leaves takes everything with it: memory, processors, its start. */
    const struct ha_place_ask on_b = {.only = "b"};
    for (int i = 0; i < 20; i++) {
        ha_ledger_take(&b.ledger, "db", "b");
        ha_ledger_release(&b.ledger, "db");
    }
    assert_non_null(ha_place_find(&b.ledger, &vm, &on_b, NULL));
    ha_ledger_take(&b.ledger, "nobody", "a");
    ha_ledger_take(&b.ledger, "web", "nowhere");
    ha_ledger_release(&b.ledger, "nobody");
    placing_deinit(&b);
}

static void a_verdict_is_a_sentence(void **state)
{
    (void)state;
    struct buf text;
    buf_init(&text);
    struct ha_verdict v = {.why = HA_NOT_MEMORY, .need = 2048, .have = 512};
    ha_verdict_tell("node-b", &v, &text);
    assert_string_equal(say_end(&text), "node-b: 2048 MiB of memory are needed, and 512 are free");
    buf_clear(&text);
    v = (struct ha_verdict){.why = HA_NOT_APART, .other = "db"};
    ha_verdict_tell("node-b", &v, &text);
    assert_string_equal(say_end(&text),
                        "node-b: db is there, from which the machine must be apart");
    for (int why = 0; why < HA_WHY_NOTS; why++) {
        buf_clear(&text);
        v = (struct ha_verdict){.why = (enum ha_why_not)why};
        ha_verdict_tell("x", &v, &text);
        assert_true(text.len > 8);
    }
    buf_deinit(&text);
}

/* --- order --------------------------------------------------------------------------------------
 */

static void assert_order(struct place_bench *b, const char *expected)
{
    size_t order[64];
    struct buf names;

    placing_begin(b);
    buf_init(&names);
    size_t n = ha_place_order(&b->ledger, order);
    for (size_t i = 0; i < n; i++) {
        say(&names, i > 0 ? " " : "");
        say(&names, ha_view_at(&b->view, HA_VM, order[i])->key.name);
    }
    assert_string_equal(say_end(&names), expected);
    buf_deinit(&names);
}

static void placing_put_vm(struct place_bench *b, const char *name, uint32_t priority,
                           const char *after)
{
    struct ha_vm vm = vm_named(name, 10);

    vm.priority = priority;
    if (after[0] != '\0') {
        names_add(&vm.after, after);
    }
    VIEW_PUT(&b->view, &vm);
}

static void machines_start_by_priority_and_what_others_need_first(void **state)
{
    (void)state;
    struct place_bench b;
    placing_init(&b, 1);
    placing_put_vm(&b, "a", 10, "");
    placing_put_vm(&b, "b", 50, "");
    placing_put_vm(&b, "c", 50, "");
    assert_order(&b, "b c a");
    placing_put_vm(&b, "d", 90, "a"); /* lifts a above them all */
    assert_order(&b, "a d b c");
    placing_put_vm(&b, "a", 10, "z"); /* and what a waits for */
    placing_put_vm(&b, "z", 1, "");
    assert_order(&b, "z a d b c");
    placing_put_vm(&b, "d", 1, "");
    placing_put_vm(&b, "k0", 1, ""); /* a chain, in the order in which lifting it takes longest */
    placing_put_vm(&b, "k1", 1, "k0");
    placing_put_vm(&b, "k2", 1, "k1");
    placing_put_vm(&b, "k3", 99, "k2");
    assert_order(&b, "k0 k1 k2 k3 b c z a d");
    placing_deinit(&b);
}

static void machines_that_are_not_to_start_have_no_turn(void **state)
{
    (void)state;
    struct place_bench b;
    placing_init(&b, 1);
    placing_put_vm(&b, "a", 1, "");
    struct ha_vm off = vm_named("b", 10);
    off.is_wanted = false;
    VIEW_PUT(&b.view, &off);
    const struct ha_vm runs = vm_named("c", 10);
    placing_put_running(&b, &runs, HA_RUNNING, "a");
    const struct ha_vm failed = vm_named("d", 10);
    placing_put_running(&b, &failed, HA_FAILED, "a");
    view_put_text(&b.view, "/novacron/vms/e", "{}");
    placing_put_vm(&b, "f", 1, "");
    view_put_text(&b.view, "/novacron/owners/f", "{}"); /* somebody may run it */
    const struct ha_vm stopped = vm_named("g", 10);
    placing_put_running(&b, &stopped, HA_STOPPED, "a");
    assert_order(&b, "g a");
    placing_deinit(&b);
}

static void circles_have_an_order_all_the_same(void **state)
{
    (void)state;
    struct place_bench b;
    placing_init(&b, 1);
    placing_put_vm(&b, "a", 1, "b");
    placing_put_vm(&b, "b", 2, "a");
    size_t order[8];
    placing_begin(&b);
    assert_int_equal(ha_place_order(&b.ledger, order), 2);
    placing_deinit(&b);
}

static enum ha_wait placing_waits(struct place_bench *b, const char *vm, const char **other)
{
    placing_begin(b);
    return ha_place_waits(&b->ledger, ha_view_vm(&b->view, vm), other);
}

static void a_machine_waits_for_those_it_is_after(void **state)
{
    (void)state;
    struct place_bench b;
    const char *other;
    placing_init(&b, 1);
    placing_put_vm(&b, "web", 1, "db");
    assert_int_equal(placing_waits(&b, "web", &other), HA_WAIT_MISSING);
    assert_string_equal(other, "db");
    struct ha_vm db = vm_named("db", 10);
    placing_put_running(&b, &db, HA_STARTING, "a");
    assert_int_equal(placing_waits(&b, "web", &other), HA_WAIT_AFTER);
    placing_put_running(&b, &db, HA_RUNNING, "a");
    assert_int_equal(placing_waits(&b, "web", &other), HA_WAIT_NOT);
    assert_null(other);
    placing_put_running(&b, &db, HA_FAILED, "a");
    assert_int_equal(placing_waits(&b, "web", &other), HA_WAIT_UNWANTED);
    db.is_wanted = false;
    placing_put_running(&b, &db, HA_STOPPED, "a");
    assert_int_equal(placing_waits(&b, "web", &other), HA_WAIT_UNWANTED);
    placing_put_vm(&b, "db", 1, "cache");
    placing_put_vm(&b, "cache", 1, "web");
    const struct ha_owner waiting = owner_of("db", HA_WAITING, "", 0);
    VIEW_PUT(&b.view, &waiting);
    assert_int_equal(placing_waits(&b, "web", &other), HA_WAIT_CIRCLE);
    assert_string_equal(other, "db");
    const struct ha_vm cache = *ha_view_vm(&b.view, "cache");
    placing_put_running(&b, &cache, HA_RUNNING, "a"); /* one that runs breaks it */
    assert_int_equal(placing_waits(&b, "web", &other), HA_WAIT_AFTER);
    placing_deinit(&b);
}

/* --- room ---------------------------------------------------------------------------------------
 */

static void placing_put_sized(struct place_bench *b, const char *name, uint32_t priority,
                              uint32_t memory, const char *host)
{
    struct ha_vm vm = vm_named(name, memory);

    vm.priority = priority;
    placing_put_running(b, &vm, HA_RUNNING, host);
}

static void the_least_important_yield_and_no_more_than_needed(void **state)
{
    (void)state;
    struct place_bench b;
    struct ha_yield yield;
    struct ha_vm vm = vm_named("web", 500);
    vm.priority = 50;
    placing_init(&b, 2);
    VIEW_PUT(&b.view, &vm);
    placing_put_sized(&b, "p10", 10, 100, "a");
    placing_put_sized(&b, "p20", 20, 400, "a");
    placing_put_sized(&b, "p60", 60, 400, "a");
    placing_put_sized(&b, "q40", 40, 500, "b"); /* which would do as well, and matters more */
    placing_put_sized(&b, "q60", 60, 500, "b");
    placing_begin(&b);
    ha_place_yield(&b.ledger, &vm, &yield);
    /* On a, p20 (with the 100 that are free) is enough: p10 need not go. */
    assert_string_equal(yield.host, "a");
    assert_int_equal(yield.n, 1);
    assert_string_equal(yield.vm[0], "p20");
    vm.memory_mib = 600;
    ha_place_yield(&b.ledger, &vm, &yield);
    assert_int_equal(yield.n, 2);
    vm.memory_mib = 150; /* either of the two would do */
    ha_place_yield(&b.ledger, &vm, &yield);
    assert_int_equal(yield.n, 1);
    assert_string_equal(yield.vm[0], "p10");
    vm.memory_mib = 600;
    vm.priority = 15;
    ha_place_yield(&b.ledger, &vm, &yield);
    assert_int_equal(yield.n, 0);
    assert_null(yield.host);
    vm.priority = 20; /* an equal does not yield */
    vm.memory_mib = 500;
    ha_place_yield(&b.ledger, &vm, &yield);
    assert_int_equal(yield.n, 0);
    vm.priority = 1000;
    names_add(&vm.apart, "p60"); /* what else forbids a host, nobody's yielding mends */
    names_add(&vm.apart, "q60");
    ha_place_yield(&b.ledger, &vm, &yield);
    assert_int_equal(yield.n, 0);
    placing_deinit(&b);
}

static struct ha_losses placing_losses_of(struct place_bench *b)
{
    struct ha_losses losses;

    placing_begin(b);
    ha_place_losses_survived(&b->ledger, 1000000, &losses);
    return losses;
}

static void losses_are_survived_while_the_rest_has_room(void **state)
{
    (void)state;
    struct place_bench b;
    placing_init(&b, 3);
    placing_put_sized(&b, "v1", 1, 500, "a");
    placing_put_sized(&b, "v2", 2, 400, "b");
    placing_put_sized(&b, "v3", 3, 100, "c");
    struct ha_losses losses = placing_losses_of(&b);
    assert_int_equal(losses.survived, 2); /* all thousand MiB fit on any one host */
    assert_false(losses.is_at_least);
    assert_non_null(losses.hosts[2]);
    placing_put_sized(&b, "v3", 3, 101, "c");
    losses = placing_losses_of(&b);
    assert_int_equal(losses.survived, 1);
    assert_string_equal(losses.hosts[0], "a");
    assert_string_equal(losses.hosts[1], "b");
    assert_null(losses.hosts[2]);
    assert_string_equal(losses.vm, "v1"); /* the least important is what finds none */
    placing_put_sized(&b, "v3", 3, 901, "c");
    losses = placing_losses_of(&b);
    assert_int_equal(losses.survived, 0);
    assert_string_equal(losses.vm, "v3");
    assert_string_equal(losses.hosts[0], "c");
    placing_deinit(&b);
}

static void losses_do_not_count_what_cannot_be_saved_or_does_not_run(void **state)
{
    (void)state;
    struct place_bench b;
    placing_init(&b, 2);
    struct ha_vm local = vm_named("local", 900);
    local.storage[0] = '\0';
    names_add(&local.allowed, "a");
    placing_put_running(&b, &local, HA_RUNNING, "a");
    const struct ha_vm waiting = vm_named("waiting", 5000);
    VIEW_PUT(&b.view, &waiting);
    for (int i = 0; i < 6; i++) { /* more than may start at a time */
        char name[] = "vm-0";
        name[3] = (char)('0' + i);
        placing_put_sized(&b, name, 1, 10, "b");
    }
    assert_int_equal(placing_losses_of(&b).survived, 1);
    placing_deinit(&b);
}

static void a_small_budget_says_at_least(void **state)
{
    (void)state;
    struct place_bench b;
    struct ha_losses losses;
    placing_init(&b, 8);
    placing_put_sized(&b, "v1", 1, 10, "a");
    placing_put_sized(&b, "v2", 1, 10, "b");
    placing_begin(&b);
    ha_place_losses_survived(&b.ledger, 1000000, &losses);
    assert_int_equal(losses.survived, HA_LOSSES_MAX);
    assert_true(losses.is_at_least);
    ha_place_losses_survived(&b.ledger, 8 * 4, &losses);
    assert_int_equal(losses.survived, 1);
    assert_true(losses.is_at_least);
    placing_deinit(&b);
}

static void a_machine_is_admitted_while_enough_hosts_may_be_lost(void **state)
{
    (void)state;
    struct place_bench b;
    struct ha_losses losses;
    struct ha_settings settings;
    placing_init(&b, 3);
    placing_put_sized(&b, "v1", 1, 800, "a");
    placing_put_sized(&b, "v2", 1, 800, "b");
    const struct ha_vm vm = vm_named("web", 200);
    VIEW_PUT(&b.view, &vm);
    placing_begin(&b);
    assert_true(ha_place_admits(&b.ledger, "web", "c", 1000000, &losses)); /* nobody asked */
    ha_record_defaults(HA_SETTINGS, &settings);
    settings.spare_hosts = 1;
    VIEW_PUT(&b.view, &settings);
    placing_begin(&b);
    assert_true(ha_place_admits(&b.ledger, "web", "c", 1000000, &losses));
    assert_int_equal(losses.survived, 1);
    struct ha_vm large = vm_named("web", 201); /* then v1 would not fit beside it */
    VIEW_PUT(&b.view, &large);
    placing_begin(&b);
    assert_false(ha_place_admits(&b.ledger, "web", "c", 1000000, &losses));
    assert_int_equal(losses.survived, 0);
    assert_non_null(losses.vm);
    assert_true(ha_place_admits(&b.ledger, "web", "c", 2, &losses)); /* too much to work out */
    settings.spare_hosts = 2;
    VIEW_PUT(&b.view, &settings);
    VIEW_PUT(&b.view, &vm);
    placing_begin(&b);
    assert_false(ha_place_admits(&b.ledger, "web", "c", 1000000, &losses));
    assert_int_equal(losses.survived, 1);
    placing_deinit(&b);
}

/* --- any cluster --------------------------------------------------------------------------------
 */

static struct ha_vm placing_any_machine(struct prng *p, uint32_t i)
{
    char name[8];
    snprintf(name, sizeof name, "vm-%02u", (unsigned)i);
    struct ha_vm vm = vm_named(name, (uint32_t)prng_range(p, 50, 500));
    vm.cpus = (uint32_t)prng_range(p, 1, 4);
    vm.priority = (uint32_t)prng_below(p, 4);
    for (int j = 0; j < 2; j++) {
        char other[8];
        uint32_t at = (uint32_t)prng_below(p, 20);
        snprintf(other, sizeof other, "vm-%02u", (unsigned)at);
        if (at == i || !prng_chance(p, 1, 6)) {
            continue;
        }
        if (prng_chance(p, 1, 2) && !ha_names_have(&vm.with, other)) {
            names_add(&vm.apart, other);
        } else if (!ha_names_have(&vm.apart, other) && !ha_names_have(&vm.with, other)) {
            names_add(&vm.with, other);
        }
        vm.apart.n = vm.apart.n > 1 ? 1 : vm.apart.n;
    }
    if (prng_chance(p, 1, 5)) {
        char host[2] = {(char)('a' + prng_below(p, 5)), '\0'};
        names_add(&vm.allowed, host);
    }
    return vm;
}

/* Where each machine was put: an index of the bench's hosts; -1: nowhere. */
static void assert_placement(const struct place_bench *b, const struct ha_vm *vms, const int *where,
                             uint32_t n)
{
    for (uint32_t h = 0; h < b->n; h++) {
        uint64_t memory = 0;
        uint64_t cpus = 0;
        for (uint32_t i = 0; i < n; i++) {
            memory += where[i] == (int)h ? vms[i].memory_mib : 0;
            cpus += where[i] == (int)h ? vms[i].cpus : 0;
        }
        assert_true(memory <= 1000 && cpus <= 16);
    }
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t j = 0; j < n; j++) {
            bool is_pair = where[i] >= 0 && where[j] >= 0 && i != j;
            if (is_pair && ha_names_have(&vms[i].apart, vms[j].name)) {
                assert_int_not_equal(where[i], where[j]);
            }
            if (is_pair && ha_names_have(&vms[i].with, vms[j].name)) {
                assert_int_equal(where[i], where[j]);
            }
        }
        assert_true(where[i] < 0 || vms[i].allowed.n == 0 ||
                    ha_names_have(&vms[i].allowed, b->names[where[i]]));
    }
}

static void whatever_is_placed_keeps_every_rule(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    size_t total = 0;
    for (size_t round = 0; round < test_rounds(200); round++) {
        struct place_bench b;
        struct ha_vm vms[20];
        int where[20];
        size_t order[20];
        const struct ha_place_ask ask = {NULL, NULL};
        struct ha_settings settings;
        placing_init(&b, 5);
        ha_record_defaults(HA_SETTINGS, &settings);
        settings.starts_at_once = 1000;
        VIEW_PUT(&b.view, &settings);
        for (uint32_t i = 0; i < 20; i++) {
            vms[i] = placing_any_machine(&p, i);
            where[i] = -1;
            VIEW_PUT(&b.view, &vms[i]);
        }
        placing_begin(&b);
        size_t n = ha_place_order(&b.ledger, order);
        assert_int_equal(n, 20);
        for (size_t i = 0; i < n; i++) {
            const struct ha_vm *vm = ha_view_at(&b.view, HA_VM, order[i])->record;
            const char *host = ha_place_find(&b.ledger, vm, &ask, b.verdicts);
            bool fits = false;
            for (uint32_t h = 0; h < b.n; h++) {
                fits = fits || b.verdicts[h].why == HA_FITS;
            }
            assert_int_equal(host != NULL, fits);
            if (host != NULL) {
                where[order[i]] = host[0] - 'a';
                ha_ledger_take(&b.ledger, vm->name, host);
                total++;
            }
        }
        assert_placement(&b, vms, where, 20);
        placing_deinit(&b);
    }
    assert_true(total > 1000); /* not vacuous */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_state_of_a_host_keeps_machines_away),
        cmocka_unit_test(a_host_that_was_not_seen_is_not_up),
        cmocka_unit_test(with_records_alone_fates_decide),
        cmocka_unit_test(a_machine_says_where_it_may_be),
        cmocka_unit_test(storage_is_declared_and_probed),
        cmocka_unit_test(hosts_that_nothing_covers_get_no_protected_machines),
        cmocka_unit_test(memory_and_processors_are_what_others_have_left),
        cmocka_unit_test(a_place_is_taken_in_every_phase_that_has_one),
        cmocka_unit_test(a_machine_does_not_stand_in_its_own_way),
        cmocka_unit_test(machines_apart_bind_both_sides),
        cmocka_unit_test(machines_with_each_other_bind_both_sides_and_third_ones),
        cmocka_unit_test(a_group_is_placed_where_all_of_it_fits),
        cmocka_unit_test(no_more_start_at_a_time_than_may),
        cmocka_unit_test(the_caller_may_avoid_a_host_or_want_one),
        cmocka_unit_test(machines_spread_and_follow_preferences_and_shun_the_slow),
        cmocka_unit_test(of_equal_shares_the_host_with_fewer_machines_is_taken),
        cmocka_unit_test(decisions_count_until_the_ledger_is_made_anew),
        cmocka_unit_test(a_verdict_is_a_sentence),
        cmocka_unit_test(machines_start_by_priority_and_what_others_need_first),
        cmocka_unit_test(machines_that_are_not_to_start_have_no_turn),
        cmocka_unit_test(circles_have_an_order_all_the_same),
        cmocka_unit_test(a_machine_waits_for_those_it_is_after),
        cmocka_unit_test(the_least_important_yield_and_no_more_than_needed),
        cmocka_unit_test(losses_are_survived_while_the_rest_has_room),
        cmocka_unit_test(losses_do_not_count_what_cannot_be_saved_or_does_not_run),
        cmocka_unit_test(a_small_budget_says_at_least),
        cmocka_unit_test(a_machine_is_admitted_while_enough_hosts_may_be_lost),
        cmocka_unit_test(whatever_is_placed_keeps_every_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
