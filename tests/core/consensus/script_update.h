/* What a node's update looks like in a script: etcd-raft's Ready, and what that does not have. */
#ifndef NOVACRON_TESTS_SCRIPT_UPDATE_H
#define NOVACRON_TESTS_SCRIPT_UPDATE_H

#include "core/consensus/raft/raft.h"
#include "tests/core/consensus/script_message.h"

/* "Ready MustSync=true:" and what is in it; `sent` are its messages. */
void script_print_update(const struct raft_update *u, const struct script_queue *sent,
                         struct buf *out);

/* What an operator would want to hear of it, one line each behind the node's number: roles, alarms,
 * snapshots, reads. */
void script_print_news(node_id id, const struct raft_update *u, struct buf *out);

#endif
