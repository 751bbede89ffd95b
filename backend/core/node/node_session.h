/*
 * node_session: the agents that a member serves, which are those of hosts that do not vote
 * (ha_session.h is the other end, docs/formats/agent-stream.md what passes between them). One code
 * for the daemon and the simulator, beside node_ha.h.
 *
 *     agent --renewal--> member --relay note--> leader        a leader that serves the agent itself
 *     agent <--answer--- member <--relay note-- leader        needs no relay
 *     agent <--changes-- member, from its own store
 *     agent --txn------> member --node_propose--> the group
 *
 * WHO COMES. An agent says whose host it is. Its certificate must name that host, where streams
 * have certificates; the store must have a record of the host; and no member may have the id that
 * is made of the name (ha_session_id). Nothing else that an agent says of itself is believed: what
 * it renews must be its own host's lease, and what it writes its own host's records
 * (ha_session_txn). Whoever breaks that is sent away. An agent that comes takes the place of an
 * earlier one of its host.
 *
 * WHAT IT COSTS. A session holds a place in the store's history, as watches do, and no copy of
 * anything: at most NODE_SESSION_WINDOW bytes are on their way to an agent that has not taken them,
 * beyond what one step reads. An agent that takes nothing for NODE_SESSION_PATIENCE while bytes
 * wait, or says nothing for so long, is cut off, and begins anew.
 *
 * WHAT IT IS TOLD is in the order of revisions, and everything up to a revision before that is said
 * to be reached. The outcome of its own transaction follows what the transaction has changed.
 */
#ifndef NOVACRON_NODE_NODE_SESSION_H
#define NOVACRON_NODE_NODE_SESSION_H

#include "core/ha/ha_session_wire.h"
#include "core/node/node.h"
#include "core/node/node_ha.h"

/* Agents that one member serves; more are sent elsewhere. */
#define NODE_SESSIONS_MAX 512

/* Streams whose hello is owed; the oldest goes for one more. */
#define NODE_SESSIONS_NEW_MAX 64

/* Transactions of one agent under way. Its end keeps to fewer (HA_SESSION_TXNS_MAX). */
#define NODE_SESSION_TXNS_MAX 64

#define NODE_SESSION_WINDOW   (256 * 1024)
#define NODE_SESSION_PATIENCE (5 * NANOS_PER_S)

/* Agents whose way is known to a leader. */
#define NODE_ROUTES_MAX 4096

struct node_sessions; /* opaque */

/* Any may be NULL. From within the world's callbacks. */
struct node_sessions_events {
    void *ctx;
    /* An agent is served ("served", in `how`), was sent away (the farewell's text), or has gone
     * ("closed", "silent"). `host` is what it said that it is; "": it did not say. Whoever reaches
     * the port can cause this. */
    void (*told)(void *ctx, const char *host, const struct world_endpoint *at, const char *how);
};

/* `ha` is of the same member, and outlives it. */
struct node_sessions *node_sessions_open(const struct world *world, struct node_ha *ha,
                                         uint64_t cluster,
                                         const struct node_sessions_events *events);

/* Before node_ha_close and node_close: the world is idle, or was torn down. */
void node_sessions_close(struct node_sessions *s);

/* Until then everybody is sent away. */
void node_sessions_attach(struct node_sessions *s, struct node *node);

/* Takes the streams of agents: for node_config.agents, or another listener. */
struct world_listener *node_sessions_listener(struct node_sessions *s);

/* From the events of the node that they are named after. */
void node_sessions_advanced(struct node_sessions *s);
void node_sessions_leader_changed(struct node_sessions *s);

/* False: it was none of a relay. Ask before node_ha_note. */
bool node_sessions_note(struct node_sessions *s, node_id from, struct bytes note);

/* --- looking in ------------------------------------------------------------------------------- */

struct node_sessions_figures {
    uint32_t sessions; /* agents that are served */
    uint64_t served;   /* in all */
    uint64_t refused;  /* hellos */
    uint64_t cut_off;  /* slow, or breaking the protocol */
    uint64_t relayed;  /* notes, in either direction */
};

void node_sessions_figures(const struct node_sessions *s, struct node_sessions_figures *ret);

/* The i-th host that is served, in no order; NULL behind the last. */
const char *node_sessions_host(const struct node_sessions *s, size_t i);

#endif
