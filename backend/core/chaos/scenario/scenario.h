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
      "a member was away, and the load goes on when it is back")                                   \
    X(fence_device_unreachable, "fence-device-unreachable",                                        \
      "`stop` runs after P; `keep` waits, visibly unproven, until an operator confirms, and "      \
      "then 15 s",                                                                                 \
      580, "already-off-unreached", "cloudstack#13589; pacemaker#665",                             \
      "a host and its controllers have lost their mains")                                          \
    X(fence_ack_lost, "fence-ack-lost",                                                            \
      "nothing is started before the power was read; no more than 12 commands", 680, "",           \
      "FenceAgentAPI, a timeout is a failure",                                                     \
      "devices do what they are told, and their answers are lost")                                 \
    X(fence_lies, "fence-lies",                                                                    \
      "the host is off when its record says so; its machines run within 90 s", 500,                \
      "fence-not-read-back", "fence-agents#68; baremetal-operator#290",                            \
      "a controller says that it has switched off, and has not")                                   \
    X(fence_all_lie, "fence-all-lie",                                                              \
      "for 120 s `keep` is started nowhere else; back, it is where it was within 15 s", 600,       \
      "fence-not-read-back", "fence-agents#68",                                                    \
      "every device of a host says that it has switched off, and none has")                        \
    X(fence_agent_hangs, "fence-agent-hangs",                                                      \
      "the outlet has switched off within 75 s; the controller was told once", 500, "",            \
      "measured: 120 s and more", "a fence agent neither does anything nor answers")               \
    X(fence_cannot_tell, "fence-cannot-tell", "for 60 s nothing counts as off", 600,               \
      "unknown-is-off", "FenceAgentAPI, status 1",                                                 \
      "devices cannot tell whether the power is on, and it is")                                    \
    X(fence_already_off, "fence-already-off", "`keep` runs elsewhere within 15 s", 500, "",        \
      "fence-agents#596; infra-operator#434",                                                      \
      "the host is off already, and its controller calls the command an error")                    \
    X(fence_storm, "fence-storm",                                                                  \
      "two hosts are fenced, and the machines of the third wait for P", 760,                       \
      "fence-storm-uncapped", "corosync#705; kubernetes/community#1416",                           \
      "a switch takes three of seven hosts, and two may be fenced")                                \
    X(storm_taken_over, "storm-taken-over",                                                        \
      "one is fenced, that with the most important machines; the other is told nothing more", 860, \
      "taken-over-fences-at-once", "docs/ha.md, fencing one host",                                 \
      "the leader dies that fenced two hosts, of which its successor may fence one")               \
    X(double_fencing_race, "double-fencing-race", "one is switched off, and the other lives", 760, \
      "fence-race-ignored", "pacemaker#639; fence-agents#308",                                     \
      "of two hosts with machines each finds the other lost, the second before it is off")         \
    X(fence_priority_delay, "fence-priority-delay",                                                \
      "the host with the more important machines lives", 760, "off-after-a-delay-unconfirmed",     \
      "pacemaker, priority-fencing-delay",                                                         \
      "the same, and the one that fences first waits for 8 s")                                     \
    X(leader_dies_while_fencing, "leader-dies-while-fencing",                                      \
      "`keep` runs within 30 s, once; two commands at most", 500, "",                              \
      "Proxmox test-basic2, test-service-command8",                                                \
      "the leader dies between the command and its confirmation")                                  \
    X(stopped_while_fencing, "stopped-while-fencing",                                              \
      "it is stopped without another start, and the host leaves the fence", 560, "",               \
      "Proxmox test-service-command9",                                                             \
      "an operator stops a machine while its host is being fenced")                                \
    X(write_in_flight, "write-in-flight",                                                          \
      "not before (1 + rho) D after the power was off, and then within 15 s", 500,                 \
      "flight-ignored", "docs/ha.md, fencing one host",                                            \
      "what a host has sent to its storage lands long after it was switched off")                  \
    X(manager_stalled_beyond_lease, "manager-stalled-beyond-lease",                                \
      "elsewhere after P and within 30 s; when it wakes nothing happens", 600, "",                 \
      "patroni, frozen_patroni.feature; sbd",                                                      \
      "the leader's process is stopped, with machines on its host")                                \
    X(wall_clock_jumps, "wall-clock-jumps",                                                        \
      "nobody minds; a lost host's machine starts after P and not before", 500,                    \
      "lease-by-wall-clock", "systemd#5014, #9538; watchdog-mux",                                  \
      "wall clocks jump by hours, to and fro")                                                     \
    X(host_sleeps, "host-sleeps", "its machines run elsewhere within 30 s, once", 500, "",         \
      "systemd#9538, CLOCK_BOOTTIME", "a host is suspended for 20 s")                              \
    X(stale_lease_holder, "stale-lease-holder", "elsewhere after P; who returns starts nothing",   \
      500, "", "patroni#2787; xhad, generations",                                                  \
      "a host without a lease comes back after its machine was started elsewhere")                 \
    X(lease_answer_late, "lease-answer-late",                                                      \
      "the machine has ended there before it runs elsewhere, within 30 s", 500,                    \
      "lease-from-answer", "docs/ha.md, the lease, rule 3",                                        \
      "the grant of a host's last renewal is under way for eight seconds")                         \
    X(takeover_counts_anew, "takeover-counts-anew",                                                \
      "not before P after the new leader has begun, and within 30 s", 500,                         \
      "takeover-without-wait", "docs/ha.md, the lease, rule 5",                                    \
      "a host is cut off, and the leader dies at that moment")                                     \
    X(network_lost, "network-lost",                                                                \
      "`stop` and `pause` elsewhere after P; `keep` runs on, and in the same epoch", 500,          \
      "keep-counted-by-time", "xcp-ng, ha.md; cloudstack#2722",                                    \
      "a host loses its network, and keeps its storage")                                           \
    X(network_and_storage_lost, "network-and-storage-lost", "elsewhere after P and within 30 s",   \
      500, "", "xcp-ng, ha.md", "a host loses its network and its storage")                        \
    X(guard_and_agent_stall, "guard-and-agent-stall",                                              \
      "the watchdog resets the host once, and the machine runs after P", 600,                      \
      "start-before-fence", "sbd, stall_inquisitor",                                               \
      "neither the agent nor the guard of a host gets any time")                                   \
    X(watchdog_not_armed, "watchdog-not-armed", "no machine is ever on it", 500, "",               \
      "pxvirt#179; containerized-proxmox#8",                                                       \
      "a host has no hardware watchdog, and no fence device")                                      \
    X(watchdog_of_empty_host, "watchdog-of-empty-host", "it is neither reset nor switched off",    \
      500, "", "corosync#336", "a host without machines is frozen and cut off")                    \
    X(double_fencing, "double-fencing", "nobody is fenced; all run within 30 s of the heal", 500,  \
      "", "pacemaker#639; fence-agents#308", "the two hosts of a cluster do not hear each other")  \
    X(fence_loop_after_reboot, "fence-loop-after-reboot", "it is fenced once, and fences nobody",  \
      560, "", "alteeve, Fence Loop; linbit",                                                      \
      "a fenced host is switched on three times, and is cut off still")                            \
    X(one_way_partition, "one-way-partition",                                                      \
      "one host is fenced, once, and its machine moves once", 560, "",                             \
      "corosync#6; MS, asymmetric disconnect", "what a host sends does not arrive")                \
    X(leader_isolated_with_machines, "leader-isolated-with-machines",                              \
      "its machines run within 30 s, and it has fenced nobody", 500, "",                           \
      "Proxmox test-basic5, test-shutdown4", "the leader is cut off, with machines on its host")   \
    X(even_split, "even-split", "nobody is fenced; all run within 30 s of the heal", 560, "",      \
      "qdevice#7, #10", "a cluster of four falls into two halves")                                 \
    X(witness_lost, "witness-lost",                                                                \
      "no host is fenced and no machine stops while the two hear each other; after a split all "   \
      "run "                                                                                       \
      "within 30 s of the heal",                                                                   \
      760, "", "qdevice#7, #10",                                                                   \
      "the witness of two hosts comes and goes, and is down; then the two do not hear each other") \
    X(witness_on_one_side, "witness-on-one-side",                                                  \
      "the leader's side runs all within 90 s; nobody of it is fenced", 660, "",                   \
      "qdevice, ffsplit", "one of two hosts hears neither the other nor the witness")              \
    X(witness_on_both_sides, "witness-on-both-sides",                                              \
      "one host is fenced, and the other runs all within 90 s", 760, "", "qdevice#7, ffsplit",     \
      "two hosts do not hear each other, and both hear the witness")                               \
    X(odd_split, "odd-split",                                                                      \
      "the majority runs everything within 90 s, and nobody of it is fenced", 560, "",             \
      "corosync#74", "a cluster of five falls apart, two and three")                               \
    X(cold_start, "cold-start", "all run within 60 s, and nobody is fenced", 560, "",              \
      "votequorum(5), wait for all; Proxmox test-basic4",                                          \
      "all power is lost, and the hosts come back one by one")                                     \
    X(half_cold_start, "half-cold-start",                                                          \
      "nobody that runs is fenced; the rest runs once somebody has looked", 600, "",               \
      "cts, startup-fencing", "all power is lost, and two of five hosts do not come back")         \
    X(storage_lost_by_all, "storage-lost-by-all",                                                  \
      "no host is reset for 60 s; the next failure is recovered within 30 s", 560, "",             \
      "xen-api, HA", "every host loses the storage, and all see each other")                       \
    X(storage_lost, "storage-lost",                                                                \
      "no host is reset; what has ended is started elsewhere within 90 s", 560, "",                \
      "VMCP; cloudstack#2657", "one host loses one volume")                                        \
    X(storage_loss_rule, "storage-loss-rule",                                                      \
      "restarted elsewhere once, after 40 s and not before; or kept; no host is reset", 660,       \
      "storage-loss-at-once", "VMCP, APD and PDL; oVirt, resume behaviour",                        \
      "a host loses the volumes of two machines with different rules")                             \
    X(start_asked_twice, "start-asked-twice", "it is started once", 500, "",                       \
      "kubevirt#16622; pacemaker, multi1",                                                         \
      "a start is asked for again and again, while the leader changes")                            \
    X(flapping_host, "flapping-host",                                                              \
      "each machine moves at most twice; the host is in quarantine, and says why", 1800,           \
      "host-never-quarantined", "MS, quarantine; measured: PVE moves ten times",                   \
      "a host loses its network five times in 900 s, for 30 s each time")                          \
    X(flapping_host_briefly, "flapping-host-briefly", "no host is lost, and no machine moves",     \
      1700, "", "docs/ha.md, lost",                                                                \
      "a host loses its network five times in 900 s, for less than detection takes")               \
    X(flapping_host_within_lease, "flapping-host-within-lease",                                    \
      "each machine moves at most twice; the host is in quarantine, and says why", 1800,           \
      "host-never-quarantined", "MS, quarantine",                                                  \
      "a host loses its network five times in 900 s, for less than its lease")                     \
    X(flapping_host_unfenced, "flapping-host-unfenced",                                            \
      "each machine moves at most twice; the host is in quarantine, and says why", 1800,           \
      "host-never-quarantined", "MS, quarantine",                                                  \
      "the same for longer than its lease and less than P, and nobody can fence it")               \
    X(flapping_leader, "flapping-leader",                                                          \
      "each machine moves at most twice; the host is in quarantine, and says why", 1800,           \
      "host-never-quarantined", "MS, quarantine",                                                  \
      "the host whose member leads loses its network five times in 900 s, for 30 s each time")     \
    X(crash_loop, "crash-loop", "ten starts, later and later; then it has failed, and stays so",   \
      1360, "", "KubeVirt; Nomad", "a machine dies as soon as it runs")                            \
    X(crash_loop_across_leaders, "crash-loop-across-leaders", "ten starts, whoever leads", 1460,   \
      "backoff-reset-by-leader", "docs/ha.md, restarts",                                           \
      "the same, and the leader changes three times")                                              \
    X(mass_restart, "mass-restart", "four starts at a time, by priority; all run within 30 s",     \
      660, "", "masakari, threads; vSphere, priorities",                                           \
      "a host with eight machines is lost, and two may start at a time on each other")             \
    X(no_host_fits, "no-host-fits",                                                                \
      "it waits, with its reason, and runs within 15 s of the change", 500, "",                    \
      "Proxmox test-recovery1..4", "the only host that a machine may be on is lost")               \
    X(store_stands, "store-stands",                                                                \
      "another one leads within 10 s; no machine and no host is touched", 500, "",                 \
      "Proxmox test-cfs-unavailable1, 2", "the leader's store takes no writes")                    \
    X(daemons_restart, "daemons-restart", "every machine runs on, in its epoch", 500, "",          \
      "Proxmox test-restart-lrm", "each daemon is killed and started, one after another")          \
    X(rolling_upgrade, "rolling-upgrade", "no machine minds; one of a lost host runs within 30 s", \
      500, "", "Proxmox test-group-migrate1..4; docs/store.md",                                    \
      "two of three hosts have the newer release, and one of them is lost")                        \
    X(lock_of_another, "lock-of-another",                                                          \
      "the lock is not broken; it runs within 60 s of its end", 500, "",                           \
      "Proxmox test-locked-service1, 2; kubevirt#16622",                                           \
      "somebody has opened the volume of a machine that is to start")                              \
    X(lock_of_the_dead, "lock-of-the-dead",                                                        \
      "not broken; it runs within 65 s of the lock's end, and has not failed", 760, "",            \
      "Proxmox test-locked-service1, 2; NFSv4 leases",                                             \
      "the storage keeps the lock of a host that was fenced for 70 s")                             \
    X(fenced_host_returns, "fenced-host-returns", "each machine is started once", 500, "",         \
      "Proxmox test-recovery3", "a fenced host comes back while its machines are being started")   \
    X(messages_lost_and_late, "messages-lost-and-late", "its machine runs elsewhere within 120 s", \
      660, "", "booth, netem", "a host is lost on a network that loses, doubles and delays")       \
    X(orderly_power_down, "orderly-power-down",                                                    \
      "nothing is recovered or reset; all run within 30 s when asked", 660, "",                    \
      "Proxmox test-stale-maintenance-node",                                                       \
      "an operator stops all machines, and switches all hosts off")                                \
    X(disk_full_on_leader, "disk-full-on-leader",                                                  \
      "its machines run within 60 s, and nobody else is fenced", 560, "", "cts, DiskAudit",        \
      "the leader's disk is full when a host is lost")                                             \
    X(host_dies_while_moving, "host-dies-while-moving",                                            \
      "it runs on a survivor within 30 s, each time", 660, "", "pacemaker, migrate-fail-2..9",     \
      "a machine is moved, and the host that it leaves dies, and then the one that it goes to")    \
    X(moves_live, "moves-live", "it runs on within 10 s, is started by nobody, and comes back",    \
      560, "", "libvirt, migration v3; pacemaker, migrate_to",                                     \
      "a machine is moved while it runs, there and back")                                          \
    X(host_dies_before_copy, "host-dies-before-copy",                                              \
      "the target's death is nothing to it; after the source's it starts once, within 30 s", 660,  \
      "", "pacemaker, migrate-fail-2..9", "a host dies before the guest is sent")                  \
    X(host_dies_in_copy, "host-dies-in-copy",                                                      \
      "the target's death is nothing to it; after the source's it starts once, within 30 s", 660,  \
      "", "pacemaker, migrate-fail-2..9", "a host dies while the guest is sent")                   \
    X(host_dies_after_copy, "host-dies-after-copy",                                                \
      "it goes on at one of them within 30 s, or starts once", 660, "",                            \
      "pacemaker, migrate-fail-2..9",                                                              \
      "a host dies when the guest was sent, and nothing is decided")                               \
    X(host_dies_after_switch_over, "host-dies-after-switch-over",                                  \
      "the source's death is nothing to it; after the target's it starts once, within 30 s", 660,  \
      "", "pacemaker, migrate-partial-*",                                                          \
      "a host dies when the switch-over is decided, and the guest has not gone on")                \
    X(cut_before_copy, "cut-before-copy", "one copy runs, all the time", 800, "",                  \
      "kubevirt#16622; harvester/docs#856", "a host is cut off before the guest is sent")          \
    X(cut_in_copy, "cut-in-copy", "one copy runs, all the time", 800, "",                          \
      "kubevirt#16622; harvester/docs#856", "a host is cut off while the guest is sent")           \
    X(cut_after_copy, "cut-after-copy", "one copy runs, or none until one is proved to be gone",   \
      800, "", "kubevirt#16622; harvester/docs#856",                                               \
      "a host is cut off when the guest was sent, and nothing is decided")                         \
    X(cut_after_promise, "cut-after-promise", "it goes on at the target within 10 s", 500,         \
      "promise-taken-back", "docs/ha.md, moving, rule 3",                                          \
      "the source is cut off when the leader has heard its promise, and it has heard nothing")     \
    X(cut_after_switch_over, "cut-after-switch-over",                                              \
      "one copy runs, or none until one is proved to be gone", 800, "",                            \
      "pacemaker, migrate-partial-*",                                                              \
      "a host is cut off when the switch-over is decided, and the guest has not gone on")          \
    X(daemon_dies_while_moving, "daemon-dies-while-moving",                                        \
      "it runs on within 60 s, is started by nobody, and can be moved after all", 800,             \
      "target-goes-on-early", "pacemaker#2420; libvirt, recovery of jobs",                         \
      "a daemon dies and starts in each phase of a move, the source's and the target's")           \
    X(leader_dies_while_moving, "leader-dies-while-moving",                                        \
      "it runs on, is started by nobody, and ends up on one of the two", 800, "",                  \
      "docs/ha.md, moving", "the leader, on neither host, dies in each phase of a move")           \
    X(move_called_off, "move-called-off",                                                          \
      "it stays where it is, with an event and a reason, each time", 660, "",                      \
      "libvirt, finish with cancelled",                                                            \
      "a move takes too long, its target does not start, and its guest is not to be sent")         \
    X(move_in_an_earlier_move, "move-in-an-earlier-move",                                          \
      "it runs on, and the next move is made of its own promise", 560, "moved-in-an-earlier-move", \
      "docs/ha.md, moving, rule 4",                                                                \
      "a move is called off when its guest was sent; the source, cut off, is asked for another")   \
    X(stopped_while_moving, "stopped-while-moving", "it is stopped within 60 s, each time", 660,   \
      "", "docs/ha.md, moving", "an operator stops a machine in each phase of its move")           \
    X(guest_hangs, "guest-hangs",                                                                  \
      "it is ended and runs again within 30 s, once; nobody is fenced", 500, "",                   \
      "vSphere, VM monitoring; Nova, masakari-introspectiveinstancemonitor",                       \
      "a guest answers nothing any more, and its process does")                                    \
    X(process_hangs, "process-hangs", "not before mute_ms, within 30 s then, once", 560, "",       \
      "libvirt, keepalive; docs/ha.md, the ladder", "a process of QEMU stands still")              \
    X(guest_slow, "guest-slow", "it runs on, in its epoch", 500, "", "vSphere, VM monitoring",     \
      "a guest under load answers late, some of the time too late")                                \
    X(guest_boots_long, "guest-boots-long", "it is waited for; later it is ended as soon as any",  \
      700, "boot-unprotected", "kubernetes#27114, start-up probes",                                \
      "a guest boots for 200 s, and no start-up check was declared")                               \
    X(guest_unready, "guest-unready", "it is told, and runs on", 500, "unready-is-ended",          \
      "docs/ha.md, the ladder", "a guest fails its readiness for two minutes")                     \
    X(guest_hangs_while_moved, "guest-hangs-while-moved",                                          \
      "it is moved, and counted as no failure", 500, "", "docs/ha.md, the ladder",                 \
      "a guest hangs when it is to be moved")                                                      \
    X(asker_stands_still, "asker-stands-still", "no machine is ended", 600, "",                    \
      "docs/detection.md, pauses",                                                                 \
      "a daemon, or its host, stands still for longer than its checks wait, ten times each")       \
    X(guest_hangs_leader_dies, "guest-hangs-leader-dies", "it runs again within 30 s, once", 500,  \
      "", "docs/ha.md, the ladder", "the leader dies when a guest that hangs has been ended")      \
    X(guests_hang_together, "guests-hang-together",                                                \
      "nobody is ended if it passes; else one at a time, and each once", 900, "",                  \
      "kubernetes, cascading restarts by liveness", "all six guests of a host hang at once")       \
    X(agent_host_lost, "agent-host-lost", "its machine runs elsewhere within 15 s", 500, "",       \
      "docs/ha.md, hosts that do not vote",                                                        \
      "a host that never votes loses its power, and is back")                                      \
    X(agent_voter_dies, "agent-voter-dies", "another serves it within 5 s; no machine minds", 500, \
      "", "docs/ha.md, hosts that do not vote",                                                    \
      "the voter that serves a host which never votes loses its power")                            \
    X(agent_voter_cut_off, "agent-voter-cut-off",                                                  \
      "another serves it within 5 s; no machine minds", 500, "agent-stays-with-its-voter",         \
      "docs/ha.md, hosts that do not vote",                                                        \
      "the voter that serves a host which never votes is cut off from the other voters alone")     \
    X(agent_daemons_restart, "agent-daemons-restart", "its machine runs on, in its epoch", 500,    \
      "", "docs/ha.md, hosts that do not vote",                                                    \
      "the daemon of a host that never votes is killed and started; then those of all voters")

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
