/*
 * Private to core/node: the state of the agents' sessions.
 *
 *     node_session.c        life: who comes, what it says, time
 *     node_session_feed.c   what it is told, and the outcomes of what it asked for
 *     node_session_relay.c  renewals on their way to the leader, and answers on theirs back
 */
#ifndef NOVACRON_NODE_NODE_SESSION_INT_H
#define NOVACRON_NODE_NODE_SESSION_INT_H

#include "core/node/node_records.h"
#include "core/node/node_session.h"

/* One transaction of an agent, from its frame until its outcome is sent. */
struct agent_deal {
    struct ha_txn txn;
    struct agent_session *session; /* NULL: it has gone */
    struct node_sessions *sessions;
    struct agent_deal *next;
    uint64_t number;
    bool is_over;
    int64_t revision; /* what must be told before the outcome */
};

/* The newest renewal of an agent that came by a way. */
struct agent_renewed {
    nanos at; /* 0: none has come */
    uint64_t boot;
    uint64_t number;
};

/*
 *     NEW --hello--> SERVED --> gone
 *      +--------------------------^
 */
struct agent_session {
    struct node_sessions *sessions;
    struct agent_session *next;
    struct world_stream *stream; /* NULL: it has gone, and is about to be freed */
    struct world_stream_sink sink;
    struct world_endpoint from;
    struct ha_frames frames;
    bool is_served;
    char host[HA_NAME_BYTES];
    node_id id;
    nanos heard_at;
    struct agent_renewed renewed; /* this way */

    /* The feed. */
    struct store_stream *watch; /* owned */
    struct node_records_page page;
    int64_t page_revision; /* at which the pages are read */
    struct buf gathered;   /* changes of the next frame */
    struct buf out;        /* frames that did not fit the stream yet */
    size_t out_at;
    uint64_t sent; /* bytes of frames since the welcome, and those in `out` */
    uint64_t taken;
    nanos taken_at; /* when it took something last, or had nothing to take */
    int64_t told;   /* the revision of the newest REACHED */
    int64_t owed;   /* one that is to be told as soon as it is here: of a grant, of an outcome */
    bool has_news;  /* changes were told since that REACHED */
    bool is_host_gone;
    struct agent_deal *deals; /* owned, oldest first */
    uint32_t deal_count;
};

struct agent_route {
    node_id agent;
    node_id via;
    struct agent_renewed renewed; /* that way */
};

struct node_sessions {
    const struct world *world; /* borrowed, as are the node and its HA */
    struct node *node;
    struct node_ha *ha;
    uint64_t cluster;
    struct node_sessions_events events;
    struct node_ha_router router;
    struct world_listener listener;
    struct agent_session *first; /* owned */
    struct agent_deal *orphans;  /* owned: of sessions that have gone */
    struct world_timer tick;
    bool is_ticking;

    struct agent_route *routes; /* owned, by agent */
    size_t n_routes;
    size_t routes_cap;

    struct node_sessions_figures counted;
};

/* node_session.c */
bool agent_node_serves(const struct node_sessions *s);
/* Sends it away, and frees it: a caller that goes through the list has taken `next` before. */
void agent_send_away(struct agent_session *a, enum ha_farewell why);
void agent_gone(struct agent_session *a, const char *how);
struct agent_session *agent_find(struct node_sessions *s, node_id id);

/* node_session_feed.c */
void agent_frame_out(struct agent_session *a, const struct ha_frame *frame);
void agent_feed_begin(struct agent_session *a, const struct ha_hello *hello);
/* Tells what there is room for. False: the session was sent away. */
bool agent_feed_pump(struct agent_session *a, bool says_reached);
/* It waits for this revision: tells it, now or as soon as it is here. */
void agent_owe(struct agent_session *a, int64_t revision);
/* HA_FAREWELL_NONE: it is under way. */
enum ha_farewell agent_take_txn(struct agent_session *a, uint64_t number, struct bytes body);
void agent_feed_end(struct agent_session *a);

/* node_session_relay.c */
enum ha_farewell agent_take_renewal(struct agent_session *a, struct bytes note);
void agent_answer(void *ctx, node_id to, struct bytes note);

#endif
