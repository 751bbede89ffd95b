/* The nodes of the key tree, for store_tree*.c. */
#ifndef NOVACRON_STORE_TREE_INT_H
#define NOVACRON_STORE_TREE_INT_H

#include "core/store/store_tree.h"

struct store_separator {
    uint32_t len;
    uint8_t bytes[];
};

struct store_leaf {
    uint32_t count;
    uint32_t skip; /* bytes that all keys between the fences have in common */
    uint64_t live; /* bit i: keys[i] is live */
    struct store_leaf *prev;
    struct store_leaf *next;
    uint64_t heads[STORE_LEAF_FANOUT];
    struct store_key *keys[STORE_LEAF_FANOUT];
};

struct store_inner {
    uint32_t count; /* of children; one more than of separators */
    uint32_t skip;
    uint64_t heads[STORE_INNER_FANOUT];               /* of the separators */
    struct store_separator *seps[STORE_INNER_FANOUT]; /* seps[i]: above child i, not above i + 1 */
    void *children[STORE_INNER_FANOUT];
    uint64_t live[STORE_INNER_FANOUT]; /* live keys below each child */
};

/* The fences of a node: every key in it is at or above lo and below hi. An end of the tree has
 * none, which `has_*` tells. */
struct store_fences {
    struct bytes lo;
    struct bytes hi;
    bool has_lo;
    bool has_hi;
};

/* How many bits are set? Without the compiler's run-time library, which a core does not import. */
static inline uint64_t store_bits_count(uint64_t bits)
{
    bits -= bits >> 1 & 0x5555555555555555;
    bits = (bits & 0x3333333333333333) + (bits >> 2 & 0x3333333333333333);
    bits = (bits + (bits >> 4)) & 0x0f0f0f0f0f0f0f0f;
    return bits * 0x0101010101010101 >> 56;
}

/* Eight bytes of the key from `skip` on, so that they compare as one number; zeros after its end.
 */
static inline uint64_t store_tree_head(struct bytes key, uint32_t skip)
{
    uint64_t head = 0;
    size_t left = key.len > skip ? key.len - skip : 0;
    if (left >= sizeof head) {
        memcpy(&head, key.data + skip, sizeof head);
    } else if (left > 0) {
        memcpy(&head, key.data + skip, left);
    }
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    head = __builtin_bswap64(head);
#endif
    return head;
}

static inline struct bytes store_separator_view(const struct store_separator *s)
{
    return (struct bytes){s->bytes, s->len};
}

/* Bytes that all keys between two fences begin with. */
static inline uint32_t store_fences_skip(const struct store_fences *f)
{
    return f->has_lo && f->has_hi ? (uint32_t)store_bytes_common(f->lo, f->hi) : 0;
}

/* The first slot whose key is not below `key`; and is it that key? */
uint32_t store_leaf_lower(const struct store_leaf *leaf, struct bytes key, bool *ret_equal);

/* Which child holds `key`, if any does. */
uint32_t store_inner_child(const struct store_inner *inner, struct bytes key);

/* The fences of the node at `level` of a path; 0 is the root, `height` the leaf. */
struct store_fences store_path_fences(const struct store_tree_path *path, uint32_t level);

/* Recomputes skip and heads for these fences. */
void store_leaf_refence(struct store_leaf *leaf, const struct store_fences *f);
void store_inner_refence(struct store_inner *inner, const struct store_fences *f);

void store_separator_free(struct store_tree *t, struct store_separator *s);

/* Live keys in a leaf, or below an inner node. */
uint64_t store_leaf_live(const struct store_leaf *leaf);
uint64_t store_inner_live(const struct store_inner *inner);

#endif
