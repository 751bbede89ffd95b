/* Machines survive: whole members on simulated hosts, and what happens to them. */
#include <string.h>

#include "tests/support/ha_cluster.h"
#include "tests/support/test.h"

static void starts_what_is_wanted_and_stops_what_is_not(void **state)
{
    struct ha_cluster c;
    (void)state;
    ha_cluster_init(&c, 1, 3, WORLD_WATCHDOG_READY);
    c.is_loud = true;
    ha_cluster_start(&c, true);
    struct ha_vm vm = ha_cluster_vm(&c, "web");
    HA_APPLY(&c, &vm);
    assert_true(ha_cluster_wait_vm(&c, "web", HA_RUNNING, NULL, 5 * NANOS_PER_S));
    assert_string_equal(ha_cluster_lives_on(&c, "web"), ha_cluster_owner(&c, "web")->host);
    vm.is_wanted = false;
    HA_APPLY(&c, &vm);
    assert_true(ha_cluster_wait_vm(&c, "web", HA_STOPPED, NULL, 20 * NANOS_PER_S));
    assert_null(ha_cluster_lives_on(&c, "web"));
    ha_cluster_delete(&c, HA_VM, "web");
    ha_cluster_run(&c, 2 * NANOS_PER_S);
    assert_null(ha_cluster_owner(&c, "web"));
    assert_int_equal(ha_view_count(ha_cluster_view(&c), HA_REPORT), 0);
    ha_cluster_deinit(&c);
}

/* A cluster with one machine that runs, and the box it runs on, which does not lead. */
static struct ha_box *cluster_with(struct ha_cluster *c, uint64_t seed,
                                   enum world_watchdog watchdog, bool has_fences, const char *name)
{
    ha_cluster_init(c, seed, 3, watchdog);
    ha_cluster_start(c, has_fences);
    struct ha_box *b = ha_cluster_follower(c);
    const struct ha_vm vm = ha_cluster_vm_at(c, name, b);
    ha_cluster_run_vm(c, &vm, b);
    return b;
}

static uint32_t incidents_told_of(const struct ha_cluster *c, const char *host)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < u64_min(c->incidents_told, HA_TOLD_MAX); i++) {
        n += strcmp(c->incident_told[i].host, host) == 0;
    }
    return n;
}

/* The oldest that was told of that host; there must be one. */
static const struct ha_incident *incident_told_of(const struct ha_cluster *c, const char *host)
{
    const struct ha_incident *told = c->incident_told;

    assert_true(incidents_told_of(c, host) > 0);
    while (strcmp(told->host, host) != 0) {
        told++;
    }
    return told;
}

static uint64_t now_ms(struct ha_cluster *c)
{
    return simworld_now(c->sim) / NANOS_PER_MS;
}

static void power_loss_is_fenced_and_the_machine_runs_elsewhere(void **state)
{
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = cluster_with(&c, 2, WORLD_WATCHDOG_READY, true, "web");
    b->stays_down = true;
    struct simdevice_faults quick = simdevice_faults_none();
    quick.switch_time = 20 * NANOS_PER_MS;
    struct ha_settings settings = *ha_view_settings(ha_cluster_view(&c));
    settings.fence_delay_ms = 0;
    HA_APPLY(&c, &settings);
    simdevice_set_faults(c.sim, b->name, &quick);
    c.is_loud = true;
    uint64_t began = now_ms(&c);
    ha_box_power_off(b);
    assert_true(ha_cluster_wait_fate(&c, b->name, HA_HOST_FENCING, 3 * NANOS_PER_S));
    assert_string_equal(ha_cluster_owner(&c, "web")->host, b->name);
    assert_true(ha_cluster_wait_fate(&c, b->name, HA_HOST_GONE, 3 * NANOS_PER_S));
    assert_int_equal(ha_cluster_fate(&c, b->name)->proof, HA_PROOF_FENCED);
    assert_true(ha_cluster_wait_vm(&c, "web", HA_RUNNING, NULL, 3 * NANOS_PER_S));
    print_message("# power loss to running: %llu ms\n", (unsigned long long)(now_ms(&c) - began));
    /* Played health takes 1.2 s; the device's two answers at most 1.22 s, and a boot 0.5 s, in this
     * world. The rest is ours. */
    assert_true(now_ms(&c) - began < 1200 + 1220 + 500 + 60);
    assert_string_not_equal(ha_cluster_owner(&c, "web")->host, b->name);
    assert_int_equal(ha_cluster_starts(&c, "web"), 2);
    assert_int_equal(ha_cluster_owner(&c, "web")->proof, HA_PROOF_FENCED);
    ha_cluster_run(&c, NANOS_PER_S);
    const struct ha_incident *incident =
        ha_view_incident(ha_cluster_view(&c), ha_cluster_fate(&c, b->name)->incident);
    assert_non_null(incident);
    assert_true(incident->is_closed);
    static const char *const expected[] = {"detected", "fence",   "told-off", "read-off", "fenced",
                                           "placed",   "started", "verified", "closed"};
    assert_int_equal(incident->n_steps, COUNT_OF(expected));
    for (uint32_t i = 0; i < incident->n_steps; i++) {
        print_message("# %llu ms: %s %s: %s\n", (unsigned long long)incident->steps[i].at_ms,
                      incident->steps[i].what, incident->steps[i].who, incident->steps[i].detail);
        assert_string_equal(incident->steps[i].what, expected[i]);
    }
    assert_int_equal(strlen(incident->trace), 32);
    assert_in_range(incident->unheard_ms, 1200, 2700); /* to the newest renewal before */
    assert_true(incident->steps[2].took_ms > 0 &&
                incident->steps[2].took_ms <= incident->steps[2].at_ms);
    assert_string_equal(incident->steps[2].detail, "level 1, round 1");
    assert_int_equal(incident->steps[5].epoch, ha_cluster_owner(&c, "web")->epoch);
    assert_string_equal(incident->steps[7].detail, ha_cluster_owner(&c, "web")->host);
    assert_int_equal(incidents_told_of(&c, b->name), 1);
    assert_string_equal(c.incident_told[0].id, incident->id);
    assert_int_equal(c.incident_told[0].n_steps, incident->n_steps);

    /* It comes back, and gets nothing stale. */
    b->stays_down = false;
    simdevice_set_faults(c.sim, b->name, NULL);
    simhost_switch_on(b->host);
    assert_true(ha_cluster_wait_fate(&c, b->name, HA_HOST_UP, 40 * NANOS_PER_S));
    ha_cluster_run(&c, 5 * NANOS_PER_S);
    assert_string_equal(ha_cluster_lives_on(&c, "web"), ha_cluster_owner(&c, "web")->host);
    assert_int_equal(ha_cluster_starts(&c, "web"), 2);
    ha_cluster_deinit(&c);
}

