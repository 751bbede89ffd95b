/* Who is asked for room in reserve, and who starts before whom: a manager that places. The hosts
 * "a" and "b" are covered by hardware watchdogs; where a host is lost, its loss is confirmed. */
#include <string.h>

#include "core/ha/ha_keeper_int.h"
#include "tests/core/ha/keeper_bench.h"
#include "tests/support/test.h"

#define WEB "/novacron/owners/web"

static void put_settings(struct keeper_bench *b, uint32_t spare_hosts, uint32_t starts_at_once)
{
    struct ha_settings settings;

    ha_record_defaults(HA_SETTINGS, &settings);
    settings.spare_hosts = spare_hosts;
    settings.starts_at_once = starts_at_once;
    VIEW_PUT(&b->view, &settings);
}

static void put_gone(struct keeper_bench *b, const char *host)
{
    struct ha_fate fate;

    ha_record_defaults(HA_FATE, &fate);
    ha_text_set(fate.host, sizeof(fate.host), host);
    fate.phase = HA_HOST_GONE;
    fate.proof = HA_PROOF_CONFIRMED;
    VIEW_PUT(&b->view, &fate);
}

/* A machine, for which an operator has asked so often. */
static void put_asked(struct keeper_bench *b, const char *name, uint64_t start_count)
{
    struct ha_vm vm = vm_named(name, 10);

    vm.policy = HA_POLICY_STOP;
    vm.start_count = start_count;
    VIEW_PUT(&b->view, &vm);
}

static void put_owner(struct keeper_bench *b, enum ha_phase phase, const char *host,
                      enum ha_proof proof)
{
    struct ha_owner owner = owner_of("web", phase, host, 5);

    owner.proof = proof;
    VIEW_PUT(&b->view, &owner);
}

/* A lease for each host that is not lost. */
static void grant_leases(struct keeper_bench *b)
{
    static const char *const hosts[] = {"a", "b"};

    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        const struct ha_fate *fate = ha_view_fate(&b->view, hosts[i]);
        if (fate == NULL || fate->phase == HA_HOST_UP) {
            grant_once(b, hosts[i]);
        }
    }
}

static void placing_keeper_open(struct keeper_bench *b, uint32_t spare_hosts,
                                uint32_t starts_at_once)
{
    keeper_open(b);
    put_covered(b, "a");
    put_covered(b, "b");
    put_settings(b, spare_hosts, starts_at_once);
}

static void placing_keeper_run(struct keeper_bench *b)
{
    keeper_take(b);
    grant_leases(b);
    keeper_run(b, 20 * NANOS_PER_MS);
}

/* What is to be written of the owner of "web" has this to do with it. */
static bool web_is_written(const struct keeper_bench *b, const char *text)
{
    for (size_t i = 0; i < b->n; i++) {
        if (txn_names(b->txns[i], WEB) && txn_names(b->txns[i], text)) {
            return true;
        }
    }
    return false;
}

#define STARTS "\"phase\":\"starting\""
#define WAITS  "\"phase\":\"waiting\""

/* --- room in reserve -------------------------------------------------------------------------- */

/* "b" is lost, and was what was kept in reserve. */
static bool web_starts_from(enum ha_phase phase, const char *host, enum ha_proof proof,
                            uint64_t start_count)
{
    struct keeper_bench b;

    placing_keeper_open(&b, 1, 4);
    put_gone(&b, "b");
    put_asked(&b, "web", start_count);
    put_owner(&b, phase, host, proof);
    placing_keeper_run(&b);
    const bool starts = web_is_written(&b, STARTS);
    keeper_close(&b);
    return starts;
}

/* However often an operator has asked for it while it ran. */
static void who_recovers_or_restarts_is_not_asked_for_room_in_reserve(void **state)
{
    (void)state;
    for (uint64_t asked = 0; asked <= 1; asked++) {
        assert_true(web_starts_from(HA_RECOVERING, "b", HA_PROOF_NONE, asked));
        assert_true(web_starts_from(HA_RESTARTING, "a", HA_PROOF_STOPPED, asked));
        assert_true(web_starts_from(HA_WAITING, "", HA_PROOF_EXPIRED, asked));
        assert_true(web_starts_from(HA_WAITING, "", HA_PROOF_STOPPED, asked));
    }
}

/* In each pass, and not only in the first. */
static void who_is_started_anew_is_asked_for_room_in_reserve_until_it_is_there(void **state)
{
    (void)state;
    for (uint64_t asked = 0; asked <= 1; asked++) {
        assert_false(web_starts_from(HA_STOPPED, "a", HA_PROOF_STOPPED, asked));
        assert_false(web_starts_from(HA_WAITING, "", HA_PROOF_NONE, asked));
    }
}

/* It takes over from nobody, which is what its record says while it waits. */
static void assert_waits_anew(enum ha_phase phase)
{
    struct keeper_bench b;

    placing_keeper_open(&b, 1, 4);
    put_gone(&b, "b");
    put_asked(&b, "web", 1);
    put_owner(&b, phase, "a", HA_PROOF_STOPPED);
    placing_keeper_run(&b);
    assert_true(web_is_written(&b, WAITS));
    assert_false(web_is_written(&b, "\"proof\":\"stopped\""));
    keeper_close(&b);
}

static void who_was_stopped_or_has_failed_waits_without_a_proof(void **state)
{
    (void)state;
    assert_waits_anew(HA_STOPPED);
    assert_waits_anew(HA_FAILED);
}

