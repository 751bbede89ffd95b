/*
 * The messages of Raft, and their bytes on the wire (docs/formats/raft-message.md).
 *
 * The model is etcd-raft's, this field's vocabulary: one flat struct, of which each type uses the
 * fields that its row names. What a row does not name is zero.
 */
#ifndef NOVACRON_RAFT_MESSAGE_H
#define NOVACRON_RAFT_MESSAGE_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/consensus/raft/raft_membership.h"
#include "core/consensus/raft/raft_types.h"

/* Limits of what a decoder accepts. */
#define RAFT_MESSAGE_ENTRIES_MAX 16384
#define RAFT_MESSAGE_BYTES_MAX   (64 * 1024 * 1024)

/* name, and which fields it uses. Every message has type, from, to and, but for those marked *,
 * the sender's term. */
#define RAFT_MESSAGE_TABLE(X)                                                                      \
    /* entries after (index, log_term); commit [Ongaro14 fig. 3.1] */                              \
    X(RAFT_MSG_APP, "MsgApp")                                                                      \
    /* index: the logs agree up to here; or reject, index: the entry before the refused ones,      \
       hint and log_term: where they may agree */                                                  \
    X(RAFT_MSG_APP_RESP, "MsgAppResp")                                                             \
    /* (index, log_term): the candidate's last entry; transfer */                                  \
    X(RAFT_MSG_VOTE, "MsgVote")                                                                    \
    X(RAFT_MSG_VOTE_RESP, "MsgVoteResp")                                                           \
    /* the same, for the term that the candidate would begin [Ongaro14 §9.6] */                   \
    X(RAFT_MSG_PRE_VOTE, "MsgPreVote")                                                             \
    X(RAFT_MSG_PRE_VOTE_RESP, "MsgPreVoteResp")                                                    \
    /* commit; context: the newest read round; sent_at: the leader's clock */                      \
    X(RAFT_MSG_HEARTBEAT, "MsgHeartbeat")                                                          \
    /* context, sent_at: as received; index: the snapshot being fetched, hint: bytes of it */      \
    X(RAFT_MSG_HEARTBEAT_RESP, "MsgHeartbeatResp")                                                 \
    /* snapshot: what the member needs; source: whom to fetch it from; hint: the oldest index      \
       that a snapshot from elsewhere may have */                                                  \
    X(RAFT_MSG_SNAP, "MsgSnap")                                                                    \
    /* *entries to propose, on their way to the leader */                                          \
    X(RAFT_MSG_PROP, "MsgProp")                                                                    \
    /* *context: the reader's id of the read; log_term: the term in which it follows, 0 if it      \
       cannot vouch for that */                                                                    \
    X(RAFT_MSG_READ_INDEX, "MsgReadIndex")                                                         \
    /* context: as received; index: wait for it to be applied, then read [Ongaro14 §6.4] */       \
    X(RAFT_MSG_READ_INDEX_RESP, "MsgReadIndexResp")                                                \
    /* source: whom to make the leader */                                                          \
    X(RAFT_MSG_TRANSFER_LEADER, "MsgTransferLeader")                                               \
    /* campaign now [Ongaro14 §3.10] */                                                           \
    X(RAFT_MSG_TIMEOUT_NOW, "MsgTimeoutNow")                                                       \
    /* *snapshot: which; offset: from where; hint: bytes wanted */                                 \
    X(RAFT_MSG_SNAP_FETCH, "MsgSnapFetch")                                                         \
    /* *snapshot: which; offset, chunk; or reject, with the snapshot that is here, if any */       \
    X(RAFT_MSG_SNAP_CHUNK, "MsgSnapChunk")                                                         \
    /* *context: nonce; (index..hint): the entries whose bodies are damaged, index 0: none;        \
       lost_log: the log was lost behind commit; lost_vote */                                      \
    X(RAFT_MSG_REPAIR, "MsgRepair")                                                                \
    /* context: nonce; entries from index on; index, with lost_log: vouch once you have this */    \
    X(RAFT_MSG_REPAIR_RESP, "MsgRepairResp")

enum raft_message_type {
#define RAFT_MESSAGE_ENUM(name, text) name,
    RAFT_MESSAGE_TABLE(RAFT_MESSAGE_ENUM)
#undef RAFT_MESSAGE_ENUM
        RAFT_MSG_TYPES
};

/* "MsgApp", ...; a static string. */
const char *raft_message_name(enum raft_message_type type);

/* A snapshot, named: the state after entry `index`, and the membership at that point. Two nodes'
 * snapshots of the same index are the same bytes where size and digest agree. A size of 0 means
 * that there is no body to fetch: the receiver, a witness for example, needs the name alone. */
struct raft_snapshot {
    raft_index index;
    raft_term term;
    uint64_t size;   /* of the body, in bytes */
    uint64_t digest; /* of the body */
    struct raft_membership membership;
};

struct raft_message {
    enum raft_message_type type;
    node_id from;
    node_id to;
    raft_term term;
    raft_index index;
    raft_term log_term;
    raft_index commit;
    raft_index hint;
    uint64_t context;
    nanos sent_at;
    node_id source;
    uint64_t offset;
    bool reject;
    bool transfer;  /* a vote on the leader's own request: no lease stands against it */
    bool lost_log;  /* see RAFT_MSG_REPAIR */
    bool lost_vote; /* see RAFT_MSG_REPAIR */
    uint32_t entry_count;
    const struct raft_entry *entries;     /* borrowed */
    const struct raft_snapshot *snapshot; /* borrowed; NULL for none */
    struct bytes chunk;                   /* borrowed */
};

/* Where a decoded message keeps what it points to. Reused from message to message. */
struct raft_message_space {
    struct raft_entry *entries; /* owned */
    size_t entry_cap;
    struct raft_snapshot snapshot;
};

void raft_message_space_deinit(struct raft_message_space *space);

/* Appends the message's bytes to `b`. */
void raft_message_encode(const struct raft_message *m, struct buf *b);

/* Reads one message that fills `b` exactly. Payloads and chunk are views into `b`, entries and
 * snapshot lie in `space`: all valid until either changes. Checks form, not sense: that is the
 * step's part. ERR_TRUNCATED, ERR_CORRUPT, ERR_UNSUPPORTED (a type or version of the future). */
MUST_USE enum err raft_message_decode(struct bytes b, struct raft_message_space *space,
                                      struct raft_message *ret);

/* The name of a snapshot, alone: for the header of a snapshot file. */
void raft_snapshot_encode(const struct raft_snapshot *s, struct buf *b);
MUST_USE enum err raft_snapshot_decode(struct bytes b, struct raft_snapshot *ret);

#endif
