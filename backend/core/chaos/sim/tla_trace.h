/*
 * A run in the words of etcd-raft's trace validation [etcd-io/raft tla/Traceetcdraft.tla]: one JSON
 * object a line, {"tag":"trace","event":{...}}, so that a model which is not ours can judge it.
 *
 * An event has the node's state after it: term, vote, commit index, role, the log's last index,
 * what is applied, both halves of the membership; and the message, or the change of the membership,
 * that it is about. Events are in the order in which they happened, of all nodes together.
 *
 * What differs from etcd-raft, and how it is told:
 *   - A group is founded by a snapshot of index 1 that names the members; the model begins with one
 *     entry that does. They are the same log: "ApplyConfChange" and "Bootstrap" say so.
 *   - Pre-votes are not in the vocabulary: a pre-candidate is told as a follower, and its messages
 *     are left out. So are reads, repairs, snapshot chunks and changes of the in-sync set; a run
 *     with witnesses or damaged disks goes beyond the model.
 *   - Messages are told when they leave the node. "Ready", which in the model makes them leave,
 *     follows them.
 */
#ifndef NOVACRON_CHAOS_SIM_TLA_TRACE_H
#define NOVACRON_CHAOS_SIM_TLA_TRACE_H

#include "core/base/buf.h"
#include "core/chaos/sim/profile.h"

struct node;

/* What was told last of a node. */
struct tla_node {
    bool is_known;
    bool owes_ready;
    enum raft_role role;
    raft_term term;
    node_id vote;
    raft_index commit;
    raft_index last;
    uint64_t conf; /* a hash of its membership */
};

struct tla_trace {
    void (*line)(void *ctx, const char *line); /* without its end; NULL: nobody listens */
    void *ctx;
    struct tla_node node[SIM_HOSTS_MAX];
    struct buf text;
};

void tla_trace_init(struct tla_trace *t, void (*line)(void *ctx, const char *line), void *ctx);
void tla_trace_deinit(struct tla_trace *t);

/* A process of host `i` begins, or ends. */
void tla_trace_opened(struct tla_trace *t, uint32_t i);

/* Raft is about to be given this; whatever it did before is told first. */
void tla_trace_stepping(struct tla_trace *t, uint32_t i, struct node *node,
                        const struct raft_event *e);

/* This left the node. */
void tla_trace_sent(struct tla_trace *t, uint32_t i, struct node *node,
                    const struct raft_message *m);

/* The event on host `i` is over. */
void tla_trace_stepped(struct tla_trace *t, uint32_t i, struct node *node);

#endif
