/*
 * scenario: the failures that real systems met, each as a script that anybody can run again.
 *
 * What lives here: a table of named scenarios, and the scripts, a file a topic, on a stage
 * (stage.h) made of the simulator's parts: whole nodes on simulated hosts, with every byte of their
 * logs. Who may call it: cli/sim and tests. What it includes: everything of core below it, private
 * headers too, for a script must be able to say "when this node's vote is on its disk".
 *
 * A scenario has a bound, and it fails where what it expects does not come within it, where an
 * invariant is violated after any event (core/chaos/oracle), where at its end the cluster does not
 * heal, and where what its clients saw is not linearizable. The seed decides what the script leaves
 * open: who leads first, how long a packet takes.
 *
 * docs/scenarios.md is printed from the table.
 */
#ifndef NOVACRON_CHAOS_SCENARIO_H
#define NOVACRON_CHAOS_SCENARIO_H

#include "core/chaos/sim/sim.h"

struct stage;

/* The election timeout of every member of a scenario: the unit of most bounds. */
#define SCENARIO_TIMEOUT NANOS_PER_S

/* function (scenario_...), name, the bound in words, virtual seconds that it may take with the
 * healing at its end, the known bug of core/base/mutant.h that it must find ("": there is none),
 * source, story. A name is one line, and stays. */
