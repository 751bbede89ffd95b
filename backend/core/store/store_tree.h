/*
 * The ordered index of keys: a B+tree that also counts.
 *
 * - A node keeps, for each of its keys, a head: eight bytes of the key, big-endian, so that most
 *   comparisons touch one cache line and no key. The heads start after the prefix that all keys
 *   between the node's two fences have in common [Graefe01], which a descent need not compare
 * again.
 * - A separator is the shortest string that parts two leaves, a copy of its own: it outlives keys.
 * - Each leaf has a bit a key, "is it live", and each inner node a count a child, so that the
 *   number of live keys in any span costs O(log n).
 * - A node that falls below an eighth of the fan-out is merged with a sibling where both fit into
 *   seven eighths.
 *
 * The tree owns its nodes and separators, never the keys. Positions are invalid after an insert or
 * a remove, not after store_tree_set_live.
 */
#ifndef NOVACRON_STORE_TREE_H
#define NOVACRON_STORE_TREE_H

#include "core/store/store_bytes.h"
#include "core/store/store_limits.h"
#include "core/store/store_version.h"

struct store_slab;
struct store_leaf;
struct store_inner;

struct store_tree {
    struct store_slab *slab; /* borrowed, for the tree's whole life */
    void *root;              /* a leaf where height is 0, else an inner node; never NULL */
    uint32_t height;
    uint64_t keys; /* live or not */
    uint64_t live;
};

/* A place between keys: before `slot` of `leaf`. At the end of the tree, leaf is NULL. */
struct store_tree_pos {
    struct store_leaf *leaf;
    uint32_t slot;
};

/* The way down to a leaf; filled by store_tree_locate. */
struct store_tree_path {
    struct store_inner *inner[STORE_TREE_DEPTH_MAX];
    uint32_t child[STORE_TREE_DEPTH_MAX];
    struct store_tree_pos pos;
};

void store_tree_init(struct store_tree *t, struct store_slab *slab);

/* Frees the nodes. */
void store_tree_deinit(struct store_tree *t);

/* NULL if there is no such key. */
struct store_key *store_tree_find(const struct store_tree *t, struct bytes key);

/* The same, and the path there, which the next call of insert, remove or set_live takes: the tree
 * must not have changed in between. */
struct store_key *store_tree_locate(const struct store_tree *t, struct bytes key,
                                    struct store_tree_path *ret);

/* Adds a key that is not there. `path` is what locate gave for it. It counts as not live. */
void store_tree_insert(struct store_tree *t, struct store_tree_path *path, struct store_key *key);

/* Takes a key out that is not live. `path` is what locate gave for it. */
void store_tree_remove(struct store_tree *t, struct store_tree_path *path);

/* Says that the located key became live, or ceased to be; it must have been the other. */
void store_tree_set_live(struct store_tree *t, const struct store_tree_path *path, bool live);

/* The first key not below `key`. */
struct store_tree_pos store_tree_seek(const struct store_tree *t, struct bytes key);

/* The first key not below `key`, as its neighbour: the last key below `key`. */
struct store_tree_pos store_tree_seek_before(const struct store_tree *t, struct bytes key);

/* The last key of all. */
struct store_tree_pos store_tree_last(const struct store_tree *t);

/* The key at a position, NULL at either end of the tree. */
struct store_key *store_tree_at(struct store_tree_pos pos);

/* The following and the preceding position. */
struct store_tree_pos store_tree_next(struct store_tree_pos pos);
struct store_tree_pos store_tree_prev(struct store_tree_pos pos);

/* How many live keys are below `key`? */
uint64_t store_tree_rank(const struct store_tree *t, struct bytes key);

/* How many live keys does the span hold? */
uint64_t store_tree_count(const struct store_tree *t, const struct store_span *span);

/* CHECKs order, fences, heads, counts and links of the whole tree: O(n), for tests. */
void store_tree_check(const struct store_tree *t);

#endif
