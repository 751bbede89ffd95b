/* The stage of scenarios: that a script which expects what is not so fails, and in no other way;
 * and the table. */
#include <string.h>

#include "core/base/mutant.h"
#include "core/chaos/scenario/stage_machines.h"
#include "tests/support/test.h"

static struct sim_result run_test_script(void (*script)(struct stage *st), nanos within)
{
    const struct scenario scenario = {.name = "test", .within = within, .run = script};
    const struct sim_options options = {.seed = 7};
    struct sim_result result;

    scenario_run(&scenario, &options, &result);
    return result;
}

static void script_that_waits(struct stage *st)
{
    const struct sim_settings s = stage_plain(3);

    stage_found(st, &s);
    stage_pass(st, 2 * NANOS_PER_S);
    stage_put(st, stage_leader(st), 0, NANOS_PER_S);
}

static void passes_a_script_whose_expectations_hold(void **state)
{
    (void)state;
    const struct sim_result result = run_test_script(script_that_waits, 60 * NANOS_PER_S);
    assert_int_equal(result.verdict, SIM_PASSED);
    assert_true(result.operations > 0 && result.committed > 1);
}

static void fails_a_script_that_takes_longer_than_it_may(void **state)
{
    (void)state;
    const struct sim_result result = run_test_script(script_that_waits, NANOS_PER_S);
    assert_int_equal(result.verdict, SIM_STUCK);
}

/* After the first expectation that fails, every call returns, and changes nothing. */
static void script_that_fails(struct stage *st)
{
    const struct sim_settings s = stage_plain(3);

    stage_found(st, &s);
    struct simmember *leader = stage_leader(st);
    stage_kill(st, leader);
    stage_put(st, leader, 0, NANOS_PER_S); /* it takes none: this fails */
    nanos then = stage_now(st);
    stage_start(st, leader);
    stage_isolate(st, leader, true);
    stage_write(st, NANOS_PER_S);
    stage_get(st, leader, 0, NANOS_PER_S);
    stage_snapshot(st, leader, NANOS_PER_S);
    stage_await_leader(st, leader, NANOS_PER_S);
    stage_deliver(st, 0);
    stage_heal(st);
    assert_true(stage_now(st) == then);
    assert_int_equal(leader->state, MEMBER_DOWN);
}

static void ends_at_the_first_expectation_that_fails(void **state)
{
    (void)state;
    const struct sim_result result = run_test_script(script_that_fails, 60 * NANOS_PER_S);
    assert_int_equal(result.verdict, SIM_STUCK);
    assert_non_null(strstr(result.text, "takes a client's request"));
}

static void script_that_cuts_one_way(struct stage *st)
{
    const struct sim_settings s = stage_plain(3);

    stage_found(st, &s);
    struct simmember *leader = stage_leader(st);
    struct simmember *deaf = stage_follower(st, 0);
    struct simmember *other = stage_follower(st, 1);
    stage_cut(st, leader, deaf, true);
    stage_catch(st, leader, deaf, RAFT_MSG_APP);
    stage_put(st, leader, 0, NANOS_PER_S);
    raft_index last = stage_status(leader).last;
    assert_true(stage_status(other).last == last && stage_status(deaf).last < last);
    assert_true(st->caught_count > 0);
    stage_deliver(st, 0);
    assert_true(stage_status(deaf).last == last);
    stage_catch_end(st);
}

static void delivers_a_caught_message_that_the_network_lost(void **state)
{
    (void)state;
    const struct sim_result result = run_test_script(script_that_cuts_one_way, 60 * NANOS_PER_S);
    assert_int_equal(result.verdict, SIM_PASSED);
}

static void a_seed_gives_one_run(void **state)
{
    (void)state;
    const struct sim_result once = run_test_script(script_that_waits, 60 * NANOS_PER_S);
    const struct sim_result again = run_test_script(script_that_waits, 60 * NANOS_PER_S);
    assert_true(once.hash == again.hash && once.events == again.events);
}

static void power_was_told(struct world_power_request *request)
{
    (void)request;
}

