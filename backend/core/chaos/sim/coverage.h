/*
 * What runs have reached: faults carried out, and states of nodes and clusters. Runs that never
 * reached something prove nothing about it; over many seeds each must have been reached.
 */
#ifndef NOVACRON_CHAOS_SIM_COVERAGE_H
#define NOVACRON_CHAOS_SIM_COVERAGE_H

#include "core/chaos/sim/inject.h"

/* enumerator, name, what was seen */
#define REACHED_TABLE(X)                                                                           \
    X(REACHED_ELECTION, "election", "a leader was elected")                                        \
    X(REACHED_REELECTION, "re-election", "another one, after the first")                           \
    X(REACHED_STEP_DOWN, "step-down", "a leader lost its role while it lived")                     \
    X(REACHED_SNAPSHOT_TAKEN, "snapshot-taken", "a node has a snapshot beyond the founding one")   \
    X(REACHED_INSTALLED, "snapshot-installed", "a node installed another's snapshot")              \
    X(REACHED_JOINT, "joint", "the configuration was joint")                                       \
    X(REACHED_LEARNER, "learner", "a learner was a member")                                        \
    X(REACHED_PROMOTED, "promoted", "a learner became a voter")                                    \
    X(REACHED_REMOVED, "removed", "a member was removed")                                          \
    X(REACHED_FIVE_VOTERS, "five-voters", "five or more voted")                                    \
    X(REACHED_WITNESS, "witness", "a witness was a member")                                        \
    X(REACHED_EXPOSED, "exposed", "the in-sync set had shrunk")                                    \
    X(REACHED_IN_SYNC_GREW, "in-sync-grew", "and was whole again")                                 \
    X(REACHED_IMPAIRED, "impaired", "a node could not vouch for its log")                          \
    X(REACHED_REPAIRED, "repaired", "and was repaired")                                            \
    X(REACHED_STALLED, "stalled", "a leader gave up because its disk stood")                       \
    X(REACHED_NO_SPACE, "no-space", "a node had no room on its disk")                              \
    X(REACHED_SPACE_AGAIN, "space-again", "and had room again")                                    \
    X(REACHED_HALTED, "halted", "a node halted after a failed write or sync")                      \
    X(REACHED_TRANSFER, "transfer", "leadership was handed over as asked")                         \
    X(REACHED_LEASE_READS, "lease-reads", "reads under a leader's lease were allowed")             \
    X(REACHED_QUORUM_LOST, "quorum-lost", "nobody led for two seconds")                            \
    X(REACHED_ALL_DOWN, "all-down", "no process ran")                                              \
    X(REACHED_UNKNOWN, "unknown-outcome", "a client does not know whether its write happened")     \
    X(REACHED_SWAPPED, "swapped", "a compare-and-set succeeded")                                   \
    X(REACHED_NOT_SWAPPED, "not-swapped", "a compare-and-set found another value")                 \
    X(REACHED_COMPACTED, "compacted", "the store's history was compacted")                         \
    X(REACHED_RAISED, "level-raised", "after an upgrade, the newer release's level")               \
    X(REACHED_WATCHED, "watched", "a watch delivered an event")                                    \
    X(REACHED_WATCH_MOVED, "watch-moved", "a watch went on at another member")                     \
    X(REACHED_LEASE_KEPT, "lease-kept", "a key's lease was renewed")                               \
    X(REACHED_LEASE_ENDED, "lease-ended", "a key's lease ran out")                                 \
    X(REACHED_VM_RESTARTED, "vm-restarted", "a machine that had ended started again")              \
    X(REACHED_VM_MOVED, "vm-moved", "a machine was moved while it ran")                            \
    X(REACHED_VM_NOT_MOVED, "vm-not-moved", "a move was called off, and its machine ran on")       \
    X(REACHED_VM_FENCED, "vm-fenced", "a machine started elsewhere, by a fence")                   \
    X(REACHED_VM_EXPIRED, "vm-expired", "a machine started elsewhere, by time")                    \
    X(REACHED_VM_UNWELL, "vm-unwell", "a guest that failed its liveness was ended")                \
    X(REACHED_VM_HUNG, "vm-hung", "a process that did not answer was ended")                       \
    X(REACHED_AGENT_SERVED, "agent-served", "a host that does not vote was served by a voter")     \
    X(REACHED_AGENT_MOVED, "agent-moved", "and by another, when that one was of no use")           \
    X(REACHED_CORE_ONLY, "core-only", "only a quorum came back, and that was enough")              \
    X(REACHED_BEYOND, "beyond-model", "the group came to rely on a disk that was damaged")         \
    X(REACHED_VERDICT_EMPTY, "start-empty", "a start found an empty disk of a new node")           \
    X(REACHED_VERDICT_CLEAN, "start-clean", "a start found everything")                            \
    X(REACHED_VERDICT_TORN, "start-torn-tail", "a start dropped a torn write")                     \
    X(REACHED_VERDICT_HEALED, "start-healed", "a start healed damage by itself")                   \
    X(REACHED_VERDICT_DAMAGED, "start-damaged", "a start found entries lost")                      \
    X(REACHED_VERDICT_WIPED, "start-wiped", "a start found a member's disk empty")

enum reached {
#define REACHED_ENUM(name, text, help) name,
    REACHED_TABLE(REACHED_ENUM)
#undef REACHED_ENUM
        REACHED_STATES
};

struct coverage {
    uint64_t faults[FAULT_KINDS][INJECT_OUTCOMES];
    uint64_t reached[REACHED_STATES];
};

const char *reached_name(enum reached state);
const char *reached_help(enum reached state);

/* Adds one run's to those of others. */
void coverage_add(struct coverage *sum, const struct coverage *run);

/* What no run has reached: appends their names, separated by spaces; returns how many. Faults that
 * are for scripts only do not count. */
size_t coverage_missing(const struct coverage *sum, struct buf *out);

#endif