static void no_host_is_fenced_that_owns_nothing(void **state)
{
    struct ha_cluster c;
    (void)state;
    ha_cluster_init(&c, 3, 3, WORLD_WATCHDOG_READY);
    ha_cluster_start(&c, true);
    struct ha_box *b = ha_cluster_follower(&c);
    b->stays_down = true;
    c.is_loud = true;
    ha_box_power_off(b);
    assert_true(ha_cluster_wait_fate(&c, b->name, HA_HOST_LOST, 3 * NANOS_PER_S));
    ha_cluster_run(&c, 5 * NANOS_PER_S);
    assert_int_equal(simdevice_offs(c.sim, b->name), 0);
    b->stays_down = false;
    simhost_switch_on(b->host);
    assert_true(ha_cluster_wait_fate(&c, b->name, HA_HOST_UP, 40 * NANOS_PER_S));
    ha_cluster_deinit(&c);
}

static void leader_that_dies_while_it_fences_has_a_successor_that_goes_on(void **state)
{
    struct ha_cluster c;
    (void)state;
    ha_cluster_init(&c, 4, 5, WORLD_WATCHDOG_READY);
    ha_cluster_start(&c, true);
    struct ha_box *b = ha_cluster_follower(&c);
    const struct ha_vm vm = ha_cluster_vm_at(&c, "web", b);
    ha_cluster_run_vm(&c, &vm, b);
    b->stays_down = true;
    ha_box_power_off(b);
    assert_true(ha_cluster_wait_fate(&c, b->name, HA_HOST_FENCING, 3 * NANOS_PER_S));
    struct ha_box *leader = ha_cluster_leader(&c);
    uint64_t term = ha_cluster_fate(&c, b->name)->term;
    c.is_loud = true;
    ha_box_kill(leader);
    assert_true(ha_cluster_wait_fate(&c, b->name, HA_HOST_GONE, 20 * NANOS_PER_S));
    assert_true(ha_cluster_fate(&c, b->name)->term > term);
    assert_true(ha_cluster_wait_vm(&c, "web", HA_RUNNING, NULL, 5 * NANOS_PER_S));
    assert_int_equal(ha_cluster_starts(&c, "web"), 2);
    /* The process of the leader alone was gone, and nothing that ran there. */
    assert_int_equal(simdevice_offs(c.sim, leader->name), 0);
    ha_cluster_run(&c, NANOS_PER_S);
    assert_int_equal(incidents_told_of(&c, b->name), 1); /* by the second, who has all of it */
    const struct ha_incident *told = incident_told_of(&c, b->name);
    const char trace = told->trace[0];
    assert_string_equal(told->steps[0].what, "detected");
    assert_string_equal(told->steps[told->n_steps - 1].what, "closed");
    for (uint32_t i = 1; i < told->n_steps; i++) {
        assert_true(told->steps[i].at_ms >= told->steps[i - 1].at_ms);
    }
    /* Who leads next tells it again: the last one may have died before it could. */
    ha_box_start(leader);
    ha_cluster_run(&c, 5 * NANOS_PER_S);
    leader = ha_cluster_leader(&c);
    ha_box_kill(leader);
    ha_cluster_run(&c, 5 * NANOS_PER_S);
    assert_true(incidents_told_of(&c, b->name) >= 2);
    for (uint32_t i = 0; i < u64_min(c.incidents_told, HA_TOLD_MAX); i++) {
        const struct ha_incident *again = &c.incident_told[i];
        assert_true(strcmp(again->host, b->name) != 0 ||
                    (again->trace[0] == trace && strcmp(again->id, told->id) == 0 &&
                     again->n_steps == told->n_steps));
    }
    ha_box_start(leader);
    ha_cluster_run(&c, 5 * NANOS_PER_S);
    ha_cluster_deinit(&c);
}

static void leader_with_its_machines_is_lost(void **state)
{
    struct ha_cluster c;
    (void)state;
    ha_cluster_init(&c, 5, 3, WORLD_WATCHDOG_READY);
    ha_cluster_start(&c, true);
    struct ha_box *b = ha_cluster_leader(&c);
    const struct ha_vm vm = ha_cluster_vm_at(&c, "web", b);
    ha_cluster_run_vm(&c, &vm, b);
    b->stays_down = true;
    c.is_loud = true;
    uint64_t began = now_ms(&c);
    ha_box_power_off(b);
    ha_cluster_run(&c, NANOS_PER_S);
    assert_true(ha_cluster_wait_vm(&c, "web", HA_RUNNING, NULL, 20 * NANOS_PER_S));
    while (ha_cluster_starts(&c, "web") == 1) {
        ha_cluster_run(&c, 10 * NANOS_PER_MS);
    }
    assert_true(ha_cluster_wait_vm(&c, "web", HA_RUNNING, NULL, 20 * NANOS_PER_S));
    print_message("# leader's power loss to running: %llu ms\n",
                  (unsigned long long)(now_ms(&c) - began));
    assert_true(now_ms(&c) - began < 10000);
    ha_cluster_deinit(&c);
}

static void partitioned_host_ends_its_machines_and_expiry_proves_it(void **state)
{
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = cluster_with(&c, 6, WORLD_WATCHDOG_READY, false, "web");
    const struct ha_settings *settings = ha_view_settings(ha_cluster_view(&c));
    nanos lease = (nanos)settings->lease_ms * NANOS_PER_MS;
    c.is_loud = true;
    ha_box_isolate(b, true);
    ha_cluster_run(&c, lease - NANOS_PER_S / 2);
    assert_string_equal(ha_cluster_owner(&c, "web")->host, b->name);
    ha_cluster_run(&c, NANOS_PER_S);
    assert_null(ha_cluster_lives_on(&c, "web"));
    assert_true(ha_cluster_wait_vm(&c, "web", HA_RUNNING, NULL, 30 * NANOS_PER_S));
    assert_int_equal(ha_cluster_owner(&c, "web")->proof, HA_PROOF_EXPIRED);
    assert_true(ha_cluster_wait_fate(&c, b->name, HA_HOST_GONE, NANOS_PER_S));
    assert_int_equal(ha_cluster_fate(&c, b->name)->proof, HA_PROOF_EXPIRED);
    assert_string_not_equal(ha_cluster_owner(&c, "web")->host, b->name);
    ha_box_isolate(b, false);
    assert_true(ha_cluster_wait_fate(&c, b->name, HA_HOST_UP, 40 * NANOS_PER_S));
    ha_cluster_run(&c, 3 * NANOS_PER_S);
    assert_string_equal(ha_cluster_lives_on(&c, "web"), ha_cluster_owner(&c, "web")->host);
    assert_int_equal(ha_cluster_starts(&c, "web"), 2);
    ha_cluster_deinit(&c);
}

