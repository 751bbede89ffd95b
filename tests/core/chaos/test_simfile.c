/* How long the requests of a simulated host take, and in which order they come back. */
#include "core/chaos/simworld.h"

#include "tests/support/test.h"

#include <string.h>

#define WRITES 2000

struct trial {
    struct simworld *sim;
    struct simhost *host;
    const struct world *world;
    struct world_file_request open;
    uint8_t bytes[WORLD_SECTOR_BYTES];
    uint64_t completed;
    nanos at;
};

static void note_opened(struct world_file_request *request)
{
    assert_int_equal(request->result, OK);
}

static void trial_new(struct trial *t, uint64_t seed)
{
    memset(t, 0, sizeof *t);
    t->sim = simworld_new(seed);
    t->host = simhost_new(t->sim, "a", 1 << 20);
    t->world = simhost_world(t->host);
    t->open = (struct world_file_request){
        .op = WORLD_OPEN, .path = "f", .flags = WORLD_OPEN_CREATE, .done = note_opened};
    world_submit(t->world, &t->open);
    while (simworld_step(t->sim)) {
    }
}

static void note_completed(struct world_file_request *request)
{
    struct trial *t = request->owner;
    t->completed++;
    t->at = simworld_now(t->sim);
}

static struct world_file_request trial_write(struct trial *t, enum world_lane lane)
{
    return (struct world_file_request){.op = WORLD_WRITE,
                                       .lane = lane,
                                       .fd = t->open.fd,
                                       .buffer = t->bytes,
                                       .length = sizeof t->bytes,
                                       .done = note_completed,
                                       .owner = t};
}

/* How long one write takes. */
static nanos time_write(struct trial *t)
{
    struct world_file_request write = trial_write(t, WORLD_LANE_LOG);
    nanos begin = simworld_now(t->sim);
    uint64_t before = t->completed;

    world_submit(t->world, &write);
    while (t->completed == before) {
        assert_true(simworld_step(t->sim));
    }
    return simworld_now(t->sim) - begin;
}

static void latency_has_a_base_a_spread_and_a_tail(void **state)
{
    (void)state;
    struct trial t;
    nanos least = NANOS_FOREVER;
    nanos most = 0;
    unsigned slow = 0;

    trial_new(&t, test_prng(__func__).s[0]);
    struct simfile_speed speed = simfile_speed_plain();
    speed.of[SIMFILE_WRITE] = (struct simfile_latency){
        .base = NANOS_PER_MS, .spread = NANOS_PER_MS, .tail_ppm = 50000, .tail = NANOS_PER_S};
    simhost_set_speed(t.host, &speed);
    for (unsigned i = 0; i < WRITES; i++) {
        nanos taken = time_write(&t);
        least = u64_min(least, taken);
        most = u64_max(most, taken);
        slow += taken > 3 * NANOS_PER_MS;
    }
    assert_in_range(least, NANOS_PER_MS, NANOS_PER_MS + 100 * NANOS_PER_US);
    assert_in_range(most, NANOS_PER_S / 2, NANOS_PER_S + 3 * NANOS_PER_MS);
    assert_in_range(slow, WRITES / 40, WRITES / 10);
    speed = simfile_speed_plain();
    simhost_set_speed(t.host, &speed);
    nanos plain = time_write(&t);
    assert_int_equal(time_write(&t), plain);
    assert_true(plain < NANOS_PER_MS);
    simworld_free(t.sim);
}

static void a_stall_holds_up_also_what_is_under_way(void **state)
{
    (void)state;
    struct trial t;

    trial_new(&t, 1);
    nanos until = simworld_now(t.sim) + NANOS_PER_S;
    struct world_file_request before = trial_write(&t, WORLD_LANE_LOG);
    struct world_file_request after = trial_write(&t, WORLD_LANE_LOG);
    struct world_file_request elsewhere = trial_write(&t, WORLD_LANE_BULK);
    world_submit(t.world, &before);
    simhost_stall(t.host, WORLD_LANE_LOG, until);
    world_submit(t.world, &after);
    world_submit(t.world, &elsewhere);
    simworld_run(t.sim, until - 1);
    assert_int_equal(t.completed, 1);
    simworld_run(t.sim, until);
    assert_int_equal(t.completed, 2);
    simworld_run(t.sim, until + NANOS_PER_MS);
    assert_int_equal(t.completed, 3);
    simhost_stall_disk(t.host, until + NANOS_PER_S);
    world_submit(t.world, &elsewhere);
    simworld_run(t.sim, until + NANOS_PER_S - 1);
    assert_int_equal(t.completed, 3);
    simworld_run(t.sim, NANOS_FOREVER);
    assert_int_equal(t.completed, 4);
    simworld_free(t.sim);
}

static uint64_t time_many(uint64_t seed, uint32_t read_odds)
{
    struct trial t;
    uint64_t sum = 0;

    trial_new(&t, seed);
    struct simfile_speed speed = simfile_speed_plain();
    speed.of[SIMFILE_WRITE].spread = NANOS_PER_MS;
    simhost_set_speed(t.host, &speed);
    simdisk_odds(simhost_disk(t.host), WORLD_WRITE, ERR_IO, read_odds);
    for (unsigned i = 0; i < 100; i++) {
        sum = sum * 31 + time_write(&t);
    }
    simworld_free(t.sim);
    return sum;
}

static void latency_does_not_depend_on_other_draws(void **state)
{
    (void)state;
    assert_int_equal(time_many(5, 0), time_many(5, 0));
    assert_int_equal(time_many(5, 0), time_many(5, 500000));
    assert_int_not_equal(time_many(5, 0), time_many(6, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(latency_has_a_base_a_spread_and_a_tail),
        cmocka_unit_test(a_stall_holds_up_also_what_is_under_way),
        cmocka_unit_test(latency_does_not_depend_on_other_draws),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
