/*
 * Simulated clients that hold leases: each is granted one, puts a key under it, renews it for a
 * while, and lets it run out or revokes it. What it was promised, and when the key was seen to be
 * there or gone, is written down, for the checker of leases.
 *
 * A renewal is asked of the leader, which confirms its leadership before it renews: as the API
 * does.
 */
#ifndef NOVACRON_CHAOS_SIM_SIMLESSEE_H
#define NOVACRON_CHAOS_SIM_SIMLESSEE_H

#include "core/chaos/sim/simcluster.h"

#define SIM_LESSEES_MAX 4

/* The longest time of their leases. */
#define SIMLEASE_TTL_MAX (6 * NANOS_PER_S)

enum simlease_note_kind {
    SIMLEASE_GRANTED, /* called and returned */
    SIMLEASE_RENEWED, /* likewise */
    SIMLEASE_REVOKED, /* called; whatever became of it */
    SIMLEASE_GONE,    /* a renewal, or a read of the key, said that it is no more */
};

struct simlease_note {
    enum simlease_note_kind kind;
    int64_t lease;
    int64_t ttl_s;
    nanos called;
    nanos returned;
};

struct simlessee;

struct simlessees {
    struct simcluster *cluster;
    const struct world *world; /* the lessees' own host */
    struct simlessee *lessee;  /* owned */
    uint32_t count;
    int64_t next_lease;
    struct simlease_note *notes; /* owned, in their order */
    size_t note_count;
    size_t note_cap;
    void (*touched)(void *ctx, uint32_t i);
    void *ctx;
    bool are_stopping;
};

void simlessees_init(struct simlessees *l, struct simcluster *cluster, const struct prng *root);
void simlessees_deinit(struct simlessees *l);
void simlessees_start(struct simlessees *l);

/* No new leases and no renewals. */
void simlessees_stop(struct simlessees *l);

/* The member's node is about to be closed. */
void simlessees_member_gone(struct simlessees *l, uint32_t i);

#endif
