/* Reads that must not be answered from what a leader believes. */
#include "core/chaos/scenario/stage.h"
#include "core/consensus/raft/raft_int.h"
#include "core/node/node_int.h"

#define T SCENARIO_TIMEOUT

/* Somebody but `old`, and firmly or not, leads. */
static struct simmember *successor_of(struct stage *st, const struct simmember *old)
{
    struct simmember *m = simcluster_leader(&st->sim.cluster);

    return m != NULL && m != old ? m : NULL;
}

/* What the old leader told a client to be written, the new one has, and does not know to be
 * committed: its first own entry waits for the only other disk. */
void scenario_readindex_fresh_leader(struct stage *st)
{
    const struct sim_settings s = stage_plain(3);

    stage_found(st, &s);
    struct simmember *old = stage_leader(st);
    struct simmember *follower[] = {stage_follower(st, 0), stage_follower(st, 1)};
    stage_put(st, old, 0, T);
    stage_pass(st, T);
    size_t write = stage_ask(st, old, SIMCALL_PUT, 0);
    raft_index index = stage_status(old).last + 1;
    STAGE_UNTIL(st, T,
                stage_status(follower[0]).durable >= index &&
                    stage_status(follower[1]).durable >= index,
                "both followers have the write");
    stage_cut(st, old, follower[0], true);
    stage_cut(st, old, follower[1], true);
    STAGE_UNTIL(st, T, stage_is_ok(st, write), "a client is told of it");
    stage_lose_streams(st, old);
    stage_kill(st, old);
    STAGE_UNTIL(st, 4 * T, successor_of(st, old) != NULL, "one of the two is elected");
    struct simmember *fresh = stage_leader(st);
    struct simmember *other = fresh == follower[0] ? follower[1] : follower[0];
    stage_stall_disk(st, other, T / 2);
    stage_expect(st, stage_status(fresh).committed < index, "it does not know of the commit");
    size_t read = stage_ask(st, fresh, SIMCALL_GET, 0);
    stage_pass(st, T / 3);
    stage_expect(st, stage_is_pending(st, read), "it answers no read before its first commit");
    STAGE_UNTIL(st, T, stage_is_ok(st, read), "then the read is answered");
    stage_expect(st, stage_value(st, read) == stage_value(st, write), "with what was written");
}

/* A leader that was replaced without noticing gets, late, answers to the round of an earlier read.
 */
void scenario_readindex_retry_stale(struct stage *st)
{
    struct sim_settings s = stage_plain(3);

    s.raft.check_quorum = false; /* or it would notice */
    stage_found(st, &s);
    struct simmember *old = stage_leader(st);
    stage_put(st, old, 0, T);
    stage_catch(st, NULL, old, RAFT_MSG_HEARTBEAT_RESP);
    stage_get(st, old, 0, T);
    stage_pass(st, T / 4);
    stage_catch_end(st);
    stage_isolate(st, old, true);
    struct simmember *leader = stage_await_leader(st, old, 4 * T);
    stage_put(st, leader, 0, T);
    stage_expect(st, stage_leads(old), "the old leader believes that it leads");
    size_t read = stage_ask(st, old, SIMCALL_GET, 0);
    stage_pass(st, T / 4); /* the round has been announced */
    for (uint64_t n = 0; n < st->caught_count; n++) {
        stage_deliver(st, n);
    }
    stage_pass(st, T / 4);
    stage_expect(st, !stage_is_ok(st, read), "answers to an earlier round confirm nothing");
    stage_isolate(st, old, false);
    STAGE_UNTIL(st, 10 * T, !stage_leads(old), "the old leader hears of the new one");
}
