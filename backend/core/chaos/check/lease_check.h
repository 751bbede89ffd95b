/*
 * Does a lease of the store last as long as it promises, and no longer than it may?
 *
 *   Never early. A renewal that was acknowledged found the lease alive, at some instant not before
 * its invocation. So until invocation + ttl nobody sees the lease gone, unless a revocation has
 * begun. Clocks of servers may run fast by a rate that the driver states.
 *
 *   Never back. A lease that was seen gone is seen no more.
 *
 *   Not for ever. A lease that nobody renews is gone within ttl, the drift of clocks and a bound
 * that the driver states: from its last renewal on, or from the end of all faults, since a new
 * leader gives each lease its ttl again.
 *
 * "Gone" is seen by whatever an operation tells: a key of the lease is absent and nobody deleted
 * it, or the lease's ttl is asked for and there is none. All times are those of one clock, the
 * simulation's. The first fault is kept, and every later call returns it.
 */
#ifndef NOVACRON_CHAOS_CHECK_LEASE_CHECK_H
#define NOVACRON_CHAOS_CHECK_LEASE_CHECK_H

#include "core/base/buf.h"

enum lease_fault {
    LEASE_RIGHT,
    LEASE_EARLY,
    LEASE_BACK,
    LEASE_KEPT /* it should have been gone for long */
};

struct lease_verdict {
    enum lease_fault fault;
    nanos seen; /* when it was seen to be wrong */
    nanos due;  /* EARLY: till when it had to last; BACK: since when it was gone; KEPT: by when it
                   had  to be gone */
};

/* What the driver states about the run. */
struct lease_terms {
    uint32_t drift_ppm; /* the most by which a server's clock runs fast or slow */
    nanos slack;        /* how much later than its ttl a lease may go, without faults */
};

struct lease_check {
    uint64_t id;
    struct lease_terms terms;
    struct lease_verdict verdict;
    nanos lasts_until; /* at least, by what was acknowledged */
    nanos may_last;    /* at most, by all that may have renewed it */
    nanos gone_since;  /* when the first that saw it gone returned; NANOS_FOREVER: nobody has */
    nanos calm_since;  /* since when there are no faults; NANOS_FOREVER: there are */
    nanos revoked;     /* when a revocation began first; NANOS_FOREVER: none has */
    nanos ttl;         /* the longest that was asked for */
};

void lease_check_init(struct lease_check *l, uint64_t id, const struct lease_terms *terms);

/* A grant or a renewal for `ttl`, which was acknowledged. */
struct lease_verdict lease_check_renewed(struct lease_check *l, nanos invoked, nanos returned,
                                         nanos ttl, struct buf *text);

/* A grant or renewal of unknown outcome: it may have taken effect until `latest`. */
void lease_check_maybe_renewed(struct lease_check *l, nanos latest, nanos ttl);

/* A client asked to revoke the lease, with whatever outcome. */
void lease_check_revoke_begun(struct lease_check *l, nanos invoked);

/* From `since` on there are no faults; NANOS_FOREVER: there are again. */
void lease_check_calm(struct lease_check *l, nanos since);

/* An operation between `invoked` and `returned` saw it. */
struct lease_verdict lease_check_seen(struct lease_check *l, nanos invoked, nanos returned,
                                      bool is_alive, struct buf *text);

const char *lease_fault_text(enum lease_fault fault);

#endif
