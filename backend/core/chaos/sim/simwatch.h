/*
 * Simulated clients that watch: each has one logical watch over all keys, which goes on at another
 * member, from the revision behind the last one that it was given, whenever its member dies or it
 * feels like it. What was delivered is written down, for the checker of watches.
 */
#ifndef NOVACRON_CHAOS_SIM_SIMWATCH_H
#define NOVACRON_CHAOS_SIM_SIMWATCH_H

#include "core/chaos/sim/simcluster.h"

#define SIM_WATCHERS_MAX 4

/* One event of a watch response. */
struct simevent_seen {
    int64_t revision;
    uint32_t key; /* of a client's key and value, the numbers in them */
    bool is_delete;
    uint64_t value;
    struct bytes name; /* key and value as they are; borrowed from the response */
    struct bytes text;
};

/* The head of a watch response. */
struct simwatch_head {
    bool is_created;
    bool is_canceled;
    bool is_fragment;
    int64_t compact_revision;
    uint32_t events;
};

/* Takes a WatchResponse without its header apart: `ret_head` may be NULL. */
void simwatch_parse(struct bytes response, struct simwatch_head *ret_head,
                    void (*event)(void *ctx, const struct simevent_seen *seen), void *ctx);

enum simwatch_note_kind {
    SIMWATCH_STARTED,  /* from `revision` on */
    SIMWATCH_EVENT,    /* one change */
    SIMWATCH_RESPONSE, /* a response ended; `is_fragment` */
    SIMWATCH_PROGRESS, /* everything up to `revision` was delivered */
    SIMWATCH_CANCELED, /* because of a compaction at `revision` */
};

/* One line of what happened to a watch. */
struct simwatch_note {
    enum simwatch_note_kind kind;
    uint32_t watcher;
    nanos at;
    int64_t revision;
    uint32_t key;
    bool is_delete;
    bool is_fragment;
    uint64_t value;
};

struct simwatcher;

struct simwatches {
    struct simcluster *cluster;
    const struct world *world;  /* the watchers' own host */
    struct simwatcher *watcher; /* owned */
    uint32_t count;
    uint64_t tags;
    struct simwatch_note *notes; /* owned, in their order */
    size_t note_count;
    size_t note_cap;
    struct buf response;
    uint64_t moves;
    uint64_t events;
};

void simwatches_init(struct simwatches *w, struct simcluster *cluster, const struct prng *root);
void simwatches_deinit(struct simwatches *w);
void simwatches_start(struct simwatches *w);

/* Takes what member `i` has for its watchers: after each event there. */
void simwatches_drain(struct simwatches *w, uint32_t i);

/* Every watcher goes on at member `i` now, takes all there is, and stays. */
void simwatches_finish(struct simwatches *w, uint32_t i);

/* The member's node is about to be closed. */
void simwatches_member_gone(struct simwatches *w, uint32_t i);

#endif
