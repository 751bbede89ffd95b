/*
 * An intrusive balanced tree [Adelson62]: leases by id, watches by id, watch groups by span.
 * The user embeds a node, compares, and may keep a summary of each subtree (an interval tree's
 * largest end) in `update`.
 */
#ifndef NOVACRON_STORE_AVL_H
#define NOVACRON_STORE_AVL_H

#include "core/base/types.h"

struct store_avl_node {
    struct store_avl_node *left;
    struct store_avl_node *right;
    int32_t height; /* 1 in a leaf */
};

struct store_avl {
    struct store_avl_node *root;
    size_t count;
    /* Orders `key` against a node: below 0, 0, above 0. */
    int (*compare)(const void *key, const struct store_avl_node *node);
    /* Recomputes what a node says about its subtree, from its children. May be NULL. */
    void (*update)(struct store_avl_node *node);
};

struct store_avl_node *store_avl_find(const struct store_avl *t, const void *key);

/* The first node not below `key`; NULL if there is none. */
struct store_avl_node *store_avl_seek(const struct store_avl *t, const void *key);

/* Adds a node under a key that is not there. */
void store_avl_insert(struct store_avl *t, const void *key, struct store_avl_node *node);

/* Takes the node with this key out, which is there. */
struct store_avl_node *store_avl_remove(struct store_avl *t, const void *key);

/* CHECKs balance and heights: O(n), for tests. */
void store_avl_check(const struct store_avl *t);

#endif
