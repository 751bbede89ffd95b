/* Snapshots, and messages from before them. */
#include "core/chaos/scenario/stage.h"
#include "core/consensus/raft/raft_int.h"
#include "core/node/node_int.h"

#define T SCENARIO_TIMEOUT

/* Every member that serves, other than `but`, takes a snapshot, and keeps nothing before it. */
static void snapshot_all(struct stage *st, const struct simmember *but)
{
    for (uint32_t i = 0; i < st->sim.cluster.n; i++) {
        struct simmember *m = stage_member(st, i);
        if (simmember_serves(m) && m != but) {
            stage_snapshot(st, m, 5 * T); /* while one is fetched, the next one waits */
        }
    }
}

static bool is_fetching(const struct simmember *m, uint64_t least)
{
    return simmember_serves(m) && m->node->raft->fetch.active &&
           m->node->raft->fetch.durable >= least;
}

static bool is_installing(const struct simmember *m)
{
    return simmember_serves(m) && stage_status(m).installing;
}

/* A member misses so much that only a snapshot helps; it is still alone. */
static struct simmember *leave_behind(struct stage *st)
{
    struct simmember *behind = stage_follower(st, 0);

    stage_isolate(st, behind, true);
    stage_put_many(st, stage_leader(st), 40);
    snapshot_all(st, behind);
    stage_lose_streams(st, behind); /* or they would bring it what was sent meanwhile */
    stage_expect(st, stage_status(stage_leader(st)).first > stage_status(behind).last + 1,
                 "the others no longer have what it lacks");
    return behind;
}

/* A snapshot takes some seconds to fetch, in small pieces. */
static struct sim_settings slow_snapshots(void)
{
    struct sim_settings s = stage_plain(3);

    s.raft.chunk_bytes = 256;
    s.raft.max_chunks = 1;
    s.raft.snapshot_bytes_per_s = 2000;
    return s;
}

void scenario_crashed_mid_snapshot(struct stage *st)
{
    const struct sim_settings s = slow_snapshots();

    stage_found(st, &s);
    struct simmember *behind = leave_behind(st);
    stage_isolate(st, behind, false);
    STAGE_UNTIL(st, 8 * T, is_fetching(behind, 512), "it has fetched a part of a snapshot");
    stage_kill(st, behind);
    for (int i = 0; i < 5; i++) {
        stage_pass(st, T);
        stage_put(st, stage_leader(st), 0, T);
    }
    stage_start(st, behind);
    STAGE_UNTIL(st, T, simmember_serves(behind), "it is back");
    stage_await_caught_up(st, behind, 10 * T);
}

/* The group writes, takes snapshots and compacts faster than the member can fetch one. */
void scenario_far_behind_snapshot_loop(struct stage *st)
{
    struct sim_settings s = slow_snapshots();

    s.snapshot_entries = 30;
    s.clients = 4;
    s.think_time = 80 * NANOS_PER_MS;
    stage_found(st, &s);
    struct simmember *behind = leave_behind(st);
    stage_load(st);
    stage_pass(st, 2 * T);
    stage_isolate(st, behind, false);
    STAGE_UNTIL(st, 8 * T, is_fetching(behind, 1), "it fetches a snapshot");
    raft_index wanted = stage_status(stage_leader(st)).committed;
    stage_leaders_begin(st);
    uint64_t before = st->sim.result->coverage.reached[REACHED_INSTALLED];
    STAGE_UNTIL(st, 15 * T, stage_applied(behind) >= wanted, "it gets beyond where all were");
    stage_pass(st, 10 * T);
    stage_expect(st, st->sim.result->coverage.reached[REACHED_INSTALLED] <= before + 2,
                 "it needs no snapshot again and again");
    stage_expect(st, stage_applied(behind) + 50 > stage_status(stage_leader(st)).committed,
                 "it keeps up");
}

/* The second one is offered while the first is being put in place. */
void scenario_two_snapshots_in_a_row(struct stage *st)
{
    const struct sim_settings s = stage_plain(3);

    stage_found(st, &s);
    struct simmember *behind = leave_behind(st);
    stage_isolate(st, behind, false);
    STAGE_UNTIL(st, 8 * T, is_installing(behind), "it is installing a snapshot");
    simhost_stall(behind->host, WORLD_LANE_BULK, stage_now(st) + 8 * T);
    stage_stall_disk(st, behind, 8 * T);
    stage_put_many(st, stage_leader(st), 20);
    snapshot_all(st, behind);
    stage_expect(st, is_installing(behind), "it is still at the first");
    raft_index second = stage_status(stage_leader(st)).snapshot;
    if (stage_is_over(st)) {
        return;
    }
    struct raft_message offer = stage_message(RAFT_MSG_SNAP, stage_leader(st), behind);
    offer.snapshot = &stage_leader(st)->node->raft->snapshot;
    offer.source = stage_leader(st)->id;
    offer.hint = offer.snapshot->index;
    stage_forge(st, &offer);
    stage_pass(st, T / 2);
    stage_forge(st, &offer);
    stage_await_caught_up(st, behind, 10 * T);
    stage_expect(st, stage_applied(behind) >= second, "it has what both snapshots say");
}

/* Two entries are on the member's disk, and acknowledged, and not known there to be committed, when
 * the append of the first comes once more. */
