/* Hosts that stand still, sleep or are slow, and runs that are the same. */
#include "core/chaos/simworld.h"

#include "tests/support/test.h"

#include "core/base/hash.h"
#include "tests/core/chaos/sim_pair.h"

/* A timer that fires every millisecond, and when it did. */
struct metronome {
    const struct world *world;
    struct simworld *sim;
    struct world_timer timer;
    nanos last; /* in virtual time */
    int beats;
};

static void metronome_beat(struct world_timer *timer)
{
    struct metronome *m = timer->owner;
    m->last = simworld_now(m->sim);
    m->beats++;
    world_timer_set(m->world, timer, timer->at + NANOS_PER_MS);
}

static void metronome_begin(struct metronome *m, struct sim_pair *p, struct simhost *host)
{
    *m = (struct metronome){.world = simhost_world(host), .sim = p->sim};
    m->timer = (struct world_timer){.fire = metronome_beat, .owner = m};
    world_timer_set(m->world, &m->timer, world_now(m->world) + NANOS_PER_MS);
}

static void count_completion(struct world_file_request *request)
{
    int *count = request->owner;
    (*count)++;
}

/* --- pauses ---------------------------------------------------------------------------------- */

static void a_paused_process_does_nothing_and_then_all_that_waited(void **state)
{
    (void)state;
    struct sim_pair p;
    struct metronome m;
    int completions = 0;

    sim_pair_init(&p, 1);
    metronome_begin(&m, &p, p.b.host);
    nanos until = simworld_now(p.sim) + NANOS_PER_S;
    simhost_pause(p.b.host, until);
    struct world_file_request request = {
        .op = WORLD_MKDIR, .path = "d", .done = count_completion, .owner = &completions};
    world_submit(simhost_world(p.b.host), &request);
    for (uint32_t i = 0; i < 10; i++) {
        sim_pair_ping(&p, i, SIM_DATAGRAM_BYTES);
        assert_int_equal(sim_peer_send(&p.a, "x", 1), OK);
        sim_pair_run(&p, 50 * NANOS_PER_MS);
    }
    assert_int_equal(m.beats + p.b.receipts + (int)p.b.datagram_count + completions, 0);
    sim_pair_run(&p, 499 * NANOS_PER_MS);
    assert_int_equal(m.beats + p.b.receipts + (int)p.b.datagram_count + completions, 0);
    sim_pair_run(&p, NANOS_PER_MS);
    /* Late timers catch up, datagrams waited in the socket, bytes are read together. */
    assert_int_equal(m.beats, 1000);
    assert_int_equal(p.b.datagram_count, 10);
    assert_int_equal(p.b.times[9], until);
    assert_int_equal(p.b.got.len, 10);
    assert_int_equal(p.b.receipts, 1);
    assert_int_equal(completions, 1);
    assert_int_equal(p.a.closed, 0);
    sim_pair_deinit(&p);
}

static void a_pause_closes_no_stream_however_long(void **state)
{
    (void)state;
    struct sim_pair p;
    static uint8_t block[1024 * 1024];
    size_t sent = 0;

    sim_pair_init(&p, 1);
    simhost_pause(p.b.host, NANOS_FOREVER);
    while (sim_peer_send(&p.a, block, sizeof block) == OK) {
        sent += sizeof block;
        sim_pair_run(&p, 10 * NANOS_PER_S);
    }
    assert_int_equal(sent, WORLD_STREAM_QUEUE_MAX_BYTES);
    sim_pair_run(&p, 1000 * NANOS_PER_S);
    assert_int_equal(p.a.closed + p.a.writable, 0);
    simhost_pause(p.b.host, 0);
    sim_pair_run(&p, NANOS_PER_MS);
    assert_int_equal(p.b.got.len, sent);
    assert_int_equal(p.a.writable, 1);
    sim_pair_deinit(&p);
}

static void a_kernel_answers_calls_while_its_process_is_paused(void **state)
{
    (void)state;
    struct sim_pair p;

    sim_pair_hosts(&p, 1);
    simhost_pause(p.b.host, simworld_now(p.sim) + 100 * NANOS_PER_S);
    sim_pair_connect(&p);
    sim_pair_run(&p, 50 * NANOS_PER_S);
    assert_int_equal(p.a.opened, 1);
    assert_int_equal(p.b.accepted, 0);
    sim_pair_run(&p, 51 * NANOS_PER_S);
    assert_int_equal(p.b.accepted, 1);
    sim_pair_deinit(&p);
}