static void without_watchdog_and_fence_nothing_is_proved_but_by_an_operator(void **state)
{
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = cluster_with(&c, 7, WORLD_WATCHDOG_READY, true, "web");
    struct simdevice_faults lies = simdevice_faults_none();
    struct ha_host host = *ha_view_host(ha_cluster_view(&c), b->name);
    struct ha_confirmed confirmed;
    host.is_bare_metal = false; /* so that time says nothing */
    HA_APPLY(&c, &host);
    lies.only_says_ok = true;
    simdevice_set_faults(c.sim, b->name, &lies);
    c.is_loud = true;
    ha_box_isolate(b, true);
    ha_cluster_run(&c, 60 * NANOS_PER_S);
    const struct ha_owner *owner = ha_cluster_owner(&c, "web");
    assert_int_equal(owner->phase, HA_RECOVERING);
    assert_int_equal(ha_cluster_starts(&c, "web"), 1);
    assert_int_equal(strncmp(owner->reason, "unproven", 8), 0);
    assert_true(ha_cluster_fate(&c, b->name)->attempts > 0);
    assert_true(simdevice_offs(c.sim, b->name) > 1);

    ha_record_defaults(HA_CONFIRMED, &confirmed);
    ha_text_set(confirmed.host, HA_NAME_BYTES, b->name);
    ha_text_set(confirmed.incident, HA_NAME_BYTES, "inc-9999");
    ha_text_set(confirmed.by, HA_NAME_BYTES, "eve");
    ha_text_set(confirmed.reason, HA_TEXT_BYTES, "of another incident");
    HA_APPLY(&c, &confirmed);
    ha_cluster_run(&c, 3 * NANOS_PER_S);
    assert_int_equal(ha_cluster_owner(&c, "web")->phase, HA_RECOVERING);

    b->stays_down = true;
    ha_box_power_off(b);
    ha_text_set(confirmed.incident, HA_NAME_BYTES, ha_cluster_fate(&c, b->name)->incident);
    ha_text_set(confirmed.reason, HA_TEXT_BYTES, "I have pulled its plug");
    HA_APPLY(&c, &confirmed);
    assert_true(ha_cluster_wait_vm(&c, "web", HA_RUNNING, NULL, 5 * NANOS_PER_S));
    assert_int_equal(ha_cluster_owner(&c, "web")->proof, HA_PROOF_CONFIRMED);
    assert_null(ha_view_confirmed(ha_cluster_view(&c), b->name));
    ha_cluster_deinit(&c);
}

static void crashed_machine_is_started_again_after_its_delay(void **state)
{
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = cluster_with(&c, 8, WORLD_WATCHDOG_READY, true, "web");
    struct ha_vm vm = *ha_view_vm(ha_cluster_view(&c), "web");
    c.is_loud = true;
    uint64_t began = now_ms(&c);
    simvm_crash(b->host, "web");
    ha_cluster_run(&c, 20 * NANOS_PER_MS);
    assert_true(ha_cluster_wait_vm(&c, "web", HA_RUNNING, b->name, 20 * NANOS_PER_S));
    uint64_t took = now_ms(&c) - began;
    /* Boot takes half a second in this world; ours are a few transactions. */
    print_message("# crash to running: %llu ms, delay %u ms\n", (unsigned long long)took,
                  vm.restart.delay_ms);
    assert_true(took >= (uint64_t)vm.restart.delay_ms * 3 / 4 + 500);
    assert_true(took <= vm.restart.delay_ms + 600u);
    assert_int_equal(ha_cluster_owner(&c, "web")->failures, 1);
    assert_int_equal(ha_cluster_starts(&c, "web"), 2);
    ha_cluster_deinit(&c);
}

static void crash_loop_moves_and_then_fails_until_it_is_asked_for(void **state)
{
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = cluster_with(&c, 9, WORLD_WATCHDOG_READY, true, "web");
    struct ha_vm vm = *ha_view_vm(ha_cluster_view(&c), "web");
    bool was_elsewhere = false;
    vm.restart.delay_ms = 100;
    vm.restart.delay_max_ms = 400;
    vm.restart.here_max = 2;
    vm.restart.limit = 5;
    HA_APPLY(&c, &vm);
    for (uint32_t i = 0; i < 60; i++) {
        const char *at = ha_cluster_lives_on(&c, "web");
        if (at != NULL) {
            was_elsewhere = was_elsewhere || strcmp(at, b->name) != 0;
            simvm_crash(ha_cluster_box(&c, at)->host, "web");
        }
        ha_cluster_run(&c, 700 * NANOS_PER_MS);
    }
    assert_true(ha_cluster_wait_vm(&c, "web", HA_FAILED, NULL, NANOS_PER_S));
    assert_true(was_elsewhere);
    print_message("# %s\n", ha_cluster_owner(&c, "web")->reason);
    assert_int_equal(ha_cluster_starts(&c, "web"), 5);
    ha_cluster_run(&c, 20 * NANOS_PER_S);
    assert_null(ha_cluster_lives_on(&c, "web"));
    vm.start_count++;
    HA_APPLY(&c, &vm);
    assert_true(ha_cluster_wait_vm(&c, "web", HA_RUNNING, NULL, 5 * NANOS_PER_S));
    assert_int_equal(ha_cluster_owner(&c, "web")->failures, 0);
    ha_cluster_deinit(&c);
}

static void machine_outlives_the_process_of_its_agent(void **state)
{
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = cluster_with(&c, 10, WORLD_WATCHDOG_READY, true, "web");
    c.is_loud = true;
    ha_box_kill(b);
    ha_cluster_run(&c, 300 * NANOS_PER_MS);
    ha_box_start(b);
    ha_cluster_run(&c, 10 * NANOS_PER_S);
    assert_string_equal(ha_cluster_lives_on(&c, "web"), b->name);
    assert_int_equal(ha_cluster_starts(&c, "web"), 1);
    assert_int_equal(ha_cluster_owner(&c, "web")->phase, HA_RUNNING);
    assert_int_equal(simdevice_offs(c.sim, b->name), 0);
    ha_cluster_deinit(&c);
}

/* The agent that begins knows when its guard's lease ends, and not how long leases are. */
static void machine_outlives_its_agent_under_a_short_lease_too(void **state)
{
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = cluster_with(&c, 10, WORLD_WATCHDOG_READY, true, "web");
    struct ha_settings settings = *ha_view_settings(ha_cluster_view(&c));
    settings.lease_ms = 4000;
    HA_APPLY(&c, &settings);
    ha_cluster_run(&c, 20 * NANOS_PER_S); /* the longer ones are over */
    ha_box_kill(b);
    ha_cluster_run(&c, 300 * NANOS_PER_MS);
    ha_box_start(b);
    ha_cluster_run(&c, 10 * NANOS_PER_S);
    assert_int_equal(ha_cluster_starts(&c, "web"), 1);
    assert_int_equal(ha_cluster_owner(&c, "web")->phase, HA_RUNNING);
    ha_cluster_deinit(&c);
}

