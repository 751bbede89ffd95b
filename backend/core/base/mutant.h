/*
 * Mutants: famous bugs that can be switched on, one at a time, to prove that the simulator finds
 * them. Only the program novacron-sim has them: its copy of the core is compiled with
 * NOVACRON_SIM. Everywhere else MUTANT(x) is the constant false and leaves no trace in an object
 * (scripts/tidy_symbols.py looks).
 *
 * A site is one condition in the code that the bug is about: `if (fits && !MUTANT(X))`. It may bend
 * what the code decides, and nothing else; whatever more a bug needs does not belong here.
 */
#ifndef NOVACRON_BASE_MUTANT_H
#define NOVACRON_BASE_MUTANT_H

#include <stdbool.h>
#include <stdint.h>

/* enumerator, name, the profile whose seeds are tried, the bug, where it was seen (a row of the
 * scenarios in docs/scenarios.md, a project's issue, a key of docs/references.md) */
#define MUTANT_TABLE(X)                                                                            \
    X(OLD_TERM_COMMIT, "fig8-old-term-commit", "default",                                          \
      "a leader commits entries of earlier terms by counting",                                     \
      "[Ongaro14] fig. 3.7; PySyncObj#169")                                                        \
    X(COMMIT_UNSORTED, "commit-without-quorum", "default",                                         \
      "the median of acknowledgements is taken of an unsorted list", "openraft#1802")              \
    X(LEARNERS_COUNT, "learners-count", "members", "learners count for commits",                   \
      "etcd#10998, turned round")                                                                  \
    X(JOINT_ONE_HALF, "joint-one-half", "members",                                                 \
      "a joint configuration decides by its new half alone", "[Ongaro14] §4.3")                    \
    X(WITNESS_AS_REPLICA, "witness-as-replica", "witness",                                         \
      "a witness counts like a replica with data", "docs/raft.md, rule 2")                         \
    X(HEARTBEAT_COMMIT, "heartbeat-commit", "default",                                             \
      "heartbeats tell a commit index beyond what the member is known to share",                   \
      "etcd-raft, Progress.Match")                                                                 \
    X(APPLY_UNCOMMITTED, "apply-uncommitted", "default",                                           \
      "entries are applied before they are committed", "[Ongaro14] §3.5")                          \
    X(LATE_WRITE_COUNTS, "late-write-counts", "leader",                                            \
      "what a write covered counts as durable though it was cut meanwhile",                        \
      "docs/raft.md, raft_batch")                                                                  \
    X(LATE_VOTE_COUNTS, "late-vote-counts", "leader", "a vote of an earlier term counts",          \
      "[Ongaro14] §3.4")                                                                           \
    X(PRE_VOTE_COUNTS, "pre-vote-counts", "default",                                               \
      "a pre-vote that comes late counts as a vote", "[Ongaro14] §9.6")                            \
    X(VOTE_TWICE, "double-vote-after-stepdown", "default",                                         \
      "stepping down clears the vote of the same term", "CCF#5891; hazelcast#16643")               \
    X(VOTE_FOR_ANY_LOG, "vote-for-any-log", "default",                                             \
      "a vote is granted whatever the candidate's log", "[Ongaro14] §3.6.1")                       \
    X(VOTE_BEFORE_SYNC, "vote-before-sync", "disk", "a vote is answered before it is on the disk", \
      "[Ongaro14] §3.8")                                                                           \
    X(OWN_VOTE_BEFORE_SYNC, "own-vote-before-sync", "disk",                                        \
      "a candidate asks, and leads, before its own vote is on the disk", "docs/track-record.md")   \
    X(TERM_NOT_PERSISTED, "term-not-persisted", "disk",                                            \
      "term and vote are written with entries alone", "[Ongaro14] fig. 3.1")                       \
    X(ACK_BEFORE_SYNC, "ack-before-sync", "disk",                                                  \
      "a follower acknowledges before its disk has it", "lazyfs-unfsynced; etcd#14140")            \
    X(OWN_ACK_BEFORE_SYNC, "single-node-ack-before-fsync", "default",                              \
      "a leader counts itself before its disk has it", "etcd#14370")                               \
    X(LEADER_TRUNCATES, "leader-truncates", "default",                                             \
      "a new leader drops what it does not know to be committed", "[Ongaro14] fig. 3.2")           \
    X(LATE_APPEND_TRUNCATES, "snapshot-delayed-append", "leader",                                  \
      "an append that comes late cuts the log at its end", "willemt/raft#118 (1)")                 \
    X(APPEND_UNMATCHED, "append-unmatched", "leader",                                              \
      "a follower appends where the entry before does not match", "[Ongaro14] §3.5")               \
    X(CHANGE_BY_FRESH_LEADER, "single-server-reconfig", "members",                                 \
      "a leader changes the members before it has committed in its term", "[Ongaro15]")            \
    X(TWO_CHANGES_AT_ONCE, "two-changes-at-once", "members",                                       \
      "a change of the members is taken while another is under way", "[Ongaro14] §4.1")            \
    X(UNAPPLIED_CONF_CAMPAIGN, "unapplied-conf-campaign", "members",                               \
      "a node campaigns though a committed change is not applied yet", "etcd-raft#456")            \
    X(JOINT_LEFT_BEHIND, "concurrent-joint-left-behind", "members",                                \
      "nobody leaves a joint configuration", "openraft, joint-consensus.md")                       \
    X(IMPAIRED_VOTES, "impaired-votes", "disk", "a node that cannot vouch for its log votes",      \
      "[Alagappan18]")                                                                             \
    X(AMNESIAC_VOTER, "amnesiac-voter", "disk",                                                    \
      "a member with an empty disk takes part as if it were whole", "etcd-raft#25")                \
    X(DAMAGE_TRUNCATED, "corrupt-committed-prefix", "disk",                                        \
      "a log is cut at its first damaged entry, and vouched for", "NuRaft#185; braft")             \
    X(DOUBT_TAKEN_FOR_TORN, "doubt-taken-for-torn", "disk",                                        \
      "an unreadable end counts as a write that was interrupted", "[Alagappan18]")                 \
    X(DAMAGE_ACKNOWLEDGED, "damage-acknowledged", "disk",                                          \
      "entries are acknowledged though one before them is damaged", "[Alagappan18]")               \
    X(WITNESS_LEADS, "witness-leads", "witness", "a witness campaigns", "docs/raft.md, rule 3")    \
    X(LAGGING_REPLICA_LEADS, "lagging-replica-leads", "witness",                                   \
      "a replica that is not in sync campaigns", "docs/raft.md, rule 3")                           \
    X(READ_BY_FRESH_LEADER, "readindex-fresh-leader", "leader",                                    \
      "ReadIndex before the leader has committed in its term", "etcd#7331")                        \
    X(READ_WITHOUT_ROUND, "readindex-without-round", "default",                                    \
      "a leader answers reads without asking a quorum", "[Ongaro14] §6.4")                         \
    X(READ_BY_OLD_ANSWER, "readindex-retry-stale", "leader",                                       \
      "an answer to an earlier round confirms the reads of a later one",                           \
      "etcd#20418; etcd-raft#397")                                                                 \
    X(READ_BEFORE_APPLY, "read-before-apply", "default",                                           \
      "a read is answered before its index is applied", "[Ongaro14] §6.4")                         \
    X(FOLLOWER_READS_LOCALLY, "follower-reads-locally", "default",                                 \
      "a follower answers reads from what it has", "[Ongaro14] §6.4")                              \
    X(LEASE_TOO_LONG, "lease-vs-timer", "clock", "a leader's lease outlasts the voters' timers",   \
      "sofa-jraft#34")                                                                             \
    X(LEASE_OVER_TRANSFER, "lease-over-transfer", "leader",                                        \
      "a lease is kept while the lead is handed over", "[Ongaro14] §6.4.1")                        \
    X(LEASE_FORGOTTEN_BY_VOTER, "lease-not-renewed-on-vote", "leader",                             \
      "a voter forgets over a restart that it promised to wait", "braft#405")                      \
    X(SNAPSHOT_LOWERS_TERM, "snapshot-lowers-term", "default",                                     \
      "a snapshot's term becomes the node's", "willemt/raft#118 (4)")                              \
    X(SNAPSHOT_OVER_NEWER_LOG, "snapshot-over-newer-log", "default",                               \
      "a snapshot replaces a log that already has all of it", "[Ongaro14] §5.1")                   \
    X(SNAPSHOT_AHEAD_OF_LOG, "snapshot-ahead-of-log", "disk",                                      \
      "the log begins behind a snapshot before it has the entries that it stands for",             \
      "docs/track-record.md")                                                                      \
    X(SNAPSHOT_UNSYNCED, "snapshot-unsynced", "disk",                                              \
      "a snapshot gets its name before its bytes are durable", "[Pillai14]")                       \
    X(SNAPSHOT_NAME_UNSYNCED, "snapshot-name-unsynced", "disk",                                    \
      "the directory is not synced after a snapshot was renamed", "[Pillai14]")                    \
    X(OFFER_NEVER_ENDS, "crashed-mid-snapshot", "default",                                         \
      "a leader waits for ever for a member that fetches a snapshot", "dgraph#2707")               \
    X(APPLIED_WITHOUT_DATA, "applied-index-not-atomic", "disk",                                    \
      "after a restart, what was known as committed counts as applied", "etcd#13766")              \
    X(SYNC_FAILURE_IGNORED, "fsyncgate", "disk",                                                   \
      "a failed write or sync of the log counts as durable", "[Rebello20]")                        \
    X(NO_SPACE_IGNORED, "no-space-ignored", "disk",                                                \
      "a block of a snapshot that found no room on the disk counts as written", "[Pillai14]")      \
    X(SEGMENT_RECYCLED_EARLY, "segment-recycled-early", "disk",                                    \
      "a segment is given up while its entries are needed", "[Pillai14]")                          \
    X(BOOT_REUSED, "boot-number-reused", "default",                                                \
      "a restarted node numbers its requests as in its earlier life", "docs/node.md")              \
    X(RETRY_WITH_NEW_NUMBER, "retry-with-new-number", "default",                                   \
      "a proposal that is sent again gets a new number", "docs/formats/payload-envelope.md")       \
    X(PROPOSAL_APPLIED_TWICE, "proposal-applied-twice", "default",                                 \
      "the store does not remember what it has applied", "docs/formats/payload-envelope.md")       \
    X(KV_LEASE_NOT_REARMED, "kv-lease-not-rearmed", "default",                                     \
      "a new leader does not give leases their whole time", "etcd, lease promotion")               \
    X(KV_LEASE_OLD_EXPIRY, "kv-lease-old-expiry", "network",                                       \
      "an expiry that an earlier leader proposed still counts", "docs/store.md")                   \
    X(WATCH_SKIPS_HISTORY, "watch-skips-history", "default",                                       \
      "a watch that goes on elsewhere misses what happened meanwhile", "etcd, unsynced watchers")  \
    X(WATCH_REPEATS, "watch-repeats", "default",                                                   \
      "a watch is told a change again when its store is replaced", "etcd, restored watchers")      \
    X(STALL_IGNORED, "disk-stall-leader", "disk", "a leader whose disk stands keeps the lead",     \
      "hashicorp/raft#503")                                                                        \
    X(NO_CHECK_QUORUM, "frozen-leader-two-leaders", "default",                                     \
      "a leader that hears nobody goes on leading", "etcd#13527")                                  \
    X(DISRUPTIVE_CANDIDATE, "joint-2014-liveness", "members",                                      \
      "no pre-vote, and voters listen to whoever campaigns", "[Ongaro14] §4.2.3")                  \
    X(OLD_TERM_MET_WITH_SILENCE, "prevote-two-alive-deadlock", "leader",                           \
      "nobody tells a node of an old term, or a leader deposed, about the new one",                \
      "hashicorp/raft#605")                                                                        \
    X(PROBE_NEVER_RESUMES, "probe-never-resumes", "network",                                       \
      "a probe that was lost is never sent again", "etcd-raft, MsgAppFlowPaused")                  \
    X(TRANSFER_NEVER_ENDS, "transfer-never-ends", "leader",                                        \
      "a transfer to a member that does not come to it blocks writes for ever",                    \
      "[Ongaro14] §3.10")                                                                          \
    X(LATE_ACK_COUNTS, "async-append-aba", "leader",                                               \
      "an acknowledgement of an earlier term counts", "etcd-raft testdata")                        \
    X(COMMIT_BEYOND_APPEND, "snapshot-boundary-empty-append", "leader",                            \
      "a follower commits what the append did not cover",                                          \
      "willemt/raft#118 (2, 8); RedisLabs/raft#49")                                                \
    X(FETCHED_SNAPSHOT_REPLACED, "far-behind-snapshot-loop", "default",                            \
      "a snapshot is replaced while a member fetches it", "hashicorp/raft#212; braft#423")         \
    X(HA_START_UNPROVED, "start-before-fence", "ha",                                               \
      "a machine starts elsewhere once its host is lost, before the fence is confirmed",           \
      "pacemaker#665; cloudstack#13589")                                                           \
    X(HA_ALREADY_OFF, "already-off-unreached", "ha",                                               \
      "a device that nobody has reached is believed to have switched its host off already",        \
      "fence-agents#596; infra-operator#434")                                                      \
    X(HA_OFF_NOT_READ, "fence-not-read-back", "ha",                                                \
      "a device that says that it has switched is believed, and the power not read",               \
      "fence-agents#68; baremetal-operator#290")                                                   \
    X(HA_UNKNOWN_IS_OFF, "unknown-is-off", "ha", "a device that cannot tell counts as off",        \
      "FenceAgentAPI: status 1")                                                                   \
    X(HA_FLIGHT_IGNORED, "flight-ignored", "ha",                                                   \
      "what a fenced host had sent to its storage is not waited for", "docs/ha.md, proofs")        \
    X(HA_LEASE_FROM_ANSWER, "lease-from-answer", "ha",                                             \
      "a host counts its lease from when the answer came", "docs/ha.md, the lease, rule 3")        \
    X(HA_NO_TAKEOVER_WAIT, "takeover-without-wait", "ha",                                          \
      "a new leader counts no lease that the one before has granted",                              \
      "docs/ha.md, the lease, rule 5")                                                             \
    X(HA_KEEP_EXPIRES, "keep-counted-by-time", "ha",                                               \
      "time proves the end of a machine that runs on without a lease", "docs/ha.md, proofs")       \
    X(HA_WALL_LEASE, "lease-by-wall-clock", "ha", "a leader measures leases by the wall clock",    \
      "Proxmox watchdog-mux; systemd#9538")                                                        \
    X(HA_STALE_REPORT, "stale-report-proves", "ha",                                                \
      "that an earlier epoch has stopped counts for the present one", "docs/ha.md, epochs")        \
    X(HA_BACKOFF_RESET, "backoff-reset-by-leader", "ha",                                           \
      "a new leader counts the failures of a machine from none", "docs/ha.md, restarts")           \
    X(HA_TARGET_EAGER, "target-goes-on-early", "ha",                                               \
      "a guest that was moved goes on at its new host before the switch-over is decided",          \
      "kubevirt#16622")                                                                            \
    X(HA_PROMISE_TAKEN_BACK, "promise-taken-back", "ha",                                           \
      "a guest that was moved goes on at its old host while nobody has confirmed hearing of it",   \
      "docs/ha.md, moving, rule 3")                                                                \
    X(HA_MOVED_EARLIER, "moved-in-an-earlier-move", "ha",                                          \
      "that a guest was moved counts for a later move of it", "docs/ha.md, moving, rule 4")        \
    X(HA_UNREADY_ENDS, "unready-is-ended", "ha",                                                   \
      "a machine that fails its readiness is ended, as if that were its liveness",                 \
      "docs/ha.md, the ladder")                                                                    \
    X(HA_BOOT_UNPROTECTED, "boot-unprotected", "ha",                                               \
      "a guest that still boots is ended, since it does not answer yet", "docs/ha.md, the ladder") \
    X(HA_STORM_UNCAPPED, "fence-storm-uncapped", "ha", "as many hosts are fenced as seem lost",    \
      "corosync#705; kubernetes/community#1416")                                                   \
    X(HA_NO_QUARANTINE, "host-never-quarantined", "ha",                                            \
      "a host that is lost again and again gets machines as if it never was",                      \
      "Microsoft failover clusters, quarantine")                                                   \
    X(HA_TAKEN_OVER_AT_ONCE, "taken-over-fences-at-once", "ha",                                    \
      "a new leader begins all fences that it takes over at once", "docs/ha.md, fencing one host") \
    X(HA_RACE_IGNORED, "fence-race-ignored", "ha",                                                 \
      "who was being fenced is heard, and whoever began it is fenced at once", "pacemaker#639")    \
    X(HA_OFF_UNCONFIRMED, "off-after-a-delay-unconfirmed", "ha",                                   \
      "a leader that has waited before a fence does not ask whether it still leads",               \
      "pacemaker, priority-fencing-delay; docs/ha.md, fence races")                                \
    X(HA_STORAGE_IMPATIENT, "storage-loss-at-once", "ha",                                          \
      "a machine whose storage fails is ended without the delay of its rule",                      \
      "VMCP, delay for APD; docs/ha.md, storages")                                                 \
    X(HA_AGENT_STAYS, "agent-stays-with-its-voter", "ha",                                          \
      "an agent stays with a voter through which it finds no leader",                              \
      "docs/ha.md, hosts that do not vote")

enum mutant {
    MUTANT_NONE,
#define MUTANT_ENUM(mutant, name, profile, bug, seen) MUTANT_##mutant,
    MUTANT_TABLE(MUTANT_ENUM)
#undef MUTANT_ENUM
        MUTANTS
};

#ifdef NOVACRON_SIM
/* The one that is switched on; defined by the program. */
extern enum mutant mutant_active;
#define MUTANT(mutant) __builtin_expect(mutant_active == MUTANT_##mutant, 0)
#else
#define MUTANT(mutant) false
#endif

#endif
