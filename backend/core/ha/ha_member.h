/*
 * ha_member: HA on one member: the agent of its host and, while the member leads, the manager and
 * the lessor, joined on a world and a store. The same in the daemon and in the simulator.
 *
 * Its owner opens it beside the node (node_ha.h gives the store), tells it of cuts
 * (health_agent.h), and closes it before the store. Everything else it hears by itself: of records
 * from the store's feed, of time from the world.
 *
 * It acts in turns: what has happened is gathered, and carried out in one pass, later in the same
 * instant. Nothing waits for a tick.
 */
#ifndef NOVACRON_HA_MEMBER_H
#define NOVACRON_HA_MEMBER_H

#include "core/ha/ha_agent.h"
#include "core/ha/ha_lease.h"
#include "core/ha/ha_keeper.h"
#include "core/ha/ha_store.h"
#include "core/ha/ha_view.h"
#include "core/world/world.h"

struct ha_member_config {
    /* "": this member runs no machines, and has no agent; it may lead all the same. */
    struct ha_agent_config agent;
    uint64_t seed; /* of jitter and trace ids; 0: drawn from the world */
};

enum ha_saying {
    HA_SAYS_AGENT,   /* what this host's agent has done or found */
    HA_SAYS_MANAGER, /* what the manager has decided */
    HA_SAYS_RECORD   /* a record cannot be read */
};

/* Any may be NULL. From within the world's callbacks. */
struct ha_member_events {
    void *ctx;
    void (*said)(void *ctx, enum ha_saying who, const char *what, const char *subject,
                 const char *detail);
    /* An incident is closed: for whoever sends traces. Borrowed for the call. */
    void (*incident)(void *ctx, const struct ha_incident *incident);
};

struct ha_member; /* opaque */

struct ha_member *ha_member_open(const struct world *world, const struct ha_store *store,
                                 const struct ha_member_config *config,
                                 const struct ha_member_events *events);

/* While the world is there, and before it is closed: asks nobody anything any more whom the world
 * would let call us. */
void ha_member_stop(struct ha_member *h);

/* As node_close: the world is idle, or was torn down. Machines run on. */
void ha_member_close(struct ha_member *h);

/* Health's cut says so of a member; only a leader's counts, and it may be told always. */
void ha_member_cut(struct ha_member *h, node_id member, bool is_lost);

/* It is slow, or not any more: such hosts are taken last. */
void ha_member_degraded(struct ha_member *h, node_id member, bool is_degraded);

/* --- looking in; borrowed until the next turn of the world ------------------------------------ */

const struct ha_view *ha_member_view(const struct ha_member *h);
const struct ha_lessor *ha_member_lessor(const struct ha_member *h);
const struct ha_keeper *ha_member_keeper(const struct ha_member *h);
const struct ha_agent *ha_member_agent(const struct ha_member *h); /* NULL: it has none */

struct ha_member_status {
    bool leads; /* the manager works here, and sees all records, in: */
    uint64_t term;
    uint64_t revision; /* of the view */
    bool has_agent;
    struct ha_agent_status agent;
    uint32_t owners[HA_PHASES];     /* machines by phase, as the view has them */
    uint32_t fates[HA_HOST_PHASES]; /* hosts by phase */
    uint32_t unreadable;
    uint32_t incidents_open;
    uint32_t tripped;  /* hosts on which machines cannot be started */
    uint32_t unproven; /* machines that nothing proves gone, and nothing will by itself */
    struct ha_keeper_figures keeper;
};

void ha_member_status(const struct ha_member *h, struct ha_member_status *ret);

#endif
