#include "core/ha/ha_place.h"

#include <stdio.h>
#include <string.h>

#include "core/base/say.h"
#include "tests/core/ha/place_bench.h"
#include "tests/support/test.h"

static void assert_why(const struct place_bench *b, uint32_t host, enum ha_why_not why)
{
    assert_int_equal(b->verdicts[host].why, why);
}

/* --- each reason ------------------------------------------------------------------------------ */

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
    b.seen[2].is_up = false; /* the reason that lasts is the one that is told */
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
    const struct ha_place_ask ask = {0};
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

/* Four guests that come to "a"; the first of them is there, and goes on. */
static void no_start_waits_for_guests_that_come(void **state)
{
    (void)state;
    struct place_bench b;
    char name[] = "vm-0";
    const struct ha_vm vm = vm_named("web", 100);
    const struct ha_place_ask start = {.only = "a"};
    const struct ha_place_ask move = {.only = "a", .is_live = true};
    placing_init(&b, 2);
    VIEW_PUT(&b.view, &vm);
    for (int i = 0; i < 4; i++) {
        name[3] = (char)('0' + i);
        const struct ha_vm other = vm_named(name, 10);
        struct ha_owner owner = owner_of(name, i == 0 ? HA_STARTING : HA_MOVING, "b", 1);
        if (i == 0) {
            ha_text_set(owner.host, sizeof owner.host, "a");
            owner.proof = HA_PROOF_MOVED;
        } else {
            ha_text_set(owner.to, sizeof owner.to, "a");
            owner.issued = 2;
        }
        VIEW_PUT(&b.view, &other);
        VIEW_PUT(&b.view, &owner);
    }
    placing_begin(&b);
    assert_string_equal(ha_place_find(&b.ledger, &vm, &start, b.verdicts), "a");
    assert_null(ha_place_find(&b.ledger, &vm, &move, b.verdicts));
    assert_why(&b, 0, HA_NOT_RATE);
    assert_int_equal(b.verdicts[0].have, 4);
    /* It is switched over: still none that starts. */
    ha_ledger_take(&b.ledger, "vm-1", "a");
    assert_string_equal(ha_place_find(&b.ledger, &vm, &start, b.verdicts), "a");
    assert_null(ha_place_find(&b.ledger, &vm, &move, b.verdicts));
    assert_int_equal(b.verdicts[0].have, 4);
    /* What has gone elsewhere leaves room for one more, which a start takes from it. */
    ha_ledger_release(&b.ledger, "vm-1");
    assert_string_equal(ha_place_find(&b.ledger, &vm, &move, NULL), "a");
    ha_ledger_take(&b.ledger, "vm-1", "a");
    assert_string_equal(ha_place_find(&b.ledger, &vm, &start, NULL), "a");
    assert_null(ha_place_find(&b.ledger, &vm, &move, NULL));
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

/* --- among those that fit --------------------------------------------------------------------- */

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
    const struct ha_place_ask ask = {0};
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

/* --- any cluster ------------------------------------------------------------------------------ */

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
        const struct ha_place_ask ask = {0};
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
        cmocka_unit_test(no_start_waits_for_guests_that_come),
        cmocka_unit_test(the_caller_may_avoid_a_host_or_want_one),
        cmocka_unit_test(machines_spread_and_follow_preferences_and_shun_the_slow),
        cmocka_unit_test(of_equal_shares_the_host_with_fewer_machines_is_taken),
        cmocka_unit_test(decisions_count_until_the_ledger_is_made_anew),
        cmocka_unit_test(a_verdict_is_a_sentence),
        cmocka_unit_test(whatever_is_placed_keeps_every_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
