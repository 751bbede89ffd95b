/*
 * A cluster of Raft cores in memory: a network that delays, loses, repeats and reorders, disks that
 * forget what was not synced, a state machine, and an oracle that knows what must never happen.
 *
 * Everything is drawn from one seed, and messages travel as bytes, through the codec. The oracle
 * checks, after every step of every node:
 *
 *   Election Safety         at most one leader a term
 *   Leader Completeness     a new leader's log holds every entry ever committed
 *   State Machine Safety    no two nodes apply different entries at an index
 *   Linearizable reads      a read sees everything that was committed when it was asked
 *   No double vote          a node's durable votes in a term are for one candidate
 */
#ifndef NOVACRON_TESTS_SUPPORT_RAFT_CLUSTER_H
#define NOVACRON_TESTS_SUPPORT_RAFT_CLUSTER_H

#include "core/base/buf.h"
#include "core/base/prng.h"
#include "core/consensus/raft/raft.h"
#include "core/consensus/raft/raft_log.h"

#define CLUSTER_NODES_MAX 9

/* How the world misbehaves; all chances are in a thousand. */
struct cluster_faults {
    uint32_t loss;
    uint32_t duplicate;
    uint32_t late; /* a message that arrives up to ten election timeouts later */
    nanos latency_min;
    nanos latency_max;
    nanos disk_min;
    nanos disk_max;
    uint32_t clock_ppm; /* clocks run at most this fast or slow */
};

struct cluster_entry {
    raft_term term;
    enum raft_entry_type type;
    uint8_t *payload; /* owned */
    size_t len;
    bool damaged;
    raft_term known_in; /* oracle: the term of the node that first knew it to be committed */
};

/* What a node's disk holds for sure. */
struct cluster_disk {
    struct raft_hard_state hard_state;
    struct raft_snapshot snapshot;
    struct cluster_entry *log; /* log[i] is entry snapshot.index + 1 + i */
    size_t len;
    size_t cap;
    bool lost_vote;
    raft_index lost_from;
    struct raft_snapshot partial; /* a snapshot being fetched: its name ... */
    uint64_t partial_bytes;       /* ... and how much of it is here */
};

/* A batch that the disk is writing. */
struct cluster_write {
    uint64_t seq;
    nanos done;
    bool has_hard_state;
    struct raft_hard_state hard_state;
    bool install;
    bool install_keeps_log;
    struct raft_snapshot snapshot;
    raft_index first;
    struct cluster_entry *entries;
    uint32_t n;
    struct cluster_entry *repairs;
    raft_index *repair_index;
    uint32_t repair_count;
    struct buf *messages; /* encoded, to be sent when it is durable */
    uint32_t message_count;
    struct cluster_write *next;
};

struct cluster_read {
    uint64_t id;
    raft_index floor; /* what had been committed, anywhere, when it was asked */
    struct cluster_read *next;
};

struct cluster_node {
    node_id id;
    bool up;
    bool disk_stuck;
    bool witness; /* is, or was, one: its log has no payloads */
    bool frozen;  /* receives no events, as under SIGSTOP */
    struct raft *raft;
    struct raft_config cfg;
    uint64_t boots;
    struct cluster_disk disk;
    struct cluster_write *writes; /* oldest first */
    raft_index applied;           /* of the state machine; starts at the snapshot after a crash */
    struct raft_membership membership; /* as of `applied` */
    nanos deadline;
    int64_t clock_ppm;
    nanos clock_offset;
    raft_term led_term;
    struct cluster_read *reads;
    uint64_t reads_done;
};

struct cluster_message {
    nanos at;
    uint64_t order;
    node_id from;
    node_id to;
    struct buf bytes;
};

struct cluster_vote {
    node_id voter;
    raft_term term;
    node_id candidate;
};

struct cluster {
    struct prng prng;
    nanos now;
    uint64_t order;
    struct cluster_faults faults;
    struct cluster_node node[CLUSTER_NODES_MAX]; /* node[i] has id i + 1 */
    uint32_t n;
    bool cut[CLUSTER_NODES_MAX + 1][CLUSTER_NODES_MAX + 1]; /* [from][to] */
    struct cluster_message *queue;                          /* a heap by (at, order) */
    size_t queue_len, queue_cap;

    /* the oracle */
    node_id *leader_of; /* by term */
    size_t leader_cap;
    struct cluster_entry *truth; /* every entry committed anywhere, by index - 1 */
    size_t truth_len, truth_cap;
    struct cluster_vote *votes;
    size_t vote_count, vote_cap;
    uint64_t events;
    uint64_t elections;
    uint64_t snapshots_installed;
    uint64_t repairs;
    uint64_t proposals;
    uint64_t reads;
    bool trace;
    /* Applies to every node that is created; may be changed before cluster_boot. */
    void (*configure)(struct raft_config *c);
    uint64_t snapshot_bytes; /* of a snapshot's body */
};

void cluster_init(struct cluster *c, uint64_t seed, uint32_t n);
void cluster_deinit(struct cluster *c);

/* Starts the nodes of `ms` with empty disks and this membership. */
void cluster_boot(struct cluster *c, const struct raft_membership *ms);

/* Starts one node with an empty disk, which knows of nobody. */
void cluster_boot_blank(struct cluster *c, node_id id);

/* Stops a node at once; a random part of its unfinished writes reaches the disk, in order. */
void cluster_crash(struct cluster *c, node_id id);
void cluster_restart(struct cluster *c, node_id id);

/* Empties a stopped node's disk; it will know only that it was a member. */
void cluster_wipe(struct cluster *c, node_id id);
/* Damages the bodies of [first, last] on a stopped node's disk. */
void cluster_damage(struct cluster *c, node_id id, raft_index first, raft_index last);
/* Loses a stopped node's log from `from` on. */
void cluster_lose_log(struct cluster *c, node_id id, raft_index from);

/* Runs until `span` has passed. */
void cluster_run(struct cluster *c, nanos span);

/* Runs until somebody leads in the highest term, or `limit` has passed; the leader or NODE_NONE. */
node_id cluster_elect(struct cluster *c, nanos limit);
node_id cluster_leader(const struct cluster *c);

struct cluster_node *cluster_node(struct cluster *c, node_id id);
enum err cluster_step(struct cluster *c, node_id id, const struct raft_event *e);
enum err cluster_propose(struct cluster *c, node_id id, uint64_t value);
enum err cluster_read(struct cluster *c, node_id id);
enum err cluster_change(struct cluster *c, node_id id, enum raft_conf_op op, node_id node);
/* Takes a snapshot of what a node has applied, and compacts its log behind it. */
void cluster_snapshot(struct cluster *c, node_id id, raft_index tail);

void cluster_heal(struct cluster *c);
void cluster_cut(struct cluster *c, node_id from, node_id to, bool cut);

/* The clock of a node. */
nanos cluster_clock(const struct cluster *c, const struct cluster_node *node);

/* The number of entries committed anywhere. */
raft_index cluster_committed(const struct cluster *c);

#endif
