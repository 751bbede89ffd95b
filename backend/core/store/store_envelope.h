/*
 * The envelope of a log payload: who proposed it, which one it is, what the proposer decided so
 * that appliers need not, and then the client's own bytes. docs/formats/payload-envelope.md has it
 * byte by byte.
 */
#ifndef NOVACRON_STORE_ENVELOPE_H
#define NOVACRON_STORE_ENVELOPE_H

#include "core/base/buf.h"
#include "core/base/err.h"

#define STORE_ENVELOPE_VERSION      1
#define STORE_ENVELOPE_HEADER_BYTES 70

/* name, number, feature level that it came with. The numbers of etcd's requests are those of its
 * InternalRaftRequest; ours start at 128. */
#define STORE_KIND_TABLE(X)                                                                        \
    X(STORE_KIND_PUT, 4, 1)                                                                        \
    X(STORE_KIND_DELETE, 5, 1)                                                                     \
    X(STORE_KIND_TXN, 6, 1)                                                                        \
    X(STORE_KIND_COMPACTION, 7, 1)                                                                 \
    X(STORE_KIND_LEASE_GRANT, 8, 1)                                                                \
    X(STORE_KIND_LEASE_REVOKE, 9, 1)                                                               \
    /* the body is eight bytes, the new level; known at every level */                             \
    X(STORE_KIND_FEATURE_LEVEL, 128, 0)                                                            \
    /* a revoke by the leader of `term`, refused in any other term */                              \
    X(STORE_KIND_LEASE_EXPIRE, 129, 1)                                                             \
    X(STORE_KIND_ALARM, 10, 2)                                                                     \
    /* what a member calls itself, and where it is reached; that it is gone */                     \
    X(STORE_KIND_MEMBER_SET, 130, 2)                                                               \
    X(STORE_KIND_MEMBER_FORGET, 131, 2)                                                            \
    /* etcd's numbers for these are beyond a byte */                                               \
    X(STORE_KIND_AUTH_ENABLE, 140, 2)                                                              \
    X(STORE_KIND_AUTH_DISABLE, 141, 2)                                                             \
    X(STORE_KIND_AUTHENTICATE, 142, 2)                                                             \
    X(STORE_KIND_USER_ADD, 143, 2)                                                                 \
    X(STORE_KIND_USER_DELETE, 144, 2)                                                              \
    X(STORE_KIND_USER_PASSWORD, 145, 2)                                                            \
    X(STORE_KIND_USER_GRANT, 146, 2)                                                               \
    X(STORE_KIND_USER_REVOKE, 147, 2)                                                              \
    X(STORE_KIND_ROLE_ADD, 148, 2)                                                                 \
    X(STORE_KIND_ROLE_DELETE, 149, 2)                                                              \
    X(STORE_KIND_ROLE_GRANT, 150, 2)                                                               \
    X(STORE_KIND_ROLE_REVOKE, 151, 2)

enum store_kind {
#define STORE_KIND_ENUM(name, number, level) name = number,
    STORE_KIND_TABLE(STORE_KIND_ENUM)
#undef STORE_KIND_ENUM
};

struct store_envelope {
    uint8_t kind;           /* an enum store_kind, or one of a later version */
    uint16_t feature_level; /* what the operation needs */
    node_id origin;         /* not NODE_NONE */
    uint64_t boot;          /* of the origin; rises with each of its starts */
    uint64_t sequence;      /* of the origin in this boot, from 1 */
    uint64_t auth_revision;
    uint64_t assigned_id;      /* for a lease grant without an id: positive as int64 */
    uint64_t assigned_time_ns; /* since 1970, on the proposer's clock */
    uint64_t term;             /* in which it was proposed first */
    uint32_t lease_ttl_min_s;  /* for a lease grant: a shorter TTL is raised to this */
    struct bytes user;
    struct bytes body; /* the client's bytes */
};

void store_envelope_encode(struct buf *b, const struct store_envelope *e);

/* ERR_UNSUPPORTED for a version that this program does not know, ERR_CORRUPT for what no proposer
 * writes. Views into `payload`. */
MUST_USE enum err store_envelope_decode(struct bytes payload, struct store_envelope *ret);

/* The level that the kind came with, -1 for a kind that this program does not know. */
int store_kind_level(uint8_t kind);

#endif
