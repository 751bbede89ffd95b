/*
 * raft: the Raft consensus algorithm [Ongaro14] as a pure step function.
 *
 * The scalars and plain values that the files of this folder share. Read raft.h first.
 */
#ifndef NOVACRON_RAFT_TYPES_H
#define NOVACRON_RAFT_TYPES_H

#include "core/base/types.h"

typedef uint64_t raft_term;  /* 0: before the first election */
typedef uint64_t raft_index; /* 0: before the first entry */

/* What an entry is for. The numbers are written to disks and wires. */
enum raft_entry_type {
    RAFT_ENTRY_NORMAL = 0,  /* the state machine's; an empty one opens a leader's term */
    RAFT_ENTRY_CONF = 1,    /* a change of the membership; empty: leave the joint configuration */
    RAFT_ENTRY_IN_SYNC = 2, /* a change of the in-sync set (raft_witness.c) */
    RAFT_ENTRY_TYPES
};

/* One entry of the log. `payload` is borrowed; who owns it, and until when, is said where an entry
 * is handed over. On a witness the payload of a normal entry is empty. */
struct raft_entry {
    raft_index index;
    raft_term term;
    enum raft_entry_type type;
    struct bytes payload;
};

/* What must survive a restart besides the log [Ongaro14 §3.8]. The commit index need not be exact:
 * a restarted node may know less than it knew. */
struct raft_hard_state {
    raft_term term;
    node_id vote;
    raft_index commit;
};

enum raft_role { RAFT_FOLLOWER, RAFT_PRE_CANDIDATE, RAFT_CANDIDATE, RAFT_LEADER, RAFT_ROLES };

/* "follower", ...; a static string. */
const char *raft_role_name(enum raft_role role);

#endif
