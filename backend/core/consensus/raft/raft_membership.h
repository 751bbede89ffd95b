/*
 * Who belongs to a group, and the changes that Raft allows to it [Ongaro14 ch. 4].
 *
 * A membership is plain or joint. In a joint one two sets of voters decide together: the incoming
 * (RAFT_VOTER) and the outgoing (RAFT_VOTER_OUTGOING) set [Ongaro14 §4.3]. A plain membership may
 * change by at most one voter at a time (a simple change); anything larger goes through a joint
 * one:
 *
 *     plain --raft_membership_simple--> plain
 *     plain --raft_membership_enter_joint--> joint --raft_membership_leave_joint--> plain
 *
 * What always holds (raft_membership_check):
 *   - members are sorted by id, ids are unique and not 0, and each has a part to play;
 *   - nobody is a learner and a voter at once; a voter that is on its way out and is to stay as a
 *     learner is marked RAFT_LEARNER_NEXT until the joint membership is left;
 *   - a plain membership has no outgoing voters, no next learners and no auto_leave;
 *   - a witness is a voter (of either half); only full voters are in sync;
 *   - in_sync marks exist only while there is a witness (raft_witness.c).
 */
#ifndef NOVACRON_RAFT_MEMBERSHIP_H
#define NOVACRON_RAFT_MEMBERSHIP_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/types.h"

/* Voters of both halves and learners together. Seven voters are the most that anybody should run;
 * hosts that only run guests are not members. */
#define RAFT_MEMBERS_MAX 32

/* The most single changes in one request: replace every member. */
#define RAFT_CONF_CHANGES_MAX (2 * RAFT_MEMBERS_MAX)

/* What the caller may attach to a change, in bytes: an address, a reason. */
#define RAFT_CONF_CONTEXT_MAX 4096

enum raft_member_role {
    RAFT_VOTER = 1 << 0,          /* votes in the incoming, or only, configuration */
    RAFT_VOTER_OUTGOING = 1 << 1, /* votes in the outgoing configuration */
    RAFT_LEARNER = 1 << 2,        /* receives the log, does not count */
    RAFT_LEARNER_NEXT = 1 << 3,   /* becomes a learner when the joint configuration is left */
    RAFT_WITNESS = 1 << 4,        /* votes, holds no payloads, never leads */
    RAFT_IN_SYNC = 1 << 5,        /* a full voter that belongs to the in-sync set */
    RAFT_AUTO_PROMOTE = 1 << 6,   /* a learner, or next learner, that the leader promotes in time */
    RAFT_FRESH = 1 << 7,          /* joined by the last change: its progress starts anew */
};

/* Neutral election priority. 0: never campaigns by itself; higher: preferred as leader. */
#define RAFT_PRIORITY_DEFAULT 100

struct raft_member {
    node_id id;
    uint8_t roles; /* enum raft_member_role */
    uint8_t priority;
};

/* Which history of the group this is. 0 from the founding on; each recovery from the loss of a
 * quorum (raft_recover.c) begins another: one more in the upper eight bits, a random number below.
 * So it can be told which of two is the later, and that two recoveries went different ways. */
#define RAFT_LINEAGE_COUNT(lineage) ((lineage) >> 24)
#define RAFT_LINEAGE_COUNT_MAX      254U

struct raft_membership {
    struct raft_member member[RAFT_MEMBERS_MAX];
    uint32_t n;
    uint32_t lineage;
    bool auto_leave; /* the leader leaves the joint configuration by itself */
    /* The entry from which the present in-sync set decides (raft_witness.c); 0: no witness. */
    uint64_t in_sync_since;
};

enum raft_conf_op {
    RAFT_ADD_VOTER = 0, /* add, or promote */
    RAFT_REMOVE = 1,
    RAFT_UPDATE = 2,      /* of the priority; also carries a context to the application */
    RAFT_ADD_LEARNER = 3, /* add, or demote */
    RAFT_ADD_WITNESS = 4,
    RAFT_CONF_OPS
};

enum raft_transition {
    RAFT_TRANSITION_AUTO = 0,           /* simple for one change, else joint with automatic leave */
    RAFT_TRANSITION_JOINT_IMPLICIT = 1, /* joint, left automatically */
    RAFT_TRANSITION_JOINT_EXPLICIT = 2, /* joint, left when an empty change is proposed */
    RAFT_TRANSITION_SIMPLE = 3,         /* one change, refused where it would need a joint one */
    RAFT_TRANSITION_FORCED = 4,         /* one voter replaces everybody: raft_recover.c alone */
    RAFT_TRANSITIONS
};

struct raft_conf_single {
    enum raft_conf_op op;
    node_id node;      /* 0: the change was withdrawn and does nothing */
    uint8_t priority;  /* of an added or updated member */
    bool auto_promote; /* of an added learner */
};