static void machine_that_ended_while_nobody_looked_is_started_in_a_new_epoch(void **state)
{
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = cluster_with(&c, 11, WORLD_WATCHDOG_READY, true, "web");
    ha_box_kill(b);
    simvm_crash(b->host, "web");
    ha_box_start(b);
    ha_cluster_run(&c, NANOS_PER_S);
    assert_true(ha_cluster_wait_vm(&c, "web", HA_RUNNING, NULL, 20 * NANOS_PER_S));
    assert_int_equal(ha_cluster_starts(&c, "web"), 2);
    ha_cluster_deinit(&c);
}

static void short_silence_harms_nobody(void **state)
{
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = cluster_with(&c, 12, WORLD_WATCHDOG_READY, true, "web");
    for (uint32_t i = 0; i < 10; i++) {
        simhost_pause(b->host, simworld_now(c.sim) + 800 * NANOS_PER_MS);
        ha_cluster_run(&c, 3 * NANOS_PER_S);
    }
    assert_int_equal(simdevice_offs(c.sim, b->name), 0);
    assert_int_equal(ha_cluster_events(&c, "host-lost", b->name), 0);
    assert_int_equal(ha_cluster_starts(&c, "web"), 1);
    ha_cluster_deinit(&c);
}

static void host_that_renews_is_not_lost_whatever_its_observers_say(void **state)
{
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = cluster_with(&c, 13, WORLD_WATCHDOG_READY, true, "web");
    b->is_unheard = true; /* by health alone */
    ha_cluster_run(&c, 20 * NANOS_PER_S);
    assert_int_equal(ha_cluster_events(&c, "host-lost", b->name), 0);
    assert_int_equal(simdevice_offs(c.sim, b->name), 0);
    ha_cluster_deinit(&c);
}

static void lease_alone_finds_a_lost_host_without_health(void **state)
{
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = cluster_with(&c, 14, WORLD_WATCHDOG_READY, true, "web");
    c.has_health = false;
    b->stays_down = true;
    ha_box_power_off(b);
    ha_cluster_run(&c, 2 * NANOS_PER_S);
    assert_int_equal(ha_cluster_events(&c, "host-lost", b->name), 0);
    assert_true(ha_cluster_wait_fate(&c, b->name, HA_HOST_GONE, 30 * NANOS_PER_S));
    assert_true(ha_cluster_wait_vm(&c, "web", HA_RUNNING, NULL, 5 * NANOS_PER_S));
    ha_cluster_deinit(&c);
}

static void host_without_watchdog_or_fence_gets_no_protected_machine(void **state)
{
    struct ha_cluster c;
    (void)state;
    ha_cluster_init(&c, 15, 3, WORLD_WATCHDOG_NONE);
    ha_cluster_start(&c, false);
    struct ha_vm vm = ha_cluster_vm(&c, "web");
    HA_APPLY(&c, &vm);
    ha_cluster_run(&c, 10 * NANOS_PER_S);
    assert_null(ha_cluster_lives_on(&c, "web"));
    assert_int_equal(ha_cluster_owner(&c, "web")->phase, HA_WAITING);
    ha_cluster_deinit(&c);
}

static void machine_moves_where_it_was_asked_to(void **state)
{
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = cluster_with(&c, 16, WORLD_WATCHDOG_READY, true, "web");
    struct ha_box *to = ha_cluster_leader(&c);
    struct ha_vm vm = *ha_view_vm(ha_cluster_view(&c), "web");
    assert_ptr_not_equal(b, to);
    ha_text_set(vm.move_to, sizeof(vm.move_to), to->name);
    HA_APPLY(&c, &vm);
    ha_cluster_run(&c, 100 * NANOS_PER_MS);
    assert_true(ha_cluster_wait_vm(&c, "web", HA_RUNNING, to->name, 20 * NANOS_PER_S));
    assert_string_equal(ha_view_vm(ha_cluster_view(&c), "web")->move_to, "");
    assert_int_equal(ha_cluster_owner(&c, "web")->failures, 0);
    assert_int_equal(ha_cluster_owner(&c, "web")->moves, 1);
    assert_int_equal(ha_cluster_owner(&c, "web")->restarts, 0);
    assert_string_equal(ha_cluster_owner(&c, "web")->moved_from, b->name);
    assert_true(ha_cluster_owner(&c, "web")->move_ms >= SIMVM_MOVE_TIME / NANOS_PER_MS);
    assert_true(ha_cluster_owner(&c, "web")->move_pause_ms >= SIMVM_MOVE_PAUSE / NANOS_PER_MS);
    ha_cluster_run(&c, 10 * NANOS_PER_S);
    assert_string_equal(ha_cluster_lives_on(&c, "web"), to->name); /* and nowhere else */
    ha_cluster_deinit(&c);
}

static void machine_that_is_moved_offline_is_started_anew(void **state)
{
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = cluster_with(&c, 36, WORLD_WATCHDOG_READY, true, "web");
    struct ha_box *to = ha_cluster_leader(&c);
    struct ha_vm vm = *ha_view_vm(ha_cluster_view(&c), "web");
    assert_ptr_not_equal(b, to);
    ha_text_set(vm.move_to, sizeof(vm.move_to), to->name);
    vm.moves_offline = true;
    HA_APPLY(&c, &vm);
    ha_cluster_run(&c, 100 * NANOS_PER_MS);
    assert_true(ha_cluster_wait_vm(&c, "web", HA_RUNNING, to->name, 20 * NANOS_PER_S));
    assert_false(ha_view_vm(ha_cluster_view(&c), "web")->moves_offline);
    assert_int_equal(ha_cluster_owner(&c, "web")->moves, 0);
    assert_int_equal(ha_cluster_starts(&c, "web"), 2);
    ha_cluster_deinit(&c);
}

/* Another host could not open what it has. */
static void machine_on_its_hosts_own_disk_is_not_moved(void **state)
{
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = cluster_with(&c, 37, WORLD_WATCHDOG_READY, true, "web");
    struct ha_vm vm = *ha_view_vm(ha_cluster_view(&c), "web");
    vm.storage[0] = '\0';
    vm.preferred.n = 0;
    vm.allowed.n = 1;
    ha_text_set(vm.allowed.name[0], HA_NAME_BYTES, ha_cluster_leader(&c)->name);
    ha_text_set(vm.move_to, sizeof(vm.move_to), ha_cluster_leader(&c)->name);
    HA_APPLY(&c, &vm);
    ha_cluster_run(&c, 5 * NANOS_PER_S);
    assert_string_equal(ha_cluster_lives_on(&c, "web"), b->name);
    assert_string_equal(ha_view_vm(ha_cluster_view(&c), "web")->move_to, "");
    assert_non_null(strstr(ha_cluster_owner(&c, "web")->reason, "it was not moved"));
    assert_int_equal(ha_cluster_starts(&c, "web"), 1);
    ha_cluster_deinit(&c);
}