static void a_process_that_is_killed_while_paused_leaves_a_host_that_runs(void **state)
{
    (void)state;
    struct sim_pair p;
    struct metronome m;
    int completions = 0;
    struct world_file_request request = {
        .op = WORLD_MKDIR, .path = "d", .done = count_completion, .owner = &completions};

    sim_pair_init(&p, 1);
    metronome_begin(&m, &p, p.b.host);
    world_submit(simhost_world(p.b.host), &request);
    simhost_pause(p.b.host, NANOS_FOREVER);
    simhost_kill(p.b.host);
    assert_false(m.timer.is_set);
    sim_pair_run(&p, NANOS_PER_MS);
    assert_int_equal(p.a.closed, 1);
    assert_int_equal(completions, 0);
    metronome_begin(&m, &p, p.b.host);
    sim_pair_run(&p, 10 * NANOS_PER_MS);
    assert_int_equal(m.beats, 10);
    sim_pair_deinit(&p);
}

/* --- a slow processor ------------------------------------------------------------------------ */

static void a_slow_processor_makes_events_wait_for_each_other(void **state)
{
    (void)state;
    struct sim_pair p;
    struct simnet_link exact = {.latency = NANOS_PER_MS};

    sim_pair_init(&p, 1);
    sim_pair_link(&p, false, &exact);
    simhost_slow_cpu(p.b.host, 10 * NANOS_PER_MS);
    nanos sent = simworld_now(p.sim);
    for (uint32_t i = 0; i < 5; i++) {
        sim_pair_ping(&p, i, SIM_DATAGRAM_BYTES);
    }
    sim_pair_run(&p, NANOS_PER_S);
    assert_int_equal(p.b.datagram_count, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(p.b.numbers[i], i);
        assert_int_equal(p.b.times[i], sent + (1 + 10 * i) * NANOS_PER_MS);
    }
    simhost_slow_cpu(p.b.host, 0);
    sent = simworld_now(p.sim);
    sim_pair_ping(&p, 5, SIM_DATAGRAM_BYTES);
    sim_pair_ping(&p, 6, SIM_DATAGRAM_BYTES);
    sim_pair_run(&p, NANOS_PER_S);
    assert_int_equal(p.b.times[6], sent + NANOS_PER_MS);
    sim_pair_deinit(&p);
}

/* --- sleep ----------------------------------------------------------------------------------- */

static void a_sleeping_host_loses_datagrams_and_its_clock_counts_on(void **state)
{
    (void)state;
    struct sim_pair p;
    struct metronome m;

    sim_pair_init(&p, 1);
    metronome_begin(&m, &p, p.b.host);
    sim_pair_run(&p, 10 * NANOS_PER_MS);
    nanos now = world_now(m.world);
    nanos awake = world_awake(m.world);
    sim_pair_ping(&p, 1, SIM_DATAGRAM_BYTES); /* arrives while it sleeps */
    simhost_suspend(p.b.host, simworld_now(p.sim) + NANOS_PER_S);
    sim_pair_run(&p, NANOS_PER_S / 2);
    sim_pair_ping(&p, 2, SIM_DATAGRAM_BYTES);
    sim_pair_run(&p, NANOS_PER_S / 2 - 1);
    assert_int_equal(m.beats, 10);
    sim_pair_run(&p, 1);
    assert_int_equal(p.b.datagram_count, 0);
    assert_int_equal(m.beats, 1010);
    assert_int_equal(world_now(m.world), now + NANOS_PER_S);
    assert_int_equal(world_awake(m.world), awake);
    sim_pair_ping(&p, 3, SIM_DATAGRAM_BYTES);
    sim_pair_run(&p, NANOS_PER_MS);
    assert_int_equal(p.b.datagram_count, 1);
    assert_int_equal(world_awake(m.world), awake + NANOS_PER_MS);
    sim_pair_deinit(&p);
}

static void datagrams_that_waited_before_the_sleep_are_there_after_it(void **state)
{
    (void)state;
    struct sim_pair p;

    sim_pair_hosts(&p, 1);
    simhost_pause(p.b.host, simworld_now(p.sim) + 3 * NANOS_PER_S);
    sim_pair_ping(&p, 1, SIM_DATAGRAM_BYTES);
    sim_pair_run(&p, NANOS_PER_S);
    simhost_suspend(p.b.host, simworld_now(p.sim) + NANOS_PER_S);
    sim_pair_run(&p, 5 * NANOS_PER_S);
    assert_int_equal(p.b.datagram_count, 1);
    sim_pair_deinit(&p);
}