#define SCENARIO_TABLE(X)                                                                          \
    X(all_start_together, "all-start-together", "a write is committed within 4 T of the start",    \
      12, "", "etcd-io/raft#48", "all members of a group start at the same instant")               \
    X(full_omission_5, "full-omission-5",                                                          \
      "a write is committed within 6 T; then nobody is elected for 20 T", 45,                      \
      "joint-2014-liveness", "Cloudflare 2020; decentralizedthoughts 2020-12-12",                  \
      "of five members the leader reaches only S2, and another one only S3, which reach S1 and "   \
      "each other")                                                                                \
    X(omni_quorum_loss, "omni-quorum-loss", "the hub leads, and a write is committed within 4 T",  \
      20, "frozen-leader-two-leaders", "omnipaxos.com 2023-05",                                    \
      "the leader keeps one link, to the only member that still reaches everybody")                \
    X(constrained_election, "constrained-election",                                                \
      "the hub leads, and a write is committed within 4 T", 20, "joint-2014-liveness",             \
      "omnipaxos.com 2023-05",                                                                     \
      "the only member that reaches a majority lacks entries that a minority has")                 \
    X(chained, "chained", "a write is committed within 6 T; then nobody is elected for 20 T", 45,  \
      "joint-2014-liveness", "omnipaxos.com 2023-05",                                              \
      "every member reaches only its neighbours in a chain, and the leader is at its end")         \
    X(prevote_two_alive_deadlock, "prevote-two-alive-deadlock",                                    \
      "a write is committed within 6 T of the return", 35, "prevote-two-alive-deadlock",           \
      "hashicorp/raft#605, #606",                                                                  \
      "a leader was alone and comes back to one of two, whose term is newer")                      \
    X(leader_grants_prevote, "leader-grants-prevote",                                              \
      "for 10 T the leader and its term stay, and each write takes less than T / 2", 30,           \
      "joint-2014-liveness", "daos-stack/raft#70",                                                 \
      "a follower that hears nobody asks its leader for a pre-vote")                               \
    X(double_vote_after_stepdown, "double-vote-after-stepdown",                                    \
      "the late question gets no vote; a write is committed within 6 T of the return", 25,         \
      "double-vote-after-stepdown", "microsoft/CCF#5891; hazelcast#16643",                         \
      "a leader steps down in its term, and hears, late, a rival of that term")                    \
    X(disk_stall_leader, "disk-stall-leader",                                                      \
      "another member leads within 2 T, writes go on, and the old one does not come back", 30,     \
      "disk-stall-leader", "hashicorp/raft#503",                                                   \
      "the leader's disk completes nothing, and its heartbeats still flow")                        \
    X(frozen_leader_two_leaders, "frozen-leader-two-leaders",                                      \
      "when it wakes, it does not lead, and answers nobody", 25, "frozen-leader-two-leaders",      \
      "etcd-io/etcd#13527", "a leader is frozen and alone, and replaced meanwhile")                \
    X(storage_engine_collapse, "storage-engine-collapse",                                          \
      "for 20 s every second ten writes are committed, and the leader stays", 60, "",              \
      "Roblox 2021-10 post-mortem",                                                                \
      "every sync of every log takes three hundred times what it should")                          \
    X(readindex_fresh_leader, "readindex-fresh-leader",                                            \
      "the read waits for the first commit of the term, and then sees the write", 25,              \
      "readindex-fresh-leader", "etcd-io/etcd#7331",                                               \
      "a new leader is asked before it knows what the old one has committed")                      \
    X(readindex_retry_stale, "readindex-retry-stale",                                              \
      "late answers to the first read's round do not confirm the second", 35,                      \
      "readindex-retry-stale", "etcd-io/etcd#20418; etcd-io/raft#397",                             \
      "answers to an earlier round reach a leader that was replaced")                              \
    X(lease_vs_timer, "lease-vs-timer",                                                            \
      "another member leads within 3 T, and at no instant while the lease holds", 25,              \
      "lease-vs-timer", "sofastack/sofa-jraft#34",                                                 \
      "a leader with a lease and a slow clock is cut off from voters with fast ones")              \
    X(lease_not_renewed_on_vote, "lease-not-renewed-on-vote",                                      \
      "another member leads within 4 T, and at no instant while the lease holds", 25,              \
      "lease-not-renewed-on-vote", "baidu/braft#405",                                              \
      "the voters that promised to wait start again while the lease holds")                        \
    X(lease_blocks_transfer, "lease-blocks-transfer",                                              \
      "the successor leads within T / 4, and the lease ends at once", 20, "lease-over-transfer",   \
      "baidu/braft#262", "a leader with a lease hands over, in a group of five")                   \
    X(fig8_old_term_commit, "fig8-old-term-commit",                                                \
      "the old entry is not committed by its third copy; S5 leads within 12 T", 80,                \
      "fig8-old-term-commit", "[Ongaro14] figure 3.7; bakwc/PySyncObj#169",                        \
      "a leader brings an entry of an earlier term onto a majority, and dies")                     \
    X(commit_without_quorum, "commit-without-quorum",                                              \
      "with one follower nothing is committed, and within 2 T of the heal it is", 40,              \
      "commit-without-quorum", "databendlabs/openraft#1802",                                       \
      "the leader of five reaches one follower, each in turn")                                     \
    X(async_append_aba, "async-append-aba",                                                        \
      "nothing counts by the late write and acknowledgement", 90, "async-append-aba",              \
      "etcd-raft testdata",                                                                        \
      "a write, and then an acknowledgement, comes late, of entries that were replaced meanwhile") \
    X(single_node_ack_before_fsync, "single-node-ack-before-fsync",                                \
      "no write is acknowledged while the disk stands; after each power loss all is there", 60,    \
      "single-node-ack-before-fsync", "etcd-io/etcd#14370",                                        \
      "a group of one loses its power while a write waits for its disk")                           \
    X(lazyfs_unfsynced, "lazyfs-unfsynced",                                                        \
      "what was acknowledged is read within 6 T from those that are left", 120, "ack-before-sync", \
      "etcd-io/etcd#14140", "whoever acknowledged loses its power with all that was not synced")   \
    X(applied_index_not_atomic, "applied-index-not-atomic",                                        \
      "back within 8 T, with the state of the others", 90, "applied-index-not-atomic",             \
      "etcd-io/etcd#13766, #14685; postmortem of v3.5",                                            \
      "a member dies between what it applied and what its disk has of it")                         \
    X(crashed_mid_snapshot, "crashed-mid-snapshot", "caught up within 10 T of its return", 60,     \
      "crashed-mid-snapshot", "dgraph#2707",                                                       \
      "a member dies while it fetches a snapshot, and comes back")                                 \
    X(far_behind_snapshot_loop, "far-behind-snapshot-loop",                                        \
      "caught up within 15 T, with two installs at most, and then it keeps up", 80,                \
      "far-behind-snapshot-loop", "hashicorp/raft#212; baidu/braft#423",                           \
      "the group takes snapshots and compacts faster than a member can fetch them")                \
    X(two_snapshots_in_a_row, "two-snapshots-in-a-row", "caught up within 10 T", 60,               \
      "crashed-mid-snapshot", "etcd-io/etcd#18055",                                                \
      "a second snapshot is offered while the first is being installed")                           \
    X(snapshot_delayed_append, "snapshot-delayed-append",                                          \
      "the log is as it was, after each of them", 25, "snapshot-delayed-append",                   \
      "willemt/raft#118 (1)", "appends from before a compaction come once more")                   \
    X(snapshot_boundary_empty_append, "snapshot-boundary-empty-append",                            \
      "nothing behind the snapshot is committed by it", 60, "snapshot-boundary-empty-append",      \
      "willemt/raft#118 (2, 8); RedisLabs/raft#49",                                                \
      "an append without entries, at a snapshot's end, tells a commit index beyond")               \
    X(snapshot_lowers_term, "snapshot-lowers-term",                                                \
      "installed within 8 T, and its term is the leader's, also after a restart", 40,              \
      "snapshot-lowers-term", "willemt/raft#118 (4)",                                              \
      "a member installs a snapshot of a term that is long over")                                  \
    X(single_server_reconfig, "single-server-reconfig",                                            \
      "the successor takes no change before its first commit, and one after it", 60,               \
      "single-server-reconfig", "[Ongaro15]; dranov/protocol-bugs-list",                           \
      "two leaders each change one member, of which the first is alone")                           \
    X(joint_2014_liveness, "joint-2014-liveness", "for 20 T nobody is elected", 45,                \
      "joint-2014-liveness", "Hoch 2014; dranov/protocol-bugs-list",                               \
      "a member that was removed, and does not know it, asks to be elected")                       \
    X(learner_must_vote, "learner-must-vote", "the voter leads within 6 T", 60, "",                \
      "etcd-io/etcd#10998", "a candidate knows of a promotion that the learner has not heard of")  \
    X(concurrent_joint_left_behind, "concurrent-joint-left-behind",                                \
      "another member leads within 6 T, and leaves the joint configuration within 4 T", 60,        \
      "concurrent-joint-left-behind", "openraft, joint-consensus.md",                              \
      "two changes are asked for at once, and the leader dies in the joint configuration")         \
    X(unapplied_conf_campaign, "unapplied-conf-campaign",                                          \
      "it does not campaign before it has applied the change", 60, "unapplied-conf-campaign",      \
      "etcd-io/raft#456",                                                                          \
      "the leader dies when a member knows of a committed change, and has not applied it")         \
    X(mixed_fault_split_brain, "mixed-fault-split-brain",                                          \
      "after each round a write is committed within 10 T, and none is lost", 160,                  \
      "vote-for-any-log", "RedisLabs/redisraft#28, #44",                                           \
      "partition, kill, pause and changes of members, under load")                                 \
    X(amnesiac_voter, "amnesiac-voter",                                                            \
      "for 10 T the two elect nobody; with the leader back, a write within 12 T", 70,              \
      "amnesiac-voter", "etcd-io/raft#25; TigerBeetle, recovering.md",                             \
      "a voter with an emptied disk meets one that lags, while the leader is alone")               \
    X(corrupt_committed_prefix, "corrupt-committed-prefix",                                        \
      "for 10 T the two elect nobody; with the leader back, a write within 12 T", 70,              \
      "corrupt-committed-prefix", "eBay/NuRaft#185; braft",                                        \
      "a voter whose log is damaged in the middle meets one that lags")                            \
    X(wal_corruption_matrix, "wal-corruption-matrix",                                              \
      "each cell starts with its verdict, and is repaired within 10 T; 3/3: nobody leads", 160,    \
      "corrupt-committed-prefix", "TigerBeetle, replica_test.zig",                                 \
      "damage right of, at and left of the head, at the root, before and behind the checkpoint, "  \
      "torn, and everywhere on all members")                                                       \
    X(wal_corruption_single, "wal-corruption-single",                                              \
      "for 10 T it serves nobody; from a good copy of its disk it does within 4 T", 40,            \
      "corrupt-committed-prefix", "TigerBeetle, replica_test.zig (R=1)",                           \
      "the only member has a damaged log")                                                         \
    X(restart_log_snapshot_gap, "restart-log-snapshot-gap", "repaired within 10 T", 60,            \
      "corrupt-committed-prefix", "RedisLabs/redisraft#43",                                        \
      "the snapshot that a log follows is gone, or damaged")                                       \
    X(metastable_lag, "metastable-lag",                                                            \
      "caught up within 3 T, stays so for 10 T, and the load keeps half its rate", 60,             \
      "probe-never-resumes", "TigerBeetle 2025-06",                                                \
      "a member was away, and the load goes on when it is back")

struct scenario {
    const char *name;
    const char *bound;
    nanos within;       /* virtual time, from beginning to end */
    const char *mutant; /* by its name; "": none */
    const char *source;
    const char *story;
    void (*run)(struct stage *st);
};

/* All of them, in the order of the table. */
const struct scenario *scenario_rows(size_t *ret_count);

/* By its name; NULL. */
const struct scenario *scenario_find(const char *name);

/* The scripts: what `run` of each row calls. */
#define SCENARIO_DECLARE(function, name, bound, seconds, mutant, source, story)                    \
    void scenario_##function(struct stage *st);
SCENARIO_TABLE(SCENARIO_DECLARE)
#undef SCENARIO_DECLARE

/* Runs it. Of the options the plan and the profile are not looked at. */
void scenario_run(const struct scenario *scenario, const struct sim_options *options,
                  struct sim_result *ret);

#endif
