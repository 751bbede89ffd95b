/*
 * Probes: places in the core that simulated runs must reach, or they prove nothing about them.
 * As with mutants (mutant.h), only novacron-sim's copy of the core counts; elsewhere PROBE(x) is
 * nothing. A name says what has just happened where the probe stands.
 */
#ifndef NOVACRON_BASE_PROBE_H
#define NOVACRON_BASE_PROBE_H

#include <stdint.h>

/* enumerator, name, why the default profile does not reach it ("": it must) */
#define PROBE_TABLE(X)                                                                             \
    X(RAFT_PRE_VOTE_REFUSED, "raft: pre-vote refused", "")                                         \
    X(RAFT_PRE_CANDIDATE, "raft: pre-candidate", "")                                               \
    X(RAFT_CANDIDATE, "raft: candidate", "")                                                       \
    X(RAFT_LEADER, "raft: leader", "")                                                             \
    X(RAFT_VOTE_BARRED, "raft: a vote barred by a living leader", "")                              \
    X(RAFT_OLD_LEADER_TOLD, "raft: an old leader told the term", "")                               \
    X(RAFT_OLD_PRE_VOTE_REFUSED, "raft: a pre-vote of an old term refused", "")                    \
    X(RAFT_PROPOSAL_FORWARDED, "raft: a proposal forwarded", "")                                   \
    X(RAFT_LEADER_SUSPECTED, "raft: a leader suspected by its stream", "")                         \
    X(RAFT_IMPAIRED_REFUSES_VOTE, "raft: an impaired node refuses its vote", "")                   \
    X(RAFT_OWN_VOTE_AWAITED, "raft: enough votes, but for its own", "")                            \
    X(RAFT_VOTE_LOST, "raft: an election lost", "")                                                \
    X(RAFT_UNCOMMITTED_LIMIT, "raft: a proposal refused, too much is not committed", "")           \
    X(RAFT_PROPOSAL_DROPPED, "raft: a proposal dropped by a leader", "")                           \
    X(RAFT_PEER_LOAD, "raft: old entries for a peer are asked of the disk", "")                    \
    X(RAFT_REJECTED_BY_TERM, "raft: an append rejected, with a term as hint", "")                  \
    X(RAFT_REJECT_STALE, "raft: a rejection that came late", "")                                   \
    X(RAFT_REPLICATE_TO_PROBE, "raft: a member that replicated is probed", "")                     \
    X(RAFT_PROBE_TO_REPLICATE, "raft: a probe found the place", "")                                \
    X(RAFT_SNAPSHOT_TO_REPLICATE, "raft: a member goes on behind its snapshot", "")                \
    X(RAFT_CHECK_QUORUM_FAILED, "raft: a leader without a quorum steps down", "")                  \
    X(RAFT_READ_LOST, "raft: reads lost with the lead", "")                                        \
    X(RAFT_READ_QUEUE_FULL, "raft: the queue of reads is full", "a run has not so many clients")   \
    X(RAFT_READ_FORWARDED, "raft: a read asked of the leader", "")                                 \
    X(RAFT_READ_WAITED, "raft: reads that waited for the first commit of a term", "")              \
    X(RAFT_TIMEOUT_NOW, "raft: a successor told to campaign", "")                                  \
    X(RAFT_TRANSFER_WAITS, "raft: a transfer waits for the successor to catch up", "")             \
    X(RAFT_PRIORITY_YIELDS, "raft: a leader yields to a higher priority", "")                      \
    X(RAFT_CHANGE_REFUSED, "raft: a change of the members refused", "")                            \
    X(RAFT_JOINT_LEFT, "raft: a joint membership left by itself", "")                              \
    X(RAFT_CONF_TRUNCATED, "raft: a change of the members cut off", "")                            \
    X(RAFT_LEADER_REMOVED, "raft: a leader removed or demoted", "")                                \
    X(RAFT_OFFER_EXPIRED, "raft: an offered snapshot given up", "")                                \
    X(RAFT_FETCH_GOES_ON, "raft: a fetch goes on where an earlier one ended",                      \
      "snapshots of these runs are hardly longer than what is checked at once")                    \
    X(RAFT_FETCH_ASKS_AGAIN, "raft: a fetch asks again for what was lost", "")                     \
    X(RAFT_FETCH_OTHER, "raft: a source has another snapshot that will do", "")                    \
    X(RAFT_FETCH_TURNS, "raft: a fetch turns from its source to the leader", "")                   \
    X(RAFT_SNAPSHOT_KEEPS_LOG, "raft: a snapshot stands in for damage", "")                        \
    X(RAFT_SNAPSHOT_RESTARTS_LOG, "raft: a snapshot replaces the log", "")                         \
    X(RAFT_SNAPSHOT_HELD, "raft: a new snapshot waits while the old is fetched", "")               \
    X(RAFT_REPAIR_FROM_DISK, "raft: bodies for a damaged peer asked of the disk", "")              \
    X(RAFT_REPAIR_BODIES, "raft: damaged bodies replaced", "")                                     \
    X(RAFT_REPAIR_LOG, "raft: a lost log is vouched for again", "")                                \
    X(RAFT_REPAIR_VOTE, "raft: after a lost vote, all terms are known", "")                        \
    X(RAFT_PROGRESS_REGRESSED, "raft: a leader forgets what a member lost", "")                    \
    X(RAFT_IN_SYNC_SHRANK, "raft: a replica left the in-sync set", "")                             \
    X(RAFT_IN_SYNC_GREW, "raft: a replica came into the in-sync set", "")                          \
    X(RAFT_STALLED, "raft: a leader gives up for its disk", "")                                    \
    X(RAFT_CONFLICT, "raft: a follower cuts entries that conflict", "")                            \
    X(RAFT_LOST_ACKED, "raft: a heartbeat knows more than is here", "")                            \
    X(RAFT_BATCHES_FULL, "raft: every batch is on its way", "")                                    \
    X(RAFT_APPLY_LOADED, "raft: committed entries read back to be applied", "")                    \
    X(WAL_DOUBT, "wal: the end in doubt", "")                                                      \
    X(WAL_DAMAGED, "wal: entries damaged", "")                                                     \
    X(WAL_TORN, "wal: a torn end", "")                                                             \
    X(WAL_SECTOR_UNREADABLE, "wal: sectors read one by one", "")                                   \
    X(WAL_ROLLED, "wal: the next segment begun", "")                                               \
    X(WAL_RECYCLED, "wal: an old segment recycled", "")                                            \
    X(WAL_NO_SPACE, "wal: no room for a segment", "")                                              \
    X(SNAPSHOT_PART_FOUND, "snapshot: an earlier transfer found", "")                              \
    X(SNAPSHOT_DISCARDED, "snapshot: one that could not be written removed", "")                   \
    X(NODE_REQUEST_EXPIRED, "node: a request expired", "")                                         \
    X(NODE_REQUEST_SHED, "node: a request refused, too much waits",                                \
      "a run has not so many clients")                                                             \
    X(NODE_PROPOSED_AGAIN, "node: what waits proposed again to a new leader", "")                  \
    X(NODE_READ_TIMED_OUT, "node: a read timed out", "")                                           \
    X(NODE_BOOT_OVERTAKEN, "node: a boot number overtaken", "")                                    \
    X(NODE_SLEPT, "node: the host slept", "")                                                      \
    X(NODE_BATCH_WAITS, "node: a batch waits for the log", "")                                     \
    X(NODE_VOTE_AHEAD, "node: a vote sent ahead of entries without room", "")                      \
    X(NODE_INSTALL_GIVEN_UP, "node: a transfer given up for another",                              \
      "one seed in many thousands")                                                                \
    X(NODE_SNAPSHOT_ABORTED, "node: a snapshot aborted for one that is installed",                 \
      "one seed in many thousands")                                                                \
    X(NODE_HASH_AGREED, "node: a majority has the same hash", "")                                  \
    X(NODE_NO_SNAPSHOT, "node: started without a whole snapshot", "")                              \
    X(NODE_BOOT_DRAWN, "node: a boot number drawn anew", "")                                       \
    X(STORE_DUPLICATE, "store: a duplicate", "")                                                   \
    X(STORE_OUTSIDE, "store: a proposal of an earlier life", "")                                   \
    X(STORE_RECLAIMED, "store: a compacted version freed", "")                                     \
    X(STORE_COOLED, "store: a change became cold", "")                                             \
    X(STORE_KEY_FORGOTTEN, "store: a deleted key forgotten", "")                                   \
    X(STORE_WATCH_OVERTAKEN, "store: a watch canceled by a compaction", "")                        \
    X(STORE_WATCH_MOVED, "store: watches moved to an installed store", "")                         \
    X(STORE_LEASE_DUE, "store: a lease due", "")                                                   \
    X(STORE_RESTORED, "store: a snapshot restored", "")                                            \
    X(RAFT_COMMIT_ALONE, "raft: a commit index that no entries carried", "")                       \
    X(RAFT_READ_VOUCHED, "raft: a read whose asker and leader are a quorum", "")                   \
    X(RAFT_READ_BY_LEASE, "raft: a read under a lease", "")                                        \
    X(RAFT_SUSPENDED_LEADER, "raft: a leader that was suspended", "")                              \
    X(RAFT_FORWARDED_TWICE, "raft: a forwarded proposal forwarded once more", "")                  \
    X(RAFT_TRANSFER_EXPIRED, "raft: a transfer that came to nothing", "")                          \
    X(RAFT_WINDOW_FULL, "raft: the window of a member is full", "")                                \
    X(STORE_LEASE_REARMED, "store: a lease armed anew by a new leader", "")                        \
    X(STORE_EXPIRY_STALE, "store: an expiry of an earlier leader refused", "")                     \
    X(RAFT_AUTO_PROMOTED, "raft: a learner that caught up promoted", "")                           \
    X(RAFT_SILENT_DEMOTED, "raft: a voter that was silent for long demoted", "")                   \
    X(RAFT_JOINT_ENTERED, "raft: a joint membership entered", "")

enum probe {
#define PROBE_ENUM(probe, name, excuse) PROBE_##probe,
    PROBE_TABLE(PROBE_ENUM)
#undef PROBE_ENUM
        PROBES
};

#ifdef NOVACRON_SIM
/* How often each was passed; defined by the program. */
extern uint64_t probe_counts[PROBES];
#define PROBE(probe) ((void)probe_counts[PROBE_##probe]++)
#else
#define PROBE(probe) ((void)0)
#endif

#endif
