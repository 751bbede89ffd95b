/*
 * A key and the chain of its versions, newest first.
 *
 * Every change of the store, in the order of (revision, place in its transaction), has a number:
 * its seq, 1 for the first change ever, without gaps, the same on all members. Within a chain, seq
 * and revision fall from head to tail.
 *
 * `jump` finds an old version of a key with a million of them in O(log n) steps. It is a distance
 * in seqs and not a pointer, because what it leads to may have been compacted away: it is followed
 * through the log, which knows what it still holds. Every STORE_ANCHOR_SPACING-th version of a key
 * is an anchor. A version that is not an anchor jumps to the nearest older anchor; an anchor jumps
 * across anchors as in a skew-binary list [Myers83].
 */
#ifndef NOVACRON_STORE_VERSION_H
#define NOVACRON_STORE_VERSION_H

#include "core/base/types.h"

struct store_attachment;

/* Leads to a version, in the slab or among the cold ones (store_cold.h): its address, and in the
 * lowest bits where it is. Followed with store_ref_get. */
struct store_ref {
    uintptr_t bits;
};

#define STORE_REF_COLD    1u
#define STORE_REF_CLAIMED 2u /* in the log: the cold one is also the prev of its successor */
#define STORE_REF_BITS    3u

struct store_key {
    struct store_version *head;          /* owned chain; NULL only while the key is being made */
    struct store_attachment *attachment; /* owned by the lease, which the head names; or NULL */
    uint32_t len;
    uint8_t bytes[]; /* `len` */
};

struct store_version {
    struct store_key *key; /* borrowed for the version's whole life */
    struct store_ref prev; /* the next older one, owned; dangles once the log has lost this one:
                              store_mvcc_prev knows */
    uint64_t seq;
    int64_t mod_revision;
    int64_t create_revision; /* 0 in a tombstone, like the next two */
    int64_t version;
    int64_t lease;
    uint64_t hash;  /* of the key and all logical fields: store_version_hash */
    uint32_t depth; /* versions of this key before it that it was chained onto */
    uint32_t jump;  /* seq minus the seq of the jump's target; 0: no jump */
    uint32_t value_len;
    bool tombstone;
    uint8_t value[]; /* `value_len` */
};

static inline struct store_version *store_ref_hot(struct store_ref ref)
{
    return (struct store_version *)(ref.bits & ~(uintptr_t)STORE_REF_BITS);
}

static inline struct store_ref store_ref_to(struct store_version *v)
{
    return (struct store_ref){(uintptr_t)v};
}

/* The head of the key's chain tells whether the key exists now. */
static inline bool store_key_is_live(const struct store_key *k)
{
    return k->head != NULL && !k->head->tombstone;
}

static inline struct bytes store_key_view(const struct store_key *k)
{
    return (struct bytes){k->bytes, k->len};
}

static inline struct bytes store_version_value(const struct store_version *v)
{
    return (struct bytes){v->value, v->value_len};
}

#endif
