/*
 * Our core's values in etcd-raft's words: how that project's tests print entries, messages,
 * memberships and progress. Where we have something that it lacks (a witness, an in-sync entry),
 * the words are chosen alike.
 */
#ifndef NOVACRON_TESTS_ETCD_RAFT_TEXT_H
#define NOVACRON_TESTS_ETCD_RAFT_TEXT_H

#include "core/consensus/raft/raft.h"

/* What messages between a node and its storage are addressed to. */
#define ETCD_APPEND_THREAD UINT64_MAX
#define ETCD_APPLY_THREAD  (UINT64_MAX - 1)

/* A message as it is printed: one of ours, or one between a node and its storage, which etcd-raft
 * models as messages, too. Pointers are borrowed. */
struct etcd_message {
    const char *type;
    node_id from;
    node_id to;
    raft_term term;
    raft_term log_term;
    raft_index index;
    raft_index commit;
    node_id vote;
    bool reject;
    raft_index hint;
    const struct raft_entry *entries;
    uint32_t entry_count;
    const struct raft_snapshot *snapshot; /* NULL: none */
    const struct raft_message *own;       /* whose further fields are printed; NULL: none */
    const struct etcd_message *responses;
    uint32_t response_count;
};

struct etcd_message etcd_message_of(const struct raft_message *m);

/* "1->2 MsgApp Term:1 Log:1/10 Commit:10 Entries:[...]", without a newline at the end. */
void etcd_describe_message(const struct etcd_message *m, struct buf *out);

/* "1/11 EntryNormal "foo"". */
void etcd_describe_entry(const struct raft_entry *e, struct buf *out);

/* One line for each. */
void etcd_describe_entries(const struct raft_entry *entries, uint32_t n, struct buf *out);

void etcd_describe_hard_state(const struct raft_hard_state *hs, struct buf *out);

void etcd_describe_snapshot(const struct raft_snapshot *s, struct buf *out);

/* "voters=(1 2)&&(3) learners=(4) learners_next=(5) autoleave". */
void etcd_describe_membership(const struct raft_membership *ms, struct buf *out);

/* "2: StateReplicate match=11 next=12 inflight=3[full]", and a newline. */
void etcd_describe_progress(const struct raft_member *m, const struct raft_progress *pr,
                            struct buf *out);

/* "StateLeader". */
const char *etcd_role_name(enum raft_role role);

/* Reads "v1 l2 r3 u4 w5 a6" into `ret`, whose transition it leaves alone. False, with the reason in
 * `out`, where it cannot be read. */
bool etcd_conf_changes_parse(struct bytes text, struct raft_conf_change *ret, struct buf *out);

#endif
