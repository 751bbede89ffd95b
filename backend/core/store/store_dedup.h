/*
 * Which proposals were applied: so that one that was forwarded or retried twice is applied once.
 *
 * For each origin the window knows its newest boot, and the outcomes of the last
 * STORE_ORIGIN_WINDOW sequences below the highest it has seen. What lies outside (an older boot, a
 * sequence that has fallen out) may or may not have been applied: its outcome is unknown, and it is
 * refused. A newer boot starts the origin's window anew.
 *
 * There is room for STORE_ORIGINS_MAX origins. When it is full, a new one takes the place of the
 * one that has been idle longest, if that is for more than STORE_ORIGIN_IDLE_ENTRIES log entries;
 * otherwise it is refused. All of this is replicated state.
 */
#ifndef NOVACRON_STORE_DEDUP_H
#define NOVACRON_STORE_DEDUP_H

#include "core/store/store_limits.h"
#include "core/store/store_status.h"

struct store_outcome {
    int64_t revision;
    enum store_status status;
};

struct store_origin {
    node_id id;
    uint64_t boot;
    uint64_t high;                          /* the highest sequence seen */
    uint64_t last_index;                    /* of its last entry in the log */
    int64_t revisions[STORE_ORIGIN_WINDOW]; /* by sequence % window */
    uint8_t statuses[STORE_ORIGIN_WINDOW];  /* an enum store_status, or STORE_DEDUP_UNSEEN */
};

#define STORE_DEDUP_UNSEEN 0xff

_Static_assert(STORE_STATUS_COUNT < STORE_DEDUP_UNSEEN, "a status fits beside the mark");

struct store_dedup {
    struct store_origin *origins[STORE_ORIGINS_MAX]; /* owned, by id */
    size_t count;
    uint64_t chain; /* the hash of all that was ever recorded */
};

enum store_dedup_verdict {
    STORE_DEDUP_NEW,
    STORE_DEDUP_DUPLICATE, /* it was applied, with the returned outcome */
    STORE_DEDUP_OUTSIDE,   /* nobody knows any more */
    STORE_DEDUP_FULL       /* no room for a further origin */
};

void store_dedup_init(struct store_dedup *d);
void store_dedup_deinit(struct store_dedup *d);

/* What is known of this proposal? Sets `*ret` for a duplicate. `index` is the entry's. */
enum store_dedup_verdict store_dedup_ask(const struct store_dedup *d, node_id origin, uint64_t boot,
                                         uint64_t sequence, uint64_t index,
                                         struct store_outcome *ret);

/* Records the outcome of one that was new. */
void store_dedup_record(struct store_dedup *d, node_id origin, uint64_t boot, uint64_t sequence,
                        uint64_t index, struct store_outcome outcome);

/* The newest boot that is known of this origin; 0: none. */
uint64_t store_dedup_boot(const struct store_dedup *d, node_id origin);

/* Adds an empty window for an origin that is above all that are there: for a restore. */
struct store_origin *store_dedup_add(struct store_dedup *d, node_id origin);

#endif
