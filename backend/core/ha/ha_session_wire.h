/*
 * ha_session_wire: what an agent on a host that does not vote and the member that serves it say to
 * each other, byte by byte (docs/formats/agent-stream.md).
 *
 *     opening   4 bytes "NCAG", from the agent, once: it tells such a stream from a peer's
 *     frame     length u32 of the body, CRC32C of the body u32, the body: kind u8, then its fields
 *
 * Both sides write frames, one behind the other. Bytes are checked here, once, and nowhere else; a
 * frame that is not as it must be ends the stream. A body is at most HA_FRAME_BYTES_MAX; memory
 * grows with the bytes that came, not with a length that was announced.
 */
#ifndef NOVACRON_HA_SESSION_WIRE_H
#define NOVACRON_HA_SESSION_WIRE_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/ha/ha_record.h"
#include "core/ha/ha_store.h"

#define HA_SESSION_VERSION 1

#define HA_OPENING_BYTES      4
#define HA_FRAME_HEADER_BYTES 8

/* The longest body: one change of the largest value that is told, and some room. */
#define HA_FRAME_BYTES_MAX (2 * 1024 * 1024)

/* A longer value is no record, and is told as empty, which is none either. */
#define HA_SESSION_VALUE_MAX (1024 * 1024)

/* The longest key that is told; a longer one is of no kind, and is not. */
#define HA_SESSION_KEY_MAX 1024

/* Changes are gathered in frames of about so many bytes. */
#define HA_SESSION_CHANGES_BYTES (64 * 1024)

/* The longest transaction of an agent: a few reports. */
#define HA_SESSION_TXN_BYTES_MAX (64 * 1024)

_Static_assert(HA_SESSION_VALUE_MAX + HA_SESSION_KEY_MAX + HA_SESSION_CHANGES_BYTES + 64 <
                   HA_FRAME_BYTES_MAX,
               "a change has room behind others");

enum ha_frame_kind {
    /* of the agent */
    HA_FRAME_HELLO = 1,
    HA_FRAME_TXN = 2,
    HA_FRAME_RENEWAL = 3,
    HA_FRAME_TAKEN = 4,
    /* of the member */
    HA_FRAME_WELCOME = 17,
    HA_FRAME_REFUSED = 18,
    HA_FRAME_CHANGES = 19,
    HA_FRAME_REACHED = 20,
    HA_FRAME_OUTCOME = 21,
    HA_FRAME_ANSWER = 22
};

/* X(enumerator, number, text): why a member serves an agent not, or no longer. */
#define HA_FAREWELL_TABLE(X)                                                                       \
    X(HA_FAREWELL_CLUSTER, 1, "it is a member of another cluster")                                 \
    X(HA_FAREWELL_VERSION, 2, "it speaks another version of this protocol")                        \
    X(HA_FAREWELL_NAME, 3, "the certificate does not bear the name of this host")                  \
    X(HA_FAREWELL_STRANGER, 4,                                                                     \
      "the cluster has no record of this host: declare it with `novacron apply`")                  \
    X(HA_FAREWELL_MEMBER, 5, "a member of the cluster has the id of this host")                    \
    X(HA_FAREWELL_LINEAGE, 6, "it belongs to a history that has ended")                            \
    X(HA_FAREWELL_UNFIT, 7, "it is not ready, or holds no data")                                   \
    X(HA_FAREWELL_FULL, 8, "it serves as many agents as it can")                                   \
    X(HA_FAREWELL_SLOW, 9, "this agent takes too long to read")                                    \
    X(HA_FAREWELL_PROTOCOL, 10, "this agent broke the protocol, or asked for what is not its own") \
    X(HA_FAREWELL_ANEW, 11, "what was to be told was compacted")                                   \
    X(HA_FAREWELL_REPLACED, 12, "another agent has come under the name of this host")              \
    X(HA_FAREWELL_TERM, 13,                                                                        \
      "it knows no term as late as this agent's leader had: it lags, or the cluster was restored " \
      "from a backup, and this daemon is to be started anew")

