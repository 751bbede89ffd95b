/*
 * node_ha: the store of HA (ha_store.h) on a node. One adapter for the daemon and the simulator.
 *
 * The node's owner hands on what the node tells it: each function below is to be called from the
 * event of node.h that it is named after. It may be called for any other owner's business, too:
 * notes that are not HA's are left to others.
 *
 * The feed is a watch on the node's store, in a stream with the tag NODE_HA_TAG: who else takes
 * streams off the store's list of those that are ready ignores that tag.
 */
#ifndef NOVACRON_NODE_NODE_HA_H
#define NOVACRON_NODE_NODE_HA_H

#include "core/ha/ha_store.h"
#include "core/node/node.h"

#define NODE_HA_TAG 0

struct node_ha; /* opaque */

/* `member` is the node's own id. The node is told of later, since it tells first and is then
 * returned. */
struct node_ha *node_ha_open(const struct world *world, node_id member);

/* Before node_close: what is under way is forgotten without a `done`. */
void node_ha_close(struct node_ha *h);

/* Until then everything is refused with ERR_CLOSED. */
void node_ha_attach(struct node_ha *h, struct node *node);

/* Borrowed for the life of `h`. */
const struct ha_store *node_ha_store(struct node_ha *h);

/* Who knows the way to whom is no member: an agent that some member serves (node_session.h). */
struct node_ha_router {
    void *ctx;
    void (*note)(void *ctx, node_id to, struct bytes note);
};

/* In place while it is set; NULL: nobody does. */
void node_ha_route(struct node_ha *h, const struct node_ha_router *router);

void node_ha_ready(struct node_ha *h);
void node_ha_advanced(struct node_ha *h);
void node_ha_leader_changed(struct node_ha *h);

/* False: it was not HA's. */
bool node_ha_note(struct node_ha *h, node_id from, struct bytes note);

#endif
