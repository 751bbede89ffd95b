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
#include "tests/core/consensus/script_message.h"

/* One tick of etcd-raft. */
#define SCRIPT_TICK (100 * NANOS_PER_MS)

/* What survives a restart. */
struct script_disk {
    struct raft_hard_state hard_state;
    raft_index base; /* the entries follow this one, which is compacted or in a snapshot */
    raft_term base_term;
    struct entry_list entries;
};

struct script_node {
    node_id id;
    struct raft_config config;
    bool async;
    struct raft *raft;
    nanos now;
    struct script_disk disk;
    struct raft_snapshot applied; /* the state machine, and what a snapshot of it would be */
    raft_index unstable;          /* where the part begins that etcd-raft counts as not durable */
    struct script_queue append_work;
    struct script_queue apply_work;
};

/* A node that begins with `snapshot` (index 0: with nothing) and an empty log. */
struct script_node *script_node_new(const struct raft_config *config, bool async,
                                    const struct raft_snapshot *snapshot);
void script_node_free(struct script_node *n);

/* Steps at the node's present time, and checks the core's invariants. */
enum err script_node_step(struct script_node *n, struct raft_event e);

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

raft_index script_disk_last(const struct script_disk *d);

#endif