enum ha_farewell {
    HA_FAREWELL_NONE = 0,
#define HA_FAREWELL_ENUM(name, number, text) name = (number),
    HA_FAREWELL_TABLE(HA_FAREWELL_ENUM)
#undef HA_FAREWELL_ENUM
};

/* Never NULL. */
const char *ha_farewell_text(enum ha_farewell why);

/* What an agent has of the store when it comes. */
struct ha_hello {
    uint16_t version;
    uint64_t cluster;
    uint32_t lineage;  /* of the members that told it that */
    uint64_t revision; /* of its view; 0: none */
    uint64_t term;     /* the latest in which it knew of a leader; 0: none */
    char host[HA_NAME_BYTES];
};

struct ha_welcome {
    uint32_t lineage;
    bool goes_on; /* behind the revision of the hello; else everything is told anew */
};

/* Everything up to this revision was told, and who leads. */
struct ha_reached {
    uint64_t revision;
    uint64_t term;
    node_id leader; /* NODE_NONE: not known */
};

struct ha_outcome {
    uint64_t number;
    enum ha_txn_outcome outcome;
    enum err error;
    int64_t revision;
};

struct ha_frame {
    enum ha_frame_kind kind;
    union {
        struct ha_hello hello;
        struct {
            uint64_t number;
            struct bytes body; /* as ha_store.h makes them */
        } txn;
        struct bytes note; /* RENEWAL and ANSWER: of docs/formats/ha-lease.md, not looked into */
        uint64_t taken;    /* bytes of the member's frames, headers included, since the welcome */
        struct ha_welcome welcome;
        enum ha_farewell why;
        struct bytes changes; /* for ha_changes_next */
        struct ha_reached reached;
        struct ha_outcome outcome;
    } as;
};

void ha_opening_encode(struct buf *b);

/* Appends the frame with its header. `changes` were put with ha_change_encode. */
void ha_frame_encode(const struct ha_frame *frame, struct buf *b);
void ha_change_encode(const struct ha_change *change, struct buf *b);

/* Of a body; views into it. ERR_CORRUPT: nobody writes that. A hello of another version is OK, and
 * nothing but its version and cluster are set: the rest may have another form. */
MUST_USE enum err ha_frame_decode(struct bytes body, struct ha_frame *ret);

/* The next of the changes of a frame that was decoded; false at the end. */
bool ha_changes_next(struct bytes *rest, struct ha_change *ret);

/* --- what came on a stream, and is not taken yet ---------------------------------------------- */

struct ha_frames {
    struct buf pending;
    size_t at;
    bool expects_opening;
};

void ha_frames_init(struct ha_frames *f, bool expects_opening);
void ha_frames_deinit(struct ha_frames *f);
void ha_frames_put(struct ha_frames *f, struct bytes bytes);

/* The next frame; views into it are valid until the next call but one of the functions above, and
 * `ret_bytes`, unless it is NULL, is what it took with its header. ERR_TRUNCATED: it is not all
 * there yet. ERR_PROTOCOL: end the stream. */
MUST_USE enum err ha_frames_next(struct ha_frames *f, struct ha_frame *ret, size_t *ret_bytes);

/* --- who an agent is, and what it may write --------------------------------------------------- */

/* The id of an agent, among members' ids: made of the cluster's id and its host's name, so that
 * whoever has checked the name has checked the id. */
node_id ha_session_id(uint64_t cluster, const char *host);

/* Is this key told to agents? All below /novacron/ but what they have no use for: fence devices,
 * whose parameters are secrets, what was seen of them, words of operators, incidents, events, and
 * the manager's token. */
bool ha_session_tells(struct bytes key);

/* A transaction of the agent of `host`, whose id is `member`, built anew from bytes that came from
 * it. ERR_DENIED: it writes what is not its own, or is not guarded by its agent's record.
 * ERR_CORRUPT: it is none. On failure `ret`, which was cleared, holds nothing of use. */
MUST_USE enum err ha_session_txn(const char *host, node_id member, struct bytes body,
                                 struct ha_txn *ret);

#endif