static void host_is_fenced_when_an_operator_asks(void **state)
{
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = cluster_with(&c, 17, WORLD_WATCHDOG_READY, true, "web");
    struct ha_host host = *ha_view_host(ha_cluster_view(&c), b->name);
    b->stays_down = true;
    c.is_loud = true;
    host.fence_count++;
    HA_APPLY(&c, &host);
    assert_true(ha_cluster_wait_fate(&c, b->name, HA_HOST_GONE, 10 * NANOS_PER_S));
    assert_int_equal(simhost_power(b->host), SIMHOST_OFF);
    assert_true(ha_cluster_wait_vm(&c, "web", HA_RUNNING, NULL, 5 * NANOS_PER_S));
    assert_int_equal(ha_cluster_starts(&c, "web"), 2);
    uint64_t offs = simdevice_offs(c.sim, b->name);
    b->stays_down = false;
    simhost_switch_on(b->host);
    assert_true(ha_cluster_wait_fate(&c, b->name, HA_HOST_UP, 40 * NANOS_PER_S));
    ha_cluster_run(&c, 10 * NANOS_PER_S);
    assert_int_equal(simdevice_offs(c.sim, b->name), offs); /* once */
    ha_cluster_deinit(&c);
}

static void records_that_cannot_be_read_change_nothing(void **state)
{
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = cluster_with(&c, 18, WORLD_WATCHDOG_READY, true, "web");
    ha_cluster_put_text(&c, "/novacron/settings", "{\"lease_ms\": \"soon\"}");
    ha_cluster_put_text(&c, "/novacron/vms/web", "{");
    ha_cluster_put_text(&c, "/novacron/what/is/this", "?");
    ha_cluster_run(&c, 30 * NANOS_PER_S);
    assert_string_equal(ha_cluster_lives_on(&c, "web"), b->name);
    assert_int_equal(ha_cluster_starts(&c, "web"), 1);
    ha_cluster_deinit(&c);
}

static void machine_started_by_hand_under_an_old_epoch_is_ended(void **state)
{
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = cluster_with(&c, 19, WORLD_WATCHDOG_READY, true, "web");
    (void)simvolume_new(c.sim, "ghost");
    struct world_vm_spec spec = {.name = "ghost", .volume = "ghost", .epoch = 3};
    assert_int_equal(simvm_start_by_hand(b->host, &spec), OK);
    ha_box_kill(b); /* an agent that begins finds it */
    ha_box_start(b);
    ha_cluster_run(&c, 5 * NANOS_PER_S);
    assert_null(ha_cluster_lives_on(&c, "ghost"));
    assert_string_equal(ha_cluster_lives_on(&c, "web"), b->name);
    ha_cluster_deinit(&c);
}

/* Whose term begins has granted nothing: what an older leader granted may still hold. */
static void new_leader_counts_the_whole_time_from_its_own_beginning(void **state)
{
    struct ha_cluster c;
    (void)state;
    ha_cluster_init(&c, 20, 5, WORLD_WATCHDOG_READY);
    ha_cluster_start(&c, false);
    struct ha_box *b = ha_cluster_follower(&c);
    const struct ha_vm vm = ha_cluster_vm_at(&c, "web", b);
    ha_cluster_run_vm(&c, &vm, b);
    ha_cluster_run(&c, 60 * NANOS_PER_S); /* so that clocks are far from where they began */
    ha_box_isolate(b, true);
    assert_true(ha_cluster_wait_fate(&c, b->name, HA_HOST_LOST, 3 * NANOS_PER_S));
    ha_box_kill(ha_cluster_leader(&c));
    while (ha_cluster_leader(&c) == NULL) {
        ha_cluster_run(&c, NANOS_PER_MS);
    }
    uint64_t began = now_ms(&c);
    const struct ha_settings *settings = ha_view_settings(ha_cluster_view(&c));
    uint64_t least = settings->lease_ms + 5000; /* L and W; without the drifts */
    ha_cluster_run(&c, 2 * NANOS_PER_S);
    assert_int_equal(ha_cluster_starts(&c, "web"), 1);
    assert_int_equal(ha_cluster_fate(&c, b->name)->phase, HA_HOST_LOST);
    while (ha_cluster_starts(&c, "web") == 1) {
        ha_cluster_run(&c, 10 * NANOS_PER_MS);
    }
    assert_true(now_ms(&c) - began >= least);
    assert_true(now_ms(&c) - began < least + 1000);
    assert_int_equal(ha_cluster_owner(&c, "web")->proof, HA_PROOF_EXPIRED);
    ha_cluster_deinit(&c);
}

static void machine_made_anew_has_epochs_above_those_of_the_one_before(void **state)
{
    struct ha_cluster c;
    (void)state;
    (void)cluster_with(&c, 21, WORLD_WATCHDOG_READY, true, "web");
    struct ha_vm vm = *ha_view_vm(ha_cluster_view(&c), "web");
    uint64_t epoch = ha_cluster_owner(&c, "web")->epoch;
    ha_cluster_delete(&c, HA_VM, "web");
    while (ha_cluster_owner(&c, "web") != NULL) {
        ha_cluster_run(&c, 10 * NANOS_PER_MS);
    }
    HA_APPLY(&c, &vm);
    ha_cluster_run(&c, 100 * NANOS_PER_MS);
    assert_true(ha_cluster_wait_vm(&c, "web", HA_RUNNING, NULL, 5 * NANOS_PER_S));
    assert_true(ha_cluster_owner(&c, "web")->epoch > epoch);
    ha_cluster_deinit(&c);
}

/* It is asked to stop, and neither it nor its driver says anything. */
static void machine_that_does_not_answer_keeps_nobody_busy(void **state)
{
    struct ha_cluster c;
    struct simvm_faults mute = {.is_mute = true};
    (void)state;
    struct ha_box *b = cluster_with(&c, 22, WORLD_WATCHDOG_READY, true, "web");
    struct ha_vm vm = *ha_view_vm(ha_cluster_view(&c), "web");
    simvm_set_faults(b->host, "web", &mute);
    ha_cluster_run(&c, 20 * NANOS_PER_S);
    assert_string_equal(ha_view_report(ha_cluster_view(&c), b->name, "web")->detail,
                        "its process does not answer");
    vm.is_wanted = false;
    vm.stop_ms = 10000;
    HA_APPLY(&c, &vm);
    uint64_t events = simworld_events(c.sim);
    ha_cluster_run(&c, 9 * NANOS_PER_S);
    assert_true(simworld_events(c.sim) - events < 6000);
    assert_true(ha_cluster_wait_vm(&c, "web", HA_STOPPED, NULL, 5 * NANOS_PER_S));
    ha_cluster_deinit(&c);
}

