/*
 * What the command add-nodes says: etcd-raft's options, and ours.
 *
 *     add-nodes 3 voters=(1,2) witnesses=(3) index=10 prevote=true stall-timeout=300ms
 *
 *     voters, learners, witnesses   ids of members
 *     priorities                    of the members, in the order of their ids
 *     index, content                of the snapshot that the nodes begin with
 *     async-storage-writes, prevote, checkquorum, inflight, max-committed-size-per-ready,
 *     disable-conf-change-validation, step-down-on-removal, read-only=safe|lease-based
 *     snapshot-bytes                take snapshots only when told, with bodies of this size
 *
 * and each key of RAFT_CONFIG_TABLE, with dashes: a time in ms, a number, true or false.
 */
#ifndef NOVACRON_TESTS_SCRIPT_PLAN_H
#define NOVACRON_TESTS_SCRIPT_PLAN_H

#include "tests/core/consensus/script_node.h"
#include "tests/support/datadriven.h"

/* What etcd-raft's tests run nodes with, as far as it has a counterpart here: ticks of 100 ms, a
 * heartbeat each tick, elections after three, no limits, and nothing that it does not have. */
#define ETCD_HEARTBEAT_TICKS 1
#define ETCD_ELECTION_TICKS  3

/* Reads the arguments behind the first. False, with the reason in `error`, where they make no
 * sense. The node's id is left for the caller to set. */
bool script_plan_parse(const struct script_command *c, struct script_plan *ret, struct buf *error);

#endif
