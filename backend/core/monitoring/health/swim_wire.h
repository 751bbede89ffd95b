/*
 * swim_wire: the bytes inside an envelope, of datagrams and of streams alike.
 *
 *     version      u8      SWIM_VERSION_MIN to SWIM_VERSION_MAX
 *     refutations  varint  of the sender: the lower bits of its incarnation
 *     messages     one behind the other, to the end
 *
 * Integers are varints where nothing else is said; a string is a varint length and its bytes.
 *
 *     1 PING      sequence, target, flags u8 (1: a nack is wanted)
 *     2 ACK       sequence
 *     3 NACK      sequence
 *     4 PING_REQ  sequence, target, flags u8
 *     5 MEMBER    id, incarnation, state u8 (128 more: reached by streams), version u8, site
 *                 string, host string, port u16, meta string
 *     6 SUSPECT   id, incarnation, by
 *     7 DEAD      id, incarnation, by (the id itself: it has left)
 *     8 STATE     flags u8 (1: the sender joins, 2: an answer is wanted); MEMBERs follow
 *     9 BEAT      number, number of the last one heard from the receiver, how many of the
 *                 receiver's last sixteen came as datagrams u8 (at most 16; 128 more: the last ones
 *                 came by stream alone; 64 more: the receiver shall answer by stream, too),
 *                 milliseconds to the next one
 *    10 LOOK      sequence, id, incarnation: a fellow observer shall see for itself, and answer
 *    11 ACCUSE    id, incarnation, flags u8 (1: taken back): to the fellow observers
 *    12 REPORT    as ACCUSE, and how many milliseconds ago it was last so: to the leader
 *    13 SYNC      flags u8 (1: the sender joins), digest u64 of all members
 *    14 BUCKETS   flags u8 (1: an answer), n u16 (a power of two), n times u32
 *    15 NOTE      a string of at most 64 bytes, which is none of membership's business
 *
 * The version of a datagram is the highest that both sides speak, as far as the sender knows, or
 * SWIM_VERSION_MIN; each member tells the highest it speaks in its MEMBER.
 */
#ifndef NOVACRON_HEALTH_SWIM_WIRE_H
#define NOVACRON_HEALTH_SWIM_WIRE_H

#include "core/base/buf.h"
#include "core/base/cursor.h"
#include "core/base/err.h"
#include "core/base/types.h"
#include "core/monitoring/health/swim.h"

enum swim_message_type {
    SWIM_PING = 1,
    SWIM_ACK,
    SWIM_NACK,
    SWIM_PING_REQ,
    SWIM_MEMBER,
    SWIM_SUSPECT_OF,
    SWIM_DEAD_OF,
    SWIM_STATE,
    SWIM_BEAT,
    SWIM_LOOK,
    SWIM_ACCUSE,
    SWIM_REPORT,
    SWIM_SYNC,
    SWIM_BUCKETS,
    SWIM_NOTE,
    SWIM_MESSAGE_TYPES
};

/* So many of the last beats a BEAT tells of. */
#define SWIM_BEATS_TOLD 16

#define SWIM_FLAG_NACK  0x1U
#define SWIM_FLAG_JOIN  0x1U
#define SWIM_FLAG_REPLY 0x2U

#define SWIM_FLAG_TAKES_BACK 0x1U
#define SWIM_FLAG_ANSWER     0x1U

/* Of a BEAT: your datagrams do not come; use streams, too. */
#define SWIM_FLAG_BLOCKED 0x80U
#define SWIM_FLAG_WANTED  0x40U

struct swim_message {
    enum swim_message_type type;
    uint32_t sequence;
    node_id id; /* target or subject */
    uint64_t incarnation;
    node_id by;
    uint8_t flags;
    /* BEAT */
    uint32_t echo;
    uint32_t promise_ms;
    uint8_t received;
    uint32_t age_ms; /* REPORT */
    /* SYNC, BUCKETS */
    uint64_t digest;
    uint32_t n_buckets;
    struct bytes buckets; /* four bytes each; borrowed */
    /* MEMBER */
    uint8_t state;
    bool by_stream;
    uint8_t version;
    char site[SWIM_SITE_MAX_BYTES];
    struct world_endpoint at;
    struct bytes meta; /* borrowed from the text */
    struct bytes note; /* NOTE; likewise */
};

/* The next message. ERR_TRUNCATED, ERR_PROTOCOL. */
MUST_USE enum err swim_message_decode(struct cursor *c, struct swim_message *ret);

void swim_message_encode(struct buf *b, const struct swim_message *message);

/* What swim_message_encode writes at most. */
#define SWIM_MESSAGE_MAX_BYTES                                                                     \
    (1 + 10 + 10 + 1 + 1 + 1 + SWIM_SITE_MAX_BYTES + 1 + WORLD_HOST_MAX_BYTES + 2 + 2 +            \
     SWIM_META_MAX_BYTES)

/* What a datagram's text may hold. */
#define SWIM_TEXT_MAX_BYTES (WORLD_DATAGRAM_MAX_BYTES - SEAL_OVERHEAD_MAX_BYTES)

_Static_assert(SWIM_TEXT_MAX_BYTES > 11 + 2 * SWIM_MESSAGE_MAX_BYTES,
               "a datagram has room for a probe and what must be said with it");

#endif