/* With too little room in reserve a new machine waits, and one that recovers does not. */
static void room_in_reserve_is_kept_from_new_machines_alone(void **state)
{
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = cluster_with(&c, 23, WORLD_WATCHDOG_READY, true, "web");
    struct ha_settings settings = *ha_view_settings(ha_cluster_view(&c));
    settings.spare_hosts = 1;
    HA_APPLY(&c, &settings);
    struct ha_vm big = ha_cluster_vm(&c, "big");
    big.memory_mib = 16000;
    HA_APPLY(&c, &big);
    struct ha_vm second = ha_cluster_vm(&c, "second");
    second.memory_mib = 16000;
    HA_APPLY(&c, &second);
    ha_cluster_run(&c, 5 * NANOS_PER_S);
    bool has_one = ha_cluster_lives_on(&c, "big") != NULL;
    assert_true(has_one != (ha_cluster_lives_on(&c, "second") != NULL));
    const char *waits = has_one ? "second" : "big";
    assert_int_equal(ha_cluster_owner(&c, waits)->phase, HA_WAITING);
    print_message("# %s\n", ha_cluster_owner(&c, waits)->reason);
    assert_non_null(strstr(ha_cluster_owner(&c, waits)->reason, "spare_hosts"));
    b->stays_down = true;
    ha_box_power_off(b);
    ha_cluster_run(&c, 3 * NANOS_PER_S);
    assert_true(ha_cluster_wait_vm(&c, "web", HA_RUNNING, NULL, 20 * NANOS_PER_S));
    ha_cluster_deinit(&c);
}

/* Its devices refuse, so that nothing is proved; then it is reached again. */
static void host_that_is_heard_again_is_not_switched_off(void **state)
{
    struct ha_cluster c;
    struct simdevice_faults denies = simdevice_faults_none();
    (void)state;
    struct ha_box *b = cluster_with(&c, 24, WORLD_WATCHDOG_READY, true, "web");
    denies.denies = true;
    simdevice_set_faults(c.sim, b->name, &denies);
    ha_box_isolate(b, true);
    assert_true(ha_cluster_wait_fate(&c, b->name, HA_HOST_FENCING, 3 * NANOS_PER_S));
    ha_cluster_run(&c, 500 * NANOS_PER_MS);
    ha_box_isolate(b, false);
    assert_true(ha_cluster_wait_fate(&c, b->name, HA_HOST_UP, 20 * NANOS_PER_S));
    simdevice_set_faults(c.sim, b->name, NULL);
    ha_cluster_run(&c, 10 * NANOS_PER_S);
    assert_int_equal(simhost_power(b->host), SIMHOST_ON);
    assert_int_equal(ha_cluster_starts(&c, "web"), 1);
    assert_int_equal(ha_cluster_owner(&c, "web")->phase, HA_RUNNING);
    assert_string_equal(ha_cluster_lives_on(&c, "web"), b->name);
    ha_cluster_deinit(&c);
}

static void token_that_somebody_wrote_over_is_taken_again(void **state)
{
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = cluster_with(&c, 25, WORLD_WATCHDOG_READY, true, "web");
    ha_cluster_put_text(&c, "/novacron/leader", "by hand");
    ha_cluster_run(&c, 20 * NANOS_PER_S); /* longer than a lease */
    assert_string_equal(ha_cluster_lives_on(&c, "web"), b->name);
    assert_int_equal(ha_cluster_starts(&c, "web"), 1);
    assert_int_equal(ha_cluster_events(&c, "host-lost", b->name), 0);
    simvm_crash(b->host, "web");
    ha_cluster_run(&c, 100 * NANOS_PER_MS);
    assert_true(ha_cluster_wait_vm(&c, "web", HA_RUNNING, NULL, 5 * NANOS_PER_S));
    assert_int_equal(ha_cluster_starts(&c, "web"), 2);
    ha_cluster_deinit(&c);
}

/* No guard is there to do it: the agent alone. */
static void policy_says_what_becomes_of_a_machine_without_a_lease(void **state)
{
    static const enum ha_policy policies[] = {HA_POLICY_STOP, HA_POLICY_PAUSE, HA_POLICY_KEEP};
    (void)state;
    for (uint32_t i = 0; i < COUNT_OF(policies); i++) {
        struct ha_cluster c;
        struct simdevice_faults denies = simdevice_faults_none();
        ha_cluster_init(&c, 26 + i, 3, WORLD_WATCHDOG_NONE);
        ha_cluster_start(&c, true);
        struct ha_box *b = ha_cluster_follower(&c);
        struct ha_vm vm = ha_cluster_vm_at(&c, "web", b);
        vm.policy = policies[i];
        ha_cluster_run_vm(&c, &vm, b);
        assert_int_equal(ha_cluster_owner(&c, "web")->policy, policies[i]);
        ha_cluster_run(&c, 15 * NANOS_PER_S); /* beyond the grace of an agent that has just begun */
        nanos lease = (nanos)ha_view_settings(ha_cluster_view(&c))->lease_ms * NANOS_PER_MS;
        denies.denies = true;
        simdevice_set_faults(c.sim, b->name, &denies);
        ha_box_isolate(b, true);
        struct world_vm_found found;
        ha_cluster_run(&c, lease * 5 / 8);
        if (policies[i] == HA_POLICY_PAUSE) {
            assert_true(simvm_at(b->host, 0, &found));
            assert_int_equal(found.state, WORLD_VM_PAUSED);
        }
        ha_cluster_run(&c, lease * 3 / 8);
        assert_int_equal(simvm_at(b->host, 0, &found), policies[i] == HA_POLICY_KEEP);
        ha_cluster_run(&c, 40 * NANOS_PER_S);
        assert_int_equal(ha_cluster_starts(&c, "web"), 1); /* nothing is proved by time */
        ha_box_isolate(b, false);
        ha_cluster_run(&c, 40 * NANOS_PER_S);
        assert_true(ha_cluster_wait_vm(&c, "web", HA_RUNNING, NULL, NANOS_PER_S));
        assert_int_equal(ha_cluster_starts(&c, "web"), policies[i] == HA_POLICY_KEEP ? 1 : 2);
        ha_cluster_deinit(&c);
    }
}

/* All processes stand still for more than half a lease. As they go on, its guest is asked to shut
 * down, and the lease is renewed at once. */
