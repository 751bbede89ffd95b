/*
 * oracle: watches a cluster of live nodes, and says which of docs/invariants.md was broken first.
 *
 * What lives here: the checks that need to see more than one node, or more than one life of a node.
 * It reads the nodes' private state and never changes it, draws nothing and keeps no clock: a run
 * with an oracle is the run without one. Who may call it: the simulator and tests. What it
 * includes: all of core below it, private headers too.
 *
 *     after each event, on the host where it ran:   oracle_step
 *     from the node's events `sent` and `applied`:  oracle_sent, oracle_applied_entry
 *     when a process begins and ends:               oracle_opened, oracle_closed
 *     now and then, and at the end:                 oracle_full
 *
 * It must see a group from its founding on, and every event of every node: what it does not see it
 * takes for impossible. A step in which nothing changed compares a dozen numbers.
 *
 * HOW IT KNOWS. Every entry of every log is registered by (index, term) with the term before it and
 * a hash of its payload; so two logs that share an entry share, by induction, what is before it
 * (I3). An entry is committed when a leader moves its commit index over it, and at that moment a
 * quorum must have acknowledged it in that term, of which each had it on its disk (I35, I24). The
 * committed entries are the truth, and every commit index, leader, applied entry and state is held
 * against it. Which checks follow is listed, invariant by invariant, in docs/invariants.md.
 *
 * A violation is recorded, with the first one kept; nothing aborts, but the CHECKs of oracle_full
 * (raft_check, node_check, store_check).
 */
#ifndef NOVACRON_CHAOS_ORACLE_H
#define NOVACRON_CHAOS_ORACLE_H

#include "core/node/node.h"

/* Hosts that one oracle watches, at most. */
#define ORACLE_HOSTS_MAX RAFT_MEMBERS_MAX

struct oracle; /* opaque */

struct oracle *oracle_new(uint32_t nodes_max);
void oracle_free(struct oracle *o);

/* What the faults since a host's last life may have taken from its disk; bits. */
enum oracle_lost {
    ORACLE_LOST_NOTHING = 0,
    ORACLE_LOST_TAIL = 1 << 0, /* rot, damage, a lying disk: parts, until they are repaired */
    ORACLE_LOST_ALL = 1 << 1,  /* wiped, replaced, or an older copy of itself */
};

/* Host `i`, from 0, opened a node, which lives until oracle_closed. Its id never changes. Loss that
 * is not over when a node dies is to be told again of the next one. */
void oracle_opened(struct oracle *o, uint32_t i, struct node *node, uint32_t lost);
void oracle_closed(struct oracle *o, uint32_t i);

/* So did the disk of a node that is open; of interest while it is still reading it. */
void oracle_struck(struct oracle *o, uint32_t i, uint32_t lost);

/* An operator made host `i` the only voter (RAFT_EVENT_RECOVER_QUORUM): what was committed and is
 * not in its log is lost, with consent. To be told before the next step. */
void oracle_forced(struct oracle *o, uint32_t i);

/* An event ran on host `i`: checks what it can have touched. */
void oracle_step(struct oracle *o, uint32_t i, nanos now);

/* Everything about every node that is up; slow. */
void oracle_full(struct oracle *o, nanos now);

/* Faults are over and the cluster had its time: every member that is up and no witness holds, and
 * has applied, all that was ever committed (I6), and oracle_full. */
void oracle_converged(struct oracle *o, nanos now);

/* From the node's events of the same names. `term_now` is the node's term. */
void oracle_sent(struct oracle *o, uint32_t i, const struct raft_message *m);
void oracle_applied_entry(struct oracle *o, uint32_t i, const struct raft_entry *e,
                          raft_term term_now);

struct oracle_violation {
    const char *invariant; /* "I4"; a static string */
    char text[512];
    nanos at; /* of the step; the taps know no time and take that of the step before */
    uint32_t host;
};

/* The first one; NULL: none so far. Borrowed until oracle_free. */
const struct oracle_violation *oracle_violation(const struct oracle *o);

/* The truth: entries 1 to this are known to be committed. */
raft_index oracle_committed(const struct oracle *o);

/* Which entry was committed at `index`? The hash is of type and payload, 0 while nobody was seen to
 * hold the payload. False: none that the oracle knows. */
bool oracle_truth(const struct oracle *o, raft_index index, raft_term *ret_term,
                  uint64_t *ret_hash);

/* How often something was checked: what a test must not find to be zero. */
struct oracle_counts {
    uint64_t steps;
    uint64_t changed; /* of those, the ones in which something was new */
    uint64_t leaders;
    uint64_t commits; /* moves of a leader's commit index that were counted */
    uint64_t acks;
    uint64_t votes;
    uint64_t truncations;
    uint64_t installs;  /* a state replaced by a snapshot's */
    uint64_t lives;     /* that began */
    uint64_t recovered; /* of those, after a loss of nothing: held against what was promised */
    uint64_t states;    /* store hashes compared */
    uint64_t copies;    /* of proposals applied before */
    uint64_t memberships;
    uint64_t in_sync; /* commits under a witness */
};
struct oracle_counts oracle_counts(const struct oracle *o);

#endif