/* A host that owns nothing: nobody would fence it for somebody's sake. */
static void script_that_fences_past_the_records(struct stage *st)
{
    static struct world_power_request request;
    const struct sim_settings s = stage_hosts(3, 1);

    stage_found_hosts(st, &s);
    struct simmember *leader = stage_leader(st);
    stage_move(st, 0, leader);
    struct simmember *struck = stage_follower(st, 0);
    const struct world *world = simhost_world(leader->host);
    memset(&request, 0, sizeof request);
    request.op = WORLD_POWER_OFF;
    request.device = struck->name;
    request.deadline = world_now(world) + 10 * NANOS_PER_S;
    request.done = power_was_told;
    struck->stays_down = true;
    world->power->submit(world->self, &request);
    stage_pass(st, 60 * NANOS_PER_S);
}

static void finds_a_fence_that_no_record_tells_of(void **state)
{
    (void)state;
    const struct sim_result result =
        run_test_script(script_that_fences_past_the_records, 400 * NANOS_PER_S);
    assert_int_equal(result.verdict, SIM_UNSAFE);
    assert_string_equal(result.invariant, "I44");
}

static void script_that_powers_hosts(struct stage *st)
{
    const struct sim_settings s = stage_hosts(3, 2);

    stage_found_hosts(st, &s);
    struct simmember *m = stage_host_of(st, 0, 1);
    assert_ptr_equal(stage_home(st, 0), m);
    assert_true(stage_all_run(st) && stage_offs_all(st) == 0);
    assert_true(stage_told(st, "vm-started", simcluster_machine_name(0)) > 0);
    stage_wish(st, 1, false);
    stage_pass(st, 10 * NANOS_PER_S);
    assert_true(stage_is_in(st, 1, HA_STOPPED) && !stage_all_run(st));
    stage_wish(st, 1, true);
    stage_unplug(st, m);
    stage_pass(st, 5 * NANOS_PER_S);
    assert_true(stage_fate(st, m) == HA_HOST_FENCING && stage_is_in(st, 0, HA_RECOVERING));
    stage_switch_on(st, m);
    stage_await_machines(st, 60 * NANOS_PER_S, "all run");
}

static void plays_operators_and_mains(void **state)
{
    (void)state;
    const struct sim_result result = run_test_script(script_that_powers_hosts, 500 * NANOS_PER_S);
    assert_int_equal(result.verdict, SIM_PASSED);
}

/* How long a flap is, and when the network comes back, is all that a quarantine hangs on: other
 * seeds than the one that everybody runs. */
static void hosts_that_flap_move_machines_at_most_twice_whatever_the_seed(void **state)
{
    static const char *const names[] = {"flapping-host", "flapping-host-briefly",
                                        "flapping-host-within-lease", "flapping-host-unfenced",
                                        "flapping-leader"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        for (uint64_t seed = 2; seed <= 4; seed++) {
            const struct sim_options options = {.seed = seed};
            struct sim_result result;
            scenario_run(scenario_find(names[i]), &options, &result);
            if (result.verdict != SIM_PASSED) {
                print_message("# %s, seed %llu: %s\n", names[i], (unsigned long long)seed,
                              result.text);
            }
            assert_int_equal(result.verdict, SIM_PASSED);
        }
    }
}

static bool is_known_mutant(const char *name)
{
    static const char *const names[] = {
#define MUTANT_NAME(mutant, text, profile, bug, seen) text,
        MUTANT_TABLE(MUTANT_NAME)
#undef MUTANT_NAME
    };

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void names_in_the_table_are_unique_and_mutants_exist(void **state)
{
    (void)state;
    size_t count;
    const struct scenario *rows = scenario_rows(&count);
    assert_true(count > 0);
    for (size_t i = 0; i < count; i++) {
        assert_ptr_equal(scenario_find(rows[i].name), &rows[i]);
        assert_true(rows[i].mutant[0] == '\0' || is_known_mutant(rows[i].mutant));
        assert_true(rows[i].bound[0] != '\0' && rows[i].source[0] != '\0' &&
                    rows[i].story[0] != '\0');
    }
    assert_null(scenario_find("no such scenario"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_a_script_whose_expectations_hold),
        cmocka_unit_test(fails_a_script_that_takes_longer_than_it_may),
        cmocka_unit_test(ends_at_the_first_expectation_that_fails),
        cmocka_unit_test(delivers_a_caught_message_that_the_network_lost),
        cmocka_unit_test(a_seed_gives_one_run),
        cmocka_unit_test(finds_a_fence_that_no_record_tells_of),
        cmocka_unit_test(plays_operators_and_mains),
        cmocka_unit_test(hosts_that_flap_move_machines_at_most_twice_whatever_the_seed),
        cmocka_unit_test(names_in_the_table_are_unique_and_mutants_exist),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