static void machine_that_was_stopped_for_want_of_a_lease_has_not_failed(void **state)
{
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = cluster_with(&c, 41, WORLD_WATCHDOG_READY, false, "web");
    c.is_loud = true;
    struct ha_settings settings = *ha_view_settings(ha_cluster_view(&c));
    settings.lease_ms = 30000;
    settings.expiry_max_ms = 120000;
    HA_APPLY(&c, &settings);
    ha_cluster_run(&c, 40 * NANOS_PER_S);
    assert_int_equal(ha_cluster_starts(&c, "web"), 1); /* a longer lease is no end of the old one */
    for (uint32_t i = 0; i < c.n; i++) {
        simhost_pause(c.box[i].host, simworld_now(c.sim) + 16 * NANOS_PER_S);
    }
    for (int i = 0; i < 300 && ha_cluster_lives_on(&c, "web") != NULL; i++) {
        ha_cluster_run(&c, 100 * NANOS_PER_MS);
    }
    assert_null(ha_cluster_lives_on(&c, "web"));
    ha_cluster_run(&c, NANOS_PER_S);
    assert_true(ha_cluster_wait_vm(&c, "web", HA_RUNNING, NULL, 30 * NANOS_PER_S));
    assert_int_equal(ha_cluster_owner(&c, "web")->failures, 0);
    assert_int_equal(ha_cluster_starts(&c, "web"), 2);
    assert_string_equal(ha_cluster_owner(&c, "web")->host, b->name);
    ha_cluster_deinit(&c);
}

/* So short that nobody has noticed: what it ran is gone all the same, and it is for its agent to
 * say so. */
static void host_that_was_off_for_a_moment_tells_what_it_has_lost(void **state)
{
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = cluster_with(&c, 30, WORLD_WATCHDOG_READY, true, "web");
    c.has_health = false;
    ha_box_power_off(b);
    ha_cluster_run(&c, 300 * NANOS_PER_MS);
    simhost_switch_on(b->host);
    ha_cluster_run(&c, 6 * NANOS_PER_S);
    assert_int_equal(ha_cluster_events(&c, "host-lost", b->name), 0);
    assert_true(ha_cluster_wait_vm(&c, "web", HA_RUNNING, NULL, 5 * NANOS_PER_S));
    assert_int_equal(ha_cluster_starts(&c, "web"), 2);
    assert_non_null(ha_cluster_lives_on(&c, "web"));
    ha_cluster_deinit(&c);
}

static void fence_that_is_asked_for_while_the_host_is_lost_is_made_once(void **state)
{
    struct ha_cluster c;
    (void)state;
    ha_cluster_init(&c, 32, 3, WORLD_WATCHDOG_READY);
    ha_cluster_start(&c, true);
    struct ha_box *b = ha_cluster_follower(&c);
    struct ha_host host = *ha_view_host(ha_cluster_view(&c), b->name);
    b->stays_down = true;
    ha_box_power_off(b);
    assert_true(ha_cluster_wait_fate(&c, b->name, HA_HOST_LOST, 3 * NANOS_PER_S));
    host.fence_count++;
    HA_APPLY(&c, &host);
    assert_true(ha_cluster_wait_fate(&c, b->name, HA_HOST_GONE, 10 * NANOS_PER_S));
    assert_int_equal(ha_cluster_fate(&c, b->name)->proof, HA_PROOF_FENCED);
    b->stays_down = false;
    simhost_switch_on(b->host);
    assert_true(ha_cluster_wait_fate(&c, b->name, HA_HOST_UP, 40 * NANOS_PER_S));
    ha_cluster_run(&c, 10 * NANOS_PER_S);
    assert_int_equal(simdevice_offs(c.sim, b->name), 1);
    assert_int_equal(simhost_power(b->host), SIMHOST_ON);
    ha_cluster_deinit(&c);
}

static uint32_t incidents_with_step(struct ha_cluster *c, const char *host, const char *what)
{
    const struct ha_view *view = ha_cluster_view(c);
    uint32_t n = 0;

    for (size_t i = 0; i < ha_view_count(view, HA_INCIDENT); i++) {
        const struct ha_incident *incident = ha_view_at(view, HA_INCIDENT, i)->record;
        for (uint32_t k = 0; incident != NULL && k < incident->n_steps; k++) {
            n += strcmp(incident->host, host) == 0 && strcmp(incident->steps[k].what, what) == 0;
        }
    }
    return n;
}

/* Five losses of its network in a quarter of an hour. */
static void host_that_comes_and_goes_moves_a_machine_once_and_is_left_alone(void **state)
{
    struct ha_cluster c;
    struct simdevice_faults returns = simdevice_faults_none();
    (void)state;
    struct ha_box *b = cluster_with(&c, 33, WORLD_WATCHDOG_READY, true, "web");
    returns.returns_after = 5 * NANOS_PER_S;
    simdevice_set_faults(c.sim, b->name, &returns);
    for (uint32_t i = 0; i < 5; i++) {
        ha_box_isolate(b, true);
        ha_cluster_run(&c, 20 * NANOS_PER_S);
        ha_box_isolate(b, false);
        assert_true(ha_cluster_wait_fate(&c, b->name, HA_HOST_UP, 60 * NANOS_PER_S));
        ha_cluster_run(&c, 100 * NANOS_PER_S);
    }
    assert_int_equal(ha_cluster_starts(&c, "web"), 2);
    assert_true(ha_cluster_fate(&c, b->name)->is_quarantined);
    assert_string_equal(ha_cluster_fate(&c, b->name)->reason,
                        "quarantined: it was lost 5 times of late, and gets no machine until it "
                        "was up for 1800 s");
    assert_int_equal(incidents_with_step(&c, b->name, "quarantined"), 1);
    const struct ha_vm vm = ha_cluster_vm_at(&c, "other", b);
    HA_APPLY(&c, &vm);
    assert_true(ha_cluster_wait_vm(&c, "other", HA_RUNNING, NULL, 5 * NANOS_PER_S));
    assert_string_not_equal(ha_cluster_owner(&c, "other")->host, b->name);
    const struct ha_settings *settings = ha_view_settings(ha_cluster_view(&c));
    ha_cluster_run(&c, ((nanos)settings->quarantine_s + 10) * NANOS_PER_S);
    assert_false(ha_cluster_fate(&c, b->name)->is_quarantined);
    assert_int_equal(ha_cluster_fate(&c, b->name)->losses, 0);
    ha_cluster_deinit(&c);
}