/* A change of the membership. Without single changes it leaves the joint configuration. */
struct raft_conf_change {
    enum raft_transition transition;
    uint32_t n;
    struct raft_conf_single single[RAFT_CONF_CHANGES_MAX];
    uint32_t lineage;     /* that a forced one begins; else 0 */
    struct bytes context; /* borrowed; the application's */
};

/* Why a change is impossible. */
#define RAFT_CHANGE_TABLE(X)                                                                       \
    X(RAFT_CHANGE_OK, "ok")                                                                        \
    X(RAFT_CHANGE_ALREADY_JOINT, "config is already joint")                                        \
    X(RAFT_CHANGE_NOT_JOINT, "can't leave a non-joint config")                                     \
    X(RAFT_CHANGE_SIMPLE_IN_JOINT, "can't apply simple config change in joint config")             \
    X(RAFT_CHANGE_EMPTY_BASE, "can't make a zero-voter config joint")                              \
    X(RAFT_CHANGE_NO_VOTERS, "removed all voters")                                                 \
    X(RAFT_CHANGE_TOO_WIDE, "more than one voter changed without entering joint config")           \
    X(RAFT_CHANGE_TOO_MANY, "more members than the declared limit")                                \
    X(RAFT_CHANGE_WITNESS_FLIP, "a witness cannot become a replica, nor a replica a witness")      \
    X(RAFT_CHANGE_NO_FULL_VOTER, "no voter that holds the data would be left")                     \
    X(RAFT_CHANGE_NO_IN_SYNC, "no in-sync voter would be left")

enum raft_change_result {
#define RAFT_CHANGE_ENUM(name, text) name,
    RAFT_CHANGE_TABLE(RAFT_CHANGE_ENUM)
#undef RAFT_CHANGE_ENUM
};

const char *raft_change_text(enum raft_change_result result);

/* Asserts what the top of this file says. */
void raft_membership_check(const struct raft_membership *ms);

/* Does it keep those rules? For a membership that came from a disk or a peer. */
bool raft_membership_valid(const struct raft_membership *ms);

/* The member called `id`, or NULL; borrowed from `ms`. */
struct raft_member *raft_membership_find(struct raft_membership *ms, node_id id);
const struct raft_member *raft_membership_lookup(const struct raft_membership *ms, node_id id);

/* Its position in `member`, or -1. */
int raft_membership_slot(const struct raft_membership *ms, node_id id);

/* Adds a member with these roles, keeping the order. It must not exist; RAFT_MEMBERS_MAX bounds. */
struct raft_member *raft_membership_insert(struct raft_membership *ms, node_id id, uint8_t roles);

bool raft_membership_is_joint(const struct raft_membership *ms);
bool raft_membership_has_witness(const struct raft_membership *ms);

/* How many members have any of these roles. */
unsigned raft_membership_count(const struct raft_membership *ms, uint8_t roles);

/* Are the members of `slots` (bit i: member[i]) a quorum, in both halves? */
bool raft_membership_is_quorum(const struct raft_membership *ms, uint32_t slots);

/* Does it vote, in either half? */
static inline bool raft_member_votes(const struct raft_member *m)
{
    return (m->roles & (RAFT_VOTER | RAFT_VOTER_OUTGOING)) != 0;
}

/* Does it vote and hold the data? */
static inline bool raft_member_is_full_voter(const struct raft_member *m)
{
    return raft_member_votes(m) && !(m->roles & RAFT_WITNESS);
}

/* The three changes. `ret` receives the membership after them, members that joined marked
 * RAFT_FRESH; it may be `ms` itself. On any other result than RAFT_CHANGE_OK it is untouched. */
MUST_USE enum raft_change_result raft_membership_simple(const struct raft_membership *ms,
                                                        const struct raft_conf_single *changes,
                                                        uint32_t n, struct raft_membership *ret);
MUST_USE enum raft_change_result raft_membership_enter_joint(const struct raft_membership *ms,
                                                             bool auto_leave,
                                                             const struct raft_conf_single *changes,
                                                             uint32_t n,
                                                             struct raft_membership *ret);
MUST_USE enum raft_change_result raft_membership_leave_joint(const struct raft_membership *ms,
                                                             struct raft_membership *ret);

/* Chooses among the three by the transition and the number of changes. */
MUST_USE enum raft_change_result raft_membership_apply(const struct raft_membership *ms,
                                                       const struct raft_conf_change *change,
                                                       struct raft_membership *ret);

/* Is it the change that leaves a joint configuration? */
bool raft_conf_change_leaves(const struct raft_conf_change *change);

/* Formats: docs/formats/raft-message.md. Decoding checks everything; `change->context` is a view
 * into `b`. An empty `b` is the change that leaves a joint configuration. */
void raft_conf_change_encode(const struct raft_conf_change *change, struct buf *b);
MUST_USE enum err raft_conf_change_decode(struct bytes b, struct raft_conf_change *ret);

#endif
