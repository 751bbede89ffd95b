/*
 * Leases: what is replicated, and the clock that only a leader keeps.
 *
 * Replicated: id, TTL, and which keys are attached, which is what the newest versions of the keys
 * say. Not replicated, not hashed, not in a snapshot: deadlines. etcd also replicates checkpoints
 * of what is left of a long lease, so that a new leader need not start anew. We do not: a
 * checkpoint that is applied after a renewal makes the next leader end the lease early.
 *
 *            store_lease_promote                 store_lease_due
 *     IDLE ---------------------> ARMED -------------------------> EXPIRING
 *       ^  <---------------------   ^                                  |
 *       |    store_lease_demote     | store_lease_due again, later     | the revoke is applied
 *       +---------------------------+----------------------------------+---> gone
 *
 * - IDLE: this node does not lead; no deadline counts.
 * - ARMED: the deadline is `ttl` after the grant, the last renewal, or the promotion, whichever is
 *   last. A lease so never ends early through a change of leader; it may end late.
 * - EXPIRING: the leader proposed its expiry. Renewals must wait for the outcome: the expiry may be
 *   in the log already. If the proposal gets lost, the lease is due again after
 *   STORE_LEASE_RETRY_NS.
 *
 * An expiry names the term of the leader that decided it, and is refused in any other: a deposed
 * leader's late message cannot end a lease that the new one has renewed.
 */
#ifndef NOVACRON_STORE_LEASE_H
#define NOVACRON_STORE_LEASE_H

#include "core/base/types.h"
#include "core/store/store_avl.h"
#include "core/store/store_version.h"

#define STORE_LEASE_RETRY_NS (3 * NANOS_PER_S)

struct store_slab;

struct store_attachment {
    struct store_key *key;
    struct store_lease *lease;
    struct store_attachment *prev;
    struct store_attachment *next;
};

enum store_lease_phase { STORE_LEASE_IDLE, STORE_LEASE_ARMED, STORE_LEASE_EXPIRING };

struct store_lease {
    struct store_avl_node node; /* by id; first, so that a node is a lease */
    int64_t id;
    int64_t ttl_s;
    struct store_attachment *attachments;
    uint64_t attachment_count;
    enum store_lease_phase phase;
    nanos deadline; /* while ARMED; while EXPIRING, when it is due again */
    size_t heap_at; /* its place in `heap` unless IDLE */
};

struct store_leases {
    struct store_slab *slab; /* borrowed */
    struct store_avl by_id;
    struct store_lease **heap; /* of those not IDLE, by (deadline, id) */
    size_t heap_count;
    size_t heap_cap;
    bool armed;                /* promoted? */
    uint64_t attachment_count; /* of all leases */
    uint64_t sum;              /* of the hashes of all leases: a hash of the set */
};

void store_leases_init(struct store_leases *l, struct store_slab *slab);
void store_leases_deinit(struct store_leases *l);

struct store_lease *store_leases_find(const struct store_leases *l, int64_t id);

/* The first lease whose id is above `id`, or NULL: for walking in order. */
struct store_lease *store_leases_above(const struct store_leases *l, int64_t id);

/* Adds a lease with an id that is not there; armed at `now` if this node leads. */
struct store_lease *store_leases_add(struct store_leases *l, int64_t id, int64_t ttl_s, nanos now);

/* Frees a lease that has no attachments. */
void store_leases_remove(struct store_leases *l, struct store_lease *lease);

/* Makes `id` (0: none) the lease of the key, instead of the one it had. A lease that is gone is
 * none. */
void store_leases_attach(struct store_leases *l, struct store_key *key, int64_t id);

/* The attached keys in their order; the caller frees the array with mem_free. NULL if none. */
struct store_key **store_leases_keys(const struct store_lease *lease);

void store_leases_promote(struct store_leases *l, nanos now);
void store_leases_demote(struct store_leases *l);

/* Sets the deadline anew: a full TTL from `now`. The lease is ARMED. */
void store_leases_renew(struct store_leases *l, struct store_lease *lease, nanos now);

/* Takes the next lease that is due: it is EXPIRING from now on. NULL if none is due. */
struct store_lease *store_leases_next_due(struct store_leases *l, nanos now);

/* When the next lease is due; NANOS_FOREVER if none will be. */
nanos store_leases_next_deadline(const struct store_leases *l);

#endif