static void append_comes_again(struct stage *st, struct simmember *leader, struct simmember *m)
{
    raft_index last = stage_status(m).last;

    stage_isolate(st, stage_follower(st, 0) == m ? stage_follower(st, 1) : stage_follower(st, 0),
                  true);
    stage_stall_disk(st, m, T / 4);
    stage_catch(st, leader, m, RAFT_MSG_APP);
    (void)stage_ask(st, leader, SIMCALL_PUT, 0);
    STAGE_UNTIL(st, T / 8, stage_status(m).last == last + 1, "the first entry arrives");
    size_t write = stage_ask(st, leader, SIMCALL_PUT, 1);
    STAGE_UNTIL(st, T / 8, stage_status(m).last == last + 2, "the second entry arrives");
    stage_cut(st, leader, m, true);
    STAGE_UNTIL(st, T / 2, stage_status(m).durable == last + 2, "its disk has both");
    stage_expect(st, stage_status(m).committed == last, "it knows of no commit");
    stage_deliver(st, 0);
    stage_expect(st, stage_status(m).last == last + 2, "it still has both");
    stage_cut(st, leader, m, false);
    STAGE_UNTIL(st, T / 2, stage_is_ok(st, write), "both are committed");
}

/* Appends from before a compaction come once more: their entries are applied and gone. */
void scenario_snapshot_delayed_append(struct stage *st)
{
    const struct sim_settings s = stage_plain(3);

    stage_found(st, &s);
    struct simmember *leader = stage_leader(st);
    struct simmember *m = stage_follower(st, 0);
    stage_catch(st, leader, m, RAFT_MSG_APP);
    stage_put_many(st, leader, 10);
    stage_pass(st, T / 2);
    stage_snapshot(st, m, T);
    stage_put_many(st, leader, 3);
    stage_pass(st, T / 2);
    stage_catch_end(st);
    stage_put_many(st, leader, 3);
    stage_pass(st, T / 2);
    struct raft_status before = stage_status(m);
    stage_expect(st, before.first > 10 && before.last > before.first + 4,
                 "the log has no longer the first entries, and has newer ones");
    for (uint64_t n = 0; n < st->caught_count; n++) {
        stage_deliver(st, n);
        stage_expect(st,
                     stage_status(m).last == before.last && stage_status(m).first == before.first,
                     "the log is as it was");
    }
    stage_pass(st, T / 10);
    append_comes_again(st, leader, m);
}

/* What follows the snapshot in its log is an old leader's, and nobody else's; the new leader's
 * probe, an append without entries at the snapshot's end, tells a commit index beyond it. */
void scenario_snapshot_boundary_empty_append(struct stage *st)
{
    const struct sim_settings s = stage_plain(5);

    stage_found(st, &s);
    struct simmember *old = stage_leader(st);
    struct simmember *m = stage_follower(st, 0);
    stage_put_many(st, old, 5);
    stage_pass(st, T / 2);
    snapshot_all(st, NULL);
    raft_index end = stage_status(m).last;
    raft_term term = stage_status(m).term;
    stage_isolate(st, old, true);
    stage_link(st, old, m, true);
    for (uint32_t key = 0; key < 3; key++) {
        (void)stage_ask(st, old, SIMCALL_PUT, key);
    }
    STAGE_UNTIL(st, T / 2, stage_status(m).durable == end + 3, "it has what nobody committed");
    stage_isolate(st, m, true);
    stage_isolate(st, old, true);
    struct simmember *leader = stage_await_leader(st, old, 10 * T); /* all three */
    stage_put_many(st, leader, 3);
    struct raft_message probe = stage_message(RAFT_MSG_APP, leader, m);
    probe.index = end;
    probe.log_term = term;
    probe.commit = stage_status(leader).committed;
    stage_expect(st, stage_status(m).committed == end && probe.commit >= end + 3,
                 "the probe tells of more than it matches");
    stage_forge(st, &probe);
    stage_pass(st, T / 10);
    stage_expect(st, stage_status(m).committed == end, "nothing behind its end is committed");
}

/* The snapshot's own term is that of its last entry, and long past. */
void scenario_snapshot_lowers_term(struct stage *st)
{
    const struct sim_settings s = stage_plain(3);

    stage_found(st, &s);
    raft_term old = stage_status(stage_leader(st)).term;
    struct simmember *behind = leave_behind(st);
    for (int i = 0; i < 3; i++) {
        struct simmember *to =
            stage_follower(st, 0) == behind ? stage_follower(st, 1) : stage_follower(st, 0);
        stage_make_leader(st, to, 2 * T);
    }
    raft_term term = stage_status(stage_leader(st)).term;
    stage_isolate(st, behind, false);
    STAGE_UNTIL(st, 8 * T, stage_status(behind).snapshot > 1, "it installs a snapshot");
    stage_expect(
        st, simmember_serves(behind) && behind->node->raft->log.snapshot_term == old && term > old,
        "of a term that is over");
    stage_expect(st, stage_status(behind).term == term, "its own term is the leader's");
    stage_kill(st, behind);
    stage_isolate(st, behind, true);
    stage_start(st, behind);
    STAGE_UNTIL(st, T, simmember_serves(behind), "it is back");
    stage_expect(st, stage_status(behind).term >= term, "and on its disk");
}