/* What an operator wants is there: that is written down, and nothing else happens. */
static void a_start_of_a_machine_that_runs_is_obeyed_where_it_is(void **state)
{
    static const enum ha_phase phases[] = {HA_STARTING, HA_RUNNING};
    static const char *const same[] = {STARTS, "\"phase\":\"running\""};
    struct keeper_bench b;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(phases); i++) {
        placing_keeper_open(&b, 1, 4);
        put_asked(&b, "web", 3);
        put_owner(&b, phases[i], "b", HA_PROOF_NONE);
        placing_keeper_run(&b);
        assert_true(web_is_written(&b, "\"start_count\":3"));
        assert_true(web_is_written(&b, "\"epoch\":5"));
        assert_true(web_is_written(&b, same[i]));
        keeper_close(&b);
    }
}

/* --- beside machines that are moved ----------------------------------------------------------- */

/* "web" was on "c", which is lost, and may be on "b" alone. */
static void put_recovering(struct keeper_bench *b)
{
    struct ha_vm web = vm_named("web", 10);
    const struct ha_host host = host_named("c", 1000, 4);
    struct ha_agent_record agent = agent_of("c");

    agent.member = 3;
    VIEW_PUT(&b->view, &host);
    VIEW_PUT(&b->view, &agent);
    put_covered(b, "c");
    put_gone(b, "c");
    web.policy = HA_POLICY_STOP;
    names_add(&web.allowed, "b");
    VIEW_PUT(&b->view, &web);
    put_owner(b, HA_RECOVERING, "c", HA_PROOF_NONE);
}

static void put_moving(struct keeper_bench *b, const char *name)
{
    struct ha_owner owner = owner_of(name, HA_MOVING, "a", 5);

    put_asked(b, name, 0);
    owner.issued = 6;
    ha_text_set(owner.to, sizeof(owner.to), "b");
    VIEW_PUT(&b->view, &owner);
}

/* A copy takes minutes. */
static void who_recovers_does_not_wait_for_guests_that_come(void **state)
{
    static const char *const names[] = {"m1", "m2", "m3", "m4"};
    struct keeper_bench b;
    (void)state;
    placing_keeper_open(&b, 0, COUNT_OF(names));
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        put_moving(&b, names[i]);
    }
    put_recovering(&b);
    placing_keeper_run(&b);
    assert_true(web_is_written(&b, STARTS));
    keeper_close(&b);
}

/* "m1" runs on "a", and is to move to "b". */
static void put_move_wish(struct keeper_bench *b, uint32_t memory_mib)
{
    struct ha_vm moves = vm_named("m1", memory_mib);
    const struct ha_owner owner = owner_of("m1", HA_RUNNING, "a", 5);

    moves.policy = HA_POLICY_STOP;
    ha_text_set(moves.move_to, sizeof(moves.move_to), "b");
    VIEW_PUT(&b->view, &moves);
    VIEW_PUT(&b->view, &owner);
}

/* What both could have is the former's: a start at a time here. */
static void who_recovers_goes_before_a_move_that_has_not_begun(void **state)
{
    struct keeper_bench b;
    (void)state;
    placing_keeper_open(&b, 0, 1);
    put_move_wish(&b, 10);
    put_recovering(&b);
    placing_keeper_run(&b);
    assert_true(web_is_written(&b, STARTS));
    assert_false(one_is_about(&b, "\"phase\":\"moving\""));
    /* It runs, and the move begins. */
    const struct ha_owner runs = owner_of("web", HA_RUNNING, "b", 6);
    answer_about(&b, WEB, HA_TXN_APPLIED);
    answer_about(&b, "does not fit there now", HA_TXN_STALE);
    VIEW_PUT(&b.view, &runs);
    keeper_run(&b, NANOS_PER_S);
    assert_true(one_is_about(&b, "\"phase\":\"moving\""));
    keeper_close(&b);
}

/* It has ended on "b", and must not be where another is that runs there. */
static void a_move_does_not_take_the_room_of_one_that_is_to_restart(void **state)
{
    struct keeper_bench b;
    struct ha_vm web = vm_named("web", 600);
    (void)state;
    placing_keeper_open(&b, 0, 4);
    put_move_wish(&b, 600);
    web.policy = HA_POLICY_STOP;
    web.storage[0] = '\0';
    names_add(&web.allowed, "b");
    names_add(&web.apart, "guest");
    VIEW_PUT(&b.view, &web);
    const struct ha_vm guest = vm_named("guest", 10);
    const struct ha_owner there = owner_of("guest", HA_RUNNING, "b", 4);
    VIEW_PUT(&b.view, &guest);
    VIEW_PUT(&b.view, &there);
    put_owner(&b, HA_RESTARTING, "b", HA_PROOF_STOPPED);
    placing_keeper_run(&b);
    assert_false(web_is_written(&b, STARTS));
    assert_false(one_is_about(&b, "\"phase\":\"moving\""));
    keeper_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_recovers_or_restarts_is_not_asked_for_room_in_reserve),
        cmocka_unit_test(who_is_started_anew_is_asked_for_room_in_reserve_until_it_is_there),
        cmocka_unit_test(who_was_stopped_or_has_failed_waits_without_a_proof),
        cmocka_unit_test(a_start_of_a_machine_that_runs_is_obeyed_where_it_is),
        cmocka_unit_test(who_recovers_does_not_wait_for_guests_that_come),
        cmocka_unit_test(who_recovers_goes_before_a_move_that_has_not_begun),
        cmocka_unit_test(a_move_does_not_take_the_room_of_one_that_is_to_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