static void streams_wait_for_a_host_that_sleeps_and_time_out_in_the_end(void **state)
{
    (void)state;
    struct sim_pair p;

    for (int is_long = 0; is_long < 2; is_long++) {
        nanos nap = is_long ? 2 * SIMNET_USER_TIMEOUT : SIMNET_USER_TIMEOUT / 2;
        sim_pair_init(&p, 1);
        assert_int_equal(sim_peer_send(&p.a, "1", 1), OK); /* under way when it falls asleep */
        simhost_suspend(p.b.host, simworld_now(p.sim) + nap);
        sim_pair_run(&p, NANOS_PER_S);
        if (!is_long) {
            assert_int_equal(sim_peer_send(&p.a, "2", 1), OK);
        }
        assert_int_equal(p.b.got.len, 0);
        sim_pair_run(&p, 100 * NANOS_PER_S);
        assert_int_equal(p.a.closed, is_long);
        assert_int_equal(p.b.got.len, is_long ? 0 : 2);
        if (is_long) {
            assert_int_equal(p.a.why, ERR_TIMEOUT);
            assert_int_equal(p.b.closed, 0);
        }
        sim_pair_deinit(&p);
    }
}

static void a_sleeping_host_sends_nothing_and_does_not_time_out_meanwhile(void **state)
{
    (void)state;
    struct sim_pair p;

    sim_pair_init(&p, 1);
    simnet_cut(p.a.host, p.b.host, true);
    assert_int_equal(sim_peer_send(&p.b, "x", 1), OK);
    sim_pair_run(&p, NANOS_PER_S);
    simhost_suspend(p.b.host, simworld_now(p.sim) + 1000 * NANOS_PER_S);
    simnet_cut(p.a.host, p.b.host, false);
    sim_pair_run(&p, 999 * NANOS_PER_S);
    assert_int_equal(p.a.got.len, 0);
    sim_pair_run(&p, 2 * NANOS_PER_S);
    assert_int_equal(p.a.got.len, 1);
    assert_int_equal(p.b.closed, 0);
    sim_pair_deinit(&p);
}

static void sleep_can_be_cut_short_and_prolonged(void **state)
{
    (void)state;
    struct sim_pair p;
    struct metronome m;

    sim_pair_init(&p, 1);
    metronome_begin(&m, &p, p.b.host);
    nanos awake = world_awake(m.world);
    simhost_suspend(p.b.host, simworld_now(p.sim) + NANOS_PER_S);
    sim_pair_run(&p, NANOS_PER_S / 2);
    simhost_suspend(p.b.host, simworld_now(p.sim) + 2 * NANOS_PER_S);
    sim_pair_run(&p, NANOS_PER_S);
    assert_int_equal(m.beats, 0);
    simhost_suspend(p.b.host, 0);
    assert_int_equal(world_awake(m.world), awake);
    sim_pair_run(&p, 5 * NANOS_PER_S);
    assert_int_equal(m.beats, 6500);
    assert_int_equal(world_awake(m.world), awake + 5 * NANOS_PER_S);
    sim_pair_deinit(&p);
}

/* --- the same again -------------------------------------------------------------------------- */

struct diary {
    uint64_t hash;
    size_t lines;
};

static void diary_note(void *ctx, nanos at, const struct simhost *host, enum simtrace kind,
                       const struct simhost *other, uint64_t number)
{
    struct diary *d = ctx;
    assert_true(simtrace_text(kind)[0] != '\0');
    d->hash = hash_u64(hash_u64(d->hash, at), (uint64_t)kind);
    d->hash = hash_u64(d->hash, (uint64_t)simhost_name(host)[0]);
    d->hash = hash_u64(d->hash, other != NULL ? (uint64_t)simhost_name(other)[0] : 0);
    d->hash = hash_u64(d->hash, number);
    d->lines++;
}

