/*
 * One node of a script: a core, a disk in memory, a state machine that only remembers how far it
 * has come, and a clock that moves when the script says so.
 *
 * It is the smallest driver that raft.h describes. In the plain mode an update is carried out
 * whole. With `async`, what goes to the disk and to the state machine becomes work, which the
 * script has done when it likes, and whose completions travel like messages.
 */
#ifndef NOVACRON_TESTS_SCRIPT_NODE_H
#define NOVACRON_TESTS_SCRIPT_NODE_H

#include "core/consensus/raft/raft.h"
#include "tests/core/consensus/script_disk.h"
#include "tests/core/consensus/script_message.h"

/* One tick of etcd-raft. */
#define SCRIPT_TICK (100 * NANOS_PER_MS)

/* What a node is made from. */
struct script_plan {
    struct raft_config config;
    struct raft_snapshot snapshot; /* what it begins with; index 0: nothing */
    bool async;
    bool asks_at_once;       /* requests for votes leave before the disk, as etcd-raft's do */
    bool takes_snapshots;    /* only when told; otherwise the applied state always is one */
    uint64_t snapshot_bytes; /* of those that it is told to take */
};

struct script_node {
    node_id id;
    struct script_plan plan;
    struct raft *raft;
    nanos now;
    uint64_t boots;
    struct script_disk disk;
    struct raft_snapshot applied; /* the state machine, and what a snapshot of it would be */
    raft_index unstable;          /* where the part begins that etcd-raft counts as not durable */
    struct script_queue append_work;
    struct script_queue apply_work;
    nanos disk_stalled; /* since when the disk does not answer; 0: it does */
    bool apply_stalled;
    struct entry_list loaded; /* entries that were read back, until the next ones are */
    struct buf news;          /* what script_print_news said since somebody looked */
};

struct script_node *script_node_new(const struct script_plan *plan);
void script_node_free(struct script_node *n);

/* Starts anew with what is on its disk. */
struct script_loss {
    bool vote;       /* the disk lost the term and vote */
    raft_index from; /* and the log from here on; 0: it did not */
};
enum err script_node_restart(struct script_node *n, const struct script_loss *loss);

/* Steps at the node's present time, and checks the core's invariants. */
enum err script_node_step(struct script_node *n, struct raft_event e);

/* Lets time pass, and tells how long the disk has been standing. */
void script_node_advance(struct script_node *n, nanos span);

/* Takes an update, prints it, and carries it out. What it sends goes behind `network`. */
void script_node_ready(struct script_node *n, struct script_queue *network, struct buf *out);

/* Carries out the oldest piece of work, prints it, and sends what it is answered with. */
void script_node_append_thread(struct script_node *n, struct script_queue *network,
                               struct buf *out);
void script_node_apply_thread(struct script_node *n, struct script_queue *network, struct buf *out);

/* Delivers a message to this node, and frees it. */
enum err script_node_receive(struct script_node *n, struct script_message *m);

/* Forgets the log up to `index`. False where it is gone already, or not there yet. */
bool script_node_compact(struct script_node *n, raft_index index);

/* Takes a snapshot of the state machine. */
void script_node_take_snapshot(struct script_node *n);

#endif