static void machine_on_its_hosts_own_disk_outlives_the_lease(void **state)
{
    struct ha_cluster c;
    (void)state;
    ha_cluster_init(&c, 34, 3, WORLD_WATCHDOG_READY);
    ha_cluster_start(&c, true);
    struct ha_vm vm = ha_cluster_vm(&c, "web");
    struct ha_box *b = ha_cluster_follower(&c);
    vm.storage[0] = '\0';
    vm.preferred.n = 0;
    vm.allowed.n = 1;
    ha_text_set(vm.allowed.name[0], HA_NAME_BYTES, b->name);
    HA_APPLY(&c, &vm);
    assert_true(ha_cluster_wait_vm(&c, "web", HA_RUNNING, b->name, 5 * NANOS_PER_S));
    ha_box_isolate(b, true);
    ha_cluster_run(&c, 60 * NANOS_PER_S);
    assert_string_equal(ha_cluster_lives_on(&c, "web"), b->name);
    assert_int_equal(simdevice_offs(c.sim, b->name), 0); /* nobody else could start it */
    ha_box_isolate(b, false);
    assert_true(ha_cluster_wait_fate(&c, b->name, HA_HOST_UP, 60 * NANOS_PER_S));
    ha_cluster_run(&c, NANOS_PER_S);
    assert_int_equal(ha_cluster_owner(&c, "web")->phase, HA_RUNNING);
    assert_int_equal(ha_cluster_starts(&c, "web"), 1);
    ha_cluster_deinit(&c);
}

static void machine_does_not_begin_to_move_where_it_does_not_fit(void **state)
{
    struct ha_cluster c;
    (void)state;
    struct ha_box *b = cluster_with(&c, 35, WORLD_WATCHDOG_READY, true, "web");
    struct ha_box *to = ha_cluster_leader(&c);
    struct ha_vm vm = *ha_view_vm(ha_cluster_view(&c), "web");
    struct ha_host host = *ha_view_host(ha_cluster_view(&c), to->name);
    host.is_enabled = false;
    HA_APPLY(&c, &host);
    ha_text_set(vm.move_to, sizeof(vm.move_to), to->name);
    HA_APPLY(&c, &vm);
    ha_cluster_run(&c, 10 * NANOS_PER_S);
    assert_string_equal(ha_cluster_lives_on(&c, "web"), b->name);
    assert_int_equal(ha_cluster_starts(&c, "web"), 1);
    host.is_enabled = true;
    HA_APPLY(&c, &host);
    assert_true(ha_cluster_wait_vm(&c, "web", HA_RUNNING, to->name, 20 * NANOS_PER_S));
    ha_cluster_deinit(&c);
}

/* It renews, in vain: its lease ends, and with it its machine; that is reported, and proof enough.
 */
static void host_that_is_to_be_fenced_gets_no_lease(void **state)
{
    struct ha_cluster c;
    struct simdevice_faults denies = simdevice_faults_none();
    struct ha_agent_status status;
    (void)state;
    struct ha_box *b = cluster_with(&c, 31, WORLD_WATCHDOG_READY, true, "web");
    struct ha_host host = *ha_view_host(ha_cluster_view(&c), b->name);
    denies.denies = true;
    simdevice_set_faults(c.sim, b->name, &denies);
    host.fence_count++;
    HA_APPLY(&c, &host);
    ha_cluster_run(&c, 30 * NANOS_PER_S);
    ha_agent_status(ha_member_agent(b->member), &status);
    assert_true(status.is_refused);
    assert_int_equal(status.lease_left, 0);
    assert_int_equal(ha_cluster_fate(&c, b->name)->phase, HA_HOST_FENCING);
    assert_true(ha_cluster_wait_vm(&c, "web", HA_RUNNING, NULL, 5 * NANOS_PER_S));
    assert_string_not_equal(ha_cluster_owner(&c, "web")->host, b->name);
    assert_int_equal(ha_cluster_owner(&c, "web")->proof, HA_PROOF_STOPPED);
    ha_cluster_deinit(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_what_is_wanted_and_stops_what_is_not),
        cmocka_unit_test(power_loss_is_fenced_and_the_machine_runs_elsewhere),
        cmocka_unit_test(no_host_is_fenced_that_owns_nothing),
        cmocka_unit_test(leader_that_dies_while_it_fences_has_a_successor_that_goes_on),
        cmocka_unit_test(leader_with_its_machines_is_lost),
        cmocka_unit_test(partitioned_host_ends_its_machines_and_expiry_proves_it),
        cmocka_unit_test(without_watchdog_and_fence_nothing_is_proved_but_by_an_operator),
        cmocka_unit_test(crashed_machine_is_started_again_after_its_delay),
        cmocka_unit_test(crash_loop_moves_and_then_fails_until_it_is_asked_for),
        cmocka_unit_test(machine_outlives_the_process_of_its_agent),
        cmocka_unit_test(machine_outlives_its_agent_under_a_short_lease_too),
        cmocka_unit_test(machine_that_ended_while_nobody_looked_is_started_in_a_new_epoch),
        cmocka_unit_test(short_silence_harms_nobody),
        cmocka_unit_test(host_that_renews_is_not_lost_whatever_its_observers_say),
        cmocka_unit_test(lease_alone_finds_a_lost_host_without_health),
        cmocka_unit_test(host_without_watchdog_or_fence_gets_no_protected_machine),
        cmocka_unit_test(machine_moves_where_it_was_asked_to),
        cmocka_unit_test(machine_that_is_moved_offline_is_started_anew),
        cmocka_unit_test(machine_on_its_hosts_own_disk_is_not_moved),
        cmocka_unit_test(host_is_fenced_when_an_operator_asks),
        cmocka_unit_test(records_that_cannot_be_read_change_nothing),
        cmocka_unit_test(machine_started_by_hand_under_an_old_epoch_is_ended),
        cmocka_unit_test(new_leader_counts_the_whole_time_from_its_own_beginning),
        cmocka_unit_test(machine_made_anew_has_epochs_above_those_of_the_one_before),
        cmocka_unit_test(machine_that_does_not_answer_keeps_nobody_busy),
        cmocka_unit_test(room_in_reserve_is_kept_from_new_machines_alone),
        cmocka_unit_test(host_that_is_heard_again_is_not_switched_off),
        cmocka_unit_test(token_that_somebody_wrote_over_is_taken_again),
        cmocka_unit_test(policy_says_what_becomes_of_a_machine_without_a_lease),
        cmocka_unit_test(machine_that_was_stopped_for_want_of_a_lease_has_not_failed),
        cmocka_unit_test(host_that_was_off_for_a_moment_tells_what_it_has_lost),
        cmocka_unit_test(host_that_is_to_be_fenced_gets_no_lease),
        cmocka_unit_test(fence_that_is_asked_for_while_the_host_is_lost_is_made_once),
        cmocka_unit_test(host_that_comes_and_goes_moves_a_machine_once_and_is_left_alone),
        cmocka_unit_test(machine_on_its_hosts_own_disk_outlives_the_lease),
        cmocka_unit_test(machine_does_not_begin_to_move_where_it_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