/* A run with some of everything; its hash, and the timeline's, if asked for. */
static uint64_t eventful_run(uint64_t seed, uint8_t payload, struct diary *diary)
{
    struct sim_pair p;
    struct metronome m;
    struct simnet_link link = {.latency = NANOS_PER_US,
                               .spread = NANOS_PER_MS,
                               .loss_ppm = 100000,
                               .duplicate_ppm = 100000,
                               .late_ppm = 100000,
                               .late = NANOS_PER_S};

    sim_pair_hosts(&p, seed);
    if (diary != NULL) {
        simworld_trace(p.sim, diary_note, diary);
    }
    sim_pair_connect(&p);
    sim_pair_link(&p, false, &link);
    metronome_begin(&m, &p, p.b.host);
    for (uint32_t i = 0; i < 200; i++) {
        sim_pair_ping(&p, i, SIM_DATAGRAM_BYTES);
        if (p.a.stream != NULL) {
            assert_int_equal(sim_peer_send(&p.a, &payload, 1), OK);
        }
        if (i == 50) {
            simhost_pause(p.b.host, simworld_now(p.sim) + 10 * NANOS_PER_MS);
        } else if (i == 100) {
            simhost_suspend(p.b.host, simworld_now(p.sim) + 10 * NANOS_PER_MS);
        } else if (i == 150) {
            simhost_kill(p.b.host);
            sim_pair_listen(&p);
        }
        sim_pair_run(&p, NANOS_PER_MS);
    }
    simworld_run(p.sim, simworld_now(p.sim) + 10 * NANOS_PER_S);
    uint64_t hash = simworld_hash(p.sim);
    sim_pair_deinit(&p);
    return hash;
}

static void a_seed_gives_one_run_and_another_seed_another(void **state)
{
    (void)state;
    assert_int_equal(eventful_run(1, 0, NULL), eventful_run(1, 0, NULL));
    assert_int_not_equal(eventful_run(1, 0, NULL), eventful_run(2, 0, NULL));
}

static void what_arrives_is_part_of_the_hash(void **state)
{
    (void)state;
    assert_int_not_equal(eventful_run(1, 0, NULL), eventful_run(1, 1, NULL));
}

/* All compilers and machines give this one. It changes with the model, and then only on purpose. */
static void the_hash_of_a_seed_is_the_same_everywhere(void **state)
{
    (void)state;
    assert_int_equal(eventful_run(7, 0, NULL), UINT64_C(0x27b6f4eb3cf2243e));
}

static void a_timeline_changes_nothing_and_tells_the_same_each_time(void **state)
{
    (void)state;
    struct diary first = {0};
    struct diary second = {0};

    assert_int_equal(eventful_run(3, 0, &first), eventful_run(3, 0, NULL));
    (void)eventful_run(3, 0, &second);
    assert_true(first.lines > 200);
    assert_int_equal(first.lines, second.lines);
    assert_int_equal(first.hash, second.hash);
}

static void a_wall_clock_is_right_until_it_is_set(void **state)
{
    (void)state;
    struct sim_pair p;
    const struct world *w = NULL;

    sim_pair_init(&p, 1);
    w = simhost_world(p.a.host);
    assert_int_equal(world_wall(w), SIMWORLD_EPOCH + simworld_now(p.sim));
    simhost_set_wall(p.a.host, -(int64_t)(5 * NANOS_PER_S));
    assert_int_equal(world_wall(w), SIMWORLD_EPOCH + simworld_now(p.sim) - 5 * NANOS_PER_S);
    assert_int_equal(world_wall(simhost_world(p.b.host)), SIMWORLD_EPOCH + simworld_now(p.sim));
    simhost_set_wall(p.a.host, 3);
    sim_pair_run(&p, NANOS_PER_S);
    assert_int_equal(world_wall(w), SIMWORLD_EPOCH + simworld_now(p.sim) + 3);
    sim_pair_deinit(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_paused_process_does_nothing_and_then_all_that_waited),
        cmocka_unit_test(a_pause_closes_no_stream_however_long),
        cmocka_unit_test(a_kernel_answers_calls_while_its_process_is_paused),
        cmocka_unit_test(a_process_that_is_killed_while_paused_leaves_a_host_that_runs),
        cmocka_unit_test(a_slow_processor_makes_events_wait_for_each_other),
        cmocka_unit_test(a_sleeping_host_loses_datagrams_and_its_clock_counts_on),
        cmocka_unit_test(datagrams_that_waited_before_the_sleep_are_there_after_it),
        cmocka_unit_test(streams_wait_for_a_host_that_sleeps_and_time_out_in_the_end),
        cmocka_unit_test(a_sleeping_host_sends_nothing_and_does_not_time_out_meanwhile),
        cmocka_unit_test(sleep_can_be_cut_short_and_prolonged),
        cmocka_unit_test(a_seed_gives_one_run_and_another_seed_another),
        cmocka_unit_test(what_arrives_is_part_of_the_hash),
        cmocka_unit_test(the_hash_of_a_seed_is_the_same_everywhere),
        cmocka_unit_test(a_timeline_changes_nothing_and_tells_the_same_each_time),
        cmocka_unit_test(a_wall_clock_is_right_until_it_is_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
