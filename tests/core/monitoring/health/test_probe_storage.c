/* The storage rung, on simulated disks that are slow, stand still or fail. */
#include "core/monitoring/health/probe_storage.h"

#include "core/chaos/simworld.h"
#include "tests/support/test.h"

#include <string.h>

#define MS NANOS_PER_MS
#define S  NANOS_PER_S

struct storage_world {
    struct simworld *sim;
    struct simhost *host;
    struct storage_probe probe;
    uint32_t answers;
    enum err result;
    nanos took;
};

static void note_answer(struct storage_probe *probe, enum err result, nanos took)
{
    struct storage_world *w = probe->owner;

    w->answers++;
    w->result = result;
    w->took = took;
}

static void storage_world_new(struct storage_world *w, uint64_t capacity)
{
    memset(w, 0, sizeof *w);
    w->sim = simworld_new(1);
    w->host = simhost_new(w->sim, "a", capacity);
    storage_probe_init(&w->probe, simhost_world(w->host), "probe", note_answer, w);
}

/* Asks, and lets two seconds pass. */
static enum err ask_storage(struct storage_world *w)
{
    uint32_t before = w->answers;
    nanos now = simworld_now(w->sim);
    enum err e = storage_probe_ask(&w->probe, now + S);

    assert_int_equal(w->answers, before);
    simworld_run(w->sim, now + 2 * S);
    assert_int_equal(w->answers, before + (e == OK));
    return e;
}

static void healthy_disk_answers_within_its_latency(void **state)
{
    (void)state;
    struct storage_world w;
    storage_world_new(&w, 1 << 20);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(ask_storage(&w), OK);
        assert_int_equal(w.result, OK);
        assert_true(w.took >= SIMDISK_SYNC_LATENCY && w.took < 5 * MS);
    }
    simworld_free(w.sim);
}

/* It is a durable write, and not a cached one: power loss does not take it. */
static void what_it_writes_is_durable(void **state)
{
    (void)state;
    struct storage_world w;
    storage_world_new(&w, 1 << 20);
    assert_int_equal(ask_storage(&w), OK);
    assert_int_equal(ask_storage(&w), OK);
    /* The name alone is not synced: whoever needs it creates it again. */
    assert_true(simdisk_pending(simhost_disk(w.host)) <= 1);
    simworld_free(w.sim);
}

static void existing_file_is_taken(void **state)
{
    (void)state;
    struct storage_world w;
    storage_world_new(&w, 1 << 20);
    assert_int_equal(ask_storage(&w), OK);
    /* Another process of the same host finds it there. */
    storage_probe_init(&w.probe, simhost_world(w.host), "probe", note_answer, &w);
    assert_int_equal(ask_storage(&w), OK);
    assert_int_equal(w.result, OK);
    simworld_free(w.sim);
}

static void slow_disk_is_seen_in_the_time_it_took(void **state)
{
    (void)state;
    struct storage_world w;
    storage_world_new(&w, 1 << 20);
    assert_int_equal(ask_storage(&w), OK);
    simhost_slow(w.host, 0, 100 * MS);
    assert_int_equal(ask_storage(&w), OK);
    assert_int_equal(w.result, OK);
    assert_true(w.took >= 100 * MS && w.took < 110 * MS);
    simworld_free(w.sim);
}

/* Scenario 6: the disk stands still for half a minute. One answer in time, and no second request on
 * top of the one that hangs; afterwards it is well again. */
static void stalled_disk_is_answered_for_at_the_deadline(void **state)
{
    (void)state;
    struct storage_world w;
    storage_world_new(&w, 1 << 20);
    assert_int_equal(ask_storage(&w), OK);
    nanos until = simworld_now(w.sim) + 30 * S;
    simhost_stall_disk(w.host, until);
    assert_int_equal(ask_storage(&w), OK);
    assert_int_equal(w.result, ERR_TIMEOUT);
    assert_true(w.took == S);
    while (simworld_now(w.sim) + 2 * S < until) {
        assert_int_equal(ask_storage(&w), ERR_PENDING);
    }
    simworld_run(w.sim, until + S);
    assert_int_equal(ask_storage(&w), OK);
    assert_int_equal(w.result, OK);
    assert_true(w.took < 5 * MS);
    simworld_free(w.sim);
}

/* An error is told as it is, and the file opened anew: when there is space again, it is well. */
static void full_disk_is_told_and_healed(void **state)
{
    (void)state;
    struct storage_world w;
    storage_world_new(&w, 1024);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ask_storage(&w), OK);
        assert_int_equal(w.result, ERR_NO_SPACE);
    }
    simhost_replace_disk(w.host, simdisk_new(1 << 20));
    assert_int_equal(ask_storage(&w), OK);
    assert_int_equal(w.result, OK);
    simworld_free(w.sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(healthy_disk_answers_within_its_latency),
        cmocka_unit_test(what_it_writes_is_durable),
        cmocka_unit_test(existing_file_is_taken),
        cmocka_unit_test(slow_disk_is_seen_in_the_time_it_took),
        cmocka_unit_test(stalled_disk_is_answered_for_at_the_deadline),
        cmocka_unit_test(full_disk_is_told_and_healed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
