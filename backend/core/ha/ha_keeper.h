/*
 * ha_keeper: what the leader decides: the manager of docs/ha.md. A step function: from the view,
 * what was observed of hosts, and the time, to transactions and commands to fence devices.
 *
 *     IDLE --leads, and a read in this term is done--> TAKING --its token is written--> LEADING
 *       ^                                                |                                |
 *       +------------------------- leads no more --------+--------------------------------+
 *
 * THE TOKEN. A manager that begins writes `/novacron/leader`, with its term and member, guarded by
 * the revision at which it found it. All its transactions are guarded by the token's revision. So
 * once another manager has begun, nothing that an older one decided is applied any more, however
 * late it arrives; and nobody grants a lease whose token is not the newest. The token says how long
 * the longest lease is that may still hold, of whichever leader; it says less only once that is
 * over.
 *
 * STEPS. ha_keeper_step looks at the view from the beginning, each time, and fills the list of
 * what is to be done. An object (a machine with its owner's record; a host with its fate; the
 * newest incident of a host) has one transaction at a time: until its outcome is in the view,
 * nothing is decided about it. What was UNKNOWN is looked at again behind a barrier.
 *
 *     machine:  see docs/ha.md, "Epochs"; each line of its diagram is one function of
 *               ha_keeper_vm.c
 *     host:     UP --cut and silent, or its lease has ended--> LOST --it owns machines--> FENCING
 *                 <--heard again, and in no cut---------------      \                      |
 *                 <--heard again, and owns no machine that a proof could move--- GONE <----+-proof
 *
 * FENCING is begun when it saves somebody: when the host owns machines that another host may start.
 * It is withdrawn only when it owns none any more.
 *
 * TIME. All spans are measured on the leader's own clock from when it saw their beginning in the
 * view, or from the beginning of its term. Nothing that is decided depends on wall-clock time.
 */
#ifndef NOVACRON_HA_KEEPER_H
#define NOVACRON_HA_KEEPER_H

#include "core/base/prng.h"
#include "core/ha/ha_fence.h"
#include "core/ha/ha_lease.h"
#include "core/ha/ha_place.h"
#include "core/ha/ha_store.h"
#include "core/ha/ha_view.h"

#define HA_LEADER_KEY HA_PREFIX "leader"

/* The leader must not have heard of a host itself for so long before a cut counts: whoever renews
 * is not lost. */
#define HA_SILENCE (NANOS_PER_S)

/* Events that are kept; and incidents that are closed. */
#define HA_EVENTS_KEPT    2000
#define HA_INCIDENTS_KEPT 200

/* Of incidents that were closed by an earlier leader, so lately, the next one tells again. By the
 * wall clock: it is for whoever draws pictures, and decides nothing. */
#define HA_INCIDENT_RETOLD_MS (60 * 1000)

/* Fence devices are asked STATUS so often, and count as tested for so long after an answer. */
#define HA_TEST_EVERY (60 * NANOS_PER_S)
#define HA_TEST_GOOD  (180 * NANOS_PER_S)

struct ha_keeper; /* opaque */

struct ha_keeper_figures {
    uint64_t transactions;
    uint64_t stale;
    uint64_t unknown;
    uint64_t refused;
    uint64_t fences_begun;
    uint64_t fences_done;
    uint64_t placements;
    uint64_t restarts;
};

struct ha_keeper_events {
    void *ctx;
    /* Everything in the record of events is said here too, by the manager that wrote it. */
    void (*said)(void *ctx, const char *what, const char *subject, const char *detail);
    void (*incident)(void *ctx, const struct ha_incident *incident);
    /* There is something to do: ha_keeper_step is to be called. */
    void (*due)(void *ctx);
};

struct ha_keeper_config {
    node_id member;
    uint64_t seed;
};

/* All that it reads and uses is borrowed, and stays in place. `world`: its clock and its power. */
struct ha_keeper *ha_keeper_open(const struct world *world, const struct ha_store *store,
                                 const struct ha_view *view, const struct ha_lessor *lessor,
                                 const struct ha_keeper_config *config,
                                 const struct ha_keeper_events *events);
void ha_keeper_close(struct ha_keeper *m);

/* This member leads in `term`, as a read in that term has confirmed, and the view has what that
 * read saw; from `now` on, at the latest. */
void ha_keeper_begin(struct ha_keeper *m, uint64_t term);
void ha_keeper_end(struct ha_keeper *m);

/* The token is in the view: leases may be granted, decisions made. `term`: of the lessor that may
 * begin. */
bool ha_keeper_leads(const struct ha_keeper *m);

/* Somebody has written over the token, or deleted it: another manager, or a person by mistake. It
 * decides nothing until it is told to begin again, after a read has confirmed that it still leads.
 */
bool ha_keeper_is_displaced(const struct ha_keeper *m);

void ha_keeper_cut(struct ha_keeper *m, node_id member, bool is_lost);
void ha_keeper_degraded(struct ha_keeper *m, node_id member, bool is_degraded);

/* The key HA_LEADER_KEY was changed at this revision; 0: deleted, or never written. The value is
 * borrowed for the call. */
void ha_keeper_token_seen(struct ha_keeper *m, int64_t mod_revision, struct bytes value);

/* Decides what follows, and sends it off. */
void ha_keeper_step(struct ha_keeper *m);

/* When it wants to be called next, on the world's clock. */
nanos ha_keeper_deadline(const struct ha_keeper *m);

/* A renewal is judged: may this host's lease be granted? By the view as it is. */
bool ha_keeper_judge(const struct ha_keeper *m, node_id from, const struct ha_renew *renew,
                     enum ha_refusal *refusal);

/* L, as it is granted now; and by how much clocks may drift apart, in ppm. */
nanos ha_keeper_lease(const struct ha_keeper *m);
uint32_t ha_keeper_drift(const struct ha_keeper *m);

/* --- looking in ------------------------------------------------------------------------------- */

void ha_keeper_figures(const struct ha_keeper *m, struct ha_keeper_figures *ret);

/* The fence of a host that is being worked on, or NULL. */
const struct ha_fence *ha_keeper_fence(const struct ha_keeper *m, const char *host);

/* What was observed of the hosts, for ha_place.h; `ret` has room for `max`. Returns how many. */
size_t ha_keeper_seen(const struct ha_keeper *m, struct ha_seen *ret, size_t max);

#endif
