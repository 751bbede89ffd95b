/*
 * Which watches does a key concern? All watches of one span share a group; the groups are an
 * interval tree, ordered by their first key, each knowing the furthest end below it [Cormen09
 * §14.3]. A key finds its m groups in O(log n + m) steps, however many watches they have.
 */
#ifndef NOVACRON_STORE_WATCH_GROUP_H
#define NOVACRON_STORE_WATCH_GROUP_H

#include "core/store/store_avl.h"
#include "core/store/store_bytes.h"
#include "core/store/store_link.h"

struct store_watch_group {
    struct store_avl_node node;         /* first, so that a node is a group */
    struct store_watch_group *furthest; /* of the subtree: the group that ends last */
    struct store_span span; /* views into `bytes`; never a point: its end is made explicit */
    bool is_point;
    size_t watch_count;
    uint64_t last_seq;       /* the newest change that concerns the group; 0: none yet */
    struct store_link clean; /* list of the watches that have been given all there is */
    uint8_t bytes[];
};

struct store_watch_groups {
    struct store_avl tree;
};

void store_watch_groups_init(struct store_watch_groups *g);

/* The group of a span, made if there is none. */
struct store_watch_group *store_watch_groups_get(struct store_watch_groups *g,
                                                 const struct store_span *span);

/* Frees a group without watches. */
void store_watch_groups_drop(struct store_watch_groups *g, struct store_watch_group *group);

/* Calls `visit` for each group whose span has `key`, in the order of their spans. */
void store_watch_groups_stab(const struct store_watch_groups *g, struct bytes key,
                             void (*visit)(struct store_watch_group *group, void *arg), void *arg);

#endif
