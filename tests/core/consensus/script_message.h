/*
 * What is under way in a script: messages between nodes, and the work of a node's disk and state
 * machine with the answers to it, which etcd-raft models as messages as well.
 *
 * A message between nodes is kept as its bytes and what they decode to, so that each script also
 * tests the encoding.
 */
#ifndef NOVACRON_TESTS_SCRIPT_MESSAGE_H
#define NOVACRON_TESTS_SCRIPT_MESSAGE_H

#include "tests/core/consensus/entry_list.h"
#include "tests/core/consensus/etcd_raft_text.h"

enum script_message_kind {
    SCRIPT_RAFT,        /* between nodes, or from a node to itself */
    SCRIPT_APPEND,      /* to the disk */
    SCRIPT_APPEND_DONE, /* back */
    SCRIPT_APPLY,       /* to the state machine */
    SCRIPT_APPLY_DONE,  /* back */
};

struct script_message;

/* In the order of sending; owns what is in it. */
struct script_queue {
    struct script_message **items;
    size_t n;
    size_t cap;
};

struct script_message {
    enum script_message_kind kind;
    struct etcd_message shown; /* points into the rest */

    struct raft_message raft; /* SCRIPT_RAFT; points into `bytes` and `space` */
    struct buf bytes;
    struct raft_message_space space;

    struct raft_hard_state hard_state; /* SCRIPT_APPEND */
    bool has_hard_state;
    struct entry_list entries;
    struct raft_snapshot snapshot;
    bool has_snapshot;
    bool keeps_log; /* the entries after the snapshot stay */
    struct entry_list repairs;
    struct script_queue responses; /* of SCRIPT_APPEND and SCRIPT_APPLY */
    struct etcd_message *shown_responses;

    uint64_t durable_seq; /* the batch that is durable once this is delivered; 0: none */
};

/* A copy of `m`. */
struct script_message *script_message_of_raft(const struct raft_message *m);

struct script_message *script_message_new(enum script_message_kind kind, node_id from, node_id to);
void script_message_free(struct script_message *m);

/* Completes `shown` from the other fields, once they are set. */
void script_message_show(struct script_message *m);

/* Prints it in a line of its own. */
void script_message_print(const struct script_message *m, struct buf *out);

/* Prints it without the responses that it carries. */
void script_message_print_bare(const struct script_message *m, struct buf *out);

void script_queue_push(struct script_queue *q, struct script_message *m);
/* Takes out the first one; NULL where there is none. */
struct script_message *script_queue_shift(struct script_queue *q);
/* Moves all of `from` behind `to`. */
void script_queue_append(struct script_queue *to, struct script_queue *from);
void script_queue_deinit(struct script_queue *q);

#endif
