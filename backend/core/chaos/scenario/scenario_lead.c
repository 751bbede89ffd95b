/* Leaders that are half alive: frozen, or with a disk that stands or crawls. */
#include "core/chaos/scenario/stage.h"
#include "core/consensus/raft/raft_int.h"
#include "core/node/node_int.h"

#define T SCENARIO_TIMEOUT

/* The disk stands and heartbeats flow. */
void scenario_disk_stall_leader(struct stage *st)
{
    const struct sim_settings s = stage_plain(3);

    stage_found(st, &s);
    struct simmember *old = stage_leader(st);
    stage_put_many(st, old, 5);
    stage_stall_disk(st, old, 12 * T);
    (void)stage_ask(st, old, SIMCALL_PUT, 0);
    struct simmember *leader = stage_await_leader(st, old, 2 * T);
    stage_put(st, leader, 1, T);
    stage_leaders_begin(st);
    for (int i = 0; i < 8; i++) {
        stage_pass(st, T);
        stage_put(st, leader, 1, T / 10);
    }
    stage_expect(st, stage_leaders(st) == 0, "it does not come back while its disk stands");
}

/* It does not notice that time passes, nor that it is alone, and must not believe that it leads
 * when it wakes. */
void scenario_frozen_leader_two_leaders(struct stage *st)
{
    const struct sim_settings s = stage_plain(3);

    stage_found(st, &s);
    struct simmember *old = stage_leader(st);
    stage_put(st, old, 0, T);
    stage_freeze(st, old, 6 * T);
    stage_isolate(st, old, true);
    struct simmember *leader = stage_await_leader(st, old, 4 * T);
    stage_put(st, leader, 0, T);
    STAGE_UNTIL(st, 6 * T, !simhost_is_paused(old->host), "the old leader wakes");
    size_t read = stage_ask(st, old, SIMCALL_GET, 0);
    size_t write = stage_ask(st, old, SIMCALL_PUT, 0);
    stage_pass(st, NANOS_PER_MS);
    stage_expect(st, !stage_leads(old), "it knows at once that it does not lead");
    stage_pass(st, T);
    stage_expect(st, !stage_is_ok(st, read) && !stage_is_ok(st, write), "alone it serves nobody");
    stage_expect(st, stage_leads(leader), "the new leader stays");
    stage_isolate(st, leader, true);
    STAGE_UNTIL(st, 2 * T, !stage_leads(leader), "one that is awake and alone steps down, too");
}

/* Every write of the log costs each member many times what it should, as when a storage engine
 * rewrites its pages: slow, and nobody is dead. */
void scenario_storage_engine_collapse(struct stage *st)
{
    struct sim_settings s = stage_plain(5);

    s.clients = 8;
    s.snapshot_entries = 200;
    stage_found(st, &s);
    stage_load(st);
    stage_pass(st, 2 * T);
    for (uint32_t i = 0; i < 5; i++) {
        stage_slow_disk(st, stage_member(st, i), 2 * NANOS_PER_MS, 60 * NANOS_PER_MS);
    }
    stage_leaders_begin(st);
    for (int i = 0; i < 20; i++) {
        uint64_t before = stage_written(st);
        stage_pass(st, T);
        stage_expect(st, stage_written(st) >= before + 10, "each second ten writes are committed");
    }
    stage_expect(st, stage_leaders(st) == 0, "nobody loses the lead for a slow disk");
}
